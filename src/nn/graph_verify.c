#include <string.h>

#include "nn/graph.h"
#include "nn/op.h"

static vk_status verify_node(const vk_graph *g, int i, vk_err *err)
{
  const vk_node *n = &g->node[i];
  if (n->n_in < 0 || n->n_in > VK_NODE_IN_MAX || n->n_out != n->op->n_out)
    return vk_fail(err, VK_E_MISMATCH, "%s: node %d (%s) has %d inputs and %d outputs", g->name, i,
                   n->op->name, n->n_in, n->n_out);
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
    if (v->dtype != out[k].dtype || !vk_shape_equal(&v->shape, &out[k].shape))
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

vk_status vk_graph_verify(const vk_graph *g, vk_err *err)
{
  if (g->status != VK_OK) {
    if (err)
      *err = g->err;
    return g->status;
  }
  for (int v = 0; v < g->n_value; v++) {
    const vk_value *a = &g->value[v];
    if (a->kind == VK_RESULT && (a->node < 0 || a->node >= g->n_node))
      return vk_fail(err, VK_E_MISMATCH, "%s: value %d (%s) has no node", g->name, v, a->name);
    if (a->kind == VK_CONST && !a->data)
      return vk_fail(err, VK_E_MISMATCH, "%s: constant %s has no data", g->name, a->name);
  }
  for (int i = 0; i < g->n_node; i++)
    VK_TRY(verify_node(g, i, err));
  for (int i = 0; i < g->n_output; i++)
    if (g->output[i].value < 0 || g->output[i].value >= g->n_value)
      return vk_fail(err, VK_E_MISMATCH, "%s: output %s is no value", g->name, g->output[i].name);
  return VK_OK;
}
