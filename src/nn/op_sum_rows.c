/* op_sum_rows.c - y[j] = sum over rows of x[i, j]: gradients of biases. */
#include "nn/op.h"
#include "nn/simd.h"

/* Rows summed before they join the others: the error grows with their number and that of the
 * blocks, not with the product of both. */
enum { BLOCK = 64 };

VK_OP_RUN(sum_rows)
{
  const float *x = c->in[0].data;
  float *y = c->out[0].data;
  int64_t n = vk_shape_last(&c->in[0].shape), m = vk_shape_n_row(&c->in[0].shape), j, end;
  vk_op_part(c, n, 16, &j, &end);
  for (; j < end; j += VK_LANES) {
    int n_lane = end - j < VK_LANES ? (int)(end - j) : VK_LANES;
    vf sum = vf_zero();
    for (int64_t i = 0; i < m; i += BLOCK) {
      vf part = vf_zero();
      for (int64_t r = i; r < i + BLOCK && r < m; r++)
        part += n_lane == VK_LANES ? vf_load(x + r * n + j) : vf_load_n(x + r * n + j, n_lane);
      sum += part;
    }
    vf_store_n(y + j, sum, n_lane);
  }
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  const vk_value *x = c->in[0];
  if (x->shape.n_dim < 1 || (x->shape.n_dim == 1 && x->extent.sym >= 0))
    return vk_op_fail(c, err, "input 0 must have rows, of one length in all runs");
  c->out[0].dtype = VK_F32;
  c->out[0].shape = vk_shape_of(1, (int)vk_shape_last(&x->shape));
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const double *x = c->in[0].data;
  double *y = c->out[0].data;
  int64_t n = vk_shape_last(&c->in[0].shape);
  for (int64_t j = 0; j < n; j++)
    y[j] = 0;
  for (int64_t i = 0; i < vk_shape_n_item(&c->in[0].shape); i++)
    y[i % n] += x[i];
}

static void example(vk_example *e)
{
  vk_example_f32(e, e->is_large ? vk_shape_of(2, 4448, 256)
                                : vk_shape_of(2, (int)vk_example_int(e, 1, 150),
                                              (int)vk_example_int(e, 1, 40)));
}

const vk_op_def vk_op_sum_rows = {
    .name = "sum_rows",
    .help = "y[j] = sum_i x[i, j]",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .rtol = 1e-6,
    .atol = 2e-5,
    .tolerance = "sum of rows in float, in blocks",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
