/* hash.h - SHA-256, by nettle. Source: FIPS 180-4. Test: tests/unit/test_hash.c */
#ifndef VK_CORE_HASH_H
#define VK_CORE_HASH_H

#include <nettle/sha2.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

typedef struct vk_sha256 {
  struct sha256_ctx ctx;
} vk_sha256;

/* init, add any number of times, then one end. */
void vk_sha256_init(vk_sha256 *h);
void vk_sha256_add(vk_sha256 *h, const void *bytes, size_t n);

/* The digest, raw or as 64 lower-case hex digits and a NUL; h may be added to anew afterwards. */
void vk_sha256_end(vk_sha256 *h, uint8_t digest[32]);
void vk_sha256_end_hex(vk_sha256 *h, char hex[65]);

/* All in one. */
void vk_sha256_hex(const void *bytes, size_t n, char hex[65]);

/* Of a regular file's content. Errors: VK_E_NOTFOUND, VK_E_IO. */
VK_NODISCARD vk_status vk_sha256_file(const char *path, char hex[65], vk_err *err);

#endif
