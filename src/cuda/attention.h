/* attention.h - what attention and attention_grad share on a GPU: where rows lie, which of them a
 * block has, and the products of a warp, in f32 or, where the attribute dtype says so, of factors
 * rounded to bfloat16.
 *
 * A block has some rows of one segment and head, a warp 8 to 32 of them, its own; the rows that
 * they meet come in tiles through shared memory. A warp holds a score s[own row][tile row] in
 * registers, as s[i][j] for row(i) and column(j) of the lane, and sums o[own row][column of the
 * head] as o[i][c] for row(i) and out(c).
 *
 * Test: tests/unit/test_cuda_ops.c */
#ifndef VK_CUDA_ATTENTION_H
#define VK_CUDA_ATTENTION_H

#include "cuda/mma.h"

enum {
  ATTN_HD_MAX = 128,
  ATTN_SHARED = 48 << 10, /* bytes of a block, at most */
  ATTN_WARPS = 8,         /* of a block, at most */
  ATTN_REST = 8,          /* blocks that clear rows in no segment */
  ATTN_FEW = 132,         /* with fewer blocks than this, warps take as few rows as they can */
};

#define ATTN_LOG2E 1.44269504088896341f

/* As nn/attention.h has it, for kernels. */
typedef struct attn {
  const void *q, *kv;
  vk_dtype q_dtype, kv_dtype;
  const int32_t *seg; /* NULL: len_k rows each */
  int64_t n_seg, len_q, len_k, n_key, n_query;
  int64_t d, ld_q, ld_kv, off_k, off_v;
  int hd, n_head;
  bool is_wide; /* rows of a head lie at multiples of 16 bytes, whatever their type */
  float scale;  /* 1 / sqrt(hd) */
} attn;

/* n rows of hd items, ld items apart, the first at item `at`. */
typedef struct attn_rows {
  const void *x;
  vk_dtype dtype;
  int64_t at, ld;
  int n;
} attn_rows;

/* Blocks: n_tile a segment and head, each of n_warp warps; then those that clear. */
typedef struct attn_grid {
  int64_t n_block; /* without those that clear */
  unsigned n_tile;
  int n_warp;
} attn_grid;

/* What a block has: the segment's rows, of this head. */
typedef struct attn_work {
  int64_t q, k; /* first rows of the segment's queries and keys */
  int n_q, n_k;
  int head, tile;
  attn_rows query, key, value;
} attn_work;

/* ---- which rows ------------------------------------------------------------------------------ */

static inline bool attn_has(const vk_op_call *c, int i)
{
  return i < c->n_in && c->in[i].shape.n_dim > 0;
}

/* i_q: input q; kv and seg follow it. */
static inline attn attn_of(const vk_op_call *c, int i_q)
{
  attn a = {};
  bool is_self = !attn_has(c, i_q + 1);
  const vk_tensor *q = &c->in[i_q], *kv = is_self ? q : q + 1;
  int64_t last = vk_shape_last(&q->shape);
  a.q = q->data;
  a.kv = kv->data;
  a.q_dtype = q->dtype;
  a.kv_dtype = kv->dtype;
  a.d = is_self ? last / 3 : last;
  a.n_head = (int)c->attr->n_head;
  a.hd = (int)(a.d / a.n_head);
  a.len_q = c->attr->len_q;
  a.len_k = c->attr->len_k;
  a.n_query = q->shape.dim[0];
  a.n_key = kv->shape.dim[0];
  a.ld_q = last;
  a.ld_kv = is_self ? last : 2 * a.d;
  a.off_k = is_self ? a.d : 0;
  a.off_v = a.off_k + a.d;
  a.is_wide = a.hd % 8 == 0;
  a.scale = 1.0f / sqrtf((float)a.hd);
  if (attn_has(c, i_q + 2)) {
    a.seg = (const int32_t *)c->in[i_q + 2].data;
    a.n_seg = c->in[i_q + 2].shape.dim[0] - 1;
  } else {
    a.n_seg = a.n_key / a.len_k;
  }
  return a;
}

/* The most rows that a segment of keys, or of queries, may have in this call. */
static inline int64_t attn_most_keys(const vk_op_call *c, const attn *a)
{
  if (!a->seg)
    return a->len_k;
  return c->attr->max_k && c->attr->max_k < a->n_key ? c->attr->max_k : a->n_key;
}

static inline int64_t attn_most_queries(const vk_op_call *c, const attn *a)
{
  return a->len_q ? a->len_q : attn_most_keys(c, a);
}

/* Warps of `rows` rows, and at most n_warp a block, for segments of up to `most`. */
static inline attn_grid attn_grid_of(const attn *a, int64_t most, int rows, int n_warp)
{
  attn_grid g;
  int64_t n_unit = (most + rows - 1) / rows, n_tile = (n_unit + n_warp - 1) / n_warp;
  g.n_tile = (unsigned)n_tile;
  g.n_warp = n_tile ? (int)((n_unit + n_tile - 1) / n_tile) : 1;
  g.n_block = a->n_seg * a->n_head * n_tile;
  return g;
}

static __device__ __forceinline__ attn_rows attn_rows_of(const void *x, vk_dtype dtype, int64_t at,
                                                         int64_t ld, int n)
{
  attn_rows r = {x, dtype, at, ld, n};
  return r;
}

/* This block's. What only wrong code can cause ends the program: segments beyond the rows, or (in
 * attn_has_rows) longer than the graph allows. */
static __device__ __forceinline__ attn_work attn_work_of(const attn *a, const attn_grid *g)
{
  attn_work w;
  unsigned at = blockIdx.x / g->n_tile, s = at / a->n_head;
  w.tile = (int)(blockIdx.x - at * g->n_tile);
  w.head = (int)(at - s * a->n_head);
  w.k = a->seg ? a->seg[s] : s * a->len_k;
  int64_t n_k = a->seg ? a->seg[s + 1] - w.k : a->len_k;
  w.q = a->len_q ? s * a->len_q : w.k;
  w.n_k = (int)n_k;
  w.n_q = a->len_q ? (int)a->len_q : w.n_k;
  if (w.k < 0 || n_k < 0 || w.k + n_k > a->n_key)
    __trap();
  int64_t q_at = w.q * a->ld_q + w.head * a->hd, k_at = w.k * a->ld_kv + w.head * a->hd;
  w.query = attn_rows_of(a->q, a->q_dtype, q_at, a->ld_q, w.n_q);
  w.key = attn_rows_of(a->kv, a->kv_dtype, k_at + a->off_k, a->ld_kv, w.n_k);
  w.value = attn_rows_of(a->kv, a->kv_dtype, k_at + a->off_v, a->ld_kv, w.n_k);
  return w;
}

/* Whether the block has any of n_row rows of the segment; *first: the first of this thread's warp,
 * which may be behind them. */
template <typename W>
static __device__ __forceinline__ bool attn_has_rows(const attn_grid *g, int tile, int n_row,
                                                     int *first)
{
  int per_block = W::ROWS * g->n_warp;
  *first = tile * per_block;
  if (n_row > per_block * (int)g->n_tile)
    __trap();
  if (*first >= n_row)
    return false;
  *first += threadIdx.x / VK_WARP * W::ROWS;
  return true;
}

/* Zeros in those of the n_row rows of y, of width items, that are in no segment; by ATTN_REST
 * blocks behind the others. */
static __device__ __forceinline__ void attn_clear_rest(const attn *a, const attn_grid *g,
                                                       int64_t n_row, float *y, int64_t width)
{
  int64_t first = a->seg[0], end = a->seg[a->n_seg], n = (first + n_row - end) * width;
  int64_t i = (blockIdx.x - g->n_block) * blockDim.x + threadIdx.x;
  for (; i < n; i += (int64_t)ATTN_REST * blockDim.x) {
    int64_t r = i / width;
    y[(r < first ? r : r - first + end) * width + i % width] = 0;
  }
}

/* ---- products in f32 -------------------------------------------------------------------------
 * A warp's own rows lie in shared memory too; probabilities pass through it to the lanes that hold
 * other columns. Four lanes down, eight across. */

/* N floats, of which one side lies in shared memory at a multiple of their size, or of 16 bytes. */
template <int N> static __device__ __forceinline__ void attn_move(float *to, const float *from)
{
  if (N % 4 == 0) {
#pragma unroll
    for (int i = 0; i < N; i += 4)
      *(float4 *)(to + i) = *(const float4 *)(from + i);
  } else {
#pragma unroll
    for (int i = 0; i < N; i += 2)
      *(float2 *)(to + i) = *(const float2 *)(from + i);
  }
}

template <int D, int R, int N> struct attn_f32 {
  typedef float item;
  enum {
    ROWS = R, /* a warp's own */
    COLS = N, /* rows of a tile */
    I = R / 4,
    J = N / 8,
    C = D / 8,
    SPAN = 8, /* neighbours that hold one row */
    LD = D + 4,
    LD_P = R + 4,
    TILE = N * LD,  /* items of a tile */
    OWN = R * LD,   /* of a warp's own rows */
    ROOM = N * LD_P /* of what it needs beside them */
  };
  typedef const float *own;

  static __device__ __forceinline__ int row(int i)
  {
    return threadIdx.x % VK_WARP / 8 + 4 * i;
  }
  static __device__ __forceinline__ int column(int j)
  {
    return threadIdx.x % 8 + 8 * j;
  }
  static __device__ __forceinline__ int out(int c)
  {
    return c / 4 * 32 + threadIdx.x % 8 * 4 + c % 4;
  }

  /* n_row rows from `first` on by n_thread threads, of which this is i_thread; zeros where there
   * are none and behind the last column. They are there after vk_copies_wait. */
  static __device__ __forceinline__ void copy(float *to, const attn *a, const attn_rows *x,
                                              int first, int n_row, int i_thread, int n_thread)
  {
    for (int i = i_thread; i < n_row * (D / 4); i += n_thread) {
      int r = i / (D / 4), c = i % (D / 4) * 4;
      bool is_there = first + r < x->n && c < a->hd;
      const float *from = (const float *)x->x + (is_there ? x->at + (first + r) * x->ld + c : 0);
      float *at = to + r * LD + c;
      if (a->is_wide) {
        vk_copy_16(at, from, is_there);
        continue;
      }
#pragma unroll
      for (int v = 0; v < 4; v++)
        at[v] = is_there && c + v < a->hd ? from[v] : 0;
    }
  }
  static __device__ __forceinline__ void tile(float *to, const attn *a, const attn_rows *x,
                                              int first)
  {
    copy(to, a, x, first, N, threadIdx.x, blockDim.x);
  }
  static __device__ __forceinline__ own own_rows(float *room, const attn *a, const attn_rows *x,
                                                 int first)
  {
    copy(room, a, x, first, R, threadIdx.x % VK_WARP, VK_WARP);
    vk_copies_wait();
    __syncwarp();
    return room;
  }

  /* s = own tile' over hd columns */
  static __device__ __forceinline__ void products(float (*s)[J], const own &x, const float *t,
                                                  int hd)
  {
    const float *at = x + row(0) * LD, *bt = t + column(0) * LD;
#pragma unroll
    for (int i = 0; i < I; i++)
#pragma unroll
      for (int j = 0; j < J; j++)
        s[i][j] = 0;
#pragma unroll 1
    for (int c = 0; c < hd; c += 4) {
      float4 u[I], v[J];
#pragma unroll
      for (int i = 0; i < I; i++)
        u[i] = *(const float4 *)(at + 4 * i * LD + c);
#pragma unroll
      for (int j = 0; j < J; j++)
        v[j] = *(const float4 *)(bt + 8 * j * LD + c);
#pragma unroll
      for (int i = 0; i < I; i++)
#pragma unroll
        for (int j = 0; j < J; j++) {
          s[i][j] = fmaf(u[i].x, v[j].x, s[i][j]);
          s[i][j] = fmaf(u[i].y, v[j].y, s[i][j]);
          s[i][j] = fmaf(u[i].z, v[j].z, s[i][j]);
          s[i][j] = fmaf(u[i].w, v[j].w, s[i][j]);
        }
    }
  }

  /* o += s tile over n rows of the tile; room: ROOM items of this warp */
  static __device__ __forceinline__ void add(float (*o)[C], const float (*s)[J], float *room,
                                             const float *t, int n)
  {
    float *at = room + threadIdx.x % VK_WARP / 8 * I;
#pragma unroll
    for (int j = 0; j < J; j++) {
      __align__(16) float p[I];
#pragma unroll
      for (int i = 0; i < I; i++)
        p[i] = s[i][j];
      attn_move<I>(at + column(j) * LD_P, p);
    }
    __syncwarp();
#pragma unroll 2
    for (int k = 0; k < n; k++) {
      __align__(16) float p[I];
      attn_move<I>(p, at + k * LD_P);
#pragma unroll
      for (int c = 0; c < C; c += 4) {
        float4 v = *(const float4 *)(t + k * LD + out(c));
#pragma unroll
        for (int i = 0; i < I; i++) {
          o[i][c] = fmaf(p[i], v.x, o[i][c]);
          o[i][c + 1] = fmaf(p[i], v.y, o[i][c + 1]);
          o[i][c + 2] = fmaf(p[i], v.z, o[i][c + 2]);
          o[i][c + 3] = fmaf(p[i], v.w, o[i][c + 3]);
        }
      }
    }
    __syncwarp();
  }

  /* This lane's columns of a row, times factor. */
  static __device__ __forceinline__ void store(float *y, const attn *a, const float *o,
                                               float factor)
  {
#pragma unroll
    for (int c = 0; c < C; c += 4) {
      int at = out(c);
      if (a->is_wide && at < a->hd)
        *(float4 *)(y + at) =
            make_float4(factor * o[c], factor * o[c + 1], factor * o[c + 2], factor * o[c + 3]);
      else
#pragma unroll
        for (int k = 0; k < 4; k++)
          if (at + k < a->hd)
            y[at + k] = factor * o[c + k];
    }
  }
};

/* ---- products of bfloat16 --------------------------------------------------------------------
 * By the tensor cores, 16 own rows a warp, which it holds in registers. */

template <int D, int N> struct attn_bf16 {
  typedef uint16_t item;
  enum {
    ROWS = 16,
    COLS = N,
    I = 2,
    J = N / 4,
    C = D / 4,
    SPAN = 4,
    LD = D + 8, /* so that eight rows fall on different banks */
    TILE = N * LD,
    OWN = 0,
    ROOM = 0
  };
  typedef struct own {
    uint32_t x[D / 16][4];
  } own;

  static __device__ __forceinline__ int row(int i)
  {
    return threadIdx.x % VK_WARP / 4 + 8 * i;
  }
  static __device__ __forceinline__ int column(int j)
  {
    return j / 2 * 8 + threadIdx.x % 4 * 2 + j % 2;
  }
  static __device__ __forceinline__ int out(int c)
  {
    return column(c);
  }

  /* Items [c, c + 2) of a row, zero from hd on. */
  static __device__ __forceinline__ uint32_t pair(const attn *a, const attn_rows *x, int row, int c)
  {
    int64_t at = x->at + row * x->ld + c;
    if (row >= x->n || c >= a->hd)
      return 0;
    if (!a->is_wide)
      return vk_bf16_pair(vk_load(x->x, x->dtype, at),
                          c + 1 < a->hd ? vk_load(x->x, x->dtype, at + 1) : 0);
    if (x->dtype == VK_BF16)
      return *(const uint32_t *)((const uint16_t *)x->x + at);
    float2 v = *(const float2 *)((const float *)x->x + at);
    return vk_bf16_pair(v.x, v.y);
  }

  /* As attn_f32's copy, of a whole tile. */
  static __device__ __forceinline__ void tile(uint16_t *to, const attn *a, const attn_rows *x,
                                              int first)
  {
    bool is_as_it_lies = a->is_wide && x->dtype == VK_BF16;
    for (int i = threadIdx.x; i < N * (D / 8); i += blockDim.x) {
      int r = i / (D / 8), c = i % (D / 8) * 8;
      bool is_there = first + r < x->n && c < a->hd;
      int64_t at = is_there ? x->at + (first + r) * x->ld + c : 0;
      uint4 v;
      if (is_as_it_lies) {
        vk_copy_16(to + r * LD + c, (const uint16_t *)x->x + at, is_there);
        continue;
      }
      if (a->is_wide && is_there && x->dtype == VK_F32) {
        const float4 *from = (const float4 *)((const float *)x->x + at);
        float4 lo = from[0], hi = from[1];
        v = make_uint4(vk_bf16_pair(lo.x, lo.y), vk_bf16_pair(lo.z, lo.w), vk_bf16_pair(hi.x, hi.y),
                       vk_bf16_pair(hi.z, hi.w));
      } else {
        v = make_uint4(pair(a, x, first + r, c), pair(a, x, first + r, c + 2),
                       pair(a, x, first + r, c + 4), pair(a, x, first + r, c + 6));
      }
      *(uint4 *)(to + r * LD + c) = v;
    }
  }

  static __device__ __forceinline__ own own_rows(uint16_t *room, const attn *a, const attn_rows *x,
                                                 int first)
  {
    own y;
    (void)room;
#pragma unroll
    for (int k = 0; k < D / 16; k++)
#pragma unroll
      for (int i = 0; i < 4; i++)
        y.x[k][i] = pair(a, x, first + row(i % 2), 16 * k + column(i / 2 * 2));
    return y;
  }

  static __device__ __forceinline__ void products(float (*s)[J], const own &x, const uint16_t *t,
                                                  int hd)
  {
    int lane = threadIdx.x % VK_WARP;
    const uint16_t *at = t + (lane / 16 * 8 + lane % 8) * LD + lane / 8 % 2 * 8;
#pragma unroll
    for (int n = 0; n < N / 16; n++) {
      float sum[2][4] = {{0, 0, 0, 0}, {0, 0, 0, 0}};
#pragma unroll
      for (int k = 0; k < D / 16; k++)
        if (16 * k < hd) {
          uint32_t b[4];
          vk_load_matrices<false>(b, at + 16 * n * LD + 16 * k);
          vk_mma_bf16(sum[0], x.x[k], b[0], b[1]);
          vk_mma_bf16(sum[1], x.x[k], b[2], b[3]);
        }
#pragma unroll
      for (int i = 0; i < 8; i++)
        s[i % 4 / 2][4 * n + i / 4 * 2 + i % 2] = sum[i / 4][i % 4];
    }
  }

  static __device__ __forceinline__ void add(float (*o)[C], const float (*s)[J], uint16_t *room,
                                             const uint16_t *t, int n)
  {
    int lane = threadIdx.x % VK_WARP;
    const uint16_t *at = t + (lane / 8 % 2 * 8 + lane % 8) * LD + lane / 16 * 8;
    (void)room;
#pragma unroll
    for (int k = 0; k < N / 16; k++)
      if (16 * k < n) {
        uint32_t x[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
          x[i] = vk_bf16_pair(s[i % 2][4 * k + i / 2 * 2], s[i % 2][4 * k + i / 2 * 2 + 1]);
#pragma unroll
        for (int c = 0; c < D / 16; c++) {
          uint32_t b[4];
          float sum[2][4];
          vk_load_matrices<true>(b, at + 16 * k * LD + 16 * c);
#pragma unroll
          for (int i = 0; i < 8; i++)
            sum[i / 4][i % 4] = o[i % 4 / 2][4 * c + i / 4 * 2 + i % 2];
          vk_mma_bf16(sum[0], x, b[0], b[1]);
          vk_mma_bf16(sum[1], x, b[2], b[3]);
#pragma unroll
          for (int i = 0; i < 8; i++)
            o[i % 4 / 2][4 * c + i / 4 * 2 + i % 2] = sum[i / 4][i % 4];
        }
      }
  }

  static __device__ __forceinline__ void store(float *y, const attn *a, const float *o,
                                               float factor)
  {
#pragma unroll
    for (int c = 0; c < C; c += 2) {
      int at = out(c);
      if (a->is_wide && at < a->hd) {
        *(float2 *)(y + at) = make_float2(factor * o[c], factor * o[c + 1]);
      } else {
        if (at < a->hd)
          y[at] = factor * o[c];
        if (at + 1 < a->hd)
          y[at + 1] = factor * o[c + 1];
      }
    }
  }
};

/* ---- over the lanes that hold a row ---------------------------------------------------------- */

/* Largest x of those lanes; all get it. */
template <typename W> static __device__ __forceinline__ float attn_row_max(float x)
{
  return vk_lanes_all<vk_most, W::SPAN>(x);
}

/* Sum of x over them; all get it. */
template <typename W> static __device__ __forceinline__ float attn_row_sum(float x)
{
  return vk_lanes_all<vk_plus, W::SPAN>(x);
}

/* Scores of columns from n on, which are in no row, become those of probability 0. */
template <typename W> static __device__ __forceinline__ void attn_mask(float (*s)[W::J], int n)
{
  if (n >= W::COLS)
    return;
#pragma unroll
  for (int i = 0; i < W::I; i++)
#pragma unroll
    for (int j = 0; j < W::J; j++)
      s[i][j] = W::column(j) < n ? s[i][j] : -INFINITY;
}

/* The one lane that writes what a row has once. */
template <typename W> static __device__ __forceinline__ bool attn_is_first()
{
  return threadIdx.x % W::SPAN == 0;
}

/* ---- a block's shared memory -----------------------------------------------------------------
 * Two tiles; for every warp its own rows, n_own times, and room; `more` bytes of the kernel's. */

/* Bytes without `more`. */
template <typename W> static __host__ __device__ constexpr size_t attn_shared(int n_own, int n_warp)
{
  return sizeof(typename W::item) * (size_t)(2 * W::TILE + n_warp * (n_own * W::OWN + W::ROOM));
}

/* Warps for which that is there. */
template <typename W> static constexpr int attn_warps(int n_own, size_t more)
{
  int n = ATTN_WARPS;
  while (n > 1 && attn_shared<W>(n_own, n) + more > ATTN_SHARED)
    n--;
  return n;
}

/* Own rows of this thread's warp. */
template <typename W>
static __device__ __forceinline__ typename W::item *attn_own(typename W::item *shared, int n_own)
{
  return shared + 2 * W::TILE + threadIdx.x / VK_WARP * (n_own * W::OWN + W::ROOM);
}

/* Rows [t, t + COLS) of x and y into the tiles, once all are through with what was there; how many
 * there are. A barrier before they are read is the caller's. */
template <typename W>
static __device__ __forceinline__ int attn_tiles(typename W::item *shared, const attn *a,
                                                 const attn_rows *x, const attn_rows *y, int t)
{
  int n = x->n - t < W::COLS ? x->n - t : W::COLS;
  __syncthreads();
  W::tile(shared, a, x, t);
  W::tile(shared + W::TILE, a, y, t);
  vk_copies_wait();
  return n;
}

/* ---- launches -------------------------------------------------------------------------------- */

/* Starts kernel(args...) with g's blocks and, with has_rest, those that clear. */
template <typename... P, typename... A>
static cudaError_t attn_launch(const vk_cuda_call *c, void (*kernel)(P...), const attn_grid *g,
                               bool has_rest, size_t shared, A... args)
{
  int64_t n_block = g->n_block + (has_rest ? ATTN_REST : 0);
  if (n_block == 0)
    return cudaSuccess;
  if (n_block > INT32_MAX)
    return cudaErrorInvalidConfiguration;
  return vk_launch(kernel, dim3((unsigned)n_block), dim3((unsigned)g->n_warp * VK_WARP), shared,
                   c->stream, args...);
}

#endif
