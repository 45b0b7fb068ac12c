/* rollout.h - episodes of a policy that is being trained: what it saw, drew and thought of it.
 *
 * A trajectory is what one environment lives through: an episode, or (partial reset) one after
 * another until it has made n_chunk decisions, the last one cut. Trajectories of a group share task
 * and initial state and differ in what is drawn. Decision k of trajectory b lies at b * n_chunk + k
 * of every array, whatever the order in which episodes ran, so that a rollout has the same bits on
 * any number of threads. Pictures are drawn at decisions alone.
 *
 * An episode that the simulator cannot finish, or in which MuJoCo gave up a state and began from
 * its own, is run again with other draws, and after a few times its whole group from another
 * initial state: how often is counted.
 * Test: tests/unit/test_rollout.c */
#ifndef VK_RL_ROLLOUT_H
#define VK_RL_ROLLOUT_H

#include "core/log.h"
#include "rl/evaluate.h"
#include "rl/policy_checkpoint.h"

typedef struct vk_rollout_episode {
  int i_traj, first; /* its decisions are those of a trajectory from `first` on */
  uint32_t i_task;
  int row;    /* initial state, as in vk_eval_episode */
  int repeat; /* which draws */
  const char *instruction;
  bool success;
  bool is_cut;       /* the trajectory ended before it */
  int n_step;        /* actions executed */
  int n_decision;    /* each executed 8, the last one perhaps fewer */
  float value_after; /* first value of what came after the last step, where that was asked */
} vk_rollout_episode;

typedef struct vk_rollout {
  int n_group, group, n_traj; /* n_traj = n_group * group: group g has the g-th `group` */
  int n_chunk;                /* most decisions of a trajectory */
  int n_view;
  bool has_proprio;            /* the policy looks at it */
  int n_episode;               /* n_traj, or more where environments begin anew */
  vk_rollout_episode *episode; /* [n_traj * n_chunk] the first of each trajectory first */
  /* [n_traj * n_chunk, ...]; what a trajectory did not come to means nothing */
  uint8_t *picture; /* [n_view, 128, 128, 3] */
  float *proprio;   /* [8] scaled */
  int32_t *bin;     /* [56] drawn */
  float *log_prob;  /* [56] */
  float *value;     /* [8] */
  int n_replaced;   /* episodes that were run again */
  int64_t n_step;   /* control steps of the last run, waiting steps included */
  double wall_s;
} vk_rollout;

/* Memory of a rollout of that size. */
uint64_t vk_rollout_bytes(int n_group, int group, int n_chunk, int n_view);
/* Errors: VK_E_RANGE (a size below 1), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_rollout_new(vk_rollout *r, int n_group, int group, int n_chunk,
                                      int n_view, vk_err *err);
/* A zeroed one is allowed. */
void vk_rollout_free(vk_rollout *r);

typedef struct vk_rollout_config {
  /* Of it: pack, cache_dir, protocol (of 8 actions a chunk or more), seed and rows of first states,
   * visuals, pool, isa, progress, trace; watch (NULL: none) is told of every step. */
  vk_eval_config eval;
  const vk_checkpoint_info *info;
  const vk_params *params;
  uint64_t seed;      /* of the draws */
  double temperature; /* 0: greedy */
  int row_stride;     /* a group that cannot be finished begins anew from row + this, at most
                         VK_START_REPLACED_MAX times; 0: none does */
  /* The policy is asked after the last step of an episode, too: value_after. */
  bool values_after;
  /* The first state of episode i, from 1, of a trajectory, which then goes on with it until it has
   * made n_chunk decisions. Groups are of one. NULL: a trajectory is an episode. */
  vk_eval_episode (*next)(void *arg, int i_traj, int i);
  void *arg;
  double quiet_s; /* an episode without a step for so long is told to warn; 0: never */
  vk_log *warn;   /* NULL: nothing is said */
} vk_rollout_config;

/* Runs n_group groups from their first states, [n_group] tasks and rows.
 * Errors: VK_E_USAGE (the protocol), VK_E_INTERRUPTED, VK_E_SIM (a group cannot be replaced
 * either), what the policy cannot do; VK_E_NOMEM. The rollout means nothing then. */
VK_NODISCARD vk_status vk_rollout_run(vk_rollout *r, const vk_rollout_config *config,
                                      const vk_eval_episode *start, vk_err *err);

/* That all actions of the policy's chunks are executed. Errors: VK_E_USAGE. */
VK_NODISCARD vk_status vk_rollout_check(const vk_protocol *protocol, int64_t n_action_step,
                                        vk_err *err);

/* That an episode can be learned from so far: what MuJoCo does after it gave up a state has nothing
 * to do with actions, although evaluations go on, as published ones do. Errors: VK_E_SIM. */
VK_NODISCARD vk_status vk_rollout_check_stable(const vk_env *env, vk_err *err);

/* That n_step (0: none) ends some episode of these tasks earlier than the protocol does, or with
 * it: what is asked for happens. Errors: VK_E_USAGE. */
VK_NODISCARD vk_status vk_rollout_check_limit(const vk_pack *pack, const char *protocol,
                                              int64_t n_step, int n_task, const uint32_t *i_task,
                                              vk_err *err);

/* Tells warn of episodes that make no step for quiet_s: of evaluations on this pool. *out is NULL
 * where quiet_s is 0 or warn NULL. Errors: those of vk_watchdog_new. */
VK_NODISCARD vk_status vk_rollout_dog_new(vk_watchdog **out, const vk_pool *pool, double quiet_s,
                                          vk_log *warn, vk_err *err);

/* Most decisions of an episode in these tasks. */
int vk_rollout_n_chunk(const vk_pack *pack, const vk_protocol *protocol, int n_task,
                       const uint32_t *i_task);

#endif
