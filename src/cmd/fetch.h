/* fetch.h - a file named on the command line by its https:// address, kept in the user's cache.
 * Test: tests/cmd/test_import.sh */
#ifndef VK_CMD_FETCH_H
#define VK_CMD_FETCH_H

#include "core/fs.h"
#include "core/log.h"

/* Whether word is an address (anything with "://"), not a path. */
bool vk_fetch_is_url(const char *word);

/* Fetches https://HOST/.../NAME into CACHE/wheels/NAME. With "#sha256=HEX" at the end of the
 * address the file must have that hash, a download that was cut is continued, and a file that is
 * there already and has it is taken as it is.
 *   path  out
 *   log   for progress; NULL: quiet
 * Errors: VK_E_USAGE (no https address of a file, or no hash where one should be), and those of
 * vk_http_fetch. */
VK_NODISCARD vk_status vk_fetch(const char *url, vk_log *log, char path[VK_FS_PATH_MAX],
                                vk_err *err);

#endif
