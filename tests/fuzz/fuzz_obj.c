/* fuzz_obj.c - any bytes as an OBJ file; what is read can be drawn and simplified. */
#include <math.h>

#include "sim/import_obj.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_file_mesh file;
  vk_mesh mesh = {0}, level[4];
  float error_m[4];
  int n_level = 0;
  if (vk_obj_parse(&file, bytes, n, "fuzz", &err) != VK_OK) {
    VK_ASSERT(err.code != VK_OK && err.text[0] && !file.vertex && !file.face);
    return 0;
  }
  if (vk_file_mesh_draw(&mesh, &file, (const double[3]){1, 2, 0.5}, &err) == VK_OK &&
      vk_mesh_weld(&mesh, &err) == VK_OK && mesh.n_triangle > 0 &&
      vk_mesh_make_levels(&mesh, level, error_m, 4, &n_level, &err) != VK_OK)
    n_level = 0;
  for (int i = 0; i < n_level; i++) {
    for (uint32_t k = 0; k < 3 * level[i].n_triangle; k++)
      VK_ASSERT(level[i].index[k] < level[i].n_vertex);
    for (uint32_t k = 0; k < level[i].n_vertex; k++)
      for (int c = 0; c < 3; c++)
        VK_ASSERT(isfinite(level[i].vertex[k].p[c]) && isfinite(level[i].vertex[k].n[c]));
    VK_ASSERT(level[i].n_triangle > 0 && isfinite(error_m[i]));
    vk_mesh_free(&level[i]);
  }
  vk_mesh_free(&mesh);
  vk_file_mesh_free(&file);
  return 0;
}
