/* test_policy_checkpoint.c - a network as a policy: the same episodes whatever runs beside them, on
 * disk or in memory; what a decision tells; what it refuses. */
#include "pack_world.h"
#include "temp_dir.h"

#include "core/half.h"
#include "norm_flat.h"
#include "rl/evaluate.h"
#include "rl/policy_checkpoint.h"
#include "sim/visuals_choose.h"

enum { N_STEP = 7, N_EPISODE = 4, ROOM = 64 };

static const vk_protocol quick = QUICK_PROTOCOL(N_STEP, 3);

static vk_visuals visuals;
static vk_checkpoint_info info;
static vk_params params;
static vk_norm_stats stats;
static vk_eval_episode episode[N_EPISODE];
static vk_isa isa;

static void make_policy(void)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_model_open(&info.model, "nano-n2", &err), &err);
  vk_assert_ok(vk_net_params_new(&params, &info.model, 7, &err), &err);
  for (int i = 0; i < params.n_param; i++) /* so that what is seen matters */
    if (strcmp(params.param[i].name, "head.weight") == 0)
      for (int64_t k = 0; k < params.param[i].n; k++)
        params.data[params.param[i].offset + k] *= 20;
  stats = flat_stats("libero_object", -0.9, 0.8);
  info.stats = &stats;
  info.n_stats = 1;
  info.view = vk_view_defaults;
  info.n_action_step = 5;
}

static int open_all(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  isa = vk_isa_best(&cpu);
  open_pack(state);
  vk_assert_ok(vk_visuals_choose(&visuals, "stand-in", &pack, &err), &err);
  make_policy();
  for (int i = 0; i < N_EPISODE; i++)
    episode[i] = (vk_eval_episode){task_index(i < 3 ? "libero_object/0" : "libero_object/3"), i};
  return make_temp_dir(state);
}

static int close_all(void **state)
{
  vk_params_free(&params);
  vk_visuals_close(&visuals);
  close_pack(state);
  return remove_temp_dir(state);
}

/* ---- episodes ---- */

typedef struct results {
  int n;
  vk_eval_result item[ROOM];
} results;

static vk_status take(void *arg, const vk_eval_result *result, vk_err *err)
{
  results *r = arg;
  VK_ASSERT(r->n < ROOM);
  r->item[r->n++] = *result;
  return VK_OK;
}

static void evaluate(results *out, vk_policy *policy, bool is_batched, int n_thread)
{
  vk_err err = VK_ERR_INIT;
  vk_pool *pool;
  vk_policy used = *policy;
  used.is_batched = is_batched;
  out->n = 0;
  vk_assert_ok(vk_pool_new(&pool, n_thread, &err), &err);
  const vk_eval_config config = {.pack = &pack,
                                 .cache_dir = in_dir("cache"),
                                 .protocol = &quick,
                                 .policy = &used,
                                 .visuals = &visuals,
                                 .pool = pool,
                                 .isa = isa,
                                 .n_episode = N_EPISODE,
                                 .episode = episode,
                                 .put = take,
                                 .arg = out};
  vk_assert_ok(vk_evaluate(&config, NULL, &err), &err);
  vk_pool_free(pool);
  assert_int_equal(out->n, N_EPISODE);
  for (int i = 0; i < out->n; i++)
    vk_assert_ok(out->item[i].status, &out->item[i].error);
}

static const vk_eval_result *find(const results *r, const vk_eval_result *x)
{
  for (int i = 0; i < r->n; i++)
    if (r->item[i].episode.i_task == x->episode.i_task && r->item[i].episode.row == x->episode.row)
      return &r->item[i];
  fail_msg("no result of row %d", x->episode.row);
  return NULL;
}

static int n_same(const results *a, const results *b)
{
  int n = 0;
  for (int i = 0; i < a->n; i++)
    n += strcmp(a->item[i].state_sha256, find(b, &a->item[i])->state_sha256) == 0;
  return n;
}

static vk_policy in_memory(double temperature, uint64_t seed, vk_decision_fn *watch, void *arg)
{
  vk_err err = VK_ERR_INIT;
  vk_policy policy;
  const vk_policy_args args = {.n_env = 8, .seed = seed, .temperature = temperature, .isa = isa};
  vk_assert_ok(vk_policy_checkpoint_open(&policy, &info, &params, &args, watch, arg, &err), &err);
  return policy;
}

static void test_episodes_depend_on_nothing_that_runs_beside_them(void **state)
{
  for (int k = 0; k < 3; k++) {
    results want, got;
    info.greedy = k == 2 ? VK_GREEDY_MEDIAN : VK_GREEDY_ARGMAX;
    vk_policy policy = in_memory(k == 1 ? 1.0 : 0, 3, NULL, NULL);
    assert_string_equal(policy.decoding, k == 0   ? "greedy (argmax)"
                                         : k == 1 ? "sampled at T 1"
                                                  : "greedy (median)");
    evaluate(&want, &policy, false, 1);
    assert_string_not_equal(want.item[0].state_sha256, want.item[1].state_sha256);
    for (int n_thread = 1 + k; n_thread <= 3; n_thread++) {
      evaluate(&got, &policy, true, n_thread); /* two slots a thread, in batches */
      assert_int_equal(n_same(&want, &got), N_EPISODE);
      evaluate(&got, &policy, false, n_thread);
      assert_int_equal(n_same(&want, &got), N_EPISODE);
    }
    vk_policy_close(&policy);
  }
  info.greedy = VK_GREEDY_ARGMAX;
}

static void test_draws_depend_on_seed_and_temperature(void **state)
{
  results greedy, warm, again, other;
  vk_policy policy = in_memory(0, 3, NULL, NULL);
  evaluate(&greedy, &policy, false, 2);
  vk_policy_close(&policy);
  policy = in_memory(1, 3, NULL, NULL);
  evaluate(&warm, &policy, false, 2);
  vk_policy_close(&policy);
  policy = in_memory(1, 3, NULL, NULL);
  evaluate(&again, &policy, false, 2);
  vk_policy_close(&policy);
  policy = in_memory(1, 4, NULL, NULL);
  evaluate(&other, &policy, false, 2);
  vk_policy_close(&policy);
  assert_int_equal(n_same(&warm, &again), N_EPISODE);
  assert_int_equal(n_same(&warm, &greedy), 0);
  assert_int_equal(n_same(&warm, &other), 0);
}

static void test_a_saved_policy_acts_alike(void **state)
{
  vk_err err = VK_ERR_INIT;
  results want, got;
  vk_policy policy = in_memory(0, 3, NULL, NULL), saved[2];
  evaluate(&want, &policy, false, 2);
  vk_policy_close(&policy);
  const vk_checkpoint_write what = {.info = &info, .params = &params, .dtype = VK_SAFETENSORS_F32};
  vk_assert_ok(vk_checkpoint_save(in_dir("run"), 12, &what, &err), &err);
  char word[2][VK_FS_PATH_MAX];
  snprintf(word[0], sizeof word[0], "%s", in_dir("run"));
  snprintf(word[1], sizeof word[1], "checkpoint:%s",
           in_dir("run/checkpoints/000012/pretrained_model/model.safetensors"));
  for (int i = 0; i < 2; i++) {
    const vk_policy_args args = {.n_env = 8, .seed = 3, .isa = isa};
    vk_assert_ok(vk_policy_open(&saved[i], word[i], &args, &err), &err);
    assert_int_equal(saved[i].n_action, 5);
    evaluate(&got, &saved[i], 0, 2);
    assert_int_equal(n_same(&want, &got), N_EPISODE);
  }
  assert_string_equal(saved[0].hash, saved[1].hash); /* not where it lies, but what it is */
  vk_policy_close(&saved[1]);
  const vk_policy_args warm = {.n_env = 1, .seed = 3, .temperature = 0.5, .isa = isa};
  vk_assert_ok(vk_policy_open(&saved[1], word[0], &warm, &err), &err);
  assert_string_not_equal(saved[0].hash, saved[1].hash);
  vk_policy_close(&saved[0]);
  vk_policy_close(&saved[1]);
}

/* In bf16 it is the policy of the rounded weights, in f32 the very same. */
static void test_an_exported_policy_acts_as_its_weights(void **state)
{
  vk_err err = VK_ERR_INIT;
  results want, got;
  vk_checkpoint_exported e;
  vk_policy saved;
  char run[VK_FS_PATH_MAX], hash[65];
  const vk_policy_args args = {.n_env = 8, .seed = 3, .isa = isa};
  snprintf(run, sizeof run, "%s", in_dir("to_export"));
  const vk_checkpoint_write what = {.info = &info, .params = &params, .dtype = VK_SAFETENSORS_F32};
  vk_assert_ok(vk_checkpoint_save(run, 12, &what, &err), &err);
  vk_assert_ok(vk_policy_open(&saved, run, &args, &err), &err);
  memcpy(hash, saved.hash, sizeof hash);
  vk_policy_close(&saved);
  vk_assert_ok(vk_checkpoint_export(in_dir("exact"), run, VK_SAFETENSORS_F32, &e, &err), &err);
  vk_assert_ok(vk_policy_open(&saved, in_dir("exact"), &args, &err), &err);
  assert_string_equal(saved.hash, hash); /* where it comes from does not change what acts */
  vk_policy_close(&saved);

  float *weights = params.data, *rounded;
  vk_assert_ok(vk_params_block(&params, &rounded, NULL), NULL);
  for (int64_t i = 0; i < params.n_item; i++)
    rounded[i] = vk_f32_from_bf16(vk_bf16_from_f32(weights[i]));
  params.data = rounded;
  vk_policy policy = in_memory(0, 3, NULL, NULL);
  evaluate(&want, &policy, false, 1);
  vk_policy_close(&policy);
  params.data = weights;
  free(rounded);
  vk_assert_ok(vk_checkpoint_export(in_dir("small"), run, VK_SAFETENSORS_BF16, &e, &err), &err);
  vk_assert_ok(vk_policy_open(&saved, in_dir("small"), &args, &err), &err);
  assert_string_not_equal(saved.hash, hash);
  evaluate(&got, &saved, 0, 2);
  assert_int_equal(n_same(&want, &got), N_EPISODE);
  vk_policy_close(&saved);
}

/* ---- decisions ---- */

typedef struct seen {
  pthread_mutex_t mutex;
  int n;
  double temperature;
  vk_net net;
  vk_team *team;
} seen;

/* Computes the same decision once more, by the whole graph, and its probabilities in double. */
static vk_status check_decision(void *arg, const vk_decision *d, vk_err *err)
{
  seen *s = arg;
  pthread_mutex_lock(&s->mutex);
  s->n++;
  int n_word;
  const vk_graph *g = &s->net.plan->graph;
  const vk_nano_obs obs = {.image = {d->picture[0], d->picture[1]}, .proprio = d->proprio};
  VK_TRY(vk_nano_set_text(s->net.exec, g, &d->instruction, 1, &n_word, err));
  VK_TRY(vk_nano_set_obs(s->net.exec, g, &obs, 1, &n_word, 1, err));
  vk_assert_ok(vk_exec_run(s->net.exec, NULL), NULL);
  const float *logits = vk_net_data(&s->net, "logits"), *value = vk_net_data(&s->net, "value");
  double scale = s->temperature > 0 ? 1 / s->temperature : 1;
  for (int i = 0; i < VK_DECISION_BINS; i++, logits += VK_NANO_BINS) {
    double sum = 0, most = -INFINITY;
    int best = 0;
    for (int k = 0; k < VK_NANO_BINS; k++)
      if (logits[k] > most) {
        most = logits[k];
        best = k;
      }
    for (int k = 0; k < VK_NANO_BINS; k++)
      sum += exp(scale * (logits[k] - most));
    vk_assert_close(d->log_prob[i], scale * (logits[d->bin[i]] - most) - log(sum), 2e-4, 1e-4);
    if (s->temperature == 0)
      assert_true(logits[d->bin[i]] >= logits[best] - 1e-4f);
  }
  for (int i = 0; i < VK_NANO_STEPS; i++)
    vk_assert_close(d->value[i], value[i], 1e-4, 1e-4);
  for (int i = 0; i < VK_VIEW_PROPRIO; i++)
    assert_true(d->proprio[i] >= -1 && d->proprio[i] <= 1);
  assert_true(d->i_step % 3 == 0 && d->i_step < N_STEP);
  pthread_mutex_unlock(&s->mutex);
  return VK_OK;
}

static void test_decisions_are_told(void **state)
{
  for (int k = 0; k < 2; k++) {
    vk_err err = VK_ERR_INIT;
    seen s = {.temperature = k ? 1.5 : 0};
    results with, without;
    pthread_mutex_init(&s.mutex, NULL);
    vk_assert_ok(vk_team_new(&s.team, 1, &err), &err);
    vk_assert_ok(vk_net_new(&s.net, &info.model, &(vk_model_args){.n_batch = 1, .with_value = true},
                            &(vk_target){.isa = isa, .n_thread = 1}, &params, NULL, VK_CPU(s.team),
                            NULL, &err),
                 &err);
    vk_policy policy = in_memory(s.temperature, 3, check_decision, &s);
    evaluate(&with, &policy, k == 1, 1);
    vk_policy_close(&policy);
    assert_int_equal(s.n, N_EPISODE * 3); /* steps 0, 3 and 6 */
    policy = in_memory(s.temperature, 3, NULL, NULL);
    evaluate(&without, &policy, false, 1);
    vk_policy_close(&policy);
    assert_int_equal(n_same(&with, &without), N_EPISODE);
    vk_net_free(&s.net);
    vk_team_free(s.team);
    pthread_mutex_destroy(&s.mutex);
  }
}

/* ---- refusals ---- */

static void test_refusals(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_policy policy;
  vk_policy_args args = {.n_env = 1, .temperature = -1};
  vk_assert_fails(vk_policy_checkpoint_open(&policy, &info, &params, &args, NULL, NULL, &err),
                  VK_E_RANGE);
  args.temperature = 1;
  vk_assert_fails(vk_policy_open(&policy, "zero", &args, &err), VK_E_USAGE);
  vk_assert_says(&err, "policy 'zero' draws no actions");
  vk_assert_fails(vk_policy_open(&policy, "checkpiont", &args, &err), VK_E_USAGE);
  vk_assert_says(&err, "checkpoint");
  vk_assert_fails(vk_policy_open(&policy, "no/such/folder", &args, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "no/such/folder: there is no such checkpoint");

  policy = in_memory(0, 0, NULL, NULL);
  vk_policy_obs obs = {.instruction = "open the drawer", .suite = "libero_goal"};
  vk_assert_fails(policy.def->begin(policy.state, &obs, 1, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "it has libero_object");
  obs.suite = "libero_object";
  char *text = calloc(1, 5001);
  memset(text, 'x', 5000);
  obs.instruction = text;
  vk_assert_fails(policy.def->begin(policy.state, &obs, 1, &err), VK_E_RANGE);
  free(text);
  vk_policy_close(&policy);

  vk_norm_stats six = stats;
  six.action.n_dim = 6;
  vk_checkpoint_info wrong = info;
  wrong.stats = &six;
  args.temperature = 0;
  vk_assert_fails(vk_policy_checkpoint_open(&policy, &wrong, &params, &args, NULL, NULL, &err),
                  VK_E_SHAPE);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_episodes_depend_on_nothing_that_runs_beside_them),
      cmocka_unit_test(test_draws_depend_on_seed_and_temperature),
      cmocka_unit_test(test_a_saved_policy_acts_alike),
      cmocka_unit_test(test_an_exported_policy_acts_as_its_weights),
      cmocka_unit_test(test_decisions_are_told),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
