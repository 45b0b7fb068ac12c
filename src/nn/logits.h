/* logits.h - rows of logits, for the ops that turn them into losses, log-probabilities, entropies
 * and draws. A row is x[0 .. n - 1], read as scale * x[i]; entries below `least` do not count.
 *
 * For kernel files alone (simd.h). Test: tests/unit/test_ops.c */
#ifndef VK_NN_LOGITS_H
#define VK_NN_LOGITS_H

#include "nn/op.h"
#include "nn/simd.h"

/* Lanes of x from i on; what lies beyond n is -infinity. */
VK_INLINE vf vk_logits_load(const float *x, int64_t i, int64_t n)
{
  if (n - i >= VK_LANES)
    return vf_load(x + i);
  int n_lane = (int)(n - i);
  return vf_select(vm_first(n_lane), vf_load_n(x + i, n_lane), vf_set1(-INFINITY));
}

/* The greatest; NaN does not count. -infinity when there is none. */
VK_INLINE float vk_logits_max(const float *x, int64_t n)
{
  vf m0 = vf_set1(-INFINITY), m1 = m0;
  int64_t i = 0;
  for (; i + 2 * VK_LANES <= n; i += 2 * VK_LANES) {
    m0 = vf_max(vf_load(x + i), m0);
    m1 = vf_max(vf_load(x + i + VK_LANES), m1);
  }
  for (; i < n; i += VK_LANES)
    m0 = vf_max(vk_logits_load(x, i, n), m0);
  return vf_hmax(vf_max(m0, m1));
}

/* The first that is the greatest; 0 when all are NaN. */
VK_INLINE int64_t vk_logits_argmax(const float *x, int64_t n)
{
  vf m = vf_set1(vk_logits_max(x, n));
  for (int64_t i = 0; i < n; i += VK_LANES)
    if (vm_any(vf_eq(vk_logits_load(x, i, n), m)))
      for (int64_t j = i; j < n && j < i + VK_LANES; j++)
        if (vm_any(vf_eq(vf_set1(x[j]), m)))
          return j;
  return 0;
}

/* exp(scale (x - m)), 0 for what does not count. */
VK_INLINE vf vk_logits_exp(vf x, float m, float scale, float least)
{
  vf e = vf_exp((x - vf_set1(m)) * vf_set1(scale));
  return least > -INFINITY ? vf_select(vf_lt(x, vf_set1(least)), vf_zero(), e) : e;
}

/* Their sum, and the one of exp(.) scale (x - m) in *sum_x unless it is NULL. */
VK_INLINE float vk_logits_sum_exp(const float *x, int64_t n, float m, float scale, float least,
                                  float *sum_x)
{
  vf s0 = vf_zero(), s1 = vf_zero(), sx = vf_zero();
  int64_t i = 0;
  if (!sum_x)
    for (; i + 2 * VK_LANES <= n; i += 2 * VK_LANES) {
      s0 += vk_logits_exp(vf_load(x + i), m, scale, least);
      s1 += vk_logits_exp(vf_load(x + i + VK_LANES), m, scale, least);
    }
  for (; i < n; i += VK_LANES) {
    vf a = vk_logits_load(x, i, n), e = vk_logits_exp(a, m, scale, least);
    s0 += e;
    if (sum_x) /* -infinity has probability 0 and counts for nothing */
      sx += vf_select(vf_eq(e, vf_zero()), vf_zero(), e * ((a - vf_set1(m)) * vf_set1(scale)));
  }
  if (sum_x)
    *sum_x = vf_sum(sx);
  return vf_sum(s0 + s1);
}

/* A float's place in the order of all floats. */
VK_INLINE vi vk_logits_place(vi bits)
{
  return bits ^ ((bits >> 31) & vi_set1(INT32_MAX));
}

/* The k-th greatest of a row: entries below it do not count. -infinity unless 0 < k < n. */
VK_INLINE float vk_logits_least(const float *x, int64_t n, int64_t k)
{
  if (k <= 0 || k >= n)
    return -INFINITY;
  /* the last place at or above which there are k: lo has k of them, hi has not */
  int64_t lo = INT32_MIN, hi = (int64_t)INT32_MAX + 1;
  while (hi - lo > 1) {
    int64_t mid = lo + (hi - lo) / 2, n_above = 0;
    vi least = vi_set1((int32_t)mid), one = vi_set1(1), count = vi_set1(0);
    int64_t i = 0;
    for (; i + VK_LANES <= n; i += VK_LANES)
      count += (vk_logits_place(vf_bits(vf_load(x + i))) >= least) & one;
    int32_t lane[VK_LANES];
    vi_store(lane, count);
    for (int l = 0; l < VK_LANES; l++)
      n_above += lane[l];
    for (; i < n; i++) {
      int32_t bits;
      memcpy(&bits, x + i, sizeof bits);
      n_above += (bits ^ ((bits >> 31) & INT32_MAX)) >= mid;
    }
    if (n_above >= k)
      lo = mid;
    else
      hi = mid;
  }
  int32_t place = (int32_t)lo, bits = place ^ ((place >> 31) & INT32_MAX);
  float least;
  memcpy(&least, &bits, sizeof least);
  return least;
}

/* The first class up to which the probabilities of softmax(scale x) add up to more than u. */
VK_INLINE int64_t vk_logits_quantile(const float *x, int64_t n, float scale, float least, double u)
{
  float m = vk_logits_max(x, n), e[VK_LANES];
  double sum = 0, at = 0;
  for (int64_t j = 0; j < n; j += VK_LANES)
    sum += (double)vf_sum(vk_logits_exp(vk_logits_load(x, j, n), m, scale, least));
  if (!(sum > 0 && sum < INFINITY))
    return vk_logits_argmax(x, n);
  for (int64_t j = 0; j < n; j += VK_LANES) {
    vf lanes = vk_logits_exp(vk_logits_load(x, j, n), m, scale, least);
    double next = at + (double)vf_sum(lanes);
    if (next > u * sum) {
      int64_t last = j;
      vf_store(e, lanes);
      for (int64_t k = 0; k < VK_LANES && j + k < n; k++) {
        if (e[k] > 0)
          last = j + k;
        at += (double)e[k];
        if (at > u * sum)
          break;
      }
      return last;
    }
    at = next;
  }
  return vk_logits_argmax(x, n);
}

/* lse[r] = ln sum_i exp(scale x[r n + i]) of n_row <= VK_LANES rows; count: top-k, 0 for all. */
VK_INLINE void vk_logits_lse(const float *x, int n_row, int64_t n, float scale, int64_t count,
                             float *lse)
{
  float m[VK_LANES] = {0}, sum[VK_LANES] = {0};
  for (int r = 0; r < n_row; r++) {
    const float *row = x + r * n;
    m[r] = vk_logits_max(row, n);
    sum[r] = count ? vk_logits_sum_exp(row, n, m[r], scale, vk_logits_least(row, n, count), NULL)
                   : vk_logits_sum_exp(row, n, m[r], scale, -INFINITY, NULL);
  }
  vf_store_n(lse, vf_load(m) * vf_set1(scale) + vf_log(vf_load(sum)), n_row);
}

/* An optional input's data. */
VK_INLINE const void *vk_op_optional(const vk_op_call *c, int i)
{
  return c->n_in > i ? c->in[i].data : NULL;
}

/* The attribute scale, where 0 stands for 1. */
VK_INLINE double vk_op_scale(const vk_op_call *c)
{
  return c->attr->scale == 0 ? 1 : c->attr->scale;
}

#endif
