/* import_msh.h - meshes in MuJoCo's own binary format (before 3.0).
 *
 *   offset  size          what
 *   0       4             i32 number of vertices v
 *   4       4             i32 number of normals n: 0 or v
 *   8       4             i32 number of texture coordinates t: 0 or v
 *   12      4             i32 number of triangles f
 *   16      12 v          3 f32 a vertex
 *   ..      12 n + 8 t    3 f32 a normal; 2 f32 texture coordinates
 *   ..      12 f          3 i32 vertices a triangle
 * Test: tests/unit/test_import_msh.c, tests/fuzz/fuzz_msh.c */
#ifndef VK_SIM_IMPORT_MSH_H
#define VK_SIM_IMPORT_MSH_H

#include "sim/import_mesh.h"

/* name: the file's, for errors. What is returned passes vk_file_mesh_check. Errors: VK_E_FORMAT,
 * VK_E_NOMEM. */
VK_NODISCARD vk_status vk_msh_parse(vk_file_mesh *mesh, const void *bytes, size_t n,
                                    const char *name, vk_err *err);

#endif
