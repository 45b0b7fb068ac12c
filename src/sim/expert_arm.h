/* expert_arm.h - kinematics of the arm for planning: forward, and inverse in the way the
 * benchmark's controller resolves its redundancy (drawn to the nominal configuration). Test:
 * tests/unit/test_expert.c */
#ifndef VK_SIM_EXPERT_ARM_H
#define VK_SIM_EXPERT_ARM_H

#include "sim/pose.h"
#include "sim/scene.h"

enum { VK_ARM_BOXES_MAX = 8 };

/* A box around a link's collision mesh. */
typedef struct vk_arm_box {
  int link; /* 0 to 6: moves with joints 0 .. link */
  vk_pose in_link;
  double half_m[3];
} vk_arm_box;

typedef struct vk_arm {
  vk_pose base;             /* frame that the first link's offset is given in, world */
  vk_pose offset[VK_N_ARM]; /* link in its parent at q = 0; joints turn about their z */
  vk_pose tip;              /* grip_site in the last link */
  double q_lo[VK_N_ARM], q_hi[VK_N_ARM];
  int n_box;
  vk_arm_box box[VK_ARM_BOXES_MAX];
} vk_arm;

/* Reads the chain from a model; d gives constant poses only. */
void vk_arm_init(vk_arm *arm, const vk_scene *scene, const mjModel *m, const mjData *d);

/* Poses of the links (out, 7) and of grip_site (out) in the world. */
void vk_arm_forward(const vk_arm *arm, const double *q, vk_pose *link, vk_pose *tip);

/* A configuration near q (in and out, 7) that brings grip_site to a pose; false when none is found
 * within joint limits. Damped least squares with the null space drawn to the nominal pose.
 *   margin_rad  how far joints stay from their limits */
bool vk_arm_inverse(const vk_arm *arm, const vk_pose *tip, double margin_rad, double *q);

/* Whether the elbow may come nearer to straight than it should: a last resort for far objects. */
void vk_arm_stretch(vk_arm *arm, bool is_allowed);

/* Whether the elbow is past straight, where pulling in folds it the wrong way; with some slack once
 * it was. */
bool vk_arm_is_trapped(const double *q, bool was_trapped);

/* Cost of an arm stretched nearly straight, where the controller loses a direction, and of a wrist
 * near its limit; 0 elsewhere. */
double vk_arm_strain(const vk_arm *arm, const double *q);

#endif
