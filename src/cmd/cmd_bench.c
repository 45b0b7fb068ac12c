/* cmd_bench.c - vlakit bench NAME|all: how fast this machine runs the parts of the program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/bench.h"
#include "core/cpu.h"
#include "core/json.h"
#include "core/signal.h"
#include "core/sys.h"
#include "sim/env_batch.h"
#include "sim/model_cache.h"

static const bench_args defaults = {.suite = "libero130", .n_step = 100, .n_rep = 3};
static const vk_opt opts[] = {
    VK_OPT_I64(bench_args, "reps", n_rep, 1, 100, "N", NULL, "repetitions; the median counts"),
    VK_OPT_I64(bench_args, "steps", n_step, 10, 100000, "N", NULL, "control steps in a repetition"),
    VK_OPT_STR(bench_args, "suite", suite, "SUITE",
               "the suites whose first tasks are run: one, or a comma list"),
    VK_OPT_STR(
        bench_args, "visuals", visuals, "NAME|FILE",
        "what is drawn: original, stand-in, or a file (default: the original where they are at "
        "hand)"),
    VK_OPT_END,
};

vk_status vk_bench_add(bench *b, const char *what, const char *name, double value, const char *unit,
                       vk_err *err)
{
  if (b->n_result == b->n_room) {
    b->n_room = 2 * b->n_room + 16;
    result *more = realloc(b->result, sizeof *more * (size_t)b->n_room);
    if (!more)
      return vk_fail(err, VK_E_NOMEM, "no memory for %d results", b->n_room);
    b->result = more;
  }
  result *r = &b->result[b->n_result++];
  snprintf(r->name, sizeof r->name, "%s.%s", what, name);
  r->value = value;
  r->unit = unit;
  return VK_OK;
}

static int by_value(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double vk_bench_median(double *x, int n)
{
  qsort(x, (size_t)n, sizeof *x, by_value);
  return n % 2 ? x[n / 2] : 0.5 * (x[n / 2 - 1] + x[n / 2]);
}

double vk_bench_cpu_s(void)
{
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- env ----------------------------------------------------------------------------------- */

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

vk_status vk_bench_begin(vk_env *env, const vk_scene *scene, int n_wait, vk_err *err)
{
  const double wait[VK_N_ACTION] = {0, 0, 0, 0, 0, 0, -1};
  double *state = malloc(sizeof *state * (size_t)scene->n_state);
  if (!state)
    return vk_fail(err, VK_E_NOMEM, "no memory for a state");
  vk_status st = vk_signal_check(err);
  if (st == VK_OK)
    st = vk_env_reset(env, err);
  if (st == VK_OK)
    st = vk_pack_init_row(scene->pack, scene->task, 0, state, err);
  if (st == VK_OK)
    st = vk_env_set_state(env, state, scene->n_state, err);
  for (int i = 0; i < n_wait && st == VK_OK; i++)
    st = vk_env_step(env, wait, NULL, err);
  free(state);
  return st;
}

static vk_status measure_steps(bench *b, const char *name, vk_env *env, vk_err *err)
{
  int n_step = (int)b->args->n_step, n_rep = (int)b->args->n_rep;
  double *action = malloc(sizeof *action * (size_t)n_step * VK_N_ACTION);
  double *rate = malloc(sizeof *rate * (size_t)n_rep),
         *cpu_rate = malloc(sizeof *rate * (size_t)n_rep);
  vk_status st = VK_OK;
  if (!action || !rate || !cpu_rate) {
    st = vk_fail(err, VK_E_NOMEM, "no memory for %d actions", n_step);
    goto done;
  }
  vk_mt19937 rng;
  vk_mt19937_seed(&rng, 7);
  for (int r = 0; r < n_rep; r++) {
    draw_actions(&rng, action, n_step);
    double start_s = vk_sys_monotonic_s(), start_cpu_s = vk_bench_cpu_s();
    for (int i = 0; i < n_step; i++) {
      VK_TRY_DONE(vk_signal_check(err));
      VK_TRY_DONE(vk_env_step(env, action + i * VK_N_ACTION, NULL, err));
    }
    cpu_rate[r] = n_step / (vk_bench_cpu_s() - start_cpu_s);
    rate[r] = n_step / (vk_sys_monotonic_s() - start_s);
  }
  VK_TRY_DONE(vk_bench_add(b, name, "steps", vk_bench_median(rate, n_rep), "steps/s", err));
  VK_TRY_DONE(
      vk_bench_add(b, name, "steps_cpu", vk_bench_median(cpu_rate, n_rep), "steps/cpu-s", err));
done:
  free(action);
  free(rate);
  free(cpu_rate);
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
  VK_TRY_DONE(measure_steps(b, name, env, err));
  VK_TRY_DONE(measure_resets(b, name, env, scene, err));
  VK_TRY_DONE(measure_start(b, name, i_task, err));
  VK_TRY_DONE(measure_memory(b, name, scene, err));
  VK_TRY_DONE(measure_threads(b, name, scene, err));
done:
  vk_env_free(env);
  vk_scene_free(scene);
  return st;
}

vk_status vk_bench_suites(bench *b, vk_bench_task_fn *fn, vk_err *err)
{
  uint32_t *task = malloc(sizeof *task * (b->pack.n_task + 1)), n = 0;
  if (!task)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu tasks", b->pack.n_task);
  vk_status st = vk_pack_find_tasks(&b->pack, b->args->suite, task, &n, err);
  uint32_t last = UINT32_MAX;
  for (uint32_t i = 0; i < n && st == VK_OK; i++) {
    const vk_pack_task *t = &b->pack.task[task[i]];
    if (t->suite == last)
      continue;
    last = t->suite;
    st = fn(b, vk_pack_suite_of(&b->pack, t), task[i], err);
  }
  free(task);
  return st;
}

static vk_status bench_env(bench *b, vk_err *err)
{
  return vk_bench_suites(b, bench_task, err);
}

/* ---- the command --------------------------------------------------------------------------- */

typedef struct bench_def {
  const char *name;
  vk_status (*run)(bench *b, vk_err *err);
} bench_def;

static const bench_def defs[] = {{"env", bench_env}, {"render", vk_bench_render}};

static vk_status fail_unknown(const char *name, vk_err *err)
{
  const char *names[VK_COUNT(defs) + 2] = {"all"};
  for (size_t i = 0; i < VK_COUNT(defs); i++)
    names[i + 1] = defs[i].name;
  return vk_opt_fail_name(err, "benchmark", name, names);
}

static vk_status print_results(const bench *b, vk_err *err)
{
  if (!b->call->common->json) {
    for (int i = 0; i < b->n_result; i++)
      printf("%-34s %10.4g %s\n", b->result[i].name, b->result[i].value, b->result[i].unit);
    return VK_OK;
  }
  cJSON *top = cJSON_CreateObject(), *results = cJSON_AddArrayToObject(top, "results");
  cJSON_AddStringToObject(top, "isa", vk_isa_name(b->call->isa));
  for (int i = 0; i < b->n_result; i++) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", b->result[i].name);
    cJSON_AddNumberToObject(o, "value", b->result[i].value);
    cJSON_AddStringToObject(o, "unit", b->result[i].unit);
    cJSON_AddItemToArray(results, o);
  }
  vk_status st = vk_json_print(top, err);
  cJSON_Delete(top);
  return st;
}

static vk_status run_benches(bench *b, vk_err *err)
{
  const char *name = b->call->positional[0];
  bool all = strcmp(name, "all") == 0, found = all;
  for (size_t i = 0; i < VK_COUNT(defs); i++)
    found = found || strcmp(name, defs[i].name) == 0;
  if (!found)
    return fail_unknown(name, err);
  VK_TRY(vk_mujoco_check(err));
  VK_TRY(vk_pack_open(&b->pack, b->call->common->pack, err));
  b->cache_dir = vk_model_cache_dir(b->cache);
  for (size_t i = 0; i < VK_COUNT(defs); i++)
    if (all || strcmp(name, defs[i].name) == 0)
      VK_TRY(defs[i].run(b, err));
  return print_results(b, err);
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  bench b = {.call = call, .args = call->args};
  vk_status st = run_benches(&b, err);
  vk_pack_close(&b.pack);
  free(b.result);
  return st;
}

const vk_cmd vk_cmd_bench = {
    .name = "bench",
    .summary = "measure how fast this machine runs the parts of the program",
    .synopsis = "NAME|all [options]",
    .description =
        "Runs benchmarks in the process and prints one number a line: a name, a value and its "
        "unit.\n\n"
        "env: environments without pictures, in the first task of each suite.\n"
        "  steps        control steps a second, one thread, with random actions\n"
        "  steps_cpu    the same by the processor time that they took\n"
        "  reset        a reset and an init state\n"
        "  first_step   from opening the pack to the end of the first step, compiled model at "
        "hand\n"
        "  memory       what each further environment of the task takes\n"
        "  two_threads  steps a second of eight environments on two threads, over one thread\n\n"
        "render: pictures, of states of the first task of each suite, by camera, side in pixels "
        "and "
        "(x4) samples.\n"
        "  pictures     pictures a second, one thread\n"
        "  pictures_cpu the same by the processor time that they took\n"
        "  triangles    in the view, before culling, a picture\n"
        "  two_threads  pictures a second on two threads, over one thread",
    .examples = "vlakit bench env  # all suites\n"
                "vlakit bench env --suite libero_goal --json  # one, for a script\n"
                "vlakit bench render --visuals stand-in",
    .opts = opts,
    .args_size = sizeof(bench_args),
    .args_default = &defaults,
    .n_positional_min = 1,
    .n_positional_max = 1,
    .run = run,
};
