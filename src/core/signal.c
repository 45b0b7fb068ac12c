#include "core/signal.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

#include "core/sys.h"

/* A signal handler can reach nothing else: the only state of the process kept outside handles. */
static atomic_int caught;
static _Atomic int64_t caught_ns;

static void on_signal(int number)
{
  int64_t now_ns = vk_sys_monotonic_ns(); /* clock_gettime is async-signal-safe */
  int none = 0;
  if (atomic_compare_exchange_strong(&caught, &none, number)) {
    atomic_store(&caught_ns, now_ns);
    return;
  }
  if (now_ns - atomic_load(&caught_ns) < 100000000)
    return;
  signal(number, SIG_DFL);
  raise(number); /* delivered when this handler returns */
}

void vk_signal_init(void)
{
  /* SA_RESTART: printf and friends lose bytes when a signal breaks their writes off. */
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGINT);
  sigaddset(&action.sa_mask, SIGTERM);
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  signal(SIGXFSZ, SIG_IGN);
}

int vk_interrupted(void)
{
  return atomic_load_explicit(&caught, memory_order_relaxed);
}

vk_status vk_signal_check(vk_err *err)
{
  return vk_interrupted() ? vk_fail(err, VK_E_INTERRUPTED, "interrupted") : VK_OK;
}
