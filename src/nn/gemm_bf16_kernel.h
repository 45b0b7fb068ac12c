/* gemm_bf16_kernel.h - what the files of gemm_bf16.h share, once a path.
 * Test: tests/unit/test_gemm_bf16.c */
#ifndef VK_NN_GEMM_BF16_KERNEL_H
#define VK_NN_GEMM_BF16_KERNEL_H

#include "nn/gemm_bf16.h"
#include "nn/gemm_kernel.h"

/* Packed B is [n / NR][k / 2][NR] words of two numbers that follow each other along k, the first in
 * the lower half; k is padded with zeros to a multiple of BF16_K_PAD.
 *   BF16_WORD  words of A to a word of B: 1 where A is in pairs too, 2 where each is a float
 *   BF16_K     numbers along k that an inner loop takes at once: tiles have 32
 * Words are handled as floats. */
#if defined(__AVX512BF16__) || defined(__AMX_BF16__) || VK_AMX_EMULATED
#define BF16_IN_PAIRS 1 /* BF16_WORD == 1, for the preprocessor */
#else
#define BF16_IN_PAIRS 0
#endif
#if defined(__AMX_BF16__) || VK_AMX_EMULATED
enum { BF16_MR = 32, BF16_NR = 32, BF16_WORD = 1, BF16_K = 32, BF16_ROWS = 32 };
#elif defined(__AVX512BF16__)
enum { BF16_MR = GEMM_MR, BF16_NR = GEMM_NR, BF16_WORD = 1, BF16_K = 2, BF16_ROWS = GEMM_MR };
#else
enum { BF16_MR = GEMM_MR, BF16_NR = GEMM_NR, BF16_WORD = 2, BF16_K = 2, BF16_ROWS = GEMM_MR };
#endif
enum {
  BF16_K_PAD = 32,
  /* words from a row of packed A to the next; rows do not share cache sets */
  BF16_SA = VK_GEMM_KC / 2 * BF16_WORD + 16,
  BF16_PANEL_A = BF16_ROWS * BF16_SA,
};

/* Terms p to p + kc of columns j to j1 of B: out[i * panel + q * NR + r] for pairs q, zero behind
 * kc up to a multiple of BF16_K_PAD. */
#define bf16_pack_b VK_KERNEL(vk_gemm_bf16_pack_b)
void bf16_pack_b(const vk_gemm *g, int64_t p, int64_t kc, int64_t j, int64_t j1, float *out,
                 int64_t panel);

/* Rows i to i + n_i of A and terms p to p + kc, in panels of m_r rows, BF16_PANEL_A words apart.
 *   rows  room for BF16_ROWS rows of GEMM_SA floats */
#define bf16_pack_a VK_KERNEL(vk_gemm_bf16_pack_a)
void bf16_pack_a(const vk_gemm *g, int64_t m_r, int64_t i, int64_t n_i, int64_t p, int64_t kc,
                 float *rows, float *out);

/* Tiles of a run are between these two. */
#define bf16_begin VK_KERNEL(vk_gemm_bf16_begin)
void bf16_begin(void);
#define bf16_end VK_KERNEL(vk_gemm_bf16_end)
void bf16_end(void);

/* log2 of how many panels of B a tile of m_r rows covers, of n at hand */
#define bf16_width VK_KERNEL(vk_gemm_bf16_width)
int bf16_width(int64_t m_r, int64_t n);

/* tile[r * (NR << width) + j] = the sum over kc numbers along k; kc a multiple of BF16_K. Rows of A
 * are BF16_SA words apart, panels of B panel words. */
#define bf16_tile VK_KERNEL(vk_gemm_bf16_tile)
void bf16_tile(int64_t m_r, int width, int64_t kc, const float *a, const float *b, int64_t panel,
               float *tile);

#endif
