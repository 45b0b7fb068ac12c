/* rl_advantage.c - masks, bootstrapped rewards, advantages. */
#include <math.h>

#include "rl.h"

/* Rollout of an array [n, B, C]. */
static vk_roll roll_of(const rl_file *f, const char *name)
{
  return (vk_roll){.n_chunk = rl_dim(f, name, 0),
                   .n_traj = rl_dim(f, name, 1),
                   .n_step = rl_dim(f, name, 2),
                   .per_chunk = rl_is(f, "reward_type", "chunk_level")};
}

static int64_t n_all(const vk_roll *r)
{
  return vk_roll_n_row(r) * vk_roll_n_head(r);
}

/* n_i repeated for every step. */
static vk_status compare_n_valid(rl_file *f, const char *name, const vk_roll *r,
                                 const int32_t *n_valid, vk_err *err)
{
  int64_t *repeated, n_head = vk_roll_n_head(r);
  RL_NEW(f, repeated, n_all(r), err);
  for (int64_t i = 0; i < n_all(r); i++)
    repeated[i] = n_valid[i / n_head % r->n_traj];
  rl_compare_i64(f, name, repeated, n_all(r));
  return VK_OK;
}

/* Sums of all rewards, also after the first episode: what the published filter sees without a mask
 * of valid steps. */
static void sum_all(const vk_roll *r, const float *reward, double *sum)
{
  int64_t per_row = r->n_traj * r->n_step;
  memset(sum, 0, (size_t)r->n_traj * sizeof *sum);
  for (int64_t i = 0; i < r->n_chunk * per_row; i++)
    sum[i % per_row / r->n_step] += (double)reward[i];
}

/* Mask of valid steps and filter, as the file's options say. *mask NULL: neither. */
static vk_status make_mask(rl_file *f, const vk_roll *r, const float *reward, const uint8_t *done,
                           uint8_t **mask, vk_err *err)
{
  bool is_valid = !rl_flag(f, "auto_reset") && !rl_flag(f, "ignore_terminations");
  bool is_filter = rl_flag(f, "filter_rewards");
  int32_t *n_valid;
  double *score;
  *mask = NULL;
  if (!is_valid && !is_filter)
    return VK_OK;
  RL_NEW(f, *mask, n_all(r), err);
  RL_NEW(f, n_valid, r->n_traj, err);
  RL_NEW(f, score, r->n_traj, err);
  memset(*mask, 1, (size_t)n_all(r));
  if (is_valid) {
    vk_adv_valid(r, done, NULL, *mask, n_valid);
    rl_compare_u8(f, "loss_mask_unfiltered", *mask, n_all(r));
    VK_TRY(compare_n_valid(f, "loss_mask_sum", r, n_valid, err));
    vk_adv_score(r, reward, done, score);
  } else {
    sum_all(r, reward, score);
  }
  if (is_filter)
    vk_adv_filter(r, (int64_t)rl_num(f, "group_size", 1), score,
                  rl_num(f, "rewards_lower_bound", -INFINITY),
                  rl_num(f, "rewards_upper_bound", INFINITY), *mask, NULL);
  rl_compare_u8(f, "loss_mask", *mask, n_all(r));
  return VK_OK;
}

static vk_bootstrap kind_of(const rl_file *f)
{
  return rl_is(f, "bootstrap_type", "always") ? VK_BOOTSTRAP_ALWAYS : VK_BOOTSTRAP_STANDARD;
}

vk_status rl_bootstrap(rl_file *f, vk_err *err)
{
  vk_roll r = {.n_chunk = 1, .n_traj = rl_dim(f, "rewards", 0), .n_step = rl_dim(f, "rewards", 1)};
  int64_t n = r.n_traj * r.n_step;
  const float *reward, *value, *model;
  const uint8_t *term, *trunc, *done;
  float *got;
  VK_TRY(rl_f32(f, "rewards", n, &reward, err));
  VK_TRY(rl_flags(f, "terminations", n, &term, err));
  VK_TRY(rl_flags(f, "truncations", n, &trunc, err));
  VK_TRY(rl_flags(f, "dones", n, &done, err));
  RL_NEW(f, got, n, err);
  memcpy(got, reward, (size_t)n * sizeof *got);
  if (rl_has(f, "reward_model_output")) {
    VK_TRY(rl_f32(f, "reward_model_output", n, &model, err));
    double a = rl_num(f, "env_reward_weight", 1), b = rl_num(f, "reward_weight", 0);
    for (int64_t i = 0; i < n; i++)
      got[i] = (float)(a * (double)reward[i] + b * (double)model[i]);
  }
  if (rl_has(f, "bootstrap_values"))
    VK_TRY(rl_f32(f, "bootstrap_values", r.n_traj, &value, err));
  if (rl_has(f, "bootstrap_values") && rl_flag(f, "auto_reset"))
    vk_adv_bootstrap(&r, kind_of(f), rl_num(f, "gamma", 1),
                     kind_of(f) == VK_BOOTSTRAP_ALWAYS ? done : term, trunc, value, got);
  rl_compare_f32(f, "rewards_adjusted", got, n, 1e-6);
  return VK_OK;
}

vk_status rl_lossmask(rl_file *f, vk_err *err)
{
  static const char *const names[2][3] = {
      {"loss_mask", "loss_mask_sum", "loss_mask_ratio"},
      {"loss_mask_chunk", "loss_mask_sum_chunk", "loss_mask_ratio_chunk"}};
  vk_roll r = roll_of(f, "dones");
  const uint8_t *done;
  double t_max = rl_num(f, "max_episode_steps", 1);
  VK_TRY(rl_flags(f, "dones", rl_n_item(f, "dones"), &done, err));
  r.n_chunk--;
  for (int i = 0; i < 2; i++) {
    uint8_t *mask;
    int32_t *n_valid;
    float *weight;
    double *ratio;
    r.per_chunk = i == 1;
    RL_NEW(f, mask, n_all(&r), err);
    RL_NEW(f, n_valid, r.n_traj, err);
    RL_NEW(f, weight, n_all(&r), err);
    RL_NEW(f, ratio, n_all(&r), err);
    vk_adv_valid(&r, done, NULL, mask, n_valid);
    vk_adv_weights(&r, mask, n_valid, t_max, weight);
    rl_compare_u8(f, names[i][0], mask, n_all(&r));
    VK_TRY(compare_n_valid(f, names[i][1], &r, n_valid, err));
    /* the loss multiplies by the weight where the reference divides by the ratio */
    for (int64_t k = 0; k < n_all(&r); k++)
      ratio[k] =
          mask[k] ? 1 / (double)weight[k] : n_valid[k / vk_roll_n_head(&r) % r.n_traj] / t_max;
    rl_compare(f, names[i][2], ratio, n_all(&r), 1e-7);
  }
  return VK_OK;
}

/* Advantages of a normalisation of x, moments from what is masked in; worked on in place. */
static vk_status normalise(rl_file *f, const vk_roll *r, const uint8_t *mask, vk_normalise how,
                           double *x, vk_err *err)
{
  vk_moments *part;
  RL_NEW(f, part, r->n_traj, err);
  vk_adv_moments(r, x, mask, 0, r->n_traj, part);
  vk_moments all = vk_moments_join(r->n_traj, part);
  vk_adv_normalise(n_all(r), &all, how, x);
  return VK_OK;
}

static vk_status compare_normalised(rl_file *f, const vk_roll *r, const uint8_t *mask,
                                    const double *raw, vk_err *err)
{
  int64_t n = n_all(r);
  double *x;
  RL_NEW(f, x, n, err);
  memcpy(x, raw, (size_t)n * sizeof *x);
  VK_TRY(normalise(f, r, mask, VK_NORMALISE_VAR, x, err));
  rl_compare(f, "advantages_streaming", x, n, 2e-5);
  memcpy(x, raw, (size_t)n * sizeof *x);
  VK_TRY(normalise(f, r, mask, VK_NORMALISE_STD, x, err));
  rl_compare(f, "advantages", x, n, 2e-5);
  for (int64_t i = 0; i < n && mask; i++)
    x[i] = mask[i] ? x[i] : 0;
  VK_TRY(normalise(f, r, mask, VK_NORMALISE_STD_BIASED, x, err));
  rl_compare(f, "advantages_async", x, n, 2e-5);
  return VK_OK;
}

vk_status rl_gae(rl_file *f, vk_err *err)
{
  vk_roll r = roll_of(f, "rewards");
  int64_t n_in = vk_roll_n_row(&r) * r.n_step, row = r.n_traj * r.n_step, n = n_all(&r);
  const float *reward, *value, *last;
  const uint8_t *term, *trunc, *done;
  uint8_t *mask;
  float *adjusted;
  double *adv, *ret;
  VK_TRY(rl_f32(f, "rewards", n_in, &reward, err));
  VK_TRY(rl_flags(f, "terminations", n_in + row, &term, err));
  VK_TRY(rl_flags(f, "truncations", n_in + row, &trunc, err));
  VK_TRY(rl_flags(f, "dones", n_in + row, &done, err));
  VK_TRY(rl_f32(f, "values", n + r.n_traj * vk_roll_n_head(&r), &value, err));
  RL_NEW(f, adjusted, n_in, err);
  RL_NEW(f, adv, n, err);
  RL_NEW(f, ret, n, err);
  memcpy(adjusted, reward, (size_t)n_in * sizeof *adjusted);
  if (rl_has(f, "bootstrap_values"))
    VK_TRY(rl_f32(f, "bootstrap_values", vk_roll_n_row(&r), &last, err));
  if (rl_has(f, "bootstrap_values") && rl_flag(f, "auto_reset"))
    vk_adv_bootstrap(&r, kind_of(f), rl_num(f, "gamma", 1), term + row, trunc + row, last,
                     adjusted);
  rl_compare_f32(f, "rewards_adjusted", adjusted, n_in, 1e-6);
  /* what follows must not see roundings of what came before */
  if (rl_has(f, "rewards_adjusted"))
    VK_TRY(rl_f32(f, "rewards_adjusted", n_in, &reward, err));
  VK_TRY(make_mask(f, &r, reward, done, &mask, err));
  vk_adv_gae(&r, rl_num(f, "gamma", 1), rl_num(f, "gae_lambda", 1), reward, done, value, adv, ret);
  rl_compare(f, "advantages_raw", adv, n, 5e-6);
  rl_compare(f, "returns", ret, n, 5e-6);
  rl_compare(f, "advantages_raw_f64", adv, n, 1e-13);
  rl_compare(f, "returns_f64", ret, n, 1e-13);
  if (rl_has(f, "advantages_raw")) {
    VK_TRY(rl_f32(f, "advantages_raw", n, &value, err));
    for (int64_t i = 0; i < n; i++)
      adv[i] = (double)value[i];
  }
  return compare_normalised(f, &r, mask, adv, err);
}

/* What the loss sees: advantages and mask at the granularity of its log-probabilities. */
static vk_status compare_broadcast(rl_file *f, const vk_roll *r, const double *adv,
                                   const uint8_t *mask, vk_err *err)
{
  int64_t n_dim = (int64_t)rl_num(f, "action_dim", 1), n_row = vk_roll_n_row(r);
  int64_t n_head = vk_roll_n_head(r), width = rl_is(f, "logprob_type", "token_level")
                                                  ? r->n_step * n_dim
                                              : rl_is(f, "logprob_type", "action_level") ? r->n_step
                                                                                         : 1;
  float *weight, *wide;
  if (width % n_head)
    return vk_fail(err, VK_E_UNSUPPORTED,
                   "log-probabilities are coarser than rewards: no loss is defined");
  RL_NEW(f, wide, n_row * width, err);
  RL_NEW(f, weight, n_row * n_head, err);
  vk_adv_spread(n_row, NULL, n_head, width, adv, wide);
  rl_compare_f32(f, "loss_advantages", wide, n_row * width, 5e-6);
  vk_adv_weights(r, mask, NULL, 1, weight);
  vk_adv_spread_f32(n_row, NULL, n_head, width, weight, wide);
  rl_compare_f32(f, "loss_mask_broadcast", wide, n_row * width, 0);
  return VK_OK;
}

vk_status rl_grpo(rl_file *f, vk_err *err)
{
  vk_roll r = roll_of(f, "rewards");
  int64_t n_epoch = (int64_t)rl_num(f, "rollout_epoch", 1), group;
  int64_t n_reward = rl_n_item(f, "rewards"), n_done = rl_n_item(f, "dones");
  const float *reward;
  const uint8_t *done;
  float *reward_folded;
  uint8_t *done_folded, *mask;
  double *score, *adv;
  if (n_epoch < 1 || r.n_chunk % n_epoch || r.n_step < 1)
    return vk_fail(err, VK_E_SHAPE, "rewards are no whole rollout epochs");
  VK_TRY(rl_f32(f, "rewards", n_reward, &reward, err));
  r.n_chunk /= n_epoch;
  VK_TRY(rl_flags(f, "dones", n_epoch * (r.n_chunk + 1) * r.n_traj * r.n_step, &done, err));
  RL_NEW(f, reward_folded, n_reward, err);
  RL_NEW(f, done_folded, n_done, err);
  vk_adv_fold(n_epoch, r.n_chunk, r.n_traj, (size_t)r.n_step * sizeof *reward, reward,
              reward_folded);
  vk_adv_fold(n_epoch, r.n_chunk + 1, r.n_traj, (size_t)r.n_step, done, done_folded);
  rl_compare_f32(f, "rewards_folded", reward_folded, n_reward, 0);
  rl_compare_u8(f, "dones_folded", done_folded, n_done);
  r.n_traj *= n_epoch;
  group = (int64_t)rl_num(f, "group_size", 1);
  if (group < 1 || r.n_traj % group)
    return vk_fail(err, VK_E_SHAPE, "groups do not divide the trajectories");
  VK_TRY(make_mask(f, &r, reward_folded, done_folded, &mask, err));
  RL_NEW(f, score, r.n_traj, err);
  RL_NEW(f, adv, n_all(&r), err);
  vk_adv_score(&r, reward_folded, done_folded, score);
  rl_compare(f, "scores", score, r.n_traj, 2e-6);
  vk_adv_group(&r, group, score, mask, adv);
  rl_compare(f, "advantages", adv, n_all(&r), 5e-6);
  return compare_broadcast(f, &r, adv, mask, err);
}
