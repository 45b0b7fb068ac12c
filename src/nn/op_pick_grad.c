/* op_pick_grad.c - gradient of op pick by its source `offset`: dx[r] = sum of dy[i] over the i that
 * name row r of it, in rising order. */
#include "nn/op.h"
#include "nn/pick.h"
#include "nn/rows.h"

/* Each part makes lists of the i of its own rows, from last to first, so that they rise:
 * head[r], then next[i]. */
VK_OP_RUN(pick_grad)
{
  const int32_t *idx = c->in[0].data;
  const float *dy = c->in[1].data;
  int64_t m = c->in[0].shape.dim[0], n = c->out[0].shape.dim[0], begin, end;
  int64_t d = vk_shape_last(&c->out[0].shape);
  int32_t *next = c->scratch, *head = next + m;
  vk_op_part(c, n, 16, &begin, &end);
  for (int64_t r = begin; r < end; r++)
    head[r] = -1;
  int64_t base = c->attr->offset << VK_PICK_SHIFT;
  for (int64_t i = m - 1; i >= 0; i--) {
    int64_t r = idx[i] - base;
    if (r < begin || r >= end)
      continue;
    next[i] = head[r];
    head[r] = (int32_t)i;
  }
  for (int64_t r = begin; r < end; r++) {
    float *dx = (float *)c->out[0].data + r * d;
    int32_t i = head[r];
    if (i < 0) {
      row_zero(d, dx);
      continue;
    }
    memcpy(dx, dy + i * d, (size_t)d * sizeof *dx);
    for (i = next[i]; i >= 0; i = next[i])
      row_add_scaled(d, 1, dy + i * d, dx);
  }
}

#if VK_PATH_IS_BASE

#include "nn/op_rows.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_I32, 1, err));
  VK_TRY(vk_op_need(c, 1, VK_F32, 2, err));
  const vk_attrs *a = c->attr;
  if (c->in[0]->shape.dim[0] != c->in[1]->shape.dim[0] || !vk_op_same_extent(c->in[0], c->in[1]))
    return vk_op_fail(c, err, "an index for each row");
  if (a->count < 0 || a->offset < 0 || a->offset >= VK_PICK_SOURCE_MAX)
    return vk_op_fail(c, err, "needs the number (offset) and rows (count) of a source");
  vk_op_same(c, 0, 1);
  c->out[0].shape.dim[0] = a->count;
  c->out[0].extent = vk_op_extent(a);
  return VK_OK;
}

static size_t scratch(const vk_op_call *c)
{
  return (size_t)(c->in[0].shape.dim[0] + c->out[0].shape.dim[0]) * sizeof(int32_t);
}

static void ref(const vk_op_call *c)
{
  const int32_t *idx = c->in[0].data;
  const double *dy = c->in[1].data;
  double *dx = c->out[0].data;
  int64_t d = vk_shape_last(&c->out[0].shape);
  for (int64_t k = 0; k < vk_shape_n_item(&c->out[0].shape); k++)
    dx[k] = 0;
  for (int64_t i = 0; i < c->in[0].shape.dim[0]; i++)
    if (idx[i] >= 0 && idx[i] >> 26 == c->attr->offset)
      for (int64_t j = 0; j < d; j++)
        dx[(idx[i] & ((1 << 26) - 1)) * d + j] += dy[i * d + j];
}

static void example(vk_example *e)
{
  int m = e->is_large ? 4896 : (int)vk_example_int(e, 1, 70);
  int d = e->is_large ? 256 : (int)vk_example_int(e, 1, 40);
  int n = e->is_large ? m / 2 : (int)vk_example_int(e, 1, 40);
  vk_example_i32(e, vk_shape_of(1, m), VK_EXAMPLE_PICK, n);
  e->in[0].lo = 2;
  vk_example_f32(e, vk_shape_of(2, m, d));
  e->attr.count = n;
  e->attr.offset = e->i_case;
  e->attr.sym = -1;
}

const vk_op_def vk_op_pick_grad = {
    .name = "pick_grad",
    .help = "dx[r] = sum of dy[i] with idx[i] naming row r of source offset; dx [count, d]",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .n_case = 2,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .rtol = 1e-6,
    .atol = 1e-5,
    .tolerance = "sums of rows in float",
    .infer = infer,
    .scratch = scratch,
    .ref = ref,
    .example = example,
};

#endif
