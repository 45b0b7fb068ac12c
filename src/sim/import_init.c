#include "sim/import_init.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/zip.h"

enum { INIT_BYTES_MAX = 32 << 20 };

/* The pickle up to ROWS, from COLS to the payload's length, and after the payload. */
// clang-format off
static const char part_a[] =
    "\x80\x02"
    "cnumpy.core.multiarray\n_reconstruct\n" "q\x00"
    "cnumpy\nndarray\n" "q\x01"
    "K\x00" "\x85" "q\x02"
    "c_codecs\nencode\n" "q\x03"
    "X\x01\0\0\0" "b" "q\x04"
    "X\x06\0\0\0" "latin1" "q\x05"
    "\x86" "q\x06" "R" "q\x07" "\x87" "q\x08" "R" "q\x09"
    "(" "K\x01";
static const char part_b[] =
    "\x86" "q\x0a"
    "cnumpy\ndtype\n" "q\x0b"
    "X\x02\0\0\0" "f8" "q\x0c"
    "\x89" "\x88" "\x87" "q\x0d" "R" "q\x0e"
    "(" "K\x03"
    "X\x01\0\0\0" "<" "q\x0f"
    "NNN" "J\xff\xff\xff\xff" "J\xff\xff\xff\xff" "K\x00" "t" "q\x10" "b"
    "\x89" "h\x03" "X";
static const char part_c[] =
    "q\x11" "h\x05" "\x86" "q\x12" "R" "q\x13" "t" "q\x14" "b" ".";
// clang-format on

typedef struct pickle_reader {
  const unsigned char *p;
  size_t n, at;
  const char *name;
  vk_err *err;
} pickle_reader;

static vk_status refuse(const pickle_reader *r, const char *expected)
{
  return vk_fail(r->err, VK_E_FORMAT,
                 "init file %s: byte %zu of its pickle is not %s; only plain f64 arrays are read",
                 r->name, r->at, expected);
}

static vk_status match(pickle_reader *r, const char *part, size_t n)
{
  for (size_t i = 0; i < n; i++, r->at++)
    if (r->at >= r->n || r->p[r->at] != (unsigned char)part[i])
      return refuse(r, "what LIBERO writes");
  return VK_OK;
}

/* BININT1 or BININT2. */
static vk_status read_count(pickle_reader *r, uint32_t *out)
{
  size_t left = r->n - r->at;
  const unsigned char *p = r->p + r->at;
  if (left >= 2 && p[0] == 'K') {
    *out = p[1];
    r->at += 2;
  } else if (left >= 3 && p[0] == 'M') {
    *out = p[1] | (uint32_t)p[2] << 8;
    r->at += 3;
  } else {
    return refuse(r, "a count of rows or columns");
  }
  return *out > 0 ? VK_OK : refuse(r, "a count above 0");
}

/* n_in bytes of UTF-8 to n_out bytes, a code point each. */
static vk_status narrow(pickle_reader *r, size_t n_in, unsigned char *out, size_t n_out)
{
  size_t end = r->at + n_in, n = 0;
  while (r->at < end) {
    unsigned char c = r->p[r->at];
    if (c >= 0x80) {
      if ((c != 0xc2 && c != 0xc3) || r->at + 1 >= end || (r->p[r->at + 1] & 0xc0) != 0x80)
        return refuse(r, "UTF-8 of a code point below 256");
      c = (unsigned char)((c & 3) << 6 | (r->p[r->at + 1] & 0x3f));
      r->at++;
    }
    r->at++;
    if (n == n_out)
      return refuse(r, "the end of the array (it is longer than rows x columns)");
    out[n++] = c;
  }
  return n == n_out ? VK_OK : refuse(r, "a number (the array is shorter than rows x columns)");
}

static double read_f64(const unsigned char *p)
{
  uint64_t bits = 0;
  for (int i = 7; i >= 0; i--)
    bits = bits << 8 | p[i];
  double v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

static vk_status read_pickle(pickle_reader *r, vk_init_rows *rows)
{
  VK_TRY(match(r, part_a, sizeof part_a - 1));
  VK_TRY(read_count(r, &rows->n_row));
  VK_TRY(read_count(r, &rows->n_col));
  VK_TRY(match(r, part_b, sizeof part_b - 1));
  size_t n_value = (size_t)rows->n_row * rows->n_col, n_byte = 8 * n_value;
  if (r->n - r->at < 4)
    return refuse(r, "a length");
  const unsigned char *p = r->p + r->at;
  size_t length = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
  r->at += 4;
  if (length > r->n - r->at || length < n_byte || length > 2 * n_byte)
    return refuse(r, "followed by an array of that length");
  unsigned char *raw = malloc(n_byte);
  rows->value = malloc(n_byte);
  vk_status st = VK_OK;
  if (!raw || !rows->value)
    st = vk_fail(r->err, VK_E_NOMEM, "init file %s: no memory for %zu numbers", r->name, n_value);
  else
    st = narrow(r, length, raw, n_byte);
  for (size_t i = 0; st == VK_OK && i < n_value; i++) {
    rows->value[i] = read_f64(raw + 8 * i);
    if (!isfinite(rows->value[i]))
      st = vk_fail(r->err, VK_E_FORMAT, "init file %s: row %zu, column %zu is not finite", r->name,
                   i / rows->n_col, i % rows->n_col);
  }
  free(raw);
  VK_TRY(st);
  VK_TRY(match(r, part_c, sizeof part_c - 1));
  return r->at == r->n ? VK_OK : refuse(r, "the end");
}

vk_status vk_init_pickle_parse(vk_init_rows *rows, const void *bytes, size_t n, const char *name,
                               vk_err *err)
{
  *rows = (vk_init_rows){0};
  pickle_reader r = {.p = bytes, .n = n, .name = name, .err = err};
  vk_status st = read_pickle(&r, rows);
  if (st != VK_OK)
    vk_init_rows_free(rows);
  return st;
}

vk_status vk_init_rows_parse(vk_init_rows *rows, const void *bytes, size_t n, const char *name,
                             vk_err *err)
{
  *rows = (vk_init_rows){0};
  vk_zip *zip;
  VK_TRY(vk_zip_open_bytes(&zip, bytes, n, name, err));
  void *pickle = NULL;
  size_t n_pickle = 0;
  vk_status st;
  const vk_zip_entry *entry = vk_zip_find(zip, "archive/data.pkl");
  if (!entry || vk_zip_count(zip) != 2 || !vk_zip_find(zip, "archive/version") ||
      entry->method != 0) {
    st = vk_fail(err, VK_E_FORMAT,
                 "init file %s: expected the stored entries archive/data.pkl and archive/version "
                 "and nothing else",
                 name);
    goto done;
  }
  VK_TRY_DONE(vk_zip_read(zip, entry, INIT_BYTES_MAX, &pickle, &n_pickle, err));
  st = vk_init_pickle_parse(rows, pickle, n_pickle, name, err);
done:
  free(pickle);
  vk_zip_free(zip);
  return st;
}

void vk_init_rows_free(vk_init_rows *rows)
{
  free(rows->value);
  *rows = (vk_init_rows){0};
}
