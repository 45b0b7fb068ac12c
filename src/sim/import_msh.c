#include "sim/import_msh.h"

#include <stdlib.h>
#include <string.h>

enum { MSH_HEAD = 16 };

/* Copies n items of 4 bytes (little-endian, as this machine's) from *p on, and moves it. */
static bool take(void *out, const unsigned char **p, size_t n)
{
  void **array = out;
  if (n == 0)
    return true;
  *array = malloc(4 * n);
  if (!*array)
    return false;
  memcpy(*array, *p, 4 * n);
  *p += 4 * n;
  return true;
}

vk_status vk_msh_parse(vk_file_mesh *mesh, const void *bytes, size_t n, const char *name,
                       vk_err *err)
{
  int32_t head[4] = {0};
  *mesh = (vk_file_mesh){0};
  if (n < MSH_HEAD)
    return vk_fail(err, VK_E_FORMAT, "%s: %zu bytes, a .msh file has at least %d", name, n,
                   MSH_HEAD);
  memcpy(head, bytes, sizeof head);
  const int32_t v = head[0], f = head[3];
  if (v < 3 || v > VK_FILE_MESH_MAX || f < 1 || f > VK_FILE_MESH_MAX ||
      (head[1] != 0 && head[1] != v) || (head[2] != 0 && head[2] != v))
    return vk_fail(
        err, VK_E_FORMAT,
        "%s: says %d vertices, %d normals, %d texture coordinates and %d triangles, "
        "expected 3 vertices or more, 0 or as many of the others, and 1 triangle or more",
        name, v, head[1], head[2], f);
  const size_t n_vertex = (size_t)v, n_normal = (size_t)head[1], n_texcoord = (size_t)head[2],
               n_triangle = (size_t)f;
  const size_t want = MSH_HEAD + 12 * n_vertex + 12 * n_normal + 8 * n_texcoord + 12 * n_triangle;
  if (n != want)
    return vk_fail(err, VK_E_FORMAT, "%s: %zu bytes, but its numbers need %zu", name, n, want);
  const unsigned char *p = (const unsigned char *)bytes + MSH_HEAD;
  *mesh = (vk_file_mesh){.n_vertex = (uint32_t)n_vertex,
                         .n_normal = (uint32_t)n_normal,
                         .n_texcoord = (uint32_t)n_texcoord,
                         .n_triangle = (uint32_t)n_triangle};
  vk_status st = VK_OK;
  if (!take(&mesh->vertex, &p, 3 * n_vertex) || !take(&mesh->normal, &p, 3 * n_normal) ||
      !take(&mesh->texcoord, &p, 2 * n_texcoord) || !take(&mesh->face, &p, 3 * n_triangle))
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for %zu triangles", name, n_triangle);
  if (st == VK_OK)
    st = vk_file_mesh_check(mesh, name, err);
  if (st != VK_OK)
    vk_file_mesh_free(mesh);
  return st;
}
