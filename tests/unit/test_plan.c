/* test_plan.c - where values lie: what is alive at one node never overlaps, views and results
 * written in place share memory, and all bytes are known before anything runs. */
#include "test.h"

#include "graph_net.h"

/* Nodes at which the memory of each value is needed, found anew: a value lives from the node that
 * makes it to its last reader, an output to the end. */
static void find_life(const vk_graph *g, vk_id v, int *first, int *last)
{
  *first = g->value[v].kind == VK_RESULT ? g->value[v].node : 0;
  *last = *first;
  for (int i = 0; i < g->n_node; i++)
    for (int k = 0; k < g->node[i].n_in; k++)
      if (g->node[i].in[k] == v)
        *last = i;
  for (int i = 0; i < g->n_output; i++)
    if (g->output[i].value == v)
      *last = g->n_node;
}

/* No two values of the arena that live at one node overlap, unless the plan says that they share
 * memory; then one is a view of the other or the later one begins at the node that reads the
 * earlier one last. */
static void check_overlaps(const vk_plan *p)
{
  const vk_graph *g = &p->graph;
  for (vk_id a = 0; a < g->n_value; a++)
    for (vk_id b = 0; b < a; b++) {
      const vk_value_place *pa = &p->place[a], *pb = &p->place[b];
      size_t na = vk_value_bytes(&g->value[a]), nb = vk_value_bytes(&g->value[b]);
      if (pa->where != VK_WHERE_ARENA || pb->where != VK_WHERE_ARENA ||
          pa->offset >= pb->offset + nb || pb->offset >= pa->offset + na)
        continue;
      int first_a, last_a, first_b, last_b;
      find_life(g, a, &first_a, &last_a);
      find_life(g, b, &first_b, &last_b);
      if (first_a > last_b || first_b > last_a)
        continue;
      assert_true(pa->root == pb->root);
      const vk_node *by_a = &g->node[g->value[a].node], *by_b = &g->node[g->value[b].node];
      if (by_a->op->flags & VK_OP_VIEW || by_b->op->flags & VK_OP_VIEW)
        continue;
      assert_true(first_a == last_b || first_b == last_a); /* in place */
      assert_true((first_a == last_b ? by_a : by_b)->op->in_place);
    }
}

static void live_values_do_not_overlap(void **state)
{
  vk_err err = VK_ERR_INIT;
  for (int is_train = 0; is_train < 2; is_train++) {
    vk_graph g;
    vk_plan *p;
    vk_target t = net_target(2, is_train);
    net_build(&g, NET_BATCH);
    vk_assert_ok(vk_plan_new(&p, &g, &t, NULL, NULL, &err), &err);
    check_overlaps(p);
    assert_true(p->memory.efficiency >= 0.97);
    vk_plan_free(p);
    vk_graph_fini(&g);
  }
}

static void kinds_of_memory(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  vk_plan *p;
  vk_target t = net_target(1, true);
  net_build(&g, NET_BATCH);
  vk_assert_ok(vk_plan_new(&p, &g, &t, NULL, NULL, &err), &err);
  const vk_graph *q = &p->graph;
  assert_int_equal(p->place[vk_graph_find(q, "x")].where, VK_WHERE_HELD);
  assert_int_equal(p->place[vk_graph_find(q, "w0")].where, VK_WHERE_BOUND);
  assert_int_equal(p->place[vk_graph_find_output(q, "grad.w0")].where, VK_WHERE_BOUND);
  assert_int_equal(p->place[vk_graph_find_output(q, "loss")].where, VK_WHERE_ARENA);
  assert_int_equal(vk_plan_bytes(p), p->arena_bytes + p->once_bytes + p->held_bytes);
  assert_int_equal(p->held_bytes, 128 + 64); /* x and weight, in lines of 64 bytes */
  vk_plan_free(p);
  vk_graph_fini(&g);
}

static void too_large_is_refused_with_names(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  vk_plan *p;
  vk_target t = net_target(1, true);
  net_build(&g, 1000);
  vk_assert_ok(vk_plan_new(&p, &g, &t, NULL, NULL, &err), &err);
  t.max_bytes = vk_plan_bytes(p);
  vk_plan_free(p);
  vk_assert_ok(vk_plan_new(&p, &g, &t, NULL, NULL, &err), &err);
  vk_plan_free(p);
  t.max_bytes--;
  vk_assert_fails(vk_plan_new(&p, &g, &t, NULL, NULL, &err), VK_E_NOMEM);
  assert_null(p);
  vk_assert_says(&err, "the largest: ");
  vk_assert_says(&err, "[1000, 19]");
  vk_graph_fini(&g);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(live_values_do_not_overlap),
      cmocka_unit_test(kinds_of_memory),
      cmocka_unit_test(too_large_is_refused_with_names),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
