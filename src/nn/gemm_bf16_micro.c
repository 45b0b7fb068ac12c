/* gemm_bf16_micro.c - the innermost loops of products with weights in bfloat16, without AMX. */
#include "nn/gemm_bf16_kernel.h"

#if defined(__AVX512BF16__)

#define GEMM_WORD 1
#define GEMM_STEP(A_AT)                                                                            \
  do {                                                                                             \
    __m512bh bv[GEMM_NP * GEMM_NV];                                                                \
    UNROLL for (int v = 0; v < n_v; v++) bv[v] =                                                   \
        (__m512bh)vf_load(b + (v / GEMM_NV) * panel + (v % GEMM_NV) * VK_LANES);                   \
    UNROLL for (int r = 0; r < m_r; r++)                                                           \
    {                                                                                              \
      vf ar = vf_set1(A_AT(0));                                                                    \
      UNROLL for (int v = 0; v < n_v; v++) c[r][v] =                                               \
          _mm512_dpbf16_ps(c[r][v], (__m512bh)ar, bv[v]);                                          \
    }                                                                                              \
    GEMM_ASK_AHEAD();                                                                              \
    b += sb;                                                                                       \
  } while (0)

#else

/* A number in the lower or upper half of a word becomes a float with a shift or a mask. */
#define LOWER(x) vf_from_bits((vi)((vu)vf_bits(x) << 16))
#define UPPER(x) vf_from_bits(vf_bits(x) & vi_set1((int32_t)0xffff0000u))
#define HALF_STEP(A_WORD, HALF)                                                                    \
  do {                                                                                             \
    vf bv[GEMM_NP * GEMM_NV];                                                                      \
    UNROLL for (int v = 0; v < n_v; v++) bv[v] =                                                   \
        HALF(vf_load(b + (v / GEMM_NV) * panel + (v % GEMM_NV) * VK_LANES));                       \
    UNROLL for (int r = 0; r < m_r; r++)                                                           \
    {                                                                                              \
      vf ar = vf_set1(A_WORD);                                                                     \
      UNROLL for (int v = 0; v < n_v; v++) c[r][v] = vf_fma(ar, bv[v], c[r][v]);                   \
    }                                                                                              \
  } while (0)
#define GEMM_WORD 2
#define GEMM_STEP(A_AT)                                                                            \
  do {                                                                                             \
    HALF_STEP(A_AT(0), LOWER);                                                                     \
    HALF_STEP(A_AT(1), UPPER);                                                                     \
    GEMM_ASK_AHEAD();                                                                              \
    b += sb;                                                                                       \
  } while (0)

#endif
#include "nn/gemm_micro.h"

#define MICRO(m_r, n_p)                                                                            \
  static void row_##m_r##_##n_p(int64_t kc, const float *a, int64_t sa, const float *b,            \
                                int64_t sb, int64_t panel, float *tile, int is_first)              \
  {                                                                                                \
    by_row(m_r, n_p *GEMM_NV, kc, a, sa, b, sb, panel, tile, is_first);                            \
  }
GEMM_TILES(MICRO)

#define ENTRY(m_r, n_p) [n_p / 2][m_r] = row_##m_r##_##n_p,
static gemm_micro *const table[3][GEMM_MR + 1] = {GEMM_TILES(ENTRY)};

void bf16_begin(void)
{
}

void bf16_end(void)
{
}

int bf16_width(int64_t m_r, int64_t n)
{
  for (int w = 2; w > 0; w--)
    if (n >= 1 << w && table[w][m_r])
      return w;
  return 0;
}

void bf16_tile(int64_t m_r, int width, int64_t kc, const float *a, const float *b, int64_t panel,
               float *tile)
{
  table[width][m_r](kc / 2, a, BF16_SA, b, BF16_NR, panel, tile, 1);
}
