/* test_graph_memory.c - every allocation on the way from a model to its executor may fail: then
 * there is an error, nothing leaks (under AddressSanitizer) and nothing crashes. And a run
 * allocates nothing. */
#include "test.h"

#include "alloc_fail.h"
#include "graph_net.h"
#include "random_graph.h"

/* From the builder (NULL: the net of graph_net.h) to an executor, and all the way back. */
static vk_status build_all(const vk_graph *made, const vk_target *t, vk_team *team, vk_err *err)
{
  vk_graph net;
  vk_plan *plan = NULL;
  vk_exec *exec = NULL;
  if (!made)
    net_build(&net, NET_BATCH);
  vk_status st = made ? VK_OK : vk_graph_check(&net, err);
  if (st == VK_OK)
    st = vk_plan_new(&plan, made ? made : &net, t, NULL, NULL, err);
  if (st == VK_OK)
    st = vk_exec_new(&exec, plan, VK_CPU(team), NULL, err);
  vk_exec_free(exec);
  vk_plan_free(plan);
  if (!made)
    vk_graph_fini(&net);
  return st;
}

/* Every step-th allocation fails, alone and with all that follow. */
static void fail_each(const vk_graph *made, const vk_target *t, long step)
{
  vk_team *team;
  vk_assert_ok(vk_team_new(&team, t->n_thread, NULL), NULL);
  for (int is_once = 0; is_once < 2; is_once++) {
    long n = 0, n_failed = 1;
    for (; n_failed > 0; n += step) {
      vk_err err = VK_ERR_INIT;
      if (is_once)
        fail_alloc_once_after(n);
      else
        fail_alloc_after(n);
      vk_status st = build_all(made, t, team, &err);
      n_failed = fail_alloc_after(-1);
      if (st != (n_failed > 0 ? VK_E_NOMEM : VK_OK)) {
        print_error("%ld allocations after %ld failed: %s %s\n", n_failed, n, vk_status_name(st),
                    err.text);
        fail();
      }
      if (n_failed > 0)
        assert_true(err.text[0] != '\0');
    }
    assert_true(n > 10 * step); /* something was tried */
  }
  vk_team_free(team);
}

static void a_net_without_memory(void **state)
{
  for (int k = 0; k < 3; k++) {
    vk_target t = net_target(2, k > 0);
    t.recompute = t.accumulate = k == 2;
    fail_each(NULL, &t, 1);
  }
}

/* Without memory it may take another number of processors to be there, and go on. */
static void a_team_without_memory(void **state)
{
  for (int is_once = 0; is_once < 2; is_once++)
    for (long n = 0; n < 5; n++) {
      vk_err err = VK_ERR_INIT;
      vk_team *team;
      if (is_once)
        fail_alloc_once_after(n);
      else
        fail_alloc_after(n);
      vk_status st = vk_team_new(&team, 2, &err);
      fail_alloc_after(-1);
      assert_true(st == VK_E_NOMEM || st == VK_OK);
      assert_true(st == VK_OK || !team);
      vk_team_free(team);
    }
}

static void random_graphs_without_memory(void **state)
{
  for (uint64_t seed = 1; seed <= 12; seed++) {
    random_graph r;
    random_graph_init(&r, seed, NULL, 0);
    vk_target t = net_target(1, seed % 2);
    t.recompute = seed % 4 == 1;
    fail_each(&r.graph, &t, 3);
    random_graph_fini(&r);
  }
}

/* What a plan says it needs is what its executor takes, but for what is lost to alignment. */
static void bytes_are_known_before(void **state)
{
  for (uint64_t seed = 1; seed <= 40; seed++) {
    random_graph r;
    vk_err err = VK_ERR_INIT;
    vk_plan *plan;
    vk_team *team;
    vk_exec *exec;
    random_graph_init(&r, seed, NULL, 0);
    vk_target t = net_target(1, seed % 2);
    vk_assert_ok(vk_plan_new(&plan, &r.graph, &t, NULL, NULL, &err), &err);
    vk_assert_ok(vk_team_new(&team, 1, &err), &err);
    n_mmap_byte = 0;
    vk_assert_ok(vk_exec_new(&exec, plan, VK_CPU(team), NULL, &err), &err);
    assert_in_range(n_mmap_byte, vk_plan_bytes(plan), vk_plan_bytes(plan) + 512);
    vk_exec_free(exec);
    vk_team_free(team);
    vk_plan_free(plan);
    random_graph_fini(&r);
  }
}

static void runs_allocate_nothing(void **state)
{
  for (uint64_t seed = 1; seed <= 40; seed++) {
    random_graph r;
    net_run run;
    random_graph_init(&r, seed, NULL, 0);
    vk_target t = net_target(1 + (int)(seed % 3), seed % 2);
    net_open(&run, &r.graph, &t, NULL);
    net_zero_all(&run);
    n_alloc = 0;
    vk_assert_ok(vk_exec_prepare(run.exec, NULL), NULL);
    vk_assert_ok(vk_exec_run(run.exec, NULL), NULL);
    vk_exec_set_size(run.exec, 0, r.cap > 1 ? 1 : r.cap);
    vk_assert_ok(vk_exec_run(run.exec, NULL), NULL);
    assert_int_equal(n_alloc, 0);
    net_close(&run);
    random_graph_fini(&r);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_net_without_memory),         cmocka_unit_test(a_team_without_memory),
      cmocka_unit_test(random_graphs_without_memory), cmocka_unit_test(bytes_are_known_before),
      cmocka_unit_test(runs_allocate_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
