/* op_gelu.c - y = x Phi(x), the error function form. Source: Hendrycks & Gimpel 2016,
 * arXiv:1606.08415; PyTorch's gelu(approximate="none"). */
#include "nn/op.h"
#include "nn/simd.h"

VK_OP_RUN(gelu)
{
  const float *x = c->in[0].data;
  float *y = c->out[0].data;
  int64_t i, end;
  vk_op_part(c, vk_shape_n_item(&c->out[0].shape), 1024, &i, &end);
  for (; i + VK_LANES <= end; i += VK_LANES)
    vf_store(y + i, vf_gelu(vf_load(x + i)));
  int n = (int)(end - i);
  if (n > 0)
    vf_store_n(y + i, vf_gelu(vf_load_n(x + i, n)), n);
}

#if VK_PATH_IS_BASE

#include <math.h>

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  vk_op_same(c, 0, 0);
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const double *x = c->in[0].data;
  double *y = c->out[0].data;
  for (int64_t i = 0; i < vk_shape_n_item(&c->out[0].shape); i++)
    y[i] = 0.5 * x[i] * (1 + erf(x[i] * sqrt(0.5)));
}

static void grad(vk_grad *c)
{
  c->dx[0] = VK_APPLY(c->g, gelu_grad, VK_IN(c->dy[0], c->node->in[0]));
}

static void example(vk_example *e)
{
  vk_example_f32(e, e->is_large ? vk_shape_of(2, 4448, 1024)
                                : vk_shape_of(2, 3, (int)vk_example_int(e, 1, 90)));
}

const vk_op_def vk_op_gelu = {
    .name = "gelu",
    .help = "y = x Phi(x), by the error function",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .in_place = 1,
    .rtol = 2e-6,
    .atol = 2e-7,
    .tolerance = "error function in float, 1 + erf cancels for x < 0",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
