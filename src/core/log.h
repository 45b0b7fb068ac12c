/* log.h - what a command says on stderr while it works. Library code does not log: it returns
 * errors. Test: tests/unit/test_log.c */
#ifndef VK_CORE_LOG_H
#define VK_CORE_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/err.h"

/* One stream. Lines from several threads never mix, and a live line (core/progress.h) stays last.
 */
typedef struct vk_log {
  FILE *stream;
  bool is_terminal;      /* the stream can redraw a line */
  bool has_live;         /* private: a live line stands on the terminal */
  pthread_mutex_t mutex; /* private */
} vk_log;

/* The stream stays the caller's. It is a terminal when isatty says so and TERM is not "dumb". */
void vk_log_init(vk_log *log, FILE *stream);
/* Ends a live line. The stream stays open. */
void vk_log_fini(vk_log *log);

/* "vlakit: TEXT" and a newline. log may be NULL. */
void vk_log_line(vk_log *log, const char *format, ...) VK_PRINTF(2, 3);

/* Shows text as the live line, cut to the terminal's width; "" removes it. Before results are
 * printed to stdout, which may be the same terminal, the live line must be gone. */
void vk_log_set_live(vk_log *log, const char *text);

#endif
