/* op_film.c - y = x (1 + g) + f with a g and an f for each channel. Source: Perez et al. 2017,
 * arXiv:1709.07871. */
#include "nn/group_norm.h"

VK_OP_RUN(film)
{
  const vk_shape *s = &c->in[0].shape;
  int64_t channel = vk_shape_last(s), n = vk_shape_n_row(s), i, end;
  int64_t group = c->attr->group > 0 ? c->attr->group : 1, per = s->dim[0] ? n / s->dim[0] : 1;
  vk_op_part(c, n, 16, &i, &end);
  for (; i < end; i++) {
    const float *x = (const float *)c->in[0].data + i * channel;
    const float *g = (const float *)c->in[1].data + i / per / group * 2 * channel, *f = g + channel;
    float *y = (float *)c->out[0].data + i * channel;
    int64_t k = 0;
    for (; k + VK_LANES <= channel; k += VK_LANES) {
      vf v = vf_load(x + k);
      vf_store(y + k, vf_fma(v, vf_load(g + k), v) + vf_load(f + k));
    }
    int n_lane = (int)(channel - k);
    if (n_lane > 0) {
      vf v = vf_load_n(x + k, n_lane);
      vf_store_n(y + k, vf_fma(v, vf_load_n(g + k, n_lane), v) + vf_load_n(f + k, n_lane), n_lane);
    }
  }
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(vk_op_need(c, 0, VK_F32, 0, err));
  if (c->in[0]->shape.n_dim < 2)
    return vk_op_fail(c, err, "x must have channels");
  VK_TRY(vk_film_check(c, 0, 1, err));
  vk_op_same(c, 0, 0);
  return VK_OK;
}

static void ref(const vk_op_call *c)
{
  const double *x = c->in[0].data, *gb = c->in[1].data;
  double *y = c->out[0].data;
  const vk_shape *s = &c->in[0].shape;
  int64_t channel = vk_shape_last(s), n = vk_shape_n_item(s);
  for (int64_t k = 0; k < n; k++) {
    const double *g = gb + k / (n / s->dim[0]) / c->attr->group * 2 * channel + k % channel;
    y[k] = x[k] * (1 + g[0]) + g[channel];
  }
}

static void grad(vk_grad *c)
{
  const vk_node *n = c->node;
  vk_id dx = VK_APPLY(c->g, film_grad, VK_IN(c->dy[0], n->in[0], n->in[1]), .group = n->attr.group);
  c->dx[0] = dx;
  c->dx[1] = vk_graph_out(c->g, dx, 1);
}

static void example(vk_example *e)
{
  vk_shape s = vk_film_example(e);
  vk_example_f32(e, s);
  vk_example_f32(e, vk_shape_of(2, (int)(s.dim[0] / e->attr.group), (int)(2 * s.dim[s.n_dim - 1])));
}

const vk_op_def vk_op_film = {
    .name = "film",
    .help = "y = x (1 + g) + f; x [n, .., c], gb [n / group, 2 c] = [g, f]; group",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .in_place = 1,
    .n_case = VK_FILM_N_CASE,
    .rtol = 3e-7,
    .atol = 3e-7,
    .tolerance = "two roundings",
    .infer = infer,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
