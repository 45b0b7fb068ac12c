/* HDF5 files: what is written comes back, bit for bit and in the same bytes; what is damaged is
 * refused in one sentence. */
#include "temp_dir.h"

#include <stdio.h>
#include <unistd.h>

#include "core/hdf5.h"

static vk_array numbers(char kind, int item_size, int64_t n, int64_t m, const void *data)
{
  return (vk_array){.kind = kind,
                    .item_size = item_size,
                    .n_dim = m   ? 2
                             : n ? 1
                                 : 0,
                    .shape = {n, m},
                    .n_item = m   ? n * m
                              : n ? n
                                  : 1,
                    .data = (void *)data};
}

static const double values[6] = {0.1, -2, 1e300, 4e-320, -0.0, 7};
static const uint8_t bytes[4] = {0, 1, 200, 255};

static void write_file(const char *path)
{
  vk_err err = VK_ERR_INIT;
  vk_h5 *f;
  const int64_t count = -3;
  const vk_array f8 = numbers('f', 8, 2, 3, values), u1 = numbers('u', 1, 4, 0, bytes);
  const vk_array i8 = numbers('i', 8, 0, 0, &count);
  char long_text[100001], *const names[] = {"demo_0", "demo_12"};
  memset(long_text, 'x', 100000);
  long_text[100000] = '\0';
  vk_assert_ok(vk_h5_create(&f, path, &err), &err);
  vk_assert_ok(vk_h5_put_group(f, "data", &err), &err);
  vk_assert_ok(vk_h5_put_group(f, "data/b", &err), &err);
  vk_assert_ok(vk_h5_put(f, "data/a", &f8, &err), &err);
  vk_assert_ok(vk_h5_put(f, "data/b/c", &u1, &err), &err);
  vk_assert_ok(vk_h5_put_attr(f, "data", "count", &i8, &err), &err);
  vk_assert_ok(vk_h5_put_attr(f, "data/a", "values", &f8, &err), &err);
  vk_assert_ok(vk_h5_put_text(f, "data/b", "model", long_text, &err), &err);
  vk_assert_ok(vk_h5_put_texts(f, "data/names", names, 2, &err), &err);
  vk_assert_ok(vk_h5_commit(f, &err), &err);
}

static void test_comes_back(void **state)
{
  vk_err err = VK_ERR_INIT;
  const char *path = in_dir("a.hdf5");
  vk_h5 *f;
  vk_array a;
  char **names, *text;
  int n;
  write_file(path);
  vk_assert_ok(vk_h5_open(&f, path, &err), &err);
  assert_int_equal(vk_h5_kind_of(f, "data"), VK_H5_GROUP);
  assert_int_equal(vk_h5_kind_of(f, "data/a"), VK_H5_DATASET);
  assert_int_equal(vk_h5_kind_of(f, "data/none/deeper"), VK_H5_NONE);
  vk_assert_ok(vk_h5_names(f, "data", &names, &n, &err), &err);
  assert_int_equal(n, 3);
  assert_string_equal(names[0], "a");
  assert_string_equal(names[2], "names");
  vk_h5_free_names(names, n);
  vk_assert_ok(vk_h5_describe(f, "data/a", NULL, &a, &err), &err);
  assert_true(a.kind == 'f' && a.item_size == 8 && a.n_dim == 2 && a.shape[1] == 3 && !a.data);
  vk_assert_ok(vk_h5_read(f, "data/a", NULL, 48, &a, &err), &err);
  assert_memory_equal(a.data, values, sizeof values);
  vk_array_free(&a);
  vk_assert_ok(vk_h5_read(f, "data/a", "values", 48, &a, &err), &err);
  assert_memory_equal(a.data, values, sizeof values);
  vk_array_free(&a);
  vk_assert_ok(vk_h5_read(f, "data/b/c", NULL, 48, &a, &err), &err);
  assert_true(a.kind == 'u' && a.n_item == 4);
  assert_memory_equal(a.data, bytes, sizeof bytes);
  vk_array_free(&a);
  vk_assert_ok(vk_h5_read(f, "data", "count", 48, &a, &err), &err);
  assert_true(a.n_dim == 0 && *(int64_t *)a.data == -3);
  vk_array_free(&a);
  vk_assert_ok(vk_h5_read_text(f, "data/b", "model", &text, &err), &err);
  assert_int_equal(strlen(text), 100000);
  free(text);
  vk_assert_ok(vk_h5_read_texts(f, "data/names", &names, &n, &err), &err);
  assert_int_equal(n, 2);
  assert_string_equal(names[1], "demo_12");
  vk_h5_free_names(names, n);
  vk_h5_close(f);
}

static void test_refusals(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_h5 *f;
  vk_array a;
  char *text;
  write_file(in_dir("b.hdf5"));
  vk_assert_ok(vk_h5_open(&f, in_dir("b.hdf5"), &err), &err);
  vk_assert_fails(vk_h5_read(f, "data/a", NULL, 47, &a, &err), VK_E_RANGE);
  vk_assert_says(&err, "larger than the limit");
  vk_assert_fails(vk_h5_read(f, "data/none", NULL, 47, &a, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "data/none is missing");
  vk_assert_fails(vk_h5_read(f, "data", "none", 47, &a, &err), VK_E_NOTFOUND);
  vk_assert_fails(vk_h5_read(f, "data/b", NULL, 47, &a, &err), VK_E_FORMAT);
  vk_assert_fails(vk_h5_read(f, "data/names", NULL, 1000, &a, &err), VK_E_FORMAT);
  vk_assert_fails(vk_h5_read_text(f, "data", "count", &text, &err), VK_E_FORMAT);
  vk_h5_close(f);
  vk_assert_fails(vk_h5_open(&f, in_dir("none.hdf5"), &err), VK_E_NOTFOUND);
  vk_assert_fails(vk_h5_open(&f, VK_SOURCE_DIR "/README.md", &err), VK_E_FORMAT);
  vk_assert_says(&err, "not an HDF5 file");
  vk_assert_fails(vk_h5_create(&f, in_dir("none/c.hdf5"), &err), VK_E_NOTFOUND);
}

/* The same content is the same bytes, whenever it is written. */
static void test_same_bytes(void **state)
{
  char *x, *y;
  size_t n_x, n_y;
  write_file(in_dir("x.hdf5"));
  sleep(1);
  write_file(in_dir("y.hdf5"));
  vk_assert_ok(vk_fs_read(&x, &n_x, in_dir("x.hdf5"), 1 << 20, NULL), NULL);
  vk_assert_ok(vk_fs_read(&y, &n_y, in_dir("y.hdf5"), 1 << 20, NULL), NULL);
  assert_int_equal(n_x, n_y);
  assert_memory_equal(x, y, n_x);
  free(x);
  free(y);
}

/* Cut anywhere: refused when it is opened or read, never a crash. */
static void test_truncated(void **state)
{
  char *whole;
  size_t n;
  write_file(in_dir("w.hdf5"));
  vk_assert_ok(vk_fs_read(&whole, &n, in_dir("w.hdf5"), 1 << 20, NULL), NULL);
  for (size_t cut = 0; cut < n; cut += 997) {
    vk_err err = VK_ERR_INIT;
    vk_h5 *f;
    vk_assert_ok(vk_fs_write(in_dir("cut.hdf5"), whole, cut, &err), &err);
    vk_assert_fails(vk_h5_open(&f, in_dir("cut.hdf5"), &err), VK_E_FORMAT);
    assert_non_null(strstr(err.text, "cut.hdf5"));
  }
  free(whole);
}

/* An attribute without a value (h5py.Empty) holds no item, as its bytes are not there. */
static void test_empty_dataspace(void **state)
{
  vk_err err = VK_ERR_INIT;
  const unsigned char scalar[16] = {1,    0,   0,   0,   0,   0,   0,   0,
                                    0xfd, 255, 255, 255, 255, 255, 255, 255};
  char *whole;
  size_t n, at = 0;
  vk_h5 *f;
  vk_array a;
  write_file(in_dir("w.hdf5"));
  vk_assert_ok(vk_fs_read(&whole, &n, in_dir("w.hdf5"), 1 << 20, NULL), NULL);
  while (at + sizeof scalar < n && memcmp(whole + at, scalar, sizeof scalar) != 0)
    at++;
  assert_true(at + sizeof scalar < n);
  memcpy(whole + at, "\2\0\0\2", 4); /* a dataspace of version 2, of the kind "null" */
  vk_assert_ok(vk_fs_write(in_dir("null.hdf5"), whole, n, &err), &err);
  free(whole);
  vk_assert_ok(vk_h5_open(&f, in_dir("null.hdf5"), &err), &err);
  vk_assert_ok(vk_h5_describe(f, "data", "count", &a, &err), &err);
  assert_true(a.kind == 'i' && a.n_dim == 0 && a.n_item == 0);
  vk_assert_ok(vk_h5_read(f, "data", "count", 48, &a, &err), &err);
  assert_int_equal(a.n_item, 0);
  vk_array_free(&a);
  vk_h5_close(f);
}

/* What was there stays, and nothing is left behind. */
static void test_full_disk(void **state)
{
  const struct rlimit small = {100000, RLIM_INFINITY};
  struct rlimit before;
  vk_err err = VK_ERR_INIT;
  vk_h5 *f;
  int n_before;
  static uint8_t big[200000];
  const vk_array a = numbers('u', 1, sizeof big, 0, big);
  vk_assert_ok(vk_fs_write(in_dir("old.hdf5"), "old", 3, &err), &err);
  n_before = n_file_in_dir();
  getrlimit(RLIMIT_FSIZE, &before);
  setrlimit(RLIMIT_FSIZE, &small);
  vk_assert_ok(vk_h5_create(&f, in_dir("old.hdf5"), &err), &err);
  vk_status st = vk_h5_put(f, "big", &a, &err);
  if (st == VK_OK)
    st = vk_h5_commit(f, &err);
  else
    vk_h5_close(f);
  setrlimit(RLIMIT_FSIZE, &before);
  vk_assert_fails(st, VK_E_IO);
  vk_assert_says(&err, "File too large");
  assert_int_equal(n_file_in_dir(), n_before);
}

int main(void)
{
  char version[40];
  if (vk_h5_version(version, sizeof version, NULL) != VK_OK)
    return VK_TEST_SKIP;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_comes_back),      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_same_bytes),      cmocka_unit_test(test_truncated),
      cmocka_unit_test(test_empty_dataspace), cmocka_unit_test(test_full_disk)};
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
