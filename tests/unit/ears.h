/* ears.h - for tests: logs that are listened to, and a progress line that takes its time. */
#ifndef VK_TESTS_EARS_H
#define VK_TESTS_EARS_H

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "core/log.h"
#include "core/progress.h"

/* What was said, one line after another. */
typedef struct ears {
  pthread_mutex_t mutex;
  FILE *stream;
  vk_log log;
  size_t n;
  char said[16384];
} ears;

static inline ssize_t ears_hear(void *arg, const char *text, size_t n)
{
  ears *e = arg;
  pthread_mutex_lock(&e->mutex);
  for (size_t i = 0; i < n && e->n < sizeof e->said - 1; i++)
    e->said[e->n++] = text[i];
  pthread_mutex_unlock(&e->mutex);
  return (ssize_t)n;
}

static inline void ears_open(ears *e)
{
  memset(e, 0, sizeof *e);
  pthread_mutex_init(&e->mutex, NULL);
  e->stream = fopencookie(e, "w", (cookie_io_functions_t){.write = ears_hear});
  assert_non_null(e->stream);
  setvbuf(e->stream, NULL, _IOLBF, 4096);
  vk_log_init(&e->log, e->stream);
}

static inline void ears_close(ears *e)
{
  vk_log_fini(&e->log);
  fclose(e->stream);
  pthread_mutex_destroy(&e->mutex);
}

/* How often a word was said. */
static inline int ears_count(ears *e, const char *word)
{
  int n = 0;
  pthread_mutex_lock(&e->mutex);
  for (const char *p = e->said; (p = strstr(p, word)); p++)
    n++;
  pthread_mutex_unlock(&e->mutex);
  return n;
}

/* Whoever keeps this progress line fresh sleeps over its first lines. */
typedef struct sleeper {
  vk_progress progress;
  FILE *stream;
  vk_log log;
  int n_left;
  unsigned sleep_us;
} sleeper;

static inline ssize_t sleeper_write(void *arg, const char *text, size_t n)
{
  sleeper *s = arg;
  if (s->n_left > 0) {
    s->n_left--;
    usleep(s->sleep_us);
    s->progress.next_s = 0; /* with its mutex held: the next line comes at once */
  }
  return (ssize_t)n;
}

static inline void sleeper_open(sleeper *s, int n_sleep, unsigned sleep_us)
{
  memset(s, 0, sizeof *s);
  s->n_left = n_sleep;
  s->sleep_us = sleep_us;
  s->stream = fopencookie(s, "w", (cookie_io_functions_t){.write = sleeper_write});
  assert_non_null(s->stream);
  setvbuf(s->stream, NULL, _IOLBF, 4096);
  vk_log_init(&s->log, s->stream);
  vk_progress_init(&s->progress, &s->log, "test", "steps", 1, 0);
  s->progress.next_s = 0;
}

static inline void sleeper_close(sleeper *s)
{
  vk_progress_fini(&s->progress);
  vk_log_fini(&s->log);
  fclose(s->stream);
}

#endif
