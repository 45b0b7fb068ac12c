/* test_zip.c - archives are read whole or refused with a sentence, and written so that others read
 * them. */
#include "temp_dir.h"
#include "zip_build.h"

#include <unistd.h>

#include "core/zip.h"

static zb z; /* large, so not on the stack */

static const char text[] = "to be packed, to be packed, to be packed, to be packed, to be packed";

static void start(void)
{
  memset(&z, 0, sizeof z);
}

static vk_status open_z(vk_zip **zip, vk_err *err)
{
  return vk_zip_open_bytes(zip, z.bytes, z.n, "x.zip", err);
}

static void refuse(vk_status code, const char *says)
{
  vk_err err = VK_ERR_INIT;
  vk_zip *zip;
  vk_assert_fails(open_z(&zip, &err), code);
  vk_assert_says(&err, "x.zip: ");
  vk_assert_says(&err, says);
  assert_null(zip);
}

static void assert_entry(const vk_zip *zip, const char *name, const void *want, size_t n_want)
{
  vk_err err = VK_ERR_INIT;
  const vk_zip_entry *e = vk_zip_find(zip, name);
  assert_non_null(e);
  void *bytes;
  size_t n;
  vk_assert_ok(vk_zip_read(zip, e, n_want, &bytes, &n, &err), &err);
  assert_int_equal(n, n_want);
  assert_memory_equal(bytes, want, n);
  assert_int_equal(((char *)bytes)[n], '\0');
  free(bytes);
}

static void refuse_entry(uint64_t max_bytes, vk_status code, const char *says)
{
  vk_err err = VK_ERR_INIT;
  vk_zip *zip;
  vk_assert_ok(open_z(&zip, &err), &err);
  void *bytes;
  size_t n;
  vk_assert_fails(vk_zip_read(zip, vk_zip_get(zip, 0), max_bytes, &bytes, &n, &err), code);
  vk_assert_says(&err, says);
  assert_null(bytes);
  vk_zip_free(zip);
}

/* Stored, deflated and empty entries and a folder; also a comment and bytes between entries. */
static void make_good(void)
{
  start();
  zb_file(&z, "b/stored.txt", 0, text, sizeof text);
  zb_file(&z, "b/", 0, "", 0);
  zb_int(&z, 0x1234, 2);
  zb_file(&z, "a/packed.txt", 8, text, sizeof text);
  zb_file(&z, "empty", 8, "", 0);
  zb_end(&z);
  z.bytes[z.n - 2] = 4;
  zb_add(&z, "PK\5\6", 4); /* a comment that looks like the end */
}

static void reads(void **state)
{
  make_good();
  vk_err err = VK_ERR_INIT;
  assert_int_equal(n_file_in_dir(), 0);
  vk_assert_ok(vk_fs_write(in_dir("x.zip"), z.bytes, z.n, &err), &err);
  for (int from_file = 0; from_file < 2; from_file++) {
    vk_zip *zip;
    vk_assert_ok(from_file ? vk_zip_open(&zip, in_dir("x.zip"), &err) : open_z(&zip, &err), &err);
    assert_int_equal(vk_zip_count(zip), 4);
    assert_string_equal(vk_zip_get(zip, 0)->name, "a/packed.txt");
    assert_string_equal(vk_zip_get(zip, 1)->name, "b/");
    assert_string_equal(vk_zip_get(zip, 2)->name, "b/stored.txt");
    assert_string_equal(vk_zip_get(zip, 3)->name, "empty");
    assert_entry(zip, "a/packed.txt", text, sizeof text);
    assert_entry(zip, "b/stored.txt", text, sizeof text);
    assert_entry(zip, "empty", "", 0);
    assert_null(vk_zip_find(zip, "b"));
    vk_zip_free(zip);
  }
  vk_zip *zip;
  vk_assert_fails(vk_zip_open(&zip, in_dir("none.zip"), &err), VK_E_NOTFOUND);
  vk_assert_fails(vk_zip_open(&zip, temp_dir, &err), VK_E_IO);
  vk_zip_free(NULL);
}

static void reads_empty_archive(void **state)
{
  start();
  zb_end(&z);
  vk_err err = VK_ERR_INIT;
  vk_zip *zip;
  vk_assert_ok(open_z(&zip, &err), &err);
  assert_int_equal(vk_zip_count(zip), 0);
  assert_null(vk_zip_find(zip, ""));
  vk_zip_free(zip);
}

/* As torch writes: sizes follow the data, padding in the local extra field, and a zip64 end. */
static void reads_torch_layout(void **state)
{
  start();
  zb_entry *e = zb_file(&z, "archive/data.pkl", 0, text, sizeof text);
  z.bytes[e->at + 6] = 8;
  memset(z.bytes + e->at + 14, 0, 12);
  e->flags = 8;
  e->packed = e->size = e->at = UINT32_MAX;
  uint64_t extra[3] = {sizeof text, sizeof text, 0}; /* this test runs on little-endian machines */
  memcpy(e->extra, "FB\2\0ab\1\0\x18\0", 10);
  memcpy(e->extra + 10, extra, sizeof extra);
  e->n_extra = 34;
  zb_end_dir(&z);
  size_t end64_at = z.n;
  zb_int(&z, 0x06064b50, 4);
  zb_int(&z, 44, 8);
  zb_int(&z, 0, 12);
  zb_int(&z, 1, 8);
  zb_int(&z, 1, 8);
  zb_int(&z, z.dir_size, 8);
  zb_int(&z, z.dir_at, 8);
  size_t locator_at = z.n;
  zb_int(&z, 0x07064b50, 4);
  zb_int(&z, 0, 4);
  zb_int(&z, end64_at, 8);
  zb_int(&z, 1, 4);
  zb_int(&z, 0x06054b50, 4);
  zb_int(&z, 0, 4);
  zb_int(&z, UINT32_MAX, 4);
  zb_int(&z, UINT64_MAX, 8);
  zb_int(&z, 0, 2);
  vk_err err = VK_ERR_INIT;
  vk_zip *zip;
  vk_assert_ok(open_z(&zip, &err), &err);
  assert_entry(zip, "archive/data.pkl", text, sizeof text);
  vk_zip_free(zip);

  z.bytes[locator_at + 8] += 1;
  refuse(VK_E_FORMAT, "the zip64 locator points to byte");
  memset(z.bytes + locator_at + 8, 0xff, 8);
  refuse(VK_E_FORMAT, "the zip64 locator points to byte 18446744073709551615");
  memset(z.bytes + locator_at + 8, 0, 8);
  z.bytes[locator_at + 8] = (uint8_t)end64_at;
  memset(z.bytes + end64_at + 40, 0xff, 8);
  refuse(VK_E_FORMAT, "runs past its end record");
  memset(z.bytes + end64_at + 24, 0xff, 16);
  refuse(VK_E_FORMAT, "runs past its end record");
  z.bytes[end64_at + 24] = 1;
  refuse(VK_E_UNSUPPORTED, "several disks");
}

static void refuses_names(void **state)
{
  static const struct {
    const char *name, *says;
  } bad[] = {{"/etc/passwd", "is absolute"},
             {"..", "leads out of the archive"},
             {"../x", "leads out of the archive"},
             {"a/../../x", "leads out of the archive"},
             {"a/..", "leads out of the archive"},
             {"a\\b", "holds a backslash"},
             {"C:x", "begins with a drive letter"},
             {"a\nb", "holds a control character"},
             {"", "is empty"}};
  for (size_t i = 0; i < VK_COUNT(bad); i++) {
    start();
    zb_file(&z, bad[i].name, 0, text, 4);
    zb_end(&z);
    refuse(VK_E_FORMAT, bad[i].says);
  }
  start();
  zb_file(&z, "harmless", 0, text, 4)->n_name = 8;
  zb_end(&z);
  z.bytes[z.dir_at + 46 + 3] = '\0';
  refuse(VK_E_FORMAT, "'har?less' holds a control character");

  static const char *const good[] = {"a..b", "...", "a/.../b", ".hidden", "a/./b", "\xc3\xa4"};
  for (size_t i = 0; i < VK_COUNT(good); i++) {
    start();
    zb_file(&z, good[i], 0, text, 4);
    zb_end(&z);
    vk_zip *zip;
    vk_assert_ok(open_z(&zip, NULL), NULL);
    assert_entry(zip, good[i], text, 4);
    vk_zip_free(zip);
  }
}

static void refuses_lies(void **state)
{
  vk_err err = VK_ERR_INIT;
  /* Two entries of one name; two that share bytes; one inside the directory; one before all. */
  start();
  zb_file(&z, "same", 0, text, 4);
  zb_file(&z, "same", 0, text, 5);
  zb_end(&z);
  refuse(VK_E_FORMAT, "two entries are named 'same'");

  start();
  zb_file(&z, "a", 0, text, 60);
  zb_file(&z, "b", 0, text, 4);
  z.entry[0].size = z.entry[0].packed = 61;
  z.bytes[18] = z.bytes[22] = 61;
  zb_end(&z);
  refuse(VK_E_FORMAT, "two entries share the bytes from 91");

  start();
  zb_file(&z, "a", 0, text, 60);
  z.entry[0].size = z.entry[0].packed = 61;
  z.bytes[18] = z.bytes[22] = 61;
  zb_end(&z);
  refuse(VK_E_FORMAT, "run into the directory at byte 91");

  start();
  zb_file(&z, "a", 0, text, 60)->at = 1;
  zb_end(&z);
  refuse(VK_E_FORMAT, "no local header at byte 1,");
  start();
  zb_file(&z, "a", 0, text, 60)->at = UINT32_MAX - 1;
  zb_end(&z);
  refuse(VK_E_FORMAT, "no local header at byte 4294967294,");
  start();
  zb_file(&z, "a", 0, text, 60)->at = UINT32_MAX;
  zb_end(&z);
  refuse(VK_E_FORMAT, "no valid zip64 sizes");

  start();
  zb_file(&z, "a", 0, text, 60)->name = "b";
  zb_end(&z);
  refuse(VK_E_FORMAT, "its local header has another name");
  start();
  zb_file(&z, "a", 0, text, 60)->method = 8;
  zb_end(&z);
  refuse(VK_E_FORMAT, "disagree about the method");
  start();
  zb_file(&z, "a", 0, text, 60)->crc ^= 1;
  zb_end(&z);
  refuse(VK_E_FORMAT, "disagree about size or CRC");
  start();
  zb_file(&z, "a", 0, text, 60)->size = 59;
  zb_end(&z);
  refuse(VK_E_FORMAT, "claims that 60 bytes unpack to 59");
  start();
  zb_file(&z, "a", 0, text, 60)->flags = 1;
  zb_end(&z);
  refuse(VK_E_UNSUPPORTED, "'a' is encrypted");

  start();
  zb_file(&z, "a", 0, text, 60);
  zb_end(&z);
  z.bytes[z.n - 22 + 4] = 1;
  refuse(VK_E_UNSUPPORTED, "several disks");
  z.bytes[z.n - 22 + 4] = 0;
  z.bytes[z.n - 22 + 8] = z.bytes[z.n - 22 + 10] = 2;
  refuse(VK_E_FORMAT, "cannot hold 2 entries");
  z.bytes[z.n - 22 + 8] = z.bytes[z.n - 22 + 10] = 0;
  refuse(VK_E_FORMAT, "47 bytes follow the 0 entries");

  vk_zip *zip;
  vk_assert_fails(vk_zip_open_bytes(&zip, "not a zip", 9, "x", &err), VK_E_FORMAT);
  vk_assert_says(&err, "x: not a zip archive, or cut short");
  vk_assert_fails(vk_zip_open_bytes(&zip, "", 0, "x", &err), VK_E_FORMAT);
}

static void refuses_bombs(void **state)
{
  static uint8_t zeros[1 << 17];
  /* Over the caller's limit. */
  start();
  zb_file(&z, "a", 8, zeros, sizeof zeros);
  zb_end(&z);
  refuse_entry(sizeof zeros - 1, VK_E_RANGE, "'a' unpacks to 131072 bytes; the limit here is");
  /* A header that claims less than comes out. */
  start();
  zb_entry *e = zb_file(&z, "a", 8, zeros, sizeof zeros);
  z.bytes[e->at + 6] = 8; /* sizes follow the data */
  e->size = 100;
  e->flags = 8;
  zb_end(&z);
  refuse_entry(1000, VK_E_FORMAT, "unpacks to more than the 100 bytes that it claims");
  /* One that claims more than deflate can. */
  start();
  zb_file(&z, "a", 8, text, 3)->size = 1u << 31;
  zb_end(&z);
  refuse(VK_E_FORMAT, "which cannot be");
  /* One that claims more than comes out. */
  start();
  e = zb_file(&z, "a", 8, zeros, sizeof zeros);
  z.bytes[e->at + 6] = 8;
  e->size = sizeof zeros + 1;
  e->flags = 8;
  zb_end(&z);
  refuse_entry(1 << 20, VK_E_FORMAT, "1 bytes too few");
  /* Bytes behind the end of the packed data. */
  start();
  e = zb_file(&z, "a", 8, zeros, sizeof zeros);
  z.bytes[e->at + 6] = 8;
  e->packed += 1;
  e->flags = 8;
  zb_int(&z, 0, 1);
  zb_end(&z);
  refuse_entry(1 << 20, VK_E_FORMAT, "1 packed bytes left over");
  /* A method that is not read. */
  start();
  e = zb_file(&z, "a", 0, text, 10);
  z.bytes[e->at + 8] = 12;
  e->method = 12;
  zb_end(&z);
  refuse_entry(1 << 20, VK_E_UNSUPPORTED, "packed by method 12");
}

/* Reads everything that can be read; false when something was refused. */
static bool read_all(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_zip *zip;
  if (vk_zip_open_bytes(&zip, bytes, n, "x.zip", &err) != VK_OK) {
    assert_true(strlen(err.text) > 10);
    return false;
  }
  bool ok = true;
  for (int i = 0; i < vk_zip_count(zip); i++) {
    void *out;
    size_t n_out;
    ok &= vk_zip_read(zip, vk_zip_get(zip, i), 1 << 20, &out, &n_out, &err) == VK_OK;
    free(out);
  }
  vk_zip_free(zip);
  return ok;
}

/* An exact copy on the heap, so that a sanitizer or valgrind sees reads outside. */
static bool read_copy(const uint8_t *bytes, size_t n)
{
  uint8_t *copy = malloc(n ? n : 1);
  memcpy(copy, bytes, n);
  bool ok = read_all(copy, n);
  free(copy);
  return ok;
}

static void survives_damage(void **state)
{
  make_good();
  assert_true(read_copy(z.bytes, z.n));
  for (size_t n = 0; n < z.n; n++)
    assert_false(read_copy(z.bytes, n));
  int n_unseen = 0;
  for (size_t i = 0; i < z.n; i++)
    for (int bit = 0; bit < 8; bit++) {
      z.bytes[i] ^= (uint8_t)(1 << bit);
      n_unseen += read_copy(z.bytes, z.n);
      z.bytes[i] ^= (uint8_t)(1 << bit);
    }
  /* Versions, times and attributes mean nothing here, and a name may be another valid name only in
   * both places: all that matters is under a checksum or checked twice. */
  assert_in_range(n_unseen, 1, 8 * (4 * (2 + 4) + 4 * (2 + 2 + 4 + 10) + 22 + 10));
}

static void writes(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_zip_writer *w;
  static uint8_t noise[5000];
  uint32_t seed = 1;
  for (size_t i = 0; i < sizeof noise; i++)
    noise[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
  int n_before = n_file_in_dir();
  for (int twice = 0; twice < 2; twice++) {
    vk_assert_ok(vk_zip_create(&w, in_dir(twice ? "w2.zip" : "w1.zip"), &err), &err);
    vk_assert_ok(vk_zip_add(w, "z/text", text, sizeof text, true, &err), &err);
    vk_assert_ok(vk_zip_add(w, "stored", text, sizeof text, false, &err), &err);
    vk_assert_ok(vk_zip_add(w, "noise", noise, sizeof noise, true, &err), &err);
    vk_assert_ok(vk_zip_add(w, "empty", NULL, 0, true, &err), &err);
    vk_assert_fails(vk_zip_add(w, "empty", "", 0, true, &err), VK_E_FORMAT);
    vk_assert_says(&err, "the entry name 'empty' is there already");
    vk_assert_fails(vk_zip_add(w, "../up", "", 0, true, &err), VK_E_FORMAT);
    vk_assert_ok(vk_zip_commit(w, &err), &err);
  }
  assert_int_equal(n_file_in_dir(), n_before + 2);
  char *one, *two;
  size_t n_one, n_two;
  vk_assert_ok(vk_fs_read(&one, &n_one, in_dir("w1.zip"), 1 << 20, &err), &err);
  vk_assert_ok(vk_fs_read(&two, &n_two, in_dir("w2.zip"), 1 << 20, &err), &err);
  assert_int_equal(n_one, n_two);
  assert_memory_equal(one, two, n_one);
  assert_true(read_all((uint8_t *)one, n_one));
  free(one);
  free(two);
  vk_zip *zip;
  vk_assert_ok(vk_zip_open(&zip, in_dir("w1.zip"), &err), &err);
  assert_int_equal(vk_zip_find(zip, "z/text")->method, 8);
  assert_int_equal(vk_zip_find(zip, "noise")->method, 0); /* would have grown */
  assert_entry(zip, "z/text", text, sizeof text);
  assert_entry(zip, "stored", text, sizeof text);
  assert_entry(zip, "noise", noise, sizeof noise);
  assert_entry(zip, "empty", "", 0);
  vk_zip_free(zip);
}

static void full_disk(void **state)
{
  vk_err err = VK_ERR_INIT;
  static uint8_t big[100000];
  vk_zip_writer *w;
  vk_assert_ok(vk_zip_create(&w, "/dev/full", &err), &err);
  vk_status st = vk_zip_add(w, "a", big, sizeof big, false, &err);
  if (st == VK_OK)
    st = vk_zip_commit(w, &err);
  else
    vk_zip_abort(w);
  vk_assert_fails(st, VK_E_IO);
  vk_assert_says(&err, "/dev/full: the disk is full");

  /* The old archive stays and nothing is left beside it. */
  vk_assert_ok(vk_fs_write(in_dir("old.zip"), "old", 3, &err), &err);
  int n_before = n_file_in_dir();
  limit_file_size(20000);
  vk_assert_ok(vk_zip_create(&w, in_dir("old.zip"), &err), &err);
  st = vk_zip_add(w, "a", big, sizeof big, false, &err);
  if (st == VK_OK)
    st = vk_zip_commit(w, &err);
  else
    vk_zip_abort(w);
  limit_file_size(UINT64_MAX);
  vk_assert_fails(st, VK_E_IO);
  assert_int_equal(n_file_in_dir(), n_before);
  char *bytes;
  size_t n;
  vk_assert_ok(vk_fs_read(&bytes, &n, in_dir("old.zip"), 100, &err), &err);
  assert_string_equal(bytes, "old");
  free(bytes);

  vk_assert_fails(vk_zip_create(&w, in_dir("no/folder.zip"), &err), VK_E_NOTFOUND);
  assert_null(w);
  vk_assert_ok(vk_zip_create(&w, in_dir("old.zip"), &err), &err);
  vk_zip_abort(w);
  vk_zip_abort(NULL);
  assert_int_equal(n_file_in_dir(), n_before);
}

/* A file that shrinks after it was opened gives an error, not a signal. */
static void file_cut_while_open(void **state)
{
  make_good();
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_fs_write(in_dir("cut.zip"), z.bytes, z.n, &err), &err);
  vk_zip *zip;
  vk_assert_ok(vk_zip_open(&zip, in_dir("cut.zip"), &err), &err);
  assert_int_equal(truncate(in_dir("cut.zip"), 50), 0);
  void *bytes;
  size_t n;
  vk_assert_fails(vk_zip_read(zip, vk_zip_find(zip, "b/stored.txt"), 1000, &bytes, &n, &err),
                  VK_E_IO);
  vk_assert_says(&err, "was cut short while it was read");
  vk_zip_free(zip);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads),
      cmocka_unit_test(reads_empty_archive),
      cmocka_unit_test(reads_torch_layout),
      cmocka_unit_test(refuses_names),
      cmocka_unit_test(refuses_lies),
      cmocka_unit_test(refuses_bombs),
      cmocka_unit_test(survives_damage),
      cmocka_unit_test(writes),
      cmocka_unit_test(full_disk),
      cmocka_unit_test(file_cut_while_open),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
