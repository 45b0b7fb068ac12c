/* PNG files as textures, and the sky. */
#include "sim/import_texture.h"

#include <stdlib.h>

#include "temp_dir.h"

static void put_file(char **bytes, size_t *n, int width, int height)
{
  uint8_t *pixel = malloc((size_t)(3 * width * height));
  for (int i = 0; i < 3 * width * height; i++)
    pixel[i] = (uint8_t)(i / 3 / width * 10); /* rows of one grey */
  vk_assert_ok(vk_image_write(in_dir("x.png"), pixel, width, height, 3, NULL), NULL);
  vk_assert_ok(vk_fs_read(bytes, n, in_dir("x.png"), 1 << 20, NULL), NULL);
  free(pixel);
}

static void reads_pictures(void **state)
{
  vk_visuals_builder b = {0};
  vk_err err = VK_ERR_INIT;
  char *bytes;
  size_t n;
  uint32_t i;
  put_file(&bytes, &n, 8, 4);
  vk_assert_ok(vk_import_png(&b, "x", bytes, n, false, 512, &i, &err), &err);
  assert_int_equal(b.texture[i].kind, VK_TEXTURE_2D);
  assert_int_equal(b.texture[i].width, 8);
  assert_int_equal(b.texture[i].height, 4);
  assert_int_equal(b.texel[b.texture[i].first] & 255, 0); /* v = 0 is the top row */
  assert_int_equal(b.texel[b.texture[i].first + 24] & 255, 30);
  vk_assert_fails(vk_import_png(&b, "x", bytes, n, true, 512, &i, &err), VK_E_FORMAT);
  vk_assert_says(&err, "x: 8 x 4 pixels, expected a square");
  vk_assert_fails(vk_import_png(&b, "x", bytes, 0, false, 512, &i, &err), VK_E_FORMAT);
  vk_assert_says(&err, "x: ");
  vk_assert_fails(vk_import_png(&b, "x", bytes, n / 2, false, 512, &i, &err), VK_E_FORMAT);
  free(bytes);
  put_file(&bytes, &n, 16, 16);
  vk_assert_ok(vk_import_png(&b, "x", bytes, n, true, 4, &i, &err), &err);
  assert_int_equal(b.texture[i].kind, VK_TEXTURE_CUBE);
  assert_int_equal(b.texture[i].width, 4);
  for (uint32_t k = 16; k < 96; k++)
    assert_int_equal(b.texel[b.texture[i].first + k], b.texel[b.texture[i].first + k % 16]);
  free(bytes);
  vk_visuals_builder_fini(&b);
}

/* Face 4 is +z, which is up in the world. */
static void makes_a_sky(void **state)
{
  vk_visuals_builder b = {0};
  vk_err err = VK_ERR_INIT;
  uint32_t i;
  vk_assert_ok(
      vk_import_sky(&b, "sky", (double[3]){1, 0.5, 0}, (double[3]){0, 0.5, 1}, 8, &i, &err), &err);
  const uint32_t *t = b.texel + b.texture[i].first;
  const uint32_t up = t[4 * 64 + 27], down = t[5 * 64 + 27], side = t[27];
  assert_true((up & 255) > 220 && (up >> 16 & 255) < 35);
  assert_true((down & 255) < 35 && (down >> 16 & 255) > 220);
  vk_assert_close(side & 255, 127, 30, 0);
  assert_int_equal(up >> 8 & 255, 127);
  /* the +x face is bluer where z is lower: its columns go along -z, its rows along -y */
  assert_true((t[24] & 255) > (t[31] & 255));
  vk_visuals_builder_fini(&b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_pictures),
      cmocka_unit_test(makes_a_sky),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
