/* op_mse.c - the weighted mean of (a - b)^2. */
#include "nn/loss.h"

VK_INLINE vf item(const vk_attrs *attr, const vk_tensor *in, int64_t i, int n_lane)
{
  vf d = vk_lanes_load(in[0].data, i, n_lane) - vk_lanes_load(in[1].data, i, n_lane);
  return d * d;
}

VK_OP_RUN(mse)
{
  vk_loss_run(c, 2, 3, item);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  return vk_loss_infer(c, 0, 2, 2, 3, err);
}

static double item_ref(const vk_attrs *attr, const vk_tensor *in, int64_t i)
{
  double d = ((const double *)in[0].data)[i] - ((const double *)in[1].data)[i];
  return d * d;
}

static void ref(const vk_op_call *c)
{
  vk_loss_ref(c, 2, 3, item_ref);
}

static void grad(vk_grad *c)
{
  vk_id da = vk_loss_grad(c, &vk_op_mse_grad);
  if (c->need[0])
    c->dx[0] = da;
  if (c->need[1])
    c->dx[1] = VK_APPLY(c->g, affine, VK_IN(da), .scale = -1);
}

static void example(vk_example *e)
{
  vk_loss_example(e, false, 2);
}

const vk_op_def vk_op_mse = {
    .name = "mse",
    .help =
        "loss [1] = sum w (a - b)^2 / D; inputs a, b, weight (an item each), norm [1]; D = norm, "
        "else the sum of the weights, else their number",
    .n_in_min = 2,
    .n_in_max = 4,
    .n_out = 1,
    .data_in = 1 << 2 | 1 << 3,
    .n_phase = 2,
    .n_case = 4,
    .rtol = 3e-6,
    .atol = 1e-7,
    .tolerance = "sum in float over blocks of 1024",
    .infer = infer,
    .scratch = vk_loss_scratch,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
