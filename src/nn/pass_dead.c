/* pass_dead.c - leaves out nodes that no output needs. */
#include <stdlib.h>

#include "nn/op.h"
#include "nn/pass.h"

static vk_status run(vk_graph *out, const vk_graph *in, const vk_target *target, vk_err *err)
{
  bool *is_used = calloc((size_t)in->n_value + 1, sizeof *is_used);
  if (!is_used)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for a pass", in->name);
  for (int i = 0; i < in->n_output; i++)
    is_used[in->output[i].value] = true;
  for (int i = in->n_node - 1; i >= 0; i--) {
    const vk_node *n = &in->node[i];
    bool is_needed = false;
    for (int k = 0; k < n->n_out; k++)
      is_needed = is_needed || is_used[n->out[k]];
    for (int k = 0; k < n->n_in && is_needed; k++)
      if (n->in[k] != VK_NONE)
        is_used[n->in[k]] = true;
  }
  vk_id *map = vk_pass_begin(out, in);
  for (int i = 0; map && i < in->n_node; i++) {
    const vk_node *n = &in->node[i];
    bool is_needed = false;
    for (int k = 0; k < n->n_out; k++)
      is_needed = is_needed || is_used[n->out[k]];
    if (is_needed)
      vk_graph_copy_node(out, in, i, map);
  }
  free(is_used);
  return vk_pass_end(out, in, map, err);
}

const vk_pass_def vk_pass_dead = {
    .name = "dead",
    .help = "leaves out nodes that no output needs",
    .run = run,
};
