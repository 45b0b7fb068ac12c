/* op_conv_dx.c - gradient of a convolution by its input. Pixels of x whose row and column have the
 * same remainders by the stride see the same taps of the kernel: each such class is a convolution
 * of dy with stride 1, by the taps in reverse. Products with zeros between pixels are left out.
 * With dtype bf16 (pass bf16) dy and w are rounded, and sums are f32. */
#include "nn/conv_bf16.h"

/* Rows or columns r, r + stride, ... of x. Pixel r + stride * i is the sum over t < n_tap of tap
 * first + stride * t by pixel i + base - t of dy. */
typedef struct line {
  int64_t n, first, n_tap, base;
} line;

static line line_of(int64_t size, int64_t r, const conv_shape *s)
{
  line l = {.first = (r + s->pad) % s->stride};
  l.n = size > r ? (size - r - 1) / s->stride + 1 : 0;
  l.n_tap = l.first < s->kernel ? (s->kernel - 1 - l.first) / s->stride + 1 : 0;
  l.base = (r + s->pad - l.first) / s->stride;
  return l;
}

/* Zeros that dy needs before and behind its y_size pixels, over all remainders. */
static void find_margin(int64_t size, int64_t y_size, const conv_shape *s, int64_t *before,
                        int64_t *behind)
{
  *before = *behind = 0;
  for (int64_t r = 0; r < s->stride; r++) {
    line l = line_of(size, r, s);
    *before = conv_max(*before, l.n_tap - 1 - l.base);
    *behind = conv_max(*behind, l.n + l.base - y_size);
  }
}

typedef struct plan {
  conv_shape s;
  conv_source dy;
  int64_t pitch, top, deep; /* a band has `top` rows before row i of dy, and is deeper by `deep` */
  int64_t n_line;           /* rows of x of a class, at most */
  int64_t band;             /* floats of a band, if what it needs at least is no more */
} plan;

static plan plan_of(const vk_op_call *c)
{
  plan p = {.s = conv_shape_of(&c->out[0].shape, &c->in[0].shape, c->attr)};
  const conv_shape *s = &p.s;
  int64_t bottom;
  p.dy = (conv_source){.data = c->in[0].data, .h = s->y_h, .w = s->y_w, .c = s->o};
  find_margin(s->w, s->y_w, s, &p.dy.left, &p.dy.right);
  find_margin(s->h, s->y_h, s, &p.top, &bottom);
  p.pitch = conv_pitch(&p.dy);
  for (int64_t r = 0; r < s->stride; r++)
    p.deep = conv_max(p.deep, line_of(s->h, r, s).base);
  p.deep += p.top;
  p.n_line = conv_div_up(s->h, s->stride);
  p.band = vk_op_is_bf16(c) ? CONV_BAND_BF16 : CONV_BAND;
  return p;
}

static int64_t packed_floats(const conv_shape *s)
{
  return conv_packed(s->c, s->kernel * s->kernel * s->o);
}

static int64_t band_floats(const plan *p)
{
  return conv_div_up(conv_max(p->band, (p->deep + 1) * p->pitch), 16) * 16;
}

static int64_t band_rows(const plan *p, int n_part)
{
  int64_t n = p->band / p->pitch - p->deep;
  if (n_part > 1)
    n = conv_min(n, conv_div_up(p->s.n * p->n_line, n_part));
  return conv_max(1, conv_min(n, p->n_line));
}

/* Where the packed taps of a class begin: classes in order, ry first. */
static int64_t class_offset(const conv_shape *s, int64_t ry, int64_t rx)
{
  int64_t k = 0;
  for (int64_t i = 0; i < ry * s->stride + rx; i++)
    k += line_of(s->h, i / s->stride, s).n_tap * line_of(s->w, i % s->stride, s).n_tap;
  return conv_packed(s->c, k * s->o);
}

static void pack_class(const vk_op_call *c, const conv_shape *s, conv_panel p, int64_t ry,
                       int64_t rx)
{
  line v = line_of(s->h, ry, s), h = line_of(s->w, rx, s);
  int64_t n_tap = s->kernel * s->kernel, width = p.n_v * VK_LANES;
  const float *w = (const float *)c->in[1].data + p.j * n_tap;
  float *out = (float *)c->scratch + class_offset(s, ry, rx) + p.j * v.n_tap * h.n_tap * s->o;
  for (int64_t ty = v.n_tap - 1; ty >= 0; ty--)
    for (int64_t tx = h.n_tap - 1; tx >= 0; tx--, out += s->o * width)
      conv_pack(w + (v.first + ty * s->stride) * s->kernel + h.first + tx * s->stride, s->o,
                s->c * n_tap, conv_min(width, s->c - p.j), n_tap, width, out);
}

static void run_class(const vk_op_call *c, const plan *p, const float *band, int64_t picture,
                      int64_t i0, int64_t i1, int64_t ry, int64_t rx, conv_ahead *ahead)
{
  const conv_shape *s = &p->s;
  line v = line_of(s->h, ry, s), h = line_of(s->w, rx, s);
  int64_t k = v.n_tap * h.n_tap * s->o;
  i1 = conv_min(i1, v.n);
  for (int64_t i_panel = 0; i_panel < conv_n_panel(s->c); i_panel++) {
    conv_panel panel = conv_panel_at(s->c, i_panel);
    conv_tile t = {.b = (const float *)c->scratch + class_offset(s, ry, rx) + panel.j * k,
                   .sa = s->o,
                   .a_row = p->pitch,
                   .n_row = h.n_tap ? v.n_tap : 0,
                   .kc = h.n_tap * s->o,
                   .ldc = s->stride * s->c,
                   .n_last = panel.n_last};
    for (int64_t i = i0; i < i1; i++) {
      const float *row = band + (i - i0 + p->top + v.base - v.n_tap + 1) * p->pitch;
      float *dx = (float *)c->out[0].data + (picture * s->h + ry + i * s->stride) * s->w * s->c;
      for (int64_t x = 0; x < h.n; x += CONV_MR_TILE) {
        t.ahead = conv_ahead_next(ahead);
        t.a = row + (x + p->dy.left + h.base - h.n_tap + 1) * s->o;
        t.c = dx + (rx + x * s->stride) * s->c + panel.j;
        conv_tiles[panel.n_v][conv_min(CONV_MR_TILE, h.n - x)](&t);
      }
    }
  }
}

/* ---- in bfloat16 ------------------------------------------------------------------------------
 */

/* Bytes of the packed taps of the classes before one. */
static size_t class_bytes(const conv_shape *s, int64_t n_class)
{
  size_t n = 0;
  for (int64_t i = 0; i < n_class; i++) {
    line v = line_of(s->h, i / s->stride, s), h = line_of(s->w, i % s->stride, s);
    n += vk_gemm_bf16_packed_bytes(s->c, v.n_tap * h.n_tap * s->o);
  }
  return n;
}

/* Floats of a band's pixels of one class. */
static int64_t tile_floats(const plan *p)
{
  int64_t n = band_rows(p, 1) * conv_div_up(p->s.w, p->s.stride) * p->s.c;
  return conv_div_up(n, 16) * 16;
}

/* Of a part: a band, a tile, the band rounded. */
static int64_t floats_bf16(const plan *p)
{
  return band_floats(p) + tile_floats(p) + conv_div_up(band_floats(p), 32) * 16;
}

typedef struct taps {
  const float *w; /* of the first column */
  const conv_shape *s;
  line v, h;
} taps;

/* Row p is a channel of dy by a tap of the class, in reverse; column j a channel of x. */
static void fill_taps(void *arg, int64_t p, int64_t n_p, int64_t j, int64_t n_j, float *out,
                      int64_t stride)
{
  const taps *t = arg;
  const conv_shape *s = t->s;
  int64_t n_tap = s->kernel * s->kernel;
  for (int64_t q = 0; q < n_p; q++) {
    int64_t o = (p + q) % s->o, i = (p + q) / s->o;
    int64_t ty = t->v.n_tap - 1 - i / t->h.n_tap, tx = t->h.n_tap - 1 - i % t->h.n_tap;
    const float *w = t->w + (o * s->c + j) * n_tap + (t->v.first + ty * s->stride) * s->kernel +
                     t->h.first + tx * s->stride;
    for (int64_t r = 0; r < n_j; r++)
      out[q * stride + r] = w[r * n_tap];
  }
}

static void pack_bf16(const vk_op_call *c, const conv_shape *s)
{
  int64_t n_panel = conv_div_up(s->c, VK_GEMM_PANEL), i, end;
  vk_op_part(c, s->stride * s->stride * n_panel, 1, &i, &end);
  for (; i < end; i++) {
    int64_t i_class = i / n_panel, j = i % n_panel * VK_GEMM_PANEL;
    taps t = {.w = (const float *)c->in[1].data + j * s->kernel * s->kernel,
              .s = s,
              .v = line_of(s->h, i_class / s->stride, s),
              .h = line_of(s->w, i_class % s->stride, s)};
    const vk_gemm g = {.n = conv_min(VK_GEMM_PANEL, s->c - j),
                       .k = t.v.n_tap * t.h.n_tap * s->o,
                       .fill_b = fill_taps,
                       .fill_b_arg = &t};
    if (g.k > 0)
      vk_op_bf16_path(c->attr)->pack(&g, (char *)c->scratch + class_bytes(s, i_class) +
                                             vk_gemm_bf16_packed_bytes(j, g.k));
  }
}

/* Rows [i0, i1) of a class: a product into tile, whose rows then go where they belong. */
static void run_class_bf16(const vk_op_call *c, const plan *p, const uint16_t *band,
                           int64_t picture, int64_t i0, int64_t i1, int64_t i_class,
                           conv_ahead ahead[2], float *tile, void *scratch)
{
  const conv_shape *s = &p->s;
  int64_t ry = i_class / s->stride, rx = i_class % s->stride;
  line v = line_of(s->h, ry, s), h = line_of(s->w, rx, s);
  i1 = conv_min(i1, v.n);
  if (i1 <= i0 || h.n == 0)
    return;
  conv_windows w = {.at = band + (p->top + v.base - v.n_tap + 1) * p->pitch +
                          (p->dy.left + h.base - h.n_tap + 1) * s->o,
                    .n_x = h.n,
                    .n_y = i1 - i0,
                    .step_x = s->o,
                    .step_y = p->pitch,
                    .pitch = p->pitch,
                    .kc = h.n_tap * s->o,
                    .ahead = {ahead[0], ahead[1]}};
  const vk_gemm g = {.m = w.n_y * w.n_x,
                     .n = s->c,
                     .k = v.n_tap * w.kc,
                     .fill_a_bf16 = conv_fill_windows,
                     .fill_a_arg = &w,
                     .c = tile,
                     .ldc = s->c};
  if (g.k > 0)
    vk_op_bf16_path(c->attr)->run(&g, (char *)c->scratch + class_bytes(s, i_class), scratch, 0, 1);
  else
    memset(tile, 0, sizeof *tile * (size_t)(g.m * g.n));
  ahead[0] = w.ahead[0];
  ahead[1] = w.ahead[1];
  for (int64_t i = i0; i < i1; i++) {
    float *dx =
        (float *)c->out[0].data + ((picture * s->h + ry + i * s->stride) * s->w + rx) * s->c;
    for (int64_t x = 0; x < h.n; x++, dx += s->stride * s->c, tile += s->c)
      memcpy(dx, tile, sizeof *dx * (size_t)s->c);
  }
}

static void run_bf16(const vk_op_call *c, const plan *p)
{
  const conv_shape *s = &p->s;
  int64_t rows = band_rows(p, c->n_part), n_band = conv_div_up(p->n_line, rows), i, end;
  int64_t n_class = s->stride * s->stride, n_float = floats_bf16(p);
  char *bands = (char *)c->scratch + class_bytes(s, n_class);
  float *band = (float *)(void *)bands + n_float * c->i_part, *tile = band + band_floats(p);
  uint16_t *rounded = (uint16_t *)(void *)(tile + tile_floats(p));
  char *scratch = bands + sizeof(float) * (size_t)(n_float * c->n_part) +
                  vk_op_bf16_scratch(c) * (size_t)c->i_part;
  vk_op_part(c, s->n * n_band, 1, &i, &end);
  for (; i < end; i++) {
    int64_t i0 = i % n_band * rows, i1 = conv_min(i0 + rows, p->n_line);
    conv_fill_rounded(c, &p->dy, i / n_band, i0 - p->top, i1 - i0 + p->deep, band, rounded);
    int64_t n_step = n_class * conv_div_up((i1 - i0) * conv_div_up(s->w, s->stride), 16);
    conv_source dx = {.data = c->out[0].data, .h = s->h, .w = s->w, .c = s->c};
    conv_ahead ahead[2] = {
        conv_ahead_rows(&p->dy, s->n, i / n_band, i1 - p->top + p->deep, rows, n_step),
        conv_ahead_rows(&dx, s->n, i / n_band, i1 * s->stride, rows * s->stride, n_step)};
    for (int64_t k = 0; k < n_class; k++)
      run_class_bf16(c, p, rounded, i / n_band, i0, i1, k, ahead, tile, scratch);
  }
}

VK_OP_RUN(conv_dx)
{
  plan p = plan_of(c);
  if (vk_op_is_bf16(c)) {
    if (c->i_phase == 0)
      pack_bf16(c, &p.s);
    else
      run_bf16(c, &p);
    return;
  }
  const conv_shape *s = &p.s;
  int64_t n_class = s->stride * s->stride, i, end;
  if (c->i_phase == 0) {
    vk_op_part(c, conv_n_panel(s->c) * n_class, 1, &i, &end);
    for (; i < end; i++)
      pack_class(c, s, conv_panel_at(s->c, i / n_class), i % n_class / s->stride, i % s->stride);
    return;
  }
  int64_t rows = band_rows(&p, c->n_part), n_band = conv_div_up(p.n_line, rows);
  float *band = (float *)c->scratch + packed_floats(s) + band_floats(&p) * c->i_part;
  vk_op_part(c, s->n * n_band, 1, &i, &end);
  for (; i < end; i++) {
    int64_t i0 = i % n_band * rows, i1 = conv_min(i0 + rows, p.n_line);
    conv_fill_band(&p.dy, i / n_band, i0 - p.top, i1 - i0 + p.deep, band);
    int64_t n_tile =
        n_class * conv_n_panel(s->c) * (i1 - i0) * conv_div_up(s->w, s->stride * CONV_MR_TILE);
    conv_source dx = {.data = c->out[0].data, .h = s->h, .w = s->w, .c = s->c};
    conv_ahead ahead =
        conv_ahead_rows(&dx, s->n, i / n_band, i1 * s->stride, rows * s->stride, n_tile);
    for (int64_t k = 0; k < n_class; k++)
      run_class(c, &p, band, i / n_band, i0, i1, k / s->stride, k % s->stride, &ahead);
  }
}

#if VK_PATH_IS_BASE

static vk_status infer(const vk_infer *c, vk_err *err)
{
  const vk_value *dy = c->in[0], *w = c->in[1];
  const vk_attrs *a = c->attr;
  VK_TRY(vk_conv_check(c, err));
  VK_TRY(vk_op_need(c, 0, VK_F32, 4, err));
  VK_TRY(c->attr->isa == VK_PATH_GPU ? vk_op_need_factor(c, 1, 4, err)
                                     : vk_op_need(c, 1, VK_F32, 4, err));
  VK_TRY(vk_op_need_fixed(c, 1, err));
  if (w->shape.dim[0] < 1 || w->shape.dim[1] < 1 || w->shape.dim[0] != dy->shape.dim[3] ||
      w->shape.dim[2] != a->kernel || w->shape.dim[3] != a->kernel ||
      a->height + 2 * a->pad < a->kernel || a->width + 2 * a->pad < a->kernel ||
      vk_conv_size(a->height, a) != dy->shape.dim[1] ||
      vk_conv_size(a->width, a) != dy->shape.dim[2])
    return vk_op_fail(c, err, "these are not the result and the weight of a convolution");
  vk_op_same(c, 0, 0);
  c->out[0].shape =
      vk_shape_of(4, (int)dy->shape.dim[0], (int)a->height, (int)a->width, (int)w->shape.dim[1]);
  return VK_OK;
}

static void cost(const vk_op_call *c, vk_cost *cost)
{
  conv_shape s = conv_shape_of(&c->out[0].shape, &c->in[0].shape, c->attr);
  cost->macs = (double)vk_shape_n_item(&c->in[0].shape) * (double)(s.kernel * s.kernel * s.c);
}

static size_t scratch(const vk_op_call *c)
{
  plan p = plan_of(c);
  if (vk_op_is_bf16(c))
    return class_bytes(&p.s, p.s.stride * p.s.stride) +
           (sizeof(float) * (size_t)floats_bf16(&p) + vk_op_bf16_scratch(c)) * (size_t)c->n_part;
  return sizeof(float) * (size_t)(packed_floats(&p.s) + band_floats(&p) * c->n_part);
}

static void ref(const vk_op_call *c)
{
  conv_shape s = conv_shape_of(&c->out[0].shape, &c->in[0].shape, c->attr);
  double *out = c->out[0].data;
  for (int64_t k = 0; k < vk_shape_n_item(&c->out[0].shape); k++)
    out[k] = 0;
  vk_conv_ref(c, &s, (const int[]){CONV_Y, CONV_W, CONV_X});
}

static void example(vk_example *e)
{
  conv_shape s = vk_conv_example(e);
  e->attr.height = s.h;
  e->attr.width = s.w;
  vk_example_f32(e, vk_shape_of(4, (int)s.n, (int)s.y_h, (int)s.y_w, (int)s.o));
  vk_example_f32(e, vk_shape_of(4, (int)s.o, (int)s.c, (int)s.kernel, (int)s.kernel));
}

const vk_op_def vk_op_conv_dx = {
    .name = "conv_dx",
    .help = "gradient of conv by x [n, height, width, c]; inputs dy, w; height, width, kernel, "
            "stride, pad",
    .n_in_min = 2,
    .n_in_max = 2,
    .n_out = 1,
    .n_phase = 2,
    .n_case = VK_CONV_N_CASE,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .rtol = 2e-6,
    .atol = 3e-5,
    .tolerance = "one chain of at most kernel^2 o products in float",
    .infer = infer,
    .cost = cost,
    .scratch = scratch,
    .ref = ref,
    .example = example,
};

#endif
