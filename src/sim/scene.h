/* scene.h - a compiled task: the physics model, what its bodies, joints and sites mean, its goal,
 * and what a reset draws. Const after building, shared by every environment of the task.
 * Test: tests/unit/test_scene.c, tests/unit/test_predicate.c, tests/golden/test_constants.c */
#ifndef VK_SIM_SCENE_H
#define VK_SIM_SCENE_H

#include <mujoco/mujoco.h>

#include "core/err.h"
#include "sim/mujoco_compat.h"
#include "sim/pack.h"

enum { VK_N_ARM = 7, VK_N_FINGER = 2, VK_N_ACTION = 7, VK_SCENE_JOINTS_MAX = 8 };

/* Room for contacts and constraint rows in data made from a scene's model. Recorded episodes reach
 * 226 contacts in steps, resets 402; whoever needs more calls vk_model_set_capacity on a copy. */
enum { VK_SCENE_N_CONTACT = 240, VK_SCENE_N_ROW = 760 };

/* An object or fixture as the model holds it. */
typedef struct vk_instance {
  const char *name;
  const vk_pack_class *cls;
  int body;     /* root body "NAME_main" */
  int qpos_adr; /* of the free joint; -1 for fixtures */
  int qvel_adr;
} vk_instance;

/* An atom with its names resolved. */
typedef struct vk_atom {
  vk_atom_kind kind;
  int a;          /* instance, or -1 when the argument is a site (Open, ... of a region) */
  int b;          /* instance, or -1 */
  int site;       /* site of the second argument (On, In) or of the first (Open, ...); -1: none */
  int site_owner; /* instance whose subtree holds the site, -1: the arena */
  int n_joint;
  int joint[VK_SCENE_JOINTS_MAX]; /* joint ids */
  const vk_pack_articulation *articulation;
} vk_atom;

typedef struct vk_scene {
  const vk_pack *pack;
  const vk_pack_task *task;
  const vk_pack_problem *problem;
  char id[VK_PACK_TASK_ID_SIZE]; /* "libero_spatial/3" */
  mjModel *model; /* poses of fixtures as the MJCF has them; environments copy what they change */
  int n_object, n_fixture, n_instance; /* instances: objects first, then fixtures */
  vk_instance *instance;
  int *geom_owner; /* [ngeom] instance whose subtree holds the geom and whose group is 0, else -1 */
  int *body_owner; /* [nbody] instance, or -1 */
  int n_goal;
  vk_atom *goal;
  int n_state;            /* 1 + nq + nv */
  double *home_warmstart; /* [nv] what the solver of a reset starts from (sim/home.h) */
  /* robot */
  int site_grip, body_hand;
  int arm_qpos, arm_qvel; /* addresses of the first of seven */
  int finger_qpos;        /* address of the first of two */
  int site_burner;        /* site of a stove's flame, -1: none */
  vk_atom atom_burner;    /* TurnOn of that stove: whether it burns */
} vk_scene;

/* Composes, compiles (or takes from cache_dir/HASH.mjb) and resolves a task.
 *   cache_dir  folder of compiled models, NULL: no cache. Cache trouble is never an error.
 * Errors: VK_E_FORMAT (a name that does not resolve, MuJoCo's own message), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_scene_new(vk_scene **out, const vk_pack *pack, uint32_t i_task,
                                    const char *cache_dir, vk_err *err);
void vk_scene_free(vk_scene *scene);

/* The composed MJCF of a task as text (malloc; caller frees). Meshes are named FILE.stl.
 * Source: LIBERO 8f1084e, robosuite 1.4.0 merge order (arena, robot, objects, fixtures). */
VK_NODISCARD vk_status vk_compose_mjcf(const vk_pack *pack, const vk_pack_task *task, char **text,
                                       vk_err *err);

/* Compiles MJCF text with the pack's collision meshes; the capacity is VK_SCENE_N_CONTACT and
 * VK_SCENE_N_ROW. Errors: VK_E_FORMAT (MuJoCo's own message), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_scene_compile(const vk_pack *pack, const char *mjcf, mjModel **out,
                                        vk_err *err);

/* Bytes of a collision mesh as binary STL (malloc; caller frees). Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_compose_stl(const vk_pack *pack, const vk_pack_mesh *mesh,
                                      uint8_t **bytes, size_t *n, vk_err *err);

/* Index in scene->instance, or -1. */
int vk_scene_find_instance(const vk_scene *scene, const char *name);
/* The task's region of that full key, or NULL. */
const vk_pack_region *vk_scene_find_region(const vk_scene *scene, const char *name);

/* Resolves "on bowl_1 plate_1", "open wooden_cabinet_1_top_region": kind and names as BDDL writes
 * them (lower case). Errors: VK_E_NOTFOUND. */
VK_NODISCARD vk_status vk_scene_resolve_atom(const vk_scene *scene, vk_atom_kind kind,
                                             const char *a, const char *b, vk_atom *out,
                                             vk_err *err);

/* Whether the atom holds in d, as the last mj_step left it: poses and contacts before the last
 * integration, joint positions after it. Recomputes nothing. */
bool vk_atom_holds(const vk_scene *scene, const mjModel *m, const mjData *d, const vk_atom *atom);

#endif
