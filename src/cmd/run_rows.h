/* run_rows.h - the runs of a catalog with what came of them: what `runs` lists and exports.
 * Test: tests/cmd/test_runs.sh */
#ifndef VK_CMD_RUN_ROWS_H
#define VK_CMD_RUN_ROWS_H

#include "cmd/report.h"

/* Which runs; NULL and 0: all. */
typedef struct vk_run_filter {
  const char *command, *suite, *policy; /* suite: a comma list, of which one does */
  int64_t n_last;                       /* the newest of those that pass the rest */
} vk_run_filter;

/* Gives an array of runs, oldest first, to be freed: each as vk_report_run_json with its results,
 * and null for what its command does not have. Results are success_rate and ci95 of an evaluation
 * and of the last one of a training; of a training also method, n_step (planned; null: not known),
 * step (of the last point), the last loss and val_loss, and practice_success_rate. Errors: the
 * catalog's, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_run_rows(cJSON **rows, vk_catalog *catalog, const vk_run_filter *filter,
                                   vk_err *err);

/* As vk_report_load, with these results in the head of a training's report. */
VK_NODISCARD vk_status vk_run_load(vk_report *report, vk_catalog *catalog, const char *id,
                                   vk_err *err);
bool vk_run_is_train(const vk_report *report);

/* Of a run with these results: "step 20 of 20, loss 1.2034, success 40.0 % (95 %: 16.8 to 68.7)",
 * from what is known; and before it "sft of nano-n2, in FOLDER: ". To stdout. */
void vk_run_print_result(const cJSON *run);
void vk_run_print_train(const cJSON *run);

/* ", success 40.0 % (95 %: 16.8 to 68.7)" of its success_rate and ci95; nothing where there is
 * none. */
void vk_run_print_rate(const cJSON *run);

/* A line a run, for people, and as CSV with a header; to stdout. */
void vk_run_rows_print(const cJSON *rows);
void vk_run_rows_export(const cJSON *rows);

#endif
