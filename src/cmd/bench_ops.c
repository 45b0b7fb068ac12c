/* bench_ops.c - vlakit bench ops: the kernels of the network engine, an example at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/bench.h"
#include "core/signal.h"
#include "core/sys.h"
#include "nn/op.h"

enum { N_BLOCK = VK_NODE_IN_MAX + VK_NODE_OUT_MAX + 1 };
static const double least_s = 0.01; /* a repetition takes at least this much */

/* A call of an op with its memory. */
typedef struct op_bench {
  const vk_op_def *op;
  vk_example example;
  vk_philox rng;
  vk_graph graph;
  vk_tensor in[VK_NODE_IN_MAX], out[VK_NODE_OUT_MAX];
  vk_op_call call;
  void *block[N_BLOCK];
  int n_block;
} op_bench;

static void *new_block(op_bench *o, size_t n_byte)
{
  size_t n = n_byte / 64 * 64 + 64;
  void *p = aligned_alloc(64, n);
  if (p)
    memset(p, 0, n);
  return o->block[o->n_block++] = p;
}

static vk_status fail_memory(const op_bench *o, vk_err *err)
{
  return vk_fail(err, VK_E_NOMEM, "no memory for an example of op %s", o->op->name);
}

static vk_status op_bench_init(op_bench *o, const vk_op_def *op, int i_case, vk_err *err)
{
  *o = (op_bench){.op = op};
  vk_philox_init(&o->rng, 1, (uint64_t)i_case);
  o->example = (vk_example){.rng = &o->rng, .is_large = true, .i_case = i_case};
  op->example(&o->example);
  vk_graph_init(&o->graph, op->name);
  for (int s = 0; s < VK_SYM_MAX; s++) /* extents that an op's attributes may name */
    vk_graph_sym(&o->graph, "sym", 0);
  vk_in in = {.n = o->example.n_in};
  for (int i = 0; i < in.n; i++) {
    const vk_example_in *e = &o->example.in[i];
    in.id[i] = VK_NONE;
    if (!e->is_used)
      continue;
    char name[8] = {'i', 'n', (char)('0' + i)};
    in.id[i] = vk_graph_input(&o->graph, name, e->dtype, e->shape, VK_NO_EXTENT);
    o->in[i] = (vk_tensor){.dtype = e->dtype, .shape = e->shape};
    o->in[i].data = new_block(o, (size_t)vk_shape_n_item(&e->shape) * vk_dtype_size(e->dtype));
    if (!o->in[i].data)
      return fail_memory(o, err);
    vk_example_fill(&o->example, e, vk_shape_n_item(&e->shape), o->in[i].data);
  }
  vk_id first = vk_apply(&o->graph, op, in, o->example.attr);
  VK_TRY(vk_graph_check(&o->graph, err));
  for (int i = 0; i < op->n_out; i++) {
    const vk_value *v = &o->graph.value[vk_graph_out(&o->graph, first, i)];
    o->out[i] = (vk_tensor){.dtype = v->dtype, .shape = v->shape};
    o->out[i].data = new_block(o, vk_value_bytes(v));
    if (!o->out[i].data)
      return fail_memory(o, err);
  }
  o->call = (vk_op_call){.attr = &o->example.attr,
                         .n_in = in.n,
                         .n_out = op->n_out,
                         .in = o->in,
                         .out = o->out,
                         .n_part = 1};
  o->call.scratch = new_block(o, op->scratch ? op->scratch(&o->call) : 0);
  return o->call.scratch ? VK_OK : fail_memory(o, err);
}

static void op_bench_fini(op_bench *o)
{
  for (int i = 0; i < o->n_block; i++)
    free(o->block[i]);
  vk_graph_fini(&o->graph);
}

/* Seconds of processor time of n calls. */
static double call_n(op_bench *o, vk_op_run *run, int64_t n)
{
  double start_s = vk_sys_thread_cpu_s();
  for (int64_t i = 0; i < n; i++)
    for (o->call.i_phase = 0; o->call.i_phase < (o->op->n_phase ? o->op->n_phase : 1);
         o->call.i_phase++)
      run(&o->call);
  return vk_sys_thread_cpu_s() - start_s;
}

/* "[4448, 256] f32, [512] i32" */
static void note_inputs(const op_bench *o, char *text, size_t n_text)
{
  char shape[VK_SHAPE_TEXT];
  size_t at = 0;
  text[0] = '\0';
  for (int i = 0; i < o->call.n_in && at < n_text; i++)
    if (o->example.in[i].is_used)
      at += (size_t)snprintf(text + at, n_text - at, "%s%s %s", at ? ", " : "",
                             vk_shape_text(&o->in[i].shape, shape), vk_dtype_name(o->in[i].dtype));
}

static vk_status measure(bench *b, const vk_op_def *op, int i_case, vk_err *err)
{
  op_bench o;
  int n_rep = (int)b->args->n_rep;
  double *s = malloc(sizeof *s * (size_t)n_rep);
  vk_status st = op_bench_init(&o, op, i_case, err);
  if (st == VK_OK && !s)
    st = fail_memory(&o, err);
  if (st != VK_OK)
    goto done;
  vk_op_run *run = vk_op_kernel(op, b->call->isa);
  int64_t n = 1;
  call_n(&o, run, 1);
  for (double took_s; (took_s = call_n(&o, run, n)) < least_s;)
    n = took_s > 1e-4 ? (int64_t)((double)n * 1.2 * least_s / took_s) + 1 : 8 * n;
  for (int i = 0; i < n_rep; i++) {
    VK_TRY_DONE(vk_signal_check(err));
    s[i] = call_n(&o, run, n) / (double)n;
  }
  double took_s = vk_bench_median(s, n_rep);
  vk_cost cost = vk_op_cost(op, &o.call);
  char what[64], note[96];
  snprintf(what, sizeof what, "ops.%.40s.%d", op->name, i_case);
  note_inputs(&o, note, sizeof note);
  VK_TRY_DONE(vk_bench_add_noted(b, what, "time", took_s * 1e6, "us", note, err));
  if (cost.macs > 0)
    VK_TRY_DONE(vk_bench_add(b, what, "work", 2e-9 * cost.macs / took_s, "GF/s", err));
  st = vk_bench_add(b, what, "moved", 1e-9 * cost.bytes / took_s, "GB/s", err);
done:
  free(s);
  op_bench_fini(&o);
  return st;
}

static vk_status fail_unknown(const char *name, vk_err *err)
{
  const char **names = calloc((size_t)vk_op_count() + 1, sizeof *names);
  if (!names)
    return vk_fail(err, VK_E_NOMEM, "no memory for the names of ops");
  for (int i = 0; i < vk_op_count(); i++)
    names[i] = vk_ops[i]->name;
  vk_status st = vk_opt_nearest(name, names)
                     ? vk_opt_fail_name(err, "op", name, names)
                     : vk_fail(err, VK_E_USAGE, "unknown op '%.80s'; vlakit graph ops lists all %d",
                               name, vk_op_count());
  free(names);
  return st;
}

vk_status vk_bench_ops(bench *b, vk_err *err)
{
  const char *name = b->args->op;
  if (name && !vk_op_find(name))
    return fail_unknown(name, err);
  for (int i = 0; i < vk_op_count(); i++) {
    const vk_op_def *op = vk_ops[i];
    if (name ? strcmp(name, op->name) != 0 : (op->flags & VK_OP_VIEW) != 0)
      continue;
    for (int i_case = 0; i_case < (op->n_case ? op->n_case : 1); i_case++)
      VK_TRY(measure(b, op, i_case, err));
  }
  return VK_OK;
}
