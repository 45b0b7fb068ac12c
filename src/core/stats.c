#include "core/stats.h"

#include <math.h>

#include "core/err.h"

void vk_stats_wilson(int64_t n_success, int64_t n, double z, double *lo, double *hi)
{
  VK_ASSERT(n_success >= 0 && n_success <= n);
  *lo = 0;
  *hi = 1;
  if (n == 0)
    return;
  double p = (double)n_success / (double)n, z2_n = z * z / (double)n;
  double centre = (p + z2_n / 2) / (1 + z2_n);
  double half = z / (1 + z2_n) * sqrt(p * (1 - p) / (double)n + z2_n / 4 / (double)n);
  /* at the ends centre and half cancel, up to rounding */
  if (n_success > 0)
    *lo = fmax(0, centre - half);
  if (n_success < n)
    *hi = fmin(1, centre + half);
}

double vk_stats_mcnemar_exact(int64_t only_a, int64_t only_b)
{
  VK_ASSERT(only_a >= 0 && only_b >= 0);
  int64_t n = only_a + only_b, m = only_a < only_b ? only_a : only_b;
  if (2 * m == n)
    return 1;
  /* C(n, m) / 2^n as term * 2^exponent: neither overflows nor loses digits */
  double term = 1;
  int64_t exponent = -n;
  for (int64_t i = 1; i <= m; i++) {
    int e;
    term = frexp(term * ((double)(n - m + i) / (double)i), &e);
    exponent += e;
  }
  /* the tail, in units of its last and largest term */
  double ratio = 1, tail = 1;
  for (int64_t i = m; i > 0 && ratio > 1e-20; i--) {
    ratio *= (double)i / (double)(n - i + 1);
    tail += ratio;
  }
  if (exponent < -2000)
    return 0;
  return fmin(1, ldexp(2 * term * tail, (int)exponent));
}
