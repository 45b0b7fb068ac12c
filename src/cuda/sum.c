/* sum.c - sums between GPUs by NCCL, one thread starting the work of all of them: a group of calls,
 * one a device, each on that device's stream.
 *
 * The numbers go through a buffer of the device's own, piece by piece: copied in, summed in place,
 * copied back, all in the stream's order. The copies stay within a device, whose memory is many
 * times faster than what connects it with others.
 *
 * A device that is lost leaves the others in a sum that never ends, and a stream that is waited for
 * by cudaStreamSynchronize would not tell. So streams are asked, with NCCL's own errors, until all
 * are done; at the first error ncclCommAbort ends what still runs, everywhere. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda/device.h"
#include "cuda/library.h"
#include "cuda/nccl.h"

enum { PIECE_ITEMS = VK_CUDA_SUM_BYTES / (int)sizeof(float) };

static const char opening[] = "opening sums between devices";
static const char summing[] = "summing gradients";

/* clang-format off */
#define FUNCTIONS(X)                                                                               \
  X(ncclAllReduce)                                                                                 \
  X(ncclCommAbort)                                                                                 \
  X(ncclCommDestroy)                                                                               \
  X(ncclCommGetAsyncError)                                                                         \
  X(ncclCommInitAll)                                                                               \
  X(ncclGetErrorString)                                                                            \
  X(ncclGetLastError)                                                                              \
  X(ncclGroupEnd)                                                                                  \
  X(ncclGroupStart)
/* clang-format on */

typedef struct functions {
#define X(name) __typeof__(&name) name;
  FUNCTIONS(X)
#undef X
} functions;

typedef struct member {
  vk_device device;
  ncclComm_t comm;
  float *stage; /* [PIECE_ITEMS] of the device */
} member;

typedef struct sum_state {
  functions lib;
  bool is_broken; /* not open yet, or given up: communicators may only be aborted */
  size_t n;
  member member[];
} sum_state;

/* ---- errors -------------------------------------------------------------------------------- */

/* What NCCL returned, as a status. m: NULL: the call was for all. */
static vk_status check(const sum_state *s, ncclResult_t result, const member *m, const char *doing,
                       const char *call, vk_err *err)
{
  if (result == ncclSuccess)
    return VK_OK;
  const vk_device *d = m ? &m->device : &s->member[0].device;
  char others[32] = "";
  if (!m && s->n > 1)
    snprintf(others, sizeof others, " and %zu more", s->n - 1);
  const char *more = s->lib.ncclGetLastError(NULL); /* lines; of an older error, maybe, or none */
  int n_more = more ? (int)strcspn(more, "\n") : 0;
  return vk_fail(
      err, VK_E_IO,
      "device %s%s, %s: %s failed: %s%s%.*s; if a device was lost, start again, training "
      "with --resume from its last checkpoint",
      vk_cuda_device_of(d)->name, others, doing, call, s->lib.ncclGetErrorString(result),
      n_more ? ": " : "", n_more, more ? more : "");
}

/* ---- opening ------------------------------------------------------------------------------- */

static vk_status open_library(functions *f, vk_err *err)
{
  static const char *const file[] = {"libnccl.so.2", "libnccl.so", NULL};
#define X(name) #name,
  static const char *const symbol[] = {FUNCTIONS(X) NULL};
#undef X
  static const vk_cuda_library library = {
      .name = "NCCL",
      .package = "libnccl2, NVIDIA's NCCL 2.13 or later, for this CUDA",
      .file = file,
      .symbol = symbol,
  };
  void (*function[VK_COUNT(symbol) - 1])(void);
  VK_TRY(vk_cuda_library_open(&library, function, err));
  int i = 0;
#define X(name) f->name = (__typeof__(f->name))function[i++];
  FUNCTIONS(X)
#undef X
  return VK_OK;
}

/* Some may be there although it failed. */
static vk_status open_comms(sum_state *s, vk_err *err)
{
  ncclComm_t *comm = calloc(s->n, sizeof(ncclComm_t));
  int *index = calloc(s->n, sizeof *index);
  vk_status st = VK_OK;
  if (!comm || !index) {
    st = vk_fail(err, VK_E_NOMEM, "no memory for sums between devices");
  } else {
    for (size_t i = 0; i < s->n; i++)
      index[i] = s->member[i].device.index;
    st = check(s, s->lib.ncclCommInitAll(comm, (int)s->n, index), NULL, opening, "ncclCommInitAll",
               err);
    for (size_t i = 0; i < s->n; i++)
      s->member[i].comm = comm[i];
  }
  free(comm);
  free(index);
  return st;
}

static vk_status start(sum_state *s, vk_err *err)
{
  VK_TRY(open_library(&s->lib, err));
  for (size_t i = 0; i < s->n; i++) {
    member *m = &s->member[i];
    VK_TRY(vk_cuda_use(&m->device, err));
    VK_TRY(
        VK_CUDA_CHECK(cudaMalloc((void **)&m->stage, VK_CUDA_SUM_BYTES), &m->device, opening, err));
  }
  VK_TRY(open_comms(s, err));
  s->is_broken = false;
  return VK_OK;
}

vk_status vk_cuda_sum_open(void **state, const vk_device *d, int n, vk_err *err)
{
  VK_ASSERT(n > 0);
  *state = NULL;
  sum_state *s = calloc(1, sizeof *s + (size_t)n * sizeof s->member[0]);
  if (!s)
    return vk_fail(err, VK_E_NOMEM, "no memory for sums between devices");
  s->n = (size_t)n;
  s->is_broken = true;
  for (int i = 0; i < n; i++)
    s->member[i].device = d[i];
  vk_status st = start(s, err);
  if (st != VK_OK) {
    vk_cuda_sum_close(s);
    return st;
  }
  *state = s;
  return VK_OK;
}

/* ---- a sum --------------------------------------------------------------------------------- */

static cudaStream_t stream_of(const member *m)
{
  return vk_cuda_device_of(&m->device)->stream;
}

static vk_status copy(const member *m, float *to, const float *from, int64_t n, vk_err *err)
{
  VK_TRY(vk_cuda_use(&m->device, err));
  return VK_CUDA_CHECK(
      cudaMemcpyAsync(to, from, (size_t)n * sizeof *to, cudaMemcpyDeviceToDevice, stream_of(m)),
      &m->device, summing, err);
}

/* Nothing runs before the group ends, and it ends whatever happens, with a call for every device:
 * one that is left out would be waited for. */
static vk_status start_group(sum_state *s, int64_t n, vk_err *err)
{
  VK_TRY(check(s, s->lib.ncclGroupStart(), NULL, summing, "ncclGroupStart", err));
  vk_status st = VK_OK;
  for (size_t i = 0; i < s->n; i++) {
    const member *m = &s->member[i];
    vk_err *first = st == VK_OK ? err : NULL;
    vk_status one = vk_cuda_use(&m->device, first);
    ncclResult_t result = s->lib.ncclAllReduce(m->stage, m->stage, (size_t)n, ncclFloat32, ncclSum,
                                               m->comm, stream_of(m));
    if (one == VK_OK)
      one = check(s, result, m, summing, "ncclAllReduce", first);
    st = st == VK_OK ? one : st;
  }
  ncclResult_t end = s->lib.ncclGroupEnd();
  return st == VK_OK ? check(s, end, NULL, summing, "ncclGroupEnd", err) : st;
}

static vk_status start_piece(sum_state *s, float *const *p, int64_t at, int64_t n, vk_err *err)
{
  for (size_t i = 0; i < s->n; i++)
    VK_TRY(copy(&s->member[i], s->member[i].stage, p[i] + at, n, err));
  VK_TRY(start_group(s, n, err));
  for (size_t i = 0; i < s->n; i++)
    VK_TRY(copy(&s->member[i], p[i] + at, s->member[i].stage, n, err));
  return VK_OK;
}

/* NCCL tells what went wrong behind the calls here alone. */
static vk_status look_at(sum_state *s, const member *m, bool *is_done, vk_err *err)
{
  ncclResult_t behind = ncclSuccess;
  cudaError_t e = cudaStreamQuery(stream_of(m));
  if (e == cudaErrorNotReady) {
    (void)cudaGetLastError(); /* it counts as one */
    *is_done = false;
  } else {
    VK_TRY(vk_cuda_check(e, &m->device, summing, "cudaStreamQuery", err));
  }
  VK_TRY(check(s, s->lib.ncclCommGetAsyncError(m->comm, &behind), m, summing,
               "ncclCommGetAsyncError", err));
  return behind == ncclInProgress ? VK_OK : check(s, behind, m, summing, "ncclAllReduce", err);
}

static vk_status wait_for_all(sum_state *s, vk_err *err)
{
  for (;;) {
    bool is_done = true;
    for (size_t i = 0; i < s->n; i++)
      VK_TRY(look_at(s, &s->member[i], &is_done, err));
    if (is_done)
      return VK_OK;
    sched_yield();
  }
}

/* All communicators end before any stream is waited for: that is what the streams wait for. */
static void give_up(sum_state *s)
{
  s->is_broken = true;
  for (size_t i = 0; i < s->n; i++) {
    if (s->member[i].comm)
      (void)s->lib.ncclCommAbort(s->member[i].comm);
    s->member[i].comm = NULL;
  }
  for (size_t i = 0; i < s->n; i++) {
    vk_cuda_try_use(&s->member[i].device);
    (void)cudaStreamSynchronize(stream_of(&s->member[i]));
  }
}

vk_status vk_cuda_sum_run(void *state, float *const *p, int64_t n_item, vk_err *err)
{
  sum_state *s = state;
  VK_ASSERT(n_item >= 0);
  if (s->is_broken)
    return vk_fail(err, VK_E_IO,
                   "device %s: sums with the other devices were given up after an error; start "
                   "again, training with --resume from its last checkpoint",
                   vk_cuda_device_of(&s->member[0].device)->name);
  vk_status st = VK_OK;
  for (int64_t at = 0; at < n_item && st == VK_OK; at += PIECE_ITEMS) {
    int64_t n = n_item - at;
    st = start_piece(s, p, at, n < PIECE_ITEMS ? n : PIECE_ITEMS, err);
  }
  if (st == VK_OK)
    st = wait_for_all(s, err);
  if (st != VK_OK)
    give_up(s);
  return st;
}

/* ---- closing ------------------------------------------------------------------------------- */

/* A communicator is destroyed in peace where all devices are well, else aborted, which waits for
 * none. */
void vk_cuda_sum_close(void *state)
{
  sum_state *s = state;
  if (!s)
    return;
  bool is_well = !s->is_broken;
  for (size_t i = 0; i < s->n && is_well; i++) {
    cudaError_t e = cudaStreamQuery(stream_of(&s->member[i]));
    is_well = e == cudaSuccess || e == cudaErrorNotReady;
  }
  for (size_t i = 0; i < s->n; i++)
    if (s->member[i].comm)
      (void)(is_well ? s->lib.ncclCommDestroy : s->lib.ncclCommAbort)(s->member[i].comm);
  for (size_t i = 0; i < s->n; i++) {
    vk_cuda_try_use(&s->member[i].device);
    (void)cudaFree(s->member[i].stage);
  }
  free(s);
}
