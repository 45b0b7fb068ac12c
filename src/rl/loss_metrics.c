#include <math.h>

#include "rl/loss.h"

void vk_policy_sums_add(vk_policy_sums *s, const vk_policy_loss *loss, int64_t n_item,
                        const float *logp, const float *old, const float *adv, const float *weight)
{
  for (int64_t i = 0; i < n_item; i++) {
    double w = (double)weight[i], a = (double)adv[i], d = 0;
    if (w == 0)
      continue;
    for (int64_t k = i * loss->group; k < (i + 1) * loss->group; k++)
      d += (double)logp[k] - (double)old[k];
    double inside = loss->log_lo < loss->log_hi ? fmin(fmax(d, loss->log_lo), loss->log_hi) : d;
    double r = exp(inside), clipped = fmin(fmax(r, 1 - loss->clip_lo), 1 + loss->clip_hi);
    double l = fmax(-a * r, -a * clipped), bound = loss->dual > 0 ? loss->dual * fabs(a) : INFINITY;
    bool is_dual = l > bound;
    l = is_dual ? bound : l;
    s->n++;
    s->ratio += r;
    s->ratio_away += fabs(r - 1);
    s->ratio_clipped += clipped;
    s->ratio_dual += is_dual ? r : 0;
    s->log_ratio += inside;
    s->kl += expm1(d) - d;
    s->n_clip += -a * clipped > -a * r;
    s->n_dual += is_dual;
    s->loss += w * l;
    s->loss_size += w * fabs(l);
  }
}

void vk_policy_sums_add_value(vk_policy_sums *s, int64_t n, const float *value,
                              const float *returns, const float *weight)
{
  for (int64_t i = 0; i < n; i++) {
    double r = (double)returns[i], e = r - (double)value[i];
    if (weight[i] == 0)
      continue;
    s->n_value++;
    s->returns += r;
    s->returns2 += r * r;
    s->error += e;
    s->error2 += e * e;
  }
}

vk_policy_metrics vk_policy_metrics_of(const vk_policy_sums *s)
{
  vk_policy_metrics m = {0};
  if (s->n > 0) {
    m.ratio = s->ratio / s->n;
    m.ratio_away = s->ratio_away / s->n;
    m.ratio_clipped = s->ratio_clipped / s->n;
    m.ratio_dual = s->ratio_dual / s->n;
    m.kl = s->kl / s->n;
    m.kl_simple = -s->log_ratio / s->n;
    m.clip_fraction = s->n_clip / s->n;
    m.dual_fraction = s->n_dual / s->n;
  }
  double n = s->n_value > 0 ? s->n_value : 1;
  double var = s->returns2 / n - s->returns / n * (s->returns / n);
  double var_error = s->error2 / n - s->error / n * (s->error / n);
  m.explained = var > 0 ? 1 - var_error / var : 0;
  return m;
}
