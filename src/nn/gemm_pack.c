/* gemm_pack.c - parts of the operands of products, in the order in which the inner loops read
 * them. */
#include "nn/gemm_kernel.h"
#include "nn/transpose.h"

/* ---- B -------------------------------------------------------------------------------------- */

/* How many rows ahead are asked for: rows may be pages apart, where no hardware looks ahead. */
enum { N_AHEAD = 8 };

VK_INLINE void ask_ahead(const float *at, int64_t n)
{
  for (int64_t e = 0; e < n; e += 16)
    __builtin_prefetch(at + e);
}

/* A row at a time, so that a page is left for good. */
static void copy_rows(const float *in, int64_t ld, int64_t kc, int64_t n_j, float *out,
                      int64_t panel)
{
  int64_t n_whole = n_j / GEMM_NR, rest = n_j % GEMM_NR;
  for (int64_t q = 0; q < kc; q++, in += ld, out += GEMM_NR) {
    ask_ahead(in + N_AHEAD * ld, n_j);
    for (int64_t i = 0; i < n_whole; i++)
      for (int v = 0; v < GEMM_NR; v += VK_LANES)
        vf_store(out + i * panel + v, vf_load(in + i * GEMM_NR + v));
    for (int v = 0; rest && v < GEMM_NR; v += VK_LANES) {
      int64_t n = rest - v < 0 ? 0 : rest - v < VK_LANES ? rest - v : VK_LANES;
      const float *from = in + n_whole * GEMM_NR + (n ? v : 0);
      vf_store(out + n_whole * panel + v, vf_load_n(from, (int)n));
    }
  }
}

static void pack_transposed(const vk_gemm *g, int64_t p, int64_t kc, int64_t j, int64_t n_j,
                            float *out)
{
  for (int v = 0; v < GEMM_NR; v += VK_LANES) {
    int64_t n = n_j - v < 0 ? 0 : n_j - v < VK_LANES ? n_j - v : VK_LANES;
    transpose_rows(g->b + (j + (n ? v : 0)) * g->ldb + p, g->ldb, n, kc, out + v, GEMM_NR);
  }
}

void gemm_pack_b(const vk_gemm *g, int64_t p, int64_t kc, int64_t j, int64_t j1, float *out,
                 int64_t panel)
{
  if (!g->fill_b && !g->b_trans) {
    copy_rows(g->b + p * g->ldb + j, g->ldb, kc, j1 - j, out, panel);
    return;
  }
  for (; j < j1; j += GEMM_NR, out += panel) {
    int64_t n_j = j1 - j < GEMM_NR ? j1 - j : GEMM_NR;
    if (!g->fill_b) {
      pack_transposed(g, p, kc, j, n_j, out);
      continue;
    }
    if (n_j < GEMM_NR)
      memset(out, 0, sizeof *out * (size_t)(kc * GEMM_NR));
    g->fill_b(g->fill_b_arg, p, kc, j, n_j, out, GEMM_NR);
  }
}

void VK_KERNEL(vk_gemm_pack)(const vk_gemm *g, float *out)
{
  /* Panels that only fill up to VK_GEMM_PANEL are not read. */
  for (int64_t j = 0; j < g->n; j += GEMM_NR)
    for (int64_t p = 0; p < g->k; p += VK_GEMM_KC) {
      int64_t kc = g->k - p < VK_GEMM_KC ? g->k - p : VK_GEMM_KC;
      int64_t j1 = g->n - j < GEMM_NR ? g->n : j + GEMM_NR;
      gemm_pack_b(g, p, kc, j, j1, out + j * g->k + p * GEMM_NR, 0);
    }
}

/* ---- A -------------------------------------------------------------------------------------- */

/* Panels of columns, several at once: a row of a is read while its page is at hand. */
static void copy_columns(const float *in, int64_t ld, int64_t n_i, int64_t m_r, int64_t kc,
                         float *out)
{
  for (int64_t q = 0; q < kc; q++) {
    ask_ahead(in + (q + N_AHEAD) * ld, n_i);
    for (int64_t r = 0, i = 0; i < n_i; i += m_r, r++) {
      const float *from = in + q * ld + i;
      float *to = out + r * GEMM_PANEL_A + q * GEMM_MR_PAD;
      int n = n_i - i < m_r ? (int)(n_i - i) : (int)m_r;
      if ((int)GEMM_MR_PAD == (int)VK_LANES)
        vf_store(to, vf_load_n(from, n));
      else
        for (int e = 0; e < n; e++)
          to[e] = from[e];
    }
  }
}

int64_t gemm_pack_a(const vk_gemm *g, int64_t i, int64_t n_i, int64_t m_r, int64_t p, int64_t kc,
                    float *out)
{
  if (g->a_trans && !g->fill_a) {
    copy_columns(g->a + p * g->lda + i, g->lda, n_i, m_r, kc, out);
    return GEMM_MR_PAD;
  }
  for (int64_t r = 0; r < n_i; r += m_r, out += GEMM_PANEL_A) {
    int64_t n = n_i - r < m_r ? n_i - r : m_r;
    g->fill_a(g->fill_a_arg, i + r, n, p, kc, out, GEMM_SA);
  }
  return GEMM_SA;
}
