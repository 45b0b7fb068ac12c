/* cuda_values.h - names and numbers of CUDA's runtime: its errors, and of enumerations and flags
 * what vlakit uses. Test: check_runtime.c compares them with the toolkit's. */
#ifndef VK_EMULATED_CUDA_VALUES_H
#define VK_EMULATED_CUDA_VALUES_H

/* clang-format off */
/* X(name, value, what it is) */
#define VK_CUDA_ERRORS(X)                                                                          \
  X(cudaSuccess, 0, "no error")                                                                    \
  X(cudaErrorInvalidValue, 1, "invalid argument")                                                  \
  X(cudaErrorMemoryAllocation, 2, "out of memory")                                                 \
  X(cudaErrorInitializationError, 3, "initialization error")                                       \
  X(cudaErrorInvalidConfiguration, 9, "invalid configuration argument")                            \
  X(cudaErrorInvalidMemcpyDirection, 21, "invalid copy direction for memcpy")                      \
  X(cudaErrorStubLibrary, 34, "CUDA driver is a stub library")                                     \
  X(cudaErrorInsufficientDriver, 35, "CUDA driver version is insufficient for CUDA runtime")       \
  X(cudaErrorDevicesUnavailable, 46, "CUDA-capable device(s) is/are busy or unavailable")          \
  X(cudaErrorInvalidDeviceFunction, 98, "invalid device function")                                 \
  X(cudaErrorNoDevice, 100, "no CUDA-capable device is detected")                                  \
  X(cudaErrorInvalidDevice, 101, "invalid device ordinal")                                         \
  X(cudaErrorInvalidKernelImage, 200, "device kernel image is invalid")                            \
  X(cudaErrorNoKernelImageForDevice, 209, "no kernel image is available on the device")            \
  X(cudaErrorECCUncorrectable, 214, "uncorrectable ECC error encountered")                         \
  X(cudaErrorInvalidResourceHandle, 400, "invalid resource handle")                                \
  X(cudaErrorIllegalState, 401, "the operation cannot be performed in the present state")          \
  X(cudaErrorNotReady, 600, "device not ready")                                                    \
  X(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered")                      \
  X(cudaErrorLaunchOutOfResources, 701, "too many resources requested for launch")                 \
  X(cudaErrorLaunchTimeout, 702, "the launch timed out and was terminated")                        \
  X(cudaErrorAssert, 710, "device-side assert triggered")                                          \
  X(cudaErrorMisalignedAddress, 716, "misaligned address")                                         \
  X(cudaErrorLaunchFailure, 719, "unspecified launch failure")                                     \
  X(cudaErrorNotPermitted, 800, "operation not permitted")                                         \
  X(cudaErrorNotSupported, 801, "operation not supported")                                         \
  X(cudaErrorStreamCaptureUnsupported, 900, "operation not permitted when stream is capturing")    \
  X(cudaErrorStreamCaptureInvalidated, 901, "operation failed by an earlier error during capture") \
  X(cudaErrorStreamCaptureMerge, 902, "operation would merge separate captures")                   \
  X(cudaErrorStreamCaptureUnmatched, 903, "capture was not ended in the stream of its begin")      \
  X(cudaErrorStreamCaptureUnjoined, 904, "capturing stream has unjoined work")                     \
  X(cudaErrorStreamCaptureIsolation, 905, "dependency on work that is not captured")               \
  X(cudaErrorStreamCaptureImplicit, 906, "legacy stream would depend on a capturing stream")       \
  X(cudaErrorCapturedEvent, 907, "operation not permitted on a captured event")                    \
  X(cudaErrorGraphExecUpdateFailure, 910, "graph cannot be updated so")                            \
  X(cudaErrorUnknown, 999, "unknown error")

/* X(name, value) */
#define VK_CUDA_MEMCPY_KIND(X)                                                                     \
  X(cudaMemcpyHostToHost, 0)                                                                       \
  X(cudaMemcpyHostToDevice, 1)                                                                     \
  X(cudaMemcpyDeviceToHost, 2)                                                                     \
  X(cudaMemcpyDeviceToDevice, 3)                                                                   \
  X(cudaMemcpyDefault, 4)

#define VK_CUDA_STREAM_CAPTURE_MODE(X)                                                             \
  X(cudaStreamCaptureModeGlobal, 0)                                                                \
  X(cudaStreamCaptureModeThreadLocal, 1)                                                           \
  X(cudaStreamCaptureModeRelaxed, 2)

#define VK_CUDA_STREAM_CAPTURE_STATUS(X)                                                           \
  X(cudaStreamCaptureStatusNone, 0)                                                                \
  X(cudaStreamCaptureStatusActive, 1)                                                              \
  X(cudaStreamCaptureStatusInvalidated, 2)

#define VK_CUDA_DEVICE_ATTR(X)                                                                     \
  X(cudaDevAttrMaxThreadsPerBlock, 1)                                                              \
  X(cudaDevAttrMaxSharedMemoryPerBlock, 8)                                                         \
  X(cudaDevAttrWarpSize, 10)                                                                       \
  X(cudaDevAttrMultiProcessorCount, 16)                                                            \
  X(cudaDevAttrIntegrated, 18)                                                                     \
  X(cudaDevAttrL2CacheSize, 38)                                                                    \
  X(cudaDevAttrComputeCapabilityMajor, 75)                                                         \
  X(cudaDevAttrComputeCapabilityMinor, 76)                                                         \
  X(cudaDevAttrMaxSharedMemoryPerMultiprocessor, 81)                                               \
  X(cudaDevAttrPageableMemoryAccess, 88)                                                           \
  X(cudaDevAttrMaxSharedMemoryPerBlockOptin, 97)

#define VK_CUDA_FUNC_ATTRIBUTE(X)                                                                  \
  X(cudaFuncAttributeMaxDynamicSharedMemorySize, 8)                                                \
  X(cudaFuncAttributePreferredSharedMemoryCarveout, 9)

#define VK_CUDA_GRAPH_EXEC_UPDATE_RESULT(X)                                                        \
  X(cudaGraphExecUpdateSuccess, 0)                                                                 \
  X(cudaGraphExecUpdateError, 1)                                                                   \
  X(cudaGraphExecUpdateErrorTopologyChanged, 2)                                                    \
  X(cudaGraphExecUpdateErrorNodeTypeChanged, 3)                                                    \
  X(cudaGraphExecUpdateErrorFunctionChanged, 4)                                                    \
  X(cudaGraphExecUpdateErrorParametersChanged, 5)

#define VK_CUDA_FLAGS(X)                                                                           \
  X(cudaStreamDefault, 0)                                                                          \
  X(cudaStreamNonBlocking, 1)                                                                      \
  X(cudaEventDefault, 0)                                                                           \
  X(cudaEventBlockingSync, 1)                                                                      \
  X(cudaEventDisableTiming, 2)                                                                     \
  X(cudaHostAllocDefault, 0)                                                                       \
  X(cudaHostAllocPortable, 1)                                                                      \
  X(cudaHostAllocMapped, 2)
/* clang-format on */

#endif
