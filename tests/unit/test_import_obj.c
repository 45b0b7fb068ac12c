/* OBJ files: numbers, polygons, indices from the end, and what is refused by line. */
#include "sim/import_obj.h"

#include <stdlib.h>

#include "test.h"

static vk_status parse(vk_file_mesh *m, const char *text, vk_err *err)
{
  /* without the NUL, so that a read beyond the end is seen */
  size_t n = strlen(text);
  char *bytes = malloc(n ? n : 1);
  memcpy(bytes, text, n);
  vk_status st = vk_obj_parse(m, bytes, n, "a.obj", err);
  free(bytes);
  return st;
}

static void reads_a_mesh(void **state)
{
  vk_file_mesh m;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(parse(&m,
                     "# made by hand\nmtllib x.mtl\no thing\n"
                     "v 0 0 0\nv 1. -.5 +2e-3\r\nv\t-1e2 12345678901234567890e-19 0.25 0.5\n"
                     "vt 0.25 0.75\nvt 0 1 0\nvt 1 0\nvn 0 0 2\nusemtl m\ns off\n"
                     "f 1/1/1 2/2/1 3/3/1\nf -3/-3/-1 -1/-1/-1 -2/-2/-1",
                     &err),
               &err);
  assert_int_equal(m.n_vertex, 3);
  assert_int_equal(m.n_texcoord, 3);
  assert_int_equal(m.n_normal, 1);
  assert_int_equal(m.n_triangle, 2);
  const float want[9] = {0, 0, 0, 1, -0.5f, 2e-3f, -100, 1.2345679f, 0.25f};
  for (int i = 0; i < 9; i++)
    vk_assert_close(m.vertex[i], want[i], 0, 1e-7);
  vk_assert_same_bits(m.texcoord[1], 0.25f); /* turned upside down */
  const uint32_t face[6] = {0, 1, 2, 0, 2, 1};
  assert_memory_equal(m.face, face, sizeof face);
  assert_memory_equal(m.face_texcoord, face, sizeof face);
  assert_int_equal(m.face_normal[5], 0);
  vk_file_mesh_free(&m);
}

static void cuts_polygons(void **state)
{
  vk_file_mesh m;
  vk_err err = VK_ERR_INIT;
  /* a kite whose other diagonal is the shorter one, then five corners */
  vk_assert_ok(
      parse(&m, "v 0 0 0\nv 4 -1 0\nv 9 0 0\nv 4 1 0\nv 2 2 0\nf 1 2 3 4\nf 1 2 3 4 5\n", &err),
      &err);
  const uint32_t face[15] = {0, 1, 2, 0, 2, 3, 0, 1, 2, 0, 2, 3, 0, 3, 4};
  assert_int_equal(m.n_triangle, 5);
  assert_memory_equal(m.face, face, sizeof face);
  assert_null(m.normal);
  vk_file_mesh_free(&m);
}

static void refuses_what_is_wrong(void **state)
{
  static const struct {
    const char *text, *sentence;
  } wrong[] = {
      {"", "a.obj: the mesh has no triangle"},
      {"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "the mesh has no triangle"},
      {"v 0 0\n", "a.obj line 1: expected three numbers"},
      {"\nv 0 0 1x\n", "line 2: expected three numbers"},
      {"v 0 0 nan\n", "line 1: expected three numbers"},
      {"v 0 0 1e99\n", "line 1: expected three numbers"},
      {"v 0 0 .\n", "line 1: expected three numbers"},
      {"v 0 0 1e+\n", "line 1: expected three numbers"},
      {"v 0 0 1e999999999999999999999\n", "line 1: expected three numbers"},
      {"v 0 0 1e7\nv 0 0 0\nv 0 1 0\nf 1 2 3\n", "vertex 0 is 1e+07"},
      {"vt 1\n", "line 1: expected two numbers"},
      {"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2\n", "line 4: expected a polygon of three corners"},
      {"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "triangle 0 has 3 as its vertex, expected one of 3"},
      {"v 0 0 0\nv 1 0 0\nv 0 1 0\nf -4 -2 -1\n", "triangle 0 has no vertex"},
      {"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 0 1 2\n", "line 4: expected corners as v"},
      {"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3.5\n", "line 4: expected corners as v"},
      {"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 99999999999999999999\n", "line 4: expected corners"},
      {"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1//1/1 2 3\n", "line 4: expected corners as v"},
      {"v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 1\nf 1//1 2//1 3\n", "triangle 0 has no normal"},
      {"v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/2 2/1 3/1\n",
       "triangle 0 has 1 as its texture coordinate, expected one of 1"},
  };
  for (size_t i = 0; i < VK_COUNT(wrong); i++) {
    vk_file_mesh m;
    vk_err err = VK_ERR_INIT;
    vk_assert_fails(parse(&m, wrong[i].text, &err), VK_E_FORMAT);
    vk_assert_says(&err, wrong[i].sentence);
    assert_null(m.vertex);
  }
  char many[1000] = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf";
  for (int i = 0; i <= VK_OBJ_CORNERS_MAX; i++)
    strcat(many, " 1");
  vk_file_mesh m;
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(parse(&m, many, &err), VK_E_FORMAT);
  vk_assert_says(&err, "line 4: expected a polygon of at most 64 corners");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_a_mesh),
      cmocka_unit_test(cuts_polygons),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
