/* test_ops.c - what holds for every op of op_list.h: its kernels against its double reference on
 * every path, whatever the number of parts; nothing written outside; its gradient against finite
 * differences of the reference; wrong shapes refused. An op that joins the list is tested by this
 * alone. */
#include "test.h"

#include <stdio.h>

#include "aborts.h"
#include "core/cpu.h"
#include "graph_net.h"
#include "op_case.h"

enum { N_SEED = 12 };

static vk_isa best;

static void compare(const op_case *t, vk_isa isa)
{
  char what[96];
  for (int i = 0; i < t->n_out; i++) {
    int64_t n = vk_shape_n_item(&t->out[i].shape);
    snprintf(what, sizeof what, "%s, case %d, output %d, %s", t->op->name, t->example.i_case, i,
             vk_isa_name(isa));
    if (t->out[i].dtype != VK_F32) {
      assert_memory_equal(t->out[i].data, t->out64[i].data, bytes_of(&t->out[i]));
      continue;
    }
    for (int64_t k = 0; k < n; k++)
      vk_assert_close_at(((const float *)t->out[i].data)[k], ((const double *)t->out64[i].data)[k],
                         t->op->atol, t->op->rtol, what, __FILE__, __LINE__);
  }
}

static void kernels_match_reference(void **state)
{
  for (int i_op = 0; i_op < vk_op_count(); i_op++) {
    const vk_op_def *op = vk_ops[i_op];
    if (op->flags & VK_OP_VIEW)
      continue;
    for (int k = 0; k < N_SEED * n_case_of(op); k++) {
      op_case t;
      op_case_init(&t, op, k % n_case_of(op), 1000 + (uint64_t)k);
      op_case_ref(&t);
      for (vk_isa isa = VK_ISA_SCALAR; isa <= best; isa++) {
        op_case_run(&t, isa, 1);
        compare(&t, isa);
      }
      op_case_fini(&t);
    }
  }
}

static void require_same_on(vk_isa isa, const op_case *a, const op_case *b, const char *why)
{
  char text[64];
  snprintf(text, sizeof text, "%s (%s)", why, vk_isa_name(isa));
  require_same_bits(a, b, text);
}

static void parts_do_not_change_bits(void **state)
{
  for (int i_op = 0; i_op < vk_op_count(); i_op++) {
    const vk_op_def *op = vk_ops[i_op];
    if (op->flags & VK_OP_VIEW)
      continue;
    for (int k = 0; k < 4 * n_case_of(op); k++)
      for (vk_isa isa = VK_ISA_SCALAR; isa <= best; isa++) {
        op_case one, many;
        op_case_init(&one, op, k % n_case_of(op), 7000 + (uint64_t)k);
        op_case_init(&many, op, k % n_case_of(op), 7000 + (uint64_t)k);
        op_case_run(&one, isa, 1);
        op_case_run(&many, isa, 3);
        require_same_on(isa, &one, &many, "other bits in three parts");
        op_case_fini(&one);
        op_case_fini(&many);
      }
  }
}

/* Output 0 over the input that it may lie over, whichever part comes first. */
static void in_place_does_not_change_bits(void **state)
{
  for (int i_op = 0; i_op < vk_op_count(); i_op++) {
    const vk_op_def *op = vk_ops[i_op];
    int n_run = 0;
    for (int k = 0; k < 2 * n_case_of(op) && op->in_place; k++)
      for (vk_isa isa = VK_ISA_SCALAR; isa <= best; isa++) {
        op_case apart, over;
        int i = op->in_place - 1;
        op_case_init(&apart, op, k % n_case_of(op), 400 + (uint64_t)k);
        op_case_init(&over, op, k % n_case_of(op), 400 + (uint64_t)k);
        if (i < over.n_in && over.in[i].data && bytes_of(&over.in[i]) == bytes_of(&over.out[0])) {
          over.out[0].data = over.in[i].data;
          op_case_run(&apart, isa, 1);
          op_case_run(&over, isa, 3);
          require_same_on(isa, &apart, &over, "other bits in place");
          n_run++;
        }
        op_case_fini(&apart);
        op_case_fini(&over);
      }
    if (op->in_place && n_run == 0) {
      print_error("%s: no example has an input that output 0 may lie over\n", op->name);
      fail();
    }
  }
}

/* ---- gradients ----------------------------------------------------------------------------- */

/* What a call computes, and its gradient for random weights of the outputs. */
typedef struct gradient_case {
  op_case t;
  double *weight[VK_NODE_OUT_MAX]; /* loss = sum of weight * output */
  vk_graph graph;                  /* the node and its backward nodes */
  vk_id dx[VK_NODE_IN_MAX];
  void **data; /* [graph.n_value] */
} gradient_case;

static double loss_of(gradient_case *c)
{
  double loss = 0;
  op_case_ref(&c->t);
  for (int i = 0; i < c->t.n_out; i++)
    for (int64_t k = 0; c->weight[i] && k < vk_shape_n_item(&c->t.out64[i].shape); k++)
      loss += c->weight[i][k] * ((const double *)c->t.out64[i].data)[k];
  return loss;
}

/* Builds the backward nodes; outputs after the first count when the op says how (they have a
 * gradient only if the rule reads dy[i]). */
static void gradient_init(gradient_case *c, const vk_op_def *op, int i_case, uint64_t seed)
{
  *c = (gradient_case){0};
  op_case_init(&c->t, op, i_case, seed);
  vk_graph *g = &c->graph;
  vk_err err = VK_ERR_INIT;
  vk_graph_init(g, op->name);
  vk_graph_copy_frame(g, &c->t.graph);
  vk_id map[64], dy[VK_NODE_OUT_MAX];
  bool need[VK_NODE_IN_MAX] = {0};
  for (int v = 0; v < c->t.graph.n_value; v++)
    if (c->t.graph.value[v].kind != VK_RESULT)
      map[v] = vk_graph_copy_value(g, &c->t.graph, v);
  vk_graph_copy_node(g, &c->t.graph, 0, map);
  vk_node n = g->node[0];
  for (int i = 0; i < n.n_in; i++) {
    need[i] = n.in[i] != VK_NONE && g->value[n.in[i]].dtype == VK_F32;
    c->dx[i] = VK_NONE;
  }
  for (int i = 0; i < n.n_out; i++) {
    char name[8] = {'d', 'y', (char)('0' + i)};
    dy[i] =
        i == 0 ? vk_graph_input(g, name, VK_F32, g->value[n.out[i]].shape, VK_NO_EXTENT) : VK_NONE;
    if (dy[i] == VK_NONE)
      continue;
    int64_t n_item = vk_shape_n_item(&c->t.out[i].shape);
    c->weight[i] = calloc((size_t)n_item + 1, sizeof(double));
    assert_non_null(c->weight[i]);
    for (int64_t k = 0; k < n_item; k++)
      c->weight[i][k] = vk_philox_normal(&c->t.rng);
  }
  op->grad(&(vk_grad){.g = g, .node = &n, .dy = dy, .need = need, .dx = c->dx});
  vk_assert_ok(vk_graph_check(g, &err), &err);
  c->data = calloc((size_t)g->n_value + 1, sizeof *c->data);
  assert_non_null(c->data);
  for (int i = 0; i < n.n_in; i++)
    if (n.in[i] != VK_NONE)
      c->data[n.in[i]] = c->t.in64[i].data;
  for (int i = 0; i < n.n_out; i++)
    if (dy[i] != VK_NONE)
      c->data[dy[i]] = c->weight[i];
  for (int v = 0; v < g->n_value; v++)
    if (g->value[v].kind == VK_CONST) { /* f32 constants of rules, in double */
      int64_t n_item = vk_shape_n_item(&g->value[v].shape);
      double *x = calloc((size_t)n_item + 1, sizeof *x);
      assert_non_null(x);
      for (int64_t k = 0; k < n_item; k++)
        x[k] = ((const float *)g->value[v].data)[k];
      c->data[v] = x;
    }
  graph_run_reference(g, NULL, c->data);
}

static void gradient_fini(gradient_case *c)
{
  for (int v = 0; v < c->graph.n_value; v++)
    if (c->graph.value[v].kind == VK_RESULT || c->graph.value[v].kind == VK_CONST)
      free(c->data[v]);
  for (int i = 0; i < VK_NODE_OUT_MAX; i++)
    free(c->weight[i]);
  free(c->data);
  vk_graph_fini(&c->graph);
  op_case_fini(&c->t);
}

static void check_gradient(gradient_case *c, int i_in)
{
  double *x = c->t.in64[i_in].data;
  const double *dx = c->dx[i_in] == VK_NONE ? NULL : c->data[c->dx[i_in]];
  int64_t n = vk_shape_n_item(&c->t.in64[i_in].shape);
  char what[96];
  snprintf(what, sizeof what, "%s, case %d, gradient by input %d", c->t.op->name,
           c->t.example.i_case, i_in);
  if (dx)
    assert_true(vk_shape_n_item(&c->graph.value[c->dx[i_in]].shape) == n);
  for (int64_t k = 0; k < n; k += 1 + n / 40) {
    const double h = 1e-5;
    double old = x[k];
    x[k] = old + h;
    double up = loss_of(c);
    x[k] = old - h;
    double down = loss_of(c);
    x[k] = old;
    vk_assert_close_at(dx ? dx[k] : 0, (up - down) / (2 * h), 2e-7, 2e-6, what, __FILE__, __LINE__);
  }
}

static void gradients_match_differences(void **state)
{
  for (int i_op = 0; i_op < vk_op_count(); i_op++) {
    const vk_op_def *op = vk_ops[i_op];
    assert_true((op->grad != NULL) != ((op->flags & VK_OP_NO_GRAD) != 0));
    if (!op->grad)
      continue;
    for (int k = 0; k < 3 * n_case_of(op); k++) {
      gradient_case c;
      gradient_init(&c, op, k % n_case_of(op), 300 + (uint64_t)k);
      for (int i = 0; i < c.t.n_in && !c.t.example.no_grad; i++)
        if (c.t.example.in[i].is_used && c.t.in[i].dtype == VK_F32 && !(op->data_in >> i & 1))
          check_gradient(&c, i);
      gradient_fini(&c);
    }
  }
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void wrong_shapes_are_refused(void **state)
{
  for (int i_op = 0; i_op < vk_op_count(); i_op++) {
    const vk_op_def *op = vk_ops[i_op];
    op_case t;
    op_case_init(&t, op, 0, 5);
    for (int way = 0; way < 3; way++) {
      vk_err err = VK_ERR_INIT;
      vk_graph g;
      vk_graph_init(&g, "wrong");
      for (int s = 0; s < VK_SYM_MAX; s++)
        vk_graph_sym(&g, "sym", 0);
      vk_in in = {.n = t.n_in};
      for (int i = 0; i < in.n; i++) {
        char name[8] = {'i', 'n', (char)('0' + i)};
        in.id[i] = t.example.in[i].is_used
                       ? vk_graph_input(&g, name, t.in[i].dtype, t.in[i].shape, VK_NO_EXTENT)
                       : VK_NONE;
      }
      if (way == 0) /* too few */
        in.n = op->n_in_min - 1;
      else if (way == 1) /* one is missing */
        in.id[0] = VK_NONE;
      else if (op->flags & VK_OP_ANY_DTYPE) /* too many */
        in.n = op->n_in_max + 1 <= VK_NODE_IN_MAX ? op->n_in_max + 1 : 0;
      else /* of a type that no other op takes */
        in.id[0] = vk_graph_input(&g, "bad", VK_BF16, t.in[0].shape, VK_NO_EXTENT);
      for (int i = t.n_in; i < in.n; i++)
        in.id[i] = in.id[0];
      vk_graph_place(&g, "some.place");
      assert_int_equal(vk_apply(&g, op, in, t.example.attr), VK_NONE);
      assert_int_equal(vk_graph_check(&g, &err), VK_E_SHAPE);
      if (!strstr(err.text, "some.place") || !strstr(err.text, op->name)) {
        print_error("%s: does not name place and op: %s\n", op->name, err.text);
        fail();
      }
      vk_graph_fini(&g);
    }
    op_case_fini(&t);
  }
}

static void refuse(vk_graph *g, vk_id y, const char *why)
{
  vk_err err = VK_ERR_INIT;
  assert_int_equal(y, VK_NONE);
  vk_assert_fails(vk_graph_check(g, &err), VK_E_SHAPE);
  vk_assert_says(&err, why);
  vk_graph_fini(g);
}

/* What kernels could not compute with. */
static void wrong_sizes_are_refused(void **state)
{
  vk_graph g;
  vk_graph_init(&g, "wrong");
  vk_id x = vk_graph_input(&g, "x", VK_F32, vk_shape_of(4, 1, 4, 4, 0), VK_NO_EXTENT);
  vk_id w = vk_graph_param(&g, "w", vk_shape_of(4, 2, 0, 1, 1));
  refuse(&g, VK_APPLY(&g, conv, VK_IN(x, w), .kernel = 1, .stride = 1), "channels");

  vk_graph_init(&g, "wrong");
  x = vk_graph_input(&g, "x", VK_U8, vk_shape_of(4, 1, 4, 4, 3), VK_NO_EXTENT);
  w = vk_graph_param(&g, "w", vk_shape_of(4, 2, 3, 1, 1));
  refuse(&g, VK_APPLY(&g, conv, VK_IN(x, w), .kernel = 1, .stride = 1), "need a scale");

  vk_graph_init(&g, "wrong");
  x = vk_graph_input(&g, "x", VK_F32, vk_shape_of(4, 1, 4, 4, 3), VK_NO_EXTENT);
  w = vk_graph_param(&g, "w", vk_shape_of(4, 2, 3, 1, 1));
  refuse(&g, VK_APPLY(&g, conv, VK_IN(x, w), .kernel = 1, .stride = 1, .scale = 2), "of u8");

  /* one row, whose length is another in every run */
  vk_graph_init(&g, "wrong");
  int rows = vk_graph_sym(&g, "batch", 4);
  x = vk_graph_input(&g, "x", VK_F32, vk_shape_of(1, 20), vk_graph_extent(rows, 5, 0));
  refuse(&g, VK_APPLY(&g, sum_rows, VK_IN(x)), "one length");

  /* at capacity there are 8 queries a segment, but not in a run */
  vk_graph_init(&g, "wrong");
  int sym = vk_graph_sym(&g, "batch", 4);
  x = vk_graph_input(&g, "q", VK_F32, vk_shape_of(2, 32, 6), vk_graph_extent(sym, 4, 16));
  vk_id kv = vk_graph_input(&g, "kv", VK_F32, vk_shape_of(2, 20, 12), VK_NO_EXTENT);
  vk_id seg = vk_graph_input(&g, "seg", VK_I32, vk_shape_of(1, 5), vk_graph_extent(sym, 1, 1));
  refuse(&g, VK_APPLY(&g, attention, VK_IN(x, kv, seg), .n_head = 2, .len_q = 8), "extent");

  vk_graph_init(&g, "wrong");
  sym = vk_graph_sym(&g, "token", 12);
  x = vk_graph_input(&g, "x", VK_F32, vk_shape_of(2, 12, 6), vk_graph_extent(sym, 1, 0));
  refuse(&g, VK_APPLY(&g, attention, VK_IN(x), .n_head = 2, .len_k = 4), "segments of 4");

  vk_graph_init(&g, "wrong");
  x = vk_graph_input(&g, "x", VK_F32, vk_shape_of(2, 12, 6), VK_NO_EXTENT);
  refuse(&g, VK_APPLY(&g, attention, VK_IN(x), .n_head = 2, .len_k = 4, .max_k = 4), "max_k");
}

/* References of ops that take any type copy items of their size. */
static void any_type_is_taken(void **state)
{
  static const vk_dtype dtype[] = {VK_U8, VK_BF16, VK_I32, VK_F64};
  for (int i_op = 0; i_op < vk_op_count(); i_op++)
    for (size_t i = 0; i < VK_COUNT(dtype) && vk_ops[i_op]->flags & VK_OP_ANY_DTYPE; i++) {
      vk_err err = VK_ERR_INIT;
      vk_graph g;
      uint8_t from[64], to[64];
      vk_graph_init(&g, "any");
      vk_attrs attr = {.count = 3};
      vk_id x = vk_graph_input(&g, "x", dtype[i], vk_shape_of(2, 2, 3), VK_NO_EXTENT);
      vk_id y = vk_apply(&g, vk_ops[i_op], VK_IN(x), attr);
      vk_assert_ok(vk_graph_check(&g, &err), &err);
      assert_int_equal(g.value[y].dtype, dtype[i]);
      for (size_t k = 0; k < sizeof from; k++)
        from[k] = (uint8_t)(k + 1);
      memset(to, GUARD_BYTE, sizeof to);
      vk_tensor in = {.data = from, .dtype = dtype[i], .shape = g.value[x].shape}, out = in;
      out.data = to;
      vk_ops[i_op]->ref(
          &(vk_op_call){.attr = &attr, .n_in = 1, .n_out = 1, .in = &in, .out = &out, .n_part = 1});
      size_t n = bytes_of(&in);
      assert_memory_equal(from, to, n);
      for (size_t k = n; k < sizeof to; k++)
        assert_int_equal(to[k], GUARD_BYTE);
      vk_graph_fini(&g);
    }
}

static void run_attention(void *t)
{
  op_case_run(t, VK_ISA_SCALAR, 1);
}

/* A segment of more rows than the graph allows ends the program. */
static void too_long_segments_abort(void **state)
{
  for (int more = 0; more < 2; more++) {
    op_case t;
    op_case_init(&t, &vk_op_attention, 5, 1);
    t.example.attr.max_k -= more;
    assert_int_equal(aborts(run_attention, &t), more);
    op_case_fini(&t);
  }
}

static void ops_are_described(void **state)
{
  for (int i = 0; i < vk_op_count(); i++) {
    const vk_op_def *op = vk_ops[i];
    assert_true(i == 0 || strcmp(vk_ops[i - 1]->name, op->name) < 0); /* sorted, each once */
    assert_true(vk_op_find(op->name) == op);
    assert_true(op->help && op->tolerance && op->infer && op->ref && op->example);
    assert_true(op->in_place <= op->n_in_max && op->n_out >= 1);
  }
  assert_null(vk_op_find("no_such_op"));
}

int main(void)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  best = vk_isa_best(&cpu);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ops_are_described),        cmocka_unit_test(kernels_match_reference),
      cmocka_unit_test(parts_do_not_change_bits), cmocka_unit_test(gradients_match_differences),
      cmocka_unit_test(wrong_shapes_are_refused), cmocka_unit_test(in_place_does_not_change_bits),
      cmocka_unit_test(wrong_sizes_are_refused),  cmocka_unit_test(any_type_is_taken),
      cmocka_unit_test(too_long_segments_abort),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
