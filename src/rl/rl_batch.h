/* rl_batch.h - from a rollout to what a network is trained with: valid steps, rewards, advantages,
 * filtered groups, weights, and the decisions that are worth a forward pass. What stands in
 * rl/advantage.h is put together here in one order; row k * B + b is decision k of trajectory b.
 *
 * A decision without weight (after the end of its episode, of a filtered group) or, where only the
 * policy's loss is trained, without advantage is in no micro-batch: neither forward nor backward
 * pass sees it, and loss and gradient are those of a batch that masks it.
 *
 * Episodes end with success, or at the protocol's limit, which counts as a failure: the limit
 * belongs to the task, and nothing comes after it unless `bootstrap` says so. One that its rollout
 * cut goes on, worth what the value head says.
 *
 * Source: rl/advantage.h, rl/loss.h. Test: tests/unit/test_rl_batch.c,
 * tests/unit/test_rl_formulas.c */
#ifndef VK_RL_RL_BATCH_H
#define VK_RL_RL_BATCH_H

#include "nn/net.h"
#include "rl/advantage.h"
#include "rl/rl_graph.h"
#include "rl/rollout.h"

typedef struct vk_rl_config {
  bool is_gae; /* generalised advantages of the value head, normalised over the whole batch; else
                  relative to the group */
  double gamma, lambda;        /* GAE: a step is an action, or a chunk with per_chunk */
  vk_bootstrap bootstrap;      /* GAE: ends that are worth what the value head says of what came
                                  after (the rollout's values_after), as if they were none */
  bool per_chunk;              /* rewards, values and advantages are of chunks */
  double reward;               /* of success */
  double filter_lo, filter_hi; /* groups count whose share of successes is not outside */
  bool with_length;            /* every episode counts the same, however long */
  vk_policy_loss loss;         /* group: tokens to a log-probability */
} vk_rl_config;

/* Of an iteration. */
typedef struct vk_rl_share {
  double actor;         /* factor of the policy's loss; 0 while the critic warms up */
  double critic;        /* of the value's loss */
  double entropy_bonus; /* of the entropy */
} vk_rl_share;

typedef struct vk_rl_batch {
  const vk_rollout *rollout;
  vk_rl_config config;
  vk_roll roll;
  int32_t *episode;                      /* [B * n] of each decision, as they lie in the rollout */
  uint8_t *mask;                         /* [row, C'] */
  uint8_t *action_mask;                  /* [row, 8] */
  int32_t *n_valid;                      /* [B] */
  double *adv, *ret;                     /* [row, C'] */
  float *weight;                         /* [row, C'] */
  double norm, value_norm, entropy_norm; /* of the whole batch */
  int64_t n_used;                        /* rows to be trained on */
  int32_t *used;                         /* [n_used] ascending */
  double saved;                          /* share of the valid rows that are not among them */
  double saved_padded;                   /* of all rows, as published code runs them */
  int n_kept, n_uniform;                 /* groups that passed; groups of equal scores */
} vk_rl_batch;

/* Errors: VK_E_USAGE (granularities that do not fit), VK_E_MISMATCH (a group of several starts),
 * VK_E_NOMEM. */
VK_NODISCARD vk_status vk_rl_batch_new(vk_rl_batch *b, const vk_rollout *rollout,
                                       const vk_rl_config *config, vk_err *err);
/* A zeroed one is allowed. */
void vk_rl_batch_free(vk_rl_batch *b);
/* That config is one. Errors: VK_E_USAGE. */
VK_NODISCARD vk_status vk_rl_config_check(const vk_rl_config *config, vk_err *err);

/* The used rows in an order that follows from (seed, number): [n_used] out. */
void vk_rl_batch_order(const vk_rl_batch *b, uint64_t seed, uint64_t number, int32_t *order);

/* Fills the inputs of a net of rl/rl_graph.h with rows of the batch.
 *   n_part  a step of the optimiser sees one n_part-th of the used rows
 *   n_word  [capacity] scratch
 * Errors: VK_E_RANGE (more rows than fit). */
VK_NODISCARD vk_status vk_rl_batch_set(const vk_rl_batch *b, const int32_t *row, int n,
                                       const vk_rl_share *share, double n_part, vk_net *net,
                                       int *n_word, vk_err *err);

/* Sums over what the net computed for rows that were set. */
typedef struct vk_rl_sums {
  vk_policy_sums policy;
  double entropy, n_token; /* of valid tokens */
} vk_rl_sums;
void vk_rl_batch_sum(const vk_rl_batch *b, const int32_t *row, int n, const vk_net *net,
                     vk_rl_sums *sums);

/* Writes what is known of rows to a safetensors file: what the network sees and all that its loss
 * is made of. Instructions are the metadata text.0, text.1, ..., tasks are numbers in the pack.
 *   temperature  of the draws
 * Errors: those of vk_safetensors_write, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_rl_batch_write(const vk_rl_batch *b, const int32_t *row, int n,
                                         double temperature, const char *path, vk_err *err);

#endif
