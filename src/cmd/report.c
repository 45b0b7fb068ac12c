#include "cmd/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/stats.h"

enum { N_ERROR_SHOWN = 5 };

/* ---- reading ---- */

static void add_text(cJSON *object, const char *key, const char *text)
{
  if (text && text[0])
    cJSON_AddStringToObject(object, key, text);
  else
    cJSON_AddNullToObject(object, key);
}

/* "NAME HASH", or a name alone. */
static void add_visuals(cJSON *object, const char *visuals)
{
  char name[64];
  size_t n = strcspn(visuals, " ");
  snprintf(name, sizeof name, "%.*s", (int)n, visuals);
  add_text(object, "visuals", name);
  add_text(object, "visuals_hash", visuals[n] ? visuals + n + 1 : NULL);
}

/* What the catalog has no column for: "" and null are the same. */
static void add_config_text(cJSON *o, const char *key)
{
  const cJSON *config = cJSON_GetObjectItemCaseSensitive(o, "config");
  add_text(o, key, cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, key)));
}

static void add_config_bool(cJSON *o, const char *key)
{
  const cJSON *config = cJSON_GetObjectItemCaseSensitive(o, "config");
  const cJSON *value = cJSON_GetObjectItemCaseSensitive(config, key);
  cJSON_AddItemToObject(
      o, key, cJSON_IsBool(value) ? cJSON_CreateBool(cJSON_IsTrue(value)) : cJSON_CreateNull());
}

cJSON *vk_report_run_json(const vk_run_row *row, const vk_evaluation_row *evaluation,
                          const vk_episode_sum *sum)
{
  cJSON *o = cJSON_CreateObject();
  add_text(o, "run", row->id);
  add_text(o, "command", row->command);
  add_text(o, "state", row->state);
  add_text(o, "error", row->error);
  add_text(o, "start", row->start_utc);
  add_text(o, "end", row->end_utc);
  cJSON_AddNumberToObject(o, "wall_s", row->wall_s);
  add_text(o, "command_line", row->command_line);
  cJSON *config = cJSON_Parse(row->config);
  cJSON_AddItemToObject(o, "config", config ? config : cJSON_CreateNull());
  cJSON_AddNumberToObject(o, "threads", row->n_thread);
  add_text(o, "isa", row->isa);
  add_text(o, "machine", row->machine);
  add_text(o, "version", row->version);
  add_text(o, "mujoco", row->mujoco);
  add_text(o, "pack_hash", row->pack_hash);
  add_text(o, "policy_hash", row->policy_hash);
  add_text(o, "protocol_hash", row->protocol_hash);
  add_visuals(o, row->visuals);
  if (!evaluation)
    return o;
  add_text(o, "suite", evaluation->suite);
  add_text(o, "policy", evaluation->policy);
  add_config_text(o, "decoding"); /* of a trained policy */
  add_text(o, "protocol", evaluation->protocol);
  add_text(o, "rows", evaluation->rows);
  add_config_text(o, "perturb");
  add_config_text(o, "perturb_size");
  add_config_bool(o, "visuals_match"); /* whether the policy was trained on them; null: not known */
  add_config_bool(o, "pack_match");
  add_config_bool(o, "trained_on_rows"); /* the rows that are scored; null: not known */
  cJSON_AddNumberToObject(o, "seed", (double)evaluation->seed);
  cJSON_AddBoolToObject(o, "seed_given", evaluation->is_seed_given);
  cJSON_AddNumberToObject(o, "episodes_per_task", evaluation->n_episode_per_task);
  cJSON_AddBoolToObject(o, "episodes_given", evaluation->is_n_episode_given);
  cJSON_AddNumberToObject(o, "n_planned", evaluation->n_episode);
  cJSON_AddNumberToObject(o, "n_episode", sum->n_scored);
  cJSON_AddNumberToObject(o, "n_success", sum->n_success);
  cJSON_AddNumberToObject(o, "errors", sum->n_error);
  return o;
}

static vk_status take_head(void *arg, const vk_run_row *row, const vk_evaluation_row *evaluation,
                           const vk_episode_sum *sum, vk_err *err)
{
  vk_report *r = arg;
  r->head = vk_report_run_json(row, evaluation, sum);
  size_t n = (size_t)(sum->n_scored + sum->n_error);
  r->episode = calloc(n + 1, sizeof *r->episode);
  r->task = calloc(n + 1, sizeof *r->task);
  r->suite = calloc(n + 1, sizeof *r->suite);
  if (!r->head || !r->episode || !r->task || !r->suite)
    return vk_fail(err, VK_E_NOMEM, "run %s: no memory for %zu episodes", row->id, n);
  r->n_task = (int)n; /* for now: room */
  return VK_OK;
}

static vk_status take_episode(void *arg, const vk_episode_row *row, vk_err *err)
{
  vk_report *r = arg;
  if (r->n_episode == r->n_task) /* another process is adding to the run */
    return VK_OK;
  vk_report_episode *e = &r->episode[r->n_episode++];
  snprintf(e->task, sizeof e->task, "%s", row->task);
  e->row = row->row;
  e->steps = row->steps;
  e->n_unstable = row->n_unstable;
  e->success = row->success;
  snprintf(e->state_sha256, sizeof e->state_sha256, "%s",
           row->state_sha256 ? row->state_sha256 : "");
  if (row->error && !(e->error = strdup(row->error)))
    return vk_fail(err, VK_E_NOMEM, "no memory for an episode");
  return VK_OK;
}

/* Order by name, then by the number after the slash, then by row. */
static int compare_episodes(const void *a, const void *b)
{
  const vk_report_episode *x = a, *y = b;
  if (x->i_task != y->i_task)
    return x->i_task < y->i_task ? -1 : 1;
  size_t nx = strcspn(x->task, "/"), ny = strcspn(y->task, "/");
  int by_suite = strncmp(x->task, y->task, nx < ny ? ny : nx);
  if (nx != ny || by_suite)
    return by_suite;
  long ix = x->task[nx] ? atol(x->task + nx + 1) : 0, iy = y->task[ny] ? atol(y->task + ny + 1) : 0;
  if (ix != iy)
    return ix < iy ? -1 : 1;
  return (x->row > y->row) - (x->row < y->row);
}

static void add_to_sum(vk_report_sum *sum, const vk_report_episode *e)
{
  if (e->error) {
    sum->n_error++;
    return;
  }
  sum->n++;
  sum->n_success += e->success;
  sum->steps += e->steps;
}

/* The sum of that name, which is the last one or a new one, or for suites any earlier one. */
static vk_report_sum *find_sum(vk_report_sum *sums, int *n, const char *name, size_t n_name)
{
  for (int i = *n - 1; i >= 0; i--)
    if (strlen(sums[i].name) == n_name && strncmp(sums[i].name, name, n_name) == 0)
      return &sums[i];
  vk_report_sum *sum = &sums[(*n)++];
  snprintf(sum->name, sizeof sum->name, "%.*s", (int)n_name, name);
  return sum;
}

static void sum_up(vk_report *r)
{
  snprintf(r->all.name, sizeof r->all.name, "all");
  r->n_task = 0;
  for (int i = 0; i < r->n_episode; i++) {
    vk_report_episode *e = &r->episode[i];
    vk_report_sum *task = find_sum(r->task, &r->n_task, e->task, strlen(e->task));
    e->i_task = (int)(task - r->task);
    add_to_sum(task, e);
    add_to_sum(find_sum(r->suite, &r->n_suite, e->task, strcspn(e->task, "/")), e);
    add_to_sum(&r->all, e);
    r->n_unstable += e->n_unstable > 0;
    r->n_halted += !e->error && !e->state_sha256[0];
  }
}

vk_status vk_report_load(vk_report *r, vk_catalog *catalog, const char *id, int n_order,
                         const char (*order)[VK_PACK_TASK_ID_SIZE], vk_err *err)
{
  *r = (vk_report){0};
  vk_status st = vk_catalog_each_run(catalog, id, take_head, r, err);
  if (st == VK_OK)
    st = vk_catalog_each_episode(catalog, id, take_episode, r, err);
  if (st != VK_OK) {
    vk_report_free(r);
    return st;
  }
  for (int i = 0; i < r->n_episode; i++) {
    int k = 0;
    while (k < n_order && strcmp(order[k], r->episode[i].task) != 0)
      k++;
    r->episode[i].i_task = k;
  }
  qsort(r->episode, (size_t)r->n_episode, sizeof *r->episode, compare_episodes);
  sum_up(r);
  return VK_OK;
}

void vk_report_free(vk_report *r)
{
  for (int i = 0; i < r->n_episode; i++)
    free(r->episode[i].error);
  free(r->episode);
  free(r->task);
  free(r->suite);
  cJSON_Delete(r->head);
  *r = (vk_report){0};
}

const char *vk_report_text(const vk_report *report, const char *key)
{
  return vk_json_str(report->head, key);
}

double vk_report_number(const vk_report *report, const char *key)
{
  const cJSON *item = cJSON_GetObjectItemCaseSensitive(report->head, key);
  return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

/* ---- text ---- */

static void print_sum(const vk_report_sum *s, int width, bool with_steps)
{
  double lo, hi;
  vk_stats_wilson(s->n_success, s->n, VK_STATS_Z95, &lo, &hi);
  printf("%-*s %6d %8d", width, s->name, s->n, s->n_success);
  if (s->n)
    printf(" %7.2f %% %7.2f - %6.2f %%", 100.0 * s->n_success / s->n, 100 * lo, 100 * hi);
  else
    printf(" %9s %18s", "-", "-");
  if (with_steps && s->n)
    printf(" %9.1f", (double)s->steps / s->n);
  if (s->n_error)
    printf("   %d error%s", s->n_error, vk_plural(s->n_error));
  putchar('\n');
}

static void print_errors(const vk_report *r)
{
  int n_shown = 0;
  for (int i = 0; i < r->n_episode && n_shown < N_ERROR_SHOWN; i++)
    if (r->episode[i].error) {
      printf("error: %s\n", r->episode[i].error);
      n_shown++;
    }
  if (r->all.n_error > n_shown)
    printf("and %d more error%s: vlakit runs %s --json\n", r->all.n_error - n_shown,
           vk_plural(r->all.n_error - n_shown), vk_report_text(r, "run"));
}

static const char *config_text(const cJSON *config, const char *key)
{
  const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, key));
  return text ? text : "";
}

const char *vk_report_trials(const cJSON *config, char text[VK_REPORT_NOTE_SIZE])
{
  const char *perturb = config_text(config, "perturb"), *size = config_text(config, "perturb_size");
  int n = 0;
  text[0] = '\0';
  if (strcmp(config_text(config, "rows"), "held-out") == 0)
    n = snprintf(text, VK_REPORT_NOTE_SIZE, ", held-out rows");
  if (perturb[0] && strcmp(perturb, "none") != 0)
    snprintf(text + n, VK_REPORT_NOTE_SIZE - (size_t)n, ", %.40s perturbed%s%.100s%s", perturb,
             size[0] ? " (" : "", size, size[0] ? ")" : "");
  return text;
}

/* Whether the policy was trained on the first states that are scored; "": it was not, or it was not
 * trained. */
static const char *rows_note(const vk_report *r)
{
  const cJSON *seen = cJSON_GetObjectItemCaseSensitive(r->head, "trained_on_rows");
  if (cJSON_IsTrue(seen))
    return "the policy was trained on the init rows that are scored here: --rows held-out tells "
           "how "
           "it does from others";
  if (!cJSON_IsBool(seen) && vk_report_text(r, "decoding")[0])
    return "whether the policy was trained on the init rows that are scored here is not known";
  return "";
}

bool vk_report_note(const vk_report *r, int i, char text[VK_REPORT_NOTE_SIZE])
{
  int n = 0;
  if (rows_note(r)[0] && n++ == i)
    snprintf(text, VK_REPORT_NOTE_SIZE, "%s", rows_note(r));
  if (r->n_unstable && n++ == i)
    snprintf(text, VK_REPORT_NOTE_SIZE,
             "in %d episode%s the simulation became unstable, reset itself and went on, as in the "
             "benchmark",
             r->n_unstable, vk_plural(r->n_unstable));
  if (r->n_halted && n++ == i)
    snprintf(text, VK_REPORT_NOTE_SIZE,
             "in %d episode%s the simulation became unstable and could not go on: %s", r->n_halted,
             vk_plural(r->n_halted), r->n_halted == 1 ? "a failure" : "failures");
  return i < n;
}

void vk_report_print(const vk_report *r, bool by_task)
{
  int width = 14;
  for (int i = 0; i < (by_task ? r->n_task : r->n_suite); i++) {
    int n = (int)strlen(by_task ? r->task[i].name : r->suite[i].name);
    width = n > width ? n : width;
  }
  if (by_task) {
    printf("%-*s %6s %8s %9s %18s %9s\n", width, "task", "n", "success", "rate", "95 % interval",
           "steps");
    for (int i = 0; i < r->n_task; i++)
      print_sum(&r->task[i], width, true);
    putchar('\n');
  }
  printf("%-*s %6s %8s %9s %18s\n", width, "suite", "n", "success", "rate", "95 % interval");
  for (int i = 0; i < r->n_suite; i++)
    print_sum(&r->suite[i], width, false);
  if (r->n_suite > 1)
    print_sum(&r->all, width, false);
  const char *decoding = vk_report_text(r, "decoding");
  printf("\nrun %s: policy %s (%.12s)%s%s, protocol %s (%.12s), seed %.0f, pack %.12s, visuals %s",
         vk_report_text(r, "run"), vk_report_text(r, "policy"), vk_report_text(r, "policy_hash"),
         decoding[0] ? " " : "", decoding, vk_report_text(r, "protocol"),
         vk_report_text(r, "protocol_hash"), vk_report_number(r, "seed"),
         vk_report_text(r, "pack_hash"), vk_report_text(r, "visuals"));
  if (vk_report_text(r, "visuals_hash")[0])
    printf(" (%.12s)", vk_report_text(r, "visuals_hash"));
  char trials[VK_REPORT_NOTE_SIZE], note[VK_REPORT_NOTE_SIZE];
  puts(vk_report_trials(cJSON_GetObjectItemCaseSensitive(r->head, "config"), trials));
  for (int i = 0; vk_report_note(r, i, note); i++)
    puts(note);
  print_errors(r);
}

/* ---- JSON ---- */

static void add_sum_json(cJSON *o, const vk_report_sum *s)
{
  double lo, hi;
  vk_stats_wilson(s->n_success, s->n, VK_STATS_Z95, &lo, &hi);
  cJSON_AddItemToObject(o, "success_rate",
                        s->n ? cJSON_CreateNumber((double)s->n_success / s->n)
                             : cJSON_CreateNull());
  const double ci95[2] = {lo, hi};
  cJSON_AddItemToObject(o, "ci95", cJSON_CreateDoubleArray(ci95, 2));
  cJSON_AddNumberToObject(o, "errors", s->n_error);
}

static cJSON *task_json(const vk_report_sum *s)
{
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "task", s->name);
  cJSON_AddNumberToObject(o, "n", s->n);
  cJSON_AddNumberToObject(o, "success", s->n_success);
  cJSON_AddItemToObject(o, "mean_steps",
                        s->n ? cJSON_CreateNumber((double)s->steps / s->n) : cJSON_CreateNull());
  add_sum_json(o, s);
  return o;
}

static cJSON *episode_json(const vk_report_episode *e)
{
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "task", e->task);
  cJSON_AddNumberToObject(o, "row", e->row);
  if (e->error)
    cJSON_AddNullToObject(o, "success");
  else
    cJSON_AddBoolToObject(o, "success", e->success);
  cJSON_AddNumberToObject(o, "steps", e->steps);
  add_text(o, "error", e->error);
  add_text(o, "state_sha256", e->state_sha256);
  cJSON_AddNumberToObject(o, "n_unstable", e->n_unstable);
  cJSON_AddBoolToObject(o, "halted", !e->error && !e->state_sha256[0]);
  return o;
}

void vk_report_add_json(cJSON *object, const vk_report *r)
{
  /* head has them too: counted by the catalog, and the same unless the run is still going on */
  static const char *const recounted[] = {"n_episode", "n_success", "errors"};
  for (size_t i = 0; i < VK_COUNT(recounted); i++)
    cJSON_DeleteItemFromObjectCaseSensitive(object, recounted[i]);
  cJSON_AddNumberToObject(object, "n_episode", r->all.n);
  cJSON_AddNumberToObject(object, "n_success", r->all.n_success);
  add_sum_json(object, &r->all);
  cJSON_AddNumberToObject(object, "n_unstable", r->n_unstable);
  cJSON_AddNumberToObject(object, "n_halted", r->n_halted);
  cJSON *suites = cJSON_AddObjectToObject(object, "per_suite");
  for (int i = 0; i < r->n_suite; i++) {
    cJSON *o = cJSON_AddObjectToObject(suites, r->suite[i].name);
    cJSON_AddNumberToObject(o, "n", r->suite[i].n);
    cJSON_AddNumberToObject(o, "success", r->suite[i].n_success);
    add_sum_json(o, &r->suite[i]);
  }
  cJSON *tasks = cJSON_AddArrayToObject(object, "per_task");
  for (int i = 0; i < r->n_task; i++)
    cJSON_AddItemToArray(tasks, task_json(&r->task[i]));
  cJSON *episodes = cJSON_AddArrayToObject(object, "episodes");
  for (int i = 0; i < r->n_episode; i++)
    cJSON_AddItemToArray(episodes, episode_json(&r->episode[i]));
}
