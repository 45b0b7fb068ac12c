/* expert.h - a scripted controller that solves the benchmark's tasks. It looks at the simulator's
 * state and acts through the 7-dimensional action alone.
 *
 * It is closed loop: before every step it looks at which atoms of the goal hold, which object is
 * gripped and where everything stands, so that it may begin in any state and go on from where
 * another controller came, and it tries again after a failed grasp. What it knows of objects and
 * fixtures stands in a data file (data/expert.json). The same state, facts and history give the
 * same action; nothing is random. Test: tests/unit/test_expert.c */
#ifndef VK_SIM_EXPERT_H
#define VK_SIM_EXPERT_H

#include "core/err.h"
#include "sim/env.h"

/* Grasp facts of objects and fixtures: const after opening, shared by any number of experts. */
typedef struct vk_expert_facts vk_expert_facts;

/* Opens PATH, or when path is NULL the first of the installed data folder's expert.json and the
 * source tree's data/expert.json.
 * Errors: VK_E_NOTFOUND, VK_E_IO, VK_E_FORMAT (the key that is wrong), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_expert_facts_open(vk_expert_facts **out, const char *path, vk_err *err);
void vk_expert_facts_free(vk_expert_facts *facts);
/* SHA-256 of the file in hex: part of the policy's identity. */
const char *vk_expert_facts_hash(const vk_expert_facts *facts);

/* One controller; runs one episode at a time. facts is borrowed for its life. */
typedef struct vk_expert vk_expert;

/* Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_expert_new(vk_expert **out, const vk_expert_facts *facts, vk_err *err);
void vk_expert_free(vk_expert *expert);

/* A new episode begins; env may stand in any state, its task may differ from the one before.
 * Errors: VK_E_NOTFOUND (an object or fixture of the goal has no row in the facts), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_expert_begin(vk_expert *expert, const vk_env *env, vk_err *err);

/* The same episode after steps that somebody else made, begin having been called at its start: the
 * expert goes on from where env stands as if it had come there itself. What it holds it keeps, what
 * it is about to grip or to put down it goes on with, and the motion goes on from `last`. So what
 * it does depends on env and last alone.
 *   last  the action of the step before
 * Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_expert_resume(vk_expert *expert, const vk_env *env,
                                        const double last[VK_N_ACTION], vk_err *err);

/* The next action of the same environment: [dx dy dz, drx dry drz] in [-1, 1] and the gripper,
 * which is -1 (open) or +1 (close). env is not changed. */
void vk_expert_act(vk_expert *expert, const vk_env *env, double action[VK_N_ACTION]);

/* What it is doing, for people: "in akita_black_bowl_1 wooden_cabinet_1_top_region: lower (2)". */
void vk_expert_describe(const vk_expert *expert, char *text, size_t n);

#endif
