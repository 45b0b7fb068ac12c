/* test_rl_batch.c - a rollout as a batch: what is left out of forward and backward passes changes
 * neither loss nor gradient, whatever the granularity; what counts, by hand; and that a policy
 * succeeds more often for it. */
#include "test.h"

#include "core/safetensors.h"
#include "rl_small.h"
#include "temp_dir.h"

static vk_model model;
static vk_params params;

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
  *out = (sums){0};
  vk_assert_ok(vk_params_block(&params, &out->grad, &err), &err);
  vk_assert_ok(vk_team_new(&team, 1, &err), &err);
  vk_assert_ok(
      vk_net_new(&net, &model, &args, &target, &params, out->grad, VK_CPU(team), NULL, &err), &err);
  for (int64_t i = 0; i < n; i += n_micro) {
    int m = (int)(n - i < n_micro ? n - i : n_micro);
    vk_assert_ok(vk_rl_batch_set(b, row + i, m, &share, 1, &net, n_word, &err), &err);
    vk_assert_ok(vk_exec_run(net.exec, NULL), NULL);
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

/* The reward's size changes neither which groups count nor, beside the group, any advantage. */
static void test_rewards(void **state)
{
  static const double reward[] = {1, 0.1, 0.3, 0.7, 1.2, 3.3, 5};
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  vk_rl_batch first, b;
  make_rollout(&r);
  for (int is_chunk = 0; is_chunk < 2; is_chunk++) {
    vk_rl_config c = grpo();
    c.per_chunk = is_chunk;
    c.filter_lo = 0.5; /* the bounds are inside */
    c.filter_hi = 1;
    c.reward = 1;
    vk_assert_ok(vk_rl_batch_new(&first, &r, &c, &err), &err);
    assert_int_equal(first.n_kept, 3);
    int64_t n_item = vk_roll_n_row(&first.roll) * vk_roll_n_head(&first.roll);
    for (size_t i = 0; i < VK_COUNT(reward); i++) {
      c.reward = reward[i];
      vk_assert_ok(vk_rl_batch_new(&b, &r, &c, &err), &err);
      assert_int_equal(b.n_kept, 3);
      assert_int_equal(b.n_used, first.n_used);
      assert_memory_equal(b.mask, first.mask, (size_t)n_item);
      for (int64_t k = 0; k < n_item; k++) {
        vk_assert_close(b.adv[k], first.adv[k], 0, 2e-5);
        assert_true((b.adv[k] == 0) == (first.adv[k] == 0));
      }
      vk_rl_batch_free(&b);
    }
    vk_rl_batch_free(&first);
  }
  r.n_group = GROUPS * GROUP; /* a group an episode: nobody who succeeds is left out */
  r.group = 1;
  for (size_t i = 0; i < VK_COUNT(reward); i++) {
    vk_rl_config c = ppo(1);
    c.reward = reward[i];
    vk_assert_ok(vk_rl_batch_new(&b, &r, &c, &err), &err);
    assert_int_equal(b.n_kept, GROUPS * GROUP);
    assert_int_equal(b.n_used, 20);
    vk_assert_close(b.ret[4], reward[i], 1e-6, 1e-6); /* of the action that succeeds */
    vk_rl_batch_free(&b);
  }
  vk_rollout_free(&r);
}

/* What an end is worth: return of the action with which it came, by hand. */
static void test_bootstrap(void **state)
{
  enum { END_OF_SUCCESS = 4, END_OF_LIMIT = 23 }; /* actions of episodes 0 and 1 */
  static const struct {
    vk_bootstrap kind;
    double success, limit; /* in values of what came after */
  } want[] = {
      {VK_BOOTSTRAP_NONE, 0, 0}, {VK_BOOTSTRAP_TRUNCATED, 0, 0.9}, {VK_BOOTSTRAP_ALWAYS, 0.9, 0.9}};
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  vk_rl_batch b, plain;
  make_rollout(&r);
  for (int e = 0; e < GROUPS * GROUP; e++)
    r.episode[e].value_after = 2 + 0.5f * (float)e;
  for (size_t i = 0; i < VK_COUNT(want); i++)
    for (int is_chunk = 0; is_chunk < 2; is_chunk++) {
      vk_rl_config c = ppo(1);
      c.per_chunk = is_chunk;
      c.gamma = 0.9;
      c.bootstrap = want[i].kind;
      vk_assert_ok(vk_rl_batch_new(&b, &r, &c, &err), &err);
      const int at[] = {END_OF_SUCCESS, END_OF_LIMIT};
      const double worth[] = {5 + want[i].success * 2, want[i].limit * 2.5};
      for (int e = 0; e < 2; e++) {
        int row = at[e] / 8 * GROUPS * GROUP + e;
        vk_assert_close(b.ret[is_chunk ? row : row * 8 + at[e] % 8], worth[e], 1e-5, 0);
      }
      vk_rl_batch_free(&b);
    }
  /* groups are compared by what they got */
  vk_rl_config c = grpo();
  vk_assert_ok(vk_rl_batch_new(&plain, &r, &c, &err), &err);
  c.bootstrap = VK_BOOTSTRAP_ALWAYS;
  vk_assert_ok(vk_rl_batch_new(&b, &r, &c, &err), &err);
  assert_memory_equal(b.adv, plain.adv, sizeof *b.adv * GROUPS * GROUP * CHUNKS * 8);
  vk_rl_batch_free(&plain);
  vk_rl_batch_free(&b);
  vk_rollout_free(&r);
}

/* Environments that begin anew: every action that was executed counts, an episode's returns do not
 * reach into the one before it, and what was cut goes on. */
static void test_partial_reset(void **state)
{
  enum { ENVS = 2 };
  static const struct {
    int i_traj, first, n_step;
    bool success, is_cut;
  } is[] = {{0, 0, 5, true, false}, {1, 0, 24, false, true}, {0, 1, 16, false, true}};
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  vk_rl_batch b;
  vk_rl_config c = ppo(1);
  c.gamma = 0.9;
  c.lambda = 1;
  c.reward = 1;
  c.with_length = false;
  c.bootstrap = VK_BOOTSTRAP_TRUNCATED;
  vk_assert_ok(vk_rollout_new(&r, ENVS, 1, CHUNKS, 2, &err), &err);
  r.n_episode = VK_COUNT(is);
  for (int e = 0; e < r.n_episode; e++)
    r.episode[e] = (vk_rollout_episode){.i_traj = is[e].i_traj,
                                        .first = is[e].first,
                                        .row = e,
                                        .instruction = "push the plate",
                                        .success = is[e].success,
                                        .is_cut = is[e].is_cut,
                                        .n_step = is[e].n_step,
                                        .n_decision = (is[e].n_step + 7) / 8,
                                        .value_after = 3 + (float)e};
  vk_assert_ok(vk_rl_batch_new(&b, &r, &c, &err), &err);
  assert_int_equal(b.n_used, ENVS * CHUNKS);
  assert_int_equal(b.n_valid[0], 5 + 16);
  assert_int_equal(b.n_valid[1], 24);
  vk_assert_close(b.norm, (5 + 16 + 24) * 7, 0, 0);
  for (int k = 0; k < CHUNKS; k++)
    for (int h = 0; h < 8; h++) {
      int i = k * ENVS * 8 + h; /* of environment 0 */
      bool is_valid = k > 0 || h < 5;
      assert_int_equal(b.action_mask[i], is_valid);
      assert_int_equal(b.mask[i], is_valid);
      assert_true(b.weight[i] == (float)is_valid);
      assert_true(b.weight[i + 8] == 1);
      /* with lambda 1 and values of 0: discounted rewards, and what is thought of the cut */
      if (k == 0 && h < 5)
        vk_assert_close(b.ret[i], pow(0.9, 4 - h), 1e-6, 0);
      if (k > 0)
        vk_assert_close(b.ret[i], 5 * pow(0.9, 16 - (8 * (k - 1) + h)), 1e-5, 0);
      vk_assert_close(b.ret[i + 8], 4 * pow(0.9, 24 - (8 * k + h)), 1e-5, 0);
    }
  static const int32_t of[ENVS * CHUNKS] = {0, 2, 2, 1, 1, 1}; /* as they lie in the rollout */
  assert_memory_equal(b.episode, of, sizeof of);
  vk_rl_batch_free(&b);
  c.per_chunk = true;
  vk_assert_ok(vk_rl_batch_new(&b, &r, &c, &err), &err);
  assert_int_equal(b.n_used, ENVS * CHUNKS);
  vk_assert_close(b.ret[0], 1, 1e-6, 0);
  vk_assert_close(b.ret[2], 5 * 0.9 * 0.9, 1e-5, 0);
  vk_assert_close(b.ret[4], 5 * 0.9, 1e-5, 0);
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

static double number(const vk_safetensors *s, const char *name, int64_t i)
{
  const vk_safetensor *t = vk_safetensors_find(s, name);
  assert_non_null(t);
  double f64;
  int32_t i32;
  assert_true(i < t->n_item);
  if (t->dtype == VK_SAFETENSORS_F64)
    return memcpy(&f64, t->bytes + i * 8, 8), f64;
  assert_int_equal(t->dtype, VK_SAFETENSORS_I32);
  return memcpy(&i32, t->bytes + i * 4, 4), i32;
}

/* All that a loss is made of can be read again. */
static void test_written(void **state)
{
  static const int32_t row[] = {9, 2, 0}; /* decisions 1, 0, 0 of trajectories 1, 2, 0 */
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  vk_rl_batch b;
  vk_safetensors s;
  vk_rl_config c = ppo(1);
  make_temp_dir(state);
  make_rollout(&r);
  vk_assert_ok(vk_rl_batch_new(&b, &r, &c, &err), &err);
  vk_assert_ok(vk_rl_batch_write(&b, row, 3, 1.25, in_dir("rows.safetensors"), &err), &err);
  vk_assert_ok(vk_safetensors_open(&s, in_dir("rows.safetensors"), &err), &err);
  assert_string_equal(vk_safetensors_meta(&s, "text.0"), "push the plate");
  assert_string_equal(vk_safetensors_meta(&s, "text.1"), "open the drawer");
  assert_null(vk_safetensors_meta(&s, "text.2"));
  assert_true(number(&s, "temperature", 0) == 1.25);
  assert_true(number(&s, "norm", 0) == b.norm);
  assert_true(number(&s, "value_norm", 0) == b.value_norm);
  assert_true(number(&s, "entropy_norm", 0) == b.entropy_norm);
  for (int i = 0; i < 3; i++) {
    const vk_rollout_episode *e = &r.episode[row[i] % 8];
    assert_true(number(&s, "text_of", i) == (i == 1));
    assert_true(number(&s, "task", i) == e->i_task);
    assert_true(number(&s, "first_state", i) == e->row);
    for (int h = 0; h < 8; h++) {
      assert_true(number(&s, "return", i * 8 + h) == b.ret[row[i] * 8 + h]);
      assert_true(number(&s, "adv", i * 8 + h) == b.adv[row[i] * 8 + h]);
    }
    assert_true(number(&s, "action", i * 56) == r.bin[(row[i] % 8 * CHUNKS + row[i] / 8) * TOKENS]);
  }
  vk_safetensors_close(&s);
  vk_rl_batch_free(&b);
  vk_rollout_free(&r);
  remove_temp_dir(state);
}

/* ---- does it learn? ------------------------------------------------------------------------ */

/* A policy that sees one picture and acts once: it succeeds when the first of its bins is high. */
typedef struct game {
  vk_team *team;
  vk_net words, act, learn;
  float *grad;
  vk_optim *optim;
  vk_optim_span *spans;
  vk_rl_graph graph;
} game;

static void open_game(game *g, bool is_gae)
{
  vk_err err = VK_ERR_INIT;
  const vk_target act = {.isa = small_isa(), .n_thread = 1};
  const vk_target learn = {
      .isa = act.isa, .n_thread = 1, .is_train = true, .loss = "loss", .accumulate = true};
  *g = (game){.graph = {.loss = vk_policy_loss_default(), .temperature = 1}};
  vk_assert_ok(vk_params_block(&params, &g->grad, &err), &err);
  vk_assert_ok(vk_team_new(&g->team, 1, &err), &err);
  const vk_model_args text = {.part = VK_PART_TEXT, .n_batch = 1};
  vk_assert_ok(
      vk_net_new(&g->words, &model, &text, &act, &params, NULL, VK_CPU(g->team), NULL, &err), &err);
  const vk_model_args draw = {.part = VK_PART_ACT,
                              .n_batch = 1,
                              .with_value = true,
                              .temperature = 1,
                              .with_log_prob = true};
  vk_assert_ok(vk_net_new(&g->act, &model, &draw, &act, &params, NULL, VK_CPU(g->team), NULL, &err),
               &err);
  const vk_model_args loss = {
      .n_batch = CAP, .with_value = is_gae, .extend = vk_rl_graph_extend, .extend_arg = &g->graph};
  vk_assert_ok(
      vk_net_new(&g->learn, &model, &loss, &learn, &params, g->grad, VK_CPU(g->team), NULL, &err),
      &err);
  vk_assert_ok(
      vk_net_optim_new(&g->optim, &g->spans, &model, &params, g->grad,
                       &(vk_optim_config){
                           .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .max_norm = 1, .isa = act.isa},
                       0, &err),
      &err);
}

static void close_game(game *g)
{
  vk_optim_free(g->optim);
  free(g->spans);
  vk_net_free(&g->words);
  vk_net_free(&g->act);
  vk_net_free(&g->learn);
  vk_team_free(g->team);
  free(g->grad);
}

/* One decision an episode, by the weights as they are. Returns the share of successes. */
static double play(game *g, vk_rollout *r, int round)
{
  vk_err err = VK_ERR_INIT;
  static const char *const text[] = {"push the plate"};
  int n_word, n_success = 0;
  vk_assert_ok(vk_exec_prepare(g->words.exec, NULL), NULL);
  vk_assert_ok(vk_exec_prepare(g->act.exec, NULL), NULL);
  vk_assert_ok(vk_nano_set_text(g->words.exec, &g->words.plan->graph, text, 1, &n_word, &err),
               &err);
  vk_assert_ok(vk_exec_run(g->words.exec, NULL), NULL);
  vk_exec_set_size(g->act.exec, VK_NANO_TEXT, 1);
  vk_exec_set_size(g->act.exec, VK_NANO_WORD, n_word);
  memcpy(vk_net_data(&g->act, "text"), vk_net_data(&g->words, "text"),
         sizeof(float) * 32 * (size_t)n_word);
  memcpy(vk_net_data(&g->act, "text_vec"), vk_net_data(&g->words, "text_vec"), sizeof(float) * 32);
  for (int e = 0; e < r->n_episode; e++) {
    const vk_nano_obs obs = {.image = {r->picture, r->picture + VK_VIEW_BYTES},
                             .proprio = r->proprio};
    const int32_t key[2] = {round, e};
    memcpy(vk_net_data(&g->act, "key"), key, sizeof key);
    vk_assert_ok(vk_nano_set_obs(g->act.exec, &g->act.plan->graph, &obs, 1, &n_word, 1, &err),
                 &err);
    vk_assert_ok(vk_exec_run(g->act.exec, NULL), NULL);
    const int32_t *bin = vk_net_data(&g->act, "bin");
    memcpy(r->picture + (ptrdiff_t)e * 2 * VK_VIEW_BYTES, r->picture, e ? 2 * VK_VIEW_BYTES : 0);
    memcpy(r->proprio + (ptrdiff_t)e * 8, r->proprio, e ? sizeof(float) * 8 : 0);
    memcpy(r->bin + (ptrdiff_t)e * TOKENS, bin, sizeof *bin * TOKENS);
    memcpy(r->log_prob + (ptrdiff_t)e * TOKENS, vk_net_data(&g->act, "log_prob"),
           sizeof(float) * TOKENS);
    memcpy(r->value + (ptrdiff_t)e * 8, vk_net_data(&g->act, "value"), sizeof(float) * 8);
    r->episode[e] = (vk_rollout_episode){.i_traj = e,
                                         .instruction = text[0],
                                         .success = bin[0] >= 128,
                                         .n_step = 8,
                                         .n_decision = 1};
    n_success += r->episode[e].success;
  }
  return (double)n_success / r->n_episode;
}

static void learn(game *g, const vk_rl_batch *b)
{
  vk_err err = VK_ERR_INIT;
  int n_word[CAP];
  const vk_rl_share share = {.actor = 1, .critic = 1};
  memset(g->grad, 0, sizeof *g->grad * (size_t)params.n_item);
  for (int64_t i = 0; i < b->n_used; i += CAP) {
    int n = (int)(b->n_used - i < CAP ? b->n_used - i : CAP);
    vk_assert_ok(vk_rl_batch_set(b, b->used + i, n, &share, 1, &g->learn, n_word, &err), &err);
    vk_assert_ok(vk_exec_run(g->learn.exec, NULL), NULL);
  }
  vk_assert_ok(vk_optim_step(g->optim, g->team, 3e-3, 1, NULL, &err), &err);
}

/* Two bins a token are likely, one on either side: few draws tell them apart. */
static void leave_two_bins(void)
{
  const vk_param *bias = vk_params_find(&params, "head.bias");
  const vk_param *weight = vk_params_find(&params, "head.weight");
  assert_true(bias && weight);
  for (int64_t i = 0; i < weight->n; i++)
    params.data[weight->offset + i] *= 0.05f;
  for (int64_t i = 0; i < bias->n; i++)
    params.data[bias->offset + i] = i % 256 == 100 || i % 256 == 200 ? 0 : -20;
}

static void check_learning(const vk_rl_config *config)
{
  enum { ROUNDS = 40 };
  vk_err err = VK_ERR_INIT;
  game g;
  vk_rollout r;
  vk_rl_batch b;
  double first, last = 0;
  float *start;
  vk_assert_ok(vk_params_block(&params, &start, &err), &err);
  memcpy(start, params.data, sizeof *start * (size_t)params.n_item);
  leave_two_bins();
  vk_assert_ok(vk_rollout_new(&r, 4, 8, 1, 2, &err), &err);
  memset(r.picture, 90, 2 * VK_VIEW_BYTES);
  r.has_proprio = true;
  open_game(&g, config->is_gae);
  first = play(&g, &r, 0);
  for (int i = 1; i <= ROUNDS; i++) {
    vk_assert_ok(vk_rl_batch_new(&b, &r, config, &err), &err);
    learn(&g, &b);
    vk_rl_batch_free(&b);
    last = play(&g, &r, i);
  }
  print_message("success %.2f, after %d updates %.2f\n", first, ROUNDS, last);
  assert_true(first < 0.75);
  assert_true(last > 0.85);
  close_game(&g);
  vk_rollout_free(&r);
  memcpy(params.data, start, sizeof *start * (size_t)params.n_item);
  free(start);
}

static void test_learns(void **state)
{
  vk_rl_config c = grpo();
  check_learning(&c);
  c = ppo(1);
  c.loss.entropy_bonus = 0;
  c.filter_lo = 0;
  c.filter_hi = 1;
  check_learning(&c);
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
      cmocka_unit_test(test_dropped_rows),  cmocka_unit_test(test_counts),
      cmocka_unit_test(test_rewards),       cmocka_unit_test(test_refused),
      cmocka_unit_test(test_learns),        cmocka_unit_test(test_bootstrap),
      cmocka_unit_test(test_partial_reset), cmocka_unit_test(test_written),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
