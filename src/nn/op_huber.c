/* op_huber.c - the weighted mean of Huber's loss of v - target; with earlier values, the greater of
 * that and the one of a v that stays within hi of them.
 * Source: Huber 1964, Ann. Math. Statist. 35(1), section 3. */
#include "nn/huber.h"

VK_INLINE vf item(const vk_attrs *attr, const vk_tensor *in, int64_t i, int n_lane)
{
  vf slope;
  return vk_huber_item(attr, in, NULL, i, n_lane, &slope);
}

VK_INLINE vf item_clipped(const vk_attrs *attr, const vk_tensor *in, int64_t i, int n_lane)
{
  vf slope;
  return vk_huber_item(attr, in, in[VK_HUBER_OLD].data, i, n_lane, &slope);
}

VK_OP_RUN(huber)
{
  if (vk_op_optional(c, VK_HUBER_OLD))
    vk_loss_run(c, 2, 3, item_clipped);
  else
    vk_loss_run(c, 2, 3, item);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  return vk_huber_infer(c, 0, err);
}

static double item_ref(const vk_attrs *attr, const vk_tensor *in, int64_t i)
{
  double slope;
  return vk_huber_item_ref(attr, in, NULL, i, &slope);
}

static double item_clipped_ref(const vk_attrs *attr, const vk_tensor *in, int64_t i)
{
  double slope;
  return vk_huber_item_ref(attr, in, in[VK_HUBER_OLD].data, i, &slope);
}

static void ref(const vk_op_call *c)
{
  vk_loss_ref(c, 2, 3, vk_op_optional(c, VK_HUBER_OLD) ? item_clipped_ref : item_ref);
}

static void grad(vk_grad *c)
{
  c->dx[0] = vk_loss_grad(c, &vk_op_huber_grad);
}

static void example(vk_example *e)
{
  vk_huber_example(e, false);
}

const vk_op_def vk_op_huber = {
    .name = "huber",
    .help =
        "loss [1] = sum w h(v - target) / D, h(e) = e^2 / 2 within delta, linear beyond; inputs "
        "v, target, weight, norm [1], old; D = norm, else the sum of the weights, else their "
        "number; with old: the greater of h(v - target) and that of v within hi of old",
    .n_in_min = 2,
    .n_in_max = 5,
    .n_out = 1,
    .data_in = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4,
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
