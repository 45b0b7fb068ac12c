/* op_ppo_loss_grad.c - dlogp = dloss w / D (-A r) where neither clip nor bound acts: the gradient
 * of ppo_loss. */
#include "nn/ppo.h"

VK_INLINE vf slope(const vk_attrs *attr, const vk_tensor *in, int64_t i, int n_lane)
{
  vf slope;
  vk_ppo_item(attr, in, i, n_lane, &slope);
  return slope;
}

VK_OP_RUN(ppo_loss_grad)
{
  vk_loss_grad_run(c, 3, 4, slope);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  return vk_ppo_infer(c, 1, err);
}

static double slope_ref(const vk_attrs *attr, const vk_tensor *in, int64_t i)
{
  double slope;
  vk_ppo_item_ref(attr, in, i, &slope);
  return slope;
}

static void ref(const vk_op_call *c)
{
  vk_loss_grad_ref(c, 3, 4, slope_ref);
}

static void example(vk_example *e)
{
  vk_ppo_example(e, true);
}

const vk_op_def vk_op_ppo_loss_grad = {
    .name = "ppo_loss_grad",
    .help = "dlogp of ppo_loss; inputs dloss [1], logp, old, A, weight, norm [1]",
    .n_in_min = 4,
    .n_in_max = 6,
    .n_out = 1,
    .in_place = 2,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .n_case = 4,
    .rtol = 3e-6,
    .atol = 1e-9,
    .tolerance = "exponential of a difference of floats",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
