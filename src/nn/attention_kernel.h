/* attention_kernel.h - the innermost loops of attention, over simd.h.
 *
 * Queries are in the lanes. Scores of a block of up to ATTN_QB queries against all keys of a
 * segment are s[key * ATTN_QB + query], so that the greatest and the sum over keys need no
 * exchange of lanes, keys are read as they lie, and s is a transposed operand of the next product.
 * Queries of a block are transposed, in panels of ATTN_NR: qt[panel][channel][ATTN_NR].
 *
 * A tile of m_r rows and n_v vectors stays in registers; one function for each size. Arrays of
 * vectors here are registers: loops over them are unrolled. Each item is one chain of
 * multiply-adds from 0 in rising order, whatever the tile.
 * Test: tests/unit/test_ops.c */
#ifndef VK_NN_ATTENTION_KERNEL_H
#define VK_NN_ATTENTION_KERNEL_H

#include "nn/attention.h"
#include "nn/simd.h"
#include "nn/transpose.h"

#if defined(__AVX512F__)
enum { ATTN_MR = 14 };
#elif defined(__AVX2__)
enum { ATTN_MR = 6 };
#else
enum { ATTN_MR = 4 };
#endif
enum { ATTN_NV = 2, ATTN_NR = ATTN_NV * VK_LANES, ATTN_QB = 32, ATTN_PAD = 16 };

#define ATTN_LOG2E 1.44269504088896341f

/* X(n_r, n_v): the tiles of this path */
#define ATTN_TILES_4(X)  X(1, 1) X(1, 2) X(2, 1) X(2, 2) X(3, 1) X(3, 2) X(4, 1) X(4, 2)
#define ATTN_TILES_6(X)  ATTN_TILES_4(X) X(5, 1) X(5, 2) X(6, 1) X(6, 2)
#define ATTN_TILES_9(X)  ATTN_TILES_6(X) X(7, 1) X(7, 2) X(8, 1) X(8, 2) X(9, 1) X(9, 2)
#define ATTN_TILES_12(X) ATTN_TILES_9(X) X(10, 1) X(10, 2) X(11, 1) X(11, 2) X(12, 1) X(12, 2)
#define ATTN_TILES_14(X) ATTN_TILES_12(X) X(13, 1) X(13, 2) X(14, 1) X(14, 2)
#if defined(__AVX512F__)
#define ATTN_TILES(X) ATTN_TILES_14(X)
#elif defined(__AVX2__)
#define ATTN_TILES(X) ATTN_TILES_6(X)
#else
#define ATTN_TILES(X) ATTN_TILES_4(X)
#endif

typedef vf attn_tile[ATTN_MR][ATTN_NV];

/* c = sum over i < k of a[r, i] b[i, v]; rows of b are sb floats apart. a by rows: a[r * sa + i];
 * by columns: a[i * sa + r]. */
VK_INLINE void attn_by_row(int m_r, int n_v, int64_t k, const float *a, int64_t sa, const float *b,
                           int64_t sb, attn_tile c)
{
  /* three rows to a pointer: addresses have factors of 1 and 2 */
  const float *a0 = a, *a1 = a + 3 * sa, *a2 = a + 6 * sa, *a3 = a + 9 * sa, *a4 = a + 12 * sa;
  for (int64_t i = 0; i < k; i++) {
    vf bv[ATTN_NV];
#pragma GCC unroll 16
    for (int v = 0; v < n_v; v++)
      bv[v] = vf_load(b + i * sb + v * VK_LANES);
#pragma GCC unroll 16
    for (int r = 0; r < m_r; r++) {
      const float *p = r < 3 ? a0 : r < 6 ? a1 : r < 9 ? a2 : r < 12 ? a3 : a4;
      vf ar = vf_set1(p[r % 3 * sa + i]);
#pragma GCC unroll 16
      for (int v = 0; v < n_v; v++)
        c[r][v] = vf_fma(ar, bv[v], c[r][v]);
    }
  }
}

VK_INLINE void attn_by_column(int m_r, int n_v, int64_t k, const float *a, int64_t sa,
                              const float *b, int64_t sb, attn_tile c)
{
  for (int64_t i = 0; i < k; i++) {
    vf bv[ATTN_NV];
#pragma GCC unroll 16
    for (int v = 0; v < n_v; v++)
      bv[v] = vf_load(b + i * sb + v * VK_LANES);
#pragma GCC unroll 16
    for (int r = 0; r < m_r; r++) {
      vf ar = vf_set1(a[i * sa + r]);
#pragma GCC unroll 16
      for (int v = 0; v < n_v; v++)
        c[r][v] = vf_fma(ar, bv[v], c[r][v]);
    }
  }
}

VK_INLINE void attn_clear(int m_r, int n_v, attn_tile c)
{
#pragma GCC unroll 16
  for (int r = 0; r < m_r; r++)
#pragma GCC unroll 16
    for (int v = 0; v < n_v; v++)
      c[r][v] = vf_zero();
}

/* y[r * ld + j] = scale[r] c for n_c columns */
VK_INLINE void attn_store(int m_r, int n_v, attn_tile c, const float *scale, float *y, int64_t ld,
                          int64_t n_c)
{
#pragma GCC unroll 16
  for (int r = 0; r < m_r; r++)
#pragma GCC unroll 16
    for (int v = 0; v < n_v; v++) {
      vf x = c[r][v] * vf_set1(scale[r]);
      float *out = y + r * ld + v * VK_LANES;
      if (n_c >= (v + 1) * VK_LANES)
        vf_store(out, x);
      else
        vf_store_n(out, x, (int)n_c - v * VK_LANES);
    }
}

/* 2^x for x up to about 1, within 2e-7 of its value; at least 2^-126 on AVX2. x minus a whole
 * number, then a polynomial fitted to the least greatest relative error, 7.5e-8 before rounding. */
VK_INLINE vf attn_exp2(vf x)
{
#if defined(__AVX512F__)
  vf r = _mm512_reduce_ps(x, 1); /* x - floor x; scalef takes the floor itself */
  vf p = vf_fma(vf_set1(1.8775767e-3f), r, vf_set1(8.98934063e-3f));
  p = vf_fma(p, r, vf_set1(5.58263175e-2f));
  p = vf_fma(p, r, vf_set1(2.40153611e-1f));
  p = vf_fma(p, r, vf_set1(6.93153083e-1f));
  p = vf_fma(p, r, vf_set1(0.99999994f));
  return _mm512_scalef_ps(p, x);
#else
  /* at 1.5 * 2^23 the last bit of a float is 1 */
  const vf big = vf_set1(12582912.0f);
  x = vf_max(vf_set1(-126.0f), x);
  vf t = x + big, r = x - (t - big);
  vf p = vf_fma(vf_set1(1.32764725e-3f), r, vf_set1(9.67554096e-3f));
  p = vf_fma(p, r, vf_set1(5.55071309e-2f));
  p = vf_fma(p, r, vf_set1(2.40221202e-1f));
  p = vf_fma(p, r, vf_set1(6.93146944e-1f));
  p = vf_fma(p, r, vf_set1(1.00000012f));
  return vf_from_bits((vi)((vu)vf_bits(p) + ((vu)vf_bits(t) << 23)));
#endif
}

/* ---- in bfloat16 ------------------------------------------------------------------------------
 * Products of gemm_bf16.h take many queries at once: s[key * ld + query]. */

/* Rows of hd items, ld apart, of a tensor in f32 or bf16: one of both is there. */
typedef struct attn_rows {
  const float *f32;
  const uint16_t *bf16;
  int64_t ld;
} attn_rows;

VK_INLINE attn_rows attn_rows_at(const vk_tensor *t, int64_t at, int64_t ld)
{
  if (t->dtype == VK_BF16)
    return (attn_rows){.bf16 = (const uint16_t *)t->data + at, .ld = ld};
  return (attn_rows){.f32 = (const float *)t->data + at, .ld = ld};
}

enum { ATTN_QB_BF16 = 256 };

/* Distance of rows of scores, of up to n_q queries in all. */
VK_INLINE int64_t attn_ld_bf16(int64_t n_q)
{
  return n_q < ATTN_QB_BF16 ? (n_q + ATTN_PAD - 1) / ATTN_PAD * ATTN_PAD : ATTN_QB_BF16;
}

/* s[key, query] = k q'. */
VK_INLINE void attn_scores_bf16(const vk_op_call *c, int64_t hd, attn_rows k, int64_t n_k,
                                attn_rows q, int64_t n_q, float *s, int64_t ld, void *scratch)
{
  const vk_gemm g = {.m = n_k,
                     .n = n_q,
                     .k = hd,
                     .a = k.f32,
                     .a_bf16 = k.bf16,
                     .lda = k.ld,
                     .b = q.f32,
                     .b_bf16 = q.bf16,
                     .ldb = q.ld,
                     .b_trans = true,
                     .c = s,
                     .ldc = ld};
  vk_op_bf16_path(c->attr)->run(&g, NULL, scratch, 0, 1);
}

/* y[query] = scale sum over keys of s[key, query] v[key]. */
VK_INLINE void attn_values_bf16(const vk_op_call *c, int64_t hd, const float *s, int64_t ld,
                                int64_t n_k, attn_rows v, float scale, float *y, int64_t ld_y,
                                int64_t n_q, void *scratch)
{
  const vk_gemm g = {.m = n_q,
                     .n = hd,
                     .k = n_k,
                     .a = s,
                     .lda = ld,
                     .a_trans = true,
                     .b = v.f32,
                     .b_bf16 = v.bf16,
                     .ldb = v.ld,
                     .c = y,
                     .ldc = ld_y,
                     .scale = scale};
  vk_op_bf16_path(c->attr)->run(&g, NULL, scratch, 0, 1);
}

/* Rows of a tile, at most `most`, that divide n evenly. */
VK_INLINE int attn_height(int64_t n, int64_t most)
{
  int64_t n_tile = (n + most - 1) / most;
  return n ? (int)((n + n_tile - 1) / n_tile) : 1;
}
VK_INLINE int attn_smaller(int64_t a, int64_t b)
{
  return (int)(a < b ? a : b);
}

/* Rows of queries in panels, zeros behind the last. */
VK_INLINE void attn_transpose(const float *x, int64_t ld, int64_t n_row, int64_t n_col, float *out)
{
  for (int64_t r = 0; r < n_row; r += VK_LANES)
    transpose_rows(x + r * ld, ld, attn_smaller(n_row - r, VK_LANES), n_col,
                   out + r / ATTN_NR * ATTN_NR * n_col + r % ATTN_NR, ATTN_NR);
}

/* Asks for part i of n of some rows. A head's rows are short and far apart, which the processor
 * does not foresee. */
VK_INLINE void attn_prefetch(const float *x, int64_t ld, int64_t n_row, int64_t n_col, int64_t i,
                             int64_t n)
{
  int64_t end = n_row * (i + 1) / n;
  for (int64_t r = n_row * i / n; r < end; r++)
    for (int64_t j = 0; j < n_col; j += 16)
      __builtin_prefetch(x + r * ld + j, 0, 2);
}

/* out[r * pad + j]: rows without gaps, zeros behind n_col. */
VK_INLINE void attn_copy(const float *x, int64_t ld, int64_t n_row, int64_t n_col, float *out,
                         int64_t pad)
{
  for (int64_t r = 0; r < n_row; r++)
    for (int64_t j = 0; j < pad; j += VK_LANES) {
      int64_t n = n_col - j;
      vf_store(out + r * pad + j, n >= VK_LANES ? vf_load(x + r * ld + j)
                                                : vf_load_n(x + r * ld + j, n > 0 ? (int)n : 0));
    }
}

/* y[query * ld + j] = scale[query] sum over keys of p[key, query] v[key, j], n_c columns of v. */
typedef void attn_values_fn(int64_t n_key, const float *p, const float *v, int64_t ld_v,
                            const float *scale, float *y, int64_t ld, int64_t n_c);
#define ATTN_VALUES(m_r, n_v)                                                                      \
  static void values_##m_r##_##n_v(int64_t n_key, const float *p, const float *v, int64_t ld_v,    \
                                   const float *scale, float *y, int64_t ld, int64_t n_c)          \
  {                                                                                                \
    attn_tile c;                                                                                   \
    attn_clear(m_r, n_v, c);                                                                       \
    attn_by_column(m_r, n_v, n_key, p, ATTN_QB, v, ld_v, c);                                       \
    attn_store(m_r, n_v, c, scale, y, ld, n_c);                                                    \
  }
ATTN_TILES(ATTN_VALUES)
#define ATTN_VALUES_AT(m_r, n_v) [m_r][n_v] = values_##m_r##_##n_v,
static attn_values_fn *const attn_values_table[ATTN_MR + 1][ATTN_NV + 1] = {
    ATTN_TILES(ATTN_VALUES_AT)};

/* All n_q queries of a block and n_c columns. */
static void attn_values(int64_t n_key, int64_t n_q, const float *p, const float *v, int64_t ld_v,
                        const float *scale, float *y, int64_t ld, int64_t n_c)
{
  int m = attn_height(n_q, ATTN_MR);
  for (int64_t j = 0; j < n_c; j += ATTN_NR)
    for (int64_t i = 0; i < n_q; i += m)
      attn_values_table[attn_smaller(n_q - i, m)][n_c - j > VK_LANES ? 2 : 1](
          n_key, p + i, v + j, ld_v, scale + i, y + i * ld + j, ld, n_c - j);
}

#endif
