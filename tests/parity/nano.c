/* nano.c - how far the nano policy of this program is from golden files: forward pass, losses,
 * every gradient, the first step of the optimiser, what flows between layers, and inference from
 * text that was encoded before. Without arguments it says what it takes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cpu.h"
#include "golden.h"
#include "nn/model_nano.h"
#include "nn/net.h"
#include "nn/text.h"

enum { SKIP = 77, PASS_MAX = 32, N_ACTION = VK_NANO_STEPS * VK_NANO_DIMS };

/* Relative Euclidean distance. The first step of AdamW moves each parameter by about 3e-4, and a
 * float near 1 is rounded by up to 6e-8: PyTorch's own float32 is off by 4e-5. */
static double bound = 1e-5, grad_bound = 1e-5, step_bound = 1e-4;
/* With products in bfloat16: numbers are rounded by 2^-9, in some 40 products one after the other.
 * On a GPU, as on processors with tiles, attention and convolutions are among them. */
static const double bf16_bound = 1e-2, bf16_grad_bound = 2e-2, bf16_step_bound = 5e-3;
/* On a GPU sums are in an order that its library chooses. */
static const double gpu_bound = 2e-5;

static const char usage[] =
    "Usage: tests/parity/nano [--isa ISA] [--threads N] [--device D] [--bf16]\n"
    "                         [--no-pass NAME]... [--may-lack] DIR|small.npz\n"
    "\n"
    "Compares the nano policy with golden files: forward pass, losses, gradients, the first\n"
    "step of the optimiser, inference. DIR holds weights.safetensors, batch.npz,\n"
    "instructions.txt, outputs.npz and outputs_f64.npz; tests/parity/small.npz holds outputs\n"
    "alone.\n"
    "\n"
    "  --isa ISA       scalar, avx2, avx512 or amx (default: the best of this processor)\n"
    "  --threads N     default 1\n"
    "  --device D      cpu (default), cuda or cuda:1; with bounds of 2e-5 where it is no CPU\n"
    "  --bf16          products in bf16, with wider bounds\n"
    "  --no-pass NAME  without this pass (vlakit graph passes lists them)\n"
    "  --may-lack      exit code 77, not 1, where there is no DIR or small.npz\n"
    "\n"
    "Prints a line a tensor: its name, items, what it was compared with (f64: PyTorch in\n"
    "double precision, f32: in single), the relative error and its bound; at last the worst.\n"
    "Exit code 0; 1 when a tensor is out of its bound or missing, or a file cannot be read; 2\n"
    "for this text; 77 without this ISA or this device.\n";

typedef struct parity {
  golden *g;
  vk_model model;
  vk_params params;
  vk_team *team;
  const char *device_name; /* as vk_device_open takes it */
  vk_device device;
  vk_target target;
  float *grad;
  int32_t text_of[GOLDEN_SAMPLE_MAX];
  const char *text[GOLDEN_SAMPLE_MAX]; /* distinct ones */
  int n_text, n_word[GOLDEN_SAMPLE_MAX];
} parity;

/* ---- the model ----------------------------------------------------------------------------- */

static vk_status open_small(parity *p, vk_err *err)
{
  const int32_t *c;
  char text[256];
  VK_TRY(golden_config(p->g, &c, err));
  int n = snprintf(text, sizeof text,
                   "{\"model\": \"nano\", \"d_model\": %d, \"n_head\": %d, \"n_encoder\": %d, "
                   "\"n_decoder\": %d, \"stem\": [%d, %d, %d, %d]}",
                   c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]);
  VK_TRY(vk_model_parse(&p->model, text, (size_t)n, "small", err));
  VK_TRY(vk_net_params_new(&p->params, &p->model, 0, err));
  for (int i = 0; i < p->params.n_param; i++) {
    const vk_param *a = &p->params.param[i];
    golden_weight(a->name, a->shape.n_dim, a->shape.dim, p->params.data + a->offset);
  }
  return VK_OK;
}

static vk_status open_folder(parity *p, vk_err *err)
{
  vk_safetensors s;
  char name[64];
  VK_TRY(vk_safetensors_open(&s, p->g->weights, err));
  const char *size = vk_safetensors_meta(&s, "model");
  snprintf(name, sizeof name, "nano-%s", size ? size : "n2");
  vk_safetensors_close(&s);
  VK_TRY(vk_model_open(&p->model, name, err));
  VK_TRY(vk_net_params_new(&p->params, &p->model, 0, err));
  return vk_params_load(&p->params, p->g->weights, err);
}

static void find_texts(parity *p)
{
  int32_t first[GOLDEN_SAMPLE_MAX];
  p->n_text = (int)vk_text_distinct(p->g->n_sample, p->g->instruction, p->text_of, first);
  for (int i = 0; i < p->n_text; i++)
    p->text[i] = p->g->instruction[first[i]];
}

/* Our buckets of every word are the golden ones. */
static bool check_words(const parity *p, const vk_net *net)
{
  const int32_t *gram = vk_net_data(net, "gram"), *start = vk_net_data(net, "word_start");
  const int32_t *seg = vk_net_data(net, "text_seg");
  int64_t word = 0;
  for (int64_t i = 0; i < p->g->n_sample; i++)
    for (int k = 0; k < p->g->n_words[i]; k++, word++) {
      int text = p->text_of[i], at = seg[text] + k;
      int32_t from = p->g->word_offsets[word], n = p->g->word_offsets[word + 1] - from;
      if (p->n_word[text] != p->g->n_words[i] || start[at + 1] - start[at] != n ||
          memcmp(gram + start[at], p->g->word_ids + from, (size_t)n * sizeof *gram) != 0) {
        printf("word %d of instruction %d has other n-grams\n", k, (int)i);
        return false;
      }
    }
  return true;
}

static vk_status set_samples(parity *p, const vk_net *net, vk_err *err)
{
  vk_nano_obs obs[GOLDEN_SAMPLE_MAX] = {0};
  const size_t picture = (size_t)VK_NANO_PX * VK_NANO_PX * 3;
  for (int64_t i = 0; i < p->g->n_sample; i++) {
    for (int64_t v = 0; v < p->g->n_view; v++)
      obs[i].image[v] = p->g->images + (size_t)(i * p->g->n_view + v) * picture;
    obs[i].proprio = p->g->has_proprio[i] ? p->g->proprio + i * VK_NANO_PROPRIO : NULL;
    obs[i].i_text = p->text_of[i];
  }
  return vk_nano_set_obs(net->exec, &net->plan->graph, obs, (int)p->g->n_sample, p->n_word,
                         p->n_text, err);
}

static vk_status set_text(parity *p, const vk_net *net, vk_err *err)
{
  return vk_nano_set_text(net->exec, &net->plan->graph, p->text, p->n_text, p->n_word, err);
}

static vk_status new_net(parity *p, vk_net *net, vk_model_args args, bool is_train, vk_err *err)
{
  vk_target target = p->target;
  target.is_train = is_train;
  target.loss = is_train ? "loss" : NULL;
  args.n_batch = p->g->n_sample;
  args.n_view = p->g->n_view;
  return vk_net_new(net, &p->model, &args, &target, &p->params, is_train ? p->grad : NULL,
                    &p->device, NULL, err);
}

static vk_status set_targets(parity *p, const vk_net *net)
{
  size_t n = (size_t)p->g->n_sample;
  memcpy(vk_net_data(net, "target"), p->g->targets, n * N_ACTION * sizeof(int32_t));
  float *value = vk_net_data(net, "value_target");
  if (value)
    memcpy(value, p->g->value_target, n * VK_NANO_STEPS * sizeof(float));
  return VK_OK;
}

/* What the golden files lack is no agreement. */
static void need(parity *p, const char *name, bool is_found)
{
  if (is_found)
    return;
  printf("%-36s the golden files have no such array\n", name);
  p->g->n_bad++;
}

static void compare(parity *p, const vk_net *net, const char *output, const char *name)
{
  vk_id v = vk_graph_find_output(&net->plan->graph, output);
  if (v == VK_NONE) {
    printf("%-36s the graph has no such output\n", output);
    p->g->n_bad++;
    return;
  }
  vk_shape shape = vk_exec_shape(net->exec, v);
  need(p, name,
       golden_compare(p->g, name, vk_exec_data(net->exec, v), vk_shape_n_item(&shape), bound));
}

/* ---- what is compared ---------------------------------------------------------------------- */

static size_t bytes_of(const parity *p)
{
  return sizeof(float) * (size_t)p->params.n_item;
}

/* A block of the device on the host; to be freed. */
static vk_status copy_of(const parity *p, const float *block, float **copy, vk_err *err)
{
  void *view;
  VK_TRY(vk_device_view(&p->device, block, bytes_of(p), &view, err));
  *copy = malloc(bytes_of(p) + 1);
  if (*copy)
    memcpy(*copy, view, bytes_of(p));
  vk_device_unview(&p->device, view);
  return *copy ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for parameters");
}

/* Gradients, and how far the optimiser's first step takes each parameter. */
static vk_status compare_step(parity *p, vk_err *err)
{
  const vk_optim_config config = {.beta1 = .9,
                                  .beta2 = .95,
                                  .eps = 1e-8,
                                  .max_norm = 1,
                                  .isa = p->target.isa,
                                  .device = &p->device};
  char name[128];
  vk_optim *optim = NULL;
  vk_optim_span *span = NULL;
  double norm;
  float *grad = NULL, *before = NULL, *after = NULL;
  vk_status st = copy_of(p, p->grad, &grad, err);
  for (int i = 0; i < p->params.n_param && st == VK_OK; i++) {
    const vk_param *a = &p->params.param[i];
    snprintf(name, sizeof name, "grad.%s", a->name);
    if (!golden_compare(p->g, name, grad + a->offset, a->n, grad_bound))
      st = vk_fail(err, VK_E_NOTFOUND, "the golden files have no %s", name);
  }
  free(grad);
  VK_TRY(st);
  VK_TRY(copy_of(p, p->params.data, &before, err));
  st = vk_net_optim_new(&optim, &span, &p->model, &p->params, p->grad, &config, .05, err);
  if (st == VK_OK)
    st = vk_optim_step(optim, p->team, 3e-4, 1, &norm, err);
  if (st == VK_OK)
    st = copy_of(p, p->params.data, &after, err);
  if (st == VK_OK) {
    need(p, "grad_norm", golden_compare(p->g, "grad_norm", &(float){(float)norm}, 1, grad_bound));
    for (int i = 0; i < p->params.n_param; i++) {
      const vk_param *a = &p->params.param[i];
      double sum = 0;
      for (int64_t k = a->offset; k < a->offset + a->n; k++) {
        double d = (double)after[k] - before[k];
        sum += d * d;
      }
      snprintf(name, sizeof name, "step_norm.%s", a->name);
      need(p, name, golden_compare(p->g, name, &(float){(float)sqrt(sum)}, 1, step_bound));
    }
    st = vk_device_write(&p->device, p->params.data, before, bytes_of(p), err);
  }
  vk_optim_free(optim);
  free(span);
  free(before);
  free(after);
  return st;
}

static vk_status compare_training(parity *p, vk_err *err)
{
  vk_net net;
  VK_TRY(new_net(p, &net,
                 (vk_model_args){.with_value = true, .with_loss = true, .value_weight = .5}, true,
                 err));
  vk_status st = set_text(p, &net, err);
  if (st == VK_OK)
    st = set_samples(p, &net, err);
  if (st == VK_OK) {
    set_targets(p, &net);
    p->g->n_bad += !check_words(p, &net);
    VK_ASSERT(vk_exec_run(net.exec, NULL) == VK_OK);
    compare(p, &net, "logits", "logits");
    compare(p, &net, "value", "value");
    compare(p, &net, "loss_action", "loss_ce");
    compare(p, &net, "loss_value", "loss_value");
    compare(p, &net, "loss", "loss");
    st = compare_step(p, err);
  }
  vk_net_free(&net);
  return st;
}

static vk_status compare_soft_loss(parity *p, vk_err *err)
{
  vk_net net;
  VK_TRY(new_net(p, &net, (vk_model_args){.with_loss = true, .sigma = 1.5, .last_weight = 2}, false,
                 err));
  vk_status st = set_text(p, &net, err);
  if (st == VK_OK)
    st = set_samples(p, &net, err);
  if (st == VK_OK) {
    set_targets(p, &net);
    VK_ASSERT(vk_exec_run(net.exec, NULL) == VK_OK);
    compare(p, &net, "loss_action", "loss_soft");
  }
  vk_net_free(&net);
  return st;
}

/* Text first, then the observation: as a policy does it. */
static vk_status compare_inference(parity *p, vk_err *err)
{
  vk_net text, act = {0};
  VK_TRY(new_net(p, &text, (vk_model_args){.part = VK_PART_TEXT}, false, err));
  vk_status st = new_net(p, &act, (vk_model_args){.part = VK_PART_ACT}, false, err);
  if (st == VK_OK)
    st = set_text(p, &text, err);
  if (st == VK_OK) {
    VK_ASSERT(vk_exec_run(text.exec, NULL) == VK_OK);
    st = set_samples(p, &act, err);
  }
  if (st == VK_OK) {
    int64_t n_word = 0, d = vk_params_find(&p->params, "pos")->shape.dim[1];
    for (int i = 0; i < p->n_text; i++)
      n_word += p->n_word[i];
    vk_exec_set_size(act.exec, VK_NANO_TEXT, p->n_text);
    vk_exec_set_size(act.exec, VK_NANO_WORD, n_word);
    memcpy(vk_net_data(&act, "text"), vk_net_data(&text, "text"),
           (size_t)(n_word * d) * sizeof(float));
    memcpy(vk_net_data(&act, "text_vec"), vk_net_data(&text, "text_vec"),
           (size_t)(p->n_text * d) * sizeof(float));
    VK_ASSERT(vk_exec_run(act.exec, NULL) == VK_OK);
    printf("from text encoded before:\n");
    compare(p, &act, "logits", "logits");
  }
  vk_net_free(&act);
  vk_net_free(&text);
  return st;
}

/* ---- layers -------------------------------------------------------------------------------- */

/* [n, side, side, channel] to [n, channel, side, side]. NULL without memory. */
static float *planes_first(const float *x, const vk_shape *s, int64_t n)
{
  int64_t n_px = s->dim[1] * s->dim[2], c = s->dim[3];
  float *y = malloc((size_t)(n * n_px * c) * sizeof *y);
  for (int64_t i = 0; y && i < n; i++)
    for (int64_t px = 0; px < n_px; px++)
      for (int64_t k = 0; k < c; k++)
        y[(i * c + k) * n_px + px] = x[(i * n_px + px) * c + k];
  return y;
}

/* An activation of sample 0; of words and tokens that are not there the golden rows say nothing. */
static vk_status compare_layer(parity *p, const vk_net *net, const vk_output *output, vk_err *err)
{
  const char *name = output->name;
  vk_shape shape = vk_exec_shape(net->exec, output->value);
  const float *x = vk_exec_data(net->exec, output->value);
  int32_t row[VK_NANO_POSITIONS];
  int64_t n_row = 1;
  if (strncmp(name, "act.stem", 8) == 0) {
    int64_t n = p->g->n_view;
    float *y = planes_first(x, &shape, n);
    if (!y)
      return vk_fail(err, VK_E_NOMEM, "no memory for %s", name);
    need(p, name,
         golden_compare(p->g, name, y, n * shape.dim[1] * shape.dim[2] * shape.dim[3], bound));
    free(y);
    return VK_OK;
  }
  if (strncmp(name, "act.enc", 7) == 0) {
    const int32_t *seg = vk_net_data(net, "token_seg");
    int absent = p->g->n_view == 1 ? VK_NANO_TOKENS : 0;
    for (n_row = 0; n_row < seg[1]; n_row++)
      row[n_row] = (int32_t)n_row;
    if (p->g->has_proprio[0])
      row[n_row - 1] = VK_NANO_POSITIONS - 1 - absent;
  } else {
    n_row = strcmp(name, "act.text") == 0      ? p->n_word[0]
            : strncmp(name, "act.dec", 7) == 0 ? VK_NANO_STEPS
                                               : 1;
    for (int i = 0; i < n_row; i++)
      row[i] = i;
  }
  need(p, name, golden_compare_rows(p->g, name, x, row, n_row, vk_shape_last(&shape), bound));
  return VK_OK;
}

static vk_status compare_layers(parity *p, vk_err *err)
{
  vk_net net;
  VK_TRY(new_net(p, &net, (vk_model_args){.probe = true}, false, err));
  vk_status st = set_text(p, &net, err);
  if (st == VK_OK)
    st = set_samples(p, &net, err);
  if (st == VK_OK)
    VK_ASSERT(vk_exec_run(net.exec, NULL) == VK_OK);
  const vk_graph *g = &net.plan->graph;
  for (int i = 0; i < g->n_output && st == VK_OK; i++)
    if (strncmp(g->output[i].name, "act.", 4) == 0)
      st = compare_layer(p, &net, &g->output[i], err);
  vk_net_free(&net);
  return st;
}

/* ---- main ---------------------------------------------------------------------------------- */

static vk_status compare_all(parity *p, vk_err *err)
{
  VK_TRY(p->g->is_small ? open_small(p, err) : open_folder(p, err));
  VK_TRY(vk_team_new(&p->team, p->target.n_thread, err));
  VK_TRY(vk_device_open(&p->device, p->device_name, p->team, err));
  p->target.device = p->device.def;
  VK_TRY(vk_params_move(&p->params, &p->device, err));
  find_texts(p);
  VK_TRY(vk_params_block(&p->params, &p->grad, err));
  VK_TRY(compare_training(p, err));
  VK_TRY(compare_soft_loss(p, err));
  VK_TRY(compare_inference(p, err));
  return p->g->is_small ? VK_OK : compare_layers(p, err);
}

static bool read_words(parity *p, int argc, char **argv, const char **path, bool *may_lack)
{
  static const char *skip[PASS_MAX];
  p->target.skip = skip;
  *path = NULL;
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;
    if (argv[i][0] != '-' && !*path) {
      *path = argv[i];
      continue;
    }
    if (strcmp(argv[i], "--bf16") == 0) {
      p->target.is_bf16 = true;
      bound = bf16_bound;
      grad_bound = bf16_grad_bound;
      step_bound = bf16_step_bound;
      continue;
    }
    if (strcmp(argv[i], "--may-lack") == 0) {
      *may_lack = true;
      continue;
    }
    if (!value)
      return false;
    if (strcmp(argv[i], "--isa") == 0) {
      int isa = 0;
      while (isa < VK_ISA_N && strcmp(vk_isa_name((vk_isa)isa), value) != 0)
        isa++;
      if (isa == VK_ISA_N)
        return false;
      p->target.isa = (vk_isa)isa;
    } else if (strcmp(argv[i], "--threads") == 0 && atoi(value) > 0) {
      p->target.n_thread = atoi(value);
    } else if (strcmp(argv[i], "--device") == 0) {
      p->device_name = value;
    } else if (strcmp(argv[i], "--no-pass") == 0 && p->target.n_skip < PASS_MAX) {
      skip[p->target.n_skip++] = value;
    } else {
      return false;
    }
    i++;
  }
  return *path;
}

static void widen_bounds(const vk_device_def *device)
{
  if (device == &vk_device_cpu)
    return;
  bound = fmax(bound, gpu_bound);
  grad_bound = fmax(grad_bound, gpu_bound);
  step_bound = fmax(step_bound, gpu_bound);
}

static void print_summary(const parity *p)
{
  const golden *g = p->g;
  printf(
      "%d tensors on %s%s by %d thread(s): worst relative error %.2e of %s, of a step %.2e of %s; "
      "%d out of bounds\n",
      g->n_compared, vk_target_is_cpu(&p->target) ? vk_isa_name(p->target.isa) : p->device_name,
      p->target.is_bf16 ? " in bf16" : "", p->target.n_thread, g->worst.error,
      g->worst.name ? g->worst.name : "none", g->worst_step.error,
      g->worst_step.name ? g->worst_step.name : "none", g->n_bad);
}

int main(int argc, char **argv)
{
  golden g;
  vk_cpu cpu;
  vk_err err = VK_ERR_INIT;
  const char *path;
  vk_cpu_detect(&cpu);
  parity p = {.g = &g, .device_name = "cpu", .target = {.isa = vk_isa_best(&cpu), .n_thread = 1}};
  bool may_lack = false;
  if (!read_words(&p, argc, argv, &path, &may_lack)) {
    fputs(usage, stdout);
    return 2;
  }
  if (vk_pass_check_skip(p.target.skip, p.target.n_skip, &err) != VK_OK) {
    printf("%s\n", err.text);
    return 2;
  }
  if (p.target.isa > vk_isa_best(&cpu)) {
    printf("this processor has no %s\n", vk_isa_name(p.target.isa));
    return SKIP;
  }
  vk_device_choice device;
  if (vk_device_choose(&device, p.device_name, &err) != VK_OK ||
      vk_device_check(&device, &err) != VK_OK) {
    printf("%s\n", err.text);
    return SKIP;
  }
  widen_bounds(device.def);
  if (!vk_fs_is_dir(path) && !vk_fs_is_file(path)) {
    printf("no golden files at %s\n", path);
    return may_lack ? SKIP : 1;
  }
  vk_status st = golden_read(&g, path, &err);
  if (st == VK_OK)
    st = compare_all(&p, &err);
  if (st != VK_OK)
    printf("%s\n", err.text);
  else
    print_summary(&p);
  int code = st != VK_OK || g.n_bad > 0 || g.n_compared == 0;
  if (p.grad)
    vk_params_block_free(&p.params, p.grad);
  vk_params_free(&p.params);
  vk_device_close(&p.device);
  vk_team_free(p.team);
  golden_free(&g);
  return code;
}
