/* rl_graph.h - what a network's graph gets to be trained by policy gradients: log-probabilities
 * of the actions that were drawn, entropies, and the loss of rl/loss.h. It goes into
 * vk_model_args.extend of a nano model (VK_PART_ALL, its value head for a critic, no dropout).
 *
 * Inputs, a row a decision; W = 56 / loss.group items of the policy's loss:
 *   action          i32 [batch * 56] bins that were drawn
 *   logp_old        f32 [batch * 56] their log-probabilities then
 *   adv, weight     f32 [batch * W]; norm [1]
 *   value_old, return, value_weight  f32 [batch, 8]; value_norm [1]: with the value head
 *   entropy_weight  f32 [batch * 56]; entropy_norm [1]: with an entropy bonus
 * Outputs: logp, entropy f32 [batch * 56]; loss, loss_actor, loss_critic, loss_entropy [1].
 *
 * Source: rl/loss.h; temperature as RLinf a3816b5 has it: the softmax of logits / T both when
 * actions are drawn and here. Test: tests/unit/test_rl_graph.c */
#ifndef VK_RL_RL_GRAPH_H
#define VK_RL_RL_GRAPH_H

#include "nn/model.h"
#include "rl/loss.h"

typedef struct vk_rl_graph {
  vk_policy_loss loss; /* entropy_bonus: see vk_rl_batch; here whether it is 0 */
  double temperature;  /* > 0, of the draws */
} vk_rl_graph;

/* arg: a vk_rl_graph. */
void vk_rl_graph_extend(vk_graph *g, const void *arg);

/* Another loss in a share that may change from run to run: output "loss_scaled" = share * "loss",
 * input share f32 [1]. arg: not read. */
void vk_scaled_loss_extend(vk_graph *g, const void *arg);

#endif
