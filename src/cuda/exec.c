/* exec.c - a plan's steps on a GPU. One allocation holds all that the plan asks for; inputs and
 * outputs have pinned memory of the host beside it, and move with a run: up, the kernels, down, in
 * one stream, without a stop between.
 *
 * Inputs that are sent ahead go up in a stream of their own while the run before is computed, to a
 * place beside those in use, from where they are copied on the device as their run begins. The host
 * writes those after them to the other of two slots of pinned memory.
 *
 * A run of sizes that two runs had before is captured as a graph and launched as one from then on:
 * a decision of one observation is bound by the cost of its launches. The graphs of the sizes that
 * were used last are kept, so that sizes may take turns. A run of other sizes starts its kernels
 * one by one, ahead of the device: what is seen once is not worth a capture. */
#include <stdio.h>
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

/* Runs that are alike: what was captured of one does for all. */
typedef struct run_kind {
  int64_t size[VK_SYM_MAX];
  int i_slot; /* that inputs come from; -1: they were sent ahead */
  int n_run;  /* so far, up to CAPTURE_AFTER */
  int64_t last_run;
  cudaGraphExec_t graph; /* NULL: none yet */
} run_kind;

enum {
  CAPTURE_AFTER = 2, /* runs of a kind */
  N_KIND = 16,       /* that are known at a time */
};

typedef struct exec_state {
  cudaStream_t stream;
  vk_cuda_gemm *gemm;
  uint8_t *block;  /* of the device */
  uint8_t *pinned; /* of the host: a slot or two of inputs, outputs */
  int n_io;
  io *io;

  uint8_t *next;       /* of the device: inputs sent ahead; NULL: none are */
  cudaStream_t ahead;  /* they come in it */
  cudaEvent_t arrived; /* they are in next */
  cudaEvent_t taken;   /* next may be written */
  int i_slot;          /* where the host writes */

  run_kind kind[N_KIND];
  int64_t n_run;
  bool no_graph;    /* a run could not be captured: none is again */
  cudaEvent_t done; /* in training: waiting for it leaves the core to loaders */

  cudaEvent_t *event; /* [n_step + 1] when nodes are timed */
  int64_t start_ns;   /* of the host, when the first was enqueued; the device was idle */
  int64_t n_zero;     /* vk_cuda_follow_zeros */
  bool is_running;    /* for the device's count */
  bool is_timing;     /* the run that was started is timed */
  const char *row;    /* of a trace; NULL: none */
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

static size_t slot_bytes(const vk_plan *p)
{
  return round_up(p->held_bytes) * (vk_plan_sends(p) ? 2 : 1);
}

static size_t pinned_bytes(const vk_plan *p)
{
  size_t n = slot_bytes(p);
  for (int i = 0; i < p->graph.n_output; i++)
    if (has_mirror(p, &p->graph.output[i]))
      n += round_up(vk_value_bytes(&p->graph.value[p->graph.output[i].value]));
  return n;
}

/* Inputs lie in a slot of pinned memory as they lie in the block; outputs behind them. */
static void place_io(vk_exec *x, exec_state *s)
{
  const vk_plan *p = x->plan;
  size_t at = slot_bytes(p);
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

/* The host writes inputs to the other slot from now on. */
static void turn_slot(vk_exec *x, exec_state *s)
{
  const vk_plan *p = x->plan;
  s->i_slot = 1 - s->i_slot;
  uint8_t *slot = s->pinned + (s->i_slot ? round_up(p->held_bytes) : 0);
  for (int v = 0; v < p->graph.n_value; v++)
    if (p->place[v].where == VK_WHERE_HELD)
      x->host[v] = slot + p->place[v].offset;
  for (int i = 0; i < s->n_io; i++)
    s->io[i].host = x->host[s->io[i].value];
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

static vk_status make_event(const vk_exec *x, cudaEvent_t *event, unsigned flags, vk_err *err)
{
  return VK_CUDA_CHECK(cudaEventCreateWithFlags(event, cudaEventDisableTiming | flags), &x->device,
                       "opening a network", err);
}

static vk_status open_ahead(vk_exec *x, exec_state *s, vk_err *err)
{
  VK_TRY(VK_CUDA_CHECK(cudaStreamCreateWithFlags(&s->ahead, cudaStreamNonBlocking), &x->device,
                       "opening a network", err));
  VK_TRY(make_event(x, &s->arrived, 0, err));
  VK_TRY(make_event(x, &s->taken, 0, err));
  return make_event(x, &s->done, cudaEventBlockingSync, err);
}

static vk_status open_state(vk_exec *x, exec_state *s, vk_err *err)
{
  const vk_plan *p = x->plan;
  const vk_device *d = &x->device;
  size_t arena = round_up(p->arena_bytes), once = round_up(p->once_bytes);
  size_t held = round_up(p->held_bytes), pinned = pinned_bytes(p),
         next = vk_plan_sends(p) ? held : 0;
  if (x->trace)
    s->row = vk_trace_keep(x->trace, vk_cuda_device_of(d)->name);
  s->io = calloc((size_t)(p->graph.n_value + p->graph.n_output) + 1, sizeof *s->io);
  if (!s->io)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for an executor", p->graph.name);
  VK_TRY(vk_cuda_use(d, err));
  VK_TRY(VK_CUDA_CHECK(cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking), d,
                       "opening a network", err));
  VK_TRY(vk_cuda_gemm_new(&s->gemm, err));
  if (next)
    VK_TRY(open_ahead(x, s, err));
  VK_TRY(vk_cuda_take(d, (void **)&s->block, arena + once + held + next + const_bytes(p) + 256,
                      p->graph.name, "batch (training: micro_batch)", err));
  if (pinned)
    VK_TRY(VK_CUDA_CHECK(cudaMallocHost((void **)&s->pinned, pinned), d, "opening a network", err));
  if (pinned)
    memset(s->pinned, 0, pinned);
  x->arena = s->block;
  x->once = x->arena + arena;
  x->held = x->once + once;
  if (next)
    s->next = x->held + held;
  place_io(x, s);
  return upload_consts(x, s, x->held + held + next, err);
}

static void begin_run(vk_exec *x, exec_state *s)
{
  if (!s->is_running)
    vk_cuda_begin_run(&x->device);
  s->is_running = true;
}

static void end_run(vk_exec *x, exec_state *s)
{
  if (s->is_running)
    vk_cuda_end_run(&x->device);
  s->is_running = false;
}

static void forget_kind(run_kind *k)
{
  if (k->graph)
    (void)cudaGraphExecDestroy(k->graph);
  *k = (run_kind){0};
}

void vk_cuda_exec_close(vk_exec *x)
{
  exec_state *s = x->state;
  if (!s)
    return;
  end_run(x, s);
  vk_cuda_try_use(&x->device); /* of a lost device all is given back, too */
  if (s->stream)
    (void)cudaStreamSynchronize(s->stream);
  if (s->ahead)
    (void)cudaStreamSynchronize(s->ahead);
  for (int i = 0; i < N_KIND; i++)
    forget_kind(&s->kind[i]);
  for (int i = 0; s->event && i <= x->n_step; i++)
    if (s->event[i])
      (void)cudaEventDestroy(s->event[i]);
  if (s->arrived)
    (void)cudaEventDestroy(s->arrived);
  if (s->taken)
    (void)cudaEventDestroy(s->taken);
  if (s->done)
    (void)cudaEventDestroy(s->done);
  vk_cuda_gemm_free(s->gemm);
  (void)cudaFree(s->block);
  (void)cudaFreeHost(s->pinned);
  if (s->ahead)
    (void)cudaStreamDestroy(s->ahead);
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

/* Graphs of before have other places in them. */
void vk_cuda_exec_changed(vk_exec *x)
{
  exec_state *s = x->state;
  for (int i = 0; i < N_KIND; i++)
    s->kind[i].n_run = 0; /* dropped by the next run, on a thread that has chosen the device */
}

/* ---- a run --------------------------------------------------------------------------------- */

typedef enum road { TO_PLACE, TO_NEXT, FROM_NEXT, TO_HOST } road;

/* Up to here all inputs go in one copy, with what no run of these sizes reads: to begin another
 * costs about as much as this many bytes on their way (an estimate: some microseconds, tens of
 * GB/s). */
enum { AS_ONE_BYTES = 256 << 10 };

/* The host's slot, or what was sent, as a whole. */
static cudaError_t move_as_one(vk_exec *x, exec_state *s, road way)
{
  size_t n = x->plan->held_bytes;
  const uint8_t *slot = s->pinned + (s->i_slot ? round_up(n) : 0);
  if (way == FROM_NEXT)
    return cudaMemcpyAsync(x->held, s->next, n, cudaMemcpyDeviceToDevice, s->stream);
  return cudaMemcpyAsync(way == TO_NEXT ? s->next : x->held, slot, n, cudaMemcpyHostToDevice,
                         way == TO_NEXT ? s->ahead : s->stream);
}

/* All inputs, or all outputs that are read, at the sizes of the run. */
static cudaError_t move(vk_exec *x, exec_state *s, road way)
{
  static const enum cudaMemcpyKind kind[] = {[TO_PLACE] = cudaMemcpyHostToDevice,
                                             [TO_NEXT] = cudaMemcpyHostToDevice,
                                             [FROM_NEXT] = cudaMemcpyDeviceToDevice,
                                             [TO_HOST] = cudaMemcpyDeviceToHost};
  if (way != TO_HOST && x->plan->held_bytes > 0 && x->plan->held_bytes <= AS_ONE_BYTES)
    return move_as_one(x, s, way);
  for (int i = 0; i < s->n_io; i++) {
    const io *m = &s->io[i];
    vk_shape shape = vk_exec_shape(x, m->value);
    size_t n =
        (size_t)vk_shape_n_item(&shape) * vk_dtype_size(x->plan->graph.value[m->value].dtype);
    if (m->is_input != (way != TO_HOST) || n == 0 || x->is_ignored[m->value])
      continue;
    void *place = x->data[m->value], *next = NULL;
    if (s->next && m->is_input)
      next = s->next + x->plan->place[m->value].offset;
    void *to = way == TO_HOST ? m->host : way == TO_NEXT ? next : place;
    const void *from = way == TO_HOST ? place : way == FROM_NEXT ? next : m->host;
    cudaError_t e = cudaMemcpyAsync(to, from, n, kind[way], way == TO_NEXT ? s->ahead : s->stream);
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

/* Names the op whose kernels could not be started, and the call of cuBLASLt if that was it. */
static vk_status fail_step(const vk_exec *x, const exec_state *s, const vk_node *node,
                           cudaError_t e, vk_err *err)
{
  char call[256], product[128];
  vk_cuda_gemm_take_failure(s->gemm, product);
  snprintf(call, sizeof call, "%s%s%s", node->op->name, product[0] ? " by " : "", product);
  return tell_place(x, node->place, vk_cuda_check(e, &x->device, "starting kernels", call, err),
                    err);
}

static vk_status start_steps(vk_exec *x, exec_state *s, bool is_once, vk_err *err)
{
  const bool is_timed = s->is_timing;
  for (int i = 0; i < x->n_step; i++) {
    const vk_exec_step *step = &x->step[i];
    const vk_node *node = &x->plan->graph.node[step->i_node];
    if (is_timed)
      VK_TRY(VK_CUDA_CHECK(cudaEventRecord(s->event[i], s->stream), &x->device, "timing", err));
    if (step->is_once != is_once)
      continue;
    const vk_cuda_call call = {&step->call, s->stream, s->gemm};
    cudaError_t e = vk_cuda_op_find(node->op)->run(&call);
    if (e != cudaSuccess)
      return fail_step(x, s, node, e, err);
  }
  if (is_timed)
    VK_TRY(
        VK_CUDA_CHECK(cudaEventRecord(s->event[x->n_step], s->stream), &x->device, "timing", err));
  return VK_OK;
}

static const char moving[] = "cudaMemcpyAsync";

/* Inputs that were not sent ahead, kernels, outputs. */
static vk_status start_all(vk_exec *x, exec_state *s, vk_err *err)
{
  if (!x->is_sent)
    VK_TRY(vk_cuda_check(move(x, s, TO_PLACE), &x->device, "copying inputs", moving, err));
  VK_TRY(start_steps(x, s, false, err));
  return vk_cuda_check(move(x, s, TO_HOST), &x->device, "copying outputs", moving, err);
}

vk_status vk_cuda_exec_send(vk_exec *x, vk_err *err)
{
  static const char doing[] = "copying inputs ahead";
  exec_state *s = x->state;
  const vk_device *d = &x->device;
  if (!s->next)
    return VK_OK; /* a network without inputs */
  VK_TRY(vk_cuda_use(d, err));
  if (x->is_sent) /* in vain: the slot that the host gets next may still be read */
    VK_TRY(VK_CUDA_CHECK(cudaStreamSynchronize(s->ahead), d, doing, err));
  VK_TRY(VK_CUDA_CHECK(cudaStreamWaitEvent(s->ahead, s->taken, 0), d, doing, err));
  VK_TRY(vk_cuda_check(move(x, s, TO_NEXT), d, doing, moving, err));
  VK_TRY(VK_CUDA_CHECK(cudaEventRecord(s->arrived, s->ahead), d, doing, err));
  turn_slot(x, s);
  return VK_OK;
}

/* What was sent comes to its place, before the kernels that follow in the stream. */
static vk_status take_sent(vk_exec *x, exec_state *s, vk_err *err)
{
  static const char doing[] = "taking inputs";
  const vk_device *d = &x->device;
  if (!s->next)
    return VK_OK; /* a network without inputs */
  VK_TRY(VK_CUDA_CHECK(cudaStreamWaitEvent(s->stream, s->arrived, 0), d, doing, err));
  VK_TRY(vk_cuda_check(move(x, s, FROM_NEXT), d, doing, moving, err));
  return VK_CUDA_CHECK(cudaEventRecord(s->taken, s->stream), d, doing, err);
}

/* The run's, which takes the place of the one that was used longest ago where it is new. */
static run_kind *find_kind(const vk_exec *x, exec_state *s)
{
  const int i_slot = x->is_sent ? -1 : s->i_slot;
  run_kind *oldest = &s->kind[0];
  for (int i = 0; i < N_KIND; i++) {
    run_kind *k = &s->kind[i];
    if (k->n_run == 0)
      forget_kind(k);
    else if (k->i_slot == i_slot && memcmp(k->size, x->size, sizeof k->size) == 0)
      return k;
    oldest = k->last_run < oldest->last_run ? k : oldest;
  }
  forget_kind(oldest);
  memcpy(oldest->size, x->size, sizeof oldest->size);
  oldest->i_slot = i_slot;
  return oldest;
}

static vk_status capture(vk_exec *x, exec_state *s, cudaGraphExec_t *out, vk_err *err)
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
    st = VK_CUDA_CHECK(cudaGraphInstantiateWithFlags(out, graph, 0), d, "capturing a run", err);
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

/* Times of nodes, and a row of the trace with a slice for each: what is empty there is time in
 * which the device had nothing to do. */
static vk_status read_events(vk_exec *x, const exec_state *s, vk_err *err)
{
  for (int i = 0; i < x->n_step; i++) {
    float ms = 0, since_ms = 0;
    VK_TRY(VK_CUDA_CHECK(cudaEventElapsedTime(&ms, s->event[i], s->event[i + 1]), &x->device,
                         "timing", err));
    VK_TRY(VK_CUDA_CHECK(cudaEventElapsedTime(&since_ms, s->event[0], s->event[i]), &x->device,
                         "timing", err));
    x->node_s[x->step[i].i_node] = ms * 1e-3;
    if (s->row && !x->step[i].is_once)
      vk_trace_add(x->trace, s->row, "cuda", x->step[i].name,
                   s->start_ns + (int64_t)((double)since_ms * 1e6), (int64_t)((double)ms * 1e6));
  }
  return VK_OK;
}

/* By the stream, which asks again and again: soonest, for a decision; or asleep until the event. */
static vk_status wait_for_stream(const vk_exec *x, const exec_state *s, vk_err *err)
{
  const vk_device *d = &x->device;
  VK_TRY(vk_cuda_use(d, err));
  if (!s->done)
    return VK_CUDA_CHECK(cudaStreamSynchronize(s->stream), d, "running", err);
  VK_TRY(VK_CUDA_CHECK(cudaEventRecord(s->done, s->stream), d, "running", err));
  return VK_CUDA_CHECK(cudaEventSynchronize(s->done), d, "running", err);
}

vk_status vk_cuda_exec_wait(vk_exec *x, vk_err *err)
{
  exec_state *s = x->state;
  vk_trace_span span = vk_trace_begin(x->trace, "nn", "wait for the device");
  vk_status st = wait_for_stream(x, s, err);
  vk_trace_end(&span);
  end_run(x, s);
  if (st != VK_OK)
    return vk_err_prefix(err, "%s", x->plan->graph.name);
  return s->is_timing ? read_events(x, s, err) : VK_OK;
}

bool vk_cuda_exec_is_busy(vk_exec *x)
{
  exec_state *s = x->state;
  vk_cuda_try_use(&x->device);
  bool is_busy = cudaStreamQuery(s->stream) == cudaErrorNotReady;
  (void)cudaGetLastError(); /* not ready counts as one */
  return is_busy;
}

/* A node at a time, with events between. */
static vk_status start_timed(vk_exec *x, exec_state *s, vk_err *err)
{
  VK_TRY(make_events(x, s, err));
  s->start_ns = vk_sys_monotonic_ns();
  return start_all(x, s, err);
}

/* A run that cannot be captured is started kernel by kernel, as all after it. Nothing of it has run
 * yet. */
static vk_status start_uncaptured(vk_exec *x, exec_state *s, const vk_err *why, vk_err *err)
{
  s->no_graph = true;
  (void)cudaGetLastError();
  VK_TRY(start_all(x, s, err));
  vk_cuda_add_note(&x->device, VK_CUDA_NOTE_CAPTURE,
                   "runs of %s are started kernel by kernel, which is slower, as one could not be "
                   "captured: %s",
                   x->plan->graph.name, why->text);
  return VK_OK;
}

static void tell_refused(const vk_exec *x, exec_state *s)
{
  char product[128];
  if (vk_cuda_gemm_take_refused(s->gemm, product))
    vk_cuda_add_note(&x->device, VK_CUDA_NOTE_PRODUCT,
                     "cuBLASLt refused a product in %s, %s; a kernel of our own makes such "
                     "products, up to a hundred times more slowly",
                     x->plan->graph.name, product);
}

static vk_status start_run(vk_exec *x, exec_state *s, run_kind *k, vk_err *err)
{
  if (x->is_sent)
    VK_TRY(take_sent(x, s, err));
  if (s->is_timing)
    return start_timed(x, s, err);
  if (k->n_run < CAPTURE_AFTER)
    return start_all(x, s, err);
  vk_err why = VK_ERR_INIT;
  if (!k->graph && !s->no_graph && capture(x, s, &k->graph, &why) != VK_OK)
    return start_uncaptured(x, s, &why, err);
  return k->graph ? VK_CUDA_CHECK(cudaGraphLaunch(k->graph, s->stream), &x->device, "running", err)
                  : start_all(x, s, err);
}

vk_status vk_cuda_exec_start(vk_exec *x, bool is_once, vk_err *err)
{
  exec_state *s = x->state;
  VK_TRY(vk_cuda_use(&x->device, err));
  s->is_timing = !is_once && (x->is_timed || s->row);
  begin_run(x, s);
  VK_TRY(vk_cuda_follow_zeros(&x->device, s->stream, &s->n_zero, err));
  if (is_once)
    return start_steps(x, s, true, err);
  vk_trace_span span = vk_trace_begin(x->trace, "nn", x->plan->graph.name);
  run_kind *k = find_kind(x, s);
  vk_status st = start_run(x, s, k, err);
  tell_refused(x, s);
  k->n_run = st == VK_OK ? k->n_run + (k->n_run < CAPTURE_AFTER) : 0;
  k->last_run = ++s->n_run;
  vk_trace_end(&span);
  return st;
}
