/* record.h - the catalog's row of a command that runs long: what is the same for all of them.
 *
 * A command opens the record (which with --resume reads what is there), plans, and begins the run
 * or goes on with it; results are put as they come, and the record is ended, and closed in any
 * case. Test: tests/cmd/test_eval_catalog.sh, tests/cmd/test_collect.sh,
 * tests/cmd/test_eval_checkpoint.sh */
#ifndef VK_CMD_RECORD_H
#define VK_CMD_RECORD_H

#include <stdio.h>

#include "cmd/cmd.h"
#include "cmd/report.h"
#include "core/trace.h"
#include "rl/evaluate.h"
#include "sim/visuals.h"

typedef struct vk_record {
  const vk_cmd_call *call;
  vk_catalog *catalog; /* NULL: not open yet */
  vk_report earlier;   /* the run as it was when it was resumed; head NULL: a new run */
  vk_run run;
  vk_trace *trace; /* NULL: off */
} vk_record;

/* resume NULL: a new run, for which the catalog is not touched yet. Errors: the catalog's;
 * VK_E_USAGE: a folder where an id is expected. */
VK_NODISCARD vk_status vk_record_open(vk_record *record, const vk_cmd_call *call,
                                      const char *resume, vk_err *err);
/* A zeroed one is allowed. */
void vk_record_close(vk_record *record);

/* Of a resumed run's options: a text, NULL when it has none; a number (1 for true), 0
 * when it has none. */
const char *vk_record_config_text(const vk_record *record, const char *key);
double vk_record_config_number(const vk_record *record, const char *key);

/* What all episodes of a run must come from: a member of the report's head, and what it is now. */
typedef struct vk_record_same {
  const char *key, *now, *what;
} vk_record_same;

/* Whether a resumed run can go on. Errors: VK_E_MISMATCH with what has changed since. */
VK_NODISCARD vk_status vk_record_check_same(const vk_record *record, const vk_record_same *same,
                                            size_t n, vk_err *err);

/* Opens the catalog for writing, where it is not, and --trace: before anything else is written.
 * Errors: the catalog's, vk_trace_new's. */
VK_NODISCARD vk_status vk_record_start(vk_record *record, vk_err *err);

/* Begins the row of a new run.
 *   config      the value of every option; freed
 *   row         command, hashes and threads; all else is filled in
 *   visuals     what pictures are made with; NULL: there are none
 *   evaluation  what was asked for
 * Errors: the catalog's, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_record_begin(vk_record *record, cJSON *config, const vk_run_row *row,
                                       const vk_visuals *visuals,
                                       const vk_evaluation_row *evaluation, vk_err *err);

/* Opens the row of the resumed run again. Errors: the catalog's. */
VK_NODISCARD vk_status vk_record_go_on(vk_record *record, vk_err *err);

/* Adds an episode. Errors: the catalog's. */
VK_NODISCARD vk_status vk_record_put_episode(vk_record *record, const vk_pack *pack, uint32_t seed,
                                             const vk_eval_result *result, vk_err *err);

/* Ends the row of a run that ended with st, of which err (may be NULL) has the sentence. Returns
 * st, or why the row could not be ended. */
vk_status vk_record_end(vk_record *record, vk_status st, double wall_s, vk_err *err);

/* Writes the trace, where there is one. Returns st, or why it could not be written. */
vk_status vk_record_write_trace(const vk_record *record, vk_status st, vk_err *err);

/* Where a word that named no policy is the id of a run: says so, and where that run's policy lies.
 * Returns st, the status of who could not find it, or VK_E_USAGE where the word names nothing. */
vk_status vk_record_explain_policy(const vk_cmd_call *call, const char *word, vk_status st,
                                   vk_err *err);

/* The first failure counts: st, or next with *why as the sentence. */
vk_status vk_first_failure(vk_status st, vk_status next, const vk_err *why, vk_err *err);

/* A word as it is typed in a shell: quoted where it must be. */
void vk_record_print_word(FILE *out, const char *word);

#endif
