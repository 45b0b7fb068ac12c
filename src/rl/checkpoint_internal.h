/* checkpoint_internal.h - shared by checkpoint.c and checkpoint_write.c.
 * Test: tests/unit/test_checkpoint.c, tests/fuzz/fuzz_checkpoint.c */
#ifndef VK_RL_CHECKPOINT_INTERNAL_H
#define VK_RL_CHECKPOINT_INTERNAL_H

#include "rl/checkpoint.h"

/* The content of config.json; cJSON_Delete it. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_checkpoint_config(cJSON **out, const vk_checkpoint_info *info,
                                            int64_t step, vk_err *err);

#endif
