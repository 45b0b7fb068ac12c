#include "rl/rollout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sys.h"

enum {
  STEPS = VK_NANO_STEPS,
  TRIES = 3 /* of an episode's draws, then of a group's first states */
};

/* ---- memory -------------------------------------------------------------------------------- */

uint64_t vk_rollout_bytes(int n_group, int group, int n_chunk, int n_view)
{
  uint64_t n = (uint64_t)n_group * (uint64_t)group * (uint64_t)n_chunk;
  uint64_t decision = (uint64_t)n_view * VK_VIEW_BYTES + VK_DECISION_BINS * 8 + 2 * 8 * 4;
  return n * (sizeof(vk_rollout_episode) + decision);
}

vk_status vk_rollout_new(vk_rollout *r, int n_group, int group, int n_chunk, int n_view,
                         vk_err *err)
{
  *r = (vk_rollout){0};
  if (n_group < 1 || group < 1 || n_chunk < 1 || n_view < 1 || n_view > VK_VIEW_N)
    return vk_fail(err, VK_E_RANGE, "a rollout of %d groups of %d, %d decisions of %d pictures",
                   n_group, group, n_chunk, n_view);
  size_t n_traj = (size_t)n_group * (size_t)group, n = n_traj * (size_t)n_chunk;
  *r = (vk_rollout){.n_group = n_group,
                    .group = group,
                    .n_traj = (int)n_traj,
                    .n_episode = (int)n_traj,
                    .n_chunk = n_chunk,
                    .n_view = n_view};
  r->episode = calloc(n, sizeof *r->episode);
  r->picture = calloc(n, (size_t)n_view * VK_VIEW_BYTES); /* taken as it is written */
  r->proprio = calloc(n, VK_VIEW_PROPRIO * sizeof *r->proprio);
  r->bin = calloc(n, VK_DECISION_BINS * sizeof *r->bin);
  r->log_prob = calloc(n, VK_DECISION_BINS * sizeof *r->log_prob);
  r->value = calloc(n, VK_NANO_STEPS * sizeof *r->value);
  if (r->episode && r->picture && r->proprio && r->bin && r->log_prob && r->value)
    return VK_OK;
  vk_rollout_free(r);
  return vk_fail(err, VK_E_NOMEM, "no memory for %zu episodes: they take %.1f GB", n_traj,
                 (double)vk_rollout_bytes(n_group, group, n_chunk, n_view) / 1e9);
}

void vk_rollout_free(vk_rollout *r)
{
  free(r->episode);
  free(r->picture);
  free(r->proprio);
  free(r->bin);
  free(r->log_prob);
  free(r->value);
  *r = (vk_rollout){0};
}

int vk_rollout_n_chunk(const vk_pack *pack, const vk_protocol *protocol, int n_task,
                       const uint32_t *i_task)
{
  int most = 1;
  for (int i = 0; i < n_task; i++) {
    const char *suite = vk_pack_suite_of(pack, &pack->task[i_task[i]]);
    int n = (vk_protocol_n_step(protocol, suite) + STEPS - 1) / STEPS;
    most = n > most ? n : most;
  }
  return most;
}

/* ---- running ------------------------------------------------------------------------------- */

/* Episodes that run together: at most one a trajectory. */
typedef struct pass {
  vk_rollout *r;
  const vk_rollout_config *c;
  int n;
  int *current;             /* [n_traj] its episode */
  int *n_of;                /* [n_traj] episodes that it had */
  bool *is_due;             /* [n_traj] its episode is still to be run, or to be run again */
  int *which;               /* [n_traj] episode by place in the lists below */
  vk_eval_episode *episode; /* [n_traj] */
  int *repeat, *most;       /* [n_traj] */
  int *in_slot;             /* [n_slot] place of the episode that a slot runs */
  int n_ended, n_success;   /* for the progress line */
  vk_watchdog *dog;
} pass;

static vk_rollout_episode *in_slot(const pass *p, int i_slot)
{
  return &p->r->episode[p->which[p->in_slot[i_slot]]];
}

static vk_status on_begin(void *arg, int i_slot, const vk_eval_episode *episode, const vk_env *env,
                          vk_err *err)
{
  pass *p = arg;
  const vk_pack *pack = p->c->eval.pack;
  p->in_slot[i_slot] = (int)(episode - p->episode);
  vk_rollout_episode *one = in_slot(p, i_slot);
  one->instruction = vk_pack_text(pack, pack->task[episode->i_task].language);
  one->n_decision = 0;
  one->success = false;
  return VK_OK;
}

static vk_status on_step(void *arg, int i_slot, const vk_env *env, const vk_step *step, vk_err *err)
{
  pass *p = arg;
  const vk_eval_watch *w = p->c->eval.watch;
  in_slot(p, i_slot)->success = step->success;
  VK_TRY(vk_rollout_check_stable(env, err));
  return w && w->after_step ? w->after_step(w->arg, i_slot, env, step, err) : VK_OK;
}

static vk_status on_decision(void *arg, const vk_decision *d, vk_err *err)
{
  pass *p = arg;
  vk_rollout *r = p->r;
  vk_rollout_episode *one = in_slot(p, d->i_env);
  if (one->success || d->i_step == p->most[p->in_slot[d->i_env]]) { /* nobody executes it */
    one->value_after = d->value[0];
    return VK_OK;
  }
  VK_ASSERT(d->i_step == STEPS * one->n_decision && one->first + one->n_decision < r->n_chunk);
  int64_t at = (int64_t)one->i_traj * r->n_chunk + one->first + one->n_decision++;
  for (int v = 0; v < r->n_view; v++)
    memcpy(r->picture + (at * r->n_view + v) * VK_VIEW_BYTES, d->picture[v], VK_VIEW_BYTES);
  if (r->has_proprio)
    memcpy(r->proprio + at * VK_VIEW_PROPRIO, d->proprio, VK_VIEW_PROPRIO * sizeof *r->proprio);
  memcpy(r->bin + at * VK_DECISION_BINS, d->bin, VK_DECISION_BINS * sizeof *r->bin);
  memcpy(r->log_prob + at * VK_DECISION_BINS, d->log_prob, VK_DECISION_BINS * sizeof *r->log_prob);
  memcpy(r->value + at * STEPS, d->value, STEPS * sizeof *r->value);
  return VK_OK;
}

/* What the simulator cannot do is replaced; all else is wrong for every episode. */
static vk_status on_result(void *arg, const vk_eval_result *result, vk_err *err)
{
  pass *p = arg;
  vk_rollout_episode *one = &p->r->episode[p->which[result->i_episode]];
  one->success = result->success;
  one->n_step = result->steps;
  p->n_ended++;
  p->n_success += result->success;
  if (p->c->eval.progress && !p->c->next)
    vk_progress_set_note(p->c->eval.progress, "%d of %d episode%s, %d succeeded", p->n_ended,
                         p->r->n_traj, vk_plural(p->r->n_traj), p->n_success);
  else if (p->c->eval.progress)
    vk_progress_set_note(p->c->eval.progress, "%d episode%s of %d environment%s, %d succeeded",
                         p->n_ended, vk_plural(p->n_ended), p->r->n_traj, vk_plural(p->r->n_traj),
                         p->n_success);
  p->is_due[one->i_traj] =
      result->status == VK_E_SIM || (result->status == VK_OK && result->steps == 0);
  if (result->status != VK_OK && result->status != VK_E_SIM)
    return vk_fail(err, result->status, "%s", result->error.text);
  return VK_OK;
}

static int limit_of(const vk_eval_config *c, uint32_t i_task)
{
  return vk_protocol_n_step(c->protocol, vk_pack_suite_of(c->pack, &c->pack->task[i_task]));
}

/* Episodes still to be run, those of a task side by side. */
static void list_episodes(pass *p)
{
  const vk_rollout *r = p->r;
  p->n = 0;
  for (uint32_t task = 0; task < p->c->eval.pack->n_task; task++)
    for (int b = 0; b < r->n_traj; b++) {
      const vk_rollout_episode *one = &r->episode[p->current[b]];
      if (!p->is_due[b] || one->i_task != task)
        continue;
      int limit = limit_of(&p->c->eval, task), left = (r->n_chunk - one->first) * STEPS;
      p->which[p->n] = p->current[b];
      p->episode[p->n] = (vk_eval_episode){one->i_task, one->row};
      p->most[p->n] = left < limit ? left : limit;
      p->repeat[p->n++] = one->repeat;
    }
}

static vk_status run_pass(pass *p, const vk_policy *policy, vk_err *err)
{
  const vk_eval_watch watch = {.arg = p, .begin = on_begin, .after_step = on_step};
  vk_eval_config eval = p->c->eval;
  vk_eval_stats stats;
  eval.policy = policy;
  eval.n_episode = p->n;
  eval.episode = p->episode;
  eval.repeat = p->repeat;
  eval.n_step_most = p->most;
  eval.asks_after = p->c->values_after;
  eval.put = on_result;
  eval.arg = p;
  eval.watch = &watch;
  eval.dog = p->dog;
  vk_status st = vk_evaluate(&eval, &stats, err);
  p->r->n_step += stats.n_step;
  return st;
}

/* Failed episodes get other draws, or after some tries their group another first state. */
static vk_status replace_failed(pass *p, int i_try, vk_err *err)
{
  vk_rollout *r = p->r;
  for (int g = 0; g < r->n_group; g++) {
    bool is_any = false;
    for (int b = g * r->group; b < (g + 1) * r->group; b++)
      if (p->is_due[b]) {
        is_any = true;
        r->n_replaced++;
        r->episode[p->current[b]].repeat += r->n_traj * (r->n_chunk + 1); /* as nobody else */
      }
    if (!is_any || i_try % TRIES != TRIES - 1)
      continue;
    const vk_rollout_episode *first = &r->episode[p->current[g * r->group]];
    if (p->c->row_stride == 0 || i_try + 1 == TRIES * TRIES)
      return vk_fail(err, VK_E_SIM,
                     "the simulator cannot finish episodes of task %u from row %d, after %d tries",
                     first->i_task, first->row, i_try + 1);
    for (int b = g * r->group; b < (g + 1) * r->group; b++) {
      p->is_due[b] = true;
      r->episode[p->current[b]].row += p->c->row_stride;
    }
  }
  return VK_OK;
}

/* The next episode of every environment that has decisions left; false when there is none. */
static bool begin_next(pass *p)
{
  vk_rollout *r = p->r;
  bool is_any = false;
  for (int b = 0; b < r->n_traj; b++) {
    vk_rollout_episode *one = &r->episode[p->current[b]];
    int first = one->first + one->n_decision;
    one->is_cut =
        !one->success && first == r->n_chunk && one->n_step < limit_of(&p->c->eval, one->i_task);
    if (first == r->n_chunk)
      continue;
    int i = ++p->n_of[b];
    const vk_eval_episode start = p->c->next(p->c->arg, b, i);
    p->current[b] = r->n_episode++;
    p->is_due[b] = is_any = true;
    r->episode[p->current[b]] = (vk_rollout_episode){.i_traj = b,
                                                     .first = first,
                                                     .i_task = start.i_task,
                                                     .row = start.row,
                                                     .repeat = i * r->n_traj + b};
  }
  return is_any;
}

static vk_status run_all(pass *p, const vk_policy *policy, vk_err *err)
{
  do
    for (int i_try = 0;; i_try++) {
      list_episodes(p);
      if (p->n == 0)
        break;
      VK_TRY(run_pass(p, policy, err));
      VK_TRY(replace_failed(p, i_try, err));
    }
  while (p->c->next && begin_next(p));
  return VK_OK;
}

static void say_stuck(void *arg, const char *text)
{
  vk_log_line(arg, "rollout: %s", text);
}

vk_status vk_rollout_dog_new(vk_watchdog **out, const vk_pool *pool, double quiet_s, vk_log *warn,
                             vk_err *err)
{
  *out = NULL;
  if (quiet_s <= 0 || !warn)
    return VK_OK;
  return vk_watchdog_new(out, vk_eval_n_slot(pool), quiet_s, say_stuck, warn, err);
}

vk_status vk_rollout_check_stable(const vk_env *env, vk_err *err)
{
  if (vk_env_n_unstable(env) == 0)
    return VK_OK;
  return vk_fail(err, VK_E_SIM, "MuJoCo gave up a state and began from its own");
}

vk_status vk_rollout_check(const vk_protocol *protocol, int64_t n_action_step, vk_err *err)
{
  if (protocol->n_replan < STEPS || n_action_step != STEPS)
    return vk_fail(err, VK_E_USAGE,
                   "protocol %s executes %d of %lld actions of a chunk; training on rollouts needs "
                   "all %d, as protocol oft gives them",
                   protocol->name, protocol->n_replan, (long long)n_action_step, STEPS);
  return VK_OK;
}

vk_status vk_rollout_check_limit(const vk_pack *pack, const char *protocol, int64_t n_step,
                                 int n_task, const uint32_t *i_task, vk_err *err)
{
  const vk_protocol *p;
  int longest = 0;
  VK_TRY(vk_protocol_find(&p, protocol, err));
  for (int i = 0; i < n_task; i++) {
    int n = vk_protocol_n_step(p, vk_pack_suite_of(pack, &pack->task[i_task[i]]));
    longest = n > longest ? n : longest;
  }
  if (n_step <= longest)
    return VK_OK;
  return vk_fail(
      err, VK_E_USAGE,
      "episode_steps is %lld, and protocol %s ends episodes of these tasks after %d: take "
      "at most %d, or 0 for the protocol's own limit",
      (long long)n_step, p->name, longest, longest);
}

/* Groups before group g that begin as it does. */
static int n_alike(const vk_eval_episode *start, int g)
{
  int n = 0;
  for (int k = 0; k < g; k++)
    n += start[k].i_task == start[g].i_task && start[k].row == start[g].row;
  return n;
}

/* Groups that begin alike draw differently, too. */
static void begin_groups(pass *p, const vk_eval_episode *start)
{
  vk_rollout *r = p->r;
  r->n_replaced = 0;
  r->n_step = 0;
  r->n_episode = r->n_traj;
  for (int g = 0; g < r->n_group; g++)
    for (int b = g * r->group, repeat = n_alike(start, g) * r->group; b < (g + 1) * r->group; b++) {
      r->episode[b] = (vk_rollout_episode){
          .i_traj = b, .i_task = start[g].i_task, .row = start[g].row, .repeat = repeat++};
      p->current[b] = b;
      p->is_due[b] = true;
    }
}

static void free_pass(pass *p)
{
  vk_watchdog_free(p->dog);
  free(p->current);
  free(p->n_of);
  free(p->is_due);
  free(p->which);
  free(p->episode);
  free(p->repeat);
  free(p->most);
  free(p->in_slot);
}

static vk_status make_pass(pass *p, vk_err *err)
{
  const vk_rollout_config *c = p->c;
  size_t n = (size_t)p->r->n_traj;
  int n_slot = vk_eval_n_slot(c->eval.pool);
  p->current = calloc(n, sizeof *p->current);
  p->n_of = calloc(n, sizeof *p->n_of);
  p->is_due = calloc(n, sizeof *p->is_due);
  p->which = calloc(n, sizeof *p->which);
  p->episode = calloc(n, sizeof *p->episode);
  p->repeat = calloc(n, sizeof *p->repeat);
  p->most = calloc(n, sizeof *p->most);
  p->in_slot = calloc((size_t)n_slot, sizeof *p->in_slot);
  if (!p->current || !p->n_of || !p->is_due || !p->which || !p->episode || !p->repeat || !p->most ||
      !p->in_slot)
    return vk_fail(err, VK_E_NOMEM, "no memory for %zu episodes", n);
  return vk_rollout_dog_new(&p->dog, c->eval.pool, c->quiet_s, c->warn, err);
}

vk_status vk_rollout_run(vk_rollout *r, const vk_rollout_config *c, const vk_eval_episode *start,
                         vk_err *err)
{
  double start_s = vk_sys_monotonic_s();
  vk_policy policy = {0};
  pass p = {.r = r, .c = c};
  VK_ASSERT(((const vk_nano_config *)c->info->model.config)->n_view == r->n_view);
  VK_ASSERT(!c->next || (r->group == 1 && c->values_after));
  vk_status st = vk_rollout_check(c->eval.protocol, c->info->n_action_step, err);
  VK_TRY_DONE(st);
  VK_TRY_DONE(make_pass(&p, err));
  begin_groups(&p, start);
  r->has_proprio = c->info->stats[0].proprio.n_dim == VK_VIEW_PROPRIO;
  const vk_policy_args args = {.n_env = vk_eval_n_slot(c->eval.pool),
                               .seed = c->seed,
                               .temperature = c->temperature,
                               .isa = c->eval.isa};
  VK_TRY_DONE(vk_policy_checkpoint_open(&policy, c->info, c->params, &args, on_decision, &p, err));
  st = run_all(&p, &policy, err);
done:
  if (policy.def)
    vk_policy_close(&policy);
  free_pass(&p);
  r->wall_s = vk_sys_monotonic_s() - start_s;
  return st;
}
