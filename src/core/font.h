/* font.h - the characters that pictures are labelled with: DejaVu Sans in two sizes, drawn ahead of
 * time by tools/make_font.py, so that no font library and no font file is needed.
 * Test: tests/unit/test_canvas.c */
#ifndef VK_CORE_FONT_H
#define VK_CORE_FONT_H

#include <stdint.h>

enum {
  VK_FONT_FIRST = 32,
  VK_FONT_LAST = 126, /* ASCII */
  VK_FONT_N = VK_FONT_LAST - VK_FONT_FIRST + 1,
  VK_FONT_SIZES = 2
};

typedef struct vk_font {
  int size_px, ascent_px, height_px; /* nominal, above the base line, of a line */
  const uint8_t *width_px;           /* [VK_FONT_N] */
  /* [VK_FONT_N] texts of height x width hexadecimal digits, the top row first: 0 is background, f
   * ink */
  const char *const *glyph;
} vk_font;

extern const vk_font vk_fonts[VK_FONT_SIZES]; /* the smaller one first */

#endif
