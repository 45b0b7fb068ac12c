/* policy_zero.c - the hand open and no motion at all: what a task does by itself. */
#include <string.h>

#include "rl/policy.h"

static vk_status open_zero(void **state, const vk_policy_args *args, vk_err *err)
{
  *state = NULL;
  return VK_OK;
}

static vk_status begin(void *state, const vk_policy_obs *obs, uint64_t episode, vk_err *err)
{
  return VK_OK;
}

static vk_status act(void *state, int n, const vk_policy_obs *obs, double *action, vk_err *err)
{
  memset(action, 0, sizeof *action * VK_N_ACTION * (size_t)n);
  for (int i = 0; i < n; i++)
    action[VK_N_ACTION * i + 6] = -1;
  return VK_OK;
}

const vk_policy_def vk_policy_zero = {
    .name = "zero",
    .help = "no motion, hand open",
    .open = open_zero,
    .begin = begin,
    .act = act,
};
