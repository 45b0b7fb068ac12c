#include "core/log.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define ERASE_LINE "\r\033[K"

void vk_log_init(vk_log *log, FILE *stream)
{
  const char *term = getenv("TERM");
  *log = (vk_log){.stream = stream};
  log->is_terminal = isatty(fileno(stream)) && term && *term && strcmp(term, "dumb") != 0;
  pthread_mutex_init(&log->mutex, NULL);
}

void vk_log_fini(vk_log *log)
{
  vk_log_set_live(log, "");
  pthread_mutex_destroy(&log->mutex);
}

void vk_log_line(vk_log *log, const char *format, ...)
{
  if (!log)
    return;
  char text[1024];
  va_list ap;
  va_start(ap, format);
  vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  pthread_mutex_lock(&log->mutex);
  /* One write, so that lines of other processes do not come between. The next live line is drawn
   * below. */
  fprintf(log->stream, "%svlakit: %s\n", log->has_live ? ERASE_LINE : "", text);
  fflush(log->stream);
  log->has_live = false;
  pthread_mutex_unlock(&log->mutex);
}

static int terminal_width(FILE *stream)
{
  struct winsize size;
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 1)
    return size.ws_col;
  return 80;
}

void vk_log_set_live(vk_log *log, const char *text)
{
  if (!log || !log->is_terminal)
    return;
  pthread_mutex_lock(&log->mutex);
  if (*text)
    fprintf(log->stream, "\r%.*s\033[K", terminal_width(log->stream) - 1, text);
  else if (log->has_live)
    fputs(ERASE_LINE, log->stream);
  fflush(log->stream);
  log->has_live = *text != '\0';
  pthread_mutex_unlock(&log->mutex);
}
