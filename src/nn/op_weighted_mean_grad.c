/* op_weighted_mean_grad.c - dx = dy w / D: the gradient of weighted_mean. */
#include "nn/loss.h"

VK_INLINE vf slope(const vk_attrs *attr, const vk_tensor *in, int64_t i, int n_lane)
{
  return vf_set1(1.0f);
}

VK_OP_RUN(weighted_mean_grad)
{
  vk_loss_grad_run(c, 1, 2, slope);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  return vk_loss_infer(c, 1, 1, 1, 2, err);
}

static double slope_ref(const vk_attrs *attr, const vk_tensor *in, int64_t i)
{
  return 1;
}

static void ref(const vk_op_call *c)
{
  vk_loss_grad_ref(c, 1, 2, slope_ref);
}

static void example(vk_example *e)
{
  vk_loss_example(e, true, 1);
}

const vk_op_def vk_op_weighted_mean_grad = {
    .name = "weighted_mean_grad",
    .help = "dx = dy w / D; inputs dy [1], x, weight, norm [1]",
    .n_in_min = 2,
    .n_in_max = 4,
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
