/* op_gather.cu - ops that take rows by their numbers, bag and pick, and their gradients, which add
 * rows up by those numbers. What they compute is said in src/nn/op_NAME.c. */
#include "cuda/lanes.h"
#include "nn/pick.h"

static int64_t n_vector_of(int64_t d)
{
  return d % 4 == 0 ? d / 4 : d;
}

/* ---- bag ---- */

template <int V>
static __global__ void bag(const int32_t *id, const int32_t *offset, const float *table, float *y,
                           int64_t n, int64_t d, vk_thread_rows threads)
{
  int row = (int)threadIdx.x / threads.n_col;
  int64_t w = (int64_t)blockIdx.x * threads.n_row + row;
  if (row >= threads.n_row || w >= n)
    return;
  vk_lanes_mean<V, true>(y + w * d, table, id, offset[w], offset[w + 1], d, threads);
}

cudaError_t vk_cuda_run_bag(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  int64_t d = vk_shape_last(&op->in[2].shape), n = op->out[0].shape.dim[0];
  if (n == 0 || d == 0)
    return cudaSuccess;
  vk_thread_rows threads = vk_thread_rows_of(n_vector_of(d), VK_BLOCK);
  return vk_launch(d % 4 == 0 ? bag<4> : bag<1>, vk_grid(n, threads.n_row), VK_BLOCK, 0, c->stream,
                   op->in[0].data, op->in[1].data, op->in[2].data, op->out[0].data, n, d, threads);
}

/* ---- pick ---- */

/* Sources as arguments of their own: those of an array would be chosen in memory. */
template <int V>
static __global__ void pick(const int32_t *idx, const float *x0, const float *x1, const float *x2,
                            const float *x3, const float *x4, const float *x5, float *y, int64_t n,
                            int64_t d, vk_thread_rows threads)
{
  int row = (int)threadIdx.x / threads.n_col;
  int64_t i = (int64_t)blockIdx.x * threads.n_row + row;
  if (row >= threads.n_row || i >= n)
    return;
  int32_t index = idx[i];
  int from = index >> VK_PICK_SHIFT;
  const float *x = from == 5 ? x5 : from == 4 ? x4 : from == 3 ? x3 : x0;
  x = from == 2 ? x2 : from == 1 ? x1 : x;
  x += (int64_t)(index & VK_PICK_ROW_MAX) * d;
  for (int64_t j = threadIdx.x % threads.n_col * V; j < d; j += threads.n_col * V)
    vk_lanes_store<V>(y + i * d + j, index < 0 ? vk_lanes_zero<V>() : vk_lanes_load<V>(x + j));
}

cudaError_t vk_cuda_run_pick(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  int64_t d = vk_shape_last(&op->out[0].shape), n = op->out[0].shape.dim[0];
  if (n == 0 || d == 0)
    return cudaSuccess;
  const float *x[VK_PICK_SOURCE_MAX] = {};
  for (int k = 0; k + 1 < op->n_in; k++)
    x[k] = (const float *)op->in[k + 1].data;
  vk_thread_rows threads = vk_thread_rows_of(n_vector_of(d), VK_BLOCK);
  return vk_launch(d % 4 == 0 ? pick<4> : pick<1>, vk_grid(n, threads.n_row), VK_BLOCK, 0,
                   c->stream, op->in[0].data, x[0], x[1], x[2], x[3], x[4], x[5], op->out[0].data,
                   n, d, threads);
}

/* ---- sums of rows by number ----
 * First the m places are brought into the order of the rows that their keys name, and in rising
 * order within a row: each block owns some rows, its warps go through all keys, a stretch each,
 * twice, to count and to place. Then a row is added up by threads that lie over it. */

enum {
  ADD_BLOCK = 512,
  ADD_WARPS = ADD_BLOCK / VK_WARP,
  OWNERS = 128,    /* blocks that share the rows, unless they would own more than */
  OWNED_MAX = 512, /* ADD_BLOCK, so that a row has a thread */
  AHEAD = 8,       /* keys that a thread loads at once */
  SPLIT = 4,       /* places a row from which on a block adds up one row alone */
};

static int owned_by_block(int64_t n)
{
  int64_t rows = (n + OWNERS - 1) / OWNERS;
  return (int)(rows < 1 ? 1 : rows < OWNED_MAX ? rows : (int64_t)OWNED_MAX);
}

/* Places of a warp's stretch, AHEAD * 32 at once: row[k] is that of place i + 32 k + lane, -1
 * behind the end or if the key names none of the n rows. */
static __device__ __forceinline__ void load_rows(const int32_t *key, int64_t base, int64_t n,
                                                 int64_t i, int64_t end, int64_t row[AHEAD])
{
#pragma unroll
  for (int k = 0; k < AHEAD; k++) {
    int64_t at = i + k * VK_WARP + threadIdx.x % VK_WARP;
    row[k] = at < end ? key[at] : (int64_t)-1;
  }
#pragma unroll
  for (int k = 0; k < AHEAD; k++) {
    row[k] -= row[k] < 0 ? 0 : base;
    row[k] = row[k] < n ? row[k] : -1;
  }
}

/* The sum of x of the threads before this one, of a block's first n, OWNED_MAX at most; *all: of all
 * of them. The first warp adds up. */
static __device__ __forceinline__ int sum_before(int x, int n, int *all)
{
  __shared__ int sum[OWNED_MAX + 1];
  int t = (int)threadIdx.x, per_lane = (n + VK_WARP - 1) / VK_WARP;
  if (t < n)
    sum[t] = x;
  __syncthreads();
  if (t < VK_WARP) {
    int begin = t * per_lane, end = begin + per_lane < n ? begin + per_lane : n, own = 0;
    for (int k = begin; k < end; k++)
      own += sum[k];
    int up_to = own;
    for (int d = 1; d < VK_WARP; d *= 2) {
      int lower = __shfl_up_sync(0xffffffffu, up_to, d);
      up_to += t >= d ? lower : 0;
    }
    int before = up_to - own;
    for (int k = begin; k < end; k++) {
      int here = sum[k];
      sum[k] = before;
      before += here;
    }
    if (t == VK_WARP - 1)
      sum[OWNED_MAX] = up_to;
  }
  __syncthreads();
  *all = sum[OWNED_MAX];
  return t < n ? sum[t] : 0;
}

/* order: the places of row r of n are items [start[r], start[r + 1]), as `value` names them (NULL:
 * by their number). key[i] - base is the row of place i; others than [0, n) are in no row. */
static __global__ void order_places(const int32_t *key, int64_t m, int64_t base, int64_t n,
                                    int owned, const int32_t *value, int32_t *order, int32_t *start)
{
  VK_SHARED(int, count); /* [ADD_WARPS, owned], then where a warp places its next */
  __shared__ int n_before;
  int t = (int)threadIdx.x, warp = t / VK_WARP, lane = t % VK_WARP, before = 0, all = 0;
  int64_t begin = m * warp / ADD_WARPS, end = m * (warp + 1) / ADD_WARPS, row[AHEAD];
  int64_t first = (int64_t)blockIdx.x * owned;
  for (int k = t; k < ADD_WARPS * owned; k += ADD_BLOCK)
    count[k] = 0;
  if (t == 0)
    n_before = 0;
  __syncthreads();
  for (int64_t i = begin; i < end; i += AHEAD * VK_WARP) {
    load_rows(key, base, n, i, end, row);
#pragma unroll
    for (int k = 0; k < AHEAD; k++) {
      before += row[k] >= 0 && row[k] < first;
      if (row[k] >= first && row[k] < first + owned)
        atomicAdd(&count[warp * owned + (int)(row[k] - first)], 1);
    }
  }
  atomicAdd(&n_before, before);
  __syncthreads();
  for (int w = 0; t < owned && w < ADD_WARPS; w++)
    all += count[w * owned + t];
  int n_owned, at = n_before + sum_before(all, owned, &n_owned);
  if (t < owned && first + t < n)
    start[first + t] = at;
  if (t == 0 && first + owned >= n)
    start[n] = n_before + n_owned;
  if (n_owned == 0)
    return;
  for (int w = 0; t < owned && w < ADD_WARPS; w++) {
    int n_warp = count[w * owned + t];
    count[w * owned + t] = at;
    at += n_warp;
  }
  __syncthreads();
  for (int64_t i = begin; i < end; i += AHEAD * VK_WARP) {
    load_rows(key, base, n, i, end, row);
#pragma unroll
    for (int k = 0; k < AHEAD && i + k * VK_WARP < end; k++) {
      bool is_own = row[k] >= first && row[k] < first + owned;
      unsigned some = __ballot_sync(0xffffffffu, is_own);
      for (; some; some &= some - 1) { /* lane by lane: in rising order */
        if (lane == __ffs((int)some) - 1) {
          int64_t place = i + k * VK_WARP + lane;
          order[count[warp * owned + (int)(row[k] - first)]++] =
              value ? value[place] : (int32_t)place;
        }
        __syncwarp();
      }
    }
  }
}

/* dx[r] = sum of the rows of dy that `order` names for r, each divided by offset[i + 1] - offset[i]
 * unless offset is NULL. is_split: a block a row, which all rows of its threads add up. */
template <int V>
static __global__ void add_places(const float *dy, const int32_t *order, const int32_t *start,
                                  const int32_t *offset, float *dx, int64_t n, int64_t d,
                                  bool is_split, vk_thread_rows threads)
{
  int row = (int)threadIdx.x / threads.n_col;
  int64_t r = is_split ? blockIdx.x : (int64_t)blockIdx.x * threads.n_row + row;
  bool is_idle = row >= threads.n_row || r >= n;
  int32_t first = is_idle ? 0 : start[r] + (is_split ? row : 0);
  int32_t last = is_idle ? 0 : start[r + 1], step = is_split ? threads.n_row : 1;
  for (int64_t begin = 0; begin < d; begin += threads.n_col * V) {
    int64_t j = begin + threadIdx.x % threads.n_col * V;
    vk_lanes<V> sum = vk_lanes_zero<V>();
    if (j < d) {
#pragma unroll 4
      for (int32_t k = first; k < last; k += step) {
        int64_t i = order[k];
        float scale = offset ? 1.0f / (float)(offset[i + 1] - offset[i]) : 1;
        vk_lanes_add<V>(&sum, scale, vk_lanes_load<V>(dy + i * d + j));
      }
      if (!is_split && !is_idle)
        vk_lanes_store<V>(dx + r * d + j, sum);
    }
    if (is_split) {
      const float *all = vk_lanes_sum_rows<V, ADD_BLOCK>(sum, threads.n_col, threads.n_row);
      for (int64_t k = threadIdx.x; k < threads.n_col * V && begin + k < d; k += ADD_BLOCK)
        dx[r * d + begin + k] = all[k];
    }
  }
}

typedef struct adding {
  const int32_t *key, *value; /* [m] */
  int64_t m, base;
  const float *dy;
  const int32_t *offset;
  float *dx; /* [n, d] */
  int64_t n, d;
  int32_t *order; /* scratch [m], and behind it start [n + 1] */
} adding;

static size_t adding_bytes(int64_t m, int64_t n)
{
  return (size_t)(m + n + 1) * sizeof(int32_t);
}

static cudaError_t add_by_number(const adding *a, cudaStream_t stream)
{
  if (a->n == 0 || a->d == 0)
    return cudaSuccess;
  int owned = owned_by_block(a->n);
  int32_t *start = a->order + a->m;
  VK_CUDA_TRY(vk_launch(order_places, vk_grid(a->n, owned), ADD_BLOCK,
                        (size_t)(ADD_WARPS * owned) * sizeof(int), stream, a->key, a->m, a->base,
                        a->n, owned, a->value, a->order, start));
  vk_thread_rows threads = vk_thread_rows_of(n_vector_of(a->d), ADD_BLOCK);
  bool is_split = a->m >= SPLIT * a->n;
  return vk_launch(a->d % 4 == 0 ? add_places<4> : add_places<1>,
                   vk_grid(a->n, is_split ? 1 : threads.n_row), ADD_BLOCK, 0, stream, a->dy,
                   a->order, start, a->offset, a->dx, a->n, a->d, is_split, threads);
}

cudaError_t vk_cuda_run_pick_grad(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  adding a = {};
  a.key = (const int32_t *)op->in[0].data;
  a.m = op->in[0].shape.dim[0];
  a.base = op->attr->offset << VK_PICK_SHIFT;
  a.dy = (const float *)op->in[1].data;
  a.dx = (float *)op->out[0].data;
  a.n = op->out[0].shape.dim[0];
  a.d = vk_shape_last(&op->out[0].shape);
  a.order = (int32_t *)op->scratch;
  return add_by_number(&a, c->stream);
}

size_t vk_cuda_scratch_pick_grad(const vk_op_call *op)
{
  return adding_bytes(op->in[0].shape.dim[0], op->out[0].shape.dim[0]);
}

enum { BAG_THREADS = 8 /* that write what belongs to a bag */ };

/* key[k] = id[k] and bag[k] = w for every k of bag w; key[k] = -1 for those of none. */
static __global__ void name_bags(const int32_t *id, const int32_t *offset, int64_t n_id,
                                 int64_t n_bag, int32_t *key, int32_t *bag)
{
  int64_t t = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, w = t / BAG_THREADS;
  int64_t begin = offset[0], end = offset[n_bag];
  for (int64_t k = t; k < begin + n_id - end; k += (int64_t)gridDim.x * blockDim.x)
    key[k < begin ? k : end + k - begin] = -1;
  if (w >= n_bag)
    return;
  for (int64_t k = offset[w] + t % BAG_THREADS; k < offset[w + 1]; k += BAG_THREADS) {
    key[k] = id[k];
    bag[k] = (int32_t)w;
  }
}

cudaError_t vk_cuda_run_bag_grad(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  int64_t m = op->in[0].shape.dim[0], n_bag = op->in[2].shape.dim[0];
  int32_t *key = (int32_t *)op->scratch, *bag = key + m;
  const int32_t *offset = (const int32_t *)op->in[1].data;
  adding a = {};
  a.key = key;
  a.value = bag;
  a.m = m;
  a.dy = (const float *)op->in[2].data;
  a.offset = offset;
  a.dx = (float *)op->out[0].data;
  a.n = op->out[0].shape.dim[0];
  a.d = vk_shape_last(&op->out[0].shape);
  a.order = bag + m;
  if (m > 0)
    VK_CUDA_TRY(vk_launch(name_bags, vk_grid(n_bag * BAG_THREADS + 1, VK_BLOCK), VK_BLOCK, 0,
                          c->stream, op->in[0].data, offset, m, n_bag, key, bag));
  return add_by_number(&a, c->stream);
}

size_t vk_cuda_scratch_bag_grad(const vk_op_call *op)
{
  int64_t m = op->in[0].shape.dim[0];
  return 2 * (size_t)m * sizeof(int32_t) + adding_bytes(m, op->out[0].shape.dim[0]);
}
