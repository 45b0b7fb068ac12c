/* graph.c - captures and graphs. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "stream.h"

capture *vk_emulated_captures;
static int64_t n_capture;
static _Thread_local enum cudaStreamCaptureMode thread_mode;

/* ---- capture --------------------------------------------------------------------------------- */

static item_list *new_list(void)
{
  item_list *list = calloc(1, sizeof *list);
  if (!list)
    vk_emulated_fatal("no memory for a graph");
  list->n_ref = 1;
  return list;
}

bool vk_emulated_capture_forbids(void)
{
  bool forbids = false;
  for (capture *c = vk_emulated_captures; c; c = c->next) {
    bool is_mine = pthread_equal(c->thread, pthread_self());
    if (thread_mode == cudaStreamCaptureModeRelaxed || c->mode == cudaStreamCaptureModeRelaxed ||
        (!is_mine &&
         (c->mode != cudaStreamCaptureModeGlobal || thread_mode != cudaStreamCaptureModeGlobal)))
      continue;
    forbids = c->is_invalid = true;
  }
  return forbids;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
  ENTER();
  enum cudaStreamCaptureMode old = thread_mode;
  thread_mode = *mode;
  *mode = old;
  return vk_emulated_leave(cudaSuccess);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode mode)
{
  ENTER();
  cudaStream_t s = vk_emulated_find_stream(stream);
  if (!s)
    return vk_emulated_leave(cudaErrorInvalidResourceHandle);
  if (vk_emulated_is_legacy(s))
    return vk_emulated_leave(cudaErrorStreamCaptureUnsupported);
  if (s->capture)
    return vk_emulated_leave(cudaErrorIllegalState);
  capture *c = calloc(1, sizeof *c);
  if (!c)
    return vk_emulated_leave(cudaErrorMemoryAllocation);
  *c = (capture){.id = ++n_capture,
                 .n_stream = 1,
                 .origin = s,
                 .mode = mode,
                 .thread = pthread_self(),
                 .list = new_list(),
                 .next = vk_emulated_captures};
  vk_emulated_captures = c;
  s->capture = c;
  return vk_emulated_leave(cudaSuccess);
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
  int device = vk_emulated_stream_device(stream);
  cudaError_t error = vk_emulated_enter(device < 0 ? vk_emulated_device : device);
  cudaStream_t s = vk_emulated_find_stream(stream);
  if (graph)
    *graph = NULL;
  if (!s || !s->capture)
    return vk_emulated_leave(error ? error
                             : s   ? cudaErrorIllegalState
                                   : cudaErrorInvalidResourceHandle);
  capture *c = s->capture;
  if (c->origin != s)
    return vk_emulated_leave(error ? error : cudaErrorStreamCaptureUnmatched);
  if (!error && c->is_invalid)
    error = cudaErrorStreamCaptureInvalidated;
  item_list *list = c->list;
  list->n_ref++;
  for (cudaStream_t other = vk_emulated_streams; other; other = other->next)
    if (other->capture == c && other != s) {
      if (!error && other->has_unjoined)
        error = cudaErrorStreamCaptureUnjoined;
      vk_emulated_leave_capture(other);
    }
  vk_emulated_leave_capture(s);
  cudaGraph_t g = error ? NULL : calloc(1, sizeof *g);
  if (!g) {
    vk_emulated_drop_list(list);
    return vk_emulated_leave(error ? error : cudaErrorMemoryAllocation);
  }
  g->list = list;
  vk_emulated.live.n_graph++;
  *graph = g;
  return vk_emulated_leave(cudaSuccess);
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
  ENTER();
  cudaStream_t s = vk_emulated_find_stream(stream);
  if (!s)
    return vk_emulated_leave(cudaErrorInvalidResourceHandle);
  *status = !s->capture              ? cudaStreamCaptureStatusNone
            : s->capture->is_invalid ? cudaStreamCaptureStatusInvalidated
                                     : cudaStreamCaptureStatusActive;
  return vk_emulated_leave(cudaSuccess);
}

void vk_emulated_set_graphless(bool is_graphless)
{
  vk_emulated.is_graphless = is_graphless;
}

int64_t vk_emulated_n_capture(void)
{
  return n_capture;
}

/* ---- graphs ---------------------------------------------------------------------------------- */

/* Their number alone: nodes must be NULL. */
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *n)
{
  ENTER();
  if (!graph || nodes)
    return vk_emulated_leave(graph ? cudaErrorNotSupported : cudaErrorInvalidValue);
  *n = (size_t)graph->list->n;
  return vk_emulated_leave(cudaSuccess);
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t graph,
                                          unsigned long long flags)
{
  ENTER();
  if (!graph)
    return vk_emulated_leave(cudaErrorInvalidValue);
  cudaGraphExec_t e = vk_emulated.is_graphless ? NULL : calloc(1, sizeof *e);
  if (!e)
    return vk_emulated_leave(cudaErrorMemoryAllocation);
  e->list = graph->list;
  e->list->n_ref++;
  vk_emulated.live.n_exec++;
  *exec = e;
  return vk_emulated_leave(cudaSuccess);
}

/* As many nodes of the same kinds. */
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo *info)
{
  ENTER();
  if (!exec || !graph || !info)
    return vk_emulated_leave(cudaErrorInvalidValue);
  *info = (cudaGraphExecUpdateResultInfo){.result = cudaGraphExecUpdateSuccess};
  const item *a = exec->list->first, *b = graph->list->first;
  for (; a && b && info->result == cudaGraphExecUpdateSuccess; a = a->next, b = b->next)
    if (a->run != b->run)
      info->result = cudaGraphExecUpdateErrorNodeTypeChanged;
  if (info->result == cudaGraphExecUpdateSuccess && (a || b))
    info->result = cudaGraphExecUpdateErrorTopologyChanged;
  if (info->result != cudaGraphExecUpdateSuccess)
    return vk_emulated_leave(cudaErrorGraphExecUpdateFailure);
  vk_emulated_drop_list(exec->list);
  exec->list = graph->list;
  exec->list->n_ref++;
  return vk_emulated_leave(cudaSuccess);
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
  ENTER();
  return vk_emulated_leave(exec ? cudaSuccess : cudaErrorInvalidValue);
}

/* Items are shared by runs: each runs on a copy of its bytes. */
static void run_list(void *data)
{
  item_list *list = *(item_list **)data;
  for (const item *it = list->first; it; it = it->next) {
    item *once = vk_emulated_new_item(it->run, it->data, it->n);
    once->run(once->data);
    free(once);
  }
  vk_emulated_drop_list(list);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
  ENTER();
  cudaStream_t s = vk_emulated_find_stream(stream);
  if (!exec || !s || s->device != vk_emulated_device)
    return vk_emulated_leave(exec ? cudaErrorInvalidResourceHandle : cudaErrorInvalidValue);
  cudaError_t error = cudaSuccess;
  if (s->capture) {
    for (const item *it = exec->list->first; it && !error; it = it->next)
      error = vk_emulated_add(stream, it->run, it->data, it->n);
    return vk_emulated_leave(error);
  }
  exec->list->n_ref++;
  item_list *list = exec->list;
  error = vk_emulated_add(stream, run_list, &list, sizeof list);
  return vk_emulated_leave(error);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
  cudaError_t error = vk_emulated_enter(vk_emulated_device);
  if (!graph)
    return vk_emulated_leave(error ? error : cudaErrorInvalidValue);
  vk_emulated_drop_list(graph->list);
  free(graph);
  vk_emulated.live.n_graph--;
  return vk_emulated_leave(error);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
  cudaError_t error = vk_emulated_enter(vk_emulated_device);
  if (!exec)
    return vk_emulated_leave(error ? error : cudaErrorInvalidValue);
  vk_emulated_drop_list(exec->list);
  free(exec);
  vk_emulated.live.n_exec--;
  return vk_emulated_leave(error);
}
