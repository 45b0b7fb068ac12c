/* op_bag.c - mean of the rows of a table that each bag names; zeros for an empty bag. Words are
 * bags of hashed character n-grams. */
#include "nn/op.h"
#include "nn/rows.h"

VK_OP_RUN(bag)
{
  const int32_t *id = c->in[0].data, *offset = c->in[1].data;
  const float *table = c->in[2].data;
  int64_t d = vk_shape_last(&c->in[2].shape), n_row = c->in[2].shape.dim[0], w, end;
  vk_op_part(c, c->out[0].shape.dim[0], 4, &w, &end);
  for (; w < end; w++) {
    int32_t first = offset[w], last = offset[w + 1];
    VK_ASSERT(first >= 0 && first <= last && last <= c->in[0].shape.dim[0]);
    float *y = (float *)c->out[0].data + w * d;
    float scale = last > first ? 1.0f / (float)(last - first) : 0;
    for (int32_t k = first; k < last; k++)
      VK_ASSERT(id[k] >= 0 && id[k] < n_row);
    for (int64_t j = 0; j < d; j += 4 * VK_LANES) {
      vf s[4] = {vf_zero(), vf_zero(), vf_zero(), vf_zero()};
      if (j + 4 * VK_LANES <= d) {
        for (int32_t k = first; k < last; k++)
#pragma GCC unroll 4
          for (int v = 0; v < 4; v++)
            s[v] += vf_load(table + id[k] * d + j + v * VK_LANES);
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++)
          vf_store(y + j + v * VK_LANES, s[v] * vf_set1(scale));
        continue;
      }
      for (int64_t i = j; i < d; i += VK_LANES) {
        int n = d - i < VK_LANES ? (int)(d - i) : VK_LANES;
        vf sum = vf_zero();
        for (int32_t k = first; k < last; k++)
          sum += vf_load_n(table + id[k] * d + i, n);
        vf_store_n(y + i, sum * vf_set1(scale), n);
      }
    }
  }
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_I32, 1, err));
  VK_TRY(vk_op_need(c, 1, VK_I32, 1, err));
  VK_TRY(vk_op_need(c, 2, VK_F32, 2, err));
  VK_TRY(vk_op_need_fixed(c, 2, err));
  const vk_value *offset = c->in[1];
  if (offset->shape.dim[0] < 1)
    return vk_op_fail(c, err, "offsets are one more than bags");
  c->out[0].dtype = VK_F32;
  c->out[0].shape = c->in[2]->shape;
  c->out[0].shape.dim[0] = offset->shape.dim[0] - 1;
  c->out[0].extent = offset->extent;
  if (offset->extent.sym >= 0)
    c->out[0].extent.plus--;
  return VK_OK;
}

/* Rows of the table are read once an id. */
static void cost(const vk_op_call *c, vk_cost *cost)
{
  double n = (double)c->in[0].shape.dim[0], d = (double)vk_shape_last(&c->in[2].shape);
  cost->bytes = n * (4 + 4 * d) + (double)c->out[0].shape.dim[0] * (4 + 4 * d);
}

static void ref(const vk_op_call *c)
{
  const int32_t *id = c->in[0].data, *offset = c->in[1].data;
  const double *table = c->in[2].data;
  double *y = c->out[0].data;
  int64_t d = vk_shape_last(&c->in[2].shape);
  for (int64_t w = 0; w < c->out[0].shape.dim[0]; w++)
    for (int64_t j = 0; j < d; j++) {
      double sum = 0;
      for (int32_t k = offset[w]; k < offset[w + 1]; k++)
        sum += table[id[k] * d + j];
      y[w * d + j] = offset[w + 1] > offset[w] ? sum / (offset[w + 1] - offset[w]) : 0;
    }
}

static void grad(vk_grad *c)
{
  const vk_node *n = c->node;
  c->dx[2] = VK_APPLY(c->g, bag_grad, VK_IN(n->in[0], n->in[1], c->dy[0]),
                      .count = c->g->value[n->in[2]].shape.dim[0]);
}

static void example(vk_example *e)
{
  int n_word = e->is_large ? 320 : (int)vk_example_int(e, 1, 20);
  int n_id = e->is_large ? 5000 : (int)vk_example_int(e, 0, 60);
  int n_row = e->is_large ? 4096 : (int)vk_example_int(e, 1, 40);
  vk_example_i32(e, vk_shape_of(1, n_id), VK_EXAMPLE_ROW, n_row);
  vk_example_i32(e, vk_shape_of(1, n_word + 1), VK_EXAMPLE_SEGMENTS, n_id);
  vk_example_f32(e, vk_shape_of(2, n_row, e->is_large ? 64 : (int)vk_example_int(e, 1, 90)));
}

const vk_op_def vk_op_bag = {
    .name = "bag",
    .help = "y[w] = mean of table rows id[k], offset[w] <= k < offset[w + 1]; inputs id, offset, "
            "table",
    .n_in_min = 3,
    .n_in_max = 3,
    .n_out = 1,
    .rtol = 1e-6,
    .atol = 1e-6,
    .tolerance = "sums of up to 60 rows in float",
    .infer = infer,
    .cost = cost,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
