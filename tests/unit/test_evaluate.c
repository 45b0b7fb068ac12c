/* Evaluation: the same results on any number of threads, in any order, one by one or in lockstep;
 * errors that stay with their episode. */
#include "pack_world.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/signal.h"
#include "rl/evaluate.h"
#include "sim/visuals_choose.h"

enum { N_STEP = 6, ROOM = 16 };

static const vk_protocol quick = QUICK_PROTOCOL(N_STEP, 4);

static vk_perturb perturb; /* of the evaluations that follow, as all this */
static const int *n_step_most;
static bool asks_after;
static vk_visuals visuals;

static int open_all(void **state)
{
  vk_err err = VK_ERR_INIT;
  open_pack(state);
  vk_assert_ok(vk_visuals_choose(&visuals, "stand-in", &pack, &err), &err);
  return 0;
}

static int close_all(void **state)
{
  vk_visuals_close(&visuals);
  return close_pack(state);
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
                                 bool is_batched, int n, const vk_eval_episode *episode,
                                 vk_trace *trace, vk_err *err)
{
  vk_pool *pool = NULL;
  vk_assert_ok(vk_pool_new(&pool, n_thread, err), err);
  vk_policy policy;
  const vk_policy_args args = {.n_env = vk_eval_n_slot(pool), .seed = 3};
  vk_assert_ok(vk_policy_open(&policy, "random", &args, err), err);
  vk_policy_def own = def ? *def : *policy.def;
  vk_policy used = {.def = &own, .state = policy.state};
  if (own.describe)
    own.describe(policy.state, &used);
  used.is_batched = is_batched;
  if (out->n_max == 0)
    out->n_max = ROOM;
  const vk_eval_config config = {.pack = &pack,
                                 .protocol = &quick,
                                 .seed = 5,
                                 .perturb = perturb,
                                 .policy = &used,
                                 .visuals = &visuals,
                                 .pool = pool,
                                 .n_episode = n,
                                 .episode = episode,
                                 .n_step_most = n_step_most,
                                 .asks_after = asks_after,
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

static vk_status evaluate(results *out, int n_thread, const vk_policy_def *def, bool is_batched,
                          int n, const vk_eval_episode *episode, vk_err *err)
{
  return evaluate_traced(out, n_thread, def, is_batched, n, episode, NULL, err);
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
  vk_assert_ok(evaluate(&one, 1, NULL, false, 5, forward, &err), &err);
  assert_int_equal(one.n, 5);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(one.item[i].status, VK_OK);
    assert_true(one.item[i].is_scored);
    assert_int_equal(one.item[i].steps, N_STEP);
    assert_int_equal(strlen(one.item[i].state_sha256), 64);
  }
  assert_string_not_equal(one.item[0].state_sha256, one.item[1].state_sha256);
  vk_assert_ok(evaluate(&three, 3, NULL, false, 5, forward, &err), &err);
  expect_same(&one, &three);
  vk_assert_ok(evaluate(&reversed, 1, NULL, false, 5, backward, &err), &err);
  expect_same(&one, &reversed);
  vk_assert_ok(evaluate(&lockstep, 1, NULL, true, 5, forward, &err), &err);
  expect_same(&one, &lockstep);
  vk_assert_ok(evaluate(&lockstep_3, 3, NULL, true, 5, backward, &err), &err);
  expect_same(&one, &lockstep_3);
  vk_assert_ok(evaluate(&alone, 1, NULL, false, 1, forward + 2, &err), &err);
  assert_string_equal(alone.item[0].state_sha256, find(&one, forward[2])->state_sha256);
}

/* Episode k: reset k of a generator seeded once, init row k, the waiting steps, the policy. */
static void test_protocol_order(void **state)
{
  enum { ROW = 2 };
  const vk_eval_episode episode = {task_index("libero_90/0"), ROW};
  vk_err err = VK_ERR_INIT;
  results r = {0};
  vk_assert_ok(evaluate(&r, 1, NULL, false, 1, &episode, &err), &err);

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
    vk_assert_ok(evaluate_traced(&r, n_thread, NULL, false, 5, episode, trace, &err), &err);
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
  for (int is_batched = 0; is_batched <= 1; is_batched++) {
    results r = {0};
    n_begun = n_acted = 0;
    vk_assert_ok(evaluate(&r, 1, &def, is_batched, 1, &episode, &err), &err);
    vk_assert_ok(r.item[0].status, &r.item[0].error);
    assert_int_equal(n_begun, 1);
    assert_int_equal(n_acted, N_STEP);
    vk_assert_close(begun_s, start[0] + 0.05 * quick.n_dummy, 1e-9, 0);
    vk_assert_close(acted_s, begun_s, 0, 0);
  }
  free(start);
}

/* Episodes of their own lengths, after which the policy is asked once more. */
static void test_asked_after_the_end(void **state)
{
  enum { MOST = 4 };
  static const vk_policy_def def = {
      .name = "note", .needs = VK_POLICY_STATE, .begin = note_begin, .act = note_act};
  const vk_eval_episode episode = {task_index("libero_90/0"), 0};
  const int most = MOST;
  n_step_most = &most;
  for (int i = 0; i < 4; i++) {
    vk_err err = VK_ERR_INIT;
    results r = {0};
    n_begun = n_acted = 0;
    asks_after = i % 2;
    vk_assert_ok(evaluate(&r, 1, &def, i / 2 == 1, 1, &episode, &err), &err);
    vk_assert_ok(r.item[0].status, &r.item[0].error);
    assert_int_equal(r.item[0].steps, MOST);
    assert_int_equal(n_acted, asks_after ? MOST + 1 : MOST);
  }
  n_step_most = NULL;
  asks_after = false;
}

/* ---- chunks and pictures ---- */

static vk_status begin_any(void *policy, const vk_policy_obs *obs, uint64_t episode, vk_err *err)
{
  return VK_OK;
}

enum { N_CHUNK = 5 }; /* of which the protocol executes four */

static void describe_chunks(const void *state, vk_policy *policy)
{
  policy->n_action = N_CHUNK;
}

static void describe_views(const void *state, vk_policy *policy)
{
  policy->n_action = N_CHUNK;
  policy->n_view = VK_VIEW_N;
  policy->view = vk_view_defaults;
}

/* What to do in step i of an episode. */
static void planned_action(int i, double action[VK_N_ACTION])
{
  for (int k = 0; k < VK_N_ACTION; k++)
    action[k] = k == 6 ? 1 : ((i * 5 + k * 3) % 7 - 3) / 4.0;
}

static vk_status act_step(void *policy, int n, const vk_policy_obs *obs, double *action,
                          vk_err *err)
{
  for (int j = 0; j < n; j++)
    planned_action(obs[j].i_step, action + VK_N_ACTION * j);
  return VK_OK;
}

/* Asked in steps 0 and 4 of 6, for the fifth action of which nobody has use. */
static vk_status act_chunk(void *policy, int n, const vk_policy_obs *obs, double *action,
                           vk_err *err)
{
  for (int j = 0; j < n; j++) {
    if (obs[j].i_step % 4 != 0)
      return vk_fail(err, VK_E_SIM, "asked in step %d", obs[j].i_step);
    for (int k = 0; k < N_CHUNK; k++, action += VK_N_ACTION) {
      planned_action(obs[j].i_step + k, action);
      if (k == N_CHUNK - 1)
        action[0] = NAN;
    }
  }
  return VK_OK;
}

static void test_chunks_are_executed_before_the_next_is_asked_for(void **state)
{
  static const vk_policy_def single = {.name = "single", .begin = begin_any, .act = act_step};
  static const vk_policy_def chunks = {
      .name = "chunks", .begin = begin_any, .act = act_chunk, .describe = describe_chunks};
  const uint32_t a = task_index("libero_object/0"), b = task_index("libero_90/0");
  const vk_eval_episode episode[] = {{a, 0}, {a, 1}, {b, 0}};
  vk_err err = VK_ERR_INIT;
  results want = {0};
  vk_assert_ok(evaluate(&want, 1, &single, false, 3, episode, &err), &err);
  for (int is_batched = 0; is_batched <= 1; is_batched++)
    for (int n_thread = 1; n_thread <= 2; n_thread++) {
      results got = {0};
      vk_assert_ok(evaluate(&got, n_thread, &chunks, is_batched, 3, episode, &err), &err);
      for (int i = 0; i < got.n; i++)
        vk_assert_ok(got.item[i].status, &got.item[i].error);
      expect_same(&want, &got);
    }
}

/* Moves by what it sees; sees what the renderer draws of its environment. */
static vk_status act_seeing(void *policy, int n, const vk_policy_obs *obs, double *action,
                            vk_err *err)
{
  memset(action, 0, sizeof *action * VK_N_ACTION * N_CHUNK * (size_t)n);
  for (int j = 0; j < n; j++, action += VK_N_ACTION * N_CHUNK) {
    uint8_t *pixel = malloc((size_t)VK_VIEW_N * VK_VIEW_BYTES);
    vk_stage *stage = NULL;
    vk_viewer *viewer = NULL;
    vk_view_shot shot = {.state = vk_env_picture_state(obs[j].env),
                         .pixel = {pixel, pixel + VK_VIEW_BYTES}};
    VK_TRY(vk_stage_new(&stage, vk_env_scene(obs[j].env), &visuals, err));
    VK_TRY(vk_viewer_new(&viewer, &vk_view_defaults, NULL, err));
    shot.stage = stage;
    VK_TRY(vk_viewer_draw(viewer, &shot, 1, err));
    for (int k = 0; k < VK_VIEW_N; k++) {
      int64_t sum = 0;
      if (memcmp(obs[j].picture[k], shot.pixel[k], VK_VIEW_BYTES) != 0)
        return vk_fail(err, VK_E_MISMATCH, "view %d of slot %d", k, obs[j].i_env);
      for (int i = 0; i < VK_VIEW_BYTES; i++)
        sum += obs[j].picture[k][i];
      for (int i = 0; i < N_CHUNK; i++)
        action[VK_N_ACTION * i + k] = (double)(sum % 1000) / 1000 - 0.5;
    }
    vk_viewer_free(viewer);
    vk_stage_free(stage);
    free(pixel);
  }
  return VK_OK;
}

static void test_pictures_are_of_the_moment_and_the_slot(void **state)
{
  static const vk_policy_def def = {.name = "seeing",
                                    .needs = VK_POLICY_PICTURES | VK_POLICY_STATE,
                                    .begin = begin_any,
                                    .act = act_seeing,
                                    .describe = describe_views};
  const uint32_t a = task_index("libero_object/0"), b = task_index("libero_90/0");
  const vk_eval_episode forward[] = {{a, 0}, {a, 1}, {b, 0}}, backward[] = {{b, 0}, {a, 1}, {a, 0}};
  vk_err err = VK_ERR_INIT;
  results want = {0};
  vk_assert_ok(evaluate(&want, 1, &def, false, 3, forward, &err), &err);
  for (int i = 0; i < want.n; i++)
    vk_assert_ok(want.item[i].status, &want.item[i].error);
  for (int is_batched = 0; is_batched <= 1; is_batched++) {
    results got = {0};
    vk_assert_ok(evaluate(&got, 2, &def, is_batched, 3, is_batched ? forward : backward, &err),
                 &err);
    expect_same(&want, &got);
  }
}

static uint64_t key_of[ROOM]; /* the episode of each slot */

/* Whether the instruction is the one of the slot's episode. */
static vk_status check_words(const vk_policy_obs *obs, vk_err *err)
{
  const char *plain = vk_pack_text(&pack, vk_env_scene(obs->env)->task->language);
  char want[VK_PARAPHRASE_SIZE];
  vk_perturb_language(plain, key_of[obs->i_env], 5, want);
  if (strcmp(want, plain) == 0)
    return vk_fail(err, VK_E_MISMATCH, "there are no other words for \"%s\"", plain);
  if (strcmp(obs->instruction, perturb == VK_PERTURB_LANGUAGE ? want : plain) == 0)
    return VK_OK;
  return vk_fail(err, VK_E_MISMATCH, "not the words of the episode: \"%s\"", obs->instruction);
}

static vk_status begin_reading(void *policy, const vk_policy_obs *obs, uint64_t episode,
                               vk_err *err)
{
  key_of[obs->i_env] = episode;
  return check_words(obs, err);
}

static vk_status act_reading(void *policy, int n, const vk_policy_obs *obs, double *action,
                             vk_err *err)
{
  memset(action, 0, sizeof *action * VK_N_ACTION * (size_t)n);
  for (int j = 0; j < n; j++)
    VK_TRY(check_words(&obs[j], err));
  return VK_OK;
}

static void test_instructions_are_the_episodes_own(void **state)
{
  static const vk_policy_def def = {
      .name = "reading", .needs = VK_POLICY_STATE, .begin = begin_reading, .act = act_reading};
  const uint32_t a = task_index("libero_object/0"), b = task_index("libero_goal/7");
  const vk_eval_episode episode[] = {{a, 0}, {a, 1}, {b, 0}, {b, 1}};
  for (int k = 0; k < 2; k++) {
    vk_err err = VK_ERR_INIT;
    results r = {0};
    perturb = k ? VK_PERTURB_LANGUAGE : VK_PERTURB_NONE;
    vk_assert_ok(evaluate(&r, 1, &def, k == 1, 4, episode, &err), &err);
    perturb = VK_PERTURB_NONE;
    for (int i = 0; i < r.n; i++)
      vk_assert_ok(r.item[i].status, &r.item[i].error);
  }
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
  for (int is_batched = 0; is_batched <= 1; is_batched++) {
    vk_err err = VK_ERR_INIT;
    results r = {0};
    vk_assert_ok(evaluate(&r, 2, &bad, is_batched, 4, episode, &err), &err);
    assert_int_equal(r.n, 4);
    const vk_eval_result *nan = find(&r, episode[0]);
    vk_assert_fails(nan->status, VK_E_RANGE);
    vk_assert_says(&nan->error, "policy bad, task libero_90/0, row 0, step 3: ");
    vk_assert_says(&nan->error, "nan");
    assert_string_equal(nan->state_sha256, "");
    assert_false(nan->success || nan->is_scored);
    vk_assert_fails(find(&r, episode[1])->status, VK_E_NOTFOUND);
    vk_assert_says(&find(&r, episode[1])->error, "row 1, step 0: nothing known");
    vk_assert_fails(find(&r, episode[2])->status, VK_E_RANGE);
    vk_assert_fails(find(&r, episode[3])->status, VK_E_RANGE);
  }
}

/* Fails for row 2 alone, or with it. */
static vk_status act_but_not_for_row_2(void *policy, int n, const vk_policy_obs *obs,
                                       double *action, vk_err *err)
{
  memset(action, 0, sizeof *action * VK_N_ACTION * (size_t)n);
  for (int i = 0; i < n; i++)
    if (key_of[obs[i].i_env] == 2 && obs[i].i_step == 2)
      return vk_fail(err, VK_E_NOTFOUND, "no answer to row 2");
  return VK_OK;
}

static vk_status begin_with_row(void *policy, const vk_policy_obs *obs, uint64_t episode,
                                vk_err *err)
{
  char hex[65];
  vk_sha256_hex("libero_90/0 2", 13, hex);
  hex[16] = '\0';
  key_of[obs->i_env] = episode == strtoull(hex, NULL, 16) ? 2 : 0;
  return VK_OK;
}

static void test_errors_of_a_batch_stay_with_their_slot(void **state)
{
  static const vk_policy_def bad = {
      .name = "bad", .begin = begin_with_row, .act = act_but_not_for_row_2};
  const uint32_t b = task_index("libero_90/0");
  const vk_eval_episode episode[] = {{b, 0}, {b, 1}, {b, 2}, {b, 3}, {b, 4}, {b, 5}};
  for (int is_batched = 0; is_batched <= 1; is_batched++) {
    vk_err err = VK_ERR_INIT;
    results r = {0};
    vk_assert_ok(evaluate(&r, 3, &bad, is_batched, 6, episode, &err), &err);
    for (int i = 0; i < 6; i++) {
      const vk_eval_result *one = find(&r, episode[i]);
      assert_int_equal(one->status, i == 2 ? VK_E_NOTFOUND : VK_OK);
      assert_int_equal(one->steps, i == 2 ? 2 : N_STEP);
    }
  }
}

/* The simulator cannot go on in step 3, where the policy has brought it; in row 1 before. */
static vk_status begin_halted(void *policy, const vk_policy_obs *obs, uint64_t episode, vk_err *err)
{
  vk_err ignored = VK_ERR_INIT;
  if (begin_unless_row_1(policy, obs, episode, &ignored) == VK_OK)
    return VK_OK;
  return vk_fail(err, VK_E_SIM, "no room for the robot");
}

static vk_status act_halting_at_3(void *policy, int n, const vk_policy_obs *obs, double *action,
                                  vk_err *err)
{
  memset(action, 0, sizeof *action * VK_N_ACTION * (size_t)n);
  for (int i = 0; i < n; i++)
    if (obs[i].i_step == 3)
      return vk_fail(err, VK_E_SIM, "MuJoCo could not go on");
  return VK_OK;
}

static void test_a_simulation_that_the_policy_breaks_is_a_failure(void **state)
{
  static const vk_policy_def bad = {
      .name = "breaking", .needs = VK_POLICY_STATE, .begin = begin_halted, .act = act_halting_at_3};
  const uint32_t b = task_index("libero_90/0");
  const vk_eval_episode episode[] = {{b, 0}, {b, 1}};
  for (int is_batched = 0; is_batched <= 1; is_batched++) {
    vk_err err = VK_ERR_INIT;
    results r = {0};
    vk_assert_ok(evaluate(&r, 1, &bad, is_batched, 2, episode, &err), &err);
    const vk_eval_result *halted = find(&r, episode[0]), *error = find(&r, episode[1]);
    vk_assert_fails(halted->status, VK_E_SIM); /* practice begins such an episode anew */
    assert_true(halted->is_scored && !halted->success);
    assert_int_equal(halted->steps, 3);
    assert_string_equal(halted->state_sha256, "");
    vk_assert_fails(error->status, VK_E_SIM);
    assert_false(error->is_scored || error->success);
  }
}

static vk_status act_interrupted(void *policy, int n, const vk_policy_obs *obs, double *action,
                                 vk_err *err)
{
  return vk_fail(err, VK_E_INTERRUPTED, "interrupted");
}

/* Whoever notices it: it is no result of the episode. */
static void test_an_interruption_is_no_result(void **state)
{
  static const vk_policy_def def = {.name = "waiting", .begin = begin_any, .act = act_interrupted};
  const vk_eval_episode episode[] = {{task_index("libero_90/0"), 0}};
  for (int is_batched = 0; is_batched <= 1; is_batched++) {
    vk_err err = VK_ERR_INIT;
    results r = {0};
    vk_assert_fails(evaluate(&r, 1, &def, is_batched, 1, episode, &err), VK_E_INTERRUPTED);
    assert_int_equal(r.n, 0);
  }
}

static void test_put_error_ends_it(void **state)
{
  const uint32_t b = task_index("libero_90/0");
  const vk_eval_episode episode[] = {{b, 0}, {b, 1}, {b, 2}, {b, 3}};
  for (int is_batched = 0; is_batched <= 1; is_batched++) {
    vk_err err = VK_ERR_INIT;
    results r = {.n_max = 1};
    vk_assert_fails(evaluate(&r, 1, NULL, is_batched, 4, episode, &err), VK_E_IO);
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

/* In a child, as an interruption lasts. */
static void test_interruption(void **state)
{
  static const vk_policy_def def = {
      .name = "interrupter", .begin = begin_any, .act = act_and_interrupt};
  const uint32_t b = task_index("libero_90/0");
  const vk_eval_episode episode[] = {{b, 0}, {b, 1}, {b, 2}};
  for (int is_batched = 0; is_batched <= 1; is_batched++) {
    pid_t pid = fork();
    if (pid == 0) {
      vk_signal_init();
      vk_err err = VK_ERR_INIT;
      results r = {0};
      vk_status st = evaluate(&r, 1, &def, is_batched, 3, episode, &err);
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
      cmocka_unit_test(test_chunks_are_executed_before_the_next_is_asked_for),
      cmocka_unit_test(test_pictures_are_of_the_moment_and_the_slot),
      cmocka_unit_test(test_instructions_are_the_episodes_own),
      cmocka_unit_test(test_errors_stay_with_their_episode),
      cmocka_unit_test(test_errors_of_a_batch_stay_with_their_slot),
      cmocka_unit_test(test_a_simulation_that_the_policy_breaks_is_a_failure),
      cmocka_unit_test(test_an_interruption_is_no_result),
      cmocka_unit_test(test_put_error_ends_it),
      cmocka_unit_test(test_interruption),
      cmocka_unit_test(test_asked_after_the_end),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
