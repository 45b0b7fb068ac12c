/* collect.h - gathers demonstrations: runs a policy until each task has as many successes as
 * wanted, and writes a file of them a task.
 *
 * Tries of a task are numbered from 0 and taken in this order, so that the demonstrations are the
 * first successes, whatever the number of threads and however often the work was interrupted. Each
 * demonstration is written into a folder beside the result as soon as its episode ends (whole or
 * not at all); when a task has all of its own, they become its file. Test: tests/unit/test_demo.c,
 * tests/cmd/test_collect.sh */
#ifndef VK_RL_COLLECT_H
#define VK_RL_COLLECT_H

#include "rl/demo_scene.h"
#include "rl/evaluate.h"

/* What came of a try. */
typedef enum vk_try_state {
  VK_TRY_UNKNOWN, /* not made, or what it gave is gone */
  VK_TRY_SUCCESS,
  VK_TRY_FAILURE, /* of an episode that ended otherwise, errors included */
} vk_try_state;

typedef struct vk_collect_task {
  uint32_t i_task;
  int n_try_max;
  const char *path; /* of its file */
  /* in: what is recorded of an earlier part of the run; out: now */
  vk_try_state *try_state; /* [n_try_max] */
  bool *is_recorded;       /* [n_try_max] put was called for it, now or earlier */
  bool is_written;         /* out: the file is there */
  int n_demo, n_success;   /* out: in the file */
  int64_t n_step, n_byte;  /* out: of the file */
  int n_tried;             /* out */
} vk_collect_task;

typedef struct vk_collect_config {
  vk_eval_config eval; /* pack, protocol, policy, pool, ...; episode, watch and put are set here */
  int n_want;          /* demonstrations a task */
  double noise;        /* sigma of what is added to the six pose commands, 0: nothing */
  bool keep_failures;  /* they are written too, marked */
  vk_demo_layout layout;
  vk_obs_align align;
  int px;                    /* of pictures, 0: none */
  const vk_visuals *visuals; /* with px */
  bool is_resumed;           /* a file that is there may be an earlier part of the run's */
  const char *stage_dir;     /* where demonstrations wait; removed when all is written */
  vk_eval_result_fn *put;    /* of each try that is not recorded yet; one call at a time */
  void *arg;
} vk_collect_config;

/* Runs what is missing and writes the files. stats (may be NULL) is filled in any case.
 * Errors: VK_E_INTERRUPTED, put's own, VK_E_IO (what was written stays), VK_E_MISMATCH (a task's
 * file has appeared meanwhile), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_collect(const vk_collect_config *config, vk_collect_task *task,
                                  int n_task, vk_eval_stats *stats, vk_err *err);

#endif
