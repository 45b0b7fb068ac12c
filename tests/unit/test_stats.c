/* test_stats.c - against scipy 1.17 (binomtest and its proportion_ci) and exact fractions. */
#include "test.h"

#include "core/stats.h"

/* binomtest(k, n).proportion_ci(0.95, 'wilson') */
static void wilson(void **state)
{
  static const struct {
    int64_t k, n;
    double lo, hi;
  } want[] = {
      {0, 1, 0, 0.79345068562276255},
      {1, 1, 0.20654931437723745, 1},
      {0, 10, 0, 0.27753279986288926},
      {10, 10, 0.72246720013711085, 1},
      {3, 10, 0.10779126740630102, 0.60322185253885463},
      {2, 7, 0.082218924004056726, 0.64106554816738071},
      {1, 50, 0.0035392592716462223, 0.10495443589637814},
      {49, 50, 0.89504556410362179, 0.99646074072835378},
      {6377, 6500, 0.9774692174346884, 0.98411633774795648},
      {6500, 6500, 0.99940935540249298, 1},
      {123456, 1000000, 0.12281269653142284, 0.12410219641400437},
  };
  for (size_t i = 0; i < VK_COUNT(want); i++) {
    double lo, hi;
    vk_stats_wilson(want[i].k, want[i].n, VK_STATS_Z95, &lo, &hi);
    vk_assert_close(lo, want[i].lo, 0, 1e-13);
    vk_assert_close(hi, want[i].hi, 0, 1e-13);
  }
}

static void wilson_without_trials(void **state)
{
  double lo = -1, hi = -1;
  vk_stats_wilson(0, 0, VK_STATS_Z95, &lo, &hi);
  vk_assert_same_bits(lo, 0.0);
  vk_assert_same_bits(hi, 1.0);
}

/* The interval's ends are the rates at which the observation lies z standard errors away, which
 * is how it is defined; and mirrored counts give mirrored ends. */
static void wilson_by_its_definition(void **state)
{
  for (int64_t n = 1; n <= 60; n += 7)
    for (int64_t k = 0; k <= n; k++) {
      double lo, hi, lo_mirror, hi_mirror, p = (double)k / (double)n;
      vk_stats_wilson(k, n, 1.5, &lo, &hi);
      vk_stats_wilson(n - k, n, 1.5, &lo_mirror, &hi_mirror);
      vk_assert_close(lo, 1 - hi_mirror, 1e-15, 0);
      vk_assert_close(hi, 1 - lo_mirror, 1e-15, 0);
      assert_true(lo >= 0 && lo <= p && p <= hi && hi <= 1);
      vk_assert_close((p - lo) * (p - lo), 2.25 * lo * (1 - lo) / (double)n, 1e-14, 0);
      vk_assert_close((p - hi) * (p - hi), 2.25 * hi * (1 - hi) / (double)n, 1e-14, 0);
    }
}

/* min(1, 2 * sum(C(n, i) for i <= min(a, b)) / 2**n) in exact fractions */
static void mcnemar(void **state)
{
  static const struct {
    int64_t a, b;
    double p;
  } want[] = {
      {0, 0, 1},
      {0, 1, 1},
      {5, 5, 1},
      {0, 5, 0.0625},
      {1, 5, 0.21875},
      {2, 9, 0.0654296875},
      {12, 25, 0.047031027439516038},
      {100, 150, 0.001883300935076157},
      {1000, 1100, 0.030720707864242296},
      {3000, 3500, 5.929257521767724e-10},
      {0, 1000, 1.8665272370064378e-301},
      {499, 501, 0.9747749818216392},
  };
  for (size_t i = 0; i < VK_COUNT(want); i++) {
    vk_assert_close(vk_stats_mcnemar_exact(want[i].a, want[i].b), want[i].p, 0, 1e-12);
    vk_assert_same_bits(vk_stats_mcnemar_exact(want[i].a, want[i].b),
                        vk_stats_mcnemar_exact(want[i].b, want[i].a));
  }
  vk_assert_same_bits(vk_stats_mcnemar_exact(0, 1000000), 0.0);
}

/* For up to 62 pairs the sum is exact in integers. */
static void mcnemar_small(void **state)
{
  for (int n = 1; n <= 62; n++) {
    uint64_t c = 1, sum = 0;
    for (int m = 0; 2 * m < n; m++) {
      sum += c;
      double want = fmin(1, ldexp((double)sum, 1 - n));
      vk_assert_close(vk_stats_mcnemar_exact(m, n - m), want, 0, 1e-14);
      c = (uint64_t)((__extension__(unsigned __int128) c) * (unsigned)(n - m) / (unsigned)(m + 1));
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(wilson),
      cmocka_unit_test(wilson_without_trials),
      cmocka_unit_test(wilson_by_its_definition),
      cmocka_unit_test(mcnemar),
      cmocka_unit_test(mcnemar_small),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
