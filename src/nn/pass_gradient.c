/* pass_gradient.c - the backward pass, where the target is training. */
#include "nn/autodiff.h"
#include "nn/pass.h"

static vk_status run(vk_graph *out, const vk_graph *in, const vk_target *target, vk_err *err)
{
  if (target->is_train)
    return vk_autodiff(out, in,
                       &(vk_autodiff_args){.loss = target->loss,
                                           .recompute = target->recompute,
                                           .accumulate = target->accumulate},
                       err);
  return vk_pass_copy(out, in, err);
}

const vk_pass_def vk_pass_gradient = {
    .name = "gradient",
    .help = "adds the backward pass of the loss",
    .is_needed = true,
    .run = run,
};
