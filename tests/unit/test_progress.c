/* test_progress.c - the line's text, when it is printed, and where. */
#include "terminal.h"
#include "test.h"

#include "core/progress.h"
#include "core/thread.h"

static void assert_line(const vk_progress *p, double elapsed_s, const char *want)
{
  char line[200];
  vk_progress_format(p, elapsed_s, 412345678, line, sizeof line);
  assert_string_equal(line, want);
}

static void formats(void **state)
{
  vk_progress p;
  vk_progress_init(&p, NULL, "eval", "episodes", 6500, 0);
  assert_line(&p, 0, "eval 0/6500 episodes (0.0 %), 412 MB");
  p.n_done = 130;
  assert_line(&p, 25, "eval 130/6500 episodes (2.0 %), 5.2/s, 20 min left, 412 MB");
  vk_progress_set_note(&p, "success %.1f %%", 97.125);
  assert_line(&p, 25, "eval 130/6500 episodes (2.0 %), 5.2/s, 20 min left, 412 MB, success 97.1 %");
  p.n_done = 6499;
  assert_line(&p, 6.5,
              "eval 6499/6500 episodes (100.0 %), 1000/s, 0 s left, 412 MB, "
              "success 97.1 %");
  vk_progress_set_note(&p, "evaluation: 12345 of 65000 episodes, 12000 succeeded, waits %d %%", 10);
  assert_string_equal(p.note, "evaluation: 12345 of 65000 episodes, 12000 succeeded, waits 10 %");
  vk_progress_set_note(&p, "first, second%130s, cut %50s", "",
                       "off"); /* parts are left out whole */
  assert_int_equal(strlen(p.note), strlen("first, second") + 130);
  vk_progress_set_note(&p, "%s", "");
  p.n_done = 6500;
  assert_line(&p, 1000, "eval 6500/6500 episodes (100.0 %), 6.5/s, took 17 min, 412 MB");
  p.n_done = 1;
  assert_line(&p, 50, "eval 1/6500 episodes (0.0 %), 0.02/s, 90.3 h left, 412 MB");
  vk_progress_fini(&p);

  /* a resumed run: the earlier items say nothing of the rate */
  vk_progress_init(&p, NULL, "eval", "episodes", 200, 100);
  assert_line(&p, 7, "eval 100/200 episodes (50.0 %), 412 MB");
  p.n_done = 110;
  assert_line(&p, 10, "eval 110/200 episodes (55.0 %), 1/s, 90 s left, 412 MB");
  vk_progress_fini(&p);

  vk_progress_init(&p, NULL, "import", "files", 0, 0);
  vk_progress_set(&p, 30, 0);
  assert_line(&p, 10, "import 30 files, 3/s, 10 s so far, 412 MB");
  vk_progress_set(&p, 30, 60);
  assert_line(&p, 10, "import 30/60 files (50.0 %), 3/s, 10 s left, 412 MB");
  vk_progress_fini(&p);
}

/* The whole content of a stream. */
static const char *content(FILE *f)
{
  static char buf[4096];
  rewind(f);
  buf[fread(buf, 1, sizeof buf - 1, f)] = '\0';
  return buf;
}

static void plain_stream(void **state)
{
  FILE *f = tmpfile();
  assert_non_null(f);
  vk_log log;
  vk_progress p;
  vk_log_init(&log, f);
  vk_progress_init(&p, &log, "eval", "episodes", 4, 0);
  vk_assert_close(p.next_s - p.start_s, 10, 1e-9, 0);
  vk_progress_add(&p, 1);
  assert_string_equal(content(f), "");
  p.next_s -= 10; /* as if ten seconds had gone by */
  vk_progress_add(&p, 1);
  assert_non_null(strstr(content(f), "vlakit: eval 2/4 episodes (50.0 %)"));
  vk_progress_add(&p, 2);
  assert_null(strstr(content(f), "4/4"));
  vk_progress_fini(&p);
  assert_non_null(strstr(content(f), "vlakit: eval 4/4 episodes (100.0 %)"));
  assert_null(strchr(content(f), '\033'));
  assert_null(strchr(content(f), '\r'));
  vk_log_fini(&log);
  fclose(f);
}

static void short_work_is_silent(void **state)
{
  FILE *f = tmpfile();
  assert_non_null(f);
  vk_log log;
  vk_progress p;
  vk_log_init(&log, f);
  vk_progress_init(&p, &log, "eval", "episodes", 4, 0);
  vk_progress_add(&p, 4);
  vk_progress_fini(&p);
  assert_string_equal(content(f), "");
  vk_log_fini(&log);
  fclose(f);
}

static void terminal_stream(void **state)
{
  setenv("TERM", "xterm", 1);
  terminal t = terminal_open(100);
  vk_log log;
  vk_progress p;
  vk_log_init(&log, t.stream);
  vk_progress_init(&p, &log, "eval", "episodes", 4, 0);
  p.next_s -= 10;
  vk_progress_add(&p, 1);
  assert_non_null(strstr(terminal_read(&t), "\reval 1/4 episodes (25.0 %)"));
  vk_progress_add(&p, 0);
  assert_string_equal(terminal_read(&t), ""); /* not yet time again */
  p.next_s -= 10;
  vk_progress_add(&p, 0);
  assert_non_null(strstr(terminal_read(&t), "\reval 1/4 episodes"));
  vk_progress_fini(&p);
  assert_string_equal(terminal_read(&t), "\r\033[K"); /* nothing is left for stdout to meet */
  vk_log_fini(&log);
  terminal_close(&t);
}

static void add_item(void *arg, int i, int i_thread)
{
  vk_progress_add(arg, 2);
  vk_progress_set_note(arg, "item %d", i);
}

static void counts_from_several_threads(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_pool *pool;
  vk_log log;
  vk_progress p;
  FILE *f = tmpfile();
  assert_non_null(f);
  vk_assert_ok(vk_pool_new(&pool, 4, &err), &err);
  vk_log_init(&log, f);
  vk_progress_init(&p, &log, "eval", "episodes", 4, 0);
  vk_pool_run(pool, add_item, &p, 5000);
  assert_int_equal(p.n_done, 10000);
  vk_progress_fini(&p);
  vk_log_fini(&log);
  vk_pool_free(pool);
  fclose(f);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(formats),
      cmocka_unit_test(plain_stream),
      cmocka_unit_test(short_work_is_silent),
      cmocka_unit_test(terminal_stream),
      cmocka_unit_test(counts_from_several_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
