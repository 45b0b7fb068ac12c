/* visuals_choose.h - the visuals that a word of the command line names.
 * Test: tests/unit/test_visuals.c, tests/cmd/test_render.sh */
#ifndef VK_SIM_VISUALS_CHOOSE_H
#define VK_SIM_VISUALS_CHOOSE_H

#include "sim/visuals.h"

/* Whether a word is "stand-in" or "original": then it means that, whatever the current folder
 * holds. */
bool vk_visuals_is_name(const char *word);

/* What --visuals may name: "stand-in", "original", or a file. NULL: the original ones when the
 * user's cache holds them, else stand-ins. pack: stand-ins are built from its collision geometry.
 * Errors: VK_E_NOTFOUND (with the command that makes them), VK_E_USAGE (no such file), and those of
 * vk_visuals_open_file and vk_standin_build. */
VK_NODISCARD vk_status vk_visuals_choose(vk_visuals *visuals, const char *word, const vk_pack *pack,
                                         vk_err *err);

/* The word as it means the same in any folder: the path of a file that is there becomes a whole
 * one. Errors: VK_E_IO, VK_E_RANGE (too long). */
VK_NODISCARD vk_status vk_visuals_word_absolute(char out[VK_FS_PATH_MAX], const char *word,
                                                vk_err *err);

#endif
