/* test_exec.c - runs of a plan: results are those of the double reference, and their bits do not
 * depend on the run, the number of threads or the rows beside. */
#include "test.h"

#include "graph_net.h"

static void results_match_reference(void **state)
{
  for (int is_train = 0; is_train < 2; is_train++) {
    vk_graph g;
    net_run r;
    vk_target t = net_target(1, is_train);
    net_build(&g, NET_BATCH);
    net_open(&r, &g, &t, NULL);
    net_fill_all(&r, 5);
    vk_exec_run(r.exec);
    vk_graph d;
    net_reference_graph(&d, &g, &t);
    void **want = net_run_double(&d, &r, NULL);
    for (int i = 0; i < d.n_output; i++) {
      const char *name = d.output[i].name;
      double error = net_relative_error(net_data(&r, name), want[d.output[i].value],
                                        net_n_item(&r, net_value(&r, name)));
      if (!(error < 2e-6)) {
        print_error("%s: off by %g\n", name, error);
        fail();
      }
    }
    net_free_double(&d, want);
    vk_graph_fini(&d);
    net_close(&r);
    vk_graph_fini(&g);
  }
}

/* Fewer rows give the bits of a net made for that many. */
static void sizes_below_capacity(void **state)
{
  for (int n = 0; n <= NET_BATCH; n++) {
    vk_graph big, small;
    net_run a, b;
    vk_target t = net_target(2, true);
    net_build(&big, NET_BATCH);
    net_build(&small, n);
    net_open(&a, &big, &t, NULL);
    net_open(&b, &small, &t, NULL);
    net_fill_all(&a, 1); /* rows that are absent hold other numbers */
    vk_exec_run(a.exec);
    vk_exec_set_size(a.exec, 0, n);
    net_fill_all(&a, 2);
    net_fill_all(&b, 2);
    vk_exec_run(a.exec);
    vk_exec_run(b.exec);
    static const char *const name[] = {"y", "loss", "grad.w0", "grad.b0", "grad.w1", "grad.skip"};
    for (size_t i = 0; i < VK_COUNT(name); i++) {
      size_t bytes = 4 * (size_t)net_n_item(&b, net_value(&b, name[i]));
      assert_int_equal(net_n_item(&a, net_value(&a, name[i])) * 4, bytes);
      assert_memory_equal(net_data(&a, name[i]), net_data(&b, name[i]), bytes);
    }
    net_close(&a);
    net_close(&b);
    vk_graph_fini(&big);
    vk_graph_fini(&small);
  }
}

static void same_bits_for_every_number_of_threads(void **state)
{
  vk_graph g;
  float want[NET_HIDDEN * NET_IN], y[NET_BATCH * NET_OUT];
  net_build(&g, NET_BATCH);
  for (int n_thread = 1; n_thread <= 4; n_thread++) {
    net_run r;
    vk_target t = net_target(n_thread, true);
    net_open(&r, &g, &t, NULL);
    net_fill_all(&r, 9);
    for (int k = 0; k < 3; k++) { /* and run after run */
      vk_exec_run(r.exec);
      if (n_thread == 1 && k == 0) {
        memcpy(want, net_data(&r, "grad.w0"), sizeof want);
        memcpy(y, net_data(&r, "y"), sizeof y);
      }
      assert_memory_equal(net_data(&r, "grad.w0"), want, sizeof want);
      assert_memory_equal(net_data(&r, "y"), y, sizeof y);
    }
    net_close(&r);
  }
  vk_graph_fini(&g);
}

/* A view of a constant or parameter is read where that lies. */
static void views_of_leaves(void **state)
{
  for (int is_train = 0; is_train < 2; is_train++) {
    vk_graph g;
    net_run r;
    vk_target t = net_target(2, is_train);
    float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    vk_graph_init(&g, "views");
    vk_id c = vk_graph_const(&g, "c", VK_F32, vk_shape_of(2, 2, 4), data);
    vk_id p = vk_graph_param(&g, "p", vk_shape_of(2, 2, 4));
    vk_id x = vk_graph_input(&g, "x", VK_F32, vk_shape_of(2, 2, 4), VK_NO_EXTENT);
    c = VK_APPLY(&g, reshape, VK_IN(c), .count = 2);
    p = VK_APPLY(&g, reshape, VK_IN(p), .count = 2);
    x = VK_APPLY(&g, reshape, VK_IN(x), .count = 2);
    vk_id y = VK_APPLY(&g, add, VK_IN(VK_APPLY(&g, add, VK_IN(x, c), .scale = 1), p), .scale = 1);
    y = VK_APPLY(&g, reshape, VK_IN(y), .count = 8);
    vk_graph_output(&g, "y", y);
    vk_graph_output(&g, "loss", VK_APPLY(&g, matmul, VK_IN(y, y), .trans_b = 1));
    net_open(&r, &g, &t, NULL);
    net_fill_all(&r, 1);
    vk_exec_run(r.exec);
    for (int i = 0; i < 8; i++)
      vk_assert_close(net_data(&r, "y")[i], data[i] + net_data(&r, "p")[i] + net_data(&r, "x")[i],
                      1e-6, 0);
    net_close(&r);
    vk_graph_fini(&g);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(results_match_reference),
      cmocka_unit_test(sizes_below_capacity),
      cmocka_unit_test(views_of_leaves),
      cmocka_unit_test(same_bits_for_every_number_of_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
