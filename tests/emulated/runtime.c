/* runtime.c - errors, the device and its memory. */
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fiber.h"
#include "internal.h"

enum { GUARD = 256, GUARD_BYTE = 0xa5, FRESH_BYTE = 0xff };

struct vk_emulated_state vk_emulated = {
    .memory = (size_t)1 << 34, .n_device = 1, .major = 9, .minor = 0, .driver = CUDART_VERSION};

static pthread_mutex_t mutex = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

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

cudaError_t vk_emulated_lose(cudaError_t error)
{
  vk_emulated.lost = error;
  return error;
}

cudaError_t vk_emulated_enter(void)
{
  pthread_mutex_lock(&mutex);
  vk_emulated.n_call++;
  if (vk_emulated.fail_in > 0 && --vk_emulated.fail_in == 0) {
    if (is_final(vk_emulated.fail_with))
      vk_emulated_lose(vk_emulated.fail_with);
    return vk_emulated.fail_with;
  }
  return vk_emulated.lost;
}

cudaError_t vk_emulated_leave(cudaError_t error)
{
  if (error != cudaSuccess && error != cudaErrorNotReady)
    vk_emulated.last = error;
  pthread_mutex_unlock(&mutex);
  return error;
}

cudaError_t cudaPeekAtLastError(void)
{
  pthread_mutex_lock(&mutex);
  cudaError_t error = vk_emulated.lost ? vk_emulated.lost : vk_emulated.last;
  pthread_mutex_unlock(&mutex);
  return error;
}

cudaError_t cudaGetLastError(void)
{
  pthread_mutex_lock(&mutex);
  cudaError_t error = vk_emulated.lost ? vk_emulated.lost : vk_emulated.last;
  vk_emulated.last = cudaSuccess;
  pthread_mutex_unlock(&mutex);
  return error;
}

/* ---- what tests ask for ---------------------------------------------------------------------- */

void vk_emulated_reset(void)
{
  pthread_mutex_lock(&mutex);
  vk_emulated_drain_all();
  vk_emulated.fail_in = 0;
  vk_emulated.last = vk_emulated.lost = cudaSuccess;
  vk_emulated.memory = (size_t)1 << 34;
  vk_emulated.n_device = 1;
  vk_emulated.major = 9;
  vk_emulated.minor = 0;
  vk_emulated.driver = CUDART_VERSION;
  vk_emulated.is_late = false;
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
    vk_emulated_drain_all();
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
  return !l.n_device && !l.n_managed && !l.n_host && !l.n_stream && !l.n_event && !l.n_graph &&
         !l.n_exec;
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
      .managedMemory = 1,
      .concurrentManagedAccess = 1,
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
  case cudaDevAttrManagedMemory:
    *value = p.managedMemory;
    break;
  case cudaDevAttrPageableMemoryAccess:
    *value = p.pageableMemoryAccess;
    break;
  case cudaDevAttrConcurrentManagedAccess:
    *value = p.concurrentManagedAccess;
    break;
  case cudaDevAttrMaxSharedMemoryPerBlockOptin:
    *value = (int)p.sharedMemPerBlockOptin;
    break;
  default:
    error = cudaErrorInvalidValue;
  }
  return vk_emulated_leave(error);
}

cudaError_t cudaSetDevice(int device)
{
  ENTER();
  return vk_emulated_leave(find_device(device));
}

cudaError_t cudaGetDevice(int *device)
{
  ENTER();
  *device = 0;
  return vk_emulated_leave(find_device(0));
}

cudaError_t cudaMemGetInfo(size_t *n_free, size_t *n_total)
{
  ENTER();
  cudaError_t error = find_device(0);
  if (error == cudaSuccess) {
    *n_total = vk_emulated.memory;
    *n_free = vk_emulated.memory > vk_emulated.used ? vk_emulated.memory - vk_emulated.used : 0;
  }
  return vk_emulated_leave(error);
}

/* ---- memory ---------------------------------------------------------------------------------- */

typedef struct allocation {
  struct allocation *next;
  vk_emulated_place place;
  char *p; /* after the guard */
  size_t n;
} allocation;

static allocation *allocations;

static char *base_of(const allocation *a)
{
  return a->p - GUARD;
}

static size_t padded(size_t n)
{
  return (n + 2 * GUARD + GUARD - 1) / GUARD * GUARD;
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
      return vk_emulated_lose(cudaErrorIllegalAddress);
    }
  for (size_t i = 0; i < n_after; i++)
    if ((unsigned char)a->p[a->n + i] != GUARD_BYTE) {
      vk_emulated_say("byte %zu of an allocation of %zu was written", a->n + i, a->n);
      return vk_emulated_lose(cudaErrorIllegalAddress);
    }
#endif
  return cudaSuccess;
}

cudaError_t vk_emulated_check_guards(void)
{
  cudaError_t error = cudaSuccess;
  for (const allocation *a = allocations; a && error == cudaSuccess; a = a->next)
    error = check_guard(a);
  return error;
}

vk_emulated_place vk_emulated_find(const void *p, size_t *n)
{
  for (const allocation *a = allocations; a; a = a->next)
    if ((uintptr_t)p >= (uintptr_t)a->p && (uintptr_t)p <= (uintptr_t)a->p + a->n) {
      *n = (size_t)(a->p + a->n - (const char *)p);
      return a->place;
    }
  *n = SIZE_MAX;
  return VK_PLACE_PAGEABLE;
}

int vk_emulated_is_host(const void *p)
{
  size_t n;
  pthread_mutex_lock(&mutex);
  int is_host = p && vk_emulated_find(p, &n) == VK_PLACE_PAGEABLE;
  pthread_mutex_unlock(&mutex);
  return is_host;
}

cudaError_t vk_emulated_refuse_host(void)
{
  ENTER();
  vk_emulated_say("a kernel was given a pointer to memory of the host");
  return vk_emulated_leave(vk_emulated_lose(cudaErrorIllegalAddress));
}

static int64_t *count_of(vk_emulated_place place)
{
  return place == VK_PLACE_DEVICE    ? &vk_emulated.live.n_device
         : place == VK_PLACE_MANAGED ? &vk_emulated.live.n_managed
                                     : &vk_emulated.live.n_host;
}

static cudaError_t allocate(void **p, size_t n, vk_emulated_place place)
{
  *p = NULL;
  if (vk_emulated_capture_forbids())
    return cudaErrorStreamCaptureUnsupported;
  cudaError_t error = find_device(0);
  if (error != cudaSuccess || n == 0)
    return error;
  bool is_device = place != VK_PLACE_HOST;
  if (is_device && (n > vk_emulated.memory || vk_emulated.used > vk_emulated.memory - n))
    return cudaErrorMemoryAllocation;
  allocation *a = malloc(sizeof *a);
  char *base = a ? aligned_alloc(GUARD, padded(n)) : NULL;
  if (!base) {
    free(a);
    return cudaErrorMemoryAllocation;
  }
  *a = (allocation){.next = allocations, .place = place, .p = base + GUARD, .n = n};
  allocations = a;
  memset(a->p, FRESH_BYTE, n);
  guard(a, true);
  ++*count_of(place);
  if (is_device) {
    vk_emulated.used += n;
    vk_emulated.live.n_byte += (int64_t)n;
  }
  *p = a->p;
  return cudaSuccess;
}

/* Even when the device is lost: its memory is. */
static cudaError_t give_back(void *p, bool is_host)
{
  cudaError_t error = vk_emulated_enter();
  if (!p)
    return vk_emulated_leave(error);
  if (error == cudaSuccess && vk_emulated_capture_forbids())
    return vk_emulated_leave(cudaErrorStreamCaptureUnsupported);
  vk_emulated_drain_all();
  for (allocation **at = &allocations; *at; at = &(*at)->next) {
    allocation *a = *at;
    if (a->p != p || (a->place == VK_PLACE_HOST) != is_host)
      continue;
    cudaError_t guards = check_guard(a);
    --*count_of(a->place);
    if (!is_host) {
      vk_emulated.used -= a->n;
      vk_emulated.live.n_byte -= (int64_t)a->n;
    }
    *at = a->next;
    guard(a, false);
    free(base_of(a));
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

cudaError_t cudaMallocManaged(void **p, size_t n, unsigned flags)
{
  ENTER();
  if (flags != cudaMemAttachGlobal && flags != cudaMemAttachHost)
    return vk_emulated_leave(cudaErrorInvalidValue);
  return vk_emulated_leave(allocate(p, n, VK_PLACE_MANAGED));
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
