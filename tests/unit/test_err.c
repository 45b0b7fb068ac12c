/* test_err.c - errors carry their sentence, place and exit code. */
#include "test.h"

#include "aborts.h"

static void fail_fills_everything(void **state)
{
  vk_err err = VK_ERR_INIT;
  int line = __LINE__ + 1;
  vk_assert_fails(vk_fail(&err, VK_E_SHAPE, "x: %d values, 7 expected", 3), VK_E_SHAPE);
  assert_int_equal(err.code, VK_E_SHAPE);
  assert_string_equal(err.text, "x: 3 values, 7 expected");
  assert_int_equal(err.line, line);
  assert_non_null(strstr(err.file, "test_err.c"));
}

static void null_err_is_allowed(void **state)
{
  vk_assert_fails(vk_fail(NULL, VK_E_RANGE, "lost"), VK_E_RANGE);
  vk_assert_fails(vk_err_prefix(NULL, "lost"), VK_E_IO);
}

static void own_text_may_be_an_argument(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_fail(&err, VK_E_IO, "inner");
  vk_fail(&err, VK_E_FORMAT, "outer (%s)", err.text);
  assert_string_equal(err.text, "outer (inner)");
  assert_int_equal(err.code, VK_E_FORMAT);
}

static void prefix_keeps_code(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_fail(&err, VK_E_NOTFOUND, "no such row");
  vk_assert_fails(vk_err_prefix(&err, "task %d", 4), VK_E_NOTFOUND);
  assert_string_equal(err.text, "task 4: no such row");
}

static void sentences_stay_on_one_line(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_fail(&err, VK_E_IO, "file %s", "a\nb\x1b[31m\x7f\xc3\xa9");
  assert_string_equal(err.text, "file a?b?[31m?\xc3\xa9");
  vk_err_prefix(&err, "in\r%s", "d\t");
  assert_string_equal(err.text, "in?d?: file a?b?[31m?\xc3\xa9");
}

static void long_text_is_cut(void **state)
{
  vk_err err = VK_ERR_INIT;
  char word[2000];
  memset(word, 'a', sizeof word - 1);
  word[sizeof word - 1] = '\0';
  vk_fail(&err, VK_E_IO, "%s", word);
  assert_int_equal(strlen(err.text), sizeof err.text - 1);
  for (int i = 0; i < 4; i++)
    vk_assert_fails(vk_err_prefix(&err, "%s", word), VK_E_IO);
  assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void the_reason_survives_a_long_name(void **state)
{
  vk_err err = VK_ERR_INIT;
  char path[4000];
  for (size_t i = 0; i < sizeof path; i += 2)
    memcpy(path + i, "\xc3\xa9", 2); /* e with an accent: no character may be cut in two */
  path[sizeof path - 1] = '\0';
  path[sizeof path - 2] = '/';
  for (int i = 0; i < 2; i++) { /* the head and the tail begin at odd and even bytes */
    vk_fail(&err, VK_E_IO, "pack %s%s: cannot open", path, i ? "/" : "");
    assert_true(strlen(err.text) > sizeof err.text - 4);
    assert_memory_equal(err.text, "pack \xc3\xa9", 7);
    vk_assert_says(&err, "\xc3\xa9...\xc3\xa9");
    assert_string_equal(err.text + strlen(err.text) - 13, ": cannot open");
  }
  vk_fail(&err, VK_E_IO, "no space");
  vk_err_prefix(&err, "%s", path);
  assert_string_equal(err.text + strlen(err.text) - 11, "/: no space");
}

static vk_status inner(vk_status status)
{
  return status;
}

static vk_status with_try(vk_status status, int *n_past)
{
  VK_TRY(inner(status));
  ++*n_past;
  return VK_OK;
}

static vk_status with_try_done(vk_status status, int *n_cleaned)
{
  vk_status st = VK_OK;
  VK_TRY_DONE(inner(status));
  VK_TRY_DONE(inner(VK_E_RANGE));
done:
  ++*n_cleaned;
  return st;
}

static void try_propagates(void **state)
{
  int n_past = 0, n_cleaned = 0;
  vk_assert_fails(with_try(VK_E_SIM, &n_past), VK_E_SIM);
  assert_int_equal(n_past, 0);
  vk_assert_ok(with_try(VK_OK, &n_past), NULL);
  assert_int_equal(n_past, 1);
  vk_assert_fails(with_try_done(VK_E_SIM, &n_cleaned), VK_E_SIM);
  vk_assert_fails(with_try_done(VK_OK, &n_cleaned), VK_E_RANGE);
  assert_int_equal(n_cleaned, 2);
}

static void names_and_exit_codes(void **state)
{
  for (int i = VK_OK; i <= VK_E_DIVERGED; i++) {
    assert_string_not_equal(vk_status_name((vk_status)i), "UNKNOWN");
    for (int j = VK_OK; j < i; j++)
      assert_string_not_equal(vk_status_name((vk_status)i), vk_status_name((vk_status)j));
  }
  assert_string_equal(vk_status_name((vk_status)99), "UNKNOWN");
  assert_string_equal(vk_status_name(VK_E_INTERRUPTED), "INTERRUPTED");
  assert_int_equal(vk_status_exit_code(VK_OK), 0);
  assert_int_equal(vk_status_exit_code(VK_E_USAGE), 2);
  assert_int_equal(vk_status_exit_code(VK_E_INTERRUPTED), 130);
  assert_int_equal(vk_status_exit_code(VK_E_IO), 1);
  assert_int_equal(vk_status_exit_code(VK_E_SIM), 1);
  assert_int_equal(vk_status_exit_code(VK_E_DIVERGED), 1);
}

static void plurals(void **state)
{
  assert_string_equal(vk_plural(0), "s");
  assert_string_equal(vk_plural(1), "");
  assert_string_equal(vk_plural(2), "s");
  assert_string_equal(vk_plural(1LL + (1LL << 32)), "s");
}

static void assert_sum(void *sum)
{
  VK_ASSERT(1 + 1 == *(int *)sum);
}

static void assert_aborts_in_release_too(void **state)
{
  assert_false(aborts(assert_sum, &(int){2}));
  assert_true(aborts(assert_sum, &(int){3}));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fail_fills_everything),
      cmocka_unit_test(null_err_is_allowed),
      cmocka_unit_test(own_text_may_be_an_argument),
      cmocka_unit_test(prefix_keeps_code),
      cmocka_unit_test(sentences_stay_on_one_line),
      cmocka_unit_test(long_text_is_cut),
      cmocka_unit_test(the_reason_survives_a_long_name),
      cmocka_unit_test(try_propagates),
      cmocka_unit_test(names_and_exit_codes),
      cmocka_unit_test(plurals),
      cmocka_unit_test(assert_aborts_in_release_too),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
