#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/fs.h"
#include "core/zip.h"

/* The first day that the format can name, 1980-01-01: times would make equal content differ. */
enum { DOS_DATE = 1 << 5 | 1, FLAG_UTF8 = 0x800, N_ENTRY_MAX = UINT16_MAX - 1 };

typedef struct written {
  char *name;
  uint32_t at, size, packed, crc;
  uint16_t method;
} written;

struct vk_zip_writer {
  vk_fs_writer file;
  uint64_t at; /* bytes written */
  int n_entry, n_room;
  written *entry;
};

static uint8_t *put_u16(uint8_t *p, unsigned value)
{
  p[0] = (uint8_t)value;
  p[1] = (uint8_t)(value >> 8);
  return p + 2;
}

static uint8_t *put_u32(uint8_t *p, uint32_t value)
{
  return put_u16(put_u16(p, value & 0xffff), value >> 16);
}

/* The 26 bytes that local headers and directory entries have in common. */
static uint8_t *put_common(uint8_t *p, const written *e)
{
  p = put_u16(p, 20); /* version that can unpack it: 2.0 */
  p = put_u16(p, FLAG_UTF8);
  p = put_u16(p, e->method);
  p = put_u16(p, 0); /* time */
  p = put_u16(p, DOS_DATE);
  p = put_u32(p, e->crc);
  p = put_u32(p, e->packed);
  p = put_u32(p, e->size);
  p = put_u16(p, (unsigned)strlen(e->name));
  return put_u16(p, 0); /* extra */
}

vk_status vk_zip_create(vk_zip_writer **out, const char *path, vk_err *err)
{
  *out = NULL;
  vk_zip_writer *w = calloc(1, sizeof *w);
  if (!w)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to write it", path);
  vk_status st = vk_fs_writer_open(&w->file, path, err);
  if (st != VK_OK)
    vk_zip_abort(w);
  else
    *out = w;
  return st;
}

/* Packs n bytes into *packed (malloc'd); NULL when that would not make them smaller. */
static vk_status deflate_bytes(const char *path, const void *bytes, size_t n, uint8_t **packed,
                               size_t *n_packed, vk_err *err)
{
  *packed = NULL;
  if (n == 0)
    return VK_OK;
  z_stream z = {0};
  uint8_t *out = malloc(n);
  /* Level 6 for every zlib: the default level's meaning differs between its forks. */
  if (!out || deflateInit2(&z, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    free(out);
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to pack %zu bytes", path, n);
  }
  z.next_in = (Bytef *)bytes;
  z.avail_in = (uInt)n; /* under 4 GiB, as is the output */
  z.next_out = out;
  z.avail_out = (uInt)n;
  int rc = deflate(&z, Z_FINISH);
  *n_packed = z.total_out;
  deflateEnd(&z);
  if (rc == Z_STREAM_END && *n_packed < n)
    *packed = out;
  else
    free(out);
  return VK_OK;
}

static vk_status check_add(const vk_zip_writer *w, const char *name, size_t n, vk_err *err)
{
  size_t n_name = strlen(name);
  const char *fault = n_name > UINT16_MAX ? "is too long" : vk_zip_name_fault(name, n_name);
  for (int i = 0; !fault && i < w->n_entry; i++)
    if (strcmp(w->entry[i].name, name) == 0)
      fault = "is there already";
  if (fault)
    return vk_fail(err, VK_E_FORMAT, "%s: the entry name '%.80s' %s", w->file.path, name, fault);
  uint64_t most = UINT32_MAX - 1;
  if (n > most || w->at + 30 + n_name + n > most || w->n_entry == N_ENTRY_MAX)
    return vk_fail(err, VK_E_RANGE,
                   "%s: entry '%.80s' of %zu bytes does not fit: archives of at most 4 GiB and %d "
                   "entries are written",
                   w->file.path, name, n, N_ENTRY_MAX);
  return VK_OK;
}

static vk_status add(vk_zip_writer *w, const void *bytes, size_t n, vk_err *err)
{
  uint64_t most = UINT32_MAX - 1;
  VK_TRY(vk_fs_writer_add(&w->file, bytes, n, err));
  w->at += n;
  return w->at > most ? vk_fail(err, VK_E_RANGE, "%s: grows over 4 GiB", w->file.path) : VK_OK;
}

vk_status vk_zip_add(vk_zip_writer *w, const char *name, const void *bytes, size_t n, bool deflate,
                     vk_err *err)
{
  VK_TRY(check_add(w, name, n, err));
  if (w->n_entry == w->n_room) {
    int n_room = w->n_room ? 2 * w->n_room : 64;
    written *entry = realloc(w->entry, (size_t)n_room * sizeof *entry);
    if (!entry)
      return vk_fail(err, VK_E_NOMEM, "%s: no memory for its directory", w->file.path);
    w->entry = entry;
    w->n_room = n_room;
  }
  uint8_t *packed = NULL;
  size_t n_packed = n;
  if (deflate)
    VK_TRY(deflate_bytes(w->file.path, bytes, n, &packed, &n_packed, err));
  if (!packed)
    n_packed = n;
  written *e = &w->entry[w->n_entry];
  *e = (written){.name = strdup(name),
                 .at = (uint32_t)w->at,
                 .size = (uint32_t)n,
                 .packed = (uint32_t)n_packed,
                 .crc = (uint32_t)crc32_z(0, n > 0 ? bytes : (const void *)"", n),
                 .method = packed ? 8 : 0};
  vk_status st = VK_OK;
  if (!e->name) {
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for its directory", w->file.path);
    goto done;
  }
  w->n_entry++;
  uint8_t head[30];
  put_common(put_u32(head, 0x04034b50), e);
  VK_TRY_DONE(add(w, head, sizeof head, err));
  VK_TRY_DONE(add(w, name, strlen(name), err));
  st = add(w, packed ? packed : bytes, n_packed, err);
done:
  free(packed);
  return st;
}

static vk_status add_dir(vk_zip_writer *w, vk_err *err)
{
  uint64_t dir_at = w->at;
  for (int i = 0; i < w->n_entry; i++) {
    const written *e = &w->entry[i];
    uint8_t head[46] = {0}; /* comment, disk and attributes stay 0 */
    put_common(put_u16(put_u32(head, 0x02014b50), 20), e);
    put_u32(head + 42, e->at);
    VK_TRY(add(w, head, sizeof head, err));
    VK_TRY(add(w, e->name, strlen(e->name), err));
  }
  uint8_t end[22] = {0};
  uint8_t *p =
      put_u16(put_u16(put_u32(end, 0x06054b50) + 4, (unsigned)w->n_entry), (unsigned)w->n_entry);
  put_u32(put_u32(p, (uint32_t)(w->at - dir_at)), (uint32_t)dir_at);
  return add(w, end, sizeof end, err);
}

vk_status vk_zip_commit(vk_zip_writer *w, vk_err *err)
{
  vk_status st = add_dir(w, err);
  if (st == VK_OK)
    st = vk_fs_writer_commit(&w->file, err);
  vk_zip_abort(w);
  return st;
}

void vk_zip_abort(vk_zip_writer *w)
{
  if (!w)
    return;
  vk_fs_writer_abort(&w->file);
  for (int i = 0; i < w->n_entry; i++)
    free(w->entry[i].name);
  free(w->entry);
  free(w);
}
