/* gemm_bf16.c - products in bfloat16: which tiles a part computes in what order. See gemm.c. */
#include "nn/gemm_bf16.h"

#include "core/err.h"
#include "nn/gemm_bf16_kernel.h"

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

void VK_KERNEL(vk_gemm_bf16_pack)(const vk_gemm *g, void *out)
{
  bf16_pack_b(g, 0, g->k, 0, g->n, out, round_up(g->k, K_PAD) / 2 * BF16_NR);
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
  bf16_pack_b(g, p, b.kc, j, j1, t->block_b, b.panel);
  return b;
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
    bf16_pack_a(g, t->m_r, t->i0, n_i, p, min_i(VK_GEMM_KC, g->k - p), t->rows,
                t->block_a + s * n_panel * BF16_PANEL_A);
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
        bf16_pack_a(g, t->m_r, i, n_i, p, b.kc, t->rows, t->block_a);
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
  VK_ASSERT(g->k >= 1 && g->m >= 0 && g->n >= 0);
  VK_ASSERT(packed || g->b || g->b_bf16 || g->fill_b || g->fill_b_bf16);
  VK_ASSERT(!g->c_bf16 || g->k <= VK_GEMM_KC);
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
