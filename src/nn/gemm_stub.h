/* gemm_stub.h - plain loops until gemm.h is there. Test: tests/unit/test_ops.c */
#ifndef VK_NN_GEMM_STUB_H
#define VK_NN_GEMM_STUB_H
#include "nn/op.h"
#include "nn/simd.h"
enum { VK_GEMM_ACT_NONE, VK_GEMM_ACT_GELU };
typedef struct vk_gemm {
  int64_t m, n, k;
  const float *a;
  int64_t lda;
  const float *b;
  int64_t ldb;
  bool a_trans, b_trans;
  const float *b_packed;
  float *c;
  int64_t ldc;
  const float *bias;
  int act;
  float *pre;
  int64_t ldpre;
  const float *residual;
  int64_t ldr;
} vk_gemm;
static inline size_t vk_gemm_scratch_bytes(int n_part)
{
  return 64;
}
static inline void VK_KERNEL(vk_gemm_run)(const vk_gemm *g, void *scratch, int i_part, int n_part)
{
  for (int64_t i = g->m * i_part / n_part; i < g->m * (i_part + 1) / n_part; i++)
    for (int64_t j = 0; j < g->n; j++) {
      float sum = 0;
      for (int64_t p = 0; p < g->k; p++)
        sum += g->a[g->a_trans ? p * g->lda + i : i * g->lda + p] *
               g->b[g->b_trans ? j * g->ldb + p : p * g->ldb + j];
      if (g->bias)
        sum += g->bias[j];
      if (g->pre)
        g->pre[i * g->ldpre + j] = sum;
      if (g->act)
        sum = sum * 0.5f * (1 + erff(sum * 0.70710678f));
      if (g->residual)
        sum += g->residual[i * g->ldr + j];
      g->c[i * g->ldc + j] = sum;
    }
}
#endif
