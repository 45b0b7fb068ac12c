/* import_stl.h - collision meshes from binary STL files.
 *
 *   offset  size  what
 *   0       80    any
 *   80      4     u32 number of triangles n
 *   84      50*n  per triangle: 3 f32 normal, 9 f32 vertices (m), u16 any
 * Test: tests/unit/test_import_stl.c, tests/fuzz/fuzz_stl.c */
#ifndef VK_SIM_IMPORT_STL_H
#define VK_SIM_IMPORT_STL_H

#include <stdint.h>

#include "core/err.h"

typedef struct vk_stl {
  uint32_t n_triangle;
  float *vertex; /* [n_triangle][3][3], m, owned */
} vk_stl;

/* name: the file's, for errors. Errors: VK_E_FORMAT (size, no triangle, a vertex that is not
 * finite), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_stl_parse(vk_stl *stl, const void *bytes, size_t n, const char *name,
                                    vk_err *err);
void vk_stl_free(vk_stl *stl);

/* Replaces the triangles by those of the convex hull, unless every vertex is the hull's already.
 * MuJoCo collides hulls only, and finds them itself (by qhull): that hull is taken, so that nothing
 * changes for contacts. Triangles begin with their lowest vertex and are sorted, so that the result
 * does not depend on the order in which a release of MuJoCo lists them.
 *   is_hull  out, whether they were replaced
 * Errors: VK_E_FORMAT (MuJoCo's message), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_stl_reduce_to_hull(vk_stl *stl, bool *is_hull, const char *name,
                                             vk_err *err);

#endif
