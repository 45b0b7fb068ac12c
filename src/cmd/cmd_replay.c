/* cmd_replay.c - vlakit replay FILE...: how far recorded actions lead us from a recording. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/replay_demo.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/signal.h"
#include "core/thread.h"
#include "sim/replay_pictures.h"
#include "sim/visuals_choose.h"

typedef struct replay_args {
  bool each_step, pictures;
  const char *images, *keep, *visuals;
  int64_t n_sample;
} replay_args;

static const replay_args defaults = {.n_sample = 4};
static const vk_opt opts[] = {
    VK_OPT_FLAG(replay_args, "each-step", each_step,
                "also run every step from the recorded state before it"),
    VK_OPT_FLAG(replay_args, "pictures", pictures,
                "also draw what the recordings have pictures of, and compare"),
    VK_OPT_STR(replay_args, "images", images, "DIR",
               "folder of those pictures (default: libero_images beside the recording's folder)"),
    VK_OPT_STR(replay_args, "keep-pictures", keep, "DIR",
               "write theirs, ours and six times the difference side by side into DIR"),
    VK_OPT_I64(replay_args, "samples", n_sample, 1, 4, "1|4", NULL,
               "samples a pixel of our pictures; the benchmark's have 4"),
    VK_OPT_STR(replay_args, "visuals", visuals, "stand-in|original|FILE",
               "what things look like (default: original when imported, else stand-in)"),
    VK_OPT_END,
};

/* A recording holds a few MB; more is no recording. */
static const uint64_t max_file_bytes = 1u << 30;

typedef struct replay_job {
  const vk_pack *pack;
  vk_replay_item *item; /* [n] */
  int n;
  vk_isa isa;
  const replay_args *args;
  const vk_visuals *visuals; /* NULL: no pictures */
  vk_replay *result;
  vk_replay_pictures *pictures;
  vk_status *status;
  vk_err *error;
  vk_progress progress;
} replay_job;

static vk_status replay_file(const replay_job *job, int i, vk_err *err)
{
  vk_npz rec = {0};
  vk_scene *scene = NULL;
  uint32_t i_task;
  VK_TRY(vk_signal_check(err));
  const vk_replay_item *item = &job->item[i];
  vk_status st;
  if (item->status != VK_OK && err)
    *err = item->error;
  VK_TRY(item->status);
  if (item->demo.n_step > 0) {
    st = vk_replay_demo(&job->result[i], item, job->pack, job->isa, job->args->each_step, err);
    return st == VK_OK ? st : vk_err_prefix(err, "%s: demo_%d", item->file, item->demo.number);
  }
  st = vk_npz_read(&rec, job->item[i].file, max_file_bytes, err);
  if (st != VK_OK)
    return st;
  VK_TRY_DONE(vk_replay_task(&rec, job->pack, &i_task, err));
  VK_TRY_DONE(vk_scene_new(&scene, job->pack, i_task, NULL, err));
  VK_TRY_DONE(vk_replay_run(&job->result[i], &rec, scene, job->isa, job->args->each_step, err));
  if (job->visuals)
    st = vk_replay_pictures_run(&job->pictures[i], &rec, scene,
                                &(vk_replay_pictures_config){.visuals = job->visuals,
                                                             .file = item->file,
                                                             .folder = job->args->images,
                                                             .keep_dir = job->args->keep,
                                                             .n_sample = (int)job->args->n_sample,
                                                             .isa = job->isa},
                                err);
done:
  vk_scene_free(scene);
  vk_npz_free(&rec);
  if (st != VK_OK)
    return vk_err_prefix(err, "%s", job->item[i].file);
  return st;
}

static void run_one(void *arg, int i, int i_thread)
{
  replay_job *job = arg;
  job->status[i] = replay_file(job, i, &job->error[i]);
  vk_progress_add(&job->progress, 1);
}

static void add_number(cJSON *object, const char *key, double value)
{
  cJSON_AddItemToObject(object, key,
                        isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull());
}

/* The mean over pictures of a side (0: all of them), and the least; NAN without any. */
static double mean_psnr_db(const vk_replay_pictures *p, int side, double *least)
{
  double sum = 0;
  int n = 0;
  *least = NAN;
  for (int i = 0; i < p->n; i++) {
    double db = p->picture[i].psnr_db;
    if (side && p->picture[i].side != side)
      continue;
    sum += db;
    n++;
    *least = fmin(*least, db);
  }
  return n ? sum / n : NAN;
}

/* The same over all recordings. */
static double mean_of_all(const replay_job *job, int side, double *least)
{
  double sum = 0;
  int n = 0;
  *least = NAN;
  for (int i = 0; i < job->n; i++) {
    double low, mean = mean_psnr_db(&job->pictures[i], side, &low);
    if (job->status[i] != VK_OK || isnan(mean))
      continue;
    int n_of_side = 0;
    for (int k = 0; k < job->pictures[i].n; k++)
      n_of_side += side == 0 || job->pictures[i].picture[k].side == side;
    sum += mean * n_of_side;
    n += n_of_side;
    *least = fmin(*least, low);
  }
  return n ? sum / n : NAN;
}

static void add_pictures(cJSON *o, const vk_replay_pictures *p)
{
  double least;
  cJSON *each = cJSON_AddObjectToObject(o, "psnr_db");
  for (int i = 0; i < p->n; i++)
    add_number(each, p->picture[i].name, p->picture[i].psnr_db);
  add_number(o, "psnr_db_mean", mean_psnr_db(p, 0, &least));
  add_number(o, "psnr_db_min", least);
}

static cJSON *result_json(const replay_job *job, int i)
{
  const vk_replay_item *item = &job->item[i];
  const vk_replay *r = &job->result[i];
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "file", item->file);
  if (item->demo.n_step > 0)
    cJSON_AddNumberToObject(o, "demo", item->demo.number);
  cJSON_AddStringToObject(o, "task", r->task);
  add_number(o, "n_step", r->n_step);
  add_number(o, "reset_max_abs", r->reset_max_abs);
  add_number(o, "max_abs_qpos_10", r->max_abs_qpos_10);
  add_number(o, "max_abs_qpos_50", r->max_abs_qpos_50);
  add_number(o, "max_abs_qpos", r->max_abs_qpos);
  add_number(o, "max_abs_obs_10", r->max_abs_obs_10);
  add_number(o, "max_abs_ctrl_10", r->max_abs_ctrl_10);
  add_number(o, "end_abs_qpos", r->end_abs_qpos);
  add_number(o, "first_step_over_1e6", r->first_step_over_1e6);
  cJSON_AddBoolToObject(o, "success_match", r->n_success_differs == 0);
  add_number(o, "n_success_differs", r->n_success_differs);
  add_number(o, "pred_samples", r->n_pred);
  add_number(o, "pred_mismatch", r->n_pred_differs);
  if (r->has_each_step) {
    add_number(o, "max_abs_each_step", r->max_abs_each_step);
    add_number(o, "share_each_step_1e9", r->share_each_step_1e9);
    cJSON_AddBoolToObject(o, "each_step_success_match", r->n_each_step_success_differs == 0);
  }
  if (job->visuals)
    add_pictures(o, &job->pictures[i]);
  return o;
}

static cJSON *error_json(const char *file, const vk_err *error)
{
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "file", file);
  cJSON_AddStringToObject(o, "error", error->text);
  return o;
}

static const char *base_name(const char *path)
{
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* A difference, "-" where the recording has nothing to compare with. */
static void print_difference(double value)
{
  if (isnan(value))
    printf("%8s ", "-");
  else
    printf("%8.1e ", value);
}

static void print_table(const replay_job *job)
{
  printf("%-24s %5s %8s %8s %8s %8s %8s %s\n", "file", "steps", "reset", "@10", "@50", "max",
         "success", job->args->each_step ? "each<1e-9  predicates" : "predicates");
  for (int i = 0; i < job->n; i++) {
    const vk_replay *r = &job->result[i];
    if (job->status[i] != VK_OK) {
      printf("%-24s error: %s\n", base_name(job->item[i].file), job->error[i].text);
      continue;
    }
    const vk_replay_item *item = &job->item[i];
    char name[100];
    if (item->demo.n_step > 0)
      snprintf(name, sizeof name, "%.16s%s demo_%d", base_name(item->file),
               strlen(base_name(item->file)) > 16 ? "..." : "", item->demo.number);
    else
      snprintf(name, sizeof name, "%s", base_name(item->file));
    printf("%-24s %5d ", name, r->n_step);
    print_difference(r->reset_max_abs);
    print_difference(r->max_abs_qpos_10);
    print_difference(r->max_abs_qpos_50);
    print_difference(r->max_abs_qpos);
    printf("%8s ", r->n_success_differs ? "differs" : "equal");
    if (r->has_each_step && isnan(r->share_each_step_1e9))
      printf("%9s  ", "-");
    else if (r->has_each_step)
      printf("%9.4f  ", r->share_each_step_1e9);
    if (r->n_pred > 0)
      printf("%d/%d\n", r->n_pred - r->n_pred_differs, r->n_pred);
    else
      printf("-\n");
  }
}

static void print_pictures(const replay_job *job)
{
  printf("\n%s visuals, %d sample%s: psnr_db\n%-24s %-19s %-19s\n%-24s", job->visuals->name,
         (int)job->args->n_sample, vk_plural(job->args->n_sample), "", "start", "end", "file");
  for (int i = 0; i < 2; i++)
    printf(" %9s %9s", "agentview", "hand");
  printf("  (at %d px)\n", VK_REPLAY_PICTURES_SIDE_MAX);
  for (int i = 0; i < job->n; i++) {
    const vk_replay_pictures *p = &job->pictures[i];
    if (job->status[i] != VK_OK || p->n == 0)
      continue;
    printf("%-24s", base_name(job->item[i].file));
    for (int k = 0; k < p->n; k++)
      if (p->picture[k].side == VK_REPLAY_PICTURES_SIDE_MAX)
        printf(" %9.2f", p->picture[k].psnr_db);
    printf("\n");
  }
  for (int side = VK_REPLAY_PICTURES_SIDE_MAX; side >= 128; side /= 2) {
    double least, mean = mean_of_all(job, side, &least);
    printf("all pictures of %d px: mean %.2f, least %.2f\n", side, mean, least);
  }
}

static void add_all_pictures(cJSON *top, const replay_job *job)
{
  cJSON_AddStringToObject(top, "visuals", job->visuals->name);
  cJSON_AddStringToObject(top, "visuals_hash", job->visuals->hash);
  add_number(top, "samples", (double)job->args->n_sample);
  for (int side = VK_REPLAY_PICTURES_SIDE_MAX; side >= 128; side /= 2) {
    char key[40];
    double least, mean = mean_of_all(job, side, &least);
    snprintf(key, sizeof key, "psnr_db_mean_%d", side);
    add_number(top, key, mean);
    snprintf(key, sizeof key, "psnr_db_min_%d", side);
    add_number(top, key, least);
  }
}

static vk_status print_results(const replay_job *job, bool as_json, vk_err *err)
{
  if (!as_json) {
    print_table(job);
    if (job->visuals)
      print_pictures(job);
    return VK_OK;
  }
  cJSON *top = cJSON_CreateObject(), *files = cJSON_AddArrayToObject(top, "files");
  for (int i = 0; i < job->n; i++)
    cJSON_AddItemToArray(files, job->status[i] == VK_OK
                                    ? result_json(job, i)
                                    : error_json(job->item[i].file, &job->error[i]));
  if (job->visuals)
    add_all_pictures(top, job);
  vk_status st = vk_json_print(top, err);
  cJSON_Delete(top);
  return st;
}

/* Prints what could be replayed; the first that could not is the command's error. */
static vk_status finish(const replay_job *job, bool as_json, vk_err *err)
{
  int n_bad = 0, i_bad = 0;
  for (int i = job->n - 1; i >= 0; i--)
    if (job->status[i] != VK_OK) {
      n_bad++;
      i_bad = i;
    }
  VK_TRY(vk_signal_check(err));
  if (n_bad < job->n)
    VK_TRY(print_results(job, as_json, err));
  if (n_bad == 0)
    return VK_OK;
  if (job->n == 1)
    return vk_fail(err, job->status[0], "%s", job->error[0].text);
  return vk_fail(err, job->status[i_bad],
                 "%d of %d recordings could not be replayed; the first: %s", n_bad, job->n,
                 job->error[i_bad].text);
}

static vk_status replay_all(replay_job *job, const vk_common_args *common, vk_err *err)
{
  vk_pool *pool = NULL;
  vk_log log;
  VK_TRY(vk_pool_new(&pool, (int)common->n_thread, err));
  vk_log_init(&log, stderr);
  vk_progress_init(&job->progress, common->quiet ? NULL : &log, "replay", "recordings", job->n, 0);
  vk_pool_run(pool, run_one, job, job->n);
  vk_progress_fini(&job->progress);
  vk_log_fini(&log);
  vk_pool_free(pool);
  return finish(job, common->json, err);
}

static vk_status check_args(const replay_args *a, vk_err *err)
{
  if (!a->pictures && (a->images || a->keep || a->visuals))
    return vk_fail(err, VK_E_USAGE, "--images, --keep-pictures and --visuals need --pictures");
  if (a->n_sample != 1 && a->n_sample != 4)
    return vk_fail(err, VK_E_USAGE, "--samples %d: expected 1 or 4", (int)a->n_sample);
  if (a->keep && !vk_fs_is_dir(a->keep))
    return vk_fail(err, VK_E_NOTFOUND, "--keep-pictures %s: there is no such folder", a->keep);
  return VK_OK;
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  const replay_args *args = call->args;
  vk_pack pack = {0};
  vk_visuals visuals = {0};
  VK_TRY(check_args(args, err));
  replay_job job = {
      .pack = &pack, .isa = call->isa, .args = args, .visuals = args->pictures ? &visuals : NULL};
  vk_status st;
  VK_TRY_DONE(vk_pack_open(&pack, call->common->pack, err));
  VK_TRY_DONE(
      vk_replay_items_new(&job.item, &job.n, call->positional, call->n_positional, &pack, err));
  for (int i = 0; i < job.n && args->pictures; i++)
    if (job.item[i].demo.n_step > 0)
      VK_TRY_DONE(vk_fail(err, VK_E_USAGE,
                          "--pictures compares with recordings of the benchmark, and %s holds "
                          "demonstrations: `vlakit demos convert --pictures` draws those",
                          job.item[i].file));
  job.result = calloc((size_t)job.n, sizeof *job.result);
  job.pictures = calloc((size_t)job.n, sizeof *job.pictures);
  job.status = calloc((size_t)job.n, sizeof *job.status);
  job.error = calloc((size_t)job.n, sizeof *job.error);
  if (!job.result || !job.pictures || !job.status || !job.error)
    VK_TRY_DONE(vk_fail(err, VK_E_NOMEM, "no memory for %d recordings", job.n));
  if (job.visuals)
    VK_TRY_DONE(vk_visuals_choose(&visuals, args->visuals, &pack, err));
  st = replay_all(&job, call->common, err);
done:
  vk_replay_items_free(job.item, job.n);
  vk_visuals_close(&visuals);
  vk_pack_close(&pack);
  free(job.pictures);
  free(job.result);
  free(job.status);
  free(job.error);
  return st;
}

const vk_cmd vk_cmd_replay = {
    .name = "replay",
    .summary = "replay recorded actions and compare with the recording",
    .synopsis = "FILE... [--each-step] [--pictures]",
    .description =
        "Plays the actions of recordings of the Python benchmark (.npz) open loop and prints how "
        "far the states are from the recorded ones: after three resets (states, fixture poses and "
        "the generator's next values), after 10, 50 and all steps, whether the success flag of "
        "every step agrees, and how many recorded truth values of predicates do.\n\n"
        "Differences are of joint positions, in m and rad. Contacts amplify rounding: after a "
        "grasp, 1e-3 is what the Python benchmark itself shows when its arm starts 1e-13 away. "
        "With --each-step every step also starts from the recorded state before it.\n\n"
        "With --pictures it also draws what the recording has pictures of: what the benchmark "
        "observed after the tenth step (reached by replay) and after the last one (which starts "
        "from the recorded state before it, as an episode's end is chaotic), from both cameras, "
        "and prints the peak signal-to-noise ratio against the benchmark's own. A picture without "
        "anti-aliasing (--samples 1) is about 31 dB from one with it.\n\n"
        "Files of demonstrations (vlakit collect, LIBERO's .hdf5) are replayed one by one, with "
        "--each-step too: from where their episodes began when they tell it, else from their first "
        "state. `vlakit demos` says more of them.\n\n"
        "A file that cannot be replayed is listed with the reason, the others are replayed, and "
        "the exit code is 1.",
    .examples = "  vlakit replay libero_goal_00.npz\n  vlakit replay --each-step *.npz --json\n"
                "  vlakit replay --pictures golden/libero/*.npz\n",
    .opts = opts,
    .args_size = sizeof(replay_args),
    .args_default = &defaults,
    .n_positional_min = 1,
    .n_positional_max = -1,
    .common = VK_COMMON(VK_COMMON_ISA, VK_COMMON_JSON, VK_COMMON_PACK, VK_COMMON_QUIET,
                        VK_COMMON_THREADS),
    .run = run,
};
