/* half.h - the 16-bit floats as stored numbers: bfloat16 and IEEE binary16, to and from f32, one at
 * a time. To 16 bits rounds to nearest, ties to even; too large becomes infinity, a NaN stays a NaN
 * of the same sign. Source: IEEE 754-2019 sections 3.4 and 4.3. Test: tests/unit/test_half.c */
#ifndef VK_CORE_HALF_H
#define VK_CORE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float vk_f32_from_bits(uint32_t bits)
{
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

static inline uint32_t vk_f32_bits(float f)
{
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  return bits;
}

static inline float vk_f32_from_bf16(uint16_t h)
{
  return vk_f32_from_bits((uint32_t)h << 16);
}

static inline uint16_t vk_bf16_from_f32(float f)
{
  uint32_t u = vk_f32_bits(f);
  if ((u & 0x7fffffff) > 0x7f800000) /* NaN: rounding could make it infinite */
    return (uint16_t)(u >> 16 | 0x40);
  return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline float vk_f32_from_f16(uint16_t h)
{
  uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
  if (exponent == 31)
    return vk_f32_from_bits(sign | 0x7f800000 | mantissa << 13);
  if (exponent > 0)
    return vk_f32_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
  float f = (float)mantissa * 0x1p-24f; /* subnormal: exact in f32 */
  return vk_f32_from_bits(sign | vk_f32_bits(f));
}

static inline uint16_t vk_f16_from_f32(float f)
{
  uint32_t u = vk_f32_bits(f), sign = u >> 16 & 0x8000;
  u &= 0x7fffffff;
  if (u > 0x7f800000)
    return (uint16_t)(sign | 0x7e00 | (u >> 13 & 0x1ff));
  if (u >= 0x477ff000) /* 65520, halfway between the largest finite number and the next */
    return (uint16_t)(sign | 0x7c00);
  if (u >= 0x38800000) { /* 2^-14, the smallest normal number */
    u += 0xfff + (u >> 13 & 1);
    return (uint16_t)(sign | ((u >> 13) - (112u << 10)));
  }
  /* Subnormal: adding 0.5 leaves units of 2^-24 in the last bits of the sum, rounded. */
  uint32_t units = vk_f32_bits(vk_f32_from_bits(u) + 0.5f) - 0x3f000000;
  return (uint16_t)(sign | units);
}

#endif
