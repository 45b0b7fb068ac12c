/* train_init.h - what a training run takes over from the policy that it begins with ("init"): the
 * kind of pictures that it has learned to see. Test: tests/cmd/test_train_init.sh */
#ifndef VK_RL_TRAIN_INIT_H
#define VK_RL_TRAIN_INIT_H

#include "rl/checkpoint.h"
#include "rl/train_config.h"

/* Gives "visuals", "protocol" and "views" the values of the policy that "init" names, where nobody
 * has said them. Without init nothing happens. Errors: those of vk_checkpoint_open. */
VK_NODISCARD vk_status vk_train_follow_init(vk_train_config *c, vk_err *err);

/* The same from the configuration that a run began with, whose init may have gone since.
 * Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_train_follow_begun(vk_train_config *c, const vk_train_config *began,
                                             vk_err *err);

/* In what a run's pictures and pack are others than init was trained on, as
 * vk_checkpoint_differences says it; "" in nothing. view: of the run. Returns text. */
const char *vk_train_init_differences(const vk_checkpoint_info *init, const vk_view_config *view,
                                      const vk_visuals *visuals, const vk_pack *pack,
                                      char text[VK_CHECKPOINT_TEXT]);

#endif
