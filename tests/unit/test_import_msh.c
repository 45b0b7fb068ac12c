/* MuJoCo's mesh files: what is read, and what is refused with which sentence. */
#include "sim/import_msh.h"

#include <stdlib.h>

#include "test.h"

/* A tetrahedron with normals and texture coordinates as asked for; malloc'd. */
static unsigned char *make_msh(bool has_normal, bool has_texcoord, size_t *n)
{
  static const int32_t face[12] = {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3};
  const int32_t head[4] = {4, has_normal ? 4 : 0, has_texcoord ? 4 : 0, 4};
  float f[4 * 8];
  int n_f = 0;
  for (int i = 0; i < 12; i++)
    f[n_f++] = i % 4 == 3 ? 1 : 0; /* vertices: 0 and a unit vector each */
  for (int i = 0; has_normal && i < 12; i++)
    f[n_f++] = (float)i;
  for (int i = 0; has_texcoord && i < 8; i++)
    f[n_f++] = 0.125f * (float)i;
  *n = sizeof head + (size_t)n_f * 4 + sizeof face;
  unsigned char *p = malloc(*n);
  memcpy(p, head, sizeof head);
  memcpy(p + sizeof head, f, (size_t)n_f * 4);
  memcpy(p + *n - sizeof face, face, sizeof face);
  return p;
}

static void reads_meshes(void **state)
{
  for (int i = 0; i < 4; i++) {
    size_t n;
    unsigned char *bytes = make_msh(i & 1, i & 2, &n);
    vk_file_mesh m;
    vk_err err = VK_ERR_INIT;
    vk_assert_ok(vk_msh_parse(&m, bytes, n, "a.msh", &err), &err);
    assert_int_equal(m.n_vertex, 4);
    assert_int_equal(m.n_triangle, 4);
    assert_int_equal(m.n_normal, i & 1 ? 4 : 0);
    assert_int_equal(m.n_texcoord, i & 2 ? 4 : 0);
    assert_int_equal(m.face[11], 3);
    vk_assert_same_bits(m.vertex[3], 1.0f);
    assert_true((m.normal != NULL) == ((i & 1) != 0));
    if (m.normal)
      vk_assert_same_bits(m.normal[11], 11.0f);
    if (m.texcoord)
      vk_assert_same_bits(m.texcoord[7], 0.875f);
    vk_file_mesh_free(&m);
    free(bytes);
  }
}

static void refuses(unsigned char *bytes, size_t n, const char *sentence)
{
  vk_file_mesh m;
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_msh_parse(&m, bytes, n, "a.msh", &err), VK_E_FORMAT);
  vk_assert_says(&err, sentence);
  assert_null(m.vertex);
  assert_null(m.face);
}

static void refuses_what_is_wrong(void **state)
{
  size_t n;
  unsigned char *bytes = make_msh(true, true, &n);
  for (size_t i = 0; i < n; i++) {
    unsigned char *cut = malloc(i ? i : 1); /* so that a read beyond it is seen */
    memcpy(cut, bytes, i);
    refuses(cut, i, "a.msh: ");
    free(cut);
  }
  refuses(bytes, n - 4, "bytes, but its numbers need");
  int32_t head[4], wrong[][4] = {{2, 0, 0, 4},
                                 {4, 3, 4, 4},
                                 {4, 4, 1, 4},
                                 {4, 4, 4, 0},
                                 {4, 4, 4, -1},
                                 {-4, 4, 4, 4},
                                 {1 << 30, 0, 0, 1 << 30}};
  memcpy(head, bytes, sizeof head);
  for (size_t i = 0; i < VK_COUNT(wrong); i++) {
    memcpy(bytes, wrong[i], sizeof head);
    refuses(bytes, n, "a.msh: says ");
  }
  memcpy(bytes, head, sizeof head);
  const int32_t index[] = {4, -1};
  for (int i = 0; i < 2; i++) {
    memcpy(bytes + n - 4, &index[i], 4);
    refuses(bytes, n,
            i ? "triangle 3 has no vertex, expected one of 4"
              : "triangle 3 has 4 as its vertex, expected one of 4");
  }
  const float nan_ = NAN;
  memcpy(bytes + 16 + 4 * 5, &nan_, 4);
  refuses(bytes, n, "vertex 1 is ");
  free(bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_meshes),
      cmocka_unit_test(refuses_what_is_wrong),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
