/* eval_plan.h - what an evaluation is to run: its pictures, and how it is told before it runs.
 * Test: tests/cmd/test_eval.sh, tests/cmd/test_eval_checkpoint.sh */
#ifndef VK_CMD_EVAL_PLAN_H
#define VK_CMD_EVAL_PLAN_H

#include <cjson/cJSON.h>

#include "rl/evaluate.h"
#include "rl/film.h"

/* What is to be run, whether new or resumed. */
typedef struct vk_eval_plan {
  const char *suite;
  const char *policy_typed;             /* for sentences about it */
  char policy_word[VK_POLICY_WORD_MAX]; /* as it means the same in any folder: for the record */
  const vk_protocol *protocol;
  uint32_t seed;
  double temperature; /* 0: greedy */
  vk_start_rows rows;
  vk_perturb perturb;
  bool is_seed_given, is_n_episode_given;
  int first_row, n_per_task;            /* rows of each task */
  const char *out;                      /* NULL: no folder */
  const char *film_word, *visuals_word; /* NULL: none; a file's path is whole */
  char visuals_path[VK_FS_PATH_MAX];
  const char *visuals_before; /* of the resumed run: their kind, when no word named them; or NULL */
  vk_film_choice film;
  bool sees_pictures; /* the policy does */
  bool is_out_late;   /* a resumed run had no folder: its report has no pictures */
  vk_visuals visuals; /* open when pictures are made */
  bool has_visuals;
  vk_pack pack;
  uint32_t n_task;
  uint32_t *task;
  char (*task_id)[VK_PACK_TASK_ID_SIZE];
  vk_eval_episode *episode; /* still to do */
  int n_episode, n_total;
  int64_t n_step_max; /* of those to do */
} vk_eval_plan;

/* Decides which pictures will be made, and opens their visuals. Where --visuals does not name them,
 * a policy that sees pictures sees those of the kind that it was trained on.
 * Errors: VK_E_USAGE (options that contradict each other), those of vk_visuals_choose. */
VK_NODISCARD vk_status vk_eval_plan_pictures(vk_eval_plan *plan, const vk_policy *policy,
                                             vk_err *err);

/* Adds visuals_match, pack_match and trained_on_rows (bool): whether the policy was trained on
 * them, and on the first states that are scored; only what is known of a trained one. */
void vk_eval_plan_add_match(const vk_eval_plan *plan, const vk_policy *policy, cJSON *object);

/* Prints what --dry-run tells. bytes: memory on n_thread threads.
 * Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_eval_plan_print(const vk_eval_plan *plan, const vk_policy *policy,
                                          const vk_eval_probe *probe, double bytes, int n_thread,
                                          bool as_json, vk_err *err);

/* Command line that repeats an episode, but for its task and row; free it. pack: --pack or NULL.
 * NULL: no memory. */
char *vk_eval_plan_repeat(const vk_eval_plan *plan, const char *pack);

/* A zeroed one is allowed. */
void vk_eval_plan_free(vk_eval_plan *plan);

#endif
