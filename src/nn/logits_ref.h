/* logits_ref.h - the double references, shape rules and examples of ops over rows of logits.
 *
 * Test: tests/unit/test_ops.c */
#ifndef VK_NN_LOGITS_REF_H
#define VK_NN_LOGITS_REF_H

#include <math.h>
#include <stdlib.h>

#include "nn/op_rows.h"

/* The attributes scale and count. */
VK_NODISCARD static inline vk_status vk_logits_check(const vk_infer *c, vk_err *err)
{
  if (!(c->attr->scale >= 0 && c->attr->scale < INFINITY))
    return vk_op_fail(c, err, "scale is %g, and must be one over a temperature", c->attr->scale);
  if (c->attr->count < 0)
    return vk_op_fail(c, err, "count is %lld, and must be 0 for all or how many of the greatest",
                      (long long)c->attr->count);
  return VK_OK;
}

/* The count-th greatest of a row by counting those above each; -infinity unless 0 < count < n. */
static inline double vk_logits_least_ref(const double *x, int64_t n, int64_t count)
{
  double least = -INFINITY;
  for (int64_t i = 0; count > 0 && count < n && i < n; i++) {
    int64_t n_above = 0;
    for (int64_t j = 0; j < n; j++)
      n_above += x[j] >= x[i];
    if (n_above >= count)
      least = fmax(least, x[i]);
  }
  return least;
}

static inline double vk_logits_lse_ref(const double *x, int64_t n, double scale, double least)
{
  double m = -INFINITY, sum = 0;
  for (int64_t j = 0; j < n; j++)
    m = fmax(m, scale * x[j]);
  for (int64_t j = 0; j < n; j++)
    sum += x[j] >= least ? exp(scale * x[j] - m) : 0;
  return m + log(sum);
}

/* The first class up to which probabilities add up to more than u. */
static inline int64_t vk_logits_quantile_ref(const double *x, int64_t n, double scale, double least,
                                             double u)
{
  double lse = vk_logits_lse_ref(x, n, scale, least), at = 0;
  for (int64_t j = 0; j < n - 1; j++) {
    at += x[j] < least ? 0 : exp(scale * x[j] - lse);
    if (at > u)
      return j;
  }
  return n - 1;
}

/* The first greatest. */
static inline int64_t vk_logits_argmax_ref(const double *x, int64_t n)
{
  int64_t best = -1;
  for (int64_t i = 0; i < n; i++)
    if (!isnan(x[i]) && (best < 0 || x[i] > x[best]))
      best = i;
  return best < 0 ? 0 : best;
}

/* Of ops that choose a class a row: an i32 a row of logits, whatever the attributes. */
VK_NODISCARD static inline vk_status vk_logits_choice_infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need_logits(c, 0, err));
  vk_op_rows(c, 0, VK_I32, 0);
  return VK_OK;
}

/* Of gradients: dx from dy, logits, an item a row that the loss had or gave, and lse. */
VK_NODISCARD static inline vk_status vk_logits_grad_infer(const vk_infer *c, vk_dtype dtype,
                                                          vk_err *err)
{
  VK_TRY(vk_op_need_logits(c, 1, err));
  VK_TRY(vk_op_need_row_items(c, 0, VK_F32, 1, err));
  VK_TRY(vk_op_need_row_items(c, 2, dtype, 1, err));
  VK_TRY(vk_op_need_row_items(c, 3, VK_F32, 1, err));
  vk_op_same(c, 0, 1);
  return VK_OK;
}

/* Logits as input 0, or 1 after a gradient of the rows; case 1 has a temperature. Returns the
 * number of classes. */
static inline int vk_logits_example(vk_example *e, bool is_grad)
{
  int m = e->is_large ? 1792 : (int)vk_example_int(e, 1, 37);
  int n = e->is_large ? 256 : (int)vk_example_int(e, 1, 70);
  if (is_grad)
    vk_example_f32(e, vk_shape_of(1, m));
  vk_example_f32(e, vk_shape_of(2, m, n));
  e->attr.scale = e->i_case == 1 ? 1 / 1.6 : 0;
  return n;
}

/* Nothing but logits. */
static inline void vk_logits_choice_example(vk_example *e)
{
  vk_logits_example(e, false);
}

#endif
