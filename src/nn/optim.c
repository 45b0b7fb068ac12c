#include "nn/optim.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/safetensors.h"
#include "nn/optim_internal.h"

/* ---- learning rate ---- */

static bool is_share(double x) /* also false for NaN */
{
  return x >= 0 && x <= 1;
}

vk_status vk_lr_schedule_check(const vk_lr_schedule *s, vk_err *err)
{
  if (!(s->lr >= 0 && s->lr < INFINITY))
    return vk_fail(err, VK_E_RANGE, "learning rate is %g, expected a number from 0", s->lr);
  if (s->n_warmup < 0 || s->n_hold < 0)
    return vk_fail(err, VK_E_RANGE, "warm-up is %lld steps after %lld, expected numbers from 0",
                   (long long)s->n_warmup, (long long)s->n_hold);
  if (s->kind == VK_LR_CONSTANT)
    return VK_OK;
  if (!is_share(s->final_fraction))
    return vk_fail(err, VK_E_RANGE, "final fraction of the learning rate is %g, expected 0 to 1",
                   s->final_fraction);
  if (s->n_step - s->n_hold <= s->n_warmup)
    return vk_fail(err, VK_E_RANGE,
                   "%lld steps are planned, expected more than the %lld of the warm-up",
                   (long long)s->n_step, (long long)(s->n_hold + s->n_warmup));
  return VK_OK;
}

double vk_optim_lr(const vk_lr_schedule *s, int64_t i_step)
{
  static const double pi = 3.14159265358979323846;
  if (i_step < s->n_hold)
    return s->lr;
  i_step -= s->n_hold;
  if (i_step < s->n_warmup)
    return s->lr * (double)(i_step + 1) / (double)(s->n_warmup + 1);
  if (s->kind == VK_LR_CONSTANT)
    return s->lr;
  double t = (double)(i_step - s->n_warmup) / (double)(s->n_step - s->n_hold - s->n_warmup);
  t = t < 1 ? t : 1;
  double left = s->kind == VK_LR_LINEAR ? 1 - t : (1 + cos(pi * t)) / 2;
  return s->lr * (s->final_fraction + (1 - s->final_fraction) * left);
}

/* ---- the block and its chunks ---- */

struct vk_optim {
  vk_arena arena;
  vk_optim_config config;
  int n_group, n_span;
  vk_optim_group *group;
  vk_optim_span *span;
  int64_t n_item; /* of the block, up to the last span's end */
  int64_t n_step; /* done */
  vk_optim_pass pass;
  vk_optim_chunk *chunk; /* those of pass, and what else is const there */
  vk_optim_factor *factor;
  vk_optim_kernel *norm, *update;
  vk_device device; /* whose memory m, v and ema are */
  void *on_device;  /* what the device keeps between steps */
};

static vk_status check_config(const vk_optim_config *c, vk_err *err)
{
  if (!(c->beta1 >= 0 && c->beta1 < 1))
    return vk_fail(err, VK_E_RANGE, "beta1 is %g, expected 0 to less than 1", c->beta1);
  if (!(c->beta2 >= 0 && c->beta2 < 1))
    return vk_fail(err, VK_E_RANGE, "beta2 is %g, expected 0 to less than 1", c->beta2);
  if (!(c->eps >= 1e-30 && c->eps < INFINITY)) /* a normal number as f32: 0 / 0 must not be */
    return vk_fail(err, VK_E_RANGE, "eps is %g, expected a number from 1e-30", c->eps);
  if (!(c->max_norm >= 0 && c->max_norm < INFINITY))
    return vk_fail(err, VK_E_RANGE, "the gradients' greatest norm is %g, expected a number from 0",
                   c->max_norm);
  if (!(c->ema_decay >= 0 && c->ema_decay < 1))
    return vk_fail(err, VK_E_RANGE, "the average's decay is %g, expected 0 to less than 1",
                   c->ema_decay);
  return VK_OK;
}

static vk_status check_groups(const vk_optim_group *group, int n, vk_err *err)
{
  for (int i = 0; i < n; i++) {
    if (!(group[i].lr_scale >= 0 && group[i].lr_scale < INFINITY))
      return vk_fail(err, VK_E_RANGE,
                     "the learning rate of parameter group %d is scaled by %g, expected a number "
                     "from 0",
                     i, group[i].lr_scale);
    if (!(group[i].weight_decay >= 0 && group[i].weight_decay < INFINITY))
      return vk_fail(err, VK_E_RANGE,
                     "weight decay of parameter group %d is %g, expected a number from 0", i,
                     group[i].weight_decay);
  }
  return VK_OK;
}

/* Spans that follow each other in one group become one run, and runs are cut into chunks. With
 * chunk NULL they are only counted. */
static int64_t make_chunks(const vk_optim_span *span, int n_span, const vk_optim_group *group,
                           vk_optim_chunk *chunk)
{
  int64_t n_chunk = 0, n_before = 0;
  for (int i = 0, next; i < n_span; i = next) {
    int64_t begin = span[i].offset, end = begin + span[i].n;
    for (next = i + 1;
         next < n_span && span[next].i_group == span[i].i_group && span[next].offset == end; next++)
      end += span[next].n;
    if (group[span[i].i_group].is_frozen)
      continue;
    for (; begin < end; begin += VK_OPTIM_CHUNK) {
      int64_t n = end - begin < VK_OPTIM_CHUNK ? end - begin : VK_OPTIM_CHUNK;
      if (chunk)
        chunk[n_chunk] = (vk_optim_chunk){begin, n_before, (int32_t)n, span[i].i_group};
      n_before += n;
      n_chunk++;
    }
  }
  return n_chunk;
}

/* The first chunk from item n_before on. */
static int64_t find_chunk(const vk_optim_pass *p, int64_t n_before)
{
  int64_t lo = 0, hi = p->n_chunk;
  while (lo < hi) {
    int64_t mid = lo + (hi - lo) / 2;
    if (p->chunk[mid].n_before < n_before)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

void vk_optim_part(const vk_optim_pass *p, int i_part, int n_part, int64_t *begin, int64_t *end)
{
  const vk_optim_chunk *last = p->n_chunk > 0 ? &p->chunk[p->n_chunk - 1] : NULL;
  double share = last ? (double)(last->n_before + last->n) / n_part : 0;
  *begin = i_part == 0 ? 0 : find_chunk(p, (int64_t)(share * i_part));
  *end = i_part == n_part - 1 ? p->n_chunk : find_chunk(p, (int64_t)(share * (i_part + 1)));
}

static void set_kernels(vk_optim *o)
{
  o->norm = vk_optim_run_norm_scalar;
  o->update = vk_optim_run_update_scalar;
#if defined(__x86_64__)
  if (o->config.isa >= VK_ISA_AVX2) {
    o->norm = vk_optim_run_norm_avx2;
    o->update = vk_optim_run_update_avx2;
  }
  if (o->config.isa >= VK_ISA_AVX512) {
    o->norm = vk_optim_run_norm_avx512;
    o->update = vk_optim_run_update_avx512;
  }
#endif
}

/* Bytes that n items take in an arena when each array begins a line. */
static size_t line(size_t n, size_t size)
{
  return (n * size / VK_ARENA_ALIGN + 1) * VK_ARENA_ALIGN;
}

static vk_status allocate(vk_optim *o, int64_t n_chunk, bool has_ema, vk_err *err)
{
  size_t n_float = (size_t)o->n_item, n_c = (size_t)n_chunk, n_g = (size_t)o->n_group;
  size_t n_s = (size_t)o->n_span;
  size_t size = line(n_c, sizeof *o->chunk) + line(n_c, sizeof(double)) +
                line(n_g, sizeof *o->factor) + line(n_g, sizeof *o->group) +
                line(n_s, sizeof *o->span);
  VK_TRY(vk_arena_init(&o->arena, "the optimiser's state", size, err));
  vk_optim_pass *p = &o->pass;
  o->chunk = VK_PUSH_LINE(&o->arena, n_c, vk_optim_chunk, err);
  p->square = VK_PUSH_LINE(&o->arena, n_c, double, err);
  o->factor = VK_PUSH_LINE(&o->arena, n_g, vk_optim_factor, err);
  o->group = VK_PUSH_LINE(&o->arena, n_g, vk_optim_group, err);
  o->span = VK_PUSH_LINE(&o->arena, n_s, vk_optim_span, err);
  VK_ASSERT(o->span); /* its size was counted */
  float **const block[] = {&p->m, &p->v, &p->ema};
  for (int i = 0; i < (has_ema ? 3 : 2); i++) {
    void *data;
    VK_TRY(vk_device_alloc(&o->device, &data, n_float * sizeof(float), err));
    *block[i] = data;
  }
  return VK_OK;
}

vk_status vk_optim_new(vk_optim **out, const vk_optim_config *config, const vk_optim_group *group,
                       int n_group, const vk_optim_span *span, int n_span, float *param,
                       const float *grad, vk_err *err)
{
  *out = NULL;
  VK_TRY(check_config(config, err));
  VK_TRY(check_groups(group, n_group, err));
  int64_t n_item = 0;
  for (int i = 0; i < n_span; i++) {
    VK_ASSERT(span[i].offset >= n_item && span[i].n >= 0);
    VK_ASSERT(span[i].i_group >= 0 && span[i].i_group < n_group);
    n_item = span[i].offset + span[i].n;
  }
  vk_optim *o = calloc(1, sizeof *o);
  if (!o)
    return vk_fail(err, VK_E_NOMEM, "no memory for an optimiser");
  *o = (vk_optim){.config = *config, .n_group = n_group, .n_span = n_span, .n_item = n_item};
  if (config->device)
    o->device = *config->device;
  int64_t n_chunk = make_chunks(span, n_span, group, NULL);
  vk_status st = allocate(o, n_chunk, config->ema_decay > 0, err);
  if (st != VK_OK) {
    vk_optim_free(o);
    return st;
  }
  memcpy(o->group, group, sizeof *group * (size_t)n_group);
  memcpy(o->span, span, sizeof *span * (size_t)n_span);
  make_chunks(span, n_span, group, o->chunk);
  set_kernels(o);
  vk_optim_pass *p = &o->pass;
  p->n_chunk = n_chunk;
  p->chunk = o->chunk;
  p->factor = o->factor;
  p->param = param;
  p->grad = grad;
  p->max_norm = config->max_norm;
  p->share1 = (float)(1 - config->beta1);
  p->beta2 = (float)config->beta2;
  p->share2 = (float)(1 - config->beta2);
  p->eps = (float)config->eps;
  if ((st = vk_optim_reset(o, err)) != VK_OK) {
    vk_optim_free(o);
    return st;
  }
  *out = o;
  return VK_OK;
}

void vk_optim_free(vk_optim *o)
{
  if (!o)
    return;
  if (o->on_device)
    o->device.def->optim_close(&o->device, o->on_device);
  vk_device_free(&o->device, o->pass.m);
  vk_device_free(&o->device, o->pass.v);
  vk_device_free(&o->device, o->pass.ema);
  if (o->arena.base)
    vk_arena_fini(&o->arena);
  free(o);
}

vk_status vk_optim_reset(vk_optim *o, vk_err *err)
{
  vk_optim_pass *p = &o->pass;
  const size_t bytes = sizeof *p->m * (size_t)o->n_item;
  o->n_step = 0;
  VK_TRY(vk_device_zero(&o->device, p->m, bytes, err));
  VK_TRY(vk_device_zero(&o->device, p->v, bytes, err));
  if (!p->ema)
    return VK_OK;
  void *param;
  VK_TRY(vk_device_view(&o->device, p->param, bytes, &param, err));
  vk_status st = vk_device_write(&o->device, p->ema, param, bytes, err);
  vk_device_unview(&o->device, param);
  return st;
}

/* ---- a step ---- */

void vk_optim_set_lr_scale(vk_optim *o, int i_group, double lr_scale)
{
  VK_ASSERT(i_group >= 0 && i_group < o->n_group && lr_scale >= 0 && lr_scale < INFINITY);
  o->group[i_group].lr_scale = lr_scale;
}

void vk_optim_begin(vk_optim *o, double lr, double grad_scale)
{
  VK_ASSERT(lr >= 0 && lr < INFINITY && grad_scale > 0 && grad_scale < INFINITY);
  double t = (double)(o->n_step + 1);
  double rest1 = 1 - pow(o->config.beta1, t), rest2 = 1 - pow(o->config.beta2, t);
  for (int i = 0; i < o->n_group; i++) {
    double group_lr = lr * o->group[i].lr_scale;
    o->factor[i] = (vk_optim_factor){.keep = (float)(1 - group_lr * o->group[i].weight_decay),
                                     .step = (float)(group_lr / rest1)};
  }
  o->pass.root = (float)(1 / sqrt(rest2));
  o->pass.grad_scale = grad_scale;
  o->pass.ema_share = (float)(1 - fmin(o->config.ema_decay, t / (t + 9)));
}

void vk_optim_norm_part(vk_optim *o, int i_part, int n_part)
{
  o->norm(&o->pass, i_part, n_part);
}

void vk_optim_update_part(vk_optim *o, int i_part, int n_part)
{
  o->update(&o->pass, i_part, n_part);
}

static vk_status end_step(vk_optim *o, double norm, double *grad_norm, vk_err *err)
{
  if (grad_norm)
    *grad_norm = norm;
  if (vk_optim_grad_factor(&o->pass, norm) == 0)
    return vk_fail(err, VK_E_DIVERGED,
                   "the gradients' norm is %g after %lld steps: the parameters were left as they "
                   "are; a lower learning rate or a longer warm-up may help",
                   norm, (long long)o->n_step);
  o->n_step++;
  return VK_OK;
}

vk_status vk_optim_end(vk_optim *o, double *grad_norm, vk_err *err)
{
  return end_step(o, vk_optim_norm(&o->pass), grad_norm, err);
}

typedef struct step_job {
  vk_optim *o;
  vk_team *team;
} step_job;

static void run_parts(void *arg, int i_thread)
{
  const step_job *job = arg;
  int n = vk_team_n_thread(job->team);
  vk_optim_norm_part(job->o, i_thread, n);
  vk_team_barrier(job->team);
  vk_optim_update_part(job->o, i_thread, n);
}

vk_status vk_optim_step(vk_optim *o, vk_team *team, double lr, double grad_scale, double *grad_norm,
                        vk_err *err)
{
  vk_optim_begin(o, lr, grad_scale);
  if (o->device.def && o->device.def->optim_run) {
    double norm;
    VK_TRY(o->device.def->optim_run(&o->device, &o->pass, &o->on_device, &norm, err));
    return end_step(o, norm, grad_norm, err);
  }
  if (team) {
    vk_team_run(team, run_parts, &(step_job){o, team});
  } else {
    vk_optim_norm_part(o, 0, 1);
    vk_optim_update_part(o, 0, 1);
  }
  return vk_optim_end(o, grad_norm, err);
}

int64_t vk_optim_n_step(const vk_optim *o)
{
  return o->n_step;
}

const float *vk_optim_ema(const vk_optim *o)
{
  return o->pass.ema;
}

/* ---- the state as a file ---- */

static const char state_kind[] = "vlakit optimiser";

/* The tensors of a state file, one after another in the order of the file. */
typedef struct state_list {
  char *names; /* NUL-terminated, one behind the other */
  vk_safetensors_want *want;
  int64_t n;
} state_list;

static void free_list(state_list *list)
{
  free(list->names);
  free(list->want);
}

enum { N_BLOCK = 3 };

/* The blocks of the state, and how many there are. */
static int blocks_of(const vk_optim *o, float *block[N_BLOCK])
{
  float *const all[N_BLOCK] = {o->pass.m, o->pass.v, o->pass.ema};
  memcpy(block, all, sizeof all);
  return o->pass.ema ? N_BLOCK : N_BLOCK - 1;
}

/* block: as the host sees them. */
static vk_status make_list(state_list *list, const vk_optim *o, float *const *block, vk_err *err)
{
  static const char *const kind[N_BLOCK] = {"m", "v", "ema"};
  const int n_block = o->pass.ema ? N_BLOCK : N_BLOCK - 1;
  size_t n_char = 1;
  for (int i = 0; i < o->n_span; i++)
    n_char += 3 * (strlen("ema.") + strlen(o->span[i].name) + 1);
  *list = (state_list){.names = malloc(n_char),
                       .want = calloc((size_t)(3 * o->n_span + 1), sizeof *list->want)};
  if (!list->names || !list->want) {
    free_list(list);
    return vk_fail(err, VK_E_NOMEM, "no memory for the names of %d parameters", o->n_span);
  }
  char *name = list->names;
  for (int k = 0; k < n_block; k++)
    for (int i = 0; i < o->n_span; i++) {
      const vk_optim_span *span = &o->span[i];
      if (o->group[span->i_group].is_frozen)
        continue;
      list->want[list->n++] = (vk_safetensors_want){
          .name = name, .n_dim = 1, .shape = {span->n}, .dst = block[k] + span->offset};
      name += snprintf(name, n_char - (size_t)(name - list->names), "%s.%s", kind[k], span->name);
      name++;
    }
  return VK_OK;
}

/* What must be equal for a run to go on with the same bits, as text. Whether there is an average
 * shows in the tensors. */
static void print_config(const vk_optim_config *c, char config[128], char ema[32])
{
  snprintf(config, 128, "beta1 %.17g, beta2 %.17g, eps %.17g, max_norm %.17g", c->beta1, c->beta2,
           c->eps, c->max_norm);
  snprintf(ema, 32, "%.17g", c->ema_decay);
}

static void unview_blocks(const vk_optim *o, float *const *view)
{
  for (int i = 0; i < N_BLOCK; i++)
    vk_device_unview(&o->device, view[i]);
}

/* view: zeroed. To be given back whatever this returns. */
static vk_status view_blocks(const vk_optim *o, float **view, vk_err *err)
{
  float *block[N_BLOCK];
  const int n = blocks_of(o, block);
  for (int i = 0; i < n; i++) {
    void *one;
    VK_TRY(vk_device_view(&o->device, block[i], sizeof(float) * (size_t)o->n_item, &one, err));
    view[i] = one;
  }
  return VK_OK;
}

static vk_status write_blocks(const vk_optim *o, float *const *view, vk_err *err)
{
  float *block[N_BLOCK];
  const int n = blocks_of(o, block);
  for (int i = 0; i < n; i++)
    VK_TRY(vk_device_write(&o->device, block[i], view[i], sizeof(float) * (size_t)o->n_item, err));
  return VK_OK;
}

static vk_status save(const vk_optim *o, float *const *block, const char *path, vk_err *err)
{
  char step[32], config[128], ema[32];
  state_list list;
  snprintf(step, sizeof step, "%lld", (long long)o->n_step);
  print_config(&o->config, config, ema);
  const vk_safetensors_pair pair[] = {
      {"kind", state_kind}, {"step", step}, {"config", config}, {"ema_decay", ema}};
  VK_TRY(make_list(&list, o, block, err));
  vk_safetensors_entry *entry = calloc((size_t)list.n + 1, sizeof *entry);
  vk_status st = VK_OK;
  if (!entry)
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory to write it", path);
  for (int64_t i = 0; i < list.n && entry; i++)
    entry[i] = (vk_safetensors_entry){.name = list.want[i].name,
                                      .dtype = VK_SAFETENSORS_F32,
                                      .n_dim = 1,
                                      .shape = {list.want[i].shape[0]},
                                      .data = list.want[i].dst};
  if (st == VK_OK)
    st = vk_safetensors_write(path, entry, list.n, pair, VK_COUNT(pair), err);
  free(entry);
  free_list(&list);
  return st;
}

vk_status vk_optim_save(const vk_optim *o, const char *path, vk_err *err)
{
  float *view[N_BLOCK] = {0};
  vk_status st = view_blocks(o, view, err);
  if (st == VK_OK)
    st = save(o, view, path, err);
  unview_blocks(o, view);
  return st;
}

static vk_status read_step(const vk_safetensors *s, int64_t *n_step, vk_err *err)
{
  const char *kind = vk_safetensors_meta(s, "kind"), *step = vk_safetensors_meta(s, "step");
  if (!kind || strcmp(kind, state_kind) != 0 || !step)
    return vk_fail(err, VK_E_FORMAT, "%s: not the state of an optimiser", s->path);
  char *end;
  errno = 0;
  long long n = strtoll(step, &end, 10);
  if (*end || end == step || errno || n < 0)
    return vk_fail(err, VK_E_FORMAT, "%s: step is \"%.40s\", expected a whole number", s->path,
                   step);
  for (int64_t i = 0; i < s->n_tensor; i++) /* a conversion would not give the same bits */
    if (s->tensor[i].dtype != VK_SAFETENSORS_F32)
      return vk_fail(err, VK_E_FORMAT, "%s: tensor %.100s is %s, expected F32", s->path,
                     s->tensor[i].name, vk_safetensors_dtype_name(s->tensor[i].dtype));
  *n_step = n;
  return VK_OK;
}

static vk_status check_same(const vk_safetensors *s, const vk_optim *o, vk_err *err)
{
  char config[128], ema[32];
  const char *have = vk_safetensors_meta(s, "config"), *had = vk_safetensors_meta(s, "ema_decay");
  print_config(&o->config, config, ema);
  if (have && strcmp(have, config) != 0)
    return vk_fail(err, VK_E_MISMATCH, "%s was saved with %.160s; expected %s", s->path, have,
                   config);
  if (had && strcmp(had, "0") != 0 && o->config.ema_decay > 0 && strcmp(had, ema) != 0)
    return vk_fail(err, VK_E_MISMATCH, "%s was saved with ema_decay %.40s; expected %s", s->path,
                   had, ema);
  return VK_OK;
}

static vk_status load(vk_optim *o, float *const *block, const char *path, vk_err *err)
{
  vk_safetensors s;
  state_list list;
  int64_t n_step = 0;
  VK_TRY(vk_safetensors_open(&s, path, err));
  vk_status st = read_step(&s, &n_step, err);
  if (st == VK_OK)
    st = check_same(&s, o, err);
  if (st == VK_OK && (st = make_list(&list, o, block, err)) == VK_OK) {
    st = vk_safetensors_load(&s, list.want, list.n, err);
    free_list(&list);
  }
  if (st == VK_OK)
    st = write_blocks(o, block, err);
  if (st == VK_OK)
    o->n_step = n_step;
  vk_safetensors_close(&s);
  return st;
}

vk_status vk_optim_load(vk_optim *o, const char *path, vk_err *err)
{
  float *view[N_BLOCK] = {0};
  vk_status st = view_blocks(o, view, err);
  if (st == VK_OK)
    st = load(o, view, path, err);
  unview_blocks(o, view);
  return st;
}
