/* forward_internal.h - what forward.c, forward_plan.c and the files compiled once a path
 * (collide.c, contact_rows.c, newton.c, newton_hessian.c) share.
 * Test: tests/unit/test_forward.c */
#ifndef VK_SIM_FORWARD_INTERNAL_H
#define VK_SIM_FORWARD_INTERNAL_H

#include <stdint.h>

#include "core/arena.h"
#include "sim/forward.h"
#include "sim/mujoco_compat.h"

/* Four dofs side by side. MuJoCo's mju_dot keeps four partial sums, by index modulo 4: dof i is
 * lane i % 4 of group i / 4, on every path. */
typedef double v4 __attribute__((vector_size(32)));
typedef int64_t m4 __attribute__((vector_size(32)));
typedef double v2 __attribute__((vector_size(16)));

/* Groups of a vector and of a row: 60 dofs or more mean a sparse Jacobian. */
enum { VK_DIM_MAX = 6, VK_GROUP_MAX = 16, VK_PATTERN_MAX = 16 };

/* Which groups the rows of a contact between two trees can touch, ascending. */
typedef struct vk_row_pattern {
  int n;              /* groups */
  int at_a, at_b;     /* where tree a's and tree b's groups begin in the list */
  const int *group;   /* [n] */
  bool has_tail;      /* the last one is the incomplete group of dofs >= nv / 4 * 4 */
  int tree_a, tree_b; /* -1: none; a < b */
} vk_row_pattern;

/* Consecutive contacts with one pattern: their rows lie side by side in J. */
typedef struct vk_row_run {
  const vk_row_pattern *pattern;
  int row, n_row; /* first row, number */
  v4 *J;          /* [n_row][pattern->n] */
} vk_row_run;

/* Geoms that can collide, by body and then by geom, as boxes around them. */
typedef struct vk_slot {
  int geom, body, type, cls;
  bool is_plane, is_box;
  double rbound;
  double offset[3], half[3]; /* the box in the geom's frame */
} vk_slot;

/* Reference and impedance of a constraint, clipped as getsolparam clips them, and what follows from
 * them alone. */
typedef struct vk_softness {
  double imp[5];    /* at no depth, at full depth, width, midpoint, power */
  double low, high; /* factors of the ramp below and above its midpoint */
  double K, B;      /* stiffness and damping */
  bool is_flat;     /* the impedance does not depend on the depth: flat */
  double flat;
} vk_softness;

/* What contacts of two classes of geoms have in common (mj_collideGeoms). */
typedef struct vk_pair_class {
  double margin, includemargin, friction[5], solref[mjNREF], solimp[mjNIMP];
  vk_softness soft;
  int condim;
  bool can_touch; /* contype and conaffinity */
} vk_pair_class;

/* Drag of a body in still air: factors of its velocities and of their squares. */
typedef struct vk_drag {
  bool is_on;
  double spin_viscous, slide_viscous, spin[3], slide[3];
} vk_drag;

typedef struct vk_plan {
  int nv, n_group, n_tail; /* n_tail: dofs in the incomplete last group, 0: none */
  bool is_native;
  const char *reason;
  /* trees */
  int n_tree;
  int *tree_dof, *tree_n;  /* [n_tree] first dof and number */
  int *dof_tree;           /* [nv] */
  int *body_tree;          /* [nbody] -1: does not move */
  m4 **body_mask;          /* [nbody][groups of the tree] dofs that move the body, NULL: none */
  vk_row_pattern *pattern; /* [n_tree + 1][n_tree + 1] by tree + 1, symmetric */
  int max_pattern;         /* groups of the longest one */
  vk_softness *dof_soft, *jnt_soft; /* [nv] friction losses, [njnt] limits */
  bool has_air;                     /* density or viscosity */
  bool has_wind;                    /* or bodies that drag as ellipsoids: mj_passive is asked */
  vk_drag *drag;                    /* [nbody] */
  /* collision */
  int *geom_class; /* [ngeom] -1: never collides */
  int n_slot;
  vk_slot *slot;
  int *body_slot, *body_n_slot; /* [nbody] */
  bool *body_has_plane;         /* [nbody] */
  uint8_t *body_pair;           /* [nbody][nbody] b1 < b2: some geoms may collide */
  int n_class;
  vk_pair_class *pair_class; /* [n_class][n_class] geoms ordered by type */
} vk_plan;

/* Boxes along the world's axes: x, y, z centre and half size, structure of arrays. */
typedef struct vk_boxes {
  double *c[3], *h[3];
} vk_boxes;

typedef struct vk_kernels {
  /* mj_collision; false: the library must do it. */
  bool (*collide)(vk_forward *f, const mjModel *m, mjData *d);
  /* mj_makeConstraint; false: no room, noted in d->warning. */
  bool (*make_rows)(vk_forward *f, const mjModel *m, mjData *d);
  /* mj_passive; also spreads the axes that make_rows reads. */
  void (*passive)(vk_forward *f, const mjModel *m, mjData *d);
  /* mj_referenceConstraint */
  void (*reference)(vk_forward *f, const mjModel *m, mjData *d);
  /* mj_fwdConstraint; false: something is not finite. */
  bool (*solve)(vk_forward *f, const mjModel *m, mjData *d);
} vk_kernels;

extern const vk_kernels vk_kernels_scalar;
#if defined(__x86_64__)
extern const vk_kernels vk_kernels_avx2, vk_kernels_avx512;
#endif

/* A friction or limit row: one dof. */
typedef struct vk_unit_row {
  int dof;
  double sign; /* of its one element of J */
} vk_unit_row;

/* A solution of the constraint forces for one jar = J qacc - aref. */
typedef struct vk_point {
  double *jar, *force; /* [n_row] */
  uint8_t *state;      /* [n_unit + n_con] mjtConstraintState */
  double cost;
  int n_cone;
} vk_point;

struct vk_forward {
  vk_arena arena;
  vk_plan plan;
  const vk_kernels *kernels;
  bool used_library; /* the last run was mj_forward itself */
  double *warmstart; /* [nv] before the run */
  /* What d->qacc_smooth was made from since the run: controls and applied forces. */
  bool has_inputs;
  double *ctrl, *applied;
  /* collision */
  vk_boxes slot_box, body_box;
  /* Rows, in MuJoCo's order: friction losses, limits, contacts. */
  int n_row_max, n_con_max;
  int n_friction, n_unit; /* friction rows; friction and limit rows */
  int n_row, n_con;       /* contacts that are not excluded */
  vk_unit_row *unit;      /* [n_unit] */
  int *con;               /* [n_con] index in d->contact */
  int *con_row;           /* [n_con + 1] first row */
  double *con_mu;         /* [n_con] mu of the regularised cone */
  double *con_slip[2];    /* [n_con] friction along the tangents */
  uint8_t *con_dim;       /* [n_con] rows */
  v4 *cdof;               /* [n_group][6] the six parts of four dofs' axes */
  v4 *J;                  /* rows of the runs */
  int n_run;
  vk_row_run *run;                       /* [n_run] */
  double *D, *R, *B, *KI, *floss, *aref; /* [n_row]; KI: K * imp * (pos - margin) */
  double *Jv;                            /* [n_row] J search */
  vk_point warm, other, smooth, *now;
  v4 *con_quad;    /* [n_con] cost of a contact along the search line: 1, alpha, alpha^2, 0 */
  v4 *unit_quad;   /* [n_unit] */
  double *line[6]; /* [n_con] U0 V0 UU UV VV mu of contacts along the line */
  /* Vectors of dofs, padded with zeros to whole groups. */
  v4 *qacc, *qacc_smooth, *qfrc_smooth, *qfrc, *Ma, *Mv, *search, *grad, *Mgrad;
  v4 *H, *H_cone;    /* [nv][n_group] rows of Cholesky factors */
  int *first, *last; /* [nv] first dof in the envelope of a row, last row that a column reaches */
  double *inv_diag;  /* [nv] 1 / diagonal of H */
  double *D_quad;    /* [n_row] D of rows that H holds, else 0 */
  /* What earlier solves of the same substep computed. */
  bool has_H, has_smooth;
  uint8_t *H_state; /* states that H was made for */
};

/* Works out the plan; memory comes from the arena. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_plan_init(vk_plan *p, const mjModel *m, vk_arena *a, vk_err *err);

#endif
