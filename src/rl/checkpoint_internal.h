/* checkpoint_internal.h - shared by the files of checkpoint.h and by policy_checkpoint.c.
 * Test: tests/unit/test_checkpoint.c, tests/fuzz/fuzz_checkpoint.c */
#ifndef VK_RL_CHECKPOINT_INTERNAL_H
#define VK_RL_CHECKPOINT_INTERNAL_H

#include "rl/checkpoint.h"

/* The content of config.json; cJSON_Delete it. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_checkpoint_config(cJSON **out, const vk_checkpoint_info *info,
                                            int64_t step, vk_err *err);

/* Writes config.json, model.safetensors and, where it is given, train_config.json into a folder.
 * Errors: VK_E_IO, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_checkpoint_put_policy(const char *dir, int64_t step,
                                                const vk_checkpoint_write *what, vk_err *err);

/* Removes a folder with all that is in it, as far as that can be done. */
void vk_checkpoint_remove_tree(const char *path);

/* SHA-256 of info's model.safetensors. Errors: those of vk_sha256_file. */
VK_NODISCARD vk_status vk_checkpoint_weights_hash(const vk_checkpoint_info *info, char hex[65],
                                                  vk_err *err);

#endif
