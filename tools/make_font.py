#!/usr/bin/env python3
"""make_font.py - draws the characters of src/core/font.c. Run by hand, with Pillow (python3-pil) and
DejaVu Sans (fonts-dejavu-core), when sizes or characters change:

    python3 tools/make_font.py > src/core/font.c && clang-format -i src/core/font.c
"""
from PIL import Image, ImageDraw, ImageFont, features

FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
SIZES = (12, 16)  # px
FIRST, LAST = 32, 126
LEVELS = "0123456789abcdef"


def glyphs(px):
    font = ImageFont.truetype(FONT, px, layout_engine=ImageFont.Layout.BASIC)
    ascent, descent = font.getmetrics()
    height = ascent + descent
    out = []
    for code in range(FIRST, LAST + 1):
        char = chr(code)
        width = round(font.getlength(char))
        picture = Image.new("L", (width, height))
        ImageDraw.Draw(picture).text((0, 0), char, font=font, fill=255)
        rows = [
            "".join(LEVELS[(picture.getpixel((x, y)) + 8) // 17] for x in range(width))
            for y in range(height)
        ]
        out.append((char, width, rows))
    return ascent, height, out


def main():
    print("/* Made by tools/make_font.py from DejaVu Sans (NOTICE): not to be edited. */")
    print('#include "core/font.h"\n')
    names = []
    for px in SIZES:
        ascent, height, all_glyphs = glyphs(px)
        widths = ", ".join(str(w) for _, w, _ in all_glyphs)
        print(f"static const uint8_t width_{px}[VK_FONT_N] = {{{widths}}};\n")
        print("/* rows of each character, one digit a pixel */")
        print(f"static const char *const glyph_{px}[VK_FONT_N] = {{")
        for char, _, rows in all_glyphs:
            text = "".join(rows)
            parts = [text[i : i + 80] for i in range(0, len(text), 80)] or [""]
            name = {"\\": "backslash", "*": "asterisk", "/": "slash"}.get(char, char)
            print(f"    /* {name} */")
            print("\n".join(f'    "{p}"' for p in parts) + ",")
        print("};\n")
        names.append(f"{{{px}, {ascent}, {height}, width_{px}, glyph_{px}}}")
    print(f"const vk_font vk_fonts[VK_FONT_SIZES] = {{{', '.join(names)}}};")


main()
