/* Geoms with texture coordinates as MuJoCo's renderer generates them. */
#include "sim/import_shape.h"

#include <stdlib.h>

#include "test.h"

static vk_mesh make(const char *type, const double size[3], vk_texture_map map)
{
  vk_mesh m = {0};
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_import_shape(&m, type, size, &map, &err), &err);
  assert_true(m.n_triangle > 0);
  return m;
}

/* s = r x / 2 - 1/2, t = -r y / 2 - 1/2, of x and y from -1 to 1, or in m. */
static void maps_pictures(void **state)
{
  static const double size[3] = {0.5, 2, 0.25};
  static const char *const types[] = {"box", "plane", "ellipsoid"};
  for (size_t i = 0; i < VK_COUNT(types); i++)
    for (int uniform = 0; uniform < 2; uniform++) {
      vk_mesh m = make(types[i], size, (vk_texture_map){VK_MAP_2D, uniform, {3, 5}});
      for (uint32_t k = 0; k < m.n_vertex; k++) {
        const vk_vertex *v = &m.vertex[k];
        double x = uniform ? v->p[0] : v->p[0] / size[0], y = uniform ? v->p[1] : v->p[1] / size[1];
        vk_assert_close(v->t[0], 1.5 * x - 0.5, 1e-5, 0);
        vk_assert_close(v->t[1], -2.5 * y - 0.5, 1e-5, 0);
        assert_true(v->t[2] == 0);
      }
      vk_mesh_free(&m);
    }
}

static void maps_cubes(void **state)
{
  vk_mesh m =
      make("cylinder", (double[3]){0.5, 2, 0}, (vk_texture_map){VK_MAP_CUBE, false, {1, 1}});
  for (uint32_t k = 0; k < m.n_vertex; k++)
    for (int c = 0; c < 3; c++)
      vk_assert_close(m.vertex[k].t[c], m.vertex[k].p[c] / (c < 2 ? 0.5 : 2), 1e-6, 0);
  vk_mesh_free(&m);
  /* ends of a capsule are unit balls about 1 and -1 */
  m = make("capsule", (double[3]){0.5, 2, 0}, (vk_texture_map){VK_MAP_CUBE, false, {1, 1}});
  float top = 0;
  for (uint32_t k = 0; k < m.n_vertex; k++)
    if (fabsf(m.vertex[k].t[2]) > fabsf(top))
      top = m.vertex[k].t[2];
  vk_assert_close(fabsf(top), 2, 1e-6, 0);
  vk_mesh_free(&m);
  m = make("sphere", (double[3]){0.5, 0, 0}, (vk_texture_map){VK_MAP_NONE, false, {1, 1}});
  for (uint32_t k = 0; k < m.n_vertex; k++)
    assert_true(m.vertex[k].t[0] == 0 && m.vertex[k].t[1] == 0 && m.vertex[k].t[2] == 0);
  vk_mesh_free(&m);
}

static void maps_meshes(void **state)
{
  /* a box of half sizes 1, 0.5, 0.25 about (1, 0.5, 0.25), without coordinates of its own */
  static const char obj[] = "v 0 0 0\nv 2 0 0\nv 0 1 0\nv 2 1 0\nv 0 0 .5\nv 2 0 .5\nv 0 1 .5\n"
                            "v 2 1 .5\nf 1 3 2\nf 2 3 4\nf 5 6 7\nf 6 8 7\nf 1 2 5\nf 2 6 5\n"
                            "f 3 7 4\nf 4 7 8\nf 1 5 3\nf 3 5 7\nf 2 4 6\nf 4 8 6\n";
  const vk_texture_map cube = {VK_MAP_CUBE, false, {1, 1}}, flat = {VK_MAP_2D, false, {1, 1}},
                       none = {VK_MAP_NONE, false, {1, 1}};
  vk_mesh m = {0};
  vk_err err = VK_ERR_INIT;
  const double one[3] = {1, 1, 1};
  vk_assert_ok(vk_import_mesh(&m, "b.obj", obj, sizeof obj - 1, one, &cube, &err), &err);
  for (uint32_t k = 0; k < m.n_vertex; k++) { /* distances from the middle do not turn */
    const vk_vertex *v = &m.vertex[k];
    double want = 1 + 0.25 + 0.0625, got = 0;
    for (int c = 0; c < 3; c++)
      got += v->t[c] * v->t[c];
    vk_assert_close(got, want, 1e-5, 0);
  }
  vk_mesh_free(&m);
  vk_assert_ok(vk_import_mesh(&m, "b.obj", obj, sizeof obj - 1, one, &flat, &err), &err);
  for (uint32_t k = 0; k < m.n_vertex; k++) { /* corners lie at -1 and 1 of what MuJoCo made it */
    vk_assert_close(fabs(m.vertex[k].t[0] + 0.5), 0.5, 1e-5, 0);
    vk_assert_close(fabs(m.vertex[k].t[1] + 0.5), 0.5, 1e-5, 0);
  }
  vk_mesh_free(&m);
  static const char own[] = "v 0 0 0\nv 2 0 0\nv 0 1 0\nvt .5 .25\nvt 0 0\nvt 1 1\nf 1/1 2/2 3/3\n";
  vk_assert_ok(vk_import_mesh(&m, "b.OBJ", own, sizeof own - 1, one, &flat, &err), &err);
  vk_assert_same_bits(m.vertex[0].t[1], 0.75f);
  vk_mesh_free(&m);
  vk_assert_ok(vk_import_mesh(&m, "b.obj", own, sizeof own - 1, one, &none, &err), &err);
  vk_assert_same_bits(m.vertex[0].t[1], 0.0f);
  vk_mesh_free(&m);
  vk_assert_fails(vk_import_mesh(&m, "b.obj", own, sizeof own - 1, one, &cube, &err),
                  VK_E_UNSUPPORTED);
  vk_assert_says(&err, "b.obj: has coordinates for a 2D texture");
  vk_mesh_free(&m);
}

static void refuses_what_it_cannot_draw(void **state)
{
  const vk_texture_map none = {VK_MAP_NONE, false, {1, 1}};
  vk_mesh m = {0};
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_import_shape(&m, "hfield", (double[3]){1, 1, 1}, &none, &err),
                  VK_E_UNSUPPORTED);
  vk_assert_says(&err, "type \"hfield\"");
  vk_assert_fails(vk_import_shape(&m, "plane", (double[3]){0, 0, 1}, &none, &err),
                  VK_E_UNSUPPORTED);
  vk_assert_fails(vk_import_shape(&m, "box", (double[3]){1, NAN, 1}, &none, &err),
                  VK_E_UNSUPPORTED);
  vk_assert_fails(vk_import_mesh(&m, "a.dae", "", 0, (double[3]){1, 1, 1}, &none, &err),
                  VK_E_UNSUPPORTED);
  vk_assert_says(&err, "a.dae: expected a mesh that ends in .msh, .obj or .stl");
  vk_assert_fails(vk_import_mesh(&m, "a.obj", "", 0, (double[3]){1, -1, 1}, &none, &err),
                  VK_E_UNSUPPORTED);
  vk_assert_says(&err, "scale 1 -1 1");
  vk_assert_fails(vk_import_mesh(&m, "a.stl", "", 0, (double[3]){1, 1, 1}, &none, &err),
                  VK_E_FORMAT);
  /* what would not be finite in floats, or too large for visuals */
  static const char triangle[] = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n";
  vk_assert_fails(vk_import_shape(&m, "box", (double[3]){1, 1e300, 1}, &none, &err),
                  VK_E_UNSUPPORTED);
  vk_assert_fails(vk_import_mesh(&m, "a.obj", triangle, sizeof triangle - 1,
                                 (double[3]){1, 1e300, 1}, &none, &err),
                  VK_E_RANGE);
  vk_assert_says(&err, "a.obj: a vertex at inf m");
  vk_assert_fails(vk_import_shape(&m, "box", (double[3]){1, 1, 1},
                                  &(vk_texture_map){VK_MAP_2D, false, {1e9, 1}}, &err),
                  VK_E_RANGE);
  vk_assert_says(&err, "texrepeat");
  vk_mesh_free(&m);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(maps_pictures),
      cmocka_unit_test(maps_cubes),
      cmocka_unit_test(maps_meshes),
      cmocka_unit_test(refuses_what_it_cannot_draw),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
