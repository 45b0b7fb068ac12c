/* stream.c - kernels, copies, streams and events. Their work is an item, which runs at once, is
 * held back (emulated.h), or is captured for a graph. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fiber.h"
#include "stream.h"

enum { N_ASKED_MAX = 100000 };

cudaStream_t vk_emulated_streams;
int vk_emulated_running;
static struct vk_emulated_stream legacy[VK_EMULATED_DEVICE_MAX];

/* ---- work ------------------------------------------------------------------------------------ */

item *vk_emulated_new_item(void (*run)(void *data), const void *data, size_t n)
{
  item *it = malloc(sizeof *it + n);
  if (!it)
    vk_emulated_fatal("no memory for work");
  it->next = NULL;
  it->run = run;
  it->is_ready = NULL;
  it->n = n;
  if (n)
    memcpy(it->data, data, n);
  return it;
}

static void append(item **first, item **last, item *it)
{
  if (*last)
    (*last)->next = it;
  else
    *first = it;
  *last = it;
}

void vk_emulated_drop_list(item_list *list)
{
  if (!list || --list->n_ref)
    return;
  for (item *it = list->first, *next; it; it = next) {
    next = it->next;
    free(it);
  }
  free(list);
}

/* false: nothing of s can run now. What a lost device holds back runs, and does nothing. */
static bool run_next(cudaStream_t s)
{
  item *it = s->first;
  int old = vk_emulated_running;
  if (it->is_ready && !vk_emulated.lost[s->device] && !it->is_ready(it->data))
    return false;
  s->first = it->next;
  if (!s->first)
    s->last = NULL;
  vk_emulated_running = s->device;
  vk_emulated_open_memory();
  it->run(it->data);
  vk_emulated_running = old;
  s->n_out++;
  s->n_asked = 0;
  free(it);
  return true;
}

/* Runs what s holds back up to its item number at; false: not all of it can run. */
static bool run_until(cudaStream_t s, int64_t at)
{
  while (s->first && s->n_out < at)
    if (!run_next(s))
      return false;
  return true;
}

static void wait_until(cudaStream_t s, int64_t at)
{
  if (!run_until(s, at))
    vk_emulated_fatal("a stream of device %d is waited for, and waits for ever", s->device);
}

static void drain(cudaStream_t s)
{
  wait_until(s, s->n_in);
}

void vk_emulated_drain(int device)
{
  for (cudaStream_t s = vk_emulated_streams; s; s = s->next)
    if (device < 0 || s->device == device)
      drain(s);
}

void vk_emulated_advance(void)
{
  for (cudaStream_t s = vk_emulated_streams; s && !vk_emulated.is_late; s = s->next)
    (void)run_until(s, s->n_in);
}

static void drain_blocking(int device)
{
  for (cudaStream_t s = vk_emulated_streams; s; s = s->next)
    if (s->device == device && !(s->flags & cudaStreamNonBlocking))
      drain(s);
}

bool vk_emulated_is_legacy(cudaStream_t s)
{
  return s >= legacy && s < legacy + VK_EMULATED_DEVICE_MAX;
}

/* The stream that a handle names, NULL: none. */
cudaStream_t vk_emulated_find_stream(cudaStream_t stream)
{
  if (!stream || stream == cudaStreamLegacy) {
    legacy[vk_emulated_device].device = vk_emulated_device;
    return &legacy[vk_emulated_device];
  }
  for (cudaStream_t s = vk_emulated_streams; s; s = s->next)
    if (s == stream)
      return s;
  return NULL;
}

int vk_emulated_stream_device(cudaStream_t stream)
{
  vk_emulated_lock();
  cudaStream_t s = vk_emulated_find_stream(stream);
  int device = s ? s->device : -1;
  vk_emulated_unlock();
  return device;
}

bool vk_emulated_is_capturing(cudaStream_t stream)
{
  cudaStream_t s = vk_emulated_find_stream(stream);
  return s && s->capture;
}

bool vk_emulated_run_until(cudaStream_t stream, int64_t at)
{
  cudaStream_t s = vk_emulated_find_stream(stream);
  return !s || run_until(s, at);
}

/* A call about a stream is one about its device, whichever is current. */
static int device_of(cudaStream_t stream)
{
  int device = vk_emulated_stream_device(stream);
  return device < 0 ? vk_emulated_device : device;
}

/* Kernels and fills want the stream's device to be current; copies and waiting do not. */
static cudaError_t check_current(cudaStream_t stream)
{
  cudaStream_t s = vk_emulated_find_stream(stream);
  if (s && s->device == vk_emulated_device)
    return cudaSuccess;
  if (s)
    vk_emulated_say("work for a stream of device %d while device %d is current", s->device,
                    vk_emulated_device);
  return cudaErrorInvalidResourceHandle;
}

/* Work of the legacy stream waits for streams that are not NonBlocking: none may capture. */
static bool legacy_is_captured(int device)
{
  bool is_captured = false;
  for (cudaStream_t s = vk_emulated_streams; s; s = s->next)
    if (s->device == device && s->capture && !(s->flags & cudaStreamNonBlocking))
      is_captured = s->capture->is_invalid = true;
  return is_captured;
}

/* Takes data by copy. */
static cudaError_t add(cudaStream_t stream, bool (*is_ready)(void *data), void (*run)(void *data),
                       const void *data, size_t n)
{
  cudaStream_t s = vk_emulated_find_stream(stream);
  if (!s)
    return cudaErrorInvalidResourceHandle;
  if (s->capture) {
    if (s->capture->is_invalid)
      return cudaErrorStreamCaptureInvalidated;
    item_list *list = s->capture->list;
    append(&list->first, &list->last, vk_emulated_new_item(run, data, n));
    list->n++;
    s->has_unjoined = s != s->capture->origin;
    return cudaSuccess;
  }
  bool is_legacy = vk_emulated_is_legacy(s);
  if (is_legacy) {
    if (legacy_is_captured(s->device))
      return cudaErrorStreamCaptureImplicit;
    drain_blocking(s->device);
  }
  item *it = vk_emulated_new_item(run, data, n);
  it->is_ready = is_ready;
  append(&s->first, &s->last, it);
  s->n_in++;
  if (!vk_emulated.is_late || is_legacy)
    (void)run_until(s, s->n_in);
  return vk_emulated.lost[s->device];
}

cudaError_t vk_emulated_add(cudaStream_t stream, void (*run)(void *data), const void *data,
                            size_t n)
{
  return add(stream, NULL, run, data, n);
}

static void run_nothing(void *data)
{
}

cudaError_t vk_emulated_enqueue(cudaStream_t stream, void (*run)(void *data), const void *data,
                                size_t n)
{
  ENTER_ON(device_of(stream));
  cudaError_t error = check_current(stream);
  if (!error)
    error = vk_emulated_add(stream, vk_emulated.is_dry ? run_nothing : run, data, n);
  return vk_emulated_leave(error);
}

cudaError_t vk_emulated_enqueue_when(cudaStream_t stream, bool (*is_ready)(void *data),
                                     void (*run)(void *data), const void *data, size_t n,
                                     int64_t *at)
{
  ENTER_ON(device_of(stream));
  cudaError_t error = check_current(stream);
  if (!error && vk_emulated_is_capturing(stream))
    error = cudaErrorStreamCaptureUnsupported;
  if (!error) {
    *at = vk_emulated_find_stream(stream)->n_in + 1;
    error = add(stream, is_ready, run, data, n);
  }
  return vk_emulated_leave(error);
}

/* ---- kernels --------------------------------------------------------------------------------- */

typedef struct launch {
  vk_emulated_work work;
  alignas(16) char closure[];
} launch;

static uint64_t mix(uint64_t z)
{
  z += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

static void run_kernel(void *data)
{
  launch *l = data;
  l->work.closure = l->closure;
  if (vk_emulated.lost[vk_emulated_running] == cudaSuccess && !vk_emulated.is_dry &&
      !vk_emulated_run(&l->work, mix(vk_emulated.seed + (uint64_t)vk_emulated.n_launch++)))
    vk_emulated_lose(vk_emulated_running, cudaErrorIllegalAddress);
}

/* Kernels that asked for more shared memory, on a device. */
static struct {
  const void *kernel;
  int device;
  size_t shared;
} more_shared[256];
static int n_more_shared;

cudaError_t cudaFuncSetAttribute(const void *function, enum cudaFuncAttribute attr, int value)
{
  ENTER();
  if (!function)
    return vk_emulated_leave(cudaErrorInvalidDeviceFunction);
  if (attr != cudaFuncAttributeMaxDynamicSharedMemorySize)
    return vk_emulated_leave(cudaSuccess);
  if (value < 0 || value > VK_EMULATED_SHARED_MAX)
    return vk_emulated_leave(cudaErrorInvalidValue);
  int i = 0;
  while (i < n_more_shared &&
         (more_shared[i].kernel != function || more_shared[i].device != vk_emulated_device))
    i++;
  if (i == (int)(sizeof more_shared / sizeof more_shared[0]))
    vk_emulated_fatal("more kernels than expected ask for shared memory");
  n_more_shared = i == n_more_shared ? i + 1 : n_more_shared;
  more_shared[i].kernel = function;
  more_shared[i].device = vk_emulated_device;
  more_shared[i].shared = (size_t)value;
  return vk_emulated_leave(cudaSuccess);
}

static cudaError_t check_launch(const void *kernel, dim3 grid, dim3 block, size_t shared, size_t n)
{
  size_t most = VK_EMULATED_STATIC_SHARED;
  for (int i = 0; i < n_more_shared; i++)
    if (more_shared[i].kernel == kernel && more_shared[i].device == vk_emulated_device &&
        more_shared[i].shared > most)
      most = more_shared[i].shared;
  if (!grid.x || !grid.y || !grid.z || grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535)
    return cudaErrorInvalidConfiguration;
  if (!block.x || !block.y || !block.z || block.x > 1024 || block.y > 1024 || block.z > 64 ||
      block.x * block.y * block.z > 1024)
    return cudaErrorInvalidConfiguration;
  return shared > most || n > 32764 ? cudaErrorInvalidValue : cudaSuccess;
}

cudaError_t vk_emulated_launch(const void *kernel, void (*call)(const void *closure),
                               const void *closure, size_t n, dim3 grid, dim3 block, size_t shared,
                               cudaStream_t stream)
{
  ENTER_ON(device_of(stream));
  cudaError_t error = check_launch(kernel, grid, block, shared, n);
  if (error == cudaSuccess)
    error = check_current(stream);
  if (error != cudaSuccess)
    return vk_emulated_leave(error);
  launch *l = malloc(sizeof *l + n);
  if (!l)
    vk_emulated_fatal("no memory for a launch");
  l->work = (vk_emulated_work){.call = call, .grid = grid, .block = block, .shared = shared};
  memcpy(l->closure, closure, n);
  error = vk_emulated_add(stream, run_kernel, l, sizeof *l + n);
  free(l);
  return vk_emulated_leave(error);
}

typedef struct host_function {
  cudaHostFn_t function;
  void *arg;
} host_function;

static void run_host_function(void *data)
{
  const host_function *f = data;
  f->function(f->arg);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *arg)
{
  ENTER_ON(device_of(stream));
  const host_function f = {function, arg};
  return vk_emulated_leave(vk_emulated_add(stream, run_host_function, &f, sizeof f));
}

/* ---- copies ---------------------------------------------------------------------------------- */

typedef struct copy {
  void *to;
  const void *from; /* NULL: the bytes that follow */
  size_t n;
  int value; /* of a fill */
  alignas(16) char bytes[];
} copy;

static void run_copy(void *data)
{
  const copy *c = data;
  if (vk_emulated.lost[vk_emulated_running] == cudaSuccess)
    memmove(c->to, c->from ? c->from : c->bytes, c->n);
}

static void run_fill(void *data)
{
  const copy *c = data;
  if (vk_emulated.lost[vk_emulated_running] == cudaSuccess)
    memset(c->to, c->value, c->n);
}

static bool is_device(vk_emulated_place place)
{
  return place == VK_PLACE_DEVICE;
}

static cudaError_t check_copy(const void *to, const void *from, size_t n, enum cudaMemcpyKind kind)
{
  size_t n_to, n_from;
  vk_emulated_place there = vk_emulated_find(to, &n_to), here = vk_emulated_find(from, &n_from);
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault)
    return cudaErrorInvalidMemcpyDirection;
  if (!to || !from || n > n_to || n > n_from)
    return cudaErrorInvalidValue;
  bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  if (kind == cudaMemcpyDefault)
    return cudaSuccess;
  if ((to_device && !is_device(there)) || (!to_device && there == VK_PLACE_DEVICE) ||
      (from_device && !is_device(here)) || (!from_device && here == VK_PLACE_DEVICE))
    return cudaErrorInvalidValue;
  return cudaSuccess;
}

/* Bytes of pageable memory are read when the copy is enqueued, and written before it returns. */
static cudaError_t start_copy(void *to, const void *from, size_t n, cudaStream_t stream)
{
  size_t unused;
  cudaStream_t s = vk_emulated_find_stream(stream);
  bool is_captured = s && s->capture;
  bool is_staged = vk_emulated_find(from, &unused) == VK_PLACE_PAGEABLE && !is_captured;
  size_t n_more = is_staged ? n : 0;
  copy *c = malloc(sizeof *c + n_more);
  if (!c)
    vk_emulated_fatal("no memory for a copy");
  *c = (copy){.to = to, .from = is_staged ? NULL : from, .n = n};
  if (is_staged)
    memcpy(c->bytes, from, n);
  cudaError_t error = vk_emulated_add(stream, run_copy, c, sizeof *c + n_more);
  free(c);
  if (error == cudaSuccess && !is_captured && vk_emulated_find(to, &unused) == VK_PLACE_PAGEABLE)
    drain(s);
  return error;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
  ENTER_ON(device_of(stream));
  cudaError_t error = n ? check_copy(to, from, n, kind) : cudaSuccess;
  return vk_emulated_leave(error || !n ? error : start_copy(to, from, n, stream));
}

/* A call that waits for all streams of the device but those NonBlocking. */
static cudaError_t wait_for_legacy(void)
{
  if (vk_emulated_capture_forbids())
    return cudaErrorStreamCaptureImplicit;
  drain_blocking(vk_emulated_device);
  return vk_emulated_check_guards(vk_emulated_device);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t n, enum cudaMemcpyKind kind)
{
  ENTER();
  cudaError_t error = wait_for_legacy();
  if (!error && n)
    error = check_copy(to, from, n, kind);
  if (!error && n) {
    error = start_copy(to, from, n, NULL);
    vk_emulated_close_memory();
  }
  return vk_emulated_leave(error);
}

static cudaError_t start_fill(void *to, int value, size_t n, cudaStream_t stream)
{
  cudaError_t error = check_current(stream);
  if (n == 0 || error != cudaSuccess)
    return error;
  if (!vk_emulated_reaches(vk_emulated_device, to, n))
    return cudaErrorInvalidValue;
  const copy c = {.to = to, .n = n, .value = value};
  return vk_emulated_add(stream, run_fill, &c, sizeof c);
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t n, cudaStream_t stream)
{
  ENTER_ON(device_of(stream));
  return vk_emulated_leave(start_fill(to, value, n, stream));
}

cudaError_t cudaMemset(void *to, int value, size_t n)
{
  ENTER();
  cudaError_t error = wait_for_legacy();
  return vk_emulated_leave(error ? error : start_fill(to, value, n, NULL));
}

/* ---- streams --------------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
  ENTER();
  if (flags > cudaStreamNonBlocking)
    return vk_emulated_leave(cudaErrorInvalidValue);
  if (vk_emulated.n_device < 1)
    return vk_emulated_leave(cudaErrorNoDevice);
  cudaStream_t s = calloc(1, sizeof *s);
  if (!s)
    return vk_emulated_leave(cudaErrorMemoryAllocation);
  s->device = vk_emulated_device;
  s->flags = flags;
  s->next = vk_emulated_streams;
  vk_emulated_streams = s;
  vk_emulated.live.n_stream++;
  *stream = s;
  return vk_emulated_leave(cudaSuccess);
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

/* The capture that s is part of goes on without it; the last one takes it along. */
void vk_emulated_leave_capture(cudaStream_t s)
{
  capture *c = s->capture;
  s->capture = NULL;
  s->has_unjoined = false;
  if (!c || --c->n_stream)
    return;
  for (capture **at = &vk_emulated_captures; *at; at = &(*at)->next)
    if (*at == c) {
      *at = c->next;
      break;
    }
  vk_emulated_drop_list(c->list);
  free(c);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
  cudaError_t error = vk_emulated_enter(device_of(stream));
  for (cudaStream_t *at = &vk_emulated_streams; *at; at = &(*at)->next) {
    cudaStream_t s = *at;
    if (s != stream)
      continue;
    drain(s);
    vk_emulated_leave_capture(s);
    *at = s->next;
    free(s);
    vk_emulated.live.n_stream--;
    return vk_emulated_leave(error);
  }
  return vk_emulated_leave(error ? error : cudaErrorInvalidResourceHandle);
}

static cudaError_t refuse_captured(cudaStream_t s)
{
  if (!s)
    return cudaErrorInvalidResourceHandle;
  if (vk_emulated_is_legacy(s) && legacy_is_captured(s->device))
    return cudaErrorStreamCaptureImplicit;
  if (!s->capture)
    return cudaSuccess;
  s->capture->is_invalid = true;
  return cudaErrorStreamCaptureUnsupported;
}

/* What the host waits for has ended well, and from now on it is the host's turn. */
static cudaError_t end_wait(int device)
{
  cudaError_t error = vk_emulated_check_guards(device);
  vk_emulated_close_memory();
  return error;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
  ENTER_ON(device_of(stream));
  cudaStream_t s = vk_emulated_find_stream(stream);
  cudaError_t error = refuse_captured(s);
  if (error != cudaSuccess)
    return vk_emulated_leave(error);
  drain(s);
  return vk_emulated_leave(end_wait(s->device));
}

/* A little of the work gets done between two questions. */
cudaError_t cudaStreamQuery(cudaStream_t stream)
{
  ENTER_ON(device_of(stream));
  cudaStream_t s = vk_emulated_find_stream(stream);
  cudaError_t error = refuse_captured(s);
  if (error != cudaSuccess)
    return vk_emulated_leave(error);
  if (!s->first)
    return vk_emulated_leave(end_wait(s->device));
  if (!run_next(s) && ++s->n_asked > N_ASKED_MAX)
    vk_emulated_fatal("a stream of device %d was asked %d times, and waits for ever", s->device,
                      N_ASKED_MAX);
  return vk_emulated_leave(cudaErrorNotReady);
}
bool vk_emulated_end_captures(void)
{
  for (capture *c = vk_emulated_captures; c; c = c->next)
    c->is_invalid = true;
  return vk_emulated_captures != NULL;
}

/* ---- events ---------------------------------------------------------------------------------- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
  ENTER();
  cudaEvent_t e = calloc(1, sizeof *e);
  if (!e)
    return vk_emulated_leave(cudaErrorMemoryAllocation);
  e->device = vk_emulated_device;
  e->flags = flags;
  vk_emulated.live.n_event++;
  *event = e;
  return vk_emulated_leave(cudaSuccess);
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

/* What an event names must have run, or be gone. */
static void wait_for_event(const struct vk_emulated_event *e)
{
  if (e->stream && vk_emulated_find_stream(e->stream))
    wait_until(e->stream, e->at);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
  cudaError_t error = vk_emulated_enter(event ? event->device : vk_emulated_device);
  if (!event)
    return vk_emulated_leave(cudaErrorInvalidResourceHandle);
  wait_for_event(event);
  free(event);
  vk_emulated.live.n_event--;
  return vk_emulated_leave(error);
}

static void run_record(void *data)
{
  cudaEvent_t e = *(cudaEvent_t *)data;
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  e->time_s = (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
  ENTER_ON(device_of(stream));
  cudaStream_t s = vk_emulated_find_stream(stream);
  if (!event || !s || event->device != s->device)
    return vk_emulated_leave(cudaErrorInvalidResourceHandle);
  if (s->capture) {
    if (s->capture->is_invalid)
      return vk_emulated_leave(cudaErrorStreamCaptureInvalidated);
    event->capture = s->capture->id;
    event->stream = s;
    event->is_recorded = true;
    return vk_emulated_leave(cudaSuccess);
  }
  event->capture = 0;
  cudaError_t error = vk_emulated_add(stream, run_record, &event, sizeof event);
  event->stream = s;
  event->at = s->n_in;
  event->is_recorded = true;
  return vk_emulated_leave(error);
}

static cudaError_t refuse_captured_event(cudaEvent_t e)
{
  if (!e)
    return cudaErrorInvalidResourceHandle;
  return e->capture ? cudaErrorCapturedEvent : cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
  ENTER_ON(event ? event->device : vk_emulated_device);
  cudaError_t error = refuse_captured_event(event);
  if (error != cudaSuccess)
    return vk_emulated_leave(error);
  wait_for_event(event);
  return vk_emulated_leave(end_wait(event->device));
}

static bool is_done(const struct vk_emulated_event *e)
{
  cudaStream_t s = e->stream ? vk_emulated_find_stream(e->stream) : NULL;
  return !s || s->n_out >= e->at;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
  ENTER_ON(event ? event->device : vk_emulated_device);
  cudaError_t error = refuse_captured_event(event);
  if (error == cudaSuccess && !is_done(event)) {
    (void)run_next(event->stream);
    error = cudaErrorNotReady;
  }
  return vk_emulated_leave(error);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
  ENTER();
  if (!start || !end || !start->is_recorded || !end->is_recorded || start->device != end->device ||
      (start->flags | end->flags) & cudaEventDisableTiming)
    return vk_emulated_leave(cudaErrorInvalidResourceHandle);
  if (!is_done(start) || !is_done(end))
    return vk_emulated_leave(cudaErrorNotReady);
  *ms = (float)(1e3 * (end->time_s - start->time_s));
  return vk_emulated_leave(cudaSuccess);
}

typedef struct event_wait {
  cudaStream_t stream;
  int64_t at;
} event_wait;

static bool is_over(void *data)
{
  const event_wait *w = data;
  return vk_emulated_run_until(w->stream, w->at);
}

static void run_wait(void *data)
{
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
  ENTER_ON(device_of(stream));
  cudaStream_t s = vk_emulated_find_stream(stream);
  if (!event || !s)
    return vk_emulated_leave(cudaErrorInvalidResourceHandle);
  if (event->capture) { /* s joins it, or the event's stream is joined again */
    capture *c = s->capture;
    if (vk_emulated_is_legacy(s) || (c && c->id != event->capture))
      return vk_emulated_leave(cudaErrorStreamCaptureMerge);
    if (!c) {
      c = vk_emulated_captures;
      while (c && c->id != event->capture)
        c = c->next;
      if (!c)
        return vk_emulated_leave(cudaSuccess); /* that capture is over */
      s->capture = c;
      c->n_stream++;
    }
    if (event->stream != s && vk_emulated_find_stream(event->stream))
      event->stream->has_unjoined = false;
    return vk_emulated_leave(cudaSuccess);
  }
  if (s->capture) {
    s->capture->is_invalid |= event->is_recorded;
    return vk_emulated_leave(event->is_recorded ? cudaErrorStreamCaptureIsolation : cudaSuccess);
  }
  if (!event->is_recorded)
    return vk_emulated_leave(cudaSuccess);
  const event_wait w = {event->stream, event->at};
  return vk_emulated_leave(add(stream, is_over, run_wait, &w, sizeof w));
}
