/* Evaluation: the same results on any number of threads, in any order, one by one or in lockstep;
 * errors that stay with their episode. */
#include "test.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/signal.h"
#include "rl/evaluate.h"

enum { N_STEP = 6, ROOM = 16 };

/* Short episodes; init rows and resets as in the published protocols. */
static const vk_protocol quick = {.name = "quick",
                                  .n_parallel = 1,
                                  .n_episode = 2,
                                  .n_dummy = 2,
                                  .dummy = {0, 0, 0, 0, 0, 0, -1},
                                  .n_step_default = N_STEP};

static vk_pack pack;

static int open_pack(void **state)
{
  vk_err err = VK_ERR_INIT;
  if (vk_pack_open(&pack, VK_SOURCE_DIR "/data/libero.pack", &err) == VK_OK)
    return 0;
  print_error("%s\n", err.text);
  return -1;
}

static int close_pack(void **state)
{
  vk_pack_close(&pack);
  return 0;
}

static uint32_t task_index(const char *word)
{
  uint32_t *task = calloc(pack.n_task + 1, sizeof *task), n = 0, i_task;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_pack_find_tasks(&pack, word, task, &n, &err), &err);
  assert_int_equal(n, 1);
  i_task = task[0];
  free(task);
  return i_task;
}

typedef struct results {
  int n, n_max;
  vk_eval_result item[ROOM];
} results;

static vk_status take(void *arg, const vk_eval_result *result, vk_err *err)
{
  results *r = arg;
  if (r->n == r->n_max)
    return vk_fail(err, VK_E_IO, "no room for another result");
  r->item[r->n++] = *result;
  return VK_OK;
}

static const vk_eval_result *find(const results *r, vk_eval_episode e)
{
  for (int i = 0; i < r->n; i++)
    if (r->item[i].episode.i_task == e.i_task && r->item[i].episode.row == e.row)
      return &r->item[i];
  fail_msg("no result of task %u row %d", e.i_task, e.row);
  return NULL;
}

/* Evaluates with a policy of the table, or with one that `def` stands for. */
static vk_status evaluate_traced(results *out, int n_thread, const vk_policy_def *def,
                                 unsigned needs, int n, const vk_eval_episode *episode,
                                 vk_trace *trace, vk_err *err)
{
  vk_pool *pool = NULL;
  vk_assert_ok(vk_pool_new(&pool, n_thread, err), err);
  vk_policy policy;
  const vk_policy_args args = {.n_env = vk_eval_n_slot(pool), .seed = 3};
  vk_assert_ok(vk_policy_open(&policy, "random", &args, err), err);
  vk_policy_def own = def ? *def : *policy.def;
  own.needs |= needs;
  vk_policy used = {.def = &own, .state = policy.state};
  if (out->n_max == 0)
    out->n_max = ROOM;
  const vk_eval_config config = {.pack = &pack,
                                 .protocol = &quick,
                                 .seed = 5,
                                 .policy = &used,
                                 .pool = pool,
                                 .n_episode = n,
                                 .episode = episode,
                                 .put = take,
                                 .arg = out,
                                 .trace = trace};
  vk_eval_stats stats;
  vk_status st = vk_evaluate(&config, &stats, err);
  assert_true(stats.n_step >= 0 && stats.wall_s > 0);
  vk_policy_close(&policy);
  vk_pool_free(pool);
  return st;
}

static vk_status evaluate(results *out, int n_thread, const vk_policy_def *def, unsigned needs,
                          int n, const vk_eval_episode *episode, vk_err *err)
{
  return evaluate_traced(out, n_thread, def, needs, n, episode, NULL, err);
}

static void expect_same(const results *a, const results *b)
{
  assert_int_equal(a->n, b->n);
  for (int i = 0; i < a->n; i++) {
    const vk_eval_result *x = &a->item[i], *y = find(b, x->episode);
    assert_int_equal(x->status, y->status);
    assert_int_equal(x->success, y->success);
    assert_int_equal(x->steps, y->steps);
    assert_string_equal(x->state_sha256, y->state_sha256);
    assert_string_equal(x->error.text, y->error.text);
  }
}

static void test_same_results(void **state)
{
  const uint32_t a = task_index("libero_object/0"), b = task_index("libero_90/0");
  const vk_eval_episode forward[] = {{a, 0}, {a, 1}, {a, 2}, {b, 0}, {b, 1}},
                        backward[] = {{b, 1}, {b, 0}, {a, 2}, {a, 1}, {a, 0}};
  vk_err err = VK_ERR_INIT;
  results one = {0}, three = {0}, reversed = {0}, lockstep = {0}, lockstep_3 = {0}, alone = {0};
  vk_assert_ok(evaluate(&one, 1, NULL, 0, 5, forward, &err), &err);
  assert_int_equal(one.n, 5);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(one.item[i].status, VK_OK);
    assert_int_equal(one.item[i].steps, N_STEP);
    assert_int_equal(strlen(one.item[i].state_sha256), 64);
  }
  assert_string_not_equal(one.item[0].state_sha256, one.item[1].state_sha256);
  vk_assert_ok(evaluate(&three, 3, NULL, 0, 5, forward, &err), &err);
  expect_same(&one, &three);
  vk_assert_ok(evaluate(&reversed, 1, NULL, 0, 5, backward, &err), &err);
  expect_same(&one, &reversed);
  vk_assert_ok(evaluate(&lockstep, 1, NULL, VK_POLICY_BATCH, 5, forward, &err), &err);
  expect_same(&one, &lockstep);
  vk_assert_ok(evaluate(&lockstep_3, 3, NULL, VK_POLICY_BATCH, 5, backward, &err), &err);
  expect_same(&one, &lockstep_3);
  vk_assert_ok(evaluate(&alone, 1, NULL, 0, 1, forward + 2, &err), &err);
  assert_string_equal(alone.item[0].state_sha256, find(&one, forward[2])->state_sha256);
}

/* Episode k: reset k of a generator seeded once, init row k, the waiting steps, the policy. */
static void test_protocol_order(void **state)
{
  enum { ROW = 2 };
  const vk_eval_episode episode = {task_index("libero_90/0"), ROW};
  vk_err err = VK_ERR_INIT;
  results r = {0};
  vk_assert_ok(evaluate(&r, 1, NULL, 0, 1, &episode, &err), &err);

  vk_scene *scene = NULL;
  vk_env *env = NULL;
  vk_assert_ok(vk_scene_new(&scene, &pack, episode.i_task, NULL, &err), &err);
  vk_assert_ok(vk_env_new(&env, scene, &err), &err);
  vk_env_seed(env, 5);
  for (int k = 0; k <= ROW; k++)
    vk_assert_ok(vk_env_reset(env, &err), &err);
  double *start = calloc((size_t)scene->n_state, sizeof *start);
  vk_assert_ok(vk_pack_init_row(&pack, scene->task, ROW, start, &err), &err);
  vk_assert_ok(vk_env_set_state(env, start, scene->n_state, &err), &err);
  free(start);
  vk_step step;
  for (int i = 0; i < quick.n_dummy; i++)
    vk_assert_ok(vk_env_step(env, quick.dummy, &step, &err), &err);

  vk_policy policy;
  const vk_policy_args args = {.n_env = 1, .seed = 3};
  vk_assert_ok(vk_policy_open(&policy, "random", &args, &err), &err);
  /* The episode's key is what the first 8 bytes of SHA-256("libero_90/0 2") say. */
  char hex[65];
  vk_sha256_hex("libero_90/0 2", 13, hex);
  hex[16] = '\0';
  vk_policy_obs obs = {0};
  vk_assert_ok(policy.def->begin(policy.state, &obs, strtoull(hex, NULL, 16), &err), &err);
  for (obs.i_step = 0; obs.i_step < N_STEP; obs.i_step++) {
    double action[VK_N_ACTION];
    vk_assert_ok(policy.def->act(policy.state, 1, &obs, action, &err), &err);
    vk_assert_ok(vk_env_step(env, action, &step, &err), &err);
  }
  vk_env_state_sha256(env, hex);
  assert_string_equal(hex, r.item[0].state_sha256);
  vk_policy_close(&policy);
  vk_env_free(env);
  vk_scene_free(scene);
}

/* A task's scene is built once, however its episodes fall on the slots. */
static void test_scenes_are_built_once(void **state)
{
  const uint32_t a = task_index("libero_object/0"), b = task_index("libero_90/0");
  const vk_eval_episode episode[] = {{a, 0}, {a, 1}, {a, 2}, {b, 0}, {b, 1}};
  char path[] = "/tmp/vk_test_evaluate_XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  for (int n_thread = 1; n_thread <= 3; n_thread += 2) {
    vk_err err = VK_ERR_INIT;
    vk_trace *trace = NULL;
    results r = {0};
    char *text = NULL;
    size_t n = 0;
    vk_assert_ok(vk_trace_new(&trace, path, 10000, &err), &err);
    vk_assert_ok(evaluate_traced(&r, n_thread, NULL, 0, 5, episode, trace, &err), &err);
    vk_assert_ok(vk_trace_write(trace, &err), &err);
    vk_trace_free(trace);
    vk_assert_ok(vk_fs_read(&text, &n, path, 10 << 20, &err), &err);
    int n_scene = 0;
    for (const char *at = text; (at = strstr(at, "\"name\":\"scene\"")); at++)
      n_scene++;
    assert_int_equal(n_scene, 2);
    free(text);
  }
  unlink(path);
}

/* What the policy of test_policy_begins saw, when it began and when it first acted. */
static double begun_s, acted_s;
static int n_begun, n_acted;

static vk_status note_begin(void *policy, const vk_policy_obs *obs, uint64_t episode, vk_err *err)
{
  n_begun++;
  begun_s = vk_env_data(obs->env)->time;
  return VK_OK;
}

static vk_status note_act(void *policy, int n, const vk_policy_obs *obs, double *action,
                          vk_err *err)
{
  memset(action, 0, sizeof *action * VK_N_ACTION * (size_t)n);
  if (obs->i_step == 0)
    acted_s = vk_env_data(obs->env)->time;
  return obs->i_step == n_acted++ ? VK_OK : vk_fail(err, VK_E_SIM, "step %d", obs->i_step);
}

/* It begins once, where the waiting steps have led, and is then asked for every step in turn. */
static void test_policy_begins(void **state)
{
  static const vk_policy_def def = {
      .name = "note", .needs = VK_POLICY_STATE, .begin = note_begin, .act = note_act};
  const vk_eval_episode episode = {task_index("libero_90/0"), 0};
  const vk_pack_task *t = &pack.task[episode.i_task];
  vk_err err = VK_ERR_INIT;
  double *start = calloc(t->n_state, sizeof *start);
  vk_assert_ok(vk_pack_init_row(&pack, t, 0, start, &err), &err);
  for (unsigned needs = 0; needs <= VK_POLICY_BATCH; needs += VK_POLICY_BATCH) {
    results r = {0};
    n_begun = n_acted = 0;
    vk_assert_ok(evaluate(&r, 1, &def, needs, 1, &episode, &err), &err);
    vk_assert_ok(r.item[0].status, &r.item[0].error);
    assert_int_equal(n_begun, 1);
    assert_int_equal(n_acted, N_STEP);
    vk_assert_close(begun_s, start[0] + 0.05 * quick.n_dummy, 1e-9, 0);
    vk_assert_close(acted_s, begun_s, 0, 0);
  }
  free(start);
}

/* ---- policies that cannot go on ---- */

static vk_status begin_unless_row_1(void *policy, const vk_policy_obs *obs, uint64_t episode,
                                    vk_err *err)
{
  char hex[65];
  vk_sha256_hex("libero_90/0 1", 13, hex);
  hex[16] = '\0';
  if (episode == strtoull(hex, NULL, 16))
    return vk_fail(err, VK_E_NOTFOUND, "nothing known of this episode");
  assert_non_null(obs->env); /* it asks for the state */
  assert_int_equal(obs->i_step, 0);
  assert_non_null(obs->robot);
  assert_true(strlen(obs->instruction) > 10);
  return VK_OK;
}

static vk_status act_nan_at_3(void *policy, int n, const vk_policy_obs *obs, double *action,
                              vk_err *err)
{
  memset(action, 0, sizeof *action * VK_N_ACTION * (size_t)n);
  for (int i = 0; i < n; i++)
    if (obs[i].i_step == 3)
      action[VK_N_ACTION * i + 2] = NAN;
  return VK_OK;
}

static void test_errors_stay_with_their_episode(void **state)
{
  static const vk_policy_def bad = {
      .name = "bad", .needs = VK_POLICY_STATE, .begin = begin_unless_row_1, .act = act_nan_at_3};
  const uint32_t b = task_index("libero_90/0");
  const vk_eval_episode episode[] = {{b, 0}, {b, 1}, {b, 2}, {b, 50}}; /* rows end at 49 */
  for (unsigned needs = 0; needs <= VK_POLICY_BATCH; needs += VK_POLICY_BATCH) {
    vk_err err = VK_ERR_INIT;
    results r = {0};
    vk_assert_ok(evaluate(&r, 2, &bad, needs, 4, episode, &err), &err);
    assert_int_equal(r.n, 4);
    const vk_eval_result *nan = find(&r, episode[0]);
    vk_assert_fails(nan->status, VK_E_RANGE);
    vk_assert_says(&nan->error, "policy bad, task libero_90/0, row 0, step 3: ");
    vk_assert_says(&nan->error, "nan");
    assert_string_equal(nan->state_sha256, "");
    assert_false(nan->success);
    vk_assert_fails(find(&r, episode[1])->status, VK_E_NOTFOUND);
    vk_assert_says(&find(&r, episode[1])->error, "row 1, step 0: nothing known");
    vk_assert_fails(find(&r, episode[2])->status, VK_E_RANGE);
    vk_assert_fails(find(&r, episode[3])->status, VK_E_RANGE);
  }
}

static void test_put_error_ends_it(void **state)
{
  const uint32_t b = task_index("libero_90/0");
  const vk_eval_episode episode[] = {{b, 0}, {b, 1}, {b, 2}, {b, 3}};
  for (unsigned needs = 0; needs <= VK_POLICY_BATCH; needs += VK_POLICY_BATCH) {
    vk_err err = VK_ERR_INIT;
    results r = {.n_max = 1};
    vk_assert_fails(evaluate(&r, 1, NULL, needs, 4, episode, &err), VK_E_IO);
    vk_assert_says(&err, "no room");
    assert_int_equal(r.n, 1);
  }
}

static vk_status act_and_interrupt(void *policy, int n, const vk_policy_obs *obs, double *action,
                                   vk_err *err)
{
  memset(action, 0, sizeof *action * VK_N_ACTION * (size_t)n);
  if (obs->i_step == N_STEP - 2)
    kill(getpid(), SIGINT);
  return VK_OK;
}

static vk_status begin_any(void *policy, const vk_policy_obs *obs, uint64_t episode, vk_err *err)
{
  return VK_OK;
}

/* In a child, as an interruption lasts. */
static void test_interruption(void **state)
{
  static const vk_policy_def def = {
      .name = "interrupter", .begin = begin_any, .act = act_and_interrupt};
  const uint32_t b = task_index("libero_90/0");
  const vk_eval_episode episode[] = {{b, 0}, {b, 1}, {b, 2}};
  for (unsigned needs = 0; needs <= VK_POLICY_BATCH; needs += VK_POLICY_BATCH) {
    pid_t pid = fork();
    if (pid == 0) {
      vk_signal_init();
      vk_err err = VK_ERR_INIT;
      results r = {0};
      vk_status st = evaluate(&r, 1, &def, needs, 3, episode, &err);
      _exit(st != VK_E_INTERRUPTED ? 1 : r.n != 0 ? 2 : vk_interrupted() != SIGINT ? 3 : 0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same_results),
      cmocka_unit_test(test_protocol_order),
      cmocka_unit_test(test_scenes_are_built_once),
      cmocka_unit_test(test_policy_begins),
      cmocka_unit_test(test_errors_stay_with_their_episode),
      cmocka_unit_test(test_put_error_ends_it),
      cmocka_unit_test(test_interruption),
  };
  return cmocka_run_group_tests(tests, open_pack, close_pack);
}
