/* op_mean_rows.c - mean over the rows of each segment: those between two offsets of seg, or `group`
 * rows each. An empty segment gives zeros. */
#include "nn/op.h"
#include "nn/segments.h"
#include "nn/simd.h"

VK_OP_RUN(mean_rows)
{
  const int32_t *seg = c->n_in > 1 ? c->in[1].data : NULL;
  int64_t d = vk_shape_last(&c->in[0].shape), group = c->attr->group, k, end;
  if (seg)
    vk_segments_check(seg, c->out[0].shape.dim[0], c->in[0].shape.dim[0]);
  int64_t n_chunk = (d + 63) / 64; /* 64 columns of a segment */
  vk_op_part(c, c->out[0].shape.dim[0] * n_chunk, 1, &k, &end);
  for (; k < end; k++) {
    int64_t s = k / n_chunk, j = k % n_chunk * 64, j_end = j + 64 < d ? j + 64 : d;
    int64_t first = seg ? seg[s] : s * group, last = seg ? seg[s + 1] : first + group;
    float scale = last > first ? 1.0f / (float)(last - first) : 0;
    for (; j < j_end; j += VK_LANES) {
      int n = j_end - j < VK_LANES ? (int)(j_end - j) : VK_LANES;
      vf s0 = vf_zero(), s1 = vf_zero();
      const float *x = (const float *)c->in[0].data + j;
      int64_t i = first;
      for (; i + 2 <= last; i += 2) {
        s0 += vf_load_n(x + i * d, n);
        s1 += vf_load_n(x + (i + 1) * d, n);
      }
      if (i < last)
        s0 += vf_load_n(x + i * d, n);
      vf_store_n((float *)c->out[0].data + s * d + j, (s0 + s1) * vf_set1(scale), n);
    }
  }
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 2, err));
  vk_op_same(c, 0, 0);
  if (c->n_in > 1 && c->in[1]) {
    VK_TRY(vk_op_need(c, 1, VK_I32, 1, err));
    if (c->in[1]->shape.dim[0] < 1)
      return vk_op_fail(c, err, "offsets are one more than segments");
    c->out[0].shape.dim[0] = c->in[1]->shape.dim[0] - 1;
    c->out[0].extent = c->in[1]->extent;
    if (c->out[0].extent.sym >= 0)
      c->out[0].extent.plus--;
    return VK_OK;
  }
  int64_t r = c->attr->group;
  vk_extent *e = &c->out[0].extent;
  if (r <= 0 || c->in[0]->shape.dim[0] % r || (e->sym >= 0 && (e->per % r || e->plus % r)))
    return vk_op_fail(c, err, "rows must come in groups of %lld", (long long)r);
  c->out[0].shape.dim[0] /= r;
  e->per /= r;
  e->plus /= r;
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const int32_t *seg = c->n_in > 1 ? c->in[1].data : NULL;
  const double *x = c->in[0].data;
  int64_t d = vk_shape_last(&c->in[0].shape), group = c->attr->group;
  for (int64_t k = 0; k < vk_shape_n_item(&c->out[0].shape); k++) {
    int64_t s = k / d, first = seg ? seg[s] : s * group, last = seg ? seg[s + 1] : first + group;
    double sum = 0;
    for (int64_t i = first; i < last; i++)
      sum += x[i * d + k % d];
    ((double *)c->out[0].data)[k] = last > first ? sum / (double)(last - first) : 0;
  }
}

static void grad(vk_grad *c)
{
  const vk_node *n = c->node;
  const vk_value *x = &c->g->value[n->in[0]];
  vk_extent e = x->extent;
  c->dx[0] = VK_APPLY(c->g, mean_rows_grad, VK_IN(c->dy[0], n->n_in > 1 ? n->in[1] : VK_NONE),
                      .count = x->shape.dim[0], .group = n->attr.group, .sym = e.sym, .per = e.per,
                      .plus = e.plus);
}

/* 0: segments; 1: groups */
static void example(vk_example *e)
{
  int n = e->is_large ? 32 : (int)vk_example_int(e, 1, 9), d = (int)vk_example_int(e, 1, 90);
  e->attr.group = e->i_case ? vk_example_int(e, 1, 12) : 0;
  int m = e->i_case ? n * (int)e->attr.group : (int)vk_example_int(e, 0, 60);
  vk_example_f32(e, vk_shape_of(2, m, e->is_large ? 256 : d));
  if (e->i_case == 0)
    vk_example_i32(e, vk_shape_of(1, n + 1), VK_EXAMPLE_SEGMENTS,
                   m > 2 ? m - vk_example_int(e, 0, 2) : m);
}

const vk_op_def vk_op_mean_rows = {
    .name = "mean_rows",
    .help = "y[s] = mean of the rows x[seg[s]] to x[seg[s + 1] - 1], or of group rows each",
    .n_in_min = 1,
    .n_in_max = 2,
    .n_out = 1,
    .n_case = 2,
    .rtol = 1e-6,
    .atol = 2e-6,
    .tolerance = "sums of up to 60 rows in float",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
