#include "rl/evaluate.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/signal.h"
#include "core/sys.h"
#include "sim/env_batch.h"

/* Lockstep: one half of the slots steps while the policy works on the other. */
enum { N_HALF = 2, SLOTS_PER_THREAD = 2 };

/* A task's scene, built when its first episode begins and freed when its last one has ended. */
typedef struct task {
  vk_scene *scene;
  vk_stage *stage; /* when the policy sees pictures */
  enum { TASK_NEW, TASK_BUILDING, TASK_READY, TASK_BROKEN } state;
  vk_status status; /* why it is broken */
  vk_err error;
  int n_left;   /* episodes that have not ended */
  int n_holder; /* slots whose environment points at it */
} task;

/* A place in which episodes run one after another. */
typedef struct slot {
  task *held;      /* of the environment */
  bool is_busy;    /* an episode is under way */
  bool is_watched; /* its begin was told to the watch */
  bool has_acted;  /* the policy's actions are executed */
  int n_dummy_left, i_step;
  int i_chunk, n_chunk; /* of the answer: executed, and to be executed in all */
  double start_s;
  vk_pose camera;                       /* motion of agentview, when it is perturbed */
  char instruction[VK_PARAPHRASE_SIZE]; /* in other words; "": as it is */
  vk_eval_result result;
} slot;

typedef struct eval {
  const vk_eval_config *c;
  task *task; /* [pack->n_task] */
  int n_slot;
  slot *slot;
  double *action;     /* [n_slot, 7] */
  int n_answer;       /* actions of an answer */
  double *chunk;      /* [n_slot, n_answer, 7] the answer that each slot executes */
  double *answer;     /* the same, while the policy answers for many */
  uint8_t *pixel;     /* [n_slot, VK_VIEW_N, VK_VIEW_BYTES]; NULL: the policy sees none */
  vk_viewer **viewer; /* [n_slot] each of one slot; in lockstep the first draws for all */
  vk_view_shot *shot; /* [n_slot] */
  vk_step *step;
  vk_status *step_status;
  vk_err *step_error;
  bool *mask;
  vk_policy_obs *obs;
  vk_env_batch *batch;
  int next; /* episode that the next free slot takes (lockstep) */
  atomic_bool is_stopping;
  _Atomic int64_t n_step;
  pthread_mutex_t mutex; /* guards tasks, put and what follows */
  pthread_cond_t task_built;
  vk_status status; /* why it stops before its end */
  vk_err error;
} eval;

int vk_eval_n_slot(const vk_pool *pool)
{
  return SLOTS_PER_THREAD * vk_pool_n_thread(pool);
}

/* The first reason to stop wins. */
static void stop(eval *e, vk_status status, const vk_err *why)
{
  pthread_mutex_lock(&e->mutex);
  if (e->status == VK_OK) {
    e->status = status;
    e->error = *why;
  }
  pthread_mutex_unlock(&e->mutex);
  atomic_store(&e->is_stopping, true);
}

static bool must_stop(eval *e)
{
  if (!atomic_load_explicit(&e->is_stopping, memory_order_relaxed) && vk_interrupted()) {
    vk_err why = VK_ERR_INIT;
    vk_fail(&why, VK_E_INTERRUPTED, "interrupted");
    stop(e, VK_E_INTERRUPTED, &why);
  }
  return atomic_load_explicit(&e->is_stopping, memory_order_relaxed);
}

/* ---- scenes ---- */

static void free_scene(task *t)
{
  vk_stage_free(t->stage);
  vk_scene_free(t->scene);
  t->stage = NULL;
  t->scene = NULL;
}

static vk_status hold_task(eval *e, uint32_t i_task, task **out, vk_err *err)
{
  task *t = &e->task[i_task];
  pthread_mutex_lock(&e->mutex);
  while (t->state == TASK_BUILDING)
    pthread_cond_wait(&e->task_built, &e->mutex);
  if (t->state == TASK_NEW) {
    t->state = TASK_BUILDING;
    pthread_mutex_unlock(&e->mutex);
    vk_trace_span span = vk_trace_begin(e->c->trace, "eval", "scene");
    vk_trace_arg(&span, "task", i_task);
    vk_err error = VK_ERR_INIT;
    vk_status st = vk_scene_new(&t->scene, e->c->pack, i_task, e->c->cache_dir, &error);
    if (st == VK_OK && e->pixel)
      st = vk_stage_new(&t->stage, t->scene, e->c->visuals, &error);
    if (st != VK_OK)
      free_scene(t);
    vk_trace_end(&span);
    pthread_mutex_lock(&e->mutex);
    t->status = st;
    t->error = error;
    t->state = st == VK_OK ? TASK_READY : TASK_BROKEN;
    pthread_cond_broadcast(&e->task_built);
  }
  vk_status st = t->status;
  if (st == VK_OK)
    t->n_holder++;
  else if (err)
    *err = t->error;
  pthread_mutex_unlock(&e->mutex);
  *out = t;
  return st;
}

/* With the mutex held. A task is wanted as long as it has episodes or an environment uses it. */
static void free_unwanted_scene(task *t)
{
  if (t->n_left > 0 || t->n_holder > 0 || t->state != TASK_READY)
    return;
  free_scene(t);
  t->state = TASK_NEW;
}

static void release_task(eval *e, task *t)
{
  if (!t)
    return;
  pthread_mutex_lock(&e->mutex);
  t->n_holder--;
  free_unwanted_scene(t);
  pthread_mutex_unlock(&e->mutex);
}

/* Points a slot's environment at the task of an episode. */
static vk_status set_slot_task(eval *e, int i, uint32_t i_task, vk_err *err)
{
  slot *s = &e->slot[i];
  task *t = NULL;
  VK_TRY(hold_task(e, i_task, &t, err));
  task *before = s->held;
  s->held = t;
  vk_status st = vk_env_batch_set_scene(e->batch, i, t->scene, err);
  release_task(e, before);
  return st;
}

/* ---- an episode ---- */

static vk_policy_obs observe(eval *e, int i)
{
  const vk_env *env = vk_env_batch_get(e->batch, i);
  const vk_scene *scene = vk_env_scene(env);
  return (vk_policy_obs){
      .i_env = i,
      .i_step = e->slot[i].i_step,
      .instruction = e->slot[i].instruction[0] ? e->slot[i].instruction
                                               : vk_pack_text(scene->pack, scene->task->language),
      .suite = vk_pack_suite_of(scene->pack, scene->task),
      .robot = vk_env_robot_obs(env),
      .env = e->c->policy->def->needs & VK_POLICY_STATE ? env : NULL,
  };
}

static vk_status begin_policy(eval *e, int i, vk_err *err)
{
  char id[VK_PACK_TASK_ID_SIZE];
  const slot *s = &e->slot[i];
  const vk_eval_episode *episode = &e->c->episode[s->result.i_episode];
  uint64_t repeat = e->c->repeat ? (uint64_t)e->c->repeat[s->result.i_episode] : 0;
  vk_pack_task_id(e->c->pack, &e->c->pack->task[episode->i_task], id);
  vk_policy_obs obs = observe(e, i);
  const vk_policy *p = e->c->policy;
  return p->def->begin(p->state, &obs, vk_start_key(id, episode->row) + repeat, err);
}

/* The waiting steps are over: the policy and the watch hear of the episode. */
static vk_status begin_acting(eval *e, int i, vk_err *err)
{
  slot *s = &e->slot[i];
  const vk_eval_episode *episode = &e->c->episode[s->result.i_episode];
  const vk_eval_watch *w = e->c->watch;
  VK_TRY(begin_policy(e, i, err));
  s->is_watched = w != NULL;
  if (!w || !w->begin)
    return VK_OK;
  return w->begin(w->arg, i, episode, vk_env_batch_get(e->batch, i), err);
}

/* Seed, reset and init state: everything before the waiting steps. */
static vk_status begin_env(eval *e, int i, vk_err *err)
{
  const vk_eval_config *c = e->c;
  const vk_eval_episode *episode = &e->slot[i].result.episode;
  const vk_start start = {c->rows, episode->row, c->seed, c->protocol};
  VK_TRY(set_slot_task(e, i, episode->i_task, err));
  vk_env *env = vk_env_batch_get(e->batch, i);
  slot *s = &e->slot[i];
  const vk_scene *scene = vk_env_scene(env);
  uint64_t key = vk_start_key(scene->id, episode->row);
  if (c->perturb == VK_PERTURB_CAMERA)
    vk_perturb_camera(key, c->seed, &s->camera);
  if (c->perturb == VK_PERTURB_LANGUAGE)
    vk_perturb_language(vk_pack_text(scene->pack, scene->task->language), key, c->seed,
                        s->instruction);
  return vk_start_env_perturbed(env, &start, c->perturb, err);
}

/* Fills a result in. */
static void set_result(eval *e, int i, vk_status status, const vk_err *error)
{
  slot *s = &e->slot[i];
  vk_eval_result *r = &s->result;
  char id[VK_PACK_TASK_ID_SIZE];
  r->status = status;
  r->is_scored = status == VK_OK || (status == VK_E_SIM && s->has_acted);
  r->steps = s->i_step;
  r->wall_s = vk_sys_monotonic_s() - s->start_s;
  if (s->has_acted)
    r->n_unstable = vk_env_n_unstable(vk_env_batch_get(e->batch, i));
  if (status == VK_OK) {
    vk_env_state_sha256(vk_env_batch_get(e->batch, i), r->state_sha256);
    return;
  }
  r->error = *error;
  r->success = false;
  r->state_sha256[0] = '\0';
  vk_pack_task_id(e->c->pack, &e->c->pack->task[r->episode.i_task], id);
  vk_err_prefix(&r->error, "policy %s, task %s, row %d, step %d", e->c->policy->def->name, id,
                r->episode.row, s->i_step);
}

/* Ends a slot's episode and hands its result over. */
static void end_episode(eval *e, int i, vk_status status, const vk_err *error)
{
  slot *s = &e->slot[i];
  vk_eval_result *r = &s->result;
  const vk_eval_watch *w = e->c->watch;
  s->is_busy = false;
  vk_watchdog_end(e->c->dog, i);
  /* not the episode's fault: a later try may well succeed */
  if (status == VK_E_NOMEM || status == VK_E_INTERRUPTED) {
    stop(e, status, error);
    return;
  }
  set_result(e, i, status, error);
  if (s->is_watched && w->end) {
    vk_err why = VK_ERR_INIT;
    vk_status st = w->end(w->arg, i, r, &why);
    if (st != VK_OK)
      set_result(e, i, st, &why);
  }
  vk_trace_span span = vk_trace_begin(e->c->trace, "eval", "put result");
  vk_err why = VK_ERR_INIT;
  task *t = &e->task[r->episode.i_task];
  pthread_mutex_lock(&e->mutex);
  vk_status st =
      e->status == VK_OK || e->status == VK_E_INTERRUPTED ? e->c->put(e->c->arg, r, &why) : VK_OK;
  t->n_left--;
  free_unwanted_scene(t);
  pthread_mutex_unlock(&e->mutex);
  vk_trace_end(&span);
  if (st != VK_OK)
    stop(e, st, &why);
}

static void tell_dog(eval *e, int i, const vk_eval_episode *episode)
{
  char id[VK_PACK_TASK_ID_SIZE], name[VK_WATCHDOG_NAME];
  vk_pack_task_id(e->c->pack, &e->c->pack->task[episode->i_task], id);
  snprintf(name, sizeof name, "the episode of %s from row %d, draws %d", id, episode->row,
           e->c->repeat ? e->c->repeat[e->slot[i].result.i_episode] : 0);
  vk_watchdog_begin(e->c->dog, i, name);
}

/* Begins the episode in slot i; false when it ended at once, by an error. */
static bool begin_episode(eval *e, int i, const vk_eval_episode *episode)
{
  slot *s = &e->slot[i];
  s->result = (vk_eval_result){.episode = *episode, .i_episode = (int)(episode - e->c->episode)};
  s->is_busy = true;
  s->is_watched = s->has_acted = false;
  s->n_dummy_left = e->c->protocol->n_dummy;
  s->i_step = s->i_chunk = s->n_chunk = 0;
  s->start_s = vk_sys_monotonic_s();
  vk_err err = VK_ERR_INIT;
  tell_dog(e, i, episode);
  vk_trace_span span = vk_trace_begin(e->c->trace, "eval", "reset");
  vk_trace_arg(&span, "task", episode->i_task);
  vk_trace_arg(&span, "row", episode->row);
  vk_status st = begin_env(e, i, &err);
  vk_watchdog_beat(e->c->dog, i);
  if (st == VK_OK && s->n_dummy_left == 0)
    st = begin_acting(e, i, &err);
  vk_trace_end(&span);
  if (st != VK_OK)
    end_episode(e, i, st, &err);
  return st == VK_OK;
}

/* ---- asking the policy ---- */

static bool is_asked(const slot *s)
{
  return s->is_busy && s->n_dummy_left == 0 && s->i_chunk == s->n_chunk;
}

/* What slot i shows, to be drawn for its policy. */
static vk_view_shot shot_of(eval *e, int i)
{
  vk_view_shot shot = {.stage = e->slot[i].held->stage,
                       .state = vk_env_picture_state(vk_env_batch_get(e->batch, i)),
                       .moved = e->c->perturb == VK_PERTURB_CAMERA ? &e->slot[i].camera : NULL};
  for (int k = 0; k < e->c->policy->n_view; k++)
    shot.pixel[k] = e->pixel + (size_t)(VK_VIEW_N * i + k) * VK_VIEW_BYTES;
  return shot;
}

static double *chunk_of(eval *e, double *chunks, int i)
{
  return chunks + (size_t)VK_N_ACTION * (size_t)e->n_answer * (size_t)i;
}

/* Slot i has a new answer in its chunk. */
static void begin_chunk(eval *e, int i)
{
  slot *s = &e->slot[i];
  int n_replan = e->c->protocol->n_replan > 0 ? e->c->protocol->n_replan : 1;
  s->i_chunk = 0;
  s->n_chunk = e->n_answer < n_replan ? e->n_answer : n_replan;
}

/* Draws for the n slots listed in obs, and asks the policy for all of them at once.
 *   answer  [n, n_answer, 7] out */
static vk_status ask(eval *e, vk_viewer *viewer, vk_policy_obs *obs, vk_view_shot *shot, int n,
                     double *answer, vk_err *err)
{
  const vk_policy *p = e->c->policy;
  if (e->pixel) {
    vk_trace_span draw = vk_trace_begin(e->c->trace, "eval", "pictures");
    for (int j = 0; j < n; j++) {
      shot[j] = shot_of(e, obs[j].i_env);
      for (int k = 0; k < VK_VIEW_N; k++)
        obs[j].picture[k] = shot[j].pixel[k];
    }
    vk_status st = vk_viewer_draw(viewer, shot, n, err);
    vk_trace_end(&draw);
    VK_TRY(st);
  }
  vk_trace_span act = vk_trace_begin(e->c->trace, "eval", "act");
  vk_trace_arg(&act, "n", n);
  vk_status st = p->def->act(p->state, n, obs, answer, err);
  vk_trace_end(&act);
  return st;
}

/* Takes the next action of slot i's answer, if it can be executed; the watch may change it. */
static vk_status take_action(eval *e, int i, vk_err *err)
{
  const vk_eval_watch *w = e->c->watch;
  slot *s = &e->slot[i];
  double *action = e->action + VK_N_ACTION * i;
  memcpy(action, chunk_of(e, e->chunk, i) + VK_N_ACTION * s->i_chunk++,
         sizeof *action * VK_N_ACTION);
  for (int k = 0; k < VK_N_ACTION; k++)
    if (!isfinite(action[k]))
      return vk_fail(err, VK_E_RANGE, "the policy answered %g as number %d of its action",
                     action[k], k);
  s->has_acted = true;
  if (!w || !w->before_step)
    return VK_OK;
  return w->before_step(w->arg, i, vk_env_batch_get(e->batch, i), action, err);
}

/* What the policy makes of the end of slot i's episode. */
static vk_status ask_after(eval *e, int i, vk_err *err)
{
  vk_policy_obs obs = observe(e, i);
  bool is_lockstep = e->c->policy->is_batched;
  return ask(e, e->viewer ? e->viewer[is_lockstep ? 0 : i] : NULL, &obs, &e->shot[i], 1,
             chunk_of(e, e->chunk, i), err);
}

static bool is_at_limit(const eval *e, const slot *s)
{
  const vk_pack *pack = e->c->pack;
  const char *suite = vk_pack_suite_of(pack, &pack->task[s->result.episode.i_task]);
  return s->i_step >= vk_protocol_n_step(e->c->protocol, suite) ||
         (e->c->n_step_most && s->i_step >= e->c->n_step_most[s->result.i_episode]);
}

/* Books the control step that slot i has made; ends the episode when it was the last one. */
static void after_step(eval *e, int i)
{
  slot *s = &e->slot[i];
  vk_status st = e->step_status[i];
  bool is_over = st != VK_OK;
  vk_watchdog_beat(e->c->dog, i);
  atomic_fetch_add_explicit(&e->n_step, 1, memory_order_relaxed);
  if (st == VK_OK && s->n_dummy_left > 0) {
    if (--s->n_dummy_left == 0) {
      st = begin_acting(e, i, &e->step_error[i]);
      is_over = st != VK_OK;
    }
  } else if (st == VK_OK) {
    s->i_step++;
    s->result.success = e->step[i].success;
    const vk_eval_watch *w = e->c->watch;
    if (w && w->after_step)
      st = w->after_step(w->arg, i, vk_env_batch_get(e->batch, i), &e->step[i], &e->step_error[i]);
    is_over = st != VK_OK || s->result.success || is_at_limit(e, s);
    if (is_over && st == VK_OK && e->c->asks_after)
      st = ask_after(e, i, &e->step_error[i]);
  }
  if (is_over)
    end_episode(e, i, st, &e->step_error[i]);
}

/* ---- slots on their own: for policies that answer for one environment as fast as for many ---- */

/* The whole of episode i_episode in the slot of this thread. */
static void run_episode(void *arg, int i_episode, int i_thread)
{
  eval *e = arg;
  int i = i_thread;
  slot *s = &e->slot[i];
  double *action = e->action + VK_N_ACTION * i;
  if (must_stop(e) || !begin_episode(e, i, &e->c->episode[i_episode]))
    return;
  vk_trace_span span = vk_trace_begin(e->c->trace, "eval", "episode");
  vk_trace_arg(&span, "task", s->result.episode.i_task);
  vk_trace_arg(&span, "row", s->result.episode.row);
  while (s->is_busy && !must_stop(e)) {
    vk_err *err = &e->step_error[i];
    vk_status st = VK_OK;
    if (s->n_dummy_left > 0) {
      memcpy(action, e->c->protocol->dummy, sizeof e->c->protocol->dummy);
    } else {
      if (is_asked(s)) {
        vk_policy_obs obs = observe(e, i);
        st = ask(e, e->viewer ? e->viewer[i] : NULL, &obs, &e->shot[i], 1, chunk_of(e, e->chunk, i),
                 err);
        begin_chunk(e, i);
      }
      if (st == VK_OK)
        st = take_action(e, i, err);
    }
    vk_trace_span step = vk_trace_begin(e->c->trace, "eval", "step");
    if (st == VK_OK)
      st = vk_env_step(vk_env_batch_get(e->batch, i), action, &e->step[i], err);
    vk_trace_end(&step);
    e->step_status[i] = st;
    after_step(e, i);
    if (e->c->progress)
      vk_progress_add(e->c->progress, 0);
  }
  vk_trace_end(&span);
}

/* ---- slots in lockstep: for policies that answer for many environments at once ---- */

typedef struct half {
  eval *e;
  int first, n;
  const vk_eval_episode **begin; /* [n] episode that a free slot takes, NULL: none */
  bool is_stepping;
} half;

static void begin_one(void *arg, int i, int i_thread)
{
  half *h = arg;
  if (h->begin[i] && !must_stop(h->e))
    begin_episode(h->e, h->first + i, h->begin[i]);
}

/* Gives free slots their next episodes, until each has one or none is left. */
static void fill_half(half *h)
{
  eval *e = h->e;
  for (bool is_again = true; is_again && !must_stop(e);) {
    is_again = false;
    for (int i = 0; i < h->n; i++) {
      bool takes = !e->slot[h->first + i].is_busy && e->next < e->c->n_episode;
      h->begin[i] = takes ? &e->c->episode[e->next++] : NULL;
      is_again = is_again || takes; /* an episode may end at once, by an error */
    }
    if (is_again)
      vk_pool_run(e->c->pool, begin_one, h, h->n);
  }
}

/* The next action of every slot of a half. The policy is asked once, for all slots whose answer is
 * used up. */
static void act_half(half *h)
{
  eval *e = h->e;
  int n = 0;
  for (int i = h->first; i < h->first + h->n; i++)
    if (is_asked(&e->slot[i]))
      e->obs[h->first + n++] = observe(e, i);
  double *answer = chunk_of(e, e->answer, h->first);
  vk_viewer *viewer = e->viewer ? e->viewer[0] : NULL;
  vk_err err = VK_ERR_INIT;
  vk_status st =
      n > 0 ? ask(e, viewer, e->obs + h->first, e->shot + h->first, n, answer, &err) : VK_OK;
  bool is_alone = st != VK_OK && n > 1; /* then each is asked on its own: what one cannot be
                                           answered is no error of the others */
  for (int i = h->first; i < h->first + h->n; i++) {
    slot *s = &e->slot[i];
    e->mask[i] = s->is_busy;
    if (!s->is_busy)
      continue;
    if (s->n_dummy_left > 0) {
      memcpy(e->action + VK_N_ACTION * i, e->c->protocol->dummy, sizeof e->c->protocol->dummy);
      continue;
    }
    vk_err bad = err;
    vk_status own_st = VK_OK;
    if (is_asked(s)) { /* answers lie side by side, in the order of slots */
      vk_policy_obs obs = observe(e, i);
      own_st = is_alone ? ask(e, viewer, &obs, &e->shot[i], 1, answer, &bad) : st;
      memcpy(chunk_of(e, e->chunk, i), answer,
             sizeof *answer * (size_t)VK_N_ACTION * (size_t)e->n_answer);
      answer += VK_N_ACTION * e->n_answer;
      begin_chunk(e, i);
    }
    if (own_st == VK_OK)
      own_st = take_action(e, i, &bad);
    if (own_st != VK_OK) {
      e->mask[i] = false;
      end_episode(e, i, own_st, &bad);
    }
  }
}

/* Books a half's step, begins episodes, asks the policy and starts the next step. */
static void turn_half(half *h)
{
  eval *e = h->e;
  if (h->is_stepping) {
    vk_env_batch_wait(e->batch, h->first, h->n);
    for (int i = h->first; i < h->first + h->n; i++)
      if (e->mask[i])
        after_step(e, i);
  }
  h->is_stepping = false;
  if (must_stop(e))
    return;
  fill_half(h);
  act_half(h);
  for (int i = h->first; i < h->first + h->n; i++)
    h->is_stepping = h->is_stepping || e->mask[i];
  if (h->is_stepping)
    vk_env_batch_step_async(e->batch, h->first, h->n, e->mask);
}

static void run_lockstep(eval *e)
{
  half halves[N_HALF];
  const vk_eval_episode **begin = calloc((size_t)e->n_slot, sizeof *begin);
  if (!begin) {
    vk_err why = VK_ERR_INIT;
    vk_fail(&why, VK_E_NOMEM, "no memory for %d slots", e->n_slot);
    stop(e, VK_E_NOMEM, &why);
    return;
  }
  int n = e->n_slot / N_HALF;
  for (int k = 0; k < N_HALF; k++)
    halves[k] = (half){.e = e, .first = k * n, .n = n, .begin = begin + k * n};
  do {
    for (int k = 0; k < N_HALF; k++)
      turn_half(&halves[k]);
    if (e->c->progress)
      vk_progress_add(e->c->progress, 0);
  } while (halves[0].is_stepping || halves[1].is_stepping ||
           (e->next < e->c->n_episode && !must_stop(e)));
  free(begin);
}

/* ---- all of it ---- */

/* What pictures need: a viewer a thread, or one that draws on all threads. */
static vk_status make_viewers(eval *e, vk_err *err)
{
  const vk_eval_config *c = e->c;
  size_t n = (size_t)e->n_slot;
  bool is_lockstep = c->policy->is_batched;
  if (!c->visuals)
    return vk_fail(err, VK_E_USAGE, "policy %s sees pictures: visuals are needed",
                   c->policy->def->name);
  vk_view_config view = c->policy->view;
  view.isa = c->isa;
  e->pixel = malloc(n * VK_VIEW_N * VK_VIEW_BYTES);
  e->viewer = calloc(n, sizeof *e->viewer);
  if (!e->pixel || !e->viewer)
    return vk_fail(err, VK_E_NOMEM, "no memory for the pictures of %zu slots", n);
  int n_viewer = is_lockstep ? 1 : vk_pool_n_thread(c->pool);
  for (int i = 0; i < n_viewer && i < e->n_slot; i++)
    VK_TRY(vk_viewer_new(&e->viewer[i], &view, is_lockstep ? c->pool : NULL, err));
  return VK_OK;
}

static vk_status make_eval(eval *e, vk_err *err)
{
  const vk_eval_config *c = e->c;
  size_t n = (size_t)e->n_slot;
  e->n_answer = c->policy->n_action > 1 ? c->policy->n_action : 1;
  VK_ASSERT(e->n_answer <= VK_POLICY_ACTIONS_MAX);
  e->task = calloc(c->pack->n_task, sizeof *e->task);
  e->slot = calloc(n, sizeof *e->slot);
  e->action = calloc(n * VK_N_ACTION, sizeof *e->action);
  e->step = calloc(n, sizeof *e->step);
  e->step_status = calloc(n, sizeof *e->step_status);
  e->step_error = calloc(n, sizeof *e->step_error);
  e->mask = calloc(n, sizeof *e->mask);
  e->obs = calloc(n, sizeof *e->obs);
  e->chunk = calloc(n * (size_t)e->n_answer * VK_N_ACTION, sizeof *e->chunk);
  e->answer = calloc(n * (size_t)e->n_answer * VK_N_ACTION, sizeof *e->answer);
  e->shot = calloc(n, sizeof *e->shot);
  if (!e->task || !e->slot || !e->action || !e->step || !e->step_status || !e->step_error ||
      !e->mask || !e->obs || !e->chunk || !e->answer || !e->shot)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu slots", n);
  const vk_env_slices slices = {
      .action = e->action, .step = e->step, .status = e->step_status, .error = e->step_error};
  VK_TRY(vk_env_batch_new(&e->batch, e->n_slot, c->pool, &slices, err));
  vk_env_batch_set_isa(e->batch, c->isa);
  if (c->policy->def->needs & VK_POLICY_PICTURES)
    VK_TRY(make_viewers(e, err));
  for (int i = 0; i < c->n_episode; i++)
    e->task[c->episode[i].i_task].n_left++;
  return VK_OK;
}

static void free_eval(eval *e)
{
  vk_env_batch_free(e->batch);
  for (size_t i = 0; e->task && i < e->c->pack->n_task; i++)
    free_scene(&e->task[i]);
  for (int i = 0; e->viewer && i < e->n_slot; i++)
    vk_viewer_free(e->viewer[i]);
  free(e->viewer);
  free(e->pixel);
  free(e->shot);
  free(e->chunk);
  free(e->answer);
  free(e->task);
  free(e->slot);
  free(e->action);
  free(e->step);
  free(e->step_status);
  free(e->step_error);
  free(e->mask);
  free(e->obs);
  pthread_cond_destroy(&e->task_built);
  pthread_mutex_destroy(&e->mutex);
}

vk_status vk_evaluate(const vk_eval_config *config, vk_eval_stats *stats, vk_err *err)
{
  double start_s = vk_sys_monotonic_s();
  eval e = {.c = config, .n_slot = vk_eval_n_slot(config->pool)};
  pthread_mutex_init(&e.mutex, NULL);
  pthread_cond_init(&e.task_built, NULL);
  vk_status st = make_eval(&e, err);
  if (st == VK_OK) {
    if (config->policy->is_batched)
      run_lockstep(&e);
    else
      vk_pool_run(config->pool, run_episode, &e, config->n_episode);
    st = e.status;
    if (st != VK_OK && err)
      *err = e.error;
  }
  if (stats)
    *stats =
        (vk_eval_stats){.n_step = atomic_load(&e.n_step), .wall_s = vk_sys_monotonic_s() - start_s};
  free_eval(&e);
  return st;
}

/* How long the policy takes for an answer, its pictures included. The first makes things ready. */
static vk_status time_answers(eval *e, vk_eval_probe *out, vk_err *err)
{
  enum { N_ANSWER = 4 };
  double start_s = 0;
  VK_TRY(begin_policy(e, 0, err));
  for (int k = 0; k < N_ANSWER; k++) {
    vk_policy_obs obs = observe(e, 0);
    VK_TRY(ask(e, e->viewer ? e->viewer[0] : NULL, &obs, &e->shot[0], 1, e->chunk, err));
    if (k == 0)
      start_s = vk_sys_monotonic_s();
  }
  begin_chunk(e, 0);
  out->answer_s = (vk_sys_monotonic_s() - start_s) / (N_ANSWER - 1);
  out->n_executed = e->slot[0].n_chunk;
  return VK_OK;
}

vk_status vk_eval_probe_run(const vk_eval_config *config, int n_step, vk_eval_probe *out,
                            vk_err *err)
{
  *out = (vk_eval_probe){0};
  eval e = {.c = config, .n_slot = 1};
  pthread_mutex_init(&e.mutex, NULL);
  pthread_cond_init(&e.task_built, NULL);
  vk_status st = make_eval(&e, err);
  if (st == VK_OK) {
    e.slot[0].result.episode = config->episode[0];
    double start_s = vk_sys_monotonic_s();
    st = begin_env(&e, 0, err);
    out->reset_s = vk_sys_monotonic_s() - start_s;
  }
  double start_s = vk_sys_monotonic_s();
  for (int i = 0; i < n_step && st == VK_OK; i++)
    st = vk_env_step(vk_env_batch_get(e.batch, 0), config->protocol->dummy, &e.step[0], err);
  out->step_s = n_step ? (vk_sys_monotonic_s() - start_s) / n_step : 0;
  if (st == VK_OK && n_step > 0)
    st = time_answers(&e, out, err);
  if (st == VK_OK) {
    const vk_env *env = vk_env_batch_get(e.batch, 0);
    out->bytes = vk_model_bytes(vk_env_model(env), vk_env_data(env));
  }
  free_eval(&e);
  return st;
}
