#include "rl/rollout.h"

#include <stdlib.h>

/* ---- memory -------------------------------------------------------------------------------- */

uint64_t vk_rollout_bytes(int n_group, int group, int n_chunk, int n_view)
{
  uint64_t n = (uint64_t)n_group * (uint64_t)group;
  uint64_t decision = (uint64_t)n_view * VK_VIEW_BYTES + VK_DECISION_BINS * 8 + 2 * 8 * 4;
  return n * (sizeof(vk_rollout_episode) + (uint64_t)n_chunk * decision);
}

vk_status vk_rollout_new(vk_rollout *r, int n_group, int group, int n_chunk, int n_view,
                         vk_err *err)
{
  *r = (vk_rollout){0};
  if (n_group < 1 || group < 1 || n_chunk < 1 || n_view < 1 || n_view > VK_VIEW_N)
    return vk_fail(err, VK_E_RANGE, "a rollout of %d groups of %d, %d decisions of %d pictures",
                   n_group, group, n_chunk, n_view);
  size_t n_episode = (size_t)n_group * (size_t)group, n = n_episode * (size_t)n_chunk;
  *r = (vk_rollout){.n_group = n_group,
                    .group = group,
                    .n_episode = (int)n_episode,
                    .n_chunk = n_chunk,
                    .n_view = n_view};
  r->episode = calloc(n_episode, sizeof *r->episode);
  r->picture = calloc(n, (size_t)n_view * VK_VIEW_BYTES); /* taken as it is written */
  r->proprio = calloc(n, VK_VIEW_PROPRIO * sizeof *r->proprio);
  r->bin = calloc(n, VK_DECISION_BINS * sizeof *r->bin);
  r->log_prob = calloc(n, VK_DECISION_BINS * sizeof *r->log_prob);
  r->value = calloc(n, VK_NANO_STEPS * sizeof *r->value);
  if (r->episode && r->picture && r->proprio && r->bin && r->log_prob && r->value)
    return VK_OK;
  vk_rollout_free(r);
  return vk_fail(err, VK_E_NOMEM, "no memory for %zu episodes: they take %.1f GB", n_episode,
                 (double)vk_rollout_bytes(n_group, group, n_chunk, n_view) / 1e9);
}

void vk_rollout_free(vk_rollout *r)
{
  free(r->episode);
  free(r->picture);
  free(r->proprio);
  free(r->bin);
  free(r->log_prob);
  free(r->value);
  *r = (vk_rollout){0};
}
