/* trainer_save.c - checkpoints of a training run, and going on from the last one. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/sys.h"
#include "core/version.h"
#include "rl/trainer_internal.h"

/* Of this run and of what it began with. */
static const char *rows_learned(const vk_trainer *t)
{
  const char *own = t->data.rows;
  const char *before = t->init.path[0] ? t->init.source.rows : own;
  if (strcmp(own, "eval") == 0 || strcmp(before, "eval") == 0)
    return "eval";
  return strcmp(own, "sampled") == 0 && strcmp(before, "sampled") == 0 ? "sampled" : "unknown";
}

vk_status vk_trainer_info(const vk_trainer *t, vk_checkpoint_info *info, vk_err *err)
{
  const vk_trainer_config *c = &t->config;
  *info = (vk_checkpoint_info){.model = t->model,
                               .stats = (vk_norm_stats *)t->data.stats,
                               .n_stats = 1,
                               .view = t->data.view,
                               .n_action_step = VK_CHUNK_STEPS,
                               .greedy = VK_GREEDY_MEDIAN,
                               .step = t->step};
  vk_checkpoint_source *s = &info->source;
  snprintf(s->data_hash, sizeof s->data_hash, "%s", t->data.hash);
  snprintf(s->pack_hash, sizeof s->pack_hash, "%s", c->pack->hash);
  snprintf(s->visuals_hash, sizeof s->visuals_hash, "%s", c->visuals->hash);
  snprintf(s->visuals, sizeof s->visuals, "%s", c->visuals->name);
  snprintf(s->protocol, sizeof s->protocol, "%s", c->train->protocol);
  snprintf(s->rows, sizeof s->rows, "%s", rows_learned(t));
  snprintf(s->init, sizeof s->init, "%s", t->init.source.init);
  snprintf(s->init_hash, sizeof s->init_hash, "%s", t->init.source.init_hash);
  s->init_step = t->init.source.init_step;
  snprintf(s->version, sizeof s->version, "%s", vk_version());
  snprintf(s->commit, sizeof s->commit, "%s", vk_version_commit());
  snprintf(s->precision, sizeof s->precision, "%s",
           vk_trainer_precision(c->train, t->devices.device[0].def, c->isa));
  snprintf(s->run, sizeof s->run, "%s", t->run ? t->run : "");
  return vk_norm_stats_hash(t->data.stats, s->statistics_hash, err);
}

/* What going on depends on besides weights and optimiser. */
static cJSON *trainer_json(const vk_trainer *t)
{
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "method", t->def->name);
  cJSON_AddStringToObject(o, "data_hash", t->data.hash);
  cJSON_AddStringToObject(
      o, "precision",
      vk_trainer_precision(t->config.train, t->devices.device[0].def, t->config.isa));
  cJSON_AddNumberToObject(o, "next_sample", (double)(t->step * t->config.train->batch));
  cJSON_AddNumberToObject(o, "updates", (double)vk_optim_n_step(t->learner.replica[0].optim));
  cJSON_AddBoolToObject(o, "is_judged", t->is_judged);
  if (!isnan(t->best))
    cJSON_AddNumberToObject(o, "best", t->best);
  if (t->def->save)
    t->def->save(t->state, o);
  return o;
}

static cJSON *scheduler_json(const vk_trainer *t)
{
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "schedule", t->config.train->schedule);
  cJSON_AddNumberToObject(o, "lr", t->schedule.lr);
  cJSON_AddNumberToObject(o, "final_fraction", t->schedule.final_fraction);
  cJSON_AddNumberToObject(o, "n_hold", (double)t->schedule.n_hold);
  cJSON_AddNumberToObject(o, "n_warmup", (double)t->schedule.n_warmup);
  cJSON_AddNumberToObject(o, "n_step", (double)t->schedule.n_step);
  cJSON_AddNumberToObject(o, "next_lr", vk_trainer_lr(t));
  return o;
}

bool vk_trainer_is_best(const vk_trainer *t)
{
  return !isnan(t->score) && (isnan(t->best) || t->score > t->best);
}

vk_status vk_trainer_save(vk_trainer *t, vk_err *err)
{
  vk_checkpoint_info info;
  VK_TRY(vk_trainer_info(t, &info, err));
  bool is_best = vk_trainer_is_best(t);
  double best = t->best;
  if (is_best)
    t->best = t->score;
  double start_s = vk_sys_monotonic_s();
  cJSON *config = vk_train_config_json(t->config.train);
  cJSON *trainer = trainer_json(t), *scheduler = scheduler_json(t);
  vk_trace_span span = vk_trace_begin(t->config.trace, "train", "checkpoint");
  vk_status st =
      vk_checkpoint_save(t->config.out, t->step,
                         &(vk_checkpoint_write){.info = &info,
                                                .params = &t->learner.replica[0].params,
                                                .ema = vk_optim_ema(t->learner.replica[0].optim),
                                                .dtype = VK_SAFETENSORS_F32,
                                                .train_config = config,
                                                .optim = t->learner.replica[0].optim,
                                                .scheduler = scheduler,
                                                .trainer = trainer,
                                                .is_best = is_best,
                                                .n_keep = (int)t->config.train->keep},
                         err);
  vk_trace_end(&span);
  cJSON_Delete(config);
  cJSON_Delete(trainer);
  cJSON_Delete(scheduler);
  if (st != VK_OK) {
    t->best = best;
    return st;
  }
  snprintf(t->checkpoint, sizeof t->checkpoint, "%.4000s/checkpoints/%06lld", t->config.out,
           (long long)t->step);
  t->saved_step = t->step;
  /* Also what tells a run that has checkpoints from one that has none yet (cmd_train.c). */
  const vk_train_point point = {"time/checkpoint", vk_sys_monotonic_s() - start_s};
  vk_trainer_put(t, 1, &point);
  return VK_OK;
}

vk_status vk_trainer_fail_save(const vk_trainer *t, vk_status st, const vk_err *why, vk_err *err)
{
  char last[64] = "there is no checkpoint yet";
  if (t->saved_step >= 0)
    snprintf(last, sizeof last, "the last checkpoint is of step %lld", (long long)t->saved_step);
  return vk_fail(
      err, st,
      "step %lld could not be saved: %s; %s: mend that, and go on from there with vlakit "
      "train --resume %s",
      (long long)t->step, why->text, last, t->run ? t->run : "RUN");
}

/* ---- going on ------------------------------------------------------------------------------ */

static vk_status check_saved(const vk_trainer *t, const vk_checkpoint_info *info,
                             const cJSON *trainer, vk_err *err)
{
  const char *method = NULL, *hash = NULL;
  VK_TRY(vk_json_get_str(trainer, "method", &method, info->path, err));
  VK_TRY(vk_json_get_str(trainer, "data_hash", &hash, info->path, err));
  if (strcmp(method, t->def->name) != 0)
    return vk_fail(err, VK_E_MISMATCH, "%s is of method %s, not %s; start a new run", info->path,
                   method, t->def->name);
  if (strcmp(hash, t->data.hash) != 0)
    return vk_fail(err, VK_E_MISMATCH,
                   "%s was trained on other data (%.12s, now %.12s): files were changed or added; "
                   "start a new run with \"init\"",
                   info->path, hash, t->data.hash);
  const char *now = vk_trainer_precision(t->config.train, t->devices.device[0].def, t->config.isa);
  const char *then = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(trainer, "precision"));
  if (then && strcmp(then, now) != 0) /* "auto", on another processor */
    return vk_fail(err, VK_E_MISMATCH,
                   "%s was trained in %s, this machine takes %s, which gives other bits; start a "
                   "new run with \"init\"",
                   info->path, then, now);
  if (info->step > t->n_step)
    return vk_fail(err, VK_E_MISMATCH, "%s is of step %lld, the run has %lld", info->path,
                   (long long)info->step, (long long)t->n_step);
  return VK_OK;
}

/* That what the checkpoint is made of belongs together: files of two would go on, with other bits.
 * Older ones do not say how many updates there were, which follows where each step is one. */
static vk_status check_parts(vk_trainer *t, const vk_checkpoint_info *info, const cJSON *trainer,
                             const cJSON *scheduler, vk_err *err)
{
  bool is_practice = (vk_train_method(t->config.train->method) & VK_TRAIN_PRACTICE) != 0;
  int64_t want = is_practice ? -1 : info->step;
  int64_t have = vk_optim_n_step(t->learner.replica[0].optim);
  if (cJSON_HasObjectItem(trainer, "updates"))
    VK_TRY(vk_json_get_i64(trainer, "updates", &want, info->path, err));
  if (want >= 0 && want != have)
    return vk_fail(err, VK_E_MISMATCH,
                   "%s: its optimiser has made %lld updates, and its training %lld at step %lld: "
                   "the checkpoint is put together from several; take another",
                   info->path, (long long)have, (long long)want, (long long)info->step);
  t->step = info->step; /* for the rate that comes next */
  cJSON *own = scheduler_json(t);
  bool is_same = own && cJSON_Compare(own, scheduler, true);
  char *has = cJSON_PrintUnformatted(scheduler), *wants = cJSON_PrintUnformatted(own);
  vk_status st = VK_OK;
  if (!is_same)
    st = vk_fail(err, VK_E_MISMATCH,
                 "%s: its schedule of learning rates is %s, that of the run %s: the checkpoint is "
                 "of another run; take another, or start a new run with \"init\"",
                 info->path, has ? has : "", wants ? wants : "");
  cJSON_free(has);
  cJSON_free(wants);
  cJSON_Delete(own);
  return st;
}

static vk_status load(vk_trainer *t, const vk_checkpoint_info *info, vk_err *err)
{
  cJSON *trainer = NULL, *scheduler = NULL;
  vk_status st = VK_OK;
  for (int i = 0; i < t->learner.n_replica && st == VK_OK; i++) {
    vk_replica *r = &t->learner.replica[i];
    cJSON_Delete(trainer);
    cJSON_Delete(scheduler);
    st = vk_checkpoint_resume(info, &r->params, r->optim, &trainer, &scheduler, err);
  }
  if (st == VK_OK)
    st = check_saved(t, info, trainer, err);
  if (st == VK_OK)
    st = check_parts(t, info, trainer, scheduler, err);
  cJSON_Delete(scheduler);
  const cJSON *best = cJSON_GetObjectItemCaseSensitive(trainer, "best");
  if (cJSON_IsNumber(best))
    t->best = best->valuedouble;
  t->is_judged = !cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(trainer, "is_judged"));
  if (st == VK_OK && t->def->load)
    st = t->def->load(t->state, t, trainer, err);
  cJSON_Delete(trainer);
  return st;
}

vk_status vk_trainer_resume(vk_trainer *t, vk_err *err)
{
  char last[VK_FS_PATH_MAX];
  vk_checkpoint_info info;
  snprintf(last, sizeof last, "%.4000s/checkpoints/last", t->config.out);
  if (!vk_fs_is_dir(last)) /* it ended before its first checkpoint */
    return VK_OK;
  VK_TRY(vk_checkpoint_open(&info, last, err));
  vk_status st = load(t, &info, err);
  if (st == VK_OK) {
    t->step = t->saved_step = info.step;
    snprintf(t->checkpoint, sizeof t->checkpoint, "%.4000s/checkpoints/%06lld", t->config.out,
             (long long)t->step);
  }
  vk_checkpoint_close(&info);
  return st;
}
