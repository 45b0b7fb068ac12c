/* expert_internal.h - the state that the parts of the scripted expert share.
 *
 *   expert.c        an episode: sense, choose the next atom, run its skill, shape the action
 *   expert_goal.c   which atom of the goal comes next
 *   expert_grasp.c  where to grip an object
 *   expert_place.c  where an object may be put so that an atom holds
 *   expert_path.c   free ways between poses, and following them
 *   expert_search.c a free way through a grid, when the plain ways are blocked
 *   expert_pick.c   the skill of moving an object: pick, carry, put down, slide along the table
 *   expert_part.c   the skill of moving a drawer, a door or a knob
 *   expert_world.c, expert_arm.c, expert_facts.c  boxes, kinematics, the data file
 * Test: tests/unit/test_expert.c */
#ifndef VK_SIM_EXPERT_INTERNAL_H
#define VK_SIM_EXPERT_INTERNAL_H

#include "sim/expert.h"
#include "sim/expert_arm.h"
#include "sim/expert_facts.h"
#include "sim/expert_world.h"

enum { VK_PATH_MAX = 8, VK_TABU_MAX = 8, VK_PLACES_MAX = 16, VK_GOAL_MAX = 8 };

typedef enum vk_skill_state { VK_SKILL_RUNNING, VK_SKILL_DONE, VK_SKILL_FAILED } vk_skill_state;

/* What the robot's state is now. */
typedef struct vk_sense {
  const mjModel *m;
  const mjData *d;
  vk_pose tip; /* grip_site */
  double q_rad[VK_N_ARM];
  double gap_m;      /* between the pads */
  bool is_trapped;   /* the elbow is past straight */
  int n_trapped;     /* steps since it is */
  double gap_rate_m; /* change of the gap in the last step */
  int n_still;       /* steps that the hand has not moved in though it should */
  int touched[2];    /* number of instances each finger touches */
  bool is_touching[2][VK_WORLD_INSTANCES_MAX];
} vk_sense;

/* A polyline of poses; the hand follows it without stopping in between. */
typedef struct vk_path {
  int n, i; /* i: the pose it heads for */
  vk_pose at[VK_PATH_MAX];
  vk_pose from; /* start of the present piece */
  double v_max_m_s;
} vk_path;

/* A way to grip: where the tip is in the object's frame. */
typedef struct vk_grasp {
  vk_pose tip_in_object;
  double width_m;
  double back_m; /* how far back along the approach the hand gets ready */
  double cost;
  double q_rad[VK_N_ARM];
} vk_grasp;

/* Where an object may come to rest. */
typedef struct vk_place {
  vk_pose object;
  double out[3]; /* unit, world: the way the place is left (up for an open one) */
  double cost;
} vk_place;

typedef struct vk_tabu {
  int object;
  vk_pose tip_in_object;
} vk_tabu;

enum {
  VK_EXPERT_REST = 10,     /* steps between plans that fail */
  VK_EXPERT_STILL_MAX = 15 /* steps without motion, though it is wanted, before another try */
};

struct vk_expert {
  const vk_expert_facts *facts;
  const vk_scene *scene;
  vk_arm arm;
  vk_world world;
  vk_world near; /* the part of it that a search looks at */
  vk_sense now;
  int i_step;

  /* the action */
  double wish[6]; /* wanted this step, before slew limiting */
  double last[6]; /* given in the last step */
  double grip;    /* -1 open, +1 shut */
  vk_path path;

  /* the atom at work */
  vk_atom atom;
  int i_goal; /* in the scene's goal; -1: none */
  vk_skill_state (*skill)(vk_expert *);
  int phase, phase_step; /* of the skill; steps since the phase began */
  int attempt;           /* of this atom */
  int n_rest;            /* steps until the next try, after a plan that failed at once */
  int relax;             /* how much less room planning asks for: 0, 1, 2 */
  bool is_resumed;       /* nothing was planned since vk_expert_resume: a skill begins in the phase
                            that the hand is in */
  bool is_stuck;         /* when it resumed: the hand stood, though the last action was a motion */
  vk_pose home;          /* of the tip when the episode began */
  const char *phase_name;

  /* moving an object */
  int object; /* instance */
  const vk_object_fact *object_fact;
  vk_grasp grasp;
  bool is_stacked[VK_WORLD_INSTANCES_MAX]; /* the object and what rests on it */
  vk_held held;
  vk_pose tip_in_object; /* as gripped */
  vk_place place;
  double lower_m; /* how far below the planned place it has been lowered */
  double stall_m; /* progress of the last steps */
  int n_tabu;
  vk_tabu tabu[VK_TABU_MAX];

  /* moving a part */
  const vk_part_fact *part;
  int part_joint, part_body;
  vk_pose tip_in_part;
  vk_pose part_pose; /* of the body when planned */
  double part_best;  /* best joint position reached, for noticing a stall */
  int part_stall;
};

/* ---- expert.c ---- */
void vk_expert_set_phase(vk_expert *e, int phase, const char *name);
vk_pose vk_expert_object_pose(const vk_expert *e, int instance);
/* Both fingers touch the object (or what rests on it). */
bool vk_expert_is_held(const vk_expert *e, int instance);

/* Whether the tip is on the straight way into a pose, as far as a hand that is guided there strays.
 *   out  unit: the direction that the way comes from
 *   length_m  of the way */
bool vk_expert_is_on_way(const vk_expert *e, const vk_pose *goal, const double out[3],
                         double length_m);

/* ---- expert_path.c ---- */
/* A free way for the hand and what it holds (NULL: nothing) to a goal; the best found when none is
 * free. finger_q: opening of the fingers on the way. */
void vk_expert_plan_path(vk_expert *e, const vk_pose *goal, const vk_held *held, double finger_q,
                         double v_max_m_s);
/* A straight way. */
void vk_expert_set_path(vk_expert *e, const vk_pose *goal, double v_max_m_s);
/* Moves the end of the path with what it leads to. */
void vk_expert_move_goal(vk_expert *e, const vk_pose *goal);
/* Wish for one step along the path; true when the end is reached. */
bool vk_expert_follow(vk_expert *e, double tol_m, double tol_rad);
/* Wish for reaching a pose, no faster than v_max. */
void vk_expert_reach(vk_expert *e, const vk_pose *goal, double v_max_m_s);
/* Whether hand and held boxes are free on the straight way between two poses. */
bool vk_expert_line_free(const vk_expert *e, const vk_pose *a, const vk_pose *b,
                         const vk_held *held, double finger_q, double margin_m);

/* ---- expert_search.c ---- */
/* The poses after the present one of the least blocked way that a search finds; 0: none. */
int vk_expert_search_path(const vk_expert *e, const vk_pose *goal, const vk_held *held,
                          double finger_q, vk_pose *out, int max);

/* ---- expert_grasp.c ---- */
/* Ways to grip e->object as it stands, best first; returns their number (at most max).
 *   is_wide  fewer that are alike, for more variety */
int vk_expert_find_grasps(vk_expert *e, vk_grasp *out, int max, bool is_wide);

/* ---- expert_place.c ---- */
/* Where e->object may be put for e->atom, best first; returns their number (at most max). */
int vk_expert_find_places(vk_expert *e, vk_place *out, int max);
/* Whether e->atom would hold, as far as positions go, with the first argument's origin at p. */
bool vk_expert_place_fits(const vk_expert *e, const double p_world[3]);

/* ---- expert_goal.c ---- */
/* Sets e->atom and e->i_goal to what has to be done next; false when all atoms hold. */
bool vk_expert_next_atom(vk_expert *e);
/* The atom that opens what an atom puts something inside; false when nothing is to be opened. */
bool vk_expert_opening_atom(const vk_expert *e, const vk_atom *inside, vk_atom *out);

/* ---- skills ---- */
vk_skill_state vk_expert_skill_pick(vk_expert *e);
/* Whether the object of e->atom is in the hand, or was just put down. */
bool vk_expert_pick_is_begun(const vk_expert *e);
vk_skill_state vk_expert_skill_part(vk_expert *e);
/* Whether the hand is at the part of e->atom and it is not yet where it is to go. */
bool vk_expert_part_is_begun(vk_expert *e);

#endif
