/* Tests of nn/action_codec.h. Goldens were made by OpenVLA's and RLinf's Python and by numpy. */
#include "nn/action_codec.h"
#include "test.h"

enum { VOCABULARY = 32000 };

static int token(double x)
{
  return VOCABULARY - 1 - vk_action_bin(x);
}

static double centre_of_token(int id)
{
  return vk_action_centre(VOCABULARY - 1 - id);
}

static const vk_action_stats stats = {.n_dim = 7,
                                      .low = {-0.7, -0.8, -0.9, -0.1, -0.2, -0.15, 0.0},
                                      .high = {0.9, 0.85, 0.93, 0.17, 0.18, 0.22, 1.0},
                                      .is_scaled = {true, true, true, true, true, true}};

static void tokens(void **state)
{
  static const struct {
    double x;
    int id;
  } golden[] = {{-1, 31999},     {0, 31872},      {0.004, 31871},      {0.5, 31808},
                {0.9999, 31745}, {1, 31744},      {1e30, 31744},       {-INFINITY, 31999},
                {-0.0, 31872},   {1e-300, 31872}, {-0.9999999, 31999}, {INFINITY, 31744},
                {NAN, 31744}};
  for (size_t i = 0; i < VK_COUNT(golden); i++)
    assert_int_equal(token(golden[i].x), golden[i].id);
  vk_assert_close(centre_of_token(31999), -0.99608, 5e-6, 0);
  vk_assert_same_bits(centre_of_token(31872), 0.0);
  vk_assert_close(centre_of_token(31871), 0.00784, 5e-6, 0);
  vk_assert_close(centre_of_token(31808), 0.50196, 5e-6, 0);
  vk_assert_same_bits(centre_of_token(31745), centre_of_token(31744));
  vk_assert_close(centre_of_token(31744), 0.99608, 5e-6, 0);
  vk_assert_same_bits(centre_of_token(31700), centre_of_token(31744));
  vk_assert_same_bits(centre_of_token(32002), centre_of_token(31999));
}

/* An edge belongs to the bin above it, and the number before it to the one below. */
static void edges(void **state)
{
  for (int b = 1; b < VK_ACTION_N_BIN; b++) {
    double edge = vk_action_edge(b);
    assert_true(edge > vk_action_edge(b - 1));
    assert_int_equal(vk_action_bin(edge), b);
    assert_int_equal(vk_action_bin(nextafter(edge, -2)), b - 1);
    assert_int_equal(vk_action_bin(vk_action_centre(b - 1)), b - 1);
  }
  vk_assert_same_bits(vk_action_edge(0), -1.0);
  vk_assert_same_bits(vk_action_edge(255), 1.0);
}

static void chunk(void **state)
{
  static const int32_t id[2][7] = {{31798, 31890, 31799, 31774, 31761, 31889, 31763},
                                   {31820, 31783, 31871, 31847, 31744, 31785, 31834}};
  static const double golden[2][7] = {
      {0x1.20edbacb34b96p-1, -0x1.76a9dbe92c8c8p-4, 0x1.13e8638816965p-1, 0x1.1c30acbcad916p-3,
       0x1.3e488737f7c8ap-3, 0x1.529a51ab1e2c0p-7, 0x1.b5b5b5b5b5b5cp-1},
      {0x1.b4814e93d680cp-2, 0x1.33a6da562e970p-1, 0x1.6b56e163de4c0p-6, 0x1.f7912dfa4e4f4p-5,
       0x1.6f1d33037a4acp-3, 0x1.4a35bbfa988e1p-3, 0x1.3131313131314p-2}};
  vk_err err = VK_ERR_INIT;
  int32_t bin[14], again[14];
  double action[14];
  for (int i = 0; i < 14; i++)
    bin[i] = VOCABULARY - 1 - id[i / 7][i % 7];
  vk_action_decode(&stats, 2, bin, action);
  for (int i = 0; i < 14; i++)
    vk_assert_same_bits(action[i], golden[i / 7][i % 7]);
  vk_assert_ok(vk_action_encode(&stats, 2, action, again, &err), &err);
  for (int i = 0; i < 14; i++) /* the last bin has no centre of its own */
    assert_int_equal(again[i], bin[i] == 255 ? 254 : bin[i]);
  vk_assert_same_bits(vk_action_gripper_to_libero(action[6]), -1.0);
  vk_assert_same_bits(vk_action_gripper_to_libero(action[13]), 1.0);
}

static void all_scaled(void **state)
{
  vk_action_stats s = {.n_dim = 1, .low = {-0.31}, .high = {0.41}, .is_scaled = {true}};
  double x = vk_action_unscale(&s, 0, -0.2);
  vk_assert_same_bits(x, 0.5 * (-0.2 + 1) * (0.41 + 0.31 + 1e-8) - 0.31);
  vk_assert_close(vk_action_scale(&s, 0, x), -0.2, 1e-15, 0);
  vk_assert_same_bits(vk_action_scale(&s, 0, 0.41), 2 * (0.41 + 0.31) / (0.41 + 0.31 + 1e-8) - 1);
  vk_assert_same_bits(vk_action_scale(&s, 0, 7), 1.0);
  vk_assert_same_bits(vk_action_scale(&s, 0, -7), -1.0);
}

static void gripper(void **state)
{
  assert_true(vk_action_gripper_to_libero(0.5) == 0);
  /* a demonstration's command comes back: -1 opens, 1 closes */
  static const double command[] = {-1, 1};
  for (int i = 0; i < 2; i++) {
    double g = vk_action_gripper_from_libero(command[i]);
    double back = vk_action_centre(vk_action_bin(g));
    vk_assert_same_bits(vk_action_gripper_to_libero(back), command[i]);
  }
}

static void bins_between(void **state)
{
  for (int b = 0; b < 255; b++)
    vk_assert_same_bits(vk_action_centre_between(b), vk_action_centre(b));
  vk_assert_close(vk_action_centre_between(3.25),
                  0.75 * vk_action_centre(3) + 0.25 * vk_action_centre(4), 1e-15, 0);
  vk_assert_same_bits(vk_action_centre_between(254.7), vk_action_centre(254));
  vk_assert_same_bits(vk_action_centre_between(-1), vk_action_centre(0));
  vk_assert_same_bits(vk_action_centre_between(NAN), vk_action_centre(0));
  double action[7];
  vk_action_decode_between(&stats, 1, (float[]){0, 1, 2.5f, 3, 4, 5, 254}, action);
  vk_assert_same_bits(action[2], vk_action_unscale(&stats, 2, vk_action_centre_between(2.5)));
  vk_assert_same_bits(action[6], vk_action_centre(254));
}

static void statistics(void **state)
{
  vk_action_stats s;
  vk_err err = VK_ERR_INIT;
  double x[303];
  for (int i = 0; i < 101; i++) {
    x[3 * i] = (i * 37 % 101) * 0.5; /* 0, 0.5 .. 50 in some order */
    x[3 * i + 1] = -i;
    x[3 * i + 2] = 1;
  }
  vk_assert_ok(vk_action_stats_from(&s, 3, 101, x, (bool[]){true, true, false}, &err), &err);
  vk_assert_close(s.low[0], 0.5, 1e-12, 0);
  vk_assert_close(s.high[0], 49.5, 1e-12, 0);
  vk_assert_close(s.low[1], -99, 1e-12, 0);
  assert_false(s.is_scaled[2]);
  /* numpy.quantile([0, 1, 4, 9], 0.99) */
  vk_assert_ok(vk_action_stats_from(&s, 1, 4, (double[]){9, 0, 4, 1}, NULL, &err), &err);
  vk_assert_close(s.high[0], 8.85, 1e-14, 0);
  vk_assert_close(s.low[0], 0.03, 1e-15, 0);
}

static void refusals(void **state)
{
  vk_action_stats s = stats;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_action_stats_check(&s, "x", &err), &err);
  s.high[3] = s.low[3];
  vk_assert_fails(vk_action_stats_check(&s, "libero_goal", &err), VK_E_RANGE);
  vk_assert_says(&err, "libero_goal: q01 and q99 of dimension 3 are both -0.1");
  s.high[3] = NAN;
  vk_assert_fails(vk_action_stats_check(&s, "x", &err), VK_E_RANGE);
  s.high[3] = 1e308; /* each is a number, what lies between is none */
  s.low[3] = -1e308;
  vk_assert_fails(vk_action_stats_check(&s, "x", &err), VK_E_RANGE);
  vk_assert_says(&err, "dimension 3 goes from -1e+308 to 1e+308");
  s.low[3] = stats.low[3];
  s.high[3] = -3;
  vk_assert_fails(vk_action_stats_check(&s, "x", &err), VK_E_RANGE);
  vk_assert_says(&err, "q01 of dimension 3 is -0.1, above its q99 of -3");
  s = stats;
  s.high[6] = s.low[6]; /* not scaled, so it does not matter */
  vk_assert_ok(vk_action_stats_check(&s, "x", &err), &err);
  s.n_dim = 33;
  vk_assert_fails(vk_action_stats_check(&s, "x", &err), VK_E_SHAPE);
  int32_t bin[14];
  double action[14] = {0};
  action[9] = NAN;
  vk_assert_fails(vk_action_encode(&stats, 2, action, bin, &err), VK_E_RANGE);
  vk_assert_says(&err, "dimension 2 of action 1 is NaN");
  vk_assert_fails(vk_action_stats_from(&s, 7, 2, action, NULL, &err), VK_E_RANGE);
  vk_assert_says(&err, "row 1 has nan in dimension 2");
  vk_assert_fails(vk_action_stats_from(&s, 7, 1, action, NULL, &err), VK_E_RANGE);
  vk_assert_says(&err, "dimension 0 are both 0");
  vk_assert_fails(vk_action_stats_from(&s, 7, 0, action, NULL, &err), VK_E_SHAPE);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tokens),     cmocka_unit_test(edges),    cmocka_unit_test(chunk),
      cmocka_unit_test(all_scaled), cmocka_unit_test(gripper),  cmocka_unit_test(bins_between),
      cmocka_unit_test(statistics), cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
