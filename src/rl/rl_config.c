#include "rl/rl_config.h"

#include <string.h>

bool vk_rl_has_critic(const vk_train_config *c)
{
  return strcmp(c->method, "ppo") == 0;
}

static int64_t tokens_of(const char *granularity)
{
  return strcmp(granularity, "token") == 0    ? 1
         : strcmp(granularity, "action") == 0 ? VK_NANO_DIMS
                                              : VK_DECISION_BINS;
}

static vk_bootstrap bootstrap_of(const vk_train_config *c)
{
  const char *kind = c->bootstrap;
  if (strcmp(kind, "auto") == 0)
    return c->partial_reset ? VK_BOOTSTRAP_TRUNCATED : VK_BOOTSTRAP_NONE;
  return strcmp(kind, "truncation") == 0 ? VK_BOOTSTRAP_TRUNCATED
         : strcmp(kind, "always") == 0   ? VK_BOOTSTRAP_ALWAYS
                                         : VK_BOOTSTRAP_NONE;
}

vk_rl_config vk_rl_config_of(const vk_train_config *c)
{
  bool is_gae = vk_rl_has_critic(c);
  return (vk_rl_config){.is_gae = is_gae,
                        .gamma = c->gamma,
                        .lambda = c->lambda,
                        .bootstrap = is_gae ? bootstrap_of(c) : VK_BOOTSTRAP_NONE,
                        .per_chunk = strcmp(c->reward_level, "chunk") == 0,
                        .reward = c->reward,
                        .filter_lo = c->filter_lo,
                        .filter_hi = c->filter_hi,
                        .with_length = c->length_norm && !c->partial_reset,
                        .loss = {.group = tokens_of(c->logp_level),
                                 .clip_lo = c->clip_lo,
                                 .clip_hi = c->clip_hi,
                                 .dual = c->dual_clip,
                                 .huber_delta = c->huber_delta,
                                 .value_clip = c->value_clip,
                                 .entropy_bonus = c->entropy_bonus > 0 ? 1 : 0}};
}

/* A share that falls in a line to 0 at step n; n 0: it stays. */
static double decayed(double share, int64_t n, int64_t step)
{
  if (n <= 0)
    return share;
  return step < n ? share * (1 - (double)step / (double)n) : 0;
}

vk_rl_share vk_rl_share_of(const vk_train_config *c, int64_t step)
{
  bool is_warmup = vk_rl_has_critic(c) && step < c->critic_warmup;
  return (vk_rl_share){.actor = is_warmup ? 0 : 1,
                       .critic = c->value_weight,
                       .entropy_bonus =
                           is_warmup ? 0 : decayed(c->entropy_bonus, c->entropy_steps, step)};
}

double vk_rl_imitation_of(const vk_train_config *c, int64_t step)
{
  return vk_rl_share_of(c, step).actor > 0 ? decayed(c->bc_weight, c->bc_steps, step) : 0;
}
