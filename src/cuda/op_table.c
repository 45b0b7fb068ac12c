/* op_table.c - the ops of op_list.h. */
#include <stddef.h>

#include "cuda/op.h"

static const vk_cuda_op table[] = {
#define VK_CUDA_OP(name)         {&vk_op_##name, vk_cuda_run_##name, NULL},
#define VK_CUDA_OP_SCRATCH(name) {&vk_op_##name, vk_cuda_run_##name, vk_cuda_scratch_##name},
#include "cuda/op_list.h"
#undef VK_CUDA_OP
#undef VK_CUDA_OP_SCRATCH
};

const vk_cuda_op *vk_cuda_op_find(const vk_op_def *op)
{
  for (size_t i = 0; i < VK_COUNT(table); i++)
    if (table[i].op == op)
      return &table[i];
  return NULL;
}
