#include "sim/mesh.h"

#include <mujoco/mujoco.h>
#include <stdlib.h>
#include <string.h>

void vk_mesh_free(vk_mesh *mesh)
{
  free(mesh->vertex);
  free(mesh->index);
  memset(mesh, 0, sizeof *mesh);
}

/* Room for n more items of an array. */
static vk_status reserve(void **items, uint32_t *room, uint32_t n_item, uint32_t n, size_t size,
                         vk_err *err)
{
  if (n <= *room - n_item)
    return VK_OK;
  uint64_t want = 2 * ((uint64_t)n_item + n) + 16;
  void *p = want <= UINT32_MAX ? realloc(*items, want * size) : NULL;
  if (!p)
    return vk_fail(err, VK_E_NOMEM, "no memory for a mesh of %u vertices or triangles", n_item);
  *items = p;
  *room = (uint32_t)want;
  return VK_OK;
}

vk_status vk_mesh_add_vertex(vk_mesh *mesh, const vk_vertex *vertex, vk_err *err)
{
  VK_TRY(reserve((void **)&mesh->vertex, &mesh->room_vertex, mesh->n_vertex, 1,
                 sizeof *mesh->vertex, err));
  mesh->vertex[mesh->n_vertex++] = *vertex;
  return VK_OK;
}

vk_status vk_mesh_add_triangle(vk_mesh *mesh, uint32_t a, uint32_t b, uint32_t c, vk_err *err)
{
  VK_ASSERT(a < mesh->n_vertex && b < mesh->n_vertex && c < mesh->n_vertex);
  VK_TRY(reserve((void **)&mesh->index, &mesh->room_triangle, mesh->n_triangle, 1,
                 3 * sizeof *mesh->index, err));
  uint32_t *t = mesh->index + 3 * (size_t)mesh->n_triangle++;
  t[0] = a;
  t[1] = b;
  t[2] = c;
  return VK_OK;
}

vk_status vk_mesh_append(vk_mesh *mesh, const vk_mesh *other, const float pos_m[3],
                         const float quat[4], vk_err *err)
{
  double q[4] = {quat[0], quat[1], quat[2], quat[3]}, R[9];
  mju_quat2Mat(R, q);
  VK_TRY(reserve((void **)&mesh->vertex, &mesh->room_vertex, mesh->n_vertex, other->n_vertex,
                 sizeof *mesh->vertex, err));
  VK_TRY(reserve((void **)&mesh->index, &mesh->room_triangle, mesh->n_triangle, other->n_triangle,
                 3 * sizeof *mesh->index, err));
  for (uint32_t i = 0; i < other->n_vertex; i++) {
    const vk_vertex *from = &other->vertex[i];
    vk_vertex *to = &mesh->vertex[mesh->n_vertex + i];
    *to = *from;
    for (int k = 0; k < 3; k++) {
      const double *r = R + 3 * k;
      to->p[k] = (float)(r[0] * from->p[0] + r[1] * from->p[1] + r[2] * from->p[2] + pos_m[k]);
      to->n[k] = (float)(r[0] * from->n[0] + r[1] * from->n[1] + r[2] * from->n[2]);
    }
  }
  uint32_t *index = mesh->index + 3 * (size_t)mesh->n_triangle;
  for (size_t i = 0; i < 3 * (size_t)other->n_triangle; i++)
    index[i] = mesh->n_vertex + other->index[i];
  mesh->n_vertex += other->n_vertex;
  mesh->n_triangle += other->n_triangle;
  return VK_OK;
}
