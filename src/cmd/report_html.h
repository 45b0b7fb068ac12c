/* report_html.h - an evaluation as one HTML file: rates by suite and task, failures with their
 * films or pictures, the command that repeats each episode, and the run's record. It needs no
 * network; films are links into its folder, pictures are part of it (a limited number; the page
 * says so). Test: tests/cmd/test_film.sh */
#ifndef VK_CMD_REPORT_HTML_H
#define VK_CMD_REPORT_HTML_H

#include "cmd/report.h"

enum {
  VK_REPORT_CARDS_MAX = 60, /* failures shown with film or picture */
  VK_REPORT_ERRORS_MAX = 20 /* errors whose sentence is shown */
};

/* Writes DIR/report.html, whole or not at all.
 *   pack    where instructions come from
 *   dir     also where the files of vk_film_path are looked for
 *   repeat  command line that repeats an episode, but for --suite, --row, --film and --out
 * Errors: VK_E_IO, VK_E_NOTFOUND (no such folder), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_report_write_html(const vk_report *report, const vk_pack *pack,
                                            const char *dir, const char *repeat, vk_err *err);

#endif
