/* cmd_train.c - vlakit train: fit or improve a policy. */
#include <math.h>
#include <mujoco/mujoco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/doc.h"
#include "cmd/record.h"
#include "core/stats.h"
#include "core/sys.h"
#include "rl/policy_bundled.h"
#include "rl/train_init.h"
#include "rl/trainer.h"
#include "sim/model_cache.h"
#include "sim/visuals_choose.h"

extern const vk_cmd vk_cmd_train;

typedef struct train_args {
  const char *config, *method, *out, *resume;
  vk_opt_list set, data;
} train_args;

static const train_args defaults = {0};

#define ARGS train_args
static const vk_opt opts[] = {
    VK_OPT_STR(ARGS, "config", config, "CONFIG",
               "a JSON file of keys, or the name of one that comes along; list: show those"),
    VK_OPT_LIST(ARGS, "data", data, "PATH", "files and folders of demonstrations"),
    VK_OPT_CHOICE(ARGS, "method", method, "METHOD", vk_train_methods,
                  "how the policy is made, whatever the configuration says"),
    VK_OPT_STR(ARGS, "out", out, "DIR", "folder for checkpoints and curves"),
    VK_OPT_STR(ARGS, "resume", resume, "RUN", "go on with a run that did not end"),
    VK_OPT_LIST(ARGS, "set", set, "KEY=VALUE",
                "set keys of the configuration, the last value of a key counts; list: show all"),
    VK_OPT_END,
};
#undef ARGS

typedef struct job {
  const vk_cmd_call *call;
  vk_train_config config;
  char out[VK_FS_PATH_MAX]; /* absolute */
  int out_fd;               /* keeps other processes out of it; -1: not yet */
  int n_thread;
  vk_pack pack;
  vk_visuals visuals;
  vk_record record;
  vk_log log;
  vk_progress progress;
  vk_trainer trainer;
} job;

/* ---- lists --------------------------------------------------------------------------------- */

static vk_status list_configs(bool as_json, vk_err *err)
{
  const char **names = vk_train_config_names();
  if (!names)
    return vk_fail(err, VK_E_NOMEM, "no memory for the names of configurations");
  cJSON *top = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(top, "configs");
  vk_status st = VK_OK;
  for (int i = 0; names[i] && st == VK_OK; i++) {
    vk_train_config c = {0};
    st = vk_train_config_init(&c, err);
    if (st == VK_OK)
      st = vk_train_config_read(&c, names[i], err);
    const char *about = c.about ? c.about : "";
    if (st == VK_OK && !as_json)
      printf("%-14s %s\n", names[i], about);
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", names[i]);
    cJSON_AddStringToObject(o, "about", about);
    cJSON_AddItemToArray(list, o);
    vk_train_config_fini(&c);
  }
  if (st == VK_OK && as_json)
    st = vk_json_print(top, err);
  cJSON_Delete(top);
  free(names);
  return st;
}

static int keys(vk_doc_group *out)
{
  int n = 0;
  for (const vk_train_section *s = vk_train_sections; s->title; s++) {
    VK_ASSERT(n < VK_DOC_KEY_GROUPS_MAX);
    out[n++] = (vk_doc_group){s->title, s->keys, &vk_train_config_default, vk_train_config_only};
  }
  return n;
}

static vk_status list_keys(bool as_json, vk_err *err)
{
  if (!as_json)
    return vk_doc_keys(stdout, &vk_cmd_train), VK_OK;
  cJSON *top = cJSON_CreateObject();
  cJSON_AddItemToObject(top, "keys", vk_doc_keys_json(&vk_cmd_train));
  vk_status st = vk_json_print(top, err);
  cJSON_Delete(top);
  return st;
}

/* ---- the plan ------------------------------------------------------------------------------ */

/* A key whose value may be a path. What a record holds is one already, where it was. */
static vk_status make_key_absolute(vk_train_config *c, const char *key, const char *value,
                                   vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  if (!vk_train_config_is_said(c, key) || (!vk_fs_is_file(value) && !vk_fs_is_dir(value)))
    return VK_OK;
  VK_TRY(vk_fs_absolute(path, value, err));
  return vk_train_config_reword(c, key, path, err);
}

/* "init" as the very folder that it means now: `last` of another run moves. */
static vk_status make_init_absolute(vk_train_config *c, vk_err *err)
{
  char dir[VK_FS_PATH_MAX];
  if (!vk_train_config_is_said(c, "init") || vk_bundled_is_name(c->init))
    return VK_OK;
  if (!vk_fs_is_dir(c->init) || vk_model_find_folder(dir, c->init, NULL) != VK_OK)
    return make_key_absolute(c, "init", c->init, err); /* opening it says what is wrong */
  char *real = realpath(dir, NULL);
  if (!real)
    return vk_fs_fail(err, dir, "find");
  vk_status st = make_key_absolute(c, "init", real, err);
  free(real);
  return st;
}

/* A run may be resumed from another folder. A name means the same in all of them. */
static vk_status make_paths_absolute(vk_train_config *c, vk_err *err)
{
  vk_opt_list list = {.n = vk_train_config_is_said(c, "data") ? c->data.n : 0};
  char(*path)[VK_FS_PATH_MAX] = calloc((size_t)list.n + 1, sizeof *path);
  vk_status st = path ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for %d paths", list.n);
  for (int i = 0; i < list.n && st == VK_OK; i++) {
    st = vk_fs_absolute(path[i], c->data.item[i], err);
    list.item[i] = path[i];
  }
  if (st == VK_OK && list.n)
    st = vk_train_config_set_data(c, &list, err);
  free(path);
  VK_TRY(st);
  VK_TRY(make_init_absolute(c, err));
  if (!vk_model_is_name(c->model))
    VK_TRY(make_key_absolute(c, "model", c->model, err));
  if (c->visuals && vk_visuals_is_name(c->visuals))
    return VK_OK;
  return make_key_absolute(c, "visuals", c->visuals, err);
}

static bool names_key(const char *assignment, const char *key)
{
  size_t n = strlen(key);
  return strncmp(assignment, key, n) == 0 && assignment[n] == '=';
}

/* An option and a key that mean the same: one would be dropped without a word. Of two values for a
 * key the later counts, so that scripts may set on top of what they have. */
static vk_status check_once(const job *j, vk_err *err)
{
  const train_args *a = j->call->args;
  const struct {
    const char *key;
    bool is_given;
  } option[] = {{"seed", j->call->common->seed_given},
                {"method", a->method},
                {"data", a->data.n > 0},
                {"out", a->out}};
  for (int i = 0; i < a->set.n; i++) {
    const char *item = a->set.item[i];
    for (size_t k = 0; k < VK_COUNT(option); k++)
      if (option[k].is_given && names_key(item, option[k].key))
        return vk_fail(err, VK_E_USAGE, "--%s and --set %.80s both set %s; give one of them",
                       option[k].key, item, option[k].key);
  }
  return VK_OK;
}

/* What is typed, on top of what c holds. */
static vk_status apply_options(const job *j, vk_train_config *c, vk_err *err)
{
  const train_args *a = j->call->args;
  const vk_common_args *common = j->call->common;
  char text[64];
  VK_TRY(check_once(j, err));
  if (a->config)
    VK_TRY(vk_train_config_read(c, a->config, err));
  if (common->seed_given) {
    snprintf(text, sizeof text, "seed=%lld", (long long)common->seed);
    VK_TRY(vk_train_config_set(c, text, err));
  }
  if (a->method) {
    snprintf(text, sizeof text, "method=%s", a->method);
    VK_TRY(vk_train_config_set(c, text, err));
  }
  if (a->data.n)
    VK_TRY(vk_train_config_set_data(c, &a->data, err));
  for (int i = 0; i < a->set.n; i++)
    VK_TRY(vk_train_config_set(c, a->set.item[i], err));
  VK_TRY(make_paths_absolute(c, err));
  return vk_train_config_check(c, err);
}

static vk_status plan_from_options(job *j, vk_err *err)
{
  const train_args *a = j->call->args;
  VK_TRY(apply_options(j, &j->config, err));
  vk_status st = vk_train_follow_init(&j->config, err);
  if (j->config.init)
    VK_TRY(vk_record_explain_policy(j->call, j->config.init, st, err));
  VK_TRY(st);
  const char *out = a->out ? a->out : j->config.out;
  bool needs_data = strcmp(j->config.method, "sft") == 0;
  if ((needs_data && j->config.data.n == 0) || !out)
    return vk_fail(err, VK_E_USAGE,
                   "--data and --out are needed, or --resume; for example vlakit train --config "
                   "sft-n2 --data demos --out trained");
  VK_TRY(vk_fs_absolute(j->out, out, err));
  char dir[VK_FS_PATH_MAX + 16];
  snprintf(dir, sizeof dir, "%s/checkpoints", j->out);
  if (vk_fs_is_dir(dir))
    return vk_fail(err, VK_E_USAGE,
                   "--out: %s has checkpoints already; take another folder, or go on with --resume "
                   "RUN (vlakit runs lists them)",
                   j->out);
  return VK_OK;
}

/* With --resume the record says what to train; what is typed as well must agree with it.
 *   text  the keys of the run, as JSON */
static vk_status plan_as_began(job *j, const char *text, const char *what, vk_err *err)
{
  const train_args *a = j->call->args;
  vk_train_config began;
  VK_TRY(vk_train_config_init(&began, err));
  vk_status st = vk_train_config_recall(&began, text, strlen(text), what, err);
  if (st == VK_OK && !a->config)
    st = vk_train_config_recall(&j->config, text, strlen(text), what, err);
  if (st == VK_OK)
    st = apply_options(j, &j->config, err);
  if (st == VK_OK && j->config.init)
    st = vk_train_follow_begun(&j->config, &began, err);
  if (st == VK_OK)
    st = vk_train_config_same(&began, &j->config, what, err);
  vk_train_config_fini(&began);
  return st;
}

static vk_status plan_from_record(job *j, vk_err *err)
{
  const train_args *a = j->call->args;
  const vk_report *run = &j->record.earlier;
  const cJSON *head = cJSON_GetObjectItemCaseSensitive(run->head, "config");
  const cJSON *train = cJSON_GetObjectItemCaseSensitive(head, "train");
  const char *out = vk_record_config_text(&j->record, "out");
  if (strcmp(vk_report_text(run, "command"), "train") != 0 || !train || !out)
    return vk_fail(err, VK_E_USAGE, "run %s is of vlakit %s, not of train", a->resume,
                   vk_report_text(run, "command"));
  if (strcmp(vk_report_text(run, "state"), "done") == 0)
    return vk_fail(err, VK_E_USAGE, "run %s is done, its checkpoints are in %s/checkpoints",
                   a->resume, out);
  if (a->out)
    return vk_fail(err, VK_E_USAGE, "--out: run %s goes on in %s; leave it out", a->resume, out);
  snprintf(j->out, sizeof j->out, "%s", out);
  char what[64], *text = NULL;
  snprintf(what, sizeof what, "run %s", a->resume);
  VK_TRY(vk_json_text(&text, train, err));
  vk_status st = plan_as_began(j, text, what, err);
  cJSON_free(text);
  return st;
}

/* Bits depend on the number of threads, so a run keeps it. */
static vk_status plan_threads(job *j, vk_err *err)
{
  const train_args *a = j->call->args;
  int wanted = (int)j->call->common->n_thread;
  int then = a->resume ? (int)vk_record_config_number(&j->record, "threads") : 0;
  j->n_thread = then ? then : wanted ? wanted : vk_cpu_count();
  if (then && wanted && wanted != then)
    return vk_fail(err, VK_E_USAGE,
                   "--threads: run %s was started with %d, on which its bits depend; leave it out",
                   a->resume, then);
  return VK_OK;
}

static vk_status check_resumable(const job *j, vk_err *err)
{
  const vk_record_same same[] = {
      {"pack_hash", j->pack.hash, "the pack"},
      {"visuals_hash", j->visuals.hash, "the visuals"},
      {"mujoco", mj_versionString(), "MuJoCo's version"},
      {"isa", vk_isa_name(j->call->isa), "the instruction set (--isa)"},
  };
  return vk_record_check_same(&j->record, same, VK_COUNT(same), err);
}

static vk_status see_checkpoint(void *arg, const vk_point_row *row, vk_err *err)
{
  bool *had = arg;
  *had = *had || strcmp(row->tag, "time/checkpoint") == 0;
  return VK_OK;
}

/* A folder is free for another run until a checkpoint is in it. */
static vk_status check_owner(const job *j, const char *last, vk_err *err)
{
  vk_checkpoint_info info;
  const char *run = vk_report_text(&j->record.earlier, "run");
  VK_TRY(vk_checkpoint_open(&info, last, err));
  vk_status st = VK_OK;
  if (strcmp(info.source.run, run) != 0)
    st = vk_fail(
        err, VK_E_MISMATCH,
        "run %s: %s is of run %s; go on with that one, or start a new run in another folder", run,
        last, info.source.run[0] ? info.source.run : "(unknown)");
  vk_checkpoint_close(&info);
  return st;
}

/* A folder that was moved, or whose disk is not there, is no run before its first checkpoint. */
static vk_status check_folder(const job *j, vk_err *err)
{
  const train_args *a = j->call->args;
  const char *run = a->resume;
  char last[VK_FS_PATH_MAX + 24];
  bool had = false;
  snprintf(last, sizeof last, "%s/checkpoints/last", j->out);
  if (vk_fs_is_dir(last))
    return check_owner(j, last, err);
  if (!vk_fs_is_dir(j->out))
    return vk_fail(err, VK_E_NOTFOUND,
                   "run %s: its folder %s is not there; bring it back, or start a new run", run,
                   j->out);
  VK_TRY(vk_catalog_each_point(j->record.catalog, run, see_checkpoint, &had, err));
  if (had)
    return vk_fail(err, VK_E_NOTFOUND,
                   "run %s has written checkpoints, but %s is not there; bring it back, or start a "
                   "new run",
                   run, last);
  return VK_OK;
}

/* That init still holds the weights that the run began with. */
static vk_status check_init(const job *j, vk_err *err)
{
  const char *began = vk_record_config_text(&j->record, "init_hash");
  const char *now = j->trainer.init.source.init_hash;
  if (!j->config.init || !began || strcmp(began, now) == 0)
    return VK_OK;
  return vk_fail(err, VK_E_MISMATCH,
                 "init %s holds other weights (%.12s) than when the run began (%.12s): start a new "
                 "run",
                 j->config.init, now, began);
}

/* That the data is what the run began with, also where no checkpoint says so yet. */
static vk_status check_data(const job *j, vk_err *err)
{
  const char *began = vk_record_config_text(&j->record, "data_hash");
  const char *now = j->trainer.data.hash;
  if (!began || strcmp(began, now) == 0)
    return VK_OK;
  return vk_fail(err, VK_E_MISMATCH,
                 "run %s began with other data (%.12s, now %.12s): files were changed or added; "
                 "start a new run",
                 vk_report_text(&j->record.earlier, "run"), began, now);
}

/* ---- the record ---------------------------------------------------------------------------- */

static cJSON *config_json(const job *j)
{
  cJSON *o = cJSON_CreateObject();
  cJSON_AddItemToObject(o, "train", vk_train_config_json(&j->config));
  cJSON_AddStringToObject(o, "out", j->out);
  cJSON_AddStringToObject(o, "data_hash", j->trainer.data.hash);
  cJSON_AddNumberToObject(o, "n_step", (double)j->trainer.n_step); /* of epochs too */
  if (j->config.init) {
    cJSON_AddStringToObject(o, "init_hash", j->trainer.init.source.init_hash);
    cJSON_AddNumberToObject(o, "init_step", (double)j->trainer.init.source.init_step);
  }
  cJSON_AddNumberToObject(o, "threads", j->n_thread);
  cJSON_AddStringToObject(o, "isa", vk_isa_name(j->call->isa));
  cJSON_AddStringToObject(
      o, "precision",
      vk_trainer_precision(&j->config, j->trainer.devices.device[0].def, j->call->isa));
  cJSON_AddStringToObject(o, "device", j->call->common->device);
  cJSON_AddStringToObject(o, "pack", j->pack.path);
  return o;
}

static vk_status begin_record(job *j, vk_err *err)
{
  const vk_run_row row = {.command = "train", .pack_hash = j->pack.hash, .n_thread = j->n_thread};
  return vk_record_begin(&j->record, config_json(j), &row, &j->visuals, NULL, err);
}

static vk_status put_points(void *arg, int64_t step, int n, const vk_train_point *point,
                            vk_err *err)
{
  enum { ROWS_MAX = 32 };
  job *j = arg;
  vk_point_row row[ROWS_MAX];
  VK_ASSERT(n <= ROWS_MAX);
  for (int i = 0; i < n; i++)
    row[i] = (vk_point_row){point[i].tag, step, point[i].value};
  return vk_run_put_points(&j->record.run, n, row, err);
}

/* What the weights are of, as it was asked for. */
static const char *model_word(const vk_train_config *c)
{
  return c->init ? c->init : c->model;
}

/* ---- results ------------------------------------------------------------------------------- */

static void print_part(const char *what, double all_s, int64_t n, const char *of)
{
  char time[32];
  vk_progress_format_time(all_s, time, sizeof time);
  if (n > 0)
    printf("%s %s in %lld %s%s\n", what, time, (long long)n, of, vk_plural(n));
}

static vk_status print_dry_run(job *j, vk_err *err)
{
  const vk_trainer *t = &j->trainer;
  const vk_train_config *c = &j->config;
  vk_train_estimate e;
  VK_TRY(vk_trainer_estimate(&j->trainer, &e, err));
  if (j->call->common->json) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddBoolToObject(o, "dry_run", true);
    cJSON_AddItemToObject(o, "config", vk_train_config_json(c));
    cJSON_AddNumberToObject(o, "n_parameter", (double)t->learner.replica[0].params.n_used);
    cJSON_AddNumberToObject(o, "n_task", t->data.n_task);
    cJSON_AddNumberToObject(o, "n_demo", t->data.n_demo);
    cJSON_AddNumberToObject(o, "n_sample", (double)t->data.n_sample);
    cJSON_AddNumberToObject(o, "n_step", (double)t->n_step);
    cJSON_AddNumberToObject(o, "threads", j->n_thread);
    cJSON_AddNumberToObject(o, "bytes", (double)e.bytes);
    cJSON_AddNumberToObject(o, "step_s", e.step_s);
    cJSON_AddNumberToObject(o, "wall_s", e.wall_s);
    cJSON_AddNumberToObject(o, "n_eval", (double)e.n_eval);
    cJSON_AddNumberToObject(o, "eval_s", e.eval_s);
    cJSON_AddNumberToObject(o, "n_validation", (double)e.n_validation);
    cJSON_AddNumberToObject(o, "validation_s", e.validation_s);
    cJSON_AddNumberToObject(o, "imitation_s", e.imitation_s);
    cJSON_AddNumberToObject(o, "n_round", (double)e.n_round);
    cJSON_AddNumberToObject(o, "n_round_episode", e.n_round_episode);
    cJSON_AddNumberToObject(o, "round_s", e.round_s);
    vk_status st = vk_json_print(o, err);
    cJSON_Delete(o);
    return st;
  }
  char time[32], data[VK_TRAIN_TEXT];
  vk_progress_format_time(e.wall_s, time, sizeof time);
  printf("model     %s, %.1f million parameters, %s\n", model_word(c),
         (double)t->learner.replica[0].params.n_used / 1e6,
         t->learner.config.is_bf16 ? "bf16" : "f32");
  printf("data      %s\n", vk_trainer_describe(t, data, sizeof data));
  if (t->def->is_slow)
    printf("steps     %lld\n", (long long)(t->n_step - t->step));
  else
    printf("steps     %lld of %lld sample%s, %.1f epochs\n", (long long)(t->n_step - t->step),
           (long long)c->batch, vk_plural(c->batch),
           (double)t->n_step * (double)c->batch / (double)t->data.n_sample);
  printf("memory    about %.0f MB on %d thread%s\n", (double)e.bytes / 1e6, j->n_thread,
         vk_plural(j->n_thread));
  if (t->def->is_slow)
    printf("time      at most about %s, at %.0f s a step\n", time, e.step_s);
  else
    printf("time      about %s, at %.2f s a step (%.1f samples/s) once pictures are drawn\n", time,
           e.step_s, (double)c->batch / e.step_s);
  print_part("of it     about", e.validation_s, e.n_validation, "validation");
  print_part("of it     at most about", e.eval_s, e.n_eval, "evaluation");
  vk_progress_format_time(e.round_s, time, sizeof time);
  if (e.n_round > 0)
    printf("of it     at most about %s in %lld round%s of %d episode%s with the expert\n", time,
           (long long)e.n_round, vk_plural(e.n_round), e.n_round_episode,
           vk_plural(e.n_round_episode));
  vk_progress_format_time(e.imitation_s, time, sizeof time);
  if (e.imitation_s > 0)
    printf("of it     at most about %s of demonstrations beside practice\n", time);
  return VK_OK;
}

static void add_number(cJSON *o, const char *key, double value)
{
  if (isnan(value))
    cJSON_AddNullToObject(o, key);
  else
    cJSON_AddNumberToObject(o, key, value);
}

/* A run that went on after its last step has no loss of its own. */
static void print_losses(double loss, double val_loss)
{
  if (!isnan(loss))
    printf("loss        %.4f", loss);
  if (!isnan(val_loss))
    printf("%sof held-out demonstrations %.4f", isnan(loss) ? "loss        " : ", ", val_loss);
  if (!isnan(loss) || !isnan(val_loss))
    putchar('\n');
}

/* Practice in which no group told good from bad. */
static void print_idle(const vk_trainer *t)
{
  long long n = t->step - t->first_step;
  if (t->n_idle == 0)
    return;
  printf("learned     nothing in %lld of %lld step%s, whose groups ended alike or were left out "
         "(filter_lo, filter_hi)%s\n",
         (long long)t->n_idle, n, vk_plural(n),
         t->n_idle == n ? ": the policy is what it was" : "");
}

static int count_lost(const vk_trainer *t)
{
  int n = 0;
  for (int i = 0; i < VK_LOST_KINDS; i++)
    n += t->n_lost[i];
  return n;
}

static void print_lost(const vk_trainer *t)
{
  static const char *const what[VK_LOST_KINDS] = {
      "checkpoints", "writes of points to the event file", "writes of points to the catalog",
      "validations", "evaluations"};
  const char *before = "lost        ";
  for (int i = 0; i < VK_LOST_KINDS; i++)
    if (t->n_lost[i] > 0) {
      printf("%s%s: %d", before, what[i], t->n_lost[i]);
      before = ", ";
    }
  if (count_lost(t) > 0)
    putchar('\n');
}

/* Of the last step, by the policy that it began with: actions are drawn, and it learns from what
 * they do, so that this is no evaluation. */
static void add_practice(cJSON *o, const vk_train_practice *p)
{
  double ci95[2];
  vk_stats_wilson(p->n_success, p->n, VK_STATS_Z95, &ci95[0], &ci95[1]);
  cJSON_AddNumberToObject(o, "practice_n_episode", p->n);
  cJSON_AddNumberToObject(o, "practice_success_rate", (double)p->n_success / p->n);
  cJSON_AddItemToObject(o, "practice_ci95", cJSON_CreateDoubleArray(ci95, 2));
  cJSON_AddNumberToObject(o, "practice_env_steps_per_s", p->env_steps_per_s);
  cJSON_AddNumberToObject(o, "practice_saved", p->saved);
}

static vk_status print_result(const job *j, double wall_s, vk_err *err)
{
  const vk_trainer *t = &j->trainer;
  double samples_per_s = (double)t->n_sample / wall_s;
  if (j->call->common->json) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "run", j->record.run.id);
    cJSON_AddNumberToObject(o, "step", (double)t->step);
    add_number(o, "loss", t->loss);
    add_number(o, "val_loss", t->val_loss);
    add_number(o, "success_rate", t->eval.n ? (double)t->eval.n_success / t->eval.n : NAN);
    cJSON_AddStringToObject(o, "eval_rows", "sampled");
    if (t->eval.n)
      cJSON_AddItemToObject(o, "ci95",
                            cJSON_CreateDoubleArray((const double[]){t->eval.lo, t->eval.hi}, 2));
    else
      cJSON_AddNullToObject(o, "ci95");
    cJSON_AddNumberToObject(o, "samples_per_s", samples_per_s);
    add_number(o, "env_steps_per_s", t->eval.n ? t->eval.env_steps_per_s : NAN);
    if (t->practice.n)
      add_practice(o, &t->practice);
    cJSON_AddNumberToObject(o, "wall_s", wall_s);
    cJSON_AddNumberToObject(o, "peak_bytes", (double)vk_sys_peak_resident_bytes());
    cJSON_AddStringToObject(o, "checkpoint", t->checkpoint);
    cJSON_AddNumberToObject(o, "n_lost", count_lost(t));
    cJSON_AddNumberToObject(o, "n_replaced", (double)t->n_replaced);
    cJSON_AddNumberToObject(o, "n_idle", (double)t->n_idle);
    cJSON_AddItemToObject(o, "config", vk_train_config_json(&j->config));
    vk_status st = vk_json_print(o, err);
    cJSON_Delete(o);
    return st;
  }
  char time[32];
  vk_progress_format_time(wall_s, time, sizeof time);
  long long n_step = t->step - t->first_step;
  printf("run         %s, %lld step%s in %s, %.1f samples/s\n", j->record.run.id, n_step,
         vk_plural(n_step), time, samples_per_s);
  if (t->note[0])
    printf("last step   %s\n", t->note);
  print_losses(t->loss, t->val_loss);
  if (t->eval.n)
    printf("success     %.1f %% of %d episode%s from sampled first states (95 %%: %.1f to %.1f)\n",
           100.0 * t->eval.n_success / t->eval.n, t->eval.n, vk_plural(t->eval.n), 100 * t->eval.lo,
           100 * t->eval.hi);
  printf("checkpoint  %s\n", t->checkpoint);
  print_idle(t);
  print_lost(t);
  return VK_OK;
}

/* What is about to start, on stderr. */
static void announce(job *j)
{
  const vk_trainer *t = &j->trainer;
  char data[VK_TRAIN_TEXT];
  vk_log_line(&j->log,
              "train %s: %s, %.1f million parameters, %s, %lld step%s of %lld, %d thread%s, about "
              "%.0f MB",
              j->record.run.id, model_word(&j->config),
              (double)t->learner.replica[0].params.n_used / 1e6,
              vk_trainer_describe(t, data, sizeof data), (long long)t->n_step, vk_plural(t->n_step),
              (long long)j->config.batch, j->n_thread, vk_plural(j->n_thread),
              (double)(vk_learner_bytes(&t->learner) + t->data.bytes) / 1e6);
  if (((const train_args *)j->call->args)->resume && !t->checkpoint[0])
    vk_log_line(&j->log, "train %s: begins anew, as it has written no checkpoint yet",
                j->record.run.id);
}

/* ---- the whole ----------------------------------------------------------------------------- */

static vk_status run_job(job *j, vk_err *err)
{
  const train_args *a = j->call->args;
  const vk_common_args *common = j->call->common;
  VK_TRY(vk_fs_make_dirs(j->out, err));
  VK_TRY(vk_fs_lock_dir(&j->out_fd, j->out, err));
  VK_TRY(a->resume ? vk_record_go_on(&j->record, err) : begin_record(j, err));
  if (!common->quiet)
    announce(j);
  vk_trainer_say_start(&j->trainer);
  vk_progress_init(&j->progress, common->quiet ? NULL : &j->log, "train", "steps",
                   j->trainer.n_step, j->trainer.step);
  double start_s = vk_sys_monotonic_s();
  vk_status st = vk_trainer_run(&j->trainer, j->record.run.id, err);
  double wall_s = vk_sys_monotonic_s() - start_s;
  vk_progress_fini(&j->progress);
  st = vk_record_end(&j->record, st, wall_s, err);
  if (st == VK_OK)
    st = print_result(j, wall_s, err);
  else if (st == VK_E_INTERRUPTED)
    vk_fail(err, st, "interrupted: step %lld of %lld is saved; go on with vlakit train --resume %s",
            (long long)j->trainer.step, (long long)j->trainer.n_step, j->record.run.id);
  else
    st = vk_err_prefix(err, "run %s", j->record.run.id);
  return vk_record_write_trace(&j->record, st, err);
}

static vk_status prepare(job *j, vk_err *err)
{
  const train_args *a = j->call->args;
  const vk_common_args *common = j->call->common;
  static char cache[VK_FS_PATH_MAX];
  VK_TRY(vk_record_open(&j->record, j->call, a->resume, err));
  VK_TRY(vk_train_config_init(&j->config, err));
  VK_TRY(a->resume ? plan_from_record(j, err) : plan_from_options(j, err));
  VK_TRY(plan_threads(j, err));
  VK_TRY(vk_pack_open(&j->pack, common->pack, err));
  vk_status st = vk_visuals_choose(&j->visuals, j->config.visuals, &j->pack, err);
  if (st != VK_OK)
    return j->config.visuals ? vk_err_prefix(err, "visuals=%s", j->config.visuals) : st;
  if (a->resume) {
    VK_TRY(check_resumable(j, err));
    VK_TRY(check_folder(j, err));
  }
  if (!common->dry_run)
    VK_TRY(vk_record_start(&j->record, err));
  const vk_trainer_config config = {.train = &j->config,
                                    .pack = &j->pack,
                                    .visuals = &j->visuals,
                                    .cache_dir = vk_model_cache_dir(cache),
                                    .out = j->out,
                                    .device = common->device,
                                    .isa = j->call->isa,
                                    .n_thread = j->n_thread,
                                    .log = common->quiet ? NULL : &j->log,
                                    .warn = &j->log,
                                    .trace = j->record.trace,
                                    .progress = &j->progress,
                                    .put = put_points,
                                    .arg = j};
  VK_TRY(vk_trainer_new(&j->trainer, &config, err));
  char text[VK_CHECKPOINT_TEXT];
  if (vk_train_init_differences(&j->trainer.init, &j->trainer.data.view, &j->visuals, &j->pack,
                                text)[0])
    vk_log_line(&j->log, "train: init %s was trained on %s", j->config.init, text);
  if (!a->resume)
    return VK_OK;
  VK_TRY(check_init(j, err));
  VK_TRY(check_data(j, err));
  return vk_trainer_resume(&j->trainer, err);
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  const train_args *a = call->args;
  if (a->config && strcmp(a->config, "list") == 0)
    return list_configs(call->common->json, err);
  if (a->set.n == 1 && strcmp(a->set.item[0], "list") == 0)
    return list_keys(call->common->json, err);
  job j = {.call = call, .out_fd = -1};
  vk_log_init(&j.log, stderr);
  vk_status st = prepare(&j, err);
  if (st == VK_OK)
    st = call->common->dry_run ? print_dry_run(&j, err) : run_job(&j, err);
  vk_trainer_free(&j.trainer);
  if (j.out_fd >= 0)
    close(j.out_fd);
  vk_log_fini(&j.log);
  vk_record_close(&j.record);
  vk_visuals_close(&j.visuals);
  vk_pack_close(&j.pack);
  vk_train_config_fini(&j.config);
  return st;
}

const vk_cmd vk_cmd_train = {
    .name = "train",
    .flags = VK_CMD_LONG | VK_CMD_DEVICE | VK_CMD_DEVICES,
    .summary = "fit a policy to demonstrations, or let it practise",
    .synopsis = "--config CONFIG [--data PATH...] --out DIR [options] | --resume RUN",
    .description =
        "Trains a network to do what demonstrations do: the cross-entropy of their actions, eight "
        "steps at a time, from camera pictures that are drawn when they are needed. The policy is "
        "DIR/checkpoints/last, for vlakit eval --policy.\n\n"
        "Method dagger lets the policy act now and then, and imitates what the scripted expert "
        "would do where it comes. Methods ppo and grpo begin with a policy (\"init\"), which then "
        "practises \"tasks\": in every step it acts in groups of episodes that begin alike, and "
        "learns from which of them succeed.\n\n"
        "A configuration is a JSON object of keys; --set KEY=VALUE overrides one, and --set list "
        "shows all with their defaults. Curves go to the catalog (vlakit runs ID) and, for "
        "TensorBoard, to event files in DIR.\n\n"
        "After Ctrl-C, SIGTERM or a crash, --resume goes on from the last checkpoint and ends with "
        "the same weights, bit for bit. A loss that is not a number ends the run; the checkpoints "
        "before stay, and the micro-batch that it came from (of gradients, the one with the "
        "largest) is "
        "kept in DIR/bad_batch.safetensors.",
    .examples =
        "  vlakit train --config sft-n2 --data demos --out trained\n"
        "  vlakit train --config sft-n2 --data demos --out trained --set lr=1e-4 steps=2000\n"
        "  vlakit train --config dagger-n2 --data demos --out better --set init=trained\n"
        "  vlakit train --config grpo-n2 --out best --set init=trained tasks=libero_goal/7\n"
        "  vlakit train --config sft-n8 --data demos --out big --dry-run  # how long, how much\n"
        "  vlakit train --resume 05k2m3xq\n",
    .opts = opts,
    .args_size = sizeof(train_args),
    .args_default = &defaults,
    .keys = keys,
    .common = VK_COMMON(
        VK_COMMON_CATALOG,
        VK_COMMON_DEVICE("where the network learns; several: cuda:0,1 or cuda:all"), VK_COMMON_ISA,
        VK_COMMON_JSON, VK_COMMON_PACK, VK_COMMON_QUIET,
        VK_COMMON_SEED("seed of all that is drawn, as --set seed=N (default: the configuration's)"),
        VK_COMMON_THREADS),
    .run = run,
};
