#include "nn/pass_edit.h"

#include <stdlib.h>
#include <string.h>

static void edit_fini(vk_pass_edit *e)
{
  free(e->node);
  free(e->is_gone);
  free(e->n_use);
  free(e->maker);
  *e = (vk_pass_edit){0};
}

vk_status vk_pass_edit_init(vk_pass_edit *e, const vk_graph *in, vk_err *err)
{
  size_t n_node = (size_t)in->n_node + 1, n_value = (size_t)in->n_value + 1;
  *e = (vk_pass_edit){.in = in,
                      .node = malloc(n_node * sizeof *e->node),
                      .is_gone = calloc(n_node, sizeof *e->is_gone),
                      .n_use = vk_pass_count_uses(in),
                      .maker = malloc(n_value * sizeof *e->maker)};
  if (!e->node || !e->is_gone || !e->n_use || !e->maker) {
    edit_fini(e);
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for a pass", in->name);
  }
  if (in->n_node)
    memcpy(e->node, in->node, sizeof *e->node * (size_t)in->n_node);
  for (int v = 0; v < in->n_value; v++)
    e->maker[v] = in->value[v].kind == VK_RESULT ? in->value[v].node : -1;
  return VK_OK;
}

/* Adds node i of the edit to out. */
static void write_node(const vk_pass_edit *e, vk_graph *out, int i, vk_id *map)
{
  const vk_node *n = &e->node[i];
  vk_in in = {.n = n->n_in};
  for (int k = 0; k < n->n_in; k++) {
    in.id[k] = n->in[k] == VK_NONE ? VK_NONE : map[n->in[k]];
    /* else a later node makes it, and it would pass for an optional input that is left out */
    VK_ASSERT(in.id[k] != VK_NONE || n->in[k] == VK_NONE);
  }
  vk_graph_place(out, "%s", n->place);
  vk_id first = vk_apply(out, n->op, in, n->attr);
  for (int k = 0; k < n->n_out && first != VK_NONE; k++) {
    map[n->out[k]] = vk_graph_out(out, first, k);
    out->value[map[n->out[k]]].is_boundary = e->in->value[n->out[k]].is_boundary;
  }
}

vk_status vk_pass_edit_end(vk_pass_edit *e, vk_graph *out, vk_err *err)
{
  vk_id *map = vk_pass_begin(out, e->in);
  for (int i = 0; map && i < e->in->n_node && out->status == VK_OK; i++)
    if (!e->is_gone[i])
      write_node(e, out, i, map);
  vk_status st = vk_pass_end(out, e->in, map, err);
  edit_fini(e);
  return st;
}

int vk_pass_edit_only(const vk_pass_edit *e, int i, int k)
{
  vk_id v = vk_pass_edit_in(&e->node[i], k);
  if (v == VK_NONE || e->n_use[v] != 1 || e->maker[v] < 0 || e->in->value[v].is_boundary)
    return -1;
  const vk_node *p = &e->node[e->maker[v]];
  if (p->out[0] != v)
    return -1;
  for (int o = 1; o < p->n_out; o++)
    if (e->n_use[p->out[o]] > 0)
      return -1;
  return e->maker[v];
}

vk_node *vk_pass_edit_absorb(vk_pass_edit *e, int i, int p)
{
  vk_node *n = &e->node[i], *from = &e->node[p];
  VK_ASSERT(p < i && n->n_out == 1 && !e->is_gone[p]);
  for (int k = 0; k < n->n_in; k++) /* the caller adds those that it keeps */
    if (n->in[k] != VK_NONE)
      e->n_use[n->in[k]]--;
  vk_id out = n->out[0];
  *n = *from;
  n->out[0] = out;
  for (int k = 0; k < n->n_out; k++)
    e->maker[n->out[k]] = i;
  e->is_gone[p] = true;
  return n;
}

vk_node *vk_pass_edit_extend(vk_pass_edit *e, int i, int p)
{
  vk_node *n = &e->node[p];
  VK_ASSERT(p < i && e->node[i].n_out == 1 && !e->is_gone[p]);
  for (int k = 0; k < e->node[i].n_in; k++)
    if (e->node[i].in[k] != VK_NONE)
      e->n_use[e->node[i].in[k]]--;
  n->out[0] = e->node[i].out[0];
  e->maker[n->out[0]] = p;
  e->is_gone[i] = true;
  return n;
}

bool vk_pass_edit_alike(const vk_pass_edit *e, vk_id a, vk_id b)
{
  const vk_value *x = &e->in->value[a], *y = &e->in->value[b];
  return x->dtype == y->dtype && vk_shape_equal(&x->shape, &y->shape) &&
         x->extent.sym == y->extent.sym &&
         (x->extent.sym < 0 ||
          (x->extent.per == y->extent.per && x->extent.plus == y->extent.plus));
}

vk_id vk_pass_edit_in(const vk_node *n, int k)
{
  return k < n->n_in ? n->in[k] : VK_NONE;
}

void vk_pass_edit_set_in(vk_pass_edit *e, vk_node *n, int k, vk_id v)
{
  VK_ASSERT(k < VK_NODE_IN_MAX && vk_pass_edit_in(n, k) == VK_NONE);
  while (n->n_in <= k)
    n->in[n->n_in++] = VK_NONE;
  n->in[k] = v;
  e->n_use[v]++;
}

void vk_pass_edit_bypass(vk_pass_edit *e, int i, int k, int p)
{
  VK_ASSERT(p < i && e->node[p].n_in == 1 && !e->is_gone[p]);
  e->node[i].in[k] = e->node[p].in[0];
  e->is_gone[p] = true;
}
