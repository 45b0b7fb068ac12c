/* perturb.h - episodes that are a little other than what policies are trained on: how much does a
 * policy lose by it? What is drawn depends on (task, row), the seed and the kind alone.
 *
 *   camera    the agentview camera stands within 3 cm of its place along each of its own axes and
 *             is turned by up to 3 degrees about each; one pose an episode, policies' pictures only
 *   position  each object begins within 2 cm of its place along x and y of the world; it stays
 *             nearer, or where it was, when it would stand in something else
 *   language  the instruction in words that training's paraphrases never are (rl/paraphrase.h);
 *             where there are none, as it is
 * Test: tests/unit/test_perturb.c */
#ifndef VK_RL_PERTURB_H
#define VK_RL_PERTURB_H

#include "rl/paraphrase.h"
#include "sim/env.h"
#include "sim/pose.h"

typedef enum vk_perturb {
  VK_PERTURB_NONE,
  VK_PERTURB_CAMERA,
  VK_PERTURB_POSITION,
  VK_PERTURB_LANGUAGE,
} vk_perturb;

/* By vk_perturb, NULL-terminated: "none", "camera", ... */
extern const char *const vk_perturb_names[];
/* How much, by vk_perturb: "up to 2 cm along x and y"; "" for none. */
extern const char *const vk_perturb_sizes[];

/* Motion of the camera in its own frame, as in vk_shot. key: vk_start_key. */
void vk_perturb_camera(uint64_t key, uint32_t seed, vk_pose *moved);

/* Moves the objects of a state that env is to be set to. env is used for trials, and is as before
 * afterwards. state [n_state] in and out. Errors: the environment's; VK_E_NOMEM. */
VK_NODISCARD vk_status vk_perturb_position(vk_env *env, uint64_t key, uint32_t seed, double *state,
                                           vk_err *err);

/* The instruction in words that no training draws, or as it is. */
void vk_perturb_language(const char *instruction, uint64_t key, uint32_t seed,
                         char out[VK_PARAPHRASE_SIZE]);

#endif
