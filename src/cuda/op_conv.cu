/* op_conv.cu - conv, conv_dw, conv_dx as products of matrices of windows: a row for each pixel of y
 * with the items of x that it sees, in order row, column, channel, and zeros up to a multiple of 16
 * bytes. Windows go through scratch, in chunks that stay in the cache. */
#include "cuda/gemm.h"
#include "cuda/round.h"

/* Sizes of a convolution; x is [n, h, w, c], y is [n, y_h, y_w, o]. */
typedef struct conv_shape {
  int64_t n;
  int h, w, c, o, y_h, y_w, kernel, stride, pad;
  int64_t y_area; /* pixels of a picture of y */
  int64_t k, ld;  /* items of a window; with the zeros behind them */
} conv_shape;

static bool is_bf16(const vk_op_call *op)
{
  return op->attr->dtype == VK_BF16;
}

/* Bytes of a factor's item. */
static int64_t factor_size(const vk_op_call *op)
{
  return is_bf16(op) ? (int64_t)sizeof(uint16_t) : (int64_t)sizeof(float);
}

static conv_shape shape_of(const vk_op_call *op, const vk_shape *x, const vk_shape *y)
{
  conv_shape s = {};
  s.n = x->dim[0];
  s.h = (int)x->dim[1];
  s.w = (int)x->dim[2];
  s.c = (int)x->dim[3];
  s.o = (int)y->dim[3];
  s.y_h = (int)y->dim[1];
  s.y_w = (int)y->dim[2];
  s.kernel = (int)op->attr->kernel;
  s.stride = (int)op->attr->stride;
  s.pad = (int)op->attr->pad;
  s.y_area = y->dim[1] * y->dim[2];
  s.k = op->attr->kernel * op->attr->kernel * x->dim[3];
  s.ld = vk_round_up(s.k, 16 / factor_size(op));
  return s;
}

/* ---- division ------------------------------------------------------------------------------- */

/* What a kernel divides numbers below 2^31 by, as a factor and a shift: two instructions, where a
 * division takes twenty. The factor is 2^shift / d rounded up, and has 32 bits: that is exact
 * enough for numbers of 31. Source: Granlund and Montgomery 1994, "Division by invariant integers
 * using multiplication". */
typedef struct divisor {
  uint32_t d, factor, shift;
} divisor;

static divisor divisor_of(int64_t d)
{
  divisor v = {(uint32_t)d, 0, 31};
  while ((int64_t)1 << (v.shift - 31) < d)
    v.shift++;
  v.factor = (uint32_t)((((int64_t)1 << v.shift) + d - 1) / d);
  return v;
}

static __device__ __forceinline__ uint32_t divide(uint32_t n, divisor v)
{
  return (uint32_t)((uint64_t)n * v.factor >> v.shift);
}

/* ---- windows -------------------------------------------------------------------------------- */

/* N neighbours of x, aligned if N is more than 1. */
template <typename T, int N> struct alignas(N * sizeof(T)) conv_run {
  T x[N];
};

/* 16 bytes of a factor. */
template <typename T> struct alignas(16) conv_group {
  enum { N = 16 / sizeof(T) };
  T x[N];
};

static __device__ __forceinline__ void put_item(float *to, float x)
{
  *to = x;
}

static __device__ __forceinline__ void put_item(uint16_t *to, float x)
{
  *to = vk_bf16_of(x);
}

/* What x holds, as a factor. */
template <typename W>
static __device__ __forceinline__ void put_of(W *to, uint8_t x, float scale, float shift)
{
  put_item(to, (float)x * scale + shift);
}

template <typename W> static __device__ __forceinline__ void put_of(W *to, float x, float, float)
{
  put_item(to, x);
}

static __device__ __forceinline__ void put_of(uint16_t *to, uint16_t x, float, float)
{
  *to = x;
}

/* Rows [first, first + n_row) of the matrix, first being pixel `pixel` of picture `picture`. */
typedef struct conv_fill {
  conv_shape s;
  int64_t picture;
  unsigned pixel;
  float scale, shift;                                 /* of u8 */
  divisor by_group, by_area, by_c, by_kernel, by_y_w; /* by_group: of a row, 16 bytes each */
} conv_fill;

/* A thread makes 16 bytes. With whole_taps they belong to one pixel of x: c is a multiple of their
 * number. */
template <typename X, typename W, bool whole_taps>
static __global__ void windows_kernel(conv_fill f, unsigned n_row, const X *x, W *windows)
{
  enum { N = conv_group<W>::N };
  const conv_shape s = f.s;
  unsigned n_group = f.by_group.d, n = n_row * n_group;
  const int64_t per_picture = (int64_t)s.h * s.w * s.c;
  for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
    unsigned row = divide(i, f.by_group), q = (i - row * n_group) * N;
    unsigned pixel = f.pixel + row, picture = divide(pixel, f.by_area);
    pixel -= picture * f.by_area.d;
    unsigned tap = divide(q, f.by_c), channel = q - tap * f.by_c.d;
    int ky = (int)divide(tap, f.by_kernel), kx = (int)tap - ky * s.kernel;
    int y = (int)divide(pixel, f.by_y_w), top = y * s.stride - s.pad;
    int left = ((int)pixel - y * s.y_w) * s.stride - s.pad;
    const X *from = x + (f.picture + picture) * per_picture;
    conv_group<W> out;
#pragma unroll
    for (int v = 0; v < N; v++)
      out.x[v] = 0;
    if (whole_taps) {
      bool is_there = (unsigned)(top + ky) < (unsigned)s.h && (unsigned)(left + kx) < (unsigned)s.w;
      if (is_there) {
        int at = ((top + ky) * s.w + left + kx) * s.c + (int)channel;
        conv_run<X, N> in = *(const conv_run<X, N> *)(from + at);
#pragma unroll
        for (int v = 0; v < N; v++)
          put_of(&out.x[v], in.x[v], f.scale, f.shift);
      }
    } else {
#pragma unroll
      for (int v = 0; v < N; v++) {
        if (ky < s.kernel && (unsigned)(top + ky) < (unsigned)s.h &&
            (unsigned)(left + kx) < (unsigned)s.w)
          put_of(&out.x[v], from[((top + ky) * s.w + left + kx) * s.c + (int)channel], f.scale,
                 f.shift);
        channel++;
        if (channel == (unsigned)s.c) {
          channel = 0;
          kx++;
        }
        if (kx == s.kernel) {
          kx = 0;
          ky++;
        }
      }
    }
    *(conv_group<W> *)(windows + (int64_t)i * N) = out;
  }
}

template <typename X, typename W>
static cudaError_t fill_windows_of(const conv_fill *f, unsigned n_row, const void *x, void *windows,
                                   cudaStream_t stream)
{
  int64_t n = n_row * (f->s.ld / conv_group<W>::N);
  void (*kernel)(conv_fill, unsigned, const X *, W *) =
      f->s.c % conv_group<W>::N ? windows_kernel<X, W, false> : windows_kernel<X, W, true>;
  return vk_launch(kernel, dim3(vk_grid_stride(n)), dim3(VK_BLOCK), 0, stream, *f, n_row,
                   (const X *)x, (W *)windows);
}

/* Windows of pixels [first, first + n_row) of y, all pictures counted through. */
static cudaError_t fill_windows(const vk_cuda_call *c, const conv_shape *s, const vk_tensor *x,
                                int64_t first, int64_t n_row, void *windows)
{
  conv_fill f = {};
  if ((int64_t)s->h * s->w * s->c > INT32_MAX)
    return cudaErrorNotSupported;
  f.s = *s;
  f.picture = first / s->y_area;
  f.pixel = (unsigned)(first % s->y_area);
  f.scale = (float)c->op->attr->scale;
  f.shift = (float)c->op->attr->shift;
  f.by_group = divisor_of(s->ld * factor_size(c->op) / 16);
  f.by_area = divisor_of(s->y_area);
  f.by_c = divisor_of(s->c);
  f.by_kernel = divisor_of(s->kernel);
  f.by_y_w = divisor_of(s->y_w);
  unsigned n = (unsigned)n_row;
  if (!is_bf16(c->op))
    return x->dtype == VK_U8 ? fill_windows_of<uint8_t, float>(&f, n, x->data, windows, c->stream)
                             : fill_windows_of<float, float>(&f, n, x->data, windows, c->stream);
  if (x->dtype == VK_U8)
    return fill_windows_of<uint8_t, uint16_t>(&f, n, x->data, windows, c->stream);
  if (x->dtype == VK_BF16)
    return fill_windows_of<uint16_t, uint16_t>(&f, n, x->data, windows, c->stream);
  return fill_windows_of<float, uint16_t>(&f, n, x->data, windows, c->stream);
}

/* ---- weights -------------------------------------------------------------------------------- */

/* to[o][tap][channel] = w[o][channel][tap], zeros up to ld and in rows beyond s.o. */
template <typename W>
static __global__ void weight_kernel(conv_shape s, int64_t n_row, const void *w, vk_dtype dtype,
                                     W *to)
{
  unsigned n_tap = (unsigned)(s.kernel * s.kernel), ld = (unsigned)s.ld, c = (unsigned)s.c;
  VK_EACH(i, n_row * s.ld)
  {
    unsigned o = (unsigned)i / ld, q = (unsigned)i - o * ld, tap = q / c, channel = q - tap * c;
    bool is_there = o < (unsigned)s.o && q < (unsigned)s.k;
    put_item(to + i, is_there ? vk_load(w, dtype, (o * c + channel) * n_tap + tap) : 0.0f);
  }
}

static cudaError_t order_weight(const vk_cuda_call *c, const conv_shape *s, int64_t n_row, void *to)
{
  const vk_tensor *w = &c->op->in[1];
  dim3 grid(vk_grid_stride(n_row * s->ld)), block(VK_BLOCK);
  if (n_row * s->ld > INT32_MAX)
    return cudaErrorNotSupported;
  if (is_bf16(c->op))
    return vk_launch(weight_kernel<uint16_t>, grid, block, 0, c->stream, *s, n_row,
                     (const void *)w->data, w->dtype, (uint16_t *)to);
  return vk_launch(weight_kernel<float>, grid, block, 0, c->stream, *s, n_row,
                   (const void *)w->data, w->dtype, (float *)to);
}

/* dw[o][channel][tap] = sum[o][tap][channel]; zeros without sums. */
static __global__ void weight_gradient_kernel(conv_shape s, const float *sum, float *dw)
{
  unsigned n_tap = (unsigned)(s.kernel * s.kernel), c = (unsigned)s.c;
  VK_EACH(i, s.o * s.k)
  {
    unsigned row = (unsigned)i / n_tap, tap = (unsigned)i - row * n_tap;
    unsigned o = row / c, channel = row - o * c;
    dw[i] = sum ? sum[o * s.ld + tap * c + channel] : 0.0f;
  }
}

/* ---- conv ----------------------------------------------------------------------------------- */

typedef struct conv_plan {
  conv_shape s;
  int64_t n_row, chunk;                          /* pixels of y; pixels or, in conv_dx, pictures */
  size_t w_at, windows_at, dy_at, sum_at, bytes; /* of scratch */
  int64_t dy_ld;
} conv_plan;

static conv_plan plan_conv(const vk_op_call *op)
{
  conv_plan p = {};
  p.s = shape_of(op, &op->in[0].shape, &op->out[0].shape);
  p.n_row = p.s.n * p.s.y_area;
  int64_t row = p.s.ld * factor_size(op);
  p.chunk = vk_chunk_rows(p.n_row, row);
  p.w_at = vk_scratch_put(&p.bytes, p.s.o * row);
  p.windows_at = vk_scratch_put(&p.bytes, p.chunk * row);
  return p;
}

size_t vk_cuda_scratch_conv(const vk_op_call *op)
{
  return plan_conv(op).bytes;
}

static vk_cuda_product product_of(const vk_op_call *op)
{
  vk_cuda_product g = {};
  g.dtype = is_bf16(op) ? VK_BF16 : VK_F32;
  g.c_dtype = VK_F32;
  return g;
}

cudaError_t vk_cuda_run_conv(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  conv_plan p = plan_conv(op);
  const conv_shape *s = &p.s;
  char *scratch = (char *)op->scratch;
  if (p.n_row == 0)
    return cudaSuccess;
  VK_CUDA_TRY(order_weight(c, s, s->o, scratch + p.w_at));
  vk_cuda_product g = product_of(op);
  g.n = s->o;
  g.k = s->ld;
  g.a = scratch + p.windows_at;
  g.b = scratch + p.w_at;
  g.b_trans = true;
  g.lda = g.ldb = s->ld;
  g.ldc = s->o;
  g.bias = op->n_in > 2 ? (const float *)op->in[2].data : NULL;
  for (int64_t row = 0; row < p.n_row; row += p.chunk) {
    g.m = p.n_row - row < p.chunk ? p.n_row - row : p.chunk;
    g.c = (float *)op->out[0].data + row * s->o;
    VK_CUDA_TRY(fill_windows(c, s, &op->in[0], row, g.m, scratch + p.windows_at));
    VK_CUDA_TRY(vk_cuda_gemm_run(c->gemm, &g, c->stream));
  }
  return cudaSuccess;
}

/* ---- conv_dw: dy by the windows, summed over pixels ------------------------------------------ */

static conv_plan plan_dw(const vk_op_call *op)
{
  conv_plan p = {};
  p.s = shape_of(op, &op->in[1].shape, &op->in[0].shape);
  p.n_row = p.s.n * p.s.y_area;
  bool is_rounded = is_bf16(op) && op->in[0].dtype == VK_F32;
  p.dy_ld = is_rounded ? vk_round_up(p.s.o, VK_ROUND_TO) : p.s.o;
  int64_t row = p.s.ld * factor_size(op), dy_row = is_rounded ? 2 * p.dy_ld : 0;
  p.chunk = vk_chunk_rows(p.n_row, row + dy_row);
  p.windows_at = vk_scratch_put(&p.bytes, p.chunk * row);
  p.dy_at = vk_scratch_put(&p.bytes, p.chunk * dy_row);
  p.sum_at = vk_scratch_put(&p.bytes, p.s.o * p.s.ld * (int64_t)sizeof(float));
  return p;
}

size_t vk_cuda_scratch_conv_dw(const vk_op_call *op)
{
  return plan_dw(op).bytes;
}

/* Rows [row, row + n) of dy as a factor: rounded to scratch if need be. */
static cudaError_t dy_rows(const vk_cuda_call *c, const conv_plan *p, int64_t row, int64_t n,
                           const void **out)
{
  const vk_tensor *dy = &c->op->in[0];
  const char *from = (const char *)dy->data + row * p->s.o * (int64_t)vk_dtype_size(dy->dtype);
  *out = from;
  if (!is_bf16(c->op) || dy->dtype != VK_F32)
    return cudaSuccess;
  uint16_t *to = (uint16_t *)((char *)c->op->scratch + p->dy_at);
  *out = to;
  vk_rounding none = {};
  return vk_round(vk_rounding_of((const float *)from, to, n, p->s.o), none, c->stream);
}

cudaError_t vk_cuda_run_conv_dw(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  conv_plan p = plan_dw(op);
  const conv_shape *s = &p.s;
  char *scratch = (char *)op->scratch;
  float *sum = p.n_row > 0 ? (float *)(scratch + p.sum_at) : NULL;
  vk_cuda_product g = product_of(op);
  g.m = s->o;
  g.n = s->ld;
  g.a_trans = true;
  g.b = scratch + p.windows_at;
  g.lda = p.dy_ld;
  g.ldb = g.ldc = s->ld;
  g.c = sum;
  for (int64_t row = 0; row < p.n_row; row += p.chunk) {
    g.k = p.n_row - row < p.chunk ? p.n_row - row : p.chunk;
    VK_CUDA_TRY(dy_rows(c, &p, row, g.k, &g.a));
    VK_CUDA_TRY(fill_windows(c, s, &op->in[1], row, g.k, scratch + p.windows_at));
    VK_CUDA_TRY(vk_cuda_gemm_run(c->gemm, &g, c->stream));
    g.beta = 1;
  }
  if (s->o * s->k > INT32_MAX)
    return cudaErrorNotSupported;
  return vk_launch(weight_gradient_kernel, dim3(vk_grid_stride(s->o * s->k)), dim3(VK_BLOCK), 0,
                   c->stream, *s, (const float *)sum, (float *)op->out[0].data);
}

/* ---- conv_dx: dy by the weights is what windows get, and a pixel is the sum of its own ---------
 */

/* A chunk is whole pictures: a pixel's windows are all there. */
static conv_plan plan_dx(const vk_op_call *op)
{
  conv_plan p = {};
  p.s = shape_of(op, &op->out[0].shape, &op->in[0].shape);
  const conv_shape *s = &p.s;
  bool is_rounded = is_bf16(op) && op->in[0].dtype == VK_F32;
  p.dy_ld = is_rounded ? vk_round_up(s->o, VK_ROUND_TO) : s->o;
  int64_t row = s->ld * (int64_t)sizeof(float), dy_row = is_rounded ? 2 * p.dy_ld : 0;
  p.chunk = VK_PRODUCT_CHUNK / (s->y_area * (row + dy_row));
  p.chunk = p.chunk < s->n ? p.chunk : s->n;
  p.chunk = p.chunk < 1 ? 1 : p.chunk;
  p.w_at = vk_scratch_put(&p.bytes, p.dy_ld * s->ld * factor_size(op));
  p.windows_at = vk_scratch_put(&p.bytes, p.chunk * s->y_area * row);
  p.dy_at = vk_scratch_put(&p.bytes, p.chunk * s->y_area * dy_row);
  return p;
}

size_t vk_cuda_scratch_conv_dx(const vk_op_call *op)
{
  return plan_dx(op).bytes;
}

/* A picture is a row of blocks: blockIdx.y, in strides of the grid. A thread adds up V channels of
 * a pixel, from windows [n_picture, y_h, y_w][ld]. Pixel y is tap ky of row (y + pad - ky) / stride
 * of windows. by_group: of V channels of a pixel. */
template <int V>
static __global__ void gather_kernel(conv_shape s, int64_t n_picture, const float *windows,
                                     float *dx, divisor by_group, divisor by_w, divisor by_stride)
{
  unsigned n_group = by_group.d, n = (unsigned)s.h * (unsigned)s.w * n_group;
  for (int64_t picture = blockIdx.y; picture < n_picture; picture += gridDim.y)
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
      unsigned pixel = divide(i, by_group), channel = (i - pixel * n_group) * V;
      unsigned top = divide(pixel, by_w);
      int y = (int)top + s.pad, x = (int)(pixel - top * by_w.d) + s.pad;
      const float *from = windows + picture * s.y_area * s.ld + channel;
      vk_lanes<V> sum = vk_lanes_zero<V>();
      int last_row = (int)divide((unsigned)y, by_stride);
      int last_col = (int)divide((unsigned)x, by_stride);
      for (int row = last_row; row >= 0 && y - row * s.stride < s.kernel; row--)
        for (int col = last_col; col >= 0 && x - col * s.stride < s.kernel; col--) {
          int tap = (y - row * s.stride) * s.kernel + x - col * s.stride;
          if (row < s.y_h && col < s.y_w)
            vk_lanes_add<V>(
                &sum, 1,
                vk_lanes_load<V>(from + ((int64_t)row * s.y_w + col) * s.ld + (int64_t)tap * s.c));
        }
      vk_lanes_store<V>(dx + (picture * s.h * s.w + pixel) * s.c + channel, sum);
    }
}

static cudaError_t gather(const conv_shape *s, int64_t n_picture, const float *windows, float *dx,
                          cudaStream_t stream)
{
  int64_t n = (int64_t)s->h * s->w * s->c;
  bool is_wide = s->c % 4 == 0;
  dim3 grid(vk_grid_stride(is_wide ? n / 4 : n), (unsigned)(n_picture < 65535 ? n_picture : 65535));
  return vk_launch(is_wide ? gather_kernel<4> : gather_kernel<1>, grid, dim3(VK_BLOCK), 0, stream,
                   *s, n_picture, windows, dx, divisor_of(is_wide ? s->c / 4 : s->c),
                   divisor_of(s->w), divisor_of(s->stride));
}

cudaError_t vk_cuda_run_conv_dx(const vk_cuda_call *c)
{
  const vk_op_call *op = c->op;
  conv_plan p = plan_dx(op);
  const conv_shape *s = &p.s;
  char *scratch = (char *)op->scratch;
  float *windows = (float *)(scratch + p.windows_at);
  if (s->n == 0)
    return cudaSuccess;
  VK_CUDA_TRY(order_weight(c, s, p.dy_ld, scratch + p.w_at));
  vk_cuda_product g = product_of(op);
  g.n = s->ld;
  g.k = p.dy_ld;
  g.b = scratch + p.w_at;
  g.lda = p.dy_ld;
  g.ldb = g.ldc = s->ld;
  g.c = windows;
  for (int64_t i = 0; i < s->n; i += p.chunk) {
    int64_t n = s->n - i < p.chunk ? s->n - i : p.chunk;
    g.m = n * s->y_area;
    VK_CUDA_TRY(dy_rows(c, &p, i * s->y_area, g.m, &g.a));
    VK_CUDA_TRY(vk_cuda_gemm_run(c->gemm, &g, c->stream));
    float *dx = (float *)op->out[0].data + i * s->h * s->w * s->c;
    VK_CUDA_TRY(gather(s, n, windows, dx, c->stream));
  }
  return cudaSuccess;
}
