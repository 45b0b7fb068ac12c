/* gemm_micro.c - the innermost loops of products: a tile of C in registers.
 *
 * One function for each number of rows, so that no row of a tile is wasted, and for A by rows and
 * by columns. Arrays here are registers: every loop but that along k is unrolled. */
#include "nn/gemm_kernel.h"

/* How far ahead rows of B are asked for; they come from memory when A has few rows. Tiles of
 * several panels wait for memory all the time, and asking earlier only takes their loads' place. */
enum { N_AHEAD = 48 };

#define UNROLL _Pragma("GCC unroll 16")

/* One step along k: c += a b. */
#define STEP(A_AT)                                                                                 \
  do {                                                                                             \
    vf bv[GEMM_NP * GEMM_NV];                                                                      \
    UNROLL for (int v = 0; v < n_v; v++) bv[v] =                                                   \
        vf_load(b + (v / GEMM_NV) * panel + (v % GEMM_NV) * VK_LANES);                             \
    UNROLL for (int r = 0; r < m_r; r++)                                                           \
    {                                                                                              \
      vf ar = vf_set1(A_AT);                                                                       \
      UNROLL for (int v = 0; v < n_v; v++) c[r][v] = vf_fma(ar, bv[v], c[r][v]);                   \
    }                                                                                              \
    UNROLL for (int v = 0; v < n_v && n_v == GEMM_NV; v += 64 / (4 * VK_LANES))                    \
        __builtin_prefetch(b + (v / GEMM_NV) * panel + (v % GEMM_NV) * VK_LANES + N_AHEAD * sb);   \
    b += sb;                                                                                       \
  } while (0)

VK_INLINE void load_tile(int m_r, int n_v, vf c[GEMM_MR][GEMM_NP * GEMM_NV], const float *tile,
                         int is_first)
{
  UNROLL for (int r = 0; r < m_r; r++) UNROLL for (int v = 0; v < n_v; v++) c[r][v] = vf_zero();
  if (!is_first)
    UNROLL for (int r = 0; r < m_r; r++) UNROLL for (int v = 0; v < n_v; v++) c[r][v] =
        vf_load(tile + (r * n_v + v) * VK_LANES);
}

VK_INLINE void store_tile(int m_r, int n_v, vf c[GEMM_MR][GEMM_NP * GEMM_NV], float *tile)
{
  UNROLL for (int r = 0; r < m_r; r++) UNROLL for (int v = 0; v < n_v; v++)
      vf_store(tile + (r * n_v + v) * VK_LANES, c[r][v]);
}

VK_INLINE void by_column(int m_r, int n_v, int64_t kc, const float *a, int64_t sa, const float *b,
                         int64_t sb, int64_t panel, float *tile, int is_first)
{
  vf c[GEMM_MR][GEMM_NP * GEMM_NV];
  load_tile(m_r, n_v, c, tile, is_first);
  int64_t q = 0;
  for (; q < kc; q++) {
    STEP(a[r]);
    a += sa;
  }
  store_tile(m_r, n_v, c, tile);
}

/* Three rows to a pointer: x86 addresses have one factor of 1, 2, 4 or 8. */
#define ROW_AT(q) (r < 3 ? a0 : r < 6 ? a1 : r < 9 ? a2 : r < 12 ? a3 : a4)[(r % 3) * sa + (q)]
VK_INLINE void by_row(int m_r, int n_v, int64_t kc, const float *a, int64_t sa, const float *b,
                      int64_t sb, int64_t panel, float *tile, int is_first)
{
  vf c[GEMM_MR][GEMM_NP * GEMM_NV];
  load_tile(m_r, n_v, c, tile, is_first);
  const float *a0 = a, *a1 = a + 3 * sa, *a2 = a + 6 * sa, *a3 = a + 9 * sa, *a4 = a + 12 * sa;
  int64_t q = 0;
  for (; q + 4 <= kc; q += 4) {
    STEP(ROW_AT(0));
    STEP(ROW_AT(1));
    STEP(ROW_AT(2));
    STEP(ROW_AT(3));
    a0 += 4;
    a1 += 4;
    a2 += 4;
    a3 += 4;
    a4 += 4;
  }
  for (; q < kc; q++) {
    STEP(ROW_AT(0));
    a0++;
    a1++;
    a2++;
    a3++;
    a4++;
  }
  store_tile(m_r, n_v, c, tile);
}

#define MICRO(m_r, n_p)                                                                            \
  static void row_##m_r##_##n_p(int64_t kc, const float *a, int64_t sa, const float *b,            \
                                int64_t sb, int64_t panel, float *tile, int is_first)              \
  {                                                                                                \
    by_row(m_r, n_p *GEMM_NV, kc, a, sa, b, sb, panel, tile, is_first);                            \
  }                                                                                                \
  static void col_##m_r##_##n_p(int64_t kc, const float *a, int64_t sa, const float *b,            \
                                int64_t sb, int64_t panel, float *tile, int is_first)              \
  {                                                                                                \
    by_column(m_r, n_p *GEMM_NV, kc, a, sa, b, sb, panel, tile, is_first);                         \
  }
MICRO(1, 1)
MICRO(2, 1)
MICRO(3, 1)
MICRO(4, 1)
MICRO(1, 2)
MICRO(1, 4)
#if defined(__AVX2__)
MICRO(5, 1)
MICRO(6, 1)
MICRO(2, 2)
MICRO(3, 2)
#endif
#if defined(__AVX512F__)
MICRO(7, 1)
MICRO(8, 1)
MICRO(9, 1)
MICRO(10, 1)
MICRO(11, 1)
MICRO(12, 1)
MICRO(13, 1)
MICRO(14, 1)
MICRO(4, 2)
MICRO(5, 2)
MICRO(6, 2)
MICRO(7, 2)
MICRO(2, 4)
MICRO(3, 4)
#endif

#if defined(__AVX512F__)
#define TABLE(t)                                                                                   \
  {                                                                                                \
    {NULL,    t##_1_1, t##_2_1,  t##_3_1,  t##_4_1,  t##_5_1,  t##_6_1, t##_7_1,                   \
     t##_8_1, t##_9_1, t##_10_1, t##_11_1, t##_12_1, t##_13_1, t##_14_1},                          \
        {NULL, t##_1_2, t##_2_2, t##_3_2, t##_4_2, t##_5_2, t##_6_2, t##_7_2},                     \
    {                                                                                              \
      NULL, t##_1_4, t##_2_4, t##_3_4                                                              \
    }                                                                                              \
  }
#elif defined(__AVX2__)
#define TABLE(t)                                                                                   \
  {                                                                                                \
    {NULL, t##_1_1, t##_2_1, t##_3_1, t##_4_1, t##_5_1, t##_6_1},                                  \
        {NULL, t##_1_2, t##_2_2, t##_3_2},                                                         \
    {                                                                                              \
      NULL, t##_1_4                                                                                \
    }                                                                                              \
  }
#else
#define TABLE(t)                                                                                   \
  {                                                                                                \
    {NULL, t##_1_1, t##_2_1, t##_3_1, t##_4_1}, {NULL, t##_1_2},                                   \
    {                                                                                              \
      NULL, t##_1_4                                                                                \
    }                                                                                              \
  }
#endif

gemm_micro *const gemm_micro_table[2][3][GEMM_MR + 1] = {TABLE(row), TABLE(col)};
