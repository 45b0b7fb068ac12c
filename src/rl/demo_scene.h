/* demo_scene.h - what becomes of a demonstration with the scene of its task: its model as text, its
 * pictures, and the same episode once more.
 * Test: tests/unit/test_demo.c, tests/cmd/test_demos.sh */
#ifndef VK_RL_DEMO_SCENE_H
#define VK_RL_DEMO_SCENE_H

#include "rl/demo.h"

/* Whether the widths of its states and picture states are the scene's. Errors: VK_E_SHAPE. */
VK_NODISCARD vk_status vk_demo_fits_scene(const vk_demo *demo, const vk_scene *scene, vk_err *err);

/* Where the fixtures stood: of picture_state, else of model_xml, else where the task's MJCF has
 * them. pose  [n_fixture, 7] out, pos and quat wxyz in the parent body *is_known  out: not the last
 * of these Errors: VK_E_FORMAT (model_xml is no MJCF). */
VK_NODISCARD vk_status vk_demo_fixtures(const vk_demo *demo, const vk_scene *scene, double *pose,
                                        bool *is_known, vk_err *err);

/* Sets model_xml, where it is NULL: the physics of the scene as MJCF, fixtures as they stood. It
 * holds no visual meshes or textures. Errors: VK_E_NOMEM, VK_E_FORMAT. */
VK_NODISCARD vk_status vk_demo_add_model(vk_demo *demo, const vk_scene *scene, vk_err *err);

/* Sets picture_state, where there is none, from states and fixtures: pictures are then of the
 * states before each step, two ms later than what the benchmark observes, and the stove burns as in
 * that state. Observations that it lacks stay so. Errors: VK_E_NOMEM, VK_E_FORMAT. */
VK_NODISCARD vk_status vk_demo_add_picture_state(vk_demo *demo, const vk_scene *scene, vk_err *err);

/* Row of sim/picture.h of observation number t (the nearest that is there), for a picture of a
 * step. state  [vk_picture_n_state] out Errors: those of vk_demo_add_picture_state; VK_E_RANGE (t
 * is not from 0 to n_step). */
VK_NODISCARD vk_status vk_demo_picture_row(const vk_demo *demo, const vk_scene *scene, int t,
                                           double *state, vk_err *err);

/* Renders both views of every observation, px by px, bottom row first. stage: of the
 * demonstration's scene. Errors: VK_E_INTERRUPTED, VK_E_NOMEM, the renderer's. */
VK_NODISCARD vk_status vk_demo_render(vk_demo *demo, const vk_stage *stage, int px, vk_pool *pool,
                                      vk_isa isa, vk_err *err);

/* How the executed actions do once more. */
typedef struct vk_demo_replay {
  bool
      from_origin; /* began as the episode did, else in the recorded state as LIBERO's scripts do */
  bool success;    /* the goal held after a step */
  int success_step; /* the first after which it did; -1: none */
  int n_differ;     /* states that are not the recorded ones, bit for bit (the first excepted where
                       it was put) */
  double max_abs_qpos_10, max_abs_qpos_50; /* over so many steps */
  int first_step_over_1e6;                 /* first step that ends more than 1e-6 off, -1: none */
  double max_abs_qpos; /* largest difference of a qpos from the recorded states, m and rad */
  double end_abs_qpos; /* at the last of them */
} vk_demo_replay;

/* Plays the executed actions open loop: from where the episode began when that is known and
 * from_state is false, else from states[0] with a newly built controller (files of OpenVLA, whose
 * states[0] is from before the waiting steps, make these first; their fixtures stand as after reset
 * N of seed 0). Errors: the environment's. */
VK_NODISCARD vk_status vk_demo_replay_run(vk_demo_replay *out, const vk_demo *demo,
                                          const vk_demo_info *info, vk_env *env, bool from_state,
                                          vk_err *err);

/* How each step does alone. */
typedef struct vk_demo_steps {
  int n_step;            /* compared: the last only where the state after it was recorded */
  int n_close;           /* within 1e-9 of it */
  double max_abs_qpos;   /* m and rad */
  int n_success_differs; /* of all steps */
} vk_demo_steps;

/* Plays every step from the recorded state before it; the controller's goal, the gripper's command
 * and the warm start are carried on, as they are no part of a state. Begins as vk_demo_replay_run.
 * Errors: the environment's. */
VK_NODISCARD vk_status vk_demo_replay_steps(vk_demo_steps *out, const vk_demo *demo,
                                            const vk_demo_info *info, vk_env *env, vk_err *err);

/* The same episode recorded anew: a demonstration with all that a store holds, of one that lacks
 * it. Errors: VK_E_MISMATCH (its origin is not known, or it comes out otherwise), the
 * environment's. */
VK_NODISCARD vk_status vk_demo_repeat(vk_demo *out, const vk_demo *demo, vk_env *env, vk_err *err);

/* ---- recording ---- */

/* Room for an episode of at most n_step_max steps in scene. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_demo_record_begin(vk_demo *demo, const vk_env *env, int n_step_max,
                                            vk_err *err);
/* Before a step: its label and what is executed. */
void vk_demo_record_action(vk_demo *demo, const double *label, const double *executed);
/* After it. */
void vk_demo_record_step(vk_demo *demo, const vk_env *env, bool success);

#endif
