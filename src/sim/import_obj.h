/* import_obj.h - meshes from Wavefront OBJ files: lines "v", "vt", "vn" and "f", others are passed
 * over. Polygons become triangles about their first corner, as MuJoCo 2.3.7 cuts quads.
 * Test: tests/unit/test_import_obj.c, tests/fuzz/fuzz_obj.c */
#ifndef VK_SIM_IMPORT_OBJ_H
#define VK_SIM_IMPORT_OBJ_H

#include "sim/import_mesh.h"

enum { VK_OBJ_CORNERS_MAX = 64 }; /* of a polygon */

/* name: the file's, for errors, which tell the line. What is returned passes vk_file_mesh_check.
 * Texture coordinates are turned upside down, as a file's v = 0 is a picture's bottom.
 * Errors: VK_E_FORMAT, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_obj_parse(vk_file_mesh *mesh, const void *bytes, size_t n,
                                    const char *name, vk_err *err);

#endif
