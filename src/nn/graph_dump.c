#include "nn/graph_dump.h"

#include <stdarg.h>
#include <string.h>

#include "nn/op.h"

/* Adds to text at *at, at most to its end. */
VK_PRINTF(3, 4)
static void add(char text[VK_VALUE_TEXT], size_t *at, const char *format, ...)
{
  va_list ap;
  va_start(ap, format);
  int n = vsnprintf(text + *at, VK_VALUE_TEXT - *at, format, ap);
  va_end(ap);
  *at += n > 0 ? (size_t)n : 0;
  *at = *at < VK_VALUE_TEXT - 1 ? *at : VK_VALUE_TEXT - 1;
}

const char *vk_graph_value_name(const vk_graph *g, vk_id v, char buf[VK_VALUE_TEXT])
{
  const vk_value *a = &g->value[v];
  size_t at = 0;
  add(buf, &at, "%s", a->name);
  if (a->kind != VK_RESULT)
    return buf;
  int n = 1;
  for (int i = 0; i < a->node; i++)
    n += g->node[i].op == g->node[a->node].op && !strcmp(g->node[i].place, g->node[a->node].place);
  if (n > 1)
    add(buf, &at, "#%d", n);
  if (a->i_out)
    add(buf, &at, ":%d", a->i_out);
  return buf;
}

const char *vk_graph_value_shape(const vk_graph *g, vk_id v, char buf[VK_VALUE_TEXT])
{
  return vk_value_shape_text(g, &g->value[v], buf);
}

/* Whole numbers and doubles are printed alike: those of VK_ATTRS are exact in 9 digits. */
static void add_attr(char buf[VK_VALUE_TEXT], size_t *at, const vk_graph *g, const char *name,
                     double x)
{
  if (x == 0)
    return;
  int64_t i = (int64_t)x;
  if (strcmp(name, "act") == 0 && i == VK_ACT_GELU)
    add(buf, at, " act=gelu");
  else if (strcmp(name, "act") == 0 && i == VK_ACT_GELU_GRAD)
    add(buf, at, " act=gelu_grad");
  else if (strcmp(name, "isa") == 0 && i > 0 && i < VK_ISA_N)
    add(buf, at, " isa=%s", vk_isa_name((vk_isa)i));
  else if (strcmp(name, "isa") == 0 && i == VK_PATH_GPU)
    add(buf, at, " isa=gpu");
  else if ((!strcmp(name, "dtype") || !strcmp(name, "store")) && i > 0 && i < VK_DTYPE_N)
    add(buf, at, " %s=%s", name, vk_dtype_name((vk_dtype)i));
  else if (strcmp(name, "sym") == 0 && i > 0 && i < g->n_sym)
    add(buf, at, " sym=%s", g->sym[i]);
  else
    add(buf, at, " %s=%.9g", name, x);
}

const char *vk_graph_attr_text(const vk_graph *g, const vk_node *n, char buf[VK_VALUE_TEXT])
{
  size_t at = 0;
  buf[0] = 0;
#define X(type, name, what) add_attr(buf, &at, g, #name, (double)n->attr.name);
  VK_ATTRS(X)
#undef X
  return buf;
}

static void dump_leaf(const vk_graph *g, vk_id v, FILE *out)
{
  static const char *const kind[] = {"input", "param", "const"};
  const vk_value *a = &g->value[v];
  char shape[VK_VALUE_TEXT];
  fprintf(out, "%s %s %s %s%s%s\n", kind[a->kind], a->name, vk_dtype_name(a->dtype),
          vk_graph_value_shape(g, v, shape), a->is_frozen ? " frozen" : "",
          a->is_external ? " external" : "");
}

static void dump_node(const vk_graph *g, const vk_node *n, FILE *out)
{
  char name[VK_VALUE_TEXT], shape[VK_VALUE_TEXT], attr[VK_VALUE_TEXT];
  for (int k = 0; k < n->n_out; k++) {
    const vk_value *v = &g->value[n->out[k]];
    if (k > 0 && vk_shape_n_item(&v->shape) == 0)
      continue;
    fprintf(out, "%s%s %s %s%s%s", k ? ", " : "", vk_graph_value_name(g, n->out[k], name),
            vk_dtype_name(v->dtype), vk_graph_value_shape(g, n->out[k], shape),
            v->order == VK_ORDER_PANELS ? " panels" : "", v->is_boundary ? " boundary" : "");
  }
  fprintf(out, " = %s(", n->op->name);
  for (int k = 0; k < n->n_in; k++) {
    if (n->in[k] == VK_NONE)
      fprintf(out, "%snone", k ? ", " : "");
    else
      fprintf(out, "%s%s %s", k ? ", " : "", vk_graph_value_name(g, n->in[k], name),
              vk_graph_value_shape(g, n->in[k], shape));
  }
  fprintf(out, ")%s\n", vk_graph_attr_text(g, n, attr));
}

void vk_graph_dump(const vk_graph *g, FILE *out)
{
  char name[VK_VALUE_TEXT];
  fprintf(out, "graph %s\n", g->name);
  for (int i = 0; i < g->n_sym; i++)
    fprintf(out, "symbol %s %lld\n", g->sym[i], (long long)g->sym_cap[i]);
  for (int kind = VK_INPUT; kind < VK_RESULT; kind++)
    for (vk_id v = 0; v < g->n_value; v++)
      if ((int)g->value[v].kind == kind)
        dump_leaf(g, v, out);
  for (int i = 0; i < g->n_node; i++)
    dump_node(g, &g->node[i], out);
  for (int i = 0; i < g->n_output; i++)
    fprintf(out, "output %s = %s%s\n", g->output[i].name,
            vk_graph_value_name(g, g->output[i].value, name),
            g->output[i].is_external ? " external" : "");
}
