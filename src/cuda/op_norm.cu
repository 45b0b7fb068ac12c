/* op_norm.cu - rms_norm and group_norm with their gradients; what they compute is said in
 * src/nn/op_rms_norm.c and src/nn/op_group_norm.c. */
#include "cuda/columns.h"
#include "cuda/lanes.h"

static const float *optional(const vk_op_call *op, int i)
{
  return i < op->n_in ? (const float *)op->in[i].data : NULL;
}

/* ---- rms_norm ----
 * A warp a row, which it keeps in N vectors of 4 a thread; of a row that is longer or no multiple
 * of 4 (N = 0) it reads the items twice. */

enum {
  RMS_BLOCK = 4 * VK_WARP,
  RMS_GRID = 16 * 132, /* blocks at most: then warps take several rows */
};

/* N of rows of n items. */
static int rms_vectors(int64_t n)
{
  int64_t per = (n / 4 + VK_WARP - 1) / VK_WARP;
  return n % 4 != 0 || per > 8 ? 0 : per <= 1 ? 1 : per <= 2 ? 2 : per <= 4 ? 4 : 8;
}

/* Vectors of a row that this thread keeps: k * 32 + lane, zeros behind the row's end. */
template <int N>
static __device__ __forceinline__ void load_row(const float *row, int64_t n, vk_lanes<4> x[N])
{
#pragma unroll
  for (int k = 0; k < N; k++) {
    int64_t j = (k * VK_WARP + threadIdx.x % VK_WARP) * 4;
    x[k] = j < n ? vk_lanes_load<4>(row + j) : vk_lanes_zero<4>();
  }
}

static __device__ __forceinline__ float rms_of(float sum, int64_t n, float eps)
{
  return 1.0f / sqrtf(vk_warp_sum(sum) / (float)n + eps);
}

/* y may be x, if it is f32. */
template <int N>
static __global__ void rms_norm(const float *x, const float *w, void *y, vk_dtype dtype,
                                float *rstd, int64_t m, int64_t n, float eps)
{
  int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / VK_WARP;
  int64_t step = (int64_t)gridDim.x * blockDim.x / VK_WARP;
  int lane = (int)threadIdx.x % VK_WARP;
  vk_lanes<4> weight[N], a[N];
  load_row<N>(w, n, weight);
  for (; i < m; i += step) {
    float sum = 0;
    load_row<N>(x + i * n, n, a);
#pragma unroll
    for (int k = 0; k < N; k++)
#pragma unroll
      for (int v = 0; v < 4; v++)
        sum = fmaf(a[k].x[v], a[k].x[v], sum);
    float r = rms_of(sum, n, eps);
    if (lane == 0)
      rstd[i] = r;
#pragma unroll
    for (int k = 0; k < N; k++) {
      int64_t j = (k * VK_WARP + lane) * 4;
#pragma unroll
      for (int v = 0; v < 4; v++)
        a[k].x[v] *= r * weight[k].x[v];
      if (j < n)
        vk_lanes_store_as<4>(y, dtype, i * n + j, a[k]);
    }
  }
}

static __global__ void rms_norm_any(const float *x, const float *w, void *y, vk_dtype dtype,
                                    float *rstd, int64_t m, int64_t n, float eps)
{
  int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / VK_WARP;
  int64_t step = (int64_t)gridDim.x * blockDim.x / VK_WARP;
  int lane = (int)threadIdx.x % VK_WARP;
  for (; i < m; i += step) {
    float sum = 0;
    for (int64_t j = lane; j < n; j += VK_WARP)
      sum = fmaf(x[i * n + j], x[i * n + j], sum);
    float r = rms_of(sum, n, eps);
    if (lane == 0)
      rstd[i] = r;
    for (int64_t j = lane; j < n; j += VK_WARP)
      vk_store(y, dtype, i * n + j, x[i * n + j] * r * w[j]);
  }
}

cudaError_t vk_cuda_run_rms_norm(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  int64_t n = vk_shape_last(&op->in[0].shape), m = vk_shape_n_row(&op->in[0].shape);
  if (n == 0 || m == 0)
    return cudaSuccess;
  auto kernel = rms_norm_any;
  switch (rms_vectors(n)) {
  case 1:
    kernel = rms_norm<1>;
    break;
  case 2:
    kernel = rms_norm<2>;
    break;
  case 4:
    kernel = rms_norm<4>;
    break;
  case 8:
    kernel = rms_norm<8>;
    break;
  }
  unsigned grid = m < RMS_GRID * 4 ? vk_grid(m, RMS_BLOCK / VK_WARP) : (unsigned)RMS_GRID;
  return vk_launch(kernel, grid, RMS_BLOCK, 0, c->stream, op->in[0].data, op->in[1].data,
                   op->out[0].data, op->out[0].dtype, op->out[1].data, m, n, op->attr->eps);
}

/* ---- rms_norm_grad ----
 * Blocks take rows in turn and add up what these give dw: a row of scratch each. */

enum { RMS_GRAD_ROWS = 16 /* of a block, at least */, RMS_GRAD_GRID = 6 * 132 };

static int64_t rms_grad_blocks(int64_t m)
{
  int64_t n = (m + RMS_GRAD_ROWS - 1) / RMS_GRAD_ROWS;
  return n < RMS_GRAD_GRID ? n : (int64_t)RMS_GRAD_GRID;
}

/* dx may be dy; plus may be NULL. */
template <int N>
static __global__ void rms_norm_grad(const float *dy, const float *x, const float *w,
                                     const float *rstd, const float *plus, float *dx, float *part,
                                     int64_t m, int64_t n)
{
  int64_t i = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) / VK_WARP;
  int64_t step = (int64_t)gridDim.x * blockDim.x / VK_WARP;
  int lane = (int)threadIdx.x % VK_WARP;
  vk_lanes<4> weight[N], dw[N], d[N], a[N], p[N];
  load_row<N>(w, n, weight);
#pragma unroll
  for (int k = 0; k < N; k++)
    dw[k] = p[k] = vk_lanes_zero<4>();
  for (; i < m; i += step) {
    float sum = 0, r = rstd[i];
    load_row<N>(dy + i * n, n, d);
    load_row<N>(x + i * n, n, a);
    if (plus)
      load_row<N>(plus + i * n, n, p);
#pragma unroll
    for (int k = 0; k < N; k++)
#pragma unroll
      for (int v = 0; v < 4; v++)
        sum = fmaf(d[k].x[v] * weight[k].x[v], a[k].x[v], sum);
    float mean = vk_warp_sum(sum) * r * r / (float)n;
#pragma unroll
    for (int k = 0; k < N; k++) {
      int64_t j = (k * VK_WARP + lane) * 4;
#pragma unroll
      for (int v = 0; v < 4; v++) {
        float h = a[k].x[v];
        dw[k].x[v] = fmaf(d[k].x[v], h * r, dw[k].x[v]);
        d[k].x[v] = r * (d[k].x[v] * weight[k].x[v] - h * mean) + p[k].x[v];
      }
      if (j < n)
        vk_lanes_store<4>(dx + i * n + j, d[k]);
    }
  }
#pragma unroll
  for (int k = 0; k < N; k++) {
    const float *all = vk_lanes_sum_rows<4, RMS_BLOCK>(dw[k], VK_WARP, RMS_BLOCK / VK_WARP);
    int64_t j = k * VK_WARP * 4 + threadIdx.x;
    if (j < n)
      part[blockIdx.x * n + j] = all[threadIdx.x];
  }
}

/* A block a row; each thread has columns of its own. */
static __global__ void rms_norm_grad_any(const float *dy, const float *x, const float *w,
                                         const float *rstd, const float *plus, float *dx,
                                         float *part, int64_t m, int64_t n)
{
  part += blockIdx.x * n;
  for (int64_t j = threadIdx.x; j < n; j += blockDim.x)
    part[j] = 0;
  for (int64_t i = blockIdx.x; i < m; i += gridDim.x) {
    float sum = 0, r = rstd[i];
    for (int64_t j = threadIdx.x; j < n; j += blockDim.x)
      sum = fmaf(dy[i * n + j] * w[j], x[i * n + j], sum);
    float mean = vk_block_sum(sum) * r * r / (float)n;
    for (int64_t j = threadIdx.x; j < n; j += blockDim.x) {
      float d = dy[i * n + j], h = x[i * n + j];
      part[j] = fmaf(d, h * r, part[j]);
      dx[i * n + j] = r * (d * w[j] - h * mean) + (plus ? plus[i * n + j] : 0);
    }
  }
}

cudaError_t vk_cuda_run_rms_norm_grad(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  int64_t n = vk_shape_last(&op->in[1].shape), m = vk_shape_n_row(&op->in[1].shape);
  int64_t n_block = rms_grad_blocks(m);
  float *part = (float *)op->scratch, *dw = (float *)op->out[1].data;
  if (n == 0)
    return cudaSuccess;
  auto kernel = rms_norm_grad_any;
  switch (rms_vectors(n)) {
  case 1:
    kernel = rms_norm_grad<1>;
    break;
  case 2:
    kernel = rms_norm_grad<2>;
    break;
  case 4:
    kernel = rms_norm_grad<4>;
    break;
  case 8:
    kernel = rms_norm_grad<8>;
    break;
  }
  if (n_block > 0)
    VK_CUDA_TRY(vk_launch(kernel, (unsigned)n_block, RMS_BLOCK, 0, c->stream, op->in[0].data,
                          op->in[1].data, op->in[2].data, op->in[3].data, optional(op, 4),
                          op->out[0].data, part, m, n));
  return vk_cuda_columns(part, n_block, n, n, dw, NULL, c->stream);
}

size_t vk_cuda_scratch_rms_norm_grad(const vk_op_call *op)
{
  const vk_shape *x = &op->in[1].shape;
  return (size_t)(rms_grad_blocks(vk_shape_n_row(x)) * vk_shape_last(x)) * sizeof(float);
}

/* ---- group_norm ----
 * Pictures fall into slices of pixels, a block each: a picture alone does not fill a GPU. The
 * slices' statistics come first, then every block joins those of its picture and goes through its
 * slice again, from the last picture to the first, whose items have left the cache. What slices
 * there are depends on the picture alone, so that it has the same bits in every batch. */

enum {
  SLICE = 8192,   /* items of one, about */
  SLICE_MAX = 64, /* slices of a picture */
};

/* What threads divide by has 32 bits: a division of 64 is dozens of instructions. */
typedef struct picture {
  int64_t n, n_pixel, c; /* pictures; pixels and channels of one */
  int64_t per_slice;     /* pixels of a slice; the last may have fewer */
  unsigned n_slice, group;
  int n_group, n_c; /* channel groups; channels of one */
  bool is_gelu;
} picture;

static picture picture_of(const vk_shape *x, const vk_attrs *a)
{
  picture s = {};
  s.n = x->dim[0];
  s.c = vk_shape_last(x);
  s.n_pixel = 1;
  for (int i = 1; i < x->n_dim - 1; i++)
    s.n_pixel *= x->dim[i];
  s.group = a->group > 0 ? (unsigned)a->group : 1;
  s.n_group = (int)a->n_group;
  s.n_c = (int)(s.c / a->n_group);
  s.is_gelu = a->act == VK_ACT_GELU;
  int64_t n_slice = (s.n_pixel * s.c + SLICE - 1) / SLICE;
  n_slice = n_slice < SLICE_MAX ? n_slice : (int64_t)SLICE_MAX;
  if (n_slice > 0) {
    s.per_slice = (s.n_pixel + n_slice - 1) / n_slice;
    s.n_slice = (unsigned)((s.n_pixel + s.per_slice - 1) / s.per_slice); /* none is empty */
  }
  return s;
}

static bool picture_is_empty(const picture *s)
{
  return s->n * s->n_pixel * s->c == 0;
}

static vk_thread_rows picture_threads(const picture *s)
{
  return vk_thread_rows_of(s->c % 4 == 0 ? s->c / 4 : s->c, VK_BLOCK);
}

/* Pixels [begin, end) of slice `slice` of picture i. */
typedef struct slice_pixels {
  int64_t i, begin, end;
  unsigned slice;
} slice_pixels;

static __device__ __forceinline__ slice_pixels slice_at(const picture &s, int64_t i, unsigned slice)
{
  int64_t begin = slice * s.per_slice, end = begin + s.per_slice;
  return {i, begin, end < s.n_pixel ? end : s.n_pixel, slice};
}

/* That of block `at`. */
static __device__ __forceinline__ slice_pixels slice_of(const picture &s, unsigned at)
{
  unsigned i = at / s.n_slice;
  return slice_at(s, i, at - i * s.n_slice);
}

/* Row of gb that belongs to picture i. */
static __device__ __forceinline__ const float *gb_row(const float *gb, const picture &s, int64_t i)
{
  return gb ? gb + (unsigned)i / s.group * 2 * s.c : NULL;
}

/* stats [n, n_slice, n_group, 2]: mean, and sum of squares about it, of the groups of slice
 * blockIdx.x. Sums are of differences from the group's first item, which is near the mean when that
 * is far from 0. */
template <int V>
static __global__ void slice_stats(const float *x, picture s, float *stats, vk_thread_rows threads)
{
  VK_SHARED(float, sum); /* [2, n_row, c] */
  const slice_pixels at = slice_of(s, blockIdx.x);
  int row = (int)threadIdx.x / threads.n_col, n_c = s.n_c, n_sum = threads.n_row * (int)s.c;
  x += at.i * s.n_pixel * s.c;
  const float *first = x + at.begin * s.c;
  for (int j = (int)threadIdx.x % threads.n_col * V; row < threads.n_row && j < s.c;
       j += threads.n_col * V) {
    vk_lanes<V> center, s1 = vk_lanes_zero<V>(), s2 = s1;
#pragma unroll
    for (int v = 0; v < V; v++)
      center.x[v] = first[(j + v) / n_c * n_c];
#pragma unroll 4
    for (int64_t p = at.begin + row; p < at.end; p += threads.n_row) {
      vk_lanes<V> a = vk_lanes_load<V>(x + p * s.c + j);
#pragma unroll
      for (int v = 0; v < V; v++) {
        float d = a.x[v] - center.x[v];
        s1.x[v] += d;
        s2.x[v] = fmaf(d, d, s2.x[v]);
      }
    }
    vk_lanes_store<V>(sum + row * s.c + j, s1);
    vk_lanes_store<V>(sum + n_sum + row * s.c + j, s2);
  }
  __syncthreads();
  float n = (float)((at.end - at.begin) * n_c);
  for (int g = (int)threadIdx.x / VK_WARP; g < s.n_group; g += VK_BLOCK / VK_WARP) {
    float s1 = 0, s2 = 0;
    for (int k = (int)threadIdx.x % VK_WARP; k < threads.n_row * n_c; k += VK_WARP) {
      int item = k / n_c * (int)s.c + g * n_c + k % n_c;
      s1 += sum[item];
      s2 += sum[n_sum + item];
    }
    s1 = vk_warp_sum(s1);
    s2 = vk_warp_sum(s2);
    if (threadIdx.x % VK_WARP == 0) {
      float *to = stats + ((int64_t)blockIdx.x * s.n_group + g) * 2;
      to[0] = first[g * n_c] + s1 / n;
      to[1] = fmaxf(s2 - s1 * (s1 / n), 0);
    }
  }
}

/* out [n_group, 2] = mean and 1 / deviation of a picture from its slices' stats [n_slice, n_group,
 * 2]: a warp a group. */
static __device__ __forceinline__ void join_slices(const float *stats, const picture &s, float eps,
                                                   float *out)
{
  for (int g = (int)threadIdx.x / VK_WARP; g < s.n_group; g += VK_BLOCK / VK_WARP) {
    float origin = stats[g * 2], sum = 0, n = (float)(s.n_pixel * s.n_c);
    for (unsigned i = threadIdx.x % VK_WARP; i < s.n_slice; i += VK_WARP) {
      const slice_pixels at = slice_at(s, 0, i);
      float n_i = (float)((at.end - at.begin) * s.n_c);
      sum += n_i * (stats[(i * s.n_group + g) * 2] - origin);
    }
    float mean = origin + vk_warp_sum(sum) / n, square = 0;
    for (unsigned i = threadIdx.x % VK_WARP; i < s.n_slice; i += VK_WARP) {
      const slice_pixels at = slice_at(s, 0, i);
      float n_i = (float)((at.end - at.begin) * s.n_c);
      float d = stats[(i * s.n_group + g) * 2] - mean;
      square += stats[(i * s.n_group + g) * 2 + 1] + n_i * d * d;
    }
    square = vk_warp_sum(square);
    if (threadIdx.x % VK_WARP == 0) {
      out[g * 2] = mean;
      out[g * 2 + 1] = 1.0f / sqrtf(square / n + eps);
    }
  }
}

/* Pixels that a thread loads before it stores any: y may lie over x, so that no later load can
 * move before a store. */
enum { AT_ONCE = 2 };

/* gb may be NULL; y may be x, if it is f32. out [n, n_group, 2]. */
template <int V>
static __global__ void __launch_bounds__(VK_BLOCK, 4)
    group_norm(const float *x, const float *w, const float *b, const float *gb, void *y,
               vk_dtype dtype, float *out, picture s, float eps, const float *stats,
               vk_thread_rows threads)
{
  VK_SHARED(float, own); /* [n_group, 2] */
  const slice_pixels at = slice_of(s, gridDim.x - 1 - blockIdx.x);
  const int64_t i = at.i;
  int row = (int)threadIdx.x / threads.n_col;
  gb = gb_row(gb, s, i);
  join_slices(stats + i * s.n_slice * s.n_group * 2, s, eps, own);
  __syncthreads();
  for (int k = (int)threadIdx.x; at.slice == 0 && k < s.n_group * 2; k += VK_BLOCK)
    out[i * s.n_group * 2 + k] = own[k];
  for (int j = (int)threadIdx.x % threads.n_col * V; row < threads.n_row && j < s.c;
       j += threads.n_col * V) {
    vk_lanes<V> mean, factor = vk_lanes_load<V>(w + j), shift = vk_lanes_load<V>(b + j);
    vk_lanes<V> gain = vk_lanes_zero<V>(), offset = gain;
    if (gb) {
      gain = vk_lanes_load<V>(gb + j);
      offset = vk_lanes_load<V>(gb + s.c + j);
    }
#pragma unroll
    for (int v = 0; v < V; v++) {
      int g = (j + v) / s.n_c;
      mean.x[v] = own[g * 2];
      factor.x[v] *= own[g * 2 + 1];
      gain.x[v] += 1;
    }
    int64_t from = (i * s.n_pixel + at.begin + row) * s.c + j, step = threads.n_row * s.c;
#pragma unroll 1
    for (int64_t p = at.begin + row; p < at.end; p += AT_ONCE * threads.n_row) {
      vk_lanes<V> a[AT_ONCE];
#pragma unroll
      for (int k = 0; k < AT_ONCE; k++)
        if (p + k * threads.n_row < at.end)
          a[k] = vk_lanes_load<V>(x + from + k * step);
#pragma unroll
      for (int k = 0; k < AT_ONCE; k++) {
        if (p + k * threads.n_row >= at.end)
          break;
#pragma unroll
        for (int v = 0; v < V; v++) {
          float u = fmaf(a[k].x[v] - mean.x[v], factor.x[v], shift.x[v]);
          u = s.is_gelu ? vk_gelu(u) : u;
          a[k].x[v] = fmaf(u, gain.x[v], offset.x[v]);
        }
        vk_lanes_store_as<V>(y, dtype, from + k * step, a[k]);
      }
      from += AT_ONCE * step;
    }
  }
}

cudaError_t vk_cuda_run_group_norm(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  picture s = picture_of(&op->in[0].shape, op->attr);
  if (picture_is_empty(&s))
    return cudaSuccess;
  vk_thread_rows threads = picture_threads(&s);
  unsigned grid = vk_grid(s.n * s.n_slice, 1);
  size_t shared = 2 * sizeof(float) * (size_t)(threads.n_row * s.c);
  bool is_by_4 = s.c % 4 == 0;
  VK_CUDA_TRY(vk_launch(is_by_4 ? slice_stats<4> : slice_stats<1>, grid, VK_BLOCK, shared,
                        c->stream, op->in[0].data, s, op->scratch, threads));
  return vk_launch(is_by_4 ? group_norm<4> : group_norm<1>, grid, VK_BLOCK,
                   2 * sizeof(float) * (size_t)s.n_group, c->stream, op->in[0].data, op->in[1].data,
                   op->in[2].data, optional(op, 3), op->out[0].data, op->out[0].dtype,
                   op->out[1].data, s, op->attr->eps, op->scratch, threads);
}

size_t vk_cuda_scratch_group_norm(const vk_op_call *op)
{
  picture s = picture_of(&op->in[0].shape, op->attr);
  return 2 * sizeof(float) * (size_t)(s.n * s.n_slice * s.n_group);
}

/* ---- group_norm_grad ----
 *   n = (x - mean) rstd, u = n w + b, y = act(u) (1 + g) + f, du = dy (1 + g) act'(u)
 *   dx = rstd (w du - mean_of(w du) - n mean_of(w du n)), means over a group of channels
 * Both passes make du from dy and x. */

enum { SUM_DU, SUM_DU_N, SUM_DY_ACT, SUM_DY, N_SUM /* the last two with gb alone */ };

typedef struct norm_channel {
  float mean, factor, b, gain; /* factor: rstd w; gain: 1 + g */
} norm_channel;

/* Channel j of a picture whose stats and row of gb are given. */
static __device__ __forceinline__ norm_channel channel_of(const picture &s, const float *stats,
                                                          const float *w, const float *b,
                                                          const float *gb, int j)
{
  stats += j / s.n_c * 2;
  return {stats[0], stats[1] * w[j], b[j], gb ? 1 + gb[j] : 1};
}

/* du; act(u) to where the pointer points. d: x - mean */
static __device__ __forceinline__ float du_of(const norm_channel &k, bool is_gelu, float d,
                                              float dy, float *act)
{
  float u = fmaf(d, k.factor, k.b), du = dy * k.gain;
  *act = u;
  if (!is_gelu)
    return du;
  float cdf = vk_normal_cdf(u);
  *act = u * cdf;
  return du * fmaf(u, 0.39894228040143268f * expf(-0.5f * u * u), cdf);
}

/* part [n, n_slice, K, c], K = 2 or with gb N_SUM: sums over slice blockIdx.x of each channel. */
template <int V, int K>
static __global__ void __launch_bounds__(VK_BLOCK, 3)
    slice_sums(const float *dy, const float *x, const float *stats, const float *w, const float *b,
               const float *gb, picture s, float *part, vk_thread_rows threads)
{
  const slice_pixels own = slice_of(s, blockIdx.x);
  int row = (int)threadIdx.x / threads.n_col, n_step = threads.n_col * V;
  stats += own.i * s.n_group * 2;
  gb = gb_row(gb, s, own.i);
  for (int j0 = 0; j0 < s.c; j0 += n_step) {
    int j = j0 + (int)threadIdx.x % threads.n_col * V;
    vk_lanes<V> sum[K];
#pragma unroll
    for (int k = 0; k < K; k++)
      sum[k] = vk_lanes_zero<V>();
    if (row < threads.n_row && j < s.c) {
      norm_channel channel[V];
#pragma unroll
      for (int v = 0; v < V; v++)
        channel[v] = channel_of(s, stats, w, b, gb, j + v);
#pragma unroll 1
      for (int64_t p = own.begin + row; p < own.end; p += threads.n_row) {
        int64_t at = (own.i * s.n_pixel + p) * s.c + j;
        vk_lanes<V> d = vk_lanes_load<V>(dy + at), a = vk_lanes_load<V>(x + at);
#pragma unroll
        for (int v = 0; v < V; v++) {
          float far = a.x[v] - channel[v].mean, act;
          float du = du_of(channel[v], s.is_gelu, far, d.x[v], &act);
          sum[SUM_DU].x[v] += du;
          sum[SUM_DU_N].x[v] = fmaf(du, far, sum[SUM_DU_N].x[v]); /* n times the deviation */
          if (K == N_SUM) {
            sum[SUM_DY_ACT % K].x[v] = fmaf(d.x[v], act, sum[SUM_DY_ACT % K].x[v]);
            sum[SUM_DY % K].x[v] += d.x[v];
          }
        }
      }
    }
    for (int k = 0; k < K; k++) {
      const float *all = vk_lanes_sum_rows<V, VK_BLOCK>(sum[k], threads.n_col, threads.n_row);
      for (int q = (int)threadIdx.x; q < n_step && j0 + q < s.c; q += VK_BLOCK) {
        float rstd = stats[(j0 + q) / s.n_c * 2 + 1];
        part[((int64_t)blockIdx.x * K + k) * s.c + j0 + q] = k == SUM_DU_N ? all[q] * rstd : all[q];
      }
    }
  }
}

/* A block a picture: sums [n, n_sum, c] from those of its slices, and what all items of a group
 * have in common, terms [n, n_group, 2]: dx = rstd w du + (x - mean) terms[0] + terms[1]. */
static __global__ void join_sums(const float *part, const float *stats, const float *w, picture s,
                                 int n_sum, float *sums, float *terms)
{
  int64_t i = blockIdx.x, n_item = n_sum * s.c;
  part += i * s.n_slice * n_item;
  sums += i * n_item;
  for (int64_t k = threadIdx.x; k < n_item; k += VK_BLOCK) {
    float sum = 0;
#pragma unroll 4
    for (unsigned slice = 0; slice < s.n_slice; slice++)
      sum += part[slice * n_item + k];
    sums[k] = sum;
  }
  __syncthreads();
  for (int g = (int)threadIdx.x / VK_WARP; g < s.n_group; g += VK_BLOCK / VK_WARP) {
    float sum = 0, sum_n = 0, n = (float)(s.n_pixel * s.n_c);
    for (int k = (int)threadIdx.x % VK_WARP; k < s.n_c; k += VK_WARP) {
      int64_t j = g * s.n_c + k;
      sum = fmaf(sums[SUM_DU * s.c + j], w[j], sum);
      sum_n = fmaf(sums[SUM_DU_N * s.c + j], w[j], sum_n);
    }
    sum = vk_warp_sum(sum);
    sum_n = vk_warp_sum(sum_n);
    if (threadIdx.x % VK_WARP == 0) {
      float rstd = stats[(i * s.n_group + g) * 2 + 1];
      terms[(i * s.n_group + g) * 2] = -rstd * rstd * sum_n / n;
      terms[(i * s.n_group + g) * 2 + 1] = -rstd * sum / n;
    }
  }
}

/* dx may be dy. */
template <int V>
static __global__ void __launch_bounds__(VK_BLOCK, 3)
    group_norm_dx(const float *dy, const float *x, const float *stats, const float *w,
                  const float *b, const float *gb, picture s, const float *terms, float *dx,
                  vk_thread_rows threads)
{
  const slice_pixels own = slice_of(s, gridDim.x - 1 - blockIdx.x);
  int row = (int)threadIdx.x / threads.n_col;
  if (row >= threads.n_row)
    return;
  stats += own.i * s.n_group * 2;
  terms += own.i * s.n_group * 2;
  gb = gb_row(gb, s, own.i);
  for (int j = (int)threadIdx.x % threads.n_col * V; j < s.c; j += threads.n_col * V) {
    norm_channel channel[V];
    float slope[V], level[V];
#pragma unroll
    for (int v = 0; v < V; v++) {
      const float *term = terms + (j + v) / s.n_c * 2;
      channel[v] = channel_of(s, stats, w, b, gb, j + v);
      slope[v] = term[0];
      level[v] = term[1];
    }
#pragma unroll 1
    for (int64_t p = own.begin + row; p < own.end; p += threads.n_row) {
      int64_t from = (own.i * s.n_pixel + p) * s.c + j;
      vk_lanes<V> d = vk_lanes_load<V>(dy + from), a = vk_lanes_load<V>(x + from);
#pragma unroll
      for (int v = 0; v < V; v++) {
        float far = a.x[v] - channel[v].mean, act;
        float du = du_of(channel[v], s.is_gelu, far, d.x[v], &act);
        d.x[v] = fmaf(du, channel[v].factor, fmaf(far, slope[v], level[v]));
      }
      vk_lanes_store<V>(dx + from, d);
    }
  }
}

/* dgb [n / group, 2 c]: the sums that belong to g and f, over the pictures that share a row. */
static __global__ void add_film(const float *sums, picture s, float *dgb)
{
  VK_EACH(k, s.n / s.group * 2 * s.c)
  {
    const float *from = sums + k / (2 * s.c) * s.group * N_SUM * s.c + SUM_DY_ACT * s.c;
    float sum = 0;
    for (int64_t q = 0; q < s.group; q++)
      sum += from[q * N_SUM * s.c + k % (2 * s.c)];
    dgb[k] = sum;
  }
}

/* Scratch: sums of slices and of pictures, terms. */
static size_t slice_sum_floats(const picture *s, int n_sum)
{
  return (size_t)(s->n * s->n_slice * n_sum * s->c);
}

static size_t picture_sum_floats(const picture *s, int n_sum)
{
  return (size_t)(s->n * n_sum * s->c);
}

static cudaError_t start_group_norm_grad(const vk_cuda_call *c, const picture *s, const float *gb,
                                         float *sums)
{
  const vk_op_call *op = c->op;
  const void *dy = op->in[0].data, *x = op->in[1].data, *stats = op->in[2].data;
  const void *w = op->in[3].data, *b = op->in[4].data;
  int n_sum = gb ? N_SUM : 2;
  float *part = sums + picture_sum_floats(s, n_sum), *terms = part + slice_sum_floats(s, n_sum);
  vk_thread_rows threads = picture_threads(s);
  unsigned grid = vk_grid(s->n * s->n_slice, 1);
  bool is_by_4 = s->c % 4 == 0;
  auto first = is_by_4 ? (gb ? slice_sums<4, N_SUM> : slice_sums<4, 2>)
                       : (gb ? slice_sums<1, N_SUM> : slice_sums<1, 2>);
  VK_CUDA_TRY(
      vk_launch(first, grid, VK_BLOCK, 0, c->stream, dy, x, stats, w, b, gb, *s, part, threads));
  VK_CUDA_TRY(vk_launch(join_sums, vk_grid(s->n, 1), VK_BLOCK, 0, c->stream, part, stats, w, *s,
                        n_sum, sums, terms));
  return vk_launch(is_by_4 ? group_norm_dx<4> : group_norm_dx<1>, grid, VK_BLOCK, 0, c->stream, dy,
                   x, stats, w, b, gb, *s, terms, op->out[0].data, threads);
}

cudaError_t vk_cuda_run_group_norm_grad(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  picture s = picture_of(&op->in[1].shape, op->attr);
  const float *gb = optional(op, 5);
  float *sums = (float *)op->scratch;
  int64_t ld = (gb ? N_SUM : 2) * s.c, n = picture_is_empty(&s) ? 0 : s.n;
  if (n > 0)
    VK_CUDA_TRY(start_group_norm_grad(c, &s, gb, sums));
  VK_CUDA_TRY(vk_cuda_columns(sums + SUM_DU_N * s.c, n, s.c, ld, (float *)op->out[1].data, NULL,
                              c->stream));
  VK_CUDA_TRY(
      vk_cuda_columns(sums + SUM_DU * s.c, n, s.c, ld, (float *)op->out[2].data, NULL, c->stream));
  return !gb || n == 0 ? cudaSuccess
                       : vk_launch(add_film, vk_grid_stride(n / s.group * 2 * s.c), VK_BLOCK, 0,
                                   c->stream, sums, s, op->out[3].data);
}

size_t vk_cuda_scratch_group_norm_grad(const vk_op_call *op)
{
  picture s = picture_of(&op->in[1].shape, op->attr);
  int n_sum = op->n_in > 5 ? N_SUM : 2; /* plans ask before there is data */
  return sizeof(float) * (slice_sum_floats(&s, n_sum) + picture_sum_floats(&s, n_sum) +
                          2 * (size_t)(s.n * s.n_group));
}
