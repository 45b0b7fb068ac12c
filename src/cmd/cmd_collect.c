/* cmd_collect.c - vlakit collect: demonstrations by the scripted expert. */
#include <mujoco/mujoco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/record.h"
#include "core/sys.h"
#include "rl/collect.h"
#include "sim/model_cache.h"
#include "sim/picture.h"
#include "sim/visuals_choose.h"

typedef struct collect_args {
  const char *suite, *rows, *out, *format, *align, *visuals, *resume;
  int64_t n_episode, n_try, px;
  double noise;
  bool keep_failures, has_pictures, by_task;
  bool is_n_episode_given, is_rows_given, is_n_try_given, is_noise_given, is_px_given,
      is_align_given;
} collect_args;

enum { EPISODES_MAX = 10000, TRIES_MAX = 100000, FEW_TASKS = 10, N_PROBE_STEP = 10 };

/* What a step takes in a file besides its pictures, about: for --dry-run. */
static const double store_bytes_per_step = 1100, hdf5_bytes_per_step = 1300;

static const char *const format_names[] = {"store", "hdf5", NULL};
/* Not the held-out ones: nobody is to train on them. */
static const char *const rows_names[] = {"eval", "sampled", NULL};
static const collect_args defaults = {
    .n_episode = 50, .rows = "sampled", .align = "fixed", .px = VK_DEMO_PX};

#define ARGS collect_args
static const vk_opt opts[] = {
    VK_OPT_STR(ARGS, "suite", suite, "SUITE",
               "a suite, libero130 (all five), SUITE/INDEX, a task's name, or a comma list"),
    VK_OPT_I64_GIVEN(ARGS, "episodes", n_episode, is_n_episode_given, 1, EPISODES_MAX, "N", NULL,
                     "successful demonstrations a task"),
    VK_OPT_CHOICE_GIVEN(
        ARGS, "rows", rows, is_rows_given, "eval|sampled", rows_names,
        "which first states: eval, the init rows, which evaluations score; sampled, others"),
    VK_OPT_I64_GIVEN(ARGS, "tries", n_try, is_n_try_given, 1, TRIES_MAX, "N", NULL,
                     "episodes a task at most (default: 2 x episodes + 10; the init rows end)"),
    VK_OPT_F64_GIVEN(ARGS, "noise", noise, is_noise_given, 0, 1, "SIGMA", NULL,
                     "add N(0, SIGMA) to the arm's commands, keep the clean ones as labels"),
    VK_OPT_FLAG(ARGS, "keep-failures", keep_failures, "keep failed episodes too, marked"),
    VK_OPT_FLAG(ARGS, "pictures", has_pictures, "with the pictures of both cameras (hdf5)"),
    VK_OPT_I64_GIVEN(ARGS, "size", px, is_px_given, VK_RENDER_SIDE_MIN, VK_RENDER_SIDE_MAX, "N",
                     "pixels", "side of the pictures; LIBERO's have 128"),
    VK_OPT_STR(ARGS, "visuals", visuals, "stand-in|original|FILE",
               "what things look like (default: original when imported, else stand-in)"),
    VK_OPT_CHOICE(ARGS, "format", format, "store|hdf5", format_names,
                  "of files (default: by the ending of --out; hdf5 with --pictures, else store)"),
    VK_OPT_CHOICE_GIVEN(ARGS, "obs-align", align, is_align_given, "fixed|as-published",
                        vk_obs_align_names,
                        "hdf5: obs[t] before actions[t], or after it as in LIBERO's own files"),
    VK_OPT_STR(ARGS, "out", out, "PATH", "folder to write to, or for one task the file"),
    VK_OPT_FLAG(ARGS, "per-task", by_task, "print a line a task, also when there are many"),
    VK_OPT_STR(ARGS, "resume", resume, "RUN", "go on with a run that did not end"),
    VK_OPT_END,
};
#undef ARGS

/* What is to be collected, whether new or resumed. */
typedef struct plan {
  const char *suite, *visuals_word;
  char out[VK_FS_PATH_MAX], visuals_path[VK_FS_PATH_MAX]; /* absolute */
  vk_start_rows rows;
  vk_demo_layout layout;
  vk_obs_align align;
  const vk_protocol *protocol;
  uint32_t seed;
  int n_want, n_try_max, px;
  double noise;
  bool keep_failures;
  uint32_t n_task;
  uint32_t *i_task;
  vk_collect_task *task;
  char (*task_id)[VK_PACK_TASK_ID_SIZE];
} plan;

typedef struct job {
  const vk_cmd_call *call;
  plan plan;
  vk_pack pack;
  vk_visuals visuals;
  vk_pool *pool;
  vk_policy policy;
  char protocol_hash[65], stage_dir[VK_FS_PATH_MAX];
  vk_record record;
  vk_log log;
  vk_progress progress;
  int n_done, n_success; /* of the whole run */
} job;

/* ---- the plan ---- */

static bool ends_in(const char *text, const char *end)
{
  size_t n = strlen(text), n_end = strlen(end);
  return n > n_end && strcmp(text + n - n_end, end) == 0;
}

static bool is_hdf5_path(const char *path)
{
  return ends_in(path, ".hdf5") || ends_in(path, ".h5");
}

static vk_status choose_format(plan *p, const collect_args *a, vk_err *err)
{
  bool is_hdf5 = a->format ? strcmp(a->format, "hdf5") == 0
                           : is_hdf5_path(a->out) || (a->has_pictures && !ends_in(a->out, ".npz"));
  p->layout = is_hdf5 ? VK_DEMO_PUBLISHED : VK_DEMO_STORE;
  p->px = a->has_pictures ? (int)a->px : 0;
  if (a->has_pictures && !is_hdf5)
    return vk_fail(err, VK_E_USAGE,
                   "--pictures: a store holds none, it can always be converted to hdf5 with them "
                   "(vlakit demos convert); leave it out, or take --format hdf5");
  if (!a->has_pictures && (a->is_px_given || a->visuals))
    return vk_fail(err, VK_E_USAGE, "--%s is for --pictures", a->is_px_given ? "size" : "visuals");
  if (is_hdf5 ? ends_in(a->out, ".npz") : is_hdf5_path(a->out))
    return vk_fail(err, VK_E_USAGE,
                   "--out %s does not fit --format %s: stores end in .npz, hdf5 in .hdf5", a->out,
                   is_hdf5 ? "hdf5" : "store");
  p->align =
      strcmp(a->align, vk_obs_align_names[VK_OBS_FIXED]) == 0 ? VK_OBS_FIXED : VK_OBS_AS_PUBLISHED;
  if (!is_hdf5 && p->align != VK_OBS_FIXED)
    return vk_fail(err, VK_E_USAGE,
                   "--obs-align: a store holds all observations; it is chosen "
                   "when the store is converted or read");
  return VK_OK;
}

static vk_status plan_from_options(job *j, const collect_args *a, vk_err *err)
{
  plan *p = &j->plan;
  const vk_common_args *common = j->call->common;
  if (!a->suite || !a->out)
    return vk_fail(err, VK_E_USAGE,
                   "--suite and --out are needed, or --resume; for example "
                   "vlakit collect --suite libero_goal --episodes 10 --out demos");
  VK_TRY(vk_protocol_find(&p->protocol, "oft", err));
  p->suite = a->suite;
  p->visuals_word = a->visuals ? p->visuals_path : NULL;
  if (a->visuals)
    VK_TRY(vk_visuals_word_absolute(p->visuals_path, a->visuals, err));
  p->rows = strcmp(a->rows, "sampled") == 0 ? VK_ROWS_SAMPLED : VK_ROWS_EVAL;
  p->seed = common->seed_given ? (uint32_t)common->seed : p->protocol->seed;
  p->n_want = (int)a->n_episode;
  p->n_try_max = a->is_n_try_given ? (int)a->n_try : 2 * p->n_want + 10;
  p->noise = a->noise;
  p->keep_failures = a->keep_failures;
  VK_TRY(choose_format(p, a, err));
  return vk_fs_absolute(p->out, a->out, err);
}

/* With --resume the record says what to collect; what is typed as well must not differ. */
static vk_status plan_from_record(job *j, const collect_args *a, vk_err *err)
{
  plan *p = &j->plan;
  const vk_report *r = &j->record.earlier;
  const vk_record *record = &j->record;
  const char *out = vk_record_config_text(record, "out");
  const char *rows = vk_record_config_text(record, "rows");
  const char *format = vk_record_config_text(record, "format");
  const char *align = vk_record_config_text(record, "obs_align");
  if (strcmp(vk_report_text(r, "command"), "collect") != 0 || !out || !rows || !format || !align)
    return vk_fail(err, VK_E_USAGE, "run %s is of vlakit %s, not of collect", a->resume,
                   vk_report_text(r, "command"));
  if (a->suite || a->out || a->format || a->visuals || j->call->common->seed_given ||
      a->is_n_episode_given || a->is_rows_given || a->is_n_try_given || a->is_noise_given ||
      a->is_px_given || a->is_align_given || a->has_pictures || a->keep_failures)
    return vk_fail(err, VK_E_USAGE,
                   "--resume goes on as run %s was started; give it alone, or start a new run",
                   a->resume);
  if (strcmp(vk_report_text(r, "state"), "done") == 0)
    return vk_fail(err, VK_E_USAGE, "run %s is done, its demonstrations are in %s", a->resume, out);
  p->suite = vk_report_text(r, "suite");
  p->visuals_word = vk_record_config_text(record, "visuals");
  snprintf(p->out, sizeof p->out, "%s", out);
  p->rows = strcmp(rows, "sampled") == 0 ? VK_ROWS_SAMPLED : VK_ROWS_EVAL;
  p->layout = strcmp(format, "hdf5") == 0 ? VK_DEMO_PUBLISHED : VK_DEMO_STORE;
  p->align = strcmp(align, "fixed") == 0 ? VK_OBS_FIXED : VK_OBS_AS_PUBLISHED;
  VK_TRY(vk_protocol_find(&p->protocol, vk_report_text(r, "protocol"), err));
  p->seed = (uint32_t)vk_report_number(r, "seed");
  p->n_want = (int)vk_record_config_number(record, "episodes");
  p->n_try_max = (int)vk_record_config_number(record, "tries");
  p->px = (int)vk_record_config_number(record, "size");
  p->noise = vk_record_config_number(record, "noise");
  p->keep_failures = vk_record_config_number(record, "keep_failures") != 0;
  return VK_OK;
}

/* PATH itself for one task and a path that ends as files do, else PATH/SUITE/TASK_demo.hdf5. */
static char *file_path(const job *j, const vk_pack_task *t)
{
  const plan *p = &j->plan;
  const char *end = p->layout == VK_DEMO_STORE ? "npz" : "hdf5";
  char path[2 * VK_FS_PATH_MAX];
  bool is_file = p->n_task == 1 && (is_hdf5_path(p->out) || ends_in(p->out, ".npz"));
  if (is_file)
    return strdup(p->out);
  snprintf(path, sizeof path, "%s/%s/%s_demo.%s", p->out, vk_pack_suite_of(&j->pack, t),
           vk_pack_text(&j->pack, t->name), end);
  return strlen(path) < VK_FS_PATH_MAX ? strdup(path) : NULL;
}

static vk_status plan_task(job *j, uint32_t i, vk_err *err)
{
  plan *p = &j->plan;
  vk_collect_task *c = &p->task[i];
  const vk_pack_task *t = &j->pack.task[p->i_task[i]];
  vk_pack_task_id(&j->pack, t, p->task_id[i]);
  c->i_task = p->i_task[i];
  c->n_try_max = p->n_try_max;
  if (p->rows == VK_ROWS_EVAL && (uint32_t)c->n_try_max > t->n_row)
    c->n_try_max = (int)t->n_row;
  if (p->n_try_max < p->n_want)
    return vk_fail(
        err, VK_E_USAGE,
        "--tries %d: to have %d demonstration%s (--episodes) takes as many tries at least",
        p->n_try_max, p->n_want, vk_plural(p->n_want));
  if (c->n_try_max < p->n_want)
    return vk_fail(err, VK_E_USAGE,
                   "--episodes: task %s can be tried %d time%s%s, %d demonstrations asked for",
                   p->task_id[i], c->n_try_max, vk_plural(c->n_try_max),
                   p->rows == VK_ROWS_EVAL ? " (its init rows; --rows sampled has no end)" : "",
                   p->n_want);
  c->try_state = calloc((size_t)c->n_try_max, sizeof *c->try_state);
  c->is_recorded = calloc((size_t)c->n_try_max, sizeof *c->is_recorded);
  c->path = file_path(j, t);
  if (!c->try_state || !c->is_recorded || !c->path)
    return vk_fail(err, VK_E_NOMEM, "no memory for task %s (or too long a path)", p->task_id[i]);
  for (int k = 0; k < j->record.earlier.n_episode; k++) {
    const vk_report_episode *e = &j->record.earlier.episode[k];
    if (strcmp(e->task, p->task_id[i]) != 0 || e->row < 0 || e->row >= c->n_try_max)
      continue;
    c->is_recorded[e->row] = true;
    c->try_state[e->row] =
        e->success && !e->error && e->n_unstable == 0 ? VK_TRY_SUCCESS : VK_TRY_FAILURE;
  }
  if (!j->call->common->dry_run && j->record.earlier.n_episode == 0 && !j->record.earlier.head &&
      access(c->path, F_OK) == 0)
    return vk_fail(err, VK_E_USAGE, "--out: %s is there already; take another path, or remove it",
                   c->path);
  return VK_OK;
}

static vk_status plan_tasks(job *j, vk_err *err)
{
  plan *p = &j->plan;
  VK_TRY(vk_pack_open(&j->pack, j->call->common->pack, err));
  p->i_task = calloc(j->pack.n_task + 1, sizeof *p->i_task);
  p->task_id = calloc(j->pack.n_task + 1, sizeof *p->task_id);
  p->task = calloc(j->pack.n_task + 1, sizeof *p->task);
  if (!p->i_task || !p->task_id || !p->task)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu tasks", j->pack.n_task);
  VK_ASSERT(TRIES_MAX <= vk_start_ranges[VK_START_DEMO].n);
  VK_TRY(vk_pack_find_tasks(&j->pack, p->suite, p->i_task, &p->n_task, err));
  for (uint32_t i = 0; i < p->n_task; i++)
    VK_TRY(plan_task(j, i, err));
  return VK_OK;
}

static void free_plan(plan *p)
{
  for (uint32_t i = 0; p->task && i < p->n_task; i++) {
    free((char *)p->task[i].path);
    free(p->task[i].try_state);
    free(p->task[i].is_recorded);
  }
  free(p->task);
  free(p->i_task);
  free(p->task_id);
}

/* ---- the record ---- */

static cJSON *config_json(const job *j)
{
  const plan *p = &j->plan;
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "suite", p->suite);
  cJSON_AddStringToObject(o, "policy", "expert");
  cJSON_AddStringToObject(o, "protocol", p->protocol->name);
  cJSON_AddNumberToObject(o, "episodes", p->n_want);
  cJSON_AddNumberToObject(o, "tries", p->n_try_max);
  cJSON_AddStringToObject(o, "rows", vk_start_rows_names[p->rows]);
  cJSON_AddNumberToObject(o, "noise", p->noise);
  cJSON_AddBoolToObject(o, "keep_failures", p->keep_failures);
  cJSON_AddNumberToObject(o, "size", p->px);
  if (p->visuals_word)
    cJSON_AddStringToObject(o, "visuals", p->visuals_word);
  cJSON_AddStringToObject(o, "format", p->layout == VK_DEMO_STORE ? "store" : "hdf5");
  cJSON_AddStringToObject(o, "obs_align", vk_obs_align_names[p->align]);
  cJSON_AddStringToObject(o, "out", p->out);
  cJSON_AddNumberToObject(o, "seed", p->seed);
  cJSON_AddNumberToObject(o, "threads", vk_pool_n_thread(j->pool));
  cJSON_AddStringToObject(o, "isa", vk_isa_name(j->call->isa));
  cJSON_AddStringToObject(o, "pack", j->pack.path);
  return o;
}

static vk_status begin_record(job *j, vk_err *err)
{
  const plan *p = &j->plan;
  const vk_run_row row = {.command = "collect",
                          .pack_hash = j->pack.hash,
                          .policy_hash = j->policy.hash,
                          .protocol_hash = j->protocol_hash,
                          .n_thread = vk_pool_n_thread(j->pool)};
  const vk_evaluation_row evaluation = {.suite = p->suite,
                                        .policy = "expert",
                                        .protocol = p->protocol->name,
                                        .rows = vk_start_rows_names[p->rows],
                                        .seed = p->seed,
                                        .is_seed_given = j->call->common->seed_given,
                                        .n_episode_per_task = p->n_want,
                                        .is_n_episode_given = true,
                                        .n_episode = (int)p->n_task * p->n_want};
  return vk_record_begin(&j->record, config_json(j), &row, p->px > 0 ? &j->visuals : NULL,
                         &evaluation, err);
}

/* Demonstrations of one run must come from the same things. */
static vk_status check_resumable(const job *j, vk_err *err)
{
  const vk_record_same same[] = {
      {"pack_hash", j->pack.hash, "the pack"},
      {"policy_hash", j->policy.hash, "the expert"},
      {"protocol_hash", j->protocol_hash, "the protocol"},
      {"mujoco", mj_versionString(), "MuJoCo's version"},
      {"visuals_hash", j->plan.px > 0 ? j->visuals.hash : "", "the visuals"},
  };
  return vk_record_check_same(&j->record, same, VK_COUNT(same), err);
}

static vk_status put_result(void *arg, const vk_eval_result *r, vk_err *err)
{
  job *j = arg;
  VK_TRY(vk_record_put_episode(&j->record, &j->pack, j->plan.seed, r, err));
  j->n_done++;
  j->n_success += r->success;
  vk_progress_set_note(&j->progress, "%d %s", j->n_done, j->n_done == 1 ? "try" : "tries");
  vk_progress_set(&j->progress, j->n_success, (int64_t)j->plan.n_task * j->plan.n_want);
  return VK_OK;
}

/* ---- running ---- */

static vk_collect_config collect_config(job *j, const char *cache_dir)
{
  const plan *p = &j->plan;
  return (vk_collect_config){.eval = {.pack = &j->pack,
                                      .cache_dir = cache_dir,
                                      .protocol = p->protocol,
                                      .seed = p->seed,
                                      .rows = p->rows,
                                      .policy = &j->policy,
                                      .pool = j->pool,
                                      .isa = j->call->isa,
                                      .progress = &j->progress,
                                      .trace = j->record.trace},
                             .n_want = p->n_want,
                             .noise = p->noise,
                             .keep_failures = p->keep_failures,
                             .layout = p->layout,
                             .align = p->align,
                             .px = p->px,
                             .visuals = &j->visuals,
                             .is_resumed = j->record.earlier.head != NULL,
                             .stage_dir = j->stage_dir,
                             .put = put_result,
                             .arg = j};
}

/* How long both views of an observation take to render on one thread; 0 without pictures. */
static vk_status time_pictures(job *j, double *out_s, vk_err *err)
{
  enum { N_OBS = 4 };
  const plan *p = &j->plan;
  char cache[VK_FS_PATH_MAX];
  vk_scene *scene = NULL;
  vk_stage *stage = NULL;
  *out_s = 0;
  if (p->px == 0)
    return VK_OK;
  VK_TRY(vk_scene_new(&scene, &j->pack, p->i_task[0], vk_model_cache_dir(cache), err));
  vk_demo demo = {.n_obs = N_OBS, .n_picture_state = vk_picture_n_state(scene), .px = p->px};
  vk_status st = vk_demo_alloc(&demo, err);
  for (int i = 0; i < N_OBS && st == VK_OK; i++)
    vk_picture_default(scene, scene->model->qpos0, demo.picture_state + i * demo.n_picture_state);
  if (st == VK_OK)
    st = vk_stage_new(&stage, scene, &j->visuals, err);
  for (int i = 0; i < 2 && st == VK_OK; i++) { /* the first touches memory */
    double start_s = vk_sys_monotonic_s();
    st = vk_demo_render(&demo, stage, p->px, j->pool, j->call->isa, err);
    *out_s = (vk_sys_monotonic_s() - start_s) * vk_pool_n_thread(j->pool) / N_OBS;
  }
  vk_demo_free(&demo);
  vk_stage_free(stage);
  vk_scene_free(scene);
  return st;
}

/* What an episode of the first task takes, and the memory of all: environments, and the pictures of
 * one demonstration at a time. */
static vk_status estimate(job *j, int n_step, vk_eval_probe *probe, double *memory, vk_err *err)
{
  const plan *p = &j->plan;
  char cache[VK_FS_PATH_MAX];
  vk_collect_config config = collect_config(j, vk_model_cache_dir(cache));
  const vk_eval_episode first = {p->i_task[0], 0};
  config.eval.episode = &first;
  config.eval.n_episode = 1;
  config.eval.progress = NULL;
  VK_TRY(vk_eval_probe_run(&config.eval, n_step, probe, err));
  int n_step_max = 0;
  for (uint32_t i = 0; i < p->n_task; i++) {
    int n =
        vk_protocol_n_step(p->protocol, vk_pack_suite_of(&j->pack, &j->pack.task[p->i_task[i]]));
    n_step_max = n > n_step_max ? n : n_step_max;
  }
  *memory = (double)vk_sys_resident_bytes() +
            2.0 * (double)probe->bytes * vk_pool_n_thread(j->pool) +
            3.0 * VK_DEMO_N_VIEW * p->px * p->px * (n_step_max + 1);
  return VK_OK;
}

/* What is about to start, on stderr. What the first episode cannot do shows there. */
static void announce(job *j)
{
  vk_eval_probe probe;
  double memory;
  int n_demo = (int)j->plan.n_task * j->plan.n_want, n_thread = vk_pool_n_thread(j->pool);
  if (estimate(j, 0, &probe, &memory, NULL) == VK_OK)
    vk_log_line(&j->log, "collect %s: %d demonstration%s of %u task%s, %d thread%s, about %.0f MB",
                j->record.run.id, n_demo, vk_plural(n_demo), j->plan.n_task,
                vk_plural(j->plan.n_task), n_thread, vk_plural(n_thread), memory / 1e6);
}

static vk_status print_dry_run(job *j, vk_err *err)
{
  const plan *p = &j->plan;
  char time[32];
  vk_eval_probe probe;
  double memory;
  VK_TRY(estimate(j, N_PROBE_STEP, &probe, &memory, err));
  int n_thread = vk_pool_n_thread(j->pool), n_episode = (int)p->n_task * p->n_want;
  double n_step = 0, pictures_s;
  VK_TRY(time_pictures(j, &pictures_s, err));
  for (uint32_t i = 0; i < p->n_task; i++)
    n_step += p->n_want * vk_protocol_n_step(
                              p->protocol, vk_pack_suite_of(&j->pack, &j->pack.task[p->i_task[i]]));
  double per_step = p->layout == VK_DEMO_STORE
                        ? store_bytes_per_step
                        : hdf5_bytes_per_step + VK_DEMO_N_VIEW * 3.0 * p->px * p->px;
  double bytes = n_step * per_step;
  double wall_s = ((n_step + 1.0 * n_episode * p->protocol->n_dummy) * probe.step_s +
                   n_episode * probe.reset_s + n_step * pictures_s) /
                  n_thread;
  if (j->call->common->json) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "dry_run", true);
    cJSON_AddStringToObject(o, "suite", p->suite);
    cJSON_AddNumberToObject(o, "n_task", p->n_task);
    cJSON_AddNumberToObject(o, "n_episode", n_episode);
    cJSON_AddNumberToObject(o, "n_step_max", n_step);
    cJSON_AddNumberToObject(o, "bytes_max", bytes);
    cJSON_AddNumberToObject(o, "memory_bytes", memory);
    cJSON_AddNumberToObject(o, "wall_s_max", wall_s);
    cJSON_AddNumberToObject(o, "threads", n_thread);
    vk_status st = vk_json_print(o, err);
    cJSON_Delete(o);
    return st;
  }
  vk_progress_format_time(wall_s, time, sizeof time);
  printf("collect   %d demonstration%s of %u task%s, at most %.0f control steps when all succeed\n",
         n_episode, vk_plural(n_episode), p->n_task, vk_plural(p->n_task), n_step);
  printf("to        %s, %u file%s, at most about %.0f MB\n", p->out, p->n_task,
         vk_plural(p->n_task), bytes / 1e6);
  printf("memory    about %.0f MB on %d thread%s\n", memory / 1e6, n_thread, vk_plural(n_thread));
  printf("time      at most about %s, at %.1f ms a control step of %s", time, 1e3 * probe.step_s,
         p->task_id[0]);
  if (p->px > 0)
    printf(" and %.1f ms for its pictures", 1e3 * pictures_s);
  printf("\n");
  return VK_OK;
}

/* ---- results ---- */

typedef struct sums {
  int n_demo, n_success, n_tried, n_file, n_short;
  int64_t n_step, n_byte;
} sums;

static void add_sums(sums *a, const vk_collect_task *t, int n_want)
{
  a->n_demo += t->n_demo;
  a->n_success += t->n_success;
  a->n_tried += t->n_tried;
  a->n_file += t->n_demo > 0;
  a->n_short += t->n_success < n_want;
  a->n_step += t->n_step;
  a->n_byte += t->n_byte;
}

static vk_status print_json(const job *j, const sums *all, const vk_eval_stats *stats, vk_err *err)
{
  const plan *p = &j->plan;
  cJSON *o = config_json(j);
  cJSON_AddStringToObject(o, "run", j->record.run.id);
  cJSON_AddStringToObject(o, "pack_hash", j->pack.hash);
  cJSON_AddStringToObject(o, "policy_hash", j->policy.hash);
  cJSON_AddNumberToObject(o, "n_episode", all->n_tried);
  cJSON_AddNumberToObject(o, "n_demo", all->n_demo);
  cJSON_AddNumberToObject(o, "n_success", all->n_success);
  cJSON_AddNumberToObject(o, "n_step", (double)all->n_step);
  cJSON_AddNumberToObject(o, "bytes", (double)all->n_byte);
  cJSON_AddNumberToObject(o, "n_short", all->n_short);
  cJSON_AddNumberToObject(o, "wall_s", stats->wall_s);
  cJSON *files = cJSON_AddArrayToObject(o, "files"), *tasks = cJSON_AddArrayToObject(o, "per_task");
  for (uint32_t i = 0; i < p->n_task; i++) {
    const vk_collect_task *t = &p->task[i];
    cJSON *one = cJSON_CreateObject();
    if (t->n_demo > 0)
      cJSON_AddItemToArray(files, cJSON_CreateString(t->path));
    cJSON_AddStringToObject(one, "task", p->task_id[i]);
    cJSON_AddStringToObject(one, "file", t->n_demo > 0 ? t->path : "");
    cJSON_AddNumberToObject(one, "n_episode", t->n_tried);
    cJSON_AddNumberToObject(one, "n_demo", t->n_demo);
    cJSON_AddNumberToObject(one, "n_success", t->n_success);
    cJSON_AddNumberToObject(one, "n_step", (double)t->n_step);
    cJSON_AddNumberToObject(one, "bytes", (double)t->n_byte);
    cJSON_AddItemToArray(tasks, one);
  }
  vk_status st = vk_json_print(o, err);
  cJSON_Delete(o);
  return st;
}

static void print_sums(const char *name, const sums *a)
{
  printf("%-16s %5d %5d %6d %8lld %9.2f MB\n", name, a->n_success, a->n_tried, a->n_file,
         (long long)a->n_step, (double)a->n_byte / 1e6);
}

static void print_table(const job *j, const sums *all)
{
  const collect_args *args = j->call->args;
  const plan *p = &j->plan;
  printf("%-16s %5s %5s %6s %8s %12s\n", "", "demos", "tries", "files", "steps", "size");
  for (uint32_t i = 0; i < p->n_task && (args->by_task || p->n_task <= FEW_TASKS); i++) {
    sums one = {0};
    add_sums(&one, &p->task[i], p->n_want);
    print_sums(p->task_id[i], &one);
  }
  for (size_t k = 0; k < j->pack.n_suite; k++) {
    sums suite = {0};
    for (uint32_t i = 0; i < p->n_task; i++)
      if (j->pack.task[p->i_task[i]].suite == k)
        add_sums(&suite, &p->task[i], p->n_want);
    if (suite.n_tried > 0)
      print_sums(vk_pack_text(&j->pack, j->pack.suite[k].name), &suite);
  }
  print_sums("all", all);
  for (uint32_t i = 0; i < p->n_task; i++)
    if (p->task[i].n_success < p->n_want)
      printf("%s: %d of %d demonstration%s in %d %s\n", p->task_id[i], p->task[i].n_success,
             p->n_want, vk_plural(p->n_want), p->task[i].n_tried,
             p->task[i].n_tried == 1 ? "try" : "tries");
}

static vk_status print_result(const job *j, const vk_eval_stats *stats, vk_err *err)
{
  sums all = {0};
  for (uint32_t i = 0; i < j->plan.n_task; i++)
    add_sums(&all, &j->plan.task[i], j->plan.n_want);
  if (j->call->common->json) {
    VK_TRY(print_json(j, &all, stats, err));
  } else {
    char time[32];
    print_table(j, &all);
    vk_progress_format_time(stats->wall_s, time, sizeof time);
    int n_thread = vk_pool_n_thread(j->pool);
    printf("run %s, %s on %d thread%s, in %s\n", j->record.run.id, time, n_thread,
           vk_plural(n_thread), j->plan.out);
  }
  return all.n_demo > 0 ? VK_OK
                        : vk_fail(err, VK_E_SIM, "no episode of %d succeeded; nothing was written",
                                  all.n_tried);
}

/* ---- the whole ---- */

static vk_status make_folders(const job *j, vk_err *err)
{
  const plan *p = &j->plan;
  for (uint32_t i = 0; i < p->n_task; i++) {
    char dir[VK_FS_PATH_MAX];
    snprintf(dir, sizeof dir, "%s", p->task[i].path);
    *strrchr(dir, '/') = '\0';
    if (dir[0])
      VK_TRY(vk_fs_make_dirs(dir, err));
  }
  return VK_OK;
}

/* That the run can write: a run that cannot begin is none that could go on. Permissions alone do
 * not tell, of /proc least of all. */
static vk_status try_out(const job *j, vk_err *err)
{
  char stage[VK_FS_PATH_MAX];
  const char ending[] = ".part-XXXXXX"; /* as the run's own, of a shorter name */
  if (strlen(j->plan.out) + sizeof ending + VK_RUN_ID_SIZE >
      VK_FS_PATH_MAX - VK_PACK_TASK_ID_SIZE - 32)
    return vk_fail(err, VK_E_RANGE, "--out: %.100s... is too long", j->plan.out);
  if (make_folders(j, err) != VK_OK)
    return vk_err_prefix(err, "--out");
  snprintf(stage, sizeof stage, "%s%s", j->plan.out, ending);
  if (!mkdtemp(stage)) {
    vk_fs_fail(err, j->plan.out, "write there");
    return vk_err_prefix(err, "--out");
  }
  rmdir(stage);
  return VK_OK;
}

static vk_status run_job(job *j, vk_err *err)
{
  const collect_args *args = j->call->args;
  const vk_common_args *common = j->call->common;
  VK_TRY(vk_record_start(&j->record, err));
  VK_TRY(try_out(j, err));
  VK_TRY(args->resume ? vk_record_go_on(&j->record, err) : begin_record(j, err));
  snprintf(j->stage_dir, sizeof j->stage_dir, "%s.part-%s", j->plan.out, j->record.run.id);
  if (!common->quiet)
    announce(j);
  char cache[VK_FS_PATH_MAX];
  vk_collect_config config = collect_config(j, vk_model_cache_dir(cache));
  vk_eval_stats stats = {0};
  vk_progress_init(&j->progress, common->quiet ? NULL : &j->log, "collect", "demonstrations",
                   (int64_t)j->plan.n_task * j->plan.n_want, j->n_success);
  vk_status st = vk_collect(&config, j->plan.task, (int)j->plan.n_task, &stats, err);
  vk_progress_fini(&j->progress);
  st = vk_record_end(&j->record, st, stats.wall_s, err);
  if (st == VK_OK)
    st = print_result(j, &stats, err);
  else if (st == VK_E_INTERRUPTED)
    vk_fail(err, st, "interrupted: %d %s done and kept; go on with vlakit collect --resume %s",
            j->n_done, j->n_done == 1 ? "try is" : "tries are", j->record.run.id);
  else
    st = vk_err_prefix(err, "run %s (go on with --resume)", j->record.run.id);
  return vk_record_write_trace(&j->record, st, err);
}

static vk_status prepare(job *j, vk_err *err)
{
  const collect_args *args = j->call->args;
  const vk_common_args *common = j->call->common;
  VK_TRY(vk_record_open(&j->record, j->call, args->resume, err));
  VK_TRY(args->resume ? plan_from_record(j, args, err) : plan_from_options(j, args, err));
  j->n_done = j->record.earlier.n_episode;
  j->n_success = j->record.earlier.all.n_success;
  VK_TRY(plan_tasks(j, err));
  if (j->plan.px > 0)
    VK_TRY(vk_visuals_choose(&j->visuals, j->plan.visuals_word, &j->pack, err));
  if (j->plan.layout != VK_DEMO_STORE)
    VK_TRY(vk_demo_can_write(j->plan.layout, err));
  VK_TRY(vk_pool_new(&j->pool, (int)common->n_thread, err));
  const vk_policy_args policy_args = {.n_env = vk_eval_n_slot(j->pool), .seed = j->plan.seed};
  VK_TRY(vk_policy_open(&j->policy, "expert", &policy_args, err));
  vk_protocol_hash(j->plan.protocol, j->plan.seed, vk_start_rows_names[j->plan.rows],
                   VK_PERTURB_NONE, j->protocol_hash);
  return args->resume ? check_resumable(j, err) : VK_OK;
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  job j = {.call = call};
  vk_log_init(&j.log, stderr);
  vk_status st = prepare(&j, err);
  if (st == VK_OK)
    st = call->common->dry_run ? print_dry_run(&j, err) : run_job(&j, err);
  vk_log_fini(&j.log);
  if (j.policy.def)
    vk_policy_close(&j.policy);
  vk_pool_free(j.pool);
  vk_visuals_close(&j.visuals);
  vk_record_close(&j.record);
  free_plan(&j.plan);
  vk_pack_close(&j.pack);
  return st;
}

const vk_cmd vk_cmd_collect = {
    .name = "collect",
    .flags = VK_CMD_LONG,
    .summary = "record demonstrations by the scripted expert",
    .synopsis = "--suite S --out PATH [options] | --resume RUN",
    .description =
        "Runs the scripted expert until every task has N successful episodes and writes a file of "
        "them a task, PATH/SUITE/TASK_demo.npz or .hdf5 (for a single task, a PATH with such an "
        "ending is the file itself). Tries of a task are taken in order: try k starts from the "
        "reset of a generator seeded for (task, k, seed), drawn again while objects throw each "
        "other about, with the arm moved by N(0, 0.02) rad a joint, as LIBERO's own rows are, or "
        "with --rows eval from init row k. Evaluations score the init rows: train refuses "
        "demonstrations that begin there, unless train_on_eval_rows is set. "
        "Files do not depend on the number of threads or on interruptions.\n\n"
        "Formats:\n"
        "  store  NumPy archive (.npz) without pictures: actions, states, proprioception,\n"
        "         and all that pictures and a bit-exact repetition need\n"
        "  hdf5   LIBERO's: what its and robomimic's readers open, with --pictures\n"
        "vlakit demos convert makes the one from the other. The model_file of hdf5 is the physics "
        "of the scene as MJCF; it holds no visual meshes.\n\n"
        "--noise perturbs the six pose commands that are executed and keeps what the expert wanted "
        "as the label (DART); the executed ones are kept beside it.\n\n"
        "LIBERO's published files hold the observation after actions[t] as obs[t], one step late. "
        "Here obs[t] is what actions[t] answers, unless --obs-align as-published says otherwise; "
        "an attribute of the file tells which.\n\n"
        "Each demonstration is on disk as soon as its episode ends (PATH.part-RUN); after Ctrl-C, "
        "a crash or a full disk, --resume goes on and ends with the same files.",
    .examples =
        "  vlakit collect --suite libero_spatial --episodes 50 --out demos\n"
        "  vlakit collect --suite libero_goal/3 --episodes 5 --pictures --out bowl.hdf5\n"
        "  vlakit collect --suite libero_10,libero_90 --noise 0.1 --seed 1 --out more\n"
        "  vlakit collect --suite libero130 --out all --pictures --dry-run  # how large, how "
        "long\n",
    .opts = opts,
    .args_size = sizeof(collect_args),
    .args_default = &defaults,
    .common = VK_COMMON(VK_COMMON_CATALOG, VK_COMMON_ISA, VK_COMMON_JSON, VK_COMMON_PACK,
                        VK_COMMON_QUIET, VK_COMMON_SEED_OF_PROTOCOL, VK_COMMON_THREADS),
    .run = run,
};
