/* fuzz_png.c - any bytes as a PNG picture; checksums are made right, so that mutations get behind
 * them. */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static uint32_t get_u32(const uint8_t *p)
{
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void mend_checksums(uint8_t *png, size_t n)
{
  for (size_t at = 8; n - at >= 12;) {
    size_t n_chunk = get_u32(png + at);
    if (n_chunk > n - at - 12)
      return;
    uint32_t crc = (uint32_t)crc32(0, png + at + 4, (uInt)n_chunk + 4);
    for (int i = 0; i < 4; i++)
      png[at + 8 + n_chunk + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
    at += 12 + n_chunk;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  uint8_t *png = malloc(n ? n : 1);
  VK_ASSERT(png);
  if (n > 0)
    memcpy(png, bytes, n);
  if (n >= 8)
    mend_checksums(png, n);
  vk_err err = VK_ERR_INIT;
  vk_image image;
  if (vk_image_parse(&image, png, n, "fuzz", &err) != VK_OK)
    VK_ASSERT(err.code != VK_OK && err.text[0] && !image.pixel);
  volatile uint8_t sum = 0; /* every pixel can be read */
  for (size_t i = 0; i < (size_t)image.width * (size_t)image.height * (size_t)image.n_channel; i++)
    sum = (uint8_t)(sum + image.pixel[i]);
  vk_image_free(&image);
  free(png);
  return 0;
}
