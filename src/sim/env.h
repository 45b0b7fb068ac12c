/* env.h - one environment of a task: what robosuite's OSC_POSE environment does in a control step,
 * bit for bit where MuJoCo is the same, and what LIBERO's reset draws.
 * Test: tests/unit/test_env.c, `vlakit replay` against recordings (tests/golden). */
#ifndef VK_SIM_ENV_H
#define VK_SIM_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/cpu.h"
#include "core/err.h"
#include "core/rng.h"
#include "sim/scene.h"

enum { VK_ENV_SUBSTEPS = 25 };

/* What a policy may see of the robot, sampled where the Python benchmark samples it. */
typedef struct vk_robot_obs {
  double eef_pos_m[3];     /* gripper0_grip_site, world */
  double eef_quat_xyzw[4]; /* robot0_right_hand body, world, sign not normalised */
  double gripper_q_m[2];   /* finger joints */
  double joint_q_rad[7];
} vk_robot_obs;

typedef struct vk_object_obs {
  double pos_m[3];
  double quat_xyzw[4];
} vk_object_obs;

/* Result of one control step. */
typedef struct vk_step {
  bool success;  /* the goal held after the step */
  bool unstable; /* MuJoCo reset itself during the step (state invalid, benchmark goes on) */
  int n_contact; /* after the last substep */
} vk_step;

typedef struct vk_env vk_env;

/* An environment of its own state, before any reset; scene must outlive it. */
VK_NODISCARD vk_status vk_env_new(vk_env **out, const vk_scene *scene, vk_err *err);
void vk_env_free(vk_env *env);

/* The path of the fast kernels: at first the best that this machine can run. Results do not depend
 * on it. */
void vk_env_set_isa(vk_env *env, vk_isa isa);

/* Points the environment at another task, keeping what memory fits. */
VK_NODISCARD vk_status vk_env_set_scene(vk_env *env, const vk_scene *scene, vk_err *err);

/* numpy's seed(): the generator and the reset counter start again. */
void vk_env_seed(vk_env *env, uint32_t seed);

/* The next env.reset() of the benchmark since the last seed. Fixture poses and objects are drawn.
 * Errors: VK_E_SIM when there is no room for an object after the benchmark's own retries. */
VK_NODISCARD vk_status vk_env_reset(vk_env *env, vk_err *err);

/* Makes the draws of n resets without their physics: vk_env_skip_resets(e, k) then
 * vk_env_reset(e) equals k + 1 resets. The state means nothing between the two. */
VK_NODISCARD vk_status vk_env_skip_resets(vk_env *env, int n, vk_err *err);

/* set_init_state: state is [time, qpos, qvel], n_state of the scene. The controller keeps what it
 * read in reset() until its first step has run. Errors: VK_E_SHAPE, VK_E_RANGE (not finite),
 * VK_E_SIM, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_env_set_state(vk_env *env, const double *state, int n_state, vk_err *err);

/* As vk_env_set_state without touching anything else: no forward, no observation (replay). */
void vk_env_put_state(vk_env *env, const double *state);

/* Puts the fixtures where a recording had them: pose [n_fixture, 7], pos and quat wxyz in the
 * parent body. Takes effect with the next forward. */
void vk_env_put_fixtures(vk_env *env, const double *pose);

/* The controller takes the present pose as its goal and the gripper command is cleared, as a newly
 * built controller does (predicate samples of the recordings). */
VK_NODISCARD vk_status vk_env_rebuild_controller(vk_env *env, vk_err *err);

/* One control step: 25 substeps of 2 ms. action: [dx dy dz, drx dry drz] in [-1, 1] (clipped) and
 * gripper (-1 opens, +1 closes).
 * Errors: VK_E_RANGE when an action is NaN or infinite, VK_E_NOMEM, VK_E_SIM when MuJoCo cannot go
 * on. The state, the controller and the generator are then as before. */
VK_NODISCARD vk_status vk_env_step(vk_env *env, const double action[VK_N_ACTION], vk_step *out,
                                   vk_err *err);

/* What the environment was made for or set to. */
const vk_scene *vk_env_scene(const vk_env *env);
/* The environment's own model (poses of fixtures) and data: privileged, read only. */
const mjModel *vk_env_model(const vk_env *env);
const mjData *vk_env_data(const vk_env *env);

/* As last sampled. */
const vk_robot_obs *vk_env_robot_obs(const vk_env *env);
/* [n_object] in state order, as last sampled. */
const vk_object_obs *vk_env_object_obs(const vk_env *env);
/* What a picture taken with the last observation shows: a row of sim/picture.h. */
const double *vk_env_picture_state(const vk_env *env);
bool vk_env_success(const vk_env *env);
int vk_env_n_unstable(const vk_env *env); /* self-resets of MuJoCo since the last reset */

void vk_env_get_state(const vk_env *env, double *state /* out, n_state */);
/* SHA-256 over [time, qpos, qvel] and the fixtures' poses, as hex. */
void vk_env_state_sha256(const vk_env *env, char hex[65]);

/* Two uniform numbers that the generator would give next, without drawing them. */
void vk_env_peek_rng(const vk_env *env, double next[2]);

/* Snapshot of everything a later step depends on: state, warm start, controller, gripper,
 * generator, fixture poses, observations. Restoring is bit-exact. A snapshot is of this process and
 * this scene. Errors: VK_E_SHAPE, VK_E_MISMATCH (another task), VK_E_RANGE, VK_E_NOMEM; nothing has
 * changed then. */
size_t vk_env_snapshot_size(const vk_env *env);
void vk_env_save(const vk_env *env, void *snapshot /* out */);
VK_NODISCARD vk_status vk_env_load(vk_env *env, const void *snapshot, size_t size, vk_err *err);

#endif
