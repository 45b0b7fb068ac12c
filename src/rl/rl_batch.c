#include "rl/rl_batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "core/safetensors.h"

enum { STEPS = VK_NANO_STEPS, DIMS = VK_NANO_DIMS, TOKENS = VK_DECISION_BINS };

/* ---- making one ---------------------------------------------------------------------------- */

vk_status vk_rl_config_check(const vk_rl_config *c, vk_err *err)
{
  int64_t group = c->loss.group;
  if (group != 1 && group != DIMS && group != TOKENS)
    return vk_fail(
        err, VK_E_USAGE,
        "log-probabilities of %lld tokens: expected 1 (a token), %d (an action) or %d (a "
        "chunk)",
        (long long)group, DIMS, TOKENS);
  if (group == TOKENS && !c->per_chunk)
    return vk_fail(err, VK_E_USAGE,
                   "log-probabilities of chunks need rewards of chunks: advantages of actions are "
                   "finer");
  if (!(c->filter_lo <= c->filter_hi))
    return vk_fail(err, VK_E_USAGE, "groups are kept from %g to %g: no group would be",
                   c->filter_lo, c->filter_hi);
  if (c->loss.dual > 0 && c->loss.dual <= 1)
    return vk_fail(err, VK_E_USAGE, "dual_clip is %g: expected a bound above 1, or 0 for none",
                   c->loss.dual);
  return VK_OK;
}

static int64_t decision_of(const vk_rl_batch *b, int64_t row)
{
  int64_t n = b->roll.n_traj;
  return row % n * b->rollout->n_chunk + row / n;
}

static bool is_uniform(const double *score, int n)
{
  for (int i = 1; i < n; i++)
    if (score[i] != score[0])
      return false;
  return true;
}

/* What the functions of rl/advantage.h read: allocated together. */
typedef struct tables {
  uint8_t *done;           /* [n + 1, B, 8] */
  uint8_t *begin;          /* [n, B] */
  float *reward;           /* [n, B, 8] */
  float *value;            /* [n + 1, B, C'] */
  double *score, *success; /* [B] of its first episode */
  vk_moments *moments;
  int64_t *task, *start; /* [B] */
} tables;

static void free_tables(tables *t)
{
  free(t->done);
  free(t->begin);
  free(t->reward);
  free(t->value);
  free(t->score);
  free(t->success);
  free(t->moments);
  free(t->task);
  free(t->start);
}

static vk_status alloc_tables(tables *t, const vk_rl_batch *b, vk_err *err)
{
  int64_t n_traj = b->roll.n_traj, n_head = vk_roll_n_head(&b->roll);
  size_t n = (size_t)((b->roll.n_chunk + 1) * n_traj);
  *t = (tables){.done = calloc(n, STEPS),
                .begin = calloc(n, 1),
                .reward = calloc(n, STEPS * sizeof(float)),
                .value = calloc(n, (size_t)n_head * sizeof(float)),
                .score = calloc((size_t)n_traj, sizeof *t->score),
                .success = calloc((size_t)n_traj, sizeof *t->success),
                .moments = calloc((size_t)n_traj, sizeof *t->moments),
                .task = calloc((size_t)n_traj, sizeof *t->task),
                .start = calloc((size_t)n_traj, sizeof *t->start)};
  if (!t->done || !t->begin || !t->reward || !t->value || !t->score || !t->success || !t->moments ||
      !t->task || !t->start)
    return vk_fail(err, VK_E_NOMEM, "no memory for the advantages of %lld trajectories",
                   (long long)n_traj);
  return VK_OK;
}

/* The item of [n, B, 8] of an episode's last action. */
static int64_t last_item(const vk_rl_batch *b, const vk_rollout_episode *one)
{
  int64_t last = one->n_step - 1;
  return ((one->first + last / STEPS) * b->roll.n_traj + one->i_traj) * STEPS + last % STEPS;
}

static void fill_tables(tables *t, vk_rl_batch *b)
{
  const vk_rollout *r = b->rollout;
  int64_t n_traj = r->n_traj, n_head = vk_roll_n_head(&b->roll);
  for (int e = 0; e < r->n_episode; e++) {
    const vk_rollout_episode *one = &r->episode[e];
    int64_t last = last_item(b, one), first = one->first * n_traj + one->i_traj;
    if (e < n_traj) { /* the first of its trajectory */
      t->task[e] = one->i_task;
      t->start[e] = one->row;
      t->success[e] = one->success;
    }
    t->begin[first] = 1;
    t->done[n_traj * STEPS + last] = !one->is_cut;
    t->reward[last] = one->success ? (float)b->config.reward : 0;
    for (int64_t k = 0; k < one->n_decision; k++) {
      int64_t d = (int64_t)one->i_traj * r->n_chunk + one->first + k;
      b->episode[d] = e;
      memcpy(t->value + (first + k * n_traj) * n_head, r->value + d * STEPS,
             sizeof(float) * (size_t)n_head);
    }
    if (one->is_cut) /* the rollout's last row */
      t->value[(r->n_chunk * n_traj + one->i_traj) * n_head] = one->value_after;
  }
}

/* Each end as a roll of its own, as they come anywhere in a chunk. */
static vk_status bootstrap(tables *t, const vk_rl_batch *b, vk_err *err)
{
  const vk_rollout *r = b->rollout;
  size_t n = (size_t)r->n_episode;
  const vk_roll ends = {.n_chunk = r->n_episode, .n_traj = 1, .n_step = 1};
  uint8_t *flag = calloc(n, 2);
  float *number = calloc(n, 2 * sizeof *number);
  vk_status st = flag && number
                     ? VK_OK
                     : vk_fail(err, VK_E_NOMEM, "no memory for the ends of %zu episodes", n);
  for (size_t e = 0; e < n && st == VK_OK; e++) {
    const vk_rollout_episode *one = &r->episode[e];
    flag[e] = one->success;
    flag[n + e] = !one->success && !one->is_cut;
    number[e] = t->reward[last_item(b, one)];
    number[n + e] = one->value_after;
  }
  if (st == VK_OK)
    vk_adv_bootstrap(&ends, b->config.bootstrap, b->config.gamma, flag, flag + n, number + n,
                     number);
  for (size_t e = 0; e < n && st == VK_OK; e++)
    t->reward[last_item(b, &r->episode[e])] = number[e];
  free(flag);
  free(number);
  return st;
}

static vk_status alloc(vk_rl_batch *b, vk_err *err)
{
  size_t n = (size_t)vk_roll_n_row(&b->roll), n_head = (size_t)vk_roll_n_head(&b->roll);
  b->episode = calloc(n, sizeof *b->episode);
  b->mask = calloc(n, n_head);
  b->action_mask = calloc(n, STEPS);
  b->n_valid = calloc((size_t)b->roll.n_traj, sizeof *b->n_valid);
  b->adv = calloc(n * n_head, sizeof *b->adv);
  b->ret = calloc(n * n_head, sizeof *b->ret);
  b->weight = calloc(n * n_head, sizeof *b->weight);
  b->used = calloc(n, sizeof *b->used);
  if (!b->episode || !b->mask || !b->action_mask || !b->n_valid || !b->adv || !b->ret ||
      !b->weight || !b->used)
    return vk_fail(err, VK_E_NOMEM, "no memory for the advantages of %zu decisions", n);
  return VK_OK;
}

/* Advantages, and returns where there are values. */
static void make_advantages(vk_rl_batch *b, tables *t)
{
  const vk_rl_config *c = &b->config;
  const vk_roll *r = &b->roll;
  if (!c->is_gae) {
    vk_adv_group(r, b->rollout->group, t->score, b->mask, b->adv);
    return;
  }
  vk_adv_gae(r, c->gamma, c->lambda, t->reward, t->done, t->value, b->adv, b->ret);
  vk_adv_moments(r, b->adv, b->mask, 0, r->n_traj, t->moments);
  vk_moments all = vk_moments_join(r->n_traj, t->moments);
  vk_adv_normalise(vk_roll_n_row(r) * vk_roll_n_head(r), &all, VK_NORMALISE_STD, b->adv);
}

static void make_weights(vk_rl_batch *b)
{
  const vk_rl_config *c = &b->config;
  int64_t n_row = vk_roll_n_row(&b->roll), n_head = vk_roll_n_head(&b->roll);
  double t_max = (double)(b->roll.n_chunk * STEPS), n_valid = 0;
  vk_adv_weights(&b->roll, b->mask, c->with_length ? b->n_valid : NULL, t_max, b->weight);
  b->norm = vk_adv_norm(n_row, n_head, TOKENS / c->loss.group, b->weight, c->with_length);
  b->value_norm = vk_adv_norm(n_row, n_head, n_head, b->weight, c->with_length);
  for (int64_t i = 0; i < n_row * STEPS; i++)
    n_valid += b->action_mask[i];
  b->entropy_norm = n_valid;
}

static void choose_rows(vk_rl_batch *b)
{
  const vk_rl_config *c = &b->config;
  int64_t n_row = vk_roll_n_row(&b->roll), n_valid = 0;
  bool actor_alone = !c->is_gae && c->loss.entropy_bonus == 0;
  b->n_used = vk_adv_rows(n_row, vk_roll_n_head(&b->roll), b->weight, actor_alone ? b->adv : NULL,
                          b->used, &b->saved_padded);
  for (int i = 0; i < b->rollout->n_episode; i++)
    n_valid += b->rollout->episode[i].n_decision;
  b->saved = 1 - (double)b->n_used / (double)n_valid;
}

vk_status vk_rl_batch_new(vk_rl_batch *b, const vk_rollout *rollout, const vk_rl_config *config,
                          vk_err *err)
{
  tables t = {0};
  int32_t *unused = calloc((size_t)rollout->n_traj, sizeof *unused);
  *b = (vk_rl_batch){.rollout = rollout,
                     .config = *config,
                     .roll = {.n_chunk = rollout->n_chunk,
                              .n_traj = rollout->n_traj,
                              .n_step = STEPS,
                              .per_chunk = config->per_chunk}};
  vk_roll action = b->roll;
  action.per_chunk = false;
  vk_status st = unused ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for a batch");
  VK_TRY_DONE(st);
  VK_TRY_DONE(vk_rl_config_check(config, err));
  VK_TRY_DONE(alloc(b, err));
  VK_TRY_DONE(alloc_tables(&t, b, err));
  fill_tables(&t, b);
  VK_TRY_DONE(vk_adv_check_groups(rollout->n_traj, rollout->group, t.task, t.start, err));
  vk_adv_valid(&action, t.done, t.begin, b->action_mask, unused);
  vk_adv_valid(&b->roll, t.done, t.begin, b->mask, b->n_valid);
  vk_adv_score(&b->roll, t.reward, t.done, t.score);
  /* by shares of successes: a reward of 0.1, as f32, is more than 0.1 */
  double lo = config->filter_lo, hi = config->filter_hi;
  vk_adv_filter(&action, rollout->group, t.success, lo, hi, b->action_mask, NULL);
  b->n_kept = (int)vk_adv_filter(&b->roll, rollout->group, t.success, lo, hi, b->mask, NULL);
  for (int g = 0; g < rollout->n_group; g++)
    b->n_uniform += is_uniform(t.score + (ptrdiff_t)g * rollout->group, rollout->group);
  if (config->is_gae)
    VK_TRY_DONE(bootstrap(&t, b, err));
  make_advantages(b, &t);
  make_weights(b);
  choose_rows(b);
done:
  free(unused);
  free_tables(&t);
  if (st != VK_OK)
    vk_rl_batch_free(b);
  return st;
}

void vk_rl_batch_free(vk_rl_batch *b)
{
  free(b->episode);
  free(b->mask);
  free(b->action_mask);
  free(b->n_valid);
  free(b->adv);
  free(b->ret);
  free(b->weight);
  free(b->used);
  *b = (vk_rl_batch){0};
}

/* Fisher and Yates. */
void vk_rl_batch_order(const vk_rl_batch *b, uint64_t seed, uint64_t number, int32_t *order)
{
  vk_philox rng;
  vk_philox_init(&rng, seed, number);
  memcpy(order, b->used, sizeof *order * (size_t)b->n_used);
  for (int64_t i = b->n_used - 1; i > 0; i--) {
    int64_t j = (int64_t)(vk_philox_u64(&rng) % (uint64_t)(i + 1));
    int32_t x = order[i];
    order[i] = order[j];
    order[j] = x;
  }
}

/* ---- to and from a net --------------------------------------------------------------------- */

/* Observations and instructions; what several rows say is encoded once. */
static vk_status set_obs(const vk_rl_batch *b, const int32_t *row, int n, vk_net *net, int *n_word,
                         vk_err *err)
{
  const vk_rollout *r = b->rollout;
  const vk_graph *g = &net->plan->graph;
  int n_text = 0;
  vk_nano_obs *obs = calloc((size_t)n, sizeof *obs);
  const char **text = calloc((size_t)n, sizeof *text);
  vk_status st = obs && text ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for a micro-batch");
  for (int i = 0; i < n && st == VK_OK; i++) {
    int64_t d = decision_of(b, row[i]);
    const char *says = r->episode[b->episode[d]].instruction;
    int k = 0;
    while (k < n_text && strcmp(text[k], says) != 0)
      k++;
    if (k == n_text)
      text[n_text++] = says;
    obs[i] = (vk_nano_obs){.proprio = r->has_proprio ? r->proprio + d * VK_VIEW_PROPRIO : NULL,
                           .i_text = k};
    for (int v = 0; v < r->n_view; v++)
      obs[i].image[v] = r->picture + (d * r->n_view + v) * VK_VIEW_BYTES;
  }
  if (st == VK_OK)
    st = vk_nano_set_text(net->exec, g, text, n_text, n_word, err);
  if (st == VK_OK)
    st = vk_nano_set_obs(net->exec, g, obs, n, n_word, n_text, err);
  free(obs);
  free(text);
  return st;
}

static void set_scalar(vk_net *net, const char *name, double x)
{
  *(float *)vk_net_data(net, name) = (float)x;
}

static void scale(float *x, int64_t n, double factor)
{
  for (int64_t i = 0; i < n && factor != 1; i++)
    x[i] = (float)((double)x[i] * factor);
}

/* The first heads of a row have the numbers there are, others weight 0. */
static void set_critic(const vk_rl_batch *b, const int32_t *row, int n, double share, vk_net *net)
{
  int64_t n_head = vk_roll_n_head(&b->roll);
  float *old = vk_net_data(net, "value_old"), *ret = vk_net_data(net, "return");
  float *weight = vk_net_data(net, "value_weight");
  for (int i = 0; i < n; i++) {
    const float *value = b->rollout->value + decision_of(b, row[i]) * STEPS;
    for (int64_t h = 0; h < STEPS; h++) {
      int64_t from = row[i] * n_head + (h < n_head ? h : 0);
      old[i * STEPS + h] = value[h < n_head ? h : 0];
      ret[i * STEPS + h] = (float)b->ret[from];
      weight[i * STEPS + h] = h < n_head ? (float)(share * (double)b->weight[from]) : 0;
    }
  }
}

vk_status vk_rl_batch_set(const vk_rl_batch *b, const int32_t *row, int n, const vk_rl_share *share,
                          double n_part, vk_net *net, int *n_word, vk_err *err)
{
  const vk_rollout *r = b->rollout;
  int64_t n_head = vk_roll_n_head(&b->roll), width = TOKENS / b->config.loss.group;
  VK_TRY(set_obs(b, row, n, net, n_word, err));
  int32_t *action = vk_net_data(net, "action");
  float *old = vk_net_data(net, "logp_old"), *adv = vk_net_data(net, "adv");
  float *weight = vk_net_data(net, "weight"), *spread = vk_net_data(net, "entropy_weight");
  for (int i = 0; i < n; i++) {
    int64_t d = decision_of(b, row[i]);
    memcpy(action + i * TOKENS, r->bin + d * TOKENS, sizeof *action * TOKENS);
    memcpy(old + i * TOKENS, r->log_prob + d * TOKENS, sizeof *old * TOKENS);
    for (int k = 0; k < TOKENS && spread; k++)
      spread[i * TOKENS + k] =
          b->action_mask[row[i] * STEPS + k / DIMS] ? (float)share->entropy_bonus : 0;
  }
  vk_adv_spread(n, row, n_head, width, b->adv, adv);
  vk_adv_spread_f32(n, row, n_head, width, b->weight, weight);
  scale(weight, n * width, share->actor);
  set_scalar(net, "norm", b->norm / n_part);
  if (spread)
    set_scalar(net, "entropy_norm", b->entropy_norm / n_part);
  if (vk_net_data(net, "value_norm")) {
    set_critic(b, row, n, share->critic, net);
    set_scalar(net, "value_norm", b->value_norm / n_part);
  }
  return VK_OK;
}

void vk_rl_batch_sum(const vk_rl_batch *b, const int32_t *row, int n, const vk_net *net,
                     vk_rl_sums *sums)
{
  int64_t width = TOKENS / b->config.loss.group, n_head = vk_roll_n_head(&b->roll);
  const float *logp = vk_net_data(net, "logp"), *entropy = vk_net_data(net, "entropy");
  float weight[TOKENS];
  for (int i = 0; i < n; i++) {
    int64_t d = decision_of(b, row[i]);
    /* weights of the batch, not of the net: they count while the critic warms up, too */
    vk_adv_spread_f32(1, row + i, n_head, width, b->weight, weight);
    vk_policy_sums_add(&sums->policy, &b->config.loss, width, logp + i * TOKENS,
                       b->rollout->log_prob + d * TOKENS,
                       (const float *)vk_net_data(net, "adv") + i * width, weight);
    for (int k = 0; k < TOKENS; k++)
      if (b->action_mask[row[i] * STEPS + k / DIMS]) {
        sums->entropy += (double)entropy[i * TOKENS + k];
        sums->n_token++;
      }
  }
  if (vk_net_data(net, "return"))
    vk_policy_sums_add_value(&sums->policy, (int64_t)n * STEPS, vk_net_data(net, "value"),
                             vk_net_data(net, "return"), vk_net_data(net, "value_weight"));
}

/* Rows of `item` bytes each, picked: NULL without memory. */
static void *pick(const vk_rl_batch *b, const int32_t *row, int n, const void *from, size_t item,
                  bool is_decision)
{
  uint8_t *to = malloc((size_t)n * item);
  for (int i = 0; i < n && to; i++) {
    int64_t at = is_decision ? decision_of(b, row[i]) : row[i];
    memcpy(to + (size_t)i * item, (const uint8_t *)from + (size_t)at * item, item);
  }
  return to;
}

/* What episodes say of rows: their instructions, each once, and where they began. */
typedef struct origin {
  int32_t *text_of, *task, *first_state; /* [n] */
  vk_safetensors_pair *text;             /* [n] */
  char (*key)[24];                       /* [n] */
  int n_text;
} origin;

static vk_status find_origin(origin *o, const vk_rl_batch *b, const int32_t *row, int n,
                             vk_err *err)
{
  size_t n_row = (size_t)n;
  *o = (origin){.text_of = calloc(n_row, sizeof *o->text_of),
                .task = calloc(n_row, sizeof *o->task),
                .first_state = calloc(n_row, sizeof *o->first_state),
                .text = calloc(n_row, sizeof *o->text),
                .key = calloc(n_row, sizeof *o->key)};
  if (!o->text_of || !o->task || !o->first_state || !o->text || !o->key)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d rows", n);
  for (int i = 0; i < n; i++) {
    const vk_rollout_episode *one = &b->rollout->episode[b->episode[decision_of(b, row[i])]];
    int k = 0;
    while (k < o->n_text && strcmp(o->text[k].value, one->instruction) != 0)
      k++;
    if (k == o->n_text) {
      snprintf(o->key[k], sizeof o->key[k], "text.%d", k);
      o->text[o->n_text++] = (vk_safetensors_pair){o->key[k], one->instruction};
    }
    o->text_of[i] = k;
    o->task[i] = (int32_t)one->i_task;
    o->first_state[i] = one->row;
  }
  return VK_OK;
}

static void free_origin(origin *o)
{
  free(o->text_of);
  free(o->task);
  free(o->first_state);
  free(o->text);
  free(o->key);
}

vk_status vk_rl_batch_write(const vk_rl_batch *b, const int32_t *row, int n, double temperature,
                            const char *path, vk_err *err)
{
  enum { IMAGE, PROPRIO, ACTION, LOGP, VALUE, ADV, RETURN, WEIGHT, ACTION_MASK, N_PICK };
  enum { N = N_PICK + 7 };
  const vk_rollout *r = b->rollout;
  int64_t n_head = vk_roll_n_head(&b->roll);
  origin o;
  vk_safetensors_entry e[N] = {
      {"image", VK_SAFETENSORS_U8, 5, {n, r->n_view, VK_VIEW_PX, VK_VIEW_PX, 3}, NULL},
      {"proprio", VK_SAFETENSORS_F32, 2, {n, VK_VIEW_PROPRIO}, NULL},
      {"action", VK_SAFETENSORS_I32, 3, {n, STEPS, DIMS}, NULL},
      {"logp_old", VK_SAFETENSORS_F32, 3, {n, STEPS, DIMS}, NULL},
      {"value_old", VK_SAFETENSORS_F32, 2, {n, STEPS}, NULL},
      {"adv", VK_SAFETENSORS_F64, 2, {n, n_head}, NULL},
      {"return", VK_SAFETENSORS_F64, 2, {n, n_head}, NULL},
      {"weight", VK_SAFETENSORS_F32, 2, {n, n_head}, NULL},
      {"action_mask", VK_SAFETENSORS_U8, 2, {n, STEPS}, NULL},
  };
  const struct {
    const void *data;
    size_t item;
  } from[N_PICK] = {{r->picture, (size_t)r->n_view * VK_VIEW_BYTES},
                    {r->proprio, VK_VIEW_PROPRIO * sizeof(float)},
                    {r->bin, TOKENS * sizeof(int32_t)},
                    {r->log_prob, TOKENS * sizeof(float)},
                    {r->value, STEPS * sizeof(float)},
                    {b->adv, (size_t)n_head * sizeof(double)},
                    {b->ret, (size_t)n_head * sizeof(double)},
                    {b->weight, (size_t)n_head * sizeof(float)},
                    {b->action_mask, STEPS}};
  vk_status st = find_origin(&o, b, row, n, err);
  for (int i = 0; i < N_PICK && st == VK_OK; i++)
    if (!(e[i].data = pick(b, row, n, from[i].data, from[i].item, i < ADV)))
      st = vk_fail(err, VK_E_NOMEM, "no memory for %d rows", n);
  int at = N_PICK;
  e[at++] = (vk_safetensors_entry){"text_of", VK_SAFETENSORS_I32, 1, {n}, o.text_of};
  e[at++] = (vk_safetensors_entry){"task", VK_SAFETENSORS_I32, 1, {n}, o.task};
  e[at++] = (vk_safetensors_entry){"first_state", VK_SAFETENSORS_I32, 1, {n}, o.first_state};
  e[at++] = (vk_safetensors_entry){"norm", VK_SAFETENSORS_F64, 1, {1}, &b->norm};
  e[at++] = (vk_safetensors_entry){"value_norm", VK_SAFETENSORS_F64, 1, {1}, &b->value_norm};
  e[at++] = (vk_safetensors_entry){"entropy_norm", VK_SAFETENSORS_F64, 1, {1}, &b->entropy_norm};
  e[at++] = (vk_safetensors_entry){"temperature", VK_SAFETENSORS_F64, 1, {1}, &temperature};
  VK_ASSERT(at == N);
  vk_safetensors_entry sorted[N]; /* the widest first: each begins where its numbers may */
  at = 0;
  for (size_t size = 8; size > 0; size /= 2)
    for (int i = 0; i < N; i++)
      if (vk_safetensors_dtype_size(e[i].dtype) == size)
        sorted[at++] = e[i];
  VK_ASSERT(at == N);
  if (st == VK_OK)
    st = vk_safetensors_write(path, sorted, N, o.text, o.n_text, err);
  for (int i = 0; i < N_PICK; i++)
    free((void *)e[i].data);
  free_origin(&o);
  return st;
}
