/* test_start.c - the map of first states: who draws which, and that nobody is judged where somebody
 * has learned. How an episode begins is tested by test_evaluate.c and test_demo.c. */
#include "test.h"

#include <limits.h>
#include <stdlib.h>

#include "rl/start.h"
#include "rl/train_config.h"

/* Greatest value of a key. */
static int64_t most(const char *name)
{
  for (const vk_train_section *s = vk_train_sections; s->title; s++)
    for (const vk_opt *key = s->keys; key->kind != VK_OPT_KIND_END; key++)
      if (strcmp(key->name, name) == 0)
        return (int64_t)key->hi;
  fail_msg("no key %s", name);
  return 0;
}

static void ranges_are_apart(void **state)
{
  for (int a = 0; a < VK_START_USES; a++) {
    const vk_start_range *r = &vk_start_ranges[a];
    assert_true(r->name && r->first >= 0 && r->n > 0 && r->first + r->n - 1 <= INT_MAX);
    assert_int_equal(vk_start_row((vk_start_use)a, 0), r->first);
    assert_int_equal(vk_start_row((vk_start_use)a, r->n - 1), r->first + r->n - 1);
    for (int b = 0; b < a; b++) {
      const vk_start_range *q = &vk_start_ranges[b];
      if (r->first < q->first + q->n && q->first < r->first + r->n)
        fail_msg("%s and %s draw the same first states", r->name, q->name);
    }
  }
}

/* Rows that replace others are in their own range, whatever they replace, and no two are one. */
static void replacements_are_apart(void **state)
{
  static const vk_start_use replaced[] = {VK_START_PRACTICE, VK_START_DAGGER};
  const vk_start_range *own = &vk_start_ranges[VK_START_REPLACED];
  for (size_t i = 0; i < VK_COUNT(replaced); i++) {
    const vk_start_range *r = &vk_start_ranges[replaced[i]];
    const int64_t end[] = {r->first, r->first + r->n - 1};
    for (int k = 1; k <= VK_START_REPLACED_MAX; k++)
      for (int e = 0; e < 2; e++) {
        int64_t row = end[e] + (int64_t)k * VK_START_STRIDE;
        assert_true(row >= own->first && row < own->first + own->n);
      }
    assert_true(r->first + r->n <= VK_START_STRIDE); /* so a stride further is nobody's else */
  }
}

/* What keys allow has rows. */
static void keys_stay_inside(void **state)
{
  assert_true(most("eval_episodes") <= vk_start_ranges[VK_START_JUDGE].n);
  assert_true(most("groups") <= vk_start_ranges[VK_START_PRACTICE].n);
  assert_true(most("dagger_episodes") <= vk_start_ranges[VK_START_DAGGER].n);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranges_are_apart),
      cmocka_unit_test(replacements_are_apart),
      cmocka_unit_test(keys_stay_inside),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
