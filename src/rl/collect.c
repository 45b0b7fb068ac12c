#include "rl/collect.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/signal.h"
#include "core/sys.h"

/* Of vk_philox; its key is the episode's. */
static const uint64_t stream_noise = (uint64_t)2 << 40;

/* What is recorded in a slot of the evaluation. */
typedef struct recorder {
  vk_demo demo;
  vk_philox rng;
  double label[VK_N_ACTION];
  vk_eval_episode episode;
  bool is_ready; /* its episode has ended; guarded by the mutex */
} recorder;

typedef struct collect {
  const vk_collect_config *c;
  vk_collect_task *task;
  int n_task, n_slot;
  recorder *recorder; /* [n_slot] */
  pthread_mutex_t mutex;
} collect;

/* ---- paths ---- */

static void stage_path(const collect *g, const vk_collect_task *t, int i_try, char *out, size_t n)
{
  char id[VK_PACK_TASK_ID_SIZE];
  vk_pack_task_id(g->c->eval.pack, &g->c->eval.pack->task[t->i_task], id);
  *strchr(id, '/') = '-';
  if (i_try < 0)
    snprintf(out, n, "%s/%s.written", g->c->stage_dir, id);
  else
    snprintf(out, n, "%s/%s-%06d.npz", g->c->stage_dir, id, i_try);
}

static vk_collect_task *find_task(const collect *g, uint32_t i_task)
{
  for (int i = 0; i < g->n_task; i++)
    if (g->task[i].i_task == i_task)
      return &g->task[i];
  VK_ASSERT(false);
  return NULL;
}

/* ---- an episode ---- */

static vk_status begin(void *arg, int i_slot, const vk_eval_episode *episode, const vk_env *env,
                       vk_err *err)
{
  collect *g = arg;
  recorder *r = &g->recorder[i_slot];
  const vk_scene *scene = vk_env_scene(env);
  int n = vk_protocol_n_step(g->c->eval.protocol, vk_pack_suite_of(scene->pack, scene->task));
  r->episode = *episode;
  vk_philox_init(&r->rng, vk_start_key(scene->id, episode->row), stream_noise + g->c->eval.seed);
  vk_demo_free(&r->demo);
  return vk_demo_record_begin(&r->demo, env, n, err);
}

/* Noise for the arm, none for the hand. */
static vk_status before_step(void *arg, int i_slot, const vk_env *env, double action[VK_N_ACTION],
                             vk_err *err)
{
  collect *g = arg;
  recorder *r = &g->recorder[i_slot];
  memcpy(r->label, action, sizeof r->label);
  for (int k = 0; k < VK_N_ACTION - 1 && g->c->noise > 0; k++)
    action[k] = fmin(fmax(action[k] + g->c->noise * vk_philox_normal(&r->rng), -1.0), 1.0);
  vk_demo_record_action(&r->demo, r->label, action);
  return VK_OK;
}

static vk_status after_step(void *arg, int i_slot, const vk_env *env, const vk_step *step,
                            vk_err *err)
{
  collect *g = arg;
  vk_demo_record_step(&g->recorder[i_slot].demo, env, step->success);
  return VK_OK;
}

static vk_status end(void *arg, int i_slot, const vk_eval_result *result, vk_err *err)
{
  collect *g = arg;
  pthread_mutex_lock(&g->mutex);
  g->recorder[i_slot].is_ready = true;
  pthread_mutex_unlock(&g->mutex);
  return VK_OK;
}

/* The recorder of an episode that has ended; NULL when it never began. */
static recorder *take_recorder(collect *g, const vk_eval_episode *episode)
{
  recorder *found = NULL;
  pthread_mutex_lock(&g->mutex);
  for (int i = 0; i < g->n_slot && !found; i++) {
    recorder *r = &g->recorder[i];
    if (r->is_ready && r->episode.i_task == episode->i_task && r->episode.row == episode->row) {
      r->is_ready = false;
      found = r;
    }
  }
  pthread_mutex_unlock(&g->mutex);
  return found;
}

static vk_status write_stage(const collect *g, const vk_collect_task *t, const recorder *r,
                             vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  vk_demo_info info;
  vk_demo_writer *w;
  stage_path(g, t, r->episode.row, path, sizeof path);
  vk_demo_info_of_task(&info, g->c->eval.pack, t->i_task);
  VK_TRY(vk_demo_create(&w, path, &info, err));
  vk_status st = vk_demo_add(w, &r->demo, err);
  if (st == VK_OK)
    return vk_demo_commit(w, err);
  vk_demo_abort(w);
  return st;
}

/* A usable demonstration is written before its try is recorded: what is recorded is there. */
static vk_status put(void *arg, const vk_eval_result *result, vk_err *err)
{
  collect *g = arg;
  vk_collect_task *t = find_task(g, result->episode.i_task);
  int row = result->episode.row;
  recorder *r = take_recorder(g, &result->episode);
  /* An unstable simulation is no example. */
  bool is_usable = r && result->status == VK_OK && result->n_unstable == 0 && r->demo.n_step > 0;
  bool is_kept = is_usable && (result->success || g->c->keep_failures);
  if (is_kept) {
    r->demo.is_origin_known = true;
    r->demo.origin = (vk_start){g->c->eval.rows, row, g->c->eval.seed, g->c->eval.protocol};
    r->demo.noise = g->c->noise;
    VK_TRY(write_stage(g, t, r, err));
  }
  if (r)
    vk_demo_free(&r->demo);
  if (!t->is_recorded[row])
    VK_TRY(g->c->put(g->c->arg, result, err));
  t->is_recorded[row] = true;
  t->try_state[row] = is_usable && result->success ? VK_TRY_SUCCESS : VK_TRY_FAILURE;
  return VK_OK;
}

/* ---- which tries ---- */

/* How many tries a task needs by what is known of them: at least n_want, and one more for each that
 * failed, in rounds, so that the number does not depend on what ran at once. */
static int n_needed(const collect *g, const vk_collect_task *t)
{
  int n = g->c->n_want < t->n_try_max ? g->c->n_want : t->n_try_max;
  for (;;) {
    int n_success = 0;
    for (int k = 0; k < n; k++) {
      if (t->try_state[k] == VK_TRY_UNKNOWN)
        return n;
      n_success += t->try_state[k] == VK_TRY_SUCCESS;
    }
    if (n_success >= g->c->n_want || n == t->n_try_max)
      return n;
    n += g->c->n_want - n_success;
    n = n < t->n_try_max ? n : t->n_try_max;
  }
}

/* What is recorded but whose demonstration is not there is tried once more. */
static void check_stage(const collect *g, vk_collect_task *t)
{
  for (int k = 0; k < t->n_try_max; k++) {
    char path[VK_FS_PATH_MAX];
    stage_path(g, t, k, path, sizeof path);
    bool wants_file = t->try_state[k] == VK_TRY_SUCCESS ||
                      (t->try_state[k] == VK_TRY_FAILURE && g->c->keep_failures);
    if (wants_file && !vk_fs_is_file(path))
      t->try_state[k] = VK_TRY_UNKNOWN;
  }
}

/* Episodes that are still to run, task by task; returns their number. */
static int list_episodes(const collect *g, vk_eval_episode *episode)
{
  int n = 0;
  for (int i = 0; i < g->n_task; i++) {
    const vk_collect_task *t = &g->task[i];
    int n_try = t->is_written ? 0 : n_needed(g, t);
    for (int k = 0; k < n_try; k++)
      if (t->try_state[k] == VK_TRY_UNKNOWN)
        episode[n++] = (vk_eval_episode){t->i_task, k};
  }
  return n;
}

static vk_status run_rounds(collect *g, vk_eval_stats *stats, vk_err *err)
{
  size_t room = 1;
  for (int i = 0; i < g->n_task; i++)
    room += (size_t)g->task[i].n_try_max;
  vk_eval_episode *episode = calloc(room, sizeof *episode);
  if (!episode)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu episodes", room);
  const vk_eval_watch watch = {
      .arg = g, .begin = begin, .before_step = before_step, .after_step = after_step, .end = end};
  vk_eval_config eval = g->c->eval;
  eval.episode = episode;
  eval.watch = &watch;
  eval.put = put;
  eval.arg = g;
  vk_status st = VK_OK;
  while (st == VK_OK && (eval.n_episode = list_episodes(g, episode)) > 0) {
    vk_eval_stats round;
    st = vk_evaluate(&eval, &round, err);
    stats->n_step += round.n_step;
    stats->wall_s += round.wall_s;
  }
  free(episode);
  return st;
}

/* ---- files ---- */

typedef struct file_job {
  vk_demo_writer *writer;
  vk_scene *scene;
  vk_stage *stage;
  vk_demo_info info;
} file_job;

static vk_status add_try(const collect *g, vk_collect_task *t, int i_try, file_job *job,
                         vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  vk_demo_file *file;
  vk_demo demo = {0};
  stage_path(g, t, i_try, path, sizeof path);
  VK_TRY(vk_signal_check(err));
  VK_TRY(vk_demo_open(&file, path, err));
  vk_status st = vk_demo_read(file, 0, false, &demo, err);
  if (st == VK_OK && g->c->layout != VK_DEMO_STORE)
    st = vk_demo_add_model(&demo, job->scene, err);
  if (st == VK_OK && g->c->px > 0)
    st = vk_demo_render(&demo, job->stage, g->c->px, g->c->eval.pool, g->c->eval.isa, err);
  if (st == VK_OK)
    st = vk_demo_add(job->writer, &demo, err);
  t->n_demo++;
  t->n_success += demo.success;
  t->n_step += demo.n_step;
  vk_demo_free(&demo);
  vk_demo_close(file);
  return st;
}

static vk_status open_job(const collect *g, const vk_collect_task *t, file_job *job, vk_err *err)
{
  const vk_eval_config *e = &g->c->eval;
  vk_demo_info_of_task(&job->info, e->pack, t->i_task);
  job->info.layout = g->c->layout;
  job->info.align = g->c->align;
  job->info.px = g->c->px;
  if (g->c->layout != VK_DEMO_STORE)
    VK_TRY(vk_scene_new(&job->scene, e->pack, t->i_task, e->cache_dir, err));
  if (g->c->px > 0) {
    snprintf(job->info.visuals, sizeof job->info.visuals, "%s", g->c->visuals->name);
    snprintf(job->info.visuals_hash, sizeof job->info.visuals_hash, "%s", g->c->visuals->hash);
    VK_TRY(vk_stage_new(&job->stage, job->scene, g->c->visuals, err));
  }
  return vk_demo_create(&job->writer, t->path, &job->info, err);
}

/* The tries whose demonstrations are the task's; returns their number. The first successes, and
 * with keep_failures what failed before the last of them. */
static int pick(const collect *g, const vk_collect_task *t, int n_try, int *out)
{
  int n = 0, n_success = 0;
  for (int k = 0; k < n_try && n_success < g->c->n_want; k++) {
    char path[VK_FS_PATH_MAX];
    stage_path(g, t, k, path, sizeof path);
    bool is_success = t->try_state[k] == VK_TRY_SUCCESS;
    if (is_success || (g->c->keep_failures && vk_fs_is_file(path)))
      out[n++] = k;
    n_success += is_success;
  }
  return n;
}

static void remove_stage(const collect *g, const vk_collect_task *t)
{
  char path[VK_FS_PATH_MAX];
  for (int k = 0; k < t->n_try_max; k++) {
    stage_path(g, t, k, path, sizeof path);
    unlink(path);
  }
}

/* The place of the task's file: without what a killed process left half-written there, and not
 * taken by another process since this one began. */
static vk_status check_free(const collect *g, const vk_collect_task *t, vk_err *err)
{
  vk_fs_remove_leftovers_of(t->path);
  if (g->c->is_resumed || access(t->path, F_OK) != 0)
    return VK_OK;
  return vk_fail(err, VK_E_MISMATCH,
                 "%s has appeared since this run began: what was collected waits in %s; move that "
                 "file away first",
                 t->path, g->c->stage_dir);
}

/* The file, then the mark that says so, then the demonstrations that it holds go. */
static vk_status write_file(const collect *g, vk_collect_task *t, vk_err *err)
{
  char mark[VK_FS_PATH_MAX];
  int n_try = n_needed(g, t), *which = calloc((size_t)n_try + 1, sizeof *which);
  file_job job = {0};
  if (!which)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to write it", t->path);
  int n = pick(g, t, n_try, which);
  vk_status st = n > 0 ? check_free(g, t, err) : VK_OK;
  if (st == VK_OK && n > 0)
    st = open_job(g, t, &job, err);
  for (int i = 0; i < n && st == VK_OK; i++)
    st = add_try(g, t, which[i], &job, err);
  if (st == VK_OK && n > 0) {
    st = vk_demo_commit(job.writer, err);
    job.writer = NULL;
  }
  vk_demo_abort(job.writer);
  vk_stage_free(job.stage);
  vk_scene_free(job.scene);
  free(which);
  if (st != VK_OK)
    return st;
  char counts[80];
  snprintf(counts, sizeof counts, "%d %d %lld\n", t->n_demo, t->n_success, (long long)t->n_step);
  stage_path(g, t, -1, mark, sizeof mark);
  VK_TRY(vk_fs_write(mark, counts, strlen(counts), err));
  t->is_written = true;
  remove_stage(g, t);
  return VK_OK;
}

/* Whether an earlier part of the run has written the task's file. */
static void check_written(const collect *g, vk_collect_task *t)
{
  char mark[VK_FS_PATH_MAX], *text = NULL;
  size_t n;
  long long n_step;
  stage_path(g, t, -1, mark, sizeof mark);
  if (vk_fs_read(&text, &n, mark, 200, NULL) != VK_OK)
    return;
  bool is_mark = sscanf(text, "%d %d %lld", &t->n_demo, &t->n_success, &n_step) == 3;
  t->n_step = is_mark ? n_step : 0;
  t->is_written = is_mark && (t->n_demo == 0 || vk_fs_is_file(t->path));
  if (!t->is_written)
    t->n_demo = t->n_success = 0;
  free(text);
}

static void count_result(const collect *g, vk_collect_task *t)
{
  vk_fs_map map;
  t->n_tried = 0;
  for (int k = 0; k < t->n_try_max; k++)
    t->n_tried += t->is_recorded[k];
  if (t->n_demo > 0 && vk_fs_map_open(&map, t->path, NULL) == VK_OK) {
    t->n_byte = (int64_t)map.n;
    vk_fs_map_close(&map);
  }
}

vk_status vk_collect(const vk_collect_config *config, vk_collect_task *task, int n_task,
                     vk_eval_stats *stats, vk_err *err)
{
  vk_eval_stats own;
  stats = stats ? stats : &own;
  *stats = (vk_eval_stats){0};
  collect g = {
      .c = config, .task = task, .n_task = n_task, .n_slot = vk_eval_n_slot(config->eval.pool)};
  g.recorder = calloc((size_t)g.n_slot, sizeof *g.recorder);
  if (!g.recorder)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d slots", g.n_slot);
  pthread_mutex_init(&g.mutex, NULL);
  vk_status st = vk_fs_make_dirs(config->stage_dir, err);
  vk_fs_remove_leftovers(config->stage_dir);
  for (int i = 0; i < n_task && st == VK_OK; i++) {
    check_written(&g, &task[i]);
    if (!task[i].is_written)
      check_stage(&g, &task[i]);
  }
  if (st == VK_OK)
    st = run_rounds(&g, stats, err);
  double start_s = vk_sys_monotonic_s();
  for (int i = 0; i < n_task && st == VK_OK; i++)
    if (!task[i].is_written)
      st = write_file(&g, &task[i], err);
  stats->wall_s += vk_sys_monotonic_s() - start_s;
  for (int i = 0; i < n_task; i++)
    count_result(&g, &task[i]);
  for (int i = 0; i < n_task && st == VK_OK; i++) {
    char mark[VK_FS_PATH_MAX];
    stage_path(&g, &task[i], -1, mark, sizeof mark);
    unlink(mark);
  }
  if (st == VK_OK)
    rmdir(config->stage_dir);
  for (int i = 0; i < g.n_slot; i++)
    vk_demo_free(&g.recorder[i].demo);
  free(g.recorder);
  pthread_mutex_destroy(&g.mutex);
  return st;
}
