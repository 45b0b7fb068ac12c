/* demo_hdf5.c - reads demonstrations in HDF5: T steps, states of S numbers, pictures of P pixels.
 *
 *   data                    tag "libero-v1", macros_image_convention "opengl" (bottom row first),
 *                           bddl_file_name, env_name, env_args (JSON), problem_info (JSON with
 *                           language_instruction), num_demos, total (steps); LIBERO's own script
 * writes bddl_file_content and no tag, OpenVLA's writes no attributes data/demo_N num_samples,
 * init_state f8 (S) = states[0], model_file (MJCF); N counts from 0, in OpenVLA's files with gaps
 *     actions               f8 (T, 7)       -1 to 1, gripper -1 (opens) or 1
 *     states                f8 (T, S)       [time, qpos, qvel] before each action
 *     robot_states          f8 (T, 9)       fingers 2, position 3, quaternion xyzw 4
 *     rewards, dones        u1 (T,)         1 in the last step
 *     obs/ee_pos, ee_ori    f8 (T, 3)       ee_ori: the quaternion's axis times its angle
 *     obs/ee_states         f8 (T, 6)       both
 *     obs/gripper_states    f8 (T, 2)
 *     obs/joint_states      f8 (T, 7)
 *     obs/agentview_rgb, eye_in_hand_rgb    u1 (T, P, P, 3), may be missing
 *   mask/FILTER             names of demonstrations
 * In files of OpenVLA row 0 of states and robot_states is from before the waiting steps.
 * Source: LIBERO 8f1084e scripts/create_dataset.py; openvla c8f03f4
 * experiments/robot/libero/regenerate_libero_dataset.py. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hdf5.h"
#include "rl/demo_internal.h"

enum { PX_MAX = 4096 };
static const uint64_t dataset_bytes_max = (uint64_t)16 << 30;
static const char *const view_name[VK_DEMO_N_VIEW] = {"obs/agentview_rgb", "obs/eye_in_hand_rgb"};

typedef struct hdf5_reader {
  vk_h5 *h5;
  char path[VK_FS_PATH_MAX];
} hdf5_reader;

static void close_hdf5(void *state)
{
  hdf5_reader *r = state;
  vk_h5_close(r->h5);
  free(r);
}

/* ---- attributes of data ---- */

static vk_status read_json_attr(hdf5_reader *r, const char *path, const char *attr, cJSON **out,
                                vk_err *err)
{
  char *text = NULL;
  *out = NULL;
  VK_TRY(vk_h5_read_text(r->h5, path, attr, &text, err));
  char what[160];
  snprintf(what, sizeof what, "attribute %s of %s", attr, path);
  vk_status st = vk_json_parse(out, text, strlen(text), what, err);
  free(text);
  return st == VK_OK ? st : vk_err_prefix(err, "%s", r->path);
}

/* Text of an attribute that must be there, whole or cut to n bytes. */
static vk_status read_data_text(hdf5_reader *r, const char *attr, char *out, size_t n, vk_err *err)
{
  char *text = NULL;
  VK_TRY(vk_h5_read_text(r->h5, "data", attr, &text, err));
  snprintf(out, n, "%s", text);
  free(text);
  return VK_OK;
}

static int64_t int_of_signed(const vk_array *a)
{
  return a->item_size == 8   ? *(const int64_t *)a->data
         : a->item_size == 4 ? *(const int32_t *)a->data
         : a->item_size == 2 ? *(const int16_t *)a->data
                             : *(const int8_t *)a->data;
}

/* -1: more than an int64_t holds. */
static int64_t int_of_unsigned(const vk_array *a)
{
  uint64_t value = a->item_size == 8   ? *(const uint64_t *)a->data
                   : a->item_size == 4 ? *(const uint32_t *)a->data
                   : a->item_size == 2 ? *(const uint16_t *)a->data
                                       : *(const uint8_t *)a->data;
  return value <= INT64_MAX ? (int64_t)value : -1;
}

static vk_status read_data_int(hdf5_reader *r, const char *path, const char *attr, int64_t *out,
                               vk_err *err)
{
  vk_array a;
  VK_TRY(vk_h5_read(r->h5, path, attr, 64, &a, err));
  vk_status st = VK_OK;
  if ((a.kind != 'i' && a.kind != 'u') || a.n_item != 1)
    st = vk_fail(err, VK_E_FORMAT, "%s: attribute %s of %s is not one whole number", r->path, attr,
                 path);
  else
    *out = a.kind == 'u' ? int_of_unsigned(&a) : int_of_signed(&a);
  vk_array_free(&a);
  return st;
}

/* ".../libero_spatial/TASK.bddl" */
static vk_status take_bddl(const hdf5_reader *r, const char *bddl, vk_demo_info *info, vk_err *err)
{
  const char *slash = strrchr(bddl, '/'), *base = slash ? slash + 1 : bddl;
  size_t n = strlen(base);
  if (n < 6 || strcmp(base + n - 5, ".bddl") != 0)
    return vk_fail(err, VK_E_FORMAT, "%s: bddl_file_name is '%.120s', expected a path to a .bddl",
                   r->path, bddl);
  if (n - 5 >= sizeof info->name)
    return vk_fail(err, VK_E_FORMAT, "%s: bddl_file_name is too long", r->path);
  snprintf(info->name, sizeof info->name, "%.*s", (int)(n - 5), base);
  const char *from = slash;
  while (from && from > bddl && from[-1] != '/')
    from--;
  if (from)
    snprintf(info->suite, sizeof info->suite, "%.*s", (int)(slash - from), from);
  return VK_OK;
}

/* language_instruction is a text, or a list of texts that belong side by side. */
static vk_status take_problem(hdf5_reader *r, vk_demo_info *info, vk_err *err)
{
  cJSON *o = NULL;
  const char *problem;
  VK_TRY(read_json_attr(r, "data", "problem_info", &o, err));
  vk_status st = vk_json_get_str(o, "problem_name", &problem, "problem_info", err);
  if (st == VK_OK) {
    snprintf(info->problem, sizeof info->problem, "%s", problem);
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(o, "language_instruction"), *part;
    size_t at = 0;
    if (cJSON_IsString(text))
      at = (size_t)snprintf(info->language, sizeof info->language, "%s", text->valuestring);
    cJSON_ArrayForEach(part, text)
    {
      if (cJSON_IsArray(text) && cJSON_IsString(part) && at < sizeof info->language)
        at += (size_t)snprintf(info->language + at, sizeof info->language - at, "%s",
                               part->valuestring);
    }
    if (at == 0)
      st = vk_fail(err, VK_E_FORMAT, "%s: problem_info has no language_instruction", r->path);
  }
  cJSON_Delete(o);
  return st;
}

/* What this program has added. */
static vk_status take_own(hdf5_reader *r, vk_demo_info *info, vk_err *err)
{
  const struct {
    const char *key;
    char *to;
    size_t n;
  } text[] = {{"pack_hash", info->pack_hash, sizeof info->pack_hash},
              {"mujoco", info->mujoco, sizeof info->mujoco},
              {"visuals", info->visuals, sizeof info->visuals},
              {"visuals_hash", info->visuals_hash, sizeof info->visuals_hash}};
  cJSON *o = NULL;
  const char *value;
  VK_TRY(read_json_attr(r, "data", "vlakit", &o, err));
  vk_status st = vk_json_get_str(o, "obs_align", &value, "attribute vlakit of data", err);
  if (st == VK_OK && strcmp(value, "fixed") != 0 && strcmp(value, "as-published") != 0)
    st = vk_fail(err, VK_E_FORMAT, "%s: obs_align is '%.40s', expected fixed or as-published",
                 r->path, value);
  if (st == VK_OK) {
    info->align = strcmp(value, "fixed") == 0 ? VK_OBS_FIXED : VK_OBS_AS_PUBLISHED;
    info->is_align_stated = true;
  }
  for (size_t i = 0; st == VK_OK && i < VK_COUNT(text); i++) {
    st = vk_json_get_str(o, text[i].key, &value, "attribute vlakit of data", err);
    if (st == VK_OK)
      snprintf(text[i].to, text[i].n, "%s", value);
  }
  cJSON_Delete(o);
  return st;
}

static vk_status read_info(hdf5_reader *r, vk_demo_info *info, vk_err *err)
{
  *info = (vk_demo_info){.layout = VK_DEMO_REGENERATED, .align = VK_OBS_FIXED};
  bool has_tag = vk_h5_has_attr(r->h5, "data", "tag");
  if (!has_tag && !vk_h5_has_attr(r->h5, "data", "bddl_file_content") &&
      !vk_h5_has_attr(r->h5, "data", "env_args"))
    return VK_OK;
  char text[512];
  info->layout = has_tag ? VK_DEMO_PUBLISHED : VK_DEMO_SCRIPT;
  info->align = VK_OBS_AS_PUBLISHED;
  if (has_tag) {
    VK_TRY(read_data_text(r, "tag", text, sizeof text, err));
    if (strcmp(text, "libero-v1") != 0)
      return vk_fail(err, VK_E_VERSION, "%s: tag is '%.60s', expected libero-v1", r->path, text);
  }
  VK_TRY(read_data_text(r, "macros_image_convention", text, sizeof text, err));
  if (strcmp(text, "opengl") != 0)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: macros_image_convention is '%.60s', expected opengl (bottom row first)",
                   r->path, text);
  VK_TRY(read_data_text(r, "bddl_file_name", text, sizeof text, err));
  VK_TRY(take_bddl(r, text, info, err));
  VK_TRY(take_problem(r, info, err));
  return vk_h5_has_attr(r->h5, "data", "vlakit") ? take_own(r, info, err) : VK_OK;
}

/* ---- the list ---- */

static int by_number(const void *a, const void *b)
{
  int x = *(const int *)a, y = *(const int *)b;
  return (x > y) - (x < y);
}

/* N of "demo_N", -1: another name. */
static int number_of(const char *name)
{
  char again[40];
  int number = -1;
  if (strlen(name) > 14 || sscanf(name, "demo_%d", &number) != 1)
    return -1;
  snprintf(again, sizeof again, "demo_%d", number);
  return strcmp(again, name) == 0 ? number : -1;
}

static vk_status list_numbers(hdf5_reader *r, int **number, int *n, vk_err *err)
{
  char **names;
  int n_name;
  VK_TRY(vk_h5_names(r->h5, "data", &names, &n_name, err));
  vk_status st = VK_OK;
  *number = calloc((size_t)n_name + 1, sizeof **number);
  if (!*number)
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for %d demonstrations", r->path, n_name);
  for (int i = 0; i < n_name && st == VK_OK; i++) {
    (*number)[i] = number_of(names[i]);
    if ((*number)[i] < 0)
      st = vk_fail(err, VK_E_FORMAT, "%s: data holds '%.60s', expected demo_N only", r->path,
                   names[i]);
  }
  *n = st == VK_OK ? n_name : 0;
  vk_h5_free_names(names, n_name);
  if (*n > 1)
    qsort(*number, (size_t)*n, sizeof **number, by_number);
  return st;
}

/* num_demos and total say what is there, and numbers have no gaps. */
static vk_status check_counts(hdf5_reader *r, const int *number, int n, vk_err *err)
{
  int64_t n_demo, total, sum = 0;
  VK_TRY(read_data_int(r, "data", "num_demos", &n_demo, err));
  VK_TRY(read_data_int(r, "data", "total", &total, err));
  if (n_demo != n)
    return vk_fail(err, VK_E_MISMATCH, "%s: num_demos is %lld, data holds %d demonstrations",
                   r->path, (long long)n_demo, n);
  for (int i = 0; i < n; i++) {
    char path[48];
    vk_array a;
    if (number[i] != i)
      return vk_fail(err, VK_E_FORMAT, "%s: demo_%d is missing, expected demo_0 to demo_%d",
                     r->path, i, n - 1);
    snprintf(path, sizeof path, "data/demo_%d/actions", i);
    if (vk_h5_kind_of(r->h5, path) != VK_H5_DATASET)
      return VK_OK; /* reading that demonstration says so */
    VK_TRY(vk_h5_describe(r->h5, path, NULL, &a, err));
    sum += a.n_dim > 0 ? a.shape[0] : 0;
  }
  if (sum != total)
    return vk_fail(err, VK_E_MISMATCH, "%s: total is %lld, the demonstrations have %lld steps",
                   r->path, (long long)total, (long long)sum);
  return VK_OK;
}

static vk_status open_hdf5(void **state, const char *path, vk_demo_info *info, int **number, int *n,
                           vk_err *err)
{
  hdf5_reader *r = calloc(1, sizeof *r);
  if (!r)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to open it", path);
  *state = r;
  snprintf(r->path, sizeof r->path, "%s", path);
  VK_TRY(vk_h5_open(&r->h5, path, err));
  if (vk_h5_kind_of(r->h5, "data") != VK_H5_GROUP)
    return vk_fail(err, VK_E_FORMAT, "%s: has no group data, so it holds no demonstrations", path);
  VK_TRY(read_info(r, info, err));
  VK_TRY(list_numbers(r, number, n, err));
  if (*n > 0 && info->layout != VK_DEMO_REGENERATED)
    VK_TRY(check_counts(r, *number, *n, err));
  for (int i = 0; i < *n && info->px == 0; i++) {
    char view[64];
    vk_array a;
    snprintf(view, sizeof view, "data/demo_%d/%s", (*number)[i], view_name[0]);
    if (vk_h5_kind_of(r->h5, view) == VK_H5_DATASET &&
        vk_h5_describe(r->h5, view, NULL, &a, NULL) == VK_OK && a.n_dim == 4)
      info->px = (int)(a.shape[1] <= PX_MAX ? a.shape[1] : 0);
  }
  return VK_OK;
}

/* ---- a demonstration ---- */

/* One that is being read. */
typedef struct part {
  hdf5_reader *r;
  char group[40]; /* "data/demo_3" */
  int n_step;
} part;

/* Checks type and shape of a dataset: kind 'f' is f8, 'u' is u1; entries -1 of shape are filled in.
 */
static vk_status check_dataset(const part *p, const char *name, char kind, int n_dim,
                               int64_t *shape, vk_err *err)
{
  char path[80], found[VK_NPY_SHAPE_SIZE], want[VK_NPY_SHAPE_SIZE];
  vk_array a;
  snprintf(path, sizeof path, "%s/%s", p->group, name);
  if (vk_h5_kind_of(p->r->h5, path) != VK_H5_DATASET)
    return vk_fail(err, VK_E_NOTFOUND, "%s is missing", name);
  VK_TRY(vk_h5_describe(p->r->h5, path, NULL, &a, err));
  if (a.kind != kind || a.item_size != (kind == 'f' ? 8 : 1))
    return vk_fail(err, VK_E_FORMAT, "%s is of type %c%d, expected %s", name, a.kind, a.item_size,
                   kind == 'f' ? "f8" : "u1");
  bool fits = a.n_dim == n_dim;
  for (int d = 0; d < n_dim && fits; d++)
    fits =
        shape[d] == -1 ? a.shape[d] > 0 && a.shape[d] <= VK_DEMO_STEPS_MAX : a.shape[d] == shape[d];
  if (!fits) {
    vk_array wanted = {.n_dim = n_dim};
    memcpy(wanted.shape, shape, sizeof *shape * (size_t)n_dim);
    return vk_fail(err, VK_E_SHAPE, "%s has the shape %s, expected %s (-1: any)", name,
                   vk_array_shape_text(&a, found), vk_array_shape_text(&wanted, want));
  }
  memcpy(shape, a.shape, sizeof *shape * (size_t)n_dim);
  return VK_OK;
}

/* Reads a dataset that check_dataset has passed into n_byte bytes. */
static vk_status read_into(const part *p, const char *name, void *out, size_t n_byte, vk_err *err)
{
  char path[80];
  vk_array a;
  snprintf(path, sizeof path, "%s/%s", p->group, name);
  VK_TRY(vk_h5_read(p->r->h5, path, NULL, dataset_bytes_max, &a, err));
  VK_ASSERT((size_t)a.n_item * (size_t)a.item_size == n_byte);
  memcpy(out, a.data, n_byte);
  vk_array_free(&a);
  return VK_OK;
}

static vk_status read_f64(const part *p, const char *name, int n_column, double *out, vk_err *err)
{
  int64_t shape[2] = {p->n_step, n_column};
  VK_TRY(check_dataset(p, name, 'f', 2, shape, err));
  return read_into(p, name, out, sizeof *out * (size_t)p->n_step * (size_t)n_column, err);
}

static vk_status read_flags(const part *p, const char *name, uint8_t *out, vk_err *err)
{
  int64_t shape[1] = {p->n_step};
  VK_TRY(check_dataset(p, name, 'u', 1, shape, err));
  return read_into(p, name, out, (size_t)p->n_step, err);
}

/* wxyz -> the quaternion xyzw of an axis times its angle. */
static void quat_of_axis_angle(const double v[3], double quat_xyzw[4])
{
  double angle = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
  double scale = angle > 0 ? sin(angle / 2) / angle : 0;
  for (int k = 0; k < 3; k++)
    quat_xyzw[k] = v[k] * scale;
  quat_xyzw[3] = cos(angle / 2);
}

static bool is_close(double a, double b)
{
  return fabs(a - b) <= 1e-9 + 1e-5 * fabs(b);
}

/* Arrays of observations that say the same must agree. */
typedef struct obs_arrays {
  double *pos, *ori, *states, *gripper, *joints, *robot;
} obs_arrays;

static vk_status take_obs(const part *p, bool is_regenerated, const obs_arrays *o, vk_demo *d,
                          vk_err *err)
{
  for (int t = 0; t < p->n_step; t++) {
    const double *pos = o->pos + 3 * t, *ori = o->ori + 3 * t, *robot = o->robot + 9 * t;
    const double *gripper = o->gripper + 2 * t;
    double *out = d->proprio + VK_N_PROPRIO * t, axis[3];
    bool is_before_wait = is_regenerated && t == 0;
    if (memcmp(o->states + 6 * t, pos, 3 * sizeof *pos) != 0 ||
        memcmp(o->states + 6 * t + 3, ori, 3 * sizeof *ori) != 0)
      return vk_fail(err, VK_E_MISMATCH, "obs/ee_states[%d] is not ee_pos and ee_ori", t);
    memcpy(out, pos, 3 * sizeof *pos);
    memcpy(out + 3, robot + 5, 4 * sizeof *robot);
    memcpy(out + 7, gripper, 2 * sizeof *gripper);
    memcpy(out + 9, o->joints + 7 * t, 7 * sizeof *out);
    if (is_before_wait) {
      quat_of_axis_angle(ori, out + 3);
      continue;
    }
    for (int k = 0; k < 5; k++)
      if (!is_close(robot[k], k < 2 ? gripper[k] : pos[k - 2]))
        return vk_fail(err, VK_E_MISMATCH, "robot_states[%d][%d] is %g, but obs/%s says %g", t, k,
                       robot[k], k < 2 ? "gripper_states" : "ee_pos",
                       k < 2 ? gripper[k] : pos[k - 2]);
    vk_demo_axis_angle(robot + 5, axis);
    for (int k = 0; k < 3; k++)
      if (!(fabs(axis[k] - ori[k]) < 1e-5))
        return vk_fail(err, VK_E_MISMATCH,
                       "obs/ee_ori[%d] is not the axis and angle of robot_states[%d] (%g, %g)", t,
                       t, ori[k], axis[k]);
  }
  return VK_OK;
}

static vk_status read_obs(const part *p, bool is_regenerated, vk_demo *d, vk_err *err)
{
  enum { POS = 0, ORI = 3, STATES = 6, GRIPPER = 12, JOINTS = 14, ROBOT = 21, N = 30 };
  size_t n = (size_t)p->n_step;
  double *all = malloc(sizeof *all * N * n);
  if (!all)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu observations", n);
  const obs_arrays o = {all + POS * n,     all + ORI * n,    all + STATES * n,
                        all + GRIPPER * n, all + JOINTS * n, all + ROBOT * n};
  vk_status st;
  VK_TRY_DONE(read_f64(p, "robot_states", 9, o.robot, err));
  VK_TRY_DONE(read_f64(p, "obs/ee_pos", 3, o.pos, err));
  VK_TRY_DONE(read_f64(p, "obs/ee_ori", 3, o.ori, err));
  VK_TRY_DONE(read_f64(p, "obs/ee_states", 6, o.states, err));
  VK_TRY_DONE(read_f64(p, "obs/gripper_states", 2, o.gripper, err));
  VK_TRY_DONE(read_f64(p, "obs/joint_states", 7, o.joints, err));
  st = take_obs(p, is_regenerated, &o, d, err);
done:
  free(all);
  return st;
}

/* Sizes of a demonstration, from the shapes of its datasets. */
static vk_status read_sizes(part *p, const vk_demo_info *info, bool has_pictures, vk_demo *d,
                            vk_err *err)
{
  char path[64];
  int64_t actions[2] = {-1, VK_N_ACTION};
  VK_TRY(check_dataset(p, "actions", 'f', 2, actions, err));
  p->n_step = (int)actions[0];
  int64_t states[2] = {p->n_step, -1};
  VK_TRY(check_dataset(p, "states", 'f', 2, states, err));
  if (states[1] > VK_DEMO_STATE_MAX)
    return vk_fail(err, VK_E_SHAPE, "states has %lld columns, expected at most %d",
                   (long long)states[1], VK_DEMO_STATE_MAX);
  snprintf(path, sizeof path, "%s/obs", p->group);
  if (vk_h5_kind_of(p->r->h5, path) != VK_H5_GROUP)
    return vk_fail(err, VK_E_NOTFOUND, "obs is missing");
  int px = 0;
  for (int v = 0; v < VK_DEMO_N_VIEW; v++) {
    snprintf(path, sizeof path, "%s/%s", p->group, view_name[v]);
    if (!has_pictures && info->px == 0 && vk_h5_kind_of(p->r->h5, path) == VK_H5_NONE)
      continue;
    int64_t shape[4] = {p->n_step, info->px ? info->px : -1, info->px ? info->px : -1, 3};
    VK_TRY(check_dataset(p, view_name[v], 'u', 4, shape, err));
    px = (int)shape[1];
  }
  d->n_step = d->n_state_row = d->n_obs = p->n_step;
  d->n_state = (int)states[1];
  d->first_obs = info->align == VK_OBS_AS_PUBLISHED ? 1 : 0;
  d->px = has_pictures ? px : 0;
  return VK_OK;
}

static vk_status read_executed(const part *p, vk_demo *d, vk_err *err)
{
  size_t n_byte = sizeof(double) * VK_N_ACTION * (size_t)p->n_step;
  memcpy(d->executed, d->action, n_byte);
  if (!vk_h5_has_attr(p->r->h5, p->group, "executed_actions"))
    return VK_OK;
  vk_array a;
  VK_TRY(vk_h5_read(p->r->h5, p->group, "executed_actions", dataset_bytes_max, &a, err));
  bool fits = a.kind == 'f' && a.item_size == 8 && a.n_dim == 2 && a.shape[0] == p->n_step &&
              a.shape[1] == VK_N_ACTION;
  if (fits)
    memcpy(d->executed, a.data, n_byte);
  vk_array_free(&a);
  return fits ? VK_OK : vk_fail(err, VK_E_SHAPE, "executed_actions is not f8 (%d, 7)", p->n_step);
}

/* num_samples, init_state, model_file and where the episode began. */
static vk_status read_attrs(const part *p, vk_demo *d, vk_err *err)
{
  hdf5_reader *r = p->r;
  int64_t n_sample;
  vk_array a;
  VK_TRY(read_data_int(r, p->group, "num_samples", &n_sample, err));
  if (n_sample != p->n_step)
    return vk_fail(err, VK_E_MISMATCH, "num_samples is %lld, actions have %d rows",
                   (long long)n_sample, p->n_step);
  VK_TRY(vk_h5_read(r->h5, p->group, "init_state", dataset_bytes_max, &a, err));
  bool is_first = a.kind == 'f' && a.item_size == 8 && a.n_dim == 1 && a.shape[0] == d->n_state &&
                  memcmp(a.data, d->state, sizeof(double) * (size_t)d->n_state) == 0;
  vk_array_free(&a);
  if (!is_first)
    return vk_fail(err, VK_E_MISMATCH, "init_state is not states[0]");
  VK_TRY(vk_h5_read_text(r->h5, p->group, "model_file", &d->model_xml, err));
  if (!strstr(d->model_xml, "<mujoco"))
    return vk_fail(err, VK_E_FORMAT, "model_file is '%.40s', expected a MuJoCo model",
                   d->model_xml);
  if (!vk_h5_has_attr(r->h5, p->group, "vlakit"))
    return VK_OK;
  cJSON *o = NULL;
  VK_TRY(read_json_attr(r, p->group, "vlakit", &o, err));
  vk_status st = vk_demo_origin_parse(d, o, "attribute vlakit", err);
  cJSON_Delete(o);
  return st;
}

static vk_status read_hdf5(void *state, const vk_demo_info *info, int number, bool has_pictures,
                           vk_demo *d, vk_err *err)
{
  part p = {.r = state};
  snprintf(p.group, sizeof p.group, "data/demo_%d", number);
  if (vk_h5_kind_of(p.r->h5, p.group) != VK_H5_GROUP)
    return vk_fail(err, VK_E_FORMAT, "not a group");
  if (has_pictures && info->px == 0)
    return vk_fail(err, VK_E_NOTFOUND, "obs/agentview_rgb is missing: the file has no pictures");
  VK_TRY(read_sizes(&p, info, has_pictures, d, err));
  VK_TRY(vk_demo_alloc(d, err));
  d->success = true;
  VK_TRY(read_f64(&p, "actions", VK_N_ACTION, d->action, err));
  VK_TRY(read_f64(&p, "states", d->n_state, d->state, err));
  VK_TRY(read_flags(&p, "rewards", d->reward, err));
  VK_TRY(read_flags(&p, "dones", d->done, err));
  VK_TRY(read_obs(&p, info->layout == VK_DEMO_REGENERATED, d, err));
  VK_TRY(read_executed(&p, d, err));
  if (info->layout != VK_DEMO_REGENERATED)
    VK_TRY(read_attrs(&p, d, err));
  for (int v = 0; v < VK_DEMO_N_VIEW && d->px > 0; v++)
    VK_TRY(read_into(&p, view_name[v], d->pixel[v],
                     (size_t)d->n_obs * (size_t)d->px * (size_t)d->px * 3, err));
  return VK_OK;
}

/* ---- filters ---- */

static vk_status fail_no_filter(hdf5_reader *r, const char *filter, vk_err *err)
{
  char **names = NULL, list[200] = "";
  int n = 0;
  size_t at = 0;
  if (vk_h5_kind_of(r->h5, "mask") == VK_H5_GROUP)
    VK_TRY(vk_h5_names(r->h5, "mask", &names, &n, err));
  for (int i = 0; i < n && at < sizeof list; i++)
    at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", names[i]);
  vk_h5_free_names(names, n);
  return vk_fail(err, VK_E_NOTFOUND, "%s: there is no filter mask/%.60s; %s%s", r->path, filter,
                 n ? "there are " : "the file has none", list);
}

static vk_status mask_hdf5(void *state, const char *filter, const int *number, int n, bool *is_in,
                           vk_err *err)
{
  hdf5_reader *r = state;
  char path[160], **names;
  int n_name;
  snprintf(path, sizeof path, "mask/%.140s", filter);
  if (vk_h5_kind_of(r->h5, path) != VK_H5_DATASET)
    return fail_no_filter(r, filter, err);
  VK_TRY(vk_h5_read_texts(r->h5, path, &names, &n_name, err));
  memset(is_in, 0, sizeof *is_in * (size_t)n);
  vk_status st = VK_OK;
  for (int i = 0; i < n_name && st == VK_OK; i++) {
    int want = number_of(names[i]), k = 0;
    while (k < n && number[k] != want)
      k++;
    if (k < n)
      is_in[k] = true;
    else
      st = vk_fail(err, VK_E_FORMAT, "%s: %s lists '%.40s', which data lacks", r->path, path,
                   names[i]);
  }
  vk_h5_free_names(names, n_name);
  return st;
}

const vk_demo_reader_def vk_demo_hdf5_reader = {
    .open = open_hdf5, .close = close_hdf5, .read = read_hdf5, .mask = mask_hdf5};
