/* lanes.h - threads of a block that go through rows of floats: each takes V neighbouring columns at
 * once, 4 where rows are a multiple of 4 long (data is aligned to 64 bytes), else 1.
 *
 *   thread = row * n_col + col, row < n_row; those beyond n_row rows have nothing to do
 *
 * Test: tests/unit/test_cuda_ops.c */
#ifndef VK_CUDA_LANES_H
#define VK_CUDA_LANES_H

#include "cuda/kernel.h"

/* V neighbouring items. */
template <int V> struct alignas(V * sizeof(float)) vk_lanes {
  float x[V];
};

/* The same in bf16. */
template <int V> struct alignas(V * sizeof(uint16_t)) vk_lanes_bf16 {
  uint16_t x[V];
};

/* Zeros. */
template <int V> static __device__ __forceinline__ vk_lanes<V> vk_lanes_zero(void)
{
  vk_lanes<V> a;
#pragma unroll
  for (int v = 0; v < V; v++)
    a.x[v] = 0;
  return a;
}

/* From and to memory that is aligned to V items. */
template <int V> static __device__ __forceinline__ vk_lanes<V> vk_lanes_load(const float *from)
{
  return *(const vk_lanes<V> *)from;
}
/* The way back. */
template <int V> static __device__ __forceinline__ void vk_lanes_store(float *to, vk_lanes<V> a)
{
  *(vk_lanes<V> *)to = a;
}

/* Items from i on of a value in f32 or bf16. */
template <int V>
static __device__ __forceinline__ void vk_lanes_store_as(void *data, vk_dtype dtype, int64_t i,
                                                         vk_lanes<V> a)
{
  if (dtype != VK_BF16) {
    vk_lanes_store<V>((float *)data + i, a);
    return;
  }
  vk_lanes_bf16<V> b;
#pragma unroll
  for (int v = 0; v < V; v++)
    b.x[v] = vk_bf16_of(a.x[v]);
  *(vk_lanes_bf16<V> *)((uint16_t *)data + i) = b;
}

/* sum += scale * a */
template <int V>
static __device__ __forceinline__ void vk_lanes_add(vk_lanes<V> *sum, float scale, vk_lanes<V> a)
{
#pragma unroll
  for (int v = 0; v < V; v++)
    sum->x[v] = fmaf(scale, a.x[v], sum->x[v]);
}

/* How threads lie over rows of n vectors. Rows of more vectors than threads are gone through in
 * steps of n_col. */
typedef struct vk_thread_rows {
  int n_col, n_row;
} vk_thread_rows;

static inline vk_thread_rows vk_thread_rows_of(int64_t n, int n_thread)
{
  int n_col = n < n_thread ? (int)n : n_thread;
  return {n_col, n_thread / n_col};
}

/* y [d], this thread's columns of it: the mean of the rows first to last of x, or with NAMED of
 * those that id names there; 0 of none. */
template <int V, bool NAMED, typename I>
static __device__ __forceinline__ void vk_lanes_mean(float *y, const float *x, const int32_t *id,
                                                     I first, I last, int64_t d,
                                                     vk_thread_rows threads)
{
  float scale = last > first ? 1.0f / (float)(last - first) : 0;
  for (int64_t j = threadIdx.x % threads.n_col * V; j < d; j += threads.n_col * V) {
    vk_lanes<V> sum = vk_lanes_zero<V>(), mean = vk_lanes_zero<V>();
#pragma unroll 4
    for (I i = first; i < last; i++)
      vk_lanes_add<V>(&sum, 1, vk_lanes_load<V>(x + (NAMED ? id[i] : i) * d + j));
    vk_lanes_add<V>(&mean, scale, sum);
    vk_lanes_store<V>(y + j, mean);
  }
}

/* Adds up what the rows of a block's threads (N at most) hold. Item k of what is returned, shared
 * memory until the next call, is the sum of column k, k < n_col * V. Threads beyond n_row rows
 * come with anything. */
template <int V, int N>
static __device__ __forceinline__ const float *vk_lanes_sum_rows(vk_lanes<V> a, int n_col,
                                                                 int n_row)
{
  __shared__ float part[N * V];
  int n = n_col * V;
  __syncthreads();
#pragma unroll
  for (int v = 0; v < V; v++)
    part[threadIdx.x * V + v] = a.x[v];
  __syncthreads();
  for (int k = (int)threadIdx.x; k < n; k += (int)blockDim.x) {
    float sum = 0;
    for (int r = 0; r < n_row; r++)
      sum += part[r * n + k];
    part[k] = sum;
  }
  __syncthreads();
  return part;
}

#endif
