/* check_cublaslt.c - that the stand-in for cuBLASLt has the names, values, types and sizes of the
 * toolkit's header, which this is compiled against: check_toolkit.sh. */
#include <cublasLt.h>
#include <stddef.h>

#include "include/cublaslt_list.h"

#include "include/cublaslt_functions.h"

#define X(name, value) _Static_assert(name == value, #name);
VK_CUBLAS_STATUSES(X)
VK_CUBLAS_COMPUTE_TYPES(X)
VK_CUBLAS_OPERATIONS(X)
VK_CUDA_DATA_TYPES(X)
VK_CUBLASLT_LAYOUT_ATTRIBUTES(X)
VK_CUBLASLT_DESC_ATTRIBUTES(X)
VK_CUBLASLT_EPILOGUES(X)
VK_CUBLASLT_REDUCTION_SCHEMES(X)
VK_CUBLASLT_PREFERENCES(X)
#undef X

_Static_assert(sizeof(cublasLtMatmulAlgo_t) == VK_CUBLASLT_ALGO_BYTES, "algo");
_Static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == VK_CUBLASLT_RESULT_BYTES, "result");
_Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize) == 64, "workspaceSize");
_Static_assert(offsetof(cublasLtMatmulHeuristicResult_t, state) == 72, "state");
