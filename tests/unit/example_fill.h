/* example_fill.h - the numbers that an op's example asks for. */
#ifndef VK_TESTS_EXAMPLE_FILL_H
#define VK_TESTS_EXAMPLE_FILL_H

#include <math.h>

#include "nn/op.h"
#include "nn/pick.h"

/* Rising from 0 to hi, with n + 1 entries; segments of at least lo. */
static inline void example_segments(vk_example *e, int32_t *x, int64_t n, const vk_example_in *in)
{
  for (int64_t i = 0; i < n; i++)
    x[i] = i == 0       ? 0
           : i == n - 1 ? (int32_t)in->hi
                        : (int32_t)vk_example_int(e, in->lo * i, in->hi - in->lo * (n - 1 - i));
  for (int64_t i = 1; i < n; i++) /* insertion sort */
    for (int64_t k = i; k > 0 && x[k - 1] > x[k]; k--) {
      int32_t swap = x[k];
      x[k] = x[k - 1];
      x[k - 1] = swap;
    }
  for (int64_t i = 1; i < n; i++)
    if (x[i] < x[i - 1] + in->lo)
      x[i] = x[i - 1] + (int32_t)in->lo;
  x[n - 1] = (int32_t)in->hi;
}

/* The items of an input of an example, n of them, in its dtype. */
static inline void example_fill(vk_example *e, const vk_example_in *in, int64_t n, void *data)
{
  if (in->fill == VK_EXAMPLE_SEGMENTS) {
    example_segments(e, data, n, in);
    return;
  }
  for (int64_t k = 0; k < n; k++) {
    if (in->dtype == VK_F32) {
      float x = (float)vk_philox_normal(e->rng);
      ((float *)data)[k] = in->fill == VK_EXAMPLE_POSITIVE ? fabsf(x) + 0.5f : x;
    } else if (in->fill == VK_EXAMPLE_PICK) {
      int source = (int)vk_example_int(e, -1, in->lo - 1);
      ((int32_t *)data)[k] =
          source < 0 ? VK_PICK_ZERO : vk_pick_index(source, vk_example_int(e, 0, in->hi - 1));
    } else if (in->dtype == VK_I32) {
      ((int32_t *)data)[k] = (int32_t)vk_example_int(e, 0, in->hi - 1);
    } else {
      ((uint8_t *)data)[k] = (uint8_t)vk_example_int(e, 0, in->hi - 1);
    }
  }
}

#endif
