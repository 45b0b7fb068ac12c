/* aborts.h - whether code ends the program, as VK_ASSERT does where only wrong code leads. */
#ifndef VK_TESTS_ABORTS_H
#define VK_TESTS_ABORTS_H

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs f(arg) in a process of its own: true if it aborts, false if it returns. */
static inline bool aborts(void (*f)(void *arg), void *arg)
{
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    signal(SIGABRT, SIG_DFL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (!freopen("/dev/null", "w", stderr))
      _exit(3);
    f(arg);
    _exit(0);
  }
  int status = 0;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  if (WIFSIGNALED(status))
    assert_int_equal(WTERMSIG(status), SIGABRT);
  else
    assert_int_equal(WEXITSTATUS(status), 0);
  return WIFSIGNALED(status);
}

#endif
