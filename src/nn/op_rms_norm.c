/* op_rms_norm.c - y = x w / sqrt(mean of x^2 over the row + eps). Source: Zhang & Sennrich 2019,
 * arXiv:1910.07467. */
#include "nn/op_bf16.h"
#include "nn/simd.h"

/* y = x r w */
static void scale_row(const float *x, float r, const float *w, int64_t n, float *y)
{
  int64_t j = 0;
  for (; j + VK_LANES <= n; j += VK_LANES)
    vf_store(y + j, vf_load(x + j) * vf_set1(r) * vf_load(w + j));
  int m = (int)(n - j);
  if (m > 0)
    vf_store_n(y + j, vf_load_n(x + j, m) * vf_set1(r) * vf_load_n(w + j, m), m);
}

/* Row i of y, which is bf16. */
static void store_row(const vk_op_call *c, const float *x, float r, const float *w, int64_t n,
                      int64_t i)
{
  enum { SOME = 512 };
  float y[SOME];
  for (int64_t j = 0; j < n; j += SOME) {
    int64_t m = n - j < SOME ? n - j : SOME;
    scale_row(x + j, r, w + j, m, y);
    vk_op_store_bf16(c, i * n + j, m, y);
  }
}

VK_OP_RUN(rms_norm)
{
  const float *w = c->in[1].data;
  float *rstd = c->out[1].data;
  int64_t n = vk_shape_last(&c->in[0].shape), i, end;
  float eps = (float)c->attr->eps;
  vk_op_part(c, vk_shape_n_row(&c->in[0].shape), 4, &i, &end);
  for (; i < end; i++) {
    const float *x = (const float *)c->in[0].data + i * n;
    vf s0 = vf_zero(), s1 = vf_zero();
    int64_t j = 0;
    for (; j + 2 * VK_LANES <= n; j += 2 * VK_LANES) {
      vf a = vf_load(x + j), b = vf_load(x + j + VK_LANES);
      s0 = vf_fma(a, a, s0);
      s1 = vf_fma(b, b, s1);
    }
    for (; j < n; j += VK_LANES) {
      vf a = vf_load_n(x + j, n - j < VK_LANES ? (int)(n - j) : VK_LANES);
      s0 = vf_fma(a, a, s0);
    }
    float r = 1.0f / sqrtf(vf_sum(s0 + s1) / (float)n + eps);
    rstd[i] = r;
    if (c->out[0].dtype == VK_BF16)
      store_row(c, x, r, w, n, i);
    else
      scale_row(x, r, w, n, (float *)c->out[0].data + i * n);
  }
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  VK_TRY(vk_op_need(c, 1, VK_F32, 1, err));
  VK_TRY(vk_op_need_fixed(c, 1, err));
  const vk_shape *x = &c->in[0]->shape;
  if (x->n_dim < 2 || c->in[1]->shape.dim[0] != vk_shape_last(x))
    return vk_op_fail(c, err, "input 0 must have rows as long as the weight");
  vk_op_same(c, 0, 0);
  vk_op_same(c, 1, 0);
  VK_TRY(vk_op_store(c, err));
  c->out[1].shape.n_dim--;
  c->out[1].shape.dim[x->n_dim - 1] = 0;
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const double *x = c->in[0].data, *w = c->in[1].data;
  double *y = c->out[0].data, *rstd = c->out[1].data;
  int64_t n = vk_shape_last(&c->in[0].shape);
  for (int64_t i = 0; i < vk_shape_n_row(&c->in[0].shape); i++) {
    double sum = 0;
    for (int64_t j = 0; j < n; j++)
      sum += x[i * n + j] * x[i * n + j];
    rstd[i] = 1 / sqrt(sum / (double)n + c->attr->eps);
    for (int64_t j = 0; j < n; j++)
      y[i * n + j] = x[i * n + j] * rstd[i] * w[j];
  }
}

static void grad(vk_grad *c)
{
  const vk_node *n = c->node;
  c->dx[0] = VK_APPLY(c->g, rms_norm_grad, VK_IN(c->dy[0], n->in[0], n->in[1], n->out[1]));
  c->dx[1] = vk_graph_out(c->g, c->dx[0], 1);
}

static void example(vk_example *e)
{
  int n = e->is_large ? 256 : (int)vk_example_int(e, 1, 70);
  vk_example_f32(e, e->is_large ? vk_shape_of(2, 4896, n)
                                : vk_shape_of(3, 2, (int)vk_example_int(e, 1, 9), n));
  vk_example_f32(e, vk_shape_of(1, n));
  e->attr.eps = e->i_case ? 0.1 : 1e-6;
}

const vk_op_def vk_op_rms_norm = {
    .name = "rms_norm",
    .help = "y = x w rstd, rstd = 1 / sqrt(mean of x^2 + eps); outputs y, rstd [rows]",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 2,
    .in_place = 1,
    .n_case = 2,
    .rtol = 2e-6,
    .atol = 1e-7,
    .tolerance = "a sum of a row's squares in float",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
