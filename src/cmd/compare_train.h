/* compare_train.h - two trainings side by side: what compare prints of them.
 * Test: tests/cmd/test_runs.sh */
#ifndef VK_CMD_COMPARE_TRAIN_H
#define VK_CMD_COMPARE_TRAIN_H

#include "cmd/curve.h"
#include "cmd/report.h"

/* Two runs of train, as vk_run_load gives them, and the curves that they have in common. */
typedef struct vk_train_pair {
  const vk_report *a, *b;
  vk_curve_runs curves; /* of a and b */
} vk_train_pair;

/* Prints how far each is, the settings that differ, and of every curve both values at the last step
 * that both have, and the last of each; to stdout. */
void vk_train_pair_print(const vk_train_pair *p);
/* run_a run_b step_a step_b wall_s_a wall_s_b loss_a loss_b settings:{key:[a,b]}
 * curves:{tag:{step,a,b,last_step_a,last_a,last_step_b,last_b}}; a value that is not there is null.
 * NULL without memory. */
cJSON *vk_train_pair_json(const vk_train_pair *p);

#endif
