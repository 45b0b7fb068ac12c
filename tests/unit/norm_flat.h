/* norm_flat.h - for tests: statistics that scale all dimensions alike. */
#ifndef VK_TESTS_NORM_FLAT_H
#define VK_TESTS_NORM_FLAT_H

#include "rl/norm_stats.h"
#include "rl/view.h"

static inline vk_norm_stats flat_stats(const char *key, double low, double high)
{
  vk_norm_stats s = {.action = {.n_dim = VK_N_ACTION}, .proprio = {.n_dim = VK_VIEW_PROPRIO}};
  snprintf(s.key, sizeof s.key, "%s", key);
  for (int i = 0; i < VK_VIEW_PROPRIO; i++) {
    s.action.low[i] = s.proprio.low[i] = low;
    s.action.high[i] = s.proprio.high[i] = high;
    s.action.is_scaled[i] = i < 6;
    s.proprio.is_scaled[i] = true;
  }
  return s;
}

#endif
