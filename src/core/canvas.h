/* canvas.h - puts pictures and words into a picture: rectangles, pictures, anti-aliased text. What
 * lies outside the canvas is left out.
 *
 * A canvas is a vk_image of 3 channels. Coordinates are in pixels, y down. Text is ASCII; a
 * character that the font lacks (one in UTF-8 counts once) is drawn as '?'.
 * Test: tests/unit/test_canvas.c */
#ifndef VK_CORE_CANVAS_H
#define VK_CORE_CANVAS_H

#include "core/font.h"
#include "core/image.h"

typedef struct vk_colour {
  uint8_t r, g, b;
} vk_colour;

/* A black one, to be freed with vk_image_free. Errors: VK_E_RANGE (as vk_image_write), VK_E_NOMEM.
 */
VK_NODISCARD vk_status vk_canvas_init(vk_image *canvas, int width, int height, vk_err *err);

/* Colours a rectangle. */
void vk_canvas_fill(vk_image *canvas, int x, int y, int width, int height, vk_colour colour);

/* Copies a picture of red, green and blue bytes; row_bytes: from one row to the next. */
void vk_canvas_put(vk_image *canvas, int x, int y, const uint8_t *pixel, int width, int height,
                   size_t row_bytes);

/* Width of one line of n bytes of text. */
int vk_canvas_text_width(const vk_font *font, const char *text, size_t n);

/* Draws one line of n bytes of text, its top left corner at (x, y), over what is there. */
void vk_canvas_text(vk_image *canvas, int x, int y, const vk_font *font, vk_colour colour,
                    const char *text, size_t n);

/* Draws text from the top of a box on as many lines as it takes, broken at spaces, in the largest
 * font with which it fits; where none does, in the smallest with "..." at the end. Returns the
 * height that it took. */
int vk_canvas_text_box(vk_image *canvas, int x, int y, int width, int height, vk_colour colour,
                       const char *text);

#endif
