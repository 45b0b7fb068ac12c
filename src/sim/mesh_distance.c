#include "sim/mesh_distance.h"

#include <math.h>
#include <stdlib.h>

/* Cells of a box about a mesh, with the triangles whose own boxes touch them. */
typedef struct cells {
  double lo[3], side;
  int n[3];
  uint32_t *first; /* [n + 1] into item */
  uint32_t *item;
  const vk_mesh *mesh;
} cells;

enum { CELLS_SIDE_MAX = 128, CELLS_OF_TRIANGLE_MAX = 64 /* on average */ };

static double dot(const double a[3], const double b[3])
{
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* Source: C. Ericson, Real-Time Collision Detection
 * (2005), 5.1.5. */
double vk_mesh_nearest(const double p[3], const float *fa, const float *fb, const float *fc,
                       double weight[3])
{
  double ab[3], ac[3], ap[3], bp[3], cp[3], d[3];
  for (int k = 0; k < 3; k++) {
    ab[k] = (double)fb[k] - fa[k];
    ac[k] = (double)fc[k] - fa[k];
    ap[k] = p[k] - fa[k];
    bp[k] = p[k] - fb[k];
    cp[k] = p[k] - fc[k];
  }
  const double d1 = dot(ab, ap), d2 = dot(ac, ap), d3 = dot(ab, bp), d4 = dot(ac, bp);
  const double d5 = dot(ab, cp), d6 = dot(ac, cp);
  const double va = d3 * d6 - d5 * d4, vb = d5 * d2 - d1 * d6, vc = d1 * d4 - d3 * d2;
  double v, w; /* p is nearest to a + v ab + w ac */
  if (d1 <= 0 && d2 <= 0) {
    v = w = 0;
  } else if (d3 >= 0 && d4 <= d3) {
    v = 1, w = 0;
  } else if (d6 >= 0 && d5 <= d6) {
    v = 0, w = 1;
  } else if (vc <= 0 && d1 >= 0 && d3 <= 0) {
    v = d1 / (d1 - d3), w = 0;
  } else if (vb <= 0 && d2 >= 0 && d6 <= 0) {
    v = 0, w = d2 / (d2 - d6);
  } else if (va <= 0 && d4 - d3 >= 0 && d5 - d6 >= 0) {
    w = (d4 - d3) / (d4 - d3 + d5 - d6), v = 1 - w;
  } else {
    v = vb / (va + vb + vc), w = vc / (va + vb + vc);
  }
  for (int k = 0; k < 3; k++)
    d[k] = ap[k] - v * ab[k] - w * ac[k];
  weight[0] = 1 - v - w;
  weight[1] = v;
  weight[2] = w;
  return dot(d, d);
}

/* ---- cells ---------------------------------------------------------------------------------- */

static int cell_of(const cells *c, double p, int axis)
{
  double i = floor((p - c->lo[axis]) / c->side);
  return i < 0 ? 0 : i >= c->n[axis] ? c->n[axis] - 1 : (int)i;
}

static size_t cell_index(const cells *c, int x, int y, int z)
{
  return ((size_t)z * (size_t)c->n[1] + (size_t)y) * (size_t)c->n[0] + (size_t)x;
}

static void triangle_cells(const cells *c, uint32_t i, int lo[3], int hi[3])
{
  const uint32_t *t = c->mesh->index + 3 * (size_t)i;
  for (int k = 0; k < 3; k++) {
    const float a = c->mesh->vertex[t[0]].p[k], b = c->mesh->vertex[t[1]].p[k],
                d = c->mesh->vertex[t[2]].p[k];
    lo[k] = cell_of(c, fminf(a, fminf(b, d)), k);
    hi[k] = cell_of(c, fmaxf(a, fmaxf(b, d)), k);
  }
}

/* Counts (item NULL) or lists the triangles of each cell; first[i + 1] is where the next one goes.
 */
static void fill_cells(cells *c)
{
  for (uint32_t i = 0; i < c->mesh->n_triangle; i++) {
    int lo[3], hi[3];
    triangle_cells(c, i, lo, hi);
    for (int z = lo[2]; z <= hi[2]; z++)
      for (int y = lo[1]; y <= hi[1]; y++)
        for (int x = lo[0]; x <= hi[0]; x++) {
          uint32_t *at = &c->first[cell_index(c, x, y, z) + 1];
          if (c->item)
            c->item[*at] = i;
          (*at)++;
        }
  }
}

static void size_cells(cells *c)
{
  double hi[3], longest = 0, volume = 1;
  for (int k = 0; k < 3; k++) {
    c->lo[k] = HUGE_VAL;
    hi[k] = -HUGE_VAL;
    for (uint32_t i = 0; i < c->mesh->n_vertex; i++) {
      c->lo[k] = fmin(c->lo[k], c->mesh->vertex[i].p[k]);
      hi[k] = fmax(hi[k], c->mesh->vertex[i].p[k]);
    }
    longest = fmax(longest, hi[k] - c->lo[k]);
  }
  for (int k = 0; k < 3; k++)
    volume *= fmax(hi[k] - c->lo[k], longest / CELLS_SIDE_MAX);
  c->side = fmax(cbrt(volume / (8.0 * c->mesh->n_triangle)), longest / CELLS_SIDE_MAX);
  if (!(c->side > 0))
    c->side = 1;
  for (int k = 0; k < 3; k++)
    c->n[k] = (int)fmin(floor((hi[k] - c->lo[k]) / c->side) + 1, CELLS_SIDE_MAX + 1);
}

static uint64_t count_items(const cells *c)
{
  uint64_t n = 0;
  for (uint32_t i = 0; i < c->mesh->n_triangle; i++) {
    int lo[3], hi[3];
    triangle_cells(c, i, lo, hi);
    n += (uint64_t)(hi[0] - lo[0] + 1) * (uint64_t)(hi[1] - lo[1] + 1) *
         (uint64_t)(hi[2] - lo[2] + 1);
  }
  return n;
}

/* Larger cells, where long triangles would lie in too many. */
static void limit_items(cells *c)
{
  while (count_items(c) > CELLS_OF_TRIANGLE_MAX * (uint64_t)c->mesh->n_triangle) {
    c->side *= 2;
    for (int k = 0; k < 3; k++)
      c->n[k] = (c->n[k] + 1) / 2;
  }
}

static void cells_free(cells *c)
{
  free(c->first);
  free(c->item);
}

static bool cells_make(cells *c, const vk_mesh *mesh)
{
  *c = (cells){.mesh = mesh};
  size_cells(c);
  limit_items(c);
  const size_t n = (size_t)c->n[0] * (size_t)c->n[1] * (size_t)c->n[2];
  c->first = calloc(n + 2, sizeof *c->first);
  if (!c->first)
    return false;
  fill_cells(c);
  for (size_t i = 0; i < n; i++)
    c->first[i + 1] += c->first[i];
  const size_t n_item = c->first[n];
  for (size_t i = n; i > 0; i--) /* where the triangles of cell i - 1 begin */
    c->first[i] = c->first[i - 1];
  c->item = malloc((n_item + 1) * sizeof *c->item);
  if (!c->item)
    return false;
  fill_cells(c);
  return true;
}

/* ---- the nearest triangle ------------------------------------------------------------------- */

typedef struct nearest {
  double distance2;
  uint32_t triangle;
} nearest;

static void search_cell(const cells *c, const double p[3], int x, int y, int z, nearest *best)
{
  const size_t i = cell_index(c, x, y, z);
  for (uint32_t k = c->first[i]; k < c->first[i + 1]; k++) {
    const uint32_t *t = c->mesh->index + 3 * (size_t)c->item[k];
    const vk_vertex *v = c->mesh->vertex;
    double weight[3];
    const double d2 = vk_mesh_nearest(p, v[t[0]].p, v[t[1]].p, v[t[2]].p, weight);
    if (d2 < best->distance2)
      *best = (nearest){d2, c->item[k]};
  }
}

/* How far p is from the outside of the cells within r of its own; they hold all that is nearer. */
static double reach_of(const cells *c, const double p[3], const int at[3], int r)
{
  double reach = HUGE_VAL;
  for (int k = 0; k < 3; k++) {
    const double lo = c->lo[k] + (at[k] - r) * c->side, hi = c->lo[k] + (at[k] + r + 1) * c->side;
    if (at[k] - r > 0) /* beyond the first and the last cell there is nothing */
      reach = fmin(reach, p[k] - lo);
    if (at[k] + r + 1 < c->n[k])
      reach = fmin(reach, hi - p[k]);
  }
  return reach;
}

/* Shell after shell of cells about the point's own, until the next cannot be nearer. */
static nearest find_nearest(const cells *c, const double p[3])
{
  const int at[3] = {cell_of(c, p[0], 0), cell_of(c, p[1], 1), cell_of(c, p[2], 2)};
  nearest best = {HUGE_VAL, 0};
  for (int r = 0;; r++) {
    for (int z = at[2] - r; z <= at[2] + r; z++)
      for (int y = at[1] - r; y <= at[1] + r; y++) {
        const bool is_side = abs(y - at[1]) == r || abs(z - at[2]) == r;
        for (int x = at[0] - r; x <= at[0] + r; x += is_side || r == 0 ? 1 : 2 * r)
          if (x >= 0 && y >= 0 && z >= 0 && x < c->n[0] && y < c->n[1] && z < c->n[2])
            search_cell(c, p, x, y, z, &best);
      }
    const double reach = reach_of(c, p, at, r);
    if (reach == HUGE_VAL || (reach > 0 && best.distance2 <= reach * reach))
      return best;
  }
}

vk_status vk_mesh_distances(const vk_mesh *to, const float (*point)[3], uint32_t n,
                            float *distance_m, uint32_t *triangle, vk_err *err)
{
  cells c;
  VK_ASSERT(to->n_triangle > 0);
  if (!cells_make(&c, to)) {
    cells_free(&c);
    return vk_fail(err, VK_E_NOMEM, "no memory to measure a mesh of %u triangles", to->n_triangle);
  }
  for (uint32_t i = 0; i < n; i++) {
    const double p[3] = {point[i][0], point[i][1], point[i][2]};
    const nearest found = find_nearest(&c, p);
    distance_m[i] = (float)sqrt(found.distance2);
    if (triangle)
      triangle[i] = found.triangle;
  }
  cells_free(&c);
  return VK_OK;
}
