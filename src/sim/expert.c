#include "sim/expert.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/expert_internal.h"

static const double SLEW = 0.22; /* largest change of the motion, in action units, per step */

static const double STUCK_RAD_S = 0.02, STUCK_MOTION = 0.05;

/* How far a hand strays from a straight way that it is on. */
static const double WAY_BEYOND_M = 0.015, WAY_OFF_M = 0.012, WAY_CONE = 0.25, WAY_WIDENS_M = 0.06,
                    WAY_TURN_RAD = 0.15, WAY_TURN_RAD_PER_M = 2;

/* ---- sensing ------------------------------------------------------------------------------- */

vk_pose vk_expert_object_pose(const vk_expert *e, int instance)
{
  vk_pose p;
  const int body = e->scene->instance[instance].body;
  vk_v3_copy(p.p, e->now.d->xpos + 3 * body);
  memcpy(p.R, e->now.d->xmat + 9 * body, sizeof p.R);
  return p;
}

bool vk_expert_is_held(const vk_expert *e, int instance)
{
  return e->now.is_touching[0][instance] && e->now.is_touching[1][instance];
}

/* 0 or 1 for a finger (or its tip), -1 for other bodies */
static int finger_of(const mjModel *m, int body, const int finger[2])
{
  for (; body; body = m->body_parentid[body])
    for (int i = 0; i < 2; i++)
      if (body == finger[i])
        return i;
  return -1;
}

static void sense_touch(vk_expert *e)
{
  vk_sense *now = &e->now;
  const mjModel *m = now->m;
  const vk_scene *s = e->scene;
  int finger[2] = {0, 0};
  for (int j = 0; j < m->njnt; j++)
    for (int i = 0; i < 2; i++)
      if (m->jnt_qposadr[j] == s->finger_qpos + i)
        finger[i] = m->jnt_bodyid[j];
  memset(now->touched, 0, sizeof now->touched);
  memset(now->is_touching, 0, sizeof now->is_touching);
  for (int c = 0; c < now->d->ncon; c++) {
    const int b1 = m->geom_bodyid[now->d->contact[c].geom1],
              b2 = m->geom_bodyid[now->d->contact[c].geom2];
    for (int side = 0; side < 2; side++) {
      const int f = finger_of(m, side ? b2 : b1, finger);
      const int owner = s->body_owner[side ? b1 : b2];
      if (f < 0 || owner < 0 || now->is_touching[f][owner])
        continue;
      now->is_touching[f][owner] = true;
      now->touched[f]++;
    }
  }
}

enum { TRAPPED_STILL = 8, TRAPPED_MAX = 20 };

static void sense(vk_expert *e, const vk_env *env)
{
  vk_sense *now = &e->now;
  const vk_scene *s = e->scene;
  const vk_pose before = now->tip;
  now->m = vk_env_model(env);
  now->d = vk_env_data(env);
  vk_v3_copy(now->tip.p, now->d->site_xpos + 3 * s->site_grip);
  memcpy(now->tip.R, now->d->site_xmat + 9 * s->site_grip, sizeof now->tip.R);
  memcpy(now->q_rad, now->d->qpos + s->arm_qpos, sizeof now->q_rad);
  /* An arm that still moves is only stretched, as when it swings a door. */
  now->is_trapped = vk_arm_is_trapped(now->q_rad, now->is_trapped) &&
                    (now->n_trapped > 0 || now->n_still > TRAPPED_STILL);
  now->n_trapped = now->is_trapped ? now->n_trapped + 1 : 0;
  if (now->n_trapped > TRAPPED_MAX)
    now->is_trapped = false; /* something is in the way: go on as well as it goes */
  const double gap = now->d->qpos[s->finger_qpos] - now->d->qpos[s->finger_qpos + 1];
  now->gap_rate_m = gap - now->gap_m;
  now->gap_m = gap;
  const bool is_still = vk_v3_dist(before.p, now->tip.p) < 0.002 && vk_v3_norm(e->last) > 0.2;
  now->n_still = is_still ? now->n_still + 1 : 0;
  sense_touch(e);
}

/* ---- life ---------------------------------------------------------------------------------- */

vk_status vk_expert_new(vk_expert **out, const vk_expert_facts *facts, vk_err *err)
{
  vk_expert *e = calloc(1, sizeof *e);
  *out = NULL;
  if (!e)
    return vk_fail(err, VK_E_NOMEM, "no memory for a scripted expert");
  e->facts = facts;
  *out = e;
  return VK_OK;
}

void vk_expert_free(vk_expert *e)
{
  if (!e)
    return;
  vk_world_fini(&e->world);
  vk_world_fini(&e->near);
  free(e);
}

static const char *class_name(const vk_scene *s, int instance)
{
  return vk_pack_text(s->pack, s->instance[instance].cls->name);
}

/* Every object and part that the goal moves must have its row. */
static vk_status check_facts(const vk_expert *e, vk_err *err)
{
  const vk_scene *s = e->scene;
  for (int i = 0; i < s->n_goal; i++) {
    const vk_atom *a = &s->goal[i];
    const bool is_object = a->kind == VK_ATOM_ON || a->kind == VK_ATOM_IN;
    const int instance = a->a >= 0 ? a->a : a->site_owner;
    if (instance < 0)
      continue;
    const char *name = class_name(s, instance);
    if (is_object ? !vk_facts_object(e->facts, name) : !vk_facts_fixture(e->facts, name))
      return vk_fail(err, VK_E_NOTFOUND,
                     "%s: the expert's facts have no row for the %s \"%s\": add one to expert.json",
                     s->id, is_object ? "object" : "fixture", name);
  }
  return VK_OK;
}

/* Everything but what stays from episode to episode is forgotten. */
static vk_status start(vk_expert *e, const vk_env *env, vk_err *err)
{
  vk_world world = e->world, near = e->near;
  const vk_expert_facts *facts = e->facts;
  memset(e, 0, sizeof *e);
  e->world = world;
  e->near = near;
  e->facts = facts;
  e->scene = vk_env_scene(env);
  e->i_goal = -1;
  e->grip = -1;
  e->phase_name = "start";
  if (e->scene->n_instance > VK_WORLD_INSTANCES_MAX)
    return vk_fail(err, VK_E_RANGE, "%s: %d objects and fixtures, the expert handles %d",
                   e->scene->id, e->scene->n_instance, VK_WORLD_INSTANCES_MAX);
  VK_TRY(check_facts(e, err));
  VK_TRY(vk_world_reserve(&e->world, vk_env_model(env), err));
  VK_TRY(vk_world_reserve(&e->near, vk_env_model(env), err));
  sense(e, env);
  vk_arm_init(&e->arm, e->scene, e->now.m, e->now.d);
  return VK_OK;
}

vk_status vk_expert_begin(vk_expert *e, const vk_env *env, vk_err *err)
{
  VK_TRY(start(e, env, err));
  e->home = e->now.tip;
  return VK_OK;
}

vk_status vk_expert_resume(vk_expert *e, const vk_env *env, const double last[VK_N_ACTION],
                           vk_err *err)
{
  const vk_pose home = e->home;
  VK_TRY(start(e, env, err));
  e->home = home;
  memcpy(e->last, last, sizeof e->last);
  e->grip = last[6] > 0 ? 1 : -1;
  e->is_resumed = true;
  double speed = 0;
  for (int k = 0; k < VK_N_ARM; k++)
    speed = fmax(speed, fabs(e->now.d->qvel[e->scene->arm_qvel + k]));
  e->is_stuck = speed < STUCK_RAD_S && vk_v3_norm(e->last) > STUCK_MOTION;
  return VK_OK;
}

bool vk_expert_is_on_way(const vk_expert *e, const vk_pose *goal, const double out[3],
                         double length_m)
{
  double d[3], off[3];
  vk_v3_sub(d, e->now.tip.p, goal->p);
  const double left = vk_v3_dot(d, out), before = fmin(fmax(left, 0), WAY_WIDENS_M);
  vk_v3_madd(off, d, -left, out);
  return left > -WAY_BEYOND_M && left < length_m + WAY_BEYOND_M &&
         vk_v3_norm(off) < WAY_OFF_M + WAY_CONE * before &&
         vk_m3_angle(e->now.tip.R, goal->R) < WAY_TURN_RAD + WAY_TURN_RAD_PER_M * before;
}

/* ---- acting -------------------------------------------------------------------------------- */

void vk_expert_set_phase(vk_expert *e, int phase, const char *name)
{
  e->phase = phase;
  e->phase_step = -1; /* the step that ends now is not counted */
  e->phase_name = name;
}

static void begin_atom(vk_expert *e)
{
  e->phase = 0;
  e->phase_step = 0;
  e->phase_name = "plan";
  if (e->atom.kind == VK_ATOM_ON || e->atom.kind == VK_ATOM_IN) {
    e->object = e->atom.a;
    e->object_fact = vk_facts_object(e->facts, class_name(e->scene, e->object));
    e->skill = vk_expert_skill_pick;
  } else {
    e->part_joint = e->atom.n_joint ? e->atom.joint[0] : 0;
    e->part_body = e->now.m->jnt_bodyid[e->part_joint];
    e->skill = vk_expert_skill_part;
  }
}

/* Whether others have begun with an atom: what it moves is in the hand, or the hand is moving it.
 * It is brought to its end then, though it may hold already, as an object does that is still above
 * its place. */
static bool is_begun(vk_expert *e)
{
  begin_atom(e);
  return e->skill == vk_expert_skill_pick ? vk_expert_pick_is_begun(e) : vk_expert_part_is_begun(e);
}

static bool find_begun(vk_expert *e)
{
  const vk_scene *s = e->scene;
  for (e->i_goal = 0; e->i_goal < s->n_goal; e->i_goal++) {
    e->atom = s->goal[e->i_goal];
    if (is_begun(e) || (vk_expert_opening_atom(e, &s->goal[e->i_goal], &e->atom) && is_begun(e)))
      return true;
  }
  e->i_goal = -1;
  e->skill = NULL;
  return false;
}

/* Stretches the arm until the elbow is straight and bends back the right way: pulling in would fold
 * it further. */
static void untrap(vk_expert *e)
{
  vk_v3_sub(e->wish, e->now.tip.p, e->arm.base.p);
  e->wish[2] = fmax(e->wish[2], 0); /* not into the table */
  vk_v3_unit(e->wish);
  for (int k = 0; k < 3; k++)
    e->wish[k] *= 0.5;
  e->skill = NULL;
  e->phase_name = "straighten the arm";
}

/* Limits the change from the last action, translation and rotation as vectors each. */
static void shape(vk_expert *e, double action[VK_N_ACTION])
{
  for (int half = 0; half < 6; half += 3) {
    double d[3];
    for (int k = 0; k < 3; k++)
      e->wish[half + k] = fmin(fmax(e->wish[half + k], -1), 1);
    vk_v3_sub(d, e->wish + half, e->last + half);
    const double n = vk_v3_norm(d);
    vk_v3_madd(e->last + half, e->last + half, n > SLEW ? SLEW / n : 1, d);
  }
  memcpy(action, e->last, sizeof e->last);
  action[6] = e->grip;
}

void vk_expert_act(vk_expert *e, const vk_env *env, double action[VK_N_ACTION])
{
  sense(e, env);
  memset(e->wish, 0, sizeof e->wish);
  if (e->n_rest > 0)
    e->n_rest--;
  if (e->now.is_trapped)
    untrap(e);
  for (int tries = 0; tries < 3 && !e->n_rest && !e->now.is_trapped; tries++) {
    if (!e->skill && !(e->is_resumed && find_begun(e))) {
      const int before = e->i_goal;
      if (!vk_expert_next_atom(e))
        break;
      if (e->i_goal != before)
        e->attempt = e->relax = 0;
      begin_atom(e);
    }
    const int phase = e->phase;
    const vk_skill_state state = e->skill(e);
    e->phase_step++;
    if (state == VK_SKILL_RUNNING) {
      if (e->phase != phase && vk_v3_norm(e->wish) == 0 && vk_v3_norm(e->wish + 3) == 0)
        continue; /* a phase that only plans costs no step */
      break;
    }
    e->attempt = state == VK_SKILL_FAILED ? e->attempt + 1 : 0;
    if (state == VK_SKILL_FAILED && e->phase_step <= 1)
      e->n_rest = VK_EXPERT_REST;
    e->skill = NULL;
  }
  e->i_step++;
  shape(e, action);
}

void vk_expert_describe(const vk_expert *e, char *text, size_t n)
{
  static const char *const kinds[VK_ATOM_N] = {"on", "in", "open", "close", "turn on", "turn off"};
  if (!e->scene || e->i_goal < 0) {
    snprintf(text, n, "%s", e->phase_name ? e->phase_name : "idle");
    return;
  }
  const vk_atom *a = &e->atom;
  const char *what = a->a >= 0      ? e->scene->instance[a->a].name
                     : a->site >= 0 ? mj_id2name(e->now.m, mjOBJ_SITE, a->site)
                                    : "";
  snprintf(text, n, "%s %s: %s (attempt %d)", kinds[a->kind], what, e->phase_name, e->attempt + 1);
}
