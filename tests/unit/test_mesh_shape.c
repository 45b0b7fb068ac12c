/* test_mesh_shape.c - shapes of MJCF as triangles: closed, outside out, as large as they should be;
 * sines that are the same everywhere. */
#include "sim/mesh.h"
#include "sim/turn.h"
#include "test.h"

static void cross(double o[3], const float *a, const float *b, const float *c)
{
  double u[3], v[3];
  for (int k = 0; k < 3; k++) {
    u[k] = b[k] - a[k];
    v[k] = c[k] - a[k];
  }
  for (int k = 0; k < 3; k++)
    o[k] = u[(k + 1) % 3] * v[(k + 2) % 3] - u[(k + 2) % 3] * v[(k + 1) % 3];
}

/* Volume by the divergence theorem (negative when triangles face inwards) and area; every normal is
 * unit and on the side of its triangles. */
static void measure(const vk_mesh *mesh, double *volume, double *area)
{
  *volume = *area = 0;
  for (uint32_t i = 0; i < mesh->n_triangle; i++) {
    const uint32_t *t = mesh->index + 3 * i;
    const float *p = mesh->vertex[t[0]].p;
    double n[3], length2 = 0, along = 0;
    cross(n, p, mesh->vertex[t[1]].p, mesh->vertex[t[2]].p);
    for (int k = 0; k < 3; k++) {
      *volume += n[k] * p[k] / 6;
      length2 += n[k] * n[k];
    }
    assert_true(length2 > 0);
    for (int c = 0; c < 3; c++) {
      double unit = 0;
      for (int k = 0; k < 3; k++) {
        along += n[k] * mesh->vertex[t[c]].n[k];
        unit += mesh->vertex[t[c]].n[k] * mesh->vertex[t[c]].n[k];
      }
      vk_assert_close(unit, 1, 1e-5, 0);
    }
    assert_true(along > 0);
    *area += sqrt(length2) / 2;
  }
}

/* As a polyhedron inside the round shape, a little smaller than it. */
static void check(vk_mesh *mesh, const float half[3], double volume, double area)
{
  double v, a;
  measure(mesh, &v, &a);
  vk_assert_close(v, volume, 1e-9, 0.025);
  assert_true(v <= volume * (1 + 1e-6));
  vk_assert_close(a, area, 1e-9, 0.02);
  for (int k = 0; k < 3; k++) {
    double hi = 0, u = 0;
    for (uint32_t i = 0; i < mesh->n_vertex; i++) {
      hi = fmax(hi, fabs(mesh->vertex[i].p[k]));
      u = fmax(u, fabs(mesh->vertex[i].t[k]));
    }
    vk_assert_close(hi, half[k], 1e-7, 1e-6);
    vk_assert_close(u, half[k] > 0, 1e-6, 0);
  }
  vk_mesh_free(mesh);
}

static void closed_shapes(void **state)
{
  vk_mesh m = {0};
  const float half[3] = {0.1f, 0.2f, 0.3f};
  vk_assert_ok(vk_mesh_add_box(&m, half, NULL), NULL);
  assert_int_equal(m.n_triangle, 6 * 16 * 2);
  check(&m, half, 8 * 0.006, 8 * (0.02 + 0.06 + 0.03));

  vk_assert_ok(vk_mesh_add_ellipsoid(&m, (const float[3]){0.2f, 0.2f, 0.2f}, NULL), NULL);
  check(&m, (const float[3]){0.2f, 0.2f, 0.2f}, 4.0 / 3 * M_PI * 0.008, 4 * M_PI * 0.04);
  vk_assert_ok(vk_mesh_add_ellipsoid(&m, half, NULL), NULL);
  check(&m, half, 4.0 / 3 * M_PI * 0.006, 0.48882); /* Knud Thomsen's formula */

  vk_assert_ok(vk_mesh_add_cylinder(&m, 0.1f, 0.3f, NULL), NULL);
  check(&m, (const float[3]){0.1f, 0.1f, 0.3f}, M_PI * 0.006, M_PI * (0.12 + 0.02));
  vk_assert_ok(vk_mesh_add_capsule(&m, 0.1f, 0.2f, NULL), NULL);
  check(&m, (const float[3]){0.1f, 0.1f, 0.3f}, M_PI * (0.004 + 0.004 / 3), M_PI * (0.08 + 0.04));
}

static void plane(void **state)
{
  vk_mesh m = {0};
  double v, a;
  vk_assert_ok(vk_mesh_add_plane(&m, (const float[3]){3, 2, 0.5f}, NULL), NULL);
  assert_int_equal(m.n_triangle, 6 * 4 * 2);
  measure(&m, &v, &a);
  vk_assert_close(a, 24, 0, 1e-6);
  for (uint32_t i = 0; i < m.n_vertex; i++)
    vk_assert_close(m.vertex[i].n[2], 1, 0, 0);
  vk_mesh_free(&m);
}

static void turns(void **state)
{
  double c, s;
  for (int i = -200; i <= 200; i++) {
    vk_turn_cos_sin(i / 97.0, &c, &s);
    vk_assert_close(c, cos(2 * M_PI * i / 97.0), 1e-14, 0);
    vk_assert_close(s, sin(2 * M_PI * i / 97.0), 1e-14, 0);
  }
  vk_turn_cos_sin(0.25, &c, &s);
  assert_true(c == 0 && s == 1);
  vk_turn_cos_sin(1, &c, &s);
  assert_true(c == 1 && s == 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(closed_shapes),
      cmocka_unit_test(plane),
      cmocka_unit_test(turns),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
