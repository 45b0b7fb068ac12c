#include "core/event_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "core/fs.h"

enum { HEAD_SIZE = 512, PNG_MAX = 1 << 30 };

struct vk_event_file {
  int fd;
  uint32_t crc[256];
  char path[VK_FS_PATH_MAX];
};

/* ---- records -------------------------------------------------------------------------------- */

static void make_table(uint32_t *table)
{
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++)
      c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
    table[i] = c;
  }
}

static uint32_t add_crc(const uint32_t *table, uint32_t c, const void *bytes, size_t n)
{
  const uint8_t *p = bytes;
  for (size_t i = 0; i < n; i++)
    c = c >> 8 ^ table[(c ^ p[i]) & 255];
  return c;
}

static uint8_t *put_masked(uint8_t *p, uint32_t c)
{
  c = ~c;
  c = (c >> 15 | c << 17) + 0xa282ead8u;
  for (int i = 0; i < 4; i++)
    *p++ = (uint8_t)(c >> (8 * i));
  return p;
}

/* Parts of a record to the end of the file, all or none. */
static vk_status write_parts(vk_event_file *f, struct iovec *part, int n_part, vk_err *err)
{
  off_t begin = lseek(f->fd, 0, SEEK_END);
  while (n_part > 0) {
    ssize_t n = writev(f->fd, part, n_part);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      vk_status st = vk_fs_fail(err, f->path, "write an event");
      if (begin >= 0 && ftruncate(f->fd, begin) != 0)
        return vk_fs_fail(err, f->path, "take back a part of an event");
      return st;
    }
    for (; n_part > 0 && (size_t)n >= part->iov_len; part++, n_part--)
      n -= (ssize_t)part->iov_len;
    if (n_part > 0) {
      part->iov_base = (char *)part->iov_base + n;
      part->iov_len -= (size_t)n;
    }
  }
  return VK_OK;
}

/* A record of n_head bytes and n_tail bytes after them. */
static vk_status write_record(vk_event_file *f, const uint8_t *head, size_t n_head,
                              const void *tail, size_t n_tail, vk_err *err)
{
  uint8_t before[12], after[4];
  uint64_t n = n_head + n_tail;
  for (int i = 0; i < 8; i++)
    before[i] = (uint8_t)(n >> (8 * i));
  put_masked(before + 8, add_crc(f->crc, UINT32_MAX, before, 8));
  uint32_t c = add_crc(f->crc, UINT32_MAX, head, n_head);
  put_masked(after, add_crc(f->crc, c, tail, n_tail));
  struct iovec part[4] = {{before, sizeof before},
                          {(void *)(uintptr_t)head, n_head},
                          {(void *)(uintptr_t)tail, n_tail},
                          {after, sizeof after}};
  return write_parts(f, part, 4, err);
}

/* ---- messages ------------------------------------------------------------------------------- */

static uint8_t *put_varint(uint8_t *p, uint64_t x)
{
  for (; x >= 128; x >>= 7)
    *p++ = (uint8_t)(x | 128);
  *p++ = (uint8_t)x;
  return p;
}

static size_t varint_size(uint64_t x)
{
  uint8_t buf[10];
  return (size_t)(put_varint(buf, x) - buf);
}

/* Type of a field: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes. */
static uint8_t *put_key(uint8_t *p, int field, int type)
{
  return put_varint(p, (uint64_t)(field << 3 | type));
}

static uint8_t *put_number(uint8_t *p, int field, uint64_t x)
{
  return put_varint(put_key(p, field, 0), x);
}

static uint8_t *put_length(uint8_t *p, int field, size_t n)
{
  return put_varint(put_key(p, field, 2), n);
}

static uint8_t *put_bytes(uint8_t *p, int field, const void *bytes, size_t n)
{
  p = put_length(p, field, n);
  memcpy(p, bytes, n);
  return p + n;
}

/* The low n bytes of bits, the lowest first. */
static uint8_t *put_bits(uint8_t *p, uint64_t bits, int n)
{
  for (int i = 0; i < n; i++)
    *p++ = (uint8_t)(bits >> (8 * i));
  return p;
}

/* Fields 1 and 2 of an event, now. */
static uint8_t *put_time_step(uint8_t *p, int64_t step)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  double time_s = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
  uint64_t bits;
  memcpy(&bits, &time_s, sizeof bits);
  p = put_bits(put_key(p, 1, 1), bits, 8);
  return put_number(p, 2, (uint64_t)step);
}

static vk_status check_tag(const vk_event_file *f, const char *tag, vk_err *err)
{
  size_t n = strlen(tag);
  if (n == 0 || n > VK_EVENT_TAG_MAX)
    return vk_fail(err, VK_E_RANGE, "%s: a tag has %zu bytes, expected 1 to %d", f->path, n,
                   VK_EVENT_TAG_MAX);
  return VK_OK;
}

/* Up to the content of a Value that has a tag and n_rest bytes after it. */
static uint8_t *put_value(uint8_t *p, int64_t step, const char *tag, size_t n_rest)
{
  size_t n_tag = strlen(tag), n_value = 1 + varint_size(n_tag) + n_tag + n_rest;
  p = put_time_step(p, step);
  p = put_length(p, 5, 1 + varint_size(n_value) + n_value);
  p = put_length(p, 1, n_value);
  return put_bytes(p, 1, tag, n_tag);
}

vk_status vk_event_file_scalar(vk_event_file *f, const char *tag, int64_t step, double value,
                               vk_err *err)
{
  uint8_t head[HEAD_SIZE], *p;
  float x = (float)value;
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  VK_TRY(check_tag(f, tag, err));
  p = put_value(head, step, tag, 5);
  p = put_bits(put_key(p, 2, 5), bits, 4);
  return write_record(f, head, (size_t)(p - head), "", 0, err);
}

vk_status vk_event_file_image(vk_event_file *f, const char *tag, int64_t step, int width,
                              int height, int n_channel, const void *png, size_t n, vk_err *err)
{
  uint8_t head[HEAD_SIZE], size[64], *p = size;
  VK_TRY(check_tag(f, tag, err));
  if (width < 1 || height < 1 || n_channel < 1 || n_channel > 4 || n > PNG_MAX)
    return vk_fail(
        err, VK_E_RANGE,
        "%s: a picture of %d x %d with %d channels in %zu bytes, expected sizes above 0, "
        "1 to 4 channels and at most %d bytes",
        f->path, width, height, n_channel, n, PNG_MAX);
  p = put_number(p, 1, (uint64_t)height);
  p = put_number(p, 2, (uint64_t)width);
  p = put_number(p, 3, (uint64_t)n_channel);
  p = put_length(p, 4, n);
  size_t n_size = (size_t)(p - size), n_image = n_size + n;
  p = put_value(head, step, tag, 1 + varint_size(n_image) + n_image);
  p = put_length(p, 4, n_image);
  memcpy(p, size, n_size);
  return write_record(f, head, (size_t)(p - head) + n_size, png, n, err);
}

/* ---- the file ------------------------------------------------------------------------------- */

static vk_status make_file(vk_event_file *f, const char *dir, vk_err *err)
{
  static atomic_int n_made;
  char host[65] = "", name[160];
  if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0')
    memcpy(host, "localhost", sizeof "localhost");
  for (char *c = host; *c; c++)
    if (*c == '/')
      *c = '_';
  snprintf(name, sizeof name, "events.out.tfevents.%010lld.%s.%d.%d", (long long)time(NULL), host,
           (int)getpid(), atomic_fetch_add(&n_made, 1));
  VK_TRY(vk_fs_make_dirs(dir, err));
  VK_TRY(vk_fs_join(f->path, sizeof f->path, dir, name, err));
  f->fd = open(f->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
  return f->fd < 0 ? vk_fs_fail(err, f->path, "create the file") : VK_OK;
}

/* The first record, and the one that says where a run goes on. */
static vk_status write_start(vk_event_file *f, int64_t first_step, vk_err *err)
{
  static const char version[] = "brain.Event:2";
  uint8_t head[HEAD_SIZE], *p = put_time_step(head, 0);
  p = put_bytes(p, 3, version, sizeof version - 1);
  VK_TRY(write_record(f, head, (size_t)(p - head), "", 0, err));
  if (first_step < 0)
    return VK_OK;
  static const uint8_t start[] = {1 << 3, 1};
  p = put_bytes(put_time_step(head, first_step), 7, start, sizeof start);
  return write_record(f, head, (size_t)(p - head), "", 0, err);
}

vk_status vk_event_file_open(vk_event_file **out, const char *dir, int64_t first_step, vk_err *err)
{
  *out = NULL;
  vk_event_file *f = calloc(1, sizeof *f);
  if (!f)
    return vk_fail(err, VK_E_NOMEM, "no memory for an event file");
  make_table(f->crc);
  f->fd = -1;
  vk_status st = make_file(f, dir, err);
  if (st == VK_OK)
    st = write_start(f, first_step, err);
  if (st != VK_OK) {
    vk_event_file_close(f);
    return st;
  }
  *out = f;
  return VK_OK;
}

void vk_event_file_close(vk_event_file *f)
{
  if (f && f->fd >= 0)
    close(f->fd);
  free(f);
}

const char *vk_event_file_path(const vk_event_file *f)
{
  return f->path;
}

vk_status vk_event_file_sync(vk_event_file *f, vk_err *err)
{
  return fsync(f->fd) == 0 ? VK_OK : vk_fs_fail(err, f->path, "sync the file");
}
