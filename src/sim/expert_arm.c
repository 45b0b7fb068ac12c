#include "sim/expert_arm.h"

#include "sim/linalg.h"

/* robosuite 1.4.0 Panda init_qpos: what the controller's null space is drawn to. */
static const double q_nominal[VK_N_ARM] = {0, -0.161037389, 0, -2.44459747, 0, 2.2267522, M_PI / 4};

/* Upper arm and forearm are in line at q = -0.467 (both have an offset of 0.0825 at the elbow).
 * Past it the arm folds the other way and the controller does not come back; near it, it holds
 * badly. */
static const double ELBOW_STRAIGHT_RAD = -0.467;
static const double ELBOW_LIMIT_RAD = -0.95, ELBOW_EASY_RAD = -1.4;

static const double WRIST_EASY_RAD = 2.5;

enum { ITERATIONS = 60, ELBOW = 3, WRIST = 6 };

static void pose_of_quat(vk_pose *pose, const double p[3], const double quat[4])
{
  vk_v3_copy(pose->p, p);
  mju_quat2Mat(pose->R, quat);
}

static int arm_joint(const vk_scene *scene, const mjModel *m, int i)
{
  for (int j = 0; j < m->njnt; j++)
    if (m->jnt_qposadr[j] == scene->arm_qpos + i)
      return j;
  return 0;
}

/* The axis-aligned box of a mesh geom, in the frame of its body. */
static void add_link_box(vk_arm *arm, const mjModel *m, int geom, int link)
{
  if (arm->n_box == VK_ARM_BOXES_MAX)
    return;
  const int mesh = m->geom_dataid[geom], n = m->mesh_vertnum[mesh];
  const float *v = m->mesh_vert + 3 * m->mesh_vertadr[mesh];
  double lo[3] = {1e9, 1e9, 1e9}, hi[3] = {-1e9, -1e9, -1e9}, mid[3];
  for (int i = 0; i < n; i++)
    for (int k = 0; k < 3; k++) {
      lo[k] = fmin(lo[k], v[3 * i + k]);
      hi[k] = fmax(hi[k], v[3 * i + k]);
    }
  vk_arm_box *box = &arm->box[arm->n_box++];
  vk_pose frame;
  pose_of_quat(&frame, m->geom_pos + 3 * geom, m->geom_quat + 4 * geom);
  for (int k = 0; k < 3; k++) {
    mid[k] = (lo[k] + hi[k]) / 2;
    box->half_m[k] = (hi[k] - lo[k]) / 2;
  }
  box->link = link;
  box->in_link = frame;
  vk_pose_point(box->in_link.p, &frame, mid);
}

void vk_arm_init(vk_arm *arm, const vk_scene *scene, const mjModel *m, const mjData *d)
{
  int body[VK_N_ARM];
  memset(arm, 0, sizeof *arm);
  for (int i = 0; i < VK_N_ARM; i++) {
    const int j = arm_joint(scene, m, i);
    body[i] = m->jnt_bodyid[j];
    pose_of_quat(&arm->offset[i], m->body_pos + 3 * body[i], m->body_quat + 4 * body[i]);
    arm->q_lo[i] = m->jnt_range[2 * j];
    arm->q_hi[i] = m->jnt_range[2 * j + 1];
  }
  vk_arm_stretch(arm, false);
  const int base = m->body_parentid[body[0]], last = body[VK_N_ARM - 1];
  vk_pose link, site;
  pose_of_quat(&arm->base, d->xpos + 3 * base, d->xquat + 4 * base);
  pose_of_quat(&link, d->xpos + 3 * last, d->xquat + 4 * last);
  vk_v3_copy(site.p, d->site_xpos + 3 * scene->site_grip);
  memcpy(site.R, d->site_xmat + 9 * scene->site_grip, sizeof site.R);
  vk_pose_in(&arm->tip, &link, &site);
  /* Links 0 and 1 stand in the base; the hand is among the gripper's boxes. */
  for (int g = 0; g < m->ngeom; g++)
    for (int i = 2; i < VK_N_ARM; i++)
      if (m->geom_bodyid[g] == body[i] && m->geom_type[g] == mjGEOM_MESH &&
          (m->geom_contype[g] || m->geom_conaffinity[g]))
        add_link_box(arm, m, g, i);
}

void vk_arm_forward(const vk_arm *arm, const double *q, vk_pose *link, vk_pose *tip)
{
  static const double z[3] = {0, 0, 1};
  vk_pose at = arm->base;
  for (int i = 0; i < VK_N_ARM; i++) {
    vk_pose turn = {{0, 0, 0}, {0}};
    vk_m3_axis_angle(turn.R, z, q[i]);
    vk_pose_mul(&at, &at, &arm->offset[i]);
    vk_pose_mul(&at, &at, &turn);
    link[i] = at;
  }
  vk_pose_mul(tip, &at, &arm->tip);
}

/* J [6, 7]: velocity and angular velocity of the tip. */
static void jacobian(const vk_pose *link, const vk_pose *tip, double *J)
{
  for (int i = 0; i < VK_N_ARM; i++) {
    double axis[3], arm[3], v[3];
    vk_m3_column(axis, link[i].R, 2);
    vk_v3_sub(arm, tip->p, link[i].p);
    vk_v3_cross(v, axis, arm);
    for (int k = 0; k < 3; k++) {
      J[k * VK_N_ARM + i] = v[k];
      J[(3 + k) * VK_N_ARM + i] = axis[k];
    }
  }
}

/* dq = J^+ e + (1 - J^+ J) (q0 - q) / 10 */
static void resolve(const double *J, const double *e, const double *q, double *dq)
{
  double A[36], Ainv[36], r[6], y[6], pull[VK_N_ARM];
  for (int i = 0; i < VK_N_ARM; i++)
    pull[i] = 0.1 * (q_nominal[i] - q[i]);
  for (int a = 0; a < 6; a++) {
    r[a] = e[a];
    for (int i = 0; i < VK_N_ARM; i++)
      r[a] -= J[a * VK_N_ARM + i] * pull[i];
    for (int b = 0; b < 6; b++) {
      A[6 * a + b] = a == b ? 1e-4 : 0;
      for (int i = 0; i < VK_N_ARM; i++)
        A[6 * a + b] += J[a * VK_N_ARM + i] * J[b * VK_N_ARM + i];
    }
  }
  vk_mat_inv(Ainv, A, 6);
  vk_mat_mul(y, Ainv, r, 6, 6, 1);
  for (int i = 0; i < VK_N_ARM; i++) {
    dq[i] = pull[i];
    for (int a = 0; a < 6; a++)
      dq[i] += J[a * VK_N_ARM + i] * y[a];
  }
}

bool vk_arm_inverse(const vk_arm *arm, const vk_pose *goal, double margin_rad, double *q)
{
  vk_pose link[VK_N_ARM], tip;
  double J[6 * VK_N_ARM], e[6], dq[VK_N_ARM];
  for (int it = 0; it < ITERATIONS; it++) {
    vk_arm_forward(arm, q, link, &tip);
    vk_v3_sub(e, goal->p, tip.p);
    vk_m3_error(e + 3, tip.R, goal->R);
    const double size = fmax(vk_v3_norm(e), 0.5 * vk_v3_norm(e + 3));
    for (int k = 0; k < 6 && size > 0.15; k++)
      e[k] *= 0.15 / size;
    jacobian(link, &tip, J);
    resolve(J, e, q, dq);
    for (int i = 0; i < VK_N_ARM; i++)
      q[i] = fmin(fmax(q[i] + dq[i], arm->q_lo[i] + margin_rad), arm->q_hi[i] - margin_rad);
  }
  vk_arm_forward(arm, q, link, &tip);
  return vk_v3_dist(tip.p, goal->p) < 4e-3 && vk_m3_angle(tip.R, goal->R) < 0.04;
}

void vk_arm_stretch(vk_arm *arm, bool is_allowed)
{
  arm->q_hi[ELBOW] = is_allowed ? ELBOW_LIMIT_RAD + 0.25 : ELBOW_LIMIT_RAD;
}

bool vk_arm_is_trapped(const double *q, bool was_trapped)
{
  return q[ELBOW] > (was_trapped ? ELBOW_STRAIGHT_RAD - 0.15 : ELBOW_STRAIGHT_RAD);
}

double vk_arm_strain(const vk_arm *arm, const double *q)
{
  /* The controller spreads motion over the joints in its own way, so a wrist that is planned near
   * its limit runs into it. */
  return 0.5 * fmax(0, q[ELBOW] - ELBOW_EASY_RAD) + 2 * fmax(0, fabs(q[WRIST]) - WRIST_EASY_RAD);
}
