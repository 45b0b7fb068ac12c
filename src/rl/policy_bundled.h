/* policy_bundled.h - the trained policies that come with the program, by name. Each is a folder
 * data/policies/NAME as vk_checkpoint_export writes it, with a README.md that says what it is, and
 * a row of data/policies/list.json:
 *
 *   {"policies": [{"name": "nano-n8", "about": "one line"}]}
 *
 * "bundled" is the first of them. Test: tests/unit/test_policy.c, tests/cmd/test_policies.sh,
 * tests/cmd/test_install.sh */
#ifndef VK_RL_POLICY_BUNDLED_H
#define VK_RL_POLICY_BUNDLED_H

#include "core/fs.h"

enum { VK_BUNDLED_MAX = 16 };

typedef struct vk_bundled {
  char name[64], about[160];
  char path[VK_FS_PATH_MAX]; /* its folder; "": it was not installed */
} vk_bundled;

/* Reads the list. out [VK_BUNDLED_MAX]; *n out. Errors: VK_E_FORMAT, with the file and the row;
 * VK_E_NOMEM; a program without a list has no policies. */
VK_NODISCARD vk_status vk_bundled_list(vk_bundled *out, int *n, vk_err *err);
/* The same from the text of a list whose policies lie in DIR; `what` names it in errors. */
VK_NODISCARD vk_status vk_bundled_parse(vk_bundled *out, int *n, const char *text, size_t n_byte,
                                        const char *what, const char *dir, vk_err *err);

/* Whether a word is "bundled" or a name of the list. */
bool vk_bundled_is_name(const char *word);
/* The one of these that is nearest to a word that is none; false: none is near. */
bool vk_bundled_nearest(char name[64], const char *word);
/* The folder that such a word means in a list [n]. Errors: VK_E_NOTFOUND (none comes with this
 * program, it was not installed) with what to do. */
VK_NODISCARD vk_status vk_bundled_choose(char path[VK_FS_PATH_MAX], const char *word,
                                         const vk_bundled *list, int n, vk_err *err);
/* The same in the program's own list. Errors: those of vk_bundled_list too. */
VK_NODISCARD vk_status vk_bundled_find(char path[VK_FS_PATH_MAX], const char *word, vk_err *err);

#endif
