/* test_rl_loss.c - the loss of policy gradients against its formulas in double, differentiated
 * by differences; rows left out against rows masked; metrics by hand. */
#include "test.h"

#include "core/rng.h"
#include "graph_net.h"
#include "rl/advantage.h"
#include "rl/loss.h"

enum { ROWS = 9, STEPS = 3, DIMS = 2, TOKENS = STEPS * DIMS, N_TOKEN = ROWS * TOKENS };

/* A batch of ROWS chunks; items and heads by the granularity. */
typedef struct batch {
  vk_policy_loss loss;
  int n_row, width, n_head;
  float logp[N_TOKEN], old[N_TOKEN], entropy[N_TOKEN], entropy_weight[N_TOKEN];
  float adv[N_TOKEN], weight[N_TOKEN];
  float value[N_TOKEN], value_old[N_TOKEN], returns[N_TOKEN], value_weight[N_TOKEN];
  float norm, value_norm, entropy_norm;
} batch;

typedef struct result {
  float total, logp[N_TOKEN], value[N_TOKEN], entropy[N_TOKEN];
} result;

static void run_graph(const batch *b, vk_isa isa, result *out)
{
  vk_graph g;
  net_run r;
  vk_graph_init(&g, "policy");
#define INPUT(name, n) vk_graph_input(&g, name, VK_F32, vk_shape_of(2, b->n_row, n), VK_NO_EXTENT)
#define PARAM(name, n) vk_graph_param(&g, name, vk_shape_of(2, b->n_row, n))
#define NORM(name)     vk_graph_input(&g, name, VK_F32, vk_shape_of(1, 1), VK_NO_EXTENT)
  vk_policy_loss_in in = {.logp = PARAM("logp", TOKENS),
                          .logp_old = INPUT("old", TOKENS),
                          .adv = INPUT("adv", b->width),
                          .weight = INPUT("weight", b->width),
                          .norm = NORM("norm"),
                          .value = PARAM("value", b->n_head),
                          .value_old = INPUT("value_old", b->n_head),
                          .returns = INPUT("returns", b->n_head),
                          .value_weight = INPUT("value_weight", b->n_head),
                          .value_norm = NORM("value_norm"),
                          .entropy = PARAM("entropy", TOKENS),
                          .entropy_weight = INPUT("entropy_weight", TOKENS),
                          .entropy_norm = NORM("entropy_norm")};
  vk_graph_output(&g, "loss", vk_policy_loss_build(&g, &b->loss, &in).total);
  vk_target target = net_target(1, true);
  target.isa = isa;
  net_open(&r, &g, &target, NULL);
  vk_graph_fini(&g);
#define SET(name, x) memcpy(net_data(&r, name), x, sizeof(float) * (size_t)n)
  int n = b->n_row * TOKENS;
  SET("logp", b->logp);
  SET("old", b->old);
  SET("entropy", b->entropy);
  SET("entropy_weight", b->entropy_weight);
  n = b->n_row * b->width;
  SET("adv", b->adv);
  SET("weight", b->weight);
  n = b->n_row * b->n_head;
  SET("value", b->value);
  SET("value_old", b->value_old);
  SET("returns", b->returns);
  SET("value_weight", b->value_weight);
  n = 1;
  SET("norm", &b->norm);
  SET("value_norm", &b->value_norm);
  SET("entropy_norm", &b->entropy_norm);
  vk_assert_ok(vk_exec_prepare(r.exec, NULL), NULL);
  vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
  *out = (result){.total = *net_data(&r, "loss")};
  memcpy(out->logp, net_data(&r, "grad.logp"), sizeof(float) * (size_t)(b->n_row * TOKENS));
  memcpy(out->entropy, net_data(&r, "grad.entropy"), sizeof(float) * (size_t)(b->n_row * TOKENS));
  memcpy(out->value, net_data(&r, "grad.value"), sizeof(float) * (size_t)(b->n_row * b->n_head));
  net_close(&r);
}

/* ---- formulas in double -------------------------------------------------------------------- */

typedef struct point {
  double logp[N_TOKEN], value[N_TOKEN], entropy[N_TOKEN];
} point;

static double clamp(double x, double lo, double hi)
{
  return x < lo ? lo : x > hi ? hi : x;
}

static double huber(double e, double delta)
{
  return fabs(e) < delta ? e * e / 2 : delta * (fabs(e) - delta / 2);
}

static double total_of(const batch *b, const point *p)
{
  const vk_policy_loss *s = &b->loss;
  double actor = 0, critic = 0, entropy = 0;
  for (int i = 0; i < b->n_row * b->width; i++) {
    double a = (double)b->adv[i], d = 0;
    for (int64_t k = 0; k < s->group; k++)
      d += p->logp[i * s->group + k] - (double)b->old[i * s->group + k];
    double r = exp(s->log_lo < s->log_hi ? clamp(d, s->log_lo, s->log_hi) : d);
    double l = fmax(-a * r, -a * clamp(r, 1 - s->clip_lo, 1 + s->clip_hi));
    actor += (double)b->weight[i] * (s->dual > 0 ? fmin(l, s->dual * fabs(a)) : l);
  }
  for (int i = 0; i < b->n_row * b->n_head; i++) {
    double v = p->value[i], old = (double)b->value_old[i], ret = (double)b->returns[i];
    double near = old + clamp(v - old, -s->value_clip, s->value_clip);
    critic += (double)b->value_weight[i] *
              fmax(huber(ret - v, s->huber_delta), huber(ret - near, s->huber_delta));
  }
  for (int i = 0; i < b->n_row * TOKENS; i++)
    entropy += (double)b->entropy_weight[i] * p->entropy[i];
  return actor / (double)b->norm + critic / (double)b->value_norm -
         s->entropy_bonus * entropy / (double)b->entropy_norm;
}

static void compare_slopes(const batch *b, point *p, double *x, const float *got, int n)
{
  const double h = 1e-6;
  for (int i = 0; i < n; i++) {
    double was = x[i];
    x[i] = was + h;
    double above = total_of(b, p);
    x[i] = was - h;
    double below = total_of(b, p);
    x[i] = was;
    vk_assert_close((double)got[i], (above - below) / (2 * h), 2e-6, 1e-5);
  }
}

/* gran: 0 tokens, 1 actions, 2 chunks. */
static void make_batch(batch *b, int gran, uint64_t seed, double p_valid)
{
  vk_philox rng;
  vk_philox_init(&rng, seed, 3);
  *b = (batch){.loss = vk_policy_loss_default(), .n_row = ROWS};
  b->loss.group = gran == 0 ? 1 : gran == 1 ? DIMS : TOKENS;
  b->width = TOKENS / (int)b->loss.group;
  b->n_head = gran == 2 ? 1 : STEPS;
  b->loss.huber_delta = 0.7;
  b->loss.entropy_bonus = 0.05;
  float weight[N_TOKEN], adv[N_TOKEN], one[N_TOKEN];
  double n_valid = 0;
  for (int i = 0; i < N_TOKEN; i++) {
    b->old[i] = -1 - (float)fabs(vk_philox_normal(&rng));
    b->logp[i] = b->old[i] + 0.3f * (float)vk_philox_normal(&rng);
    b->entropy[i] = (float)fabs(vk_philox_normal(&rng));
    b->value[i] = (float)vk_philox_normal(&rng);
    b->value_old[i] = b->value[i] + 0.3f * (float)vk_philox_normal(&rng);
    b->returns[i] = (float)vk_philox_normal(&rng);
    adv[i] = 2 * (float)vk_philox_normal(&rng);
  }
  for (int i = 0; i < ROWS * b->n_head; i++) {
    bool is_valid = i / b->n_head % 3 != 1 && vk_philox_double(&rng) < p_valid;
    one[i] = is_valid;
    weight[i] = is_valid ? 1 + (float)vk_philox_double(&rng) : 0;
    n_valid += is_valid;
  }
  vk_adv_spread_f32(ROWS, NULL, b->n_head, b->width, adv, b->adv);
  vk_adv_spread_f32(ROWS, NULL, b->n_head, b->width, weight, b->weight);
  vk_adv_spread_f32(ROWS, NULL, b->n_head, TOKENS, one, b->entropy_weight);
  memcpy(b->value_weight, weight, sizeof weight);
  b->norm = ROWS * (float)b->width;
  b->value_norm = ROWS * (float)b->n_head;
  b->entropy_norm = (float)n_valid;
}

#define EVERY_PATH(v)                                                                              \
  vk_isa v = VK_ISA_SCALAR;                                                                        \
  v <= best;                                                                                       \
  v++
static vk_isa best;

static void formulas(void **state)
{
  for (int k = 0; k < 9; k++) {
    batch b;
    result got;
    point p;
    make_batch(&b, k % 3, 70 + (uint64_t)k, 0.8);
    if (k >= 3)
      b.loss.dual = 1.5;
    if (k >= 6) {
      b.loss.log_lo = -0.25;
      b.loss.log_hi = 0.3;
    }
    for (int i = 0; i < N_TOKEN; i++) {
      p.logp[i] = (double)b.logp[i];
      p.value[i] = (double)b.value[i];
      p.entropy[i] = (double)b.entropy[i];
    }
    for (EVERY_PATH(isa)) {
      run_graph(&b, isa, &got);
      vk_assert_close((double)got.total, total_of(&b, &p), 1e-6, 1e-6);
      compare_slopes(&b, &p, p.logp, got.logp, N_TOKEN);
      compare_slopes(&b, &p, p.value, got.value, ROWS * b.n_head);
      compare_slopes(&b, &p, p.entropy, got.entropy, N_TOKEN);
    }
  }
}

/* Rows [n_row] of width items of a batch, those of the list. */
static void keep_rows(float *x, const int32_t *row, int64_t n, int width)
{
  for (int64_t i = 0; i < n; i++)
    memmove(x + i * width, x + row[i] * width, sizeof *x * (size_t)width);
}

/* Rows that cannot contribute are left out: the same loss, the same gradients of the others, and
 * those of the rows left out were 0. What they held does not matter. */
static void rows_left_out(void **state)
{
  for (int k = 0; k < 12; k++) {
    batch b, few;
    result all, part;
    int32_t row[ROWS];
    double saved;
    make_batch(&b, k % 3, 20 + (uint64_t)k, k < 6 ? 0.5 : 0.9);
    int64_t n = vk_adv_rows(ROWS, b.n_head, b.value_weight, NULL, row, &saved);
    assert_true(n > 0 && n <= 6 && saved >= 3.0 / ROWS - 1e-12);
    few = b;
    few.n_row = (int)n;
    keep_rows(few.logp, row, n, TOKENS);
    keep_rows(few.old, row, n, TOKENS);
    keep_rows(few.entropy, row, n, TOKENS);
    keep_rows(few.entropy_weight, row, n, TOKENS);
    keep_rows(few.adv, row, n, b.width);
    keep_rows(few.weight, row, n, b.width);
    keep_rows(few.value, row, n, b.n_head);
    keep_rows(few.value_old, row, n, b.n_head);
    keep_rows(few.returns, row, n, b.n_head);
    keep_rows(few.value_weight, row, n, b.n_head);
    for (int i = 0; i < TOKENS; i++) /* row 1 never counts */
      b.logp[TOKENS + i] = b.old[TOKENS + i] = NAN;
    run_graph(&b, best, &all);
    run_graph(&few, best, &part);
    vk_assert_close((double)part.total, (double)all.total, 1e-6, 1e-6);
    for (int64_t i = 0, at = 0; i < ROWS; i++) {
      bool is_kept = at < n && row[at] == i;
      for (int j = 0; j < TOKENS; j++) {
        float want = is_kept ? part.logp[at * TOKENS + j] : 0;
        float want_e = is_kept ? part.entropy[at * TOKENS + j] : 0;
        vk_assert_close((double)all.logp[i * TOKENS + j], (double)want, 1e-6, 1e-6);
        vk_assert_close((double)all.entropy[i * TOKENS + j], (double)want_e, 1e-6, 1e-6);
      }
      for (int j = 0; j < b.n_head; j++) {
        float want = is_kept ? part.value[at * b.n_head + j] : 0;
        vk_assert_close((double)all.value[i * b.n_head + j], (double)want, 1e-6, 1e-6);
      }
      at += is_kept;
    }
  }
}

/* ---- in a model ---------------------------------------------------------------------------- */

enum { CLASSES = 5, FEATURES = 7 };

/* Logits and values from features by one product each, rows as many as the symbol says. */
static void build_model(vk_graph *g, const batch *b)
{
  vk_graph_init(g, "model");
  int sym = vk_graph_sym(g, "batch", ROWS);
#define ROWS_OF(name, dtype, per)                                                                  \
  vk_graph_input(g, name, dtype, vk_shape_of(1, ROWS *(per)), vk_graph_extent(sym, per, 0))
  vk_id x =
      vk_graph_input(g, "x", VK_F32, vk_shape_of(2, ROWS, FEATURES), vk_graph_extent(sym, 1, 0));
  vk_id w = vk_graph_param(g, "w", vk_shape_of(2, TOKENS * CLASSES, FEATURES));
  vk_id wv = vk_graph_param(g, "wv", vk_shape_of(2, b->n_head, FEATURES));
  vk_id logits =
      VK_APPLY(g, reshape, VK_IN(VK_APPLY(g, matmul, VK_IN(x, w), .trans_b = 1)), .count = CLASSES);
  vk_id value = VK_APPLY(g, reshape, VK_IN(VK_APPLY(g, matmul, VK_IN(x, wv), .trans_b = 1)));
  vk_id action = ROWS_OF("action", VK_I32, TOKENS);
  vk_policy_loss_in in = {
      .logp = VK_APPLY(g, log_prob, VK_IN(logits, action), .scale = 0.625),
      .logp_old = ROWS_OF("old", VK_F32, TOKENS),
      .adv = ROWS_OF("adv", VK_F32, b->width),
      .weight = ROWS_OF("weight", VK_F32, b->width),
      .norm = vk_graph_input(g, "norm", VK_F32, vk_shape_of(1, 1), VK_NO_EXTENT),
      .value = value,
      .value_old = ROWS_OF("value_old", VK_F32, b->n_head),
      .returns = ROWS_OF("returns", VK_F32, b->n_head),
      .value_weight = ROWS_OF("value_weight", VK_F32, b->n_head),
      .value_norm = vk_graph_input(g, "value_norm", VK_F32, vk_shape_of(1, 1), VK_NO_EXTENT),
      .entropy = VK_APPLY(g, entropy, VK_IN(logits), .scale = 0.625),
      .entropy_weight = ROWS_OF("entropy_weight", VK_F32, TOKENS),
      .entropy_norm = vk_graph_input(g, "entropy_norm", VK_F32, vk_shape_of(1, 1), VK_NO_EXTENT)};
  vk_graph_output(g, "loss", vk_policy_loss_build(g, &b->loss, &in).total);
}

/* Rows row[0 .. n - 1] of from, n_row's item bytes each, into an input. */
static void set_rows(net_run *r, const char *name, const void *from, const int32_t *row, int64_t n,
                     size_t item)
{
  for (int64_t i = 0; i < n; i++)
    memcpy((char *)net_data(r, name) + (size_t)i * item, (const char *)from + (size_t)row[i] * item,
           item);
}

/* In a model: a batch of which only the rows that can contribute are computed
 * gives the loss and the parameters' gradients of the masked batch. */
static void fewer_rows_same_step(void **state)
{
  for (int k = 0; k < 6; k++) {
    batch b;
    vk_graph g;
    net_run r;
    float x[ROWS * FEATURES], loss[2], grad[2][TOKENS * CLASSES * FEATURES];
    float grad_value[2][STEPS * FEATURES];
    int32_t action[N_TOKEN], row[2][ROWS];
    vk_philox rng;
    vk_philox_init(&rng, (uint64_t)k, 8);
    make_batch(&b, k % 3, 50 + (uint64_t)k, 0.8);
    for (int i = 0; i < ROWS * FEATURES; i++)
      x[i] = (float)vk_philox_normal(&rng);
    for (int i = 0; i < N_TOKEN; i++)
      action[i] = i % CLASSES;
    for (int i = 0; i < ROWS; i++)
      row[0][i] = i;
    int64_t n[2] = {ROWS, vk_adv_rows(ROWS, b.n_head, b.value_weight, NULL, row[1], NULL)};
    assert_true(n[1] > 0 && n[1] < ROWS);
    vk_target target = net_target(2, true);
    build_model(&g, &b);
    net_open(&r, &g, &target, NULL);
    vk_graph_fini(&g);
    net_fill(net_data(&r, "w"), TOKENS * CLASSES * FEATURES, "w", 1);
    net_fill(net_data(&r, "wv"), b.n_head * FEATURES, "wv", 1);
    for (int way = 0; way < 2; way++) {
      const size_t f = sizeof(float);
      vk_exec_set_size(r.exec, 0, n[way]);
      set_rows(&r, "x", x, row[way], n[way], f * FEATURES);
      set_rows(&r, "action", action, row[way], n[way], sizeof *action * TOKENS);
      set_rows(&r, "old", b.old, row[way], n[way], f * TOKENS);
      set_rows(&r, "adv", b.adv, row[way], n[way], f * (size_t)b.width);
      set_rows(&r, "weight", b.weight, row[way], n[way], f * (size_t)b.width);
      set_rows(&r, "value_old", b.value_old, row[way], n[way], f * (size_t)b.n_head);
      set_rows(&r, "returns", b.returns, row[way], n[way], f * (size_t)b.n_head);
      set_rows(&r, "value_weight", b.value_weight, row[way], n[way], f * (size_t)b.n_head);
      set_rows(&r, "entropy_weight", b.entropy_weight, row[way], n[way], f * TOKENS);
      *net_data(&r, "norm") = b.norm;
      *net_data(&r, "value_norm") = b.value_norm;
      *net_data(&r, "entropy_norm") = b.entropy_norm;
      vk_assert_ok(vk_exec_prepare(r.exec, NULL), NULL);
      vk_assert_ok(vk_exec_run(r.exec, NULL), NULL);
      loss[way] = *net_data(&r, "loss");
      memcpy(grad[way], net_data(&r, "grad.w"), sizeof grad[way]);
      memcpy(grad_value[way], net_data(&r, "grad.wv"), f * (size_t)b.n_head * FEATURES);
    }
    vk_assert_close((double)loss[1], (double)loss[0], 1e-6, 1e-6);
    double size = 0;
    for (int i = 0; i < TOKENS * CLASSES * FEATURES; i++) {
      vk_assert_close((double)grad[1][i], (double)grad[0][i], 1e-6, 1e-6);
      size += fabs((double)grad[0][i]);
    }
    for (int i = 0; i < b.n_head * FEATURES; i++)
      vk_assert_close((double)grad_value[1][i], (double)grad_value[0][i], 1e-6, 1e-6);
    assert_true(size > 0.1);
    net_close(&r);
  }
}

/* The critic warms up: weights of 0 leave its loss alone. */
static void warm_up(void **state)
{
  batch b;
  result got;
  point p = {.value = {0}};
  make_batch(&b, 1, 5, 0.8);
  memset(b.weight, 0, sizeof b.weight);
  memset(b.entropy_weight, 0, sizeof b.entropy_weight);
  for (int i = 0; i < ROWS * b.n_head; i++)
    p.value[i] = (double)b.value[i];
  run_graph(&b, best, &got);
  vk_assert_close((double)got.total, total_of(&b, &p), 1e-6, 1e-6);
  for (int i = 0; i < N_TOKEN; i++)
    assert_true(got.logp[i] == 0 && got.entropy[i] == 0);
}

static void proximal(void **state)
{
  const float logp[5] = {-1, -1, -1, -1, -1}, old[5] = {-2, -2, -2, -2, -2};
  const float version[5] = {4, 3, 1, -1, 6};
  const double want[5] = {-2, -1.5, -1.25, -2, -2}; /* a: 0, 1/2, 3/4, none, none */
  float prox[5], weight[3] = {2, 0, 1};
  vk_policy_proximal(5, logp, old, version, 5, prox);
  for (int i = 0; i < 5; i++)
    vk_assert_close((double)prox[i], want[i], 1e-7, 0);
  const float p[6] = {-1, -1, 0, 0, -1, 0.5f}, o[6] = {-1.2f, -1.1f, 0, -9, -2, -2};
  assert_int_equal(vk_policy_behaviour(3, 2, p, o, 2, weight), 1);
  vk_assert_close((double)weight[0], 2 * exp(0.3), 1e-6, 0);
  assert_true(weight[1] == 0 && weight[2] == 0);
  weight[2] = 1;
  assert_int_equal(vk_policy_behaviour(3, 2, p, o, 0, weight), 0);
  vk_assert_close((double)weight[2], exp(3.5), 1e-4, 0);
}

static void metrics(void **state)
{
  /* log-ratios ln 2, ln 2, ln 1/2, none; the second is clipped by neither, the fourth is masked */
  const float old[4] = {0, 0, 0, 0}, l2 = 0.69314718f, logp[4] = {l2, l2, -l2, 9};
  const float adv[4] = {1, -2, 1, 1}, weight[4] = {1, 2, 1, 0};
  vk_policy_loss loss = vk_policy_loss_default();
  loss.dual = 1.5;
  vk_policy_sums s = {0};
  for (int i = 0; i < 4; i++) /* in parts */
    vk_policy_sums_add(&s, &loss, 1, logp + i, old + i, adv + i, weight + i);
  vk_policy_metrics m = vk_policy_metrics_of(&s);
  vk_assert_close(m.ratio, 1.5, 1e-6, 0);
  vk_assert_close(m.ratio_away, 2.5 / 3, 1e-6, 0);
  vk_assert_close(m.ratio_clipped, (1.28 + 1.28 + 0.8) / 3, 1e-6, 0);
  vk_assert_close(m.ratio_dual, 2.0 / 3, 1e-6, 0);
  vk_assert_close(m.clip_fraction, 1.0 / 3, 1e-12, 0);
  vk_assert_close(m.dual_fraction, 1.0 / 3, 1e-12, 0);
  vk_assert_close(m.kl_simple, -log(2) / 3, 1e-6, 0);
  vk_assert_close(m.kl, (2 * (1 - log(2)) + (-0.5 + log(2))) / 3, 1e-6, 0);
  vk_assert_close(s.loss, -1.28 + 2 * 3 - 0.5, 1e-6, 0);
  vk_assert_close(s.loss_size, 1.28 + 2 * 3 + 0.5, 1e-6, 0);
  vk_assert_close(m.explained, 0, 0, 0);
  const float value[3] = {1, 2, 7}, returns[3] = {1, 3, 100};
  vk_policy_sums_add_value(&s, 3, value, returns, (const float[3]){1, 1, 0});
  m = vk_policy_metrics_of(&s);
  vk_assert_close(s.n_value, 2, 0, 0);
  vk_assert_close(m.explained, 0.75, 1e-12, 0);
  vk_policy_sums none = {0};
  m = vk_policy_metrics_of(&none);
  assert_true(m.ratio == 0 && m.kl == 0 && m.explained == 0);
}

int main(void)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  best = vk_isa_best(&cpu);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(formulas),
      cmocka_unit_test(rows_left_out),
      cmocka_unit_test(fewer_rows_same_step),
      cmocka_unit_test(warm_up),
      cmocka_unit_test(proximal),
      cmocka_unit_test(metrics),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
