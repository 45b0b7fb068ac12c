#include "rl/demo_folder.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"

enum { DEPTH = 3 }; /* collect's folders have a folder a suite */

static bool ends_with(const char *text, const char *end)
{
  size_t n = strlen(text), n_end = strlen(end);
  return n > n_end && strcmp(text + n - n_end, end) == 0;
}

static bool is_demo_name(const char *name)
{
  return name[0] != '.' &&
         (ends_with(name, ".npz") || ends_with(name, ".hdf5") || ends_with(name, ".h5"));
}

static int pick_entry(const struct dirent *e)
{
  return e->d_name[0] != '.';
}

/* Tries of a vlakit collect that has not ended. */
static bool is_unfinished(const char *name)
{
  return strstr(name, ".part-") != NULL;
}

/* The files of demonstrations in a folder and the folders in it, by name. */
static vk_status each_file(const char *dir, int depth, vk_demo_path_fn *put, void *arg, vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  struct dirent **entry = NULL;
  int n = scandir(dir, &entry, pick_entry, alphasort);
  vk_status st = n < 0 ? vk_fs_fail(err, dir, "read") : VK_OK;
  for (int i = 0; i < n; i++) {
    if (st == VK_OK)
      st = vk_fs_join(path, sizeof path, dir, entry[i]->d_name, err);
    if (st == VK_OK && is_demo_name(entry[i]->d_name) && vk_fs_is_file(path))
      st = put(arg, path, err);
    else if (st == VK_OK && depth > 0 && vk_fs_is_dir(path) && !is_unfinished(entry[i]->d_name))
      st = each_file(path, depth - 1, put, arg, err);
    free(entry[i]);
  }
  free(entry);
  return st;
}

vk_status vk_demo_folder_each(const char *dir, vk_demo_path_fn *put, void *arg, vk_err *err)
{
  return each_file(dir, DEPTH, put, arg, err);
}
