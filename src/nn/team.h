/* team.h - threads that walk through one job together, with barriers between its steps.
 *
 * core/thread.h hands out independent items; here every thread has its fixed share of every step,
 * so that the same number of threads gives the same bits, and a step costs two atomic operations
 * instead of a queue. Threads that wait spin for some microseconds and then sleep: an idle team
 * takes no processor time.
 *
 * Test: tests/unit/test_team.c */
#ifndef VK_NN_TEAM_H
#define VK_NN_TEAM_H

#include "core/err.h"

typedef struct vk_team vk_team;

/* fn(arg, i_thread): the share of thread i_thread in [0, vk_team_n_thread). */
typedef void vk_team_fn(void *arg, int i_thread);

/* n_thread 0: all processors this process may run on. The caller's thread is thread 0; a team of
 * one has no other. Workers treat denormals as the caller's threads do (vk_team_denormals_off).
 * Errors: VK_E_RANGE (negative or over 4096), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_team_new(vk_team **out, int n_thread, vk_err *err);
/* NULL is allowed. */
void vk_team_free(vk_team *team);
int vk_team_n_thread(const vk_team *team);

/* Runs fn on every thread and returns when all have ended. One job at a time. */
void vk_team_run(vk_team *team, vk_team_fn *fn, void *arg);
/* Inside a job: returns when every thread of the team has called it. */
void vk_team_barrier(vk_team *team);

/* Results and operands too small for a normal float become 0 on this thread until restored: they
 * cost 100 times as much. Returns what vk_team_denormals_restore takes. */
unsigned vk_team_denormals_off(void);
void vk_team_denormals_restore(unsigned state);

#endif
