/* test_graph.c - building a graph: shapes and extents, errors that stick, copies; and what
 * vk_graph_verify finds. */
#include "test.h"

#include "graph_net.h"

static void shapes(void **state)
{
  char text[VK_SHAPE_TEXT];
  vk_shape s = vk_shape_of(3, 4, 5, 6), none = vk_shape_of(0), empty = vk_shape_of(2, 0, 7);
  assert_int_equal(vk_shape_n_item(&s), 120);
  assert_int_equal(vk_shape_last(&s), 6);
  assert_int_equal(vk_shape_n_row(&s), 20);
  assert_string_equal(vk_shape_text(&s, text), "[4, 5, 6]");
  assert_int_equal(vk_shape_n_item(&none), 1);
  assert_int_equal(vk_shape_last(&none), 1);
  assert_int_equal(vk_shape_n_row(&none), 1);
  assert_string_equal(vk_shape_text(&none, text), "[]");
  assert_int_equal(vk_shape_n_item(&empty), 0);
  assert_true(vk_shape_equal(&s, &s));
  assert_false(vk_shape_equal(&s, &empty));
  vk_shape longer = vk_shape_of(4, 4, 5, 6, 1);
  assert_false(vk_shape_equal(&s, &longer));
  assert_int_equal(vk_dtype_size(VK_BF16), 2);
  assert_string_equal(vk_dtype_name(VK_I32), "i32");
}

static void a_net_is_built(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  net_build(&g, NET_BATCH);
  vk_assert_ok(vk_graph_check(&g, &err), &err);
  vk_assert_ok(vk_graph_verify(&g, &err), &err);
  const vk_value *y = &g.value[vk_graph_find_output(&g, "y")];
  assert_string_equal(y->name, "out.add");
  assert_int_equal(y->shape.dim[0], NET_BATCH);
  assert_int_equal(y->extent.sym, 0);
  int64_t n[VK_SYM_MAX] = {2};
  assert_int_equal(vk_value_shape(y, n).dim[0], 2);
  assert_int_equal(vk_value_shape(y, NULL).dim[0], NET_BATCH);
  assert_int_equal(vk_value_bytes(y), NET_BATCH * NET_OUT * 4);
  assert_int_equal(vk_graph_find(&g, "out.add"), VK_NONE); /* a result */
  assert_int_equal(vk_graph_find_output(&g, "z"), VK_NONE);
  assert_int_equal(g.value[vk_graph_find(&g, "w0")].kind, VK_PARAM);
  vk_graph_fini(&g);
}

static void errors_stick(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  vk_graph_init(&g, "bad");
  vk_id a = vk_graph_param(&g, "a", vk_shape_of(2, 3, 4));
  vk_id b = vk_graph_param(&g, "b", vk_shape_of(2, 3, 5));
  vk_graph_place(&g, "enc.%d", 7);
  vk_id c = VK_APPLY(&g, add, VK_IN(a, b), .scale = 1);
  assert_int_equal(c, VK_NONE);
  int n_value = g.n_value;
  assert_int_equal(VK_APPLY(&g, gelu, VK_IN(c)), VK_NONE);
  assert_int_equal(vk_graph_param(&g, "d", vk_shape_of(1, 3)), VK_NONE);
  assert_int_equal(vk_graph_out(&g, c, 0), VK_NONE);
  vk_graph_output(&g, "c", c);
  vk_graph_output_external(&g, "c", c);
  assert_int_equal(g.n_value, n_value);
  assert_int_equal(g.n_output, 0);
  vk_assert_fails(vk_graph_check(&g, &err), VK_E_SHAPE);
  vk_assert_says(&err, "enc.7: add of [3, 4] f32, [3, 5] f32");
  vk_assert_fails(vk_graph_verify(&g, &err), VK_E_SHAPE);
  vk_graph_fini(&g);
}

static void errors_name_symbols(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  vk_graph_init(&g, "bad");
  int batch = vk_graph_sym(&g, "batch", 4), token = vk_graph_sym(&g, "token", 10);
  vk_id a = vk_graph_input(&g, "a", VK_F32, vk_shape_of(2, 12, 5), vk_graph_extent(batch, 3, 0));
  vk_id b = vk_graph_input(&g, "b", VK_F32, vk_shape_of(2, 12, 5), vk_graph_extent(token, 1, 2));
  assert_int_equal(VK_APPLY(&g, add, VK_IN(a, b), .scale = 1), VK_NONE);
  vk_assert_fails(vk_graph_check(&g, &err), VK_E_SHAPE);
  vk_assert_says(&err, "add of [batch*3, 5] f32, [token+2, 5] f32: ");
  vk_graph_fini(&g);
}

static void a_name_is_there_once(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  vk_graph_init(&g, "twice");
  vk_graph_param(&g, "w", vk_shape_of(1, 3));
  assert_int_equal(vk_graph_input(&g, "w", VK_F32, vk_shape_of(1, 3), VK_NO_EXTENT), VK_NONE);
  vk_assert_fails(vk_graph_check(&g, &err), VK_E_MISMATCH);
  vk_assert_says(&err, "w is there twice");
  vk_graph_fini(&g);
}

/* ---- shapes and extents that are refused ---------------------------------------------------- */

static void refuse_input(vk_shape s, vk_extent e, const char *why)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  vk_graph_init(&g, "bad");
  vk_graph_sym(&g, "batch", 4);
  assert_int_equal(vk_graph_input(&g, "x", VK_F32, s, e), VK_NONE);
  vk_assert_fails(vk_graph_check(&g, &err), VK_E_SHAPE);
  vk_assert_says(&err, "bad: x: ");
  vk_assert_says(&err, why);
  vk_graph_fini(&g);
}

static void shapes_that_are_none(void **state)
{
  vk_shape s = vk_shape_of(2, 3, -1);
  refuse_input(s, VK_NO_EXTENT, "[3, -1] is not a shape");
  s = vk_shape_of(4, 1 << 12, 1 << 12, 1 << 12, 1 << 5); /* 2^41 */
  refuse_input(s, VK_NO_EXTENT, "at most 2^40 items");
  s = vk_shape_of(4, 0, INT32_MAX, INT32_MAX, INT32_MAX); /* would overflow without the 0 */
  refuse_input(s, VK_NO_EXTENT, "at most 2^40 items");
  s = vk_shape_of(1, 0);
  s.dim[0] = INT64_C(1) << 31;
  refuse_input(s, VK_NO_EXTENT, "below 2^31");
  s.n_dim = 5;
  refuse_input(s, VK_NO_EXTENT, "5 dimensions");
  s.n_dim = -1;
  refuse_input(s, VK_NO_EXTENT, "-1 dimensions");
}

static void extents_that_do_not_fit(void **state)
{
  const char *why = "times the symbol's capacity";
  vk_shape s = vk_shape_of(2, 8, 3);
  refuse_input(s, vk_graph_extent(0, 1, 0), why);   /* 4 rows, not 8 */
  refuse_input(s, vk_graph_extent(1, 2, 0), why);   /* no such symbol */
  refuse_input(s, vk_graph_extent(0, -1, 12), why); /* more rows for fewer units */
  refuse_input(s, vk_graph_extent(0, 3, -4), why);
  refuse_input(s, vk_graph_extent(0, INT64_MAX / 2, 1), why);
  refuse_input(vk_shape_of(0), vk_graph_extent(0, 0, 0), why); /* no first dimension */
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  vk_graph_init(&g, "good");
  vk_graph_sym(&g, "batch", 4);
  vk_id x = vk_graph_input(&g, "x", VK_F32, vk_shape_of(1, 9), vk_graph_extent(0, 2, 1));
  vk_assert_ok(vk_graph_verify(&g, &err), &err);
  int64_t n[VK_SYM_MAX] = {0};
  assert_int_equal(vk_value_shape(&g.value[x], n).dim[0], 1);
  vk_graph_fini(&g);
}

/* ---- copies --------------------------------------------------------------------------------- */

static void a_copy_is_the_same(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g, copy;
  vk_id map[100];
  net_build(&g, NET_BATCH);
  g.value[vk_graph_find(&g, "w0")].is_frozen = true;
  g.value[g.node[1].out[0]].is_boundary = true;
  vk_graph_init(&copy, "other");
  vk_graph_copy_frame(&copy, &g);
  for (vk_id v = 0; v < g.n_value; v++)
    if (g.value[v].kind != VK_RESULT)
      map[v] = vk_graph_copy_value(&copy, &g, v);
  for (int i = 0; i < g.n_node; i++)
    vk_graph_copy_node(&copy, &g, i, map);
  vk_assert_ok(vk_graph_verify(&copy, &err), &err);
  assert_string_equal(copy.name, "net");
  assert_int_equal(copy.n_value, g.n_value);
  assert_int_equal(copy.n_node, g.n_node);
  assert_int_equal(copy.sym_cap[0], NET_BATCH);
  for (vk_id v = 0; v < g.n_value; v++) {
    const vk_value *a = &g.value[v], *b = &copy.value[map[v]];
    assert_string_equal(a->name, b->name);
    assert_ptr_not_equal(a->name, b->name); /* it outlives the other */
    assert_true(a->kind == b->kind && a->dtype == b->dtype && a->is_frozen == b->is_frozen &&
                a->is_boundary == b->is_boundary && vk_shape_equal(&a->shape, &b->shape) &&
                a->extent.sym == b->extent.sym);
    if (a->kind == VK_CONST)
      assert_memory_equal(a->data, b->data, vk_value_bytes(a));
  }
  vk_graph_fini(&g);
  vk_assert_ok(vk_graph_verify(&copy, &err), &err);
  vk_graph_fini(&copy);
}

/* The caller's memory holds one value: others are copied there. */
static void external_outputs_are_apart(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  vk_graph_init(&g, "apart");
  vk_id p = vk_graph_param(&g, "p", vk_shape_of(2, 3, 4));
  vk_id y = VK_APPLY(&g, gelu, VK_IN(p)), view = VK_APPLY(&g, reshape, VK_IN(y), .count = 6);
  vk_graph_output_external(&g, "a", y);
  assert_int_equal(g.n_node, 2);
  vk_graph_output_external(&g, "b", y);
  vk_graph_output_external(&g, "c", view);
  vk_graph_output_external(&g, "d", p);
  vk_graph_output(&g, "e", y);
  assert_int_equal(g.n_node, 6);
  assert_int_equal(vk_graph_find_output(&g, "a"), y);
  vk_assert_ok(vk_graph_verify(&g, &err), &err);
  vk_graph_fini(&g);
}

/* ---- damage --------------------------------------------------------------------------------- */

static const vk_op_def unknown_op = {.name = "unknown", .n_out = 1};

/* One thing made wrong in the net; false when there is no such. The net: inputs 0 x and 1 weight,
 * parameters 2 w0 to 5 skip, node 0 a product, 1 GELU. */
static bool damage(vk_graph *g, int i)
{
  vk_node *n = &g->node[1];
  vk_value *x = &g->value[0], *w = &g->value[2], *y = &g->value[n->out[0]];
  vk_value *c = &g->value[vk_graph_find(g, "ones")];
  switch (i) {
#define CASE(number, what)                                                                         \
  case number:                                                                                     \
    what;                                                                                          \
    return true;
    CASE(0, g->n_sym = VK_SYM_MAX + 1)
    CASE(1, g->n_sym = -1)
    CASE(2, g->n_sym = 0)
    CASE(3, g->sym[0] = NULL)
    CASE(4, g->sym_cap[0] = -1)
    CASE(5, g->sym_cap[0]++)
    CASE(6, n->op = NULL)
    CASE(7, n->op = &unknown_op)
    CASE(8, n->op = &vk_op_add)
    CASE(9, n->place = NULL)
    CASE(10, n->n_in = 0)
    CASE(11, n->n_in = -1)
    CASE(12, n->n_in = VK_NODE_IN_MAX + 1)
    CASE(13, n->n_out = 0)
    CASE(14, n->n_out = 2)
    CASE(15, n->in[0] = VK_NONE)
    CASE(16, n->in[0] = -2)
    CASE(17, n->in[0] = g->n_value)
    CASE(18, n->in[0] = n->out[0])
    CASE(19, n->in[0] = g->node[3].out[0])
    CASE(20, n->out[0] = VK_NONE)
    CASE(21, n->out[0] = g->n_value)
    CASE(22, n->out[0] = 0)
    CASE(23, n->out[0] = g->node[0].out[0])
    CASE(24, x->name = NULL)
    CASE(25, x->name = w->name)
    CASE(26, x->kind = (vk_value_kind)(VK_RESULT + 1))
    CASE(27, x->kind = VK_RESULT)
    CASE(28, x->kind = VK_CONST)
    CASE(29, x->kind = VK_PARAM)
    CASE(30, x->dtype = VK_DTYPE_N)
    CASE(31, x->dtype = VK_BF16)
    CASE(32, x->shape.n_dim = VK_DIM_MAX + 1)
    CASE(33, x->shape.n_dim = -1)
    CASE(34, x->shape.dim[0]++)
    CASE(35, x->shape.dim[1]++)
    CASE(36, x->shape.dim[1] = -1)
    CASE(37, x->shape.dim[1] = INT64_MAX)
    CASE(38, x->extent.sym = 1)
    CASE(39, x->extent = VK_NO_EXTENT)
    CASE(40, x->extent.per = 2)
    CASE(41, x->extent.plus = 1)
    CASE(42, w->is_external = true)
    CASE(43, w->dtype = VK_I32)
    CASE(44,
         w->extent = vk_graph_extent(0, w->shape.dim[0] / NET_BATCH, w->shape.dim[0] % NET_BATCH))
    CASE(45, y->kind = VK_INPUT)
    CASE(46, y->dtype = VK_I32)
    CASE(47, y->shape.dim[1]--)
    CASE(48, y->shape.n_dim = 1)
    CASE(49, y->extent = VK_NO_EXTENT)
    CASE(50, y->node = 0)
    CASE(51, y->node = -1)
    CASE(52, y->node = g->n_node)
    CASE(53, y->i_out = 1)
    CASE(54, y->i_out = -1)
    CASE(55, g->output[0].name = NULL)
    CASE(56, g->output[0].name = g->output[1].name)
    CASE(57, g->output[0].value = VK_NONE)
    CASE(58, g->output[0].value = g->n_value)
    CASE(59, (g->output[0].value = 0, g->output[0].is_external = true))
    CASE(60, (g->output[1].value = g->output[0].value, g->output[0].is_external = true))
    CASE(61, (free((void *)(uintptr_t)c->data), c->data = NULL))
    CASE(62, g->node[0].attr.trans_b = 0)
    CASE(63, g->node[0].attr.packed_b = 1)
    CASE(64, g->node[0].in[2] = 0)
#undef CASE
  default:
    return false;
  }
}

static void damage_is_found(void **state)
{
  for (int i = 0;; i++) {
    vk_err err = VK_ERR_INIT;
    vk_graph g;
    net_build(&g, NET_BATCH);
    vk_assert_ok(vk_graph_verify(&g, &err), &err);
    bool is_damaged = damage(&g, i);
    vk_status st = vk_graph_verify(&g, &err);
    if (is_damaged && st != VK_E_SHAPE && st != VK_E_MISMATCH) {
      print_error("damage %d is not found: %s\n", i, vk_status_name(st));
      fail();
    }
    if (i == 28) /* not to be freed as a constant */
      g.value[0].kind = VK_INPUT;
    vk_graph_fini(&g);
    if (!is_damaged)
      break;
    assert_true(err.text[0] != 0);
    assert_true(i < 1000);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes),
      cmocka_unit_test(a_net_is_built),
      cmocka_unit_test(errors_stick),
      cmocka_unit_test(errors_name_symbols),
      cmocka_unit_test(a_name_is_there_once),
      cmocka_unit_test(shapes_that_are_none),
      cmocka_unit_test(extents_that_do_not_fit),
      cmocka_unit_test(a_copy_is_the_same),
      cmocka_unit_test(external_outputs_are_apart),
      cmocka_unit_test(damage_is_found),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
