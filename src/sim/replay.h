/* replay.h - plays a recording of the Python benchmark open loop and says how far we are from it.
 * The format of a recording: one .npz a task, with the arrays `suite task reset{1,2,3}_state
 * reset{1,2,3}_fixture_{pos,quat} reset{1,2,3}_rng_next init_row0 step_action step_state step_done
 * pred_atom pred_state_before pred_value`, and where they were recorded
 * `{reset1,init,step}_obs_robot {reset1,init}_obs_object obs_object obs_object_step step_ctrl`.
 * Test: tests/golden/test_replay.c */
#ifndef VK_SIM_REPLAY_H
#define VK_SIM_REPLAY_H

#include "core/cpu.h"
#include "core/npy.h"
#include "sim/env.h"

/* Errors are absolute differences, of qpos in m and rad; NaN counts as infinite. An error is NaN
 * when the recording has nothing to compare with. */
typedef struct vk_replay {
  char task[192]; /* "libero_spatial/3" */
  int n_step;
  double reset_max_abs;   /* states, fixtures and next draws of three resets */
  double max_abs_qpos_10; /* over the first 10 steps */
  double max_abs_qpos_50;
  double max_abs_qpos;
  double end_abs_qpos;     /* at the last step */
  double max_abs_obs_10;   /* observations of reset 1, of the init state, of the first 10 steps */
  double max_abs_ctrl_10;  /* torques (N*m) and finger targets (m) that end the first 10 steps */
  int first_step_over_1e6; /* first step more than 1e-6 off, -1: none */
  int n_success_differs;   /* steps whose success flag is not the recording's */
  int n_pred, n_pred_differs; /* recorded truth values of atoms */
  /* each step from the recorded state before it */
  bool has_each_step;
  double max_abs_each_step;
  double share_each_step_1e9;
  int n_each_step_success_differs;
} vk_replay;

/* The pack's task that a recording names.
 * Errors: VK_E_FORMAT (no recording), VK_E_NOTFOUND (no such task in the pack). */
VK_NODISCARD vk_status vk_replay_task(const vk_npz *recording, const vk_pack *pack,
                                      uint32_t *i_task, vk_err *err);

/* Runs resets, episode, predicates and, when asked, single steps, on the path isa.
 * Errors: VK_E_SHAPE and VK_E_FORMAT when arrays do not fit the task, VK_E_INTERRUPTED, and the
 * environment's. */
VK_NODISCARD vk_status vk_replay_run(vk_replay *out, const vk_npz *recording, const vk_scene *scene,
                                     vk_isa isa, bool each_step, vk_err *err);

/* What the recording's pictures show: picture states (sim/picture.h) of the observation that the
 * 10th step returns and of the last step's. The last step starts from the recorded state before it,
 * since an episode's end is chaotic; what is no part of a state comes from the replay up to there.
 *   start, end  [vk_picture_n_state] out
 * Errors: as vk_replay_run; VK_E_SHAPE when there are fewer than 10 steps. */
VK_NODISCARD vk_status vk_replay_picture_states(const vk_npz *recording, const vk_scene *scene,
                                                vk_isa isa, double *start, double *end,
                                                vk_err *err);

#endif
