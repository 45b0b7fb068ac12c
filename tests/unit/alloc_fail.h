/* alloc_fail.h - malloc, calloc and realloc that fail on demand. Tests that include it are linked
 * with --wrap (alloc_fail_tests in meson.build): calls from the program's own code and from cJSON
 * arrive here, those of other libraries do not. */
#ifndef VK_ALLOC_FAIL_H
#define VK_ALLOC_FAIL_H

#include <stdlib.h>

#include <cjson/cJSON.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static long n_until_alloc_fails = -1; /* 0: the next one and all after it; < 0: never */
static long n_alloc_failed;

static bool alloc_fails(void)
{
  if (n_until_alloc_fails == 0)
    n_alloc_failed++;
  else if (n_until_alloc_fails > 0)
    n_until_alloc_fails--;
  return n_alloc_failed > 0;
}

void *__wrap_malloc(size_t n)
{
  return alloc_fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
  return alloc_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
  return alloc_fails() ? NULL : __real_realloc(p, n);
}

/* The allocation after n more fails, and all after that; n < 0 ends it. Returns how many failed
 * since the last call. */
static inline long fail_alloc_after(long n)
{
  long n_failed = n_alloc_failed;
  cJSON_InitHooks(&(cJSON_Hooks){__wrap_malloc, free});
  n_until_alloc_fails = n;
  n_alloc_failed = 0;
  return n_failed;
}

#endif
