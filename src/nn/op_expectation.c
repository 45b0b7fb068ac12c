/* op_expectation.c - the mean class under softmax(x) of classes within count of the greatest. */
#include "nn/logits.h"

VK_OP_RUN(expectation)
{
  const float *x = c->in[0].data;
  float *y = c->out[0].data;
  int64_t n = vk_shape_last(&c->in[0].shape), reach = c->attr->count, i, end;
  vk_op_part(c, vk_shape_n_row(&c->in[0].shape), 16, &i, &end);
  for (; i < end; i++) {
    const float *row = x + i * n;
    int64_t best = vk_logits_argmax(row, n), first = best > reach ? best - reach : 0;
    int64_t last = n - best > reach ? best + reach : n - 1;
    float sum = 0, sum_d = 0, e[VK_LANES];
    for (int64_t j = first; j <= last; j += VK_LANES) {
      vf_store(e, vk_logits_exp(vk_logits_load(row, j, last + 1), row[best], 1, -INFINITY));
      for (int64_t k = 0; k < VK_LANES && j + k <= last; k++) {
        sum += e[k];
        sum_d += e[k] * (float)(j + k - best);
      }
    }
    y[i] = (float)best + sum_d / sum;
  }
}

#if VK_PATH_IS_BASE

#include "nn/logits_ref.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need_logits(c, 0, err));
  VK_TRY(vk_logits_check(c, err));
  vk_op_rows(c, 0, VK_F32, 0);
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  int64_t n = vk_shape_last(&c->in[0].shape);
  for (int64_t i = 0; i < vk_shape_n_row(&c->in[0].shape); i++) {
    const double *x = (const double *)c->in[0].data + i * n;
    int64_t best = vk_logits_argmax_ref(x, n);
    double sum = 0, sum_j = 0;
    for (int64_t j = 0; j < n; j++) {
      double p = llabs(j - best) > c->attr->count ? 0 : exp(x[j] - x[best]);
      sum += p;
      sum_j += p * (double)j;
    }
    ((double *)c->out[0].data)[i] = sum_j / sum;
  }
}

static void example(vk_example *e)
{
  vk_logits_example(e, false);
  e->attr.count = e->i_case == 1 ? 20 : 2;
}

const vk_op_def vk_op_expectation = {
    .name = "expectation",
    .help = "f32 [rows]: the mean class under softmax of logits [rows, classes], of those within "
            "count of the greatest",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = VK_OP_NO_GRAD,
    .n_case = 2,
    .rtol = 1e-6,
    .atol = 2e-6,
    .tolerance = "exponentials and their sums in float",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
