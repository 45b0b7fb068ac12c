/* test_rl_batch.c - a rollout as a batch: what is left out of forward and backward passes changes
 * neither loss nor gradient, whatever the granularity; what counts, by hand. */
#include "test.h"

#include "nano_small.h"
#include "rl/rl_batch.h"

enum { GROUPS = 4, GROUP = 2, CHUNKS = 3, TOKENS = VK_DECISION_BINS, CAP = 5 };

static vk_model model;
static vk_params params;

/* Groups: one success of two, all failures, all successes, one success of two. Lengths differ. */
static void make_rollout(vk_rollout *r)
{
  static const struct {
    bool success;
    int n_step;
  } is[GROUPS * GROUP] = {{true, 5},  {false, 24}, {false, 24}, {false, 24},
                          {true, 16}, {true, 16},  {false, 24}, {true, 17}};
  vk_err err = VK_ERR_INIT;
  vk_philox rng;
  vk_philox_init(&rng, 8, 1);
  vk_assert_ok(vk_rollout_new(r, GROUPS, GROUP, CHUNKS, 2, &err), &err);
  r->has_proprio = true;
  for (int e = 0; e < GROUPS * GROUP; e++) {
    vk_rollout_episode *one = &r->episode[e];
    *one = (vk_rollout_episode){.i_task = (uint32_t)(e / GROUP % 2),
                                .row = e / GROUP,
                                .repeat = e % GROUP,
                                .instruction = e / GROUP % 2 ? "open the drawer" : "push the plate",
                                .success = is[e].success,
                                .n_step = is[e].n_step,
                                .n_decision = (is[e].n_step + 7) / 8};
    for (int64_t d = e * CHUNKS; d < e * CHUNKS + one->n_decision; d++) {
      for (int k = 0; k < 2 * VK_VIEW_BYTES; k++)
        r->picture[d * 2 * VK_VIEW_BYTES + k] = (uint8_t)vk_philox_u32(&rng);
      for (int k = 0; k < 8; k++)
        r->proprio[d * 8 + k] = (float)vk_philox_normal(&rng);
      for (int k = 0; k < TOKENS; k++) {
        r->bin[d * TOKENS + k] = (int32_t)(vk_philox_u32(&rng) % 256);
        r->log_prob[d * TOKENS + k] = -5 - (float)vk_philox_double(&rng);
      }
      for (int k = 0; k < 8; k++)
        r->value[d * 8 + k] = (float)vk_philox_double(&rng);
    }
  }
}

static vk_rl_config grpo(void)
{
  return (vk_rl_config){.reward = 5,
                        .filter_lo = 0.1,
                        .filter_hi = 0.9,
                        .with_length = true,
                        .loss = vk_policy_loss_default()};
}

static vk_rl_config ppo(int64_t group)
{
  vk_rl_config c = grpo();
  c.is_gae = true;
  c.gamma = 0.99;
  c.lambda = 0.95;
  c.filter_lo = 0;
  c.filter_hi = 1;
  c.per_chunk = group == TOKENS;
  c.loss.group = group;
  c.loss.entropy_bonus = 1;
  c.loss.dual = 3;
  return c;
}

typedef struct sums {
  double loss;
  float *grad;
  vk_rl_sums metric;
} sums;

/* Loss and gradient of rows, `n_micro` at a time. */
static void run_rows(const vk_rl_batch *b, const int32_t *row, int64_t n, int n_micro, sums *out)
{
  vk_err err = VK_ERR_INIT;
  vk_team *team;
  vk_net net;
  int n_word[CAP];
  const vk_rl_graph graph = {.loss = b->config.loss, .temperature = 1.3};
  const vk_rl_share share = {.actor = 1, .critic = 0.5, .entropy_bonus = 0.01};
  const vk_target target = {
      .isa = small_isa(), .n_thread = 1, .is_train = true, .loss = "loss", .accumulate = true};
  const vk_model_args args = {.n_batch = CAP,
                              .with_value = b->config.is_gae,
                              .extend = vk_rl_graph_extend,
                              .extend_arg = &graph};
  *out = (sums){.grad = vk_params_block(&params)};
  vk_assert_ok(vk_team_new(&team, 1, &err), &err);
  vk_assert_ok(vk_net_new(&net, &model, &args, &target, &params, out->grad, team, NULL, &err),
               &err);
  for (int64_t i = 0; i < n; i += n_micro) {
    int m = (int)(n - i < n_micro ? n - i : n_micro);
    vk_assert_ok(vk_rl_batch_set(b, row + i, m, &share, 1, &net, n_word, &err), &err);
    vk_exec_run(net.exec);
    out->loss += (double)*(float *)vk_net_data(&net, "loss");
    vk_rl_batch_sum(b, row + i, m, &net, &out->metric);
  }
  vk_net_free(&net);
  vk_team_free(team);
}

/* |a - b| / |a| over all gradients. */
static double distance(const float *a, const float *b)
{
  double off = 0, all = 0;
  for (int64_t i = 0; i < params.n_item; i++) {
    off += pow((double)a[i] - (double)b[i], 2);
    all += pow((double)a[i], 2);
  }
  assert_true(all > 0);
  return sqrt(off / all);
}

static void check_dropping(const char *name, const vk_rl_config *config)
{
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  vk_rl_batch b;
  sums masked, dropped, shuffled;
  int32_t all[GROUPS * GROUP * CHUNKS], order[GROUPS * GROUP * CHUNKS];
  make_rollout(&r);
  vk_assert_ok(vk_rl_batch_new(&b, &r, config, &err), &err);
  for (int i = 0; i < (int)VK_COUNT(all); i++)
    all[i] = i;
  run_rows(&b, all, (int64_t)VK_COUNT(all), CAP, &masked);
  run_rows(&b, b.used, b.n_used, 3, &dropped);
  vk_rl_batch_order(&b, 3, 9, order);
  run_rows(&b, order, b.n_used, 4, &shuffled);
  print_message("%s: %lld of %d rows, %.0f %% of those with steps are saved\n", name,
                (long long)b.n_used, GROUPS * GROUP * CHUNKS, 100 * b.saved);
  assert_true(b.n_used < (int64_t)VK_COUNT(all));
  assert_true(fabs(masked.loss) > 1e-4);
  vk_assert_close(dropped.loss, masked.loss, 1e-9, 1e-6);
  vk_assert_close(shuffled.loss, masked.loss, 1e-9, 1e-6);
  vk_assert_close(distance(masked.grad, dropped.grad), 0, 1e-6, 0);
  vk_assert_close(distance(masked.grad, shuffled.grad), 0, 1e-6, 0);
  vk_assert_close(vk_policy_metrics_of(&dropped.metric.policy).kl,
                  vk_policy_metrics_of(&shuffled.metric.policy).kl, 1e-12, 1e-9);
  vk_assert_close(shuffled.metric.n_token, dropped.metric.n_token, 0, 0);
  assert_true(dropped.metric.entropy > 0);
  free(masked.grad);
  free(dropped.grad);
  free(shuffled.grad);
  vk_rl_batch_free(&b);
  vk_rollout_free(&r);
}

static void test_dropped_rows(void **state)
{
  vk_rl_config c = grpo();
  check_dropping("grpo, tokens", &c);
  c.loss.group = VK_NANO_DIMS;
  c.with_length = false;
  check_dropping("grpo, actions, without length normalisation", &c);
  c = ppo(1);
  check_dropping("ppo, tokens", &c);
  c = ppo(VK_NANO_DIMS);
  check_dropping("ppo, actions", &c);
  c = ppo(TOKENS);
  check_dropping("ppo, chunks", &c);
}

/* Which decisions count, by hand: those of the groups with one success. */
static void test_counts(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  vk_rl_batch b;
  vk_rl_config c = grpo();
  make_rollout(&r);
  vk_assert_ok(vk_rl_batch_new(&b, &r, &c, &err), &err);
  assert_int_equal(b.n_kept, 2);
  assert_int_equal(b.n_uniform, 2);
  assert_int_equal(b.n_used, 1 + 3 + 3 + 3); /* 5, 24, 24, 17 steps */
  /* valid: 1 + 3 + 3 + 3 + 2 + 2 + 3 + 3 decisions */
  vk_assert_close(b.saved, 1 - 10.0 / 20, 1e-12, 0);
  vk_assert_close(b.saved_padded, 1 - 10.0 / 24, 1e-12, 0);
  assert_int_equal(b.n_valid[0], 5);
  assert_int_equal(b.n_valid[7], 17);
  vk_assert_close(b.norm, 24 * TOKENS, 0, 0);
  /* row 0: decision 0 of episode 0: 5 actions with (5 - 2.5) / (std 3.5355 + 1e-6), weight 24 / 5
   */
  for (int h = 0; h < 8; h++) {
    vk_assert_close(b.adv[h], h < 5 ? 2.5 / (sqrt(12.5) + 1e-6) : 0, 1e-9, 0);
    vk_assert_close(b.weight[h], h < 5 ? 24.0 / 5 : 0, 1e-6, 0);
  }
  for (int64_t i = 0; i < b.n_used; i++) {
    int e = b.used[i] % (GROUPS * GROUP);
    assert_true(e <= 1 || e >= 6);
  }
  vk_rl_batch_free(&b);
  /* with a value loss, failures and equal groups are trained on, too */
  c = ppo(1);
  vk_assert_ok(vk_rl_batch_new(&b, &r, &c, &err), &err);
  assert_int_equal(b.n_used, 20);
  vk_assert_close(b.saved, 0, 0, 0);
  vk_rl_batch_free(&b);
  vk_rollout_free(&r);
}

static void test_refused(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  vk_rl_batch b;
  vk_rl_config c = grpo();
  make_rollout(&r);
  c.loss.group = 3;
  vk_assert_fails(vk_rl_batch_new(&b, &r, &c, &err), VK_E_USAGE);
  vk_assert_says(&err, "3 tokens");
  c.loss.group = TOKENS;
  vk_assert_fails(vk_rl_batch_new(&b, &r, &c, &err), VK_E_USAGE);
  vk_assert_says(&err, "rewards of chunks");
  c = grpo();
  r.episode[3].row = 9; /* a group of two starts */
  vk_assert_fails(vk_rl_batch_new(&b, &r, &c, &err), VK_E_MISMATCH);
  vk_assert_says(&err, "of one group");
  r.episode[3].row = r.episode[2].row;
  r.episode[3].i_task = 5;
  vk_assert_fails(vk_rl_batch_new(&b, &r, &c, &err), VK_E_MISMATCH);
  vk_assert_says(&err, "task 5");
  vk_rollout_free(&r);
}

static int set_up(void **state)
{
  small_open(&model, &params, 1);
  return 0;
}

static int tear_down(void **state)
{
  vk_params_free(&params);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_dropped_rows),
      cmocka_unit_test(test_counts),
      cmocka_unit_test(test_refused),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
