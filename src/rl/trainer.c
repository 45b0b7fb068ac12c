#include "rl/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/opt.h"
#include "core/signal.h"
#include "core/sys.h"
#include "nn/gemm_bf16.h"
#include "rl/trainer_internal.h"

#define VK_TRAIN(name) extern const vk_train_def vk_train_##name;
#include "rl/train_list.h"
#undef VK_TRAIN

const vk_train_def *const vk_train_defs[] = {
#define VK_TRAIN(name) &vk_train_##name,
#include "rl/train_list.h"
#undef VK_TRAIN
    NULL};

enum { POINT_EVERY = 10 }; /* steps that a point of a curve is the mean of */

vk_status vk_train_find(const vk_train_def **out, const char *name, vk_err *err)
{
  const char *names[VK_COUNT(vk_train_defs)] = {NULL};
  for (int i = 0; vk_train_defs[i]; i++) {
    names[i] = vk_train_defs[i]->name;
    if (strcmp(names[i], name) == 0) {
      *out = vk_train_defs[i];
      return VK_OK;
    }
  }
  return vk_opt_fail_name(err, "method", name, names);
}

/* ---- opening ------------------------------------------------------------------------------- */

const char *vk_trainer_precision(const vk_train_config *train, const vk_device_def *device,
                                 vk_isa isa)
{
  vk_cpu cpu;
  if (strcmp(train->precision, "auto") != 0)
    return train->precision;
  if (vk_train_method(train->method) & VK_TRAIN_PRACTICE)
    return "f32"; /* as what was drawn with: see train_rl.c */
  if (device->has_bf16)
    return "bf16";
  vk_cpu_detect(&cpu);
  return vk_isa_has_fast_bf16(&cpu, isa) ? "bf16" : "f32";
}

static vk_status open_learner(vk_trainer *t, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  bool is_bf16 =
      strcmp(vk_trainer_precision(c, t->devices.device[0].def, t->config.isa), "bf16") == 0;
  vk_learner_config config = {.model = &t->model,
                              .weights = t->model.weights[0] ? t->model.weights : NULL,
                              .seed = (uint64_t)c->seed,
                              .args = {.n_batch = c->micro_batch,
                                       .n_view = c->views,
                                       .with_loss = true,
                                       .sigma = c->label_sigma,
                                       .last_weight = c->gripper_weight,
                                       .dropout = c->dropout},
                              .n_micro = (int)(c->batch / c->micro_batch),
                              .optim = {.beta1 = c->beta1,
                                        .beta2 = c->beta2,
                                        .eps = 1e-8,
                                        .max_norm = c->clip_norm,
                                        .ema_decay = c->ema_decay,
                                        .isa = t->config.isa},
                              .weight_decay = c->weight_decay,
                              .isa = t->config.isa,
                              .is_bf16 = is_bf16,
                              .recompute = c->recompute,
                              .has_check = c->validate_every > 0,
                              .devices = &t->devices,
                              .trace = t->config.trace};
  if (t->def->configure)
    VK_TRY(t->def->configure(&t->state, t, &config, err));
  VK_TRY(vk_trainer_check_network(t, &config, err));
  return vk_learner_new(&t->learner, &config, err);
}

/* One that is typed is meant as it stands; that of a file is cut to half of a run that is shorter,
 * as a run's own record says one, too. */
static vk_status check_warmup(const vk_trainer *t, int64_t n_step, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  const char *where = vk_train_config_said_where(c, "warmup");
  if (!where || c->warmup == 0 || c->warmup < n_step)
    return VK_OK;
  if (strcmp(where, "--set") == 0)
    return vk_fail(err, VK_E_USAGE,
                   "--set: warmup is %lld of %lld steps: lr would never reach its value; take more "
                   "steps, or a shorter warm-up",
                   (long long)c->warmup, (long long)n_step);
  if (t->config.log)
    vk_log_line(t->config.log, "train: %s: warmup is %lld of %lld steps, and is cut to %lld", where,
                (long long)c->warmup, (long long)n_step, (long long)(n_step / 2));
  return VK_OK;
}

/* While the value head alone learns there is nothing to warm up: what is held then begins after it,
 * with moments of zero, whose first steps would all go the full way. */
static vk_status make_schedule(vk_trainer *t, vk_err *err)
{
  static const char *const name[] = {"constant", "linear", "cosine"};
  const vk_train_config *c = t->config.train;
  const int64_t n_hold = vk_train_method(c->method) & VK_TRAIN_ppo ? c->critic_warmup : 0;
  const int64_t n_step = t->n_step - n_hold;
  VK_TRY(check_warmup(t, n_step, err));
  t->schedule = (vk_lr_schedule){.lr = c->lr,
                                 .final_fraction = c->final_lr,
                                 .n_hold = n_hold,
                                 .n_warmup = c->warmup < n_step ? c->warmup : n_step / 2,
                                 .n_step = t->n_step};
  for (int i = 0; i < (int)VK_COUNT(name); i++)
    if (strcmp(c->schedule, name[i]) == 0)
      t->schedule.kind = (vk_lr_kind)i;
  return vk_lr_schedule_check(&t->schedule, err);
}

double vk_trainer_lr(const vk_trainer *t)
{
  return vk_optim_lr(&t->schedule, t->step);
}

/* All devices learn from as many micro-batches of a step. Practice has what its episodes gave. */
static vk_status check_shares(const vk_trainer *t, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  int n = t->devices.n;
  int64_t n_micro = c->batch / c->micro_batch, fits = c->micro_batch;
  if ((vk_train_method(c->method) & VK_TRAIN_PRACTICE) || n_micro % n == 0)
    return VK_OK;
  if (c->batch % n != 0)
    return vk_fail(
        err, VK_E_USAGE,
        "batch %lld is no multiple of the %d devices that are to share it; take one that "
        "is, or fewer devices",
        (long long)c->batch, n);
  while (c->batch / n % fits != 0)
    fits--;
  return vk_fail(err, VK_E_USAGE,
                 "batch %lld in micro-batches of %lld makes %lld, which %d devices cannot share "
                 "evenly; set micro_batch to %lld",
                 (long long)c->batch, (long long)c->micro_batch, (long long)n_micro, n,
                 (long long)fits);
}

/* A network that is asked for beside init must be that of init, which t->model is. */
static vk_status check_model(const vk_trainer *t, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  const char *where = vk_train_config_said_where(c, "model");
  vk_model asked;
  if (!where)
    return VK_OK;
  VK_TRY(vk_model_open(&asked, c->model, err));
  ((vk_nano_config *)asked.config)->n_view = c->views;
  cJSON *want = asked.def->write(asked.config), *have = t->model.def->write(t->model.config);
  vk_status st = want && have ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for two networks");
  for (const cJSON *a = want ? want->child : NULL; a && st == VK_OK; a = a->next) {
    const cJSON *b = cJSON_GetObjectItemCaseSensitive(have, a->string);
    char *asks = cJSON_PrintUnformatted(a), *has = cJSON_PrintUnformatted(b);
    if (!cJSON_Compare(a, b, true))
      st = vk_fail(err, VK_E_USAGE,
                   "%s: model %s is not the network of init %s (%s is %s, and not %s), which stays "
                   "what it is: leave \"model\" out, or take a recipe or policy of the other kind",
                   where, c->model, c->init, a->string, asks ? asks : "", has ? has : "none");
    cJSON_free(asks);
    cJSON_free(has);
  }
  cJSON_Delete(want);
  cJSON_Delete(have);
  return st;
}

/* The model, of `init` where there is one: weights come from nowhere else. */
static vk_status open_model(vk_trainer *t, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  if (c->init) {
    char own[VK_FS_PATH_MAX];
    snprintf(own, sizeof own, "%.4000s/checkpoints/last", t->config.out);
    /* A run that goes on has all of it in its own checkpoint: init may have gone since. */
    bool goes_on = vk_fs_is_dir(own);
    VK_TRY(vk_checkpoint_open(&t->init, goes_on ? own : c->init, err));
    if (!goes_on)
      VK_TRY(vk_checkpoint_begin_from(&t->init, err));
    t->model = t->init.model;
    if (t->init.n_stats != 1)
      return vk_fail(err, VK_E_UNSUPPORTED,
                     "init %s has %d sets of statistics; one is needed to train on", c->init,
                     t->init.n_stats);
  } else {
    VK_TRY(vk_model_open(&t->model, c->model, err));
    if (t->model.weights[0]) /* they come with statistics, and rows that were learned from */
      return vk_fail(err, VK_E_USAGE,
                     "model=%s holds trained weights, and model is a name or a configuration file: "
                     "to begin with its weights, say init=%s",
                     c->model, c->model);
  }
  ((vk_nano_config *)t->model.config)->n_view = c->views;
  return c->init ? check_model(t, err) : VK_OK;
}

/* How pictures are made: as the policy is used to, but for the protocol's turn. */
static vk_status choose_view(vk_trainer *t, vk_err *err)
{
  const vk_protocol *protocol;
  VK_TRY(vk_protocol_find(&protocol, t->config.train->protocol, err));
  t->data.view = t->init.path[0] ? t->init.view : vk_view_defaults;
  t->data.view.turn = protocol->image_turn;
  return VK_OK;
}

static vk_status open_all(vk_trainer *t, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  VK_TRY(vk_train_find(&t->def, c->method, err));
  VK_TRY(vk_trainer_find_eval_tasks(t, err));
  VK_TRY(open_model(t, err));
  VK_TRY(choose_view(t, err));
  VK_TRY(vk_team_new(&t->team, t->config.n_thread, err));
  VK_TRY(
      vk_device_group_open(&t->devices, t->config.device ? t->config.device : "cpu", t->team, err));
  VK_TRY(check_shares(t, err));
  VK_TRY(open_learner(t, err));
  t->n_step = c->steps;
  VK_TRY(t->def->open(&t->state, t, err));
  VK_TRY(vk_trainer_check_memory(t, err));
  return make_schedule(t, err);
}

vk_status vk_trainer_new(vk_trainer *t, const vk_trainer_config *config, vk_err *err)
{
  *t = (vk_trainer){.config = *config,
                    .loss = NAN,
                    .val_loss = NAN,
                    .score = NAN,
                    .best = NAN,
                    .saved_step = -1,
                    .is_judged = true};
  vk_status st = open_all(t, err);
  if (st != VK_OK)
    vk_trainer_free(t);
  return st;
}

void vk_trainer_free(vk_trainer *t)
{
  vk_event_file_close(t->events);
  if (t->def && t->state)
    t->def->close(t->state);
  free(t->eval_task);
  vk_learner_free(&t->learner);
  vk_checkpoint_close(&t->init);
  vk_device_group_close(&t->devices);
  vk_team_free(t->team);
  *t = (vk_trainer){0};
}

/* ---- curves -------------------------------------------------------------------------------- */

/* What is lost does not end a run that took hours. On a full disk points are, every few steps. */
void vk_trainer_say_lost(vk_trainer *t, vk_train_lost kind, const vk_err *why)
{
  char last[64] = "";
  bool is_said = (kind == VK_LOST_EVENT || kind == VK_LOST_POINT) && t->n_lost[kind] > 0;
  t->n_lost[kind]++;
  if (kind == VK_LOST_CHECKPOINT && t->saved_step < 0)
    snprintf(last, sizeof last, ", without a checkpoint so far");
  else if (kind == VK_LOST_CHECKPOINT)
    snprintf(last, sizeof last, ", the last checkpoint is of step %lld", (long long)t->saved_step);
  if (t->config.warn && !is_said)
    vk_log_line(t->config.warn, "train: step %lld: %s; training goes on%s", (long long)t->step,
                why->text, last);
}

void vk_trainer_put(vk_trainer *t, int n, const vk_train_point *point)
{
  vk_err err = VK_ERR_INIT;
  vk_status st = VK_OK;
  for (int i = 0; i < n && st == VK_OK && t->events; i++)
    st = vk_event_file_scalar(t->events, point[i].tag, t->step, point[i].value, &err);
  if (st != VK_OK)
    vk_trainer_say_lost(t, VK_LOST_EVENT, &err);
  if (t->config.put && (st = t->config.put(t->config.arg, t->step, n, point, &err)) != VK_OK)
    vk_trainer_say_lost(t, VK_LOST_POINT, &err);
}

/* The mean of the steps since the last point. */
static void put_steps(vk_trainer *t)
{
  if (t->sum.n_step == 0)
    return;
  double n = (double)t->sum.n_step, wall_s = vk_sys_monotonic_s() - t->sum.start_s;
  const vk_train_point point[] = {
      {"train/loss", t->sum.loss / n},
      {"train/actor/grad_norm", t->sum.grad_norm / n},
      {"train/actor/lr", vk_optim_lr(&t->schedule, t->step - 1)},
      {"train/samples_per_s", (double)t->sum.n_sample / wall_s},
      {"time/step", wall_s / n},
      {"time/wait", t->sum.wait_s / n}, /* the last: left out where nothing measures it */
  };
  t->loss = point[0].value;
  vk_trainer_put(t, (int)VK_COUNT(point) - isnan(t->sum.wait_s), point);
  vk_trainer_say_end(t, (wall_s - t->sum.aside_s) / n);
  if (t->config.progress) {
    char val[24] = "";
    if (!isnan(t->val_loss))
      snprintf(val, sizeof val, ", val %.3f", t->val_loss);
    if (t->note[0])
      vk_progress_set_note(t->config.progress, "%s", t->note);
    else
      vk_progress_set_note(t->config.progress, "loss %.3f%s, %.1f samples/s, waits %.0f %%",
                           t->loss, val, point[3].value, 100 * t->sum.wait_s / wall_s);
  }
  memset(&t->sum, 0, sizeof t->sum);
  t->sum.start_s = vk_sys_monotonic_s();
}

/* ---- the loop ------------------------------------------------------------------------------ */

/* A loss or gradient that is not finite: what it came from is kept. */
static vk_status fail_diverged(vk_trainer *t, vk_err *err)
{
  char path[VK_FS_PATH_MAX], why[256];
  vk_err other = VK_ERR_INIT;
  snprintf(why, sizeof why, "%s", err ? err->text : "not finite");
  snprintf(path, sizeof path, "%.4000s/bad_batch.safetensors", t->config.out);
  bool is_saved = t->def->save_batch(t->state, path, &other) == VK_OK;
  return vk_fail(err, VK_E_DIVERGED,
                 "step %lld: %s; %s%s%s; the weights before are %s: take a smaller lr, or look at "
                 "the batch",
                 (long long)t->step, why,
                 is_saved ? "the micro-batch that it came from is in " : "its batch is lost (",
                 is_saved ? path : other.text, is_saved ? "" : ")",
                 t->checkpoint[0] ? t->checkpoint : "in no checkpoint yet");
}

static void tell_notes(const vk_trainer *t)
{
  char text[VK_DEVICE_NOTE];
  for (int i = 0; i < t->devices.n && t->config.warn; i++)
    while (vk_device_take_note(&t->devices.device[i], text))
      vk_log_line(t->config.warn, "train: %s", text);
}

static vk_status run_step(vk_trainer *t, vk_err *err)
{
  vk_train_step step = {0};
  vk_trace_span span = vk_trace_begin(t->config.trace, "train", "step");
  vk_trace_arg(&span, "step", t->step);
  vk_status st = t->def->step(t->state, t, &step, err);
  vk_trace_end(&span);
  if (st == VK_E_DIVERGED)
    return fail_diverged(t, err);
  VK_TRY(st);
  tell_notes(t);
  t->step++;
  t->score = NAN;
  t->is_judged = false;
  t->sum.n_step++;
  t->sum.n_sample += step.n_sample;
  t->n_sample += step.n_sample;
  t->n_replaced += step.n_replaced;
  t->n_idle += step.is_idle;
  if (step.n_replaced > 0 && t->config.log)
    vk_log_line(t->config.log,
                "train: step %lld: %d episode%s that the simulator could not finish w%s run again",
                (long long)t->step, step.n_replaced, vk_plural(step.n_replaced),
                step.n_replaced == 1 ? "as" : "ere");
  t->sum.loss += step.loss;
  t->sum.grad_norm += step.grad_norm;
  t->sum.wait_s += step.wait_s;
  t->sum.aside_s += step.aside_s;
  snprintf(t->note, sizeof t->note, "%s", step.note);
  if (step.practice.n > 0)
    t->practice = step.practice;
  if (step.n_point > 0)
    vk_trainer_put(t, step.n_point, step.point);
  if (t->step % POINT_EVERY == 0 || t->step == t->n_step || t->def->is_slow)
    put_steps(t);
  if (t->config.progress)
    vk_progress_add(t->config.progress, 1);
  return VK_OK;
}

static vk_status validate(vk_trainer *t, vk_err *err)
{
  int64_t n = 0;
  double loss = NAN, start_s = vk_sys_monotonic_s();
  vk_trace_span span = vk_trace_begin(t->config.trace, "train", "validation");
  vk_status st = t->def->validate(t->state, t, &loss, &n, err);
  vk_trace_end(&span);
  if (st != VK_OK || n == 0)
    return st;
  double took_s = t->validation_s = vk_sys_monotonic_s() - start_s;
  const vk_train_point point[] = {{"val/loss", loss}, {"time/validation", took_s}};
  t->val_loss = loss;
  if (t->config.train->eval_every == 0)
    t->score = -loss;
  vk_trainer_put(t, VK_COUNT(point), point);
  return VK_OK;
}

static bool is_due(const vk_trainer *t, int64_t every)
{
  return every > 0 && (t->step % every == 0 || t->step == t->n_step);
}

/* How good the weights are, for the curves and for the link to the best checkpoint. They are none
 * the worse for what cannot be told: that is said, and training goes on. Errors: VK_E_INTERRUPTED.
 */
static vk_status judge(vk_trainer *t, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  const struct {
    bool is_due;
    vk_train_lost kind;
    const char *what;
    vk_status (*run)(vk_trainer *t, vk_err *err);
  } part[] = {
      {t->def->validate && is_due(t, c->validate_every), VK_LOST_VALIDATION, "no validation",
       validate},
      {is_due(t, c->eval_every), VK_LOST_EVALUATION, "no evaluation", vk_trainer_evaluate},
  };
  double start_s = vk_sys_monotonic_s();
  for (int i = 0; i < (int)VK_COUNT(part); i++) {
    vk_err why = VK_ERR_INIT;
    vk_status st = part[i].is_due ? part[i].run(t, &why) : VK_OK;
    if (st == VK_E_INTERRUPTED)
      return vk_fail(err, st, "%s", why.text);
    if (st != VK_OK) {
      vk_err_prefix(&why, "%s", part[i].what);
      vk_trainer_say_lost(t, part[i].kind, &why);
    }
  }
  t->sum.start_s += vk_sys_monotonic_s() - start_s;
  t->is_judged = true;
  return VK_OK;
}

/* A checkpoint that cannot be written does not end the run, unless it is the last. */
static vk_status save(vk_trainer *t, vk_err *err)
{
  vk_err why = VK_ERR_INIT;
  put_steps(t);
  vk_status st = vk_trainer_save(t, &why);
  if (st != VK_OK && t->step == t->n_step)
    return vk_trainer_fail_save(t, st, &why, err);
  if (st != VK_OK)
    vk_trainer_say_lost(t, VK_LOST_CHECKPOINT, &why);
  return VK_OK;
}

/* What was computed is saved; what was interrupted after it is done by the run that goes on. */
static vk_status stop(vk_trainer *t, vk_err *err)
{
  vk_err why = VK_ERR_INIT;
  put_steps(t);
  vk_status st = t->step != t->saved_step ? vk_trainer_save(t, &why) : VK_OK;
  return st == VK_OK ? vk_signal_check(err) : vk_trainer_fail_save(t, st, &why, err);
}

vk_status vk_trainer_run(vk_trainer *t, const char *run, vk_err *err)
{
  t->run = run;
  t->first_step = t->step;
  VK_TRY(vk_event_file_open(&t->events, t->config.out, t->step > 0 ? t->step : -1, err));
  t->sum.start_s = vk_sys_monotonic_s();
  while (t->step < t->n_step || !t->is_judged) {
    if (vk_interrupted())
      return stop(t, err);
    vk_status st = t->is_judged ? run_step(t, err) : VK_OK;
    if (st == VK_OK)
      st = judge(t, err);
    if (st == VK_E_INTERRUPTED) /* in the middle of a long one: it is done anew */
      return stop(t, err);
    VK_TRY(st);
    if (is_due(t, t->config.train->save_every) || vk_trainer_is_best(t))
      VK_TRY(save(t, err));
  }
  return VK_OK;
}

const char *vk_trainer_describe(const vk_trainer *t, char *text, size_t n)
{
  if (t->def->describe)
    t->def->describe(t->state, t, text, n);
  else
    snprintf(text, n, "%lld sample%s of %d demonstration%s of %d task%s; held out: %lld of %d",
             (long long)t->data.n_sample, vk_plural(t->data.n_sample), t->data.n_demo,
             vk_plural(t->data.n_demo), t->data.n_task, vk_plural(t->data.n_task),
             (long long)t->data.n_validation_sample, t->data.n_validation_demo);
  return text;
}
