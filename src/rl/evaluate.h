/* evaluate.h - runs episodes of a policy under a protocol, on every thread of a pool.
 *
 * A result depends on its (task, row), the protocol, the seed, the pack and the policy: not on the
 * other episodes, their order or the number of threads.
 * Test: tests/unit/test_evaluate.c, tests/cmd/test_eval.sh */
#ifndef VK_RL_EVALUATE_H
#define VK_RL_EVALUATE_H

#include "core/progress.h"
#include "core/thread.h"
#include "core/trace.h"
#include "rl/policy.h"
#include "rl/start.h"
#include "rl/watchdog.h"
#include "sim/pack.h"

/* An episode to run: init row `row` of task `i_task` of the pack, as the protocol's row-th. */
typedef struct vk_eval_episode {
  uint32_t i_task;
  int row;
} vk_eval_episode;

typedef struct vk_eval_result {
  vk_eval_episode episode;
  int i_episode;    /* of the config's */
  vk_status status; /* VK_OK: it ran to its end; else error says why it did not */
  vk_err error;
  /* Whether it counts: it ran to its end, or the simulator could not go on (VK_E_SIM) where the
   * policy had brought it, which is a failure. Published evaluations count such episodes too (an
   * exception is a failure in those of OpenVLA-OFT and openpi); leaving them out would raise the
   * rate of a policy that breaks the simulation. */
  bool is_scored;
  bool success;
  int steps;             /* of the policy */
  char state_sha256[65]; /* of the final state; "" when it did not run to its end */
  int n_unstable;        /* times that the simulation reset itself and went on */
  double wall_s;
} vk_eval_result;

/* Called for every episode that ended, one call at a time, from any thread. Anything but VK_OK ends
 * the evaluation with that error. */
typedef vk_status vk_eval_result_fn(void *arg, const vk_eval_result *result, vk_err *err);

/* What happens in the slots, for whoever records or changes episodes. Called from the thread that
 * runs the slot: calls for one slot come one after another, those of different slots at once. An
 * error ends the episode with it. Members may be NULL. */
typedef struct vk_eval_watch {
  void *arg;
  /* The environment stands after the waiting steps. episode: the element of the config's array. */
  vk_status (*begin)(void *arg, int i_slot, const vk_eval_episode *episode, const vk_env *env,
                     vk_err *err);
  /* Before a step of the policy. action: what it answered, in and out: what is executed. */
  vk_status (*before_step)(void *arg, int i_slot, const vk_env *env, double action[VK_N_ACTION],
                           vk_err *err);
  vk_status (*after_step)(void *arg, int i_slot, const vk_env *env, const vk_step *step,
                          vk_err *err);
  /* The episode has ended, put has not yet been called; also for episodes that ended by an error
   * after begin. An error is put as the episode's. */
  vk_status (*end)(void *arg, int i_slot, const vk_eval_result *result, vk_err *err);
} vk_eval_watch;

typedef struct vk_eval_config {
  const vk_pack *pack;
  const char *cache_dir; /* compiled models; NULL: none */
  const vk_protocol *protocol;
  uint32_t seed;      /* of the resets */
  vk_start_rows rows; /* first states */
  vk_perturb perturb;
  const vk_policy *policy;   /* opened for vk_eval_n_slot(pool) environments */
  const vk_visuals *visuals; /* needed when the policy sees pictures */
  vk_pool *pool;
  vk_isa isa; /* path of the environments; results do not depend on it */
  int n_episode;
  const vk_eval_episode *episode; /* episodes of a task side by side: scenes are built once */
  /* [n_episode] Runs of one (task, row) begin alike; those with other numbers draw other actions.
   * NULL: all 0. */
  const int *repeat;
  const int *n_step_most; /* [n_episode] they end after so many; NULL: at the protocol's limits */
  bool asks_after;        /* the policy is asked after the last step, too; nobody executes it */
  vk_eval_result_fn *put;
  void *arg;
  const vk_eval_watch *watch; /* NULL: none */
  vk_watchdog *dog;           /* of vk_eval_n_slot(pool) slots: hears of every episode from before
                                 its scene is built to its end, and of every step; NULL: none */
  vk_progress *progress;      /* kept fresh, not advanced; NULL: none */
  vk_trace *trace;            /* NULL: off */
} vk_eval_config;

typedef struct vk_eval_stats {
  int64_t n_step; /* control steps, waiting steps included */
  double wall_s;
} vk_eval_stats;

/* Environments, and so slots of a policy, that an evaluation on this pool uses at most. */
int vk_eval_n_slot(const vk_pool *pool);

/* Runs the episodes. What an environment or the policy cannot do is the result of that episode;
 * others go on. stats (out, may be NULL) is filled in any case.
 * Errors: VK_E_INTERRUPTED (episodes in flight are given up), put's own, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_evaluate(const vk_eval_config *config, vk_eval_stats *stats, vk_err *err);

/* What an environment takes. */
typedef struct vk_eval_probe {
  uint64_t bytes; /* one scene and one environment, when all of it was used */
  double reset_s, step_s;
  double answer_s; /* of the policy, its pictures included */
  int n_executed;  /* steps of an answer; 0: it was not asked */
} vk_eval_probe;

/* Measures it on the first episode, in n_step dummy steps and a few answers of the policy in slot 0
 * (n_step 0: none of them). Errors: those that the episode itself would end with. */
VK_NODISCARD vk_status vk_eval_probe_run(const vk_eval_config *config, int n_step,
                                         vk_eval_probe *out, vk_err *err);

#endif
