/* report.h - an evaluation as the catalog holds it: what `eval` and `runs` print of it.
 * Test: tests/cmd/test_eval.sh, tests/cmd/test_eval_catalog.sh */
#ifndef VK_CMD_REPORT_H
#define VK_CMD_REPORT_H

#include "core/catalog.h"
#include "core/json.h"
#include "sim/pack.h"

enum { VK_REPORT_NOTE_SIZE = 256 };

typedef struct vk_report_episode {
  char task[VK_PACK_TASK_ID_SIZE];
  int i_task; /* of vk_report.task */
  int row, steps, n_unstable;
  bool success;
  char *error;           /* owned; NULL: scored */
  char state_sha256[65]; /* "": it did not run to its end; scored, it failed by that */
} vk_report_episode;

/* Sums over a task or a suite. */
typedef struct vk_report_sum {
  char name[VK_PACK_TASK_ID_SIZE];
  int n, n_success; /* scored episodes */
  int n_error;
  int64_t steps;
} vk_report_sum;

typedef struct vk_report {
  cJSON *head; /* what the run was, as `runs --json` prints it */
  int n_episode;
  vk_report_episode *episode; /* by task and row */
  int n_task, n_suite;
  vk_report_sum *task, *suite, all;
  int n_unstable; /* episodes in which the simulation reset itself and went on */
  int n_halted;   /* and scored ones in which it could not go on */
} vk_report;

/* A run as JSON: run, command, state, start, ..., and suite, policy, ... of an eval. */
cJSON *vk_report_run_json(const vk_run_row *row, const vk_evaluation_row *evaluation,
                          const vk_episode_sum *sum);

/* Reads a run and its episodes.
 *   order  [n_order] task ids in the order wanted; others follow by name and number
 * Errors: the catalog's, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_report_load(vk_report *report, vk_catalog *catalog, const char *id,
                                      int n_order, const char (*order)[VK_PACK_TASK_ID_SIZE],
                                      vk_err *err);
void vk_report_free(vk_report *report);

/* Text of a member of head, "" when it has none; a number, 0 when it has none. */
const char *vk_report_text(const vk_report *report, const char *key);
double vk_report_number(const vk_report *report, const char *key);

/* Tables by suite (and by task), what was evaluated, and the first errors; to stdout. */
void vk_report_print(const vk_report *report, bool by_task);

/* What its episodes are beside init rows as they are: ", held-out rows, camera perturbed (...)"; ""
 * for those. Returns text. */
const char *vk_report_trials(const cJSON *config, char text[VK_REPORT_NOTE_SIZE]);

/* What is to be said of all episodes beside their rates, as sentences: whether the policy was
 * trained on the first states that are scored, whether the simulation became unstable. The i-th,
 * from 0, in text; false: there are no more. */
bool vk_report_note(const vk_report *report, int i, char text[VK_REPORT_NOTE_SIZE]);

/* Adds n_episode n_success success_rate ci95 errors n_unstable n_halted per_suite per_task
 * episodes. */
void vk_report_add_json(cJSON *object, const vk_report *report);

#endif
