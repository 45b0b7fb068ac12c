/* fuzz_graph.c - graphs of a few ops, damaged field by field as the bytes say. The verifier refuses
 * them with a sentence, or what it accepts can be planned and run. */
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "nn/exec.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { N_NODE_MAX = 4, N_DAMAGE_MAX = 6, N_ITEM_MAX = 1 << 15 };

typedef struct source {
  const uint8_t *at;
  size_t left;
} source;

/* Zeros when there is nothing left. */
static int take(source *s)
{
  if (s->left == 0)
    return 0;
  s->left--;
  return *s->at++;
}

/* A value of the graph of this type and shape, or a new leaf. */
static vk_id find_input(vk_graph *g, source *s, const vk_example_in *in)
{
  char name[16];
  int way = take(s);
  for (vk_id v = g->n_value - 1; v >= 0 && way % 4; v--)
    if (g->value[v].dtype == in->dtype && vk_shape_equal(&g->value[v].shape, &in->shape))
      return v;
  name[0] = 'x';
  name[1] = (char)('A' + g->n_value / 26);
  name[2] = (char)('A' + g->n_value % 26);
  name[3] = 0;
  return way & 4 && in->dtype == VK_F32
             ? vk_graph_param(g, name, in->shape)
             : vk_graph_input(g, name, in->dtype, in->shape, VK_NO_EXTENT);
}

static void build(vk_graph *g, source *s)
{
  vk_graph_init(g, "fuzz");
  vk_graph_sym(g, "batch", take(s) % 4);
  int n_node = 1 + take(s) % N_NODE_MAX;
  for (int i = 0; i < n_node; i++) {
    const vk_op_def *op = vk_ops[take(s) % vk_op_count()];
    vk_philox rng;
    vk_philox_init(&rng, (uint64_t)take(s), 3);
    vk_example e = {.rng = &rng, .i_case = take(s) % (op->n_case ? op->n_case : 1)};
    op->example(&e);
    vk_in in = {.n = e.n_in};
    for (int k = 0; k < e.n_in; k++)
      in.id[k] = e.in[k].is_used ? find_input(g, s, &e.in[k]) : VK_NONE;
    vk_id y = vk_apply(g, op, in, e.attr);
    VK_ASSERT(y != VK_NONE);
    if (i + 1 == n_node || take(s) % 3 == 0) {
      char name[3] = {'y', (char)('0' + i), 0};
      vk_graph_output(g, name, y);
    }
  }
}

/* ---- damage -------------------------------------------------------------------------------- */

static int64_t number(source *s, int64_t old)
{
  static const int64_t hard[] = {0,         1,         -1,        2,         3,        8,
                                 64,        INT32_MAX, INT64_MAX, INT64_MIN, 1 << 20,  1 << 26,
                                 INT32_MIN, 1LL << 32, 1LL << 40, 65536,     INT8_MAX, -2};
  int way = take(s);
  if (way < 100)
    return hard[way % (int)VK_COUNT(hard)];
  if (way < 170)
    return (int64_t)((uint64_t)old + (uint64_t)(way & 1 ? 1 : -1));
  return way < 210 ? (int64_t)((uint64_t)old * 2) : take(s);
}

static void damage_attr(vk_attrs *a, source *s)
{
  int field = take(s), i = 0;
#define X(type, name, what)                                                                        \
  if (field % 64 == i++) {                                                                         \
    double old = (double)a->name;                                                                  \
    int64_t x = number(s, old > -1e18 && old < 1e18 ? (int64_t)old : 0);                           \
    a->name = (type)x;                                                                             \
  }
  VK_ATTRS(X)
#undef X
}

static void damage_node(vk_graph *g, source *s)
{
  vk_node *n = &g->node[take(s) % g->n_node];
  int which = take(s);
  switch (which % 8) {
  case 0:
    n->op = take(s) % 16 == 15 ? NULL : vk_ops[take(s) % vk_op_count()];
    break;
  case 1:
    n->n_in = (int)number(s, n->n_in);
    break;
  case 2:
    n->n_out = (int)number(s, n->n_out);
    break;
  case 3:
    n->in[take(s) % VK_NODE_IN_MAX] = take(s) % (g->n_value + 2) - 1;
    break;
  case 4:
    n->out[take(s) % VK_NODE_OUT_MAX] = take(s) % (g->n_value + 2) - 1;
    break;
  default:
    damage_attr(&n->attr, s);
  }
}

static void damage_value(vk_graph *g, source *s)
{
  vk_value *v = &g->value[take(s) % g->n_value];
  int i = take(s) % VK_DIM_MAX;
  switch (take(s) % 12) {
  case 0:
    v->name = take(s) % 2 ? NULL : "x";
    break;
  case 1:
    v->kind = (vk_value_kind)(take(s) % 6);
    break;
  case 2:
    v->dtype = (vk_dtype)(take(s) % (VK_DTYPE_N + 2));
    break;
  case 3:
    v->shape.n_dim = (int)number(s, v->shape.n_dim);
    break;
  case 4:
  case 5:
    v->shape.dim[i] = number(s, v->shape.dim[i]);
    break;
  case 6:
    v->extent.sym = (int)number(s, v->extent.sym);
    break;
  case 7: /* one that fits */
    v->extent = vk_graph_extent(0, take(s) % 3, 0);
    v->extent.plus =
        (int64_t)((uint64_t)v->shape.dim[0] - (uint64_t)v->extent.per * (uint64_t)g->sym_cap[0]);
    break;
  case 8:
    v->node = (int)number(s, v->node);
    break;
  case 9:
    v->i_out = (int)number(s, v->i_out);
    break;
  case 10:
    v->is_external = !v->is_external;
    break;
  default:
    v->is_boundary = !v->is_boundary;
  }
}

static void damage(vk_graph *g, source *s)
{
  int which = take(s);
  vk_output *o = &g->output[take(s) % g->n_output];
  if (which % 8 == 0)
    g->sym_cap[0] = number(s, g->sym_cap[0]);
  else if (which % 8 == 1)
    o->value = take(s) % (g->n_value + 2) - 1;
  else if (which % 8 == 2)
    o->is_external = true;
  else if (which % 8 < 6)
    damage_node(g, s);
  else
    damage_value(g, s);
}

/* ---- what is accepted ---------------------------------------------------------------------- */

/* Small, and no rows are named that are not there: what indices name is the caller's affair. */
static bool can_run(const vk_graph *g)
{
  bool has_index = false, has_empty = false;
  int64_t n = 0;
  for (vk_id v = 0; v < g->n_value; v++) {
    const vk_value *x = &g->value[v];
    has_index |= x->kind != VK_RESULT && x->dtype == VK_I32;
    has_empty |= vk_shape_n_item(&x->shape) == 0 && (x->kind != VK_RESULT || x->i_out == 0);
    n += vk_shape_n_item(&x->shape);
  }
  for (int i = 0; i < g->n_node; i++)
    for (int k = 0; k < g->node[i].n_in; k++) {
      vk_id v = g->node[i].in[k];
      if (v != VK_NONE && g->value[v].kind == VK_RESULT && g->value[v].dtype == VK_I32)
        return false; /* an index that some op chose */
    }
  return n <= N_ITEM_MAX && !(has_index && has_empty);
}

static void run(const vk_graph *g)
{
  vk_err err = VK_ERR_INIT;
  vk_target t = {.n_thread = 1, .isa = VK_ISA_SCALAR};
  vk_plan *plan;
  vk_team *team;
  vk_exec *exec;
  vk_status st = vk_plan_new(&plan, g, &t, NULL, NULL, &err);
  VK_ASSERT(st == VK_OK);
  if (vk_plan_bytes(plan) + vk_plan_bound_bytes(plan) > 64 << 20) { /* kernels' scratch */
    vk_plan_free(plan);
    return;
  }
  VK_ASSERT(vk_team_new(&team, 1, &err) == VK_OK);
  VK_ASSERT(vk_exec_new(&exec, plan, VK_CPU(team), NULL, &err) == VK_OK);
  const vk_graph *q = &plan->graph;
  void **block = calloc((size_t)q->n_value + 1, sizeof *block);
  VK_ASSERT(block);
  for (vk_id v = 0; v < q->n_value; v++) {
    size_t n = vk_value_bytes(&q->value[v]);
    if (plan->place[v].where == VK_WHERE_BOUND && plan->place[v].root == v) {
      block[v] = aligned_alloc(64, n / 64 * 64 + 64);
      VK_ASSERT(block[v]);
      memset(block[v], 0, n);
      vk_exec_bind(exec, v, block[v]);
    } else if (q->value[v].kind == VK_INPUT && vk_exec_data(exec, v)) {
      memset(vk_exec_data(exec, v), 0, n);
    }
  }
  VK_ASSERT(vk_exec_prepare(exec, NULL) == VK_OK);
  VK_ASSERT(vk_exec_run(exec, NULL) == VK_OK);
  vk_exec_free(exec);
  vk_team_free(team);
  for (vk_id v = 0; v < q->n_value; v++)
    free(block[v]);
  free(block);
  vk_plan_free(plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  source s = {bytes, n};
  build(&g, &s);
  VK_ASSERT(vk_graph_verify(&g, &err) == VK_OK);
  for (int k = 0; k < N_DAMAGE_MAX && s.left > 0; k++)
    damage(&g, &s);
  vk_status st = vk_graph_verify(&g, &err);
  if (st != VK_OK)
    VK_ASSERT((st == VK_E_SHAPE || st == VK_E_MISMATCH) && err.text[0]);
  else if (can_run(&g))
    run(&g);
  for (vk_id v = 0; v < g.n_value; v++) /* none of them was one */
    if (g.value[v].kind == VK_CONST)
      g.value[v].kind = VK_INPUT;
  vk_graph_fini(&g);
  return 0;
}
