/* gemm.c - products of matrices: which tiles a part computes, and in what order.
 *
 * Many rows that are read where they are: a block of B (half of a second cache of 512 KiB) meets
 * all panels of A one by one. Many rows that are packed: some panels of A (in the second cache)
 * meet the panels of B one by one, of a block so wide that rows are seldom packed again. Few rows:
 * all of A meets each panel of B, which streams through once. */
#include "nn/gemm.h"

#include "core/err.h"
#include "nn/gemm_kernel.h"

enum {
  N_PANEL_A = 8,            /* panels of A that are packed together */
  NC = 512,                 /* columns of a block of B, at most */
  BLOCK_DIRECT = 64 * 1024, /* floats of a block of B when A is not packed */
  KC_PART = 128,            /* rows of B that are packed together for a single panel of A */
  TILE_MAX = GEMM_MR * GEMM_NR * GEMM_NP,
};

/* Floats of scratch, the same for each path: the largest. */
enum {
  BLOCK_A = 8 * 16 * GEMM_SA,
  TILE = 2048,
};
_Static_assert(N_PANEL_A *GEMM_PANEL_A <= BLOCK_A, "scratch for A");
_Static_assert((int)TILE_MAX <= (int)TILE, "scratch for a tile");
_Static_assert(GEMM_NP *GEMM_NR <= BLOCK_DIRECT / VK_GEMM_KC, "scratch for a group of panels");

/* Rows q to n_row of what is packed next of a transposed A, n_item columns of each. They are asked
 * for step rows at a time, one step with each tile; packing would wait for memory otherwise. */
typedef struct next_a {
  const float *at;
  int64_t ld, n_row, n_item, step, q;
} next_a;

/* The rows and columns of a part. */
typedef struct part {
  const vk_gemm *g;
  int64_t i0, i1, j0, j1;
  int64_t m_r; /* rows of a panel of A */
  float *block_a, *block_b, *tile;
} part;

/* A panel of A and how the inner loops read it. */
typedef struct panel_a {
  const float *a;
  int64_t sa, i, m_r;
  int is_col;
  next_a *next;    /* NULL: not asked for */
  int64_t n_ahead; /* rows of the next panel that are asked for, as they come from memory, */
  int64_t step;    /* so many of their items with each panel of B; 0: none */
} panel_a;

/* Rows p to p + kc of B, columns j to j1. */
typedef struct block_b {
  const float *b;
  int64_t sb, panel, j, j1, p, kc;
  bool is_first, is_last;
} block_b;

static int64_t min_i(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

static int64_t div_up(int64_t a, int64_t b)
{
  return (a + b - 1) / b;
}

/* log2 of how many panels of B the widest tile of m_r rows covers, of n at hand */
static int choose_width(int64_t m_r, int64_t n)
{
  for (int w = 2; w > 0; w--)
    if (n >= 1 << w && gemm_micro_table[0][w][m_r])
      return w;
  return 0;
}

/* Asks for items q to q1 of the rows of the next panel. Hardware does not see what comes next where
 * rows are so short that several lie in a page. High panels are too large for the first cache. */
VK_INLINE void ask_for_a(const panel_a *a, int64_t q, int64_t q1)
{
  const float *at = a->a + a->m_r * a->sa;
  for (; q < q1; q += 16)
    for (int64_t r = 0; r < a->n_ahead; r++)
      __builtin_prefetch(at + r * a->sa + q, 0, GEMM_MR > 8 ? 2 : 3);
}

static void ask_for_next(next_a *a)
{
  int64_t q1 = min_i(a->q + a->step, a->n_row);
  for (; a->q < q1; a->q++)
    for (int64_t e = 0; e < a->n_item; e += 16)
      __builtin_prefetch(a->at + a->q * a->ld + e, 0, 2);
}

static void run_tiles(const part *t, const panel_a *a, const block_b *b)
{
  const float *at = b->b;
  int64_t q = 0;
  for (int64_t j = b->j; j < b->j1;) {
    int w = choose_width(a->m_r, div_up(b->j1 - j, GEMM_NR));
    int64_t n_j = GEMM_NR << w;
    ask_for_a(a, q, min_i(q + (a->step << w), b->kc));
    gemm_ask_for_c(t->g, a->i, a->m_r, j, b->is_first);
    if (a->next)
      ask_for_next(a->next);
    gemm_micro_table[a->is_col][w][a->m_r](b->kc, a->a, a->sa, at, b->sb, b->panel, t->tile, 1);
    gemm_finish(t->g, t->tile, n_j, a->i, a->m_r, j, min_i(n_j, b->j1 - j), b->is_first,
                b->is_last);
    j += n_j;
    q += a->step << w;
    at += b->panel << w;
  }
}

/* A panel of B that is packed a piece at a time, into the first cache, for one panel of A. */
static void run_piecewise(const part *t, const panel_a *a, const block_b *b)
{
  const vk_gemm *g = t->g;
  for (int64_t j = b->j; j < b->j1; j += GEMM_NR) {
    int64_t n_j = min_i(GEMM_NR, b->j1 - j), step = a->is_col ? a->sa : 1;
    for (int64_t q = 0; q < b->kc; q += KC_PART) {
      int64_t n = min_i(KC_PART, b->kc - q);
      gemm_pack_b(g, b->p + q, n, j, j + n_j, t->block_b, 0);
      gemm_micro_table[a->is_col][0][a->m_r](n, a->a + q * step, a->sa, t->block_b, GEMM_NR, 0,
                                             t->tile, q == 0);
    }
    gemm_finish(g, t->tile, GEMM_NR, a->i, a->m_r, j, n_j, b->is_first, b->is_last);
  }
}

/* Rows are read where they are. Where their distance is a multiple of 4 KiB they share the sets of
 * the first cache, and still packing them would cost more. */
static bool is_direct(const vk_gemm *g)
{
  return !g->fill_a && !g->a_trans;
}

/* Floats that a part packs of A at a time, and of B. No product of fewer rows, columns or steps
 * along k needs more. */
static int64_t block_a_floats(bool packs_a)
{
  return packs_a ? BLOCK_A : 0;
}

static int64_t block_b_floats(int64_t n, int64_t k, bool packs_a, bool packs_b)
{
  int64_t kc = min_i(VK_GEMM_KC, k), n_up = div_up(n, VK_GEMM_PANEL) * VK_GEMM_PANEL;
  return packs_b ? min_i(kc * n_up, packs_a ? kc * NC : BLOCK_DIRECT) : 0;
}

/* Packs what is needed of rows i to i + n_i, then tells where panel 0 is and how far the next. */
static panel_a begin_a(const part *t, int64_t i, int64_t n_i, int64_t p, int64_t *next)
{
  const vk_gemm *g = t->g;
  panel_a a = {.i = i};
  if (is_direct(g)) {
    a.a = g->a + i * g->lda + p;
    a.sa = g->lda;
    *next = t->m_r * g->lda;
  } else {
    a.a = t->block_a;
    a.sa = gemm_pack_a(g, i, n_i, t->m_r, p, min_i(VK_GEMM_KC, g->k - p), t->block_a);
    a.is_col = g->a_trans && !g->fill_a;
    *next = GEMM_PANEL_A;
  }
  return a;
}

/* Where B is packed or can be read as it is, or false. */
static bool find_b(const vk_gemm *g, block_b *b, bool is_few)
{
  if (g->b_packed) {
    b->b = g->b_packed + b->j * g->k + b->p * GEMM_NR;
    b->sb = GEMM_NR;
    b->panel = GEMM_NR * g->k;
    return true;
  }
  if (is_few && g->b && !g->b_trans && (b->j1 - b->j) % GEMM_NR == 0) {
    b->b = g->b + b->p * g->ldb + b->j;
    b->sb = g->ldb;
    b->panel = GEMM_NR;
    return true;
  }
  return false;
}

static void pack_block_b(const part *t, block_b *b)
{
  gemm_pack_b(t->g, b->p, b->kc, b->j, b->j1, t->block_b, GEMM_NR * b->kc);
  b->b = t->block_b;
  b->sb = GEMM_NR;
  b->panel = GEMM_NR * b->kc;
}

static block_b block_at(const vk_gemm *g, int64_t p, int64_t j, int64_t j1)
{
  block_b b = {.j = j, .j1 = j1, .p = p, .kc = min_i(VK_GEMM_KC, g->k - p)};
  b.is_first = p == 0;
  b.is_last = p + b.kc == g->k;
  return b;
}

/* Panels of A from row i on, against a block of B. */
static void run_panels(const part *t, panel_a a, int64_t i, int64_t n_i, int64_t next,
                       const block_b *b)
{
  for (int64_t r = 0; r < n_i; r += t->m_r, a.a += next) {
    a.i = i + r;
    a.m_r = min_i(t->m_r, n_i - r);
    a.n_ahead = min_i(t->m_r, n_i - r - a.m_r);
    run_tiles(t, &a, b);
  }
}

/* What is packed behind rows i to i + n_i of A at p, which meet n_j columns of B. */
static next_a next_of(const part *t, int64_t i, int64_t n_i, int64_t p, int64_t n_j)
{
  const vk_gemm *g = t->g;
  int64_t n_tile = div_up(n_i, t->m_r) * div_up(n_j, GEMM_NR);
  i += n_i;
  if (i >= t->i1) {
    i = t->i0;
    p += VK_GEMM_KC;
  }
  if (!g->a_trans || g->fill_a || p >= g->k)
    return (next_a){0};
  next_a a = {.at = g->a + p * g->lda + i, .ld = g->lda, .n_row = min_i(VK_GEMM_KC, g->k - p)};
  a.n_item = min_i(N_PANEL_A * t->m_r, t->i1 - i);
  a.step = div_up(a.n_row, n_tile);
  return a;
}

static void run_many_rows(const part *t)
{
  const vk_gemm *g = t->g;
  bool direct = is_direct(g);
  int64_t nc = direct ? BLOCK_DIRECT / min_i(VK_GEMM_KC, g->k) / GEMM_NR * GEMM_NR : NC;
  int64_t mc = direct ? t->i1 - t->i0 : N_PANEL_A * t->m_r;
  int64_t n_group = direct ? nc : GEMM_NR << choose_width(t->m_r, GEMM_NP);
  for (int64_t j = t->j0; j < t->j1; j += nc) {
    /* A comes from memory with the first block of B and, when it is large, with each */
    bool asks = direct && (j == t->j0 || (t->i1 - t->i0) * g->k > BLOCK_DIRECT / 2);
    for (int64_t p = 0; p < g->k; p += VK_GEMM_KC) {
      block_b b = block_at(g, p, j, min_i(j + nc, t->j1));
      if (!find_b(g, &b, false))
        pack_block_b(t, &b);
      for (int64_t i = t->i0; i < t->i1; i += mc) {
        int64_t next, n_i = min_i(mc, t->i1 - i);
        panel_a a = begin_a(t, i, n_i, p, &next);
        next_a after = next_of(t, i, n_i, p, b.j1 - b.j);
        a.next = &after;
        if (asks)
          a.step = 16 * div_up(div_up(b.kc, 16), div_up(b.j1 - b.j, GEMM_NR));
        for (block_b s = b; s.j < b.j1; s.j += n_group, s.b += n_group / GEMM_NR * b.panel) {
          s.j1 = min_i(s.j + n_group, b.j1);
          run_panels(t, a, i, n_i, next, &s);
        }
      }
    }
  }
}

/* Rows of A against columns j to j1 of B, a few panels, and a block along k. */
static void run_group(const part *t, panel_a a, int64_t next, int64_t p, int64_t j, int64_t j1)
{
  int64_t n_i = t->i1 - t->i0;
  block_b b = block_at(t->g, p, j, j1);
  if (!find_b(t->g, &b, true)) {
    if (n_i <= t->m_r) {
      a.m_r = n_i;
      run_piecewise(t, &a, &b);
      return;
    }
    pack_block_b(t, &b);
  }
  run_panels(t, a, t->i0, n_i, next, &b);
}

static void run_few_rows(const part *t)
{
  const vk_gemm *g = t->g;
  int64_t n_i = t->i1 - t->i0, next;
  int64_t n_group = GEMM_NR << choose_width(t->m_r, GEMM_NP);
  if (is_direct(g)) {
    /* packed B is read from its first to its last byte */
    for (int64_t j = t->j0; j < t->j1; j += n_group)
      for (int64_t p = 0; p < g->k; p += VK_GEMM_KC) {
        panel_a a = begin_a(t, t->i0, n_i, p, &next);
        run_group(t, a, next, p, j, min_i(j + n_group, t->j1));
      }
    return;
  }
  for (int64_t p = 0; p < g->k; p += VK_GEMM_KC) {
    panel_a a = begin_a(t, t->i0, n_i, p, &next);
    for (int64_t j = t->j0; j < t->j1; j += n_group)
      run_group(t, a, next, p, j, min_i(j + n_group, t->j1));
  }
}

/* Splits C into n_row x n_column parts so that the dearest part is cheap. In units of a
 * multiply-add, an element that a part packs costs about 6. */
static void choose_grid(const vk_gemm *g, int n_part, int *n_row, int *n_column)
{
  int64_t m_tile = div_up(g->m, GEMM_MR), n_tile = div_up(g->n, GEMM_NR), best = INT64_MAX;
  for (int r = 1; r <= n_part; r++) {
    if (n_part % r != 0)
      continue;
    int64_t m = min_i(div_up(m_tile, r) * GEMM_MR, g->m);
    int64_t n = div_up(n_tile, n_part / r) * GEMM_NR;
    int64_t cost = m * n + 6 * (g->b_packed ? n / 4 : n) + 6 * m * div_up(n, NC);
    if (cost < best) {
      best = cost;
      *n_row = r;
      *n_column = n_part / r;
    }
  }
}

void VK_KERNEL(vk_gemm_run)(const vk_gemm *g, void *scratch, int i_part, int n_part)
{
  VK_ASSERT(g->k >= 1 && g->m >= 0 && g->n >= 0);
  VK_ASSERT(!g->pre || g->act != VK_GEMM_ACT_NONE);
  VK_ASSERT(g->pre || g->act != VK_GEMM_ACT_GELU_GRAD);
  VK_ASSERT(g->act == VK_GEMM_ACT_NONE || g->residual != g->c || g->k <= VK_GEMM_KC);
  int n_row = 1, n_column = 1;
  choose_grid(g, n_part, &n_row, &n_column);
  int i_row = i_part % n_row, i_column = i_part / n_row;
  int64_t m_tile = div_up(g->m, GEMM_MR), n_tile = div_up(g->n, GEMM_NR);
  int64_t n_a = block_a_floats(!is_direct(g));
  int64_t n_b = block_b_floats(g->n, g->k, !is_direct(g), !g->b_packed);
  float *s = (float *)scratch + (TILE + n_a + n_b) * i_part;
  part t = {
      .g = g,
      .i0 = min_i(m_tile * i_row / n_row * GEMM_MR, g->m),
      .i1 = min_i(m_tile * (i_row + 1) / n_row * GEMM_MR, g->m),
      .j0 = min_i(n_tile * i_column / n_column * GEMM_NR, g->n),
      .j1 = min_i(n_tile * (i_column + 1) / n_column * GEMM_NR, g->n),
      .tile = s,
      .block_a = s + TILE,
      .block_b = s + TILE + n_a,
  };
  int64_t n_i = t.i1 - t.i0;
  if (n_i == 0 || t.j0 == t.j1)
    return;
  t.m_r = div_up(n_i, div_up(n_i, GEMM_MR));
  if (n_i <= 3 * GEMM_MR)
    run_few_rows(&t);
  else
    run_many_rows(&t);
}

#if VK_PATH_IS_BASE

size_t vk_gemm_packed_bytes(int64_t n, int64_t k)
{
  return sizeof(float) * (size_t)(div_up(n, VK_GEMM_PANEL) * VK_GEMM_PANEL * k);
}

size_t vk_gemm_scratch_bytes(int64_t n, int64_t k, bool packs_a, bool packs_b, int n_part)
{
  int64_t floats = TILE + block_a_floats(packs_a) + block_b_floats(n, k, packs_a, packs_b);
  return sizeof(float) * (size_t)(floats * n_part);
}

#define PATH(name)                                                                                 \
  extern vk_gemm_pack_fn vk_gemm_pack_##name;                                                      \
  extern vk_gemm_run_fn vk_gemm_run_##name;                                                        \
  extern vk_gemm_peak_fn vk_gemm_peak_##name;                                                      \
  static const vk_gemm_path path_##name = {                                                        \
      .pack = vk_gemm_pack_##name, .run = vk_gemm_run_##name, .peak = vk_gemm_peak_##name};
PATH(scalar)
#if defined(__x86_64__)
PATH(avx2)
PATH(avx512)
#endif

const vk_gemm_path *vk_gemm_path_of(vk_isa isa)
{
#if defined(__x86_64__)
  if (isa >= VK_ISA_AVX512)
    return &path_avx512;
  if (isa == VK_ISA_AVX2)
    return &path_avx2;
#endif
  return &path_scalar;
}

#endif
