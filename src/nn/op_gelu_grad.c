/* op_gelu_grad.c - dx = dy (Phi(x) + x phi(x)): the gradient of gelu. */
#include "nn/op.h"
#include "nn/simd.h"

VK_OP_RUN(gelu_grad)
{
  const float *dy = c->in[0].data, *x = c->in[1].data;
  float *dx = c->out[0].data;
  int64_t i, end;
  vk_op_part(c, vk_shape_n_item(&c->out[0].shape), 1024, &i, &end);
  for (; i + VK_LANES <= end; i += VK_LANES)
    vf_store(dx + i, vf_load(dy + i) * vf_gelu_gradient(vf_load(x + i)));
  int n = (int)(end - i);
  if (n > 0)
    vf_store_n(dx + i, vf_load_n(dy + i, n) * vf_gelu_gradient(vf_load_n(x + i, n)), n);
}

#if VK_PATH_IS_BASE

#include <math.h>

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  VK_TRY(vk_op_need_alike(c, 0, 1, err));
  vk_op_same(c, 0, 0);
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const double *dy = c->in[0].data, *x = c->in[1].data;
  double *dx = c->out[0].data;
  for (int64_t i = 0; i < vk_shape_n_item(&c->out[0].shape); i++)
    dx[i] = dy[i] * (0.5 * (1 + erf(x[i] * sqrt(0.5))) +
                     x[i] * exp(-0.5 * x[i] * x[i]) / sqrt(2 * 3.14159265358979323846));
}

static void example(vk_example *e)
{
  vk_shape s =
      e->is_large ? vk_shape_of(2, 4448, 1024) : vk_shape_of(2, 3, (int)vk_example_int(e, 1, 90));
  vk_example_f32(e, s);
  vk_example_f32(e, s);
}

const vk_op_def vk_op_gelu_grad = {
    .name = "gelu_grad",
    .help = "dx = dy (Phi(x) + x phi(x)); inputs dy, x",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .in_place = 1,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .rtol = 2e-6,
    .atol = 5e-7,
    .tolerance = "error function and exponential in float",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
