/* pass_gradient.c - the backward pass, where the target is training. */
#include <stdlib.h>

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
  vk_id *map = vk_pass_begin(out, in);
  for (int i = 0; map && i < in->n_node; i++)
    vk_graph_copy_node(out, in, i, map);
  return vk_pass_end(out, in, map, err);
}

const vk_pass_def vk_pass_gradient = {
    .name = "gradient",
    .help = "adds the backward pass of the loss",
    .is_needed = true,
    .run = run,
};
