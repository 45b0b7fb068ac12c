/* test_cuda_device.c - a GPU as a device, a real one or tests/emulated: a network learns there as
 * on the CPU, and runs that repeat have the same bits as one launch; and on tests/emulated what can
 * fail is told: no device, an old one, too little memory, one that is lost at any call. */
#include "cuda_memory.h"
#include "small_learner.h"
#if defined(VK_EMULATED)
#include "emulated/cublaslt.h"
#include "emulated/emulated.h"
#endif

/* Steps of a micro-batch: two kernel by kernel, then captured, then as a graph. */
#if defined(VK_EMULATED)
enum { N_STEP = 3, N_AGAIN = 3, N_AHEAD = 2 };
#else
enum { N_STEP = 5, N_AGAIN = 6, N_AHEAD = 4 };
#endif

/* Of the stand-in: as if the process had just begun, with n_device of them. A real one is as it is.
 */
static void start(int n_device, bool is_late)
{
#if defined(VK_EMULATED)
  vk_emulated_reset();
  vk_emulated_set_device_count(n_device);
  vk_emulated_set_late(is_late);
#endif
}

static void expect_clean(void)
{
#if defined(VK_EMULATED)
  assert_true(vk_emulated_is_clean());
#endif
}

static void expect_graph(void)
{
#if defined(VK_EMULATED)
  assert_true(vk_emulated_count().n_exec > 0);
#endif
}

static void expect_launches(void)
{
#if defined(VK_EMULATED)
  assert_true(vk_emulated_n_launch() > 100);
#endif
}

/* n bytes that a device holds, on the host; to be freed. */
static void *to_host(const void *p, size_t n)
{
  void *bytes = malloc(n + 1);
  assert_non_null(bytes);
  cuda_ok(cudaMemcpy(bytes, p, n, cudaMemcpyDefault));
  return bytes;
}

static void expect_same_memory(const void *a, const void *b, size_t n)
{
  void *a_here = to_host(a, n), *b_here = to_host(b, n);
  assert_memory_equal(a_here, b_here, n);
  free(a_here);
  free(b_here);
}

static vk_status open_on(fixture *f, const char *device, bool is_bf16, int n_micro, vk_err *err)
{
  const vk_learner_config c = {.seed = 1,
                               .n_micro = n_micro,
                               .optim = {.ema_decay = 0.9},
                               .isa = VK_ISA_SCALAR,
                               .is_bf16 = is_bf16,
                               .has_check = true};
  return open_learner(f, device, c, 1, err);
}

/* One step of training and the loss of the average's weights. */
static vk_status step(fixture *f, int64_t number, double *loss, double *norm, double *check,
                      vk_err *err)
{
  VK_TRY(step_learner(&f->l, 1e-3, number, loss, norm, err));
  vk_batch b = batch(0, N / f->l.config.n_micro);
  VK_TRY(vk_learner_check_begin(&f->l, err));
  return vk_learner_check(&f->l, &b, check, err);
}

static void learns_as_the_cpu(void **state)
{
  for (int n_micro = 1; n_micro <= 2; n_micro++) {
    vk_err err = VK_ERR_INIT;
    fixture cpu, gpu;
    start(1, n_micro == 2);
    vk_assert_ok(open_on(&cpu, "cpu", false, n_micro, &err), &err);
    vk_assert_ok(open_on(&gpu, "cuda", false, n_micro, &err), &err);
    for (int i = 0; i < N_STEP && i * n_micro < N_STEP; i++) {
      double loss[2], norm[2], check[2];
      vk_assert_ok(step(&cpu, i, &loss[0], &norm[0], &check[0], &err), &err);
      vk_assert_ok(step(&gpu, i, &loss[1], &norm[1], &check[1], &err), &err);
      vk_assert_close(loss[1], loss[0], 0, 2e-5);
      vk_assert_close(norm[1], norm[0], 0, 2e-4);
      vk_assert_close(check[1], check[0], 0, 2e-5);
    }
    expect_launches();
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
  start(1, false);
  vk_assert_ok(open_on(&cpu, "cpu", false, 1, &err), &err);
  vk_assert_ok(open_on(&gpu, "cuda", true, 1, &err), &err);
  for (int i = 0; i < 2; i++) {
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
  start(1, false);
  vk_assert_ok(open_on(&a, "cuda", false, 1, &err), &err);
  vk_assert_ok(open_on(&b, "cuda", false, 1, &err), &err);
  vk_batch all = batch(0, N);
  double first = 0, again;
  for (int i = 0; i < N_AGAIN; i++) {
    vk_assert_ok(learn_batch(&a.l, &all, 0, &again, &err), &err);
    first = i == 0 ? again : first;
    assert_true(first == again);
  }
  expect_graph();
  for (int i = 0; i < N_STEP; i++) {
    double loss[2], norm[2], check[2];
    vk_assert_ok(step(&a, i, &loss[0], &norm[0], &check[0], &err), &err);
    vk_assert_ok(step(&b, i, &loss[1], &norm[1], &check[1], &err), &err);
    assert_true(loss[0] == loss[1] && norm[0] == norm[1] && check[0] == check[1]);
  }
  size_t bytes = sizeof(float) * (size_t)a.l.replica[0].params.n_item;
  expect_same_memory(a.l.replica[0].params.data, b.l.replica[0].params.data, bytes);
  close_learner(&a);
  close_learner(&b);
  expect_clean();
}

/* Takes N_AHEAD steps of two micro-batches; loss and norm out, [N_AHEAD]. */
static void step_ahead(bool is_late, double *loss, double *norm)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  const vk_batch half[] = {batch(0, N / 2), batch(N / 2, N / 2)};
  start(1, is_late);
  vk_assert_ok(open_on(&f, "cuda", false, 2, &err), &err);
  vk_assert_ok(vk_learner_put(&f.l, &half[1], 7, &err), &err); /* in vain */
  vk_learner_unput(&f.l);
  for (int i = 0; i < N_AHEAD; i++) {
    vk_assert_ok(vk_learner_begin(&f.l, &err), &err);
    if (i == 0)
      vk_assert_ok(vk_learner_put(&f.l, &half[0], 0, &err), &err);
    for (int k = 0; k < 2; k++) {
      vk_assert_ok(vk_learner_start(&f.l, &err), &err);
#if defined(VK_EMULATED)
      assert_true(!is_late || vk_learner_is_busy(&f.l));
#endif
      vk_assert_ok(vk_learner_put(&f.l, &half[1 - k], i * 2 + k + 1, &err), &err);
    }
    vk_assert_ok(vk_learner_wait(&f.l, &loss[i], &err), &err);
    assert_false(vk_learner_is_busy(&f.l));
    vk_assert_ok(vk_learner_step(&f.l, 1e-3, &norm[i], &err), &err);
  }
  close_learner(&f);
  expect_clean();
}

/* Inputs of the next micro-batch go up while one is computed, whatever the order in which the
 * device gets to it, and what is not read does not come down. */
static void puts_ahead(void **state)
{
  vk_err err = VK_ERR_INIT;
  fixture plain;
  double loss[2][N_AHEAD], norm[2][N_AHEAD];
  step_ahead(false, loss[0], norm[0]);
  step_ahead(true, loss[1], norm[1]);
  start(1, false);
  vk_assert_ok(open_on(&plain, "cuda", false, 2, &err), &err);
  for (int i = 0; i < N_AHEAD; i++) {
    double want, want_norm;
    vk_assert_ok(step_learner(&plain.l, 1e-3, i, &want, &want_norm, &err), &err);
    for (int is_late = 0; is_late < 2; is_late++) {
      vk_assert_same_bits(loss[is_late][i], want);
      vk_assert_same_bits(norm[is_late][i], want_norm);
    }
  }
  close_learner(&plain);
  expect_clean();
}

enum { N_SHARED = 2 };

/* Takes N_SHARED steps of two micro-batches; what step gives out, [N_SHARED]. All replicas are to
 * be alike to the bit. */
static void step_on(const char *devices, int n_replica, double *loss, double *norm, double *check)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  vk_assert_ok(open_on(&f, devices, false, 2, &err), &err);
  assert_int_equal(f.l.n_replica, n_replica);
  for (int i = 0; i < N_SHARED; i++)
    vk_assert_ok(step(&f, i, &loss[i], &norm[i], &check[i], &err), &err);
  const vk_replica *first = &f.l.replica[0];
  size_t bytes = sizeof(float) * (size_t)first->params.n_item;
  for (int i = 1; i < f.l.n_replica; i++) {
    expect_same_memory(f.l.replica[i].params.data, first->params.data, bytes);
    expect_same_memory(f.l.replica[i].grad, first->grad, bytes);
  }
  close_learner(&f);
  expect_clean();
}

/* NULL: there are several GPUs, and NCCL; else what is missing. */
static const char *why_not_several(void)
{
#if !defined(VK_EMULATED)
  static char text[256];
  vk_err err = VK_ERR_INIT;
  fixture f;
  int n = 0;
  cuda_ok(cudaGetDeviceCount(&n));
  if (n < 2)
    return "there is one GPU";
  vk_status st = open_on(&f, "cuda:0,1", false, 2, &err);
  close_learner(&f);
  snprintf(text, sizeof text, "%s", err.text);
  if (st == VK_E_UNSUPPORTED)
    return text;
  vk_assert_ok(st, &err);
#endif
  return NULL;
}

/* Devices that share the micro-batches of a step learn what one learns from all of them. */
static void learns_on_several(void **state)
{
#if defined(VK_EMULATED)
  static const char *const devices[] = {"cuda:2,0", "cuda:all"};
#else
  static const char *const devices[] = {"cuda:1,0", "cuda:0,1"};
#endif
  double loss[2][N_SHARED], norm[2][N_SHARED], check[2][N_SHARED];
  const char *why_not = why_not_several();
  if (why_not) {
    print_message("learns_on_several: %s\n", why_not);
    skip();
  }
  start(2, false);
  step_on("cuda:1", 1, loss[0], norm[0], check[0]);
  for (size_t k = 0; k < VK_COUNT(devices); k++) {
    start(k == 0 ? 3 : 2, k == 1);
    step_on(devices[k], 2, loss[1], norm[1], check[1]);
    for (int i = 0; i < N_SHARED; i++) {
      vk_assert_close(loss[1][i], loss[0][i], 0, 1e-6);
      vk_assert_close(norm[1][i], norm[0][i], 0, 1e-5);
      vk_assert_close(check[1][i], check[0][i], 0, 1e-6);
    }
  }
  start(1, false);
}

/* Nodes can be timed, and a run that was timed is as others. */
static void nodes_are_timed(void **state)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  start(1, false);
  vk_assert_ok(open_on(&f, "cuda", false, 1, &err), &err);
  vk_batch all = batch(0, N);
  double loss[2];
  for (int i = 0; i < 2; i++) {
    vk_exec_time_nodes(f.l.replica[0].net.exec, i == 1);
    vk_assert_ok(learn_batch(&f.l, &all, 0, &loss[i], &err), &err);
  }
  assert_true(loss[0] == loss[1]);
  close_learner(&f);
  expect_clean();
}

#if defined(VK_EMULATED)

/* ---- over the stand-in --------------------------------------------------------------------- */

static void expect_refused(const char *device, vk_status want, const char *says)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  assert_int_equal(open_on(&f, device, false, 1, &err), want);
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
  for (size_t bytes = 30 << 20; n_refused < 60; bytes += bytes / 12) {
    vk_err err = VK_ERR_INIT;
    fixture f;
    double loss, norm, check;
    vk_emulated_reset();
    vk_emulated_set_dry(true);
    vk_emulated_set_memory(bytes);
    vk_status st = open_on(&f, "cuda", false, 1, &err);
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

/* Opens a learner and takes steps of all kinds; *n_open: the calls that opening takes. */
static vk_status open_and_step(fixture *f, int64_t *n_open, vk_err *err)
{
  double loss, norm, check;
  int64_t before = vk_emulated_n_call();
  VK_TRY(open_on(f, "cuda", false, 1, err));
  *n_open = vk_emulated_n_call() - before;
  for (int i = 0; i < N_STEP; i++)
    VK_TRY(step(f, i, &loss, &norm, &check, err));
  return VK_OK;
}

/* A device that is lost at any call: an error that says where, and nothing is left behind. */
static void survives_a_lost_device(void **state)
{
  enum { FIRST = 32, LAST = 26 }; /* opening, and a step that is a graph: one by one */
  vk_err err = VK_ERR_INIT;
  fixture f;
  int64_t n_open = 0, n_none = 0, before = vk_emulated_n_call();
  vk_emulated_reset();
  vk_emulated_set_dry(true);
  vk_assert_ok(open_and_step(&f, &n_open, &err), &err);
  int64_t n_call = vk_emulated_n_call() - before;
  close_learner(&f);
  assert_true(n_open > FIRST / 2 && n_call > 10 * FIRST);
  for (int64_t k = 1; k <= n_call; k += k < FIRST || k > n_call - LAST ? 1 : 61) {
    vk_emulated_reset();
    vk_emulated_set_dry(true);
    vk_emulated_fail_after(k, cudaErrorLaunchFailure);
    err = (vk_err)VK_ERR_INIT;
    if (open_and_step(&f, &n_none, &err) == VK_OK)
      fail_msg("call %d of %d fails and nobody says so", (int)k, (int)n_call);
    assert_true(strlen(err.text) > 20);
    if (k > n_open) {
      vk_assert_says(&err, "device cuda:0");
      vk_assert_says(&err, "failed with cudaError");
    }
    close_learner(&f);
    vk_emulated_reset();
    expect_clean();
  }
}

/* What was lost in a product is named as it is, with the library's call. */
static void a_failed_product_is_named(void **state)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  double loss;
  bool is_named = false;
  vk_batch all = batch(0, N);
  vk_emulated_reset();
  vk_emulated_set_dry(true);
  vk_assert_ok(open_on(&f, "cuda", false, 1, &err), &err);
  for (int k = 1; k < 200 && !is_named; k++) {
    vk_emulated_fail_after(k, cudaErrorECCUncorrectable);
    err = (vk_err)VK_ERR_INIT;
    vk_assert_fails(learn_batch(&f.l, &all, 0, &loss, &err), VK_E_IO);
    is_named = strstr(err.text, "by cublasLtMatmul [CUBLAS_STATUS_EXECUTION_FAILED] failed with "
                                "cudaErrorECCUncorrectable");
    vk_learner_unput(&f.l);
    vk_emulated_reset();
    vk_emulated_set_dry(true);
  }
  assert_true(is_named);
  close_learner(&f);
  vk_emulated_reset();
  expect_clean();
}

/* What makes runs slower is told, once, and they go on. */
static void slow_work_is_told(void **state)
{
  static const char *const says[] = {
      "device cuda:0 (emulated GPU): runs of small are started kernel "
      "by kernel, which is slower, as one could not be captured: ",
      "device cuda:0 (emulated GPU): cuBLASLt refused a product in "
      "small, ["};
  for (int i = 0; i < 2; i++) {
    vk_err err = VK_ERR_INIT;
    char text[VK_DEVICE_NOTE];
    double first = 0, loss;
    fixture f;
    vk_batch all = batch(0, N);
    vk_emulated_reset();
    vk_cublaslt.is_empty = i == 1;
    vk_emulated_set_graphless(i == 0);
    vk_assert_ok(open_on(&f, "cuda", false, 1, &err), &err);
    const vk_device *d = &f.devices.device[0];
    int64_t before = vk_emulated_n_capture();
    for (int k = 0; k < 5; k++) {
      assert_false(vk_device_take_note(d, text));
      vk_assert_ok(learn_batch(&f.l, &all, 0, &loss, &err), &err);
      first = k == 0 ? loss : first;
      assert_true(loss == first);
      if (k != (i == 0 ? 2 : 0))
        continue;
      assert_true(vk_device_take_note(d, text));
      assert_memory_equal(text, says[i], strlen(says[i]));
    }
    assert_int_equal(vk_emulated_n_capture() - before, 1);
    close_learner(&f);
    vk_cublaslt.is_empty = false;
    expect_clean();
  }
  vk_emulated_reset();
}

/* Runs whose sizes take turns are captured once for each, and have the bits of the first ones. */
static void sizes_take_turns(void **state)
{
  enum { N_RUN = 10 };
  vk_err err = VK_ERR_INIT;
  double first[2] = {0}, loss;
  fixture f;
  vk_emulated_reset();
  vk_assert_ok(open_on(&f, "cuda", false, 1, &err), &err);
  int64_t before = vk_emulated_n_capture();
  for (int i = 0; i < N_RUN; i++) {
    vk_batch b = batch(0, i % 2 ? N : N / 2);
    vk_assert_ok(learn_batch(&f.l, &b, 0, &loss, &err), &err);
    if (i < 2)
      first[i] = loss;
    vk_assert_same_bits(loss, first[i % 2]);
    assert_int_equal(vk_emulated_n_capture() - before, i < 4 ? 0 : i == 4 ? 1 : 2);
  }
  assert_true(first[0] != first[1]);
  assert_int_equal(vk_emulated_count().n_exec, 2);
  close_learner(&f);
  expect_clean();
}

static int test_stand_in(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sizes_take_turns),          cmocka_unit_test(a_failed_product_is_named),
      cmocka_unit_test(slow_work_is_told),         cmocka_unit_test(refuses_what_is_not_there),
      cmocka_unit_test(refuses_what_does_not_fit), cmocka_unit_test(survives_a_lost_device),
  };
  return cmocka_run_group_tests_name("cuda device, stand-in", tests, NULL, NULL);
}

#endif

int main(void)
{
  int code = gpu_open(NULL, NULL);
  if (code != 0)
    return code;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(learns_as_the_cpu), cmocka_unit_test(learns_in_bf16),
      cmocka_unit_test(bits_repeat),       cmocka_unit_test(puts_ahead),
      cmocka_unit_test(learns_on_several), cmocka_unit_test(nodes_are_timed),
  };
#if defined(VK_EMULATED)
  vk_emulated_product_chunk = 1 << 18;
#endif
  code = cmocka_run_group_tests_name("cuda device", tests, make_batch, NULL);
#if defined(VK_EMULATED)
  code += test_stand_in();
#endif
  return code;
}
