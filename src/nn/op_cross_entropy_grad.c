/* op_cross_entropy_grad.c - dx = dloss w / sum w (softmax(x) - q): cross_entropy's gradient. */
#include "nn/cross_entropy.h"

VK_OP_RUN(cross_entropy_grad)
{
  const float *x = c->in[1].data, *lse = c->in[3].data, *weight = vk_op_optional(c, 4);
  const int32_t *target = c->in[2].data;
  float *dx = c->out[0].data;
  int64_t n = vk_shape_last(&c->in[1].shape), n_row = vk_shape_n_row(&c->in[1].shape), i, end;
  vk_soft_label soft;
  vk_soft_init(&soft, c->attr->sigma);
  double sum_w = vk_row_weight_sum(c->attr, weight, target, n, n_row);
  double dloss = sum_w == 0 ? 0 : *(const float *)c->in[0].data / sum_w;
  vk_op_part(c, n_row, 1, &i, &end);
  for (; i < end; i++) {
    const float *row = x + i * n;
    float *drow = dx + i * n, g = (float)(dloss * vk_row_weight(c->attr, weight, target[i], n, i));
    if (g == 0) {
      memset(drow, 0, (size_t)n * sizeof *drow);
      continue;
    }
    vf shift = vf_set1(lse[i]), vg = vf_set1(g);
    int64_t j = 0;
    for (; j + VK_LANES <= n; j += VK_LANES)
      vf_store(drow + j, vg * vf_exp(vf_load(row + j) - shift));
    if (j < n)
      vf_store_n(drow + j, vg * vf_exp(vf_load_n(row + j, (int)(n - j)) - shift), (int)(n - j));
    if (c->attr->sigma == 0) {
      drow[target[i]] -= g;
      continue;
    }
    int64_t first, last;
    vf per = vf_set1(g / vk_soft_sum(&soft, NULL, n, target[i], &first, &last, NULL));
    for (j = first; j < last; j += VK_LANES) {
      int n_lane = last - j < VK_LANES ? (int)(last - j) : VK_LANES;
      vf q = vf_load_n(soft.bell + soft.reach + j - target[i], n_lane);
      vf_store_n(drow + j, vf_load_n(drow + j, n_lane) - per * q, n_lane);
    }
  }
}

#if VK_PATH_IS_BASE

#include "nn/op_rows.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need_scalar(c, 0, err));
  VK_TRY(vk_op_need_logits(c, 1, err));
  VK_TRY(vk_op_need_row_items(c, 2, VK_I32, 1, err));
  VK_TRY(vk_op_need_row_items(c, 3, VK_F32, 1, err));
  if (c->in[4])
    VK_TRY(vk_op_need_row_items(c, 4, VK_F32, 1, err));
  if (!(c->attr->sigma >= 0 && c->attr->sigma <= VK_SOFT_SIGMA_MAX))
    return vk_op_fail(c, err, "sigma is %g, and must be from 0 to %d bins", c->attr->sigma,
                      VK_SOFT_SIGMA_MAX);
  vk_op_same(c, 0, 1);
  return VK_OK;
}

static double weight_of(const vk_op_call *c, int64_t i)
{
  const double *weight = vk_op_optional(c, 4);
  int32_t target = ((const int32_t *)c->in[2].data)[i];
  if (target < 0 || target >= vk_shape_last(&c->in[1].shape))
    return 0;
  double w = weight ? weight[i] : 1;
  return c->attr->count && (i + 1) % c->attr->count == 0 ? w * c->attr->weight : w;
}

static void ref(const vk_op_call *c)
{
  const double *x = c->in[1].data, *lse = c->in[3].data;
  const int32_t *target = c->in[2].data;
  double *dx = c->out[0].data, sum_w = 0, sigma = c->attr->sigma;
  int64_t n = vk_shape_last(&c->in[1].shape), n_row = vk_shape_n_row(&c->in[1].shape);
  for (int64_t i = 0; i < n_row; i++)
    sum_w += weight_of(c, i);
  for (int64_t i = 0; i < n_row; i++) {
    double w = weight_of(c, i), q_sum = 0;
    double g = w == 0 ? 0 : *(const double *)c->in[0].data * w / sum_w;
    for (int pass = 0; pass < 2; pass++)
      for (int64_t j = 0; j < n; j++) {
        double d = (double)(j - target[i]);
        double q = sigma > 0 ? exp(-d * d / (2 * sigma * sigma)) : j == target[i];
        if (pass == 0)
          q_sum += q;
        else
          dx[i * n + j] = w == 0 ? 0 : g * (exp(x[i * n + j] - lse[i]) - q / q_sum);
      }
  }
}

static void example(vk_example *e)
{
  int m = e->is_large ? 1792 : (int)vk_example_int(e, 1, 37);
  int n = e->is_large ? 256 : (int)vk_example_int(e, 1, 70);
  vk_example_f32(e, vk_shape_of(1, 1));
  vk_example_f32(e, vk_shape_of(2, m, n));
  vk_example_i32(e, vk_shape_of(1, m), VK_EXAMPLE_ROW, n + (e->i_case == 3));
  vk_example_f32(e, vk_shape_of(1, m));
  if (e->i_case >= 2) {
    vk_example_f32(e, vk_shape_of(1, m));
    e->in[4].fill = VK_EXAMPLE_POSITIVE;
  }
  e->attr.sigma = e->i_case == 1 ? 1.5 : e->i_case == 3 ? 0.4 : 0;
  if (e->i_case == 1) {
    e->attr.count = 3;
    e->attr.weight = 2;
  }
}

const vk_op_def vk_op_cross_entropy_grad = {
    .name = "cross_entropy_grad",
    .help = "dx = dloss w / sum w (exp(x - lse) - q); inputs dloss [1], x, target, lse, weight",
    .n_in_min = 4,
    .n_in_max = 5,
    .n_out = 1,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .in_place = 2,
    .n_case = 4,
    .rtol = 2e-6,
    .atol = 1e-6,
    .tolerance = "exponential in float of a difference of floats",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
