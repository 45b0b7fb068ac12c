/* expert_world.h - the scene as boxes, for planning: which poses of the gripper, of what it holds
 * and of the arm are free. All collision geometry of the benchmark's objects and fixtures is boxes
 * (and capsules, which are boxed here). Test: tests/unit/test_expert.c */
#ifndef VK_SIM_EXPERT_WORLD_H
#define VK_SIM_EXPERT_WORLD_H

#include "sim/expert_arm.h"
#include "sim/expert_facts.h"
#include "sim/pose.h"

typedef struct vk_box {
  vk_pose pose;
  double half_m[3];
  double radius_m; /* of the sphere around it */
  int owner;       /* instance, or -1 */
  int contype, conaffinity;
} vk_box;

enum { VK_WORLD_INSTANCES_MAX = 64, VK_WORLD_HELD_MAX = 128 };

/* Boxes that move with the hand, in the frame of grip_site. */
typedef struct vk_held {
  int n;
  vk_box box[VK_WORLD_HELD_MAX];
} vk_held;

typedef struct vk_world {
  const vk_scene *scene;
  int n_box, n_max;
  vk_box *box;                             /* everything but the robot */
  bool is_ignored[VK_WORLD_INSTANCES_MAX]; /* instances that queries do not see */
  int n_gripper;
  vk_gripper_box gripper[VK_FACT_BOXES_MAX];
} vk_world;

/* Whether two boxes come nearer than margin (a negative margin allows so much overlap).
 * Separating axes of two boxes: Gottschalk, Lin, Manocha 1996. */
bool vk_box_touches(const vk_box *a, const vk_box *b, double margin_m);

/* Room for the boxes of a model. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_world_reserve(vk_world *world, const mjModel *m, vk_err *err);
void vk_world_fini(vk_world *world);

/* Reads where everything stands now, as mj_step left it. Nothing is ignored afterwards. */
void vk_world_read(vk_world *world, const vk_scene *scene, const mjModel *m, const mjData *d,
                   const vk_expert_facts *facts);

/* The boxes of `from` that come near a point, without the instances left out; out is reserved. */
void vk_world_select(vk_world *out, const vk_world *from, const bool *is_left_out,
                     const double centre[3], double radius_m);

/* The boxes of an instance and of what is stacked on it, relative to a pose of grip_site. */
void vk_world_hold(const vk_world *world, const bool *is_member, const vk_pose *tip, vk_held *held);

/* Smallest and largest coordinates of an instance's boxes in the frame `frame`. */
void vk_world_bounds(const vk_world *world, int instance, const vk_pose *frame, double lo[3],
                     double hi[3]);

/* Whether the gripper with its fingers at finger_q (0 shut, .04 open) is free at a pose. */
bool vk_world_gripper_free(const vk_world *world, const vk_pose *tip, double finger_q,
                           double margin_m);
/* Whether nothing (but what is ignored) is between the pads of the gripper. */
bool vk_world_gap_free(const vk_world *world, const vk_pose *tip, double finger_q);
bool vk_world_held_free(const vk_world *world, const vk_held *held, const vk_pose *tip,
                        double margin_m);
/* Whether the links of the arm in configuration q are free. */
bool vk_world_arm_free(const vk_world *world, const vk_arm *arm, const double *q, double margin_m);
/* Whether boxes given relative to `frame` are free. */
bool vk_world_boxes_free(const vk_world *world, const vk_box *box, int n, const vk_pose *frame,
                         double margin_m);

#endif
