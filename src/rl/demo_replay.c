/* demo_replay.c - recording an episode, and the same episode once more. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/signal.h"
#include "rl/demo_scene.h"
#include "sim/picture.h"

_Static_assert(sizeof(vk_robot_obs) == VK_N_PROPRIO * sizeof(double), "proprio is a vk_robot_obs");

/* ---- recording ---- */

/* What stands before step n_step. */
static void record_row(vk_demo *d, const vk_env *env)
{
  size_t row = (size_t)d->n_step;
  vk_env_get_state(env, d->state + row * (size_t)d->n_state);
  memcpy(d->proprio + VK_N_PROPRIO * row, vk_env_robot_obs(env), sizeof(vk_robot_obs));
  memcpy(d->picture_state + row * (size_t)d->n_picture_state, vk_env_picture_state(env),
         sizeof(double) * (size_t)d->n_picture_state);
  d->n_obs = d->n_state_row = d->n_step + 1;
}

vk_status vk_demo_record_begin(vk_demo *d, const vk_env *env, int n_step_max, vk_err *err)
{
  const vk_scene *scene = vk_env_scene(env);
  *d = (vk_demo){.n_step = n_step_max,
                 .n_state_row = n_step_max + 1,
                 .n_obs = n_step_max + 1,
                 .n_state = scene->n_state,
                 .n_picture_state = vk_picture_n_state(scene)};
  VK_TRY(vk_demo_alloc(d, err));
  d->n_step = 0;
  record_row(d, env);
  return VK_OK;
}

void vk_demo_record_action(vk_demo *d, const double *label, const double *executed)
{
  memcpy(d->action + VK_N_ACTION * d->n_step, label, sizeof *label * VK_N_ACTION);
  memcpy(d->executed + VK_N_ACTION * d->n_step, executed, sizeof *executed * VK_N_ACTION);
}

void vk_demo_record_step(vk_demo *d, const vk_env *env, bool success)
{
  if (d->n_step > 0)
    d->done[d->n_step - 1] = 0;
  d->reward[d->n_step] = success;
  d->done[d->n_step] = 1;
  d->success = success;
  d->n_step++;
  record_row(d, env);
}

/* ---- once more ---- */

static vk_status wait_steps(vk_env *env, const vk_protocol *protocol, vk_err *err)
{
  for (int i = 0; i < protocol->n_dummy; i++)
    VK_TRY(vk_env_step(env, protocol->dummy, NULL, err));
  return VK_OK;
}

static vk_status begin_origin(vk_env *env, const vk_start *start, vk_err *err)
{
  VK_TRY(vk_start_env(env, start, err));
  return wait_steps(env, start->protocol, err);
}

/* As LIBERO's scripts begin: the model as it was, the recorded state, a new controller. */
static vk_status begin_state(vk_env *env, const vk_demo *d, const vk_demo_info *info, vk_err *err)
{
  const vk_scene *scene = vk_env_scene(env);
  const vk_protocol *protocol;
  bool is_regenerated = info->layout == VK_DEMO_REGENERATED, is_known;
  VK_TRY(vk_protocol_find(&protocol, "oft", err));
  vk_env_seed(env, protocol->seed);
  /* The script makes one reset a demonstration. */
  for (int i = 0; i < d->number && is_regenerated; i++) {
    VK_TRY(vk_signal_check(err));
    VK_TRY(vk_env_skip_resets(env, 1, err));
  }
  VK_TRY(vk_env_reset(env, err));
  double *pose = malloc(sizeof *pose * 7 * ((size_t)scene->n_fixture + 1));
  if (!pose)
    return vk_fail(err, VK_E_NOMEM, "no memory for poses of fixtures");
  vk_status st = vk_demo_fixtures(d, scene, pose, &is_known, err);
  if (st == VK_OK && is_known)
    vk_env_put_fixtures(env, pose);
  free(pose);
  if (st == VK_OK)
    st = vk_env_set_state(env, d->state, d->n_state, err);
  if (st == VK_OK)
    st = is_regenerated ? wait_steps(env, protocol, err) : vk_env_rebuild_controller(env, err);
  return st;
}

/* Largest difference of a qpos from a recorded state. state  [n_state] out: the present one */
static double qpos_error(const vk_env *env, const vk_demo *d, int row, double *state)
{
  const double *want = d->state + (size_t)row * (size_t)d->n_state;
  double worst = 0;
  vk_env_get_state(env, state);
  for (int i = 1; i <= vk_env_scene(env)->model->nq; i++) {
    double e = fabs(state[i] - want[i]);
    worst = isnan(e) ? INFINITY : fmax(worst, e);
  }
  return worst;
}

/* Compares the present state with a recorded one. */
static void compare(vk_demo_replay *out, const vk_env *env, const vk_demo *d, int row, double *work)
{
  if (row >= d->n_state_row)
    return;
  const double *want = d->state + (size_t)row * (size_t)d->n_state;
  double worst = qpos_error(env, d, row, work);
  out->n_differ += memcmp(work, want, sizeof *work * (size_t)d->n_state) != 0;
  out->max_abs_qpos = fmax(out->max_abs_qpos, worst);
  if (row <= 10)
    out->max_abs_qpos_10 = out->max_abs_qpos;
  if (row <= 50)
    out->max_abs_qpos_50 = out->max_abs_qpos;
  if (worst > 1e-6 && out->first_step_over_1e6 < 0)
    out->first_step_over_1e6 = row;
  out->end_abs_qpos = worst;
}

vk_status vk_demo_replay_run(vk_demo_replay *out, const vk_demo *d, const vk_demo_info *info,
                             vk_env *env, bool from_state, vk_err *err)
{
  *out = (vk_demo_replay){.from_origin = d->is_origin_known && !from_state,
                          .success_step = -1,
                          .first_step_over_1e6 = -1};
  VK_TRY(vk_demo_fits_scene(d, vk_env_scene(env), err));
  VK_TRY(out->from_origin ? begin_origin(env, &d->origin, err) : begin_state(env, d, info, err));
  double *work = malloc(sizeof *work * (size_t)d->n_state);
  if (!work)
    return vk_fail(err, VK_E_NOMEM, "no memory for a state");
  if (out->from_origin)
    compare(out, env, d, 0, work);
  vk_status st = VK_OK;
  for (int t = 0; t < d->n_step && st == VK_OK; t++) {
    vk_step step;
    st = vk_signal_check(err);
    if (st == VK_OK)
      st = vk_env_step(env, d->executed + VK_N_ACTION * t, &step, err);
    if (st != VK_OK)
      break;
    if (step.success && out->success_step < 0)
      out->success_step = t;
    out->success = out->success || step.success;
    compare(out, env, d, t + 1, work);
  }
  free(work);
  return st;
}

vk_status vk_demo_replay_steps(vk_demo_steps *out, const vk_demo *d, const vk_demo_info *info,
                               vk_env *env, vk_err *err)
{
  double worst = 0;
  *out = (vk_demo_steps){0};
  VK_TRY(vk_demo_fits_scene(d, vk_env_scene(env), err));
  VK_TRY(d->is_origin_known ? begin_origin(env, &d->origin, err) : begin_state(env, d, info, err));
  double *work = malloc(sizeof *work * (size_t)d->n_state);
  if (!work)
    return vk_fail(err, VK_E_NOMEM, "no memory for a state");
  vk_status st = VK_OK;
  for (int t = 0; t < d->n_step && st == VK_OK; t++) {
    vk_step step;
    if (t > 0)
      vk_env_put_state(env, d->state + (size_t)t * (size_t)d->n_state);
    st = vk_signal_check(err);
    if (st == VK_OK)
      st = vk_env_step(env, d->executed + VK_N_ACTION * t, &step, err);
    if (st != VK_OK)
      break;
    out->n_success_differs += step.success != (d->reward[t] != 0);
    if (t + 1 == d->n_state_row)
      break;
    worst = qpos_error(env, d, t + 1, work);
    out->max_abs_qpos = fmax(out->max_abs_qpos, worst);
    out->n_close += worst < 1e-9;
    out->n_step++;
  }
  free(work);
  return st;
}

/* Whether rows that both have are equal, bit for bit. */
static bool has_equal_states(const vk_demo *a, const vk_demo *b)
{
  int n = a->n_state_row < b->n_state_row ? a->n_state_row : b->n_state_row;
  return a->n_state == b->n_state &&
         memcmp(a->state, b->state, sizeof *a->state * (size_t)n * (size_t)a->n_state) == 0;
}

vk_status vk_demo_repeat(vk_demo *out, const vk_demo *d, vk_env *env, vk_err *err)
{
  memset(out, 0, sizeof *out);
  if (!d->is_origin_known)
    return vk_fail(err, VK_E_MISMATCH, "demo_%d does not say how its episode began", d->number);
  VK_TRY(vk_demo_fits_scene(d, vk_env_scene(env), err));
  VK_TRY(begin_origin(env, &d->origin, err));
  VK_TRY(vk_demo_record_begin(out, env, d->n_step, err));
  vk_status st = VK_OK;
  for (int t = 0; t < d->n_step && st == VK_OK; t++) {
    vk_step step;
    const double *executed = d->executed + VK_N_ACTION * t;
    vk_demo_record_action(out, d->action + VK_N_ACTION * t, executed);
    st = vk_signal_check(err);
    if (st == VK_OK)
      st = vk_env_step(env, executed, &step, err);
    if (st == VK_OK)
      vk_demo_record_step(out, env, step.success);
  }
  if (st == VK_OK && !has_equal_states(out, d))
    st = vk_fail(err, VK_E_MISMATCH,
                 "demo_%d: its actions lead to other states on this machine (another MuJoCo or "
                 "scene pack?)",
                 d->number);
  out->number = d->number;
  out->is_origin_known = true;
  out->origin = d->origin;
  out->noise = d->noise;
  if (st != VK_OK)
    vk_demo_free(out);
  return st;
}
