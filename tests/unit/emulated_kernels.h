/* emulated_kernels.h - kernels, right and wrong ones, for test_emulated.c. Each function starts one
 * and returns what the launch did. */
#ifndef VK_TESTS_EMULATED_KERNELS_H
#define VK_TESTS_EMULATED_KERNELS_H

#include <cuda_runtime.h>

#ifdef __cplusplus
extern "C" {
#endif

/* out[i] = i + 1 by n_block blocks of n_thread. */
cudaError_t start_count(int *out, unsigned n_block, unsigned n_thread, size_t shared,
                        cudaStream_t s);
cudaError_t allow_shared(int bytes); /* for start_count */
/* Of a grid and blocks of three dimensions: out[i] is the thread's number in its grid. */
cudaError_t start_number(int *out, dim3 grid, dim3 block, cudaStream_t s);
cudaError_t start_add(float *x, int64_t n, float by, cudaStream_t s);
/* out[b] = sum and out[n_block + b] = most of x[b * n_thread ...]. */
cudaError_t start_block_sums(float *out, const float *x, unsigned n_block, unsigned n_thread,
                             cudaStream_t s);
/* out[row][lane], n_thread lanes a row: what each kind of exchange of lanes gives; N_EXCHANGE rows.
 */
enum { N_EXCHANGE = 12 };
cudaError_t start_exchanges(int *out, unsigned n_thread, cudaStream_t s);
/* Threads leave one after the other, and those that stay meet: out[t] = how many did then. */
cudaError_t start_leavers(int *out, unsigned n_thread, cudaStream_t s);

/* out[i] = x of the block's thread n - 1 - i, through shared memory. */
cudaError_t start_reverse(int *out, unsigned n_block, unsigned n_thread, bool has_barrier,
                          cudaStream_t s);
/* Two rounds of an exchange through the same shared memory; between them a barrier or none. */
cudaError_t start_rounds(int *out, unsigned n_thread, bool has_barrier, cudaStream_t s);

enum {
  WAIT_HALF,      /* half of the threads at a barrier, half for lanes */
  WAIT_ELSEWHERE, /* at two barriers */
  WAIT_MASKS,     /* lanes that name each other differently */
  WAIT_UNNAMED,   /* a mask that does not name its thread */
  WAIT_TRAP,
};
cudaError_t start_wrong_wait(int how, cudaStream_t s);

cudaError_t start_write(char *p, int64_t at, cudaStream_t s); /* p[at] = 1 */
cudaError_t start_write_shared(int64_t at, size_t shared, cudaStream_t s);
cudaError_t start_read_shared(float *out, cudaStream_t s); /* what nobody wrote */
cudaError_t start_recursion(int *out, int depth, cudaStream_t s);

#ifdef __cplusplus
}
#endif

#endif
