/* op_pick.c - rows of several sources in any order: y[i] = the row that idx[i] names (pick.h), or
 * zeros. Tokens of a batch are put together by it, without those that are absent. */
#include "nn/op.h"
#include "nn/pick.h"
#include "nn/rows.h"

VK_OP_RUN(pick)
{
  const int32_t *idx = c->in[0].data;
  int64_t d = vk_shape_last(&c->out[0].shape), i, end;
  vk_op_part(c, c->out[0].shape.dim[0], 16, &i, &end);
  for (; i < end; i++) {
    float *y = (float *)c->out[0].data + i * d;
    if (idx[i] < 0) {
      row_zero(d, y);
      continue;
    }
    int source = vk_pick_source(idx[i]) + 1;
    int64_t row = vk_pick_row(idx[i]);
    VK_ASSERT(source < c->n_in && row < c->in[source].shape.dim[0]);
    memcpy(y, (const float *)c->in[source].data + row * d, (size_t)d * sizeof *y);
  }
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_I32, 1, err));
  for (int i = 1; i < c->n_in; i++) {
    if (!c->in[i])
      return vk_op_fail(c, err, "input %d is missing", i);
    VK_TRY(vk_op_need(c, i, VK_F32, 2, err));
    if (c->in[i]->shape.dim[1] != c->in[1]->shape.dim[1])
      return vk_op_fail(c, err, "sources must have rows of one length");
  }
  vk_op_same(c, 0, 0);
  c->out[0].dtype = VK_F32;
  c->out[0].shape = vk_shape_of(2, 0, (int)c->in[1]->shape.dim[1]);
  c->out[0].shape.dim[0] = c->in[0]->shape.dim[0];
  return VK_OK;
}

/* Rows read once, whatever the sources hold. */
static void cost(const vk_op_call *c, vk_cost *cost)
{
  cost->bytes = (double)vk_shape_n_item(&c->out[0].shape) * 8;
}

static void ref(const vk_op_call *c)
{
  const int32_t *idx = c->in[0].data;
  double *y = c->out[0].data;
  int64_t d = vk_shape_last(&c->out[0].shape);
  for (int64_t k = 0; k < vk_shape_n_item(&c->out[0].shape); k++) {
    int32_t at = idx[k / d];
    y[k] = at < 0
               ? 0
               : ((const double *)c->in[1 + (at >> 26)].data)[(at & ((1 << 26) - 1)) * d + k % d];
  }
}

static void grad(vk_grad *c)
{
  for (int i = 1; i < c->node->n_in; i++) {
    if (!c->need[i])
      continue;
    const vk_value *x = &c->g->value[c->node->in[i]];
    int64_t n = x->shape.dim[0];
    vk_extent e = x->extent;
    c->dx[i] = VK_APPLY(c->g, pick_grad, VK_IN(c->node->in[0], c->dy[0]), .offset = i - 1,
                        .count = n, .sym = e.sym, .per = e.per, .plus = e.plus);
  }
}

static void example(vk_example *e)
{
  int n_source = e->i_case ? (int)vk_example_int(e, 2, VK_PICK_SOURCE_MAX) : 1;
  int m = e->is_large ? 4896 : (int)vk_example_int(e, 1, 70);
  int d = e->is_large ? 256 : (int)vk_example_int(e, 1, 40);
  int n = e->is_large ? m / n_source : (int)vk_example_int(e, 1, 20);
  vk_example_i32(e, vk_shape_of(1, m), VK_EXAMPLE_PICK, n);
  e->in[0].lo = n_source;
  for (int i = 0; i < n_source; i++)
    vk_example_f32(e, vk_shape_of(2, n + i, d));
}

const vk_op_def vk_op_pick = {
    .name = "pick",
    .help = "y[i] = row of one of 1 to 6 sources [n, d] that idx[i] (i32) names, see pick.h",
    .n_in_min = 2,
    .n_in_max = 1 + VK_PICK_SOURCE_MAX,
    .n_out = 1,
    .n_case = 2,
    .flags = VK_OP_EXACT,
    .tolerance = "exact",
    .infer = infer,
    .cost = cost,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
