/* op_rows.h - shape rules of ops that have one item a row of another input, or items of one shape.
 *
 * Test: tests/unit/test_ops.c */
#ifndef VK_NN_OP_ROWS_H
#define VK_NN_OP_ROWS_H

#include "nn/op.h"

/* In a run a and b have the same share of the rows that they have at capacity. */
static inline bool vk_op_same_extent(const vk_value *a, const vk_value *b)
{
  return a->extent.sym == b->extent.sym &&
         (a->extent.sym < 0 ||
          a->extent.plus * b->shape.dim[0] == b->extent.plus * a->shape.dim[0]);
}

/* a [n + 1] is where the n rows of b begin and end, in a run too. */
static inline bool vk_op_is_offset(const vk_value *a, const vk_value *b)
{
  return a->shape.dim[0] == b->shape.dim[0] + 1 && a->extent.sym == b->extent.sym &&
         (a->extent.sym < 0 ||
          (a->extent.per == b->extent.per && a->extent.plus == b->extent.plus + 1));
}

/* Input i is there and f32 with rows: [..., channels]. */
VK_NODISCARD static inline vk_status vk_op_need_logits(const vk_infer *c, int i, vk_err *err)
{
  VK_TRY(vk_op_need(c, i, VK_F32, 0, err));
  if (c->in[i]->shape.n_dim < 2 || vk_shape_last(&c->in[i]->shape) < 1)
    return vk_op_fail(c, err, "input %d must have rows of logits", i);
  return VK_OK;
}

/* Input i has an item a row of input j. */
VK_NODISCARD static inline vk_status vk_op_need_row_items(const vk_infer *c, int i, vk_dtype dtype,
                                                          int j, vk_err *err)
{
  VK_TRY(vk_op_need(c, i, dtype, 0, err));
  if (vk_shape_n_item(&c->in[i]->shape) != vk_shape_n_row(&c->in[j]->shape) ||
      !vk_op_same_extent(c->in[i], c->in[j]))
    return vk_op_fail(c, err, "input %d must have an item a row of input %d", i, j);
  return VK_OK;
}

/* Input i has as many items as input j, in a run too. */
VK_NODISCARD static inline vk_status vk_op_need_items(const vk_infer *c, int i, vk_dtype dtype,
                                                      int j, vk_err *err)
{
  VK_TRY(vk_op_need(c, i, dtype, 0, err));
  if (vk_shape_n_item(&c->in[i]->shape) != vk_shape_n_item(&c->in[j]->shape) ||
      !vk_op_same_extent(c->in[i], c->in[j]))
    return vk_op_fail(c, err, "input %d must have an item for each of input %d", i, j);
  return VK_OK;
}

/* Input i is one f32 number. */
VK_NODISCARD static inline vk_status vk_op_need_scalar(const vk_infer *c, int i, vk_err *err)
{
  VK_TRY(vk_op_need(c, i, VK_F32, 0, err));
  if (vk_shape_n_item(&c->in[i]->shape) != 1 || c->in[i]->extent.sym >= 0)
    return vk_op_fail(c, err, "input %d must be one number", i);
  return VK_OK;
}

/* out[i] has an item a row of input j. */
static inline void vk_op_rows(const vk_infer *c, int i_out, vk_dtype dtype, int j)
{
  vk_op_same(c, i_out, j);
  c->out[i_out].dtype = dtype;
  c->out[i_out].shape.n_dim--;
  c->out[i_out].shape.dim[c->out[i_out].shape.n_dim] = 0;
}

/* out[i] is [1], f32. */
static inline void vk_op_scalar(const vk_infer *c, int i_out)
{
  c->out[i_out].dtype = VK_F32;
  c->out[i_out].shape = vk_shape_of(1, 1);
  c->out[i_out].extent = VK_NO_EXTENT;
}

#endif
