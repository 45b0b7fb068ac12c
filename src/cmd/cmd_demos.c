/* cmd_demos.c - vlakit demos info|check|convert FILE...: files of demonstrations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/signal.h"
#include "core/thread.h"
#include "rl/demo_convert.h"
#include "rl/demo_folder.h"
#include "sim/model_cache.h"
#include "sim/visuals_choose.h"

typedef struct demos_args {
  const char *task, *mask, *format, *align, *visuals, *out;
  int64_t px;
  bool has_pictures, drop_noops, from_state, is_px_given, is_align_given;
} demos_args;

static const char *const format_names[] = {"store", "hdf5", "openvla", NULL};
static const char *const action_names[] = {"info", "check", "convert", NULL};
static const demos_args defaults = {.align = "fixed", .px = VK_DEMO_PX};

#define ARGS demos_args
static const vk_opt opts[] = {
    VK_OPT_STR(ARGS, "task", task, "TASK", "the files' task, where they do not tell it"),
    VK_OPT_STR(ARGS, "mask", mask, "FILTER",
               "convert only what mask/FILTER lists; stores: success, failure"),
    VK_OPT_FLAG(ARGS, "from-state", from_state,
                "check: begin in states[0] with a new controller, as LIBERO's scripts do"),
    VK_OPT_CHOICE(ARGS, "format", format, "store|hdf5|openvla", format_names,
                  "convert to it (default: by the ending of --out, else hdf5)"),
    VK_OPT_FLAG(ARGS, "pictures", has_pictures, "convert with pictures: the file's, or rendered"),
    VK_OPT_I64_GIVEN(ARGS, "size", px, is_px_given, VK_RENDER_SIDE_MIN, VK_RENDER_SIDE_MAX, "N",
                     "pixels", "side of the pictures (openvla: 256)"),
    VK_OPT_STR(ARGS, "visuals", visuals, "stand-in|original|FILE",
               "render anew with them (default: what has no pictures, as vlakit render)"),
    VK_OPT_CHOICE_GIVEN(ARGS, "obs-align", align, is_align_given, "fixed|as-published",
                        vk_obs_align_names,
                        "convert: obs[t] before actions[t], or after it as in LIBERO's own files"),
    VK_OPT_FLAG(ARGS, "drop-noops", drop_noops,
                "convert without steps that move nothing, as OpenVLA's script does"),
    VK_OPT_STR(ARGS, "out", out, "PATH", "convert: the file, or the folder for several"),
    VK_OPT_END,
};
#undef ARGS

/* What a demonstration is and what became of it. */
typedef struct demo_row {
  int number, n_step, n_noop;
  bool is_read, success;
  double noise;
  bool is_replayed;
  vk_demo_replay replay;
  vk_err error;
} demo_row;

typedef struct file_row {
  const char *path;
  vk_demo_info info;
  char task_id[VK_PACK_TASK_ID_SIZE];
  int n, n_read, n_bad, n_state;
  int64_t n_step, n_noop;
  int n_success, n_replay_success, n_exact;
  demo_row *demo;
  vk_err error; /* of the file as a whole */
} file_row;

typedef struct job {
  const demos_args *args;
  const vk_cmd_call *call;
  bool is_check;
  vk_pack pack;
  vk_pool *pool;
  vk_log log;
  vk_progress progress;
} job;

/* ---- reading ---- */

static void note(demo_row *row, const vk_demo *d)
{
  row->is_read = true;
  row->n_step = d->n_step;
  row->success = d->success;
  row->noise = d->noise;
}

/* What OpenVLA's script would leave out. */
static int count_noops(vk_demo_file *file, int i)
{
  vk_demo d;
  if (vk_demo_read(file, i, false, &d, NULL) != VK_OK)
    return 0;
  int n = vk_demo_drop_noops(&d);
  vk_demo_free(&d);
  return n;
}

/* Reads all demonstrations; those that break a rule are listed with it. demo [n] out, zeroed where
 * it could not be read. */
static vk_status read_all(file_row *f, vk_demo_file *file, vk_demo *demo, vk_err *err)
{
  for (int i = 0; i < f->n; i++) {
    demo_row *row = &f->demo[i];
    VK_TRY(vk_signal_check(err));
    row->number = vk_demo_number(file, i);
    vk_status st = vk_demo_read(file, i, false, &demo[i], &row->error);
    if (st == VK_E_NOMEM || st == VK_E_INTERRUPTED) {
      *err = row->error;
      return st;
    }
    if (st != VK_OK) {
      f->n_bad++;
      continue;
    }
    note(row, &demo[i]);
    row->n_noop = count_noops(file, i);
    f->n_read++;
    f->n_step += row->n_step;
    f->n_noop += row->n_noop;
    f->n_success += row->success;
    f->n_state = demo[i].n_state;
  }
  return VK_OK;
}

/* ---- replaying ---- */

typedef struct replays {
  const job *j;
  file_row *f;
  const vk_demo *demo;
  const vk_scene *scene;
  vk_env **env; /* [n_thread] */
} replays;

static vk_status replay_one(replays *r, int i, int i_thread, vk_err *err)
{
  demo_row *row = &r->f->demo[i];
  if (!r->env[i_thread]) {
    VK_TRY(vk_env_new(&r->env[i_thread], r->scene, err));
    vk_env_set_isa(r->env[i_thread], r->j->call->isa);
  }
  VK_TRY(vk_demo_replay_run(&row->replay, &r->demo[i], &r->f->info, r->env[i_thread],
                            r->j->args->from_state, err));
  row->is_replayed = true;
  if (row->success && !row->replay.success)
    return vk_fail(err, VK_E_MISMATCH,
                   "%s: demo_%d does not replay to success from its %s; qpos ends %.2g off",
                   r->f->path, row->number,
                   row->replay.from_origin ? "beginning" : "recorded state",
                   row->replay.end_abs_qpos);
  return VK_OK;
}

static void run_replay(void *arg, int i, int i_thread)
{
  replays *r = arg;
  demo_row *row = &r->f->demo[i];
  if (row->is_read && !vk_interrupted() && replay_one(r, i, i_thread, &row->error) != VK_OK &&
      !strstr(row->error.text, r->f->path))
    vk_err_prefix(&row->error, "%s: demo_%d", r->f->path, row->number);
  vk_progress_add((vk_progress *)&r->j->progress, 1);
}

static vk_status replay_all(job *j, file_row *f, const vk_demo *demo, uint32_t i_task, vk_err *err)
{
  char cache[VK_FS_PATH_MAX];
  vk_scene *scene;
  VK_TRY(vk_scene_new(&scene, &j->pack, i_task, vk_model_cache_dir(cache), err));
  int n_thread = vk_pool_n_thread(j->pool);
  replays r = {.j = j, .f = f, .demo = demo, .scene = scene};
  r.env = calloc((size_t)n_thread, sizeof *r.env);
  vk_status st = r.env ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for environments");
  if (st == VK_OK) {
    vk_pool_run(j->pool, run_replay, &r, f->n);
    for (int i = 0; i < n_thread; i++)
      vk_env_free(r.env[i]);
    st = vk_signal_check(err);
  }
  free(r.env);
  vk_scene_free(scene);
  for (int i = 0; i < f->n; i++) {
    demo_row *row = &f->demo[i];
    f->n_bad += row->is_read && row->error.text[0];
    f->n_replay_success += row->is_replayed && row->replay.success;
    f->n_exact += row->is_replayed && row->replay.n_differ == 0;
  }
  return st;
}

static vk_status look_at(job *j, file_row *f, vk_demo_file *file, vk_err *err)
{
  uint32_t i_task = 0;
  f->info = *vk_demo_info_get(file);
  f->n = vk_demo_count(file);
  f->demo = calloc((size_t)f->n + 1, sizeof *f->demo);
  vk_demo *demo = calloc((size_t)f->n + 1, sizeof *demo);
  vk_status st = VK_OK;
  if (!f->demo || !demo) {
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for %d demonstrations", f->path, f->n);
    f->n = 0;
    goto done;
  }
  VK_TRY_DONE(read_all(f, file, demo, err));
  vk_status found = vk_demo_task_of_file(file, f->path, j->args->task, &j->pack, &i_task,
                                         j->is_check || j->args->task ? err : NULL);
  if (found == VK_OK)
    vk_pack_task_id(&j->pack, &j->pack.task[i_task], f->task_id);
  if (j->is_check || j->args->task)
    VK_TRY_DONE(found);
  if (j->is_check)
    st = replay_all(j, f, demo, i_task, err);
done:
  for (int i = 0; demo && i < f->n; i++)
    vk_demo_free(&demo[i]);
  free(demo);
  return st;
}

/* What a file cannot do is listed with it; anything else ends the command. */
static vk_status look_at_file(job *j, file_row *f, vk_err *err)
{
  vk_demo_file *file;
  vk_status st = vk_demo_open(&file, f->path, &f->error);
  if (st == VK_OK) {
    st = look_at(j, f, file, &f->error);
    vk_demo_close(file);
  }
  if (st != VK_E_INTERRUPTED && st != VK_E_NOMEM && st != VK_E_USAGE)
    return VK_OK;
  *err = f->error;
  return st;
}

/* ---- results ---- */

static cJSON *demo_json(const demo_row *row, bool is_check)
{
  cJSON *o = cJSON_CreateObject();
  cJSON_AddNumberToObject(o, "demo", row->number);
  if (row->is_read) {
    cJSON_AddNumberToObject(o, "n_step", row->n_step);
    cJSON_AddBoolToObject(o, "success", row->success);
    cJSON_AddNumberToObject(o, "noise", row->noise);
    cJSON_AddNumberToObject(o, "n_noop", row->n_noop);
  }
  if (is_check && row->is_replayed) {
    cJSON_AddStringToObject(o, "from", row->replay.from_origin ? "origin" : "state");
    cJSON_AddBoolToObject(o, "replay_success", row->replay.success);
    cJSON_AddNumberToObject(o, "n_differ", row->replay.n_differ);
    cJSON_AddNumberToObject(o, "max_abs_qpos", row->replay.max_abs_qpos);
  }
  if (row->error.text[0])
    cJSON_AddStringToObject(o, "error", row->error.text);
  return o;
}

static cJSON *file_json(const file_row *f, bool is_check)
{
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "file", f->path);
  cJSON_AddStringToObject(o, "format", f->n ? vk_demo_layout_name(f->info.layout) : "");
  cJSON_AddNumberToObject(o, "n_demo", f->n);
  cJSON_AddNumberToObject(o, "n_step", (double)f->n_step);
  cJSON_AddBoolToObject(o, "ok", !f->error.text[0] && f->n_bad == 0);
  cJSON *errors = cJSON_AddArrayToObject(o, "errors");
  if (f->error.text[0])
    cJSON_AddItemToArray(errors, cJSON_CreateString(f->error.text));
  for (int i = 0; i < f->n; i++)
    if (f->demo[i].error.text[0])
      cJSON_AddItemToArray(errors, cJSON_CreateString(f->demo[i].error.text));
  if (f->n == 0)
    return o;
  cJSON_AddStringToObject(o, "task", f->task_id);
  cJSON_AddStringToObject(o, "language", f->info.language);
  cJSON_AddNumberToObject(o, "n_success", f->n_success);
  cJSON_AddNumberToObject(o, "n_noop", (double)f->n_noop);
  cJSON_AddNumberToObject(o, "n_state", f->n_state);
  cJSON_AddNumberToObject(o, "picture_px", f->info.px);
  cJSON_AddStringToObject(o, "obs_align", vk_obs_align_names[f->info.align]);
  cJSON_AddBoolToObject(o, "obs_align_stated", f->info.is_align_stated);
  cJSON_AddStringToObject(o, "visuals", f->info.visuals);
  cJSON_AddStringToObject(o, "visuals_hash", f->info.visuals_hash);
  cJSON_AddStringToObject(o, "pack_hash", f->info.pack_hash);
  cJSON_AddStringToObject(o, "mujoco", f->info.mujoco);
  if (is_check) {
    cJSON_AddNumberToObject(o, "n_replay_success", f->n_replay_success);
    cJSON_AddNumberToObject(o, "n_exact", f->n_exact);
  }
  cJSON *demos = cJSON_AddArrayToObject(o, "demos");
  for (int i = 0; i < f->n; i++)
    cJSON_AddItemToArray(demos, demo_json(&f->demo[i], is_check));
  return o;
}

static void print_pictures(const vk_demo_info *info)
{
  if (info->px > 0)
    printf("  pictures of %d px%s%s, ", info->px, info->visuals[0] ? ", visuals " : "",
           info->visuals);
  else
    printf("  no pictures, ");
  printf("obs[t] %s actions[t]%s\n", info->align == VK_OBS_FIXED ? "before" : "after",
         info->is_align_stated ? "" : " (as the layout has it)");
}

static void print_file(const file_row *f, bool is_check, bool with_errors)
{
  printf("%s\n", f->path);
  if (f->n > 0) {
    printf("  %s, task %s: %s\n", vk_demo_layout_name(f->info.layout),
           f->task_id[0] ? f->task_id : "not known",
           f->info.language[0] ? f->info.language : "no instruction");
    printf("  %d demonstration%s, %d success%s, %lld step%s (%lld without motion), states of %d\n",
           f->n, vk_plural(f->n), f->n_success, f->n_success == 1 ? "" : "es", (long long)f->n_step,
           vk_plural(f->n_step), (long long)f->n_noop, f->n_state);
    if (f->info.layout == VK_DEMO_STORE)
      printf("  no pictures, all observations\n");
    else
      print_pictures(&f->info);
  }
  if (is_check && f->n > 0 && !f->error.text[0])
    printf("  replayed: %d of %d reach%s the goal, %d with the recorded states bit for bit\n",
           f->n_replay_success, f->n, f->n == 1 ? "es" : "", f->n_exact);
  if (!with_errors)
    return;
  if (f->error.text[0])
    printf("  error: %s\n", f->error.text);
  for (int i = 0; i < f->n; i++)
    if (f->demo[i].error.text[0])
      printf("  error: %s\n", f->demo[i].error.text);
}

/* What is wrong with a file: of itself, then with its demonstrations; counts them. */
static const vk_err *first_fault(const file_row *f, int *n)
{
  const vk_err *first = f->error.text[0] ? &f->error : NULL;
  *n = first != NULL;
  for (int i = 0; i < f->n; i++) {
    const vk_err *error = &f->demo[i].error;
    *n += error->text[0] != '\0';
    first = !first && error->text[0] ? error : first;
  }
  return first;
}

static vk_status print_files(const job *j, const file_row *f, int n, vk_err *err)
{
  int n_bad = 0, n_fault = 0;
  const vk_err *first = NULL;
  for (int i = 0; i < n; i++) {
    int n_of_file;
    const vk_err *fault = first_fault(&f[i], &n_of_file);
    n_bad += fault != NULL;
    n_fault += n_of_file;
    first = first ? first : fault;
  }
  if (j->call->common->json) {
    cJSON *o = cJSON_CreateObject(), *files = cJSON_AddArrayToObject(o, "files");
    for (int i = 0; i < n; i++)
      cJSON_AddItemToArray(files, file_json(&f[i], j->is_check));
    vk_status st = vk_json_print(o, err);
    cJSON_Delete(o);
    VK_TRY(st);
  } else {
    /* The only fault of the only file is the command's error, which is printed by itself. */
    for (int i = 0; i < n; i++)
      if (n > 1 || n_fault != 1 || f[i].n > 0)
        print_file(&f[i], j->is_check, n > 1 || n_fault > 1);
  }
  if (!first)
    return VK_OK;
  if (n > 1)
    return vk_fail(err, first->code, "%d of %d files %s faults; the first: %s", n_bad, n,
                   n_bad == 1 ? "has" : "have", first->text);
  return n_fault > 1 ? vk_fail(err, first->code, "%d faults; the first: %s", n_fault, first->text)
                     : vk_fail(err, first->code, "%s", first->text);
}

static vk_status look(job *j, const char *const *path, int n, vk_err *err)
{
  file_row *f = calloc((size_t)n, sizeof *f);
  if (!f)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d files", n);
  vk_status st = VK_OK;
  vk_progress_init(&j->progress, j->call->common->quiet ? NULL : &j->log, "demos", "demonstrations",
                   0, 0);
  for (int i = 0; i < n && st == VK_OK; i++) {
    f[i].path = path[i];
    st = look_at_file(j, &f[i], err);
  }
  vk_progress_fini(&j->progress);
  if (st == VK_OK)
    st = print_files(j, f, n, err);
  for (int i = 0; i < n; i++)
    free(f[i].demo);
  free(f);
  return st;
}

/* ---- converting ---- */

static bool ends_in(const char *text, const char *end)
{
  size_t n = strlen(text), n_end = strlen(end);
  return n > n_end && strcmp(text + n - n_end, end) == 0;
}

static bool is_file_path(const char *path)
{
  return ends_in(path, ".npz") || ends_in(path, ".hdf5") || ends_in(path, ".h5");
}

/* Whether a word would name a file, of a kind that is none of ours: x.txt, but no folder a.b/ or
 * one that is there. */
static bool is_other_file(const char *path)
{
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
  const char *dot = strrchr(base, '.');
  return dot && dot > base && dot[1] && !is_file_path(path) && !vk_fs_is_dir(path);
}

/* An option that would change nothing is refused. */
static vk_status check_options(const demos_args *a, const char *action, vk_err *err)
{
  bool is_convert = strcmp(action, "convert") == 0;
  const struct {
    const char *name;
    bool is_given;
  } of_convert[] = {{"mask", a->mask},
                    {"format", a->format},
                    {"pictures", a->has_pictures},
                    {"size", a->is_px_given},
                    {"visuals", a->visuals},
                    {"obs-align", a->is_align_given},
                    {"drop-noops", a->drop_noops},
                    {"out", a->out}};
  for (size_t i = 0; i < VK_COUNT(of_convert); i++)
    if (of_convert[i].is_given && !is_convert)
      return vk_fail(err, VK_E_USAGE, "--%s is for vlakit demos convert, not for %s",
                     of_convert[i].name, action);
  if (a->from_state && strcmp(action, "check") != 0)
    return vk_fail(err, VK_E_USAGE, "--from-state is for vlakit demos check, not for %s", action);
  if (!a->has_pictures && (a->is_px_given || a->visuals))
    return vk_fail(err, VK_E_USAGE, "--%s is for --pictures", a->is_px_given ? "size" : "visuals");
  return VK_OK;
}

static vk_status choose_layout(const demos_args *a, int n, vk_demo_convert_config *c, vk_err *err)
{
  const char *format = a->format ? a->format : ends_in(a->out, ".npz") ? "store" : "hdf5";
  if (is_other_file(a->out))
    return vk_fail(err, VK_E_USAGE,
                   "--out %s: files of demonstrations end in .npz or .hdf5; take one of these, or "
                   "%s/ for a folder of that name",
                   a->out, a->out);
  if (is_file_path(a->out) && n > 1)
    return vk_fail(
        err, VK_E_USAGE,
        "--out %s is the name of a file, and of %d files each becomes one: name a folder", a->out,
        n);
  if (is_file_path(a->out) && ends_in(a->out, ".npz") != (strcmp(format, "store") == 0))
    return vk_fail(err, VK_E_USAGE,
                   "--out %s does not fit --format %s: stores end in .npz, the others in .hdf5",
                   a->out, format);
  c->layout = strcmp(format, "store") == 0  ? VK_DEMO_STORE
              : strcmp(format, "hdf5") == 0 ? VK_DEMO_PUBLISHED
                                            : VK_DEMO_REGENERATED;
  c->align = strcmp(a->align, "fixed") == 0 ? VK_OBS_FIXED : VK_OBS_AS_PUBLISHED;
  if (c->layout != VK_DEMO_PUBLISHED && c->align != VK_OBS_FIXED)
    return vk_fail(err, VK_E_USAGE, "--obs-align as-published is for --format hdf5");
  if (c->layout == VK_DEMO_STORE && a->has_pictures)
    return vk_fail(err, VK_E_USAGE, "--pictures: a store holds none; take --format hdf5");
  c->px = !a->has_pictures                                     ? 0
          : a->is_px_given || c->layout != VK_DEMO_REGENERATED ? (int)a->px
                                                               : 256;
  return VK_OK;
}

/* OUT, or OUT/NAME with the ending of the format. */
static vk_status out_path(const job *j, const char *from, const vk_demo_convert_config *c, int n,
                          char out[VK_FS_PATH_MAX], vk_err *err)
{
  const char *to = j->args->out;
  if (n == 1 && is_file_path(to)) {
    snprintf(out, VK_FS_PATH_MAX, "%s", to);
  } else {
    const char *slash = strrchr(from, '/'), *base = slash ? slash + 1 : from;
    const char *dot = strrchr(base, '.');
    char name[512];
    snprintf(name, sizeof name, "%.*s.%s", dot ? (int)(dot - base) : (int)strlen(base), base,
             c->layout == VK_DEMO_STORE ? "npz" : "hdf5");
    VK_TRY(vk_fs_make_dirs(to, err));
    VK_TRY(vk_fs_join(out, VK_FS_PATH_MAX, to, name, err));
  }
  if (access(out, F_OK) == 0)
    return vk_fail(err, VK_E_USAGE, "--out: %s is there already; take another path, or remove it",
                   out);
  vk_fs_remove_leftovers_of(out);
  return VK_OK;
}

/* Where each file goes, before the first is converted. */
static vk_status out_paths(const job *j, const char *const *path, int n,
                           const vk_demo_convert_config *c, char (*out)[VK_FS_PATH_MAX],
                           vk_err *err)
{
  for (int i = 0; i < n; i++) {
    VK_TRY(out_path(j, path[i], c, n, out[i], err));
    for (int k = 0; k < i; k++)
      if (strcmp(out[i], out[k]) == 0)
        return vk_fail(err, VK_E_USAGE, "--out: %s and %s would both become %s", path[k], path[i],
                       out[i]);
  }
  return VK_OK;
}

static void count_one(void *arg)
{
  vk_progress_add(arg, 1);
}

static void print_converted(const job *j, cJSON *files, const char *from, const char *to,
                            const vk_demo_convert_stats *s)
{
  if (!j->call->common->json) {
    printf("%s -> %s: %d demonstration%s, %lld step%s, %.2f MB", from, to, s->n_demo,
           vk_plural(s->n_demo), (long long)s->n_step, vk_plural(s->n_step),
           (double)s->n_byte / 1e6);
    if (j->args->drop_noops)
      printf(", %lld step%s without motion left out", (long long)s->n_noop, vk_plural(s->n_noop));
    printf("\n");
    return;
  }
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "file", from);
  cJSON_AddStringToObject(o, "out", to);
  cJSON_AddNumberToObject(o, "n_demo", s->n_demo);
  cJSON_AddNumberToObject(o, "n_step", (double)s->n_step);
  cJSON_AddNumberToObject(o, "n_noop", (double)s->n_noop);
  cJSON_AddNumberToObject(o, "n_rendered", s->n_rendered);
  cJSON_AddNumberToObject(o, "n_repeated", s->n_repeated);
  cJSON_AddNumberToObject(o, "bytes", (double)s->n_byte);
  cJSON_AddItemToArray(files, o);
}

static vk_status convert_files(job *j, vk_demo_convert_config *c, const char *const *path, int n,
                               cJSON *files, vk_err *err)
{
  char(*to)[VK_FS_PATH_MAX] = calloc((size_t)n, sizeof *to);
  if (!to)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d files", n);
  vk_status st = out_paths(j, path, n, c, to, err);
  for (int i = 0; i < n && st == VK_OK; i++) {
    vk_demo_convert_stats stats;
    st = vk_demo_convert(c, path[i], to[i], &stats, err);
    if (st == VK_OK)
      print_converted(j, files, path[i], to[i], &stats);
    else if (!strstr(err->text, path[i]))
      vk_err_prefix(err, "%s", path[i]);
  }
  free(to);
  return st;
}

static vk_status convert(job *j, const char *const *path, int n, vk_err *err)
{
  const demos_args *a = j->args;
  char cache[VK_FS_PATH_MAX];
  vk_visuals visuals = {0};
  vk_demo_convert_config c = {.pack = &j->pack,
                              .cache_dir = vk_model_cache_dir(cache),
                              .pool = j->pool,
                              .isa = j->call->isa,
                              .drop_noops = a->drop_noops,
                              .mask = a->mask,
                              .task = a->task,
                              .progress = count_one,
                              .arg = &j->progress};
  if (!a->out)
    return vk_fail(err, VK_E_USAGE, "convert needs --out, a file or for several a folder");
  VK_TRY(choose_layout(a, n, &c, err));
  VK_TRY(vk_demo_can_write(c.layout, err));
  if (c.px > 0) {
    c.is_default_visuals = !a->visuals;
    VK_TRY(vk_visuals_choose(&visuals, a->visuals, &j->pack, err));
    c.visuals = &visuals;
  }
  cJSON *top = cJSON_CreateObject(), *files = cJSON_AddArrayToObject(top, "files");
  vk_progress_init(&j->progress, j->call->common->quiet ? NULL : &j->log, "convert",
                   "demonstrations", 0, 0);
  vk_status st = convert_files(j, &c, path, n, files, err);
  vk_progress_fini(&j->progress);
  if (st == VK_OK && j->call->common->json)
    st = vk_json_print(top, err);
  cJSON_Delete(top);
  vk_visuals_close(&visuals);
  return st;
}

/* The files that the words mean: of a folder all that are in it. */
typedef struct paths {
  int n, n_room;
  char **item;
} paths;

static void free_paths(paths *p)
{
  for (int i = 0; i < p->n; i++)
    free(p->item[i]);
  free(p->item);
}

static vk_status add_path(void *arg, const char *path, vk_err *err)
{
  paths *p = arg;
  if (p->n == p->n_room) {
    int n_room = 2 * p->n_room + 16;
    char **item = realloc(p->item, (size_t)n_room * sizeof *item);
    if (!item)
      return vk_fail(err, VK_E_NOMEM, "no memory for %d names of files", n_room);
    p->item = item;
    p->n_room = n_room;
  }
  if (!(p->item[p->n] = strdup(path)))
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for its name", path);
  p->n++;
  return VK_OK;
}

static vk_status list_paths(paths *p, const char *const *word, int n, vk_err *err)
{
  for (int i = 0; i < n; i++) {
    int n_before = p->n;
    if (vk_fs_is_dir(word[i]))
      VK_TRY(vk_demo_folder_each(word[i], add_path, p, err));
    else
      VK_TRY(add_path(p, word[i], err));
    if (p->n == n_before)
      return vk_fail(err, VK_E_USAGE,
                     "%s is a folder, and no .npz or .hdf5 is in it or one below it", word[i]);
  }
  return VK_OK;
}

/* The action was left out where a file stands in its place. */
static vk_status fail_action(const char *word, vk_err *err)
{
  bool is_dir = vk_fs_is_dir(word);
  if (is_file_path(word) || vk_fs_is_file(word) || is_dir)
    return vk_fail(err, VK_E_USAGE,
                   "'%.200s' is no action but a %s; what is in it: vlakit demos info %.200s", word,
                   is_dir ? "folder" : "file", word);
  return vk_opt_fail_name(err, "action", word, action_names);
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  const char *action = call->positional[0];
  int i_action = 0;
  while (action_names[i_action] && strcmp(action, action_names[i_action]) != 0)
    i_action++;
  if (!action_names[i_action])
    return fail_action(action, err);
  if (call->n_positional < 2)
    return vk_fail(err, VK_E_USAGE, "%s needs a FILE of demonstrations, or a folder of them",
                   action);
  VK_TRY(check_options(call->args, action, err));
  job j = {.args = call->args, .call = call, .is_check = strcmp(action, "check") == 0};
  paths p = {0};
  vk_log_init(&j.log, stderr);
  vk_status st = list_paths(&p, call->positional + 1, call->n_positional - 1, err);
  if (st == VK_OK)
    st = vk_pack_open(&j.pack, call->common->pack, err);
  if (st == VK_OK)
    st = vk_pool_new(&j.pool, (int)call->common->n_thread, err);
  if (st == VK_OK)
    st = strcmp(action, "convert") == 0 ? convert(&j, (const char *const *)p.item, p.n, err)
                                        : look(&j, (const char *const *)p.item, p.n, err);
  free_paths(&p);
  vk_pool_free(j.pool);
  vk_log_fini(&j.log);
  vk_pack_close(&j.pack);
  return st;
}

const vk_cmd vk_cmd_demos = {
    .name = "demos",
    .summary = "tell what files of demonstrations hold, check and convert them",
    .synopsis = "info|check|convert PATH... [options]",
    .description =
        "Reads files, and all files in folders: stores (.npz) and LIBERO's HDF5: files of vlakit "
        "collect, those that LIBERO "
        "publishes or its script writes, and OpenVLA's regenerated ones. Each is held against the "
        "rules of its format; what breaks one is listed with the demonstration and the rule.\n\n"
        "  info     what is in them\n"
        "  check    also: does every success replay to success, open loop with the executed\n"
        "           actions? From the beginning of its episode where the file tells it (our own\n"
        "           do; all states must then come out), else from states[0] as LIBERO does\n"
        "  convert  writes them in another format, with pictures or without, numbered anew\n\n"
        "In LIBERO's files obs[t] is what actions[t] led to, one step late. Converting with "
        "--obs-align fixed (the default) pairs each action with the observation before it, which "
        "costs the first step of each demonstration where nothing was observed before it. What "
        "pictures show is simulated anew where the file tells how its episodes began; otherwise "
        "pictures are of the recorded states. OpenVLA's script simulates what is left when it "
        "drops steps without motion, --drop-noops leaves the others as they were recorded.\n\n"
        "Pictures in HDF5 have their bottom row first (macros_image_convention opengl), as in "
        "LIBERO's files; pixels[::-1] is upright.\n\n"
        "A store is a NumPy archive: numpy.load(FILE)[\"demo_0/actions\"]. With T steps it has\n"
        "  meta                  JSON of the task and of each demonstration\n"
        "  demo_N/actions        T x 7, what a policy should answer\n"
        "  demo_N/executed       T x 7, what was executed, where noise was added\n"
        "  demo_N/states         T + 1 x S, [time, qpos, qvel] before each step and at the end\n"
        "  demo_N/proprio        T + 1 x 16, as observed: eef position 3 (m), its quaternion xyzw\n"
        "                        4, fingers 2 (m), joints 7 (rad)\n"
        "  demo_N/picture_state  T + 1 x P, what pictures of those observations show: qpos,\n"
        "                        pose of each fixture 7, whether the stove burns 1\n"
        "  demo_N/rewards        T, 1 at the step that succeeded\n"
        "Row t of what was observed is what the policy sees when it answers action t.",
    .examples =
        "  vlakit demos info demos/*/*.npz\n"
        "  vlakit demos check bowl_demo.hdf5\n"
        "  vlakit demos convert demos/libero_goal/*.npz --pictures --out hdf5\n"
        "  vlakit demos convert published_demo.hdf5 --drop-noops --pictures --out fixed.hdf5\n",
    .opts = opts,
    .args_size = sizeof(demos_args),
    .args_default = &defaults,
    .n_positional_min = 1,
    .n_positional_max = -1,
    .common = VK_COMMON(VK_COMMON_ISA, VK_COMMON_JSON, VK_COMMON_PACK, VK_COMMON_QUIET,
                        VK_COMMON_THREADS),
    .run = run,
};
