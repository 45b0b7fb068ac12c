/* cmd_runs.c - vlakit runs: what the catalog holds. */
#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/curve.h"
#include "cmd/report.h"

typedef struct runs_args {
  const char *curves, *svg;
} runs_args;

static const runs_args defaults = {0};
static const vk_opt opts[] = {
    VK_OPT_STR(runs_args, "curves", curves, "TAGS",
               "show these of the run's curves alone, a comma list"),
    VK_OPT_STR(runs_args, "svg", svg, "FILE", "write the run's curves as a drawing instead"),
    VK_OPT_END,
};

/* Whose episodes are tries, of which the successes become demonstrations. */
static bool is_collect(const char *command)
{
  return strcmp(command, "collect") == 0;
}

/* ---- a list ---- */

/* The temperature that actions were drawn at; 0: none were. */
static double temperature_of(const cJSON *config)
{
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(config, "sample");
  return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* "expert on libero_goal, oft, T 1: 10 of 10 episodes": what was run, and what came of it. */
static void print_evaluation(const vk_run_row *row, const vk_evaluation_row *evaluation,
                             const vk_episode_sum *sum)
{
  int n_done = sum->n_scored + sum->n_error;
  char trials[VK_REPORT_NOTE_SIZE];
  cJSON *config = cJSON_Parse(row->config);
  printf("  %s on %s, %s", evaluation->policy, evaluation->suite, evaluation->protocol);
  if (temperature_of(config) > 0)
    printf(", T %g", temperature_of(config));
  printf("%s: ", vk_report_trials(config, trials));
  cJSON_Delete(config);
  if (is_collect(row->command))
    printf("%d of %d demonstration%s, %d %s", sum->n_success, evaluation->n_episode,
           vk_plural(evaluation->n_episode), n_done, n_done == 1 ? "try" : "tries");
  else
    printf("%d of %d episode%s", n_done, evaluation->n_episode, vk_plural(evaluation->n_episode));
  if (sum->n_scored && !is_collect(row->command))
    printf(", success %.1f %%", 100.0 * sum->n_success / sum->n_scored);
  if (sum->n_error)
    printf(", %d error%s", sum->n_error, vk_plural(sum->n_error));
}

/* "sft of nano-n2, in FOLDER": what a training run makes, and what it began with. */
static void print_train(const char *config)
{
  cJSON *json = cJSON_Parse(config);
  const cJSON *train = cJSON_GetObjectItemCaseSensitive(json, "train");
  const char *method = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(train, "method"));
  const char *model = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(train, "model"));
  const char *init = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(train, "init"));
  const char *out = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "out"));
  if (method && (init || model) && out)
    printf("  %s of %s, in %s", method, init ? init : model, out);
  cJSON_Delete(json);
}

static vk_status print_run(void *arg, const vk_run_row *row, const vk_evaluation_row *evaluation,
                           const vk_episode_sum *sum, vk_err *err)
{
  int *n = arg;
  if ((*n)++ == 0)
    printf("%-8s  %-20s  %-11s  %-8s  %s\n", "run", "start", "state", "command", "what");
  printf("%-8s  %-20s  %-11s  %-8s", row->id, row->start_utc, row->state, row->command);
  if (evaluation)
    print_evaluation(row, evaluation, sum);
  if (strcmp(row->command, "train") == 0)
    print_train(row->config);
  putchar('\n');
  return VK_OK;
}

static vk_status add_run(void *arg, const vk_run_row *row, const vk_evaluation_row *evaluation,
                         const vk_episode_sum *sum, vk_err *err)
{
  cJSON_AddItemToArray(arg, vk_report_run_json(row, evaluation, sum));
  return VK_OK;
}

static vk_status list_json(vk_catalog *catalog, vk_err *err)
{
  cJSON *top = cJSON_CreateObject(), *runs = cJSON_AddArrayToObject(top, "runs");
  vk_status st = catalog ? vk_catalog_each_run(catalog, NULL, add_run, runs, err) : VK_OK;
  if (st == VK_OK)
    st = vk_json_print(top, err);
  cJSON_Delete(top);
  return st;
}

/* ---- one run ---- */

static vk_status show_json(vk_report *r, const vk_curves *curves, vk_err *err)
{
  cJSON *top = cJSON_CreateObject(), *runs = cJSON_AddArrayToObject(top, "runs");
  if (vk_report_text(r, "suite")[0])
    vk_report_add_json(r->head, r);
  if (curves->n)
    cJSON_AddItemToObject(r->head, "curves", vk_curves_json(curves));
  cJSON_AddItemToArray(runs, r->head);
  r->head = NULL; /* top has it */
  vk_status st = vk_json_print(top, err);
  cJSON_Delete(top);
  return st;
}

/* What a training run was asked to do. */
static void show_train(const vk_report *r)
{
  const cJSON *config = cJSON_GetObjectItemCaseSensitive(r->head, "config");
  const cJSON *train = cJSON_GetObjectItemCaseSensitive(config, "train"), *key;
  const cJSON *out = cJSON_GetObjectItemCaseSensitive(config, "out");
  if (cJSON_IsString(out))
    printf("%-12s  %s\n", "out", out->valuestring);
  cJSON_ArrayForEach(key, train)
  {
    char *text = cJSON_PrintUnformatted(key);
    printf("%-12s  %s = %s\n", key == train->child ? "config" : "", key->string, text ? text : "");
    cJSON_free(text);
  }
  putchar('\n');
}

static void show(const vk_report *r, const vk_curves *curves)
{
  static const char *const key[] = {"command_line", "state",   "error",   "start",  "end",
                                    "isa",          "machine", "version", "mujoco", "suite"};
  int n_thread = (int)vk_report_number(r, "threads");
  for (size_t i = 0; i < VK_COUNT(key); i++)
    if (vk_report_text(r, key[i])[0])
      printf("%-12s  %s\n", key[i], vk_report_text(r, key[i]));
  printf("%-12s  %.1f s on %d thread%s\n", "time", vk_report_number(r, "wall_s"), n_thread,
         vk_plural(n_thread));
  if (strcmp(vk_report_text(r, "command"), "train") == 0)
    show_train(r);
  vk_curves_print(curves);
  if (!vk_report_text(r, "suite")[0])
    return;
  if (is_collect(vk_report_text(r, "command")))
    printf("%-12s  %d of %.0f, in %d %s\n\n", "collected", r->all.n_success,
           vk_report_number(r, "n_planned"), r->n_episode, r->n_episode == 1 ? "try" : "tries");
  else
    printf("%-12s  %d of %.0f\n\n", "episodes", r->n_episode, vk_report_number(r, "n_planned"));
  vk_report_print(r, true);
}

static vk_status pick(vk_curves *curves, const char *id, const char *list, vk_err *err)
{
  if (curves->n == 0)
    return vk_fail(err, VK_E_USAGE, "--curves: run %s has none; those of vlakit train have", id);
  return vk_curves_pick(curves, list, err);
}

static vk_status write_svg(const vk_curves *curves, const char *id, const char *path, vk_err *err)
{
  vk_fs_writer w;
  char title[64];
  if (curves->n == 0)
    return vk_fail(err, VK_E_USAGE, "--svg: run %s has no curves; those of vlakit train have", id);
  VK_TRY(vk_fs_writer_open(&w, path, err));
  snprintf(title, sizeof title, "vlakit train, run %s", id);
  vk_curves_svg(curves, title, w.file);
  return vk_fs_writer_commit(&w, err);
}

/* ---- export ---- */

/* A field of a CSV line (RFC 4180); NULL is empty. */
static void print_field(const char *text, bool is_last)
{
  if (text && text[strcspn(text, ",\"\r\n")]) {
    putchar('"');
    for (; *text; text++) {
      if (*text == '"')
        putchar('"');
      putchar(*text);
    }
    putchar('"');
  } else if (text) {
    fputs(text, stdout);
  }
  fputs(is_last ? "\r\n" : ",", stdout);
}

static void print_number(double value, bool is_last)
{
  char text[32];
  snprintf(text, sizeof text, "%.17g", value);
  print_field(text, is_last);
}

static vk_status export_run(void *arg, const vk_run_row *row, const vk_evaluation_row *evaluation,
                            const vk_episode_sum *sum, vk_err *err)
{
  static const vk_evaluation_row none = {0};
  const vk_evaluation_row *e = evaluation ? evaluation : &none;
  print_field(row->id, false);
  print_field(row->state, false);
  print_field(row->error, false);
  print_field(row->start_utc, false);
  print_field(row->end_utc, false);
  print_number(row->wall_s, false);
  print_number(row->n_thread, false);
#define X(column) print_field(row->column, false);
  VK_RUN_TEXTS(X)
#undef X
  print_field(e->suite, false);
  print_field(e->policy, false);
  print_field(e->protocol, false);
  print_field(e->rows, false);
  print_number((double)e->seed, false);
  print_number(e->n_episode, false);
  print_number(sum->n_scored, false);
  print_number(sum->n_success, false);
  print_number(sum->n_error, true);
  return VK_OK;
}

static vk_status export_runs(vk_catalog *catalog, vk_err *err)
{
  fputs("run,state,error,start_utc,end_utc,wall_s,n_thread"
#define X(column) "," #column
        VK_RUN_TEXTS(X)
#undef X
            ",suite,policy,protocol,rows,seed,n_planned,n_episode,n_success,n_error\r\n",
        stdout);
  return catalog ? vk_catalog_each_run(catalog, NULL, export_run, NULL, err) : VK_OK;
}

static void export_episodes(const vk_report *r)
{
  fputs("run,task,row,success,steps,error,state_sha256,n_unstable\r\n", stdout);
  for (int i = 0; i < r->n_episode; i++) {
    const vk_report_episode *e = &r->episode[i];
    print_field(vk_report_text(r, "run"), false);
    print_field(e->task, false);
    print_number(e->row, false);
    print_field(e->error ? NULL : e->success ? "1" : "0", false);
    print_number(e->steps, false);
    print_field(e->error, false);
    print_field(e->state_sha256, false);
    print_number(e->n_unstable, true);
  }
}

/* ---- the command ---- */

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  const vk_common_args *common = call->common;
  const runs_args *args = call->args;
  int n = call->n_positional;
  bool is_export = n > 0 && strcmp(call->positional[0], "export") == 0;
  if (n == 2 && !is_export)
    return vk_fail(err, VK_E_USAGE,
                   "one run at a time, or export; usage: vlakit runs [ID], vlakit "
                   "runs export [ID]");
  const char *id = n > is_export ? call->positional[is_export] : NULL;
  if (args->svg && (!id || is_export))
    return vk_fail(err, VK_E_USAGE, "--svg is for one run: vlakit runs ID --svg FILE");
  if (args->curves && (!id || is_export))
    return vk_fail(err, VK_E_USAGE, "--curves is for one run: vlakit runs ID --curves TAGS");
  vk_catalog *catalog = NULL;
  vk_status st = vk_catalog_open(&catalog, common->catalog, VK_CATALOG_READ, err);
  /* Who has not run anything yet has no catalog: an empty list. */
  if (st == VK_E_NOTFOUND && !common->catalog && !id)
    st = VK_OK;
  if (st == VK_OK && id) {
    vk_report r;
    vk_curves curves = {0};
    st = vk_report_load(&r, catalog, id, 0, NULL, err);
    if (st == VK_OK)
      st = vk_curves_load(&curves, catalog, id, err);
    if (st == VK_OK && args->curves)
      st = pick(&curves, id, args->curves, err);
    if (st == VK_OK && args->svg)
      st = write_svg(&curves, id, args->svg, err);
    if (st == VK_OK && common->json)
      st = show_json(&r, &curves, err);
    else if (st == VK_OK && is_export)
      export_episodes(&r);
    else if (st == VK_OK && args->svg)
      printf("%s: %d curve%s of run %s\n", args->svg, curves.n, vk_plural(curves.n), id);
    else if (st == VK_OK && args->curves)
      vk_curves_print(&curves);
    else if (st == VK_OK)
      show(&r, &curves);
    vk_curves_free(&curves);
    vk_report_free(&r);
  } else if (st == VK_OK && common->json) {
    st = list_json(catalog, err);
  } else if (st == VK_OK && is_export) {
    st = export_runs(catalog, err);
  } else if (st == VK_OK) {
    int n_run = 0;
    st = catalog ? vk_catalog_each_run(catalog, NULL, print_run, &n_run, err) : VK_OK;
    if (st == VK_OK && n_run == 0)
      puts("no runs yet");
  }
  vk_catalog_close(catalog);
  return st;
}

const vk_cmd vk_cmd_runs = {
    .name = "runs",
    .summary = "list, show and export what was run",
    .synopsis = "[ID] [--curves TAGS] [--svg FILE] | export [ID]",
    .description = "Without an argument lists the runs in the catalog, oldest first; with a run's "
                   "ID shows its settings and results, of training its curves.\n\n"
                   "export writes CSV, or JSON with --json: a line a run, or of one run a line an "
                   "episode. The catalog is a plain SQLite file, which other programs may read at "
                   "any time.",
    .examples = "  vlakit runs  # what there is\n"
                "  vlakit runs 05k2m3xq  # one of them\n"
                "  vlakit runs 05k2m3xq --svg curves.svg  # what training looked like\n"
                "  vlakit runs 05k2m3xq --curves train/loss,env/success_once --svg two.svg\n"
                "  vlakit runs export 05k2m3xq > episodes.csv  # for a spreadsheet\n",
    .opts = opts,
    .args_size = sizeof(runs_args),
    .common = VK_COMMON(VK_COMMON_CATALOG, VK_COMMON_JSON),
    .args_default = &defaults,
    .n_positional_max = 2,
    .run = run,
};
