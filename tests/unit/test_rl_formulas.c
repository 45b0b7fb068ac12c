/* test_rl_formulas.c - what a trainer makes of a rollout, and the loss and gradients of a network
 * for it, against a recomputation in double precision that shares no code with them: advantages,
 * returns, weights and norms, the clipped losses, and the gradient of every parameter; the order of
 * rows; which share each part of the loss has in a step.
 *
 * Source of the formulas: RLinf a3816b5, rlinf/algorithms/{advantages,losses,utils}.py, with
 * log-probabilities of a token, an action or a chunk. */
#include "test.h"

#include "nn/op.h"
#include "rl/rl_config.h"
#include "rl_small.h"

enum { B = GROUPS * GROUP, STEPS = VK_NANO_STEPS, DIMS = VK_NANO_DIMS, T = CHUNKS * STEPS };
enum { ROWS = CHUNKS * B, BINS = VK_NANO_BINS, N_PART = 3 };

static const double temperature = 1.3;

static vk_model model;
static vk_params params;

/* ---- formulas ------------------------------------------------------------------------------ */

/* Of a rollout, [trajectory][head in the order of time]: actions, or chunks (n_head 1). */
typedef struct formulas {
  int n_head; /* of a chunk */
  bool is_kept[B];
  bool is_action[B][T]; /* action t counts */
  bool is_item[B][T];
  double adv[B][T], ret[B][T], weight[B][T];
  double norm, value_norm, entropy_norm;
} formulas;

/* Rewards, ends and values of trajectory b, by head. */
static void items_of(const vk_rollout *r, const vk_rl_config *c, int b, int n_head, double *reward,
                     bool *is_end, double *value)
{
  const vk_rollout_episode *e = &r->episode[b];
  int last = e->n_step - 1, i_last = last / STEPS * n_head + (n_head > 1 ? last % STEPS : 0);
  for (int i = 0; i < CHUNKS * n_head; i++) {
    int k = i / n_head;
    reward[i] = 0;
    is_end[i] = i == i_last;
    value[i] = k < e->n_decision ? (double)r->value[(b * CHUNKS + k) * STEPS + i % n_head] : 0;
  }
  reward[i_last] = e->success ? c->reward : 0;
  if (c->bootstrap == VK_BOOTSTRAP_ALWAYS || (c->bootstrap && !e->success))
    reward[i_last] += c->gamma * (double)e->value_after;
}

static void gae_of(const vk_rollout *r, const vk_rl_config *c, int b, formulas *f)
{
  double reward[T], value[T], adv = 0;
  bool is_end[T];
  items_of(r, c, b, f->n_head, reward, is_end, value);
  for (int i = CHUNKS * f->n_head - 1; i >= 0; i--) {
    double next = i + 1 < CHUNKS * f->n_head && !is_end[i] ? value[i + 1] : 0;
    adv = reward[i] + c->gamma * next - value[i] + c->gamma * c->lambda * (is_end[i] ? 0 : adv);
    f->adv[b][i] = adv;
    f->ret[b][i] = adv + value[i];
  }
}

/* Over what counts of all trajectories; the deviation with n - 1. */
static void normalise(formulas *f)
{
  double n = 0, sum = 0, square = 0;
  for (int b = 0; b < B; b++)
    for (int i = 0; i < CHUNKS * f->n_head; i++)
      if (f->is_item[b][i]) {
        n++;
        sum += f->adv[b][i];
      }
  for (int b = 0; b < B; b++)
    for (int i = 0; i < CHUNKS * f->n_head; i++)
      if (f->is_item[b][i])
        square += pow(f->adv[b][i] - sum / n, 2);
  for (int b = 0; b < B; b++)
    for (int i = 0; i < CHUNKS * f->n_head; i++)
      f->adv[b][i] = (f->adv[b][i] - sum / n) / (sqrt(square / (n - 1)) + 1e-5);
}

/* Advantage of the whole of trajectory b. */
static double relative(const vk_rollout *r, const vk_rl_config *c, int b)
{
  double mean = 0, square = 0, own = r->episode[b].success ? c->reward : 0;
  for (int i = b - b % GROUP; i < b - b % GROUP + GROUP; i++)
    mean += (r->episode[i].success ? c->reward : 0) / GROUP;
  for (int i = b - b % GROUP; i < b - b % GROUP + GROUP; i++)
    square += pow((r->episode[i].success ? c->reward : 0) - mean, 2);
  return square == 0 ? 0 : (own - mean) / (sqrt(square / (GROUP - 1)) + 1e-6);
}

static void compute(const vk_rollout *r, const vk_rl_config *c, formulas *f)
{
  *f = (formulas){.n_head = c->per_chunk ? 1 : STEPS};
  int n_item = CHUNKS * f->n_head;
  double n_masked = 0, width = (double)TOKENS / (double)c->loss.group;
  for (int b = 0; b < B; b++) {
    double share = 0;
    for (int i = b - b % GROUP; i < b - b % GROUP + GROUP; i++)
      share += (double)r->episode[i].success / GROUP;
    f->is_kept[b] = share >= c->filter_lo && share <= c->filter_hi;
    for (int t = 0; t < T && f->is_kept[b]; t++) {
      f->is_action[b][t] = t < r->episode[b].n_step;
      f->entropy_norm += f->is_action[b][t];
    }
    for (int i = 0; i < n_item; i++)
      f->is_item[b][i] = f->is_action[b][c->per_chunk ? i * STEPS : i];
  }
  for (int b = 0; b < B; b++) {
    if (c->is_gae)
      gae_of(r, c, b, f);
    for (int i = 0; i < n_item; i++) {
      if (!c->is_gae)
        f->adv[b][i] = f->is_item[b][i] ? relative(r, c, b) : 0;
      f->weight[b][i] = !f->is_item[b][i] ? 0
                        : c->with_length  ? (double)T / r->episode[b].n_step
                                          : 1;
      n_masked += f->is_item[b][i];
    }
  }
  if (c->is_gae)
    normalise(f);
  f->norm = c->with_length ? ROWS * width : n_masked * width / f->n_head;
  f->value_norm = c->with_length ? ROWS * f->n_head : n_masked;
}

static double huber(double e, double delta)
{
  return fabs(e) < delta ? e * e / 2 : delta * (fabs(e) - delta / 2);
}

static double clamp(double x, double lo, double hi)
{
  return fmin(fmax(x, lo), hi);
}

/* What a row's tokens and values are now, and the derivatives of the loss by them. */
typedef struct row_now {
  double logp[TOKENS], entropy[TOKENS], value[STEPS];
  float by_logp[TOKENS], by_entropy[TOKENS], by_value[STEPS];
} row_now;

typedef struct counts {
  int n_clipped, n_plain, n_dual, n_value_clipped;
} counts;

/* Softmax of logits / temperature. logits [56, 256] */
static void read_row(row_now *now, const float *logits, const int32_t *action, const float *value)
{
  for (int k = 0; k < TOKENS; k++) {
    const float *x = logits + k * BINS;
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < BINS; i++)
      most = fmax(most, (double)x[i] / temperature);
    for (int i = 0; i < BINS; i++)
      sum += exp((double)x[i] / temperature - most);
    double log_sum = most + log(sum);
    now->logp[k] = (double)x[action[k]] / temperature - log_sum;
    now->entropy[k] = 0;
    for (int i = 0; i < BINS; i++) {
      double l = (double)x[i] / temperature - log_sum;
      now->entropy[k] -= exp(l) * l;
    }
  }
  for (int h = 0; h < STEPS && value; h++)
    now->value[h] = (double)value[h];
}

/* The loss that row `row` adds to a part of n_part; its derivatives. */
static double loss_of(const vk_rollout *r, const vk_rl_config *c, const vk_rl_share *share,
                      const formulas *f, int row, row_now *now, counts *n)
{
  const vk_policy_loss *l = &c->loss;
  int b = row % B, k_chunk = row / B, group = (int)l->group, width = TOKENS / group;
  int64_t d = b * CHUNKS + k_chunk;
  double loss = 0;
  for (int j = 0; j < width; j++) {
    int i = k_chunk * f->n_head + j / (width / f->n_head);
    double a = f->adv[b][i], w = share->actor * f->weight[b][i] / f->norm * N_PART, log_ratio = 0;
    for (int k = j * group; k < (j + 1) * group; k++)
      log_ratio += now->logp[k] - (double)r->log_prob[d * TOKENS + k];
    double ratio = exp(log_ratio), plain = -a * ratio;
    double clipped = -a * clamp(ratio, 1 - l->clip_lo, 1 + l->clip_hi);
    double item = fmax(plain, clipped), slope = clipped > plain ? 0 : plain;
    if (w != 0 && a != 0) {
      n->n_clipped += clipped > plain;
      n->n_plain += clipped <= plain;
    }
    if (l->dual > 0 && item > l->dual * fabs(a)) {
      n->n_dual += w != 0;
      item = l->dual * fabs(a);
      slope = 0;
    }
    loss += w * item;
    for (int k = j * group; k < (j + 1) * group; k++)
      now->by_logp[k] = (float)(w * slope);
  }
  for (int h = 0; h < STEPS && c->is_gae; h++) {
    int i = k_chunk * f->n_head + h;
    now->by_value[h] = 0;
    if (h >= f->n_head)
      continue;
    double w = share->critic * f->weight[b][i] / f->value_norm * N_PART, v = now->value[h];
    double old = (double)r->value[d * STEPS + h], e = f->ret[b][i] - v;
    double near = clamp(v - old, -l->value_clip, l->value_clip);
    double one = huber(e, l->huber_delta);
    double other = huber(f->ret[b][i] - (old + near), l->huber_delta);
    bool is_flat = other > one && near != v - old;
    n->n_value_clipped += w != 0 && is_flat;
    loss += w * fmax(one, other);
    now->by_value[h] = is_flat ? 0 : (float)(w * -clamp(e, -l->huber_delta, l->huber_delta));
  }
  for (int k = 0; k < TOKENS; k++) {
    bool counts_in = l->entropy_bonus != 0 && f->is_action[b][k_chunk * STEPS + k / DIMS];
    double w = counts_in ? -share->entropy_bonus / f->entropy_norm * N_PART : 0;
    loss += w * now->entropy[k];
    now->by_entropy[k] = (float)w;
  }
  return loss;
}

/* ---- networks ------------------------------------------------------------------------------ */

/* A loss with given derivatives: sum of by_logp logp + by_entropy entropy + by_value value. */
static void line_extend(vk_graph *g, const void *arg)
{
  const float one = 1;
  int64_t n = g->sym_cap[VK_NANO_BATCH];
  vk_id logits = vk_graph_find_output(g, "logits"), value = vk_graph_find_output(g, "value");
  const vk_extent per_token = vk_graph_extent(VK_NANO_BATCH, TOKENS, 0);
  const vk_shape tokens = vk_shape_of(1, (int)(n * TOKENS));
  vk_graph_place(g, "line");
  vk_id norm = vk_graph_const(g, "unit", VK_F32, vk_shape_of(1, 1), &one);
  vk_id action = vk_graph_input(g, "action", VK_I32, tokens, per_token);
  vk_id logp = VK_APPLY(g, log_prob, VK_IN(logits, action), .scale = 1 / temperature);
  vk_id entropy = VK_APPLY(g, entropy, VK_IN(logits), .scale = 1 / temperature);
  vk_id by_logp = vk_graph_input(g, "by_logp", VK_F32, tokens, per_token);
  vk_id by_entropy = vk_graph_input(g, "by_entropy", VK_F32, tokens, per_token);
  vk_id loss = VK_APPLY(g, add,
                        VK_IN(VK_APPLY(g, weighted_mean, VK_IN(logp, by_logp, norm)),
                              VK_APPLY(g, weighted_mean, VK_IN(entropy, by_entropy, norm))),
                        .scale = 1);
  if (value != VK_NONE) {
    vk_id by_value = vk_graph_input(g, "by_value", VK_F32, vk_shape_of(2, (int)n, STEPS),
                                    vk_graph_extent(VK_NANO_BATCH, 1, 0));
    loss = VK_APPLY(g, add, VK_IN(loss, VK_APPLY(g, weighted_mean, VK_IN(value, by_value, norm))),
                    .scale = 1);
  }
  vk_graph_output(g, "loss", loss);
}

static void open_net(vk_net *net, float **grad, vk_team *team, bool with_value,
                     void (*extend)(vk_graph *g, const void *arg), const void *arg)
{
  vk_err err = VK_ERR_INIT;
  const vk_target target = {
      .isa = small_isa(), .n_thread = 1, .is_train = true, .loss = "loss", .accumulate = true};
  const vk_model_args args = {
      .n_batch = CAP, .with_value = with_value, .extend = extend, .extend_arg = arg};
  vk_assert_ok(vk_params_block(&params, grad, &err), &err);
  vk_assert_ok(vk_net_new(net, &model, &args, &target, &params, *grad, VK_CPU(team), NULL, &err),
               &err);
}

/* Observations of rows, by hand. */
static void set_obs(const vk_rollout *r, const int32_t *row, int n, vk_net *net)
{
  vk_err err = VK_ERR_INIT;
  const vk_graph *g = &net->plan->graph;
  const char *text[CAP];
  vk_nano_obs obs[CAP];
  int n_word[CAP];
  for (int i = 0; i < n; i++) {
    int64_t d = row[i] % B * CHUNKS + row[i] / B;
    const uint8_t *picture = r->picture + d * 2 * VK_VIEW_BYTES;
    text[i] = r->episode[row[i] % B].instruction;
    obs[i] = (vk_nano_obs){.image = {picture, picture + VK_VIEW_BYTES},
                           .proprio = r->proprio + d * VK_VIEW_PROPRIO,
                           .i_text = i};
    memcpy((int32_t *)vk_net_data(net, "action") + i * TOKENS, r->bin + d * TOKENS,
           sizeof(int32_t) * TOKENS);
  }
  vk_assert_ok(vk_nano_set_text(net->exec, g, text, n, n_word, &err), &err);
  vk_assert_ok(vk_nano_set_obs(net->exec, g, obs, n, n_word, n, &err), &err);
}

static void read_rows(const vk_net *net, const int32_t *action, int n, row_now *now)
{
  const float *logits = vk_net_data(net, "logits"), *value = vk_net_data(net, "value");
  for (int i = 0; i < n; i++)
    read_row(&now[i], logits + (ptrdiff_t)i * TOKENS * BINS, action + i * TOKENS,
             value ? value + i * STEPS : NULL);
}

/* What was drawn and thought then becomes what the network says now, a little off: ratios within
 * and without the bounds. */
static void move_near(vk_rollout *r, vk_net *net, int64_t group)
{
  vk_philox rng;
  static row_now now;
  vk_philox_init(&rng, 4, 2);
  for (int32_t row = 0; row < ROWS; row++) {
    int64_t d = row % B * CHUNKS + row / B;
    if (row / B >= r->episode[row % B].n_decision)
      continue;
    set_obs(r, &row, 1, net);
    vk_assert_ok(vk_exec_run(net->exec, NULL), NULL);
    read_rows(net, vk_net_data(net, "action"), 1, &now);
    double off = (row % 5 == 0 ? 1.5 : 0.25) / sqrt((double)group);
    for (int k = 0; k < TOKENS; k++)
      r->log_prob[d * TOKENS + k] = (float)(now.logp[k] + off * vk_philox_normal(&rng));
    for (int h = 0; h < STEPS; h++)
      r->value[d * STEPS + h] = (float)(now.value[h] + 0.4 * vk_philox_normal(&rng));
  }
}

/* Every parameter's gradient; dead ones, of a value head without a loss, are 0 in both. */
static void compare_gradients(const float *got, const float *want)
{
  int n_moved = 0;
  for (int i = 0; i < params.n_param; i++) {
    const vk_param *p = &params.param[i];
    double off = 0, all = 0;
    for (int64_t k = p->offset; k < p->offset + p->n; k++) {
      off += pow((double)got[k] - (double)want[k], 2);
      all += pow((double)want[k], 2);
    }
    n_moved += all > 0;
    if (!(sqrt(off) <= 2e-5 * sqrt(all) + 1e-7))
      fail_msg("gradient of %s: %g off, of %g", p->name, sqrt(off), sqrt(all));
  }
  assert_true(n_moved > params.n_param / 2);
}

static void compare_batch(const vk_rl_batch *b, const formulas *f)
{
  vk_assert_close(b->norm, f->norm, 1e-9, 1e-9);
  vk_assert_close(b->value_norm, f->value_norm, 1e-9, 1e-9);
  vk_assert_close(b->entropy_norm, f->entropy_norm, 1e-9, 1e-9);
  for (int row = 0; row < ROWS; row++)
    for (int h = 0; h < f->n_head; h++) {
      int i_traj = row % B, i = row / B * f->n_head + h;
      int64_t at = row * f->n_head + h;
      assert_int_equal(b->mask[at], f->is_item[i_traj][i]);
      vk_assert_close(b->weight[at], f->weight[i_traj][i], 0, 1e-6);
      if (!f->is_item[i_traj][i])
        continue;
      vk_assert_close(b->adv[at], f->adv[i_traj][i], 2e-6, 2e-6);
      if (b->config.is_gae)
        vk_assert_close(b->ret[at], f->ret[i_traj][i], 2e-6, 2e-6);
    }
  for (int row = 0; row < ROWS; row++)
    for (int a = 0; a < STEPS; a++)
      assert_int_equal(b->action_mask[row * STEPS + a], f->is_action[row % B][row / B * STEPS + a]);
}

/* A whole batch in micro-batches, as if it were one of N_PART parts. */
static void check(const char *name, const vk_rl_config *c)
{
  static formulas f;
  static row_now now[CAP];
  const vk_rl_share share = {.actor = 0.7, .critic = 0.5, .entropy_bonus = 0.05};
  const vk_rl_graph graph = {.loss = c->loss, .temperature = temperature};
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  vk_rl_batch b;
  vk_team *team;
  vk_net net, line;
  float *grad, *want_grad;
  counts n = {0};
  double loss = 0, want = 0;
  int32_t order[ROWS];
  int n_word[CAP];
  make_rollout(&r);
  for (int e = 0; e < B; e++)
    r.episode[e].value_after = 0.3f + 0.1f * (float)e;
  vk_assert_ok(vk_team_new(&team, 1, &err), &err);
  open_net(&line, &want_grad, team, c->is_gae, line_extend, NULL);
  open_net(&net, &grad, team, c->is_gae, vk_rl_graph_extend, &graph);
  move_near(&r, &line, c->loss.group);
  memset(want_grad, 0, sizeof *want_grad * (size_t)params.n_item);
  compute(&r, c, &f);
  vk_assert_ok(vk_rl_batch_new(&b, &r, c, &err), &err);
  compare_batch(&b, &f);
  vk_rl_batch_order(&b, 5, 2, order);
  for (int64_t i = 0; i < b.n_used; i += CAP) {
    int m = (int)(b.n_used - i < CAP ? b.n_used - i : CAP);
    vk_assert_ok(vk_rl_batch_set(&b, order + i, m, &share, N_PART, &net, n_word, &err), &err);
    vk_assert_ok(vk_exec_run(net.exec, NULL), NULL);
    loss += (double)*(float *)vk_net_data(&net, "loss");
    set_obs(&r, order + i, m, &line);
    read_rows(&net, vk_net_data(&line, "action"), m, now);
    for (int k = 0; k < m; k++) {
      want += loss_of(&r, c, &share, &f, order[i + k], &now[k], &n);
      memcpy((float *)vk_net_data(&line, "by_logp") + k * TOKENS, now[k].by_logp,
             sizeof now[k].by_logp);
      memcpy((float *)vk_net_data(&line, "by_entropy") + k * TOKENS, now[k].by_entropy,
             sizeof now[k].by_entropy);
      if (c->is_gae)
        memcpy((float *)vk_net_data(&line, "by_value") + k * STEPS, now[k].by_value,
               sizeof now[k].by_value);
    }
    vk_assert_ok(vk_exec_run(line.exec, NULL), NULL);
  }
  print_message("%s: loss %.6f; %d items plain, %d clipped, %d at the dual bound, %d values "
                "clipped\n",
                name, want, n.n_plain, n.n_clipped, n.n_dual, n.n_value_clipped);
  assert_true(n.n_plain > 0 && n.n_clipped > 0);
  assert_true(!c->is_gae || n.n_value_clipped > 0);
  assert_true(c->loss.dual == 0 || n.n_dual > 0);
  vk_assert_close(loss, want, 1e-5, 1e-5);
  compare_gradients(grad, want_grad);
  vk_rl_batch_free(&b);
  vk_net_free(&net);
  vk_net_free(&line);
  vk_team_free(team);
  free(grad);
  free(want_grad);
  vk_rollout_free(&r);
}

static void test_formulas(void **state)
{
  vk_rl_config c = grpo();
  check("grpo, tokens", &c);
  c.loss.group = DIMS;
  c.loss.entropy_bonus = 1;
  c.with_length = false;
  check("grpo, actions, without length normalisation", &c);
  c = ppo(1);
  check("ppo, tokens", &c);
  c.loss.dual = 1.5; /* so that it acts */
  c.filter_lo = 0.1; /* groups that are left out have no entropy either */
  c.filter_hi = 0.9;
  check("ppo, tokens, filtered", &c);
  c.loss.group = DIMS;
  c.with_length = false;
  c.bootstrap = VK_BOOTSTRAP_TRUNCATED;
  check("ppo, actions, filtered, bootstrapped, without length normalisation", &c);
  c = ppo(TOKENS);
  c.loss.dual = 0;
  c.bootstrap = VK_BOOTSTRAP_ALWAYS;
  check("ppo, chunks, bootstrapped", &c);
}

/* ---- order --------------------------------------------------------------------------------- */

static int up(const void *a, const void *b)
{
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

/* The used rows, each once, in an order that depends on seed and number. */
static void test_order(void **state)
{
  static const uint64_t key[][2] = {{3, 9}, {3, 10}, {4, 9}};
  vk_err err = VK_ERR_INIT;
  vk_rollout r;
  vk_rl_batch b;
  vk_rl_config c = ppo(1);
  int32_t order[VK_COUNT(key)][ROWS], again[ROWS];
  make_rollout(&r);
  vk_assert_ok(vk_rl_batch_new(&b, &r, &c, &err), &err);
  size_t n = sizeof(int32_t) * (size_t)b.n_used;
  for (size_t i = 0; i < VK_COUNT(key); i++) {
    vk_rl_batch_order(&b, key[i][0], key[i][1], order[i]);
    vk_rl_batch_order(&b, key[i][0], key[i][1], again);
    assert_memory_equal(order[i], again, n);
    assert_memory_not_equal(order[i], b.used, n);
    int n_at_home = 0;
    for (int64_t k = 0; k < b.n_used; k++)
      n_at_home += order[i][k] == b.used[k];
    assert_true(n_at_home < b.n_used / 2); /* one is expected */
    qsort(again, (size_t)b.n_used, sizeof *again, up);
    assert_memory_equal(again, b.used, n);
    for (size_t k = 0; k < i; k++)
      assert_memory_not_equal(order[i], order[k], n);
  }
  vk_rl_batch_free(&b);
  vk_rollout_free(&r);
}

/* ---- configuration ------------------------------------------------------------------------- */

/* By a configuration that comes along, changed by `set`. */
static void read_config(vk_train_config *c, const char *name, int n_set, const char *const *set)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_train_config_init(c, &err), &err);
  vk_assert_ok(vk_train_config_read(c, name, &err), &err);
  for (int i = 0; i < n_set; i++)
    vk_assert_ok(vk_train_config_set(c, set[i], &err), &err);
}

static void test_shares(void **state)
{
  static const char *const set[] = {"critic_warmup=3",  "value_weight=0.25", "entropy_bonus=0.02",
                                    "entropy_steps=10", "bc_weight=0.8",     "bc_steps=8"};
  static const struct {
    int64_t step;
    double actor, entropy, imitation;
  } want[] = {{0, 0, 0, 0},      {2, 0, 0, 0},       {3, 1, 0.014, 0.5},
              {5, 1, 0.01, 0.3}, {7, 1, 0.006, 0.1}, {8, 1, 0.004, 0},
              {9, 1, 0.002, 0},  {10, 1, 0, 0},      {1000, 1, 0, 0}};
  vk_train_config c;
  read_config(&c, "ppo-n2", VK_COUNT(set), set);
  for (size_t i = 0; i < VK_COUNT(want); i++) {
    const vk_rl_share share = vk_rl_share_of(&c, want[i].step);
    vk_assert_close(share.actor, want[i].actor, 0, 0);
    vk_assert_close(share.critic, 0.25, 0, 0);
    vk_assert_close(share.entropy_bonus, want[i].entropy, 1e-12, 0);
    vk_assert_close(vk_rl_imitation_of(&c, want[i].step), want[i].imitation, 1e-12, 0);
  }
  c.entropy_steps = c.bc_steps = 0; /* they stay */
  vk_assert_close(vk_rl_share_of(&c, 900).entropy_bonus, 0.02, 1e-12, 0);
  vk_assert_close(vk_rl_imitation_of(&c, 900), 0.8, 1e-12, 0);
  vk_train_config_fini(&c);
  read_config(&c, "grpo-n2", 0, NULL); /* no critic that could warm up */
  c.critic_warmup = 3;
  vk_assert_close(vk_rl_share_of(&c, 0).actor, 1, 0, 0);
  vk_train_config_fini(&c);
}

static void test_config(void **state)
{
  static const char *const set[] = {
      "gamma=0.9",        "lambda=0.8",           "reward=3",          "filter_lo=0.2",
      "filter_hi=0.7",    "clip_lo=0.1",          "clip_hi=0.3",       "dual_clip=2.5",
      "huber_delta=4",    "value_clip=0.6",       "logp_level=action", "reward_level=action",
      "length_norm=true", "bootstrap=truncation", "entropy_bonus=0"};
  vk_train_config t;
  read_config(&t, "ppo-n2", VK_COUNT(set), set);
  vk_rl_config c = vk_rl_config_of(&t);
  assert_true(c.is_gae && c.with_length && !c.per_chunk);
  assert_int_equal(c.bootstrap, VK_BOOTSTRAP_TRUNCATED);
  const double got[] = {c.gamma,
                        c.lambda,
                        c.reward,
                        c.filter_lo,
                        c.filter_hi,
                        c.loss.clip_lo,
                        c.loss.clip_hi,
                        c.loss.dual,
                        c.loss.huber_delta,
                        c.loss.value_clip,
                        (double)c.loss.group,
                        c.loss.entropy_bonus};
  const double want[] = {0.9, 0.8, 3, 0.2, 0.7, 0.1, 0.3, 2.5, 4, 0.6, DIMS, 0};
  for (size_t i = 0; i < VK_COUNT(want); i++)
    vk_assert_close(got[i], want[i], 0, 0);
  t.entropy_bonus = 1e-4;
  t.reward_level = t.logp_level = "chunk";
  t.partial_reset = true; /* environments begin anew: none has a length */
  t.bootstrap = "auto";
  c = vk_rl_config_of(&t);
  assert_true(c.per_chunk && !c.with_length);
  assert_int_equal(c.loss.group, TOKENS);
  assert_true(c.loss.entropy_bonus == 1);
  assert_int_equal(c.bootstrap, VK_BOOTSTRAP_TRUNCATED);
  t.partial_reset = false;
  assert_int_equal(vk_rl_config_of(&t).bootstrap, VK_BOOTSTRAP_NONE);
  t.bootstrap = "always";
  assert_int_equal(vk_rl_config_of(&t).bootstrap, VK_BOOTSTRAP_ALWAYS);
  t.method = "grpo";
  c = vk_rl_config_of(&t);
  assert_false(c.is_gae);
  assert_int_equal(c.bootstrap, VK_BOOTSTRAP_NONE);
  vk_train_config_fini(&t);
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
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_formulas), cmocka_unit_test(test_order),
                                     cmocka_unit_test(test_shares), cmocka_unit_test(test_config)};
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
