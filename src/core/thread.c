#include "core/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"

enum { N_THREAD_MAX = 4096 };

struct vk_pool {
  pthread_mutex_t mutex;   /* guards everything below and the private part of jobs */
  pthread_cond_t has_work; /* a job was queued, or the pool stops */
  pthread_cond_t has_done; /* a job ended */
  vk_job *first, *last;    /* jobs with items not yet handed out */
  bool is_stopping;
  int n_thread;
  /* Number 0 goes to the thread outside the pool that helps in wait; a second one only waits. */
  bool has_helper;
  pthread_t helper;
  int n_worker;
  pthread_t worker[]; /* n_thread - 1; worker[i] has number i + 1 */
};

typedef struct worker_arg {
  vk_pool *pool;
  int i_thread;
} worker_arg;

static void queue_push(vk_pool *pool, vk_job *job)
{
  job->link = NULL;
  job->is_queued = true;
  if (pool->last)
    pool->last->link = job;
  else
    pool->first = job;
  pool->last = job;
}

static void queue_remove(vk_pool *pool, vk_job *job)
{
  vk_job *before = NULL;
  for (vk_job *at = pool->first; at != job; at = at->link)
    before = at;
  if (before)
    before->link = job->link;
  else
    pool->first = job->link;
  if (pool->last == job)
    pool->last = before;
  job->is_queued = false;
}

/* Runs the job's next item; the mutex is held before and after, but not while it runs. The job may
 * be gone when this returns: its waiter goes on as soon as the last item is counted. */
static void run_item(vk_pool *pool, vk_job *job, int i_thread)
{
  int i = job->next++;
  if (job->next == job->n)
    queue_remove(pool, job);
  job->n_running++;
  pthread_mutex_unlock(&pool->mutex);
  job->fn(job->arg, i, i_thread);
  pthread_mutex_lock(&pool->mutex);
  job->n_running--;
  if (job->n_running == 0 && !job->is_queued)
    pthread_cond_broadcast(&pool->has_done);
}

static void *worker_main(void *arg)
{
  vk_pool *pool = ((worker_arg *)arg)->pool;
  int i_thread = ((worker_arg *)arg)->i_thread;
  free(arg);
  pthread_mutex_lock(&pool->mutex);
  while (!pool->is_stopping) {
    if (pool->first)
      run_item(pool, pool->first, i_thread);
    else
      pthread_cond_wait(&pool->has_work, &pool->mutex);
  }
  pthread_mutex_unlock(&pool->mutex);
  return NULL;
}

static int start_worker(vk_pool *pool)
{
  worker_arg *arg = malloc(sizeof *arg);
  if (!arg)
    return ENOMEM;
  *arg = (worker_arg){.pool = pool, .i_thread = pool->n_worker + 1};
  int error = pthread_create(&pool->worker[pool->n_worker], NULL, worker_main, arg);
  if (error)
    free(arg);
  else
    pool->n_worker++;
  return error;
}

vk_status vk_pool_new(vk_pool **out, int n_thread, vk_err *err)
{
  *out = NULL;
  if (n_thread == 0)
    n_thread = vk_cpu_count();
  if (n_thread < 0 || n_thread > N_THREAD_MAX)
    return vk_fail(err, VK_E_RANGE, "thread pool: %d threads asked for, 0 to %d possible", n_thread,
                   N_THREAD_MAX);
  size_t n_worker = (size_t)n_thread - 1;
  vk_pool *pool = calloc(1, sizeof *pool + n_worker * sizeof pool->worker[0]);
  if (!pool)
    return vk_fail(err, VK_E_NOMEM, "thread pool: no memory for %d threads", n_thread);
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_cond_init(&pool->has_work, NULL);
  pthread_cond_init(&pool->has_done, NULL);
  pool->n_thread = n_thread;

  /* Requests to end are for the thread that called us. Workers inherit the mask; the lock keeps
   * them from looking at pool->worker before it is filled. */
  sigset_t ending, old;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &ending, &old);
  pthread_mutex_lock(&pool->mutex);
  int error = 0;
  for (int i = 1; i < n_thread && !error; i++)
    error = start_worker(pool);
  pthread_mutex_unlock(&pool->mutex);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (error) {
    vk_fail(err, VK_E_NOMEM, "thread pool: cannot start thread %d of %d: %s; ask for fewer threads",
            pool->n_worker + 2, n_thread, strerror(error));
    vk_pool_free(pool);
    return VK_E_NOMEM;
  }
  *out = pool;
  return VK_OK;
}

void vk_pool_free(vk_pool *pool)
{
  if (!pool)
    return;
  pthread_mutex_lock(&pool->mutex);
  VK_ASSERT(!pool->first); /* a job that nobody waited for */
  pool->is_stopping = true;
  pthread_cond_broadcast(&pool->has_work);
  pthread_mutex_unlock(&pool->mutex);
  for (int i = 0; i < pool->n_worker; i++)
    pthread_join(pool->worker[i], NULL);
  pthread_cond_destroy(&pool->has_done);
  pthread_cond_destroy(&pool->has_work);
  pthread_mutex_destroy(&pool->mutex);
  free(pool);
}

int vk_pool_n_thread(const vk_pool *pool)
{
  return pool->n_thread;
}

void vk_pool_start(vk_pool *pool, vk_job *job, vk_job_fn *fn, void *arg, int n)
{
  *job = (vk_job){.fn = fn, .arg = arg, .n = n};
  if (n <= 0)
    return;
  pthread_mutex_lock(&pool->mutex);
  queue_push(pool, job);
  if (n == 1)
    pthread_cond_signal(&pool->has_work);
  else
    pthread_cond_broadcast(&pool->has_work);
  pthread_mutex_unlock(&pool->mutex);
}

/* The caller's number in this pool, -1 when it has none yet. */
static int own_number(const vk_pool *pool)
{
  pthread_t self = pthread_self();
  if (pool->has_helper && pthread_equal(pool->helper, self))
    return 0;
  for (int i = 0; i < pool->n_worker; i++)
    if (pthread_equal(pool->worker[i], self))
      return i + 1;
  return -1;
}

void vk_pool_wait(vk_pool *pool, vk_job *job)
{
  pthread_mutex_lock(&pool->mutex);
  int i_thread = own_number(pool);
  bool is_helper = false;
  while (job->is_queued || job->n_running > 0) {
    if (i_thread < 0 && !pool->has_helper) {
      is_helper = pool->has_helper = true;
      pool->helper = pthread_self();
      i_thread = 0;
    }
    if (job->is_queued && i_thread >= 0)
      run_item(pool, job, i_thread);
    else
      pthread_cond_wait(&pool->has_done, &pool->mutex);
  }
  if (is_helper) {
    pool->has_helper = false;
    pthread_cond_broadcast(&pool->has_done); /* another waiter may take number 0 */
  }
  pthread_mutex_unlock(&pool->mutex);
}

void vk_pool_run(vk_pool *pool, vk_job_fn *fn, void *arg, int n)
{
  vk_job job;
  vk_pool_start(pool, &job, fn, arg, n);
  vk_pool_wait(pool, &job);
}
