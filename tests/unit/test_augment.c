/* Augmented pictures: each change does what it says, all of them together are one bilinear look-up,
 * and the bits are known. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/hash.h"
#include "rl/augment.h"

enum { SIDE = VK_VIEW_PX };

static uint8_t from[VK_VIEW_BYTES], to[VK_VIEW_BYTES];

/* A picture with smooth parts and noise. */
static void make_picture(void)
{
  vk_philox rng;
  vk_philox_init(&rng, 3, 0);
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++)
      for (int c = 0; c < 3; c++)
        from[(y * SIDE + x) * 3 + c] =
            (uint8_t)(x < 64 ? (x * 2 + y * (c + 1) / 3) & 255 : vk_philox_u32(&rng) & 255);
}

static void augment(const vk_augment *a, uint64_t i)
{
  vk_philox rng;
  vk_philox_init(&rng, 1, i);
  vk_augment_picture(a, &rng, from, to);
}

static void test_nothing(void **state)
{
  make_picture();
  augment(&(vk_augment){0}, 0);
  assert_memory_equal(to, from, sizeof to);
  augment(&(vk_augment){.crop = 1}, 1);
  assert_memory_equal(to, from, sizeof to);
}

static int clamp(int x)
{
  return x < 0 ? 0 : x >= SIDE ? SIDE - 1 : x;
}

static bool is_shifted(int dx, int dy)
{
  for (int y = 0; y < SIDE; y++)
    for (int x = 0; x < SIDE; x++)
      if (memcmp(to + (y * SIDE + x) * 3, from + (clamp(y + dy) * SIDE + clamp(x + dx)) * 3, 3) !=
          0)
        return false;
  return true;
}

/* By whole pixels, edges repeated; every one of 5 x 5 shifts comes. */
static void test_shift(void **state)
{
  int count[5][5] = {{0}};
  make_picture();
  for (uint64_t i = 0; i < 400; i++) {
    int n = 0;
    augment(&(vk_augment){.shift_px = 2}, i);
    for (int dy = -2; dy <= 2; dy++)
      for (int dx = -2; dx <= 2; dx++)
        if (is_shifted(dx, dy)) {
          count[dy + 2][dx + 2]++;
          n++;
        }
    assert_int_equal(n, 1);
  }
  for (int k = 0; k < 25; k++)
    assert_true(count[k / 5][k % 5] > 2);
}

/* A ramp stays one: positions of the crop and its scale are read off it. Scales reach from the
 * least side to the whole picture, as evaluations see it, and places from the very left to the very
 * right. */
static void test_crop(void **state)
{
  double least_side = 1e9, most_side = -1e9, least = 1e9, most = -1e9;
  for (int i = 0; i < VK_VIEW_BYTES; i++)
    from[i] = (uint8_t)(2 * (i / 3 % SIDE));
  for (uint64_t i = 0; i < 200; i++) {
    augment(&(vk_augment){.crop = 0.81}, i); /* a side of 0.9 */
    double side = (to[3 * (SIDE - 2)] - to[3]) / 2.0 / (SIDE - 3);
    double begin = to[3] / 2.0 - side * 1.5 + 0.5, room = SIDE * (1 - side);
    least_side = fmin(least_side, side);
    most_side = fmax(most_side, side);
    assert_true(begin > -0.6 && begin < room + 1.1); /* levels are half pixels */
    if (room > 6) {
      least = fmin(least, begin / room);
      most = fmax(most, begin / room);
    }
    for (int y = 1; y < SIDE; y++)
      assert_memory_equal(to + y * SIDE * 3, to, SIDE * 3);
  }
  assert_true(least_side > 0.895 && least_side < 0.906 && most_side > 0.994 && most_side < 1.005);
  assert_true(least > -0.06 && least < 0.06 && most > 0.94 && most < 1.12);
}

static void test_brightness_and_contrast(void **state)
{
  double least = 10, most = 0;
  for (int i = 0; i < VK_VIEW_BYTES; i++)
    from[i] = i / 3 % 2 ? 60 : 100; /* mean 80 */
  for (uint64_t i = 0; i < 200; i++) {
    augment(&(vk_augment){.brightness = 0.2}, i);
    double factor = to[0] / 100.0;
    vk_assert_close(to[3], 60 * factor, 1.2, 0);
    least = fmin(least, factor);
    most = fmax(most, factor);
  }
  assert_true(least > 0.79 && least < 0.82 && most > 1.18 && most < 1.21);
  least = 10, most = 0;
  for (uint64_t i = 0; i < 200; i++) {
    augment(&(vk_augment){.contrast = 0.2}, i);
    vk_assert_close((to[0] + to[3]) / 2.0, 80, 0.6, 0);
    least = fmin(least, (to[0] - to[3]) / 40.0);
    most = fmax(most, (to[0] - to[3]) / 40.0);
  }
  assert_true(least > 0.77 && least < 0.83 && most > 1.17 && most < 1.23);
  memset(from, 250, sizeof from); /* no level wraps around */
  for (uint64_t i = 0; i < 50; i++) {
    augment(&(vk_augment){.brightness = 1, .contrast = 1}, i);
    for (int k = 1; k < VK_VIEW_BYTES; k++)
      assert_int_equal(to[k], to[0]);
  }
}

/* All at once against doubles: less than 2 levels off, by rounding of weights and factors. */
static void test_all_against_doubles(void **state)
{
  const vk_augment a = {.shift_px = 4, .crop = 0.9, .brightness = 0.2, .contrast = 0.2};
  make_picture();
  double mean = 0, worst = 0;
  for (int i = 0; i < VK_VIEW_BYTES; i++)
    mean += from[i] / (double)VK_VIEW_BYTES;
  for (uint64_t i = 0; i < 20; i++) {
    vk_philox rng;
    double u[7];
    vk_philox_init(&rng, 1, i);
    for (int k = 0; k < 7; k++)
      u[k] = vk_philox_double(&rng);
    augment(&a, i);
    double side = sqrt(0.9) + u[6] * (1 - sqrt(0.9));
    double begin[2], bright = 1 + 0.2 * (2 * u[4] - 1), contrast = 1 + 0.2 * (2 * u[5] - 1);
    for (int k = 0; k < 2; k++)
      begin[k] = floor(u[k] * 9) - 4 + u[2 + k] * SIDE * (1 - side);
    for (int y = 0; y < SIDE; y++)
      for (int x = 0; x < SIDE; x++) {
        double at[2] = {begin[0] + (x + 0.5) * side - 0.5, begin[1] + (y + 0.5) * side - 0.5};
        for (int k = 0; k < 2; k++)
          at[k] = fmin(fmax(at[k], 0), SIDE - 1);
        int x0 = (int)at[0], y0 = (int)at[1], x1 = clamp(x0 + 1), y1 = clamp(y0 + 1);
        double fx = at[0] - x0, fy = at[1] - y0;
        for (int c = 0; c < 3; c++) {
#define AT(row, column) from[((row)*SIDE + (column)) * 3 + c]
          double v = (1 - fy) * ((1 - fx) * AT(y0, x0) + fx * AT(y0, x1)) +
                     fy * ((1 - fx) * AT(y1, x0) + fx * AT(y1, x1));
#undef AT
          v = fmin(fmax((mean + (v - mean) * contrast) * bright, 0), 255);
          worst = fmax(worst, fabs(v - to[(y * SIDE + x) * 3 + c]));
        }
      }
  }
  assert_true(worst < 2);
}

/* Bits that a later version must give as well: a training run goes on with them. */
static void test_known_bits(void **state)
{
  char hex[65];
  make_picture();
  augment(&(vk_augment){.shift_px = 4, .crop = 0.9, .brightness = 0.2, .contrast = 0.2}, 7);
  vk_sha256_hex(to, sizeof to, hex);
  assert_string_equal(hex, "4304560ac6f7212ef852482e7e64134f5220db909f0e2f2ea6b10dd3cd0b6818");
}

static void test_members_are_checked(void **state)
{
  const struct {
    vk_augment a;
    const char *says;
  } bad[] = {{{.shift_px = 33}, "shift_px is 33, expected 0 to 32"},
             {{.crop = 1.5}, "crop is 1.5, expected 0.1 to 1"},
             {{.brightness = -0.1}, "brightness is -0.1"},
             {{.contrast = NAN}, "contrast is nan"},
             {{.word_dropout = 2}, "word_dropout is 2"},
             {{.paraphrase = 2}, "paraphrase is 2"},
             {{.proprio_dropout = 2}, "proprio_dropout is 2"}};
  for (size_t i = 0; i < VK_COUNT(bad); i++) {
    vk_err err = VK_ERR_INIT;
    vk_assert_fails(vk_augment_check(&bad[i].a, &err), VK_E_RANGE);
    vk_assert_says(&err, bad[i].says);
  }
  vk_assert_ok(vk_augment_check(&(vk_augment){0}, NULL), NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nothing),
      cmocka_unit_test(test_shift),
      cmocka_unit_test(test_crop),
      cmocka_unit_test(test_brightness_and_contrast),
      cmocka_unit_test(test_all_against_doubles),
      cmocka_unit_test(test_known_bits),
      cmocka_unit_test(test_members_are_checked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
