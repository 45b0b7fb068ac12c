/* demo_file.c - files of demonstrations of either format, and the task that they are of. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/hdf5.h"
#include "rl/demo_internal.h"

struct vk_demo_file {
  const vk_demo_reader_def *def;
  void *state;
  vk_demo_info info;
  int n, *number;
  char path[VK_FS_PATH_MAX];
};

struct vk_demo_writer {
  const vk_demo_writer_def *def;
  void *state;
  vk_demo_info info;
  int n;
};

const char *vk_demo_layout_name(vk_demo_layout layout)
{
  static const char *const names[] = {[VK_DEMO_STORE] = "store",
                                      [VK_DEMO_PUBLISHED] = "libero",
                                      [VK_DEMO_SCRIPT] = "libero script",
                                      [VK_DEMO_REGENERATED] = "openvla"};
  return names[layout];
}

/* ---- the task ---- */

void vk_demo_info_of_task(vk_demo_info *info, const vk_pack *pack, uint32_t i_task)
{
  const vk_pack_task *t = &pack->task[i_task];
  *info = (vk_demo_info){.layout = VK_DEMO_STORE, .is_align_stated = true};
  snprintf(info->suite, sizeof info->suite, "%s", vk_pack_suite_of(pack, t));
  snprintf(info->name, sizeof info->name, "%s", vk_pack_text(pack, t->name));
  snprintf(info->problem, sizeof info->problem, "%s",
           vk_pack_text(pack, pack->problem[t->problem].name));
  snprintf(info->language, sizeof info->language, "%s", vk_pack_text(pack, t->language));
  snprintf(info->pack_hash, sizeof info->pack_hash, "%s", pack->hash);
  snprintf(info->mujoco, sizeof info->mujoco, "%s", mj_versionString());
}

/* "TASK" of ".../TASK_demo.hdf5", "" when the path is not of that form. */
static void name_of_path(const char *path, char *name, size_t n)
{
  const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
  const char *end = strstr(base, "_demo.");
  snprintf(name, n, "%.*s", end ? (int)(end - base) : 0, base);
}

vk_status vk_demo_find_task(const vk_demo_info *info, const char *path, const vk_pack *pack,
                            uint32_t *i_task, vk_err *err)
{
  char name[VK_PACK_NAME_MAX + 1];
  snprintf(name, sizeof name, "%s", info->name);
  if (!name[0])
    name_of_path(path, name, sizeof name);
  if (!name[0])
    return vk_fail(err, VK_E_NOTFOUND,
                   "%s: does not say of which task it is; name it TASK_demo.hdf5, or give --task",
                   path);
  for (uint32_t i = 0; i < pack->n_task; i++) {
    const vk_pack_task *t = &pack->task[i];
    if (strcmp(vk_pack_text(pack, t->name), name) == 0 &&
        (!info->suite[0] || strcmp(vk_pack_suite_of(pack, t), info->suite) == 0)) {
      *i_task = i;
      return VK_OK;
    }
  }
  return vk_fail(
      err, VK_E_NOTFOUND,
      "%s: is of task %s%s%s, which the scene pack %s lacks; where it is one of its tasks, "
      "--task of vlakit demos says which",
      path, info->suite, info->suite[0] ? "/" : "", name, pack->path);
}

/* ---- reading ---- */

vk_status vk_demo_open(vk_demo_file **out, const char *path, vk_err *err)
{
  *out = NULL;
  char head[4] = "";
  vk_fs_map map;
  VK_TRY(vk_fs_map_open(&map, path, err));
  size_t n_byte = map.n;
  memcpy(head, map.bytes, n_byte < sizeof head ? n_byte : sizeof head);
  vk_fs_map_close(&map);
  bool is_store = memcmp(head, "PK", 2) == 0;
  if (n_byte == 0)
    return vk_fail(err, VK_E_FORMAT, "%s: an empty file, expected demonstrations", path);
  if (!is_store && memcmp(head, "\x89HDF", sizeof head) != 0)
    return vk_fail(err, VK_E_FORMAT, "%s: neither a store of demonstrations (.npz) nor HDF5", path);
  vk_demo_file *f = calloc(1, sizeof *f);
  if (!f)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to open it", path);
  snprintf(f->path, sizeof f->path, "%s", path);
  f->def = is_store ? &vk_demo_store_reader : &vk_demo_hdf5_reader;
  vk_status st = f->def->open(&f->state, path, &f->info, &f->number, &f->n, err);
  if (st == VK_OK && f->n == 0)
    st = vk_fail(err, VK_E_FORMAT, "%s: holds no demonstrations", path);
  if (st != VK_OK) {
    vk_demo_close(f);
    return st;
  }
  *out = f;
  return VK_OK;
}

void vk_demo_close(vk_demo_file *f)
{
  if (!f)
    return;
  if (f->state)
    f->def->close(f->state);
  free(f->number);
  free(f);
}

const vk_demo_info *vk_demo_info_get(const vk_demo_file *f)
{
  return &f->info;
}

int vk_demo_count(const vk_demo_file *f)
{
  return f->n;
}

int vk_demo_number(const vk_demo_file *f, int i)
{
  VK_ASSERT(i >= 0 && i < f->n);
  return f->number[i];
}

vk_status vk_demo_read(vk_demo_file *f, int i, bool has_pictures, vk_demo *out, vk_err *err)
{
  memset(out, 0, sizeof *out);
  vk_status st = f->def->read(f->state, &f->info, vk_demo_number(f, i), has_pictures, out, err);
  out->number = f->number[i];
  if (st == VK_OK)
    st = vk_demo_check(out, err);
  if (st == VK_OK)
    return VK_OK;
  vk_demo_free(out);
  /* What the library could not do names the file and "data/demo_N" by itself. */
  return err && strncmp(err->text, f->path, strlen(f->path)) == 0
             ? st
             : vk_err_prefix(err, "%s: demo_%d", f->path, f->number[i]);
}

vk_status vk_demo_mask(vk_demo_file *f, const char *filter, bool *is_in, vk_err *err)
{
  return f->def->mask(f->state, filter, f->number, f->n, is_in, err);
}

/* ---- writing ---- */

vk_status vk_demo_can_write(vk_demo_layout layout, vk_err *err)
{
  char version[40];
  return layout == VK_DEMO_STORE ? VK_OK : vk_h5_version(version, sizeof version, err);
}

vk_status vk_demo_create(vk_demo_writer **out, const char *path, const vk_demo_info *info,
                         vk_err *err)
{
  *out = NULL;
  vk_demo_writer *w = calloc(1, sizeof *w);
  if (!w)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to write it", path);
  w->info = *info;
  w->def = info->layout == VK_DEMO_STORE ? &vk_demo_store_writer : &vk_demo_hdf5_writer;
  vk_status st = w->def->create(&w->state, path, &w->info, err);
  if (st != VK_OK) {
    free(w);
    return st;
  }
  *out = w;
  return VK_OK;
}

vk_status vk_demo_add(vk_demo_writer *w, const vk_demo *demo, vk_err *err)
{
  vk_demo numbered = *demo;
  numbered.number = w->n;
  VK_TRY(w->def->add(w->state, &w->info, &numbered, err));
  w->n++;
  return VK_OK;
}

vk_status vk_demo_commit(vk_demo_writer *w, vk_err *err)
{
  vk_status st = w->def->commit(w->state, err);
  free(w);
  return st;
}

void vk_demo_abort(vk_demo_writer *w)
{
  if (!w)
    return;
  w->def->abort(w->state);
  free(w);
}
