/* op_argmax.c - the class with the greatest logit: of equal ones the first; NaN is not chosen while
 * there is anything else. */
#include "nn/logits.h"

VK_OP_RUN(argmax)
{
  const float *x = c->in[0].data;
  int32_t *y = c->out[0].data;
  int64_t n = vk_shape_last(&c->in[0].shape), i, end;
  vk_op_part(c, vk_shape_n_row(&c->in[0].shape), 16, &i, &end);
  for (; i < end; i++)
    y[i] = (int32_t)vk_logits_argmax(x + i * n, n);
}

#if VK_PATH_IS_BASE

#include "nn/logits_ref.h"

static void ref(const vk_op_call *c)
{
  int64_t n = vk_shape_last(&c->in[0].shape);
  for (int64_t i = 0; i < vk_shape_n_row(&c->in[0].shape); i++)
    ((int32_t *)c->out[0].data)[i] =
        (int32_t)vk_logits_argmax_ref((const double *)c->in[0].data + i * n, n);
}

const vk_op_def vk_op_argmax = {
    .name = "argmax",
    .help = "i32 [rows]: the first greatest of logits [rows, classes]; NaN only where all are",
    .n_in_min = 1,
    .n_in_max = 1,
    .n_out = 1,
    .flags = VK_OP_NO_GRAD,
    .tolerance = "integers",
    .infer = vk_logits_choice_infer,
    .ref = ref,
    .example = vk_logits_choice_example,
};

#endif
