#include "sim/expert_world.h"

#include <stdlib.h>

/* ---- boxes --------------------------------------------------------------------------------- */

bool vk_box_touches(const vk_box *a, const vk_box *b, double margin_m)
{
  double d[3], t[3], R[9], A[9], ha[3];
  vk_v3_sub(d, b->pose.p, a->pose.p);
  const double reach = a->radius_m + b->radius_m + fmax(margin_m, 0) * 1.8;
  if (vk_v3_dot(d, d) > reach * reach)
    return false;
  vk_m3_apply_t(t, a->pose.R, d);
  vk_m3_mul_ta(R, a->pose.R, b->pose.R);
  for (int k = 0; k < 9; k++)
    A[k] = fabs(R[k]) + 1e-9;
  for (int k = 0; k < 3; k++)
    ha[k] = fmax(a->half_m[k] + margin_m, 1e-5);
  const double *hb = b->half_m;
  for (int i = 0; i < 3; i++)
    if (fabs(t[i]) > ha[i] + vk_v3_dot(A + 3 * i, hb))
      return false;
  for (int j = 0; j < 3; j++)
    if (fabs(t[0] * R[j] + t[1] * R[3 + j] + t[2] * R[6 + j]) >
        hb[j] + ha[0] * A[j] + ha[1] * A[3 + j] + ha[2] * A[6 + j])
      return false;
  for (int i = 0; i < 3; i++)
    for (int j = 0; j < 3; j++) {
      const int i1 = (i + 1) % 3, i2 = (i + 2) % 3, j1 = (j + 1) % 3, j2 = (j + 2) % 3;
      const double ra = ha[i1] * A[3 * i2 + j] + ha[i2] * A[3 * i1 + j];
      const double rb = hb[j1] * A[3 * i + j2] + hb[j2] * A[3 * i + j1];
      if (fabs(t[i2] * R[3 * i1 + j] - t[i1] * R[3 * i2 + j]) > ra + rb)
        return false;
    }
  return true;
}

static bool may_collide(const vk_box *a, const vk_box *b)
{
  return (a->contype & b->conaffinity) || (b->contype & a->conaffinity);
}

static bool box_free(const vk_world *world, const vk_box *box, double margin_m)
{
  for (int i = 0; i < world->n_box; i++) {
    const vk_box *w = &world->box[i];
    if (w->owner >= 0 && world->is_ignored[w->owner])
      continue;
    if (may_collide(box, w) && vk_box_touches(box, w, margin_m))
      return false;
  }
  return true;
}

/* ---- reading the scene --------------------------------------------------------------------- */

vk_status vk_world_reserve(vk_world *world, const mjModel *m, vk_err *err)
{
  if (world->n_max >= m->ngeom)
    return VK_OK;
  vk_box *box = realloc(world->box, sizeof *box * (size_t)m->ngeom);
  if (!box)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d boxes of the scene", m->ngeom);
  world->box = box;
  world->n_max = m->ngeom;
  return VK_OK;
}

void vk_world_fini(vk_world *world)
{
  free(world->box);
  memset(world, 0, sizeof *world);
}

/* Half extents of a geom as a box; false for what planning does not see. */
static bool geom_half(const mjModel *m, int g, double half[3])
{
  const double *size = m->geom_size + 3 * g;
  switch (m->geom_type[g]) {
  case mjGEOM_BOX:
    vk_v3_copy(half, size);
    return true;
  case mjGEOM_CAPSULE:
    half[0] = half[1] = size[0];
    half[2] = size[0] + size[1];
    return true;
  case mjGEOM_CYLINDER:
    half[0] = half[1] = size[0];
    half[2] = size[1];
    return true;
  case mjGEOM_SPHERE:
    half[0] = half[1] = half[2] = size[0];
    return true;
  case mjGEOM_PLANE: /* a thick plate below the floor, moved down by the caller */
    half[0] = half[1] = 3;
    half[2] = 0.5;
    return true;
  default:
    return false;
  }
}

void vk_world_read(vk_world *world, const vk_scene *scene, const mjModel *m, const mjData *d,
                   const vk_expert_facts *facts)
{
  const int robot = m->body_rootid[scene->body_hand];
  world->scene = scene;
  world->n_box = 0;
  memset(world->is_ignored, 0, sizeof world->is_ignored);
  world->n_gripper = facts->n_box;
  memcpy(world->gripper, facts->box, sizeof world->gripper);
  for (int g = 0; g < m->ngeom && world->n_box < world->n_max; g++) {
    vk_box *box = &world->box[world->n_box];
    if (m->body_rootid[m->geom_bodyid[g]] == robot || !geom_half(m, g, box->half_m) ||
        (m->geom_contype[g] == 0 && m->geom_conaffinity[g] == 0))
      continue;
    vk_v3_copy(box->pose.p, d->geom_xpos + 3 * g);
    memcpy(box->pose.R, d->geom_xmat + 9 * g, sizeof box->pose.R);
    if (m->geom_type[g] == mjGEOM_PLANE) {
      double z[3];
      vk_m3_column(z, box->pose.R, 2);
      vk_v3_madd(box->pose.p, box->pose.p, -box->half_m[2], z);
    }
    box->radius_m = vk_v3_norm(box->half_m);
    box->owner = scene->body_owner[m->geom_bodyid[g]];
    box->contype = m->geom_contype[g];
    box->conaffinity = m->geom_conaffinity[g];
    world->n_box++;
  }
}

void vk_world_select(vk_world *out, const vk_world *from, const bool *is_left_out,
                     const double centre[3], double radius_m)
{
  vk_box *box = out->box;
  const int n_max = out->n_max;
  *out = *from;
  out->box = box;
  out->n_max = n_max;
  out->n_box = 0;
  for (int i = 0; i < from->n_box && out->n_box < n_max; i++) {
    const vk_box *w = &from->box[i];
    if ((w->owner < 0 || !is_left_out[w->owner]) &&
        vk_v3_dist(w->pose.p, centre) < radius_m + w->radius_m)
      box[out->n_box++] = *w;
  }
}

void vk_world_hold(const vk_world *world, const bool *is_member, const vk_pose *tip, vk_held *held)
{
  held->n = 0;
  for (int i = 0; i < world->n_box && held->n < VK_WORLD_HELD_MAX; i++) {
    const vk_box *w = &world->box[i];
    if (w->owner < 0 || !is_member[w->owner])
      continue;
    held->box[held->n] = *w;
    vk_pose_in(&held->box[held->n++].pose, tip, &w->pose);
  }
}

void vk_world_bounds(const vk_world *world, int instance, const vk_pose *frame, double lo[3],
                     double hi[3])
{
  for (int k = 0; k < 3; k++) {
    lo[k] = 1e9;
    hi[k] = -1e9;
  }
  for (int i = 0; i < world->n_box; i++) {
    const vk_box *w = &world->box[i];
    if (w->owner != instance)
      continue;
    vk_pose in;
    vk_pose_in(&in, frame, &w->pose);
    for (int k = 0; k < 3; k++) {
      const double e = fabs(in.R[3 * k]) * w->half_m[0] + fabs(in.R[3 * k + 1]) * w->half_m[1] +
                       fabs(in.R[3 * k + 2]) * w->half_m[2];
      lo[k] = fmin(lo[k], in.p[k] - e);
      hi[k] = fmax(hi[k], in.p[k] + e);
    }
  }
}

/* ---- what moves ---------------------------------------------------------------------------- */

/* side: +1 or -1, which finger; 0: a box of the hand */
static void place_gripper_box(const vk_gripper_box *g, const vk_pose *tip, double finger_q,
                              double side, vk_box *box)
{
  double at[3];
  vk_v3_copy(at, g->at_m);
  if (side != 0)
    at[0] = side * (at[0] + finger_q);
  vk_pose_point(box->pose.p, tip, at);
  memcpy(box->pose.R, tip->R, sizeof tip->R);
  vk_v3_copy(box->half_m, g->half_m);
  box->radius_m = vk_v3_norm(g->half_m);
  box->owner = -1;
  box->contype = g->is_finger && !g->is_pad ? 0 : 1;
  box->conaffinity = 1;
}

bool vk_world_gripper_free(const vk_world *world, const vk_pose *tip, double finger_q,
                           double margin_m)
{
  for (int i = 0; i < world->n_gripper; i++) {
    const vk_gripper_box *g = &world->gripper[i];
    for (int side = g->is_finger ? -1 : 0; side <= 1; side += 2) {
      vk_box box;
      place_gripper_box(g, tip, finger_q, side, &box);
      if (!box_free(world, &box, margin_m))
        return false;
    }
  }
  return true;
}

bool vk_world_gap_free(const vk_world *world, const vk_pose *tip, double finger_q)
{
  /* The pads sweep this when they close; heights as the gripper's boxes have them. */
  const vk_gripper_box gap = {.at_m = {0, 0, -0.0036}, .half_m = {finger_q, 0.0075, 0.0075}};
  vk_box box;
  place_gripper_box(&gap, tip, 0, 0, &box);
  return box_free(world, &box, 0);
}

bool vk_world_boxes_free(const vk_world *world, const vk_box *box, int n, const vk_pose *frame,
                         double margin_m)
{
  for (int i = 0; i < n; i++) {
    vk_box at = box[i];
    vk_pose_mul(&at.pose, frame, &box[i].pose);
    if (!box_free(world, &at, margin_m))
      return false;
  }
  return true;
}

bool vk_world_held_free(const vk_world *world, const vk_held *held, const vk_pose *tip,
                        double margin_m)
{
  return !held || vk_world_boxes_free(world, held->box, held->n, tip, margin_m);
}

bool vk_world_arm_free(const vk_world *world, const vk_arm *arm, const double *q, double margin_m)
{
  vk_pose link[VK_N_ARM], tip;
  vk_arm_forward(arm, q, link, &tip);
  for (int i = 0; i < arm->n_box; i++) {
    const vk_arm_box *b = &arm->box[i];
    vk_box box = {.owner = -1, .contype = 1, .conaffinity = 1};
    vk_pose_mul(&box.pose, &link[b->link], &b->in_link);
    vk_v3_copy(box.half_m, b->half_m);
    box.radius_m = vk_v3_norm(b->half_m);
    if (!box_free(world, &box, margin_m))
      return false;
  }
  return true;
}
