/* cuda_runtime.h - the part of CUDA's runtime that vlakit uses, on a CPU: names, values and errors
 * are those of CUDA 13. Memory of the device is memory of the process; a stream's work runs when
 * it is enqueued (emulated.h: or as late as it may). Kernels are in C++: device.h, included below.
 *
 * Test: tests/unit/test_emulated.c */
#ifndef VK_EMULATED_CUDA_RUNTIME_H
#define VK_EMULATED_CUDA_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include "cuda_values.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VK_EMULATED    1
#define CUDART_VERSION 13000
#define CUDART_CB

#define VK_EMULATED_VALUE(name, value) name = value,
typedef enum cudaError {
#define X(name, value, what) name = value,
  VK_CUDA_ERRORS(X)
#undef X
} cudaError_t;
/* In C these have no names of one word, as in CUDA's header. */
enum cudaMemcpyKind { VK_CUDA_MEMCPY_KIND(VK_EMULATED_VALUE) };
enum cudaStreamCaptureMode { VK_CUDA_STREAM_CAPTURE_MODE(VK_EMULATED_VALUE) };
enum cudaStreamCaptureStatus { VK_CUDA_STREAM_CAPTURE_STATUS(VK_EMULATED_VALUE) };
enum cudaDeviceAttr { VK_CUDA_DEVICE_ATTR(VK_EMULATED_VALUE) };
enum cudaFuncAttribute { VK_CUDA_FUNC_ATTRIBUTE(VK_EMULATED_VALUE) };
enum cudaGraphExecUpdateResult { VK_CUDA_GRAPH_EXEC_UPDATE_RESULT(VK_EMULATED_VALUE) };
enum { VK_CUDA_FLAGS(VK_EMULATED_VALUE) };
#undef VK_EMULATED_VALUE

/* Sizes in bytes. */
struct cudaDeviceProp {
  char name[256];
  size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin, sharedMemPerMultiprocessor;
  int major, minor, multiProcessorCount, warpSize;
  int maxThreadsPerBlock, regsPerBlock, l2CacheSize, integrated;
  int pageableMemoryAccess, unifiedAddressing;
};

typedef struct uint3 {
  unsigned x, y, z;
} uint3;

#ifdef __cplusplus
struct dim3 {
  unsigned x, y, z;
  dim3(unsigned nx = 1, unsigned ny = 1, unsigned nz = 1) : x(nx), y(ny), z(nz)
  {
  }
};
#else
typedef struct dim3 {
  unsigned x, y, z;
} dim3;
#endif

typedef struct vk_emulated_stream *cudaStream_t;
typedef struct vk_emulated_event *cudaEvent_t;
typedef struct vk_emulated_graph *cudaGraph_t;
typedef struct vk_emulated_graph_node *cudaGraphNode_t;
typedef struct vk_emulated_exec *cudaGraphExec_t;
typedef void (*cudaHostFn_t)(void *arg);
#define cudaStreamLegacy ((cudaStream_t)1)

typedef struct cudaGraphExecUpdateResultInfo {
  enum cudaGraphExecUpdateResult result;
  cudaGraphNode_t errorNode, errorFromNode;
} cudaGraphExecUpdateResultInfo;

#include "cuda_functions.h"

#ifdef __cplusplus
}
#include "device.h"
#endif

#endif
