#include "core/str.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What text points to before the first allocation; never written. */
static char *empty_text(void)
{
  static const char empty[1] = "";
  return (char *)(uintptr_t)empty;
}

void vk_str_init(vk_str *s)
{
  *s = (vk_str){.text = empty_text()};
}

void vk_str_free(vk_str *s)
{
  if (s->cap)
    free(s->text);
  vk_str_init(s);
}

void vk_str_clear(vk_str *s)
{
  s->n = 0;
  s->is_out_of_memory = false;
  if (s->cap)
    s->text[0] = '\0';
}

/* Room for n more bytes and the NUL. */
static bool reserve(vk_str *s, size_t n)
{
  if (s->is_out_of_memory)
    return false;
  if (n < s->cap - s->n) /* cap is 0 or above s->n */
    return true;
  size_t cap = s->cap ? s->cap : 64;
  while (cap - s->n <= n && cap <= PTRDIFF_MAX / 2)
    cap *= 2;
  char *text = cap - s->n <= n ? NULL : realloc(s->cap ? s->text : NULL, cap);
  if (!text) {
    s->is_out_of_memory = true;
    return false;
  }
  s->text = text;
  s->cap = cap;
  return true;
}

void vk_str_append_n(vk_str *s, const char *bytes, size_t n)
{
  if (n == 0 || !reserve(s, n))
    return;
  memcpy(s->text + s->n, bytes, n);
  s->n += n;
  s->text[s->n] = '\0';
}

void vk_str_append(vk_str *s, const char *text)
{
  vk_str_append_n(s, text, strlen(text));
}

void vk_str_append_char(vk_str *s, char c)
{
  vk_str_append_n(s, &c, 1);
}

void vk_str_appendf(vk_str *s, const char *format, ...)
{
  /* Most pieces are short: print into the free space first, and again when it was too small. */
  for (int i = 0; i < 2; i++) {
    size_t n_free = s->cap - s->n;
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(n_free ? s->text + s->n : NULL, n_free, format, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < n_free && !s->is_out_of_memory) {
      s->n += (size_t)n;
      return;
    }
    if (s->cap)
      s->text[s->n] = '\0';
    if (n <= 0 || !reserve(s, (size_t)n)) {
      s->is_out_of_memory |= n < 0; /* over 2 GiB in one piece */
      return;
    }
  }
}

vk_status vk_str_check(const vk_str *s, const char *what, vk_err *err)
{
  if (s->is_out_of_memory)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for more than %zu bytes of text", what, s->n);
  return VK_OK;
}

vk_status vk_str_take(vk_str *s, char **text, size_t *n, const char *what, vk_err *err)
{
  *text = NULL;
  if (!s->cap)
    reserve(s, 0);
  VK_TRY(vk_str_check(s, what, err));
  s->text[s->n] = '\0';
  *text = s->text;
  if (n)
    *n = s->n;
  vk_str_init(s);
  return VK_OK;
}
