/* mesh.h - triangle meshes in memory, as visuals are made from: shapes, and coarser levels of
 * detail. Test: tests/unit/test_mesh.c */
#ifndef VK_SIM_MESH_H
#define VK_SIM_MESH_H

#include <stdint.h>

#include "core/err.h"

typedef struct vk_vertex {
  float p[3]; /* m */
  float n[3]; /* unit normal */
  float t[3]; /* texture coordinates: visuals.h, VK_STREAM_U */
} vk_vertex;

typedef struct vk_mesh {
  uint32_t n_vertex, n_triangle;
  uint32_t room_vertex, room_triangle;
  vk_vertex *vertex; /* owned */
  uint32_t *index;   /* [n_triangle, 3], counterclockwise from outside; owned */
} vk_mesh;

/* A zeroed or freed mesh is allowed. */
void vk_mesh_free(vk_mesh *mesh);

/* Append. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_mesh_add_vertex(vk_mesh *mesh, const vk_vertex *vertex, vk_err *err);
VK_NODISCARD vk_status vk_mesh_add_triangle(vk_mesh *mesh, uint32_t a, uint32_t b, uint32_t c,
                                            vk_err *err);
/* The shapes of MJCF, appended, with the subdivisions of MuJoCo's renderer: its light is computed
 * at vertices. half_size as in MJCF. Texture coordinates are the position divided by half_size
 * (what maps a cube texture once onto the shape): whoever maps otherwise replaces them. A plane's
 * third size is the spacing of its grid. */
VK_NODISCARD vk_status vk_mesh_add_box(vk_mesh *mesh, const float half_size_m[3], vk_err *err);
VK_NODISCARD vk_status vk_mesh_add_plane(vk_mesh *mesh, const float size_m[3], vk_err *err);
VK_NODISCARD vk_status vk_mesh_add_ellipsoid(vk_mesh *mesh, const float half_size_m[3],
                                             vk_err *err);
VK_NODISCARD vk_status vk_mesh_add_cylinder(vk_mesh *mesh, float radius_m, float half_length_m,
                                            vk_err *err);
VK_NODISCARD vk_status vk_mesh_add_capsule(vk_mesh *mesh, float radius_m, float half_length_m,
                                           vk_err *err);

/* Joins equal vertices and drops triangles without area and vertices without triangles. */
VK_NODISCARD vk_status vk_mesh_weld(vk_mesh *mesh, vk_err *err);

/* Levels of detail (by meshoptimizer), the finest first, each welded, of at most 0.7 times the
 * triangles of the one before. Borders and seams of the texture stay. Corners get the mean of the
 * normals about them that go together with their triangle's. The mesh itself is left out where a
 * coarser one is near enough for any picture.
 *   mesh     welded, with a triangle at least; left empty, as it may be level[0] afterwards
 *   level    out [n_max]
 *   error_m  out [n_max], how far 99 % of the surface of `mesh` are from the level's, at most
 * Returns their number in n_level. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_mesh_make_levels(vk_mesh *mesh, vk_mesh *level, float *error_m, int n_max,
                                           int *n_level, vk_err *err);

#endif
