/* bench_ops.c - vlakit bench ops: the kernels of the network engine, an example at a time. On the
 * CPU a kernel is called as it is; on another device a graph of the op alone, many times over, is
 * run by an executor, so that nobody waits for launches, each time with other operands, so that the
 * device's cache does not hold them. */
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
  }
  o->call = (vk_op_call){.attr = &o->example.attr,
                         .n_in = in.n,
                         .n_out = op->n_out,
                         .in = o->in,
                         .out = o->out,
                         .n_part = 1};
  return VK_OK;
}

/* Where kernels of the CPU write. */
static vk_status new_results(op_bench *o, vk_err *err)
{
  for (int i = 0; i < o->call.n_out; i++) {
    size_t n = (size_t)vk_shape_n_item(&o->out[i].shape) * vk_dtype_size(o->out[i].dtype);
    o->out[i].data = new_block(o, n);
    if (!o->out[i].data)
      return fail_memory(o, err);
  }
  o->call.scratch = new_block(o, o->op->scratch ? o->op->scratch(&o->call) : 0);
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
  VK_TRY(new_results(o, err));
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

enum {
  N_CALL_LEAST = 4,
  N_CALL_MOST = 256,
  N_WARM = 5, /* runs before those that count: a device may make a graph of later ones */
  WORKING_SET_BYTES = 256 << 20, /* no device keeps so much of its memory in a cache */
};
static const double run_s = 2e-3; /* so long a run is to take, beside which its launch is little */
/* To guess how many calls that is: a fast device. A slower one takes longer. */
static const double guessed_rate = 4e13;  /* multiply-adds a second */
static const double guessed_moved = 4e12; /* bytes a second */

/* What the references of a device reached, which results are shares of; 0: not known yet. */
typedef struct reached {
  double work_f32, work_bf16; /* operations a second */
  double moved;               /* bytes a second */
} reached;

/* Calls of an op on a device, with memory of the device for what they read and write. */
typedef struct on_device {
  const vk_device *device;
  vk_graph graph;
  vk_plan *plan;
  vk_exec *exec;
  void **block;
  int n_block;
  int n_call, n_set; /* of operands, which take turns */
} on_device;

static void on_device_fini(on_device *r)
{
  vk_exec_free(r->exec);
  for (int i = 0; i < r->n_block; i++)
    vk_device_free(r->device, r->block[i]);
  free(r->block);
  vk_plan_free(r->plan);
  vk_graph_fini(&r->graph);
}

static int limited(double n, int least, int most)
{
  return n < least ? least : n > most ? most : (int)n;
}

static void choose_calls(on_device *r, const op_bench *o)
{
  vk_cost cost = vk_op_cost(o->op, &o->call);
  double call_s = cost.macs / guessed_rate + cost.bytes / guessed_moved;
  r->n_call = limited(call_s > 0 ? run_s / call_s : N_CALL_MOST, N_CALL_LEAST, N_CALL_MOST);
  r->n_set = limited(cost.bytes > 0 ? WORKING_SET_BYTES / cost.bytes + 1 : 1, 1, r->n_call);
}

/* "in3.12": operand 3 of set 12. */
static void name_operand(char name[24], const char *kind, int i, int i_set)
{
  snprintf(name, 24, "%s%d.%d", kind, i, i_set);
}

static vk_status build_calls(on_device *r, const op_bench *o, vk_err *err)
{
  vk_graph *g = &r->graph;
  vk_id in[N_CALL_MOST][VK_NODE_IN_MAX];
  char name[24];
  for (int s = 0; s < VK_SYM_MAX; s++)
    vk_graph_sym(g, "sym", 0);
  for (int k = 0; k < r->n_set; k++)
    for (int i = 0; i < o->call.n_in; i++) {
      name_operand(name, "in", i, k);
      in[k][i] = o->example.in[i].is_used
                     ? vk_graph_input_external(g, name, o->in[i].dtype, o->in[i].shape)
                     : VK_NONE;
    }
  for (int k = 0; k < r->n_call; k++) {
    vk_in from = {.n = o->call.n_in};
    memcpy(from.id, in[k % r->n_set], sizeof from.id);
    vk_id first = vk_apply(g, o->op, from, o->example.attr);
    VK_TRY(vk_graph_check(g, err));
    for (int i = 0; i < o->call.n_out; i++) {
      vk_id value = vk_graph_out(g, first, i);
      name_operand(name, "out", i, k);
      if (vk_value_bytes(&g->value[value]) > 0)
        vk_graph_output_external(g, name, value);
    }
  }
  return vk_graph_check(g, err);
}

/* Memory of the device, with what lies here in it; from NULL: zeros. */
static vk_status new_on_device(on_device *r, const void *from, size_t n, void **out, vk_err *err)
{
  VK_TRY(vk_device_alloc(r->device, out, n, err));
  r->block[r->n_block++] = *out;
  return from ? vk_device_write(r->device, *out, from, n, err) : VK_OK;
}

static vk_status bind_inputs(on_device *r, const op_bench *o, vk_err *err)
{
  const vk_graph *g = &r->plan->graph;
  char name[24];
  for (int k = 0; k < r->n_set; k++)
    for (int i = 0; i < o->call.n_in; i++) {
      if (!o->example.in[i].is_used)
        continue;
      void *data;
      size_t n = (size_t)vk_shape_n_item(&o->in[i].shape) * vk_dtype_size(o->in[i].dtype);
      VK_TRY(new_on_device(r, o->in[i].data, n, &data, err));
      name_operand(name, "in", i, k);
      vk_exec_bind(r->exec, vk_graph_find(g, name), data);
    }
  return VK_OK;
}

/* Calls write to as many places as they read from. */
static vk_status bind_outputs(on_device *r, const op_bench *o, vk_err *err)
{
  const vk_graph *g = &r->plan->graph;
  void *place[N_CALL_MOST] = {NULL};
  char name[24];
  for (int i = 0; i < o->call.n_out; i++)
    for (int k = 0; k < r->n_call; k++) {
      name_operand(name, "out", i, k);
      vk_id value = vk_graph_find_output(g, name);
      if (value == VK_NONE)
        continue;
      if (k < r->n_set)
        VK_TRY(new_on_device(r, NULL, vk_value_bytes(&g->value[value]), &place[k], err));
      vk_exec_bind(r->exec, value, place[k % r->n_set]);
    }
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
  vk_graph_init(&r->graph, o->op->name);
  choose_calls(r, o);
  r->block = calloc((size_t)r->n_set * (VK_NODE_IN_MAX + VK_NODE_OUT_MAX), sizeof *r->block);
  if (!r->block)
    return fail_memory(o, err);
  VK_TRY(build_calls(r, o, err));
  VK_TRY(vk_plan_new(&r->plan, &r->graph, &target, NULL, NULL, err));
  VK_TRY(vk_exec_new(&r->exec, r->plan, r->device, NULL, err));
  VK_TRY(bind_inputs(r, o, err));
  VK_TRY(bind_outputs(r, o, err));
  return vk_exec_prepare(r->exec, err);
}

/* Median seconds of a call, into *took_s: of runs of many, by the clock. */
static vk_status time_runs(bench *b, on_device *r, double *took_s, vk_err *err)
{
  const int n_rep = (int)b->args->n_rep;
  double *s = calloc((size_t)n_rep, sizeof *s);
  if (!s)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d times", n_rep);
  vk_status st = VK_OK;
  for (int i = 0; i < N_WARM && st == VK_OK; i++) {
    st = vk_signal_check(err);
    if (st == VK_OK)
      st = vk_exec_run(r->exec, err);
  }
  for (int i = 0; i < n_rep && st == VK_OK; i++) {
    const double begin_s = vk_sys_monotonic_s();
    int n = 0;
    do {
      st = vk_signal_check(err);
      if (st == VK_OK)
        st = vk_exec_run(r->exec, err);
      n++;
      s[i] = vk_sys_monotonic_s() - begin_s;
    } while (st == VK_OK && s[i] < least_s);
    s[i] /= (double)n * r->n_call;
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

/* What a model of 256 channels has of a batch of 1,024: N_TOKEN rows in segments of SEGMENT. */
enum {
  SEGMENT = 153,
  N_SEGMENT = 1024,
  N_TOKEN = SEGMENT * N_SEGMENT,
  CHANNELS = 256,
  N_PIXEL = 64
};

static void model_product(vk_example *e)
{
  large_product_bf16(e);
  e->in[0].shape = vk_shape_of(2, N_TOKEN, CHANNELS);
  e->in[1].shape = vk_shape_of(2, 4 * CHANNELS, CHANNELS);
}

static void model_add(vk_example *e)
{
  vk_example_f32(e, vk_shape_of(2, N_TOKEN, CHANNELS));
  vk_example_f32(e, vk_shape_of(2, N_TOKEN, CHANNELS));
  e->attr.scale = 1;
}

static void model_rms_norm(vk_example *e)
{
  vk_example_f32(e, vk_shape_of(2, N_TOKEN, CHANNELS));
  vk_example_f32(e, vk_shape_of(1, CHANNELS));
  e->attr.eps = 1e-6;
}

static void model_group_norm(vk_example *e)
{
  e->attr.n_group = 8;
  e->attr.group = 1;
  e->attr.eps = 1e-5;
  e->attr.act = VK_ACT_GELU;
  vk_example_f32(e, vk_shape_of(4, N_SEGMENT, N_PIXEL, N_PIXEL, CHANNELS / 8));
  vk_example_f32(e, vk_shape_of(1, CHANNELS / 8));
  vk_example_f32(e, vk_shape_of(1, CHANNELS / 8));
}

static void model_attention(vk_example *e)
{
  e->is_large = true;
  e->attr.n_head = 4;
  e->attr.max_k = SEGMENT;
  e->attr.dtype = VK_BF16;
  e->attr.isa = VK_PATH_GPU;
  vk_example_f32(e, vk_shape_of(2, N_TOKEN, 3 * CHANNELS));
  e->in[0].dtype = VK_BF16;
  vk_example_none(e);
  vk_example_i32(e, vk_shape_of(1, N_SEGMENT + 1), VK_EXAMPLE_SEGMENTS, N_TOKEN);
}

/* ---- results ------------------------------------------------------------------------------- */

static double share_of(double x, double most)
{
  return most > 0 ? x / most : 0;
}

/* On a device, of what its references reached: products of their work, all of the bytes. */
static vk_status add_shares(bench *b, const op_bench *o, const char *what, const reached *most,
                            double work, double moved, vk_err *err)
{
  const bool is_bf16 = o->example.attr.dtype == VK_BF16;
  double of_work = share_of(work, is_bf16 ? most->work_bf16 : most->work_f32);
  if (of_work > 0)
    VK_TRY(vk_bench_add(b, what, "work_share", of_work, is_bf16 ? "of large.bf16" : "of large.f32",
                        err));
  double of_moved = share_of(moved, most->moved);
  return of_moved > 0 ? vk_bench_add(b, what, "moved_share", of_moved, "of large.copy", err)
                      : VK_OK;
}

/* What is measured: an example of an op, or with make a reference of its own name. */
typedef struct subject {
  const vk_op_def *op;
  int i_case;
  void (*make)(vk_example *);
  const char *name;
} subject;

/* work, moved  out, operations and bytes a second; may be NULL */
static vk_status measure(bench *b, const vk_device *device, const subject *s, const reached *most,
                         double *work, double *moved, vk_err *err)
{
  op_bench o;
  double took_s = 0;
  vk_status st = op_bench_init(&o, s->op, s->i_case, s->make, err);
  if (st == VK_OK)
    st = device->def == &vk_device_cpu ? time_on_cpu(b, &o, &took_s, err)
                                       : time_on_device(b, &o, device, &took_s, err);
  if (st != VK_OK)
    goto done;
  vk_cost cost = vk_op_cost(s->op, &o.call);
  double ops_rate = 2 * cost.macs / took_s, byte_rate = cost.bytes / took_s;
  char what[64], note[96];
  if (s->name)
    snprintf(what, sizeof what, "ops.%.40s", s->name);
  else
    snprintf(what, sizeof what, "ops.%.40s.%d", s->op->name, s->i_case);
  note_inputs(&o, note, sizeof note);
  VK_TRY_DONE(vk_bench_add_noted(b, what, "time", took_s * 1e6, "us", note, err));
  if (cost.macs > 0)
    VK_TRY_DONE(vk_bench_add(b, what, "work", 1e-9 * ops_rate, "GF/s", err));
  VK_TRY_DONE(vk_bench_add(b, what, "moved", 1e-9 * byte_rate, "GB/s", err));
  if (work)
    *work = ops_rate;
  if (moved)
    *moved = byte_rate;
  if (most)
    st = add_shares(b, &o, what, most, ops_rate, byte_rate, err);
done:
  op_bench_fini(&o);
  return st;
}

/* What a device can do, and how near to that kernels come at sizes of a model. */
static vk_status measure_references(bench *b, const vk_device *device, reached *most, vk_err *err)
{
  static const subject f32 = {&vk_op_matmul, 0, large_product, "large.f32"},
                       bf16 = {&vk_op_matmul, 0, large_product_bf16, "large.bf16"},
                       copy = {&vk_op_copy, 0, large_copy, "large.copy"};
  static const subject of_model[] = {
      {&vk_op_matmul, 0, model_product, "model.matmul"},
      {&vk_op_attention, 0, model_attention, "model.attention"},
      {&vk_op_rms_norm, 0, model_rms_norm, "model.rms_norm"},
      {&vk_op_group_norm, 0, model_group_norm, "model.group_norm"},
      {&vk_op_add, 0, model_add, "model.add"},
  };
  VK_TRY(measure(b, device, &f32, NULL, &most->work_f32, NULL, err));
  if (device->def->has_bf16)
    VK_TRY(measure(b, device, &bf16, NULL, &most->work_bf16, NULL, err));
  VK_TRY(measure(b, device, &copy, NULL, NULL, &most->moved, err));
  for (size_t i = 0; i < VK_COUNT(of_model) && device->def->has_bf16; i++)
    VK_TRY(measure(b, device, &of_model[i], most, NULL, NULL, err));
  return VK_OK;
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

/* --op names an op, and one that does something. */
static vk_status check_op(const char *name, vk_err *err)
{
  const vk_op_def *op = vk_op_find(name);
  if (!op)
    return fail_unknown(name, err);
  if (op->flags & VK_OP_VIEW)
    return vk_fail(err, VK_E_USAGE,
                   "op %s is a view: it moves no bytes and takes no time, so there is nothing to "
                   "measure",
                   name);
  return VK_OK;
}

static vk_status measure_all(bench *b, const vk_device *device, vk_err *err)
{
  const char *name = b->args->op;
  const bool is_cpu = device->def == &vk_device_cpu;
  reached most = {0};
  if (!is_cpu)
    VK_TRY(measure_references(b, device, &most, err));
  for (int i = 0; i < vk_op_count(); i++) {
    const vk_op_def *op = vk_ops[i];
    if ((name && strcmp(name, op->name) != 0) || op->flags & VK_OP_VIEW)
      continue;
    if (!is_cpu && !device->def->has_op(op)) { /* panels of weights are the CPU's alone */
      if (name)
        return vk_fail(err, VK_E_UNSUPPORTED, "op %s has no kernel on device %s", op->name,
                       device->def->name);
      continue;
    }
    for (int i_case = 0; i_case < (op->n_case ? op->n_case : 1); i_case++)
      VK_TRY(measure(b, device, &(subject){.op = op, .i_case = i_case}, is_cpu ? NULL : &most, NULL,
                     NULL, err));
  }
  return VK_OK;
}

vk_status vk_bench_ops(bench *b, vk_err *err)
{
  vk_team *team = NULL;
  vk_device device = {0};
  if (b->args->op)
    VK_TRY(check_op(b->args->op, err));
  vk_status st = vk_team_new(&team, 1, err);
  if (st == VK_OK)
    st = vk_device_open(&device, b->call->common->device, team, err);
  if (st == VK_OK)
    st = measure_all(b, &device, err);
  vk_device_close(&device);
  vk_team_free(team);
  return st;
}
