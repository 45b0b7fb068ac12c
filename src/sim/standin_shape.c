#include <math.h>
#include <string.h>

#include "sim/standin_internal.h"
#include "sim/turn.h"

const vk_standin_place vk_standin_here = {{0, 0, 0}, {1, 0, 0, 0, 1, 0, 0, 0, 1}};

void vk_standin_solid_free(vk_standin_solid *solid)
{
  for (int k = 0; k < VK_STANDIN_LEVELS; k++)
    vk_mesh_free(&solid->level[k]);
}

/* ---- places --------------------------------------------------------------------------------- */

static void rotate(double o[3], const double R[9], const double a[3])
{
  for (int r = 0; r < 3; r++)
    o[r] = R[3 * r] * a[0] + R[3 * r + 1] * a[1] + R[3 * r + 2] * a[2];
}

vk_standin_place vk_standin_after(const vk_standin_place *a, const vk_standin_place *b)
{
  vk_standin_place o;
  rotate(o.pos, a->R, b->pos);
  for (int r = 0; r < 3; r++) {
    o.pos[r] += a->pos[r];
    for (int c = 0; c < 3; c++)
      o.R[3 * r + c] =
          a->R[3 * r] * b->R[c] + a->R[3 * r + 1] * b->R[3 + c] + a->R[3 * r + 2] * b->R[6 + c];
  }
  return o;
}

void vk_standin_turn(vk_standin_place *place, int axis, double degree)
{
  vk_standin_place turn = vk_standin_here;
  const int a = (axis + 1) % 3, b = (axis + 2) % 3;
  double c, s;
  vk_turn_cos_sin(degree / 360, &c, &s);
  turn.R[3 * a + a] = turn.R[3 * b + b] = c;
  turn.R[3 * a + b] = -s;
  turn.R[3 * b + a] = s;
  *place = vk_standin_after(&turn, place);
}

void vk_standin_quat(double R[9], const double quat[4])
{
  const double l =
      sqrt(quat[0] * quat[0] + quat[1] * quat[1] + quat[2] * quat[2] + quat[3] * quat[3]);
  double w = 1, x = 0, y = 0, z = 0;
  if (l > 0)
    w = quat[0] / l, x = quat[1] / l, y = quat[2] / l, z = quat[3] / l;
  const double m[9] = {1 - 2 * (y * y + z * z), 2 * (x * y - w * z),     2 * (x * z + w * y),
                       2 * (x * y + w * z),     1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                       2 * (x * z - w * y),     2 * (y * z + w * x),     1 - 2 * (x * x + y * y)};
  memcpy(R, m, sizeof m);
}

vk_status vk_standin_put(vk_standin_solid *solid, const vk_standin_solid *more,
                         const vk_standin_place *place, vk_err *err)
{
  for (int k = 0; k < VK_STANDIN_LEVELS; k++) {
    vk_mesh *mesh = &solid->level[k];
    const vk_mesh *from = &more->level[k];
    const uint32_t first = mesh->n_vertex;
    for (uint32_t i = 0; i < from->n_vertex; i++) {
      vk_vertex v = from->vertex[i];
      const double p[3] = {v.p[0], v.p[1], v.p[2]}, n[3] = {v.n[0], v.n[1], v.n[2]};
      double q[3], m[3];
      rotate(q, place->R, p);
      rotate(m, place->R, n);
      for (int j = 0; j < 3; j++) {
        v.p[j] = (float)(q[j] + place->pos[j]);
        v.n[j] = (float)m[j];
      }
      VK_TRY(vk_mesh_add_vertex(mesh, &v, err));
    }
    for (uint32_t i = 0; i < from->n_triangle; i++) {
      const uint32_t *t = from->index + 3 * (size_t)i;
      VK_TRY(vk_mesh_add_triangle(mesh, first + t[0], first + t[1], first + t[2], err));
    }
    solid->error_m[k] = fmaxf(solid->error_m[k], more->error_m[k]);
  }
  return VK_OK;
}

/* Puts what `fill` makes for a level into every level. */
typedef vk_status (*fill_fn)(vk_mesh *mesh, int level, const void *how, vk_err *err);

static vk_status fill_levels(vk_standin_solid *solid, fill_fn fill, const void *how, vk_err *err)
{
  for (int k = 0; k < VK_STANDIN_LEVELS; k++)
    VK_TRY(fill(&solid->level[k], k, how, err));
  return VK_OK;
}

static vk_status add_point(vk_mesh *mesh, const double p[3], const double n[3], double u, double v,
                           vk_err *err)
{
  const double l = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
  const vk_vertex vertex = {{(float)p[0], (float)p[1], (float)p[2]},
                            {(float)(n[0] / l), (float)(n[1] / l), (float)(n[2] / l)},
                            {(float)u, (float)v, 0}};
  return vk_mesh_add_vertex(mesh, &vertex, err);
}

/* ---- boxes ---------------------------------------------------------------------------------- */

typedef struct box {
  double half[3], tile[2], repeat_m[2];
  int grid[2];
  unsigned faces; /* bit 2 * axis + (1 for the positive side) */
} box;

/* As one looks at the face of a box: right and down. */
static void face_axes(int axis, int sign, int *right, int *down, double *right_sign,
                      double *down_sign)
{
  *right = axis == 0 ? 1 : 0;
  *down = axis == 2 ? 1 : 2;
  *right_sign = axis == 1 ? -sign : sign;
  *down_sign = -1;
}

static vk_status add_face(vk_mesh *mesh, const box *b, int axis, int sign, vk_err *err)
{
  int right, down;
  double rs, ds, n[3] = {0};
  face_axes(axis, sign, &right, &down, &rs, &ds);
  n[axis] = sign;
  const double hr = b->half[right], hd = b->half[down];
  const uint32_t first = mesh->n_vertex, row = (uint32_t)b->grid[0] + 1;
  const bool is_long = b->half[right] >= b->half[down];
  for (int j = 0; j <= b->grid[1]; j++)
    for (int i = 0; i <= b->grid[0]; i++) {
      double p[3], u = (double)i / b->grid[0], v = (double)j / b->grid[1];
      p[axis] = sign * b->half[axis];
      p[right] = rs * (2 * u - 1) * hr;
      p[down] = ds * (2 * v - 1) * hd;
      if (b->repeat_m[0] > 0) { /* the texture runs along the longer side */
        const double along = is_long ? u * 2 * b->half[right] : v * 2 * b->half[down];
        const double across = is_long ? v * 2 * b->half[down] : u * 2 * b->half[right];
        u = along / b->repeat_m[0];
        v = across / b->repeat_m[1];
      } else {
        u *= b->tile[0];
        v *= b->tile[1];
      }
      VK_TRY(add_point(mesh, p, n, u, v, err));
    }
  for (uint32_t j = 0; j < (uint32_t)b->grid[1]; j++)
    for (uint32_t i = 0; i < (uint32_t)b->grid[0]; i++) {
      const uint32_t a = first + j * row + i; /* upper left */
      VK_TRY(vk_mesh_add_triangle(mesh, a, a + row, a + row + 1, err));
      VK_TRY(vk_mesh_add_triangle(mesh, a, a + row + 1, a + 1, err));
    }
  return VK_OK;
}

static vk_status fill_box(vk_mesh *mesh, int level, const void *how, vk_err *err)
{
  const box *b = how;
  for (int axis = 0; axis < 3; axis++)
    for (int sign = -1; sign <= 1; sign += 2)
      if (b->faces >> (2 * axis + (sign > 0)) & 1)
        VK_TRY(add_face(mesh, b, axis, sign, err));
  return VK_OK;
}

vk_status vk_standin_add_box(vk_standin_solid *solid, const double half_m[3],
                             const double repeat_m[2], vk_err *err)
{
  const box b = {.half = {half_m[0], half_m[1], half_m[2]},
                 .repeat_m = {repeat_m[0], repeat_m[1]},
                 .grid = {1, 1},
                 .faces = 63};
  return fill_levels(solid, fill_box, &b, err);
}

/* "faces": ["+x", ...] */
static vk_status read_faces(const cJSON *o, unsigned *faces, const char *what, vk_err *err)
{
  static const char *const words[] = {"-x", "+x", "-y", "+y", "-z", "+z"};
  const cJSON *list = vk_standin_member(o, "faces"), *c;
  if (!list)
    return VK_OK;
  *faces = 0;
  cJSON_ArrayForEach(c, list)
  {
    unsigned i = 0;
    while (i < 6 && !(cJSON_IsString(c) && strcmp(c->valuestring, words[i]) == 0))
      i++;
    if (i == 6)
      return vk_fail(err, VK_E_FORMAT, "%s: \"faces\" may hold \"-x\", \"+x\" to \"+z\"", what);
    *faces |= 1u << i;
  }
  return *faces ? VK_OK : vk_fail(err, VK_E_FORMAT, "%s: \"faces\" must be a list of sides", what);
}

static vk_status read_mapping(const cJSON *o, double tile[2], double repeat_m[2], const char *what,
                              vk_err *err)
{
  VK_TRY(vk_standin_numbers(o, "tile", 2, -100, 100, tile, what, err));
  return vk_standin_numbers(o, "repeat", 2, 1e-4, 100, repeat_m, what, err);
}

static vk_status shape_box(vk_standin_solid *solid, const cJSON *o, bool is_sheet, const char *what,
                           vk_err *err)
{
  box b = {.tile = {1, 1}, .grid = {1, 1}, .faces = is_sheet ? 1u << 5 : 63};
  double grid[2] = {1, 1};
  VK_TRY(vk_standin_need(o, "half", what, err));
  VK_TRY(vk_standin_numbers(o, "half", is_sheet ? 2 : 3, 1e-5, 100, b.half, what, err));
  VK_TRY(vk_standin_numbers(o, "grid", 2, 1, 64, grid, what, err));
  VK_TRY(read_mapping(o, b.tile, b.repeat_m, what, err));
  if (!is_sheet)
    VK_TRY(read_faces(o, &b.faces, what, err));
  for (int k = 0; k < 2; k++)
    b.grid[k] = (int)grid[k];
  return fill_levels(solid, fill_box, &b, err);
}

/* ---- prisms --------------------------------------------------------------------------------- */

typedef struct prism {
  double point[VK_STANDIN_POINTS_MAX][2];
  int n;
  double half_m, tile[2];
} prism;

static vk_status add_cap(vk_mesh *mesh, const prism *p, int sign, vk_err *err)
{
  double lo[2] = {p->point[0][0], p->point[0][1]}, hi[2] = {lo[0], lo[1]};
  for (int i = 0; i < p->n; i++)
    for (int k = 0; k < 2; k++) {
      lo[k] = fmin(lo[k], p->point[i][k]);
      hi[k] = fmax(hi[k], p->point[i][k]);
    }
  const uint32_t first = mesh->n_vertex;
  for (int i = 0; i < p->n; i++) {
    const double at[3] = {p->point[i][0], p->point[i][1], sign * p->half_m}, n[3] = {0, 0, sign};
    const double u = (at[0] - lo[0]) / (hi[0] - lo[0]), v = (at[1] - lo[1]) / (hi[1] - lo[1]);
    VK_TRY(add_point(mesh, at, n, (sign > 0 ? u : 1 - u) * p->tile[0], (1 - v) * p->tile[1], err));
  }
  for (uint32_t i = 1; i + 1 < (uint32_t)p->n; i++)
    VK_TRY(vk_mesh_add_triangle(mesh, first, first + (sign > 0 ? i : i + 1),
                                first + (sign > 0 ? i + 1 : i), err));
  return VK_OK;
}

static vk_status fill_prism(vk_mesh *mesh, int level, const void *how, vk_err *err)
{
  const prism *p = how;
  for (int i = 0; i < p->n; i++) {
    const double *a = p->point[i], *b = p->point[(i + 1) % p->n];
    const double n[3] = {b[1] - a[1], a[0] - b[0], 0};
    const uint32_t first = mesh->n_vertex;
    if (n[0] == 0 && n[1] == 0)
      continue;
    for (int k = 0; k < 4; k++) {
      const double *q = k == 0 || k == 3 ? a : b;
      const double at[3] = {q[0], q[1], k < 2 ? -p->half_m : p->half_m};
      VK_TRY(add_point(mesh, at, n, (k == 1 || k == 2) * p->tile[0], (k < 2) * p->tile[1], err));
    }
    VK_TRY(vk_mesh_add_triangle(mesh, first, first + 1, first + 2, err));
    VK_TRY(vk_mesh_add_triangle(mesh, first, first + 2, first + 3, err));
  }
  VK_TRY(add_cap(mesh, p, -1, err));
  return add_cap(mesh, p, 1, err);
}

static vk_status shape_prism(vk_standin_solid *solid, const cJSON *o, const char *what, vk_err *err)
{
  prism p = {.tile = {1, 1}};
  double area = 0, unused[2];
  VK_TRY(vk_standin_points(o, "points", 2, 3, p.point[0], &p.n, what, err));
  VK_TRY(vk_standin_need(o, "half", what, err));
  VK_TRY(vk_standin_number(o, "half", 1e-5, 100, &p.half_m, what, err));
  VK_TRY(read_mapping(o, p.tile, unused, what, err));
  for (int i = 0; i < p.n; i++) {
    const double *a = p.point[i], *b = p.point[(i + 1) % p.n];
    area += a[0] * b[1] - a[1] * b[0];
  }
  if (!(area > 1e-12))
    return vk_fail(err, VK_E_RANGE, "%s: \"points\" must run counterclockwise", what);
  return fill_levels(solid, fill_prism, &p, err);
}

/* ---- tubes ---------------------------------------------------------------------------------- */

typedef struct tube {
  double point[VK_STANDIN_POINTS_MAX][3];
  int n, n_side;
  double radius_m[2], taper, up[3];
  const char *what;
} tube;

static void cross(double o[3], const double a[3], const double b[3])
{
  for (int k = 0; k < 3; k++)
    o[k] = a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3];
}

static bool unit(double a[3])
{
  const double l = sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]);
  for (int k = 0; l > 0 && k < 3; k++)
    a[k] /= l;
  return l > 1e-9;
}

/* A smooth line through n points of dim numbers (Catmull and Rom): "smooth" steps from one to the
 * next. out has room for VK_STANDIN_POINTS_MAX. */
static vk_status smooth_line(double *out, int *n_out, const double *point, int n, int dim,
                             const cJSON *o, const char *what, vk_err *err)
{
  int m = 0, n_between = 1;
  VK_TRY(vk_standin_count(o, "smooth", 1, 16, &n_between, what, err));
  if ((n - 1) * n_between + 1 > VK_STANDIN_POINTS_MAX)
    return vk_fail(err, VK_E_RANGE, "%s: %d points with \"smooth\" %d are %d, at most %d can be",
                   what, n, n_between, (n - 1) * n_between + 1, VK_STANDIN_POINTS_MAX);
  for (int i = 0; i + 1 < n; i++)
    for (int j = 0; j < n_between || (i + 2 == n && j == n_between); j++) {
      const double t = (double)j / n_between;
      for (int k = 0; k < dim; k++) {
        const double b = point[i * dim + k], c = point[(i + 1) * dim + k];
        const double a = i > 0 ? point[(i - 1) * dim + k] : 2 * b - c;
        const double d = i + 2 < n ? point[(i + 2) * dim + k] : 2 * c - b;
        out[m * dim + k] =
            b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)));
      }
      m++;
    }
  *n_out = m;
  return VK_OK;
}

static vk_status add_ring(vk_mesh *mesh, const tube *t, int i, int n_side, double v, vk_err *err)
{
  double along[3], side[3], across[3];
  const int before = i > 0 ? i - 1 : 0, after = i + 1 < t->n ? i + 1 : i;
  for (int k = 0; k < 3; k++)
    along[k] = t->point[after][k] - t->point[before][k];
  const bool moves = unit(along);
  cross(across, t->up, along);
  if (!moves || !unit(across))
    return vk_fail(err, VK_E_RANGE, "%s: \"path\" stands still, turns back or runs along \"up\"",
                   t->what);
  cross(side, along, across);
  const double size = 1 + (t->taper - 1) * i / (t->n - 1);
  const double a = t->radius_m[0] * size, b = t->radius_m[1] * size;
  for (int j = 0; j <= n_side; j++) {
    double c, s, p[3], n[3];
    vk_turn_cos_sin((double)j / n_side, &c, &s);
    for (int k = 0; k < 3; k++) { /* ellipse: half a along up, b across */
      p[k] = t->point[i][k] + a * c * side[k] - b * s * across[k];
      n[k] = c / a * side[k] - s / b * across[k];
    }
    VK_TRY(add_point(mesh, p, n, (double)j / n_side, v, err));
  }
  return VK_OK;
}

static vk_status add_end(vk_mesh *mesh, uint32_t ring, int n_side, const double n[3], bool is_last,
                         vk_err *err)
{
  const uint32_t first = mesh->n_vertex;
  for (int j = 0; j < n_side; j++) {
    const float *p = mesh->vertex[ring + (uint32_t)j].p;
    const double at[3] = {p[0], p[1], p[2]};
    VK_TRY(add_point(mesh, at, n, 0.5, 0.5, err));
  }
  for (uint32_t j = 1; j + 1 < (uint32_t)n_side; j++)
    VK_TRY(vk_mesh_add_triangle(mesh, first, first + (is_last ? j : j + 1),
                                first + (is_last ? j + 1 : j), err));
  return VK_OK;
}

static vk_status fill_tube(vk_mesh *mesh, int level, const void *how, vk_err *err)
{
  tube t = *(const tube *)how;
  const int n_side = t.n_side - 2 * level < 4 ? 4 : t.n_side - 2 * level;
  if (level > 0 && t.n > 4) { /* every second point, ends included */
    int n = 0;
    for (int i = 0; i < t.n; i++)
      if (i % (1 << level) == 0 || i + 1 == t.n)
        memcpy(t.point[n++], t.point[i], sizeof t.point[0]);
    t.n = n;
  }
  const uint32_t first = mesh->n_vertex, row = (uint32_t)n_side + 1;
  for (int i = 0; i < t.n; i++)
    VK_TRY(add_ring(mesh, &t, i, n_side, (double)i / (t.n - 1), err));
  for (uint32_t i = 0; i + 1 < (uint32_t)t.n; i++)
    for (uint32_t j = 0; j < (uint32_t)n_side; j++) {
      const uint32_t a = first + i * row + j;
      VK_TRY(vk_mesh_add_triangle(mesh, a, a + row + 1, a + row, err));
      VK_TRY(vk_mesh_add_triangle(mesh, a, a + 1, a + row + 1, err));
    }
  double n[3];
  for (int k = 0; k < 3; k++)
    n[k] = t.point[0][k] - t.point[1][k];
  VK_TRY(add_end(mesh, first, n_side, n, false, err));
  for (int k = 0; k < 3; k++)
    n[k] = t.point[t.n - 1][k] - t.point[t.n - 2][k];
  return add_end(mesh, first + (uint32_t)(t.n - 1) * row, n_side, n, true, err);
}

static vk_status shape_tube(vk_standin_solid *solid, const cJSON *o, const char *what, vk_err *err)
{
  tube t = {.what = what, .n_side = 8, .radius_m = {0.005, 0.005}, .taper = 1, .up = {0, 0, 1}};
  double point[VK_STANDIN_POINTS_MAX][3];
  int n = 0;
  VK_TRY(vk_standin_points(o, "path", 3, 2, point[0], &n, what, err));
  VK_TRY(vk_standin_numbers(o, "radius", 2, 1e-5, 10, t.radius_m, what, err));
  VK_TRY(vk_standin_number(o, "taper", 0.01, 10, &t.taper, what, err));
  VK_TRY(vk_standin_numbers(o, "up", 3, -1, 1, t.up, what, err));
  VK_TRY(vk_standin_count(o, "sides", 3, 32, &t.n_side, what, err));
  VK_TRY(smooth_line(t.point[0], &t.n, point[0], n, 3, o, what, err));
  for (int k = 1; k < VK_STANDIN_LEVELS; k++)
    solid->error_m[k] =
        fmaxf(solid->error_m[k], (float)(fmax(t.radius_m[0], t.radius_m[1]) * 0.25 * k));
  return fill_levels(solid, fill_tube, &t, err);
}

/* ---- lathes and balls ----------------------------------------------------------------------- */

static vk_status read_lathe(const cJSON *o, vk_standin_lathe *l, const char *what, vk_err *err)
{
  double degree[2] = {0, 360}, crease = 40, scale[2] = {1, 1}, c, s;
  VK_TRY(vk_standin_count(o, "sides", 3, 64, &l->n_side, what, err));
  VK_TRY(vk_standin_numbers(o, "arc", 2, -720, 720, degree, what, err));
  VK_TRY(vk_standin_number(o, "crease", 1, 179, &crease, what, err));
  VK_TRY(vk_standin_numbers(o, "scale", 2, 0.01, 100, scale, what, err));
  VK_TRY(read_mapping(o, l->tile, l->repeat_m, what, err));
  if (!(degree[0] < degree[1]))
    return vk_fail(err, VK_E_RANGE, "%s: \"arc\" must be two rising angles", what);
  if (vk_standin_member(o, "flat"))
    VK_TRY(vk_json_get_bool(o, "flat", &l->is_flat, what, err));
  if (vk_standin_member(o, "fixed"))
    VK_TRY(vk_json_get_bool(o, "fixed", &l->is_fixed, what, err));
  for (int k = 0; k < 2; k++) {
    l->arc[k] = degree[k] / 360;
    l->scale[k] = scale[k];
  }
  l->scale[2] = 1;
  vk_turn_cos_sin(crease / 360, &c, &s);
  l->crease_cos = c;
  return VK_OK;
}

static vk_status shape_lathe(vk_standin_solid *solid, const cJSON *o, const char *what, vk_err *err)
{
  double point[VK_STANDIN_POINTS_MAX][2], fine[VK_STANDIN_POINTS_MAX][2];
  int n = 0;
  vk_standin_lathe l = {.profile = fine[0], .n_side = 24, .tile = {1, 1}};
  VK_TRY(vk_standin_points(o, "profile", 2, 2, point[0], &n, what, err));
  VK_TRY(read_lathe(o, &l, what, err));
  VK_TRY(smooth_line(fine[0], &l.n_point, point[0], n, 2, o, what, err));
  return vk_standin_add_lathe(solid, &l, err);
}

vk_status vk_standin_add_ball(vk_standin_solid *solid, const double half[3], int n_side,
                              vk_err *err)
{
  double point[17][2];
  const int n = n_side / 2 < 16 ? n_side / 2 : 16;
  for (int i = 0; i <= n; i++) {
    double c, s;
    vk_turn_cos_sin((double)i / n / 2 - 0.25, &c, &s);
    point[i][0] = c;
    point[i][1] = s;
  }
  const vk_standin_lathe l = {.profile = point[0],
                              .n_point = n + 1,
                              .n_side = n_side,
                              .arc = {0, 1},
                              .scale = {half[0], half[1], half[2]},
                              .tile = {1, 1},
                              .crease_cos = -0.9};
  return vk_standin_add_lathe(solid, &l, err);
}

static vk_status shape_ball(vk_standin_solid *solid, const cJSON *o, const char *what, vk_err *err)
{
  double half[3] = {0};
  int n_side = 16;
  VK_TRY(vk_standin_need(o, "half", what, err));
  VK_TRY(vk_standin_numbers(o, "half", 3, 1e-5, 100, half, what, err));
  VK_TRY(vk_standin_count(o, "sides", 6, 64, &n_side, what, err));
  return vk_standin_add_ball(solid, half, n_side, err);
}

/* ---- which shape ---------------------------------------------------------------------------- */

vk_status vk_standin_shape(vk_standin_solid *solid, const cJSON *o, vk_standin_source *source,
                           uint32_t body, const char *what, vk_err *err)
{
  static const char *const words[] = {"box",   "sheet", "prism",     "tube",
                                      "lathe", "ball",  "collision", NULL};
  int kind = 0;
  VK_TRY(vk_standin_need(o, "shape", what, err));
  VK_TRY(vk_standin_choice(o, "shape", words, &kind, what, err));
  switch (kind) {
  case 0:
  case 1:
    return shape_box(solid, o, kind == 1, what, err);
  case 2:
    return shape_prism(solid, o, what, err);
  case 3:
    return shape_tube(solid, o, what, err);
  case 4:
    return shape_lathe(solid, o, what, err);
  case 5:
    return shape_ball(solid, o, what, err);
  default:
    break;
  }
  double tile[2], repeat_m[2] = {0.2, 0.2};
  VK_TRY(read_mapping(o, tile, repeat_m, what, err));
  const cJSON *only = vk_standin_member(o, "only");
  if (only && !cJSON_IsArray(only))
    return vk_fail(err, VK_E_FORMAT, "%s: \"only\" must be names in brackets", what);
  if (body == VK_PACK_NONE)
    return VK_OK;
  const uint32_t n_before = solid->level[0].n_triangle;
  VK_TRY(vk_standin_collision(solid, source, body, only, repeat_m, err));
  if (solid->level[0].n_triangle == n_before)
    return vk_fail(err, VK_E_FORMAT, "%s: its body has no such collision geometry", what);
  return VK_OK;
}
