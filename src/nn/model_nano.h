/* model_nano.h - the nano family: a small policy from one or two camera pictures, an instruction
 * and proprioception to 8 steps of 7 action dimensions in 256 bins.
 *
 *   stem     four 3x3 convolutions of stride 2, each with group norm (8 groups) and GELU, shared by
 *            the views: 128 px to 64 tokens a view; FiLM from the text vector after stages 3 and 4
 *   text     a word is the mean of its hashed n-grams' rows (nn/text.h), projected; two encoder
 *            layers; the text vector is the mean of the words
 *   encoder  tokens of view 0, view 1, words, proprioception, each with its learned position
 *   decoder  8 queries: self-attention, cross-attention, MLP a layer; one projection gives keys and
 *            values to all layers (shared_kv), or each has its own
 *   heads    7 x 256 logits a step; value: mean of the states, 256 hidden, 8 numbers
 *
 * Rows of tokens are packed: words that an instruction does not have, missing proprioception and
 * missing views are not there; an instruction that several samples share is encoded once.
 *
 * Source: our own design (BAKU's FiLM stem and chunks, YOCO's one projection of keys and values,
 * arXiv:2405.05254). Test: tests/unit/test_model_nano.c, tests/parity/nano */
#ifndef VK_NN_MODEL_NANO_H
#define VK_NN_MODEL_NANO_H

#include "nn/exec.h"
#include "nn/model.h"

enum {
  VK_NANO_PX = 128,
  VK_NANO_STAGES = 4,
  VK_NANO_TOKENS = 64, /* a view */
  VK_NANO_WORDS = 24,  /* most of an instruction */
  VK_NANO_GRAMS = 640, /* most n-grams of an instruction: 24 words of 10 letters have 600 */
  VK_NANO_GRAM_WIDTH = 64,
  VK_NANO_BUCKETS = 4096,
  VK_NANO_PROPRIO = 8,
  VK_NANO_STEPS = 8,
  VK_NANO_DIMS = 7,
  VK_NANO_BINS = 256,
  VK_NANO_VALUE_WIDTH = 256,
  VK_NANO_POSITIONS = 2 * VK_NANO_TOKENS + VK_NANO_WORDS + 1,
};

typedef struct vk_nano_config {
  int64_t d_model, n_head, n_encoder, n_decoder;
  int64_t stem[VK_NANO_STAGES]; /* channels; the last is d_model */
  int64_t n_view;               /* 1 or 2: what the policy was made for */
  bool shared_kv;
} vk_nano_config;

/* Symbols of extents, in the order in which the graph has them. */
enum { VK_NANO_BATCH, VK_NANO_TOKEN, VK_NANO_TEXT, VK_NANO_WORD, VK_NANO_GRAM };

/* Inputs of the graph; rows are what a run has.
 *   image       u8  [batch * n_view, 128, 128, 3]  views of a sample one after another
 *   proprio     f32 [batch, 8]
 *   text_of     i32 [batch]       which instruction each sample has
 *   token_from  i32 [token]       source row of each token (nn/pick.h): 0 pictures, 1 words,
 *                                 2 proprioception
 *   token_pos   i32 [token]       row of `pos`
 *   token_seg   i32 [batch + 1]   where each sample's tokens begin
 *   gram        i32 [gram]        bucket numbers
 *   word_start  i32 [word + 1]    where each word's n-grams begin
 *   word_pos    i32 [word]        number of the word in its instruction
 *   text_seg    i32 [text + 1]    where each instruction's words begin
 *   target      i32 [batch * 56]  bins; with losses
 *   value_target f32 [batch, 8]   with losses and the value head
 *   text, text_vec  f32 [word, d], [text, d]: outputs of VK_PART_TEXT, inputs of VK_PART_ACT
 *   key         i32 [batch, 2]    what a sample's bins are drawn with (op sample); VK_PART_ACT with
 *                                 a temperature
 * Outputs: logits [batch * 56, 256], value [batch, 8], loss, loss_action, loss_value [1]; of
 * VK_PART_ACT bin i32 [batch * 56] and, where asked for, log_prob [batch * 56]. */

/* One observation of a batch. */
typedef struct vk_nano_obs {
  const uint8_t *image[2]; /* [128, 128, 3] each; NULL: this view is missing */
  const float *proprio;    /* [8]; NULL: missing */
  int i_text;              /* which instruction of the batch */
} vk_nano_obs;

/* Sets sizes and fills inputs image, proprio, token_*, text_of for n samples.
 *   n_word  words of each instruction, [n_text]: what vk_nano_set_text was given or made
 * Errors: VK_E_RANGE (more than the capacity; i_text beyond n_text). */
VK_NODISCARD vk_status vk_nano_set_obs(vk_exec *x, const vk_graph *g, const vk_nano_obs *obs, int n,
                                       const int *n_word, int n_text, vk_err *err);
/* The same; pictures, 98 kB a sample, are copied by the team's threads, which have nothing else to
 * do meanwhile. NULL: by this thread. */
VK_NODISCARD vk_status vk_nano_set_obs_by(vk_team *team, vk_exec *x, const vk_graph *g,
                                          const vk_nano_obs *obs, int n, const int *n_word,
                                          int n_text, vk_err *err);
/* Sets sizes and fills inputs gram, word_start, word_pos, text_seg for n instructions.
 *   n_word  out, [n] words of each
 * Errors: VK_E_RANGE (beyond the capacity, an instruction of more than VK_NANO_GRAMS n-grams). */
VK_NODISCARD vk_status vk_nano_set_text(vk_exec *x, const vk_graph *g, const char *const *text,
                                        int n, int *n_word, vk_err *err);

#endif
