/* test_event_file.c - event files read back by a reader of their format: lengths, CRCs (bit by
 * bit), fields; known CRCs; a full disk; several files of a process. */
#include "temp_dir.h"

#include <stdio.h>
#include <time.h>

#include "core/event_file.h"

/* ---- a reader ------------------------------------------------------------------------------ */

static uint32_t crc_of(const uint8_t *p, size_t n)
{
  uint32_t c = UINT32_MAX;
  for (size_t i = 0; i < n; i++) {
    c ^= p[i];
    for (int k = 0; k < 8; k++)
      c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
  }
  return ~c;
}

static uint32_t masked(uint32_t c)
{
  return (c >> 15 | c << 17) + 0xa282ead8u;
}

static uint64_t little(const uint8_t *p, int n)
{
  uint64_t x = 0;
  for (int i = n - 1; i >= 0; i--)
    x = x << 8 | p[i];
  return x;
}

typedef struct field {
  int number, type;
  uint64_t x; /* number, or bits */
  const uint8_t *bytes;
  size_t n;
} field;

static uint64_t take_varint(const uint8_t **p, const uint8_t *end)
{
  uint64_t x = 0;
  for (int shift = 0;; shift += 7) {
    assert_true(*p < end && shift < 64);
    x |= (uint64_t)(**p & 127) << shift;
    if (!(*(*p)++ & 128))
      return x;
  }
}

static field take_field(const uint8_t **p, const uint8_t *end)
{
  uint64_t key = take_varint(p, end);
  field f = {.number = (int)(key >> 3), .type = (int)(key & 7)};
  if (f.type == 0) {
    f.x = take_varint(p, end);
  } else {
    f.n = f.type == 1 ? 8 : f.type == 5 ? 4 : (size_t)take_varint(p, end);
    assert_true(f.type == 1 || f.type == 5 || f.type == 2);
    assert_true(f.n <= (size_t)(end - *p));
    f.bytes = *p;
    f.x = f.type == 2 ? 0 : little(*p, (int)f.n);
    *p += f.n;
  }
  return f;
}

typedef struct event {
  double wall_s;
  int64_t step;
  char version[32], tag[300];
  bool has_value, has_image, has_start;
  float value;
  int height, width, n_channel;
  const uint8_t *png;
  size_t n_png;
} event;

static void copy_text(char *to, size_t room, const field *f)
{
  assert_true(f->n < room);
  memcpy(to, f->bytes, f->n);
  to[f->n] = '\0';
}

static void read_image(event *e, const field *image)
{
  e->has_image = true;
  for (const uint8_t *p = image->bytes, *end = p + image->n; p < end;) {
    field f = take_field(&p, end);
    if (f.number == 4) {
      e->png = f.bytes;
      e->n_png = f.n;
    } else {
      *(f.number == 1 ? &e->height : f.number == 2 ? &e->width : &e->n_channel) = (int)f.x;
    }
  }
}

static void read_value(event *e, const field *value)
{
  for (const uint8_t *p = value->bytes, *end = p + value->n; p < end;) {
    field f = take_field(&p, end);
    uint32_t bits = (uint32_t)f.x;
    if (f.number == 1) {
      copy_text(e->tag, sizeof e->tag, &f);
    } else if (f.number == 2) {
      assert_int_equal(f.type, 5);
      e->has_value = true;
      memcpy(&e->value, &bits, sizeof bits);
    } else {
      assert_int_equal(f.number, 4);
      read_image(e, &f);
    }
  }
}

static void read_event(event *e, const uint8_t *p, size_t n)
{
  *e = (event){.step = 0};
  for (const uint8_t *end = p + n; p < end;) {
    field f = take_field(&p, end);
    const uint8_t *inner = f.bytes;
    if (f.number == 1) {
      memcpy(&e->wall_s, &f.x, sizeof f.x);
    } else if (f.number == 2) {
      e->step = (int64_t)f.x;
    } else if (f.number == 3) {
      copy_text(e->version, sizeof e->version, &f);
    } else if (f.number == 5) {
      field value = take_field(&inner, f.bytes + f.n);
      assert_true(value.number == 1 && inner == f.bytes + f.n);
      read_value(e, &value);
    } else {
      assert_int_equal(f.number, 7);
      field status = take_field(&inner, f.bytes + f.n);
      e->has_start = status.number == 1 && status.x == 1;
    }
  }
}

enum { EVENT_MAX = 16 };

/* All events of a file; *bytes is what their pictures lie in. */
static int read_file(const char *path, event *events, char **bytes)
{
  vk_err err = VK_ERR_INIT;
  size_t n;
  int n_event = 0;
  vk_assert_ok(vk_fs_read(bytes, &n, path, 1 << 20, &err), &err);
  for (const uint8_t *p = (const uint8_t *)*bytes, *end = p + n; p < end;) {
    assert_true(end - p >= 16 && n_event < EVENT_MAX);
    uint64_t size = little(p, 8);
    assert_int_equal(little(p + 8, 4), masked(crc_of(p, 8)));
    assert_true(size <= (uint64_t)(end - p - 16));
    assert_int_equal(little(p + 12 + size, 4), masked(crc_of(p + 12, (size_t)size)));
    read_event(&events[n_event++], p + 12, (size_t)size);
    p += 16 + size;
  }
  return n_event;
}

/* ---- tests --------------------------------------------------------------------------------- */

/* RFC 3720, B.4: so that reader and writer are not wrong alike. */
static void known_crcs(void **state)
{
  uint8_t x[32];
  memset(x, 0, sizeof x);
  assert_int_equal(crc_of(x, 32), 0x8a9136aau);
  memset(x, 255, sizeof x);
  assert_int_equal(crc_of(x, 32), 0x62a8ab43u);
  assert_int_equal(crc_of((const uint8_t *)"123456789", 9), 0xe3069283u);
}

static vk_event_file *open_in(const char *dir, int64_t first_step)
{
  vk_err err = VK_ERR_INIT;
  vk_event_file *f;
  vk_assert_ok(vk_event_file_open(&f, in_dir(dir), first_step, &err), &err);
  return f;
}

static void scalars_and_pictures(void **state)
{
  static uint8_t png[70000];
  vk_err err = VK_ERR_INIT;
  event e[EVENT_MAX];
  char *bytes, tag[VK_EVENT_TAG_MAX + 1];
  for (size_t i = 0; i < sizeof png; i++)
    png[i] = (uint8_t)(i * 7);
  memset(tag, 'x', VK_EVENT_TAG_MAX);
  tag[VK_EVENT_TAG_MAX] = '\0';
  vk_event_file *f = open_in("run/events", -1);
  vk_assert_ok(vk_event_file_scalar(f, "train/loss", 0, 0.25, &err), &err);
  vk_assert_ok(vk_event_file_scalar(f, "env/success_once", 12345678901, -1e30, &err), &err);
  vk_assert_ok(vk_event_file_scalar(f, tag, 3, NAN, &err), &err);
  vk_assert_ok(vk_event_file_image(f, tag, 4, 200, 100, 3, png, sizeof png, &err), &err);
  vk_assert_ok(vk_event_file_image(f, "a", 5, 1, 1, 1, png, 0, &err), &err);
  vk_assert_ok(vk_event_file_sync(f, &err), &err);
  assert_int_equal(read_file(vk_event_file_path(f), e, &bytes), 6);
  assert_string_equal(e[0].version, "brain.Event:2");
  assert_true(fabs(e[0].wall_s - (double)time(NULL)) < 100 && e[1].wall_s >= e[0].wall_s);
  assert_string_equal(e[1].tag, "train/loss");
  assert_true(e[1].has_value && e[1].value == 0.25f && e[1].step == 0);
  assert_string_equal(e[2].tag, "env/success_once");
  assert_true(e[2].step == 12345678901 && e[2].value == -1e30f);
  assert_string_equal(e[3].tag, tag);
  assert_true(isnan(e[3].value) && e[3].step == 3 && !e[3].has_image);
  assert_string_equal(e[4].tag, tag);
  assert_true(e[4].has_image && e[4].width == 200 && e[4].height == 100 && e[4].n_channel == 3);
  assert_true(e[4].n_png == sizeof png && memcmp(e[4].png, png, sizeof png) == 0);
  assert_true(e[5].has_image && e[5].n_png == 0 && e[5].step == 5);
  vk_event_file_close(f);
  free(bytes);
}

static void bad_calls(void **state)
{
  vk_err err = VK_ERR_INIT;
  event e[EVENT_MAX];
  char *bytes, tag[VK_EVENT_TAG_MAX + 2];
  memset(tag, 'x', VK_EVENT_TAG_MAX + 1);
  tag[VK_EVENT_TAG_MAX + 1] = '\0';
  vk_event_file *f = open_in("bad", -1);
  vk_assert_fails(vk_event_file_scalar(f, "", 0, 1, &err), VK_E_RANGE);
  vk_assert_fails(vk_event_file_scalar(f, tag, 0, 1, &err), VK_E_RANGE);
  vk_assert_says(&err, "a tag has 256 bytes, expected 1 to 255");
  vk_assert_fails(vk_event_file_image(f, "a", 0, 0, 1, 3, "", 0, &err), VK_E_RANGE);
  vk_assert_fails(vk_event_file_image(f, "a", 0, 1, 1, 5, "", 0, &err), VK_E_RANGE);
  assert_int_equal(read_file(vk_event_file_path(f), e, &bytes), 1);
  free(bytes);
  vk_event_file_close(f);
  vk_assert_ok(vk_fs_write(in_dir("file"), "x", 1, &err), &err);
  vk_assert_fails(vk_event_file_open(&f, in_dir("file/events"), -1, &err), VK_E_IO);
  assert_null(f);
  vk_event_file_close(NULL);
}

/* Each file has a name of its own, and one that goes on says from where. */
static void going_on(void **state)
{
  vk_err err = VK_ERR_INIT;
  event e[EVENT_MAX];
  char *bytes;
  vk_event_file *a = open_in("more", -1), *b = open_in("more", 40);
  assert_true(strcmp(vk_event_file_path(a), vk_event_file_path(b)) != 0);
  vk_assert_ok(vk_event_file_scalar(b, "loss", 40, 2, &err), &err);
  assert_int_equal(read_file(vk_event_file_path(a), e, &bytes), 1);
  free(bytes);
  assert_int_equal(read_file(vk_event_file_path(b), e, &bytes), 3);
  assert_true(!e[0].has_start && e[1].has_start && e[1].step == 40 && e[2].value == 2);
  free(bytes);
  vk_event_file_close(a);
  vk_event_file_close(b);
}

/* A record that does not fit is taken back; when there is space again the file goes on. */
static void full_disk(void **state)
{
  static uint8_t png[5000];
  vk_err err = VK_ERR_INIT;
  event e[EVENT_MAX];
  char *bytes;
  vk_event_file *f = open_in("full", -1);
  vk_assert_ok(vk_event_file_scalar(f, "loss", 1, 1, &err), &err);
  limit_file_size(2000);
  vk_assert_fails(vk_event_file_image(f, "view", 2, 9, 9, 3, png, sizeof png, &err), VK_E_IO);
  vk_assert_says(&err, "cannot write an event");
  limit_file_size(UINT64_MAX);
  assert_int_equal(read_file(vk_event_file_path(f), e, &bytes), 2);
  free(bytes);
  vk_assert_ok(vk_event_file_scalar(f, "loss", 3, 5, &err), &err);
  assert_int_equal(read_file(vk_event_file_path(f), e, &bytes), 3);
  assert_true(e[2].step == 3 && e[2].value == 5);
  free(bytes);
  vk_event_file_close(f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_crcs), cmocka_unit_test(scalars_and_pictures),
      cmocka_unit_test(bad_calls),  cmocka_unit_test(going_on),
      cmocka_unit_test(full_disk),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
