/* Visuals: what is built is read back; mipmaps are means; files that lie are refused. */
#include "sim/visuals_choose.h"

#include <stdlib.h>

#include "core/hash.h"
#include "sim/visuals_write.h"
#include "temp_dir.h"

/* ---- small visuals -------------------------------------------------------------------------- */

static vk_mesh triangle(float size_m)
{
  vk_err err = VK_ERR_INIT;
  vk_mesh mesh = {0};
  for (int i = 0; i < 3; i++) {
    vk_vertex v = {{i == 1 ? size_m : 0, i == 2 ? size_m : 0, 0}, {0, 0, 1}, {(float)i, 0.5f, 0}};
    vk_assert_ok(vk_mesh_add_vertex(&mesh, &v, &err), &err);
  }
  vk_assert_ok(vk_mesh_add_triangle(&mesh, 0, 1, 2, &err), &err);
  return mesh;
}

static void put_all(vk_visuals_builder *b)
{
  uint8_t pixel[4 * 2] = {0, 100, 200, 40, 10, 20, 30, 40};
  vk_image picture = {.width = 4, .height = 2, .n_channel = 1, .pixel = pixel};
  uint8_t white[12] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
  vk_image face[6];
  for (int i = 0; i < 6; i++)
    face[i] = (vk_image){.width = 2, .height = 2, .n_channel = 3, .pixel = white};
  vk_mesh level[2] = {triangle(1), triangle(2)};
  const float error_m[2] = {0, 0.5f};
  vk_visuals_material material = {.name = vk_visuals_put_text(b, "paint"),
                                  .texture = vk_visuals_put_picture(b, "ramp", &picture, 64),
                                  .rgba = {1, 0.5f, 0, 1}};
  vk_visuals_geom geom = {.body = vk_visuals_put_text(b, "main"),
                          .mesh = vk_visuals_put_levels(b, "three", level, error_m, 2),
                          .material = vk_visuals_put_material(b, &material, 1),
                          .quat = {1, 0, 0, 0}};
  vk_visuals_model model = {.name = vk_visuals_put_text(b, "bowl"), .n_geom = 1};
  model.geom = vk_visuals_put_geom(b, &geom, 1);
  vk_visuals_put_model(b, &model, 1);
  vk_visuals_light light = {.dir = {0, 0, -1}, .attenuation = {1, 0, 0}, .cutoff_deg = 45};
  vk_visuals_look look = {.name = vk_visuals_put_text(b, "room"),
                          .sky = vk_visuals_put_cube(b, "sky", face, 64),
                          .light = vk_visuals_put_light(b, &light, 1),
                          .n_light = 1,
                          .znear_m = 0.01f,
                          .zfar_m = 100};
  vk_visuals_put_look(b, &look, 1);
  vk_mesh_free(&level[0]);
  vk_mesh_free(&level[1]);
}

static void *build(size_t *n)
{
  vk_err err = VK_ERR_INIT;
  vk_visuals_builder b = {0};
  void *bytes;
  put_all(&b);
  vk_assert_ok(vk_visuals_build(&b, &bytes, n, &err), &err);
  vk_visuals_builder_fini(&b);
  return bytes;
}

static void open_built(vk_visuals *v)
{
  vk_err err = VK_ERR_INIT;
  size_t n;
  void *bytes = build(&n);
  vk_assert_ok(vk_visuals_open_bytes(v, bytes, n, "test", "(test)", &err), &err);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_what_is_built_is_read_back(void **state)
{
  vk_visuals v;
  open_built(&v);
  assert_string_equal(v.name, "test");
  assert_int_equal(strlen(v.hash), 64);
  const vk_visuals_model *model = vk_visuals_find_model(&v, "bowl");
  const vk_visuals_look *look = vk_visuals_find_look(&v, "room");
  assert_non_null(model);
  assert_non_null(look);
  assert_null(vk_visuals_find_model(&v, "room"));
  assert_null(vk_visuals_find_look(&v, "bowl"));
  const vk_visuals_geom *geom = &v.geom[model->geom];
  assert_string_equal(vk_visuals_text(&v, geom->body), "main");
  const vk_visuals_mesh *mesh = &v.mesh[geom->mesh];
  assert_int_equal(mesh->n_level, 2);
  const vk_visuals_level *level = &v.level[mesh->level + 1];
  vk_assert_close(level->error_m, 0.5, 0, 0);
  uint32_t n_vertex = vk_visuals_padded(level->n_vertex);
  vk_assert_close(v.f32[level->first_f32 + VK_STREAM_X * n_vertex + 1], 2, 0, 0);
  vk_assert_close(v.f32[level->first_f32 + VK_STREAM_NZ * n_vertex + 2], 1, 0, 0);
  vk_assert_close(v.f32[level->first_f32 + VK_STREAM_U * n_vertex + 2], 2, 0, 0);
  assert_int_equal(v.index[level->first_index + 2 * vk_visuals_padded(1)], 2);
  /* the sphere holds every vertex of every level: here a square's half */
  vk_assert_close(mesh->centre_m[0], 1, 1e-6, 0);
  vk_assert_close(mesh->radius_m, sqrt(2.0), 1e-5, 0);
  vk_visuals_close(&v);
}

static uint32_t gray(uint32_t level)
{
  return 0xff000000u | level * 0x010101u;
}

static void test_mipmaps_are_means_of_four(void **state)
{
  vk_visuals v;
  open_built(&v);
  const vk_visuals_texture *t = &v.texture[v.material[0].texture];
  assert_int_equal(t->n_level, 3);
  const uint32_t *x = v.texel + t->first;
  const uint8_t want[8] = {0, 100, 200, 40, 10, 20, 30, 40};
  for (int i = 0; i < 8; i++)
    assert_int_equal(x[i], gray(want[i]));
  assert_int_equal(x[8], gray(33)); /* (0 + 100 + 10 + 20) / 4 = 32.5 */
  assert_int_equal(x[9], gray(78)); /* (200 + 40 + 30 + 40) / 4 = 77.5 */
  assert_int_equal(x[10], gray(56));
  const vk_visuals_texture *sky = &v.texture[v.look[0].sky];
  assert_int_equal(sky->kind, VK_TEXTURE_CUBE);
  assert_int_equal(sky->n_level, 2);
  for (int i = 0; i < 6 * 4 + 6; i++)
    assert_int_equal(v.texel[sky->first + i], gray(255));
  vk_visuals_close(&v);
}

/* Sides that are no powers of two, and larger ones than allowed, keep their mean colour. */
static void test_pictures_are_resampled(void **state)
{
  static uint8_t pixel[100 * 60];
  for (int y = 0; y < 60; y++)
    for (int x = 0; x < 100; x++)
      pixel[100 * y + x] = (uint8_t)(x < 50 ? 20 : 220);
  vk_image picture = {.width = 100, .height = 60, .n_channel = 1, .pixel = pixel};
  vk_visuals_builder b = {0};
  uint32_t i = vk_visuals_put_picture(&b, "half", &picture, 32);
  assert_false(b.failed);
  assert_int_equal(b.texture[i].width, 32);
  assert_int_equal(b.texture[i].height, 32);
  const uint32_t *x = b.texel + b.texture[i].first;
  for (int k = 0; k < 32 * 32; k++)
    assert_int_equal(x[k], gray(k % 32 < 16 ? 20 : 220));
  assert_int_equal(x[b.n_texel - b.texture[i].first - 1], gray(120));
  vk_visuals_builder_fini(&b);
}

static void test_bytes_repeat(void **state)
{
  size_t n, m;
  void *a = build(&n), *b = build(&m);
  assert_int_equal(n, m);
  assert_memory_equal(a, b, n);
  free(a);
  free(b);
}

static void test_flipped_bytes_are_found(void **state)
{
  vk_err err = VK_ERR_INIT;
  size_t n;
  uint8_t *whole = build(&n);
  for (size_t i = 0; i < n; i += 37) {
    uint8_t *copy = aligned_alloc(VK_SECTION_ALIGN, n);
    memcpy(copy, whole, n);
    copy[i] ^= 1;
    vk_visuals v;
    vk_status st = vk_visuals_open_bytes(&v, copy, n, "test", "t.visuals", &err);
    assert_true(st == VK_E_FORMAT || st == VK_E_VERSION);
    assert_non_null(strstr(err.text, "t.visuals"));
    assert_null(v.bytes);
  }
  free(whole);
}

/* Breaks one promise of small visuals and expects them to be refused with a word of the reason. */
#define REFUSED(change, word)                                                                      \
  do {                                                                                             \
    vk_err err = VK_ERR_INIT;                                                                      \
    vk_visuals_builder b = {0};                                                                    \
    void *bytes = NULL;                                                                            \
    size_t n;                                                                                      \
    put_all(&b);                                                                                   \
    change;                                                                                        \
    assert_int_equal(vk_visuals_build(&b, &bytes, &n, &err), VK_E_FORMAT);                         \
    if (!strstr(err.text, word))                                                                   \
      fail_msg("\"%s\" does not say \"%s\"", err.text, word);                                      \
    vk_visuals_builder_fini(&b);                                                                   \
  } while (0)

static void test_broken_promises_are_refused(void **state)
{
  REFUSED(b.index[0] = 3, "vertex 3 of 3");
  REFUSED(b.f32[5] = NAN, "not finite");
  REFUSED(b.f32[5] = INFINITY, "not finite");
  REFUSED(b.level[0].first_f32 += 16 * 1000, "section f32");
  REFUSED(b.level[1].first_index = 1, "multiple of 16");
  REFUSED(b.level[1].first_index = 0, "before the end");
  REFUSED(b.level[1].first_f32 = 0, "before the end");
  REFUSED(b.index[1] = 2, "padding");
  REFUSED(b.index[2 * 16 + 15] = 1, "padding");
  REFUSED(b.level[1].n_triangle = 0, "0 triangles");
  REFUSED(b.mesh[0].n_level = 9, "9 levels");
  REFUSED(b.mesh[0].n_level = 3, "section level");
  REFUSED(b.mesh[0].radius_m = -1, "radius");
  REFUSED(b.geom[0].mesh = 1, "mesh 1 of 1");
  REFUSED(b.geom[0].material = 7, "material 7 of 1");
  REFUSED(b.geom[0].quat[0] = 0, "length 0");
  REFUSED(b.geom[0].body = 100000, "after the end");
  REFUSED(b.material[0].texture = 9, "texture 9 of 2");
  REFUSED(b.material[0].rgba[3] = 2, "material 0");
  REFUSED(b.texture[0].width = 3, "power of two");
  REFUSED(b.texture[0].n_level = 2, "2 levels, expected 3");
  REFUSED(b.texture[1].first += 1, "section texel");
  REFUSED(b.texture[1].kind = 2, "neither");
  REFUSED(b.model[0].n_geom = 2, "section geom");
  REFUSED(b.look[0].sky = 0, "not a cube");
  REFUSED(b.look[0].n_light = 2, "section light");
  REFUSED(b.look[0].znear_m = 0, "clip planes");
  REFUSED(b.light[0].attenuation[0] = 0, "attenuation");
  REFUSED(b.text.str[1] = '\n', "printable");
}

static void test_other_files_are_refused(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_visuals v;
  const char *path = in_dir("x.visuals");
  assert_int_equal(vk_visuals_choose(&v, path, NULL, &err), VK_E_USAGE);
  vk_assert_ok(vk_fs_write(path, "", 0, &err), &err);
  assert_int_equal(vk_visuals_choose(&v, path, NULL, &err), VK_E_FORMAT);
  size_t n;
  uint8_t *bytes = build(&n);
  vk_assert_ok(vk_fs_write(path, bytes, n / 2, &err), &err);
  assert_int_equal(vk_visuals_choose(&v, path, NULL, &err), VK_E_FORMAT);
  assert_non_null(strstr(err.text, "its header says"));
  assert_non_null(strstr(err.text, "make it again with `vlakit import libero`"));
  bytes[8] = 9;
  vk_assert_ok(vk_fs_write(path, bytes, n, &err), &err);
  assert_int_equal(vk_visuals_choose(&v, path, NULL, &err), VK_E_VERSION);
  assert_non_null(strstr(err.text, "vlakit import libero"));
  bytes[8] = VK_VISUALS_VERSION;
  vk_assert_ok(vk_fs_write(path, bytes, n, &err), &err);
  vk_assert_ok(vk_visuals_choose(&v, path, NULL, &err), &err);
  vk_visuals_close(&v);
  free(bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_what_is_built_is_read_back),
      cmocka_unit_test(test_mipmaps_are_means_of_four),
      cmocka_unit_test(test_pictures_are_resampled),
      cmocka_unit_test(test_bytes_repeat),
      cmocka_unit_test(test_flipped_bytes_are_found),
      cmocka_unit_test(test_broken_promises_are_refused),
      cmocka_unit_test(test_other_files_are_refused),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
