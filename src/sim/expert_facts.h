/* expert_facts.h - what the scripted expert knows of the gripper, of objects and of fixtures, read
 * from a JSON file. Test: tests/unit/test_expert.c */
#ifndef VK_SIM_EXPERT_FACTS_H
#define VK_SIM_EXPERT_FACTS_H

#include <stdint.h>

#include "sim/expert.h"

enum {
  VK_FACT_NAME = 48,
  VK_FACT_BOXES_MAX = 12,
  VK_FACT_GRASPS_MAX = 8,
  VK_FACT_PARTS_MAX = 16,
  VK_FACT_ENTRIES_MAX = 4,
};

/* A box of the gripper in the frame of grip_site: x opens, z is the approach. Finger boxes are
 * those of the finger on +x when shut; the other finger mirrors them. */
typedef struct vk_gripper_box {
  double at_m[3], half_m[3];
  bool is_finger;
  bool is_pad; /* collides with everything; the rest of a finger only with what asks for contact */
} vk_gripper_box;

/* How fingers hold an object, in the object's frame. */
typedef struct vk_grasp_fact {
  char name[VK_FACT_NAME];
  double at_m[3];      /* where grip_site goes */
  double approach[3];  /* unit: the way the fingers point */
  double open[3];      /* unit: the way they open */
  double width_m;      /* of what is gripped */
  double turn_axis[3]; /* the grasp may be turned about this axis through turn_at_m, */
  double turn_at_m[3];
  int n_turn;      /* in n_turn equal steps of a full turn; 1: as it stands */
  double slide[3]; /* and moved to either side by this vector */
  double cost;     /* larger is tried later */
} vk_grasp_fact;

typedef struct vk_object_fact {
  char name[VK_FACT_NAME];
  int n_grasp;
  vk_grasp_fact grasp[VK_FACT_GRASPS_MAX];
  bool is_dragged;     /* moved along the table by spread fingers: no grasp holds */
  double drag_at_m[3]; /* where grip_site goes, in the object's frame, approach along -z */
  double press;        /* downward action while dragging */
} vk_object_fact;

typedef enum vk_fact_grip { VK_GRIP_SHUT, VK_GRIP_PINCH } vk_fact_grip;

/* How the hand moves a hinged or sliding part, in the frame of the part's body. */
typedef struct vk_part_fact {
  char body[VK_FACT_NAME]; /* name without "INSTANCE_" */
  vk_atom_kind atom;       /* what it brings about */
  double at_m[3], approach[3], open[3];
  double pre_m[3]; /* from the contact to the place where the hand gets ready */
  double press[3]; /* action added while moving */
  double q_target; /* joint position to drive to, m or rad */
  double lead;     /* how far ahead of the joint the hand aims, m or rad */
  double lean;     /* step of the slopes tried, about the opening, rad */
  double follow;   /* share of a hinge's turn that the hand turns with */
  vk_fact_grip grip;
  double cost;
} vk_part_fact;

/* From where a region of a fixture is reached. */
typedef struct vk_entry_fact {
  char region[VK_FACT_NAME]; /* end of the site's name */
  double out[3];             /* unit, fixture frame: the way out */
} vk_entry_fact;

typedef struct vk_fixture_fact {
  char name[VK_FACT_NAME];
  int n_part, n_entry;
  vk_part_fact part[VK_FACT_PARTS_MAX];
  vk_entry_fact entry[VK_FACT_ENTRIES_MAX];
} vk_fixture_fact;

struct vk_expert_facts {
  char hash[65];
  int n_box, n_object, n_fixture;
  vk_gripper_box box[VK_FACT_BOXES_MAX];
  vk_object_fact *object;
  vk_fixture_fact *fixture;
};

/* By class name, or NULL. */
const vk_object_fact *vk_facts_object(const vk_expert_facts *facts, const char *name);
const vk_fixture_fact *vk_facts_fixture(const vk_expert_facts *facts, const char *name);

#endif
