/* fuzz_text.c - any bytes as instructions, a line each, with room that their first byte says:
 * buckets are in range, bags are in order, and what does not fit is refused. */
#include <string.h>

#include "nn/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

enum { N_TEXT = 8 };

static void check(const vk_text_bags *b)
{
  VK_ASSERT(b->n_text <= b->cap_text && b->n_word <= b->cap_word && b->n_id <= b->cap_id);
  VK_ASSERT(b->begin[0] == 0 && b->offset[0] == 0);
  VK_ASSERT(b->begin[b->n_text] == b->n_word && b->offset[b->n_word] == b->n_id);
  for (int64_t i = 0; i < b->n_text; i++) {
    int32_t n_word = b->begin[i + 1] - b->begin[i];
    VK_ASSERT(n_word >= 1 && n_word <= VK_TEXT_WORD_MAX);
  }
  for (int64_t i = 0; i < b->n_word; i++)
    VK_ASSERT(b->offset[i + 1] > b->offset[i]);
  for (int64_t i = 0; i < b->n_id; i++)
    VK_ASSERT(b->id[i] >= 0 && b->id[i] < VK_TEXT_N_BUCKET);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  static char line[N_TEXT + 1][512];
  static int32_t id[2048], offset[129], begin[N_TEXT + 1];
  const char *text[N_TEXT + 1];
  int32_t index[N_TEXT + 1], first[N_TEXT + 1];
  if (n < 1)
    return 0;
  int64_t n_text = 0;
  for (size_t at = 1; at < n && n_text <= N_TEXT; n_text++) {
    const uint8_t *end = memchr(bytes + at, '\n', n - at);
    size_t n_byte = end ? (size_t)(end - bytes) - at : n - at, n_kept = n_byte < 511 ? n_byte : 511;
    memcpy(line[n_text], bytes + at, n_kept);
    line[n_text][n_kept] = 0;
    text[n_text] = line[n_text];
    at += n_byte + 1;
  }
  vk_text_bags b = {.id = id,
                    .cap_id = 8 * bytes[0],
                    .offset = offset,
                    .cap_word = bytes[0] / 2,
                    .begin = begin,
                    .cap_text = N_TEXT};
  vk_err err = VK_ERR_INIT;
  vk_status st = vk_text_encode(&b, n_text, text, &err);
  VK_ASSERT(st == VK_OK ? b.n_text == n_text : st == VK_E_RANGE && err.text[0]);
  check(&b);
  int64_t n_distinct = vk_text_distinct(n_text, text, index, first);
  for (int64_t i = 0; i < n_text; i++)
    VK_ASSERT(index[i] < n_distinct && strcmp(text[first[index[i]]], text[i]) == 0);
  return 0;
}
