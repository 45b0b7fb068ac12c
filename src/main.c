/* main.c - argv to command to exit code. The only exit of the program. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "core/signal.h"

/* A file opened later must not become standard input, output or error: where one of these was
 * closed, /dev/null takes its place, opened so that writing results to it fails and is reported. */
static void fill_standard_files(void)
{
  static const int mode[] = {O_RDONLY, O_RDONLY, O_WRONLY};
  for (int fd = 0; fd < 3; fd++)
    while (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      if (open("/dev/null", mode[fd]) < 0)
        return;
}

/* Whether nobody reads standard output any more, as after `vlakit tasks | head -1`. */
static bool is_reader_gone(void)
{
  struct pollfd out = {.fd = STDOUT_FILENO};
  return poll(&out, 1, 0) == 1 && (out.revents & (POLLERR | POLLHUP));
}

int main(int argc, char **argv)
{
  vk_err err = VK_ERR_INIT;
  fill_standard_files();
  vk_signal_init();
  signal(SIGPIPE, SIG_IGN); /* a reader that goes away ends no run */
  vk_status st = vk_cmd_dispatch(argc, (const char *const *)argv, &err);
  errno = 0;
  bool is_lost = ferror(stdout), is_unread = is_reader_gone();
  if (fclose(stdout) != 0 || is_lost) {
    const char *why = errno ? strerror(errno) : "write error";
    if (st == VK_OK && (is_unread || errno == EPIPE))
      return 128 + SIGPIPE; /* what a shell says of programs that SIGPIPE ended */
    if (st == VK_OK)
      st = vk_fail(&err, VK_E_IO, "results could not be written to standard output: %s", why);
  }
  if (st != VK_OK)
    fprintf(stderr, "vlakit: %s\n", err.text);
  if (st == VK_E_INTERRUPTED)
    return 128 + (vk_interrupted() ? vk_interrupted() : SIGINT);
  return vk_status_exit_code(st);
}
