#include "cmd/record.h"

#include <mujoco/mujoco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cpu.h"
#include "core/version.h"
#include "rl/checkpoint.h"
#include "rl/policy_bundled.h"

enum { TRACE_SPANS_MAX = 4 << 20 };

void vk_record_print_word(FILE *out, const char *word)
{
  if (word[0] && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                    "0123456789_-+=:,./@%")]) {
    fputs(word, out);
    return;
  }
  putc('\'', out);
  for (; *word; word++)
    *word == '\'' ? fputs("'\\''", out) : putc(*word, out);
  putc('\'', out);
}

/* The command line with words quoted for a shell where needed; NULL: no memory. */
static char *command_line_text(const vk_cmd_call *call)
{
  char *text = NULL;
  size_t n = 0;
  FILE *out = open_memstream(&text, &n);
  if (!out)
    return NULL;
  fputs("vlakit", out);
  for (int i = 1; i < call->argc; i++) {
    putc(' ', out);
    vk_record_print_word(out, call->argv[i]);
  }
  bool is_lost = ferror(out);
  if (fclose(out) == 0 && !is_lost)
    return text;
  free(text);
  return NULL;
}

/* A folder where an id is expected: that of the run that wrote its checkpoint, if one is there. */
static vk_status fail_folder(const char *dir, vk_err *err)
{
  vk_checkpoint_info info;
  char run[VK_RUN_ID_SIZE] = "";
  if (vk_checkpoint_open(&info, dir, NULL) == VK_OK) {
    snprintf(run, sizeof run, "%.*s", VK_RUN_ID_SIZE - 1, info.source.run);
    vk_checkpoint_close(&info);
  }
  if (run[0])
    return vk_fail(err, VK_E_USAGE,
                   "--resume: %.200s is a folder, expected the id of a run; its checkpoint is of "
                   "run %s: --resume %s",
                   dir, run, run);
  return vk_fail(err, VK_E_USAGE,
                 "--resume: %.200s is a folder, expected the id of a run; `vlakit runs` lists them",
                 dir);
}

static vk_status open_earlier(vk_record *r, const char *resume, vk_err *err)
{
  const vk_common_args *common = r->call->common;
  VK_TRY(vk_catalog_open(&r->catalog, common->catalog,
                         common->dry_run ? VK_CATALOG_READ : VK_CATALOG_WRITE, err));
  return vk_report_load(&r->earlier, r->catalog, resume, 0, NULL, err);
}

vk_status vk_record_open(vk_record *r, const vk_cmd_call *call, const char *resume, vk_err *err)
{
  *r = (vk_record){.call = call};
  if (!resume)
    return VK_OK;
  vk_status st = open_earlier(r, resume, err);
  return st == VK_E_NOTFOUND && vk_fs_is_dir(resume) ? fail_folder(resume, err) : st;
}

/* A word that names nothing is a mistake of who typed it, whatever kind of word it is; what is
 * there and is no policy, or should have come with the program, is not. */
static vk_status blame_word(const char *word, vk_status st, vk_err *err)
{
  const char *colon = strchr(word, ':'), *path = colon ? colon + 1 : word;
  for (size_t i = 0; vk_policy_defs[i]; i++)
    if (strcmp(vk_policy_defs[i]->name, word) == 0) /* expert: what it needs is not installed */
      return st;
  if (st != VK_E_NOTFOUND || vk_bundled_is_name(path) || vk_fs_is_file(path) || vk_fs_is_dir(path))
    return st;
  if (err)
    err->code = VK_E_USAGE;
  return VK_E_USAGE;
}

vk_status vk_record_explain_policy(const vk_cmd_call *call, const char *word, vk_status st,
                                   vk_err *err)
{
  vk_catalog *catalog = NULL;
  vk_report run = {0};
  char last[VK_FS_PATH_MAX];
  st = blame_word(word, st, err);
  if (st == VK_OK || strlen(word) != VK_RUN_ID_SIZE - 1 || vk_fs_is_dir(word))
    return st;
  if (vk_catalog_open(&catalog, call->common->catalog, VK_CATALOG_READ, NULL) != VK_OK)
    return st;
  if (vk_report_load(&run, catalog, word, 0, NULL, NULL) == VK_OK) {
    const cJSON *config = cJSON_GetObjectItemCaseSensitive(run.head, "config");
    const char *out = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(config, "out"));
    bool is_train = strcmp(vk_report_text(&run, "command"), "train") == 0 && out;
    snprintf(last, sizeof last, "%.4000s/checkpoints/last", is_train ? out : "");
    if (!is_train)
      st = vk_fail(err, st, "%s is a run of vlakit %s, and a policy is what one of train has made",
                   word, vk_report_text(&run, "command"));
    else if (vk_fs_is_dir(last))
      st = vk_fail(err, st, "%s is a run, and a trained policy is named by its folder: give %s",
                   word, out);
    else
      st = vk_fail(err, st, "%s is a run without a checkpoint: there is no %s", word, last);
  }
  vk_report_free(&run);
  vk_catalog_close(catalog);
  return st;
}

void vk_record_close(vk_record *r)
{
  vk_trace_free(r->trace);
  vk_report_free(&r->earlier);
  vk_catalog_close(r->catalog);
  *r = (vk_record){0};
}

static const cJSON *config_item(const vk_record *r, const char *key)
{
  const cJSON *config = cJSON_GetObjectItemCaseSensitive(r->earlier.head, "config");
  return cJSON_GetObjectItemCaseSensitive(config, key);
}

const char *vk_record_config_text(const vk_record *r, const char *key)
{
  return cJSON_GetStringValue(config_item(r, key));
}

double vk_record_config_number(const vk_record *r, const char *key)
{
  const cJSON *item = config_item(r, key);
  return cJSON_IsNumber(item) ? item->valuedouble : cJSON_IsTrue(item);
}

vk_status vk_record_check_same(const vk_record *r, const vk_record_same *same, size_t n,
                               vk_err *err)
{
  for (size_t i = 0; i < n; i++) {
    const char *then = vk_report_text(&r->earlier, same[i].key);
    if (strcmp(then, same[i].now) != 0)
      return vk_fail(err, VK_E_MISMATCH,
                     "run %s was started with another state of %s (%.12s, now %.12s); start a new "
                     "run",
                     vk_report_text(&r->earlier, "run"), same[i].what, then, same[i].now);
  }
  return VK_OK;
}

vk_status vk_record_start(vk_record *r, vk_err *err)
{
  const vk_common_args *common = r->call->common;
  if (!r->catalog)
    VK_TRY(vk_catalog_open(&r->catalog, common->catalog, VK_CATALOG_WRITE, err));
  return common->trace ? vk_trace_new(&r->trace, common->trace, TRACE_SPANS_MAX, err) : VK_OK;
}

/* Adds the row of a new run; what is the same for all commands is filled in. */
static vk_status add_row(vk_record *r, const char *config, const vk_run_row *given,
                         const vk_visuals *visuals, const vk_evaluation_row *evaluation,
                         vk_err *err)
{
  char version[64], machine[160], pictures[160] = "none";
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  snprintf(version, sizeof version, "%s (%s)", vk_version(), vk_version_commit());
  long page = sysconf(_SC_PAGESIZE), n_page = sysconf(_SC_PHYS_PAGES);
  snprintf(machine, sizeof machine, "%s, %d processor%s, %.0f GB",
           cpu.name[0] ? cpu.name : "unknown processor", vk_cpu_count(), vk_plural(vk_cpu_count()),
           (double)page * (double)n_page / 1e9);
  if (visuals)
    snprintf(pictures, sizeof pictures, "%s %s", visuals->name, visuals->hash);
  char *line = command_line_text(r->call);
  if (!line)
    return vk_fail(err, VK_E_NOMEM, "no memory for the run's record");
  vk_run_row row = *given;
  row.command_line = line;
  row.config = config;
  row.version = version;
  row.mujoco = mj_versionString();
  row.isa = vk_isa_name(r->call->isa);
  row.machine = machine;
  row.visuals = pictures;
  vk_status st = vk_run_begin(&r->run, r->catalog, &row, evaluation, err);
  free(line);
  return st;
}

vk_status vk_record_begin(vk_record *r, cJSON *config, const vk_run_row *row,
                          const vk_visuals *visuals, const vk_evaluation_row *evaluation,
                          vk_err *err)
{
  char *text = NULL;
  vk_status st = vk_json_text(&text, config, err);
  cJSON_Delete(config);
  if (st == VK_OK)
    st = add_row(r, text, row, visuals, evaluation, err);
  cJSON_free(text);
  return st;
}

vk_status vk_record_go_on(vk_record *r, vk_err *err)
{
  return vk_run_resume(&r->run, r->catalog, vk_report_text(&r->earlier, "run"), err);
}

vk_status vk_record_put_episode(vk_record *r, const vk_pack *pack, uint32_t seed,
                                const vk_eval_result *result, vk_err *err)
{
  char id[VK_PACK_TASK_ID_SIZE];
  vk_pack_task_id(pack, &pack->task[result->episode.i_task], id);
  bool has_state = result->state_sha256[0] != '\0';
  const vk_episode_row row = {.task = id,
                              .row = result->episode.row,
                              .seed = seed,
                              .success = result->success,
                              .steps = result->steps,
                              .error = result->is_scored ? NULL : result->error.text,
                              .state_sha256 = has_state ? result->state_sha256 : NULL,
                              .n_unstable = result->n_unstable,
                              .wall_s = result->wall_s};
  vk_status st = vk_run_put_episode(&r->run, &row, err);
  return st == VK_OK ? st : vk_err_prefix(err, "run %s", r->run.id);
}

vk_status vk_first_failure(vk_status st, vk_status next, const vk_err *why, vk_err *err)
{
  if (st != VK_OK || next == VK_OK)
    return st;
  if (err)
    *err = *why;
  return next;
}

vk_status vk_record_end(vk_record *r, vk_status st, double wall_s, vk_err *err)
{
  vk_err other = VK_ERR_INIT;
  vk_status ended = vk_run_finish(&r->run, st, err, wall_s, &other);
  return vk_first_failure(st, ended, &other, err);
}

vk_status vk_record_write_trace(const vk_record *r, vk_status st, vk_err *err)
{
  vk_err other = VK_ERR_INIT;
  return r->trace ? vk_first_failure(st, vk_trace_write(r->trace, &other), &other, err) : st;
}
