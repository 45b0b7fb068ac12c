/* thread.h - one pool of worker threads; jobs are ranges of independent items.
 *
 * A job is started with vk_pool_start and ends in vk_pool_wait; several jobs may be under way at
 * once (different halves of a batch). The waiting thread helps with the job it waits for. Items are
 * handed out one by one, so nothing may depend on which thread runs an item. Items may start and
 * wait for jobs of their own. Test: tests/unit/test_thread.c */
#ifndef VK_CORE_THREAD_H
#define VK_CORE_THREAD_H

#include "core/err.h"

typedef struct vk_pool vk_pool;

/* fn(arg, i, i_thread): item i in [0, n); i_thread in [0, vk_pool_n_thread): the runner's number.
 */
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

/* n_thread 0: all processors this process may run on. A pool of one thread has no worker and runs
 * jobs in wait. Workers block SIGINT, SIGTERM and SIGHUP, which the caller's thread then gets.
 * Errors: VK_E_RANGE (negative or over 4096), VK_E_NOMEM (no memory, or no thread to be had). */
VK_NODISCARD vk_status vk_pool_new(vk_pool **out, int n_thread, vk_err *err);

/* Every job must have been waited for. NULL is allowed. */
void vk_pool_free(vk_pool *pool);

/* Workers and the waiting thread together, at least 1. */
int vk_pool_n_thread(const vk_pool *pool);

/* Queues items [0, n) of fn and returns at once; n <= 0 is a job that has already ended. */
void vk_pool_start(vk_pool *pool, vk_job *job, vk_job_fn *fn, void *arg, int n);

/* Returns when every item of the job has run; what they wrote is visible to the caller. May be
 * called from several threads: numbers stay unique among running items, so of two threads outside
 * the pool one helps and the other only waits. */
void vk_pool_wait(vk_pool *pool, vk_job *job);

/* start and wait */
void vk_pool_run(vk_pool *pool, vk_job_fn *fn, void *arg, int n);

#endif
