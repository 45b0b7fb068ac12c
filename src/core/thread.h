/* thread.h - one pool of worker threads; jobs are ranges of independent items.
 *
 * A job is started with vk_pool_start and ends in vk_pool_wait; several jobs may be under way at
 * once (different halves of a batch). The waiting thread helps. Items are handed out one by one, so
 * nothing may depend on which thread runs an item. Test: tests/unit/test_thread.c */
#ifndef VK_CORE_THREAD_H
#define VK_CORE_THREAD_H

#include "core/err.h"

typedef struct vk_pool vk_pool;

/* fn(arg, i, i_thread): item i in [0, n); i_thread in [0, vk_pool_n_thread): the runner's number. */
typedef void vk_job_fn(void *arg, int i, int i_thread);

/* Caller-owned, alive until vk_pool_wait returns. */
typedef struct vk_job {
  vk_job_fn *fn;
  void *arg;
  int n;
  /* private */
  int next, n_running;
  bool is_queued;
  struct vk_job *link;
} vk_job;

/* n_thread 0: all processors this process may run on. A pool of one thread runs jobs in wait. */
VK_NODISCARD vk_status vk_pool_new(vk_pool **out, int n_thread, vk_err *err);
void vk_pool_free(vk_pool *pool);
int vk_pool_n_thread(const vk_pool *pool);

void vk_pool_start(vk_pool *pool, vk_job *job, vk_job_fn *fn, void *arg, int n);
void vk_pool_wait(vk_pool *pool, vk_job *job);
/* start and wait */
void vk_pool_run(vk_pool *pool, vk_job_fn *fn, void *arg, int n);

/* Processors this process may run on (affinity mask), at least 1. */
int vk_cpu_count(void);

#endif
