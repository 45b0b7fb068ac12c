/* paraphrase.h - the same instruction in other words, by a table of our own of the forms that
 * LIBERO's have: "pick up X and place it on Y", "put X in Y and close it", "turn on X". An
 * instruction of another form stays as it is. Test: tests/unit/test_paraphrase.c */
#ifndef VK_RL_PARAPHRASE_H
#define VK_RL_PARAPHRASE_H

#include <stddef.h>

#include "core/rng.h"

enum { VK_PARAPHRASE_SIZE = 640 };

/* Of every form the last of the other ways is never drawn in training, so that there is a wording
 * which no policy was trained on. */
typedef enum vk_paraphrase_set {
  VK_PARAPHRASE_TRAIN,
  VK_PARAPHRASE_HELD_OUT,
} vk_paraphrase_set;

/* Writes one of the set's other ways to say it, each as likely, to out (n bytes), or the
 * instruction where there is none that fits (more words than a model reads, more bytes than n). One
 * draw from rng. */
void vk_paraphrase(const char *instruction, vk_paraphrase_set set, vk_philox *rng, char *out,
                   size_t n);

/* How many other ways there are, and the i-th of them: "" when it does not fit. The last is the one
 * that is held out. */
int vk_paraphrase_count(const char *instruction);
void vk_paraphrase_at(const char *instruction, int i, char *out, size_t n);

/* Leaves out each word with the probability p, but never all: then none. Words are separated by
 * spaces. A draw from rng for each word. */
void vk_drop_words(char *text, double p, vk_philox *rng);

#endif
