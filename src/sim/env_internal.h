/* env_internal.h - what env.c, env_reset.c and env_snapshot.c share.
 * Test: tests/unit/test_env.c */
#ifndef VK_SIM_ENV_INTERNAL_H
#define VK_SIM_ENV_INTERNAL_H

#include "sim/env.h"
#include "sim/forward.h"
#include "sim/osc.h"
#include "sim/picture.h"

/* More than any scene can need in a step; bounds what buffers grow to. */
enum { VK_ENV_CONTACT_MAX = 6000 };

/* The part of an environment that is plain data, copied as it is into snapshots. */
typedef struct vk_env_core {
  vk_osc osc;
  double grip[VK_N_FINGER]; /* integrated command, [-1, 1] */
  vk_mt19937 rng;
  int n_reset;  /* loads of the model since the last seed, failed ones included */
  int n_forced; /* forced updates of the observations since the last reset */
  bool success;
  int n_unstable;
  vk_robot_obs robot_obs;
} vk_env_core;

/* An atom of :init, resolved. */
typedef struct vk_placement {
  int instance;   /* what is placed */
  int below;      /* instance it stands on, or whose site it is put at; -1: the arena */
  int site;       /* -1: none */
  bool is_inside; /* In: at the site itself; On: above it */
  const vk_pack_region *region; /* on the arena */
} vk_placement;

/* What every reset of a scene does, in the order of its draws (env_reset.c). */
typedef struct vk_reset_plan {
  int n_property, n_placement;
  vk_atom *property;       /* Open, Close, TurnOn, TurnOff */
  vk_placement *placement; /* arena first, then sites, then objects on objects */
  bool has_site;
} vk_reset_plan;

/* Where a reset puts an instance. */
typedef struct vk_reset_place {
  double p[3], quat[4]; /* quat as it is written into the model or qpos */
  bool is_placed;
} vk_reset_place;

struct vk_env {
  const vk_scene *scene;
  mjModel model; /* the scene's, but for what resets change and the sizes of buffers */
  mjData *data;
  int n_contact_max; /* room of data */
  vk_forward *forward;
  vk_isa isa;
  vk_env_core core;
  vk_object_obs *object_obs; /* [n_object] */
  double *work_qpos;         /* [nq] */
  double *picture;           /* row of sim/picture.h, as last sampled */
  bool has_overflow;         /* a buffer of MuJoCo was too small since vk_env_run began */
  int n_self_reset;          /* times that MuJoCo reset itself since then */
  double *entry;             /* data at the beginning of vk_env_run */
  vk_env_core *entry_core;
  vk_reset_plan plan;
  vk_reset_place *place; /* [n_instance] of the reset being drawn */
  /* What a reset comes to before anything is drawn; the same in every reset of a scene. */
  bool has_home;
  double *home_qpos;
  vk_osc home_osc;
};

/* Runs fn(env, arg) under the guard. When MuJoCo's buffers overflowed in it, they are grown, the
 * state that stood before is put back, and fn runs again. After an error that state stands too, but
 * poses and contacts are lost. */
VK_NODISCARD vk_status vk_env_run(vk_env *env, void (*fn)(vk_env *env, void *arg), void *arg,
                                  vk_err *err);

/* Renews the data with room for exactly n_contact contacts; its state is lost.
 * Errors: VK_E_SIM (over VK_ENV_CONTACT_MAX), VK_E_NOMEM; nothing has changed then. */
VK_NODISCARD vk_status vk_env_set_capacity(vk_env *env, int n_contact, vk_err *err);

/* Makes room for n_contact contacts; the data's state is lost when it had less. */
VK_NODISCARD vk_status vk_env_reserve_contacts(vk_env *env, int n_contact, vk_err *err);

/* mj_forward, noting overflows. */
void vk_env_forward(vk_env *env);

/* mj_forward of a state that vk_env_forward has just seen, controls excepted: the same bits without
 * the position and velocity stages, unless normalising a quaternion once more changes it. */
void vk_env_forward_again(vk_env *env);

/* What the resets of a scene draw, resolved once. */
VK_NODISCARD vk_status vk_reset_plan_init(vk_reset_plan *plan, const vk_scene *scene, vk_err *err);
void vk_reset_plan_fini(vk_reset_plan *plan);

/* Samples the observation from the present data. */
void vk_env_observe(vk_env *env);

/* The flame's site is hidden by a reset and shown while the knob is on from then on: its alpha
 * toggles between -1 and 2. */
void vk_env_hide_flame(vk_env *env);
void vk_env_update_flame(vk_env *env);

#endif
