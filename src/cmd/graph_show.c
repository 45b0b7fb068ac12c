#include "cmd/graph_show.h"

#include <stdio.h>
#include <string.h>

#include "nn/graph_dump.h"
#include "nn/op.h"

/* "1.23 M": three digits and a factor of a thousand. Returns buf. */
static const char *short_number(double x, char buf[16])
{
  static const char unit[] = " kMGT";
  int u = 0;
  for (; x >= 999.5 && u < 4; u++)
    x /= 1000;
  snprintf(buf, 16, "%.*f %c", u == 0 || x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2, x, unit[u]);
  return buf;
}

static vk_cost node_cost(const vk_plan *plan, int i)
{
  vk_tensor in[VK_NODE_IN_MAX], out[VK_NODE_OUT_MAX];
  vk_op_call call = vk_plan_call(plan, i, NULL, in, out);
  return vk_op_cost(plan->graph.node[i].op, &call);
}

/* Of nodes that run every time. */
static vk_cost total_cost(const vk_plan *plan)
{
  vk_cost sum = {0};
  for (int i = 0; i < plan->graph.n_node; i++) {
    if (plan->is_once[i] || plan->graph.node[i].op->flags & VK_OP_VIEW)
      continue;
    vk_cost c = node_cost(plan, i);
    sum.macs += c.macs;
    sum.bytes += c.bytes;
  }
  return sum;
}

/* ---- for people ---------------------------------------------------------------------------- */

static void print_nodes(const vk_plan *plan)
{
  const vk_graph *g = &plan->graph;
  int w_place = 5, w_op = 2, w_shape = 6;
  char shape[VK_VALUE_TEXT], attr[VK_VALUE_TEXT], macs[16], bytes[16];
  for (int i = 0; i < g->n_node; i++) {
    int place = (int)strlen(g->node[i].place), op = (int)strlen(g->node[i].op->name);
    int n = (int)strlen(vk_graph_value_shape(g, g->node[i].out[0], shape));
    w_place = place > w_place ? place : w_place;
    w_op = op > w_op ? op : w_op;
    w_shape = n > w_shape ? n : w_shape;
  }
  printf("%4s  %-*s  %-*s  %-*s  %8s  %8s\n", "node", w_place, "place", w_op, "op", w_shape,
         "output", "MACs", "bytes");
  for (int i = 0; i < g->n_node; i++) {
    const vk_node *n = &g->node[i];
    vk_cost c = node_cost(plan, i);
    bool is_view = (n->op->flags & VK_OP_VIEW) != 0;
    printf("%4d  %-*s  %-*s  %-*s  %8s  %8s", i, w_place, n->place, w_op, n->op->name, w_shape,
           vk_graph_value_shape(g, n->out[0], shape), c.macs > 0 ? short_number(c.macs, macs) : "",
           is_view ? "" : short_number(c.bytes, bytes));
    printf("%s%s\n",
           plan->is_once[i] ? "  once"
           : is_view        ? "  view"
                            : "",
           vk_graph_attr_text(g, n, attr));
  }
}

static void print_parameters(const vk_graph *g)
{
  char text[16], bytes[16];
  double n_item = 0, n_frozen = 0;
  int n = 0;
  for (int v = 0; v < g->n_value; v++) {
    if (g->value[v].kind != VK_PARAM)
      continue;
    n++;
    n_item += (double)vk_shape_n_item(&g->value[v].shape);
    n_frozen += g->value[v].is_frozen ? (double)vk_shape_n_item(&g->value[v].shape) : 0;
  }
  printf("parameters   %.0f in %d tensors, %sB", n_item, n, short_number(4 * n_item, bytes));
  if (n_frozen > 0)
    printf("; %sof them are frozen", short_number(n_frozen, text));
  puts("");
}

static void print_memory(const vk_plan *plan)
{
  const vk_memory_plan *m = &plan->memory;
  const vk_graph *g = &plan->graph;
  char text[16], more[16], shape[VK_VALUE_TEXT], name[VK_VALUE_TEXT];
  printf("arena        %sB, strategy %s; at least %sB are alive at once: efficiency %.2f %%\n",
         short_number((double)m->peak, text), vk_memory_strategy_name(m->strategy),
         short_number((double)m->lower_bound, more), 100 * m->efficiency);
  printf("             without reuse %sB; by", short_number((double)m->total, text));
  for (int s = 0; s < VK_MEMORY_N_STRATEGY; s++)
    printf("%s %s %sB", s ? "," : "", vk_memory_strategy_name((vk_memory_strategy)s),
           short_number((double)m->strategy_peak[s], text));
  printf("\nbeside it    %sB computed once, %sB of inputs and outputs\n",
         short_number((double)plan->once_bytes, text),
         short_number((double)plan->held_bytes, more));
  if (m->n_live == 0)
    return;
  const vk_node *at = m->peak_step < g->n_node ? &g->node[m->peak_step] : NULL;
  printf("fullest at   node %d%s%s%s%s, where these are the largest:\n", (int)m->peak_step,
         at ? ", " : "", at ? at->place : "", at && at->place[0] ? " " : "",
         at ? at->op->name : "");
  for (int i = 0; i < m->n_live && i < 8; i++) {
    vk_id v = plan->block[m->live[i]];
    printf("%8sB    ", short_number((double)plan->block_bytes[m->live[i]], text));
    if (v == VK_NONE)
      puts("scratch of that node");
    else
      printf("%s %s\n", vk_graph_value_name(g, v, name), vk_graph_value_shape(g, v, shape));
  }
}

void vk_graph_show_print(const vk_plan *plan, const char *asked)
{
  char macs[16], bytes[16];
  vk_cost c = total_cost(plan);
  const vk_graph *g = &plan->graph;
  printf("%s: %s, %s, %d thread%s\n\n", g->name, asked, vk_isa_name(plan->target.isa),
         plan->target.n_thread, vk_plural(plan->target.n_thread));
  print_nodes(plan);
  printf("\nnodes        %d; a full run has %s multiply-adds and moves %sB\n", g->n_node,
         short_number(c.macs, macs), short_number(c.bytes, bytes));
  print_parameters(g);
  print_memory(plan);
}

/* ---- for programs -------------------------------------------------------------------------- */

static cJSON *node_json(const vk_plan *plan, int i)
{
  const vk_graph *g = &plan->graph;
  const vk_node *n = &g->node[i];
  char text[VK_VALUE_TEXT];
  vk_cost c = node_cost(plan, i);
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "name", vk_graph_value_name(g, n->out[0], text));
  cJSON_AddStringToObject(o, "place", n->place);
  cJSON_AddStringToObject(o, "op", n->op->name);
  cJSON *shape = cJSON_AddArrayToObject(o, "shape");
  for (int k = 0; k < g->value[n->out[0]].shape.n_dim; k++)
    cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)g->value[n->out[0]].shape.dim[k]));
  cJSON_AddStringToObject(o, "dtype", vk_dtype_name(g->value[n->out[0]].dtype));
  cJSON_AddNumberToObject(o, "macs", c.macs);
  cJSON_AddNumberToObject(o, "bytes", n->op->flags & VK_OP_VIEW ? 0 : c.bytes);
  cJSON_AddBoolToObject(o, "once", plan->is_once[i]);
  return o;
}

static void add_memory(cJSON *object, const vk_plan *plan)
{
  const vk_memory_plan *m = &plan->memory;
  char text[VK_VALUE_TEXT];
  cJSON_AddNumberToObject(object, "bytes_planned", (double)m->peak);
  cJSON_AddNumberToObject(object, "bytes_lower_bound", (double)m->lower_bound);
  cJSON_AddNumberToObject(object, "efficiency", m->efficiency);
  cJSON_AddStringToObject(object, "strategy", vk_memory_strategy_name(m->strategy));
  cJSON *s = cJSON_AddObjectToObject(object, "strategies");
  for (int i = 0; i < VK_MEMORY_N_STRATEGY; i++)
    cJSON_AddNumberToObject(s, vk_memory_strategy_name((vk_memory_strategy)i),
                            (double)m->strategy_peak[i]);
  cJSON_AddNumberToObject(object, "bytes_without_reuse", (double)m->total);
  cJSON_AddNumberToObject(object, "bytes_once", (double)plan->once_bytes);
  cJSON_AddNumberToObject(object, "bytes_held", (double)plan->held_bytes);
  cJSON *largest = cJSON_AddArrayToObject(object, "largest");
  for (int i = 0; i < m->n_live && i < 8; i++) {
    vk_id v = plan->block[m->live[i]];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name",
                            v == VK_NONE ? "scratch" : vk_graph_value_name(&plan->graph, v, text));
    cJSON_AddNumberToObject(o, "bytes", (double)plan->block_bytes[m->live[i]]);
    cJSON_AddItemToArray(largest, o);
  }
}

void vk_graph_show_add_json(cJSON *object, const vk_plan *plan)
{
  const vk_graph *g = &plan->graph;
  vk_cost c = total_cost(plan);
  double n_item = 0;
  for (int v = 0; v < g->n_value; v++)
    if (g->value[v].kind == VK_PARAM)
      n_item += (double)vk_shape_n_item(&g->value[v].shape);
  cJSON_AddNumberToObject(object, "nodes", g->n_node);
  cJSON_AddNumberToObject(object, "macs", c.macs);
  cJSON_AddNumberToObject(object, "bytes_moved", c.bytes);
  cJSON_AddNumberToObject(object, "parameters", n_item);
  add_memory(object, plan);
  cJSON *list = cJSON_AddArrayToObject(object, "node_list");
  for (int i = 0; i < g->n_node; i++)
    cJSON_AddItemToArray(list, node_json(plan, i));
}

/* ---- ops ----------------------------------------------------------------------------------- */

/* Where an op may be used and what it has: "gradient in-place". Returns buf. */
static const char *op_traits(const vk_op_def *op, char buf[64])
{
  snprintf(buf, 64, "%s%s%s%s", op->grad ? "gradient " : "", op->in_place ? "in-place " : "",
           op->flags & VK_OP_VIEW ? "view " : "", op->flags & VK_OP_HIDDEN ? "passes-only" : "");
  return buf;
}

/* "scalar avx2 avx512": paths whose kernels differ; a view has none. Returns buf. */
static const char *op_paths(const vk_op_def *op, char buf[64])
{
  size_t at = 0;
  buf[0] = 0;
  for (int isa = 0; isa < VK_ISA_N && !(op->flags & VK_OP_VIEW); isa++)
    if (isa == 0 || vk_op_kernel(op, (vk_isa)isa) != vk_op_kernel(op, (vk_isa)(isa - 1)))
      at += (size_t)snprintf(buf + at, 64 - at, "%s%s", at ? " " : "", vk_isa_name((vk_isa)isa));
  return buf;
}

void vk_graph_ops_print(void)
{
  char traits[64], paths[64];
  for (int i = 0; i < vk_op_count(); i++) {
    const vk_op_def *op = vk_ops[i];
    printf("%-14s %s\n", op->name, op->help);
    printf("%-14s   %s; %s\n", "", op_traits(op, traits)[0] ? traits : "no gradient",
           op_paths(op, paths)[0] ? paths : "no kernel");
    if (op->rtol > 0 || op->atol > 0)
      printf("%-14s   off by at most %.2g + %.2g |y|: %s\n", "", op->atol, op->rtol, op->tolerance);
    else
      printf("%-14s   %s\n", "", op->tolerance);
  }
}

void vk_graph_ops_add_json(cJSON *object)
{
  char paths[64];
  cJSON *list = cJSON_AddArrayToObject(object, "ops");
  for (int i = 0; i < vk_op_count(); i++) {
    const vk_op_def *op = vk_ops[i];
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", op->name);
    cJSON_AddStringToObject(o, "help", op->help);
    cJSON_AddNumberToObject(o, "inputs_min", op->n_in_min);
    cJSON_AddNumberToObject(o, "inputs_max", op->n_in_max);
    cJSON_AddNumberToObject(o, "outputs", op->n_out);
    cJSON_AddBoolToObject(o, "gradient", op->grad != NULL);
    cJSON_AddBoolToObject(o, "passes_only", (op->flags & VK_OP_HIDDEN) != 0);
    cJSON_AddNumberToObject(o, "rtol", op->rtol);
    cJSON_AddNumberToObject(o, "atol", op->atol);
    cJSON_AddStringToObject(o, "tolerance", op->tolerance);
    cJSON_AddStringToObject(o, "paths", op_paths(op, paths));
    cJSON_AddItemToArray(list, o);
  }
}

/* ---- passes -------------------------------------------------------------------------------- */

void vk_graph_passes_print(void)
{
  for (int i = 0; i < vk_pass_count(); i++)
    printf("%-10s %s%s\n", vk_passes[i]->name, vk_passes[i]->help,
           vk_passes[i]->is_needed ? "; cannot be left out" : "");
}

void vk_graph_passes_add_json(cJSON *object)
{
  cJSON *list = cJSON_AddArrayToObject(object, "passes");
  for (int i = 0; i < vk_pass_count(); i++) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", vk_passes[i]->name);
    cJSON_AddStringToObject(o, "help", vk_passes[i]->help);
    cJSON_AddBoolToObject(o, "needed", vk_passes[i]->is_needed);
    cJSON_AddItemToArray(list, o);
  }
}
