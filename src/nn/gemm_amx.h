/* gemm_amx.h - the instructions for tiles that products use: AMX, or in a test's build the same in
 * C.
 *
 * Eight tiles of 16 rows of 64 bytes. A tile of A has 16 rows of 32 bfloat16; one of B 16 rows,
 * each 16 columns of two bfloat16 that follow each other along k; one of C 16 rows of 16 floats.
 * Source: Intel SDM vol. 2, LDTILECFG, TILELOADD, TILESTORED, TILEZERO, TDPBF16PS.
 * Test: tests/unit/test_gemm_bf16.c */
#ifndef VK_NN_GEMM_AMX_H
#define VK_NN_GEMM_AMX_H

#include <stdint.h>
#include <string.h>

/* Byte table of LDTILECFG's operand. */
typedef struct amx_config {
  uint8_t palette, start_row, reserved[14];
  uint16_t n_byte[16]; /* of a row, by tile */
  uint8_t n_row[16];
} amx_config;
_Static_assert(sizeof(amx_config) == 64, "LDTILECFG takes 64 bytes");

#if VK_AMX_EMULATED

#include <math.h>

typedef struct amx_tile {
  uint8_t row[16][64];
} amx_tile;
static _Thread_local amx_tile amx_tiles[8];
static _Thread_local amx_config amx_current;

static inline void amx_configure(const amx_config *config)
{
  amx_current = *config;
  memset(amx_tiles, 0, sizeof amx_tiles);
}

static inline void amx_release(void)
{
  memset(&amx_current, 0, sizeof amx_current);
  memset(amx_tiles, 0xff, sizeof amx_tiles); /* NaN, so that nobody relies on what was there */
}

static inline void amx_zero(int t)
{
  memset(&amx_tiles[t], 0, sizeof amx_tiles[t]);
}

static inline void amx_load(int t, const void *from, int64_t stride)
{
  memset(&amx_tiles[t], 0, sizeof amx_tiles[t]);
  for (int r = 0; r < amx_current.n_row[t]; r++)
    memcpy(amx_tiles[t].row[r], (const char *)from + r * stride, amx_current.n_byte[t]);
}

static inline void amx_store(int t, void *to, int64_t stride)
{
  for (int r = 0; r < amx_current.n_row[t]; r++)
    memcpy((char *)to + r * stride, amx_tiles[t].row[r], amx_current.n_byte[t]);
}

static inline float amx_number(const amx_tile *t, int r, int i)
{
  uint16_t half;
  float x;
  memcpy(&half, t->row[r] + 2 * i, 2);
  uint32_t word = (uint32_t)half << 16;
  memcpy(&x, &word, 4);
  return x;
}

/* c += a b; of each row and column the even and the odd products have their own sums */
static inline void amx_dot(int c, int a, int b)
{
  for (int m = 0; m < amx_current.n_row[c]; m++)
    for (int n = 0; n < amx_current.n_byte[c] / 4; n++) {
      float sum[2] = {0, 0}, x;
      for (int k = 0; k < amx_current.n_byte[a] / 4; k++)
        for (int i = 0; i < 2; i++)
          sum[i] = fmaf(amx_number(&amx_tiles[a], m, 2 * k + i),
                        amx_number(&amx_tiles[b], k, 2 * n + i), sum[i]);
      memcpy(&x, amx_tiles[c].row[m] + 4 * n, 4);
      x += sum[0] + sum[1];
      memcpy(amx_tiles[c].row[m] + 4 * n, &x, 4);
    }
}

#else

#include <immintrin.h>

/* Macros, for the number of a tile is part of the instruction. */
#define amx_configure(config)     _tile_loadconfig(config)
#define amx_release()             _tile_release()
#define amx_zero(t)               _tile_zero(t)
#define amx_load(t, from, stride) _tile_loadd(t, from, stride)
#define amx_store(t, to, stride)  _tile_stored(t, to, stride)
#define amx_dot(c, a, b)          _tile_dpbf16ps(c, a, b)

#endif

#endif
