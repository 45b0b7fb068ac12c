#include "sim/replay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/signal.h"

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
  char suite[64], name[192], word[260];
  VK_TRY(vk_npz_text(rec, "suite", 0, suite, sizeof suite, err));
  VK_TRY(vk_npz_text(rec, "task", 0, name, sizeof name, err));
  snprintf(word, sizeof word, "%s/%s", suite, name);
  for (uint32_t i = 0; i < pack->n_task; i++) {
    const vk_pack_task *t = &pack->task[i];
    if (strcmp(vk_pack_text(pack, t->name), name) == 0 &&
        strcmp(vk_pack_text(pack, pack->suite[t->suite].name), suite) == 0) {
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
} player;

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
  p->work = malloc(sizeof(double) * (size_t)p->n_state);
  if (!p->work)
    return vk_fail(err, VK_E_NOMEM, "no memory for a state");
  return vk_env_new(&p->env, scene, err);
}

static vk_status compare_resets(player *p, double *max_abs, vk_err *err)
{
  const vk_scene *s = p->scene;
  *max_abs = 0;
  vk_env_seed(p->env, 0);
  for (int k = 1; k <= 3; k++) {
    char key[40];
    const double *want;
    VK_TRY(vk_env_reset(p->env, err));
    snprintf(key, sizeof key, "reset%d_state", k);
    VK_TRY(vk_npz_f64(p->rec, key, 1, (int64_t[]){p->n_state}, &want, err));
    vk_env_get_state(p->env, p->work);
    *max_abs = fmax(*max_abs, worst(p->work, want, p->n_state));
    const double *pos, *quat, *next;
    snprintf(key, sizeof key, "reset%d_fixture_pos", k);
    VK_TRY(vk_npz_f64(p->rec, key, 2, (int64_t[]){s->n_fixture, 3}, &pos, err));
    snprintf(key, sizeof key, "reset%d_fixture_quat", k);
    VK_TRY(vk_npz_f64(p->rec, key, 2, (int64_t[]){s->n_fixture, 4}, &quat, err));
    for (int i = 0; i < s->n_fixture; i++) {
      const mjModel *m = vk_env_model(p->env);
      int body = s->instance[s->n_object + i].body;
      *max_abs = fmax(*max_abs, worst(m->body_pos + 3 * body, pos + 3 * i, 3));
      *max_abs = fmax(*max_abs, worst(m->body_quat + 4 * body, quat + 4 * i, 4));
    }
    snprintf(key, sizeof key, "reset%d_rng_next", k);
    VK_TRY(vk_npz_f64(p->rec, key, 1, (int64_t[]){2}, &next, err));
    double ours[2];
    vk_env_peek_rng(p->env, ours);
    *max_abs = fmax(*max_abs, worst(ours, next, 2));
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

static vk_status compare_episode(player *p, vk_replay *out, vk_err *err)
{
  out->first_step_over_1e6 = -1;
  VK_TRY(begin_episode(p, err));
  for (int t = 0; t < p->n_step; t++) {
    double d;
    bool differs;
    VK_TRY(step_and_compare(p, t, &d, &differs, err));
    if (t < 10)
      out->max_abs_qpos_10 = fmax(out->max_abs_qpos_10, d);
    if (t < 50)
      out->max_abs_qpos_50 = fmax(out->max_abs_qpos_50, d);
    out->max_abs_qpos = fmax(out->max_abs_qpos, d);
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
    out->max_abs_each_step = fmax(out->max_abs_each_step, d);
    n_close += d < 1e-9;
    out->n_each_step_success_differs += differs;
  }
  out->share_each_step_1e9 = (double)n_close / p->n_step;
  return VK_OK;
}

/* "on bowl_1 plate_1" */
static vk_status parse_atom(vk_atom *atom, const vk_scene *s, char *text, vk_err *err)
{
  static const char *const kinds[VK_ATOM_N] = {"on", "in", "open", "close", "turnon", "turnoff"};
  char *save = NULL, *kind = strtok_r(text, " ", &save);
  char *a = strtok_r(NULL, " ", &save), *b = strtok_r(NULL, " ", &save);
  for (int k = 0; kind && a && k < VK_ATOM_N; k++)
    if (strcmp(kind, kinds[k]) == 0)
      return vk_scene_resolve_atom(s, (vk_atom_kind)k, a, b ? b : "", atom, err);
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
      bool want = ((const uint8_t *)value->data)[i * n_atom + j] != 0;
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
  memset(out, 0, sizeof *out);
  snprintf(out->task, sizeof out->task, "%s", scene->id);
  vk_status st = open_player(&p, rec, scene, err);
  out->n_step = p.n_step;
  if (st == VK_OK) {
    vk_env_set_isa(p.env, isa);
    st = compare_resets(&p, &out->reset_max_abs, err);
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
