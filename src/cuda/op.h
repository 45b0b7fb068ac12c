/* op.h - what an op is on a GPU: a function that starts the kernels of one node on a stream, and
 * the bytes of scratch that they share. Files op_*.cu hold them, by family; op_list.h has a line
 * for each, and names are those of nn/op_list.h.
 *
 * Such a function starts kernels and nothing else: it allocates nothing, waits for nothing and
 * reads nothing of the device, so that a graph of the whole run can be captured from it. What a
 * kernel adds up, it adds in an order that follows from the shapes: no atomic floats. A value with
 * no rows in this run has no items: a grid of no blocks is an error of CUDA's, so such launches are
 * left out, and outputs of gradients over no rows are zeros.
 *
 * Test: tests/unit/test_cuda_ops.c */
#ifndef VK_CUDA_OP_H
#define VK_CUDA_OP_H

#include <cuda_runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "nn/op.h"

typedef struct vk_cuda_gemm vk_cuda_gemm;

typedef struct vk_cuda_call {
  const vk_op_call *op; /* attributes and the shapes of this run; data and scratch of the device */
  cudaStream_t stream;
  vk_cuda_gemm *gemm; /* products of matrices: gemm.h */
} vk_cuda_call;

/* cudaSuccess, or what a launch returned. */
typedef cudaError_t vk_cuda_run(const vk_cuda_call *c);
/* Bytes at the call's shapes, which are those of the capacity; data is NULL. */
typedef size_t vk_cuda_scratch(const vk_op_call *op);

typedef struct vk_cuda_op {
  const vk_op_def *op;
  vk_cuda_run *run;
  vk_cuda_scratch *scratch; /* NULL: none */
} vk_cuda_op;

/* NULL when there is no kernel for the op. */
const vk_cuda_op *vk_cuda_op_find(const vk_op_def *op);

#define VK_CUDA_OP(name) vk_cuda_run vk_cuda_run_##name;
#define VK_CUDA_OP_SCRATCH(name)                                                                   \
  vk_cuda_run vk_cuda_run_##name;                                                                  \
  vk_cuda_scratch vk_cuda_scratch_##name;
#include "cuda/op_list.h"
#undef VK_CUDA_OP
#undef VK_CUDA_OP_SCRATCH

#ifdef __cplusplus
}
#endif

#endif
