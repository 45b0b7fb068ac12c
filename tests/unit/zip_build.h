/* zip_build.h - zip archives whose every field can lie, for tests. Add entries, change what should
 * be wrong, then end. */
#ifndef VK_ZIP_BUILD_H
#define VK_ZIP_BUILD_H

#include <zlib.h>

#include "test.h"

typedef struct zb_entry {
  const char *name;
  size_t n_name;
  uint16_t flags, method;
  uint32_t crc, size, packed, at;
  uint8_t extra[64];
  size_t n_extra;
} zb_entry;

typedef struct zb {
  uint8_t bytes[1 << 18];
  size_t n;
  size_t dir_at, dir_size; /* set by zb_end_dir */
  int n_entry;
  zb_entry entry[300];
} zb;

static inline void zb_add(zb *z, const void *bytes, size_t n)
{
  assert_true(n <= sizeof z->bytes - z->n);
  memcpy(z->bytes + z->n, bytes, n);
  z->n += n;
}

static inline void zb_int(zb *z, uint64_t value, int n)
{
  for (int i = 0; i < n; i++)
    zb_add(z, &(uint8_t){i < 8 ? (uint8_t)(value >> 8 * i) : 0}, 1);
}

static inline void zb_common(zb *z, const zb_entry *e, size_t n_extra)
{
  zb_int(z, 20, 2);
  zb_int(z, e->flags, 2);
  zb_int(z, e->method, 2);
  zb_int(z, 0x00210000, 4);
  zb_int(z, e->crc, 4);
  zb_int(z, e->packed, 4);
  zb_int(z, e->size, 4);
  zb_int(z, e->n_name, 2);
  zb_int(z, n_extra, 2);
}

/* The local header and the data; the entry can be changed until zb_end. */
static inline zb_entry *zb_file(zb *z, const char *name, int method, const void *bytes, size_t n)
{
  static uint8_t packed[1 << 18];
  zb_entry *e = &z->entry[z->n_entry++];
  *e = (zb_entry){.name = name,
                  .n_name = strlen(name),
                  .method = (uint16_t)method,
                  .crc = (uint32_t)crc32_z(0, bytes, n),
                  .size = (uint32_t)n,
                  .packed = (uint32_t)n,
                  .at = (uint32_t)z->n};
  if (method == 8) {
    z_stream s = {.next_in = (Bytef *)bytes,
                  .avail_in = (uInt)n,
                  .next_out = packed,
                  .avail_out = sizeof packed};
    assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
    e->packed = (uint32_t)s.total_out;
    deflateEnd(&s);
    bytes = packed;
  }
  zb_int(z, 0x04034b50, 4);
  zb_common(z, e, 0);
  zb_add(z, name, e->n_name);
  zb_add(z, bytes, e->packed);
  return e;
}

static inline void zb_end_dir(zb *z)
{
  z->dir_at = z->n;
  for (int i = 0; i < z->n_entry; i++) {
    const zb_entry *e = &z->entry[i];
    zb_int(z, 0x02014b50, 4);
    zb_int(z, 20, 2);
    zb_common(z, e, e->n_extra);
    zb_int(z, 0, 10);
    zb_int(z, e->at, 4);
    zb_add(z, e->name, e->n_name);
    zb_add(z, e->extra, e->n_extra);
  }
  z->dir_size = z->n - z->dir_at;
}

static inline void zb_end(zb *z)
{
  zb_end_dir(z);
  zb_int(z, 0x06054b50, 4);
  zb_int(z, 0, 4);
  zb_int(z, (uint64_t)z->n_entry, 2);
  zb_int(z, (uint64_t)z->n_entry, 2);
  zb_int(z, z->dir_size, 4);
  zb_int(z, z->dir_at, 4);
  zb_int(z, 0, 2);
}

#endif
