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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes),
      cmocka_unit_test(a_net_is_built),
      cmocka_unit_test(errors_stick),
      cmocka_unit_test(a_name_is_there_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
