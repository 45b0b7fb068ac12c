/* round.h - factors of products as bfloat16: matrices rounded into scratch, with rows whose length
 * is a multiple of 8 items, which the library's fast kernels need, and zeros in what is added.
 *
 * Test: tests/unit/test_cuda_ops.c */
#ifndef VK_CUDA_ROUND_H
#define VK_CUDA_ROUND_H

#include "cuda/lanes.h"

/* Bytes of scratch that a product is given at once, so that they are still in the cache (50 MB on
 * an H100) when it reads them. Tests set few, so that small matrices come in chunks too. */
#if !defined(VK_PRODUCT_CHUNK)
#define VK_PRODUCT_CHUNK (24 << 20)
#endif

enum {
  VK_ROUND_TO = 8, /* items of bf16 that are 16 bytes */
  VK_SCRATCH_ALIGN = 256,
};

static inline int64_t vk_round_up(int64_t n, int64_t to)
{
  return (n + to - 1) / to * to;
}

/* Rows of so many bytes that a chunk has. */
static inline int64_t vk_chunk_rows(int64_t n_row, int64_t row_bytes)
{
  int64_t n = row_bytes > 0 ? VK_PRODUCT_CHUNK / row_bytes : n_row;
  n = n < 1 << 17 ? n : 1 << 17;   /* some products of more rows have failed in the library */
  n = n > 128 ? n / 128 * 128 : n; /* whole tiles of a product */
  n = n < n_row ? n : n_row;
  return n > 1 ? n : 1;
}

/* Where the next n bytes of scratch lie; *used grows. */
static inline size_t vk_scratch_put(size_t *used, int64_t n)
{
  size_t at = *used;
  *used += (size_t)vk_round_up(n, VK_SCRATCH_ALIGN);
  return at;
}

/* A matrix in f32 and where it goes. */
typedef struct vk_rounding {
  const float *from; /* [n_row, n_col] */
  uint16_t *to;      /* [n_row_to, ld], ld = n_col rounded up */
  int64_t n_row, n_col, n_row_to;
} vk_rounding;

static inline vk_rounding vk_rounding_of(const float *from, uint16_t *to, int64_t n_row,
                                         int64_t n_col)
{
  vk_rounding r;
  r.from = from;
  r.to = to;
  r.n_row = r.n_row_to = n_row;
  r.n_col = n_col;
  if (n_col % VK_ROUND_TO == 0) { /* one long row */
    r.n_col = n_row * n_col;
    r.n_row = r.n_row_to = 1;
  }
  return r;
}

/* 8 items a thread. */
static __device__ __forceinline__ void vk_round_group(vk_rounding r, int64_t group)
{
  int64_t n_group = (r.n_col + VK_ROUND_TO - 1) / VK_ROUND_TO;
  int64_t row = r.n_row_to > 1 ? group / n_group : 0;
  int64_t col = (group - row * n_group) * VK_ROUND_TO;
  const float *from = r.from + row * r.n_col + col;
  vk_lanes_bf16<VK_ROUND_TO> out;
  if (r.n_col % VK_ROUND_TO == 0 && row < r.n_row) {
    vk_lanes<4> a = vk_lanes_load<4>(from), b = vk_lanes_load<4>(from + 4);
#pragma unroll
    for (int v = 0; v < 4; v++) {
      out.x[v] = vk_bf16_of(a.x[v]);
      out.x[v + 4] = vk_bf16_of(b.x[v]);
    }
  } else {
#pragma unroll
    for (int v = 0; v < VK_ROUND_TO; v++)
      out.x[v] = row < r.n_row && col + v < r.n_col ? vk_bf16_of(from[v]) : (uint16_t)0;
  }
  *(vk_lanes_bf16<VK_ROUND_TO> *)(r.to + group * VK_ROUND_TO) = out;
}

/* Both of them, a row of blocks each; the second may have no rows. */
static __global__ void vk_round_kernel(vk_rounding r0, vk_rounding r1)
{
  vk_rounding r = blockIdx.y ? r1 : r0;
  VK_EACH(i, r.n_row_to * ((r.n_col + VK_ROUND_TO - 1) / VK_ROUND_TO))
  {
    vk_round_group(r, i);
  }
}

static inline cudaError_t vk_round(vk_rounding r0, vk_rounding r1, cudaStream_t stream)
{
  int64_t n0 = r0.n_row_to * vk_round_up(r0.n_col, VK_ROUND_TO) / VK_ROUND_TO;
  int64_t n1 = r1.n_row_to * vk_round_up(r1.n_col, VK_ROUND_TO) / VK_ROUND_TO;
  if (n0 == 0 && n1 == 0)
    return cudaSuccess;
  dim3 grid(vk_grid_stride(n0 > n1 ? n0 : n1), n1 > 0 ? 2 : 1);
  return vk_launch(vk_round_kernel, grid, dim3(VK_BLOCK), 0, stream, r0, r1);
}

#endif
