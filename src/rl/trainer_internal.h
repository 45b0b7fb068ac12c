/* trainer_internal.h - what the trainer's files share; nobody else includes it.
 * Test: tests/unit/test_trainer.c */
#ifndef VK_RL_TRAINER_INTERNAL_H
#define VK_RL_TRAINER_INTERNAL_H

#include "rl/trainer.h"

/* What a checkpoint says of the policy; the statistics are borrowed. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_trainer_info(const vk_trainer *t, vk_checkpoint_info *info, vk_err *err);

/* That there is memory for a learner that is not made yet, of which nothing is allocated: its
 * plans, parameters, gradients and moments. Errors: VK_E_NOMEM with the bytes, the largest tensors
 * and what to do; those of vk_net_plan. */
VK_NODISCARD vk_status vk_trainer_check_network(const vk_trainer *t, const vk_learner_config *c,
                                                vk_err *err);
/* That there is memory for t's learner and data. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_trainer_check_memory(const vk_trainer *t, vk_err *err);

/* The tasks of eval_suite, where there is one. Errors: VK_E_USAGE with the nearest name. */
VK_NODISCARD vk_status vk_trainer_find_eval_tasks(vk_trainer *t, vk_err *err);

/* That a policy with these statistics can act in the tasks that the configuration's key `key` names
 * ("data"), and in those of eval_suite. Errors: VK_E_NOTFOUND with the key of the statistics. */
VK_NODISCARD vk_status vk_trainer_check_stats(const vk_trainer *t, const vk_norm_stats *stats,
                                              const char *key, int n_task, const uint32_t *i_task,
                                              vk_err *err);

/* Episodes by the weights that are used: t->eval and t->score. What cannot be scored is said, and
 * no error. Errors: VK_E_INTERRUPTED, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_trainer_evaluate(vk_trainer *t, vk_err *err);

/* Measures what an evaluation takes when all episodes go to the limit, by a few steps of some.
 * Errors: those of vk_evaluate and of episodes. */
VK_NODISCARD vk_status vk_trainer_probe_evaluation(vk_trainer *t, double *wall_s, vk_err *err);

/* Says when it will be over, by what has been measured, once steps take step_s: the first time, and
 * again when an evaluation has been measured. */
void vk_trainer_say_end(vk_trainer *t, double step_s);

/* Whether the weights of this step were judged, and better than all before. */
bool vk_trainer_is_best(const vk_trainer *t);

/* Writes a checkpoint of step t->step. Errors: those of vk_checkpoint_save; the last one stays. */
VK_NODISCARD vk_status vk_trainer_save(vk_trainer *t, vk_err *err);

/* Fails with why a checkpoint that ends the run could not be written, the one that there is, and
 * how to go on. */
VK_NODISCARD vk_status vk_trainer_fail_save(const vk_trainer *t, vk_status st, const vk_err *why,
                                            vk_err *err);

/* Puts points of step t->step into all that keeps curves. */
void vk_trainer_put(vk_trainer *t, int n, const vk_train_point *point);

/* Says what could not be written, of points of curves the first time, and goes on. */
void vk_trainer_say_lost(vk_trainer *t, vk_train_lost kind, const vk_err *why);

#endif
