/* op_rms_norm_grad.c - with h = x rstd: dx = rstd (dy w - h mean(dy w h)) + plus, dw = sum over
 * rows of dy h. plus is the gradient that goes around the norm (pass merge). */
#include "nn/op.h"
#include "nn/simd.h"

enum { BLOCK = 64 }; /* rows of a partial sum of dw: fixed, so that parts do not matter */

/* Mean of dy w x over a row, times rstd^2. */
VK_INLINE float row_mean(int64_t n, const float *dy, const float *x, const float *w, float r)
{
  vf s0 = vf_zero(), s1 = vf_zero();
  int64_t j = 0;
  for (; j + 2 * VK_LANES <= n; j += 2 * VK_LANES) {
    s0 = vf_fma(vf_load(dy + j) * vf_load(w + j), vf_load(x + j), s0);
    int64_t k = j + VK_LANES;
    s1 = vf_fma(vf_load(dy + k) * vf_load(w + k), vf_load(x + k), s1);
  }
  for (; j < n; j += VK_LANES) {
    int m = n - j < VK_LANES ? (int)(n - j) : VK_LANES;
    s0 = vf_fma(vf_load_n(dy + j, m) * vf_load_n(w + j, m), vf_load_n(x + j, m), s0);
  }
  return vf_sum(s0 + s1) * r * r / (float)n;
}

/* Rows i to end; adds to sum [n]. has_plus is known when this is inlined. */
VK_INLINE void grad_some_rows(const vk_op_call *c, int64_t i, int64_t end, float *sum, int has_plus)
{
  const float *w = c->in[2].data, *rstd = c->in[3].data;
  int64_t n = vk_shape_last(&c->in[1].shape);
  memset(sum, 0, (size_t)n * sizeof *sum);
  for (; i < end; i++) {
    const float *dy = (const float *)c->in[0].data + i * n;
    const float *x = (const float *)c->in[1].data + i * n;
    const float *plus = has_plus ? (const float *)c->in[4].data + i * n : NULL;
    float *dx = (float *)c->out[0].data + i * n;
    vf r = vf_set1(rstd[i]), mean = vf_set1(row_mean(n, dy, x, w, rstd[i]));
    int64_t j = 0;
    for (; j + VK_LANES <= n; j += VK_LANES) {
      vf d = vf_load(dy + j), h = vf_load(x + j);
      vf_store(sum + j, vf_fma(d, h * r, vf_load(sum + j)));
      vf y = r * (d * vf_load(w + j) - h * mean);
      vf_store(dx + j, has_plus ? y + vf_load(plus + j) : y);
    }
    int m = (int)(n - j);
    if (m > 0) {
      vf d = vf_load_n(dy + j, m), h = vf_load_n(x + j, m);
      vf_store_n(sum + j, vf_fma(d, h * r, vf_load_n(sum + j, m)), m);
      vf y = r * (d * vf_load_n(w + j, m) - h * mean);
      vf_store_n(dx + j, has_plus ? y + vf_load_n(plus + j, m) : y, m);
    }
  }
}

static void grad_rows(const vk_op_call *c, int64_t i, int64_t end, float *sum)
{
  if (c->n_in > 4 && c->in[4].data)
    grad_some_rows(c, i, end, sum, 1);
  else
    grad_some_rows(c, i, end, sum, 0);
}

VK_OP_RUN(rms_norm_grad)
{
  float *sum = c->scratch, *dw = c->out[1].data;
  int64_t n = vk_shape_last(&c->in[1].shape), m = vk_shape_n_row(&c->in[1].shape), i, end;
  if (c->i_phase == 0) {
    vk_op_part(c, m, BLOCK, &i, &end);
    for (; i < end; i += BLOCK)
      grad_rows(c, i, i + BLOCK < end ? i + BLOCK : end, sum + i / BLOCK * n);
    return;
  }
  int64_t n_block = (m + BLOCK - 1) / BLOCK;
  vk_op_part(c, n, 16, &i, &end);
  for (; i < end; i += VK_LANES) {
    int n_lane = end - i < VK_LANES ? (int)(end - i) : VK_LANES;
    vf s = vf_zero();
    for (int64_t b = 0; b < n_block; b++)
      s += vf_load_n(sum + b * n + i, n_lane);
    vf_store_n(dw + i, s, n_lane);
  }
}

#if VK_PATH_IS_BASE

#include "nn/op_rows.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  for (int i = 0; i < 4; i++)
    VK_TRY(vk_op_need(c, i, VK_F32, 0, err));
  int64_t n = vk_shape_last(&c->in[1]->shape);
  VK_TRY(vk_op_need_alike(c, 0, 1, err));
  VK_TRY(vk_op_need_fixed(c, 2, err));
  if (c->in[1]->shape.n_dim < 2 || !vk_op_same_extent(c->in[1], c->in[3]) ||
      vk_shape_n_item(&c->in[2]->shape) != n ||
      vk_shape_n_item(&c->in[3]->shape) * n != vk_shape_n_item(&c->in[1]->shape))
    return vk_op_fail(c, err, "needs dy and x of one shape, w a row of it and rstd one a row");
  if (c->n_in > 4 && c->in[4]) {
    VK_TRY(vk_op_need(c, 4, VK_F32, 0, err));
    VK_TRY(vk_op_need_alike(c, 4, 1, err));
  }
  vk_op_same(c, 0, 1);
  vk_op_same(c, 1, 2);
  return VK_OK;
}

static size_t scratch(const vk_op_call *c)
{
  int64_t n_block = (vk_shape_n_row(&c->in[1].shape) + BLOCK - 1) / BLOCK;
  return (size_t)(n_block * vk_shape_last(&c->in[1].shape)) * sizeof(float);
}

static void ref(const vk_op_call *c)
{
  const double *dy = c->in[0].data, *x = c->in[1].data, *w = c->in[2].data, *rstd = c->in[3].data;
  const double *plus = c->n_in > 4 ? c->in[4].data : NULL;
  double *dx = c->out[0].data, *dw = c->out[1].data;
  int64_t n = vk_shape_last(&c->in[1].shape);
  for (int64_t j = 0; j < n; j++)
    dw[j] = 0;
  for (int64_t i = 0; i < vk_shape_n_row(&c->in[1].shape); i++) {
    double mean = 0, r = rstd[i];
    for (int64_t j = 0; j < n; j++) {
      mean += dy[i * n + j] * w[j] * x[i * n + j] * r / (double)n;
      dw[j] += dy[i * n + j] * x[i * n + j] * r;
    }
    for (int64_t j = 0; j < n; j++)
      dx[i * n + j] =
          r * (dy[i * n + j] * w[j] - x[i * n + j] * r * mean) + (plus ? plus[i * n + j] : 0);
  }
}

static void example(vk_example *e)
{
  int n = e->is_large ? 256 : (int)vk_example_int(e, 1, 70);
  int m = e->is_large ? 4896 : (int)vk_example_int(e, 1, 200);
  vk_example_f32(e, vk_shape_of(2, m, n));
  vk_example_f32(e, vk_shape_of(2, m, n));
  vk_example_f32(e, vk_shape_of(1, n));
  vk_example_f32(e, vk_shape_of(1, m));
  e->in[3].fill = VK_EXAMPLE_POSITIVE;
  if (e->i_case == 1)
    vk_example_f32(e, vk_shape_of(2, m, n));
}

const vk_op_def vk_op_rms_norm_grad = {
    .name = "rms_norm_grad",
    .help = "gradients dx, dw of rms_norm from dy, x, w, rstd; dx plus another gradient, if given",
    .n_in_min = 4,
    .n_in_max = 5,
    .n_out = 2,
    .n_case = 2,
    .in_place = 1,
    .n_phase = 2,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .rtol = 2e-6,
    .atol = 3e-5,
    .tolerance = "sums of a row and of all rows in float; rstd of the test goes up to 4",
    .infer = infer,
    .scratch = scratch,
    .ref = ref,
    .example = example,
};

#endif
