/* Init files: numbers come back bit for bit; every other pickle is refused. */
#include "sim/import_init.h"

#include "init_build.h"
#include "temp_dir.h"

static void reads_bits(void **state)
{
  double value[300 * 2];
  for (int i = 0; i < 600; i++)
    value[i] = i % 7 ? ldexp(i - 300.1, i % 40 - 20) : -0.0;
  const uint32_t shape[3][2] = {{300, 2}, {2, 300}, {20, 30}};
  for (int k = 0; k < 3; k++) {
    size_t n;
    unsigned char *pickle = init_pickle(value, shape[k][0], shape[k][1], &n);
    vk_init_rows rows;
    vk_err err = VK_ERR_INIT;
    vk_assert_ok(vk_init_pickle_parse(&rows, pickle, n, "a.pruned_init", &err), &err);
    assert_int_equal(rows.n_row, shape[k][0]);
    assert_int_equal(rows.n_col, shape[k][1]);
    assert_memory_equal(rows.value, value, sizeof value);
    vk_init_rows_free(&rows);
    free(pickle);
  }
}

/* Opcodes, counts and lengths: no byte outside the payload may differ, and none may be missing. */
static void refuses_other_pickles(void **state)
{
  const double value[4] = {1, 2.5, -3, 1e300};
  size_t n;
  unsigned char *pickle = init_pickle(value, 2, 2, &n);
  size_t n_head = sizeof init_head - 1, n_middle = sizeof init_middle - 1;
  size_t payload = n_head + 4 + n_middle + 4, tail = n - (sizeof init_tail - 1);
  vk_init_rows rows;
  vk_assert_ok(vk_init_pickle_parse(&rows, pickle, n, "a", NULL), NULL);
  vk_init_rows_free(&rows);
  for (size_t i = 0; i < n; i++) {
    if (i >= payload && i < tail)
      continue;
    for (int bit = 0; bit < 8; bit++) {
      pickle[i] ^= (unsigned char)(1u << bit);
      vk_assert_fails(vk_init_pickle_parse(&rows, pickle, n, "a", NULL), VK_E_FORMAT);
      assert_null(rows.value);
      pickle[i] ^= (unsigned char)(1u << bit);
    }
  }
  for (size_t i = 0; i < n; i++) {
    unsigned char *cut = malloc(i ? i : 1);
    memcpy(cut, pickle, i);
    vk_assert_fails(vk_init_pickle_parse(&rows, cut, i, "a", NULL), VK_E_FORMAT);
    free(cut);
  }
  unsigned char *more = malloc(n + 1);
  memcpy(more, pickle, n);
  more[n] = '.';
  vk_assert_fails(vk_init_pickle_parse(&rows, more, n + 1, "a", NULL), VK_E_FORMAT);
  free(more);
  free(pickle);
}

/* What pickles do harm with: a call of a function. */
static void refuses_calls(void **state)
{
  static const char evil[] = "\x80\x02"
                             "cos\nsystem\nX\x04\x00\x00\x00true\x85R.";
  vk_init_rows rows;
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_init_pickle_parse(&rows, evil, sizeof evil - 1, "evil", &err), VK_E_FORMAT);
  vk_assert_says(&err, "init file evil: byte 3 of its pickle is not what LIBERO writes");
}

static void refuses_bad_payloads(void **state)
{
  const double bad[2][2] = {{1, NAN}, {INFINITY, 1}};
  for (int k = 0; k < 2; k++) {
    size_t n;
    unsigned char *pickle = init_pickle(bad[k], 1, 2, &n);
    vk_init_rows rows;
    vk_err err = VK_ERR_INIT;
    vk_assert_fails(vk_init_pickle_parse(&rows, pickle, n, "a", &err), VK_E_FORMAT);
    vk_assert_says(&err, "is not finite");
    free(pickle);
  }
  /* UTF-8: a lone lead byte, a lone tail byte, a code point above 255 */
  const double one = 1;
  static const unsigned char wrong[3][2] = {{0xc3, 0x41}, {0x80, 0x41}, {0xc4, 0x80}};
  for (int k = 0; k < 3; k++) {
    size_t n;
    unsigned char *pickle = init_pickle(&one, 1, 1, &n);
    memcpy(pickle + n - (sizeof init_tail - 1) - 10, wrong[k], 2);
    vk_init_rows rows;
    vk_assert_fails(vk_init_pickle_parse(&rows, pickle, n, "a", NULL), VK_E_FORMAT);
    free(pickle);
  }
}

static void expect_zip(const char *name, bool is_good, const char *second, bool deflate)
{
  const double value[40] = {1, 2};
  size_t n, n_zip;
  unsigned char *pickle = init_pickle(value, 1, 40, &n);
  vk_zip_writer *w;
  vk_assert_ok(vk_zip_create(&w, in_dir("a.zip"), NULL), NULL);
  vk_assert_ok(vk_zip_add(w, name, pickle, n, deflate, NULL), NULL);
  if (second)
    vk_assert_ok(vk_zip_add(w, second, "3\n", 2, false, NULL), NULL);
  vk_assert_ok(vk_zip_commit(w, NULL), NULL);
  free(pickle);
  char *bytes;
  vk_assert_ok(vk_fs_read(&bytes, &n_zip, in_dir("a.zip"), 1 << 20, NULL), NULL);
  vk_init_rows rows;
  vk_status st = vk_init_rows_parse(&rows, bytes, n_zip, "a.zip", NULL);
  assert_int_equal(st, is_good ? VK_OK : VK_E_FORMAT);
  vk_init_rows_free(&rows);
  free(bytes);
}

static void opens_the_zip(void **state)
{
  expect_zip("archive/data.pkl", true, "archive/version", false);
  expect_zip("archive/data.pkl", false, NULL, false);
  expect_zip("archive/data.pkl", false, "archive/code", false);
  expect_zip("other/data.pkl", false, "archive/version", false);
  expect_zip("archive/data.pkl", false, "archive/version", true);
  vk_init_rows rows;
  vk_assert_fails(vk_init_rows_parse(&rows, "no zip", 6, "a", NULL), VK_E_FORMAT);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_bits),    cmocka_unit_test(refuses_other_pickles),
      cmocka_unit_test(refuses_calls), cmocka_unit_test(refuses_bad_payloads),
      cmocka_unit_test(opens_the_zip),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
