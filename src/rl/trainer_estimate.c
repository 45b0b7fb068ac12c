/* trainer_estimate.c - how long a training run will take: measured before it begins, and said on
 * the way. */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "core/signal.h"
#include "core/sys.h"
#include "rl/trainer_internal.h"

/* Times that something is done every so many steps, and after the last one, from now on. */
static int64_t n_due(const vk_trainer *t, int64_t every)
{
  if (every <= 0 || t->step >= t->n_step)
    return 0;
  return t->n_step / every - t->step / every + (t->n_step % every != 0);
}

/* One validation: pictures that are drawn for the first time are counted apart. */
static vk_status probe_validation(vk_trainer *t, double *draw_s, vk_err *err)
{
  double took_s[2], loss;
  int64_t n = 0, n_all = t->data.n_validation_sample;
  for (int i = 0; i < 2; i++) {
    double start_s = vk_sys_monotonic_s();
    n = 2 * t->config.train->micro_batch;
    VK_TRY(t->def->validate(t->state, t, &loss, &n, err));
    took_s[i] = vk_sys_monotonic_s() - start_s;
  }
  t->validation_s = n > 0 ? took_s[1] * (double)n_all / (double)n : 0;
  *draw_s = n > 0 ? fmax(took_s[0] - took_s[1], 0) * (double)n_all / (double)n : 0;
  return VK_OK;
}

/* Adds validations and evaluations, measured where they have not been yet. */
static vk_status add_judging(vk_trainer *t, vk_train_estimate *e, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  double draw_s = 0;
  bool has_validation = t->def->validate && t->data.n_validation_sample > 0;
  e->n_validation = has_validation ? n_due(t, c->validate_every) : 0;
  if (e->n_validation > 0 && t->validation_s == 0)
    VK_TRY(probe_validation(t, &draw_s, err));
  e->validation_s = e->n_validation > 0 ? draw_s + (double)e->n_validation * t->validation_s : 0;
  e->n_eval = n_due(t, c->eval_every);
  if (e->n_eval > 0 && t->eval_s == 0 && t->eval_most_s == 0)
    VK_TRY(vk_trainer_probe_evaluation(t, &t->eval_most_s, err));
  e->eval_s = (double)e->n_eval * (t->eval_s > 0 ? t->eval_s : t->eval_most_s);
  e->wall_s += e->validation_s + e->eval_s;
  return VK_OK;
}

/* Steps of one micro-batch, which take what those of a batch do: N_PROBE after a first one, fewer
 * of a large network. */
static vk_status probe_steps(vk_trainer *t, vk_train_estimate *out, vk_err *err)
{
  enum { N_PROBE = 3, ENOUGH_S = 5 };
  int n_micro = t->learner.config.n_micro, n = 0;
  double wait_s = 0, start_s = 0;
  t->learner.config.n_micro = 1;
  vk_status st = VK_OK;
  for (int i = -1; i < N_PROBE && st == VK_OK; i++) {
    vk_train_step step = {0};
    if (i == 0)
      start_s = vk_sys_monotonic_s();
    if (i > 0 && vk_sys_monotonic_s() - start_s > ENOUGH_S)
      break;
    st = vk_signal_check(err);
    if (st == VK_OK)
      st = t->def->step(t->state, t, &step, err);
    if (i >= 0) {
      wait_s += step.wait_s;
      n++;
    }
  }
  t->learner.config.n_micro = n_micro;
  VK_TRY(st);
  double part_s = (vk_sys_monotonic_s() - start_s - wait_s) / n;
  double n_part = (double)(t->n_step - t->step) * n_micro;
  double n_drawn = (double)t->data.n_sample / (double)t->config.train->micro_batch;
  out->step_s = part_s * n_micro;
  out->wall_s = part_s * n_part + wait_s / n * (n_drawn < n_part ? n_drawn : n_part);
  return VK_OK;
}

vk_status vk_trainer_estimate(vk_trainer *t, vk_train_estimate *out, vk_err *err)
{
  *out = (vk_train_estimate){.bytes = vk_learner_bytes(&t->learner) + t->data.bytes +
                                      vk_sys_resident_bytes()};
  vk_status st = VK_OK;
  t->is_probe = true;
  if (!t->def->is_slow)
    st = probe_steps(t, out, err);
  if (st == VK_OK && t->def->estimate)
    st = t->def->estimate(t->state, t, out, err);
  t->is_probe = false;
  VK_TRY(st);
  return add_judging(t, out, err);
}

/* ---- on the way ---------------------------------------------------------------------------- */

/* What else is to be done than steps; what cannot be measured is left out. */
static vk_train_estimate rest_of(vk_trainer *t, double step_s)
{
  vk_train_estimate e = {.wall_s = (double)(t->n_step - t->step) * step_s};
  vk_err lost = VK_ERR_INIT;
  if (!t->def->is_slow && t->def->estimate && t->def->estimate(t->state, t, &e, &lost) != VK_OK)
    e.wall_s = (double)(t->n_step - t->step) * step_s;
  if (add_judging(t, &e, &lost) != VK_OK)
    e.n_eval = e.n_validation = 0;
  return e;
}

/* "2026-05-01 18:40", by the clock on the wall, so many seconds from now. */
static void format_end(double left_s, char *out, size_t n)
{
  time_t end = time(NULL) + (time_t)left_s;
  struct tm tm;
  out[0] = '\0';
  if (localtime_r(&end, &tm))
    strftime(out, n, "%Y-%m-%d %H:%M", &tm);
}

/* ", with 12 s of validation and at most 3 min of evaluations", where there are any. */
static void format_judging(const vk_trainer *t, const vk_train_estimate *e, char *out, size_t n)
{
  char eval[32], validation[32];
  out[0] = '\0';
  if (e->n_eval + e->n_validation == 0)
    return;
  vk_progress_format_time(e->eval_s, eval, sizeof eval);
  vk_progress_format_time(e->validation_s, validation, sizeof validation);
  snprintf(out, n, ", with %s of validation and %s%s of evaluations", validation,
           t->eval_s > 0 || e->n_eval == 0 ? "" : "at most ", eval);
}

void vk_trainer_say_start(vk_trainer *t)
{
  char clock[32], judged[128], took[32];
  vk_train_estimate e;
  vk_err lost = VK_ERR_INIT;
  vk_progress *progress = t->config.progress;
  if (!t->config.log || t->step == t->n_step)
    return;
  t->config.progress = NULL; /* nothing of the run has begun */
  vk_status st = vk_trainer_estimate(t, &e, &lost);
  t->config.progress = progress;
  if (st != VK_OK) /* the first step says what is wrong */
    return;
  vk_progress_format_time(e.wall_s, took, sizeof took);
  format_end(e.wall_s, clock, sizeof clock);
  format_judging(t, &e, judged, sizeof judged);
  vk_log_line(t->config.log, "train: expected to take %sabout %s, until %s, at %.2f s a step%s",
              t->def->is_slow ? "at most " : "", took, clock, e.step_s, judged);
}

void vk_trainer_say_end(vk_trainer *t, double step_s)
{
  char clock[32], judged[128];
  int n_want = 1 + (t->eval_s > 0);
  if (t->n_said_end >= n_want || !t->config.log || t->step == t->n_step)
    return;
  t->n_said_end = n_want;
  const vk_train_estimate e = rest_of(t, step_s);
  format_end(e.wall_s, clock, sizeof clock);
  format_judging(t, &e, judged, sizeof judged);
  vk_log_line(
      t->config.log,
      "train: step %lld: the end is expected at %s, at %.2f s a step%s; checkpoints come on "
      "top",
      (long long)t->step, clock, step_s, judged);
}
