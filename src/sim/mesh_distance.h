/* mesh_distance.h - how far points are from a surface of triangles. Test: tests/unit/test_mesh.c */
#ifndef VK_SIM_MESH_DISTANCE_H
#define VK_SIM_MESH_DISTANCE_H

#include "sim/mesh.h"

/* Distances of n points from the triangles of `to`, which has one at least.
 *   point       in, [n]
 *   distance_m  out, [n]
 *   nearest     out, [n] the triangle; NULL: not wanted
 * Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_mesh_distances(const vk_mesh *to, const float (*point)[3], uint32_t n,
                                         float *distance_m, uint32_t *nearest, vk_err *err);

/* Weights of the corners of a triangle at the point that is nearest to p; returns the square of the
 * distance. */
double vk_mesh_nearest(const double p[3], const float *a, const float *b, const float *c,
                       double weight[3]);

#endif
