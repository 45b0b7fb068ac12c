/* text.h - instructions to words, and words to bags of hashed character n-grams.
 *
 * ASCII letters become lower-case; words are the longest runs of a-z and 0-9, every other byte
 * separates. The first 24 words count; an instruction without any has one empty word. A word w
 * becomes "<w>"; its bag holds all 3-, 4- and 5-grams of that, then "<w>" itself, repeats kept,
 * each as the 32-bit FNV-1a hash of its bytes mod 4096. Words that nobody has seen in training
 * share n-grams with those that were.
 *
 *   int32_t id[4096], offset[65], begin[5];
 *   vk_text_bags b = {.id = id, .cap_id = 4096, .offset = offset, .cap_word = 64,
 *                     .begin = begin, .cap_text = 4};
 *   VK_TRY(vk_text_encode(&b, n_text, texts, err));
 *
 * Source: Bojanowski et al. 2017, arXiv:1607.04606 (bags of n-grams with word ends); Fowler, Noll,
 * Vo (FNV-1a). Test: tests/unit/test_text.c */
#ifndef VK_NN_TEXT_H
#define VK_NN_TEXT_H

#include <stdint.h>

#include "core/err.h"

enum { VK_TEXT_WORD_MAX = 24, VK_TEXT_N_BUCKET = 4096 };

/* Bags of several instructions, in memory of the caller: the word k of instruction i is number
 * begin[i] + k, and its bag is id[offset[word]] up to id[offset[word + 1]]. */
typedef struct vk_text_bags {
  int32_t *id;     /* [cap_id] buckets */
  int32_t *offset; /* [cap_word + 1] first id of each word, and the end */
  int32_t *begin;  /* [cap_text + 1] first word of each instruction, and the end */
  int64_t cap_id, cap_word, cap_text;
  int64_t n_id, n_word, n_text; /* what is there */
} vk_text_bags;

/* Replaces what is in b by the bags of text[0 .. n - 1].
 * Errors: VK_E_RANGE names the instruction and the capacity that does not suffice; b then holds the
 * instructions before it. */
VK_NODISCARD vk_status vk_text_encode(vk_text_bags *b, int64_t n, const char *const *text,
                                      vk_err *err);

/* Adds one instruction; after an error b is as before. b->n_text = 0 begins anew. */
VK_NODISCARD vk_status vk_text_add(vk_text_bags *b, const char *text, vk_err *err);

/* Which instructions of a batch are the same: they need to be encoded once.
 *   text   [n]
 *   index  out [n]: text[i] is distinct text number index[i]
 *   first  out [n]: distinct text k is text[first[k]]; in the order of appearance
 * Returns how many are distinct. */
int64_t vk_text_distinct(int64_t n, const char *const *text, int32_t *index, int32_t *first);

#endif
