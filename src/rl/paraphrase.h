/* paraphrase.h - the same instruction in other words, by a table of our own of the forms that
 * LIBERO's have: "pick up X and place it on Y", "put X in Y and close it", "turn on X". An
 * instruction of another form stays as it is. Test: tests/unit/test_paraphrase.c */
#ifndef VK_RL_PARAPHRASE_H
#define VK_RL_PARAPHRASE_H

#include <stddef.h>

#include "core/rng.h"

enum { VK_PARAPHRASE_SIZE = 640 };

/* Writes one of the other ways to say it, each as likely, to out (n bytes), or the instruction
 * where there is none that fits (more words than a model reads, more bytes than n). One draw from
 * rng. */
void vk_paraphrase(const char *instruction, vk_philox *rng, char *out, size_t n);

/* How many other ways there are, and the i-th of them: "" when it does not fit. */
int vk_paraphrase_count(const char *instruction);
void vk_paraphrase_at(const char *instruction, int i, char *out, size_t n);

/* Leaves out each word with the probability p, but never all: then none. Words are separated by
 * spaces. A draw from rng for each word. */
void vk_drop_words(char *text, double p, vk_philox *rng);

#endif
