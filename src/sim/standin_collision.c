/* standin_collision.c - collision geometry of a scene pack as something to look at. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/mjcf.h"
#include "sim/standin_internal.h"
#include "sim/turn.h"

static const vk_pack_attr *find_attr(const vk_pack *pack, uint32_t elem, int key)
{
  const vk_pack_elem *e = &pack->elem[elem];
  for (uint32_t i = 0; i < e->n_attr; i++)
    if (pack->attr[e->attr + i].key == key)
      return &pack->attr[e->attr + i];
  return NULL;
}

const double *vk_standin_elem_numbers(const vk_pack *pack, uint32_t elem, int key, int *n)
{
  const vk_pack_attr *attr = find_attr(pack, elem, key);
  *n = attr ? attr->n : 0;
  return *n ? pack->num + attr->value : NULL;
}

const char *vk_standin_elem_text(const vk_pack *pack, uint32_t elem, int key)
{
  const vk_pack_attr *attr = find_attr(pack, elem, key);
  return attr && attr->n == 0 ? vk_pack_text(pack, attr->value) : NULL;
}

/* ---- meshes --------------------------------------------------------------------------------- */

/* A corner of a triangle while equal points are joined. */
typedef struct corner {
  float p[3];
  uint32_t at; /* 3 * triangle + corner */
} corner;

static int compare_corners(const void *a, const void *b)
{
  const corner *x = a, *y = b;
  for (int k = 0; k < 3; k++)
    if (x->p[k] != y->p[k])
      return x->p[k] < y->p[k] ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

/* Twice the area times the normal of each triangle. */
static void set_normals(const float *p, uint32_t n, double (*normal)[3])
{
  for (uint32_t i = 0; i < n; i++, p += 9)
    for (int k = 0; k < 3; k++) {
      const int a = (k + 1) % 3, b = (k + 2) % 3;
      normal[i][k] = ((double)p[3 + a] - p[a]) * ((double)p[6 + b] - p[b]) -
                     ((double)p[3 + b] - p[b]) * ((double)p[6 + a] - p[a]);
    }
}

static double dot(const double a[3], const double b[3])
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* The normal at a corner: the mean of those triangles at its point that are not beyond an edge. */
static bool corner_normal(const corner *same, uint32_t n_same, uint32_t triangle,
                          double (*normal)[3], double crease_cos, float out[3])
{
  const double *own = normal[triangle];
  double sum[3] = {0};
  for (uint32_t i = 0; i < n_same; i++) {
    const double *other = normal[same[i].at / 3];
    const double scale = sqrt(dot(own, own) * dot(other, other));
    if (scale > 0 && dot(own, other) >= crease_cos * scale)
      for (int k = 0; k < 3; k++)
        sum[k] += other[k];
  }
  const double l = sqrt(dot(sum, sum));
  for (int k = 0; k < 3; k++)
    out[k] = l > 0 ? (float)(sum[k] / l) : 0;
  return l > 0;
}

/* Vertices are shared by corners of one point and one normal. */
static vk_status join_point(vk_mesh *out, const corner *same, uint32_t n_same, double (*normal)[3],
                            double crease_cos, uint32_t *vertex_of, vk_err *err)
{
  const uint32_t first = out->n_vertex;
  for (uint32_t i = 0; i < n_same; i++) {
    vk_vertex v = {{same[i].p[0], same[i].p[1], same[i].p[2]}, {0}, {0}};
    vertex_of[same[i].at] = UINT32_MAX;
    if (!corner_normal(same, n_same, same[i].at / 3, normal, crease_cos, v.n))
      continue;
    uint32_t j = first;
    while (j < out->n_vertex && memcmp(out->vertex[j].n, v.n, sizeof v.n) != 0)
      j++;
    if (j == out->n_vertex)
      VK_TRY(vk_mesh_add_vertex(out, &v, err));
    vertex_of[same[i].at] = j;
  }
  return VK_OK;
}

/* Shades n triangles of nine numbers smoothly, but for edges. */
static vk_status shade(vk_mesh *out, const float *p, uint32_t n, double crease_cos, vk_err *err)
{
  vk_status st = VK_OK;
  corner *corners = malloc(3 * (size_t)n * sizeof *corners + 1);
  double(*normal)[3] = malloc((size_t)n * sizeof *normal + 1);
  uint32_t *vertex_of = malloc(3 * (size_t)n * sizeof *vertex_of + 1);
  if (!corners || !normal || !vertex_of) {
    st = vk_fail(err, VK_E_NOMEM, "no memory for a mesh of %u triangles", n);
    goto done;
  }
  set_normals(p, n, normal);
  for (uint32_t i = 0; i < 3 * n; i++) {
    memcpy(corners[i].p, p + (size_t)3 * i, sizeof corners[i].p);
    corners[i].at = i;
  }
  qsort(corners, 3 * (size_t)n, sizeof *corners, compare_corners);
  for (uint32_t i = 0, j; i < 3 * n; i = j) {
    for (j = i + 1; j < 3 * n && memcmp(corners[i].p, corners[j].p, sizeof corners[i].p) == 0;)
      j++;
    VK_TRY_DONE(join_point(out, corners + i, j - i, normal, crease_cos, vertex_of, err));
  }
  for (uint32_t i = 0; i < n; i++) {
    const uint32_t *v = vertex_of + (size_t)3 * i;
    if (v[0] != UINT32_MAX && v[1] != UINT32_MAX && v[2] != UINT32_MAX)
      VK_TRY_DONE(vk_mesh_add_triangle(out, v[0], v[1], v[2], err));
  }
done:
  free(corners);
  free(normal);
  free(vertex_of);
  return st;
}

/* ---- coarser meshes ------------------------------------------------------------------------- */

/* A corner while those in one cell of a grid are joined. */
typedef struct cell_corner {
  int32_t cell[3];
  uint32_t at;
  double r2; /* squared distance from the middle of the mesh */
} cell_corner;

static int compare_cells(const void *a, const void *b)
{
  const cell_corner *x = a, *y = b;
  for (int k = 0; k < 3; k++)
    if (x->cell[k] != y->cell[k])
      return x->cell[k] < y->cell[k] ? -1 : 1;
  if (x->r2 != y->r2)
    return x->r2 > y->r2 ? -1 : 1;
  return x->at < y->at ? -1 : x->at > y->at;
}

static void set_cells(const float *p, uint32_t n, double side_m, cell_corner *out)
{
  double lo[3] = {p[0], p[1], p[2]}, hi[3] = {p[0], p[1], p[2]};
  for (uint32_t i = 0; i < 3 * n; i++)
    for (int k = 0; k < 3; k++) {
      lo[k] = fmin(lo[k], p[3 * (size_t)i + (size_t)k]);
      hi[k] = fmax(hi[k], p[3 * (size_t)i + (size_t)k]);
    }
  for (uint32_t i = 0; i < 3 * n; i++) {
    out[i] = (cell_corner){.at = i};
    for (int k = 0; k < 3; k++) {
      const double x = p[3 * (size_t)i + (size_t)k], d = x - (lo[k] + hi[k]) / 2;
      const double cell = floor((x - lo[k]) / side_m);
      out[i].cell[k] = cell < 1e6 ? (int32_t)cell : 1000000;
      out[i].r2 += d * d;
    }
  }
}

/* Moves the corners of each cell to the outermost of them, so that a hull keeps its size, and drops
 * the triangles that have then no area. Returns how many remain. */
static uint32_t join_cells(float *p, uint32_t n, double side_m, cell_corner *corners, float *moved)
{
  set_cells(p, n, side_m, corners);
  qsort(corners, 3 * (size_t)n, sizeof *corners, compare_cells);
  for (uint32_t i = 0, first = 0; i < 3 * n; i++) {
    if (memcmp(corners[i].cell, corners[first].cell, sizeof corners[i].cell) != 0)
      first = i;
    memcpy(moved + 3 * (size_t)corners[i].at, p + 3 * (size_t)corners[first].at, 3 * sizeof *p);
  }
  uint32_t n_kept = 0;
  for (uint32_t i = 0; i < n; i++) {
    const float *t = moved + 9 * (size_t)i;
    if (memcmp(t, t + 3, 12) != 0 && memcmp(t, t + 6, 12) != 0 && memcmp(t + 3, t + 6, 12) != 0)
      memcpy(p + 9 * (size_t)n_kept++, t, 9 * sizeof *p);
  }
  return n_kept;
}

enum { FINE_MAX = 400 }; /* triangles of a mesh that is drawn as it is */

static vk_status add_mesh_levels(vk_standin_solid *solid, const float *p, uint32_t n, vk_err *err)
{
  static const double side_m[VK_STANDIN_LEVELS] = {0.010, 0.018, 0.036};
  static const double crease_cos = 0.77, ball_m = 0.05;
  vk_status st = VK_OK;
  float *own = malloc(9 * (size_t)n * sizeof *own + 1),
        *moved = malloc(9 * (size_t)n * sizeof *own + 1);
  cell_corner *corners = malloc(3 * (size_t)n * sizeof *corners + 1);
  if (!own || !moved || !corners) {
    st = vk_fail(err, VK_E_NOMEM, "no memory for a mesh of %u triangles", n);
    goto done;
  }
  memcpy(own, p, 9 * (size_t)n * sizeof *own);
  for (int k = 0; k < VK_STANDIN_LEVELS && n > 0; k++) {
    if (k > 0 || n > FINE_MAX)
      n = join_cells(own, n, side_m[k], corners, moved);
    /* What a chord across a cell cuts off a ball of 5 cm. */
    const double error_m = 3 * side_m[k] * side_m[k] / (8 * ball_m);
    solid->error_m[k] = fmaxf(solid->error_m[k], (float)error_m);
    VK_TRY_DONE(shade(&solid->level[k], own, n, crease_cos, err));
  }
done:
  free(own);
  free(moved);
  free(corners);
  return st;
}

vk_status vk_standin_source_init(vk_standin_source *source, const vk_pack *pack, vk_err *err)
{
  source->pack = pack;
  source->mesh = calloc(pack->n_mesh + 1, sizeof *source->mesh);
  return source->mesh ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for %zu meshes", pack->n_mesh);
}

void vk_standin_source_fini(vk_standin_source *source)
{
  for (size_t i = 0; source->mesh && i < source->pack->n_mesh; i++)
    vk_standin_solid_free(&source->mesh[i]);
  free(source->mesh);
}

static vk_status add_mesh(vk_standin_solid *solid, vk_standin_source *source, const char *name,
                          vk_err *err)
{
  const vk_pack *pack = source->pack;
  for (size_t i = 0; i < pack->n_mesh; i++) {
    const vk_pack_mesh *m = &pack->mesh[i];
    if (m->n_triangle == 0 || strcmp(vk_pack_text(pack, m->name), name) != 0)
      continue;
    if (source->mesh[i].level[0].n_vertex == 0)
      VK_TRY(add_mesh_levels(&source->mesh[i], pack->f32 + m->first, m->n_triangle, err));
    return vk_standin_put(solid, &source->mesh[i], &vk_standin_here, err);
  }
  return VK_OK;
}

/* ---- geoms ---------------------------------------------------------------------------------- */

/* Cylinder, and with caps a capsule, along z. */
static vk_status add_round(vk_standin_solid *solid, double radius_m, double half_m, bool is_capsule,
                           vk_err *err)
{
  enum { N_CAP = 5 };
  double p[2 * N_CAP + 2][2];
  int n = 0;
  if (!is_capsule) {
    const double q[4][2] = {{0, -half_m}, {radius_m, -half_m}, {radius_m, half_m}, {0, half_m}};
    memcpy(p, q, sizeof q);
    n = 4;
  }
  for (int i = 0; is_capsule && i < 2 * (N_CAP + 1); i++) {
    const int sign = i <= N_CAP ? -1 : 1;
    double c, s;
    vk_turn_cos_sin((i <= N_CAP ? i - N_CAP : i - N_CAP - 1) / (4.0 * N_CAP), &c, &s);
    p[n][0] = radius_m * c;
    p[n++][1] = sign * half_m + radius_m * s;
  }
  const vk_standin_lathe l = {.profile = p[0],
                              .n_point = n,
                              .n_side = 16,
                              .arc = {0, 1},
                              .scale = {1, 1, 1},
                              .tile = {1, 1},
                              .crease_cos = 0.5};
  return vk_standin_add_lathe(solid, &l, err);
}

static vk_standin_place geom_place(const vk_pack *pack, uint32_t geom)
{
  vk_standin_place place = vk_standin_here;
  int n = 0;
  const double *euler = vk_standin_elem_numbers(pack, geom, VK_MJCF_KEY_EULER, &n);
  if (n == 3)
    for (int axis = 2; axis >= 0; axis--) /* about x, then the new y, then the new z */
      vk_standin_turn(&place, axis, euler[axis] * 57.29577951308232);
  const double *quat = vk_standin_elem_numbers(pack, geom, VK_MJCF_KEY_QUAT, &n);
  if (n == 4)
    vk_standin_quat(place.R, quat);
  const double *pos = vk_standin_elem_numbers(pack, geom, VK_MJCF_KEY_POS, &n);
  if (n == 3)
    memcpy(place.pos, pos, sizeof place.pos);
  return place;
}

static vk_status add_geom(vk_standin_solid *solid, vk_standin_source *source, uint32_t geom,
                          const double repeat_m[2], vk_err *err)
{
  const vk_pack *pack = source->pack;
  const char *type = vk_standin_elem_text(pack, geom, VK_MJCF_KEY_TYPE);
  const char *mesh = vk_standin_elem_text(pack, geom, VK_MJCF_KEY_MESH);
  int n = 0;
  const double *size = vk_standin_elem_numbers(pack, geom, VK_MJCF_KEY_SIZE, &n);
  if (!type)
    type = "sphere";
  if (mesh && strcmp(type, "mesh") == 0)
    return add_mesh(solid, source, mesh, err);
  for (int i = 0; i < n; i++)
    if (!(size[i] > 0))
      return VK_OK;
  if (n >= 3 && strcmp(type, "box") == 0)
    return vk_standin_add_box(solid, size, repeat_m, err);
  if (n >= 3 && strcmp(type, "ellipsoid") == 0)
    return vk_standin_add_ball(solid, size, 16, err);
  if (n >= 1 && strcmp(type, "sphere") == 0)
    return vk_standin_add_ball(solid, (const double[3]){size[0], size[0], size[0]}, 16, err);
  if (n >= 2 && (strcmp(type, "cylinder") == 0 || strcmp(type, "capsule") == 0))
    return add_round(solid, size[0], size[1], type[1] == 'a', err);
  return VK_OK; /* planes are the arena's own matter */
}

static bool is_named(const cJSON *only, const char *name)
{
  const cJSON *c;
  cJSON_ArrayForEach(c, only)
  {
    if (cJSON_IsString(c) && name && strcmp(c->valuestring, name) == 0)
      return true;
  }
  return false;
}

vk_status vk_standin_collision(vk_standin_solid *solid, vk_standin_source *source, uint32_t body,
                               const cJSON *only, const double repeat_m[2], vk_err *err)
{
  const vk_pack *pack = source->pack;
  for (uint32_t i = pack->elem[body].first_child; i != VK_PACK_NONE;
       i = pack->elem[i].next_sibling) {
    if (pack->elem[i].tag != VK_MJCF_TAG_GEOM ||
        (only && !is_named(only, vk_standin_elem_text(pack, i, VK_MJCF_KEY_NAME))))
      continue;
    vk_standin_solid part = {0};
    const vk_standin_place place = geom_place(pack, i);
    vk_status st = add_geom(&part, source, i, repeat_m, err);
    if (st == VK_OK)
      st = vk_standin_put(solid, &part, &place, err);
    vk_standin_solid_free(&part);
    VK_TRY(st);
  }
  return VK_OK;
}
