/* gemm_pack.c - parts of the operands of products in the order in which the inner loops read them.
 */
#include "nn/gemm_kernel.h"

/* ---- transposing a square of VK_LANES x VK_LANES ----------------------------------------------
 */

#if defined(__AVX512F__)

VK_INLINE void transpose(vf x[VK_LANES])
{
  vf y[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 2) {
    y[i] = _mm512_unpacklo_ps(x[i], x[i + 1]);
    y[i + 1] = _mm512_unpackhi_ps(x[i], x[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 16; i += 4) {
    x[i] = (vf)_mm512_unpacklo_pd((__m512d)y[i], (__m512d)y[i + 2]);
    x[i + 1] = (vf)_mm512_unpackhi_pd((__m512d)y[i], (__m512d)y[i + 2]);
    x[i + 2] = (vf)_mm512_unpacklo_pd((__m512d)y[i + 1], (__m512d)y[i + 3]);
    x[i + 3] = (vf)_mm512_unpackhi_pd((__m512d)y[i + 1], (__m512d)y[i + 3]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 4; i++) {
    y[i] = _mm512_shuffle_f32x4(x[i], x[i + 4], 0x88);
    y[i + 4] = _mm512_shuffle_f32x4(x[i], x[i + 4], 0xdd);
    y[i + 8] = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0x88);
    y[i + 12] = _mm512_shuffle_f32x4(x[i + 8], x[i + 12], 0xdd);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 8; i++) {
    x[i] = _mm512_shuffle_f32x4(y[i], y[i + 8], 0x88);
    x[i + 8] = _mm512_shuffle_f32x4(y[i], y[i + 8], 0xdd);
  }
}

#elif defined(__AVX2__)

VK_INLINE void transpose(vf x[VK_LANES])
{
  vf y[8];
#pragma GCC unroll 16
  for (int i = 0; i < 8; i += 2) {
    y[i] = _mm256_unpacklo_ps(x[i], x[i + 1]);
    y[i + 1] = _mm256_unpackhi_ps(x[i], x[i + 1]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 8; i += 4) {
    x[i] = (vf)_mm256_unpacklo_pd((__m256d)y[i], (__m256d)y[i + 2]);
    x[i + 1] = (vf)_mm256_unpackhi_pd((__m256d)y[i], (__m256d)y[i + 2]);
    x[i + 2] = (vf)_mm256_unpacklo_pd((__m256d)y[i + 1], (__m256d)y[i + 3]);
    x[i + 3] = (vf)_mm256_unpackhi_pd((__m256d)y[i + 1], (__m256d)y[i + 3]);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 4; i++) {
    y[i] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x20);
    y[i + 4] = _mm256_permute2f128_ps(x[i], x[i + 4], 0x31);
  }
#pragma GCC unroll 16
  for (int i = 0; i < 8; i++)
    x[i] = y[i];
}

#else

VK_INLINE void transpose(vf x[VK_LANES])
{
}

#endif

/* out[q * ld_out + r] = in[r * ld_in + q] for r < n_r <= VK_LANES and q < n_q; zero for the other r
 * up to VK_LANES. */
static void transpose_rows(const float *in, int64_t ld_in, int64_t n_r, int64_t n_q, float *out,
                           int64_t ld_out)
{
  vf x[VK_LANES];
  int64_t q = 0;
  for (; n_r == VK_LANES && q + VK_LANES <= n_q; q += VK_LANES) {
#pragma GCC unroll 16
    for (int r = 0; r < VK_LANES; r++)
      x[r] = vf_load(in + r * ld_in + q);
    transpose(x);
#pragma GCC unroll 16
    for (int r = 0; r < VK_LANES; r++)
      vf_store(out + (q + r) * ld_out, x[r]);
  }
  for (; q < n_q; q += VK_LANES) {
    int n = n_q - q < VK_LANES ? (int)(n_q - q) : VK_LANES;
    for (int r = 0; r < VK_LANES; r++)
      x[r] = r < n_r ? vf_load_n(in + r * ld_in + q, n) : vf_zero();
    transpose(x);
    for (int r = 0; r < n; r++)
      vf_store(out + (q + r) * ld_out, x[r]);
  }
}

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
