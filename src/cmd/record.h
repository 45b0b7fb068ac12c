/* record.h - the catalog's row of a command that runs long: what is the same for all of them.
 * Test: tests/cmd/test_eval_catalog.sh, tests/cmd/test_collect.sh */
#ifndef VK_CMD_RECORD_H
#define VK_CMD_RECORD_H

#include <stdio.h>

#include "cmd/cmd.h"
#include "core/catalog.h"
#include "core/json.h"

/* Begins a run's row: fills in command, command line, versions, ISA and machine; row holds the rest
 * (hashes, visuals, threads). config is freed. Errors: the catalog's, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_record_begin(vk_run *run, vk_catalog *catalog, const vk_cmd_call *call,
                                       const char *command, cJSON *config, const vk_run_row *row,
                                       const vk_evaluation_row *evaluation, vk_err *err);

/* A word as it is typed in a shell: quoted where it must be. */
void vk_record_print_word(FILE *out, const char *word);

#endif
