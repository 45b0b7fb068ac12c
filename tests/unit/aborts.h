/* aborts.h - whether code ends the program, as VK_ASSERT does where only wrong code leads. */
#ifndef VK_TESTS_ABORTS_H
#define VK_TESTS_ABORTS_H

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs f(arg) in a process of its own: true if it aborts, false if it returns. text [n]: what it
 * wrote to stderr; NULL: that is lost. */
static inline bool aborts_saying(void (*f)(void *arg), void *arg, char *text, size_t n)
{
  FILE *said = tmpfile();
  assert_non_null(said);
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    signal(SIGABRT, SIG_DFL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (dup2(fileno(said), STDERR_FILENO) < 0)
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
  if (text) {
    rewind(said);
    text[fread(text, 1, n - 1, said)] = 0;
  }
  fclose(said);
  return WIFSIGNALED(status);
}

static inline bool aborts(void (*f)(void *arg), void *arg)
{
  return aborts_saying(f, arg, NULL, 0);
}

#endif
