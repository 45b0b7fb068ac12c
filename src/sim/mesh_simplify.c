#include <math.h>
#include <meshoptimizer.h>
#include <stdlib.h>
#include <string.h>

#include "sim/mesh.h"

/* ---- welding -------------------------------------------------------------------------------- */

/* -0 and 0 are one number, of which bytes know nothing. */
static void clear_signs(vk_mesh *mesh)
{
  for (uint32_t i = 0; i < mesh->n_vertex; i++)
    for (int k = 0; k < 3; k++) {
      mesh->vertex[i].p[k] += 0.0f;
      mesh->vertex[i].n[k] += 0.0f;
      mesh->vertex[i].t[k] += 0.0f;
    }
}

static bool has_area(const vk_mesh *mesh, const uint32_t *t)
{
  const float *a = mesh->vertex[t[0]].p, *b = mesh->vertex[t[1]].p, *c = mesh->vertex[t[2]].p;
  double u[3], v[3], s = 0;
  for (int k = 0; k < 3; k++) {
    u[k] = (double)b[k] - a[k];
    v[k] = (double)c[k] - a[k];
  }
  for (int k = 0; k < 3; k++) {
    double n = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
    s += n * n;
  }
  return s > 0;
}

static void drop_flat_triangles(vk_mesh *mesh)
{
  uint32_t n = 0;
  for (size_t i = 0; i < mesh->n_triangle; i++)
    if (has_area(mesh, mesh->index + 3 * i))
      memmove(mesh->index + 3 * (size_t)n++, mesh->index + 3 * i, 3 * sizeof *mesh->index);
  mesh->n_triangle = n;
}

vk_status vk_mesh_weld(vk_mesh *mesh, vk_err *err)
{
  drop_flat_triangles(mesh);
  size_t n_index = 3 * (size_t)mesh->n_triangle;
  if (n_index == 0) {
    mesh->n_vertex = 0;
    return VK_OK;
  }
  unsigned int *remap = malloc(mesh->n_vertex * sizeof *remap);
  if (!remap)
    return vk_fail(err, VK_E_NOMEM, "no memory to weld %u vertices", mesh->n_vertex);
  clear_signs(mesh);
  /* numbers the vertices in the order of their first use; the others get no number */
  size_t n = meshopt_generateVertexRemap(remap, mesh->index, n_index, mesh->vertex, mesh->n_vertex,
                                         sizeof *mesh->vertex);
  meshopt_remapIndexBuffer(mesh->index, mesh->index, n_index, remap);
  meshopt_remapVertexBuffer(mesh->vertex, mesh->vertex, mesh->n_vertex, sizeof *mesh->vertex,
                            remap);
  mesh->n_vertex = (uint32_t)n;
  free(remap);
  return VK_OK;
}

/* ---- simplifying ---------------------------------------------------------------------------- */

vk_status vk_mesh_simplify(vk_mesh *out, const vk_mesh *mesh, uint32_t n_triangle, float *error_m,
                           vk_err *err)
{
  size_t n_index = 3 * (size_t)mesh->n_triangle;
  float relative = 0;
  *out = (vk_mesh){.vertex = malloc(mesh->n_vertex * sizeof *out->vertex),
                   .index = malloc(n_index * sizeof *out->index),
                   .n_vertex = mesh->n_vertex,
                   .room_vertex = mesh->n_vertex,
                   .room_triangle = mesh->n_triangle};
  if (!out->vertex || !out->index) {
    vk_mesh_free(out);
    return vk_fail(err, VK_E_NOMEM, "no memory to simplify a mesh of %u triangles",
                   mesh->n_triangle);
  }
  memcpy(out->vertex, mesh->vertex, mesh->n_vertex * sizeof *out->vertex);
  size_t n = meshopt_simplify(out->index, mesh->index, n_index, mesh->vertex[0].p, mesh->n_vertex,
                              sizeof *mesh->vertex, 3 * (size_t)n_triangle, 1e9f, 0, &relative);
  out->n_triangle = (uint32_t)(n / 3);
  *error_m =
      relative * meshopt_simplifyScale(mesh->vertex[0].p, mesh->n_vertex, sizeof *mesh->vertex);
  vk_status st = vk_mesh_weld(out, err);
  if (st != VK_OK)
    vk_mesh_free(out);
  return st;
}
