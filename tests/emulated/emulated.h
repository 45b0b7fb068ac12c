/* emulated.h - what tests ask of the GPUs of tests/emulated beside CUDA's runtime: failures, small
 * memory, no device or several, leaks, other orders of threads.
 *
 * Found without being asked for, told in a sentence to stderr: threads that wait for ever (abort),
 * streams that do and are waited for (abort), writes beyond shared memory (abort), writes beyond an
 * allocation (cudaErrorIllegalAddress when the stream or device is waited for, or memory freed; at
 * once under AddressSanitizer), pointers of the host or of another device among a kernel's
 * arguments (cudaErrorIllegalAddress), work for a stream whose device is not current
 * (cudaErrorInvalidResourceHandle; copies, waiting and events' questions may). The host that reads
 * or writes a device's memory gets SIGSEGV, but for the time from when work ran until it is waited
 * for. Fresh memory and shared memory hold bytes of 0xff: NaN.
 *
 * A thread has a current device, 0 at first. Streams, events and memory are of the device that was
 * current when they were made; a device that is lost loses them alone.
 *
 * Test: tests/unit/test_emulated.c */
#ifndef VK_EMULATED_H
#define VK_EMULATED_H

#include <cuda_runtime.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As if the process had just begun: one device, default memory, no error, no failure to come, work
 * run at once, device 0 current on this thread. Memory, streams and communicators stay. */
void vk_emulated_reset(void);

/* The n-th call of the runtime from now (1: the next one) returns error. Those that no program can
 * go on after (cudaErrorIllegalAddress, LaunchFailure, ECCUncorrectable, ...) are returned by every
 * later call about that device too. 0: none fails. */
void vk_emulated_fail_after(int64_t n, cudaError_t error);
/* Calls so far that vk_emulated_fail_after counts. */
int64_t vk_emulated_n_call(void);

/* Bytes of each device's memory. */
void vk_emulated_set_memory(size_t bytes);
/* At most 8. 0: cudaGetDeviceCount returns cudaErrorNoDevice. */
void vk_emulated_set_device_count(int n);
void vk_emulated_set_compute_capability(int major, int minor);
/* The driver's version as CUDA counts, 13000; 0: no driver. */
void vk_emulated_set_driver(int version);

/* Work is run as late as it may: when a stream, an event or the device is waited for, not when it
 * is enqueued. What reads too early then reads old bytes. */
void vk_emulated_set_late(bool is_late);

/* Kernels and products are started and not run, and fresh memory holds zeros: for what is true of
 * calls whatever they compute. */
void vk_emulated_set_dry(bool is_dry);

/* Captured graphs cannot be made ready to run: cudaErrorMemoryAllocation. */
void vk_emulated_set_graphless(bool is_graphless);
/* Captures so far that were begun. */
int64_t vk_emulated_n_capture(void);

/* Bytes of scratch that a product is given at once (VK_PRODUCT_CHUNK of cuda/round.h), for plans to
 * come: so few as the process begins that small products come in chunks, too. */
extern int64_t vk_emulated_product_chunk;

/* Of the orders in which blocks and threads run; a launch changes it as well. */
void vk_emulated_set_seed(uint64_t seed);

/* What was made and not given back. */
typedef struct vk_emulated_live {
  int64_t n_device, n_host, n_byte; /* allocations; bytes of the first */
  int64_t n_stream, n_event, n_graph, n_exec;
  int64_t n_comm; /* of NCCL */
} vk_emulated_live;
vk_emulated_live vk_emulated_count(void);
/* Everything of it is 0. */
bool vk_emulated_is_clean(void);
int64_t vk_emulated_n_launch(void); /* kernels that ran */

/* Copies n bytes, of a device's memory or to it, at once: for tests that count calls. */
void vk_emulated_copy(void *to, const void *from, size_t n);

/* Enqueues run(data), data being n copied bytes, as a kernel would be, on a stream whose device is
 * current: for libraries of CUDA's
 * that tests stand in for. */
cudaError_t vk_emulated_enqueue(cudaStream_t stream, void (*run)(void *data), const void *data,
                                size_t n);

#ifdef __cplusplus
}
#endif

#endif
