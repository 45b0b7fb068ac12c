/* op_conv_dw.c - gradient of a convolution by its weight: the sum over all pixels of y of dy by the
 * window of x. Pictures fall into a fixed number of chunks; a part sums some channels of dy over
 * some chunks, and the chunks' sums are added in their order, so that the number of parts changes
 * no bit. Within a chunk, blocks of pixels are summed in registers. With dtype bf16 (pass bf16) dy
 * and x are rounded, and a block of pixels is a product with sums in f32. */
#include "nn/conv_bf16.h"

enum {
  N_CHUNK = 8,          /* at most */
  BLOCK = 64,           /* pixels of y in a block */
  SUM_MAX = 512 * 1024, /* floats of the sums of all chunks, if two have no more */
  BAND_MAX = 48 * 1024, /* floats, if what is needed at least is no more */
  BLOCK_BF16 = VK_GEMM_KC,
  BAND_MAX_BF16 = 128 * 1024,
};

typedef struct plan {
  conv_shape s;
  conv_source x;
  int64_t k, pitch;          /* floats of a window; of a row of the band */
  int64_t n_picture, n_line; /* of a block: pictures, rows of y */
  int64_t band_rows;         /* of a picture in the band */
  int64_t n_chunk;
} plan;

/* Rows of x that n_line rows of y see. */
static int64_t rows_for(const conv_shape *s, int64_t n_line)
{
  return (n_line - 1) * s->stride + s->kernel;
}

/* Whatever the number of pictures in a run. */
static int64_t n_chunk_of(const plan *p)
{
  return conv_max(2, conv_min(N_CHUNK, SUM_MAX / conv_packed(p->s.o, p->k)));
}

static plan plan_of(const vk_op_call *c)
{
  plan p = {0};
  p.s = conv_shape_of(&c->in[1].shape, &c->in[0].shape, c->attr);
  const conv_shape *s = &p.s;
  int64_t block = vk_op_is_bf16(c) ? BLOCK_BF16 : BLOCK;
  int64_t band = vk_op_is_bf16(c) ? BAND_MAX_BF16 : BAND_MAX;
  p.x = (conv_source){.data = c->in[1].data,
                      .dtype = c->in[1].dtype,
                      .scale = (float)c->attr->scale,
                      .shift = (float)c->attr->shift,
                      .h = s->h,
                      .w = s->w,
                      .c = s->c,
                      .left = s->pad,
                      .right = s->pad};
  p.k = s->kernel * s->kernel * s->c;
  p.pitch = conv_pitch(&p.x);
  p.n_line = conv_min(conv_div_up(block, s->y_w), s->y_h);
  while (p.n_line > 1 && rows_for(s, p.n_line) * p.pitch > band)
    p.n_line--;
  p.n_line = conv_div_up(s->y_h, conv_div_up(s->y_h, p.n_line));
  p.band_rows = rows_for(s, p.n_line);
  p.n_picture = 1;
  if (p.n_line == s->y_h)
    p.n_picture = conv_max(1, conv_min(block / (s->y_h * s->y_w), band / (p.band_rows * p.pitch)));
  p.n_chunk = conv_min(n_chunk_of(&p), s->n);
  return p;
}

static int64_t band_floats(const plan *p)
{
  return conv_div_up(p->n_picture * p->band_rows * p->pitch, 16) * 16;
}

/* Of a part: a band, and in bf16 the same rounded. */
static int64_t part_floats(const vk_op_call *c, const plan *p)
{
  int64_t n = band_floats(p);
  return vk_op_is_bf16(c) ? n + conv_div_up(n, 32) * 16 : n;
}

/* Rows of a tile of n_v vectors at most. */
static int64_t rows_of(int n_v)
{
  return n_v == CONV_NV ? CONV_MR_WIDE : CONV_MR;
}

/* Adds what n_picture pictures from i on, rows [y0, y1) of y, give to a panel's sums. */
static void add_block(const vk_op_call *c, const plan *p, const float *band, conv_panel panel,
                      int64_t i, int64_t n_picture, int64_t y0, int64_t y1, float *sum,
                      conv_ahead ahead[2])
{
  const conv_shape *s = &p->s;
  int64_t n = s->kernel * s->c, n_tile = conv_div_up(n, rows_of(panel.n_v));
  conv_dot t = {.b = (const float *)c->in[0].data + (i * s->y_h + y0) * s->y_w * s->o + panel.j,
                .n = {n_picture, y1 - y0, s->y_w},
                .sa = {p->band_rows * p->pitch, s->stride * p->pitch, s->stride * s->c},
                .sb = {s->y_h * s->y_w * s->o, s->y_w * s->o, s->o},
                .n_last = panel.n_last};
  for (int64_t ky = 0; ky < s->kernel; ky++)
    for (int64_t k = 0; k < n_tile; k++) {
      int64_t q = n * k / n_tile, n_q = n * (k + 1) / n_tile - q;
      conv_ahead_step(&ahead[0]);
      conv_ahead_step(&ahead[1]);
      t.a = band + ky * p->pitch + q;
      t.sum = sum + (ky * n + q) * panel.n_v * VK_LANES;
      conv_dots[panel.n_v][n_q](&t);
    }
}

/* Panels [p0, p1) of a chunk. */
static void sum_chunk(const vk_op_call *c, const plan *p, int64_t i_chunk, int64_t p0, int64_t p1,
                      float *band)
{
  const conv_shape *s = &p->s;
  float *sum = (float *)c->scratch + i_chunk * conv_packed(s->o, p->k);
  for (int64_t k = p0; k < p1; k++) {
    conv_panel panel = conv_panel_at(s->o, k);
    memset(sum + panel.j * p->k, 0, sizeof *sum * (size_t)(p->k * panel.n_v * VK_LANES));
  }
  int64_t end = s->n * (i_chunk + 1) / p->n_chunk;
  conv_source dy = {.data = c->in[0].data, .h = s->y_h, .w = s->y_w, .c = s->o};
  for (int64_t i = s->n * i_chunk / p->n_chunk; i < end; i += p->n_picture) {
    int64_t n_picture = conv_min(p->n_picture, end - i);
    for (int64_t y = 0; y < s->y_h; y += p->n_line) {
      int64_t y1 = conv_min(y + p->n_line, s->y_h);
      for (int64_t k = 0; k < n_picture; k++)
        conv_fill_band(&p->x, i + k, y * s->stride - s->pad, rows_for(s, y1 - y),
                       band + k * p->band_rows * p->pitch);
      int64_t n_step = (p1 - p0) * s->kernel * conv_div_up(s->kernel * s->c, CONV_MR_WIDE);
      int64_t rows = (p->n_picture - 1) * s->y_h + p->n_line;
      conv_ahead ahead[2] = {
          conv_ahead_rows(&p->x, s->n, i + n_picture - 1, y1 * s->stride, rows * s->stride, n_step),
          conv_ahead_rows(&dy, s->n, i + n_picture - 1, y1, rows, n_step)};
      for (int64_t k = p0; k < p1; k++) {
        conv_panel panel = conv_panel_at(s->o, k);
        add_block(c, p, band, panel, i, n_picture, y, y1, sum + panel.j * p->k, ahead);
      }
    }
  }
}

/* dw[j + o, channel, tap] for the columns of a panel: the chunks' sums. */
static void combine(const vk_op_call *c, const plan *p, conv_panel panel, int64_t channel)
{
  const conv_shape *s = &p->s;
  int64_t n_tap = s->kernel * s->kernel, width = panel.n_v * VK_LANES;
  int64_t n = (panel.n_v - 1) * VK_LANES + panel.n_last, step = conv_packed(s->o, p->k);
  float *dw = (float *)c->out[0].data + (panel.j * s->c + channel) * n_tap;
  for (int64_t tap = 0; tap < n_tap; tap++) {
    const float *in = (const float *)c->scratch + panel.j * p->k + (tap * s->c + channel) * width;
    float row[CONV_NV * VK_LANES];
    for (int64_t j = 0; j < width; j += VK_LANES) {
      vf sum = vf_zero();
      for (int64_t i = 0; i < p->n_chunk; i++)
        sum = sum + vf_load(in + i * step + j);
      vf_store(row + j, sum);
    }
    for (int64_t j = 0; j < n; j++)
      dw[j * p->k + tap] = row[j];
  }
}

/* ---- in bfloat16 ------------------------------------------------------------------------------
 */

/* Columns [j0, j1) of a chunk's sums [o, kernel, kernel, c]. */
static void sum_chunk_bf16(const vk_op_call *c, const plan *p, int64_t i_chunk, int64_t j0,
                           int64_t j1, float *band, void *scratch)
{
  const conv_shape *s = &p->s;
  int64_t begin = s->n * i_chunk / p->n_chunk, end = s->n * (i_chunk + 1) / p->n_chunk;
  uint16_t *rounded = (uint16_t *)(void *)(band + band_floats(p));
  conv_windows w = {.at = rounded,
                    .n_x = s->y_w,
                    .step_x = s->stride * s->c,
                    .step_y = s->stride * p->pitch,
                    .step = p->band_rows * p->pitch,
                    .pitch = p->pitch,
                    .kc = s->kernel * s->c,
                    .first = j0};
  vk_gemm g = {.m = s->o,
               .n = j1 - j0,
               .lda = s->o,
               .a_trans = true,
               .fill_b_bf16 = conv_fill_windows,
               .fill_b_arg = &w,
               .c = (float *)c->scratch + i_chunk * conv_packed(s->o, p->k) + j0,
               .ldc = p->k,
               .ldr = p->k};
  conv_source dy = {.data = c->in[0].data, .h = s->y_h, .w = s->y_w, .c = s->o};
  for (int64_t i = begin; i < end; i += p->n_picture)
    for (int64_t y = 0; y < s->y_h; y += p->n_line) {
      int64_t n_picture = conv_min(p->n_picture, end - i);
      w.n_y = conv_min(p->n_line, s->y_h - y);
      for (int64_t k = 0; k < n_picture; k++) {
        conv_fill_rounded(c, &p->x, i + k, y * s->stride - s->pad, rows_for(s, w.n_y),
                          band + k * w.step, rounded + k * w.step);
      }
      g.k = n_picture * w.n_y * s->y_w;
      int64_t rows = (p->n_picture - 1) * s->y_h + p->n_line, last = i + n_picture - 1;
      int64_t n_step = conv_div_up(g.k, 64) * conv_div_up(g.n, VK_GEMM_PANEL);
      w.ahead[0] =
          conv_ahead_rows(&p->x, s->n, last, (y + w.n_y) * s->stride, rows * s->stride, n_step);
      w.ahead[1] = conv_ahead_rows(&dy, s->n, last, y + w.n_y, rows, n_step);
      g.a = (const float *)c->in[0].data + (i * s->y_h + y) * s->y_w * s->o;
      vk_op_bf16_path(c->attr)->run(&g, NULL, scratch, 0, 1);
      g.residual = g.c;
    }
}

/* Parts of the columns so that parts of the chunks are equal. */
static int64_t n_split_of(const plan *p, int n_part)
{
  int64_t a = p->n_chunk, b = n_part;
  while (b) {
    int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return conv_min(n_part / a, conv_div_up(p->k, VK_GEMM_PANEL));
}

static void sum_bf16(const vk_op_call *c, const plan *p, float *band, void *scratch)
{
  if (p->n_chunk == 0)
    return;
  int64_t n_split = n_split_of(p, c->n_part), n_panel = conv_div_up(p->k, VK_GEMM_PANEL), i, end;
  vk_op_part(c, n_split * p->n_chunk, 1, &i, &end);
  while (i < end) {
    int64_t i_chunk = i / n_split, next = conv_min(end, (i_chunk + 1) * n_split);
    int64_t j0 = n_panel * (i - i_chunk * n_split) / n_split * VK_GEMM_PANEL;
    int64_t j1 = n_panel * (next - i_chunk * n_split) / n_split * VK_GEMM_PANEL;
    sum_chunk_bf16(c, p, i_chunk, j0, conv_min(j1, p->k), band, scratch);
    i = next;
  }
}

/* dw[o, c, kernel, kernel]: the chunks' sums. */
static void combine_bf16(const vk_op_call *c, const plan *p)
{
  const conv_shape *s = &p->s;
  int64_t n_tap = s->kernel * s->kernel, step = conv_packed(s->o, p->k), i, end;
  vk_op_part(c, s->o * n_tap, 1, &i, &end);
  for (; i < end; i++) {
    const float *in = (const float *)c->scratch + i * s->c;
    float *dw = (float *)c->out[0].data + i / n_tap * p->k + i % n_tap;
    for (int64_t channel = 0; channel < s->c; channel++) {
      float sum = 0;
      for (int64_t k = 0; k < p->n_chunk; k++)
        sum += in[k * step + channel];
      dw[channel * n_tap] = sum;
    }
  }
}

VK_OP_RUN(conv_dw)
{
  plan p = plan_of(c);
  float *bands = (float *)c->scratch + n_chunk_of(&p) * conv_packed(p.s.o, p.k);
  float *band = bands + c->i_part * part_floats(c, &p);
  if (vk_op_is_bf16(c)) {
    char *scratch = (char *)(bands + c->n_part * part_floats(c, &p));
    if (c->i_phase == 0)
      sum_bf16(c, &p, band, scratch + vk_op_bf16_scratch(c) * (size_t)c->i_part);
    else
      combine_bf16(c, &p);
    return;
  }
  int64_t n_panel = conv_n_panel(p.s.o), i, end;
  if (c->i_phase == 1) {
    vk_op_part(c, n_panel * p.s.c, 1, &i, &end);
    for (; i < end; i++)
      combine(c, &p, conv_panel_at(p.s.o, i / p.s.c), i % p.s.c);
    return;
  }
  vk_op_part(c, n_panel * p.n_chunk, 1, &i, &end);
  while (i < end) {
    int64_t i_chunk = i / n_panel, next = conv_min(end, (i_chunk + 1) * n_panel);
    sum_chunk(c, &p, i_chunk, i - i_chunk * n_panel, next - i_chunk * n_panel, band);
    i = next;
  }
}

#if VK_PATH_IS_BASE

#include "nn/op_rows.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  const vk_value *dy = c->in[0], *x = c->in[1];
  const vk_attrs *a = c->attr;
  VK_TRY(vk_conv_check(c, err));
  VK_TRY(vk_op_need(c, 0, VK_F32, 4, err));
  VK_TRY(x->dtype == VK_U8 ? vk_op_need(c, 1, VK_U8, 4, err) : vk_op_need_factor(c, 1, 4, err));
  if (x->shape.dim[3] < 1 || dy->shape.dim[3] < 1 || x->shape.dim[0] != dy->shape.dim[0] ||
      !vk_op_same_extent(x, dy) || x->shape.dim[1] + 2 * a->pad < a->kernel ||
      x->shape.dim[2] + 2 * a->pad < a->kernel ||
      vk_conv_size(x->shape.dim[1], a) != dy->shape.dim[1] ||
      vk_conv_size(x->shape.dim[2], a) != dy->shape.dim[2])
    return vk_op_fail(c, err, "these are not the result and the input of a convolution");
  c->out[0].dtype = VK_F32;
  c->out[0].extent = VK_NO_EXTENT;
  c->out[0].shape =
      vk_shape_of(4, (int)dy->shape.dim[3], (int)x->shape.dim[3], (int)a->kernel, (int)a->kernel);
  return VK_OK;
}

static void cost(const vk_op_call *c, vk_cost *cost)
{
  conv_shape s = conv_shape_of(&c->in[1].shape, &c->in[0].shape, c->attr);
  cost->macs = (double)vk_shape_n_item(&c->in[0].shape) * (double)(s.kernel * s.kernel * s.c);
}

static size_t scratch(const vk_op_call *c)
{
  plan p = plan_of(c);
  return sizeof(float) *
             (size_t)(n_chunk_of(&p) * conv_packed(p.s.o, p.k) + part_floats(c, &p) * c->n_part) +
         vk_op_bf16_scratch(c) * (size_t)c->n_part;
}

static void ref(const vk_op_call *c)
{
  conv_shape s = conv_shape_of(&c->in[1].shape, &c->in[0].shape, c->attr);
  double *out = c->out[0].data;
  for (int64_t k = 0; k < vk_shape_n_item(&c->out[0].shape); k++)
    out[k] = 0;
  vk_conv_ref(c, &s, (const int[]){CONV_Y, CONV_X, CONV_W});
}

static void example(vk_example *e)
{
  conv_shape s = vk_conv_example(e);
  vk_example_f32(e, vk_shape_of(4, (int)s.n, (int)s.y_h, (int)s.y_w, (int)s.o));
  vk_conv_example_x(e, &s);
}

const vk_op_def vk_op_conv_dw = {
    .name = "conv_dw",
    .help = "gradient of conv by w [o, c, kernel, kernel]; inputs dy, x; kernel, stride, pad; u8: "
            "x scale + shift",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .n_phase = 2,
    .n_case = VK_CONV_N_CASE,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .rtol = 2e-6,
    .atol = 4e-5,
    .tolerance = "sum over pixels in float, in blocks",
    .infer = infer,
    .cost = cost,
    .scratch = scratch,
    .ref = ref,
    .example = example,
};

#endif
