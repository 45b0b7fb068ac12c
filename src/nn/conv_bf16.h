/* conv_bf16.h - convolutions as products in bfloat16 (gemm_bf16.h), once a path: windows of a band
 * of conv_kernel.h are rows of a matrix, which a product copies as it rounds them.
 * Test: tests/unit/test_op_bf16.c */
#ifndef VK_NN_CONV_BF16_H
#define VK_NN_CONV_BF16_H

#include "nn/conv_kernel.h"
#include "nn/op_bf16.h"

/* Floats of a band, if what it needs at least is no more: products like many rows at a time. */
enum { CONV_BAND_BF16 = 48 * 1024 };

/* Windows of the pixels of some pictures; row i of the matrix is pixel i, in order picture, row,
 * column, and lies as rows of kc floats, pitch apart. */
typedef struct conv_windows {
  const uint16_t *at;           /* window of pixel 0 */
  int64_t n_x, n_y;             /* pixels in a row, rows of a picture */
  int64_t step_x, step_y, step; /* floats from a pixel, row, picture to the next */
  int64_t pitch, kc;
  int64_t first;       /* column 0 of the matrix is float `first` of a window */
  conv_ahead ahead[2]; /* of what will be read soon, a step a fill */
} conv_windows;

/* fill_a_bf16 and fill_b_bf16 of gemm.h for arg, conv_windows: out[r * stride + e] = number q + e
 * of window i + r, for r < n_i and e < n_q. */
#define conv_fill_windows VK_KERNEL(vk_conv_fill_windows)
void conv_fill_windows(void *arg, int64_t i, int64_t n_i, int64_t q, int64_t n_q, uint16_t *out,
                       int64_t stride);

/* As conv_fill_band, rounded to out; pictures that are not bf16 come to band before. */
static inline void conv_fill_rounded(const vk_op_call *c, const conv_source *s, int64_t i,
                                     int64_t y, int64_t n, float *band, uint16_t *out)
{
  if (s->dtype == VK_BF16) {
    conv_fill_band(s, i, y, n, out);
    return;
  }
  conv_fill_band(s, i, y, n, band);
  vk_op_bf16_path(c->attr)->round(band, n * conv_pitch(s), out);
}

#endif
