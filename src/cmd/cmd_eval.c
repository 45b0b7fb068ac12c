/* cmd_eval.c - vlakit eval: score a policy on the benchmark's tasks. */
#include <mujoco/mujoco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/eval_out.h"
#include "cmd/eval_plan.h"
#include "cmd/policies.h"
#include "cmd/record.h"
#include "cmd/report.h"
#include "cmd/run_rows.h"
#include "core/sys.h"
#include "rl/checkpoint.h"
#include "rl/evaluate.h"
#include "sim/model_cache.h"
#include "sim/visuals_choose.h"

typedef struct eval_args {
  const char *suite, *policy, *protocol, *resume, *film, *out, *visuals, *rows, *perturb;
  int64_t n_episode, row;
  double temperature;
  bool is_n_episode_given, is_row_given, is_temperature_given, by_task;
} eval_args;

enum { EPISODES_MAX = 100000, FEW_TASKS = 10, N_PROBE_STEP = 10 };

/* What drawing takes, measured: a film a thread and FFmpeg's libraries once, or pictures (of
 * failures, or what a policy sees) a thread. */
enum { FILM_BYTES = 26 << 20, FFMPEG_BYTES = 25 << 20, FRAME_BYTES = 4 << 20 };

static const eval_args defaults = {0};

/* Not "sampled": that is what training sees. */
static const char *const rows_names[] = {"eval", "held-out", NULL};

#define ARGS eval_args
static const vk_opt opts[] = {
    VK_OPT_I64_GIVEN(ARGS, "episodes", n_episode, is_n_episode_given, 1, EPISODES_MAX, "N", NULL,
                     "episodes a task (default: the protocol's)"),
    VK_OPT_STR(ARGS, "film", film, "all|failures|N|none",
               "films of these episodes, or of the first N of each task (default: none)"),
    VK_OPT_STR(ARGS, "out", out, "DIR", "folder for films, report.html and results.json"),
    VK_OPT_FLAG(ARGS, "per-task", by_task, "print a line a task, also when there are many"),
    VK_OPT_CHOICE(ARGS, "perturb", perturb, "camera|position|language", vk_perturb_names + 1,
                  "change this in every episode: camera by up to 3 cm and 3 degrees, position of "
                  "objects by 2 cm, language to other words"),
    VK_OPT_STR(ARGS, "policy", policy, "POLICY",
               "who acts: NAME, NAME:ARGUMENT or a trained policy's folder; list: show them"),
    VK_OPT_STR(ARGS, "protocol", protocol, "PROTOCOL",
               "oft, openpi or libero: waits, limits, seed (default: oft)"),
    VK_OPT_STR(ARGS, "resume", resume, "RUN", "go on with a run that did not end"),
    VK_OPT_I64_GIVEN(ARGS, "row", row, is_row_given, 0, EPISODES_MAX - 1, "K", NULL,
                     "only the episode of row K of each task"),
    VK_OPT_CHOICE(
        ARGS, "rows", rows, "eval|held-out", rows_names,
        "which first states: eval, the init rows (default: eval); held-out, resets that no "
        "training sees"),
    VK_OPT_F64_GIVEN(ARGS, "sample", temperature, is_temperature_given, 0, 100, "T", NULL,
                     "temperature at which a trained policy's actions are drawn; 0: greedy"),
    VK_OPT_STR(ARGS, "suite", suite, "SUITE",
               "a suite, libero130 (all five), SUITE/INDEX, a task's name, or a comma list"),
    VK_OPT_STR(ARGS, "visuals", visuals, "stand-in|original|FILE",
               "what pictures show (default: what the policy was trained on; else original when "
               "imported)"),
    VK_OPT_END,
};
#undef ARGS

typedef vk_eval_plan plan;

/* What runs it. */
typedef struct job {
  const vk_cmd_call *call;
  plan plan;
  vk_device device;
  vk_pool *pool;
  vk_policy policy;
  char protocol_hash[65];
  vk_record record;
  vk_log log;
  vk_progress progress;
  vk_eval_out out;
  int n_done, n_scored, n_success; /* of the whole run */
  bool was_done;                   /* it had ended already: its results are told again */
} job;

/* ---- the plan ---- */

static bool is_other_dir(const char *typed, const char *dir)
{
  char path[VK_FS_PATH_MAX];
  return vk_eval_out_path(path, typed, NULL) != VK_OK || strcmp(path, dir) != 0;
}

/* A folder may also be given as it was typed then, or from another one. */
static bool is_other_policy(const char *typed, const char *word)
{
  char absolute[VK_POLICY_WORD_MAX];
  return strcmp(typed, word) != 0 &&
         (vk_policy_word_absolute(absolute, typed, NULL) != VK_OK || strcmp(absolute, word) != 0);
}

static bool is_other_visuals(const char *typed, const char *word)
{
  char absolute[VK_FS_PATH_MAX];
  return strcmp(typed, word) != 0 &&
         (vk_visuals_word_absolute(absolute, typed, NULL) != VK_OK || strcmp(absolute, word) != 0);
}

/* Place of a word in a list that ends with NULL; 0 when it is not there. */
static int index_of(const char *word, const char *const *names)
{
  for (int i = 0; word && names[i]; i++)
    if (strcmp(word, names[i]) == 0)
      return i;
  return 0;
}

/* With --resume the record says what to run; what is typed as well must agree with it. */
static vk_status plan_from_record(job *j, const eval_args *args, vk_err *err)
{
  plan *p = &j->plan;
  const vk_common_args *common = j->call->common;
  const vk_report *r = &j->record.earlier;
  if (strcmp(vk_report_text(r, "command"), "eval") != 0)
    return vk_fail(err, VK_E_USAGE, "run %s is of vlakit %s, not an evaluation", args->resume,
                   vk_report_text(r, "command"));
  p->suite = vk_report_text(r, "suite");
  snprintf(p->policy_word, sizeof p->policy_word, "%s", vk_report_text(r, "policy"));
  p->policy_typed = p->policy_word;
  p->n_per_task = (int)vk_report_number(r, "episodes_per_task");
  p->seed = (uint32_t)vk_report_number(r, "seed");
  VK_TRY(vk_protocol_find(&p->protocol, vk_report_text(r, "protocol"), err));
  p->first_row = (int)vk_record_config_number(&j->record, "row");
  p->out = vk_record_config_text(&j->record, "out");
  p->film_word = vk_record_config_text(&j->record, "film");
  if (!p->film_word)
    p->film_word = "none";
  p->visuals_word = vk_record_config_text(&j->record, "visuals");
  const char *kind = vk_report_text(r, "visuals");
  if (!p->visuals_word && (strcmp(kind, "stand-in") == 0 || strcmp(kind, "original") == 0))
    p->visuals_before = kind;
  p->temperature = vk_record_config_number(&j->record, "sample");
  p->rows = index_of(vk_report_text(r, "rows"), vk_start_rows_names);
  p->perturb = index_of(vk_report_text(r, "perturb"), vk_perturb_names);
  p->is_out_late = !p->out && args->out;
  const char *differs = NULL;
  if (args->film && strcmp(args->film, p->film_word) != 0)
    differs = "--film";
  else if (args->visuals && (!p->visuals_word || is_other_visuals(args->visuals, p->visuals_word)))
    differs = "--visuals";
  else if (args->out && p->out && is_other_dir(args->out, p->out))
    differs = "--out";
  else if (args->is_row_given && args->row != p->first_row)
    differs = "--row";
  else if (args->rows && strcmp(args->rows, vk_start_rows_names[p->rows]) != 0)
    differs = "--rows";
  else if (args->perturb && strcmp(args->perturb, vk_perturb_names[p->perturb]) != 0)
    differs = "--perturb";
  else if (args->is_temperature_given && args->temperature != p->temperature)
    differs = "--sample";
  else if (args->suite && strcmp(args->suite, p->suite) != 0)
    differs = "--suite";
  else if (args->policy && is_other_policy(args->policy, p->policy_word))
    differs = "--policy";
  else if (args->protocol && strcmp(args->protocol, p->protocol->name) != 0)
    differs = "--protocol";
  else if (args->is_n_episode_given && args->n_episode != p->n_per_task)
    differs = "--episodes";
  else if (common->seed_given && common->seed != p->seed)
    differs = "--seed";
  if (differs)
    return vk_fail(
        err, VK_E_USAGE,
        "%s is not what run %s was started with; give --resume alone, or start a new run", differs,
        args->resume);
  if (p->is_out_late)
    p->out = args->out;
  return VK_OK;
}

static vk_status plan_from_options(job *j, const eval_args *args, vk_err *err)
{
  plan *p = &j->plan;
  const vk_common_args *common = j->call->common;
  if (!args->suite || !args->policy)
    return vk_fail(err, VK_E_USAGE,
                   "--suite and --policy are needed, or --resume; for example "
                   "vlakit eval --suite libero_goal --policy expert");
  VK_TRY(vk_protocol_find(&p->protocol, args->protocol ? args->protocol : "oft", err));
  p->suite = args->suite;
  p->policy_typed = args->policy;
  VK_TRY(vk_policy_word_absolute(p->policy_word, args->policy, err));
  p->temperature = args->temperature;
  p->rows = index_of(args->rows, vk_start_rows_names);
  p->perturb = index_of(args->perturb, vk_perturb_names);
  p->is_seed_given = common->seed_given;
  p->seed = common->seed_given ? (uint32_t)common->seed : p->protocol->seed;
  p->is_n_episode_given = args->is_n_episode_given;
  p->n_per_task = args->is_n_episode_given ? (int)args->n_episode : p->protocol->n_episode;
  if (args->is_row_given && args->is_n_episode_given)
    return vk_fail(err, VK_E_USAGE,
                   "--row and --episodes exclude each other: --row is one episode "
                   "of each task");
  if (args->is_row_given) {
    p->first_row = (int)args->row;
    p->n_per_task = 1;
  }
  p->out = args->out;
  p->film_word = args->film ? args->film : "none";
  p->visuals_word = args->visuals ? p->visuals_path : NULL;
  return args->visuals ? vk_visuals_word_absolute(p->visuals_path, args->visuals, err) : VK_OK;
}

/* Opens the pack and lays out tasks and episodes, task by task. */
static vk_status plan_episodes(job *j, vk_err *err)
{
  plan *p = &j->plan;
  VK_TRY(vk_pack_open(&p->pack, j->call->common->pack, err));
  p->task = calloc(p->pack.n_task + 1, sizeof *p->task);
  p->task_id = calloc(p->pack.n_task + 1, sizeof *p->task_id);
  if (!p->task || !p->task_id)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu tasks", p->pack.n_task);
  VK_TRY(vk_pack_find_tasks(&p->pack, p->suite, p->task, &p->n_task, err));
  for (uint32_t i = 0; i < p->n_task; i++) {
    const vk_pack_task *t = &p->pack.task[p->task[i]];
    vk_pack_task_id(&p->pack, t, p->task_id[i]);
    if (p->rows != VK_ROWS_EVAL) /* there is no end of them */
      continue;
    if (p->first_row > 0 && (uint32_t)p->first_row >= t->n_row)
      return vk_fail(err, VK_E_USAGE, "--row: task %s has init rows 0 to %u, row %d asked for",
                     p->task_id[i], t->n_row - 1, p->first_row);
    if ((uint32_t)p->n_per_task > t->n_row)
      return vk_fail(err, VK_E_USAGE,
                     "--episodes: task %s has %u init row%s, %d episodes asked for", p->task_id[i],
                     t->n_row, vk_plural(t->n_row), p->n_per_task);
  }
  p->n_total = (int)p->n_task * p->n_per_task;
  p->episode = calloc((size_t)p->n_total + 1, sizeof *p->episode);
  bool *is_done = calloc((size_t)p->n_total + 1, sizeof *is_done);
  if (!p->episode || !is_done) {
    free(is_done);
    return vk_fail(err, VK_E_NOMEM, "no memory for %d episodes", p->n_total);
  }
  for (int k = 0; k < j->record.earlier.n_episode; k++) {
    const vk_report_episode *e = &j->record.earlier.episode[k];
    for (uint32_t i = 0; i < p->n_task; i++)
      if (strcmp(e->task, p->task_id[i]) == 0 && e->row >= p->first_row &&
          e->row < p->first_row + p->n_per_task)
        is_done[(int)i * p->n_per_task + e->row - p->first_row] = true;
  }
  for (uint32_t i = 0; i < p->n_task; i++) {
    const vk_pack_task *t = &p->pack.task[p->task[i]];
    int n_step = vk_protocol_n_step(p->protocol, vk_pack_suite_of(&p->pack, t));
    for (int k = 0; k < p->n_per_task; k++)
      if (!is_done[(int)i * p->n_per_task + k]) {
        p->episode[p->n_episode++] = (vk_eval_episode){p->task[i], p->first_row + k};
        p->n_step_max += n_step + p->protocol->n_dummy;
      }
  }
  free(is_done);
  return VK_OK;
}

/* ---- the record ---- */

static cJSON *config_json(const job *j)
{
  const plan *p = &j->plan;
  const vk_common_args *common = j->call->common;
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "suite", p->suite);
  cJSON_AddStringToObject(o, "policy", p->policy_word);
  cJSON_AddStringToObject(o, "protocol", p->protocol->name);
  cJSON_AddNumberToObject(o, "episodes", p->n_per_task);
  if (p->first_row > 0)
    cJSON_AddNumberToObject(o, "row", p->first_row);
  cJSON_AddBoolToObject(o, "policy_sees_pictures", p->sees_pictures);
  cJSON_AddStringToObject(o, "rows", vk_start_rows_names[p->rows]);
  cJSON_AddStringToObject(o, "perturb", vk_perturb_names[p->perturb]);
  if (p->perturb != VK_PERTURB_NONE)
    cJSON_AddStringToObject(o, "perturb_size", vk_perturb_sizes[p->perturb]);
  if (j->policy.decoding[0]) {
    cJSON_AddNumberToObject(o, "sample", p->temperature);
    cJSON_AddStringToObject(o, "decoding", j->policy.decoding);
  }
  vk_eval_plan_add_match(p, &j->policy, o);
  cJSON_AddStringToObject(o, "film", p->film_word);
  if (p->out)
    cJSON_AddStringToObject(o, "out", j->out.dir);
  if (p->visuals_word)
    cJSON_AddStringToObject(o, "visuals", p->visuals_word);
  cJSON_AddNumberToObject(o, "seed", p->seed);
  cJSON_AddNumberToObject(o, "threads", vk_pool_n_thread(j->pool));
  cJSON_AddStringToObject(o, "isa", vk_isa_name(j->call->isa));
  cJSON_AddStringToObject(o, "device", common->device);
  cJSON_AddStringToObject(o, "pack", p->pack.path);
  return o;
}

static vk_status begin_record(job *j, vk_err *err)
{
  const plan *p = &j->plan;
  const vk_run_row row = {.command = "eval",
                          .pack_hash = p->pack.hash,
                          .policy_hash = j->policy.hash,
                          .protocol_hash = j->protocol_hash,
                          .n_thread = vk_pool_n_thread(j->pool)};
  const vk_evaluation_row evaluation = {.suite = p->suite,
                                        .policy = p->policy_word,
                                        .protocol = p->protocol->name,
                                        .rows = vk_start_rows_names[p->rows],
                                        .seed = p->seed,
                                        .is_seed_given = p->is_seed_given,
                                        .n_episode_per_task = p->n_per_task,
                                        .is_n_episode_given = p->is_n_episode_given,
                                        .n_episode = p->n_total};
  return vk_record_begin(&j->record, config_json(j), &row, p->has_visuals ? &p->visuals : NULL,
                         &evaluation, err);
}

/* Episodes of one run must come from the same things. */
static vk_status check_resumable(const job *j, vk_err *err)
{
  const plan *p = &j->plan;
  const vk_record_same same[] = {
      {"pack_hash", p->pack.hash, "the pack"},
      {"protocol_hash", j->protocol_hash, "the protocol"},
      {"policy_hash", j->policy.hash, "the policy"},
      {"visuals_hash",
       p->has_visuals ? p->visuals.hash : vk_report_text(&j->record.earlier, "visuals_hash"),
       "the visuals"},
      {"mujoco", mj_versionString(), "MuJoCo's version"},
  };
  return vk_record_check_same(&j->record, same, VK_COUNT(same), err);
}

static vk_status put_result(void *arg, const vk_eval_result *r, vk_err *err)
{
  job *j = arg;
  VK_TRY(vk_record_put_episode(&j->record, &j->plan.pack, j->plan.seed, r, err));
  j->n_done++;
  if (r->is_scored && r->status != VK_OK)
    vk_log_line(&j->log, "eval: %s; this counts as a failure", r->error.text);
  j->n_scored += r->is_scored;
  j->n_success += r->success;
  if (j->n_scored)
    vk_progress_set_note(&j->progress, "success %.1f %%", 100.0 * j->n_success / j->n_scored);
  vk_progress_add(&j->progress, 1);
  return VK_OK;
}

/* ---- running ---- */

static vk_eval_config eval_config(job *j, const char *cache_dir)
{
  return (vk_eval_config){.pack = &j->plan.pack,
                          .cache_dir = cache_dir,
                          .protocol = j->plan.protocol,
                          .seed = j->plan.seed,
                          .rows = j->plan.rows,
                          .perturb = j->plan.perturb,
                          .policy = &j->policy,
                          .visuals = j->plan.has_visuals ? &j->plan.visuals : NULL,
                          .pool = j->pool,
                          .isa = j->call->isa,
                          .n_episode = j->plan.n_episode,
                          .episode = j->plan.episode,
                          .put = put_result,
                          .arg = j,
                          .watch = j->out.film ? vk_film_watch(j->out.film) : NULL,
                          .progress = &j->progress,
                          .trace = j->record.trace};
}

/* Memory that the episodes to do will take, and how long each step and reset does. */
static vk_status estimate(job *j, int n_step, vk_eval_probe *probe, double *bytes, vk_err *err)
{
  char cache[VK_FS_PATH_MAX];
  vk_eval_config config = eval_config(j, vk_model_cache_dir(cache));
  *probe = (vk_eval_probe){0};
  if (j->plan.n_episode > 0)
    VK_TRY(vk_eval_probe_run(&config, n_step, probe, err));
  int n_thread = vk_pool_n_thread(j->pool);
  int n_env = n_thread < j->plan.n_episode ? n_thread : j->plan.n_episode;
  /* From task to task a thread keeps about as much again of what it had before. */
  int n_kept = j->plan.n_task > 1 ? 2 : 1;
  *bytes = (double)vk_sys_resident_bytes() + (double)probe->bytes * n_env * n_kept +
           (double)j->policy.thread_bytes * n_env;
  if (j->plan.film.kind != VK_FILM_NONE)
    *bytes += FFMPEG_BYTES + (double)FILM_BYTES * n_env;
  else if (j->plan.has_visuals)
    *bytes += (double)FRAME_BYTES * n_env;
  return VK_OK;
}

static vk_status print_dry_run(job *j, vk_err *err)
{
  vk_eval_probe probe;
  double bytes;
  VK_TRY(estimate(j, N_PROBE_STEP, &probe, &bytes, err));
  return vk_eval_plan_print(&j->plan, &j->policy, &probe, bytes, vk_pool_n_thread(j->pool),
                            j->call->common->json, err);
}

/* results.json and report.html; r.head is what --json prints. */
static vk_status write_out(const job *j, const vk_report *r, vk_err *err)
{
  char *repeat = vk_eval_plan_repeat(&j->plan, j->call->common->pack);
  if (!repeat)
    return vk_fail(err, VK_E_NOMEM, "no memory for the report");
  vk_status st = vk_eval_out_write(&j->out, r, r->head, &j->plan.pack, repeat, err);
  free(repeat);
  if (st != VK_OK)
    st = vk_err_prefix(err, "all results are kept (vlakit eval --resume %s writes the report)",
                       j->record.run.id);
  return st;
}

/* The run so far as one JSON object. */
static void add_json(const job *j, vk_report *r, double steps_per_s, double episodes_per_s)
{
  cJSON *o = r->head;
  cJSON_AddNumberToObject(o, "steps_per_s", steps_per_s);
  cJSON_AddNumberToObject(o, "episodes_per_s", episodes_per_s);
  if (j->plan.out)
    cJSON_AddStringToObject(o, "out", j->out.dir);
  if (j->out.film) {
    vk_film_stats films = vk_film_get_stats(j->out.film);
    cJSON_AddNumberToObject(o, "n_film", films.n_film);
    cJSON_AddNumberToObject(o, "n_film_failed", films.n_failed);
  }
  vk_report_add_json(o, r);
}

/* Says what is in the folder. */
static void print_out(const job *j)
{
  if (j->out.film && j->plan.film.kind != VK_FILM_NONE) {
    int n = vk_film_get_stats(j->out.film).n_film;
    printf("%s/report.html and %d new film%s\n", j->plan.out, n, vk_plural(n));
  } else {
    printf("%s/report.html\n", j->plan.out);
  }
}

/* That films are missing costs no result, but is no success either. */
static vk_status check_films(const job *j, vk_err *err)
{
  if (!j->out.film)
    return VK_OK;
  vk_film_stats films = vk_film_get_stats(j->out.film);
  if (films.n_failed == 0)
    return VK_OK;
  return vk_fail(err, films.first.code,
                 "all results are kept, but %d episode%s without film or picture: %s",
                 films.n_failed, films.n_failed == 1 ? " is" : "s are", films.first.text);
}

/* What rates are over. */
static double work_s(const vk_eval_stats *stats)
{
  return stats->wall_s > 0 ? stats->wall_s : 1;
}

/* How long it took, or that there was nothing to do. */
static void print_work(const job *j, const vk_report *r, const vk_eval_stats *stats, int n_now)
{
  int n_thread = vk_pool_n_thread(j->pool);
  char time[32];
  if (j->was_done) {
    printf("run %s is finished since %s: %d of %d episode%s", vk_report_text(r, "run"),
           vk_report_text(r, "end"), r->n_episode, j->plan.n_total, vk_plural(j->plan.n_total));
    vk_run_print_rate(r->head);
    puts("; no episode was left to run");
    return;
  }
  vk_progress_format_time(stats->wall_s, time, sizeof time);
  printf("%d episode%s in %s on %d thread%s: %.2f episodes/s, %.0f control steps/s\n", n_now,
         vk_plural(n_now), time, n_thread, vk_plural(n_thread), n_now / work_s(stats),
         (double)stats->n_step / work_s(stats));
}

/* st: how the evaluation ended; the report is also written of one that was interrupted. */
static vk_status report_result(job *j, const vk_eval_stats *stats, int n_now, vk_status st,
                               vk_err *err)
{
  const eval_args *args = j->call->args;
  const vk_common_args *common = j->call->common;
  vk_report r;
  vk_err other = VK_ERR_INIT;
  if (st != VK_OK && !j->plan.out)
    return st;
  vk_status loaded = vk_report_load(&r, j->record.catalog, j->record.run.id, (int)j->plan.n_task,
                                    (const char(*)[VK_PACK_TASK_ID_SIZE])j->plan.task_id, &other);
  if (loaded != VK_OK)
    return vk_first_failure(st, loaded, &other, err);
  bool is_ended = st == VK_OK;
  add_json(j, &r, (double)stats->n_step / work_s(stats), n_now / work_s(stats));
  if (is_ended && !common->json) {
    vk_report_print(&r, args->by_task || j->plan.n_task <= FEW_TASKS);
    print_work(j, &r, stats, n_now);
  }
  if (is_ended && common->json)
    st = vk_json_print(r.head, err);
  if (j->plan.out) {
    vk_status written = write_out(j, &r, &other);
    if (written == VK_OK && is_ended && !common->json)
      print_out(j);
    st = vk_first_failure(st, written, &other, err);
    st = vk_first_failure(st, check_films(j, &other), &other, err);
  }
  const char *first = NULL;
  for (int i = 0; i < r.n_episode && !first; i++)
    first = r.episode[i].error;
  if (st == VK_OK && r.all.n == 0 && first)
    st = vk_fail(err, VK_E_SIM, "no episode could be scored; the first of %d error%s: %s",
                 r.all.n_error, vk_plural(r.all.n_error), first);
  vk_report_free(&r);
  return st;
}

/* What is about to start, on stderr. What the first episode cannot do shows there. */
static void announce(job *j)
{
  vk_eval_probe probe;
  double bytes;
  int n_thread = vk_pool_n_thread(j->pool), n = j->plan.n_episode;
  if (estimate(j, 0, &probe, &bytes, NULL) == VK_OK)
    vk_log_line(&j->log, "eval %s: %d episode%s, %u task%s, %d thread%s, about %.0f MB",
                j->record.run.id, n, vk_plural(n), j->plan.n_task, vk_plural(j->plan.n_task),
                n_thread, vk_plural(n_thread), bytes / 1e6);
}

static vk_status open_out(job *j, vk_err *err)
{
  const plan *p = &j->plan;
  const eval_args *args = j->call->args;
  const vk_film_config config = {.pack = &p->pack,
                                 .protocol = p->protocol,
                                 .visuals = p->is_out_late ? NULL : &p->visuals,
                                 .isa = j->call->isa,
                                 .n_slot = vk_eval_n_slot(j->pool),
                                 .choice = p->film,
                                 .trace = j->record.trace};
  return vk_eval_out_open(&j->out, p->out, args->resume && !p->is_out_late, &config, err);
}

/* Opens or takes over the run's record, runs what is left and closes it. */
static vk_status run_job(job *j, vk_err *err)
{
  const eval_args *args = j->call->args;
  const vk_common_args *common = j->call->common;
  j->was_done = args->resume && strcmp(vk_report_text(&j->record.earlier, "state"), "done") == 0;
  bool is_quiet = common->quiet || j->was_done;
  VK_TRY(vk_record_start(&j->record, err));
  if (j->plan.out)
    VK_TRY(open_out(j, err));
  if (j->was_done) /* its results are printed again */
    snprintf(j->record.run.id, sizeof j->record.run.id, "%s", args->resume);
  else if (args->resume)
    VK_TRY(vk_record_go_on(&j->record, err));
  else
    VK_TRY(begin_record(j, err));
  if (!is_quiet)
    announce(j);
  char cache[VK_FS_PATH_MAX];
  vk_eval_config config = eval_config(j, vk_model_cache_dir(cache));
  vk_eval_stats stats = {0};
  int n_before = j->n_done;
  vk_progress_init(&j->progress, is_quiet ? NULL : &j->log, "eval", "episodes", j->plan.n_total,
                   n_before);
  vk_status st = vk_evaluate(&config, &stats, err);
  vk_progress_fini(&j->progress);
  if (!j->was_done)
    st = vk_record_end(&j->record, st, stats.wall_s, err);
  st = report_result(j, &stats, j->n_done - n_before, st, err);
  if (st == VK_E_INTERRUPTED)
    vk_fail(err, st,
            "interrupted: %d of %d episode%s %s in the catalog; go on with vlakit "
            "eval --resume %s",
            j->n_done, j->plan.n_total, vk_plural(j->plan.n_total), j->n_done == 1 ? "is" : "are",
            j->record.run.id);
  return vk_record_write_trace(&j->record, st, err);
}

/* A policy that cannot act in a task is better told now than by every episode. */
static vk_status check_suites(const job *j, vk_err *err)
{
  const plan *p = &j->plan;
  const vk_policy *policy = &j->policy;
  for (uint32_t i = 0; i < p->n_task && policy->def->check_suite; i++) {
    const char *suite = vk_pack_suite_of(&p->pack, &p->pack.task[p->task[i]]);
    if (policy->def->check_suite(policy->state, suite, err) != VK_OK)
      return vk_err_prefix(err, "policy %s, task %s", p->policy_typed, p->task_id[i]);
  }
  return VK_OK;
}

/* A score on pictures that a policy was not trained on says little of it. */
static void tell_differences(job *j)
{
  char text[VK_CHECKPOINT_TEXT];
  if (j->plan.sees_pictures && j->policy.source &&
      vk_checkpoint_differences(j->policy.source, &j->plan.visuals, &j->plan.pack, text)[0])
    vk_log_line(&j->log, "eval: policy %s was trained on %s", j->plan.policy_typed, text);
}

static vk_status prepare(job *j, vk_err *err)
{
  const eval_args *args = j->call->args;
  const vk_common_args *common = j->call->common;
  VK_TRY(vk_record_open(&j->record, j->call, args->resume, err));
  VK_TRY(args->resume ? plan_from_record(j, args, err) : plan_from_options(j, args, err));
  j->n_done = j->record.earlier.n_episode;
  j->n_scored = j->record.earlier.all.n;
  j->n_success = j->record.earlier.all.n_success;
  VK_TRY(plan_episodes(j, err));
  VK_TRY(vk_pool_new(&j->pool, (int)common->n_thread, err));
  const vk_policy_args policy_args = {.n_env = vk_eval_n_slot(j->pool),
                                      .seed = j->plan.seed,
                                      .temperature = j->plan.temperature,
                                      .isa = j->call->isa,
                                      .device = &j->device};
  VK_TRY(vk_device_open(&j->device, common->device, NULL, err));
  vk_status st = vk_policy_open(&j->policy, j->plan.policy_typed, &policy_args, err);
  VK_TRY(vk_record_explain_policy(j->call, j->plan.policy_typed, st, err));
  VK_TRY(check_suites(j, err));
  VK_TRY(vk_eval_plan_pictures(&j->plan, &j->policy, err));
  vk_protocol_hash(j->plan.protocol, j->plan.seed, vk_start_rows_names[j->plan.rows],
                   j->plan.perturb, j->protocol_hash);
  if (args->resume)
    VK_TRY(check_resumable(j, err));
  tell_differences(j);
  return VK_OK;
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  const eval_args *args = call->args;
  const vk_common_args *common = call->common;
  if (args->policy && strcmp(args->policy, "list") == 0)
    return vk_policies_list(common->json, err);
  job j = {.call = call};
  vk_log_init(&j.log, stderr);
  vk_status st = prepare(&j, err);
  if (st == VK_OK)
    st = common->dry_run ? print_dry_run(&j, err) : run_job(&j, err);
  vk_eval_out_close(&j.out);
  char note[VK_DEVICE_NOTE];
  while (vk_device_take_note(&j.device, note))
    vk_log_line(&j.log, "eval: %s", note);
  vk_log_fini(&j.log);
  vk_policy_close(&j.policy);
  vk_device_close(&j.device);
  vk_pool_free(j.pool);
  vk_record_close(&j.record);
  vk_eval_plan_free(&j.plan);
  return st;
}

const vk_cmd vk_cmd_eval = {
    .name = "eval",
    .flags = VK_CMD_LONG | VK_CMD_DEVICE,
    .summary = "score a policy on the benchmark's tasks",
    .synopsis = "--suite S --policy P [options] | --resume RUN",
    .description =
        "Runs N episodes of every task and prints success rates by suite with their 95 % Wilson "
        "intervals. Episode k of a task starts from its k-th init row after the k-th reset of a "
        "generator seeded once (in protocol libero twenty at a time share one), so what an episode "
        "sees depends on k alone: results do not change with the number of threads, with other "
        "tasks or with --resume.\n\n"
        "A protocol says how published numbers were taken; --episodes and --seed win over it:\n"
        "  oft     OpenVLA-OFT: seed 0, 10 waiting steps, 50 episodes; limits: spatial 220,\n"
        "          object 280, goal 300, libero_10 520, libero_90 400, other suites 600\n"
        "  openpi  openpi: as oft, with seed 7\n"
        "  libero  the paper's code: seed 10000, 5 waiting steps, 20 episodes, limit 600\n\n"
        "--rows held-out begins episodes from seeded resets that collect never makes, so that no "
        "policy was trained on them; there are as many as you ask for. --perturb changes every "
        "episode a little, by draws of its own from the seed: camera moves the agentview camera of "
        "policies that see pictures by up to 3 cm along and 3 degrees about each axis, position "
        "moves every object by up to 2 cm along x and y, language says the instruction in words "
        "that training never draws. Both are part of the run, of its protocol's hash and of its "
        "result; compare refuses runs that differ in them.\n\n"
        "A trained policy is a folder that vlakit train has written (a run's, whose last "
        "checkpoint "
        "is taken, or one of its checkpoints), a .safetensors file beside a config.json, or "
        "the name of one that comes with the program (bundled is the first of them). It sees "
        "pictures of --visuals (a line says when it was trained on others), and "
        "takes the median bins (or the most likely ones: \"greedy\" of "
        "its config.json) or, with --sample, draws them.\n\n"
        "Where a policy was trained on the rows that are scored (train_on_eval_rows), its results "
        "say so, in text, --json (trained_on_rows) and report.\n\n"
        "What an environment or a policy cannot do (a NaN as action, say) is an error of that "
        "episode: it is listed, is no failure of the policy, and is not in n. A simulation that "
        "becomes unstable resets itself and the episode goes on, as in the benchmark "
        "(n_unstable); one that cannot go on where the policy has brought it is a failure, as in "
        "published evaluations (n_halted). Every run is a row "
        "of the catalog, every episode too as soon as it ends; after Ctrl-C, a crash or a full "
        "disk, --resume goes on and ends with the same rows; of a run that is finished it tells "
        "the results again.\n\n"
        "With --out, a folder gets report.html (rates by task, failures with, for the four "
        "lowest rows of a task, pictures of their first and last step, the command that repeats "
        "each episode) and results.json (the object "
        "of --json). --film adds MP4 films of episodes: agentview and the wrist camera at the "
        "speed of the simulation, in films/SUITE/taskNN-rowNN-OUTCOME.mp4; --film 3 makes those "
        "of rows 0 to 2 of each task. --resume keeps the films that are there. A film that cannot "
        "be written (a full disk, say) costs no result: the run goes on, and ends with exit code 1 "
        "and the reason.",
    .examples =
        "  vlakit eval --suite libero130 --policy expert --episodes 1  # all tasks, once\n"
        "  vlakit eval --suite libero_goal/3 --policy random --json  # for scripts\n"
        "  vlakit eval --suite libero_10 --policy zero --dry-run  # how long, how much\n"
        "  vlakit eval --suite libero_goal --policy random --film failures --out goal\n"
        "  vlakit eval --suite libero_goal/3 --policy random --row 7 --film all --out row7\n"
        "  vlakit eval --suite libero_goal --policy runs/goal  # its last checkpoint\n"
        "  vlakit eval --policy list  # who can act\n",
    .opts = opts,
    .args_size = sizeof(eval_args),
    .args_default = &defaults,
    .common = VK_COMMON(VK_COMMON_CATALOG, VK_COMMON_DEVICE("where the policy's network runs"),
                        VK_COMMON_ISA, VK_COMMON_JSON, VK_COMMON_PACK, VK_COMMON_QUIET,
                        VK_COMMON_SEED_OF_PROTOCOL, VK_COMMON_THREADS),
    .run = run,
};
