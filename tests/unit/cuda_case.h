/* cuda_case.h - for tests of src/cuda: an op's random call (op_case.h) by the op's kernels. */
#ifndef VK_TESTS_CUDA_CASE_H
#define VK_TESTS_CUDA_CASE_H

#include "core/half.h"
#include "cuda/op.h"
#include "cuda_memory.h"
#include "op_case.h"

typedef struct run_as {
  bool in_place;
  int dirt; /* byte that no kernel may count on: in outputs and scratch before a run */
  /* shapes of the capacity, by which scratch is measured; NULL: those of the case */
  const vk_tensor *in_most, *out_most;
} run_as;

static cudaStream_t stream;
static vk_cuda_gemm *gemm;

/* Runs t's call on the device; its outputs come back. t->op may be a copy of an op of the list. */
static inline void run_on_device(op_case *t, run_as as)
{
  const vk_cuda_op *op = vk_cuda_op_find(vk_op_find(t->op->name));
  assert_non_null(op);
  vk_tensor in[VK_NODE_IN_MAX], out[VK_NODE_OUT_MAX];
  for (int i = 0; i < t->n_in; i++) {
    in[i] = t->in[i];
    if (in[i].data)
      in[i].data = device_copy(t->in[i].data, bytes_of(&in[i]));
  }
  for (int i = 0; i < t->n_out; i++) {
    out[i] = t->out[i];
    out[i].data = i == 0 && as.in_place ? in[t->op->in_place - 1].data
                                        : device_new(bytes_of(&out[i]), as.dirt);
  }
  vk_op_call call = {.attr = &t->example.attr,
                     .n_in = t->n_in,
                     .n_out = t->n_out,
                     .in = as.in_most ? as.in_most : in,
                     .out = as.out_most ? as.out_most : out,
                     .n_part = 1};
  vk_tensor planned[VK_NODE_IN_MAX]; /* plans ask before there is data */
  for (int i = 0; i < t->n_in; i++) {
    planned[i] = call.in[i];
    planned[i].data = NULL;
  }
  call.in = planned;
  size_t n_scratch = op->scratch ? op->scratch(&call) : 0;
  call.in = in;
  call.out = out;
  call.scratch = device_new(n_scratch, as.dirt);
  cuda_ok(cudaDeviceSynchronize());
  cudaError_t status = op->run(&(vk_cuda_call){.op = &call, .stream = stream, .gemm = gemm});
  if (status != cudaSuccess) {
    print_error("%s, case %d: %s\n", t->op->name, t->example.i_case,
                status == cudaErrorNotSupported ? "no kernel" : cudaGetErrorString(status));
    fail();
  }
  cuda_ok(cudaStreamSynchronize(stream));
  char what[96];
  for (int i = 0; i < t->n_out; i++) {
    snprintf(what, sizeof what, "%s, case %d, output %d", t->op->name, t->example.i_case, i);
    device_get(out[i].data, bytes_of(&out[i]), t->out[i].data, what);
  }
  snprintf(what, sizeof what, "%s, case %d, scratch", t->op->name, t->example.i_case);
  device_get(call.scratch, n_scratch, NULL, what);
  device_free(call.scratch);
  for (int i = 0; i < t->n_in; i++) {
    if (!in[i].data)
      continue;
    size_t n = bytes_of(&in[i]);
    uint8_t *after = malloc(n + 1);
    assert_non_null(after);
    snprintf(what, sizeof what, "%s, case %d, input %d", t->op->name, t->example.i_case, i);
    device_get(in[i].data, n, after, what);
    bool is_over = as.in_place && i == t->op->in_place - 1;
    if (!is_over && memcmp(after, t->in[i].data, n) != 0) {
      print_error("%s: written\n", what);
      fail();
    }
    free(after);
    device_free(in[i].data);
  }
  for (int i = as.in_place ? 1 : 0; i < t->n_out; i++)
    device_free(out[i].data);
}

/* Its outputs against the reference's. what: which call; NULL: that of its case. */
static inline void compare(const op_case *t, const char *what, double atol, double rtol)
{
  char name[128], which[32];
  snprintf(which, sizeof which, "case %d", t->example.i_case);
  for (int i = 0; i < t->n_out; i++) {
    int64_t n = vk_shape_n_item(&t->out[i].shape);
    snprintf(name, sizeof name, "%s, %s, output %d", t->op->name, what ? what : which, i);
    if (t->out[i].dtype != VK_F32 && t->out[i].dtype != VK_BF16) {
      assert_memory_equal(t->out[i].data, t->out64[i].data, bytes_of(&t->out[i]));
      continue;
    }
    for (int64_t k = 0; k < n; k++) {
      double want = ((const double *)t->out64[i].data)[k];
      bool is_short = t->out[i].dtype == VK_BF16;
      double got = is_short ? (double)vk_f32_from_bf16(((const uint16_t *)t->out[i].data)[k])
                            : (double)((const float *)t->out[i].data)[k];
      vk_assert_close_at(got, want, atol, rtol + (is_short ? 1.0 / 256 : 0), name, __FILE__,
                         __LINE__);
    }
  }
}

/* Input i holds what bf16 can; stored: it lies so. */
static inline void round_input(op_case *t, int i, bool is_stored)
{
  if (i >= t->n_in || !t->in[i].data || t->in[i].dtype != VK_F32)
    return;
  float *x = t->in[i].data;
  int64_t n = vk_shape_n_item(&t->in[i].shape);
  for (int64_t k = 0; k < n; k++)
    ((double *)t->in64[i].data)[k] = (double)(x[k] = vk_f32_from_bf16(vk_bf16_from_f32(x[k])));
  if (!is_stored)
    return;
  for (int64_t k = 0; k < n; k++) { /* each item lies before the one that it was */
    uint16_t bits = vk_bf16_from_f32(x[k]);
    memcpy((char *)t->in[i].data + 2 * k, &bits, sizeof bits);
  }
  t->in[i].dtype = VK_BF16;
}

#endif
