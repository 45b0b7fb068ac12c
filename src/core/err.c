#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Names of files and words of theirs may hold line ends and escape codes; a sentence does not. */
static void keep_to_one_line(char *text)
{
  for (; *text; text++)
    if ((unsigned char)*text < 0x20 || *text == 0x7f)
      *text = '?';
}

vk_status vk_fail_at(vk_err *err, vk_status code, const char *file, int line, const char *format,
                     ...)
{
  if (!err)
    return code;
  /* Formatted aside, as an argument may be err->text itself. */
  char text[sizeof err->text];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  keep_to_one_line(text);
  err->code = code;
  err->file = file;
  err->line = line;
  memcpy(err->text, text, sizeof text);
  return code;
}

vk_status vk_err_prefix(vk_err *err, const char *format, ...)
{
  if (!err)
    return VK_E_IO;
  char prefix[256], text[sizeof err->text];
  va_list ap;
  va_start(ap, format);
  vsnprintf(prefix, sizeof prefix, format, ap);
  va_end(ap);
  int n = snprintf(text, sizeof text, "%s: ", prefix);
  size_t at = n < 0 ? 0 : (size_t)n;
  snprintf(text + at, sizeof text - at, "%s", err->text);
  keep_to_one_line(text);
  memcpy(err->text, text, sizeof text);
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
  static const char *const name[] = {"OK",    "USAGE",    "IO",         "FORMAT",   "VERSION",
                                     "SHAPE", "RANGE",    "NOMEM",      "NOTFOUND", "UNSUPPORTED",
                                     "SIM",   "MISMATCH", "INTERRUPTED"};
  return (size_t)status < VK_COUNT(name) ? name[status] : "UNKNOWN";
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
