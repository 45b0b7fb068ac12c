/* test_image.c - PNG pictures come back as they were written; damaged ones are refused. */
#include "temp_dir.h"

#include <png.h>
#include <zlib.h>

#include "core/image.h"

static void fill(uint8_t *pixel, size_t n)
{
  uint32_t seed = 7;
  for (size_t i = 0; i < n; i++)
    pixel[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
}

static void writes_and_reads(void **state)
{
  vk_err err = VK_ERR_INIT;
  static uint8_t pixel[64 * 48 * 3];
  fill(pixel, sizeof pixel);
  static const int size[][3] = {{64, 48, 3}, {48, 64, 3}, {64, 48, 1},
                                {1, 1, 1},   {1, 1, 3},   {1, 9, 3}};
  for (size_t i = 0; i < VK_COUNT(size); i++) {
    vk_image image;
    vk_assert_ok(vk_image_write(in_dir("x.png"), pixel, size[i][0], size[i][1], size[i][2], &err),
                 &err);
    vk_assert_ok(vk_image_read(&image, in_dir("x.png"), &err), &err);
    assert_int_equal(image.width, size[i][0]);
    assert_int_equal(image.height, size[i][1]);
    assert_int_equal(image.n_channel, size[i][2]);
    assert_memory_equal(image.pixel, pixel, (size_t)(size[i][0] * size[i][1] * size[i][2]));
    vk_image_free(&image);
    vk_image_free(&image);
  }
}

/* A file of any layout, written by libpng alone. */
static void write_other(const char *path, int width, int height, int bits, int type, int interlace,
                        uint8_t **row)
{
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  png_init_io(png, f);
  png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, bits, type, interlace, 0, 0);
  png_color palette[4] = {{1, 2, 3}, {40, 50, 60}, {70, 80, 90}, {255, 254, 253}};
  png_byte alpha[1] = {0};
  if (type == PNG_COLOR_TYPE_PALETTE) {
    png_set_PLTE(png, info, palette, 4);
    png_set_tRNS(png, info, alpha, 1, NULL);
  }
  png_set_rows(png, info, row);
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
  png_destroy_write_struct(&png, &info);
  fclose(f);
}

static void reads_other_layouts(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_image image;
  uint8_t palette_row[2] = {0x1b, 0x1b}; /* 2 bits each: 0 1 2 3, 0 1 2 3 */
  uint8_t *rows[8] = {palette_row, palette_row};
  write_other(in_dir("p.png"), 4, 2, 2, PNG_COLOR_TYPE_PALETTE, PNG_INTERLACE_NONE, rows);
  vk_assert_ok(vk_image_read(&image, in_dir("p.png"), &err), &err);
  assert_int_equal(image.n_channel, 3);
  assert_memory_equal(image.pixel, ((uint8_t[]){1, 2, 3, 40, 50, 60, 70, 80, 90, 255, 254, 253}),
                      12);
  vk_image_free(&image);

  uint8_t gray_row[1] = {0xa0}; /* 1 bit each: 1 0 1 */
  rows[0] = gray_row;
  write_other(in_dir("g.png"), 3, 1, 1, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE, rows);
  vk_assert_ok(vk_image_read(&image, in_dir("g.png"), &err), &err);
  assert_int_equal(image.n_channel, 1);
  assert_memory_equal(image.pixel, ((uint8_t[]){255, 0, 255}), 3);
  vk_image_free(&image);

  uint8_t deep_row[8] = {0x80, 0x80, 0x00, 0x00, 0xff, 0xff, 0x12, 0x34}; /* 16-bit RGBA */
  rows[0] = deep_row;
  write_other(in_dir("d.png"), 1, 1, 16, PNG_COLOR_TYPE_RGBA, PNG_INTERLACE_NONE, rows);
  vk_assert_ok(vk_image_read(&image, in_dir("d.png"), &err), &err);
  assert_int_equal(image.n_channel, 3);
  assert_memory_equal(image.pixel, ((uint8_t[]){128, 0, 255}), 3);
  vk_image_free(&image);

  static uint8_t pixel[8][9 * 3];
  fill(pixel[0], sizeof pixel);
  for (int i = 0; i < 8; i++)
    rows[i] = pixel[i];
  write_other(in_dir("i.png"), 9, 8, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7, rows);
  vk_assert_ok(vk_image_read(&image, in_dir("i.png"), &err), &err);
  assert_memory_equal(image.pixel, pixel, sizeof pixel);
  vk_image_free(&image);
}

/* Width and height in the header of a file, its checksum made right again. */
static void set_size(char *png, uint32_t width, uint32_t height)
{
  for (int i = 0; i < 4; i++) {
    png[16 + i] = (char)(width >> (24 - 8 * i));
    png[20 + i] = (char)(height >> (24 - 8 * i));
  }
  uint32_t crc = (uint32_t)crc32(0, (Bytef *)png + 12, 17);
  for (int i = 0; i < 4; i++)
    png[29 + i] = (char)(crc >> (24 - 8 * i));
}

static vk_status parse_copy(const char *bytes, size_t n, vk_err *err)
{
  char *copy = malloc(n ? n : 1);
  memcpy(copy, bytes, n);
  vk_image image;
  vk_status st = vk_image_parse(&image, copy, n, "x.png", err);
  free(copy);
  if (st != VK_OK)
    assert_null(image.pixel);
  vk_image_free(&image);
  return st;
}

static void refuses(void **state)
{
  vk_err err = VK_ERR_INIT;
  static uint8_t pixel[10 * 10 * 3];
  fill(pixel, sizeof pixel);
  vk_assert_ok(vk_image_write(in_dir("x.png"), pixel, 10, 10, 3, &err), &err);
  char *png;
  size_t n;
  vk_assert_ok(vk_fs_read(&png, &n, in_dir("x.png"), 10000, &err), &err);
  vk_assert_ok(parse_copy(png, n, &err), &err);

  vk_assert_fails(parse_copy("not a picture", 13, &err), VK_E_FORMAT);
  vk_assert_says(&err, "x.png: not a valid PNG picture: Not a PNG file");
  for (size_t cut = 0; cut < n; cut++)
    vk_assert_fails(parse_copy(png, cut, &err), VK_E_FORMAT);
  vk_assert_says(&err, "the file is cut short");
  for (size_t i = 0; i < n; i++)
    for (int bit = 0; bit < 8; bit++) {
      png[i] ^= (char)(1 << bit);
      vk_status st = parse_copy(png, n, &err); /* every chunk that matters has a checksum */
      assert_true(st == VK_E_FORMAT || st == VK_E_RANGE || st == VK_OK);
      if (st == VK_OK)
        assert_true(i >= n - 12); /* the end chunk's own */
      png[i] ^= (char)(1 << bit);
    }

  set_size(png, 16385, 1);
  vk_assert_fails(parse_copy(png, n, &err), VK_E_RANGE);
  vk_assert_says(&err, "x.png: a picture of 16385 x 1; sides of 1 to 16384 and 256 MiB");
  set_size(png, 16384, 16384);
  vk_assert_fails(parse_copy(png, n, &err), VK_E_RANGE);
  set_size(png, 9000, 9000);
  vk_assert_fails(parse_copy(png, n, &err), VK_E_FORMAT);
  vk_assert_says(&err, "cannot hold 9000 x 9000 pixels");
  set_size(png, 10, 11);
  vk_assert_fails(parse_copy(png, n, &err), VK_E_FORMAT);
  vk_assert_says(&err, "Not enough image data");
  set_size(png, 0, 10);
  vk_assert_fails(parse_copy(png, n, &err), VK_E_FORMAT);
  free(png);

  vk_image image;
  vk_assert_fails(vk_image_read(&image, in_dir("none.png"), &err), VK_E_NOTFOUND);
  vk_assert_fails(vk_image_write(in_dir("x.png"), pixel, 0, 10, 3, &err), VK_E_RANGE);
  vk_assert_fails(vk_image_write(in_dir("x.png"), pixel, 10, 16385, 3, &err), VK_E_RANGE);
}

static void full_disk(void **state)
{
  vk_err err = VK_ERR_INIT;
  enum { SIDE = 200 };
  static uint8_t pixel[SIDE * SIDE * 3];
  fill(pixel, sizeof pixel);
  vk_assert_fails(vk_image_write("/dev/full", pixel, SIDE, SIDE, 3, &err), VK_E_IO);
  vk_assert_says(&err, "/dev/full: the disk is full");
  vk_assert_fails(vk_image_write("/dev/full", pixel, 2, 2, 3, &err), VK_E_IO);
  vk_assert_says(&err, "/dev/full: the disk is full");
  vk_assert_fails(vk_image_write(in_dir("no/x.png"), pixel, 2, 2, 3, &err), VK_E_NOTFOUND);

  vk_assert_ok(vk_fs_write(in_dir("old.png"), "old", 3, &err), &err);
  int n_before = n_file_in_dir();
  limit_file_size(20000);
  vk_status st = vk_image_write(in_dir("old.png"), pixel, SIDE, SIDE, 3, &err);
  limit_file_size(UINT64_MAX);
  vk_assert_fails(st, VK_E_IO);
  assert_int_equal(n_file_in_dir(), n_before);
  char *bytes;
  size_t n;
  vk_assert_ok(vk_fs_read(&bytes, &n, in_dir("old.png"), 100, &err), &err);
  assert_string_equal(bytes, "old");
  free(bytes);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(writes_and_reads),
      cmocka_unit_test(reads_other_layouts),
      cmocka_unit_test(refuses),
      cmocka_unit_test(full_disk),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
