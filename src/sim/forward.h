/* forward.h - MuJoCo's forward dynamics for scenes like LIBERO's, the same bits in a fraction of
 * the time: collision, constraint rows and the Newton solver are ours, the rest is the library's.
 *
 * Every number that mj_forward of MuJoCo 2.2.2 (built without AVX, as Debian does) leaves in
 * qacc, qacc_warmstart, qfrc_*, contact and the kinematic arrays is equal bit for bit, because sums
 * are taken in MuJoCo's order and only terms that are exactly zero are left out:
 *   - rows of the Jacobian touch one or two kinematic trees, so products skip all other dofs,
 *     and the Hessian is factorised inside its envelope;
 *   - pairs of geoms whose boxes are apart by more than rounding can explain are not passed on
 *     to the library's collision functions;
 *   - what a solve has computed for the same numbers is kept for the next one of the substep.
 * What the arrays d->efc_* hold is undefined afterwards and d->nefc is 0: ask nothing of MuJoCo
 * that reads them (mj_contactForce, mj_inverse, sensors). Sensors are not computed.
 *
 * Whatever is outside of this (another MuJoCo release, a model with tendons, sparse Jacobians or
 * pyramidal cones, states that are not finite) is passed to mj_forward itself.
 * Source: MuJoCo 2.2.2 engine_{forward,collision_driver,core_constraint,solver}.c.
 * Test: tests/unit/test_forward.c compares with the library on scenes, states and every path. */
#ifndef VK_SIM_FORWARD_H
#define VK_SIM_FORWARD_H

#include <mujoco/mujoco.h>
#include <stdbool.h>

#include "core/cpu.h"
#include "core/err.h"

typedef struct vk_forward vk_forward;

/* For data made from m with its present nconmax and njmax. m is read in here and in each call;
 * between, only poses of static bodies may change. Takes well under a millisecond.
 *   isa  the path to take; one that this machine lacks must not be asked for
 * Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_forward_new(vk_forward **out, const mjModel *m, vk_isa isa, vk_err *err);
void vk_forward_free(vk_forward *f);

/* Takes another path; results do not depend on it. */
void vk_forward_set_isa(vk_forward *f, vk_isa isa);

/* Whether m is computed here and not by mj_forward; if not, why not (borrowed, one phrase). */
bool vk_forward_is_native(const vk_forward *f, const char **reason);

/* mj_forward(m, d). */
void vk_forward_run(vk_forward *f, const mjModel *m, mjData *d);

/* mj_forwardSkip(m, d, mjSTAGE_VEL, 1) after vk_forward_run of the same qpos and qvel. */
void vk_forward_again(vk_forward *f, const mjModel *m, mjData *d);

#endif
