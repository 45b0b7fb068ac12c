/* op_copy.c - y = x, in memory of its own. With store bf16 (pass bf16, on a GPU) it is rounded:
 * weights, for all products by them. */
#include <string.h>

#include "nn/op_bf16.h"

VK_OP_RUN(copy)
{
  size_t size = vk_dtype_size(c->out[0].dtype);
  int64_t begin, end;
  vk_op_part(c, vk_shape_n_item(&c->out[0].shape), 1024, &begin, &end);
  if (end > begin)
    memcpy((char *)c->out[0].data + (size_t)begin * size,
           (const char *)c->in[0].data + (size_t)begin * size, (size_t)(end - begin) * size);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  vk_op_same(c, 0, 0);
  if (c->attr->store == VK_F32)
    return VK_OK;
  if (c->attr->isa != VK_PATH_GPU)
    return vk_op_fail(c, err, "only a GPU's copies are stored in another type");
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  return vk_op_store(c, err);
}

static void ref(const vk_op_call *c)
{
  memcpy(c->out[0].data, c->in[0].data,
         (size_t)vk_shape_n_item(&c->out[0].shape) * vk_dtype_size(c->out[0].dtype));
}

static void grad(vk_grad *c)
{
  c->dx[0] = c->dy[0];
}

static void example(vk_example *e)
{
  vk_example_f32(e, e->is_large ? vk_shape_of(2, 4448, 256)
                                : vk_shape_of(1, (int)vk_example_int(e, 1, 90)));
}

const vk_op_def vk_op_copy = {
    .name = "copy",
    .help = "y = x",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = VK_OP_EXACT | VK_OP_ANY_DTYPE,
    .tolerance = "exact",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
