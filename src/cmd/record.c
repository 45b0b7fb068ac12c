#include "cmd/record.h"

#include <mujoco/mujoco.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cpu.h"
#include "core/version.h"

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

vk_status vk_record_begin(vk_run *run, vk_catalog *catalog, const vk_cmd_call *call,
                          const char *command, cJSON *config, const vk_run_row *given,
                          const vk_evaluation_row *evaluation, vk_err *err)
{
  char version[64], machine[160], *text = NULL;
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  snprintf(version, sizeof version, "%s (%s)", vk_version(), vk_version_commit());
  long page = sysconf(_SC_PAGESIZE), n_page = sysconf(_SC_PHYS_PAGES);
  snprintf(machine, sizeof machine, "%s, %d processors, %.0f GB",
           cpu.name[0] ? cpu.name : "unknown processor", vk_cpu_count(),
           (double)page * (double)n_page / 1e9);
  char *line = command_line_text(call);
  vk_status st = vk_json_text(&text, config, err);
  cJSON_Delete(config);
  if (st == VK_OK && !line)
    st = vk_fail(err, VK_E_NOMEM, "no memory for the run's record");
  vk_run_row row = *given;
  row.command = command;
  row.command_line = line;
  row.config = text;
  row.version = version;
  row.mujoco = mj_versionString();
  row.isa = vk_isa_name(call->isa);
  row.machine = machine;
  if (st == VK_OK)
    st = vk_run_begin(run, catalog, &row, evaluation, err);
  cJSON_free(text);
  free(line);
  return st;
}
