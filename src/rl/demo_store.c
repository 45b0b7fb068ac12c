/* demo_store.c - the store: demonstrations of a task as one NumPy archive (.npz), numbers as they
 * are, packed with DEFLATE.
 *
 *   meta                  bytes, JSON: format "vlakit demonstrations", version, suite, task,
 * problem, language, pack_hash, mujoco, and for each demonstration number, n_step, success, noise
 * and how it began: rows, row, seed, protocol demo_N/actions        f8 (T, 7)      labels
 *   demo_N/executed       f8 (T, 7)      what was executed, where that is not the labels
 *   demo_N/states         f8 (T + 1, S)  [time, qpos, qvel] before each step and after the last
 *   demo_N/proprio        f8 (T + 1, 16) observation t is the last before step t: eef_pos 3,
 *                                        eef_quat xyzw 4, fingers 2, joints 7
 *   demo_N/picture_state  f8 (T + 1, P)  what a picture of that observation shows: sim/picture.h
 *   demo_N/rewards        u1 (T,)        1 at the step that succeeded
 * Files of LIBERO that were converted hold T rows of states and may lack picture_state and the
 * first row of proprio ("first_obs" 1 in the demonstration's JSON is then their first). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/npy.h"
#include "core/zip.h"
#include "rl/demo_internal.h"

#define FORMAT_NAME "vlakit demonstrations"
enum { FORMAT_VERSION = 1 };

static const uint64_t file_bytes_max = (uint64_t)4 << 30;

/* ---- reading ---- */

typedef struct store {
  char path[VK_FS_PATH_MAX];
  vk_npz npz;
  cJSON *meta;
  const cJSON *demos;
} store;

static void close_store(void *state)
{
  store *s = state;
  vk_npz_free(&s->npz);
  cJSON_Delete(s->meta);
  free(s);
}

static vk_status take_text(const cJSON *o, const char *key, char *out, size_t n, const char *what,
                           vk_err *err)
{
  const char *text;
  VK_TRY(vk_json_get_str(o, key, &text, what, err));
  if (strlen(text) >= n)
    return vk_fail(err, VK_E_FORMAT, "%s: %s of %zu bytes, at most %zu are expected", what, key,
                   strlen(text), n - 1);
  snprintf(out, n, "%s", text);
  return VK_OK;
}

static vk_status read_meta(store *s, vk_demo_info *info, vk_err *err)
{
  const vk_array *a = vk_npz_find(&s->npz, "meta");
  const char *format;
  int64_t version;
  if (!a || a->kind != 'S' || a->n_item != 1)
    return vk_fail(err, VK_E_FORMAT, "%s: not a store of demonstrations (it has no meta)", s->path);
  size_t n = strnlen(a->data, (size_t)a->item_size);
  VK_TRY(vk_json_parse(&s->meta, a->data, n, s->path, err));
  VK_TRY(vk_json_get_str(s->meta, "format", &format, s->path, err));
  if (strcmp(format, FORMAT_NAME) != 0)
    return vk_fail(err, VK_E_FORMAT, "%s: holds '%.60s', expected " FORMAT_NAME, s->path, format);
  VK_TRY(vk_json_get_i64(s->meta, "version", &version, s->path, err));
  if (version != FORMAT_VERSION)
    return vk_fail(err, VK_E_VERSION,
                   "%s: store version %lld, this vlakit reads version %d; collect or convert it "
                   "again",
                   s->path, (long long)version, FORMAT_VERSION);
  *info = (vk_demo_info){.layout = VK_DEMO_STORE, .is_align_stated = true};
  VK_TRY(take_text(s->meta, "suite", info->suite, sizeof info->suite, s->path, err));
  VK_TRY(take_text(s->meta, "task", info->name, sizeof info->name, s->path, err));
  VK_TRY(take_text(s->meta, "problem", info->problem, sizeof info->problem, s->path, err));
  VK_TRY(take_text(s->meta, "language", info->language, sizeof info->language, s->path, err));
  VK_TRY(take_text(s->meta, "pack_hash", info->pack_hash, sizeof info->pack_hash, s->path, err));
  VK_TRY(take_text(s->meta, "mujoco", info->mujoco, sizeof info->mujoco, s->path, err));
  s->demos = cJSON_GetObjectItemCaseSensitive(s->meta, "demos");
  if (!cJSON_IsArray(s->demos))
    return vk_fail(err, VK_E_FORMAT, "%s: meta has no list 'demos'", s->path);
  return VK_OK;
}

static vk_status list_numbers(store *s, int **number, int *n, vk_err *err)
{
  *n = cJSON_GetArraySize(s->demos);
  *number = calloc((size_t)*n + 1, sizeof **number);
  if (!*number)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %d demonstrations", s->path, *n);
  int i = 0;
  const cJSON *o;
  cJSON_ArrayForEach(o, s->demos)
  {
    int64_t value;
    VK_TRY(vk_json_get_i64(o, "number", &value, s->path, err));
    if (value < 0 || value > INT32_MAX || (i > 0 && value <= (*number)[i - 1]))
      return vk_fail(err, VK_E_FORMAT, "%s: numbers of demonstrations do not rise at %lld", s->path,
                     (long long)value);
    (*number)[i++] = (int)value;
  }
  return VK_OK;
}

/* Takes the arrays over, also when this fails. */
static vk_status new_store(store **out, vk_npz *npz, const char *what, vk_demo_info *info,
                           int **number, int *n, vk_err *err)
{
  store *s = *out = calloc(1, sizeof *s);
  if (!s) {
    vk_npz_free(npz);
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to open it", what);
  }
  snprintf(s->path, sizeof s->path, "%s", what);
  s->npz = *npz;
  VK_TRY(read_meta(s, info, err));
  return list_numbers(s, number, n, err);
}

static vk_status open_store(void **state, const char *path, vk_demo_info *info, int **number,
                            int *n, vk_err *err)
{
  vk_npz npz;
  store *s;
  VK_TRY(vk_npz_read(&npz, path, file_bytes_max, err));
  vk_status st = new_store(&s, &npz, path, info, number, n, err);
  *state = s;
  return st;
}

vk_status vk_demo_store_take(void **state, vk_npz *npz, const char *what, vk_demo_info *info,
                             int **number, int *n, vk_err *err)
{
  store *s;
  vk_status st = new_store(&s, npz, what, info, number, n, err);
  *state = s;
  return st;
}

/* Array demo_N/NAME of n_dim dimensions and type; NULL when it may be missing and is. Entries -1 of
 * shape are filled in. */
static vk_status find_array(const store *s, int number, const char *name, char kind, int n_dim,
                            int64_t *shape, bool may_lack, const void **out, vk_err *err)
{
  char full[64], text[VK_NPY_SHAPE_SIZE], want[VK_NPY_SHAPE_SIZE];
  snprintf(full, sizeof full, "demo_%d/%s", number, name);
  const vk_array *a = vk_npz_find(&s->npz, full);
  *out = NULL;
  if (!a && may_lack)
    return VK_OK;
  if (!a)
    return vk_fail(err, VK_E_FORMAT, "%s is missing", name);
  int size = kind == 'f' ? 8 : 1;
  if (a->kind != kind || a->item_size != size)
    return vk_fail(err, VK_E_FORMAT, "%s is of type %c%d, expected %c%d", name, a->kind,
                   a->item_size, kind, size);
  bool fits = a->n_dim == n_dim;
  for (int d = 0; d < n_dim && fits; d++)
    fits = shape[d] == -1 ? a->shape[d] >= 1 && a->shape[d] <= INT32_MAX / 64
                          : a->shape[d] == shape[d];
  if (!fits) {
    vk_array wanted = {.n_dim = n_dim};
    memcpy(wanted.shape, shape, sizeof *shape * (size_t)n_dim);
    return vk_fail(err, VK_E_SHAPE, "%s has the shape %s, expected %s (-1: any)", name,
                   vk_array_shape_text(a, text), vk_array_shape_text(&wanted, want));
  }
  for (int d = 0; d < n_dim; d++)
    shape[d] = a->shape[d];
  *out = a->data;
  return VK_OK;
}

static const cJSON *find_demo(const store *s, int number)
{
  const cJSON *o;
  cJSON_ArrayForEach(o, s->demos)
  {
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(o, "number");
    if (cJSON_IsNumber(n) && n->valuedouble == number)
      return o;
  }
  return NULL;
}

/* What lies in the archive of a demonstration. */
typedef struct arrays {
  const void *action, *executed, *state, *proprio, *picture_state, *reward;
} arrays;

static vk_status find_arrays(const store *s, int number, int64_t n_step, vk_demo *d, arrays *a,
                             vk_err *err)
{
  int64_t actions[2] = {n_step, VK_N_ACTION}, states[2] = {-1, -1}, obs[2] = {-1, VK_N_PROPRIO};
  int64_t executed[2] = {n_step, VK_N_ACTION};
  VK_TRY(find_array(s, number, "actions", 'f', 2, actions, false, &a->action, err));
  VK_TRY(find_array(s, number, "executed", 'f', 2, executed, true, &a->executed, err));
  VK_TRY(find_array(s, number, "rewards", 'u', 1, actions, false, &a->reward, err));
  VK_TRY(find_array(s, number, "states", 'f', 2, states, false, &a->state, err));
  VK_TRY(find_array(s, number, "proprio", 'f', 2, obs, false, &a->proprio, err));
  int64_t pictures[2] = {obs[0], -1};
  VK_TRY(find_array(s, number, "picture_state", 'f', 2, pictures, true, &a->picture_state, err));
  d->n_step = (int)n_step;
  d->n_state_row = (int)states[0];
  d->n_state = (int)states[1];
  d->n_obs = (int)obs[0];
  d->n_picture_state = a->picture_state ? (int)pictures[1] : 0;
  if (states[1] > VK_DEMO_STATE_MAX || (a->picture_state && pictures[1] > VK_DEMO_STATE_MAX))
    return vk_fail(err, VK_E_SHAPE,
                   "states of %lld and picture states of %lld, expected at most %d",
                   (long long)states[1], (long long)pictures[1], VK_DEMO_STATE_MAX);
  if (states[0] != n_step && states[0] != n_step + 1)
    return vk_fail(err, VK_E_SHAPE, "states has %lld rows, expected %lld, one more than actions",
                   (long long)states[0], (long long)n_step + 1);
  if (obs[0] != n_step && obs[0] != n_step + 1)
    return vk_fail(err, VK_E_SHAPE, "proprio has %lld rows, expected %lld, one more than actions",
                   (long long)obs[0], (long long)n_step + 1);
  return VK_OK;
}

static vk_status read_store(void *state, const vk_demo_info *info, int number, bool has_pictures,
                            vk_demo *d, vk_err *err)
{
  const store *s = state;
  const cJSON *o = find_demo(s, number);
  int64_t n_step, first_obs = 0;
  arrays a;
  if (has_pictures)
    return vk_fail(err, VK_E_UNSUPPORTED, "a store holds no pictures, they are rendered from it");
  VK_TRY(vk_json_get_i64(o, "n_step", &n_step, "meta", err));
  if (n_step < 1 || n_step > VK_DEMO_STEPS_MAX)
    return vk_fail(err, VK_E_RANGE, "n_step is %lld, expected 1 to %d", (long long)n_step,
                   VK_DEMO_STEPS_MAX);
  if (cJSON_GetObjectItemCaseSensitive(o, "first_obs"))
    VK_TRY(vk_json_get_i64(o, "first_obs", &first_obs, "meta", err));
  VK_TRY(find_arrays(s, number, n_step, d, &a, err));
  if (first_obs < 0 || first_obs + d->n_obs > n_step + 1)
    return vk_fail(err, VK_E_SHAPE, "observations %lld to %lld, expected 0 to %lld",
                   (long long)first_obs, (long long)first_obs + d->n_obs - 1, (long long)n_step);
  d->first_obs = (int)first_obs;
  VK_TRY(vk_demo_alloc(d, err));
  size_t n_action = sizeof(double) * VK_N_ACTION * (size_t)n_step, n_obs = (size_t)d->n_obs;
  memcpy(d->action, a.action, n_action);
  memcpy(d->executed, a.executed ? a.executed : a.action, n_action);
  memcpy(d->reward, a.reward, (size_t)n_step);
  d->done[n_step - 1] = 1;
  memcpy(d->state, a.state, sizeof(double) * (size_t)d->n_state_row * (size_t)d->n_state);
  memcpy(d->proprio, a.proprio, sizeof(double) * VK_N_PROPRIO * n_obs);
  if (a.picture_state)
    memcpy(d->picture_state, a.picture_state, sizeof(double) * (size_t)d->n_picture_state * n_obs);
  return vk_demo_origin_parse(d, o, "meta", err);
}

/* The filters that an HDF5 file of the same demonstrations has. */
static vk_status mask_store(void *state, const char *filter, const int *number, int n, bool *is_in,
                            vk_err *err)
{
  const store *s = state;
  bool wants_success = strcmp(filter, "success") == 0;
  if (!wants_success && strcmp(filter, "failure") != 0)
    return vk_fail(err, VK_E_NOTFOUND,
                   "%s: there is no filter '%.60s'; a store has success and failure", s->path,
                   filter);
  for (int i = 0; i < n; i++) {
    bool success;
    VK_TRY(vk_json_get_bool(find_demo(s, number[i]), "success", &success, s->path, err));
    is_in[i] = success == wants_success;
  }
  return VK_OK;
}

const vk_demo_reader_def vk_demo_store_reader = {
    .open = open_store, .close = close_store, .read = read_store, .mask = mask_store};

/* ---- writing ---- */

typedef struct store_writer {
  vk_zip_writer *zip;
  cJSON *meta, *demos;
} store_writer;

static void abort_store(void *state)
{
  store_writer *w = state;
  vk_zip_abort(w->zip);
  cJSON_Delete(w->meta);
  free(w);
}

static vk_status create_store(void **state, const char *path, const vk_demo_info *info, vk_err *err)
{
  store_writer *w = calloc(1, sizeof *w);
  if (!w)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to write it", path);
  w->meta = cJSON_CreateObject();
  cJSON_AddStringToObject(w->meta, "format", FORMAT_NAME);
  cJSON_AddNumberToObject(w->meta, "version", FORMAT_VERSION);
  cJSON_AddStringToObject(w->meta, "suite", info->suite);
  cJSON_AddStringToObject(w->meta, "task", info->name);
  cJSON_AddStringToObject(w->meta, "problem", info->problem);
  cJSON_AddStringToObject(w->meta, "language", info->language);
  cJSON_AddStringToObject(w->meta, "pack_hash", info->pack_hash);
  cJSON_AddStringToObject(w->meta, "mujoco", info->mujoco);
  w->demos = cJSON_AddArrayToObject(w->meta, "demos");
  vk_status st = w->demos ? vk_zip_create(&w->zip, path, err)
                          : vk_fail(err, VK_E_NOMEM, "%s: no memory to write it", path);
  if (st != VK_OK) {
    abort_store(w);
    return st;
  }
  *state = w;
  return VK_OK;
}

static vk_status put_rows(store_writer *w, int number, const char *name, char kind,
                          const void *data, int64_t n_row, int64_t n_column, vk_err *err)
{
  vk_array a = {.kind = kind,
                .item_size = kind == 'f' ? 8 : 1,
                .n_dim = n_column > 0 ? 2 : 1,
                .shape = {n_row, n_column},
                .n_item = n_column > 0 ? n_row * n_column : n_row,
                .data = (void *)data};
  snprintf(a.name, sizeof a.name, "demo_%d/%s", number, name);
  return vk_npz_add(w->zip, &a, err);
}

static vk_status add_store(void *state, const vk_demo_info *info, const vk_demo *d, vk_err *err)
{
  store_writer *w = state;
  int n = d->number;
  VK_TRY(put_rows(w, n, "actions", 'f', d->action, d->n_step, VK_N_ACTION, err));
  if (memcmp(d->action, d->executed, sizeof(double) * VK_N_ACTION * (size_t)d->n_step) != 0)
    VK_TRY(put_rows(w, n, "executed", 'f', d->executed, d->n_step, VK_N_ACTION, err));
  VK_TRY(put_rows(w, n, "states", 'f', d->state, d->n_state_row, d->n_state, err));
  VK_TRY(put_rows(w, n, "proprio", 'f', d->proprio, d->n_obs, VK_N_PROPRIO, err));
  if (d->picture_state)
    VK_TRY(
        put_rows(w, n, "picture_state", 'f', d->picture_state, d->n_obs, d->n_picture_state, err));
  VK_TRY(put_rows(w, n, "rewards", 'u', d->reward, d->n_step, 0, err));
  cJSON *o = vk_demo_origin_json(d);
  cJSON_AddNumberToObject(o, "number", n);
  cJSON_AddNumberToObject(o, "n_step", d->n_step);
  if (d->first_obs)
    cJSON_AddNumberToObject(o, "first_obs", d->first_obs);
  if (!o || !cJSON_AddItemToArray(w->demos, o)) {
    cJSON_Delete(o);
    return vk_fail(err, VK_E_NOMEM, "no memory for demo_%d", n);
  }
  return VK_OK;
}

static vk_status commit_store(void *state, vk_err *err)
{
  store_writer *w = state;
  char *text = NULL;
  vk_status st = vk_json_text(&text, w->meta, err);
  if (st == VK_OK) {
    const vk_array meta = {.name = "meta",
                           .kind = 'S',
                           .item_size = (int)strlen(text),
                           .n_dim = 0,
                           .n_item = 1,
                           .data = text};
    st = vk_npz_add(w->zip, &meta, err);
  }
  if (st == VK_OK) {
    st = vk_zip_commit(w->zip, err);
    w->zip = NULL;
  }
  cJSON_free(text);
  abort_store(w);
  return st;
}

const vk_demo_writer_def vk_demo_store_writer = {
    .create = create_store, .add = add_store, .commit = commit_store, .abort = abort_store};
