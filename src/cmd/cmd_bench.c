/* cmd_bench.c - vlakit bench: how fast this machine runs the parts of the program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/bench.h"
#include "core/json.h"
#include "core/signal.h"
#include "nn/device.h"
#include "sim/model_cache.h"

static const bench_args defaults = {
    .suite = "libero130", .n_step = 100, .n_rep = 3, .n_sample = 4, .model = "nano-n2,nano-n8"};
static const vk_opt opts[] = {
    VK_OPT_I64(bench_args, "batch", n_batch, 1, 4096, "N", NULL,
               "model: decisions and training steps of this batch; of 1, decisions alone (default: "
               "decisions of 1, training steps of 32 and 128)"),
    VK_OPT_FLAG(bench_args, "bf16", bf16, "model: products in bf16"),
    VK_OPT_STR(bench_args, "model", model, "MODEL",
               "model: which ones, names or paths, a comma list"),
    VK_OPT_STR(bench_args, "op", op, "NAME", "ops: this one alone"),
    VK_OPT_I64(bench_args, "picture-every", picture_every, 0, 1000, "N", "steps",
               "env: also with two views of 128 pixels of every N-th step; 0: none"),
    VK_OPT_I64(bench_args, "samples", n_sample, 1, 4, "1|4", NULL,
               "env: samples a pixel of those; the benchmark's have 4"),
    VK_OPT_I64(bench_args, "reps", n_rep, 1, 100, "N", NULL, "repetitions; the median counts"),
    VK_OPT_STR(bench_args, "shape", shape, "MxNxK",
               "gemm: this product alone, however long it takes"),
    VK_OPT_I64(bench_args, "steps", n_step, 10, 100000, "N", NULL,
               "data, env, render: control steps in a repetition"),
    VK_OPT_STR(bench_args, "suite", suite, "SUITE",
               "data, env, render: the suites whose first tasks are run, one or a comma list"),
    VK_OPT_STR(bench_args, "trace", trace, "FILE",
               "model: write where time went, a slice a node of graph show, for Perfetto"),
    VK_OPT_STR(
        bench_args, "visuals", visuals, "stand-in|original|FILE",
        "data, env, render: what is drawn, original, stand-in, or a file (default: the original "
        "where they are at hand)"),
    VK_OPT_END,
};

vk_status vk_bench_add_noted(bench *b, const char *what, const char *name, double value,
                             const char *unit, const char *note, vk_err *err)
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
  snprintf(r->note, sizeof r->note, "%s", note);
  if (!b->call->common->json) {
    printf("%-34s %10.4g %s%s%s\n", r->name, value, unit, *note ? "  " : "", r->note);
    fflush(stdout); /* the next may take minutes */
  }
  return VK_OK;
}

vk_status vk_bench_add(bench *b, const char *what, const char *name, double value, const char *unit,
                       vk_err *err)
{
  return vk_bench_add_noted(b, what, name, value, unit, "", err);
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

/* ---- the command --------------------------------------------------------------------------- */

typedef struct bench_def {
  const char *name;
  vk_status (*run)(bench *b, vk_err *err);
  bool needs_pack;
} bench_def;

static const bench_def defs[] = {
    {"data", vk_bench_data, true},  {"env", vk_bench_env, true},
    {"gemm", vk_bench_gemm, false}, {"model", vk_bench_model, false},
    {"ops", vk_bench_ops, false},   {"render", vk_bench_render, true},
};

/* Options of some benchmarks alone; the others are for all. */
static const vk_cmd_part_opt opt_of[] = {
    {"batch", "model"},
    {"bf16", "model"},
    {"model", "model"},
    {"op", "ops"},
    {"picture-every", "env"},
    {"samples", "env"},
    {"shape", "gemm"},
    {"steps", "data, env, render"},
    {"suite", "data, env, render"},
    {"trace", "model"},
    {"visuals", "data, env, render"},
};

static vk_status check_options(const bench *b, const char *name, vk_err *err)
{
  VK_TRY(vk_cmd_check_parts(b->call, opt_of, VK_COUNT(opt_of), err));
  vk_device_choice device;
  VK_TRY(vk_device_choose(&device, b->call->common->device, err));
  if (device.def != &vk_device_cpu && strcmp(name, "model") != 0 && strcmp(name, "ops") != 0)
    return vk_fail(
        err, VK_E_USAGE,
        "bench %s measures the CPU; with --device %s there are bench model and bench ops", name,
        b->call->common->device);
  return VK_OK;
}

static vk_status fail_unknown(const char *name, vk_err *err)
{
  const char *names[VK_COUNT(defs) + 2] = {"all"};
  for (size_t i = 0; i < VK_COUNT(defs); i++)
    names[i + 1] = defs[i].name;
  return vk_opt_fail_name(err, "benchmark", name, names);
}

static vk_status print_json(const bench *b, bool is_interrupted, vk_err *err)
{
  cJSON *top = cJSON_CreateObject(), *results = cJSON_AddArrayToObject(top, "results");
  cJSON_AddStringToObject(top, "isa", vk_isa_name(b->call->isa));
  cJSON_AddBoolToObject(top, "interrupted", is_interrupted);
  for (int i = 0; i < b->n_result; i++) {
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "name", b->result[i].name);
    cJSON_AddNumberToObject(o, "value", b->result[i].value);
    cJSON_AddStringToObject(o, "unit", b->result[i].unit);
    if (b->result[i].note[0])
      cJSON_AddStringToObject(o, "note", b->result[i].note);
    cJSON_AddItemToArray(results, o);
  }
  vk_status st = vk_json_print(top, err);
  cJSON_Delete(top);
  return st;
}

/* Once, for the benchmarks of the simulator. */
static vk_status open_pack(bench *b, vk_err *err)
{
  if (b->cache_dir || b->pack.n_task)
    return VK_OK;
  VK_TRY(vk_mujoco_check(err));
  VK_TRY(vk_pack_open(&b->pack, b->call->common->pack, err));
  b->cache_dir = vk_model_cache_dir(b->cache);
  return VK_OK;
}

static vk_status run_benches(bench *b, vk_err *err)
{
  const char *name = b->call->positional[0];
  bool all = strcmp(name, "all") == 0, found = all;
  for (size_t i = 0; i < VK_COUNT(defs); i++)
    found = found || strcmp(name, defs[i].name) == 0;
  if (!found)
    return fail_unknown(name, err);
  if (!all)
    VK_TRY(check_options(b, name, err));
  if (b->args->n_sample != 1 && b->args->n_sample != 4)
    return vk_fail(err, VK_E_USAGE, "--samples %d: expected 1 or 4", (int)b->args->n_sample);
  for (size_t i = 0; i < VK_COUNT(defs); i++) {
    if (!all && strcmp(name, defs[i].name) != 0)
      continue;
    if (defs[i].needs_pack)
      VK_TRY(open_pack(b, err));
    VK_TRY(defs[i].run(b, err));
  }
  return VK_OK;
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  bench b = {.call = call, .args = call->args};
  vk_status st = run_benches(&b, err);
  if (call->common->json && (st == VK_OK || st == VK_E_INTERRUPTED)) {
    vk_status printed = print_json(&b, st != VK_OK, st == VK_OK ? err : NULL);
    st = st == VK_OK ? printed : st;
  }
  vk_pack_close(&b.pack);
  free(b.result);
  return st;
}

const vk_cmd vk_cmd_bench = {
    .name = "bench",
    .summary = "measure how fast this machine runs the parts of the program",
    .synopsis = "data|env|gemm|model|ops|render|all [options]",
    .description =
        "Runs benchmarks in the process and prints one number a line, as soon as it is measured: a "
        "name, a value and its unit. Ctrl-C ends it; with --json what was measured until then is "
        "printed.\n\n"
        "data: samples to train on, of an episode of random moves in the first task of each suite, "
        "by "
        "the processor time that they take: both views, shifted, cropped and in another light.\n"
        "  stage       building what pictures of the task are drawn from, compiled model at hand\n"
        "  drawn       samples a second whose pictures are drawn\n"
        "  kept        the same with pictures at hand\n"
        "  kept_as_is  these unchanged\n\n"
        "env: environments without pictures, in the first task of each suite.\n"
        "  steps        control steps a second, one thread, with random actions\n"
        "  steps_cpu    the same by the processor time that they took\n"
        "  reset        a reset and an init state\n"
        "  first_step   from opening the pack to the end of the first step, compiled model at "
        "hand\n"
        "  memory       what each further environment of the task takes\n"
        "  two_threads  steps a second of eight environments on two threads, over one thread\n"
        "and with --picture-every N\n"
        "  pictures_N, pictures_N_cpu  as steps and steps_cpu, drawing both views (128 pixels)\n"
        "                              of every N-th step\n\n"
        "gemm: products of matrices, one thread, by the processor time that they take.\n"
        "  peak            multiply-adds in registers, the most that --isa's instructions do\n"
        "  f32.MxNxK       M rows through a layer of N outputs and K inputs, weights packed\n"
        "  bf16.MxNxK      the same with weights and inputs rounded to bfloat16, sums in f32\n"
        "  f32.MxNxK.dw    the gradient of such a layer's weights, added to what is there\n"
        "  NAME.share      of peak, which is of f32: instructions for bfloat16 do more\n"
        "Shapes that would take over 0.5 s are left out.\n\n"
        "model: the policies that come with the program, with random parameters and observations.\n"
        "  NAME.infer.bN      a decision of N observations, the instruction's tokens at hand\n"
        "  NAME.infer.bN.p99  the slowest of a hundred\n"
        "  NAME.train.bN      samples a second: forward, backward, clipping, AdamW\n"
        "  NAME.infer.bN_cpu, NAME.train.bN_cpu  the same by the processor time of all threads\n"
        "  NAME.train.bN.plan_bytes  memory of such a step beside parameters and gradients\n"
        "NAME of a model given by a path is the path's last part; the path stands behind its first "
        "number (\"note\" in --json).\n\n"
        "ops: kernels of the network engine, on one thread, by op and example; the shapes of the "
        "example's inputs stand behind the time. Views, which move no bytes, are left out.\n"
        "  time         processor time of a call\n"
        "  work         of a call by its multiply-adds, each two operations\n"
        "  moved        by the bytes that must at least be read and written\n"
        "With --device cuda it is called many times in a row by the clock, so that no call waits "
        "for "
        "its launch, with operands of 256 MB in all or more, which take turns. What the device can "
        "do shows first:\n"
        "  large.f32, large.bf16  a product of 4,096 rows, columns and terms\n"
        "  large.copy             256 MB\n"
        "then how near to that kernels come, at sizes of nano-n8 and a batch of 1,024:\n"
        "  model.matmul, model.attention  in bf16\n"
        "  model.rms_norm, model.group_norm, model.add\n"
        "and of these and of all examples\n"
        "  work_share   work over that of large.bf16 or, for products in f32, of large.f32\n"
        "  moved_share  moved over that of large.copy\n\n"
        "render: pictures, of states of the first task of each suite, by camera, side in pixels "
        "and "
        "(x4) samples.\n"
        "  pictures     pictures a second, one thread\n"
        "  pictures_cpu the same by the processor time that they took\n"
        "  triangles    in the view, before culling, a picture\n"
        "  two_threads  pictures of 128 pixels a second on two threads, over one thread",
    .examples =
        "vlakit bench env  # all suites\n"
        "vlakit bench env --suite libero_goal --json  # one, for a script\n"
        "vlakit bench env --picture-every 8  # as a policy sees them that acts in chunks\n"
        "vlakit bench gemm --isa avx2  # as on a machine without AVX-512\n"
        "vlakit bench gemm --shape 32x1024x256  # 32 rows through a layer of 1,024 outputs\n"
        "vlakit bench model --model nano-n8 --batch 1 --threads 1  # how long a decision takes\n"
        "vlakit bench ops --op matmul --isa avx2  # one kernel, on a path\n"
        "vlakit bench model --device cuda --bf16 --batch 256  # on a GPU\n"
        "vlakit bench render --visuals stand-in",
    .flags = VK_CMD_DEVICE,
    .opts = opts,
    .args_size = sizeof(bench_args),
    .args_default = &defaults,
    .n_positional_min = 1,
    .n_positional_max = 1,
    .common = VK_COMMON(VK_COMMON_DEVICE("model, ops: where they run"), VK_COMMON_ISA,
                        VK_COMMON_JSON, VK_COMMON_PACK, VK_COMMON_THREADS),
    .run = run,
};
