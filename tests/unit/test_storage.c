/* test_storage.c - values in bf16 in memory: which they are, how much smaller a training step is,
 * and that its bits stay, also those of a step as machines with tiles compute it. What else graphs
 * may hold is for test_random_graphs.c. */
#include "test.h"

#include "graph_net.h"
#include "nn/gemm.h"
#include "nn/graph_dump.h"
#include "nn/model_nano.h"

static const char *const skip[] = {"storage"};

static const char small[] =
    "{\"model\": \"nano\", \"d_model\": 32, \"n_head\": 4, \"n_encoder\": 1, "
    "\"n_decoder\": 1, \"stem\": [16, 16, 24, 32]}";

static void build(vk_graph *g, const char *name, int n_batch)
{
  vk_err err = VK_ERR_INIT;
  vk_model m;
  if (name)
    vk_assert_ok(vk_model_open(&m, name, &err), &err);
  else
    vk_assert_ok(vk_model_parse(&m, small, strlen(small), "small", &err), &err);
  vk_graph_init(g, "nano");
  const vk_model_args a = {
      .n_batch = n_batch, .with_loss = true, .with_value = true, .value_weight = 0.5};
  vk_assert_ok(vk_model_build(g, &m, &a, &err), &err);
}

static vk_target target(vk_isa isa, bool is_stored)
{
  return (vk_target){.isa = isa,
                     .n_thread = 2,
                     .is_train = true,
                     .loss = "loss",
                     .is_bf16 = true,
                     .skip = skip,
                     .n_skip = !is_stored};
}

/* ---- which ---------------------------------------------------------------------------------- */

static vk_id find(const vk_graph *g, const char *name)
{
  char text[VK_VALUE_TEXT];
  for (vk_id v = 0; v < g->n_value; v++)
    if (strcmp(vk_graph_value_name(g, v, text), name) == 0)
      return v;
  print_error("there is no value %s\n", name);
  fail();
  return VK_NONE;
}

static void check_readers(const vk_graph *g, vk_id v)
{
  for (int i = 0; i < g->n_node; i++)
    for (int k = 0; k < g->node[i].n_in; k++)
      assert_true(g->node[i].in[k] != v || g->node[i].attr.dtype == VK_BF16);
  for (int i = 0; i < g->n_output; i++)
    assert_true(g->output[i].value != v);
}

/* Norms before products, queries, keys and values, and activations; nothing that a norm, a slope or
 * a residual reads. The arena of a step shrinks by a sixth to a quarter. */
static void values_of_a_training_step(void **state)
{
  static const struct {
    const char *name;
    bool is_stored, needs_tiles;
  } want[] = {{"enc.1.rms_norm", true, false},       {"enc.1.rms_norm#2", true, false},
              {"enc.1.matmul", true, true}, /* queries, keys, values */
              {"enc.1.attention", false, false},     {"enc.1.matmul#2", false, false},
              {"enc.1.matmul#3", true, false}, /* activation */
              {"enc.1.matmul#3:1", false, false},    {"enc.1.matmul#4", false, false},
              {"enc.1.matmul#6", true, false}, /* its gradient */
              {"enc.1.attention_grad", false, true}, {"stem.1.group_norm", true, true},
              {"stem.3.group_norm", false, false},   {"stem.1.conv", false, false},
              {"memory.rms_norm", true, false},      {"heads.matmul", false, false},
              {"enc.1.rms_norm_grad", false, false}};
  for (int tiles = 0; tiles < 2; tiles++) {
    vk_err err = VK_ERR_INIT;
    vk_graph g;
    vk_plan *with, *without;
    build(&g, "nano-n2", 32);
    vk_target t = target(tiles ? VK_ISA_AMX : VK_ISA_AVX2, true);
    vk_assert_ok(vk_plan_new(&with, &g, &t, NULL, NULL, &err), &err);
    t.n_skip = 1;
    vk_assert_ok(vk_plan_new(&without, &g, &t, NULL, NULL, &err), &err);
    for (size_t i = 0; i < VK_COUNT(want); i++) {
      vk_dtype dtype = with->graph.value[find(&with->graph, want[i].name)].dtype;
      if ((dtype == VK_BF16) != (want[i].is_stored && (tiles || !want[i].needs_tiles))) {
        print_error("%s is %s\n", want[i].name, vk_dtype_name(dtype));
        fail();
      }
    }
    for (vk_id v = 0; v < with->graph.n_value; v++)
      if (with->graph.value[v].dtype == VK_BF16)
        check_readers(&with->graph, v);
    for (vk_id v = 0; v < without->graph.n_value; v++)
      assert_true(without->graph.value[v].dtype != VK_BF16);
    assert_true((double)with->arena_bytes < (tiles ? 0.76 : 0.89) * (double)without->arena_bytes);
    vk_plan_free(with);
    vk_plan_free(without);
    vk_graph_fini(&g);
  }
}

/* A product is read by a product, twice by way of reshapes, and by what the case says. */
enum { READ_BY_PRODUCTS, READ_AS_RESIDUAL, READ_BY_GELU, READ_AS_OUTPUT, READ_AS_WEIGHT, N_READ };

static vk_dtype dtype_of_case(int i_case, int64_t k)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g, out = {.name = ""};
  vk_graph_init(&g, "case");
  vk_id x = vk_graph_input(&g, "x", VK_F32, vk_shape_of(2, 32, (int)k), VK_NO_EXTENT);
  vk_id w = vk_graph_param(&g, "w", vk_shape_of(2, 32, (int)k));
  vk_id u = vk_graph_param(&g, "u", vk_shape_of(2, 32, 32));
  vk_graph_place(&g, "it");
  vk_id y = VK_APPLY(&g, matmul, VK_IN(x, w), .trans_b = 1);
  vk_graph_place(&g, "reader");
  vk_id z = VK_APPLY(&g, matmul, VK_IN(y, u), .trans_b = 1);
  vk_id r = VK_APPLY(&g, reshape, VK_IN(y), .count = 32, .group = 4);
  r = VK_APPLY(&g, reshape, VK_IN(r), .count = 64);
  r = VK_APPLY(&g, matmul, VK_IN(r, r), .trans_a = 1);
  vk_graph_output(&g, "r", r);
  if (i_case == READ_AS_RESIDUAL)
    z = VK_APPLY(&g, add, VK_IN(y, z), .scale = 1);
  if (i_case == READ_BY_GELU)
    vk_graph_output(&g, "more", VK_APPLY(&g, gelu, VK_IN(r = y)));
  if (i_case == READ_AS_OUTPUT)
    vk_graph_output(&g, "more", y);
  if (i_case == READ_AS_WEIGHT) /* a product of f32 */
    vk_graph_output(&g, "more", VK_APPLY(&g, matmul, VK_IN(u, y)));
  vk_graph_output(&g, "z", z);
  vk_target t = target(VK_ISA_AVX2, true);
  t.is_train = false;
  vk_assert_ok(vk_pass_run_all(&out, &g, &t, NULL, NULL, &err), &err);
  vk_dtype dtype = out.value[find(&out, "it.matmul")].dtype;
  vk_graph_fini(&g);
  vk_graph_fini(&out);
  return dtype;
}

static void every_reader_counts(void **state)
{
  for (int i = 0; i < N_READ; i++)
    assert_int_equal(dtype_of_case(i, 40), i == READ_BY_PRODUCTS ? VK_BF16 : VK_F32);
  assert_int_equal(dtype_of_case(READ_BY_PRODUCTS, VK_GEMM_KC), VK_BF16);
  assert_int_equal(dtype_of_case(READ_BY_PRODUCTS, VK_GEMM_KC + 1),
                   VK_F32); /* sums of two blocks */
}

static void refuse(vk_graph *g, vk_id made, const char *why)
{
  vk_err err = VK_ERR_INIT;
  assert_int_equal(made, VK_NONE);
  vk_assert_fails(vk_graph_check(g, &err), VK_E_SHAPE);
  vk_assert_says(&err, why);
  vk_graph_fini(g);
}

static void begin(vk_graph *g, vk_id *x, vk_id *y)
{
  vk_graph_init(g, "refused");
  *x = vk_graph_input(g, "x", VK_F32, vk_shape_of(2, 600, 32), VK_NO_EXTENT);
  vk_id w = vk_graph_param(g, "w", vk_shape_of(1, 32));
  *y = VK_APPLY(g, rms_norm, VK_IN(*x, w), .eps = 1, .store = VK_BF16, .isa = VK_ISA_AVX2);
  assert_int_equal(g->value[*y].dtype, VK_BF16);
}

/* The shape rules, and so the verifier. */
static void rules_refuse_what_cannot_be(void **state)
{
  vk_graph g;
  vk_id x, y;
  begin(&g, &x, &y);
  refuse(&g, VK_APPLY(&g, add, VK_IN(x, y), .scale = 1), "same shape and type");
  begin(&g, &x, &y);
  refuse(&g, VK_APPLY(&g, matmul, VK_IN(y, y), .trans_a = 1), "input 0 must be f32");
  begin(&g, &x, &y);
  refuse(&g,
         VK_APPLY(&g, matmul, VK_IN(x, y), .trans_a = 1, .dtype = VK_BF16, .store = VK_BF16,
                  .isa = VK_ISA_AVX2),
         "a sum of 600 terms in blocks of 512 cannot be stored in bf16");
  begin(&g, &x, &y);
  refuse(&g, VK_APPLY(&g, matmul, VK_IN(x, x), .trans_a = 1, .store = VK_BF16),
         "cannot be stored in bf16");
  begin(&g, &x, &y);
  vk_id w = vk_graph_find(&g, "w");
  refuse(&g, VK_APPLY(&g, rms_norm, VK_IN(x, w), .eps = 1, .store = VK_I32), "output 0 is stored");
  begin(&g, &x, &y);
  vk_err err = VK_ERR_INIT;
  vk_graph_output(&g, "r", VK_APPLY(&g, matmul, VK_IN(y, x), .trans_a = 1, .dtype = VK_BF16));
  vk_assert_ok(vk_graph_verify(&g, &err), &err);
  g.value[y].dtype = VK_F32;
  vk_assert_fails(vk_graph_verify(&g, &err), VK_E_SHAPE);
  vk_graph_fini(&g);
}

/* ---- bits ----------------------------------------------------------------------------------- */

enum { N_SAMPLE = 3, N_PIXEL = VK_NANO_PX * VK_NANO_PX * 3 };

static void fill(net_run *r)
{
  static const char *const text[] = {"put the moka pot on the stove", "Open the drawer."};
  static uint8_t image[2 * N_SAMPLE][N_PIXEL];
  static float proprio[N_SAMPLE][VK_NANO_PROPRIO];
  vk_err err = VK_ERR_INIT;
  vk_philox rng;
  vk_philox_init(&rng, 1, 0);
  net_zero_all(r);
  for (int i = 0; i < 2 * N_SAMPLE; i++)
    for (int k = 0; k < N_PIXEL; k++)
      image[i][k] = (uint8_t)vk_philox_u32(&rng);
  vk_nano_obs obs[N_SAMPLE];
  for (int i = 0; i < N_SAMPLE; i++) {
    for (int k = 0; k < VK_NANO_PROPRIO; k++)
      proprio[i][k] = (float)vk_philox_normal(&rng);
    obs[i] = (vk_nano_obs){.image = {image[2 * i], i == 1 ? NULL : image[2 * i + 1]},
                           .proprio = i == 2 ? NULL : proprio[i],
                           .i_text = i % 2};
  }
  const vk_graph *g = &r->plan->graph;
  for (vk_id v = 0; v < g->n_value; v++)
    if (g->value[v].kind == VK_PARAM) {
      float *x = vk_exec_data(r->exec, v);
      net_fill(x, net_n_item(r, v), g->value[v].name, 7);
      for (int64_t i = 0; i < net_n_item(r, v); i++)
        x[i] *= 0.2f;
    }
  int n_word[2];
  vk_assert_ok(vk_nano_set_text(r->exec, g, text, 2, n_word, &err), &err);
  vk_assert_ok(vk_nano_set_obs(r->exec, g, obs, N_SAMPLE, n_word, 2, &err), &err);
  vk_assert_ok(vk_exec_prepare(r->exec, NULL), NULL);
}

/* A step as planned for machines with tiles, on a path of this one. */
static void open_step(net_run *r, vk_isa isa, bool is_stored)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g, tiles = {.name = ""}, here;
  build(&g, NULL, N_SAMPLE + 1);
  vk_target t = target(VK_ISA_AMX, is_stored), as_it_is = net_target_as_it_is(isa, 2);
  vk_assert_ok(vk_pass_run_all(&tiles, &g, &t, NULL, NULL, &err), &err);
  net_take_to(&here, &tiles, isa);
  net_open(r, &here, &as_it_is, NULL);
  fill(r);
  vk_assert_ok(vk_exec_run(r->exec, NULL), NULL);
  vk_graph_fini(&g);
  vk_graph_fini(&tiles);
  vk_graph_fini(&here);
}

static void bits_of_a_step_stay(void **state)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  for (vk_isa isa = VK_ISA_SCALAR; isa <= vk_isa_best(&cpu); isa++) {
    net_run with, without;
    open_step(&with, isa, true);
    open_step(&without, isa, false);
    const vk_graph *g = &without.plan->graph;
    int n_moved = 0;
    for (int i = 0; i < g->n_output; i++) {
      const char *name = g->output[i].name;
      int64_t n = net_n_item(&without, g->output[i].value);
      const float *a = net_data(&with, name), *b = net_data(&without, name);
      if (memcmp(a, b, sizeof *a * (size_t)n) != 0) {
        print_error("%s has other bits on %s\n", name, vk_isa_name(isa));
        fail();
      }
      for (int64_t k = 0; k < n; k++)
        n_moved += isfinite(b[k]) && b[k] != 0;
    }
    assert_true(n_moved > 10000); /* there was something to compare */
    net_close(&with);
    net_close(&without);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_of_a_training_step),
      cmocka_unit_test(every_reader_counts),
      cmocka_unit_test(rules_refuse_what_cannot_be),
      cmocka_unit_test(bits_of_a_step_stay),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
