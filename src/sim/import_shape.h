/* import_shape.h - the shape of a geom as MuJoCo's renderer draws it, with texture coordinates as
 * they are looked up. Test: tests/unit/test_import_shape.c */
#ifndef VK_SIM_IMPORT_SHAPE_H
#define VK_SIM_IMPORT_SHAPE_H

#include "sim/mesh.h"

/* How a material's texture is put on. */
typedef struct vk_texture_map {
  enum { VK_MAP_NONE, VK_MAP_2D, VK_MAP_CUBE } kind;
  bool is_uniform; /* repeats are for each m, not for each shape */
  double repeat[2];
} vk_texture_map;

/* A shape of MJCF by its type ("box"), appended. size: as in MJCF, missing numbers 0.
 * Errors: VK_E_UNSUPPORTED (another type, or without a size), VK_E_RANGE (a coordinate above 1e6),
 * VK_E_NOMEM. */
VK_NODISCARD vk_status vk_import_shape(vk_mesh *out, const char *type, const double size[3],
                                       const vk_texture_map *map, vk_err *err);

/* The mesh of a file (.msh, .obj, .stl), appended. Coordinates of the file are used for a 2D
 * texture; without them and for a cube they come from the position in MuJoCo's frame of the mesh.
 *   file  its name, for errors and for its ending
 * Errors: VK_E_FORMAT, VK_E_UNSUPPORTED, VK_E_RANGE, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_import_mesh(vk_mesh *out, const char *file, const void *bytes, size_t n,
                                      const double scale[3], const vk_texture_map *map,
                                      vk_err *err);

#endif
