#include "nn/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/exec_internal.h"
#include "nn/graph_dump.h"

/* Shapes of this run, and where data lies. */
static void update_steps(vk_exec *x)
{
  const vk_graph *g = &x->plan->graph;
  for (int i = 0; i < x->n_step; i++) {
    vk_exec_step *s = &x->step[i];
    const vk_node *n = &g->node[s->i_node];
    for (int k = 0; k < n->n_in + n->n_out; k++) {
      vk_id v = k < n->n_in ? n->in[k] : n->out[k - n->n_in];
      if (v == VK_NONE)
        continue;
      s->tensor[k].shape = vk_value_shape(&g->value[v], x->size);
      s->tensor[k].data = x->data[v];
    }
  }
}

static void add_steps(vk_exec *x)
{
  const vk_graph *g = &x->plan->graph;
  char name[VK_VALUE_TEXT];
  for (int i = 0; i < g->n_node; i++) {
    const vk_node *n = &g->node[i];
    if (n->op->flags & VK_OP_VIEW)
      continue;
    vk_exec_step *s = &x->step[x->n_step++];
    *s = (vk_exec_step){.run = vk_op_kernel(n->op, x->plan->target.isa),
                        .n_phase = n->op->n_phase ? n->op->n_phase : 1,
                        .i_node = i,
                        .is_once = x->plan->is_once[i]};
    if (x->trace)
      s->name = vk_trace_keep(x->trace, vk_graph_value_name(g, n->out[0], name));
    if (!s->name)
      s->name = n->op->name;
    s->call = vk_plan_call(x->plan, i, NULL, s->tensor, s->tensor + n->n_in);
    s->call.n_part = x->plan->target.n_thread;
    s->call.in = s->tensor;
    s->call.out = s->tensor + n->n_in;
    s->call.scratch = (s->is_once ? x->once : x->arena) + x->plan->scratch[i];
  }
}

static void place_values(vk_exec *x)
{
  const vk_graph *g = &x->plan->graph;
  for (int v = 0; v < g->n_value; v++) {
    size_t offset = x->plan->place[v].offset;
    switch (x->plan->place[v].where) {
    case VK_WHERE_ARENA:
      x->data[v] = x->arena + offset;
      break;
    case VK_WHERE_ONCE:
      x->data[v] = x->once + offset;
      break;
    case VK_WHERE_HELD:
      x->data[v] = x->held + offset;
      break;
    case VK_WHERE_CONST:
      if (!x->data[v])
        x->data[v] = (void *)(uintptr_t)g->value[x->plan->place[v].root].data;
      break;
    case VK_WHERE_BOUND:
    case VK_WHERE_NOWHERE:
      break;
    }
  }
}

vk_status vk_exec_new(vk_exec **out, const vk_plan *plan, const vk_device *device, vk_trace *trace,
                      vk_err *err)
{
  const vk_graph *g = &plan->graph;
  VK_ASSERT(device->def == vk_target_device(&plan->target));
  *out = NULL;
  vk_exec *x = calloc(1, sizeof *x);
  if (!x)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for an executor", g->name);
  *x = (vk_exec){.plan = plan, .device = *device, .trace = trace};
  memcpy(x->size, g->sym_cap, sizeof x->size);
  x->data = calloc((size_t)g->n_value + 1, sizeof *x->data);
  x->host = calloc((size_t)g->n_value + 1, sizeof *x->host);
  x->is_ignored = calloc((size_t)g->n_value + 1, sizeof *x->is_ignored);
  x->node_s = calloc((size_t)g->n_node + 1, sizeof *x->node_s);
  x->step = calloc((size_t)g->n_node + 1, sizeof *x->step);
  vk_status st = VK_OK;
  if (!x->data || !x->host || !x->is_ignored || !x->step || !x->node_s)
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for an executor", g->name);
  if (st == VK_OK)
    st = device->def->exec_open(x, err);
  if (st != VK_OK) {
    vk_exec_free(x);
    return st;
  }
  place_values(x);
  add_steps(x);
  update_steps(x);
  *out = x;
  return VK_OK;
}

void vk_exec_free(vk_exec *x)
{
  if (!x)
    return;
  x->device.def->exec_close(x);
  free(x->data);
  free(x->host);
  free(x->is_ignored);
  free(x->node_s);
  free(x->step);
  free(x);
}

void vk_exec_bind(vk_exec *x, vk_id value, void *data)
{
  const vk_graph *g = &x->plan->graph;
  VK_ASSERT(value >= 0 && value < g->n_value && (uintptr_t)data % 64 == 0);
  if (x->plan->place[value].where == VK_WHERE_NOWHERE)
    return;
  VK_ASSERT(x->plan->place[value].where == VK_WHERE_BOUND && x->plan->place[value].root == value);
  x->is_prepared = false;
  for (int v = 0; v < g->n_value; v++)
    if (x->plan->place[v].root == value)
      x->data[v] = data;
  update_steps(x);
  x->device.def->exec_changed(x);
}

void *vk_exec_data(const vk_exec *x, vk_id value)
{
  VK_ASSERT(value >= 0 && value < x->plan->graph.n_value);
  return x->host[value] ? x->host[value] : x->data[value];
}

vk_shape vk_exec_shape(const vk_exec *x, vk_id value)
{
  return vk_value_shape(&x->plan->graph.value[value], x->size);
}

void vk_exec_set_size(vk_exec *x, int sym, int64_t n)
{
  const vk_graph *g = &x->plan->graph;
  VK_ASSERT(sym >= 0 && sym < g->n_sym && n >= 0 && n <= g->sym_cap[sym]);
  if (x->size[sym] == n)
    return;
  x->size[sym] = n;
  update_steps(x);
}

/* The value's name is that of the output where it is one: a gradient is made by some node. */
VK_NORETURN static void fail_unbound(const vk_exec *x, vk_id v)
{
  const vk_graph *g = &x->plan->graph;
  const char *name = g->value[v].name;
  char text[256];
  for (int i = 0; i < g->n_output; i++)
    if (g->output[i].value == v)
      name = g->output[i].name;
  snprintf(text, sizeof text, "is_bound(\"%s\") of %s", name, g->name);
  vk_assert_failed(text, __FILE__, __LINE__);
}

static vk_status wait_for(vk_exec *x, vk_err *err)
{
  x->is_started = false;
  return x->device.def->exec_wait ? x->device.def->exec_wait(x, err) : VK_OK;
}

vk_status vk_exec_prepare(vk_exec *x, vk_err *err)
{
  const vk_graph *g = &x->plan->graph;
  VK_ASSERT(!x->is_started);
  for (int v = 0; v < g->n_value; v++)
    if (x->plan->place[v].where == VK_WHERE_BOUND && !x->data[v])
      fail_unbound(x, v);
  VK_TRY(x->device.def->exec_start(x, true, err));
  VK_TRY(wait_for(x, err));
  x->is_prepared = true;
  return VK_OK;
}

vk_status vk_exec_send(vk_exec *x, vk_err *err)
{
  VK_ASSERT(x->plan->target.is_train);
  if (x->device.def->exec_send)
    VK_TRY(x->device.def->exec_send(x, err));
  x->is_sent = true;
  return VK_OK;
}

vk_status vk_exec_start(vk_exec *x, vk_err *err)
{
  VK_ASSERT(x->is_prepared && !x->is_started);
  VK_TRY(x->device.def->exec_start(x, false, err));
  x->is_sent = false;
  x->is_started = true;
  return VK_OK;
}

vk_status vk_exec_wait(vk_exec *x, vk_err *err)
{
  return x->is_started ? wait_for(x, err) : VK_OK;
}

vk_status vk_exec_run(vk_exec *x, vk_err *err)
{
  VK_TRY(vk_exec_start(x, err));
  return vk_exec_wait(x, err);
}

bool vk_exec_is_busy(const vk_exec *x)
{
  return x->is_started && x->device.def->exec_is_busy && x->device.def->exec_is_busy((vk_exec *)x);
}

void vk_exec_ignore(vk_exec *x, vk_id value)
{
  VK_ASSERT(value >= 0 && value < x->plan->graph.n_value);
  x->is_ignored[value] = true;
  x->device.def->exec_changed(x);
}

void vk_exec_time_nodes(vk_exec *x, bool on)
{
  x->is_timed = on;
}

double vk_exec_node_s(const vk_exec *x, int i_node)
{
  return x->node_s[i_node];
}
