/* action_codec.h - actions to bins and back, as OpenVLA does, in double: 256 edges
 * linspace(-1, 1, 256), of which bin b lies at or above edge b; 255 centres between them, the last
 * of which serves bins 254 and 255. Token ids are VOCABULARY - 1 - bin.
 *
 * Statistics say how numbers of a robot become [-1, 1]: 2 (x - low) / (high - low + 1e-8) - 1, low
 * and high being quantiles 0.01 and 0.99 of the demonstrations (or least and greatest); dimensions
 * that are not scaled (the gripper) pass as they are.
 *
 * LIBERO's gripper: a policy's 1 is open and 0 closed; the environment's -1 opens and +1 closes.
 *
 * Source: Kim et al. 2024, arXiv:2406.09246 (tokens, statistics). Test:
 * tests/unit/test_action_codec.c */
#ifndef VK_NN_ACTION_CODEC_H
#define VK_NN_ACTION_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

enum { VK_ACTION_N_BIN = 256, VK_ACTION_DIM_MAX = 32 };

typedef struct vk_action_stats {
  int n_dim;
  double low[VK_ACTION_DIM_MAX], high[VK_ACTION_DIM_MAX];
  bool is_scaled[VK_ACTION_DIM_MAX];
} vk_action_stats;

/* Bin of a number, 0 .. 255; beyond [-1, 1] the last on that side, NaN 255 (numpy's digitize). */
int vk_action_bin(double x);

/* Edge b, 0 .. 255; centre of a bin, bins beyond 0 .. 254 being the last on that side. */
double vk_action_edge(int b);
double vk_action_centre(int64_t bin);

/* Centre of a bin that is no whole number, between those of its neighbours: for means of bins. */
double vk_action_centre_between(double bin);

/* Every number is finite and low < high where it is scaled. what: whose statistics, for errors.
 * Errors: VK_E_RANGE names the dimension; VK_E_SHAPE for n_dim. */
VK_NODISCARD vk_status vk_action_stats_check(const vk_action_stats *s, const char *what,
                                             vk_err *err);

/* Statistics of n rows of n_dim numbers: the quantiles 0.01 and 0.99, interpolated as numpy does;
 * all scaled but those of the mask (is_scaled [n_dim], NULL: all).
 * Errors: VK_E_RANGE for a number that is not finite, or a dimension that does not vary;
 * VK_E_SHAPE for no rows or n_dim; VK_E_NOMEM. */
VK_NODISCARD vk_status vk_action_stats_from(vk_action_stats *s, int n_dim, int64_t n,
                                            const double *x, const bool *is_scaled, vk_err *err);

/* To [-1, 1], clipped, and back: 0.5 (a + 1) (high - low + 1e-8) + low. i: dimension. */
double vk_action_scale(const vk_action_stats *s, int i, double x);
double vk_action_unscale(const vk_action_stats *s, int i, double a);

/* LIBERO's gripper: -sign(2 g - 1), 0 for exactly one half; and 1 - clip(x, 0, 1). */
double vk_action_gripper_to_libero(double g);
double vk_action_gripper_from_libero(double x);

/* n rows of s->n_dim actions to bins. Errors: VK_E_RANGE for NaN. */
VK_NODISCARD vk_status vk_action_encode(const vk_action_stats *s, int64_t n, const double *action,
                                        int32_t *bin, vk_err *err);
/* And back; bins outside 0 .. 255 are the nearest of them. */
void vk_action_decode(const vk_action_stats *s, int64_t n, const int32_t *bin, double *action);
/* The same from bins that are no whole numbers. */
void vk_action_decode_between(const vk_action_stats *s, int64_t n, const float *bin,
                              double *action);

#endif
