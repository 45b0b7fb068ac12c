/* op_log_prob.c - ln of the probability of an action under softmax(scale x), scale being one over
 * the temperature; with count, among the count greatest logits (ties of the last stay). */
#include "nn/logits.h"

VK_OP_RUN(log_prob)
{
  const float *x = c->in[0].data;
  const int32_t *action = c->in[1].data;
  float *logp = c->out[0].data, *lse = c->out[1].data, scale = (float)vk_op_scale(c);
  int64_t n = vk_shape_last(&c->in[0].shape), n_row = vk_shape_n_row(&c->in[0].shape), begin, end;
  vk_op_part(c, n_row, 16, &begin, &end);
  for (int64_t i = begin; i < end; i += VK_LANES) {
    int n_lane = end - i < VK_LANES ? (int)(end - i) : VK_LANES;
    vk_logits_lse(x + i * n, n_lane, n, scale, c->attr->count, lse + i);
  }
  for (int64_t i = begin; i < end; i++) {
    const float *row = x + i * n;
    bool is_class = action[i] >= 0 && action[i] < n;
    logp[i] = is_class && row[action[i]] >= vk_logits_least(row, n, c->attr->count)
                  ? scale * row[action[i]] - lse[i]
                  : -INFINITY;
  }
}

#if VK_PATH_IS_BASE

#include "nn/logits_ref.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need_logits(c, 0, err));
  VK_TRY(vk_op_need_row_items(c, 1, VK_I32, 0, err));
  VK_TRY(vk_logits_check(c, err));
  vk_op_rows(c, 0, VK_F32, 0);
  vk_op_rows(c, 1, VK_F32, 0);
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const double *x = c->in[0].data;
  double *logp = c->out[0].data, *lse = c->out[1].data;
  int64_t n = vk_shape_last(&c->in[0].shape);
  for (int64_t i = 0; i < vk_shape_n_row(&c->in[0].shape); i++) {
    double least = vk_logits_least_ref(x + i * n, n, c->attr->count);
    double a = x[i * n + ((const int32_t *)c->in[1].data)[i]];
    lse[i] = vk_logits_lse_ref(x + i * n, n, vk_op_scale(c), least);
    logp[i] = a >= least ? vk_op_scale(c) * a - lse[i] : -INFINITY;
  }
}

static void grad(vk_grad *c)
{
  const vk_node *n = c->node;
  c->dx[0] = VK_APPLY(c->g, log_prob_grad, VK_IN(c->dy[0], n->in[0], n->in[1], n->out[1]),
                      .scale = n->attr.scale, .count = n->attr.count);
}

static void example(vk_example *e)
{
  int n = vk_logits_example(e, false);
  vk_example_i32(e, vk_shape_of(1, (int)e->in[0].shape.dim[0]), VK_EXAMPLE_ROW, n);
}

const vk_op_def vk_op_log_prob = {
    .name = "log_prob",
    .help =
        "ln softmax(scale x)[action] and ln sum exp(scale x) of logits x [rows, classes], action "
        "i32 [rows]; scale: 1 / temperature, 0 is 1; count > 0: among the count greatest",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 2,
    .n_case = 2,
    .rtol = 2e-6,
    .atol = 2e-6,
    .tolerance = "exponentials summed and their logarithm in float",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
