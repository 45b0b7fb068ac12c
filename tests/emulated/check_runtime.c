/* check_runtime.c - that include/cuda_runtime.h has the values, types and fields of the toolkit's
 * header, which this is compiled against: check_toolkit.sh. */
#include <cuda_runtime_api.h>
#include <stddef.h>

#include "include/cuda_values.h"

#include "include/cuda_functions.h"

#define X(name, value, what) _Static_assert(name == value, #name);
VK_CUDA_ERRORS(X)
#undef X
#define X(name, value) _Static_assert(name == value, #name);
VK_CUDA_MEMCPY_KIND(X)
VK_CUDA_STREAM_CAPTURE_MODE(X)
VK_CUDA_STREAM_CAPTURE_STATUS(X)
VK_CUDA_DEVICE_ATTR(X)
VK_CUDA_FUNC_ATTRIBUTE(X)
VK_CUDA_GRAPH_EXEC_UPDATE_RESULT(X)
VK_CUDA_FLAGS(X)
#undef X

/* As include/cuda_runtime.h declares them. */
static inline void fields(const struct cudaDeviceProp *p, const cudaGraphExecUpdateResultInfo *i)
{
  const size_t *sizes[] = {&p->totalGlobalMem, &p->sharedMemPerBlock, &p->sharedMemPerBlockOptin,
                           &p->sharedMemPerMultiprocessor};
  const int *numbers[] = {&p->major,
                          &p->minor,
                          &p->multiProcessorCount,
                          &p->warpSize,
                          &p->maxThreadsPerBlock,
                          &p->regsPerBlock,
                          &p->l2CacheSize,
                          &p->integrated,
                          &p->pageableMemoryAccess,
                          &p->unifiedAddressing};
  const enum cudaGraphExecUpdateResult *result = &i->result;
  const cudaGraphNode_t *node[] = {&i->errorNode, &i->errorFromNode};
  (void)sizes, (void)numbers, (void)result, (void)node;
}
_Static_assert(sizeof(((struct cudaDeviceProp *)0)->name) == 256, "name");
_Static_assert(sizeof(dim3) == 3 * sizeof(unsigned) && sizeof(uint3) == sizeof(dim3), "dim3");
void check_runtime(void);
void check_runtime(void)
{
  fields(NULL, NULL);
}
