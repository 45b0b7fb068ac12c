/* gemm_micro.c - the innermost loops of products of f32: a tile of C in registers.
 *
 * One function for each number of rows, so that no row of a tile is wasted, and for A by rows and
 * by columns. */
#define GEMM_WORD 1
/* One step along k: c += a b. */
#define GEMM_STEP(A_AT)                                                                            \
  do {                                                                                             \
    vf bv[GEMM_NP * GEMM_NV];                                                                      \
    UNROLL for (int v = 0; v < n_v; v++) bv[v] =                                                   \
        vf_load(b + (v / GEMM_NV) * panel + (v % GEMM_NV) * VK_LANES);                             \
    UNROLL for (int r = 0; r < m_r; r++)                                                           \
    {                                                                                              \
      vf ar = vf_set1(A_AT(0));                                                                    \
      UNROLL for (int v = 0; v < n_v; v++) c[r][v] = vf_fma(ar, bv[v], c[r][v]);                   \
    }                                                                                              \
    GEMM_ASK_AHEAD();                                                                              \
    b += sb;                                                                                       \
  } while (0)
#include "nn/gemm_micro.h"

#define COLUMN_AT(w) a[r]
static GEMM_INLINE void by_column(int m_r, int n_v, int64_t kc, const float *a, int64_t sa,
                                  const float *b, int64_t sb, int64_t panel, float *tile,
                                  int is_first)
{
  vf c[GEMM_MR][GEMM_NP * GEMM_NV];
  load_tile(m_r, n_v, c, tile, is_first);
  for (int64_t q = 0; q < kc; q++) {
    GEMM_STEP(COLUMN_AT);
    a += sa;
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
GEMM_TILES(MICRO)

#define LOG2(n_p)           ((n_p) / 2)
#define ROW_ENTRY(m_r, n_p) [LOG2(n_p)][m_r] = row_##m_r##_##n_p,
#define COL_ENTRY(m_r, n_p) [LOG2(n_p)][m_r] = col_##m_r##_##n_p,
gemm_micro *const gemm_micro_table[2][3][GEMM_MR + 1] = {{GEMM_TILES(ROW_ENTRY)},
                                                         {GEMM_TILES(COL_ENTRY)}};
