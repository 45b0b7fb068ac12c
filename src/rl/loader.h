/* loader.h - batches ready to train on, made ahead by worker threads.
 *
 * Sample k of a training run is vk_dataset_order's k-th, augmented with a generator made of (seed,
 * k). The bits of a batch depend on the dataset, the seed, the augmentation and first_sample alone:
 * not on threads, on what is cached or on where a run was interrupted.
 *
 * Instructions: a batch says each in a few ways only (VK_LOADER_VARIANTS in each 256 samples), so
 * that the model encodes few texts; samples that share one have the same i_text. Test:
 * tests/unit/test_loader.c */
#ifndef VK_RL_LOADER_H
#define VK_RL_LOADER_H

#include "nn/model_nano.h"
#include "rl/augment.h"
#include "rl/frames.h"

enum { VK_LOADER_VARIANTS = 8, VK_LOADER_TEXT_BLOCK = 256 };

typedef struct vk_loader_config {
  vk_frames *frames; /* of the dataset; must outlive the loader */
  vk_split split;    /* validation: once through, in order, augment does not count */
  int n_batch;       /* samples */
  uint64_t seed;
  int64_t
      first_sample; /* of the run: a resumed one goes on with first_sample + n of its last batch */
  vk_augment augment;
  int n_worker;    /* threads, at least 1 */
  int n_ahead;     /* batches in memory at most, at least 2: the one in use counts */
  vk_trace *trace; /* NULL: off */
} vk_loader_config;

typedef struct vk_batch {
  int n, n_text;           /* n: n_batch, but for the last of a validation */
  const vk_nano_obs *obs;  /* [n] */
  const char *const *text; /* [n_text] */
  const int32_t *target;   /* [n * 56] bins */
  int64_t first_sample;
} vk_batch;

typedef struct vk_loader vk_loader;

/* Starts the workers. Errors: VK_E_RANGE, VK_E_NOTFOUND (no samples in the split), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_loader_new(vk_loader **out, const vk_loader_config *config, vk_err *err);
/* Stops the workers, each after its sample. NULL is allowed. */
void vk_loader_free(vk_loader *l);

/* Waits for the next batch: *out is valid until the next call; NULL after the last of a validation.
 * Errors: what a worker could not do. */
VK_NODISCARD vk_status vk_loader_next(vk_loader *l, const vk_batch **out, vk_err *err);

/* Time that vk_loader_next has waited. */
double vk_loader_wait_s(const vk_loader *l);
/* Most texts of a batch: capacity of VK_NANO_TEXT. */
int vk_loader_n_text_max(const vk_loader *l);
/* Memory of a loader's batches. */
uint64_t vk_loader_bytes(const vk_loader_config *config);

#endif
