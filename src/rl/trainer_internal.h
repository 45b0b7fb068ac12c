/* trainer_internal.h - what the trainer's files share; nobody else includes it.
 * Test: tests/unit/test_trainer.c */
#ifndef VK_RL_TRAINER_INTERNAL_H
#define VK_RL_TRAINER_INTERNAL_H

#include "rl/trainer.h"

/* Writes a checkpoint of step t->step. Errors: those of vk_checkpoint_save; the last one stays. */
VK_NODISCARD vk_status vk_trainer_save(vk_trainer *t, vk_err *err);

/* Puts points of step t->step into all that keeps curves. */
void vk_trainer_put(vk_trainer *t, int n, const vk_train_point *point);

/* Says what could not be written, and goes on. */
void vk_trainer_say_lost(vk_trainer *t, const vk_err *why);

#endif
