/* forward_plan.c - what vk_forward needs to know of a model, worked out once. */
#include <math.h>
#include <string.h>

#include "sim/forward_internal.h"

#if VK_MUJOCO_IS_KNOWN

static double larger(double a, double b)
{
  return a > b ? a : b;
}

static bool has_callback(void)
{
  return mjcb_passive || mjcb_control || mjcb_contactfilter || mjcb_sensor || mjcb_time ||
         mjcb_act_dyn || mjcb_act_gain || mjcb_act_bias;
}

static bool is_plane_or_field(const mjModel *m, int geom)
{
  return m->geom_type[geom] == mjGEOM_PLANE || m->geom_type[geom] == mjGEOM_HFIELD;
}

/* The first thing in m that vk_forward does not do, NULL: none. */
static const char *find_foreign(const mjModel *m)
{
  if (mj_version() != 222)
    return "MuJoCo is not 2.2.2";
  if (has_callback())
    return "a callback is set";
  if (m->opt.solver != mjSOL_NEWTON || m->opt.cone != mjCONE_ELLIPTIC)
    return "not the Newton solver with elliptic cones";
  if (m->opt.jacobian == mjJAC_SPARSE || (m->opt.jacobian == mjJAC_AUTO && m->nv >= 60))
    return "a sparse Jacobian";
  if (m->opt.noslip_iterations > 0 || m->opt.collision != mjCOL_ALL)
    return "noslip iterations or chosen collision pairs";
  if (m->opt.disableflags || m->opt.enableflags)
    return "option flags";
  if (m->neq || m->ntendon || m->npair || m->nexclude || !m->nv || m->nbody < 2)
    return "equalities, tendons, contact pairs, exclusions or no dofs";
  for (int i = 0; i < m->njnt; i++)
    if (m->jnt_type[i] == mjJNT_BALL && m->jnt_limited[i])
      return "a limited ball joint";
  for (int i = 0; i < m->ngeom; i++) {
    if (m->geom_type[i] == mjGEOM_HFIELD || m->geom_type[i] > mjGEOM_MESH)
      return "a height field";
    if (is_plane_or_field(m, i) && m->body_weldid[m->geom_bodyid[i]] != 0)
      return "a moving plane";
    if (m->geom_condim[i] < 1 || m->geom_condim[i] > VK_DIM_MAX)
      return "a condim outside of 1 to 6";
  }
  return NULL;
}

/* ---- trees --------------------------------------------------------------------------------- */

static void find_trees(vk_plan *p, const mjModel *m)
{
  p->n_tree = 0;
  for (int i = 0; i < m->nv; i++) {
    if (m->dof_parentid[i] < 0) {
      p->tree_dof[p->n_tree] = i;
      p->tree_n[p->n_tree++] = 0;
    }
    p->dof_tree[i] = p->n_tree - 1;
    p->tree_n[p->n_tree - 1]++;
  }
}

/* Trees hold their dofs side by side: MuJoCo numbers bodies depth first. */
static bool trees_are_contiguous(const vk_plan *p, const mjModel *m)
{
  for (int i = 0; i < m->nv; i++)
    if (m->dof_parentid[i] >= 0 && p->dof_tree[m->dof_parentid[i]] != p->dof_tree[i])
      return false;
  return true;
}

static int first_group(const vk_plan *p, int tree)
{
  return p->tree_dof[tree] / 4;
}

static int n_group_of(const vk_plan *p, int tree)
{
  return (p->tree_dof[tree] + p->tree_n[tree] - 1) / 4 - first_group(p, tree) + 1;
}

/* The dofs that move a body, as masks over its tree's groups. */
static vk_status plan_body(vk_plan *p, const mjModel *m, int body, vk_arena *a, vk_err *err)
{
  int b = body;
  while (b && !m->body_dofnum[b])
    b = m->body_parentid[b];
  p->body_tree[body] = -1;
  p->body_mask[body] = NULL;
  if (!b)
    return VK_OK;
  int last = m->body_dofadr[b] + m->body_dofnum[b] - 1, tree = p->dof_tree[last];
  int n = n_group_of(p, tree);
  m4 *mask = VK_PUSH_LINE(a, (size_t)n, m4, err);
  if (!mask)
    return VK_E_NOMEM;
  memset(mask, 0, sizeof *mask * (size_t)n);
  for (int i = last; i >= 0; i = m->dof_parentid[i])
    mask[i / 4 - first_group(p, tree)][i % 4] = -1;
  p->body_tree[body] = tree;
  p->body_mask[body] = mask;
  return VK_OK;
}

static vk_status plan_pattern(vk_plan *p, int a, int b, vk_arena *arena, vk_err *err)
{
  vk_row_pattern *out = &p->pattern[(a + 1) * (p->n_tree + 1) + b + 1];
  int *group = VK_PUSH(arena, (size_t)p->n_group, int, err);
  if (!group)
    return VK_E_NOMEM;
  *out = (vk_row_pattern){.group = group, .tree_a = a, .tree_b = b};
  for (int side = 0; side < 2; side++) {
    int tree = side ? b : a;
    if (tree < 0 || (side && a == b))
      continue;
    int first = first_group(p, tree), n = n_group_of(p, tree);
    int at = out->n && group[out->n - 1] == first ? out->n - 1 : out->n;
    *(side ? &out->at_b : &out->at_a) = at;
    for (int k = 0; k < n; k++)
      group[at + k] = first + k;
    out->n = at + n;
  }
  if (a == b)
    out->at_b = out->at_a;
  out->has_tail = p->n_tail && out->n && group[out->n - 1] == p->n_group - 1;
  if (out->n > p->max_pattern)
    p->max_pattern = out->n;
  p->pattern[(b + 1) * (p->n_tree + 1) + a + 1] = *out;
  return VK_OK;
}

static vk_status plan_trees(vk_plan *p, const mjModel *m, vk_arena *a, vk_err *err)
{
  size_t nv = (size_t)m->nv, nbody = (size_t)m->nbody;
  p->nv = m->nv;
  p->n_group = (m->nv + 3) / 4;
  p->n_tail = m->nv % 4;
  if (!(p->tree_dof = VK_PUSH(a, nv, int, err)) || !(p->tree_n = VK_PUSH(a, nv, int, err)) ||
      !(p->dof_tree = VK_PUSH(a, nv, int, err)) || !(p->body_tree = VK_PUSH(a, nbody, int, err)) ||
      !(p->body_mask = VK_PUSH(a, nbody, m4 *, err)))
    return VK_E_NOMEM;
  find_trees(p, m);
  if (!trees_are_contiguous(p, m)) {
    p->reason = "trees whose dofs are scattered";
    return VK_OK;
  }
  for (int i = 0; i < m->nbody; i++)
    VK_TRY(plan_body(p, m, i, a, err));
  size_t n_pattern = (size_t)(p->n_tree + 1) * (size_t)(p->n_tree + 1);
  if (!(p->pattern = VK_PUSH(a, n_pattern, vk_row_pattern, err)))
    return VK_E_NOMEM;
  for (int t = -1; t < p->n_tree; t++)
    for (int u = t; u < p->n_tree; u++)
      VK_TRY(plan_pattern(p, t, u, a, err));
  return VK_OK;
}

/* ---- softness ------------------------------------------------------------------------------ */

static double smaller(double a, double b)
{
  return a < b ? a : b;
}

static double stiffness(const double ref[2], double dmax)
{
  if (ref[0] > 0)
    return 1 / larger(mjMINVAL, dmax * dmax * ref[0] * ref[0] * ref[1] * ref[1]);
  return -ref[0] / larger(mjMINVAL, dmax * dmax);
}

static double damping(const double ref[2], double dmax)
{
  if (ref[1] > 0)
    return 2 / larger(mjMINVAL, dmax * ref[0]);
  return -ref[1] / larger(mjMINVAL, dmax);
}

static vk_softness plan_softness(const mjModel *m, const double *solref, const double *solimp)
{
  vk_softness s = {0};
  double ref[2] = {solref[0], solref[1]}, *imp = s.imp;
  if ((ref[0] > 0) != (ref[1] > 0)) {
    ref[0] = 0.02;
    ref[1] = 1;
  }
  if (ref[0] > 0)
    ref[0] = larger(ref[0], 2 * m->opt.timestep);
  imp[0] = smaller(mjMAXIMP, larger(mjMINIMP, solimp[0]));
  imp[1] = smaller(mjMAXIMP, larger(mjMINIMP, solimp[1]));
  imp[2] = larger(0, solimp[2]);
  imp[3] = smaller(mjMAXIMP, larger(mjMINIMP, solimp[3]));
  imp[4] = larger(1, solimp[4]);
  s.low = 1 / pow(imp[3], imp[4] - 1);
  s.high = 1 / pow(1 - imp[3], imp[4] - 1);
  s.K = stiffness(ref, imp[1]);
  s.B = damping(ref, imp[1]);
  s.is_flat = imp[0] == imp[1] || imp[2] <= mjMINVAL;
  s.flat = 0.5 * (imp[0] + imp[1]);
  return s;
}

static vk_status plan_joints(vk_plan *p, const mjModel *m, vk_arena *a, vk_err *err)
{
  if (!(p->dof_soft = VK_PUSH(a, (size_t)m->nv, vk_softness, err)) ||
      !(p->jnt_soft = VK_PUSH(a, (size_t)m->njnt, vk_softness, err)))
    return VK_E_NOMEM;
  for (int i = 0; i < m->nv; i++)
    p->dof_soft[i] = plan_softness(m, m->dof_solref + mjNREF * i, m->dof_solimp + mjNIMP * i);
  for (int i = 0; i < m->njnt; i++)
    p->jnt_soft[i] = plan_softness(m, m->jnt_solref + mjNREF * i, m->jnt_solimp + mjNIMP * i);
  return VK_OK;
}

/* ---- air ----------------------------------------------------------------------------------- */

/* The factors of mj_inertiaBoxFluidModel for a body: a box with its mass and inertia. */
static void plan_drag(vk_drag *out, const mjModel *m, int body)
{
  const double *I = m->body_inertia + 3 * body, pi = mjPI;
  double mass = m->body_mass[body], box[3], density = m->opt.density, air = m->opt.viscosity;
  *out = (vk_drag){.is_on = true};
  box[0] = sqrt(larger(mjMINVAL, I[1] + I[2] - I[0]) / mass * 6.0);
  box[1] = sqrt(larger(mjMINVAL, I[0] + I[2] - I[1]) / mass * 6.0);
  box[2] = sqrt(larger(mjMINVAL, I[0] + I[1] - I[2]) / mass * 6.0);
  if (air > 0) {
    double diameter = (box[0] + box[1] + box[2]) / 3.0;
    out->spin_viscous = -pi * diameter * diameter * diameter * air;
    out->slide_viscous = -3.0 * pi * diameter * air;
  }
  if (!(density > 0))
    return;
  /* The order of factors in MuJoCo: the lower index first. */
  for (int k = 0; k < 3; k++) {
    double a = box[k == 0 ? 1 : 0], b = box[k == 2 ? 1 : 2];
    out->slide[k] = 0.5 * density * a * b;
    out->spin[k] = density * box[k] * (a * a * a * a + b * b * b * b);
  }
}

static vk_status plan_air(vk_plan *p, const mjModel *m, vk_arena *a, vk_err *err)
{
  if (!(p->drag = VK_PUSH(a, (size_t)m->nbody, vk_drag, err)))
    return VK_E_NOMEM;
  const double *wind = m->opt.wind;
  p->has_air = m->opt.density > 0 || m->opt.viscosity > 0;
  p->has_wind = wind[0] != 0 || wind[1] != 0 || wind[2] != 0;
  for (int i = 0; i < m->ngeom; i++)
    p->has_wind = p->has_wind || m->geom_fluid[mjNFLUID * i] > 0;
  for (int i = 0; i < m->nbody; i++) {
    p->drag[i] = (vk_drag){0};
    if (i && p->body_tree[i] >= 0 && m->body_mass[i] >= mjMINVAL)
      plan_drag(&p->drag[i], m, i);
  }
  return VK_OK;
}

/* ---- geoms --------------------------------------------------------------------------------- */

static void box_of_mesh(vk_slot *s, const mjModel *m, int mesh)
{
  const float *vert = m->mesh_vert + 3 * m->mesh_vertadr[mesh];
  double lo[3] = {INFINITY, INFINITY, INFINITY}, hi[3] = {-INFINITY, -INFINITY, -INFINITY};
  for (int i = 0; i < m->mesh_vertnum[mesh]; i++)
    for (int k = 0; k < 3; k++) {
      lo[k] = fmin(lo[k], vert[3 * i + k]);
      hi[k] = fmax(hi[k], vert[3 * i + k]);
    }
  for (int k = 0; k < 3; k++) {
    s->offset[k] = 0.5 * (lo[k] + hi[k]);
    s->half[k] = 0.5 * (hi[k] - lo[k]);
  }
}

static void plan_slot(vk_slot *s, const mjModel *m, int geom)
{
  const double *size = m->geom_size + 3 * geom;
  *s = (vk_slot){.geom = geom,
                 .body = m->geom_bodyid[geom],
                 .type = m->geom_type[geom],
                 .rbound = m->geom_rbound[geom]};
  s->is_plane = s->type == mjGEOM_PLANE;
  s->is_box = s->type == mjGEOM_BOX;
  switch (s->type) {
  case mjGEOM_SPHERE:
    s->half[0] = s->half[1] = s->half[2] = size[0];
    break;
  case mjGEOM_CAPSULE:
    s->half[0] = s->half[1] = size[0];
    s->half[2] = size[1] + size[0];
    break;
  case mjGEOM_CYLINDER:
    s->half[0] = s->half[1] = size[0];
    s->half[2] = size[1];
    break;
  case mjGEOM_MESH:
    box_of_mesh(s, m, m->geom_dataid[geom]);
    break;
  default:
    memcpy(s->half, size, sizeof s->half);
  }
}

static bool same_class(const mjModel *m, int a, int b)
{
  return m->geom_contype[a] == m->geom_contype[b] &&
         m->geom_conaffinity[a] == m->geom_conaffinity[b] &&
         m->geom_condim[a] == m->geom_condim[b] && m->geom_priority[a] == m->geom_priority[b] &&
         m->geom_margin[a] == m->geom_margin[b] && m->geom_gap[a] == m->geom_gap[b] &&
         m->geom_solmix[a] == m->geom_solmix[b] &&
         !memcmp(m->geom_friction + 3 * a, m->geom_friction + 3 * b, 3 * sizeof(double)) &&
         !memcmp(m->geom_solref + mjNREF * a, m->geom_solref + mjNREF * b,
                 mjNREF * sizeof(double)) &&
         !memcmp(m->geom_solimp + mjNIMP * a, m->geom_solimp + mjNIMP * b, mjNIMP * sizeof(double));
}

static double mix_factor(double a, double b)
{
  if (a >= mjMINVAL && b >= mjMINVAL)
    return a / (a + b);
  if (a < mjMINVAL && b < mjMINVAL)
    return 0.5;
  return a < mjMINVAL ? 0.0 : 1.0;
}

/* Friction, reference and impedance of two geoms of equal priority. */
static void mix_parameters(vk_pair_class *c, const mjModel *m, int a, int b)
{
  const double *ref_a = m->geom_solref + mjNREF * a, *ref_b = m->geom_solref + mjNREF * b;
  const double *imp_a = m->geom_solimp + mjNIMP * a, *imp_b = m->geom_solimp + mjNIMP * b;
  for (int k = 0; k < 3; k++)
    c->friction[2 * k] = larger(m->geom_friction[3 * a + k], m->geom_friction[3 * b + k]);
  double mix = mix_factor(m->geom_solmix[a], m->geom_solmix[b]);
  bool is_standard = ref_a[0] > 0 && ref_b[0] > 0;
  for (int k = 0; k < mjNREF; k++)
    c->solref[k] = is_standard           ? mix * ref_a[k] + (1 - mix) * ref_b[k]
                   : ref_a[k] < ref_b[k] ? ref_a[k]
                                         : ref_b[k];
  for (int k = 0; k < mjNIMP; k++) {
    c->solimp[k] = imp_a[k] * mix;
    c->solimp[k] += imp_b[k] * (1 - mix);
  }
}

static void plan_pair_class(vk_pair_class *c, const mjModel *m, int a, int b)
{
  c->can_touch = (m->geom_contype[a] & m->geom_conaffinity[b]) ||
                 (m->geom_contype[b] & m->geom_conaffinity[a]);
  c->margin = larger(m->geom_margin[a], m->geom_margin[b]);
  c->includemargin = c->margin - larger(m->geom_gap[a], m->geom_gap[b]);
  if (m->geom_priority[a] == m->geom_priority[b]) {
    c->condim = m->geom_condim[a] > m->geom_condim[b] ? m->geom_condim[a] : m->geom_condim[b];
    mix_parameters(c, m, a, b);
  } else {
    int g = m->geom_priority[a] > m->geom_priority[b] ? a : b;
    c->condim = m->geom_condim[g];
    for (int k = 0; k < 3; k++)
      c->friction[2 * k] = m->geom_friction[3 * g + k];
    memcpy(c->solref, m->geom_solref + mjNREF * g, sizeof c->solref);
    memcpy(c->solimp, m->geom_solimp + mjNIMP * g, sizeof c->solimp);
  }
  c->friction[1] = c->friction[0];
  c->friction[3] = c->friction[4];
  for (int k = 0; k < 5; k++)
    c->friction[k] = larger(mjMINMU, c->friction[k]);
  c->soft = plan_softness(m, c->solref, c->solimp);
}

static vk_status plan_classes(vk_plan *p, const mjModel *m, vk_arena *a, vk_err *err)
{
  int *example = VK_PUSH(a, (size_t)p->n_slot, int, err);
  if (!example || !(p->geom_class = VK_PUSH(a, (size_t)m->ngeom, int, err)))
    return VK_E_NOMEM;
  for (int i = 0; i < m->ngeom; i++)
    p->geom_class[i] = -1;
  for (int i = 0; i < p->n_slot; i++) {
    int c = 0;
    while (c < p->n_class && !same_class(m, example[c], p->slot[i].geom))
      c++;
    if (c == p->n_class)
      example[p->n_class++] = p->slot[i].geom;
    p->slot[i].cls = c;
    p->geom_class[p->slot[i].geom] = c;
  }
  size_t n = (size_t)p->n_class;
  if (!(p->pair_class = VK_PUSH(a, n * n, vk_pair_class, err)))
    return VK_E_NOMEM;
  for (int i = 0; i < p->n_class; i++)
    for (int j = 0; j < p->n_class; j++)
      plan_pair_class(&p->pair_class[i * p->n_class + j], m, example[i], example[j]);
  return VK_OK;
}

/* mj_contactFilter's tests of the bodies. */
static bool bodies_may_touch(const mjModel *m, int a, int b)
{
  int weld_a = m->body_weldid[a], weld_b = m->body_weldid[b];
  if (weld_a == weld_b)
    return false;
  return !weld_a || !weld_b ||
         (weld_a != m->body_weldid[m->body_parentid[weld_b]] &&
          weld_b != m->body_weldid[m->body_parentid[weld_a]]);
}

static vk_status plan_geoms(vk_plan *p, const mjModel *m, vk_arena *a, vk_err *err)
{
  size_t nbody = (size_t)m->nbody;
  if (!(p->slot = VK_PUSH(a, (size_t)m->ngeom, vk_slot, err)) ||
      !(p->body_slot = VK_PUSH(a, nbody, int, err)) ||
      !(p->body_n_slot = VK_PUSH(a, nbody, int, err)) ||
      !(p->body_has_plane = VK_PUSH(a, nbody, bool, err)) ||
      !(p->body_pair = VK_PUSH(a, nbody * nbody, uint8_t, err)))
    return VK_E_NOMEM;
  for (int b = 0; b < m->nbody; b++) {
    p->body_slot[b] = p->n_slot;
    p->body_has_plane[b] = false;
    for (int i = 0; i < m->body_geomnum[b]; i++) {
      int g = m->body_geomadr[b] + i;
      if (!m->geom_contype[g] && !m->geom_conaffinity[g])
        continue;
      plan_slot(&p->slot[p->n_slot++], m, g);
      p->body_has_plane[b] = p->body_has_plane[b] || is_plane_or_field(m, g);
    }
    p->body_n_slot[b] = p->n_slot - p->body_slot[b];
  }
  for (int b = 0; b < m->nbody; b++)
    for (int c = 0; c < m->nbody; c++)
      p->body_pair[b * m->nbody + c] =
          b < c && p->body_n_slot[b] && p->body_n_slot[c] && bodies_may_touch(m, b, c);
  return plan_classes(p, m, a, err);
}

vk_status vk_plan_init(vk_plan *p, const mjModel *m, vk_arena *a, vk_err *err)
{
  *p = (vk_plan){.reason = find_foreign(m)};
  if (p->reason)
    return VK_OK;
  VK_TRY(plan_trees(p, m, a, err));
  if (p->reason)
    return VK_OK;
  VK_TRY(plan_joints(p, m, a, err));
  VK_TRY(plan_air(p, m, a, err));
  VK_TRY(plan_geoms(p, m, a, err));
  p->is_native = true;
  return VK_OK;
}

#endif
