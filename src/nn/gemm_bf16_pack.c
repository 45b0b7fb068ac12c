/* gemm_bf16_pack.c - operands of products in bfloat16 in the order in which tiles read them:
 * numbers in f32 are rounded on the way, numbers in bfloat16 move. */
#include "nn/gemm_bf16_kernel.h"
#include "nn/transpose.h"

static int64_t min_i(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

static int64_t round_up(int64_t a, int64_t b)
{
  return (a + b - 1) / b * b;
}

/* Words of two rounded numbers. */
VK_INLINE vf pair_numbers(vf low, vf high)
{
#if defined(__AVX512BF16__)
  static const uint16_t order[32] = {0, 16, 1, 17, 2,  18, 3,  19, 4,  20, 5,  21, 6,  22, 7,  23,
                                     8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return (vf)_mm512_permutexvar_epi16(_mm512_loadu_si512(order),
                                      (__m512i)_mm512_cvtne2ps_pbh(high, low));
#else
  const vi upper = vi_set1((int32_t)0xffff0000u);
  return vf_from_bits((vi)(((vu)vf_round_bf16(low) >> 16) | (vu)(vf_round_bf16(high) & upper)));
#endif
}

/* The same of numbers that bfloat16 holds. */
VK_INLINE vf pair_rounded(vf low, vf high)
{
  return vf_from_bits((vi)((vu)vf_bits(low) >> 16) | vf_bits(high));
}

/* ---- B ------------------------------------------------------------------------------------- */

enum {
  N_P = 64,    /* rows that are packed in f32, then rounded */
  N_AHEAD = 8, /* rows ahead that are asked for: rows may be pages apart */
};

/* Rows 2 q and 2 q + 1 of n_p rows in panels of gemm.h become one row of pairs; a row that is
 * missing is zeros. */
static void pair_rows(const float *in, int64_t n_p, float *out)
{
  for (int64_t p = 0; p < n_p; p += 2)
    for (int v = 0; v < BF16_NR; v += VK_LANES, out += VK_LANES) {
      const float *at = in + v / GEMM_NR * N_P * GEMM_NR + p * GEMM_NR + v % GEMM_NR;
      vf_store(out, pair_numbers(vf_load(at), p + 1 < n_p ? vf_load(at + GEMM_NR) : vf_zero()));
    }
}

/* Words of numbers at and at + ld, n of each; of the latter zeros if they are not there. */
VK_INLINE vf pair_at(const uint16_t *at, int64_t ld, int64_t n, bool is_pair)
{
  if (n >= VK_LANES)
    return pair_rounded(vf_load_bf16(at), is_pair ? vf_load_bf16(at + ld) : vf_zero());
  if (n <= 0)
    return vf_zero();
  return pair_rounded(vf_load_bf16_n(at, (int)n),
                      is_pair ? vf_load_bf16_n(at + ld, (int)n) : vf_zero());
}

/* The same of rows of n_j numbers in bfloat16, ld apart, for all their panels; columns that are
 * missing are zeros. */
static void pair_rows_bf16(const uint16_t *in, int64_t ld, int64_t n_p, int64_t n_j, float *out,
                           int64_t panel)
{
  for (; n_j > 0; n_j -= BF16_NR, in += BF16_NR, out += panel)
    for (int64_t p = 0; p < n_p; p += 2) {
      const uint16_t *at = in + p * ld;
      __builtin_prefetch(at + N_AHEAD * ld);
      __builtin_prefetch(at + (N_AHEAD + 1) * ld);
      for (int v = 0; v < BF16_NR; v += VK_LANES)
        vf_store(out + p / 2 * BF16_NR + v, pair_at(at + v, ld, n_j - v, p + 1 < n_p));
    }
}

/* VK_LANES words of two numbers, of n numbers that are there; a word begins at any of them. */
VK_INLINE vf load_words(const uint16_t *in, int64_t n)
{
  vf x;
  uint16_t some[2 * VK_LANES] = {0};
  if (n >= 2 * VK_LANES) {
    memcpy(&x, in, sizeof x);
    return x;
  }
  memcpy(some, in, sizeof *in * (size_t)(n > 0 ? n : 0));
  memcpy(&x, some, sizeof x);
  return x;
}

/* n_p terms of n_j columns, each n_p numbers that follow each other, columns ld apart. */
static void pair_columns_bf16(const uint16_t *in, int64_t ld, int64_t n_p, int64_t n_j, float *out)
{
  for (int64_t v = 0; v < BF16_NR; v += VK_LANES)
    for (int64_t p = 0; p < n_p; p += 2 * VK_LANES) {
      vf x[VK_LANES];
      for (int r = 0; r < VK_LANES; r++)
        x[r] = v + r < n_j ? load_words(in + (v + r) * ld + p, n_p - p) : vf_zero();
      transpose(x);
      for (int64_t q = 0; q < VK_LANES && p + 2 * q < n_p; q++)
        vf_store(out + (p / 2 + q) * BF16_NR + v, x[q]);
    }
}

/* Terms p to p + n_p of columns j to end, at most a panel: filled, or of the rows of b_trans. */
static void pack_bf16(const vk_gemm *g, int64_t p, int64_t n_p, int64_t j, int64_t end, float *rows,
                      float *out)
{
  if (g->fill_b_bf16) {
    uint16_t *filled = (uint16_t *)(void *)rows;
    g->fill_b_bf16(g->fill_b_arg, p, n_p, j, end - j, filled, BF16_NR);
    pair_rows_bf16(filled, BF16_NR, n_p, end - j, out, 0);
  } else {
    pair_columns_bf16(g->b_bf16 + j * g->ldb + p, g->ldb, n_p, end - j, out);
  }
}

void bf16_pack_b(const vk_gemm *g, int64_t p, int64_t kc, int64_t j, int64_t j1, float *out,
                 int64_t panel)
{
  _Alignas(64) float rows[N_P * BF16_NR];
  int64_t used = (kc + 1) / 2 * BF16_NR, padded = round_up(kc, BF16_K_PAD) / 2 * BF16_NR;
  bool is_paired = g->b_bf16 && !g->b_trans;
  if (is_paired)
    for (int64_t q = 0; q < kc; q += N_P)
      pair_rows_bf16(g->b_bf16 + (p + q) * g->ldb + j, g->ldb, min_i(N_P, kc - q), j1 - j,
                     out + q / 2 * BF16_NR, panel);
  for (; j < j1; j += BF16_NR, out += panel) {
    int64_t end = min_i(j + BF16_NR, j1);
    if (end < j + BF16_NR) /* whole panels may be missing at the right */
      memset(rows, 0, sizeof rows);
    for (int64_t q = 0; q < kc && !is_paired; q += N_P) {
      int64_t n_q = min_i(N_P, kc - q);
      float *to = out + q / 2 * BF16_NR;
      if (g->fill_b_bf16 || g->b_bf16) {
        pack_bf16(g, p + q, n_q, j, end, rows, to);
        continue;
      }
      gemm_pack_b(g, p + q, n_q, j, end, rows, N_P * GEMM_NR);
      pair_rows(rows, n_q, to);
    }
    memset(out + used, 0, sizeof *out * (size_t)(padded - used));
  }
}

/* ---- A ------------------------------------------------------------------------------------- */

void VK_KERNEL(vk_gemm_bf16_round)(const float *in, int64_t n, uint16_t *out)
{
  int64_t e = 0;
#if defined(__AVX512BF16__)
  for (; e + 32 <= n; e += 32)
    _mm512_storeu_si512(out + e,
                        (__m512i)_mm512_cvtne2ps_pbh(vf_load(in + e + 16), vf_load(in + e)));
#endif
  for (; e + VK_LANES <= n; e += VK_LANES)
    vf_store_bf16(out + e, vf_load(in + e));
  if (e < n)
    vf_store_bf16_n(out + e, vf_load_n(in + e, (int)(n - e)), (int)(n - e));
}

/* n numbers, rounded, and zeros up to n_pad */
static void round_row(const float *in, int64_t n, int64_t n_pad, float *out)
{
#if BF16_IN_PAIRS
  uint16_t *to = (uint16_t *)(void *)out;
  VK_KERNEL(vk_gemm_bf16_round)(in, n, to);
  memset(to + n, 0, sizeof *to * (size_t)(n_pad - n));
#else
  vi upper = vi_set1((int32_t)0xffff0000u);
  int64_t e = 0;
  for (; e + VK_LANES <= n; e += VK_LANES)
    vf_store(out + e, vf_from_bits(vf_round_bf16(vf_load(in + e)) & upper));
  vf rest = vf_from_bits(vf_round_bf16(vf_load_n(in + e, (int)(n - e))) & upper);
  vf_store_n(out + e, rest, (int)(n - e));
  for (e = n; e < n_pad; e++)
    out[e] = 0;
#endif
}

/* n numbers in bfloat16, and zeros up to n_pad; in may be out. */
static void place_row(const uint16_t *in, int64_t n, int64_t n_pad, float *out)
{
#if BF16_IN_PAIRS
  uint16_t *to = (uint16_t *)(void *)out;
  if (in != to)
    memcpy(to, in, sizeof *to * (size_t)n);
  memset(to + n, 0, sizeof *to * (size_t)(n_pad - n));
#else
  int64_t e = 0;
  for (; e + VK_LANES <= n; e += VK_LANES)
    vf_store(out + e, vf_load_bf16(in + e));
  if (e < n)
    vf_store_n(out + e, vf_load_bf16_n(in + e, (int)(n - e)), (int)(n - e));
  for (e = n; e < n_pad; e++)
    out[e] = 0;
#endif
}

/* Rows of tiles that A lacks are zeros. */
static int64_t tile_rows(int64_t m_r)
{
  return BF16_K == 32 ? round_up(m_r, 16) : m_r;
}

/* Rows i to i + n of A from where they are in bfloat16. */
static void place_rows(const vk_gemm *g, int64_t i, int64_t n, int64_t p, int64_t kc, float *rows,
                       float *out)
{
  uint16_t *filled = (uint16_t *)(void *)(BF16_IN_PAIRS ? out : rows);
  int64_t ld = 2 * (BF16_IN_PAIRS ? (int64_t)BF16_SA : (int64_t)GEMM_SA);
  const uint16_t *from = filled;
  if (g->fill_a_bf16) {
    g->fill_a_bf16(g->fill_a_arg, i, n, p, kc, filled, ld);
  } else {
    from = g->a_bf16 + i * g->lda + p;
    ld = g->lda;
  }
  for (int64_t e = 0; e < n; e++)
    place_row(from + e * ld, kc, round_up(kc, BF16_K), out + e * BF16_SA);
}

/* n numbers, or VK_LANES if as many are there. */
VK_INLINE vf load_some(const uint16_t *in, int64_t n)
{
  return n >= VK_LANES ? vf_load_bf16(in) : vf_load_bf16_n(in, (int)n);
}

/* Terms k and, in pairs, k + 1 of up to VK_LANES rows of A, rounded; those from kc on are zeros.
 *   n  rows that there are */
VK_INLINE vf column_words(const float *in, const uint16_t *in_bf16, int64_t ld, int64_t n,
                          int64_t k, int64_t kc)
{
  vf low = vf_zero(), high = vf_zero();
  if (in_bf16) {
    low = k < kc ? load_some(in_bf16 + k * ld, n) : low;
    if (BF16_WORD == 2)
      return low;
    high = k + 1 < kc ? load_some(in_bf16 + (k + 1) * ld, n) : high;
    return pair_rounded(low, high);
  }
  int m = n < VK_LANES ? (int)n : VK_LANES;
  low = k < kc ? vf_load_n(in + k * ld, m) : low;
  if (BF16_WORD == 2)
    return vf_from_bits(vf_round_bf16(low) & vi_set1((int32_t)0xffff0000u));
  high = k + 1 < kc ? vf_load_n(in + (k + 1) * ld, m) : high;
  return pair_numbers(low, high);
}

/* Words of n_out rows, at most VK_LANES: what A[i .. i + n_out) have there, rows of out BF16_SA
 * apart; n rows are there. One of in and in_bf16 is NULL, which is known when this is inlined. */
VK_INLINE void pack_columns(const float *in, const uint16_t *in_bf16, int64_t ld, int64_t n,
                            int64_t n_out, int64_t kc, float *out)
{
  vf x[VK_LANES];
  for (int e = 0; e < VK_LANES; e++)
    x[e] = column_words(in, in_bf16, ld, n, BF16_WORD == 1 ? 2 * e : e, kc);
  transpose(x);
  for (int64_t r = 0; r < n_out; r++)
    vf_store(out + r * BF16_SA, x[r]);
}

/* As bf16_pack_a, of a product with a_trans: a few terms of all rows at a time, so that rows of a
 * are read whole. Rows may be pages apart, where no hardware looks ahead. */
static void pack_a_columns(const vk_gemm *g, int64_t m_r, int64_t i, int64_t n_i, int64_t p,
                           int64_t kc, float *out)
{
  enum { STEP = VK_LANES * 2 / BF16_WORD };
  int64_t n_pad = round_up(kc, BF16_K), ld = g->lda, size = g->a ? 4 : 2;
  for (int64_t q = 0; q < n_pad; q += STEP) {
    int64_t at = (p + q) * ld + i;
    const char *ahead = (g->a ? (const char *)g->a : (const char *)g->a_bf16) + at * size;
    for (int64_t e = STEP; q + e < kc && e < 2 * STEP; e++)
      for (int64_t r = 0; r < n_i * size; r += 64)
        __builtin_prefetch(ahead + e * ld * size + r);
    float *to = out + q * BF16_WORD / 2;
    for (int64_t r = 0; r < n_i; r += m_r, to += BF16_PANEL_A) {
      int64_t n = min_i(m_r, n_i - r);
      for (int64_t v = 0; v < n; v += VK_LANES) {
        int64_t n_there = g->m - i - r - v, n_out = min_i(VK_LANES, n - v);
        if (g->a)
          pack_columns(g->a + at + r + v, NULL, ld, n_there, n_out, kc - q, to + v * BF16_SA);
        else
          pack_columns(NULL, g->a_bf16 + at + r + v, ld, n_there, n_out, kc - q, to + v * BF16_SA);
      }
      for (int64_t e = n; e < tile_rows(n); e++)
        for (int v = 0; v < VK_LANES; v++)
          to[e * BF16_SA + v] = 0;
    }
  }
}

void bf16_pack_a(const vk_gemm *g, int64_t m_r, int64_t i, int64_t n_i, int64_t p, int64_t kc,
                 float *rows, float *out)
{
  if (g->a_trans && !g->fill_a && !g->fill_a_bf16) {
    pack_a_columns(g, m_r, i, n_i, p, kc, out);
    return;
  }
  for (int64_t r = 0; r < n_i; r += m_r, out += BF16_PANEL_A) {
    int64_t n = min_i(m_r, n_i - r), ld = g->lda;
    const float *from = g->a ? g->a + (i + r) * g->lda + p : rows;
    if (g->fill_a) {
      g->fill_a(g->fill_a_arg, i + r, n, p, kc, rows, GEMM_SA);
      from = rows;
      ld = GEMM_SA;
    }
    if (g->fill_a_bf16 || g->a_bf16)
      place_rows(g, i + r, n, p, kc, rows, out);
    else
      for (int64_t e = 0; e < n; e++)
        round_row(from + e * ld, kc, round_up(kc, BF16_K), out + e * BF16_SA);
    for (int64_t e = n; e < tile_rows(n); e++)
      memset(out + e * BF16_SA, 0, sizeof *out * BF16_SA);
  }
}
