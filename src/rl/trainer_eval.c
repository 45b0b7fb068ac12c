/* trainer_eval.c - a few episodes of the policy that is being trained, by the weights that would be
 * saved. */
#include <math.h>
#include <stdlib.h>

#include "core/stats.h"
#include "rl/evaluate.h"
#include "rl/policy_checkpoint.h"
#include "rl/trainer_internal.h"

typedef struct sums {
  const vk_trainer_config *c;
  int n_episode, n, n_success, n_error;
  vk_err first; /* why an episode could not be scored */
} sums;

static vk_status put_result(void *arg, const vk_eval_result *r, vk_err *err)
{
  sums *s = arg;
  if (!r->is_scored && s->n_error++ == 0)
    s->first = r->error;
  s->n += r->is_scored;
  s->n_success += r->success;
  if (s->c->progress)
    vk_progress_set_note(s->c->progress, "evaluation: %d of %d episode%s, %d succeeded",
                         s->n + s->n_error, s->n_episode, vk_plural(s->n_episode), s->n_success);
  return s->c->put_episode ? s->c->put_episode(s->c->arg, r, err) : VK_OK;
}

vk_status vk_trainer_find_eval_tasks(vk_trainer *t, vk_err *err)
{
  const char *suite = t->config.train->eval_suite;
  if (!suite)
    return VK_OK;
  t->eval_task = calloc(t->config.pack->n_task + 1, sizeof *t->eval_task);
  if (!t->eval_task)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu tasks", t->config.pack->n_task);
  vk_status st = vk_pack_find_tasks(t->config.pack, suite, t->eval_task, &t->n_eval_task, err);
  return st == VK_OK ? st : vk_err_prefix(err, "eval_suite");
}

/* The suite of the first task without statistics, or NULL. */
static const char *find_without_stats(const vk_pack *pack, const vk_norm_stats *stats, int n_task,
                                      const uint32_t *i_task)
{
  for (int i = 0; i < n_task; i++) {
    const vk_norm_stats *found;
    const char *suite = vk_pack_suite_of(pack, &pack->task[i_task[i]]);
    if (vk_norm_stats_find(&found, stats, 1, suite, NULL) != VK_OK)
      return suite;
  }
  return NULL;
}

vk_status vk_trainer_check_stats(const vk_trainer *t, const vk_norm_stats *stats, const char *key,
                                 int n_task, const uint32_t *i_task, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  const vk_pack *pack = t->config.pack;
  const char *suite = find_without_stats(pack, stats, n_task, i_task);
  if (suite)
    return vk_fail(err, VK_E_NOTFOUND,
                   "init %s has statistics of %s alone, and \"%s\" has tasks of %s, in which the "
                   "policy could not act: begin with one of %s or libero130%s",
                   c->init ? c->init : "", stats->key, key, suite, suite,
                   vk_train_method(c->method) & VK_TRAIN_IMITATION ? ", or leave init out" : "");
  suite = find_without_stats(pack, stats, (int)t->n_eval_task, t->eval_task);
  if (suite)
    return vk_fail(err, VK_E_NOTFOUND,
                   "eval_suite %s has tasks of %s, in which the policy could not act: its "
                   "statistics are of %s; take another eval_suite",
                   c->eval_suite, suite, stats->key);
  return VK_OK;
}

/* The same first states of each task in every evaluation, that nothing learns from and that no
 * score is given of: a policy chosen by its success here can be scored fairly on the init rows.
 * *out is to be freed. */
static vk_status list_episodes(const vk_trainer *t, vk_eval_episode **out, int *n, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  const uint32_t *task = t->eval_task ? t->eval_task : t->data.task;
  uint32_t n_task = t->eval_task ? t->n_eval_task : (uint32_t)t->data.n_task;
  *n = 0;
  *out = calloc(n_task * (size_t)c->eval_episodes + 1, sizeof **out);
  if (!*out)
    return vk_fail(err, VK_E_NOMEM, "no memory for %u episodes", n_task);
  for (uint32_t i = 0; i < n_task; i++)
    for (int row = 0; row < c->eval_episodes; row++)
      (*out)[(*n)++] = (vk_eval_episode){task[i], vk_start_row(VK_START_JUDGE, row)};
  return VK_OK;
}

static void put_sums(vk_trainer *t, const sums *s, const vk_eval_stats *stats)
{
  vk_train_eval *e = &t->eval;
  *e = (vk_train_eval){.n = s->n,
                       .n_success = s->n_success,
                       .env_steps_per_s = (double)stats->n_step / stats->wall_s};
  vk_stats_wilson(e->n_success, e->n, VK_STATS_Z95, &e->lo, &e->hi);
  /* eval/ as dashboards know it; eval_sampled/ says from which first states it is, so that it is
     not taken for what vlakit eval scores. A return is the reward of success or 0. */
  const vk_train_point point[] = {{"eval_sampled/success_once", (double)e->n_success / e->n},
                                  {"eval/success_once", (double)e->n_success / e->n},
                                  {"eval/return", t->config.train->reward * e->n_success / e->n},
                                  {"eval_sampled/success_lo", e->lo},
                                  {"eval_sampled/success_hi", e->hi},
                                  {"eval_sampled/n_episode", e->n},
                                  {"time/evaluation", stats->wall_s}};
  t->score = point[0].value;
  vk_trainer_put(t, VK_COUNT(point), point);
  if (t->config.log)
    vk_log_line(
        t->config.log,
        "train: step %lld: success %.1f %% of %d episode%s from sampled first states (95 %% %.1f "
        "to %.1f)",
        (long long)t->step, 100 * t->score, e->n, vk_plural(e->n), 100 * e->lo, 100 * e->hi);
}

static vk_eval_config eval_config(const vk_trainer *t, const vk_protocol *protocol)
{
  const vk_trainer_config *c = &t->config;
  return (vk_eval_config){.pack = c->pack,
                          .cache_dir = c->cache_dir,
                          .protocol = protocol,
                          .seed = protocol->seed,
                          .rows = VK_ROWS_SAMPLED,
                          .visuals = c->visuals,
                          .isa = c->isa,
                          .progress = c->progress,
                          .trace = c->trace};
}

static vk_status evaluate(vk_trainer *t, vk_eval_config *config, double *wall_s, vk_err *err)
{
  vk_eval_stats stats = {0};
  sums s = {.c = &t->config, .n_episode = config->n_episode};
  config->put = put_result;
  config->arg = &s;
  VK_TRY(vk_evaluate(config, &stats, err));
  t->eval_s = stats.wall_s;
  if (s.n > 0)
    put_sums(t, &s, &stats);
  if (s.n_error > 0) {
    vk_err_prefix(&s.first, "%d of %d episode%s could not be scored", s.n_error, config->n_episode,
                  vk_plural(config->n_episode));
    vk_trainer_say_lost(t, VK_LOST_EVALUATION, &s.first);
  }
  return VK_OK;
}

static vk_status put_probe(void *arg, const vk_eval_result *r, vk_err *err)
{
  return r->status == VK_OK ? VK_OK : vk_fail(err, r->status, "%s", r->error.text);
}

/* An episode on each thread, shorter and longer: what its beginning takes, and what a step. */
static vk_status probe(vk_trainer *t, vk_eval_config *config, double *wall_s, vk_err *err)
{
  enum { SHORT = 8, LONG = 40 };
  static const int n_step[] = {SHORT, LONG};
  const vk_protocol *whole = config->protocol;
  int n_all = config->n_episode, n_thread = vk_pool_n_thread(config->pool);
  double took_s[VK_COUNT(n_step)];
  config->n_episode = n_all < n_thread ? n_all : n_thread;
  config->put = put_probe;
  for (size_t i = 0; i < VK_COUNT(n_step); i++) {
    vk_protocol part;
    vk_eval_stats stats;
    VK_TRY(vk_protocol_shortened(&part, whole->name, n_step[i], err));
    config->protocol = &part;
    VK_TRY(vk_evaluate(config, &stats, err));
    took_s[i] = stats.wall_s;
  }
  double step_s = fmax(took_s[1] - took_s[0], 0) / (LONG - SHORT), all_s = 0;
  for (int i = 0; i < n_all; i++) {
    const vk_pack_task *task = &config->pack->task[config->episode[i].i_task];
    int limit = vk_protocol_n_step(whole, vk_pack_suite_of(config->pack, task));
    all_s += fmax(took_s[1] - LONG * step_s, 0) + limit * step_s;
  }
  *wall_s = all_s / config->n_episode;
  return VK_OK;
}

/* Does it with episodes, a pool and the policy as it would be saved. */
static vk_status with_policy(vk_trainer *t,
                             vk_status (*act)(vk_trainer *t, vk_eval_config *config, double *wall_s,
                                              vk_err *err),
                             double *wall_s, vk_err *err)
{
  vk_checkpoint_info info;
  const vk_protocol *protocol;
  vk_pool *pool = NULL;
  vk_policy policy = {0};
  vk_eval_episode *episode = NULL;
  vk_params params = t->learner.replica[0].params;
  params.data = (float *)vk_learner_weights(&t->learner); /* read only */
  VK_TRY(vk_trainer_info(t, &info, err));
  VK_TRY(vk_protocol_find(&protocol, t->config.train->protocol, err));
  VK_TRY(vk_pool_new(&pool, t->config.n_thread, err));
  const vk_policy_args args = {
      .n_env = vk_eval_n_slot(pool), .seed = (uint64_t)t->config.train->seed, .isa = t->config.isa};
  vk_trace_span span = vk_trace_begin(t->config.trace, "train", "evaluation");
  vk_eval_config config = eval_config(t, protocol);
  config.policy = &policy;
  config.pool = pool;
  vk_status st = vk_policy_checkpoint_open(&policy, &info, &params, &args, NULL, NULL, err);
  if (st == VK_OK)
    st = list_episodes(t, &episode, &config.n_episode, err);
  config.episode = episode;
  if (st == VK_OK)
    st = act(t, &config, wall_s, err);
  vk_trace_end(&span);
  free(episode);
  if (policy.def)
    vk_policy_close(&policy);
  vk_pool_free(pool);
  return st;
}

vk_status vk_trainer_evaluate(vk_trainer *t, vk_err *err)
{
  return with_policy(t, evaluate, NULL, err);
}

vk_status vk_trainer_probe_evaluation(vk_trainer *t, double *wall_s, vk_err *err)
{
  return with_policy(t, probe, wall_s, err);
}
