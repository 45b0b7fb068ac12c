/* terminal.h - a stream on a terminal, and what it would have shown. For test_log and
 * test_progress. */
#ifndef VK_TEST_TERMINAL_H
#define VK_TEST_TERMINAL_H

#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

typedef struct terminal {
  int master;
  FILE *stream;
} terminal;

static inline terminal terminal_open(int n_column)
{
  terminal t;
  t.master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (t.master < 0) {
    print_message("no pseudo-terminals: is devpts mounted on /dev/pts?\n");
    skip();
  }
  assert_int_equal(grantpt(t.master), 0);
  assert_int_equal(unlockpt(t.master), 0);
  int slave = open(ptsname(t.master), O_RDWR | O_NOCTTY);
  assert_true(slave >= 0);
  struct termios mode;
  assert_int_equal(tcgetattr(slave, &mode), 0);
  mode.c_oflag &= ~(tcflag_t)OPOST; /* no \r before \n */
  assert_int_equal(tcsetattr(slave, TCSANOW, &mode), 0);
  struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)n_column};
  assert_int_equal(ioctl(slave, TIOCSWINSZ, &size), 0);
  t.stream = fdopen(slave, "w");
  assert_non_null(t.stream);
  return t;
}

/* The bytes since the last call. */
static inline const char *terminal_read(const terminal *t)
{
  static char buf[8192];
  ssize_t n = read(t->master, buf, sizeof buf - 1);
  buf[n > 0 ? n : 0] = '\0';
  return buf;
}

static inline void terminal_close(terminal *t)
{
  fclose(t->stream);
  close(t->master);
}

#endif
