#include "sim/picture.h"

#include <math.h>
#include <string.h>

int vk_picture_n_state(const vk_scene *scene)
{
  return scene->model->nq + 7 * scene->n_fixture + 1;
}

/* The pose that a row gives to the root body of a fixture, NULL for other bodies. */
static const double *fixture_pose(const vk_scene *scene, const double *state, int body)
{
  for (int i = scene->n_object; i < scene->n_instance; i++)
    if (scene->instance[i].body == body)
      return state + scene->model->nq + 7 * (i - scene->n_object);
  return NULL;
}

static void mat_of_quat(double R[9], const double quat[4])
{
  double unit[4];
  mju_copy4(unit, quat);
  mju_normalize4(unit);
  mju_quat2Mat(R, unit);
}

/* Turns and moves a body by its joint j. */
static void move_by_joint(const mjModel *m, int j, const double *qpos, vk_pose *pose)
{
  const double *q = qpos + m->jnt_qposadr[j];
  double by = q[0] - m->qpos0[m->jnt_qposadr[j]], anchor[3], quat[4], turn[9], R[9], arm[3];
  if (m->jnt_type[j] == mjJNT_SLIDE) {
    double axis[3];
    vk_m3_apply(axis, pose->R, m->jnt_axis + 3 * j);
    vk_v3_madd(pose->p, pose->p, by, axis);
    return;
  }
  if (m->jnt_type[j] == mjJNT_BALL)
    mju_copy4(quat, q);
  else
    mju_axisAngle2Quat(quat, m->jnt_axis + 3 * j, by);
  vk_pose_point(anchor, pose, m->jnt_pos + 3 * j);
  mat_of_quat(turn, quat);
  vk_m3_mul(R, pose->R, turn);
  memcpy(pose->R, R, sizeof R);
  vk_m3_apply(arm, R, m->jnt_pos + 3 * j);
  vk_v3_sub(pose->p, anchor, arm);
}

void vk_picture_poses(const vk_scene *scene, const double *state, vk_pose *pose)
{
  const mjModel *m = scene->model;
  pose[0] = (vk_pose){{0, 0, 0}, {1, 0, 0, 0, 1, 0, 0, 0, 1}};
  for (int b = 1; b < m->nbody; b++) {
    int j = m->body_jntadr[b], n_joint = m->body_jntnum[b];
    if (n_joint == 1 && m->jnt_type[j] == mjJNT_FREE) {
      const double *q = state + m->jnt_qposadr[j];
      vk_v3_copy(pose[b].p, q);
      mat_of_quat(pose[b].R, q + 3);
      continue;
    }
    const double *fixture = fixture_pose(scene, state, b);
    vk_pose own;
    vk_v3_copy(own.p, fixture ? fixture : m->body_pos + 3 * b);
    mat_of_quat(own.R, fixture ? fixture + 3 : m->body_quat + 4 * b);
    vk_pose_mul(&pose[b], &pose[m->body_parentid[b]], &own);
    for (int k = 0; k < n_joint; k++)
      move_by_joint(m, j + k, state, &pose[b]);
  }
}

void vk_picture_default(const vk_scene *scene, const double *qpos, double *state)
{
  const mjModel *m = scene->model;
  memcpy(state, qpos, sizeof *state * (size_t)m->nq);
  double *at = state + m->nq;
  for (int i = scene->n_object; i < scene->n_instance; i++, at += 7) {
    memcpy(at, m->body_pos + 3 * scene->instance[i].body, 3 * sizeof *at);
    memcpy(at + 3, m->body_quat + 4 * scene->instance[i].body, 4 * sizeof *at);
  }
  *at = 0;
}

static vk_status check_quat(const vk_scene *scene, const double *quat, const char *what,
                            vk_err *err)
{
  double n2 = mju_dot(quat, quat, 4);
  if (!(n2 > 1e-12))
    return vk_fail(err, VK_E_RANGE, "%s: the quaternion of %s has length %g, expected 1", scene->id,
                   what, sqrt(n2));
  return VK_OK;
}

vk_status vk_picture_check(const vk_scene *scene, const double *state, int n, vk_err *err)
{
  int want = vk_picture_n_state(scene);
  if (n != want)
    return vk_fail(err, VK_E_SHAPE, "%s: a picture state of %d numbers, expected %d", scene->id, n,
                   want);
  for (int i = 0; i < n; i++)
    if (!(fabs(state[i]) < 1e6))
      return vk_fail(err, VK_E_RANGE, "%s: number %d of a picture state is %g", scene->id, i,
                     state[i]);
  for (int i = 0; i < scene->n_instance; i++) {
    const vk_instance *inst = &scene->instance[i];
    const double *quat = i < scene->n_object
                             ? state + inst->qpos_adr + 3
                             : state + scene->model->nq + 7 * (i - scene->n_object) + 3;
    VK_TRY(check_quat(scene, quat, inst->name, err));
  }
  return VK_OK;
}
