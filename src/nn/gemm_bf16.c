/* gemm_bf16.c - products with weights in bfloat16: packing, and which tiles a part computes in what
 * order. See gemm.c. */
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
  TILE = 2048,
  SCRATCH = BLOCK_A + ROWS + TILE,
};
_Static_assert((int)N_PANEL_A *(int)BF16_PANEL_A <= (int)BLOCK_A, "scratch for A");
_Static_assert((int)BF16_ROWS <= 32, "scratch for rows");

typedef struct part {
  const vk_gemm *g;
  const float *packed;
  int64_t i0, i1, j0, j1;
  int64_t m_r; /* rows of a panel of A */
  float *block_a, *rows, *tile;
} part;

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

/* ---- B -----------------------------------------------------------------------------------------
 */

enum { N_P = 64 }; /* rows that are packed in f32, then rounded */

/* Rows 2 q and 2 q + 1 of n_p rows in panels of gemm.h become one row of pairs; a row that is
 * missing is zeros. */
static void pair_rows(const float *in, int64_t n_p, float *out)
{
  const vi upper = vi_set1((int32_t)0xffff0000u);
  for (int64_t p = 0; p < n_p; p += 2)
    for (int v = 0; v < BF16_NR; v += VK_LANES, out += VK_LANES) {
      const float *at = in + v / GEMM_NR * N_P * GEMM_NR + p * GEMM_NR + v % GEMM_NR;
      vf low = vf_load(at), high = p + 1 < n_p ? vf_load(at + GEMM_NR) : vf_zero();
      vu word = ((vu)vf_round_bf16(low) >> 16) | (vu)(vf_round_bf16(high) & upper);
      vf_store(out, vf_from_bits((vi)word));
    }
}

void VK_KERNEL(vk_gemm_bf16_pack)(const vk_gemm *g, void *out)
{
  _Alignas(64) float rows[N_P * BF16_NR];
  int64_t panel = round_up(g->k, K_PAD) / 2 * BF16_NR, used = div_up(g->k, 2) * BF16_NR;
  for (int64_t j = 0; j < g->n; j += BF16_NR) {
    float *to = (float *)out + j / BF16_NR * panel;
    int64_t j1 = min_i(j + BF16_NR, g->n);
    if (j1 < j + BF16_NR) /* whole panels may be missing at the right */
      memset(rows, 0, sizeof rows);
    for (int64_t p = 0; p < g->k; p += N_P) {
      int64_t n_p = min_i(N_P, g->k - p);
      gemm_pack_b(g, p, n_p, j, j1, rows, N_P * GEMM_NR);
      pair_rows(rows, n_p, to + p / 2 * BF16_NR);
    }
    memset(to + used, 0, sizeof *to * (size_t)(panel - used));
  }
}

/* ---- A -----------------------------------------------------------------------------------------
 */

/* n numbers, rounded, and zeros up to n_pad */
static void round_row(const float *in, int64_t n, int64_t n_pad, float *out)
{
#if defined(__AVX512BF16__) || defined(__AMX_BF16__) || VK_AMX_EMULATED
  uint16_t *to = (uint16_t *)(void *)out;
  int64_t e = 0;
  for (; e + VK_LANES <= n; e += VK_LANES)
    vf_store_bf16(to + e, vf_load(in + e));
  vf_store_bf16_n(to + e, vf_load_n(in + e, (int)(n - e)), (int)(n - e));
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

/* Rows i to i + n_i and k p to p + kc, in panels. */
static void pack_a(const part *t, int64_t i, int64_t n_i, int64_t p, int64_t kc, float *out)
{
  const vk_gemm *g = t->g;
  int64_t n_pad = round_up(kc, BF16_K);
  for (int64_t r = 0; r < n_i; r += t->m_r, out += BF16_PANEL_A) {
    int64_t n = min_i(t->m_r, n_i - r), ld = g->lda;
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

/* ---- tiles -------------------------------------------------------------------------------------
 */

/* Columns j to j1 of the block along k at p, with n_i rows from i that lie packed at a. */
static void run_block(const part *t, const float *a, int64_t i, int64_t n_i, int64_t p, int64_t j0,
                      int64_t j1)
{
  const vk_gemm *g = t->g;
  int64_t kc = min_i(VK_GEMM_KC, g->k - p), panel = round_up(g->k, K_PAD) / 2 * BF16_NR;
  const float *b0 = t->packed + j0 / BF16_NR * panel + p / 2 * BF16_NR;
  for (int64_t r = 0; r < n_i; r += t->m_r, a += BF16_PANEL_A) {
    int64_t m_r = min_i(t->m_r, n_i - r);
    const float *b = b0;
    for (int64_t j = j0; j < j1;) {
      int w = bf16_width(m_r, div_up(j1 - j, BF16_NR));
      int64_t n_j = BF16_NR << w;
      gemm_ask_for_c(g, i + r, m_r, j, p == 0);
      bf16_tile(m_r, w, round_up(kc, BF16_K), a, b, panel, t->tile);
      gemm_finish(g, t->tile, n_j, i + r, m_r, j, min_i(n_j, j1 - j), p == 0, p + kc == g->k);
      j += n_j;
      b += panel << w;
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
    for (int64_t p = 0, s = 0; p < g->k; p += VK_GEMM_KC, s++)
      run_block(t, t->block_a + s * n_panel * BF16_PANEL_A, t->i0, n_i, p, j,
                min_i(j + n_group, t->j1));
}

static void run_many_rows(const part *t)
{
  const vk_gemm *g = t->g;
  int64_t mc = N_PANEL_A * t->m_r;
  for (int64_t j = t->j0; j < t->j1; j += NC)
    for (int64_t p = 0; p < g->k; p += VK_GEMM_KC)
      for (int64_t i = t->i0; i < t->i1; i += mc) {
        int64_t n_i = min_i(mc, t->i1 - i);
        pack_a(t, i, n_i, p, min_i(VK_GEMM_KC, g->k - p), t->block_a);
        run_block(t, t->block_a, i, n_i, p, j, min_i(j + NC, t->j1));
      }
}

/* Splits C into n_row x n_column parts so that the dearest part is cheap. A number of A that a part
 * packs costs about as much as 16 multiply-adds. */
static void choose_grid(const vk_gemm *g, int n_part, int *n_row, int *n_column)
{
  int64_t m_tile = div_up(g->m, BF16_MR), n_tile = div_up(g->n, BF16_NR), best = INT64_MAX;
  for (int r = 1; r <= n_part; r++) {
    if (n_part % r != 0)
      continue;
    int64_t m = min_i(div_up(m_tile, r) * BF16_MR, g->m);
    int64_t n = div_up(n_tile, n_part / r) * BF16_NR;
    int64_t cost = m * n + 16 * m * div_up(n, NC);
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
  VK_ASSERT(g->k >= 1 && g->m >= 0 && g->n >= 0 && !g->a_trans);
  VK_ASSERT(g->act == VK_GEMM_ACT_NONE || g->residual != g->c || g->k <= VK_GEMM_KC);
  int n_row = 1, n_column = 1;
  choose_grid(g, n_part, &n_row, &n_column);
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
      .tile = s + BLOCK_A + ROWS,
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
  static const vk_gemm_bf16_path path_##path = {                                                   \
      .name = #path, .pack = vk_gemm_bf16_pack_##path, .run = vk_gemm_bf16_run_##path};
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
