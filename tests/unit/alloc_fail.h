/* alloc_fail.h - malloc and its like, and anonymous mmap, that fail on demand. Tests that include
 * it are linked with --wrap (alloc_fail_tests in meson.build): calls from the program's own code
 * and from cJSON arrive here, those of other libraries do not. */
#ifndef VK_ALLOC_FAIL_H
#define VK_ALLOC_FAIL_H

#include <stdlib.h>
#include <sys/mman.h>

#include <cjson/cJSON.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
void *__real_mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
void *__wrap_mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset);

static long n_until_alloc_fails = -1; /* 0: the next one and all after it; < 0: never */
static bool is_one_alloc_to_fail;     /* only one, those after it do not */
static long n_alloc_failed;
static long n_alloc;       /* calls of any kind, those of several threads may be missed */
extern size_t n_mmap_byte; /* asked of anonymous mmap */
size_t n_mmap_byte;

static bool alloc_fails(void)
{
  n_alloc++;
  if (n_until_alloc_fails == 0 && is_one_alloc_to_fail && n_alloc_failed > 0)
    return false;
  if (n_until_alloc_fails == 0)
    n_alloc_failed++;
  else if (n_until_alloc_fails > 0)
    n_until_alloc_fails--;
  return n_until_alloc_fails == 0 && n_alloc_failed > 0;
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

void *__wrap_aligned_alloc(size_t align, size_t n)
{
  return alloc_fails() ? NULL : __real_aligned_alloc(align, n);
}

void *__wrap_mmap64(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
  n_mmap_byte += flags & MAP_ANONYMOUS ? n : 0;
  return flags & MAP_ANONYMOUS && alloc_fails()
             ? MAP_FAILED
             : __real_mmap64(at, n, protection, flags, fd, offset);
}

/* The allocation after n more fails, and all after that; n < 0 ends it. Returns how many failed
 * since the last call. */
static inline long fail_alloc_after(long n)
{
  long n_failed = n_alloc_failed;
  cJSON_InitHooks(&(cJSON_Hooks){__wrap_malloc, free});
  n_until_alloc_fails = n;
  n_alloc_failed = 0;
  is_one_alloc_to_fail = false;
  return n_failed;
}

/* The same, but those after it do not fail. */
static inline void fail_alloc_once_after(long n)
{
  fail_alloc_after(n);
  is_one_alloc_to_fail = true;
}

#endif
