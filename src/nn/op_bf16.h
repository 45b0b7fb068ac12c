/* op_bf16.h - for ops with products in bfloat16, and those whose output 0 may be stored in it.
 * Test: tests/unit/test_op_bf16.c */
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

/* Items [at, at + n) of output 0, which is bf16: x, rounded as products do that read it. */
static inline void vk_op_store_bf16(const vk_op_call *c, int64_t at, int64_t n, const float *x)
{
  vk_op_bf16_path(c->attr)->round(x, n, (uint16_t *)c->out[0].data + at);
}

/* Shape rule: input i is f32 or, where factors are rounded, bf16. */
VK_NODISCARD static inline vk_status vk_op_need_factor(const vk_infer *c, int i, int n_dim,
                                                       vk_err *err)
{
  bool is_rounded = c->attr->dtype == VK_BF16 && c->in[i]->dtype == VK_BF16;
  return vk_op_need(c, i, is_rounded ? VK_BF16 : VK_F32, n_dim, err);
}

/* Shape rule: output 0 is of the dtype that the attribute store says. */
VK_NODISCARD static inline vk_status vk_op_store(const vk_infer *c, vk_err *err)
{
  if (c->attr->store != VK_F32 && (c->attr->store != VK_BF16 || c->attr->isa > VK_PATH_GPU))
    return vk_op_fail(c, err, "output 0 is stored in f32, or in bf16 as a path (isa) rounds");
  c->out[0].dtype = (vk_dtype)c->attr->store;
  return VK_OK;
}

#endif
