/* bench_env.c - vlakit bench env: steps and resets of environments, with pictures when asked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/bench.h"
#include "core/cpu.h"
#include "core/signal.h"
#include "core/sys.h"
#include "sim/env_batch.h"
#include "sim/render.h"
#include "sim/visuals_choose.h"

enum { N_FURTHER_ENV = 4, N_RESET = 9, N_THREAD_STEP = 20, N_THREAD_TURN = 4 };

/* The actions that the peer's script draws: uniform in [-0.5, 0.5), the gripper's sign for ten
 * steps at a time (numpy's RandomState(7): uniform, then choice). */
static void draw_actions(vk_mt19937 *rng, double *action, int n)
{
  for (int i = 0; i < n * VK_N_ACTION; i++)
    action[i] = vk_mt19937_uniform(rng, -0.5, 0.5);
  double sign = 0;
  for (int i = 0; i < n; i++) {
    if (i % 10 == 0)
      sign = vk_mt19937_next(rng) & 1 ? 1 : -1;
    action[i * VK_N_ACTION + 6] = sign;
  }
}

/* Both views of the last observation, or none when renderer is NULL. */
typedef struct viewer {
  vk_renderer *renderer;
  vk_shot shot[2];
  int every; /* steps */
} viewer;

static vk_status step_and_look(vk_env *env, const double *action, int i, viewer *v, vk_err *err)
{
  VK_TRY(vk_signal_check(err));
  VK_TRY(vk_env_step(env, action, NULL, err));
  if (!v->renderer || (i + 1) % v->every != 0)
    return VK_OK;
  v->shot[0].state = v->shot[1].state = vk_env_picture_state(env);
  return vk_render(v->renderer, v->shot, 2, NULL, err);
}

static vk_status measure_steps(bench *b, const char *name, const char *what, vk_env *env, viewer *v,
                               vk_err *err)
{
  int n_step = (int)b->args->n_step, n_rep = (int)b->args->n_rep;
  double *action = malloc(sizeof *action * (size_t)n_step * VK_N_ACTION);
  double *rate = malloc(sizeof *rate * (size_t)n_rep),
         *cpu_rate = malloc(sizeof *rate * (size_t)n_rep);
  char cpu_name[32];
  vk_status st = VK_OK;
  if (!action || !rate || !cpu_rate) {
    st = vk_fail(err, VK_E_NOMEM, "no memory for %d actions", n_step);
    goto done;
  }
  vk_mt19937 rng;
  vk_mt19937_seed(&rng, 7);
  for (int r = 0; r < n_rep; r++) {
    draw_actions(&rng, action, n_step);
    double start_s = vk_sys_monotonic_s(), start_cpu_s = vk_sys_thread_cpu_s();
    for (int i = 0; i < n_step; i++)
      VK_TRY_DONE(step_and_look(env, action + i * VK_N_ACTION, i, v, err));
    cpu_rate[r] = n_step / (vk_sys_thread_cpu_s() - start_cpu_s);
    rate[r] = n_step / (vk_sys_monotonic_s() - start_s);
  }
  snprintf(cpu_name, sizeof cpu_name, "%s_cpu", what);
  VK_TRY_DONE(vk_bench_add(b, name, what, vk_bench_median(rate, n_rep), "steps/s", err));
  VK_TRY_DONE(
      vk_bench_add(b, name, cpu_name, vk_bench_median(cpu_rate, n_rep), "steps/cpu-s", err));
done:
  free(action);
  free(rate);
  free(cpu_rate);
  return st;
}

/* Steps of which a policy sees pictures. */
static vk_status measure_pictures(bench *b, const char *name, vk_env *env, const vk_scene *scene,
                                  vk_err *err)
{
  enum { SIDE = 128 };
  static const char *const cameras[2] = {"agentview", "robot0_eye_in_hand"};
  vk_render_config config = vk_render_defaults;
  config.width = config.height = SIDE;
  config.n_sample = (int)b->args->n_sample;
  config.isa = b->call->isa;
  vk_visuals visuals = {0};
  vk_stage *stage = NULL;
  vk_pool *pool = NULL;
  viewer v = {.every = (int)b->args->picture_every};
  uint8_t *pixel = malloc((size_t)2 * SIDE * SIDE * 3);
  char what[24];
  vk_status st = VK_OK;
  if (!pixel) {
    st = vk_fail(err, VK_E_NOMEM, "no memory for pictures");
    goto done;
  }
  VK_TRY_DONE(vk_visuals_choose(&visuals, b->args->visuals, &b->pack, err));
  VK_TRY_DONE(vk_stage_new(&stage, scene, &visuals, err));
  VK_TRY_DONE(vk_pool_new(&pool, 1, err));
  VK_TRY_DONE(vk_renderer_new(&v.renderer, &config, pool, err));
  for (int i = 0; i < 2; i++) {
    v.shot[i] = (vk_shot){.stage = stage, .pixel = pixel + (size_t)i * SIDE * SIDE * 3};
    VK_TRY_DONE(vk_stage_find_camera(stage, cameras[i], &v.shot[i].i_camera, err));
  }
  snprintf(what, sizeof what, "pictures_%d", v.every);
  VK_TRY_DONE(vk_bench_begin(env, scene, 10, err));
  st = measure_steps(b, name, what, env, &v, err);
done:
  vk_renderer_free(v.renderer);
  vk_pool_free(pool);
  vk_stage_free(stage);
  vk_visuals_close(&visuals);
  free(pixel);
  return st;
}

static vk_status measure_resets(bench *b, const char *name, vk_env *env, const vk_scene *scene,
                                vk_err *err)
{
  double ms[N_RESET];
  for (int i = 0; i < N_RESET; i++) {
    double start_s = vk_sys_monotonic_s();
    VK_TRY(vk_bench_begin(env, scene, 0, err));
    ms[i] = 1e3 * (vk_sys_monotonic_s() - start_s);
  }
  return vk_bench_add(b, name, "reset", vk_bench_median(ms, N_RESET), "ms", err);
}

/* How much more memory each further environment of a task takes. */
static vk_status measure_memory(bench *b, const char *name, const vk_scene *scene, vk_err *err)
{
  vk_env *env[N_FURTHER_ENV] = {NULL};
  vk_status st = VK_OK;
  double before = (double)vk_sys_resident_bytes();
  for (int i = 0; i < N_FURTHER_ENV; i++) {
    VK_TRY_DONE(vk_env_new(&env[i], scene, err));
    VK_TRY_DONE(vk_bench_begin(env[i], scene, 10, err));
  }
  double mb = ((double)vk_sys_resident_bytes() - before) / 1e6 / N_FURTHER_ENV;
  st = vk_bench_add(b, name, "memory", mb, "MB/environment", err);
done:
  for (int i = 0; i < N_FURTHER_ENV; i++)
    vk_env_free(env[i]);
  return st;
}

/* Steps per second of environments side by side on n threads. */
static vk_status batch_rate(const bench *b, const vk_scene *scene, int n_thread, double *rate,
                            vk_err *err)
{
  enum { N = 8 };
  double action[N * VK_N_ACTION];
  vk_status status[N], st = VK_OK;
  vk_err error[N];
  const vk_env_slices slices = {.action = action, .status = status, .error = error};
  vk_pool *pool = NULL;
  vk_env_batch *batch = NULL;
  vk_mt19937 rng;
  vk_mt19937_seed(&rng, 7);
  VK_TRY_DONE(vk_pool_new(&pool, n_thread, err));
  VK_TRY_DONE(vk_env_batch_new(&batch, N, pool, &slices, err));
  vk_env_batch_set_isa(batch, b->call->isa);
  for (int i = 0; i < N; i++) {
    VK_TRY_DONE(vk_env_batch_set_scene(batch, i, scene, err));
    VK_TRY_DONE(vk_bench_begin(vk_env_batch_get(batch, i), scene, 10, err));
  }
  double start_s = vk_sys_monotonic_s();
  for (int k = 0; k < N_THREAD_STEP; k++) {
    VK_TRY_DONE(vk_signal_check(err));
    draw_actions(&rng, action, N);
    vk_env_batch_step_async(batch, 0, N, NULL);
    vk_env_batch_wait(batch, 0, N);
    for (int i = 0; i < N; i++)
      if (status[i] != VK_OK) {
        *err = error[i];
        st = status[i];
        goto done;
      }
  }
  *rate = N * N_THREAD_STEP / (vk_sys_monotonic_s() - start_s);
done:
  vk_env_batch_free(batch);
  vk_pool_free(pool);
  return st;
}

/* The best of several turns: what others take of the machine in between does not count. */
static vk_status measure_threads(bench *b, const char *name, const vk_scene *scene, vk_err *err)
{
  double best[2] = {0, 0};
  if (vk_cpu_count() < 2)
    return VK_OK;
  for (int i = 0; i < 2 * N_THREAD_TURN; i++) {
    double rate;
    VK_TRY(batch_rate(b, scene, 1 + i % 2, &rate, err));
    if (rate > best[i % 2])
      best[i % 2] = rate;
  }
  return vk_bench_add(b, name, "two_threads", best[1] / best[0], "times one", err);
}

/* From nothing to the end of the first step, with a warm cache of compiled models. */
static vk_status measure_start(bench *b, const char *name, uint32_t i_task, vk_err *err)
{
  vk_scene *scene = NULL;
  vk_env *env = NULL;
  vk_pack pack = {0};
  vk_status st = VK_OK;
  double start_s = vk_sys_monotonic_s();
  VK_TRY_DONE(vk_pack_open(&pack, b->call->common->pack, err));
  VK_TRY_DONE(vk_scene_new(&scene, &pack, i_task, b->cache_dir, err));
  VK_TRY_DONE(vk_env_new(&env, scene, err));
  VK_TRY_DONE(vk_bench_begin(env, scene, 1, err));
  st = vk_bench_add(b, name, "first_step", vk_sys_monotonic_s() - start_s, "s", err);
done:
  vk_env_free(env);
  vk_scene_free(scene);
  vk_pack_close(&pack);
  return st;
}

static vk_status bench_task(bench *b, const char *suite, uint32_t i_task, vk_err *err)
{
  char name[64];
  snprintf(name, sizeof name, "env.%.50s", suite);
  vk_scene *scene = NULL;
  vk_env *env = NULL;
  vk_status st = VK_OK;
  VK_TRY_DONE(vk_scene_new(&scene, &b->pack, i_task, b->cache_dir, err));
  VK_TRY_DONE(vk_env_new(&env, scene, err));
  vk_env_set_isa(env, b->call->isa);
  for (int i = 0; i < 2; i++)
    VK_TRY_DONE(vk_env_reset(env, err));
  VK_TRY_DONE(vk_bench_begin(env, scene, 10, err));
  VK_TRY_DONE(measure_steps(b, name, "steps", env, &(viewer){0}, err));
  if (b->args->picture_every)
    VK_TRY_DONE(measure_pictures(b, name, env, scene, err));
  VK_TRY_DONE(measure_resets(b, name, env, scene, err));
  VK_TRY_DONE(measure_start(b, name, i_task, err));
  VK_TRY_DONE(measure_memory(b, name, scene, err));
  VK_TRY_DONE(measure_threads(b, name, scene, err));
done:
  vk_env_free(env);
  vk_scene_free(scene);
  return st;
}

vk_status vk_bench_env(bench *b, vk_err *err)
{
  return vk_bench_suites(b, bench_task, err);
}
