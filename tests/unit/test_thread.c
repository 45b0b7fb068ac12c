/* test_thread.c - every item runs once, several jobs at once, numbers are unique, one thread is
 * enough. Also built with -Db_sanitize=thread. */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "core/thread.h"

enum { N_ITEM = 1000, N_THREAD = 5 };

typedef struct job_arg {
  vk_pool *pool;
  int n_run[N_ITEM];  /* not atomic: an item that ran twice at once is a race */
  int n_by[N_THREAD]; /* not atomic: two items with one number at once are a race */
  atomic_int is_in_use[N_THREAD];
  atomic_int n_clash;
} job_arg;

static void count_item(void *arg, int i, int i_thread)
{
  job_arg *a = arg;
  if (atomic_exchange(&a->is_in_use[i_thread], 1))
    atomic_fetch_add(&a->n_clash, 1);
  a->n_run[i]++;
  a->n_by[i_thread]++;
  atomic_store(&a->is_in_use[i_thread], 0);
}

static void check(const job_arg *a, int n, int n_times)
{
  int n_total = 0;
  for (int i = 0; i < N_ITEM; i++)
    assert_int_equal(a->n_run[i], i < n ? n_times : 0);
  for (int i = 0; i < N_THREAD; i++)
    n_total += a->n_by[i];
  assert_int_equal(n_total, n * n_times);
  assert_int_equal(a->n_clash, 0);
}

static job_arg *new_arg(vk_pool *pool)
{
  job_arg *a = calloc(1, sizeof *a);
  assert_non_null(a);
  a->pool = pool;
  return a;
}

static vk_pool *new_pool(int n_thread)
{
  vk_err err = VK_ERR_INIT;
  vk_pool *pool;
  vk_assert_ok(vk_pool_new(&pool, n_thread, &err), &err);
  return pool;
}

static void every_item_once(void **state)
{
  for (int n_thread = 1; n_thread <= N_THREAD; n_thread++) {
    vk_pool *pool = new_pool(n_thread);
    assert_int_equal(vk_pool_n_thread(pool), n_thread);
    static const int n_item[] = {-1, 0, 1, 2, 7, N_ITEM};
    for (size_t k = 0; k < VK_COUNT(n_item); k++) {
      job_arg *a = new_arg(pool);
      vk_pool_run(pool, count_item, a, n_item[k]);
      check(a, n_item[k] < 0 ? 0 : n_item[k], 1);
      free(a);
    }
    vk_pool_free(pool);
  }
}

static void many_small_jobs(void **state)
{
  vk_pool *pool = new_pool(4);
  job_arg *a = new_arg(pool);
  for (int k = 0; k < 5000; k++)
    vk_pool_run(pool, count_item, a, 1 + k % 4);
  for (int i = 0; i < 4; i++)
    assert_int_equal(a->n_run[i], 5000 / 4 * (4 - i));
  assert_int_equal(a->n_clash, 0);
  free(a);
  vk_pool_free(pool);
}

static void two_jobs_at_once(void **state)
{
  for (int n_thread = 1; n_thread <= 3; n_thread++) {
    vk_pool *pool = new_pool(n_thread);
    job_arg *a = new_arg(pool), *b = new_arg(pool);
    for (int k = 0; k < 500; k++) {
      vk_job job_a, job_b;
      vk_pool_start(pool, &job_a, count_item, a, 11);
      vk_pool_start(pool, &job_b, count_item, b, 13);
      /* in either order */
      vk_pool_wait(pool, k % 2 ? &job_a : &job_b);
      vk_pool_wait(pool, k % 2 ? &job_b : &job_a);
      vk_pool_wait(pool, &job_a); /* again is harmless */
    }
    check(a, 11, 500);
    check(b, 13, 500);
    free(a);
    free(b);
    vk_pool_free(pool);
  }
}

/* A job of items [first, first + n) is what env_batch starts for half of its environments. */
typedef struct range_arg {
  double *x;
  int first;
} range_arg;

static void step_range(void *arg, int i, int i_thread)
{
  range_arg *r = arg;
  r->x[r->first + i] += r->first + i;
}

static void halves_in_turn(void **state)
{
  enum { N = 16, N_STEP = 300 };
  double x[N] = {0};
  vk_pool *pool = new_pool(3);
  range_arg half[2] = {{x, 0}, {x, N / 2}};
  vk_job job[2];
  vk_pool_start(pool, &job[0], step_range, &half[0], N / 2);
  for (int k = 0; k < 2 * N_STEP; k++) {
    int now = k % 2, next = (k + 1) % 2;
    if (k + 1 < 2 * N_STEP)
      vk_pool_start(pool, &job[next], step_range, &half[next], N / 2);
    vk_pool_wait(pool, &job[now]);
    for (int i = 0; i < N / 2; i++) /* the half that was waited for is ours */
      vk_assert_close(x[half[now].first + i], (k / 2 + 1) * (half[now].first + i), 0, 0);
  }
  vk_pool_free(pool);
}

/* A job inside an item: on the same thread, items of both have the same number. */
typedef struct nest_arg {
  job_arg inner;
  pthread_t outer_thread;
  int i_outer_thread;
  atomic_int n_renumbered;
} nest_arg;

static void inner_item(void *arg, int i, int i_thread)
{
  nest_arg *a = arg;
  if (pthread_equal(pthread_self(), a->outer_thread) && i_thread != a->i_outer_thread)
    atomic_fetch_add(&a->n_renumbered, 1);
  sched_yield(); /* lets other threads take some of the items */
  count_item(&a->inner, i, i_thread);
}

static void outer_item(void *arg, int i, int i_thread)
{
  nest_arg *a = (nest_arg *)arg + i;
  a->outer_thread = pthread_self();
  a->i_outer_thread = i_thread;
  vk_pool_run(a->inner.pool, inner_item, a, 50);
}

static void items_may_run_jobs(void **state)
{
  enum { N_OUTER = 40 };
  for (int n_thread = 1; n_thread <= N_THREAD; n_thread++) {
    vk_pool *pool = new_pool(n_thread);
    nest_arg *a = calloc(N_OUTER, sizeof *a);
    assert_non_null(a);
    for (int i = 0; i < N_OUTER; i++)
      a[i].inner.pool = pool;
    vk_pool_run(pool, outer_item, a, N_OUTER);
    for (int i = 0; i < N_OUTER; i++) {
      check(&a[i].inner, 50, 1);
      assert_int_equal(a[i].n_renumbered, 0);
    }
    free(a);
    vk_pool_free(pool);
  }
}

static void *outside_main(void *arg)
{
  job_arg *a = arg;
  for (int k = 0; k < 300; k++)
    vk_pool_run(a->pool, count_item, a, 20);
  return NULL;
}

static void several_threads_wait(void **state)
{
  for (int n_thread = 1; n_thread <= 3; n_thread++) {
    vk_pool *pool = new_pool(n_thread);
    pthread_t thread[3];
    job_arg *a[3];
    for (int i = 0; i < 3; i++) {
      a[i] = new_arg(pool);
      assert_int_equal(pthread_create(&thread[i], NULL, outside_main, a[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
      pthread_join(thread[i], NULL);
      check(a[i], 20, 300);
      free(a[i]);
    }
    vk_pool_free(pool);
  }
}

typedef struct gate {
  atomic_int has_started, is_open;
} gate;

static void wait_at_gate(void *arg, int i, int i_thread)
{
  gate *g = arg;
  atomic_store(&g->has_started, 1);
  while (!atomic_load(&g->is_open))
    sched_yield();
}

static void start_returns_at_once(void **state)
{
  vk_pool *pool = new_pool(2);
  gate g = {0};
  vk_job job;
  vk_pool_start(pool, &job, wait_at_gate, &g, 4); /* would hang if it ran here */
  atomic_store(&g.is_open, 1);
  vk_pool_wait(pool, &job);
  vk_pool_free(pool);
}

typedef struct outsider {
  vk_pool *pool;
  vk_job_fn *fn;
  void *arg;
  atomic_bool is_done;
} outsider;

static void *outsider_main(void *arg)
{
  outsider *o = arg;
  vk_pool_run(o->pool, o->fn, o->arg, 1);
  atomic_store(&o->is_done, true);
  return NULL;
}

/* A pool of one thread has one number: of two threads outside it the second runs its item only
 * after the first gave the number back, and does run it then. */
static void the_helpers_number_is_handed_on(void **state)
{
  vk_pool *pool = new_pool(1);
  job_arg *a = new_arg(pool);
  gate g = {0};
  outsider first = {.pool = pool, .fn = wait_at_gate, .arg = &g};
  outsider second = {.pool = pool, .fn = count_item, .arg = a};
  pthread_t thread[2];
  assert_int_equal(pthread_create(&thread[0], NULL, outsider_main, &first), 0);
  while (!atomic_load(&g.has_started)) /* from here on the first has the number */
    sched_yield();
  assert_int_equal(pthread_create(&thread[1], NULL, outsider_main, &second), 0);
  nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL); /* a chance to be wrong */
  bool was_early = atomic_load(&second.is_done);
  atomic_store(&g.is_open, 1);
  pthread_join(thread[0], NULL);
  pthread_join(thread[1], NULL);
  check(a, 1, 1);
  assert_false(was_early);
  free(a);
  vk_pool_free(pool);
}

static void refusals(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_pool *pool = (vk_pool *)&err;
  vk_assert_fails(vk_pool_new(&pool, -1, &err), VK_E_RANGE);
  assert_null(pool);
  vk_assert_says(&err, "-1 threads");
  vk_assert_fails(vk_pool_new(&pool, 1 << 20, NULL), VK_E_RANGE);
  vk_pool_free(NULL);
}

static void default_size_follows_affinity(void **state)
{
  cpu_set_t old, one;
  assert_int_equal(sched_getaffinity(0, sizeof old, &old), 0);
  int first = 0;
  while (!CPU_ISSET(first, &old))
    first++;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  vk_pool *pool = new_pool(0);
  assert_int_equal(vk_pool_n_thread(pool), 1);
  vk_pool_free(pool);
  assert_int_equal(sched_setaffinity(0, sizeof old, &old), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_item_once),
      cmocka_unit_test(many_small_jobs),
      cmocka_unit_test(two_jobs_at_once),
      cmocka_unit_test(halves_in_turn),
      cmocka_unit_test(items_may_run_jobs),
      cmocka_unit_test(several_threads_wait),
      cmocka_unit_test(start_returns_at_once),
      cmocka_unit_test(the_helpers_number_is_handed_on),
      cmocka_unit_test(refusals),
      cmocka_unit_test(default_size_follows_affinity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
