/* bddl.h - task files (BDDL as LIBERO writes it): objects, fixtures, regions, start and goal.
 *
 *   (define (problem NAME)
 *     (:domain robosuite)  (:language words)
 *     (:regions (REGION (:target T) (:ranges ((x0 y0 x1 y1))) (:yaw_rotation ((lo hi))) (:rgba
 * ..))...)
 *     (:fixtures name... - category ...)  (:objects name... - category ...)
 *     (:obj_of_interest name...)
 *     (:init ATOM...)  (:goal (And ATOM...)))
 *   ATOM: (On a b) (In a b) (Open a) (Close a) (TurnOn a) (TurnOff a)
 * ";" begins a comment; case is ignored and everything becomes lower case. Anything else is
 * refused. Source: LIBERO 8f1084e, envs/bddl_utils.py and its 130 files. Test:
 * tests/unit/test_bddl.c, tests/fuzz/fuzz_bddl.c */
#ifndef VK_SIM_BDDL_H
#define VK_SIM_BDDL_H

#include "core/err.h"
#include "sim/pack.h"

typedef struct vk_bddl_region {
  char *name;         /* TARGET_REGION, as atoms refer to it */
  const char *target; /* instance name */
  bool has_range, has_yaw;
  double range[4]; /* x0 y0 x1 y1, m */
  double yaw_rad[2];
  int line;
} vk_bddl_region;

typedef struct vk_bddl_item {
  const char *name, *category;
  int line;
} vk_bddl_item;

typedef struct vk_bddl_atom {
  vk_atom_kind kind;
  const char *a, *b; /* b is "" when there is none */
  int line;
} vk_bddl_atom;

typedef struct vk_bddl {
  const char *problem;
  char *language; /* words joined by one space, "" when there is none */
  int n_region, n_fixture, n_object, n_interest, n_init, n_goal;
  vk_bddl_region *region;
  vk_bddl_item *fixture, *object; /* in the order of their categories' first lines */
  const char **interest;
  vk_bddl_atom *init, *goal;
  char *text; /* owned: what the names point into */
} vk_bddl;

/* name: the file's, for errors. Errors: VK_E_FORMAT with line, VK_E_RANGE (above 1 MiB, or 4096
 * items in a list),
 * VK_E_NOMEM. */
VK_NODISCARD vk_status vk_bddl_parse(vk_bddl **out, const void *bytes, size_t n, const char *name,
                                     vk_err *err);
void vk_bddl_free(vk_bddl *bddl);

#endif
