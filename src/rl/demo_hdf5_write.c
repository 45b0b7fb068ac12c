/* demo_hdf5_write.c - demonstrations as LIBERO distributes them, or as OpenVLA's script writes them
 * (no attributes). The layout stands in demo_hdf5.c. Beyond it there are attributes "vlakit" (JSON)
 * of data and of each demonstration, and "executed_actions" where labels are not what was executed:
 * readers of the layout pass over attributes that they do not know. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hdf5.h"
#include "rl/demo_internal.h"

/* Names of the demonstrations in a filter. */
typedef struct names {
  int n, room;
  char **name;
} names;

typedef struct hdf5_writer {
  vk_h5 *h5;
  vk_demo_info info;
  int n_demo;
  int64_t n_step;
  names success, failure;
} hdf5_writer;

static void free_writer(hdf5_writer *w)
{
  vk_h5_free_names(w->success.name, w->success.n);
  vk_h5_free_names(w->failure.name, w->failure.n);
  free(w);
}

static void abort_hdf5(void *state)
{
  hdf5_writer *w = state;
  vk_h5_close(w->h5);
  free_writer(w);
}

/* ---- attributes of data ---- */

/* "Libero_Tabletop_Manipulation" of "libero_tabletop_manipulation" */
static void class_name(const char *problem, char *out, size_t n)
{
  snprintf(out, n, "%s", problem);
  for (size_t i = 0; out[i]; i++)
    if (i == 0 || out[i - 1] == '_')
      out[i] = (char)toupper((unsigned char)out[i]);
}

static void add_numbers(cJSON *o, const char *key, const double *value, int n)
{
  cJSON_AddItemToObject(o, key, cJSON_CreateDoubleArray(value, n));
}

/* What LIBERO's environment of these episodes would be made with. */
static cJSON *env_kwargs_json(const char *bddl, int px)
{
  static const double limit[] = {0.05, 0.05, 0.05, 0.5, 0.5, 0.5};
  const double low[] = {-0.05, -0.05, -0.05, -0.5, -0.5, -0.5};
  cJSON *o = cJSON_CreateObject(), *controller, *list;
  list = cJSON_AddArrayToObject(o, "robots");
  cJSON_AddItemToArray(list, cJSON_CreateString("Panda"));
  controller = cJSON_AddObjectToObject(o, "controller_configs");
  cJSON_AddStringToObject(controller, "type", "OSC_POSE");
  cJSON_AddNumberToObject(controller, "input_max", 1);
  cJSON_AddNumberToObject(controller, "input_min", -1);
  add_numbers(controller, "output_max", limit, 6);
  add_numbers(controller, "output_min", low, 6);
  cJSON_AddNumberToObject(controller, "kp", 150);
  cJSON_AddNumberToObject(controller, "damping_ratio", 1);
  cJSON_AddStringToObject(controller, "impedance_mode", "fixed");
  add_numbers(controller, "kp_limits", (const double[]){0, 300}, 2);
  add_numbers(controller, "damping_ratio_limits", (const double[]){0, 10}, 2);
  cJSON_AddNullToObject(controller, "position_limits");
  cJSON_AddNullToObject(controller, "orientation_limits");
  cJSON_AddBoolToObject(controller, "uncouple_pos_ori", true);
  cJSON_AddBoolToObject(controller, "control_delta", true);
  cJSON_AddNullToObject(controller, "interpolation");
  cJSON_AddNumberToObject(controller, "ramp_ratio", 0.2);
  cJSON_AddStringToObject(o, "bddl_file_name", bddl);
  cJSON_AddBoolToObject(o, "has_renderer", false);
  cJSON_AddBoolToObject(o, "has_offscreen_renderer", true);
  cJSON_AddBoolToObject(o, "ignore_done", true);
  cJSON_AddBoolToObject(o, "use_camera_obs", true);
  cJSON_AddBoolToObject(o, "camera_depths", false);
  list = cJSON_AddArrayToObject(o, "camera_names");
  for (int v = VK_DEMO_N_VIEW - 1; v >= 0; v--)
    cJSON_AddItemToArray(list, cJSON_CreateString(vk_demo_camera[v]));
  cJSON_AddBoolToObject(o, "reward_shaping", true);
  cJSON_AddNumberToObject(o, "control_freq", 20);
  cJSON_AddNumberToObject(o, "camera_heights", px);
  cJSON_AddNumberToObject(o, "camera_widths", px);
  cJSON_AddNullToObject(o, "camera_segmentations");
  return o;
}

static vk_status put_json(hdf5_writer *w, const char *path, const char *attr, cJSON *json,
                          vk_err *err)
{
  char *text = NULL;
  vk_status st = vk_json_text(&text, json, err);
  if (st == VK_OK)
    st = vk_h5_put_text(w->h5, path, attr, text, err);
  cJSON_free(text);
  cJSON_Delete(json);
  return st;
}

static vk_status put_int(hdf5_writer *w, const char *path, const char *attr, int64_t value,
                         vk_err *err)
{
  const vk_array a = {.kind = 'i', .item_size = 8, .n_item = 1, .data = &value};
  return vk_h5_put_attr(w->h5, path, attr, &a, err);
}

static vk_status put_data_attrs(hdf5_writer *w, vk_err *err)
{
  const vk_demo_info *info = &w->info;
  char bddl[3 * VK_PACK_NAME_MAX], env_name[VK_PACK_NAME_MAX + 1];
  snprintf(bddl, sizeof bddl, "libero/libero/bddl_files/%s/%s.bddl", info->suite, info->name);
  class_name(info->problem, env_name, sizeof env_name);
  VK_TRY(vk_h5_put_text(w->h5, "data", "tag", "libero-v1", err));
  VK_TRY(vk_h5_put_text(w->h5, "data", "macros_image_convention", "opengl", err));
  VK_TRY(vk_h5_put_text(w->h5, "data", "bddl_file_name", bddl, err));
  VK_TRY(vk_h5_put_text(w->h5, "data", "env_name", env_name, err));
  cJSON *problem = cJSON_CreateObject();
  cJSON_AddStringToObject(problem, "problem_name", info->problem);
  cJSON_AddStringToObject(problem, "domain_name", "robosuite");
  cJSON_AddStringToObject(problem, "language_instruction", info->language);
  VK_TRY(put_json(w, "data", "problem_info", problem, err));
  cJSON *args = cJSON_CreateObject();
  cJSON_AddNumberToObject(args, "type", 1);
  cJSON_AddStringToObject(args, "env_name", env_name);
  cJSON_AddStringToObject(args, "problem_name", info->problem);
  cJSON_AddStringToObject(args, "bddl_file", bddl);
  cJSON_AddItemToObject(args, "env_kwargs",
                        env_kwargs_json(bddl, info->px > 0 ? info->px : VK_DEMO_PX));
  VK_TRY(put_json(w, "data", "env_args", args, err));
  cJSON *own = cJSON_CreateObject();
  cJSON_AddStringToObject(own, "obs_align", vk_obs_align_names[info->align]);
  cJSON_AddStringToObject(own, "pack_hash", info->pack_hash);
  cJSON_AddStringToObject(own, "mujoco", info->mujoco);
  cJSON_AddStringToObject(own, "visuals", info->visuals);
  cJSON_AddStringToObject(own, "visuals_hash", info->visuals_hash);
  return put_json(w, "data", "vlakit", own, err);
}

static vk_status create_hdf5(void **state, const char *path, const vk_demo_info *info, vk_err *err)
{
  hdf5_writer *w = calloc(1, sizeof *w);
  if (!w)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to write it", path);
  w->info = *info;
  vk_status st = vk_h5_create(&w->h5, path, err);
  if (st == VK_OK)
    st = vk_h5_put_group(w->h5, "data", err);
  if (st == VK_OK && info->layout == VK_DEMO_PUBLISHED)
    st = put_data_attrs(w, err);
  if (st != VK_OK) {
    abort_hdf5(w);
    return st;
  }
  *state = w;
  return VK_OK;
}

/* ---- a demonstration ---- */

/* Data of the rows that the file's alignment asks for. */
typedef struct rows {
  hdf5_writer *w;
  const char *group; /* "data/demo_3" */
  int n;
} rows;

static vk_status put_f64(const rows *r, const char *name, const double *value, int n_column,
                         vk_err *err)
{
  char path[80];
  snprintf(path, sizeof path, "%s/%s", r->group, name);
  const vk_array a = {.kind = 'f',
                      .item_size = 8,
                      .n_dim = 2,
                      .shape = {r->n, n_column},
                      .n_item = (int64_t)r->n * n_column,
                      .data = (void *)value};
  return vk_h5_put(r->w->h5, path, &a, err);
}

static vk_status put_u8(const rows *r, const char *name, const uint8_t *value, int px, vk_err *err)
{
  char path[80];
  snprintf(path, sizeof path, "%s/%s", r->group, name);
  vk_array a = {.kind = 'u',
                .item_size = 1,
                .n_dim = px ? 4 : 1,
                .shape = {r->n, px, px, 3},
                .n_item = r->n,
                .data = (void *)value};
  if (px)
    a.n_item *= (int64_t)px * px * 3;
  return vk_h5_put(r->w->h5, path, &a, err);
}

/* Columns of proprio as datasets of their own. */
static vk_status put_proprio(const rows *r, const double *proprio, vk_err *err)
{
  enum { POS = 0, ORI = 3, STATES = 6, GRIPPER = 12, JOINTS = 14, ROBOT = 21, N = 30 };
  size_t n = (size_t)r->n;
  double *all = malloc(sizeof *all * N * n);
  if (!all)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu observations", n);
  for (size_t t = 0; t < n; t++) {
    const double *p = proprio + VK_N_PROPRIO * t;
    double *pos = all + POS * n + 3 * t, *ori = all + ORI * n + 3 * t;
    double *ee = all + STATES * n + 6 * t, *robot = all + ROBOT * n + 9 * t;
    memcpy(pos, p, 3 * sizeof *p);
    vk_demo_axis_angle(p + 3, ori);
    memcpy(ee, pos, 3 * sizeof *p);
    memcpy(ee + 3, ori, 3 * sizeof *p);
    memcpy(all + GRIPPER * n + 2 * t, p + 7, 2 * sizeof *p);
    memcpy(all + JOINTS * n + 7 * t, p + 9, 7 * sizeof *p);
    memcpy(robot, p + 7, 2 * sizeof *p);
    memcpy(robot + 2, p, 7 * sizeof *p);
  }
  vk_status st = VK_OK;
  VK_TRY_DONE(put_f64(r, "obs/ee_pos", all + POS * n, 3, err));
  VK_TRY_DONE(put_f64(r, "obs/ee_ori", all + ORI * n, 3, err));
  VK_TRY_DONE(put_f64(r, "obs/ee_states", all + STATES * n, 6, err));
  VK_TRY_DONE(put_f64(r, "obs/gripper_states", all + GRIPPER * n, 2, err));
  VK_TRY_DONE(put_f64(r, "obs/joint_states", all + JOINTS * n, 7, err));
  st = put_f64(r, "robot_states", all + ROBOT * n, 9, err);
done:
  free(all);
  return st;
}

static vk_status put_demo_attrs(const rows *r, const vk_demo *d, vk_err *err)
{
  hdf5_writer *w = r->w;
  const vk_array init = {.kind = 'f',
                         .item_size = 8,
                         .n_dim = 1,
                         .shape = {d->n_state},
                         .n_item = d->n_state,
                         .data = d->state};
  const vk_array executed = {.kind = 'f',
                             .item_size = 8,
                             .n_dim = 2,
                             .shape = {d->n_step, VK_N_ACTION},
                             .n_item = (int64_t)d->n_step * VK_N_ACTION,
                             .data = d->executed};
  VK_TRY(put_int(w, r->group, "num_samples", d->n_step, err));
  VK_TRY(vk_h5_put_attr(w->h5, r->group, "init_state", &init, err));
  VK_TRY(vk_h5_put_text(w->h5, r->group, "model_file", d->model_xml, err));
  VK_TRY(put_json(w, r->group, "vlakit", vk_demo_origin_json(d), err));
  if (memcmp(d->action, d->executed, sizeof(double) * (size_t)executed.n_item) == 0)
    return VK_OK;
  return vk_h5_put_attr(w->h5, r->group, "executed_actions", &executed, err);
}

static vk_status note_name(names *list, int number, vk_err *err)
{
  char name[24];
  if (list->n == list->room) {
    int room = 2 * list->room + 16;
    char **more = realloc(list->name, sizeof *more * (size_t)room);
    if (!more)
      return vk_fail(err, VK_E_NOMEM, "no memory for names of demonstrations");
    list->name = more;
    list->room = room;
  }
  snprintf(name, sizeof name, "demo_%d", number);
  if (!(list->name[list->n] = strdup(name)))
    return vk_fail(err, VK_E_NOMEM, "no memory for names of demonstrations");
  list->n++;
  return VK_OK;
}

static vk_status check_complete(const vk_demo_info *info, const vk_demo *d, int first, vk_err *err)
{
  if (vk_demo_obs_row(d, first) < 0 || vk_demo_obs_row(d, first + d->n_step - 1) < 0)
    return vk_fail(err, VK_E_MISMATCH,
                   "demo_%d: with --obs-align %s the observations %d to %d are needed, and it has "
                   "%d to %d",
                   d->number, vk_obs_align_names[info->align], first, first + d->n_step - 1,
                   d->first_obs, d->first_obs + d->n_obs - 1);
  if (info->px > 0 && d->px != info->px)
    return vk_fail(err, VK_E_MISMATCH, "demo_%d: pictures of %d px, expected %d px", d->number,
                   d->px, info->px);
  if (info->layout == VK_DEMO_REGENERATED && !d->success)
    return vk_fail(err, VK_E_MISMATCH,
                   "demo_%d: failed, and files of OpenVLA hold successes only, as they cannot mark "
                   "others; convert with --mask success",
                   d->number);
  if (info->layout == VK_DEMO_PUBLISHED && !d->model_xml)
    return vk_fail(err, VK_E_MISMATCH, "demo_%d: its model is not known", d->number);
  return VK_OK;
}

static vk_status add_hdf5(void *state, const vk_demo_info *info, const vk_demo *d, vk_err *err)
{
  static const char *const view[VK_DEMO_N_VIEW] = {"obs/agentview_rgb", "obs/eye_in_hand_rgb"};
  hdf5_writer *w = state;
  char group[40], obs[48];
  int first = info->align == VK_OBS_AS_PUBLISHED ? 1 : 0;
  VK_TRY(check_complete(info, d, first, err));
  snprintf(group, sizeof group, "data/demo_%d", d->number);
  snprintf(obs, sizeof obs, "%s/obs", group);
  const rows r = {w, group, d->n_step};
  size_t row = (size_t)vk_demo_obs_row(d, first);
  VK_TRY(vk_h5_put_group(w->h5, group, err));
  VK_TRY(vk_h5_put_group(w->h5, obs, err));
  if (info->layout == VK_DEMO_PUBLISHED)
    VK_TRY(put_demo_attrs(&r, d, err));
  VK_TRY(put_f64(&r, "actions", d->action, VK_N_ACTION, err));
  VK_TRY(put_f64(&r, "states", d->state, d->n_state, err));
  VK_TRY(put_proprio(&r, d->proprio + VK_N_PROPRIO * row, err));
  VK_TRY(put_u8(&r, "rewards", d->reward, 0, err));
  VK_TRY(put_u8(&r, "dones", d->done, 0, err));
  for (int v = 0; v < VK_DEMO_N_VIEW && info->px > 0; v++)
    VK_TRY(put_u8(&r, view[v], d->pixel[v] + row * (size_t)d->px * (size_t)d->px * 3, d->px, err));
  w->n_demo++;
  w->n_step += d->n_step;
  return note_name(d->success ? &w->success : &w->failure, d->number, err);
}

/* ---- the end ---- */

/* Filters as robomimic's, where not all demonstrations are successes. */
static vk_status put_masks(hdf5_writer *w, vk_err *err)
{
  if (w->failure.n == 0)
    return VK_OK;
  VK_TRY(vk_h5_put_group(w->h5, "mask", err));
  VK_TRY(vk_h5_put_texts(w->h5, "mask/failure", w->failure.name, w->failure.n, err));
  if (w->success.n == 0)
    return VK_OK;
  return vk_h5_put_texts(w->h5, "mask/success", w->success.name, w->success.n, err);
}

static vk_status commit_hdf5(void *state, vk_err *err)
{
  hdf5_writer *w = state;
  vk_status st = put_masks(w, err);
  if (st == VK_OK && w->info.layout == VK_DEMO_PUBLISHED)
    st = put_int(w, "data", "num_demos", w->n_demo, err);
  if (st == VK_OK && w->info.layout == VK_DEMO_PUBLISHED)
    st = put_int(w, "data", "total", w->n_step, err);
  if (st == VK_OK) {
    st = vk_h5_commit(w->h5, err);
    w->h5 = NULL;
  }
  abort_hdf5(w);
  return st;
}

const vk_demo_writer_def vk_demo_hdf5_writer = {
    .create = create_hdf5, .add = add_hdf5, .commit = commit_hdf5, .abort = abort_hdf5};
