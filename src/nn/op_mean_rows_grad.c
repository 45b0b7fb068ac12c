/* op_mean_rows_grad.c - gradient of op mean_rows: every row of segment s gets dy[s] / n_s, and
 * a row in none gets zeros. */
#include "nn/op.h"
#include "nn/rows.h"
#include "nn/segments.h"

VK_OP_RUN(mean_rows_grad)
{
  const int32_t *seg = c->n_in > 1 ? c->in[1].data : NULL;
  int64_t d = vk_shape_last(&c->in[0].shape), group = c->attr->group, begin, end;
  if (seg)
    vk_segments_check(seg, c->in[0].shape.dim[0], c->out[0].shape.dim[0]);
  if (seg && c->i_part == 0)
    vk_segments_clear_rest(seg, c->in[0].shape.dim[0], c->out[0].shape.dim[0], d, c->out[0].data);
  vk_op_part(c, c->out[0].shape.dim[0], 16, &begin, &end);
  for (int64_t s = 0; s < c->in[0].shape.dim[0]; s++) {
    int64_t first = seg ? seg[s] : s * group, last = seg ? seg[s + 1] : first + group;
    float scale = last > first ? 1.0f / (float)(last - first) : 0;
    for (int64_t i = first > begin ? first : begin; i < last && i < end; i++)
      row_scale(d, scale, (const float *)c->in[0].data + s * d, (float *)c->out[0].data + i * d);
  }
}

#if VK_PATH_IS_BASE

#include "nn/op_rows.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  const vk_attrs *a = c->attr;
  VK_TRY(vk_op_need(c, 0, VK_F32, 2, err));
  int64_t n = c->in[0]->shape.dim[0];
  if (c->n_in > 1 && c->in[1]) {
    VK_TRY(vk_op_need(c, 1, VK_I32, 1, err));
    if (!vk_op_is_offset(c->in[1], c->in[0]))
      return vk_op_fail(c, err, "offsets are one more than segments");
  } else if (a->group <= 0 || n * a->group != a->count) {
    return vk_op_fail(c, err, "rows must come in groups of %lld", (long long)a->group);
  }
  vk_op_same(c, 0, 0);
  c->out[0].shape.dim[0] = a->count;
  c->out[0].extent = vk_op_extent(a);
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const int32_t *seg = c->n_in > 1 ? c->in[1].data : NULL;
  const double *dy = c->in[0].data;
  int64_t d = vk_shape_last(&c->in[0].shape), group = c->attr->group;
  for (int64_t k = 0; k < vk_shape_n_item(&c->out[0].shape); k++)
    ((double *)c->out[0].data)[k] = 0;
  for (int64_t s = 0; s < c->in[0].shape.dim[0]; s++) {
    int64_t first = seg ? seg[s] : s * group, last = seg ? seg[s + 1] : first + group;
    for (int64_t k = first * d; k < last * d; k++)
      ((double *)c->out[0].data)[k] = dy[s * d + k % d] / (double)(last - first);
  }
}

static void example(vk_example *e)
{
  int n = e->is_large ? 32 : (int)vk_example_int(e, 1, 9), d = (int)vk_example_int(e, 1, 90);
  e->attr.group = e->i_case ? vk_example_int(e, 1, 12) : 0;
  e->attr.count = e->i_case ? n * e->attr.group : vk_example_int(e, 0, 60);
  e->attr.sym = -1;
  vk_example_f32(e, vk_shape_of(2, n, e->is_large ? 256 : d));
  if (e->i_case == 0)
    vk_example_i32(e, vk_shape_of(1, n + 1), VK_EXAMPLE_SEGMENTS,
                   e->attr.count > 2 ? e->attr.count - vk_example_int(e, 0, 2) : e->attr.count);
}

const vk_op_def vk_op_mean_rows_grad = {
    .name = "mean_rows_grad",
    .help = "gradient of mean_rows [count, d] from dy and seg, or group rows each",
    .n_in_min = 1,
    .n_in_max = 2,
    .n_out = 1,
    .n_case = 2,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .rtol = 5e-7,
    .atol = 1e-7,
    .tolerance = "two roundings",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
