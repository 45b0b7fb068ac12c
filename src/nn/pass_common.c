/* pass_common.c - a node that computes what an earlier one computed becomes that one. */
#include <string.h>

#include "nn/op.h"
#include "nn/pass.h"

static bool is_same_attr(const vk_attrs *a, const vk_attrs *b)
{
#define X(type, name, what)                                                                        \
  if (memcmp(&a->name, &b->name, sizeof a->name) != 0)                                             \
    return false;
  VK_ATTRS(X)
#undef X
  return true;
}

/* The node of `g` that does the same as node n of a graph whose values map to those of g, or -1. */
static int find_same(const vk_graph *g, const vk_node *n, const vk_id *map)
{
  for (int i = 0; i < g->n_node; i++) {
    const vk_node *m = &g->node[i];
    if (m->op != n->op || m->n_in != n->n_in || !is_same_attr(&m->attr, &n->attr))
      continue;
    bool is_same = true;
    for (int k = 0; k < n->n_in && is_same; k++)
      is_same = m->in[k] == (n->in[k] == VK_NONE ? VK_NONE : map[n->in[k]]);
    if (is_same)
      return i;
  }
  return -1;
}

static vk_status run(vk_graph *out, const vk_graph *in, const vk_target *target, vk_err *err)
{
  vk_id *map = vk_pass_begin(out, in);
  for (int i = 0; map && i < in->n_node; i++) {
    const vk_node *n = &in->node[i];
    int same = find_same(out, n, map);
    if (same < 0) {
      vk_graph_copy_node(out, in, i, map);
      continue;
    }
    for (int k = 0; k < n->n_out; k++) {
      map[n->out[k]] = out->node[same].out[k];
      out->value[map[n->out[k]]].is_boundary |= in->value[n->out[k]].is_boundary;
    }
  }
  return vk_pass_end(out, in, map, err);
}

const vk_pass_def vk_pass_common = {
    .name = "common",
    .help = "computes common subexpressions once",
    .run = run,
};
