/* test_optim.c - steps are those of the formula in double and of PyTorch, on every path and for any
 * number of threads; states come back with their bits. */
#include "temp_dir.h"

#include "alloc_fail.h"
#include "core/rng.h"
#include "core/safetensors.h"
#include "nn/optim.h"

static vk_cpu cpu;

/* Paths this machine can run: isa from 0 to this one. */
static vk_isa isa_last(void)
{
  vk_isa best = vk_isa_best(&cpu);
  return best < VK_ISA_AVX512 ? best : VK_ISA_AVX512;
}

/* ---- a block of several spans ---- */

enum { N_ITEM = 67585, N = 70000, N_SPAN = 6, N_GROUP = 3 }; /* N: with guards behind */

static const vk_optim_span spans[N_SPAN] = {
    {"stem.weight", 0, 33, 0},     {"stem.bias", 33, 5, 1}, /* unaligned, no gap */
    {"body.weight", 48, 50001, 0},                          /* more than one chunk */
    {"frozen", 50049, 900, 2},     {"head.weight", 51200, 16384, 0}, {"head.bias", 67584, 1, 1}};
static const vk_optim_group groups[N_GROUP] = {{1, 0.05, false}, {0.3, 0, false}, {1, 1, true}};
static const vk_optim_config config = {
    .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .max_norm = 1, .ema_decay = 0.4};

static bool is_trained(int i)
{
  for (int k = 0; k < N_SPAN; k++)
    if (i >= spans[k].offset && i < spans[k].offset + spans[k].n)
      return spans[k].i_group != 2;
  return false;
}

static const vk_optim_group *group_of(int i)
{
  for (int k = 0; k < N_SPAN; k++)
    if (i >= spans[k].offset && i < spans[k].offset + spans[k].n)
      return &groups[spans[k].i_group];
  return NULL;
}

typedef struct block {
  float param[N], grad[N];
  vk_optim *o;
} block;

static float noise(uint64_t i, double size)
{
  uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 31) * 0xbf58476d1ce4e5b9u;
  return (float)(((double)(x >> 11) * 0x1p-53 - 0.5) * size);
}

static void begin_block(block *b, vk_isa isa, vk_optim_config c)
{
  vk_err err = VK_ERR_INIT;
  c.isa = isa;
  for (int i = 0; i < N; i++)
    b->param[i] = noise((uint64_t)i, 2);
  vk_assert_ok(vk_optim_new(&b->o, &c, groups, N_GROUP, spans, N_SPAN, b->param, b->grad, &err),
               &err);
}

/* Gradients of step t; NaN where nobody may read them. */
static void fill_grad(block *b, int t)
{
  for (int i = 0; i < N; i++)
    b->grad[i] = is_trained(i) ? noise((uint64_t)(i + 977 * t), 0.2 / (t + 1)) : NAN;
}

static void step_parts(block *b, double lr, int n_part, double *norm)
{
  vk_err err = VK_ERR_INIT;
  vk_optim_begin(b->o, lr, 0.5);
  for (int i = n_part - 1; i >= 0; i--)
    vk_optim_norm_part(b->o, i, n_part);
  for (int i = n_part - 1; i >= 0; i--)
    vk_optim_update_part(b->o, i, n_part);
  vk_assert_ok(vk_optim_end(b->o, norm, &err), &err);
}

/* ---- against the formula ---- */

typedef struct reference {
  double param[N], m[N], v[N], ema[N];
} reference;

static double reference_step(reference *r, const block *b, int t, double lr, double scale)
{
  double sum = 0;
  for (int i = 0; i < N; i++)
    if (is_trained(i))
      sum += (double)b->grad[i] * (double)b->grad[i] * scale * scale;
  double norm = sqrt(sum), clip = fmin(1, config.max_norm / (norm + 1e-6));
  for (int i = 0; i < N; i++) {
    if (!is_trained(i))
      continue;
    const vk_optim_group *group = group_of(i);
    double g = (double)b->grad[i] * scale * clip, rate = lr * group->lr_scale;
    r->m[i] = config.beta1 * r->m[i] + (1 - config.beta1) * g;
    r->v[i] = config.beta2 * r->v[i] + (1 - config.beta2) * g * g;
    double m = r->m[i] / (1 - pow(config.beta1, t)), v = r->v[i] / (1 - pow(config.beta2, t));
    r->param[i] -= rate * group->weight_decay * r->param[i];
    r->param[i] -= rate * m / (sqrt(v) + config.eps);
    double decay = fmin(config.ema_decay, t / (t + 9.0));
    r->ema[i] = decay * r->ema[i] + (1 - decay) * r->param[i];
  }
  return norm;
}

static void steps_are_the_formulas(void **state)
{
  static block b;
  static reference r;
  for (vk_isa isa = VK_ISA_SCALAR; isa <= isa_last(); isa++) {
    begin_block(&b, isa, config);
    r = (reference){0};
    for (int i = 0; i < N; i++)
      r.param[i] = r.ema[i] = (double)b.param[i];
    for (int t = 1; t <= 8; t++) {
      double norm = 0, lr = 0.01 / t;
      fill_grad(&b, t);
      double want = reference_step(&r, &b, t, lr, 0.5);
      step_parts(&b, lr, 3, &norm);
      vk_assert_close(norm, want, 0, 1e-12);
      assert_int_equal(norm > config.max_norm, t < 7); /* clipped, and not */
      assert_int_equal(vk_optim_n_step(b.o), t);
    }
    /* a rounding of 6e-8 a step, and as much in each of the moments' about ten */
    const float *ema = vk_optim_ema(b.o);
    for (int i = 0; i < N_ITEM; i++) {
      vk_assert_close((double)b.param[i], r.param[i], 1e-7, 1e-6);
      vk_assert_close((double)ema[i], r.ema[i], 1e-7, 1e-6);
    }
    vk_optim_free(b.o);
  }
}

/* What PyTorch 2 has after 1 and 6 steps, in double:
 *
 *   p = [Parameter(tensor([.5, -.25, 1., -2., .125])), Parameter(tensor([3., -1.]))]
 *   o = AdamW([dict(params=p[:1], weight_decay=.1), dict(params=p[1:], weight_decay=0., lr=3e-3)],
 *             lr=1e-2, betas=(.9, .95), eps=1e-8)
 *   for t in range(6):
 *       for k, q in enumerate(p):
 *           q.grad = tensor([(-1)**(i+t) * (i+1) * 2.**-(t+k) for i in range(q.numel())])
 *       norm = clip_grad_norm_(p, 1.)
 *       o.step() */
static void steps_are_pytorchs(void **state)
{
  static const double want_1[7] = {0.48950000075000005, -0.23975000037500005, 0.98900000025,
                                   -1.9880000001875,    0.11487500015000002,  2.99700000045,
                                   -0.997000000225};
  static const double want_6[7] = {0.4833568592267999,  -0.23485311370498993, 0.9803643485435481,
                                   -1.9743793284721987, 0.11060124089227882,  2.995887366475133,
                                   -0.9958873661629858};
  static const double norms[6] = {7.5, 3.75, 1.875, 0.9375, 0.46875, 0.234375};
  const vk_optim_group group[] = {{1, 0.1, false}, {0.3, 0, false}};
  const vk_optim_span span[] = {{"a", 0, 5, 0}, {"b", 5, 2, 1}};
  for (vk_isa isa = VK_ISA_SCALAR; isa <= isa_last(); isa++) {
    float p[7] = {0.5F, -0.25F, 1, -2, 0.125F, 3, -1}, g[7];
    vk_optim_config c = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .max_norm = 1, .isa = isa};
    vk_err err = VK_ERR_INIT;
    vk_optim *o;
    vk_assert_ok(vk_optim_new(&o, &c, group, 2, span, 2, p, g, &err), &err);
    for (int t = 0; t < 6; t++) {
      double norm;
      for (int i = 0; i < 7; i++) {
        int k = i >= 5, j = k ? i - 5 : i;
        g[i] = ldexpf((float)((j + t) % 2 ? -(j + 1) : j + 1), -(t + k));
      }
      vk_assert_ok(vk_optim_step(o, NULL, 1e-2, 1, &norm, &err), &err);
      vk_assert_close(norm, norms[t], 0, 1e-15);
      for (int i = 0; i < 7 && (t == 0 || t == 5); i++)
        vk_assert_close((double)p[i], t ? want_6[i] : want_1[i], 0, 4e-7);
    }
    assert_null(vk_optim_ema(o));
    vk_optim_free(o);
  }
}

/* ---- bits ---- */

static void bits_do_not_depend_on_the_threads(void **state)
{
  static block one, many;
  static const int n_part[] = {2, 3, 4, 7, 64};
  double norm_scalar[3] = {0};
  for (vk_isa isa = VK_ISA_SCALAR; isa <= isa_last(); isa++)
    for (size_t k = 0; k < VK_COUNT(n_part); k++) {
      begin_block(&one, isa, config);
      begin_block(&many, isa, config);
      for (int t = 0; t < 3; t++) {
        double norm_one, norm_many;
        fill_grad(&one, t);
        fill_grad(&many, t);
        step_parts(&one, 0.01, 1, &norm_one);
        step_parts(&many, 0.01, n_part[k], &norm_many);
        vk_assert_same_bits(norm_many, norm_one);
        if (isa == VK_ISA_SCALAR)
          norm_scalar[t] = norm_one;
        vk_assert_same_bits(norm_one, norm_scalar[t]);
      }
      assert_memory_equal(one.param, many.param, sizeof one.param);
      assert_memory_equal(vk_optim_ema(one.o), vk_optim_ema(many.o), sizeof(float) * N_ITEM);
      vk_optim_free(one.o);
      vk_optim_free(many.o);
    }
}

static void teams_take_steps(void **state)
{
  static block one, many;
  vk_err err = VK_ERR_INIT;
  vk_team *team;
  vk_assert_ok(vk_team_new(&team, 3, &err), &err);
  begin_block(&one, isa_last(), config);
  begin_block(&many, isa_last(), config);
  for (int t = 0; t < 50; t++) {
    double norm_one, norm_many;
    fill_grad(&one, t);
    fill_grad(&many, t);
    vk_assert_ok(vk_optim_step(one.o, NULL, 0.01, 1, &norm_one, &err), &err);
    vk_assert_ok(vk_optim_step(many.o, team, 0.01, 1, &norm_many, &err), &err);
    vk_assert_same_bits(norm_many, norm_one);
  }
  assert_memory_equal(one.param, many.param, sizeof one.param);
  vk_optim_free(one.o);
  vk_optim_free(many.o);
  vk_team_free(team);
}

static void leaves_gaps_and_frozen_ones(void **state)
{
  static block b;
  begin_block(&b, isa_last(), config);
  fill_grad(&b, 0);
  step_parts(&b, 0.01, 2, NULL);
  int n_changed = 0;
  for (int i = 0; i < N; i++) {
    bool is_changed = b.param[i] != noise((uint64_t)i, 2);
    assert_true(is_trained(i) || !is_changed);
    assert_true(is_trained(i) || i >= N_ITEM || vk_optim_ema(b.o)[i] == b.param[i]);
    n_changed += is_changed;
  }
  assert_true(n_changed > 66000);
  vk_optim_free(b.o);
}

static void bad_gradients_change_nothing(void **state)
{
  static block b, before;
  static float ema[N_ITEM];
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  for (vk_isa isa = VK_ISA_SCALAR; isa <= isa_last(); isa++) {
    begin_block(&b, isa, config);
    fill_grad(&b, 0);
    step_parts(&b, 0.01, 1, NULL);
    vk_assert_ok(vk_optim_save(b.o, in_dir("before"), NULL), NULL);
    memcpy(before.param, b.param, sizeof b.param);
    memcpy(ema, vk_optim_ema(b.o), sizeof ema);
    for (size_t k = 0; k < VK_COUNT(bad); k++) {
      vk_err err = VK_ERR_INIT;
      double norm = 0;
      fill_grad(&b, 1);
      b.grad[k == 0 ? 67584 : 48 + 777] = bad[k];
      vk_assert_fails(vk_optim_step(b.o, NULL, 0.01, 1, &norm, &err), VK_E_DIVERGED);
      vk_assert_says(&err, "gradients' norm is ");
      vk_assert_says(&err, "after 1 steps");
      assert_false(isfinite(norm));
      assert_int_equal(vk_optim_n_step(b.o), 1);
      assert_memory_equal(b.param, before.param, sizeof b.param);
      assert_memory_equal(vk_optim_ema(b.o), ema, sizeof ema);
    }
    char *x, *y;
    size_t n_x, n_y;
    vk_assert_ok(vk_optim_save(b.o, in_dir("after"), NULL), NULL);
    vk_assert_ok(vk_fs_read(&x, &n_x, in_dir("before"), SIZE_MAX, NULL), NULL);
    vk_assert_ok(vk_fs_read(&y, &n_y, in_dir("after"), SIZE_MAX, NULL), NULL);
    assert_int_equal(n_x, n_y);
    assert_memory_equal(x, y, n_x);
    free(x);
    free(y);
    fill_grad(&b, 1);
    step_parts(&b, 0.01, 1, NULL); /* and goes on */
    vk_optim_free(b.o);
  }
}

/* Squares of these are no floats: clipped they are fine, unclipped they would end the moments. */
static void large_gradients_need_clipping(void **state)
{
  const vk_optim_group group = {1, 0, false};
  const vk_optim_span span = {"a", 0, 20, 0};
  float p[20] = {0}, g[20];
  for (int i = 0; i < 20; i++)
    g[i] = 1e25F;
  for (vk_isa isa = VK_ISA_SCALAR; isa <= isa_last(); isa++) {
    vk_err err = VK_ERR_INIT;
    vk_optim_config c = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .isa = isa};
    vk_optim *o;
    double norm;
    memset(p, 0, sizeof p);
    vk_assert_ok(vk_optim_new(&o, &c, &group, 1, &span, 1, p, g, &err), &err);
    vk_assert_fails(vk_optim_step(o, NULL, 0.1, 1, &norm, &err), VK_E_DIVERGED);
    vk_assert_close(norm, 1e25 * sqrt(20), 0, 1e-6);
    assert_true(p[0] == 0);
    vk_optim_free(o);
    c.max_norm = 1;
    vk_assert_ok(vk_optim_new(&o, &c, &group, 1, &span, 1, p, g, &err), &err);
    vk_assert_ok(vk_optim_step(o, NULL, 0.1, 1, &norm, &err), &err);
    for (int i = 0; i < 20; i++)
      vk_assert_close((double)p[i], -0.1, 0, 1e-6);
    vk_optim_free(o);
  }
}

static void nothing_to_train_is_fine(void **state)
{
  const vk_optim_group group = {1, 0.1, true};
  const vk_optim_span span = {"a", 0, 2, 0};
  vk_optim_config c = config;
  float p[2] = {1, 2}, g[2] = {NAN, NAN};
  double norm = 1;
  vk_err err = VK_ERR_INIT;
  vk_optim *o;
  vk_assert_ok(vk_optim_new(&o, &c, &group, 1, &span, 1, p, g, &err), &err);
  vk_assert_ok(vk_optim_step(o, NULL, 0.1, 1, &norm, &err), &err);
  assert_true(norm == 0 && p[0] == 1 && p[1] == 2);
  vk_optim_free(o);
}

/* ---- states ---- */

static void states_come_back_with_their_bits(void **state)
{
  static block a, b;
  vk_err err = VK_ERR_INIT;
  begin_block(&a, isa_last(), config);
  for (int t = 0; t < 3; t++) {
    fill_grad(&a, t);
    step_parts(&a, 0.01, 2, NULL);
  }
  vk_assert_ok(vk_optim_save(a.o, in_dir("state"), &err), &err);
  begin_block(&b, isa_last(), config);
  memcpy(b.param, a.param, sizeof a.param);
  vk_assert_ok(vk_optim_load(b.o, in_dir("state"), &err), &err);
  assert_int_equal(vk_optim_n_step(b.o), 3);
  for (int t = 3; t < 6; t++) {
    fill_grad(&a, t);
    fill_grad(&b, t);
    step_parts(&a, 0.01, 1, NULL);
    step_parts(&b, 0.01, 3, NULL);
  }
  assert_memory_equal(a.param, b.param, sizeof a.param);
  assert_memory_equal(vk_optim_ema(a.o), vk_optim_ema(b.o), sizeof(float) * N_ITEM);
  /* reset is as new */
  vk_optim_free(b.o);
  begin_block(&b, isa_last(), config);
  memcpy(a.param, b.param, sizeof a.param);
  vk_assert_ok(vk_optim_reset(a.o, NULL), NULL);
  fill_grad(&a, 0);
  fill_grad(&b, 0);
  step_parts(&a, 0.01, 1, NULL);
  step_parts(&b, 0.01, 1, NULL);
  assert_memory_equal(a.param, b.param, sizeof a.param);
  assert_memory_equal(vk_optim_ema(a.o), vk_optim_ema(b.o), sizeof(float) * N_ITEM);
  vk_optim_free(a.o);
  vk_optim_free(b.o);
}

static void refuse_state(vk_optim *o, const char *name, vk_status code, const char *says)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_optim_load(o, in_dir(name), &err), code);
  vk_assert_says(&err, says);
  assert_int_equal(vk_optim_n_step(o), 0);
}

static void refuses_other_states(void **state)
{
  static block a, b;
  vk_optim_config c = config;
  c.ema_decay = 0;
  begin_block(&a, isa_last(), config);
  begin_block(&b, isa_last(), c);
  fill_grad(&a, 0);
  step_parts(&a, 0.01, 1, NULL);
  vk_assert_ok(vk_optim_save(a.o, in_dir("state"), NULL), NULL);
  refuse_state(b.o, "state", VK_E_MISMATCH, "5 not expected): not expected ema.body.weight, ");
  vk_assert_ok(vk_optim_save(b.o, in_dir("state"), NULL), NULL);
  vk_assert_ok(vk_optim_reset(a.o, NULL), NULL);
  refuse_state(a.o, "state", VK_E_MISMATCH, "5 missing): missing ema.stem.weight, ");
  refuse_state(a.o, "none", VK_E_NOTFOUND, "none");
  vk_optim_free(b.o);
  c = config;
  c.beta2 = 0.99;
  begin_block(&b, isa_last(), c);
  vk_assert_ok(vk_optim_save(b.o, in_dir("state"), NULL), NULL);
  refuse_state(a.o, "state", VK_E_MISMATCH, "beta2 0.98");
  vk_optim_free(b.o);
  c = config;
  c.ema_decay = 0.5;
  begin_block(&b, isa_last(), c);
  vk_assert_ok(vk_optim_save(b.o, in_dir("state"), NULL), NULL);
  refuse_state(a.o, "state", VK_E_MISMATCH, "ema_decay 0.5");

  const float x[33] = {0};
  const vk_safetensors_entry entry = {"m.stem.weight", VK_SAFETENSORS_F32, 1, {33}, x};
  const vk_safetensors_entry bf16 = {"m.stem.weight", VK_SAFETENSORS_BF16, 1, {33}, x};
  vk_safetensors_pair pair[] = {{"kind", "vlakit optimiser"}, {"step", "3"}};
  vk_assert_ok(vk_safetensors_write(in_dir("x"), &entry, 1, NULL, 0, NULL), NULL);
  refuse_state(a.o, "x", VK_E_FORMAT, "not the state of an optimiser");
  vk_assert_ok(vk_safetensors_write(in_dir("x"), &entry, 1, pair, 2, NULL), NULL);
  refuse_state(a.o, "x", VK_E_MISMATCH, "14 missing)");
  vk_assert_ok(vk_safetensors_write(in_dir("x"), &bf16, 1, pair, 2, NULL), NULL);
  refuse_state(a.o, "x", VK_E_FORMAT, "m.stem.weight is BF16, expected F32");
  static const char *const bad_steps[] = {"", "3x", "-1", "9999999999999999999"};
  for (size_t i = 0; i < VK_COUNT(bad_steps); i++) {
    pair[1].value = bad_steps[i];
    vk_assert_ok(vk_safetensors_write(in_dir("x"), &entry, 1, pair, 2, NULL), NULL);
    refuse_state(a.o, "x", VK_E_FORMAT, "expected a whole number");
  }
  vk_optim_free(a.o);
  vk_optim_free(b.o);
}

/* ---- what is refused ---- */

static void refuse_config(vk_optim_config c, vk_optim_group group, const char *says)
{
  const vk_optim_span span = {"a", 0, 1, 0};
  float p[1] = {0};
  vk_err err = VK_ERR_INIT;
  vk_optim *o;
  vk_assert_fails(vk_optim_new(&o, &c, &group, 1, &span, 1, p, p, &err), VK_E_RANGE);
  vk_assert_says(&err, says);
  assert_null(o);
}

static void refuses_bad_numbers(void **state)
{
  const vk_optim_group good = {1, 0, false};
#define REFUSE(member, value, says)                                                                \
  do {                                                                                             \
    vk_optim_config c = config;                                                                    \
    c.member = (value);                                                                            \
    refuse_config(c, good, says);                                                                  \
  } while (0)
  REFUSE(beta1, 1, "beta1 is 1");
  REFUSE(beta1, -0.1, "beta1 is -0.1");
  REFUSE(beta2, NAN, "beta2 is ");
  REFUSE(eps, 0, "eps is 0");
  REFUSE(max_norm, -1, "norm is -1");
  REFUSE(ema_decay, 1, "decay is 1");
  refuse_config(config, (vk_optim_group){-1, 0, false}, "parameter group 0 is scaled by -1");
  refuse_config(config, (vk_optim_group){1, INFINITY, false}, "weight decay of parameter group 0");
}

static void says_when_memory_ends(void **state)
{
  static block b;
  long n = 0;
  begin_block(&b, isa_last(), config);
  for (;; n++) {
    vk_err err = VK_ERR_INIT;
    vk_optim *o = NULL;
    fail_alloc_after(n);
    vk_status st = vk_optim_new(&o, &config, groups, N_GROUP, spans, N_SPAN, b.param, b.grad, &err);
    if (st == VK_OK)
      st = vk_optim_save(o, in_dir("m"), &err);
    if (st == VK_OK)
      st = vk_optim_load(o, in_dir("m"), &err);
    vk_optim_free(o);
    if (fail_alloc_after(-1) == 0) {
      vk_assert_ok(st, &err);
      break;
    }
    assert_true(st != VK_OK && err.text[0] != '\0');
  }
  assert_true(n > 50);
  vk_optim_free(b.o);
}

/* ---- schedules ---- */

static void schedules(void **state)
{
  vk_lr_schedule s = {VK_LR_COSINE, 2, 0.1, 4, 104, 0};
  vk_assert_ok(vk_lr_schedule_check(&s, NULL), NULL);
  for (int i = 0; i < 4; i++)
    vk_assert_close(vk_optim_lr(&s, i), 2 * (i + 1) / 5.0, 0, 1e-15);
  vk_assert_close(vk_optim_lr(&s, 4), 2, 0, 1e-15);
  vk_assert_close(vk_optim_lr(&s, 29), 0.2 + 1.8 * (1 + sqrt(0.5)) / 2, 0, 1e-14);
  vk_assert_close(vk_optim_lr(&s, 54), 1.1, 0, 1e-14);
  vk_assert_close(vk_optim_lr(&s, 104), 0.2, 0, 1e-14);
  vk_assert_close(vk_optim_lr(&s, 1000), 0.2, 0, 1e-14);
  s.kind = VK_LR_LINEAR;
  vk_assert_close(vk_optim_lr(&s, 29), 2 - 1.8 / 4, 0, 1e-14);
  vk_assert_close(vk_optim_lr(&s, 500), 0.2, 0, 1e-14);
  s = (vk_lr_schedule){.kind = VK_LR_CONSTANT, .lr = 3, .n_warmup = 1};
  vk_assert_ok(vk_lr_schedule_check(&s, NULL), NULL);
  vk_assert_close(vk_optim_lr(&s, 0), 1.5, 0, 0);
  vk_assert_close(vk_optim_lr(&s, 1), 3, 0, 0);
  vk_assert_close(vk_optim_lr(&s, INT64_MAX), 3, 0, 0);
  s = (vk_lr_schedule){VK_LR_LINEAR, 2, 0.1, 4, 107, 3};
  vk_assert_ok(vk_lr_schedule_check(&s, NULL), NULL);
  vk_assert_close(vk_optim_lr(&s, 2), 2, 0, 0);
  vk_assert_close(vk_optim_lr(&s, 3), 2 / 5.0, 0, 1e-15);
  vk_assert_close(vk_optim_lr(&s, 7), 2, 0, 1e-15);
  vk_assert_close(vk_optim_lr(&s, 32), 2 - 1.8 / 4, 0, 1e-14);
  vk_assert_close(vk_optim_lr(&s, 107), 0.2, 0, 1e-14);
}

static void refuse_schedule(vk_lr_schedule s, const char *says)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_fails(vk_lr_schedule_check(&s, &err), VK_E_RANGE);
  vk_assert_says(&err, says);
}

static void refuses_bad_schedules(void **state)
{
  refuse_schedule((vk_lr_schedule){VK_LR_CONSTANT, NAN, 0, 0, 0, 0}, "learning rate is");
  refuse_schedule((vk_lr_schedule){VK_LR_CONSTANT, -1, 0, 0, 0, 0}, "learning rate is -1");
  refuse_schedule((vk_lr_schedule){VK_LR_CONSTANT, 1, 0, -1, 0, 0}, "warm-up is -1");
  refuse_schedule((vk_lr_schedule){VK_LR_COSINE, 1, 2, 0, 10, 0}, "final fraction of the");
  refuse_schedule((vk_lr_schedule){VK_LR_LINEAR, 1, 0, 10, 10, 0},
                  "more than the 10 of the warm-up");
  refuse_schedule((vk_lr_schedule){VK_LR_LINEAR, 1, 0, 7, 10, 3},
                  "more than the 10 of the warm-up");
  refuse_schedule((vk_lr_schedule){VK_LR_CONSTANT, 1, 0, 1, 0, -2}, "1 steps after -2");
}

int main(void)
{
  vk_cpu_detect(&cpu);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(steps_are_the_formulas),
      cmocka_unit_test(steps_are_pytorchs),
      cmocka_unit_test(bits_do_not_depend_on_the_threads),
      cmocka_unit_test(teams_take_steps),
      cmocka_unit_test(leaves_gaps_and_frozen_ones),
      cmocka_unit_test(bad_gradients_change_nothing),
      cmocka_unit_test(large_gradients_need_clipping),
      cmocka_unit_test(nothing_to_train_is_fine),
      cmocka_unit_test(states_come_back_with_their_bits),
      cmocka_unit_test(refuses_other_states),
      cmocka_unit_test(refuses_bad_numbers),
      cmocka_unit_test(says_when_memory_ends),
      cmocka_unit_test(schedules),
      cmocka_unit_test(refuses_bad_schedules),
  };
  return cmocka_run_group_tests(tests, make_temp_dir, remove_temp_dir);
}
