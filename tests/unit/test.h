/* test.h - cmocka with the comparisons that it lacks. Every unit test includes this and nothing
 * else of cmocka. cmocka's own float asserts let NaN pass, so they are poisoned: use
 * vk_assert_close. */
#ifndef VK_TEST_H
#define VK_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/err.h"

#undef assert_float_equal
#undef assert_float_not_equal
#pragma GCC poison assert_float_equal assert_float_not_equal

/* A whole test executable returns this when the machine lacks what it needs: meson shows SKIP. */
enum { VK_TEST_SKIP = 77 };

/* |got - want| <= atol + rtol * |want|; NaN and infinity on either side fail. */
#define vk_assert_close(got, want, atol, rtol)                                                     \
  vk_assert_close_at((got), (want), (atol), (rtol), #got, __FILE__, __LINE__)
static inline void vk_assert_close_at(double got, double want, double atol, double rtol,
                                      const char *what, const char *file, int line)
{
  if (isfinite(got) && isfinite(want) && fabs(got - want) <= atol + rtol * fabs(want))
    return;
  print_error("%s: got %.17g, want %.17g (off by %.3g, allowed %.3g)\n", what, got, want,
              fabs(got - want), atol + rtol * fabs(want));
  _fail(file, line);
}

/* The same bits: signed zeros and NaN payloads count. */
#define vk_assert_same_bits(got, want)                                                             \
  vk_assert_same_bits_at((got), (want), #got, __FILE__, __LINE__)
static inline void vk_assert_same_bits_at(double got, double want, const char *what,
                                          const char *file, int line)
{
  if (memcmp(&got, &want, sizeof got) == 0)
    return;
  print_error("%s: got %.17g (%a), want %.17g (%a)\n", what, got, got, want, want);
  _fail(file, line);
}

/* status is VK_OK; else the sentence in *err is shown (err may be NULL). */
#define vk_assert_ok(status, err) vk_assert_ok_at((status), (err), #status, __FILE__, __LINE__)
static inline void vk_assert_ok_at(vk_status status, const vk_err *err, const char *what,
                                   const char *file, int line)
{
  if (status == VK_OK)
    return;
  print_error("%s: %s: %s\n", what, vk_status_name(status), err ? err->text : "(no sentence)");
  _fail(file, line);
}

/* status is exactly code. */
#define vk_assert_fails(status, code)                                                              \
  vk_assert_fails_at((status), (code), #status, __FILE__, __LINE__)
static inline void vk_assert_fails_at(vk_status status, vk_status code, const char *what,
                                      const char *file, int line)
{
  if (status == code)
    return;
  print_error("%s: got %s, want %s\n", what, vk_status_name(status), vk_status_name(code));
  _fail(file, line);
}

/* The sentence in *err contains part. */
#define vk_assert_says(err, part) vk_assert_says_at((err), (part), __FILE__, __LINE__)
static inline void vk_assert_says_at(const vk_err *err, const char *part, const char *file,
                                     int line)
{
  if (strstr(err->text, part))
    return;
  print_error("the error \"%s\" does not say \"%s\"\n", err->text, part);
  _fail(file, line);
}

#endif
