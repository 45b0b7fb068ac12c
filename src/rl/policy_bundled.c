#include "rl/policy_bundled.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/opt.h"

static const char list_name[] = "policies/list.json", first_name[] = "bundled";

enum { LIST_BYTES_MAX = 1 << 20 };

/* The folder of that policy, below dir or, when that is NULL, wherever data are; "": there is none.
 */
static void find_folder(char path[VK_FS_PATH_MAX], const char *dir, const char *name)
{
  char file[VK_FS_PATH_MAX];
  snprintf(file, sizeof file, "%s%s/config.json", dir ? "" : "policies/", name);
  bool is_there =
      dir ? vk_fs_join(path, VK_FS_PATH_MAX, dir, file, NULL) == VK_OK && vk_fs_is_file(path)
          : vk_fs_find_data(path, file, NULL) == VK_OK;
  *(is_there ? strrchr(path, '/') : path) = '\0';
}

static vk_status read_row(vk_bundled *b, const cJSON *row, const char *what, vk_err *err)
{
  static const char *const keys[] = {"name", "about", NULL};
  const char *name, *about;
  *b = (vk_bundled){0};
  VK_TRY(vk_json_check_keys(row, keys, what, err));
  VK_TRY(vk_json_get_str(row, "name", &name, what, err));
  VK_TRY(vk_json_get_str(row, "about", &about, what, err));
  if (!name[0] || strlen(name) >= sizeof b->name ||
      name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_")])
    return vk_fail(err, VK_E_FORMAT,
                   "%s: name \"%.80s\": expected small letters, digits and - in at most %zu bytes",
                   what, name, sizeof b->name - 1);
  snprintf(b->name, sizeof b->name, "%s", name);
  snprintf(b->about, sizeof b->about, "%s", about);
  return VK_OK;
}

vk_status vk_bundled_parse(vk_bundled *out, int *n, const char *text, size_t n_byte,
                           const char *what, const char *dir, vk_err *err)
{
  static const char *const keys[] = {"policies", NULL};
  cJSON *json = NULL;
  *n = 0;
  VK_TRY(vk_json_parse(&json, text, n_byte, what, err));
  vk_status st = vk_json_check_keys(json, keys, what, err);
  const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "policies"), *row;
  if (st == VK_OK && (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > VK_BUNDLED_MAX))
    st = vk_fail(err, VK_E_FORMAT, "%s: policies: expected a list of at most %d", what,
                 VK_BUNDLED_MAX);
  if (st == VK_OK)
    cJSON_ArrayForEach(row, list)
    {
      char where[400];
      snprintf(where, sizeof where, "%.300s, policies[%d]", what, *n);
      if ((st = read_row(&out[*n], row, where, err)) != VK_OK)
        break;
      find_folder(out[*n].path, dir, out[*n].name);
      (*n)++;
    }
  cJSON_Delete(json);
  return st;
}

vk_status vk_bundled_list(vk_bundled *out, int *n, vk_err *err)
{
  char path[VK_FS_PATH_MAX], *text = NULL;
  size_t n_byte = 0;
  *n = 0;
  if (vk_fs_find_data(path, list_name, NULL) != VK_OK)
    return VK_OK;
  VK_TRY(vk_fs_read(&text, &n_byte, path, LIST_BYTES_MAX, err));
  vk_status st = vk_bundled_parse(out, n, text, n_byte, path, NULL, err);
  free(text);
  return st;
}

bool vk_bundled_is_name(const char *word)
{
  vk_bundled all[VK_BUNDLED_MAX];
  int n;
  if (strcmp(word, first_name) == 0)
    return true;
  if (strchr(word, '/') || vk_bundled_list(all, &n, NULL) != VK_OK)
    return false;
  for (int i = 0; i < n; i++)
    if (strcmp(word, all[i].name) == 0)
      return true;
  return false;
}

bool vk_bundled_nearest(char name[64], const char *word)
{
  vk_bundled all[VK_BUNDLED_MAX];
  const char *names[VK_BUNDLED_MAX + 2] = {first_name};
  int n = 0;
  if (vk_bundled_list(all, &n, NULL) != VK_OK)
    n = 0;
  for (int i = 0; i < n; i++)
    names[i + 1] = all[i].name;
  const char *near = vk_opt_nearest(word, names);
  snprintf(name, 64, "%s", near ? near : "");
  return near != NULL;
}

vk_status vk_bundled_choose(char path[VK_FS_PATH_MAX], const char *word, const vk_bundled *all,
                            int n, vk_err *err)
{
  int i = 0;
  if (n == 0)
    return vk_fail(err, VK_E_NOTFOUND,
                   "%s: no trained policy comes with this version of the program; make one (vlakit "
                   "train --config sft-n2 --data demos --out trained) and give its folder",
                   word);
  while (i < n && strcmp(word, first_name) != 0 && strcmp(word, all[i].name) != 0)
    i++;
  if (i == n)
    return vk_fail(err, VK_E_NOTFOUND, "%s: there is no policy of that name", word);
  if (!all[i].path[0])
    return vk_fail(err, VK_E_NOTFOUND,
                   "%s: the policy %s that comes with the program is not installed (no "
                   "policies/%s/config.json among its data): install the program again",
                   word, all[i].name, all[i].name);
  snprintf(path, VK_FS_PATH_MAX, "%s", all[i].path);
  return VK_OK;
}

vk_status vk_bundled_find(char path[VK_FS_PATH_MAX], const char *word, vk_err *err)
{
  vk_bundled all[VK_BUNDLED_MAX];
  int n;
  char list[VK_FS_PATH_MAX];
  VK_TRY(vk_fs_find_data(list, list_name, err));
  VK_TRY(vk_bundled_list(all, &n, err));
  return vk_bundled_choose(path, word, all, n, err);
}
