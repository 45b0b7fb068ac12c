/* device.h - between the files of src/cuda that are about a device as a whole: its state, memory,
 * executors, optimisers, sums between devices, and errors of CUDA as sentences.
 *
 * Test: tests/unit/test_cuda_device.c, tests/unit/test_cuda_sum.c */
#ifndef VK_CUDA_DEVICE_H
#define VK_CUDA_DEVICE_H

#include <cuda_runtime.h>
#include <pthread.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "nn/device.h"
#include "nn/optim_internal.h"

enum { VK_CUDA_MAJOR_MIN = 8 }; /* least compute capability: bf16 needs 8.0 */

#ifndef VK_CUDA_SUM_BYTES
#define VK_CUDA_SUM_BYTES (32 << 20) /* that a sum between devices moves at once */
#endif

/* What a user should know, each kind once a device. */
typedef enum vk_cuda_note_kind {
  VK_CUDA_NOTE_PRODUCT,
  VK_CUDA_NOTE_CAPTURE,
  VK_CUDA_NOTES,
} vk_cuda_note_kind;

/* State of an open device. */
typedef struct vk_cuda_device {
  char name[64];        /* as --device says it, and what it is: "cuda:0 (NVIDIA H200)" */
  cudaStream_t stream;  /* of optimisers, sums, and memory: zeros, copies */
  cudaEvent_t zeroed;   /* the last zeros are there */
  pthread_mutex_t lock; /* of what follows */
  int64_t n_zero;       /* how often memory was zeroed */
  bool has_note[VK_CUDA_NOTES];
  char note[VK_CUDA_NOTES][VK_DEVICE_NOTE]; /* "": it was taken */
  int n_run;                                /* networks that run */
  int64_t since_ns;                         /* for so long some have */
  int64_t busy_ns;                          /* before that */
} vk_cuda_device;

static inline vk_cuda_device *vk_cuda_device_of(const vk_device *d)
{
  return (vk_cuda_device *)d->state;
}

/* What CUDA returned, as a status: VK_OK, VK_E_NOMEM, or VK_E_IO for a device that failed or was
 * lost. The sentence names the device, what was done, the call and the error. */
VK_NODISCARD vk_status vk_cuda_check(cudaError_t e, const vk_device *d, const char *doing,
                                     const char *call, vk_err *err);
/* VK_CUDA_CHECK(cudaFree(p), d, "freeing memory", err) */
#define VK_CUDA_CHECK(call, d, doing, err) vk_cuda_check((call), (d), (doing), #call, (err))

/* Memory of the device, which is current. Asked for more than is free, it says so, although drivers
 * may give that, too, and then move pages to and fro.
 *   what     needs it: "nano-n2"
 *   smaller  what would need less: "batch"
 * Errors: VK_E_NOMEM, with all numbers; *out is NULL then. */
VK_NODISCARD vk_status vk_cuda_take(const vk_device *d, void **out, size_t bytes, const char *what,
                                    const char *smaller, vk_err *err);

/* The calling thread's work goes to the device: before any other call of CUDA on a thread. */
VK_NODISCARD vk_status vk_cuda_use(const vk_device *d, vk_err *err);
/* As vk_cuda_use, for what gives back: of a lost device too. */
static inline void vk_cuda_try_use(const vk_device *d)
{
  (void)cudaSetDevice(d->index);
}

/* For vk_device_take_note; the device's name goes before it. */
void vk_cuda_add_note(const vk_device *d, vk_cuda_note_kind kind, const char *format, ...)
    VK_PRINTF(3, 4);

/* Work that the stream is given from now on finds the zeros that vk_device_zero was called for.
 *   n_zero  in, out: 0, or what it was left at for this stream: nothing is to be done where no
 *           zeros came since */
VK_NODISCARD vk_status vk_cuda_follow_zeros(const vk_device *d, cudaStream_t stream,
                                            int64_t *n_zero, vk_err *err);

/* A network begins to run, or has been waited for. */
void vk_cuda_begin_run(const vk_device *d);
void vk_cuda_end_run(const vk_device *d);

/* As vk_device_def says. */
vk_status vk_cuda_exec_open(struct vk_exec *x, vk_err *err);
void vk_cuda_exec_close(struct vk_exec *x);
void vk_cuda_exec_changed(struct vk_exec *x);
vk_status vk_cuda_exec_start(struct vk_exec *x, bool is_once, vk_err *err);
vk_status vk_cuda_exec_send(struct vk_exec *x, vk_err *err);
vk_status vk_cuda_exec_wait(struct vk_exec *x, vk_err *err);
bool vk_cuda_exec_is_busy(struct vk_exec *x);
vk_status vk_cuda_optim_run(const vk_device *d, const vk_optim_pass *p, void **state, double *norm,
                            vk_err *err);
void vk_cuda_optim_close(const vk_device *d, void *state);
/* By NCCL, which is opened with the first group; one device alone is a group like others. open
 * takes VK_CUDA_SUM_BYTES of each device's memory, run works on the devices' own streams. A run
 * that fails ends the work of all devices, as a sum that one has left never ends for the others,
 * and later runs fail too. While one is under way no other thread may take or give back memory of
 * the devices: CUDA may keep that waiting for a sum whose other half it then does not start. Errors
 * beside those of vk_device_def: VK_E_IO (what NCCL returned, with device and call), VK_E_NOMEM.
 * Source: NCCL 2 user guide, "Group Calls", "Error handling and communicator abort". */
vk_status vk_cuda_sum_open(void **state, const vk_device *d, int n, vk_err *err);
vk_status vk_cuda_sum_run(void *state, float *const *p, int64_t n_item, vk_err *err);
void vk_cuda_sum_close(void *state);

/* The kernels of an optimiser's step, on the stream; pointers are of the device.
 *   square  [n_chunk] out: sums of squares
 *   result  [2] out: the norm of the gradients, the factor that they are multiplied by
 * vk_cuda_optim_update reads result. Sums are in double and in order: the same bits in every run.
 */
cudaError_t vk_cuda_optim_norm(const vk_optim_pass *p, const vk_optim_chunk *chunk, double *square,
                               double *result, cudaStream_t stream);
cudaError_t vk_cuda_optim_update(const vk_optim_pass *p, const vk_optim_chunk *chunk,
                                 const vk_optim_factor *factor, const double *result,
                                 cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
