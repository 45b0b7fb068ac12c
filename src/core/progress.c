#include "core/progress.h"

#include <stdarg.h>
#include <string.h>

#include "core/sys.h"

static const double live_interval_s = 0.2, plain_interval_s = 10;

static double interval_s(const vk_progress *p)
{
  return p->log->is_terminal ? live_interval_s : plain_interval_s;
}

void vk_progress_init(vk_progress *p, vk_log *log, const char *label, const char *unit,
                      int64_t n_total, int64_t n_before)
{
  *p = (vk_progress){.log = log,
                     .label = label,
                     .unit = unit,
                     .n_total = n_total,
                     .n_done = n_before,
                     .n_before = n_before,
                     .start_s = vk_sys_monotonic_s()};
  pthread_mutex_init(&p->mutex, NULL);
  if (log)
    p->next_s = p->start_s + interval_s(p);
}

void vk_progress_format_time(double s, char *out, size_t n)
{
  if (s < 99.5)
    snprintf(out, n, "%.0f s", s);
  else if (s < 99.5 * 60)
    snprintf(out, n, "%.0f min", s / 60);
  else
    snprintf(out, n, "%.1f h", s / 3600);
}

void vk_progress_format(const vk_progress *p, double elapsed_s, uint64_t resident_bytes, char *out,
                        size_t n)
{
  char of_total[64] = "", left[64] = "", time[32], rate[48] = "", note[168] = "";
  double per_s = elapsed_s > 0 ? (double)(p->n_done - p->n_before) / elapsed_s : 0;
  if (p->n_total > 0)
    snprintf(of_total, sizeof of_total, "/%lld", (long long)p->n_total);
  if (per_s > 0)
    snprintf(rate, sizeof rate, per_s < 100 ? ", %.3g/s" : ", %.0f/s", per_s);
  if (p->n_total > p->n_done && per_s > 0) {
    vk_progress_format_time((double)(p->n_total - p->n_done) / per_s, time, sizeof time);
    snprintf(left, sizeof left, ", %s left", time);
  } else if (p->n_total == p->n_done || p->n_total == 0) {
    vk_progress_format_time(elapsed_s, time, sizeof time);
    snprintf(left, sizeof left, p->n_total ? ", took %s" : ", %s so far", time);
  }
  char share[32] = "";
  if (p->n_total > 0)
    snprintf(share, sizeof share, " (%.1f %%)", 100.0 * (double)p->n_done / (double)p->n_total);
  if (p->note[0])
    snprintf(note, sizeof note, ", %s", p->note);
  snprintf(out, n, "%s %lld%s %s%s%s%s, %.0f MB%s", p->label, (long long)p->n_done, of_total,
           p->unit, share, rate, left, (double)resident_bytes / 1e6, note);
}

/* With the mutex held. */
static void print(vk_progress *p, double now_s, bool is_last)
{
  char line[384];
  vk_progress_format(p, now_s - p->start_s, vk_sys_resident_bytes(), line, sizeof line);
  p->next_s = now_s + interval_s(p);
  p->has_printed = true;
  if (!p->log->is_terminal)
    vk_log_line(p->log, "%s", line);
  else
    vk_log_set_live(p->log, is_last ? "" : line);
}

void vk_progress_fini(vk_progress *p)
{
  if (p->log) {
    pthread_mutex_lock(&p->mutex);
    if (p->has_printed)
      print(p, vk_sys_monotonic_s(), true);
    pthread_mutex_unlock(&p->mutex);
  }
  pthread_mutex_destroy(&p->mutex);
}

/* With the mutex held. */
static void print_in_time(vk_progress *p)
{
  double now_s = p->log ? vk_sys_monotonic_s() : 0;
  if (p->log && now_s >= p->next_s)
    print(p, now_s, false);
}

void vk_progress_add(vk_progress *p, int64_t n)
{
  pthread_mutex_lock(&p->mutex);
  p->n_done += n;
  print_in_time(p);
  pthread_mutex_unlock(&p->mutex);
}

void vk_progress_set(vk_progress *p, int64_t n_done, int64_t n_total)
{
  pthread_mutex_lock(&p->mutex);
  p->n_done = n_done;
  p->n_total = n_total;
  print_in_time(p);
  pthread_mutex_unlock(&p->mutex);
}

void vk_progress_set_note(vk_progress *p, const char *format, ...)
{
  va_list ap;
  va_start(ap, format);
  pthread_mutex_lock(&p->mutex);
  int n = vsnprintf(p->note, sizeof p->note, format, ap);
  char *comma = n >= (int)sizeof p->note ? strrchr(p->note, ',') : NULL;
  if (comma)
    *comma = '\0';
  pthread_mutex_unlock(&p->mutex);
  va_end(ap);
}
