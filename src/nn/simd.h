/* simd.h - vectors of floats for files that are compiled once a path (core/kernel_path.h): one lane
 * (plain float), 8 lanes (AVX2 and FMA) or 16 lanes (AVX-512). + - * / work on all of them.
 *
 * Lanes are independent. Results of different paths may differ in their last bits: vf_fma rounds
 * once on AVX2 and AVX-512 and twice on the scalar path. No function reads or writes past what it
 * is given. NaN goes through every function; denormals are kept.
 * Test: tests/unit/test_simd.c */
#ifndef VK_NN_SIMD_H
#define VK_NN_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define VK_INLINE static inline __attribute__((always_inline))

/* vf: floats. vi, vu: int32 and uint32 lanes. vm: a yes or no for each lane, from comparisons. */
#if defined(__AVX512F__)
enum { VK_LANES = 16 };
typedef float vf __attribute__((vector_size(64)));
typedef int32_t vi __attribute__((vector_size(64)));
typedef uint32_t vu __attribute__((vector_size(64)));
typedef __mmask16 vm;
#elif defined(__AVX2__)
enum { VK_LANES = 8 };
typedef float vf __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));
typedef uint32_t vu __attribute__((vector_size(32)));
typedef vi vm;
#else
enum { VK_LANES = 1 };
typedef float vf;
typedef int32_t vi;
typedef uint32_t vu;
typedef int32_t vm; /* 0 or -1 */
#endif

/* ---- moving ------------------------------------------------------------------------------------
 * The _n forms take the first n lanes, 0 <= n <= VK_LANES; a load leaves 0 in the rest. */

#if defined(__AVX512F__)

VK_INLINE vf vf_set1(float x)
{
  return _mm512_set1_ps(x);
}
VK_INLINE vi vi_set1(int32_t x)
{
  return (vi)_mm512_set1_epi32(x);
}
VK_INLINE vf vf_load(const float *p)
{
  return _mm512_loadu_ps(p);
}
VK_INLINE void vf_store(float *p, vf a)
{
  _mm512_storeu_ps(p, a);
}
VK_INLINE vm vm_first(int n)
{
  return (vm)((1u << n) - 1);
}
VK_INLINE vf vf_load_n(const float *p, int n)
{
  return _mm512_maskz_loadu_ps(vm_first(n), p);
}
VK_INLINE void vf_store_n(float *p, vf a, int n)
{
  _mm512_mask_storeu_ps(p, vm_first(n), a);
}
VK_INLINE vi vi_load(const int32_t *p)
{
  return (vi)_mm512_loadu_si512(p);
}
VK_INLINE void vi_store(int32_t *p, vi a)
{
  _mm512_storeu_si512(p, (__m512i)a);
}
VK_INLINE vf vf_from_bits(vi a)
{
  return (vf)a;
}
VK_INLINE vi vf_bits(vf a)
{
  return (vi)a;
}

#elif defined(__AVX2__)

VK_INLINE vf vf_set1(float x)
{
  return _mm256_set1_ps(x);
}
VK_INLINE vi vi_set1(int32_t x)
{
  return (vi)_mm256_set1_epi32(x);
}
VK_INLINE vf vf_load(const float *p)
{
  return _mm256_loadu_ps(p);
}
VK_INLINE void vf_store(float *p, vf a)
{
  _mm256_storeu_ps(p, a);
}
VK_INLINE vm vm_first(int n)
{
  return (vi)_mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
VK_INLINE vf vf_load_n(const float *p, int n)
{
  return _mm256_maskload_ps(p, (__m256i)vm_first(n));
}
VK_INLINE void vf_store_n(float *p, vf a, int n)
{
  _mm256_maskstore_ps(p, (__m256i)vm_first(n), a);
}
VK_INLINE vi vi_load(const int32_t *p)
{
  return (vi)_mm256_loadu_si256((const __m256i *)(const void *)p);
}
VK_INLINE void vi_store(int32_t *p, vi a)
{
  _mm256_storeu_si256((__m256i *)(void *)p, (__m256i)a);
}
VK_INLINE vf vf_from_bits(vi a)
{
  return (vf)a;
}
VK_INLINE vi vf_bits(vf a)
{
  return (vi)a;
}

#else

VK_INLINE vf vf_set1(float x)
{
  return x;
}
VK_INLINE vi vi_set1(int32_t x)
{
  return x;
}
VK_INLINE vf vf_load(const float *p)
{
  return *p;
}
VK_INLINE void vf_store(float *p, vf a)
{
  *p = a;
}
VK_INLINE vm vm_first(int n)
{
  return -(n > 0);
}
VK_INLINE vf vf_load_n(const float *p, int n)
{
  return n > 0 ? *p : 0.0f;
}
VK_INLINE void vf_store_n(float *p, vf a, int n)
{
  if (n > 0)
    *p = a;
}
VK_INLINE vi vi_load(const int32_t *p)
{
  return *p;
}
VK_INLINE void vi_store(int32_t *p, vi a)
{
  *p = a;
}
VK_INLINE vf vf_from_bits(vi a)
{
  vf r;
  memcpy(&r, &a, sizeof r);
  return r;
}
VK_INLINE vi vf_bits(vf a)
{
  vi r;
  memcpy(&r, &a, sizeof r);
  return r;
}

#endif

VK_INLINE vf vf_zero(void)
{
  return vf_set1(0.0f);
}

/* ---- choosing ----------------------------------------------------------------------------------
 * vf_min(a, b) is a < b ? a : b, so b when either is NaN; vf_max likewise. Comparisons with NaN are
 * false, but for vf_ne, which is true. */

#if defined(__AVX512F__)

VK_INLINE vf vf_min(vf a, vf b)
{
  return _mm512_min_ps(a, b);
}
VK_INLINE vf vf_max(vf a, vf b)
{
  return _mm512_max_ps(a, b);
}
VK_INLINE vm vf_lt(vf a, vf b)
{
  return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
VK_INLINE vm vf_le(vf a, vf b)
{
  return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
VK_INLINE vm vf_eq(vf a, vf b)
{
  return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
VK_INLINE vm vf_ne(vf a, vf b)
{
  return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ);
}
/* a where m, else b */
VK_INLINE vf vf_select(vm m, vf a, vf b)
{
  return _mm512_mask_blend_ps(m, b, a);
}
VK_INLINE vi vi_select(vm m, vi a, vi b)
{
  return (vi)_mm512_mask_blend_epi32(m, (__m512i)b, (__m512i)a);
}
VK_INLINE int vm_any(vm m)
{
  return m != 0;
}

#elif defined(__AVX2__)

VK_INLINE vf vf_min(vf a, vf b)
{
  return _mm256_min_ps(a, b);
}
VK_INLINE vf vf_max(vf a, vf b)
{
  return _mm256_max_ps(a, b);
}
VK_INLINE vm vf_lt(vf a, vf b)
{
  return (vi)_mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
VK_INLINE vm vf_le(vf a, vf b)
{
  return (vi)_mm256_cmp_ps(a, b, _CMP_LE_OQ);
}
VK_INLINE vm vf_eq(vf a, vf b)
{
  return (vi)_mm256_cmp_ps(a, b, _CMP_EQ_OQ);
}
VK_INLINE vm vf_ne(vf a, vf b)
{
  return (vi)_mm256_cmp_ps(a, b, _CMP_NEQ_UQ);
}
VK_INLINE vf vf_select(vm m, vf a, vf b)
{
  return _mm256_blendv_ps(b, a, (vf)m);
}
VK_INLINE vi vi_select(vm m, vi a, vi b)
{
  return (vi)_mm256_blendv_epi8((__m256i)b, (__m256i)a, (__m256i)m);
}
VK_INLINE int vm_any(vm m)
{
  return _mm256_movemask_ps((vf)m) != 0;
}

#else

VK_INLINE vf vf_min(vf a, vf b)
{
  return a < b ? a : b;
}
VK_INLINE vf vf_max(vf a, vf b)
{
  return a > b ? a : b;
}
VK_INLINE vm vf_lt(vf a, vf b)
{
  return -(a < b);
}
VK_INLINE vm vf_le(vf a, vf b)
{
  return -(a <= b);
}
VK_INLINE vm vf_eq(vf a, vf b)
{
  return -(a == b);
}
VK_INLINE vm vf_ne(vf a, vf b)
{
  return -(a != b);
}
VK_INLINE vf vf_select(vm m, vf a, vf b)
{
  return m ? a : b;
}
VK_INLINE vi vi_select(vm m, vi a, vi b)
{
  return m ? a : b;
}
VK_INLINE int vm_any(vm m)
{
  return m != 0;
}

#endif

/* & | ~ of yes and no; a mask of the AVX-512 path is not an int */
VK_INLINE vm vm_and(vm a, vm b)
{
  return (vm)(a & b);
}
VK_INLINE vm vm_or(vm a, vm b)
{
  return (vm)(a | b);
}
VK_INLINE vm vm_not(vm a)
{
  return (vm)~a;
}

/* ---- arithmetic --------------------------------------------------------------------------------
 * vf_fma(a, b, c) is a b + c. vf_round: to the nearest whole number, halves to even; |x| < 2^22 on
 * the scalar path. vf_to_vi: towards zero, |x| < 2^31. */

VK_INLINE vf vf_abs(vf a)
{
  return vf_from_bits(vf_bits(a) & vi_set1(INT32_MAX));
}
VK_INLINE vf vf_neg(vf a)
{
  return vf_from_bits(vf_bits(a) ^ vi_set1(INT32_MIN));
}
/* |a| with the sign of b */
VK_INLINE vf vf_copysign(vf a, vf b)
{
  vi sign = vi_set1(INT32_MIN);
  return vf_from_bits((vf_bits(a) & ~sign) | (vf_bits(b) & sign));
}

#if defined(__AVX512F__)

VK_INLINE vf vf_fma(vf a, vf b, vf c)
{
  return _mm512_fmadd_ps(a, b, c);
}
VK_INLINE vf vf_sqrt(vf a)
{
  return _mm512_sqrt_ps(a);
}
VK_INLINE vf vf_round(vf a)
{
  return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
VK_INLINE vi vf_to_vi(vf a)
{
  return (vi)_mm512_cvttps_epi32(a);
}
VK_INLINE vf vi_to_vf(vi a)
{
  return _mm512_cvtepi32_ps((__m512i)a);
}

#elif defined(__AVX2__)

VK_INLINE vf vf_fma(vf a, vf b, vf c)
{
  return _mm256_fmadd_ps(a, b, c);
}
VK_INLINE vf vf_sqrt(vf a)
{
  return _mm256_sqrt_ps(a);
}
VK_INLINE vf vf_round(vf a)
{
  return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
VK_INLINE vi vf_to_vi(vf a)
{
  return (vi)_mm256_cvttps_epi32(a);
}
VK_INLINE vf vi_to_vf(vi a)
{
  return _mm256_cvtepi32_ps((__m256i)a);
}

#else

VK_INLINE vf vf_fma(vf a, vf b, vf c)
{
  return a * b + c;
}
VK_INLINE vf vf_sqrt(vf a)
{
  return sqrtf(a);
}
VK_INLINE vf vf_round(vf a)
{
  /* at 1.5 * 2^23 the last bit of a float is 1 */
  const float big = 12582912.0f;
  return a + big - big;
}
VK_INLINE vi vf_to_vi(vf a)
{
  return (vi)a;
}
VK_INLINE vf vi_to_vf(vi a)
{
  return (vf)a;
}

#endif

/* ---- over the lanes ----------------------------------------------------------------------------
 * The order of additions is fixed: halves are added to each other. */

#if defined(__AVX2__)

VK_INLINE float vf_sum_8(__m256 a)
{
  __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_add_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
VK_INLINE float vf_hmax_8(__m256 a)
{
  __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  b = _mm_max_ps(b, _mm_movehl_ps(b, b));
  return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

#endif

#if defined(__AVX512F__)

VK_INLINE float vf_sum(vf a)
{
  return vf_sum_8(_mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)));
}
/* the greatest lane; any lane when one is NaN */
VK_INLINE float vf_hmax(vf a)
{
  return vf_hmax_8(_mm256_max_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps(a, 1)));
}

#elif defined(__AVX2__)

VK_INLINE float vf_sum(vf a)
{
  return vf_sum_8(a);
}
VK_INLINE float vf_hmax(vf a)
{
  return vf_hmax_8(a);
}

#else

VK_INLINE float vf_sum(vf a)
{
  return a;
}
VK_INLINE float vf_hmax(vf a)
{
  return a;
}

#endif

/* ---- bfloat16 ----------------------------------------------------------------------------------
 * The upper half of a float. Stores round to nearest, halves to even; NaN stays NaN. */

VK_INLINE vi vf_round_bf16(vf a) /* in the upper halves; the lower ones hold remains */
{
  vi u = vf_bits(a), odd = (u >> 16) & vi_set1(1);
  vi up = (vi)((vu)u + (vu)(odd + vi_set1(0x7fff)));
  return vi_select(vf_ne(a, a), u | vi_set1(0x400000), up);
}

#if defined(__AVX512F__)

VK_INLINE vf vf_load_bf16(const uint16_t *p)
{
  __m256i h = _mm256_loadu_si256((const __m256i *)(const void *)p);
  return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16);
}
VK_INLINE vf vf_load_bf16_n(const uint16_t *p, int n)
{
  __m256i h = _mm256_maskz_loadu_epi16(vm_first(n), p);
  return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16);
}
VK_INLINE __m256i vf_to_bf16(vf a)
{
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32((__m512i)vf_round_bf16(a), 16));
}
VK_INLINE void vf_store_bf16(uint16_t *p, vf a)
{
  _mm256_storeu_si256((__m256i *)(void *)p, vf_to_bf16(a));
}
VK_INLINE void vf_store_bf16_n(uint16_t *p, vf a, int n)
{
  _mm256_mask_storeu_epi16(p, vm_first(n), vf_to_bf16(a));
}

#elif defined(__AVX2__)

VK_INLINE vf vf_load_bf16(const uint16_t *p)
{
  __m128i h = _mm_loadu_si128((const __m128i *)(const void *)p);
  return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16);
}
VK_INLINE vf vf_load_bf16_n(const uint16_t *p, int n)
{
  uint16_t h[8] = {0};
  for (int i = 0; i < n; i++)
    h[i] = p[i];
  return vf_load_bf16(h);
}
VK_INLINE void vf_store_bf16(uint16_t *p, vf a)
{
  __m256i u = _mm256_srli_epi32((__m256i)vf_round_bf16(a), 16);
  __m128i h = _mm_packus_epi32(_mm256_castsi256_si128(u), _mm256_extracti128_si256(u, 1));
  _mm_storeu_si128((__m128i *)(void *)p, h);
}
VK_INLINE void vf_store_bf16_n(uint16_t *p, vf a, int n)
{
  uint16_t h[8];
  vf_store_bf16(h, a);
  for (int i = 0; i < n; i++)
    p[i] = h[i];
}

#else

VK_INLINE vf vf_load_bf16(const uint16_t *p)
{
  return vf_from_bits((vi)((uint32_t)*p << 16));
}
VK_INLINE vf vf_load_bf16_n(const uint16_t *p, int n)
{
  return n > 0 ? vf_load_bf16(p) : 0.0f;
}
VK_INLINE void vf_store_bf16(uint16_t *p, vf a)
{
  *p = (uint16_t)((uint32_t)vf_round_bf16(a) >> 16);
}
VK_INLINE void vf_store_bf16_n(uint16_t *p, vf a, int n)
{
  if (n > 0)
    vf_store_bf16(p, a);
}

#endif

/* ---- functions ---------------------------------------------------------------------------------
 * Errors are the greatest that the test's sweep finds on any path. */

/* a 2^n for whole n in [-252, 254], rounded once */
VK_INLINE vf vf_scale(vf a, vf n)
{
#if defined(__AVX512F__)
  return _mm512_scalef_ps(a, n);
#else
  /* Two factors, for the result may be denormal and 2^128 is no float. */
  vi i = vf_to_vi(n), half = i >> 1;
  vf up = vf_from_bits((half + vi_set1(127)) << 23);
  vf rest = vf_from_bits((i - half + vi_set1(127)) << 23);
  return a * up * rest;
#endif
}

/* e^a, within 1.5 units of the last place; 0 below -104, infinite above 88.73.
 * Range reduction by ln 2 in two parts (Cody and Waite), then the Taylor sum to the seventh power,
 * whose remainder for |r| <= ln 2 / 2 is 5e-9. */
VK_INLINE vf vf_exp(vf a)
{
  /* operands in this order so that NaN stays */
  a = vf_min(vf_set1(128.0f), vf_max(vf_set1(-128.0f), a));
  vf n = vf_round(a * vf_set1(1.44269504088896341f));
  vf r = vf_fma(n, vf_set1(-0.693359375f), a);
  r = vf_fma(n, vf_set1(2.12194440054690583e-4f), r);
  vf p = vf_set1(1.0f / 5040);
  p = vf_fma(p, r, vf_set1(1.0f / 720));
  p = vf_fma(p, r, vf_set1(1.0f / 120));
  p = vf_fma(p, r, vf_set1(1.0f / 24));
  p = vf_fma(p, r, vf_set1(1.0f / 6));
  p = vf_fma(p, r, vf_set1(0.5f));
  p = vf_fma(p, r * r, r) + vf_set1(1.0f);
#if defined(__AVX512F__)
  return vf_scale(p, n);
#else
  /* The conversion of NaN to a whole number is nobody's promise. */
  vm is_nan = vf_ne(a, a);
  return vf_select(is_nan, a, vf_scale(p, vf_select(is_nan, vf_zero(), n)));
#endif
}

/* ln a, within 1.5 units of the last place; ln 0 is -infinity, of less than 0 NaN.
 * ln(1 + f) = f - f^2 / 2 + f^3 P(f), P with Cephes' coefficients (Moshier, logf.c, 1992). */
VK_INLINE vf vf_log(vf a)
{
  vf one = vf_set1(1.0f), x = a;
  vm is_small = vf_lt(a, vf_set1(1.17549435e-38f));
  x = vf_select(is_small, a * vf_set1(8388608.0f), a);
  vi u = vf_bits(x), e = ((u >> 23) & vi_set1(255)) - vi_set1(126);
  vf m = vf_from_bits((u & vi_set1(0x7fffff)) | vi_set1(0x3f000000)); /* [0.5, 1) */
  vm is_low = vf_lt(m, vf_set1(0.707106781186547524f));
  vf f = vf_select(is_low, m + m, m) - one;
  vf n = vi_to_vf(e) - vf_select(is_low, one, vf_zero());
  n = n - vf_select(is_small, vf_set1(23.0f), vf_zero());
  vf p = vf_set1(7.0376836292e-2f);
  p = vf_fma(p, f, vf_set1(-1.1514610310e-1f));
  p = vf_fma(p, f, vf_set1(1.1676998740e-1f));
  p = vf_fma(p, f, vf_set1(-1.2420140846e-1f));
  p = vf_fma(p, f, vf_set1(1.4249322787e-1f));
  p = vf_fma(p, f, vf_set1(-1.6668057665e-1f));
  p = vf_fma(p, f, vf_set1(2.0000714765e-1f));
  p = vf_fma(p, f, vf_set1(-2.4999993993e-1f));
  p = vf_fma(p, f, vf_set1(3.3333331174e-1f));
  vf f2 = f * f;
  vf r = vf_fma(f * f2, p, n * vf_set1(-2.12194440054690583e-4f));
  r = vf_fma(n, vf_set1(0.693359375f), f + vf_fma(f2, vf_set1(-0.5f), r));
  r = vf_select(vf_lt(vf_zero(), a), r, vf_set1(NAN));
  r = vf_select(vf_eq(a, vf_zero()), vf_set1(-INFINITY), r);
  return vf_select(vf_lt(a, vf_set1(INFINITY)), r, a);
}

/* erf a, within 3.5e-7 of its value. a P(a^2) / Q(a^2), fitted to the least greatest relative error
 * (1.9e-8 before rounding) on |a| <= 3.93, beyond which the nearest float is 1. */
VK_INLINE vf vf_erf(vf a)
{
  /* NaN stays: it is not beyond */
  vf one = vf_set1(1.0f), end = vf_set1(3.93f);
  vm is_beyond = vf_lt(end, vf_abs(a));
  vf x = vf_select(is_beyond, one, a), t = x * x;
  vf p = vf_set1(2.0419969067518494e-6f);
  p = vf_fma(p, t, vf_set1(2.848076325604824e-4f));
  p = vf_fma(p, t, vf_set1(3.7795262937372833e-3f));
  p = vf_fma(p, t, vf_set1(5.279002755909241e-2f));
  p = vf_fma(p, t, vf_set1(1.9078176839555167e-1f));
  p = vf_fma(p, t, vf_set1(1.1283791453725034f));
  vf q = vf_set1(3.8004298649965696e-5f);
  q = vf_fma(q, t, vf_set1(1.1651944164820169e-3f));
  q = vf_fma(q, t, vf_set1(1.4997268542246254e-2f));
  q = vf_fma(q, t, vf_set1(1.142566831821236e-1f));
  q = vf_fma(q, t, vf_set1(5.024086598116817e-1f));
  q = vf_fma(q, t, one);
  vf r = vf_min(one, vf_max(vf_neg(one), x * p / q));
  return vf_select(is_beyond, vf_copysign(one, a), r);
}

#include "nn/simd_gelu.h"

/* x Phi(x) with Phi the normal distribution: within 9e-7, or 3e-7 of its value. */
VK_INLINE vf vf_gelu(vf x)
{
  vf half = vf_set1(0.5f) * x;
#if defined(__AVX2__)
  vf a = vf_abs(x);
  return vf_fma(a, vf_look_up(a, vf_gelu_cdf_scale, vf_gelu_cdf, VF_GELU_CDF_DEGREE), half);
#else
  return vf_fma(half, vf_erf(x * vf_set1(0.70710678118654752f)), half);
#endif
}

/* Its derivative, Phi(x) + x phi(x), within 3e-7. */
VK_INLINE vf vf_gelu_gradient(vf x)
{
#if defined(__AVX2__)
  vf y = vf_look_up(vf_abs(x), vf_gelu_slope_scale, vf_gelu_slope, VF_GELU_SLOPE_DEGREE);
  return vf_set1(0.5f) + vf_copysign(y, x);
#else
  vf cdf = vf_fma(vf_set1(0.5f), vf_erf(x * vf_set1(0.70710678118654752f)), vf_set1(0.5f));
  vf pdf = vf_exp(x * x * vf_set1(-0.5f)) * vf_set1(0.39894228040143268f);
  return vf_fma(x, pdf, cdf);
#endif
}

#endif
