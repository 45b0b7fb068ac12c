/* kernel.h - what the kernels of the op_*.cu share: launches, sums over a block, bfloat16.
 *
 * Kernels are C but for templates, and take what they need by value. All threads of a block reach
 * every barrier; a sum over a block is one too. A kernel's source compiles as C++ as well, where
 * tests/emulated stands in for the GPU: launches go through vk_launch, never through <<<>>>, and
 * shared memory of a size that the launch says through VK_SHARED.
 *
 * Test: tests/unit/test_cuda_ops.c */
#ifndef VK_CUDA_KERNEL_H
#define VK_CUDA_KERNEL_H

#include <math.h>
#include <stdint.h>

#include "cuda/op.h"

#if defined(__CUDACC__)
/* The memory whose size in bytes the launch says, as an array of type: one a kernel. */
#define VK_SHARED(type, name)                                                                      \
  extern __shared__ __align__(16) unsigned char vk_shared_bytes[];                                 \
  type *name = (type *)vk_shared_bytes

/* Starts kernel(args...). Returns what the launch did. */
template <typename... P, typename... A>
static inline cudaError_t vk_launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared,
                                    cudaStream_t stream, A... args)
{
  kernel<<<grid, block, shared, stream>>>((P)args...);
  return cudaGetLastError();
}
#else
#include "emulated/launch.h"
#endif

#define VK_CUDA_TRY(call)                                                                          \
  do {                                                                                             \
    cudaError_t vk_cuda_status_ = (call);                                                          \
    if (vk_cuda_status_ != cudaSuccess)                                                            \
      return vk_cuda_status_;                                                                      \
  } while (0)

enum {
  VK_WARP = 32,
  VK_BLOCK = 256, /* threads of a block, where nothing speaks for another number */
};

/* Blocks for n items, per a block; 2^31 - 1 at most, which kernels that stride through their items
 * never need: they take vk_grid_stride. */
static inline unsigned vk_grid(int64_t n, int64_t per)
{
  return (unsigned)((n + per - 1) / per);
}

/* Blocks of a kernel that goes through n items in strides of the whole grid. */
static inline unsigned vk_grid_stride(int64_t n)
{
  int64_t grid = (n + VK_BLOCK - 1) / VK_BLOCK;
  return (unsigned)(grid < 1 << 16 ? grid : 1 << 16);
}

/* for (int64_t i : this thread's items of n), in a kernel started with vk_grid_stride */
#define VK_EACH(i, n)                                                                              \
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n);                        \
       i += (int64_t)gridDim.x * blockDim.x)

/* ---- sums: the same bits in every run ---- */

/* Over the 32 threads of a warp; all get it. */
static __device__ __forceinline__ float vk_warp_sum(float x)
{
  for (int k = VK_WARP / 2; k > 0; k /= 2)
    x += __shfl_xor_sync(0xffffffffu, x, k);
  return x;
}

static __device__ __forceinline__ float vk_warp_max(float x)
{
  for (int k = VK_WARP / 2; k > 0; k /= 2)
    x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, k));
  return x;
}

/* Over a block of a multiple of 32 threads, 1024 at most; all get it. A barrier before and after:
 * one may follow another. Blocks are one-dimensional. */
static __device__ __forceinline__ float vk_block_sum(float x)
{
  __shared__ float part[VK_WARP];
  x = vk_warp_sum(x);
  __syncthreads();
  if (threadIdx.x % VK_WARP == 0)
    part[threadIdx.x / VK_WARP] = x;
  __syncthreads();
  float sum = 0;
  for (unsigned i = 0; i < blockDim.x / VK_WARP; i++)
    sum += part[i];
  return sum;
}

static __device__ __forceinline__ float vk_block_max(float x)
{
  __shared__ float part[VK_WARP];
  x = vk_warp_max(x);
  __syncthreads();
  if (threadIdx.x % VK_WARP == 0)
    part[threadIdx.x / VK_WARP] = x;
  __syncthreads();
  float most = part[0];
  for (unsigned i = 1; i < blockDim.x / VK_WARP; i++)
    most = fmaxf(most, part[i]);
  return most;
}

/* ---- bfloat16 as bits: rounded to nearest, ties to even ---- */

static __host__ __device__ __forceinline__ uint16_t vk_bf16_of(float x)
{
  union {
    float f;
    uint32_t u;
  } v = {x};
  if ((v.u & 0x7fffffffu) > 0x7f800000u)
    return (uint16_t)(v.u >> 16 | 0x40);
  return (uint16_t)((v.u + 0x7fffu + (v.u >> 16 & 1)) >> 16);
}

static __host__ __device__ __forceinline__ float vk_bf16_to(uint16_t x)
{
  union {
    uint32_t u;
    float f;
  } v = {(uint32_t)x << 16};
  return v.f;
}

/* Item i of a value that lies in f32 or, where a pass stores it so, in bf16. */
static __device__ __forceinline__ void vk_store(void *data, vk_dtype dtype, int64_t i, float x)
{
  if (dtype == VK_BF16)
    ((uint16_t *)data)[i] = vk_bf16_of(x);
  else
    ((float *)data)[i] = x;
}

static __device__ __forceinline__ float vk_load(const void *data, vk_dtype dtype, int64_t i)
{
  return dtype == VK_BF16 ? vk_bf16_to(((const uint16_t *)data)[i]) : ((const float *)data)[i];
}

/* ---- random numbers: those of core/rng.h ---- */

/* The four words of a block of a stream under a key, as vk_philox has them. */
static __device__ __forceinline__ void vk_philox_words(uint64_t key, uint64_t block,
                                                       uint64_t stream, uint32_t word[4])
{
  uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32);
  uint32_t c2 = (uint32_t)stream, c3 = (uint32_t)(stream >> 32);
  uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
  for (int i_round = 0; i_round < 10; i_round++) {
    uint64_t p0 = (uint64_t)0xd2511f53u * c0, p1 = (uint64_t)0xcd9e8d57u * c2;
    c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c1 = (uint32_t)p1;
    c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c3 = (uint32_t)p0;
    k0 += 0x9e3779b9u;
    k1 += 0xbb67ae85u;
  }
  word[0] = c0;
  word[1] = c1;
  word[2] = c2;
  word[3] = c3;
}

/* ---- gelu, with erf ---- */

/* The share of a normal distribution below x; gelu(x) = x times it. */
static __device__ __forceinline__ float vk_normal_cdf(float x)
{
  return 0.5f * (1.0f + erff(x * 0.70710678118654752f));
}

static __device__ __forceinline__ float vk_gelu(float x)
{
  return x * vk_normal_cdf(x);
}

static __device__ __forceinline__ float vk_gelu_slope(float x)
{
  return vk_normal_cdf(x) + x * 0.39894228040143268f * expf(-0.5f * x * x);
}

#endif
