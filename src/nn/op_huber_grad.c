/* op_huber_grad.c - dv = dloss w / D clamp(v - target, -delta, delta), 0 where the clipped loss
 * counts and v is beyond: the gradient of huber. */
#include "nn/huber.h"

VK_INLINE vf slope(const vk_attrs *attr, const vk_tensor *in, int64_t i, int n_lane)
{
  vf slope;
  vk_huber_item(attr, in, NULL, i, n_lane, &slope);
  return slope;
}

VK_INLINE vf slope_clipped(const vk_attrs *attr, const vk_tensor *in, int64_t i, int n_lane)
{
  vf slope;
  vk_huber_item(attr, in, in[VK_HUBER_OLD].data, i, n_lane, &slope);
  return slope;
}

VK_OP_RUN(huber_grad)
{
  if (vk_op_optional(c, 1 + VK_HUBER_OLD))
    vk_loss_grad_run(c, 2, 3, slope_clipped);
  else
    vk_loss_grad_run(c, 2, 3, slope);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  return vk_huber_infer(c, 1, err);
}

static double slope_ref(const vk_attrs *attr, const vk_tensor *in, int64_t i)
{
  double slope;
  vk_huber_item_ref(attr, in, NULL, i, &slope);
  return slope;
}

static double slope_clipped_ref(const vk_attrs *attr, const vk_tensor *in, int64_t i)
{
  double slope;
  vk_huber_item_ref(attr, in, in[VK_HUBER_OLD].data, i, &slope);
  return slope;
}

static void ref(const vk_op_call *c)
{
  vk_loss_grad_ref(c, 2, 3, vk_op_optional(c, 1 + VK_HUBER_OLD) ? slope_clipped_ref : slope_ref);
}

static void example(vk_example *e)
{
  vk_huber_example(e, true);
}

const vk_op_def vk_op_huber_grad = {
    .name = "huber_grad",
    .help = "dv of huber; inputs dloss [1], v, target, weight, norm [1], old",
    .n_in_min = 3,
    .n_in_max = 6,
    .n_out = 1,
    .in_place = 2,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .n_case = 4,
    .rtol = 3e-6,
    .atol = 1e-6,
    .tolerance = "differences of floats",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
