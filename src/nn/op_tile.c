/* op_tile.c - all rows of x, again and again: y[k r + i] = x[i] for r rows. */
#include "nn/op.h"

#include <string.h>

VK_OP_RUN(tile)
{
  int64_t r = c->in[0].shape.dim[0], d = vk_shape_last(&c->in[0].shape), i, end;
  vk_op_part(c, c->out[0].shape.dim[0], 16, &i, &end);
  for (; i < end; i++)
    memcpy((float *)c->out[0].data + i * d, (const float *)c->in[0].data + i % r * d,
           (size_t)d * sizeof(float));
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  const vk_attrs *a = c->attr;
  VK_TRY(vk_op_need(c, 0, VK_F32, 2, err));
  int64_t r = c->in[0]->shape.dim[0];
  if (c->in[0]->extent.sym >= 0 || r == 0 || a->count < 0 ||
      (a->sym >= 0 && (a->per % r || a->plus % r)))
    return vk_op_fail(c, err, "needs a fixed number of rows, and how often (count)");
  if (a->count > INT32_MAX / r)
    return vk_op_fail(c, err, "%lld times are too many", (long long)a->count);
  vk_op_same(c, 0, 0);
  c->out[0].shape.dim[0] = a->count * r;
  c->out[0].extent = vk_op_extent(a);
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  int64_t n = vk_shape_n_item(&c->in[0].shape);
  for (int64_t k = 0; k < vk_shape_n_item(&c->out[0].shape); k++)
    ((double *)c->out[0].data)[k] = ((const double *)c->in[0].data)[k % n];
}

static void grad(vk_grad *c)
{
  c->dx[0] =
      VK_APPLY(c->g, fold, VK_IN(c->dy[0]), .count = c->g->value[c->node->in[0]].shape.dim[0]);
}

static void example(vk_example *e)
{
  int r = (int)vk_example_int(e, 1, 9);
  vk_example_f32(e, vk_shape_of(2, r, e->is_large ? 256 : (int)vk_example_int(e, 1, 40)));
  e->attr.sym = -1;
  e->attr.per = r;
  e->attr.count = e->is_large ? 32 : vk_example_int(e, 1, 9);
}

const vk_op_def vk_op_tile = {
    .name = "tile",
    .help = "x [r, d] count times: [count r, d]",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = VK_OP_EXACT,
    .tolerance = "exact",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
