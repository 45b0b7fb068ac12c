/* ppo.h - what ppo_loss and its gradient share.
 *
 * For kernel files alone (simd.h). Test: tests/unit/test_ops.c, tests/unit/test_losses.c */
#ifndef VK_NN_PPO_H
#define VK_NN_PPO_H

#include "nn/loss.h"

/* Losses of lanes; their derivatives by logp in *slope unless that is NULL. Where clipped and plain
 * loss are equal the plain one counts. */
VK_INLINE vf vk_ppo_item(const vk_attrs *attr, const vk_tensor *in, int64_t i, int n_lane,
                         vf *slope)
{
  vf logp = vk_lanes_load(in[0].data, i, n_lane), old = vk_lanes_load(in[1].data, i, n_lane);
  vf minus_a = vf_neg(vk_lanes_load(in[2].data, i, n_lane)), d = logp - old, inside = d;
  if (attr->log_hi > attr->log_lo)
    inside = vf_max(vf_min(d, vf_set1((float)attr->log_hi)), vf_set1((float)attr->log_lo));
  vf r = vf_exp(inside);
  vf least = vf_set1((float)(1 - attr->lo)), most = vf_set1((float)(1 + attr->hi));
  vf plain = minus_a * r, clipped = minus_a * vf_max(vf_min(r, most), least);
  vf loss = vf_max(plain, clipped);
  vm is_flat = vm_or(vf_lt(plain, clipped), vf_ne(inside, d));
  if (attr->dual > 0) {
    vf bound = vf_set1((float)attr->dual) * vf_abs(minus_a);
    is_flat = vm_or(is_flat, vf_lt(bound, loss));
    loss = vf_min(loss, bound);
  }
  if (slope)
    *slope = vf_select(is_flat, vf_zero(), plain);
  return loss;
}

#if VK_PATH_IS_BASE

static inline double vk_ppo_item_ref(const vk_attrs *attr, const vk_tensor *in, int64_t i,
                                     double *slope)
{
  double a = ((const double *)in[2].data)[i];
  double d = ((const double *)in[0].data)[i] - ((const double *)in[1].data)[i], inside = d;
  if (attr->log_hi > attr->log_lo)
    inside = fmin(fmax(d, attr->log_lo), attr->log_hi);
  double r = exp(inside), clipped = -a * fmin(fmax(r, 1 - attr->lo), 1 + attr->hi);
  double loss = fmax(-a * r, clipped), bound = attr->dual > 0 ? attr->dual * fabs(a) : INFINITY;
  if (slope)
    *slope = clipped > -a * r || loss > bound || inside != d ? 0 : -a * r;
  return fmin(loss, bound);
}

/* first: 0 for the loss, 1 for its gradient. */
VK_NODISCARD static inline vk_status vk_ppo_infer(const vk_infer *c, int first, vk_err *err)
{
  VK_TRY(vk_loss_infer(c, first, 3, 3, 4, err));
  const vk_attrs *a = c->attr;
  if (!(a->lo >= 0 && a->lo <= 1 && a->hi >= 0))
    return vk_op_fail(c, err, "ratios are clipped from 1 - %g to 1 + %g", a->lo, a->hi);
  if (!(a->dual == 0 || a->dual > 1))
    return vk_op_fail(c, err, "the bound dual is %g, and must be above 1", a->dual);
  if (!(a->log_lo <= 0 && a->log_hi >= 0))
    return vk_op_fail(c, err, "logarithms of ratios from %g to %g do not hold 0", a->log_lo,
                      a->log_hi);
  return VK_OK;
}

static inline void vk_ppo_example(vk_example *e, bool is_grad)
{
  vk_loss_example(e, is_grad, 3);
  e->attr.lo = 0.2;
  e->attr.hi = 0.28;
  e->attr.dual = e->i_case >= 2 ? 3 : 0;
  e->attr.log_hi = e->i_case == 3 ? 2 : 0;
  e->attr.log_lo = -e->attr.log_hi;
}

#endif
#endif
