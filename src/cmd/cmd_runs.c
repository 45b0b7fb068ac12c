/* cmd_runs.c - vlakit runs: what the catalog holds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/csv.h"
#include "cmd/curve.h"
#include "cmd/report.h"
#include "cmd/run_rows.h"
#include "sim/pack.h"

typedef struct runs_args {
  vk_run_filter filter;
  const char *curves, *svg;
} runs_args;

/* Those that write runs. */
static const char *const command_names[] = {"collect", "eval", "train", NULL};

static const runs_args defaults = {0};
#define ARGS runs_args
static const vk_opt opts[] = {
    VK_OPT_CHOICE(ARGS, "command", filter.command, "collect|eval|train", command_names,
                  "list and export: only runs of this command"),
    VK_OPT_STR(ARGS, "curves", curves, "TAGS", "show these of the curves alone, a comma list"),
    VK_OPT_I64(
        ARGS, "last", filter.n_last, 1, 1e9, "N", NULL,
        "list and export: only the newest N, of those that the rest lets through (default: all)"),
    VK_OPT_STR(ARGS, "policy", filter.policy, "POLICY",
               "list and export: only runs in which this policy acted, or that made it"),
    VK_OPT_STR(ARGS, "suite", filter.suite, "SUITE",
               "list and export: only runs on this suite, or on tasks of it, and practice of them; "
               "or a comma "
               "list"),
    VK_OPT_STR(ARGS, "svg", svg, "FILE", "write the curves as a drawing instead"),
    VK_OPT_END,
};
#undef ARGS

/* What the words after the command ask for. */
typedef enum runs_action { RUNS_SHOW, RUNS_EXPORT, RUNS_REMOVE } runs_action;
typedef struct runs_call {
  const vk_common_args *common;
  const runs_args *args;
  runs_action action;
  int n;
  const char *const *id; /* [n] */
} runs_call;

/* ---- all runs ---- */

static vk_status list_json(cJSON *rows, vk_err *err)
{
  cJSON *top = cJSON_CreateObject();
  cJSON_AddItemReferenceToObject(top, "runs", rows);
  vk_status st = vk_json_print(top, err);
  cJSON_Delete(top);
  return st;
}

static bool is_filtered(const vk_run_filter *f)
{
  return f->command || f->suite || f->policy || f->n_last;
}

/* Whether there is such a suite. Without a scene pack nobody knows. */
static vk_status check_suite(const runs_call *c, vk_err *err)
{
  vk_pack pack;
  uint32_t n_task;
  if (!c->args->filter.suite)
    return VK_OK;
  if (vk_pack_open(&pack, c->common->pack, NULL) != VK_OK)
    return VK_OK;
  uint32_t *task = calloc(pack.n_task + 1, sizeof *task);
  vk_status st = task ? vk_pack_find_tasks(&pack, c->args->filter.suite, task, &n_task, err)
                      : vk_fail(err, VK_E_NOMEM, "no memory for a list of tasks");
  free(task);
  vk_pack_close(&pack);
  return st;
}

/* catalog NULL: who has not run anything yet has none. */
static vk_status list(const runs_call *c, vk_catalog *catalog, vk_err *err)
{
  cJSON *rows = NULL;
  vk_status st = VK_OK;
  VK_TRY(check_suite(c, err));
  if (catalog)
    VK_TRY(vk_run_rows(&rows, catalog, &c->args->filter, err));
  else
    rows = cJSON_CreateArray();
  if (c->common->json)
    st = list_json(rows, err);
  else if (c->action == RUNS_EXPORT)
    vk_run_rows_export(rows);
  else if (cJSON_GetArraySize(rows))
    vk_run_rows_print(rows);
  else
    puts(is_filtered(&c->args->filter) ? "no such runs" : "no runs yet");
  cJSON_Delete(rows);
  return st;
}

/* ---- one run, or some ---- */

/* Adds what a run is and all its results to runs, which then has r's head. */
static void add_run_json(cJSON *runs, vk_report *r, const vk_curves *curves)
{
  if (vk_report_text(r, "suite")[0])
    vk_report_add_json(r->head, r);
  if (curves->n)
    cJSON_AddItemToObject(r->head, "curves", vk_curves_json(curves));
  cJSON_AddItemToArray(runs, r->head);
  r->head = NULL;
}

static vk_status show_json(const runs_call *c, vk_catalog *catalog, const vk_curve_runs *curves,
                           vk_err *err)
{
  cJSON *runs = cJSON_CreateArray();
  vk_status st = VK_OK;
  for (int i = 0; i < c->n && st == VK_OK; i++) {
    vk_report r = {0};
    st = vk_run_load(&r, catalog, c->id[i], err);
    if (st == VK_OK)
      add_run_json(runs, &r, &curves->curves[i]);
    vk_report_free(&r);
  }
  if (st == VK_OK)
    st = list_json(runs, err);
  cJSON_Delete(runs);
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
    printf("%-12s  %s = %s\n", key == train->child ? "config" : "", key->string ? key->string : "",
           text ? text : "");
    cJSON_free(text);
  }
  printf("%-12s  ", "result");
  vk_run_print_result(r->head);
  puts("\n");
}

static void show_report(const vk_report *r, const vk_curve_runs *curves)
{
  static const char *const key[] = {"command_line", "state",   "error",   "start",  "end",
                                    "isa",          "machine", "version", "mujoco", "suite"};
  int n_thread = (int)vk_report_number(r, "threads");
  for (size_t i = 0; i < VK_COUNT(key); i++)
    if (vk_report_text(r, key[i])[0])
      printf("%-12s  %s\n", key[i], vk_report_text(r, key[i]));
  printf("%-12s  %.1f s on %d thread%s\n", "time", vk_report_number(r, "wall_s"), n_thread,
         vk_plural(n_thread));
  if (vk_run_is_train(r))
    show_train(r);
  vk_curve_runs_print(curves);
  if (!vk_report_text(r, "suite")[0])
    return;
  if (strcmp(vk_report_text(r, "command"), "collect") == 0)
    printf("%-12s  %d of %.0f, in %d %s\n\n", "collected", r->all.n_success,
           vk_report_number(r, "n_planned"), r->n_episode, r->n_episode == 1 ? "try" : "tries");
  else
    printf("%-12s  %d of %.0f\n\n", "episodes", r->n_episode, vk_report_number(r, "n_planned"));
  vk_report_print(r, true);
}

/* Several runs are looked at side by side by their curves, which has to be some. */
static vk_status check_curves(const runs_call *c, const vk_curve_runs *r, vk_err *err)
{
  if (r->curves[0].n > 0 || (c->n == 1 && !c->args->svg))
    return VK_OK;
  if (c->n == 1)
    return vk_fail(err, VK_E_USAGE, "--svg: run %s has no curves; those of vlakit train have",
                   c->id[0]);
  return vk_fail(err, VK_E_USAGE,
                 "these runs have no curves in common; those of vlakit train have some, and "
                 "evaluations are compared by vlakit compare RUN_A RUN_B");
}

static vk_status write_svg(const vk_curve_runs *curves, const char *path, vk_err *err)
{
  vk_fs_writer w;
  VK_TRY(vk_fs_writer_open(&w, path, err));
  vk_curve_runs_svg(curves, w.file);
  return vk_fs_writer_commit(&w, err);
}

static void tell_svg(const vk_curve_runs *curves, const char *path)
{
  int n = curves->curves[0].n;
  printf("%s: %d curve%s of run%s", path, n, vk_plural(n), vk_plural(curves->n));
  for (int k = 0; k < curves->n; k++)
    printf("%s %s", k == 0 ? "" : k + 1 < curves->n ? "," : " and", curves->id[k]);
  putchar('\n');
}

static vk_status show_text(const runs_call *c, vk_catalog *catalog, const vk_curve_runs *curves,
                           vk_err *err)
{
  vk_report r = {0};
  if (c->args->svg || c->args->curves || c->n > 1) {
    c->args->svg ? tell_svg(curves, c->args->svg) : vk_curve_runs_print(curves);
    return VK_OK;
  }
  vk_status st = vk_run_load(&r, catalog, c->id[0], err);
  if (st == VK_OK)
    show_report(&r, curves);
  vk_report_free(&r);
  return st;
}

/* That all of them are there is known before their curves are looked for. */
static vk_status load_curves(const runs_call *c, vk_catalog *catalog, vk_curve_runs *curves,
                             vk_err *err)
{
  for (int i = 0; i < c->n; i++) {
    vk_report r = {0};
    vk_status st = vk_report_load(&r, catalog, c->id[i], 0, NULL, err);
    vk_report_free(&r);
    VK_TRY(st);
  }
  return vk_curve_runs_load(curves, catalog, c->n, c->id, c->args->curves, err);
}

static vk_status show(const runs_call *c, vk_catalog *catalog, vk_err *err)
{
  vk_curve_runs curves = {0};
  vk_status st = load_curves(c, catalog, &curves, err);
  if (st == VK_OK)
    st = check_curves(c, &curves, err);
  if (st == VK_OK && c->args->svg)
    st = write_svg(&curves, c->args->svg, err);
  if (st == VK_OK)
    st =
        c->common->json ? show_json(c, catalog, &curves, err) : show_text(c, catalog, &curves, err);
  vk_curve_runs_free(&curves);
  return st;
}

/* ---- export of one ---- */

static void export_episodes(const vk_report *r)
{
  fputs("run,task,row,success,steps,error,state_sha256,n_unstable\r\n", stdout);
  for (int i = 0; i < r->n_episode; i++) {
    const vk_report_episode *e = &r->episode[i];
    vk_csv_text(vk_report_text(r, "run"), false);
    vk_csv_text(e->task, false);
    vk_csv_number(e->row, false);
    vk_csv_text(e->error ? NULL : e->success ? "1" : "0", false);
    vk_csv_number(e->steps, false);
    vk_csv_text(e->error, false);
    vk_csv_text(e->state_sha256, false);
    vk_csv_number(e->n_unstable, true);
  }
}

static vk_status export_one(const runs_call *c, vk_catalog *catalog, vk_err *err)
{
  vk_curve_runs curves = {0};
  vk_report r = {0};
  VK_TRY(load_curves(c, catalog, &curves, err));
  vk_status st = vk_run_load(&r, catalog, c->id[0], err);
  if (st == VK_OK && c->common->json)
    st = show_json(c, catalog, &curves, err);
  else if (st == VK_OK && vk_run_is_train(&r))
    st = vk_curves_csv(&curves.curves[0], c->id[0], err);
  else if (st == VK_OK)
    export_episodes(&r);
  vk_report_free(&r);
  vk_curve_runs_free(&curves);
  return st;
}

/* ---- removal ---- */

static const cJSON *find_run(const cJSON *rows, const char *id)
{
  const cJSON *run;
  cJSON_ArrayForEach(run, rows)
  {
    if (strcmp(vk_json_str(run, "run"), id) == 0)
      return run;
  }
  return NULL;
}

/* Always VK_E_USAGE, with the nearest id. */
static vk_status fail_unknown(const cJSON *rows, const char *id, vk_err *err)
{
  const char **name = calloc((size_t)cJSON_GetArraySize(rows) + 1, sizeof *name);
  if (!name)
    return vk_fail(err, VK_E_NOMEM, "no memory for the ids of runs");
  const cJSON *run;
  int n = 0;
  cJSON_ArrayForEach(run, rows) name[n++] = vk_json_str(run, "run");
  const char *nearest = vk_opt_nearest(id, name);
  free(name);
  if (nearest)
    return vk_fail(err, VK_E_USAGE, "no run %.80s, and nothing was removed; did you mean %s?", id,
                   nearest);
  return vk_fail(err, VK_E_USAGE,
                 "no run %.80s, and nothing was removed; vlakit runs lists what there is", id);
}

static vk_status check_ids(const runs_call *c, const cJSON *rows, vk_err *err)
{
  for (int i = 0; i < c->n; i++) {
    if (!find_run(rows, c->id[i]))
      return fail_unknown(rows, c->id[i], err);
    for (int k = 0; k < i; k++)
      if (strcmp(c->id[k], c->id[i]) == 0)
        return vk_fail(err, VK_E_USAGE, "run %s stands there twice; nothing was removed", c->id[i]);
  }
  return VK_OK;
}

/* What a run has written outside of the catalog, as long as it is there; NULL: nothing. */
static const char *files_of(const cJSON *run)
{
  const char *out = vk_json_str(cJSON_GetObjectItemCaseSensitive(run, "config"), "out");
  return vk_fs_is_dir(out) || vk_fs_is_file(out) ? out : NULL;
}

static vk_status removed_json(const runs_call *c, const cJSON *rows, const vk_removed_sum *sum,
                              vk_err *err)
{
  cJSON *top = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(top, "removed");
  for (int i = 0; i < c->n; i++) {
    const cJSON *run = find_run(rows, c->id[i]);
    cJSON *o = cJSON_CreateObject();
    const char *files = files_of(run);
    cJSON_AddStringToObject(o, "run", c->id[i]);
    cJSON_AddStringToObject(o, "command", vk_json_str(run, "command"));
    cJSON_AddNumberToObject(o, "n_episode", sum[i].n_episode);
    cJSON_AddNumberToObject(o, "n_point", sum[i].n_point);
    cJSON_AddItemToObject(o, "left", files ? cJSON_CreateString(files) : cJSON_CreateNull());
    cJSON_AddItemToArray(list, o);
  }
  vk_status st = vk_json_print(top, err);
  cJSON_Delete(top);
  return st;
}

static void removed_text(const runs_call *c, const cJSON *rows, const vk_removed_sum *sum)
{
  for (int i = 0; i < c->n; i++) {
    const cJSON *run = find_run(rows, c->id[i]);
    bool has_points = sum[i].n_point > 0;
    int n = has_points ? sum[i].n_point : sum[i].n_episode;
    printf("removed  run %s of vlakit %s, with %d %s%s\n", c->id[i], vk_json_str(run, "command"), n,
           has_points ? "point" : "episode", vk_plural(n));
    if (files_of(run))
      printf("left     %s, which it has written\n", files_of(run));
  }
}

/* Another process may begin to write one meanwhile, so the catalog looks again. */
static vk_status remove_rows(const runs_call *c, const cJSON *rows, vk_err *err)
{
  vk_catalog *catalog = NULL;
  vk_removed_sum *sum = calloc((size_t)c->n, sizeof *sum);
  vk_status st = sum ? vk_catalog_open(&catalog, c->common->catalog, VK_CATALOG_WRITE, err)
                     : vk_fail(err, VK_E_NOMEM, "no memory for %d runs", c->n);
  if (st == VK_OK)
    st = vk_catalog_remove(catalog, c->n, c->id, sum, err);
  if (st == VK_OK && c->common->json)
    st = removed_json(c, rows, sum, err);
  else if (st == VK_OK)
    removed_text(c, rows, sum);
  vk_catalog_close(catalog);
  free(sum);
  return st;
}

static vk_status remove_runs(const runs_call *c, vk_catalog *catalog, vk_err *err)
{
  cJSON *rows = NULL;
  VK_TRY(vk_run_rows(&rows, catalog, &(vk_run_filter){0}, err));
  vk_status st = check_ids(c, rows, err);
  if (st == VK_OK)
    st = remove_rows(c, rows, err);
  cJSON_Delete(rows);
  return st;
}

/* ---- the command ---- */

static runs_call read_call(const vk_cmd_call *call)
{
  const char *word = call->n_positional ? call->positional[0] : "";
  runs_action action = RUNS_SHOW;
  if (strcmp(word, "export") == 0)
    action = RUNS_EXPORT;
  else if (strcmp(word, "remove") == 0)
    action = RUNS_REMOVE;
  return (runs_call){.common = call->common,
                     .args = call->args,
                     .action = action,
                     .n = call->n_positional - (action != RUNS_SHOW),
                     .id = call->positional + (action != RUNS_SHOW)};
}

/* That the options say something of what is asked for. */
static vk_status check_usage(const runs_call *c, vk_err *err)
{
  if (c->action == RUNS_EXPORT && c->n > 1)
    return vk_fail(err, VK_E_USAGE,
                   "export takes one run, or none for a line of each; usage: "
                   "vlakit runs export [ID]");
  if (c->action == RUNS_REMOVE && c->n == 0)
    return vk_fail(err, VK_E_USAGE,
                   "remove takes the ids of runs; usage: vlakit runs remove ID...");
  if (c->action == RUNS_SHOW && c->n > VK_CURVE_RUNS_MAX)
    return vk_fail(err, VK_E_USAGE, "%d runs given; curves of at most %d are shown together", c->n,
                   (int)VK_CURVE_RUNS_MAX);
  if (is_filtered(&c->args->filter) && c->n)
    return vk_fail(err, VK_E_USAGE,
                   "--command, --last, --policy and --suite choose from all runs; leave them out, "
                   "or the ID");
  if (c->args->svg && (c->n == 0 || c->action != RUNS_SHOW))
    return vk_fail(err, VK_E_USAGE, "--svg is for runs with curves: vlakit runs ID... --svg FILE");
  if (c->args->curves && (c->n == 0 || c->action == RUNS_REMOVE))
    return vk_fail(err, VK_E_USAGE,
                   "--curves is for runs with curves: vlakit runs ID... --curves TAGS");
  return VK_OK;
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  const runs_call c = read_call(call);
  vk_catalog *catalog = NULL;
  VK_TRY(check_usage(&c, err));
  vk_status st = vk_catalog_open(&catalog, c.common->catalog, VK_CATALOG_READ, err);
  /* Who has not run anything yet has no catalog: an empty list. */
  if (st == VK_E_NOTFOUND && !c.common->catalog && c.n == 0)
    st = VK_OK;
  if (st == VK_OK && c.n == 0)
    st = list(&c, catalog, err);
  else if (st == VK_OK && c.action == RUNS_EXPORT)
    st = export_one(&c, catalog, err);
  else if (st == VK_OK && c.action == RUNS_REMOVE)
    st = remove_runs(&c, catalog, err);
  else if (st == VK_OK)
    st = show(&c, catalog, err);
  vk_catalog_close(catalog);
  return st;
}

const vk_cmd vk_cmd_runs = {
    .name = "runs",
    .summary = "list, show, export and remove what was run",
    .synopsis = "[ID...] [--curves TAGS] [--svg FILE] | export [ID] [options] | remove ID...",
    .description =
        "Without an argument lists the runs in the catalog, oldest first: of an evaluation what "
        "was scored and its success rate with the 95 % Wilson interval, of a training how far it "
        "is, its last losses and success rates. --command, --suite, --policy and --last choose "
        "from them.\n\n"
        "With a run's ID shows its settings and results, of a training its curves; with the IDs of "
        "several trainings the curves that they have in common, each in one frame.\n\n"
        "export writes CSV, or JSON with --json: a line a run, empty (null) in the columns that "
        "its command does not have; of one evaluation a line an episode, of one training a line a "
        "step and a column a curve.\n\n"
        "remove takes runs out of the catalog, with their episodes and curves: all that are named, "
        "or none where one is not there or still going on. Files that a run has written are left, "
        "and named; what is removed cannot be resumed.\n\n"
        "The catalog is a plain SQLite file, which other programs may "
        "read at any time.",
    .examples = "  vlakit runs  # what there is\n"
                "  vlakit runs --command train --last 5  # the newest five trainings\n"
                "  vlakit runs 05k2m3xq  # one of them\n"
                "  vlakit runs 05k2m3xq --svg curves.svg  # what training looked like\n"
                "  vlakit runs 05k2m3xq --curves train/loss,env/success_once --svg two.svg\n"
                "  vlakit runs 05k2m3xq 05k2n81a --curves env/success_once --svg both.svg\n"
                "  vlakit runs export --command eval > evaluations.csv  # for a spreadsheet\n"
                "  vlakit runs export 05k2m3xq > episodes.csv\n"
                "  vlakit runs remove 05k2m3xq 05k2n81a  # mistakes\n",
    .opts = opts,
    .args_size = sizeof(runs_args),
    .common = VK_COMMON(VK_COMMON_CATALOG, VK_COMMON_JSON, VK_COMMON_PACK),
    .args_default = &defaults,
    .n_positional_max = -1,
    .run = run,
};
