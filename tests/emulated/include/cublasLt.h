/* cublasLt.h - the part of cuBLASLt that vlakit uses, where tests/emulated stands in for the GPU.
 * Matrices are column-major, as the library's are by default.
 *
 * Test: tests/unit/test_cuda_gemm.c */
#ifndef VK_EMULATED_CUBLASLT_H
#define VK_EMULATED_CUBLASLT_H

#include <cuda_runtime.h>
#include <stddef.h>
#include <stdint.h>

#include "cublaslt_list.h"

#define X(name, value) name = value,
typedef enum cublasStatus_t { VK_CUBLAS_STATUSES(X) } cublasStatus_t;
typedef enum cublasComputeType_t { VK_CUBLAS_COMPUTE_TYPES(X) } cublasComputeType_t;
typedef enum cublasOperation_t { VK_CUBLAS_OPERATIONS(X) } cublasOperation_t;
typedef enum cudaDataType { VK_CUDA_DATA_TYPES(X) } cudaDataType;
typedef enum cublasLtMatrixLayoutAttribute_t {
  VK_CUBLASLT_LAYOUT_ATTRIBUTES(X)
} cublasLtMatrixLayoutAttribute_t;
typedef enum cublasLtMatmulDescAttributes_t {
  VK_CUBLASLT_DESC_ATTRIBUTES(X)
} cublasLtMatmulDescAttributes_t;
typedef enum cublasLtEpilogue_t { VK_CUBLASLT_EPILOGUES(X) } cublasLtEpilogue_t;
typedef enum cublasLtReductionScheme_t {
  VK_CUBLASLT_REDUCTION_SCHEMES(X)
} cublasLtReductionScheme_t;
typedef enum cublasLtMatmulPreferenceAttributes_t {
  VK_CUBLASLT_PREFERENCES(X)
} cublasLtMatmulPreferenceAttributes_t;
#undef X
typedef cudaDataType cudaDataType_t;

typedef struct cublasLtContext *cublasLtHandle_t;
typedef struct vk_cublaslt_desc *cublasLtMatmulDesc_t;
typedef struct vk_cublaslt_layout *cublasLtMatrixLayout_t;
typedef struct vk_cublaslt_preference *cublasLtMatmulPreference_t;

typedef struct cublasLtMatmulAlgo_t {
  uint64_t data[8];
} cublasLtMatmulAlgo_t;

typedef struct cublasLtMatmulHeuristicResult_t {
  cublasLtMatmulAlgo_t algo;
  size_t workspaceSize;
  cublasStatus_t state;
  float wavesCount;
  int reserved[4];
} cublasLtMatmulHeuristicResult_t;

#include "cublaslt_functions.h"

#endif
