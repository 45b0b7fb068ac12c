#include "cmd/replay_demo.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/zip.h"
#include "sim/model_cache.h"

/* HDF5, or a NumPy archive with what only stores have. */
static bool holds_demos(const char *path)
{
  char head[4] = "";
  vk_fs_map map;
  if (vk_fs_map_open(&map, path, NULL) != VK_OK)
    return false;
  memcpy(head, map.bytes, map.n < sizeof head ? map.n : sizeof head);
  vk_fs_map_close(&map);
  if (memcmp(head, "\x89HDF", 4) == 0)
    return true;
  vk_zip *zip = NULL;
  bool is_store = memcmp(head, "PK", 2) == 0 && vk_zip_open(&zip, path, NULL) == VK_OK &&
                  vk_zip_find(zip, "meta.npy");
  vk_zip_free(zip);
  return is_store;
}

/* Room for one more item, zeroed; NULL: no memory. */
static vk_replay_item *add_item(vk_replay_item **item, int *n, int *room)
{
  if (*n == *room) {
    int more = 2 * *room + 16;
    vk_replay_item *grown = realloc(*item, sizeof *grown * (size_t)more);
    if (!grown)
      return NULL;
    *item = grown;
    *room = more;
  }
  vk_replay_item *out = &(*item)[(*n)++];
  memset(out, 0, sizeof *out);
  return out;
}

static void read_demo(vk_replay_item *to, vk_demo_file *file, const char *path, int i,
                      const vk_pack *pack)
{
  to->file = path;
  to->info = *vk_demo_info_get(file);
  to->status = vk_demo_task_of_file(file, path, NULL, pack, &to->i_task, &to->error);
  if (to->status == VK_OK)
    to->status = vk_demo_read(file, i, false, &to->demo, &to->error);
}

vk_status vk_replay_items_new(vk_replay_item **item, int *n, const char *const *path, int n_file,
                              const vk_pack *pack, vk_err *err)
{
  int room = 0;
  *item = NULL;
  *n = 0;
  for (int k = 0; k < n_file; k++) {
    vk_demo_file *file = NULL;
    vk_err error = VK_ERR_INIT;
    vk_status st = holds_demos(path[k]) ? vk_demo_open(&file, path[k], &error) : VK_OK;
    int n_demo = file ? vk_demo_count(file) : 1;
    for (int i = 0; i < n_demo; i++) {
      vk_replay_item *to = add_item(item, n, &room);
      if (!to) {
        vk_demo_close(file);
        return vk_fail(err, VK_E_NOMEM, "no memory for %d recordings", *n);
      }
      *to = (vk_replay_item){.file = path[k], .status = st, .error = error};
      if (file)
        read_demo(to, file, path[k], i, pack);
    }
    vk_demo_close(file);
  }
  return VK_OK;
}

void vk_replay_items_free(vk_replay_item *item, int n)
{
  for (int i = 0; item && i < n; i++)
    vk_demo_free(&item[i].demo);
  free(item);
}

static vk_status replay_steps(vk_replay *out, const vk_replay_item *item, vk_env *env, vk_err *err)
{
  vk_demo_steps steps;
  VK_TRY(vk_demo_replay_steps(&steps, &item->demo, &item->info, env, err));
  out->has_each_step = true;
  out->max_abs_each_step = steps.max_abs_qpos;
  out->share_each_step_1e9 = steps.n_step ? (double)steps.n_close / steps.n_step : NAN;
  out->n_each_step_success_differs = steps.n_success_differs;
  return VK_OK;
}

vk_status vk_replay_demo(vk_replay *out, const vk_replay_item *item, const vk_pack *pack,
                         vk_isa isa, bool each_step, vk_err *err)
{
  char cache[VK_FS_PATH_MAX];
  vk_scene *scene = NULL;
  vk_env *env = NULL;
  vk_demo_replay r;
  *out = (vk_replay){.n_step = item->demo.n_step,
                     .reset_max_abs = NAN,
                     .max_abs_obs_10 = NAN,
                     .max_abs_ctrl_10 = NAN};
  VK_TRY(vk_scene_new(&scene, pack, item->i_task, vk_model_cache_dir(cache), err));
  vk_status st = vk_env_new(&env, scene, err);
  if (st == VK_OK) {
    vk_env_set_isa(env, isa);
    snprintf(out->task, sizeof out->task, "%s", scene->id);
    st = vk_demo_replay_run(&r, &item->demo, &item->info, env, false, err);
  }
  if (st == VK_OK) {
    out->max_abs_qpos_10 = r.max_abs_qpos_10;
    out->max_abs_qpos_50 = r.max_abs_qpos_50;
    out->max_abs_qpos = r.max_abs_qpos;
    out->end_abs_qpos = r.end_abs_qpos;
    out->first_step_over_1e6 = r.first_step_over_1e6;
    out->n_success_differs = r.success != item->demo.success;
  }
  if (st == VK_OK && each_step)
    st = replay_steps(out, item, env, err);
  vk_env_free(env);
  vk_scene_free(scene);
  return st;
}
