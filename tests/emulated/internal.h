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

enum {
  VK_EMULATED_STATIC_SHARED = 48 << 10,
  VK_EMULATED_SHARED_MAX = 227 << 10,
  VK_EMULATED_DEVICE_MAX = 8,
};

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

/* The device that is current on this thread. */
extern _Thread_local int vk_emulated_device;

/* A call of the runtime that is about a device: the lock, and the error that it must return at
 * once. leave gives the lock back, notes the error and returns it. */
cudaError_t vk_emulated_enter(int device);
cudaError_t vk_emulated_leave(cudaError_t error);
#define ENTER_ON(device)                                                                           \
  do {                                                                                             \
    cudaError_t enter_error_ = vk_emulated_enter(device);                                          \
    if (enter_error_ != cudaSuccess)                                                               \
      return vk_emulated_leave(enter_error_);                                                      \
  } while (0)
#define ENTER() ENTER_ON(vk_emulated_device)
/* The lock alone, for the libraries that are stood in for. It may be taken again. */
void vk_emulated_lock(void);
void vk_emulated_unlock(void);
/* An error that every later call about the device returns too. */
cudaError_t vk_emulated_lose(int device, cudaError_t error);

typedef enum vk_emulated_place {
  VK_PLACE_PAGEABLE,
  VK_PLACE_HOST,
  VK_PLACE_DEVICE
} vk_emulated_place;
/* Where p lies; *n: bytes from p to the end of its allocation (pageable: SIZE_MAX). */
vk_emulated_place vk_emulated_find(const void *p, size_t *n);
/* Whether n bytes from p on lie in memory that the device's kernels reach: its own, or pinned. */
bool vk_emulated_reaches(int device, const void *p, size_t n);
/* Memory of devices is opened before work runs, and closed to the program when it has waited for
 * work: what lies there is out of the host's reach. */
void vk_emulated_open_memory(void);
void vk_emulated_close_memory(void);
/* Guard bytes of what was allocated on the device: cudaSuccess or cudaErrorIllegalAddress. */
cudaError_t vk_emulated_check_guards(int device);

extern struct vk_emulated_state {
  int64_t fail_in, n_call, n_launch;
  cudaError_t fail_with, lost[VK_EMULATED_DEVICE_MAX];
  size_t memory, used[VK_EMULATED_DEVICE_MAX]; /* of each */
  int n_device, major, minor, driver;
  bool is_late, is_dry, is_graphless;
  uint64_t seed;
  vk_emulated_live live;
} vk_emulated;

/* ---- stream.c ---- */

/* A stream captures that forbids calls that wait or allocate; those end its capture. */
bool vk_emulated_capture_forbids(void);
/* Whether anything is captured; it is not any more. */
bool vk_emulated_end_captures(void);
/* The device of the stream whose work runs. */
extern int vk_emulated_running;
/* Runs what the device's streams hold back; -1: those of all. Work that waits for ever ends the
 * program. */
void vk_emulated_drain(int device);
/* Runs what can run now, where work is not late. */
void vk_emulated_advance(void);
/* The stream's device; -1: there is no such stream. */
int vk_emulated_stream_device(cudaStream_t stream);
bool vk_emulated_is_capturing(cudaStream_t stream);

/* As vk_emulated_enqueue; what is enqueued does not run, nor what is behind it, before is_ready
 * says so. It is asked whenever the stream is to go on, and may let other streams go on first.
 *   at  out: the work's number in its stream, from 1 */
cudaError_t vk_emulated_enqueue_when(cudaStream_t stream, bool (*is_ready)(void *data),
                                     void (*run)(void *data), const void *data, size_t n,
                                     int64_t *at);
/* Runs the stream's work up to and with number at, false: not all of it can run. */
bool vk_emulated_run_until(cudaStream_t stream, int64_t at);

/* ---- nccl.c ---- */

/* No sum is waited for any more; controls are as in the beginning. */
void vk_emulated_nccl_reset(void);

#endif
