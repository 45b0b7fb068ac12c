#include "rl/loader.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sys.h"
#include "nn/text.h"
#include "rl/paraphrase.h"

/* Of vk_philox, with the number of a sample; the key is the run's seed. */
static const uint64_t stream_sample = (uint64_t)2 << 56;
/* With the number of a block of samples; the key is made of the seed, the task and the variant. */
static const uint64_t stream_text = (uint64_t)3 << 56;

/* A batch that is being made, waits or is in use. */
typedef struct slot {
  vk_batch batch;
  vk_nano_obs *obs;  /* [n_batch] */
  uint8_t *pixel;    /* [n_batch, n_view, 128, 128, 3] */
  float *proprio;    /* [n_batch, 8] */
  int32_t *target;   /* [n_batch, 56] */
  char *wording;     /* [n_batch, VK_PARAPHRASE_SIZE] instructions that were changed */
  const char **said; /* [n_batch] the instruction of each sample */
  const char **text; /* [n_batch] those that differ */
  int32_t *index;    /* [n_batch] which of these each sample has */
  int32_t *first;    /* [n_batch] the first sample that has it */
  int n_done;        /* samples; guarded by the mutex, as is what follows */
  bool is_ready;
} slot;

typedef struct worker {
  vk_loader *loader;
  vk_frame_reader *reader;
  pthread_t thread;
} worker;

struct vk_loader {
  vk_loader_config config;
  const vk_dataset *dataset;
  int n_view;
  int64_t n_sample; /* of the split */
  int64_t n_batch;  /* batches in all; INT64_MAX: without end */
  slot *slot;       /* [n_ahead] batch b is in slot b % n_ahead */
  worker *worker;   /* [n_worker] */
  int n_reader, n_started;
  pthread_mutex_t mutex;    /* guards what follows */
  pthread_cond_t has_room;  /* a slot is free, or the loader stops */
  pthread_cond_t has_batch; /* a batch is ready, or a worker failed and the last of them is done */
  int64_t i_batch, i_in_batch; /* the next sample to be taken by a worker */
  int64_t n_given, n_returned; /* batches to the caller, and back */
  int n_busy;                  /* workers on a sample */
  bool is_stopping;
  vk_status status; /* of the first worker that failed */
  vk_err error;
  double wait_s;
};

/* ---- a sample ---- */

static int n_in_batch(const vk_loader *l, int64_t b)
{
  int64_t left = l->n_batch == INT64_MAX ? INT64_MAX : l->n_sample - b * l->config.n_batch;
  return left < l->config.n_batch ? (int)left : l->config.n_batch;
}

/* Number of the first sample of batch 0. */
static int64_t first_sample(const vk_loader *l)
{
  return l->config.split == VK_SPLIT_TRAIN ? l->config.first_sample : 0;
}

static bool changes_pictures(const vk_augment *a)
{
  return a->shift_px || (a->crop > 0 && a->crop < 1) || a->brightness > 0 || a->contrast > 0;
}

/* How sample k says its instruction: in one of the variants of its block. */
static const char *say(const vk_loader_config *c, const vk_sample *sample, int64_t k, uint32_t draw,
                       char *wording)
{
  const vk_augment *a = &c->augment;
  if (a->paraphrase == 0 && a->word_dropout == 0)
    return sample->instruction;
  vk_philox rng;
  uint64_t variant = (uint64_t)sample->i_task * VK_LOADER_VARIANTS + draw % VK_LOADER_VARIANTS;
  vk_philox_init(&rng, c->seed + (variant + 1) * 0x9e3779b97f4a7c15u,
                 stream_text + (uint64_t)(k / VK_LOADER_TEXT_BLOCK));
  if (vk_philox_double(&rng) < a->paraphrase)
    vk_paraphrase(sample->instruction, VK_PARAPHRASE_TRAIN, &rng, wording, VK_PARAPHRASE_SIZE);
  else
    snprintf(wording, VK_PARAPHRASE_SIZE, "%s", sample->instruction);
  vk_drop_words(wording, a->word_dropout, &rng);
  return wording;
}

/* Sample i of batch b. */
static vk_status make_sample(vk_loader *l, vk_frame_reader *reader, slot *s, int64_t b, int64_t i,
                             vk_err *err)
{
  const vk_loader_config *c = &l->config;
  bool is_training = c->split == VK_SPLIT_TRAIN;
  int64_t k = first_sample(l) + b * c->n_batch + i;
  const uint8_t *pixel[VK_VIEW_N];
  vk_sample sample;
  vk_philox rng;
  vk_dataset_sample(l->dataset, c->split,
                    is_training ? vk_dataset_order(c->seed, l->n_sample, k) : k, &sample);
  VK_TRY(vk_frames_get(reader, &sample, pixel, err));
  vk_philox_init(&rng, c->seed, stream_sample + (uint64_t)k);
  bool has_proprio = vk_philox_double(&rng) >= c->augment.proprio_dropout || !is_training;
  uint32_t variant = vk_philox_u32(&rng);
  vk_nano_obs *obs = &s->obs[i];
  *obs = (vk_nano_obs){.proprio = has_proprio ? s->proprio + i * VK_NANO_PROPRIO : NULL};
  memcpy(s->proprio + i * VK_NANO_PROPRIO, sample.proprio, sizeof(float) * VK_NANO_PROPRIO);
  memcpy(s->target + i * VK_CHUNK_TARGETS, sample.target, sizeof sample.target);
  s->said[i] = is_training ? say(c, &sample, k, variant, s->wording + i * VK_PARAPHRASE_SIZE)
                           : sample.instruction;
  bool is_augmented = is_training && changes_pictures(&c->augment);
  for (int v = 0; v < l->n_view; v++) {
    uint8_t *to = s->pixel + (size_t)(i * l->n_view + v) * VK_VIEW_BYTES;
    if (is_augmented)
      vk_augment_picture(&c->augment, &rng, pixel[v], to);
    else
      memcpy(to, pixel[v], VK_VIEW_BYTES);
    obs->image[v] = to;
  }
  return VK_OK;
}

/* All samples of a batch are there. */
static void finish_batch(vk_loader *l, slot *s, int64_t b)
{
  int n = n_in_batch(l, b);
  int64_t n_text = vk_text_distinct(n, s->said, s->index, s->first);
  for (int i = 0; i < n; i++)
    s->obs[i].i_text = s->index[i];
  for (int64_t k = 0; k < n_text; k++)
    s->text[k] = s->said[s->first[k]];
  s->batch = (vk_batch){.n = n,
                        .n_text = (int)n_text,
                        .obs = s->obs,
                        .text = s->text,
                        .target = s->target,
                        .first_sample = first_sample(l) + b * l->config.n_batch};
}

/* ---- workers ---- */

/* The mutex is held: whether there is a sample to take. */
static bool has_work(const vk_loader *l)
{
  return l->status == VK_OK && l->i_batch < l->n_batch &&
         l->i_batch < l->n_returned + l->config.n_ahead;
}

/* Makes the next sample; the mutex is held before and after, but not meanwhile. */
static void make_next(vk_loader *l, worker *w)
{
  int64_t b = l->i_batch, i = l->i_in_batch++;
  slot *s = &l->slot[b % l->config.n_ahead];
  vk_err err = VK_ERR_INIT;
  if (l->i_in_batch == n_in_batch(l, b)) {
    l->i_batch++;
    l->i_in_batch = 0;
  }
  l->n_busy++;
  pthread_mutex_unlock(&l->mutex);
  vk_status st = make_sample(l, w->reader, s, b, i, &err);
  pthread_mutex_lock(&l->mutex);
  bool is_last = st == VK_OK && ++s->n_done == n_in_batch(l, b);
  if (is_last) {
    pthread_mutex_unlock(&l->mutex);
    finish_batch(l, s, b);
    pthread_mutex_lock(&l->mutex);
    s->is_ready = true;
  }
  if (st != VK_OK && l->status == VK_OK) {
    l->status = st;
    l->error = err;
  }
  l->n_busy--;
  if (is_last || (l->status != VK_OK && l->n_busy == 0))
    pthread_cond_signal(&l->has_batch);
}

static void *worker_main(void *arg)
{
  worker *w = arg;
  vk_loader *l = w->loader;
  pthread_mutex_lock(&l->mutex);
  while (!l->is_stopping) {
    if (has_work(l))
      make_next(l, w);
    else
      pthread_cond_wait(&l->has_room, &l->mutex);
  }
  pthread_mutex_unlock(&l->mutex);
  return NULL;
}

/* Requests to end the program are for the caller's thread. */
static vk_status start_workers(vk_loader *l, vk_err *err)
{
  sigset_t ending, old;
  int error = 0;
  sigemptyset(&ending);
  sigaddset(&ending, SIGINT);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &ending, &old);
  for (; l->n_started < l->config.n_worker && !error; l->n_started += !error)
    error = pthread_create(&l->worker[l->n_started].thread, NULL, worker_main,
                           &l->worker[l->n_started]);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  return error ? vk_fail(err, VK_E_NOMEM, "loader: cannot start thread %d of %d: %s",
                         l->n_started + 1, l->config.n_worker, strerror(error))
               : VK_OK;
}

/* ---- making and ending ---- */

static vk_status alloc_slot(vk_loader *l, slot *s, vk_err *err)
{
  size_t n = (size_t)l->config.n_batch;
  s->obs = calloc(n, sizeof *s->obs);
  s->pixel = malloc(n * (size_t)l->n_view * VK_VIEW_BYTES);
  s->proprio = calloc(n * VK_NANO_PROPRIO, sizeof *s->proprio);
  s->target = calloc(n * VK_CHUNK_TARGETS, sizeof *s->target);
  s->wording = malloc(n * VK_PARAPHRASE_SIZE);
  s->said = calloc(n, sizeof *s->said);
  s->text = calloc(n, sizeof *s->text);
  s->index = calloc(n, sizeof *s->index);
  s->first = calloc(n, sizeof *s->first);
  if (s->obs && s->pixel && s->proprio && s->target && s->wording && s->said && s->text &&
      s->index && s->first)
    return VK_OK;
  return vk_fail(err, VK_E_NOMEM, "no memory for %d batches of %zu samples: ask for fewer",
                 l->config.n_ahead, n);
}

static void free_slot(slot *s)
{
  free(s->obs);
  free(s->pixel);
  free(s->proprio);
  free(s->target);
  free(s->wording);
  free(s->said);
  free(s->text);
  free(s->index);
  free(s->first);
}

static vk_status alloc_parts(vk_loader *l, vk_err *err)
{
  const vk_loader_config *c = &l->config;
  l->slot = calloc((size_t)c->n_ahead, sizeof *l->slot);
  l->worker = calloc((size_t)c->n_worker, sizeof *l->worker);
  if (!l->slot || !l->worker)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d batches and %d workers", c->n_ahead,
                   c->n_worker);
  for (int i = 0; i < c->n_ahead; i++)
    VK_TRY(alloc_slot(l, &l->slot[i], err));
  for (int i = 0; i < c->n_worker; i++) {
    l->worker[i].loader = l;
    VK_TRY(vk_frame_reader_new(&l->worker[i].reader, c->frames, err));
  }
  return VK_OK;
}

static vk_status check_config(const vk_loader_config *c, vk_err *err)
{
  const struct {
    const char *name;
    int64_t value, lo, hi;
  } list[] = {{"n_batch", c->n_batch, 1, 65536},
              {"n_worker", c->n_worker, 1, 1024},
              {"n_ahead", c->n_ahead, 2, 1024},
              {"first_sample", c->first_sample, 0, (int64_t)1 << 53}};
  for (size_t i = 0; i < VK_COUNT(list); i++)
    if (list[i].value < list[i].lo || list[i].value > list[i].hi)
      return vk_fail(err, VK_E_RANGE, "loader: %s is %lld, expected %lld to %lld", list[i].name,
                     (long long)list[i].value, (long long)list[i].lo, (long long)list[i].hi);
  return vk_augment_check(&c->augment, err);
}

vk_status vk_loader_new(vk_loader **out, const vk_loader_config *config, vk_err *err)
{
  *out = NULL;
  VK_TRY(check_config(config, err));
  const vk_dataset *dataset = vk_frames_config_get(config->frames)->dataset;
  int64_t n_sample = vk_dataset_n(dataset, config->split);
  if (n_sample == 0)
    return vk_fail(err, VK_E_NOTFOUND, "loader: no demonstrations are held out for validation");
  vk_loader *l = calloc(1, sizeof *l);
  if (!l)
    return vk_fail(err, VK_E_NOMEM, "no memory for a loader");
  l->config = *config;
  l->dataset = dataset;
  l->n_view = vk_frames_config_get(config->frames)->n_view;
  l->n_sample = n_sample;
  l->n_batch = config->split == VK_SPLIT_TRAIN ? INT64_MAX
                                               : (n_sample + config->n_batch - 1) / config->n_batch;
  pthread_mutex_init(&l->mutex, NULL);
  pthread_cond_init(&l->has_room, NULL);
  pthread_cond_init(&l->has_batch, NULL);
  vk_status st = alloc_parts(l, err);
  if (st == VK_OK)
    st = start_workers(l, err);
  if (st != VK_OK) {
    vk_loader_free(l);
    return st;
  }
  *out = l;
  return VK_OK;
}

void vk_loader_free(vk_loader *l)
{
  if (!l)
    return;
  pthread_mutex_lock(&l->mutex);
  l->is_stopping = true;
  pthread_cond_broadcast(&l->has_room);
  pthread_mutex_unlock(&l->mutex);
  for (int i = 0; i < l->n_started; i++)
    pthread_join(l->worker[i].thread, NULL);
  for (int i = 0; l->worker && i < l->config.n_worker; i++)
    vk_frame_reader_free(l->worker[i].reader);
  for (int i = 0; l->slot && i < l->config.n_ahead; i++)
    free_slot(&l->slot[i]);
  pthread_cond_destroy(&l->has_batch);
  pthread_cond_destroy(&l->has_room);
  pthread_mutex_destroy(&l->mutex);
  free(l->worker);
  free(l->slot);
  free(l);
}

/* ---- for the caller ---- */

vk_status vk_loader_next(vk_loader *l, const vk_batch **out, vk_err *err)
{
  vk_status st = VK_OK;
  *out = NULL;
  pthread_mutex_lock(&l->mutex);
  if (l->n_returned < l->n_given) {
    slot *used = &l->slot[l->n_returned % l->config.n_ahead];
    used->is_ready = false;
    used->n_done = 0;
    l->n_returned++;
    pthread_cond_broadcast(&l->has_room);
  }
  if (l->n_given < l->n_batch) {
    slot *s = &l->slot[l->n_given % l->config.n_ahead];
    double start_s = vk_sys_monotonic_s();
    vk_trace_span span = vk_trace_begin(l->config.trace, "data", "wait");
    while (!s->is_ready && !(l->status != VK_OK && l->n_busy == 0))
      pthread_cond_wait(&l->has_batch, &l->mutex);
    vk_trace_end(&span);
    l->wait_s += vk_sys_monotonic_s() - start_s;
    if (s->is_ready) {
      *out = &s->batch;
      l->n_given++;
    } else {
      st = l->status;
      if (err)
        *err = l->error;
    }
  }
  pthread_mutex_unlock(&l->mutex);
  return st;
}

double vk_loader_wait_s(const vk_loader *l)
{
  return l->wait_s;
}

int vk_loader_n_text_max(const vk_loader *l)
{
  int64_t n_block = (l->config.n_batch - 1) / VK_LOADER_TEXT_BLOCK + 2; /* that a batch touches */
  int64_t n = n_block * VK_LOADER_VARIANTS * vk_dataset_n_task(l->dataset);
  return n < l->config.n_batch ? (int)n : l->config.n_batch;
}

uint64_t vk_loader_bytes(const vk_loader_config *c)
{
  uint64_t sample = (uint64_t)vk_frames_config_get(c->frames)->n_view * VK_VIEW_BYTES +
                    sizeof(vk_nano_obs) + sizeof(float) * VK_NANO_PROPRIO +
                    sizeof(int32_t) * (VK_CHUNK_TARGETS + 2) + 2 * sizeof(char *) +
                    VK_PARAPHRASE_SIZE;
  return sample * (uint64_t)c->n_batch * (uint64_t)c->n_ahead;
}
