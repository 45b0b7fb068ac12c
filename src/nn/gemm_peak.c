/* gemm_peak.c - multiply-adds in registers, as fast as the path's instructions go. */
#include "nn/gemm_kernel.h"

/* Latency times ports: 4 x 2 on the cores of today. The empty statements keep the compiler from
 * seeing what becomes of the sums. */
enum { N_SUM = 12 };
#if defined(__AVX512F__)
#define HOLD(x) __asm__ volatile("" : "+v"(x))
#elif defined(__x86_64__)
#define HOLD(x) __asm__ volatile("" : "+x"(x))
#else
#define HOLD(x) __asm__ volatile("" : "+w"(x))
#endif

#if defined(__AVX2__)
typedef vf wide;
#define MULTIPLY_ADD(x, a, b) vf_fma(x, a, b)
#else
/* the baseline has vectors of four, and compilers find them */
typedef float wide __attribute__((vector_size(16)));
#define MULTIPLY_ADD(x, a, b) ((x) * (a) + (b))
#endif

double VK_KERNEL(vk_gemm_peak)(int64_t n)
{
  wide zero = {0}, sum[N_SUM], a = zero + (1.0f + 1e-7f), b = zero + 1e-9f;
#pragma GCC unroll 16
  for (int i = 0; i < N_SUM; i++)
    sum[i] = zero + (float)i;
  for (int64_t k = 0; k < n; k++) {
#pragma GCC unroll 16
    for (int i = 0; i < N_SUM; i++) {
      sum[i] = MULTIPLY_ADD(sum[i], a, b);
      HOLD(sum[i]);
    }
  }
  return 2.0 * N_SUM * sizeof(wide) / sizeof(float) * (double)n;
}
