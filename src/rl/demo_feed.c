#include "rl/demo_feed.h"

#include <stdio.h>

enum { BATCHES_AHEAD = 4 };

vk_status vk_demo_feed_open(vk_demo_feed *f, const vk_trainer *t, const vk_norm_stats *stats,
                            vk_err *err)
{
  const vk_trainer_config *c = &t->config;
  if (c->train->data.n == 0)
    return vk_fail(
        err, VK_E_USAGE,
        "\"data\" names no demonstrations; give --data PATH, which vlakit collect makes");
  VK_TRY(vk_dataset_new(&f->dataset,
                        &(vk_dataset_config){.pack = c->pack,
                                             .cache_dir = c->cache_dir,
                                             .path = c->train->data.item,
                                             .n_path = c->train->data.n,
                                             .n_demo_per_task = (int)c->train->demos,
                                             .n_validation = (int)c->train->validation_demos,
                                             .drop_noops = c->train->drop_noops,
                                             .stats = stats},
                        err));
  const vk_protocol *protocol;
  VK_TRY(vk_protocol_find(&protocol, c->train->protocol, err));
  vk_frames_config config = {.dataset = f->dataset,
                             .visuals = c->visuals,
                             .cache_dir = c->cache_dir,
                             .view = vk_view_defaults,
                             .n_view = (int)c->train->views,
                             .cache_bytes = (uint64_t)c->train->cache_mb * 1000000,
                             .trace = c->trace};
  config.view.turn = protocol->image_turn;
  config.view.isa = c->isa;
  return vk_frames_new(&f->frames, &config, err);
}

void vk_demo_feed_close(vk_demo_feed *f)
{
  vk_loader_free(f->loader);
  vk_frames_free(f->frames);
  vk_dataset_free(f->dataset);
  *f = (vk_demo_feed){0};
}

vk_loader_config vk_demo_feed_config(const vk_demo_feed *f, const vk_trainer *t, vk_split split,
                                     int64_t first_sample)
{
  const vk_train_config *c = t->config.train;
  return (vk_loader_config){.frames = f->frames,
                            .split = split,
                            .n_batch = (int)c->micro_batch,
                            .seed = (uint64_t)c->seed,
                            .first_sample = first_sample,
                            .augment = {.shift_px = (int)c->shift_px,
                                        .crop = c->crop,
                                        .brightness = c->brightness,
                                        .contrast = c->contrast,
                                        .word_dropout = c->word_dropout,
                                        .paraphrase = c->paraphrase,
                                        .proprio_dropout = c->proprio_dropout},
                            .n_worker = (int)c->workers,
                            .n_ahead = BATCHES_AHEAD,
                            .trace = t->config.trace};
}

void vk_demo_feed_describe(const vk_demo_feed *f, vk_trainer *t)
{
  const vk_train_config *c = t->config.train;
  vk_dataset_info info;
  vk_dataset_info_get(f->dataset, &info);
  const vk_loader_config config = vk_demo_feed_config(f, t, VK_SPLIT_TRAIN, 0);
  double all = (double)vk_dataset_n_frame(f->dataset) * (double)c->views * VK_VIEW_BYTES;
  double cache = (double)c->cache_mb * 1e6;
  vk_train_data *d = &t->data;
  d->stats = vk_dataset_stats(f->dataset);
  d->view = vk_frames_config_get(f->frames)->view;
  d->view.isa = vk_view_defaults.isa;
  snprintf(d->hash, sizeof d->hash, "%s", vk_dataset_hash(f->dataset));
  d->n_task = vk_dataset_n_task(f->dataset);
  for (int i = 0; i < d->n_task && i < VK_TRAIN_TASKS_MAX; i++)
    d->task[i] = vk_dataset_task_get(f->dataset, i)->i_task;
  d->n_demo = info.n_demo[VK_SPLIT_TRAIN];
  d->n_validation_demo = info.n_demo[VK_SPLIT_VALIDATION];
  d->n_sample = vk_dataset_n(f->dataset, VK_SPLIT_TRAIN);
  d->n_validation_sample = vk_dataset_n(f->dataset, VK_SPLIT_VALIDATION);
  d->bytes =
      (uint64_t)info.n_byte + vk_loader_bytes(&config) + (uint64_t)(all < cache ? all : cache);
}

vk_status vk_demo_feed_next(vk_demo_feed *f, const vk_trainer *t, int64_t first_sample, vk_err *err)
{
  if (!f->loader) {
    const vk_loader_config config = vk_demo_feed_config(f, t, VK_SPLIT_TRAIN, first_sample);
    VK_TRY(vk_loader_new(&f->loader, &config, err));
  }
  return vk_loader_next(f->loader, &f->batch, err);
}
