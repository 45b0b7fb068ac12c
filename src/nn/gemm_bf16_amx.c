/* gemm_bf16_amx.c - the innermost loops of products with weights in bfloat16, by AMX. */
#include "nn/gemm_amx.h"
#include "nn/gemm_bf16_kernel.h"

enum { ROW = 64, STRIDE_A = BF16_SA * 4, STRIDE_B = BF16_NR * 4 };

void bf16_begin(void)
{
  /* All tiles whole: rows that A lacks are zero, and nobody reads their sums. */
  amx_config config = {.palette = 1};
  for (int t = 0; t < 8; t++) {
    config.n_byte[t] = ROW;
    config.n_row[t] = 16;
  }
  amx_configure(&config);
}

void bf16_end(void)
{
  amx_release();
}

int bf16_width(int64_t m_r, int64_t n)
{
  return m_r <= 16 && n >= 2;
}

/* 32 rows, 32 columns */
static void tile_2x2(int64_t kc, const float *a, const float *b, float *tile)
{
  amx_zero(0);
  amx_zero(1);
  amx_zero(2);
  amx_zero(3);
  for (int64_t q = 0; q < kc; q += 32, a += 16, b += 16 * BF16_NR) {
    amx_load(6, b, STRIDE_B);
    amx_load(4, a, STRIDE_A);
    amx_dot(0, 4, 6);
    amx_load(7, b + 16, STRIDE_B);
    amx_dot(1, 4, 7);
    amx_load(5, a + 16 * BF16_SA, STRIDE_A);
    amx_dot(2, 5, 6);
    amx_dot(3, 5, 7);
  }
  amx_store(0, tile, 2 * ROW);
  amx_store(1, tile + 16, 2 * ROW);
  amx_store(2, tile + 16 * 32, 2 * ROW);
  amx_store(3, tile + 16 * 32 + 16, 2 * ROW);
}

/* 16 rows, 32 columns */
static void tile_1x2(int64_t kc, const float *a, const float *b, float *tile)
{
  amx_zero(0);
  amx_zero(1);
  for (int64_t q = 0; q < kc; q += 32, a += 16, b += 16 * BF16_NR) {
    amx_load(4, a, STRIDE_A);
    amx_load(6, b, STRIDE_B);
    amx_dot(0, 4, 6);
    amx_load(7, b + 16, STRIDE_B);
    amx_dot(1, 4, 7);
  }
  amx_store(0, tile, 2 * ROW);
  amx_store(1, tile + 16, 2 * ROW);
}

/* 16 rows, 64 columns: four sums, because one waits for itself longer than a tile's loads take */
static void tile_1x4(int64_t kc, const float *a, const float *b, int64_t panel, float *tile)
{
  amx_zero(0);
  amx_zero(1);
  amx_zero(2);
  amx_zero(3);
  for (int64_t q = 0; q < kc; q += 32, a += 16, b += 16 * BF16_NR) {
    amx_load(4, a, STRIDE_A);
    amx_load(6, b, STRIDE_B);
    amx_dot(0, 4, 6);
    amx_load(7, b + 16, STRIDE_B);
    amx_dot(1, 4, 7);
    amx_load(6, b + panel, STRIDE_B);
    amx_dot(2, 4, 6);
    amx_load(7, b + panel + 16, STRIDE_B);
    amx_dot(3, 4, 7);
  }
  amx_store(0, tile, 4 * ROW);
  amx_store(1, tile + 16, 4 * ROW);
  amx_store(2, tile + 32, 4 * ROW);
  amx_store(3, tile + 48, 4 * ROW);
}

void bf16_tile(int64_t m_r, int width, int64_t kc, const float *a, const float *b, int64_t panel,
               float *tile)
{
  if (m_r > 16)
    tile_2x2(kc, a, b, tile);
  else if (width == 0)
    tile_1x2(kc, a, b, tile);
  else
    tile_1x4(kc, a, b, panel, tile);
}
