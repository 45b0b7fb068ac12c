/* op_sum_groups.c - sums of `group` neighbours of the last dimension: log-probabilities of tokens
 * to those of actions and chunks. */
#include "nn/op.h"

VK_OP_RUN(sum_groups)
{
  const float *x = c->in[0].data;
  float *y = c->out[0].data;
  int64_t group = c->attr->group, i, end;
  vk_op_part(c, vk_shape_n_item(&c->out[0].shape), 256, &i, &end);
  for (; i < end; i++) {
    double sum = 0;
    for (int64_t k = 0; k < group; k++)
      sum += (double)x[i * group + k];
    y[i] = (float)sum;
  }
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  int64_t group = c->attr->group;
  vk_op_same(c, 0, 0);
  vk_value *y = &c->out[0];
  if (y->shape.n_dim < 1 || group < 1 || vk_shape_last(&y->shape) % group ||
      (y->shape.n_dim == 1 && (y->extent.per % group || y->extent.plus % group)))
    return vk_op_fail(c, err, "groups of %lld do not divide the last dimension", (long long)group);
  y->shape.dim[y->shape.n_dim - 1] /= group;
  if (y->shape.n_dim == 1) {
    y->extent.per /= group;
    y->extent.plus /= group;
  }
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const double *x = c->in[0].data;
  double *y = c->out[0].data;
  for (int64_t i = 0; i < vk_shape_n_item(&c->out[0].shape); i++) {
    y[i] = 0;
    for (int64_t k = 0; k < c->attr->group; k++)
      y[i] += x[i * c->attr->group + k];
  }
}

static void grad(vk_grad *c)
{
  c->dx[0] = VK_APPLY(c->g, sum_groups_grad, VK_IN(c->dy[0]), .group = c->node->attr.group);
}

static void example(vk_example *e)
{
  int group = e->is_large ? 7 : (int)vk_example_int(e, 1, 9);
  int n = group * (e->is_large ? 8192 : (int)vk_example_int(e, 1, 600));
  e->attr.group = group;
  vk_example_f32(e, e->i_case ? vk_shape_of(2, 3, n) : vk_shape_of(1, n));
}

const vk_op_def vk_op_sum_groups = {
    .name = "sum_groups",
    .help = "y[i] = the sum of x[group i .. group i + group - 1], along the last dimension",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .n_case = 2,
    .rtol = 1e-6,
    .atol = 1e-7,
    .tolerance = "rounded once, from a sum in double",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
