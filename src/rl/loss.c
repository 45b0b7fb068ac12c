#include "rl/loss.h"

#include <math.h>

#include "nn/op.h"

vk_policy_loss vk_policy_loss_default(void)
{
  return (vk_policy_loss){
      .group = 1, .clip_lo = 0.2, .clip_hi = 0.28, .huber_delta = 10, .value_clip = 0.2};
}

static vk_id grouped(vk_graph *g, vk_id x, int64_t group)
{
  return group == 1 ? x : VK_APPLY(g, sum_groups, VK_IN(x), .group = group);
}

static vk_id plus(vk_graph *g, vk_id a, vk_id b, double scale)
{
  if (a == VK_NONE)
    return scale == 1 ? b : VK_APPLY(g, affine, VK_IN(b), .scale = scale);
  return VK_APPLY(g, add, VK_IN(a, b), .scale = scale);
}

vk_policy_loss_out vk_policy_loss_build(vk_graph *g, const vk_policy_loss *loss,
                                        const vk_policy_loss_in *in)
{
  vk_policy_loss_out out = {VK_NONE, VK_NONE, VK_NONE, VK_NONE};
  if (in->logp != VK_NONE) {
    vk_id logp = grouped(g, in->logp, loss->group), old = grouped(g, in->logp_old, loss->group);
    out.actor = VK_APPLY(g, ppo_loss, VK_IN(logp, old, in->adv, in->weight, in->norm),
                         .lo = loss->clip_lo, .hi = loss->clip_hi, .dual = loss->dual,
                         .log_lo = loss->log_lo, .log_hi = loss->log_hi);
    out.total = out.actor;
  }
  if (in->value != VK_NONE) {
    out.critic = VK_APPLY(
        g, huber, VK_IN(in->value, in->returns, in->value_weight, in->value_norm, in->value_old),
        .delta = loss->huber_delta, .hi = loss->value_clip);
    out.total = plus(g, out.total, out.critic, 1);
  }
  if (in->entropy != VK_NONE) {
    out.entropy =
        VK_APPLY(g, weighted_mean, VK_IN(in->entropy, in->entropy_weight, in->entropy_norm));
    out.total = plus(g, out.total, out.entropy, -loss->entropy_bonus);
  }
  return out;
}

void vk_policy_proximal(int64_t n, const float *logp, const float *old, const float *version,
                        double current, float *prox)
{
  for (int64_t i = 0; i < n; i++) {
    double v = (double)version[i], a = 0;
    if (v >= 0 && current > v)
      a = fmin(fmax((current - 1 - v) / (current - v), 0), 1);
    prox[i] = (float)((double)old[i] + a * ((double)logp[i] - (double)old[i]));
  }
}

int64_t vk_policy_behaviour(int64_t n_item, int64_t group, const float *prox, const float *old,
                            double most, float *weight)
{
  int64_t n_dropped = 0;
  for (int64_t i = 0; i < n_item; i++) {
    if (weight[i] == 0)
      continue;
    double d = 0;
    for (int64_t k = i * group; k < (i + 1) * group; k++)
      d += (double)prox[k] - (double)old[k];
    double w = exp(d);
    bool is_far = most > 0 && !(w <= most);
    n_dropped += is_far;
    weight[i] = is_far ? 0 : (float)((double)weight[i] * w);
  }
  return n_dropped;
}
