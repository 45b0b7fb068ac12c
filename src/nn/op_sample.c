/* op_sample.c - a class drawn from softmax(scale x), scale being one over the temperature; with
 * count, from the count greatest logits (ties of the last stay). Row r of a group of rows inverts
 * the distribution at the first number of Philox stream r under the group's key, so a draw depends
 * on no other group. */
#include "nn/logits.h"

/* Key of group i: two words of the input, low first, or the attribute. */
VK_INLINE uint64_t key_of(const vk_op_call *c, int64_t i)
{
  const int32_t *seed = vk_op_optional(c, 1);
  return seed ? (uint32_t)seed[2 * i] | (uint64_t)(uint32_t)seed[2 * i + 1] << 32
              : (uint64_t)c->attr->seed;
}

/* Rows that share a key. */
VK_INLINE int64_t rows_of_key(const vk_op_call *c)
{
  int64_t n_row = vk_shape_n_row(&c->in[0].shape);
  int64_t n_key = vk_op_optional(c, 1) ? vk_shape_n_item(&c->in[1].shape) / 2 : 1;
  return n_key > 0 && n_row >= n_key ? n_row / n_key : 1;
}

VK_OP_RUN(sample)
{
  const float *x = c->in[0].data;
  int32_t *y = c->out[0].data;
  float scale = (float)vk_op_scale(c);
  int64_t n = vk_shape_last(&c->in[0].shape), per_key = rows_of_key(c), i, end;
  vk_op_part(c, vk_shape_n_row(&c->in[0].shape), 16, &i, &end);
  for (; i < end; i++) {
    vk_philox rng;
    vk_philox_init(&rng, key_of(c, i / per_key), (uint64_t)(i % per_key));
    float least = vk_logits_least(x + i * n, n, c->attr->count);
    y[i] = (int32_t)vk_logits_quantile(x + i * n, n, scale, least, vk_philox_double(&rng));
  }
}

#if VK_PATH_IS_BASE

#include "nn/logits_ref.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need_logits(c, 0, err));
  VK_TRY(vk_logits_check(c, err));
  vk_op_rows(c, 0, VK_I32, 0);
  if (!c->in[1])
    return VK_OK;
  VK_TRY(vk_op_need(c, 1, VK_I32, 0, err));
  const vk_value *seed = c->in[1], *x = c->in[0];
  int64_t n_key = vk_shape_n_item(&seed->shape) / 2;
  if (seed->shape.n_dim < 1 || vk_shape_last(&seed->shape) != 2 || n_key < 1 ||
      vk_shape_n_row(&x->shape) % n_key ||
      (n_key > 1 || seed->extent.sym >= 0 ? !vk_op_same_extent(seed, x) : false))
    return vk_op_fail(c, err,
                      "keys must be two words each, one for all rows or for groups of them");
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  int64_t n = vk_shape_last(&c->in[0].shape), per_key = rows_of_key(c);
  for (int64_t i = 0; i < vk_shape_n_row(&c->in[0].shape); i++) {
    const double *x = (const double *)c->in[0].data + i * n;
    double least = vk_logits_least_ref(x, n, c->attr->count);
    vk_philox rng;
    vk_philox_init(&rng, key_of(c, i / per_key), (uint64_t)(i % per_key));
    ((int32_t *)c->out[0].data)[i] =
        (int32_t)vk_logits_quantile_ref(x, n, vk_op_scale(c), least, vk_philox_double(&rng));
  }
}

/* 0: all, key an attribute; 1: temperature, one key; 2: the greatest half, a key for two rows */
static void example(vk_example *e)
{
  int n = vk_logits_example(e, false);
  e->attr.seed = vk_example_int(e, 0, INT32_MAX);
  e->attr.count = e->i_case == 2 ? (n + 1) / 2 : 0;
  if (e->i_case == 2)
    e->in[0].shape.dim[0] *= 2;
  if (e->i_case)
    vk_example_i32(
        e, e->i_case == 1 ? vk_shape_of(1, 2) : vk_shape_of(2, (int)e->in[0].shape.dim[0] / 2, 2),
        VK_EXAMPLE_RANDOM, INT32_MAX);
}

const vk_op_def vk_op_sample = {
    .name = "sample",
    .help = "i32 [rows] drawn from softmax(scale x) of logits x [rows, classes]; scale: 1 / "
            "temperature, 0 is 1; count > 0: of the count greatest; key: attribute seed, or input "
            "i32 [2], or [groups of rows, 2]",
    .n_in_min = 1,
    .n_in_max = 2,
    .n_out = 1,
    .flags = VK_OP_NO_GRAD,
    .n_case = 3,
    .tolerance = "integers; the reference's sums are doubles, so a draw on an edge may differ",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
