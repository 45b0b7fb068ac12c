/* test_rollout.c - episodes for training: the same bits on any number of threads, groups that begin
 * alike and go on differently, failures of the simulator that are replaced, and a watchdog that
 * names what has stopped. */
#include "pack_world.h"
#include "temp_dir.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/thread.h"
#include "ears.h"
#include "nano_small.h"
#include "norm_flat.h"
#include "rl/rl_batch.h"
#include "rl/watchdog.h"
#include "sim/standin.h"

enum { GROUPS = 2, GROUP = 3, N = GROUPS * GROUP, LIMIT = 20, CHUNKS = 3 };

static const vk_protocol quick = QUICK_PROTOCOL(LIMIT, 8);

static vk_visuals visuals;
static vk_checkpoint_info info;
static vk_norm_stats stats;
static vk_params params;

static int set_up(void **state)
{
  vk_err err = VK_ERR_INIT;
  if (make_temp_dir(state) != 0)
    return -1;
  open_pack(state);
  vk_assert_ok(vk_standin_build(&visuals, &pack, &err), &err);
  small_open(&info.model, &params, 3);
  stats = flat_stats("libero130", -1.2, 1.1);
  info.stats = &stats;
  info.n_stats = 1;
  info.view = vk_view_defaults;
  info.n_action_step = 8;
  return 0;
}

static int tear_down(void **state)
{
  vk_params_free(&params);
  vk_visuals_close(&visuals);
  close_pack(state);
  return remove_temp_dir(state);
}

/* Of the rollouts that follow. */
static double quiet_s;
static vk_log *warn;
static vk_progress *progress;

static vk_status run_from(vk_rollout *r, const vk_eval_episode *start, int n_thread,
                          const vk_protocol *protocol, const vk_eval_watch *watch, int row_stride,
                          vk_err *err)
{
  vk_pool *pool;
  vk_assert_ok(vk_pool_new(&pool, n_thread, err), err);
  vk_assert_ok(vk_rollout_new(r, GROUPS, GROUP, CHUNKS, 2, err), err);
  const vk_rollout_config config = {.eval = {.pack = &pack,
                                             .cache_dir = temp_dir,
                                             .protocol = protocol,
                                             .seed = 7,
                                             .rows = VK_ROWS_SAMPLED,
                                             .visuals = &visuals,
                                             .pool = pool,
                                             .isa = small_isa(),
                                             .watch = watch,
                                             .progress = progress},
                                    .info = &info,
                                    .params = &params,
                                    .seed = 11,
                                    .temperature = 1.6,
                                    .row_stride = row_stride,
                                    .quiet_s = quiet_s,
                                    .warn = warn};
  vk_status st = vk_rollout_run(r, &config, start, err);
  vk_pool_free(pool);
  return st;
}

static vk_status run_with(vk_rollout *r, int n_thread, const vk_protocol *protocol,
                          const vk_eval_watch *watch, int row_stride, vk_err *err)
{
  const vk_eval_episode start[GROUPS] = {{task_index("libero_object/0"), 4},
                                         {task_index("libero_spatial/1"), 5}};
  return run_from(r, start, n_thread, protocol, watch, row_stride, err);
}

static void run(vk_rollout *r, int n_thread)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(run_with(r, n_thread, &quick, NULL, 0, &err), &err);
}

#define SAME(a, b, member, per)                                                                    \
  memcmp((a)->member + (ptrdiff_t)(per) * (i), (b)->member + (ptrdiff_t)(per) * (j),               \
         sizeof *(a)->member * (size_t)(per)) == 0

/* Decision i of a and j of b are the same in all. */
static bool is_same(const vk_rollout *a, int i, const vk_rollout *b, int j)
{
  return SAME(a, b, picture, 2 * VK_VIEW_BYTES) && SAME(a, b, proprio, 8) && SAME(a, b, bin, 56) &&
         SAME(a, b, log_prob, 56) && SAME(a, b, value, 8);
}

static void test_same_bits(void **state)
{
  vk_rollout one, three;
  run(&one, 1);
  run(&three, 3);
  for (int e = 0; e < N; e++) {
    assert_int_equal(one.episode[e].n_step, LIMIT);
    assert_int_equal(one.episode[e].n_decision, CHUNKS);
    assert_int_equal(three.episode[e].n_step, LIMIT);
    assert_false(one.episode[e].success);
    for (int k = 0; k < CHUNKS; k++)
      assert_true(is_same(&one, e * CHUNKS + k, &three, e * CHUNKS + k));
  }
  assert_int_equal(one.n_replaced, 0);
  assert_int_equal(one.n_step, N * (LIMIT + quick.n_dummy));
  vk_rollout_free(&one);
  vk_rollout_free(&three);
}

/* Episodes of a group see the same at first, of two groups not; all draw their own. */
static void test_groups(void **state)
{
  vk_rollout r;
  run(&r, 2);
  for (int e = 0; e < N; e++)
    for (int f = 0; f < e; f++) {
      int i = e * CHUNKS, j = f * CHUNKS;
      bool is_group = e / GROUP == f / GROUP;
      assert_int_equal(SAME(&r, &r, picture, 2 * VK_VIEW_BYTES), is_group);
      assert_int_equal(SAME(&r, &r, proprio, 8), is_group);
      assert_int_equal(SAME(&r, &r, value, 8), is_group);
      assert_false(SAME(&r, &r, bin, 56));
      assert_int_equal(r.episode[e].i_task == r.episode[f].i_task, is_group);
      assert_int_equal(r.episode[e].row == r.episode[f].row, is_group);
    }
  vk_rollout_free(&r);
}

/* Groups that begin alike are not the same episodes. */
static void test_groups_alike(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  const vk_eval_episode start[GROUPS] = {{task_index("libero_object/0"), 4},
                                         {task_index("libero_object/0"), 4}};
  vk_assert_ok(run_from(&r, start, 2, &quick, NULL, 0, &err), &err);
  for (int e = 0; e < N; e++)
    for (int f = 0; f < e; f++) {
      int i = e * CHUNKS, j = f * CHUNKS;
      assert_true(SAME(&r, &r, picture, 2 * VK_VIEW_BYTES));
      assert_false(SAME(&r, &r, bin, 56));
    }
  vk_rollout_free(&r);
}

/* ---- environments that begin anew ---------------------------------------------------------- */

enum { ENVS = 2, ENV_CHUNKS = 5 };

static vk_eval_episode next_start(void *arg, int i_traj, int i)
{
  (*(int *)arg)++;
  return (vk_eval_episode){task_index(i_traj ? "libero_object/0" : "libero_spatial/1"), 40 + i};
}

/* n_group groups of `group`, of n_chunk decisions; n_next: NULL: an episode each. */
static void run_asked(vk_rollout *r, int n_group, int group, int n_chunk, int n_thread, int limit,
                      const vk_eval_episode *start, int *n_next)
{
  vk_err err = VK_ERR_INIT;
  vk_pool *pool;
  vk_protocol protocol = quick;
  protocol.n_step_default = limit;
  vk_assert_ok(vk_pool_new(&pool, n_thread, &err), &err);
  vk_assert_ok(vk_rollout_new(r, n_group, group, n_chunk, 2, &err), &err);
  const vk_rollout_config config = {.eval = {.pack = &pack,
                                             .cache_dir = temp_dir,
                                             .protocol = &protocol,
                                             .seed = 7,
                                             .rows = VK_ROWS_SAMPLED,
                                             .visuals = &visuals,
                                             .pool = pool,
                                             .isa = small_isa()},
                                    .info = &info,
                                    .params = &params,
                                    .seed = 11,
                                    .temperature = 1.6,
                                    .values_after = true,
                                    .next = n_next ? next_start : NULL,
                                    .arg = n_next};
  vk_assert_ok(vk_rollout_run(r, &config, start, &err), &err);
  vk_pool_free(pool);
}

/* As many steps of each, in episodes that are those which begin so, the last one cut; what comes
 * after an end or a cut has the value that it has where it goes on. */
static void test_partial_reset(void **state)
{
  const vk_eval_episode start[ENVS] = {{task_index("libero_object/0"), 4},
                                       {task_index("libero_spatial/1"), 5}};
  int n_next = 0, n_again = 0;
  vk_rollout r, again, whole, first;
  run_asked(&r, ENVS, 1, ENV_CHUNKS, 1, LIMIT, start, &n_next);
  run_asked(&again, ENVS, 1, ENV_CHUNKS, 3, LIMIT, start, &n_again);
  assert_int_equal(r.n_traj, ENVS);
  assert_int_equal(r.n_episode, 2 * ENVS);
  assert_int_equal(n_next, ENVS);
  assert_int_equal(r.n_step, ENVS * (LIMIT + 2 * 8 + 2 * quick.n_dummy));
  for (int i = 0; i < ENVS * ENV_CHUNKS; i++)
    assert_true(is_same(&r, i, &again, i));
  const vk_eval_episode later[ENVS] = {next_start(&n_next, 0, 1), next_start(&n_next, 1, 1)};
  run_asked(&whole, ENVS, 2 * ENVS, CHUNKS, 2, LIMIT, later, NULL);
  run_asked(&first, ENVS, 1, CHUNKS + 1, 2, LIMIT + 8, start, NULL);
  for (int b = 0; b < ENVS; b++) {
    const vk_rollout_episode *one = &r.episode[b], *two = &r.episode[ENVS + b];
    assert_true(one->i_traj == b && one->first == 0 && one->n_decision == 3 && !one->is_cut);
    assert_true(two->i_traj == b && two->first == 3 && two->n_decision == 2 && two->is_cut);
    assert_true(one->n_step == LIMIT && two->n_step == 16);
    assert_true(two->row == 41 && two->i_task == later[b].i_task && !two->success);
    assert_int_equal(two->repeat, ENVS + b);
    int at = (b * 2 * ENVS + two->repeat) * CHUNKS; /* the group's episode with these draws */
    for (int k = 0; k < 2; k++)
      assert_true(is_same(&r, b * ENV_CHUNKS + 3 + k, &whole, at + k));
    vk_assert_same_bits(two->value_after, whole.value[(at + 2) * 8]);
    for (int k = 0; k < CHUNKS; k++)
      assert_true(is_same(&r, b * ENV_CHUNKS + k, &first, b * (CHUNKS + 1) + k));
    assert_true(one->value_after != 0 && isfinite(one->value_after));
  }
  vk_rollout_free(&whole);
  vk_rollout_free(&first);
  /* at a limit of whole chunks, the next decision's value is that of the end */
  run_asked(&first, ENVS, 1, 2, 2, 16, start, NULL);
  for (int b = 0; b < ENVS; b++) {
    assert_int_equal(first.episode[b].n_decision, 2);
    vk_assert_same_bits(first.episode[b].value_after, r.value[(b * ENV_CHUNKS + 2) * 8]);
  }
  vk_rollout_free(&first);
  vk_rollout_free(&r);
  vk_rollout_free(&again);
}

/* The network that learns has the log-probabilities that were drawn with, bit for bit. */
static void test_ratio_is_one(void **state)
{
  enum { CAP = 7 };
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  vk_rl_batch b;
  vk_team *team;
  vk_net net;
  int n_word[CAP];
  float *grad;
  vk_assert_ok(vk_params_block(&params, &grad, NULL), NULL);
  const vk_rl_config config = {.is_gae = true,
                               .gamma = 0.99,
                               .lambda = 0.95,
                               .reward = 1,
                               .filter_hi = 1,
                               .loss = vk_policy_loss_default()};
  const vk_rl_graph graph = {.loss = config.loss, .temperature = 1.6};
  const vk_rl_share share = {.actor = 1, .critic = 1};
  const vk_target target = {
      .isa = small_isa(), .n_thread = 2, .is_train = true, .loss = "loss", .accumulate = true};
  const vk_model_args args = {
      .n_batch = CAP, .with_value = true, .extend = vk_rl_graph_extend, .extend_arg = &graph};
  vk_rl_sums sums = {0};
  run(&r, 2);
  vk_assert_ok(vk_rl_batch_new(&b, &r, &config, &err), &err);
  assert_int_equal(b.n_used, N * CHUNKS);
  vk_assert_ok(vk_team_new(&team, 2, &err), &err);
  vk_assert_ok(
      vk_net_new(&net, &info.model, &args, &target, &params, grad, VK_CPU(team), NULL, &err), &err);
  for (int64_t i = 0; i < b.n_used; i += CAP) {
    int n = (int)(b.n_used - i < CAP ? b.n_used - i : CAP);
    vk_assert_ok(vk_rl_batch_set(&b, b.used + i, n, &share, 1, &net, n_word, &err), &err);
    vk_assert_ok(vk_exec_run(net.exec, NULL), NULL);
    const float *logp = vk_net_data(&net, "logp"), *old = vk_net_data(&net, "logp_old");
    for (int k = 0; k < n * 56; k++)
      vk_assert_same_bits(logp[k], old[k]);
    assert_memory_equal(vk_net_data(&net, "value"), vk_net_data(&net, "value_old"),
                        sizeof(float) * 8 * (size_t)n);
    vk_rl_batch_sum(&b, b.used + i, n, &net, &sums);
  }
  vk_policy_metrics m = vk_policy_metrics_of(&sums.policy);
  vk_assert_close(m.ratio, 1, 0, 0);
  vk_assert_close(m.kl, 0, 0, 0);
  vk_net_free(&net);
  vk_team_free(team);
  vk_rl_batch_free(&b);
  vk_rollout_free(&r);
  free(grad);
}

/* ---- what goes wrong ----------------------------------------------------------------------- */

/* Fails the first `n` episodes that come to their fifth step. */
typedef struct saboteur {
  _Atomic int n_left;
  bool is_thrown; /* by a state that MuJoCo gives up, not by an error */
  int n_step[64];
} saboteur;

static vk_status sabotage(void *arg, int i_slot, const vk_env *env, const vk_step *step,
                          vk_err *err)
{
  saboteur *s = arg;
  if (++s->n_step[i_slot] % 5 != 0 || atomic_fetch_sub(&s->n_left, 1) <= 0)
    return VK_OK;
  if (!s->is_thrown)
    return vk_fail(err, VK_E_SIM, "the arm has left the room");
  vk_env_data(env)->qvel[0] = 1e30;
  return VK_OK;
}

static void test_replaced(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_rollout r, plain;
  saboteur few = {.n_left = 2}, many = {.n_left = 1 << 20};
  const vk_eval_watch watch = {.arg = &few, .after_step = sabotage};
  run(&plain, 1);
  vk_assert_ok(run_with(&r, 1, &quick, &watch, 0, &err), &err);
  assert_int_equal(r.n_replaced, 2);
  for (int e = 0; e < N; e++) {
    assert_int_equal(r.episode[e].n_decision, CHUNKS);
    assert_int_equal(r.episode[e].row, plain.episode[e].row);
    bool is_new = r.episode[e].repeat != plain.episode[e].repeat;
    assert_int_equal(is_same(&r, e * CHUNKS, &plain, e * CHUNKS), !is_new);
  }
  vk_rollout_free(&r);
  saboteur throws = {.n_left = 1, .is_thrown = true};
  const vk_eval_watch thrown = {.arg = &throws, .after_step = sabotage};
  vk_assert_ok(run_with(&r, 1, &quick, &thrown, 0, &err), &err);
  assert_int_equal(r.n_replaced, 1);
  int n_other = 0;
  for (int e = 0; e < N; e++)
    n_other += !is_same(&r, e * CHUNKS, &plain, e * CHUNKS);
  assert_int_equal(n_other, 1);
  vk_rollout_free(&r);
  vk_rollout_free(&plain);
  const vk_eval_watch always = {.arg = &many, .after_step = sabotage};
  vk_assert_fails(run_with(&r, 1, &quick, &always, 0, &err), VK_E_SIM);
  vk_assert_says(&err, "after 3 tries");
  vk_rollout_free(&r);
  /* three tries of each of two rows, and then it works */
  saboteur first = {.n_left = 6 * N};
  const vk_eval_watch begins = {.arg = &first, .after_step = sabotage};
  vk_assert_ok(run_with(&r, 1, &quick, &begins, 1000, &err), &err);
  assert_int_equal(r.n_replaced, 6 * N);
  assert_int_equal(r.episode[0].row, 2004);
  assert_int_equal(r.episode[N - 1].row, 2005);
  vk_rollout_free(&r);
}

/* A limit that no episode comes to is none. */
static void test_limit(void **state)
{
  const uint32_t task[] = {task_index("libero_spatial/1"), task_index("libero_10/0")};
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_rollout_check_limit(&pack, "oft", 0, 2, task, &err), &err);
  vk_assert_ok(vk_rollout_check_limit(&pack, "oft", 220, 1, task, &err), &err);
  vk_assert_ok(vk_rollout_check_limit(&pack, "oft", 221, 2, task, &err), &err);
  vk_assert_ok(vk_rollout_check_limit(&pack, "oft", 520, 2, task, &err), &err);
  vk_assert_fails(vk_rollout_check_limit(&pack, "oft", 221, 1, task, &err), VK_E_USAGE);
  vk_assert_says(&err, "episode_steps is 221, and protocol oft ends episodes of these tasks after "
                       "220");
  vk_assert_fails(vk_rollout_check_limit(&pack, "oft", 521, 2, task, &err), VK_E_USAGE);
}

static void test_refused(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  vk_protocol short_chunks = quick;
  short_chunks.n_replan = 5;
  vk_assert_fails(run_with(&r, 1, &short_chunks, NULL, 0, &err), VK_E_USAGE);
  vk_assert_says(&err, "5 of 8");
  vk_rollout_free(&r);
}

/* ---- the watchdog -------------------------------------------------------------------------- */

typedef struct listener {
  pthread_mutex_t mutex;
  pthread_cond_t heard;
  int n;
  char text[256];
} listener;

static void hear(void *arg, const char *text)
{
  listener *e = arg;
  pthread_mutex_lock(&e->mutex);
  e->n++;
  snprintf(e->text, sizeof e->text, "%s", text);
  pthread_cond_signal(&e->heard);
  pthread_mutex_unlock(&e->mutex);
}

static void wait_for(listener *e, int n)
{
  pthread_mutex_lock(&e->mutex);
  while (e->n < n)
    pthread_cond_wait(&e->heard, &e->mutex);
  pthread_mutex_unlock(&e->mutex);
}

/* The one that has stopped is named, those that are idle are not. */
static void test_watchdog(void **state)
{
  vk_err err = VK_ERR_INIT;
  listener e = {.mutex = PTHREAD_MUTEX_INITIALIZER, .heard = PTHREAD_COND_INITIALIZER};
  vk_watchdog *w;
  vk_assert_ok(vk_watchdog_new(&w, 3, 0.02, hear, &e, &err), &err);
  vk_watchdog_begin(w, 2, "job of the evening");
  wait_for(&e, 1);
  assert_non_null(strstr(e.text, "job of the evening has made no step for"));
  usleep(100000); /* told once */
  assert_int_equal(e.n, 1);
  vk_watchdog_beat(w, 2); /* and again when it stops again */
  wait_for(&e, 2);
  assert_non_null(strstr(e.text, "job of the evening"));
  vk_watchdog_end(w, 2);
  vk_watchdog_free(w);
}

/* Sleeps over the third step of the first episode that comes to it. */
typedef struct sleepy {
  ears *e;
  atomic_int n_step;
  int n_said; /* before the first step */
} sleepy;

static vk_status sleep_at_3(void *arg, int i_slot, const vk_env *env, const vk_step *step,
                            vk_err *err)
{
  sleepy *s = arg;
  int n = atomic_fetch_add(&s->n_step, 1);
  if (n == 0)
    s->n_said = ears_count(s->e, "draws 0 has made no step for");
  if (n == 2)
    usleep(300000);
  return VK_OK;
}

/* An episode that stops in one of its steps is named, with what it can be run again by. */
static void test_stuck_step(void **state)
{
  static ears e;
  static sleepy s;
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  s = (sleepy){.e = &e};
  const vk_eval_watch watch = {.arg = &s, .after_step = sleep_at_3};
  const vk_eval_episode start[GROUPS] = {{task_index("libero_object/0"), 4},
                                         {task_index("libero_object/0"), 5}};
  ears_open(&e);
  warn = &e.log;
  quiet_s = 0.03;
  vk_assert_ok(run_from(&r, start, 1, &quick, &watch, 0, &err), &err);
  assert_true(ears_count(&e, "rollout: the episode of libero_object/0 from row ") > 0);
  assert_true(ears_count(&e, " has made no step for 0 s") > 0);
  vk_rollout_free(&r);
  ears_close(&e);
  warn = NULL; /* nobody listens: nothing to do */
  vk_assert_ok(run_from(&r, start, 1, &quick, NULL, 0, &err), &err);
  vk_rollout_free(&r);
  quiet_s = 0;
}

/* So is one that stops before its first step: as it begins, and in each of its waiting steps. */
static void test_stuck_beginning(void **state)
{
  static ears e;
  static sleepy s;
  static sleeper slow;
  enum { WAITS = 5 };
  vk_protocol waiting = quick;
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  waiting.n_dummy = WAITS;
  s = (sleepy){.e = &e};
  const vk_eval_watch watch = {.arg = &s, .after_step = sleep_at_3};
  ears_open(&e);
  sleeper_open(&slow, WAITS, 150000);
  warn = &e.log;
  progress = &slow.progress;
  quiet_s = 0.03;
  vk_assert_ok(run_with(&r, 1, &waiting, &watch, 0, &err), &err);
  assert_true(s.n_said >= WAITS);
  vk_rollout_free(&r);
  sleeper_close(&slow);
  ears_close(&e);
  warn = NULL;
  progress = NULL;
  quiet_s = 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_same_bits),       cmocka_unit_test(test_groups),
      cmocka_unit_test(test_groups_alike),    cmocka_unit_test(test_ratio_is_one),
      cmocka_unit_test(test_replaced),        cmocka_unit_test(test_refused),
      cmocka_unit_test(test_watchdog),        cmocka_unit_test(test_partial_reset),
      cmocka_unit_test(test_limit),           cmocka_unit_test(test_stuck_step),
      cmocka_unit_test(test_stuck_beginning),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
