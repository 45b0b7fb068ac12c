/* gemm_bf16.c - products in bfloat16: packing, and which tiles a part computes in what order. See
 * gemm.c. */
#include "nn/gemm_bf16.h"

#include "core/err.h"
#include "nn/gemm_bf16_kernel.h"
#include "nn/transpose.h"

enum {
  N_PANEL_A = 8, /* panels of A that are packed together */
  NC = 512,      /* columns of a block of B */
  K_PAD = BF16_K_PAD,
};

/* The same for each path: the largest. */
enum {
  BLOCK_A = N_PANEL_A * 16 * 576,
  ROWS = 32 * GEMM_SA, /* what fill_a writes before it is rounded */
  BLOCK_B = VK_GEMM_KC / 2 * NC,
  TILE = 2048,
  SCRATCH = BLOCK_A + ROWS + BLOCK_B + TILE,
};
_Static_assert((int)N_PANEL_A *(int)BF16_PANEL_A <= (int)BLOCK_A, "scratch for A");
_Static_assert((int)BF16_ROWS <= 32, "scratch for rows");

typedef struct part {
  const vk_gemm *g;
  const float *packed; /* NULL: blocks of B are packed into block_b */
  int64_t i0, i1, j0, j1;
  int64_t m_r; /* rows of a panel of A */
  float *block_a, *rows, *block_b, *tile;
} part;

/* Terms p to p + kc of columns j to j1 of B: panel words from a panel to the next. */
typedef struct block_b {
  const float *b;
  int64_t panel, p, kc, j, j1;
} block_b;

static int64_t min_i(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

static int64_t div_up(int64_t a, int64_t b)
{
  return (a + b - 1) / b;
}

static int64_t round_up(int64_t a, int64_t b)
{
  return div_up(a, b) * b;
}

/* ---- B ------------------------------------------------------------------------------------- */

enum { N_P = 64 }; /* rows that are packed in f32, then rounded */

/* Words of two rounded numbers. */
VK_INLINE vf pair_numbers(vf low, vf high)
{
#if defined(__AVX512BF16__)
  static const uint16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return (vf)_mm512_permutexvar_epi16(_mm512_loadu_si512(order),
                                      (__m512i)_mm512_cvtne2ps_pbh(high, low));
#else
  const vi upper = vi_set1((int32_t)0xffff0000u);
  return vf_from_bits((vi)(((vu)vf_round_bf16(low) >> 16) | (vu)(vf_round_bf16(high) & upper)));
#endif
}

/* Rows 2 q and 2 q + 1 of n_p rows in panels of gemm.h become one row of pairs; a row that is
 * missing is zeros. */
static void pair_rows(const float *in, int64_t n_p, float *out)
{
  for (int64_t p = 0; p < n_p; p += 2)
    for (int v = 0; v < BF16_NR; v += VK_LANES, out += VK_LANES) {
      const float *at = in + v / GEMM_NR * N_P * GEMM_NR + p * GEMM_NR + v % GEMM_NR;
      vf_store(out, pair_numbers(vf_load(at), p + 1 < n_p ? vf_load(at + GEMM_NR) : vf_zero()));
    }
}

/* The same of rows of halves, BF16_NR apart; n_p is even. */
static void pair_rows_bf16(const uint16_t *in, int64_t n_p, float *out)
{
  for (int64_t p = 0; p < n_p; p += 2, in += 2 * BF16_NR, out += BF16_NR)
    for (int v = 0; v < BF16_NR; v += VK_LANES) {
      vi low = vf_bits(vf_load_bf16(in + v)), high = vf_bits(vf_load_bf16(in + BF16_NR + v));
      vf_store(out + v, vf_from_bits((vi)((vu)low >> 16) | high));
    }
}

/* Columns j to end of a panel from fill_b_bf16. */
static void fill_columns(const vk_gemm *g, int64_t p, int64_t n_p, int64_t j, int64_t end,
                         uint16_t *rows, float *out)
{
  g->fill_b_bf16(g->fill_b_arg, p, n_p, j, end - j, rows, BF16_NR);
  if (n_p % 2)
    memset(rows + n_p * BF16_NR, 0, sizeof *rows * BF16_NR);
  pair_rows_bf16(rows, round_up(n_p, 2), out);
}

/* Terms p to p + kc of columns j to j1: out[i * panel + q * NR + r] for pairs q, zero behind kc up
 * to a multiple of K_PAD. */
static void pack_b(const vk_gemm *g, int64_t p, int64_t kc, int64_t j, int64_t j1, float *out,
                   int64_t panel)
{
  _Alignas(64) float rows[N_P * BF16_NR];
  int64_t used = div_up(kc, 2) * BF16_NR, padded = round_up(kc, K_PAD) / 2 * BF16_NR;
  for (; j < j1; j += BF16_NR, out += panel) {
    int64_t end = min_i(j + BF16_NR, j1);
    if (end < j + BF16_NR) /* whole panels may be missing at the right */
      memset(rows, 0, sizeof rows);
    for (int64_t q = 0; q < kc; q += N_P) {
      int64_t n_q = min_i(N_P, kc - q);
      if (g->fill_b_bf16) {
        fill_columns(g, p + q, n_q, j, end, (uint16_t *)(void *)rows, out + q / 2 * BF16_NR);
        continue;
      }
      gemm_pack_b(g, p + q, n_q, j, end, rows, N_P * GEMM_NR);
      pair_rows(rows, n_q, out + q / 2 * BF16_NR);
    }
    memset(out + used, 0, sizeof *out * (size_t)(padded - used));
  }
}

void VK_KERNEL(vk_gemm_bf16_pack)(const vk_gemm *g, void *out)
{
  pack_b(g, 0, g->k, 0, g->n, out, round_up(g->k, K_PAD) / 2 * BF16_NR);
}

/* Where columns j to j1 of the block along k at p lie packed; packs them if need be. */
static block_b find_b(const part *t, int64_t p, int64_t j, int64_t j1)
{
  const vk_gemm *g = t->g;
  block_b b = {.p = p, .kc = min_i(VK_GEMM_KC, g->k - p), .j = j, .j1 = j1};
  if (t->packed) {
    b.panel = round_up(g->k, K_PAD) / 2 * BF16_NR;
    b.b = t->packed + j / BF16_NR * b.panel + p / 2 * BF16_NR;
    return b;
  }
  b.panel = round_up(b.kc, K_PAD) / 2 * BF16_NR;
  b.b = t->block_b;
  pack_b(g, p, b.kc, j, j1, t->block_b, b.panel);
  return b;
}

/* ---- A ------------------------------------------------------------------------------------- */

void VK_KERNEL(vk_gemm_bf16_round)(const float *in, int64_t n, uint16_t *out)
{
  int64_t e = 0;
#if defined(__AVX512BF16__)
  for (; e + 32 <= n; e += 32)
    _mm512_storeu_si512(out + e,
                        (__m512i)_mm512_cvtne2ps_pbh(vf_load(in + e + 16), vf_load(in + e)));
#endif
  for (; e + VK_LANES <= n; e += VK_LANES)
    vf_store_bf16(out + e, vf_load(in + e));
  vf_store_bf16_n(out + e, vf_load_n(in + e, (int)(n - e)), (int)(n - e));
}

/* n numbers, rounded, and zeros up to n_pad */
static void round_row(const float *in, int64_t n, int64_t n_pad, float *out)
{
#if BF16_IN_PAIRS
  uint16_t *to = (uint16_t *)(void *)out;
  VK_KERNEL(vk_gemm_bf16_round)(in, n, to);
  memset(to + n, 0, sizeof *to * (size_t)(n_pad - n));
#else
  vi upper = vi_set1((int32_t)0xffff0000u);
  int64_t e = 0;
  for (; e + VK_LANES <= n; e += VK_LANES)
    vf_store(out + e, vf_from_bits(vf_round_bf16(vf_load(in + e)) & upper));
  vf rest = vf_from_bits(vf_round_bf16(vf_load_n(in + e, (int)(n - e))) & upper);
  vf_store_n(out + e, rest, (int)(n - e));
  for (e = n; e < n_pad; e++)
    out[e] = 0;
#endif
}

/* Rows of tiles that A lacks are zeros. */
static int64_t tile_rows(int64_t m_r)
{
  return BF16_K == 32 ? round_up(m_r, 16) : m_r;
}

/* Rows i to i + n of A from fill_a_bf16. */
static void fill_panel(const part *t, int64_t i, int64_t n, int64_t p, int64_t kc, float *out)
{
  const vk_gemm *g = t->g;
  int64_t n_pad = round_up(kc, BF16_K);
#if BF16_IN_PAIRS
  uint16_t *to = (uint16_t *)(void *)out;
  g->fill_a_bf16(g->fill_a_arg, i, n, p, kc, to, 2 * BF16_SA);
  for (int64_t e = 0; e < n && kc < n_pad; e++)
    memset(to + e * 2 * BF16_SA + kc, 0, sizeof *to * (size_t)(n_pad - kc));
#else
  uint16_t *rows = (uint16_t *)(void *)t->rows;
  g->fill_a_bf16(g->fill_a_arg, i, n, p, kc, rows, 2 * GEMM_SA);
  for (int64_t e = 0; e < n; e++, rows += 2 * GEMM_SA, out += BF16_SA) {
    int64_t q = 0;
    for (; q + VK_LANES <= kc; q += VK_LANES)
      vf_store(out + q, vf_load_bf16(rows + q));
    vf_store_n(out + q, vf_load_bf16_n(rows + q, (int)(kc - q)), (int)(kc - q));
    for (q = kc; q < n_pad; q++)
      out[q] = 0;
  }
#endif
}

/* Word q of a row to VK_LANES rows: what A[i .. i + n) have there, rows of out BF16_SA apart. */
static void pack_columns(const float *in, int64_t ld, int64_t n, int64_t kc, float *out)
{
  vf x[VK_LANES];
  for (int e = 0; e < VK_LANES; e++) {
    int64_t k = BF16_WORD == 1 ? 2 * e : e;
#if BF16_IN_PAIRS
    x[e] = pair_numbers(k < kc ? vf_load_n(in + k * ld, (int)n) : vf_zero(),
                        k + 1 < kc ? vf_load_n(in + (k + 1) * ld, (int)n) : vf_zero());
#else
    vf y = k < kc ? vf_load_n(in + k * ld, (int)n) : vf_zero();
    x[e] = vf_from_bits(vf_round_bf16(y) & vi_set1((int32_t)0xffff0000u));
#endif
  }
  transpose(x);
  for (int64_t r = 0; r < n; r++)
    vf_store(out + r * BF16_SA, x[r]);
}

/* As pack_a, of a product with a_trans: a few terms of all rows at a time, so that rows of a are
 * read whole. Rows may be pages apart, where no hardware looks ahead. */
static void pack_a_columns(const part *t, int64_t i, int64_t n_i, int64_t p, int64_t kc, float *out)
{
  enum { STEP = VK_LANES * 2 / BF16_WORD };
  const vk_gemm *g = t->g;
  int64_t n_pad = round_up(kc, BF16_K), ld = g->lda;
  for (int64_t q = 0; q < n_pad; q += STEP) {
    const float *from = g->a + (p + q) * ld + i;
    for (int64_t e = STEP; q + e < kc && e < 2 * STEP; e++)
      for (int64_t r = 0; r < n_i; r += 16)
        __builtin_prefetch(from + e * ld + r);
    float *to = out + q * BF16_WORD / 2;
    for (int64_t r = 0; r < n_i; r += t->m_r, to += BF16_PANEL_A) {
      int64_t n = min_i(t->m_r, n_i - r);
      for (int64_t v = 0; v < n; v += VK_LANES)
        pack_columns(from + r + v, ld, min_i(VK_LANES, n - v), kc - q, to + v * BF16_SA);
      for (int64_t e = n; e < tile_rows(n); e++)
        for (int v = 0; v < VK_LANES; v++)
          to[e * BF16_SA + v] = 0;
    }
  }
}

/* Rows i to i + n_i and k p to p + kc, in panels. */
static void pack_a(const part *t, int64_t i, int64_t n_i, int64_t p, int64_t kc, float *out)
{
  const vk_gemm *g = t->g;
  int64_t n_pad = round_up(kc, BF16_K);
  if (g->a_trans && !g->fill_a && !g->fill_a_bf16) {
    pack_a_columns(t, i, n_i, p, kc, out);
    return;
  }
  for (int64_t r = 0; r < n_i; r += t->m_r, out += BF16_PANEL_A) {
    int64_t n = min_i(t->m_r, n_i - r), ld = g->lda;
    if (g->fill_a_bf16) {
      fill_panel(t, i + r, n, p, kc, out);
      for (int64_t e = n; e < tile_rows(n); e++)
        memset(out + e * BF16_SA, 0, sizeof *out * BF16_SA);
      continue;
    }
    const float *from = g->a ? g->a + (i + r) * g->lda + p : t->rows;
    if (g->fill_a) {
      g->fill_a(g->fill_a_arg, i + r, n, p, kc, t->rows, GEMM_SA);
      from = t->rows;
      ld = GEMM_SA;
    }
    for (int64_t e = 0; e < n; e++)
      round_row(from + e * ld, kc, n_pad, out + e * BF16_SA);
    for (int64_t e = n; e < tile_rows(n); e++)
      memset(out + e * BF16_SA, 0, sizeof *out * BF16_SA);
  }
}

/* ---- tiles --------------------------------------------------------------------------------- */

/* A block of B, with n_i rows from i that lie packed at a. */
static void run_block(const part *t, const float *a, int64_t i, int64_t n_i, const block_b *b)
{
  const vk_gemm *g = t->g;
  bool is_first = b->p == 0, is_last = b->p + b->kc == g->k;
  for (int64_t r = 0; r < n_i; r += t->m_r, a += BF16_PANEL_A) {
    int64_t m_r = min_i(t->m_r, n_i - r);
    const float *at = b->b;
    for (int64_t j = b->j; j < b->j1;) {
      int w = bf16_width(m_r, div_up(b->j1 - j, BF16_NR));
      int64_t n_j = BF16_NR << w;
      gemm_ask_for_c(g, i + r, m_r, j, is_first);
      bf16_tile(m_r, w, round_up(b->kc, BF16_K), a, at, b->panel, t->tile);
      gemm_finish(g, t->tile, n_j, i + r, m_r, j, min_i(n_j, b->j1 - j), is_first, is_last);
      j += n_j;
      at += b->panel << w;
    }
  }
}

/* All of A is packed, then B streams through from its first to its last byte. */
static void run_few_rows(const part *t, int64_t n_panel)
{
  const vk_gemm *g = t->g;
  int64_t n_i = t->i1 - t->i0, n_group = BF16_NR << bf16_width(t->m_r, GEMM_NP);
  for (int64_t p = 0, s = 0; p < g->k; p += VK_GEMM_KC, s++)
    pack_a(t, t->i0, n_i, p, min_i(VK_GEMM_KC, g->k - p), t->block_a + s * n_panel * BF16_PANEL_A);
  for (int64_t j = t->j0; j < t->j1; j += n_group)
    for (int64_t p = 0, s = 0; p < g->k; p += VK_GEMM_KC, s++) {
      block_b b = find_b(t, p, j, min_i(j + n_group, t->j1));
      run_block(t, t->block_a + s * n_panel * BF16_PANEL_A, t->i0, n_i, &b);
    }
}

static void run_many_rows(const part *t)
{
  const vk_gemm *g = t->g;
  int64_t mc = N_PANEL_A * t->m_r;
  for (int64_t j = t->j0; j < t->j1; j += NC)
    for (int64_t p = 0; p < g->k; p += VK_GEMM_KC) {
      block_b b = find_b(t, p, j, min_i(j + NC, t->j1));
      for (int64_t i = t->i0; i < t->i1; i += mc) {
        int64_t n_i = min_i(mc, t->i1 - i);
        pack_a(t, i, n_i, p, b.kc, t->block_a);
        run_block(t, t->block_a, i, n_i, &b);
      }
    }
}

/* Splits C into n_row x n_column parts so that the dearest part is cheap. A number that a part
 * packs costs about as much as 16 multiply-adds. */
static void choose_grid(const vk_gemm *g, bool is_packed, int n_part, int *n_row, int *n_column)
{
  int64_t m_tile = div_up(g->m, BF16_MR), n_tile = div_up(g->n, BF16_NR), best = INT64_MAX;
  for (int r = 1; r <= n_part; r++) {
    if (n_part % r != 0)
      continue;
    int64_t m = min_i(div_up(m_tile, r) * BF16_MR, g->m);
    int64_t n = div_up(n_tile, n_part / r) * BF16_NR;
    int64_t cost = m * n + 16 * m * div_up(n, NC) + (is_packed ? 0 : 16 * n);
    if (cost < best) {
      best = cost;
      *n_row = r;
      *n_column = n_part / r;
    }
  }
}

void VK_KERNEL(vk_gemm_bf16_run)(const vk_gemm *g, const void *packed, void *scratch, int i_part,
                                 int n_part)
{
  VK_ASSERT(g->k >= 1 && g->m >= 0 && g->n >= 0 && (packed || g->b || g->fill_b || g->fill_b_bf16));
  VK_ASSERT(g->act == VK_GEMM_ACT_NONE || g->residual != g->c || g->k <= VK_GEMM_KC);
  int n_row = 1, n_column = 1;
  choose_grid(g, packed != NULL, n_part, &n_row, &n_column);
  int i_row = i_part % n_row, i_column = i_part / n_row;
  int64_t m_tile = div_up(g->m, BF16_MR), n_tile = div_up(g->n, BF16_NR);
  float *s = (float *)scratch + (int64_t)SCRATCH * i_part;
  part t = {
      .g = g,
      .packed = packed,
      .i0 = min_i(m_tile * i_row / n_row * BF16_MR, g->m),
      .i1 = min_i(m_tile * (i_row + 1) / n_row * BF16_MR, g->m),
      .j0 = min_i(n_tile * i_column / n_column * BF16_NR, g->n),
      .j1 = min_i(n_tile * (i_column + 1) / n_column * BF16_NR, g->n),
      .block_a = s,
      .rows = s + BLOCK_A,
      .block_b = s + BLOCK_A + ROWS,
      .tile = s + BLOCK_A + ROWS + BLOCK_B,
  };
  int64_t n_i = t.i1 - t.i0, n_panel = div_up(n_i, BF16_MR);
  if (n_i == 0 || t.j0 == t.j1)
    return;
  t.m_r = BF16_K == 32 ? min_i(BF16_MR, n_i) : div_up(n_i, n_panel);
  bf16_begin();
  if (n_panel <= 3 && n_panel * div_up(g->k, VK_GEMM_KC) <= N_PANEL_A)
    run_few_rows(&t, n_panel);
  else
    run_many_rows(&t);
  bf16_end();
}

#if VK_PATH_IS_BASE

size_t vk_gemm_bf16_packed_bytes(int64_t n, int64_t k)
{
  return 2 * (size_t)(round_up(n, VK_GEMM_PANEL) * round_up(k, K_PAD));
}

size_t vk_gemm_bf16_scratch_bytes(int n_part)
{
  return sizeof(float) * (size_t)SCRATCH * (size_t)n_part;
}

#define PATH(path)                                                                                 \
  extern vk_gemm_bf16_pack_fn vk_gemm_bf16_pack_##path;                                            \
  extern vk_gemm_bf16_run_fn vk_gemm_bf16_run_##path;                                              \
  extern vk_gemm_bf16_round_fn vk_gemm_bf16_round_##path;                                          \
  static const vk_gemm_bf16_path path_##path = {.name = #path,                                     \
                                                .pack = vk_gemm_bf16_pack_##path,                  \
                                                .run = vk_gemm_bf16_run_##path,                    \
                                                .round = vk_gemm_bf16_round_##path};
PATH(scalar)
#if defined(__x86_64__)
PATH(avx2)
PATH(avx512)
PATH(avx512bf16)
PATH(amx)
#endif

const vk_gemm_bf16_path *vk_gemm_bf16_path_of(vk_isa isa, const vk_cpu *cpu)
{
#if defined(__x86_64__)
  if (isa >= VK_ISA_AMX)
    return &path_amx;
  if (isa == VK_ISA_AVX512)
    return cpu->avx512_bf16 ? &path_avx512bf16 : &path_avx512;
  if (isa == VK_ISA_AVX2)
    return &path_avx2;
#endif
  return &path_scalar;
}

#endif
