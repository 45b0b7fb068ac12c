/* demo_feed.h - demonstrations for a method of training: as the configuration names, augments and
 * holds them out, in batches. Test: tests/cmd/test_train.sh */
#ifndef VK_RL_DEMO_FEED_H
#define VK_RL_DEMO_FEED_H

#include "rl/loader.h"
#include "rl/trainer.h"

typedef struct vk_demo_feed {
  vk_dataset *dataset;
  vk_frames *frames;
  vk_loader *loader;     /* NULL: not started yet */
  const vk_batch *batch; /* in use */
  bool is_probe;         /* the loader was begun by one, which learns nothing of what it gives */
} vk_demo_feed;

/* Opens "data" of t's configuration; its pictures are made as t->data.view says.
 *   stats  to scale with, of a checkpoint; NULL: those of the demonstrations
 * Errors: those of vk_dataset_new, vk_trainer_check_stats and vk_frames_new; close it in any
 * case. */
VK_NODISCARD vk_status vk_demo_feed_open(vk_demo_feed *f, const vk_trainer *t,
                                         const vk_norm_stats *stats, vk_err *err);
/* A zeroed one is allowed. */
void vk_demo_feed_close(vk_demo_feed *f);

/* Says what the data is, in t->data, and how many steps its epochs are, in t->n_step where that is
 * 0. */
void vk_demo_feed_describe(const vk_demo_feed *f, vk_trainer *t);

/* Memory of it, once n_later samples more have been added that are as large as those there are. */
uint64_t vk_demo_feed_bytes(const vk_demo_feed *f, const vk_trainer *t, int64_t n_later);

/* How a loader of them is made; batches are micro-batches. */
vk_loader_config vk_demo_feed_config(const vk_demo_feed *f, const vk_trainer *t, vk_split split,
                                     int64_t first_sample);

/* The next micro-batch of training, in f->batch. The first call says with which sample of the run
 * to begin. Errors: those of vk_loader_new and vk_loader_next. */
VK_NODISCARD vk_status vk_demo_feed_next(vk_demo_feed *f, const vk_trainer *t, int64_t first_sample,
                                         vk_err *err);
/* Stops its threads, so that samples may be added, and forgets what was put to the learner; the
 * next call begins anew. */
void vk_demo_feed_stop(vk_demo_feed *f, vk_learner *l);

/* What vk_train_def says, with demonstrations alone. After VK_E_DIVERGED save_batch writes the
 * micro-batch that it came from: where only the gradient tells, the one with the largest. */
VK_NODISCARD vk_status vk_demo_feed_learn(vk_demo_feed *f, vk_trainer *t, vk_train_step *out,
                                          vk_err *err);
/* The micro-batch that begins with a sample is the one in use, again: the feed is ahead of it. */
void vk_demo_feed_look_back(vk_demo_feed *f, vk_trainer *t, int64_t first_sample);
VK_NODISCARD vk_status vk_demo_feed_validate(vk_demo_feed *f, vk_trainer *t, double *loss,
                                             int64_t *n, vk_err *err);
VK_NODISCARD vk_status vk_demo_feed_save_batch(const vk_demo_feed *f, const char *path,
                                               vk_err *err);

#endif
