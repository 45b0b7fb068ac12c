#include "core/arena.h"

#include <stdlib.h>
#include <sys/mman.h>

/* clang tells by __has_feature, gcc by a macro. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(HAS_ASAN)
#include <sanitizer/asan_interface.h>
#define POISON(at, n)   ASAN_POISON_MEMORY_REGION((at), (n))
#define UNPOISON(at, n) ASAN_UNPOISON_MEMORY_REGION((at), (n))
#else
#define POISON(at, n)   ((void)(at), (void)(n))
#define UNPOISON(at, n) ((void)(at), (void)(n))
#endif

void vk_arena_init_view(vk_arena *a, const char *name, void *base, size_t cap)
{
  VK_ASSERT((uintptr_t)base % VK_ARENA_ALIGN == 0);
  *a = (vk_arena){.name = name, .base = base, .cap = cap, .n_until_failure = -1};
  POISON(a->base, a->cap);
}

vk_status vk_arena_init(vk_arena *a, const char *name, size_t cap, vk_err *err)
{
  VK_ASSERT(cap > 0);
  *a = (vk_arena){.name = name, .n_until_failure = -1};
  /* mmap, not malloc: large arenas are mostly reserve, and these pages come zeroed when touched */
  void *base = mmap(NULL, cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for an arena of %zu bytes", name, cap);
  vk_arena_init_view(a, name, base, cap);
  a->is_owned = true;
  return VK_OK;
}

void vk_arena_fini(vk_arena *a)
{
  if (a->base)
    UNPOISON(a->base, a->cap);
  if (a->is_owned)
    munmap(a->base, a->cap);
  *a = (vk_arena){0};
}

void *vk_arena_push(vk_arena *a, size_t n, size_t size, size_t align, vk_err *err)
{
  VK_ASSERT(align > 0 && align <= VK_ARENA_ALIGN && (align & (align - 1)) == 0);
  if (a->n_until_failure > 0)
    a->n_until_failure--;
  else if (a->n_until_failure == 0)
    goto full;
  size_t n_byte, gap = -a->used & (align - 1), left = a->cap - a->used;
  if (__builtin_mul_overflow(n, size, &n_byte) || gap > left || n_byte > left - gap)
    goto full;
  uint8_t *at = a->base + a->used + gap;
  UNPOISON(at, n_byte);
  a->used += gap + n_byte;
  if (a->used > a->peak)
    a->peak = a->used;
  return at;
full:
  vk_fail(err, VK_E_NOMEM, "%s: no space for %zu x %zu bytes, %zu of %zu bytes are used", a->name,
          n, size, a->used, a->cap);
  return NULL;
}

size_t vk_arena_mark(const vk_arena *a)
{
  return a->used;
}

void vk_arena_release(vk_arena *a, size_t mark)
{
  VK_ASSERT(mark <= a->used);
  if (mark < a->used)
    POISON(a->base + mark, a->used - mark);
  a->used = mark;
}

void vk_arena_reset(vk_arena *a)
{
  vk_arena_release(a, 0);
}

void vk_arena_fail_after(vk_arena *a, int64_t n)
{
  a->n_until_failure = n;
}
