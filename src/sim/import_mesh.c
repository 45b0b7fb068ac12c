#include "sim/import_mesh.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/mujoco_compat.h"

/* A face counts for the normal of its vertex, and a vertex's normal for a corner, when the cosine
 * of the angle between them is not less. */
static const double cos_smooth = 0.8;

void vk_file_mesh_free(vk_file_mesh *mesh)
{
  free(mesh->vertex);
  free(mesh->normal);
  free(mesh->texcoord);
  free(mesh->face);
  free(mesh->face_normal);
  free(mesh->face_texcoord);
  *mesh = (vk_file_mesh){0};
}

/* ---- checks --------------------------------------------------------------------------------- */

static vk_status check_floats(const float *f, uint32_t n, int width, const char *what,
                              const char *name, vk_err *err)
{
  for (size_t i = 0; i < (size_t)n * (size_t)width; i++)
    if (!(fabsf(f[i]) <= 1e6f))
      return vk_fail(err, VK_E_FORMAT, "%s: %s %zu is %g, expected a number within 1e6", name, what,
                     i / (size_t)width, (double)f[i]);
  return VK_OK;
}

static vk_status check_indices(const uint32_t *index, uint32_t n_triangle, uint32_t n_item,
                               const char *what, const char *name, vk_err *err)
{
  for (size_t i = 0; i < 3 * (size_t)n_triangle; i++)
    if (index[i] >= n_item) {
      char number[16] = "no";
      if (index[i] != UINT32_MAX)
        snprintf(number, sizeof number, "%u as its", index[i]);
      return vk_fail(err, VK_E_FORMAT, "%s: triangle %zu has %s %s, expected one of %u", name,
                     i / 3, number, what, n_item);
    }
  return VK_OK;
}

vk_status vk_file_mesh_check(const vk_file_mesh *mesh, const char *name, vk_err *err)
{
  const uint32_t n = mesh->n_triangle;
  if (n == 0)
    return vk_fail(err, VK_E_FORMAT, "%s: the mesh has no triangle", name);
  VK_TRY(check_floats(mesh->vertex, mesh->n_vertex, 3, "vertex", name, err));
  VK_TRY(check_floats(mesh->normal, mesh->n_normal, 3, "normal", name, err));
  VK_TRY(check_floats(mesh->texcoord, mesh->n_texcoord, 2, "texture coordinate", name, err));
  VK_TRY(check_indices(mesh->face, n, mesh->n_vertex, "vertex", name, err));
  if (mesh->normal)
    VK_TRY(check_indices(mesh->face_normal ? mesh->face_normal : mesh->face, n, mesh->n_normal,
                         "normal", name, err));
  if (mesh->texcoord)
    VK_TRY(check_indices(mesh->face_texcoord ? mesh->face_texcoord : mesh->face, n,
                         mesh->n_texcoord, "texture coordinate", name, err));
  return VK_OK;
}

/* ---- STL ------------------------------------------------------------------------------------ */

typedef struct corner {
  float p[3];
  uint32_t i;
} corner;

static int compare_corner(const void *a, const void *b)
{
  const corner *p = a, *q = b;
  for (int k = 0; k < 3; k++)
    if (p->p[k] != q->p[k])
      return p->p[k] < q->p[k] ? -1 : 1;
  return p->i < q->i ? -1 : p->i > q->i;
}

vk_status vk_file_mesh_of_stl(vk_file_mesh *mesh, const vk_stl *stl, vk_err *err)
{
  size_t n = 3 * (size_t)stl->n_triangle;
  corner *c = malloc(n * sizeof *c);
  *mesh = (vk_file_mesh){.n_triangle = stl->n_triangle,
                         .vertex = malloc(n * 3 * sizeof(float)),
                         .face = malloc(n * sizeof(uint32_t))};
  if (!c || !mesh->vertex || !mesh->face) {
    free(c);
    vk_file_mesh_free(mesh);
    return vk_fail(err, VK_E_NOMEM, "no memory for a mesh of %u triangles", stl->n_triangle);
  }
  for (size_t i = 0; i < n; i++) {
    memcpy(c[i].p, stl->vertex + 3 * i, sizeof c[i].p);
    c[i].i = (uint32_t)i;
  }
  qsort(c, n, sizeof *c, compare_corner);
  for (size_t i = 0; i < n; i++) {
    const float *p = c[i].p, *q = i ? c[i - 1].p : NULL;
    if (!q || p[0] != q[0] || p[1] != q[1] || p[2] != q[2])
      memcpy(mesh->vertex + 3 * (size_t)mesh->n_vertex++, p, sizeof c[i].p);
    mesh->face[c[i].i] = mesh->n_vertex - 1;
  }
  free(c);
  return VK_OK;
}

/* ---- normals -------------------------------------------------------------------------------- */

/* Normal of a triangle; returns twice its area. */
static double face_normal(double out[3], const float *a, const float *b, const float *c)
{
  const double u[3] = {b[0] - a[0], b[1] - a[1], b[2] - a[2]};
  const double v[3] = {c[0] - a[0], c[1] - a[1], c[2] - a[2]};
  mju_cross(out, u, v);
  return mju_normalize3(out);
}

static double dot_unit(const double n[3], const float *f)
{
  double v[3] = {f[0], f[1], f[2]};
  mju_normalize3(v);
  return mju_dot3(n, v);
}

/* Adds the normals of faces to their vertices; with `of`, of the faces that turn away from it. */
static void add_normals(float *to, const vk_file_mesh *m, const float *of)
{
  for (size_t i = 0; i < m->n_triangle; i++) {
    const uint32_t *f = m->face + 3 * i;
    double n[3];
    double weight = face_normal(n, m->vertex + 3 * (size_t)f[0], m->vertex + 3 * (size_t)f[1],
                                m->vertex + 3 * (size_t)f[2]);
    for (int j = 0; j < 3; j++) {
      float *v = to + 3 * (size_t)f[j];
      if (of && dot_unit(n, of + 3 * (size_t)f[j]) >= cos_smooth)
        continue;
      for (int k = 0; k < 3; k++)
        v[k] = (float)(v[k] + n[k] * weight);
    }
  }
}

static void normalize(float *v)
{
  float length = sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
  for (int k = 0; k < 3; k++)
    v[k] = length > (float)mjMINVAL ? v[k] / length : (float)(k == 2);
}

/* Unit normals of the vertices as the file has them, before any scale, as MuJoCo makes them;
 * [n_vertex, 3]; malloc'd. */
static float *make_normals(const vk_file_mesh *m)
{
  size_t n = 3 * (size_t)m->n_vertex;
  float *normal = calloc(n, sizeof *normal), *away = calloc(n, sizeof *away);
  if (!normal || !away) {
    free(normal);
    free(away);
    return NULL;
  }
  add_normals(normal, m, NULL);
  add_normals(away, m, normal);
  for (size_t i = 0; i < n; i++)
    normal[i] -= away[i];
  for (size_t i = 0; i < m->n_vertex; i++)
    normalize(normal + 3 * i);
  free(away);
  return normal;
}

/* ---- drawing -------------------------------------------------------------------------------- */

typedef struct drawing {
  const vk_file_mesh *mesh;
  const float *normal;
  const uint32_t *face_normal;
  const double *scale;
} drawing;

static void draw_triangle(vk_vertex v[3], const drawing *d, size_t i)
{
  const vk_file_mesh *m = d->mesh;
  for (int j = 0; j < 3; j++) {
    const float *p = m->vertex + 3 * (size_t)m->face[3 * i + (size_t)j];
    const float *n = d->normal + 3 * (size_t)d->face_normal[3 * i + (size_t)j];
    v[j] = (vk_vertex){{0}, {0}, {0}};
    for (int k = 0; k < 3; k++) {
      v[j].p[k] = (float)(p[k] * d->scale[k]);
      v[j].n[k] = (float)(n[k] * d->scale[k]);
    }
    normalize(v[j].n);
    if (m->texcoord) {
      const uint32_t *index = m->face_texcoord ? m->face_texcoord : m->face;
      memcpy(v[j].t, m->texcoord + 2 * (size_t)index[3 * i + (size_t)j], 2 * sizeof v[j].t[0]);
    }
  }
  double n[3];
  if (m->texcoord || face_normal(n, v[0].p, v[1].p, v[2].p) < mjMINVAL)
    return;
  for (int j = 0; j < 3; j++)
    if (n[0] * v[j].n[0] + n[1] * v[j].n[1] + n[2] * v[j].n[2] < cos_smooth)
      for (int k = 0; k < 3; k++)
        v[j].n[k] = (float)n[k];
}

vk_status vk_file_mesh_draw(vk_mesh *out, const vk_file_mesh *mesh, const double scale[3],
                            vk_err *err)
{
  VK_ASSERT(scale[0] > 0 && scale[1] > 0 && scale[2] > 0);
  float *made = mesh->normal ? NULL : make_normals(mesh);
  if (!mesh->normal && !made)
    return vk_fail(err, VK_E_NOMEM, "no memory for the normals of %u vertices", mesh->n_vertex);
  const drawing d = {mesh, made ? made : mesh->normal,
                     made || !mesh->face_normal ? mesh->face : mesh->face_normal, scale};
  vk_status st = VK_OK;
  for (size_t i = 0; i < mesh->n_triangle; i++) {
    vk_vertex v[3];
    draw_triangle(v, &d, i);
    for (int j = 0; j < 3; j++)
      VK_TRY_DONE(vk_mesh_add_vertex(out, &v[j], err));
    VK_TRY_DONE(
        vk_mesh_add_triangle(out, out->n_vertex - 3, out->n_vertex - 2, out->n_vertex - 1, err));
  }
done:
  free(made);
  return st;
}

/* ---- MuJoCo's frame ------------------------------------------------------------------------- */

vk_status vk_file_mesh_frame(const void *bytes, size_t n, const char *file, const double scale[3],
                             double pos[3], double quat[4], double half_size[3], vk_err *err)
{
  const char *dot = strrchr(file, '.');
  char mjcf[400], name[16];
  snprintf(name, sizeof name, "m%.5s", dot ? dot : "");
  snprintf(mjcf, sizeof mjcf,
           "<mujoco><asset><mesh name=\"m\" file=\"%s\" scale=\"%.17g %.17g %.17g\"/></asset>"
           "<worldbody><geom type=\"mesh\" mesh=\"m\" contype=\"0\" conaffinity=\"0\"/>"
           "</worldbody></mujoco>",
           name, scale[0], scale[1], scale[2]);
  mjVFS *vfs = NULL;
  mjModel *model = NULL;
  vk_status st = VK_OK;
  VK_TRY_DONE(vk_mujoco_check(err));
  VK_TRY_DONE(vk_vfs_new(&vfs, err));
  VK_TRY_DONE(vk_vfs_add(vfs, name, bytes, n, err));
  st = vk_mujoco_compile(&model, mjcf, vfs, err);
  if (st != VK_OK) {
    vk_err_prefix(err, "%s", file);
    goto done;
  }
  mju_copy3(pos, model->geom_pos);
  mju_copy4(quat, model->geom_quat);
  mju_copy3(half_size, model->geom_size);
done:
  if (model)
    mj_deleteModel(model);
  vk_vfs_free(vfs);
  return st;
}
