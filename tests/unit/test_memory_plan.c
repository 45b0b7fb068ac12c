/* test_memory_plan.c - plans of networks forwards and in training, of random blocks, and of blocks
 * cut from a full arena, whose best plan is therefore known. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/rng.h"
#include "nn/memory_plan.h"
#include "nn/model.h"
#include "nn/plan.h"

enum { N_BLOCK_MAX = 8000, N_OP_MAX = 3000, N_IN_MAX = 3 };

static vk_arena arena;

static int set_up(void **state)
{
  (void)state;
  return vk_arena_init(&arena, "test", 2 * vk_memory_plan_arena_bytes(N_BLOCK_MAX), NULL) != VK_OK;
}

static int tear_down(void **state)
{
  (void)state;
  vk_arena_fini(&arena);
  return 0;
}

/* ---- networks as lists of ops -----------------------------------------------------------------
 */

typedef struct op {
  int in[N_IN_MAX], n_in; /* ops whose outputs it reads */
  uint64_t bytes, scratch, weight;
  bool saves_in, saves_out; /* what its backward reads */
} op;

typedef struct net {
  op op[N_OP_MAX];
  int n;
} net;

/* An op that reads a and b (< 0: none); returns its number. */
static int add(net *g, int a, int b, uint64_t bytes, uint64_t weight, bool saves_in, bool saves_out)
{
  VK_ASSERT(g->n < N_OP_MAX);
  op *o = &g->op[g->n];
  *o = (op){.bytes = bytes, .weight = weight, .saves_in = saves_in, .saves_out = saves_out};
  if (a >= 0)
    o->in[o->n_in++] = a;
  if (b >= 0)
    o->in[o->n_in++] = b;
  return g->n++;
}

static int linear(net *g, int x, uint64_t rows, uint64_t k, uint64_t n)
{
  return add(g, x, -1, 4 * rows * n, 4 * n * k, true, false);
}

/* x += attn(norm(x)); x += mlp(norm(x)), rows tokens of d; memory < 0: self-attention. */
static int layer(net *g, int x, int memory, uint64_t rows, uint64_t d)
{
  uint64_t wide = 4 * rows * d;
  int h = add(g, x, -1, wide, 4 * d, true, false);
  int q = linear(g, h, rows, d, memory < 0 ? 3 * d : d);
  int a = add(g, q, memory, wide, 0, true, true);
  g->op[a].scratch = 64 * 64 * 4;
  x = add(g, x, linear(g, a, rows, d, d), wide, 0, false, false);
  h = add(g, x, -1, wide, 4 * d, true, false);
  h = linear(g, h, rows, d, 4 * d);
  h = add(g, h, -1, 4 * wide, 0, true, false);
  return add(g, x, linear(g, h, rows, 4 * d, d), wide, 0, false, false);
}

/* convolution, norm, GELU with stride 2 at each stage; returns the last op. */
static int stem(net *g, uint64_t pictures, const int *channels, int n_stage)
{
  uint64_t side = 128, c_in = 3;
  int x = add(g, -1, -1, pictures * side * side * c_in * 4, 0, false, false);
  for (int i = 0; i < n_stage; i++) {
    side /= 2;
    uint64_t c = (uint64_t)channels[i], bytes = pictures * side * side * c * 4;
    x = add(g, x, -1, bytes, 9 * 4 * c * c_in, true, false);
    x = add(g, x, -1, bytes, 8 * c, true, false);
    x = add(g, x, -1, bytes, 0, true, false);
    c_in = c;
  }
  return x;
}

static void policy_net(net *g, uint64_t batch, const int *channels, uint64_t d, int n_enc,
                       int n_dec)
{
  g->n = 0;
  int text = add(g, -1, -1, batch * 24 * d * 4, 4096 * 64 * 4, false, false);
  for (int i = 0; i < 2; i++)
    text = layer(g, text, -1, batch * 24, d);
  int image = stem(g, 2 * batch, channels, 4);
  image = add(g, image, text, 2 * batch * 64 * d * 4, 0, true, false);
  int x = add(g, image, text, batch * 153 * d * 4, 0, false, false);
  for (int i = 0; i < n_enc; i++)
    x = layer(g, x, -1, batch * 153, d);
  int memory = linear(g, x, batch * 153, d, 2 * d);
  x = add(g, -1, -1, batch * 8 * d * 4, 0, false, false);
  for (int i = 0; i < n_dec; i++)
    x = layer(g, layer(g, x, -1, batch * 8, d), memory, batch * 8, d);
  x = linear(g, x, batch * 8, d, 1792);
  add(g, x, -1, batch * 4, 0, true, false);
}

/* An encoder and a decoder, where each stage of the decoder reads one of the encoder again. */
static void u_net(net *g, uint64_t batch, int n_stage)
{
  int skip[8];
  g->n = 0;
  uint64_t bytes = batch * 128 * 128 * 16 * 4;
  int x = add(g, -1, -1, bytes, 0, false, false);
  for (int i = 0; i < n_stage; i++, bytes /= 2) {
    for (int k = 0; k < 4; k++)
      x = add(g, x, -1, bytes, 40000, true, false);
    skip[i] = x;
    x = add(g, x, -1, bytes / 2, 40000, true, false);
  }
  for (int i = n_stage - 1; i >= 0; i--) {
    bytes *= 2;
    x = add(g, x, -1, bytes, 40000, true, false);
    x = add(g, x, skip[i], 2 * bytes, 0, false, false);
    for (int k = 0; k < 4; k++)
      x = add(g, x, -1, bytes, 40000, true, false);
  }
}

static int add_block(vk_memory_block *block, int n, uint64_t bytes, int first, int last)
{
  VK_ASSERT(n < N_BLOCK_MAX);
  block[n] = (vk_memory_block){bytes, first, last};
  return n + 1;
}

static int forward_blocks(const net *g, vk_memory_block *block)
{
  int n = 0;
  for (int i = 0; i < g->n; i++) {
    int last = i == g->n - 1 ? g->n : i;
    for (int j = i + 1; j < g->n; j++)
      for (int k = 0; k < g->op[j].n_in; k++)
        if (g->op[j].in[k] == i)
          last = j;
    n = add_block(block, n, g->op[i].bytes, i, last);
    if (g->op[i].scratch)
      n = add_block(block, n, g->op[i].scratch, i, i);
  }
  return n;
}

/* Step i is op i, step 2 N - 1 - i its backward; gradients of weights live until the end when
 * they are in the arena. */
static int training_blocks(const net *g, vk_memory_block *block, bool with_weights)
{
  int n = 0, end = 2 * g->n;
  for (int i = 0; i < g->n; i++) {
    const op *o = &g->op[i];
    int last = o->saves_out || i == g->n - 1 ? end - 1 - i : i, grad = end - 1 - i;
    for (int j = i + 1; j < g->n; j++) {
      for (int k = 0; k < g->op[j].n_in; k++) {
        if (g->op[j].in[k] != i)
          continue;
        int use = g->op[j].saves_in ? end - 1 - j : j;
        last = use > last ? use : last;
        grad = end - 1 - j < grad ? end - 1 - j : grad;
      }
    }
    n = add_block(block, n, o->bytes, i, last);
    if (o->n_in)
      n = add_block(block, n, o->bytes, grad, end - 1 - i);
    if (o->scratch) {
      n = add_block(block, n, o->scratch, i, i);
      n = add_block(block, n, 2 * o->scratch, end - 1 - i, end - 1 - i);
    }
    if (o->weight && with_weights)
      n = add_block(block, n, o->weight, end - 1 - i, end);
  }
  return n;
}

/* ---- plans ------------------------------------------------------------------------------------
 */

static net graph;
static vk_memory_block block[N_BLOCK_MAX];
static vk_memory_plan plan;

/* Plans block[0..n), checks what must hold of every plan, and that it is at least so good. */
static void expect(const char *what, int n, double efficiency)
{
  vk_err err = VK_ERR_INIT;
  vk_arena_reset(&arena);
  vk_assert_ok(vk_memory_plan_make(&plan, block, n, VK_MEMORY_ALIGN, &arena, &err), &err);
  vk_assert_ok(vk_memory_plan_check(block, n, VK_MEMORY_ALIGN, plan.offset, plan.peak, &err), &err);
  uint64_t live = 0, end = 0, least = UINT64_MAX;
  for (int i = 0; i < plan.n_live; i++) {
    const vk_memory_block *b = &block[plan.live[i]];
    assert_true(b->first <= plan.peak_step && plan.peak_step <= b->last);
    assert_true(i == 0 || b->bytes <= block[plan.live[i - 1]].bytes);
    live += (b->bytes + 63) & ~UINT64_C(63);
  }
  assert_int_equal(live, plan.lower_bound);
  for (int i = 0; i < n; i++)
    if (block[i].bytes && plan.offset[i] + block[i].bytes > end)
      end = plan.offset[i] + block[i].bytes;
  assert_true(end <= plan.peak && plan.peak < end + 64);
  for (int s = 0; s < VK_MEMORY_N_STRATEGY; s++)
    least = plan.strategy_peak[s] < least ? plan.strategy_peak[s] : least;
  assert_int_equal(least, plan.peak);
  assert_int_equal(plan.strategy_peak[plan.strategy], plan.peak);
  assert_true(plan.lower_bound <= plan.peak && plan.peak <= plan.total);
  if (plan.efficiency < efficiency)
    fail_msg("%s: %d blocks have efficiency %.4f by %s, wanted %.4f", what, n, plan.efficiency,
             vk_memory_strategy_name(plan.strategy), efficiency);
}

/* Forwards, in training, and in training with the weights' gradients in the arena. */
static void expect_net(const char *what, double forward, double training, double with_weights)
{
  expect(what, forward_blocks(&graph, block), forward);
  expect(what, training_blocks(&graph, block, false), training);
  expect(what, training_blocks(&graph, block, true), with_weights);
}

static void policies(void **state)
{
  (void)state;
  static const int narrow[] = {24, 48, 96, 128}, wide[] = {32, 64, 128, 256};
  static const uint64_t batch[] = {1, 4, 32, 128};
  for (size_t i = 0; i < VK_COUNT(batch); i++) {
    policy_net(&graph, batch[i], narrow, 128, 4, 2);
    expect_net("narrow policy", 1, 1, .99);
    policy_net(&graph, batch[i], wide, 256, 6, 2);
    expect_net("wide policy", 1, 1, .98);
  }
}

/* The plan of a shipped model. */
static double model_efficiency(const char *name, const vk_model_args *args, vk_target target)
{
  vk_err err = VK_ERR_INIT;
  vk_model model;
  vk_graph g;
  vk_plan *p;
  target.n_thread = 1;
  target.loss = target.is_train ? "loss" : NULL;
  vk_graph_init(&g, name);
  vk_assert_ok(vk_model_open(&model, name, &err), &err);
  vk_assert_ok(vk_model_build(&g, &model, args, &err), &err);
  vk_assert_ok(vk_plan_new(&p, &g, &target, NULL, NULL, &err), &err);
  double efficiency = p->memory.efficiency;
  assert_true(p->memory.n_block > 10);
  vk_plan_free(p);
  vk_graph_fini(&g);
  return efficiency;
}

static void shipped_models(void **state)
{
  (void)state;
  static const int64_t batch[] = {1, 32};
  const char **names = vk_model_names();
  assert_non_null(names);
  for (int i = 0; names[i]; i++)
    for (size_t k = 0; k < VK_COUNT(batch); k++) {
      const vk_model_args text = {.part = VK_PART_TEXT, .n_batch = batch[k]};
      assert_true(model_efficiency(names[i], &text, (vk_target){0}) >= .97);
      for (int form = 0; form < 16; form++) { /* every choice of these four */
        const int n_view = form & 1 ? 1 : 2;
        const bool with_value = form & 2;
        const vk_target decides = {.is_bf16 = form & 4};
        const vk_target learns = {.is_train = true, .is_bf16 = form & 4, .recompute = form & 8};
        const vk_model_args act = {
            .part = VK_PART_ACT, .n_batch = batch[k], .n_view = n_view, .with_value = with_value};
        const vk_model_args train = {.n_batch = batch[k],
                                     .n_view = n_view,
                                     .with_value = with_value,
                                     .with_loss = true,
                                     .value_weight = 0.5};
        double act_is = form & 8 ? 1 : model_efficiency(names[i], &act, decides);
        double train_is = model_efficiency(names[i], &train, learns);
        if (!(act_is >= .97 && train_is >= .97))
          fail_msg("%s, batch %d, form %d: efficiency %.4f of decisions, %.4f of training",
                   names[i], (int)batch[k], form, act_is, train_is);
      }
    }
  free(names);
}

static void transformers(void **state)
{
  (void)state;
  for (int n_layer = 2; n_layer <= 96; n_layer *= 4) {
    graph.n = 0;
    int x = add(&graph, -1, -1, 4 * 1000 * 512, 0, false, false);
    for (int i = 0; i < n_layer; i++)
      x = layer(&graph, x, -1, 1000, 512);
    expect_net("transformer", 1, 1, 1);
  }
}

static void nets_with_long_skips(void **state)
{
  (void)state;
  for (int n_stage = 1; n_stage < 8; n_stage++) {
    u_net(&graph, 8, n_stage);
    expect_net("u-net", 1, 1, .99);
  }
}

/* Lives that are nested: a stack, whatever the sizes. */
static void nested_lives_are_a_stack(void **state)
{
  (void)state;
  vk_philox r;
  vk_philox_init(&r, 3, 0);
  for (int i = 0; i < 500; i++)
    block[i] = (vk_memory_block){1 + vk_philox_u32(&r) % 100000, i, 2000 - i};
  expect("nest", 500, 1);
}

/* Any blocks have a valid plan; how good it can be nobody knows. */
static void random_blocks(void **state)
{
  (void)state;
  vk_philox r;
  for (uint64_t seed = 0; seed < 300; seed++) {
    vk_philox_init(&r, seed, 0);
    int n = (int)(vk_philox_u32(&r) % 60), n_step = 1 + (int)(vk_philox_u32(&r) % 80);
    for (int i = 0; i < n; i++) {
      int a = (int)(vk_philox_u32(&r) % (uint32_t)n_step) - 40;
      int b = (int)(vk_philox_u32(&r) % (uint32_t)n_step) - 40;
      uint64_t bytes = vk_philox_u32(&r) % 8 ? vk_philox_u32(&r) % 5000 : 0;
      block[i] = (vk_memory_block){bytes, a < b ? a : b, a < b ? b : a};
    }
    expect("random blocks", n, 0.5);
  }
}

/* A full arena is cut into n blocks across steps and across addresses: a plan without any loss
 * exists. */
static void cut_arena(int n, uint64_t seed)
{
  static uint64_t low[N_BLOCK_MAX], high[N_BLOCK_MAX];
  vk_philox r;
  vk_philox_init(&r, seed, 1);
  low[0] = 0;
  high[0] = 100000;
  block[0] = (vk_memory_block){0, 0, 199};
  for (int k = 1; k < n;) {
    int i = (int)(vk_philox_u32(&r) % (uint32_t)k);
    uint32_t by = vk_philox_u32(&r);
    int32_t n_step = block[i].last - block[i].first;
    low[k] = low[i];
    high[k] = high[i];
    block[k] = block[i];
    if (by % 2 && n_step > 0) {
      block[i].last = block[i].first + (int32_t)(by / 2 % (uint32_t)n_step);
      block[k].first = block[i].last + 1;
      k++;
    } else if (by % 2 == 0 && high[i] - low[i] > 1) {
      high[i] = low[k] = low[i] + 1 + by / 2 % (high[i] - low[i] - 1);
      k++;
    }
  }
  for (int i = 0; i < n; i++)
    block[i].bytes = VK_MEMORY_ALIGN * (high[i] - low[i]);
}

static void full_arenas(void **state)
{
  (void)state;
  double sum = 0;
  for (uint64_t seed = 0; seed < 10; seed++) {
    cut_arena(60, seed);
    expect("cut arena", 60, .85);
    assert_int_equal(plan.lower_bound, 100000 * VK_MEMORY_ALIGN);
    sum += plan.efficiency;
  }
  assert_true(sum / 10 > .95);
}

/* The search finds what no greedy order does. */
static void search_improves(void **state)
{
  (void)state;
  int n_better = 0;
  for (uint64_t seed = 0; seed < 10; seed++) {
    cut_arena(60, seed);
    expect("cut arena", 60, .85);
    n_better += plan.strategy == VK_MEMORY_BY_SEARCH;
    assert_int_equal(plan.n_try > 0, plan.strategy == VK_MEMORY_BY_SEARCH || plan.efficiency < 1);
  }
  assert_true(n_better >= 5);
}

static void many_blocks(void **state)
{
  (void)state;
  cut_arena(2000, 1);
  expect("2000 blocks", 2000, .8);
}

static void the_same_blocks_give_the_same_plan(void **state)
{
  (void)state;
  static uint64_t offset[300];
  cut_arena(300, 5);
  expect("first", 300, .8);
  memcpy(offset, plan.offset, sizeof offset);
  expect("second", 300, .8);
  assert_memory_equal(offset, plan.offset, sizeof offset);
}

static void no_blocks_and_empty_ones(void **state)
{
  (void)state;
  expect("none", 0, 1);
  assert_int_equal(plan.peak, 0);
  block[0] = (vk_memory_block){0, 0, 9};
  block[1] = (vk_memory_block){1, INT32_MIN, INT32_MAX};
  block[2] = (vk_memory_block){65, 3, 3};
  expect("empty", 3, 1);
  assert_int_equal(plan.peak, 192);
  assert_int_equal(plan.peak_step, 3);
  assert_int_equal(plan.n_live, 2);
  assert_int_equal(plan.live[0], 2);
}

static void wrong_blocks_are_named(void **state)
{
  (void)state;
  vk_err err = VK_ERR_INIT;
  vk_arena_reset(&arena);
  block[0] = (vk_memory_block){64, 0, 1};
  block[1] = (vk_memory_block){64, 5, 4};
  vk_assert_fails(vk_memory_plan_make(&plan, block, 2, 64, &arena, &err), VK_E_RANGE);
  vk_assert_says(&err, "memory block 1 lives from step 5 to 4");
  block[1] = (vk_memory_block){UINT64_MAX, 0, 0};
  vk_assert_fails(vk_memory_plan_make(&plan, block, 2, 64, &arena, &err), VK_E_RANGE);
  block[0] = block[1] = (vk_memory_block){UINT64_C(1) << 61, 0, 0};
  vk_assert_fails(vk_memory_plan_make(&plan, block, 2, 64, &arena, &err), VK_E_RANGE);
  vk_assert_says(&err, "2^62");
}

static void wrong_plans_are_found(void **state)
{
  (void)state;
  vk_err err = VK_ERR_INIT;
  block[0] = (vk_memory_block){100, 0, 2};
  block[1] = (vk_memory_block){100, 2, 3};
  block[2] = (vk_memory_block){100, 3, 4};
  uint64_t offset[3] = {0, 128, 0};
  vk_assert_ok(vk_memory_plan_check(block, 3, 64, offset, 256, &err), &err);
  vk_assert_fails(vk_memory_plan_check(block, 3, 64, offset, 227, &err), VK_E_MISMATCH);
  vk_assert_says(&err, "memory block 1 of 100 bytes at 128 ends beyond");
  offset[2] = 64;
  vk_assert_fails(vk_memory_plan_check(block, 3, 64, offset, 256, &err), VK_E_MISMATCH);
  vk_assert_says(&err, "memory blocks 1 and 2 are alive at step 3 and overlap at 128");
  offset[2] = 32;
  vk_assert_fails(vk_memory_plan_check(block, 3, 64, offset, 256, &err), VK_E_MISMATCH);
  vk_assert_says(&err, "memory block 2 lies at 32");
  offset[2] = UINT64_MAX & ~UINT64_C(63);
  vk_assert_fails(vk_memory_plan_check(block, 3, 64, offset, 256, &err), VK_E_MISMATCH);
}

static void a_full_arena_is_an_error(void **state)
{
  (void)state;
  cut_arena(50, 2);
  vk_status st = VK_E_NOMEM;
  int n_failed = 0;
  for (int i = 0; st != VK_OK; i++) {
    vk_err err = VK_ERR_INIT;
    vk_arena_reset(&arena);
    vk_arena_fail_after(&arena, i);
    st = vk_memory_plan_make(&plan, block, 50, 64, &arena, &err);
    vk_arena_fail_after(&arena, -1);
    if (st == VK_OK)
      break;
    vk_assert_fails(st, VK_E_NOMEM);
    n_failed++;
  }
  assert_true(n_failed >= 5);

  vk_arena small;
  size_t need = vk_memory_plan_arena_bytes(50);
  vk_assert_ok(vk_arena_init(&small, "small", need, NULL), NULL);
  vk_assert_ok(vk_memory_plan_make(&plan, block, 50, 64, &small, NULL), NULL);
  /* offsets and the live list stay, the rest was given back */
  assert_true(vk_arena_mark(&small) <= 50 * 12 + 8);
  vk_arena_fini(&small);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(policies),
      cmocka_unit_test(shipped_models),
      cmocka_unit_test(transformers),
      cmocka_unit_test(nets_with_long_skips),
      cmocka_unit_test(nested_lives_are_a_stack),
      cmocka_unit_test(random_blocks),
      cmocka_unit_test(full_arenas),
      cmocka_unit_test(search_improves),
      cmocka_unit_test(many_blocks),
      cmocka_unit_test(the_same_blocks_give_the_same_plan),
      cmocka_unit_test(no_blocks_and_empty_ones),
      cmocka_unit_test(wrong_blocks_are_named),
      cmocka_unit_test(wrong_plans_are_found),
      cmocka_unit_test(a_full_arena_is_an_error),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
