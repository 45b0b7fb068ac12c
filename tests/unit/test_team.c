/* test_team.c - every thread takes part in every job, barriers order its phases, many small jobs
 * follow each other, and a team without a job sleeps. Also built with -Db_sanitize=thread. */
#include "test.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "nn/team.h"

enum { N_THREAD = 8, N_PHASE = 50 };

static vk_team *new_team(int n_thread)
{
  vk_err err = VK_ERR_INIT;
  vk_team *team;
  vk_assert_ok(vk_team_new(&team, n_thread, &err), &err);
  return team;
}

/* Plain numbers: without a barrier between them the accesses are races. */
typedef struct phase_arg {
  vk_team *team;
  int n_thread;
  int at[2][N_THREAD];
  int n_wrong[N_THREAD];
} phase_arg;

static void walk_phases(void *arg, int i_thread)
{
  phase_arg *a = arg;
  for (int phase = 1; phase <= N_PHASE; phase++) {
    a->at[phase % 2][i_thread] = phase;
    vk_team_barrier(a->team);
    for (int i = 0; i < a->n_thread; i++)
      a->n_wrong[i_thread] += a->at[phase % 2][i] != phase;
  }
}

static void barriers_order_phases(void **state)
{
  for (int n_thread = 1; n_thread <= N_THREAD; n_thread++) {
    phase_arg a = {.team = new_team(n_thread), .n_thread = n_thread};
    assert_int_equal(vk_team_n_thread(a.team), n_thread);
    vk_team_run(a.team, walk_phases, &a);
    for (int i = 0; i < N_THREAD; i++) {
      assert_int_equal(a.at[N_PHASE % 2][i], i < n_thread ? N_PHASE : 0);
      assert_int_equal(a.n_wrong[i], 0);
    }
    vk_team_free(a.team);
  }
}

static void count_job(void *arg, int i_thread)
{
  ((int *)arg)[i_thread]++;
}

static void many_small_jobs(void **state)
{
  for (int n_thread = 1; n_thread <= N_THREAD; n_thread += n_thread < 4 ? 1 : 4) {
    int n_run[N_THREAD] = {0};
    vk_team *team = new_team(n_thread);
    for (int k = 1; k <= 3000; k++) {
      vk_team_run(team, count_job, n_run);
      for (int i = 0; i < n_thread; i++) /* all have ended when run returns */
        assert_int_equal(n_run[i], k);
    }
    for (int i = n_thread; i < N_THREAD; i++)
      assert_int_equal(n_run[i], 0);
    vk_team_free(team);
  }
}

static double processor_s(void)
{
  struct rusage u;
  assert_int_equal(getrusage(RUSAGE_SELF, &u), 0);
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
         1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void an_idle_team_sleeps(void **state)
{
  int n_run[N_THREAD] = {0};
  vk_team *team = new_team(4);
  vk_team_run(team, count_job, n_run);
  nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL); /* they spin for a while first */
  double start_s = processor_s();
  nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
  double used_s = processor_s() - start_s;
  vk_team_run(team, count_job, n_run); /* and wakes up */
  vk_team_free(team);
  if (used_s > 0.05) { /* three threads that spin take 0.3 s or more */
    print_error("an idle team took %.3f s of processor time\n", used_s);
    fail();
  }
  assert_int_equal(n_run[3], 2);
}

static void teams_end_at_any_time(void **state)
{
  for (int k = 0; k < 100; k++) {
    int n_run[N_THREAD] = {0};
    vk_team *team = new_team(1 + k % 5);
    for (int i = 0; i < k % 3; i++)
      vk_team_run(team, count_job, n_run);
    vk_team_free(team); /* before its threads have started, or right after a job */
    assert_int_equal(n_run[k % 5], k % 3);
  }
  vk_team_free(NULL);
}

typedef struct tiny_arg {
  volatile float x; /* the smallest normal number */
  float half[N_THREAD];
} tiny_arg;

static void halve(void *arg, int i_thread)
{
  tiny_arg *a = arg;
  a->half[i_thread] = a->x * 0.5f;
}

static void denormals_are_zero_in_jobs_alone(void **state)
{
  tiny_arg a = {.x = 1.17549435e-38f};
  vk_team *team = new_team(3);
  vk_team_run(team, halve, &a);
  vk_team_free(team);
  float outside = a.x * 0.5f;
  assert_true(outside > 0);
#if defined(__SSE2__)
  for (int i = 0; i < 3; i++)
    assert_true(a.half[i] == 0);
#endif
}

static void refusals(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_team *team = (vk_team *)&err;
  vk_assert_fails(vk_team_new(&team, -1, &err), VK_E_RANGE);
  assert_null(team);
  vk_assert_says(&err, "-1 threads");
  vk_assert_fails(vk_team_new(&team, 5000, NULL), VK_E_RANGE);
  team = new_team(0);
  assert_true(vk_team_n_thread(team) >= 1);
  vk_team_free(team);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(barriers_order_phases),
      cmocka_unit_test(many_small_jobs),
      cmocka_unit_test(an_idle_team_sleeps),
      cmocka_unit_test(teams_end_at_any_time),
      cmocka_unit_test(denormals_are_zero_in_jobs_alone),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
