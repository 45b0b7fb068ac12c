#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHOLE_SIZE = 8192 }; /* of a sentence before it is cut: two paths and more */

/* Control characters, as file names may hold, would break the line or steer the terminal. */
static void keep_to_one_line(char *text)
{
  for (; *text; text++)
    if ((unsigned char)*text < 0x20 || *text == 0x7f)
      *text = '?';
}

static bool is_inside_character(char c) /* of UTF-8 */
{
  return ((unsigned char)c & 0xc0) == 0x80;
}

/* What is too long loses a part of its middle: the reason stands at the end. */
static void set_text(vk_err *err, char *whole)
{
  const size_t n_max = sizeof err->text - 1, n = strlen(whole);
  size_t n_head = n <= n_max ? n : n_max / 3, tail = n;
  if (n > n_max) {
    tail = n - (n_max - n_head - strlen("..."));
    while (n_head > 0 && is_inside_character(whole[n_head]))
      n_head--;
    while (is_inside_character(whole[tail]))
      tail++;
  }
  keep_to_one_line(whole);
  snprintf(err->text, sizeof err->text, "%.*s%s%s", (int)n_head, whole, n <= n_max ? "" : "...",
           whole + tail);
}

vk_status vk_fail_at(vk_err *err, vk_status code, const char *file, int line, const char *format,
                     ...)
{
  if (!err)
    return code;
  char whole[WHOLE_SIZE]; /* aside, as an argument may be err->text itself */
  va_list ap;
  va_start(ap, format);
  vsnprintf(whole, sizeof whole, format, ap);
  va_end(ap);
  err->code = code;
  err->file = file;
  err->line = line;
  set_text(err, whole);
  return code;
}

vk_status vk_err_prefix(vk_err *err, const char *format, ...)
{
  if (!err)
    return VK_E_IO;
  char prefix[WHOLE_SIZE - sizeof err->text - 2], whole[WHOLE_SIZE];
  va_list ap;
  va_start(ap, format);
  vsnprintf(prefix, sizeof prefix, format, ap);
  va_end(ap);
  snprintf(whole, sizeof whole, "%s: %s", prefix, err->text);
  set_text(err, whole);
  return err->code;
}

void vk_assert_failed(const char *cond, const char *file, int line)
{
  fprintf(stderr, "vlakit: internal error at %s:%d: %s is false; please report this\n", file, line,
          cond);
  abort();
}

const char *vk_status_name(vk_status status)
{
  static const char *const name[] = {"OK",    "USAGE",    "IO",          "FORMAT",   "VERSION",
                                     "SHAPE", "RANGE",    "NOMEM",       "NOTFOUND", "UNSUPPORTED",
                                     "SIM",   "MISMATCH", "INTERRUPTED", "DIVERGED"};
  return (size_t)status < VK_COUNT(name) ? name[status] : "UNKNOWN";
}

const char *vk_plural(long long n)
{
  return n == 1 ? "" : "s";
}

int vk_status_exit_code(vk_status status)
{
  switch (status) {
  case VK_OK:
    return 0;
  case VK_E_USAGE:
    return 2;
  case VK_E_INTERRUPTED:
    return 130;
  default:
    return 1;
  }
}
