/* test_passes.c - for every pass: results with it and without it agree, forward and with gradients,
 * and it does something to the graph that it is for. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "nn/exec.h"
#include "nn/graph_dump.h"
#include "nn/graph_svg.h"
#include "nn/pass.h"
#include "nn/plan.h"

enum { N_BATCH = 5, N_OUT_MAX = 32, N_OP_MAX = 256 };

static vk_isa best;

/* ---- running a graph ----------------------------------------------------------------------- */

/* What a run of a plan gave: its outputs by name, as floats. */
typedef struct result {
  int n;
  char name[N_OUT_MAX][64];
  float *item[N_OUT_MAX];
  int64_t n_item[N_OUT_MAX];
  int n_node;
  int n_op[N_OP_MAX]; /* by place in vk_ops */
} result;

static void result_fini(result *r)
{
  for (int i = 0; i < r->n; i++)
    free(r->item[i]);
}

static int count_op(const result *r, const char *name)
{
  for (int i = 0; i < vk_op_count(); i++)
    if (strcmp(vk_ops[i]->name, name) == 0)
      return r->n_op[i];
  return 0;
}

static void *new_bytes(size_t n)
{
  void *p = aligned_alloc(64, (n + 63) / 64 * 64 + 64);
  assert_non_null(p);
  memset(p, 0, (n + 63) / 64 * 64 + 64);
  return p;
}

/* The same for the same name, whatever the graph. */
static void fill(const vk_value *v, void *data)
{
  uint64_t seed = 14695981039346656037u;
  for (const char *c = v->name; *c; c++)
    seed = (seed ^ (uint8_t)*c) * 1099511628211u;
  vk_philox rng;
  vk_philox_init(&rng, seed, 0);
  for (int64_t i = 0; i < vk_shape_n_item(&v->shape); i++)
    if (v->dtype == VK_F32)
      ((float *)data)[i] = 0.5f * (float)vk_philox_normal(&rng);
    else
      ((uint8_t *)data)[i] = (uint8_t)vk_philox_u64(&rng);
}

/* Binds what the caller owns. Gradients lie in the memory of their sums, where there are any. */
static int bind_all(vk_exec *x, const vk_plan *p, void **block)
{
  const vk_graph *g = &p->graph;
  int n = 0;
  for (int v = 0; v < g->n_value; v++) {
    const vk_value *a = &g->value[v];
    if (p->place[v].root != v || (a->kind != VK_PARAM && !a->is_external))
      continue;
    block[n] = new_bytes(vk_value_bytes(a));
    fill(a, block[n]);
    vk_exec_bind(x, v, block[n++]);
  }
  for (int i = 0; i < g->n_output; i++) {
    if (!g->output[i].is_external)
      continue;
    char sum[80];
    snprintf(sum, sizeof sum, "sum%s", strchr(g->output[i].name, '.'));
    vk_id s = vk_graph_find(g, sum);
    void *data = s != VK_NONE ? vk_exec_data(x, s) : NULL;
    if (!data)
      data = block[n++] = new_bytes(vk_value_bytes(&g->value[g->output[i].value]));
    vk_exec_bind(x, g->output[i].value, data);
  }
  return n;
}

static void keep_outputs(result *r, const vk_exec *x, const vk_graph *g)
{
  for (int i = 0; i < g->n_output; i++) {
    vk_shape s = vk_exec_shape(x, g->output[i].value);
    assert_true(r->n < N_OUT_MAX);
    snprintf(r->name[r->n], sizeof r->name[0], "%s", g->output[i].name);
    r->n_item[r->n] = vk_shape_n_item(&s);
    r->item[r->n] = new_bytes((size_t)r->n_item[r->n] * sizeof(float));
    memcpy(r->item[r->n], vk_exec_data(x, g->output[i].value),
           (size_t)r->n_item[r->n] * sizeof(float));
    r->n++;
  }
}

/* Plans and runs with n_batch rows of the batch. */
static void run_graph(result *r, const vk_graph *g, const vk_target *target, int64_t n_batch)
{
  vk_err err = VK_ERR_INIT;
  vk_plan *p;
  vk_exec *x;
  vk_team *team;
  void *block[64];
  *r = (result){0};
  vk_assert_ok(vk_plan_new(&p, g, target, NULL, NULL, &err), &err);
  vk_assert_ok(vk_team_new(&team, target->n_thread, &err), &err);
  vk_assert_ok(vk_exec_new(&x, p, VK_CPU(team), NULL, &err), &err);
  int n_block = bind_all(x, p, block);
  vk_exec_set_size(x, 0, n_batch);
  for (int v = 0; v < p->graph.n_value; v++)
    if (p->place[v].where == VK_WHERE_HELD && p->graph.value[v].kind == VK_INPUT)
      fill(&p->graph.value[v], vk_exec_data(x, v));
  vk_assert_ok(vk_exec_prepare(x, NULL), NULL);
  vk_assert_ok(vk_exec_run(x, NULL), NULL);
  keep_outputs(r, x, &p->graph);
  assert_true(vk_op_count() <= N_OP_MAX);
  r->n_node = p->graph.n_node;
  for (int i = 0; i < p->graph.n_node; i++)
    for (int k = 0; k < vk_op_count(); k++)
      r->n_op[k] += vk_ops[k] == p->graph.node[i].op;
  vk_exec_free(x);
  vk_team_free(team);
  vk_plan_free(p);
  for (int i = 0; i < n_block; i++)
    free(block[i]);
}

static void assert_agree(const result *a, const result *b, double tolerance)
{
  assert_int_equal(a->n, b->n);
  for (int i = 0; i < a->n; i++) {
    assert_string_equal(a->name[i], b->name[i]);
    assert_int_equal(a->n_item[i], b->n_item[i]);
    double scale = 0;
    for (int64_t k = 0; k < a->n_item[i]; k++)
      scale = fmax(scale, fabs(b->item[i][k]));
    for (int64_t k = 0; k < a->n_item[i]; k++)
      vk_assert_close_at(a->item[i][k], b->item[i][k], tolerance * scale, tolerance, a->name[i],
                         __FILE__, __LINE__);
  }
}

static vk_target target_of(const char *loss)
{
  return (vk_target){.isa = best, .n_thread = 2, .is_train = loss != NULL, .loss = loss};
}

/* Runs g with all passes and without one of them; both results for the caller to look into. */
static void run_with_and_without(result *with, result *without, const vk_graph *g, vk_target target,
                                 const char *pass)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_pass_check_name(pass, &err), &err);
  run_graph(with, g, &target, N_BATCH - 2);
  target.n_skip = 1;
  target.skip = &pass;
  run_graph(without, g, &target, N_BATCH - 2);
  assert_agree(with, without, target.is_bf16 ? 2e-2 : 1e-5);
}

/* ---- graphs -------------------------------------------------------------------------------- */

enum { D = 24, HIDDEN = 40 };

static vk_id linear(vk_graph *g, const char *name, vk_id x, int n_out, int n_in)
{
  return VK_APPLY(g, matmul, VK_IN(x, vk_graph_param(g, name, vk_shape_of(2, n_out, n_in))),
                  .trans_b = 1);
}

/* Two blocks x + W2 gelu(W1 x + b), and the sum of the squares of a column of what they give. */
static void build_mlp(vk_graph *g)
{
  char name[2][32];
  vk_graph_init(g, "mlp");
  int batch = vk_graph_sym(g, "batch", N_BATCH);
  vk_id x =
      vk_graph_input(g, "x", VK_F32, vk_shape_of(2, 3 * N_BATCH, D), vk_graph_extent(batch, 3, 0));
  for (int i = 0; i < 2; i++) {
    vk_graph_place(g, "layer.%d", i);
    snprintf(name[0], sizeof name[0], "w1.%d", i);
    snprintf(name[1], sizeof name[1], "b1.%d", i);
    vk_id w1 = vk_graph_param(g, name[0], vk_shape_of(2, HIDDEN, D));
    vk_id b1 = vk_graph_param(g, name[1], vk_shape_of(1, HIDDEN));
    vk_id h = VK_APPLY(g, matmul, VK_IN(x, w1, b1), .trans_b = 1);
    snprintf(name[0], sizeof name[0], "w2.%d", i);
    vk_id dx = linear(g, name[0], VK_APPLY(g, gelu, VK_IN(h)), D, HIDDEN);
    x = i ? VK_APPLY(g, add, VK_IN(dx, x), .scale = 1) : VK_APPLY(g, add, VK_IN(x, dx), .scale = 1);
  }
  vk_graph_place(g, "head");
  vk_id y = linear(g, "head", x, 1, D);
  vk_graph_output(g, "x", x);
  vk_graph_output(g, "loss", VK_APPLY(g, matmul, VK_IN(y, y), .trans_a = 1));
}

/* ---- fusion -------------------------------------------------------------------------------- */

static void fusion_takes_activations_and_residuals(void **state)
{
  vk_graph g;
  result with, without;
  build_mlp(&g);
  run_with_and_without(&with, &without, &g, target_of(NULL), "fusion");
  assert_int_equal(count_op(&without, "gelu"), 2);
  assert_int_equal(count_op(&without, "add"), 2);
  assert_int_equal(count_op(&with, "gelu"), 0);
  assert_int_equal(count_op(&with, "add"), 0);
  assert_int_equal(without.n_node - with.n_node, 4);
  result_fini(&with);
  result_fini(&without);
  vk_graph_fini(&g);
}

static void fusion_keeps_gradients(void **state)
{
  vk_graph g;
  result with, without;
  build_mlp(&g);
  run_with_and_without(&with, &without, &g, target_of("loss"), "fusion");
  assert_int_equal(with.n, 2 + 7);
  assert_int_equal(count_op(&with, "gelu"), 0);
  result_fini(&with);
  result_fini(&without);
  vk_graph_fini(&g);
}

/* Pictures to channels as a stem does it: u8, conv, group norm, gelu, film. */
static void build_stem(vk_graph *g)
{
  vk_graph_init(g, "stem");
  int batch = vk_graph_sym(g, "batch", N_BATCH);
  vk_id x = vk_graph_input(g, "picture", VK_U8, vk_shape_of(4, 2 * N_BATCH, 8, 6, 3),
                           vk_graph_extent(batch, 2, 0));
  vk_id text =
      vk_graph_input(g, "text", VK_F32, vk_shape_of(2, N_BATCH, D), vk_graph_extent(batch, 1, 0));
  x = VK_APPLY(g, affine, VK_IN(x), .scale = 1 / 127.5, .shift = -1);
  for (int i = 0; i < 2; i++) {
    int n_out = i ? 16 : 8, n_in = i ? 8 : 3;
    vk_graph_place(g, "stem.%d", i);
    vk_id w = vk_graph_param(g, i ? "conv1" : "conv0", vk_shape_of(4, n_out, n_in, 3, 3));
    vk_id norm_w = vk_graph_param(g, i ? "nw1" : "nw0", vk_shape_of(1, n_out));
    vk_id norm_b = vk_graph_param(g, i ? "nb1" : "nb0", vk_shape_of(1, n_out));
    x = VK_APPLY(g, conv, VK_IN(x, w), .kernel = 3, .stride = 2, .pad = 1);
    x = VK_APPLY(g, group_norm, VK_IN(x, norm_w, norm_b), .n_group = 4, .eps = 1e-5);
    x = VK_APPLY(g, gelu, VK_IN(x));
    if (i)
      x = VK_APPLY(g, film, VK_IN(x, linear(g, "film", text, 2 * n_out, D)), .group = 2);
  }
  vk_graph_place(g, "head");
  x = VK_APPLY(g, reshape, VK_IN(x), .count = 16);
  vk_id y = linear(g, "head", x, 1, 16);
  vk_graph_output(g, "x", x);
  vk_graph_output(g, "loss", VK_APPLY(g, matmul, VK_IN(y, y), .trans_a = 1));
}

static void fusion_takes_what_follows_convolutions(void **state)
{
  for (vk_isa isa = VK_ISA_SCALAR; isa <= best; isa++)
    for (int is_train = 0; is_train < 2; is_train++) {
      vk_graph g;
      result with, without;
      vk_target target = target_of(is_train ? "loss" : NULL);
      target.isa = isa;
      build_stem(&g);
      run_with_and_without(&with, &without, &g, target, "fusion");
      assert_int_equal(count_op(&without, "affine"), 1);
      assert_int_equal(count_op(&without, "gelu"), 2);
      assert_int_equal(count_op(&without, "film"), 1);
      assert_int_equal(count_op(&with, "affine"), 0);
      assert_int_equal(count_op(&with, "gelu") + count_op(&with, "gelu_grad"), 0);
      assert_int_equal(count_op(&with, "film") + count_op(&with, "film_grad"), 0);
      result_fini(&with);
      result_fini(&without);
      vk_graph_fini(&g);
    }
}

/* With no row at all gradients of weights are zero. */
static void an_empty_batch_gives_zero_gradients(void **state)
{
  vk_graph g;
  result r;
  const vk_target target = target_of("loss");
  build_mlp(&g);
  run_graph(&r, &g, &target, 0);
  for (int i = 0; i < r.n; i++)
    for (int64_t k = 0; k < r.n_item[i]; k++)
      assert_true(r.item[i][k] == 0);
  result_fini(&r);
  vk_graph_fini(&g);
}

/* A value that something else reads, that is an output or a boundary is not fused away. */
static void fusion_keeps_what_is_read_twice(void **state)
{
  for (int i = 0; i < 4; i++) {
    vk_graph g;
    result with, without;
    vk_graph_init(&g, "twice");
    int batch = vk_graph_sym(&g, "batch", N_BATCH);
    vk_id x =
        vk_graph_input(&g, "x", VK_F32, vk_shape_of(2, N_BATCH, D), vk_graph_extent(batch, 1, 0));
    vk_id h = linear(&g, "w", x, D, D);
    vk_id y = VK_APPLY(&g, gelu, VK_IN(h));
    if (i == 0)
      vk_graph_output(&g, "h", h);
    else if (i == 1)
      vk_graph_output(&g, "z", VK_APPLY(&g, affine, VK_IN(h), .scale = 2));
    else if (i == 2)
      g.value[h].is_boundary = true;
    vk_graph_output(&g, "y", y);
    run_with_and_without(&with, &without, &g, target_of(NULL), "fusion");
    assert_int_equal(count_op(&with, "gelu"), i == 3 ? 0 : 1);
    result_fini(&with);
    result_fini(&without);
    vk_graph_fini(&g);
  }
}

/* Rows that are fewer in a run are not added to rows that are not; what is scaled stays alone. */
static void fusion_keeps_other_extents(void **state)
{
  vk_graph g;
  vk_err err = VK_ERR_INIT;
  vk_graph_init(&g, "extents");
  int batch = vk_graph_sym(&g, "batch", N_BATCH);
  vk_id x =
      vk_graph_input(&g, "x", VK_F32, vk_shape_of(2, N_BATCH, D), vk_graph_extent(batch, 1, 0));
  vk_id all = vk_graph_input(&g, "all", VK_F32, vk_shape_of(2, N_BATCH, D), VK_NO_EXTENT);
  vk_graph_output(&g, "z", VK_APPLY(&g, add, VK_IN(x, linear(&g, "v", x, D, D)), .scale = 0.5));
  vk_plan *p;
  const char *const pack = "pack";
  vk_target target = target_of(NULL);
  target.n_skip = 1;
  target.skip = &pack;
  vk_assert_ok(vk_plan_new(&p, &g, &target, NULL, NULL, &err), &err);
  assert_int_equal(p->graph.n_node, 2);
  vk_plan_free(p);
  assert_int_equal(VK_APPLY(&g, add, VK_IN(x, linear(&g, "w", all, D, D)), .scale = 1), VK_NONE);
  vk_assert_fails(vk_graph_check(&g, &err), VK_E_SHAPE);
  vk_assert_says(&err, "the same extent");
  vk_graph_fini(&g);
}

/* ---- merge ----------------------------------------------------------------------------------- */

static void merge_takes_slopes_and_sums(void **state)
{
  for (vk_isa isa = VK_ISA_SCALAR; isa <= best; isa++)
    for (int accumulate = 0; accumulate < 2; accumulate++) {
      vk_graph g;
      result with, without;
      vk_target target = target_of("loss");
      target.isa = isa;
      target.accumulate = accumulate;
      build_mlp(&g);
      run_with_and_without(&with, &without, &g, target, "merge");
      assert_int_equal(count_op(&without, "gelu_grad"), 2);
      assert_int_equal(count_op(&with, "gelu_grad"), 0);
      /* the gradient by x of the second block, twice that of y y', and the weights' sums */
      assert_int_equal(count_op(&without, "add") - count_op(&with, "add"), 2 + 5 * accumulate);
      result_fini(&with);
      result_fini(&without);
      vk_graph_fini(&g);
    }
}

/* The gradient that goes around a norm is added by the norm's. */
static void merge_adds_in_norms(void **state)
{
  for (vk_isa isa = VK_ISA_SCALAR; isa <= best; isa++) {
    vk_graph g;
    result with, without;
    vk_target target = target_of("loss");
    target.isa = isa;
    vk_graph_init(&g, "norms");
    int batch = vk_graph_sym(&g, "batch", N_BATCH);
    vk_id x =
        vk_graph_input(&g, "x", VK_F32, vk_shape_of(2, N_BATCH, D), vk_graph_extent(batch, 1, 0));
    x = linear(&g, "in", x, D, D);
    for (int i = 0; i < 3; i++) {
      vk_id norm = vk_graph_param(&g, i == 0 ? "n0" : i == 1 ? "n1" : "n2", vk_shape_of(1, D));
      vk_id y = VK_APPLY(&g, rms_norm, VK_IN(x, norm), .eps = 1e-6);
      y = linear(&g, i == 0 ? "w0" : i == 1 ? "w1" : "w2", y, D, D);
      x = VK_APPLY(&g, add, VK_IN(x, y), .scale = 1);
    }
    vk_id y = linear(&g, "head", x, 1, D);
    vk_graph_output(&g, "loss", VK_APPLY(&g, matmul, VK_IN(y, y), .trans_a = 1));
    run_with_and_without(&with, &without, &g, target, "merge");
    assert_int_equal(count_op(&without, "add"), 3 + 1);
    assert_int_equal(count_op(&with, "add"), 0);
    assert_int_equal(count_op(&with, "rms_norm_grad"), 3);
    result_fini(&with);
    result_fini(&without);
    vk_graph_fini(&g);
  }
}

/* A norm's gradient cannot add what is made after it. */
static void merge_keeps_the_order(void **state)
{
  vk_graph g;
  result with, without;
  vk_graph_init(&g, "beside");
  int batch = vk_graph_sym(&g, "batch", N_BATCH);
  vk_id x =
      vk_graph_input(&g, "x", VK_F32, vk_shape_of(2, N_BATCH, D), vk_graph_extent(batch, 1, 0));
  x = linear(&g, "in", x, D, D);
  vk_id side = linear(&g, "side", x, D, D);
  vk_id y = VK_APPLY(&g, rms_norm, VK_IN(x, vk_graph_param(&g, "n", vk_shape_of(1, D))), .eps = 1);
  y = VK_APPLY(&g, add, VK_IN(side, linear(&g, "w", y, D, D)), .scale = 1);
  y = linear(&g, "head", y, 1, D);
  vk_graph_output(&g, "loss", VK_APPLY(&g, matmul, VK_IN(y, y), .trans_a = 1));
  run_with_and_without(&with, &without, &g, target_of("loss"), "merge");
  assert_int_equal(count_op(&without, "add"), 1 + 1);
  assert_int_equal(count_op(&with, "add"), 0);
  result_fini(&with);
  result_fini(&without);
  vk_graph_fini(&g);
}

/* Of a layer that is computed a second time the value before the activation is kept once. */
static void merge_drops_what_no_gradient_reads(void **state)
{
  vk_graph g;
  vk_err err = VK_ERR_INIT;
  vk_plan *p;
  build_mlp(&g);
  for (int v = 0; v < g.n_value; v++)
    g.value[v].is_boundary = g.value[v].kind == VK_RESULT && strstr(g.value[v].name, ".add");
  vk_target target = target_of("loss");
  target.recompute = true;
  vk_assert_ok(vk_plan_new(&p, &g, &target, NULL, NULL, &err), &err);
  int n_kept = 0, n_act = 0;
  for (int i = 0; i < p->graph.n_node; i++) {
    n_kept += p->graph.node[i].attr.keep_pre != 0;
    n_act += p->graph.node[i].attr.act == VK_ACT_GELU;
  }
  assert_int_equal(n_act, 4);
  assert_int_equal(n_kept, 2);
  vk_plan_free(p);
  vk_graph_fini(&g);
}

/* ---- pack and what is computed once --------------------------------------------------------- */

/* y = gelu(x W1 + b) (V V): one weight as it is, one that is computed from parameters; W1 twice. */
static void build_packable(vk_graph *g)
{
  vk_graph_init(g, "packable");
  int batch = vk_graph_sym(g, "batch", N_BATCH);
  vk_id x =
      vk_graph_input(g, "x", VK_F32, vk_shape_of(2, N_BATCH, D), vk_graph_extent(batch, 1, 0));
  vk_id w = vk_graph_param(g, "w", vk_shape_of(2, D, HIDDEN));
  vk_id bias = vk_graph_param(g, "b", vk_shape_of(1, HIDDEN));
  vk_id v = vk_graph_param(g, "v", vk_shape_of(2, HIDDEN, HIDDEN));
  vk_id vv = VK_APPLY(g, matmul, VK_IN(v, v), .trans_b = 1);
  vk_id h = VK_APPLY(g, gelu, VK_IN(VK_APPLY(g, matmul, VK_IN(x, w, bias), .trans_b = 0)));
  vk_id again = VK_APPLY(g, matmul, VK_IN(x, w));
  vk_graph_output(g, "y", VK_APPLY(g, matmul, VK_IN(h, vv), .trans_b = 1));
  vk_graph_output(g, "z", VK_APPLY(g, matmul, VK_IN(again, v), .trans_b = 1));
}

/* Panels are made once a weight, in inference alone, and change no bit. */
static void check_panels(void (*build)(vk_graph *g), const char *op, int n)
{
  for (vk_isa isa = VK_ISA_SCALAR; isa <= best; isa++) {
    vk_graph g;
    result with, without;
    vk_target target = target_of(NULL);
    target.isa = isa;
    build(&g);
    run_with_and_without(&with, &without, &g, target, "pack");
    assert_int_equal(count_op(&with, op), n);
    assert_int_equal(count_op(&without, op), 0);
    for (int i = 0; i < with.n; i++)
      assert_memory_equal(with.item[i], without.item[i],
                          (size_t)with.n_item[i] * sizeof *with.item[i]);
    result_fini(&with);
    result_fini(&without);
    vk_graph_fini(&g);
  }
}

static void pack_makes_panels_once(void **state)
{
  check_panels(build_packable, "pack", 3);
}

static void pack_lays_out_convolutions(void **state)
{
  check_panels(build_stem, "conv_pack", 2);
}

/* ---- bf16 ----------------------------------------------------------------------------------- */

/* Products by weights and gradients are rounded and near, in inference and training, whatever the
 * threads. */
static void bf16_rounds_products(void **state)
{
  for (vk_isa isa = VK_ISA_SCALAR; isa <= best; isa++)
    for (int is_train = 0; is_train < 2; is_train++) {
      vk_graph g;
      result with, without, again;
      vk_target target = target_of(is_train ? "loss" : NULL);
      target.isa = isa;
      target.is_bf16 = true;
      build_mlp(&g);
      run_with_and_without(&with, &without, &g, target, "bf16");
      assert_int_equal(count_op(&with, "pack"), is_train ? 5 + 3 : 5);
      assert_memory_not_equal(with.item[0], without.item[0],
                              (size_t)with.n_item[0] * sizeof *with.item[0]);
      target.n_thread = 1;
      run_graph(&again, &g, &target, N_BATCH - 2);
      for (int i = 0; i < with.n; i++)
        assert_memory_equal(with.item[i], again.item[i],
                            (size_t)with.n_item[i] * sizeof *with.item[i]);
      result_fini(&with);
      result_fini(&without);
      result_fini(&again);
      vk_graph_fini(&g);
    }
}

/* Two convolutions and attention of the pixels, with as many channels as bf16 is worth it for. */
static void build_pictures(vk_graph *g)
{
  enum { C = 64, N_PIXEL = 6 };
  vk_graph_init(g, "pictures");
  int batch = vk_graph_sym(g, "batch", N_BATCH);
  vk_id x = vk_graph_input(g, "x", VK_F32, vk_shape_of(4, N_BATCH, 9, 6, 16),
                           vk_graph_extent(batch, 1, 0));
  for (int i = 0; i < 2; i++) {
    vk_id w = vk_graph_param(g, i ? "w1" : "w0", vk_shape_of(4, C, i ? C : 16, 3, 3));
    x = VK_APPLY(g, conv, VK_IN(x, w), .kernel = 3, .stride = 2, .pad = 1);
  }
  x = VK_APPLY(g, reshape, VK_IN(x), .count = C);
  x = VK_APPLY(g, rms_norm, VK_IN(x, vk_graph_param(g, "norm", vk_shape_of(1, C))), .eps = 1e-6);
  x = VK_APPLY(g, attention, VK_IN(linear(g, "qkv", x, 3 * D, C)), .n_head = 2, .len_k = N_PIXEL);
  vk_id y = linear(g, "head", x, 1, D);
  vk_graph_output(g, "x", x);
  vk_graph_output(g, "loss", VK_APPLY(g, matmul, VK_IN(y, y), .trans_a = 1));
}

/* Convolutions and their gradients where the processor has instructions for bf16. */
static void bf16_rounds_convolutions(void **state)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  for (vk_isa isa = VK_ISA_SCALAR; isa <= best; isa++) {
    vk_graph g;
    result with, without, again;
    vk_target target = target_of("loss");
    bool is_fast = isa >= VK_ISA_AMX || (isa == VK_ISA_AVX512 && cpu.avx512_bf16);
    target.isa = isa;
    target.is_bf16 = true;
    build_pictures(&g);
    run_with_and_without(&with, &without, &g, target, "bf16");
    assert_int_equal(count_op(&with, "conv_pack"), is_fast ? 2 : 0);
    target.n_thread = 1;
    run_graph(&again, &g, &target, N_BATCH - 2);
    for (int i = 0; i < with.n; i++)
      assert_memory_equal(with.item[i], again.item[i],
                          (size_t)with.n_item[i] * sizeof *with.item[i]);
    result_fini(&with);
    result_fini(&without);
    result_fini(&again);
    vk_graph_fini(&g);
  }
}

/* In inference what parameters alone decide is computed once, in training every time. */
static void parameters_alone_are_computed_once(void **state)
{
  for (int is_train = 0; is_train < 2; is_train++) {
    vk_graph g;
    vk_plan *p;
    vk_err err = VK_ERR_INIT;
    build_packable(&g);
    vk_graph_output(&g, "loss",
                    VK_APPLY(&g, matmul,
                             VK_IN(vk_graph_param(&g, "u", vk_shape_of(2, 1, D)),
                                   vk_graph_param(&g, "t", vk_shape_of(2, 1, D))),
                             .trans_b = 1));
    const vk_target target = target_of(is_train ? "loss" : NULL);
    vk_assert_ok(vk_plan_new(&p, &g, &target, NULL, NULL, &err), &err);
    int n_once = 0;
    for (int i = 0; i < p->graph.n_node; i++)
      n_once += p->is_once[i];
    assert_int_equal(n_once, is_train ? 0 : 2 + 3); /* v v, the loss, panels */
    assert_true((p->once_bytes > 0) == !is_train);
    vk_plan_free(p);
    vk_graph_fini(&g);
  }
}

/* ---- the dump ------------------------------------------------------------------------------ */

static char *dump_of(const vk_graph *g)
{
  char *text = NULL;
  size_t n = 0;
  FILE *out = open_memstream(&text, &n);
  assert_non_null(out);
  vk_graph_dump(g, out);
  assert_int_equal(fclose(out), 0);
  return text;
}

static void build_tiny(vk_graph *g)
{
  const float half = 0.5f;
  vk_graph_init(g, "tiny");
  int batch = vk_graph_sym(g, "batch", 4);
  vk_id x = vk_graph_input(g, "x", VK_F32, vk_shape_of(2, 13, 8), vk_graph_extent(batch, 3, 1));
  vk_id w = vk_graph_param(g, "w", vk_shape_of(2, 8, 8));
  g->value[w].is_frozen = true;
  vk_graph_const(g, "half", VK_F32, vk_shape_of(0), &half);
  vk_graph_place(g, "mlp");
  vk_id y = VK_APPLY(g, gelu, VK_IN(VK_APPLY(g, matmul, VK_IN(x, w), .trans_b = 1)));
  y = VK_APPLY(g, matmul, VK_IN(y, w), .trans_b = 1);
  vk_graph_place(g, "%s", "");
  vk_graph_output(g, "y", VK_APPLY(g, add, VK_IN(x, y), .scale = -0.5));
}

static void a_dump_is_as_promised(void **state)
{
  vk_graph g;
  build_tiny(&g);
  char *text = dump_of(&g);
  assert_string_equal(
      text, "graph tiny\n"
            "symbol batch 4\n"
            "input x f32 [batch*3+1, 8]\n"
            "param w f32 [8, 8] frozen\n"
            "const half f32 []\n"
            "mlp.matmul f32 [batch*3+1, 8] = matmul(x [batch*3+1, 8], w [8, 8]) trans_b=1\n"
            "mlp.gelu f32 [batch*3+1, 8] = gelu(mlp.matmul [batch*3+1, 8])\n"
            "mlp.matmul#2 f32 [batch*3+1, 8] = matmul(mlp.gelu [batch*3+1, 8], w [8, 8]) "
            "trans_b=1\n"
            "add f32 [batch*3+1, 8] = add(x [batch*3+1, 8], mlp.matmul#2 [batch*3+1, 8]) "
            "scale=-0.5\n"
            "output y = add\n");
  free(text);
  vk_graph_fini(&g);
}

/* A pass that changes one node changes the lines of that node alone. */
static void a_dump_can_be_compared(void **state)
{
  vk_graph g, fused;
  vk_err err = VK_ERR_INIT;
  const vk_target target = {.isa = best, .n_thread = 1};
  build_tiny(&g);
  vk_graph_init(&fused, "tiny");
  vk_assert_ok(vk_pass_fusion.run(&fused, &g, &target, &err), &err);
  char *before = dump_of(&g), *after = dump_of(&fused);
  assert_non_null(strstr(after, "mlp.matmul f32 [batch*3+1, 8] = matmul(x [batch*3+1, 8], w [8, 8])"
                                " trans_b=1 act=gelu\n"));
  assert_string_equal(strstr(before, "\nadd f32"), strstr(after, "\nadd f32"));
  free(before);
  free(after);
  vk_graph_fini(&g);
  vk_graph_fini(&fused);
}

/* ---- the drawing --------------------------------------------------------------------------- */

static int count_text(const char *text, const char *what)
{
  int n = 0;
  for (const char *at = text; (at = strstr(at, what)); at++)
    n++;
  return n;
}

/* A line a node, and a frame for each part; with `full` a box for each node. Names are escaped. */
static void a_drawing_has_every_node(void **state)
{
  for (int full = 0; full < 2; full++) {
    vk_graph g;
    vk_err err = VK_ERR_INIT;
    char *text = NULL;
    size_t n = 0;
    build_mlp(&g);
    vk_graph_place(&g, "a<b&c");
    vk_graph_output(&g, "last", VK_APPLY(&g, copy, VK_IN(vk_graph_find(&g, "x"))));
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    vk_assert_ok(vk_graph_svg(&g, full, out, &err), &err);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(count_text(text, "class=\"op\""), g.n_node);
    assert_int_equal(count_text(text, "class=\"part\""), 4);
    assert_int_equal(count_text(text, "class=\"title\""), 4);
    assert_int_equal(count_text(text, "a&lt;b&amp;c"), full ? 3 : 2);
    assert_int_equal(count_text(text, "<g "), count_text(text, "</g>"));
    assert_int_equal(count_text(text, "<text "), count_text(text, "</text>"));
    assert_int_equal(count_text(text, "</svg>"), 1);
    free(text);
    vk_graph_fini(&g);
  }
}

/* ---- the others ---------------------------------------------------------------------------- */

static void common_computes_once(void **state)
{
  vk_graph g;
  result with, without;
  vk_graph_init(&g, "common");
  int batch = vk_graph_sym(&g, "batch", N_BATCH);
  vk_id x =
      vk_graph_input(&g, "x", VK_F32, vk_shape_of(2, N_BATCH, D), vk_graph_extent(batch, 1, 0));
  vk_id w = vk_graph_param(&g, "w", vk_shape_of(2, D, D));
  for (int i = 0; i < 2; i++) {
    vk_id y = VK_APPLY(&g, matmul, VK_IN(x, w), .trans_b = 1);
    vk_graph_output(&g, i ? "b" : "a", VK_APPLY(&g, affine, VK_IN(y), .scale = 2 + i));
  }
  run_with_and_without(&with, &without, &g, target_of(NULL), "common");
  assert_int_equal(count_op(&with, "matmul"), 1);
  assert_int_equal(count_op(&without, "matmul"), 2);
  assert_int_equal(count_op(&with, "affine"), 2);
  result_fini(&with);
  result_fini(&without);
  vk_graph_fini(&g);
}

static void dead_leaves_out_what_nobody_needs(void **state)
{
  vk_graph g;
  result with, without;
  build_mlp(&g);
  VK_APPLY(&g, gelu, VK_IN(vk_graph_find(&g, "x")));
  run_with_and_without(&with, &without, &g, target_of(NULL), "dead");
  assert_int_equal(count_op(&with, "gelu"), 0);
  assert_int_equal(count_op(&without, "gelu"), 1);
  result_fini(&with);
  result_fini(&without);
  vk_graph_fini(&g);
}

static void names_are_checked(void **state)
{
  vk_err err = VK_ERR_INIT;
  assert_int_equal(vk_pass_check_name("fusoin", &err), VK_E_USAGE);
  assert_non_null(strstr(err.text, "fusion"));
  for (int i = 0; i < vk_pass_count(); i++)
    vk_assert_ok(vk_pass_check_name(vk_passes[i]->name, &err), &err);
}

int main(void)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  best = vk_isa_best(&cpu);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fusion_takes_activations_and_residuals),
      cmocka_unit_test(fusion_keeps_gradients),
      cmocka_unit_test(fusion_takes_what_follows_convolutions),
      cmocka_unit_test(an_empty_batch_gives_zero_gradients),
      cmocka_unit_test(fusion_keeps_what_is_read_twice),
      cmocka_unit_test(fusion_keeps_other_extents),
      cmocka_unit_test(merge_takes_slopes_and_sums),
      cmocka_unit_test(merge_adds_in_norms),
      cmocka_unit_test(merge_keeps_the_order),
      cmocka_unit_test(merge_drops_what_no_gradient_reads),
      cmocka_unit_test(pack_makes_panels_once),
      cmocka_unit_test(pack_lays_out_convolutions),
      cmocka_unit_test(bf16_rounds_products),
      cmocka_unit_test(bf16_rounds_convolutions),
      cmocka_unit_test(parameters_alone_are_computed_once),
      cmocka_unit_test(a_dump_is_as_promised),
      cmocka_unit_test(a_dump_can_be_compared),
      cmocka_unit_test(a_drawing_has_every_node),
      cmocka_unit_test(common_computes_once),
      cmocka_unit_test(dead_leaves_out_what_nobody_needs),
      cmocka_unit_test(names_are_checked),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
