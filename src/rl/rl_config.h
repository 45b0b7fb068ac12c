/* rl_config.h - what a configuration of training says of policy gradients, as rl/rl_batch.h takes
 * it: how advantages are made, and which share each part of the loss has in a step.
 * Test: tests/unit/test_rl_formulas.c */
#ifndef VK_RL_RL_CONFIG_H
#define VK_RL_RL_CONFIG_H

#include "rl/rl_batch.h"
#include "rl/train_config.h"

/* Whether values are learned: method ppo. */
bool vk_rl_has_critic(const vk_train_config *c);

/* loss.entropy_bonus is 1 or 0, as the bonus itself is a share, which decays. */
vk_rl_config vk_rl_config_of(const vk_train_config *c);

/* Of step `step`, from 0: while the critic warms up (critic_warmup) it learns alone; the entropy's
 * bonus falls in a line to 0 at step entropy_steps, and stays where that is 0. */
vk_rl_share vk_rl_share_of(const vk_train_config *c, int64_t step);

/* The share of demonstrations in step `step`: bc_weight, which falls in a line to 0 at step
 * bc_steps (0: it stays). While the critic warms up 0: the policy learns from nothing. */
double vk_rl_imitation_of(const vk_train_config *c, int64_t step);

#endif
