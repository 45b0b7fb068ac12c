/* philox.h - the words of the generator vk_philox (core/rng.h), for the CPU and, where
 * cuda/kernel.h says with VK_PHILOX_FN what its functions are, for kernels. Source: Salmon et al.
 * 2011. Test: tests/unit/test_rng.c */
#ifndef VK_CORE_PHILOX_H
#define VK_CORE_PHILOX_H

#include <stdint.h>

#ifndef VK_PHILOX_FN
#define VK_PHILOX_FN static inline
#endif

/* The four words of a block of a stream under a key. */
VK_PHILOX_FN void vk_philox_words(uint64_t key, uint64_t block, uint64_t stream, uint32_t word[4])
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

#endif
