#include "nn/action_codec.h"

#include <math.h>
#include <stdlib.h>

/* keeps the range of a dimension from being 0, in OpenVLA's formula */
static const double margin = 1e-8;

double vk_action_edge(int b)
{
  return b == VK_ACTION_N_BIN - 1 ? 1 : b * (2.0 / (VK_ACTION_N_BIN - 1)) - 1;
}

double vk_action_centre(int64_t bin)
{
  int b = bin < 0 ? 0 : bin > VK_ACTION_N_BIN - 2 ? VK_ACTION_N_BIN - 2 : (int)bin;
  return (vk_action_edge(b) + vk_action_edge(b + 1)) / 2;
}

double vk_action_centre_between(double bin)
{
  if (!(bin > 0))
    return vk_action_centre(0);
  if (bin >= VK_ACTION_N_BIN - 2)
    return vk_action_centre(VK_ACTION_N_BIN - 2);
  int below = (int)bin;
  double from = vk_action_centre(below);
  return from + (bin - below) * (vk_action_centre(below + 1) - from);
}

int vk_action_bin(double x)
{
  if (x < -1)
    return 0;
  if (!(x < 1))
    return VK_ACTION_N_BIN - 1;
  /* a guess that rounding may put one off */
  int b = (int)((x + 1) * ((VK_ACTION_N_BIN - 1) / 2.0));
  while (b > 0 && vk_action_edge(b) > x)
    b--;
  while (b < VK_ACTION_N_BIN - 1 && vk_action_edge(b + 1) <= x)
    b++;
  return b;
}

vk_status vk_action_stats_check(const vk_action_stats *s, const char *what, vk_err *err)
{
  if (s->n_dim < 1 || s->n_dim > VK_ACTION_DIM_MAX)
    return vk_fail(err, VK_E_SHAPE, "%s: %d dimensions, and there must be 1 to %d", what, s->n_dim,
                   VK_ACTION_DIM_MAX);
  for (int i = 0; i < s->n_dim; i++) {
    if (!s->is_scaled[i])
      continue;
    if (!isfinite(s->high[i] - s->low[i])) /* not if one of them is not */
      return vk_fail(err, VK_E_RANGE, "%s: dimension %d goes from %g to %g, which is no range",
                     what, i, s->low[i], s->high[i]);
    if (s->low[i] == s->high[i])
      return vk_fail(err, VK_E_RANGE,
                     "%s: q01 and q99 of dimension %d are both %.17g, so that it cannot be scaled: "
                     "use demonstrations in which it moves, or mask it",
                     what, i, s->low[i]);
    if (s->low[i] > s->high[i])
      return vk_fail(err, VK_E_RANGE, "%s: q01 of dimension %d is %g, above its q99 of %g", what, i,
                     s->low[i], s->high[i]);
  }
  return VK_OK;
}

static int compare(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Of n sorted numbers, between the two neighbours; numpy.quantile's default. */
static double quantile(const double *x, int64_t n, double q)
{
  double at = q * (double)(n - 1);
  int64_t i = (int64_t)at;
  if (i >= n - 1)
    return x[n - 1];
  double t = at - (double)i, step = x[i + 1] - x[i];
  return t >= 0.5 ? x[i + 1] - step * (1 - t) : x[i] + step * t;
}

vk_status vk_action_stats_from(vk_action_stats *s, int n_dim, int64_t n, const double *x,
                               const bool *is_scaled, vk_err *err)
{
  *s = (vk_action_stats){.n_dim = n_dim};
  if (n < 1 || n_dim < 1 || n_dim > VK_ACTION_DIM_MAX)
    return vk_fail(err, VK_E_SHAPE,
                   "statistics of %lld rows of %d numbers: there must be rows, of 1 to %d numbers",
                   (long long)n, n_dim, VK_ACTION_DIM_MAX);
  double *sorted = malloc((size_t)n * sizeof *sorted);
  if (!sorted)
    return vk_fail(err, VK_E_NOMEM, "statistics: no memory for %lld numbers", (long long)n);
  for (int i = 0; i < n_dim; i++) {
    for (int64_t k = 0; k < n; k++) {
      sorted[k] = x[k * n_dim + i];
      if (isfinite(sorted[k]))
        continue;
      vk_fail(err, VK_E_RANGE, "statistics: row %lld has %g in dimension %d", (long long)k,
              sorted[k], i);
      free(sorted);
      return VK_E_RANGE;
    }
    qsort(sorted, (size_t)n, sizeof *sorted, compare);
    s->low[i] = quantile(sorted, n, 0.01);
    s->high[i] = quantile(sorted, n, 0.99);
    s->is_scaled[i] = !is_scaled || is_scaled[i];
  }
  free(sorted);
  return vk_action_stats_check(s, "statistics", err);
}

double vk_action_scale(const vk_action_stats *s, int i, double x)
{
  double a = s->is_scaled[i] ? 2 * (x - s->low[i]) / (s->high[i] - s->low[i] + margin) - 1 : x;
  return a < -1 ? -1 : a > 1 ? 1 : a;
}

double vk_action_unscale(const vk_action_stats *s, int i, double a)
{
  return s->is_scaled[i] ? 0.5 * (a + 1) * (s->high[i] - s->low[i] + margin) + s->low[i] : a;
}

double vk_action_gripper_to_libero(double g)
{
  double x = 2 * g - 1;
  return x > 0 ? -1 : x < 0 ? 1 : 0;
}

double vk_action_gripper_from_libero(double x)
{
  return 1 - (x < 0 ? 0 : x > 1 ? 1 : x);
}

vk_status vk_action_encode(const vk_action_stats *s, int64_t n, const double *action, int32_t *bin,
                           vk_err *err)
{
  for (int64_t k = 0; k < n * s->n_dim; k++) {
    if (isnan(action[k]))
      return vk_fail(err, VK_E_RANGE, "dimension %lld of action %lld is NaN",
                     (long long)(k % s->n_dim), (long long)(k / s->n_dim));
    bin[k] = vk_action_bin(vk_action_scale(s, (int)(k % s->n_dim), action[k]));
  }
  return VK_OK;
}

void vk_action_decode(const vk_action_stats *s, int64_t n, const int32_t *bin, double *action)
{
  for (int64_t k = 0; k < n * s->n_dim; k++)
    action[k] = vk_action_unscale(s, (int)(k % s->n_dim), vk_action_centre(bin[k]));
}

void vk_action_decode_between(const vk_action_stats *s, int64_t n, const float *bin, double *action)
{
  for (int64_t k = 0; k < n * s->n_dim; k++)
    action[k] = vk_action_unscale(s, (int)(k % s->n_dim), vk_action_centre_between((double)bin[k]));
}
