/* test_emulated.c - the stand-in for a GPU: kernels run as they would, and what is wrong in them or
 * in calls of the runtime is found. */
#include "test.h"

#include <pthread.h>
#include <stdlib.h>

#include "aborts.h"
#include "emulated/emulated.h"
#include "emulated_kernels.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CLANG_HAS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(CLANG_HAS_ASAN)
enum { HAS_ASAN = 1 }; /* which ends the program where a wrong byte is touched */
#else
enum { HAS_ASAN = 0 };
#endif

enum { N_RUN = 16 }; /* of a kernel, in other orders each */

static cudaStream_t stream;

#define ok(call)           assert_string_equal(cudaGetErrorName(call), "cudaSuccess")
#define fails(call, error) assert_string_equal(cudaGetErrorName(call), #error)

/* n bytes that both sides reach. */
static void *new_shared(size_t n)
{
  void *p = NULL;
  ok(cudaMallocHost(&p, n));
  return p;
}

static int setup(void **state)
{
  vk_emulated_reset();
  if (!vk_emulated_is_clean())
    return -1;
  ok(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  return 0;
}

static int teardown(void **state)
{
  vk_emulated_reset();
  (void)cudaStreamDestroy(stream);
  return vk_emulated_is_clean() ? 0 : -1;
}

/* ---- kernels ------------------------------------------------------------------------------- */

static void threads_have_their_numbers(void **state)
{
  const dim3 grid = {3, 2, 2}, block = {5, 4, 3};
  enum { N = 12 * 60 };
  int *out = new_shared(N * sizeof *out);
  memset(out, 0, N * sizeof *out);
  for (int run = 1; run <= N_RUN; run++) {
    ok(start_number(out, grid, block, stream));
    ok(cudaStreamSynchronize(stream));
    for (int i = 0; i < N; i++)
      assert_int_equal(out[i], run * i);
  }
  ok(cudaFreeHost(out));
}

static void blocks_add_up(void **state)
{
  enum { N_BLOCK = 7, N_THREAD = 160 };
  float *x = new_shared(N_BLOCK * N_THREAD * sizeof *x), *out = new_shared(2 * N_BLOCK * 4);
  for (int i = 0; i < N_BLOCK * N_THREAD; i++)
    x[i] = (float)(i * 37 % 101);
  for (int run = 0; run < N_RUN; run++) {
    ok(start_block_sums(out, x, N_BLOCK, N_THREAD, stream));
    ok(cudaStreamSynchronize(stream));
    for (int b = 0; b < N_BLOCK; b++) {
      float sum = 0, most = 0;
      for (int i = 0; i < N_THREAD; i++) {
        sum += x[b * N_THREAD + i];
        most = fmaxf(most, x[b * N_THREAD + i]);
      }
      vk_assert_close(out[b], sum, 0, 0);
      vk_assert_close(out[N_BLOCK + b], most, 0, 0);
    }
  }
  ok(cudaFreeHost(x));
  ok(cudaFreeHost(out));
}

static void lanes_exchange(void **state)
{
  enum { N = 96 };
  int *out = new_shared(N_EXCHANGE * N * sizeof *out);
  for (int run = 0; run < N_RUN; run++) {
    ok(start_exchanges(out, N, stream));
    ok(cudaStreamSynchronize(stream));
    for (int t = 0; t < N; t++) {
      int lane = t % 32, w = t / 32 * 32;
      const int want[N_EXCHANGE] = {
          w + (lane ^ 5),
          lane & 8 ? t ^ 8 : t, /* of a part before its own a lane may read, of one after not */
          lane + 3 < 32 ? t + 3 : t,
          lane % 4 + 3 < 4 ? t + 3 : t,
          lane % 16 >= 2 ? t - 2 : t,
          w + lane / 2,
          w + 8,
          0x49249249,
          (w == 32) * 2 + (w >= 32),
          3,
          2,
          lane >= 16 ? t ^ 1 : -1,
      };
      for (int row = 0; row < N_EXCHANGE; row++)
        assert_int_equal(out[row * N + t], want[row]);
    }
  }
  ok(cudaFreeHost(out));
}

static void threads_may_leave(void **state)
{
  enum { N = 70 };
  int *out = new_shared(N * sizeof *out);
  for (int run = 0; run < N_RUN; run++) {
    ok(start_leavers(out, N, stream));
    ok(cudaStreamSynchronize(stream));
    for (int i = 0; i < N; i++)
      assert_int_equal(out[i], N - i);
  }
  ok(cudaFreeHost(out));
}

static void shared_memory_is_dirty(void **state)
{
  float *out = new_shared(8 * sizeof *out);
  ok(start_read_shared(out, stream));
  ok(cudaStreamSynchronize(stream));
  for (int i = 0; i < 8; i++)
    assert_true(isnan(out[i]));
  ok(cudaFreeHost(out));
}

/* ---- wrong kernels -------------------------------------------------------------------------- */

/* How many of several runs give wrong numbers. */
static int n_wrong_reverse(bool has_barrier)
{
  enum { N_BLOCK = 3, N = 64 };
  int n_wrong = 0, *out = new_shared(N_BLOCK * N * sizeof *out);
  for (int run = 0; run < N_RUN; run++) {
    ok(start_reverse(out, N_BLOCK, N, has_barrier, stream));
    ok(cudaStreamSynchronize(stream));
    for (int b = 0, is_wrong = 0; b < N_BLOCK && !is_wrong; b++)
      for (int i = 0; i < N && !is_wrong; i++)
        n_wrong += is_wrong = out[b * N + i] != b * N + N - 1 - i;
  }
  ok(cudaFreeHost(out));
  return n_wrong;
}

static int n_wrong_rounds(bool has_barrier)
{
  enum { N = 128 };
  int n_wrong = 0, *out = new_shared(N * sizeof *out);
  for (int run = 0; run < N_RUN; run++) {
    ok(start_rounds(out, N, has_barrier, stream));
    ok(cudaStreamSynchronize(stream));
    for (int i = 0, is_wrong = 0; i < N && !is_wrong; i++)
      n_wrong += is_wrong = out[i] != (i + 32) % N;
  }
  ok(cudaFreeHost(out));
  return n_wrong;
}

static void missing_barriers_are_found(void **state)
{
  assert_int_equal(n_wrong_reverse(true), 0);
  assert_int_equal(n_wrong_reverse(false), N_RUN);
  assert_int_equal(n_wrong_rounds(true), 0);
  assert_in_range(n_wrong_rounds(false), N_RUN / 4, N_RUN);
}

static void wait_wrongly(void *how)
{
  (void)start_wrong_wait(*(int *)how, stream);
}

static void threads_that_wait_for_ever_are_found(void **state)
{
  static const char *const says[] = {
      [WAIT_HALF] = "block (0, 0, 0) of (1, 1, 1): its threads wait for ever: thread",
      [WAIT_ELSEWHERE] = "threads meet at different barriers",
      [WAIT_MASKS] = "its threads wait for ever",
      [WAIT_UNNAMED] = "a mask does not name the thread that says it",
      [WAIT_TRAP] = "thread (3, 0, 0): __trap() at",
  };
  for (int how = WAIT_HALF; how <= WAIT_TRAP; how++) {
    char text[1024];
    assert_true(aborts_saying(wait_wrongly, &how, text, sizeof text));
    if (!strstr(text, says[how]))
      print_error("\"%s\" does not say \"%s\"\n", text, says[how]);
    assert_non_null(strstr(text, says[how]));
  }
}

static void write_beyond_shared(void *at)
{
  (void)start_write_shared(*(int64_t *)at, 100, stream);
}

static void writes_outside_are_found(void **state)
{
  int64_t inside = 99, outside = 101;
  assert_false(aborts(write_beyond_shared, &inside));
  if (HAS_ASAN)
    return;
  assert_true(aborts(write_beyond_shared, &outside));
  static const int64_t at[] = {-1, -200, 101, 102};
  for (size_t i = 0; i < VK_COUNT(at); i++) {
    char *p = NULL;
    ok(cudaMalloc((void **)&p, 101));
    ok(start_write(p, 0, stream));
    ok(start_write(p, 100, stream));
    ok(cudaStreamSynchronize(stream));
    ok(start_write(p, at[i], stream));
    fails(cudaStreamSynchronize(stream), cudaErrorIllegalAddress);
    fails(cudaMemsetAsync(p, 0, 1, stream), cudaErrorIllegalAddress); /* and so on */
    fails(cudaFree(p), cudaErrorIllegalAddress);
    vk_emulated_reset();
  }
}

static void addresses_of_nothing_are_found(void **state)
{
  if (HAS_ASAN)
    return;
  char *p = NULL;
  ok(cudaMalloc((void **)&p, 100));
  fails(start_write(p, (int64_t)1 << 45, stream), cudaErrorIllegalAddress);
  fails(cudaGetLastError(), cudaErrorIllegalAddress);
  fails(cudaGetLastError(), cudaErrorIllegalAddress);
  vk_emulated_reset();
  ok(start_write(p, 3, stream)); /* others run after it */
  fails(start_write(NULL, 0, stream), cudaErrorIllegalAddress);
  vk_emulated_reset();
  int *out = new_shared(sizeof *out);
  ok(start_recursion(out, 10, stream));
  fails(start_recursion(out, 1000, stream), cudaErrorIllegalAddress); /* more than a stack */
  vk_emulated_reset();
  ok(cudaFreeHost(out));
  ok(cudaFree(p));
}

static void pointers_of_the_host_are_found(void **state)
{
  char host[8];
  fails(start_write(host, 0, stream), cudaErrorIllegalAddress);
}

static void wrong_launches_are_refused(void **state)
{
  int *out = new_shared(2048 * sizeof *out);
  fails(start_count(out, 0, 32, 0, stream), cudaErrorInvalidConfiguration);
  fails(start_count(out, 1, 0, 0, stream), cudaErrorInvalidConfiguration);
  fails(start_count(out, 1, 1025, 0, stream), cudaErrorInvalidConfiguration);
  fails(start_number(out, (dim3){1, 65536, 1}, (dim3){1, 1, 1}, stream),
        cudaErrorInvalidConfiguration);
  fails(start_number(out, (dim3){1, 1, 1}, (dim3){1, 1, 65}, stream),
        cudaErrorInvalidConfiguration);
  fails(start_count(out, 1, 32, 48 * 1024 + 1, stream), cudaErrorInvalidValue);
  fails(cudaPeekAtLastError(), cudaErrorInvalidValue);
  fails(cudaGetLastError(), cudaErrorInvalidValue);
  ok(cudaGetLastError());
  ok(start_count(out, 2, 1024, 48 * 1024, stream));
  ok(cudaStreamSynchronize(stream));
  for (int i = 0; i < 2048; i++)
    assert_int_equal(out[i], i + 1);
  fails(allow_shared(227 * 1024 + 1), cudaErrorInvalidValue);
  ok(allow_shared(200 * 1024));
  ok(start_count(out, 1, 32, 200 * 1024, stream));
  ok(cudaStreamSynchronize(stream));
  ok(cudaFreeHost(out));
}

/* ---- memory --------------------------------------------------------------------------------- */

static void memory_is_counted_and_bounded(void **state)
{
  void *a = NULL, *b = NULL, *host = NULL;
  size_t n_free = 0, n_total = 0;
  vk_emulated_set_memory(1000);
  ok(cudaMalloc(&a, 600));
  fails(cudaMalloc(&b, 401), cudaErrorMemoryAllocation);
  assert_null(b);
  ok(cudaMalloc(&b, 300));
  ok(cudaMallocHost(&host, 5000));
  ok(cudaMemGetInfo(&n_free, &n_total));
  assert_int_equal(n_free, 100);
  assert_int_equal(n_total, 1000);
  vk_emulated_live live = vk_emulated_count();
  assert_true(live.n_device == 2 && live.n_host == 1);
  assert_int_equal(live.n_byte, 900);
  assert_false(vk_emulated_is_clean()); /* leaks, if nothing more came */
  fails(cudaFree((char *)a + 1), cudaErrorInvalidValue);
  fails(cudaFree(host), cudaErrorInvalidValue);
  fails(cudaFreeHost(b), cudaErrorInvalidValue);
  ok(cudaFree(a));
  fails(cudaFree(a), cudaErrorInvalidValue);
  ok(cudaFree(b));
  ok(cudaFreeHost(host));
  ok(cudaFree(NULL));
  ok(cudaMemGetInfo(&n_free, &n_total));
  assert_int_equal(n_free, 1000);
}

static bool is_readable(const char *p)
{
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  bool is_read = write(ends[1], p, 1) == 1; /* else EFAULT */
  close(ends[0]);
  close(ends[1]);
  return is_read;
}

/* What the host reads of a device's memory without a copy is found, whatever ran before. */
static void memory_is_out_of_reach(void **state)
{
  char *p = NULL;
  ok(cudaMalloc((void **)&p, 100));
  assert_true(!is_readable(p) && is_readable("host"));
  ok(start_write(p, 3, stream));
  ok(cudaStreamSynchronize(stream));
  assert_false(is_readable(p + 3));
  ok(cudaFree(p));
}

static void copies_know_their_sides(void **state)
{
  char host[64] = "as it was", back[64] = "";
  char *p = NULL;
  ok(cudaMalloc((void **)&p, sizeof host));
  ok(cudaMemcpy(p, host, sizeof host, cudaMemcpyHostToDevice));
  ok(cudaMemcpyAsync(back, p, sizeof host, cudaMemcpyDeviceToHost, stream));
  ok(cudaStreamSynchronize(stream));
  assert_string_equal(back, "as it was");
  fails(cudaMemcpy(p, host, sizeof host, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  fails(cudaMemcpy(host, p, sizeof host, cudaMemcpyHostToHost), cudaErrorInvalidValue);
  fails(cudaMemcpyAsync(p, p, 2 * sizeof host, cudaMemcpyDeviceToDevice, stream),
        cudaErrorInvalidValue);
  fails(cudaMemcpy(p + 1, host, sizeof host, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  fails(cudaMemset(p, 0, sizeof host + 1), cudaErrorInvalidValue);
  fails(cudaMemsetAsync(host, 0, 1, stream), cudaErrorInvalidValue);
  fails(cudaMemcpy(p, host, 1, (enum cudaMemcpyKind)7), cudaErrorInvalidMemcpyDirection);
  ok(cudaMemset(p, 'x', 2));
  ok(cudaMemcpy(back, p, 4, cudaMemcpyDefault));
  assert_memory_equal(back, "xx i", 4);
  ok(cudaFree(p));
}

/* ---- failures ------------------------------------------------------------------------------- */

static void calls_fail_when_told(void **state)
{
  void *p = NULL;
  int64_t before = vk_emulated_n_call();
  vk_emulated_fail_after(2, cudaErrorMemoryAllocation);
  ok(cudaMalloc(&p, 8));
  fails(cudaMemset(p, 0, 8), cudaErrorMemoryAllocation);
  ok(cudaMemset(p, 0, 8));
  assert_int_equal(vk_emulated_n_call() - before, 3);
  vk_emulated_fail_after(1, cudaErrorECCUncorrectable); /* the device is lost */
  fails(cudaStreamSynchronize(stream), cudaErrorECCUncorrectable);
  fails(cudaMemset(p, 0, 8), cudaErrorECCUncorrectable);
  fails(start_write(p, 0, stream), cudaErrorECCUncorrectable);
  fails(cudaFree(p), cudaErrorECCUncorrectable);
  assert_int_equal(vk_emulated_count().n_device, 0); /* but its memory is given back */
  fails(cudaGetLastError(), cudaErrorECCUncorrectable);
  ok(cudaDeviceReset());
  ok(cudaDeviceSynchronize());
}

static void machines_differ(void **state)
{
  int n = -1, value = 0;
  struct cudaDeviceProp prop;
  vk_emulated_set_compute_capability(8, 6);
  ok(cudaGetDeviceCount(&n));
  assert_int_equal(n, 1);
  ok(cudaGetDeviceProperties(&prop, 0));
  assert_true(prop.major == 8 && prop.minor == 6 && prop.multiProcessorCount == 132);
  ok(cudaDeviceGetAttribute(&value, cudaDevAttrComputeCapabilityMinor, 0));
  assert_int_equal(value, 6);
  fails(cudaGetDeviceProperties(&prop, 1), cudaErrorInvalidDevice);
  fails(cudaSetDevice(-1), cudaErrorInvalidDevice);
  vk_emulated_set_device_count(3);
  ok(cudaSetDevice(2));
  vk_emulated_set_device_count(0);
  fails(cudaGetDeviceCount(&n), cudaErrorNoDevice);
  assert_int_equal(n, 0);
  vk_emulated_set_driver(12040);
  fails(cudaGetDeviceCount(&n), cudaErrorInsufficientDriver);
  ok(cudaDriverGetVersion(&value));
  assert_int_equal(value, 12040);
}

/* ---- streams and graphs --------------------------------------------------------------------- */

/* As late as it may: what does not wait reads old bytes. */
static void work_may_be_late(void **state)
{
  cudaStream_t other = NULL;
  cudaEvent_t event = NULL;
  float *x = new_shared(4 * sizeof *x), *pinned = NULL;
  const float start[4] = {1, 1, 1, 1};
  ok(cudaMallocHost((void **)&pinned, 4 * sizeof *pinned));
  ok(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
  ok(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  memset(x, 0, 4 * sizeof *x);
  memset(pinned, 0, 4 * sizeof *pinned);
  vk_emulated_set_late(true);
  float from[4];
  memcpy(from, start, sizeof from);
  ok(cudaMemcpyAsync(x, from, sizeof from, cudaMemcpyDefault, stream));
  from[0] = 9; /* pageable memory was read already */
  ok(start_add(x, 4, 1, stream));
  ok(cudaMemcpyAsync(pinned, x, 4 * sizeof *x, cudaMemcpyDefault, stream));
  assert_true(x[0] == 0 && pinned[0] == 0);
  ok(cudaEventRecord(event, stream));
  ok(start_add(x, 4, 10, stream));
  ok(cudaStreamWaitEvent(other, event, 0));
  ok(start_add(x, 4, 100, other));
  assert_true(x[0] == 0);
  fails(cudaEventQuery(event), cudaErrorNotReady);
  fails(cudaStreamQuery(other), cudaErrorNotReady);
  ok(cudaStreamSynchronize(other)); /* what stood before the event, and its own */
  assert_true(x[0] == 102 && pinned[0] == 2);
  ok(cudaEventQuery(event));
  ok(cudaDeviceSynchronize());
  assert_true(x[0] == 112);
  ok(start_add(x, 4, 1, stream));
  ok(cudaMemcpyAsync(from, x, sizeof from, cudaMemcpyDefault, stream)); /* waits */
  assert_true(from[3] == 113);
  vk_emulated_set_late(false);
  ok(start_add(x, 4, 1, stream));
  assert_true(x[0] == 114);
  ok(cudaEventDestroy(event));
  ok(cudaStreamDestroy(other));
  ok(cudaFreeHost(pinned));
  ok(cudaFreeHost(x));
}

static void count_up(void *data)
{
  ++**(int **)data;
}

/* Kernels and what libraries enqueue do not run; copies do. */
static void kernels_may_be_left_out(void **state)
{
  float *x, *y;
  int n = 0, *at = &n;
  int64_t before = vk_emulated_n_launch(), n_call = vk_emulated_n_call();
  vk_emulated_set_dry(true);
  x = new_shared(4 * sizeof *x);
  y = new_shared(4 * sizeof *y);
  assert_true(x[0] == 0 && x[3] == 0);
  x[0] = 7;
  ok(start_add(x, 4, 1, stream));
  ok(vk_emulated_enqueue(stream, count_up, &at, sizeof at));
  ok(cudaMemcpyAsync(y, x, 4 * sizeof *x, cudaMemcpyDefault, stream));
  ok(cudaStreamSynchronize(stream));
  assert_true(x[0] == 7 && y[0] == 7 && n == 0);
  assert_int_equal(vk_emulated_n_launch(), before);
  assert_true(vk_emulated_n_call() > n_call);
  vk_emulated_fail_after(1, cudaErrorLaunchFailure);
  fails(start_add(x, 4, 1, stream), cudaErrorLaunchFailure);
  vk_emulated_reset();
  ok(start_add(x, 4, 1, stream));
  ok(vk_emulated_enqueue(stream, count_up, &at, sizeof at));
  assert_true(x[0] == 8 && n == 1);
  ok(cudaFreeHost(x));
  ok(cudaFreeHost(y));
}

static cudaGraph_t capture_adds(float *x, float by, int n)
{
  cudaGraph_t graph = NULL;
  ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  for (int i = 0; i < n; i++)
    ok(start_add(x, 4, by, stream));
  ok(cudaMemcpyAsync(x + 4, x, 4 * sizeof *x, cudaMemcpyDefault, stream));
  ok(cudaStreamEndCapture(stream, &graph));
  return graph;
}

static void graphs_run_what_was_captured(void **state)
{
  float *x = new_shared(8 * sizeof *x);
  memset(x, 0, 8 * sizeof *x);
  cudaGraph_t graph = capture_adds(x, 1, 2), other = capture_adds(x, 10, 2),
              longer = capture_adds(x, 10, 3);
  assert_true(x[0] == 0 && vk_emulated_n_launch() >= 0);
  size_t n = 0;
  cudaGraphExec_t exec = NULL;
  cudaGraphExecUpdateResultInfo info;
  ok(cudaGraphGetNodes(graph, NULL, &n));
  assert_int_equal(n, 3);
  ok(cudaGraphInstantiateWithFlags(&exec, graph, 0));
  ok(cudaGraphDestroy(graph));
  ok(cudaGraphLaunch(exec, stream));
  ok(cudaGraphLaunch(exec, stream));
  ok(cudaStreamSynchronize(stream));
  assert_true(x[3] == 4 && x[7] == 4);
  fails(cudaGraphExecUpdate(exec, longer, &info), cudaErrorGraphExecUpdateFailure);
  assert_true(info.result != cudaGraphExecUpdateSuccess);
  ok(cudaGraphExecUpdate(exec, other, &info));
  vk_emulated_set_late(true);
  ok(cudaGraphLaunch(exec, stream));
  assert_true(x[7] == 4);
  ok(cudaGraphExecUpdate(exec, other, &info)); /* a launch goes on as it was */
  ok(cudaStreamSynchronize(stream));
  assert_true(x[7] == 24);
  ok(cudaGraphDestroy(other));
  ok(cudaGraphDestroy(longer));
  ok(cudaGraphExecDestroy(exec));
  ok(cudaFreeHost(x));
}

/* A call that a capture forbids: its error, and that the capture is over. */
#define forbidden(call, error)                                                                     \
  do {                                                                                             \
    cudaGraph_t graph_ = NULL;                                                                     \
    ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));                               \
    fails(call, error);                                                                            \
    fails(cudaStreamEndCapture(stream, &graph_), cudaErrorStreamCaptureInvalidated);               \
    assert_null(graph_);                                                                           \
  } while (0)

static void captures_forbid_waiting(void **state)
{
  char *p = NULL;
  void *more = NULL;
  cudaGraph_t graph = NULL;
  cudaEvent_t event = NULL;
  ok(cudaMalloc((void **)&p, 8));
  ok(cudaEventCreate(&event));
  forbidden(cudaStreamSynchronize(stream), cudaErrorStreamCaptureUnsupported);
  forbidden(cudaStreamQuery(stream), cudaErrorStreamCaptureUnsupported);
  forbidden(cudaDeviceSynchronize(), cudaErrorStreamCaptureUnsupported);
  forbidden(cudaMalloc(&more, 8), cudaErrorStreamCaptureUnsupported);
  forbidden(cudaFree(p), cudaErrorStreamCaptureUnsupported);
  forbidden(cudaMemset(p, 0, 8), cudaErrorStreamCaptureImplicit);
  fails(cudaStreamEndCapture(stream, &graph), cudaErrorIllegalState);
  fails(cudaStreamBeginCapture(NULL, cudaStreamCaptureModeGlobal),
        cudaErrorStreamCaptureUnsupported);
  ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  fails(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed), cudaErrorIllegalState);
  ok(cudaMalloc(&more, 8));
  ok(cudaEventRecord(event, stream));
  fails(cudaEventSynchronize(event), cudaErrorCapturedEvent);
  ok(cudaStreamEndCapture(stream, &graph));
  ok(cudaGraphDestroy(graph));
  ok(cudaEventDestroy(event));
  ok(cudaFree(more));
  ok(cudaFree(p));
}

/* Work of another stream belongs to the graph if events lead to it and back. */
static void captures_fork_and_join(void **state)
{
  float *x = new_shared(4 * sizeof *x);
  cudaStream_t side = NULL;
  cudaEvent_t fork = NULL, join = NULL;
  cudaGraph_t graph = NULL, none = NULL;
  cudaGraphExec_t exec = NULL;
  memset(x, 0, 4 * sizeof *x);
  ok(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking));
  ok(cudaEventCreateWithFlags(&fork, cudaEventDisableTiming));
  ok(cudaEventCreateWithFlags(&join, cudaEventDisableTiming));
  for (int is_joined = 0; is_joined < 2; is_joined++) {
    ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    ok(cudaEventRecord(fork, stream));
    ok(cudaStreamWaitEvent(side, fork, 0));
    ok(start_add(x, 4, 5, side));
    ok(cudaEventRecord(join, side));
    if (is_joined) {
      ok(cudaStreamWaitEvent(stream, join, 0));
      ok(cudaStreamEndCapture(stream, &graph));
    } else {
      fails(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureUnjoined);
    }
  }
  assert_true(x[0] == 0);
  ok(start_add(x, 4, 1, side)); /* no longer captured */
  ok(cudaStreamSynchronize(side));
  assert_true(x[0] == 1);
  ok(cudaGraphInstantiateWithFlags(&exec, graph, 0));
  ok(cudaGraphLaunch(exec, stream));
  ok(cudaStreamSynchronize(stream));
  assert_true(x[0] == 6);
  ok(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
  ok(cudaEventRecord(join, side)); /* outside of it */
  fails(cudaStreamWaitEvent(stream, join, 0), cudaErrorStreamCaptureIsolation);
  fails(cudaStreamEndCapture(stream, &none), cudaErrorStreamCaptureInvalidated);
  assert_null(none);
  assert_int_equal(vk_emulated_count().n_graph, 1);
  assert_int_equal(vk_emulated_count().n_exec, 1);
  ok(cudaGraphExecDestroy(exec));
  ok(cudaGraphDestroy(graph));
  ok(cudaEventDestroy(fork));
  ok(cudaEventDestroy(join));
  ok(cudaStreamDestroy(side));
  ok(cudaFreeHost(x));
}

/* ---- several devices ------------------------------------------------------------------------ */

static void expect_current(int want)
{
  int device = -1;
  ok(cudaGetDevice(&device));
  assert_int_equal(device, want);
}

static void *other_thread(void *state)
{
  expect_current(0);
  ok(cudaSetDevice(2));
  return NULL;
}

static void threads_have_a_device(void **state)
{
  pthread_t thread;
  vk_emulated_set_device_count(3);
  expect_current(0);
  ok(cudaSetDevice(1));
  assert_int_equal(pthread_create(&thread, NULL, other_thread, NULL), 0);
  assert_int_equal(pthread_join(thread, NULL), 0);
  expect_current(1);
  fails(cudaSetDevice(3), cudaErrorInvalidDevice);
  expect_current(1);
  vk_emulated_reset();
  expect_current(0);
}

static void devices_have_memory(void **state)
{
  void *p[2], *more = NULL;
  size_t n_free = 0, n_total = 0;
  vk_emulated_set_device_count(2);
  vk_emulated_set_memory(1000);
  for (int i = 0; i < 2; i++) {
    ok(cudaSetDevice(i));
    ok(cudaMalloc(&p[i], 600));
    fails(cudaMalloc(&more, 401), cudaErrorMemoryAllocation);
  }
  ok(cudaFree(p[0])); /* with the other device current */
  ok(cudaMemGetInfo(&n_free, &n_total));
  assert_true(n_free == 400 && n_total == 1000);
  ok(cudaSetDevice(0));
  ok(cudaMemGetInfo(&n_free, &n_total));
  assert_true(n_free == 1000 && n_total == 1000);
  ok(cudaFree(p[1]));
}

/* What needs the stream's device to be current, and what does not. */
static void streams_have_a_device(void **state)
{
  cudaStream_t other = NULL;
  cudaEvent_t event = NULL, of_other = NULL;
  cudaGraph_t graph = NULL;
  cudaGraphExec_t exec = NULL;
  float ms, host[4] = {1, 2, 3, 4}, *x = new_shared(8 * sizeof *x);
  memset(x, 0, 8 * sizeof *x);
  vk_emulated_set_device_count(2);
  ok(cudaEventCreate(&event));
  ok(cudaSetDevice(1));
  ok(cudaEventCreate(&of_other));
  ok(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking));
  ok(start_add(x, 4, 1, other));
  ok(cudaMemsetAsync(x + 4, 0, 16, other));
  fails(start_add(x, 4, 1, stream), cudaErrorInvalidResourceHandle);
  ok(cudaSetDevice(0));
  fails(start_add(x, 4, 1, other), cudaErrorInvalidResourceHandle);
  fails(cudaMemsetAsync(x, 0, 4, other), cudaErrorInvalidResourceHandle);
  fails(cudaEventRecord(event, other), cudaErrorInvalidResourceHandle);
  graph = capture_adds(x, 1, 1);
  ok(cudaGraphInstantiateWithFlags(&exec, graph, 0));
  fails(cudaGraphLaunch(exec, other), cudaErrorInvalidResourceHandle);
  ok(cudaEventRecord(of_other, other));
  ok(cudaEventRecord(event, stream));
  fails(cudaEventElapsedTime(&ms, event, of_other), cudaErrorInvalidResourceHandle);
  ok(cudaStreamWaitEvent(stream, of_other, 0));
  ok(cudaEventQuery(of_other));
  ok(cudaMemcpyAsync(x, host, sizeof host, cudaMemcpyDefault, other));
  ok(cudaStreamQuery(other));
  ok(cudaStreamSynchronize(other));
  assert_true(x[3] == 4);
  ok(cudaStreamDestroy(other));
  ok(cudaEventDestroy(of_other));
  ok(cudaEventDestroy(event));
  ok(cudaGraphExecDestroy(exec));
  ok(cudaGraphDestroy(graph));
  ok(cudaFreeHost(x));
}

static void devices_are_waited_for_alone(void **state)
{
  cudaStream_t other = NULL;
  cudaEvent_t event = NULL;
  float *x = new_shared(8 * sizeof *x);
  memset(x, 0, 8 * sizeof *x);
  vk_emulated_set_device_count(2);
  vk_emulated_set_late(true);
  ok(start_add(x, 4, 1, stream));
  ok(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  ok(cudaEventRecord(event, stream));
  ok(cudaSetDevice(1));
  ok(cudaStreamCreate(&other));
  ok(start_add(x + 4, 4, 2, other));
  ok(cudaDeviceSynchronize());
  assert_true(x[0] == 0 && x[4] == 2);
  ok(start_add(x + 4, 4, 2, other));
  ok(cudaSetDevice(0));
  ok(cudaMemset(x, 0, 4)); /* waits for streams of its own device */
  assert_true(x[4] == 2);
  ok(cudaStreamWaitEvent(other, event, 0));
  ok(cudaStreamSynchronize(other)); /* for what stood before the event on the other device */
  assert_true(x[1] == 1 && x[4] == 4);
  ok(cudaStreamDestroy(other));
  ok(cudaEventDestroy(event));
  ok(cudaFreeHost(x));
}

static void devices_are_lost_alone(void **state)
{
  char *p[2];
  cudaStream_t other = NULL;
  vk_emulated_set_device_count(2);
  ok(cudaMalloc((void **)&p[0], 8));
  ok(cudaSetDevice(1));
  ok(cudaMalloc((void **)&p[1], 8));
  ok(cudaStreamCreate(&other));
  fails(start_write(p[0], 0, other), cudaErrorIllegalAddress); /* memory of the other device */
  fails(cudaMemsetAsync(p[1], 0, 8, other), cudaErrorIllegalAddress);
  fails(cudaGetLastError(), cudaErrorIllegalAddress);
  ok(cudaSetDevice(0));
  ok(cudaGetLastError());
  ok(start_write(p[0], 0, stream));
  fails(cudaStreamSynchronize(other), cudaErrorIllegalAddress);
  fails(cudaSetDevice(1), cudaErrorIllegalAddress);
  expect_current(0);
  fails(cudaFree(p[1]), cudaErrorIllegalAddress);
  fails(cudaStreamDestroy(other), cudaErrorIllegalAddress);
  ok(cudaMemsetAsync(p[0], 0, 8, stream));
  fails(cudaMemsetAsync(p[0], 0, 9, stream), cudaErrorInvalidValue);
  ok(cudaFree(p[0]));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
  const struct CMUnitTest tests[] = {
      TEST(threads_have_their_numbers),
      TEST(blocks_add_up),
      TEST(lanes_exchange),
      TEST(threads_may_leave),
      TEST(shared_memory_is_dirty),
      TEST(missing_barriers_are_found),
      TEST(threads_that_wait_for_ever_are_found),
      TEST(writes_outside_are_found),
      TEST(addresses_of_nothing_are_found),
      TEST(pointers_of_the_host_are_found),
      TEST(wrong_launches_are_refused),
      TEST(memory_is_counted_and_bounded),
      TEST(memory_is_out_of_reach),
      TEST(copies_know_their_sides),
      TEST(calls_fail_when_told),
      TEST(machines_differ),
      TEST(work_may_be_late),
      TEST(kernels_may_be_left_out),
      TEST(graphs_run_what_was_captured),
      TEST(captures_forbid_waiting),
      TEST(captures_fork_and_join),
      TEST(threads_have_a_device),
      TEST(devices_have_memory),
      TEST(streams_have_a_device),
      TEST(devices_are_waited_for_alone),
      TEST(devices_are_lost_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
