#include "sim/mesh.h"

#include <stdlib.h>
#include <string.h>

void vk_mesh_free(vk_mesh *mesh)
{
  free(mesh->vertex);
  free(mesh->index);
  memset(mesh, 0, sizeof *mesh);
}

/* Room for one more item of an array. */
static vk_status reserve(void **items, uint32_t *room, uint32_t n_item, size_t size, vk_err *err)
{
  if (n_item < *room)
    return VK_OK;
  uint64_t want = 2 * (uint64_t)n_item + 16;
  void *p = want <= UINT32_MAX ? realloc(*items, want * size) : NULL;
  if (!p)
    return vk_fail(err, VK_E_NOMEM, "no memory for a mesh of %u vertices or triangles", n_item);
  *items = p;
  *room = (uint32_t)want;
  return VK_OK;
}

vk_status vk_mesh_add_vertex(vk_mesh *mesh, const vk_vertex *vertex, vk_err *err)
{
  VK_TRY(reserve((void **)&mesh->vertex, &mesh->room_vertex, mesh->n_vertex, sizeof *mesh->vertex,
                 err));
  mesh->vertex[mesh->n_vertex++] = *vertex;
  return VK_OK;
}

vk_status vk_mesh_add_triangle(vk_mesh *mesh, uint32_t a, uint32_t b, uint32_t c, vk_err *err)
{
  VK_ASSERT(a < mesh->n_vertex && b < mesh->n_vertex && c < mesh->n_vertex);
  VK_TRY(reserve((void **)&mesh->index, &mesh->room_triangle, mesh->n_triangle,
                 3 * sizeof *mesh->index, err));
  uint32_t *t = mesh->index + 3 * (size_t)mesh->n_triangle++;
  t[0] = a;
  t[1] = b;
  t[2] = c;
  return VK_OK;
}
