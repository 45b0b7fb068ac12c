/* op_fold.c - sum of every count-th row: y[i] = sum over k of x[k count + i], the gradient of op
 * tile. */
#include "nn/op.h"
#include "nn/simd.h"

enum { BLOCK = 64 }; /* terms summed before they join the others, as in op_sum_rows.c */

VK_OP_RUN(fold)
{
  const float *x = c->in[0].data;
  float *y = c->out[0].data;
  int64_t n = vk_shape_n_item(&c->out[0].shape), j, end;
  int64_t n_term = n ? vk_shape_n_item(&c->in[0].shape) / n : 0;
  vk_op_part(c, n, 16, &j, &end);
  for (; j < end; j += VK_LANES) {
    int n_lane = end - j < VK_LANES ? (int)(end - j) : VK_LANES;
    vf sum = vf_zero();
    for (int64_t k = 0; k < n_term; k += BLOCK) {
      vf part = vf_zero();
      for (int64_t i = k; i < k + BLOCK && i < n_term; i++)
        part += vf_load_n(x + i * n + j, n_lane);
      sum += part;
    }
    vf_store_n(y + j, sum, n_lane);
  }
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 2, err));
  int64_t r = c->attr->count, n = c->in[0]->shape.dim[0];
  vk_extent e = c->in[0]->extent;
  if (r <= 0 || n % r || (e.sym >= 0 && (e.per % r || e.plus % r)))
    return vk_op_fail(c, err, "rows must come in groups of %lld", (long long)r);
  vk_op_same(c, 0, 0);
  c->out[0].shape.dim[0] = r;
  c->out[0].extent = VK_NO_EXTENT;
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  int64_t n = vk_shape_n_item(&c->out[0].shape);
  double *y = c->out[0].data;
  for (int64_t k = 0; k < n; k++)
    y[k] = 0;
  for (int64_t k = 0; k < vk_shape_n_item(&c->in[0].shape); k++)
    y[k % n] += ((const double *)c->in[0].data)[k];
}

static void grad(vk_grad *c)
{
  const vk_value *x = &c->g->value[c->node->in[0]];
  c->dx[0] = VK_APPLY(c->g, tile, VK_IN(c->dy[0]), .sym = x->extent.sym, .per = x->extent.per,
                      .plus = x->extent.plus, .count = x->shape.dim[0] / c->node->attr.count);
}

static void example(vk_example *e)
{
  int r = (int)vk_example_int(e, 1, 9);
  vk_example_f32(e, vk_shape_of(2, r * (e->is_large ? 32 : (int)vk_example_int(e, 1, 90)),
                                e->is_large ? 256 : (int)vk_example_int(e, 1, 40)));
  e->attr.count = r;
}

const vk_op_def vk_op_fold = {
    .name = "fold",
    .help = "y[i] = sum of x[k count + i] over k: [count, d]",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .rtol = 1e-6,
    .atol = 2e-5,
    .tolerance = "sums of rows in float, in blocks",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
