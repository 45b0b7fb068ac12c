/* test_simd.c - nn/simd.h on every path against libm in double, with nothing touched past the end.
 */
#include <stdlib.h>

#include "core/cpu.h"
#include "simd_ops.h"
#include "test.h"

enum { N = 1 << 16 };

static const simd_ops *ops[3];
static int n_ops;

static float bits_float(uint32_t u)
{
  float x;
  memcpy(&x, &u, sizeof x);
  return x;
}

static uint32_t float_bits(float x)
{
  uint32_t u;
  memcpy(&u, &x, sizeof u);
  return u;
}

static double gelu(double x)
{
  return x * 0.5 * erfc(-x * 0.70710678118654752440);
}

static double gelu_gradient(double x)
{
  return 0.5 * erfc(-x * 0.70710678118654752440) + x * exp(-0.5 * x * x) * 0.3989422804014326779;
}

/* x from lo to hi in N steps; allowed is rel |want| + abs */
static void sweep(simd_map_fn *fn, double (*want)(double), double lo, double hi, double abs,
                  double rel)
{
  static float x[N], y[N];
  for (int i = 0; i < N; i++)
    x[i] = (float)(lo + (hi - lo) * i / (N - 1));
  fn(y, x, N);
  for (int i = 0; i < N; i++)
    vk_assert_close(y[i], want((double)x[i]), abs, rel);
}

static void test_functions(void **state)
{
  const double ulp = 1.1920929e-7, denormal = 1.5e-45;
  for (int i = 0; i < n_ops; i++) {
    const simd_ops *o = ops[i];
    sweep(o->exp, exp, -104, 88.7, denormal, 1.5 * ulp);
    sweep(o->exp, exp, -1, 1, 0, 1.5 * ulp);
    sweep(o->exp, exp, -1e-4, 1e-4, 0, ulp);
    sweep(o->log, log, 1e-40, 1e-37, 0, 1.5 * ulp);
    sweep(o->log, log, 1e-6, 4, 0, 1.5 * ulp);
    sweep(o->log, log, 0.98, 1.02, 0, 1.5 * ulp);
    sweep(o->log, log, 4, 3e38, 0, 1.5 * ulp);
    sweep(o->erf, erf, -6, 6, 0, 3.5e-7);
    sweep(o->erf, erf, -1e-3, 1e-3, 0, 3.5e-7);
    sweep(o->erf, erf, -1e-37, 1e-37, denormal, 3.5e-7);
    /* 1 + erf cancels at -5: half of 5 times the error of erf remains */
    sweep(o->gelu, gelu, -12, 12, 9e-7, 3e-7);
    sweep(o->gelu_gradient, gelu_gradient, -12, 12, 3e-7, 3e-7);
    sweep(o->sqrt, sqrt, 0, 1e6, 0, 0.51 * ulp);
    sweep(o->round, rint, -1000.5, 1000.5, 0, 0);
    sweep(o->round, rint, -4e6, 4e6, 0, 0);
  }
}

static void test_special_values(void **state)
{
  for (int i = 0; i < n_ops; i++) {
    const simd_ops *o = ops[i];
    float x[8] = {0.0f, -0.0f, INFINITY, -INFINITY, NAN, 1e-45f, 3.4e38f, -3.4e38f}, y[8];
    o->exp(y, x, 8);
    assert_true(y[0] == 1 && y[1] == 1 && y[2] == INFINITY && y[3] == 0 && isnan(y[4]));
    assert_true(y[5] == 1 && y[6] == INFINITY && y[7] == 0);
    o->log(y, x, 8);
    assert_true(y[0] == -INFINITY && y[1] == -INFINITY && y[2] == INFINITY && isnan(y[3]));
    assert_true(isnan(y[4]) && isnan(y[7]));
    vk_assert_close(y[5], log((double)x[5]), 0, 2e-7);
    o->erf(y, x, 8);
    assert_true(y[0] == 0 && y[2] == 1 && y[3] == -1 && isnan(y[4]) && y[6] == 1 && y[7] == -1);
    o->abs(y, x, 8);
    assert_true(!signbit(y[1]) && y[3] == INFINITY && isnan(y[4]));
    o->neg(y, x, 8);
    assert_true(signbit(y[0]) && !signbit(y[1]) && y[2] == -INFINITY);
    o->exp(y, (const float[]){88.73f, 89.0f, -87.5f, -103.9f, -104.1f}, 5);
    assert_true(y[0] == INFINITY && y[1] == INFINITY && y[2] > 0 && y[3] > 0 && y[4] == 0);
  }
}

/* A few values, each with each. */
static const float some[] = {0.0f, -0.0f, 1.0f, -2.5f, 1e-45f, -3e38f, INFINITY, -INFINITY, NAN};
enum { N_SOME = sizeof some / sizeof *some };

static void test_choosing(void **state)
{
  float x[N_SOME * N_SOME], y[N_SOME * N_SOME], got[4][N_SOME * N_SOME];
  for (int i = 0; i < N_SOME * N_SOME; i++) {
    x[i] = some[i / N_SOME];
    y[i] = some[i % N_SOME];
  }
  for (int k = 0; k < n_ops; k++) {
    ops[k]->min(got[0], x, y, N_SOME * N_SOME);
    ops[k]->max(got[1], x, y, N_SOME * N_SOME);
    ops[k]->copysign(got[2], x, y, N_SOME * N_SOME);
    ops[k]->choose(got[3], x, y, N_SOME * N_SOME);
    for (int i = 0; i < N_SOME * N_SOME; i++) {
      assert_int_equal(float_bits(got[0][i]), float_bits(x[i] < y[i] ? x[i] : y[i]));
      assert_int_equal(float_bits(got[1][i]), float_bits(x[i] > y[i] ? x[i] : y[i]));
      assert_int_equal(float_bits(got[2][i]), float_bits(copysignf(x[i], y[i])));
      assert_int_equal(float_bits(got[3][i]), float_bits(x[i] < y[i] || y[i] == 0 ? x[i] : y[i]));
    }
  }
}

static void test_sums(void **state)
{
  for (int k = 0; k < n_ops; k++)
    for (int rep = 0; rep < 100; rep++) {
      float x[16];
      double sum = 0, most = -INFINITY;
      for (int i = 0; i < ops[k]->n_lane; i++) {
        x[i] = (float)sin(1e3 * rep + 7.7 * i);
        sum += (double)x[i];
        most = fmax(most, (double)x[i]);
      }
      vk_assert_close(ops[k]->sum(x), sum, 1e-6, 0);
      vk_assert_close(ops[k]->hmax(x), most, 0, 0);
    }
}

static void test_fma_rounds_once(void **state)
{
  const float x = 1.0f + 0x1p-12f, z = -1.0f - 0x1p-11f;
  float got;
  for (int k = 0; k < n_ops; k++) {
    ops[k]->fma(&got, &x, &x, &z, 1);
    vk_assert_close(got, ops[k]->n_lane > 1 ? 0x1p-24 : 0, 0, 0);
  }
}

static uint16_t bf16_reference(float x)
{
  uint32_t u = float_bits(x), low = u & 0xffff, high = u >> 16;
  if (isnan(x))
    return (uint16_t)(high | 0x40);
  return (uint16_t)(high + (low > 0x8000 || (low == 0x8000 && high % 2)));
}

static void test_bf16(void **state)
{
  static uint16_t h[N], back[N];
  static float x[N];
  for (int k = 0; k < n_ops; k++) {
    for (int i = 0; i < N; i++)
      h[i] = (uint16_t)i;
    ops[k]->from_bf16(x, h, N);
    for (int i = 0; i < N; i++)
      assert_int_equal(float_bits(x[i]), (uint32_t)i << 16);
    const uint32_t low[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
    for (size_t j = 0; j < sizeof low / sizeof *low; j++) {
      for (int i = 0; i < N; i++)
        x[i] = bits_float((uint32_t)i << 16 | low[j]);
      ops[k]->to_bf16(back, x, N);
      for (int i = 0; i < N; i++)
        assert_int_equal(back[i], bf16_reference(x[i]));
    }
  }
}

/* Every length up to two vectors, in blocks of exactly that size, and the bytes behind. */
static void test_ends(void **state)
{
  for (int k = 0; k < n_ops; k++)
    for (int n = 0; n <= 33; n++) {
      float *x = malloc(sizeof *x * (size_t)n + 1);
      uint16_t *h = malloc(sizeof *h * (size_t)n + 1);
      float out[36];
      uint16_t out_h[36];
      assert_true(x && h);
      for (int i = 0; i < n; i++)
        x[i] = (float)(i + 1);
      for (int i = 0; i < 36; i++)
        out[i] = -7;
      ops[k]->abs(out, x, n);
      for (int i = 0; i < 36; i++)
        assert_true(out[i] == (i < n ? (float)(i + 1) : -7));
      for (int i = 0; i < 36; i++)
        out_h[i] = 7;
      ops[k]->to_bf16(out_h, x, n);
      for (int i = 0; i < 36; i++)
        assert_int_equal(out_h[i], i < n ? bf16_reference((float)(i + 1)) : 7);
      for (int i = 0; i < n; i++)
        h[i] = out_h[i];
      for (int i = 0; i < 36; i++)
        out[i] = -7;
      ops[k]->from_bf16(out, h, n);
      for (int i = 0; i < 36; i++)
        assert_true(out[i] == (i < n ? (float)(i + 1) : -7));
      free(x);
      free(h);
    }
}

int main(void)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  ops[n_ops++] = &simd_ops_scalar;
#if defined(__x86_64__)
  if (vk_isa_best(&cpu) >= VK_ISA_AVX2)
    ops[n_ops++] = &simd_ops_avx2;
  if (vk_isa_best(&cpu) >= VK_ISA_AVX512)
    ops[n_ops++] = &simd_ops_avx512;
#endif
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_functions), cmocka_unit_test(test_special_values),
      cmocka_unit_test(test_choosing),  cmocka_unit_test(test_sums),
      cmocka_unit_test(test_bf16),      cmocka_unit_test(test_fma_rounds_once),
      cmocka_unit_test(test_ends),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
