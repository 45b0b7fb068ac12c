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

/* What the card of an exported policy tells. */
typedef struct vk_checkpoint_card {
  const char *name;               /* of the policy: its folder's */
  const vk_checkpoint_info *info; /* source.exported_from: SHA-256 of the weights before */
  const cJSON *train_config;      /* NULL: it is not known */
  int64_t n_parameter;
  vk_safetensors_dtype dtype; /* of the file of weights, with its size and SHA-256 */
  int64_t n_byte;
  const char *hash;
  bool is_rounded; /* other weights than before */
} vk_checkpoint_card;

/* Writes README.md into a folder. Errors: VK_E_IO. */
VK_NODISCARD vk_status vk_checkpoint_put_card(const char *dir, const vk_checkpoint_card *card,
                                              vk_err *err);

/* Removes a folder with all that is in it, as far as that can be done. */
void vk_checkpoint_remove_tree(const char *path);

/* SHA-256 of info's model.safetensors. Errors: those of vk_sha256_file. */
VK_NODISCARD vk_status vk_checkpoint_weights_hash(const vk_checkpoint_info *info, char hex[65],
                                                  vk_err *err);

#endif
