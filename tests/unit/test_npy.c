/* test_npy.c - arrays of numbers and bytes are read as NumPy means them, others refused. */
#include "temp_dir.h"
#include "zip_build.h"

#include "core/npy.h"

static zb z;

typedef struct file {
  uint8_t bytes[4096];
  size_t n;
} file;

/* An npy file with this header text and n item bytes. */
static file make_npy(int version, const char *header, const void *items, size_t n)
{
  file f = {.bytes = "\x93NUMPY"};
  size_t n_header = strlen(header);
  size_t at = version == 1 ? 10 : 12;
  f.bytes[6] = (uint8_t)version;
  f.bytes[8] = (uint8_t)n_header;
  f.bytes[9] = (uint8_t)(n_header >> 8);
  memcpy(f.bytes + at, header, n_header);
  memcpy(f.bytes + at + n_header, items, n);
  f.n = at + n_header + n;
  return f;
}

static vk_status read_file(vk_array *a, const file *f, vk_err *err)
{
  vk_assert_ok(vk_fs_write(in_dir("x.npy"), f->bytes, f->n, err), err);
  return vk_npy_read(a, in_dir("x.npy"), sizeof f->bytes, err);
}

static void refuse(const char *header, size_t n_item_byte, vk_status code, const char *says)
{
  static const uint8_t items[512];
  vk_err err = VK_ERR_INIT;
  vk_array a;
  file f = make_npy(1, header, items, n_item_byte);
  vk_assert_fails(read_file(&a, &f, &err), code);
  vk_assert_says(&err, "x.npy: ");
  vk_assert_says(&err, says);
  assert_null(a.data);
}

static vk_array read_good(int version, const char *header, const void *items, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_array a;
  file f = make_npy(version, header, items, n);
  vk_assert_ok(read_file(&a, &f, &err), &err);
  return a;
}

static void reads_types(void **state)
{
  static const struct {
    const char *descr;
    char kind;
    int size;
  } good[] = {{"<f8", 'f', 8}, {"<f4", 'f', 4}, {"<f2", 'f', 2}, {"|i1", 'i', 1},  {"<i2", 'i', 2},
              {"<i4", 'i', 4}, {"=i8", 'i', 8}, {"|u1", 'u', 1}, {"<u2", 'u', 2},  {">u4", 'u', 4},
              {"<u8", 'u', 8}, {"|b1", 'b', 1}, {"|S3", 'S', 3}, {"|S10", 'S', 10}};
  static const uint8_t items[20] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  for (size_t i = 0; i < VK_COUNT(good); i++) {
    char header[100];
    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (2,), }\n",
             good[i].descr);
    vk_array a = read_good(1, header, items, 2 * (size_t)good[i].size);
    assert_int_equal(a.kind, good[i].kind);
    assert_int_equal(a.item_size, good[i].size);
    assert_int_equal(a.n_dim, 1);
    assert_int_equal(a.shape[0], 2);
    assert_int_equal(a.n_item, 2);
    if (good[i].descr[0] == '>')
      assert_memory_equal(a.data, ((uint8_t[]){4, 3, 2, 1, 8, 7, 6, 5}), 8);
    else
      assert_memory_equal(a.data, items, 2 * (size_t)good[i].size);
    vk_array_free(&a);
  }
}

static void reads_headers(void **state)
{
  double items[6] = {0, 1, 2, 3, 4, 5};
  /* No dimensions, versions 2 and 3, other orders, quotes and spaces. */
  vk_array a = read_good(2, "{'descr': '<f8', 'fortran_order': False, 'shape': (), }\n", items, 8);
  assert_int_equal(a.n_dim, 0);
  assert_int_equal(a.n_item, 1);
  vk_array_free(&a);
  a = read_good(3, " { \"shape\" :( 3 ,2) ,\"fortran_order\":False, 'descr':'<f8'}", items, 48);
  assert_int_equal(a.n_dim, 2);
  assert_int_equal(a.shape[0], 3);
  assert_int_equal(a.shape[1], 2);
  assert_memory_equal(a.data, items, 48);
  vk_array_free(&a);
  a = read_good(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 7), }", items, 0);
  assert_int_equal(a.n_item, 0);
  assert_int_equal(a.shape[1], 7);
  assert_non_null(a.data);
  vk_array_free(&a);
  vk_array_free(&a);
}

static void transposes_fortran_order(void **state)
{
  int32_t items[24], want[24];
  for (int i = 0; i < 2; i++)
    for (int j = 0; j < 3; j++)
      for (int k = 0; k < 4; k++) {
        items[i + 2 * j + 6 * k] = 100 * i + 10 * j + k;
        want[12 * i + 4 * j + k] = 100 * i + 10 * j + k;
      }
  vk_array a = read_good(1, "{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3, 4), }", items,
                         sizeof items);
  assert_memory_equal(a.data, want, sizeof want);
  vk_array_free(&a);
  a = read_good(1, "{'descr': '<i4', 'fortran_order': True, 'shape': (24,), }", items,
                sizeof items);
  assert_memory_equal(a.data, items, sizeof items);
  vk_array_free(&a);
  a = read_good(1, "{'descr': '<i4', 'fortran_order': True, 'shape': (3, 0), }", items, 0);
  assert_int_equal(a.n_item, 0);
  vk_array_free(&a);
}

static void refuses_headers(void **state)
{
#define HEADER(descr, order, shape)                                                                \
  "{'descr': " descr ", 'fortran_order': " order ", 'shape': " shape ", }"
  refuse(HEADER("'|O'", "False", "(2,)"), 16, VK_E_UNSUPPORTED, "Python objects (a pickle)");
  refuse(HEADER("'<U4'", "False", "(2,)"), 32, VK_E_UNSUPPORTED, "unicode strings; save it as");
  refuse(HEADER("'<c16'", "False", "(1,)"), 16, VK_E_UNSUPPORTED, "type '<c16'");
  refuse(HEADER("'<f16'", "False", "(1,)"), 16, VK_E_UNSUPPORTED, "type '<f16'");
  refuse(HEADER("'<M8[ns]'", "False", "(1,)"), 8, VK_E_UNSUPPORTED, "type '<M8[ns]'");
  refuse(HEADER("'|f8'", "False", "(1,)"), 8, VK_E_UNSUPPORTED, "type '|f8'");
  refuse(HEADER("'f8'", "False", "(1,)"), 8, VK_E_UNSUPPORTED, "type 'f8'");
  refuse(HEADER("'<f08'", "False", "(1,)"), 8, VK_E_UNSUPPORTED, "type '<f08'");
  refuse(HEADER("'<f'", "False", "(1,)"), 8, VK_E_UNSUPPORTED, "type '<f'");
  refuse(HEADER("'<f 8'", "False", "(1,)"), 8, VK_E_UNSUPPORTED, "type '<f 8'");
  refuse(HEADER("''", "False", "(1,)"), 8, VK_E_UNSUPPORTED, "type ''");
  refuse(HEADER("'|S0'", "False", "(9223372036854775807,)"), 0, VK_E_UNSUPPORTED, "type '|S0'");
  refuse(HEADER("[('a', '<f8')]", "False", "(1,)"), 8, VK_E_UNSUPPORTED, "several fields");
  refuse(HEADER("8", "False", "(1,)"), 8, VK_E_FORMAT, "descr is not a type name");
  refuse(HEADER("'<f8'", "None", "(1,)"), 8, VK_E_FORMAT, "fortran_order is not True or False");
  refuse(HEADER("'<f8'", "False", "1"), 8, VK_E_FORMAT, "shape is not a tuple");
  refuse(HEADER("'<f8'", "False", "(1)"), 8, VK_E_FORMAT, "shape is not a tuple");
  refuse(HEADER("'<f8'", "False", "(-1,)"), 8, VK_E_FORMAT, "not a tuple of lengths");
  refuse(HEADER("'<f8'", "False", "(1 1)"), 8, VK_E_FORMAT, "not a tuple of lengths");
  refuse(HEADER("'<f8'", "False", "(99999999999999999999,)"), 8, VK_E_FORMAT, "tuple of lengths");
  refuse(HEADER("'<f8'", "False", "(2,2,2,2,2,2,2,2,2)"), 8, VK_E_UNSUPPORTED, "more than 8");
  refuse(HEADER("'<f8'", "False", "(4294967296,4294967296)"), 8, VK_E_FORMAT, "larger than any");
  refuse(HEADER("'<f8'", "False", "(2305843009213693952,)"), 8, VK_E_FORMAT, "larger than any");
  refuse(HEADER("'<f8'", "False", "(0,9223372036854775807)"), 0, VK_E_FORMAT, "larger than any");
  refuse(HEADER("'<f8'", "False", "(2,)"), 15, VK_E_FORMAT, "promises 16 bytes of items, but 15");
  refuse(HEADER("'<f8'", "False", "(2,)"), 17, VK_E_FORMAT, "promises 16 bytes of items, but 17");
  refuse(HEADER("'<f8'", "False", "(2,)") " x", 16, VK_E_FORMAT, "text follows");
  refuse("{'descr': '<f8', 'shape': (1,)}", 8, VK_E_FORMAT, "lacks fortran_order");
  refuse("{'fortran_order': False, 'shape': (1,)}", 8, VK_E_FORMAT, "lacks descr");
  refuse("{'descr': '<f8', 'fortran_order': False}", 8, VK_E_FORMAT, "lacks shape");
  refuse("{'descr': '<f8', 'descr': '<f8'}", 8, VK_E_FORMAT, "unexpected key 'descr'");
  refuse("{'x': 1}", 8, VK_E_FORMAT, "unexpected key 'x'");
  refuse("{'descr' '<f8'}", 8, VK_E_FORMAT, "not a dict");
  refuse("{'descr': '<f8' 'shape': (1,)}", 8, VK_E_FORMAT, "lacks a comma");
  refuse("", 8, VK_E_FORMAT, "not a dict");
  vk_err err = VK_ERR_INIT;
  vk_array a;
  file f = make_npy(4, HEADER("'<f8'", "False", "()"), "12345678", 8);
  vk_assert_fails(read_file(&a, &f, &err), VK_E_VERSION);
  vk_assert_says(&err, "npy format version 4.0");
  f.bytes[0] = 'x';
  vk_assert_fails(read_file(&a, &f, &err), VK_E_FORMAT);
  vk_assert_says(&err, "does not begin with");
  vk_assert_fails(vk_npy_read(&a, in_dir("x.npy"), 10, &err), VK_E_RANGE);
  vk_assert_fails(vk_npy_read(&a, in_dir("none.npy"), 10, &err), VK_E_NOTFOUND);
}

/* ---- archives ---- */

static void add_array(const char *name, const char *header, const void *items, size_t n)
{
  file f = make_npy(1, header, items, n);
  zb_file(&z, name, 8, f.bytes, f.n);
}

static void make_archive(void)
{
  memset(&z, 0, sizeof z);
  double items[6] = {0.5, 1, -0.0, INFINITY, NAN, 5};
  add_array("num.npy", HEADER("'<f8'", "False", "(2, 3)"), items, sizeof items);
  add_array("text.npy", HEADER("'|S5'", "False", "(3,)"), "one\0\0a\0b\0\0three", 15);
  add_array("step.npy", HEADER("'<i4'", "False", "()"), "\1\0\0\0", 4);
  zb_end(&z);
}

static void reads_archive(void **state)
{
  make_archive();
  vk_err err = VK_ERR_INIT;
  vk_npz npz;
  vk_assert_ok(vk_fs_write(in_dir("x.npz"), z.bytes, z.n, &err), &err);
  vk_assert_ok(vk_npz_read(&npz, in_dir("x.npz"), 1000, &err), &err);
  assert_int_equal(npz.n_array, 3);
  assert_non_null(vk_npz_find(&npz, "step"));
  assert_null(vk_npz_find(&npz, "step.npy"));

  const double *data;
  vk_assert_ok(vk_npz_f64(&npz, "num", 2, (int64_t[]){-1, 3}, &data, &err), &err);
  vk_assert_same_bits(data[0], 0.5);
  vk_assert_same_bits(data[2], -0.0);
  vk_assert_same_bits(data[3], (double)INFINITY);
  vk_assert_same_bits(data[4], (double)NAN);
  vk_assert_fails(vk_npz_f64(&npz, "none", 1, (int64_t[]){-1}, &data, &err), VK_E_NOTFOUND);
  assert_null(data);
  vk_assert_fails(vk_npz_f64(&npz, "num", 1, (int64_t[]){-1}, &data, &err), VK_E_SHAPE);
  vk_assert_says(&err, "'num' has shape (2, 3), expected (any,)");
  vk_assert_fails(vk_npz_f64(&npz, "num", 2, (int64_t[]){-1, 4}, &data, &err), VK_E_SHAPE);
  vk_assert_says(&err, "expected (any, 4)");
  vk_assert_fails(vk_npz_f64(&npz, "step", 0, NULL, &data, &err), VK_E_FORMAT);
  vk_assert_says(&err, "'step' is of type i4, expected f8");

  char buf[6];
  vk_assert_ok(vk_npz_text(&npz, "text", 0, buf, sizeof buf, &err), &err);
  assert_string_equal(buf, "one");
  vk_assert_ok(vk_npz_text(&npz, "text", 2, buf, sizeof buf, &err), &err);
  assert_string_equal(buf, "three");
  vk_assert_fails(vk_npz_text(&npz, "text", 2, buf, 5, &err), VK_E_RANGE);
  vk_assert_fails(vk_npz_text(&npz, "text", 1, buf, sizeof buf, &err), VK_E_FORMAT);
  vk_assert_says(&err, "item 1 has a NUL inside");
  vk_assert_fails(vk_npz_text(&npz, "text", 3, buf, sizeof buf, &err), VK_E_SHAPE);
  vk_assert_fails(vk_npz_text(&npz, "text", -1, buf, sizeof buf, &err), VK_E_SHAPE);
  vk_assert_fails(vk_npz_text(&npz, "num", 0, buf, sizeof buf, &err), VK_E_FORMAT);
  vk_assert_fails(vk_npz_text(&npz, "none", 0, buf, sizeof buf, &err), VK_E_NOTFOUND);
  vk_npz_free(&npz);
  vk_npz_free(&npz);
}

static vk_status parse_z(vk_npz *npz, uint64_t max_bytes, vk_err *err)
{
  return vk_npz_parse(npz, z.bytes, z.n, "x.npz", max_bytes, err);
}

static void refuses_archives(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_npz npz;
  /* The limit is on the sum. */
  make_archive();
  uint64_t sum = z.entry[0].size + (uint64_t)z.entry[1].size + z.entry[2].size;
  vk_assert_ok(parse_z(&npz, sum, &err), &err);
  vk_npz_free(&npz);
  vk_assert_fails(parse_z(&npz, sum - 1, &err), VK_E_RANGE);
  vk_assert_says(&err, "x.npz: unpacks to more than the limit here");
  assert_null(npz.array);

  memset(&z, 0, sizeof z);
  zb_file(&z, "readme.txt", 0, "text", 4);
  zb_end(&z);
  vk_assert_fails(parse_z(&npz, 1000, &err), VK_E_FORMAT);
  vk_assert_says(&err, "'readme.txt' is not an array (NAME.npy)");

  memset(&z, 0, sizeof z);
  char name[80];
  memset(name, 'n', 64);
  strcpy(name + 64, ".npy");
  zb_file(&z, name, 0, "text", 4);
  zb_end(&z);
  vk_assert_fails(parse_z(&npz, 1000, &err), VK_E_FORMAT);
  vk_assert_says(&err, "names of at most 63 bytes are read");

  memset(&z, 0, sizeof z);
  add_array("a.npy", HEADER("'<f8'", "False", "()"), "12345678", 8);
  add_array("bad.npy", HEADER("'|O'", "False", "()"), "12345678", 8);
  zb_end(&z);
  vk_assert_fails(parse_z(&npz, 1000, &err), VK_E_UNSUPPORTED);
  vk_assert_says(&err, "x.npz: array 'bad': an array of Python objects");
  assert_int_equal(npz.n_array, 0);
  vk_assert_fails(vk_npz_read(&npz, in_dir("none.npz"), 1, &err), VK_E_NOTFOUND);
}

static bool read_copy(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_npz npz;
  uint8_t *copy = malloc(n ? n : 1);
  memcpy(copy, bytes, n);
  bool ok = vk_npz_parse(&npz, copy, n, "x", 1 << 16, &err) == VK_OK;
  free(copy);
  vk_npz_free(&npz);
  return ok;
}

static void survives_damage(void **state)
{
  make_archive();
  assert_true(read_copy(z.bytes, z.n));
  for (size_t n = 0; n < z.n; n++)
    assert_false(read_copy(z.bytes, n));
  for (size_t i = 0; i < z.n; i++)
    for (int bit = 0; bit < 8; bit++) {
      z.bytes[i] ^= (uint8_t)(1 << bit);
      read_copy(z.bytes, z.n);
      z.bytes[i] ^= (uint8_t)(1 << bit);
    }
  /* A plain array has no checksum: cut anywhere it is refused, a flipped bit may be seen or not. */
  vk_err err = VK_ERR_INIT;
  vk_array a;
  double items[4] = {1, 2, 3, 4};
  file f = make_npy(1, HEADER("'<f8'", "True", "(2, 2)"), items, sizeof items);
  file cut = f;
  for (cut.n = 0; cut.n < f.n; cut.n++)
    vk_assert_fails(read_file(&a, &cut, &err), VK_E_FORMAT);
  for (size_t i = 0; i < f.n - sizeof items; i++)
    for (int bit = 0; bit < 8; bit++) {
      file bad = f;
      bad.bytes[i] ^= (uint8_t)(1 << bit);
      if (read_file(&a, &bad, &err) == VK_OK)
        assert_int_equal(a.n_item * a.item_size, 32);
      vk_array_free(&a);
    }
}

static void writes(void **state)
{
  vk_err err = VK_ERR_INIT;
  double num[6] = {0.1, NAN, -0.0, 3, 4, 5};
  uint8_t byte[2] = {7, 8};
  vk_array made[] = {
      {.name = "num",
       .kind = 'f',
       .item_size = 8,
       .n_dim = 2,
       .shape = {2, 3},
       .n_item = 6,
       .data = num},
      {.name = "byte",
       .kind = 'u',
       .item_size = 1,
       .n_dim = 1,
       .shape = {2},
       .n_item = 2,
       .data = byte},
      {.name = "text",
       .kind = 'S',
       .item_size = 3,
       .n_dim = 1,
       .shape = {1},
       .n_item = 1,
       .data = "abc"},
      {.name = "none", .kind = 'i', .item_size = 4, .n_dim = 2, .shape = {3, 0}, .n_item = 0},
      {.name = "one", .kind = 'i', .item_size = 8, .n_dim = 0, .n_item = 1, .data = num},
  };
  vk_npz npz = {.n_array = VK_COUNT(made), .array = made}, got;
  vk_assert_ok(vk_npz_write(in_dir("w.npz"), &npz, &err), &err);
  vk_assert_ok(vk_npz_read(&got, in_dir("w.npz"), 10000, &err), &err);
  assert_int_equal(got.n_array, npz.n_array);
  for (size_t i = 0; i < VK_COUNT(made); i++) {
    const vk_array *a = vk_npz_find(&got, made[i].name);
    assert_non_null(a);
    assert_int_equal(a->kind, made[i].kind);
    assert_int_equal(a->item_size, made[i].item_size);
    assert_int_equal(a->n_dim, made[i].n_dim);
    assert_memory_equal(a->shape, made[i].shape, sizeof a->shape);
    assert_int_equal(a->n_item, made[i].n_item);
    if (a->n_item > 0)
      assert_memory_equal(a->data, made[i].data, (size_t)(a->n_item * a->item_size));
  }
  vk_npz_free(&got);

  vk_array a;
  vk_assert_ok(vk_npy_write(in_dir("w.npy"), &made[0], &err), &err);
  vk_assert_ok(vk_npy_read(&a, in_dir("w.npy"), 10000, &err), &err);
  assert_memory_equal(a.data, num, sizeof num);
  vk_array_free(&a);
  /* The header as NumPy writes it: items aligned to 64 bytes. */
  char *bytes;
  size_t n;
  vk_assert_ok(vk_fs_read(&bytes, &n, in_dir("w.npy"), 10000, &err), &err);
  assert_int_equal(n, 128 + sizeof num);
  assert_memory_equal(bytes,
                      "\x93NUMPY\1\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': "
                      "(2, 3), }    ",
                      72);
  assert_int_equal(bytes[127], '\n');
  free(bytes);

  vk_assert_fails(vk_npy_write("/dev/full", &made[0], &err), VK_E_IO);
  vk_assert_says(&err, "the disk is full");
  vk_assert_fails(vk_npz_write("/dev/full", &npz, &err), VK_E_IO);
  vk_assert_says(&err, "the disk is full");
  vk_assert_fails(vk_npz_write(in_dir("no/folder.npz"), &npz, &err), VK_E_NOTFOUND);
  strcpy(made[1].name, "num");
  int n_before = n_file_in_dir();
  vk_assert_fails(vk_npz_write(in_dir("twice.npz"), &npz, &err), VK_E_FORMAT);
  vk_assert_says(&err, "'num.npy' is there already");
  assert_int_equal(n_file_in_dir(), n_before);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_types),
      cmocka_unit_test(reads_headers),
      cmocka_unit_test(transposes_fortran_order),
      cmocka_unit_test(refuses_headers),
      cmocka_unit_test(reads_archive),
      cmocka_unit_test(refuses_archives),
      cmocka_unit_test(survives_damage),
      cmocka_unit_test(writes),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
