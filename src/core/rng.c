#include "core/rng.h"

#include <math.h>

#include "core/philox.h"

enum { MT_N = 624, MT_M = 397 };

void vk_mt19937_seed(vk_mt19937 *r, uint32_t seed)
{
  for (int i = 0; i < MT_N; i++) {
    r->word[i] = seed;
    seed = 1812433253u * (seed ^ (seed >> 30)) + (uint32_t)i + 1;
  }
  r->at = MT_N;
  r->has_gauss = false;
  r->gauss = 0;
}

static uint32_t mt_twist(uint32_t hi, uint32_t lo)
{
  uint32_t y = (hi & 0x80000000u) | (lo & 0x7fffffffu);
  return (y >> 1) ^ (-(y & 1) & 0x9908b0dfu);
}

static void mt_refill(vk_mt19937 *r)
{
  uint32_t *w = r->word;
  int i = 0;
  for (; i < MT_N - MT_M; i++)
    w[i] = w[i + MT_M] ^ mt_twist(w[i], w[i + 1]);
  for (; i < MT_N - 1; i++)
    w[i] = w[i + MT_M - MT_N] ^ mt_twist(w[i], w[i + 1]);
  w[MT_N - 1] = w[MT_M - 1] ^ mt_twist(w[MT_N - 1], w[0]);
  r->at = 0;
}

uint32_t vk_mt19937_next(vk_mt19937 *r)
{
  if (r->at >= MT_N)
    mt_refill(r);
  uint32_t y = r->word[r->at++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

/* 27 high and 26 low bits as a fraction of 2^53. */
static double fraction_53(uint32_t hi, uint32_t lo)
{
  return ((hi >> 5) * 67108864.0 + (lo >> 6)) / 9007199254740992.0;
}

double vk_mt19937_double(vk_mt19937 *r)
{
  uint32_t hi = vk_mt19937_next(r);
  return fraction_53(hi, vk_mt19937_next(r));
}

double vk_mt19937_uniform(vk_mt19937 *r, double lo, double hi)
{
  return lo + (hi - lo) * vk_mt19937_double(r);
}

double vk_mt19937_normal(vk_mt19937 *r)
{
  if (r->has_gauss) {
    double gauss = r->gauss;
    r->has_gauss = false;
    r->gauss = 0;
    return gauss;
  }
  double x1, x2, r2;
  do {
    x1 = 2.0 * vk_mt19937_double(r) - 1.0;
    x2 = 2.0 * vk_mt19937_double(r) - 1.0;
    r2 = x1 * x1 + x2 * x2;
  } while (r2 >= 1.0 || r2 == 0.0);
  double f = sqrt(-2.0 * log(r2) / r2);
  r->gauss = f * x1; /* numpy hands out the second first */
  r->has_gauss = true;
  return f * x2;
}

void vk_philox_init(vk_philox *r, uint64_t key, uint64_t stream)
{
  *r = (vk_philox){.key = key, .stream = stream, .at = 4};
}

uint32_t vk_philox_u32(vk_philox *r)
{
  if (r->at >= 4) {
    vk_philox_words(r->key, r->block, r->stream, r->out);
    r->block++;
    r->at = 0;
  }
  return r->out[r->at++];
}

uint64_t vk_philox_u64(vk_philox *r)
{
  uint64_t lo = vk_philox_u32(r);
  return lo | (uint64_t)vk_philox_u32(r) << 32;
}

double vk_philox_double(vk_philox *r)
{
  return (double)(vk_philox_u64(r) >> 11) * 0x1p-53;
}

double vk_philox_normal(vk_philox *r)
{
  double u = 1.0 - vk_philox_double(r); /* (0, 1]: the logarithm is finite */
  double v = vk_philox_double(r);
  return sqrt(-2.0 * log(u)) * cos(6.283185307179586477 * v);
}
