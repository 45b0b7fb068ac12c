#include <math.h>
#include <string.h>

#include "sim/standin_internal.h"
#include "sim/turn.h"

/* A ring of vertices: where it is on the profile, and its normal (along the radius, along z). */
typedef struct ring {
  double r, z, n_r, n_z, v;
} ring;

/* The profile at one level of detail. */
typedef struct outline {
  double p[VK_STANDIN_POINTS_MAX][2], v[VK_STANDIN_POINTS_MAX];
  int n;
} outline;

static double length(double x, double y)
{
  return sqrt(x * x + y * y);
}

/* Marks the points between a and b that lie farther than tolerance from the line of what is kept
 * (Douglas and Peucker). */
static void keep_points(const outline *o, int a, int b, double tolerance, bool *keep)
{
  double worst = tolerance;
  int at = -1;
  const double dx = o->p[b][0] - o->p[a][0], dy = o->p[b][1] - o->p[a][1], l = length(dx, dy);
  for (int i = a + 1; i < b; i++) {
    const double x = o->p[i][0] - o->p[a][0], y = o->p[i][1] - o->p[a][1];
    const double d = l > 0 ? fabs(x * dy - y * dx) / l : length(x, y);
    if (d > worst) {
      worst = d;
      at = i;
    }
  }
  if (at < 0)
    return;
  keep[at] = true;
  keep_points(o, a, at, tolerance, keep);
  keep_points(o, at, b, tolerance, keep);
}

static void simplify(outline *o, double tolerance)
{
  bool keep[VK_STANDIN_POINTS_MAX] = {false};
  keep[0] = keep[o->n - 1] = true;
  keep_points(o, 0, o->n - 1, tolerance, keep);
  int n = 0;
  for (int i = 0; i < o->n; i++)
    if (keep[i]) {
      memcpy(o->p[n], o->p[i], sizeof o->p[n]);
      o->v[n++] = o->v[i];
    }
  o->n = n;
}

/* The points without repeats, and how far along each is (0 at the last: textures begin above). */
static void set_outline(outline *o, const vk_standin_lathe *lathe)
{
  double along = 0;
  o->n = 0;
  for (int i = 0; i < lathe->n_point; i++) {
    const double *p = lathe->profile + (ptrdiff_t)2 * i;
    if (o->n > 0) {
      const double step = length(p[0] - o->p[o->n - 1][0], p[1] - o->p[o->n - 1][1]);
      if (step < 1e-7)
        continue;
      along += step;
    }
    o->p[o->n][0] = p[0] > 0 ? p[0] : 0;
    o->p[o->n][1] = p[1];
    o->v[o->n++] = along;
  }
  for (int i = 0; i < o->n; i++)
    o->v[i] = along > 0 ? 1 - o->v[i] / along : 0;
}

static void segment_normal(const outline *o, int i, double n[2])
{
  const double dr = o->p[i + 1][0] - o->p[i][0], dz = o->p[i + 1][1] - o->p[i][1];
  const double l = length(dr, dz);
  n[0] = dz / l;
  n[1] = -dr / l;
}

/* Rings of the outline: one where it is smooth, two at an edge. first[i]: the ring that begins
 * segment i; its end is the ring before first[i + 1] when that is an edge. */
static int set_rings(const outline *o, double crease_cos, ring *out, int *begin, int *end)
{
  int n = 0;
  for (int i = 0; i < o->n; i++) {
    double before[2] = {0, 0}, after[2] = {0, 0};
    if (i > 0)
      segment_normal(o, i - 1, before);
    if (i + 1 < o->n)
      segment_normal(o, i, after);
    const bool is_inner = i > 0 && i + 1 < o->n;
    const bool is_edge = is_inner && before[0] * after[0] + before[1] * after[1] < crease_cos;
    if (i > 0) {
      ring r = {o->p[i][0], o->p[i][1], before[0], before[1], o->v[i]};
      if (is_inner && !is_edge) {
        const double x = before[0] + after[0], y = before[1] + after[1], l = length(x, y);
        r.n_r = x / l;
        r.n_z = y / l;
      }
      end[i - 1] = n;
      out[n++] = r;
    }
    if (i + 1 < o->n) {
      if (i == 0 || is_edge)
        out[n++] = (ring){o->p[i][0], o->p[i][1], after[0], after[1], o->v[i]};
      begin[i] = n - 1;
    }
  }
  return n;
}

/* Column j of a ring: at angle `turns`, with the normal of angle `turns_normal`. */
static vk_status add_vertex(vk_mesh *mesh, const vk_standin_lathe *lathe, const ring *r,
                            double turns, double turns_normal, double u, vk_err *err)
{
  double c, s, nc, ns;
  vk_turn_cos_sin(turns, &c, &s);
  vk_turn_cos_sin(turns_normal, &nc, &ns);
  const double p[3] = {r->r * c, r->r * s, r->z}, n[3] = {r->n_r * nc, r->n_r * ns, r->n_z};
  double m[3], m2 = 0;
  for (int k = 0; k < 3; k++) {
    m[k] = n[k] / lathe->scale[k];
    m2 += m[k] * m[k];
  }
  vk_vertex v = {.t = {(float)(u * lathe->tile[0]), (float)(r->v * lathe->tile[1]), 0}};
  for (int k = 0; k < 3; k++) {
    v.p[k] = (float)(p[k] * lathe->scale[k]);
    v.n[k] = (float)(m[k] / sqrt(m2));
  }
  if (lathe->repeat_m[0] > 0) { /* seen from above, or along the side */
    const bool is_top = fabs(r->n_z) > 0.7;
    const double along = is_top ? v.p[0] : 6.283185307179586 * r->r * lathe->scale[0] * turns;
    v.t[0] = (float)(along / lathe->repeat_m[0]);
    v.t[1] = (float)((is_top ? v.p[1] : v.p[2]) / lathe->repeat_m[1]);
  }
  return vk_mesh_add_vertex(mesh, &v, err);
}

static vk_status add_level(vk_mesh *mesh, const vk_standin_lathe *lathe, const outline *o,
                           int n_side, vk_err *err)
{
  ring rings[2 * VK_STANDIN_POINTS_MAX];
  int begin[VK_STANDIN_POINTS_MAX], end[VK_STANDIN_POINTS_MAX];
  const int n_ring = set_rings(o, lathe->crease_cos, rings, begin, end);
  const double step = (lathe->arc[1] - lathe->arc[0]) / n_side;
  const uint32_t row = lathe->is_flat ? 2 * (uint32_t)n_side : (uint32_t)n_side + 1;
  const uint32_t first = mesh->n_vertex;
  for (int i = 0; i < n_ring; i++)
    for (uint32_t j = 0; j < row; j++) {
      const uint32_t column = lathe->is_flat ? (j + 1) / 2 : j;
      const double turns = lathe->arc[0] + step * column;
      const double normal = lathe->is_flat ? lathe->arc[0] + step * (j / 2 + 0.5) : turns;
      VK_TRY(add_vertex(mesh, lathe, &rings[i], turns, normal, (double)column / n_side, err));
    }
  for (int i = 0; i + 1 < o->n; i++)
    for (uint32_t j = 0; j < (uint32_t)n_side; j++) {
      const uint32_t left = lathe->is_flat ? 2 * j : j;
      const uint32_t a = first + (uint32_t)begin[i] * row + left;
      const uint32_t d = first + (uint32_t)end[i] * row + left;
      if (o->p[i][0] > 0)
        VK_TRY(vk_mesh_add_triangle(mesh, a, a + 1, d + 1, err));
      if (o->p[i + 1][0] > 0)
        VK_TRY(vk_mesh_add_triangle(mesh, a, d + 1, d, err));
    }
  return VK_OK;
}

vk_status vk_standin_add_lathe(vk_standin_solid *solid, const vk_standin_lathe *lathe, vk_err *err)
{
  outline o;
  set_outline(&o, lathe);
  if (o.n < 2)
    return VK_OK;
  double r_max = 0;
  for (int i = 0; i < o.n; i++)
    r_max = fmax(r_max, o.p[i][0]);
  r_max *= fmax(lathe->scale[0], lathe->scale[1]);
  for (int k = 0; k < VK_STANDIN_LEVELS; k++) {
    const int n_coarse = lathe->n_side * (k == 0 ? 12 : k == 1 ? 8 : 5) / 12;
    const int n_side = lathe->is_flat || lathe->is_fixed ? lathe->n_side
                       : n_coarse < 6                    ? 6
                                                         : n_coarse;
    double c, s;
    vk_turn_cos_sin((lathe->arc[1] - lathe->arc[0]) / 2 / n_side, &c, &s);
    const double chord = lathe->is_flat ? 0 : r_max * (1 - c);
    const double tolerance = k > 0 && !lathe->is_fixed ? fmax(chord / 2, 0.0003 * (1 << k)) : 0;
    outline level = o;
    simplify(&level, tolerance);
    const double error = chord + tolerance;
    solid->error_m[k] = (float)fmax(solid->error_m[k], k ? error : 0);
    VK_TRY(add_level(&solid->level[k], lathe, &level, n_side, err));
  }
  return VK_OK;
}
