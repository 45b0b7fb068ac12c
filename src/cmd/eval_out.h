/* eval_out.h - the folder of `eval --out`: films, pictures of failures, report.html and
 * results.json. Test: tests/cmd/test_film.sh */
#ifndef VK_CMD_EVAL_OUT_H
#define VK_CMD_EVAL_OUT_H

#include "cmd/report.h"
#include "core/fs.h"
#include "rl/film.h"

typedef struct vk_eval_out {
  char dir[VK_FS_PATH_MAX]; /* absolute */
  bool is_claimed;          /* its folder for pictures is ours, to be removed when it stays empty */
  vk_film *film;            /* NULL: no pictures are made */
} vk_eval_out;

/* Makes the folder, or takes over that of the run which is resumed.
 *   dir   as typed
 *   film  its dir is not looked at; visuals NULL: no pictures
 * Errors: VK_E_MISMATCH (it holds another run's results), VK_E_IO, and those of vk_film_new. */
VK_NODISCARD vk_status vk_eval_out_open(vk_eval_out *out, const char *dir, bool is_resumed,
                                        const vk_film_config *film, vk_err *err);
/* A zeroed or closed one is allowed. */
void vk_eval_out_close(vk_eval_out *out);

/* Absolute path of a folder that may not exist yet. Errors: VK_E_RANGE. */
VK_NODISCARD vk_status vk_eval_out_path(char path[VK_FS_PATH_MAX], const char *dir, vk_err *err);

/* Writes results.json (the object of --json) and report.html.
 *   repeat  command line that repeats an episode, but for --suite, --row, --film and --out
 * Errors: VK_E_IO, VK_E_NOTFOUND (the folder is gone), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_eval_out_write(const vk_eval_out *out, const vk_report *report,
                                         const cJSON *results, const vk_pack *pack,
                                         const char *repeat, vk_err *err);

#endif
