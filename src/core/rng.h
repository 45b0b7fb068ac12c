/* rng.h - generators: numpy's legacy MT19937 (what the benchmark draws from) and Philox4x32-10,
 * counter-based, for everything of our own. One per environment and worker, never a global one.
 * Source: Matsumoto & Nishimura 1998 (MT19937), numpy 1.26 randomkit (53-bit doubles, polar
 * Gaussian with a cached second value); Salmon et al. 2011 (Philox). Test: tests/unit/test_rng.c */
#ifndef VK_CORE_RNG_H
#define VK_CORE_RNG_H

#include <stdbool.h>
#include <stdint.h>

typedef struct vk_mt19937 {
  uint32_t word[624];
  int at;
  bool has_gauss;
  double gauss;
} vk_mt19937;

/* numpy.random.seed(seed) for an integer; the Gaussian cache is emptied. */
void vk_mt19937_seed(vk_mt19937 *r, uint32_t seed);

/* 32 random bits. */
uint32_t vk_mt19937_next(vk_mt19937 *r);

/* random_sample(): [0, 1) with 53 bits, two draws. */
double vk_mt19937_double(vk_mt19937 *r);

/* uniform(lo, hi): lo + (hi - lo) * double. */
double vk_mt19937_uniform(vk_mt19937 *r, double lo, double hi);

/* randn(): polar method; every second call returns the cached value and draws nothing. */
double vk_mt19937_normal(vk_mt19937 *r);

/* Philox4x32-10: 128-bit counter (stream, block) and 64-bit key; streams never overlap. `block` is
 * the next block's number, `at` the next unused word of `out` (4: none is left). */
typedef struct vk_philox {
  uint64_t key, stream, block;
  uint32_t out[4];
  int at;
} vk_philox;

/* The first value of (key, stream) comes next. */
void vk_philox_init(vk_philox *r, uint64_t key, uint64_t stream);

/* 32 and 64 random bits; u64 takes two draws, low half first. */
uint32_t vk_philox_u32(vk_philox *r);
uint64_t vk_philox_u64(vk_philox *r);

/* [0, 1) with 53 bits. */
double vk_philox_double(vk_philox *r);

/* Standard normal, Box-Muller: one value from two doubles, nothing cached. */
double vk_philox_normal(vk_philox *r);

#endif
