/* transpose.h - rows to columns, VK_LANES at a time, for kernels. Test: tests/unit/test_gemm.c */
#ifndef VK_NN_TRANSPOSE_H
#define VK_NN_TRANSPOSE_H

#include "nn/simd.h"

/* A square of VK_LANES x VK_LANES. */

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
VK_INLINE void transpose_rows(const float *in, int64_t ld_in, int64_t n_r, int64_t n_q, float *out,
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

#endif
