/* bench_model.c - vlakit bench model: training steps and decisions of the shipped models, on random
 * observations. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/bench.h"
#include "core/rng.h"
#include "core/signal.h"
#include "core/sys.h"
#include "nn/model_nano.h"
#include "nn/net.h"

enum { N_MODEL_MAX = 32, NAME_SIZE = 48 };
enum { N_TEXT = 4, N_DECISION = 400, N_DECISION_LEAST = 10, N_WARM = 4, N_SPAN = 1 << 18 };

/* N_WARM runs come before those that count: on a GPU the third of a size is captured as a graph,
 * and the fourth is its first launch. */
static const double decisions_s = 4; /* slow paths make fewer of them */

/* Instructions of 17, 5, 7 and 12 words. */
static const char *const texts[N_TEXT] = {
    "pick up the black bowl between the plate and the ramekin and place it on the plate",
    "Open the middle drawer.", "put the moka pot on the stove",
    "turn on the stove and put the frying pan on it"};

/* One model with all that a measurement needs. */
typedef struct subject {
  bench *b;
  const char *path;     /* where it lies, until its first result has told so; NULL: it has a name */
  char name[NAME_SIZE]; /* of its results */
  vk_model model;
  vk_params params;
  vk_device device;
  vk_trace *trace; /* NULL: none */
  uint8_t *image;  /* [n_batch * 2, 128, 128, 3] */
  float *proprio;
  vk_nano_obs *obs;
  int n_batch;
  uint64_t free_bytes; /* of the device, before it held any of this; 0: not known */
} subject;

/* What two machines call alike: "nano-n2", of a path the last part without the ending of a file. */
static void name_results(char out[NAME_SIZE], const char *word)
{
  static const char *const endings[] = {".json", ".safetensors"};
  size_t end = strlen(word);
  while (end > 1 && word[end - 1] == '/')
    end--;
  size_t begin = end;
  while (begin > 0 && word[begin - 1] != '/')
    begin--;
  for (size_t i = 0; i < VK_COUNT(endings); i++) {
    size_t n = strlen(endings[i]);
    if (end - begin > n && strncmp(word + end - n, endings[i], n) == 0)
      end -= n;
  }
  snprintf(out, NAME_SIZE, "%.*s", (int)(end - begin), word + begin);
}

static vk_status add_result(subject *s, const char *what, double value, const char *unit,
                            vk_err *err)
{
  char name[2 * NAME_SIZE];
  snprintf(name, sizeof name, "%s%s.%s", s->name, s->b->args->bf16 ? ".bf16" : "", what);
  const char *path = s->path;
  s->path = NULL;
  return vk_bench_add_noted(s->b, "model", name, value, unit, path ? path : "", err);
}

static vk_status make_batch(subject *s, int n, vk_err *err)
{
  size_t n_pixel = (size_t)VK_NANO_PX * VK_NANO_PX * 3;
  vk_philox rng;
  vk_philox_init(&rng, 0, 0);
  s->n_batch = n;
  s->image = malloc((size_t)n * 2 * n_pixel);
  s->proprio = malloc((size_t)n * VK_NANO_PROPRIO * sizeof(float));
  s->obs = calloc((size_t)n, sizeof *s->obs);
  if (!s->image || !s->proprio || !s->obs)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d observations", n);
  for (size_t i = 0; i < (size_t)n * 2 * n_pixel; i += 4) {
    uint32_t x = vk_philox_u32(&rng);
    memcpy(s->image + i, &x, 4);
  }
  for (int i = 0; i < n * VK_NANO_PROPRIO; i++)
    s->proprio[i] = (float)vk_philox_normal(&rng);
  for (int i = 0; i < n; i++)
    s->obs[i] = (vk_nano_obs){
        .image = {s->image + (size_t)(2 * i) * n_pixel, s->image + (size_t)(2 * i + 1) * n_pixel},
        .proprio = n > 1 && i == n - 1 ? NULL : s->proprio + i * VK_NANO_PROPRIO,
        .i_text = i % N_TEXT};
  return VK_OK;
}

static void free_batch(subject *s)
{
  free(s->image);
  free(s->proprio);
  free(s->obs);
  s->image = NULL;
  s->proprio = NULL;
  s->obs = NULL;
}

static vk_target target_of(const subject *s)
{
  return (vk_target){.device = s->device.def,
                     .isa = s->b->call->isa,
                     .n_thread = vk_team_n_thread(s->device.team),
                     .is_bf16 = s->b->args->bf16};
}

/* The batch goes to the device, which may be busy with the one before. */
static vk_status put_batch(const subject *s, vk_net *net, vk_err *err)
{
  const vk_graph *g = &net->plan->graph;
  int n_text = s->n_batch < N_TEXT ? s->n_batch : N_TEXT, n_word[N_TEXT];
  VK_TRY(vk_nano_set_text(net->exec, g, texts, n_text, n_word, err));
  VK_TRY(vk_nano_set_obs_by(s->device.team, net->exec, g, s->obs, s->n_batch, n_word, n_text, err));
  int32_t *target = vk_net_data(net, "target");
  for (int i = 0; i < s->n_batch * VK_NANO_STEPS * VK_NANO_DIMS; i++)
    target[i] = i % VK_NANO_BINS;
  return vk_exec_send(net->exec, err);
}

static vk_status run_step(const subject *s, vk_net *net, vk_optim *optim, vk_err *err)
{
  VK_TRY(vk_signal_check(err));
  VK_TRY(vk_exec_start(net->exec, err));
  VK_TRY(put_batch(s, net, err)); /* as training does: the next one */
  VK_TRY(vk_exec_wait(net->exec, err));
  return vk_optim_step(optim, s->device.team, 3e-4, 1, NULL, err);
}

/* Training steps: inputs, forward, backward, clipping, AdamW.
 *   step_s  out: median seconds of one, by the clock and of processors */
static vk_status time_steps(subject *s, vk_net *net, vk_optim *optim, double step_s[2], vk_err *err)
{
  int n_rep = (int)s->b->args->n_rep;
  double *t = calloc(2 * (size_t)n_rep, sizeof *t), *cpu = t + n_rep;
  if (!t)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d times", n_rep);
  vk_status st = put_batch(s, net, err);
  for (int k = s->device.def == &vk_device_cpu ? -1 : -N_WARM; k < n_rep && st == VK_OK; k++) {
    double start_s = vk_sys_monotonic_s(), start_cpu_s = vk_sys_cpu_s();
    st = run_step(s, net, optim, err);
    if (k >= 0) {
      t[k] = vk_sys_monotonic_s() - start_s;
      cpu[k] = vk_sys_cpu_s() - start_cpu_s;
    }
  }
  step_s[0] = vk_bench_median(t, n_rep);
  step_s[1] = vk_bench_median(cpu, n_rep);
  free(t);
  return st;
}

/* Free memory of the device; 0 on the CPU, whose memory others share. */
static vk_status read_free(const subject *s, uint64_t *n, vk_err *err)
{
  vk_device_info info;
  *n = 0;
  if (s->device.def == &vk_device_cpu)
    return VK_OK;
  VK_TRY(s->device.def->describe(s->device.index, &info, err));
  *n = info.free_bytes;
  return VK_OK;
}

/* What a network that learns takes: the plan, and parameters, gradients and two moments. Beside it
 * what the device says is gone since before, which libraries of the device take from, too. */
static vk_status add_memory(subject *s, const char *what, const vk_plan *plan, vk_err *err)
{
  char name[64];
  uint64_t free_now;
  VK_TRY(read_free(s, &free_now, err));
  snprintf(name, sizeof name, "%s.plan_bytes", what);
  VK_TRY(add_result(s, name, (double)vk_plan_bytes(plan), "bytes", err));
  if (s->device.def == &vk_device_cpu)
    return VK_OK;
  double planned = (double)vk_plan_bytes(plan) + 4.0 * 4 * (double)s->params.n_item;
  snprintf(name, sizeof name, "%s.learner_bytes", what);
  VK_TRY(add_result(s, name, planned, "bytes", err));
  snprintf(name, sizeof name, "%s.taken_bytes", what);
  return add_result(s, name, (double)s->free_bytes - (double)free_now, "bytes", err);
}

static vk_status bench_train(subject *s, int n_batch, vk_err *err)
{
  char what[64];
  double step_s[2] = {0};
  vk_net net = {0};
  vk_optim *optim = NULL;
  vk_optim_span *spans = NULL;
  vk_target target = target_of(s);
  target.is_train = true;
  target.loss = "loss";
  float *grad;
  vk_status st = vk_params_block(&s->params, &grad, err);
  if (st == VK_OK)
    st = make_batch(s, n_batch, err);
  if (st == VK_OK)
    st = vk_net_new(&net, &s->model, &(vk_model_args){.n_batch = n_batch, .with_loss = true},
                    &target, &s->params, grad, &s->device, s->trace, err);
  if (st == VK_OK)
    st = vk_net_optim_new(&optim, &spans, &s->model, &s->params, grad,
                          &(vk_optim_config){.beta1 = 0.9,
                                             .beta2 = 0.95,
                                             .eps = 1e-8,
                                             .max_norm = 1,
                                             .isa = target.isa,
                                             .device = &s->device},
                          0.05, err);
  if (st == VK_OK)
    st = time_steps(s, &net, optim, step_s, err);
  snprintf(what, sizeof what, "train.b%d", n_batch);
  if (st == VK_OK)
    st = add_result(s, what, n_batch / step_s[0], "samples/s", err);
  snprintf(what, sizeof what, "train.b%d_cpu", n_batch);
  if (st == VK_OK)
    st = add_result(s, what, n_batch / step_s[1], "samples/s", err);
  snprintf(what, sizeof what, "train.b%d", n_batch);
  if (st == VK_OK)
    st = add_memory(s, what, net.plan, err);
  vk_optim_free(optim);
  free(spans);
  vk_net_free(&net);
  vk_params_block_free(&s->params, grad);
  free_batch(s);
  return st;
}

/* The instruction's tokens, computed once. */
static vk_status encode_text(subject *s, vk_net *act, int n_text, int *n_word, vk_err *err)
{
  vk_net net = {0};
  vk_target target = target_of(s);
  VK_TRY(vk_net_new(&net, &s->model, &(vk_model_args){.part = VK_PART_TEXT, .n_batch = n_text},
                    &target, &s->params, NULL, &s->device, NULL, err));
  vk_status st = vk_nano_set_text(net.exec, &net.plan->graph, texts, n_text, n_word, err);
  if (st == VK_OK)
    st = vk_exec_run(net.exec, err);
  if (st == VK_OK) {
    static const char *const names[] = {"text", "text_vec"};
    int total = 0;
    for (int i = 0; i < n_text; i++)
      total += n_word[i];
    vk_exec_set_size(act->exec, VK_NANO_TEXT, n_text);
    vk_exec_set_size(act->exec, VK_NANO_WORD, total);
    for (size_t i = 0; i < VK_COUNT(names); i++) {
      vk_id from = vk_graph_find_output(&net.plan->graph, names[i]);
      vk_shape shape = vk_exec_shape(net.exec, from);
      memcpy(vk_net_data(act, names[i]), vk_exec_data(net.exec, from),
             sizeof(float) * (size_t)vk_shape_n_item(&shape));
    }
  }
  vk_net_free(&net);
  return st;
}

/* Median and 99th percentile of n times in ms, which it sorts. */
static vk_status add_times(subject *s, int n_batch, const char *kind, double *t, int n, vk_err *err)
{
  char what[64];
  snprintf(what, sizeof what, "infer.b%d%s", n_batch, kind);
  VK_TRY(add_result(s, what, vk_bench_median(t, n), "ms", err));
  snprintf(what, sizeof what, "infer.b%d%s.p99", n_batch, kind);
  return add_result(s, what, t[n * 99 / 100], "ms", err);
}

/* Decisions: pictures to bins, text tokens at hand. */
static vk_status bench_act(subject *s, int n_batch, vk_err *err)
{
  vk_net net = {0};
  vk_target target = target_of(s);
  int n_text = n_batch < N_TEXT ? n_batch : N_TEXT, n_word[N_TEXT] = {0};
  static double t[N_DECISION], cpu[N_DECISION];
  vk_status st = make_batch(s, n_batch, err);
  if (st == VK_OK)
    st = vk_net_new(&net, &s->model, &(vk_model_args){.part = VK_PART_ACT, .n_batch = n_batch},
                    &target, &s->params, NULL, &s->device, s->trace, err);
  if (st == VK_OK)
    st = encode_text(s, &net, n_text, n_word, err);
  int n = 0;
  const double begin_s = vk_sys_monotonic_s();
  for (int k = -N_WARM; k < N_DECISION && st == VK_OK; k++) {
    double start_s = vk_sys_monotonic_s();
    if (k >= N_DECISION_LEAST && start_s - begin_s > decisions_s)
      break;
    double start_cpu_s = vk_sys_cpu_s();
    st = vk_signal_check(err);
    if (st == VK_OK)
      st = vk_nano_set_obs_by(s->device.team, net.exec, &net.plan->graph, s->obs, n_batch, n_word,
                              n_text, err);
    if (st == VK_OK)
      st = vk_exec_run(net.exec, err);
    if (k >= 0) {
      t[k] = (vk_sys_monotonic_s() - start_s) * 1e3;
      cpu[k] = (vk_sys_cpu_s() - start_cpu_s) * 1e3;
      n = k + 1;
    }
  }
  if (st == VK_OK)
    st = add_times(s, n_batch, "", t, n, err);
  if (st == VK_OK && n_batch > 1) {
    char what[64];
    snprintf(what, sizeof what, "infer.b%d.rate", n_batch);
    st = add_result(s, what, n_batch / (vk_bench_median(t, n) * 1e-3), "observations/s", err);
  }
  if (st == VK_OK)
    st = add_times(s, n_batch, "_cpu", cpu, n, err);
  vk_net_free(&net);
  free_batch(s);
  return st;
}

static vk_status bench_one(bench *b, const vk_device *device, vk_trace *trace, const char *word,
                           vk_err *err)
{
  subject s = {.b = b, .device = *device, .trace = trace};
  s.path = vk_model_is_name(word) ? NULL : word;
  name_results(s.name, word);
  VK_TRY(vk_model_open(&s.model, word, err));
  VK_TRY(vk_net_params_new(&s.params, &s.model, 0, err));
  const bench_args *a = b->args;
  vk_status st = read_free(&s, &s.free_bytes, err);
  if (st == VK_OK)
    st = vk_params_move(&s.params, device, err);
  if (st == VK_OK)
    st = bench_act(&s, a->n_batch ? (int)a->n_batch : 1, err);
  if (st == VK_OK && a->n_batch != 1)
    st = bench_train(&s, a->n_batch ? (int)a->n_batch : 32, err);
  if (st == VK_OK && a->n_batch == 0)
    st = bench_train(&s, 128, err);
  vk_params_free(&s.params);
  return st;
}

/* The models of --model. Results of two must not have one name. */
typedef struct model_list {
  char text[4096];
  int n;
  const char *word[N_MODEL_MAX];
} model_list;

static vk_status read_list(model_list *l, const char *text, vk_err *err)
{
  char name[NAME_SIZE], other[NAME_SIZE];
  if (strlen(text) >= sizeof l->text)
    return vk_fail(err, VK_E_USAGE, "--model: the list is too long");
  snprintf(l->text, sizeof l->text, "%s", text);
  char *rest = l->text;
  for (char *word; (word = strsep(&rest, ",")) != NULL; l->word[l->n++] = word) {
    if (!*word || l->n == N_MODEL_MAX)
      return vk_fail(
          err, VK_E_USAGE,
          "--model %.80s: expected 1 to %d names or paths of models with commas between, "
          "as in nano-n2,nano-n8",
          text, N_MODEL_MAX);
    name_results(name, word);
    for (int i = 0; i < l->n; i++) {
      name_results(other, l->word[i]);
      if (strcmp(name, other) == 0)
        return vk_fail(err, VK_E_USAGE,
                       "--model: results of %.80s and %.80s would both be named %s", l->word[i],
                       word, name);
    }
  }
  return VK_OK;
}

static vk_status bench_all(bench *b, const vk_device *device, const model_list *list, vk_err *err)
{
  vk_trace *trace = NULL;
  if (b->args->trace)
    VK_TRY(vk_trace_new(&trace, b->args->trace, N_SPAN, err));
  vk_status st = VK_OK;
  for (int i = 0; i < list->n && st == VK_OK; i++)
    st = bench_one(b, device, trace, list->word[i], err);
  if (trace && (st == VK_OK || st == VK_E_INTERRUPTED)) {
    vk_status written = vk_trace_write(trace, st == VK_OK ? err : NULL);
    st = st == VK_OK ? written : st;
  }
  vk_trace_free(trace);
  return st;
}

vk_status vk_bench_model(bench *b, vk_err *err)
{
  vk_team *team = NULL;
  vk_device device = {0};
  model_list list = {.n = 0};
  VK_TRY(read_list(&list, b->args->model, err));
  vk_status st = vk_team_new(&team, (int)b->call->common->n_thread, err);
  if (st == VK_OK)
    st = vk_device_open(&device, b->call->common->device, team, err);
  if (st == VK_OK)
    st = bench_all(b, &device, &list, err);
  vk_device_close(&device);
  vk_team_free(team);
  return st;
}
