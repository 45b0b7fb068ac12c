/* gemm_plain.cu - products of matrices without the library: for those that it refuses. Tiles of
 * both factors go through shared memory; sums are f32, in order. */
#include "cuda/gemm.h"
#include "cuda/kernel.h"

enum { TILE = 16 };

/* Item (row, col) of a factor, zero outside. */
static __device__ __forceinline__ float item(const void *x, vk_dtype dtype, int64_t ld, int64_t row,
                                             int64_t n_row, int64_t col, int64_t n_col)
{
  return row < n_row && col < n_col ? vk_load(x, dtype, row * ld + col) : 0;
}

/* A block a tile of c. */
static __global__ void multiply(vk_cuda_product p, int64_t n_tile_col)
{
  __shared__ float a[TILE][TILE + 1], b[TILE][TILE + 1];
  const int x = threadIdx.x % TILE, y = threadIdx.x / TILE;
  const int64_t row0 = blockIdx.x / n_tile_col * TILE, col0 = blockIdx.x % n_tile_col * TILE;
  float sum = 0;
  for (int64_t k0 = 0; k0 < p.k; k0 += TILE) {
    a[y][x] = p.a_trans ? item(p.a, p.dtype, p.lda, k0 + x, p.k, row0 + y, p.m)
                        : item(p.a, p.dtype, p.lda, row0 + y, p.m, k0 + x, p.k);
    b[y][x] = p.b_trans ? item(p.b, p.dtype, p.ldb, col0 + x, p.n, k0 + y, p.k)
                        : item(p.b, p.dtype, p.ldb, k0 + y, p.k, col0 + x, p.n);
    __syncthreads();
    for (int k = 0; k < TILE; k++)
      sum = fmaf(a[y][k], b[k][x], sum);
    __syncthreads();
  }
  const int64_t row = row0 + y, col = col0 + x, i = row * p.ldc + col;
  if (row >= p.m || col >= p.n)
    return;
  if (p.bias)
    sum += p.bias[col];
  if (p.beta != 0)
    sum += p.add ? p.add[i] : ((const float *)p.c)[i];
  vk_store(p.c, p.c_dtype, i, sum);
}

extern "C" cudaError_t vk_cuda_gemm_plain(const vk_cuda_product *p, cudaStream_t stream)
{
  int64_t n_col = (p->n + TILE - 1) / TILE, n_tile = (p->m + TILE - 1) / TILE * n_col;
  if (n_tile >= (int64_t)1 << 31)
    return cudaErrorNotSupported;
  return vk_launch(multiply, dim3((unsigned)n_tile), dim3(TILE * TILE), 0, stream, *p, n_col);
}
