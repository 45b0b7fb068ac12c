/* rows.h - arithmetic on a row of floats, for kernels. Test: tests/unit/test_ops.c */
#ifndef VK_NN_ROWS_H
#define VK_NN_ROWS_H

#include "nn/simd.h"

/* y = a x; y may be x */
VK_INLINE void row_scale(int64_t n, float a, const float *x, float *y)
{
  int64_t j = 0;
  for (; j + VK_LANES <= n; j += VK_LANES)
    vf_store(y + j, vf_set1(a) * vf_load(x + j));
  if (j < n)
    vf_store_n(y + j, vf_set1(a) * vf_load_n(x + j, (int)(n - j)), (int)(n - j));
}

/* y += a x */
VK_INLINE void row_add_scaled(int64_t n, float a, const float *x, float *y)
{
  int64_t j = 0;
  for (; j + VK_LANES <= n; j += VK_LANES)
    vf_store(y + j, vf_fma(vf_set1(a), vf_load(x + j), vf_load(y + j)));
  if (j < n) {
    int m = (int)(n - j);
    vf_store_n(y + j, vf_fma(vf_set1(a), vf_load_n(x + j, m), vf_load_n(y + j, m)), m);
  }
}

VK_INLINE void row_zero(int64_t n, float *y)
{
  memset(y, 0, (size_t)n * sizeof *y);
}

#endif
