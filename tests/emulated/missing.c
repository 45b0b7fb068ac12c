/* missing.c - stands in for kernels that are not written: they are not supported. */
#include "cuda/op.h"

#define VK_CUDA_OP(name)                                                                           \
  __attribute__((weak)) cudaError_t vk_cuda_run_##name(const vk_cuda_call *c)                      \
  {                                                                                                \
    return cudaErrorNotSupported;                                                                  \
  }
#define VK_CUDA_OP_SCRATCH(name)                                                                   \
  VK_CUDA_OP(name)                                                                                 \
  __attribute__((weak)) size_t vk_cuda_scratch_##name(const vk_op_call *op)                        \
  {                                                                                                \
    return 0;                                                                                      \
  }
#include "cuda/op_list.h"
