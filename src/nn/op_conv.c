/* op_conv.c - y = convolution of x (NHWC) by w (PyTorch's layout), plus a bias. A patch embedding
 * is kernel = stride, pad 0. u8 pictures become value * scale + shift first; what is padded is zero
 * after that. With dtype bf16 (pass bf16) x and w are rounded, and sums are f32. */
#include "nn/conv_bf16.h"

/* Floats that a band takes and the rows of y that it serves, at most. */
static int64_t band_rows(const vk_op_call *c, const conv_shape *s, int64_t pitch)
{
  int64_t band = vk_op_is_bf16(c) ? CONV_BAND_BF16 : CONV_BAND, n_part = c->n_part;
  int64_t n = (band / pitch - s->kernel) / s->stride + 1;
  if (n_part > 1)
    n = conv_min(n, conv_div_up(s->n * s->y_h, n_part));
  return conv_max(1, conv_min(n, s->y_h));
}

static int64_t pitch_of(const conv_shape *s)
{
  return (s->w + 2 * s->pad) * s->c;
}

/* Room for a band, and in bf16 for the same rounded: as much for every path and number of rows. */
static int64_t band_floats(const vk_op_call *c, const conv_shape *s)
{
  bool is_bf16 = vk_op_is_bf16(c);
  int64_t n = conv_max(is_bf16 ? CONV_BAND_BF16 : CONV_BAND, s->kernel * pitch_of(s));
  return conv_div_up(n, 32) * (is_bf16 ? 48 : 32);
}

static int64_t packed_floats(const vk_op_call *c, const conv_shape *s)
{
  return c->attr->packed_b ? 0 : conv_packed(s->o, s->kernel * s->kernel * s->c);
}

/* Rows [y0, y1) of picture i. */
static void run_band(const vk_op_call *c, const conv_shape *s, const float *band, int64_t pitch,
                     int64_t i, int64_t y0, int64_t y1, conv_ahead *ahead)
{
  int64_t k = s->kernel * s->kernel * s->c;
  const float *bias = c->n_in > 2 ? c->in[2].data : NULL;
  const float *packed = c->attr->packed_b ? c->in[1].data : c->scratch;
  for (int64_t i_panel = 0; i_panel < conv_n_panel(s->o); i_panel++) {
    conv_panel p = conv_panel_at(s->o, i_panel);
    conv_tile t = {.b = packed + p.j * k,
                   .bias = bias ? bias + p.j : NULL,
                   .sa = s->stride * s->c,
                   .a_row = pitch,
                   .n_row = s->kernel,
                   .kc = s->kernel * s->c,
                   .ldc = s->o,
                   .n_last = p.n_last};
    for (int64_t y = y0; y < y1; y++)
      for (int64_t x = 0; x < s->y_w; x += CONV_MR_TILE) {
        t.ahead = conv_ahead_next(ahead);
        t.a = band + (y - y0) * s->stride * pitch + x * t.sa;
        t.c = (float *)c->out[0].data + ((i * s->y_h + y) * s->y_w + x) * s->o + p.j;
        conv_tiles[p.n_v][conv_min(CONV_MR_TILE, s->y_w - x)](&t);
      }
  }
}

static void run_band_bf16(const vk_op_call *c, const conv_shape *s, const uint16_t *rounded,
                          int64_t pitch, int64_t i, int64_t y0, int64_t y1, conv_ahead ahead,
                          void *scratch)
{
  conv_windows w = {.at = rounded,
                    .n_x = s->y_w,
                    .n_y = y1 - y0,
                    .step_x = s->stride * s->c,
                    .step_y = s->stride * pitch,
                    .pitch = pitch,
                    .kc = s->kernel * s->c,
                    .ahead[0] = ahead};
  const vk_gemm g = {.m = w.n_y * w.n_x,
                     .n = s->o,
                     .k = s->kernel * w.kc,
                     .fill_a_bf16 = conv_fill_windows,
                     .fill_a_arg = &w,
                     .c = (float *)c->out[0].data + (i * s->y_h + y0) * s->y_w * s->o,
                     .ldc = s->o,
                     .bias = c->n_in > 2 ? c->in[2].data : NULL};
  vk_op_bf16_path(c->attr)->run(&g, c->in[1].data, scratch, 0, 1);
}

VK_OP_RUN(conv)
{
  conv_shape s = conv_shape_of(&c->in[0].shape, &c->out[0].shape, c->attr);
  if (c->i_phase == 0) {
    if (!c->attr->packed_b)
      conv_pack_weight(c, c->in[1].data, &s, c->scratch);
    return;
  }
  conv_source x = {.data = c->in[0].data,
                   .dtype = c->in[0].dtype,
                   .scale = (float)c->attr->scale,
                   .shift = (float)c->attr->shift,
                   .h = s.h,
                   .w = s.w,
                   .c = s.c,
                   .left = s.pad,
                   .right = s.pad};
  int64_t pitch = conv_pitch(&x), rows = band_rows(c, &s, pitch);
  int64_t n_band = conv_div_up(s.y_h, rows), i, end;
  float *bands = (float *)c->scratch + packed_floats(c, &s);
  float *band = bands + band_floats(c, &s) * c->i_part;
  uint16_t *rounded = (uint16_t *)(void *)(band + band_floats(c, &s) / 3 * 2); /* in bf16 */
  char *scratch = (char *)(bands + band_floats(c, &s) * c->n_part);
  vk_op_part(c, s.n * n_band, 1, &i, &end);
  for (; i < end; i++) {
    int64_t y0 = i % n_band * rows, y1 = conv_min(y0 + rows, s.y_h);
    int64_t first = y0 * s.stride - s.pad, n_row = (y1 - y0 - 1) * s.stride + s.kernel;
    if (vk_op_is_bf16(c))
      conv_fill_rounded(c, &x, i / n_band, first, n_row, band, rounded);
    else
      conv_fill_band(&x, i / n_band, first, n_row, band);
    int64_t n_tile = conv_n_panel(s.o) * (y1 - y0) * conv_div_up(s.y_w, CONV_MR_TILE);
    if (vk_op_is_bf16(c)) /* fills of up to 16 windows */
      n_tile = conv_div_up((y1 - y0) * s.y_w, 16);
    conv_ahead ahead = conv_ahead_rows(&x, s.n, i / n_band, y1 * s.stride - s.pad + s.kernel - 1,
                                       rows * s.stride, n_tile);
    if (vk_op_is_bf16(c)) {
      run_band_bf16(c, &s, rounded, pitch, i / n_band, y0, y1, ahead,
                    scratch + vk_op_bf16_scratch(c) * (size_t)c->i_part);
      continue;
    }
    run_band(c, &s, band, pitch, i / n_band, y0, y1, &ahead);
  }
}

#if VK_PATH_IS_BASE

/* Channels of the output. */
static vk_status infer_weight(const vk_infer *c, int64_t *o, vk_err *err)
{
  const vk_value *w = c->in[1];
  int64_t n_channel = c->in[0]->shape.dim[3], kernel = c->attr->kernel;
  bool is_bf16 = c->attr->dtype == VK_BF16;
  if (is_bf16 && !c->attr->packed_b && c->attr->isa != VK_PATH_GPU)
    return vk_op_fail(c, err, "dtype bf16 needs packed_b, or a GPU");
  if (c->attr->packed_b) {
    int64_t k = kernel * kernel * n_channel;
    *o = c->attr->count;
    if (w->order != VK_ORDER_PANELS || *o <= 0 ||
        vk_value_bytes(w) !=
            (is_bf16 ? vk_gemm_bf16_packed_bytes(*o, k) : vk_conv_packed_bytes(*o, k)))
      return vk_op_fail(c, err, "packed_b needs panels (op conv_pack) and a count of channels");
    return VK_OK;
  }
  VK_TRY(vk_op_need_factor(c, 1, 4, err));
  if (w->shape.dim[1] != n_channel || w->shape.dim[2] != kernel || w->shape.dim[3] != kernel)
    return vk_op_fail(c, err, "a weight [o, %lld, %lld, %lld] was expected", (long long)n_channel,
                      (long long)kernel, (long long)kernel);
  *o = w->shape.dim[0];
  return VK_OK;
}

static vk_status infer(const vk_infer *c, vk_err *err)
{
  const vk_value *x = c->in[0];
  const vk_attrs *a = c->attr;
  VK_TRY(vk_conv_check(c, err));
  VK_TRY(x->dtype == VK_U8 ? vk_op_need(c, 0, VK_U8, 4, err) : vk_op_need_factor(c, 0, 4, err));
  VK_TRY(vk_op_need_fixed(c, 1, err));
  VK_TRY(vk_op_need_fixed(c, 2, err));
  int64_t o = 0;
  VK_TRY(infer_weight(c, &o, err));
  if (o < 1 || x->shape.dim[3] < 1)
    return vk_op_fail(c, err, "x and y must have channels");
  if (x->dtype == VK_U8 && a->scale == 0)
    return vk_op_fail(c, err, "pictures of u8 need a scale");
  if (x->shape.dim[1] + 2 * a->pad < a->kernel || x->shape.dim[2] + 2 * a->pad < a->kernel)
    return vk_op_fail(c, err, "the picture is smaller than the kernel");
  if (c->n_in > 2 && c->in[2]) {
    VK_TRY(vk_op_need(c, 2, VK_F32, 1, err));
    if (c->in[2]->shape.dim[0] != o)
      return vk_op_fail(c, err, "the bias must have %lld items", (long long)o);
  }
  vk_op_same(c, 0, 0);
  c->out[0].dtype = VK_F32;
  c->out[0].shape = vk_shape_of(4, (int)x->shape.dim[0], (int)vk_conv_size(x->shape.dim[1], a),
                                (int)vk_conv_size(x->shape.dim[2], a), (int)o);
  return VK_OK;
}

static void cost(const vk_op_call *c, vk_cost *cost)
{
  conv_shape s = conv_shape_of(&c->in[0].shape, &c->out[0].shape, c->attr);
  cost->macs = (double)vk_shape_n_item(&c->out[0].shape) * (double)(s.kernel * s.kernel * s.c);
}

static size_t scratch(const vk_op_call *c)
{
  conv_shape s = conv_shape_of(&c->in[0].shape, &c->out[0].shape, c->attr);
  return sizeof(float) * (size_t)(packed_floats(c, &s) + band_floats(c, &s) * c->n_part) +
         vk_op_bf16_scratch(c) * (size_t)c->n_part;
}

static void ref(const vk_op_call *c)
{
  conv_shape s = conv_shape_of(&c->in[0].shape, &c->out[0].shape, c->attr);
  const double *bias = c->n_in > 2 ? c->in[2].data : NULL;
  double *out = c->out[0].data;
  for (int64_t k = 0; k < vk_shape_n_item(&c->out[0].shape); k++)
    out[k] = bias ? bias[k % s.o] : 0;
  vk_conv_ref(c, &s, (const int[]){CONV_X, CONV_W, CONV_Y});
}

static void grad(vk_grad *c)
{
  const vk_node *n = c->node;
  const vk_shape *x = &c->g->value[n->in[0]].shape;
  const vk_attrs *a = &n->attr;
  if (c->need[0])
    c->dx[0] =
        VK_APPLY(c->g, conv_dx, VK_IN(c->dy[0], n->in[1]), .height = x->dim[1], .width = x->dim[2],
                 .kernel = a->kernel, .stride = a->stride, .pad = a->pad);
  if (c->need[1])
    c->dx[1] = VK_APPLY(c->g, conv_dw, VK_IN(c->dy[0], n->in[0]), .kernel = a->kernel,
                        .stride = a->stride, .pad = a->pad, .scale = a->scale, .shift = a->shift);
  if (n->n_in > 2 && c->need[2])
    c->dx[2] = VK_APPLY(c->g, sum_rows, VK_IN(c->dy[0]));
}

static void example(vk_example *e)
{
  conv_shape s = vk_conv_example(e);
  vk_conv_example_x(e, &s);
  vk_example_f32(e, vk_shape_of(4, (int)s.o, (int)s.c, (int)s.kernel, (int)s.kernel));
  if (e->i_case % 4 == 1)
    vk_example_f32(e, vk_shape_of(1, (int)s.o));
}

const vk_op_def vk_op_conv = {
    .name = "conv",
    .help = "y [n, h', w', o] = x [n, h, w, c] * w [o, c, kernel, kernel] + bias; stride, pad; u8: "
            "x scale + shift",
    .n_in_min = 2,
    .n_in_max = 3,
    .n_out = 1,
    .n_phase = 2,
    .n_case = VK_CONV_N_CASE,
    .rtol = 2e-6,
    .atol = 3e-5,
    .tolerance = "one chain of kernel^2 c products in float",
    .infer = infer,
    .cost = cost,
    .scratch = scratch,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
