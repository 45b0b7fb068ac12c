/* op_bag_grad.c - gradient of op bag by its table: row r gets dy[w] / n_w of every id[k] = r, in
 * rising order of k; the other rows zeros. */
#include "nn/op.h"
#include "nn/rows.h"

/* Lists of the k of each row, as in op_pick_grad.c: head[r], next[k], and the bag of k. */
VK_OP_RUN(bag_grad)
{
  const int32_t *id = c->in[0].data, *offset = c->in[1].data;
  const float *dy = c->in[2].data;
  int64_t n_id = c->in[0].shape.dim[0], n_row = c->out[0].shape.dim[0], begin, end;
  int64_t d = vk_shape_last(&c->out[0].shape), n_word = c->in[2].shape.dim[0];
  int32_t *next = c->scratch, *bag = next + n_id, *head = bag + n_id;
  vk_op_part(c, n_row, 16, &begin, &end);
  for (int64_t r = begin; r < end; r++)
    head[r] = -1;
  for (int64_t w = n_word - 1; w >= 0; w--)
    for (int32_t k = offset[w + 1] - 1; k >= offset[w]; k--) {
      int64_t r = id[k];
      if (r < begin || r >= end)
        continue;
      next[k] = head[r];
      head[r] = k;
      bag[k] = (int32_t)w;
    }
  for (int64_t r = begin; r < end; r++) {
    float *dx = (float *)c->out[0].data + r * d;
    int32_t k = head[r];
    row_zero(d, dx);
    for (; k >= 0; k = next[k]) {
      int32_t w = bag[k];
      row_add_scaled(d, 1.0f / (float)(offset[w + 1] - offset[w]), dy + w * d, dx);
    }
  }
}

#if VK_PATH_IS_BASE

#include "nn/op_rows.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_I32, 1, err));
  VK_TRY(vk_op_need(c, 1, VK_I32, 1, err));
  VK_TRY(vk_op_need(c, 2, VK_F32, 2, err));
  if (!vk_op_is_offset(c->in[1], c->in[2]) || c->attr->count <= 0)
    return vk_op_fail(c, err,
                      "needs one offset more than rows of dy, and the table's rows (count)");
  c->out[0].dtype = VK_F32;
  c->out[0].shape = c->in[2]->shape;
  c->out[0].shape.dim[0] = c->attr->count;
  return VK_OK;
}

static size_t scratch(const vk_op_call *c)
{
  return (size_t)(2 * c->in[0].shape.dim[0] + c->out[0].shape.dim[0]) * sizeof(int32_t);
}

static void ref(const vk_op_call *c)
{
  const int32_t *id = c->in[0].data, *offset = c->in[1].data;
  const double *dy = c->in[2].data;
  double *dx = c->out[0].data;
  int64_t d = vk_shape_last(&c->out[0].shape);
  for (int64_t k = 0; k < vk_shape_n_item(&c->out[0].shape); k++)
    dx[k] = 0;
  for (int64_t w = 0; w < c->in[2].shape.dim[0]; w++)
    for (int32_t k = offset[w]; k < offset[w + 1]; k++)
      for (int64_t j = 0; j < d; j++)
        dx[id[k] * d + j] += dy[w * d + j] / (offset[w + 1] - offset[w]);
}

static void example(vk_example *e)
{
  int n_word = e->is_large ? 320 : (int)vk_example_int(e, 1, 20);
  int n_id = e->is_large ? 5000 : (int)vk_example_int(e, 0, 60);
  int n_row = e->is_large ? 4096 : (int)vk_example_int(e, 1, 40);
  vk_example_i32(e, vk_shape_of(1, n_id), VK_EXAMPLE_ROW, n_row);
  vk_example_i32(e, vk_shape_of(1, n_word + 1), VK_EXAMPLE_SEGMENTS, n_id);
  vk_example_f32(e, vk_shape_of(2, n_word, e->is_large ? 64 : (int)vk_example_int(e, 1, 90)));
  e->attr.count = n_row;
}

const vk_op_def vk_op_bag_grad = {
    .name = "bag_grad",
    .help = "gradient of bag's table [count, d] from id, offset, dy",
    .n_in_min = 3,
    .n_in_max = 3,
    .n_out = 1,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .rtol = 2e-6,
    .atol = 1e-5,
    .tolerance = "sums of rows in float",
    .infer = infer,
    .scratch = scratch,
    .ref = ref,
    .example = example,
};

#endif
