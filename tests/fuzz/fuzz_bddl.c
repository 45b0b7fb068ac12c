/* fuzz_bddl.c - any text as a task file. What is accepted is whole: every name is there. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/bddl.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_bddl *b = NULL;
  if (vk_bddl_parse(&b, bytes, n, "fuzz", &err) != VK_OK) {
    VK_ASSERT(err.code != VK_OK && err.text[0] && !b);
    return 0;
  }
  VK_ASSERT(b->problem[0] && b->language && b->n_goal > 0);
  for (int i = 0; i < b->n_region; i++)
    VK_ASSERT(strlen(b->region[i].name) > strlen(b->region[i].target) &&
              isfinite(b->region[i].range[0]) && b->region[i].range[0] <= b->region[i].range[2]);
  for (int i = 0; i < b->n_object; i++)
    VK_ASSERT(b->object[i].name[0] && b->object[i].category[0]);
  for (int i = 0; i < b->n_fixture; i++)
    VK_ASSERT(b->fixture[i].name[0] && b->fixture[i].category[0]);
  for (int i = 0; i < b->n_goal; i++)
    VK_ASSERT(b->goal[i].a[0] && b->goal[i].kind < VK_ATOM_N);
  for (int i = 0; i < b->n_interest; i++)
    VK_ASSERT(b->interest[i][0]);
  vk_bddl_free(b);
  return 0;
}
