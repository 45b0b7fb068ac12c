/* pick.h - rows of several sources named by one number each: what the op pick takes. Rows fit 26
 * bits, sources 5; a negative number names a row of zeros. Test: tests/unit/test_ops.c */
#ifndef VK_NN_PICK_H
#define VK_NN_PICK_H

#include <stdint.h>

enum {
  VK_PICK_SHIFT = 26,
  VK_PICK_ROW_MAX = (1 << VK_PICK_SHIFT) - 1,
  VK_PICK_SOURCE_MAX = 6, /* sources that the op takes */
  VK_PICK_ZERO = -1,
};

/* Row `row` (0 to VK_PICK_ROW_MAX) of source `source` (0: the first after idx). */
static inline int32_t vk_pick_index(int source, int64_t row)
{
  return (int32_t)((uint32_t)source << VK_PICK_SHIFT | (uint32_t)row);
}
static inline int vk_pick_source(int32_t index)
{
  return (int)(index >> VK_PICK_SHIFT);
}
static inline int64_t vk_pick_row(int32_t index)
{
  return index & VK_PICK_ROW_MAX;
}

#endif
