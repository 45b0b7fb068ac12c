#include <math.h>
#include <meshoptimizer.h>
#include <stdlib.h>
#include <string.h>

#include "sim/mesh_distance.h"

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

/* ---- the fine mesh -------------------------------------------------------------------------- */

/* Normals that differ by less belong to one smooth surface: 30 degrees. */
static const double cos_smooth = 0.8660254;

/* Up to here all that light shows of a surface is there, sharp edges above all. */
static const double finest_off_m = 0.1e-3;

/* A fine normal belongs to a coarse triangle when it is not further from its own: 37 degrees. */
static const double cos_smooth_face = 0.8;

/* Of the distances of the fine surface, by area, so many are not above the error: what is left are
 * slivers and bits that fall off, which no picture shows. */
static const double error_share = 0.99;

/* A corner of the fine mesh: what it adds to the normal of its place. */
typedef struct fine_corner {
  float n[3];
  float weight; /* the triangle's area times the angle at the corner */
} fine_corner;

/* What the levels of a mesh are made from. Vertices that differ in their normals alone are one
 * here, as the simplifier takes vertices of one position but of several numbers for seams; places
 * are vertices of one position. */
typedef struct fine_mesh {
  const vk_mesh *mesh;
  uint32_t n_vertex, n_place;
  float (*p)[3];        /* [n_vertex] */
  uint32_t *index;      /* [3 * n_triangle] */
  uint32_t *vertex;     /* [n_vertex] a vertex of mesh */
  uint32_t *place;      /* [n_vertex] */
  float (*place_p)[3];  /* [n_place] */
  float *place_area_m2; /* [n_place] a third of that of its triangles */
  uint32_t *first;      /* [n_place + 1] into corner */
  fine_corner *corner;  /* [3 * n_triangle] */
} fine_mesh;

static void fine_free(fine_mesh *f)
{
  free(f->p);
  free(f->index);
  free(f->vertex);
  free(f->place);
  free(f->place_p);
  free(f->place_area_m2);
  free(f->first);
  free(f->corner);
}

static double unit_normal(double n[3], const float *a, const float *b, const float *c)
{
  double u[3], v[3], s = 0;
  for (int k = 0; k < 3; k++) {
    u[k] = (double)b[k] - a[k];
    v[k] = (double)c[k] - a[k];
  }
  for (int k = 0; k < 3; k++) {
    n[k] = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
    s += n[k] * n[k];
  }
  s = sqrt(s);
  for (int k = 0; k < 3 && s > 0; k++)
    n[k] /= s;
  return s / 2;
}

/* Angle at a. */
static double corner_angle(const float *a, const float *b, const float *c)
{
  double uv = 0, u2 = 0, v2 = 0;
  for (int k = 0; k < 3; k++) {
    double u = (double)b[k] - a[k], v = (double)c[k] - a[k];
    uv += u * v;
    u2 += u * u;
    v2 += v * v;
  }
  return u2 > 0 && v2 > 0 ? acos(fmin(fmax(uv / sqrt(u2 * v2), -1), 1)) : 0;
}

/* Joins what is equal in position and texture, and then in position. */
static bool number_vertices(fine_mesh *f)
{
  const vk_mesh *m = f->mesh;
  const size_t n_index = 3 * (size_t)m->n_triangle;
  const struct meshopt_Stream both[] = {{m->vertex[0].p, sizeof m->vertex[0].p, sizeof *m->vertex},
                                        {m->vertex[0].t, sizeof m->vertex[0].t, sizeof *m->vertex}};
  unsigned int *remap = malloc(m->n_vertex * sizeof *remap);
  if (!remap)
    return false;
  f->n_vertex =
      (uint32_t)meshopt_generateVertexRemapMulti(remap, m->index, n_index, m->n_vertex, both, 2);
  meshopt_remapIndexBuffer(f->index, m->index, n_index, remap);
  for (uint32_t i = m->n_vertex; i-- > 0;) {
    f->vertex[remap[i]] = i;
    memcpy(f->p[remap[i]], m->vertex[i].p, sizeof *f->p);
  }
  free(remap);
  f->n_place = (uint32_t)meshopt_generateVertexRemap(f->place, f->index, n_index, f->p, f->n_vertex,
                                                     sizeof *f->p);
  for (uint32_t i = 0; i < f->n_vertex; i++)
    memcpy(f->place_p[f->place[i]], f->p[i], sizeof *f->place_p);
  return true;
}

static void list_corners(fine_mesh *f)
{
  const size_t n_index = 3 * (size_t)f->mesh->n_triangle;
  uint32_t *at = f->first + 1; /* moves from a place's first to its end as they are filled in */
  for (size_t i = 0; i < n_index; i++)
    at[f->place[f->index[i]] + 1]++;
  for (size_t i = 0; i < f->n_place; i++)
    at[i + 1] += at[i];
  for (size_t i = 0; i < n_index; i++) {
    const uint32_t *tri = f->mesh->index + i / 3 * 3, place = f->place[f->index[i]];
    const vk_vertex *a = &f->mesh->vertex[tri[i % 3]], *b = &f->mesh->vertex[tri[(i + 1) % 3]],
                    *c = &f->mesh->vertex[tri[(i + 2) % 3]];
    double normal[3];
    const double area = unit_normal(normal, a->p, b->p, c->p);
    fine_corner *corner = &f->corner[at[place]++];
    memcpy(corner->n, a->n, sizeof corner->n);
    corner->weight = (float)(area * corner_angle(a->p, b->p, c->p));
    f->place_area_m2[place] += (float)(area / 3);
  }
}

static bool fine_make(fine_mesh *f, const vk_mesh *mesh)
{
  const size_t n = mesh->n_vertex, n_index = 3 * (size_t)mesh->n_triangle;
  *f = (fine_mesh){.mesh = mesh,
                   .p = malloc(n * sizeof *f->p),
                   .index = malloc(n_index * sizeof *f->index),
                   .vertex = malloc(n * sizeof *f->vertex),
                   .place = malloc(n * sizeof *f->place),
                   .place_p = malloc(n * sizeof *f->place_p),
                   .place_area_m2 = calloc(n, sizeof *f->place_area_m2),
                   .first = calloc(n + 2, sizeof *f->first),
                   .corner = malloc(n_index * sizeof *f->corner)};
  if (!f->p || !f->index || !f->vertex || !f->place || !f->place_p || !f->place_area_m2 ||
      !f->first || !f->corner || !number_vertices(f))
    return false;
  list_corners(f);
  return true;
}

/* ---- simplifying ---------------------------------------------------------------------------- */

static double dot_f(const double a[3], const float b[3])
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* The mean of the normals at a place that are near to the one nearest to the triangle's. */
static void pick_normal(float out[3], const fine_mesh *f, uint32_t place, const double face[3])
{
  const fine_corner *best = NULL;
  for (uint32_t i = f->first[place]; i < f->first[place + 1]; i++)
    if (!best || dot_f(face, f->corner[i].n) > dot_f(face, best->n))
      best = &f->corner[i];
  const double near[3] = {best->n[0], best->n[1], best->n[2]};
  double sum[3] = {0}, length = 0;
  for (uint32_t i = f->first[place]; i < f->first[place + 1]; i++)
    for (int k = 0; k < 3 && dot_f(near, f->corner[i].n) >= cos_smooth; k++)
      sum[k] += (double)f->corner[i].weight * f->corner[i].n[k];
  for (int k = 0; k < 3; k++)
    length += sum[k] * sum[k];
  length = sqrt(length);
  for (int k = 0; k < 3; k++)
    out[k] = length > 0 ? (float)(sum[k] / length) : best->n[k];
}

static vk_status add_triangles(vk_mesh *out, const fine_mesh *f, const uint32_t *index,
                               size_t n_index, vk_err *err)
{
  for (size_t i = 0; i < n_index; i += 3) {
    double face[3];
    unit_normal(face, f->p[index[i]], f->p[index[i + 1]], f->p[index[i + 2]]);
    for (size_t k = 0; k < 3; k++) {
      vk_vertex v = f->mesh->vertex[f->vertex[index[i + k]]];
      pick_normal(v.n, f, f->place[index[i + k]], face);
      VK_TRY(vk_mesh_add_vertex(out, &v, err));
    }
    VK_TRY(vk_mesh_add_triangle(out, out->n_vertex - 3, out->n_vertex - 2, out->n_vertex - 1, err));
  }
  return vk_mesh_weld(out, err);
}

typedef struct sample {
  float distance_m, area_m2;
} sample;

static int compare_sample(const void *a, const void *b)
{
  const sample *p = a, *q = b;
  return p->distance_m < q->distance_m ? -1 : p->distance_m > q->distance_m;
}

static vk_status measure(const fine_mesh *f, const vk_mesh *coarse, double *error_m,
                         uint32_t *nearest, vk_err *err)
{
  float *distance = malloc(f->n_place * sizeof *distance);
  sample *s = malloc(f->n_place * sizeof *s);
  vk_status st = VK_OK;
  double area = 0, seen = 0;
  if (!distance || !s)
    st = vk_fail(err, VK_E_NOMEM, "no memory to measure %u places", f->n_place);
  if (st == VK_OK)
    st = vk_mesh_distances(coarse, (const float(*)[3])f->place_p, f->n_place, distance, nearest,
                           err);
  for (uint32_t i = 0; st == VK_OK && i < f->n_place; i++) {
    s[i] = (sample){distance[i], f->place_area_m2[i]};
    area += s[i].area_m2;
  }
  *error_m = 0;
  if (st == VK_OK) {
    qsort(s, f->n_place, sizeof *s, compare_sample);
    for (uint32_t i = 0; i < f->n_place && seen <= error_share * area; i++) {
      seen += s[i].area_m2;
      *error_m = s[i].distance_m;
    }
  }
  free(distance);
  free(s);
  return st;
}

/* ---- the light of a coarser mesh ------------------------------------------------------------ */

/* Adds the fine normals of a place to the corners of the coarse triangle t that is nearest to it.
 */
static void spread_normals(double (*sum)[3], const fine_mesh *f, uint32_t place,
                           const vk_mesh *coarse, const uint32_t *t, const uint32_t *group)
{
  const double p[3] = {f->place_p[place][0], f->place_p[place][1], f->place_p[place][2]};
  const float *a = coarse->vertex[t[0]].p, *b = coarse->vertex[t[1]].p, *c = coarse->vertex[t[2]].p;
  double weight[3], face[3];
  vk_mesh_nearest(p, a, b, c, weight);
  unit_normal(face, a, b, c);
  for (uint32_t i = f->first[place]; i < f->first[place + 1]; i++)
    for (int k = 0; k < 9 && dot_f(face, f->corner[i].n) >= cos_smooth_face; k++)
      sum[group[t[k / 3]]][k % 3] +=
          weight[k / 3] * (double)f->corner[i].weight * f->corner[i].n[k % 3];
}

/* Gives the vertices the mean of the fine normals about them, so that bumps which the coarse mesh
 * lacks do not show at some vertices and miss at others. Vertices that differ in their texture
 * alone stay equal. nearest: triangle of coarse for each place. */
static vk_status average_normals(const fine_mesh *f, vk_mesh *coarse, const uint32_t *nearest,
                                 vk_err *err)
{
  const struct meshopt_Stream both[] = {
      {coarse->vertex[0].p, sizeof coarse->vertex[0].p, sizeof *coarse->vertex},
      {coarse->vertex[0].n, sizeof coarse->vertex[0].n, sizeof *coarse->vertex}};
  uint32_t *group = malloc(coarse->n_vertex * sizeof *group);
  double(*sum)[3] = calloc(coarse->n_vertex, sizeof *sum);
  vk_status st = VK_OK;
  if (!group || !sum)
    st = vk_fail(err, VK_E_NOMEM, "no memory for the normals of %u vertices", coarse->n_vertex);
  if (st == VK_OK) {
    meshopt_generateVertexRemapMulti(group, coarse->index, 3 * (size_t)coarse->n_triangle,
                                     coarse->n_vertex, both, 2);
    for (uint32_t i = 0; i < f->n_place; i++)
      spread_normals(sum, f, i, coarse, coarse->index + 3 * (size_t)nearest[i], group);
  }
  for (uint32_t i = 0; st == VK_OK && i < coarse->n_vertex; i++) {
    const double *n = sum[group[i]], length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
    for (int k = 0; k < 3 && length > 0; k++)
      coarse->vertex[i].n[k] = (float)(n[k] / length);
  }
  free(group);
  free(sum);
  return st;
}

/* ---- simplifying in cells ------------------------------------------------------------------- */

/* A triangle and the cell of space that it lies in. */
typedef struct cell_triangle {
  uint32_t cell, triangle;
} cell_triangle;

static int compare_cell(const void *a, const void *b)
{
  const cell_triangle *p = a, *q = b;
  if (p->cell != q->cell)
    return p->cell < q->cell ? -1 : 1;
  return p->triangle < q->triangle ? -1 : p->triangle > q->triangle;
}

/* Room for the part of a mesh in one cell. */
typedef struct part {
  uint32_t *number; /* [n_vertex] of the mesh's vertices in the part */
  uint32_t *vertex; /* [n_vertex] the other way */
  float (*p)[3];    /* [n_vertex] */
  uint32_t *index;  /* [3 * n_triangle] */
} part;

/* Simplifies n triangles to out, indices of 3 vertices of the mesh each; returns how many. */
static size_t simplify_part(uint32_t *out, const part *w, const fine_mesh *f,
                            const cell_triangle *list, size_t n, double off_m, bool is_whole)
{
  uint32_t n_vertex = 0;
  for (size_t i = 0; i < 3 * n; i++) {
    const uint32_t v = f->index[3 * (size_t)list[i / 3].triangle + i % 3];
    if (w->number[v] >= n_vertex || w->vertex[w->number[v]] != v) {
      w->number[v] = n_vertex;
      w->vertex[n_vertex] = v;
      memcpy(w->p[n_vertex++], f->p[v], sizeof *w->p);
    }
    w->index[i] = w->number[v];
  }
  const size_t n_least = is_whole && n >= 12 ? 36 : 3; /* at most what there is */
  const float scale = meshopt_simplifyScale(w->p[0], n_vertex, sizeof *w->p);
  const size_t n_out = meshopt_simplify(out, w->index, 3 * n, w->p[0], n_vertex, sizeof *w->p,
                                        n_least, scale > 0 ? (float)(off_m / scale) : 0,
                                        is_whole ? 0 : meshopt_SimplifyLockBorder, NULL);
  for (size_t i = 0; i < n_out; i++)
    out[i] = w->vertex[out[i]];
  return n_out / 3;
}

/* Light is computed at vertices: over a triangle of 0.3 m it is off by about 1 %, when lamps are 3
 * m away. What is larger is simplified in cells of that side, or of a larger one for levels that
 * are seen from afar. */
static double cell_side(double off_m)
{
  return fmax(0.3, 400 * off_m);
}

static uint32_t cell_of(const fine_mesh *f, uint32_t triangle, double side_m)
{
  const uint32_t *t = f->index + 3 * (size_t)triangle;
  uint32_t cell = 0;
  for (int k = 0; k < 3; k++) {
    double p = ((double)f->p[t[0]][k] + f->p[t[1]][k] + f->p[t[2]][k]) / 3;
    cell = 1024 * cell + (uint32_t)(int)fmin(fmax(floor(p / side_m) + 512, 0), 1023);
  }
  return cell;
}

/* Whether it fits into a cell and need not be cut. */
static bool is_small(const fine_mesh *f, double side_m)
{
  float longest = 0;
  for (int k = 0; k < 3; k++) {
    float lo = f->p[0][k], hi = lo;
    for (uint32_t i = 1; i < f->n_vertex; i++) {
      lo = fminf(lo, f->p[i][k]);
      hi = fmaxf(hi, f->p[i][k]);
    }
    longest = fmaxf(longest, hi - lo);
  }
  return longest <= 1.5 * side_m;
}

/* Simplifies all; *n_out triangles. */
static bool simplify_parts(uint32_t *out, size_t *n_out, const fine_mesh *f, double off_m)
{
  const uint32_t n = f->mesh->n_triangle;
  const double side_m = cell_side(off_m);
  const bool is_whole = is_small(f, side_m);
  cell_triangle *list = malloc(n * sizeof *list);
  part w = {.number = calloc(f->n_vertex, sizeof *w.number),
            .vertex = malloc(f->n_vertex * sizeof *w.vertex),
            .p = malloc(f->n_vertex * sizeof *w.p),
            .index = malloc(3 * (size_t)n * sizeof *w.index)};
  const bool ok = list && w.number && w.vertex && w.p && w.index;
  *n_out = 0;
  for (uint32_t i = 0; ok && i < n; i++)
    list[i] = (cell_triangle){is_whole ? 0 : cell_of(f, i, side_m), i};
  if (ok)
    qsort(list, n, sizeof *list, compare_cell);
  for (uint32_t i = 0, end; ok && i < n; i = end) {
    for (end = i + 1; end < n && list[end].cell == list[i].cell;)
      end++;
    *n_out += simplify_part(out + 3 * *n_out, &w, f, list + i, end - i, off_m, is_whole);
  }
  free(list);
  free(w.number);
  free(w.vertex);
  free(w.p);
  free(w.index);
  return ok;
}

/* A coarser mesh, about off_m off: how far 99 % of the fine surface are from it is measured. */
static vk_status simplify(vk_mesh *out, const fine_mesh *f, double off_m, double *error_m,
                          vk_err *err)
{
  size_t n = 0;
  uint32_t *index = malloc(3 * (size_t)f->mesh->n_triangle * sizeof *index);
  *out = (vk_mesh){0};
  *error_m = 0;
  vk_status st = VK_OK;
  if (!index || !simplify_parts(index, &n, f, off_m))
    st = vk_fail(err, VK_E_NOMEM, "no memory to simplify a mesh of %u triangles",
                 f->mesh->n_triangle);
  if (st == VK_OK)
    st = add_triangles(out, f, index, 3 * n, err);
  free(index);
  if (st == VK_OK && out->n_triangle > 0) {
    uint32_t *nearest = malloc(f->n_place * sizeof *nearest);
    st = nearest ? measure(f, out, error_m, nearest, err)
                 : vk_fail(err, VK_E_NOMEM, "no memory to measure %u places", f->n_place);
    if (st == VK_OK && off_m > finest_off_m)
      st = average_normals(f, out, nearest, err);
    free(nearest);
  }
  if (st != VK_OK)
    vk_mesh_free(out);
  return st;
}

/* ---- levels --------------------------------------------------------------------------------- */

/* What surfaces of levels may be off: by a factor of about 3, which is the least that the drawing
 * of half as many triangles is worth. The first is below a pixel's tenth in any picture of 512
 * pixels from a distance of 0.2 m. */
static const double level_off_m[] = {0.1e-3, 0.3e-3, 1e-3, 3e-3, 10e-3};

static const double finest_error_m = 0.2e-3;

vk_status vk_mesh_make_levels(vk_mesh *mesh, vk_mesh *level, float *error_m, int n_max,
                              int *n_level, vk_err *err)
{
  fine_mesh f;
  int n = 1;
  level[0] = *mesh;
  error_m[0] = 0;
  *mesh = (vk_mesh){0};
  const vk_mesh whole = level[0]; /* borrowed */
  vk_mesh dropped = {0};
  vk_status st = fine_make(&f, &whole) ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for levels");
  for (size_t i = 0; st == VK_OK && i < VK_COUNT(level_off_m) && n < n_max; i++) {
    vk_mesh coarse;
    double error;
    st = simplify(&coarse, &f, level_off_m[i], &error, err);
    if (st != VK_OK)
      break;
    if (coarse.n_triangle == 0 || coarse.n_triangle > 0.7 * level[n - 1].n_triangle) {
      vk_mesh_free(&coarse);
      continue;
    }
    error = fmax(error, level_off_m[i]); /* light is off, too */
    if (n == 1 && error <= finest_error_m) {
      dropped = level[0];
      level[0] = coarse;
      error_m[0] = (float)error;
      continue;
    }
    level[n] = coarse;
    error_m[n++] = (float)error;
  }
  vk_mesh_free(&dropped);
  fine_free(&f);
  *n_level = n;
  return st;
}
