#include "sim/osc.h"

#include <math.h>
#include <string.h>

#include "sim/home.h"
#include "sim/linalg.h"

static const double kp = 150.0;
static const double kp_null = 10.0;
static const double scale_pos_m = 0.05, scale_rot_rad = 0.5;

void vk_quat_to_mat_f32(const double quat_wxyz[4], double R[9])
{
  float q[4], p[4][4];
  double n2 = 0;
  for (int i = 0; i < 4; i++) {
    q[i] = (float)quat_wxyz[i];
    float square = q[i] * q[i];
    n2 += square;
  }
  double scale = sqrt(2.0 / (double)(float)n2);
  for (int i = 0; i < 4; i++)
    q[i] = (float)((double)q[i] * scale);
  for (int i = 0; i < 4; i++)
    for (int j = 0; j < 4; j++)
      p[i][j] = q[i] * q[j];
  R[0] = 1.0 - (double)p[2][2] - (double)p[3][3];
  R[4] = 1.0 - (double)p[1][1] - (double)p[3][3];
  R[8] = 1.0 - (double)p[1][1] - (double)p[2][2];
  float f01 = p[1][2] - p[3][0], f02 = p[1][3] + p[2][0], f10 = p[1][2] + p[3][0];
  float f12 = p[2][3] - p[1][0], f20 = p[1][3] - p[2][0], f21 = p[2][3] + p[1][0];
  R[1] = f01, R[2] = f02, R[3] = f10, R[5] = f12, R[6] = f20, R[7] = f21;
}

/* Jacobian of the grip site for the arm's joints only: no other joint moves it. */
static void arm_jacobian(double J[6 * VK_N_ARM], const vk_scene *scene, const mjModel *m,
                         const mjData *d)
{
  const double *p = d->site_xpos + 3 * scene->site_grip;
  const double *com = d->subtree_com + 3 * m->body_rootid[m->site_bodyid[scene->site_grip]];
  double offset[3];
  for (int k = 0; k < 3; k++)
    offset[k] = p[k] - com[k];
  for (int i = 0; i < VK_N_ARM; i++) {
    const double *cdof = d->cdof + 6 * (scene->arm_qvel + i); /* rotation 3, translation 3 */
    double turn[3];
    mju_cross(turn, cdof, offset);
    for (int k = 0; k < 3; k++) {
      J[k * VK_N_ARM + i] = cdof[3 + k] + turn[k];
      J[(3 + k) * VK_N_ARM + i] = cdof[k];
    }
  }
}

/* Arm block of the joint-space inertia, from MuJoCo's sparse lower triangle. */
static void arm_inertia(double M[VK_N_ARM * VK_N_ARM], const vk_scene *scene, const mjModel *m,
                        const mjData *d)
{
  int first = scene->arm_qvel;
  memset(M, 0, sizeof(double) * VK_N_ARM * VK_N_ARM);
  for (int i = 0; i < VK_N_ARM; i++) {
    int adr = m->dof_Madr[first + i];
    for (int j = first + i; j >= first; j = m->dof_parentid[j]) {
      M[i * VK_N_ARM + (j - first)] = M[(j - first) * VK_N_ARM + i] = d->qM[adr];
      adr++;
    }
  }
}

void vk_osc_read(vk_osc *c, const vk_scene *scene, const mjModel *m, const mjData *d)
{
  memcpy(c->p_ee, d->site_xpos + 3 * scene->site_grip, sizeof c->p_ee);
  memcpy(c->R_ee, d->site_xmat + 9 * scene->site_grip, sizeof c->R_ee);
  memcpy(c->q_rad, d->qpos + scene->arm_qpos, sizeof c->q_rad);
  memcpy(c->dq_rad_s, d->qvel + scene->arm_qvel, sizeof c->dq_rad_s);
  arm_jacobian(c->J, scene, m, d);
  arm_inertia(c->M, scene, m, d);
  vk_mat_mul(c->v_ee, c->J, c->dq_rad_s, 3, VK_N_ARM, 1);
  vk_mat_mul(c->w_ee, c->J + 3 * VK_N_ARM, c->dq_rad_s, 3, VK_N_ARM, 1);
  c->is_stale = false;
}

void vk_osc_hold(vk_osc *c)
{
  memcpy(c->p_goal, c->p_ee, sizeof c->p_goal);
  memcpy(c->R_goal, c->R_ee, sizeof c->R_goal);
}

void vk_osc_set_goal(vk_osc *c, const double pose6[6])
{
  double delta[6];
  for (int i = 0; i < 6; i++)
    delta[i] = fmin(fmax(pose6[i], -1.0), 1.0) * (i < 3 ? scale_pos_m : scale_rot_rad);
  double angle = sqrt(delta[3] * delta[3] + delta[4] * delta[4] + delta[5] * delta[5]);
  if (angle != 0) {
    double s = sin(angle / 2);
    double quat[4] = {cos(angle / 2), delta[3] / angle * s, delta[4] / angle * s,
                      delta[5] / angle * s};
    double R[9];
    vk_quat_to_mat_f32(quat, R);
    vk_mat_mul(c->R_goal, R, c->R_ee, 3, 3, 3);
  }
  for (int i = 0; i < 3; i++)
    c->p_goal[i] = c->p_ee[i] + delta[i];
}

/* Half the sum of cross products of the columns: small-angle rotation from R_ee to R_goal. */
static void rotation_error(double e[3], const double R_ee[9], const double R_goal[9])
{
  e[0] = e[1] = e[2] = 0;
  for (int k = 0; k < 3; k++) {
    double a[3] = {R_ee[k], R_ee[3 + k], R_ee[6 + k]};
    double b[3] = {R_goal[k], R_goal[3 + k], R_goal[6 + k]};
    double cross[3];
    mju_cross(cross, a, b);
    for (int i = 0; i < 3; i++)
      e[i] += cross[i];
  }
  for (int i = 0; i < 3; i++)
    e[i] *= 0.5;
}

/* inverse(J * MinvJT) of n rows starting at row `first`; MinvJT is [7, 6]. */
static void lambda(double *out, const double *J, const double *MinvJT, int first, int n)
{
  double A[36];
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      double sum = 0;
      for (int k = 0; k < VK_N_ARM; k++)
        sum += J[(first + i) * VK_N_ARM + k] * MinvJT[k * 6 + first + j];
      A[i * n + j] = sum;
    }
  vk_mat_pinv_sym(out, A, n);
}

void vk_osc_torque(const vk_osc *c, const double *qfrc_bias, double tau_nm[VK_N_ARM])
{
  enum { N = VK_N_ARM };
  const double kd = 2 * sqrt(kp), kd_null = 2 * sqrt(kp_null);
  double e[3], wrench[6], Minv[N * N], JT[N * 6], MinvJT[N * 6];
  rotation_error(e, c->R_ee, c->R_goal);
  double force[3], torque[3];
  for (int i = 0; i < 3; i++) {
    force[i] = kp * (c->p_goal[i] - c->p_ee[i]) - kd * c->v_ee[i];
    torque[i] = kp * e[i] - kd * c->w_ee[i];
  }
  vk_mat_inv(Minv, c->M, N);
  for (int i = 0; i < 6; i++)
    for (int k = 0; k < N; k++)
      JT[k * 6 + i] = c->J[i * N + k];
  vk_mat_mul(MinvJT, Minv, JT, N, N, 6);
  double L[36], L_pos[9], L_ori[9];
  lambda(L, c->J, MinvJT, 0, 6);
  lambda(L_pos, c->J, MinvJT, 0, 3);
  lambda(L_ori, c->J, MinvJT, 3, 3);
  vk_mat_mul(wrench, L_pos, force, 3, 3, 1);
  vk_mat_mul(wrench + 3, L_ori, torque, 3, 3, 1);
  vk_mat_mul(tau_nm, JT, wrench, N, 6, 1);
  /* Posture in the null space: N^T M (kp (q0 - q) - kd dq), N = I - Minv J^T L J. */
  double posture[N], u[N], Jbar_u[6], L_u[6], back[N];
  for (int i = 0; i < N; i++)
    posture[i] = kp_null * (vk_home_arm_q_rad[i] - c->q_rad[i]) - kd_null * c->dq_rad_s[i];
  vk_mat_mul(u, c->M, posture, N, N, 1);
  for (int i = 0; i < 6; i++) {
    Jbar_u[i] = 0;
    for (int k = 0; k < N; k++)
      Jbar_u[i] += MinvJT[k * 6 + i] * u[k]; /* J Minv u */
  }
  vk_mat_mul(L_u, L, Jbar_u, 6, 6, 1);
  vk_mat_mul(back, JT, L_u, N, 6, 1);
  for (int i = 0; i < N; i++)
    tau_nm[i] += qfrc_bias[i] + (u[i] - back[i]);
}
