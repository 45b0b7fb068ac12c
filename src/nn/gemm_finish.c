/* gemm_finish.c - what becomes of the sums of a tile: scale, bias, activation, residual. */
#include "core/err.h"
#include "nn/gemm_bf16.h"
#include "nn/gemm_kernel.h"

enum { ROW = 128 }; /* columns of a tile, at most, on every path */

/* The first of some rows; the next of each kind is ld_* behind. */
typedef struct rows {
  const float *sum, *add, *bias, *residual;
  const float *slope_at; /* what the activation had, of which the slope is a factor */
  float *c, *pre;
  int64_t ld_sum, ld_add, ld_residual, ld_pre, ld_c;
  vf scale;
  bool is_gelu;
} rows;

/* Column e and the lanes behind it, n of them. Inlining makes null pointers of r constants. */
VK_INLINE void finish_lanes(const rows *r, int64_t e, int n, int is_whole)
{
#define LOAD(p) (is_whole ? vf_load((p) + e) : vf_load_n((p) + e, n))
  vf x = vf_load(r->sum + e);
  x = r->add ? vf_fma(r->scale, x, LOAD(r->add)) : r->scale * x;
  if (r->bias)
    x = x + LOAD(r->bias);
  if (r->pre && is_whole)
    vf_store(r->pre + e, x);
  else if (r->pre)
    vf_store_n(r->pre + e, x, n);
  if (r->is_gelu)
    x = vf_gelu(x);
  if (r->slope_at)
    x = x * vf_gelu_gradient(LOAD(r->slope_at));
  if (r->residual)
    x = x + LOAD(r->residual);
  if (is_whole)
    vf_store(r->c + e, x);
  else
    vf_store_n(r->c + e, x, n);
#undef LOAD
}

VK_INLINE void finish_rows(rows r, int64_t m_r, int64_t n)
{
  for (; m_r > 0; m_r--) {
    int64_t e = 0;
    for (; e + VK_LANES <= n; e += VK_LANES)
      finish_lanes(&r, e, VK_LANES, 1);
    if (e < n)
      finish_lanes(&r, e, (int)(n - e), 0);
    r.sum += r.ld_sum;
    r.c += r.ld_c;
    if (r.add)
      r.add += r.ld_add;
    if (r.residual)
      r.residual += r.ld_residual;
    if (r.pre)
      r.pre += r.ld_pre;
    if (r.slope_at)
      r.slope_at += r.ld_pre;
  }
}

/* Whole tiles of one panel with no more than something to add, which most are: c = add + scale sum.
 */
VK_INLINE void finish_plain(const float *sum, int64_t m_r, const float *add, int64_t ld_add,
                            float *c, int64_t ld_c, vf scale)
{
  for (; m_r > 0; m_r--, sum += GEMM_NR, c += ld_c) {
#pragma GCC unroll 4
    for (int v = 0; v < GEMM_NR; v += VK_LANES) {
      vf x = vf_load(sum + v);
      vf_store(c + v, add ? vf_fma(scale, x, vf_load(add + v)) : scale * x);
    }
    if (add)
      add += ld_add;
  }
}

void gemm_finish(const vk_gemm *g, const float *tile, int64_t ld, int64_t i, int64_t m_r, int64_t j,
                 int64_t n_j, int is_first, int is_last)
{
  bool is_late = g->act != VK_GEMM_ACT_NONE; /* the residual is added behind the activation */
  const float *add = is_first ? is_late ? NULL : g->residual : g->c;
  int64_t ld_add = is_first ? g->ldr : g->ldc;
  vf scale = vf_set1(g->scale == 0 ? 1.0f : g->scale);
  if (n_j == GEMM_NR && ld == GEMM_NR && !g->c_bf16 && !(is_last && (is_late || g->bias))) {
    float *c = g->c + i * g->ldc + j;
    if (add)
      finish_plain(tile, m_r, add + i * ld_add + j, ld_add, c, g->ldc, scale);
    else
      finish_plain(tile, m_r, NULL, 0, c, g->ldc, scale);
    return;
  }
  const float *bias = is_last && g->bias ? g->bias + j : NULL;
  const float *residual = is_last && is_late ? g->residual : NULL;
  float *pre = is_last ? g->pre : NULL;
  float rounded[ROW];
  VK_ASSERT(!g->c_bf16 || (is_first && is_last && n_j <= ROW));
  int64_t n = g->c_bf16 ? 1 : m_r; /* rows at a time */
  add = add ? add + i * ld_add + j : NULL;
  residual = residual ? residual + i * g->ldr + j : NULL;
  pre = pre ? pre + i * g->ldpre + j : NULL;
  for (int64_t e = 0; e < m_r; e += n) {
    /* a loop for each case, in which what it lacks is known to be NULL */
    rows r = {
        .sum = tile + e * ld, .ld_sum = ld, .ld_c = g->ldc, .ld_pre = g->ldpre, .scale = scale};
    r.c = g->c_bf16 ? rounded : g->c + i * g->ldc + j;
    r.ld_add = ld_add;
    r.ld_residual = g->ldr;
    if (add)
      r.add = add + e * ld_add;
    if (is_last && is_late) {
      r.bias = bias;
      if (residual)
        r.residual = residual + e * g->ldr;
      if (g->act == VK_GEMM_ACT_GELU_GRAD) {
        r.slope_at = pre + e * g->ldpre;
        finish_rows(r, n, n_j);
      } else {
        r.pre = pre ? pre + e * g->ldpre : NULL;
        r.is_gelu = true;
        finish_rows(r, n, n_j);
      }
    } else if (add && bias) {
      r.bias = bias;
      finish_rows(r, n, n_j);
    } else if (add) {
      finish_rows(r, n, n_j);
    } else if (bias) {
      r.bias = bias;
      finish_rows(r, n, n_j);
    } else {
      finish_rows(r, n, n_j);
    }
    if (g->c_bf16)
      VK_KERNEL(vk_gemm_bf16_round)(rounded, n_j, g->c_bf16 + (i + e) * g->ldc + j);
  }
}
