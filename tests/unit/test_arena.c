/* test_arena.c - alignment, marks, running out, and poisoned free space under ASan. */
#include "test.h"

#include <stdlib.h>

#include "core/arena.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(HAS_ASAN)
#include <sanitizer/asan_interface.h>
#define assert_poisoned(at, want) assert_int_equal(__asan_address_is_poisoned(at), want)
#else
#define assert_poisoned(at, want) ((void)(at))
#endif

static vk_arena new_arena(size_t cap)
{
  vk_err err = VK_ERR_INIT;
  vk_arena a;
  vk_assert_ok(vk_arena_init(&a, "step arena", cap, &err), &err);
  return a;
}

static void aligns_and_stacks(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_arena a = new_arena(4096);
  uint8_t *end = NULL;
  for (size_t align = 1; align <= VK_ARENA_ALIGN; align *= 2) {
    uint8_t *at = vk_arena_push(&a, 3, 1, align, &err);
    assert_non_null(at);
    assert_int_equal((uintptr_t)at % align, 0);
    assert_true(!end || (at >= end && (size_t)(at - end) < align));
    memset(at, 1, 3);
    end = at + 3;
  }
  double *x = VK_PUSH(&a, 5, double, &err);
  float *row = VK_PUSH_LINE(&a, 5, float, &err);
  assert_int_equal((uintptr_t)x % _Alignof(double), 0);
  assert_int_equal((uintptr_t)row % VK_ARENA_ALIGN, 0);
  assert_non_null(VK_PUSH(&a, 0, double, &err));
  assert_int_equal(a.used, (uint8_t *)(row + 5) - a.base + 4); /* 4: the gap before no doubles */
  vk_arena_fini(&a);
  vk_arena_fini(&a);
}

static void releases_to_a_mark(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_arena a = new_arena(1024);
  double *keep = VK_PUSH(&a, 4, double, &err);
  keep[3] = 7;
  size_t mark = vk_arena_mark(&a);
  double *first = VK_PUSH(&a, 100, double, &err);
  assert_non_null(first);
  assert_poisoned(&first[99], 0);
  size_t peak = a.used;
  vk_arena_release(&a, mark);
  assert_poisoned(&first[0], 1);
  assert_poisoned(&first[99], 1);
  assert_poisoned(&keep[3], 0);
  double *second = VK_PUSH(&a, 2, double, &err);
  assert_ptr_equal(first, second);
  assert_poisoned(&second[1], 0);
  assert_poisoned(&second[2], 1);
  vk_assert_close(keep[3], 7, 0, 0);
  assert_int_equal(a.peak, peak);
  vk_arena_reset(&a);
  assert_int_equal(a.used, 0);
  assert_poisoned(keep, 1);
  vk_arena_fini(&a);
}

static void says_what_ran_out(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_arena a = new_arena(100);
  assert_non_null(VK_PUSH(&a, 100, char, &err));
  vk_arena_release(&a, 60);
  assert_null(VK_PUSH(&a, 5, double, &err)); /* 4 for alignment and 40: 36 are left */
  assert_int_equal(err.code, VK_E_NOMEM);
  vk_assert_says(&err, "step arena: no space for 5 x 8 bytes, 60 of 100 bytes are used");
  assert_int_equal(a.used, 60);
  assert_non_null(VK_PUSH(&a, 4, double, &err));
  assert_non_null(VK_PUSH(&a, 4, char, &err)); /* to the last byte */
  assert_null(VK_PUSH(&a, 1, char, NULL));
  vk_arena_fini(&a);
}

static void refuses_overflow(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_arena a = new_arena(100);
  assert_null(VK_PUSH(&a, SIZE_MAX / 8 + 2, double, &err)); /* the product wraps to 8 */
  assert_null(VK_PUSH(&a, SIZE_MAX, char, &err));
  assert_int_equal(a.used, 0);
  vk_arena_fini(&a);
  vk_assert_fails(vk_arena_init(&a, "model arena", SIZE_MAX / 2, &err), VK_E_NOMEM);
  vk_assert_says(&err, "model arena");
  vk_arena_fini(&a);
}

static void over_the_callers_memory(void **state)
{
  vk_err err = VK_ERR_INIT;
  _Alignas(VK_ARENA_ALIGN) static uint8_t block[128];
  vk_arena a;
  vk_arena_init_view(&a, "view", block, sizeof block);
  assert_ptr_equal(VK_PUSH(&a, 128, char, &err), block);
  assert_null(VK_PUSH(&a, 1, char, &err));
  vk_arena_reset(&a);
  vk_arena_fini(&a);
  block[127] = 1; /* usable again */
}

static void fails_on_demand(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_arena a = new_arena(100);
  vk_arena_fail_after(&a, 2);
  assert_non_null(VK_PUSH(&a, 1, char, &err));
  assert_non_null(VK_PUSH(&a, 1, char, &err));
  assert_null(VK_PUSH(&a, 1, char, &err));
  assert_null(VK_PUSH(&a, 1, char, &err));
  assert_int_equal(err.code, VK_E_NOMEM);
  vk_arena_fail_after(&a, -1);
  assert_non_null(VK_PUSH(&a, 1, char, &err));
  vk_arena_fini(&a);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(aligns_and_stacks),       cmocka_unit_test(releases_to_a_mark),
      cmocka_unit_test(says_what_ran_out),       cmocka_unit_test(refuses_overflow),
      cmocka_unit_test(over_the_callers_memory), cmocka_unit_test(fails_on_demand),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
