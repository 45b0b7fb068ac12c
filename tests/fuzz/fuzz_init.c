/* fuzz_init.c - any bytes as an init file's zip and as its pickle. */
#include <math.h>
#include <stdlib.h>

#include "sim/import_init.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check(vk_status st, vk_init_rows *rows, const vk_err *err)
{
  if (st != VK_OK)
    VK_ASSERT(err->code != VK_OK && err->text[0] && !rows->value);
  for (size_t i = 0; i < (size_t)rows->n_row * rows->n_col; i++)
    VK_ASSERT(isfinite(rows->value[i]));
  vk_init_rows_free(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_init_rows rows;
  vk_status st = vk_init_rows_parse(&rows, bytes, n, "fuzz", &err);
  check(st, &rows, &err);
  st = vk_init_pickle_parse(&rows, bytes, n, "fuzz", &err);
  check(st, &rows, &err);
  return 0;
}
