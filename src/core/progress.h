/* progress.h - how far a long job is: a live line on a terminal, a plain line every 10 s elsewhere,
 * nothing when quiet. Always on stderr, through the log. Test: tests/unit/test_progress.c */
#ifndef VK_CORE_PROGRESS_H
#define VK_CORE_PROGRESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/log.h"

typedef struct vk_progress {
  vk_log *log;       /* NULL: quiet */
  const char *label; /* "eval" */
  const char *unit;  /* "episodes" */
  /* private */
  pthread_mutex_t mutex; /* guards what follows */
  int64_t n_total;       /* 0: unknown */
  int64_t n_done, n_before;
  double start_s, next_s;
  bool has_printed;
  char note[160];
} vk_progress;

/* n_before: items that an earlier run did; they count as done, but not for the rate. label and unit
 * are borrowed. */
void vk_progress_init(vk_progress *p, vk_log *log, const char *label, const char *unit,
                      int64_t n_total, int64_t n_before);
/* Removes the live line; a plain stream that got lines before gets a last one. */
void vk_progress_fini(vk_progress *p);

/* n more items are done. Any thread; prints when it is time. With n = 0 it only keeps the line
 * fresh: call it inside long items. */
void vk_progress_add(vk_progress *p, int64_t n);

/* The same by what is done and wanted in all, for items that are counted elsewhere. */
void vk_progress_set(vk_progress *p, int64_t n_done, int64_t n_total);

/* A few words at the line's end ("success 97.1 %"), shown from the next print on. Any thread.
 * Of one that is too long the last parts are left out, each after ", ". */
void vk_progress_set_note(vk_progress *p, const char *format, ...) VK_PRINTF(2, 3);

/* A length of time for people: "66 s", "12 min", "3.4 h"; cut to n bytes with the NUL. */
void vk_progress_format_time(double s, char *out, size_t n);

/* The line itself, of a moment elapsed_s after the start with resident_bytes of memory in use:
 * "eval 123/6500 episodes (1.9 %), 5.2/s, 20 min left, 412 MB, NOTE"; cut to n bytes with the
 * NUL. */
void vk_progress_format(const vk_progress *p, double elapsed_s, uint64_t resident_bytes, char *out,
                        size_t n);

#endif
