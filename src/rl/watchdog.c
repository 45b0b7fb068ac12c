#include "rl/watchdog.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/sys.h"

typedef struct place {
  _Atomic double beat_s; /* of the last sign of life */
  double told_s;         /* the one after which it was told; with the mutex held, as what follows */
  bool is_busy;
  char name[VK_WATCHDOG_NAME];
} place;

struct vk_watchdog {
  int n_slot;
  place *place;
  double quiet_s;
  vk_watchdog_say *say;
  void *arg;
  pthread_t thread;
  bool is_ending;
  pthread_mutex_t mutex;
  pthread_cond_t ending;
};

/* With the mutex held: nobody waits for it longer than `say` takes. */
static void look(vk_watchdog *w)
{
  double now_s = vk_sys_monotonic_s();
  for (int i = 0; i < w->n_slot; i++) {
    place *p = &w->place[i];
    double beat_s = atomic_load(&p->beat_s), quiet_s = now_s - beat_s;
    if (p->is_busy && quiet_s >= w->quiet_s && beat_s != p->told_s) {
      char text[VK_WATCHDOG_NAME + 64];
      snprintf(text, sizeof text, "%s has made no step for %.0f s", p->name, quiet_s);
      p->told_s = beat_s;
      w->say(w->arg, text);
    }
  }
}

static void *watch(void *arg)
{
  vk_watchdog *w = arg;
  double every_s = w->quiet_s / 4 < 1 ? w->quiet_s / 4 : 1;
  pthread_mutex_lock(&w->mutex);
  while (!w->is_ending) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    double at_s = (double)until.tv_nsec * 1e-9 + every_s;
    until.tv_sec += (time_t)at_s;
    until.tv_nsec = (long)((at_s - (double)(time_t)at_s) * 1e9);
    pthread_cond_timedwait(&w->ending, &w->mutex, &until);
    if (!w->is_ending)
      look(w);
  }
  pthread_mutex_unlock(&w->mutex);
  return NULL;
}

vk_status vk_watchdog_new(vk_watchdog **out, int n_slot, double quiet_s, vk_watchdog_say *say,
                          void *arg, vk_err *err)
{
  VK_ASSERT(n_slot > 0 && quiet_s > 0);
  *out = NULL;
  vk_watchdog *w = calloc(1, sizeof *w);
  if (w)
    w->place = calloc((size_t)n_slot, sizeof *w->place);
  if (!w || !w->place) {
    free(w);
    return vk_fail(err, VK_E_NOMEM, "no memory to watch %d jobs", n_slot);
  }
  w->n_slot = n_slot;
  w->quiet_s = quiet_s;
  w->say = say;
  w->arg = arg;
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_cond_init(&w->ending, &attr);
  pthread_condattr_destroy(&attr);
  pthread_mutex_init(&w->mutex, NULL);
  sigset_t all, was; /* signals are for the caller's threads */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &was);
  int failed = pthread_create(&w->thread, NULL, watch, w);
  pthread_sigmask(SIG_SETMASK, &was, NULL);
  if (!failed) {
    *out = w;
    return VK_OK;
  }
  pthread_cond_destroy(&w->ending);
  pthread_mutex_destroy(&w->mutex);
  free(w->place);
  free(w);
  return vk_fail(err, VK_E_NOMEM, "no thread to watch %d jobs", n_slot);
}

void vk_watchdog_free(vk_watchdog *w)
{
  if (!w)
    return;
  pthread_mutex_lock(&w->mutex);
  w->is_ending = true;
  pthread_cond_signal(&w->ending);
  pthread_mutex_unlock(&w->mutex);
  pthread_join(w->thread, NULL);
  pthread_cond_destroy(&w->ending);
  pthread_mutex_destroy(&w->mutex);
  free(w->place);
  free(w);
}

void vk_watchdog_begin(vk_watchdog *w, int i_slot, const char *name)
{
  if (!w)
    return;
  place *p = &w->place[i_slot];
  pthread_mutex_lock(&w->mutex);
  snprintf(p->name, sizeof p->name, "%s", name);
  atomic_store(&p->beat_s, vk_sys_monotonic_s());
  p->is_busy = true;
  pthread_mutex_unlock(&w->mutex);
}

void vk_watchdog_beat(vk_watchdog *w, int i_slot)
{
  if (w)
    atomic_store_explicit(&w->place[i_slot].beat_s, vk_sys_monotonic_s(), memory_order_relaxed);
}

void vk_watchdog_end(vk_watchdog *w, int i_slot)
{
  if (!w)
    return;
  pthread_mutex_lock(&w->mutex);
  w->place[i_slot].is_busy = false;
  pthread_mutex_unlock(&w->mutex);
}
