/* small_learner.h - for tests: a learner of a small nano model, on any device, and the N samples
 * that it learns from. */
#ifndef VK_TESTS_SMALL_LEARNER_H
#define VK_TESTS_SMALL_LEARNER_H

#include <string.h>

#include "core/rng.h"
#include "rl/learner.h"

enum { N = 4 };

static uint8_t image[N][2][VK_VIEW_BYTES];
static float proprio[N][VK_NANO_PROPRIO];
static vk_nano_obs obs[N];
static int32_t target[N * VK_CHUNK_TARGETS];

/* A group's setup. */
static inline int make_batch(void **state)
{
  vk_philox rng;
  vk_philox_init(&rng, 5, 0);
  for (int i = 0; i < N; i++) {
    for (int v = 0; v < 2; v++)
      for (int k = 0; k < VK_VIEW_BYTES; k++)
        image[i][v][k] = (uint8_t)vk_philox_u32(&rng);
    for (int k = 0; k < VK_NANO_PROPRIO; k++)
      proprio[i][k] = (float)vk_philox_normal(&rng);
    obs[i] =
        (vk_nano_obs){.image = {image[i][0], image[i][1]}, .proprio = proprio[i], .i_text = i % 2};
  }
  for (int i = 0; i < N * VK_CHUNK_TARGETS; i++)
    target[i] = (int32_t)(vk_philox_u32(&rng) % VK_NANO_BINS);
  return 0;
}

/* Samples [first, first + n). */
static inline vk_batch batch(int first, int n)
{
  static const char *const text[] = {"put the bowl on the plate", "open the drawer"};
  return (vk_batch){.n = n,
                    .n_text = 2,
                    .obs = obs + first,
                    .text = text,
                    .target = target + first * VK_CHUNK_TARGETS};
}

typedef struct fixture {
  vk_team *team;
  vk_device_group devices;
  vk_model model;
  vk_learner l;
} fixture;

/* What c leaves out and a test does not look at is as in the recipe. f is to be closed whatever
 * this returns. */
static inline vk_status open_learner(fixture *f, const char *device, vk_learner_config c,
                                     int n_thread, vk_err *err)
{
  static const char small[] = "{\"model\": \"nano\", \"d_model\": 16, \"n_head\": 2, "
                              "\"n_encoder\": 1, \"n_decoder\": 1, \"stem\": [8, 8, 8, 16]}";
  *f = (fixture){0};
  VK_TRY(vk_team_new(&f->team, n_thread, err));
  VK_TRY(vk_device_group_open(&f->devices, device, f->team, err));
  VK_TRY(vk_model_parse(&f->model, small, strlen(small), "small", err));
  c.model = &f->model;
  c.devices = &f->devices;
  c.args.n_batch = c.is_sum ? N : N / c.n_micro;
  c.args.with_loss = true;
  c.args.sigma = 1.5;
  c.args.last_weight = 2;
  c.weight_decay = 0.05;
  c.optim.beta1 = 0.9;
  c.optim.beta2 = 0.95;
  c.optim.eps = 1e-8;
  c.optim.max_norm = 1;
  c.optim.isa = c.isa;
  return vk_learner_new(&f->l, &c, err);
}

static inline void close_learner(fixture *f)
{
  vk_learner_free(&f->l);
  vk_device_group_close(&f->devices);
  vk_team_free(f->team);
}

/* Gradients of one micro-batch. */
static inline vk_status learn_batch(vk_learner *l, const vk_batch *b, int64_t number, double *loss,
                                    vk_err *err)
{
  VK_TRY(vk_learner_begin(l, err));
  VK_TRY(vk_learner_add(l, b, number, err));
  return vk_learner_wait(l, loss, err);
}

/* One step over all samples.
 *   number  of the step
 *   loss    out: their mean
 *   norm    out: of the gradient */
static inline vk_status step_learner(vk_learner *l, double lr, int64_t number, double *loss,
                                     double *norm, vk_err *err)
{
  int n_micro = l->config.n_micro;
  VK_TRY(vk_learner_begin(l, err));
  for (int i = 0; i < n_micro; i++) {
    vk_batch b = batch(i * N / n_micro, N / n_micro);
    VK_TRY(vk_learner_add(l, &b, number * n_micro + i, err));
  }
  VK_TRY(vk_learner_wait(l, loss, err));
  return vk_learner_step(l, lr, norm, err);
}

#endif
