/* protocol.h - how published numbers of the benchmark were taken, one entry of a const table each.
 *
 * Episode k of a task: a generator seeded once gives its resets in turn, the episode takes reset
 * k / n_parallel (from 0), then the state of init row k, then n_dummy steps of the dummy action
 * whose success does not count, then steps of the policy until success or the step limit. What an
 * episode sees thus depends on k alone.
 * Test: tests/unit/test_protocol.c */
#ifndef VK_RL_PROTOCOL_H
#define VK_RL_PROTOCOL_H

#include <stdint.h>

#include "core/err.h"
#include "rl/perturb.h"
#include "sim/render.h"

enum { VK_PROTOCOL_SUITES_MAX = 5, VK_PROTOCOL_PRINT_SIZE = 1024 };

typedef struct vk_protocol_limit {
  const char *suite;
  int n_step; /* control steps of the policy */
} vk_protocol_limit;

typedef struct vk_protocol {
  const char *name;
  const char *help; /* one line */
  uint32_t seed;    /* of the generator of resets */
  int n_parallel;   /* environments that the reference runs side by side with equal generators */
  int n_episode;    /* a task */
  int n_dummy;
  double dummy[VK_N_ACTION];
  int n_limit;
  vk_protocol_limit limit[VK_PROTOCOL_SUITES_MAX];
  int n_step_default;         /* limit of suites that the table does not name */
  int n_replan;               /* actions that are executed of each chunk a policy answers with */
  int image_px;               /* side of the square camera pictures */
  int image_policy_px;        /* side after resizing for the policy */
  vk_picture_turn image_turn; /* how policies get them; checkpoints have their own */
} vk_protocol;

extern const vk_protocol vk_protocols[]; /* ends with a NULL name */

/* Errors: VK_E_USAGE with the nearest name. */
VK_NODISCARD vk_status vk_protocol_find(const vk_protocol **out, const char *name, vk_err *err);

/* The one of that name with no limit over n_step; 0: as it is. Errors: VK_E_USAGE. */
VK_NODISCARD vk_status vk_protocol_shortened(vk_protocol *out, const char *name, int64_t n_step,
                                             vk_err *err);

/* Step limit of a suite. */
int vk_protocol_n_step(const vk_protocol *protocol, const char *suite);

/* Every member as "name value" lines, with what else decides what episodes are: the seed that is
 * used, the rows (vk_start_rows_names), and how episodes are perturbed, and how much (none: no
 * line). Episode counts are not part of it: runs of different length still compare episode by
 * episode. */
void vk_protocol_print(const vk_protocol *protocol, uint32_t seed, const char *rows,
                       vk_perturb perturb, char text[VK_PROTOCOL_PRINT_SIZE]);
/* SHA-256 of that text. */
void vk_protocol_hash(const vk_protocol *protocol, uint32_t seed, const char *rows,
                      vk_perturb perturb, char hex[65]);

#endif
