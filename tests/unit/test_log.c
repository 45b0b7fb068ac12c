/* test_log.c - lines of several threads, and the live line below them. */
#include "terminal.h"
#include "test.h"

#include "core/log.h"
#include "core/thread.h"

static void plain_lines(void **state)
{
  char *text = NULL;
  size_t n = 0;
  FILE *f = tmpfile();
  assert_non_null(f);
  vk_log log;
  vk_log_init(&log, f);
  assert_false(log.is_terminal);
  vk_log_line(&log, "one %d", 1);
  vk_log_set_live(&log, "not on a file");
  vk_log_line(&log, "two");
  vk_log_fini(&log);
  vk_log_line(NULL, "nowhere");
  vk_log_set_live(NULL, "nowhere");
  rewind(f);
  assert_true(getline(&text, &n, f) > 0);
  assert_string_equal(text, "vlakit: one 1\n");
  assert_true(getline(&text, &n, f) > 0);
  assert_string_equal(text, "vlakit: two\n");
  assert_true(getline(&text, &n, f) < 0);
  free(text);
  fclose(f);
}

static void live_line(void **state)
{
  setenv("TERM", "xterm", 1);
  terminal t = terminal_open(20);
  vk_log log;
  vk_log_init(&log, t.stream);
  assert_true(log.is_terminal);
  vk_log_set_live(&log, "");
  assert_string_equal(terminal_read(&t), "");
  vk_log_set_live(&log, "1 of 3");
  assert_string_equal(terminal_read(&t), "\r1 of 3\033[K");
  vk_log_set_live(&log, "a text that is wider than the terminal");
  assert_string_equal(terminal_read(&t), "\ra text that is wide\033[K"); /* 19 columns */
  vk_log_line(&log, "careful");
  assert_string_equal(terminal_read(&t), "\r\033[Kvlakit: careful\n");
  vk_log_line(&log, "again");
  assert_string_equal(terminal_read(&t), "vlakit: again\n");
  vk_log_set_live(&log, "2 of 3");
  terminal_read(&t);
  vk_log_fini(&log);
  assert_string_equal(terminal_read(&t), "\r\033[K");

  setenv("TERM", "dumb", 1);
  vk_log_init(&log, t.stream);
  assert_false(log.is_terminal);
  vk_log_fini(&log);
  terminal_close(&t);
}

static void log_item(void *arg, int i, int i_thread)
{
  vk_log_line(arg, "item %04d of several threads", i);
}

static void lines_never_mix(void **state)
{
  enum { N = 500 };
  vk_err err = VK_ERR_INIT;
  vk_pool *pool;
  vk_log log;
  FILE *f = tmpfile();
  assert_non_null(f);
  vk_assert_ok(vk_pool_new(&pool, 4, &err), &err);
  vk_log_init(&log, f);
  vk_pool_run(pool, log_item, &log, N);
  vk_log_fini(&log);
  vk_pool_free(pool);
  rewind(f);
  char line[200];
  bool is_seen[N] = {0};
  for (int k = 0; k < N; k++) {
    int i = -1, n = 0;
    assert_non_null(fgets(line, sizeof line, f));
    assert_int_equal(sscanf(line, "vlakit: item %4d of several threads%n", &i, &n), 1);
    assert_int_equal(line[n], '\n');
    assert_true(i >= 0 && i < N && !is_seen[i]);
    is_seen[i] = true;
  }
  fclose(f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plain_lines),
      cmocka_unit_test(live_line),
      cmocka_unit_test(lines_never_mix),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
