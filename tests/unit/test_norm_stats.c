/* Statistics of demonstrations: numpy's numbers, the gripper in a policy's convention, JSON both
 * ways, and which key serves a suite. */
#include "test.h"

#include <stdlib.h>

#include "core/rng.h"
#include "rl/norm_stats.h"
#include "rl/view.h"

enum { N = 101, A = 7, P = 8 };

static double action[N * A], proprio[N * P];

/* Column k runs from -1 to 1 times (k + 1) / 10 in an order that is no order; the hand opens (-1)
 * in 81 steps of 101. */
static void make_rows(void)
{
  for (int t = 0; t < N; t++) {
    double x = t * 37 % N / 50.0 - 1;
    for (int k = 0; k < A; k++)
      action[t * A + k] = k == A - 1 ? (t < 81 ? -1 : 1) : x * (k + 1) / 10;
    for (int k = 0; k < P; k++)
      proprio[t * P + k] = 3 + x * (k + 1);
  }
}

static void make_stats(vk_norm_stats *s, const char *key)
{
  vk_err err = VK_ERR_INIT;
  make_rows();
  vk_assert_ok(vk_norm_stats_from(s, key, 4, N, action, proprio, &err), &err);
}

static void test_numbers(void **state)
{
  vk_norm_stats s;
  make_stats(&s, "libero_goal");
  assert_string_equal(s.key, "libero_goal");
  assert_true(s.n_step == N && s.n_demo == 4 && s.action.n_dim == A && s.proprio.n_dim == P);
  for (int k = 0; k < 6; k++) {
    double unit = (k + 1) / 10.0;
    assert_true(s.action.is_scaled[k]);
    vk_assert_close(s.action.low[k], -0.98 * unit, 1e-15, 0); /* row 1 of 0 .. 100 */
    vk_assert_close(s.action.high[k], 0.98 * unit, 1e-15, 0);
    vk_assert_close(s.action_moments.mean[k], 0, 1e-15, 0);
    vk_assert_close(s.action_moments.std[k], unit * sqrt((101.0 * 101 - 1) / 12) / 50, 1e-15, 0);
    vk_assert_close(s.action_moments.min[k], -unit, 0, 0);
    vk_assert_close(s.action_moments.max[k], unit, 0, 0);
  }
  assert_false(s.action.is_scaled[6]);
  vk_assert_close(s.action_moments.mean[6], 81.0 / N, 1e-15, 0); /* 1 is open */
  vk_assert_same_bits(s.action.low[6], 0.0);
  vk_assert_same_bits(s.action.high[6], 1.0);
  for (int k = 0; k < P; k++) {
    assert_true(s.proprio.is_scaled[k]);
    vk_assert_close(s.proprio.low[k], 3 - 0.98 * (k + 1), 1e-14, 0);
    vk_assert_close(s.proprio_moments.mean[k], 3, 1e-14, 0);
  }
}

static void test_refused(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_norm_stats s;
  make_rows();
  for (int t = 0; t < N; t++)
    action[t * A + 3] = 0.25;
  vk_assert_fails(vk_norm_stats_from(&s, "x", 4, N, action, proprio, &err), VK_E_RANGE);
  vk_assert_says(&err, "actions of 4 demonstrations");
  vk_assert_says(&err, "q01 and q99 of dimension 3 are both 0.25");
  make_rows();
  for (int t = 0; t < N; t++)
    proprio[t * P + 7] = -2;
  vk_assert_fails(vk_norm_stats_from(&s, "x", 4, N, action, proprio, &err), VK_E_RANGE);
  vk_assert_says(&err, "proprioception of 4 demonstrations");
  vk_assert_says(&err, "dimension 7 are both -2");
  make_rows();
  action[5] = NAN;
  vk_assert_fails(vk_norm_stats_from(&s, "x", 4, N, action, proprio, &err), VK_E_RANGE);
  vk_assert_says(&err, "row 0 has nan in dimension 5");
  vk_assert_fails(vk_norm_stats_from(&s, "x", 0, 0, action, proprio, &err), VK_E_SHAPE);
}

static void test_json_both_ways(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_norm_stats a, b, *list;
  char *text, hex[2][65];
  int n;
  make_stats(&a, "libero_goal");
  b = a;
  memset(b.key, 0, sizeof b.key);
  memcpy(b.key, "libero_10", 9);
  b.n_step = 5;
  cJSON *o = cJSON_CreateObject(), *back;
  vk_assert_ok(vk_norm_stats_to_json(&a, o, &err), &err);
  vk_assert_ok(vk_norm_stats_to_json(&b, o, &err), &err);
  vk_assert_ok(vk_json_text(&text, o, &err), &err);
  vk_assert_ok(vk_json_parse(&back, text, strlen(text), "text", &err), &err);
  vk_assert_ok(vk_norm_stats_from_json(&list, &n, back, "text", &err), &err);
  assert_int_equal(n, 2);
  assert_memory_equal(&list[0], &a, sizeof a);
  assert_memory_equal(&list[1], &b, sizeof b);
  vk_assert_ok(vk_norm_stats_hash(&a, hex[0], &err), &err);
  vk_assert_ok(vk_norm_stats_hash(&list[0], hex[1], &err), &err);
  assert_string_equal(hex[0], hex[1]);
  vk_assert_ok(vk_norm_stats_hash(&b, hex[1], &err), &err);
  assert_string_not_equal(hex[0], hex[1]);
  free(list);
  cJSON_free(text);
  cJSON_Delete(back);
  cJSON_Delete(o);
}

/* As OpenVLA's files may be: integers, no mask (all scaled), no proprio, moments missing. */
static void test_json_of_others(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_norm_stats *list;
  cJSON *o;
  int n;
  const char *text = "{\"bridge_orig\": {\"action\": {\"q01\": [-1,-1,-1,-1,-1,-1,0], \"q99\": "
                     "[1,1,1,1,1,1,1], \"q50\": [0]}, \"num_transitions\": 10}}";
  vk_assert_ok(vk_json_parse(&o, text, strlen(text), "text", &err), &err);
  vk_assert_ok(vk_norm_stats_from_json(&list, &n, o, "text", &err), &err);
  assert_true(n == 1 && list->proprio.n_dim == 0 && list->n_step == 10 && list->n_demo == 0);
  assert_true(list->action.is_scaled[6] && list->action.low[6] == 0 && list->action.high[6] == 1);
  free(list);
  cJSON_Delete(o);
}

static void expect_bad(const char *text, vk_status code, const char *says)
{
  vk_err err = VK_ERR_INIT;
  vk_norm_stats *list;
  cJSON *o;
  int n;
  vk_assert_ok(vk_json_parse(&o, text, strlen(text), "text", &err), &err);
  vk_assert_fails(vk_norm_stats_from_json(&list, &n, o, "FILE", &err), code);
  vk_assert_says(&err, says);
  assert_null(list);
  cJSON_Delete(o);
}

static void test_bad_json(void **state)
{
#define Q(low, high) "\"q01\": [-1,-1,-1,-1,-1," low ",0], \"q99\": [1,1,1,1,1," high ",1]"
  expect_bad("{}", VK_E_NOTFOUND, "FILE: there are no statistics");
  expect_bad("[1]", VK_E_NOTFOUND, "FILE: there are no statistics");
  expect_bad("{\"k\": 3}", VK_E_FORMAT, "statistics 'k': not an object");
  expect_bad("{\"k\": {}}", VK_E_FORMAT, "statistics 'k': there is no object 'action'");
  expect_bad("{\"k\": {\"action\": {\"q01\": [1]}}}", VK_E_SHAPE, "q01");
  expect_bad("{\"k\": {\"action\": {" Q("2", "2") "}}}", VK_E_RANGE,
             "'k', action: q01 and q99 of dimension 5 are both 2");
  expect_bad("{\"k\": {\"action\": {" Q("0", "1") ", \"mask\": [true]}}}", VK_E_SHAPE,
             "mask is not a list of 7");
  expect_bad("{\"k\": {\"action\": {" Q("0", "1") ", \"mask\": [true,true,true,true,true,1,0]}}}",
             VK_E_FORMAT, "mask[5] is neither");
  expect_bad("{\"k\": {\"action\": {" Q("0", "1") "}, \"proprio\": {\"q01\": [1,2,3,4,5,6,7]}}}",
             VK_E_SHAPE, "proprio");
#undef Q
}

static void expect_found(const vk_norm_stats *list, int n, const char *suite, const char *key)
{
  vk_err err = VK_ERR_INIT;
  const vk_norm_stats *s;
  vk_assert_ok(vk_norm_stats_find(&s, list, n, suite, &err), &err);
  assert_string_equal(s->key, key);
}

static void test_find(void **state)
{
  vk_err err = VK_ERR_INIT;
  const vk_norm_stats *s;
  const vk_norm_stats list[] = {{.key = "libero130"},
                                {.key = "libero_goal_no_noops"},
                                {.key = "libero_spatial"},
                                {.key = "libero_spatial_no_noops"}};
  expect_found(list, 4, "libero_spatial", "libero_spatial");
  expect_found(list, 4, "libero_goal", "libero_goal_no_noops");
  expect_found(list, 4, "libero_10", "libero130");
  vk_assert_fails(vk_norm_stats_find(&s, list + 1, 2, "libero_10", &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "it has libero_goal_no_noops, libero_spatial");
  vk_assert_fails(vk_norm_stats_find(&s, list, 0, "libero_10", &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "it has none");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numbers),        cmocka_unit_test(test_refused),
      cmocka_unit_test(test_json_both_ways), cmocka_unit_test(test_json_of_others),
      cmocka_unit_test(test_bad_json),       cmocka_unit_test(test_find),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
