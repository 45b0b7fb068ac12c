/* op_elementwise.cu - ops that make each item from one or two, and what goes with them: add,
 * affine, copy, dropout, gelu, gelu_grad, film, film_grad, tile, and fold, the gradient of tile.
 * What they compute is said in src/nn/op_NAME.c. */
#include "cuda/columns.h"
#include "cuda/lanes.h"

/* ---- add, affine, gelu, gelu_grad ---- */

enum { ADD, AFFINE, GELU, GELU_GRAD };

/* b is used by ADD and GELU_GRAD alone, scale by ADD and AFFINE, shift by AFFINE. */
template <int OP>
static __device__ __forceinline__ float map_item(float a, float b, float scale, float shift)
{
  if (OP == ADD)
    return fmaf(scale, b, a);
  if (OP == AFFINE)
    return fmaf(scale, a, shift);
  if (OP == GELU)
    return vk_gelu(a);
  return a * vk_gelu_slope(b);
}

/* y may be a. Four items at once; those behind the last four: block 0. */
template <int OP>
static __global__ void map_items(const float *a, const float *b, float *y, int64_t n, float scale,
                                 float shift)
{
  constexpr bool has_b = OP == ADD || OP == GELU_GRAD;
  VK_EACH(i, n / 4)
  {
    vk_lanes<4> p = vk_lanes_load<4>(a + 4 * i), q = p;
    if (has_b)
      q = vk_lanes_load<4>(b + 4 * i);
#pragma unroll
    for (int v = 0; v < 4; v++)
      p.x[v] = map_item<OP>(p.x[v], q.x[v], scale, shift);
    vk_lanes_store<4>(y + 4 * i, p);
  }
  int64_t i = n / 4 * 4 + threadIdx.x;
  if (blockIdx.x == 0 && i < n)
    y[i] = map_item<OP>(a[i], has_b ? b[i] : 0, scale, shift);
}

template <int OP> static cudaError_t map(const vk_cuda_call *c, const void *b)
{
  const vk_op_call *op = c->op;
  int64_t n = vk_shape_n_item(&op->out[0].shape);
  return n == 0
             ? cudaSuccess
             : vk_launch(map_items<OP>, vk_grid_stride((n + 3) / 4), VK_BLOCK, 0, c->stream,
                         op->in[0].data, b, op->out[0].data, n, op->attr->scale, op->attr->shift);
}

cudaError_t vk_cuda_run_add(const vk_cuda_call *c)
{
  return map<ADD>(c, c->op->in[1].data);
}

cudaError_t vk_cuda_run_gelu(const vk_cuda_call *c)
{
  return map<GELU>(c, NULL);
}

cudaError_t vk_cuda_run_gelu_grad(const vk_cuda_call *c)
{
  return map<GELU_GRAD>(c, c->op->in[1].data);
}

static __global__ void affine_u8(const uint8_t *x, float *y, int64_t n, float scale, float shift)
{
  VK_EACH(i, n / 4)
  {
    uchar4 p = ((const uchar4 *)x)[i];
    vk_lanes<4> q = {{fmaf(scale, p.x, shift), fmaf(scale, p.y, shift), fmaf(scale, p.z, shift),
                      fmaf(scale, p.w, shift)}};
    vk_lanes_store<4>(y + 4 * i, q);
  }
  int64_t i = n / 4 * 4 + threadIdx.x;
  if (blockIdx.x == 0 && i < n)
    y[i] = fmaf(scale, x[i], shift);
}

cudaError_t vk_cuda_run_affine(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  int64_t n = vk_shape_n_item(&op->out[0].shape);
  if (op->in[0].dtype != VK_U8)
    return map<AFFINE>(c, NULL);
  return n == 0 ? cudaSuccess
                : vk_launch(affine_u8, vk_grid_stride((n + 3) / 4), VK_BLOCK, 0, c->stream,
                            op->in[0].data, op->out[0].data, n, op->attr->scale, op->attr->shift);
}

/* ---- copy, tile ---- */

/* n bytes, 16 at once. */
static __global__ void copy_bytes(const uint8_t *x, uint8_t *y, int64_t n)
{
  VK_EACH(i, n / 16)
  {
    ((uint4 *)y)[i] = ((const uint4 *)x)[i];
  }
  int64_t i = n / 16 * 16 + threadIdx.x;
  if (blockIdx.x == 0 && i < n)
    y[i] = x[i];
}

/* Weights, for products by them (pass bf16). */
static __global__ void copy_rounded(const float *x, uint16_t *y, int64_t n)
{
  VK_EACH(i, n)
  y[i] = vk_bf16_of(x[i]);
}

cudaError_t vk_cuda_run_copy(const vk_cuda_call *c)
{
  const vk_tensor *from = &c->op->in[0], *to = &c->op->out[0];
  const int64_t n_item = vk_shape_n_item(&to->shape);
  if (n_item > 0 && to->dtype != from->dtype)
    return vk_launch(copy_rounded, vk_grid_stride(n_item), VK_BLOCK, 0, c->stream,
                     (const float *)from->data, (uint16_t *)to->data, n_item);
  const vk_tensor *y = &c->op->out[0];
  int64_t n = vk_shape_n_item(&y->shape) * (int64_t)vk_dtype_size(y->dtype);
  return n == 0 ? cudaSuccess
                : vk_launch(copy_bytes, vk_grid_stride((n + 15) / 16), VK_BLOCK, 0, c->stream,
                            c->op->in[0].data, y->data, n);
}

/* Each thread reads a vector of x once and writes it to every gridDim.y-th copy. */
template <int V> static __global__ void tile(const float *x, float *y, int64_t n, int64_t count)
{
  int64_t j = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * V;
  if (j >= n)
    return;
  vk_lanes<V> a = vk_lanes_load<V>(x + j);
  for (int64_t k = blockIdx.y; k < count; k += gridDim.y)
    vk_lanes_store<V>(y + k * n + j, a);
}

cudaError_t vk_cuda_run_tile(const vk_cuda_call *c)
{
  enum { COPIES = 8 /* that a thread writes */ };
  const vk_op_call *op = c->op;
  int64_t n = vk_shape_n_item(&op->in[0].shape), n_y = vk_shape_n_item(&op->out[0].shape);
  if (n == 0 || n_y == 0)
    return cudaSuccess;
  int64_t count = n_y / n, n_copy = (count + COPIES - 1) / COPIES;
  dim3 grid(vk_grid(n % 4 == 0 ? n / 4 : n, VK_BLOCK), (unsigned)(n_copy < 65535 ? n_copy : 65535));
  return vk_launch(n % 4 == 0 ? tile<4> : tile<1>, grid, VK_BLOCK, 0, c->stream, op->in[0].data,
                   op->out[0].data, n, count);
}

/* y has count rows of d items; they are the columns of x. */
cudaError_t vk_cuda_run_fold(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  int64_t n = vk_shape_n_item(&op->out[0].shape);
  int64_t m = n == 0 ? 0 : vk_shape_n_item(&op->in[0].shape) / n;
  return vk_cuda_columns((const float *)op->in[0].data, m, n, n, (float *)op->out[0].data,
                         (float *)op->scratch, c->stream);
}

size_t vk_cuda_scratch_fold(const vk_op_call *op)
{
  int64_t n = vk_shape_n_item(&op->out[0].shape);
  return n == 0 ? 0 : vk_cuda_columns_bytes(vk_shape_n_item(&op->in[0].shape) / n, n);
}

/* ---- dropout ---- */

/* A block of random words for each thread: those of four items, 16 apart. The words are those of
 * vk_philox (kernel.h), the order that of op_dropout.c: item 64 g + 16 w + b has word w of block
 * 16 g + b. y may be x. */
static __global__ void dropout(const float *x, const int32_t *step, float *y, int64_t n,
                               uint64_t key, uint32_t least, float scale)
{
  VK_EACH(i, (n + 63) / 64 * 16)
  {
    uint32_t word[4];
    vk_philox_words(key, (uint64_t)i, (uint32_t)*step, word);
    int64_t at = i / 16 * 64 + i % 16;
#pragma unroll
    for (int w = 0; w < 4; w++)
      if (at + 16 * w < n)
        y[at + 16 * w] = word[w] >= least ? x[at + 16 * w] * scale : 0;
  }
}

cudaError_t vk_cuda_run_dropout(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  int64_t n = vk_shape_n_item(&op->out[0].shape);
  double p = op->attr->p;
  return n == 0 ? cudaSuccess
                : vk_launch(dropout, vk_grid_stride((n + 3) / 4), VK_BLOCK, 0, c->stream,
                            op->in[0].data, op->in[1].data, op->out[0].data, n, op->attr->seed,
                            p * 4294967296.0, 1 / (1 - p));
}

/* ---- film ----
 * A row of gb [n_gb, 2 c] belongs to n_row neighbouring rows of x [.., c]. */

typedef struct film_shape {
  int64_t n_gb, n_row, c;
} film_shape;

static film_shape film_shape_of(const vk_shape *x, const vk_attrs *a)
{
  film_shape s = {0, 0, vk_shape_last(x)};
  int64_t group = a->group > 0 ? a->group : 1;
  if (x->dim[0] == 0 || s.c == 0)
    return s;
  s.n_gb = x->dim[0] / group;
  s.n_row = vk_shape_n_row(x) / x->dim[0] * group;
  return s;
}

enum { FILM_ROWS = 8 /* of a thread */ };

/* Part blockIdx.x % n_part of the rows that belong to row blockIdx.x / n_part of gb; y may be x. */
template <int V>
static __global__ void film(const float *x, const float *gb, float *y, film_shape s, int64_t n_part,
                            vk_thread_rows threads)
{
  int64_t i = blockIdx.x / n_part, part = blockIdx.x % n_part;
  int64_t first = part * FILM_ROWS * threads.n_row, end = first + FILM_ROWS * threads.n_row;
  int row = (int)threadIdx.x / threads.n_col;
  if (row >= threads.n_row)
    return;
  if (end > s.n_row)
    end = s.n_row;
  for (int64_t j = threadIdx.x % threads.n_col * V; j < s.c; j += threads.n_col * V) {
    vk_lanes<V> g = vk_lanes_load<V>(gb + i * 2 * s.c + j);
    vk_lanes<V> f = vk_lanes_load<V>(gb + i * 2 * s.c + s.c + j);
    for (int64_t r = first + row; r < end; r += threads.n_row) {
      int64_t at = (i * s.n_row + r) * s.c + j;
      vk_lanes<V> a = vk_lanes_load<V>(x + at);
#pragma unroll
      for (int v = 0; v < V; v++)
        a.x[v] = fmaf(a.x[v], g.x[v], a.x[v]) + f.x[v];
      vk_lanes_store<V>(y + at, a);
    }
  }
}

cudaError_t vk_cuda_run_film(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  film_shape s = film_shape_of(&op->in[0].shape, op->attr);
  if (s.n_gb * s.n_row == 0)
    return cudaSuccess;
  vk_thread_rows threads = vk_thread_rows_of(s.c % 4 == 0 ? s.c / 4 : s.c, VK_BLOCK);
  int64_t per = FILM_ROWS * threads.n_row, n_part = (s.n_row + per - 1) / per;
  return vk_launch(s.c % 4 == 0 ? film<4> : film<1>, vk_grid(s.n_gb * n_part, 1), VK_BLOCK, 0,
                   c->stream, op->in[0].data, op->in[1].data, op->out[0].data, s, n_part, threads);
}

enum { FILM_COLS = 8 /* vectors of a row that a block takes: 128 bytes */ };

/* Columns blockIdx.x % n_tile of the rows that belong to row blockIdx.x / n_tile of gb; dx may be
 * dy. */
template <int V>
static __global__ void film_grad(const float *dy, const float *x, const float *gb, float *dx,
                                 float *dgb, film_shape s, int64_t n_tile)
{
  constexpr int n_row = VK_BLOCK / FILM_COLS;
  int64_t i = blockIdx.x / n_tile, begin = blockIdx.x % n_tile * FILM_COLS * V;
  int64_t j = begin + threadIdx.x % FILM_COLS * V;
  vk_lanes<V> sum[2] = {vk_lanes_zero<V>(), vk_lanes_zero<V>()};
  if (j < s.c) {
    vk_lanes<V> g = vk_lanes_load<V>(gb + i * 2 * s.c + j);
    for (int64_t r = threadIdx.x / FILM_COLS; r < s.n_row; r += n_row) {
      int64_t at = (i * s.n_row + r) * s.c + j;
      vk_lanes<V> d = vk_lanes_load<V>(dy + at), a = vk_lanes_load<V>(x + at);
#pragma unroll
      for (int v = 0; v < V; v++) {
        sum[0].x[v] = fmaf(d.x[v], a.x[v], sum[0].x[v]);
        sum[1].x[v] += d.x[v];
        d.x[v] *= 1 + g.x[v];
      }
      vk_lanes_store<V>(dx + at, d);
    }
  }
  for (int k = 0; k < 2; k++) {
    const float *all = vk_lanes_sum_rows<V, VK_BLOCK>(sum[k], FILM_COLS, n_row);
    if (threadIdx.x < FILM_COLS * V && begin + threadIdx.x < s.c)
      dgb[(i * 2 + k) * s.c + begin + threadIdx.x] = all[threadIdx.x];
  }
}

cudaError_t vk_cuda_run_film_grad(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  film_shape s = film_shape_of(&op->in[0].shape, op->attr);
  if (s.n_gb == 0)
    return cudaSuccess;
  int64_t n_tile = ((s.c % 4 == 0 ? s.c / 4 : s.c) + FILM_COLS - 1) / FILM_COLS;
  return vk_launch(s.c % 4 == 0 ? film_grad<4> : film_grad<1>, vk_grid(s.n_gb * n_tile, 1),
                   VK_BLOCK, 0, c->stream, op->in[0].data, op->in[1].data, op->in[2].data,
                   op->out[0].data, op->out[1].data, s, n_tile);
}
