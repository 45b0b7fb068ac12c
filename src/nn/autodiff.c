#include "nn/autodiff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/op.h"

enum { NAME_MAX_BYTES = 512 };

typedef struct tape {
  vk_graph *g;
  const vk_graph *in;
  vk_id *map;   /* [in->n_value] value of the forward pass in g */
  vk_id *again; /* [in->n_value] what the backward pass reads: map, or its second computation */
  vk_id *dy;    /* [in->n_value] gradient by it so far */
  bool *need;   /* [in->n_value] a parameter that is not frozen reaches it */
  int *stretch; /* [in->n_node] number of boundaries before the node */
} tape;

static vk_status copy_forward(tape *t, vk_err *err)
{
  const vk_graph *in = t->in;
  for (int v = 0; v < in->n_value; v++) {
    if (in->value[v].kind == VK_RESULT)
      continue;
    t->map[v] = vk_graph_copy_value(t->g, in, v);
    t->need[v] = in->value[v].kind == VK_PARAM && !in->value[v].is_frozen;
  }
  int n_boundary = 0;
  for (int i = 0; i < in->n_node; i++) {
    const vk_node *n = &in->node[i];
    vk_graph_copy_node(t->g, in, i, t->map);
    VK_TRY(vk_graph_check(t->g, err));
    bool need = false, is_boundary = false;
    for (int k = 0; k < n->n_in; k++)
      need = need || (n->in[k] != VK_NONE && t->need[n->in[k]]);
    t->stretch[i] = n_boundary;
    for (int k = 0; k < n->n_out; k++) {
      t->need[n->out[k]] =
          need && !(n->op->flags & VK_OP_NO_GRAD) && in->value[n->out[k]].dtype != VK_I32;
      is_boundary = is_boundary || in->value[n->out[k]].is_boundary;
    }
    n_boundary += is_boundary;
  }
  for (int v = 0; v < in->n_value; v++)
    t->again[v] = t->map[v];
  for (int i = 0; i < in->n_output; i++)
    if (in->output[i].is_external)
      vk_graph_output_external(t->g, in->output[i].name, t->map[in->output[i].value]);
    else
      vk_graph_output(t->g, in->output[i].name, t->map[in->output[i].value]);
  return vk_graph_check(t->g, err);
}

/* Adds the nodes of one stretch a second time; values at its boundaries are read where they lie. */
static void compute_again(tape *t, int stretch)
{
  const vk_graph *in = t->in;
  for (int i = 0; i < in->n_node; i++) {
    const vk_node *n = &in->node[i];
    if (t->stretch[i] != stretch)
      continue;
    vk_in input = {.n = n->n_in};
    for (int k = 0; k < n->n_in; k++)
      input.id[k] = n->in[k] == VK_NONE ? VK_NONE : t->again[n->in[k]];
    vk_attrs attr = n->attr;
    attr.replay = 1; /* else a pass that runs after this one might take it for the first */
    vk_graph_place(t->g, "%s", n->place);
    vk_id first = vk_apply(t->g, n->op, input, attr);
    for (int k = 0; k < n->n_out && first != VK_NONE; k++)
      if (!in->value[n->out[k]].is_boundary)
        t->again[n->out[k]] = vk_graph_out(t->g, first, k);
  }
}

/* A bias may be [1, n] where a rule makes [n]. */
static vk_id shape_as(tape *t, vk_id dx, const vk_shape *s)
{
  const vk_shape *have = &t->g->value[dx].shape;
  if (vk_shape_equal(have, s) || vk_shape_n_item(have) != vk_shape_n_item(s) || s->n_dim == 0)
    return dx;
  return VK_APPLY(t->g, reshape, VK_IN(dx), .count = s->n_dim == 1 ? 0 : vk_shape_last(s),
                  .group = s->n_dim == 3 ? s->dim[1] : 0, .height = s->n_dim == 4 ? s->dim[1] : 0,
                  .width = s->n_dim == 4 ? s->dim[2] : 0);
}

/* Adds dx to the gradient by value v of the forward pass. */
static void add_gradient(tape *t, vk_id v, vk_id dx)
{
  dx = shape_as(t, dx, &t->in->value[v].shape);
  if (t->dy[v] == VK_NONE)
    t->dy[v] = dx;
  else
    t->dy[v] = VK_APPLY(t->g, add, VK_IN(t->dy[v], dx), .scale = 1);
}

static vk_status backward_node(tape *t, int i, vk_err *err)
{
  const vk_node *old = &t->in->node[i];
  vk_node n = *old;
  vk_id dy[VK_NODE_OUT_MAX], dx[VK_NODE_IN_MAX];
  bool need[VK_NODE_IN_MAX], has_dy = false, has_need = false;
  for (int k = 0; k < n.n_out; k++) {
    dy[k] = t->dy[old->out[k]];
    n.out[k] = t->again[old->out[k]];
    has_dy = has_dy || dy[k] != VK_NONE;
  }
  for (int k = 0; k < n.n_in; k++) {
    dx[k] = VK_NONE;
    need[k] = old->in[k] != VK_NONE && t->need[old->in[k]];
    n.in[k] = old->in[k] == VK_NONE ? VK_NONE : t->again[old->in[k]];
    has_need = has_need || need[k];
  }
  if (!has_dy || !has_need)
    return VK_OK;
  for (int k = 1; k < n.n_out; k++)
    if (dy[k] != VK_NONE)
      return vk_fail(err, VK_E_UNSUPPORTED, "%s: output %d of %s has no gradient", n.place, k,
                     n.op->name);
  if (!n.op->grad)
    return n.op->flags & VK_OP_NO_GRAD
               ? VK_OK
               : vk_fail(err, VK_E_UNSUPPORTED, "%s: op %s has no gradient", n.place, n.op->name);
  vk_graph_place(t->g, "%s", n.place);
  n.op->grad(&(vk_grad){.g = t->g, .node = &n, .dy = dy, .need = need, .dx = dx});
  VK_TRY(vk_graph_check(t->g, err));
  for (int k = 0; k < n.n_in; k++)
    if (need[k] && dx[k] != VK_NONE)
      add_gradient(t, old->in[k], dx[k]);
  return vk_graph_check(t->g, err);
}

/* The gradient by parameter v, which the loss does not depend on. */
static vk_status add_zeros(tape *t, vk_id v, vk_id *dx, vk_err *err)
{
  const vk_value *p = &t->in->value[v];
  char name[NAME_MAX_BYTES];
  snprintf(name, sizeof name, "zero.%s", p->name);
  void *zeros = calloc(1, vk_value_bytes(p) + 1);
  if (!zeros)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for its gradient", t->in->name);
  *dx = vk_graph_const(t->g, name, VK_F32, p->shape, zeros);
  free(zeros);
  return vk_graph_check(t->g, err);
}

static vk_status add_outputs(tape *t, const vk_autodiff_args *args, vk_err *err)
{
  char name[NAME_MAX_BYTES];
  for (vk_id v = 0; v < t->in->n_value; v++) {
    const vk_value *p = &t->in->value[v];
    if (p->kind != VK_PARAM || p->is_frozen)
      continue;
    if (strlen(p->name) + sizeof "grad." > sizeof name)
      return vk_fail(err, VK_E_RANGE, "the name of parameter %.60s... has more than %d bytes",
                     p->name, NAME_MAX_BYTES - 8);
    vk_graph_place(t->g, "grad");
    vk_id dx = t->dy[v];
    if (dx == VK_NONE)
      VK_TRY(add_zeros(t, v, &dx, err));
    if (args->accumulate) {
      snprintf(name, sizeof name, "sum.%s", p->name);
      vk_id sum = vk_graph_input_external(t->g, name, VK_F32, p->shape);
      dx = VK_APPLY(t->g, add, VK_IN(sum, dx), .scale = 1);
    }
    VK_TRY(vk_graph_check(t->g, err));
    snprintf(name, sizeof name, "grad.%s", p->name);
    vk_graph_output_external(t->g, name, dx);
  }
  return vk_graph_check(t->g, err);
}

static vk_status differentiate(tape *t, const vk_autodiff_args *args, vk_err *err)
{
  const vk_graph *in = t->in;
  vk_id loss = vk_graph_find_output(in, args->loss);
  if (loss == VK_NONE)
    return vk_fail(err, VK_E_NOTFOUND, "%s: no output is named \"%s\"", in->name, args->loss);
  const vk_value *v = &in->value[loss];
  if (v->dtype != VK_F32 || vk_shape_n_item(&v->shape) != 1)
    return vk_fail(err, VK_E_SHAPE, "%s: the loss %s must be one f32 number", in->name, args->loss);
  VK_TRY(copy_forward(t, err));
  const float one = 1;
  t->dy[loss] = vk_graph_const(t->g, "grad.one", VK_F32, v->shape, &one);
  int now = in->n_node ? t->stretch[in->n_node - 1] : 0;
  for (int i = in->n_node - 1; i >= 0; i--) {
    if (args->recompute && t->stretch[i] != now) {
      now = t->stretch[i];
      compute_again(t, now);
    }
    VK_TRY(backward_node(t, i, err));
  }
  return add_outputs(t, args, err);
}

vk_status vk_autodiff(vk_graph *out, const vk_graph *in, const vk_autodiff_args *args, vk_err *err)
{
  size_t n = (size_t)in->n_value + 1, n_node = (size_t)in->n_node + 1;
  vk_graph_copy_frame(out, in);
  vk_id *ids = malloc(3 * n * sizeof *ids);
  tape t = {.g = out, .in = in, .need = calloc(n, 1), .stretch = calloc(n_node, sizeof(int))};
  vk_status st = VK_OK;
  if (!ids || !t.need || !t.stretch) {
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for its gradient", in->name);
  } else {
    t.map = ids;
    t.again = ids + n;
    t.dy = ids + 2 * n;
    memset(ids, 0xff, 3 * n * sizeof *ids); /* VK_NONE */
    st = differentiate(&t, args, err);
  }
  free(ids);
  free(t.need);
  free(t.stretch);
  return st;
}
