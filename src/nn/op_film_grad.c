/* op_film_grad.c - gradient of film: dx = dy (1 + g), dg = sum of dy x, df = sum of dy, over the
 * rows that share them. */
#include "nn/group_norm.h"

enum { N_V = 4, BLOCK = 64 /* rows that are summed before they join the others */ };

/* Channels [k, k + n_v vectors) of n rows; n_lane < VK_LANES: of one vector. */
VK_INLINE void run_columns(const float *dy, const float *x, const float *gb, float *dx, float *dgb,
                           int64_t n, int64_t channel, int64_t k, int n_v, int n_lane)
{
  int is_whole = n_lane == VK_LANES;
  vf gain[N_V], all[N_V][2];
#pragma GCC unroll 4
  for (int v = 0; v < n_v; v++) {
    gain[v] = vf_set1(1.0f) + vf_load_n(gb + k + v * VK_LANES, n_lane);
    all[v][0] = all[v][1] = vf_zero();
  }
  for (int64_t i = 0; i < n; i += BLOCK) {
    vf sum[N_V][2];
#pragma GCC unroll 4
    for (int v = 0; v < n_v; v++)
      sum[v][0] = sum[v][1] = vf_zero();
    for (int64_t r = i; r < i + BLOCK && r < n; r++)
#pragma GCC unroll 4
      for (int v = 0; v < n_v; v++) {
        int64_t at = r * channel + k + v * VK_LANES;
        vf d = is_whole ? vf_load(dy + at) : vf_load_n(dy + at, n_lane);
        sum[v][0] = vf_fma(d, is_whole ? vf_load(x + at) : vf_load_n(x + at, n_lane), sum[v][0]);
        sum[v][1] += d;
        if (is_whole)
          vf_store(dx + at, d * gain[v]);
        else
          vf_store_n(dx + at, d * gain[v], n_lane);
      }
#pragma GCC unroll 4
    for (int v = 0; v < n_v; v++) {
      all[v][0] += sum[v][0];
      all[v][1] += sum[v][1];
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < n_v; v++) {
    vf_store_n(dgb + k + v * VK_LANES, all[v][0], n_lane);
    vf_store_n(dgb + channel + k + v * VK_LANES, all[v][1], n_lane);
  }
}

VK_OP_RUN(film_grad)
{
  const vk_shape *s = &c->in[0].shape;
  int64_t channel = vk_shape_last(s), group = c->attr->group > 0 ? c->attr->group : 1, i, end;
  int64_t n = s->dim[0] ? vk_shape_n_row(s) / s->dim[0] * group : 0;
  vk_op_part(c, c->in[2].shape.dim[0], 1, &i, &end);
  for (; i < end; i++) {
    const float *dy = (const float *)c->in[0].data + i * n * channel;
    const float *x = (const float *)c->in[1].data + i * n * channel;
    const float *gb = (const float *)c->in[2].data + i * 2 * channel;
    float *dx = (float *)c->out[0].data + i * n * channel;
    float *dgb = (float *)c->out[1].data + i * 2 * channel;
    int64_t k = 0;
    for (; k + N_V * VK_LANES <= channel; k += N_V * VK_LANES)
      run_columns(dy, x, gb, dx, dgb, n, channel, k, N_V, VK_LANES);
    for (; k + VK_LANES <= channel; k += VK_LANES)
      run_columns(dy, x, gb, dx, dgb, n, channel, k, 1, VK_LANES);
    if (k < channel)
      run_columns(dy, x, gb, dx, dgb, n, channel, k, 1, (int)(channel - k));
  }
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  VK_TRY(vk_op_need(c, 1, VK_F32, 0, err));
  VK_TRY(vk_op_need_alike(c, 0, 1, err));
  if (c->in[1]->shape.n_dim < 2)
    return vk_op_fail(c, err, "x must have channels");
  VK_TRY(vk_film_check(c, 1, 2, err));
  vk_op_same(c, 0, 1);
  vk_op_same(c, 1, 2);
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const double *dy = c->in[0].data, *x = c->in[1].data, *gb = c->in[2].data;
  double *dx = c->out[0].data, *dgb = c->out[1].data;
  const vk_shape *s = &c->in[0].shape;
  int64_t channel = vk_shape_last(s), n = vk_shape_n_item(s);
  for (int64_t k = 0; k < vk_shape_n_item(&c->out[1].shape); k++)
    dgb[k] = 0;
  for (int64_t k = 0; k < n; k++) {
    int64_t at = k / (n / s->dim[0]) / c->attr->group * 2 * channel + k % channel;
    dx[k] = dy[k] * (1 + gb[at]);
    dgb[at] += dy[k] * x[k];
    dgb[at + channel] += dy[k];
  }
}

vk_shape vk_film_example(vk_example *e)
{
  if (e->is_large) {
    e->attr.group = 2;
    return vk_shape_of(4, 64, 16 >> e->i_case, 16 >> e->i_case, e->i_case ? 128 : 96);
  }
  e->attr.group = vk_example_int(e, 1, 3);
  int n = (int)(e->attr.group * vk_example_int(e, 1, 3)), h = (int)vk_example_int(e, 1, 90);
  int c = (int)vk_example_int(e, 1, 80);
  return e->i_case ? vk_shape_of(4, n, h, 2, c) : vk_shape_of(3, n, h, c);
}

static void example(vk_example *e)
{
  vk_shape s = vk_film_example(e);
  vk_example_f32(e, s);
  vk_example_f32(e, s);
  vk_example_f32(e, vk_shape_of(2, (int)(s.dim[0] / e->attr.group), (int)(2 * s.dim[s.n_dim - 1])));
}

const vk_op_def vk_op_film_grad = {
    .name = "film_grad",
    .help = "gradient of film; inputs dy, x, gb; outputs dx, dgb; group",
    .n_in_min = 3,
    .n_in_max = 3,
    .n_out = 2,
    .in_place = 1,
    .n_case = VK_FILM_N_CASE,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .rtol = 1e-6,
    .atol = 2e-5,
    .tolerance = "sum over rows in float, in blocks",
    .infer = infer,
    .ref = ref,
    .example = example,
};

#endif
