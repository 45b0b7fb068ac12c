/* test_losses.c - what the generic test of ops cannot see of losses, log-probabilities and draws:
 * numbers of an independent implementation (PyTorch, in double), rows that do not count, parts of a
 * batch, ties, infinities, frequencies, streams. */
#include "test.h"

#include <stdlib.h>

#include "core/cpu.h"
#include "nn/op.h"

static vk_isa best;

/* Runs an op on a path over the caller's arrays, in three parts. */
static void run_op(const vk_op_def *op, vk_isa isa, vk_attrs attr, int n_in, const vk_tensor *in,
                   int n_out, const vk_tensor *out)
{
  vk_op_call c = {.attr = &attr, .n_in = n_in, .n_out = n_out, .in = in, .out = out, .n_part = 3};
  size_t n = op->scratch ? op->scratch(&c) : 0;
  c.scratch = aligned_alloc(64, n / 64 * 64 + 64);
  assert_non_null(c.scratch);
  for (c.i_phase = 0; c.i_phase < (op->n_phase ? op->n_phase : 1); c.i_phase++)
    for (c.i_part = 0; c.i_part < c.n_part; c.i_part++)
      vk_op_kernel(op, isa)(&c);
  free(c.scratch);
}

/* Tensors over an array; absent optional inputs are {0}. */
static vk_tensor vec(void *data, vk_dtype dtype, int n)
{
  return (vk_tensor){.data = data, .dtype = dtype, .shape = vk_shape_of(1, n)};
}
static vk_tensor mat(void *data, int n_row, int n)
{
  return (vk_tensor){.data = data, .dtype = VK_F32, .shape = vk_shape_of(2, n_row, n)};
}
#define F32(x, n)    vec((x), VK_F32, (n))
#define I32(x, n)    vec((x), VK_I32, (n))
#define TENSORS(...) ((const vk_tensor[]){__VA_ARGS__})
#define EVERY_PATH(v)                                                                              \
  vk_isa v = VK_ISA_SCALAR;                                                                        \
  v <= best;                                                                                       \
  v++
#define CLOSE(got, x) vk_assert_close((got), (x), 2e-6, 2e-6)

/* ---- cross_entropy ------------------------------------------------------------------------- */

enum { R = 4, C = 6 };

static void make_logits(float *x)
{
  for (int i = 0; i < R; i++)
    for (int j = 0; j < C; j++)
      x[i * C + j] = (float)((i * 7 + j * 5) % 11) * 0.5f - 2.0f;
}

static void cross_entropy_numbers(void **state)
{
  static const double hard_grad[C] = {-0.21175079536623476, 0.0019043157661176873,
                                      0.023199315320001142, 0.0011550258979245297,
                                      0.014071096025921697, 0.1714210423562697};
  static const double soft_grad[C] = {0.06349061088190115,   -0.013070289716097102,
                                      0.009662801180893096,  -0.038058004644489586,
                                      -0.006785726625332061, -0.015239391076875499};
  float x[R * C], dx[R * C], loss, lse[R], dloss = 1, weight[R] = {1, 0.5f, 2, 0.25f};
  int32_t target[R] = {2, 0, 5, 3};
  vk_attrs soft = {.sigma = 1.5, .count = 2, .weight = 3};
  make_logits(x);
  for (EVERY_PATH(isa)) {
    run_op(&vk_op_cross_entropy, isa, (vk_attrs){.none = 0}, 2,
           TENSORS(mat(x, R, C), I32(target, R)), 2, TENSORS(F32(&loss, 1), F32(lse, R)));
    CLOSE(loss, 2.109836359589023);
    run_op(&vk_op_cross_entropy_grad, isa, (vk_attrs){.none = 0}, 4,
           TENSORS(F32(&dloss, 1), mat(x, R, C), I32(target, R), F32(lse, R)), 1,
           TENSORS(mat(dx, R, C)));
    for (int j = 0; j < C; j++)
      CLOSE(dx[C + j], hard_grad[j]);
    run_op(&vk_op_cross_entropy, isa, soft, 3,
           TENSORS(mat(x, R, C), I32(target, R), F32(weight, R)), 2,
           TENSORS(F32(&loss, 1), F32(lse, R)));
    CLOSE(loss, 2.8062364627510656);
    run_op(&vk_op_cross_entropy_grad, isa, soft, 5,
           TENSORS(F32(&dloss, 1), mat(x, R, C), I32(target, R), F32(lse, R), F32(weight, R)), 1,
           TENSORS(mat(dx, R, C)));
    for (int j = 0; j < C; j++)
      CLOSE(dx[3 * C + j], soft_grad[j]);
  }
}

/* Rows of weight 0 or without a class may hold anything: they change no bit of the others. */
static void rows_that_do_not_count(void **state)
{
  float x[R * C], bad[R * C], dx[R * C], weight[R] = {0, 1, 1, 1}, loss, lse[R], want, dloss = 1;
  int32_t target[R] = {2, 0, -100, 3}, two[2] = {0, 3};
  make_logits(x);
  memcpy(bad, x, sizeof bad);
  for (int j = 0; j < C; j++) {
    bad[j] = NAN;
    bad[2 * C + j] = INFINITY;
  }
  float rest[2 * C];
  memcpy(rest, x + C, sizeof *x * C);
  memcpy(rest + C, x + 3 * C, sizeof *x * C);
  for (EVERY_PATH(isa)) {
    run_op(&vk_op_cross_entropy, isa, (vk_attrs){.none = 0}, 2,
           TENSORS(mat(rest, 2, C), I32(two, 2)), 2, TENSORS(F32(&want, 1), F32(lse, 2)));
    run_op(&vk_op_cross_entropy, isa, (vk_attrs){.none = 0}, 3,
           TENSORS(mat(bad, R, C), I32(target, R), F32(weight, R)), 2,
           TENSORS(F32(&loss, 1), F32(lse, R)));
    assert_true(loss == want);
    /* in place */
    memcpy(dx, bad, sizeof dx);
    run_op(&vk_op_cross_entropy_grad, isa, (vk_attrs){.none = 0}, 5,
           TENSORS(F32(&dloss, 1), mat(dx, R, C), I32(target, R), F32(lse, R), F32(weight, R)), 1,
           TENSORS(mat(dx, R, C)));
    for (int j = 0; j < C; j++) {
      assert_true(dx[j] == 0 && dx[2 * C + j] == 0);
      assert_true(isfinite(dx[C + j]) && dx[C + j] != 0);
    }
    memset(weight, 0, sizeof weight);
    run_op(&vk_op_cross_entropy, isa, (vk_attrs){.none = 0}, 3,
           TENSORS(mat(bad, R, C), I32(target, R), F32(weight, R)), 2,
           TENSORS(F32(&loss, 1), F32(lse, R)));
    assert_true(loss == 0);
    for (int i = 1; i < R; i++)
      weight[i] = 1;
  }
}

/* A batch whose logits have fewer rows than their capacity: targets must shrink with them. */
static void extents_must_agree(void **state)
{
  vk_err err = VK_ERR_INIT;
  for (int way = 0; way < 2; way++) {
    vk_graph g;
    vk_graph_init(&g, "loss");
    int batch = vk_graph_sym(&g, "batch", 8);
    vk_extent rows = vk_graph_extent(batch, 56, 0), one = vk_graph_extent(batch, 1, 0);
    vk_id x = vk_graph_input(&g, "x", VK_F32, vk_shape_of(2, 448, 256), rows);
    vk_id t = vk_graph_input(&g, "t", VK_I32, vk_shape_of(2, 8, 56), way ? VK_NO_EXTENT : one);
    vk_id loss = VK_APPLY(&g, cross_entropy, VK_IN(x, t));
    if (way) {
      vk_assert_fails(vk_graph_check(&g, &err), VK_E_SHAPE);
      vk_assert_says(&err, "input 1 must have an item a row of input 0");
    } else {
      vk_assert_ok(vk_graph_check(&g, &err), &err);
      assert_int_equal(vk_shape_n_item(&g.value[loss].shape), 1);
      const vk_value *lse = &g.value[vk_graph_out(&g, loss, 1)];
      assert_int_equal(lse->shape.n_dim, 1);
      assert_int_equal(lse->extent.per, 56);
    }
    vk_graph_fini(&g);
  }
}

/* ---- ppo_loss, huber ----------------------------------------------------------------------- */

static void ppo_numbers(void **state)
{
  static const struct {
    vk_attrs attr;
    double loss, grad[6];
  } golden[] = {{{.lo = 0.2, .hi = 0.28},
                 1.0064814130620148,
                 {-0.1700262950885612, 0.7516324665601045, 0, 0, 0.6894906262058561, 0}},
                {{.lo = 0.2, .hi = 0.28, .dual = 3},
                 0.7785292483946203,
                 {-0.1700262950885612, 0.7516324665601045, 0, 0, 0, 0}},
                {{.lo = 0.2, .hi = 0.28, .log_lo = -1.9, .log_hi = 1.25},
                 0.8539666264656728,
                 {-0.1700262950885612, 0.7516324665601045, 0, 0, 0, 0}}};
  float logp[] = {0.1f, -1, 0.5f, -0.3f, 2, -3}, old[] = {0, -1.2f, -0.5f, -0.25f, 0.5f, -1};
  float a[] = {1, -2, 1.5f, 0, -1, -0.5f}, w[] = {1, 2, 1, 1, 1, 0.5f}, loss, dloss = 1, grad[6];
  for (EVERY_PATH(isa))
    for (size_t k = 0; k < VK_COUNT(golden); k++) {
      run_op(&vk_op_ppo_loss, isa, golden[k].attr, 4,
             TENSORS(F32(logp, 6), F32(old, 6), F32(a, 6), F32(w, 6)), 1, TENSORS(F32(&loss, 1)));
      CLOSE(loss, golden[k].loss);
      run_op(&vk_op_ppo_loss_grad, isa, golden[k].attr, 5,
             TENSORS(F32(&dloss, 1), F32(logp, 6), F32(old, 6), F32(a, 6), F32(w, 6)), 1,
             TENSORS(F32(grad, 6)));
      for (int i = 0; i < 6; i++)
        CLOSE(grad[i], golden[k].grad[i]);
    }
}

/* Losses of the halves of a batch, each over the whole's norm, add up; what is masked may be NaN.
 */
static void parts_of_a_batch(void **state)
{
  enum { N = 3000 };
  static float logp[N], old[N], a[N], w[N];
  vk_philox rng;
  vk_philox_init(&rng, 5, 6);
  float whole, half[2], norm = 0, none = 0;
  for (int i = 0; i < N; i++) {
    logp[i] = (float)vk_philox_normal(&rng);
    old[i] = (float)vk_philox_normal(&rng);
    a[i] = (float)vk_philox_normal(&rng);
    w[i] = i % 3 ? 1 : 0;
    norm += w[i];
    if (i % 3 == 0)
      logp[i] = NAN;
  }
  vk_attrs attr = {.lo = 0.2, .hi = 0.2};
  for (EVERY_PATH(isa)) {
    run_op(&vk_op_ppo_loss, isa, attr, 4, TENSORS(F32(logp, N), F32(old, N), F32(a, N), F32(w, N)),
           1, TENSORS(F32(&whole, 1)));
    for (int k = 0; k < 2; k++) {
      int at = k * N / 2, n = N / 2;
      run_op(&vk_op_ppo_loss, isa, attr, 5,
             TENSORS(F32(logp + at, n), F32(old + at, n), F32(a + at, n), F32(w + at, n),
                     F32(&norm, 1)),
             1, TENSORS(F32(&half[k], 1)));
    }
    vk_assert_close(half[0] + half[1], whole, 1e-6, 1e-6);
    run_op(&vk_op_ppo_loss, isa, attr, 5,
           TENSORS(F32(logp, N), F32(old, N), F32(a, N), F32(w, N), F32(&none, 1)), 1,
           TENSORS(F32(&whole, 1)));
    assert_true(whole == 0);
  }
}

static void huber_numbers(void **state)
{
  float v[] = {0, 1, 2, -3, 0.5f}, target[] = {0.3f, -1.5f, 2.1f, -2.5f, 0.5f};
  float old[] = {0.1f, 0.9f, 1.5f, -3.1f, 1}, loss, dloss = 1, grad[5];
  static const double plain[] = {-0.06, 0.2, -0.02, -0.1, 0}, clipped[] = {-0.06, 0.2, 0, -0.1, 0};
  vk_tensor none = {0};
  for (EVERY_PATH(isa)) {
    run_op(&vk_op_huber, isa, (vk_attrs){.delta = 1}, 2, TENSORS(F32(v, 5), F32(target, 5)), 1,
           TENSORS(F32(&loss, 1)));
    CLOSE(loss, 0.435);
    run_op(&vk_op_huber_grad, isa, (vk_attrs){.delta = 1}, 3,
           TENSORS(F32(&dloss, 1), F32(v, 5), F32(target, 5)), 1, TENSORS(F32(grad, 5)));
    for (int i = 0; i < 5; i++)
      CLOSE(grad[i], plain[i]);
    run_op(&vk_op_huber, isa, (vk_attrs){.delta = 1, .hi = 0.2}, 5,
           TENSORS(F32(v, 5), F32(target, 5), none, none, F32(old, 5)), 1, TENSORS(F32(&loss, 1)));
    CLOSE(loss, 0.459);
    run_op(&vk_op_huber_grad, isa, (vk_attrs){.delta = 1, .hi = 0.2}, 6,
           TENSORS(F32(&dloss, 1), F32(v, 5), F32(target, 5), none, none, F32(old, 5)), 1,
           TENSORS(F32(grad, 5)));
    for (int i = 0; i < 5; i++)
      CLOSE(grad[i], clipped[i]);
  }
}

/* ---- log_prob, entropy --------------------------------------------------------------------- */

/* Of {3, 1, 2, 2, -inf} the two greatest are three, for ties stay. */
static void greatest_alone(void **state)
{
  float x[] = {3, 1, 2, 2, -INFINITY}, rows[5 * 5], logp[5], lse[5], h[5], dy[5], dx[25];
  int32_t action[] = {0, 1, 2, 3, 4};
  for (int i = 0; i < 5; i++) {
    memcpy(rows + 5 * i, x, sizeof x);
    dy[i] = 1;
  }
  double sum = 1 + 2 * exp(-1.0), p = 1 / sum, q = exp(-1.0) / sum;
  vk_attrs attr = {.count = 2};
  for (EVERY_PATH(isa)) {
    run_op(&vk_op_log_prob, isa, attr, 2, TENSORS(mat(rows, 5, 5), I32(action, 5)), 2,
           TENSORS(F32(logp, 5), F32(lse, 5)));
    CLOSE(logp[0], log(p));
    CLOSE(logp[2], log(q));
    CLOSE(logp[3], log(q));
    assert_true(logp[1] == -INFINITY && logp[4] == -INFINITY);
    run_op(&vk_op_log_prob_grad, isa, attr, 4,
           TENSORS(F32(dy, 5), mat(rows, 5, 5), I32(action, 5), F32(lse, 5)), 1,
           TENSORS(mat(dx, 5, 5)));
    CLOSE(dx[0], 1 - p);
    CLOSE(dx[2], -q);
    for (int j = 0; j < 5; j++) /* no way leads there */
      assert_true(dx[5 + j] == 0 && dx[20 + j] == 0);
    assert_true(dx[1] == 0 && dx[4] == 0);
    run_op(&vk_op_entropy, isa, attr, 1, TENSORS(mat(rows, 5, 5)), 2,
           TENSORS(F32(h, 5), F32(lse, 5)));
    CLOSE(h[0], -(p * log(p) + 2 * q * log(q)));
    run_op(&vk_op_entropy_grad, isa, attr, 4,
           TENSORS(F32(dy, 5), mat(rows, 5, 5), F32(h, 5), F32(lse, 5)), 1, TENSORS(mat(dx, 5, 5)));
    CLOSE(dx[0], -p * (log(p) + h[0]));
    assert_true(dx[1] == 0 && dx[4] == 0);
    /* all that are finite */
    run_op(&vk_op_entropy, isa, (vk_attrs){.none = 0}, 1, TENSORS(mat(rows, 5, 5)), 2,
           TENSORS(F32(h, 5), F32(lse, 5)));
    CLOSE(lse[0], 3 + log(sum + exp(-2.0)));
    assert_true(isfinite(h[0]));
    run_op(&vk_op_entropy_grad, isa, (vk_attrs){.none = 0}, 4,
           TENSORS(F32(dy, 5), mat(rows, 5, 5), F32(h, 5), F32(lse, 5)), 1, TENSORS(mat(dx, 5, 5)));
    for (int j = 0; j < 25; j++)
      assert_true(isfinite(dx[j]));
  }
}

/* ---- argmax, median, expectation, sample ---------------------------------------------------- */

static int32_t argmax_of(vk_isa isa, float *x, int n)
{
  int32_t y = -1;
  run_op(&vk_op_argmax, isa, (vk_attrs){.none = 0}, 1, TENSORS(mat(x, 1, n)), 1,
         TENSORS(I32(&y, 1)));
  return y;
}

static void argmax_edges(void **state)
{
  float x[70];
  for (EVERY_PATH(isa))
    for (int n = 1; n <= 70; n++) {
      for (int i = 0; i < n; i++)
        x[i] = NAN;
      assert_int_equal(argmax_of(isa, x, n), 0);
      x[n - 1] = -INFINITY; /* better than NaN */
      assert_int_equal(argmax_of(isa, x, n), n - 1);
      for (int i = 0; i < n; i++)
        x[i] = -1 - (float)(i % 3);
      for (int at = 0; at < n; at++) {
        float was = x[at], last = x[n - 1];
        x[at] = x[n - 1] = 7; /* the first of equal ones */
        assert_int_equal(argmax_of(isa, x, n), at);
        if (at + 1 < n) {
          x[n - 1] = NAN;
          assert_int_equal(argmax_of(isa, x, n), at);
        }
        x[n - 1] = last;
        x[at] = was;
      }
    }
}

static void median_edges(void **state)
{
  /* a mode at 1, most above it; halves (not more than a half); one class; nothing finite */
  const float p[4][9] = {{0, .4f, 0, 0, 0, .35f, 0, 0, .25f},
                         {.25f, .25f, 0, 0, .5f, 0, 0, 0, 0},
                         {0, 0, 0, 0, 0, 0, 1, 0, 0},
                         {.5f, 0, 0, 0, 0, 0, 0, 0, .5f}};
  const int32_t want[4] = {5, 4, 6, 8};
  float x[4 * 9], nan[9];
  int32_t y[4];
  for (int i = 0; i < 36; i++)
    x[i] = logf(p[i / 9][i % 9]);
  for (int i = 0; i < 9; i++)
    nan[i] = NAN;
  for (EVERY_PATH(isa)) {
    run_op(&vk_op_median, isa, (vk_attrs){.none = 0}, 1, TENSORS(mat(x, 4, 9)), 1,
           TENSORS(I32(y, 4)));
    assert_memory_equal(y, want, sizeof want);
    run_op(&vk_op_median, isa, (vk_attrs){.none = 0}, 1, TENSORS(mat(nan, 1, 9)), 1,
           TENSORS(I32(y, 1)));
    assert_int_equal(y[0], 0); /* as argmax */
  }
}

static void expectation_edges(void **state)
{
  float x[3][7] = {{5, 4, 3, 100, 3, 4, 5}, {9, 8, 7, 0, 0, 0, 50}, {9, 8, 7, 6, 0, 0, 0}}, y[3];
  for (EVERY_PATH(isa)) {
    run_op(&vk_op_expectation, isa, (vk_attrs){.count = 2}, 1, TENSORS(mat(x, 3, 7)), 1,
           TENSORS(F32(y, 3)));
    CLOSE(y[0], 3);
    CLOSE(y[1], 6);
    CLOSE(y[2], (exp(-1.0) + 2 * exp(-2.0)) / (1 + exp(-1.0) + exp(-2.0)));
    run_op(&vk_op_expectation, isa, (vk_attrs){.count = 0}, 1, TENSORS(mat(x, 3, 7)), 1,
           TENSORS(F32(y, 3)));
    assert_true(y[2] == 0);
  }
}

enum { N_DRAW = 20000, N_CLASS = 5 };

static void frequencies(void **state)
{
  static float x[N_DRAW * N_CLASS];
  static int32_t y[N_DRAW];
  const float logit[N_CLASS] = {1, 0, -INFINITY, 2, 0.5f};
  for (int i = 0; i < N_DRAW; i++)
    memcpy(x + N_CLASS * i, logit, sizeof logit);
  for (EVERY_PATH(isa))
    for (int k = 0; k < 2; k++) { /* temperature 2; the two greatest */
      vk_attrs attr = {.seed = 42, .scale = k ? 0 : 0.5, .count = k ? 2 : 0};
      double p[N_CLASS], sum = 0;
      int n[N_CLASS] = {0};
      for (int j = 0; j < N_CLASS; j++) {
        p[j] = k && logit[j] < 1 ? 0 : exp((double)logit[j] * (k ? 1 : 0.5));
        sum += p[j];
      }
      run_op(&vk_op_sample, isa, attr, 1, TENSORS(mat(x, N_DRAW, N_CLASS)), 1,
             TENSORS(I32(y, N_DRAW)));
      for (int i = 0; i < N_DRAW; i++)
        n[y[i]]++;
      for (int j = 0; j < N_CLASS; j++) {
        double want = p[j] / sum;
        assert_true(p[j] > 0 || n[j] == 0);
        vk_assert_close((double)n[j] / N_DRAW, want, 4 * sqrt(want * (1 - want) / N_DRAW), 0);
      }
    }
}

/* A group's draws depend on its key and its logits, not on where it stands. */
static void streams(void **state)
{
  enum { GROUP = 8, PER = 7, N = 64 };
  static float x[GROUP * PER * N], swapped[GROUP * PER * N];
  int32_t key[GROUP][2], other[GROUP][2], y[GROUP * PER], z[GROUP * PER];
  vk_philox rng;
  vk_philox_init(&rng, 1, 1);
  for (int i = 0; i < GROUP * PER * N; i++)
    x[i] = (float)vk_philox_normal(&rng);
  for (int g = 0; g < GROUP; g++) {
    key[g][0] = 100 + g;
    key[g][1] = -g;
  }
  for (int g = 0; g < GROUP; g++) {
    memcpy(other[g], key[GROUP - 1 - g], sizeof *key);
    memcpy(swapped + g * PER * N, x + (GROUP - 1 - g) * PER * N, sizeof *x * PER * N);
  }
  for (EVERY_PATH(isa)) {
    run_op(&vk_op_sample, isa, (vk_attrs){.none = 0}, 2,
           TENSORS(mat(x, GROUP * PER, N), I32(key, 2 * GROUP)), 1, TENSORS(I32(y, GROUP * PER)));
    run_op(&vk_op_sample, isa, (vk_attrs){.none = 0}, 2,
           TENSORS(mat(swapped, GROUP * PER, N), I32(other, 2 * GROUP)), 1,
           TENSORS(I32(z, GROUP * PER)));
    for (int g = 0; g < GROUP; g++)
      assert_memory_equal(y + PER * g, z + PER * (GROUP - 1 - g), PER * sizeof *y);
    key[0][1]++;
    run_op(&vk_op_sample, isa, (vk_attrs){.none = 0}, 2,
           TENSORS(mat(x, GROUP * PER, N), I32(key, 2 * GROUP)), 1, TENSORS(I32(z, GROUP * PER)));
    assert_memory_not_equal(y, z, PER * sizeof *y);
    assert_memory_equal(y + PER, z + PER, (GROUP - 1) * PER * sizeof *y);
    key[0][1]--;
  }
}

/* ---- dropout ------------------------------------------------------------------------------- */

static void masks(void **state)
{
  enum { N = 20000, SHORT = 777 };
  static float x[N], y[N], z[N];
  for (int i = 0; i < N; i++)
    x[i] = 1;
  for (EVERY_PATH(isa)) {
    int32_t step = 3, next = 4;
    vk_attrs attr = {.p = 0.25, .seed = 9};
    run_op(&vk_op_dropout, isa, attr, 2, TENSORS(F32(x, N), I32(&step, 1)), 1, TENSORS(F32(y, N)));
    double sum = 0;
    for (int i = 0; i < N; i++) {
      assert_true(y[i] == 0 || y[i] == (float)(1 / 0.75));
      sum += (double)y[i];
    }
    vk_assert_close(sum / N, 1, 4 * sqrt(0.25 / 0.75 / N), 0);
    /* fewer items have the same mask, another step or seed has another */
    run_op(&vk_op_dropout, isa, attr, 2, TENSORS(F32(x, SHORT), I32(&step, 1)), 1,
           TENSORS(F32(z, SHORT)));
    assert_memory_equal(y, z, SHORT * sizeof *z);
    run_op(&vk_op_dropout, isa, attr, 2, TENSORS(F32(x, N), I32(&next, 1)), 1, TENSORS(F32(z, N)));
    assert_memory_not_equal(y, z, sizeof y);
    attr.seed = 10;
    run_op(&vk_op_dropout, isa, attr, 2, TENSORS(F32(x, N), I32(&step, 1)), 1, TENSORS(F32(z, N)));
    assert_memory_not_equal(y, z, sizeof y);
    attr.p = 0;
    run_op(&vk_op_dropout, isa, attr, 2, TENSORS(F32(x, N), I32(&step, 1)), 1, TENSORS(F32(z, N)));
    assert_memory_equal(x, z, sizeof x);
  }
}

int main(void)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  best = vk_isa_best(&cpu);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(cross_entropy_numbers),
      cmocka_unit_test(rows_that_do_not_count),
      cmocka_unit_test(extents_must_agree),
      cmocka_unit_test(ppo_numbers),
      cmocka_unit_test(parts_of_a_batch),
      cmocka_unit_test(huber_numbers),
      cmocka_unit_test(greatest_alone),
      cmocka_unit_test(argmax_edges),
      cmocka_unit_test(median_edges),
      cmocka_unit_test(expectation_edges),
      cmocka_unit_test(frequencies),
      cmocka_unit_test(streams),
      cmocka_unit_test(masks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
