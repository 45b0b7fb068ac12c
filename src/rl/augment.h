/* augment.h - pictures as a camera that hangs a little differently would have taken them, in
 * another light. Whole numbers only: the same bits everywhere. Test: tests/unit/test_augment.c */
#ifndef VK_RL_AUGMENT_H
#define VK_RL_AUGMENT_H

#include "core/rng.h"
#include "rl/view.h"

/* All zero: nothing is changed. */
typedef struct vk_augment {
  int shift_px; /* up to so many pixels in each direction, edges repeated; 0 to 32 */
  /* A square of a side between sqrt(crop) and 1 of the picture's, each as likely, is enlarged to
   * the whole: the scale of evaluations, which see all of it, is one of those seen. 0 and 1: all.
   */
  double crop;
  double brightness;      /* factor 1 +- this; 0 to 1 */
  double contrast;        /* factor of the distance from the picture's mean, 1 +- this; 0 to 1 */
  double word_dropout;    /* probability of each word of an instruction to be left out */
  double paraphrase;      /* probability that an instruction is said in other words */
  double proprio_dropout; /* probability that a sample has no proprioception */
} vk_augment;

/* Errors: VK_E_RANGE names the member. */
VK_NODISCARD vk_status vk_augment_check(const vk_augment *a, vk_err *err);

/* One picture, [128, 128, 3] each; to is not from. Draws the same number of values from rng
 * whatever is switched on. Source: Yarats et al. 2021, arXiv:2004.13649 (shift); openvla-oft
 * 213c5ff (crop by area, there always the least, and of pictures in evaluations too; brightness,
 * contrast). */
void vk_augment_picture(const vk_augment *a, vk_philox *rng, const uint8_t *from, uint8_t *to);

#endif
