/* op_reshape.c - the same items as rows of `count` channels: [n, count], [n, group, count] or
 * [n, height, width, count]; count 0: [n]. A view: nothing is moved. */
#include "nn/op.h"

VK_OP_RUN(reshape)
{
}

#if VK_PATH_IS_BASE

#include <string.h>

/* 0: attributes that are no shape. */
static int64_t row_items(const vk_attrs *a)
{
  const int64_t dim[] = {a->count, a->group ? a->group : 1, a->height ? a->height : 1,
                         a->height ? a->width : 1};
  int64_t row = 1;
  if (a->count == 0 && a->group == 0 && a->height == 0)
    return 1;
  for (int i = 0; i < 4; i++)
    if (dim[i] <= 0 || dim[i] > INT32_MAX || __builtin_mul_overflow(row, dim[i], &row))
      return 0;
  return a->group && a->height ? 0 : row;
}

static vk_status infer(const vk_infer *c, vk_err *err)
{
  const vk_value *x = c->in[0];
  const vk_attrs *a = c->attr;
  int64_t n = vk_shape_n_item(&x->shape), row = row_items(a);
  if (row <= 0 || n % row != 0)
    return vk_op_fail(c, err, "%lld items are no rows of %lld", (long long)n, (long long)row);
  vk_op_same(c, 0, 0);
  c->out[0].shape = a->height  ? vk_shape_of(4, 0, (int)a->height, (int)a->width, (int)a->count)
                    : a->group ? vk_shape_of(3, 0, (int)a->group, (int)a->count)
                    : a->count ? vk_shape_of(2, 0, (int)a->count)
                               : vk_shape_of(1, 0);
  c->out[0].shape.dim[0] = n / row;
  if (x->extent.sym < 0)
    return VK_OK;
  int64_t inner = x->shape.dim[0] ? n / x->shape.dim[0] : 1;
  if (x->extent.per * inner % row != 0 || x->extent.plus * inner % row != 0)
    return vk_op_fail(c, err, "what one unit of %s adds are no rows of %lld",
                      c->graph->sym[x->extent.sym], (long long)row);
  c->out[0].extent.per = x->extent.per * inner / row;
  c->out[0].extent.plus = x->extent.plus * inner / row;
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  memcpy(c->out[0].data, c->in[0].data,
         (size_t)vk_shape_n_item(&c->out[0].shape) * vk_dtype_size(c->out[0].dtype));
}

static void grad(vk_grad *c)
{
  const vk_shape s = c->g->value[c->node->in[0]].shape;
  c->dx[0] = VK_APPLY(c->g, reshape, VK_IN(c->dy[0]), .count = s.n_dim == 1 ? 0 : vk_shape_last(&s),
                      .group = s.n_dim == 3 ? s.dim[1] : 0, .height = s.n_dim == 4 ? s.dim[1] : 0,
                      .width = s.n_dim == 4 ? s.dim[2] : 0);
}

static void example(vk_example *e)
{
  int n = (int)vk_example_int(e, 1, 6), count = (int)vk_example_int(e, 1, 8);
  e->attr.count = count;
  if (e->i_case == 0)
    vk_example_f32(e, vk_shape_of(4, n, 2, 3, count));
  else
    vk_example_f32(e, vk_shape_of(2, 6 * n, count));
  if (e->i_case == 3)
    e->attr.count = 0;
  if (e->i_case == 1)
    e->attr.group = 3;
  if (e->i_case == 2)
    e->attr.height = 2, e->attr.width = 3;
}

const vk_op_def vk_op_reshape = {
    .name = "reshape",
    .help = "the same items as rows of count [n, count], [n, group, count], [n, height, width, "
            "count]; count 0: [n]",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .n_case = 4,
    .flags = VK_OP_EXACT | VK_OP_VIEW | VK_OP_ANY_DTYPE,
    .tolerance = "exact",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
