#include "cmd/run_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmd/csv.h"
#include "core/stats.h"
#include "rl/policy.h"

/* Columns of CSV, and which member of a run they show: its i-th number where that is an array. */
static const struct {
  const char *name, *key;
  int i;
} columns[] = {
    {"run", "run", 0},
    {"state", "state", 0},
    {"error", "error", 0},
    {"start_utc", "start", 0},
    {"end_utc", "end", 0},
    {"wall_s", "wall_s", 0},
    {"n_thread", "threads", 0},
    {"command", "command", 0},
    {"command_line", "command_line", 0},
    {"config", "config", 0},
    {"version", "version", 0},
    {"mujoco", "mujoco", 0},
    {"pack_hash", "pack_hash", 0},
    {"policy_hash", "policy_hash", 0},
    {"protocol_hash", "protocol_hash", 0},
    {"visuals", "visuals", 0},
    {"visuals_hash", "visuals_hash", 0},
    {"isa", "isa", 0},
    {"machine", "machine", 0},
    {"suite", "suite", 0},
    {"policy", "policy", 0},
    {"protocol", "protocol", 0},
    {"rows", "rows", 0},
    {"seed", "seed", 0},
    {"n_planned", "n_planned", 0},
    {"n_episode", "n_episode", 0},
    {"n_success", "n_success", 0},
    {"n_error", "errors", 0},
    {"success_rate", "success_rate", 0},
    {"ci95_lo", "ci95", 0},
    {"ci95_hi", "ci95", 1},
    {"method", "method", 0},
    {"n_step", "n_step", 0},
    {"step", "step", 0},
    {"loss", "loss", 0},
    {"val_loss", "val_loss", 0},
    {"practice_success_rate", "practice_success_rate", 0},
};

static const cJSON *item_of(const cJSON *o, const char *key)
{
  return cJSON_GetObjectItemCaseSensitive(o, key);
}

/* NAN: there is none. */
static double number_of(const cJSON *o, const char *key)
{
  const cJSON *item = item_of(o, key);
  return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static bool is_of(const cJSON *run, const char *command)
{
  return strcmp(vk_json_str(run, "command"), command) == 0;
}

/* ---- results ---- */

/* The last values of curves that tell how a training went. */
typedef struct last_points {
  int64_t step; /* of the latest of all curves */
  double loss, val_loss, success, success_lo, success_hi, practice;
} last_points;

static vk_status take_last(void *arg, const vk_point_row *row, vk_err *err)
{
  last_points *last = arg;
  const struct {
    const char *tag;
    double *value;
  } wanted[] = {{"train/loss", &last->loss},
                {"val/loss", &last->val_loss},
                {"eval_sampled/success_once", &last->success},
                {"eval_sampled/success_lo", &last->success_lo},
                {"eval_sampled/success_hi", &last->success_hi},
                {"env/success_once", &last->practice}};
  for (size_t i = 0; i < VK_COUNT(wanted); i++)
    if (strcmp(row->tag, wanted[i].tag) == 0)
      *wanted[i].value = row->value;
  last->step = row->step > last->step ? row->step : last->step;
  return VK_OK;
}

/* cJSON writes a number that is not finite as null. */
static void add_rate(cJSON *run, double rate, double lo, double hi)
{
  const double ci95[2] = {lo, hi};
  cJSON_AddNumberToObject(run, "success_rate", rate);
  cJSON_AddItemToObject(run, "ci95",
                        isfinite(rate) ? cJSON_CreateDoubleArray(ci95, 2) : cJSON_CreateNull());
}

static vk_status add_train(cJSON *run, vk_catalog *catalog, vk_err *err)
{
  last_points last = {0, NAN, NAN, NAN, NAN, NAN, NAN};
  const cJSON *config = item_of(run, "config"), *train = item_of(config, "train");
  VK_TRY(vk_catalog_each_last_point(catalog, vk_json_str(run, "run"), take_last, &last, err));
  /* Of epochs, only the run's record says how many steps they are. */
  double n_step = number_of(config, "n_step");
  if (isnan(n_step) && number_of(train, "steps") > 0)
    n_step = number_of(train, "steps");
  cJSON_AddStringToObject(run, "method", vk_json_str(train, "method"));
  cJSON_AddNumberToObject(run, "seed", number_of(train, "seed"));
  cJSON_AddNumberToObject(run, "n_step", n_step);
  cJSON_AddNumberToObject(run, "step", (double)last.step);
  cJSON_AddNumberToObject(run, "loss", last.loss);
  cJSON_AddNumberToObject(run, "val_loss", last.val_loss);
  add_rate(run, last.success, last.success_lo, last.success_hi);
  cJSON_AddNumberToObject(run, "practice_success_rate", last.practice);
  return VK_OK;
}

bool vk_run_is_train(const vk_report *report)
{
  return is_of(report->head, "train");
}

vk_status vk_run_load(vk_report *report, vk_catalog *catalog, const char *id, vk_err *err)
{
  VK_TRY(vk_report_load(report, catalog, id, 0, NULL, err));
  vk_status st = vk_run_is_train(report) ? add_train(report->head, catalog, err) : VK_OK;
  if (st != VK_OK)
    vk_report_free(report);
  return st;
}

/* Whether a try of collect succeeds says nothing of a policy. */
static void add_evaluation(cJSON *run)
{
  double n = number_of(run, "n_episode"), n_success = number_of(run, "n_success"), lo, hi;
  if (!is_of(run, "eval") || !(n > 0))
    return;
  vk_stats_wilson((int64_t)n_success, (int64_t)n, VK_STATS_Z95, &lo, &hi);
  add_rate(run, n_success / n, lo, hi);
}

/* ---- which ---- */

static const char *next_part(const char *list)
{
  list += strcspn(list, ",");
  return list + (*list == ',');
}

/* Of a comma list. */
static bool is_word(const char *part, const char *word)
{
  size_t n = strcspn(part, ",");
  return strlen(word) == n && strncmp(part, word, n) == 0;
}

/* One of "libero_spatial,libero_goal" in "libero_10,libero_goal/3", or in "libero130", which is
 * all. */
static bool holds_suite(const char *list, const char *suites)
{
  for (const char *suite = suites; *suite; suite = next_part(suite)) {
    size_t n = strcspn(suite, ",");
    for (const char *part = list; *part && n > 0; part = next_part(part))
      if (is_word(part, "libero130") || (strncmp(part, suite, n) == 0 && strchr(",/", part[n])))
        return true;
  }
  return false;
}

/* An evaluation, demonstrations, or practice of tasks. */
static bool is_on_suite(const cJSON *run, const char *suites)
{
  const cJSON *train = item_of(item_of(run, "config"), "train"), *task;
  bool is_on = holds_suite(vk_json_str(run, "suite"), suites);
  cJSON_ArrayForEach(task, item_of(train, "tasks"))
  {
    is_on = is_on || (cJSON_IsString(task) && holds_suite(task->valuestring, suites));
  }
  return is_on;
}

/* Runs that a policy acted in, and the one that made it; its folder may be given as it is typed
 * here. */
static bool is_of_policy(const cJSON *run, const char *word)
{
  char absolute[VK_POLICY_WORD_MAX];
  const char *policy =
      is_of(run, "train") ? vk_json_str(item_of(run, "config"), "out") : vk_json_str(run, "policy");
  return strcmp(policy, word) == 0 ||
         (vk_policy_word_absolute(absolute, word, NULL) == VK_OK && strcmp(policy, absolute) == 0);
}

static bool passes(const cJSON *run, const vk_run_filter *filter)
{
  return (!filter->command || is_of(run, filter->command)) &&
         (!filter->suite || is_on_suite(run, filter->suite)) &&
         (!filter->policy || is_of_policy(run, filter->policy));
}

typedef struct gathering {
  const vk_run_filter *filter;
  cJSON *rows;
} gathering;

static vk_status gather(void *arg, const vk_run_row *row, const vk_evaluation_row *evaluation,
                        const vk_episode_sum *sum, vk_err *err)
{
  gathering *g = arg;
  cJSON *run = vk_report_run_json(row, evaluation, sum);
  if (!run)
    return vk_fail(err, VK_E_NOMEM, "no memory for run %s", row->id);
  if (passes(run, g->filter))
    cJSON_AddItemToArray(g->rows, run);
  else
    cJSON_Delete(run);
  return VK_OK;
}

/* Every run has the members of all, so that a table can be made of them. */
static vk_status complete(cJSON *rows, vk_catalog *catalog, vk_err *err)
{
  cJSON *run;
  cJSON_ArrayForEach(run, rows)
  {
    if (is_of(run, "train"))
      VK_TRY(add_train(run, catalog, err));
    add_evaluation(run);
    for (size_t i = 0; i < VK_COUNT(columns); i++)
      if (!item_of(run, columns[i].key))
        cJSON_AddNullToObject(run, columns[i].key);
  }
  return VK_OK;
}

vk_status vk_run_rows(cJSON **rows, vk_catalog *catalog, const vk_run_filter *filter, vk_err *err)
{
  gathering g = {filter, cJSON_CreateArray()};
  vk_status st = g.rows ? vk_catalog_each_run(catalog, NULL, gather, &g, err)
                        : vk_fail(err, VK_E_NOMEM, "no memory for a list of runs");
  int64_t n_over = filter->n_last ? cJSON_GetArraySize(g.rows) - filter->n_last : 0;
  for (int64_t i = 0; i < n_over; i++)
    cJSON_DeleteItemFromArray(g.rows, 0);
  if (st == VK_OK)
    st = complete(g.rows, catalog, err);
  if (st == VK_OK)
    *rows = g.rows;
  else
    cJSON_Delete(g.rows);
  return st;
}

/* ---- for people ---- */

void vk_run_print_rate(const cJSON *run)
{
  const cJSON *ci95 = item_of(run, "ci95");
  double rate = number_of(run, "success_rate");
  if (isfinite(rate) && cJSON_GetArraySize(ci95) == 2)
    printf(", success %.1f %% (95 %%: %.1f to %.1f)", 100 * rate,
           100 * cJSON_GetArrayItem(ci95, 0)->valuedouble,
           100 * cJSON_GetArrayItem(ci95, 1)->valuedouble);
}

/* "expert on libero_goal, oft, T 1: 10 of 10 episodes": what was run, and what came of it. */
static void print_evaluation(const cJSON *run)
{
  const cJSON *config = item_of(run, "config");
  int n_scored = (int)number_of(run, "n_episode"), n_error = (int)number_of(run, "errors");
  int n_planned = (int)number_of(run, "n_planned"), n_done = n_scored + n_error;
  char trials[VK_REPORT_NOTE_SIZE];
  printf("  %s on %s, %s", vk_json_str(run, "policy"), vk_json_str(run, "suite"),
         vk_json_str(run, "protocol"));
  if (number_of(config, "sample") > 0)
    printf(", T %g", number_of(config, "sample"));
  printf("%s: ", vk_report_trials(config, trials));
  if (is_of(run, "collect"))
    printf("%.0f of %d demonstration%s, %d %s", number_of(run, "n_success"), n_planned,
           vk_plural(n_planned), n_done, n_done == 1 ? "try" : "tries");
  else
    printf("%d of %d episode%s", n_done, n_planned, vk_plural(n_planned));
  vk_run_print_rate(run);
  if (n_error)
    printf(", %d error%s", n_error, vk_plural(n_error));
}

void vk_run_print_result(const cJSON *run)
{
  double n_step = number_of(run, "n_step"), step = number_of(run, "step");
  double loss = number_of(run, "loss"), val_loss = number_of(run, "val_loss");
  double practice = number_of(run, "practice_success_rate");
  printf("step %.0f", step);
  if (isfinite(n_step))
    printf(" of %.0f", n_step);
  if (isfinite(loss))
    printf(", loss %.4f", loss);
  if (isfinite(val_loss))
    printf(", of held-out demonstrations %.4f", val_loss);
  vk_run_print_rate(run);
  if (isfinite(practice))
    printf(", success in practice %.1f %%", 100 * practice);
}

/* "sft of nano-n2, in FOLDER: step 20 of 20": what a training makes of what, and how far it is. */
void vk_run_print_train(const cJSON *run)
{
  const cJSON *config = item_of(run, "config"), *train = item_of(config, "train");
  const char *init = vk_json_str(train, "init");
  printf("%s of %s, in %s: ", vk_json_str(run, "method"),
         init[0] ? init : vk_json_str(train, "model"), vk_json_str(config, "out"));
  vk_run_print_result(run);
}

void vk_run_rows_print(const cJSON *rows)
{
  const cJSON *run;
  cJSON_ArrayForEach(run, rows)
  {
    if (run == rows->child)
      printf("%-8s  %-20s  %-11s  %-8s  %s\n", "run", "start", "state", "command", "what");
    printf("%-8s  %-20s  %-11s  %-8s", vk_json_str(run, "run"), vk_json_str(run, "start"),
           vk_json_str(run, "state"), vk_json_str(run, "command"));
    if (vk_json_str(run, "suite")[0])
      print_evaluation(run);
    if (is_of(run, "train")) {
      fputs("  ", stdout);
      vk_run_print_train(run);
    }
    putchar('\n');
  }
}

/* ---- CSV ---- */

static void export_item(const cJSON *item, bool is_last)
{
  char *text = cJSON_IsObject(item) ? cJSON_PrintUnformatted(item) : NULL;
  if (cJSON_IsNumber(item))
    vk_csv_number(item->valuedouble, is_last);
  else
    vk_csv_text(text ? text : cJSON_GetStringValue(item), is_last);
  cJSON_free(text);
}

void vk_run_rows_export(const cJSON *rows)
{
  const cJSON *run;
  for (size_t i = 0; i < VK_COUNT(columns); i++)
    vk_csv_text(columns[i].name, i + 1 == VK_COUNT(columns));
  cJSON_ArrayForEach(run, rows)
  {
    for (size_t i = 0; i < VK_COUNT(columns); i++) {
      const cJSON *item = item_of(run, columns[i].key);
      if (cJSON_IsArray(item))
        item = cJSON_GetArrayItem(item, columns[i].i);
      export_item(item, i + 1 == VK_COUNT(columns));
    }
  }
}
