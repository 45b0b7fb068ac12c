/* policy_random.c - pose commands drawn anew every step, the gripper's every ten: a floor for
 * success rates and a load for the simulator. */
#include <stdlib.h>

#include "core/rng.h"
#include "rl/policy.h"

enum { GRIPPER_HOLD_STEPS = 10 };

typedef struct slot {
  vk_philox rng;
  double gripper;
} slot;

typedef struct random_policy {
  uint64_t seed;
  slot slot[];
} random_policy;

static vk_status open_random(void **state, const vk_policy_args *args, vk_err *err)
{
  random_policy *p = calloc(1, sizeof *p + sizeof p->slot[0] * (size_t)args->n_env);
  if (!p)
    return vk_fail(err, VK_E_NOMEM, "policy random: no memory for %d slots", args->n_env);
  p->seed = args->seed;
  *state = p;
  return VK_OK;
}

static vk_status begin(void *state, const vk_policy_obs *obs, uint64_t episode, vk_err *err)
{
  random_policy *p = state;
  vk_philox_init(&p->slot[obs->i_env].rng, p->seed, episode);
  return VK_OK;
}

static vk_status act(void *state, int n, const vk_policy_obs *obs, double *action, vk_err *err)
{
  random_policy *p = state;
  for (int i = 0; i < n; i++) {
    slot *s = &p->slot[obs[i].i_env];
    if (obs[i].i_step % GRIPPER_HOLD_STEPS == 0)
      s->gripper = vk_philox_double(&s->rng) < 0.5 ? -1 : 1;
    for (int j = 0; j < VK_N_ACTION - 1; j++)
      action[VK_N_ACTION * i + j] = 2 * vk_philox_double(&s->rng) - 1;
    action[VK_N_ACTION * i + VK_N_ACTION - 1] = s->gripper;
  }
  return VK_OK;
}

const vk_policy_def vk_policy_random = {
    .name = "random",
    .help = "uniform in [-1, 1], the gripper held for ten steps",
    .open = open_random,
    .close = free,
    .begin = begin,
    .act = act,
};
