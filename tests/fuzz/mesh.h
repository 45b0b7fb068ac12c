/* mesh.h - what the import does with the mesh of a file. */
#ifndef VK_FUZZ_MESH_H
#define VK_FUZZ_MESH_H

#include <math.h>
#include <stdlib.h>

#include "sim/import_mesh.h"
#include "sim/visuals_write.h"

static inline void check_level(const vk_mesh *level, float error_m)
{
  VK_ASSERT(level->n_triangle > 0 && isfinite(error_m));
  for (size_t k = 0; k < 3 * (size_t)level->n_triangle; k++)
    VK_ASSERT(level->index[k] < level->n_vertex);
  for (uint32_t k = 0; k < level->n_vertex; k++)
    for (int c = 0; c < 3; c++)
      VK_ASSERT(isfinite(level->vertex[k].p[c]) && isfinite(level->vertex[k].n[c]));
}

/* Draws it, makes its levels, and stores them: visuals of them can be read. */
static inline void use_file_mesh(const vk_file_mesh *file)
{
  static const double scale[3] = {1, 0.5, 2};
  vk_err err = VK_ERR_INIT;
  vk_mesh mesh = {0}, level[VK_MESH_LEVELS_MAX] = {0};
  float error_m[VK_MESH_LEVELS_MAX];
  int n_level = 0;
  VK_ASSERT(vk_file_mesh_draw(&mesh, file, scale, &err) == VK_OK);
  VK_ASSERT(vk_mesh_weld(&mesh, &err) == VK_OK);
  if (mesh.n_triangle > 0) {
    vk_visuals_builder b = {0};
    void *bytes;
    size_t n;
    VK_ASSERT(vk_mesh_make_levels(&mesh, level, error_m, VK_MESH_LEVELS_MAX, &n_level, &err) ==
              VK_OK);
    VK_ASSERT(n_level > 0);
    for (int i = 0; i < n_level; i++)
      check_level(&level[i], error_m[i]);
    vk_visuals_put_levels(&b, "fuzz", level, error_m, n_level);
    vk_status st = vk_visuals_build(&b, &bytes, &n, &err);
    VK_ASSERT(st == VK_OK || st == VK_E_FORMAT); /* scaled beyond what visuals hold */
    if (st == VK_OK)
      free(bytes);
    vk_visuals_builder_fini(&b);
  }
  for (int i = 0; i < n_level; i++)
    vk_mesh_free(&level[i]);
  vk_mesh_free(&mesh);
}

#endif
