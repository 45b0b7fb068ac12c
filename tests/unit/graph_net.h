/* graph_net.h - for tests of graphs: a small net, the target to compile for, a plan with executor
 * and memory for all that is bound, and a graph computed in double by the references of its ops. */
#ifndef VK_TESTS_GRAPH_NET_H
#define VK_TESTS_GRAPH_NET_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "nn/exec.h"

/* ---- double -------------------------------------------------------------------------------- */

/* Computes nodes i_node to the last in doubles by the references of their ops, at the symbols'
 * values n (NULL: capacity). data[v] of leaves is given: doubles where the value is f32; results
 * are allocated where they are NULL. */
static inline void graph_run_reference_from(const vk_graph *g, int i_node, const int64_t *n,
                                            void **data)
{
  for (int i = i_node; i < g->n_node; i++) {
    const vk_node *node = &g->node[i];
    vk_tensor t[VK_NODE_IN_MAX + VK_NODE_OUT_MAX] = {{0}};
    for (int k = 0; k < node->n_in + node->n_out; k++) {
      vk_id v = k < node->n_in ? node->in[k] : node->out[k - node->n_in];
      if (v == VK_NONE)
        continue;
      const vk_value *x = &g->value[v];
      if (k >= node->n_in && !data[v])
        data[v] = calloc((size_t)vk_shape_n_item(&x->shape) + 1, sizeof(double));
      assert_non_null(data[v]);
      t[k] = (vk_tensor){.data = data[v],
                         .dtype = x->dtype == VK_F32 ? VK_F64 : x->dtype,
                         .shape = vk_value_shape(x, n)};
    }
    node->op->ref(&(vk_op_call){.attr = &node->attr,
                                .n_in = node->n_in,
                                .n_out = node->n_out,
                                .in = t,
                                .out = t + node->n_in,
                                .n_part = 1});
  }
}

static inline void graph_run_reference(const vk_graph *g, const int64_t *n, void **data)
{
  graph_run_reference_from(g, 0, n, data);
}

/* f32 items as doubles; to be freed. */
static inline double *graph_to_double(const float *x, int64_t n)
{
  double *y = calloc((size_t)n + 1, sizeof *y);
  assert_non_null(y);
  for (int64_t i = 0; i < n; i++)
    y[i] = x[i];
  return y;
}

/* ---- a net --------------------------------------------------------------------------------- */

enum { NET_BATCH = 6, NET_IN = 5, NET_HIDDEN = 19, NET_OUT = 3 };

/* x [batch, 5] -> linear, GELU -> linear + skip -> y [batch, 3]; loss = sum of weight * y for the
 * input weight [batch, 1]. `cap`: of the batch. */
static inline void net_build(vk_graph *g, int cap)
{
  vk_graph_init(g, "net");
  int batch = vk_graph_sym(g, "batch", cap);
  vk_extent e = vk_graph_extent(batch, 1, 0);
  vk_id x = vk_graph_input(g, "x", VK_F32, vk_shape_of(2, cap, NET_IN), e);
  vk_id weight = vk_graph_input(g, "weight", VK_F32, vk_shape_of(2, cap, 1), e);
  vk_id w0 = vk_graph_param(g, "w0", vk_shape_of(2, NET_HIDDEN, NET_IN));
  vk_id b0 = vk_graph_param(g, "b0", vk_shape_of(1, NET_HIDDEN));
  vk_id w1 = vk_graph_param(g, "w1", vk_shape_of(2, NET_OUT, NET_HIDDEN));
  vk_id skip = vk_graph_param(g, "skip", vk_shape_of(2, NET_OUT, NET_IN));
  vk_graph_place(g, "hidden");
  vk_id h = VK_APPLY(g, gelu, VK_IN(VK_APPLY(g, matmul, VK_IN(x, w0, b0), .trans_b = 1)));
  vk_graph_place(g, "out");
  vk_id s = VK_APPLY(g, affine, VK_IN(x), .scale = 0.5, .shift = 1);
  vk_id a = VK_APPLY(g, matmul, VK_IN(h, w1), .trans_b = 1);
  vk_id b = VK_APPLY(g, matmul, VK_IN(s, skip), .trans_b = 1);
  vk_id y = VK_APPLY(g, add, VK_IN(a, b), .scale = -0.75);
  float one[NET_OUT] = {1, 1, 1};
  vk_id ones = vk_graph_const(g, "ones", VK_F32, vk_shape_of(2, NET_OUT, 1), one);
  vk_graph_place(g, "loss");
  vk_id sum = VK_APPLY(g, matmul, VK_IN(weight, y), .trans_a = 1);
  vk_graph_output(g, "y", y);
  vk_graph_output(g, "loss", VK_APPLY(g, matmul, VK_IN(sum, ones)));
}

static inline vk_target net_target(int n_thread, bool is_train)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  return (vk_target){
      .isa = vk_isa_best(&cpu), .n_thread = n_thread, .is_train = is_train, .loss = "loss"};
}

/* ---- a run --------------------------------------------------------------------------------- */

/* A plan, its executor, and memory for what is bound: values are drawn by name, so that the same
 * names have the same values in every plan. */
typedef struct net_run {
  vk_plan *plan;
  vk_team *team;
  vk_device device;
  vk_exec *exec;
  int n_block;
  void **block; /* [plan->graph.n_value] on the device, to 64 bytes; NULL where nothing is bound */
  void **view;  /* as the host sees them: block, or copies that net_send and net_fetch keep alike */
} net_run;

static inline void *net_alloc(size_t n)
{
  void *p = aligned_alloc(64, (n + 127) / 64 * 64);
  assert_non_null(p);
  memset(p, 0, (n + 127) / 64 * 64);
  return p;
}

/* Normal values that depend on the name and seed alone. */
static inline void net_fill(float *x, int64_t n, const char *name, uint64_t seed)
{
  uint64_t key = seed;
  for (const char *c = name; *c; c++)
    key = key * 1099511628211u + (uint8_t)*c;
  vk_philox r;
  vk_philox_init(&r, key, 1);
  for (int64_t i = 0; i < n; i++)
    x[i] = (float)vk_philox_normal(&r);
}

static inline int64_t net_n_item(const net_run *r, vk_id v)
{
  vk_shape s = vk_exec_shape(r->exec, v);
  return vk_shape_n_item(&s);
}

static inline vk_id net_value(const net_run *r, const char *name)
{
  vk_id v = vk_graph_find(&r->plan->graph, name);
  v = v == VK_NONE ? vk_graph_find_output(&r->plan->graph, name) : v;
  assert_true(v != VK_NONE);
  return v;
}

/* Where the host writes and reads a value. */
static inline void *net_at(const net_run *r, vk_id v)
{
  const vk_value_place *place = &r->plan->place[v];
  bool is_copy = place->where == VK_WHERE_BOUND && r->view[place->root] != r->block[place->root];
  return is_copy ? r->view[place->root] : vk_exec_data(r->exec, v);
}

static inline float *net_data(const net_run *r, const char *name)
{
  return net_at(r, net_value(r, name));
}

/* What the host wrote to what is bound, before it is computed with. */
static inline void net_send(const net_run *r)
{
  for (vk_id v = 0; v < r->n_block; v++)
    if (r->block[v])
      vk_assert_ok(vk_device_write(&r->device, r->block[v], r->view[v],
                                   vk_value_bytes(&r->plan->graph.value[v]), NULL),
                   NULL);
}

/* What a run wrote there, before the host reads it. */
static inline void net_fetch(const net_run *r)
{
  for (vk_id v = 0; v < r->n_block; v++)
    if (r->view[v] != r->block[v]) {
      size_t bytes = vk_value_bytes(&r->plan->graph.value[v]);
      void *now;
      vk_assert_ok(vk_device_view(&r->device, r->block[v], bytes, &now, NULL), NULL);
      memcpy(r->view[v], now, bytes);
      vk_device_unview(&r->device, now);
    }
}

/* Fills all f32 inputs with the set sizes' number of items, and everything bound; prepares. */
static inline void net_fill_all(net_run *r, uint64_t seed)
{
  const vk_graph *g = &r->plan->graph;
  for (vk_id v = 0; v < g->n_value; v++) {
    float *x = net_at(r, v);
    if (x && g->value[v].dtype == VK_F32 &&
        (g->value[v].kind == VK_INPUT || g->value[v].kind == VK_PARAM))
      net_fill(x, net_n_item(r, v), g->value[v].name, seed);
  }
  net_send(r);
  vk_assert_ok(vk_exec_prepare(r->exec, NULL), NULL);
}

/* A graph after all passes, which products of other machines are in, for the kernels of path isa:
 * what passes do for such machines runs on any. To be planned with net_target_as_it_is. */
static inline void net_take_to(vk_graph *out, const vk_graph *in, vk_isa isa)
{
  vk_err err = VK_ERR_INIT;
  vk_graph_init(out, in->name);
  vk_graph old = *in;
  old.node = malloc(sizeof *old.node * (size_t)(in->n_node + 1));
  assert_non_null(old.node);
  for (int i = 0; i < in->n_node; i++) {
    old.node[i] = in->node[i];
    old.node[i].attr.isa = old.node[i].attr.isa ? (int64_t)isa : 0;
    old.node[i].attr.native = 0;
  }
  vk_assert_ok(vk_pass_copy(out, &old, &err), &err);
  free(old.node);
}

/* For a graph that is planned as it is: without any pass. */
static inline vk_target net_target_as_it_is(vk_isa isa, int n_thread)
{
  static const char *skip[64];
  assert_true(vk_pass_count() < (int)VK_COUNT(skip));
  for (int i = 0; i < vk_pass_count(); i++)
    skip[i] = vk_passes[i]->name;
  return (vk_target){.isa = isa, .n_thread = n_thread, .skip = skip, .n_skip = vk_pass_count()};
}

/* Zeros in all inputs; prepares nothing. Zero is valid where rows are named. */
static inline void net_zero_all(net_run *r)
{
  const vk_graph *g = &r->plan->graph;
  for (vk_id v = 0; v < g->n_value; v++)
    if (g->value[v].kind == VK_INPUT && net_at(r, v))
      memset(net_at(r, v), 0, vk_value_bytes(&g->value[v]));
  net_send(r);
}

/* On the first device of the target's kind. */
static inline void net_open(net_run *r, const vk_graph *graph, const vk_target *target,
                            vk_trace *trace)
{
  vk_err err = VK_ERR_INIT;
  *r = (net_run){0};
  vk_assert_ok(vk_plan_new(&r->plan, graph, target, NULL, NULL, &err), &err);
  vk_assert_ok(vk_team_new(&r->team, target->n_thread, &err), &err);
  vk_assert_ok(vk_device_open(&r->device, vk_target_device(target)->name, r->team, &err), &err);
  vk_assert_ok(vk_exec_new(&r->exec, r->plan, &r->device, trace, &err), &err);
  const vk_graph *g = &r->plan->graph;
  r->n_block = g->n_value;
  r->block = calloc((size_t)g->n_value + 1, sizeof *r->block);
  r->view = calloc((size_t)g->n_value + 1, sizeof *r->view);
  assert_true(r->block && r->view);
  for (vk_id v = 0; v < g->n_value; v++)
    if (r->plan->place[v].where == VK_WHERE_BOUND && r->plan->place[v].root == v) {
      size_t bytes = vk_value_bytes(&g->value[v]);
      vk_assert_ok(vk_device_alloc(&r->device, &r->block[v], bytes, &err), &err);
      vk_assert_ok(vk_device_view(&r->device, r->block[v], bytes, &r->view[v], &err), &err);
      vk_exec_bind(r->exec, v, r->block[v]);
    }
}

static inline void net_close(net_run *r)
{
  vk_exec_free(r->exec);
  vk_team_free(r->team);
  vk_plan_free(r->plan);
  for (int v = 0; v < r->n_block; v++) {
    vk_device_unview(&r->device, r->view[v]);
    vk_device_free(&r->device, r->block[v]);
  }
  vk_device_close(&r->device);
  free(r->block);
  free(r->view);
  *r = (net_run){0};
}

/* The graph that a plan for the target starts from: with the backward pass where it trains, before
 * all other passes. */
static inline void net_reference_graph(vk_graph *out, const vk_graph *g, const vk_target *target)
{
  vk_err err = VK_ERR_INIT;
  vk_graph_init(out, "reference");
  vk_assert_ok(vk_pass_gradient.run(out, g, target, &err), &err);
}

/* Graph g (of net_reference_graph) in double, from what the leaves of a run with these names hold
 * now: data[v] of every value. To be freed by net_free_double. n: sizes of the symbols. */
static inline void **net_run_double(const vk_graph *g, const net_run *r, const int64_t *n)
{
  void **data = calloc((size_t)g->n_value + 1, sizeof *data);
  assert_non_null(data);
  for (vk_id v = 0; v < g->n_value; v++) {
    const vk_value *x = &g->value[v];
    if (x->kind == VK_RESULT)
      continue;
    vk_shape s = vk_value_shape(x, n);
    vk_id there = x->kind == VK_CONST ? VK_NONE : vk_graph_find(&r->plan->graph, x->name);
    const void *from = there == VK_NONE ? x->data : net_at(r, there);
    int64_t n_item = vk_shape_n_item(&s);
    data[v] = calloc((size_t)n_item + 1, sizeof(double));
    assert_non_null(data[v]);
    for (int64_t i = 0; i < n_item && from && x->dtype == VK_F32; i++)
      ((double *)data[v])[i] = ((const float *)from)[i];
    if (from && x->dtype != VK_F32)
      memcpy(data[v], from, (size_t)n_item * vk_dtype_size(x->dtype));
  }
  graph_run_reference(g, n, data);
  return data;
}

static inline void net_free_double(const vk_graph *g, void **data)
{
  for (vk_id v = 0; v < g->n_value; v++)
    free(data[v]);
  free(data);
}

/* |got - want| / |want| over the items of an output. */
static inline double net_relative_error(const float *got, const double *want, int64_t n)
{
  double sum = 0, off = 0;
  for (int64_t i = 0; i < n; i++) {
    off += (got[i] - want[i]) * (got[i] - want[i]);
    sum += want[i] * want[i];
  }
  return sqrt(off / (sum > 0 ? sum : 1));
}

#endif
