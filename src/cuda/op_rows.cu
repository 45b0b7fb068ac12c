/* op_rows.cu - ops that add up rows or items, and their gradients: sum_rows, sum_groups, mean_rows,
 * weighted_mean; what they compute is said in src/nn/op_NAME.c. */
#include "cuda/columns.h"
#include "cuda/lanes.h"

/* ---- sums of columns ----
 * A block takes 8 vectors of columns (128 bytes of a row) and 32 rows at once. */

enum {
  TILE = 8,
  TILE_ROWS = VK_BLOCK / TILE,
  PART_ROWS = 128,   /* rows of a part, at least */
  PART_BLOCKS = 1024 /* more parts than these blocks need are no faster */
};

static int64_t n_tile_of(int64_t n)
{
  int64_t n_vector = n % 4 == 0 ? n / 4 : n;
  return (n_vector + TILE - 1) / TILE;
}

/* Rises with m, so that the scratch for the most rows is enough for fewer. */
static int64_t n_part_of(int64_t m, int64_t n)
{
  int64_t most = PART_BLOCKS / n_tile_of(n), n_part = (m + PART_ROWS - 1) / PART_ROWS;
  n_part = n_part < most ? n_part : most;
  return n_part < 1 ? 1 : n_part;
}

/* Row blockIdx.y of y: the sums over that part of the rows. */
template <int V>
static __global__ void sum_columns(const float *x, int64_t m, int64_t n, int64_t ld, float *y)
{
  int64_t j = ((int64_t)blockIdx.x * TILE + threadIdx.x % TILE) * V;
  int64_t r = m * blockIdx.y / gridDim.y + threadIdx.x / TILE;
  int64_t end = m * (blockIdx.y + 1) / gridDim.y;
  vk_lanes<V> sum[4];
  for (int k = 0; k < 4; k++)
    sum[k] = vk_lanes_zero<V>();
  if (j < n) {
    for (; r + 3 * TILE_ROWS < end; r += 4 * TILE_ROWS)
#pragma unroll
      for (int k = 0; k < 4; k++)
        vk_lanes_add<V>(&sum[k], 1, vk_lanes_load<V>(x + (r + k * TILE_ROWS) * ld + j));
    for (; r < end; r += TILE_ROWS)
      vk_lanes_add<V>(&sum[0], 1, vk_lanes_load<V>(x + r * ld + j));
  }
  for (int k = 1; k < 4; k++)
    vk_lanes_add<V>(&sum[0], 1, sum[k]);
  const float *all = vk_lanes_sum_rows<V, VK_BLOCK>(sum[0], TILE, TILE_ROWS);
  int64_t at = (int64_t)blockIdx.x * TILE * V + threadIdx.x;
  if (threadIdx.x < TILE * V && at < n)
    y[blockIdx.y * n + at] = all[threadIdx.x];
}

static cudaError_t start_columns(const float *x, int64_t m, int64_t n, int64_t ld, int64_t n_part,
                                 float *y, cudaStream_t stream)
{
  dim3 grid((unsigned)n_tile_of(n), (unsigned)n_part);
  return vk_launch(n % 4 == 0 ? sum_columns<4> : sum_columns<1>, grid, VK_BLOCK, 0, stream, x, m, n,
                   ld, y);
}

cudaError_t vk_cuda_columns(const float *x, int64_t m, int64_t n, int64_t ld, float *y, float *part,
                            cudaStream_t stream)
{
  if (n == 0)
    return cudaSuccess;
  int64_t n_part = part ? n_part_of(m, n) : 1;
  if (n_part == 1)
    return start_columns(x, m, n, ld, 1, y, stream);
  VK_CUDA_TRY(start_columns(x, m, n, ld, n_part, part, stream));
  return start_columns(part, n_part, n, n, 1, y, stream);
}

size_t vk_cuda_columns_bytes(int64_t m, int64_t n)
{
  int64_t n_part = n == 0 ? 1 : n_part_of(m, n);
  return n_part == 1 ? 0 : (size_t)(n_part * n) * sizeof(float);
}

cudaError_t vk_cuda_run_sum_rows(const vk_cuda_call *c)
{
  const vk_shape *x = &c->op->in[0].shape;
  int64_t n = vk_shape_last(x);
  return n == 0 ? cudaSuccess
                : vk_cuda_columns((const float *)c->op->in[0].data, vk_shape_n_row(x), n, n,
                                  (float *)c->op->out[0].data, (float *)c->op->scratch, c->stream);
}

size_t vk_cuda_scratch_sum_rows(const vk_op_call *op)
{
  const vk_shape *x = &op->in[0].shape;
  int64_t n = vk_shape_last(x);
  return n == 0 ? 0 : vk_cuda_columns_bytes(vk_shape_n_row(x), n);
}

/* ---- groups of neighbours ---- */

/* In double: what is rounded is the sum. */
static __global__ void sum_groups(const float *x, int64_t group, float *y, int64_t n)
{
  VK_EACH(i, n)
  {
    double sum = 0;
    for (int64_t k = 0; k < group; k++)
      sum += (double)x[i * group + k];
    y[i] = (float)sum;
  }
}

cudaError_t vk_cuda_run_sum_groups(const vk_cuda_call *c)
{
  int64_t n = vk_shape_n_item(&c->op->out[0].shape);
  return n == 0 ? cudaSuccess
                : vk_launch(sum_groups, vk_grid_stride(n), VK_BLOCK, 0, c->stream,
                            c->op->in[0].data, c->op->attr->group, c->op->out[0].data, n);
}

static __global__ void sum_groups_grad(const float *dy, int64_t group, float *dx, int64_t n)
{
  VK_EACH(i, n)
  {
    dx[i] = dy[i / group];
  }
}

cudaError_t vk_cuda_run_sum_groups_grad(const vk_cuda_call *c)
{
  int64_t n = vk_shape_n_item(&c->op->out[0].shape);
  return n == 0 ? cudaSuccess
                : vk_launch(sum_groups_grad, vk_grid_stride(n), VK_BLOCK, 0, c->stream,
                            c->op->in[0].data, c->op->attr->group, c->op->out[0].data, n);
}

/* ---- means of the rows of segments ---- */

/* Rows of segment s: [first, last). seg NULL: `group` each. */
static __device__ __forceinline__ void segment(const int32_t *seg, int64_t group, int64_t s,
                                               int64_t *first, int64_t *last)
{
  *first = seg ? seg[s] : s * group;
  *last = seg ? seg[s + 1] : *first + group;
}

template <int V>
static __global__ void mean_rows(const float *x, const int32_t *seg, int64_t group, float *y,
                                 int64_t n_seg, int64_t d, vk_thread_rows threads)
{
  int row = (int)threadIdx.x / threads.n_col;
  int64_t s = (int64_t)blockIdx.x * threads.n_row + row, first, last;
  if (row >= threads.n_row || s >= n_seg)
    return;
  segment(seg, group, s, &first, &last);
  vk_lanes_mean<V, false>(y + s * d, x, NULL, first, last, d, threads);
}

cudaError_t vk_cuda_run_mean_rows(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  int64_t d = vk_shape_last(&op->in[0].shape), n_seg = op->out[0].shape.dim[0];
  if (d == 0 || n_seg == 0)
    return cudaSuccess;
  vk_thread_rows threads = vk_thread_rows_of(d % 4 == 0 ? d / 4 : d, VK_BLOCK);
  return vk_launch(d % 4 == 0 ? mean_rows<4> : mean_rows<1>, vk_grid(n_seg, threads.n_row),
                   VK_BLOCK, 0, c->stream, op->in[0].data, op->n_in > 1 ? op->in[1].data : NULL,
                   op->attr->group, op->out[0].data, n_seg, d, threads);
}

/* A block a segment; rows in none get zeros, from all blocks. */
template <int V>
static __global__ void mean_rows_grad(const float *dy, const int32_t *seg, int64_t group, float *dx,
                                      int64_t n_seg, int64_t n_row, int64_t d,
                                      vk_thread_rows threads)
{
  int row = (int)threadIdx.x / threads.n_col;
  int64_t s = blockIdx.x, first, last;
  int64_t begin = seg ? seg[0] * d : 0, end = (seg ? seg[n_seg] : n_seg * group) * d;
  VK_EACH(i, begin + n_row * d - end)
  {
    dx[i < begin ? i : end + i - begin] = 0;
  }
  if (row >= threads.n_row || s >= n_seg)
    return;
  segment(seg, group, s, &first, &last);
  float scale = last > first ? 1.0f / (float)(last - first) : 0;
  for (int64_t j = threadIdx.x % threads.n_col * V; j < d; j += threads.n_col * V) {
    vk_lanes<V> share = vk_lanes_zero<V>();
    vk_lanes_add<V>(&share, scale, vk_lanes_load<V>(dy + s * d + j));
    for (int64_t i = first + row; i < last; i += threads.n_row)
      vk_lanes_store<V>(dx + i * d + j, share);
  }
}

cudaError_t vk_cuda_run_mean_rows_grad(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  int64_t d = vk_shape_last(&op->in[0].shape), n_row = op->out[0].shape.dim[0];
  int64_t n_seg = op->in[0].shape.dim[0];
  if (d == 0 || n_row == 0)
    return cudaSuccess;
  vk_thread_rows threads = vk_thread_rows_of(d % 4 == 0 ? d / 4 : d, VK_BLOCK);
  return vk_launch(d % 4 == 0 ? mean_rows_grad<4> : mean_rows_grad<1>, vk_grid(n_seg + !n_seg, 1),
                   VK_BLOCK, 0, c->stream, op->in[0].data, op->n_in > 1 ? op->in[1].data : NULL,
                   op->attr->group, op->out[0].data, n_seg, n_row, d, threads);
}

/* ---- weighted means ---- */

enum { MEAN_BLOCK = 1024 /* threads */, MEAN_GRID = 128 /* blocks at most */ };

/* What the sum of the items is divided by: norm, else the sum of the weights, else their number.
 * All threads of a block get it. */
static __device__ __forceinline__ float find_norm(const float *weight, const float *norm, int64_t n)
{
  if (norm)
    return *norm;
  if (!weight)
    return (float)n;
  float sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x)
    sum += weight[i];
  return vk_block_sum(sum);
}

/* One block. An item of weight 0 is absent, whatever it holds. */
static __global__ void weighted_mean(const float *x, const float *weight, const float *norm,
                                     int64_t n, float *y)
{
  float sum = 0, all = find_norm(weight, norm, n);
  for (int64_t i = threadIdx.x; i < n; i += blockDim.x) {
    float w = weight ? weight[i] : 1;
    if (w != 0)
      sum += w * x[i];
  }
  sum = vk_block_sum(sum);
  if (threadIdx.x == 0)
    *y = all == 0 ? 0 : sum / all;
}

static const float *optional(const vk_op_call *op, int i)
{
  return i < op->n_in ? (const float *)op->in[i].data : NULL;
}

cudaError_t vk_cuda_run_weighted_mean(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  return vk_launch(weighted_mean, 1, MEAN_BLOCK, 0, c->stream, op->in[0].data, optional(op, 1),
                   optional(op, 2), vk_shape_n_item(&op->in[0].shape), op->out[0].data);
}

/* Each block adds up the weights: they are few and in cache. */
static __global__ void weighted_mean_grad(const float *dy, const float *weight, const float *norm,
                                          int64_t n, float *dx)
{
  float all = find_norm(weight, norm, n), per = all == 0 ? 0 : *dy / all;
  VK_EACH(i, n)
  {
    dx[i] = weight ? per * weight[i] : per;
  }
}

cudaError_t vk_cuda_run_weighted_mean_grad(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  int64_t n = vk_shape_n_item(&op->in[1].shape);
  unsigned grid = n < MEAN_GRID * MEAN_BLOCK ? vk_grid(n, MEAN_BLOCK) : (unsigned)MEAN_GRID;
  return n == 0 ? cudaSuccess
                : vk_launch(weighted_mean_grad, grid, MEAN_BLOCK, 0, c->stream, op->in[0].data,
                            optional(op, 2), optional(op, 3), n, op->out[0].data);
}
