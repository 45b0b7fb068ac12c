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

void vk_mt19937_seed(vk_mt19937 *r, uint32_t seed); /* numpy.random.seed(seed): init_genrand */
uint32_t vk_mt19937_next(vk_mt19937 *r);
double vk_mt19937_double(vk_mt19937 *r);            /* [0, 1), 53 bits: random_sample() */
double vk_mt19937_uniform(vk_mt19937 *r, double lo, double hi); /* lo + (hi - lo) * double */
double vk_mt19937_normal(vk_mt19937 *r);            /* randn(): legacy polar method */

/* Philox4x32-10: 128-bit counter (stream, block) and 64-bit key; streams never overlap. */
typedef struct vk_philox {
  uint64_t key, stream, block;
  uint32_t out[4];
  int at;
} vk_philox;

void vk_philox_init(vk_philox *r, uint64_t key, uint64_t stream);
uint32_t vk_philox_u32(vk_philox *r);
uint64_t vk_philox_u64(vk_philox *r);
double vk_philox_double(vk_philox *r); /* [0, 1), 53 bits */
double vk_philox_normal(vk_philox *r); /* Box-Muller, one value per two draws */

#endif
