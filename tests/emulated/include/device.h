/* device.h - what device code knows beside C++: the numbers of its thread, barriers, shuffles,
 * vector types and a few intrinsics. Included by cuda_runtime.h. */
#ifndef VK_EMULATED_DEVICE_H
#define VK_EMULATED_DEVICE_H

#include <math.h>
#include <string.h>

#include "../fiber.h"

#define __global__
#define __device__
#define __host__
#define __constant__    static
#define __shared__      static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

static const int warpSize = 32;

#define VK_EMULATED_HERE __FILE__, __LINE__

#define __syncthreads()          ((void)vk_emulated_barrier(VK_EMULATED_SYNC, 0, VK_EMULATED_HERE))
#define __syncthreads_or(value)  vk_emulated_barrier(VK_EMULATED_OR, !!(value), VK_EMULATED_HERE)
#define __syncthreads_and(value) vk_emulated_barrier(VK_EMULATED_AND, !!(value), VK_EMULATED_HERE)
#define __syncthreads_count(value)                                                                 \
  vk_emulated_barrier(VK_EMULATED_COUNT, !!(value), VK_EMULATED_HERE)
#define __syncwarp(...)       vk_emulated_here{VK_EMULATED_HERE}.syncwarp(__VA_ARGS__)
#define __shfl_sync(...)      vk_emulated_shfl(VK_EMULATED_IDX, VK_EMULATED_HERE, __VA_ARGS__)
#define __shfl_up_sync(...)   vk_emulated_shfl(VK_EMULATED_UP, VK_EMULATED_HERE, __VA_ARGS__)
#define __shfl_down_sync(...) vk_emulated_shfl(VK_EMULATED_DOWN, VK_EMULATED_HERE, __VA_ARGS__)
#define __shfl_xor_sync(...)  vk_emulated_shfl(VK_EMULATED_XOR, VK_EMULATED_HERE, __VA_ARGS__)
#define __ballot_sync(mask, value)                                                                 \
  ((unsigned)vk_emulated_warp(VK_EMULATED_BALLOT, mask, !!(value), 0, 32, VK_EMULATED_HERE))
#define __any_sync(mask, value)                                                                    \
  ((int)vk_emulated_warp(VK_EMULATED_OR, mask, !!(value), 0, 32, VK_EMULATED_HERE))
#define __all_sync(mask, value)                                                                    \
  ((int)vk_emulated_warp(VK_EMULATED_AND, mask, !!(value), 0, 32, VK_EMULATED_HERE))
#define __trap()        vk_emulated_trap(VK_EMULATED_HERE)
#define __threadfence() ((void)0)

struct vk_emulated_here {
  const char *file;
  int line;
  void syncwarp(unsigned mask = 0xffffffffu)
  {
    (void)vk_emulated_warp(VK_EMULATED_SYNC, mask, 0, 0, 32, file, line);
  }
};

template <typename T>
static inline T vk_emulated_shfl(int op, const char *file, int line, unsigned mask, T x, int arg,
                                 int width = 32)
{
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "a shuffle moves 4 or 8 bytes");
  uint64_t bits = 0;
  memcpy(&bits, &x, sizeof x);
  bits = vk_emulated_warp(op, mask, bits, arg, width, file, line);
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* ---- vectors --------------------------------------------------------------------------------- */

#define VK_EMULATED_VECTOR2(type, name, bytes)                                                     \
  struct alignas(bytes) name {                                                                     \
    type x, y;                                                                                     \
  };                                                                                               \
  static inline name make_##name(type x, type y)                                                   \
  {                                                                                                \
    return name{x, y};                                                                             \
  }
#define VK_EMULATED_VECTOR4(type, name, bytes)                                                     \
  struct alignas(bytes) name {                                                                     \
    type x, y, z, w;                                                                               \
  };                                                                                               \
  static inline name make_##name(type x, type y, type z, type w)                                   \
  {                                                                                                \
    return name{x, y, z, w};                                                                       \
  }
VK_EMULATED_VECTOR2(float, float2, 8)
VK_EMULATED_VECTOR4(float, float4, 16)
VK_EMULATED_VECTOR2(double, double2, 16)
VK_EMULATED_VECTOR2(int, int2, 8)
VK_EMULATED_VECTOR4(int, int4, 16)
VK_EMULATED_VECTOR2(unsigned, uint2, 8)
VK_EMULATED_VECTOR4(unsigned, uint4, 16)
VK_EMULATED_VECTOR2(unsigned short, ushort2, 4)
VK_EMULATED_VECTOR4(unsigned short, ushort4, 8)
VK_EMULATED_VECTOR2(unsigned char, uchar2, 2)
VK_EMULATED_VECTOR4(unsigned char, uchar4, 4)
VK_EMULATED_VECTOR2(long long, longlong2, 16)
#undef VK_EMULATED_VECTOR2
#undef VK_EMULATED_VECTOR4

struct float3 {
  float x, y, z;
};
static inline float3 make_float3(float x, float y, float z)
{
  return float3{x, y, z};
}

static inline dim3 make_dim3(unsigned x, unsigned y, unsigned z)
{
  return dim3(x, y, z);
}

/* ---- intrinsics ------------------------------------------------------------------------------ */

template <typename T> static inline T __ldg(const T *p)
{
  return *p;
}

#define VK_EMULATED_MINMAX(type)                                                                   \
  static inline type min(type a, type b)                                                           \
  {                                                                                                \
    return b < a ? b : a;                                                                          \
  }                                                                                                \
  static inline type max(type a, type b)                                                           \
  {                                                                                                \
    return a < b ? b : a;                                                                          \
  }
VK_EMULATED_MINMAX(int)
VK_EMULATED_MINMAX(unsigned)
VK_EMULATED_MINMAX(long)
VK_EMULATED_MINMAX(unsigned long)
VK_EMULATED_MINMAX(long long)
VK_EMULATED_MINMAX(unsigned long long)
#undef VK_EMULATED_MINMAX
static inline float min(float a, float b)
{
  return fminf(a, b);
}
static inline float max(float a, float b)
{
  return fmaxf(a, b);
}
static inline double min(double a, double b)
{
  return fmin(a, b);
}
static inline double max(double a, double b)
{
  return fmax(a, b);
}

static inline float rsqrtf(float x)
{
  return 1.0f / sqrtf(x);
}

#define VK_EMULATED_BITS(name, from, to)                                                           \
  static inline to name(from x)                                                                    \
  {                                                                                                \
    to y;                                                                                          \
    memcpy(&y, &x, sizeof y);                                                                      \
    return y;                                                                                      \
  }
VK_EMULATED_BITS(__float_as_int, float, int)
VK_EMULATED_BITS(__float_as_uint, float, unsigned)
VK_EMULATED_BITS(__int_as_float, int, float)
VK_EMULATED_BITS(__uint_as_float, unsigned, float)
#undef VK_EMULATED_BITS

static inline unsigned __umulhi(unsigned a, unsigned b)
{
  return (unsigned)((uint64_t)a * b >> 32);
}
__extension__ typedef unsigned __int128 vk_emulated_u128;
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b)
{
  return (unsigned long long)((vk_emulated_u128)a * b >> 64);
}
static inline int __popc(unsigned x)
{
  return __builtin_popcount(x);
}
static inline int __clz(int x)
{
  return x ? __builtin_clz((unsigned)x) : 32;
}
static inline int __ffs(int x)
{
  return __builtin_ffs(x);
}
static inline float __fmaf_rn(float a, float b, float c)
{
  return fmaf(a, b, c);
}
static inline float __fadd_rn(float a, float b)
{
  return a + b;
}
static inline float __fmul_rn(float a, float b)
{
  return a * b;
}
static inline float __fdiv_rn(float a, float b)
{
  return a / b;
}

/* Whole numbers alone: sums of floats would depend on the order of threads. */
static inline int atomicAdd(int *p, int x)
{
  int old = *p;
  *p = old + x;
  return old;
}
static inline unsigned atomicAdd(unsigned *p, unsigned x)
{
  unsigned old = *p;
  *p = old + x;
  return old;
}

/* As nvcc has it for kernels, which are no const void *. */
template <typename... P>
static inline cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute attr,
                                               int value)
{
  return cudaFuncSetAttribute((const void *)kernel, attr, value);
}
template <typename T> static inline cudaError_t cudaMalloc(T **p, size_t n)
{
  return cudaMalloc((void **)p, n);
}

#endif
