#include <string.h>

#include "nn/graph.h"
#include "nn/op.h"

/* What must hold before anything of the node is read. */
static vk_status verify_frame(const vk_graph *g, int i, vk_err *err)
{
  const vk_node *n = &g->node[i];
  bool is_known = false;
  for (int k = 0; k < vk_op_count() && !is_known; k++)
    is_known = vk_ops[k] == n->op;
  if (!is_known || !n->place)
    return vk_fail(err, VK_E_MISMATCH, "%s: node %d has no op of the list, or no place", g->name,
                   i);
  if (n->n_in < 0 || n->n_in > VK_NODE_IN_MAX || n->n_out != n->op->n_out)
    return vk_fail(err, VK_E_MISMATCH, "%s: node %d (%s) has %d inputs and %d outputs", g->name, i,
                   n->op->name, n->n_in, n->n_out);
  return VK_OK;
}

static vk_status verify_leaf(const vk_graph *g, vk_id v, vk_err *err)
{
  const vk_value *a = &g->value[v];
  if (a->kind == VK_CONST && !a->data)
    return vk_fail(err, VK_E_MISMATCH, "%s: constant %s has no data", g->name, a->name);
  if (a->kind == VK_PARAM && a->dtype != VK_F32)
    return vk_fail(err, VK_E_MISMATCH, "%s: parameter %s is %s, expected f32", g->name, a->name,
                   vk_dtype_name(a->dtype));
  if (a->kind != VK_INPUT && a->extent.sym >= 0)
    return vk_fail(err, VK_E_SHAPE, "%s: %s has an extent, which only inputs and results have",
                   g->name, a->name);
  for (vk_id b = 0; b < v; b++)
    if (g->value[b].kind != VK_RESULT && strcmp(g->value[b].name, a->name) == 0)
      return vk_fail(err, VK_E_MISMATCH, "%s: %s is there twice", g->name, a->name);
  return VK_OK;
}

static vk_status verify_value(const vk_graph *g, vk_id v, vk_err *err)
{
  const vk_value *a = &g->value[v];
  if (!a->name || (unsigned)a->kind > VK_RESULT || (unsigned)a->dtype >= VK_DTYPE_N)
    return vk_fail(err, VK_E_MISMATCH, "%s: value %d has no name, kind or type", g->name, v);
  VK_TRY(vk_graph_check_shape(g, a->name, &a->shape, &a->extent, err));
  if (a->is_external && a->kind != VK_INPUT)
    return vk_fail(err, VK_E_MISMATCH, "%s: %s lies in memory of the caller, but is no input",
                   g->name, a->name);
  if (a->kind != VK_RESULT)
    return verify_leaf(g, v, err);
  if (a->node < 0 || a->node >= g->n_node || a->i_out < 0 || a->i_out >= g->node[a->node].n_out ||
      g->node[a->node].out[a->i_out] != v)
    return vk_fail(err, VK_E_MISMATCH, "%s: no node makes value %d (%s)", g->name, v, a->name);
  return VK_OK;
}

static vk_status verify_node(const vk_graph *g, int i, vk_err *err)
{
  const vk_node *n = &g->node[i];
  for (int k = 0; k < n->n_in; k++) {
    vk_id v = n->in[k];
    if (v == VK_NONE)
      continue;
    if (v < 0 || v >= g->n_value)
      return vk_fail(err, VK_E_MISMATCH, "%s: input %d of node %d (%s) is no value", g->name, k, i,
                     n->op->name);
    if (g->value[v].kind == VK_RESULT && g->value[v].node >= i)
      return vk_fail(err, VK_E_MISMATCH, "%s: node %d (%s) reads what a later node makes", g->name,
                     i, n->op->name);
  }
  vk_value out[VK_NODE_OUT_MAX];
  VK_TRY(vk_graph_infer(g, n, out, err));
  for (int k = 0; k < n->n_out; k++) {
    vk_id id = n->out[k];
    if (id < 0 || id >= g->n_value)
      return vk_fail(err, VK_E_MISMATCH, "%s: output %d of node %d is no value", g->name, k, i);
    const vk_value *v = &g->value[id];
    if (v->kind != VK_RESULT || v->node != i || v->i_out != k)
      return vk_fail(err, VK_E_MISMATCH, "%s: value %d does not know that node %d (%s) makes it",
                     g->name, id, i, n->op->name);
    char have[VK_SHAPE_TEXT], want[VK_SHAPE_TEXT];
    if (v->dtype != out[k].dtype || v->order != out[k].order ||
        !vk_shape_equal(&v->shape, &out[k].shape))
      return vk_fail(err, VK_E_SHAPE, "%s: %s: output %d of %s is %s %s, the op makes %s %s",
                     g->name, n->place, k, n->op->name, vk_shape_text(&v->shape, have),
                     vk_dtype_name(v->dtype), vk_shape_text(&out[k].shape, want),
                     vk_dtype_name(out[k].dtype));
    if (v->extent.sym != out[k].extent.sym ||
        (v->extent.sym >= 0 &&
         (v->extent.per != out[k].extent.per || v->extent.plus != out[k].extent.plus)))
      return vk_fail(err, VK_E_SHAPE,
                     "%s: %s: output %d of %s has another extent than the op gives", g->name,
                     n->place, k, n->op->name);
  }
  return VK_OK;
}

static vk_status verify_output(const vk_graph *g, int i, vk_err *err)
{
  const vk_output *o = &g->output[i];
  if (!o->name || o->value < 0 || o->value >= g->n_value)
    return vk_fail(err, VK_E_MISMATCH, "%s: output %d (%s) is no value", g->name, i,
                   o->name ? o->name : "without a name");
  const vk_value *v = &g->value[o->value];
  if (o->is_external && (v->kind != VK_RESULT || g->node[v->node].op->flags & VK_OP_VIEW))
    return vk_fail(err, VK_E_MISMATCH,
                   "%s: output %s cannot be written into memory of the caller: no kernel makes it",
                   g->name, o->name);
  for (int k = 0; k < i; k++) {
    if (strcmp(g->output[k].name, o->name) == 0)
      return vk_fail(err, VK_E_MISMATCH, "%s: output %s is there twice", g->name, o->name);
    if (g->output[k].value == o->value && (g->output[k].is_external || o->is_external))
      return vk_fail(err, VK_E_MISMATCH,
                     "%s: outputs %s and %s are one value, which lies in memory of the caller",
                     g->name, g->output[k].name, o->name);
  }
  return VK_OK;
}

vk_status vk_graph_verify(const vk_graph *g, vk_err *err)
{
  if (g->status != VK_OK) {
    if (err)
      *err = g->err;
    return g->status;
  }
  if (g->n_sym < 0 || g->n_sym > VK_SYM_MAX)
    return vk_fail(err, VK_E_MISMATCH, "%s: %d symbols, expected at most %d", g->name, g->n_sym,
                   VK_SYM_MAX);
  for (int s = 0; s < g->n_sym; s++)
    if (!g->sym[s] || g->sym_cap[s] < 0)
      return vk_fail(err, VK_E_MISMATCH, "%s: symbol %d has no name or no capacity", g->name, s);
  for (int i = 0; i < g->n_node; i++)
    VK_TRY(verify_frame(g, i, err));
  for (vk_id v = 0; v < g->n_value; v++)
    VK_TRY(verify_value(g, v, err));
  for (int i = 0; i < g->n_node; i++)
    VK_TRY(verify_node(g, i, err));
  for (int i = 0; i < g->n_output; i++)
    VK_TRY(verify_output(g, i, err));
  return VK_OK;
}
