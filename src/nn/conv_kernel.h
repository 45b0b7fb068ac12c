/* conv_kernel.h - what the convolution ops share, once a path.
 *
 * No column matrix: a pixel's window is, for each of its rows, one stretch of kernel * channel
 * floats of a picture [h, w, c], and the windows of neighbours lie stride * channel floats apart.
 * So rows of a picture are copied once into a band with zeros around them, and the inner loops read
 * windows there as the rows of a matrix.
 * Test: tests/unit/test_ops.c */
#ifndef VK_NN_CONV_KERNEL_H
#define VK_NN_CONV_KERNEL_H

#include <stdbool.h>

#include "nn/op.h"
#include "nn/simd.h"

/* Registers of a tile: rows (pixels, or floats of a window) by vectors of channels. At most CONV_MR
 * rows, and CONV_MR_WIDE of CONV_NV vectors; CONV_MR_TILE pixels, for pictures' rows are multiples
 * of 4 or 8. */
#if defined(__AVX512F__)
enum { CONV_MR = 9, CONV_MR_WIDE = 9, CONV_MR_TILE = 8, CONV_NV = 3 };
#elif defined(__AVX2__)
enum { CONV_MR = 6, CONV_MR_WIDE = 4, CONV_MR_TILE = 4, CONV_NV = 3 };
#else
enum { CONV_MR = 4, CONV_MR_WIDE = 4, CONV_MR_TILE = 4, CONV_NV = 3 };
#endif

enum { CONV_BAND = 24 * 1024 }; /* floats of a band, if what it needs at least is no more */

/* Sizes of a convolution; x is [n, h, w, c], y is [n, y_h, y_w, o]. */
typedef struct conv_shape {
  int64_t n, h, w, c, o, y_h, y_w, kernel, stride, pad;
} conv_shape;

static inline int64_t conv_min(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

static inline int64_t conv_max(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

static inline int64_t conv_div_up(int64_t a, int64_t b)
{
  return (a + b - 1) / b;
}

static inline conv_shape conv_shape_of(const vk_shape *x, const vk_shape *y, const vk_attrs *a)
{
  return (conv_shape){.n = x->dim[0],
                      .h = x->dim[1],
                      .w = x->dim[2],
                      .c = x->dim[3],
                      .o = y->dim[3],
                      .y_h = y->dim[1],
                      .y_w = y->dim[2],
                      .kernel = a->kernel,
                      .stride = a->stride,
                      .pad = a->pad};
}

/* n columns lie in panels of 1 to CONV_NV vectors, as equal as can be. */
typedef struct conv_panel {
  int64_t j;  /* first column */
  int n_v;    /* vectors */
  int n_last; /* columns of the last one */
} conv_panel;

static inline int64_t conv_n_panel(int64_t n)
{
  return conv_div_up(conv_div_up(n, VK_LANES), CONV_NV);
}

static inline conv_panel conv_panel_at(int64_t n, int64_t i)
{
  int64_t n_v = conv_div_up(n, VK_LANES), n_panel = conv_div_up(n_v, CONV_NV);
  int64_t begin = n_v * i / n_panel, end = n_v * (i + 1) / n_panel;
  return (conv_panel){.j = begin * VK_LANES,
                      .n_v = (int)(end - begin),
                      .n_last = (int)(conv_min(n, end * VK_LANES) - (end - 1) * VK_LANES)};
}

/* Floats of a matrix of k rows in panels, on any path. */
static inline int64_t conv_packed(int64_t n, int64_t k)
{
  return conv_div_up(n, 16) * 16 * k;
}

/* Bytes of weights as conv_pack_weight makes them. */
static inline size_t vk_conv_packed_bytes(int64_t n, int64_t k)
{
  return sizeof(float) * (size_t)conv_packed(n, k);
}

/* This part's share of the weights w [o, c, kernel, kernel] in panels. */
#define conv_pack_weight VK_KERNEL(vk_conv_pack_weight)
void conv_pack_weight(const vk_op_call *c, const float *w, const conv_shape *s, float *out);

/* Pictures with zeros around them. */
typedef struct conv_source {
  const void *data;   /* [n, h, w, c] */
  vk_dtype dtype;     /* f32, u8, bf16 */
  float scale, shift; /* of u8: value * scale + shift */
  int64_t h, w, c, left, right;
} conv_source;

static inline int64_t conv_pitch(const conv_source *s)
{
  return (s->left + s->w + s->right) * s->c;
}

/* Rows [y, y + n) of picture i, some of them outside it: out[n][left + w + right][c] in f32, or of
 * pictures in bf16 in that. */
#define conv_fill_band VK_KERNEL(vk_conv_fill_band)
void conv_fill_band(const conv_source *s, int64_t i, int64_t y, int64_t n, void *out);

/* Memory that will be read soon comes to the second cache bit by bit, while something is computed:
 * copying a band is nothing but waiting otherwise. */
typedef struct conv_ahead {
  const char *at, *end;
  int64_t step; /* bytes at a time */
} conv_ahead;

/* The bytes [at, at + n) in n_step steps. */
static inline conv_ahead conv_ahead_of(const void *at, int64_t n, int64_t n_step)
{
  const char *p = at;
  return (conv_ahead){.at = p, .end = p + n, .step = conv_div_up(conv_div_up(n, 64), n_step) * 64};
}

/* Where the next step begins, for a tile to read. */
static inline const char *conv_ahead_next(conv_ahead *a)
{
  const char *at = a->at;
  a->at += a->at < a->end ? a->step : 0;
  return at;
}

static inline void conv_ahead_step(conv_ahead *a)
{
  const char *end = a->end - a->at > a->step ? a->at + a->step : a->end;
  for (; a->at < end; a->at += 64)
    __builtin_prefetch(a->at, 0, 2);
}

/* Rows [y, y + n) of picture i, and what follows them if they are not all in it. */
static inline conv_ahead conv_ahead_rows(const conv_source *s, int64_t n_picture, int64_t i,
                                         int64_t y, int64_t n, int64_t n_step)
{
  int64_t row = s->w * s->c * (int64_t)vk_dtype_size(s->dtype), all = n_picture * s->h;
  int64_t begin = conv_min(conv_max(0, i * s->h + y), all), end = conv_min(begin + n, all);
  return conv_ahead_of((const char *)s->data + begin * row, (end - begin) * row, n_step);
}

/* out[r][j] for r < n_r and j < width: in[r * stride_r + j * stride_j], zero for j >= n_j. */
#define conv_pack VK_KERNEL(vk_conv_pack)
void conv_pack(const float *in, int64_t n_r, int64_t stride_r, int64_t n_j, int64_t stride_j,
               int64_t width, float *out);

/* c[r, j] = bias[j] + sum over rows i < n_row and q < kc of a[i * a_row + r * sa + q] b[i, q, j],
 * b [n_row][kc][n_v * VK_LANES]; one chain for each item. */
typedef struct conv_tile {
  const float *a, *b, *bias; /* bias may be NULL */
  int64_t sa, a_row, n_row, kc;
  float *c;
  int64_t ldc;
  int n_last;        /* columns of the last vector */
  const char *ahead; /* of what will be read soon, a line every fourth step of q */
} conv_tile;
typedef void conv_tile_run(const conv_tile *t);
/* By [n_v][pixels]. */
#define conv_tiles VK_KERNEL(vk_conv_tiles)
extern conv_tile_run *const conv_tiles[CONV_NV + 1][CONV_MR + 1];

/* sum[r][j] += sum over pictures, rows and pixels of a[r] b[j], r < m_r, j < n_v * VK_LANES; a and
 * b advance by these strides, as [picture, row, pixel]. Columns behind n_last are not read. */
typedef struct conv_dot {
  const float *a, *b;
  int64_t n[3], sa[3], sb[3];
  float *sum; /* rows n_v * VK_LANES apart */
  int n_last;
} conv_dot;
typedef void conv_dot_run(const conv_dot *t);
#define conv_dots VK_KERNEL(vk_conv_dots)
extern conv_dot_run *const conv_dots[CONV_NV + 1][CONV_MR + 1];

/* Shape rules that several ops check: a kernel, a stride and a pad that make sense, and the rows
 * and columns of y. */
VK_NODISCARD vk_status vk_conv_check(const vk_infer *c, vk_err *err);
int64_t vk_conv_size(int64_t size, const vk_attrs *a);

/* Sizes and attributes for an example; large: the four stages of a small model and of a larger one.
 * And its pictures, u8 where they have three channels. */
enum { VK_CONV_N_CASE = 8 };
conv_shape vk_conv_example(vk_example *e);
void vk_conv_example_x(vk_example *e, const conv_shape *s);

/* The reference of a convolution and of its gradients: adds all products of items of inputs 0 and 1
 * to the output. of: what inputs 0, 1 and the output are. */
enum { CONV_Y, CONV_X, CONV_W };
void vk_conv_ref(const vk_op_call *c, const conv_shape *s, const int of[3]);

#endif
