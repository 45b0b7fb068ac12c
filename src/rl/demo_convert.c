#include "rl/demo_convert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/signal.h"

typedef struct job {
  const vk_demo_convert_config *c;
  const vk_demo_info *from;
  vk_demo_info to;
  vk_scene *scene;
  vk_stage *stage;
  vk_env *env;
  bool is_rendering;
  vk_demo_convert_stats *stats;
} job;

vk_status vk_demo_task_of_file(const vk_demo_file *file, const char *path, const char *word,
                               const vk_pack *pack, uint32_t *i_task, vk_err *err)
{
  if (!word)
    return vk_demo_find_task(vk_demo_info_get(file), path, pack, i_task, err);
  uint32_t n = 0, *list = calloc(pack->n_task + 1, sizeof *list);
  if (!list)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu tasks", pack->n_task);
  vk_status st = vk_pack_find_tasks(pack, word, list, &n, err);
  *i_task = list[0];
  free(list);
  if (st == VK_OK && n != 1)
    st = vk_fail(err, VK_E_USAGE, "--task %s names %u tasks, expected one", word, n);
  const vk_demo_info *info = vk_demo_info_get(file);
  uint32_t i_told;
  if (st == VK_OK && info->name[0] && vk_demo_find_task(info, path, pack, &i_told, NULL) == VK_OK &&
      i_told != *i_task)
    st = vk_fail(err, VK_E_MISMATCH, "--task %s: %s says that it is of %s/%s; leave --task out",
                 word, path, info->suite, info->name);
  return st;
}

/* The same demonstration with everything that it can have. */
static vk_status complete(job *j, vk_demo *d, vk_err *err)
{
  bool is_hdf5 = j->from->layout != VK_DEMO_STORE, is_store = j->to.layout == VK_DEMO_STORE;
  bool wants_more = is_store || j->is_rendering || j->to.align != j->from->align;
  if (is_hdf5 && wants_more && d->is_origin_known && d->px == 0) {
    vk_demo again;
    if (!j->env)
      VK_TRY(vk_env_new(&j->env, j->scene, err));
    vk_env_set_isa(j->env, j->c->isa);
    VK_TRY(vk_demo_repeat(&again, d, j->env, err));
    vk_demo_free(d);
    *d = again;
    j->stats->n_repeated++;
  }
  if (is_store || j->is_rendering)
    VK_TRY(vk_demo_add_picture_state(d, j->scene, err));
  if (!is_store && j->to.align == VK_OBS_FIXED)
    vk_demo_align(d);
  if (j->c->drop_noops)
    j->stats->n_noop += vk_demo_drop_noops(d);
  if (j->to.layout == VK_DEMO_PUBLISHED)
    VK_TRY(vk_demo_add_model(d, j->scene, err));
  if (!j->is_rendering)
    return VK_OK;
  j->stats->n_rendered++;
  return vk_demo_render(d, j->stage, j->to.px, j->c->pool, j->c->isa, err);
}

static vk_status convert_all(job *j, vk_demo_file *file, vk_demo_writer *w, const bool *is_in,
                             vk_err *err)
{
  for (int i = 0; i < vk_demo_count(file); i++) {
    vk_demo d;
    if (is_in && !is_in[i])
      continue;
    VK_TRY(vk_signal_check(err));
    VK_TRY(vk_demo_read(file, i, j->to.px > 0 && !j->is_rendering, &d, err));
    vk_status st = vk_demo_fits_scene(&d, j->scene, err);
    if (st == VK_OK)
      st = complete(j, &d, err);
    if (st == VK_OK)
      st = vk_demo_add(w, &d, err);
    j->stats->n_demo++;
    j->stats->n_step += d.n_step;
    vk_demo_free(&d);
    VK_TRY(st);
    if (j->c->progress)
      j->c->progress(j->c->arg);
  }
  return j->stats->n_demo > 0
             ? VK_OK
             : vk_fail(err, VK_E_NOTFOUND, "mask/%s lists nothing", j->c->mask ? j->c->mask : "");
}

static vk_status open_scene(job *j, uint32_t i_task, vk_err *err)
{
  const vk_demo_convert_config *c = j->c;
  char language[sizeof j->to.language];
  VK_TRY(vk_scene_new(&j->scene, c->pack, i_task, c->cache_dir, err));
  snprintf(language, sizeof language, "%s", j->from->language);
  vk_demo_info_of_task(&j->to, c->pack, i_task);
  if (language[0])
    snprintf(j->to.language, sizeof j->to.language, "%s", language);
  /* What it was recorded with, not what is here now. */
  snprintf(j->to.pack_hash, sizeof j->to.pack_hash, "%s", j->from->pack_hash);
  snprintf(j->to.mujoco, sizeof j->to.mujoco, "%s", j->from->mujoco);
  j->to.layout = c->layout;
  j->to.align = c->layout == VK_DEMO_STORE ? VK_OBS_FIXED : c->align;
  j->to.px = c->layout == VK_DEMO_STORE ? 0 : c->px;
  j->is_rendering = j->to.px > 0 && (!c->is_default_visuals || j->from->px != j->to.px);
  if (j->to.px == 0)
    return VK_OK;
  if (!j->is_rendering) {
    snprintf(j->to.visuals, sizeof j->to.visuals, "%s", j->from->visuals);
    snprintf(j->to.visuals_hash, sizeof j->to.visuals_hash, "%s", j->from->visuals_hash);
    return VK_OK;
  }
  snprintf(j->to.visuals, sizeof j->to.visuals, "%s", c->visuals->name);
  snprintf(j->to.visuals_hash, sizeof j->to.visuals_hash, "%s", c->visuals->hash);
  return vk_stage_new(&j->stage, j->scene, c->visuals, err);
}

vk_status vk_demo_convert(const vk_demo_convert_config *c, const char *from, const char *to,
                          vk_demo_convert_stats *stats, vk_err *err)
{
  uint32_t i_task;
  vk_demo_file *file;
  vk_demo_writer *w = NULL;
  vk_fs_map map;
  *stats = (vk_demo_convert_stats){0};
  VK_TRY(vk_demo_open(&file, from, err));
  job j = {.c = c, .from = vk_demo_info_get(file), .stats = stats};
  bool *is_in = c->mask ? calloc((size_t)vk_demo_count(file), sizeof *is_in) : NULL;
  vk_status st;
  VK_TRY_DONE(vk_demo_task_of_file(file, from, c->task, c->pack, &i_task, err));
  VK_TRY_DONE(open_scene(&j, i_task, err));
  if (c->mask && !is_in)
    VK_TRY_DONE(vk_fail(err, VK_E_NOMEM, "no memory for a filter"));
  if (c->mask)
    VK_TRY_DONE(vk_demo_mask(file, c->mask, is_in, err));
  VK_TRY_DONE(vk_demo_create(&w, to, &j.to, err));
  VK_TRY_DONE(convert_all(&j, file, w, is_in, err));
  st = vk_demo_commit(w, err);
  w = NULL;
  if (st == VK_OK && vk_fs_map_open(&map, to, NULL) == VK_OK) {
    stats->n_byte = (int64_t)map.n;
    vk_fs_map_close(&map);
  }
done:
  vk_demo_abort(w);
  vk_env_free(j.env);
  vk_stage_free(j.stage);
  vk_scene_free(j.scene);
  vk_demo_close(file);
  free(is_in);
  return st;
}
