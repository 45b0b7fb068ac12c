#include "rl/demo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rl/demo_internal.h"

const char *const vk_demo_camera[VK_DEMO_N_VIEW] = {"agentview", "robot0_eye_in_hand"};

const char *const vk_obs_align_names[] = {
    [VK_OBS_FIXED] = "fixed", [VK_OBS_AS_PUBLISHED] = "as-published", NULL};

/* ---- memory ---- */

vk_status vk_demo_alloc(vk_demo *d, vk_err *err)
{
  size_t n = (size_t)d->n_step, n_obs = (size_t)d->n_obs;
  size_t n_pixel = n_obs * (size_t)d->px * (size_t)d->px * 3;
  d->action = calloc(n * VK_N_ACTION + 1, sizeof *d->action);
  d->executed = calloc(n * VK_N_ACTION + 1, sizeof *d->executed);
  d->reward = calloc(n + 1, 1);
  d->done = calloc(n + 1, 1);
  d->state = calloc((size_t)d->n_state_row * (size_t)d->n_state + 1, sizeof *d->state);
  d->proprio = calloc(n_obs * VK_N_PROPRIO + 1, sizeof *d->proprio);
  d->picture_state = NULL;
  d->model_xml = NULL;
  if (d->n_picture_state > 0)
    d->picture_state = calloc(n_obs * (size_t)d->n_picture_state, sizeof *d->picture_state);
  bool has_all = d->action && d->executed && d->reward && d->done && d->state && d->proprio &&
                 (d->picture_state || d->n_picture_state == 0);
  for (int v = 0; v < VK_DEMO_N_VIEW; v++) {
    d->pixel[v] = d->px > 0 ? malloc(n_pixel + 1) : NULL;
    has_all = has_all && (d->pixel[v] || d->px == 0);
  }
  if (has_all)
    return VK_OK;
  vk_demo_free(d);
  return vk_fail(err, VK_E_NOMEM, "no memory for a demonstration of %zu steps", n);
}

void vk_demo_free(vk_demo *d)
{
  free(d->action);
  free(d->executed);
  free(d->reward);
  free(d->done);
  free(d->state);
  free(d->proprio);
  free(d->picture_state);
  free(d->model_xml);
  for (int v = 0; v < VK_DEMO_N_VIEW; v++)
    free(d->pixel[v]);
  memset(d, 0, sizeof *d);
}

/* ---- rules ---- */

static vk_status check_finite(const char *name, const double *value, int n_row, int n, vk_err *err)
{
  for (int row = 0; row < n_row; row++, value += n)
    for (int i = 0; i < n; i++)
      if (!isfinite(value[i]))
        return vk_fail(err, VK_E_RANGE, "%s[%d][%d] is %g, expected a finite number", name, row, i,
                       value[i]);
  return VK_OK;
}

static vk_status check_actions(const char *name, const double *action, int n_step, vk_err *err)
{
  VK_TRY(check_finite(name, action, n_step, VK_N_ACTION, err));
  for (int t = 0; t < n_step; t++) {
    const double *a = action + VK_N_ACTION * t;
    for (int k = 0; k < VK_N_ACTION; k++)
      if (fabs(a[k]) > 1 + 1e-9)
        return vk_fail(err, VK_E_RANGE, "%s[%d][%d] is %g, expected -1 to 1", name, t, k, a[k]);
    if (a[6] != -1 && a[6] != 1)
      return vk_fail(err, VK_E_RANGE, "%s[%d][6] is %g, expected a gripper of -1 (open) or 1", name,
                     t, a[6]);
  }
  return VK_OK;
}

/* 1 in the last step only, unless may_lack and nowhere. */
static vk_status check_flag(const char *name, const uint8_t *flag, int n, bool may_lack,
                            vk_err *err)
{
  for (int t = 0; t < n; t++) {
    int want = t == n - 1 && !(may_lack && flag[t] == 0);
    if (flag[t] != want)
      return vk_fail(err, VK_E_FORMAT, "%s[%d] of %d is %u, expected 1 in the last step only", name,
                     t, n, flag[t]);
  }
  return VK_OK;
}

vk_status vk_demo_check(const vk_demo *d, vk_err *err)
{
  if (d->n_step < 1 || d->n_step > VK_DEMO_STEPS_MAX)
    return vk_fail(err, VK_E_SHAPE, "%d steps, expected 1 to %d", d->n_step, VK_DEMO_STEPS_MAX);
  VK_TRY(check_actions("actions", d->action, d->n_step, err));
  VK_TRY(check_actions("executed", d->executed, d->n_step, err));
  VK_TRY(check_flag("rewards", d->reward, d->n_step, !d->success, err));
  VK_TRY(check_flag("dones", d->done, d->n_step, !d->success, err));
  VK_TRY(check_finite("states", d->state, d->n_state_row, d->n_state, err));
  VK_TRY(check_finite("proprio", d->proprio, d->n_obs, VK_N_PROPRIO, err));
  if (d->picture_state)
    VK_TRY(check_finite("picture_state", d->picture_state, d->n_obs, d->n_picture_state, err));
  for (int t = 1; t < d->n_state_row; t++) {
    const double *now = d->state + (size_t)t * (size_t)d->n_state, *before = now - d->n_state;
    if (!(now[0] > before[0]))
      return vk_fail(err, VK_E_FORMAT,
                     "states: time does not increase from row %d (%g s) to row %d (%g s)", t - 1,
                     before[0], t, now[0]);
  }
  for (int i = 0; i < d->n_obs; i++) {
    const double *q = d->proprio + VK_N_PROPRIO * i + 3;
    double norm = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
    if (fabs(norm - 1) > 1e-4)
      return vk_fail(err, VK_E_FORMAT,
                     "the hand's quaternion of observation %d has the length %g, expected 1",
                     d->first_obs + i, norm);
  }
  return VK_OK;
}

/* ---- steps ---- */

/* Moves row `from` of an array to row `to`. */
static void move_row(void *rows, size_t row_bytes, int to, int from)
{
  if (rows && to != from)
    memcpy((char *)rows + (size_t)to * row_bytes, (char *)rows + (size_t)from * row_bytes,
           row_bytes);
}

static void move_step(vk_demo *d, int to, int from)
{
  move_row(d->action, sizeof(double) * VK_N_ACTION, to, from);
  move_row(d->executed, sizeof(double) * VK_N_ACTION, to, from);
  move_row(d->reward, 1, to, from);
  move_row(d->done, 1, to, from);
}

static void move_obs(vk_demo *d, int to, int from)
{
  move_row(d->proprio, sizeof(double) * VK_N_PROPRIO, to, from);
  move_row(d->picture_state, sizeof(double) * (size_t)d->n_picture_state, to, from);
  for (int v = 0; v < VK_DEMO_N_VIEW; v++)
    move_row(d->pixel[v], (size_t)d->px * (size_t)d->px * 3, to, from);
}

void vk_demo_align(vk_demo *d)
{
  if (d->first_obs == 0 || d->n_step < 2)
    return;
  for (int t = 1; t < d->n_step; t++)
    move_step(d, t - 1, t);
  for (int t = 1; t < d->n_state_row; t++)
    move_row(d->state, sizeof(double) * (size_t)d->n_state, t - 1, t);
  d->n_step--;
  d->n_state_row--;
  d->first_obs = 0;
  d->is_origin_known = false;
}

static bool is_noop(const double *action, const double *before)
{
  double sum = 0;
  for (int k = 0; k < VK_N_ACTION - 1; k++)
    sum += action[k] * action[k];
  return sqrt(sum) < 1e-4 && (!before || action[VK_N_ACTION - 1] == before[VK_N_ACTION - 1]);
}

int vk_demo_drop_noops(vk_demo *d)
{
  vk_demo_align(d);
  int n = 0, n_before = d->n_step;
  for (int t = 0; t < n_before; t++) {
    const double *before = n > 0 ? d->action + VK_N_ACTION * (n - 1) : NULL;
    if (t < n_before - 1 && is_noop(d->action + VK_N_ACTION * t, before))
      continue;
    move_step(d, n, t);
    move_row(d->state, sizeof(double) * (size_t)d->n_state, n, t);
    move_obs(d, n++, t);
  }
  if (n == n_before)
    return 0;
  if (d->n_state_row > n_before)
    move_row(d->state, sizeof(double) * (size_t)d->n_state, n, n_before);
  if (d->n_obs > n_before)
    move_obs(d, n, n_before);
  d->n_state_row -= n_before - n;
  d->n_obs -= n_before - n;
  d->n_step = n;
  d->is_origin_known = false;
  return n_before - n;
}

void vk_demo_axis_angle(const double quat[4], double out[3])
{
  double w = fmin(fmax(quat[3], -1.0), 1.0), den = sqrt(1.0 - w * w);
  for (int k = 0; k < 3; k++)
    out[k] = den == 0 ? 0 : quat[k] * 2.0 * acos(w) / den;
}

/* ---- where it began ---- */

cJSON *vk_demo_origin_json(const vk_demo *d)
{
  cJSON *o = cJSON_CreateObject();
  cJSON_AddBoolToObject(o, "success", d->success);
  cJSON_AddNumberToObject(o, "noise", d->noise);
  if (!d->is_origin_known)
    return o;
  cJSON_AddStringToObject(o, "rows", vk_start_rows_names[d->origin.rows]);
  cJSON_AddNumberToObject(o, "row", d->origin.row);
  cJSON_AddNumberToObject(o, "seed", d->origin.seed);
  cJSON_AddStringToObject(o, "protocol", d->origin.protocol->name);
  return o;
}

vk_status vk_demo_origin_parse(vk_demo *d, const cJSON *o, const char *what, vk_err *err)
{
  static const char *const keys[] = {"success",  "noise",  "rows",   "row",       "seed",
                                     "protocol", "number", "n_step", "first_obs", NULL};
  VK_TRY(vk_json_check_keys(o, keys, what, err));
  VK_TRY(vk_json_get_bool(o, "success", &d->success, what, err));
  VK_TRY(vk_json_get_f64(o, "noise", &d->noise, what, err));
  if (!cJSON_GetObjectItemCaseSensitive(o, "row"))
    return VK_OK;
  const char *rows, *protocol;
  int64_t row, seed;
  VK_TRY(vk_json_get_str(o, "rows", &rows, what, err));
  VK_TRY(vk_json_get_str(o, "protocol", &protocol, what, err));
  VK_TRY(vk_json_get_i64(o, "row", &row, what, err));
  VK_TRY(vk_json_get_i64(o, "seed", &seed, what, err));
  VK_TRY(vk_protocol_find(&d->origin.protocol, protocol, err));
  bool is_eval = strcmp(rows, vk_start_rows_names[VK_ROWS_EVAL]) == 0;
  if (!is_eval && strcmp(rows, vk_start_rows_names[VK_ROWS_SAMPLED]) != 0)
    return vk_fail(err, VK_E_FORMAT, "%s: rows is '%.40s', expected eval or sampled", what, rows);
  if (row < 0 || row > INT32_MAX || seed < 0 || seed > UINT32_MAX)
    return vk_fail(err, VK_E_RANGE, "%s: row %lld or seed %lld is out of range", what,
                   (long long)row, (long long)seed);
  d->origin.rows = is_eval ? VK_ROWS_EVAL : VK_ROWS_SAMPLED;
  d->origin.row = (int)row;
  d->origin.seed = (uint32_t)seed;
  d->is_origin_known = true;
  return VK_OK;
}
