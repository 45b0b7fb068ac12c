/* env_reset.c - LIBERO's env.reset(): what it draws from the generator, in which order, and the
 * forward calls around it.
 * Source: LIBERO 8f1084e libero/envs/bddl_base_domain.py, object placement samplers;
 * robosuite 1.4.0 environments/base.py, utils/placement_samplers.py. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/env_internal.h"
#include "sim/home.h"

enum { TRIES_PER_PLACEMENT = 5000, TRIES_PER_RESET = 100 };

/* Buffers that an unstable episode made larger than this (0.7 GB were seen) are given back. */
enum { CONTACTS_KEPT = 2 * VK_SCENE_N_CONTACT };

/* ---- plan ---------------------------------------------------------------------------------- */

static vk_status resolve_placement(vk_placement *out, const vk_scene *s, const vk_pack_atom *atom,
                                   vk_err *err)
{
  const char *a = vk_pack_text(s->pack, atom->a), *b = vk_pack_text(s->pack, atom->b);
  *out = (vk_placement){
      .instance = vk_scene_find_instance(s, a), .below = vk_scene_find_instance(s, b), .site = -1};
  out->is_inside = atom->kind == VK_ATOM_IN;
  if (out->instance < 0)
    return vk_fail(err, VK_E_NOTFOUND, "%s: init places %s, which the task does not declare", s->id,
                   a);
  if (out->below >= 0)
    return VK_OK;
  out->region = vk_scene_find_region(s, b);
  if (!out->region)
    return vk_fail(err, VK_E_NOTFOUND, "%s: init puts %s on %s, which is no region or object",
                   s->id, a, b);
  out->below = vk_scene_find_instance(s, vk_pack_text(s->pack, out->region->target));
  if (out->below < 0) {
    if (!out->region->has_range)
      return vk_fail(err, VK_E_FORMAT, "%s: region %s of the arena has no :ranges", s->id, b);
    return VK_OK;
  }
  out->region = NULL;
  out->site = mj_name2id(s->model, mjOBJ_SITE, b);
  if (out->site < 0)
    return vk_fail(err, VK_E_NOTFOUND, "%s: init puts %s at %s, which has no site", s->id, a, b);
  return VK_OK;
}

/* LIBERO has samplers for things on regions, in regions and on objects. It passes over the rest, so
 * that what is put on a fixture as a whole, or in an object, stays where its MJCF has it. */
static bool is_ignored(const vk_scene *s, const vk_pack_atom *atom)
{
  int below = vk_scene_find_instance(s, vk_pack_text(s->pack, atom->b));
  return atom->kind == VK_ATOM_IN ? below >= 0 : below >= s->n_object;
}

/* 0 on the arena, 1 On a site, 2 In a site, 3 on an object: the order of LIBERO's samplers. */
static int sampler_rank(const vk_placement *p)
{
  if (p->site >= 0)
    return p->is_inside ? 2 : 1;
  return p->below >= 0 ? 3 : 0;
}

/* Everything once, and after what it stands on. */
static vk_status check_order(const vk_reset_plan *plan, const vk_scene *s, vk_err *err)
{
  for (int i = 0; i < plan->n_placement; i++) {
    const vk_placement *p = &plan->placement[i];
    bool has_below = p->below < 0;
    for (int k = 0; k < i; k++) {
      if (plan->placement[k].instance == p->instance)
        return vk_fail(err, VK_E_FORMAT, "%s: init places %s twice", s->id,
                       s->instance[p->instance].name);
      has_below |= plan->placement[k].instance == p->below;
    }
    if (!has_below)
      return vk_fail(err, VK_E_FORMAT, "%s: init puts %s on %s, which is not placed before it",
                     s->id, s->instance[p->instance].name, s->instance[p->below].name);
  }
  return VK_OK;
}

vk_status vk_reset_plan_init(vk_reset_plan *plan, const vk_scene *s, vk_err *err)
{
  size_t n = s->task->n_init;
  memset(plan, 0, sizeof *plan);
  plan->property = calloc(n + 1, sizeof *plan->property);
  plan->placement = calloc(n + 1, sizeof *plan->placement);
  vk_placement *unsorted = calloc(n + 1, sizeof *unsorted);
  int n_unsorted = 0;
  vk_status st = VK_OK;
  if (!plan->property || !plan->placement || !unsorted) {
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for a reset plan", s->id);
    goto done;
  }
  for (size_t i = 0; i < n; i++) {
    const vk_pack_atom *atom = &s->pack->atom[s->task->init + i];
    if (atom->kind == VK_ATOM_ON || atom->kind == VK_ATOM_IN) {
      if (is_ignored(s, atom))
        continue;
      VK_TRY_DONE(resolve_placement(&unsorted[n_unsorted++], s, atom, err));
      continue;
    }
    vk_atom *property = &plan->property[plan->n_property++];
    VK_TRY_DONE(vk_scene_resolve_atom(s, atom->kind, vk_pack_text(s->pack, atom->a),
                                      vk_pack_text(s->pack, atom->b), property, err));
  }
  for (int rank = 0; rank <= 3; rank++)
    for (int i = 0; i < n_unsorted; i++)
      if (sampler_rank(&unsorted[i]) == rank)
        plan->placement[plan->n_placement++] = unsorted[i];
  for (int i = 0; i < plan->n_placement; i++)
    plan->has_site |= plan->placement[i].site >= 0;
  st = check_order(plan, s, err);
done:
  free(unsorted);
  return st;
}

void vk_reset_plan_fini(vk_reset_plan *plan)
{
  free(plan->property);
  free(plan->placement);
  memset(plan, 0, sizeof *plan);
}

/* ---- home ---------------------------------------------------------------------------------- */

static void restore_fixtures(vk_env *env)
{
  const mjModel *from = env->scene->model;
  for (int i = env->scene->n_object; i < env->scene->n_instance; i++) {
    int body = env->scene->instance[i].body;
    memcpy(env->model.body_pos + 3 * body, from->body_pos + 3 * body, 3 * sizeof(double));
    memcpy(env->model.body_quat + 4 * body, from->body_quat + 4 * body, 4 * sizeof(double));
  }
}

/* The controller is built at home; poses, Jacobians and inertia are all that it reads. */
static void compute_home(vk_env *env, void *arg)
{
  (void)arg;
  const vk_scene *s = env->scene;
  const mjModel *m = &env->model;
  mjData *d = env->data;
  restore_fixtures(env);
  mj_resetData(m, d);
  memcpy(d->qpos + s->arm_qpos, vk_home_arm_q_rad, sizeof vk_home_arm_q_rad);
  mj_kinematics(m, d);
  mj_comPos(m, d);
  mj_crb(m, d);
  vk_osc_read(&env->home_osc, s, m, d);
  vk_osc_hold(&env->home_osc);
  memcpy(d->qpos + s->finger_qpos, vk_home_finger_q_m, sizeof vk_home_finger_q_m);
  memcpy(env->home_qpos, d->qpos, sizeof(double) * (size_t)m->nq);
}

static vk_status ensure_home(vk_env *env, vk_err *err)
{
  if (env->has_home)
    return VK_OK;
  VK_TRY(vk_env_run(env, compute_home, NULL, err));
  env->has_home = true;
  return VK_OK;
}

/* ---- draws --------------------------------------------------------------------------------- */

/* Quaternion xyzw, one draw per rotation, even of an empty range. A product of several passes
 * through float32 after every factor, as robosuite's quat_multiply does. */
static void draw_rotation(double quat_xyzw[4], vk_mt19937 *rng, const vk_pack_rotation *rotation,
                          uint32_t n, bool is_product)
{
  double q[4] = {0, 0, 0, 1};
  for (uint32_t i = 0; i < n; i++) {
    double half = vk_mt19937_uniform(rng, rotation[i].lo_rad, rotation[i].hi_rad) / 2;
    double t[4] = {0, 0, 0, cos(half)};
    t[rotation[i].axis] = sin(half);
    if (!is_product) {
      memcpy(q, t, sizeof q);
      continue;
    }
    double p[4] = {t[0] * q[3] + t[1] * q[2] - t[2] * q[1] + t[3] * q[0],
                   -t[0] * q[2] + t[1] * q[3] + t[2] * q[0] + t[3] * q[1],
                   t[0] * q[1] - t[1] * q[0] + t[2] * q[3] + t[3] * q[2],
                   -t[0] * q[0] - t[1] * q[1] - t[2] * q[2] + t[3] * q[3]};
    for (int k = 0; k < 4; k++)
      q[k] = (float)p[k];
  }
  memcpy(quat_xyzw, q, sizeof q);
}

typedef struct place_area {
  double x[2], y[2]; /* m */
  double base[3];    /* m, world */
  double z_offset;   /* m */
  double shrink;     /* m, taken off x and y; ranges may invert */
  bool avoid;        /* redraw while it overlaps what stands already */
} place_area;

static bool overlaps(const vk_env *env, int instance, const double p[3])
{
  const vk_scene *s = env->scene;
  const vk_pack_class *cls = s->instance[instance].cls;
  for (int i = 0; i < s->n_instance; i++) {
    if (!env->place[i].is_placed)
      continue;
    const vk_pack_class *other = s->instance[i].cls;
    const double *q = env->place[i].p;
    double dx = p[0] - q[0], dy = p[1] - q[1];
    if (sqrt(dx * dx + dy * dy) <= other->radius_m + cls->radius_m &&
        p[2] - q[2] <= other->top_m - cls->bottom_m)
      return true;
  }
  return false;
}

/* Returns false when no free place was found. */
static bool draw_position(vk_env *env, int instance, const place_area *area)
{
  vk_reset_place *pose = &env->place[instance];
  const vk_pack_class *cls = env->scene->instance[instance].cls;
  vk_mt19937 *rng = &env->core.rng;
  for (int i = 0; i < TRIES_PER_PLACEMENT; i++) {
    double x = vk_mt19937_uniform(rng, area->x[0] + area->shrink, area->x[1] - area->shrink);
    double y = vk_mt19937_uniform(rng, area->y[0] + area->shrink, area->y[1] - area->shrink);
    pose->p[0] = x + area->base[0];
    pose->p[1] = y + area->base[1];
    pose->p[2] = area->base[2] + area->z_offset - cls->bottom_m;
    if (!area->avoid || !overlaps(env, instance, pose->p))
      return true;
  }
  return false;
}

static void arena_area(place_area *area, const vk_env *env, const vk_placement *p, bool is_object)
{
  const vk_pack_problem *problem = env->scene->problem;
  const double *r = p->region->range;
  *area = (place_area){.x = {r[0], r[2]}, .y = {r[1], r[3]}, .avoid = is_object};
  memcpy(area->base, problem->workspace_offset_m, sizeof area->base);
  area->z_offset = is_object ? problem->object_z_offset_m : problem->fixture_z_offset_m;
  if (is_object && problem->shrink)
    area->shrink = env->scene->instance[p->instance].cls->radius_m;
}

/* A site's position is taken from the model as it was compiled and turned by the fixture's drawn
 * quaternion; needs mj_kinematics of that model. */
static void site_area(place_area *area, const vk_env *env, const vk_placement *p)
{
  const vk_reset_place *below = &env->place[p->below];
  double R[9], offset[3];
  *area = (place_area){.avoid = true};
  vk_quat_to_mat_f32(below->quat, R);
  mju_mulMatVec(offset, R, env->data->site_xpos + 3 * p->site, 3, 3);
  for (int k = 0; k < 3; k++)
    area->base[k] = below->p[k] + offset[k];
  if (p->is_inside)
    return;
  const double *size = env->model.site_size + 3 * p->site;
  area->base[2] += env->scene->instance[p->below].cls->top_m;
  area->x[0] = -(area->x[1] = size[0] / 2);
  area->y[0] = -(area->y[1] = size[1] / 2);
  area->shrink = env->scene->instance[p->instance].cls->radius_m;
}

static void object_area(place_area *area, const vk_env *env, const vk_placement *p)
{
  *area = (place_area){.z_offset = env->scene->problem->object_z_offset_m};
  memcpy(area->base, env->place[p->below].p, sizeof area->base);
  area->base[2] += env->scene->instance[p->below].cls->top_m;
}

static bool draw_placement(vk_env *env, const vk_placement *p)
{
  bool is_object = p->instance < env->scene->n_object;
  vk_reset_place *pose = &env->place[p->instance];
  const vk_pack_class *cls = env->scene->instance[p->instance].cls;
  place_area area;
  if (p->site >= 0)
    site_area(&area, env, p);
  else if (p->below >= 0)
    object_area(&area, env, p);
  else
    arena_area(&area, env, p, is_object);
  if (!draw_position(env, p->instance, &area))
    return false;
  if (is_object) { /* built as xyzw, stored where MuJoCo reads wxyz: the benchmark's own way */
    draw_rotation(pose->quat, &env->core.rng, cls->rotation, cls->n_rotation,
                  cls->is_rotation_product);
  } else {
    vk_pack_rotation yaw = {.axis = VK_AXIS_Z};
    if (p->region && p->region->has_yaw) {
      yaw.lo_rad = fmin(p->region->yaw_rad[0], p->region->yaw_rad[1]);
      yaw.hi_rad = fmax(p->region->yaw_rad[0], p->region->yaw_rad[1]);
    }
    double q[4];
    draw_rotation(q, &env->core.rng, &yaw, 1, false);
    pose->quat[0] = q[3];
    memcpy(pose->quat + 1, q, 3 * sizeof(double));
  }
  pose->is_placed = true;
  return true;
}

/* One try of a reset: all its draws, into env->place and the property joints of data->qpos, which
 * otherwise stands at home. Returns false when something found no place. */
static bool draw_try(vk_env *env)
{
  const vk_reset_plan *plan = &env->plan;
  mjData *d = env->data;
  env->core.n_reset++;
  for (int i = 0; i < VK_N_ARM; i++)
    (void)vk_mt19937_normal(&env->core.rng); /* noise of the arm's joints, scaled by zero */
  restore_fixtures(env);
  memcpy(d->qpos, env->home_qpos, sizeof(double) * (size_t)env->model.nq);
  /* The list of joint samplers grows by one copy with every load of the model; the last wins. */
  for (int k = 0; k < env->core.n_reset + 1; k++)
    for (int i = 0; i < plan->n_property; i++) {
      const vk_atom *atom = &plan->property[i];
      double q = vk_mt19937_uniform(&env->core.rng, atom->articulation->draw_lo,
                                    atom->articulation->draw_hi);
      for (int j = 0; j < atom->n_joint; j++)
        d->qpos[env->model.jnt_qposadr[atom->joint[j]]] = q;
    }
  if (plan->has_site)
    mj_kinematics(&env->model, d);
  for (int i = 0; i < env->scene->n_instance; i++)
    env->place[i].is_placed = false;
  for (int i = 0; i < plan->n_placement; i++)
    if (!draw_placement(env, &plan->placement[i]))
      return false;
  return true;
}

static vk_status draw_reset(vk_env *env, vk_err *err)
{
  for (int i = 0; i < TRIES_PER_RESET; i++)
    if (draw_try(env))
      return VK_OK;
  return vk_fail(err, VK_E_SIM, "%s: reset %d found no room for its objects in %d tries",
                 env->scene->id, env->core.n_reset, TRIES_PER_RESET);
}

/* ---- reset --------------------------------------------------------------------------------- */

static void apply_reset(vk_env *env, void *arg)
{
  (void)arg;
  const vk_scene *s = env->scene;
  mjModel *m = &env->model;
  mjData *d = env->data;
  for (int i = 0; i < s->n_instance; i++) {
    const vk_reset_place *pose = &env->place[i];
    if (!pose->is_placed)
      continue;
    double *p =
        i < s->n_object ? d->qpos + s->instance[i].qpos_adr : m->body_pos + 3 * s->instance[i].body;
    double *quat = i < s->n_object ? p + 3 : m->body_quat + 4 * s->instance[i].body;
    memcpy(p, pose->p, sizeof pose->p);
    memcpy(quat, pose->quat, sizeof pose->quat);
  }
  vk_env_forward(env);
}

vk_status vk_env_skip_resets(vk_env *env, int n, vk_err *err)
{
  VK_TRY(ensure_home(env, err));
  for (int i = 0; i < n; i++)
    VK_TRY(draw_reset(env, err));
  return VK_OK;
}

vk_status vk_env_reset(vk_env *env, vk_err *err)
{
  if (env->n_contact_max > CONTACTS_KEPT)
    VK_TRY(vk_env_set_capacity(env, CONTACTS_KEPT, err));
  VK_TRY(ensure_home(env, err));
  VK_TRY(draw_reset(env, err));
  mjData *d = env->data;
  d->time = 0;
  memset(d->qvel, 0, sizeof(double) * (size_t)env->model.nv);
  memset(d->ctrl, 0, sizeof(double) * (size_t)env->model.nu);
  memcpy(d->qacc_warmstart, env->scene->home_warmstart, sizeof(double) * (size_t)env->model.nv);
  env->core.osc = env->home_osc;
  memset(env->core.grip, 0, sizeof env->core.grip);
  env->core.n_unstable = 0;
  VK_TRY(vk_env_run(env, apply_reset, NULL, err));
  env->core.n_forced = 1;
  env->core.success = false;
  vk_env_hide_flame(env);
  vk_env_observe(env);
  return VK_OK;
}
