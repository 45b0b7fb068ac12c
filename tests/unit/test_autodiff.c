/* test_autodiff.c - gradients of whole graphs against finite differences in double; what is frozen
 * costs nothing; what is refused. */
#include "test.h"

#include "graph_net.h"
#include "nn/autodiff.h"

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
    vk_exec_run(r.exec);
    for (int i = 0; i < 3; i++)
      for (int k = 0; k < N; k++)
        vk_assert_close(dx[i][k], (i == 0 ? 2 : 1) * (k + 1), 1e-6, 0);
  }
  net_close(&r);
  vk_graph_fini(&g);
}

static void refusals(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g, d;
  net_build(&g, NET_BATCH);
  vk_graph_init(&d, "d");
  vk_assert_fails(vk_autodiff(&d, &g, &(vk_autodiff_args){.loss = "cost"}, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "no output is named \"cost\"");
  vk_graph_fini(&d);
  vk_graph_init(&d, "d");
  vk_assert_fails(vk_autodiff(&d, &g, &(vk_autodiff_args){.loss = "y"}, &err), VK_E_SHAPE);
  vk_assert_says(&err, "must be one f32 number");
  vk_graph_fini(&d);
  vk_graph_fini(&g);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_net),
      cmocka_unit_test(equal_gradients_are_apart),
      cmocka_unit_test(refusals),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
