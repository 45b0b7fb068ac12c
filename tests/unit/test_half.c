/* Tests of core/half.h. */
#include "core/half.h"
#include "test.h"

/* The value of 16 bits with n_exponent exponent bits, from the definition. */
static double value(uint32_t h, int n_exponent)
{
  int n_mantissa = 15 - n_exponent, bias = (1 << (n_exponent - 1)) - 1;
  int exponent = (int)(h >> n_mantissa) & ((1 << n_exponent) - 1);
  double mantissa = h & ((1u << n_mantissa) - 1);
  double v = exponent == 0 ? ldexp(mantissa, 1 - bias - n_mantissa)
                           : ldexp(mantissa + (1 << n_mantissa), exponent - bias - n_mantissa);
  return h & 0x8000 ? -v : v;
}

static bool is_special(uint32_t h, int n_exponent)
{
  uint32_t infinite = ((1u << n_exponent) - 1) << (15 - n_exponent);
  return (h & infinite) == infinite;
}

/* All 65536 numbers come out as defined and go back to the same bits. */
static void all_numbers(void **state)
{
  for (uint32_t h = 0; h < 65536; h++) {
    float b = vk_f32_from_bf16((uint16_t)h), f = vk_f32_from_f16((uint16_t)h);
    if (!is_special(h, 8))
      vk_assert_same_bits((double)b, value(h, 8));
    if (!is_special(h, 5))
      vk_assert_same_bits((double)f, value(h, 5));
    if (!isnan(b))
      assert_int_equal(vk_bf16_from_f32(b), h);
    if (!isnan(f))
      assert_int_equal(vk_f16_from_f32(f), h);
  }
}

/* Between two neighbours: below the middle goes down, above up, the middle to the even one. */
static void check_rounding(uint16_t (*to)(float), int n_exponent, uint32_t h)
{
  double lo = value(h, n_exponent), hi = value(h + 1, n_exponent);
  float middle = (float)((lo + hi) / 2);
  assert_int_equal(to(nextafterf(middle, 0)), h);
  assert_int_equal(to(nextafterf(middle, INFINITY)), h + 1);
  assert_int_equal(to(middle), h % 2 ? h + 1 : h);
  assert_int_equal(to(-middle), 0x8000 | (h % 2 ? h + 1 : h));
}

static void rounding(void **state)
{
  for (uint32_t h = 0; h < 0x7bff; h++)
    check_rounding(vk_f16_from_f32, 5, h);
  for (uint32_t h = 0; h < 0x7f7f; h++)
    check_rounding(vk_bf16_from_f32, 8, h);
}

static void ends_of_the_range(void **state)
{
  assert_int_equal(vk_f16_from_f32(65504), 0x7bff);
  assert_int_equal(vk_f16_from_f32(nextafterf(65520, 0)), 0x7bff);
  assert_int_equal(vk_f16_from_f32(65520), 0x7c00);
  assert_int_equal(vk_f16_from_f32(-1e30F), 0xfc00);
  assert_int_equal(vk_bf16_from_f32(3.4028234e38F), 0x7f80);
  assert_int_equal(vk_bf16_from_f32(-INFINITY), 0xff80);
  assert_int_equal(vk_f16_from_f32(INFINITY), 0x7c00);
  assert_int_equal(vk_f16_from_f32(-0.0F), 0x8000);
}

static void nan_stays_nan(void **state)
{
  /* payloads whose upper bits are all 0 or all 1, of both signs */
  static const uint32_t nans[] = {0x7f800001, 0xff800001, 0x7fc00000, 0x7fffffff, 0xffffffff};
  for (size_t i = 0; i < VK_COUNT(nans); i++) {
    float f = vk_f32_from_bits(nans[i]);
    uint16_t b = vk_bf16_from_f32(f), h = vk_f16_from_f32(f);
    assert_true(isnan(vk_f32_from_bf16(b)));
    assert_true(isnan(vk_f32_from_f16(h)));
    assert_int_equal(b >> 15, nans[i] >> 31);
    assert_int_equal(h >> 15, nans[i] >> 31);
  }
  assert_true(isnan(vk_f32_from_f16(0x7c01)));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_numbers),
      cmocka_unit_test(rounding),
      cmocka_unit_test(ends_of_the_range),
      cmocka_unit_test(nan_stays_nan),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
