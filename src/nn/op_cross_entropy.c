/* op_cross_entropy.c - the weighted mean over rows of -sum_i q_i ln softmax(x)_i: q is the target
 * alone, or a bell of width sigma round it, normalised over the classes there are.
 * Source: Szegedy et al. 2016, arXiv:1512.00567 (soft labels). */
#include "nn/cross_entropy.h"

/* Of rows of this part, times their weights. */
static void row_losses(const vk_op_call *c, double *loss)
{
  const float *x = c->in[0].data, *weight = vk_op_optional(c, 2);
  const int32_t *target = c->in[1].data;
  float *lse = c->out[1].data;
  int64_t n = vk_shape_last(&c->in[0].shape), n_row = vk_shape_n_row(&c->in[0].shape), begin, end;
  vk_soft_label soft;
  vk_soft_init(&soft, c->attr->sigma);
  vk_op_part(c, n_row, 16, &begin, &end);
  for (int64_t i = begin; i < end; i += VK_LANES)
    vk_logits_lse(x + i * n, end - i < VK_LANES ? (int)(end - i) : VK_LANES, n, 1, 0, lse + i);
  for (int64_t i = begin; i < end; i++) {
    double w = vk_row_weight(c->attr, weight, target[i], n, i);
    loss[i] = 0;
    if (w == 0) /* an infinite loss that does not count is none */
      continue;
    float mean_x = x[i * n + target[i]];
    int64_t first, last;
    if (c->attr->sigma > 0)
      vk_soft_sum(&soft, x + i * n, n, target[i], &first, &last, &mean_x);
    loss[i] = w * (double)(lse[i] - mean_x);
  }
}

VK_OP_RUN(cross_entropy)
{
  double *loss = c->scratch;
  if (c->i_phase == 0) {
    row_losses(c, loss);
  } else if (c->i_part == 0) {
    int64_t n = vk_shape_last(&c->in[0].shape), n_row = vk_shape_n_row(&c->in[0].shape);
    double sum = 0, w = vk_row_weight_sum(c->attr, vk_op_optional(c, 2), c->in[1].data, n, n_row);
    for (int64_t i = 0; i < n_row; i++)
      sum += loss[i];
    *(float *)c->out[0].data = w == 0 ? 0 : (float)(sum / w);
  }
}

#if VK_PATH_IS_BASE

#include "nn/op_rows.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need_logits(c, 0, err));
  VK_TRY(vk_op_need_row_items(c, 1, VK_I32, 0, err));
  if (c->in[2])
    VK_TRY(vk_op_need_row_items(c, 2, VK_F32, 0, err));
  if (!(c->attr->sigma >= 0 && c->attr->sigma <= VK_SOFT_SIGMA_MAX))
    return vk_op_fail(c, err, "sigma is %g, and must be from 0 to %d bins", c->attr->sigma,
                      VK_SOFT_SIGMA_MAX);
  if (c->attr->count < 0)
    return vk_op_fail(c, err, "count is %lld", (long long)c->attr->count);
  vk_op_scalar(c, 0);
  vk_op_rows(c, 1, VK_F32, 0);
  return VK_OK;
}

static size_t scratch(const vk_op_call *c)
{
  return (size_t)vk_shape_n_row(&c->in[0].shape) * sizeof(double);
}

static double lse_of(const double *x, int64_t n)
{
  double m = -INFINITY, sum = 0;
  for (int64_t j = 0; j < n; j++)
    m = fmax(m, x[j]);
  for (int64_t j = 0; j < n; j++)
    sum += exp(x[j] - m);
  return m + log(sum);
}

static void ref(const vk_op_call *c)
{
  const double *x = c->in[0].data, *weight = vk_op_optional(c, 2);
  const int32_t *target = c->in[1].data;
  double *lse = c->out[1].data, sum = 0, sum_w = 0, sigma = c->attr->sigma;
  int64_t n = vk_shape_last(&c->in[0].shape);
  for (int64_t i = 0; i < vk_shape_n_row(&c->in[0].shape); i++) {
    double q_x = 0, q = 0, w = weight ? weight[i] : 1;
    lse[i] = lse_of(x + i * n, n);
    if (target[i] < 0 || target[i] >= n)
      continue;
    if (c->attr->count && (i + 1) % c->attr->count == 0)
      w *= c->attr->weight;
    for (int64_t j = 0; j < n; j++) {
      double d = (double)(j - target[i]);
      double label = sigma > 0 ? exp(-d * d / (2 * sigma * sigma)) : j == target[i];
      q += label;
      q_x += label * x[i * n + j];
    }
    sum += w * (lse[i] - q_x / q);
    sum_w += w;
  }
  *(double *)c->out[0].data = sum_w == 0 ? 0 : sum / sum_w;
}

static void grad(vk_grad *c)
{
  const vk_node *n = c->node;
  c->dx[0] =
      VK_APPLY(c->g, cross_entropy_grad,
               VK_IN(c->dy[0], n->in[0], n->in[1], n->out[1], n->n_in > 2 ? n->in[2] : VK_NONE),
               .sigma = n->attr.sigma, .count = n->attr.count, .weight = n->attr.weight);
}

/* 0: hard; 1: soft, every third row has another weight; 2: hard, weights; 3: soft, weights, and
 * rows that do not count */
static void example(vk_example *e)
{
  int m = e->is_large ? 1792 : (int)vk_example_int(e, 1, 37);
  int n = e->is_large ? 256 : (int)vk_example_int(e, 1, 70);
  vk_example_f32(e, vk_shape_of(2, m, n));
  vk_example_i32(e, vk_shape_of(1, m), VK_EXAMPLE_ROW, n + (e->i_case == 3));
  if (e->i_case >= 2) {
    vk_example_f32(e, vk_shape_of(1, m));
    e->in[2].fill = VK_EXAMPLE_POSITIVE;
  }
  e->attr.sigma = e->i_case == 1 ? 1.5 : e->i_case == 3 ? 0.4 : 0;
  if (e->i_case == 1) {
    e->attr.count = 3;
    e->attr.weight = 2;
  }
}

const vk_op_def vk_op_cross_entropy = {
    .name = "cross_entropy",
    .help = "loss [1] and ln sum exp [rows] of logits [rows, classes], target i32 [rows], weight "
            "[rows]; sigma > 0: soft labels; the last of every count rows weighs `weight` times as "
            "much; a target that is no class: the row does not count",
    .n_in_min = 2,
    .n_in_max = 3,
    .n_out = 2,
    .data_in = 1 << 2,
    .n_phase = 2,
    .n_case = 4,
    .rtol = 2e-6,
    .atol = 2e-6,
    .tolerance = "exponentials summed and their logarithm in float, the difference of two logits",
    .infer = infer,
    .scratch = scratch,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
