/* loss.h - the loss of policy gradients as nodes of a graph, and what is reported of it.
 *
 *   total = actor + critic - entropy_bonus H
 *   actor   mean of w l, l = max(-A r, -A clamp(r, 1 - lo, 1 + hi)), at most dual |A| (op ppo_loss)
 *   critic  mean of w max(h(V - R), h(clamped V - R)) of Huber's h (op huber)
 *   H       mean over valid actions of the sum of their tokens' entropies (op weighted_mean)
 *
 * Granularity: log-probabilities come a token each; `group` neighbours are summed: 1 (token),
 * the dimensions of an action (action), those of all actions of a chunk (chunk). Advantages and
 * weights are then an item each of these sums: vk_adv_spread repeats what is coarser.
 *
 * What is not in the graph is in the weights (vk_adv_weights), so that one graph does for all of
 * training: masks, length normalisation, the norm K of the whole batch, gradient accumulation
 * (norms times the number of parts), warm-up of the critic (the actor's weights and the entropy's
 * are 0).
 *
 * Source: Schulman et al. 2017, arXiv:1707.06347; Ye et al. 2020, arXiv:1912.09729 (dual clip);
 * Hilton et al. 2022, arXiv:2110.00641 (decoupled). Conventions: RLinf a3816b5,
 * rlinf/algorithms/losses.py. Test: tests/unit/test_rl_loss.c, tests/parity/rl */
#ifndef VK_RL_LOSS_H
#define VK_RL_LOSS_H

#include "nn/graph.h"

typedef struct vk_policy_loss {
  int64_t group;         /* tokens to a log-probability of the loss */
  double clip_lo;        /* ratios count from 1 - clip_lo */
  double clip_hi;        /* to 1 + clip_hi */
  double dual;           /* > 1, or 0: no bound */
  double log_lo, log_hi; /* bounds of the logarithm of the ratio; none unless log_lo < log_hi */
  double huber_delta;    /* > 0 */
  double value_clip;     /* V stays within this of its earlier value */
  double entropy_bonus;  /* 0: none */
} vk_policy_loss;

/* clip 0.2 to 0.28, no dual bound, delta 10, value clip 0.2, tokens alone. */
vk_policy_loss vk_policy_loss_default(void);

/* Values of the graph; VK_NONE for what is not trained. */
typedef struct vk_policy_loss_in {
  vk_id logp;                      /* f32, last dimension a multiple of group: a token each */
  vk_id logp_old;                  /* f32, as logp: when the action was drawn, or, decoupled, of
                                      the proximal policy (vk_policy_proximal) */
  vk_id adv, weight;               /* f32, an item a group */
  vk_id norm;                      /* f32 [1] */
  vk_id value, value_old, returns; /* f32, alike */
  vk_id value_weight, value_norm;  /* as value; [1] */
  vk_id entropy;                   /* f32, a token each */
  vk_id entropy_weight;            /* as entropy: of its action */
  vk_id entropy_norm;              /* [1]: valid actions */
} vk_policy_loss_in;

/* Values of the graph that it adds; VK_NONE for parts that are not there. */
typedef struct vk_policy_loss_out {
  vk_id total, actor, critic, entropy; /* f32 [1] */
} vk_policy_loss_out;

/* Adds the loss's nodes. What is wrong becomes the graph's error (vk_graph_check). */
vk_policy_loss_out vk_policy_loss_build(vk_graph *g, const vk_policy_loss *loss,
                                        const vk_policy_loss_in *in);

/* Decoupled loss, for policies that lag behind: the proximal policy between that which drew the
 * action and the current one, by the versions of their weights, as log-probabilities.
 *   prox = old + a (logp - old), a = clamp((current - 1 - v) / (current - v), 0, 1),
 *   a = 0 where current <= v or v < 0
 *   logp, old, version  [n] a token each;  prox  out, [n]; constants for the loss */
void vk_policy_proximal(int64_t n, const float *logp, const float *old, const float *version,
                        double current, float *prox);

/* Multiplies weights [n_item] by exp(prox - old) of each group of tokens; above most (0: none) they
 * become 0. prox, old [n_item * group]. Returns the number of items whose weight was not 0 and is
 * now. */
int64_t vk_policy_behaviour(int64_t n_item, int64_t group, const float *prox, const float *old,
                            double most, float *weight);

/* ---- metrics ------------------------------------------------------------------------------- */

/* Sums over items of weight other than 0, to be added up over parts of a batch from zeros. */
typedef struct vk_policy_sums {
  double n, ratio, ratio_away, ratio_clipped, ratio_dual; /* ratio_away: of |ratio - 1| */
  double log_ratio, kl;                                   /* kl: of ratio - 1 - ln ratio */
  double n_clip, n_dual;  /* items where the clipped loss, and where the bound acts */
  double loss, loss_size; /* of w l and of w |l| */
  double n_value, returns, returns2, error, error2; /* R and R - V, and their squares */
} vk_policy_sums;

/* logp, old [n_item * group]; adv, weight [n_item]. Ratios and their logarithms are bounded as
 * in the loss, kl is not. */
void vk_policy_sums_add(vk_policy_sums *s, const vk_policy_loss *loss, int64_t n_item,
                        const float *logp, const float *old, const float *adv, const float *weight);
/* value, returns, weight [n]. */
void vk_policy_sums_add_value(vk_policy_sums *s, int64_t n, const float *value,
                              const float *returns, const float *weight);

/* Means over what counts: each item once, however fine the mask (published: sums over tokens
 * divided by the number of actions where the mask is one an action, so that shares exceed 1). 0
 * where nothing counts. */
typedef struct vk_policy_metrics {
  double ratio, ratio_away, ratio_clipped, ratio_dual;
  double kl;            /* of the old policy to the new, never below 0: what stops an epoch */
  double kl_simple;     /* mean of old - new; published "approx_kl" */
  double clip_fraction; /* share where the clipped loss is the greater */
  double dual_fraction; /* share where the dual bound acts */
  double explained;     /* 1 - var(R - V) / var(R); 0 without values, or when R does not vary */
} vk_policy_metrics;
vk_policy_metrics vk_policy_metrics_of(const vk_policy_sums *s);

#endif
