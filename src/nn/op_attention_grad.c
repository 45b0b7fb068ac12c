/* op_attention_grad.c - gradients of op attention. With p = exp(s - lse) and D = sum of dy y over a
 * query's channels: dv = p' dy, ds = p (dy v' - D), dq = ds k scale, dk = ds' q scale. Parts take
 * whole heads of segments, so sums over queries do not depend on their number.
 * With dtype bf16 (pass bf16) factors of products are rounded, and sums are f32.
 * Source: Dao et al. 2022, arXiv:2205.14135, algorithm 4. */
#include "nn/attention_kernel.h"

/* A part's scratch; pad: hd rounded up. */
typedef struct room {
  float *qt, *dyt; /* [panel][hd][ATTN_NR] */
  float *q, *dy;   /* [ATTN_QB][pad] */
  float *p, *ds;   /* [n_k][ATTN_QB] */
  float *k, *v;    /* [n_k][pad] */
  float *dk, *dv;  /* [n_k][pad] sums over the blocks of queries */
  float *minus;    /* [ATTN_QB] -lse log2 e */
  float *dot;      /* [ATTN_QB] D */
  float *scale;    /* [ATTN_QB] 1 / sqrt(hd) */
} room;

static int64_t pad_of(const attn *a)
{
  return (a->hd + ATTN_PAD - 1) / ATTN_PAD * ATTN_PAD;
}

static int64_t room_floats(const attn *a, int64_t n_k)
{
  return ATTN_QB * (4 * pad_of(a) + 3) + n_k * (2 * ATTN_QB + 4 * pad_of(a));
}

static room room_of(const attn *a, int64_t n_k, float *at)
{
  room m;
  int64_t pad = pad_of(a);
  float **block[] = {&m.qt, &m.dyt, &m.q, &m.dy}, **row[] = {&m.k, &m.v, &m.dk, &m.dv};
  for (int i = 0; i < 4; i++, at += ATTN_QB * pad)
    *block[i] = at;
  for (int i = 0; i < 4; i++, at += n_k * pad)
    *row[i] = at;
  m.p = at;
  m.ds = m.p + n_k * ATTN_QB;
  m.minus = m.ds + n_k * ATTN_QB;
  m.dot = m.minus + ATTN_QB;
  m.scale = m.dot + ATTN_QB;
  return m;
}

/* ---- tiles --------------------------------------------------------------------------------- */

/* p = 2^(factor k qt + minus); then ds = p (v dyt - dot). */
typedef void pair_fn(int64_t hd, const float *k, int64_t ld_k, const float *qt, float factor,
                     const float *bias, float *p, float *ds);
VK_INLINE void store_p(int m_r, int n_v, attn_tile c, float factor, const float *minus, float *p)
{
#pragma GCC unroll 16
  for (int r = 0; r < m_r; r++)
#pragma GCC unroll 16
    for (int v = 0; v < n_v; v++)
      vf_store(p + r * ATTN_QB + v * VK_LANES,
               attn_exp2(vf_fma(c[r][v], vf_set1(factor), vf_load(minus + v * VK_LANES))));
}
VK_INLINE void store_ds(int m_r, int n_v, attn_tile c, const float *dot, const float *p, float *ds)
{
#pragma GCC unroll 16
  for (int r = 0; r < m_r; r++)
#pragma GCC unroll 16
    for (int v = 0; v < n_v; v++) {
      int64_t at = r * ATTN_QB + v * VK_LANES;
      vf_store(ds + at, vf_load(p + at) * (c[r][v] - vf_load(dot + v * VK_LANES)));
    }
}
#define PAIR(m_r, n_v)                                                                             \
  static void p_##m_r##_##n_v(int64_t hd, const float *k, int64_t ld_k, const float *qt,           \
                              float factor, const float *minus, float *p, float *ds)               \
  {                                                                                                \
    attn_tile c;                                                                                   \
    (void)ds;                                                                                      \
    attn_clear(m_r, n_v, c);                                                                       \
    attn_by_row(m_r, n_v, hd, k, ld_k, qt, ATTN_NR, c);                                            \
    store_p(m_r, n_v, c, factor, minus, p);                                                        \
  }                                                                                                \
  static void ds_##m_r##_##n_v(int64_t hd, const float *v, int64_t ld_v, const float *dyt,         \
                               float factor, const float *dot, float *p, float *ds)                \
  {                                                                                                \
    attn_tile c;                                                                                   \
    (void)factor;                                                                                  \
    attn_clear(m_r, n_v, c);                                                                       \
    attn_by_row(m_r, n_v, hd, v, ld_v, dyt, ATTN_NR, c);                                           \
    store_ds(m_r, n_v, c, dot, p, ds);                                                             \
  }
ATTN_TILES(PAIR)
#define P_AT(m_r, n_v)  [m_r][n_v] = p_##m_r##_##n_v,
#define DS_AT(m_r, n_v) [m_r][n_v] = ds_##m_r##_##n_v,
static pair_fn *const p_table[ATTN_MR + 1][ATTN_NV + 1] = {ATTN_TILES(P_AT)};
static pair_fn *const ds_table[ATTN_MR + 1][ATTN_NV + 1] = {ATTN_TILES(DS_AT)};

/* sum[key] (from NULL: 0) + sum over queries of p[key, query] b[query], times scale, to out. */
typedef void over_queries_fn(int64_t n_q, const float *p, const float *b, int64_t pad,
                             const float *sum, const float *scale, float *out, int64_t ld,
                             int64_t n_c);
VK_INLINE void load_sum(int m_r, int n_v, attn_tile c, const float *sum, int64_t pad)
{
  attn_clear(m_r, n_v, c);
  if (sum)
#pragma GCC unroll 16
    for (int r = 0; r < m_r; r++)
#pragma GCC unroll 16
      for (int v = 0; v < n_v; v++)
        c[r][v] = vf_load(sum + r * pad + v * VK_LANES);
}
#define OVER_QUERIES(m_r, n_v)                                                                     \
  static void over_queries_##m_r##_##n_v(int64_t n_q, const float *p, const float *b, int64_t pad, \
                                         const float *sum, const float *scale, float *out,         \
                                         int64_t ld, int64_t n_c)                                  \
  {                                                                                                \
    attn_tile c;                                                                                   \
    load_sum(m_r, n_v, c, sum, pad);                                                               \
    attn_by_row(m_r, n_v, n_q, p, ATTN_QB, b, pad, c);                                             \
    attn_store(m_r, n_v, c, scale, out, ld, n_c);                                                  \
  }
ATTN_TILES(OVER_QUERIES)
#define OVER_QUERIES_AT(m_r, n_v) [m_r][n_v] = over_queries_##m_r##_##n_v,
static over_queries_fn *const over_queries_table[ATTN_MR + 1][ATTN_NV + 1] = {
    ATTN_TILES(OVER_QUERIES_AT)};

static const float one[ATTN_MR] = {1, 1, 1, 1,
#if defined(__AVX2__)
                                   1, 1,
#endif
#if defined(__AVX512F__)
                                   1, 1, 1, 1, 1,
                                   1, 1, 1
#endif
};

/* ---- a head of a segment ------------------------------------------------------------------- */

typedef struct work {
  const attn *a;
  room m;
  int64_t pad, n_k;
  const float *k, *v; /* rows ld_k apart */
  int64_t ld_k;
  float *dk, *dv; /* outputs, rows ld_kv apart */
} work;

static void probabilities(const work *w, int64_t n_q)
{
  const attn *a = w->a;
  const room *m = &w->m;
  float factor = m->scale[0] * ATTN_LOG2E;
  int h = attn_height(w->n_k, ATTN_MR);
  for (int64_t b = 0; b < n_q; b += ATTN_NR)
    for (int64_t i = 0; i < w->n_k; i += h) {
      int rows = attn_smaller(w->n_k - i, h), n_v = n_q - b > VK_LANES ? 2 : 1;
      float *p = m->p + i * ATTN_QB + b, *ds = m->ds + i * ATTN_QB + b;
      p_table[rows][n_v](a->hd, w->k + i * w->ld_k, w->ld_k, m->qt + b * a->hd, factor,
                         m->minus + b, p, ds);
      ds_table[rows][n_v](a->hd, w->v + i * w->ld_k, w->ld_k, m->dyt + b * a->hd, factor,
                          m->dot + b, p, ds);
    }
}

/* sum += p' b; the last time to out. */
static void over_queries(const work *w, int64_t n_q, const float *p, const float *b, float *sum,
                         const float *scale, float *out, bool is_first, bool is_last)
{
  int h = attn_height(w->n_k, ATTN_MR);
  int64_t ld = is_last ? w->a->ld_kv : w->pad, hd = w->a->hd;
  for (int64_t j = 0; j < hd; j += ATTN_NR)
    for (int64_t i = 0; i < w->n_k; i += h) {
      int n_v = hd - j > VK_LANES ? 2 : 1;
      float *at = sum + i * w->pad + j;
      over_queries_table[attn_smaller(w->n_k - i, h)][n_v](
          n_q, p + i * ATTN_QB, b + j, w->pad, is_first ? NULL : at, is_last ? scale : one,
          is_last ? out + i * ld + j : at, ld, is_last ? hd - j : ATTN_NR);
    }
}

/* D and -lse log2 e of up to ATTN_QB queries. */
static void load_sums(const vk_op_call *c, const attn *a, int64_t row, int64_t head, int64_t n_q,
                      float *dot, float *minus)
{
  const float *dy = (const float *)c->in[0].data + row * a->d + head * a->hd;
  const float *y = (const float *)c->in[1].data + row * a->d + head * a->hd;
  const float *lse = (const float *)c->in[2].data + row * a->n_head + head;
  for (int i = 0; i < ATTN_QB; i++) {
    vf sum = vf_zero();
    for (int64_t j = 0; j < a->hd && i < n_q; j += VK_LANES) {
      int n = attn_smaller(a->hd - j, VK_LANES);
      sum = vf_fma(vf_load_n(dy + i * a->d + j, n), vf_load_n(y + i * a->d + j, n), sum);
    }
    dot[i] = vf_sum(sum);
    minus[i] = i < n_q ? lse[i * a->n_head] * -ATTN_LOG2E : 0;
  }
}

/* What a block needs of its queries: D, -lse, and rows as the products want them. */
static void load_queries(const vk_op_call *c, const work *w, int64_t row, int64_t head, int64_t n_q)
{
  const attn *a = w->a;
  const room *m = &w->m;
  const float *dy = (const float *)c->in[0].data + row * a->d + head * a->hd;
  const float *q = (const float *)c->in[3].data + row * a->ld_q + head * a->hd;
  load_sums(c, a, row, head, n_q, m->dot, m->minus);
  attn_transpose(q, a->ld_q, n_q, a->hd, m->qt);
  attn_transpose(dy, a->d, n_q, a->hd, m->dyt);
  attn_copy(q, a->ld_q, n_q, a->hd, m->q, w->pad);
  attn_copy(dy, a->d, n_q, a->hd, m->dy, w->pad);
}

static void backward(const vk_op_call *c, const attn *a, const attn_segment *g, int64_t head,
                     float *scratch)
{
  int64_t at = g->k * a->ld_kv + a->off_k + head * a->hd;
  work w = {.a = a,
            .m = room_of(a, g->n_k, scratch),
            .pad = pad_of(a),
            .n_k = g->n_k,
            .k = (const float *)c->in[a->i_kv].data + at,
            .ld_k = a->ld_kv,
            .dk = (float *)c->out[a->i_kv - 3].data + at};
  w.v = w.k + a->off_v - a->off_k;
  w.dv = w.dk + a->off_v - a->off_k;
  float *dq = (float *)c->out[0].data + g->q * a->ld_q + head * a->hd;
  if (a->hd % VK_LANES || g->n_q > ATTN_QB) {
    attn_copy(w.k, w.ld_k, g->n_k, a->hd, w.m.k, w.pad);
    attn_copy(w.v, w.ld_k, g->n_k, a->hd, w.m.v, w.pad);
    w.k = w.m.k;
    w.v = w.m.v;
    w.ld_k = w.pad;
  }
  for (int i = 0; i < ATTN_QB; i++)
    w.m.scale[i] = 1.0f / sqrtf((float)a->hd);
  for (int64_t i = 0; i < g->n_q; i += ATTN_QB) {
    int64_t n_q = g->n_q - i < ATTN_QB ? g->n_q - i : ATTN_QB;
    bool is_first = i == 0, is_last = i + n_q == g->n_q;
    load_queries(c, &w, g->q + i, head, n_q);
    probabilities(&w, n_q);
    over_queries(&w, n_q, w.m.p, w.m.dy, w.m.dv, one, w.dv, is_first, is_last);
    over_queries(&w, n_q, w.m.ds, w.m.q, w.m.dk, w.m.scale, w.dk, is_first, is_last);
    attn_values(g->n_k, n_q, w.m.ds, w.k, w.ld_k, w.m.scale, dq + i * a->ld_q, a->ld_q, a->hd);
  }
}

/* ---- in bfloat16 ------------------------------------------------------------------------------
 */

static int64_t room_floats_bf16(int64_t n_k)
{
  return 2 * n_k * attn_ld_bf16(n_k) + 2 * ATTN_QB_BF16;
}

/* p = 2^(factor s + minus), ds = p (dp - dot); s lies where p will, dp where ds will. */
static void probabilities_bf16(int64_t n_k, int64_t n_q, int64_t ld, float factor,
                               const float *minus, const float *dot, float *p, float *ds)
{
  vf f = vf_set1(factor);
  for (int64_t i = 0; i < n_k; i++, p += ld, ds += ld)
    for (int64_t r = 0; r < n_q; r += VK_LANES) {
      vf x = attn_exp2(vf_fma(vf_load(p + r), f, vf_load(minus + r)));
      vf_store(p + r, x);
      vf_store(ds + r, x * (vf_load(ds + r) - vf_load(dot + r)));
    }
}

/* out[key] (from 0 if is_first) + scale sum over queries of p[key, query] b[query] */
static void add_queries_bf16(const vk_op_call *c, const attn *a, int64_t n_k, int64_t n_q,
                             const float *p, int64_t ld, attn_rows b, float scale, float *out,
                             bool is_first, void *scratch)
{
  const vk_gemm g = {.m = n_k,
                     .n = a->hd,
                     .k = n_q,
                     .a = p,
                     .lda = ld,
                     .b = b.f32,
                     .b_bf16 = b.bf16,
                     .ldb = b.ld,
                     .c = out,
                     .ldc = a->ld_kv,
                     .residual = is_first ? NULL : out,
                     .ldr = a->ld_kv,
                     .scale = scale};
  vk_op_bf16_path(c->attr)->run(&g, NULL, scratch, 0, 1);
}

/* A head of a segment of as many queries as keys. */
static void backward_bf16(const vk_op_call *c, const attn *a, const attn_segment *g, int64_t head,
                          float *at, void *scratch)
{
  int64_t at_k = g->k * a->ld_kv + a->off_k + head * a->hd, step = a->off_v - a->off_k;
  int64_t ld = attn_ld_bf16(g->n_q), hd = a->hd, n_k = g->n_k;
  attn_rows k = attn_rows_at(&c->in[a->i_kv], at_k, a->ld_kv);
  attn_rows v = attn_rows_at(&c->in[a->i_kv], at_k + step, a->ld_kv);
  float *dk = (float *)c->out[a->i_kv - 3].data + at_k;
  float *dot = at, *minus = dot + ATTN_QB_BF16, *p = minus + ATTN_QB_BF16, *ds = p + n_k * ld;
  float scale = 1.0f / sqrtf((float)hd);
  for (int64_t i = 0; i < g->n_q; i += ATTN_QB_BF16) {
    int64_t n_q = attn_smaller(g->n_q - i, ATTN_QB_BF16), row = g->q + i;
    attn_rows dy = attn_rows_at(&c->in[0], row * a->d + head * hd, a->d);
    attn_rows q = attn_rows_at(&c->in[3], row * a->ld_q + head * hd, a->ld_q);
    float *dq = (float *)c->out[0].data + row * a->ld_q + head * hd;
    for (int64_t b = 0; b < n_q; b += ATTN_QB)
      load_sums(c, a, row + b, head, attn_smaller(n_q - b, ATTN_QB), dot + b, minus + b);
    attn_scores_bf16(c, hd, k, n_k, q, n_q, p, ld, scratch);
    attn_scores_bf16(c, hd, v, n_k, dy, n_q, ds, ld, scratch);
    probabilities_bf16(n_k, n_q, ld, scale * ATTN_LOG2E, minus, dot, p, ds);
    add_queries_bf16(c, a, n_k, n_q, p, ld, dy, 1, dk + step, i == 0, scratch);
    add_queries_bf16(c, a, n_k, n_q, ds, ld, q, scale, dk, i == 0, scratch);
    attn_values_bf16(c, hd, ds, ld, n_k, k, scale, dq, a->ld_q, n_q, scratch);
  }
}

VK_OP_RUN(attention_grad)
{
  attn a = attn_of(c, 3);
  int64_t most = attn_most_keys(c, &a), begin, end;
  float *scratch = (float *)c->scratch + c->i_part * room_floats(&a, most);
  char *scratch_bf16 = (char *)c->scratch + vk_op_bf16_scratch(c) * (size_t)c->i_part;
  bool is_bf16 = vk_op_is_bf16(c);
  if (is_bf16)
    scratch = (float *)(void *)((char *)c->scratch + vk_op_bf16_scratch(c) * (size_t)c->n_part) +
              room_floats_bf16(most) * c->i_part;
  attn_check_segments(c, &a, most);
  if (a.seg && c->i_part == 0) {
    int64_t n_row = c->in[a.i_kv].shape.dim[0];
    vk_segments_clear_rest(a.seg, a.n_seg, n_row, a.ld_kv, c->out[a.i_kv - 3].data);
    if (!a.len_q)
      vk_segments_clear_rest(a.seg, a.n_seg, n_row, a.ld_q, c->out[0].data);
  }
  vk_op_part(c, a.n_seg * a.n_head, 1, &begin, &end);
  for (; begin < end; begin++) {
    attn_segment g = attn_segment_of(&a, begin / a.n_head);
    if (is_bf16)
      backward_bf16(c, &a, &g, begin % a.n_head, scratch, scratch_bf16);
    else
      backward(c, &a, &g, begin % a.n_head, scratch);
  }
}

#if VK_PATH_IS_BASE

#include "nn/op_rows.h"

static vk_status infer(const vk_infer *c, vk_err *err)
{
  for (int i = 0; i < 3; i++)
    VK_TRY(vk_op_need(c, i, VK_F32, 2, err));
  VK_TRY(attn_check(c, 3, err));
  const vk_value *kv = c->n_in > 4 ? c->in[4] : NULL;
  const vk_shape *q = &c->in[3]->shape, *lse = &c->in[2]->shape;
  vk_shape y = *q;
  if (!kv)
    y.dim[1] /= 3;
  if (!vk_shape_equal(&c->in[0]->shape, &y) || !vk_shape_equal(&c->in[1]->shape, &y) ||
      lse->dim[0] != y.dim[0] || lse->dim[1] != c->attr->n_head ||
      !vk_op_same_extent(c->in[0], c->in[3]) || !vk_op_same_extent(c->in[1], c->in[3]) ||
      !vk_op_same_extent(c->in[2], c->in[3]))
    return vk_op_fail(c, err, "dy, y and lse must be as attention makes them");
  vk_op_same(c, 0, 3);
  vk_op_same(c, 1, kv ? 4 : 3);
  c->out[0].dtype = c->out[1].dtype = VK_F32;
  if (!kv) {
    c->out[1].shape = vk_shape_of(1, 0);
    c->out[1].extent = VK_NO_EXTENT;
  }
  return VK_OK;
}

static void cost(const vk_op_call *c, vk_cost *cost)
{
  attn_cost(c, 3, 5, cost);
}

static size_t scratch(const vk_op_call *c)
{
  attn a = attn_of(c, 3);
  if (vk_op_is_bf16(c))
    return (size_t)c->n_part * (vk_op_bf16_scratch(c) +
                                sizeof(float) * (size_t)room_floats_bf16(attn_most_keys(c, &a)));
  return (size_t)(c->n_part * room_floats(&a, attn_most_keys(c, &a))) * sizeof(float);
}

/* Adds the gradients by one query and its keys of one head. */
static void ref_row(const vk_op_call *c, const attn *a, const attn_segment *g, int64_t i, int64_t h)
{
  const double *dy = (const double *)c->in[0].data + i * a->d + h * a->hd;
  const double *y = (const double *)c->in[1].data + i * a->d + h * a->hd;
  const double *q = (const double *)c->in[3].data + i * a->ld_q + h * a->hd;
  double lse = ((const double *)c->in[2].data)[i * a->n_head + h], dot = 0;
  double *dq = (double *)c->out[0].data + i * a->ld_q + h * a->hd;
  double scale = 1 / sqrt((double)a->hd);
  for (int64_t j = 0; j < a->hd; j++)
    dot += dy[j] * y[j];
  for (int64_t r = g->k; r < g->k + g->n_k; r++) {
    int64_t at = r * a->ld_kv + a->off_k + h * a->hd, step = a->off_v - a->off_k;
    const double *k = (const double *)c->in[a->i_kv].data + at, *v = k + step;
    double *dk = (double *)c->out[a->i_kv - 3].data + at, *dv = dk + step, s = 0, dp = 0;
    for (int64_t j = 0; j < a->hd; j++) {
      s += q[j] * k[j] * scale;
      dp += dy[j] * v[j];
    }
    double p = exp(s - lse), ds = p * (dp - dot) * scale;
    for (int64_t j = 0; j < a->hd; j++) {
      dv[j] += p * dy[j];
      dk[j] += ds * q[j];
      dq[j] += ds * k[j];
    }
  }
}

static void ref(const vk_op_call *c)
{
  attn a = attn_of(c, 3);
  for (int i = 0; i < 2; i++)
    for (int64_t k = 0; k < vk_shape_n_item(&c->out[i].shape); k++)
      ((double *)c->out[i].data)[k] = 0;
  for (int64_t s = 0; s < a.n_seg; s++) {
    attn_segment g = attn_segment_of(&a, s);
    for (int64_t i = g.q; i < g.q + g.n_q; i++)
      for (int64_t h = 0; h < a.n_head; h++)
        ref_row(c, &a, &g, i, h);
  }
}

/* As those of op_attention.c; lse is positive so that sums of p stay small. */
static void example(vk_example *e)
{
  vk_example forward = {.rng = e->rng, .is_large = e->is_large, .i_case = e->i_case};
  vk_op_attention.example(&forward);
  const vk_example_in *q = &forward.in[0];
  int m = (int)q->shape.dim[0];
  int d = (int)q->shape.dim[1] / (forward.in[1].is_used ? 1 : 3);
  vk_example_f32(e, vk_shape_of(2, m, d));
  vk_example_f32(e, vk_shape_of(2, m, d));
  vk_example_f32(e, vk_shape_of(2, m, (int)forward.attr.n_head));
  e->in[2].fill = VK_EXAMPLE_POSITIVE;
  for (int i = 0; i < forward.n_in; i++)
    e->in[e->n_in++] = forward.in[i];
  e->attr = forward.attr;
}

const vk_op_def vk_op_attention_grad = {
    .name = "attention_grad",
    .help = "gradients of attention by q (or q, k and v in one) and kv from dy, y, lse, q, kv, seg",
    .n_in_min = 4,
    .n_in_max = 6,
    .n_out = 2,
    .n_case = 6,
    .flags = VK_OP_NO_GRAD | VK_OP_HIDDEN,
    .rtol = 1e-5,
    .atol = 5e-4,
    .tolerance = "sums over up to 1,500 rows, of probabilities that the test's lse makes large",
    .infer = infer,
    .cost = cost,
    .scratch = scratch,
    .ref = ref,
    .example = example,
};

#endif
