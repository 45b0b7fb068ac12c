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

static double smaller(double a, double b)
{
  return a < b ? a : b;
}

/* ---- impedance ----------------------------------------------------------------------------- */

/* Parameters of one constraint as getsolparam clips them. */
typedef struct softness {
  double ref[2], imp[5];
} softness;

static softness clip_softness(const mjModel *m, const double *ref, const double *imp)
{
  softness s = {{ref[0], ref[1]}, {0}};
  if ((ref[0] > 0) != (ref[1] > 0)) {
    s.ref[0] = 0.02;
    s.ref[1] = 1;
  }
  if (s.ref[0] > 0)
    s.ref[0] = larger(s.ref[0], 2 * m->opt.timestep);
  s.imp[0] = smaller(mjMAXIMP, larger(mjMINIMP, imp[0]));
  s.imp[1] = smaller(mjMAXIMP, larger(mjMINIMP, imp[1]));
  s.imp[2] = larger(0, imp[2]);
  s.imp[3] = smaller(mjMAXIMP, larger(mjMINIMP, imp[3]));
  s.imp[4] = larger(1, imp[4]);
  return s;
}

/* The sigmoid between the two impedances. */
static double ramp(const double imp[5], double x)
{
  if (imp[4] == 1)
    return x;
  if (x <= imp[3])
    return 1 / pow(imp[3], imp[4] - 1) * pow(x, imp[4]);
  return 1 - 1 / pow(1 - imp[3], imp[4] - 1) * pow(1 - x, imp[4]);
}

static double impedance(const double imp[5], double pos, double margin)
{
  if (imp[0] == imp[1] || imp[2] <= mjMINVAL)
    return 0.5 * (imp[0] + imp[1]);
  double x = (pos - margin) / imp[2];
  if (x < 0)
    x = -x;
  if (x >= 1)
    return imp[1];
  if (x <= 0)
    return imp[0];
  return imp[0] + ramp(imp, x) * (imp[1] - imp[0]);
}

static double stiffness(const softness *s)
{
  const double *ref = s->ref, dmax = s->imp[1];
  if (ref[0] > 0)
    return 1 / larger(mjMINVAL, dmax * dmax * ref[0] * ref[0] * ref[1] * ref[1]);
  return -ref[0] / larger(mjMINVAL, dmax * dmax);
}

static double damping(const softness *s)
{
  if (s->ref[1] > 0)
    return 2 / larger(mjMINVAL, s->imp[1] * s->ref[0]);
  return -s->ref[1] / larger(mjMINVAL, s->imp[1]);
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
                     double margin, const softness *s, double K)
{
  int i = f->n_row++;
  double imp = impedance(s->imp, pos, margin);
  f->unit[f->n_unit++] = (vk_unit_row){dof, sign};
  f->R[i] = larger(mjMINVAL, (1 - imp) * m->dof_invweight0[dof] / imp);
  f->D[i] = 1 / f->R[i];
  f->B[i] = damping(s);
  f->KI[i] = K * imp * (pos - margin);
}

static bool add_friction_rows(vk_forward *f, const mjModel *m, mjData *d)
{
  for (int i = 0; i < m->nv; i++) {
    if (!(m->dof_frictionloss[i] > 0))
      continue;
    if (note_full(f, m, d, 1))
      return false;
    softness s = clip_softness(m, m->dof_solref + mjNREF * i, m->dof_solimp + mjNIMP * i);
    f->floss[f->n_row] = m->dof_frictionloss[i];
    add_unit(f, m, i, 1, 0, 0, &s, 0);
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
      softness s = clip_softness(m, m->jnt_solref + mjNREF * i, m->jnt_solimp + mjNIMP * i);
      add_unit(f, m, m->jnt_dofadr[i], -side, dist, m->jnt_margin[i], &s, stiffness(&s));
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

/* R, D, B, KI and mu of a contact's rows. */
static void soften_contact(vk_forward *f, const mjModel *m, const mjContact *con, int i_con)
{
  int b1 = m->geom_bodyid[con->geom1], b2 = m->geom_bodyid[con->geom2];
  int row = f->con_row[i_con];
  double tran = m->body_invweight0[2 * b1] + m->body_invweight0[2 * b2];
  double rot = m->body_invweight0[2 * b1 + 1] + m->body_invweight0[2 * b2 + 1];
  softness s = clip_softness(m, con->solref, con->solimp);
  double imp = impedance(s.imp, con->dist, con->includemargin), B = damping(&s);
  double *R = f->R + row;
  for (int j = 0; j < con->dim; j++) {
    R[j] = larger(mjMINVAL, (1 - imp) * (j < 3 ? tran : rot) / imp);
    f->B[row + j] = B;
    f->KI[row + j] = 0;
  }
  f->KI[row] = stiffness(&s) * imp * (con->dist - con->includemargin);
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

static bool add_contact_rows(vk_forward *f, const mjModel *m, mjData *d)
{
  const vk_plan *p = &f->plan;
  v4 *J = f->J;
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
    soften_contact(f, m, con, f->n_con);
    J += con->dim * pattern->n;
    run->n_row += con->dim;
    f->n_row += con->dim;
    f->n_con++;
  }
  f->con_row[f->n_con] = f->n_row;
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
