/* init_build.h - init files as LIBERO's own are, for tests: the pickle of an array and the zip
 * around it. */
#ifndef VK_INIT_BUILD_H
#define VK_INIT_BUILD_H

#include <stdlib.h>

#include "core/zip.h"
#include "test.h"

/* The opcodes before and after the counts and the payload, as a real file has them. */
static const char init_head[] =
    "\x80\x02"
    "cnumpy.core.multiarray\n_reconstruct\nq\x00"
    "cnumpy\nndarray\nq\x01K\x00\x85q\x02"
    "c_codecs\nencode\nq\x03X\x01\x00\x00\x00"
    "bq\x04X\x06\x00\x00\x00latin1q\x05\x86q\x06Rq\x07\x87q\x08Rq\t(K\x01";
static const char init_middle[] =
    "\x86q\n"
    "cnumpy\ndtype\nq\x0bX\x02\x00\x00\x00"
    "f8q\x0c\x89\x88\x87q\rRq\x0e(K\x03X\x01\x00\x00\x00<q\x0fNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    "K\x00tq\x10"
    "b\x89h\x03X";
static const char init_tail[] = "q\x11h\x05\x86q\x12Rq\x13tq\x14"
                                "b.";

static inline size_t init_put(unsigned char *out, size_t at, const void *bytes, size_t n)
{
  memcpy(out + at, bytes, n);
  return at + n;
}

/* The pickle of value[n_row][n_col], malloc'd. Counts above 255 take two bytes. */
static inline unsigned char *init_pickle(const double *value, uint32_t n_row, uint32_t n_col,
                                         size_t *n)
{
  size_t n_byte = 8 * (size_t)n_row * n_col, at = 0;
  unsigned char *out = malloc(1000 + 2 * n_byte);
  at = init_put(out, at, init_head, sizeof init_head - 1);
  const uint32_t count[2] = {n_row, n_col};
  for (int k = 0; k < 2; k++) {
    out[at++] = count[k] < 256 ? 'K' : 'M';
    out[at++] = (unsigned char)count[k];
    if (count[k] >= 256)
      out[at++] = (unsigned char)(count[k] >> 8);
  }
  at = init_put(out, at, init_middle, sizeof init_middle - 1);
  size_t length_at = at;
  at += 4;
  for (size_t i = 0; i < n_byte; i++) {
    uint64_t bits;
    memcpy(&bits, &value[i / 8], 8);
    unsigned char c = (unsigned char)(bits >> 8 * (i % 8));
    if (c >= 0x80)
      out[at++] = (unsigned char)(0xc0 | c >> 6);
    out[at++] = c < 0x80 ? c : (unsigned char)(0x80 | (c & 0x3f));
  }
  for (int k = 0; k < 4; k++)
    out[length_at + (size_t)k] = (unsigned char)((at - length_at - 4) >> 8 * k);
  *n = init_put(out, at, init_tail, sizeof init_tail - 1);
  return out;
}

static inline void init_write(const char *path, const double *value, uint32_t n_row, uint32_t n_col)
{
  size_t n;
  unsigned char *pickle = init_pickle(value, n_row, n_col, &n);
  vk_zip_writer *w;
  vk_assert_ok(vk_zip_create(&w, path, NULL), NULL);
  vk_assert_ok(vk_zip_add(w, "archive/data.pkl", pickle, n, false, NULL), NULL);
  vk_assert_ok(vk_zip_add(w, "archive/version", "3\n", 2, false, NULL), NULL);
  vk_assert_ok(vk_zip_commit(w, NULL), NULL);
  free(pickle);
}

#endif
