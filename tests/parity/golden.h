/* golden.h - golden files of the nano policy for the programs of this folder: what went in, what
 * came out, and how far other results are from it.
 *
 * A folder has weights.safetensors, batch.npz, instructions.txt, outputs.npz and outputs_f64.npz.
 * small.npz of this folder has outputs alone: what goes in is made here (tests/parity/make_small.py
 * says how). */
#ifndef VK_PARITY_GOLDEN_H
#define VK_PARITY_GOLDEN_H

#include "core/fs.h"
#include "core/npy.h"

enum { GOLDEN_SAMPLE_MAX = 256, GOLDEN_WANT_MAX = 2 };

typedef struct golden {
  bool is_small;
  char weights[VK_FS_PATH_MAX]; /* of a folder */
  vk_npz batch, want[GOLDEN_WANT_MAX];
  const char *want_name[GOLDEN_WANT_MAX];
  int n_want;
  char *text; /* owns what instruction[] points into */

  int64_t n_sample, n_view, n_word; /* n_word: of all samples */
  uint8_t *images;                  /* [n_sample, n_view, 128, 128, 3] */
  float *proprio;                   /* [n_sample, 8] */
  uint8_t *has_proprio;             /* [n_sample] */
  const int32_t *word_ids;          /* buckets of all bags */
  const int32_t *word_offsets;      /* [n_word + 1] where each bag starts */
  const int32_t *n_words;           /* [n_sample] */
  int32_t *targets;                 /* [n_sample, 56] */
  float *value_target;              /* [n_sample, 8] */
  const char *instruction[GOLDEN_SAMPLE_MAX];

  struct {
    const char *name;
    double error;
  } worst, worst_step; /* of all that golden_compare was given; step: of step_norm.NAME */
  int n_compared, n_bad;
} golden;

/* path: a folder, or small.npz. g is to be freed in any case. */
VK_NODISCARD vk_status golden_read(golden *g, const char *path, vk_err *err);
void golden_free(golden *g);

/* Numbers of small.npz's policy: d, heads, encoder and decoder layers, four channels of the stem.
 */
VK_NODISCARD vk_status golden_config(const golden *g, const int32_t **config, vk_err *err);
/* Weights of small.npz's policy as PyTorch lays them out; out [product of shape]. */
void golden_weight(const char *name, int n_dim, const int64_t *shape, float *out);

/* Prints the relative Euclidean distance of got [n] from every file's array of that name; above
 * bound, and when the array has another size, it counts as bad. Returns false when no file has such
 * an array. */
bool golden_compare(golden *g, const char *name, const float *got, int64_t n, double bound);
/* The same for some rows: row i of got [n_row, width] against row row[i] of the array. */
bool golden_compare_rows(golden *g, const char *name, const float *got, const int32_t *row,
                         int64_t n_row, int64_t width, double bound);

#endif
