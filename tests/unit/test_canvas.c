/* test_canvas.c - rectangles, pictures and text in pictures; what leaves the canvas or the box. */
#include "test.h"

#include <stdlib.h>

#include "core/canvas.h"

static const vk_colour white = {255, 255, 255};

static const uint8_t *at(const vk_image *c, int x, int y)
{
  return c->pixel + 3 * (y * c->width + x);
}

/* The box of what is not black: x0 y0 x1 y1, ends excluded; false: all is. */
static bool ink_box(const vk_image *c, int box[4])
{
  memcpy(box, (const int[4]){c->width, c->height, 0, 0}, 4 * sizeof *box);
  for (int y = 0; y < c->height; y++)
    for (int x = 0; x < c->width; x++)
      if (at(c, x, y)[0]) {
        box[0] = x < box[0] ? x : box[0];
        box[1] = y < box[1] ? y : box[1];
        box[2] = x + 1 > box[2] ? x + 1 : box[2];
        box[3] = y + 1 > box[3] ? y + 1 : box[3];
      }
  return box[2] > 0;
}

static vk_image canvas_of(int width, int height)
{
  vk_image c;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_canvas_init(&c, width, height, &err), &err);
  return c;
}

static void test_fill_and_put(void **state)
{
  vk_image c = canvas_of(10, 8);
  int box[4];
  assert_false(ink_box(&c, box));
  vk_canvas_fill(&c, 2, 3, 4, 2, (vk_colour){10, 20, 30});
  assert_true(ink_box(&c, box));
  assert_memory_equal(box, ((const int[4]){2, 3, 6, 5}), sizeof box);
  assert_memory_equal(at(&c, 5, 4), ((const uint8_t[3]){10, 20, 30}), 3);
  /* beyond every edge, and wholly outside */
  vk_canvas_fill(&c, -100, -100, 1000, 1000, white);
  assert_memory_equal(at(&c, 9, 7), ((const uint8_t[3]){255, 255, 255}), 3);
  vk_canvas_fill(&c, 10, 0, 5, 5, (vk_colour){1, 1, 1});
  vk_canvas_fill(&c, 0, -5, 5, 5, (vk_colour){1, 1, 1});
  vk_canvas_fill(&c, 3, 3, 0, -2, (vk_colour){1, 1, 1});
  for (int i = 0; i < 3 * 10 * 8; i++)
    assert_int_equal(c.pixel[i], 255);

  /* a picture of 3 x 2 with 2 spare bytes a row, over three corners */
  uint8_t picture[2 * 11];
  for (int i = 0; i < 22; i++)
    picture[i] = (uint8_t)(100 + i);
  vk_canvas_put(&c, -1, -1, picture, 3, 2, 11);
  assert_memory_equal(at(&c, 0, 0), picture + 11 + 3, 6);
  assert_int_equal(at(&c, 2, 0)[0], 255);
  vk_canvas_put(&c, 8, 7, picture, 3, 2, 11);
  assert_memory_equal(at(&c, 8, 7), picture, 6);
  vk_canvas_put(&c, 12, 3, picture, 3, 2, 11);
  vk_canvas_put(&c, -9, 3, picture, 3, 2, 11);
  assert_int_equal(at(&c, 0, 3)[0], 255);
  vk_image_free(&c);
}

static void test_size_limits(void **state)
{
  vk_image c;
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_canvas_init(&c, 0, 5, &err), VK_E_RANGE);
  vk_assert_fails(vk_canvas_init(&c, 5, VK_IMAGE_SIDE_MAX + 1, &err), VK_E_RANGE);
  vk_assert_fails(vk_canvas_init(&c, VK_IMAGE_SIDE_MAX, VK_IMAGE_SIDE_MAX, &err), VK_E_RANGE);
  vk_assert_says(&err, "16384 x 16384");
}

static void test_fonts(void **state)
{
  for (int s = 0; s < VK_FONT_SIZES; s++) {
    const vk_font *f = &vk_fonts[s];
    assert_true(f->ascent_px < f->height_px);
    for (int i = 0; i < VK_FONT_N; i++) {
      assert_int_equal(strlen(f->glyph[i]), f->width_px[i] * f->height_px);
      assert_int_equal(strspn(f->glyph[i], "0123456789abcdef"), strlen(f->glyph[i]));
      /* every character but the space shows, and no two look alike */
      assert_int_equal(strspn(f->glyph[i], "0") == strlen(f->glyph[i]), i == 0);
      for (int k = 0; k < i; k++)
        assert_true(f->width_px[i] != f->width_px[k] || strcmp(f->glyph[i], f->glyph[k]) != 0);
    }
  }
}

static void test_text(void **state)
{
  const vk_font *f = &vk_fonts[1];
  vk_image c = canvas_of(60, 30);
  int box[4];
  vk_canvas_text(&c, 10, 5, f, white, "l", 1);
  assert_true(ink_box(&c, box));
  assert_true(box[0] >= 10 && box[2] <= 10 + f->width_px['l' - 32]);
  assert_int_equal(box[3], 5 + f->ascent_px); /* stands on the base line */
  vk_image_free(&c);

  /* half of the ink over a colour is between the two */
  c = canvas_of(60, 30);
  vk_canvas_fill(&c, 0, 0, 60, 30, (vk_colour){200, 100, 0});
  vk_canvas_text(&c, 0, 0, f, (vk_colour){0, 0, 255}, "o", 1);
  bool is_mixed = false;
  for (int i = 0; i < 60 * 30; i++) {
    const uint8_t *p = c.pixel + 3 * i;
    assert_true(p[0] <= 200 && p[1] <= 100);
    is_mixed = is_mixed || (p[0] > 50 && p[0] < 150 && p[2] > 50 && p[2] < 200);
  }
  assert_true(is_mixed);
  vk_image_free(&c);

  /* widths add up; a character of two or four bytes is one, bytes that are no text are as well */
  assert_int_equal(vk_canvas_text_width(f, "ab c", 4),
                   vk_canvas_text_width(f, "ab", 2) + vk_canvas_text_width(f, " c", 2));
  int question = f->width_px['?' - 32];
  assert_int_equal(vk_canvas_text_width(f, "\xc3\xa9", 2), question);
  assert_int_equal(vk_canvas_text_width(f, "\xf0\x9f\xa4\x96", 4), question);
  assert_int_equal(vk_canvas_text_width(f, "\xc3", 1), question);
  assert_int_equal(vk_canvas_text_width(f, "\n\x7f\x80", 3), 3 * question);

  /* off every edge */
  c = canvas_of(20, 10);
  vk_canvas_text(&c, -7, -7, f, white, "WWWWWWWWW", 9);
  vk_canvas_text(&c, 100, 0, f, white, "W", 1);
  vk_canvas_text(&c, 0, -100, f, white, "W", 1);
  vk_image_free(&c);
}

static void test_box(void **state)
{
  const vk_font *small = &vk_fonts[0], *large = &vk_fonts[1];
  vk_image c = canvas_of(300, 100);
  int box[4];
  assert_int_equal(vk_canvas_text_box(&c, 0, 0, 300, 100, white, ""), 0);
  assert_int_equal(vk_canvas_text_box(&c, 0, 0, 300, 100, white, "   "), 0);
  assert_false(ink_box(&c, box));

  /* one line of the large font, two of it, then the small font, then cut */
  const char *text = "put both the alphabet soup and the tomato sauce in the basket";
  int width = vk_canvas_text_width(large, text, strlen(text));
  assert_int_equal(vk_canvas_text_box(&c, 0, 0, width, 40, white, text), large->height_px);
  assert_int_equal(vk_canvas_text_box(&c, 0, 0, width - 1, 2 * large->height_px, white, text),
                   2 * large->height_px);
  assert_int_equal(
      vk_canvas_text_box(&c, 0, 0, width * 44 / 100, 2 * large->height_px, white, text),
      2 * small->height_px);
  vk_image_free(&c);

  c = canvas_of(300, 100);
  assert_int_equal(vk_canvas_text_box(&c, 20, 10, 100, 2 * small->height_px + 3, white, text),
                   2 * small->height_px);
  assert_true(ink_box(&c, box));
  assert_true(box[0] >= 20 && box[2] <= 120 && box[1] >= 10 && box[3] <= 10 + 2 * small->height_px);
  vk_image_free(&c);

  /* a word wider than the box is broken, and a box narrower than a letter still ends */
  c = canvas_of(300, 100);
  vk_canvas_text_box(&c, 0, 0, 60, 100, white, "KITCHEN_SCENE10_close_the_top_drawer");
  assert_true(ink_box(&c, box));
  assert_true(box[2] <= 60 && box[3] > small->height_px);
  vk_canvas_text_box(&c, 0, 0, 1, 100, white, "W W \xc3\xa9");
  vk_canvas_text_box(&c, 0, 0, 60, 3, white, "no line fits");
  vk_image_free(&c);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_fill_and_put), cmocka_unit_test(test_size_limits),
      cmocka_unit_test(test_fonts),        cmocka_unit_test(test_text),
      cmocka_unit_test(test_box),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
