/* op_weighted_mean.c - the weighted mean of items: entropies and divergences in a loss. */
#include "nn/loss.h"

VK_INLINE vf item(const vk_attrs *attr, const vk_tensor *in, int64_t i, int n_lane)
{
  return vk_lanes_load(in[0].data, i, n_lane);
}

VK_OP_RUN(weighted_mean)
{
  vk_loss_run(c, 1, 2, item);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  return vk_loss_infer(c, 0, 1, 1, 2, err);
}

static double item_ref(const vk_attrs *attr, const vk_tensor *in, int64_t i)
{
  return ((const double *)in[0].data)[i];
}

static void ref(const vk_op_call *c)
{
  vk_loss_ref(c, 1, 2, item_ref);
}

static void grad(vk_grad *c)
{
  c->dx[0] = vk_loss_grad(c, &vk_op_weighted_mean_grad);
}

static void example(vk_example *e)
{
  vk_loss_example(e, false, 1);
}

const vk_op_def vk_op_weighted_mean = {
    .name = "weighted_mean",
    .help = "y [1] = sum w x / D; inputs x, weight (an item each), norm [1]; D = norm, else the "
            "sum of the weights, else their number",
    .n_in_min = 1,
    .n_in_max = 3,
    .n_out = 1,
    .data_in = 1 << 1 | 1 << 2,
    .n_phase = 2,
    .n_case = 4,
    .rtol = 3e-6,
    .atol = 1e-6,
    .tolerance = "sum in float over blocks of 1024",
    .infer = infer,
    .scratch = vk_loss_scratch,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
