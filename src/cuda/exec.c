/* exec.c - a plan's steps on a GPU. One allocation holds all that the plan asks for; inputs and
 * outputs have pinned memory of the host beside it, and move with a run: up, the kernels, down, in
 * one stream, without a stop between.
 *
 * A run whose sizes are those of the run before is captured as a graph and launched as one from
 * then on: a decision of one observation is bound by the cost of its launches. A run of other sizes
 * starts its kernels one by one, ahead of the device. */
#include <stdlib.h>
#include <string.h>

#include "core/sys.h"
#include "cuda/device.h"
#include "cuda/gemm.h"
#include "cuda/op.h"
#include "nn/exec_internal.h"

/* A value that moves with every run. */
typedef struct io {
  vk_id value;
  void *host;
  bool is_input;
} io;

typedef struct exec_state {
  cudaStream_t stream;
  vk_cuda_gemm *gemm;
  uint8_t *block;  /* of the device */
  uint8_t *pinned; /* of the host */
  int n_io;
  io *io;
  cudaGraphExec_t graph;
  bool no_graph;      /* a run could not be captured: none is again */
  bool is_new;        /* sizes or places have changed since the last run */
  cudaEvent_t *event; /* [n_step + 1] when nodes are timed */
} exec_state;

static size_t round_up(size_t n)
{
  return (n + 255) / 256 * 256;
}

/* ---- opening ------------------------------------------------------------------------------- */

static size_t const_bytes(const vk_plan *p)
{
  size_t n = 0;
  for (int v = 0; v < p->graph.n_value; v++)
    if (p->place[v].where == VK_WHERE_CONST && p->place[v].root == v)
      n += round_up(vk_value_bytes(&p->graph.value[v]));
  return n;
}

/* Pinned memory of an output that the host reads; what lies with the caller or in an input's has
 * none of its own. */
static bool has_mirror(const vk_plan *p, const vk_output *o)
{
  vk_where where = p->place[o->value].where;
  return !o->is_external && (where == VK_WHERE_ARENA || where == VK_WHERE_ONCE);
}

static size_t pinned_bytes(const vk_plan *p)
{
  size_t n = round_up(p->held_bytes);
  for (int i = 0; i < p->graph.n_output; i++)
    if (has_mirror(p, &p->graph.output[i]))
      n += round_up(vk_value_bytes(&p->graph.value[p->graph.output[i].value]));
  return n;
}

/* Inputs lie in pinned memory as they lie in the block; outputs behind them. */
static void place_io(vk_exec *x, exec_state *s)
{
  const vk_plan *p = x->plan;
  size_t at = round_up(p->held_bytes);
  for (int v = 0; v < p->graph.n_value; v++) {
    if (p->place[v].where != VK_WHERE_HELD)
      continue;
    x->host[v] = s->pinned + p->place[v].offset;
    if (p->place[v].root == v)
      s->io[s->n_io++] = (io){v, x->host[v], true};
  }
  for (int i = 0; i < p->graph.n_output; i++) {
    vk_id v = p->graph.output[i].value;
    if (!has_mirror(p, &p->graph.output[i]) || x->host[v])
      continue;
    x->host[v] = s->pinned + at;
    at += round_up(vk_value_bytes(&p->graph.value[v]));
    s->io[s->n_io++] = (io){v, x->host[v], false};
  }
}

static vk_status upload_consts(vk_exec *x, exec_state *s, uint8_t *at, vk_err *err)
{
  const vk_plan *p = x->plan;
  for (int v = 0; v < p->graph.n_value; v++) {
    if (p->place[v].where != VK_WHERE_CONST || p->place[v].root != v)
      continue;
    size_t n = vk_value_bytes(&p->graph.value[v]);
    VK_TRY(VK_CUDA_CHECK(
        cudaMemcpyAsync(at, p->graph.value[v].data, n, cudaMemcpyHostToDevice, s->stream),
        &x->device, "copying constants", err));
    for (int w = 0; w < p->graph.n_value; w++)
      if (p->place[w].root == v) {
        x->data[w] = at;
        x->host[w] = (void *)(uintptr_t)p->graph.value[v].data;
      }
    at += round_up(n);
  }
  return VK_CUDA_CHECK(cudaStreamSynchronize(s->stream), &x->device, "copying constants", err);
}

/* The plan's bytes are known before anything runs: what does not fit is said, with how much. */
static vk_status take_block(vk_exec *x, exec_state *s, size_t n, vk_err *err)
{
  const vk_device *d = &x->device;
  size_t n_free = 0, n_all = 0;
  VK_TRY(VK_CUDA_CHECK(cudaMemGetInfo(&n_free, &n_all), d, "opening a network", err));
  cudaError_t e = cudaMalloc((void **)&s->block, n);
  if (e != cudaErrorMemoryAllocation)
    return VK_CUDA_CHECK(e, d, "opening a network", err);
  (void)cudaGetLastError();
  return vk_fail(
      err, VK_E_NOMEM,
      "%s needs %.1f MB on device %s, which has %.1f of its %.1f MB free; take a smaller "
      "batch (training: micro_batch), or end what else uses it",
      x->plan->graph.name, (double)n * 1e-6, vk_cuda_device_of(d)->name, (double)n_free * 1e-6,
      (double)n_all * 1e-6);
}

static vk_status open_state(vk_exec *x, exec_state *s, vk_err *err)
{
  const vk_plan *p = x->plan;
  const vk_device *d = &x->device;
  size_t arena = round_up(p->arena_bytes), once = round_up(p->once_bytes);
  size_t held = round_up(p->held_bytes), pinned = pinned_bytes(p);
  s->is_new = true;
  s->io = calloc((size_t)(p->graph.n_value + p->graph.n_output) + 1, sizeof *s->io);
  if (!s->io)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for an executor", p->graph.name);
  VK_TRY(vk_cuda_use(d, err));
  VK_TRY(VK_CUDA_CHECK(cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking), d,
                       "opening a network", err));
  VK_TRY(vk_cuda_gemm_new(&s->gemm, err));
  VK_TRY(take_block(x, s, arena + once + held + const_bytes(p) + 256, err));
  if (pinned)
    VK_TRY(VK_CUDA_CHECK(cudaMallocHost((void **)&s->pinned, pinned), d, "opening a network", err));
  if (pinned)
    memset(s->pinned, 0, pinned);
  x->arena = s->block;
  x->once = x->arena + arena;
  x->held = x->once + once;
  place_io(x, s);
  return upload_consts(x, s, x->held + held, err);
}

void vk_cuda_exec_close(vk_exec *x)
{
  exec_state *s = x->state;
  if (!s)
    return;
  vk_cuda_try_use(&x->device); /* of a lost device all is given back, too */
  if (s->stream)
    (void)cudaStreamSynchronize(s->stream);
  if (s->graph)
    (void)cudaGraphExecDestroy(s->graph);
  for (int i = 0; s->event && i <= x->n_step; i++)
    if (s->event[i])
      (void)cudaEventDestroy(s->event[i]);
  vk_cuda_gemm_free(s->gemm);
  (void)cudaFree(s->block);
  (void)cudaFreeHost(s->pinned);
  if (s->stream)
    (void)cudaStreamDestroy(s->stream);
  free(s->event);
  free(s->io);
  free(s);
  x->state = NULL;
}

vk_status vk_cuda_exec_open(vk_exec *x, vk_err *err)
{
  exec_state *s = calloc(1, sizeof *s);
  if (!s)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for an executor", x->plan->graph.name);
  x->state = s;
  return open_state(x, s, err); /* vk_exec_new closes what was begun */
}

void vk_cuda_exec_changed(vk_exec *x)
{
  exec_state *s = x->state;
  s->is_new = true;
}

/* ---- a run --------------------------------------------------------------------------------- */

static cudaError_t move(vk_exec *x, exec_state *s, bool is_input)
{
  for (int i = 0; i < s->n_io; i++) {
    const io *m = &s->io[i];
    vk_shape shape = vk_exec_shape(x, m->value);
    size_t n =
        (size_t)vk_shape_n_item(&shape) * vk_dtype_size(x->plan->graph.value[m->value].dtype);
    if (m->is_input != is_input || n == 0)
      continue;
    void *device = x->data[m->value];
    cudaError_t e = is_input
                        ? cudaMemcpyAsync(device, m->host, n, cudaMemcpyHostToDevice, s->stream)
                        : cudaMemcpyAsync(m->host, device, n, cudaMemcpyDeviceToHost, s->stream);
    if (e != cudaSuccess)
      return e;
  }
  return cudaSuccess;
}

static vk_status tell_place(const vk_exec *x, const char *place, vk_status st, vk_err *err)
{
  (void)vk_err_prefix(err, "%s: %s", x->plan->graph.name, place);
  return st;
}

/* Names the op whose kernels could not be started. */
static vk_status start_steps(vk_exec *x, exec_state *s, bool is_once, vk_err *err)
{
  const bool is_timed = x->is_timed && !is_once;
  for (int i = 0; i < x->n_step; i++) {
    const vk_exec_step *step = &x->step[i];
    const vk_node *node = &x->plan->graph.node[step->i_node];
    if (is_timed)
      VK_TRY(VK_CUDA_CHECK(cudaEventRecord(s->event[i], s->stream), &x->device, "timing", err));
    if (step->is_once != is_once)
      continue;
    const vk_cuda_call call = {&step->call, s->stream, s->gemm};
    vk_status st = vk_cuda_check(vk_cuda_op_find(node->op)->run(&call), &x->device,
                                 "starting kernels", node->op->name, err);
    if (st != VK_OK)
      return tell_place(x, node->place, st, err);
  }
  if (is_timed)
    VK_TRY(
        VK_CUDA_CHECK(cudaEventRecord(s->event[x->n_step], s->stream), &x->device, "timing", err));
  return VK_OK;
}

static vk_status start_all(vk_exec *x, exec_state *s, vk_err *err)
{
  static const char call[] = "cudaMemcpyAsync";
  VK_TRY(vk_cuda_check(move(x, s, true), &x->device, "copying inputs", call, err));
  VK_TRY(start_steps(x, s, false, err));
  return vk_cuda_check(move(x, s, false), &x->device, "copying outputs", call, err);
}

static void drop_graph(exec_state *s)
{
  if (s->graph)
    (void)cudaGraphExecDestroy(s->graph);
  s->graph = NULL;
}

static vk_status capture(vk_exec *x, exec_state *s, vk_err *err)
{
  cudaGraph_t graph = NULL;
  const vk_device *d = &x->device;
  VK_TRY(VK_CUDA_CHECK(cudaStreamBeginCapture(s->stream, cudaStreamCaptureModeThreadLocal), d,
                       "capturing a run", err));
  vk_status st = start_all(x, s, err);
  cudaError_t e = cudaStreamEndCapture(s->stream, &graph);
  if (st == VK_OK)
    st = VK_CUDA_CHECK(e, d, "capturing a run", err);
  if (st == VK_OK)
    st = VK_CUDA_CHECK(cudaGraphInstantiate(&s->graph, graph, 0), d, "capturing a run", err);
  if (graph)
    (void)cudaGraphDestroy(graph);
  return st;
}

/* Events before the first node and after each; made when first asked for. */
static vk_status make_events(vk_exec *x, exec_state *s, vk_err *err)
{
  if (!s->event)
    s->event = calloc((size_t)x->n_step + 1, sizeof(cudaEvent_t));
  if (!s->event)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for the times of nodes", x->plan->graph.name);
  for (int i = 0; i <= x->n_step; i++)
    if (!s->event[i])
      VK_TRY(VK_CUDA_CHECK(cudaEventCreate(&s->event[i]), &x->device, "timing", err));
  return VK_OK;
}

static vk_status read_events(vk_exec *x, const exec_state *s, vk_err *err)
{
  for (int i = 0; i < x->n_step; i++) {
    float ms = 0;
    VK_TRY(VK_CUDA_CHECK(cudaEventElapsedTime(&ms, s->event[i], s->event[i + 1]), &x->device,
                         "timing", err));
    x->node_s[x->step[i].i_node] = ms * 1e-3;
  }
  return VK_OK;
}

static vk_status finish(vk_exec *x, exec_state *s, vk_err *err)
{
  vk_status st = VK_CUDA_CHECK(cudaStreamSynchronize(s->stream), &x->device, "running", err);
  return st == VK_OK ? st : vk_err_prefix(err, "%s", x->plan->graph.name);
}

vk_status vk_cuda_exec_run(vk_exec *x, bool is_once, vk_err *err)
{
  exec_state *s = x->state;
  VK_TRY(vk_cuda_use(&x->device, err));
  if (is_once) {
    VK_TRY(start_steps(x, s, true, err));
    return finish(x, s, err);
  }
  vk_trace_span span = vk_trace_begin(x->trace, "nn", x->plan->graph.name);
  vk_status st = VK_OK;
  if (s->is_new)
    drop_graph(s);
  if (x->is_timed) {
    st = make_events(x, s, err);
    if (st == VK_OK)
      st = start_all(x, s, err);
  } else if (s->is_new) {
    st = start_all(x, s, err);
  } else {
    if (!s->graph && !s->no_graph)
      s->no_graph = capture(x, s, NULL) != VK_OK; /* nothing has run yet */
    (void)cudaGetLastError();
    st = s->graph ? VK_CUDA_CHECK(cudaGraphLaunch(s->graph, s->stream), &x->device, "running", err)
                  : start_all(x, s, err);
  }
  s->is_new = st != VK_OK;
  if (st == VK_OK)
    st = finish(x, s, err);
  vk_trace_end(&span);
  if (st == VK_OK && x->is_timed)
    st = read_events(x, s, err);
  return st;
}
