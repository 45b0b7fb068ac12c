/* huber.h - what huber and its gradient share.
 *
 * For kernel files alone (simd.h). Test: tests/unit/test_ops.c, tests/unit/test_losses.c */
#ifndef VK_NN_HUBER_H
#define VK_NN_HUBER_H

#include "nn/loss.h"

enum { VK_HUBER_OLD = 4 }; /* the optional input of earlier values */

/* The loss of an error and its derivative. */
VK_INLINE vf vk_huber_of(vf e, vf delta, vf *slope)
{
  vf half = vf_set1(0.5f), size = vf_abs(e);
  *slope = vf_max(vf_min(e, delta), vf_neg(delta));
  return vf_select(vf_lt(size, delta), half * e * e, delta * (size - half * delta));
}

/* Losses of lanes; their derivatives by v in *slope. old: earlier values or NULL. */
VK_INLINE vf vk_huber_item(const vk_attrs *attr, const vk_tensor *in, const float *old, int64_t i,
                           int n_lane, vf *slope)
{
  vf v = vk_lanes_load(in[0].data, i, n_lane), target = vk_lanes_load(in[1].data, i, n_lane);
  vf delta = vf_set1((float)attr->delta), near = vf_set1((float)attr->hi), slope_clipped;
  vf loss = vk_huber_of(v - target, delta, slope);
  if (!old)
    return loss;
  vf from = vk_lanes_load(old, i, n_lane), step = v - from;
  vf inside = vf_max(vf_min(step, near), vf_neg(near));
  vf clipped = vk_huber_of(from + inside - target, delta, &slope_clipped);
  slope_clipped = vf_select(vf_ne(inside, step), vf_zero(), slope_clipped);
  *slope = vf_select(vf_lt(loss, clipped), slope_clipped, *slope);
  return vf_max(loss, clipped);
}

#if VK_PATH_IS_BASE

static inline double vk_huber_of_ref(double e, double delta)
{
  return fabs(e) < delta ? 0.5 * e * e : delta * (fabs(e) - 0.5 * delta);
}

static inline double vk_huber_item_ref(const vk_attrs *attr, const vk_tensor *in, const double *old,
                                       int64_t i, double *slope)
{
  double v = ((const double *)in[0].data)[i], target = ((const double *)in[1].data)[i];
  double d = attr->delta, loss = vk_huber_of_ref(v - target, d);
  *slope = fmin(fmax(v - target, -d), d);
  if (!old)
    return loss;
  double step = v - old[i], inside = fmin(fmax(step, -attr->hi), attr->hi);
  double e = old[i] + inside - target, clipped = vk_huber_of_ref(e, d);
  if (clipped > loss)
    *slope = inside != step ? 0 : fmin(fmax(e, -d), d);
  return fmax(loss, clipped);
}

/* first: 0 for the loss, 1 for its gradient. */
VK_NODISCARD static inline vk_status vk_huber_infer(const vk_infer *c, int first, vk_err *err)
{
  VK_TRY(vk_loss_infer(c, first, 2, 2, 3, err));
  if (c->in[first + VK_HUBER_OLD])
    VK_TRY(vk_op_need_items(c, first + VK_HUBER_OLD, VK_F32, first, err));
  if (!(c->attr->delta > 0 && c->attr->hi >= 0))
    return vk_op_fail(c, err, "delta is %g and must be above 0, hi is %g and must not be below",
                      c->attr->delta, c->attr->hi);
  return VK_OK;
}

static inline void vk_huber_example(vk_example *e, bool is_grad)
{
  vk_loss_example(e, is_grad, 2);
  e->attr.delta = 1;
  if (e->i_case != 3)
    return;
  e->attr.hi = 0.2;
  vk_example_f32(e, e->in[is_grad].shape);
}

#endif
#endif
