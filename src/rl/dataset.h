/* dataset.h - training samples of demonstrations.
 *
 * A sample is a step of a demonstration: what a picture of it shows (a row of sim/picture.h;
 * pictures are drawn by rl/frames.h when they are needed), proprioception, the instruction (the
 * pack's, which evaluations give too, whatever the file calls the task), and the actions of this
 * step and the seven that follow as bins. Beyond the end the last action is repeated without
 * motion, its gripper kept: a policy whose task is done stands still. These steps count in the loss
 * as any other, so that it learns to.
 *
 * Rows, proprioception and actions of all demonstrations are in memory: about 0.6 KB a sample.
 * Nothing here changes but by vk_dataset_add; reading is for any number of threads.
 * Test: tests/unit/test_dataset.c */
#ifndef VK_RL_DATASET_H
#define VK_RL_DATASET_H

#include "rl/demo.h"
#include "rl/norm_stats.h"
#include "rl/view.h"

enum { VK_CHUNK_STEPS = 8, VK_CHUNK_TARGETS = VK_CHUNK_STEPS * VK_N_ACTION };

typedef enum vk_split { VK_SPLIT_TRAIN, VK_SPLIT_VALIDATION, VK_SPLIT_N } vk_split;

typedef struct vk_dataset_config {
  const vk_pack *pack;     /* must outlive the dataset */
  const char *cache_dir;   /* compiled models (HDF5 needs scenes); NULL: none */
  const char *const *path; /* [n_path] files of demonstrations, or folders of them, in which those
                              that collect has not finished (NAME.part-RUN) are passed over */
  int n_path;
  int n_demo_per_task; /* the first of each task; 0: all */
  int n_validation;    /* of these, the last are held out: demonstrations a task */
  bool drop_noops;
  const vk_norm_stats
      *stats; /* to scale with, of a checkpoint; NULL: those of the training split */
} vk_dataset_config;

/* A task with demonstrations. */
typedef struct vk_dataset_task {
  uint32_t i_task; /* in the pack */
  const char *instruction;
  int n_picture_state; /* numbers of a row */
  int n_demo[VK_SPLIT_N];
  int64_t n_sample[VK_SPLIT_N];
} vk_dataset_task;

typedef struct vk_sample {
  int64_t i_frame; /* among all samples of both splits: stays when demonstrations are added */
  int i_task;      /* of vk_dataset_task_get */
  const char *instruction;
  const double *picture_state;      /* [n_picture_state] */
  const float *proprio;             /* [8] scaled by the statistics, -1 to 1 */
  int32_t target[VK_CHUNK_TARGETS]; /* [8, 7] bins */
  int n_step_left;                  /* actions of the demonstration from here on, at least 1 */
} vk_sample;

typedef struct vk_dataset vk_dataset;

/* Reads all demonstrations; failures are left out. HDF5 is read without its pictures: they are
 * drawn from its states. Errors: those of vk_demo_open and vk_demo_read; VK_E_NOTFOUND (no
 * demonstrations, or none but failures; fewer than n_validation + 1 of a task; a task the pack does
 * not have), VK_E_SHAPE (actions of another size, rows that are not of the scene's), VK_E_RANGE (a
 * dimension that does not vary), VK_E_MISMATCH (the same demonstration twice, one of another pack),
 * VK_E_INTERRUPTED, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_dataset_new(vk_dataset **out, const vk_dataset_config *config,
                                      vk_err *err);
void vk_dataset_free(vk_dataset *d);

/* Adds a demonstration (a relabelled piece of a policy's episode) to the training split: its first
 * n_sample steps are samples, the others are there for their chunks and need no observations. The
 * statistics stay as they are: a policy's bins keep their meaning. No loader may run meanwhile.
 * Errors: VK_E_SHAPE, VK_E_NOTFOUND (no picture rows), VK_E_RANGE, VK_E_NOMEM; nothing has changed
 * then. */
VK_NODISCARD vk_status vk_dataset_add(vk_dataset *d, const vk_demo *demo, uint32_t i_task,
                                      int n_sample, vk_err *err);

/* Samples of a split; samples whose pictures may be drawn, of both splits; the i-th of a split. */
int64_t vk_dataset_n(const vk_dataset *d, vk_split split);
int64_t vk_dataset_n_frame(const vk_dataset *d);
void vk_dataset_sample(const vk_dataset *d, vk_split split, int64_t i, vk_sample *out);

/* The scene pack; how many tasks there are demonstrations of, and the i-th of them, in the order in
 * which they were read. */
const vk_pack *vk_dataset_pack(const vk_dataset *d);
int vk_dataset_n_task(const vk_dataset *d);
const vk_dataset_task *vk_dataset_task_get(const vk_dataset *d, int i);

/* Of the training split alone. */
const vk_norm_stats *vk_dataset_stats(const vk_dataset *d);
/* SHA-256 of what the samples are made of, as hex: tasks, instructions, rows, proprioception,
 * labels, which of them are held out. What vk_dataset_add adds counts too. */
const char *vk_dataset_hash(const vk_dataset *d);

/* What was read. */
typedef struct vk_dataset_info {
  int n_demo[VK_SPLIT_N];
  int n_failure;        /* left out */
  int n_eval_row;       /* begin at init rows, which evaluations score; both splits */
  int n_unknown_origin; /* do not say where they begin; both splits */
  int64_t n_noop;
  int64_t n_byte; /* memory */
} vk_dataset_info;
void vk_dataset_info_get(const vk_dataset *d, vk_dataset_info *info);

/* Which of n samples is the k-th of training: a permutation of all of them for every n. Depends on
 * nothing else, so that training can go on from any k. */
int64_t vk_dataset_order(uint64_t seed, int64_t n, int64_t k);

#endif
