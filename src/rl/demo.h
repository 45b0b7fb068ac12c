/* demo.h - demonstrations: what an expert did in an episode, and files of them, one a task.
 *
 * Two formats: the store (.npz, rl/demo_store.c: small, no pictures, everything that pictures and a
 * bit-exact repetition need) and LIBERO's HDF5 (rl/demo_hdf5.c), of which the files that LIBERO
 * distributes, those of its script and OpenVLA's regenerated ones are read too.
 *
 * Observation number t is the last one that was sampled before step t; number n_step follows the
 * last step. LIBERO's own files hold the observations 1 to n_step beside the actions 0 to n_step -
 * 1: one step late. Test: tests/unit/test_demo.c, tests/cmd/test_demos.sh, tests/fuzz/fuzz_demo.c
 */
#ifndef VK_RL_DEMO_H
#define VK_RL_DEMO_H

#include "rl/start.h"
#include "sim/env_batch.h"

enum {
  VK_DEMO_N_VIEW = 2,
  VK_DEMO_STEPS_MAX = 100000,
  VK_DEMO_STATE_MAX = 4096, /* numbers of a state; LIBERO's have 45 to 123 */
  VK_DEMO_PX = 128
};

/* The cameras of the two views, as the model names them. */
extern const char *const vk_demo_camera[VK_DEMO_N_VIEW];

typedef struct vk_demo {
  int number; /* N of demo_N */
  int n_step;
  double *action;         /* [n_step, 7] labels: what a policy should answer */
  double *executed;       /* [n_step, 7] what was executed: the label and its noise */
  uint8_t *reward, *done; /* [n_step] */
  bool success;
  int n_state,
      n_state_row; /* n_state_row: n_step, or n_step + 1 with the state after the last step */
  double *state;   /* [n_state_row, n_state] [time, qpos, qvel] before each step */
  /* observations number first_obs ... first_obs + n_obs - 1 */
  int first_obs, n_obs;
  double *proprio;                /* [n_obs, VK_N_PROPRIO], as vk_robot_obs */
  int n_picture_state;            /* 0: none */
  double *picture_state;          /* [n_obs, n_picture_state] rows of sim/picture.h */
  int px;                         /* 0: no pictures */
  uint8_t *pixel[VK_DEMO_N_VIEW]; /* [n_obs, px, px, 3] bottom row first: agentview, eye in hand */
  char *model_xml;                /* the scene as MJCF, fixtures as they stood; NULL: not known */
  /* How the episode began; is_known: it can be repeated from there. */
  bool is_origin_known;
  vk_start origin;
  double noise; /* sigma of what was added to the labels, 0: nothing */
} vk_demo;

/* Arrays of the sizes in demo (n_step, n_state, n_state_row, n_obs, n_picture_state, px) as zeros.
 * Errors: VK_E_NOMEM; nothing is left to free then. */
VK_NODISCARD vk_status vk_demo_alloc(vk_demo *demo, vk_err *err);
/* A zeroed one is allowed. */
void vk_demo_free(vk_demo *demo);

/* The rules that hold in every file: finite numbers, actions within -1 to 1 and a gripper of -1 or
 * 1, time that increases, unit quaternions, done and (of a success) reward 1 in the last step only.
 * Errors: VK_E_RANGE and VK_E_FORMAT with the rule. */
VK_NODISCARD vk_status vk_demo_check(const vk_demo *demo, vk_err *err);

/* Row of observation number t in the arrays, -1: it is not there. */
static inline int vk_demo_obs_row(const vk_demo *demo, int t)
{
  int row = t - demo->first_obs;
  return row >= 0 && row < demo->n_obs ? row : -1;
}

/* Drops step 0 when nothing was observed before it, so that every step has the observation that its
 * action answers. Where the episode began is no longer known then. */
void vk_demo_align(vk_demo *demo);

/* Drops steps whose six pose commands have a norm under 1e-4 and whose gripper is that of the last
 * step kept, as OpenVLA's regeneration does; the last step stays. Returns how many went.
 * Source: openvla c8f03f4, experiments/robot/libero/regenerate_libero_dataset.py (is_noop). */
int vk_demo_drop_noops(vk_demo *demo);

/* Axis times angle of a quaternion, w clipped, sign not normalised.
 * Source: robosuite 1.4.0 utils/transform_utils.py quat2axisangle. */
void vk_demo_axis_angle(const double quat_xyzw[4], double out[3]);

/* ---- files ---- */

typedef enum vk_demo_layout {
  VK_DEMO_STORE,
  VK_DEMO_PUBLISHED,  /* LIBERO's HDF5 as it is distributed and written here */
  VK_DEMO_SCRIPT,     /* as LIBERO's create_dataset.py writes it */
  VK_DEMO_REGENERATED /* OpenVLA's */
} vk_demo_layout;

/* "store", "libero", "libero script", "openvla" */
const char *vk_demo_layout_name(vk_demo_layout layout);

typedef enum vk_obs_align {
  VK_OBS_FIXED,       /* obs[t] is what actions[t] answers */
  VK_OBS_AS_PUBLISHED /* obs[t] is what actions[t] led to */
} vk_obs_align;

extern const char *const vk_obs_align_names[]; /* by vk_obs_align, NULL-terminated */

/* What a file says of all its demonstrations; "": it does not. */
typedef struct vk_demo_info {
  vk_demo_layout layout;
  vk_obs_align align;
  bool is_align_stated; /* by the file; else it follows from the layout */
  char suite[VK_PACK_NAME_MAX + 1], name[VK_PACK_NAME_MAX + 1], problem[VK_PACK_NAME_MAX + 1];
  char language[512];
  char pack_hash[65], mujoco[32];
  char visuals[32], visuals_hash[65]; /* of the pictures */
  int px;                             /* of the pictures, 0: none */
} vk_demo_info;

/* What a file of a task says, without pictures. */
void vk_demo_info_of_task(vk_demo_info *info, const vk_pack *pack, uint32_t i_task);

/* The task that info, or else the file's name (TASK_demo.hdf5), tells.
 * Errors: VK_E_NOTFOUND. */
VK_NODISCARD vk_status vk_demo_find_task(const vk_demo_info *info, const char *path,
                                         const vk_pack *pack, uint32_t *i_task, vk_err *err);

typedef struct vk_demo_file vk_demo_file;

/* Opens a file of either format, by what is in it. Errors: VK_E_NOTFOUND, VK_E_IO, VK_E_FORMAT,
 * VK_E_UNSUPPORTED, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_demo_open(vk_demo_file **out, const char *path, vk_err *err);
void vk_demo_close(vk_demo_file *file);
const vk_demo_info *vk_demo_info_get(const vk_demo_file *file);
int vk_demo_count(const vk_demo_file *file);
/* N of the i-th demo_N, by rising N. */
int vk_demo_number(const vk_demo_file *file, int i);

/* Reads the i-th, checked by all rules of its format; pictures on request only. Free it.
 * Errors: VK_E_NOTFOUND, VK_E_FORMAT, VK_E_SHAPE, VK_E_RANGE, VK_E_MISMATCH, each naming the
 * demonstration and the rule; VK_E_NOMEM. */
VK_NODISCARD vk_status vk_demo_read(vk_demo_file *file, int i, bool has_pictures, vk_demo *out,
                                    vk_err *err);

/* is_in [vk_demo_count] out: what mask/FILTER lists; of a store, its "success" or "failure".
 * Errors: VK_E_NOTFOUND (no such filter, with those that there are), VK_E_FORMAT (it lists what is
 * not there). */
VK_NODISCARD vk_status vk_demo_mask(vk_demo_file *file, const char *filter, bool *is_in,
                                    vk_err *err);

/* ---- writing ---- */

/* Whether this build and machine can write files of the layout: before long work.
 * Errors: VK_E_UNSUPPORTED. */
VK_NODISCARD vk_status vk_demo_can_write(vk_demo_layout layout, vk_err *err);

typedef struct vk_demo_writer vk_demo_writer;

/* A new file of info's layout (VK_DEMO_STORE, VK_DEMO_PUBLISHED or VK_DEMO_REGENERATED), that takes
 * the place of path when it is committed. Errors: VK_E_IO, VK_E_NOTFOUND, VK_E_UNSUPPORTED,
 * VK_E_NOMEM. */
VK_NODISCARD vk_status vk_demo_create(vk_demo_writer **out, const char *path,
                                      const vk_demo_info *info, vk_err *err);
/* Adds demo as the next demo_N; its pictures must be of info's size. Errors: VK_E_MISMATCH (info's
 * alignment needs an observation that demo lacks), VK_E_IO, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_demo_add(vk_demo_writer *w, const vk_demo *demo, vk_err *err);
/* Ends w in any case. Errors: VK_E_IO. */
VK_NODISCARD vk_status vk_demo_commit(vk_demo_writer *w, vk_err *err);
void vk_demo_abort(vk_demo_writer *w);

#endif
