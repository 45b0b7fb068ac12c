#include "sim/visuals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/visuals_check.h"

const vk_section_kind vk_visuals_kind = {
    .noun = "visuals file",
    .magic = VK_VISUALS_MAGIC,
    .mark = "VLAVIS",
    .remake = "`vlakit import libero`",
    .version = VK_VISUALS_VERSION,
    .n_section = VK_VISUALS_N_SECTION,
};

/* Finds and checks the sections in bytes that v owns already. */
static vk_status open_sections(vk_visuals *v, const void *bytes, size_t n, const char *what,
                               vk_err *err)
{
  snprintf(v->path, sizeof v->path, "%s", what);
  vk_section section[] = {
#define X(member, type) {.name = #member, .item_size = sizeof(type)},
      VK_VISUALS_SECTIONS(X)
#undef X
  };
  vk_status st = VK_OK;
  VK_TRY_DONE(vk_sections_open(&vk_visuals_kind, bytes, n, section, v->hash, what, err));
  const vk_section *at = section;
#define X(member, type)                                                                            \
  v->member = at->item;                                                                            \
  v->n_##member = at++->n;
  VK_VISUALS_SECTIONS(X)
#undef X
  st = vk_visuals_check(v, err);
  if (st != VK_OK)
    vk_err_prefix(err, "visuals %s", what);
done:
  if (st != VK_OK)
    vk_visuals_close(v);
  return st;
}

vk_status vk_visuals_open_bytes(vk_visuals *visuals, void *bytes, size_t n, const char *name,
                                const char *what, vk_err *err)
{
  memset(visuals, 0, sizeof *visuals);
  visuals->bytes = bytes;
  visuals->name = name;
  return open_sections(visuals, bytes, n, what, err);
}

vk_status vk_visuals_open_file(vk_visuals *v, const char *path, const char *name, vk_err *err)
{
  memset(v, 0, sizeof *v);
  v->name = name;
  VK_TRY(vk_fs_map_open(&v->map, path, err));
  return open_sections(v, v->map.bytes, v->map.n, path, err);
}

vk_status vk_visuals_cache_path(char path[VK_FS_PATH_MAX], vk_err *err)
{
  char dir[VK_FS_PATH_MAX];
  VK_TRY(vk_fs_cache_dir(dir, err));
  return vk_fs_join(path, VK_FS_PATH_MAX, dir, "libero.visuals", err);
}

void vk_visuals_close(vk_visuals *visuals)
{
  vk_fs_map_close(&visuals->map);
  free(visuals->bytes);
  memset(visuals, 0, sizeof *visuals);
}

const vk_visuals_model *vk_visuals_find_model(const vk_visuals *v, const char *name)
{
  for (size_t i = 0; i < v->n_model; i++)
    if (strcmp(vk_visuals_text(v, v->model[i].name), name) == 0)
      return &v->model[i];
  return NULL;
}

const vk_visuals_look *vk_visuals_find_look(const vk_visuals *v, const char *name)
{
  for (size_t i = 0; i < v->n_look; i++)
    if (strcmp(vk_visuals_text(v, v->look[i].name), name) == 0)
      return &v->look[i];
  return NULL;
}
