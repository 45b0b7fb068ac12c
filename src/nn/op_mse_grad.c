/* op_mse_grad.c - da = dloss w / D 2 (a - b): the gradient of mse. */
#include "nn/loss.h"

VK_INLINE vf slope(const vk_attrs *attr, const vk_tensor *in, int64_t i, int n_lane)
{
  vf d = vk_lanes_load(in[0].data, i, n_lane) - vk_lanes_load(in[1].data, i, n_lane);
  return d + d;
}

VK_OP_RUN(mse_grad)
{
  vk_loss_grad_run(c, 2, 3, slope);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  return vk_loss_infer(c, 1, 2, 2, 3, err);
}

static double slope_ref(const vk_attrs *attr, const vk_tensor *in, int64_t i)
{
  return 2 * (((const double *)in[0].data)[i] - ((const double *)in[1].data)[i]);
}

static void ref(const vk_op_call *c)
{
  vk_loss_grad_ref(c, 2, 3, slope_ref);
}

static void example(vk_example *e)
{
  vk_loss_example(e, true, 2);
}

const vk_op_def vk_op_mse_grad = {
    .name = "mse_grad",
    .help = "da = dloss w / D 2 (a - b); inputs dloss [1], a, b, weight, norm [1]",
    .n_in_min = 3,
    .n_in_max = 5,
    .n_out = 1,
    .in_place = 2,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .n_case = 4,
    .rtol = 2e-6,
    .atol = 1e-9,
    .tolerance = "products in float, the sum of the weights in blocks",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
