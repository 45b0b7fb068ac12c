/* emulated_kernels.cc - emulated_kernels.h. */
#include "emulated_kernels.h"

#include "cuda/kernel.h"

static __global__ void count_kernel(int *out)
{
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  out[i] = (int)i + 1;
}

extern "C" cudaError_t start_count(int *out, unsigned n_block, unsigned n_thread, size_t shared,
                                   cudaStream_t s)
{
  return vk_launch(count_kernel, dim3(n_block), dim3(n_thread), shared, s, out);
}

extern "C" cudaError_t allow_shared(int bytes)
{
  return cudaFuncSetAttribute(count_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
}

static __global__ void number_kernel(int *out)
{
  unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  __syncthreads();
  unsigned i = block * blockDim.x * blockDim.y * blockDim.z + thread;
  out[i] += (int)i;
}

extern "C" cudaError_t start_number(int *out, dim3 grid, dim3 block, cudaStream_t s)
{
  return vk_launch(number_kernel, grid, block, 0, s, out);
}

static __global__ void add_kernel(float *x, int64_t n, float by)
{
  VK_EACH(i, n)
  {
    x[i] += by;
  }
}

extern "C" cudaError_t start_add(float *x, int64_t n, float by, cudaStream_t s)
{
  return vk_launch(add_kernel, dim3(vk_grid_stride(n)), dim3(VK_BLOCK), 0, s, x, n, by);
}

static __global__ void block_sums_kernel(float *out, const float *x)
{
  float v = x[blockIdx.x * blockDim.x + threadIdx.x];
  float sum = vk_block_sum(v), most = vk_block_max(v);
  for (int i = 0; i < 5; i++) /* one after the other through the same memory */
    sum = vk_block_sum(v) == sum ? sum : NAN;
  if (threadIdx.x == 0) {
    out[blockIdx.x] = sum;
    out[gridDim.x + blockIdx.x] = most;
  }
}

extern "C" cudaError_t start_block_sums(float *out, const float *x, unsigned n_block,
                                        unsigned n_thread, cudaStream_t s)
{
  return vk_launch(block_sums_kernel, dim3(n_block), dim3(n_thread), 0, s, out, x);
}

static __global__ void exchanges_kernel(int *out)
{
  const unsigned all = 0xffffffffu;
  int n = (int)blockDim.x, t = (int)threadIdx.x, lane = t % 32, row = 0;
  int64_t wide = (int64_t)(t + 1) << 32;
  out[row++ * n + t] = __shfl_xor_sync(all, t, 5);
  out[row++ * n + t] = __shfl_xor_sync(all, t, 8, 8);
  out[row++ * n + t] = __shfl_down_sync(all, t, 3);
  out[row++ * n + t] = __shfl_down_sync(all, t, 3, 4);
  out[row++ * n + t] = __shfl_up_sync(all, t, 2, 16);
  out[row++ * n + t] = __shfl_sync(all, t, lane / 2);
  out[row++ * n + t] = (int)(__shfl_sync(all, wide, 7) >> 32);
  out[row++ * n + t] = (int)__ballot_sync(all, lane % 3 == 0);
  out[row++ * n + t] = __any_sync(all, t == 40) * 2 + __all_sync(all, t >= 32);
  out[row++ * n + t] = __syncthreads_count(lane == 1);
  out[row++ * n + t] = __syncthreads_or(t == 3) * 2 + __syncthreads_and(t != 3);
  int x = -1;
  if (lane >= 16) /* half a warp by itself */
    x = __shfl_xor_sync(0xffff0000u, t, 1);
  __syncwarp();
  out[row++ * n + t] = x;
}

extern "C" cudaError_t start_exchanges(int *out, unsigned n_thread, cudaStream_t s)
{
  return vk_launch(exchanges_kernel, dim3(1), dim3(n_thread), 0, s, out);
}

static __global__ void leavers_kernel(int *out)
{
  for (unsigned i = 0;; i++) {
    int n = __syncthreads_count(1);
    __syncwarp();
    if (i == threadIdx.x) {
      out[i] = n;
      return;
    }
  }
}

extern "C" cudaError_t start_leavers(int *out, unsigned n_thread, cudaStream_t s)
{
  return vk_launch(leavers_kernel, dim3(1), dim3(n_thread), 0, s, out);
}

static __global__ void reverse_kernel(int *out, bool has_barrier)
{
  VK_SHARED(int, x);
  unsigned n = blockDim.x, t = threadIdx.x, first = blockIdx.x * n;
  x[t] = (int)(first + t);
  if (has_barrier)
    __syncthreads();
  out[first + t] = x[n - 1 - t];
}

extern "C" cudaError_t start_reverse(int *out, unsigned n_block, unsigned n_thread,
                                     bool has_barrier, cudaStream_t s)
{
  return vk_launch(reverse_kernel, dim3(n_block), dim3(n_thread), n_thread * sizeof(int), s, out,
                   has_barrier);
}

static __global__ void rounds_kernel(int *out, bool has_barrier)
{
  VK_SHARED(int, x);
  unsigned t = threadIdx.x, other = (t + VK_WARP) % blockDim.x; /* of the next warp */
  x[t] = (int)t;
  __syncthreads();
  int one = x[other];
  if (has_barrier)
    __syncthreads();
  x[t] = -1; /* the other warp may not have read yet */
  __syncthreads();
  out[t] = one + x[other] + 1;
}

extern "C" cudaError_t start_rounds(int *out, unsigned n_thread, bool has_barrier, cudaStream_t s)
{
  return vk_launch(rounds_kernel, dim3(1), dim3(n_thread), n_thread * sizeof(int), s, out,
                   has_barrier);
}

static __global__ void wrong_wait_kernel(int how)
{
  bool is_first = threadIdx.x < 16;
  if (how == WAIT_TRAP && threadIdx.x == 3)
    __trap();
  if (how == WAIT_UNNAMED)
    __syncwarp(0xffu);
  if (how == WAIT_MASKS)
    __syncwarp(is_first ? 0xffffffffu : 0xffff0000u | 1u);
  if (is_first)
    __syncthreads();
  else if (how == WAIT_HALF)
    __syncwarp();
  else
    __syncthreads();
}

extern "C" cudaError_t start_wrong_wait(int how, cudaStream_t s)
{
  return vk_launch(wrong_wait_kernel, dim3(1), dim3(32), 0, s, how);
}

static __global__ void write_kernel(char *p, int64_t at)
{
  p[at] = 1;
}

extern "C" cudaError_t start_write(char *p, int64_t at, cudaStream_t s)
{
  return vk_launch(write_kernel, dim3(1), dim3(1), 0, s, p, at);
}

static __global__ void write_shared_kernel(int64_t at)
{
  VK_SHARED(char, x);
  x[at] = 1;
}

extern "C" cudaError_t start_write_shared(int64_t at, size_t shared, cudaStream_t s)
{
  return vk_launch(write_shared_kernel, dim3(1), dim3(1), shared, s, at);
}

static __global__ void read_shared_kernel(float *out)
{
  VK_SHARED(float, x);
  out[threadIdx.x] = x[threadIdx.x];
}

extern "C" cudaError_t start_read_shared(float *out, cudaStream_t s)
{
  return vk_launch(read_shared_kernel, dim3(1), dim3(8), 8 * sizeof(float), s, out);
}

static __device__ int recurse(volatile int depth)
{
  volatile char room[1000];
  room[depth % 1000] = (char)depth;
  return depth > 0 ? recurse(depth - 1) + room[depth % 1000] : 0;
}

static __global__ void recursion_kernel(int *out, int depth)
{
  *out = recurse(depth);
}

extern "C" cudaError_t start_recursion(int *out, int depth, cudaStream_t s)
{
  return vk_launch(recursion_kernel, dim3(1), dim3(1), 0, s, out, depth);
}
