/* start.h - how an episode begins: seed, resets and first state. The same numbers give the same
 * bits, whatever else runs.
 * Test: tests/unit/test_start.c, tests/unit/test_evaluate.c, tests/unit/test_demo.c */
#ifndef VK_RL_START_H
#define VK_RL_START_H

#include "rl/perturb.h"
#include "rl/protocol.h"
#include "sim/env.h"

typedef enum vk_start_rows {
  VK_ROWS_EVAL,    /* init row `row` of the task, after reset row / n_parallel of a generator seeded
                      with `seed` */
  VK_ROWS_SAMPLED, /* the first reset whose objects stand, of a generator seeded with a number made
                      of (task, row, seed), its arm moved by N(0, 0.02 rad) a joint as in the
                      recorded rows: for training */
  VK_ROWS_HELD_OUT /* the same from numbers that no (task, row, seed) of VK_ROWS_SAMPLED gives, so
                      that nobody has trained on them: for evaluation alone */
} vk_start_rows;

extern const char *const vk_start_rows_names[]; /* by vk_start_rows, NULL-terminated */

typedef struct vk_start {
  vk_start_rows rows;
  int row;
  uint32_t seed;
  const vk_protocol *protocol;
} vk_start;

/* Who draws first states from which rows of VK_ROWS_SAMPLED, so that nobody is judged where anybody
 * has learned, and nobody learns twice from the same. Rows of VK_ROWS_HELD_OUT are other states
 * whatever their number; VK_ROWS_EVAL are the init rows of a task. */
typedef enum vk_start_use {
  VK_START_DEMO,     /* vlakit collect: tries of a task, from 0 */
  VK_START_JUDGE,    /* evaluations on the way of a training run, which choose checkpoints */
  VK_START_PRACTICE, /* ppo and grpo, in turn, and from the beginning when all were had */
  VK_START_DAGGER,   /* episodes that the expert labels */
  VK_START_REPLACED, /* instead of a row of practice or dagger with which the simulator cannot go
                        on: VK_START_STRIDE further, and again */
  VK_START_USES
} vk_start_use;

enum { VK_START_STRIDE = 1 << 29, VK_START_REPLACED_MAX = 3 /* times */ };

typedef struct vk_start_range {
  const char *name;
  int64_t first, n;
} vk_start_range;

extern const vk_start_range vk_start_ranges[VK_START_USES];

/* Row i of a use's own, from 0; i must be one of them. */
int vk_start_row(vk_start_use use, int64_t i);

/* A number that tells (task, row) from every other. */
uint64_t vk_start_key(const char *task_id, int row);

/* Everything before the waiting steps. Errors: the environment's; VK_E_RANGE (no such row). */
VK_NODISCARD vk_status vk_start_env(vk_env *env, const vk_start *start, vk_err *err);
/* The same with the objects where perturb has them (VK_PERTURB_POSITION). */
VK_NODISCARD vk_status vk_start_env_perturbed(vk_env *env, const vk_start *start,
                                              vk_perturb perturb, vk_err *err);

#endif
