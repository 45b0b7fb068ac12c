/* STL files: what is read, what is refused, and when a mesh is replaced by its hull. */
#include "sim/import_stl.h"

#include <stdlib.h>

#include "test.h"

/* The corners of a box; corner k has bit 0, 1, 2 of k as x, y, z. */
static const int box[12][3] = {{0, 2, 1}, {1, 2, 3}, {4, 5, 6}, {5, 7, 6}, {0, 1, 4}, {1, 5, 4},
                               {2, 6, 3}, {3, 6, 7}, {0, 4, 2}, {2, 4, 6}, {1, 3, 5}, {3, 7, 5}};

/* A binary STL of the box, and with dent of three triangles inside it; malloc'd. */
static unsigned char *make_stl(bool dent, size_t *n)
{
  uint32_t n_triangle = dent ? 15 : 12;
  *n = 84 + 50 * (size_t)n_triangle;
  unsigned char *p = calloc(1, *n);
  p[80] = (unsigned char)n_triangle;
  for (uint32_t i = 0; i < n_triangle; i++)
    for (int k = 0; k < 3; k++) {
      float v[3] = {0.1f * (float)(k + 1), 0.05f, 0.2f};
      if (i < 12)
        for (int a = 0; a < 3; a++)
          v[a] = 0.5f * (float)(box[i][k] >> a & 1);
      v[0] += i >= 12 ? 0.01f * (float)(i - 12) : 0;
      memcpy(p + 84 + 50 * i + 12 + 12 * k, v, 12);
    }
  return p;
}

static void reads_triangles(void **state)
{
  size_t n;
  unsigned char *bytes = make_stl(false, &n);
  vk_stl stl;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_stl_parse(&stl, bytes, n, "box.stl", &err), &err);
  assert_int_equal(stl.n_triangle, 12);
  vk_assert_same_bits(stl.vertex[9 * 11 + 0], 0.5f); /* corner 3: x, y */
  vk_assert_same_bits(stl.vertex[9 * 11 + 2], 0.0f);
  bool is_hull = true;
  vk_assert_ok(vk_stl_reduce_to_hull(&stl, &is_hull, "box.stl", &err), &err);
  assert_false(is_hull); /* it is its own hull: the triangles stay as they are */
  assert_memory_equal(stl.vertex, (float[3]){0}, 12);
  assert_int_equal(stl.n_triangle, 12);
  vk_stl_free(&stl);
  free(bytes);
}

static void reduces_to_the_hull(void **state)
{
  size_t n;
  unsigned char *bytes = make_stl(true, &n);
  vk_stl stl;
  vk_err err = VK_ERR_INIT;
  bool is_hull = false;
  vk_assert_ok(vk_stl_parse(&stl, bytes, n, "dent.stl", &err), &err);
  vk_assert_ok(vk_stl_reduce_to_hull(&stl, &is_hull, "dent.stl", &err), &err);
  assert_true(is_hull);
  assert_int_equal(stl.n_triangle, 12);
  double volume = 0; /* of the closed surface, positive when triangles face outwards */
  for (uint32_t i = 0; i < stl.n_triangle; i++) {
    const float *a = stl.vertex + 9 * i, *b = a + 3, *c = a + 6;
    for (int k = 0; k < 9; k++)
      assert_true(a[k] == 0.0f || a[k] == 0.5f);
    volume += (a[0] * (b[1] * c[2] - b[2] * c[1]) + a[1] * (b[2] * c[0] - b[0] * c[2]) +
               a[2] * (b[0] * c[1] - b[1] * c[0])) /
              6;
  }
  vk_assert_close(volume, 0.125, 1e-6, 0);
  vk_stl_free(&stl);
  free(bytes);
}

static void refuses_what_is_wrong(void **state)
{
  size_t n;
  unsigned char *bytes = make_stl(false, &n);
  vk_stl stl;
  vk_err err = VK_ERR_INIT;
  for (size_t i = 0; i < n; i++) {
    unsigned char *cut = malloc(i ? i : 1);
    memcpy(cut, bytes, i);
    vk_assert_fails(vk_stl_parse(&stl, cut, i, "cut.stl", &err), VK_E_FORMAT);
    free(cut);
  }
  bytes[80] = 11;
  vk_assert_fails(vk_stl_parse(&stl, bytes, n, "box.stl", &err), VK_E_FORMAT);
  vk_assert_says(&err, "box.stl: 684 bytes are no binary STL of 11 triangles");
  bytes[80] = 12;
  const float nan_ = NAN;
  memcpy(bytes + 84 + 50 * 3 + 12, &nan_, 4);
  vk_assert_fails(vk_stl_parse(&stl, bytes, n, "box.stl", &err), VK_E_FORMAT);
  vk_assert_says(&err, "triangle 3 has a vertex that is not finite");
  free(bytes);
}

/* MuJoCo cannot make a hull of points in a plane: an error, not the end of the program. */
static void reports_flat_meshes(void **state)
{
  float v[9] = {0, 0, 0, 1, 0, 0, 0, 1, 0};
  vk_stl stl = {1, malloc(sizeof v)};
  memcpy(stl.vertex, v, sizeof v);
  bool is_hull;
  vk_err err = VK_ERR_INIT;
  vk_status st = vk_stl_reduce_to_hull(&stl, &is_hull, "flat.stl", &err);
  assert_true(st == VK_E_FORMAT || st == VK_E_SIM);
  vk_assert_says(&err, "flat.stl");
  vk_stl_free(&stl);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_triangles),
      cmocka_unit_test(reduces_to_the_hull),
      cmocka_unit_test(refuses_what_is_wrong),
      cmocka_unit_test(reports_flat_meshes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
