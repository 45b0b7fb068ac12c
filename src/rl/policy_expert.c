/* policy_expert.c - the scripted expert, one controller a slot. */
#include <stdlib.h>
#include <string.h>

#include "rl/policy.h"
#include "sim/expert.h"

typedef struct expert_policy {
  vk_expert_facts *facts;
  int n;
  vk_expert **expert; /* [n] */
} expert_policy;

static void close_expert(void *state)
{
  expert_policy *p = state;
  for (int i = 0; p->expert && i < p->n; i++)
    vk_expert_free(p->expert[i]);
  free(p->expert);
  vk_expert_facts_free(p->facts);
  free(p);
}

static vk_status open_expert(void **state, const vk_policy_args *args, vk_err *err)
{
  expert_policy *p = calloc(1, sizeof *p);
  if (!p)
    return vk_fail(err, VK_E_NOMEM, "no memory for the expert");
  vk_status st = VK_OK;
  p->n = args->n_env;
  p->expert = calloc((size_t)p->n, sizeof(vk_expert *));
  if (!p->expert)
    st = vk_fail(err, VK_E_NOMEM, "no memory for %d experts", p->n);
  if (st == VK_OK)
    st = vk_expert_facts_open(&p->facts, NULL, err);
  for (int i = 0; st == VK_OK && i < p->n; i++)
    st = vk_expert_new(&p->expert[i], p->facts, err);
  if (st == VK_OK)
    *state = p;
  else
    close_expert(p);
  return st;
}

static vk_status begin(void *state, const vk_policy_obs *obs, uint64_t episode, vk_err *err)
{
  const expert_policy *p = state;
  return vk_expert_begin(p->expert[obs->i_env], obs->env, err);
}

static vk_status act(void *state, int n, const vk_policy_obs *obs, double *action, vk_err *err)
{
  const expert_policy *p = state;
  for (int i = 0; i < n; i++)
    vk_expert_act(p->expert[obs[i].i_env], obs[i].env, action + VK_N_ACTION * i);
  return VK_OK;
}

static void identify(const void *state, vk_sha256 *h)
{
  const expert_policy *p = state;
  const char *hash = vk_expert_facts_hash(p->facts);
  vk_sha256_add(h, hash, strlen(hash));
}

const vk_policy_def vk_policy_expert = {
    .name = "expert",
    .help = "scripted, looks at the simulator's state",
    .needs = VK_POLICY_STATE,
    .open = open_expert,
    .close = close_expert,
    .begin = begin,
    .act = act,
    .identify = identify,
};
