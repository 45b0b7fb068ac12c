/* op_ppo_loss.c - the weighted mean of max(-A r, -A clamp(r, 1 - lo, 1 + hi)), r = exp(logp - old).
 * dual bounds it by dual |A|, which acts where A < 0.
 * Source: Schulman et al. 2017, arXiv:1707.06347; Ye et al. 2020, arXiv:1912.09729 (dual clip). */
#include "nn/ppo.h"

VK_INLINE vf item(const vk_attrs *attr, const vk_tensor *in, int64_t i, int n_lane)
{
  return vk_ppo_item(attr, in, i, n_lane, NULL);
}

VK_OP_RUN(ppo_loss)
{
  vk_loss_run(c, 3, 4, item);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  return vk_ppo_infer(c, 0, err);
}

static double item_ref(const vk_attrs *attr, const vk_tensor *in, int64_t i)
{
  return vk_ppo_item_ref(attr, in, i, NULL);
}

static void ref(const vk_op_call *c)
{
  vk_loss_ref(c, 3, 4, item_ref);
}

static void grad(vk_grad *c)
{
  c->dx[0] = vk_loss_grad(c, &vk_op_ppo_loss_grad);
}

static void example(vk_example *e)
{
  vk_ppo_example(e, false);
}

const vk_op_def vk_op_ppo_loss = {
    .name = "ppo_loss",
    .help = "loss [1] = sum w max(-A r, -A clamp(r, 1 - lo, 1 + hi)) / D, r = exp(logp - old); at "
            "most dual |A| each; inputs logp, old, A, weight (an item each), norm [1]; D = norm, "
            "else the sum of the weights, else their number",
    .n_in_min = 3,
    .n_in_max = 5,
    .n_out = 1,
    .data_in = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4,
    .n_phase = 2,
    .n_case = 4,
    .rtol = 3e-6,
    .atol = 2e-6,
    .tolerance = "exponentials in float, sums over blocks of 1024",
    .infer = infer,
    .scratch = vk_loss_scratch,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
