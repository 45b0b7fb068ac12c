/* Small dense matrices: inverse and pseudo-inverse against their defining equations. */
#include "test.h"

#include "core/rng.h"
#include "sim/linalg.h"

enum { N = 7 };

static void random_spd(double *a, int n, vk_philox *rng)
{
  double b[N * N], bt[N * N];
  for (int i = 0; i < n * n; i++)
    b[i] = vk_philox_normal(rng);
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++)
      bt[j * n + i] = b[i * n + j];
  vk_mat_mul(a, b, bt, n, n, n);
}

static void test_inverse(void **state)
{
  vk_philox rng;
  vk_philox_init(&rng, 1, 0);
  for (int k = 0; k < 50; k++) {
    double a[N * N], inv[N * N], one[N * N];
    random_spd(a, N, &rng);
    vk_mat_inv(inv, a, N);
    vk_mat_mul(one, a, inv, N, N, N);
    for (int i = 0; i < N * N; i++)
      vk_assert_close(one[i], i % (N + 1) == 0, 1e-7, 0);
  }
}

static void test_inverse_needs_pivoting(void **state)
{
  const double a[4] = {0, 2, 4, 0}, want[4] = {0, 0.25, 0.5, 0};
  double inv[4];
  vk_mat_inv(inv, a, 2);
  for (int i = 0; i < 4; i++)
    vk_assert_close(inv[i], want[i], 1e-15, 0);
}

/* A P A = A and P A P = P hold for the pseudo-inverse of a rank-deficient matrix. */
static void test_pinv_of_singular(void **state)
{
  vk_philox rng;
  vk_philox_init(&rng, 2, 0);
  for (int k = 0; k < 50; k++) {
    double u[6], a[36], p[36], ap[36], apa[36], pa[36], pap[36];
    for (int i = 0; i < 6; i++)
      u[i] = vk_philox_normal(&rng);
    for (int i = 0; i < 36; i++)
      a[i] = u[i / 6] * u[i % 6] + (i / 6 == i % 6 && i / 6 < 4 ? 0.5 : 0);
    vk_mat_pinv_sym(p, a, 6);
    vk_mat_mul(ap, a, p, 6, 6, 6);
    vk_mat_mul(apa, ap, a, 6, 6, 6);
    vk_mat_mul(pa, p, a, 6, 6, 6);
    vk_mat_mul(pap, pa, p, 6, 6, 6);
    for (int i = 0; i < 36; i++) {
      vk_assert_close(apa[i], a[i], 1e-8, 1e-8);
      vk_assert_close(pap[i], p[i], 1e-8, 1e-7);
    }
  }
}

static void test_pinv_of_zero(void **state)
{
  double a[9] = {0}, p[9];
  vk_mat_pinv_sym(p, a, 3);
  for (int i = 0; i < 9; i++)
    vk_assert_close(p[i], 0, 0, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_inverse),
      cmocka_unit_test(test_inverse_needs_pivoting),
      cmocka_unit_test(test_pinv_of_singular),
      cmocka_unit_test(test_pinv_of_zero),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
