/* policy_checkpoint.h - a trained network as a policy: what trainers need beyond vk_policy_open.
 *
 * A decision is one answer of the network: 8 steps of 7 bins. Its bits depend on the observation,
 * the instruction, the weights and (where bins are drawn) on (seed, episode, step): not on the
 * batch, on threads or on other slots.
 * Test: tests/unit/test_policy_checkpoint.c */
#ifndef VK_RL_POLICY_CHECKPOINT_H
#define VK_RL_POLICY_CHECKPOINT_H

#include "nn/model_nano.h"
#include "rl/checkpoint.h"
#include "rl/policy.h"

enum { VK_DECISION_BINS = VK_NANO_STEPS * VK_NANO_DIMS };

/* What was seen and answered; borrowed for the call. */
typedef struct vk_decision {
  int i_env; /* slot */
  uint64_t episode;
  int i_step; /* as in vk_policy_obs */
  const char *instruction;
  const uint8_t *picture[VK_VIEW_N]; /* [128, 128, 3]; NULL: the model has no such view */
  const float *proprio;              /* [8] scaled, as the network got it */
  const int32_t *bin;                /* [56] */
  const float *log_prob;             /* [56] of these bins, at the policy's temperature (1 when it
                                        is greedy) */
  const float *value;                /* [8] */
} vk_decision;

/* Called for each decision, from several threads at once for different slots. An error ends the
 * episode with it. */
typedef vk_status vk_decision_fn(void *arg, const vk_decision *decision, vk_err *err);

/* A policy that acts with parameters in memory; when they change, it is opened anew. info and
 * params (all of the model's, with the value head) must outlive it. watch NULL: none; else
 * log-probabilities and values are computed too. Close with vk_policy_close. Errors: VK_E_RANGE
 * (temperature, slots), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_policy_checkpoint_open(vk_policy *policy, const vk_checkpoint_info *info,
                                                 const vk_params *params,
                                                 const vk_policy_args *args, vk_decision_fn *watch,
                                                 void *arg, vk_err *err);

#endif
