/* norm_stats.h - statistics of demonstrations: how a policy's numbers become a robot's and back.
 *
 * The JSON is OpenVLA's (norm_stats in config.json, dataset_statistics.json):
 *   {KEY: {"action": {"mean", "std", "max", "min", "q01", "q99": [7], "mask": [7]},
 *          "proprio": {the same: [8]}, "num_transitions": N, "num_trajectories": N}}
 * KEY names the demonstrations: "libero_spatial". The six pose commands are scaled
 * (nn/action_codec.h); the gripper is not: 1 open, 0 closed. Proprioception is vk_view_proprio's.
 * Source: openvla-oft 213c5ff, prismatic/vla/datasets/rlds/utils/data_utils.py.
 * Test: tests/unit/test_norm_stats.c */
#ifndef VK_RL_NORM_STATS_H
#define VK_RL_NORM_STATS_H

#include "core/json.h"
#include "nn/action_codec.h"
#include "sim/pack.h"

/* What JSON holds beside the quantiles. */
typedef struct vk_norm_moments {
  double mean[VK_ACTION_DIM_MAX], std[VK_ACTION_DIM_MAX]; /* std of all, not of a sample */
  double min[VK_ACTION_DIM_MAX], max[VK_ACTION_DIM_MAX];
} vk_norm_moments;

typedef struct vk_norm_stats {
  char key[VK_PACK_NAME_MAX + 1];
  vk_action_stats action, proprio; /* proprio.n_dim 0: a file without it */
  vk_norm_moments action_moments, proprio_moments;
  int64_t n_step, n_demo;
} vk_norm_stats;

/* Of n_step steps as one set.
 *   action   [n_step, 7] as demonstrations hold them (gripper -1 opens, 1 closes)
 *   proprio  [n_step, 8]
 * Errors: VK_E_RANGE (a number that is not finite; q01 = q99 in a scaled dimension, which is
 * named), VK_E_SHAPE (no steps), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_norm_stats_from(vk_norm_stats *out, const char *key, int64_t n_demo,
                                          int64_t n_step, const double *action,
                                          const double *proprio, vk_err *err);

/* Adds KEY and its statistics to an object. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_norm_stats_to_json(const vk_norm_stats *stats, cJSON *object,
                                             vk_err *err);

/* All keys of such an object; free(*out). Other members (a number, say) are refused.
 *   what  names the object in errors
 * Errors: VK_E_FORMAT, VK_E_NOTFOUND, VK_E_SHAPE, VK_E_RANGE (as vk_norm_stats_from),
 * VK_E_NOMEM. */
VK_NODISCARD vk_status vk_norm_stats_from_json(vk_norm_stats **out, int *n, const cJSON *object,
                                               const char *what, vk_err *err);

/* Those that a task of the suite is to be run with: key SUITE, else SUITE_no_noops, else libero130.
 * Errors: VK_E_NOTFOUND with the keys that there are. */
VK_NODISCARD vk_status vk_norm_stats_find(const vk_norm_stats **out, const vk_norm_stats *list,
                                          int n, const char *suite, vk_err *err);

/* SHA-256 of the JSON. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_norm_stats_hash(const vk_norm_stats *stats, char hex[65], vk_err *err);

#endif
