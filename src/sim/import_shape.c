#include "sim/import_shape.h"

#include <math.h>
#include <mujoco/mujoco.h>
#include <string.h>
#include <strings.h>

#include "sim/import_msh.h"
#include "sim/import_obj.h"

/* Texture coordinates of a point: [k] = from position. Source: MuJoCo 2.3.7, settexture. */
static void map_point(float t[3], const double p[3], const double repeat[2], bool is_cube)
{
  if (is_cube) {
    for (int k = 0; k < 3; k++)
      t[k] = (float)p[k];
    return;
  }
  t[0] = (float)(0.5 * repeat[0] * p[0] - 0.5);
  t[1] = (float)(-0.5 * repeat[1] * p[1] - 0.5);
  t[2] = 0;
}

static void clear_map(vk_mesh *mesh, uint32_t first)
{
  for (uint32_t i = first; i < mesh->n_vertex; i++)
    memset(mesh->vertex[i].t, 0, sizeof mesh->vertex[i].t);
}

/* What visuals may hold. Also what coarser levels are computed from must be finite. */
static vk_status check_vertices(const vk_mesh *mesh, uint32_t first, const char *what, vk_err *err)
{
  for (uint32_t i = first; i < mesh->n_vertex; i++) {
    const vk_vertex *v = &mesh->vertex[i];
    for (int k = 0; k < 3; k++)
      if (!(fabsf(v->p[k]) <= 1e6f && fabsf(v->t[k]) <= 1e6f))
        return vk_fail(err, VK_E_RANGE,
                       "%.200s: a vertex at %g m with the texture coordinate %g, expected both "
                       "within 1e6: mend its size, scale or texrepeat",
                       what, (double)v->p[k], (double)v->t[k]);
  }
  return VK_OK;
}

/* ---- shapes --------------------------------------------------------------------------------- */

/* Half sizes of a box about a shape; false for a type that is not known or needs a size, of at most
 * 1e6. */
static bool find_half(const char *type, const double size[3], double half[3])
{
  static const struct {
    const char *type;
    int from[3], n;
  } known[] = {{"plane", {0, 1, 2}, 2},     {"sphere", {0, 0, 0}, 1},   {"capsule", {0, 0, 1}, 2},
               {"ellipsoid", {0, 1, 2}, 3}, {"cylinder", {0, 0, 1}, 2}, {"box", {0, 1, 2}, 3}};
  for (size_t i = 0; i < VK_COUNT(known); i++) {
    if (strcmp(known[i].type, type) != 0)
      continue;
    for (int k = 0; k < known[i].n; k++)
      if (!(size[k] > 0 && size[k] <= 1e6))
        return false;
    for (int k = 0; k < 3; k++)
      half[k] = size[known[i].from[k]];
    return true;
  }
  return false;
}

static vk_status add_shape(vk_mesh *out, const char *type, const double half[3], vk_err *err)
{
  const float h[3] = {(float)half[0], (float)half[1], (float)half[2]};
  switch (type[0]) {
  case 'p':
    return vk_mesh_add_plane(out, h, err);
  case 'b':
    return vk_mesh_add_box(out, h, err);
  case 'c':
    return type[1] == 'a' ? vk_mesh_add_capsule(out, h[0], h[2], err)
                          : vk_mesh_add_cylinder(out, h[0], h[2], err);
  default:
    return vk_mesh_add_ellipsoid(out, h, err);
  }
}

/* The renderer scales unit shapes, whose own coordinates it takes: of a capsule, its ends are unit
 * balls about 1 and -1. */
static void unit_point(double u[3], const float p[3], const double half[3], bool is_capsule)
{
  for (int k = 0; k < 3; k++)
    u[k] = half[k] > 0 ? p[k] / half[k] : 0;
  if (is_capsule && fabs(u[2]) > 1)
    u[2] = copysign(1 + (fabs((double)p[2]) - half[2]) / half[0], p[2]);
}

vk_status vk_import_shape(vk_mesh *out, const char *type, const double size[3],
                          const vk_texture_map *map, vk_err *err)
{
  double half[3];
  if (!find_half(type, size, half))
    return vk_fail(err, VK_E_UNSUPPORTED,
                   "a geom of type \"%.40s\" and size %g %g %g cannot be drawn", type, size[0],
                   size[1], size[2]);
  const uint32_t first = out->n_vertex;
  const bool is_plane = type[0] == 'p', is_cube = map->kind == VK_MAP_CUBE;
  VK_TRY(add_shape(out, type, half, err));
  if (map->kind == VK_MAP_NONE)
    clear_map(out, first);
  for (uint32_t i = first; map->kind != VK_MAP_NONE && i < out->n_vertex; i++) {
    vk_vertex *v = &out->vertex[i];
    double u[3], repeat[2] = {map->repeat[0], map->repeat[1]};
    if (is_plane) /* drawn at its size, not scaled, nor has it a third one */
      half[2] = 0;
    unit_point(u, v->p, half, type[0] == 'c' && type[1] == 'a');
    if (map->is_uniform)
      for (int k = 0; k < 3; k++)
        u[k] *= half[k];
    map_point(v->t, u, repeat, is_cube);
  }
  return check_vertices(out, first, type, err);
}

/* ---- meshes --------------------------------------------------------------------------------- */

static bool has_end(const char *file, const char *end)
{
  size_t n = strlen(file), n_end = strlen(end);
  return n >= n_end && strcasecmp(file + n - n_end, end) == 0;
}

static vk_status read_mesh(vk_file_mesh *mesh, const char *file, const void *bytes, size_t n,
                           vk_err *err)
{
  if (has_end(file, ".msh"))
    return vk_msh_parse(mesh, bytes, n, file, err);
  if (has_end(file, ".obj"))
    return vk_obj_parse(mesh, bytes, n, file, err);
  if (!has_end(file, ".stl"))
    return vk_fail(err, VK_E_UNSUPPORTED, "%s: expected a mesh that ends in .msh, .obj or .stl",
                   file);
  vk_stl stl;
  VK_TRY(vk_stl_parse(&stl, bytes, n, file, err));
  vk_status st = vk_file_mesh_of_stl(mesh, &stl, err);
  vk_stl_free(&stl);
  return st;
}

/* Coordinates from the position in MuJoCo's frame. */
static vk_status map_mesh(vk_mesh *out, uint32_t first, const char *file, const void *bytes,
                          size_t n, const double scale[3], const vk_texture_map *map, vk_err *err)
{
  double pos[3], quat[4], R[9], half[3], repeat[2] = {map->repeat[0], map->repeat[1]};
  VK_TRY(vk_file_mesh_frame(bytes, n, file, scale, pos, quat, half, err));
  mju_quat2Mat(R, quat);
  for (int k = 0; k < 2 && !map->is_uniform; k++)
    repeat[k] /= fmax(mjMINVAL, half[k]);
  for (uint32_t i = first; i < out->n_vertex; i++) {
    vk_vertex *v = &out->vertex[i];
    double d[3], p[3];
    for (int k = 0; k < 3; k++)
      d[k] = v->p[k] - pos[k];
    mju_mulMatTVec(p, R, d, 3, 3);
    for (int k = 0; k < 3 && map->kind == VK_MAP_CUBE && map->is_uniform; k++)
      p[k] *= half[k];
    map_point(v->t, p, repeat, map->kind == VK_MAP_CUBE);
  }
  return VK_OK;
}

vk_status vk_import_mesh(vk_mesh *out, const char *file, const void *bytes, size_t n,
                         const double scale[3], const vk_texture_map *map, vk_err *err)
{
  vk_file_mesh mesh;
  const uint32_t first = out->n_vertex;
  if (!(scale[0] > 0 && scale[1] > 0 && scale[2] > 0))
    return vk_fail(err, VK_E_UNSUPPORTED, "%s: scale %g %g %g, expected numbers above 0", file,
                   scale[0], scale[1], scale[2]);
  VK_TRY(read_mesh(&mesh, file, bytes, n, err));
  const bool has_coordinates = mesh.texcoord != NULL;
  vk_status st = vk_file_mesh_draw(out, &mesh, scale, err);
  vk_file_mesh_free(&mesh);
  VK_TRY(st);
  if (map->kind == VK_MAP_CUBE && has_coordinates)
    return vk_fail(err, VK_E_UNSUPPORTED,
                   "%s: has coordinates for a 2D texture, but its material has a cube", file);
  if (map->kind == VK_MAP_NONE)
    clear_map(out, first);
  else if (!has_coordinates)
    VK_TRY(map_mesh(out, first, file, bytes, n, scale, map, err));
  return check_vertices(out, first, file, err);
}
