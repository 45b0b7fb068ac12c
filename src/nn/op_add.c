/* op_add.c - y = a + scale * b. */
#include "nn/op.h"
#include "nn/simd.h"

VK_OP_RUN(add)
{
  const float *a = c->in[0].data, *b = c->in[1].data;
  float *y = c->out[0].data;
  int64_t i, end;
  vk_op_part(c, vk_shape_n_item(&c->out[0].shape), 1024, &i, &end);
  vf scale = vf_set1((float)c->attr->scale);
  for (; i + VK_LANES <= end; i += VK_LANES)
    vf_store(y + i, vf_fma(scale, vf_load(b + i), vf_load(a + i)));
  int n = (int)(end - i);
  if (n > 0)
    vf_store_n(y + i, vf_fma(scale, vf_load_n(b + i, n), vf_load_n(a + i, n)), n);
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  VK_TRY(vk_op_need_alike(c, 0, 1, err));
  if (c->attr->scale == 0)
    return vk_op_fail(c, err, "scale is 0 or was not given; a sum has 1");
  vk_op_same(c, 0, 0);
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const double *a = c->in[0].data, *b = c->in[1].data;
  double *y = c->out[0].data;
  for (int64_t i = 0; i < vk_shape_n_item(&c->out[0].shape); i++)
    y[i] = a[i] + c->attr->scale * b[i];
}

static void grad(vk_grad *c)
{
  c->dx[0] = c->dy[0];
  if (!c->need[1])
    return;
  c->dx[1] = c->node->attr.scale == 1
                 ? c->dy[0]
                 : VK_APPLY(c->g, affine, VK_IN(c->dy[0]), .scale = c->node->attr.scale);
}

static void example(vk_example *e)
{
  vk_shape s = e->is_large
                   ? vk_shape_of(2, 4448, 256)
                   : vk_shape_of(2, (int)vk_example_int(e, 1, 9), (int)vk_example_int(e, 1, 40));
  e->attr.scale = e->i_case ? -0.75 : 1;
  vk_example_f32(e, s);
  vk_example_f32(e, s);
}

const vk_op_def vk_op_add = {
    .name = "add",
    .help = "y = a + scale * b",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .in_place = 1,
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
