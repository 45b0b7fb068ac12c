/* simd_ops.h - functions of nn/simd.h over arrays, for test_simd.c. A table is compiled for each
 * path (simd_ops.c). Arrays end with a part of a vector: the _n forms take it. */
#ifndef VK_SIMD_OPS_H
#define VK_SIMD_OPS_H

#include <stdint.h>

typedef void simd_map_fn(float *out, const float *x, int n);
typedef struct simd_ops {
  int n_lane;
  simd_map_fn *exp, *log, *erf, *gelu, *gelu_gradient, *sqrt, *abs, *neg, *round;
  /* of two vectors, x and y */
  void (*min)(float *out, const float *x, const float *y, int n);
  void (*max)(float *out, const float *x, const float *y, int n);
  void (*copysign)(float *out, const float *x, const float *y, int n);
  /* x where x < y and not x != x, or y == 0; else y */
  void (*choose)(float *out, const float *x, const float *y, int n);
  void (*fma)(float *out, const float *x, const float *y, const float *z, int n);
  float (*sum)(const float *x);  /* of n_lane */
  float (*hmax)(const float *x); /* of n_lane */
  void (*from_bf16)(float *out, const uint16_t *x, int n);
  void (*to_bf16)(uint16_t *out, const float *x, int n);
} simd_ops;

extern const simd_ops simd_ops_scalar, simd_ops_avx2, simd_ops_avx512;

#endif
