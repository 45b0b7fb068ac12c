#include <math.h>
#include <stdbool.h>

#include "sim/mesh.h"
#include "sim/turn.h"

/* MuJoCo's <quality>: subdivisions that its light, computed at vertices, depends on. */
enum { N_SLICE = 28, N_STACK = 16, N_QUAD = 4, N_GRID_MAX = 200 };

/* A patch of quads over (u, v) in [0, 1] x [0, 1], whose outside is where du x dv points. */
typedef struct patch {
  int n_u, n_v;
  void (*at)(const void *shape, double u, double v, vk_vertex *out);
  const void *shape;
  bool is_turned; /* quads are cut from their corner (0, 0) to (1, 1), not along the other diagonal
                   */
} patch;

/* Quads of which two corners coincide (poles) become one triangle. */
static bool is_same(const vk_mesh *mesh, uint32_t a, uint32_t b)
{
  const float *p = mesh->vertex[a].p, *q = mesh->vertex[b].p;
  return p[0] == q[0] && p[1] == q[1] && p[2] == q[2];
}

static vk_status add_patch(vk_mesh *mesh, const patch *of, vk_err *err)
{
  const uint32_t first = mesh->n_vertex, row = (uint32_t)of->n_u + 1;
  for (int j = 0; j <= of->n_v; j++)
    for (int i = 0; i <= of->n_u; i++) {
      vk_vertex v = {{0}, {0}, {0}};
      of->at(of->shape, (double)i / of->n_u, (double)j / of->n_v, &v);
      VK_TRY(vk_mesh_add_vertex(mesh, &v, err));
    }
  for (uint32_t j = 0; j < (uint32_t)of->n_v; j++)
    for (uint32_t i = 0; i < (uint32_t)of->n_u; i++) {
      const uint32_t a = first + j * row + i, b = a + 1, c = b + row, d = a + row;
      if (!is_same(mesh, a, b))
        VK_TRY(vk_mesh_add_triangle(mesh, a, b, of->is_turned ? c : d, err));
      if (!is_same(mesh, c, d))
        VK_TRY(vk_mesh_add_triangle(mesh, of->is_turned ? a : b, c, d, err));
    }
  return VK_OK;
}

/* Texture coordinates of a vertex: its position divided by the half sizes. */
static void set_texture(vk_vertex *v, const float half[3])
{
  for (int k = 0; k < 3; k++)
    v->t[k] = half[k] > 0 ? v->p[k] / half[k] : 0;
}

/* ---- flat shapes ---------------------------------------------------------------------------- */

typedef struct face {
  int axis, sign; /* of the normal */
  const float *half;
} face;

static void face_at(const void *shape, double u, double v, vk_vertex *out)
{
  const face *f = shape;
  const int a = (f->axis + 1) % 3, b = (f->axis + 2) % 3;
  out->p[f->axis] = (float)f->sign * f->half[f->axis];
  out->p[a] = (float)((2 * u - 1) * f->sign) * f->half[a];
  out->p[b] = (float)(2 * v - 1) * f->half[b];
  out->n[f->axis] = (float)f->sign;
  set_texture(out, f->half);
}

/* Light is interpolated over triangles, so the diagonals are those of MuJoCo's quads in OpenGL. */
vk_status vk_mesh_add_box(vk_mesh *mesh, const float half_size_m[3], vk_err *err)
{
  for (int axis = 0; axis < 3; axis++)
    for (int sign = -1; sign <= 1; sign += 2) {
      const face f = {axis, sign, half_size_m};
      VK_TRY(add_patch(mesh, &(patch){N_QUAD, N_QUAD, face_at, &f, axis == 1}, err));
    }
  return VK_OK;
}

static int grid(float half_m, float spacing_m)
{
  /* as MuJoCo: the cells are twice as wide */
  const double n = spacing_m > 0 ? floor((double)half_m / spacing_m) : 1;
  return n < 1 ? 1 : n > N_GRID_MAX ? N_GRID_MAX : (int)n;
}

vk_status vk_mesh_add_plane(vk_mesh *mesh, const float size_m[3], vk_err *err)
{
  const float half[3] = {size_m[0], size_m[1], 0};
  const face f = {2, 1, half};
  return add_patch(
      mesh, &(patch){grid(half[0], size_m[2]), grid(half[1], size_m[2]), face_at, &f, false}, err);
}

/* ---- round shapes --------------------------------------------------------------------------- */

/* Half a ball with its pole at sign * z, moved along z. */
typedef struct dome {
  const float *radius_m; /* [3] */
  int sign;
  float z_m;
} dome;

static void dome_at(const void *shape, double u, double v, vk_vertex *out)
{
  const dome *d = shape;
  double c_az, s_az, c_el, s_el, n[3], n2 = 0;
  vk_turn_cos_sin(u * d->sign, &c_az, &s_az);
  vk_turn_cos_sin(v / 4, &c_el, &s_el);
  const double unit[3] = {c_az * c_el, s_az * c_el, s_el * d->sign};
  for (int k = 0; k < 3; k++) {
    out->p[k] = (float)(d->radius_m[k] * unit[k]);
    n[k] = d->radius_m[k] > 0 ? unit[k] / d->radius_m[k] : 0;
    n2 += n[k] * n[k];
  }
  for (int k = 0; k < 3; k++)
    out->n[k] = n2 > 0 ? (float)(n[k] / sqrt(n2)) : (float)(k == 2);
  out->p[2] += d->z_m;
}

typedef struct tube {
  float radius_m, half_m;
} tube;

static void tube_at(const void *shape, double u, double v, vk_vertex *out)
{
  const tube *t = shape;
  double c, s;
  vk_turn_cos_sin(u, &c, &s);
  out->p[0] = (float)(t->radius_m * c);
  out->p[1] = (float)(t->radius_m * s);
  out->p[2] = (float)((2 * v - 1) * t->half_m);
  out->n[0] = (float)c;
  out->n[1] = (float)s;
}

typedef struct disk {
  float radius_m, z_m;
  int sign;
} disk;

static void disk_at(const void *shape, double u, double v, vk_vertex *out)
{
  const disk *d = shape;
  double c, s;
  vk_turn_cos_sin(u * d->sign, &c, &s);
  out->p[0] = (float)(d->radius_m * (1 - v) * c);
  out->p[1] = (float)(d->radius_m * (1 - v) * s);
  out->p[2] = d->z_m;
  out->n[2] = (float)d->sign;
}

static void set_textures(vk_mesh *mesh, uint32_t first, const float half[3])
{
  for (uint32_t i = first; i < mesh->n_vertex; i++)
    set_texture(&mesh->vertex[i], half);
}

vk_status vk_mesh_add_ellipsoid(vk_mesh *mesh, const float half_size_m[3], vk_err *err)
{
  const uint32_t first = mesh->n_vertex;
  for (int sign = -1; sign <= 1; sign += 2) {
    const dome d = {half_size_m, sign, 0};
    VK_TRY(add_patch(mesh, &(patch){N_SLICE, N_STACK / 2, dome_at, &d, false}, err));
  }
  set_textures(mesh, first, half_size_m);
  return VK_OK;
}

vk_status vk_mesh_add_cylinder(vk_mesh *mesh, float radius_m, float half_length_m, vk_err *err)
{
  const uint32_t first = mesh->n_vertex;
  const tube t = {radius_m, half_length_m};
  VK_TRY(add_patch(mesh, &(patch){N_SLICE, N_STACK, tube_at, &t, false}, err));
  for (int sign = -1; sign <= 1; sign += 2) {
    const disk d = {radius_m, (float)sign * half_length_m, sign};
    VK_TRY(add_patch(mesh, &(patch){N_SLICE, N_STACK / 2, disk_at, &d, false}, err));
  }
  set_textures(mesh, first, (const float[3]){radius_m, radius_m, half_length_m});
  return VK_OK;
}

vk_status vk_mesh_add_capsule(vk_mesh *mesh, float radius_m, float half_length_m, vk_err *err)
{
  const uint32_t first = mesh->n_vertex;
  const tube t = {radius_m, half_length_m};
  const float radius[3] = {radius_m, radius_m, radius_m};
  VK_TRY(add_patch(mesh, &(patch){N_SLICE, N_STACK, tube_at, &t, false}, err));
  for (int sign = -1; sign <= 1; sign += 2) {
    const dome d = {radius, sign, (float)sign * half_length_m};
    VK_TRY(add_patch(mesh, &(patch){N_SLICE, N_STACK / 2, dome_at, &d, false}, err));
  }
  set_textures(mesh, first, (const float[3]){radius_m, radius_m, half_length_m + radius_m});
  return VK_OK;
}
