/* train_rl.c - policy gradients: in a step of the trainer the policy as it is runs groups of
 * episodes (rl/rollout.h), and what they show is learned from in a few epochs (rl/rl_batch.h).
 *
 *   ppo   generalised advantages of a value head: Schulman et al. 2017, arXiv:1707.06347
 *   grpo  advantages relative to the group: Shao et al. 2024, arXiv:2402.03300; groups of equal
 *         scores teach nothing: Yu et al. 2025, arXiv:2503.14476
 *
 * Both may add a decaying share of imitation. An iteration depends on the weights, its number and
 * the configuration alone, so that training goes on from a checkpoint with the same bits. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/signal.h"
#include "core/sys.h"
#include "rl/demo_feed.h"
#include "rl/rl_config.h"
#include "rl/trainer_internal.h"

enum { EPOCHS_MAX = 64 /* of an iteration; orders of rows are numbered by iteration and epoch */ };

/* A micro-batch: rows of the rollout. */
typedef struct rows {
  const int32_t *row;
  int n; /* 0: none */
} rows;

typedef struct rl {
  const vk_trainer *t;
  vk_rl_graph graph;
  vk_rl_config config;
  vk_checkpoint_info info; /* of the policy as it is; what it holds is that of t->init */
  vk_protocol protocol;    /* that of the configuration, perhaps with shorter episodes */
  vk_pool *pool;
  uint32_t *i_task;
  int n_task;
  vk_eval_episode *start; /* [groups] */
  vk_rollout rollout;
  vk_rl_batch batch;
  int32_t *order; /* [rows] */
  int *n_word;    /* [micro_batch] */
  vk_demo_feed feed;
  vk_net imitation;             /* the loss of demonstrations; zeroed: none */
  int64_t n_demo_sample;        /* demonstrations seen */
  double uniform;               /* share of groups of equal scores in the last step */
  rows rows;                    /* the micro-batch that was computed last */
  bool is_demo;                 /* it is one of demonstrations, that of the feed */
  rows running[VK_DEVICES_MAX]; /* those that are, by replica */
} rl;

/* Sums over an iteration's updates. */
typedef struct update {
  vk_rl_sums sums;
  double loss, critic, imitation, grad_norm; /* sums over steps */
  double ratio_away; /* mean |ratio - 1| before the first step: 0, if nothing is wrong */
  double kl;         /* of the last minibatch */
  int64_t n_row;
  int n_step;
  bool is_stopped;
  bool is_last_said; /* that an interruption waits for the step's end */
} update;

/* ---- configuration ------------------------------------------------------------------------- */

static bool is_ppo(const vk_trainer *t)
{
  return vk_rl_has_critic(t->config.train);
}

static vk_status check(const vk_trainer *t, const rl *s, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  if (!c->init)
    return vk_fail(err, VK_E_USAGE,
                   "\"init\" names no policy to begin with; give --set init=CHECKPOINT, which "
                   "vlakit train --config sft-n2 makes");
  if (c->tasks.n == 0)
    return vk_fail(err, VK_E_USAGE,
                   "\"tasks\" names no tasks to practise; give --set tasks=libero_spatial/0");
  if (c->steps == 0)
    return vk_fail(err, VK_E_USAGE, "steps is 0: say how many rounds of practice there are");
  if (((const vk_nano_config *)t->init.model.config)->n_view != c->views)
    return vk_fail(err, VK_E_USAGE, "init %s sees %lld pictures, \"views\" is %lld", c->init,
                   (long long)((const vk_nano_config *)t->init.model.config)->n_view,
                   (long long)c->views);
  if (strcmp(c->precision, "bf16") == 0)
    return vk_fail(err, VK_E_USAGE,
                   "precision bf16: log-probabilities of %s are compared with those drawn with, "
                   "which are f32",
                   c->method);
  if (!is_ppo(t) && c->group < 2)
    return vk_fail(err, VK_E_USAGE, "grpo compares episodes of a group: group is %lld",
                   (long long)c->group);
  return vk_rl_config_check(&s->config, err);
}

static vk_status configure_rl(void **state, vk_trainer *t, vk_learner_config *config, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  rl *s = *state = calloc(1, sizeof *s); /* close_rl is called in any case */
  if (!s)
    return vk_fail(err, VK_E_NOMEM, "no memory for %s", c->method);
  s->t = t;
  s->config = vk_rl_config_of(c);
  s->graph = (vk_rl_graph){.loss = s->config.loss, .temperature = c->temperature};
  VK_TRY(check(t, s, err));
  config->args = (vk_model_args){.n_batch = c->micro_batch,
                                 .n_view = c->views,
                                 .with_value = is_ppo(t),
                                 .extend = vk_rl_graph_extend,
                                 .extend_arg = &s->graph};
  config->is_sum = true; /* minibatches have other numbers of rows, and demonstrations a share */
  config->is_bf16 = false;
  config->has_check = false;
  config->stem_lr = c->stem_lr;
  config->value_lr = c->value_lr;
  return VK_OK;
}

/* ---- opening ------------------------------------------------------------------------------- */

/* Adds the tasks that a word of "tasks" names, but for those that are there already: *n_again
 * counts them, first_again is one. */
static vk_status add_tasks(rl *s, uint32_t n, const uint32_t *task, int *n_again,
                           uint32_t *first_again, vk_err *err)
{
  for (uint32_t i = 0; i < n; i++) {
    int k = 0;
    while (k < s->n_task && s->i_task[k] != task[i])
      k++;
    if (k < s->n_task) {
      *first_again = (*n_again)++ == 0 ? task[i] : *first_again;
      continue;
    }
    if (k == VK_TRAIN_TASKS_MAX)
      return vk_fail(err, VK_E_USAGE, "\"tasks\" names more than %d tasks: take fewer",
                     VK_TRAIN_TASKS_MAX);
    s->i_task[s->n_task++] = task[i];
  }
  return VK_OK;
}

static vk_status find_tasks(rl *s, const vk_trainer *t, vk_err *err)
{
  const vk_pack *pack = t->config.pack;
  uint32_t *found = calloc(pack->n_task, sizeof *found), n = 0, again = 0;
  int n_again = 0;
  s->i_task = calloc(VK_TRAIN_TASKS_MAX, sizeof *s->i_task);
  vk_status st =
      s->i_task && found ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for a list of tasks");
  for (int i = 0; i < t->config.train->tasks.n && st == VK_OK; i++) {
    st = vk_pack_find_tasks(pack, t->config.train->tasks.item[i], found, &n, err);
    if (st == VK_OK)
      st = add_tasks(s, n, found, &n_again, &again, err);
  }
  free(found);
  if (st == VK_OK && n_again > 0 && t->config.log) {
    char id[VK_PACK_TASK_ID_SIZE];
    vk_pack_task_id(pack, &pack->task[again], id);
    vk_log_line(t->config.log, "train: \"tasks\" names %d task%s again (%s): each counts once",
                n_again, vk_plural(n_again), id);
  }
  return st;
}

/* Memory that is asked for is not yet used: the lack of it would come in the middle of a step. */
static vk_status check_memory(const vk_trainer *t, int n_chunk, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  uint64_t have = vk_sys_available_bytes();
  uint64_t need = vk_rollout_bytes((int)c->groups, (int)c->group, n_chunk, (int)c->views);
  if (have == 0 || need <= have)
    return VK_OK;
  return vk_fail(
      err, VK_E_NOMEM,
      "%lld groups of %lld episodes take %.1f GB, the machine has %.1f GB left; take fewer "
      "groups",
      (long long)c->groups, (long long)c->group, (double)need / 1e9, (double)have / 1e9);
}

/* Decisions of a trajectory: of the longest episode, or as many as an environment makes. */
static vk_status find_n_chunk(const rl *s, const vk_trainer *t, int *n_chunk, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  int longest = vk_rollout_n_chunk(t->config.pack, &s->protocol, s->n_task, s->i_task);
  *n_chunk = longest;
  if (!c->partial_reset)
    return VK_OK;
  *n_chunk = c->rollout_steps > 0 ? (int)((c->rollout_steps + VK_NANO_STEPS - 1) / VK_NANO_STEPS)
                                  : 2 * longest;
  if (*n_chunk < longest)
    return vk_fail(
        err, VK_E_USAGE,
        "rollout_steps is %lld, and an episode may take %d: its end would never be seen; "
        "take more, or fewer episode_steps",
        (long long)c->rollout_steps, longest * VK_NANO_STEPS);
  return VK_OK;
}

/* The policy's own pictures, statistics and chunks. */
static vk_status open_policy(rl *s, vk_trainer *t, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  s->info = t->init;
  s->info.model = t->model;
  VK_TRY(vk_protocol_shortened(&s->protocol, c->protocol, c->episode_steps, err));
  VK_TRY(vk_rollout_check(&s->protocol, s->info.n_action_step, err));
  VK_TRY(find_tasks(s, t, err));
  VK_TRY(vk_rollout_check_limit(t->config.pack, c->protocol, c->episode_steps, s->n_task, s->i_task,
                                err));
  VK_TRY(vk_trainer_check_stats(t, t->init.stats, "tasks", s->n_task, s->i_task, err));
  VK_TRY(vk_pool_new(&s->pool, t->config.n_thread, err));
  int n_chunk;
  VK_TRY(find_n_chunk(s, t, &n_chunk, err));
  VK_TRY(check_memory(t, n_chunk, err));
  VK_TRY(vk_rollout_new(&s->rollout, (int)c->groups, (int)c->group, n_chunk, (int)c->views, err));
  s->start = calloc((size_t)c->groups, sizeof *s->start);
  s->order = calloc((size_t)s->rollout.n_traj * (size_t)n_chunk, sizeof *s->order);
  s->n_word = calloc((size_t)c->micro_batch, sizeof *s->n_word);
  if (!s->start || !s->order || !s->n_word)
    return vk_fail(err, VK_E_NOMEM, "no memory for %lld groups", (long long)c->groups);
  return VK_OK;
}

/* Demonstrations beside the rollouts, and a net for their loss that adds to the same gradients. */
static vk_status open_imitation(rl *s, vk_trainer *t, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  if (c->bc_weight == 0)
    return VK_OK;
  VK_TRY(vk_demo_feed_open(&s->feed, t, t->init.stats, err));
  const vk_model_args args = {.n_batch = c->micro_batch,
                              .n_view = c->views,
                              .with_loss = true,
                              .sigma = c->label_sigma,
                              .last_weight = c->gripper_weight,
                              .extend = vk_scaled_loss_extend};
  const vk_target target = {.device = t->devices.device[0].def,
                            .isa = t->config.isa,
                            .n_thread = t->config.n_thread,
                            .is_train = true,
                            .loss = "loss_scaled",
                            .recompute = c->recompute,
                            .accumulate = true};
  return vk_net_new(&s->imitation, &t->model, &args, &target, &t->learner.replica[0].params,
                    t->learner.replica[0].grad, &t->devices.device[0], t->config.trace, err);
}

static vk_status open_rl(void **state, vk_trainer *t, vk_err *err)
{
  rl *s = *state;
  const vk_train_config *c = t->config.train;
  vk_train_data *d = &t->data;
  d->view = t->init.view; /* demonstrations beside practice look as practice does */
  VK_TRY(open_policy(s, t, err));
  VK_TRY(open_imitation(s, t, err));
  VK_ASSERT(!s->feed.frames ||
            vk_frames_config_get(s->feed.frames)->view.turn == t->init.view.turn);
  if (s->feed.dataset)
    vk_demo_feed_describe(&s->feed, t);
  else
    snprintf(d->hash, sizeof d->hash, "%s", t->init.source.data_hash);
  if (c->train_on_eval_rows || !d->rows)
    d->rows = c->train_on_eval_rows ? "eval" : "sampled";
  d->stats = t->init.stats;
  d->n_task = s->n_task;
  memcpy(d->task, s->i_task, sizeof *d->task * (size_t)s->n_task);
  d->bytes += vk_rollout_bytes((int)c->groups, (int)c->group, s->rollout.n_chunk, (int)c->views);
  if (s->imitation.plan)
    d->bytes += vk_plan_bytes(s->imitation.plan);
  return VK_OK;
}

static void close_rl(void *state)
{
  rl *s = state;
  vk_net_free(&s->imitation);
  vk_demo_feed_close(&s->feed);
  vk_rl_batch_free(&s->batch);
  vk_rollout_free(&s->rollout);
  vk_pool_free(s->pool);
  free(s->i_task);
  free(s->start);
  free(s->order);
  free(s->n_word);
  free(s);
}

/* ---- rollouts ------------------------------------------------------------------------------ */

/* Group g of step t->step is the q-th of the run and practises task q mod n from first state q / n:
 * no two groups begin alike, as long as there are states. Where it begins anew, for the i-th time,
 * it goes on with the next task, from a state far enough for no group of the step to have it. */
static vk_eval_episode start_of(const rl *s, int g, int i)
{
  const vk_train_config *c = s->t->config.train;
  const vk_start_range *range = &vk_start_ranges[VK_START_PRACTICE];
  int64_t q = s->t->step * c->groups + g, k = q / s->n_task + i * (range->n / 256);
  uint32_t i_task = s->i_task[(q + i) % s->n_task];
  return (vk_eval_episode){.i_task = i_task,
                           .row = c->train_on_eval_rows
                                      ? (int)(k % s->t->config.pack->task[i_task].n_row)
                                      : vk_start_row(VK_START_PRACTICE, k % range->n)};
}

static vk_eval_episode next_start(void *arg, int i_traj, int i)
{
  return start_of(arg, i_traj, i);
}

static void choose_starts(rl *s)
{
  for (int g = 0; g < s->rollout.n_group; g++)
    s->start[g] = start_of(s, g, 0);
}

static vk_rollout_config rollout_config(rl *s, const vk_trainer *t)
{
  const vk_trainer_config *c = &t->config;
  vk_philox rng;
  vk_philox_init(&rng, (uint64_t)c->train->seed, (uint64_t)t->step);
  return (vk_rollout_config){
      .eval = {.pack = c->pack,
               .cache_dir = c->cache_dir,
               .protocol = &s->protocol,
               .seed = c->train->train_on_eval_rows ? s->protocol.seed : (uint32_t)c->train->seed,
               .rows = c->train->train_on_eval_rows ? VK_ROWS_EVAL : VK_ROWS_SAMPLED,
               .visuals = c->visuals,
               .pool = s->pool,
               .isa = c->isa,
               .progress = c->progress,
               .trace = c->trace},
      .info = &s->info,
      .params = &t->learner.replica[0].params,
      .seed = vk_philox_u32(&rng),
      .temperature = s->graph.temperature,
      .row_stride = c->train->train_on_eval_rows ? 0 : VK_START_STRIDE,
      .values_after = s->config.bootstrap != VK_BOOTSTRAP_NONE || c->train->partial_reset,
      .next = c->train->partial_reset ? next_start : NULL,
      .arg = s,
      .quiet_s = c->train->quiet_s,
      .warn = c->warn};
}

/* ---- updates ------------------------------------------------------------------------------- */

/* Nothing has changed before the first update, so that the step can be done anew. Later it can not:
 * it is done to its end, and saved. Errors: VK_E_INTERRUPTED. */
static vk_status check_interrupted(const vk_trainer *t, update *u, vk_err *err)
{
  if (u->n_step == 0)
    return vk_signal_check(err);
  if (vk_interrupted() && !u->is_last_said) {
    vk_log_line(t->config.log,
                "train: step %lld: interrupted while it learns; it is finished, then saved",
                (long long)t->step);
    u->is_last_said = true;
  }
  return VK_OK;
}

/* What micro-batch replica i has computed, where it has. */
static vk_status take_rows(rl *s, vk_trainer *t, int i, update *u, vk_err *err)
{
  const vk_net *net = &t->learner.replica[i].net;
  if (s->running[i].n == 0)
    return VK_OK;
  s->rows = s->running[i];
  s->is_demo = false;
  s->running[i].n = 0;
  VK_TRY(vk_learner_take(&t->learner, i, err));
  const float *critic = vk_net_data(net, "loss_critic");
  u->loss += (double)*(const float *)vk_net_data(net, "loss");
  u->critic += critic ? (double)*critic : 0;
  vk_rl_batch_sum(&s->batch, s->rows.row, s->rows.n, net, &u->sums);
  return VK_OK;
}

/* Forward and backward pass of a micro-batch, on the device whose turn it is; its gradients are
 * added. */
static vk_status add_rows(rl *s, vk_trainer *t, const rows *r, const vk_rl_share *share,
                          double n_part, update *u, vk_err *err)
{
  vk_learner *l = &t->learner;
  int i = vk_learner_turn(l);
  VK_TRY(take_rows(s, t, i, u, err));
  VK_TRY(
      vk_rl_batch_set(&s->batch, r->row, r->n, share, n_part, &l->replica[i].net, s->n_word, err));
  VK_TRY(vk_learner_start(l, err));
  s->running[i] = *r;
  return VK_OK;
}

/* Waits for those that still run, in the order of their start. */
static vk_status take_all(rl *s, vk_trainer *t, update *u, vk_err *err)
{
  int n = t->learner.n_replica, turn = vk_learner_turn(&t->learner);
  for (int i = 0; i < n; i++)
    VK_TRY(take_rows(s, t, (turn + i) % n, u, err));
  return VK_OK;
}

static int n_demo_micro(const vk_train_config *c)
{
  return (int)((c->bc_batch + c->micro_batch - 1) / c->micro_batch);
}

/* The gradient of the next micro-batch of demonstrations, in its part of their share. */
static vk_status add_demo(rl *s, vk_trainer *t, double share, update *u, vk_err *err)
{
  const int n_micro = n_demo_micro(t->config.train);
  vk_net *net = &s->imitation;
  VK_TRY(vk_demo_feed_next(&s->feed, t, s->n_demo_sample, err));
  const vk_batch *b = s->feed.batch;
  s->n_demo_sample += b->n;
  VK_TRY(vk_nano_set_text(net->exec, &net->plan->graph, b->text, b->n_text, s->n_word, err));
  VK_TRY(vk_nano_set_obs(net->exec, &net->plan->graph, b->obs, b->n, s->n_word, b->n_text, err));
  memcpy(vk_net_data(net, "target"), b->target,
         sizeof *b->target * (size_t)b->n * VK_CHUNK_TARGETS);
  *(float *)vk_net_data(net, "share") = (float)(share / n_micro);
  VK_TRY(vk_exec_run(net->exec, err));
  s->is_demo = true;
  double loss = (double)*(const float *)vk_net_data(net, "loss");
  if (!isfinite(loss))
    return vk_fail(err, VK_E_DIVERGED, "the loss of demonstrations is %g", loss);
  u->imitation += loss / n_micro;
  return VK_OK;
}

/* What a step of the optimiser learns from. */
typedef struct part {
  rows rows;
  vk_rl_share share;
  int n_part;
  double imitation;   /* share of demonstrations */
  int64_t first_demo; /* the first of their samples */
} part;

/* Its micro-batch i, of no rows behind the last. */
static rows micro_of(const part *p, int64_t i, int64_t micro_batch)
{
  const int64_t at = i * micro_batch, left = p->rows.n - at;
  return left <= 0 ? (rows){0}
                   : (rows){p->rows.row + at, (int)(left < micro_batch ? left : micro_batch)};
}

/* Makes the micro-batch with the largest gradient the one in use, each computed anew. */
static vk_status find_largest(rl *s, vk_trainer *t, const part *p, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  const int64_t n_rows = (p->rows.n + c->micro_batch - 1) / c->micro_batch;
  const int64_t n_demo = p->imitation > 0 ? n_demo_micro(c) : 0;
  int64_t largest = 0;
  double most = -1, norm;
  update u = {0};
  s->n_demo_sample = p->first_demo;
  vk_demo_feed_stop(&s->feed, &t->learner);
  for (int64_t i = 0; i < n_rows + n_demo; i++) {
    const rows r = micro_of(p, i, c->micro_batch);
    VK_TRY(vk_learner_begin(&t->learner, err));
    VK_TRY(r.n > 0 ? add_rows(s, t, &r, &p->share, p->n_part, &u, err)
                   : add_demo(s, t, p->imitation, &u, err));
    VK_TRY(take_all(s, t, &u, err));
    if (r.n > 0)
      VK_TRY(vk_learner_hold(&t->learner, p->share.actor == 0, err));
    VK_TRY(vk_learner_grad_norm(&t->learner, &norm, err));
    largest = norm > most ? i : largest;
    most = fmax(norm, most);
  }
  s->rows = micro_of(p, largest, c->micro_batch);
  s->is_demo = largest >= n_rows;
  if (s->is_demo)
    vk_demo_feed_look_back(&s->feed, t, p->first_demo + (largest - n_rows) * c->micro_batch);
  return VK_OK;
}

/* Step i_part of n_part of an epoch, or the sign that the policy has gone far enough. */
static vk_status update_part(rl *s, vk_trainer *t, int i_part, int n_part, update *u, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  const vk_policy_sums before = u->sums.policy, *sums = &u->sums.policy;
  vk_learner *l = &t->learner;
  double grad_norm;
  int64_t begin = s->batch.n_used * i_part / n_part, end = s->batch.n_used * (i_part + 1) / n_part;
  const part p = {.rows = {s->order + begin, (int)(end - begin)},
                  .share = vk_rl_share_of(c, t->step),
                  .n_part = n_part,
                  .imitation = vk_rl_imitation_of(c, t->step),
                  .first_demo = s->n_demo_sample};
  rows r;
  memset(s->running, 0, sizeof s->running);
  VK_TRY(vk_learner_begin(l, err));
  for (int64_t i = 0; (r = micro_of(&p, i, c->micro_batch)).n > 0; i++) {
    VK_TRY(check_interrupted(t, u, err));
    VK_TRY(add_rows(s, t, &r, &p.share, n_part, u, err));
    if (t->config.progress)
      vk_progress_add(t->config.progress, 0);
  }
  VK_TRY(take_all(s, t, u, err));
  double n_item = sums->n - before.n;
  u->kl = n_item > 0 ? (sums->kl - before.kl) / n_item : 0;
  if (u->n_step == 0)
    u->ratio_away = n_item > 0 ? sums->ratio_away / n_item : 0;
  u->is_stopped = c->kl_stop > 0 && u->kl > c->kl_stop;
  if (u->is_stopped)
    return VK_OK;
  VK_TRY(
      vk_learner_hold(l, p.share.actor == 0, err)); /* all else that feeds the critic acts, too */
  for (int i = 0; p.imitation > 0 && i < n_demo_micro(c); i++) {
    VK_TRY(check_interrupted(t, u, err));
    VK_TRY(add_demo(s, t, p.imitation, u, err));
  }
  vk_status st = vk_learner_step(l, vk_trainer_lr(t), &grad_norm, err);
  if (st == VK_E_DIVERGED && find_largest(s, t, &p, NULL) != VK_OK)
    s->is_demo = false; /* the rows that were computed last */
  VK_TRY(st);
  if (t->config.progress)
    vk_progress_set_note(t->config.progress, "learning, update %d, kl %.4f", u->n_step + 1, u->kl);
  u->grad_norm += grad_norm;
  u->n_row += end - begin;
  u->n_step++;
  return VK_OK;
}

/* Source: Schulman et al. 2017, algorithm 1; that an epoch ends when the policy has gone too far:
 * Achiam 2018, Spinning Up in Deep RL, target_kl. */
static vk_status update_policy(rl *s, vk_trainer *t, update *u, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  int n_part = (int)((s->batch.n_used + c->batch - 1) / c->batch);
  if (n_part == 0 && vk_rl_imitation_of(c, t->step) > 0)
    n_part = 1; /* episodes that teach nothing leave the demonstrations */
  for (int epoch = 0; epoch < c->update_epochs && !u->is_stopped; epoch++) {
    vk_rl_batch_order(&s->batch, (uint64_t)c->seed, (uint64_t)(t->step * EPOCHS_MAX + epoch),
                      s->order);
    for (int i = 0; i < n_part && !u->is_stopped; i++)
      VK_TRY(update_part(s, t, i, n_part, u, err));
  }
  return VK_OK;
}

/* ---- a step -------------------------------------------------------------------------------- */

/* What the episodes were like that came to their end. */
typedef struct episodes {
  int n, n_success;
  double success, n_step, n_success_step; /* means; the last over successes */
} episodes;

static episodes look_at(const vk_rollout *r)
{
  episodes e = {0};
  for (int i = 0; i < r->n_episode; i++) {
    const vk_rollout_episode *one = &r->episode[i];
    e.n += !one->is_cut;
    e.n_success += one->success;
    e.n_step += one->is_cut ? 0 : one->n_step;
    e.n_success_step += one->success ? one->n_step : 0;
  }
  e.n_step /= e.n;
  e.success = (double)e.n_success / e.n;
  e.n_success_step = e.n_success > 0 ? e.n_success_step / e.n_success : NAN;
  return e;
}

static void tell(const rl *s, const vk_trainer *t, const update *u, double update_s,
                 vk_train_step *out)
{
  const vk_policy_metrics m = vk_policy_metrics_of(&u->sums.policy);
  const vk_rollout *r = &s->rollout;
  const episodes e = look_at(r);
  double n_step = u->n_step > 0 ? u->n_step : 1, n_part = u->n_step + u->is_stopped;
  const vk_train_point point[] = {
      {"env/success_once", e.success},
      {"env/episode_len", e.n_step},
      {"env/success_len", e.n_success_step},
      {"env/num_trajectories", e.n},
      {"env/replaced", r->n_replaced},
      {"env/steps_per_s", (double)r->n_step / r->wall_s},
      {"rollout/groups_uniform", r->group > 1 ? s->batch.n_uniform : NAN},
      {"rollout/temperature", s->graph.temperature},
      {"rollout/groups_kept", s->batch.n_kept},
      {"rollout/decisions", (double)s->batch.n_used},
      {"rollout/saved", s->batch.saved},
      {"rollout/saved_padded", s->batch.saved_padded},
      {"train/actor/approx_kl", u->kl},
      {"train/actor/clip_fraction", m.clip_fraction},
      {"train/actor/dual_clip_fraction", m.dual_fraction},
      {"train/actor/ratio", m.ratio},
      {"train/actor/ratio_away_at_first", u->ratio_away},
      {"train/actor/entropy", u->sums.n_token > 0 ? u->sums.entropy / u->sums.n_token : NAN},
      {"train/actor/updates", u->n_step},
      {"train/critic/loss", is_ppo(t) ? u->critic / fmax(n_part, 1) : NAN},
      {"train/critic/explained_variance", is_ppo(t) ? m.explained : NAN},
      {"train/imitation/loss", u->imitation > 0 ? u->imitation / n_step : NAN},
      {"time/rollout", r->wall_s},
      {"time/update", update_s},
  };
  out->loss = u->loss / fmax(n_part, 1);
  out->grad_norm = u->grad_norm / n_step;
  out->n_sample = u->n_row;
  out->n_replaced = r->n_replaced;
  out->practice = (vk_train_practice){.n = e.n,
                                      .n_success = e.n_success,
                                      .env_steps_per_s = (double)r->n_step / r->wall_s,
                                      .saved = s->batch.saved};
  out->is_idle = u->n_step == 0;
  for (size_t i = 0; i < VK_COUNT(point); i++)
    if (!isnan(point[i].value))
      out->point[out->n_point++] = point[i];
  int n = snprintf(out->note, sizeof out->note, "success %.1f %%, kl %.4f", 100 * e.success, u->kl);
  if (r->group > 1)
    snprintf(out->note + n, sizeof out->note - (size_t)n, ", %d of %d group%s differ%s",
             r->n_group - s->batch.n_uniform, r->n_group, vk_plural(r->n_group),
             r->n_group == 1 ? "s" : "");
  n = (int)strlen(out->note);
  if (r->group > 1 || s->batch.saved > 0)
    n += snprintf(out->note + n, sizeof out->note - (size_t)n, ", saved %.0f %%",
                  100 * s->batch.saved);
  if (out->wait_s > 0)
    snprintf(out->note + n, sizeof out->note - (size_t)n, ", device waits %.0f %%",
             100 * out->wait_s / (r->wall_s + update_s));
  if (out->is_idle)
    strncat(out->note, ", nothing learned", sizeof out->note - strlen(out->note) - 1);
}

/* Where groups do not differ in themselves there is nothing to learn: actions are drawn from a
 * flatter distribution, and the network that learns reads its logits so, too. */
static vk_status set_temperature(rl *s, vk_trainer *t, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  double want = s->uniform > c->uniform_share ? c->temperature_high : c->temperature;
  if (s->graph.temperature == want)
    return VK_OK;
  s->graph.temperature = want;
  return vk_learner_plan(&t->learner, err);
}

static vk_status step_rl(void *state, vk_trainer *t, vk_train_step *out, vk_err *err)
{
  rl *s = state;
  update u = {0};
  VK_TRY(set_temperature(s, t, err));
  const vk_rollout_config config = rollout_config(s, t);
  out->lr = vk_trainer_lr(t);
  choose_starts(s);
  double busy_s = vk_device_busy_s(&t->devices.device[0]);
  VK_TRY(vk_rollout_run(&s->rollout, &config, s->start, err));
  busy_s = vk_device_busy_s(&t->devices.device[0]) - busy_s;
  /* environments, pictures and the host's share of a decision; nobody measures the CPU */
  out->wait_s = isnan(busy_s) ? NAN : s->rollout.wall_s - busy_s;
  double start_s = vk_sys_monotonic_s();
  vk_rl_batch_free(&s->batch);
  VK_TRY(vk_rl_batch_new(&s->batch, &s->rollout, &s->config, err));
  int64_t n_demo_sample = s->n_demo_sample;
  if (t->config.progress)
    vk_progress_set_note(t->config.progress, "learning");
  vk_trace_span span = vk_trace_begin(t->config.trace, "train", "update");
  vk_status st = update_policy(s, t, &u, err);
  vk_trace_end(&span);
  if (st == VK_E_INTERRUPTED)
    s->n_demo_sample = n_demo_sample; /* as if the step had not begun */
  VK_TRY(st);
  tell(s, t, &u, vk_sys_monotonic_s() - start_s, out);
  s->uniform = (double)s->batch.n_uniform / s->rollout.n_group;
  return VK_OK;
}

/* ---- around it ----------------------------------------------------------------------------- */

static void save_rl(const void *state, cJSON *json)
{
  const rl *s = state;
  cJSON_AddNumberToObject(json, "demo_samples", (double)s->n_demo_sample);
  cJSON_AddNumberToObject(json, "uniform", s->uniform);
}

static vk_status load_rl(void *state, vk_trainer *t, const cJSON *json, vk_err *err)
{
  rl *s = state;
  if (cJSON_HasObjectItem(json, "uniform"))
    VK_TRY(vk_json_get_f64(json, "uniform", &s->uniform, "the checkpoint", err));
  return vk_json_get_i64(json, "demo_samples", &s->n_demo_sample, "the checkpoint", err);
}

/* Steps to come that learn from demonstrations, too. */
static int64_t n_imitation(const vk_trainer *t)
{
  const vk_train_config *c = t->config.train;
  int64_t warmup = is_ppo(t) ? c->critic_warmup : 0;
  int64_t begin = t->step > warmup ? t->step : warmup;
  int64_t end = c->bc_steps > 0 && c->bc_steps < t->n_step ? c->bc_steps : t->n_step;
  return c->bc_weight > 0 && end > begin ? end - begin : 0;
}

/* Adds the demonstrations of n_update updates in each of those steps: the time of one update's, and
 * waiting for pictures, which are drawn once. */
static vk_status estimate_imitation(rl *s, vk_trainer *t, double n_update, vk_train_estimate *out,
                                    vk_err *err)
{
  double n_step = (double)n_imitation(t), n_all = n_step * n_update;
  double bc_batch = (double)t->config.train->bc_batch;
  const int64_t n_demo_sample = s->n_demo_sample;
  update u = {0};
  if (n_step == 0)
    return VK_OK;
  double start_s = vk_sys_monotonic_s();
  vk_status st = VK_OK;
  for (int i = 0; i < n_demo_micro(t->config.train) && st == VK_OK; i++)
    st = add_demo(s, t, 1, &u, err);
  s->n_demo_sample = n_demo_sample;
  VK_TRY(st);
  double took_s = vk_sys_monotonic_s() - start_s, wait_s = vk_loader_wait_s(s->feed.loader);
  double n_drawn = fmin((double)t->data.n_sample / bc_batch, n_all);
  out->imitation_s = n_all * (took_s - wait_s) + n_drawn * wait_s;
  out->step_s += n_update * (took_s - wait_s);
  out->wall_s += out->imitation_s;
  return VK_OK;
}

/* An episode on each thread, and micro-batches of what they saw: an upper bound, as most episodes
 * of a good policy end before the limit. */
static vk_status estimate_rl(void *state, vk_trainer *t, vk_train_estimate *out, vk_err *err)
{
  rl *s = state;
  const vk_train_config *c = t->config.train;
  vk_rollout all = s->rollout, few;
  int n = t->config.n_thread < c->groups ? t->config.n_thread : (int)c->groups;
  const vk_rollout_config config = rollout_config(s, t);
  vk_rl_config every = s->config;
  update u = {0};
  VK_TRY(vk_rollout_new(&few, n, 1, all.n_chunk, all.n_view, err));
  choose_starts(s);
  vk_status st = vk_rollout_run(&few, &config, s->start, err);
  double rollout_s = few.wall_s, start_s = vk_sys_monotonic_s();
  every.is_gae = true; /* a row of every decision, of every group */
  every.filter_lo = 0;
  every.filter_hi = 1;
  if (st == VK_OK)
    st = vk_rl_batch_new(&s->batch, &few, &every, err);
  for (int64_t i = 0; st == VK_OK && i < s->batch.n_used; i += c->micro_batch) {
    int64_t left = s->batch.n_used - i;
    const rows r = {s->batch.used + i, (int)(left < c->micro_batch ? left : c->micro_batch)};
    st = add_rows(s, t, &r, &(vk_rl_share){.actor = 1}, 1, &u, err);
  }
  if (st == VK_OK)
    st = take_all(s, t, &u, err);
  double learn_s = vk_sys_monotonic_s() - start_s, share = (double)all.n_traj / n;
  double n_part = ceil(share * (double)s->batch.n_used / (double)c->batch);
  s->rows = (rows){0};
  vk_rl_batch_free(&s->batch);
  vk_rollout_free(&few);
  out->step_s = share * (rollout_s + (double)c->update_epochs * learn_s);
  out->wall_s = out->step_s * (double)(t->n_step - t->step);
  VK_TRY(st);
  return estimate_imitation(s, t, (double)c->update_epochs * n_part, out, err);
}

static void describe_rl(const void *state, const vk_trainer *t, char *text, size_t n)
{
  const rl *s = state;
  const vk_rollout *r = &s->rollout;
  const vk_train_data *d = &t->data;
  int at;
  if (t->config.train->partial_reset)
    at =
        snprintf(text, n, "%d environment%s a step, of %d steps each, of %d task%s", r->n_traj,
                 vk_plural(r->n_traj), r->n_chunk * VK_NANO_STEPS, s->n_task, vk_plural(s->n_task));
  else
    at = snprintf(text, n, "%d episode%s a step, in %d group%s, of %d task%s", r->n_traj,
                  vk_plural(r->n_traj), r->n_group, vk_plural(r->n_group), s->n_task,
                  vk_plural(s->n_task));
  if (s->feed.dataset && (size_t)at < n)
    snprintf(text + at, n - (size_t)at, ", beside %lld sample%s of %d demonstration%s",
             (long long)d->n_sample, vk_plural(d->n_sample), d->n_demo, vk_plural(d->n_demo));
}

/* The micro-batch in use. */
static vk_status save_batch_rl(void *state, const char *path, vk_err *err)
{
  const rl *s = state;
  if (s->is_demo)
    return vk_demo_feed_save_batch(&s->feed, path, err);
  if (!s->rows.row)
    return vk_fail(err, VK_E_NOTFOUND, "there is no batch yet");
  return vk_rl_batch_write(&s->batch, s->rows.row, s->rows.n, s->graph.temperature, path, err);
}

#define DEF(method, what)                                                                          \
  {                                                                                                \
    .name = method, .help = what, .is_slow = true, .configure = configure_rl, .open = open_rl,     \
    .close = close_rl, .step = step_rl, .save = save_rl, .load = load_rl, .estimate = estimate_rl, \
    .describe = describe_rl, .save_batch = save_batch_rl,                                          \
  }

const vk_train_def vk_train_ppo =
    DEF("ppo", "practises tasks, with a value head (proximal policy optimisation)");
const vk_train_def vk_train_grpo =
    DEF("grpo", "practises tasks, comparing episodes that begin alike (group-relative)");
