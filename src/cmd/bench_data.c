/* bench_data.c - vlakit bench data: batches to train on, from demonstrations made up here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/bench.h"
#include "core/rng.h"
#include "core/signal.h"
#include "core/sys.h"
#include "rl/demo_scene.h"
#include "rl/loader.h"
#include "sim/visuals_choose.h"

enum { N_BATCH = 32 };

static const uint64_t room = (uint64_t)4 << 30; /* more than the pictures of an episode take */

static const vk_augment augment = {.shift_px = 4,
                                   .crop = 0.9,
                                   .brightness = 0.2,
                                   .contrast = 0.2,
                                   .word_dropout = 0.1,
                                   .paraphrase = 0.5,
                                   .proprio_dropout = 0.3};

typedef struct data_bench {
  bench *b;
  const char *suite;
  vk_visuals visuals;
  vk_scene *scene;
  vk_env *env;
  vk_dataset *dataset;
  char dir[40], path[64];
} data_bench;

/* An episode of random moves as a file. */
static vk_status write_episode(data_bench *r, uint32_t i_task, vk_err *err)
{
  vk_demo_info info;
  vk_demo_writer *w;
  vk_demo d = {0};
  vk_philox rng;
  int n_step = (int)r->b->args->n_step;
  vk_philox_init(&rng, 7, 0);
  vk_demo_info_of_task(&info, &r->b->pack, i_task);
  VK_TRY(vk_bench_begin(r->env, r->scene, 5, err));
  vk_status st = vk_demo_record_begin(&d, r->env, n_step, err);
  for (int t = 0; t < n_step && st == VK_OK; t++) {
    double action[VK_N_ACTION];
    for (int k = 0; k < VK_N_ACTION; k++)
      action[k] = vk_philox_double(&rng) - 0.5;
    action[VK_N_ACTION - 1] = t % 20 < 10 ? -1 : 1;
    vk_demo_record_action(&d, action, action);
    st = vk_env_step(r->env, action, NULL, err);
    if (st == VK_OK)
      vk_demo_record_step(&d, r->env, t == n_step - 1);
    if (st == VK_OK)
      st = vk_signal_check(err);
  }
  if (st == VK_OK && (st = vk_demo_create(&w, r->path, &info, err)) == VK_OK) {
    st = vk_demo_add(w, &d, err);
    if (st == VK_OK)
      st = vk_demo_commit(w, err);
    else
      vk_demo_abort(w);
  }
  vk_demo_free(&d);
  return st;
}

static vk_status open_episode(data_bench *r, uint32_t i_task, vk_err *err)
{
  const char *path[] = {r->path};
  const vk_dataset_config c = {
      .pack = &r->b->pack, .cache_dir = r->b->cache_dir, .path = path, .n_path = 1};
  snprintf(r->dir, sizeof r->dir, "/tmp/vlakit-bench-XXXXXX");
  if (!mkdtemp(r->dir)) {
    vk_status st = vk_fs_fail(err, r->dir, "make");
    r->dir[0] = '\0';
    return st;
  }
  snprintf(r->path, sizeof r->path, "%s/episode.npz", r->dir);
  VK_TRY(vk_scene_new(&r->scene, &r->b->pack, i_task, r->b->cache_dir, err));
  VK_TRY(vk_env_new(&r->env, r->scene, err));
  VK_TRY(write_episode(r, i_task, err));
  return vk_dataset_new(&r->dataset, &c, err);
}

static vk_status take(vk_loader *l, int64_t n, vk_err *err)
{
  const vk_batch *batch;
  vk_status st = VK_OK;
  for (int64_t i = 0; i < n && st == VK_OK; i++)
    if ((st = vk_signal_check(err)) == VK_OK)
      st = vk_loader_next(l, &batch, err);
  return st;
}

/* Samples that a worker makes in a second of its processor time; with room for pictures, after each
 * was drawn once. */
static vk_status measure(data_bench *r, const char *what, uint64_t cache_bytes, const vk_augment *a,
                         vk_err *err)
{
  vk_frames *frames = NULL;
  vk_loader *l = NULL;
  vk_frames_stats stats[2];
  char name[140];
  int n_rep = (int)r->b->args->n_rep;
  int64_t n_epoch = vk_dataset_n(r->dataset, VK_SPLIT_TRAIN) / N_BATCH + 1;
  vk_frames_config fc = {.dataset = r->dataset,
                         .visuals = &r->visuals,
                         .cache_dir = r->b->cache_dir,
                         .view = vk_view_defaults,
                         .n_view = VK_VIEW_N,
                         .cache_bytes = cache_bytes};
  fc.view.isa = r->b->call->isa;
  double *rate = malloc(sizeof *rate * (size_t)n_rep);
  vk_status st = rate ? vk_frames_new(&frames, &fc, err)
                      : vk_fail(err, VK_E_NOMEM, "no memory for %d numbers", n_rep);
  if (st == VK_OK)
    st = vk_loader_new(&l,
                       &(vk_loader_config){.frames = frames,
                                           .n_batch = N_BATCH,
                                           .seed = 1,
                                           .augment = *a,
                                           .n_worker = 1,
                                           .n_ahead = 2},
                       err);
  if (st == VK_OK)
    st = take(l, 2 + n_epoch, err);
  for (int i = 0; i < n_rep && st == VK_OK; i++) {
    double start_cpu_s = vk_sys_cpu_s();
    vk_frames_stats_get(frames, &stats[0]);
    st = take(l, cache_bytes ? 4 * n_epoch : n_epoch, err);
    vk_frames_stats_get(frames, &stats[1]);
    rate[i] = (double)(stats[1].n_get - stats[0].n_get) / (vk_sys_cpu_s() - start_cpu_s);
  }
  snprintf(name, sizeof name, "data.%s", r->suite);
  if (st == VK_OK && cache_bytes == 0)
    st = vk_bench_add(r->b, name, "stage", 1e3 * stats[1].stage_s, "ms", err);
  if (st == VK_OK)
    st = vk_bench_add(r->b, name, what, vk_bench_median(rate, n_rep), "samples/cpu-s", err);
  vk_loader_free(l);
  vk_frames_free(frames);
  free(rate);
  return st;
}

static vk_status bench_suite(bench *b, const char *suite, uint32_t i_task, vk_err *err)
{
  data_bench r = {.b = b, .suite = suite};
  const vk_augment none = {0};
  vk_status st;
  VK_TRY_DONE(vk_visuals_choose(&r.visuals, b->args->visuals, &b->pack, err));
  VK_TRY_DONE(open_episode(&r, i_task, err));
  VK_TRY_DONE(measure(&r, "drawn", 0, &augment, err));
  VK_TRY_DONE(measure(&r, "kept", room, &augment, err));
  st = measure(&r, "kept_as_is", room, &none, err);
done:
  vk_dataset_free(r.dataset);
  vk_env_free(r.env);
  vk_scene_free(r.scene);
  vk_visuals_close(&r.visuals);
  if (r.dir[0]) {
    unlink(r.path);
    rmdir(r.dir);
  }
  return st;
}

vk_status vk_bench_data(bench *b, vk_err *err)
{
  return vk_bench_suites(b, bench_suite, err);
}
