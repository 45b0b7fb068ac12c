#include "nn/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What planning knows of a value beside its place. */
typedef struct life {
  int first, last; /* nodes; of a root: of all that share its memory */
  bool is_output;
} life;

typedef struct planner {
  vk_plan *p;
  life *life;             /* [n_value] */
  vk_memory_block *block; /* [n_value + n_node] */
  int n_block;
} planner;

static size_t round_up(size_t n)
{
  return (n + VK_MEMORY_ALIGN - 1) / VK_MEMORY_ALIGN * VK_MEMORY_ALIGN;
}

/* ---- which nodes run once ------------------------------------------------------------------ */

/* The caller may change what lies there between runs: gradients are clipped in place. */
static bool is_external_output(const vk_graph *g, vk_id v)
{
  for (int i = 0; i < g->n_output; i++)
    if (g->output[i].value == v && g->output[i].is_external)
      return true;
  return false;
}

static void find_once(vk_plan *p)
{
  const vk_graph *g = &p->graph;
  for (int i = 0; i < g->n_node; i++) {
    const vk_node *n = &g->node[i];
    bool is_once = true;
    for (int k = 0; k < n->n_in && is_once; k++) {
      if (n->in[k] == VK_NONE)
        continue;
      const vk_value *v = &g->value[n->in[k]];
      is_once = v->kind == VK_CONST || (v->kind == VK_PARAM && !p->target.is_train) ||
                (v->kind == VK_RESULT && p->is_once[v->node]);
    }
    for (int k = 0; k < n->n_out && is_once; k++)
      is_once = g->value[n->out[k]].extent.sym < 0 && !is_external_output(g, n->out[k]);
    p->is_once[i] = is_once;
  }
}

/* ---- where values lie ---------------------------------------------------------------------- */

static void find_lives(planner *a)
{
  const vk_graph *g = &a->p->graph;
  for (int v = 0; v < g->n_value; v++) {
    a->life[v].first = g->value[v].kind == VK_RESULT ? g->value[v].node : 0;
    a->life[v].last = g->value[v].kind == VK_RESULT ? g->value[v].node : -1;
    a->p->place[v].root = v;
  }
  for (int i = 0; i < g->n_node; i++)
    for (int k = 0; k < g->node[i].n_in; k++)
      if (g->node[i].in[k] != VK_NONE)
        a->life[g->node[i].in[k]].last = i;
  for (int i = 0; i < g->n_output; i++) {
    vk_id v = g->output[i].value;
    a->life[v].last = g->n_node;
    a->life[v].is_output = true;
    if (g->output[i].is_external)
      a->p->place[v].where = VK_WHERE_BOUND;
  }
}

static void place_roots(planner *a)
{
  vk_plan *p = a->p;
  const vk_graph *g = &p->graph;
  for (int v = 0; v < g->n_value; v++) {
    const vk_value *x = &g->value[v];
    vk_value_place *at = &p->place[v];
    if (at->where == VK_WHERE_BOUND)
      continue;
    if (x->kind == VK_RESULT)
      at->where = p->is_once[x->node] ? VK_WHERE_ONCE : VK_WHERE_ARENA;
    else if (a->life[v].last < 0)
      at->where = VK_WHERE_NOWHERE;
    else if (x->kind == VK_CONST)
      at->where = VK_WHERE_CONST;
    else
      at->where = x->kind == VK_PARAM || x->is_external ? VK_WHERE_BOUND : VK_WHERE_HELD;
  }
}

/* Value v uses the memory of root from now on. */
static void share(planner *a, vk_id v, vk_id root)
{
  a->p->place[v].root = root;
  a->p->place[v].where = a->p->place[root].where;
  if (a->life[v].last > a->life[root].last)
    a->life[root].last = a->life[v].last;
  a->life[root].is_output |= a->life[v].is_output;
}

/* Whether node i may write its output 0 over its input k. */
static bool can_overwrite(const planner *a, int i, int k)
{
  const vk_plan *p = a->p;
  const vk_node *n = &p->graph.node[i];
  if (k < 0 || k >= n->n_in || n->in[k] == VK_NONE || p->is_once[i])
    return false;
  vk_id root = p->place[n->in[k]].root, out = n->out[0];
  if (p->place[root].where != VK_WHERE_ARENA || p->place[out].where != VK_WHERE_ARENA ||
      a->life[root].last > i ||
      vk_value_bytes(&p->graph.value[root]) != vk_value_bytes(&p->graph.value[out]))
    return false;
  for (int j = 0; j < n->n_in; j++)
    if (j != k && n->in[j] != VK_NONE && p->place[n->in[j]].root == root)
      return false;
  return true;
}

static void share_memory(planner *a)
{
  const vk_graph *g = &a->p->graph;
  for (int i = 0; i < g->n_node; i++) {
    const vk_node *n = &g->node[i];
    if (n->op->flags & VK_OP_VIEW)
      share(a, n->out[0], a->p->place[n->in[0]].root);
    else if (can_overwrite(a, i, n->op->in_place - 1))
      share(a, n->out[0], a->p->place[n->in[n->op->in_place - 1]].root);
  }
}

static size_t put(size_t *used, size_t n)
{
  size_t at = *used;
  *used += round_up(n);
  return at;
}

vk_op_call vk_plan_call(const vk_plan *plan, int i_node, const int64_t *size, vk_tensor *in,
                        vk_tensor *out)
{
  const vk_graph *g = &plan->graph;
  const vk_node *n = &g->node[i_node];
  for (int k = 0; k < n->n_in + n->n_out; k++) {
    vk_id v = k < n->n_in ? n->in[k] : n->out[k - n->n_in];
    vk_tensor *t = k < n->n_in ? &in[k] : &out[k - n->n_in];
    *t = (vk_tensor){0};
    if (v != VK_NONE)
      *t = (vk_tensor){.dtype = g->value[v].dtype, .shape = vk_value_shape(&g->value[v], size)};
  }
  return (vk_op_call){.attr = &n->attr,
                      .n_in = n->n_in,
                      .n_out = n->n_out,
                      .in = in,
                      .out = out,
                      .n_part = plan->target.n_thread};
}

/* Blocks of the arena, and places in the other kinds of memory. */
static void make_blocks(planner *a)
{
  vk_plan *p = a->p;
  const vk_graph *g = &p->graph;
  for (int v = 0; v < g->n_value; v++) {
    vk_value_place *at = &p->place[v];
    if (at->root != v)
      continue;
    size_t bytes = vk_value_bytes(&g->value[v]);
    if (at->where == VK_WHERE_ONCE)
      at->offset = put(&p->once_bytes, bytes);
    else if (at->where == VK_WHERE_HELD)
      at->offset = put(&p->held_bytes, bytes);
    else if (at->where == VK_WHERE_ARENA) {
      p->block[a->n_block] = v;
      p->block_bytes[a->n_block] = bytes;
      a->block[a->n_block++] =
          (vk_memory_block){.bytes = bytes, .first = a->life[v].first, .last = a->life[v].last};
    }
  }
  for (int i = 0; i < g->n_node; i++) {
    const vk_op_def *op = g->node[i].op;
    vk_tensor in[VK_NODE_IN_MAX], out[VK_NODE_OUT_MAX];
    vk_op_call call = vk_plan_call(p, i, NULL, in, out);
    size_t bytes = vk_target_device(&p->target)->scratch(op, &call);
    if (p->is_once[i])
      p->scratch[i] = put(&p->once_bytes, bytes);
    else if (bytes) {
      p->block[a->n_block] = VK_NONE;
      p->block_bytes[a->n_block] = bytes;
      p->scratch[i] = (size_t)a->n_block + 1; /* until offsets are known */
      a->block[a->n_block++] = (vk_memory_block){.bytes = bytes, .first = i, .last = i};
    }
  }
}

static vk_status plan_arena(planner *a, vk_err *err)
{
  vk_plan *p = a->p;
  const vk_graph *g = &p->graph;
  VK_TRY(vk_arena_init(&p->memory_arena, "memory plan", vk_memory_plan_arena_bytes(a->n_block) + 64,
                       err));
  VK_TRY(vk_memory_plan_make(&p->memory, a->block, a->n_block, VK_MEMORY_ALIGN, &p->memory_arena,
                             err));
  p->arena_bytes = p->memory.peak;
  for (int b = 0; b < a->n_block; b++)
    if (p->block[b] != VK_NONE)
      p->place[p->block[b]].offset = p->memory.offset[b];
  for (int i = 0; i < g->n_node; i++)
    if (!p->is_once[i])
      p->scratch[i] = p->scratch[i] ? p->memory.offset[p->scratch[i] - 1] : 0;
  for (int v = 0; v < g->n_value; v++)
    p->place[v].offset = p->place[p->place[v].root].offset;
  return VK_OK;
}

size_t vk_plan_bytes(const vk_plan *plan)
{
  return plan->arena_bytes + plan->once_bytes + plan->held_bytes * (vk_plan_sends(plan) ? 2 : 1);
}

bool vk_plan_sends(const vk_plan *plan)
{
  return plan->target.is_train && vk_target_device(&plan->target)->exec_send != NULL;
}

size_t vk_plan_bound_bytes(const vk_plan *plan)
{
  size_t n = 0;
  for (int v = 0; v < plan->graph.n_value; v++)
    if (plan->place[v].where == VK_WHERE_BOUND && plan->place[v].root == v)
      n += round_up(vk_value_bytes(&plan->graph.value[v]));
  return n;
}

const char *vk_plan_largest(const vk_plan *p, char *text, size_t n)
{
  text[0] = '\0';
  for (int i = 0; i < p->memory.n_live && i < 3; i++) {
    vk_id v = p->block[p->memory.live[i]];
    char shape[VK_SHAPE_TEXT];
    size_t at = strlen(text);
    snprintf(text + at, n - at, "%s%.40s %s (%.1f MB)", i ? ", " : "",
             v == VK_NONE ? "scratch of" : p->graph.value[v].name,
             v == VK_NONE ? p->graph.node[p->memory.peak_step].op->name
                          : vk_shape_text(&p->graph.value[v].shape, shape),
             (double)p->block_bytes[p->memory.live[i]] * 1e-6);
  }
  return text;
}

/* Every node has a kernel on the target. */
static vk_status check_kernels(const vk_plan *p, vk_err *err)
{
  const vk_device_def *device = vk_target_device(&p->target);
  for (int i = 0; i < p->graph.n_node; i++) {
    const vk_node *n = &p->graph.node[i];
    if (n->op->flags & VK_OP_VIEW)
      continue;
    if (!device->has_op(n->op) || (vk_target_is_cpu(&p->target) && n->attr.isa >= VK_PATH_GPU))
      return vk_fail(err, VK_E_UNSUPPORTED, "%s: %s%sthere is no kernel of op %s for device %s",
                     p->graph.name, n->place, n->place[0] ? ": " : "", n->op->name, device->name);
  }
  return VK_OK;
}

static vk_status plan_memory(vk_plan *p, vk_err *err)
{
  size_t n_value = (size_t)p->graph.n_value + 1, n_node = (size_t)p->graph.n_node + 1;
  planner a = {.p = p,
               .life = calloc(n_value, sizeof *a.life),
               .block = calloc(n_value + n_node, sizeof *a.block)};
  p->place = calloc(n_value, sizeof *p->place);
  p->is_once = calloc(n_node, sizeof *p->is_once);
  p->scratch = calloc(n_node, sizeof *p->scratch);
  p->block = calloc(n_value + n_node, sizeof *p->block);
  p->block_bytes = calloc(n_value + n_node, sizeof *p->block_bytes);
  vk_status st = VK_OK;
  if (!a.life || !a.block || !p->place || !p->is_once || !p->scratch || !p->block ||
      !p->block_bytes) {
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for a plan", p->graph.name);
  } else {
    find_once(p);
    find_lives(&a);
    place_roots(&a);
    share_memory(&a);
    make_blocks(&a);
    st = plan_arena(&a, err);
  }
  free(a.life);
  free(a.block);
  return st;
}

vk_status vk_plan_new(vk_plan **out, const vk_graph *graph, const vk_target *target,
                      vk_pass_watch *watch, void *arg, vk_err *err)
{
  *out = NULL;
  vk_plan *p = calloc(1, sizeof *p);
  if (!p)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for a plan", graph->name);
  p->target = *target;
  p->graph = (vk_graph){.name = ""};
  vk_status st = vk_pass_run_all(&p->graph, graph, target, watch, arg, err);
  if (st == VK_OK)
    st = check_kernels(p, err);
  if (st == VK_OK)
    st = plan_memory(p, err);
  if (st != VK_OK)
    vk_plan_free(p);
  else
    *out = p;
  return st;
}

void vk_plan_free(vk_plan *plan)
{
  if (!plan)
    return;
  vk_graph_fini(&plan->graph);
  if (plan->memory_arena.base)
    vk_arena_fini(&plan->memory_arena);
  free(plan->place);
  free(plan->is_once);
  free(plan->scratch);
  free(plan->block);
  free(plan->block_bytes);
  free(plan);
}
