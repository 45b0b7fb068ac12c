/* test_advantage.c - advantages by their definitions, masks and groups at their edges. */
#include "test.h"

#include "core/rng.h"
#include "rl/advantage.h"

enum { N = 4, B = 6, C = 3, N_ALL = N * B * C, N_FLAG = (N + 1) * B * C };

typedef struct rollout {
  vk_roll r;
  float reward[N_ALL], value[N_FLAG];
  uint8_t done[N_FLAG];
} rollout;

static void make_rollout(rollout *x, bool per_chunk, uint64_t seed, double p_done)
{
  vk_philox rng;
  vk_philox_init(&rng, seed, 0);
  *x = (rollout){.r = {.n_chunk = N, .n_traj = B, .n_step = C, .per_chunk = per_chunk}};
  for (int i = 0; i < N_ALL; i++)
    x->reward[i] = (float)vk_philox_normal(&rng);
  for (int i = 0; i < N_FLAG; i++) {
    x->value[i] = (float)vk_philox_normal(&rng);
    x->done[i] = i >= B * C && vk_philox_double(&rng) < p_done;
  }
}

/* Reward, end and value of step t of trajectory b, by the layout's definition. */
static double reward_at(const rollout *x, int t, int b)
{
  if (!x->r.per_chunk)
    return (double)x->reward[(t / C * B + b) * C + t % C];
  const float *r = x->reward + (t * B + b) * C;
  return (double)r[0] + (double)r[1] + (double)r[2];
}

static bool done_at(const rollout *x, int t, int b)
{
  if (!x->r.per_chunk)
    return x->done[((t / C + 1) * B + b) * C + t % C];
  const uint8_t *d = x->done + ((t + 1) * B + b) * C;
  return d[0] || d[1] || d[2];
}

static double value_at(const rollout *x, int t, int b)
{
  return (double)(x->r.per_chunk ? x->value[t * B + b] : x->value[(t / C * B + b) * C + t % C]);
}

/* ---- layout, masks ------------------------------------------------------------------------- */

static void folding(void **state)
{
  /* 2 epochs of 3 rows, 2 trajectories of 2 */
  const int16_t from[] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12,
                          21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};
  const int16_t want[] = {1,  2,  3,  4,  21, 22, 23, 24, 5,  6,  7,  8,
                          25, 26, 27, 28, 9,  10, 11, 12, 29, 30, 31, 32};
  int16_t to[24];
  vk_adv_fold(2, 3, 2, 2 * sizeof *from, from, to);
  assert_memory_equal(to, want, sizeof want);
}

static void valid_steps(void **state)
{
  /* trajectories: never ends; ends with its first action; with the last of a chunk; within a chunk
   * and then flickers; had ended; only an unread flag of row 0 */
  vk_roll r = {.n_chunk = 2, .n_traj = 6, .n_step = 2};
  const uint8_t done[3][6][2] = {{{0, 0}, {0, 0}, {0, 0}, {0, 0}, {0, 1}, {1, 0}},
                                 {{0, 0}, {1, 1}, {0, 1}, {0, 0}, {0, 0}, {0, 0}},
                                 {{0, 0}, {1, 1}, {0, 0}, {1, 0}, {1, 1}, {0, 0}}};
  const uint8_t want[2][6][2] = {{{1, 1}, {1, 0}, {1, 1}, {1, 1}, {0, 0}, {1, 1}},
                                 {{1, 1}, {0, 0}, {0, 0}, {1, 0}, {0, 0}, {1, 1}}};
  const uint8_t want_chunk[2][6] = {{1, 1, 1, 1, 0, 1}, {1, 0, 0, 1, 0, 1}};
  const int32_t want_n[6] = {4, 1, 2, 3, 0, 4};
  uint8_t mask[24];
  int32_t n_valid[6];
  vk_adv_valid(&r, &done[0][0][0], NULL, mask, n_valid);
  assert_memory_equal(mask, want, sizeof want);
  assert_memory_equal(n_valid, want_n, sizeof want_n);
  r.per_chunk = true;
  vk_adv_valid(&r, &done[0][0][0], NULL, mask, n_valid);
  assert_memory_equal(mask, want_chunk, sizeof want_chunk);
  assert_memory_equal(n_valid, want_n, sizeof want_n);
}

/* Of three episodes in a row: the first ends within a chunk, the second with one. */
static void valid_steps_of_episodes_in_a_row(void **state)
{
  vk_roll r = {.n_chunk = 4, .n_traj = 2, .n_step = 3};
  const uint8_t done[5][2][3] = {{{0, 0, 0}, {0, 0, 0}},
                                 {{0, 0, 0}, {0, 0, 0}},
                                 {{1, 0, 0}, {0, 0, 0}},
                                 {{0, 0, 1}, {0, 1, 0}},
                                 {{0, 0, 0}, {0, 0, 0}}};
  const uint8_t begin[4][2] = {{1, 1}, {0, 0}, {1, 0}, {1, 0}};
  const uint8_t want[4][2][3] = {{{1, 1, 1}, {1, 1, 1}},
                                 {{1, 0, 0}, {1, 1, 1}},
                                 {{1, 1, 1}, {1, 1, 0}},
                                 {{1, 1, 1}, {0, 0, 0}}};
  const uint8_t want_chunk[4][2] = {{1, 1}, {1, 1}, {1, 1}, {1, 0}};
  const int32_t want_n[2] = {10, 8};
  uint8_t mask[24];
  int32_t n_valid[2];
  vk_adv_valid(&r, &done[0][0][0], &begin[0][0], mask, n_valid);
  assert_memory_equal(mask, want, sizeof want);
  assert_memory_equal(n_valid, want_n, sizeof want_n);
  r.per_chunk = true;
  vk_adv_valid(&r, &done[0][0][0], &begin[0][0], mask, n_valid);
  assert_memory_equal(mask, want_chunk, sizeof want_chunk);
  assert_memory_equal(n_valid, want_n, sizeof want_n);
}

static void bootstrapping(void **state)
{
  vk_roll r = {.n_chunk = 1, .n_traj = 4, .n_step = 2};
  const uint8_t term[] = {0, 0, 0, 1, 0, 0, 1, 1}, trunc[] = {1, 0, 0, 0, 0, 1, 0, 1};
  const float value[] = {1, 2, 3, 4};
  const double want[4][4] = {[VK_BOOTSTRAP_NONE] = {0, 0, 0, 0},
                             [VK_BOOTSTRAP_TRUNCATED] = {0, 0, 1.5, 0},
                             [VK_BOOTSTRAP_STANDARD] = {0, 0, 1.5, 2},
                             [VK_BOOTSTRAP_ALWAYS] = {0, 1, 1.5, 2}};
  for (int kind = 0; kind < 4; kind++) {
    float reward[8] = {0};
    vk_adv_bootstrap(&r, (vk_bootstrap)kind, 0.5, term, trunc, value, reward);
    for (int i = 0; i < 4; i++) {
      vk_assert_close((double)reward[2 * i + 1], want[kind][i], 0, 0);
      vk_assert_close((double)reward[2 * i], 0, 0, 0); /* flags within a chunk do not count */
    }
  }
}

/* ---- advantages ---------------------------------------------------------------------------- */

/* A_t = sum over l of (gamma lambda)^l delta_{t + l}, up to the end of the episode. */
static void gae_is_its_sum(void **state)
{
  const double gamma = 0.97, lambda = 0.9;
  for (int k = 0; k < 6; k++) {
    rollout x;
    double adv[N_ALL], ret[N_ALL];
    make_rollout(&x, k % 2, (uint64_t)k, k < 2 ? 0 : 0.3);
    int n_t = k % 2 ? N : N * C;
    vk_adv_gae(&x.r, gamma, lambda, x.reward, x.done, x.value, adv, ret);
    for (int b = 0; b < B; b++)
      for (int t = 0; t < n_t; t++) {
        double want = 0, discounted = 0, scale = 1, pow_gamma = 1;
        int l = t;
        for (bool is_over = false; l < n_t && !is_over; l++) {
          is_over = done_at(&x, l, b);
          double next = is_over ? 0 : value_at(&x, l + 1, b);
          want += scale * (reward_at(&x, l, b) + gamma * next - value_at(&x, l, b));
          discounted += pow_gamma * reward_at(&x, l, b);
          scale *= gamma * lambda;
          pow_gamma *= gamma;
        }
        int i = k % 2 ? t * B + b : (t / C * B + b) * C + t % C;
        vk_assert_close(adv[i], want, 1e-12, 1e-12);
        vk_assert_close(ret[i], want + value_at(&x, t, b), 1e-12, 1e-12);
        if (k >= 2 && l < n_t) { /* it ended: with lambda 1 the return is that of the rewards */
          double a1[N_ALL], r1[N_ALL];
          vk_adv_gae(&x.r, gamma, 1, x.reward, x.done, x.value, a1, r1);
          vk_assert_close(r1[i], discounted, 1e-12, 1e-12);
        }
      }
  }
}

static void first_episodes(void **state)
{
  for (int k = 0; k < 6; k++) {
    rollout x;
    double score[B];
    make_rollout(&x, k % 2, 40 + (uint64_t)k, 0.2);
    vk_adv_score(&x.r, x.reward, x.done, score);
    for (int b = 0; b < B; b++) {
      double want = 0;
      for (int t = 0; t < (k % 2 ? N : N * C); t++) {
        want += reward_at(&x, t, b);
        if (done_at(&x, t, b))
          break;
      }
      vk_assert_close(score[b], want, 1e-12, 1e-12);
    }
  }
}

static void groups(void **state)
{
  vk_roll r = {.n_chunk = 1, .n_traj = 16, .n_step = 2};
  double score[16], adv[32];
  uint8_t mask[32];
  for (int i = 0; i < 16; i++) {
    score[i] = i < 8 ? (double)1.2f : (double)(i % 2 ? 5 : 0);
    mask[2 * i] = 1;
    mask[2 * i + 1] = 0;
  }
  vk_adv_group(&r, 8, score, mask, adv);
  double std = sqrt(8 * 2.5 * 2.5 / 7);
  for (int i = 0; i < 16; i++) {
    double want = i < 8 ? 0 : (i % 2 ? 2.5 : -2.5) / (std + 1e-6);
    vk_assert_close(adv[2 * i], want, i < 8 ? 0 : 1e-14, 0); /* equal ones: exactly 0 */
    vk_assert_close(adv[2 * i + 1], 0, 0, 0);
  }
  vk_adv_group(&r, 8, score, NULL, adv);
  vk_assert_close(adv[31], 2.5 / (std + 1e-6), 1e-14, 0);
  vk_adv_group(&r, 1, score, NULL, adv); /* a group of one knows nothing */
  for (int i = 0; i < 32; i++)
    vk_assert_close(adv[i], 0, 0, 0);
}

static void groups_share_their_start(void **state)
{
  vk_err err = VK_ERR_INIT;
  int64_t task[6] = {3, 3, 3, 5, 5, 5}, start[6] = {1, 1, 1, 1, 1, 1};
  vk_assert_ok(vk_adv_check_groups(6, 3, task, start, &err), &err);
  start[4] = 2;
  vk_assert_fails(vk_adv_check_groups(6, 3, task, start, &err), VK_E_MISMATCH);
  vk_assert_says(&err, "trajectories 3 and 4 of one group");
  start[4] = 1;
  task[2] = 4;
  vk_assert_fails(vk_adv_check_groups(6, 3, task, start, &err), VK_E_MISMATCH);
  vk_assert_fails(vk_adv_check_groups(6, 4, task, start, &err), VK_E_SHAPE);
  vk_assert_fails(vk_adv_check_groups(6, 0, task, start, &err), VK_E_SHAPE);
}

static void filter_bounds(void **state)
{
  vk_roll r = {.n_chunk = 2, .n_traj = 10, .n_step = 1};
  const double score[10] = {0, 1, 4, 5, 0.48, 0.5, 4.5, 4.52, NAN, 1};
  const uint8_t want[5] = {1, 1, 0, 0, 0};
  uint8_t mask[20], keep[5];
  memset(mask, 1, sizeof mask);
  mask[12] = 0; /* stays */
  assert_int_equal(vk_adv_filter(&r, 2, score, 0.5, 4.5, mask, keep), 2);
  assert_memory_equal(keep, want, sizeof want);
  for (int i = 0; i < 20; i++)
    assert_int_equal(mask[i], want[i % 10 / 2] && i != 12);
  assert_int_equal(vk_adv_filter(&r, 2, score, -INFINITY, INFINITY, NULL, NULL), 4);
}

/* ---- normalisation ------------------------------------------------------------------------- */

/* Two passes over what is masked in. */
static void reference_of(const double *x, const uint8_t *mask, double *mean, double *m2, int *n)
{
  *n = 0;
  *mean = *m2 = 0;
  for (int i = 0; i < N_ALL; i++)
    if (!mask || mask[i]) {
      *mean += x[i];
      ++*n;
    }
  *mean /= *n;
  for (int i = 0; i < N_ALL; i++)
    if (!mask || mask[i])
      *m2 += (x[i] - *mean) * (x[i] - *mean);
}

static void normal_whatever_the_workers(void **state)
{
  vk_roll r = {.n_chunk = N, .n_traj = B, .n_step = C};
  vk_philox rng;
  vk_philox_init(&rng, 9, 9);
  double x[N_ALL], first[N_ALL];
  uint8_t mask[N_ALL];
  for (int i = 0; i < N_ALL; i++) {
    x[i] = 100 + vk_philox_normal(&rng);
    mask[i] = vk_philox_double(&rng) < 0.6 && i / C % B != 2; /* trajectory 2 has nothing */
  }
  for (int way = 0; way < 6; way++) {
    const uint8_t *m = way < 3 ? mask : NULL;
    double mean, m2;
    int n;
    reference_of(x, m, &mean, &m2, &n);
    for (int n_worker = 1; n_worker <= B; n_worker++) {
      vk_moments part[B];
      double y[N_ALL];
      for (int w = n_worker - 1; w >= 0; w--)
        vk_adv_moments(&r, x, m, w * B / n_worker, (w + 1) * B / n_worker, part);
      vk_moments all = vk_moments_join(B, part);
      memcpy(y, x, sizeof y);
      vk_adv_normalise(N_ALL, &all, (vk_normalise)(way % 3), y);
      double scale = way % 3 == 0   ? sqrt(m2 / (n - 1)) + 1e-5
                     : way % 3 == 1 ? sqrt(m2 / n + 1e-5)
                                    : sqrt(m2 / n) + 1e-5;
      for (int i = 0; i < N_ALL; i++) {
        vk_assert_close(y[i], (x[i] - mean) / scale, 1e-12, 1e-12);
        if (n_worker == 1)
          first[i] = y[i];
        vk_assert_same_bits(y[i], first[i]);
      }
    }
  }
}

static void normal_of_little(void **state)
{
  vk_roll r = {.n_chunk = 1, .n_traj = 2, .n_step = 2};
  vk_moments part[2];
  uint8_t mask[4] = {0};
  for (int n = 0; n < 2; n++) {
    double x[4] = {3, 1, 2, 5};
    mask[2] = n == 1;
    vk_adv_moments(&r, x, mask, 0, 2, part);
    vk_moments all = vk_moments_join(2, part);
    assert_int_equal(all.n, n);
    vk_adv_normalise(4, &all, VK_NORMALISE_STD, x);
    vk_assert_close(x[2], n ? 0 : 2, 0, 0);
    assert_true(isfinite(x[0]) && isfinite(x[3]));
  }
  double equal[4] = {0.3, 0.3, 0.3, 0.3};
  vk_adv_moments(&r, equal, NULL, 0, 2, part);
  vk_moments all = vk_moments_join(2, part);
  vk_adv_normalise(4, &all, VK_NORMALISE_STD, equal);
  for (int i = 0; i < 4; i++)
    vk_assert_close(equal[i], 0, 1e-9, 0);
}

/* ---- weights ------------------------------------------------------------------------------- */

static void weights_of_lengths(void **state)
{
  vk_roll r = {.n_chunk = 2, .n_traj = 3, .n_step = 2};
  const uint8_t mask[12] = {1, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0};
  const int32_t n_valid[3] = {4, 1, 0};
  float w[12];
  vk_adv_weights(&r, mask, n_valid, 8, w);
  const float want[12] = {2, 2, 8, 0, 0, 0, 2, 2, 0, 0, 0, 0};
  assert_memory_equal(w, want, sizeof want);
  vk_assert_close(vk_adv_norm(6, 2, 14, w, true), 84, 0, 0);
  vk_adv_weights(&r, mask, NULL, 8, w);
  for (int i = 0; i < 12; i++)
    assert_true(w[i] == mask[i]);
  vk_assert_close(vk_adv_norm(6, 2, 14, w, false), 5 * 7, 0, 0);
  vk_adv_weights(&r, NULL, n_valid, 8, w); /* nothing known of a trajectory without steps */
  assert_true(w[4] == 0 && w[5] == 0 && w[11] == 0 && w[3] == 8);
  r.per_chunk = true;
  vk_adv_weights(&r, mask, NULL, 8, w);
  assert_true(w[0] == 1 && w[3] == 0 && w[5] == 0);
}

static void rows_worth_a_pass(void **state)
{
  const float w[10] = {0, 1, 0, 0, 2, 2, 1, 0, 1, 1};
  const double adv[10] = {1, 0, 1, 1, 0, 3, -1, 0, 0, 0};
  int32_t row[5];
  double saved;
  assert_int_equal(vk_adv_rows(5, 2, w, NULL, row, &saved), 4);
  assert_true(row[0] == 0 && row[1] == 2 && row[2] == 3 && row[3] == 4);
  vk_assert_close(saved, 0.2, 1e-15, 0);
  assert_int_equal(vk_adv_rows(5, 2, w, adv, row, &saved), 2);
  assert_true(row[0] == 2 && row[1] == 3);
  vk_assert_close(saved, 0.6, 1e-15, 0);
  assert_int_equal(vk_adv_rows(0, 2, w, adv, row, &saved), 0);
  vk_assert_close(saved, 0, 0, 0);
  assert_int_equal(vk_adv_rows(1, 2, w + 2, NULL, row, NULL), 0);

  const int32_t pick[2] = {3, 1};
  const double x[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  const float want[12] = {6, 6, 6, 7, 7, 7, 2, 2, 2, 3, 3, 3};
  const float want_first[4] = {0, 1, 2, 3};
  float y[12], z[4], x32[8];
  vk_adv_spread(2, pick, 2, 6, x, y);
  assert_memory_equal(y, want, sizeof want);
  for (int i = 0; i < 8; i++)
    x32[i] = (float)x[i];
  vk_adv_spread_f32(2, pick, 2, 6, x32, y);
  assert_memory_equal(y, want, sizeof want);
  vk_adv_spread_f32(2, NULL, 2, 2, x32, z);
  assert_memory_equal(z, want_first, sizeof want_first);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(folding),
      cmocka_unit_test(valid_steps),
      cmocka_unit_test(valid_steps_of_episodes_in_a_row),
      cmocka_unit_test(bootstrapping),
      cmocka_unit_test(gae_is_its_sum),
      cmocka_unit_test(first_episodes),
      cmocka_unit_test(groups),
      cmocka_unit_test(groups_share_their_start),
      cmocka_unit_test(filter_bounds),
      cmocka_unit_test(normal_whatever_the_workers),
      cmocka_unit_test(normal_of_little),
      cmocka_unit_test(weights_of_lengths),
      cmocka_unit_test(rows_worth_a_pass),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
