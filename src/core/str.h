/* str.h - text that grows: for JSON, MJCF and reports. Running out of memory is remembered, not
 * reported by each call: append freely, and ask once at the end with vk_str_take or vk_str_check.
 * Test: tests/unit/test_str.c */
#ifndef VK_CORE_STR_H
#define VK_CORE_STR_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

typedef struct vk_str {
  char *text; /* n bytes and a NUL, never NULL */
  size_t n;
  size_t cap; /* bytes owned; 0: text is a constant "" */
  bool is_out_of_memory;
} vk_str;

/* Becomes "" without memory of its own. */
void vk_str_init(vk_str *s);
/* May be initialised again afterwards; a zeroed vk_str is allowed. */
void vk_str_free(vk_str *s);
/* Becomes "" and keeps its memory. */
void vk_str_clear(vk_str *s);

/* Once memory ran out, these do nothing until vk_str_clear. None may point into s->text. */
void vk_str_append(vk_str *s, const char *text);
void vk_str_append_n(vk_str *s, const char *bytes, size_t n);
void vk_str_append_char(vk_str *s, char c);
void vk_str_appendf(vk_str *s, const char *format, ...) VK_PRINTF(2, 3);

/* VK_OK or VK_E_NOMEM; `what` names the text in the error. */
VK_NODISCARD vk_status vk_str_check(const vk_str *s, const char *what, vk_err *err);

/* Hands the text over, to be freed with free(); s is as after vk_str_init. On VK_E_NOMEM *text is
 * NULL and s keeps what it has. n may be NULL. */
VK_NODISCARD vk_status vk_str_take(vk_str *s, char **text, size_t *n, const char *what,
                                   vk_err *err);

#endif
