#include "core/zip.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "core/fs.h"

enum {
  LOCAL_SIZE = 30,
  CENTRAL_SIZE = 46,
  END_SIZE = 22,
  END64_SIZE = 56,
  LOCATOR64_SIZE = 20,
  FLAG_ENCRYPTED = 1,
  FLAG_SIZES_LATER = 8,
  FLAG_STRONG_ENCRYPTED = 0x40,
  FLAG_MASKED = 0x2000,
  METHOD_STORED = 0,
  METHOD_DEFLATE = 8,
  DEFLATE_RATIO_MAX = 1032, /* at best two bits for 258 bytes */
};

struct vk_zip {
  char *what;
  int fd;               /* -1 when opened from memory */
  const uint8_t *bytes; /* NULL when opened from a file */
  uint64_t n_byte;
  uint64_t dir_at; /* central directory; entries end before it */
  int n_entry;
  vk_zip_entry *entry; /* sorted by name */
};

static uint16_t get_u16(const uint8_t *p)
{
  return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get_u32(const uint8_t *p)
{
  return get_u16(p) | (uint32_t)get_u16(p + 2) << 16;
}

static uint64_t get_u64(const uint8_t *p)
{
  return get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

/* Bytes of the archive: *view points to n of them from `at`, which the caller has checked to be
 * there. When they come from a file they lie in *owned: free it. Files are read, not mapped: one
 * that shrinks or is unplugged is an error then, not a signal. */
static vk_status load(const vk_zip *zip, uint64_t at, uint64_t n, const uint8_t **view,
                      uint8_t **owned, vk_err *err)
{
  VK_ASSERT(at <= zip->n_byte && n <= zip->n_byte - at);
  *owned = NULL;
  if (zip->fd < 0) {
    *view = zip->bytes + at;
    return VK_OK;
  }
  uint8_t *buf = n < SIZE_MAX ? malloc((size_t)n + 1) : NULL;
  if (!buf)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %" PRIu64 " bytes", zip->what, n);
  for (uint64_t done = 0; done < n;) {
    ssize_t rc = pread(zip->fd, buf + done, (size_t)(n - done), (off_t)(at + done));
    if (rc < 0 && errno == EINTR)
      continue;
    if (rc <= 0) {
      vk_status st = rc < 0
                         ? vk_fs_fail(err, zip->what, "read")
                         : vk_fail(err, VK_E_IO, "%s: was cut short while it was read", zip->what);
      free(buf);
      return st;
    }
    done += (uint64_t)rc;
  }
  *view = *owned = buf;
  return VK_OK;
}

/* ---- the end of the directory ---- */

typedef struct dir {
  uint64_t n_entry, size, at;
} dir;

static vk_status check_dir(const vk_zip *zip, const dir *d, uint64_t end_at, vk_err *err)
{
  if (d->at > end_at || d->size > end_at - d->at)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: the directory (%" PRIu64 " bytes at %" PRIu64
                   ") runs past its end record at byte %" PRIu64,
                   zip->what, d->size, d->at, end_at);
  /* Checked before memory is taken for them. */
  if (d->n_entry > d->size / CENTRAL_SIZE || d->n_entry > INT32_MAX)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: a directory of %" PRIu64 " bytes cannot hold %" PRIu64 " entries",
                   zip->what, d->size, d->n_entry);
  return VK_OK;
}

/* locator: the bytes of the zip64 locator, which lies at byte locator_at. */
static vk_status find_dir64(const vk_zip *zip, const uint8_t *locator, uint64_t locator_at, dir *d,
                            vk_err *err)
{
  uint64_t at = get_u64(locator + 8);
  const uint8_t *p = NULL;
  uint8_t *owned = NULL;
  if (locator_at >= END64_SIZE && at <= locator_at - END64_SIZE)
    VK_TRY(load(zip, at, END64_SIZE, &p, &owned, err));
  vk_status st = VK_OK;
  if (!p || get_u32(p) != 0x06064b50)
    st = vk_fail(err, VK_E_FORMAT,
                 "%s: the zip64 locator points to byte %" PRIu64
                 ", where no zip64 end of directory is",
                 zip->what, at);
  else if (get_u32(locator + 4) != 0 || get_u32(p + 16) != 0 || get_u32(p + 20) != 0 ||
           get_u64(p + 24) != get_u64(p + 32))
    st = vk_fail(err, VK_E_UNSUPPORTED, "%s: a zip archive of several disks; join it first",
                 zip->what);
  else
    *d = (dir){.n_entry = get_u64(p + 32), .size = get_u64(p + 40), .at = get_u64(p + 48)};
  free(owned);
  return st == VK_OK ? check_dir(zip, d, at, err) : st;
}

static vk_status find_dir_in(const vk_zip *zip, const uint8_t *tail, uint64_t n_tail, dir *d,
                             vk_err *err)
{
  uint64_t tail_at = zip->n_byte - n_tail;
  uint64_t i = n_tail;
  bool found = false;
  for (uint64_t n_comment = 0; !found && n_comment + END_SIZE <= n_tail; n_comment++) {
    i = n_tail - END_SIZE - n_comment;
    found = get_u32(tail + i) == 0x06054b50 && get_u16(tail + i + 20) == n_comment;
  }
  if (!found)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: not a zip archive, or cut short: no end of directory in its %" PRIu64
                   " bytes",
                   zip->what, zip->n_byte);
  if (i >= LOCATOR64_SIZE && get_u32(tail + i - LOCATOR64_SIZE) == 0x07064b50)
    return find_dir64(zip, tail + i - LOCATOR64_SIZE, tail_at + i - LOCATOR64_SIZE, d, err);
  const uint8_t *p = tail + i;
  if (get_u16(p + 4) != 0 || get_u16(p + 6) != 0 || get_u16(p + 8) != get_u16(p + 10))
    return vk_fail(err, VK_E_UNSUPPORTED, "%s: a zip archive of several disks; join it first",
                   zip->what);
  *d = (dir){.n_entry = get_u16(p + 10), .size = get_u32(p + 12), .at = get_u32(p + 16)};
  return check_dir(zip, d, tail_at + i, err);
}

static vk_status find_dir(const vk_zip *zip, dir *d, vk_err *err)
{
  /* The end record is followed by a comment of up to 65535 bytes that ends with the file. */
  uint64_t n_max = LOCATOR64_SIZE + END_SIZE + UINT16_MAX;
  uint64_t n_tail = zip->n_byte < n_max ? zip->n_byte : n_max;
  const uint8_t *tail = NULL;
  uint8_t *owned = NULL;
  VK_TRY(load(zip, zip->n_byte - n_tail, n_tail, &tail, &owned, err));
  vk_status st = find_dir_in(zip, tail, n_tail, d, err);
  free(owned);
  return st;
}

/* ---- entries ---- */

/* Text of untrusted bytes for an error: others than printable ASCII become '?'. */
static const char *show_name(const uint8_t *name, size_t n, char buf[96])
{
  size_t n_show = n < 92 ? n : 89;
  for (size_t i = 0; i < n_show; i++)
    buf[i] = name[i] >= 0x20 && name[i] < 0x7f ? (char)name[i] : '?';
  snprintf(buf + n_show, 96 - n_show, "%s", n < 92 ? "" : "...");
  return buf;
}

const char *vk_zip_name_fault(const char *text, size_t n)
{
  const uint8_t *name = (const uint8_t *)text;
  if (n == 0)
    return "is empty";
  if (name[0] == '/')
    return "is absolute";
  if (n >= 2 && name[1] == ':')
    return "begins with a drive letter";
  for (size_t i = 0; i < n; i++)
    if (name[i] < 0x20 || name[i] == 0x7f || name[i] == '\\')
      return name[i] == '\\' ? "holds a backslash" : "holds a control character";
  for (size_t start = 0; start < n;) {
    const uint8_t *slash = memchr(name + start, '/', n - start);
    size_t end = slash ? (size_t)(slash - name) : n;
    if (end - start == 2 && name[start] == '.' && name[start + 1] == '.')
      return "leads out of the archive by '..'";
    start = end + 1;
  }
  return NULL;
}

/* Replaces those of size, packed and at that are all ones by the zip64 extra field's numbers. */
static bool apply_extra64(vk_zip_entry *e, const uint8_t *extra, size_t n)
{
  uint64_t *want[3];
  int n_want = 0;
  if (e->size == UINT32_MAX)
    want[n_want++] = &e->size;
  if (e->packed == UINT32_MAX)
    want[n_want++] = &e->packed;
  if (e->at == UINT32_MAX)
    want[n_want++] = &e->at;
  if (n_want == 0)
    return true;
  for (size_t i = 0; i + 4 <= n;) {
    size_t n_field = get_u16(extra + i + 2);
    if (n_field > n - i - 4)
      return false;
    if (get_u16(extra + i) == 1) {
      if (n_field < 8 * (size_t)n_want)
        return false;
      for (int k = 0; k < n_want; k++)
        *want[k] = get_u64(extra + i + 4 + 8 * k);
      return true;
    }
    i += 4 + n_field;
  }
  return false;
}

static vk_status check_local_bytes(const vk_zip *zip, const vk_zip_entry *e, uint16_t flags,
                                   const uint8_t *p, const char *show, vk_err *err)
{
  size_t n_name = strlen(e->name);
  if (get_u16(p + 26) != n_name || memcmp(p + LOCAL_SIZE, e->name, n_name) != 0)
    return vk_fail(err, VK_E_FORMAT, "%s: entry '%s': its local header has another name", zip->what,
                   show);
  if (get_u16(p + 8) != e->method || ((get_u16(p + 6) ^ flags) & FLAG_ENCRYPTED))
    return vk_fail(err, VK_E_FORMAT,
                   "%s: entry '%s': local header and directory disagree about the method",
                   zip->what, show);
  bool has_sizes = !(get_u16(p + 6) & FLAG_SIZES_LATER);
  uint32_t packed = get_u32(p + 18), size = get_u32(p + 22);
  if (has_sizes && (get_u32(p + 14) != e->crc || (packed != UINT32_MAX && packed != e->packed) ||
                    (size != UINT32_MAX && size != e->size)))
    return vk_fail(err, VK_E_FORMAT,
                   "%s: entry '%s': local header and directory disagree about size or CRC",
                   zip->what, show);
  return VK_OK;
}

/* Checks the local header of e, whose `at` is that header's offset, and moves `at` to the data. */
static vk_status check_local(const vk_zip *zip, vk_zip_entry *e, uint16_t flags, vk_err *err)
{
  char show[96];
  size_t n_name = strlen(e->name);
  show_name((const uint8_t *)e->name, n_name, show);
  uint64_t room = e->at <= zip->dir_at ? zip->dir_at - e->at : 0; /* for header, name and data */
  const uint8_t *p = NULL;
  uint8_t *owned = NULL;
  if (room >= LOCAL_SIZE + n_name)
    VK_TRY(load(zip, e->at, LOCAL_SIZE + n_name, &p, &owned, err));
  vk_status st = VK_OK;
  uint64_t n_head = 0;
  if (!p || get_u32(p) != 0x04034b50)
    st = vk_fail(err, VK_E_FORMAT,
                 "%s: entry '%s': no local header at byte %" PRIu64
                 ", where the directory says it is",
                 zip->what, show, e->at);
  else
    st = check_local_bytes(zip, e, flags, p, show, err);
  if (st == VK_OK)
    n_head = LOCAL_SIZE + n_name + get_u16(p + 28);
  free(owned);
  if (st == VK_OK && (n_head > room || e->packed > room - n_head))
    st = vk_fail(err, VK_E_FORMAT,
                 "%s: entry '%s': %" PRIu64 " bytes from byte %" PRIu64
                 " run into the directory at byte %" PRIu64,
                 zip->what, show, e->packed, e->at, zip->dir_at);
  e->at += n_head;
  return st;
}

/* Reads the entry at byte *at of the directory's n bytes, moves *at behind it and allocates
 * e->name. local_at is the offset of its local header, where its bytes in the archive begin. */
static vk_status read_entry(const vk_zip *zip, const uint8_t *bytes, uint64_t n, uint64_t *at,
                            vk_zip_entry *e, uint64_t *local_at, vk_err *err)
{
  const uint8_t *p = bytes + *at;
  if (n - *at < CENTRAL_SIZE || get_u32(p) != 0x02014b50)
    return vk_fail(err, VK_E_FORMAT, "%s: no entry at byte %" PRIu64 " of the directory", zip->what,
                   *at);
  size_t n_name = get_u16(p + 28), n_extra = get_u16(p + 30), n_comment = get_u16(p + 32);
  if (n_name + n_extra + n_comment > n - *at - CENTRAL_SIZE)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: the entry at byte %" PRIu64 " of the directory is cut short", zip->what,
                   *at);
  const uint8_t *name = p + CENTRAL_SIZE;
  char show[96];
  show_name(name, n_name, show);
  const char *fault = vk_zip_name_fault((const char *)name, n_name);
  if (fault)
    return vk_fail(err, VK_E_FORMAT, "%s: the entry name '%s' %s; the archive is refused",
                   zip->what, show, fault);
  uint16_t flags = get_u16(p + 8);
  if (flags & (FLAG_ENCRYPTED | FLAG_STRONG_ENCRYPTED | FLAG_MASKED))
    return vk_fail(err, VK_E_UNSUPPORTED, "%s: entry '%s' is encrypted; unpack it first", zip->what,
                   show);
  uint16_t disk = get_u16(p + 34);
  if (disk != 0 && disk != UINT16_MAX)
    return vk_fail(err, VK_E_UNSUPPORTED, "%s: a zip archive of several disks; join it first",
                   zip->what);
  *e = (vk_zip_entry){.size = get_u32(p + 24),
                      .packed = get_u32(p + 20),
                      .at = get_u32(p + 42),
                      .crc = get_u32(p + 16),
                      .method = get_u16(p + 10)};
  if (!apply_extra64(e, name + n_name, n_extra))
    return vk_fail(err, VK_E_FORMAT, "%s: entry '%s' has no valid zip64 sizes", zip->what, show);
  if ((e->method == METHOD_STORED && e->size != e->packed) ||
      (e->method == METHOD_DEFLATE && e->size / DEFLATE_RATIO_MAX > e->packed))
    return vk_fail(err, VK_E_FORMAT,
                   "%s: entry '%s' claims that %" PRIu64 " bytes unpack to %" PRIu64
                   ", which cannot be",
                   zip->what, show, e->packed, e->size);
  char *text = malloc(n_name + 1);
  if (!text)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for its directory", zip->what);
  memcpy(text, name, n_name);
  text[n_name] = '\0';
  e->name = text;
  *local_at = e->at;
  *at += CENTRAL_SIZE + n_name + n_extra + n_comment;
  return check_local(zip, e, flags, err);
}

typedef struct span {
  uint64_t begin, end;
} span;

static int compare_spans(const void *a, const void *b)
{
  const span *x = a, *y = b;
  return x->begin != y->begin ? (x->begin > y->begin) - (x->begin < y->begin)
                              : (x->end > y->end) - (x->end < y->end);
}

static int compare_entries(const void *a, const void *b)
{
  return strcmp(((const vk_zip_entry *)a)->name, ((const vk_zip_entry *)b)->name);
}

static vk_status check_entries(vk_zip *zip, span *spans, vk_err *err)
{
  qsort(spans, (size_t)zip->n_entry, sizeof *spans, compare_spans);
  for (int i = 1; i < zip->n_entry; i++)
    if (spans[i].begin < spans[i - 1].end)
      return vk_fail(err, VK_E_FORMAT,
                     "%s: two entries share the bytes from %" PRIu64 "; the archive is refused",
                     zip->what, spans[i].begin);
  qsort(zip->entry, (size_t)zip->n_entry, sizeof *zip->entry, compare_entries);
  for (int i = 1; i < zip->n_entry; i++)
    if (strcmp(zip->entry[i].name, zip->entry[i - 1].name) == 0) {
      char show[96];
      const char *name = zip->entry[i].name;
      return vk_fail(err, VK_E_FORMAT, "%s: two entries are named '%s'; the archive is refused",
                     zip->what, show_name((const uint8_t *)name, strlen(name), show));
    }
  return VK_OK;
}

static vk_status read_dir(vk_zip *zip, vk_err *err)
{
  dir d = {0};
  VK_TRY(find_dir(zip, &d, err));
  zip->dir_at = d.at;
  const uint8_t *bytes = NULL;
  uint8_t *owned = NULL;
  VK_TRY(load(zip, d.at, d.size, &bytes, &owned, err));
  vk_status st = VK_OK;
  span *spans = calloc((size_t)d.n_entry + 1, sizeof *spans);
  zip->entry = calloc((size_t)d.n_entry + 1, sizeof *zip->entry);
  if (!spans || !zip->entry) {
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for its directory", zip->what);
    goto done;
  }
  uint64_t at = 0;
  for (uint64_t i = 0; i < d.n_entry; i++) {
    vk_zip_entry *e = &zip->entry[zip->n_entry++];
    VK_TRY_DONE(read_entry(zip, bytes, d.size, &at, e, &spans[i].begin, err));
    spans[i].end = e->at + e->packed;
  }
  if (at != d.size) {
    st = vk_fail(err, VK_E_FORMAT,
                 "%s: %" PRIu64 " bytes follow the %" PRIu64 " entries of the directory", zip->what,
                 d.size - at, d.n_entry);
    goto done;
  }
  st = check_entries(zip, spans, err);
done:
  free(owned);
  free(spans);
  return st;
}

/* ---- opening ---- */

static vk_status new_zip(vk_zip **out, const char *what, vk_err *err)
{
  vk_zip *zip = calloc(1, sizeof *zip);
  char *copy = strdup(what);
  if (!zip || !copy) {
    free(zip);
    free(copy);
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to open it", what);
  }
  zip->what = copy;
  zip->fd = -1;
  *out = zip;
  return VK_OK;
}

vk_status vk_zip_open(vk_zip **out, const char *path, vk_err *err)
{
  *out = NULL;
  vk_zip *zip = NULL;
  VK_TRY(new_zip(&zip, path, err));
  vk_status st = VK_OK;
  VK_TRY_DONE(vk_fs_open(&zip->fd, path, &zip->n_byte, err));
  VK_TRY_DONE(read_dir(zip, err));
  *out = zip;
  return VK_OK;
done:
  vk_zip_free(zip);
  return st;
}

vk_status vk_zip_open_bytes(vk_zip **out, const void *bytes, size_t n, const char *what,
                            vk_err *err)
{
  *out = NULL;
  vk_zip *zip = NULL;
  VK_TRY(new_zip(&zip, what, err));
  zip->bytes = bytes;
  zip->n_byte = n;
  vk_status st = read_dir(zip, err);
  if (st != VK_OK)
    vk_zip_free(zip);
  else
    *out = zip;
  return st;
}

void vk_zip_free(vk_zip *zip)
{
  if (!zip)
    return;
  for (int i = 0; i < zip->n_entry; i++)
    free((char *)zip->entry[i].name);
  free(zip->entry);
  if (zip->fd >= 0)
    close(zip->fd);
  free(zip->what);
  free(zip);
}

int vk_zip_count(const vk_zip *zip)
{
  return zip->n_entry;
}

const vk_zip_entry *vk_zip_get(const vk_zip *zip, int i)
{
  VK_ASSERT(i >= 0 && i < zip->n_entry);
  return &zip->entry[i];
}

const vk_zip_entry *vk_zip_find(const vk_zip *zip, const char *name)
{
  vk_zip_entry key = {.name = name};
  return bsearch(&key, zip->entry, (size_t)zip->n_entry, sizeof key, compare_entries);
}

/* ---- unpacking ---- */

/* zlib counts in 32 bits, so that large buffers go in pieces. */
static uInt piece(uint64_t n)
{
  return n < 1u << 30 ? (uInt)n : 1u << 30;
}

static vk_status inflate_entry(const vk_zip *zip, const vk_zip_entry *e, const uint8_t *packed,
                               uint8_t *out, vk_err *err)
{
  z_stream z = {0};
  if (inflateInit2(&z, -MAX_WBITS) != Z_OK)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to unpack '%s'", zip->what, e->name);
  uint64_t n_in = e->packed, n_out = e->size; /* not yet handed to zlib */
  uint8_t extra;                              /* a byte behind the end, to see that none comes */
  z.next_in = (Bytef *)packed;
  z.next_out = out;
  bool past_end = false;
  int rc = Z_OK;
  while (rc == Z_OK) {
    if (z.avail_in == 0) {
      z.avail_in = piece(n_in);
      n_in -= z.avail_in;
    }
    if (z.avail_out == 0 && n_out > 0) {
      z.avail_out = piece(n_out);
      n_out -= z.avail_out;
    } else if (z.avail_out == 0) {
      if (past_end)
        break;
      past_end = true;
      z.next_out = &extra;
      z.avail_out = 1;
    }
    rc = inflate(&z, Z_NO_FLUSH);
  }
  uint64_t left_out = past_end ? 0 : n_out + z.avail_out;
  bool over = past_end && z.avail_out == 0;
  uint64_t left_in = n_in + z.avail_in;
  const char *message = z.msg ? z.msg : "the data end too early";
  inflateEnd(&z);
  if (over)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: entry '%s' unpacks to more than the %" PRIu64 " bytes that it claims",
                   zip->what, e->name, e->size);
  if (rc != Z_STREAM_END)
    return vk_fail(err, VK_E_FORMAT, "%s: entry '%s' is damaged: %s", zip->what, e->name, message);
  if (left_out > 0 || left_in > 0)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: entry '%s' is damaged: %" PRIu64 " bytes too few, %" PRIu64
                   " packed bytes left over",
                   zip->what, e->name, left_out, left_in);
  return VK_OK;
}

vk_status vk_zip_read(const vk_zip *zip, const vk_zip_entry *e, uint64_t max_bytes, void **bytes,
                      size_t *n, vk_err *err)
{
  *bytes = NULL;
  *n = 0;
  if (e->method != METHOD_STORED && e->method != METHOD_DEFLATE)
    return vk_fail(
        err, VK_E_UNSUPPORTED,
        "%s: entry '%s' is packed by method %d; only stored (0) and deflate (8) are read",
        zip->what, e->name, e->method);
  if (e->size > max_bytes || e->size >= SIZE_MAX)
    return vk_fail(err, VK_E_RANGE,
                   "%s: entry '%s' unpacks to %" PRIu64 " bytes; the limit here is %" PRIu64,
                   zip->what, e->name, e->size, max_bytes);
  uint8_t *out = malloc((size_t)e->size + 1);
  if (!out)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for the %" PRIu64 " bytes of entry '%s'",
                   zip->what, e->size, e->name);
  const uint8_t *packed = NULL;
  uint8_t *owned = NULL;
  vk_status st = VK_OK;
  VK_TRY_DONE(load(zip, e->at, e->packed, &packed, &owned, err));
  if (e->method == METHOD_DEFLATE)
    VK_TRY_DONE(inflate_entry(zip, e, packed, out, err));
  else
    memcpy(out, packed, (size_t)e->size);
  uint32_t crc = (uint32_t)crc32_z(0, out, (size_t)e->size);
  if (crc != e->crc) {
    st = vk_fail(err, VK_E_FORMAT,
                 "%s: entry '%s' is damaged: its CRC-32 is %08" PRIx32 ", expected %08" PRIx32,
                 zip->what, e->name, crc, e->crc);
    goto done;
  }
  out[e->size] = '\0';
  *bytes = out;
  *n = (size_t)e->size;
  out = NULL;
done:
  free(owned);
  free(out);
  return st;
}
