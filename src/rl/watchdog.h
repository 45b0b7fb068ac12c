/* watchdog.h - says which of many jobs has stopped: a thread that looks now and then whether each
 * has shown a sign of life. It cannot end a job; it names it. Test: tests/unit/test_rollout.c,
 * tests/unit/test_train_rl.c */
#ifndef VK_RL_WATCHDOG_H
#define VK_RL_WATCHDOG_H

#include "core/err.h"

enum { VK_WATCHDOG_NAME = 160 };

typedef struct vk_watchdog vk_watchdog;

/* text: "NAME has made no step for 63 s". Called from the watchdog's thread, once for each time
 * that a job stops. */
typedef void vk_watchdog_say(void *arg, const char *text);

/* n_slot places for jobs; quiet_s: how long one may be without a sign of life, above 0.
 * Errors: VK_E_NOMEM (no memory, or no thread to be had). */
VK_NODISCARD vk_status vk_watchdog_new(vk_watchdog **out, int n_slot, double quiet_s,
                                       vk_watchdog_say *say, void *arg, vk_err *err);
/* NULL is allowed, here and as w below. */
void vk_watchdog_free(vk_watchdog *w);

/* A job begins in a place, shows a sign of life, ends. Calls for one place come one after another.
 */
void vk_watchdog_begin(vk_watchdog *w, int i_slot, const char *name);
void vk_watchdog_beat(vk_watchdog *w, int i_slot);
void vk_watchdog_end(vk_watchdog *w, int i_slot);

#endif
