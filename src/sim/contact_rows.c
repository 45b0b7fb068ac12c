/* contact_rows.c - mj_makeConstraint and mj_referenceConstraint for friction losses, limits and
 * contacts: the same numbers, but rows of J hold only the dofs of the trees that they touch.
 * Compiled once a path. */
#include <math.h>
#include <string.h>

#include "sim/forward_kernel.h"

#if VK_MUJOCO_IS_KNOWN

static double larger(double a, double b)
{
  return a > b ? a : b;
}

/* The impedance at a depth: getimpedance. */
static double impedance(const vk_softness *s, double pos, double margin)
{
  const double *imp = s->imp;
  if (s->is_flat)
    return s->flat;
  double x = (pos - margin) / imp[2];
  if (x < 0)
    x = -x;
  if (x >= 1)
    return imp[1];
  if (x <= 0)
    return imp[0];
  double y = x;
  if (imp[4] != 1)
    y = x <= imp[3] ? s->low * pow(x, imp[4]) : 1 - s->high * pow(1 - x, imp[4]);
  return imp[0] + y * (imp[1] - imp[0]);
}

/* ---- rows of one dof ----------------------------------------------------------------------- */

static bool note_full(vk_forward *f, const mjModel *m, mjData *d, int n)
{
  if (f->n_row + n <= f->n_row_max)
    return false;
  mj_warning(d, mjWARN_CNSTRFULL, m->njmax);
  return true;
}

static void add_unit(vk_forward *f, const mjModel *m, int dof, double sign, double pos,
                     double margin, const vk_softness *s, double K)
{
  int i = f->n_row++;
  double imp = impedance(s, pos, margin);
  f->unit[f->n_unit++] = (vk_unit_row){dof, sign};
  f->R[i] = larger(mjMINVAL, (1 - imp) * m->dof_invweight0[dof] / imp);
  f->D[i] = 1 / f->R[i];
  f->B[i] = s->B;
  f->KI[i] = K * imp * (pos - margin);
}

static bool add_friction_rows(vk_forward *f, const mjModel *m, mjData *d)
{
  for (int i = 0; i < m->nv; i++) {
    if (!(m->dof_frictionloss[i] > 0))
      continue;
    if (note_full(f, m, d, 1))
      return false;
    f->floss[f->n_row] = m->dof_frictionloss[i];
    add_unit(f, m, i, 1, 0, 0, &f->plan.dof_soft[i], 0);
  }
  f->n_friction = f->n_unit;
  return true;
}

static bool add_limit_rows(vk_forward *f, const mjModel *m, mjData *d)
{
  for (int i = 0; i < m->njnt; i++) {
    bool is_scalar = m->jnt_type[i] == mjJNT_SLIDE || m->jnt_type[i] == mjJNT_HINGE;
    if (!m->jnt_limited[i] || !is_scalar)
      continue;
    double q = d->qpos[m->jnt_qposadr[i]];
    for (int side = -1; side <= 1; side += 2) {
      double dist = side * (m->jnt_range[2 * i + (side + 1) / 2] - q);
      if (!(dist < m->jnt_margin[i]))
        continue;
      if (note_full(f, m, d, 1))
        return false;
      const vk_softness *s = &f->plan.jnt_soft[i];
      add_unit(f, m, m->jnt_dofadr[i], -side, dist, m->jnt_margin[i], s, s->K);
    }
  }
  return true;
}

/* ---- contacts ------------------------------------------------------------------------------ */

/* Adds sign * the Jacobian of a point of a body to out[k][group of the pattern], k < 3: along the
 * world's axes, k >= 3 (n = 6): about them. */
static void add_side(v4 *out, int stride, int n, double sign, const vk_forward *f, const mjModel *m,
                     const mjData *d, int body, const double point[3], int at)
{
  const vk_plan *p = &f->plan;
  int tree = p->body_tree[body];
  const double *com = d->subtree_com + 3 * m->body_rootid[body];
  double x = point[0] - com[0], y = point[1] - com[1], z = point[2] - com[2];
  int first = p->tree_dof[tree] / 4;
  int n_group = (p->tree_dof[tree] + p->tree_n[tree] - 1) / 4 - first + 1;
  for (int g = 0; g < n_group; g++) {
    const v4 *c = f->cdof + 6 * (first + g);
    const m4 mask = p->body_mask[body][g];
    v4 part[VK_DIM_MAX] = {c[3] + (c[1] * z - c[2] * y),
                           c[4] + (c[2] * x - c[0] * z),
                           c[5] + (c[0] * y - c[1] * x),
                           c[0],
                           c[1],
                           c[2]};
    for (int k = 0; k < n; k++) {
      v4 part_k = (v4)((m4)part[k] & mask);
      v4 *o = out + k * stride + at + g;
      *o = sign < 0 ? *o - part_k : *o + part_k;
    }
  }
}

/* Rows [dim][pattern->n] of a contact. */
static void fill_jacobian(v4 *J, const vk_forward *f, const mjModel *m, const mjData *d,
                          const mjContact *con, const vk_row_pattern *pattern, bool a_is_first)
{
  int b1 = m->geom_bodyid[con->geom1], b2 = m->geom_bodyid[con->geom2], n = pattern->n;
  int n_part = con->dim > 3 ? 6 : 3;
  v4 dif[VK_DIM_MAX * VK_PATTERN_MAX];
  memset(dif, 0, sizeof *dif * (size_t)(n * n_part));
  if (f->plan.body_tree[b2] >= 0)
    add_side(dif, n, n_part, 1, f, m, d, b2, con->pos, a_is_first ? pattern->at_b : pattern->at_a);
  if (f->plan.body_tree[b1] >= 0)
    add_side(dif, n, n_part, -1, f, m, d, b1, con->pos, a_is_first ? pattern->at_a : pattern->at_b);
  for (int r = 0; r < con->dim; r++) {
    const double *axis = con->frame + 3 * (r % 3);
    const v4 *from = dif + (r < 3 ? 0 : 3 * n);
    for (int g = 0; g < n; g++)
      J[r * n + g] =
          ((from[g] * axis[0] + 0.0) + from[n + g] * axis[1]) + from[2 * n + g] * axis[2];
  }
}

/* R, D and mu of a contact's rows. */
static void set_regularizers(vk_forward *f, const mjModel *m, const mjContact *con, int i_con,
                             double imp)
{
  int b1 = m->geom_bodyid[con->geom1], b2 = m->geom_bodyid[con->geom2], row = f->con_row[i_con];
  double tran = m->body_invweight0[2 * b1] + m->body_invweight0[2 * b2];
  double rot = m->body_invweight0[2 * b1 + 1] + m->body_invweight0[2 * b2 + 1], *R = f->R + row;
  for (int j = 0; j < con->dim; j++)
    R[j] = larger(mjMINVAL, (1 - imp) * (j < 3 ? tran : rot) / imp);
  f->con_mu[i_con] = 0;
  if (con->dim > 1) {
    const double *fr = con->friction;
    R[1] = R[0] / larger(mjMINVAL, m->opt.impratio);
    f->con_mu[i_con] = fr[0] * sqrt(R[1] / R[0]);
    for (int j = 1; j < con->dim - 1; j++)
      R[j + 1] = R[1] * fr[0] * fr[0] / (fr[j] * fr[j]);
  }
  for (int j = 0; j < con->dim; j++)
    f->D[row + j] = 1 / R[j];
}

/* As above, B and KI; contacts of the same geoms mostly have what the one before has. Returns the
 * impedance. */
static double soften_contact(vk_forward *f, const mjModel *m, const mjContact *con, int i_con,
                             double imp_before)
{
  const int *cls = f->plan.geom_class;
  const vk_pair_class *c = &f->plan.pair_class[cls[con->geom1] * f->plan.n_class + cls[con->geom2]];
  int row = f->con_row[i_con];
  double imp = impedance(&c->soft, con->dist, con->includemargin);
  size_t size = sizeof(double) * (size_t)con->dim;
  bool is_next = i_con && f->con[i_con - 1] == f->con[i_con] - 1;
  if (is_next && imp == imp_before && con->geom1 == con[-1].geom1 && con->geom2 == con[-1].geom2) {
    memcpy(f->R + row, f->R + row - con->dim, size);
    memcpy(f->D + row, f->D + row - con->dim, size);
    f->con_mu[i_con] = f->con_mu[i_con - 1];
  } else {
    set_regularizers(f, m, con, i_con, imp);
  }
  for (int j = 0; j < con->dim; j++) {
    f->B[row + j] = c->soft.B;
    f->KI[row + j] = 0;
  }
  f->KI[row] = c->soft.K * imp * (con->dist - con->includemargin);
  f->con_dim[i_con] = (uint8_t)con->dim;
  f->con_slip[0][i_con] = con->friction[0];
  f->con_slip[1][i_con] = con->friction[1];
  return imp;
}

static bool add_contact_rows(vk_forward *f, const mjModel *m, mjData *d)
{
  const vk_plan *p = &f->plan;
  v4 *J = f->J;
  double imp = 0;
  for (int i = 0; i < d->ncon; i++) {
    mjContact *con = d->contact + i;
    if (con->exclude)
      continue;
    if (note_full(f, m, d, con->dim))
      return false;
    int t1 = p->body_tree[m->geom_bodyid[con->geom1]],
        t2 = p->body_tree[m->geom_bodyid[con->geom2]];
    const vk_row_pattern *pattern = &p->pattern[(t1 + 1) * (p->n_tree + 1) + t2 + 1];
    vk_row_run *run = f->n_run ? f->run + f->n_run - 1 : NULL;
    if (!run || run->pattern->tree_a != pattern->tree_a ||
        run->pattern->tree_b != pattern->tree_b) {
      run = f->run + f->n_run++;
      *run = (vk_row_run){.pattern = pattern, .row = f->n_row, .J = J};
    }
    f->con[f->n_con] = i;
    f->con_row[f->n_con] = f->n_row;
    fill_jacobian(J, f, m, d, con, pattern, t1 == pattern->tree_a);
    imp = soften_contact(f, m, con, f->n_con, imp);
    J += con->dim * pattern->n;
    run->n_row += con->dim;
    f->n_row += con->dim;
    f->con_row[++f->n_con] = f->n_row;
  }
  return true;
}

bool VK_KERNEL(vk_make_rows)(vk_forward *f, const mjModel *m, mjData *d)
{
  f->n_friction = f->n_unit = f->n_row = f->n_con = f->n_run = 0;
  f->has_H = f->has_smooth = false;
  d->ne = d->nf = d->nefc = 0;
  bool has_room = add_friction_rows(f, m, d) && add_limit_rows(f, m, d);
  f->con_row[0] = f->n_row;
  return has_room && add_contact_rows(f, m, d);
}

#endif
