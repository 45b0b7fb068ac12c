/* test_emulated_sum.c - the stand-in for NCCL: sums are right and happen in the streams' order, and
 * what would wait for ever, or touch what it must not, is found. */
#include "test.h"

#include <string.h>

#include "aborts.h"
#include "emulated/emulated.h"
#include "emulated/nccl.h"

enum { N_RANK = 3, N = 8 };

static ncclComm_t comm[N_RANK];
static cudaStream_t stream[N_RANK];
static float *x[N_RANK]; /* [N] of the device */
static const int all[N_RANK] = {2, 0, 1};

#define ok(call)           assert_string_equal(cudaGetErrorName(call), "cudaSuccess")
#define sums(call)         assert_string_equal(ncclGetErrorString(call), "ncclSuccess")
#define fails(call, error) assert_string_equal(ncclGetErrorString(call), #error)

/* Number k of a device's. */
static float at(const float *p, int k)
{
  float number;
  vk_emulated_copy(&number, p + k, sizeof number);
  return number;
}

static int setup(void **state)
{
  vk_emulated_reset();
  if (!vk_emulated_is_clean())
    return -1;
  vk_emulated_set_device_count(N_RANK);
  for (int i = 0; i < N_RANK; i++) {
    ok(cudaSetDevice(all[i]));
    ok(cudaStreamCreateWithFlags(&stream[i], cudaStreamNonBlocking));
    ok(cudaMalloc((void **)&x[i], N * sizeof *x[i]));
    for (int k = 0; k < N; k++) {
      const float number = (float)(100 * i + k);
      vk_emulated_copy(&x[i][k], &number, sizeof number);
    }
  }
  ok(cudaSetDevice(0));
  sums(ncclCommInitAll(comm, N_RANK, all));
  assert_int_equal(vk_emulated_count().n_comm, N_RANK);
  return 0;
}

static void destroy_all(void)
{
  for (int i = 0; i < N_RANK; i++) {
    if (comm[i])
      sums(ncclCommDestroy(comm[i]));
    comm[i] = NULL;
  }
}

static void abort_all(void)
{
  for (int i = 0; i < N_RANK; i++)
    sums(ncclCommAbort(comm[i]));
  memset(comm, 0, sizeof comm);
}

static int teardown(void **state)
{
  destroy_all();
  for (int i = 0; i < N_RANK; i++) {
    (void)cudaFree(x[i]);
    (void)cudaStreamDestroy(stream[i]);
  }
  int n_open = vk_nccl.n_open;
  vk_emulated_reset();
  return vk_emulated_is_clean() && n_open == 0 ? 0 : -1;
}

static ncclResult_t reduce(int i, size_t n)
{
  ok(cudaSetDevice(all[i]));
  return ncclAllReduce(x[i], x[i], n, ncclFloat32, ncclSum, comm[i], stream[i]);
}

static void sum_all(size_t n)
{
  sums(ncclGroupStart());
  for (int i = 0; i < N_RANK; i++)
    sums(reduce(i, n));
  sums(ncclGroupEnd());
}

static void wait_for_all(void)
{
  for (int i = 0; i < N_RANK; i++)
    ok(cudaStreamSynchronize(stream[i]));
}

/* ---- what it does -------------------------------------------------------------------------- */

static void adds_up(void **state)
{
  sum_all(N - 1);
  wait_for_all();
  for (int i = 0; i < N_RANK; i++)
    for (int k = 0; k < N; k++)
      vk_assert_same_bits(at(x[i], k), k < N - 1 ? 300 + 3 * k : 100 * i + k);
  assert_int_equal(vk_nccl.n_sum, 1);
}

/* A group may hold others, and several sums. */
static void groups_nest(void **state)
{
  sums(ncclGroupStart());
  sum_all(N);
  assert_true(at(x[0], 1) == 1);
  sums(ncclGroupStart());
  for (int i = N_RANK - 1; i >= 0; i--)
    sums(reduce(i, 2));
  sums(ncclGroupEnd());
  assert_true(at(x[0], 1) == 1);
  sums(ncclGroupEnd());
  wait_for_all();
  assert_true(at(x[2], 1) == 909 && at(x[0], 1) == 909 && at(x[1], 2) == 306);
  fails(ncclGroupEnd(), ncclInvalidUsage);
}

static void runs_in_turn(void **state)
{
  float first = 50;
  vk_emulated_set_late(true);
  ok(cudaMemcpyAsync(x[1], &first, sizeof first, cudaMemcpyHostToDevice, stream[1]));
  sum_all(N);
  first = 7;
  ok(cudaMemcpyAsync(x[0], &first, sizeof first, cudaMemcpyHostToDevice, stream[0]));
  assert_true(at(x[2], 0) == 200 && at(x[0], 0) == 0 && at(x[1], 0) == 100);
  ok(cudaStreamSynchronize(stream[2])); /* others come as far as the sum, and no farther */
  assert_true(at(x[2], 0) == 250 && at(x[1], 0) == 250 && at(x[0], 0) == 250);
  wait_for_all();
  assert_true(at(x[0], 0) == 7);
  sum_all(1);
  assert_true(at(x[0], 0) == 7);
  int n_asked = 0;
  while (cudaStreamQuery(stream[0]) == cudaErrorNotReady)
    n_asked++;
  assert_true(n_asked > 0 && at(x[2], 0) == 507);
}

/* One rank needs no group. */
static void one_rank_is_enough(void **state)
{
  ncclComm_t one = NULL;
  const int device = all[0];
  float *y = NULL;
  sums(ncclCommInitAll(&one, 1, &device));
  ok(cudaSetDevice(device));
  ok(cudaMalloc((void **)&y, N * sizeof *y));
  sums(ncclAllReduce(x[0], y, N, ncclFloat32, ncclSum, one, stream[0]));
  ok(cudaStreamSynchronize(stream[0]));
  for (int k = 0; k < N; k++)
    assert_true(at(y, k) == at(x[0], k) && at(y, k) == k);
  assert_int_equal(vk_emulated_count().n_comm, N_RANK + 1);
  sums(ncclCommDestroy(one));
  ok(cudaFree(y));
}

static void communicators_are_counted(void **state)
{
  assert_false(vk_emulated_is_clean());
  sums(ncclCommDestroy(comm[1]));
  comm[1] = NULL;
  assert_int_equal(vk_emulated_count().n_comm, N_RANK - 1);
  destroy_all();
  assert_int_equal(vk_emulated_count().n_comm, 0);
  assert_int_equal(vk_nccl.n_destroyed, N_RANK);
}

/* ---- what would wait for ever -------------------------------------------------------------- */

static void call_outside(void *arg)
{
  (void)reduce(0, N);
}

static void leave_out_a_rank(void *arg)
{
  (void)ncclGroupStart();
  (void)reduce(0, N);
  (void)reduce(2, N);
  (void)ncclGroupEnd();
}

static void sum_other_numbers(void *arg)
{
  (void)ncclGroupStart();
  for (int i = 0; i < N_RANK; i++)
    (void)reduce(i, (size_t)(i == 2 ? N - 1 : N));
  (void)ncclGroupEnd();
}

static void use_destroyed(void *arg)
{
  ncclResult_t error;
  (void)ncclCommDestroy(comm[1]);
  if (arg)
    (void)ncclCommGetAsyncError(comm[1], &error);
  else
    sum_all(N);
}

static void destroy_twice(void *arg)
{
  (void)ncclCommDestroy(comm[1]);
  (void)ncclCommDestroy(comm[1]);
}

/* Rank 2's device is lost while the others sum. */
static void lose_one(void)
{
  vk_emulated_set_late(true);
  sum_all(N);
  vk_emulated_fail_after(1, cudaErrorECCUncorrectable);
  (void)cudaStreamQuery(stream[2]);
}

static void wait_for_lost(void *arg)
{
  lose_one();
  (void)cudaStreamSynchronize(stream[0]);
}

static void ask_for_ever(void *arg)
{
  lose_one();
  while (cudaStreamQuery(stream[0]) == cudaErrorNotReady)
    ;
}

static void free_under_sum(void *arg)
{
  lose_one();
  (void)cudaFree(x[0]);
}

static void destroy_under_sum(void *arg)
{
  lose_one();
  (void)ncclCommDestroy(comm[0]);
}

static void waits_for_ever_are_found(void **state)
{
  static const struct {
    void (*run)(void *arg);
    void *arg;
    const char *says;
  } wrong[] = {
      {call_outside, NULL, "a sum of rank 0 outside of a group waits for ever"},
      {leave_out_a_rank, NULL, "rank 1 of 3 takes no part in a sum, which waits for ever"},
      {sum_other_numbers, NULL, "rank 0 sums 8 numbers and rank 2 7"},
      {use_destroyed, NULL, "ncclAllReduce: a communicator that was destroyed"},
      {use_destroyed, "", "ncclCommGetAsyncError: a communicator that was destroyed"},
      {destroy_twice, NULL, "ncclCommDestroy: a communicator that was destroyed"},
      {wait_for_lost, NULL, "a stream of device 2 is waited for, and waits for ever"},
      {ask_for_ever, NULL, "a stream of device 2 was asked 100000 times, and waits for ever"},
      {free_under_sum, NULL, "a stream of device 2 is waited for, and waits for ever"},
      {destroy_under_sum, NULL, "ncclCommDestroy of rank 0 waits for ever for a sum"},
  };
  for (size_t i = 0; i < VK_COUNT(wrong); i++) {
    char text[1024];
    assert_true(aborts_saying(wrong[i].run, wrong[i].arg, text, sizeof text));
    if (!strstr(text, wrong[i].says))
      print_error("\"%s\" does not say \"%s\"\n", text, wrong[i].says);
    assert_non_null(strstr(text, wrong[i].says));
  }
}

static void aborting_ends_waiting(void **state)
{
  lose_one();
  assert_int_equal(cudaStreamQuery(stream[0]), cudaErrorNotReady);
  assert_int_equal(cudaStreamQuery(stream[1]), cudaErrorNotReady);
  sums(ncclCommAbort(comm[2]));
  assert_int_equal(cudaStreamQuery(stream[1]), cudaErrorNotReady); /* its own was not */
  sums(ncclCommAbort(comm[1]));
  ok(cudaStreamSynchronize(stream[1]));
  sums(ncclCommAbort(comm[0]));
  ok(cudaStreamSynchronize(stream[0]));
  memset(comm, 0, sizeof comm);
  assert_true(vk_nccl.n_aborted == 3 && vk_nccl.n_sum == 0 && at(x[0], 1) == 1);
}

/* ---- what is refused ----------------------------------------------------------------------- */

/* One call in a group, which then fails as a whole. */
static void refused(ncclResult_t want, const void *from, void *to, size_t n, cudaStream_t on,
                    const char *says)
{
  sums(ncclGroupStart());
  ncclResult_t got = ncclAllReduce(from, to, n, ncclFloat32, ncclSum, comm[1], on);
  assert_string_equal(ncclGetErrorString(got), ncclGetErrorString(want));
  assert_non_null(strstr(ncclGetLastError(NULL), says));
  assert_string_equal(ncclGetErrorString(ncclGroupEnd()), ncclGetErrorString(want));
}

static void wrong_calls_are_refused(void **state)
{
  float host[N], *y = x[1];
  cudaGraph_t graph = NULL;
  const ncclResult_t bad = ncclInvalidArgument;
  ok(cudaSetDevice(all[1]));
  refused(bad, NULL, y, N, stream[1], "NULL");
  refused(bad, y, (char *)y + 1, 1, stream[1], "aligned");
  refused(bad, host, y, N, stream[1], "does not reach");
  refused(bad, y, x[0], N, stream[1], "does not reach");
  refused(bad, y, y, N + 1, stream[1], "does not reach");
  refused(bad, y, y + 1, 4, stream[1], "overlap");
  refused(bad, y, y, N, stream[0], "the stream is of device 2, the communicator of 0");
  refused(ncclInvalidUsage, y, y, N, NULL, "legacy");
  ok(cudaStreamBeginCapture(stream[1], cudaStreamCaptureModeThreadLocal));
  refused(ncclInvalidUsage, y, y, N, stream[1], "captured");
  ok(cudaStreamEndCapture(stream[1], &graph));
  ok(cudaGraphDestroy(graph));
  ok(cudaSetDevice(all[0]));
  refused(ncclInvalidUsage, y, y, N, stream[1], "device 2 is current, the communicator's is 0");
  fails(ncclAllReduce(y, y, N, (ncclDataType_t)8, ncclSum, comm[1], stream[1]),
        ncclInvalidArgument);
  sum_all(N); /* nothing of it is left */
  wait_for_all();
  assert_true(at(y, 0) == 300 && vk_nccl.n_sum == 1);
}

static void wrong_devices_are_refused(void **state)
{
  ncclComm_t more[2] = {NULL, NULL};
  fails(ncclCommInitAll(more, 2, (int[]){1, 1}), ncclInvalidUsage);
  fails(ncclCommInitAll(more, 2, (int[]){1, 3}), ncclInvalidArgument);
  fails(ncclCommInitAll(more, 0, all), ncclInvalidArgument);
  sums(ncclGroupStart());
  fails(ncclCommInitAll(more, 1, all), ncclInvalidUsage);
  fails(ncclCommDestroy(comm[0]), ncclInvalidUsage);
  sums(ncclGroupEnd());
  vk_emulated_fail_after(1, cudaErrorLaunchFailure);
  assert_int_equal(cudaStreamQuery(stream[2]), cudaErrorLaunchFailure);
  fails(ncclCommInitAll(more, 2, (int[]){0, 1}), ncclUnhandledCudaError);
  assert_true(!more[0] && !more[1] && vk_emulated_count().n_comm == N_RANK);
}

/* ---- failures ------------------------------------------------------------------------------ */

static void fail_next(ncclResult_t result)
{
  vk_nccl.fail_in = 1;
  vk_nccl.fail_with = result;
}

static void calls_fail_when_told(void **state)
{
  ncclComm_t more[2] = {NULL, NULL};
  ncclResult_t error;
  fail_next(ncclSystemError);
  fails(ncclCommInitAll(more, 2, all), ncclSystemError);
  assert_true(more[0] && !more[1]); /* to be aborted */
  assert_int_equal(vk_emulated_count().n_comm, N_RANK + 1);
  fail_next(ncclSystemError);
  fails(ncclCommAbort(more[0]), ncclSystemError);
  assert_int_equal(vk_emulated_count().n_comm, N_RANK);
  fail_next(ncclInternalError);
  fails(ncclGroupStart(), ncclInternalError);
  fails(ncclGroupEnd(), ncclInvalidUsage);
  fail_next(ncclInternalError);
  fails(ncclCommGetAsyncError(comm[0], &error), ncclInternalError);
  sums(ncclGroupStart());
  fail_next(ncclInternalError);
  fails(reduce(0, N), ncclInternalError);
  fails(ncclGroupEnd(), ncclInternalError);
  sums(ncclCommGetAsyncError(comm[0], &error));
  fails(error, ncclSuccess);
  vk_nccl.behind = ncclRemoteError;
  sums(ncclCommGetAsyncError(comm[0], &error));
  fails(error, ncclRemoteError);
  vk_nccl.behind = ncclSuccess;
  int64_t n = vk_nccl.n_call;
  sum_all(N);
  assert_int_equal(vk_nccl.n_call - n, N_RANK + 2);
}

/* A group that fails at its end has begun with some ranks. */
static void groups_fail_halfway(void **state)
{
  ncclResult_t error;
  sums(ncclGroupStart());
  for (int i = 0; i < N_RANK; i++)
    sums(reduce(i, N));
  fail_next(ncclUnhandledCudaError);
  fails(ncclGroupEnd(), ncclUnhandledCudaError);
  sums(ncclCommGetAsyncError(comm[1], &error));
  fails(error, ncclUnhandledCudaError);
  ok(cudaStreamSynchronize(stream[1]));
  assert_int_equal(cudaStreamQuery(stream[0]), cudaErrorNotReady);
  fails(reduce(1, N), ncclInvalidUsage);
  abort_all();
  wait_for_all();
  assert_true(at(x[0], 1) == 1 && at(x[2], 1) == 201);
}

/* So does one in which CUDA fails. */
static void cuda_fails_within(void **state)
{
  for (int k = 1; k <= N_RANK; k++) {
    sums(ncclGroupStart());
    for (int i = 0; i < N_RANK; i++)
      sums(reduce(i, N));
    vk_emulated_fail_after(k, cudaErrorUnknown);
    fails(ncclGroupEnd(), ncclUnhandledCudaError);
    abort_all();
    wait_for_all();
    assert_int_equal(vk_nccl.n_sum, 0);
    sums(ncclCommInitAll(comm, N_RANK, all));
  }
}

static void sums_may_be_stuck(void **state)
{
  vk_nccl.is_stuck = true;
  sum_all(N);
  assert_int_equal(cudaStreamQuery(stream[0]), cudaErrorNotReady);
  vk_nccl.is_stuck = false;
  wait_for_all();
  assert_int_equal(vk_nccl.n_sum, 1);
  vk_nccl.is_stuck = true;
  sum_all(N);
  vk_emulated_reset(); /* ends it too */
  wait_for_all();
  assert_int_equal(vk_nccl.n_sum, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(adds_up),
      TEST(groups_nest),
      TEST(runs_in_turn),
      TEST(one_rank_is_enough),
      TEST(communicators_are_counted),
      TEST(waits_for_ever_are_found),
      TEST(aborting_ends_waiting),
      TEST(wrong_calls_are_refused),
      TEST(wrong_devices_are_refused),
      TEST(calls_fail_when_told),
      TEST(groups_fail_halfway),
      TEST(cuda_fails_within),
      TEST(sums_may_be_stuck),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
