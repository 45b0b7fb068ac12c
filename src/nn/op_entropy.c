/* op_entropy.c - the entropy of softmax(scale x) in nats; what has probability 0 adds nothing. */
#include "nn/logits.h"

VK_OP_RUN(entropy)
{
  const float *x = c->in[0].data;
  float *entropy = c->out[0].data, *lse = c->out[1].data, scale = (float)vk_op_scale(c);
  int64_t n = vk_shape_last(&c->in[0].shape), i, end;
  vk_op_part(c, vk_shape_n_row(&c->in[0].shape), 16, &i, &end);
  for (; i < end; i += VK_LANES) {
    int n_lane = end - i < VK_LANES ? (int)(end - i) : VK_LANES;
    float m[VK_LANES] = {0}, sum[VK_LANES] = {0}, sum_x[VK_LANES] = {0};
    for (int r = 0; r < n_lane; r++) {
      const float *row = x + (i + r) * n;
      m[r] = vk_logits_max(row, n);
      float least = vk_logits_least(row, n, c->attr->count);
      sum[r] = vk_logits_sum_exp(row, n, m[r], scale, least, &sum_x[r]);
    }
    vf log_sum = vf_log(vf_load(sum));
    vf_store_n(lse + i, vf_load(m) * vf_set1(scale) + log_sum, n_lane);
    vf_store_n(entropy + i, log_sum - vf_load(sum_x) / vf_load(sum), n_lane);
  }
}

#if VK_PATH_IS_BASE

#include "nn/logits_ref.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need_logits(c, 0, err));
  VK_TRY(vk_logits_check(c, err));
  vk_op_rows(c, 0, VK_F32, 0);
  vk_op_rows(c, 1, VK_F32, 0);
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const double *x = c->in[0].data;
  double *entropy = c->out[0].data, *lse = c->out[1].data;
  int64_t n = vk_shape_last(&c->in[0].shape);
  for (int64_t i = 0; i < vk_shape_n_row(&c->in[0].shape); i++) {
    double least = vk_logits_least_ref(x + i * n, n, c->attr->count);
    lse[i] = vk_logits_lse_ref(x + i * n, n, vk_op_scale(c), least);
    entropy[i] = 0;
    for (int64_t j = 0; j < n; j++) {
      double logp = vk_op_scale(c) * x[i * n + j] - lse[i];
      entropy[i] -= x[i * n + j] < least || isinf(logp) ? 0 : exp(logp) * logp;
    }
  }
}

static void grad(vk_grad *c)
{
  const vk_node *n = c->node;
  c->dx[0] = VK_APPLY(c->g, entropy_grad, VK_IN(c->dy[0], n->in[0], n->out[0], n->out[1]),
                      .scale = n->attr.scale, .count = n->attr.count);
}

static void example(vk_example *e)
{
  int n = vk_logits_example(e, false);
  e->attr.count = e->i_case == 2 ? (n + 1) / 2 : 0;
}

const vk_op_def vk_op_entropy = {
    .name = "entropy",
    .help =
        "-sum p ln p and ln sum exp(scale x), p = softmax(scale x), of logits x [rows, classes]; "
        "scale: 1 / temperature, 0 is 1; count > 0: among the count greatest",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 2,
    .n_case = 3,
    .rtol = 2e-6,
    .atol = 2e-6,
    .tolerance = "exponentials summed and their logarithm in float",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
