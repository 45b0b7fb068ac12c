/* image.h - pictures as PNG files, by libpng. Test: tests/unit/test_image.c, tests/fuzz/fuzz_png.c
 */
#ifndef VK_CORE_IMAGE_H
#define VK_CORE_IMAGE_H

#include <stdint.h>

#include "core/err.h"

/* Larger pictures are refused, on reading and on writing. */
enum { VK_IMAGE_SIDE_MAX = 16384, VK_IMAGE_BYTES_MAX = 1 << 28 };

typedef struct vk_image {
  int width, height; /* pixels */
  int n_channel;     /* 1 gray, 3 red green blue */
  uint8_t *pixel;    /* owned; height x width x n_channel, the top row first, no padding */
} vk_image;

/* Reads any PNG as 8 bits a channel: palettes become colours, 16 bits are scaled to 8, transparency
 * is dropped; gamma and colour profiles are not applied. `what` names the source in errors. Free
 * with vk_image_free.
 * Errors: VK_E_NOTFOUND, VK_E_IO, VK_E_FORMAT (libpng's reason), VK_E_RANGE (too large),
 * VK_E_NOMEM. */
VK_NODISCARD vk_status vk_image_read(vk_image *image, const char *path, vk_err *err);
VK_NODISCARD vk_status vk_image_parse(vk_image *image, const void *bytes, size_t n,
                                      const char *what, vk_err *err);
/* A zeroed or freed image is allowed. */
void vk_image_free(vk_image *image);

/* Writes height x width x n_channel bytes as a PNG file, which appears whole or not at all.
 * Errors: VK_E_NOTFOUND (no such folder), VK_E_IO, VK_E_RANGE (too large, or empty), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_image_write(const char *path, const uint8_t *pixel, int width, int height,
                                      int n_channel, vk_err *err);

#endif
