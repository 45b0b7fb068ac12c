/* gemm.h - products of matrices on a GPU, by cuBLASLt, which is opened when the first handle is
 * made. Matrices are row-major, as everywhere in vlakit.
 *
 * Test: tests/unit/test_cuda_gemm.c */
#ifndef VK_CUDA_GEMM_H
#define VK_CUDA_GEMM_H

#include <cuda_runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "core/err.h"
#include "nn/graph.h"

typedef struct vk_cuda_gemm vk_cuda_gemm;

/* One a stream. With its workspace, memory of the device that products use in turn.
 * Errors: VK_E_UNSUPPORTED (the library is not there, with what to install), VK_E_NOMEM,
 * VK_E_IO (what a call of the library returned). */
VK_NODISCARD vk_status vk_cuda_gemm_new(vk_cuda_gemm **out, vk_err *err);
void vk_cuda_gemm_free(vk_cuda_gemm *g);
/* Bytes of its workspace. */
size_t vk_cuda_gemm_bytes(const vk_cuda_gemm *g);

/* c[m, n] = op(a) op(b) + bias[n] + beta add; sums in f32.
 *   dtype  of both factors, F32 or BF16
 *   a  [m, k], or [k, m] with a_trans; b  [k, n], or [n, k] with b_trans
 *   lda, ldb, ldc  items from a row to the next
 *   c  c_dtype F32 or BF16
 *   beta  0 or 1; add  f32 [m, n], rows as far apart as c's, or NULL: c as it is before
 *   bias  f32, or NULL: nothing is added
 * With c in BF16 there is no bias and beta is 0. m, n and k are at least 1. Factors of f32 are
 * multiplied in f32, not in fewer bits. Matrices whose addresses and rows are multiples of 16 bytes
 * are multiplied fastest. */
typedef struct vk_cuda_product {
  int64_t m, n, k;
  vk_dtype dtype;
  const void *a, *b;
  int64_t lda, ldb, ldc;
  bool a_trans, b_trans;
  const float *bias;
  void *c;
  vk_dtype c_dtype;
  float beta;
  const float *add;
} vk_cuda_product;
/* Starts it on the stream. How, the library is asked once for a shape, where the number of rows (m,
 * or k with a_trans) counts to within a quarter. The first product of a shape may load kernels: it
 * is no part of a graph that is captured.
 * What it refuses, vk_cuda_gemm_plain computes. Its other errors: what the device was lost by;
 * cudaErrorMemoryAllocation; cudaErrorUnknown: neither. */
cudaError_t vk_cuda_gemm_run(vk_cuda_gemm *g, const vk_cuda_product *p, cudaStream_t stream);
/* Which call of the library made vk_cuda_gemm_run fail, and with what: "cublasLtMatmul [the GPU
 * program failed to execute]"; "": none since this was asked last. Returns text. */
const char *vk_cuda_gemm_take_failure(vk_cuda_gemm *g, char text[128]);
/* The first product that the library refused, once: "[300, 40] of 7 terms each in bf16". false:
 * none, or it was told. */
bool vk_cuda_gemm_take_refused(vk_cuda_gemm *g, char text[128]);
/* By a kernel of our own, which takes every product, slowly. */
cudaError_t vk_cuda_gemm_plain(const vk_cuda_product *p, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
