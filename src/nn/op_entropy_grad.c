/* op_entropy_grad.c - dx = -dy scale p (ln p + H): the gradient of entropy. */
#include "nn/logits.h"

VK_OP_RUN(entropy_grad)
{
  const float *dy = c->in[0].data, *x = c->in[1].data, *entropy = c->in[2].data;
  const float *lse = c->in[3].data;
  float *dx = c->out[0].data, scale = (float)vk_op_scale(c);
  int64_t n = vk_shape_last(&c->in[1].shape), i, end;
  vk_op_part(c, vk_shape_n_row(&c->in[1].shape), 1, &i, &end);
  for (; i < end; i++) {
    const float *row = x + i * n;
    vf g = vf_set1(-dy[i] * scale), h = vf_set1(entropy[i]);
    vf least = vf_set1(vk_logits_least(row, n, c->attr->count));
    for (int64_t j = 0; j < n; j += VK_LANES) {
      vf a = vk_logits_load(row, j, n), logp = vf_fma(a, vf_set1(scale), vf_set1(-lse[i]));
      vf p = vf_exp(logp), d = g * p * (logp + h);
      d = vf_select(vm_or(vf_lt(a, least), vf_eq(p, vf_zero())), vf_zero(), d);
      vf_store_n(dx + i * n + j, d, n - j < VK_LANES ? (int)(n - j) : VK_LANES);
    }
  }
}

#if VK_PATH_IS_BASE

#include "nn/logits_ref.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  return vk_logits_grad_infer(c, VK_F32, err);
}

static void ref(const vk_op_call *c)
{
  const double *dy = c->in[0].data, *x = c->in[1].data, *entropy = c->in[2].data;
  const double *lse = c->in[3].data;
  double *dx = c->out[0].data, scale = vk_op_scale(c);
  int64_t n = vk_shape_last(&c->in[1].shape);
  for (int64_t i = 0; i < vk_shape_n_row(&c->in[1].shape); i++) {
    double least = vk_logits_least_ref(x + i * n, n, c->attr->count);
    for (int64_t j = 0; j < n; j++) {
      double logp = scale * x[i * n + j] - lse[i];
      dx[i * n + j] = x[i * n + j] < least || isinf(logp)
                          ? 0
                          : -dy[i] * scale * exp(logp) * (logp + entropy[i]);
    }
  }
}

static void example(vk_example *e)
{
  int n = vk_logits_example(e, true);
  vk_example_f32(e, e->in[0].shape);
  vk_example_f32(e, e->in[0].shape);
  e->attr.count = e->i_case == 2 ? (n + 1) / 2 : 0;
}

const vk_op_def vk_op_entropy_grad = {
    .name = "entropy_grad",
    .help = "dx = -dy scale p (ln p + H), p = exp(scale x - lse); inputs dy, x, H, lse",
    .n_in_min = 4,
    .n_in_max = 4,
    .n_out = 1,
    .in_place = 2,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .n_case = 3,
    .rtol = 2e-6,
    .atol = 1e-5,
    .tolerance =
        "exponential in float of a difference of floats; lse of the examples is random, so "
        "that p is far above 1",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
