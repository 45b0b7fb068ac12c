/* op_affine.c - y = scale * x + shift; x may be u8 (pictures) or f32. */
#include "nn/op.h"
#include "nn/simd.h"

VK_OP_RUN(affine)
{
  float *y = c->out[0].data;
  int64_t i, end;
  vk_op_part(c, vk_shape_n_item(&c->out[0].shape), 1024, &i, &end);
  float scale = (float)c->attr->scale, shift = (float)c->attr->shift;
  if (c->in[0].dtype == VK_U8) {
    const uint8_t *x = c->in[0].data;
    for (; i < end; i++)
      y[i] = scale * (float)x[i] + shift;
    return;
  }
  const float *x = c->in[0].data;
  for (; i + VK_LANES <= end; i += VK_LANES)
    vf_store(y + i, vf_fma(vf_set1(scale), vf_load(x + i), vf_set1(shift)));
  int n = (int)(end - i);
  if (n > 0)
    vf_store_n(y + i, vf_fma(vf_set1(scale), vf_load_n(x + i, n), vf_set1(shift)), n);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  if (c->in[0]->dtype != VK_U8)
    VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  if (c->attr->scale == 0)
    return vk_op_fail(c, err, "scale is 0 or was not given");
  vk_op_same(c, 0, 0);
  c->out[0].dtype = VK_F32;
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  double *y = c->out[0].data;
  for (int64_t i = 0; i < vk_shape_n_item(&c->out[0].shape); i++) {
    double x = c->in[0].dtype == VK_U8 ? ((const uint8_t *)c->in[0].data)[i]
                                       : ((const double *)c->in[0].data)[i];
    y[i] = c->attr->scale * x + c->attr->shift;
  }
}

static void grad(vk_grad *c)
{
  c->dx[0] = VK_APPLY(c->g, affine, VK_IN(c->dy[0]), .scale = c->node->attr.scale);
}

static void example(vk_example *e)
{
  vk_shape s = e->is_large
                   ? vk_shape_of(4, 64, 128, 128, 3)
                   : vk_shape_of(3, (int)vk_example_int(e, 1, 5), 3, (int)vk_example_int(e, 1, 40));
  e->attr.scale = 1 / 127.5;
  e->attr.shift = -1;
  if (e->i_case)
    vk_example_f32(e, s);
  else
    vk_example_u8(e, s);
}

const vk_op_def vk_op_affine = {
    .name = "affine",
    .help = "y = scale * x + shift; x is f32 or u8",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .n_case = 2,
    .rtol = 2e-7,
    .atol = 2e-7,
    .tolerance = "two roundings",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
