/* home.h - where every reset of a scene starts: the arm at home, every object at its authored pose,
 * and the accelerations that the solver starts from next. The same for all resets of a scene, so it
 * is computed once (and kept beside the compiled model, as all objects overlap there and the solver
 * needs up to a GB for a moment).
 * Source: robosuite 1.4.0 environments/base.py, robots/manipulator.py: one forward of the fresh
 * model, one of the render context, one with the arm at home, one of the controller.
 * Test: tests/unit/test_env.c, tests/golden/test_replay.c */
#ifndef VK_SIM_HOME_H
#define VK_SIM_HOME_H

#include "sim/scene.h"

extern const double vk_home_arm_q_rad[VK_N_ARM];
extern const double vk_home_finger_q_m[VK_N_FINGER];

/* qacc_warmstart after the forward calls of a reset, before anything is drawn: [nv] out.
 * Errors: VK_E_NOMEM, VK_E_SIM (more contacts than MuJoCo can hold). */
VK_NODISCARD vk_status vk_home_warmstart(const vk_scene *scene, double *warmstart, vk_err *err);

#endif
