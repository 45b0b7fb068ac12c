/* test_cuda_sum.c - sums between GPUs, on as many as there are, or on those of tests/emulated: all
 * get the exact sum, and what can fail (no NCCL, no memory, any call of CUDA or NCCL, a device that
 * is lost, a wire that is gone) ends in an error, and never in waiting for ever. */
#include "cuda/device.h"

#include <stdio.h>
#include <stdlib.h>

#include "test.h"
#if defined(VK_EMULATED)
#include "emulated/emulated.h"
#include "emulated/nccl.h"
#endif

enum { N_DEVICE_MAX = 4, N_MORE = 8, PIECE = VK_CUDA_SUM_BYTES / (int)sizeof(float) };

typedef struct fixture {
  int n;
  vk_device device[N_DEVICE_MAX];
  float *p[N_DEVICE_MAX];
  int64_t n_item; /* of them; N_MORE that are not summed follow */
  void *sum;
} fixture;

/* Whole numbers, small enough for float to add them exactly in any order. */
static float number(int i_device, int64_t k)
{
  uint64_t z = (uint64_t)k * 0x9e3779b97f4a7c15u + (uint64_t)i_device * 0xbf58476d1ce4e5b9u;
  return (float)((int64_t)(z >> 44) - (1 << 19));
}

/* n numbers between the host and a device. The stand-in's calls are counted by what makes them
 * fail: this is none. */
static void copy(float *to, const float *from, int64_t n)
{
#if defined(VK_EMULATED)
  vk_emulated_copy(to, from, (size_t)n * sizeof *to);
#else
  assert_int_equal(cudaMemcpy(to, from, (size_t)n * sizeof *to, cudaMemcpyDefault), cudaSuccess);
#endif
}

/* What a device holds; to be freed. */
static float *numbers_of(const fixture *f, int i_device)
{
  float *x = malloc((size_t)(f->n_item + N_MORE) * sizeof *x);
  assert_non_null(x);
  copy(x, f->p[i_device], f->n_item + N_MORE);
  return x;
}

/* Numbers, divided by this. */
static void fill_with(fixture *f, float by)
{
  float *x = malloc((size_t)(f->n_item + N_MORE) * sizeof *x);
  assert_non_null(x);
  for (int i = 0; i < f->n; i++) {
    for (int64_t k = 0; k < f->n_item + N_MORE; k++)
      x[k] = number(i, k) / by;
    copy(f->p[i], x, f->n_item + N_MORE);
  }
  free(x);
}

static void fill(fixture *f)
{
  fill_with(f, 1);
}

static void expect_sum(const fixture *f)
{
  for (int i_device = 0; i_device < f->n; i_device++) {
    float *x = numbers_of(f, i_device);
    for (int64_t k = 0; k < f->n_item + N_MORE; k++) {
      float want = k < f->n_item ? 0 : number(i_device, k);
      for (int i = 0; i < f->n && k < f->n_item; i++)
        want += number(i, k);
      if (x[k] != want)
        vk_assert_same_bits(x[k], want);
    }
    free(x);
  }
}

/* index: of the devices; NULL: in their order. Memory comes first: it is no part of what is tested.
 */
static vk_status open_devices(fixture *f, int n, const int *index, int64_t n_item, vk_err *err)
{
  *f = (fixture){.n = n, .n_item = n_item};
  for (int i = 0; i < n; i++) {
    char name[16];
    snprintf(name, sizeof name, "cuda:%d", index ? index[i] : i);
    VK_TRY(vk_device_open(&f->device[i], name, NULL, err));
    VK_TRY(vk_device_alloc(&f->device[i], (void **)&f->p[i],
                           (size_t)(n_item + N_MORE) * sizeof(float), err));
  }
  fill(f);
  return VK_OK;
}

static vk_status open_sum(fixture *f, vk_err *err)
{
  return vk_device_cuda.sum_open(&f->sum, f->device, f->n, err);
}

static vk_status run_sum(fixture *f, vk_err *err)
{
  return vk_device_cuda.sum_run(f->sum, f->p, f->n_item, err);
}

static void close_sum(fixture *f)
{
  if (f->sum)
    vk_device_cuda.sum_close(f->sum);
  f->sum = NULL;
}

static void close_all(fixture *f)
{
  close_sum(f);
  for (int i = 0; i < f->n; i++) {
    vk_device_free(&f->device[i], f->p[i]);
    vk_device_close(&f->device[i]);
  }
}

/* ---- on any devices ------------------------------------------------------------------------ */

static void expect_sums(int n, const int *index)
{
  static const int64_t n_item[] = {0, 1, 5, 100003, PIECE, PIECE + 5};
  for (size_t i = 0; i < VK_COUNT(n_item); i++) {
    vk_err err = VK_ERR_INIT;
    fixture f;
    vk_assert_ok(open_devices(&f, n, index, n_item[i], &err), &err);
    vk_assert_ok(open_sum(&f, &err), &err);
    for (int run = 0; run < 2; run++) {
      fill(&f);
      vk_assert_ok(run_sum(&f, &err), &err);
      expect_sum(&f);
    }
    close_all(&f);
  }
}

static int device_count(void)
{
  vk_err err = VK_ERR_INIT;
  int n;
  return vk_device_cuda.count(&n, &err) == VK_OK ? n : 0;
}

static void one_device_sums(void **state)
{
  expect_sums(1, NULL);
}

static void devices_sum(void **state)
{
  int n = device_count();
  if (n < 2)
    skip();
  for (int i = 2; i <= n && i <= N_DEVICE_MAX; i++)
    expect_sums(i, NULL);
  expect_sums(2, (int[]){1, 0});
}

/* Sums of what is no whole number have the same bits everywhere. */
static void bits_are_the_same(void **state)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  int n = device_count() < N_DEVICE_MAX ? device_count() : N_DEVICE_MAX;
  if (n < 2)
    skip();
  vk_assert_ok(open_devices(&f, n, NULL, 100003, &err), &err);
  vk_assert_ok(open_sum(&f, &err), &err);
  fill_with(&f, 3);
  vk_assert_ok(run_sum(&f, &err), &err);
  float *first = numbers_of(&f, 0);
  for (int i = 1; i < n; i++) {
    float *x = numbers_of(&f, i);
    assert_memory_equal(x, first, (size_t)f.n_item * sizeof(float));
    free(x);
  }
  free(first);
  close_all(&f);
}

/* 0: sums can be had; VK_TEST_SKIP: there is no GPU, or no NCCL; 1: something is wrong. */
static int find_out(void)
{
  vk_err err = VK_ERR_INIT;
  fixture f = {0};
  int n;
  vk_status st = vk_device_cuda.count(&n, &err);
  bool may_lack = st != VK_OK;
  if (st == VK_OK)
    st = open_devices(&f, 1, NULL, 1, &err);
  if (st == VK_OK) {
    st = open_sum(&f, &err);
    may_lack = true;
  }
  close_all(&f);
  if (st != VK_OK)
    fprintf(stderr, "%s\n", err.text);
  return st == VK_OK ? 0 : st == VK_E_UNSUPPORTED && may_lack ? VK_TEST_SKIP : 1;
}

static int test_any(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(one_device_sums),
      cmocka_unit_test(devices_sum),
      cmocka_unit_test(bits_are_the_same),
  };
  return cmocka_run_group_tests_name("cuda sum", tests, NULL, NULL);
}

#if defined(VK_EMULATED)

/* ---- over the stand-in --------------------------------------------------------------------- */

static void start(int n_device)
{
  vk_emulated_reset();
  vk_emulated_set_device_count(n_device);
}

static void expect_clean(void)
{
  assert_int_equal(vk_nccl.n_open, 0);
  assert_true(vk_emulated_is_clean());
}

static void late_work_sums(void **state)
{
  start(N_DEVICE_MAX);
  vk_emulated_set_late(true);
  for (int n = 1; n <= N_DEVICE_MAX; n++)
    expect_sums(n, NULL);
  expect_sums(3, (int[]){3, 0, 2});
  expect_clean();
  assert_true(vk_nccl.n_sum > 0 && vk_nccl.n_aborted == 0);
}

static void is_closed_in_peace(void **state)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  start(3);
  vk_assert_ok(open_devices(&f, 3, NULL, 5, &err), &err);
  vk_assert_ok(open_sum(&f, &err), &err);
  assert_int_equal(vk_emulated_count().n_device, 6); /* numbers, and what they go through */
  assert_int_equal(vk_emulated_count().n_comm, 3);
  close_all(&f);
  assert_true(vk_nccl.n_destroyed == 3 && vk_nccl.n_aborted == 0);
  expect_clean();
}

static void expect_refused(int n, const int *index, vk_status want, const char *says)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  vk_assert_ok(open_devices(&f, n, index, 5, &err), &err);
  vk_assert_fails(open_sum(&f, &err), want);
  assert_null(f.sum);
  vk_assert_says(&err, says);
  close_all(&f);
  expect_clean();
}

static void what_is_missing_is_said(void **state)
{
  start(2);
  vk_nccl.is_missing = true;
  expect_refused(2, NULL, VK_E_UNSUPPORTED, "NCCL cannot be opened; install libnccl2");
  start(2);
  vk_emulated_set_memory(1000);
  expect_refused(2, NULL, VK_E_NOMEM,
                 "device cuda:0 (emulated GPU), opening sums between devices: cudaMalloc found no");
  start(2);
  expect_refused(2, (int[]){1, 1}, VK_E_IO,
                 "device cuda:1 (emulated GPU) and 1 more, opening sums between devices: "
                 "ncclCommInitAll failed: ncclInvalidUsage: device 1 twice; if a device was lost");
}

/* Opens, sums, and after an error sums again. */
static vk_status try_sum(fixture *f, vk_err *err)
{
  VK_TRY(open_sum(f, err));
  fill(f);
  vk_status st = run_sum(f, err);
  if (st == VK_OK) {
    expect_sum(f);
    return VK_OK;
  }
  vk_err again = VK_ERR_INIT;
  vk_assert_fails(run_sum(f, &again), VK_E_IO);
  vk_assert_says(&again, "sums with the other devices were given up");
  return st;
}

/* The CUDA call number k of opening, summing and closing fails with error. Whether one did. */
static bool fails_at(int64_t k, cudaError_t error, int n, bool is_late, int64_t *n_aborted)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  start(n);
  vk_emulated_set_late(is_late);
  vk_assert_ok(open_devices(&f, n, NULL, PIECE + 100, &err), &err);
  int64_t before = vk_emulated_n_call();
  vk_emulated_fail_after(k, error);
  vk_status st = try_sum(&f, &err);
  static float after[3][PIECE + 100];
  for (int i = 0; i < n; i++)
    copy(after[i], f.p[i], PIECE + 100);
  close_sum(&f);
  bool has_failed = vk_emulated_n_call() - before >= k;
  *n_aborted += vk_nccl.n_aborted;
  if (st != VK_OK) {
    assert_true(has_failed && (st == VK_E_IO || st == VK_E_NOMEM));
    vk_assert_says(&err, "device cuda:");
  }
  vk_emulated_set_late(false);
  for (int i = 0; i < n; i++) { /* nothing came later */
    float *now = numbers_of(&f, i);
    assert_memory_equal(now, after[i], sizeof after[i]);
    free(now);
  }
  assert_int_equal(vk_emulated_count().n_comm, 0);
  vk_emulated_fail_after(0, cudaSuccess);
  close_all(&f);
  expect_clean();
  return has_failed;
}

static void any_call_of_cuda_may_fail(void **state)
{
  static const cudaError_t error[] = {cudaErrorLaunchFailure, cudaErrorMemoryAllocation,
                                      cudaErrorUnknown};
  for (int n = 1; n <= 3; n++)
    for (int i = 0; i < 6; i++) {
      int64_t k = 1, n_aborted = 0;
      while (fails_at(k, error[i % 3], n, i >= 3, &n_aborted))
        k++;
      assert_true(k > 18 * n && n_aborted >= 13 * n * n);
    }
}

static void any_call_of_nccl_may_fail(void **state)
{
  for (int n = 1; n <= 3; n++)
    for (int i = 0; i < 2; i++)
      for (int64_t k = 1, n_call = 1; k <= n_call; k++) {
        vk_err err = VK_ERR_INIT;
        fixture f;
        start(n);
        vk_emulated_set_late(i == 1);
        vk_assert_ok(open_devices(&f, n, NULL, PIECE + 100, &err), &err);
        vk_nccl.fail_in = k;
        vk_nccl.fail_with = ncclSystemError;
        vk_status st = try_sum(&f, &err);
        int64_t n_before_close = vk_nccl.n_call;
        close_all(&f);
        n_call = vk_nccl.n_call;
        assert_int_equal(st, k <= n_before_close ? VK_E_IO : VK_OK);
        if (st != VK_OK) {
          vk_assert_says(&err, "device cuda:");
          vk_assert_says(&err, " failed: ncclSystemError: told to fail; if a device was lost");
          n_call = k + 1;
        }
        expect_clean();
      }
}

/* An error that NCCL tells while the streams wait for ever. */
static void a_wire_may_be_gone(void **state)
{
  vk_err err = VK_ERR_INIT;
  fixture f;
  start(3);
  vk_assert_ok(open_devices(&f, 3, NULL, 1000, &err), &err);
  vk_assert_ok(open_sum(&f, &err), &err);
  vk_nccl.is_stuck = true;
  vk_nccl.behind = ncclRemoteError;
  vk_assert_fails(run_sum(&f, &err), VK_E_IO);
  vk_assert_says(&err, "device cuda:0 (emulated GPU), summing gradients: ncclAllReduce failed: "
                       "ncclRemoteError");
  assert_int_equal(vk_nccl.n_aborted, 3);
  for (int i = 0; i < 3; i++) {
    float first;
    copy(&first, f.p[i], 1);
    assert_true(first == number(i, 0) || isnan(first)); /* no sum */
  }
  close_all(&f);
  assert_int_equal(vk_nccl.n_destroyed, 0);
  expect_clean();
}

/* Lost between two sums, by other work: those that are well are not kept waiting at the end. */
static void a_lost_device_is_closed(void **state)
{
  for (int has_run = 0; has_run < 2; has_run++) {
    vk_err err = VK_ERR_INIT;
    fixture f;
    start(3);
    vk_assert_ok(open_devices(&f, 3, NULL, 1000, &err), &err);
    vk_assert_ok(open_sum(&f, &err), &err);
    vk_assert_ok(run_sum(&f, &err), &err);
    vk_emulated_fail_after(1, cudaErrorECCUncorrectable);
    vk_assert_fails(vk_device_zero(&f.device[1], f.p[1], 4, &err), VK_E_IO);
    if (has_run) {
      vk_assert_fails(run_sum(&f, &err), VK_E_IO);
      vk_assert_says(&err, "device cuda:1 (emulated GPU), ");
      vk_assert_says(&err, "cudaErrorECCUncorrectable");
    }
    close_all(&f);
    assert_true(vk_nccl.n_destroyed == 0 && vk_nccl.n_aborted == 3);
    expect_clean();
  }
}

static int test_stand_in(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(late_work_sums),
      cmocka_unit_test(is_closed_in_peace),
      cmocka_unit_test(what_is_missing_is_said),
      cmocka_unit_test(any_call_of_cuda_may_fail),
      cmocka_unit_test(any_call_of_nccl_may_fail),
      cmocka_unit_test(a_wire_may_be_gone),
      cmocka_unit_test(a_lost_device_is_closed),
  };
  return cmocka_run_group_tests_name("cuda sum, stand-in", tests, NULL, NULL);
}

int main(void)
{
  start(N_DEVICE_MAX);
  return find_out() + test_any() + test_stand_in();
}

#else

int main(void)
{
  int code = find_out();
  return code ? code : test_any();
}

#endif
