/* checkpoint_export.c - a checkpoint as others get it: what the policy acts with, and no more. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/half.h"
#include "core/hash.h"
#include "rl/checkpoint_internal.h"

/* ---- rounding ---- */

static float rounded(float x, vk_safetensors_dtype dtype)
{
  switch (dtype) {
  case VK_SAFETENSORS_BF16:
    return vk_f32_from_bf16(vk_bf16_from_f32(x));
  case VK_SAFETENSORS_F16:
    return vk_f32_from_f16(vk_f16_from_f32(x));
  default:
    return x;
  }
}

/* What becomes of p's numbers, all finite. Errors: VK_E_RANGE: one is too large for the dtype. */
static vk_status measure(const vk_params *p, vk_safetensors_dtype dtype,
                         vk_checkpoint_exported *out, vk_err *err)
{
  double change = 0, all = 0;
  for (int i = 0; i < p->n_param; i++) {
    const vk_param *a = &p->param[i];
    for (int64_t k = 0; k < a->n; k++) {
      double x = p->data[a->offset + k], y = rounded(p->data[a->offset + k], dtype);
      if (!isfinite(y))
        return vk_fail(err, VK_E_RANGE, "tensor %s holds %g, too large for %s; take f32", a->name,
                       x, vk_safetensors_dtype_name(dtype));
      change += (y - x) * (y - x);
      all += x * x;
      if (x != 0)
        out->max_change = fmax(out->max_change, fabs(y - x) / fabs(x));
      out->n_zeroed += x != 0 && y == 0;
    }
  }
  out->rms_change = all > 0 ? sqrt(change / all) : 0;
  return VK_OK;
}

/* ---- names instead of places ---- */

/* What a path means elsewhere: of a run's checkpoint RUN/checkpoints/STEP, else its last part. */
static void name_of_path(const char *path, char out[VK_FS_PATH_MAX])
{
  static const char inside[] = "/pretrained_model";
  snprintf(out, VK_FS_PATH_MAX, "%s", path);
  size_t n = strlen(out), n_inside = strlen(inside);
  while (n > 1 && out[n - 1] == '/')
    out[--n] = '\0';
  if (n > n_inside && strcmp(out + n - n_inside, inside) == 0)
    out[n -= n_inside] = '\0';
  char *at = strrchr(out, '/');
  static const char folder[] = "/checkpoints";
  size_t n_folder = strlen(folder);
  if (at && (size_t)(at - out) >= n_folder && strncmp(at - n_folder, folder, n_folder) == 0) {
    at -= n_folder;
    while (at > out && at[-1] != '/')
      at--;
    at = at > out ? at - 1 : NULL;
  }
  if (at && at[1])
    memmove(out, at + 1, strlen(at + 1) + 1);
}

/* Where files lay on the machine that trained is nobody's business. */
static vk_status hide_paths(cJSON *item, vk_err *err)
{
  for (cJSON *child = item->child; child; child = child->next)
    VK_TRY(hide_paths(child, err));
  const char *text = cJSON_GetStringValue(item);
  char name[VK_FS_PATH_MAX];
  if (!text || text[0] != '/')
    return VK_OK;
  name_of_path(text, name);
  return cJSON_SetValuestring(item, name) ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory");
}

/* ---- the folder ---- */

/* How it was trained, where that is told beside it; *out may stay NULL. */
static vk_status read_train_config(cJSON **out, const vk_checkpoint_info *info, vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  *out = NULL;
  VK_TRY(vk_fs_join(path, sizeof path, info->path, "train_config.json", err));
  if (!vk_fs_is_file(path))
    return VK_OK;
  VK_TRY(vk_json_read(out, path, err));
  vk_status st = hide_paths(*out, err);
  if (st == VK_OK)
    return VK_OK;
  cJSON_Delete(*out);
  *out = NULL;
  return st;
}

enum { CARD_BYTES_MAX = 1 << 20 };

/* Weights that stayed what they were keep their card, with the results that somebody wrote. */
static vk_status put_card(const char *part, const char *name, const vk_checkpoint_write *what,
                          vk_checkpoint_exported *out, vk_err *err)
{
  const vk_checkpoint_info *info = what->info;
  char path[VK_FS_PATH_MAX], own[VK_FS_PATH_MAX], hash[65], *text;
  struct stat file = {0};
  size_t n;
  VK_TRY(vk_fs_join(path, sizeof path, part, "model.safetensors", err));
  VK_TRY(vk_sha256_file(path, hash, err));
  if (stat(path, &file) != 0)
    return vk_fs_fail(err, path, "look at");
  VK_TRY(vk_fs_join(own, sizeof own, info->path, "README.md", err));
  out->is_card_kept = strcmp(hash, info->source.exported_from) == 0 && vk_fs_is_file(own);
  if (!out->is_card_kept)
    return vk_checkpoint_put_card(part,
                                  &(vk_checkpoint_card){.name = name,
                                                        .info = info,
                                                        .train_config = what->train_config,
                                                        .n_parameter = out->n_parameter,
                                                        .dtype = what->dtype,
                                                        .n_byte = file.st_size,
                                                        .hash = hash,
                                                        .is_rounded = out->max_change > 0},
                                  err);
  VK_TRY(vk_fs_join(path, sizeof path, part, "README.md", err));
  VK_TRY(vk_fs_read(&text, &n, own, CARD_BYTES_MAX, err));
  vk_status st = vk_fs_write(path, text, n, err);
  free(text);
  return st;
}

static vk_status put_files(const char *part, const char *name, const vk_checkpoint_info *info,
                           const vk_params *params, vk_safetensors_dtype dtype,
                           vk_checkpoint_exported *out, vk_err *err)
{
  cJSON *train_config = NULL;
  VK_TRY(read_train_config(&train_config, info, err));
  const vk_checkpoint_write what = {
      .info = info, .params = params, .dtype = dtype, .train_config = train_config};
  vk_status st = vk_fs_make_dirs(part, err);
  if (st == VK_OK)
    st = vk_checkpoint_put_policy(part, info->step, &what, err);
  if (st == VK_OK)
    st = put_card(part, name, &what, out, err);
  cJSON_Delete(train_config);
  return st;
}

/* How much of a path, from its beginning, is a folder that is there. */
static size_t length_there(const char *path)
{
  char dir[VK_FS_PATH_MAX];
  snprintf(dir, sizeof dir, "%s", path);
  for (char *slash; dir[0] && !vk_fs_is_dir(dir);) {
    slash = strrchr(dir, '/');
    *(slash ? slash : dir) = '\0';
  }
  return strlen(dir);
}

/* Removes the part and the folders above it that were made for it: all but the first n_there
 * characters, where they are empty. */
static void remove_part(const char *part, size_t n_there)
{
  char dir[VK_FS_PATH_MAX];
  vk_checkpoint_remove_tree(part);
  snprintf(dir, sizeof dir, "%s", part);
  for (char *slash; (slash = strrchr(dir, '/')) && (size_t)(slash - dir) > n_there;) {
    *slash = '\0';
    if (rmdir(dir) != 0 && errno != ENOENT)
      return;
  }
}

/* What is wrong with the part is told of the folder that was asked for. */
static void name_asked(vk_err *err, const char *ending)
{
  size_t n = strlen(ending);
  for (char *at = err ? strstr(err->text, ending) : NULL; at; at = strstr(at, ending))
    memmove(at, at + n, strlen(at + n) + 1);
}

/* dir, or an empty folder that is there, becomes the finished part. */
static vk_status put_in_place(const char *part, const char *dir, vk_err *err)
{
  if (rename(part, dir) == 0)
    return VK_OK;
  if (vk_fs_is_dir(dir) || vk_fs_is_file(dir))
    return vk_fail(err, VK_E_USAGE, "%s is there already, and is no empty folder: name another one",
                   dir);
  return vk_fs_fail(err, dir, "make");
}

vk_status vk_checkpoint_export(const char *dir, const char *from, vk_safetensors_dtype dtype,
                               vk_checkpoint_exported *out, vk_err *err)
{
  char part[VK_FS_PATH_MAX], absolute[VK_FS_PATH_MAX], ending[40];
  vk_checkpoint_info info;
  vk_params params;
  *out = (vk_checkpoint_exported){0};
  VK_TRY(vk_fs_absolute(absolute, dir, err));
  snprintf(ending, sizeof ending, ".%ld.part", (long)getpid());
  if (snprintf(part, sizeof part, "%s%s", absolute, ending) >= (int)sizeof part)
    return vk_fail(err, VK_E_RANGE, "%.100s...: the path is too long", dir);
  size_t n_there = length_there(part);
  VK_TRY(vk_checkpoint_open(&info, from, err));
  vk_status st = vk_checkpoint_load(&info, &params, err);
  if (st == VK_OK) {
    char init[VK_FS_PATH_MAX];
    name_of_path(info.source.init, init);
    memcpy(info.source.init, init, sizeof init);
    out->step = info.step;
    out->n_parameter = params.n_used;
    st = vk_checkpoint_weights_hash(&info, info.source.exported_from, err);
    if (st == VK_OK)
      st = measure(&params, dtype, out, err);
    if (st != VK_OK)
      vk_err_prefix(err, "%s", info.path);
    if (st == VK_OK)
      st = put_files(part, strrchr(absolute, '/') + 1, &info, &params, dtype, out, err);
    if (st == VK_OK)
      st = put_in_place(part, absolute, err);
    if (st != VK_OK) {
      remove_part(part, n_there);
      name_asked(err, ending);
    }
    vk_params_free(&params);
  }
  vk_checkpoint_close(&info);
  return st;
}
