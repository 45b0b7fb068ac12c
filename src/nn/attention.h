/* attention.h - where queries, keys and values of an attention lie; for the ops attention and
 * attention_grad. Test: tests/unit/test_ops.c */
#ifndef VK_NN_ATTENTION_H
#define VK_NN_ATTENTION_H

#include "nn/op_bf16.h"
#include "nn/segments.h"

/* Offsets and distances in items. Row i, head h: q at i * ld_q + h * hd, k and v of the tensor
 * that holds them at i * ld_kv + off_k + h * hd, ... + off_v. */
typedef struct attn {
  int64_t d, hd, n_head, n_seg, len_q, len_k;
  int64_t ld_q, ld_kv, off_k, off_v;
  const int32_t *seg; /* NULL: len_k rows each */
  int i_kv;           /* input that holds keys and values */
} attn;

typedef struct attn_segment {
  int64_t k, n_k; /* first row and rows of the keys */
  int64_t q, n_q;
} attn_segment;

static inline bool attn_has(const vk_op_call *c, int i)
{
  return i < c->n_in && c->in[i].shape.n_dim > 0;
}

/* i_q: input q; kv and seg follow it. */
static inline attn attn_of(const vk_op_call *c, int i_q)
{
  bool is_self = !attn_has(c, i_q + 1);
  int64_t last = vk_shape_last(&c->in[i_q].shape);
  attn a = {.d = is_self ? last / 3 : last,
            .n_head = c->attr->n_head,
            .len_q = c->attr->len_q,
            .len_k = c->attr->len_k,
            .ld_q = last,
            .i_kv = is_self ? i_q : i_q + 1};
  a.hd = a.d / a.n_head;
  a.ld_kv = is_self ? last : 2 * a.d;
  a.off_k = is_self ? a.d : 0;
  a.off_v = a.off_k + a.d;
  if (attn_has(c, i_q + 2)) {
    a.seg = c->in[i_q + 2].data;
    a.n_seg = c->in[i_q + 2].shape.dim[0] - 1;
  } else {
    a.n_seg = c->in[a.i_kv].shape.dim[0] / a.len_k;
  }
  return a;
}

static inline attn_segment attn_segment_of(const attn *a, int64_t s)
{
  attn_segment r = {.k = s * a->len_k, .n_k = a->len_k};
  if (a->seg) {
    r.k = a->seg[s];
    r.n_k = a->seg[s + 1] - r.k;
  }
  r.q = a->len_q ? s * a->len_q : r.k;
  r.n_q = a->len_q ? a->len_q : r.n_k;
  return r;
}

/* Segments lie within the keys, and none has more than `most` rows, for which scratch is. */
static inline void attn_check_segments(const vk_op_call *c, const attn *a, int64_t most)
{
  if (!a->seg)
    return;
  vk_segments_check(a->seg, a->n_seg, c->in[a->i_kv].shape.dim[0]);
  for (int64_t s = 0; s < a->n_seg; s++)
    VK_ASSERT(a->seg[s + 1] - a->seg[s] <= most);
}

/* The most rows that a key segment may have in this call: scratch is for as many. */
static inline int64_t attn_most_keys(const vk_op_call *c, const attn *a)
{
  int64_t n = c->in[a->i_kv].shape.dim[0];
  if (!attn_has(c, a->i_kv + 1) && a->len_k)
    return a->len_k;
  return c->attr->max_k && c->attr->max_k < n ? c->attr->max_k : n;
}

#if VK_PATH_IS_BASE

/* q, kv and seg from input i_q on fit each other. */
static inline vk_status attn_check(const vk_infer *c, int i_q, vk_err *err)
{
  const vk_value *q = c->in[i_q];
  const vk_value *kv = i_q + 1 < c->n_in ? c->in[i_q + 1] : NULL;
  const vk_value *seg = i_q + 2 < c->n_in ? c->in[i_q + 2] : NULL;
  const vk_attrs *a = c->attr;
  VK_TRY(vk_op_need_factor(c, i_q, 2, err));
  if (a->dtype == VK_BF16 && a->len_q)
    return vk_op_fail(c, err, "dtype bf16 is for segments of as many queries as keys");
  int64_t last = q->shape.dim[1], d = kv ? last : last / 3;
  if (a->n_head <= 0 || d == 0 || d % a->n_head || (!kv && last % 3))
    return vk_op_fail(c, err, "rows do not divide into %lld heads%s", (long long)a->n_head,
                      kv ? "" : " of queries, keys and values");
  if (kv) {
    VK_TRY(vk_op_need_factor(c, i_q + 1, 2, err));
    if (kv->shape.dim[1] != 2 * d)
      return vk_op_fail(c, err, "rows of keys and values must have %lld items", 2 * (long long)d);
  }
  const vk_value *key = kv ? kv : q;
  int64_t n_seg = a->len_k > 0 ? key->shape.dim[0] / a->len_k : 0;
  if (seg) {
    VK_TRY(vk_op_need(c, i_q + 2, VK_I32, 1, err));
    n_seg = seg->shape.dim[0] - 1;
  } else if (a->len_k <= 0 || key->shape.dim[0] % a->len_k) {
    return vk_op_fail(c, err, "needs segments: an input or rows each (len_k)");
  }
  if (a->max_k && !seg)
    return vk_op_fail(c, err, "max_k bounds segments of an input; 0: as many rows as there are");
  if (n_seg < 0 || a->len_q < 0 || (a->len_q && !kv) ||
      q->shape.dim[0] != (a->len_q ? n_seg * a->len_q : key->shape.dim[0]))
    return vk_op_fail(c, err, "%lld segments do not give the rows of queries", (long long)n_seg);
  vk_extent e = key->extent;
  if (!seg && e.sym >= 0 && (e.per % a->len_k || e.plus % a->len_k))
    return vk_op_fail(c, err, "keys must come in segments of %lld", (long long)a->len_k);
  if (seg && seg->extent.sym >= 0 && seg->extent.plus < 1)
    return vk_op_fail(c, err, "offsets are one more than segments, in every run");
  if (a->len_q && seg)
    e = vk_graph_extent(seg->extent.sym, seg->extent.per * a->len_q,
                        (seg->extent.plus - 1) * a->len_q);
  else if (a->len_q)
    e = vk_graph_extent(e.sym, e.per / a->len_k * a->len_q, e.plus / a->len_k * a->len_q);
  if (q->extent.sym != e.sym ||
      (e.sym >= 0 && (q->extent.per != e.per || q->extent.plus != e.plus)))
    return vk_op_fail(c, err, "queries must have the extent that their segments give");
  return VK_OK;
}

static inline void attn_cost(const vk_op_call *c, int i_q, double n_product, vk_cost *cost)
{
  attn a = attn_of(c, i_q);
  double n_k = (double)c->in[a.i_kv].shape.dim[0], n_q = (double)c->in[i_q].shape.dim[0];
  cost->macs = a.n_seg ? n_product * n_q * n_k / (double)a.n_seg * (double)a.d : 0;
}

#endif
#endif
