/* test_plan.c - where values lie: what is alive at one node never overlaps, views and results
 * written in place share memory, and all bytes are known before anything runs. */
#include "test.h"

#include "graph_net.h"
#include "random_graph.h"

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

/* A node's scratch overlaps nothing that is alive when it runs, and all ends inside. */
static void check_scratch(const vk_plan *p)
{
  const vk_graph *g = &p->graph;
  for (int i = 0; i < g->n_node; i++) {
    vk_tensor in[VK_NODE_IN_MAX], out[VK_NODE_OUT_MAX];
    vk_op_call call = vk_plan_call(p, i, NULL, in, out);
    size_t n = g->node[i].op->scratch ? g->node[i].op->scratch(&call) : 0;
    assert_true(n == 0 || p->scratch[i] + n <= (p->is_once[i] ? p->once_bytes : p->arena_bytes));
    for (vk_id v = 0; v < g->n_value && n && !p->is_once[i]; v++) {
      size_t n_v = vk_value_bytes(&g->value[v]);
      int first, last;
      find_life(g, v, &first, &last);
      if (p->place[v].where == VK_WHERE_ARENA && first <= i && last >= i)
        assert_true(p->scratch[i] >= p->place[v].offset + n_v ||
                    p->place[v].offset >= p->scratch[i] + n);
    }
  }
  for (vk_id v = 0; v < g->n_value; v++) {
    const vk_value_place *at = &p->place[v];
    size_t most = at->where == VK_WHERE_ARENA  ? p->arena_bytes
                  : at->where == VK_WHERE_ONCE ? p->once_bytes
                  : at->where == VK_WHERE_HELD ? p->held_bytes
                                               : SIZE_MAX;
    assert_true(at->offset % 64 == 0 && at->offset + vk_value_bytes(&g->value[v]) <= most);
    assert_true(p->place[at->root].root == at->root && p->place[at->root].where == at->where);
  }
}

static void check_plan(const vk_graph *g, const vk_target *t)
{
  vk_err err = VK_ERR_INIT;
  vk_plan *p;
  vk_assert_ok(vk_plan_new(&p, g, t, NULL, NULL, &err), &err);
  check_overlaps(p);
  check_scratch(p);
  vk_plan_free(p);
}

static void live_values_do_not_overlap(void **state)
{
  for (int is_train = 0; is_train < 2; is_train++) {
    vk_graph g;
    vk_target t = net_target(2, is_train);
    net_build(&g, NET_BATCH);
    check_plan(&g, &t);
    vk_graph_fini(&g);
  }
  for (uint64_t seed = 1; seed <= 60; seed++) {
    random_graph r;
    vk_target t = net_target(1 + (int)(seed % 3), seed % 2);
    t.recompute = seed % 4 == 1;
    t.accumulate = seed % 8 < 4;
    random_graph_init(&r, seed, NULL, 0);
    check_plan(&r.graph, &t);
    random_graph_fini(&r);
  }
}

/* GELU is written over what it reads, unless that is read again; a view is where its input is. */
static void what_shares_memory(void **state)
{
  for (int is_read_again = 0; is_read_again < 2; is_read_again++) {
    vk_err err = VK_ERR_INIT;
    vk_graph g;
    vk_plan *p;
    vk_target t = net_target(1, false);
    t.n_skip = 1;
    t.skip = (const char *const[]){"fusion"};
    vk_graph_init(&g, "share");
    vk_id x = vk_graph_input(&g, "x", VK_F32, vk_shape_of(2, 30, 40), VK_NO_EXTENT);
    vk_id a = VK_APPLY(&g, affine, VK_IN(x), .scale = 2);
    vk_id view = VK_APPLY(&g, reshape, VK_IN(a), .count = 30);
    vk_id b = VK_APPLY(&g, gelu, VK_IN(view));
    vk_id c = VK_APPLY(&g, gelu, VK_IN(b));
    if (is_read_again)
      c = VK_APPLY(&g, add, VK_IN(c, VK_APPLY(&g, reshape, VK_IN(a), .count = 30)), .scale = 1);
    vk_graph_output(&g, "c", c);
    vk_graph_output(&g, "x again", VK_APPLY(&g, reshape, VK_IN(x), .count = 20));
    vk_assert_ok(vk_plan_new(&p, &g, &t, NULL, NULL, &err), &err);
    const vk_value_place *at = p->place;
    const vk_graph *q = &p->graph;
    vk_id qa = q->node[0].out[0], qview = q->node[1].out[0], qb = q->node[2].out[0];
    assert_int_equal(at[qview].root, qa);
    assert_int_equal(at[qview].offset, at[qa].offset);
    assert_int_equal(at[qb].root == qa, !is_read_again);
    assert_int_equal(at[q->node[3].out[0]].root, at[qb].root);
    assert_int_equal(p->arena_bytes, (is_read_again ? 2 : 1) * 30 * 40 * 4);
    vk_id again = vk_graph_find_output(q, "x again");
    assert_int_equal(at[again].where, VK_WHERE_HELD);
    assert_int_equal(at[again].offset, at[vk_graph_find(q, "x")].offset);
    vk_plan_free(p);
    vk_graph_fini(&g);
  }
}

/* What depends on parameters alone is computed once, unless they change. */
static void what_is_computed_once(void **state)
{
  for (int is_train = 0; is_train < 2; is_train++) {
    vk_err err = VK_ERR_INIT;
    vk_graph g;
    vk_plan *p;
    vk_target t = net_target(1, is_train);
    float one = 1;
    vk_graph_init(&g, "once");
    vk_id w = vk_graph_param(&g, "w", vk_shape_of(2, 1, 4));
    vk_graph_param(&g, "unused", vk_shape_of(2, 1, 4));
    vk_id c = vk_graph_const(&g, "c", VK_F32, vk_shape_of(2, 1, 1), &one);
    vk_id x = vk_graph_input_external(&g, "x", VK_F32, vk_shape_of(2, 1, 4));
    vk_id c2 = VK_APPLY(&g, affine, VK_IN(c), .scale = 3);
    vk_id w2 = VK_APPLY(&g, gelu, VK_IN(VK_APPLY(&g, affine, VK_IN(w), .scale = 3)));
    vk_id y = VK_APPLY(&g, matmul, VK_IN(x, w2), .trans_b = 1);
    vk_graph_output(&g, "loss", VK_APPLY(&g, add, VK_IN(y, c2), .scale = 1));
    vk_graph_output_external(&g, "three", c2);
    vk_assert_ok(vk_plan_new(&p, &g, &t, NULL, NULL, &err), &err);
    const vk_graph *q = &p->graph;
    for (int i = 0; i < q->n_node; i++) {
      const vk_node *n = &q->node[i];
      bool on_x = false, is_of_w = false;
      for (int k = 0; k < n->n_in; k++) {
        on_x |= n->in[k] == vk_graph_find(q, "x");
        is_of_w |= n->in[k] == vk_graph_find(q, "w");
      }
      assert_false(on_x && p->is_once[i]);
      if (is_of_w)
        assert_int_equal(p->is_once[i], !is_train);
    }
    if (!is_train) /* else its gradient is computed from it: zeros */
      assert_int_equal(p->place[vk_graph_find(q, "unused")].where, VK_WHERE_NOWHERE);
    assert_int_equal(p->place[vk_graph_find(q, "x")].where, VK_WHERE_BOUND);
    vk_id three = vk_graph_find_output(q, "three");
    assert_int_equal(p->place[three].where, VK_WHERE_BOUND);
    assert_false(p->is_once[q->value[three].node]); /* the caller may write there */
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

static void the_largest_tensors_are_named(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  vk_plan *p;
  vk_target t = net_target(1, true);
  net_build(&g, 1000);
  vk_assert_ok(vk_plan_new(&p, &g, &t, NULL, NULL, &err), &err);
  char text[VK_PLAN_LARGEST], cut[12];
  assert_non_null(strstr(vk_plan_largest(p, text, sizeof text), "[1000, 19] (0.1 MB), "));
  assert_int_equal(strlen(vk_plan_largest(p, cut, sizeof cut)), sizeof cut - 1);
  assert_memory_equal(cut, text, sizeof cut - 1);
  vk_plan_free(p);
  vk_graph_fini(&g);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(live_values_do_not_overlap),    cmocka_unit_test(what_shares_memory),
      cmocka_unit_test(what_is_computed_once),         cmocka_unit_test(kinds_of_memory),
      cmocka_unit_test(the_largest_tensors_are_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
