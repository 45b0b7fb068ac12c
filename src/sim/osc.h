/* osc.h - operational-space controller of the arm, OSC_POSE with position and orientation
 * uncoupled, as robosuite 1.4.0 computes it, its float32 rotation goal and stale first step
 * included.
 * Source: robosuite 1.4.0 controllers/osc.py, utils/transform_utils.py (quat2mat). Test:
 * tests/unit/test_osc.c, `vlakit replay` (recorded torques). */
#ifndef VK_SIM_OSC_H
#define VK_SIM_OSC_H

#include <mujoco/mujoco.h>

#include "sim/scene.h"

/* Plain data: copied as it is into snapshots. Vectors and matrices in the world frame, row-major.
 */
typedef struct vk_osc {
  bool is_stale; /* the state below was used once and is read anew at the next use */
  double p_ee[3], R_ee[9];
  double v_ee[3], w_ee[3];
  double q_rad[VK_N_ARM], dq_rad_s[VK_N_ARM];
  double J[6 * VK_N_ARM]; /* rows: linear 3, angular 3 */
  double M[VK_N_ARM * VK_N_ARM];
  double p_goal[3], R_goal[9];
} vk_osc;

/* Reads the state that mj_forward has left in d (positions, velocities, Jacobians, inertia). */
void vk_osc_read(vk_osc *c, const vk_scene *scene, const mjModel *m, const mjData *d);

/* The goal becomes the pose that was read last. */
void vk_osc_hold(vk_osc *c);

/* Sets the goal from the pose read last. pose6: dx dy dz, rotation vector, each clipped to [-1, 1]
 * and scaled by 0.05 m and 0.5 rad. An exactly zero rotation keeps the old orientation goal. */
void vk_osc_set_goal(vk_osc *c, const double pose6[6]);

/* Torques from the state read last; qfrc_bias is live: [7] of the arm, N*m.
 *   tau_nm  out [7], not clipped */
void vk_osc_torque(const vk_osc *c, const double *qfrc_bias, double tau_nm[VK_N_ARM]);

/* Rotation matrix of a quaternion (wxyz) that passes through float32 as robosuite's quat2mat does.
 * The squared norm adds float32 products in double, as the BLAS that NumPy uses does. */
void vk_quat_to_mat_f32(const double quat_wxyz[4], double R[9]);

#endif
