/* test_str.c - growing text, and memory that runs out is noticed at the end. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/str.h"

static void appends(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_str s;
  vk_str_init(&s);
  assert_string_equal(s.text, "");
  vk_str_append(&s, "");
  vk_str_append(&s, "ab");
  vk_str_append_char(&s, 'c');
  vk_str_append_n(&s, "de\0f", 4);
  assert_int_equal(s.n, 7);
  assert_memory_equal(s.text, "abcde\0f", 8);
  vk_str_clear(&s);
  assert_string_equal(s.text, "");
  vk_str_appendf(&s, "%d %s", 7, "x");
  assert_string_equal(s.text, "7 x");
  vk_assert_ok(vk_str_check(&s, "text", &err), &err);
  vk_str_free(&s);
  vk_str_free(&s);
  assert_string_equal(s.text, "");
}

/* Every length over the steps at which memory grows, by each way of appending. */
static void grows_byte_by_byte(void **state)
{
  enum { N = 700 };
  char want[N + 1] = "";
  vk_str s[3];
  for (int k = 0; k < 3; k++)
    vk_str_init(&s[k]);
  for (int i = 0; i < N; i++) {
    want[i] = (char)('a' + i % 26);
    vk_str_append_char(&s[0], want[i]);
    vk_str_append(&s[1], (char[]){want[i], '\0'});
    vk_str_appendf(&s[2], "%c", want[i]);
    for (int k = 0; k < 3; k++) {
      assert_int_equal(s[k].n, i + 1);
      assert_string_equal(s[k].text, want);
    }
  }
  for (int k = 0; k < 3; k++)
    vk_str_free(&s[k]);
}

static void formats_long_pieces(void **state)
{
  vk_str s;
  for (int n = 50; n < 300; n += 7) {
    vk_str_init(&s);
    vk_str_append(&s, "head ");
    vk_str_appendf(&s, "%*d|%s", n, 5, "tail");
    assert_int_equal(s.n, 5 + n + 5);
    assert_string_equal(s.text + 5 + n - 1, "5|tail");
    vk_str_free(&s);
  }
}

static void hands_over(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_str s;
  char *text;
  size_t n;
  vk_str_init(&s);
  vk_assert_ok(vk_str_take(&s, &text, NULL, "text", &err), &err);
  assert_string_equal(text, ""); /* owned, though nothing was appended */
  free(text);
  vk_str_append(&s, "one");
  vk_assert_ok(vk_str_take(&s, &text, &n, "text", &err), &err);
  assert_int_equal(n, 3);
  vk_str_append(&s, "two");
  assert_string_equal(text, "one");
  assert_string_equal(s.text, "two");
  free(text);
  vk_str_free(&s);
}

static void out_of_memory_sticks(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_str s;
  char *text;
  vk_str_init(&s);
  vk_str_append(&s, "kept");
  vk_str_append_n(&s, "x", SIZE_MAX - 3);
  vk_str_append(&s, "lost");
  vk_str_appendf(&s, "%s", "lost");
  assert_string_equal(s.text, "kept");
  vk_assert_fails(vk_str_check(&s, "report", &err), VK_E_NOMEM);
  vk_assert_says(&err, "report");
  vk_assert_fails(vk_str_take(&s, &text, NULL, "report", &err), VK_E_NOMEM);
  assert_null(text);
  vk_str_clear(&s);
  vk_str_append(&s, "again");
  vk_assert_ok(vk_str_check(&s, "report", &err), &err);
  assert_string_equal(s.text, "again");
  vk_str_free(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(appends),
      cmocka_unit_test(grows_byte_by_byte),
      cmocka_unit_test(formats_long_pieces),
      cmocka_unit_test(hands_over),
      cmocka_unit_test(out_of_memory_sticks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
