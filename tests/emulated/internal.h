/* internal.h - between the files of tests/emulated. */
#ifndef VK_EMULATED_INTERNAL_H
#define VK_EMULATED_INTERNAL_H

#include <cuda_runtime.h>
#include <stdbool.h>

#include "emulated.h"

#if defined(__SANITIZE_ADDRESS__)
#define VK_EMULATED_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VK_EMULATED_ASAN 1
#endif
#endif
#ifndef VK_EMULATED_ASAN
#define VK_EMULATED_ASAN 0
#endif
#if VK_EMULATED_ASAN
#include <sanitizer/asan_interface.h>
#endif

enum { VK_EMULATED_STATIC_SHARED = 48 << 10, VK_EMULATED_SHARED_MAX = 227 << 10 };

/* ---- fiber.c ---- */

/* One launch: grid and block are valid. */
typedef struct vk_emulated_work {
  void (*call)(const void *closure);
  const void *closure;
  dim3 grid, block;
  size_t shared;
} vk_emulated_work;
/* false: a thread touched what is no memory, and the kernel ended there. */
bool vk_emulated_run(const vk_emulated_work *w, uint64_t seed);

/* ---- runtime.c ---- */

/* Ends the program with a sentence. */
void vk_emulated_fatal(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void vk_emulated_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A call of the runtime: the lock, and the error that it must return at once. leave gives the lock
 * back, notes the error and returns it. */
cudaError_t vk_emulated_enter(void);
cudaError_t vk_emulated_leave(cudaError_t error);
#define ENTER()                                                                                    \
  do {                                                                                             \
    cudaError_t enter_error_ = vk_emulated_enter();                                                \
    if (enter_error_ != cudaSuccess)                                                               \
      return vk_emulated_leave(enter_error_);                                                      \
  } while (0)
/* An error that every later call returns too. */
cudaError_t vk_emulated_lose(cudaError_t error);

typedef enum vk_emulated_place {
  VK_PLACE_PAGEABLE,
  VK_PLACE_HOST,
  VK_PLACE_MANAGED,
  VK_PLACE_DEVICE
} vk_emulated_place;
/* Where p lies; *n: bytes from p to the end of its allocation (pageable: SIZE_MAX). */
vk_emulated_place vk_emulated_find(const void *p, size_t *n);
/* Guard bytes of every allocation: cudaSuccess or cudaErrorIllegalAddress. */
cudaError_t vk_emulated_check_guards(void);

extern struct vk_emulated_state {
  int64_t fail_in, n_call, n_launch;
  cudaError_t fail_with, last, lost;
  size_t memory, used;
  int n_device, major, minor, driver;
  bool is_late;
  uint64_t seed;
  vk_emulated_live live;
} vk_emulated;

/* ---- stream.c ---- */

/* A stream captures that forbids calls that wait or allocate; those end its capture. */
bool vk_emulated_capture_forbids(void);
/* Runs what streams hold back. */
void vk_emulated_drain_all(void);

#endif
