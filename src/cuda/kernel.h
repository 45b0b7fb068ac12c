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

#define VK_PHILOX_FN static __device__ __forceinline__
#include "core/philox.h"

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

/* for (int64_t i : this thread's items of n), in a kernel started with vk_grid_stride. Most threads
 * have one: to unroll the loop takes a division of 64 bits before it, which costs more. */
#define VK_EACH(i, n)                                                                              \
  _Pragma("unroll 1") for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < (n);    \
                           i += (int64_t)gridDim.x * blockDim.x)

/* ---- sums and the like: the same bits in every run ---- */

/* What becomes of two. Lanes that add x and y get the bits of those that add y and x, as what
 * branches on a sum needs: a compiler may make one of a product and a sum, but not of __fadd_rn. */
struct vk_plus {
  template <typename T> static __device__ __forceinline__ T of(T x, T y)
  {
    return x + y;
  }
#if defined(__CUDACC__)
  static __device__ __forceinline__ float of(float x, float y)
  {
    return __fadd_rn(x, y);
  }
#endif
};
struct vk_most {
  static __device__ __forceinline__ float of(float x, float y)
  {
    return fmaxf(x, y);
  }
};

/* Of N neighbours of a warp, a power of two; all get it. */
template <typename F, int N, typename T> static __device__ __forceinline__ T vk_lanes_all(T x)
{
#pragma unroll
  for (int k = N / 2; k > 0; k /= 2)
    x = F::of(x, __shfl_xor_sync(0xffffffffu, x, k));
  return x;
}

/* Over the 32 threads of a warp; all get it. */
static __device__ __forceinline__ float vk_warp_sum(float x)
{
  return vk_lanes_all<vk_plus, VK_WARP>(x);
}

static __device__ __forceinline__ float vk_warp_max(float x)
{
  return vk_lanes_all<vk_most, VK_WARP>(x);
}

/* Over a block of a multiple of 32 threads, 1024 at most; all get it. A barrier before and after:
 * one may follow another. Blocks are one-dimensional. */
template <typename F> static __device__ __forceinline__ float vk_block_all(float x)
{
  __shared__ float part[VK_WARP];
  x = vk_lanes_all<F, VK_WARP>(x);
  __syncthreads();
  if (threadIdx.x % VK_WARP == 0)
    part[threadIdx.x / VK_WARP] = x;
  __syncthreads();
  float all = part[0];
  for (unsigned i = 1; i < blockDim.x / VK_WARP; i++)
    all = F::of(all, part[i]);
  return all;
}

static __device__ __forceinline__ float vk_block_sum(float x)
{
  return vk_block_all<vk_plus>(x);
}

static __device__ __forceinline__ float vk_block_max(float x)
{
  return vk_block_all<vk_most>(x);
}

/* ---- bfloat16 as bits: rounded to nearest, ties to even ---- */

static __host__ __device__ __forceinline__ uint16_t vk_bf16_of(float x)
{
#if defined(__CUDA_ARCH__)
  uint16_t y;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y) : "f"(x));
  return y;
#else
  union {
    float f;
    uint32_t u;
  } v = {x};
  if ((v.u & 0x7fffffffu) > 0x7f800000u)
    return (uint16_t)(v.u >> 16 | 0x40);
  return (uint16_t)((v.u + 0x7fffu + (v.u >> 16 & 1)) >> 16);
#endif
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
