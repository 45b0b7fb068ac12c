#include "sim/env.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "sim/env_internal.h"
#include "sim/mujoco_compat.h"

enum { ROWS_PER_CONTACT = 4 };

static int entry_size(const mjModel *m)
{
  return 1 + m->nq + 2 * m->nv + m->nu;
}

static void save_entry(vk_env *env)
{
  const mjModel *m = &env->model;
  const mjData *d = env->data;
  double *at = env->entry;
  *at++ = d->time;
  memcpy(at, d->qpos, sizeof(double) * (size_t)m->nq), at += m->nq;
  memcpy(at, d->qvel, sizeof(double) * (size_t)m->nv), at += m->nv;
  memcpy(at, d->qacc_warmstart, sizeof(double) * (size_t)m->nv), at += m->nv;
  memcpy(at, d->ctrl, sizeof(double) * (size_t)m->nu);
  *env->entry_core = env->core;
}

static void load_entry(vk_env *env)
{
  const mjModel *m = &env->model;
  mjData *d = env->data;
  const double *at = env->entry;
  d->time = *at++;
  memcpy(d->qpos, at, sizeof(double) * (size_t)m->nq), at += m->nq;
  memcpy(d->qvel, at, sizeof(double) * (size_t)m->nv), at += m->nv;
  memcpy(d->qacc_warmstart, at, sizeof(double) * (size_t)m->nv), at += m->nv;
  memcpy(d->ctrl, at, sizeof(double) * (size_t)m->nu);
  env->core = *env->entry_core;
}

/* ---- memory -------------------------------------------------------------------------------- */

typedef struct make_data_call {
  const mjModel *m;
  mjData *d;
} make_data_call;

static void make_data(void *arg)
{
  make_data_call *call = arg;
  call->d = mj_makeData(call->m);
}

/* Puts data and forward dynamics of a model of other buffer sizes in the place of the present ones;
 * their state is lost. After an error nothing has changed. */
static vk_status renew_data(vk_env *env, const mjModel *m, vk_err *err)
{
  make_data_call call = {.m = m};
  vk_forward *forward = NULL;
  VK_TRY(vk_mujoco_try(make_data, &call, err));
  if (!call.d)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for a simulation state", env->scene->id);
  vk_status st = vk_forward_new(&forward, m, env->isa, err);
  if (st != VK_OK) {
    mj_deleteData(call.d);
    return st;
  }
  if (env->data)
    mj_deleteData(env->data);
  vk_forward_free(env->forward);
  env->model = *m;
  env->data = call.d;
  env->forward = forward;
  return VK_OK;
}

vk_status vk_env_set_capacity(vk_env *env, int n_contact, vk_err *err)
{
  if (n_contact > VK_ENV_CONTACT_MAX)
    return vk_fail(err, VK_E_SIM, "%s: more than %d contacts in one step", env->scene->id,
                   VK_ENV_CONTACT_MAX);
  mjModel m = env->model;
  vk_model_set_capacity(&m, n_contact, ROWS_PER_CONTACT * n_contact);
  VK_TRY(renew_data(env, &m, err));
  env->n_contact_max = n_contact;
  return VK_OK;
}

vk_status vk_env_reserve_contacts(vk_env *env, int n_contact, vk_err *err)
{
  return n_contact <= env->n_contact_max ? VK_OK : vk_env_set_capacity(env, n_contact, err);
}

static void free_scene_memory(vk_env *env)
{
  if (env->data)
    mj_deleteData(env->data);
  env->data = NULL;
  vk_forward_free(env->forward);
  env->forward = NULL;
  free(env->model.body_pos);
  free(env->model.body_quat);
  free(env->model.site_rgba);
  free(env->object_obs);
  free(env->work_qpos);
  free(env->picture);
  free(env->entry);
  free(env->place);
  free(env->home_qpos);
  vk_reset_plan_fini(&env->plan);
}

static double *copy_doubles(const double *from, int n)
{
  double *to = malloc(sizeof(double) * (size_t)(n > 0 ? n : 1));
  if (to)
    memcpy(to, from, sizeof(double) * (size_t)n);
  return to;
}

/* What fails leaves memory for free_scene_memory. */
static vk_status take_scene(vk_env *env, const vk_scene *scene, vk_err *err)
{
  vk_env_core *entry_core = env->entry_core;
  vk_isa isa = env->isa;
  memset(env, 0, sizeof *env);
  env->entry_core = entry_core;
  env->isa = isa;
  env->scene = scene;
  mjModel *m = &env->model;
  *m = *scene->model;
  m->body_pos = copy_doubles(scene->model->body_pos, 3 * m->nbody);
  m->body_quat = copy_doubles(scene->model->body_quat, 4 * m->nbody);
  m->site_rgba = malloc(sizeof(float) * 4 * (size_t)m->nsite);
  env->object_obs = calloc((size_t)scene->n_object + 1, sizeof *env->object_obs);
  env->work_qpos = malloc(sizeof(double) * (size_t)m->nq);
  env->picture = calloc((size_t)vk_picture_n_state(scene), sizeof *env->picture);
  env->entry = malloc(sizeof(double) * (size_t)entry_size(m));
  env->place = calloc((size_t)scene->n_instance + 1, sizeof *env->place);
  env->home_qpos = malloc(sizeof(double) * (size_t)m->nq);
  if (!m->body_pos || !m->body_quat || !m->site_rgba || !env->object_obs || !env->work_qpos ||
      !env->picture || !env->entry || !env->place || !env->home_qpos)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for an environment", scene->id);
  memcpy(m->site_rgba, scene->model->site_rgba, sizeof(float) * 4 * (size_t)m->nsite);
  VK_TRY(vk_reset_plan_init(&env->plan, scene, err));
  VK_TRY(vk_env_set_capacity(env, VK_SCENE_N_CONTACT, err));
  vk_env_seed(env, 0);
  return VK_OK;
}

vk_status vk_env_set_scene(vk_env *env, const vk_scene *scene, vk_err *err)
{
  if (env->scene == scene)
    return VK_OK;
  if (env->scene)
    free_scene_memory(env);
  vk_status st = take_scene(env, scene, err);
  if (st != VK_OK) {
    free_scene_memory(env);
    env->scene = NULL;
  }
  return st;
}

vk_status vk_env_new(vk_env **out, const vk_scene *scene, vk_err *err)
{
  *out = NULL;
  vk_env *env = calloc(1, sizeof *env);
  if (env)
    env->entry_core = malloc(sizeof *env->entry_core);
  if (!env || !env->entry_core) {
    free(env);
    return vk_fail(err, VK_E_NOMEM, "no memory for an environment");
  }
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  env->isa = vk_isa_best(&cpu);
  vk_status st = vk_env_set_scene(env, scene, err);
  if (st == VK_OK)
    *out = env;
  else
    vk_env_free(env);
  return st;
}

void vk_env_set_isa(vk_env *env, vk_isa isa)
{
  env->isa = isa;
  if (env->forward)
    vk_forward_set_isa(env->forward, isa);
}

void vk_env_free(vk_env *env)
{
  if (!env)
    return;
  if (env->scene)
    free_scene_memory(env);
  free(env->entry_core);
  free(env);
}

void vk_env_seed(vk_env *env, uint32_t seed)
{
  vk_mt19937_seed(&env->core.rng, seed);
  env->core.n_reset = 0;
}

/* ---- stepping ------------------------------------------------------------------------------ */

typedef struct guarded_call {
  vk_env *env;
  void (*fn)(vk_env *env, void *arg);
  void *arg;
} guarded_call;

static void run_guarded(void *arg)
{
  guarded_call *call = arg;
  call->fn(call->env, call->arg);
}

static void clear_warnings(mjData *d)
{
  for (int i = 0; i < mjNWARNING; i++)
    d->warning[i].number = 0;
}

vk_status vk_env_run(vk_env *env, void (*fn)(vk_env *env, void *arg), void *arg, vk_err *err)
{
  guarded_call call = {env, fn, arg};
  save_entry(env);
  for (;;) {
    env->has_overflow = false;
    env->n_self_reset = 0;
    clear_warnings(env->data);
    vk_status st = vk_mujoco_try(run_guarded, &call, err);
    if (st == VK_OK && !env->has_overflow)
      return VK_OK;
    if (st == VK_OK || st == VK_E_NOMEM)
      st = vk_env_set_capacity(env, 2 * env->n_contact_max, err);
    if (st != VK_OK)
      mj_resetData(&env->model, env->data); /* MuJoCo's stack is as it was in the middle */
    load_entry(env);
    VK_TRY(st);
  }
}

static void note_overflow(vk_env *env)
{
  const mjWarningStat *w = env->data->warning;
  if (w[mjWARN_CONTACTFULL].number || w[mjWARN_CNSTRFULL].number)
    env->has_overflow = true;
}

/* Whether one of mj_check* has just reset the data. A reset clears the counters, its own excepted,
 * so that they are taken at once. */
static bool take_self_reset(vk_env *env)
{
  static const int kinds[] = {mjWARN_BADQPOS, mjWARN_BADQVEL, mjWARN_BADQACC};
  bool is_reset = false;
  for (size_t k = 0; k < VK_COUNT(kinds); k++) {
    is_reset |= env->data->warning[kinds[k]].number > 0;
    env->data->warning[kinds[k]].number = 0;
  }
  env->n_self_reset += is_reset;
  return is_reset;
}

void vk_env_forward(vk_env *env)
{
  vk_forward_run(env->forward, &env->model, env->data);
  note_overflow(env);
}

void vk_env_forward_again(vk_env *env)
{
  const mjModel *m = &env->model;
  size_t size = sizeof(double) * (size_t)m->nq;
  memcpy(env->work_qpos, env->data->qpos, size);
  mj_normalizeQuat(m, env->work_qpos);
  if (memcmp(env->work_qpos, env->data->qpos, size) == 0)
    vk_forward_again(env->forward, m, env->data);
  else
    vk_env_forward(env);
}

/* The controller reads the state unless what it read last was never used. */
static void refresh_controller(vk_env *env)
{
  if (!env->core.osc.is_stale)
    return;
  vk_env_forward_again(env);
  vk_osc_read(&env->core.osc, env->scene, &env->model, env->data);
}

static void integrate_gripper(vk_env *env, double command)
{
  const mjModel *m = &env->model;
  double sign = (command > 0) - (command < 0);
  for (int k = 0; k < VK_N_FINGER; k++) {
    double *g = &env->core.grip[k];
    *g = fmin(fmax(*g + (k == 0 ? -0.01 : 0.01) * sign, -1.0), 1.0);
    const double *range = m->actuator_ctrlrange + 2 * (VK_N_ARM + k);
    env->data->ctrl[VK_N_ARM + k] = 0.5 * (range[1] + range[0]) + 0.5 * (range[1] - range[0]) * *g;
  }
}

static void sample_picture_qpos(vk_env *env)
{
  memcpy(env->picture, env->data->qpos, sizeof *env->picture * (size_t)env->model.nq);
}

/* Everything but the joint positions of the picture. */
static void sample_observation(vk_env *env)
{
  const vk_scene *s = env->scene;
  const mjData *d = env->data;
  vk_robot_obs *o = &env->core.robot_obs;
  memcpy(o->eef_pos_m, d->site_xpos + 3 * s->site_grip, sizeof o->eef_pos_m);
  const double *quat = d->xquat + 4 * s->body_hand;
  for (int k = 0; k < 4; k++)
    o->eef_quat_xyzw[k] = quat[(k + 1) % 4];
  memcpy(o->gripper_q_m, d->qpos + s->finger_qpos, sizeof o->gripper_q_m);
  memcpy(o->joint_q_rad, d->qpos + s->arm_qpos, sizeof o->joint_q_rad);
  for (int i = 0; i < s->n_object; i++) {
    int body = s->instance[i].body;
    memcpy(env->object_obs[i].pos_m, d->xpos + 3 * body, sizeof env->object_obs[i].pos_m);
    for (int k = 0; k < 4; k++)
      env->object_obs[i].quat_xyzw[k] = d->xquat[4 * body + (k + 1) % 4];
  }
  double *picture = env->picture + env->model.nq;
  for (int i = s->n_object; i < s->n_instance; i++, picture += 7) {
    int body = s->instance[i].body;
    memcpy(picture, env->model.body_pos + 3 * body, 3 * sizeof *picture);
    memcpy(picture + 3, env->model.body_quat + 4 * body, 4 * sizeof *picture);
  }
  *picture = s->site_burner >= 0 && env->model.site_rgba[4 * s->site_burner + 3] > 0;
}

static void substep(vk_env *env, const double *action, bool is_first, bool is_observed)
{
  const mjModel *m = &env->model;
  mjData *d = env->data;
  vk_env_forward(env);
  refresh_controller(env);
  if (is_first)
    vk_osc_set_goal(&env->core.osc, action);
  double tau_nm[VK_N_ARM];
  vk_osc_torque(&env->core.osc, d->qfrc_bias + env->scene->arm_qvel, tau_nm);
  env->core.osc.is_stale = true;
  for (int i = 0; i < VK_N_ARM; i++)
    d->ctrl[i] =
        fmin(fmax(tau_nm[i], m->actuator_ctrlrange[2 * i]), m->actuator_ctrlrange[2 * i + 1]);
  integrate_gripper(env, action[6]);
  /* mj_step, with the position and velocity stages of its mj_forward left out where exact. */
  mj_checkPos(m, d);
  mj_checkVel(m, d);
  if (take_self_reset(env))
    vk_env_forward(env);
  else
    vk_env_forward_again(env);
  mj_checkAcc(m, d);
  take_self_reset(env);
  note_overflow(env);
  if (is_observed) /* the poses that are observed are those before this integration */
    sample_picture_qpos(env);
  mj_Euler(m, d);
  if (is_observed)
    sample_observation(env);
}

/* The substep after which the observations of a control step are sampled. The sampling timer
 * counts forced updates as a substep each: one after reset(), a second after set_init_state(). */
static int observed_substep(const vk_env *env)
{
  int shift = env->core.n_forced % VK_ENV_SUBSTEPS;
  return (VK_ENV_SUBSTEPS - shift) % VK_ENV_SUBSTEPS + 1;
}

static void control_step(vk_env *env, void *arg)
{
  const double *action = arg;
  int i_observed = observed_substep(env);
  for (int i = 1; i <= VK_ENV_SUBSTEPS; i++) {
    substep(env, action, i == 1, i == i_observed);
  }
}

static bool goal_holds(const vk_env *env)
{
  for (int i = 0; i < env->scene->n_goal; i++)
    if (!vk_atom_holds(env->scene, &env->model, env->data, &env->scene->goal[i]))
      return false;
  return true;
}

vk_status vk_env_step(vk_env *env, const double action[VK_N_ACTION], vk_step *out, vk_err *err)
{
  for (int i = 0; i < VK_N_ACTION; i++)
    if (!isfinite(action[i]))
      return vk_fail(err, VK_E_RANGE, "action[%d] is %g, expected a finite number", i, action[i]);
  double copy[VK_N_ACTION];
  memcpy(copy, action, sizeof copy);
  VK_TRY(vk_env_run(env, control_step, copy, err));
  env->core.n_unstable += env->n_self_reset;
  env->core.success = goal_holds(env);
  vk_env_update_flame(env);
  if (out) {
    out->success = env->core.success;
    out->unstable = env->n_self_reset > 0;
    out->n_contact = env->data->ncon;
  }
  return VK_OK;
}

/* ---- observations and state ---------------------------------------------------------------- */

void vk_env_observe(vk_env *env)
{
  sample_picture_qpos(env);
  sample_observation(env);
}

static void show_flame(vk_env *env, bool is_shown)
{
  if (env->scene->site_burner >= 0)
    env->model.site_rgba[4 * env->scene->site_burner + 3] = is_shown ? 2.0f : -1.0f;
}

void vk_env_hide_flame(vk_env *env)
{
  show_flame(env, false);
}

void vk_env_update_flame(vk_env *env)
{
  const vk_scene *s = env->scene;
  show_flame(env, s->site_burner >= 0 && vk_atom_holds(s, &env->model, env->data, &s->atom_burner));
}

void vk_env_put_state(vk_env *env, const double *state)
{
  const mjModel *m = &env->model;
  env->data->time = state[0];
  memcpy(env->data->qpos, state + 1, sizeof(double) * (size_t)m->nq);
  memcpy(env->data->qvel, state + 1 + m->nq, sizeof(double) * (size_t)m->nv);
}

void vk_env_put_fixtures(vk_env *env, const double *pose)
{
  const vk_scene *s = env->scene;
  for (int i = s->n_object; i < s->n_instance; i++, pose += 7) {
    memcpy(env->model.body_pos + 3 * s->instance[i].body, pose, 3 * sizeof *pose);
    memcpy(env->model.body_quat + 4 * s->instance[i].body, pose + 3, 4 * sizeof *pose);
  }
}

static void forward_only(vk_env *env, void *arg)
{
  (void)arg;
  vk_env_forward(env);
}

vk_status vk_env_set_state(vk_env *env, const double *state, int n_state, vk_err *err)
{
  if (n_state != env->scene->n_state)
    return vk_fail(err, VK_E_SHAPE, "%s: a state of %d numbers, expected %d", env->scene->id,
                   n_state, env->scene->n_state);
  for (int i = 0; i < n_state; i++)
    if (!isfinite(state[i]))
      return vk_fail(err, VK_E_RANGE, "%s: state[%d] is %g, expected a finite number",
                     env->scene->id, i, state[i]);
  vk_env_put_state(env, state);
  VK_TRY(vk_env_run(env, forward_only, NULL, err));
  env->core.success = goal_holds(env);
  vk_env_update_flame(env);
  vk_env_observe(env);
  env->core.n_forced++;
  return VK_OK;
}

static void rebuild_controller(vk_env *env, void *arg)
{
  (void)arg;
  vk_env_forward(env);
  vk_env_forward_again(env);
  vk_osc_read(&env->core.osc, env->scene, &env->model, env->data);
  vk_osc_hold(&env->core.osc);
  memset(env->core.grip, 0, sizeof env->core.grip);
}

vk_status vk_env_rebuild_controller(vk_env *env, vk_err *err)
{
  return vk_env_run(env, rebuild_controller, NULL, err);
}

const vk_scene *vk_env_scene(const vk_env *env)
{
  return env->scene;
}

const mjModel *vk_env_model(const vk_env *env)
{
  return &env->model;
}

const mjData *vk_env_data(const vk_env *env)
{
  return env->data;
}

const vk_robot_obs *vk_env_robot_obs(const vk_env *env)
{
  return &env->core.robot_obs;
}

const vk_object_obs *vk_env_object_obs(const vk_env *env)
{
  return env->object_obs;
}

const double *vk_env_picture_state(const vk_env *env)
{
  return env->picture;
}

bool vk_env_success(const vk_env *env)
{
  return env->core.success;
}

int vk_env_n_unstable(const vk_env *env)
{
  return env->core.n_unstable;
}

void vk_env_get_state(const vk_env *env, double *state)
{
  const mjModel *m = &env->model;
  state[0] = env->data->time;
  memcpy(state + 1, env->data->qpos, sizeof(double) * (size_t)m->nq);
  memcpy(state + 1 + m->nq, env->data->qvel, sizeof(double) * (size_t)m->nv);
}

void vk_env_state_sha256(const vk_env *env, char hex[65])
{
  const mjModel *m = &env->model;
  vk_sha256 h;
  vk_sha256_init(&h);
  vk_sha256_add(&h, &env->data->time, sizeof env->data->time);
  vk_sha256_add(&h, env->data->qpos, sizeof(double) * (size_t)m->nq);
  vk_sha256_add(&h, env->data->qvel, sizeof(double) * (size_t)m->nv);
  for (int i = env->scene->n_object; i < env->scene->n_instance; i++) {
    int body = env->scene->instance[i].body;
    vk_sha256_add(&h, m->body_pos + 3 * body, 3 * sizeof(double));
    vk_sha256_add(&h, m->body_quat + 4 * body, 4 * sizeof(double));
  }
  vk_sha256_end_hex(&h, hex);
}

void vk_env_peek_rng(const vk_env *env, double next[2])
{
  vk_mt19937 copy = env->core.rng;
  next[0] = vk_mt19937_double(&copy);
  next[1] = vk_mt19937_double(&copy);
}
