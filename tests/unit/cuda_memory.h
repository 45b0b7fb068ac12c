/* cuda_memory.h - for tests of src/cuda: a GPU or what stands in for it, its memory between guard
 * bytes, and numbers to put there. */
#ifndef VK_TESTS_CUDA_MEMORY_H
#define VK_TESTS_CUDA_MEMORY_H

#include <stdio.h>
#include <stdlib.h>

#include "cuda/gemm.h"
#include "guard.h"

#define cuda_ok(call) cuda_ok_at((call), #call, __FILE__, __LINE__)
static inline void cuda_ok_at(cudaError_t status, const char *what, const char *file, int line)
{
  if (status == cudaSuccess)
    return;
  print_error("%s: %s\n", what, cudaGetErrorString(status));
  _fail(file, line);
}

/* What main needs of a GPU: 0, or how the test ends: VK_TEST_SKIP where there is none, 1 where
 * there is one and something that it needs is missing. stream and gemm may be NULL: not made. */
static inline int gpu_open(cudaStream_t *stream, vk_cuda_gemm **gemm)
{
  vk_err err = VK_ERR_INIT;
  int n_device = 0;
  cudaError_t e = cudaGetDeviceCount(&n_device);
  if (e == cudaErrorNoDevice || e == cudaErrorInsufficientDriver ||
      (e == cudaSuccess && n_device == 0)) {
    fprintf(stderr, "no GPU\n");
    return VK_TEST_SKIP;
  }
  if (e == cudaSuccess && stream)
    e = cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking);
  if (e != cudaSuccess)
    fprintf(stderr, "the GPU does not start: %s\n", cudaGetErrorString(e));
  else if (!gemm || vk_cuda_gemm_new(gemm, &err) == VK_OK)
    return 0;
  else
    fprintf(stderr, "%s\n", err.text);
  return 1;
}

/* ---- memory -------------------------------------------------------------------------------- */

/* Bytes before and after an allocation. tests/emulated has its own. */
#if defined(VK_EMULATED)
enum { DEVICE_GUARD = 0 };
#else
enum { DEVICE_GUARD = GUARD };
#endif

/* n bytes that all are `fill`. */
static inline void *device_new(size_t n, int fill)
{
  char *p = NULL;
  size_t all = n + 2 * DEVICE_GUARD + (n == 0); /* a value without items is there, too */
  cuda_ok(cudaMalloc((void **)&p, all));
  cuda_ok(cudaMemset(p, GUARD_BYTE, all));
  cuda_ok(cudaMemset(p + DEVICE_GUARD, fill, n));
  return p + DEVICE_GUARD;
}

/* n bytes as they lie here. */
static inline void *device_copy(const void *from, size_t n)
{
  void *p = device_new(n, 0);
  if (n)
    cuda_ok(cudaMemcpy(p, from, n, cudaMemcpyHostToDevice));
  return p;
}

static inline void device_free(void *p)
{
  if (p)
    cuda_ok(cudaFree((char *)p - DEVICE_GUARD));
}

/* Checks the guard bytes around n bytes, which come back in to [n], if it is not NULL. */
static inline void device_get(const void *p, size_t n, void *to, const char *what)
{
  uint8_t *all = malloc(n + 2 * GUARD);
  assert_non_null(all);
  memset(all, GUARD_BYTE, n + 2 * GUARD);
  if (n + DEVICE_GUARD)
    cuda_ok(cudaMemcpy(all + GUARD - DEVICE_GUARD, (const char *)p - DEVICE_GUARD,
                       n + 2 * DEVICE_GUARD, cudaMemcpyDeviceToHost));
  check_guard(all + GUARD, n, what);
  if (to && n)
    memcpy(to, all + GUARD, n);
  free(all);
}

/* ---- numbers ------------------------------------------------------------------------------- */

static uint64_t draw_seed = 1;

/* A whole number of [lo, hi]. */
static inline int64_t draw(int64_t lo, int64_t hi)
{
  draw_seed = draw_seed * 6364136223846793005u + 1442695040888963407u;
  return lo + (int64_t)((draw_seed >> 33) % (uint64_t)(hi - lo + 1));
}

#endif
