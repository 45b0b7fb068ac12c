/* fuzz_npz.c - any bytes as an npz archive; and as one plain array, by wrapping them into an
 * archive, so that mutations reach the header's text without a checksum in the way. */
#include <string.h>
#include <zlib.h>

#include "core/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { MAX_BYTES = 1 << 20 };

static void read_npz(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_npz npz;
  if (vk_npz_parse(&npz, bytes, n, "fuzz", MAX_BYTES, &err) != VK_OK)
    VK_ASSERT(err.code != VK_OK && err.text[0] && !npz.array);
  volatile uint8_t sum = 0; /* every item can be read */
  for (int i = 0; i < npz.n_array; i++) {
    const vk_array *a = &npz.array[i];
    int64_t n_item = 1;
    for (int d = 0; d < a->n_dim; d++)
      n_item *= a->shape[d];
    VK_ASSERT(n_item == a->n_item && n_item * a->item_size <= MAX_BYTES);
    for (int64_t k = 0; k < a->n_item * a->item_size; k++)
      sum = (uint8_t)(sum + ((const uint8_t *)a->data)[k]);
    char text[64];
    vk_status st = vk_npz_text(&npz, a->name, a->n_item - 1, text, sizeof text, &err);
    VK_ASSERT(st != VK_OK || strlen(text) < sizeof text);
  }
  vk_npz_free(&npz);
}

static uint8_t *put(uint8_t *p, uint64_t value, int n)
{
  for (int i = 0; i < n; i++)
    *p++ = (uint8_t)(value >> 8 * i);
  return p;
}

static uint8_t *put_head(uint8_t *p, uint32_t crc, size_t n)
{
  p = put(p, 20, 4);
  p = put(p, 0, 6);
  p = put(p, crc, 4);
  p = put(p, (uint32_t)n, 4);
  p = put(p, (uint32_t)n, 4);
  return put(p, 5, 4); /* length of the name, and of no extra field */
}

static void read_npy(const uint8_t *bytes, size_t n)
{
  static uint8_t npz[MAX_BYTES + 200];
  if (n > MAX_BYTES)
    return;
  uint32_t crc = (uint32_t)crc32_z(0, bytes, n);
  uint8_t *p = put_head(put(npz, 0x04034b50, 4), crc, n);
  memcpy(p, "a.npy", 5);
  if (n > 0)
    memcpy(p + 5, bytes, n);
  uint8_t *dir = p + 5 + n;
  p = put_head(put(put(dir, 0x02014b50, 4), 20, 2), crc, n);
  memset(p, 0, 14);
  memcpy(p + 14, "a.npy", 5);
  uint8_t *end = p + 19;
  p = put(put(end, 0x06054b50, 4), 0, 4);
  p = put(put(p, 1, 2), 1, 2);
  p = put(put(p, (uint32_t)(end - dir), 4), (uint32_t)(dir - npz), 4);
  p = put(p, 0, 2);
  read_npz(npz, (size_t)(p - npz));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  if (n > 0 && bytes[0] == 0x93)
    read_npy(bytes, n);
  else
    read_npz(bytes, n);
  return 0;
}
