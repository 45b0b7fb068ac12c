/* device.c - a GPU as a device of nn: what there is, its memory, and what CUDA's errors mean. */
#include "cuda/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sys.h"
#include "cuda/op.h"

/* ---- errors -------------------------------------------------------------------------------- */

/* Up to the call's first bracket: "cudaMalloc(&p, n)" is of interest as cudaMalloc. */
static int name_length(const char *call)
{
  return (int)strcspn(call, "(");
}

vk_status vk_cuda_check(cudaError_t e, const vk_device *d, const char *doing, const char *call,
                        vk_err *err)
{
  if (e == cudaSuccess)
    return VK_OK;
  const vk_cuda_device *c = vk_cuda_device_of(d);
  char name[32];
  snprintf(name, sizeof name, "cuda:%d", d->index);
  const char *shown = c && c->name[0] ? c->name : name; /* none yet while it is opened */
  (void)cudaGetLastError();                             /* what can be forgotten is */
  if (e == cudaErrorMemoryAllocation)
    return vk_fail(err, VK_E_NOMEM, "device %s, %s: %.*s found no memory", shown, doing,
                   name_length(call), call);
  return vk_fail(err, VK_E_IO,
                 "device %s, %s: %.*s failed with %s (%s); if the device was lost, start again, "
                 "training with --resume from its last checkpoint",
                 shown, doing, name_length(call), call, cudaGetErrorName(e), cudaGetErrorString(e));
}

vk_status vk_cuda_use(const vk_device *d, vk_err *err)
{
  (void)cudaGetLastError(); /* of what nobody asked about: launches would be blamed */
  return VK_CUDA_CHECK(cudaSetDevice(d->index), d, "choosing it", err);
}

/* ---- what there is ------------------------------------------------------------------------- */

static vk_status count(int *n, vk_err *err)
{
  *n = 0;
  cudaError_t e = cudaGetDeviceCount(n);
  if (e == cudaSuccess && *n > 0)
    return VK_OK;
  *n = 0;
  (void)cudaGetLastError();
  if (e == cudaErrorInsufficientDriver)
    return vk_fail(err, VK_E_UNSUPPORTED,
                   "device cuda: there is no NVIDIA driver, or it is older than this build's CUDA; "
                   "install or renew the driver (nvidia-smi shows it)");
  if (e == cudaErrorNoDevice || e == cudaSuccess)
    return vk_fail(err, VK_E_UNSUPPORTED,
                   "device cuda: the driver finds no GPU; look at nvidia-smi and at "
                   "CUDA_VISIBLE_DEVICES");
  return vk_fail(err, VK_E_IO, "device cuda: cudaGetDeviceCount failed with %s (%s)",
                 cudaGetErrorName(e), cudaGetErrorString(e));
}

static vk_status check_index(int index, vk_err *err)
{
  int n;
  VK_TRY(count(&n, err));
  if (index < n)
    return VK_OK;
  return vk_fail(err, VK_E_UNSUPPORTED, "device cuda:%d: there %s %d, numbered from 0", index,
                 n == 1 ? "is" : "are", n);
}

static vk_status describe(int index, vk_device_info *info, vk_err *err)
{
  const vk_device d = {.index = index};
  struct cudaDeviceProp prop;
  int runtime = 0;
  size_t n_free = 0, n_all = 0;
  *info = (vk_device_info){0};
  VK_TRY(check_index(index, err));
  VK_TRY(vk_cuda_use(&d, err));
  VK_TRY(VK_CUDA_CHECK(cudaGetDeviceProperties(&prop, index), &d, "describing it", err));
  VK_TRY(VK_CUDA_CHECK(cudaRuntimeGetVersion(&runtime), &d, "describing it", err));
  VK_TRY(VK_CUDA_CHECK(cudaMemGetInfo(&n_free, &n_all), &d, "describing it", err));
  snprintf(info->name, sizeof info->name, "%.127s", prop.name);
  snprintf(info->detail, sizeof info->detail,
           "compute capability %d.%d, %d multiprocessors, CUDA %d.%d", prop.major, prop.minor,
           prop.multiProcessorCount, runtime / 1000, runtime % 1000 / 10);
  info->memory_bytes = n_all;
  info->free_bytes = n_free;
  return VK_OK;
}

/* ---- opening ------------------------------------------------------------------------------- */

static void close(vk_device *d)
{
  vk_cuda_device *c = vk_cuda_device_of(d);
  if (!c)
    return;
  vk_cuda_try_use(d);
  if (c->stream)
    (void)cudaStreamSynchronize(c->stream);
  if (c->zeroed)
    (void)cudaEventDestroy(c->zeroed);
  if (c->stream)
    (void)cudaStreamDestroy(c->stream);
  pthread_mutex_destroy(&c->lock);
  free(c);
  d->state = NULL;
}

static vk_status start(vk_device *d, vk_cuda_device *c, vk_err *err)
{
  struct cudaDeviceProp prop;
  VK_TRY(vk_cuda_use(d, err));
  VK_TRY(VK_CUDA_CHECK(cudaGetDeviceProperties(&prop, d->index), d, "opening it", err));
  snprintf(c->name, sizeof c->name, "cuda:%d (%.48s)", d->index, prop.name);
  if (prop.major < VK_CUDA_MAJOR_MIN)
    return vk_fail(err, VK_E_UNSUPPORTED,
                   "device %s has compute capability %d.%d; this program's kernels need %d.0 or "
                   "more (A100, RTX 30 and later)",
                   c->name, prop.major, prop.minor, VK_CUDA_MAJOR_MIN);
  VK_TRY(VK_CUDA_CHECK(cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking), d,
                       "opening it", err));
  return VK_CUDA_CHECK(cudaEventCreateWithFlags(&c->zeroed, cudaEventDisableTiming), d,
                       "opening it", err);
}

static vk_status open(vk_device *d, vk_err *err)
{
  VK_TRY(check_index(d->index, err));
  vk_cuda_device *c = calloc(1, sizeof *c);
  if (!c)
    return vk_fail(err, VK_E_NOMEM, "no memory for a device");
  pthread_mutex_init(&c->lock, NULL);
  d->state = c;
  vk_status st = start(d, c, err);
  if (st != VK_OK)
    close(d);
  return st;
}

/* ---- time ---------------------------------------------------------------------------------- */

void vk_cuda_begin_run(const vk_device *d)
{
  vk_cuda_device *c = vk_cuda_device_of(d);
  pthread_mutex_lock(&c->lock);
  if (c->n_run++ == 0)
    c->since_ns = vk_sys_monotonic_ns();
  pthread_mutex_unlock(&c->lock);
}

void vk_cuda_end_run(const vk_device *d)
{
  vk_cuda_device *c = vk_cuda_device_of(d);
  pthread_mutex_lock(&c->lock);
  if (--c->n_run == 0)
    c->busy_ns += vk_sys_monotonic_ns() - c->since_ns;
  pthread_mutex_unlock(&c->lock);
}

static double busy_s(const vk_device *d)
{
  vk_cuda_device *c = vk_cuda_device_of(d);
  pthread_mutex_lock(&c->lock);
  int64_t ns = c->busy_ns + (c->n_run > 0 ? vk_sys_monotonic_ns() - c->since_ns : 0);
  pthread_mutex_unlock(&c->lock);
  return (double)ns * 1e-9;
}

/* ---- notes --------------------------------------------------------------------------------- */

void vk_cuda_add_note(const vk_device *d, vk_cuda_note_kind kind, const char *format, ...)
{
  vk_cuda_device *c = vk_cuda_device_of(d);
  char text[VK_DEVICE_NOTE];
  va_list ap;
  int n = snprintf(text, sizeof text, "device %s: ", c->name);
  va_start(ap, format);
  vsnprintf(text + n, sizeof text - (size_t)n, format, ap);
  va_end(ap);
  pthread_mutex_lock(&c->lock);
  if (!c->has_note[kind])
    memcpy(c->note[kind], text, sizeof text);
  c->has_note[kind] = true;
  pthread_mutex_unlock(&c->lock);
}

static bool take_note(const vk_device *d, char text[VK_DEVICE_NOTE])
{
  vk_cuda_device *c = vk_cuda_device_of(d);
  text[0] = '\0';
  pthread_mutex_lock(&c->lock);
  for (int i = 0; i < VK_CUDA_NOTES && !text[0]; i++) {
    memcpy(text, c->note[i], VK_DEVICE_NOTE);
    c->note[i][0] = '\0';
  }
  pthread_mutex_unlock(&c->lock);
  return text[0] != '\0';
}

/* ---- memory -------------------------------------------------------------------------------- */

static vk_status zero(const vk_device *d, void *p, size_t bytes, vk_err *err)
{
  static const char doing[] = "clearing memory";
  vk_cuda_device *c = vk_cuda_device_of(d);
  VK_TRY(vk_cuda_use(d, err));
  VK_TRY(VK_CUDA_CHECK(cudaMemsetAsync(p, 0, bytes, c->stream), d, doing, err));
  VK_TRY(VK_CUDA_CHECK(cudaEventRecord(c->zeroed, c->stream), d, doing, err));
  pthread_mutex_lock(&c->lock);
  c->n_zero++;
  pthread_mutex_unlock(&c->lock);
  return VK_OK;
}

vk_status vk_cuda_follow_zeros(const vk_device *d, cudaStream_t stream, int64_t *n_zero,
                               vk_err *err)
{
  vk_cuda_device *c = vk_cuda_device_of(d);
  pthread_mutex_lock(&c->lock);
  bool is_behind = *n_zero != c->n_zero;
  *n_zero = c->n_zero;
  pthread_mutex_unlock(&c->lock);
  if (!is_behind)
    return VK_OK;
  return VK_CUDA_CHECK(cudaStreamWaitEvent(stream, c->zeroed, 0), d, "waiting for zeros", err);
}

vk_status vk_cuda_take(const vk_device *d, void **out, size_t bytes, const char *what,
                       const char *smaller, vk_err *err)
{
  static const char doing[] = "taking memory";
  size_t n_free = 0, n_all = 0;
  *out = NULL;
  VK_TRY(VK_CUDA_CHECK(cudaMemGetInfo(&n_free, &n_all), d, doing, err));
  cudaError_t e = bytes > n_free ? cudaErrorMemoryAllocation : cudaMalloc(out, bytes);
  if (e != cudaErrorMemoryAllocation)
    return vk_cuda_check(e, d, doing, "cudaMalloc", err);
  (void)cudaGetLastError();
  return vk_fail(err, VK_E_NOMEM,
                 "%s needs %.1f MB on device %s, which has %.1f of its %.1f MB free; take a "
                 "smaller %s, or end what else uses it",
                 what, (double)bytes * 1e-6, vk_cuda_device_of(d)->name, (double)n_free * 1e-6,
                 (double)n_all * 1e-6, smaller);
}

static vk_status alloc(const vk_device *d, void **out, size_t bytes, vk_err *err)
{
  VK_TRY(vk_cuda_use(d, err));
  vk_status st = vk_cuda_take(d, out, bytes + 64, "a block of parameters", "model", err);
  if (st == VK_OK)
    st = zero(d, *out, bytes, err);
  if (st == VK_OK)
    st = VK_CUDA_CHECK(cudaStreamSynchronize(vk_cuda_device_of(d)->stream), d, "clearing memory",
                       err);
  if (st != VK_OK) {
    (void)cudaFree(*out);
    *out = NULL;
  }
  return st;
}

/* In the device's own stream, after what it was given before. */
static vk_status copy(const vk_device *d, void *to, const void *from, size_t bytes,
                      enum cudaMemcpyKind kind, const char *doing, vk_err *err)
{
  cudaStream_t stream = vk_cuda_device_of(d)->stream;
  VK_TRY(vk_cuda_use(d, err));
  if (bytes > 0)
    VK_TRY(VK_CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, kind, stream), d, doing, err));
  return VK_CUDA_CHECK(cudaStreamSynchronize(stream), d, doing, err);
}

static vk_status write_memory(const vk_device *d, void *to, const void *from, size_t bytes,
                              vk_err *err)
{
  return copy(d, to, from, bytes, cudaMemcpyHostToDevice, "writing its memory", err);
}

static vk_status read_memory(const vk_device *d, void *to, const void *from, size_t bytes,
                             vk_err *err)
{
  return copy(d, to, from, bytes, cudaMemcpyDeviceToHost, "reading its memory", err);
}

static void free_memory(const vk_device *d, void *p)
{
  vk_cuda_try_use(d);
  (void)cudaFree(p);
}

/* ---- kernels ------------------------------------------------------------------------------- */

static bool has_op(const vk_op_def *op)
{
  return vk_cuda_op_find(op) != NULL;
}

static size_t scratch(const vk_op_def *op, const vk_op_call *call)
{
  const vk_cuda_op *own = vk_cuda_op_find(op);
  return own && own->scratch ? own->scratch(call) : 0;
}

const vk_device_def vk_device_cuda = {
    .name = "cuda",
    .help = "an NVIDIA GPU; cuda:1 is the second one",
    .has_bf16 = true,
    .count = count,
    .describe = describe,
    .open = open,
    .close = close,
    .alloc = alloc,
    .free = free_memory,
    .zero = zero,
    .write = write_memory,
    .read = read_memory,
    .take_note = take_note,
    .busy_s = busy_s,
    .has_op = has_op,
    .scratch = scratch,
    .exec_open = vk_cuda_exec_open,
    .exec_close = vk_cuda_exec_close,
    .exec_changed = vk_cuda_exec_changed,
    .exec_start = vk_cuda_exec_start,
    .exec_send = vk_cuda_exec_send,
    .exec_wait = vk_cuda_exec_wait,
    .exec_is_busy = vk_cuda_exec_is_busy,
    .optim_run = vk_cuda_optim_run,
    .optim_close = vk_cuda_optim_close,
    .sum_open = vk_cuda_sum_open,
    .sum_run = vk_cuda_sum_run,
    .sum_close = vk_cuda_sum_close,
};
