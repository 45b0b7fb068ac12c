/* stats.h - the statistics that results carry. Test: tests/unit/test_stats.c */
#ifndef VK_CORE_STATS_H
#define VK_CORE_STATS_H

#include <stdint.h>

#define VK_STATS_Z95 1.959963984540054 /* 97.5 % point of the standard normal */

/* Score interval of a success rate.
 *   n_success, n  0 <= n_success <= n; n = 0 gives [0, 1]
 *   z             normal quantile: VK_STATS_Z95 for 95 %
 *   lo, hi        out, in [0, 1]; exactly 0 when nothing, 1 when everything succeeded
 * Without continuity correction.
 * Source: Wilson 1927; Brown, Cai & DasGupta 2001, eq. 4. */
void vk_stats_wilson(int64_t n_success, int64_t n, double z, double *lo, double *hi);

/* Two-sided p-value of the exact McNemar test on paired outcomes.
 *   only_a, only_b  pairs in which only one side succeeded, >= 0
 * 2 P(X <= min) for X ~ Binomial(only_a + only_b, 1/2), at most 1; 1 when there is no such pair.
 * Source: McNemar 1947, with the binomial in place of its normal approximation. */
double vk_stats_mcnemar_exact(int64_t only_a, int64_t only_b);

#endif
