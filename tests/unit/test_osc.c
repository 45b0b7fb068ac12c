/* The controller's rotation goal passes through float32 exactly as robosuite's does. Torques are
 * tested against recorded ones by tests/golden/test_replay.c. */
#include "test.h"

#include "sim/home.h"
#include "sim/linalg.h"
#include "sim/osc.h"

/* Printed by robosuite 1.4.0's quat2mat (NumPy 1.26.4) with float.hex. */
static const struct {
  double quat_wxyz[4], R[9];
} quat2mat[] = {
    {{0.9, 0.1, -0.3, 0.2},
     {0x1.73dfa8c000000p-1, -0x1.c4b7400000000p-2, -0x1.0d79460000000p-1, 0x1.435e540000000p-2,
      0x1.ca1af21000000p-1, -0x1.435e540000000p-2, 0x1.3896ea0000000p-1, 0x1.02b1dc0000000p-4,
      0x1.9435e45000000p-1}},
    {{1, 0, 0, 0}, {1, 0, 0, 0, 1, 0, 0, 0, 1}},
    {{0.3, 0.7, 0.1, -0.64},
     {0x1.48a17b8000000p-3, 0x1.0c65380000000p-1, -0x1.ac34080000000p-1, -0x1.f3e97c0000000p-3,
      -0x1.998f1a0000000p-1, -0x1.18b0340000000p-1, -0x1.e9aaf80000000p-1, 0x1.2b20b00000000p-2,
      -0x1.a399000000000p-12}},
};

static void test_quat_to_mat_f32(void **state)
{
  for (size_t k = 0; k < VK_COUNT(quat2mat); k++) {
    double R[9];
    vk_quat_to_mat_f32(quat2mat[k].quat_wxyz, R);
    for (int i = 0; i < 9; i++)
      vk_assert_same_bits(R[i], quat2mat[k].R[i]);
  }
}

static const vk_osc at_origin = {.R_ee = {1, 0, 0, 0, 1, 0, 0, 0, 1},
                                 .R_goal = {0, -1, 0, 1, 0, 0, 0, 0, 1}};

static void test_zero_rotation_keeps_the_old_goal(void **state)
{
  vk_osc c = at_origin;
  const double pose[6] = {1, -0.5, 0, 0, -0.0, 0};
  vk_osc_set_goal(&c, pose);
  assert_memory_equal(c.R_goal, at_origin.R_goal, sizeof c.R_goal);
  vk_assert_close(c.p_goal[0], 0.05, 1e-16, 0);
  vk_assert_close(c.p_goal[1], -0.025, 1e-16, 0);
}

static void test_goal_is_clipped_and_scaled(void **state)
{
  vk_osc c = at_origin;
  const double pose[6] = {7, 0, 0, 0, 0, 3};
  vk_osc_set_goal(&c, pose);
  vk_assert_close(c.p_goal[0], 0.05, 1e-16, 0);
  vk_assert_close(c.R_goal[0], cos(0.5), 1e-6, 0);
  vk_assert_close(c.R_goal[3], sin(0.5), 1e-6, 0);
}

static void test_at_its_goal_only_bias_acts(void **state)
{
  vk_osc c = at_origin;
  memcpy(c.q_rad, vk_home_arm_q_rad, sizeof c.q_rad);
  memcpy(c.R_goal, c.R_ee, sizeof c.R_goal);
  for (int i = 0; i < VK_N_ARM; i++) {
    c.M[i * (VK_N_ARM + 1)] = 1 + i;
    if (i < 6)
      c.J[i * VK_N_ARM + i] = 1;
  }
  double bias[VK_N_ARM] = {1, 2, 3, 4, 5, 6, 7}, tau_nm[VK_N_ARM];
  vk_osc_torque(&c, bias, tau_nm);
  for (int i = 0; i < VK_N_ARM; i++)
    vk_assert_close(tau_nm[i], bias[i], 1e-14, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_quat_to_mat_f32),
      cmocka_unit_test(test_zero_rotation_keeps_the_old_goal),
      cmocka_unit_test(test_goal_is_clipped_and_scaled),
      cmocka_unit_test(test_at_its_goal_only_bias_acts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
