/* op_attention_grad.cu - gradients of attention. With p = exp(s - lse) and D = sum of dy y over a
 * query's channels: dv = p' dy, ds = p (dy v' - D), dq = ds k scale, dk = ds' q scale. One kernel
 * has queries and goes through their keys, for dq and D; then one has keys and goes through their
 * queries, for dk and dv. Both compute p again: nobody adds to what others add to. Of factors
 * rounded to bfloat16 are, as on a CPU, q, k, v, dy, p and ds.
 * Source: Dao et al. 2022, arXiv:2205.14135, algorithm 4.
 *
 * Test: tests/unit/test_cuda_ops.c */
#include "cuda/attention.h"

/* Inputs and outputs; rows of dy and y as those of the output of attention. */
typedef struct attn_grads {
  const float *dy, *y, *lse;
  float *dot;      /* [queries, heads] D, in scratch */
  float *dq, *dkv; /* rows as those of q and kv */
} attn_grads;

static __device__ __forceinline__ attn_rows dy_rows(const attn *a, const attn_work *w,
                                                    const attn_grads *x)
{
  return attn_rows_of(x->dy, VK_F32, w->q * a->d + w->head * a->hd, a->d, w->n_q);
}

template <typename W>
static __global__ void __launch_bounds__(ATTN_WARPS *VK_WARP)
    grad_queries(attn a, attn_grid g, attn_grads x)
{
  VK_SHARED(typename W::item, shared);
  typename W::item *kt = shared, *vt = kt + W::TILE, *own = attn_own<W>(shared, 2);
  if (blockIdx.x >= g.n_block) {
    attn_clear_rest(&a, &g, a.n_query, x.dq, a.ld_q);
    return;
  }
  attn_work w = attn_work_of(&a, &g);
  int first;
  if (!attn_has_rows<W>(&g, w.tile, w.n_q, &first))
    return;
  attn_rows dys = dy_rows(&a, &w, &x);
  typename W::own q = W::own_rows(own, &a, &w.query, first);
  typename W::own dy = W::own_rows(own + W::OWN, &a, &dys, first);
  float minus[W::I], dot[W::I], dq[W::I][W::C], f2 = a.scale * ATTN_LOG2E;
#pragma unroll
  for (int i = 0; i < W::I; i++) {
    bool is_there = first + W::row(i) < w.n_q;
    int64_t row = w.q + first + W::row(i), at = row * a.n_head + w.head;
    dot[i] = 0;
#pragma unroll
    for (int c = 0; c < W::C; c++) {
      int64_t item = row * a.d + w.head * a.hd + W::out(c);
      dq[i][c] = 0;
      if (is_there && W::out(c) < a.hd)
        dot[i] = fmaf(x.dy[item], x.y[item], dot[i]);
    }
    dot[i] = attn_row_sum<W>(dot[i]);
    minus[i] = is_there ? x.lse[at] * -ATTN_LOG2E : 0;
    if (is_there && attn_is_first<W>())
      x.dot[at] = dot[i];
  }
  for (int t = 0; t < w.n_k; t += W::COLS) {
    int n = attn_tiles<W>(shared, &a, &w.key, &w.value, t);
    __syncthreads();
    if (first >= w.n_q)
      continue;
    float s[W::I][W::J], dp[W::I][W::J];
    W::products(s, q, kt, a.hd);
    W::products(dp, dy, vt, a.hd);
    attn_mask<W>(s, n);
#pragma unroll
    for (int i = 0; i < W::I; i++)
#pragma unroll
      for (int j = 0; j < W::J; j++)
        s[i][j] = exp2f(fmaf(s[i][j], f2, minus[i])) * (dp[i][j] - dot[i]);
    W::add(dq, s, own + 2 * W::OWN, kt, n);
  }
#pragma unroll
  for (int i = 0; i < W::I; i++)
    if (first + W::row(i) < w.n_q)
      W::store(x.dq + (w.q + first + W::row(i)) * a.ld_q + w.head * a.hd, &a, dq[i], a.scale);
}

template <typename W>
static __global__ void __launch_bounds__(ATTN_WARPS *VK_WARP)
    grad_keys(attn a, attn_grid g, attn_grads x)
{
  VK_SHARED(typename W::item, shared);
  typename W::item *qt = shared, *dyt = qt + W::TILE, *own = attn_own<W>(shared, 2);
  float *minus = (float *)((char *)shared + attn_shared<W>(2, g.n_warp)), *dot = minus + W::COLS;
  if (blockIdx.x >= g.n_block) {
    attn_clear_rest(&a, &g, a.n_key, x.dkv, a.ld_kv);
    return;
  }
  attn_work w = attn_work_of(&a, &g);
  int first;
  if (!attn_has_rows<W>(&g, w.tile, w.n_k, &first))
    return;
  attn_rows dys = dy_rows(&a, &w, &x);
  typename W::own k = W::own_rows(own, &a, &w.key, first);
  typename W::own v = W::own_rows(own + W::OWN, &a, &w.value, first);
  float dk[W::I][W::C], dv[W::I][W::C], f2 = a.scale * ATTN_LOG2E;
#pragma unroll
  for (int i = 0; i < W::I; i++)
#pragma unroll
    for (int c = 0; c < W::C; c++)
      dk[i][c] = dv[i][c] = 0;
  for (int t = 0; t < w.n_q; t += W::COLS) {
    int n = attn_tiles<W>(shared, &a, &w.query, &dys, t);
    for (int i = threadIdx.x; i < W::COLS; i += blockDim.x) {
      int64_t at = (w.q + t + i) * a.n_head + w.head;
      minus[i] = i < n ? x.lse[at] * -ATTN_LOG2E : -INFINITY; /* probability 0 */
      dot[i] = i < n ? x.dot[at] : 0;
    }
    __syncthreads();
    if (first >= w.n_k)
      continue;
    float p[W::I][W::J], ds[W::I][W::J];
    W::products(p, k, qt, a.hd);
    W::products(ds, v, dyt, a.hd);
#pragma unroll
    for (int j = 0; j < W::J; j++) {
      int column = W::column(j);
      float m = minus[column], d = dot[column];
#pragma unroll
      for (int i = 0; i < W::I; i++) {
        p[i][j] = exp2f(fmaf(p[i][j], f2, m));
        ds[i][j] = p[i][j] * (ds[i][j] - d);
      }
    }
    W::add(dv, p, own + 2 * W::OWN, dyt, n);
    W::add(dk, ds, own + 2 * W::OWN, qt, n);
  }
#pragma unroll
  for (int i = 0; i < W::I; i++)
    if (first + W::row(i) < w.n_k) {
      float *y = x.dkv + (w.k + first + W::row(i)) * a.ld_kv + w.head * a.hd;
      W::store(y + a.off_k, &a, dk[i], a.scale);
      W::store(y + a.off_v, &a, dv[i], 1);
    }
}

/* Both kernels own rows twice. */
template <typename W> static attn_grid grid_of(const attn *a, int64_t most)
{
  return attn_grid_of(a, most, W::ROWS, attn_warps<W>(2, 2 * W::COLS * sizeof(float)));
}

template <typename W>
static cudaError_t start(const vk_cuda_call *c, const attn *a, const attn_grads *x,
                         void (*kernel)(attn, attn_grid, attn_grads), int64_t most, bool has_rest)
{
  attn_grid g = grid_of<W>(a, most);
  size_t shared = attn_shared<W>(2, g.n_warp) + 2 * W::COLS * sizeof(float);
  return attn_launch(c, kernel, &g, has_rest, shared, *a, g, *x);
}

/* QUERIES and KEYS: the warps of either kernel. */
template <typename QUERIES, typename KEYS>
static cudaError_t start_both(const vk_cuda_call *c, const attn *a, const attn_grads *x)
{
  bool is_self = !attn_has(c->op, 4);
  VK_CUDA_TRY(start<QUERIES>(c, a, x, grad_queries<QUERIES>, attn_most_queries(c->op, a),
                             a->seg && !a->len_q));
  return start<KEYS>(c, a, x, grad_keys<KEYS>, attn_most_keys(c->op, a), a->seg && !is_self);
}

/* Warps of many rows, FEW of them where there are not enough for all; tiles of up to 8 queries
 * where there are no more. */
template <int D, int MANY>
static cudaError_t start_f32(const vk_cuda_call *c, const attn *a, const attn_grads *x)
{
  enum { FEW = 8 };
  int64_t n_q = attn_most_queries(c->op, a), n_k = attn_most_keys(c->op, a);
  bool is_few = n_q < MANY || grid_of<attn_f32<D, MANY, 32>>(a, n_q).n_block < ATTN_FEW;
  if (n_q <= 8 && n_k >= MANY)
    return start_both<attn_f32<D, FEW, 32>, attn_f32<D, MANY, 8>>(c, a, x);
  if (is_few)
    return start_both<attn_f32<D, FEW, 32>, attn_f32<D, FEW, 32>>(c, a, x);
  return start_both<attn_f32<D, MANY, 32>, attn_f32<D, MANY, 32>>(c, a, x);
}

cudaError_t vk_cuda_run_attention_grad(const vk_cuda_call *c)
{
  attn a = attn_of(c->op, 3);
  attn_grads x;
  x.dy = (const float *)c->op->in[0].data;
  x.y = (const float *)c->op->in[1].data;
  x.lse = (const float *)c->op->in[2].data;
  x.dot = (float *)c->op->scratch;
  x.dq = (float *)c->op->out[0].data;
  x.dkv = attn_has(c->op, 4) ? (float *)c->op->out[1].data : x.dq;
  if (a.hd > ATTN_HD_MAX)
    return cudaErrorNotSupported;
  if (c->op->attr->dtype == VK_BF16)
    return a.hd <= 32   ? start_both<attn_bf16<32, 32>, attn_bf16<32, 32>>(c, &a, &x)
           : a.hd <= 64 ? start_both<attn_bf16<64, 32>, attn_bf16<64, 32>>(c, &a, &x)
                        : start_both<attn_bf16<128, 32>, attn_bf16<128, 32>>(c, &a, &x);
  return a.hd <= 32   ? start_f32<32, 16>(c, &a, &x)
         : a.hd <= 64 ? start_f32<64, 8>(c, &a, &x)
                      : start_f32<128, 8>(c, &a, &x);
}

size_t vk_cuda_scratch_attention_grad(const vk_op_call *op)
{
  return (size_t)vk_shape_n_item(&op->in[2].shape) * sizeof(float);
}
