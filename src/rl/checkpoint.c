#include "rl/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "nn/model_nano.h"
#include "rl/checkpoint_internal.h"
#include "rl/policy_bundled.h"

enum { CONFIG_BYTES_MAX = 8 << 20 };

/* ---- config.json ---- */

static vk_status read_image(vk_view_config *view, const cJSON *json, const char *what, vk_err *err)
{
  static const char *const keys[] = {"px", "turn", "n_sample", "level_error_px", NULL};
  const char *turn;
  int64_t px, n_sample;
  double level_error_px;
  const cJSON *o = cJSON_GetObjectItemCaseSensitive(json, "image");
  *view = vk_view_defaults;
  if (!o)
    return vk_fail(err, VK_E_FORMAT, "%s: image (how pictures are made) is missing", what);
  char where[400];
  snprintf(where, sizeof where, "%.300s, image", what);
  VK_TRY(vk_json_check_keys(o, keys, where, err));
  VK_TRY(vk_json_get_i64(o, "px", &px, where, err));
  VK_TRY(vk_json_get_str(o, "turn", &turn, where, err));
  VK_TRY(vk_json_get_i64(o, "n_sample", &n_sample, where, err));
  VK_TRY(vk_json_get_f64(o, "level_error_px", &level_error_px, where, err));
  if (px != VK_VIEW_PX)
    return vk_fail(err, VK_E_UNSUPPORTED, "%s: px %lld: this program's policies see pictures of %d",
                   where, (long long)px, VK_VIEW_PX);
  if (n_sample != 1 && n_sample != 4)
    return vk_fail(err, VK_E_RANGE, "%s: n_sample %lld: expected 1 or 4", where,
                   (long long)n_sample);
  if (!(level_error_px >= 0 && level_error_px <= 100))
    return vk_fail(err, VK_E_RANGE, "%s: level_error_px %g: expected 0 to 100", where,
                   level_error_px);
  view->n_sample = (int)n_sample;
  view->level_error_px = (float)level_error_px;
  for (int t = VK_TURN_UPRIGHT; t <= VK_TURN_ROTATE_180; t++)
    if (strcmp(turn, vk_picture_turn_name(t)) == 0) {
      view->turn = t;
      return VK_OK;
    }
  return vk_fail(err, VK_E_FORMAT, "%s: turn \"%.40s\": expected \"%s\", \"%s\" or \"%s\"", where,
                 turn, vk_picture_turn_name(VK_TURN_UPRIGHT), vk_picture_turn_name(VK_TURN_GL),
                 vk_picture_turn_name(VK_TURN_ROTATE_180));
}

#define SOURCE_KEYS(X)                                                                             \
  X(data_hash)                                                                                     \
  X(pack_hash)                                                                                     \
  X(visuals_hash)                                                                                  \
  X(statistics_hash)                                                                               \
  X(visuals)                                                                                       \
  X(protocol)                                                                                      \
  X(rows)                                                                                          \
  X(version)                                                                                       \
  X(commit)                                                                                        \
  X(precision)                                                                                     \
  X(run)                                                                                           \
  X(exported_from)

static vk_status read_source(vk_checkpoint_source *source, const cJSON *json, const char *what,
                             vk_err *err)
{
  const cJSON *o = cJSON_GetObjectItemCaseSensitive(json, "provenance");
  const char *text;
  char where[400];
  memset(source, 0, sizeof *source);
  if (!o) /* somebody else's: nothing depends on it */
    return VK_OK;
  snprintf(where, sizeof where, "%.300s, provenance", what);
#define X(key)                                                                                     \
  if (cJSON_GetObjectItemCaseSensitive(o, #key)) {                                                 \
    VK_TRY(vk_json_get_str(o, #key, &text, where, err));                                           \
    snprintf(source->key, sizeof source->key, "%s", text);                                         \
  }
  SOURCE_KEYS(X)
  const cJSON *init = cJSON_GetObjectItemCaseSensitive(o, "init");
  if (!init)
    return VK_OK;
  o = init;
  snprintf(where, sizeof where, "%.300s, provenance, init", what);
  VK_TRY(vk_json_get_str(o, "path", &text, where, err));
  snprintf(source->init, sizeof source->init, "%s", text);
  VK_TRY(vk_json_get_str(o, "hash", &text, where, err));
  snprintf(source->init_hash, sizeof source->init_hash, "%s", text);
#undef X
  return vk_json_get_i64(o, "step", &source->init_step, where, err);
}

/* Whether it is of a policy of ours at all: what else a config.json may be is said by its name. */
static vk_status check_kind(const cJSON *json, const char *what, vk_err *err)
{
  static const char *const key[] = {"type", "model_type"};
  if (!cJSON_IsObject(json))
    return vk_fail(err, VK_E_FORMAT, "%s: expected an object", what);
  for (size_t i = 0; i < VK_COUNT(key); i++) {
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(json, key[i]);
    if (cJSON_IsString(type) && strcmp(type->valuestring, "nano") != 0)
      return vk_fail(err, VK_E_UNSUPPORTED,
                     "%s: a policy of %s \"%.40s\": this program runs those of type \"nano\"", what,
                     key[i], type->valuestring);
  }
  if (!cJSON_GetObjectItemCaseSensitive(json, "norm_stats"))
    return vk_fail(err, VK_E_FORMAT,
                   "%s: norm_stats is missing, without which bins are no actions: it is a model's "
                   "config, not a trained policy's",
                   what);
  return VK_OK;
}

static vk_status read_numbers(vk_checkpoint_info *info, const cJSON *json, const char *what,
                              vk_err *err)
{
  int64_t chunk = VK_NANO_STEPS;
  info->n_action_step = VK_NANO_STEPS;
  if (cJSON_GetObjectItemCaseSensitive(json, "step"))
    VK_TRY(vk_json_get_i64(json, "step", &info->step, what, err));
  if (cJSON_GetObjectItemCaseSensitive(json, "chunk_size"))
    VK_TRY(vk_json_get_i64(json, "chunk_size", &chunk, what, err));
  if (cJSON_GetObjectItemCaseSensitive(json, "n_action_steps"))
    VK_TRY(vk_json_get_i64(json, "n_action_steps", &info->n_action_step, what, err));
  if (chunk != VK_NANO_STEPS)
    return vk_fail(err, VK_E_RANGE, "%s: chunk_size %lld: expected %d", what, (long long)chunk,
                   VK_NANO_STEPS);
  if (info->n_action_step < 1 || info->n_action_step > chunk)
    return vk_fail(err, VK_E_RANGE, "%s: n_action_steps %lld: expected 1 to %lld", what,
                   (long long)info->n_action_step, (long long)chunk);
  if (info->step < 0)
    return vk_fail(err, VK_E_RANGE, "%s: step %lld: expected at least 0", what,
                   (long long)info->step);
  return VK_OK;
}

static vk_status read_greedy(vk_checkpoint_info *info, const cJSON *json, const char *what,
                             vk_err *err)
{
  const char *name = vk_greedy_names[VK_GREEDY_MEDIAN];
  if (cJSON_GetObjectItemCaseSensitive(json, "greedy"))
    VK_TRY(vk_json_get_str(json, "greedy", &name, what, err));
  for (int i = 0; vk_greedy_names[i]; i++) {
    info->greedy = (vk_greedy)i;
    if (strcmp(name, vk_greedy_names[i]) == 0)
      return VK_OK;
  }
  return vk_fail(err, VK_E_RANGE, "%s: greedy \"%.40s\": expected \"median\" or \"argmax\"", what,
                 name);
}

vk_status vk_checkpoint_parse(vk_checkpoint_info *info, const char *text, size_t n,
                              const char *what, vk_err *err)
{
  cJSON *json = NULL;
  char where[400];
  *info = (vk_checkpoint_info){0};
  VK_TRY(vk_json_parse(&json, text, n, what, err));
  snprintf(where, sizeof where, "%.300s, norm_stats", what);
  vk_status st = check_kind(json, what, err);
  if (st == VK_OK)
    st = vk_model_parse(&info->model, text, n, what, err);
  if (st == VK_OK)
    st = vk_norm_stats_from_json(&info->stats, &info->n_stats,
                                 cJSON_GetObjectItemCaseSensitive(json, "norm_stats"), where, err);
  if (st == VK_OK)
    st = read_image(&info->view, json, what, err);
  if (st == VK_OK)
    st = read_source(&info->source, json, what, err);
  if (st == VK_OK)
    st = read_numbers(info, json, what, err);
  if (st == VK_OK)
    st = read_greedy(info, json, what, err);
  cJSON_Delete(json);
  if (st != VK_OK)
    vk_checkpoint_close(info);
  return st;
}

static void add_feature(cJSON *features, const char *key, const char *type, const int *shape, int n)
{
  cJSON *o = cJSON_AddObjectToObject(features, key);
  cJSON_AddStringToObject(o, "type", type);
  cJSON_AddItemToObject(o, "shape", cJSON_CreateIntArray(shape, n));
}

/* LeRobot's keys. A policy sees the first n_view cameras, and no state where no demonstrations that
 * it learned from had one. */
static void add_features(cJSON *o, const vk_checkpoint_info *info)
{
  static const char *const camera[VK_VIEW_N] = {"observation.images.agentview",
                                                "observation.images.robot0_eye_in_hand"};
  const int image[] = {3, VK_VIEW_PX, VK_VIEW_PX}, state[] = {VK_VIEW_PROPRIO};
  const int action[] = {VK_N_ACTION};
  bool has_state = false;
  for (int i = 0; i < info->n_stats; i++)
    has_state = has_state || info->stats[i].proprio.n_dim > 0;
  cJSON_AddStringToObject(o, "type", info->model.def->name);
  cJSON_AddNumberToObject(o, "n_obs_steps", 1);
  cJSON *in = cJSON_AddObjectToObject(o, "input_features");
  for (int v = 0; v < ((const vk_nano_config *)info->model.config)->n_view; v++)
    add_feature(in, camera[v], "VISUAL", image, 3);
  if (has_state)
    add_feature(in, "observation.state", "STATE", state, 1);
  add_feature(cJSON_AddObjectToObject(o, "output_features"), "action", "ACTION", action, 1);
  cJSON *norm = cJSON_AddObjectToObject(o, "normalization_mapping");
  cJSON_AddStringToObject(norm, "VISUAL", "IDENTITY");
  if (has_state)
    cJSON_AddStringToObject(norm, "STATE", "QUANTILES");
  cJSON_AddStringToObject(norm, "ACTION", "QUANTILES");
  cJSON_AddNumberToObject(o, "chunk_size", VK_NANO_STEPS);
  cJSON_AddNumberToObject(o, "n_action_steps", (double)info->n_action_step);
}

vk_status vk_checkpoint_config(cJSON **out, const vk_checkpoint_info *info, int64_t step,
                               vk_err *err)
{
  cJSON *o = *out = cJSON_CreateObject();
  add_features(o, info);
  cJSON_AddItemToObject(o, "model", info->model.def->write(info->model.config));
  cJSON *stats = cJSON_AddObjectToObject(o, "norm_stats");
  vk_status st = VK_OK;
  for (int i = 0; i < info->n_stats && st == VK_OK; i++)
    st = vk_norm_stats_to_json(&info->stats[i], stats, err);
  cJSON *image = cJSON_AddObjectToObject(o, "image");
  cJSON_AddNumberToObject(image, "px", VK_VIEW_PX);
  cJSON_AddStringToObject(image, "turn", vk_picture_turn_name(info->view.turn));
  cJSON_AddNumberToObject(image, "n_sample", info->view.n_sample);
  cJSON_AddNumberToObject(image, "level_error_px", (double)info->view.level_error_px);
  cJSON_AddStringToObject(o, "greedy", vk_greedy_names[info->greedy]);
  cJSON *source = cJSON_AddObjectToObject(o, "provenance");
#define X(key) cJSON_AddStringToObject(source, #key, info->source.key);
  SOURCE_KEYS(X)
#undef X
  if (info->source.init[0]) {
    cJSON *init = cJSON_AddObjectToObject(source, "init");
    cJSON_AddStringToObject(init, "path", info->source.init);
    cJSON_AddStringToObject(init, "hash", info->source.init_hash);
    cJSON_AddNumberToObject(init, "step", (double)info->source.init_step);
  }
  if (st == VK_OK && !cJSON_AddNumberToObject(o, "step", (double)step))
    st = vk_fail(err, VK_E_NOMEM, "no memory for a checkpoint's config.json");
  if (st != VK_OK) {
    cJSON_Delete(o);
    *out = NULL;
  }
  return st;
}

/* ---- opening ---- */

static vk_status open_config(vk_checkpoint_info *info, const char *dir, vk_err *err)
{
  char path[VK_FS_PATH_MAX], *text = NULL;
  size_t n = 0;
  VK_TRY(vk_fs_join(path, sizeof path, dir, "config.json", err));
  VK_TRY(vk_fs_read(&text, &n, path, CONFIG_BYTES_MAX, err));
  vk_status st = vk_checkpoint_parse(info, text, n, path, err);
  free(text);
  if (st == VK_OK)
    snprintf(info->path, sizeof info->path, "%s", dir);
  return st;
}

vk_status vk_checkpoint_open(vk_checkpoint_info *info, const char *word, vk_err *err)
{
  static const char ending[] = ".safetensors";
  char dir[VK_FS_PATH_MAX], bundled[VK_FS_PATH_MAX];
  *info = (vk_checkpoint_info){0};
  if (vk_bundled_is_name(word)) {
    VK_TRY(vk_bundled_find(bundled, word, err));
    word = bundled;
  }
  size_t n = strlen(word), n_end = strlen(ending);
  if (n >= sizeof dir - 64)
    return vk_fail(err, VK_E_USAGE, "the checkpoint's path is too long: %zu bytes", n);
  if (vk_fs_is_file(word) && n > n_end && strcmp(word + n - n_end, ending) == 0) {
    const char *slash = strrchr(word, '/');
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - word + 1) : 1, slash ? word : ".");
    vk_status st = open_config(info, dir, err);
    if (st == VK_E_NOTFOUND)
      return vk_fail(err, st,
                     "%s: there is no config.json beside it, without which weights are no policy",
                     word);
    VK_TRY(st);
    snprintf(info->model.weights, sizeof info->model.weights, "%s", word);
    return VK_OK;
  }
  if (vk_fs_is_file(word) && n > 12 && strcmp(word + n - 12, "/config.json") == 0)
    return vk_fail(err, VK_E_NOTFOUND, "%s is a file of a checkpoint; give its folder, %.*s", word,
                   (int)(n - 12), word);
  char near[64];
  if (!vk_fs_is_dir(word) && !strchr(word, '/') && vk_bundled_nearest(near, word))
    return vk_fail(err, VK_E_NOTFOUND, "%s: there is no such checkpoint; did you mean %s?", word,
                   near);
  if (!vk_fs_is_dir(word))
    return vk_fail(err, VK_E_NOTFOUND,
                   "%s: there is no such checkpoint: expected a folder with config.json and "
                   "model.safetensors, or a .safetensors file beside a config.json",
                   word);
  VK_TRY(vk_model_find_folder(dir, word, err));
  VK_TRY(open_config(info, dir, err));
  snprintf(info->model.weights, sizeof info->model.weights, "%s", dir);
  return VK_OK;
}

vk_status vk_checkpoint_weights_hash(const vk_checkpoint_info *info, char hex[65], vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  snprintf(path, sizeof path, "%s", info->model.weights);
  if (vk_fs_is_dir(info->model.weights))
    VK_TRY(vk_fs_join(path, sizeof path, info->model.weights, "model.safetensors", err));
  return vk_sha256_file(path, hex, err);
}

vk_status vk_checkpoint_begin_from(vk_checkpoint_info *info, vk_err *err)
{
  vk_checkpoint_source *s = &info->source;
  snprintf(s->init, sizeof s->init, "%s", info->path);
  s->init_step = info->step;
  return vk_checkpoint_weights_hash(info, s->init_hash, err);
}

void vk_checkpoint_close(vk_checkpoint_info *info)
{
  free(info->stats);
  *info = (vk_checkpoint_info){0};
}

/* A policy of weights that are no numbers would act, somehow. */
static vk_status check_finite(const vk_checkpoint_info *info, const vk_params *p, vk_err *err)
{
  for (int i = 0; i < p->n_param; i++)
    for (int64_t k = p->param[i].offset; k < p->param[i].offset + p->param[i].n; k++)
      if (!isfinite(p->data[k]))
        return vk_fail(err, VK_E_RANGE,
                       "%s: tensor %s holds %g: its training has failed, take a checkpoint before",
                       info->model.weights, p->param[i].name, (double)p->data[k]);
  return VK_OK;
}

vk_status vk_checkpoint_load(const vk_checkpoint_info *info, vk_params *params, vk_err *err)
{
  VK_TRY(vk_net_params_zero(params, &info->model, err));
  vk_status st = vk_params_load(params, info->model.weights, err);
  if (st == VK_E_MISMATCH)
    vk_err_prefix(err, "the weights are not of the model that config.json describes");
  if (st == VK_OK)
    st = check_finite(info, params, err);
  if (st != VK_OK)
    vk_params_free(params);
  return st;
}

const char *vk_checkpoint_differences(const vk_checkpoint_source *source, const vk_visuals *visuals,
                                      const vk_pack *pack, char text[VK_CHECKPOINT_TEXT])
{
  int n = 0;
  text[0] = '\0';
  if (source->visuals_hash[0] && strcmp(source->visuals_hash, visuals->hash) != 0)
    n = snprintf(text, VK_CHECKPOINT_TEXT, "%s visuals (%.12s), not on these %s ones (%.12s)",
                 source->visuals, source->visuals_hash, visuals->name, visuals->hash);
  if (source->pack_hash[0] && strcmp(source->pack_hash, pack->hash) != 0)
    snprintf(text + n, VK_CHECKPOINT_TEXT - (size_t)n, "%spack %.12s, not on this one (%.12s)",
             n ? " and " : "", source->pack_hash, pack->hash);
  return text;
}

/* ---- going on with training ---- */

/* step: that of config.json. */
static vk_status read_trainer(const char *path, int64_t step, cJSON **trainer, vk_err *err)
{
  cJSON *json = NULL;
  int64_t own;
  VK_TRY(vk_json_read(&json, path, err));
  vk_status st = vk_json_get_i64(json, "step", &own, path, err);
  if (st == VK_OK && own != step)
    st = vk_fail(err, VK_E_MISMATCH,
                 "%s is of step %lld, config.json beside it of step %lld: the checkpoint is put "
                 "together from several; take another",
                 path, (long long)own, (long long)step);
  *trainer = cJSON_DetachItemFromObjectCaseSensitive(json, "trainer");
  cJSON_Delete(json);
  VK_TRY(st);
  if (*trainer)
    return VK_OK;
  return vk_fail(err, VK_E_FORMAT, "%s: trainer is missing", path);
}

vk_status vk_checkpoint_resume(const vk_checkpoint_info *info, vk_params *params, vk_optim *optim,
                               cJSON **trainer, cJSON **scheduler, vk_err *err)
{
  char dir[VK_FS_PATH_MAX], path[VK_FS_PATH_MAX];
  *trainer = *scheduler = NULL;
  VK_TRY(vk_fs_join(dir, sizeof dir, info->path, "../training_state", err));
  if (!vk_fs_is_dir(dir))
    return vk_fail(err, VK_E_NOTFOUND,
                   "%s: there is no training_state beside it: training cannot go on from it",
                   info->path);
  VK_TRY(vk_fs_join(path, sizeof path, dir, "weights.safetensors", err));
  VK_TRY(vk_params_load(params, path, err));
  VK_TRY(vk_fs_join(path, sizeof path, dir, "optimizer_state.safetensors", err));
  VK_TRY(vk_optim_load(optim, path, err));
  VK_TRY(vk_fs_join(path, sizeof path, dir, "scheduler_state.json", err));
  VK_TRY(vk_json_read(scheduler, path, err));
  VK_TRY(vk_fs_join(path, sizeof path, dir, "training_step.json", err));
  return read_trainer(path, info->step, trainer, err);
}
