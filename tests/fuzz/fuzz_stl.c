/* fuzz_stl.c - any bytes as an STL file; every vertex can be read. */
#include <math.h>
#include <stdlib.h>

#include "sim/import_stl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_stl stl;
  if (vk_stl_parse(&stl, bytes, n, "fuzz", &err) != VK_OK)
    VK_ASSERT(err.code != VK_OK && err.text[0] && !stl.vertex);
  for (size_t i = 0; i < 9 * (size_t)stl.n_triangle; i++)
    VK_ASSERT(isfinite(stl.vertex[i]));
  vk_stl_free(&stl);
  return 0;
}
