/* seal.h - makes mark, version, length and hash of a section file right, so that mutations get
 * behind them. */
#ifndef VK_FUZZ_SEAL_H
#define VK_FUZZ_SEAL_H

#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "core/section_file.h"

/* A sealed copy for an opener that takes it over (aligned to VK_SECTION_ALIGN). */
static inline uint8_t *seal(const vk_section_kind *kind, const uint8_t *bytes, size_t n)
{
  uint8_t *p = aligned_alloc(VK_SECTION_ALIGN, (n / VK_SECTION_ALIGN + 1) * VK_SECTION_ALIGN);
  VK_ASSERT(p);
  if (n > 0)
    memcpy(p, bytes, n);
  if (n < VK_SECTION_HEAD)
    return p;
  vk_sha256 h;
  memcpy(p, kind->magic, 8);
  memset(p + 8, 0, 24);
  p[8] = (uint8_t)kind->version;
  p[12] = (uint8_t)kind->n_section;
  for (int i = 0; i < 8; i++)
    p[16 + i] = (uint8_t)((uint64_t)n >> 8 * i);
  vk_sha256_init(&h);
  vk_sha256_add(&h, p + VK_SECTION_HEAD, n - VK_SECTION_HEAD);
  vk_sha256_end(&h, p + 32);
  return p;
}

#endif
