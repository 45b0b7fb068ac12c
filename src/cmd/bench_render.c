/* bench_render.c - vlakit bench render: pictures a second. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/bench.h"
#include "core/signal.h"
#include "core/sys.h"
#include "sim/render.h"
#include "sim/visuals_choose.h"

enum { N_SHOT = 16, SIDE_MAX = 256, N_TURN = 4 };

typedef struct render_bench {
  bench *b;
  const char *suite;
  vk_visuals visuals;
  vk_scene *scene;
  vk_env *env;
  vk_stage *stage;
  double *state;  /* [N_SHOT][n_state] */
  uint8_t *pixel; /* [N_SHOT][SIDE_MAX][SIDE_MAX][3] */
  vk_shot shot[N_SHOT];
} render_bench;

/* States of an episode in which the arm moves forward and down. */
static vk_status record_states(render_bench *r, vk_err *err)
{
  const double down[VK_N_ACTION] = {0.3, 0.2, -0.3, 0, 0, 0.1, -1};
  size_t n = (size_t)vk_picture_n_state(r->scene);
  r->state = malloc(sizeof *r->state * n * N_SHOT);
  r->pixel = malloc((size_t)N_SHOT * SIDE_MAX * SIDE_MAX * 3);
  if (!r->state || !r->pixel)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d pictures", N_SHOT);
  VK_TRY(vk_bench_begin(r->env, r->scene, 5, err));
  for (int i = 0; i < N_SHOT; i++) {
    VK_TRY(vk_env_step(r->env, down, NULL, err));
    memcpy(r->state + (size_t)i * n, vk_env_picture_state(r->env), n * sizeof *r->state);
    r->shot[i] = (vk_shot){.stage = r->stage,
                           .state = r->state + (size_t)i * n,
                           .pixel = r->pixel + (size_t)i * SIDE_MAX * SIDE_MAX * 3};
  }
  return VK_OK;
}

/* Pictures a second, and a second of processor time, in n rounds. */
static vk_status draw_rounds(render_bench *r, vk_renderer *renderer, int n, double rate[2],
                             vk_render_stats *stats, vk_err *err)
{
  double start_s = vk_sys_monotonic_s(), start_cpu_s = vk_sys_thread_cpu_s();
  for (int i = 0; i < n; i++) {
    VK_TRY(vk_signal_check(err));
    VK_TRY(vk_render(renderer, r->shot, N_SHOT, stats, err));
  }
  rate[1] = n * N_SHOT / (vk_sys_thread_cpu_s() - start_cpu_s);
  rate[0] = n * N_SHOT / (vk_sys_monotonic_s() - start_s);
  return VK_OK;
}

static vk_status measure(render_bench *r, const char *name, int side, int n_sample, vk_err *err)
{
  vk_render_config config = vk_render_defaults;
  config.width = config.height = side;
  config.n_sample = n_sample;
  config.isa = r->b->call->isa;
  vk_pool *pool[2] = {NULL, NULL};
  vk_renderer *renderer[2] = {NULL, NULL};
  vk_status st = VK_OK;
  int n_rep = (int)r->b->args->n_rep;
  int n_pool = side == 128 && n_sample == 1 && vk_cpu_count() > 1 ? 2 : 1;
  double *rate[2] = {malloc(sizeof(double) * (size_t)n_rep),
                     malloc(sizeof(double) * (size_t)n_rep)};
  vk_render_stats stats = {0};
  if (!rate[0] || !rate[1]) {
    st = vk_fail(err, VK_E_NOMEM, "no memory for %d numbers", n_rep);
    goto done;
  }
  for (int i = 0; i < n_pool; i++) {
    VK_TRY_DONE(vk_pool_new(&pool[i], 1 + i, err));
    VK_TRY_DONE(vk_renderer_new(&renderer[i], &config, pool[i], err));
  }
  int n = 1 + (int)r->b->args->n_step / N_SHOT;
  double best[2] = {0, 0}, got[2];
  VK_TRY_DONE(draw_rounds(r, renderer[0], 1, got, &stats, err));
  for (int i = 0; i < n_rep; i++) {
    VK_TRY_DONE(draw_rounds(r, renderer[0], n, got, &stats, err));
    rate[0][i] = got[0];
    rate[1][i] = got[1];
  }
  VK_TRY_DONE(
      vk_bench_add(r->b, name, "pictures", vk_bench_median(rate[0], n_rep), "pictures/s", err));
  VK_TRY_DONE(vk_bench_add(r->b, name, "pictures_cpu", vk_bench_median(rate[1], n_rep),
                           "pictures/cpu-s", err));
  VK_TRY_DONE(vk_bench_add(r->b, name, "triangles", (double)stats.n_triangle / N_SHOT, "", err));
  for (int i = 0; n_pool == 2 && i < 2 * N_TURN; i++) {
    VK_TRY_DONE(draw_rounds(r, renderer[i % 2], n, got, &stats, err));
    best[i % 2] = got[0] > best[i % 2] ? got[0] : best[i % 2];
  }
  if (n_pool == 2)
    st = vk_bench_add(r->b, name, "two_threads", best[1] / best[0], "times one", err);
done:
  for (int i = 0; i < 2; i++) {
    vk_renderer_free(renderer[i]);
    vk_pool_free(pool[i]);
    free(rate[i]);
  }
  return st;
}

static vk_status measure_all(render_bench *r, vk_err *err)
{
  static const char *const cameras[] = {"agentview", "robot0_eye_in_hand"};
  static const char *const short_names[] = {"agentview", "hand"};
  for (int c = 0; c < 2; c++) {
    int i_camera;
    VK_TRY(vk_stage_find_camera(r->stage, cameras[c], &i_camera, err));
    for (int i = 0; i < N_SHOT; i++)
      r->shot[i].i_camera = i_camera;
    for (int side = 64; side <= SIDE_MAX; side *= 2)
      for (int n_sample = 1; n_sample <= 4; n_sample += 3) {
        char name[64];
        snprintf(name, sizeof name, "render.%.32s.%s.%d%s", r->suite, short_names[c], side,
                 n_sample == 4 ? "x4" : "");
        VK_TRY(measure(r, name, side, n_sample, err));
      }
  }
  return VK_OK;
}

static vk_status bench_task(bench *b, const char *suite, uint32_t i_task, vk_err *err)
{
  render_bench r = {.b = b, .suite = suite};
  vk_status st = vk_visuals_choose(&r.visuals, b->args->visuals, &b->pack, err);
  if (st != VK_OK)
    return st;
  VK_TRY_DONE(vk_scene_new(&r.scene, &b->pack, i_task, b->cache_dir, err));
  VK_TRY_DONE(vk_env_new(&r.env, r.scene, err));
  VK_TRY_DONE(vk_stage_new(&r.stage, r.scene, &r.visuals, err));
  VK_TRY_DONE(record_states(&r, err));
  st = measure_all(&r, err);
done:
  free(r.state);
  free(r.pixel);
  vk_stage_free(r.stage);
  vk_env_free(r.env);
  vk_scene_free(r.scene);
  vk_visuals_close(&r.visuals);
  return st;
}

vk_status vk_bench_render(bench *b, vk_err *err)
{
  return vk_bench_suites(b, bench_task, err);
}
