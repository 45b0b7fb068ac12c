/* runtime.c - errors, the device and its memory. */
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fiber.h"
#include "internal.h"

enum { PAGE = 4096, CLOSED_MAX = 256 << 10, N_KEPT = 32 };
enum { GUARD = 256, GUARD_BYTE = 0xa5, FRESH_BYTE = 0xff };

struct vk_emulated_state vk_emulated = {
    .memory = (size_t)1 << 34, .n_device = 1, .major = 9, .minor = 0, .driver = CUDART_VERSION};

_Thread_local int vk_emulated_device;
static _Thread_local cudaError_t last; /* of this thread */
int64_t vk_emulated_product_chunk = 2000;

static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

void vk_emulated_lock(void)
{
  pthread_mutex_lock(&mutex);
}

void vk_emulated_unlock(void)
{
  pthread_mutex_unlock(&mutex);
}

/* ---- sentences ------------------------------------------------------------------------------- */

static void say(const char *format, va_list ap)
{
  fputs("emulated GPU: ", stderr);
  vfprintf(stderr, format, ap);
  fputc('\n', stderr);
}

void vk_emulated_say(const char *format, ...)
{
  va_list ap;
  va_start(ap, format);
  say(format, ap);
  va_end(ap);
}

void vk_emulated_fatal(const char *format, ...)
{
  va_list ap;
  va_start(ap, format);
  say(format, ap);
  va_end(ap);
  abort();
}

/* ---- errors ---------------------------------------------------------------------------------- */

const char *cudaGetErrorName(cudaError_t error)
{
  switch (error) {
#define X(name, value, what)                                                                       \
  case name:                                                                                       \
    return #name;
    VK_CUDA_ERRORS(X)
#undef X
  }
  return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error)
{
  switch (error) {
#define X(name, value, what)                                                                       \
  case name:                                                                                       \
    return what;
    VK_CUDA_ERRORS(X)
#undef X
  }
  return "unrecognized error code";
}

static bool is_final(cudaError_t error)
{
  return error == cudaErrorIllegalAddress || error == cudaErrorLaunchFailure ||
         error == cudaErrorECCUncorrectable || error == cudaErrorLaunchTimeout ||
         error == cudaErrorAssert || error == cudaErrorMisalignedAddress ||
         error == cudaErrorDevicesUnavailable;
}

cudaError_t vk_emulated_lose(int device, cudaError_t error)
{
  vk_emulated.lost[device] = error;
  return error;
}

cudaError_t vk_emulated_enter(int device)
{
  pthread_mutex_lock(&mutex);
  vk_emulated.n_call++;
  if (vk_emulated.fail_in > 0 && --vk_emulated.fail_in == 0) {
    if (is_final(vk_emulated.fail_with))
      vk_emulated_lose(device, vk_emulated.fail_with);
    return vk_emulated.fail_with;
  }
  return vk_emulated.lost[device];
}

cudaError_t vk_emulated_leave(cudaError_t error)
{
  if (error != cudaSuccess && error != cudaErrorNotReady)
    last = error;
  pthread_mutex_unlock(&mutex);
  return error;
}

cudaError_t cudaPeekAtLastError(void)
{
  pthread_mutex_lock(&mutex);
  cudaError_t lost = vk_emulated.lost[vk_emulated_device];
  pthread_mutex_unlock(&mutex);
  return lost ? lost : last;
}

cudaError_t cudaGetLastError(void)
{
  cudaError_t error = cudaPeekAtLastError();
  last = cudaSuccess;
  return error;
}

/* ---- what tests ask for ---------------------------------------------------------------------- */

void vk_emulated_reset(void)
{
  pthread_mutex_lock(&mutex);
  vk_emulated_nccl_reset();
  vk_emulated_drain(-1);
  vk_emulated.fail_in = 0;
  last = cudaSuccess;
  vk_emulated_device = 0;
  memset(vk_emulated.lost, 0, sizeof vk_emulated.lost);
  vk_emulated.memory = (size_t)1 << 34;
  vk_emulated.n_device = 1;
  vk_emulated.major = 9;
  vk_emulated.minor = 0;
  vk_emulated.driver = CUDART_VERSION;
  vk_emulated.is_late = vk_emulated.is_dry = vk_emulated.is_graphless = false;
  vk_emulated.seed = 0;
  pthread_mutex_unlock(&mutex);
}

void vk_emulated_fail_after(int64_t n, cudaError_t error)
{
  vk_emulated.fail_in = n;
  vk_emulated.fail_with = error;
}

int64_t vk_emulated_n_call(void)
{
  return vk_emulated.n_call;
}

void vk_emulated_set_memory(size_t bytes)
{
  vk_emulated.memory = bytes;
}

void vk_emulated_set_device_count(int n)
{
  if (n > VK_EMULATED_DEVICE_MAX)
    vk_emulated_fatal("%d devices: there are at most %d", n, VK_EMULATED_DEVICE_MAX);
  vk_emulated.n_device = n;
}

void vk_emulated_set_compute_capability(int major, int minor)
{
  vk_emulated.major = major;
  vk_emulated.minor = minor;
}

void vk_emulated_set_driver(int version)
{
  vk_emulated.driver = version;
}

void vk_emulated_set_late(bool is_late)
{
  pthread_mutex_lock(&mutex);
  if (!is_late)
    vk_emulated_drain(-1);
  vk_emulated.is_late = is_late;
  pthread_mutex_unlock(&mutex);
}

void vk_emulated_set_seed(uint64_t seed)
{
  vk_emulated.seed = seed;
}

vk_emulated_live vk_emulated_count(void)
{
  pthread_mutex_lock(&mutex);
  vk_emulated_live live = vk_emulated.live;
  pthread_mutex_unlock(&mutex);
  return live;
}

bool vk_emulated_is_clean(void)
{
  const vk_emulated_live l = vk_emulated_count();
  return !l.n_device && !l.n_host && !l.n_stream && !l.n_event && !l.n_graph && !l.n_exec &&
         !l.n_comm;
}

void vk_emulated_set_dry(bool is_dry)
{
  pthread_mutex_lock(&mutex);
  vk_emulated.is_dry = is_dry;
  pthread_mutex_unlock(&mutex);
}

int64_t vk_emulated_n_launch(void)
{
  return vk_emulated.n_launch;
}

/* ---- the device ------------------------------------------------------------------------------ */

cudaError_t cudaRuntimeGetVersion(int *version)
{
  ENTER();
  *version = CUDART_VERSION;
  return vk_emulated_leave(cudaSuccess);
}

cudaError_t cudaDriverGetVersion(int *version)
{
  ENTER();
  *version = vk_emulated.driver;
  return vk_emulated_leave(cudaSuccess);
}

static cudaError_t find_device(int device)
{
  if (vk_emulated.driver < CUDART_VERSION)
    return cudaErrorInsufficientDriver;
  if (vk_emulated.n_device < 1)
    return cudaErrorNoDevice;
  return device < 0 || device >= vk_emulated.n_device ? cudaErrorInvalidDevice : cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *n)
{
  ENTER();
  cudaError_t error = find_device(0);
  *n = error == cudaSuccess ? vk_emulated.n_device : 0;
  return vk_emulated_leave(error);
}

static struct cudaDeviceProp properties(void)
{
  return (struct cudaDeviceProp){
      .name = "emulated GPU",
      .totalGlobalMem = vk_emulated.memory,
      .sharedMemPerBlock = VK_EMULATED_STATIC_SHARED,
      .sharedMemPerBlockOptin = VK_EMULATED_SHARED_MAX,
      .sharedMemPerMultiprocessor = 228 << 10,
      .major = vk_emulated.major,
      .minor = vk_emulated.minor,
      .multiProcessorCount = 132,
      .warpSize = 32,
      .maxThreadsPerBlock = 1024,
      .regsPerBlock = 65536,
      .l2CacheSize = 50 << 20,
      .unifiedAddressing = 1,
  };
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
  ENTER();
  cudaError_t error = find_device(device);
  if (error == cudaSuccess)
    *prop = properties();
  return vk_emulated_leave(error);
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attr, int device)
{
  ENTER();
  cudaError_t error = find_device(device);
  if (error != cudaSuccess)
    return vk_emulated_leave(error);
  const struct cudaDeviceProp p = properties();
  switch (attr) {
  case cudaDevAttrMaxThreadsPerBlock:
    *value = p.maxThreadsPerBlock;
    break;
  case cudaDevAttrMaxSharedMemoryPerBlock:
    *value = (int)p.sharedMemPerBlock;
    break;
  case cudaDevAttrWarpSize:
    *value = p.warpSize;
    break;
  case cudaDevAttrMultiProcessorCount:
    *value = p.multiProcessorCount;
    break;
  case cudaDevAttrIntegrated:
    *value = p.integrated;
    break;
  case cudaDevAttrL2CacheSize:
    *value = p.l2CacheSize;
    break;
  case cudaDevAttrComputeCapabilityMajor:
    *value = p.major;
    break;
  case cudaDevAttrComputeCapabilityMinor:
    *value = p.minor;
    break;
  case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
    *value = (int)p.sharedMemPerMultiprocessor;
    break;
  case cudaDevAttrPageableMemoryAccess:
    *value = p.pageableMemoryAccess;
    break;
  case cudaDevAttrMaxSharedMemoryPerBlockOptin:
    *value = (int)p.sharedMemPerBlockOptin;
    break;
  default:
    error = cudaErrorInvalidValue;
  }
  return vk_emulated_leave(error);
}

/* One that was lost is not chosen; the one that is current may be. */
cudaError_t cudaSetDevice(int device)
{
  bool is_device = device >= 0 && device < VK_EMULATED_DEVICE_MAX;
  ENTER_ON(is_device ? device : vk_emulated_device);
  cudaError_t error = find_device(device);
  if (error == cudaSuccess)
    vk_emulated_device = device;
  return vk_emulated_leave(error);
}

cudaError_t cudaGetDevice(int *device)
{
  ENTER();
  *device = vk_emulated_device;
  return vk_emulated_leave(find_device(vk_emulated_device));
}

cudaError_t cudaMemGetInfo(size_t *n_free, size_t *n_total)
{
  ENTER();
  cudaError_t error = find_device(vk_emulated_device);
  if (error == cudaSuccess) {
    size_t n = vk_emulated.memory, used = vk_emulated.used[vk_emulated_device];
    *n_total = n;
    *n_free = n > used ? n - used : 0;
  }
  return vk_emulated_leave(error);
}

cudaError_t cudaDeviceSynchronize(void)
{
  ENTER();
  if (vk_emulated_end_captures())
    return vk_emulated_leave(cudaErrorStreamCaptureUnsupported);
  vk_emulated_drain(vk_emulated_device);
  cudaError_t error = vk_emulated_check_guards(vk_emulated_device);
  vk_emulated_close_memory();
  return vk_emulated_leave(error);
}

/* Ends what the device was lost by. */
cudaError_t cudaDeviceReset(void)
{
  cudaError_t *lost = &vk_emulated.lost[vk_emulated_device];
  cudaError_t error = vk_emulated_enter(vk_emulated_device);
  if (error != *lost)
    return vk_emulated_leave(error);
  vk_emulated_drain(vk_emulated_device);
  *lost = last = cudaSuccess;
  return vk_emulated_leave(cudaSuccess);
}

/* ---- memory ---------------------------------------------------------------------------------- */

typedef struct allocation {
  struct allocation *next;
  vk_emulated_place place;
  int device; /* that was current */
  char *p;    /* after the guard */
  size_t n;
} allocation;

static allocation *allocations;
static bool is_open; /* that of devices */

static char *base_of(const allocation *a)
{
  return a->p - GUARD;
}

static size_t padded(size_t n)
{
  return (n + 2 * GUARD + GUARD - 1) / GUARD * GUARD;
}

/* Pages of its own, so that they can be closed. */
static size_t page_bytes(size_t n)
{
  return (padded(n) + PAGE - 1) / PAGE * PAGE;
}

/* Of what is large, the beginning: where nearly everybody begins to read, and soon done. */
static void protect(const allocation *a, bool open)
{
  size_t n = page_bytes(a->n);
  if (a->place == VK_PLACE_DEVICE && mprotect(base_of(a), n < CLOSED_MAX ? n : CLOSED_MAX,
                                              open ? PROT_READ | PROT_WRITE : PROT_NONE) != 0)
    vk_emulated_fatal("no way to close memory of a device");
}

void vk_emulated_open_memory(void)
{
  for (const allocation *a = allocations; a && !is_open; a = a->next)
    protect(a, true);
  is_open = true;
}

void vk_emulated_close_memory(void)
{
  for (const allocation *a = allocations; a && is_open; a = a->next)
    protect(a, false);
  is_open = false;
}

void vk_emulated_copy(void *to, const void *from, size_t n)
{
  pthread_mutex_lock(&mutex);
  bool was_open = is_open;
  vk_emulated_open_memory();
  memmove(to, from, n);
  if (!was_open)
    vk_emulated_close_memory();
  pthread_mutex_unlock(&mutex);
}

/* Pages that were given back, open, for the next of their size: new ones take long. */
static struct {
  char *p;
  size_t n;
} kept[N_KEPT];

static char *take_pages(size_t n)
{
  for (int i = 0; i < N_KEPT; i++)
    if (kept[i].p && kept[i].n == n) {
      char *p = kept[i].p;
      kept[i].p = NULL;
      return p;
    }
  char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return p == MAP_FAILED ? NULL : p;
}

static void give_pages(char *p, size_t n)
{
  static int i_next;
  int i = i_next++ % N_KEPT;
  if (kept[i].p)
    (void)munmap(kept[i].p, kept[i].n);
  kept[i].p = p;
  kept[i].n = n;
}

static void guard(const allocation *a, bool is_on)
{
#if VK_EMULATED_ASAN
  if (is_on) {
    ASAN_POISON_MEMORY_REGION(base_of(a), GUARD);
    ASAN_POISON_MEMORY_REGION(a->p + a->n, padded(a->n) - GUARD - a->n);
  } else {
    ASAN_UNPOISON_MEMORY_REGION(base_of(a), padded(a->n));
  }
#else
  if (is_on) {
    memset(base_of(a), GUARD_BYTE, GUARD);
    memset(a->p + a->n, GUARD_BYTE, padded(a->n) - GUARD - a->n);
  }
#endif
}

static cudaError_t check_guard(const allocation *a)
{
#if !VK_EMULATED_ASAN
  size_t n_after = padded(a->n) - GUARD - a->n;
  for (size_t i = 0; i < GUARD; i++)
    if ((unsigned char)a->p[-1 - (ptrdiff_t)i] != GUARD_BYTE) {
      vk_emulated_say("byte -%zu of an allocation of %zu was written", i + 1, a->n);
      return vk_emulated_lose(a->device, cudaErrorIllegalAddress);
    }
  for (size_t i = 0; i < n_after; i++)
    if ((unsigned char)a->p[a->n + i] != GUARD_BYTE) {
      vk_emulated_say("byte %zu of an allocation of %zu was written", a->n + i, a->n);
      return vk_emulated_lose(a->device, cudaErrorIllegalAddress);
    }
#endif
  return cudaSuccess;
}

cudaError_t vk_emulated_check_guards(int device)
{
  cudaError_t error = cudaSuccess;
  /* nothing has run since it was closed */
  for (const allocation *a = allocations; a && is_open && error == cudaSuccess; a = a->next)
    error = a->device == device ? check_guard(a) : cudaSuccess;
  return error;
}

/* That p points into, its end included; NULL: none. */
static const allocation *allocation_of(const void *p)
{
  const allocation *a = allocations;
  while (a && ((uintptr_t)p < (uintptr_t)a->p || (uintptr_t)p > (uintptr_t)a->p + a->n))
    a = a->next;
  return a;
}

static size_t left_of(const allocation *a, const void *p)
{
  return (size_t)(a->p + a->n - (const char *)p);
}

vk_emulated_place vk_emulated_find(const void *p, size_t *n)
{
  const allocation *a = allocation_of(p);
  *n = a ? left_of(a, p) : SIZE_MAX;
  return a ? a->place : VK_PLACE_PAGEABLE;
}

bool vk_emulated_reaches(int device, const void *p, size_t n)
{
  const allocation *a = allocation_of(p);
  return a && n <= left_of(a, p) && (a->place != VK_PLACE_DEVICE || a->device == device);
}

int vk_emulated_is_out_of_reach(const void *p)
{
  pthread_mutex_lock(&mutex);
  int is_out = p && !vk_emulated_reaches(vk_emulated_device, p, 0);
  pthread_mutex_unlock(&mutex);
  return is_out;
}

cudaError_t vk_emulated_refuse_pointer(void)
{
  ENTER();
  vk_emulated_say("a kernel was given a pointer to memory of the host or of another device");
  return vk_emulated_leave(vk_emulated_lose(vk_emulated_device, cudaErrorIllegalAddress));
}

static int64_t *count_of(vk_emulated_place place)
{
  return place == VK_PLACE_DEVICE ? &vk_emulated.live.n_device : &vk_emulated.live.n_host;
}

static cudaError_t allocate(void **p, size_t n, vk_emulated_place place)
{
  *p = NULL;
  if (vk_emulated_capture_forbids())
    return cudaErrorStreamCaptureUnsupported;
  cudaError_t error = find_device(vk_emulated_device);
  if (error != cudaSuccess || n == 0)
    return error;
  bool is_device = place != VK_PLACE_HOST;
  size_t *used = &vk_emulated.used[vk_emulated_device];
  if (is_device && (n > vk_emulated.memory || *used > vk_emulated.memory - n))
    return cudaErrorMemoryAllocation;
  allocation *a = malloc(sizeof *a);
  char *base = !a ? NULL : is_device ? take_pages(page_bytes(n)) : aligned_alloc(GUARD, padded(n));
  if (!base) {
    free(a);
    return cudaErrorMemoryAllocation;
  }
  *a = (allocation){
      .next = allocations, .place = place, .device = vk_emulated_device, .p = base + GUARD, .n = n};
  allocations = a;
  memset(a->p, vk_emulated.is_dry ? 0 : FRESH_BYTE, n);
  guard(a, true);
  if (!is_open)
    protect(a, false);
  ++*count_of(place);
  if (is_device) {
    *used += n;
    vk_emulated.live.n_byte += (int64_t)n;
  }
  *p = a->p;
  return cudaSuccess;
}

static vk_emulated_place place_of(const void *p)
{
  size_t n;
  return vk_emulated_find(p, &n);
}

/* That was current when p was allocated. */
static int device_of(const void *p)
{
  pthread_mutex_lock(&mutex);
  const allocation *a = p ? allocation_of(p) : NULL;
  int device = a ? a->device : vk_emulated_device;
  pthread_mutex_unlock(&mutex);
  return device;
}

/* Even when the device is lost: its memory is. What may use it is waited for. */
static cudaError_t give_back(void *p, bool is_host)
{
  int device = device_of(p);
  cudaError_t error = vk_emulated_enter(device);
  if (!p)
    return vk_emulated_leave(error);
  if (error == cudaSuccess && vk_emulated_capture_forbids())
    return vk_emulated_leave(cudaErrorStreamCaptureUnsupported);
  vk_emulated_drain(place_of(p) == VK_PLACE_DEVICE ? device : -1);
  for (allocation **at = &allocations; *at; at = &(*at)->next) {
    allocation *a = *at;
    if (a->p != p || (a->place == VK_PLACE_HOST) != is_host)
      continue;
    protect(a, true);
    cudaError_t guards = check_guard(a);
    --*count_of(a->place);
    if (!is_host) {
      vk_emulated.used[a->device] -= a->n;
      vk_emulated.live.n_byte -= (int64_t)a->n;
    }
    *at = a->next;
    guard(a, false);
    if (is_host)
      free(base_of(a));
    else
      give_pages(base_of(a), page_bytes(a->n));
    free(a);
    return vk_emulated_leave(error ? error : guards);
  }
  return vk_emulated_leave(error ? error : cudaErrorInvalidValue);
}

cudaError_t cudaMalloc(void **p, size_t n)
{
  ENTER();
  return vk_emulated_leave(allocate(p, n, VK_PLACE_DEVICE));
}

cudaError_t cudaMallocHost(void **p, size_t n)
{
  ENTER();
  return vk_emulated_leave(allocate(p, n, VK_PLACE_HOST));
}

cudaError_t cudaHostAlloc(void **p, size_t n, unsigned flags)
{
  ENTER();
  return vk_emulated_leave(allocate(p, n, VK_PLACE_HOST));
}

cudaError_t cudaFree(void *p)
{
  return give_back(p, false);
}

cudaError_t cudaFreeHost(void *p)
{
  return give_back(p, true);
}
