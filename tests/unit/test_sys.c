/* test_sys.c - clocks go forward, memory that was touched is counted. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/sys.h"

static void monotonic(void **state)
{
  int64_t start_ns = vk_sys_monotonic_ns(), last_ns = start_ns;
  double start_s = vk_sys_monotonic_s();
  for (int i = 0; i < 1000; i++) {
    int64_t now_ns = vk_sys_monotonic_ns();
    assert_true(now_ns >= last_ns);
    last_ns = now_ns;
  }
  nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  assert_true(vk_sys_monotonic_ns() - start_ns >= 20000000);
  assert_true(vk_sys_monotonic_s() - start_s >= 0.0199);
}

/* Work counts on the thread's clock and the process's, sleep on neither. */
static void processor_time(void **state)
{
  double thread_s = vk_sys_thread_cpu_s(), all_s = vk_sys_cpu_s();
  nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
  assert_true(vk_sys_thread_cpu_s() - thread_s < 0.0199);
  for (volatile int i = 0; i < 1000000;)
    i = i + 1;
  assert_true(vk_sys_thread_cpu_s() > thread_s);
  double took_s = vk_sys_thread_cpu_s() - thread_s;
  assert_true(vk_sys_cpu_s() - all_s >= 0.9 * took_s);
}

static void utc(void **state)
{
  char text[VK_SYS_UTC_SIZE], again[VK_SYS_UTC_SIZE];
  time_t before = time(NULL);
  vk_sys_utc_now(text);
  time_t after = time(NULL);
  assert_int_equal(strlen(text), VK_SYS_UTC_SIZE - 1);
  struct tm tm = {0};
  assert_string_equal(strptime(text, "%Y-%m-%dT%H:%M:%S", &tm), "Z");
  time_t t = timegm(&tm);
  assert_true(t >= before && t <= after);
  vk_sys_utc_now(again);
  assert_true(strcmp(text, again) <= 0);
}

static void memory(void **state)
{
  enum { N = 64 << 20 };
  uint64_t before = vk_sys_resident_bytes();
  assert_true(before > 1 << 20);
  char *block = malloc(N);
  assert_non_null(block);
  for (size_t i = 0; i < N; i += 4096)
    ((volatile char *)block)[i] = 1;
  uint64_t with = vk_sys_resident_bytes();
  assert_true(with >= before + N / 2);
  free(block);
  assert_true(vk_sys_peak_resident_bytes() >= before + N / 2);
  assert_true(vk_sys_available_bytes() > 1 << 20);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(monotonic),
      cmocka_unit_test(processor_time),
      cmocka_unit_test(utc),
      cmocka_unit_test(memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
