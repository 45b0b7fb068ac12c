/* nccl.c - the stand-in for NCCL: nccl.h. */
#include "nccl.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

vk_emulated_nccl vk_nccl;

typedef struct clique {
  int n_rank, n_left; /* communicators: made, alive */
  ncclComm_t rank[];
} clique;

struct ncclComm {
  struct ncclComm *next; /* of all that were ever made: none is taken for another */
  clique *clique;
  int rank, device;
  bool is_gone;
  ncclResult_t failed; /* no sum begins any more */
};

/* One rank's call. */
typedef struct call {
  ncclComm_t comm;
  const float *from;
  float *to;
  size_t n;
  cudaStream_t stream;
  bool is_begun;
} call;

/* A sum of all ranks of a clique. */
typedef struct part {
  call call;
  int64_t at; /* its number in the stream; 0: not there */
  bool is_over, is_aborted;
} part;
typedef struct sum {
  struct sum *next; /* of those that some stream holds */
  int n_rank, n_held;
  bool is_done, is_asked;
  part part[];
} sum;

/* What a stream's item holds. */
typedef struct item {
  sum *sum;
  int i;
} item;

static ncclComm_t comms;
static sum *sums;
static _Thread_local struct {
  int depth, n, n_room;
  call *call;
  ncclResult_t failed;
} group;
static _Thread_local char last_error[200];

/* ---- errors -------------------------------------------------------------------------------- */

static ncclResult_t refuse(ncclResult_t result, const char *format, ...)
{
  va_list ap;
  va_start(ap, format);
  vsnprintf(last_error, sizeof last_error, format, ap);
  va_end(ap);
  vk_emulated_say("NCCL: %s", last_error);
  return result;
}

const char *ncclGetErrorString(ncclResult_t result)
{
  switch (result) {
#define X(name, value)                                                                             \
  case name:                                                                                       \
    return #name;
    VK_NCCL_RESULTS(X)
#undef X
  }
  return "unknown result";
}

const char *ncclGetLastError(ncclComm_t comm)
{
  return last_error;
}

/* Counts a call; what it has to return at once, or at its end. */
static ncclResult_t count_call(void)
{
  vk_nccl.n_call++;
  if (vk_nccl.fail_in == 0 || --vk_nccl.fail_in > 0)
    return ncclSuccess;
  snprintf(last_error, sizeof last_error, "told to fail\nin two lines");
  return vk_nccl.fail_with;
}

static void *take(size_t n)
{
  void *p = calloc(1, n);
  if (!p)
    vk_emulated_fatal("no memory for the stand-in of NCCL");
  return p;
}

/* ---- communicators ------------------------------------------------------------------------- */

static ncclComm_t new_comm(clique *c, int rank, int device)
{
  ncclComm_t comm = take(sizeof *comm);
  *comm = (struct ncclComm){.next = comms, .clique = c, .rank = rank, .device = device};
  comms = comm;
  c->rank[rank] = comm;
  c->n_left++;
  vk_emulated.live.n_comm++;
  return comm;
}

/* comm, which must be there. */
static void expect_comm(ncclComm_t comm, const char *name)
{
  ncclComm_t c = comms;
  while (c && c != comm)
    c = c->next;
  if (!c || c->is_gone)
    vk_emulated_fatal("%s: a communicator that was %s", name, c ? "destroyed" : "never made");
}

static ncclResult_t check_devices(int n, const int *device)
{
  int n_device = 0;
  if (cudaGetDeviceCount(&n_device) != cudaSuccess)
    return refuse(ncclUnhandledCudaError, "cudaGetDeviceCount failed");
  for (int i = 0; i < n; i++) {
    if (device[i] < 0 || device[i] >= n_device)
      return refuse(ncclInvalidArgument, "there is no device %d", device[i]);
    for (int j = 0; j < i; j++)
      if (device[i] == device[j])
        return refuse(ncclInvalidUsage, "device %d twice", device[i]);
    if (vk_emulated.lost[device[i]])
      return refuse(ncclUnhandledCudaError, "device %d is lost", device[i]);
  }
  return ncclSuccess;
}

ncclResult_t ncclCommInitAll(ncclComm_t *comm, int n, const int *device)
{
  ncclResult_t told = count_call();
  if (!comm || !device || n < 1)
    return refuse(ncclInvalidArgument, "ncclCommInitAll: no devices");
  if (group.depth)
    return refuse(ncclInvalidUsage, "ncclCommInitAll in a group");
  ncclResult_t result = check_devices(n, device);
  if (result != ncclSuccess)
    return result;
  vk_emulated_lock();
  clique *c = take(sizeof *c + (size_t)n * sizeof(ncclComm_t));
  c->n_rank = n;
  for (int i = 0; i < (told ? 1 : n); i++) {
    comm[i] = new_comm(c, i, device[i]);
    comm[i]->failed = told;
  }
  vk_emulated_unlock();
  return told;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error)
{
  ncclResult_t told = count_call();
  if (told != ncclSuccess)
    return told;
  vk_emulated_lock();
  expect_comm(comm, "ncclCommGetAsyncError");
  *error = vk_nccl.behind ? vk_nccl.behind : comm->failed;
  vk_emulated_unlock();
  return ncclSuccess;
}

/* The communicator's in some sum that is not over; NULL: there is none. */
static part *part_of(ncclComm_t comm)
{
  for (sum *s = sums; s; s = s->next)
    for (int i = 0; i < s->n_rank; i++) {
      part *p = &s->part[i];
      if (p->call.comm == comm && p->at > 0 && !p->is_over && !p->is_aborted)
        return p;
    }
  return NULL;
}

/* Its sums are over: run, or aborted. */
static void end_sums(ncclComm_t comm, bool is_aborted)
{
  part *p;
  while ((p = part_of(comm)) != NULL) {
    p->is_aborted = is_aborted;
    if (!vk_emulated_run_until(p->call.stream, p->at) && !is_aborted)
      vk_emulated_fatal("ncclCommDestroy of rank %d waits for ever for a sum", comm->rank);
  }
}

static ncclResult_t end_comm(ncclComm_t comm, bool is_aborted)
{
  const char *name = is_aborted ? "ncclCommAbort" : "ncclCommDestroy";
  ncclResult_t told = count_call();
  if (group.depth)
    return refuse(ncclInvalidUsage, "%s in a group", name);
  vk_emulated_lock();
  expect_comm(comm, name);
  end_sums(comm, is_aborted);
  comm->is_gone = true;
  comm->clique->n_left--;
  vk_emulated.live.n_comm--;
  *(is_aborted ? &vk_nccl.n_aborted : &vk_nccl.n_destroyed) += 1;
  vk_emulated_unlock();
  return told;
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
  return end_comm(comm, false);
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
  return end_comm(comm, true);
}

/* Those that are gone, of cliques that are. */
static void forget_comms(void)
{
  for (ncclComm_t *at = &comms; *at;) {
    ncclComm_t comm = *at;
    clique *c = comm->clique;
    if (c->n_left > 0) {
      at = &comm->next;
      continue;
    }
    *at = comm->next;
    c->rank[comm->rank] = NULL;
    bool is_last = true;
    for (int i = 0; i < c->n_rank; i++)
      is_last = is_last && !c->rank[i];
    if (is_last)
      free(c);
    free(comm);
  }
}

void vk_emulated_nccl_reset(void)
{
  for (sum *s = sums; s; s = s->next)
    for (int i = 0; i < s->n_rank; i++)
      s->part[i].is_aborted = true;
  free(group.call);
  memset(&group, 0, sizeof group);
  memset(&vk_nccl, 0, sizeof vk_nccl);
  forget_comms();
}

/* ---- a sum, in the streams ------------------------------------------------------------------ */

/* Lets the streams of the others come as far. */
static bool is_ready(void *data)
{
  const item *it = data;
  sum *s = it->sum;
  if (s->is_done || s->part[it->i].is_aborted)
    return true;
  if (s->is_asked || vk_nccl.is_stuck)
    return false;
  s->is_asked = true;
  bool is_here = true;
  for (int i = 0; i < s->n_rank && is_here; i++) {
    const part *p = &s->part[i];
    is_here = p->at > 0 && !p->is_aborted && !vk_emulated.lost[p->call.comm->device] &&
              (i == it->i || vk_emulated_run_until(p->call.stream, p->at - 1));
  }
  s->is_asked = false;
  return is_here;
}

static void add_up(sum *s)
{
  for (size_t k = 0; k < s->part[0].call.n; k++) {
    float x = s->part[0].call.from[k];
    for (int i = 1; i < s->n_rank; i++)
      x += s->part[i].call.from[k];
    for (int i = 0; i < s->n_rank; i++)
      s->part[i].call.to[k] = x;
  }
  s->is_done = true;
  vk_nccl.n_sum++;
}

static void drop(sum *s)
{
  if (--s->n_held > 0)
    return;
  sum **at = &sums;
  while (*at != s)
    at = &(*at)->next;
  *at = s->next;
  free(s);
}

static void run(void *data)
{
  const item *it = data;
  sum *s = it->sum;
  part *p = &s->part[it->i];
  if (!s->is_done && !p->is_aborted && !vk_emulated.lost[p->call.comm->device])
    add_up(s);
  p->is_over = true;
  drop(s);
}

/* The current device is another one meanwhile. A part that does not get there leaves the others
 * waiting. */
static ncclResult_t enqueue(sum *s, bool is_half)
{
  int old = vk_emulated_device;
  cudaError_t error = cudaSuccess;
  s->n_held = 1; /* mine: what runs at once must not free it */
  s->next = sums;
  sums = s;
  for (int i = 0; i < s->n_rank && error == cudaSuccess && !(is_half && i); i++) {
    const item it = {s, i};
    vk_emulated_device = s->part[i].call.comm->device;
    s->n_held++;
    error = vk_emulated_enqueue_when(s->part[i].call.stream, is_ready, run, &it, sizeof it,
                                     &s->part[i].at);
    s->n_held -= s->part[i].at == 0;
  }
  vk_emulated_device = old;
  vk_emulated_advance();
  drop(s);
  return error ? refuse(ncclUnhandledCudaError, "%s", cudaGetErrorName(error)) : ncclSuccess;
}

/* ---- groups -------------------------------------------------------------------------------- */

/* The first call of the group that is not begun, by comm or, with NULL, by anybody. */
static call *find_call(ncclComm_t comm)
{
  for (int i = 0; i < group.n; i++)
    if (!group.call[i].is_begun && (!comm || group.call[i].comm == comm))
      return &group.call[i];
  return NULL;
}

static sum *next_sum(const call *first)
{
  const clique *q = first->comm->clique;
  sum *s = take(sizeof *s + (size_t)q->n_rank * sizeof s->part[0]);
  s->n_rank = q->n_rank;
  for (int i = 0; i < q->n_rank; i++) {
    call *c = q->rank[i] ? find_call(q->rank[i]) : NULL;
    if (!c)
      vk_emulated_fatal("rank %d of %d takes no part in a sum, which waits for ever", i, q->n_rank);
    if (c->n != first->n)
      vk_emulated_fatal("rank %d sums %zu numbers and rank %d %zu: they would wait for ever",
                        first->comm->rank, first->n, i, c->n);
    c->is_begun = true;
    s->part[i].call = *c;
  }
  return s;
}

static ncclResult_t run_group(ncclResult_t told)
{
  ncclResult_t result = group.failed;
  const call *first;
  while (result == ncclSuccess && (first = find_call(NULL)) != NULL) {
    ncclComm_t comm = first->comm;
    result = enqueue(next_sum(first), told != ncclSuccess);
    result = result ? result : told;
    for (int i = 0; i < comm->clique->n_rank && result; i++)
      comm->clique->rank[i]->failed = result;
  }
  free(group.call);
  group.call = NULL;
  group.n = group.n_room = 0;
  group.failed = ncclSuccess;
  return result;
}

ncclResult_t ncclGroupStart(void)
{
  ncclResult_t told = count_call();
  if (told != ncclSuccess)
    return told;
  group.depth++;
  vk_nccl.n_open++;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void)
{
  ncclResult_t told = count_call();
  if (group.depth == 0)
    return refuse(ncclInvalidUsage, "ncclGroupEnd without a group");
  vk_nccl.n_open--;
  if (--group.depth > 0)
    return told;
  vk_emulated_lock();
  ncclResult_t result = run_group(told);
  vk_emulated_unlock();
  return result ? result : told;
}

static ncclResult_t check_buffers(const call *c)
{
  size_t bytes = c->n * sizeof *c->from;
  const void *p[] = {c->from, c->to};
  for (int i = 0; i < 2; i++) {
    if (!p[i] || (uintptr_t)p[i] % sizeof *c->from)
      return refuse(ncclInvalidArgument, "a buffer is NULL or not aligned");
    if (!vk_emulated_reaches(c->comm->device, p[i], bytes))
      return refuse(ncclInvalidArgument, "device %d does not reach a buffer of %zu bytes",
                    c->comm->device, bytes);
  }
  if (c->from != c->to && (uintptr_t)c->from < (uintptr_t)c->to + bytes &&
      (uintptr_t)c->to < (uintptr_t)c->from + bytes)
    return refuse(ncclInvalidArgument, "buffers overlap");
  return ncclSuccess;
}

static ncclResult_t check_call(const call *c, ncclDataType_t type, ncclRedOp_t op)
{
  if (type != ncclFloat32 || op != ncclSum)
    return refuse(ncclInvalidArgument, "other than sums of float are not stood in for");
  if (c->comm->failed)
    return refuse(ncclInvalidUsage, "the communicator has failed before");
  if (vk_emulated_device != c->comm->device)
    return refuse(ncclInvalidUsage, "device %d is current, the communicator's is %d",
                  vk_emulated_device, c->comm->device);
  if (!c->stream || c->stream == cudaStreamLegacy)
    return refuse(ncclInvalidUsage, "the legacy stream is not stood in for");
  if (vk_emulated_stream_device(c->stream) != c->comm->device)
    return refuse(ncclInvalidArgument, "the stream is of device %d, the communicator of %d",
                  vk_emulated_stream_device(c->stream), c->comm->device);
  if (vk_emulated_is_capturing(c->stream))
    return refuse(ncclInvalidUsage, "sums that are captured are not stood in for");
  return check_buffers(c);
}

static void add_call(const call *c)
{
  if (group.n == group.n_room) {
    group.n_room = group.n_room ? 2 * group.n_room : 16;
    group.call = realloc(group.call, (size_t)group.n_room * sizeof *group.call);
    if (!group.call)
      vk_emulated_fatal("no memory for the stand-in of NCCL");
  }
  group.call[group.n++] = *c;
}

ncclResult_t ncclAllReduce(const void *from, void *to, size_t n, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
  const call c = {comm, from, to, n, stream, false};
  ncclResult_t result = count_call();
  vk_emulated_lock();
  expect_comm(comm, "ncclAllReduce");
  if (result == ncclSuccess)
    result = check_call(&c, type, op);
  if (result == ncclSuccess && group.depth == 0 && comm->clique->n_rank > 1)
    vk_emulated_fatal("a sum of rank %d outside of a group waits for ever", comm->rank);
  if (result == ncclSuccess)
    add_call(&c);
  else if (group.depth && group.failed == ncclSuccess)
    group.failed = result;
  if (group.depth == 0)
    result = result ? result : run_group(ncclSuccess);
  vk_emulated_unlock();
  return result;
}
