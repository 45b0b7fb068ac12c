/* The bytes of a .npy file, numbers little-endian:
 *   0  "\x93NUMPY"
 *   6  major version (1, 2 or 3), minor version (0)
 *   8  header length: u16 in version 1, u32 in versions 2 and 3
 *   .. header: a Python dict as text, for instance
 *      {'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }   padded with spaces and '\n'
 *   .. the items
 * An .npz file is a zip archive of NAME.npy entries. */
#include "core/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/zip.h"

enum { HEADER_MAX = 1 << 16, LITTLE_HOST = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ };

static const char magic[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};

/* ---- the header's dict ---- */

typedef struct text {
  const char *p, *end;
  const char *what; /* for errors */
} text;

typedef struct header {
  char descr[32];
  bool fortran, has_descr, has_fortran, has_shape;
  int n_dim;
  int64_t shape[VK_NPY_DIM_MAX];
} header;

static void skip_space(text *t)
{
  while (t->p < t->end && (*t->p == ' ' || *t->p == '\n' || *t->p == '\t' || *t->p == '\r'))
    t->p++;
}

static bool take(text *t, char c)
{
  skip_space(t);
  if (t->p == t->end || *t->p != c)
    return false;
  t->p++;
  return true;
}

static bool take_word(text *t, const char *word)
{
  size_t n = strlen(word);
  skip_space(t);
  if ((size_t)(t->end - t->p) < n || memcmp(t->p, word, n) != 0)
    return false;
  t->p += n;
  return true;
}

/* A quoted string of printable characters without escapes. */
static bool take_string(text *t, char *buf, size_t n_buf)
{
  skip_space(t);
  if (t->p == t->end || (*t->p != '\'' && *t->p != '"'))
    return false;
  const char *start = t->p + 1;
  const char *stop = memchr(start, *t->p, (size_t)(t->end - start));
  if (!stop || (size_t)(stop - start) >= n_buf)
    return false;
  for (const char *p = start; p < stop; p++)
    if (*p < 0x20 || *p > 0x7e || *p == '\\')
      return false;
  memcpy(buf, start, (size_t)(stop - start));
  buf[stop - start] = '\0';
  t->p = stop + 1;
  return true;
}

static bool take_length(text *t, int64_t *out)
{
  skip_space(t);
  const char *start = t->p;
  int64_t value = 0;
  for (; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++)
    if (__builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, *t->p - '0', &value))
      return false;
  *out = value;
  return t->p > start && (*start != '0' || t->p == start + 1);
}

static vk_status parse_shape(text *t, header *h, vk_err *err)
{
  if (!take(t, '('))
    return vk_fail(err, VK_E_FORMAT, "%s: the npy header's shape is not a tuple", t->what);
  h->n_dim = 0;
  bool comma = true;
  while (!take(t, ')')) {
    int64_t length;
    if (!comma || !take_length(t, &length))
      return vk_fail(err, VK_E_FORMAT, "%s: the npy header's shape is not a tuple of lengths",
                     t->what);
    if (h->n_dim == VK_NPY_DIM_MAX)
      return vk_fail(err, VK_E_UNSUPPORTED, "%s: an array of more than %d dimensions", t->what,
                     VK_NPY_DIM_MAX);
    h->shape[h->n_dim++] = length;
    comma = take(t, ',');
  }
  if (h->n_dim == 1 && !comma) /* (3) is a number in Python, (3,) a tuple */
    return vk_fail(err, VK_E_FORMAT, "%s: the npy header's shape is not a tuple", t->what);
  h->has_shape = true;
  return VK_OK;
}

static vk_status parse_member(text *t, header *h, vk_err *err)
{
  char key[32];
  if (!take_string(t, key, sizeof key) || !take(t, ':'))
    return vk_fail(err, VK_E_FORMAT, "%s: the npy header is not a dict", t->what);
  if (strcmp(key, "descr") == 0 && !h->has_descr) {
    if (take(t, '['))
      return vk_fail(err, VK_E_UNSUPPORTED,
                     "%s: records of several fields; save each field as an array of its own",
                     t->what);
    h->has_descr = take_string(t, h->descr, sizeof h->descr);
    if (!h->has_descr)
      return vk_fail(err, VK_E_FORMAT, "%s: the npy header's descr is not a type name", t->what);
    return VK_OK;
  }
  if (strcmp(key, "fortran_order") == 0 && !h->has_fortran) {
    h->fortran = take_word(t, "True");
    h->has_fortran = true;
    if (!h->fortran && !take_word(t, "False"))
      return vk_fail(err, VK_E_FORMAT, "%s: the npy header's fortran_order is not True or False",
                     t->what);
    return VK_OK;
  }
  if (strcmp(key, "shape") == 0 && !h->has_shape)
    return parse_shape(t, h, err);
  return vk_fail(err, VK_E_FORMAT, "%s: the npy header has an unexpected key '%s'", t->what, key);
}

static vk_status parse_header(text t, header *h, vk_err *err)
{
  memset(h, 0, sizeof *h);
  if (!take(&t, '{'))
    return vk_fail(err, VK_E_FORMAT, "%s: the npy header is not a dict", t.what);
  bool comma = true;
  while (!take(&t, '}')) {
    if (!comma)
      return vk_fail(err, VK_E_FORMAT, "%s: the npy header lacks a comma or its end", t.what);
    VK_TRY(parse_member(&t, h, err));
    comma = take(&t, ',');
  }
  skip_space(&t);
  if (t.p != t.end)
    return vk_fail(err, VK_E_FORMAT, "%s: text follows the npy header's dict", t.what);
  if (!h->has_descr || !h->has_fortran || !h->has_shape)
    return vk_fail(err, VK_E_FORMAT, "%s: the npy header lacks %s", t.what,
                   !h->has_descr     ? "descr"
                   : !h->has_fortran ? "fortran_order"
                                     : "shape");
  return VK_OK;
}

/* ---- types ---- */

static bool is_type(char kind, int64_t size)
{
  switch (kind) {
  case 'f':
    return size == 2 || size == 4 || size == 8;
  case 'i':
  case 'u':
    return size == 1 || size == 2 || size == 4 || size == 8;
  case 'b':
    return size == 1;
  case 'S':
    return size >= 1 && size <= INT32_MAX;
  default:
    return false;
  }
}

/* Splits a descr such as "<f8"; *swap: the items' bytes are in the other order than here. */
static vk_status parse_type(const char *descr, vk_array *a, bool *swap, const char *what,
                            vk_err *err)
{
  char order = descr[0];
  char kind = order ? descr[1] : '\0';
  if (kind == 'O')
    return vk_fail(err, VK_E_UNSUPPORTED,
                   "%s: an array of Python objects (a pickle), which is never read; save it as "
                   "numbers or bytes",
                   what);
  if (kind == 'U')
    return vk_fail(err, VK_E_UNSUPPORTED,
                   "%s: an array of unicode strings; save it as bytes, as by astype('S')", what);
  int64_t size = -1;
  if (order != '\0' && kind != '\0') {
    text t = {.p = descr + 2, .end = descr + strlen(descr)};
    if (!take_length(&t, &size) || t.p != t.end || descr[2] == ' ')
      size = -1;
  }
  bool any_order = size == 1 || kind == 'S';
  if (size < 0 || !is_type(kind, size) ||
      !(order == '<' || order == '>' || order == '=' || (order == '|' && any_order)))
    return vk_fail(err, VK_E_UNSUPPORTED,
                   "%s: an array of type '%s'; read are f2 f4 f8, i1 to i8, u1 to u8, b1 and S",
                   what, descr);
  a->kind = kind;
  a->item_size = (int)size;
  *swap = !any_order && ((order == '>' && LITTLE_HOST) || (order == '<' && !LITTLE_HOST));
  return VK_OK;
}

static void swap_items(uint8_t *data, int64_t n_item, int item_size)
{
  for (int64_t i = 0; i < n_item; i++, data += item_size)
    for (int lo = 0, hi = item_size - 1; lo < hi; lo++, hi--) {
      uint8_t byte = data[lo];
      data[lo] = data[hi];
      data[hi] = byte;
    }
}

/* Copies items from Fortran order (first index fastest) to C order (last index fastest). */
static void copy_from_fortran(uint8_t *out, const uint8_t *in, const vk_array *a)
{
  int64_t stride[VK_NPY_DIM_MAX], index[VK_NPY_DIM_MAX] = {0};
  int64_t step = 1;
  for (int d = 0; d < a->n_dim; d++) {
    stride[d] = step;
    step *= a->shape[d];
  }
  size_t n = (size_t)a->item_size;
  int64_t from = 0;
  for (int64_t i = 0; i < a->n_item; i++) {
    memcpy(out + (size_t)i * n, in + (size_t)from * n, n);
    for (int d = a->n_dim - 1; d >= 0; d--) {
      from += stride[d];
      if (++index[d] < a->shape[d])
        break;
      from -= stride[d] * a->shape[d];
      index[d] = 0;
    }
  }
}

/* ---- one array ---- */

static vk_status count_items(vk_array *a, const header *h, const char *what, vk_err *err)
{
  /* Lengths beside a zero are bounded too, so that callers may multiply any of them. */
  int64_t n_byte = a->item_size;
  bool empty = false;
  a->n_dim = h->n_dim;
  for (int d = 0; d < h->n_dim; d++) {
    a->shape[d] = h->shape[d];
    empty |= h->shape[d] == 0;
    if (h->shape[d] > 0 && __builtin_mul_overflow(n_byte, h->shape[d], &n_byte))
      return vk_fail(err, VK_E_FORMAT, "%s: the npy header's shape is larger than any memory",
                     what);
  }
  a->n_item = empty ? 0 : n_byte / a->item_size;
  return VK_OK;
}

static vk_status parse_npy(vk_array *a, const uint8_t *bytes, size_t n, const char *what,
                           vk_err *err)
{
  if (n < 10 || memcmp(bytes, magic, sizeof magic) != 0)
    return vk_fail(err, VK_E_FORMAT, "%s: not an npy array: it does not begin with \\x93NUMPY",
                   what);
  if (bytes[6] < 1 || bytes[6] > 3 || bytes[7] != 0)
    return vk_fail(err, VK_E_VERSION, "%s: npy format version %d.%d; read are 1.0, 2.0 and 3.0",
                   what, bytes[6], bytes[7]);
  size_t at = bytes[6] == 1 ? 10 : 12;
  size_t n_header = bytes[8] | (size_t)bytes[9] << 8;
  if (bytes[6] > 1 && n >= at)
    n_header |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
  if (n < at || n_header > n - at || n_header > HEADER_MAX)
    return vk_fail(err, VK_E_FORMAT, "%s: an npy header of %zu bytes in an array of %zu", what,
                   n_header, n);
  text t = {.p = (const char *)bytes + at, .what = what};
  t.end = t.p + n_header;
  header h;
  bool swap = false;
  VK_TRY(parse_header(t, &h, err));
  VK_TRY(parse_type(h.descr, a, &swap, what, err));
  VK_TRY(count_items(a, &h, what, err));
  const uint8_t *items = bytes + at + n_header;
  uint64_t n_byte = (uint64_t)a->n_item * (uint64_t)a->item_size;
  uint64_t n_found = n - at - n_header;
  if (n_found != n_byte)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: its npy header promises %" PRIu64 " bytes of items, but %" PRIu64 " follow",
                   what, n_byte, n_found);
  a->data = malloc((size_t)n_byte + 1);
  if (!a->data)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for an array of %" PRIu64 " bytes", what,
                   n_byte);
  if (h.fortran && a->n_dim > 1)
    copy_from_fortran(a->data, items, a);
  else
    memcpy(a->data, items, (size_t)n_byte);
  if (swap)
    swap_items(a->data, a->n_item, a->item_size);
  return VK_OK;
}

vk_status vk_npy_read(vk_array *array, const char *path, uint64_t max_bytes, vk_err *err)
{
  memset(array, 0, sizeof *array);
  char *bytes = NULL;
  size_t n = 0;
  VK_TRY(vk_fs_read(&bytes, &n, path, max_bytes < SIZE_MAX ? (size_t)max_bytes : SIZE_MAX, err));
  vk_status st = parse_npy(array, (const uint8_t *)bytes, n, path, err);
  free(bytes);
  return st;
}

void vk_array_free(vk_array *array)
{
  free(array->data);
  memset(array, 0, sizeof *array);
}

/* ---- archives ---- */

static vk_status read_member(vk_npz *npz, const vk_zip *zip, const vk_zip_entry *e,
                             const char *what, uint64_t *left, vk_err *err)
{
  size_t n_name = strlen(e->name);
  if (n_name < 5 || strcmp(e->name + n_name - 4, ".npy") != 0)
    return vk_fail(err, VK_E_FORMAT, "%s: entry '%s' is not an array (NAME.npy)", what, e->name);
  n_name -= 4;
  vk_array *a = &npz->array[npz->n_array];
  if (n_name >= sizeof a->name)
    return vk_fail(err, VK_E_FORMAT, "%s: entry '%s': names of at most %zu bytes are read", what,
                   e->name, sizeof a->name - 1);
  memcpy(a->name, e->name, n_name);
  void *bytes;
  size_t n;
  VK_TRY(vk_zip_read(zip, e, *left, &bytes, &n, err));
  *left -= n;
  char full[320];
  snprintf(full, sizeof full, "%s: array '%s'", what, a->name);
  npz->n_array++;
  vk_status st = parse_npy(a, bytes, n, full, err);
  free(bytes);
  return st;
}

static vk_status read_archive(vk_npz *npz, vk_zip *zip, const char *what, uint64_t max_bytes,
                              vk_err *err)
{
  vk_status st = VK_OK;
  int n = vk_zip_count(zip);
  npz->array = calloc((size_t)n + 1, sizeof *npz->array);
  if (!npz->array) {
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for %d arrays", what, n);
    goto done;
  }
  /* The sum is checked first, so that a bomb costs no time. */
  uint64_t left = max_bytes;
  for (int i = 0; i < n; i++) {
    uint64_t size = vk_zip_get(zip, i)->size;
    if (size > left) {
      st = vk_fail(err, VK_E_RANGE, "%s: unpacks to more than the limit here, %" PRIu64 " bytes",
                   what, max_bytes);
      goto done;
    }
    left -= size;
  }
  left = max_bytes;
  for (int i = 0; i < n; i++)
    VK_TRY_DONE(read_member(npz, zip, vk_zip_get(zip, i), what, &left, err));
done:
  vk_zip_free(zip);
  if (st != VK_OK)
    vk_npz_free(npz);
  return st;
}

vk_status vk_npz_read(vk_npz *npz, const char *path, uint64_t max_bytes, vk_err *err)
{
  memset(npz, 0, sizeof *npz);
  vk_zip *zip;
  VK_TRY(vk_zip_open(&zip, path, err));
  return read_archive(npz, zip, path, max_bytes, err);
}

vk_status vk_npz_parse(vk_npz *npz, const void *bytes, size_t n, const char *what,
                       uint64_t max_bytes, vk_err *err)
{
  memset(npz, 0, sizeof *npz);
  vk_zip *zip;
  VK_TRY(vk_zip_open_bytes(&zip, bytes, n, what, err));
  return read_archive(npz, zip, what, max_bytes, err);
}

void vk_npz_free(vk_npz *npz)
{
  for (int i = 0; i < npz->n_array; i++)
    vk_array_free(&npz->array[i]);
  free(npz->array);
  memset(npz, 0, sizeof *npz);
}

const vk_array *vk_npz_find(const vk_npz *npz, const char *name)
{
  for (int i = 0; i < npz->n_array; i++)
    if (strcmp(npz->array[i].name, name) == 0)
      return &npz->array[i];
  return NULL;
}

/* "(3, 4)", with "any" for -1. */
static const char *show_shape(int n_dim, const int64_t *shape, char buf[VK_NPY_SHAPE_SIZE])
{
  size_t at = (size_t)snprintf(buf, VK_NPY_SHAPE_SIZE, "(");
  for (int d = 0; d < n_dim && at < VK_NPY_SHAPE_SIZE - 30; d++) {
    const char *comma = d + 1 < n_dim ? ", " : n_dim == 1 ? "," : "";
    if (shape[d] < 0)
      at += (size_t)snprintf(buf + at, VK_NPY_SHAPE_SIZE - at, "any%s", comma);
    else
      at += (size_t)snprintf(buf + at, VK_NPY_SHAPE_SIZE - at, "%" PRId64 "%s", shape[d], comma);
  }
  snprintf(buf + at, VK_NPY_SHAPE_SIZE - at, ")");
  return buf;
}

const char *vk_array_shape_text(const vk_array *array, char buf[VK_NPY_SHAPE_SIZE])
{
  return show_shape(array->n_dim, array->shape, buf);
}

vk_status vk_npz_f64(const vk_npz *npz, const char *name, int n_dim, const int64_t *shape,
                     const double **data, vk_err *err)
{
  *data = NULL;
  const vk_array *a = vk_npz_find(npz, name);
  if (!a)
    return vk_fail(err, VK_E_NOTFOUND, "there is no array '%s'", name);
  if (a->kind != 'f' || a->item_size != 8)
    return vk_fail(err, VK_E_FORMAT, "array '%s' is of type %c%d, expected f8", name, a->kind,
                   a->item_size);
  bool fits = a->n_dim == n_dim;
  for (int d = 0; fits && d < n_dim; d++)
    fits = shape[d] < 0 || shape[d] == a->shape[d];
  if (!fits) {
    char found[VK_NPY_SHAPE_SIZE], expected[VK_NPY_SHAPE_SIZE];
    return vk_fail(err, VK_E_SHAPE, "array '%s' has shape %s, expected %s", name,
                   vk_array_shape_text(a, found), show_shape(n_dim, shape, expected));
  }
  *data = a->data;
  return VK_OK;
}

vk_status vk_npz_text(const vk_npz *npz, const char *name, int64_t i, char *buf, size_t n_buf,
                      vk_err *err)
{
  VK_ASSERT(n_buf > 0);
  buf[0] = '\0';
  const vk_array *a = vk_npz_find(npz, name);
  if (!a)
    return vk_fail(err, VK_E_NOTFOUND, "there is no array '%s'", name);
  if (a->kind != 'S')
    return vk_fail(err, VK_E_FORMAT, "array '%s' is of type %c%d, expected byte strings (S)", name,
                   a->kind, a->item_size);
  if (i < 0 || i >= a->n_item)
    return vk_fail(err, VK_E_SHAPE,
                   "array '%s' has %" PRId64 " items, item %" PRId64 " was asked for", name,
                   a->n_item, i);
  const char *item = (const char *)a->data + i * a->item_size;
  size_t n = strnlen(item, (size_t)a->item_size); /* numpy pads with NULs */
  for (size_t k = n; k < (size_t)a->item_size; k++)
    if (item[k] != '\0')
      return vk_fail(err, VK_E_FORMAT, "array '%s': item %" PRId64 " has a NUL inside", name, i);
  if (n >= n_buf)
    return vk_fail(err, VK_E_RANGE, "array '%s': item %" PRId64 " has %zu bytes, at most %zu fit",
                   name, i, n, n_buf - 1);
  memcpy(buf, item, n);
  buf[n] = '\0';
  return VK_OK;
}

/* ---- writing ---- */

/* The header of a version 1.0 file, padded so that the items are aligned; its length. */
static size_t make_header(char buf[512], const vk_array *a)
{
  VK_ASSERT(is_type(a->kind, a->item_size) && a->n_dim >= 0 && a->n_dim <= VK_NPY_DIM_MAX);
  char order = a->item_size == 1 || a->kind == 'S' ? '|' : LITTLE_HOST ? '<' : '>';
  size_t at = 10;
  at +=
      (size_t)snprintf(buf + at, 512 - at, "{'descr': '%c%c%d', 'fortran_order': False, 'shape': (",
                       order, a->kind, a->item_size);
  int64_t n_item = 1;
  for (int d = 0; d < a->n_dim; d++) {
    VK_ASSERT(a->shape[d] >= 0);
    n_item *= a->shape[d];
    at += (size_t)snprintf(buf + at, 512 - at, "%" PRId64 "%s", a->shape[d],
                           a->n_dim == 1      ? ","
                           : d + 1 < a->n_dim ? ", "
                                              : "");
  }
  VK_ASSERT(n_item == a->n_item);
  at += (size_t)snprintf(buf + at, 512 - at, "), }");
  while ((at + 1) % 64 != 0)
    buf[at++] = ' ';
  buf[at++] = '\n';
  memcpy(buf, magic, sizeof magic);
  buf[6] = 1;
  buf[7] = 0;
  buf[8] = (char)((at - 10) & 0xff);
  buf[9] = (char)((at - 10) >> 8);
  return at;
}

vk_status vk_npy_write(const char *path, const vk_array *array, vk_err *err)
{
  char header_text[512];
  size_t n_header = make_header(header_text, array);
  vk_fs_writer w;
  VK_TRY(vk_fs_writer_open(&w, path, err));
  vk_status st = VK_OK;
  VK_TRY_DONE(vk_fs_writer_add(&w, header_text, n_header, err));
  VK_TRY_DONE(
      vk_fs_writer_add(&w, array->data, (size_t)array->n_item * (size_t)array->item_size, err));
  st = vk_fs_writer_commit(&w, err);
done:
  vk_fs_writer_abort(&w);
  return st;
}

vk_status vk_npz_add(struct vk_zip_writer *w, const vk_array *a, vk_err *err)
{
  char name[sizeof a->name + 4], header_text[512];
  snprintf(name, sizeof name, "%s.npy", a->name);
  size_t n_header = make_header(header_text, a);
  size_t n_item_byte = (size_t)a->n_item * (size_t)a->item_size;
  uint8_t *bytes = malloc(n_header + n_item_byte);
  if (!bytes)
    return vk_fail(err, VK_E_NOMEM, "no memory to write array '%s'", a->name);
  memcpy(bytes, header_text, n_header);
  if (n_item_byte > 0)
    memcpy(bytes + n_header, a->data, n_item_byte);
  vk_status st = vk_zip_add(w, name, bytes, n_header + n_item_byte, true, err);
  free(bytes);
  return st;
}

vk_status vk_npz_write(const char *path, const vk_npz *npz, vk_err *err)
{
  vk_zip_writer *w = NULL;
  VK_TRY(vk_zip_create(&w, path, err));
  for (int i = 0; i < npz->n_array; i++) {
    vk_status st = vk_npz_add(w, &npz->array[i], err);
    if (st != VK_OK) {
      vk_zip_abort(w);
      return st;
    }
  }
  return vk_zip_commit(w, err);
}
