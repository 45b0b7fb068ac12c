/* view.h - what a policy sees of a scene: a small picture of each of two cameras, from a row of
 * sim/picture.h, and the robot's pose. The one way in which evaluation, training data and rollouts
 * make both, so that a policy sees what it was trained on, bit for bit.
 * Test: tests/unit/test_view.c */
#ifndef VK_RL_VIEW_H
#define VK_RL_VIEW_H

#include "sim/env.h"
#include "sim/render.h"

enum {
  VK_VIEW_N = 2, /* agentview, robot0_eye_in_hand: vk_demo_camera */
  VK_VIEW_PX = 128,
  VK_VIEW_BYTES = VK_VIEW_PX * VK_VIEW_PX * 3,
  VK_VIEW_PROPRIO = 8
};

/* How pictures are made; part of what a checkpoint was trained on. */
typedef struct vk_view_config {
  vk_picture_turn turn; /* the protocol's image_turn */
  int n_sample;         /* as in vk_render_config */
  float level_error_px;
  vk_isa isa; /* bits do not depend on it */
} vk_view_config;

extern const vk_view_config vk_view_defaults; /* 1 sample, rotated by 180 degrees, scalar */

/* A scene to be seen. */
typedef struct vk_view_shot {
  const vk_stage *stage;
  const double *state;       /* a row of sim/picture.h */
  uint8_t *pixel[VK_VIEW_N]; /* out: [128, 128, 3]; NULL: this view is not drawn */
  const vk_pose *moved;      /* of agentview, as in vk_shot; NULL: it stands where it is */
} vk_view_shot;

/* Draws for one caller at a time. */
typedef struct vk_viewer vk_viewer;

/* pool  NULL: the calling thread alone. Errors: VK_E_RANGE (config), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_viewer_new(vk_viewer **out, const vk_view_config *config, vk_pool *pool,
                                     vk_err *err);
void vk_viewer_free(vk_viewer *viewer);

/* Draws n shots; those of a stage are best side by side. Errors: VK_E_USAGE (a scene without one of
 * the cameras), those of vk_render. */
VK_NODISCARD vk_status vk_viewer_draw(vk_viewer *viewer, const vk_view_shot *shot, int n,
                                      vk_err *err);

/* Eef position (m, world) 3, axis times angle of its orientation (vk_demo_axis_angle, rad) 3,
 * finger positions (m) 2; not scaled. */
void vk_view_proprio(const vk_robot_obs *obs, double out[VK_VIEW_PROPRIO]);

#endif
