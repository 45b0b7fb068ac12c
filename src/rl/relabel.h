/* relabel.h - what the scripted expert would do where a policy comes. The policy acts; at each of
 * its decisions the expert goes on from the same state, in an environment of its own.
 *
 * A label is a piece of demonstration that begins at a decision. Its first states, the policy's own
 * and those of the expert's way on, are samples with full chunks of the expert's actions; the steps
 * after them are there for these chunks alone.
 *
 * An episode that the simulator cannot finish, the expert's part included, or in which MuJoCo gave
 * up a state and began from its own, leaves no labels and is run again from another first state.
 *
 * Source: Ross et al. 2011, arXiv:1011.0686 (DAgger: states of the learner, labels of the expert).
 * Test: tests/unit/test_relabel.c */
#ifndef VK_RL_RELABEL_H
#define VK_RL_RELABEL_H

#include "rl/dataset.h"
#include "rl/evaluate.h"
#include "sim/expert.h"

enum { VK_LABEL_SAMPLES = 8, VK_LABEL_STEPS = VK_LABEL_SAMPLES + VK_CHUNK_STEPS - 1 };

typedef struct vk_label {
  uint32_t i_task;
  int n_step;  /* of the expert: VK_LABEL_STEPS, or fewer where it was done */
  int n_state; /* numbers of a picture row */
  double action[VK_LABEL_STEPS][VK_N_ACTION];
  vk_robot_obs obs[VK_LABEL_SAMPLES];
  double *picture_state; /* [VK_LABEL_SAMPLES, n_state] */
} vk_label;

typedef struct vk_relabel {
  int64_t n;
  vk_label *label;          /* in the order of episodes and decisions */
  int n_episode, n_success; /* of the policy */
  int n_replaced;           /* episodes that were run again */
  int64_t n_step;           /* control steps, the expert's included */
  double wall_s;
} vk_relabel;

typedef struct vk_relabel_config {
  vk_eval_config eval; /* all but n_episode, episode, repeat, put, arg and watch; the policy answers
                          with chunks of 8 */
  const vk_expert_facts *facts;
  int row_stride; /* an episode is replaced by that from row + this, at most
                     VK_START_REPLACED_MAX times */
} vk_relabel_config;

/* Runs the episodes. Free *out with vk_relabel_free, also after errors.
 * Errors: VK_E_INTERRUPTED, VK_E_NOMEM, VK_E_NOTFOUND (the expert does not know an object),
 * VK_E_SIM (one cannot be replaced either), those of the policy. */
VK_NODISCARD vk_status vk_relabel_run(vk_relabel *out, const vk_relabel_config *config,
                                      int n_episode, const vk_eval_episode *episode, vk_err *err);
/* A zeroed one is allowed. */
void vk_relabel_free(vk_relabel *r);

/* Adds the labels to the training samples. Errors: those of vk_dataset_add. */
VK_NODISCARD vk_status vk_relabel_add(const vk_relabel *r, vk_dataset *d, vk_err *err);

/* To and from a safetensors file: a run that is resumed cannot make them anew. d: what they are
 * going to be added to.
 * Errors: those of vk_safetensors_write and _open; VK_E_FORMAT (it holds something else, labels of
 * tasks that d has not, numbers that are not finite). */
VK_NODISCARD vk_status vk_relabel_write(const vk_relabel *r, const char *path, vk_err *err);
VK_NODISCARD vk_status vk_relabel_read(vk_relabel *out, const char *path, const vk_dataset *d,
                                       vk_err *err);

#endif
