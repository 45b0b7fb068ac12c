/* segments.h - rows that fall into segments: rows seg[s] to seg[s + 1] - 1 are segment s, and rows
 * before the first or behind the last are in none. For kernels of ops whose segments are an input.
 * Test: tests/unit/test_ops.c */
#ifndef VK_NN_SEGMENTS_H
#define VK_NN_SEGMENTS_H

#include <string.h>

#include "core/err.h"

/* Segments of the program lie within n_row rows, one behind the other; seg [n_seg + 1]. */
static inline void vk_segments_check(const int32_t *seg, int64_t n_seg, int64_t n_row)
{
  VK_ASSERT(seg[0] >= 0 && seg[n_seg] <= n_row);
  for (int64_t s = 0; s < n_seg; s++)
    VK_ASSERT(seg[s] <= seg[s + 1]);
}

/* Zeros in those of the n_row rows of y, of d items, that are in no segment. */
static inline void vk_segments_clear_rest(const int32_t *seg, int64_t n_seg, int64_t n_row,
                                          int64_t d, float *y)
{
  int64_t first = seg[0], end = seg[n_seg];
  memset(y, 0, (size_t)(first * d) * sizeof *y);
  memset(y + end * d, 0, (size_t)((n_row - end) * d) * sizeof *y);
}

#endif
