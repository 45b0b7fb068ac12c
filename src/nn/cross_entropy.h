/* cross_entropy.h - what the loss and its gradient share: weights of rows, soft labels.
 *
 * For kernel files alone (simd.h). Test: tests/unit/test_ops.c */
#ifndef VK_NN_CROSS_ENTROPY_H
#define VK_NN_CROSS_ENTROPY_H

#include "nn/logits.h"

/* exp(-7^2 / 2) is 2e-11: beyond, labels count for nothing in floats. */
enum { VK_SOFT_N_SIGMA = 7, VK_SOFT_SIGMA_MAX = 32, VK_SOFT_REACH = 7 * 32 };

/* exp(-(i - t)^2 / (2 sigma^2)) at bell[reach + i - t]. */
typedef struct vk_soft_label {
  int64_t reach;
  float bell[2 * VK_SOFT_REACH + 1];
} vk_soft_label;

VK_INLINE void vk_soft_init(vk_soft_label *s, double sigma)
{
  s->reach = (int64_t)ceil(VK_SOFT_N_SIGMA * sigma);
  for (int64_t d = 0; d <= s->reach; d++)
    s->bell[s->reach + d] = s->bell[s->reach - d] =
        sigma > 0 ? (float)exp(-(double)(d * d) / (2 * sigma * sigma)) : 1.0f;
}

/* The bins with labels, and the sum of what stands there; with x also the labelled mean of x. */
VK_INLINE float vk_soft_sum(const vk_soft_label *s, const float *x, int64_t n, int64_t target,
                            int64_t *begin, int64_t *end, float *mean_x)
{
  *begin = target > s->reach ? target - s->reach : 0;
  *end = target + s->reach + 1 < n ? target + s->reach + 1 : n;
  vf sum = vf_zero(), sum_x = vf_zero();
  for (int64_t i = *begin; i < *end; i += VK_LANES) {
    int n_lane = *end - i < VK_LANES ? (int)(*end - i) : VK_LANES;
    vf q = vf_load_n(s->bell + s->reach + i - target, n_lane);
    sum += q;
    if (mean_x)
      sum_x += q * vf_load_n(x + i, n_lane);
  }
  float total = vf_sum(sum);
  if (mean_x)
    *mean_x = vf_sum(sum_x) / total;
  return total;
}

/* Weight of row i of n classes; rows whose target is no class do not count. */
VK_INLINE double vk_row_weight(const vk_attrs *attr, const float *weight, int32_t target, int64_t n,
                               int64_t i)
{
  if (target < 0 || target >= n)
    return 0;
  double w = weight ? weight[i] : 1;
  return attr->count && i % attr->count == attr->count - 1 ? w * attr->weight : w;
}

VK_INLINE double vk_row_weight_sum(const vk_attrs *attr, const float *weight, const int32_t *target,
                                   int64_t n, int64_t n_row)
{
  double sum = 0;
  for (int64_t i = 0; i < n_row; i++)
    sum += vk_row_weight(attr, weight, target[i], n, i);
  return sum;
}

#endif
