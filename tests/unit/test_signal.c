/* test_signal.c - one request sets the flag, a second one ends the process. Each case runs in a
 * child, as it changes what signals do. */
#include "test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/signal.h"

static void sleep_ms(int ms)
{
  struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
  while (nanosleep(&t, &t) != 0) {
  }
}

/* The child's wait status. */
static int in_child(int (*body)(void))
{
  fflush(NULL);
  pid_t pid = fork();
  if (pid == 0) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    _exit(body());
  }
  int status = 0;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return status;
}

static int first_request(void)
{
  vk_signal_init();
  if (vk_interrupted() != 0 || vk_signal_check(NULL) != VK_OK)
    return 1;
  raise(SIGTERM);
  return vk_interrupted() == SIGTERM && vk_signal_check(NULL) == VK_E_INTERRUPTED ? 0 : 2;
}

static int twin_requests(void)
{
  vk_signal_init();
  raise(SIGINT);
  raise(SIGTERM);
  raise(SIGINT);
  return vk_interrupted() == SIGINT ? 0 : 2; /* the first one counts */
}

static int second_int(void)
{
  vk_signal_init();
  raise(SIGINT);
  sleep_ms(150);
  raise(SIGINT);
  return 0;
}

static int term_after_int(void)
{
  vk_signal_init();
  raise(SIGINT);
  sleep_ms(150);
  raise(SIGTERM);
  return 0;
}

static int ignored_by_the_parent(void)
{
  signal(SIGINT, SIG_IGN); /* as shells do for commands in the background */
  vk_signal_init();
  raise(SIGINT);
  return vk_interrupted() == SIGINT ? 0 : 1;
}

static int over_the_size_limit(void)
{
  vk_signal_init();
  FILE *f = tmpfile();
  struct rlimit limit = {.rlim_cur = 100, .rlim_max = 100};
  if (!f || setrlimit(RLIMIT_FSIZE, &limit) != 0)
    return 1;
  for (int i = 0; i < 1000; i++)
    putc('x', f);
  return fflush(f) != 0 ? 0 : 2;
}

static int reads_go_on(void)
{
  vk_signal_init();
  int ends[2];
  if (pipe(ends) != 0)
    return 1;
  pid_t parent = getpid();
  if (fork() == 0) {
    sleep_ms(30);
    kill(parent, SIGINT);
    sleep_ms(30);
    _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
  }
  char c;
  return read(ends[0], &c, 1) == 1 && vk_interrupted() == SIGINT ? 0 : 2;
}

static void assert_exits_0(int status)
{
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_killed_by(int status, int number)
{
  assert_true(WIFSIGNALED(status));
  assert_int_equal(WTERMSIG(status), number);
}

static void requests(void **state)
{
  assert_exits_0(in_child(first_request));
  int twins = in_child(twin_requests);
  for (int i = 0; i < 5 && twins != 0; i++) /* a busy machine may part them */
    twins = in_child(twin_requests);
  assert_exits_0(twins);
  assert_exits_0(in_child(ignored_by_the_parent));
  assert_killed_by(in_child(second_int), SIGINT);
  assert_killed_by(in_child(term_after_int), SIGTERM);
}

static void the_rest_of_the_program(void **state)
{
  assert_exits_0(in_child(over_the_size_limit));
  assert_exits_0(in_child(reads_go_on));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(requests),
      cmocka_unit_test(the_rest_of_the_program),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
