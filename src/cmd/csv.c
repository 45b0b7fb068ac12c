#include "cmd/csv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void vk_csv_text(const char *text, bool is_last)
{
  if (text && text[strcspn(text, ",\"\r\n")]) {
    putchar('"');
    for (; *text; text++) {
      if (*text == '"')
        putchar('"');
      putchar(*text);
    }
    putchar('"');
  } else if (text) {
    fputs(text, stdout);
  }
  fputs(is_last ? "\r\n" : ",", stdout);
}

void vk_csv_number(double value, bool is_last)
{
  char text[32];
  snprintf(text, sizeof text, "%.17g", value);
  vk_csv_text(isfinite(value) ? text : NULL, is_last);
}
