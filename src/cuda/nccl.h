/* nccl.h - the part of NVIDIA's NCCL 2 that sum.c calls. CUDA's toolkit comes without NCCL and its
 * header, so names, values and types are declared here; tests/emulated/check_nccl.c compares them
 * with the header where that is installed. No function is linked: sum.c looks them up.
 *
 * Test: tests/emulated/check_nccl.c, tests/unit/test_cuda_sum.c */
#ifndef VK_CUDA_NCCL_H
#define VK_CUDA_NCCL_H

#include <cuda_runtime.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* clang-format off */
/* X(name, value) */
#define VK_NCCL_RESULTS(X)                                                                         \
  X(ncclSuccess, 0)                                                                                \
  X(ncclUnhandledCudaError, 1)                                                                     \
  X(ncclSystemError, 2)                                                                            \
  X(ncclInternalError, 3)                                                                          \
  X(ncclInvalidArgument, 4)                                                                        \
  X(ncclInvalidUsage, 5)                                                                           \
  X(ncclRemoteError, 6)                                                                            \
  X(ncclInProgress, 7)
#define VK_NCCL_DATA_TYPES(X)                                                                      \
  X(ncclFloat32, 7)
#define VK_NCCL_OPERATIONS(X)                                                                      \
  X(ncclSum, 0)
/* clang-format on */

#ifndef NCCL_H_ /* the library's own header */
#define X(name, value) name = value,
typedef enum { VK_NCCL_RESULTS(X) } ncclResult_t;
typedef enum { VK_NCCL_DATA_TYPES(X) } ncclDataType_t;
typedef enum { VK_NCCL_OPERATIONS(X) } ncclRedOp_t;
#undef X
typedef struct ncclComm *ncclComm_t;
#endif

/* comm: out, n of them; device: their numbers, each another one. */
ncclResult_t ncclCommInitAll(ncclComm_t *comm, int n, const int *device);
ncclResult_t ncclCommDestroy(ncclComm_t comm);
ncclResult_t ncclCommAbort(ncclComm_t comm);
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error);
const char *ncclGetErrorString(ncclResult_t result);
const char *ncclGetLastError(ncclComm_t comm);
ncclResult_t ncclGroupStart(void);
ncclResult_t ncclGroupEnd(void);
ncclResult_t ncclAllReduce(const void *from, void *to, size_t n, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
