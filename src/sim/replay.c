#include "sim/replay.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/signal.h"
#include "sim/picture.h"

/* Largest |a - b|; NaN counts as infinite. */
static double worst(const double *a, const double *b, int n)
{
  double max = 0;
  for (int i = 0; i < n; i++) {
    double d = fabs(a[i] - b[i]);
    if (!(d <= max))
      max = isnan(d) ? INFINITY : d;
  }
  return max;
}

vk_status vk_replay_task(const vk_npz *rec, const vk_pack *pack, uint32_t *i_task, vk_err *err)
{
  char suite[VK_PACK_NAME_MAX + 1], name[VK_PACK_NAME_MAX + 1], word[2 * VK_PACK_NAME_MAX + 2];
  VK_TRY(vk_npz_text(rec, "suite", 0, suite, sizeof suite, err));
  VK_TRY(vk_npz_text(rec, "task", 0, name, sizeof name, err));
  snprintf(word, sizeof word, "%s/%s", suite, name);
  for (uint32_t i = 0; i < pack->n_task; i++) {
    const vk_pack_task *t = &pack->task[i];
    if (strcmp(vk_pack_text(pack, t->name), name) == 0 &&
        strcmp(vk_pack_suite_of(pack, t), suite) == 0) {
      *i_task = i;
      return VK_OK;
    }
  }
  return vk_fail(err, VK_E_NOTFOUND, "the recording is of %s, which the scene pack %s lacks", word,
                 pack->path);
}

/* What one comparison run works with. */
typedef struct player {
  const vk_npz *rec;
  const vk_scene *scene;
  vk_env *env;
  int n_state, nq, n_step;
  const double *action; /* [n_step, 7] */
  const double *state;  /* [n_step, n_state] */
  const uint8_t *done;  /* [n_step] */
  const double *row0;   /* [n_state] */
  double *work;         /* [n_state] */
  /* NULL: not recorded */
  const double *obs;        /* [n_step, OBS_ROBOT] */
  const double *obs_object; /* [n_obs_object, n_object, OBS_OBJECT] */
  const int32_t *obs_step;  /* [n_obs_object] */
  int n_obs_object;
  const double *ctrl; /* [n_step, nu] */
} player;

/* Numbers of an observation: the robot's are vk_robot_obs, an object's begin as vk_object_obs. */
enum { OBS_ROBOT = 16, OBS_OBJECT = 14 };
_Static_assert(sizeof(vk_robot_obs) == OBS_ROBOT * sizeof(double), "no padding");

/* As vk_npz_f64, but *out is NULL when there is no such array. */
static vk_status find_f64(const vk_npz *rec, const char *key, int n_dim, const int64_t *shape,
                          const double **out, vk_err *err)
{
  *out = NULL;
  return vk_npz_find(rec, key) ? vk_npz_f64(rec, key, n_dim, shape, out, err) : VK_OK;
}

static vk_status open_observations(player *p, vk_err *err)
{
  const int64_t n_object = (int64_t)OBS_OBJECT * p->scene->n_object;
  VK_TRY(find_f64(p->rec, "step_obs_robot", 2, (int64_t[]){p->n_step, OBS_ROBOT}, &p->obs, err));
  VK_TRY(
      find_f64(p->rec, "step_ctrl", 2, (int64_t[]){p->n_step, p->scene->model->nu}, &p->ctrl, err));
  VK_TRY(find_f64(p->rec, "obs_object", 2, (int64_t[]){-1, n_object}, &p->obs_object, err));
  const vk_array *step = vk_npz_find(p->rec, "obs_object_step");
  if (!p->obs_object)
    return VK_OK;
  int64_t n = vk_npz_find(p->rec, "obs_object")->shape[0];
  if (!step || step->kind != 'i' || step->item_size != 4 || step->n_item != n || n > INT_MAX)
    return vk_fail(err, VK_E_FORMAT, "no array obs_object_step of i32, one a row of obs_object");
  p->obs_step = step->data;
  p->n_obs_object = (int)n;
  return VK_OK;
}

/* The larger one; NaN is nothing. */
static void raise(double *max, double value)
{
  *max = fmax(*max, value);
}

/* How far the last observation is from a recorded one; either part may be NULL. */
static void compare_observation(const player *p, const double *robot, const double *object,
                                double *max)
{
  double own[OBS_ROBOT];
  memcpy(own, vk_env_robot_obs(p->env), sizeof own);
  if (robot)
    raise(max, worst(own, robot, OBS_ROBOT));
  for (int i = 0; object && i < p->scene->n_object; i++) {
    const vk_object_obs *o = &vk_env_object_obs(p->env)[i];
    raise(max, worst(o->pos_m, object + OBS_OBJECT * i, 3));
    raise(max, worst(o->quat_xyzw, object + OBS_OBJECT * i + 3, 4));
  }
}

/* The same with the arrays NAME_obs_robot and NAME_obs_object. */
static vk_status compare_named(const player *p, const char *name, double *max, vk_err *err)
{
  char key[40];
  const double *robot, *object;
  snprintf(key, sizeof key, "%s_obs_robot", name);
  VK_TRY(find_f64(p->rec, key, 1, (int64_t[]){OBS_ROBOT}, &robot, err));
  snprintf(key, sizeof key, "%s_obs_object", name);
  VK_TRY(find_f64(p->rec, key, 1, (int64_t[]){(int64_t)OBS_OBJECT * p->scene->n_object}, &object,
                  err));
  compare_observation(p, robot, object, max);
  return VK_OK;
}

static vk_status open_player(player *p, const vk_npz *rec, const vk_scene *scene, vk_err *err)
{
  *p = (player){.rec = rec, .scene = scene, .n_state = scene->n_state, .nq = scene->model->nq};
  const vk_array *a = vk_npz_find(rec, "step_action");
  if (!a || a->n_dim != 2 || a->shape[0] < 1 || a->shape[0] > 100000)
    return vk_fail(err, VK_E_FORMAT, "no array step_action of shape [n_step, 7]");
  p->n_step = (int)a->shape[0];
  int64_t n_step = p->n_step, n_state = p->n_state;
  VK_TRY(vk_npz_f64(rec, "step_action", 2, (int64_t[]){n_step, VK_N_ACTION}, &p->action, err));
  VK_TRY(vk_npz_f64(rec, "step_state", 2, (int64_t[]){n_step, n_state}, &p->state, err));
  VK_TRY(vk_npz_f64(rec, "init_row0", 1, &n_state, &p->row0, err));
  const vk_array *done = vk_npz_find(rec, "step_done");
  if (!done || done->kind != 'u' || done->item_size != 1 || done->n_item != n_step)
    return vk_fail(err, VK_E_FORMAT, "no array step_done of %d u8", p->n_step);
  p->done = done->data;
  VK_TRY(open_observations(p, err));
  p->work = malloc(sizeof(double) * (size_t)p->n_state);
  if (!p->work)
    return vk_fail(err, VK_E_NOMEM, "no memory for a state");
  return vk_env_new(&p->env, scene, err);
}

static vk_status compare_resets(player *p, vk_replay *out, vk_err *err)
{
  double *max_abs = &out->reset_max_abs;
  const vk_scene *s = p->scene;
  vk_env_seed(p->env, 0);
  for (int k = 1; k <= 3; k++) {
    char key[40];
    const double *want;
    VK_TRY(vk_env_reset(p->env, err));
    if (k == 1)
      VK_TRY(compare_named(p, "reset1", &out->max_abs_obs_10, err));
    snprintf(key, sizeof key, "reset%d_state", k);
    VK_TRY(vk_npz_f64(p->rec, key, 1, (int64_t[]){p->n_state}, &want, err));
    vk_env_get_state(p->env, p->work);
    raise(max_abs, worst(p->work, want, p->n_state));
    const double *pos, *quat, *next;
    snprintf(key, sizeof key, "reset%d_fixture_pos", k);
    VK_TRY(vk_npz_f64(p->rec, key, 2, (int64_t[]){s->n_fixture, 3}, &pos, err));
    snprintf(key, sizeof key, "reset%d_fixture_quat", k);
    VK_TRY(vk_npz_f64(p->rec, key, 2, (int64_t[]){s->n_fixture, 4}, &quat, err));
    for (int i = 0; i < s->n_fixture; i++) {
      const mjModel *m = vk_env_model(p->env);
      int body = s->instance[s->n_object + i].body;
      raise(max_abs, worst(m->body_pos + 3 * body, pos + 3 * i, 3));
      raise(max_abs, worst(m->body_quat + 4 * body, quat + 4 * i, 4));
    }
    snprintf(key, sizeof key, "reset%d_rng_next", k);
    VK_TRY(vk_npz_f64(p->rec, key, 1, (int64_t[]){2}, &next, err));
    double ours[2];
    vk_env_peek_rng(p->env, ours);
    raise(max_abs, worst(ours, next, 2));
  }
  return VK_OK;
}

/* The world of the recording: its first reset, then the first row of the init file. */
static vk_status begin_episode(player *p, vk_err *err)
{
  vk_env_seed(p->env, 0);
  VK_TRY(vk_env_reset(p->env, err));
  return vk_env_set_state(p->env, p->row0, p->n_state, err);
}

static vk_status step_and_compare(player *p, int t, double *abs_qpos, bool *success_differs,
                                  vk_err *err)
{
  vk_step step;
  VK_TRY(vk_signal_check(err));
  VK_TRY(vk_env_step(p->env, p->action + VK_N_ACTION * t, &step, err));
  vk_env_get_state(p->env, p->work);
  *abs_qpos = worst(p->work + 1, p->state + (size_t)t * (size_t)p->n_state + 1, p->nq);
  *success_differs = step.success != (p->done[t] != 0);
  return VK_OK;
}

/* What the first steps observed and commanded: later the system's own chaos would be compared. */
static void compare_first_step(const player *p, int t, vk_replay *out)
{
  const double *object = NULL;
  for (int i = 0; i < p->n_obs_object; i++)
    if (p->obs_step[i] == t)
      object = p->obs_object + (size_t)i * OBS_OBJECT * (size_t)p->scene->n_object;
  compare_observation(p, p->obs ? p->obs + OBS_ROBOT * t : NULL, object, &out->max_abs_obs_10);
  int nu = p->scene->model->nu;
  if (p->ctrl)
    raise(&out->max_abs_ctrl_10, worst(vk_env_data(p->env)->ctrl, p->ctrl + nu * t, nu));
}

static vk_status compare_episode(player *p, vk_replay *out, vk_err *err)
{
  out->first_step_over_1e6 = -1;
  VK_TRY(begin_episode(p, err));
  VK_TRY(compare_named(p, "init", &out->max_abs_obs_10, err));
  for (int t = 0; t < p->n_step; t++) {
    double d;
    bool differs;
    VK_TRY(step_and_compare(p, t, &d, &differs, err));
    if (t < 10) {
      raise(&out->max_abs_qpos_10, d);
      compare_first_step(p, t, out);
    }
    if (t < 50)
      raise(&out->max_abs_qpos_50, d);
    raise(&out->max_abs_qpos, d);
    out->end_abs_qpos = d;
    if (d > 1e-6 && out->first_step_over_1e6 < 0)
      out->first_step_over_1e6 = t;
    out->n_success_differs += differs;
  }
  return VK_OK;
}

/* The controller's goal, the gripper's command and the warm start are carried on, as they are not
 * part of a state. */
static vk_status compare_each_step(player *p, vk_replay *out, vk_err *err)
{
  int n_close = 0;
  out->has_each_step = true;
  VK_TRY(begin_episode(p, err));
  for (int t = 0; t < p->n_step; t++) {
    double d;
    bool differs;
    if (t > 0)
      vk_env_put_state(p->env, p->state + (size_t)(t - 1) * (size_t)p->n_state);
    VK_TRY(step_and_compare(p, t, &d, &differs, err));
    raise(&out->max_abs_each_step, d);
    n_close += d < 1e-9;
    out->n_each_step_success_differs += differs;
  }
  out->share_each_step_1e9 = (double)n_close / p->n_step;
  return VK_OK;
}

/* "on bowl_1 plate_1" */
static vk_status parse_atom(vk_atom *atom, const vk_scene *s, char *text, vk_err *err)
{
  char *save = NULL, *kind = strtok_r(text, " ", &save);
  char *a = strtok_r(NULL, " ", &save), *b = strtok_r(NULL, " ", &save);
  vk_atom_kind k = kind && a ? vk_atom_find(kind) : VK_ATOM_N;
  if (k < VK_ATOM_N)
    return vk_scene_resolve_atom(s, k, a, b ? b : "", atom, err);
  return vk_fail(err, VK_E_FORMAT, "%s: pred_atom holds \"%s\", expected KIND A [B]", s->id,
                 kind ? kind : "");
}

static vk_status check_samples(player *p, const vk_atom *atom, int n_atom, vk_replay *out,
                               vk_err *err)
{
  static const double nothing[VK_N_ACTION] = {0};
  const vk_array *value = vk_npz_find(p->rec, "pred_value");
  if (!value || value->n_dim != 2 || value->kind != 'u' || value->item_size != 1 ||
      value->shape[1] != n_atom)
    return vk_fail(err, VK_E_FORMAT, "no array pred_value of shape [n, %d], u8", n_atom);
  if (value->shape[0] > 100000)
    return vk_fail(err, VK_E_FORMAT, "pred_value has %lld samples, expected at most 100000",
                   (long long)value->shape[0]);
  int n_sample = (int)value->shape[0];
  const double *state;
  VK_TRY(
      vk_npz_f64(p->rec, "pred_state_before", 2, (int64_t[]){n_sample, p->n_state}, &state, err));
  VK_TRY(begin_episode(p, err));
  for (int i = 0; i < n_sample; i++) {
    VK_TRY(vk_signal_check(err));
    vk_env_put_state(p->env, state + (size_t)i * (size_t)p->n_state);
    VK_TRY(vk_env_rebuild_controller(p->env, err));
    VK_TRY(vk_env_step(p->env, nothing, NULL, err));
    for (int j = 0; j < n_atom; j++) {
      bool want = ((const uint8_t *)value->data)[(size_t)i * (size_t)n_atom + (size_t)j] != 0;
      bool got = vk_atom_holds(p->scene, vk_env_model(p->env), vk_env_data(p->env), &atom[j]);
      out->n_pred++;
      out->n_pred_differs += want != got;
    }
  }
  return VK_OK;
}

static vk_status compare_predicates(player *p, vk_replay *out, vk_err *err)
{
  const vk_array *name = vk_npz_find(p->rec, "pred_atom");
  if (!name || name->n_item < 1 || name->n_item > 10000)
    return vk_fail(err, VK_E_FORMAT, "no array pred_atom of names");
  int n_atom = (int)name->n_item;
  vk_atom *atom = calloc((size_t)n_atom, sizeof *atom);
  if (!atom)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d atoms", n_atom);
  vk_status st = VK_OK;
  for (int i = 0; i < n_atom; i++) {
    char text[256];
    VK_TRY_DONE(vk_npz_text(p->rec, "pred_atom", i, text, sizeof text, err));
    VK_TRY_DONE(parse_atom(&atom[i], p->scene, text, err));
  }
  st = check_samples(p, atom, n_atom, out, err);
done:
  free(atom);
  return st;
}

vk_status vk_replay_run(vk_replay *out, const vk_npz *rec, const vk_scene *scene, vk_isa isa,
                        bool each_step, vk_err *err)
{
  player p;
  *out = (vk_replay){.max_abs_obs_10 = NAN, .max_abs_ctrl_10 = NAN};
  snprintf(out->task, sizeof out->task, "%s", scene->id);
  vk_status st = open_player(&p, rec, scene, err);
  out->n_step = p.n_step;
  if (st == VK_OK) {
    vk_env_set_isa(p.env, isa);
    st = compare_resets(&p, out, err);
  }
  if (st == VK_OK)
    st = compare_episode(&p, out, err);
  if (st == VK_OK)
    st = compare_predicates(&p, out, err);
  if (st == VK_OK && each_step)
    st = compare_each_step(&p, out, err);
  vk_env_free(p.env);
  free(p.work);
  return st;
}

enum { N_DUMMY = 10 };

static vk_status play_pictures(player *p, double *start, double *end, vk_err *err)
{
  size_t bytes = sizeof *start * (size_t)vk_picture_n_state(p->scene);
  if (p->n_step < N_DUMMY)
    return vk_fail(err, VK_E_SHAPE, "%d steps, expected at least the %d before the first picture",
                   p->n_step, N_DUMMY);
  VK_TRY(begin_episode(p, err));
  for (int t = 0; t < p->n_step; t++) {
    VK_TRY(vk_signal_check(err));
    if (t == p->n_step - 1 && t > 0)
      vk_env_put_state(p->env, p->state + (size_t)(t - 1) * (size_t)p->n_state);
    VK_TRY(vk_env_step(p->env, p->action + VK_N_ACTION * t, NULL, err));
    if (t == N_DUMMY - 1)
      memcpy(start, vk_env_picture_state(p->env), bytes);
  }
  memcpy(end, vk_env_picture_state(p->env), bytes);
  return VK_OK;
}

vk_status vk_replay_picture_states(const vk_npz *rec, const vk_scene *scene, vk_isa isa,
                                   double *start, double *end, vk_err *err)
{
  player p;
  vk_status st = open_player(&p, rec, scene, err);
  if (st == VK_OK) {
    vk_env_set_isa(p.env, isa);
    st = play_pictures(&p, start, end, err);
  }
  vk_env_free(p.env);
  free(p.work);
  return st;
}
