#include "core/canvas.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

vk_status vk_canvas_init(vk_image *canvas, int width, int height, vk_err *err)
{
  *canvas = (vk_image){0};
  if (width < 1 || height < 1 || width > VK_IMAGE_SIDE_MAX || height > VK_IMAGE_SIDE_MAX ||
      (int64_t)width * height * 3 > VK_IMAGE_BYTES_MAX)
    return vk_fail(err, VK_E_RANGE, "a picture of %d x %d pixels; sides of 1 to %d are possible",
                   width, height, VK_IMAGE_SIDE_MAX);
  uint8_t *pixel = calloc((size_t)width * (size_t)height, 3);
  if (!pixel)
    return vk_fail(err, VK_E_NOMEM, "no memory for a picture of %d x %d pixels", width, height);
  *canvas = (vk_image){.width = width, .height = height, .n_channel = 3, .pixel = pixel};
  return VK_OK;
}

static uint8_t *pixel_at(const vk_image *canvas, int x, int y)
{
  return canvas->pixel + 3 * ((size_t)y * (size_t)canvas->width + (size_t)x);
}

/* The part of [at, at + n) inside [0, limit): its begin and end. */
static void clip(int at, int n, int limit, int *begin, int *end)
{
  *begin = at < 0 ? 0 : at;
  *end = n > limit - at ? limit : at + n;
}

void vk_canvas_fill(vk_image *canvas, int x, int y, int width, int height, vk_colour colour)
{
  int x0, x1, y0, y1;
  clip(x, width, canvas->width, &x0, &x1);
  clip(y, height, canvas->height, &y0, &y1);
  for (int j = y0; j < y1; j++)
    for (int i = x0; i < x1; i++)
      memcpy(pixel_at(canvas, i, j), (const uint8_t[3]){colour.r, colour.g, colour.b}, 3);
}

void vk_canvas_put(vk_image *canvas, int x, int y, const uint8_t *pixel, int width, int height,
                   size_t row_bytes)
{
  int x0, x1, y0, y1;
  clip(x, width, canvas->width, &x0, &x1);
  clip(y, height, canvas->height, &y0, &y1);
  for (int j = y0; j < y1 && x0 < x1; j++)
    memcpy(pixel_at(canvas, x0, j), pixel + (size_t)(j - y) * row_bytes + 3 * (size_t)(x0 - x),
           3 * (size_t)(x1 - x0));
}

/* ---- text ---- */

/* Glyph of the character at *at, which moves behind it. */
static int next_glyph(const char *text, size_t n, size_t *at)
{
  unsigned char c = (unsigned char)text[(*at)++];
  while (c >= 0xc0 && *at < n && ((unsigned char)text[*at] & 0xc0) == 0x80)
    (*at)++;
  return (c >= VK_FONT_FIRST && c <= VK_FONT_LAST ? c : '?') - VK_FONT_FIRST;
}

int vk_canvas_text_width(const vk_font *font, const char *text, size_t n)
{
  int width = 0;
  for (size_t at = 0; at < n;)
    width += font->width_px[next_glyph(text, n, &at)];
  return width;
}

static int digit_value(char digit)
{
  return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

static void put_glyph(vk_image *canvas, int x, int y, const vk_font *font, int i, vk_colour colour)
{
  const uint8_t ink[3] = {colour.r, colour.g, colour.b};
  int width = font->width_px[i], x0, x1, y0, y1;
  clip(x, width, canvas->width, &x0, &x1);
  clip(y, font->height_px, canvas->height, &y0, &y1);
  for (int row = y0; row < y1; row++)
    for (int column = x0; column < x1; column++) {
      int alpha = digit_value(font->glyph[i][(row - y) * width + column - x]);
      uint8_t *p = pixel_at(canvas, column, row);
      for (int k = 0; k < 3; k++)
        p[k] = (uint8_t)((ink[k] * alpha + p[k] * (15 - alpha) + 7) / 15);
    }
}

void vk_canvas_text(vk_image *canvas, int x, int y, const vk_font *font, vk_colour colour,
                    const char *text, size_t n)
{
  for (size_t at = 0; at < n;) {
    int i = next_glyph(text, n, &at);
    put_glyph(canvas, x, y, font, i, colour);
    x += font->width_px[i];
  }
}

/* ---- boxes ---- */

/* Bytes of text that fit into a line: up to a space or the end, or as many as fit of a word that is
 * wider than the line, at least one character. */
static size_t line_length(const vk_font *font, const char *text, int width)
{
  size_t n = strlen(text), n_fit = 0, at_space = 0;
  int w = 0;
  for (size_t at = 0; at < n;) {
    if (text[at] == ' ')
      at_space = at;
    w += font->width_px[next_glyph(text, n, &at)];
    if (w > width)
      return at_space ? at_space : n_fit ? n_fit : at;
    n_fit = at;
  }
  return n;
}

static const char *skip_spaces(const char *text)
{
  return text + strspn(text, " ");
}

static int count_lines(const vk_font *font, const char *text, int width)
{
  int n = 0;
  for (text = skip_spaces(text); *text; n++)
    text = skip_spaces(text + line_length(font, text, width));
  return n;
}

/* The longest beginning of text (n bytes) after which "..." fits into the line. */
static void draw_cut_line(vk_image *canvas, int x, int y, const vk_font *font, int width,
                          vk_colour colour, const char *text)
{
  static const char dots[] = "...";
  int w_dots = vk_canvas_text_width(font, dots, 3), w = 0;
  size_t n = strlen(text), n_fit = 0;
  for (size_t at = 0; at < n;) {
    w += font->width_px[next_glyph(text, n, &at)];
    if (w + w_dots > width)
      break;
    n_fit = at;
  }
  while (n_fit && text[n_fit - 1] == ' ')
    n_fit--;
  vk_canvas_text(canvas, x, y, font, colour, text, n_fit);
  vk_canvas_text(canvas, x + vk_canvas_text_width(font, text, n_fit), y, font, colour, dots, 3);
}

int vk_canvas_text_box(vk_image *canvas, int x, int y, int width, int height, vk_colour colour,
                       const char *text)
{
  int i_font = VK_FONT_SIZES - 1;
  while (i_font > 0 &&
         count_lines(&vk_fonts[i_font], text, width) * vk_fonts[i_font].height_px > height)
    i_font--;
  const vk_font *font = &vk_fonts[i_font];
  int n_room = height / font->height_px, n = 0;
  for (text = skip_spaces(text); *text && n < n_room; n++) {
    size_t n_line = line_length(font, text, width);
    const char *next = skip_spaces(text + n_line);
    int line_y = y + n * font->height_px;
    if (*next && n + 1 == n_room)
      draw_cut_line(canvas, x, line_y, font, width, colour, text);
    else
      vk_canvas_text(canvas, x, line_y, font, colour, text, n_line);
    text = next;
  }
  return n * font->height_px;
}
