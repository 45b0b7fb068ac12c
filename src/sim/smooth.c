/* smooth.c - mj_passive, and the axes of dofs by fours. Compiled once a path. */
#include <math.h>
#include <string.h>

#include "sim/forward_kernel.h"

#if VK_MUJOCO_IS_KNOWN

/* The axes of four dofs at a time, their parts apart. */
static void spread_axes(vk_forward *f, const mjData *d)
{
  const vk_plan *p = &f->plan;
  for (int i = 0; i < 4 * p->n_group; i++)
    for (int k = 0; k < 6; k++)
      f->cdof[6 * (i / 4) + k][i % 4] = i < p->nv ? d->cdof[6 * i + k] : 0;
}

/* Springs of joints that have one, and dampers. */
static void add_springs(const vk_forward *f, const mjModel *m, mjData *d)
{
  for (int i = 0; i < m->njnt; i++) {
    double k = m->jnt_stiffness[i];
    if (k == 0)
      continue;
    const double *q = d->qpos + m->jnt_qposadr[i], *rest = m->qpos_spring + m->jnt_qposadr[i];
    double *out = d->qfrc_passive + m->jnt_dofadr[i], turn[3];
    bool is_free = m->jnt_type[i] == mjJNT_FREE;
    if (m->jnt_type[i] == mjJNT_SLIDE || m->jnt_type[i] == mjJNT_HINGE) {
      out[0] -= k * (q[0] - rest[0]);
      continue;
    }
    for (int j = 0; j < 3 && is_free; j++)
      out[j] -= k * (q[j] - rest[j]);
    mju_subQuat(turn, q + 3 * is_free, rest + 3 * is_free);
    for (int j = 0; j < 3; j++)
      out[3 * is_free + j] -= k * turn[j];
  }
  for (int i = 0; i < m->nv; i++)
    d->qfrc_passive[i] -= m->dof_damping[i] * d->qvel[i];
}

static void turn_back(double out[3], const double R[9], const double v[3])
{
  for (int k = 0; k < 3; k++)
    out[k] = R[k] * v[0] + R[3 + k] * v[1] + R[6 + k] * v[2];
}

static void turn(double out[3], const double R[9], const double v[3])
{
  for (int k = 0; k < 3; k++)
    out[k] = R[3 * k] * v[0] + R[3 * k + 1] * v[1] + R[3 * k + 2] * v[2];
}

/* Drag of a body in still air in the frame of its inertia, from its box (mj_inertiaBoxFluidModel).
 */
static void drag(const vk_drag *c, const double w[3], const double v[3], double torque[3],
                 double force[3])
{
  for (int k = 0; k < 3; k++) {
    torque[k] = w[k] * c->spin_viscous;
    force[k] = v[k] * c->slide_viscous;
    force[k] -= c->slide[k] * fabs(v[k]) * v[k];
    torque[k] -= c->spin[k] * fabs(w[k]) * w[k] / 64.0;
  }
}

/* Adds J' (force, torque) at the body's centre of mass. */
static void apply(const vk_forward *f, const mjModel *m, const mjData *d, int body,
                  const double force[3], const double torque[3], v4 *out)
{
  const vk_plan *p = &f->plan;
  int tree = p->body_tree[body], first = p->tree_dof[tree] / 4;
  int last = (p->tree_dof[tree] + p->tree_n[tree] - 1) / 4;
  const double *com = d->subtree_com + 3 * m->body_rootid[body], *at = d->xipos + 3 * body;
  double x = at[0] - com[0], y = at[1] - com[1], z = at[2] - com[2];
  for (int g = first; g <= last; g++) {
    const v4 *c = f->cdof + 6 * g;
    m4 mask = p->body_mask[body][g - first];
    v4 px = c[3] + (c[1] * z - c[2] * y), py = c[4] + (c[2] * x - c[0] * z),
       pz = c[5] + (c[0] * y - c[1] * x);
    v4 by_force = (0.0 + px * force[0]) + py * force[1] + pz * force[2];
    v4 by_torque = (0.0 + c[0] * torque[0]) + c[1] * torque[1] + c[2] * torque[2];
    out[g] += (v4)((m4)by_force & mask);
    out[g] += (v4)((m4)by_torque & mask);
  }
}

static void add_drag(const vk_forward *f, const mjModel *m, const mjData *d, v4 *out)
{
  for (int i = 1; i < m->nbody; i++) {
    const vk_drag *c = &f->plan.drag[i];
    if (!c->is_on)
      continue;
    const double *vel = d->cvel + 6 * i, *R = d->ximat + 9 * i;
    const double *com = d->subtree_com + 3 * m->body_rootid[i], *at = d->xipos + 3 * i;
    double x = at[0] - com[0], y = at[1] - com[1], z = at[2] - com[2], w[3], v[3];
    double moved[3] = {vel[3] - (y * vel[2] - z * vel[1]), vel[4] - (z * vel[0] - x * vel[2]),
                       vel[5] - (x * vel[1] - y * vel[0])};
    turn_back(w, R, vel);
    turn_back(v, R, moved);
    double torque[3], force[3], world_torque[3], world_force[3];
    drag(c, w, v, torque, force);
    turn(world_torque, R, torque);
    turn(world_force, R, force);
    apply(f, m, d, i, world_force, world_torque, out);
  }
}

void VK_KERNEL(vk_passive)(vk_forward *f, const mjModel *m, mjData *d)
{
  const vk_plan *p = &f->plan;
  size_t size = sizeof(double) * (size_t)p->nv;
  spread_axes(f, d);
  if (p->has_wind) {
    mj_passive(m, d);
    return;
  }
  memset(d->qfrc_passive, 0, size);
  add_springs(f, m, d);
  if (!p->has_air)
    return;
  v4 out[VK_GROUP_MAX];
  out[p->n_group - 1] = (v4){0};
  memcpy(out, d->qfrc_passive, size);
  add_drag(f, m, d, out);
  memcpy(d->qfrc_passive, out, size);
}

#endif
