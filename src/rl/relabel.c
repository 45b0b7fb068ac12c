#include "rl/relabel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/safetensors.h"
#include "rl/rollout.h"
#include "sim/picture.h"

void vk_relabel_free(vk_relabel *r)
{
  for (int64_t i = 0; i < r->n && r->label; i++)
    free(r->label[i].picture_state);
  free(r->label);
  *r = (vk_relabel){0};
}

/* ---- running ------------------------------------------------------------------------------- */

/* What a slot asks the expert with. */
typedef struct slot {
  int i_episode, i_step;
  vk_env *env; /* the expert's; of the scene that the slot runs */
  vk_expert *expert;
  double last[VK_N_ACTION]; /* the policy's last action */
  void *snapshot;
  size_t room;
} slot;

typedef struct pass {
  vk_relabel *r;
  const vk_relabel_config *c;
  int n_episode, n_chunk;
  vk_eval_episode *episode; /* [n_episode] as they are now */
  bool *is_due;             /* [n_episode] still to be run, or to be run again */
  int n;                    /* of a pass */
  int *which;               /* [n_episode] episode by place in the list below */
  vk_eval_episode *list;    /* [n_episode] */
  vk_label *label;          /* [n_episode, n_chunk] n_step 0: none */
  int n_ended;              /* for the progress line; run again counts once */
  slot *slot;               /* [n_slot] */
  _Atomic int64_t n_step;   /* of the expert */
} pass;

static vk_status on_begin(void *arg, int i_slot, const vk_eval_episode *episode, const vk_env *env,
                          vk_err *err)
{
  pass *p = arg;
  slot *s = &p->slot[i_slot];
  s->i_episode = p->which[episode - p->list];
  s->i_step = 0;
  memcpy(s->last, (const double[VK_N_ACTION]){[VK_N_ACTION - 1] = -1}, sizeof s->last);
  if (!s->expert)
    VK_TRY(vk_expert_new(&s->expert, p->c->facts, err));
  VK_TRY(vk_expert_begin(s->expert, env, err));
  VK_TRY(vk_env_new(&s->env, vk_env_scene(env), err));
  vk_env_set_isa(s->env, p->c->eval.isa);
  return VK_OK;
}

static vk_status copy_state(slot *s, const vk_env *env, vk_err *err)
{
  size_t n = vk_env_snapshot_size(env);
  if (n > s->room) {
    free(s->snapshot);
    s->snapshot = malloc(n);
    s->room = s->snapshot ? n : 0;
  }
  if (!s->snapshot)
    return vk_fail(err, VK_E_NOMEM, "no memory for a snapshot of %zu bytes", n);
  vk_env_save(env, s->snapshot);
  return vk_env_load(s->env, s->snapshot, n, err);
}

/* The expert goes on from where env stands. */
static vk_status make_label(pass *p, slot *s, const vk_env *env, vk_label *l, vk_err *err)
{
  vk_step step = {0};
  l->i_task = p->episode[s->i_episode].i_task;
  l->n_state = vk_picture_n_state(vk_env_scene(env));
  l->picture_state = malloc(sizeof(double) * VK_LABEL_SAMPLES * (size_t)l->n_state);
  if (!l->picture_state)
    return vk_fail(err, VK_E_NOMEM, "no memory for a label");
  VK_TRY(copy_state(s, env, err));
  VK_TRY(vk_expert_resume(s->expert, s->env, s->last, err));
  int n = 0;
  for (; n < VK_LABEL_STEPS && !step.success; n++) {
    if (n < VK_LABEL_SAMPLES) {
      l->obs[n] = *vk_env_robot_obs(s->env);
      memcpy(l->picture_state + n * l->n_state, vk_env_picture_state(s->env),
             sizeof(double) * (size_t)l->n_state);
    }
    vk_expert_act(s->expert, s->env, l->action[n]);
    VK_TRY(vk_env_step(s->env, l->action[n], &step, err));
    VK_TRY(vk_rollout_check_stable(s->env, err));
  }
  l->n_step = n; /* what was not finished stays 0: no label */
  p->n_step += n;
  return VK_OK;
}

static vk_status on_step(void *arg, int i_slot, const vk_env *env, double action[VK_N_ACTION],
                         vk_err *err)
{
  pass *p = arg;
  slot *s = &p->slot[i_slot];
  int i_step = s->i_step++, k = i_step / VK_CHUNK_STEPS;
  VK_TRY(vk_rollout_check_stable(env, err));
  VK_ASSERT(k < p->n_chunk);
  if (i_step % VK_CHUNK_STEPS == 0)
    VK_TRY(make_label(p, s, env, &p->label[s->i_episode * p->n_chunk + k], err));
  memcpy(s->last, action, sizeof s->last);
  return VK_OK;
}

/* The scene may go after the episode, so its environment goes, too. */
static vk_status on_end(void *arg, int i_slot, const vk_eval_result *result, vk_err *err)
{
  slot *s = &((pass *)arg)->slot[i_slot];
  vk_env_free(s->env);
  s->env = NULL;
  return VK_OK;
}

static void forget_labels(pass *p, int i_episode)
{
  for (int k = 0; k < p->n_chunk; k++) {
    vk_label *l = &p->label[i_episode * p->n_chunk + k];
    free(l->picture_state);
    *l = (vk_label){0};
  }
}

static vk_status on_result(void *arg, const vk_eval_result *result, vk_err *err)
{
  pass *p = arg;
  int i = p->which[result->i_episode];
  p->is_due[i] = result->status == VK_E_SIM || (result->status == VK_OK && result->n_unstable > 0);
  if (p->is_due[i])
    forget_labels(p, i);
  else
    p->r->n_success += result->success;
  p->n_ended += !p->is_due[i];
  if (p->c->eval.progress)
    vk_progress_set_note(p->c->eval.progress, "asking the expert: %d of %d episode%s, %d succeeded",
                         p->n_ended, p->n_episode, vk_plural(p->n_episode), p->r->n_success);
  return result->status == VK_OK || result->status == VK_E_SIM
             ? VK_OK
             : vk_fail(err, result->status, "%s", result->error.text);
}

static vk_status run_pass(pass *p, vk_err *err)
{
  const vk_eval_watch watch = {.arg = p, .begin = on_begin, .before_step = on_step, .end = on_end};
  vk_eval_config eval = p->c->eval;
  vk_eval_stats stats;
  eval.n_episode = p->n;
  eval.episode = p->list;
  eval.repeat = NULL;
  eval.put = on_result;
  eval.arg = p;
  eval.watch = &watch;
  vk_status st = vk_evaluate(&eval, &stats, err);
  p->r->n_step += stats.n_step;
  p->r->wall_s += stats.wall_s;
  return st;
}

/* Those that failed again and again, too. */
static vk_status run_all(pass *p, vk_err *err)
{
  for (int i_try = 0;; i_try++) {
    p->n = 0;
    for (int i = 0; i < p->n_episode; i++) {
      if (!p->is_due[i])
        continue;
      if (i_try > VK_START_REPLACED_MAX)
        return vk_fail(err, VK_E_SIM,
                       "the simulator cannot finish an episode of task %u from row %d, nor from "
                       "those before it, in %d tries",
                       p->episode[i].i_task, p->episode[i].row, i_try);
      p->episode[i].row += i_try > 0 ? p->c->row_stride : 0;
      p->r->n_replaced += i_try > 0;
      p->which[p->n] = i;
      p->list[p->n++] = p->episode[i];
    }
    if (p->n == 0)
      return VK_OK;
    VK_TRY(run_pass(p, err));
  }
}

/* The labels that there are, without gaps. */
static void pack_labels(pass *p, int n_episode)
{
  vk_relabel *r = p->r;
  for (int64_t i = 0; i < (int64_t)n_episode * p->n_chunk; i++) {
    vk_label *l = &p->label[i];
    if (l->n_step > 0)
      r->label[r->n++] = *l;
    else
      free(l->picture_state);
  }
}

static vk_status make_pass(pass *p, const vk_eval_episode *episode, vk_err *err)
{
  const vk_eval_config *e = &p->c->eval;
  size_t n = (size_t)p->n_episode;
  for (size_t i = 0; i < n; i++) {
    int n_chunk = vk_rollout_n_chunk(e->pack, e->protocol, 1, &episode[i].i_task);
    p->n_chunk = n_chunk > p->n_chunk ? n_chunk : p->n_chunk;
  }
  p->episode = calloc(n, sizeof *p->episode);
  p->is_due = calloc(n, sizeof *p->is_due);
  p->which = calloc(n, sizeof *p->which);
  p->list = calloc(n, sizeof *p->list);
  p->label = calloc(n * (size_t)p->n_chunk, sizeof *p->label);
  p->slot = calloc((size_t)vk_eval_n_slot(e->pool), sizeof *p->slot);
  if (!p->episode || !p->is_due || !p->which || !p->list || !p->label || !p->slot)
    return vk_fail(err, VK_E_NOMEM, "no memory for the labels of %zu episodes", n);
  for (size_t i = 0; i < n; i++) {
    p->episode[i] = episode[i];
    p->is_due[i] = true;
  }
  return VK_OK;
}

static void free_pass(pass *p)
{
  for (int i = 0; i < vk_eval_n_slot(p->c->eval.pool) && p->slot; i++) {
    vk_env_free(p->slot[i].env);
    vk_expert_free(p->slot[i].expert);
    free(p->slot[i].snapshot);
  }
  free(p->slot);
  free(p->episode);
  free(p->is_due);
  free(p->which);
  free(p->list);
}

vk_status vk_relabel_run(vk_relabel *out, const vk_relabel_config *config, int n_episode,
                         const vk_eval_episode *episode, vk_err *err)
{
  *out = (vk_relabel){.n_episode = n_episode};
  pass p = {.r = out, .c = config, .n_episode = n_episode, .n_chunk = 1};
  vk_status st = make_pass(&p, episode, err);
  if (st == VK_OK)
    st = run_all(&p, err);
  out->n_step += p.n_step;
  free_pass(&p);
  out->label = p.label;
  if (p.label)
    pack_labels(&p, n_episode);
  return st;
}

vk_status vk_relabel_add(const vk_relabel *r, vk_dataset *d, vk_err *err)
{
  _Static_assert(sizeof(vk_robot_obs) == sizeof(double) * VK_N_PROPRIO, "a row of proprioception");
  for (int64_t i = 0; i < r->n; i++) {
    vk_label *l = &r->label[i];
    int n = l->n_step < VK_LABEL_SAMPLES ? l->n_step : VK_LABEL_SAMPLES;
    const vk_demo demo = {.n_step = l->n_step,
                          .action = l->action[0],
                          .n_obs = n,
                          .proprio = l->obs[0].eef_pos_m,
                          .n_picture_state = l->n_state,
                          .picture_state = l->picture_state};
    VK_TRY(vk_dataset_add(d, &demo, l->i_task, n, err));
  }
  return VK_OK;
}

/* ---- files --------------------------------------------------------------------------------- */

/* Rows of different tasks have different widths: `state` is as wide as the widest. */
vk_status vk_relabel_write(const vk_relabel *r, const char *path, vk_err *err)
{
  enum { ACTION, OBS, STATE, TASK, N_STEP, N_STATE, N };
  int64_t width = 1, n = r->n;
  for (int64_t i = 0; i < n; i++)
    width = r->label[i].n_state > width ? r->label[i].n_state : width;
  vk_safetensors_entry e[N] = {
      {"action", VK_SAFETENSORS_F64, 3, {n, VK_LABEL_STEPS, VK_N_ACTION}, NULL},
      {"obs", VK_SAFETENSORS_F64, 3, {n, VK_LABEL_SAMPLES, VK_N_PROPRIO}, NULL},
      {"state", VK_SAFETENSORS_F64, 3, {n, VK_LABEL_SAMPLES, width}, NULL},
      {"task", VK_SAFETENSORS_I32, 1, {n}, NULL},
      {"n_step", VK_SAFETENSORS_I32, 1, {n}, NULL},
      {"n_state", VK_SAFETENSORS_I32, 1, {n}, NULL},
  };
  vk_status st = VK_OK;
  double *action = calloc((size_t)n + 1, sizeof r->label->action);
  double *obs = calloc((size_t)n + 1, sizeof r->label->obs);
  double *state = calloc((size_t)n + 1, sizeof *state * VK_LABEL_SAMPLES * (size_t)width);
  int32_t *number = calloc((size_t)n + 1, 3 * sizeof *number);
  if (!action || !obs || !state || !number)
    VK_TRY_DONE(vk_fail(err, VK_E_NOMEM, "no memory to write %lld labels", (long long)n));
  for (int64_t i = 0; i < n; i++) {
    const vk_label *l = &r->label[i];
    memcpy(action + i * VK_LABEL_STEPS * VK_N_ACTION, l->action, sizeof l->action);
    memcpy(obs + i * VK_LABEL_SAMPLES * VK_N_PROPRIO, l->obs, sizeof l->obs);
    for (int k = 0; k < VK_LABEL_SAMPLES && k < l->n_step; k++)
      memcpy(state + (i * VK_LABEL_SAMPLES + k) * width, l->picture_state + k * l->n_state,
             sizeof *state * (size_t)l->n_state);
    number[i] = (int32_t)l->i_task;
    number[n + i] = l->n_step;
    number[2 * n + i] = l->n_state;
  }
  const void *data[N] = {action, obs, state, number, number + n, number + 2 * n};
  for (int i = 0; i < N; i++)
    e[i].data = data[i];
  st = vk_safetensors_write(path, e, N, NULL, 0, err);
done:
  free(action);
  free(obs);
  free(state);
  free(number);
  return st;
}

/* A tensor [n, a, b] (b 0: [n, a], a 0: [n]); b < 0: whatever it is. */
static const uint8_t *tensor(const vk_safetensors *s, const char *name, vk_safetensors_dtype dtype,
                             int64_t n, int64_t a, int64_t b)
{
  const vk_safetensor *t = vk_safetensors_find(s, name);
  int n_dim = a == 0 ? 1 : 3;
  bool is_it = t && t->dtype == dtype && t->n_dim == n_dim && t->shape[0] == n &&
               (n_dim == 1 || (t->shape[1] == a && (b < 0 || t->shape[2] == b)));
  return is_it ? t->bytes : NULL;
}

static int32_t number_at(const uint8_t *bytes, int64_t i)
{
  int32_t x;
  memcpy(&x, bytes + i * (int64_t)sizeof x, sizeof x);
  return x;
}

/* Every number of a tensor. Errors: VK_E_FORMAT. */
static vk_status check_finite(const vk_safetensors *s, const char *name, vk_err *err)
{
  const vk_safetensor *t = vk_safetensors_find(s, name);
  for (int64_t i = 0; i < t->n_item; i++) {
    double x;
    memcpy(&x, t->bytes + i * (int64_t)sizeof x, sizeof x);
    if (!isfinite(x))
      return vk_fail(err, VK_E_FORMAT,
                     "%s: number %lld of tensor %s is %g: the file is damaged; go on from a copy "
                     "of it, or begin the run anew",
                     s->path, (long long)i, name, x);
  }
  return VK_OK;
}

/* That a label is of a task that the data has, with as many numbers to a picture as there. */
static vk_status check_label(const vk_label *l, int64_t i, const vk_dataset *d, const char *path,
                             vk_err *err)
{
  const vk_dataset_task *task = NULL;
  for (int k = 0; k < vk_dataset_n_task(d) && !task; k++)
    task = vk_dataset_task_get(d, k)->i_task == l->i_task ? vk_dataset_task_get(d, k) : NULL;
  if (!task)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: tensor task, label %lld: task %u of the pack is none of the data's", path,
                   (long long)i, l->i_task);
  if (l->n_state != task->n_picture_state)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: tensor n_state, label %lld: %d numbers, pictures of its task have %d", path,
                   (long long)i, l->n_state, task->n_picture_state);
  return VK_OK;
}

static vk_status read_labels(vk_relabel *r, const vk_safetensors *s, const vk_dataset *d,
                             vk_err *err)
{
  const vk_safetensor *first = vk_safetensors_find(s, "task"),
                      *wide = vk_safetensors_find(s, "state");
  int64_t n = first && first->n_dim == 1 ? first->shape[0] : -1;
  int64_t width = wide && wide->n_dim == 3 ? wide->shape[2] : 0;
  const uint8_t *action = tensor(s, "action", VK_SAFETENSORS_F64, n, VK_LABEL_STEPS, VK_N_ACTION);
  const uint8_t *obs = tensor(s, "obs", VK_SAFETENSORS_F64, n, VK_LABEL_SAMPLES, VK_N_PROPRIO);
  const uint8_t *state = tensor(s, "state", VK_SAFETENSORS_F64, n, VK_LABEL_SAMPLES, -1);
  const uint8_t *task = tensor(s, "task", VK_SAFETENSORS_I32, n, 0, 0);
  const uint8_t *n_step = tensor(s, "n_step", VK_SAFETENSORS_I32, n, 0, 0);
  const uint8_t *n_state = tensor(s, "n_state", VK_SAFETENSORS_I32, n, 0, 0);
  if (!action || !obs || !state || !task || !n_step || !n_state)
    return vk_fail(err, VK_E_FORMAT, "%s: it holds no labels of this program", s->path);
  VK_TRY(check_finite(s, "action", err));
  VK_TRY(check_finite(s, "obs", err));
  VK_TRY(check_finite(s, "state", err));
  r->label = calloc((size_t)n + 1, sizeof *r->label);
  if (!r->label)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %lld labels", s->path, (long long)n);
  for (; r->n < n; r->n++) {
    vk_label *l = &r->label[r->n];
    size_t i = (size_t)r->n;
    *l = (vk_label){.i_task = (uint32_t)number_at(task, r->n),
                    .n_step = number_at(n_step, r->n),
                    .n_state = number_at(n_state, r->n)};
    if (l->n_step < 1 || l->n_step > VK_LABEL_STEPS || l->n_state < 1 || l->n_state > width)
      return vk_fail(err, VK_E_FORMAT, "%s: label %zu has %d steps of %d numbers", s->path, i,
                     l->n_step, l->n_state);
    VK_TRY(check_label(l, r->n, d, s->path, err));
    memcpy(l->action, action + i * sizeof l->action, sizeof l->action);
    memcpy(l->obs, obs + i * sizeof l->obs, sizeof l->obs);
    l->picture_state = calloc(VK_LABEL_SAMPLES, sizeof(double) * (size_t)l->n_state);
    if (!l->picture_state)
      return vk_fail(err, VK_E_NOMEM, "%s: no memory for %lld labels", s->path, (long long)n);
    for (size_t k = 0; k < VK_LABEL_SAMPLES; k++)
      memcpy(l->picture_state + k * (size_t)l->n_state,
             state + (i * VK_LABEL_SAMPLES + k) * (size_t)width * sizeof(double),
             sizeof(double) * (size_t)l->n_state);
  }
  return VK_OK;
}

vk_status vk_relabel_read(vk_relabel *out, const char *path, const vk_dataset *d, vk_err *err)
{
  vk_safetensors s;
  *out = (vk_relabel){0};
  VK_TRY(vk_safetensors_open(&s, path, err));
  vk_status st = read_labels(out, &s, d, err);
  vk_safetensors_close(&s);
  if (st != VK_OK)
    vk_relabel_free(out);
  return st;
}
