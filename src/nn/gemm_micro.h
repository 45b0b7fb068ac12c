/* gemm_micro.h - the pattern of the innermost loops of products: a tile of C in registers, from
 * rows of A. Arrays here are registers: every loop but that along k is unrolled. Included once by a
 * file that defines before:
 *   GEMM_WORD        words of A in a step along k
 *   GEMM_STEP(A_AT)  c += a b for a step, where A_AT(w) is word w of row r of A; b moves on
 * Test: tests/unit/test_gemm.c, tests/unit/test_gemm_bf16.c */
#ifndef VK_NN_GEMM_MICRO_H
#define VK_NN_GEMM_MICRO_H

#include "nn/gemm_kernel.h"

/* A sanitizer checks every access of every unrolled loop, which takes compilers minutes: its builds
 * run the same loops once for all tiles. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define GEMM_ONE_FOR_ALL 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define GEMM_ONE_FOR_ALL 1
#endif
#if GEMM_ONE_FOR_ALL
#define UNROLL
#define GEMM_INLINE __attribute__((noinline))
#else
#define UNROLL      _Pragma("GCC unroll 16")
#define GEMM_INLINE inline __attribute__((always_inline))
#endif

/* Rows of B are asked for ahead; they come from memory when A has few rows. Tiles of several panels
 * wait for memory all the time, and asking earlier would only take their loads' place. */
enum { GEMM_N_AHEAD = 48 };
#define GEMM_ASK_AHEAD()                                                                           \
  UNROLL for (int v = 0; v < n_v && n_v == GEMM_NV; v += 64 / (4 * VK_LANES))                      \
      __builtin_prefetch(b + (v % GEMM_NV) * VK_LANES + GEMM_N_AHEAD * sb)

static GEMM_INLINE void load_tile(int m_r, int n_v, vf c[GEMM_MR][GEMM_NP * GEMM_NV],
                                  const float *tile, int is_first)
{
  UNROLL for (int r = 0; r < m_r; r++) UNROLL for (int v = 0; v < n_v; v++) c[r][v] = vf_zero();
  if (!is_first)
    UNROLL for (int r = 0; r < m_r; r++) UNROLL for (int v = 0; v < n_v; v++) c[r][v] =
        vf_load(tile + (r * n_v + v) * VK_LANES);
}

static GEMM_INLINE void store_tile(int m_r, int n_v, vf c[GEMM_MR][GEMM_NP * GEMM_NV], float *tile)
{
  UNROLL for (int r = 0; r < m_r; r++) UNROLL for (int v = 0; v < n_v; v++)
      vf_store(tile + (r * n_v + v) * VK_LANES, c[r][v]);
}

/* Three rows to a pointer: x86 addresses have one factor of 1, 2, 4 or 8. */
#define ROW_AT(w)   (r < 3 ? a0 : r < 6 ? a1 : r < 9 ? a2 : r < 12 ? a3 : a4)[(r % 3) * sa + (w)]
#define ROW_AT_0(w) ROW_AT(w)
#define ROW_AT_1(w) ROW_AT(GEMM_WORD + (w))
#define ROW_AT_2(w) ROW_AT(2 * GEMM_WORD + (w))
#define ROW_AT_3(w) ROW_AT(3 * GEMM_WORD + (w))
#define NEXT_ROW_WORDS(n)                                                                          \
  do {                                                                                             \
    a0 += (n);                                                                                     \
    a1 += (n);                                                                                     \
    a2 += (n);                                                                                     \
    a3 += (n);                                                                                     \
    a4 += (n);                                                                                     \
  } while (0)

static GEMM_INLINE void by_row(int m_r, int n_v, int64_t kc, const float *a, int64_t sa,
                               const float *b, int64_t sb, int64_t panel, float *tile, int is_first)
{
  vf c[GEMM_MR][GEMM_NP * GEMM_NV];
  load_tile(m_r, n_v, c, tile, is_first);
  const float *a0 = a, *a1 = a + 3 * sa, *a2 = a + 6 * sa, *a3 = a + 9 * sa, *a4 = a + 12 * sa;
  int64_t q = 0;
  /* Where the sums leave few of 16 registers free, a compiler that sees several steps lets sums
   * change registers and spills some, which makes their chains longer. */
  for (; !(VK_LANES == 8 && m_r * n_v > 8) && q + 4 <= kc; q += 4) {
    GEMM_STEP(ROW_AT_0);
    GEMM_STEP(ROW_AT_1);
    GEMM_STEP(ROW_AT_2);
    GEMM_STEP(ROW_AT_3);
    NEXT_ROW_WORDS(4 * GEMM_WORD);
  }
  for (; q < kc; q++) {
    GEMM_STEP(ROW_AT_0);
    NEXT_ROW_WORDS(GEMM_WORD);
  }
  store_tile(m_r, n_v, c, tile);
}

/* What the registers hold: MICRO(m_r, n_p) for each tile, and the table by [log2 n_p][m_r]. */
#if defined(__AVX512F__)
#define GEMM_TILES(MICRO)                                                                          \
  MICRO(1, 1)                                                                                      \
  MICRO(2, 1)                                                                                      \
  MICRO(3, 1)                                                                                      \
  MICRO(4, 1)                                                                                      \
  MICRO(5, 1)                                                                                      \
  MICRO(6, 1)                                                                                      \
  MICRO(7, 1)                                                                                      \
  MICRO(8, 1)                                                                                      \
  MICRO(9, 1)                                                                                      \
  MICRO(10, 1)                                                                                     \
  MICRO(11, 1)                                                                                     \
  MICRO(12, 1)                                                                                     \
  MICRO(13, 1)                                                                                     \
  MICRO(14, 1)                                                                                     \
  MICRO(1, 2)                                                                                      \
  MICRO(2, 2)                                                                                      \
  MICRO(3, 2)                                                                                      \
  MICRO(4, 2)                                                                                      \
  MICRO(5, 2)                                                                                      \
  MICRO(6, 2)                                                                                      \
  MICRO(7, 2)                                                                                      \
  MICRO(1, 4)                                                                                      \
  MICRO(2, 4)                                                                                      \
  MICRO(3, 4)
#elif defined(__AVX2__)
#define GEMM_TILES(MICRO)                                                                          \
  MICRO(1, 1)                                                                                      \
  MICRO(2, 1)                                                                                      \
  MICRO(3, 1)                                                                                      \
  MICRO(4, 1)                                                                                      \
  MICRO(5, 1)                                                                                      \
  MICRO(6, 1)                                                                                      \
  MICRO(1, 2)                                                                                      \
  MICRO(2, 2)                                                                                      \
  MICRO(3, 2)                                                                                      \
  MICRO(1, 4)
#else
#define GEMM_TILES(MICRO)                                                                          \
  MICRO(1, 1)                                                                                      \
  MICRO(2, 1)                                                                                      \
  MICRO(3, 1)                                                                                      \
  MICRO(4, 1)                                                                                      \
  MICRO(1, 2)                                                                                      \
  MICRO(1, 4)
#endif

#endif
