/* picture.h - what a picture of a scene depends on besides the scene, the visuals and the camera: a
 * row of numbers that environments sample, demonstrations store and the renderer draws.
 *
 * The row is [qpos (nq), fixtures (n_fixture, 7: pos, quat wxyz of the root body in its parent),
 * flame (1 or 0)]. Poses of bodies are computed from it alone, so that a picture from a stored row
 * has the bits of the one that was drawn live.
 * Test: tests/unit/test_picture.c */
#ifndef VK_SIM_PICTURE_H
#define VK_SIM_PICTURE_H

#include "sim/pose.h"
#include "sim/scene.h"

/* Numbers in a row: nq + 7 * n_fixture + 1. */
int vk_picture_n_state(const vk_scene *scene);

/* Where each body stands: pose [nbody] out. Source: MuJoCo's mj_kinematics. */
void vk_picture_poses(const vk_scene *scene, const double *state, vk_pose *pose);

/* The row of a scene whose fixtures stand as the MJCF has them and whose stove is off, at qpos. */
void vk_picture_default(const vk_scene *scene, const double *qpos, double *state);

/* Errors: VK_E_SHAPE (n is not vk_picture_n_state), VK_E_RANGE (not finite, or a quaternion of
 * length 0). */
VK_NODISCARD vk_status vk_picture_check(const vk_scene *scene, const double *state, int n,
                                        vk_err *err);

#endif
