/* op_sum_groups_grad.c - dx[i] = dy[i / group]: the gradient of sum_groups. */
#include "nn/op.h"

VK_OP_RUN(sum_groups_grad)
{
  const float *dy = c->in[0].data;
  float *dx = c->out[0].data;
  int64_t group = c->attr->group, i, end;
  vk_op_part(c, vk_shape_n_item(&c->in[0].shape), 256, &i, &end);
  for (; i < end; i++)
    for (int64_t k = 0; k < group; k++)
      dx[i * group + k] = dy[i];
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  if (c->in[0]->shape.n_dim < 1 || c->attr->group < 1)
    return vk_op_fail(c, err, "groups of %lld", (long long)c->attr->group);
  vk_op_same(c, 0, 0);
  vk_value *y = &c->out[0];
  y->shape.dim[y->shape.n_dim - 1] *= c->attr->group;
  if (y->shape.n_dim == 1) {
    y->extent.per *= c->attr->group;
    y->extent.plus *= c->attr->group;
  }
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const double *dy = c->in[0].data;
  double *dx = c->out[0].data;
  for (int64_t i = 0; i < vk_shape_n_item(&c->out[0].shape); i++)
    dx[i] = dy[i / c->attr->group];
}

static void example(vk_example *e)
{
  e->attr.group = e->is_large ? 7 : vk_example_int(e, 1, 9);
  int n = e->is_large ? 8192 : (int)vk_example_int(e, 1, 600);
  vk_example_f32(e, e->i_case ? vk_shape_of(2, 3, n) : vk_shape_of(1, n));
}

const vk_op_def vk_op_sum_groups_grad = {
    .name = "sum_groups_grad",
    .help = "dx[i] = dy[i / group], along the last dimension",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN | VK_OP_EXACT,
    .n_case = 2,
    .tolerance = "copies",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
