/* import_mesh.h - meshes as files hold them, and what MuJoCo's renderer would draw of them.
 * Test: tests/unit/test_import_mesh.c */
#ifndef VK_SIM_IMPORT_MESH_H
#define VK_SIM_IMPORT_MESH_H

#include "sim/import_stl.h"
#include "sim/mesh.h"

enum { VK_FILE_MESH_MAX = 1 << 24 }; /* vertices, and triangles */

/* Corners name a vertex, a normal and texture coordinates. */
typedef struct vk_file_mesh {
  uint32_t n_vertex, n_normal, n_texcoord, n_triangle;
  float *vertex;                         /* [n_vertex, 3]; these arrays are owned */
  float *normal;                         /* [n_normal, 3], of any length; NULL: none */
  float *texcoord;                       /* [n_texcoord, 2], v = 0 at a picture's top; NULL: none */
  uint32_t *face;                        /* [n_triangle, 3] */
  uint32_t *face_normal, *face_texcoord; /* NULL: as face */
} vk_file_mesh;

/* A zeroed or freed mesh is allowed. */
void vk_file_mesh_free(vk_file_mesh *mesh);

/* Whether it can be used: has a triangle, all numbers are finite, all indices inside.
 * Errors: VK_E_FORMAT. */
VK_NODISCARD vk_status vk_file_mesh_check(const vk_file_mesh *mesh, const char *name, vk_err *err);

/* The triangles of an STL file with equal vertices joined. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_file_mesh_of_stl(vk_file_mesh *mesh, const vk_stl *stl, vk_err *err);

/* What is drawn: normals made where the file has none (the mean of the triangles about a vertex by
 * area, without those at a large angle to it); then vertices and normals scaled, both by the same
 * numbers, as MuJoCo does; corners without texture coordinates that turn away from their vertex's
 * normal take the triangle's own. A vertex each corner, texture coordinates (u, v, 0) or zero.
 *   scale  above 0
 * Errors: VK_E_NOMEM. Source: MuJoCo 2.3.7, mjCMesh::MakeNormal, ApplyTransformations,
 * mjr_uploadMesh. */
VK_NODISCARD vk_status vk_file_mesh_draw(vk_mesh *out, const vk_file_mesh *mesh,
                                         const double scale[3], vk_err *err);

/* Where MuJoCo puts the frame of a mesh: p_file = R(quat) p_mesh + pos.
 *   bytes      of a file that was read without an error
 *   file       for its ending: .stl .msh .obj
 *   half_size  out, of the box about its vertices in that frame
 * Errors: VK_E_FORMAT (MuJoCo's message), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_file_mesh_frame(const void *bytes, size_t n, const char *file,
                                          const double scale[3], double pos[3], double quat[4],
                                          double half_size[3], vk_err *err);

#endif
