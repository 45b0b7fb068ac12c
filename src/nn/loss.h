/* loss.h - losses that are a weighted mean of something an item: sum of w l / D. D is the sum of
 * the weights, the number of items without weights, or what the caller gives (input norm): then
 * batches in parts, or masks that shall not change the mean, add up as one batch. An item of weight
 * 0 is absent, whatever it holds. With D = 0 the loss is 0, and so is its gradient.
 *
 * For kernel files alone (simd.h). Test: tests/unit/test_ops.c */
#ifndef VK_NN_LOSS_H
#define VK_NN_LOSS_H

#include "nn/logits.h"
#include "nn/op_rows.h"

enum { VK_LOSS_BLOCK = 1024 };

/* Sums over a block of items: that of the blocks is in double, so that the number of parts changes
 * no bits. */
typedef struct vk_loss_sums {
  double loss, weight;
} vk_loss_sums;

VK_INLINE vf vk_lanes_load(const float *x, int64_t i, int n_lane)
{
  return n_lane == VK_LANES ? vf_load(x + i) : vf_load_n(x + i, n_lane);
}

/* What an op adds: loss, or slope, of the items [i, i + n_lane). in: the op's inputs from the first
 * that the loss reads. */
typedef vf vk_loss_item(const vk_attrs *attr, const vk_tensor *in, int64_t i, int n_lane);

VK_INLINE vf vk_loss_weight(const float *weight, int64_t i, int n_lane)
{
  return weight ? vk_lanes_load(weight, i, n_lane)
                : vf_select(vm_first(n_lane), vf_set1(1.0f), vf_zero());
}

/* Phase 0: the sums of this part's blocks. item NULL: of weights alone. */
VK_INLINE vk_loss_sums vk_loss_block(const vk_attrs *attr, const vk_tensor *in, const float *weight,
                                     int64_t i, int64_t end, vk_loss_item *item)
{
  vf loss = vf_zero(), sum = vf_zero();
  for (; i < end; i += VK_LANES) {
    int n_lane = end - i < VK_LANES ? (int)(end - i) : VK_LANES;
    vf w = vk_loss_weight(weight, i, n_lane);
    sum += w;
    if (item)
      loss += vf_select(vf_eq(w, vf_zero()), vf_zero(), w * item(attr, in, i, n_lane));
  }
  return (vk_loss_sums){vf_sum(loss), vf_sum(sum)};
}

/* The kernel of a loss of two phases over the items of input 0. */
VK_INLINE void vk_loss_run(const vk_op_call *c, int i_weight, int i_norm, vk_loss_item *item)
{
  vk_loss_sums *sums = c->scratch;
  const float *weight = vk_op_optional(c, i_weight), *norm = vk_op_optional(c, i_norm);
  int64_t n = vk_shape_n_item(&c->in[0].shape), begin, end;
  if (c->i_phase == 0) {
    vk_op_part(c, n, VK_LOSS_BLOCK, &begin, &end);
    for (int64_t i = begin; i < end; i += VK_LOSS_BLOCK)
      sums[i / VK_LOSS_BLOCK] = vk_loss_block(
          c->attr, c->in, weight, i, end - i < VK_LOSS_BLOCK ? end : i + VK_LOSS_BLOCK, item);
  } else if (c->i_part == 0) {
    double loss = 0, w = 0;
    for (int64_t b = 0; b * VK_LOSS_BLOCK < n; b++) {
      loss += sums[b].loss;
      w += sums[b].weight;
    }
    w = norm ? *norm : w;
    *(float *)c->out[0].data = w == 0 ? 0 : (float)(loss / w);
  }
}

/* The kernel of its gradient: inputs dloss [1] and then those of the loss. */
VK_INLINE void vk_loss_grad_run(const vk_op_call *c, int i_weight, int i_norm, vk_loss_item *slope)
{
  const float *weight = vk_op_optional(c, 1 + i_weight), *norm = vk_op_optional(c, 1 + i_norm);
  float *dx = c->out[0].data;
  int64_t n = vk_shape_n_item(&c->in[1].shape), i, end;
  double w = 0;
  if (norm)
    w = *norm;
  else if (!weight)
    w = (double)n;
  else
    for (int64_t b = 0; b < n; b += VK_LOSS_BLOCK)
      w += vk_loss_block(c->attr, c->in + 1, weight, b,
                         n - b < VK_LOSS_BLOCK ? n : b + VK_LOSS_BLOCK, NULL)
               .weight;
  vf per = vf_set1(w == 0 ? 0.0f : (float)(*(const float *)c->in[0].data / w));
  vk_op_part(c, n, VK_LOSS_BLOCK, &i, &end);
  for (; i < end; i += VK_LANES) {
    int n_lane = end - i < VK_LANES ? (int)(end - i) : VK_LANES;
    vf g = per * vk_loss_weight(weight, i, n_lane);
    g = vf_select(vf_eq(g, vf_zero()), vf_zero(), g * slope(c->attr, c->in + 1, i, n_lane));
    vf_store_n(dx + i, g, n_lane);
  }
}

#if VK_PATH_IS_BASE

/* Scratch of vk_loss_run. */
static inline size_t vk_loss_scratch(const vk_op_call *c)
{
  return (size_t)(vk_shape_n_item(&c->in[0].shape) / VK_LOSS_BLOCK + 1) * sizeof(vk_loss_sums);
}

/* Inputs first .. first + n_item - 1 have an item each, and weight and norm are right if they are
 * there; indices count from `first`. */
VK_NODISCARD static inline vk_status vk_loss_infer(const vk_infer *c, int first, int n_item,
                                                   int i_weight, int i_norm, vk_err *err)
{
  if (first == 1)
    VK_TRY(vk_op_need_scalar(c, 0, err));
  VK_TRY(vk_op_need(c, first, VK_F32, 0, err));
  for (int i = 1; i < n_item; i++)
    VK_TRY(vk_op_need_items(c, first + i, VK_F32, first, err));
  if (c->in[first + i_weight])
    VK_TRY(vk_op_need_items(c, first + i_weight, VK_F32, first, err));
  if (c->in[first + i_norm])
    VK_TRY(vk_op_need_scalar(c, first + i_norm, err));
  if (first == 1)
    vk_op_same(c, 0, 1);
  else
    vk_op_scalar(c, 0);
  return VK_OK;
}

/* The same in double. */
typedef double vk_loss_item_ref(const vk_attrs *attr, const vk_tensor *in, int64_t i);

static inline double vk_loss_ref_norm(const vk_op_call *c, int first, int i_weight, int i_norm)
{
  const double *weight = vk_op_optional(c, first + i_weight);
  const double *norm = vk_op_optional(c, first + i_norm);
  double w = 0;
  for (int64_t i = 0; i < vk_shape_n_item(&c->in[first].shape); i++)
    w += weight ? weight[i] : 1;
  return norm ? *norm : w;
}

static inline void vk_loss_ref(const vk_op_call *c, int i_weight, int i_norm,
                               vk_loss_item_ref *item)
{
  const double *weight = vk_op_optional(c, i_weight);
  double loss = 0, w = vk_loss_ref_norm(c, 0, i_weight, i_norm);
  for (int64_t i = 0; i < vk_shape_n_item(&c->in[0].shape); i++)
    if (!weight || weight[i] != 0)
      loss += (weight ? weight[i] : 1) * item(c->attr, c->in, i);
  *(double *)c->out[0].data = w == 0 ? 0 : loss / w;
}

static inline void vk_loss_grad_ref(const vk_op_call *c, int i_weight, int i_norm,
                                    vk_loss_item_ref *slope)
{
  const double *weight = vk_op_optional(c, 1 + i_weight);
  double *dx = c->out[0].data, w = vk_loss_ref_norm(c, 1, i_weight, i_norm);
  double dloss = w == 0 ? 0 : *(const double *)c->in[0].data / w;
  for (int64_t i = 0; i < vk_shape_n_item(&c->in[1].shape); i++)
    dx[i] = weight && weight[i] == 0
                ? 0
                : dloss * (weight ? weight[i] : 1) * slope(c->attr, c->in + 1, i);
}

/* The gradient by a loss's first input: op has the inputs dloss and then those of the loss. */
static inline vk_id vk_loss_grad(const vk_grad *c, const vk_op_def *op)
{
  const vk_node *n = c->node;
  vk_in in = {.n = 1 + n->n_in, .id = {c->dy[0]}};
  for (int i = 0; i < n->n_in; i++)
    in.id[1 + i] = n->in[i];
  return vk_apply(c->g, op, in, n->attr);
}

/* Inputs of an example: dloss for a gradient, n_item arrays of one shape, and by i_case & 1 weights
 * and i_case & 2 a norm after them. */
static inline void vk_loss_example(vk_example *e, bool is_grad, int n_item)
{
  int m = e->is_large ? 57344 : e->i_case ? (int)vk_example_int(e, 1, 90) : 2500;
  if (is_grad)
    vk_example_f32(e, vk_shape_of(1, 1));
  for (int i = 0; i < n_item; i++)
    vk_example_f32(e, vk_shape_of(1, m));
  if (e->i_case & 1) {
    vk_example_f32(e, vk_shape_of(1, m));
    e->in[e->n_in - 1].fill = VK_EXAMPLE_POSITIVE;
  } else if (e->i_case & 2) {
    vk_example_none(e);
  }
  if (e->i_case & 2) {
    vk_example_f32(e, vk_shape_of(1, 1));
    e->in[e->n_in - 1].fill = VK_EXAMPLE_POSITIVE;
  }
}

#endif
#endif
