/* test_exec.c - runs of a plan: results are those of the double reference, and their bits do not
 * depend on the run, the number of threads or the rows beside. */
#include "test.h"

#include <cjson/cJSON.h>
#include <unistd.h>

#include "aborts.h"
#include "core/fs.h"
#include "graph_net.h"
#include "nn/graph_dump.h"

static void results_match_reference(void **state)
{
  for (int is_train = 0; is_train < 2; is_train++) {
    vk_graph g;
    net_run r;
    vk_target t = net_target(1, is_train);
    net_build(&g, NET_BATCH);
    net_open(&r, &g, &t, NULL);
    net_fill_all(&r, 5);
    vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
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
    vk_assert_ok(vk_exec_run(a.exec, NULL), NULL);
    vk_exec_set_size(a.exec, 0, n);
    net_fill_all(&a, 2);
    net_fill_all(&b, 2);
    vk_assert_ok(vk_exec_run(a.exec, NULL), NULL);
    vk_assert_ok(vk_exec_run(b.exec, NULL), NULL);
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
      vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
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

/* A product that sums over the rows of a batch of none is zero, and what is behind it stays. */
static void sums_over_no_rows(void **state)
{
  vk_graph g;
  net_run r;
  vk_target t = net_target(2, false);
  vk_graph_init(&g, "none");
  int sym = vk_graph_sym(&g, "batch", 5);
  vk_extent e = vk_graph_extent(sym, 1, 0);
  vk_id a = vk_graph_input(&g, "a", VK_F32, vk_shape_of(2, 5, 3), e);
  vk_id b = vk_graph_input(&g, "b", VK_F32, vk_shape_of(2, 5, 4), e);
  vk_id bias = vk_graph_param(&g, "bias", vk_shape_of(1, 4));
  vk_id y = VK_APPLY(&g, matmul, VK_IN(a, b, bias), .trans_a = 1);
  vk_graph_output(&g, "y", VK_APPLY(&g, gelu, VK_IN(y)));
  net_open(&r, &g, &t, NULL);
  net_fill_all(&r, 1);
  vk_exec_set_size(r.exec, sym, 0);
  vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
  for (int i = 0; i < 12; i++) {
    double x = (double)net_data(&r, "bias")[i % 4];
    vk_assert_close((double)net_data(&r, "y")[i], 0.5 * x * (1 + erf(x * sqrt(0.5))), 1e-6, 0);
  }
  net_close(&r);
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
    vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
    for (int i = 0; i < 8; i++)
      vk_assert_close(net_data(&r, "y")[i], data[i] + net_data(&r, "p")[i] + net_data(&r, "x")[i],
                      1e-6, 0);
    net_close(&r);
    vk_graph_fini(&g);
  }
}

/* A row's answer is the same whatever rows are beside it, for one path. */
static void rows_do_not_depend_on_the_batch(void **state)
{
  vk_graph g;
  net_build(&g, NET_BATCH);
  for (vk_isa isa = VK_ISA_SCALAR; isa <= net_target(1, false).isa; isa++) {
    net_run r;
    float x[NET_BATCH * NET_IN], y[NET_BATCH * NET_OUT];
    vk_target t = net_target(2, false);
    t.isa = isa;
    net_open(&r, &g, &t, NULL);
    net_fill_all(&r, 8);
    vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
    memcpy(x, net_data(&r, "x"), sizeof x);
    memcpy(y, net_data(&r, "y"), sizeof y);
    for (int n = 1; n < NET_BATCH; n++)
      for (int first = 0; first + n <= NET_BATCH; first++) {
        vk_exec_set_size(r.exec, 0, n);
        memcpy(net_data(&r, "x"), x + first * NET_IN, (size_t)n * NET_IN * sizeof *x);
        vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
        assert_memory_equal(net_data(&r, "y"), y + first * NET_OUT,
                            (size_t)n * NET_OUT * sizeof *y);
      }
    net_close(&r);
  }
  vk_graph_fini(&g);
}

/* Numbers too small for a normal float are zero, on every thread. */
static void denormals_are_zero(void **state)
{
  enum { N = 40000 };
  vk_graph g;
  net_run r;
  vk_target t = net_target(3, false);
  vk_graph_init(&g, "tiny");
  vk_id x = vk_graph_input(&g, "x", VK_F32, vk_shape_of(1, N), VK_NO_EXTENT);
  vk_graph_output(&g, "y", VK_APPLY(&g, affine, VK_IN(x), .scale = 0.25));
  net_open(&r, &g, &t, NULL);
  for (int i = 0; i < N; i++)
    net_data(&r, "x")[i] = 1.2e-38f;
  vk_assert_ok(vk_exec_prepare(r.exec, NULL), NULL);
  vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
#if defined(__SSE2__)
  for (int i = 0; i < N; i++)
    if (net_data(&r, "y")[i] != 0) {
      print_error("item %d is %g\n", i, (double)net_data(&r, "y")[i]);
      fail();
    }
#endif
  volatile float here = 1.2e-38f;
  assert_true(here * 0.25f > 0); /* outside they are as ever */
  net_close(&r);
  vk_graph_fini(&g);
}

typedef struct forgetful {
  vk_exec *exec;
  const vk_plan *plan;
  const char *missing;
} forgetful;

static void bind_and_prepare(void *arg)
{
  const forgetful *f = arg;
  const vk_graph *g = &f->plan->graph;
  for (vk_id v = 0; v < g->n_value; v++)
    if (f->plan->place[v].where == VK_WHERE_BOUND && f->plan->place[v].root == v &&
        v != vk_graph_find(g, f->missing) && v != vk_graph_find_output(g, f->missing))
      vk_exec_bind(f->exec, v, net_alloc(vk_value_bytes(&g->value[v])));
  vk_assert_ok(vk_exec_prepare(f->exec, NULL), NULL);
}

/* Whoever forgets to bind something reads its name. */
static void what_is_not_bound_is_named(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  vk_target t = net_target(1, true);
  net_build(&g, NET_BATCH);
  vk_plan *plan;
  vk_team *team;
  vk_assert_ok(vk_plan_new(&plan, &g, &t, NULL, NULL, &err), &err);
  vk_assert_ok(vk_team_new(&team, 1, &err), &err);
  static const char *const missing[] = {"w1", "grad.b0"};
  for (size_t i = 0; i < VK_COUNT(missing); i++) {
    forgetful f = {.plan = plan, .missing = missing[i]};
    char text[300], want[64];
    vk_assert_ok(vk_exec_new(&f.exec, plan, VK_CPU(team), NULL, &err), &err);
    assert_true(aborts_saying(bind_and_prepare, &f, text, sizeof text));
    snprintf(want, sizeof want, "is_bound(\"%s\") of net is false", missing[i]);
    if (!strstr(text, want)) {
      print_error("\"%s\" does not say: %s\n", text, want);
      fail();
    }
    vk_exec_free(f.exec);
  }
  vk_team_free(team);
  vk_plan_free(plan);
  vk_graph_fini(&g);
}

/* Slices of category "nn", and of a name unless it is NULL, in the trace at path. */
static int count_slices(const char *path, const char *name)
{
  vk_err err = VK_ERR_INIT;
  char *text;
  size_t n;
  int n_slice = 0;
  vk_assert_ok(vk_fs_read(&text, &n, path, 64 << 20, &err), &err);
  cJSON *json = cJSON_ParseWithOpts(text, NULL, true);
  const cJSON *event;
  cJSON_ArrayForEach(event, cJSON_GetObjectItem(json, "traceEvents"))
  {
    const cJSON *category = cJSON_GetObjectItem(event, "cat");
    n_slice += cJSON_IsString(category) && strcmp(category->valuestring, "nn") == 0 &&
               (!name || strcmp(cJSON_GetObjectItem(event, "name")->valuestring, name) == 0);
  }
  cJSON_Delete(json);
  free(text);
  return n_slice;
}

static void a_trace_has_a_slice_a_node(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  net_run r;
  vk_trace *trace;
  char path[] = "/tmp/vk_test_exec_XXXXXX", name[VK_VALUE_TEXT] = "";
  vk_target t = net_target(2, true);
  int fd = mkstemp(path), n_kernel = 0, n_run = 0;
  assert_true(fd >= 0);
  close(fd);
  vk_assert_ok(vk_trace_new(&trace, path, 1000, &err), &err);
  net_build(&g, NET_BATCH);
  net_open(&r, &g, &t, trace);
  net_fill_all(&r, 1);
  for (int i = 0; i < r.plan->graph.n_node; i++) {
    bool is_kernel = !(r.plan->graph.node[i].op->flags & VK_OP_VIEW);
    n_kernel += is_kernel;
    n_run += is_kernel && !r.plan->is_once[i];
    if (is_kernel && !r.plan->is_once[i])
      vk_graph_value_name(&r.plan->graph, r.plan->graph.node[i].out[0], name);
  }
  vk_exec_time_nodes(r.exec, true);
  vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
  vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
  double total_s = 0;
  for (int i = 0; i < r.plan->graph.n_node; i++) {
    assert_true(vk_exec_node_s(r.exec, i) >= 0);
    total_s += vk_exec_node_s(r.exec, i);
  }
  assert_true(total_s > 0);
  net_close(&r); /* names outlive the plan */
  vk_assert_ok(vk_trace_write(trace, &err), &err);
  assert_int_equal(count_slices(path, NULL), n_kernel - n_run + 2 * n_run);
  assert_int_equal(count_slices(path, name), 2);
  vk_trace_free(trace);
  vk_graph_fini(&g);
  unlink(path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(results_match_reference),
      cmocka_unit_test(sizes_below_capacity),
      cmocka_unit_test(sums_over_no_rows),
      cmocka_unit_test(views_of_leaves),
      cmocka_unit_test(rows_do_not_depend_on_the_batch),
      cmocka_unit_test(denormals_are_zero),
      cmocka_unit_test(what_is_not_bound_is_named),
      cmocka_unit_test(a_trace_has_a_slice_a_node),
      cmocka_unit_test(same_bits_for_every_number_of_threads),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
