/* Policies: names, arguments, hashes; what zero, random and replay answer. */
#include "test.h"

#include <stdio.h>

#include "core/npy.h"
#include "rl/policy.h"
#include "rl/policy_bundled.h"
#include "temp_dir.h"

enum { N_ENV = 3 };

static vk_policy open_ok(const char *word, uint64_t seed)
{
  vk_policy p;
  vk_err err = VK_ERR_INIT;
  vk_policy_args args = {.n_env = N_ENV, .seed = seed};
  vk_assert_ok(vk_policy_open(&p, word, &args, &err), &err);
  return p;
}

static vk_status open_error(const char *word, vk_err *err)
{
  vk_policy p;
  vk_policy_args args = {.n_env = N_ENV};
  return vk_policy_open(&p, word, &args, err);
}

static void begin(vk_policy *p, int i_env, uint64_t episode)
{
  vk_err err = VK_ERR_INIT;
  vk_policy_obs obs = {.i_env = i_env};
  vk_assert_ok(p->def->begin(p->state, &obs, episode, &err), &err);
}

static void act(vk_policy *p, int i_env, int i_step, double action[VK_N_ACTION])
{
  vk_err err = VK_ERR_INIT;
  vk_policy_obs obs = {.i_env = i_env, .i_step = i_step};
  vk_assert_ok(p->def->act(p->state, 1, &obs, action, &err), &err);
}

static void test_names(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(open_error("zro", &err), VK_E_USAGE);
  vk_assert_says(&err, "did you mean zero?");
  vk_assert_fails(open_error("somebody-else", &err), VK_E_USAGE);
  vk_assert_says(&err, "there are checkpoint, expert, random, replay, zero");
  vk_assert_fails(open_error("replay", &err), VK_E_USAGE);
  vk_assert_says(&err, "replay:FILE");
  vk_assert_fails(open_error("replay:", &err), VK_E_USAGE);
  vk_assert_fails(open_error("zero:fast", &err), VK_E_USAGE);
  vk_assert_fails(open_error("", &err), VK_E_USAGE);
  for (size_t i = 0; vk_policy_defs[i]; i++) {
    assert_non_null(vk_policy_defs[i]->help);
    if (i)
      assert_true(strcmp(vk_policy_defs[i - 1]->name, vk_policy_defs[i]->name) < 0);
  }
}

static vk_status parse_list(const char *text, vk_bundled *out, int *n, vk_err *err)
{
  return vk_bundled_parse(out, n, text, strlen(text), "list.json", in_dir("."), err);
}

static void test_bundled(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_bundled list[VK_BUNDLED_MAX];
  int n;
  char path[VK_FS_PATH_MAX];
  vk_assert_ok(vk_fs_make_dirs(in_dir("small-1"), &err), &err);
  vk_assert_ok(vk_fs_write(in_dir("small-1/config.json"), "{}", 2, &err), &err);
  vk_assert_ok(parse_list("{\"policies\": [{\"name\": \"small-1\", \"about\": \"one\"}, "
                          "{\"name\": \"gone\", \"about\": \"two\"}]}",
                          list, &n, &err),
               &err);
  assert_int_equal(n, 2);
  assert_string_equal(list[0].name, "small-1");
  assert_string_equal(list[1].about, "two");
  assert_true(vk_fs_is_dir(list[0].path));
  assert_string_equal(list[1].path, "");
  vk_assert_ok(vk_bundled_choose(path, "bundled", list, n, &err), &err);
  assert_string_equal(path, list[0].path);
  vk_assert_fails(vk_bundled_choose(path, "gone", list, n, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "gone: the policy gone that comes with the program is not installed");
  vk_assert_fails(vk_bundled_choose(path, "other", list, n, &err), VK_E_NOTFOUND);
  vk_assert_fails(vk_bundled_choose(path, "bundled", list, 0, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "no trained policy comes with this version of the program; make one");
  static const struct {
    const char *text, *says;
  } bad[] = {
      {"{\"policies\": [{\"name\": \"../up\", \"about\": \"\"}]}", "policies[0]: name \"../up\""},
      {"{\"policies\": [{\"name\": \"a\"}]}", "about"},
      {"{\"policies\": [{\"nmae\": \"a\", \"about\": \"\"}]}", "name"},
      {"{\"policies\": 1}", "policies: expected a list of at most 16"},
      {"{}", "policies: expected a list"},
      {"[]", "list.json"},
  };
  for (size_t i = 0; i < VK_COUNT(bad); i++) {
    assert_int_not_equal(parse_list(bad[i].text, list, &n, &err), VK_OK);
    vk_assert_says(&err, bad[i].says);
  }

  /* what this program has: every one is whole, and the first is "bundled" */
  vk_assert_ok(vk_bundled_list(list, &n, &err), &err);
  assert_true(vk_bundled_is_name("bundled"));
  assert_false(vk_bundled_is_name("small-1") || vk_bundled_is_name("./bundled"));
  for (int i = 0; i < n; i++) {
    vk_assert_ok(vk_bundled_find(path, list[i].name, &err), &err);
    assert_true(vk_bundled_is_name(list[i].name));
  }
  assert_true(n > 0);
  vk_assert_ok(vk_bundled_find(path, "bundled", &err), &err);
  assert_string_equal(path, list[0].path);
  vk_assert_fails(open_error("bundeld", &err), VK_E_USAGE);
  vk_assert_says(&err, "did you mean bundled?");
}

static void test_zero(void **state)
{
  vk_policy p = open_ok("zero", 0);
  double a[VK_N_ACTION];
  begin(&p, 0, 1);
  act(&p, 0, 0, a);
  for (int i = 0; i < 6; i++)
    vk_assert_same_bits(a[i], 0.0);
  vk_assert_same_bits(a[6], -1.0);
  vk_policy_close(&p);
}

/* An episode's actions depend on seed and episode, not on the slot or on other episodes. */
static void test_random(void **state)
{
  vk_policy p = open_ok("random", 5), q = open_ok("random", 5), r = open_ok("random", 6);
  double a[VK_N_ACTION], b[VK_N_ACTION], c[VK_N_ACTION], d[VK_N_ACTION];
  begin(&p, 0, 77);
  begin(&q, 1, 123);
  act(&q, 1, 0, b);
  begin(&q, 2, 77);
  begin(&r, 0, 77);
  bool is_other_seed_equal = true, is_other_episode_equal = true;
  double gripper = 0;
  begin(&q, 1, 78);
  for (int t = 0; t < 40; t++) {
    act(&p, 0, t, a);
    act(&q, 1, t, d);
    act(&q, 2, t, b);
    act(&r, 0, t, c);
    assert_memory_equal(a, b, sizeof a);
    is_other_seed_equal = is_other_seed_equal && memcmp(a, c, sizeof a) == 0;
    is_other_episode_equal = is_other_episode_equal && memcmp(a, d, sizeof a) == 0;
    for (int i = 0; i < VK_N_ACTION; i++)
      assert_true(a[i] >= -1 && a[i] <= 1);
    assert_true(a[6] == 1 || a[6] == -1);
    if (t % 10)
      vk_assert_same_bits(a[6], gripper);
    gripper = a[6];
  }
  assert_false(is_other_seed_equal);
  assert_false(is_other_episode_equal);
  vk_policy_close(&p);
  vk_policy_close(&q);
  vk_policy_close(&r);
}

/* ---- replay ---- */

static void write_npz(const char *name, const char *key, int64_t n, int64_t width, int64_t n_dummy,
                      const double *data, char path[128])
{
  vk_array array[2] = {
      {.kind = 'f', .item_size = 8, .n_dim = 2, .shape = {n, width}, .n_item = n * width},
      {.name = "n_dummy", .kind = 'i', .item_size = 8, .n_item = 1, .data = &n_dummy}};
  snprintf(array[0].name, sizeof array[0].name, "%s", key);
  memcpy(&array[0].data, &data, sizeof data);
  vk_npz npz = {n_dummy >= 0 ? 2 : 1, array};
  snprintf(path, 128, "replay:%s", in_dir(name));
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_npz_write(path + strlen("replay:"), &npz, &err), &err);
}

static void test_replay(void **state)
{
  double data[4 * VK_N_ACTION], a[VK_N_ACTION];
  char word[128], same[128];
  for (int i = 0; i < 4 * VK_N_ACTION; i++)
    data[i] = 0.25 * i;
  write_npz("a.npz", "step_action", 4, VK_N_ACTION, -1, data, word);
  vk_policy p = open_ok(word, 0);
  begin(&p, 1, 9);
  for (int t = 0; t < 4; t++) {
    act(&p, 1, t, a);
    assert_memory_equal(a, data + VK_N_ACTION * t, sizeof a);
  }
  act(&p, 1, 4, a); /* past the end: still, with the last gripper command */
  for (int i = 0; i < 6; i++)
    vk_assert_same_bits(a[i], 0.0);
  vk_assert_same_bits(a[6], data[27]);

  /* Another file of the same actions is the same policy; other actions are not. */
  write_npz("b.npz", "anything", 4, VK_N_ACTION, -1, data, same);
  vk_policy q = open_ok(same, 0);
  assert_string_equal(p.hash, q.hash);
  vk_policy_close(&q);
  data[3] = 1;
  write_npz("c.npz", "actions", 4, VK_N_ACTION, -1, data, same);
  q = open_ok(same, 0);
  assert_string_not_equal(p.hash, q.hash);
  vk_policy_close(&q);
  vk_policy_close(&p);

  /* The waiting steps of a recording are the protocol's to make. */
  write_npz("d.npz", "step_action", 4, VK_N_ACTION, 2, data, word);
  p = open_ok(word, 0);
  begin(&p, 0, 0);
  act(&p, 0, 0, a);
  assert_memory_equal(a, data + VK_N_ACTION * 2, sizeof a);
  vk_policy_close(&p);
}

static void test_replay_refuses(void **state)
{
  double data[4 * VK_N_ACTION] = {0};
  char word[128];
  vk_err err = VK_ERR_INIT;
  write_npz("six.npz", "step_action", 4, 6, -1, data, word);
  vk_assert_fails(open_error(word, &err), VK_E_SHAPE);
  vk_assert_says(&err, "(4, 6)");
  vk_assert_says(&err, "(T, 7)");
  write_npz("none.npz", "something", 4, 6, 1, data, word);
  vk_assert_fails(open_error(word, &err), VK_E_NOTFOUND);
  write_npz("dummy.npz", "step_action", 4, VK_N_ACTION, 4, data, word);
  vk_assert_fails(open_error(word, &err), VK_E_RANGE);
  vk_assert_fails(open_error("replay:/no/such/file.npz", &err), VK_E_NOTFOUND);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_names),  cmocka_unit_test(test_bundled),
      cmocka_unit_test(test_zero),   cmocka_unit_test(test_random),
      cmocka_unit_test(test_replay), cmocka_unit_test(test_replay_refuses),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
