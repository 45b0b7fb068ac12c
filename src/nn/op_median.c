/* op_median.c - the median of softmax(x) over ordered classes: the first up to which probabilities
 * add up to more than a half. Where the greatest is one of several modes, the median still says on
 * which side of it most of the probability lies. */
#include "nn/logits.h"

VK_OP_RUN(median)
{
  const float *x = c->in[0].data;
  int32_t *y = c->out[0].data;
  int64_t n = vk_shape_last(&c->in[0].shape), i, end;
  vk_op_part(c, vk_shape_n_row(&c->in[0].shape), 16, &i, &end);
  for (; i < end; i++)
    y[i] = (int32_t)vk_logits_quantile(x + i * n, n, 1, -INFINITY, 0.5);
}

#if VK_PATH_IS_BASE

#include "nn/logits_ref.h"

static void ref(const vk_op_call *c)
{
  int64_t n = vk_shape_last(&c->in[0].shape);
  for (int64_t i = 0; i < vk_shape_n_row(&c->in[0].shape); i++)
    ((int32_t *)c->out[0].data)[i] = (int32_t)vk_logits_quantile_ref(
        (const double *)c->in[0].data + i * n, n, 1, -INFINITY, 0.5);
}

const vk_op_def vk_op_median = {
    .name = "median",
    .help = "i32 [rows]: the median class under softmax of logits [rows, classes]",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = VK_OP_NO_GRAD,
    .tolerance = "integers; the reference's sums are doubles, so a sum of a half may differ",
    .infer = vk_logits_choice_infer,
    .ref = ref,
    .example = vk_logits_choice_example,
};

#endif
