#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "nn/op.h"

/* ---- what shape rules share ----------------------------------------------------------------- */

vk_status vk_op_fail(const vk_infer *c, vk_err *err, const char *format, ...)
{
  char text[256], in[400] = "", shape[VK_VALUE_TEXT];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  size_t at = 0;
  for (int i = 0; i < c->n_in && at < sizeof in; i++)
    at += (size_t)snprintf(in + at, sizeof in - at, "%s%s%s%s", i ? ", " : "",
                           c->in[i] ? vk_value_shape_text(c->graph, c->in[i], shape) : "none",
                           c->in[i] ? " " : "", c->in[i] ? vk_dtype_name(c->in[i]->dtype) : "");
  return vk_fail(err, VK_E_SHAPE, "%s%s%s of %s: %s", c->place, c->place[0] ? ": " : "",
                 c->op->name, in, text);
}

vk_status vk_op_need(const vk_infer *c, int i, vk_dtype dtype, int n_dim, vk_err *err)
{
  const vk_value *v = c->in[i];
  if (v->dtype != dtype)
    return vk_op_fail(c, err, "input %d must be %s", i, vk_dtype_name(dtype));
  if (v->order != VK_ORDER_ROWS)
    return vk_op_fail(c, err, "input %d must be row-major", i);
  if (n_dim && v->shape.n_dim != n_dim)
    return vk_op_fail(c, err, "input %d must have %d dimensions", i, n_dim);
  return VK_OK;
}

vk_status vk_op_need_alike(const vk_infer *c, int i, int j, vk_err *err)
{
  const vk_value *a = c->in[i], *b = c->in[j];
  if (a->dtype != b->dtype || !vk_shape_equal(&a->shape, &b->shape))
    return vk_op_fail(c, err, "inputs %d and %d must have the same shape and type", i, j);
  if (a->extent.sym != b->extent.sym ||
      (a->extent.sym >= 0 && (a->extent.per != b->extent.per || a->extent.plus != b->extent.plus)))
    return vk_op_fail(c, err, "inputs %d and %d must have the same extent", i, j);
  return VK_OK;
}

vk_status vk_op_need_fixed(const vk_infer *c, int i, vk_err *err)
{
  if (i < c->n_in && c->in[i] && c->in[i]->extent.sym >= 0)
    return vk_op_fail(c, err, "input %d must have as many rows in every run", i);
  return VK_OK;
}

vk_extent vk_op_extent(const vk_attrs *a)
{
  bool is_fixed = a->sym < 0 || (a->per == 0 && a->plus == 0);
  return is_fixed ? VK_NO_EXTENT : vk_graph_extent((int)a->sym, a->per, a->plus);
}

void vk_op_same(const vk_infer *c, int i_out, int i_in)
{
  c->out[i_out].dtype = c->in[i_in]->dtype;
  c->out[i_out].order = c->in[i_in]->order;
  c->out[i_out].shape = c->in[i_in]->shape;
  c->out[i_out].extent = c->in[i_in]->extent;
}

/* ---- a node's rule --------------------------------------------------------------------------- */

/* The name of an attribute that no op can mean, or NULL: whole numbers are counts, which products
 * of must not overflow, but for a symbol's -1 and the key of a generator. */
static const char *bad_attr(const vk_attrs *a)
{
#define X(type, name, what)                                                                        \
  if (!isfinite((double)a->name) ||                                                                \
      ((type)0.5 == 0 && (const void *)&a->name != (const void *)&a->seed &&                       \
       (a->name < ((const void *)&a->name == (const void *)&a->sym ? -1 : 0) ||                    \
        (double)a->name > INT32_MAX)))                                                             \
    return #name;
  VK_ATTRS(X)
#undef X
  return NULL;
}

vk_status vk_graph_infer(const vk_graph *g, const vk_node *n, vk_value *out, vk_err *err)
{
  vk_infer c = {
      .graph = g, .op = n->op, .place = n->place, .attr = &n->attr, .n_in = n->n_in, .out = out};
  for (int i = 0; i < n->n_in; i++)
    c.in[i] = n->in[i] == VK_NONE ? NULL : &g->value[n->in[i]];
  for (int i = 0; i < n->op->n_out; i++)
    out[i] = (vk_value){.name = "", .extent = VK_NO_EXTENT};
  if (n->n_in < n->op->n_in_min || n->n_in > n->op->n_in_max)
    return vk_op_fail(&c, err, "takes %d to %d inputs, has %d", n->op->n_in_min, n->op->n_in_max,
                      n->n_in);
  const char *bad = bad_attr(&n->attr);
  if (bad)
    return vk_op_fail(&c, err, "%s is no number that an attribute may have", bad);
  for (int i = 0; i < n->op->n_in_min; i++)
    if (!c.in[i])
      return vk_op_fail(&c, err, "input %d is missing", i);
  VK_TRY(n->op->infer(&c, err));
  for (int i = 0; i < n->op->n_out; i++)
    VK_TRY(vk_graph_check_shape(g, n->op->name, &out[i].shape, &out[i].extent, err));
  return VK_OK;
}
