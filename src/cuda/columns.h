/* columns.h - sums of the columns of a matrix: gradients of what all rows share.
 *
 * Test: tests/unit/test_cuda_ops.c */
#ifndef VK_CUDA_COLUMNS_H
#define VK_CUDA_COLUMNS_H

#include "cuda/op.h"

/* y[j] = sum over i of x[i ld + j], for m rows of n columns; zeros for no rows.
 *   ld    a multiple of 4 if n is one
 *   part  scratch of vk_cuda_columns_bytes, so that rows are added in parts and these then; NULL:
 *         there are few rows, a thousand or so
 * Returns what a launch returned. */
cudaError_t vk_cuda_columns(const float *x, int64_t m, int64_t n, int64_t ld, float *y, float *part,
                            cudaStream_t stream);
/* Bytes for m rows, or fewer, of n columns. */
size_t vk_cuda_columns_bytes(int64_t m, int64_t n);

#endif
