/* op_log_prob_grad.c - dx = dy scale (1 at the action - softmax(scale x)): the gradient of
 * log_prob. Rows whose action does not count have none. */
#include "nn/logits.h"

VK_OP_RUN(log_prob_grad)
{
  const float *dy = c->in[0].data, *x = c->in[1].data, *lse = c->in[3].data;
  const int32_t *action = c->in[2].data;
  float *dx = c->out[0].data, scale = (float)vk_op_scale(c);
  int64_t n = vk_shape_last(&c->in[1].shape), i, end;
  vk_op_part(c, vk_shape_n_row(&c->in[1].shape), 1, &i, &end);
  for (; i < end; i++) {
    const float *row = x + i * n;
    float *drow = dx + i * n, g = dy[i] * scale, least = vk_logits_least(row, n, c->attr->count);
    if (g == 0 || action[i] < 0 || action[i] >= n || row[action[i]] < least) {
      memset(drow, 0, (size_t)n * sizeof *drow);
      continue;
    }
    for (int64_t j = 0; j < n; j += VK_LANES) {
      vf a = vk_logits_load(row, j, n), p = vf_exp(vf_fma(a, vf_set1(scale), vf_set1(-lse[i])));
      p = vf_select(vf_lt(a, vf_set1(least)), vf_zero(), p);
      vf_store_n(drow + j, vf_set1(-g) * p, n - j < VK_LANES ? (int)(n - j) : VK_LANES);
    }
    drow[action[i]] += g;
  }
}

#if VK_PATH_IS_BASE

#include "nn/logits_ref.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  return vk_logits_grad_infer(c, VK_I32, err);
}

static void ref(const vk_op_call *c)
{
  const double *dy = c->in[0].data, *x = c->in[1].data, *lse = c->in[3].data;
  const int32_t *action = c->in[2].data;
  double *dx = c->out[0].data, scale = vk_op_scale(c);
  int64_t n = vk_shape_last(&c->in[1].shape);
  for (int64_t i = 0; i < vk_shape_n_row(&c->in[1].shape); i++) {
    double least = vk_logits_least_ref(x + i * n, n, c->attr->count);
    bool is_out = x[i * n + action[i]] < least;
    for (int64_t j = 0; j < n; j++) {
      double p = x[i * n + j] < least ? 0 : exp(scale * x[i * n + j] - lse[i]);
      dx[i * n + j] = is_out ? 0 : dy[i] * scale * ((j == action[i]) - p);
    }
  }
}

static void example(vk_example *e)
{
  int n = vk_logits_example(e, true);
  vk_example_i32(e, e->in[0].shape, VK_EXAMPLE_ROW, n);
  vk_example_f32(e, e->in[0].shape);
  e->attr.count = e->i_case == 2 ? (n + 1) / 2 : 0;
}

const vk_op_def vk_op_log_prob_grad = {
    .name = "log_prob_grad",
    .help = "dx = dy scale (1 at the action - exp(scale x - lse)); inputs dy, x, action, lse",
    .n_in_min = 4,
    .n_in_max = 4,
    .n_out = 1,
    .in_place = 2,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .n_case = 3,
    .rtol = 2e-6,
    .atol = 2e-6,
    .tolerance = "exponential in float of a difference of floats",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
