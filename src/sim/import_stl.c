#include "sim/import_stl.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/mujoco_compat.h"

enum { STL_TRIANGLE_MAX = 1000000 };

static float read_f32(const unsigned char *p)
{
  uint32_t bits = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
  float v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

vk_status vk_stl_parse(vk_stl *stl, const void *bytes, size_t n, const char *name, vk_err *err)
{
  *stl = (vk_stl){0};
  const unsigned char *p = bytes;
  uint32_t n_triangle = 0;
  if (n >= 84)
    n_triangle = p[80] | (uint32_t)p[81] << 8 | (uint32_t)p[82] << 16 | (uint32_t)p[83] << 24;
  if (n_triangle < 1 || n_triangle > STL_TRIANGLE_MAX || n != 84 + 50 * (size_t)n_triangle)
    return vk_fail(err, VK_E_FORMAT, "%s: %zu bytes are no binary STL of %u triangles", name, n,
                   n_triangle);
  float *v = malloc(9 * sizeof *v * n_triangle);
  if (!v)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %u triangles", name, n_triangle);
  for (size_t i = 0; i < 9 * (size_t)n_triangle; i++) {
    v[i] = read_f32(p + 84 + 50 * (i / 9) + 12 + 4 * (i % 9));
    if (!isfinite(v[i])) {
      free(v);
      return vk_fail(err, VK_E_FORMAT, "%s: triangle %zu has a vertex that is not finite", name,
                     i / 9);
    }
  }
  *stl = (vk_stl){n_triangle, v};
  return VK_OK;
}

void vk_stl_free(vk_stl *stl)
{
  free(stl->vertex);
  *stl = (vk_stl){0};
}

/* ---- hull ----------------------------------------------------------------------------------- */

static int compare_vertex(const void *a, const void *b)
{
  const float *p = a, *q = b;
  for (int k = 0; k < 3; k++)
    if (p[k] != q[k])
      return p[k] < q[k] ? -1 : 1;
  return 0;
}

/* The different vertices, sorted: [*n][3], malloc'd. */
static float *unique_vertices(const vk_stl *stl, size_t *n)
{
  size_t n_all = 3 * (size_t)stl->n_triangle;
  float *v = malloc(n_all * 3 * sizeof *v);
  if (!v)
    return NULL;
  memcpy(v, stl->vertex, n_all * 3 * sizeof *v);
  qsort(v, n_all, 3 * sizeof *v, compare_vertex);
  *n = 0;
  for (size_t i = 0; i < n_all; i++)
    if (i == 0 || compare_vertex(v + 3 * i, v + 3 * (*n - 1)) != 0)
      memmove(v + 3 * (*n)++, v + 3 * i, 3 * sizeof *v);
  return v;
}

/* MJCF of a body whose mesh is the points; malloc'd. */
static char *hull_mjcf(const float *v, size_t n)
{
  size_t room = 400 + n * 3 * 24, at = 0;
  char *text = malloc(room);
  if (!text)
    return NULL;
  at += (size_t)snprintf(text, room, "<mujoco><asset><mesh name=\"m\" vertex=\"");
  for (size_t i = 0; i < 3 * n; i++)
    at += (size_t)snprintf(text + at, room - at, "%.9g ", (double)v[i]);
  snprintf(text + at, room - at,
           "\"/></asset><worldbody><geom type=\"mesh\" mesh=\"m\"/></worldbody></mujoco>");
  return text;
}

static int compare_triangle(const void *a, const void *b)
{
  const int *p = a, *q = b;
  for (int k = 0; k < 3; k++)
    if (p[k] != q[k])
      return p[k] < q[k] ? -1 : 1;
  return 0;
}

/* mjModel.mesh_graph: n_vertex, n_face, vert_edgeadr[n_vertex], vert_globalid[n_vertex],
 * edge_localid[n_vertex + 3 n_face], face_globalid[3 n_face] (MuJoCo's documentation of mjModel).
 */
static vk_status take_hull(vk_stl *stl, const mjModel *m, const float *v, size_t n, bool *is_hull,
                           const char *name, vk_err *err)
{
  if (m->nmeshvert != (int)n || m->mesh_graphadr[0] < 0)
    return vk_fail(err, VK_E_FORMAT, "%s: MuJoCo made no convex hull of %zu points", name, n);
  const int *graph = m->mesh_graph + m->mesh_graphadr[0];
  int n_vertex = graph[0], n_face = graph[1];
  *is_hull = n_vertex != (int)n;
  if (!*is_hull)
    return VK_OK;
  const int *face = graph + 2 + 2 * n_vertex + n_vertex + 3 * n_face;
  int *t = malloc(3 * sizeof *t * (size_t)n_face);
  float *out = malloc(9 * sizeof *out * (size_t)n_face);
  if (!t || !out) {
    free(t);
    free(out);
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %d triangles", name, n_face);
  }
  for (int i = 0; i < n_face; i++) {
    const int *f = face + 3 * i;
    int k = f[0] < f[1] && f[0] < f[2] ? 0 : f[1] < f[2] ? 1 : 2;
    for (int j = 0; j < 3; j++)
      t[3 * i + j] = f[(k + j) % 3];
  }
  qsort(t, (size_t)n_face, 3 * sizeof *t, compare_triangle);
  for (int i = 0; i < 3 * n_face; i++)
    memcpy(out + 3 * i, v + 3 * t[i], 3 * sizeof *out);
  free(t);
  vk_stl_free(stl);
  *stl = (vk_stl){(uint32_t)n_face, out};
  return VK_OK;
}

vk_status vk_stl_reduce_to_hull(vk_stl *stl, bool *is_hull, const char *name, vk_err *err)
{
  size_t n = 0;
  char *mjcf = NULL;
  mjVFS *vfs = NULL;
  mjModel *model = NULL;
  vk_status st = VK_OK;
  float *v = unique_vertices(stl, &n);
  if (!v || !(mjcf = hull_mjcf(v, n))) {
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for its convex hull", name);
    goto done;
  }
  VK_TRY_DONE(vk_mujoco_check(err));
  VK_TRY_DONE(vk_vfs_new(&vfs, err));
  st = vk_mujoco_compile(&model, mjcf, vfs, err);
  if (st == VK_OK)
    st = take_hull(stl, model, v, n, is_hull, name, err);
  else
    vk_err_prefix(err, "%s: no convex hull", name);
done:
  if (model)
    mj_deleteModel(model);
  vk_vfs_free(vfs);
  free(mjcf);
  free(v);
  return st;
}
