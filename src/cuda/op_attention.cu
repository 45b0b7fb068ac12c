/* op_attention.cu - y = softmax(q k' / sqrt(hd)) v in each segment of rows and each head. A warp
 * goes once through the keys, tile by tile: when a tile brings a greater score, what it has summed
 * up so far is scaled down. Of factors rounded to bfloat16 are, as on a CPU, q, k, v and the
 * exponentials; these relative to the greatest score so far.
 * Source: Dao et al. 2022, arXiv:2205.14135, algorithm 1.
 *
 * Test: tests/unit/test_cuda_ops.c */
#include "cuda/attention.h"

template <typename W>
static __global__ void __launch_bounds__(ATTN_WARPS *VK_WARP)
    attend(attn a, attn_grid g, float *y, float *lse)
{
  VK_SHARED(typename W::item, shared);
  typename W::item *kt = shared, *vt = kt + W::TILE, *own = attn_own<W>(shared, 1);
  if (blockIdx.x >= g.n_block) {
    attn_clear_rest(&a, &g, a.n_query, y, a.d);
    attn_clear_rest(&a, &g, a.n_query, lse, a.n_head);
    return;
  }
  attn_work w = attn_work_of(&a, &g);
  int first;
  if (!attn_has_rows<W>(&g, w.tile, w.n_q, &first))
    return;
  typename W::own q = W::own_rows(own, &a, &w.query, first);
  float most[W::I], sum[W::I], o[W::I][W::C], f2 = a.scale * ATTN_LOG2E;
#pragma unroll
  for (int i = 0; i < W::I; i++) {
    most[i] = -INFINITY;
    sum[i] = 0;
#pragma unroll
    for (int c = 0; c < W::C; c++)
      o[i][c] = 0;
  }
  for (int t = 0; t < w.n_k; t += W::COLS) {
    int n = attn_tiles<W>(shared, &a, &w.key, &w.value, t);
    __syncthreads();
    if (first >= w.n_q)
      continue;
    float s[W::I][W::J];
    W::products(s, q, kt, a.hd);
    attn_mask<W>(s, n);
#pragma unroll
    for (int i = 0; i < W::I; i++) {
      float best = most[i];
#pragma unroll
      for (int j = 0; j < W::J; j++)
        best = fmaxf(best, s[i][j]);
      best = attn_row_max<W>(best);
      float less = exp2f((most[i] - best) * f2), minus = -best * f2;
      most[i] = best;
      sum[i] *= less;
#pragma unroll
      for (int c = 0; c < W::C; c++)
        o[i][c] *= less;
#pragma unroll
      for (int j = 0; j < W::J; j++) {
        s[i][j] = exp2f(fmaf(s[i][j], f2, minus));
        sum[i] += s[i][j];
      }
    }
    W::add(o, s, own + W::OWN, vt, n);
  }
#pragma unroll
  for (int i = 0; i < W::I; i++) {
    float all = attn_row_sum<W>(sum[i]);
    int64_t row = w.q + first + W::row(i);
    if (first + W::row(i) >= w.n_q)
      continue;
    W::store(y + row * a.d + w.head * a.hd, &a, o[i], w.n_k ? 1 / all : 0);
    if (attn_is_first<W>())
      lse[row * a.n_head + w.head] = w.n_k ? most[i] * a.scale + logf(all) : 0;
  }
}

template <typename W> static cudaError_t start(const vk_cuda_call *c, const attn *a, int64_t most)
{
  attn_grid g = attn_grid_of(a, most, W::ROWS, attn_warps<W>(1, 0));
  return attn_launch(c, attend<W>, &g, a->seg && !a->len_q, attn_shared<W>(1, g.n_warp), *a, g,
                     (float *)c->op->out[0].data, (float *)c->op->out[1].data);
}

/* Warps of many rows reuse more of what they read, where there are enough rows for all. */
template <typename FEW, typename MANY>
static cudaError_t start_one(const vk_cuda_call *c, const attn *a, int64_t most)
{
  attn_grid g = attn_grid_of(a, most, MANY::ROWS, attn_warps<MANY>(1, 0));
  return most < MANY::ROWS || g.n_block < ATTN_FEW ? start<FEW>(c, a, most)
                                                   : start<MANY>(c, a, most);
}

cudaError_t vk_cuda_run_attention(const vk_cuda_call *c)
{
  attn a = attn_of(c->op, 0);
  int64_t most = attn_most_queries(c->op, &a);
  if (a.hd > ATTN_HD_MAX)
    return cudaErrorNotSupported;
  if (c->op->attr->dtype == VK_BF16)
    return a.hd <= 32   ? start<attn_bf16<32, 64>>(c, &a, most)
           : a.hd <= 64 ? start<attn_bf16<64, 64>>(c, &a, most)
                        : start<attn_bf16<128, 64>>(c, &a, most);
  return a.hd <= 32   ? start_one<attn_f32<32, 8, 32>, attn_f32<32, 32, 32>>(c, &a, most)
         : a.hd <= 64 ? start_one<attn_f32<64, 8, 32>, attn_f32<64, 16, 32>>(c, &a, most)
                      : start<attn_f32<128, 8, 32>>(c, &a, most);
}

size_t vk_cuda_scratch_attention(const vk_op_call *op)
{
  (void)op;
  return 0;
}
