/* arena.h - memory by stacking: one block, a pointer that moves up, and marks to come back to.
 *
 * A model arena is filled once and lives with its model; a step arena is reset before every step,
 * so that nothing inside a step calls malloc. Free space is poisoned under AddressSanitizer: use
 * after release is found. One thread at a time. Test: tests/unit/test_arena.c */
#ifndef VK_CORE_ARENA_H
#define VK_CORE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum { VK_ARENA_ALIGN = 64 }; /* of the block: a cache line, and the widest vector */

typedef struct vk_arena {
  const char *name; /* borrowed; says in errors what ran out */
  uint8_t *base;
  size_t used, cap; /* bytes */
  size_t peak;      /* the most that was ever used */
  bool is_owned;
  int64_t n_until_failure; /* < 0: never; see vk_arena_fail_after */
} vk_arena;

/* cap > 0 bytes of its own; pages that are never touched cost no memory. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_arena_init(vk_arena *a, const char *name, size_t cap, vk_err *err);
/* Over the caller's memory, which must outlive it; base aligned to VK_ARENA_ALIGN. */
void vk_arena_init_view(vk_arena *a, const char *name, void *base, size_t cap);
void vk_arena_fini(vk_arena *a);

/* n items of size bytes each at an address divisible by align (a power of two, at most
 * VK_ARENA_ALIGN), not cleared. NULL and VK_E_NOMEM in *err, with need and capacity, when there is
 * no space; the arena is unchanged then. n = 0 gives a valid address. */
void *vk_arena_push(vk_arena *a, size_t n, size_t size, size_t align, vk_err *err);

/* (T *) to n items of type T. */
#define VK_PUSH(arena, n, T, err) ((T *)vk_arena_push((arena), (n), sizeof(T), _Alignof(T), (err)))
/* The same on a cache line of its own: rows for vector code, data of different threads. */
#define VK_PUSH_LINE(arena, n, T, err)                                                             \
  ((T *)vk_arena_push((arena), (n), sizeof(T), VK_ARENA_ALIGN, (err)))

/* release gives back all that was pushed since the mark; reset gives back everything. */
size_t vk_arena_mark(const vk_arena *a);
void vk_arena_release(vk_arena *a, size_t mark);
void vk_arena_reset(vk_arena *a);

/* For tests: the n-th push from now (0: the next) fails as if the arena were full, and so do all
 * after it; -1 ends that. */
void vk_arena_fail_after(vk_arena *a, int64_t n);

#endif
