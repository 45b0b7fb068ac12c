/* fuzz_paraphrase.c - any text as an instruction: the other ways to say it and what is left without
 * some words fit where they are put. */
#include <string.h>

#include "core/err.h"
#include "rl/paraphrase.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  char text[512], out[VK_PARAPHRASE_SIZE + 1], small[32 + 1];
  vk_philox rng;
  n = n < sizeof text ? n : sizeof text - 1;
  memcpy(text, bytes, n);
  text[n] = '\0';
  vk_philox_init(&rng, n, 0);
  int n_way = vk_paraphrase_count(text);
  for (int i = -2; i < n_way; i++) {
    out[VK_PARAPHRASE_SIZE] = small[32] = 0x5a;
    if (i < 0)
      vk_paraphrase(text, i == -1 ? VK_PARAPHRASE_TRAIN : VK_PARAPHRASE_HELD_OUT, &rng, out,
                    VK_PARAPHRASE_SIZE);
    else
      vk_paraphrase_at(text, i, out, VK_PARAPHRASE_SIZE);
    vk_paraphrase(text, VK_PARAPHRASE_TRAIN, &rng, small, 32);
    size_t n_out = strlen(out);
    VK_ASSERT(n_out < VK_PARAPHRASE_SIZE && strlen(small) < 32);
    VK_ASSERT(out[VK_PARAPHRASE_SIZE] == 0x5a && small[32] == 0x5a);
    vk_drop_words(out, 0.5, &rng);
    VK_ASSERT(strlen(out) <= n_out);
  }
  return 0;
}
