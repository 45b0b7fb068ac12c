/* rl_small.h - for tests of policy gradients: a small rollout, and two configurations. */
#ifndef VK_TESTS_RL_SMALL_H
#define VK_TESTS_RL_SMALL_H

#include "nano_small.h"
#include "rl/rl_batch.h"

enum { GROUPS = 4, GROUP = 2, CHUNKS = 3, TOKENS = VK_DECISION_BINS, CAP = 5 };

/* Groups: one success of two, all failures, all successes, one success of two. Lengths differ. */
static inline void make_rollout(vk_rollout *r)
{
  static const struct {
    bool success;
    int n_step;
  } is[GROUPS * GROUP] = {{true, 5},  {false, 24}, {false, 24}, {false, 24},
                          {true, 16}, {true, 16},  {false, 24}, {true, 17}};
  vk_err err = VK_ERR_INIT;
  vk_philox rng;
  vk_philox_init(&rng, 8, 1);
  vk_assert_ok(vk_rollout_new(r, GROUPS, GROUP, CHUNKS, 2, &err), &err);
  r->has_proprio = true;
  for (int e = 0; e < GROUPS * GROUP; e++) {
    vk_rollout_episode *one = &r->episode[e];
    *one = (vk_rollout_episode){.i_traj = e,
                                .i_task = (uint32_t)(e / GROUP % 2),
                                .row = e / GROUP,
                                .repeat = e % GROUP,
                                .instruction = e / GROUP % 2 ? "open the drawer" : "push the plate",
                                .success = is[e].success,
                                .n_step = is[e].n_step,
                                .n_decision = (is[e].n_step + 7) / 8};
    for (int64_t d = e * CHUNKS; d < e * CHUNKS + one->n_decision; d++) {
      for (int k = 0; k < 2 * VK_VIEW_BYTES; k++)
        r->picture[d * 2 * VK_VIEW_BYTES + k] = (uint8_t)vk_philox_u32(&rng);
      for (int k = 0; k < 8; k++)
        r->proprio[d * 8 + k] = (float)vk_philox_normal(&rng);
      for (int k = 0; k < TOKENS; k++) {
        r->bin[d * TOKENS + k] = (int32_t)(vk_philox_u32(&rng) % 256);
        r->log_prob[d * TOKENS + k] = -5 - (float)vk_philox_double(&rng);
      }
      for (int k = 0; k < 8; k++)
        r->value[d * 8 + k] = (float)vk_philox_double(&rng);
    }
  }
}

static inline vk_rl_config grpo(void)
{
  return (vk_rl_config){.reward = 5,
                        .filter_lo = 0.1,
                        .filter_hi = 0.9,
                        .with_length = true,
                        .loss = vk_policy_loss_default()};
}

static inline vk_rl_config ppo(int64_t group)
{
  vk_rl_config c = grpo();
  c.is_gae = true;
  c.gamma = 0.99;
  c.lambda = 0.95;
  c.filter_lo = 0;
  c.filter_hi = 1;
  c.per_chunk = group == TOKENS;
  c.loss.group = group;
  c.loss.entropy_bonus = 1;
  c.loss.dual = 3;
  return c;
}

#endif
