/* segments.h - rows that fall into segments: rows seg[s] to seg[s + 1] - 1 are segment s. For
 * kernels of ops whose segments are an input. Test: tests/unit/test_ops.c */
#ifndef VK_NN_SEGMENTS_H
#define VK_NN_SEGMENTS_H

#include "core/err.h"

/* Every row is in one segment; else rows of gradients would be left as they are, and others read
 * where there is nothing. seg [n_seg + 1] is made by the program, so this is no error of a user. */
static inline void vk_segments_check(const int32_t *seg, int64_t n_seg, int64_t n_row)
{
  VK_ASSERT(seg[0] == 0 && seg[n_seg] == n_row);
  for (int64_t s = 0; s < n_seg; s++)
    VK_ASSERT(seg[s] <= seg[s + 1]);
}

#endif
