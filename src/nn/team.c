#include "nn/team.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "core/cpu.h"

/* About 20 us: longer than a barrier of busy threads, shorter than a wait for the next step of a
 * program that does something else between. */
enum { SPINS = 4000 };

/* A counter to wait on, alone on its cache line. */
typedef struct gate {
  _Alignas(64) atomic_uint value;
  atomic_int n_asleep;
} gate;

typedef struct worker {
  vk_team *team;
  int i_thread;
  pthread_t thread;
} worker;

struct vk_team {
  int n_thread;
  int n_spin; /* 0 where threads share processors: who spins keeps the others from arriving */
  gate start; /* counts jobs; workers wait for the next */
  gate pass;  /* counts barriers that opened */
  _Alignas(64) atomic_int n_arrived;
  vk_team_fn *fn; /* NULL: end */
  void *arg;
  worker *worker;
};

static void relax(void)
{
#if defined(__SSE2__)
  _mm_pause();
#endif
}

/* Returns when g is no longer at `old`. */
static void gate_wait(gate *g, unsigned old, int n_spin)
{
  for (int i = 0; i < n_spin; i++) {
    if (atomic_load_explicit(&g->value, memory_order_acquire) != old)
      return;
    relax();
  }
  atomic_fetch_add(&g->n_asleep, 1);
  while (atomic_load(&g->value) == old)
    syscall(SYS_futex, &g->value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
  atomic_fetch_sub(&g->n_asleep, 1);
}

static void gate_open(gate *g)
{
  atomic_fetch_add(&g->value, 1);
  if (atomic_load(&g->n_asleep) > 0)
    syscall(SYS_futex, &g->value, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

void vk_team_barrier(vk_team *team)
{
  if (team->n_thread == 1)
    return;
  unsigned now = atomic_load(&team->pass.value);
  if (atomic_fetch_add(&team->n_arrived, 1) + 1 == team->n_thread) {
    atomic_store(&team->n_arrived, 0);
    gate_open(&team->pass);
  } else {
    gate_wait(&team->pass, now, team->n_spin);
  }
}

static void *work(void *arg)
{
  worker *w = arg;
  vk_team *team = w->team;
  vk_team_denormals_off();
  for (unsigned job = 0;; job++) {
    gate_wait(&team->start, job, team->n_spin);
    if (!team->fn)
      return NULL;
    team->fn(team->arg, w->i_thread);
    vk_team_barrier(team);
  }
}

vk_status vk_team_new(vk_team **out, int n_thread, vk_err *err)
{
  *out = NULL;
  if (n_thread < 0 || n_thread > 4096)
    return vk_fail(err, VK_E_RANGE, "%d threads: expected 0 to 4096", n_thread);
  if (n_thread == 0)
    n_thread = vk_cpu_count();
  vk_team *team = aligned_alloc(64, (sizeof *team + 63) / 64 * 64);
  worker *w = calloc((size_t)n_thread, sizeof *w);
  if (!team || !w) {
    free(team);
    free(w);
    return vk_fail(err, VK_E_NOMEM, "no memory for a team of %d threads", n_thread);
  }
  *team = (vk_team){.n_thread = 1, .n_spin = n_thread <= vk_cpu_count() ? SPINS : 0, .worker = w};
  /* signals are the caller's */
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  bool is_ok = true;
  for (int i = 1; i < n_thread && is_ok; i++) {
    w[i] = (worker){.team = team, .i_thread = i};
    is_ok = pthread_create(&w[i].thread, NULL, work, &w[i]) == 0;
    team->n_thread += is_ok;
  }
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (!is_ok) {
    int n = team->n_thread;
    vk_team_free(team);
    return vk_fail(err, VK_E_NOMEM, "only %d of %d threads could be started", n, n_thread);
  }
  *out = team;
  return VK_OK;
}

void vk_team_free(vk_team *team)
{
  if (!team)
    return;
  team->fn = NULL;
  gate_open(&team->start);
  for (int i = 1; i < team->n_thread; i++)
    pthread_join(team->worker[i].thread, NULL);
  free(team->worker);
  free(team);
}

int vk_team_n_thread(const vk_team *team)
{
  return team->n_thread;
}

void vk_team_run(vk_team *team, vk_team_fn *fn, void *arg)
{
  unsigned state = vk_team_denormals_off();
  if (team->n_thread > 1) {
    team->fn = fn;
    team->arg = arg;
    gate_open(&team->start);
  }
  fn(arg, 0);
  vk_team_barrier(team);
  vk_team_denormals_restore(state);
}

unsigned vk_team_denormals_off(void)
{
#if defined(__SSE2__)
  unsigned old = _mm_getcsr();
  _mm_setcsr(old | 0x8040); /* flush to zero, denormals are zero */
  return old;
#else
  return 0;
#endif
}

void vk_team_denormals_restore(unsigned state)
{
#if defined(__SSE2__)
  _mm_setcsr(state);
#endif
}
