/* Success predicates of LIBERO (8f1084e: envs/predicates, envs/object_states) as sim/scene.h
 * declares them. */
#include <math.h>
#include <string.h>

#include "sim/scene.h"

static const vk_pack_articulation *find_articulation(const vk_pack_class *cls, vk_atom_kind kind)
{
  for (uint32_t i = 0; i < cls->n_articulation; i++)
    if (cls->articulation[i].atom == (uint32_t)kind)
      return &cls->articulation[i];
  return NULL;
}

static vk_status add_joint(vk_atom *atom, int joint, const char *name, vk_err *err)
{
  if (atom->n_joint == VK_SCENE_JOINTS_MAX)
    return vk_fail(err, VK_E_FORMAT, "%s has more than %d joints", name, VK_SCENE_JOINTS_MAX);
  atom->joint[atom->n_joint++] = joint;
  return VK_OK;
}

/* Joints of an instance's whole subtree, or of the one body that holds a region's site. */
static vk_status resolve_joints(const vk_scene *scene, const char *name, vk_atom *atom, vk_err *err)
{
  const mjModel *m = scene->model;
  for (int j = 0; j < m->njnt; j++) {
    int body = m->jnt_bodyid[j];
    if (atom->a >= 0 ? scene->body_owner[body] == atom->a : body == m->site_bodyid[atom->site])
      VK_TRY(add_joint(atom, j, name, err));
  }
  int owner = atom->a >= 0 ? atom->a : atom->site_owner;
  atom->articulation = owner < 0 ? NULL : find_articulation(scene->instance[owner].cls, atom->kind);
  if (!atom->articulation)
    return vk_fail(err, VK_E_NOTFOUND,
                   "%s: \"%s %s\" has no meaning, as its class opens and turns "
                   "nothing that way",
                   scene->id, vk_atom_name(atom->kind), name);
  return VK_OK;
}

/* name is an instance (index out) or a site (site and its owner out). */
static vk_status resolve_name(const vk_scene *scene, const char *name, int *instance, vk_atom *atom,
                              vk_err *err)
{
  *instance = vk_scene_find_instance(scene, name);
  if (*instance >= 0)
    return VK_OK;
  atom->site = mj_name2id(scene->model, mjOBJ_SITE, name);
  if (atom->site < 0)
    return vk_fail(err, VK_E_NOTFOUND,
                   "%s: \"%s %s\" names neither an object, a fixture nor a "
                   "region of the scene",
                   scene->id, vk_atom_name(atom->kind), name);
  atom->site_owner = scene->body_owner[scene->model->site_bodyid[atom->site]];
  return VK_OK;
}

vk_status vk_scene_resolve_atom(const vk_scene *scene, vk_atom_kind kind, const char *a,
                                const char *b, vk_atom *out, vk_err *err)
{
  VK_ASSERT(kind < VK_ATOM_N);
  *out = (vk_atom){.kind = kind, .a = -1, .b = -1, .site = -1, .site_owner = -1};
  VK_TRY(resolve_name(scene, a, &out->a, out, err));
  if (kind != VK_ATOM_ON && kind != VK_ATOM_IN) {
    if (b && b[0])
      return vk_fail(err, VK_E_NOTFOUND, "%s: \"%s %s %s\" has an argument too many", scene->id,
                     vk_atom_name(kind), a, b);
    return resolve_joints(scene, a, out, err);
  }
  if (out->a < 0)
    return vk_fail(err, VK_E_NOTFOUND, "%s: \"%s %s %s\": the first is a region, not an object",
                   scene->id, vk_atom_name(kind), a, b);
  VK_TRY(resolve_name(scene, b ? b : "", &out->b, out, err));
  if (kind == VK_ATOM_IN && out->b >= 0)
    return vk_fail(err, VK_E_NOTFOUND, "%s: \"in %s %s\": the second is an object, not a region",
                   scene->id, a, b);
  return VK_OK;
}

static bool is_touching(const vk_scene *scene, const mjData *d, int a, int b)
{
  for (int i = 0; i < d->ncon; i++) {
    int owner1 = scene->geom_owner[d->contact[i].geom1];
    int owner2 = scene->geom_owner[d->contact[i].geom2];
    if ((owner1 == a && owner2 == b) || (owner1 == b && owner2 == a))
      return true;
  }
  return false;
}

static bool is_on_instance(const vk_scene *scene, const mjData *d, const vk_atom *atom)
{
  const mjtNum *pa = d->xpos + 3 * scene->instance[atom->a].body;
  const mjtNum *pb = d->xpos + 3 * scene->instance[atom->b].body;
  double dx = pa[0] - pb[0], dy = pa[1] - pb[1];
  return pb[2] <= pa[2] && sqrt(dx * dx + dy * dy) < 0.03 &&
         is_touching(scene, d, atom->a, atom->b);
}

static void rotate(double out[3], const mjtNum R[9], const double v[3])
{
  for (int i = 0; i < 3; i++)
    out[i] = R[3 * i] * v[0] + R[3 * i + 1] * v[1] + R[3 * i + 2] * v[2];
}

/* The benchmark turns the difference by R where R transposed would be meant; kept. */
static bool is_on_site(const vk_scene *scene, const mjModel *m, const mjData *d,
                       const vk_atom *atom)
{
  const mjtNum *pa = d->xpos + 3 * scene->instance[atom->a].body;
  const mjtNum *ps = d->site_xpos + 3 * atom->site, *size = m->site_size + 3 * atom->site;
  double v[3], difference[3] = {pa[0] - ps[0], pa[1] - ps[1], pa[2] - ps[2]};
  rotate(v, d->site_xmat + 9 * atom->site, difference);
  if (!(size[2] - 0.005 < v[2] && v[2] < size[2] + 0.10 && fabs(v[0]) < size[0] &&
        fabs(v[1]) < size[1]))
    return false;
  return atom->site_owner < 0 || is_touching(scene, d, atom->site_owner, atom->a);
}

static bool is_in_site(const vk_scene *scene, const mjModel *m, const mjData *d,
                       const vk_atom *atom)
{
  const mjtNum *pa = d->xpos + 3 * scene->instance[atom->a].body;
  const mjtNum *ps = d->site_xpos + 3 * atom->site;
  double half[3];
  rotate(half, d->site_xmat + 9 * atom->site, m->site_size + 3 * atom->site);
  for (int i = 0; i < 3; i++) {
    double h = fabs(half[i]), lo = ps[i] - h - (i == 2 ? 0.01 : 0), hi = ps[i] + h;
    if (!(pa[i] > lo && pa[i] < hi))
      return false;
  }
  return true;
}

static bool is_articulated(const mjModel *m, const mjData *d, const vk_atom *atom)
{
  const vk_pack_articulation *art = atom->articulation;
  for (int i = 0; i < atom->n_joint; i++) {
    double q = d->qpos[m->jnt_qposadr[atom->joint[i]]];
    bool is_past = art->cmp == VK_CMP_LT   ? q < art->threshold
                   : art->cmp == VK_CMP_LE ? q <= art->threshold
                   : art->cmp == VK_CMP_GT ? q > art->threshold
                                           : q >= art->threshold;
    if (is_past != (art->every != 0))
      return is_past;
  }
  return art->every != 0;
}

bool vk_atom_holds(const vk_scene *scene, const mjModel *m, const mjData *d, const vk_atom *atom)
{
  switch (atom->kind) {
  case VK_ATOM_ON:
    return atom->b >= 0 ? is_on_instance(scene, d, atom) : is_on_site(scene, m, d, atom);
  case VK_ATOM_IN:
    return is_in_site(scene, m, d, atom);
  default:
    return is_articulated(m, d, atom);
  }
}
