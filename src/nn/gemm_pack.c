/* gemm_pack.c - parts of the operands of products in the order in which the inner loops read them.
 */
#include "nn/gemm_kernel.h"
#include "nn/transpose.h"

/* ---- B -----------------------------------------------------------------------------------------
 */

static void copy_rows(const float *in, int64_t ld, int64_t kc, int64_t n_j, float *out)
{
  if (n_j == GEMM_NR) {
    for (int64_t q = 0; q < kc; q++)
      for (int v = 0; v < GEMM_NV; v++)
        vf_store(out + q * GEMM_NR + v * VK_LANES, vf_load(in + q * ld + v * VK_LANES));
    return;
  }
  for (int64_t q = 0; q < kc; q++)
    for (int v = 0; v < GEMM_NV; v++) {
      int64_t rest = n_j - v * VK_LANES;
      int n = rest < 0 ? 0 : rest < VK_LANES ? (int)rest : VK_LANES;
      vf_store(out + q * GEMM_NR + v * VK_LANES,
               vf_load_n(in + q * ld + (n ? v * VK_LANES : 0), n));
    }
}

void gemm_pack_b(const vk_gemm *g, int64_t p, int64_t kc, int64_t j, int64_t n_j, float *out)
{
  if (g->fill_b) {
    if (n_j < GEMM_NR)
      memset(out, 0, sizeof *out * (size_t)(kc * GEMM_NR));
    g->fill_b(g->fill_b_arg, p, kc, j, n_j, out, GEMM_NR);
  } else if (g->b_trans) {
    for (int v = 0; v < GEMM_NV; v++) {
      int64_t at = v * VK_LANES, n_r = n_j - at;
      n_r = n_r < 0 ? 0 : n_r < VK_LANES ? n_r : VK_LANES;
      transpose_rows(g->b + (j + (n_r ? at : 0)) * g->ldb + p, g->ldb, n_r, kc, out + at, GEMM_NR);
    }
  } else {
    copy_rows(g->b + p * g->ldb + j, g->ldb, kc, n_j, out);
  }
}

void VK_KERNEL(vk_gemm_pack)(const vk_gemm *g, float *out)
{
  /* Panels that only fill up to VK_GEMM_PANEL are not read. */
  for (int64_t j = 0; j < g->n; j += GEMM_NR) {
    int64_t n_j = g->n - j < GEMM_NR ? g->n - j : GEMM_NR;
    for (int64_t p = 0; p < g->k; p += VK_GEMM_KC) {
      int64_t kc = g->k - p < VK_GEMM_KC ? g->k - p : VK_GEMM_KC;
      gemm_pack_b(g, p, kc, j, n_j, out + j * g->k + p * GEMM_NR);
    }
  }
}

/* ---- A -----------------------------------------------------------------------------------------
 */

/* Panels of columns, several at once: a row of a is read while its page is at hand. */
static void copy_columns(const float *in, int64_t ld, int64_t n_i, int64_t m_r, int64_t kc,
                         float *out)
{
  for (int64_t q = 0; q < kc; q++)
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

int64_t gemm_pack_a(const vk_gemm *g, int64_t i, int64_t n_i, int64_t m_r, int64_t p, int64_t kc,
                    float *out)
{
  if (g->a_trans && !g->fill_a) {
    copy_columns(g->a + p * g->lda + i, g->lda, n_i, m_r, kc, out);
    return GEMM_MR_PAD;
  }
  for (int64_t r = 0; r < n_i; r += m_r, out += GEMM_PANEL_A) {
    int64_t n = n_i - r < m_r ? n_i - r : m_r;
    if (g->fill_a)
      g->fill_a(g->fill_a_arg, i + r, n, p, kc, out, GEMM_SA);
    else
      for (int64_t e = 0; e < n; e++)
        memcpy(out + e * GEMM_SA, g->a + (i + r + e) * g->lda + p, sizeof *out * (size_t)kc);
  }
  return GEMM_SA;
}
