/* test_safetensors.c - tensors are read as written, by us or by others, and what does not follow
 * the format or the model is refused with a sentence. */
#include <sys/stat.h>
#include <unistd.h>

#include "temp_dir.h"

#include "alloc_fail.h"
#include "core/half.h"
#include "core/safetensors.h"

typedef struct file {
  uint8_t bytes[1 << 16];
  size_t n;
} file;

static file made;

/* A file with this header and n_data bytes 0, 1, 2, ... behind it. */
static const file *make_file(const char *header, size_t n_data)
{
  uint64_t n = strlen(header);
  made.n = 8 + n + n_data;
  assert_true(made.n <= sizeof made.bytes);
  memcpy(made.bytes, &n, 8);
  memcpy(made.bytes + 8, header, n);
  for (size_t i = 0; i < n_data; i++)
    made.bytes[8 + n + i] = (uint8_t)i;
  return &made;
}

static void write_file(const char *name, const char *header, size_t n_data)
{
  const file *f = make_file(header, n_data);
  vk_assert_ok(vk_fs_write(in_dir(name), f->bytes, f->n, NULL), NULL);
}

static void write_text(const char *name, const char *text)
{
  vk_assert_ok(vk_fs_write(in_dir(name), text, strlen(text), NULL), NULL);
}

static void refuse_bytes(const void *bytes, size_t n, vk_status code, const char *says)
{
  vk_err err = VK_ERR_INIT;
  vk_safetensors s;
  vk_assert_fails(vk_safetensors_parse(&s, bytes, n, "x.safetensors", &err), code);
  vk_assert_says(&err, "x.safetensors: ");
  vk_assert_says(&err, says);
  assert_null(s.tensor);
  assert_null(s.file);
}

static void refuse(const char *header, size_t n_data, vk_status code, const char *says)
{
  const file *f = make_file(header, n_data);
  refuse_bytes(f->bytes, f->n, code, says);
}

static void refuse_path(const char *path, vk_status code, const char *says)
{
  vk_err err = VK_ERR_INIT;
  vk_safetensors s;
  vk_assert_fails(vk_safetensors_open(&s, path, &err), code);
  vk_assert_says(&err, says);
  assert_null(s.tensor);
}

static vk_safetensors open_good(const char *path)
{
  vk_err err = VK_ERR_INIT;
  vk_safetensors s;
  vk_assert_ok(vk_safetensors_open(&s, path, &err), &err);
  return s;
}

/* ---- reading ---- */

static void reads_every_dtype(void **state)
{
  static const struct {
    const char *name;
    size_t size;
  } dtypes[] = {
#define X(name, size) {#name, size},
      VK_SAFETENSORS_DTYPES(X)
#undef X
  };
  for (size_t i = 0; i < VK_COUNT(dtypes); i++) {
    char header[200];
    vk_safetensors s;
    vk_err err = VK_ERR_INIT;
    snprintf(header, sizeof header,
             "{\"a\":{\"dtype\":\"%s\",\"shape\":[2,3],"
             "\"data_offsets\":[0,%zu]}}",
             dtypes[i].name, 6 * dtypes[i].size);
    const file *f = make_file(header, 6 * dtypes[i].size);
    vk_assert_ok(vk_safetensors_parse(&s, f->bytes, f->n, "x", &err), &err);
    assert_int_equal(s.n_tensor, 1);
    assert_int_equal(s.tensor[0].dtype, i);
    assert_int_equal(s.tensor[0].n_item, 6);
    assert_int_equal(s.tensor[0].n_byte, 6 * dtypes[i].size);
    assert_string_equal(vk_safetensors_dtype_name(s.tensor[0].dtype), dtypes[i].name);
    float out[6];
    vk_status st = vk_safetensors_read_f32(&s.tensor[0], out, &err);
    assert_int_equal(st, i < 4 ? VK_OK : VK_E_UNSUPPORTED); /* F32 F16 BF16 F64 come first */
    vk_safetensors_close(&s);
  }
}

/* One odd byte before, so that nothing is aligned. */
static void reads_unaligned_numbers(void **state)
{
  static const float f32[2] = {1.5F, -1e-30F};
  static const double f64[2] = {0.1, -3};
  static const uint16_t bf16[2] = {0x3fc0, 0xc000}, f16[2] = {0x3e00, 0x0001};
  make_file("{\"b\":{\"dtype\":\"BOOL\",\"shape\":[],\"data_offsets\":[0,1]},"
            "\"d\":{\"dtype\":\"F64\",\"shape\":[2],\"data_offsets\":[1,17]},"
            "\"f\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[17,25]},"
            "\"h\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[25,29]},"
            "\"a\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[29,33]}}   ",
            33);
  uint8_t *data = made.bytes + made.n - 33;
  memcpy(data + 1, f64, 16);
  memcpy(data + 17, f32, 8);
  memcpy(data + 25, f16, 4);
  memcpy(data + 29, bf16, 4);
  vk_assert_ok(vk_fs_write(in_dir("u.safetensors"), made.bytes, made.n, NULL), NULL);
  vk_safetensors s = open_good(in_dir("u.safetensors"));
  assert_int_equal(s.n_tensor, 5);
  for (int i = 1; i < 5; i++)
    assert_true(strcmp(s.tensor[i - 1].name, s.tensor[i].name) < 0);
  static const struct {
    const char *name;
    float want[2];
  } cases[] = {
      {"d", {(float)0.1, -3}}, {"f", {1.5F, -1e-30F}}, {"h", {1.5F, 0x1p-24F}}, {"a", {1.5F, -2}}};
  for (size_t i = 0; i < VK_COUNT(cases); i++) {
    float out[2];
    const vk_safetensor *t = vk_safetensors_find(&s, cases[i].name);
    assert_non_null(t);
    vk_assert_ok(vk_safetensors_read_f32(t, out, NULL), NULL);
    assert_memory_equal(out, cases[i].want, sizeof out);
  }
  assert_int_equal(vk_safetensors_find(&s, "b")->n_item, 1);
  assert_null(vk_safetensors_find(&s, "c"));
  vk_safetensors_close(&s);
}

static void reads_odd_but_valid_headers(void **state)
{
  vk_safetensors s;
  vk_err err = VK_ERR_INIT;
  const file *f = make_file("{}", 0);
  vk_assert_ok(vk_safetensors_parse(&s, f->bytes, f->n, "x", &err), &err);
  assert_int_equal(s.n_tensor, 0);
  assert_null(vk_safetensors_find(&s, "a"));
  assert_null(vk_safetensors_meta(&s, "a"));
  vk_safetensors_close(&s);
  /* no items; entries in another order than the data; members that later versions may add */
  f = make_file("{\"z\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[4,8],\"more\":1},"
                "\"e\":{\"data_offsets\":[4,4],\"shape\":[0,5],\"dtype\":\"F32\"},"
                "\"__metadata__\":{\"format\":\"pt\",\"k\":\"v\"},"
                "\"y\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}\n",
                8);
  vk_assert_ok(vk_safetensors_parse(&s, f->bytes, f->n, "x", &err), &err);
  assert_int_equal(s.n_tensor, 3);
  assert_int_equal(vk_safetensors_find(&s, "z")->bytes[0], 4);
  assert_int_equal(vk_safetensors_find(&s, "e")->n_byte, 0);
  assert_string_equal(vk_safetensors_meta(&s, "k"), "v");
  assert_null(vk_safetensors_meta(&s, "v"));
  vk_safetensors_close(&s);
}

static void refuses_bad_files(void **state)
{
  uint64_t n = 100000001;
  refuse_bytes("", 0, VK_E_FORMAT, "0 bytes, too few");
  refuse_bytes("\2\0\0\0\0\0\0", 7, VK_E_FORMAT, "7 bytes, too few");
  memcpy(made.bytes, &n, 8);
  refuse_bytes(made.bytes, 100, VK_E_FORMAT, "a header of 100000001 bytes, 100000000 at most");
  n = 93;
  memcpy(made.bytes, &n, 8);
  refuse_bytes(made.bytes, 100, VK_E_FORMAT, "a header of 93 bytes in a file of 100; was it cut");
  refuse("", 0, VK_E_FORMAT, "does not begin with {");
  refuse(" {}", 0, VK_E_FORMAT, "does not begin with {");
  refuse("[]", 0, VK_E_FORMAT, "does not begin with {");
  refuse("{", 0, VK_E_FORMAT, "header:1:");
  refuse("{}x", 0, VK_E_FORMAT, "header:1:3: ");
  refuse("{}", 3, VK_E_FORMAT, "the last 3 bytes belong to no tensor");
  refuse("{\"__metadata__\":[]}", 0, VK_E_FORMAT, "__metadata__ is not an object");
  refuse("{\"__metadata__\":{\"a\":1}}", 0, VK_E_FORMAT, "__metadata__: \"a\" is not a string");
}

/* A file of 16 bytes of data whose header begins with tensor w. */
static void refuse_entry(const char *entry, vk_status code, const char *says)
{
  char header[400];
  snprintf(header, sizeof header, "{\"w\":%s}", entry);
  refuse(header, 16, code, says);
}

static void refuses_bad_entries(void **state)
{
#define ENTRY(dtype, shape, offsets)                                                               \
  "{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}"
  refuse_entry("3", VK_E_FORMAT, "tensor w: not an object with a \"dtype\"");
  refuse_entry("{\"shape\":[4],\"data_offsets\":[0,16]}", VK_E_FORMAT, "tensor w: not an object");
  refuse_entry(ENTRY("\"F5\"", "[4]", "[0,16]"), VK_E_UNSUPPORTED, "tensor w: dtype F5 is not");
  refuse_entry(ENTRY("\"f32\"", "[4]", "[0,16]"), VK_E_UNSUPPORTED, "dtype f32 is not known");
  refuse_entry("{\"dtype\":\"F32\",\"data_offsets\":[0,16]}", VK_E_FORMAT, "\"shape\" is not an ");
  refuse_entry("{\"dtype\":\"F32\",\"shape\":[4]}", VK_E_FORMAT, "\"data_offsets\" is not an ");
  refuse_entry(ENTRY("\"F32\"", "[-4]", "[0,16]"), VK_E_FORMAT, "no whole number");
  refuse_entry(ENTRY("\"F32\"", "[4.5]", "[0,16]"), VK_E_FORMAT, "no whole number");
  refuse_entry(ENTRY("\"F32\"", "[\"4\"]", "[0,16]"), VK_E_FORMAT, "no whole number");
  refuse_entry(ENTRY("\"F32\"", "[9007199254740992]", "[0,16]"), VK_E_FORMAT, "no whole number");
  refuse_entry(ENTRY("\"F32\"", "[1,1,1,1,1,1,1,1,4]", "[0,16]"), VK_E_UNSUPPORTED,
               "\"shape\" has more than 8 numbers");
  refuse_entry(ENTRY("\"F32\"", "[4]", "[0]"), VK_E_FORMAT, "not a begin and an end");
  refuse_entry(ENTRY("\"F32\"", "[4]", "[0,16,16]"), VK_E_UNSUPPORTED, "more than 2 numbers");
  refuse_entry(ENTRY("\"F32\"", "[4]", "[16,0]"), VK_E_FORMAT, "not a begin and an end");
  refuse_entry(ENTRY("\"F32\"", "[2,3]", "[0,16]"), VK_E_FORMAT,
               "16 bytes are given for F32 items of shape [2, 3]");
  refuse_entry(ENTRY("\"F32\"", "[4294967296,4294967296]", "[0,0]"), VK_E_FORMAT, "0 bytes are");
  refuse_entry(ENTRY("\"F64\"", "[2305843009213693952]", "[0,0]"), VK_E_FORMAT, "no whole number");
  refuse_entry(ENTRY("\"F64\"", "[2,1152921504606846976]", "[0,0]"), VK_E_FORMAT, "no whole");
  refuse_entry(ENTRY("\"F64\"", "[1024,2251799813685248]", "[0,0]"), VK_E_FORMAT, "0 bytes are");
  refuse_entry(ENTRY("\"F32\"", "[5]", "[0,20]"), VK_E_FORMAT,
               "tensor w: ends at byte 20 of the data, of which the file has 16");
  refuse_entry(ENTRY("\"F32\"", "[3]", "[4,16]"), VK_E_FORMAT, "4 bytes before tensor w belong to");
  refuse_entry(ENTRY("\"F32\"", "[3]", "[0,12]"), VK_E_FORMAT, "the last 4 bytes belong to no");
  refuse_entry(ENTRY("\"F32\"", "[3]", "[0,12]") ",\"v\":" ENTRY("\"F32\"", "[2]", "[8,16]"),
               VK_E_FORMAT, "tensors w and v overlap");
  refuse_entry(ENTRY("\"F32\"", "[2]", "[0,8]") ",\"w\":" ENTRY("\"F32\"", "[2]", "[8,16]"),
               VK_E_FORMAT, "already has a member of that name");
  refuse_entry(ENTRY("\"F32\"", "[4]", "[0,16]") ",\"v\":" ENTRY("\"F32\"", "[4]", "[0,16]"),
               VK_E_FORMAT, "overlap");
  refuse_path(in_dir("none.safetensors"), VK_E_NOTFOUND, "none.safetensors");
}

/* ---- shards ---- */

static void write_shards(void)
{
  write_file("m-1.safetensors",
             "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
             "\"c\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[4,6]},"
             "\"__metadata__\":{\"format\":\"pt\",\"x\":\"1\"}}",
             6);
  write_file("m-2.safetensors",
             "{\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
             "\"__metadata__\":{\"x\":\"2\",\"y\":\"3\"}}",
             8);
}

static void reads_shards(void **state)
{
  write_shards();
  write_text("model.safetensors.index.json",
             "{\"metadata\":{\"total_size\":14},\"weight_map\":{\"b\":\"m-2.safetensors\","
             "\"a\":\"m-1.safetensors\",\"c\":\"m-1.safetensors\"}}");
  const char *paths[] = {temp_dir, in_dir("model.safetensors.index.json")};
  for (int i = 0; i < 2; i++) {
    vk_safetensors s = open_good(paths[i]);
    assert_int_equal(s.n_file, 2);
    assert_int_equal(s.n_tensor, 3);
    assert_string_equal(s.tensor[1].name, "b");
    assert_string_equal(s.file[s.tensor[1].i_file].path, in_dir("m-2.safetensors"));
    assert_int_equal(s.tensor[1].bytes[7], 7);
    assert_string_equal(vk_safetensors_meta(&s, "x"), "1");
    assert_string_equal(vk_safetensors_meta(&s, "y"), "3");
    vk_safetensors_close(&s);
  }
  /* a single file in the folder is what others read first, too */
  write_file("model.safetensors", "{}", 0);
  vk_safetensors s = open_good(temp_dir);
  assert_int_equal(s.n_tensor, 0);
  vk_safetensors_close(&s);
  assert_int_equal(unlink(in_dir("model.safetensors")), 0);
}

static void refuse_index(const char *text, vk_status code, const char *says)
{
  write_text("i.json", text);
  refuse_path(in_dir("i.json"), code, says);
}

static void refuses_bad_shards(void **state)
{
  write_shards();
  refuse_index("{\"weight_map\":{", VK_E_FORMAT, "i.json:1:");
  refuse_index("[]", VK_E_NOTFOUND, "no object \"weight_map\"");
  refuse_index("{\"weight_map\":[]}", VK_E_FORMAT, "no object \"weight_map\"");
  refuse_index("{\"weight_map\":{}}", VK_E_FORMAT, "\"weight_map\" is empty");
  refuse_index("{\"weight_map\":{\"a\":1}}", VK_E_FORMAT, "tensor a is said to be in \"\"");
  refuse_index("{\"weight_map\":{\"a\":\"../m-1.safetensors\"}}", VK_E_FORMAT, "a file's name");
  refuse_index("{\"weight_map\":{\"a\":\"..\"}}", VK_E_FORMAT, "a file's name");
  refuse_index("{\"weight_map\":{\"a\":\"m-3.safetensors\"}}", VK_E_NOTFOUND, "m-3.safetensors");
  refuse_index("{\"weight_map\":{\"a\":\"m-1.safetensors\",\"d\":\"m-1.safetensors\"}}",
               VK_E_FORMAT,
               "tensor d is said to be in m-1.safetensors, but is in none of the files");
  refuse_index("{\"weight_map\":{\"a\":\"m-2.safetensors\",\"c\":\"m-1.safetensors\"}}",
               VK_E_FORMAT, "tensor a is said to be in m-2.safetensors, but is in m-1.safetensors");
  write_file("m-4.safetensors", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
             1);
  refuse_index("{\"weight_map\":{\"a\":\"m-1.safetensors\",\"A\":\"m-4.safetensors\"}}",
               VK_E_FORMAT, "tensor a is in both ");
  assert_int_equal(mkdir(in_dir("empty"), 0700), 0);
  refuse_path(in_dir("empty"), VK_E_NOTFOUND, "neither model.safetensors nor");
}

/* ---- loading into places ---- */

static const char header_abc[] =
    "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
    "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[4,12]},"
    "\"k\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[12,20]}}";

static void loads_all_or_says_all(void **state)
{
  float a[3] = {7, 7, 7}, b[5] = {7, 7, 7, 7, 7};
  vk_err err = VK_ERR_INIT;
  vk_safetensors s;
  const file *f = make_file(header_abc, 20);
  vk_assert_ok(vk_safetensors_parse(&s, f->bytes, f->n, "m.safetensors", &err), &err);
  vk_safetensors_want want[] = {{"a", 1, {1}, a}, {"b", 2, {2, 2}, b}, {"a", 1, {1}, a + 1}};
  vk_assert_fails(vk_safetensors_load(&s, want, 3, &err), VK_E_MISMATCH);
  assert_string_equal(err.text, "m.safetensors: the tensors do not fit (1 not expected): "
                                "not expected k");
  assert_true(a[0] == 7 && b[0] == 7);

  vk_safetensors_want with_k[] = {want[0], want[1], {"k", 0, {0}, NULL}, {"neither", 1, {5}, NULL}};
  vk_assert_ok(vk_safetensors_load(&s, with_k, 4, &err), &err);
  assert_int_equal(vk_f32_bits(a[0]), 0x03020100);
  a[0] = b[0] = 7;
  vk_safetensors_close(&s);

  /* without the I64 */
  f = make_file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,2],\"data_offsets\":[4,12]}}",
                12);
  vk_assert_ok(vk_safetensors_parse(&s, f->bytes, f->n, "m.safetensors", &err), &err);
  vk_assert_ok(vk_safetensors_load(&s, want, 3, &err), &err);
  assert_int_equal(vk_f32_bits(a[0]), 0x03020100);
  assert_int_equal(vk_f32_bits(a[1]), 0x03020100);
  assert_int_equal(vk_f32_bits(b[3]), 0x0b0a0000);
  assert_true(a[2] == 7 && b[4] == 7);
  vk_safetensors_close(&s);
}

static void says_everything_that_does_not_fit(void **state)
{
  float x[8];
  vk_err err = VK_ERR_INIT;
  vk_safetensors s;
  const file *f = make_file(header_abc, 20);
  vk_assert_ok(vk_safetensors_parse(&s, f->bytes, f->n, "m.safetensors", &err), &err);
  vk_safetensors_want want[] = {{"m1", 1, {1}, x}, {"b", 2, {4, 1}, x}, {"m2", 1, {1}, x},
                                {"m3", 1, {1}, x}, {"m4", 1, {1}, x},   {"m5", 1, {1}, x},
                                {"k", 0, {0}, x}};
  vk_assert_fails(vk_safetensors_load(&s, want, 7, &err), VK_E_MISMATCH);
  assert_string_equal(err.text,
                      "m.safetensors: the tensors do not fit (5 missing, 1 not expected, "
                      "2 of another shape, 1 not float): missing m1, m2, m3, ...; not expected a; "
                      "b is [2, 2], expected [4, 1], k is [1], expected []; k is I64");
  vk_safetensors_close(&s);
}

/* ---- writing ---- */

static const float numbers[6] = {1, -2.5F, 1.00390625F, 3.0e38F, -0.0F, 1e-40F};

static void writes_what_it_reads(void **state)
{
  const vk_safetensors_entry entry[] = {{"w", VK_SAFETENSORS_F32, 2, {2, 3}, numbers},
                                        {"none", VK_SAFETENSORS_F32, 1, {0}, NULL},
                                        {"one", VK_SAFETENSORS_F32, 0, {0}, numbers},
                                        {"a\"\n", VK_SAFETENSORS_BF16, 1, {6}, numbers},
                                        {"h", VK_SAFETENSORS_F16, 2, {3, 1}, numbers},
                                        {"last", VK_SAFETENSORS_F16, 1, {0}, NULL}};
  const vk_safetensors_pair pair = {"step", "12"};
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_safetensors_write(in_dir("w.safetensors"), entry, 6, &pair, 1, &err), &err);
  vk_safetensors s = open_good(in_dir("w.safetensors"));
  assert_int_equal(s.n_tensor, 6);
  assert_string_equal(vk_safetensors_meta(&s, "format"), "pt");
  assert_string_equal(vk_safetensors_meta(&s, "step"), "12");
  const vk_safetensor *w = vk_safetensors_find(&s, "w"), *a = vk_safetensors_find(&s, "a\"\n");
  assert_int_equal((uintptr_t)w->bytes % 64, 0);
  assert_memory_equal(w->bytes, numbers, sizeof numbers);
  assert_int_equal(w->n_dim, 2);
  assert_int_equal(w->shape[1], 3);
  float x[6], h[3];
  vk_assert_ok(vk_safetensors_read_f32(a, x, NULL), NULL);
  for (int i = 0; i < 6; i++)
    vk_assert_same_bits((double)x[i], (double)vk_f32_from_bf16(vk_bf16_from_f32(numbers[i])));
  assert_true(x[2] == 1); /* a tie, to even */
  vk_assert_ok(vk_safetensors_read_f32(vk_safetensors_find(&s, "h"), h, NULL), NULL);
  assert_true(h[0] == 1 && h[1] == -2.5F && h[2] == 1.00390625F);
  vk_safetensors_close(&s);
}

static void writes_whole_numbers(void **state)
{
  static const uint64_t u64[2] = {UINT64_MAX, 1};
  static const int32_t i32[1] = {-7};
  static const bool yes[3] = {true, false, true};
  const vk_safetensors_entry entry[] = {{"u", VK_SAFETENSORS_U64, 1, {2}, u64},
                                        {"i", VK_SAFETENSORS_I32, 0, {0}, i32},
                                        {"y", VK_SAFETENSORS_BOOL, 1, {3}, yes}};
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_safetensors_write(in_dir("i.safetensors"), entry, 3, NULL, 0, &err), &err);
  vk_safetensors s = open_good(in_dir("i.safetensors"));
  assert_memory_equal(vk_safetensors_find(&s, "u")->bytes, u64, sizeof u64);
  assert_memory_equal(vk_safetensors_find(&s, "i")->bytes, i32, sizeof i32);
  assert_memory_equal(vk_safetensors_find(&s, "y")->bytes, yes, sizeof yes);
  assert_int_equal(vk_safetensors_find(&s, "u")->dtype, VK_SAFETENSORS_U64);
  vk_safetensors_close(&s);
}

/* Items may arrive in any pieces: the file is the same. */
static void writes_in_pieces(void **state)
{
  enum { N = 9001 };
  static float x[2 * N];
  for (int i = 0; i < 2 * N; i++)
    x[i] = (float)i / 7;
  const vk_safetensors_entry entry[] = {{"a", VK_SAFETENSORS_F32, 1, {N}, x},
                                        {"b", VK_SAFETENSORS_BF16, 1, {N}, x + N}};
  char *whole, *pieces;
  size_t n_whole, n_pieces;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_safetensors_write(in_dir("p.safetensors"), entry, 2, NULL, 0, &err), &err);
  vk_assert_ok(vk_fs_read(&whole, &n_whole, in_dir("p.safetensors"), SIZE_MAX, NULL), NULL);
  vk_safetensors_writer w;
  vk_assert_ok(vk_safetensors_writer_open(&w, in_dir("p.safetensors"), entry, 2, NULL, 0, &err),
               &err);
  for (uint64_t at = 0, n = 1; at < 2 * N; at += n, n = 3 * n + 1) {
    n = n < 2 * N - at ? n : 2 * N - at;
    vk_assert_ok(vk_safetensors_writer_add(&w, x + at, n, &err), &err);
  }
  vk_assert_ok(vk_safetensors_writer_commit(&w, &err), &err);
  vk_assert_ok(vk_fs_read(&pieces, &n_pieces, in_dir("p.safetensors"), SIZE_MAX, NULL), NULL);
  assert_int_equal(n_pieces, n_whole);
  assert_memory_equal(pieces, whole, n_whole);
  free(whole);
  free(pieces);
}

static void writes_whole_or_not_at_all(void **state)
{
  const vk_safetensors_entry twice[] = {{"a", VK_SAFETENSORS_F32, 1, {6}, numbers},
                                        {"b", VK_SAFETENSORS_F32, 1, {6}, numbers},
                                        {"a", VK_SAFETENSORS_F32, 1, {6}, numbers}};
  vk_err err = VK_ERR_INIT;
  int n_file = n_file_in_dir();
  vk_assert_fails(vk_safetensors_write(in_dir("new"), twice, 3, NULL, 0, &err), VK_E_FORMAT);
  vk_assert_says(&err, "two tensors are called a");
  vk_assert_fails(vk_safetensors_write(in_dir("no/new"), twice, 2, NULL, 0, &err), VK_E_NOTFOUND);
  limit_file_size(100);
  vk_status st = vk_safetensors_write(in_dir("new"), twice, 2, NULL, 0, &err);
  limit_file_size(UINT64_MAX);
  vk_assert_fails(st, VK_E_IO);
  vk_safetensors_writer w;
  vk_assert_ok(vk_safetensors_writer_open(&w, in_dir("new"), twice, 2, NULL, 0, &err), &err);
  vk_safetensors_writer_abort(&w);
  assert_int_equal(n_file_in_dir(), n_file);
}

/* ---- no memory ---- */

static vk_status write_open_and_load(vk_err *err)
{
  const vk_safetensors_entry entry[] = {{"a", VK_SAFETENSORS_F32, 1, {6}, numbers},
                                        {"b", VK_SAFETENSORS_BF16, 2, {2, 3}, numbers}};
  const vk_safetensors_pair pair = {"k", "v"};
  VK_TRY(vk_safetensors_write(in_dir("n-1.safetensors"), entry, 2, &pair, 1, err));
  float x[6];
  vk_safetensors_want want[] = {{"a", 1, {6}, x}, {"b", 2, {2, 3}, x}};
  vk_safetensors s;
  VK_TRY(vk_safetensors_open(&s, in_dir("n.json"), err));
  vk_status st = vk_safetensors_load(&s, want, 2, err);
  vk_safetensors_close(&s);
  return st;
}

static void says_when_memory_ends(void **state)
{
  write_text("n.json", "{\"weight_map\":{\"a\":\"n-1.safetensors\"}}");
  long n = 0;
  for (;; n++) {
    vk_err err = VK_ERR_INIT;
    fail_alloc_after(n);
    vk_status st = write_open_and_load(&err);
    if (fail_alloc_after(-1) == 0) {
      vk_assert_ok(st, &err);
      break;
    }
    assert_true(st == VK_E_NOMEM || st == VK_E_IO || st == VK_E_FORMAT);
    assert_true(err.text[0] != '\0');
  }
  assert_true(n > 50);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_every_dtype),
      cmocka_unit_test(reads_unaligned_numbers),
      cmocka_unit_test(reads_odd_but_valid_headers),
      cmocka_unit_test(refuses_bad_files),
      cmocka_unit_test(refuses_bad_entries),
      cmocka_unit_test(reads_shards),
      cmocka_unit_test(refuses_bad_shards),
      cmocka_unit_test(loads_all_or_says_all),
      cmocka_unit_test(says_everything_that_does_not_fit),
      cmocka_unit_test(writes_what_it_reads),
      cmocka_unit_test(writes_whole_numbers),
      cmocka_unit_test(writes_in_pieces),
      cmocka_unit_test(writes_whole_or_not_at_all),
      cmocka_unit_test(says_when_memory_ends),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
