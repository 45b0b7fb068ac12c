/* op_attention.c - y = softmax(q k^T / sqrt(hd)) v in each segment of rows and each head, without a
 * matrix of all scores: a block of queries meets all keys of its segment in a part's scratch.
 * With dtype bf16 (pass bf16) factors of both products are rounded, and sums are f32.
 * Source: Vaswani et al. 2017, arXiv:1706.03762. */
#include "nn/attention_kernel.h"

/* A part's scratch, in floats; pad: hd rounded up. */
typedef struct room {
  float *qt;    /* [panel][hd][ATTN_NR] */
  float *s;     /* [n_k][ATTN_QB] */
  float *k, *v; /* [n_k][pad] */
  float *most;  /* [ATTN_QB] greatest score of a query */
  float *scale; /* [ATTN_QB] 1 / sum */
} room;

static int64_t pad_of(const attn *a)
{
  return (a->hd + ATTN_PAD - 1) / ATTN_PAD * ATTN_PAD;
}

static int64_t room_floats(const attn *a, int64_t n_k)
{
  return ATTN_QB * pad_of(a) + n_k * (ATTN_QB + 2 * pad_of(a)) + 2 * ATTN_QB;
}

static room room_of(const attn *a, int64_t n_k, float *at)
{
  room m = {.qt = at};
  m.most = m.qt + ATTN_QB * pad_of(a);
  m.scale = m.most + ATTN_QB;
  m.k = m.scale + ATTN_QB;
  m.v = m.k + n_k * pad_of(a);
  m.s = m.v + n_k * pad_of(a);
  return m;
}

/* s[key, query] = k qt, and the greatest so far of each query. */
typedef void scores_fn(int64_t hd, const float *k, int64_t ld_k, const float *qt, float *s,
                       float *most);
#define SCORES(m_r, n_v)                                                                           \
  static void scores_##m_r##_##n_v(int64_t hd, const float *k, int64_t ld_k, const float *qt,      \
                                   float *s, float *most)                                          \
  {                                                                                                \
    attn_tile c;                                                                                   \
    attn_clear(m_r, n_v, c);                                                                       \
    attn_by_row(m_r, n_v, hd, k, ld_k, qt, ATTN_NR, c);                                            \
    store_scores(m_r, n_v, c, s, most);                                                            \
  }
VK_INLINE void store_scores(int m_r, int n_v, attn_tile c, float *s, float *most)
{
#pragma GCC unroll 16
  for (int v = 0; v < n_v; v++) {
    vf x = vf_load(most + v * VK_LANES);
#pragma GCC unroll 16
    for (int r = 0; r < m_r; r++) {
      vf_store(s + r * ATTN_QB + v * VK_LANES, c[r][v]);
      x = vf_max(c[r][v], x);
    }
    vf_store(most + v * VK_LANES, x);
  }
}
ATTN_TILES(SCORES)
#define SCORES_AT(m_r, n_v) [m_r][n_v] = scores_##m_r##_##n_v,
static scores_fn *const scores_table[ATTN_MR + 1][ATTN_NV + 1] = {ATTN_TILES(SCORES_AT)};

static void scores(const attn *a, const room *m, const float *k, int64_t ld_k, int64_t n_k,
                   int64_t n_q)
{
  for (int i = 0; i < ATTN_QB; i++)
    m->most[i] = -INFINITY;
  int h = attn_height(n_k, ATTN_MR);
  for (int64_t p = 0; p < n_q; p += ATTN_NR)
    for (int64_t i = 0; i < n_k; i += h)
      scores_table[attn_smaller(n_k - i, h)][n_q - p > VK_LANES ? 2 : 1](
          a->hd, k + i * ld_k, ld_k, m->qt + p * a->hd, m->s + i * ATTN_QB + p, m->most + p);
}

/* s, rows ld apart, becomes exp(scaled s - the greatest); lse is a column of rows n_head apart. */
static void exponentials(const attn *a, const room *m, int64_t ld, int64_t n_k, int64_t n_q,
                         float *lse)
{
  float factor = 1.0f / sqrtf((float)a->hd), ln[ATTN_QB];
  vf f2 = vf_set1(factor * ATTN_LOG2E);
  for (int64_t q = 0; q < n_q; q += VK_LANES) {
    float *s = m->s + q;
    vf most = vf_load(m->most + q), minus = vf_neg(most * f2), sum = vf_zero();
    for (int64_t i = 0; i < n_k; i++) {
      vf e = attn_exp2(vf_fma(vf_load(s + i * ld), f2, minus));
      vf_store(s + i * ld, e);
      sum += e;
    }
    vf_store(m->scale + q, vf_set1(1.0f) / sum);
    vf_store(ln + q, vf_fma(most, vf_set1(factor), vf_log(sum)));
  }
  for (int64_t i = 0; i < n_q; i++)
    lse[i * a->n_head] = ln[i];
}

/* Blocks [b, end) of the queries of a segment for one head. */
static void attend(const vk_op_call *c, const attn *a, const attn_segment *g, int64_t head,
                   int64_t b, int64_t end, float *scratch)
{
  const float *q = (const float *)c->in[0].data + g->q * a->ld_q + head * a->hd;
  const float *k = (const float *)c->in[a->i_kv].data + g->k * a->ld_kv + a->off_k + head * a->hd;
  const float *v = k + a->off_v - a->off_k;
  const float *next_q = q + a->hd, *next_k = k + a->hd;
  float *y = (float *)c->out[0].data + g->q * a->d + head * a->hd;
  float *lse = (float *)c->out[1].data + g->q * a->n_head + head;
  int64_t ld_k = a->ld_kv, pad = pad_of(a);
  room m = room_of(a, g->n_k, scratch);
  /* Rows far apart fall on the same cache sets; for one block a copy does not pay. */
  if (a->hd % VK_LANES || g->n_q > ATTN_QB) {
    attn_copy(k, ld_k, g->n_k, a->hd, m.k, pad);
    attn_copy(v, ld_k, g->n_k, a->hd, m.v, pad);
    k = m.k;
    v = m.v;
    ld_k = pad;
  }
  for (; b < end; b++) {
    int64_t i = b * ATTN_QB, n_q = g->n_q - i < ATTN_QB ? g->n_q - i : ATTN_QB;
    if (g->n_k == 0) {
      for (int64_t r = i; r < i + n_q; r++) {
        memset(y + r * a->d, 0, (size_t)a->hd * sizeof *y);
        lse[r * a->n_head] = 0;
      }
      continue;
    }
    attn_transpose(q + i * a->ld_q, a->ld_q, n_q, a->hd, m.qt);
    if (head + 1 < a->n_head && g->n_q > ATTN_QB) {
      int64_t n_block = (g->n_q + ATTN_QB - 1) / ATTN_QB;
      attn_prefetch(next_q, a->ld_q, g->n_q, a->hd, b, n_block);
      attn_prefetch(next_k, a->ld_kv, g->n_k, a->hd, b, n_block);
      attn_prefetch(next_k + a->off_v - a->off_k, a->ld_kv, g->n_k, a->hd, b, n_block);
    }
    scores(a, &m, k, ld_k, g->n_k, n_q);
    exponentials(a, &m, ATTN_QB, g->n_k, n_q, lse + i * a->n_head);
    attn_values(g->n_k, n_q, m.s, v, ld_k, m.scale, y + i * a->d, a->d, a->hd);
  }
}

/* ---- in bfloat16 ------------------------------------------------------------------------------
 */

static int64_t room_floats_bf16(int64_t n_k)
{
  return n_k * attn_ld_bf16(n_k) + ATTN_QB_BF16 + ATTN_QB;
}

/* The greatest score of up to ATTN_QB queries, then exponentials. */
static void exponentials_bf16(const attn *a, const room *m, int64_t ld, int64_t n_k, int64_t n_q,
                              float *lse)
{
  for (int64_t q = 0; q < n_q; q += VK_LANES) {
    vf most = vf_set1(-INFINITY);
    for (int64_t i = 0; i < n_k; i++)
      most = vf_max(vf_load(m->s + i * ld + q), most);
    vf_store(m->most + q, most);
  }
  exponentials(a, m, ld, n_k, n_q, lse);
}

/* As attend, of a segment of as many queries as keys. */
static void attend_bf16(const vk_op_call *c, const attn *a, const attn_segment *g, int64_t head,
                        int64_t b, int64_t end, float *at, void *scratch)
{
  int64_t at_k = g->k * a->ld_kv + a->off_k + head * a->hd;
  attn_rows k = attn_rows_at(&c->in[a->i_kv], at_k, a->ld_kv);
  attn_rows v = attn_rows_at(&c->in[a->i_kv], at_k + a->off_v - a->off_k, a->ld_kv);
  int64_t last = g->n_q < end * ATTN_QB ? g->n_q : end * ATTN_QB, ld = attn_ld_bf16(g->n_q);
  room m = {.most = at, .scale = at + ATTN_QB, .s = at + ATTN_QB + ATTN_QB_BF16};
  for (int64_t i = b * ATTN_QB; i < last; i += ATTN_QB_BF16) {
    int64_t n_q = last - i < ATTN_QB_BF16 ? last - i : ATTN_QB_BF16;
    float *y = (float *)c->out[0].data + (g->q + i) * a->d + head * a->hd;
    float *lse = (float *)c->out[1].data + (g->q + i) * a->n_head + head;
    attn_rows q = attn_rows_at(&c->in[0], (g->q + i) * a->ld_q + head * a->hd, a->ld_q);
    attn_scores_bf16(c, a->hd, k, g->n_k, q, n_q, m.s, ld, scratch);
    for (int64_t r = 0; r < n_q; r += ATTN_QB) {
      const room block = {.most = m.most, .scale = m.scale + r, .s = m.s + r};
      exponentials_bf16(a, &block, ld, g->n_k, n_q - r < ATTN_QB ? n_q - r : ATTN_QB,
                        lse + r * a->n_head);
    }
    attn_values_bf16(c, a->hd, m.s, ld, g->n_k, v, 1, y, a->d, n_q, scratch);
    for (int64_t r = 0; r < n_q; r++)
      for (int64_t j = 0; j < a->hd; j++)
        y[r * a->d + j] *= m.scale[r];
  }
}

VK_OP_RUN(attention)
{
  attn a = attn_of(c, 0);
  int64_t most = attn_most_keys(c, &a), n_item = 0, at = 0, begin, end;
  float *scratch = (float *)c->scratch + c->i_part * room_floats(&a, most);
  char *scratch_bf16 = (char *)c->scratch + vk_op_bf16_scratch(c) * (size_t)c->i_part;
  bool is_bf16 = vk_op_is_bf16(c);
  if (is_bf16)
    scratch = (float *)(void *)((char *)c->scratch + vk_op_bf16_scratch(c) * (size_t)c->n_part) +
              room_floats_bf16(most) * c->i_part;
  attn_check_segments(c, &a, most);
  if (a.seg && !a.len_q && c->i_part == 0) {
    int64_t n_row = c->in[0].shape.dim[0];
    vk_segments_clear_rest(a.seg, a.n_seg, n_row, a.d, c->out[0].data);
    vk_segments_clear_rest(a.seg, a.n_seg, n_row, a.n_head, c->out[1].data);
  }
  for (int64_t s = 0; s < a.n_seg; s++)
    n_item += (attn_segment_of(&a, s).n_q + ATTN_QB - 1) / ATTN_QB * a.n_head;
  vk_op_part(c, n_item, 1, &begin, &end);
  for (int64_t s = 0; s < a.n_seg && at < end; s++) {
    attn_segment g = attn_segment_of(&a, s);
    int64_t n_block = (g.n_q + ATTN_QB - 1) / ATTN_QB;
    for (int64_t h = 0; h < a.n_head; h++, at += n_block) {
      int64_t first = begin > at ? begin - at : 0, last = end - at < n_block ? end - at : n_block;
      if (first < last && is_bf16)
        attend_bf16(c, &a, &g, h, first, last, scratch, scratch_bf16);
      else if (first < last)
        attend(c, &a, &g, h, first, last, scratch);
    }
  }
}

#if VK_PATH_IS_BASE

#include <stdlib.h>

static vk_status infer(const vk_infer *c, vk_err *err)
{
  VK_TRY(attn_check(c, 0, err));
  vk_op_same(c, 0, 0);
  vk_op_same(c, 1, 0);
  c->out[0].dtype = c->out[1].dtype = VK_F32;
  if (c->n_in < 2 || !c->in[1])
    c->out[0].shape.dim[1] /= 3;
  c->out[1].shape.dim[1] = c->attr->n_head;
  return VK_OK;
}

static void cost(const vk_op_call *c, vk_cost *cost)
{
  attn_cost(c, 0, 2, cost);
}

static size_t scratch(const vk_op_call *c)
{
  attn a = attn_of(c, 0);
  if (vk_op_is_bf16(c))
    return (size_t)c->n_part * (vk_op_bf16_scratch(c) +
                                sizeof(float) * (size_t)room_floats_bf16(attn_most_keys(c, &a)));
  return (size_t)(c->n_part * room_floats(&a, attn_most_keys(c, &a))) * sizeof(float);
}

/* One query of one head. */
static void ref_row(const attn *a, const attn_segment *g, const double *q, const double *k,
                    const double *v, double *y, double *lse)
{
  double most = -INFINITY, sum = 0;
  for (int64_t j = 0; j < a->hd; j++)
    y[j] = 0;
  *lse = 0;
  for (int pass = 0; pass < 2 && g->n_k; pass++)
    for (int64_t i = 0; i < g->n_k; i++) {
      double s = 0;
      for (int64_t j = 0; j < a->hd; j++)
        s += q[j] * k[i * a->ld_kv + j];
      s /= sqrt((double)a->hd);
      if (pass == 0) {
        most = s > most ? s : most;
        continue;
      }
      sum += exp(s - most);
      for (int64_t j = 0; j < a->hd; j++)
        y[j] += exp(s - most) * v[i * a->ld_kv + j];
    }
  for (int64_t j = 0; j < a->hd && g->n_k; j++)
    y[j] /= sum;
  if (g->n_k)
    *lse = most + log(sum);
}

static void ref(const vk_op_call *c)
{
  attn a = attn_of(c, 0);
  for (int i = 0; i < 2; i++)
    for (int64_t k = 0; k < vk_shape_n_item(&c->out[i].shape); k++)
      ((double *)c->out[i].data)[k] = 0;
  for (int64_t s = 0; s < a.n_seg; s++) {
    attn_segment g = attn_segment_of(&a, s);
    for (int64_t i = g.q; i < g.q + g.n_q; i++)
      for (int64_t h = 0; h < a.n_head; h++) {
        const double *k = (const double *)c->in[a.i_kv].data + g.k * a.ld_kv + a.off_k + h * a.hd;
        ref_row(&a, &g, (const double *)c->in[0].data + i * a.ld_q + h * a.hd, k,
                k + a.off_v - a.off_k, (double *)c->out[0].data + i * a.d + h * a.hd,
                (double *)c->out[1].data + i * a.n_head + h);
      }
  }
}

static void grad(vk_grad *c)
{
  const vk_node *n = c->node;
  vk_id kv = n->n_in > 1 ? n->in[1] : VK_NONE, seg = n->n_in > 2 ? n->in[2] : VK_NONE;
  c->dx[0] =
      VK_APPLY(c->g, attention_grad, VK_IN(c->dy[0], n->out[0], n->out[1], n->in[0], kv, seg),
               .n_head = n->attr.n_head, .len_q = n->attr.len_q, .len_k = n->attr.len_k,
               .max_k = n->attr.max_k);
  if (kv != VK_NONE)
    c->dx[1] = vk_graph_out(c->g, c->dx[0], 1);
}

/* 0: self in segments; 1: queries of a fixed number against segments; 2: both of fixed numbers;
 * 3: self of fixed numbers, wide; 4: self in long segments; 5: few queries against
 * one very long segment */
static void example(vk_example *e)
{
  int n_head = (int)vk_example_int(e, 1, 3), hd = (int)vk_example_int(e, 1, 20);
  int n_seg = (int)vk_example_int(e, 1, 4), n_row = (int)vk_example_int(e, 0, 90);
  if (e->i_case >= 3)
    hd = e->i_case == 3 ? 32 : 64;
  if (e->i_case == 4)
    n_seg = 2, n_row = 197;
  if (e->i_case == 5)
    n_head = 2, hd = 5, n_seg = 1, n_row = 1500;
  if (e->is_large)
    n_head = 4, hd = 64, n_seg = 32, n_row = 32 * 153;
  int d = n_head * hd;
  e->attr.n_head = n_head;
  if (e->i_case == 1 || e->i_case == 2)
    e->attr.len_q = e->is_large ? 8 : vk_example_int(e, 1, 40);
  if (e->i_case == 2 || e->i_case == 3) {
    e->attr.len_k = e->is_large ? 153 : vk_example_int(e, 1, 40);
    n_row = n_seg * (int)e->attr.len_k;
  }
  if (e->i_case == 5) /* and rows that are in no segment */
    e->attr.len_q = 3, e->attr.max_k = n_row, n_row += e->is_large ? 0 : 100;
  if (e->attr.len_q) {
    vk_example_f32(e, vk_shape_of(2, n_seg * (int)e->attr.len_q, d));
    vk_example_f32(e, vk_shape_of(2, n_row, 2 * d));
  } else {
    vk_example_f32(e, vk_shape_of(2, n_row, 3 * d));
    vk_example_none(e);
  }
  if (e->i_case < 2 && !e->is_large) /* rows in no segment */
    n_row -= (int)vk_example_int(e, 0, n_row < 3 ? n_row : 3);
  if (!e->attr.len_k)
    vk_example_i32(e, vk_shape_of(1, n_seg + 1), VK_EXAMPLE_SEGMENTS,
                   e->attr.max_k ? e->attr.max_k : n_row);
}

const vk_op_def vk_op_attention = {
    .name = "attention",
    .help = "y = softmax(q k' / sqrt(hd)) v by segment and head; inputs q [n, 3 d] or q [n, d], "
            "kv [m, 2 d], then seg of at most max_k rows each; outputs y [n, d], lse [n, n_head]",
    .n_in_min = 1,
    .n_in_max = 3,
    .n_out = 2,
    .n_case = 6,
    .rtol = 5e-6,
    .atol = 5e-6,
    .tolerance = "scores of up to 64 products in float, then an exponential of them",
    .infer = infer,
    .cost = cost,
    .scratch = scratch,
    .ref = ref,
    .grad = grad,
    .example = example,
};

#endif
