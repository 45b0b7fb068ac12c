/* mesh_split.h - a large mesh as several small ones, each with its own level of detail, and left
 * out where it is not seen. Test: tests/unit/test_mesh.c */
#ifndef VK_SIM_MESH_SPLIT_H
#define VK_SIM_MESH_SPLIT_H

#include "sim/mesh.h"

/* Triangles that hang together by vertices of one position stay together; of these pieces, the ones
 * shorter than side_m whose middles lie in the same cell of that side make a part.
 *   part  out, malloc'd [*n_part]: free each with vk_mesh_free and then the array. None for a mesh
 *         that is not longer than side_m, or all of which hangs together.
 * Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_mesh_split(const vk_mesh *mesh, double side_m, vk_mesh **part,
                                     uint32_t *n_part, vk_err *err);

#endif
