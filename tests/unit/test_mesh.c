/* Meshes: joining, welding, simplifying, levels of detail, distances, parts. */
#include "sim/mesh.h"

#include <stdlib.h>

#include "core/rng.h"
#include "sim/mesh_distance.h"
#include "sim/mesh_split.h"
#include "test.h"

/* A grid of 2 n^2 triangles over [0, 1] x [0, 1], bent to a cylinder's part of that radius (0: not
 * bent), with a vertex for each corner. */
static vk_mesh make_sheet(int n, double radius)
{
  static const int corner[6][2] = {{0, 0}, {1, 0}, {1, 1}, {0, 0}, {1, 1}, {0, 1}};
  vk_mesh m = {0};
  for (int j = 0; j < n; j++)
    for (int i = 0; i < n; i++)
      for (int k = 0; k < 6; k++) {
        double x = (double)(i + corner[k][0]) / n, y = (double)(j + corner[k][1]) / n;
        double a = radius > 0 ? x / radius : 0;
        vk_vertex v = {{(float)x, (float)y, 0}, {0, 0, 1}, {(float)x, (float)y, 0}};
        if (radius > 0) {
          v.p[0] = (float)(radius * sin(a));
          v.p[2] = (float)(radius * cos(a));
          v.n[0] = (float)sin(a);
          v.n[2] = (float)cos(a);
        }
        vk_assert_ok(vk_mesh_add_vertex(&m, &v, NULL), NULL);
        if (k % 3 == 2)
          vk_assert_ok(
              vk_mesh_add_triangle(&m, m.n_vertex - 3, m.n_vertex - 2, m.n_vertex - 1, NULL), NULL);
      }
  return m;
}

static double area_of(const vk_mesh *m)
{
  double sum = 0;
  for (uint32_t i = 0; i < m->n_triangle; i++) {
    const float *a = m->vertex[m->index[3 * i]].p, *b = m->vertex[m->index[3 * i + 1]].p,
                *c = m->vertex[m->index[3 * i + 2]].p;
    double n2 = 0;
    for (int k = 0; k < 3; k++) {
      int p = (k + 1) % 3, q = (k + 2) % 3;
      double n = ((double)b[p] - a[p]) * ((double)c[q] - a[q]) -
                 ((double)b[q] - a[q]) * ((double)c[p] - a[p]);
      n2 += n * n;
    }
    sum += sqrt(n2) / 2;
  }
  return sum;
}

static void welds(void **state)
{
  vk_mesh m = make_sheet(4, 0);
  const vk_vertex lone = {{9, 9, 9}, {0, 0, 1}, {0}};
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_mesh_add_vertex(&m, &lone, &err), &err);
  vk_assert_ok(vk_mesh_add_triangle(&m, 0, 1, 0, &err), &err); /* without area */
  m.vertex[0].p[2] = -0.0f;
  vk_assert_ok(vk_mesh_weld(&m, &err), &err);
  assert_int_equal(m.n_triangle, 32);
  assert_int_equal(m.n_vertex, 25);
  vk_assert_close(area_of(&m), 1, 1e-6, 0);
  vk_mesh_free(&m);
  vk_assert_ok(vk_mesh_weld(&m, &err), &err); /* nothing is fine, too */
  assert_int_equal(m.n_vertex, 0);
}

static void measures_distances(void **state)
{
  vk_mesh m = make_sheet(20, 0);
  const float point[][3] = {{0.5f, 0.5f, 0},     {0.31f, 0.77f, 0.25f}, {0.5f, 0.5f, -4},
                            {-3, 0.5f, 4},       {1, 1, 1e-4f},         {2, 2, 1},
                            {0.25f, -0.125f, 0}, {0.999f, 0.001f, 0}};
  const double want[] = {0, 0.25, 4, 5, 1e-4, sqrt(3), 0.125, 0};
  float got[VK_COUNT(want)];
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_mesh_distances(&m, point, VK_COUNT(want), got, NULL, &err), &err);
  for (size_t i = 0; i < VK_COUNT(want); i++)
    vk_assert_close(got[i], want[i], 1e-6, 1e-6);
  m.n_triangle = 1; /* the first: (0, 0), (0.05, 0), (0.05, 0.05) */
  vk_assert_ok(vk_mesh_distances(&m, point, 1, got, NULL, &err), &err);
  vk_assert_close(got[0], 0.45 * sqrt(2), 1e-6, 0);
  vk_mesh_free(&m);
}

/* Triangles whose own boxes fill the whole mesh's lie in larger cells: nothing else changes. */
static void measures_distances_of_long_triangles(void **state)
{
  enum { N = 400, N_POINT = 16 };
  vk_mesh m = {0};
  vk_err err = VK_ERR_INIT;
  vk_mt19937 rng;
  float point[N_POINT][3], want[N_POINT], got[N_POINT];
  vk_mt19937_seed(&rng, 1);
  for (uint32_t i = 0; i < N; i++) {
    for (int c = 0; c < 3; c++) {
      vk_vertex v = {{0}, {0, 0, 1}, {0}};
      for (int k = 0; k < 3; k++)
        v.p[k] = (float)((c > 1) + vk_mt19937_uniform(&rng, -0.05, 0.05));
      vk_assert_ok(vk_mesh_add_vertex(&m, &v, &err), &err);
    }
    vk_assert_ok(vk_mesh_add_triangle(&m, 3 * i, 3 * i + 1, 3 * i + 2, &err), &err);
  }
  for (int i = 0; i < N_POINT; i++) {
    want[i] = HUGE_VALF;
    for (int k = 0; k < 3; k++)
      point[i][k] = (float)vk_mt19937_uniform(&rng, -0.5, 1.5);
  }
  for (uint32_t i = 0; i < N; i++) { /* each alone */
    vk_mesh one = {
        .n_vertex = 3 * N, .n_triangle = 1, .vertex = m.vertex, .index = m.index + 3 * i};
    vk_assert_ok(vk_mesh_distances(&one, (const float(*)[3])point, N_POINT, got, NULL, &err), &err);
    for (int k = 0; k < N_POINT; k++)
      want[k] = fminf(want[k], got[k]);
  }
  vk_assert_ok(vk_mesh_distances(&m, (const float(*)[3])point, N_POINT, got, NULL, &err), &err);
  for (int k = 0; k < N_POINT; k++)
    assert_true(got[k] == want[k]);
  vk_mesh_free(&m);
}

static void append(vk_mesh *mesh, const vk_mesh *other, const float at[3])
{
  vk_err err = VK_ERR_INIT;
  const uint32_t first = mesh->n_vertex;
  for (uint32_t i = 0; i < other->n_vertex; i++) {
    vk_vertex v = other->vertex[i];
    for (int k = 0; k < 3; k++)
      v.p[k] += at[k];
    vk_assert_ok(vk_mesh_add_vertex(mesh, &v, &err), &err);
  }
  for (uint32_t i = 0; i < other->n_triangle; i++) {
    const uint32_t *t = other->index + 3 * i;
    vk_assert_ok(vk_mesh_add_triangle(mesh, first + t[0], first + t[1], first + t[2], &err), &err);
  }
}

static void simplifies(void **state)
{
  vk_mesh m = make_sheet(64, 0.25), level[8] = {{0}};
  float error_m[8];
  int n = 0;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_mesh_weld(&m, &err), &err);
  vk_assert_ok(vk_mesh_make_levels(&m, level, error_m, 8, &n, &err), &err);
  assert_true(n >= 3);
  for (int k = 0; k < n; k++) {
    for (uint32_t i = 0; i < level[k].n_vertex; i++) { /* corners are the sheet's own */
      const vk_vertex *v = &level[k].vertex[i];
      vk_assert_close(v->p[0] * v->p[0] + v->p[2] * v->p[2], 0.0625, 1e-6, 0);
      vk_assert_close(v->t[1], v->p[1], 1e-6, 0);
      /* a mean of those about it, which at the border are on one side */
      const bool is_inside = v->t[0] > 0 && v->t[0] < 1 && error_m[k] < 4e-3f;
      vk_assert_close(v->n[0], v->p[0] / 0.25, k == 0 ? 1e-3 : is_inside ? 0.1 : 0.3, 0);
    }
    vk_mesh_free(&level[k]);
  }
}

/* Faces with normals of their own become smooth where they are nearly parallel, sharp edges stay:
 * a box, beside a ball that levels have something to leave out of. */
static void takes_means_of_normals(void **state)
{
  vk_mesh m = {0}, ball = {0}, level[8] = {{0}};
  float error_m[8];
  int n = 0;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_mesh_add_box(&m, (float[3]){0.1f, 0.1f, 0.1f}, &err), &err);
  vk_assert_ok(vk_mesh_add_ellipsoid(&ball, (float[3]){0.05f, 0.05f, 0.05f}, &err), &err);
  append(&m, &ball, (float[3]){0.2f, 0, 0});
  for (uint32_t i = 0; i < m.n_vertex; i++)
    memset(m.vertex[i].t, 0, sizeof m.vertex[i].t);
  vk_assert_ok(vk_mesh_weld(&m, &err), &err);
  vk_assert_ok(vk_mesh_make_levels(&m, level, error_m, 8, &n, &err), &err);
  assert_true(n >= 3);
  for (int k = 0; k < n; k++) {
    int n_corner = 0;
    for (uint32_t i = 0; i < level[k].n_vertex; i++) {
      const vk_vertex *v = &level[k].vertex[i];
      if (v->p[0] > 0.11f)
        continue;
      vk_assert_close(fabsf(v->n[0]) + fabsf(v->n[1]) + fabsf(v->n[2]), 1, 1e-5, 0);
      n_corner++;
    }
    assert_int_equal(n_corner, error_m[k] > 0 ? 24 : 6 * 25);
    vk_mesh_free(&level[k]);
  }
  vk_mesh_free(&ball);
}

static void makes_levels(void **state)
{
  vk_mesh m = make_sheet(64, 0.25), level[8] = {{0}};
  float error_m[8];
  int n = 0;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_mesh_weld(&m, &err), &err);
  vk_assert_ok(vk_mesh_make_levels(&m, level, error_m, 8, &n, &err), &err);
  assert_null(m.vertex);
  assert_true(n >= 3);
  for (int i = 0; i < n; i++) {
    assert_true(level[i].n_triangle > 0);
    if (i > 0) {
      assert_true(level[i].n_triangle <= 0.7 * level[i - 1].n_triangle);
      assert_true(error_m[i] > error_m[i - 1]);
    }
  }
  for (int i = 0; i < n; i++)
    vk_mesh_free(&level[i]);
  /* one triangle stays one */
  const vk_vertex v[3] = {{{0}, {0, 0, 1}, {0}}, {{1}, {0, 0, 1}, {0}}, {{0, 1}, {0, 0, 1}, {0}}};
  for (int i = 0; i < 3; i++)
    vk_assert_ok(vk_mesh_add_vertex(&m, &v[i], &err), &err);
  vk_assert_ok(vk_mesh_add_triangle(&m, 0, 1, 2, &err), &err);
  vk_assert_ok(vk_mesh_make_levels(&m, level, error_m, 8, &n, &err), &err);
  assert_int_equal(n, 1);
  assert_int_equal(level[0].n_triangle, 1);
  vk_assert_same_bits(error_m[0], 0.0f);
  vk_mesh_free(&level[0]);
}

/* Large flat sheets stay divided, as light is computed at their vertices. */
static void divides_what_is_flat(void **state)
{
  vk_mesh m = make_sheet(60, 0), level[8] = {{0}};
  float error_m[8];
  int n = 0;
  vk_err err = VK_ERR_INIT;
  for (uint32_t i = 0; i < m.n_vertex; i++)
    for (int k = 0; k < 3; k++)
      m.vertex[i].p[k] *= 2;
  vk_assert_ok(vk_mesh_weld(&m, &err), &err);
  vk_assert_ok(vk_mesh_make_levels(&m, level, error_m, 8, &n, &err), &err);
  for (int i = 0; i < n; i++) {
    assert_true(level[i].n_triangle >= 40 || error_m[i] >= 1e-3f);
    vk_assert_close(area_of(&level[i]), 4, 1e-4, 0);
    vk_mesh_free(&level[i]);
  }
}

static void splits(void **state)
{
  vk_mesh m = {0}, sheet = make_sheet(2, 0), *part;
  vk_err err = VK_ERR_INIT;
  const float at[][3] = {{0, 0, 0}, {5, 0, 0}, {0, 0, 0.25f}, {0, 9, 0}};
  uint32_t n;
  for (size_t i = 0; i < VK_COUNT(at); i++)
    append(&m, &sheet, at[i]);
  vk_assert_ok(vk_mesh_split(&m, 2, &part, &n, &err), &err);
  assert_int_equal(n, 3); /* the first and the third share a cell */
  uint32_t n_triangle = 0;
  for (uint32_t i = 0; i < n; i++) {
    n_triangle += part[i].n_triangle;
    assert_int_equal(part[i].n_vertex, 3 * part[i].n_triangle);
    vk_mesh_free(&part[i]);
  }
  free(part);
  assert_int_equal(n_triangle, m.n_triangle);
  vk_assert_ok(vk_mesh_split(&m, 20, &part, &n, &err), &err); /* not long */
  assert_int_equal(n, 0);
  assert_null(part);
  vk_assert_ok(vk_mesh_split(&sheet, 0.1, &part, &n, &err), &err); /* in one piece */
  assert_int_equal(n, 0);
  vk_mesh_free(&m);
  vk_mesh_free(&sheet);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(welds),
      cmocka_unit_test(measures_distances),
      cmocka_unit_test(measures_distances_of_long_triangles),
      cmocka_unit_test(simplifies),
      cmocka_unit_test(takes_means_of_normals),
      cmocka_unit_test(makes_levels),
      cmocka_unit_test(divides_what_is_flat),
      cmocka_unit_test(splits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
