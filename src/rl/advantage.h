/* advantage.h - from rewards and the ends of episodes to what a policy is trained with: valid
 * steps, bootstrapped rewards, advantages (GAE, group-relative), their normalisation, filtered
 * groups, weights of the loss, and the rows that are worth a forward pass.
 *
 * Layout. A rollout is n_chunk chunk steps of n_traj trajectories, n_step actions in a chunk:
 * [n, B, C]. Flags and values carry one more row, [n + 1, B, C]: row k + 1 of the flags belongs to
 * row k of the rewards, row 0 is the state after the reset. C' = C, or 1 with per_chunk: rewards
 * are summed over a chunk, flags and masks hold where any of its actions has them, values have one
 * head. All arrays are the caller's; sums are in double; nothing is allocated.
 *
 * Weights instead of masks. With mask m, n_i valid actions of trajectory i and K items (rows times
 * items a row) in the whole batch, the loss is
 *
 *   L = 1/K sum_k w_k l_k,   w_k = m_k T_max / n_i
 *
 * so that every trajectory counts the same, however short. A row whose w are all 0 adds nothing to
 * L or to its gradient, whatever its l: leave it out of forward and backward pass, keep K as the
 * norm of the loss, and both are the same. It also lets a batch be cut into parts of any size:
 * parts with the same K add up. Without n_i, w = m and K = sum m, again of the whole batch.
 *
 * Source: Schulman et al. 2016, arXiv:1506.02438 (GAE); Shao et al. 2024, arXiv:2402.03300 (group-
 * relative advantages); Yu et al. 2025, arXiv:2503.14476 (dropped groups); Chan et al. 1983
 * (moments of parts). Conventions: RLinf a3816b5, rlinf/algorithms/advantages.py, utils.py, without
 * its defects, which the functions below name. Test: tests/unit/test_advantage.c, tests/parity/rl
 */
#ifndef VK_RL_ADVANTAGE_H
#define VK_RL_ADVANTAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

typedef struct vk_roll {
  int64_t n_chunk, n_traj, n_step; /* n, B, C */
  bool per_chunk;
} vk_roll;

/* C'; and n * B, the rows of a batch: row k * B + b is chunk step k of trajectory b. */
int64_t vk_roll_n_head(const vk_roll *r);
int64_t vk_roll_n_row(const vk_roll *r);

/* Rollout epochs side by side: from [n_epoch * n_row, n_traj, item] to [n_row, n_epoch * n_traj,
 * item], trajectory epoch * n_traj + b. item: bytes of a trajectory's entry in a row. */
void vk_adv_fold(int64_t n_epoch, int64_t n_row, int64_t n_traj, size_t item, const void *from,
                 void *to);

/* Where an action counts: no episode ended before it; the one that ends it does count.
 *   done     [n + 1, B, C] episode ended with this action; of row 0 the last column alone is read
 *   begin    [n, B] another episode begins with this chunk step, so that its actions count again;
 * or NULL: none does mask     out, [n, B, C'] 0 or 1 n_valid  out, [B] actions that count, also
 * with per_chunk; 0 where an episode had ended */
void vk_adv_valid(const vk_roll *r, const uint8_t *done, const uint8_t *begin, uint8_t *mask,
                  int32_t *n_valid);

/* Which ends of a chunk step get the value of what would have come. */
typedef enum vk_bootstrap {
  VK_BOOTSTRAP_NONE,
  VK_BOOTSTRAP_TRUNCATED, /* stopped by the clock and not at the goal */
  VK_BOOTSTRAP_STANDARD,  /* stopped by the clock, also when at the goal (published "standard") */
  VK_BOOTSTRAP_ALWAYS,    /* every end, success too: for environments that go on by themselves */
} vk_bootstrap;

/* Adds gamma * value to the reward of a chunk's last action where its last column ended so. For
 * rollouts whose environments start anew by themselves; others do not bootstrap.
 *   terminated, truncated  [n, B, C]: rows 1 to n of the flags
 *   value                  [n, B] of the last observation of the episode
 *   reward                 in and out, [n, B, C] */
void vk_adv_bootstrap(const vk_roll *r, vk_bootstrap kind, double gamma, const uint8_t *terminated,
                      const uint8_t *truncated, const float *value, float *reward);

/* Generalised advantage estimation.
 *   delta_t = r_t + gamma V_{t+1} (1 - d_{t+1}) - V_t
 *   A_t = delta_t + gamma lambda (1 - d_{t+1}) A_{t+1},   return_t = A_t + V_t
 *   reward  [n, B, C];  done [n + 1, B, C];  value [n + 1, B, C'], of the last row the first head
 *   adv, ret  out, [n, B, C'] */
void vk_adv_gae(const vk_roll *r, double gamma, double lambda, const float *reward,
                const uint8_t *done, const float *value, double *adv, double *ret);

/* Return of the first episode of each trajectory: score [B]. With per_chunk the rewards of the
 * chunk in which it ends all count. */
void vk_adv_score(const vk_roll *r, const float *reward, const uint8_t *done, double *score);

/* A group is `group` trajectories in a row: of one task, from one initial state. The advantage of
 * all valid steps is (score - mean) / (std + 1e-6) of the group, std with group - 1; exactly 0 when
 * all scores are equal (published: rounding divided by 1e-6). n_traj % group == 0.
 *   mask  [n, B, C'] or NULL;  adv  out, [n, B, C'], 0 where masked */
void vk_adv_group(const vk_roll *r, int64_t group, const double *score, const uint8_t *mask,
                  double *adv);

/* That each group is of one task and one initial state (any numbers that name them).
 * Errors: VK_E_MISMATCH with the trajectories; VK_E_SHAPE when groups do not divide n_traj. */
VK_NODISCARD vk_status vk_adv_check_groups(int64_t n_traj, int64_t group, const int64_t *task,
                                           const int64_t *start, vk_err *err);

/* Masks groups whose mean score is not in [lo, hi] (NaN is not): nothing is learned from all
 * failures or all successes. Scores are those of vk_adv_score (published: all rewards where there
 * is no mask of valid steps).
 *   mask  in and out, [n, B, C'] or NULL;  keep  out, [B / group] or NULL
 * Returns the number of groups kept. */
int64_t vk_adv_filter(const vk_roll *r, int64_t group, const double *score, double lo, double hi,
                      uint8_t *mask, uint8_t *keep);

/* ---- normalisation ------------------------------------------------------------------------- */

/* Of some numbers: how many, their mean, the sum of squared distances from it. */
typedef struct vk_moments {
  int64_t n;
  double mean, m2;
} vk_moments;

/* Of each trajectory [begin, end) what is masked in; per_traj [B]. Workers do it for theirs. */
void vk_adv_moments(const vk_roll *r, const double *adv, const uint8_t *mask, int64_t begin,
                    int64_t end, vk_moments *per_traj);
/* Of them all, joined in order: the same bits whoever computed which. */
vk_moments vk_moments_join(int64_t n, const vk_moments *part);

typedef enum vk_normalise {
  VK_NORMALISE_STD,        /* (A - mean) / (std + 1e-5), std with n - 1: the default */
  VK_NORMALISE_VAR,        /* (A - mean) / sqrt(var + 1e-5), var with n: published "streaming" */
  VK_NORMALISE_STD_BIASED, /* as STD with n; the published asynchronous trainer does it after STD */
} vk_normalise;

/* Normalises n_item advantages, masked or not, by the moments of the whole batch (published: of a
 * worker's part). Without a valid step STD changes nothing and the others take mean and
 * variance as 0; one step, or equal ones, become 0 (published: one becomes NaN). */
void vk_adv_normalise(int64_t n_item, const vk_moments *all, vk_normalise how, double *adv);

/* ---- weights of a loss --------------------------------------------------------------------- */

/* w_k of the head of this file.
 *   mask     [n, B, C'] or NULL: all ones
 *   n_valid  [B] or NULL: no length normalisation, w = mask. Where it is 0, w = 0 (published: NaN)
 *   t_max    steps of the longest episode
 *   weight   out, [n, B, C'] */
void vk_adv_weights(const vk_roll *r, const uint8_t *mask, const int32_t *n_valid, double t_max,
                    float *weight);

/* K of the whole batch of n_row rows that the loss sees as `width` items each: n_row * width, or
 * (with_length false) the sum of the weights [n_row, n_head] spread to that width. */
double vk_adv_norm(int64_t n_row, int64_t n_head, int64_t width, const float *weight,
                   bool with_length);

/* Rows of which a loss and its gradient know something: some weight is not 0 and, where adv is
 * given, its advantage neither. Give adv only when nothing but the policy's loss is trained: a
 * value loss and an entropy bonus want rows without advantage, too.
 *   weight [n_row, n_head];  adv [n_row, n_head] or NULL;  row  out, [n_row] indices, ascending
 *   saved  out, share of the rows that are left out; may be NULL
 * Returns how many. */
int64_t vk_adv_rows(int64_t n_row, int64_t n_head, const float *weight, const double *adv,
                    int32_t *row, double *saved);

/* Rows row[0 .. n_row - 1] of x [*, n_head], each item repeated: y [n_row, width]. row NULL: the
 * first n_row. width is a multiple of n_head: a loss cannot be coarser than its rewards. */
void vk_adv_spread(int64_t n_row, const int32_t *row, int64_t n_head, int64_t width,
                   const double *x, float *y);
void vk_adv_spread_f32(int64_t n_row, const int32_t *row, int64_t n_head, int64_t width,
                       const float *x, float *y);

#endif
