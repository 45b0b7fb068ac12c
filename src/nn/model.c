#include "nn/model.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/opt.h"

#define VK_MODEL(name) extern const vk_model_def vk_model_##name;
#include "nn/model_list.h"
#undef VK_MODEL

const char *const vk_greedy_names[] = {"argmax", "median", NULL};

const vk_model_def *const vk_models[] = {
#define VK_MODEL(name) &vk_model_##name,
#include "nn/model_list.h"
#undef VK_MODEL
};

enum { N_FAMILY = VK_COUNT(vk_models), CONFIG_BYTES_MAX = 1 << 20, NAMES_MAX = 64 };

int vk_model_count(void)
{
  return N_FAMILY;
}

const char **vk_model_names(void)
{
  static const char format[] = "%s-%s";
  int n = 0;
  size_t n_byte = (NAMES_MAX + 1) * sizeof(char *);
  for (int f = 0; f < N_FAMILY; f++)
    for (const char *const *s = vk_models[f]->sizes; *s; s++)
      n_byte += strlen(vk_models[f]->name) + strlen(*s) + sizeof format;
  const char **names = malloc(n_byte);
  if (!names)
    return NULL;
  char *text = (char *)(names + NAMES_MAX + 1), *end = (char *)names + n_byte;
  for (int f = 0; f < N_FAMILY; f++)
    for (const char *const *s = vk_models[f]->sizes; *s && n < NAMES_MAX; s++) {
      names[n++] = text;
      text += snprintf(text, (size_t)(end - text), format, vk_models[f]->name, *s) + 1;
    }
  names[n] = NULL;
  return names;
}

/* "nano-n2" -> m->name, family and *size; false, with no family: it is no name */
static bool find_name(vk_model *m, const char **size, const char *word)
{
  for (int f = 0; f < N_FAMILY; f++)
    for (const char *const *s = vk_models[f]->sizes; *s; s++) {
      snprintf(m->name, sizeof m->name, "%s-%s", vk_models[f]->name, *s);
      if (strcmp(word, m->name) != 0)
        continue;
      m->def = vk_models[f];
      *size = *s;
      return true;
    }
  return false;
}

bool vk_model_is_name(const char *word)
{
  vk_model m;
  const char *size;
  return find_name(&m, &size, word);
}

static vk_status fail_name(const char *word, vk_err *err)
{
  const char **names = vk_model_names();
  if (!names)
    return vk_fail(err, VK_E_NOMEM, "no memory for the names of models");
  vk_status st = vk_opt_fail_name(err, "model", word, names);
  free(names);
  return st;
}

static vk_status read_config(vk_model *m, const cJSON *json, const char *what, vk_err *err)
{
  const char *family, *size;
  const cJSON *own = cJSON_GetObjectItemCaseSensitive(json, "model");
  if (cJSON_IsObject(own)) /* a checkpoint's */
    json = own;
  VK_TRY(vk_json_get_str(json, "model", &family, what, err));
  for (int f = 0; f < N_FAMILY; f++)
    if (strcmp(vk_models[f]->name, family) == 0)
      m->def = vk_models[f];
  if (!m->def)
    return vk_fail(err, VK_E_FORMAT, "%s: model \"%s\": expected \"%s\"", what, family,
                   vk_models[0]->name);
  size = m->def->sizes[0];
  if (cJSON_GetObjectItemCaseSensitive(json, "size"))
    VK_TRY(vk_json_get_str(json, "size", &size, what, err));
  if (m->def->set_size(m->config, size, err) != VK_OK)
    return vk_err_prefix(err, "%s", what);
  return m->def->read(m->config, json, what, err);
}

vk_status vk_model_parse(vk_model *m, const char *text, size_t n, const char *what, vk_err *err)
{
  *m = (vk_model){0};
  snprintf(m->name, sizeof m->name, "%.60s", what);
  cJSON *json = NULL;
  VK_TRY(vk_json_parse(&json, text, n, what, err));
  vk_status st = read_config(m, json, what, err);
  cJSON_Delete(json);
  return st;
}

/* A config beside weights. */
static vk_status find_config(const char *path, vk_err *err)
{
  if (vk_fs_is_file(path))
    return VK_OK;
  return vk_fail(err, VK_E_NOTFOUND,
                 "there is no %s; a checkpoint is a folder with config.json and model.safetensors",
                 path);
}

/* The folder with config.json that the first n characters of dir stand for. */
static bool find_inside(char out[VK_FS_PATH_MAX], const char *dir, int n)
{
  static const char *const inside[] = {"", "/pretrained_model", "/last/pretrained_model",
                                       "/checkpoints/last/pretrained_model"};
  char path[VK_FS_PATH_MAX];
  for (size_t i = 0; i < VK_COUNT(inside); i++) {
    snprintf(out, VK_FS_PATH_MAX, "%.*s%s", n, dir, inside[i]);
    snprintf(path, sizeof path, "%.4000s/config.json", out);
    if (vk_fs_is_file(path))
      return true;
  }
  return false;
}

/* A folder that was meant: the first of those below dir, or one beside it; "": there is none. */
static void find_near(char out[VK_FS_PATH_MAX], const char *dir)
{
  char path[VK_FS_PATH_MAX], in[VK_FS_PATH_MAX];
  DIR *d = opendir(dir);
  out[0] = '\0';
  for (struct dirent *e; d && (e = readdir(d));)
    if (e->d_name[0] != '.' && vk_fs_join(path, sizeof path, dir, e->d_name, NULL) == VK_OK &&
        find_inside(in, path, (int)strlen(path)) && (!out[0] || strcmp(path, out) < 0))
      memcpy(out, path, sizeof path);
  if (d)
    closedir(d);
  snprintf(path, sizeof path, "%.4000s/../pretrained_model", dir); /* of a training_state */
  if (!out[0] && find_inside(in, path, (int)strlen(path)))
    memcpy(out, path, sizeof path);
}

vk_status vk_model_find_folder(char out[VK_FS_PATH_MAX], const char *dir, vk_err *err)
{
  char near[VK_FS_PATH_MAX], path[VK_FS_PATH_MAX];
  int n = (int)strlen(dir);
  while (n > 1 && dir[n - 1] == '/')
    n--;
  if (n >= VK_FS_PATH_MAX - 64)
    return vk_fail(err, VK_E_RANGE, "the model's path is too long: %d bytes", n);
  if (find_inside(out, dir, n))
    return VK_OK;
  find_near(near, dir);
  if (near[0])
    return vk_fail(err, VK_E_NOTFOUND, "there is no %.*s/config.json; did you mean %s?", n, dir,
                   near);
  snprintf(path, sizeof path, "%.*s/config.json", n, dir);
  return find_config(path, err);
}

static vk_status open_config(vk_model *m, const char *path, vk_err *err)
{
  char *bytes = NULL;
  size_t n = 0;
  VK_TRY(vk_fs_read(&bytes, &n, path, CONFIG_BYTES_MAX, err));
  vk_status st = vk_model_parse(m, bytes, n, path, err);
  free(bytes);
  return st;
}

vk_status vk_model_open(vk_model *m, const char *word, vk_err *err)
{
  *m = (vk_model){0};
  char path[VK_FS_PATH_MAX];
  const char *size;
  size_t n = strlen(word);
  if (find_name(m, &size, word)) {
    VK_ASSERT(m->def->config_size <= sizeof m->config);
    return m->def->set_size(m->config, size, err);
  }
  if (n >= sizeof path - 32)
    return vk_fail(err, VK_E_USAGE, "the model's path is too long: %zu bytes", n);
  if (vk_fs_is_dir(word)) {
    char dir[VK_FS_PATH_MAX];
    VK_TRY(vk_model_find_folder(dir, word, err));
    VK_TRY(vk_fs_join(path, sizeof path, dir, "config.json", err));
    VK_TRY(open_config(m, path, err));
    snprintf(m->weights, sizeof m->weights, "%s", dir);
    return VK_OK;
  }
  if (n > 12 && strcmp(word + n - 12, ".safetensors") == 0) {
    const char *slash = strrchr(word, '/');
    snprintf(path, sizeof path, "%.*sconfig.json", slash ? (int)(slash - word + 1) : 0, word);
    VK_TRY(find_config(path, err));
    VK_TRY(open_config(m, path, err));
    snprintf(m->weights, sizeof m->weights, "%s", word);
    return VK_OK;
  }
  if (vk_fs_is_file(word) || strchr(word, '/') || strchr(word, '.'))
    return open_config(m, word, err);
  return fail_name(word, err);
}

vk_status vk_model_build(vk_graph *g, const vk_model *m, const vk_model_args *args, vk_err *err)
{
  if (args->n_batch < 1 || args->n_batch > 1 << 20)
    return vk_fail(err, VK_E_RANGE, "a batch of %lld: expected 1 to %d", (long long)args->n_batch,
                   1 << 20);
  VK_TRY(m->def->build(g, m->config, args, err));
  if (args->extend)
    args->extend(g, args->extend_arg);
  return vk_graph_check(g, err);
}
