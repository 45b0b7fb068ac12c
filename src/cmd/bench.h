/* bench.h - what the files of vlakit bench share. Test: tests/cmd/test_bench.sh */
#ifndef VK_CMD_BENCH_H
#define VK_CMD_BENCH_H

#include "cmd/cmd.h"
#include "sim/env.h"

typedef struct bench_args {
  const char *suite, *visuals, *model, *op, *shape, *trace;
  bool bf16;
  int64_t n_step, n_rep, picture_every, n_sample, n_batch;
} bench_args;

typedef struct result {
  char name[128];
  double value;
  const char *unit;
  char note[512]; /* printed behind the unit; "" for none */
} result;

typedef struct bench {
  const vk_cmd_call *call;
  const bench_args *args;
  vk_pack pack;
  char cache[VK_FS_PATH_MAX];
  const char *cache_dir; /* NULL: none can be had */
  result *result;
  int n_result, n_room;
} bench;

/* Adds the result WHAT.NAME and, without --json, prints it. Errors: VK_E_NOMEM. */
vk_status vk_bench_add(bench *b, const char *what, const char *name, double value, const char *unit,
                       vk_err *err);
vk_status vk_bench_add_noted(bench *b, const char *what, const char *name, double value,
                             const char *unit, const char *note, vk_err *err);

/* Of n > 0 numbers, which it sorts. */
double vk_bench_median(double *x, int n);

/* A reset, init row 0 and n_wait waiting steps. */
vk_status vk_bench_begin(vk_env *env, const vk_scene *scene, int n_wait, vk_err *err);

/* Calls fn for the first task of each suite that --suite names. */
typedef vk_status vk_bench_task_fn(bench *b, const char *suite, uint32_t i_task, vk_err *err);
vk_status vk_bench_suites(bench *b, vk_bench_task_fn *fn, vk_err *err);

/* The benchmarks by name. */
vk_status vk_bench_data(bench *b, vk_err *err);
vk_status vk_bench_env(bench *b, vk_err *err);
vk_status vk_bench_gemm(bench *b, vk_err *err);
vk_status vk_bench_model(bench *b, vk_err *err);
vk_status vk_bench_ops(bench *b, vk_err *err);
vk_status vk_bench_render(bench *b, vk_err *err);

#endif
