#include "rl/demo_feed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/signal.h"
#include "rl/trainer_internal.h"

enum { BATCHES_AHEAD = 4 };

/* That the policy will be able to act in their tasks: with init's statistics it may not. */
static vk_status check_stats(const vk_demo_feed *f, const vk_trainer *t, vk_err *err)
{
  for (int i = 0; i < vk_dataset_n_task(f->dataset); i++)
    VK_TRY(vk_trainer_check_stats(t, vk_dataset_stats(f->dataset), "data", 1,
                                  &vk_dataset_task_get(f->dataset, i)->i_task, err));
  return VK_OK;
}

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
  VK_TRY(check_stats(f, t, err));
  vk_dataset_info info;
  vk_dataset_info_get(f->dataset, &info);
  if (info.n_eval_row > 0 && !c->train->train_on_eval_rows)
    return vk_fail(err, VK_E_USAGE,
                   "%d of %d demonstrations begin at the init rows that evaluations score; make "
                   "others (vlakit collect --rows sampled), or set train_on_eval_rows=true and say "
                   "so of every score",
                   info.n_eval_row, info.n_demo[VK_SPLIT_TRAIN] + info.n_demo[VK_SPLIT_VALIDATION]);
  vk_frames_config config = {.dataset = f->dataset,
                             .visuals = c->visuals,
                             .cache_dir = c->cache_dir,
                             .view = t->data.view,
                             .n_view = (int)c->train->views,
                             .cache_bytes = (uint64_t)c->train->cache_mb * 1000000,
                             .trace = c->trace};
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

uint64_t vk_demo_feed_bytes(const vk_demo_feed *f, const vk_trainer *t, int64_t n_later)
{
  const vk_train_config *c = t->config.train;
  vk_dataset_info info;
  vk_dataset_info_get(f->dataset, &info);
  const vk_loader_config config = vk_demo_feed_config(f, t, VK_SPLIT_TRAIN, 0);
  double n_now = (double)vk_dataset_n_frame(f->dataset), n = n_now + (double)n_later;
  double rows = (double)info.n_byte / n_now * n, all = n * (double)c->views * VK_VIEW_BYTES;
  double cache = (double)c->cache_mb * 1e6;
  return vk_loader_bytes(&config) + (uint64_t)rows + (uint64_t)(all < cache ? all : cache);
}

void vk_demo_feed_describe(const vk_demo_feed *f, vk_trainer *t)
{
  const vk_train_config *c = t->config.train;
  vk_dataset_info info;
  vk_dataset_info_get(f->dataset, &info);
  vk_train_data *d = &t->data;
  d->stats = vk_dataset_stats(f->dataset);
  snprintf(d->hash, sizeof d->hash, "%s", vk_dataset_hash(f->dataset));
  d->rows = info.n_eval_row > 0 ? "eval" : info.n_unknown_origin > 0 ? "unknown" : "sampled";
  d->n_task = vk_dataset_n_task(f->dataset);
  if (d->n_task > VK_TRAIN_TASKS_MAX) /* evaluations take the first ones */
    d->n_task = VK_TRAIN_TASKS_MAX;
  for (int i = 0; i < d->n_task; i++)
    d->task[i] = vk_dataset_task_get(f->dataset, i)->i_task;
  d->n_demo = info.n_demo[VK_SPLIT_TRAIN];
  d->n_validation_demo = info.n_demo[VK_SPLIT_VALIDATION];
  d->n_sample = vk_dataset_n(f->dataset, VK_SPLIT_TRAIN);
  d->n_validation_sample = vk_dataset_n(f->dataset, VK_SPLIT_VALIDATION);
  if (t->n_step == 0)
    t->n_step = (int64_t)ceil(c->epochs * (double)d->n_sample / (double)c->batch);
  d->bytes = vk_demo_feed_bytes(f, t, 0);
}

void vk_demo_feed_stop(vk_demo_feed *f, vk_learner *l)
{
  vk_learner_unput(l);
  vk_loader_free(f->loader);
  f->loader = NULL;
  f->batch = NULL;
}

/* Where there is none, or that of a probe, which is not where training is. */
static vk_status begin_loader(vk_demo_feed *f, const vk_trainer *t, int64_t first_sample,
                              vk_err *err)
{
  if (f->loader && f->is_probe == t->is_probe)
    return VK_OK;
  vk_loader_free(f->loader);
  f->loader = NULL;
  f->is_probe = t->is_probe;
  const vk_loader_config config = vk_demo_feed_config(f, t, VK_SPLIT_TRAIN, first_sample);
  return vk_loader_new(&f->loader, &config, err);
}

vk_status vk_demo_feed_next(vk_demo_feed *f, const vk_trainer *t, int64_t first_sample, vk_err *err)
{
  VK_TRY(begin_loader(f, t, first_sample, err));
  return vk_loader_next(f->loader, &f->batch, err);
}

/* ---- a step -------------------------------------------------------------------------------- */

static int64_t sample_of(const vk_trainer *t, int64_t number)
{
  return number * t->config.train->micro_batch;
}

/* Micro-batch `number` goes to the device, which may be busy with the one before: then nobody waits
 * for the pictures. */
static vk_status put(vk_demo_feed *f, vk_trainer *t, int64_t number, double *wait_s, vk_err *err)
{
  vk_learner *l = &t->learner;
  VK_TRY(begin_loader(f, t, sample_of(t, number), err));
  double before_s = vk_loader_wait_s(f->loader);
  VK_TRY(vk_demo_feed_next(f, t, sample_of(t, number), err));
  if (!vk_learner_is_busy(l))
    *wait_s += vk_loader_wait_s(f->loader) - before_s;
  return vk_learner_put(l, f->batch, number, err);
}

/* All micro-batches of a step, each put while the one before is computed. */
static vk_status run_micro(vk_demo_feed *f, vk_trainer *t, vk_train_step *out, vk_err *err)
{
  vk_learner *l = &t->learner;
  int n_micro = l->config.n_micro;
  int64_t first = t->step * n_micro;
  bool goes_on = t->step + 1 < t->n_step && !t->is_probe;
  VK_TRY(vk_learner_begin(l, err));
  for (int i = 0; i < n_micro; i++) {
    VK_TRY(vk_signal_check(err)); /* a step may take minutes */
    if (!l->is_put)
      VK_TRY(put(f, t, first + i, &out->wait_s, err));
    VK_TRY(vk_learner_start(l, err));
    out->n_sample += t->config.train->micro_batch;
    if (i + 1 < n_micro || goes_on)
      VK_TRY(put(f, t, first + i + 1, &out->wait_s, err));
  }
  return vk_learner_wait(l, &out->loss, err);
}

/* The micro-batch of the step with the largest gradient, each computed anew. */
static vk_status find_largest(vk_demo_feed *f, vk_trainer *t, int64_t *number, vk_err *err)
{
  vk_learner *l = &t->learner;
  const int n_micro = l->config.n_micro;
  double most = -1, norm, loss, wait_s = 0;
  vk_demo_feed_stop(f, l);
  for (int64_t i = t->step * n_micro; i < (t->step + 1) * n_micro; i++) {
    VK_TRY(vk_learner_begin(l, err));
    VK_TRY(put(f, t, i, &wait_s, err));
    VK_TRY(vk_learner_start(l, err));
    VK_TRY(vk_learner_wait(l, &loss, err));
    VK_TRY(vk_learner_grad_norm(l, &norm, err));
    if (norm > most) {
      most = norm;
      *number = i;
    }
  }
  return VK_OK;
}

void vk_demo_feed_look_back(vk_demo_feed *f, vk_trainer *t, int64_t first_sample)
{
  vk_demo_feed_stop(f, &t->learner);
  if (vk_demo_feed_next(f, t, first_sample, NULL) != VK_OK)
    f->batch = NULL;
}

vk_status vk_demo_feed_learn(vk_demo_feed *f, vk_trainer *t, vk_train_step *out, vk_err *err)
{
  out->lr = vk_trainer_lr(t);
  vk_status st = run_micro(f, t, out, err);
  int64_t number = t->learner.number; /* the culprit, where its loss tells */
  if (st == VK_OK && !t->is_probe) {
    st = vk_learner_step(&t->learner, out->lr, &out->grad_norm, err);
    if (st == VK_E_DIVERGED && find_largest(f, t, &number, NULL) != VK_OK)
      number = t->learner.number;
  }
  if (st == VK_E_DIVERGED)
    vk_demo_feed_look_back(f, t, sample_of(t, number));
  return st;
}

/* ---- held-out demonstrations --------------------------------------------------------------- */

vk_status vk_demo_feed_validate(vk_demo_feed *f, vk_trainer *t, double *loss, int64_t *n,
                                vk_err *err)
{
  vk_loader *loader = NULL;
  double sum = 0;
  int64_t n_most = *n > 0 ? *n : INT64_MAX;
  *n = 0;
  if (t->data.n_validation_sample == 0)
    return VK_OK;
  const vk_loader_config config = vk_demo_feed_config(f, t, VK_SPLIT_VALIDATION, 0);
  VK_TRY(vk_loader_new(&loader, &config, err));
  vk_status st = vk_learner_check_begin(&t->learner, err);
  for (const vk_batch *batch = NULL; st == VK_OK && *n < n_most;) {
    double one = 0;
    st = vk_signal_check(err);
    if (st == VK_OK)
      st = vk_loader_next(loader, &batch, err);
    if (st != VK_OK || !batch)
      break;
    st = vk_learner_check(&t->learner, batch, &one, err);
    sum += one * batch->n;
    *n += batch->n;
  }
  vk_loader_free(loader);
  *loss = sum / (double)*n;
  return st;
}

/* ---- a batch as a file --------------------------------------------------------------------- */

vk_status vk_demo_feed_save_batch(const vk_demo_feed *f, const char *path, vk_err *err)
{
  const vk_batch *b = f->batch;
  char first[24];
  int n_pair = 0;
  if (!b)
    return vk_fail(err, VK_E_NOTFOUND, "there is no batch yet");
  uint8_t *image = calloc((size_t)b->n * VK_VIEW_N, VK_VIEW_BYTES);
  float *proprio = calloc((size_t)b->n * VK_NANO_PROPRIO, sizeof *proprio);
  int32_t *text_of = calloc((size_t)b->n, sizeof *text_of);
  size_t n_text = (size_t)b->n_text;
  vk_safetensors_pair *pair = calloc(n_text + 1, sizeof *pair);
  char(*key)[24] = calloc(n_text + 1, sizeof *key);
  vk_status st = image && proprio && text_of && pair && key
                     ? VK_OK
                     : vk_fail(err, VK_E_NOMEM, "no memory for a batch of %d samples", b->n);
  for (int i = 0; i < b->n && st == VK_OK; i++) {
    const vk_nano_obs *o = &b->obs[i];
    for (int v = 0; v < VK_VIEW_N; v++)
      if (o->image[v])
        memcpy(image + ((size_t)i * VK_VIEW_N + (size_t)v) * VK_VIEW_BYTES, o->image[v],
               VK_VIEW_BYTES);
    for (int k = 0; k < VK_NANO_PROPRIO; k++)
      proprio[i * VK_NANO_PROPRIO + k] = o->proprio ? o->proprio[k] : NAN;
    text_of[i] = o->i_text;
  }
  snprintf(first, sizeof first, "%lld", (long long)b->first_sample);
  if (st == VK_OK)
    pair[n_pair++] = (vk_safetensors_pair){"first_sample", first};
  for (int i = 0; i < b->n_text && st == VK_OK; i++, n_pair++) {
    snprintf(key[i], sizeof key[0], "text.%d", i);
    pair[n_pair] = (vk_safetensors_pair){key[i], b->text[i]};
  }
  const vk_safetensors_entry entry[] = {
      {"proprio", VK_SAFETENSORS_F32, 2, {b->n, VK_NANO_PROPRIO}, proprio},
      {"target", VK_SAFETENSORS_I32, 3, {b->n, VK_CHUNK_STEPS, VK_N_ACTION}, b->target},
      {"text_of", VK_SAFETENSORS_I32, 1, {b->n}, text_of},
      {"image", VK_SAFETENSORS_U8, 5, {b->n, VK_VIEW_N, VK_VIEW_PX, VK_VIEW_PX, 3}, image},
  };
  if (st == VK_OK)
    st = vk_safetensors_write(path, entry, VK_COUNT(entry), pair, n_pair, err);
  free(image);
  free(proprio);
  free(text_of);
  free(pair);
  free(key);
  return st;
}
