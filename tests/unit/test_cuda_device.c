/* test_cuda_device.c - a GPU as a device, on tests/emulated: a network learns there as on the CPU,
 * runs that repeat have the same bits as one launch, and what can fail is told: no device, an old
 * one, too little memory, one that is lost at any call. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "emulated/emulated.h"
#include "rl/learner.h"

enum { N = 4, N_STEP = 3 };

static const char small[] =
    "{\"model\": \"nano\", \"d_model\": 16, \"n_head\": 2, \"n_encoder\": 1, "
    "\"n_decoder\": 1, \"stem\": [8, 8, 8, 16]}";
static const char *const text[] = {"put the bowl on the plate", "open the drawer"};
static uint8_t image[N][2][VK_VIEW_BYTES];
static float proprio[N][VK_NANO_PROPRIO];
static vk_nano_obs obs[N];
static int32_t target[N * VK_CHUNK_TARGETS];

static int make_batch(void **state)
{
  vk_philox rng;
  vk_philox_init(&rng, 5, 0);
  for (int i = 0; i < N; i++) {
    for (int v = 0; v < 2; v++)
      for (int k = 0; k < VK_VIEW_BYTES; k++)
        image[i][v][k] = (uint8_t)vk_philox_u32(&rng);
    for (int k = 0; k < VK_NANO_PROPRIO; k++)
      proprio[i][k] = (float)vk_philox_normal(&rng);
    obs[i] =
        (vk_nano_obs){.image = {image[i][0], image[i][1]}, .proprio = proprio[i], .i_text = i % 2};
  }
  for (int i = 0; i < N * VK_CHUNK_TARGETS; i++)
    target[i] = (int32_t)(vk_philox_u32(&rng) % VK_NANO_BINS);
  return 0;
}

typedef struct fixture {
  vk_team *team;
  vk_device device;
  vk_model model;
  vk_learner l;
} fixture;

static vk_status open_learner(fixture *f, const char *device, bool is_bf16, int n_micro,
                              vk_err *err)
{
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  *f = (fixture){0};
  VK_TRY(vk_team_new(&f->team, 1, err));
  VK_TRY(vk_device_open(&f->device, device, f->team, err));
  VK_TRY(vk_model_parse(&f->model, small, strlen(small), "small", err));
  const vk_learner_config c = {
      .model = &f->model,
      .seed = 1,
      .args = {.n_batch = N / n_micro, .with_loss = true, .sigma = 1.5, .last_weight = 2},
      .n_micro = n_micro,
      .optim = {.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .max_norm = 1, .ema_decay = 0.9},
      .weight_decay = 0.05,
      .isa = VK_ISA_SCALAR,
      .is_bf16 = is_bf16,
      .has_check = true,
      .device = f->device};
  return vk_learner_new(&f->l, &c, err);
}

static void close_learner(fixture *f)
{
  vk_learner_free(&f->l);
  vk_device_close(&f->device);
  vk_team_free(f->team);
}

static vk_batch batch(int first, int n)
{
  return (vk_batch){.n = n,
                    .n_text = 2,
                    .obs = obs + first,
                    .text = text,
                    .target = target + first * VK_CHUNK_TARGETS};
}

/* One step of training and the loss of the average's weights. */
static vk_status step(fixture *f, int64_t number, double *loss, double *norm, double *check,
                      vk_err *err)
{
  int n_micro = f->l.config.n_micro;
  *loss = 0;
  VK_TRY(vk_learner_begin(&f->l, err));
  for (int i = 0; i < n_micro; i++) {
    double one;
    vk_batch b = batch(i * N / n_micro, N / n_micro);
    VK_TRY(vk_learner_add(&f->l, &b, number * n_micro + i, &one, err));
    *loss += one / n_micro;
  }
  VK_TRY(vk_learner_step(&f->l, 1e-3, norm, err));
  vk_batch b = batch(0, N / n_micro);
  VK_TRY(vk_learner_check_begin(&f->l, err));
  return vk_learner_check(&f->l, &b, check, err);
}

static void expect_clean(void)
{
  assert_true(vk_emulated_is_clean());
}

static void learns_as_the_cpu(void **state)
{
  for (int n_micro = 1; n_micro <= 2; n_micro++) {
    vk_err err = VK_ERR_INIT;
    fixture cpu, gpu;
    vk_emulated_reset();
    vk_emulated_set_late(n_micro == 2);
    vk_assert_ok(open_learner(&cpu, "cpu", false, n_micro, &err), &err);
    vk_assert_ok(open_learner(&gpu, "cuda", false, n_micro, &err), &err);
    for (int i = 0; i < N_STEP; i++) {
      double loss[2], norm[2], check[2];
      vk_assert_ok(step(&cpu, i, &loss[0], &norm[0], &check[0], &err), &err);
      vk_assert_ok(step(&gpu, i, &loss[1], &norm[1], &check[1], &err), &err);
      vk_assert_close(loss[1], loss[0], 0, 2e-5);
      vk_assert_close(norm[1], norm[0], 0, 2e-4);
      vk_assert_close(check[1], check[0], 0, 2e-5);
    }
    assert_true(vk_emulated_n_launch() > 100);
    close_learner(&gpu);
    close_learner(&cpu);
    expect_clean();
  }
}

/* Products in bf16: near the CPU's f32, and not the same. */
static void learns_in_bf16(void **state)
{
  vk_err err = VK_ERR_INIT;
  fixture cpu, gpu;
  double worst = 0;
  vk_emulated_reset();
  vk_assert_ok(open_learner(&cpu, "cpu", false, 1, &err), &err);
  vk_assert_ok(open_learner(&gpu, "cuda", true, 1, &err), &err);
  for (int i = 0; i < N_STEP; i++) {
    double loss[2], norm[2], check[2];
    vk_assert_ok(step(&cpu, i, &loss[0], &norm[0], &check[0], &err), &err);
    vk_assert_ok(step(&gpu, i, &loss[1], &norm[1], &check[1], &err), &err);
    vk_assert_close(loss[1], loss[0], 0, 1e-2);
    worst = fmax(worst, fabs(loss[1] - loss[0]));
  }
  assert_true(worst > 1e-7);
  close_learner(&gpu);
  close_learner(&cpu);
  expect_clean();
}

/* The first run of a batch starts kernel by kernel, later ones as a graph; a second network of the
 * same seed takes the same steps. */
static void bits_repeat(void **state)
{
  vk_err err = VK_ERR_INIT;
  fixture a, b;
  vk_emulated_reset();
  vk_assert_ok(open_learner(&a, "cuda", false, 1, &err), &err);
  vk_assert_ok(open_learner(&b, "cuda", false, 1, &err), &err);
  vk_batch all = batch(0, N);
  double first = 0, again;
  for (int i = 0; i < 3; i++) {
    vk_assert_ok(vk_learner_begin(&a.l, &err), &err);
    vk_assert_ok(vk_learner_add(&a.l, &all, 0, &again, &err), &err);
    first = i == 0 ? again : first;
    assert_true(first == again);
  }
  assert_true(vk_emulated_count().n_exec > 0);
  for (int i = 0; i < 2; i++) {
    double loss[2], norm[2], check[2];
    vk_assert_ok(step(&a, i, &loss[0], &norm[0], &check[0], &err), &err);
    vk_assert_ok(step(&b, i, &loss[1], &norm[1], &check[1], &err), &err);
    assert_true(loss[0] == loss[1] && norm[0] == norm[1] && check[0] == check[1]);
  }
  size_t bytes = sizeof(float) * (size_t)a.l.params.n_item;
  assert_memory_equal(a.l.params.data, b.l.params.data, bytes);
  close_learner(&a);
  close_learner(&b);
  expect_clean();
}

/* Nodes can be timed, and a run that was timed is as others. */
static void nodes_are_timed(void **state)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  vk_emulated_reset();
  vk_assert_ok(open_learner(&f, "cuda", false, 1, &err), &err);
  vk_batch all = batch(0, N);
  double loss[2];
  for (int i = 0; i < 2; i++) {
    vk_exec_time_nodes(f.l.net.exec, i == 1);
    vk_assert_ok(vk_learner_begin(&f.l, &err), &err);
    vk_assert_ok(vk_learner_add(&f.l, &all, 0, &loss[i], &err), &err);
  }
  assert_true(loss[0] == loss[1]);
  close_learner(&f);
  expect_clean();
}

static void expect_refused(const char *device, vk_status want, const char *says)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  assert_int_equal(open_learner(&f, device, false, 1, &err), want);
  if (!strstr(err.text, says)) {
    print_error("\"%s\" does not say \"%s\"\n", err.text, says);
    fail();
  }
  close_learner(&f);
  expect_clean();
}

static void refuses_what_is_not_there(void **state)
{
  vk_emulated_reset();
  expect_refused("cuda:1", VK_E_UNSUPPORTED, "cuda:1: there is 1, numbered from 0");
  vk_emulated_set_device_count(0);
  expect_refused("cuda", VK_E_UNSUPPORTED, "finds no GPU");
  vk_emulated_reset();
  vk_emulated_set_driver(0);
  expect_refused("cuda", VK_E_UNSUPPORTED, "no NVIDIA driver");
  vk_emulated_reset();
  vk_emulated_set_compute_capability(7, 5);
  expect_refused("cuda", VK_E_UNSUPPORTED, "compute capability 7.5");
  vk_emulated_reset();
}

/* However little memory there is: a sentence with the bytes, or a step. */
static void refuses_what_does_not_fit(void **state)
{
  int n_refused = 0, n_sentence = 0;
  for (size_t bytes = 30 << 20; n_refused < 60; bytes += bytes / 20) {
    vk_err err = VK_ERR_INIT;
    fixture f;
    double loss, norm, check;
    vk_emulated_reset();
    vk_emulated_set_memory(bytes);
    vk_status st = open_learner(&f, "cuda", false, 1, &err);
    if (st == VK_OK)
      st = step(&f, 0, &loss, &norm, &check, &err);
    close_learner(&f);
    expect_clean();
    if (st == VK_OK)
      break;
    assert_int_equal(st, VK_E_NOMEM);
    n_refused++;
    n_sentence += strstr(err.text, "MB free") != NULL;
  }
  assert_in_range(n_refused, 1, 59);
  assert_true(n_sentence > 0);
  vk_emulated_reset();
}

/* A device that is lost at call k: an error that says what to do, and nothing is left behind. */
static void survives_a_lost_device(void **state)
{
  int n_failed = 0;
  int64_t k = 1, n_call = 1;
  for (; k <= n_call; k += k < 6 ? 1 : 601) {
    vk_err err = VK_ERR_INIT;
    fixture f;
    double loss, norm, check;
    vk_emulated_reset();
    int64_t before = vk_emulated_n_call();
    vk_emulated_fail_after(k, cudaErrorLaunchFailure);
    vk_status st = open_learner(&f, "cuda", false, 1, &err);
    if (st == VK_OK)
      st = step(&f, 0, &loss, &norm, &check, &err);
    if (st != VK_OK) {
      n_failed++;
      assert_true(strlen(err.text) > 20);
    } else {
      n_call = vk_emulated_n_call() - before; /* past the last one */
    }
    n_call = st == VK_OK ? n_call : k + 1000;
    close_learner(&f);
    vk_emulated_reset();
    expect_clean();
  }
  assert_true(n_failed > 6);
  vk_emulated_reset();
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup(learns_as_the_cpu, make_batch),
      cmocka_unit_test(learns_in_bf16),
      cmocka_unit_test(bits_repeat),
      cmocka_unit_test(nodes_are_timed),
      cmocka_unit_test(refuses_what_is_not_there),
      cmocka_unit_test(refuses_what_does_not_fit),
      cmocka_unit_test(survives_a_lost_device),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
