/* bench_ops.c - vlakit bench ops: the kernels of the network engine, an example at a time. On the
 * CPU a kernel is called as it is; on another device the op is a graph of its own that an executor
 * runs and times. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/bench.h"
#include "core/signal.h"
#include "core/sys.h"
#include "nn/exec.h"
#include "nn/op.h"

enum { N_BLOCK = VK_NODE_IN_MAX + VK_NODE_OUT_MAX + 1, N_ROW = 4096, N_COPY = 16384 };
static const double least_s = 0.01; /* a repetition takes at least this much */
static const double most_s = 0.1;   /* and on a device no more by the clock */

/* A call of an op with its memory. */
typedef struct op_bench {
  const vk_op_def *op;
  void (*make)(vk_example *); /* NULL: the op's own example */
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

/* Random numbers; of large references a part again and again. */
static void fill(op_bench *o, const vk_example_in *e, int64_t n, void *data)
{
  const int64_t n_part = o->make && n > 1 << 20 ? 1 << 20 : n;
  const size_t size = vk_dtype_size(e->dtype);
  if (e->dtype == VK_BF16)
    for (int64_t i = 0; i < n_part; i++) /* of either sign, from 1/2 to 2 */
      ((uint16_t *)data)[i] = (uint16_t)(0x3f00 | (vk_philox_u32(&o->rng) & 0x80ff));
  else
    vk_example_fill(&o->example, e, n_part, data);
  for (int64_t i = n_part; i < n; i += n_part)
    memcpy((char *)data + (size_t)i * size, data, (size_t)(n - i < n_part ? n - i : n_part) * size);
}

static vk_status op_bench_init(op_bench *o, const vk_op_def *op, int i_case,
                               void (*make)(vk_example *), vk_err *err)
{
  *o = (op_bench){.op = op, .make = make};
  vk_philox_init(&o->rng, 1, (uint64_t)i_case);
  o->example = (vk_example){.rng = &o->rng, .is_large = true, .i_case = i_case};
  (make ? make : op->example)(&o->example);
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
    in.id[i] = vk_graph_input_external(&o->graph, name, e->dtype, e->shape);
    o->in[i] = (vk_tensor){.dtype = e->dtype, .shape = e->shape};
    o->in[i].data = new_block(o, (size_t)vk_shape_n_item(&e->shape) * vk_dtype_size(e->dtype));
    if (!o->in[i].data)
      return fail_memory(o, err);
    fill(o, e, vk_shape_n_item(&e->shape), o->in[i].data);
  }
  vk_id first = vk_apply(&o->graph, op, in, o->example.attr);
  VK_TRY(vk_graph_check(&o->graph, err));
  vk_graph_output_external(&o->graph, "out", first);
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

/* Median seconds of a call, into *took_s. */
static vk_status time_on_cpu(bench *b, op_bench *o, double *took_s, vk_err *err)
{
  const int n_rep = (int)b->args->n_rep;
  vk_op_run *run = vk_op_kernel(o->op, b->call->isa);
  double *s = calloc((size_t)n_rep, sizeof *s);
  if (!s)
    return fail_memory(o, err);
  int64_t n = 1;
  call_n(o, run, 1);
  for (double t; (t = call_n(o, run, n)) < least_s;)
    n = t > 1e-4 ? (int64_t)((double)n * 1.2 * least_s / t) + 1 : 8 * n;
  vk_status st = VK_OK;
  for (int i = 0; i < n_rep && st == VK_OK; i++) {
    st = vk_signal_check(err);
    s[i] = call_n(o, run, n) / (double)n;
  }
  *took_s = vk_bench_median(s, n_rep);
  free(s);
  return st;
}

/* ---- other devices ------------------------------------------------------------------------- */

/* An op alone on a device, with memory of the device for what it reads and writes. */
typedef struct on_device {
  const vk_device *device;
  vk_plan *plan;
  vk_exec *exec;
  void *block[VK_NODE_IN_MAX + 1];
  int n_block, i_node;
} on_device;

static void on_device_fini(on_device *r)
{
  vk_exec_free(r->exec);
  for (int i = 0; i < r->n_block; i++)
    vk_device_free(r->device, r->block[i]);
  vk_plan_free(r->plan);
}

static vk_status bind(on_device *r, vk_id value, const void *from, vk_err *err)
{
  const size_t n = vk_value_bytes(&r->plan->graph.value[value]);
  void **to = &r->block[r->n_block];
  VK_TRY(vk_device_alloc(r->device, to, n, err));
  r->n_block++;
  if (from)
    memcpy(*to, from, n);
  vk_exec_bind(r->exec, value, *to);
  return VK_OK;
}

/* r is zeroed but for its device. */
static vk_status on_device_init(on_device *r, const op_bench *o, vk_isa isa, vk_err *err)
{
  /* passes would look for something better than the op that was asked for */
  static const char *const skip[] = {"common", "fusion", "merge", "bf16", "pack", "storage"};
  const vk_target target = {.device = r->device->def,
                            .isa = isa,
                            .n_thread = vk_team_n_thread(r->device->team),
                            .n_skip = VK_COUNT(skip),
                            .skip = skip};
  VK_TRY(vk_plan_new(&r->plan, &o->graph, &target, NULL, NULL, err));
  VK_TRY(vk_exec_new(&r->exec, r->plan, r->device, NULL, err));
  const vk_graph *g = &r->plan->graph;
  for (int i = 0; i < o->call.n_in; i++) {
    const char name[8] = {'i', 'n', (char)('0' + i)};
    if (o->example.in[i].is_used)
      VK_TRY(bind(r, vk_graph_find(g, name), o->in[i].data, err));
  }
  VK_TRY(bind(r, vk_graph_find_output(g, "out"), NULL, err));
  while (r->i_node < g->n_node - 1 && g->node[r->i_node].op != o->op)
    r->i_node++;
  vk_exec_time_nodes(r->exec, true);
  return vk_exec_prepare(r->exec, err);
}

/* Median seconds of the node, into *took_s. */
static vk_status time_runs(bench *b, on_device *r, double *took_s, vk_err *err)
{
  const int n_rep = (int)b->args->n_rep;
  double *s = calloc((size_t)n_rep, sizeof *s);
  if (!s)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d times", n_rep);
  vk_status st = VK_OK;
  for (int i = -1; i < n_rep && st == VK_OK; i++) { /* the first brings memory to the device */
    const double begin_s = vk_sys_monotonic_s();
    double sum_s = 0;
    int n = 0;
    do {
      st = vk_signal_check(err);
      if (st == VK_OK)
        st = vk_exec_run(r->exec, err);
      sum_s += vk_exec_node_s(r->exec, r->i_node);
      n++;
    } while (st == VK_OK && sum_s < least_s && vk_sys_monotonic_s() - begin_s < most_s);
    if (i >= 0)
      s[i] = sum_s / n;
  }
  *took_s = vk_bench_median(s, n_rep);
  free(s);
  return st;
}

static vk_status time_on_device(bench *b, const op_bench *o, const vk_device *device,
                                double *took_s, vk_err *err)
{
  on_device r = {.device = device};
  vk_status st = on_device_init(&r, o, b->call->isa, err);
  if (st == VK_OK)
    st = time_runs(b, &r, took_s, err);
  on_device_fini(&r);
  return st;
}

/* What shows how much of a device is used: a product and a copy that are large. */
static void large_product(vk_example *e)
{
  e->attr.trans_b = 1;
  vk_example_f32(e, vk_shape_of(2, N_ROW, N_ROW));
  vk_example_f32(e, vk_shape_of(2, N_ROW, N_ROW));
}

static void large_product_bf16(vk_example *e)
{
  large_product(e);
  e->attr.dtype = VK_BF16;
  e->attr.isa = VK_PATH_GPU;
  e->in[0].dtype = e->in[1].dtype = VK_BF16;
}

static void large_copy(vk_example *e)
{
  vk_example_f32(e, vk_shape_of(2, N_COPY, N_ROW));
}

/* ---- results ------------------------------------------------------------------------------- */

/* make and name: of a reference instead of the op's example i_case. */
static vk_status measure(bench *b, const vk_device *device, const vk_op_def *op, int i_case,
                         void (*make)(vk_example *), const char *name, vk_err *err)
{
  op_bench o;
  double took_s = 0;
  vk_status st = op_bench_init(&o, op, i_case, make, err);
  if (st == VK_OK)
    st = device->def == &vk_device_cpu ? time_on_cpu(b, &o, &took_s, err)
                                       : time_on_device(b, &o, device, &took_s, err);
  if (st != VK_OK)
    goto done;
  vk_cost cost = vk_op_cost(op, &o.call);
  char what[64], note[96];
  if (name)
    snprintf(what, sizeof what, "ops.%.40s", name);
  else
    snprintf(what, sizeof what, "ops.%.40s.%d", op->name, i_case);
  note_inputs(&o, note, sizeof note);
  VK_TRY_DONE(vk_bench_add_noted(b, what, "time", took_s * 1e6, "us", note, err));
  if (cost.macs > 0)
    VK_TRY_DONE(vk_bench_add(b, what, "work", 2e-9 * cost.macs / took_s, "GF/s", err));
  st = vk_bench_add(b, what, "moved", 1e-9 * cost.bytes / took_s, "GB/s", err);
done:
  op_bench_fini(&o);
  return st;
}

static vk_status measure_references(bench *b, const vk_device *device, vk_err *err)
{
  VK_TRY(measure(b, device, &vk_op_matmul, 0, large_product, "large.f32", err));
  if (device->def->has_bf16)
    VK_TRY(measure(b, device, &vk_op_matmul, 0, large_product_bf16, "large.bf16", err));
  return measure(b, device, &vk_op_copy, 0, large_copy, "large.copy", err);
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

static vk_status measure_all(bench *b, const vk_device *device, vk_err *err)
{
  const char *name = b->args->op;
  const bool is_cpu = device->def == &vk_device_cpu;
  if (!is_cpu)
    VK_TRY(measure_references(b, device, err));
  for (int i = 0; i < vk_op_count(); i++) {
    const vk_op_def *op = vk_ops[i];
    if (name ? strcmp(name, op->name) != 0 : (op->flags & VK_OP_VIEW) != 0)
      continue;
    if (!is_cpu && !device->def->has_op(op)) { /* panels of weights are the CPU's alone */
      if (name)
        return vk_fail(err, VK_E_UNSUPPORTED, "op %s has no kernel on device %s", op->name,
                       device->def->name);
      continue;
    }
    for (int i_case = 0; i_case < (op->n_case ? op->n_case : 1); i_case++)
      VK_TRY(measure(b, device, op, i_case, NULL, NULL, err));
  }
  return VK_OK;
}

vk_status vk_bench_ops(bench *b, vk_err *err)
{
  vk_team *team = NULL;
  vk_device device = {0};
  if (b->args->op && !vk_op_find(b->args->op))
    return fail_unknown(b->args->op, err);
  vk_status st = vk_team_new(&team, 1, err);
  if (st == VK_OK)
    st = vk_device_open(&device, b->call->common->device, team, err);
  if (st == VK_OK)
    st = measure_all(b, &device, err);
  vk_device_close(&device);
  vk_team_free(team);
  return st;
}
