#if defined(__GNUC__) && !defined(__clang__) && !defined(__AVX2__)
/* gcc 12 packs the scalar sums of run_dot into vectors, and loads the row of b behind the last one
 * with it, of which it uses nothing: it may lie outside of the program. */
#pragma GCC optimize("no-tree-vectorize")
#endif

#include "nn/conv_kernel.h"

#include <string.h>

#define UNROLL _Pragma("GCC unroll 16")

/* ---- bands ---------------------------------------------------------------------------------- */

static void copy_u8(const uint8_t *in, int64_t n, float scale, float shift, float *out)
{
  int64_t i = 0;
#if defined(__AVX512F__)
  vf a = vf_set1(scale), b = vf_set1(shift);
  for (; i + 16 <= n; i += 16) {
    __m128i u = _mm_loadu_si128((const __m128i *)(const void *)(in + i));
    vf_store(out + i, vf_fma(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(u)), a, b));
  }
#elif defined(__AVX2__)
  vf a = vf_set1(scale), b = vf_set1(shift);
  for (; i + 8 <= n; i += 8) {
    __m128i u = _mm_loadl_epi64((const __m128i *)(const void *)(in + i));
    vf_store(out + i, vf_fma(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(u)), a, b));
  }
#endif
  for (; i < n; i++)
    out[i] = (float)in[i] * scale + shift;
}

void conv_fill_band(const conv_source *s, int64_t i, int64_t y, int64_t n, void *out)
{
  size_t size = s->dtype == VK_BF16 ? sizeof(uint16_t) : sizeof(float);
  size_t left = size * (size_t)(s->left * s->c), right = size * (size_t)(s->right * s->c);
  size_t row = size * (size_t)(s->w * s->c);
  char *to = out;
  for (int64_t r = 0; r < n; r++, to += left + row + right) {
    if (y + r < 0 || y + r >= s->h) {
      memset(to, 0, left + row + right);
      continue;
    }
    int64_t at = (i * s->h + y + r) * s->w * s->c;
    memset(to, 0, left);
    if (s->dtype == VK_U8)
      copy_u8((const uint8_t *)s->data + at, s->w * s->c, s->scale, s->shift,
              (float *)(void *)(to + left));
    else
      memcpy(to + left, (const char *)s->data + (size_t)at * size, row);
    memset(to + left + row, 0, right);
  }
}

void conv_pack(const float *in, int64_t n_r, int64_t stride_r, int64_t n_j, int64_t stride_j,
               int64_t width, float *out)
{
  for (int64_t r = 0; r < n_r; r++, in += stride_r, out += width) {
    for (int64_t j = 0; j < n_j; j++)
      out[j] = in[j * stride_j];
    for (int64_t j = n_j; j < width; j++)
      out[j] = 0;
  }
}

void conv_pack_weight(const vk_op_call *c, const float *w, const conv_shape *s, float *out)
{
  int64_t n_tap = s->kernel * s->kernel, k = n_tap * s->c, i, end;
  vk_op_part(c, conv_n_panel(s->o) * n_tap, 1, &i, &end);
  for (; i < end; i++) {
    conv_panel p = conv_panel_at(s->o, i / n_tap);
    int64_t tap = i % n_tap, width = p.n_v * VK_LANES;
    conv_pack(w + p.j * k + tap, s->c, n_tap, conv_min(width, s->o - p.j), k, width,
              out + p.j * k + tap * s->c * width);
  }
}

/* ---- tiles of pixels ------------------------------------------------------------------------ */

/* Three rows to a pointer: x86 addresses have one factor of 1, 2, 4 or 8. */
VK_INLINE void run_tile(const conv_tile *t, int m_r, int n_v)
{
  vf c[CONV_MR][CONV_NV], bv[CONV_NV];
  UNROLL for (int r = 0; r < m_r; r++) UNROLL for (int v = 0; v < n_v; v++) c[r][v] = vf_zero();
  const float *b = t->b;
  const char *ahead = t->ahead;
  int64_t sa = t->sa, kc = t->kc;
  for (int64_t i = 0; i < t->n_row; i++) {
    const float *a0 = t->a + i * t->a_row, *a1 = a0 + 3 * sa, *a2 = a0 + 6 * sa;
    for (int64_t q = 0; q < kc; q++, a0++, a1++, a2++, b += n_v * VK_LANES) {
      if (q % 4 == 0) {
        __builtin_prefetch(ahead, 0, 2);
        ahead += 64;
      }
      UNROLL for (int v = 0; v < n_v; v++) bv[v] = vf_load(b + v * VK_LANES);
      UNROLL for (int r = 0; r < m_r; r++)
      {
        vf ar = vf_set1((r < 3 ? a0 : r < 6 ? a1 : a2)[(r % 3) * sa]);
        UNROLL for (int v = 0; v < n_v; v++) c[r][v] = vf_fma(ar, bv[v], c[r][v]);
      }
    }
  }
  if (t->bias)
    UNROLL for (int v = 0; v < n_v; v++)
    {
      vf bias = vf_load_n(t->bias + v * VK_LANES, v + 1 < n_v ? VK_LANES : t->n_last);
      UNROLL for (int r = 0; r < m_r; r++) c[r][v] = c[r][v] + bias;
    }
  if (t->n_last == VK_LANES)
    UNROLL for (int r = 0; r < m_r; r++) UNROLL for (int v = 0; v < n_v; v++)
        vf_store(t->c + r * t->ldc + v * VK_LANES, c[r][v]);
  else
    UNROLL for (int r = 0; r < m_r; r++)
    {
      UNROLL for (int v = 0; v + 1 < n_v; v++) vf_store(t->c + r * t->ldc + v * VK_LANES, c[r][v]);
      vf_store_n(t->c + r * t->ldc + (n_v - 1) * VK_LANES, c[r][n_v - 1], t->n_last);
    }
}

/* ---- sums over pixels ----------------------------------------------------------------------- */

VK_INLINE void run_dot(const conv_dot *t, int m_r, int n_v, int is_whole)
{
  vf c[CONV_MR][CONV_NV], bv[CONV_NV];
  UNROLL for (int r = 0; r < m_r; r++) UNROLL for (int v = 0; v < n_v; v++) c[r][v] = vf_zero();
  int n_last = is_whole ? VK_LANES : t->n_last;
  for (int64_t i = 0; i < t->n[0]; i++)
    for (int64_t y = 0; y < t->n[1]; y++) {
      const float *a = t->a + i * t->sa[0] + y * t->sa[1];
      const float *b = t->b + i * t->sb[0] + y * t->sb[1];
      for (int64_t x = 0; x < t->n[2]; x++, a += t->sa[2], b += t->sb[2]) {
        UNROLL for (int v = 0; v + 1 < n_v; v++) bv[v] = vf_load(b + v * VK_LANES);
        bv[n_v - 1] = is_whole ? vf_load(b + (n_v - 1) * VK_LANES)
                               : vf_load_n(b + (n_v - 1) * VK_LANES, n_last);
        UNROLL for (int r = 0; r < m_r; r++)
        {
          vf ar = vf_set1(a[r]);
          UNROLL for (int v = 0; v < n_v; v++) c[r][v] = vf_fma(ar, bv[v], c[r][v]);
        }
      }
    }
  UNROLL for (int r = 0; r < m_r; r++) UNROLL for (int v = 0; v < n_v; v++)
  {
    float *sum = t->sum + (r * n_v + v) * VK_LANES;
    vf_store(sum, vf_load(sum) + c[r][v]);
  }
}

/* ---- a vector and a half ---------------------------------------------------------------------
 * 24 columns: the last eight of two rows share a vector. */

#if defined(__AVX512F__)

/* Lanes 0 to 7 of a, 8 to 15 of b. */
VK_INLINE vf join_halves(vf a, vf b)
{
  return _mm512_mask_blend_ps(0xff00, a, b);
}

/* One step: whole[r] += a[r] b, half[r / 2] += a[r], a[r + 1] by the eight columns behind. */
VK_INLINE void step_half(int m_r, vf whole[CONV_MR], vf half[CONV_MR / 2 + 1],
                         const vf a[CONV_MR + 1], const float *b)
{
  vf b0 = vf_load(b), b1 = _mm512_broadcast_f32x8(_mm256_loadu_ps(b + VK_LANES));
  UNROLL for (int r = 0; r < m_r; r += 2)
  {
    vf next = r + 1 < m_r ? a[r + 1] : a[r];
    whole[r] = vf_fma(a[r], b0, whole[r]);
    if (r + 1 < m_r)
      whole[r + 1] = vf_fma(next, b0, whole[r + 1]);
    half[r / 2] = vf_fma(join_halves(a[r], next), b1, half[r / 2]);
  }
}

VK_INLINE __m256 half_of(const vf half[CONV_MR / 2 + 1], int r)
{
  return r % 2 ? _mm512_extractf32x8_ps(half[r / 2], 1) : _mm512_castps512_ps256(half[r / 2]);
}

VK_INLINE void run_tile_half(const conv_tile *t, int m_r)
{
  vf whole[CONV_MR], half[CONV_MR / 2 + 1], a[CONV_MR + 1];
  UNROLL for (int r = 0; r < m_r; r++) whole[r] = half[r / 2] = vf_zero();
  const float *b = t->b;
  const char *ahead = t->ahead;
  int64_t sa = t->sa, kc = t->kc;
  for (int64_t i = 0; i < t->n_row; i++) {
    const float *a0 = t->a + i * t->a_row, *a1 = a0 + 3 * sa, *a2 = a0 + 6 * sa;
    for (int64_t q = 0; q < kc; q++, a0++, a1++, a2++, b += 2 * VK_LANES) {
      if (q % 4 == 0) {
        __builtin_prefetch(ahead, 0, 2);
        ahead += 64;
      }
      UNROLL for (int r = 0; r < m_r; r++) a[r] = vf_set1((r < 3   ? a0
                                                           : r < 6 ? a1
                                                                   : a2)[(r % 3) * sa]);
      step_half(m_r, whole, half, a, b);
    }
  }
  vf bias0 = vf_zero();
  __m256 bias1 = _mm256_setzero_ps();
  if (t->bias) {
    bias0 = vf_load(t->bias);
    bias1 = _mm256_loadu_ps(t->bias + VK_LANES);
  }
  UNROLL for (int r = 0; r < m_r; r++)
  {
    vf_store(t->c + r * t->ldc, whole[r] + bias0);
    _mm256_storeu_ps(t->c + r * t->ldc + VK_LANES, _mm256_add_ps(half_of(half, r), bias1));
  }
}

VK_INLINE void run_dot_half(const conv_dot *t, int m_r)
{
  vf whole[CONV_MR], half[CONV_MR / 2 + 1], ar[CONV_MR + 1];
  UNROLL for (int r = 0; r < m_r; r++) whole[r] = half[r / 2] = vf_zero();
  for (int64_t i = 0; i < t->n[0]; i++)
    for (int64_t y = 0; y < t->n[1]; y++) {
      const float *a = t->a + i * t->sa[0] + y * t->sa[1];
      const float *b = t->b + i * t->sb[0] + y * t->sb[1];
      for (int64_t x = 0; x < t->n[2]; x++, a += t->sa[2], b += t->sb[2]) {
        UNROLL for (int r = 0; r < m_r; r++) ar[r] = vf_set1(a[r]);
        step_half(m_r, whole, half, ar, b);
      }
    }
  UNROLL for (int r = 0; r < m_r; r++)
  {
    float *sum = t->sum + 2 * r * VK_LANES;
    vf_store(sum, vf_load(sum) + whole[r]);
    sum += VK_LANES;
    _mm256_storeu_ps(sum, _mm256_add_ps(_mm256_loadu_ps(sum), half_of(half, r)));
  }
}

#define IS_HALF(t, n_v) ((n_v) == 2 && (t)->n_last == VK_LANES / 2)
#else
#define IS_HALF(t, n_v)     0
#define run_tile_half(t, n) (void)0
#define run_dot_half(t, n)  (void)0
#endif

/* ---- one function for each size ------------------------------------------------------------- */

#if defined(__AVX512F__)
enum { IS_MASK_FREE = 1 }; /* loads of the first lanes take no longer than of all */
#else
enum { IS_MASK_FREE = 0 };
#endif

#define SIZE(m_r, n_v)                                                                             \
  static void tile_##m_r##_##n_v(const conv_tile *t)                                               \
  {                                                                                                \
    if (IS_HALF(t, n_v))                                                                           \
      run_tile_half(t, m_r);                                                                       \
    else                                                                                           \
      run_tile(t, m_r, n_v);                                                                       \
  }                                                                                                \
  static void dot_##m_r##_##n_v(const conv_dot *t)                                                 \
  {                                                                                                \
    if (IS_HALF(t, n_v))                                                                           \
      run_dot_half(t, m_r);                                                                        \
    else if (!IS_MASK_FREE && t->n_last == VK_LANES)                                               \
      run_dot(t, m_r, n_v, 1);                                                                     \
    else                                                                                           \
      run_dot(t, m_r, n_v, 0);                                                                     \
  }
#define SIZES(m_r) SIZE(m_r, 1) SIZE(m_r, 2) SIZE(m_r, 3)
SIZES(1)
SIZES(2)
SIZES(3)
SIZES(4)
#define ROWS_4(kind, n_v) NULL, kind##_1_##n_v, kind##_2_##n_v, kind##_3_##n_v, kind##_4_##n_v
#if defined(__AVX512F__)
SIZES(5)
SIZES(6)
SIZES(7)
SIZES(8)
SIZES(9)
#define ROWS(kind, n_v)                                                                            \
  ROWS_4(kind, n_v), kind##_5_##n_v, kind##_6_##n_v, kind##_7_##n_v, kind##_8_##n_v, kind##_9_##n_v
#define ROWS_WIDE ROWS
#elif defined(__AVX2__)
SIZE(5, 1)
SIZE(5, 2)
SIZE(6, 1)
SIZE(6, 2)
#define ROWS(kind, n_v)      ROWS_4(kind, n_v), kind##_5_##n_v, kind##_6_##n_v
#define ROWS_WIDE(kind, n_v) ROWS_4(kind, n_v)
#else
#define ROWS      ROWS_4
#define ROWS_WIDE ROWS_4
#endif

conv_tile_run *const conv_tiles[CONV_NV + 1][CONV_MR + 1] = {
    {NULL}, {ROWS(tile, 1)}, {ROWS(tile, 2)}, {ROWS_WIDE(tile, 3)}};
conv_dot_run *const conv_dots[CONV_NV + 1][CONV_MR + 1] = {
    {NULL}, {ROWS(dot, 1)}, {ROWS(dot, 2)}, {ROWS_WIDE(dot, 3)}};

/* ---- shapes --------------------------------------------------------------------------------- */

#if VK_PATH_IS_BASE

int64_t vk_conv_size(int64_t size, const vk_attrs *a)
{
  return (size + 2 * a->pad - a->kernel) / a->stride + 1;
}

vk_status vk_conv_check(const vk_infer *c, vk_err *err)
{
  const vk_attrs *a = c->attr;
  if (a->kernel < 1 || a->stride < 1 || a->pad < 0 || a->pad >= a->kernel)
    return vk_op_fail(c, err, "a kernel of %lld, stride %lld and pad %lld do not fit each other",
                      (long long)a->kernel, (long long)a->stride, (long long)a->pad);
  for (int i = 0; i < c->n_in; i++)
    if (c->in[i] && c->in[i]->dtype == VK_U8)
      return VK_OK;
  if (a->scale != 0 || a->shift != 0)
    return vk_op_fail(c, err, "scale and shift are for pictures of u8");
  return VK_OK;
}

conv_shape vk_conv_example(vk_example *e)
{
  static const int channel[2][5] = {{3, 24, 48, 96, 128}, {3, 32, 64, 128, 256}};
  int i_stage = e->i_case % 4, is_wide = e->i_case / 4;
  conv_shape s = {.kernel = 3, .stride = 2, .pad = 1};
  if (e->is_large) {
    s.n = 64;
    s.h = s.w = 128 >> i_stage;
    s.c = channel[is_wide][i_stage];
    s.o = channel[is_wide][i_stage + 1];
  } else {
    s.n = vk_example_int(e, 1, 3);
    s.h = vk_example_int(e, 1, 11);
    s.w = vk_example_int(e, 1, 24);
    s.c = i_stage ? vk_example_int(e, 1, 20) : 3;
    s.o = vk_example_int(e, 1, i_stage == 3 ? 24 : is_wide ? 120 : 40);
    int k = (int)vk_example_int(e, 0, 3); /* 24 is a case of its own */
    s.c = i_stage && k == 0 ? 24 : s.c;
    s.o = k == 1 ? 24 : s.o;
    if (i_stage == 2) { /* patches */
      s.kernel = s.stride = vk_example_int(e, 1, 4);
      s.pad = 0;
      if (is_wide) { /* of a vision transformer: 588 terms, more than VK_GEMM_KC */
        s.kernel = s.stride = 14;
        s.c = 3;
        s.o = vk_example_int(e, 1, 5);
        s.h += 14;
      }
    } else if (i_stage == 3) {
      s.kernel = vk_example_int(e, 1, 4);
      s.stride = vk_example_int(e, 1, 4);
      s.pad = vk_example_int(e, 0, s.kernel - 1);
    }
    s.h = conv_max(s.h, s.kernel);
    s.w = conv_max(s.w, s.kernel);
  }
  s.y_h = (s.h + 2 * s.pad - s.kernel) / s.stride + 1;
  s.y_w = (s.w + 2 * s.pad - s.kernel) / s.stride + 1;
  e->attr.kernel = s.kernel;
  e->attr.stride = s.stride;
  e->attr.pad = s.pad;
  return s;
}

void vk_conv_example_x(vk_example *e, const conv_shape *s)
{
  vk_shape x = vk_shape_of(4, (int)s->n, (int)s->h, (int)s->w, (int)s->c);
  if (s->c == 3) {
    e->attr.scale = 1 / 127.5;
    e->attr.shift = -1;
    vk_example_u8(e, x);
  } else {
    vk_example_f32(e, x);
  }
}

/* Of the pixel of x that a tap of item k of y sees: its first item, or -1 where that is padding. */
static int64_t conv_seen(const conv_shape *s, int64_t k, int64_t tap)
{
  int64_t x = k / s->o % s->y_w * s->stride - s->pad + tap % s->kernel;
  int64_t y = k / s->o / s->y_w % s->y_h * s->stride - s->pad + tap / s->kernel;
  int64_t i = k / s->o / s->y_w / s->y_h;
  return x < 0 || x >= s->w || y < 0 || y >= s->h ? -1 : ((i * s->h + y) * s->w + x) * s->c;
}

static double ref_item(const vk_op_call *c, int i_in, int64_t i)
{
  if (c->in[i_in].dtype == VK_U8)
    return ((const uint8_t *)c->in[i_in].data)[i] * c->attr->scale + c->attr->shift;
  return ((const double *)c->in[i_in].data)[i];
}

void vk_conv_ref(const vk_op_call *c, const conv_shape *s, const int of[3])
{
  double *out = c->out[0].data;
  int64_t n_tap = s->kernel * s->kernel;
  for (int64_t k = 0; k < s->n * s->y_h * s->y_w * s->o; k++)
    for (int64_t tap = 0; tap < n_tap; tap++) {
      int64_t first = conv_seen(s, k, tap);
      for (int64_t channel = 0; channel < s->c && first >= 0; channel++) {
        int64_t i[] = {[CONV_Y] = k,
                       [CONV_X] = first + channel,
                       [CONV_W] = (k % s->o * s->c + channel) * n_tap + tap};
        out[i[of[2]]] += ref_item(c, 0, i[of[0]]) * ref_item(c, 1, i[of[1]]);
      }
    }
}

#endif
