/* test_autodiff.c - gradients of whole graphs against finite differences in double; what is frozen
 * costs nothing; what is refused. */
#include "test.h"

#include "graph_net.h"
#include "nn/autodiff.h"
#include "nn/gemm.h"
#include "nn/graph_dump.h"
#include "random_graph.h"

/* Leaves drawn by name, in double. */
static void **draw_leaves(const vk_graph *g)
{
  void **data = calloc((size_t)g->n_value + 1, sizeof *data);
  assert_non_null(data);
  for (vk_id v = 0; v < g->n_value; v++) {
    const vk_value *x = &g->value[v];
    int64_t n = vk_shape_n_item(&x->shape);
    if (x->kind == VK_RESULT)
      continue;
    if (x->kind == VK_CONST) {
      data[v] = graph_to_double(x->data, n);
      continue;
    }
    float *f = net_alloc((size_t)n * 4);
    net_fill(f, n, x->name, 3);
    data[v] = graph_to_double(f, n);
    free(f);
  }
  return data;
}

static void free_all(const vk_graph *g, void **data)
{
  for (vk_id v = 0; v < g->n_value; v++)
    free(data[v]);
  free(data);
}

/* Every gradient of the graph with loss "loss" by central differences. */
static void check_gradients(const vk_graph *g)
{
  vk_err err = VK_ERR_INIT;
  vk_graph d;
  vk_graph_init(&d, "d");
  vk_assert_ok(vk_autodiff(&d, g, &(vk_autodiff_args){.loss = "loss"}, &err), &err);
  vk_assert_ok(vk_graph_verify(&d, &err), &err);
  void **got = draw_leaves(&d), **data = draw_leaves(g);
  graph_run_reference(&d, NULL, got);
  const vk_id loss = vk_graph_find_output(g, "loss");
  for (vk_id v = 0; v < g->n_value; v++) {
    if (g->value[v].kind != VK_PARAM || g->value[v].is_frozen)
      continue;
    char name[80];
    snprintf(name, sizeof name, "grad.%s", g->value[v].name);
    vk_id dx = vk_graph_find_output(&d, name);
    assert_true(dx != VK_NONE);
    assert_true(vk_shape_equal(&d.value[dx].shape, &g->value[v].shape));
    for (int64_t k = 0; k < vk_shape_n_item(&g->value[v].shape); k++) {
      double *x = (double *)data[v] + k, old = *x, h = 1e-5;
      *x = old + h;
      graph_run_reference(g, NULL, data);
      double up = *(double *)data[loss];
      *x = old - h;
      graph_run_reference(g, NULL, data);
      double down = *(double *)data[loss];
      *x = old;
      vk_assert_close_at(((double *)got[dx])[k], (up - down) / (2 * h), 1e-8, 1e-7, name, __FILE__,
                         __LINE__);
    }
  }
  free_all(&d, got);
  free_all(g, data);
  vk_graph_fini(&d);
}

static void a_net(void **state)
{
  vk_graph g;
  net_build(&g, NET_BATCH);
  check_gradients(&g);
  vk_graph_fini(&g);
}

/* a + b + c + a: three parameters with one gradient, which each gets in memory of its own, after
 * passes that compute equal things once; and it is there in every run, though it depends on
 * constants alone. */
static void equal_gradients_are_apart(void **state)
{
  enum { N = 7 };
  vk_graph g;
  net_run r;
  vk_target t = net_target(1, true);
  float one[N] = {1, 2, 3, 4, 5, 6, 7};
  vk_graph_init(&g, "equal");
  vk_id p[3];
  for (int i = 0; i < 3; i++)
    p[i] = vk_graph_param(&g, (char[2]){(char)('a' + i), 0}, vk_shape_of(2, 1, N));
  vk_id sum = VK_APPLY(&g, add, VK_IN(p[0], p[1]), .scale = 1);
  sum = VK_APPLY(&g, add, VK_IN(sum, p[2]), .scale = 1);
  sum = VK_APPLY(&g, add, VK_IN(sum, p[0]), .scale = 1);
  vk_id w = vk_graph_const(&g, "w", VK_F32, vk_shape_of(2, N, 1), one);
  vk_graph_output(&g, "loss", VK_APPLY(&g, matmul, VK_IN(sum, w)));
  check_gradients(&g);
  net_open(&r, &g, &t, NULL);
  net_fill_all(&r, 1);
  float *dx[3] = {net_data(&r, "grad.a"), net_data(&r, "grad.b"), net_data(&r, "grad.c")};
  for (int run = 0; run < 2; run++) {
    for (int i = 0; i < 3; i++)
      memset(dx[i], 0xff, N * sizeof *dx[i]);
    vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
    for (int i = 0; i < 3; i++)
      for (int k = 0; k < N; k++)
        vk_assert_close(dx[i][k], (i == 0 ? 2 : 1) * (k + 1), 1e-6, 0);
  }
  net_close(&r);
  vk_graph_fini(&g);
}

/* The gradient by what the loss does not depend on is zero, whatever it is; and adds nothing. */
static void no_gradient_is_zero(void **state)
{
  enum { N = 6 };
  for (int accumulate = 0; accumulate < 2; accumulate++) {
    vk_graph g;
    net_run r;
    vk_target t = net_target(2, true);
    t.accumulate = accumulate;
    net_build(&g, NET_BATCH);
    vk_id aside = vk_graph_param(&g, "aside", vk_shape_of(3, 1, 2, 3));
    vk_graph_output(&g, "aside", VK_APPLY(&g, gelu, VK_IN(aside)));
    net_open(&r, &g, &t, NULL);
    net_fill_all(&r, 1);
    const float odd[N] = {NAN, INFINITY, -INFINITY, 0, 1, -3e38f};
    memcpy(net_data(&r, "aside"), odd, sizeof odd);
    float *dx = net_data(&r, "grad.aside");
    for (int i = 0; i < N; i++)
      dx[i] = 7;
    if (accumulate)
      vk_exec_bind(r.exec, net_value(&r, "sum.aside"), dx);
    vk_assert_ok(vk_exec_prepare(r.exec, NULL), NULL);
    for (int run = 0; run < 2; run++) {
      vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
      for (int i = 0; i < N; i++)
        assert_true(dx[i] == (accumulate ? 7 : 0));
    }
    net_close(&r);
    vk_graph_fini(&g);
  }
}

/* What many nodes share, what none needs, and the loss itself. */
static void parameters_in_all_places(void **state)
{
  vk_graph g;
  vk_graph_init(&g, "places");
  vk_id w = vk_graph_param(&g, "w", vk_shape_of(2, 4, 4));
  vk_id bias = vk_graph_param(&g, "bias", vk_shape_of(2, 1, 4)); /* the rule makes [4] */
  vk_id flat = vk_graph_param(&g, "flat", vk_shape_of(1, 12));
  vk_graph_param(&g, "unused", vk_shape_of(1, 3));
  vk_id other = vk_graph_param(&g, "other", vk_shape_of(2, 4, 4));
  vk_id x = VK_APPLY(&g, reshape, VK_IN(flat), .count = 4);
  vk_id h = VK_APPLY(&g, matmul, VK_IN(x, w, bias), .trans_b = 1);
  h = VK_APPLY(&g, gelu, VK_IN(h));
  h = VK_APPLY(&g, matmul, VK_IN(h, w, bias), .trans_b = 1); /* again */
  h = VK_APPLY(&g, add, VK_IN(h, x), .scale = -0.5);
  vk_graph_output(&g, "aside", VK_APPLY(&g, gelu, VK_IN(other))); /* not on the way */
  vk_id square = VK_APPLY(&g, matmul, VK_IN(h, h), .trans_a = 1);
  vk_id row = VK_APPLY(&g, reshape, VK_IN(square), .count = 16);
  vk_graph_output(&g, "loss", VK_APPLY(&g, matmul, VK_IN(row, row), .trans_b = 1));
  check_gradients(&g);
  vk_graph_fini(&g);

  vk_graph_init(&g, "itself");
  vk_graph_output(&g, "loss", vk_graph_param(&g, "p", vk_shape_of(1, 1)));
  check_gradients(&g);
  vk_graph_fini(&g);
}

/* The loss of a graph in double. */
static double loss_of(const random_graph *r, void **data)
{
  graph_run_reference(&r->graph, NULL, data);
  return *(double *)data[vk_graph_find_output(&r->graph, "loss")];
}

/* Where both one-sided slopes agree (no kink between) the gradient does too. Returns how many
 * items were compared. */
static int compare_item(const random_graph *r, void **data, vk_id v, int64_t k, double got)
{
  double *x = (double *)data[v] + k, old = *x, h = 1e-6;
  double mid = loss_of(r, data);
  *x = old + h;
  double up = (loss_of(r, data) - mid) / h;
  *x = old - h;
  double down = (mid - loss_of(r, data)) / h;
  *x = old;
  if (fabs(up - down) > 1e-3 * (fabs(up) + fabs(down)) + 1e-4)
    return 0;
  if (fabs(got - (up + down) / 2) > 1e-4 * fabs(got) + 2e-6 * (1 + fabs(mid))) {
    print_error("seed %d, %s, item %d: %.9g, differences say %.9g\n", (int)r->seed,
                r->graph.value[v].name, (int)k, got, (up + down) / 2);
    vk_graph_dump(&r->graph, stderr);
    fail();
  }
  return 1;
}

/* Gradients of graphs of all ops that have one, in double, against differences. */
static void random_graphs(void **state)
{
  int n_compared = 0, n_item = 0;
  for (uint64_t seed = 1; seed <= 200; seed++) {
    random_graph r;
    vk_err err = VK_ERR_INIT;
    vk_graph d;
    random_graph_init_smooth(&r, seed);
    vk_graph_init(&d, "d");
    vk_assert_ok(vk_autodiff(&d, &r.graph, &(vk_autodiff_args){.loss = "loss"}, &err), &err);
    void **got = calloc((size_t)d.n_value + 1, sizeof *got);
    void **data = calloc((size_t)r.graph.n_value + 1, sizeof *data);
    assert_true(got && data);
    for (vk_id v = 0; v < d.n_value; v++) {
      vk_id from =
          d.value[v].kind == VK_RESULT ? VK_NONE : vk_graph_find(&r.graph, d.value[v].name);
      got[v] = from != VK_NONE ? r.data[from]
               : d.value[v].kind == VK_CONST
                   ? graph_to_double(d.value[v].data, vk_shape_n_item(&d.value[v].shape))
                   : NULL;
    }
    for (vk_id v = 0; v < r.graph.n_value; v++)
      data[v] = r.graph.value[v].kind == VK_RESULT ? NULL : r.data[v];
    graph_run_reference(&d, NULL, got);
    for (vk_id v = 0; v < r.graph.n_value; v++) {
      char name[64];
      snprintf(name, sizeof name, "grad.%s", r.graph.value[v].name);
      vk_id dx = vk_graph_find_output(&d, name);
      int64_t n = vk_shape_n_item(&r.graph.value[v].shape);
      for (int64_t k = 0; dx != VK_NONE && k < n; k += 1 + n / 3, n_item++)
        n_compared += compare_item(&r, data, v, k, ((double *)got[dx])[k]);
    }
    for (vk_id v = 0; v < d.n_value; v++)
      if (d.value[v].kind == VK_RESULT || d.value[v].kind == VK_CONST)
        free(got[v]);
    for (vk_id v = 0; v < r.graph.n_value; v++)
      if (r.graph.value[v].kind == VK_RESULT)
        free(data[v]);
    free(got);
    free(data);
    vk_graph_fini(&d);
    random_graph_fini(&r);
  }
  assert_true(n_item > 300 && n_compared > n_item * 9 / 10); /* kinks are rare */
}

/* Nodes with the gradient, when some parameters are frozen. */
static int n_node_of(const vk_graph *g, const char *const *frozen, int n_frozen)
{
  vk_err err = VK_ERR_INIT;
  vk_graph d;
  for (vk_id v = 0; v < g->n_value; v++) {
    g->value[v].is_frozen = false;
    for (int i = 0; i < n_frozen; i++)
      g->value[v].is_frozen |= strcmp(g->value[v].name, frozen[i]) == 0;
  }
  vk_graph_init(&d, "d");
  vk_assert_ok(vk_autodiff(&d, g, &(vk_autodiff_args){.loss = "loss"}, &err), &err);
  for (int i = 0; i < n_frozen; i++) {
    char name[64];
    snprintf(name, sizeof name, "grad.%s", frozen[i]);
    assert_int_equal(vk_graph_find_output(&d, name), VK_NONE);
  }
  assert_int_equal(d.n_output, g->n_output + 4 - n_frozen);
  int n = d.n_node;
  vk_graph_fini(&d);
  return n;
}

static void frozen_parameters_cost_nothing(void **state)
{
  static const char *const all[] = {"w0", "b0", "skip", "w1"};
  vk_graph g;
  net_build(&g, NET_BATCH);
  assert_int_equal(n_node_of(&g, all, 4), g.n_node);
  int n_full = n_node_of(&g, all, 0);
  /* w0 and b0 are behind the GELU: its gradient, two products' and the sum for the bias go */
  assert_int_equal(n_node_of(&g, all, 2), n_full - 4);
  /* and of what is left, skip has a product and the scaling of its gradient */
  assert_int_equal(n_node_of(&g, all, 3), n_full - 6);
  vk_graph_fini(&g);
}

/* A stack of layers with a boundary after each. */
static void build_stack(vk_graph *g, int n_layer, int n_row, int width)
{
  vk_graph_init(g, "stack");
  vk_id x = vk_graph_input(g, "x", VK_F32, vk_shape_of(2, n_row, width), VK_NO_EXTENT);
  for (int i = 0; i < n_layer; i++) {
    char name[16];
    snprintf(name, sizeof name, "w%d", i);
    vk_graph_place(g, "layer.%d", i);
    vk_id w = vk_graph_param(g, name, vk_shape_of(2, width, width));
    for (int k = 0; k < 3; k++)
      x = VK_APPLY(g, gelu, VK_IN(VK_APPLY(g, affine, VK_IN(x), .scale = 0.9, .shift = 0.1)));
    x = VK_APPLY(g, matmul, VK_IN(x, w), .trans_b = 1);
    x = VK_APPLY(g, affine, VK_IN(x), .scale = 0.2);
    g->value[x].is_boundary = true;
  }
  vk_id one = vk_graph_input(g, "one", VK_F32, vk_shape_of(2, n_row, 1), VK_NO_EXTENT);
  x = VK_APPLY(g, matmul, VK_IN(one, x), .trans_a = 1);
  vk_graph_output(g, "loss", VK_APPLY(g, matmul, VK_IN(x, x), .trans_b = 1));
}

static void recomputation_saves_memory_and_keeps_bits(void **state)
{
  enum { N_LAYER = 8, N_ROW = 1000, WIDTH = 24 };
  vk_graph g;
  net_run r[2];
  build_stack(&g, N_LAYER, N_ROW, WIDTH);
  for (int k = 0; k < 2; k++) {
    vk_target t = net_target(1, true);
    t.recompute = k;
    net_open(&r[k], &g, &t, NULL);
    net_fill_all(&r[k], 4);
    vk_assert_ok(vk_exec_run(r[k].exec, NULL), NULL);
  }
  for (int i = 0; i < r[0].plan->graph.n_output; i++) {
    const char *name = r[0].plan->graph.output[i].name;
    int64_t n = net_n_item(&r[0], net_value(&r[0], name));
    assert_memory_equal(net_data(&r[0], name), net_data(&r[1], name), (size_t)n * 4);
  }
  int n_replay[2] = {0}; /* marked, so that no pass takes them for what was computed before */
  for (int k = 0; k < 2; k++)
    for (int i = 0; i < r[k].plan->graph.n_node; i++)
      n_replay[k] += r[k].plan->graph.node[i].attr.replay != 0;
  assert_int_equal(n_replay[0], 0);
  assert_true(n_replay[1] >= N_LAYER - 1);
  /* seven values a layer become one, and one layer's; what products pack into stays */
  size_t pack = vk_gemm_scratch_bytes(WIDTH, N_ROW, true, true, 1),
         kept = r[0].plan->arena_bytes - pack;
  size_t left = r[1].plan->arena_bytes - pack;
  if (left * 2 > kept) {
    print_error("%zu bytes with recomputation, %zu without\n", left, kept);
    fail();
  }
  net_close(&r[0]);
  net_close(&r[1]);
  vk_graph_fini(&g);
}

/* Gradients of two halves of a batch, added up where they lie, are those of the whole. */
static void accumulation_is_the_sum(void **state)
{
  vk_graph g;
  net_run whole, half;
  static const char *const name[] = {"w0", "b0", "w1", "skip"};
  vk_target t = net_target(2, true);
  net_build(&g, NET_BATCH);
  net_open(&whole, &g, &t, NULL);
  net_fill_all(&whole, 6);
  vk_assert_ok(vk_exec_run(whole.exec, NULL), NULL);
  t.accumulate = true;
  net_open(&half, &g, &t, NULL);
  net_fill_all(&half, 6);
  for (size_t i = 0; i < VK_COUNT(name); i++) {
    char sum[16], grad[16];
    snprintf(sum, sizeof sum, "sum.%s", name[i]);
    snprintf(grad, sizeof grad, "grad.%s", name[i]);
    vk_id v = net_value(&half, grad);
    memset(half.block[v], 0, vk_value_bytes(&half.plan->graph.value[v]));
    vk_exec_bind(half.exec, net_value(&half, sum), half.block[v]);
  }
  vk_assert_ok(vk_exec_prepare(half.exec, NULL), NULL);
  vk_exec_set_size(half.exec, 0, NET_BATCH / 2);
  for (int k = 0; k < 2; k++) {
    enum { N_HALF = NET_BATCH / 2 };
    memcpy(net_data(&half, "x"), net_data(&whole, "x") + k * N_HALF * NET_IN,
           N_HALF * NET_IN * sizeof(float));
    memcpy(net_data(&half, "weight"), net_data(&whole, "weight") + k * N_HALF,
           N_HALF * sizeof(float));
    vk_assert_ok(vk_exec_run(half.exec, NULL), NULL);
  }
  for (size_t i = 0; i < VK_COUNT(name); i++) {
    char grad[16];
    snprintf(grad, sizeof grad, "grad.%s", name[i]);
    int64_t n = net_n_item(&whole, net_value(&whole, grad));
    double *want = graph_to_double(net_data(&whole, grad), n);
    assert_true(net_relative_error(net_data(&half, grad), want, n) < 1e-6);
    free(want);
  }
  net_close(&whole);
  net_close(&half);
  vk_graph_fini(&g);
}

static void refuse(const vk_graph *g, const char *loss, vk_status code, const char *why)
{
  vk_err err = VK_ERR_INIT;
  vk_graph d;
  vk_graph_init(&d, "d");
  vk_assert_fails(vk_autodiff(&d, g, &(vk_autodiff_args){.loss = loss}, &err), code);
  vk_assert_says(&err, why);
  vk_graph_fini(&d);
}

static void refusals(void **state)
{
  vk_graph g;
  net_build(&g, NET_BATCH);
  refuse(&g, "cost", VK_E_NOTFOUND, "no output is named \"cost\"");
  refuse(&g, "y", VK_E_SHAPE, "must be one f32 number");
  /* what only saves work for the backward pass has no gradient of its own */
  vk_id w = vk_graph_param(&g, "w", vk_shape_of(2, 1, NET_IN)), x = vk_graph_find(&g, "x");
  vk_graph_place(&g, "side");
  vk_id y = VK_APPLY(&g, matmul, VK_IN(x, w), .trans_b = 1, .act = VK_ACT_GELU, .keep_pre = 1);
  vk_id sum = VK_APPLY(&g, matmul, VK_IN(vk_graph_find(&g, "weight"), vk_graph_out(&g, y, 1)),
                       .trans_a = 1);
  vk_graph_output(&g, "pre", sum);
  y = VK_APPLY(&g, matmul, VK_IN(x, w), .trans_b = 1, .act = VK_ACT_GELU);
  sum = VK_APPLY(&g, matmul, VK_IN(vk_graph_find(&g, "weight"), y), .trans_a = 1);
  vk_graph_output(&g, "no_pre", sum);
  refuse(&g, "pre", VK_E_UNSUPPORTED, "side: output 1 of matmul has no gradient");
  refuse(&g, "no_pre", VK_E_UNSUPPORTED,
         "side: matmul: its activation has a gradient only if keep_pre");
  vk_graph_fini(&g);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_net),
      cmocka_unit_test(equal_gradients_are_apart),
      cmocka_unit_test(no_gradient_is_zero),
      cmocka_unit_test(parameters_in_all_places),
      cmocka_unit_test(random_graphs),
      cmocka_unit_test(frozen_parameters_cost_nothing),
      cmocka_unit_test(recomputation_saves_memory_and_keeps_bits),
      cmocka_unit_test(accumulation_is_the_sum),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
