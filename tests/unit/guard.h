/* guard.h - for tests: bytes around memory that nobody may write. */
#ifndef VK_TESTS_GUARD_H
#define VK_TESTS_GUARD_H

#include "test.h"

enum { GUARD = 256, GUARD_BYTE = 0xA5 };

static inline void check_guard(const void *data, size_t n, const char *what)
{
  const uint8_t *p = data;
  for (size_t i = 0; i < GUARD; i++)
    if (p[-1 - (ptrdiff_t)i] != GUARD_BYTE || p[n + i] != GUARD_BYTE) {
      print_error("%s: wrote outside, %zu bytes away\n", what, i + 1);
      fail();
    }
}

#endif
