/* rl_loss.c - policy losses, their gradients and metrics, by the nodes of rl/loss.h; and
 * what lies before them: log-probabilities, entropies and draws from logits. */
#include <math.h>

#include "rl.h"
#include "rl/loss.h"

/* ---- losses --------------------------------------------------------------------------------- */

/* A file of kind loss. */
typedef struct sample {
  int64_t n_row, n_token, n_head, width; /* tokens, advantages and items of the loss a row */
  bool is_decoupled, has_mask, has_length, is_warm_up;
  double most, n_part, n_mask; /* behave_weight_threshold, gradient_accumulation, sum of mask */
  vk_policy_loss loss;
  const float *logp, *old, *adv, *value, *value_old, *returns, *entropy;
  float *mask_item, *mask_value, *mask_token;          /* 0 or 1, an item each of what they weigh */
  float *weight, *weight_value, *reference, *wide_adv; /* reference: what ratios are to */
  float norm, norm_value, norm_entropy;
  int64_t n_far;
} sample;

static vk_status read_sizes(rl_file *f, sample *s, vk_err *err)
{
  int64_t n_dim = (int64_t)rl_num(f, "action_dim", 1);
  s->n_row = rl_dim(f, "logprobs", 0);
  s->n_token = s->n_row ? rl_n_item(f, "logprobs") / s->n_row : 0;
  s->n_head = s->n_row ? rl_n_item(f, "advantages") / s->n_row : 0;
  bool is_token = rl_is(f, "logprob_type", "token_level");
  int64_t group = is_token ? 1 : rl_is(f, "logprob_type", "action_level") ? n_dim : s->n_token;
  if (group < 1 || s->n_token % group || s->n_head < 1 || s->n_token / group % s->n_head)
    return vk_fail(err, VK_E_UNSUPPORTED, "%lld tokens, %lld advantages a row: no loss is defined",
                   (long long)s->n_token, (long long)s->n_head);
  s->width = s->n_token / group;
  s->is_decoupled =
      rl_is(f, "loss_type", "decoupled_actor_critic") || rl_is(f, "loss_type", "decoupled_actor");
  s->is_warm_up = rl_flag(f, "critic_warmup");
  s->most = rl_num(f, "behave_weight_threshold", 0);
  s->n_part = rl_num(f, "gradient_accumulation", 1);
  s->loss = (vk_policy_loss){.group = group,
                             .clip_lo = rl_num(f, "clip_ratio_low", 0.2),
                             .clip_hi = rl_num(f, "clip_ratio_high", 0.2),
                             .dual = rl_num(f, "clip_ratio_c", 0),
                             .log_lo = fmax(rl_num(f, "clip_log_ratio_min", -1e30), -1e30),
                             .log_hi = fmin(rl_num(f, "clip_log_ratio_max", 1e30), 1e30),
                             .huber_delta = rl_num(f, "huber_delta", 10),
                             .value_clip = rl_num(f, "value_clip", 0.2),
                             .entropy_bonus = rl_num(f, "entropy_bonus", 0)};
  return VK_OK;
}

/* An array a row item wide, spread to `width`; ones when the file has none. */
static vk_status spread(rl_file *f, const char *name, int64_t n_row, int64_t width, double t_max,
                        float **out, vk_err *err)
{
  float *x;
  int64_t n = rl_n_item(f, name), n_head = n / n_row;
  RL_NEW(f, *out, n_row * width, err);
  for (int64_t i = 0; i < n_row * width; i++)
    (*out)[i] = 1;
  if (!rl_has(f, name))
    return VK_OK;
  if (n_head < 1 || width % n_head)
    return vk_fail(err, VK_E_SHAPE, "array '%s' has %lld items a row, for %lld", name,
                   (long long)n_head, (long long)width);
  RL_NEW(f, x, n, err);
  const uint8_t *mask;
  const int64_t *count;
  if (t_max > 0) {
    VK_TRY(rl_i64(f, name, n, &count, err));
    for (int64_t i = 0; i < n; i++)
      x[i] = count[i] > 0 ? (float)(t_max / (double)count[i]) : 0;
  } else {
    VK_TRY(rl_flags(f, name, n, &mask, err));
    for (int64_t i = 0; i < n; i++)
      x[i] = mask[i];
  }
  vk_adv_spread_f32(n_row, NULL, n_head, width, x, *out);
  return VK_OK;
}

static vk_status read_arrays(rl_file *f, sample *s, vk_err *err)
{
  int64_t n_token = s->n_row * s->n_token, n_value = s->n_row * s->n_head;
  VK_TRY(rl_f32(f, "logprobs", n_token, &s->logp, err));
  VK_TRY(rl_f32(f, "old_logprobs", n_token, &s->old, err));
  VK_TRY(rl_f32(f, "advantages", n_value, &s->adv, err));
  if (rl_has(f, "values")) {
    n_value = rl_n_item(f, "values");
    VK_TRY(rl_f32(f, "values", n_value, &s->value, err));
    VK_TRY(rl_f32(f, "prev_values", n_value, &s->value_old, err));
    VK_TRY(rl_f32(f, "returns", n_value, &s->returns, err));
  }
  if (rl_has(f, "entropy"))
    VK_TRY(rl_f32(f, "entropy", n_token, &s->entropy, err));
  s->has_mask = rl_has(f, "loss_mask");
  s->has_length = s->has_mask && rl_has(f, "loss_mask_sum");
  if (s->has_mask) {
    const uint8_t *mask;
    int64_t n = rl_n_item(f, "loss_mask");
    VK_TRY(rl_flags(f, "loss_mask", n, &mask, err));
    for (int64_t i = 0; i < n; i++)
      s->n_mask += mask[i];
  }
  VK_TRY(spread(f, "loss_mask", s->n_row, s->width, 0, &s->mask_item, err));
  VK_TRY(spread(f, "loss_mask", s->n_row, s->n_head, 0, &s->mask_value, err));
  VK_TRY(spread(f, "loss_mask", s->n_row, s->n_token, 0, &s->mask_token, err));
  RL_NEW(f, s->wide_adv, s->n_row * s->width, err);
  vk_adv_spread_f32(s->n_row, NULL, s->n_head, s->width, s->adv, s->wide_adv);
  return VK_OK;
}

/* mask T_max / n_i, or the mask alone. */
static vk_status weigh(rl_file *f, sample *s, int64_t width, const float *mask, float **weight,
                       vk_err *err)
{
  VK_TRY(spread(f, s->has_length ? "loss_mask_sum" : "", s->n_row, width,
                rl_num(f, "max_episode_steps", 1), weight, err));
  for (int64_t i = 0; i < s->n_row * width; i++)
    (*weight)[i] *= mask[i];
  return VK_OK;
}

/* What the sum of the tokens' entropies is divided by, and their weights where those are not the
 * mask: entropies of chunks [N] meet a mask [N, 1] as all pairs. */
static double entropy_norm(const rl_file *f, sample *s)
{
  double n_token = (double)(s->n_row * s->n_token);
  bool is_chunk = rl_is(f, "entropy_type", "chunk_level");
  if (!s->has_mask)
    return is_chunk                                  ? (double)s->n_row
           : rl_is(f, "entropy_type", "token_level") ? n_token
                                                     : n_token / rl_num(f, "action_dim", 1);
  if (!is_chunk)
    return s->n_mask;
  for (int64_t i = 0; i < s->n_row * s->n_token; i++)
    s->mask_token[i] = s->n_mask > 0;
  return 1;
}

/* Weights and norms as the file's loss has them. Where the published mean divides by the number of
 * masked-in entries before they are broadcast, so does this; vk_adv_norm would not. */
static vk_status make_weights(rl_file *f, sample *s, vk_err *err)
{
  int64_t n_item = s->n_row * s->width, n_token = s->n_row * s->n_token;
  VK_TRY(weigh(f, s, s->width, s->mask_item, &s->weight, err));
  VK_TRY(weigh(f, s, s->n_head, s->mask_value, &s->weight_value, err));
  double norm = s->has_mask && !s->has_length ? s->n_mask : (double)n_item;
  double norm_value = s->has_mask && !s->has_length ? s->n_mask : (double)(s->n_row * s->n_head);
  RL_NEW(f, s->reference, n_token, err);
  memcpy(s->reference, s->old, (size_t)n_token * sizeof *s->old);
  if (s->is_decoupled) {
    const float *p;
    if (rl_has(f, "proximal_logprobs")) {
      VK_TRY(rl_f32(f, "proximal_logprobs", n_token, &p, err));
      memcpy(s->reference, p, (size_t)n_token * sizeof *p);
    } else if (rl_has(f, "versions")) {
      float *version; /* a group has that of its first token */
      VK_TRY(rl_f32(f, "versions", n_token, &p, err));
      RL_NEW(f, version, n_token, err);
      for (int64_t i = 0; i < n_token; i++)
        version[i] = p[i - i % s->loss.group];
      vk_policy_proximal(n_token, s->logp, s->old, version, rl_num(f, "current_version", 0),
                         s->reference);
    }
    s->n_far = vk_policy_behaviour(n_item, s->loss.group, s->reference, s->old, s->most, s->weight);
    if (!s->has_length && (s->most > 0 || !s->has_mask)) {
      norm = 0;
      for (int64_t i = 0; i < n_item; i++)
        norm += s->weight[i] != 0;
    }
  }
  s->norm = (float)(norm * s->n_part);
  s->norm_value = (float)(norm_value * s->n_part);
  s->norm_entropy = (float)(entropy_norm(f, s) * s->n_part);
  return VK_OK;
}

static vk_status build(rl_file *f, const sample *s, rl_run *r, vk_err *err)
{
  vk_graph g;
  int row = (int)s->n_row, token = (int)s->n_token, width = (int)s->width, head = (int)s->n_head;
  vk_graph_init(&g, "loss");
#define INPUT(name, n) vk_graph_input(&g, name, VK_F32, vk_shape_of(2, row, n), VK_NO_EXTENT)
#define NORM(name)     vk_graph_input(&g, name, VK_F32, vk_shape_of(1, 1), VK_NO_EXTENT)
  vk_policy_loss_in in = {.logp = vk_graph_param(&g, "logprobs", vk_shape_of(2, row, token)),
                          .logp_old = INPUT("old", token),
                          .adv = INPUT("adv", width),
                          .weight = INPUT("weight", width),
                          .norm = NORM("norm"),
                          .value = VK_NONE,
                          .entropy = VK_NONE};
  if (s->value) {
    in.value = vk_graph_param(&g, "values", vk_shape_of(2, row, head));
    in.value_old = INPUT("value_old", head);
    in.returns = INPUT("returns", head);
    in.value_weight = INPUT("value_weight", head);
    in.value_norm = NORM("value_norm");
  }
  if (s->entropy) {
    in.entropy = vk_graph_param(&g, "entropy", vk_shape_of(2, row, token));
    in.entropy_weight = INPUT("entropy_weight", token);
    in.entropy_norm = NORM("entropy_norm");
  }
  vk_policy_loss_out out = vk_policy_loss_build(&g, &s->loss, &in);
  vk_graph_output(&g, "total", out.total);
  vk_graph_output(&g, "actor", out.actor);
  if (s->value)
    vk_graph_output(&g, "critic", out.critic);
  if (s->entropy)
    vk_graph_output(&g, "mean_entropy", out.entropy);
  return rl_run_open(f, r, &g, "total", err);
}

/* While the critic warms up, the actor and the entropy weigh nothing. */
static void set_weights(const sample *s, const rl_run *r)
{
  int64_t n_token = s->n_row * s->n_token, n_item = s->n_row * s->width;
  rl_run_set(r, "weight", s->weight, n_item, sizeof(float));
  if (s->entropy)
    rl_run_set(r, "entropy_weight", s->mask_token, n_token, sizeof(float));
  if (!s->is_warm_up)
    return;
  memset(rl_run_data(r, "weight"), 0, (size_t)n_item * sizeof(float));
  if (s->entropy)
    memset(rl_run_data(r, "entropy_weight"), 0, (size_t)n_token * sizeof(float));
}

static void set_all(const sample *s, const rl_run *r)
{
  int64_t n_token = s->n_row * s->n_token, n_item = s->n_row * s->width;
  int64_t n_value = s->n_row * s->n_head;
  size_t size = sizeof(float);
  rl_run_set(r, "logprobs", s->logp, n_token, size);
  rl_run_set(r, "old", s->reference, n_token, size);
  rl_run_set(r, "adv", s->wide_adv, n_item, size);
  rl_run_set(r, "norm", &s->norm, 1, size);
  if (s->value) {
    rl_run_set(r, "values", s->value, n_value, size);
    rl_run_set(r, "value_old", s->value_old, n_value, size);
    rl_run_set(r, "returns", s->returns, n_value, size);
    rl_run_set(r, "value_weight", s->weight_value, n_value, size);
    rl_run_set(r, "value_norm", &s->norm_value, 1, size);
  }
  if (s->entropy) {
    rl_run_set(r, "entropy", s->entropy, n_token, size);
    rl_run_set(r, "entropy_norm", &s->norm_entropy, 1, size);
  }
  set_weights(s, r);
}

static void compare_one(rl_file *f, const char *name, double got, double bound)
{
  rl_compare(f, name, &got, 1, bound);
}

static float output(const rl_run *r, const char *name)
{
  const float *x = rl_run_data(r, name);
  return x ? *x : 0;
}

static void compare_run(rl_file *f, const sample *s, const rl_run *r, double bound)
{
  int64_t n_token = s->n_row * s->n_token;
  compare_one(f, "total_loss", (double)output(r, "total"), 2e-6);
  compare_one(f, "metric_actor_total_loss", (double)output(r, "total"), bound);
  compare_one(f, "metric_actor_policy_loss", (double)output(r, "actor") * s->n_part, bound);
  compare_one(f, "metric_actor_entropy_loss", (double)output(r, "mean_entropy") * s->n_part, bound);
  compare_one(f, "metric_critic_value_loss", (double)output(r, "critic") * s->n_part, bound);
  rl_compare_f32(f, "grad_logprobs", rl_run_data(r, "grad.logprobs"), n_token, bound);
  if (s->value)
    rl_compare_f32(f, "grad_values", rl_run_data(r, "grad.values"), s->n_row * s->n_head, bound);
  if (s->entropy)
    rl_compare_f32(f, "grad_entropy", rl_run_data(r, "grad.entropy"), n_token, bound);
}

/* Metrics: ours are means over what counts; the published ones of shares and of logarithms divide
 * by the mask's entries before they are broadcast, those of ratios when broadcast to tokens. */
static void compare_metrics(rl_file *f, const sample *s, double bound)
{
  int64_t n_item = s->n_row * s->width;
  vk_policy_sums a = {0};
  double n_entry = s->has_mask ? s->n_mask : (double)n_item;
  vk_policy_sums_add(&a, &s->loss, n_item, s->logp, s->reference, s->wide_adv,
                     s->is_decoupled ? s->mask_item : s->weight);
  vk_policy_metrics m = vk_policy_metrics_of(&a);
  double times = n_entry > 0 ? a.n / n_entry : 0;
  double times_mean = s->loss.group == 1 && rl_num(f, "action_dim", 1) > 1 ? 1 : times;
  compare_one(f, "metric_actor_policy_loss_abs", a.loss_size / (double)s->norm * s->n_part, bound);
  compare_one(f, "metric_actor_ratio", m.ratio * times_mean, bound);
  compare_one(f, "metric_actor_ratio_abs", m.ratio_away * times_mean, bound);
  compare_one(f, "metric_actor_clipped_ratio", m.ratio_clipped * times_mean, bound);
  compare_one(f, "metric_actor_dual_cliped_ratio", m.ratio_dual * times_mean, bound);
  compare_one(f, "metric_actor_approx_kl", m.kl_simple * times, bound);
  compare_one(f, "metric_actor_clip_fraction", m.clip_fraction * times, bound);
  compare_one(f, "metric_actor_proximal_ratio", m.ratio * times, bound);
  compare_one(f, "metric_actor_clipped_proximal_ratio", m.ratio_clipped * times, bound);
  compare_one(f, "metric_actor_dual_clip_fraction", m.dual_fraction * times, bound);
  compare_one(f, "metric_actor_proximal_approx_kl", m.kl_simple * times, bound);
  if (s->is_decoupled) {
    vk_policy_sums b = {0};
    vk_policy_sums_add(&b, &s->loss, n_item, s->reference, s->old, s->wide_adv, s->weight);
    compare_one(f, "metric_actor_behav_approx_kl",
                vk_policy_metrics_of(&b).kl_simple * (s->most > 0 ? 1 : times), bound);
    compare_one(f, "metric_actor_behav_clip_fraction",
                s->most > 0 ? 1 - fmax(a.n - (double)s->n_far, 1) / fmax(n_entry, 1) : 0, bound);
  }
  if (!s->value)
    return;
  vk_policy_sums_add_value(&a, s->n_row * s->n_head, s->value, s->returns, s->mask_value);
  compare_one(f, "metric_sum____critic_explained_variance_count", a.n_value, bound);
  compare_one(f, "metric_sum____critic_explained_variance_returns_sum", a.returns, bound);
  compare_one(f, "metric_sum____critic_explained_variance_returns_sq_sum", a.returns2, bound);
  compare_one(f, "metric_sum____critic_explained_variance_errors_sum", a.error, bound);
  compare_one(f, "metric_sum____critic_explained_variance_errors_sq_sum", a.error2, bound);
}

vk_status rl_loss(rl_file *f, vk_err *err)
{
  sample s = {0};
  rl_run r;
  VK_TRY(read_sizes(f, &s, err));
  VK_TRY(read_arrays(f, &s, err));
  VK_TRY(make_weights(f, &s, err));
  VK_TRY(build(f, &s, &r, err));
  set_all(&s, &r);
  VK_ASSERT(vk_exec_prepare(r.exec, NULL) == VK_OK);
  VK_ASSERT(vk_exec_run(r.exec, NULL) == VK_OK);
  double bound = rl_is(f, "logprob_type", "chunk_level") ? 3e-5 : 5e-6;
  compare_run(f, &s, &r, bound);
  compare_metrics(f, &s, bound);
  rl_run_close(&r);
  f->note = s.value ? "value_clip_ratio is rounding noise" : NULL;
  return VK_OK;
}
