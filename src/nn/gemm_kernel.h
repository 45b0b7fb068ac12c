/* gemm_kernel.h - what the files of gemm.h share, once a path. Test: tests/unit/test_gemm.c */
#ifndef VK_NN_GEMM_KERNEL_H
#define VK_NN_GEMM_KERNEL_H

#include "nn/gemm.h"
#include "nn/simd.h"

/* A tile has up to MR rows and NR columns for each panel of packed B that it covers; its sums stay
 * in registers: 28 of 32 on AVX-512, 12 of 16 on AVX2. Packed B is [n / NR][k][NR]. */
#if defined(__AVX512F__)
enum { GEMM_MR = 14, GEMM_NV = 2 };
#elif defined(__AVX2__)
enum { GEMM_MR = 6, GEMM_NV = 2 };
#else
enum { GEMM_MR = 4, GEMM_NV = 4 };
#endif
enum { GEMM_NR = GEMM_NV * VK_LANES, GEMM_NP = 4 /* panels of a tile at most */ };

/* tile[r * n_p * NR + j] (r < m_r, j < n_p * NR) = sum over q < kc of A[r, q] B[q, j], the chain
 * going on from what is there when is_first is 0. A by rows: a[r * sa + q]; by columns:
 * a[q * sa + r]. Panel i of B begins at b + i * panel; its rows are sb apart. */
typedef void gemm_micro(int64_t kc, const float *a, int64_t sa, const float *b, int64_t sb,
                        int64_t panel, float *tile, int is_first);

/* By [0: rows of A, 1: columns][log2 n_p][m_r]; NULL: does not fit the registers. */
#define gemm_micro_table VK_KERNEL(vk_gemm_micro_table)
extern gemm_micro *const gemm_micro_table[2][3][GEMM_MR + 1];

/* Rows p to p + kc and columns j to j1 of B in panels, `panel` floats from one to the next:
 * out[i * panel + q * NR + r], zero behind j1. */
#define gemm_pack_b VK_KERNEL(vk_gemm_pack_b)
void gemm_pack_b(const vk_gemm *g, int64_t p, int64_t kc, int64_t j, int64_t j1, float *out,
                 int64_t panel);

/* Of a product with a_trans or fill_a: rows i to i + n_i of A and k p to p + kc, in panels of m_r
 * rows (the last may be lower), each of GEMM_PANEL_A floats. Returns the stride for the micro
 * kernel, by columns if a_trans. */
enum {
  GEMM_SA = VK_GEMM_KC + 16, /* not a multiple of 4 KiB: rows would share cache sets */
  GEMM_MR_PAD = GEMM_MR > 8   ? 16
                : GEMM_MR > 4 ? 8
                              : 4,
  GEMM_PANEL_A = GEMM_MR_PAD * GEMM_SA,
};
#define gemm_pack_a VK_KERNEL(vk_gemm_pack_a)
int64_t gemm_pack_a(const vk_gemm *g, int64_t i, int64_t n_i, int64_t m_r, int64_t p, int64_t kc,
                    float *out);

/* What becomes of a tile of m_r x n_j sums (rows ld apart) at C[i, j] after a block along k. */
#define gemm_finish VK_KERNEL(vk_gemm_finish)
void gemm_finish(const vk_gemm *g, const float *tile, int64_t ld, int64_t i, int64_t m_r, int64_t j,
                 int64_t n_j, int is_first, int is_last);

VK_INLINE void gemm_ask_for_rows(const float *at, int64_t ld, int64_t m_r)
{
  for (int64_t r = 0; at && r < m_r; r++)
    for (int64_t e = 0; e < GEMM_NR; e += 16)
      __builtin_prefetch(at + r * ld + e, 0, 2);
}

/* What gemm_finish will read or write comes while the sums are made. */
VK_INLINE void gemm_ask_for_c(const vk_gemm *g, int64_t i, int64_t m_r, int64_t j, bool is_first)
{
  if (is_first && g->residual)
    gemm_ask_for_rows(g->residual + i * g->ldr + j, g->ldr, m_r);
  else if (g->c)
    gemm_ask_for_rows(g->c + i * g->ldc + j, g->ldc, m_r);
  if (g->pre)
    gemm_ask_for_rows(g->pre + i * g->ldpre + j, g->ldpre, m_r);
}

#endif
