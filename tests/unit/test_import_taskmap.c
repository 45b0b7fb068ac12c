/* The list of tasks that LIBERO keeps in a Python file. */
#include "sim/import_taskmap.h"

#include <stdlib.h>

#include "test.h"

static void reads_suites(void **state)
{
  static const char text[] = "# tasks\nlibero_task_map = {\n  \"near\": [\n    \"put_a\", # first\n"
                             "    'put_b',\n  ],\n  \"far\": [\"c\"], \"none\": [],\n}\n";
  vk_taskmap map;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_taskmap_parse(&map, text, sizeof text - 1, "map.py", &err), &err);
  assert_int_equal(map.n_suite, 3);
  assert_string_equal(map.suite[0].name, "near");
  assert_int_equal(map.suite[0].n_task, 2);
  assert_string_equal(map.suite[0].task[1], "put_b");
  assert_string_equal(map.suite[1].task[0], "c");
  assert_int_equal(map.suite[2].n_task, 0);
  vk_taskmap_free(&map);
  for (size_t n = 0; n < sizeof text - 2; n++) {
    char *cut = malloc(n ? n : 1);
    memcpy(cut, text, n);
    vk_assert_fails(vk_taskmap_parse(&map, cut, n, "map.py", NULL), VK_E_FORMAT);
    free(cut);
  }
}

static void refuse(const char *text, size_t n, const char *says)
{
  vk_taskmap map;
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_taskmap_parse(&map, text, n, "map.py", &err), VK_E_FORMAT);
  vk_assert_says(&err, says);
}
#define REFUSE(text, says) refuse(text, sizeof text - 1, says)

static void refuses_code(void **state)
{
  REFUSE("import os\nm = {}", "map.py line 1: found \"os");
  REFUSE("m = {\n'a': ['b'] + ['c']}", "line 2: found \"+ ['c']}\", expected \",\" or \"}\"");
  REFUSE("m = {'a': [f('b')]}", "expected a string in quotes");
  REFUSE("m = {'a': ['b' 'c']}", "expected \",\" or \"]\"");
  REFUSE("m = {'a': ['b\\n']}", "has no backslash");
  REFUSE("m = {'a': ['b\n']}", "ends on its line");
  REFUSE("m = {'a': 'b'}", "expected \": [\"");
  REFUSE("m = {'a': []}\nprint(m)", "line 2: found \"print(m)\", expected the end");
  REFUSE("m = {'a': ['b\0']}", "holds a zero byte");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_suites),
      cmocka_unit_test(refuses_code),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
