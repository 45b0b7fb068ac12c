/* render_lanes.h - vectors of eight lanes for the renderer's kernels. The compiler makes one AVX
 * register or two SSE registers of them. A lane's result is that of the scalar operation (IEEE, no
 * contraction, no approximate instruction), so every path gives the same bits.
 * Test: tests/unit/test_render.c */
#ifndef VK_SIM_RENDER_LANES_H
#define VK_SIM_RENDER_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#define VK_INLINE static inline __attribute__((always_inline))

enum { VK_LANES = 8 };

typedef float vf __attribute__((vector_size(32)));
typedef int32_t vi __attribute__((vector_size(32)));  /* also masks: a lane is 0 or -1 */
typedef uint32_t vu __attribute__((vector_size(32))); /* texels, indices */
typedef uint16_t vh __attribute__((vector_size(32))); /* two to a lane */
typedef uint64_t vq __attribute__((vector_size(32))); /* one to two lanes */
typedef float vf4 __attribute__((vector_size(16)));   /* half a vector */

static inline vf splat(float x)
{
  return (vf){x, x, x, x, x, x, x, x};
}

static inline vi splat_i(int32_t x)
{
  return (vi){x, x, x, x, x, x, x, x};
}

static inline vu splat_u(uint32_t x)
{
  return (vu){x, x, x, x, x, x, x, x};
}

static inline vf load(const float *p)
{
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline vi load_i(const void *p)
{
  vi v;
  memcpy(&v, p, sizeof v);
  return v;
}

static inline void store(void *p, vf v)
{
  memcpy(p, &v, sizeof v);
}

static inline void store_i(void *p, vi v)
{
  memcpy(p, &v, sizeof v);
}

/* a where the mask is set, else b */
static inline vi select_i(vi mask, vi a, vi b)
{
#if defined(__AVX2__)
  return (vi)_mm256_blendv_epi8((__m256i)b, (__m256i)a, (__m256i)mask);
#else
  return (mask & a) | (~mask & b);
#endif
}

static inline vf select_f(vi mask, vf a, vf b)
{
  return (vf)select_i(mask, (vi)a, (vi)b);
}

/* a < b ? a : b, so b when one is not a number */
static inline vf min_f(vf a, vf b)
{
#if defined(__AVX__)
  return (vf)_mm256_min_ps((__m256)a, (__m256)b);
#else
  return select_f(a < b, a, b);
#endif
}

/* a > b ? a : b, so b when one is not a number */
static inline vf max_f(vf a, vf b)
{
#if defined(__AVX__)
  return (vf)_mm256_max_ps((__m256)a, (__m256)b);
#else
  return select_f(a > b, a, b);
#endif
}

static inline float least_of(vf x)
{
  x = min_f(x, __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3));
  x = min_f(x, __builtin_shufflevector(x, x, 2, 3, 0, 1, 6, 7, 4, 5));
  x = min_f(x, __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6));
  return x[0];
}

static inline vi min_i(vi a, vi b)
{
  return select_i(a < b, a, b);
}

static inline vi max_i(vi a, vi b)
{
  return select_i(a > b, a, b);
}

/* lo when x is not a number */
static inline vf clamp_f(vf x, float lo, float hi)
{
  return min_f(max_f(x, splat(lo)), splat(hi));
}

static inline vf abs_f(vf x)
{
  return (vf)((vi)x & INT32_MAX);
}

static inline vf sqrt_f(vf x)
{
#if defined(__AVX__)
  return (vf)_mm256_sqrt_ps((__m256)x);
#else
  for (int i = 0; i < VK_LANES; i++)
    x[i] = sqrtf(x[i]);
  return x;
#endif
}

/* Towards zero; |x| < 2^31. */
static inline vi to_int(vf x)
{
  return __builtin_convertvector(x, vi);
}

static inline vf to_float(vi x)
{
  return __builtin_convertvector(x, vf);
}

/* |x| < 2^31 */
static inline vi floor_i(vf x)
{
#if defined(__AVX__)
  return to_int((vf)_mm256_floor_ps((__m256)x));
#else
  vi i = to_int(x);
  return i + (to_float(i) > x);
#endif
}

/* Bit k: lane k of the mask is set. */
static inline unsigned bits_of(vi mask)
{
#if defined(__AVX__)
  return (unsigned)_mm256_movemask_ps((__m256)mask);
#elif defined(__SSE2__)
  __m128 lo, hi;
  memcpy(&lo, &mask, sizeof lo);
  memcpy(&hi, (const char *)&mask + sizeof lo, sizeof hi);
  return (unsigned)_mm_movemask_ps(lo) | (unsigned)_mm_movemask_ps(hi) << 4;
#else
  unsigned bits = 0;
  for (int i = 0; i < VK_LANES; i++)
    bits |= (unsigned)(mask[i] < 0) << i;
  return bits;
#endif
}

/* base[i] of each lane. Loads, as gather instructions are slower than these on many processors. */
static inline vu gather(const uint32_t *base, vi at)
{
  int32_t i[VK_LANES];
  store_i(i, at);
  return (vu){base[i[0]], base[i[1]], base[i[2]], base[i[3]],
              base[i[4]], base[i[5]], base[i[6]], base[i[7]]};
}

static inline uint64_t load_pair(const uint32_t *p)
{
  uint64_t pair;
  memcpy(&pair, p, sizeof pair);
  return pair;
}

/* base[i] and base[i + 1] of each lane */
static inline void gather_pairs(const uint32_t *base, vi at, vu out[2])
{
  int32_t i[VK_LANES];
  store_i(i, at);
  vf a = (vf)(vq){load_pair(base + i[0]), load_pair(base + i[1]), load_pair(base + i[4]),
                  load_pair(base + i[5])};
  vf b = (vf)(vq){load_pair(base + i[2]), load_pair(base + i[3]), load_pair(base + i[6]),
                  load_pair(base + i[7])};
  out[0] = (vu)__builtin_shufflevector(a, b, 0, 2, 8, 10, 4, 6, 12, 14);
  out[1] = (vu)__builtin_shufflevector(a, b, 1, 3, 9, 11, 5, 7, 13, 15);
}

/* Rows of four floats, one a lane, become four vectors. */
static inline void transpose4(const float *const row[VK_LANES], vf out[4])
{
  vf r[4];
  for (int i = 0; i < 4; i++) {
    vf4 lo, hi;
    memcpy(&lo, row[i], sizeof lo);
    memcpy(&hi, row[i + 4], sizeof hi);
    r[i] = __builtin_shufflevector(lo, hi, 0, 1, 2, 3, 4, 5, 6, 7);
  }
  vf a = __builtin_shufflevector(r[0], r[1], 0, 8, 1, 9, 4, 12, 5, 13);
  vf b = __builtin_shufflevector(r[2], r[3], 0, 8, 1, 9, 4, 12, 5, 13);
  vf c = __builtin_shufflevector(r[0], r[1], 2, 10, 3, 11, 6, 14, 7, 15);
  vf d = __builtin_shufflevector(r[2], r[3], 2, 10, 3, 11, 6, 14, 7, 15);
  out[0] = __builtin_shufflevector(a, b, 0, 1, 8, 9, 4, 5, 12, 13);
  out[1] = __builtin_shufflevector(a, b, 2, 3, 10, 11, 6, 7, 14, 15);
  out[2] = __builtin_shufflevector(c, d, 0, 1, 8, 9, 4, 5, 12, 13);
  out[3] = __builtin_shufflevector(c, d, 2, 3, 10, 11, 6, 7, 14, 15);
}

/* Four vectors become rows of four floats, the lanes' rows `stride` floats apart. */
static inline void untranspose4(const vf in[4], float *rows, size_t stride)
{
  vf a = __builtin_shufflevector(in[0], in[1], 0, 8, 1, 9, 4, 12, 5, 13);
  vf b = __builtin_shufflevector(in[0], in[1], 2, 10, 3, 11, 6, 14, 7, 15);
  vf c = __builtin_shufflevector(in[2], in[3], 0, 8, 1, 9, 4, 12, 5, 13);
  vf d = __builtin_shufflevector(in[2], in[3], 2, 10, 3, 11, 6, 14, 7, 15);
  vf r[4];
  r[0] = __builtin_shufflevector(a, c, 0, 1, 8, 9, 4, 5, 12, 13);
  r[1] = __builtin_shufflevector(a, c, 2, 3, 10, 11, 6, 7, 14, 15);
  r[2] = __builtin_shufflevector(b, d, 0, 1, 8, 9, 4, 5, 12, 13);
  r[3] = __builtin_shufflevector(b, d, 2, 3, 10, 11, 6, 7, 14, 15);
  for (size_t i = 0; i < 4; i++) {
    memcpy(rows + i * stride, &r[i], 16);
    memcpy(rows + (i + 4) * stride, (const char *)&r[i] + 16, 16);
  }
}

/* log2 x for normal x > 0, to 2e-7: the exponent, and an odd series in (m - 1) / (m + 1). */
static inline vf log2_f(vf x)
{
  vi bits = (vi)x;
  vf m = (vf)((bits & 0x7fffff) | 0x3f800000);
  vi is_high = m > splat(1.41421356f);
  m = select_f(is_high, m * 0.5f, m);
  vf e = to_float((bits >> 23) - 127 - is_high);
  vf s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
  vf p = s2 * 0.320598898f + 0.412198583f;
  p = p * s2 + 0.577078016f;
  p = p * s2 + 0.961796694f;
  p = p * s2 + 2.88539008f;
  return e + p * s;
}

/* log2 x for normal x > 0, to 1e-4: good enough for the choice of a mipmap. */
static inline vf log2_rough(vf x)
{
  vf m = (vf)(((vi)x & 0x7fffff) | 0x3f800000);
  vf p = m * -0.0800108811f + 0.635511124f;
  p = p * m - 2.09940228f;
  p = p * m + 4.04961689f;
  p = p * m - 2.50561466f;
  return to_float(((vi)x >> 23) - 127) + p;
}

/* 2^y, to 2e-7; y is limited to [-126, 126]. */
static inline vf exp2_f(vf y)
{
  y = clamp_f(y, -126, 126);
  vi i = floor_i(y + 0.5f);
  vf f = y - to_float(i);
  vf p = f * 1.54035304e-4f + 1.33335581e-3f;
  p = p * f + 9.61812911e-3f;
  p = p * f + 5.55041087e-2f;
  p = p * f + 2.40226507e-1f;
  p = p * f + 6.93147181e-1f;
  p = p * f + 1.0f;
  return p * (vf)((i + 127) << 23);
}

/* x^e for x in [0, 1] and e >= 0; x^0 is 1. */
static inline vf pow_f(vf x, float e)
{
  int whole = e <= 128 ? (int)e : 0;
  if ((float)whole != e) {
    vf r = exp2_f(log2_f(max_f(x, splat(1e-30f))) * e);
    return select_f(x > splat(1e-30f), r, splat(0));
  }
  vf r = splat(1);
  for (; whole; whole >>= 1, x *= x)
    if (whole & 1)
      r *= x;
  return r;
}

#endif
