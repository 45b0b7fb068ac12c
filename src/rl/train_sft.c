/* train_sft.c - behaviour cloning: the cross-entropy of demonstrated actions, as bins with soft
 * labels, over chunks of eight steps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/signal.h"
#include "rl/demo_feed.h"

typedef struct sft {
  vk_demo_feed feed;
} sft;

static void close_sft(void *state)
{
  vk_demo_feed_close(&((sft *)state)->feed);
  free(state);
}

static vk_status open_sft(void **state, vk_trainer *t, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  sft *s = *state = calloc(1, sizeof *s); /* close_sft is called in any case */
  if (!s)
    return vk_fail(err, VK_E_NOMEM, "no memory for the data");
  VK_TRY(vk_demo_feed_open(&s->feed, t, t->init.stats, err));
  vk_demo_feed_describe(&s->feed, t);
  if (t->n_step == 0)
    t->n_step = (int64_t)ceil(c->epochs * (double)t->data.n_sample / (double)c->batch);
  return VK_OK;
}

/* ---- a step -------------------------------------------------------------------------------- */

static vk_status step_sft(void *state, vk_trainer *t, vk_train_step *out, vk_err *err)
{
  vk_demo_feed *f = &((sft *)state)->feed;
  vk_learner *l = &t->learner;
  int n_micro = l->config.n_micro;
  double waited_s = f->loader ? vk_loader_wait_s(f->loader) : 0;
  *out = (vk_train_step){.lr = vk_trainer_lr(t)};
  vk_learner_begin(l);
  for (int i = 0; i < n_micro; i++) {
    double loss;
    out->is_computing = false;
    VK_TRY(vk_signal_check(err)); /* a step may take minutes */
    VK_TRY(vk_demo_feed_next(f, t, t->step * t->config.train->batch, err));
    out->is_computing = true;
    VK_TRY(vk_learner_add(l, f->batch, t->step * n_micro + i, &loss, err));
    out->loss += loss / n_micro;
    out->n_sample += f->batch->n;
  }
  out->wait_s = vk_loader_wait_s(f->loader) - waited_s;
  return vk_learner_step(l, out->lr, &out->grad_norm, err);
}

/* ---- held-out demonstrations --------------------------------------------------------------- */

static vk_status validate_sft(void *state, vk_trainer *t, double *loss, int64_t *n, vk_err *err)
{
  sft *s = state;
  vk_loader *loader = NULL;
  double sum = 0;
  *n = 0;
  if (t->data.n_validation_sample == 0)
    return VK_OK;
  const vk_loader_config config = vk_demo_feed_config(&s->feed, t, VK_SPLIT_VALIDATION, 0);
  VK_TRY(vk_loader_new(&loader, &config, err));
  vk_learner_check_begin(&t->learner);
  vk_status st = VK_OK;
  for (const vk_batch *batch = NULL; st == VK_OK;) {
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

static vk_status save_batch_sft(void *state, const char *path, vk_err *err)
{
  enum { PAIRS_MAX = 64 };
  const vk_batch *b = ((sft *)state)->feed.batch;
  vk_safetensors_pair pair[PAIRS_MAX];
  char key[PAIRS_MAX][16], first[24];
  int n_pair = 0;
  if (!b)
    return vk_fail(err, VK_E_NOTFOUND, "there is no batch yet");
  uint8_t *image = calloc((size_t)b->n * VK_VIEW_N, VK_VIEW_BYTES);
  float *proprio = calloc((size_t)b->n * VK_NANO_PROPRIO, sizeof *proprio);
  int32_t *text_of = calloc((size_t)b->n, sizeof *text_of);
  vk_status st = image && proprio && text_of ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory");
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
  pair[n_pair++] = (vk_safetensors_pair){"first_sample", first};
  for (int i = 0; i < b->n_text && n_pair < PAIRS_MAX; i++, n_pair++) {
    snprintf(key[n_pair], sizeof key[0], "text.%d", i);
    pair[n_pair] = (vk_safetensors_pair){key[n_pair], b->text[i]};
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
  return st;
}

const vk_train_def vk_train_sft = {
    .name = "sft",
    .help = "imitates demonstrations (behaviour cloning)",
    .open = open_sft,
    .close = close_sft,
    .step = step_sft,
    .validate = validate_sft,
    .save_batch = save_batch_sft,
};
