/* gemm.h - products of f32 matrices: C[m, n] = epilogue(A[m, k] B[k, n]).
 *
 *   sum = A B                         blocks of VK_GEMM_KC along k; in each one chain of vf_fma in
 *                                     the order of k that begins at 0; the blocks' sums are added
 *   x = scale sum + bias              scale may not be 0
 *   pre = x                           when asked for: what the activation's gradient needs
 *   c = activation(x) + residual      or, for the backward pass, x activation'(pre) + residual
 *
 * Without an activation the residual is where the blocks' sums start: c = (residual + scale block 0
 * + scale block 1 ...) + bias. Then it may be c itself, which makes c += A B.
 *
 * Bits: on one path an element's bits depend on its row of A, its column of B, k and the epilogue
 * alone - not on m, n, its place, the number of parts, whether operands were packed or who packs.
 *
 * Kernels are compiled once a path; a kernel of a path calls VK_KERNEL(vk_gemm_run) and others get
 * the functions of a path from vk_gemm_path_of. No function allocates.
 * Test: tests/unit/test_gemm.c */
#ifndef VK_NN_GEMM_H
#define VK_NN_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/cpu.h"
#include "core/kernel_path.h"

enum {
  VK_GEMM_KC = 512,   /* of a change of this the bits change */
  VK_GEMM_PANEL = 32, /* columns of packed B are padded to a multiple, on every path */
};

typedef enum vk_gemm_act {
  VK_GEMM_ACT_NONE,
  VK_GEMM_ACT_GELU,      /* x Phi(x), by erf */
  VK_GEMM_ACT_GELU_GRAD, /* x times the slope of that at pre, which is read */
} vk_gemm_act;

/* Fills rows [i, i + n_i) and k [p, p + n_p) of A: out[r * stride + q] = A[i + r, p + q].
 * n_p <= VK_GEMM_KC. */
typedef void vk_gemm_fill_a(void *arg, int64_t i, int64_t n_i, int64_t p, int64_t n_p, float *out,
                            int64_t stride);
/* Fills k [p, p + n_p) and columns [j, j + n_j) of B: out[q * stride + r] = B[p + q, j + r].
 * n_p <= VK_GEMM_KC, n_j <= VK_GEMM_PANEL. */
typedef void vk_gemm_fill_b(void *arg, int64_t p, int64_t n_p, int64_t j, int64_t n_j, float *out,
                            int64_t stride);

/* Fills the same of A or B in bfloat16, for gemm_bf16.h. */
typedef void vk_gemm_fill_bf16(void *arg, int64_t i, int64_t n_i, int64_t p, int64_t n_p,
                               uint16_t *out, int64_t stride);

/* Zero means "not": a product needs m, n, k, one source for A, one for B, c and ldc. Leading
 * dimensions are distances of rows in items. m, n >= 0, k >= 1. */
typedef struct vk_gemm {
  int64_t m, n, k;
  const float *a; /* A[i, p] = a[i * lda + p], or a[p * lda + i] when a_trans */
  int64_t lda;
  const float *b; /* B[p, j] = b[p * ldb + j], or b[j * ldb + p] when b_trans: a layer's weights */
  int64_t ldb;
  bool a_trans, b_trans;
  const float *b_packed;  /* instead of b: from vk_gemm_pack of the same path */
  vk_gemm_fill_a *fill_a; /* instead of a */
  vk_gemm_fill_b *fill_b; /* instead of b */
  void *fill_a_arg, *fill_b_arg;
  float *c; /* [m, n] */
  int64_t ldc;
  float scale;       /* 0 means 1 */
  const float *bias; /* [n] */
  vk_gemm_act act;
  float *pre; /* [m, n], with an activation; not c */
  int64_t ldpre;
  const float *residual; /* [m, n]; with an activation not c, unless k <= VK_GEMM_KC */
  int64_t ldr;
  /* For products of gemm_bf16.h: */
  const uint16_t *a_bf16,
      *b_bf16; /* instead of a and b: numbers in bfloat16 that lie as those do */
  vk_gemm_fill_bf16 *fill_a_bf16, *fill_b_bf16; /* instead of a and b, with their args */
  uint16_t *c_bf16; /* instead of c: rounded when all is done; k <= VK_GEMM_KC */
} vk_gemm;

/* Bytes of a packed B, the same for every path. */
size_t vk_gemm_packed_bytes(int64_t n, int64_t k);

/* Bytes of scratch that n_part parts need together for products of up to n columns and k steps, on
 * every path; vk_gemm_run takes the start of all. packs_a: A is a_trans or from fill_a; packs_b: B
 * is not packed beforehand. */
size_t vk_gemm_scratch_bytes(int64_t n, int64_t k, bool packs_a, bool packs_b, int n_part);

/* Packs B of g (b or fill_b, n, k) into out, aligned to 64 bytes. */
typedef void vk_gemm_pack_fn(const vk_gemm *g, float *out);

/* Part i_part of n_part of the product: tiles of C that no other part touches, so parts may run at
 * the same time and in any order. scratch is aligned to 64 bytes. */
typedef void vk_gemm_run_fn(const vk_gemm *g, void *scratch, int i_part, int n_part);

/* n rounds of multiply-adds that wait for nothing: returns how many operations it did. What a
 * product's rate is compared with. */
typedef double vk_gemm_peak_fn(int64_t n);

vk_gemm_pack_fn VK_KERNEL(vk_gemm_pack);
vk_gemm_run_fn VK_KERNEL(vk_gemm_run);
vk_gemm_peak_fn VK_KERNEL(vk_gemm_peak);

typedef struct vk_gemm_path {
  vk_gemm_pack_fn *pack;
  vk_gemm_run_fn *run;
  vk_gemm_peak_fn *peak;
} vk_gemm_path;

/* The best path up to isa that the program has; never NULL. */
const vk_gemm_path *vk_gemm_path_of(vk_isa isa);

#endif
