/* op_bf16.h - for ops with products in bfloat16. Test: tests/unit/test_op_bf16.c */
#ifndef VK_NN_OP_BF16_H
#define VK_NN_OP_BF16_H

#include "nn/gemm_bf16.h"
#include "nn/op.h"

/* Factors are rounded. */
static inline bool vk_op_is_bf16(const vk_op_call *c)
{
  return c->attr->dtype == VK_BF16;
}

/* What isa and native of the attributes name. */
static inline const vk_gemm_bf16_path *vk_op_bf16_path(const vk_attrs *attr)
{
  const vk_cpu cpu = {.avx512_bf16 = attr->native != 0};
  return vk_gemm_bf16_path_of((vk_isa)attr->isa, &cpu);
}

/* Bytes of a part's scratch for products that it computes alone; 0 in f32. */
static inline size_t vk_op_bf16_scratch(const vk_op_call *c)
{
  return vk_op_is_bf16(c) ? vk_gemm_bf16_scratch_bytes(1) : 0;
}

#endif
