/* run_rows.h - the runs of a catalog with what came of them: what `runs` lists and exports.
 * Test: tests/cmd/test_runs.sh */
#ifndef VK_CMD_RUN_ROWS_H
#define VK_CMD_RUN_ROWS_H

#include "core/catalog.h"
#include "core/json.h"

/* Which runs; NULL and 0: all. */
typedef struct vk_run_filter {
  const char *command, *suite, *policy;
  int64_t n_last; /* the newest of those that pass the rest */
} vk_run_filter;

/* Gives an array of runs, oldest first, to be freed: each as vk_report_run_json with its results
 * (vk_run_add_train, or success_rate and ci95 of an evaluation), and null for what its command does
 * not have. Errors: the catalog's, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_run_rows(cJSON **rows, vk_catalog *catalog, const vk_run_filter *filter,
                                   vk_err *err);

/* Adds the results of a training run to run, vk_report_run_json of it: method, n_step (planned;
 * null: not known), step (of the last point), the last loss and val_loss, success_rate and ci95
 * of the last evaluation, practice_success_rate; null for what there is none of. Errors: the
 * catalog's. */
VK_NODISCARD vk_status vk_run_add_train(cJSON *run, vk_catalog *catalog, vk_err *err);

/* "step 20 of 20, loss 1.2034, success 40.0 % (95 %: 16.8 to 68.7)", to stdout: of a run with these
 * results, from what is known. */
void vk_run_print_train(const cJSON *run);

/* A line a run, for people, and as CSV with a header; to stdout. */
void vk_run_rows_print(const cJSON *rows);
void vk_run_rows_export(const cJSON *rows);

#endif
