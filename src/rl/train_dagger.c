/* train_dagger.c - imitation where the policy itself comes: behaviour cloning of demonstrations,
 * and every dagger_every steps the policy acts in some episodes, the scripted expert says what it
 * would have done (rl/relabel.h), and that is imitated, too.
 *
 * Source: Ross et al. 2011, arXiv:1011.0686, algorithm 3.1 with beta 0 after the demonstrations. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "core/sys.h"
#include "rl/demo_feed.h"
#include "rl/policy_checkpoint.h"
#include "rl/relabel.h"
#include "rl/rollout.h"
#include "rl/trainer_internal.h"

typedef struct dagger {
  vk_demo_feed feed;
  vk_expert_facts *facts;
  vk_pool *pool;
  vk_protocol protocol;
  vk_eval_episode *episode; /* [n_episode] */
  int n_episode;
  int64_t n_round; /* done */
  int64_t n_label;
} dagger;

/* ---- opening ------------------------------------------------------------------------------- */

static void close_dagger(void *state)
{
  dagger *s = state;
  vk_demo_feed_close(&s->feed);
  vk_expert_facts_free(s->facts);
  vk_pool_free(s->pool);
  free(s->episode);
  free(s);
}

/* Samples of all rounds, if every episode goes to the limit. */
static int64_t most_labels(const dagger *s, const vk_trainer *t)
{
  const vk_train_config *c = t->config.train;
  int64_t n_chunk = 0;
  for (int i = 0; i < t->data.n_task; i++)
    n_chunk += vk_rollout_n_chunk(t->config.pack, &s->protocol, 1, &t->data.task[i]);
  return c->dagger_rounds * c->dagger_episodes * n_chunk * VK_LABEL_SAMPLES;
}

static vk_status open_dagger(void **state, vk_trainer *t, vk_err *err)
{
  const vk_train_config *c = t->config.train;
  dagger *s = *state = calloc(1, sizeof *s); /* close_dagger is called in any case */
  if (!s)
    return vk_fail(err, VK_E_NOMEM, "no memory for the data");
  if (c->dagger_rounds * c->dagger_episodes > vk_start_ranges[VK_START_DAGGER].n)
    return vk_fail(
        err, VK_E_USAGE,
        "dagger_rounds times dagger_episodes is %lld, and a task has %lld first states for "
        "them: take fewer",
        (long long)(c->dagger_rounds * c->dagger_episodes),
        (long long)vk_start_ranges[VK_START_DAGGER].n);
  VK_TRY(vk_demo_feed_open(&s->feed, t, t->init.stats, err));
  vk_demo_feed_describe(&s->feed, t);
  VK_TRY(vk_protocol_shortened(&s->protocol, c->protocol, c->episode_steps, err));
  VK_TRY(vk_rollout_check(&s->protocol, VK_CHUNK_STEPS, err));
  VK_TRY(vk_rollout_check_limit(t->config.pack, c->protocol, c->episode_steps, t->data.n_task,
                                t->data.task, err));
  t->data.bytes = vk_demo_feed_bytes(&s->feed, t, most_labels(s, t));
  VK_TRY(vk_expert_facts_open(&s->facts, NULL, err));
  VK_TRY(vk_pool_new(&s->pool, t->config.n_thread, err));
  s->n_episode = (int)(t->data.n_task * c->dagger_episodes);
  s->episode = calloc((size_t)s->n_episode, sizeof *s->episode);
  return s->episode ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for %d episodes", s->n_episode);
}

/* ---- rounds -------------------------------------------------------------------------------- */

/* Round i comes before step (i + 1) * dagger_every, of a policy that is begun with one earlier. */
static bool is_due(const dagger *s, const vk_trainer *t)
{
  const vk_train_config *c = t->config.train;
  int64_t first = c->init ? 0 : 1;
  return s->n_round < c->dagger_rounds && t->step >= (s->n_round + first) * c->dagger_every;
}

static vk_status round_path(const vk_trainer *t, int64_t i, char path[VK_FS_PATH_MAX], vk_err *err)
{
  char dir[VK_FS_PATH_MAX], name[48];
  VK_TRY(vk_fs_join(dir, sizeof dir, t->config.out, "dagger", err));
  VK_TRY(vk_fs_make_dirs(dir, err));
  snprintf(name, sizeof name, "%04lld.safetensors", (long long)i);
  return vk_fs_join(path, VK_FS_PATH_MAX, dir, name, err);
}

/* From first states that no round had before. */
static void choose_episodes(dagger *s, const vk_trainer *t)
{
  int64_t n = t->config.train->dagger_episodes;
  for (int i = 0; i < s->n_episode; i++)
    s->episode[i] = (vk_eval_episode){.i_task = t->data.task[i / n],
                                      .row = vk_start_row(VK_START_DAGGER, s->n_round * n + i % n)};
}

/* The policy as it would be saved acts. */
static vk_status ask_expert(dagger *s, const vk_trainer *t, vk_relabel *out, vk_err *err)
{
  const vk_trainer_config *c = &t->config;
  vk_checkpoint_info info;
  vk_policy policy = {0};
  vk_params params = t->learner.replica[0].params;
  params.data = (float *)vk_learner_weights(&t->learner); /* read only */
  VK_TRY(vk_trainer_info(t, &info, err));
  const vk_policy_args args = {.n_env = vk_eval_n_slot(s->pool),
                               .seed = (uint64_t)c->train->seed,
                               .temperature = c->train->dagger_temperature,
                               .isa = c->isa};
  VK_TRY(vk_policy_checkpoint_open(&policy, &info, &params, &args, NULL, NULL, err));
  vk_watchdog *dog = NULL;
  vk_status st = vk_rollout_dog_new(&dog, s->pool, c->train->quiet_s, c->warn, err);
  const vk_relabel_config config = {.eval = {.pack = c->pack,
                                             .cache_dir = c->cache_dir,
                                             .protocol = &s->protocol,
                                             .seed = (uint32_t)c->train->seed,
                                             .rows = VK_ROWS_SAMPLED,
                                             .policy = &policy,
                                             .visuals = c->visuals,
                                             .pool = s->pool,
                                             .isa = c->isa,
                                             .dog = dog,
                                             .progress = c->progress,
                                             .trace = c->trace},
                                    .facts = s->facts,
                                    .row_stride = VK_START_STRIDE};
  choose_episodes(s, t);
  if (st == VK_OK)
    st = vk_relabel_run(out, &config, s->n_episode, s->episode, err);
  vk_policy_close(&policy);
  vk_watchdog_free(dog);
  return st;
}

/* The loader must not run while samples are added. */
static vk_status take(dagger *s, vk_trainer *t, const vk_relabel *r, vk_err *err)
{
  vk_demo_feed_stop(&s->feed, &t->learner);
  VK_TRY(vk_relabel_add(r, s->feed.dataset, err));
  s->n_label += r->n;
  s->n_round++;
  return VK_OK;
}

static vk_status run_round(dagger *s, vk_trainer *t, vk_train_step *out, vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  vk_relabel r = {0};
  vk_status st = ask_expert(s, t, &r, err);
  if (st == VK_OK)
    st = round_path(t, s->n_round, path, err);
  if (st == VK_OK)
    st = vk_relabel_write(&r, path, err);
  if (st == VK_OK)
    st = take(s, t, &r, err);
  const vk_train_point point[] = {
      {"env/success_once", r.n_episode > 0 ? (double)r.n_success / r.n_episode : 0},
      {"env/num_trajectories", r.n_episode},
      {"env/replaced", r.n_replaced},
      {"env/steps_per_s", (double)r.n_step / fmax(r.wall_s, 1e-9)},
      {"dagger/labels", (double)s->n_label},
      {"dagger/samples", (double)vk_dataset_n(s->feed.dataset, VK_SPLIT_TRAIN)},
      {"time/rollout", r.wall_s},
  };
  for (size_t i = 0; i < VK_COUNT(point); i++)
    out->point[out->n_point++] = point[i];
  out->n_replaced += r.n_replaced;
  if (st == VK_OK && t->config.log)
    vk_log_line(t->config.log, "train: step %lld: %d of %d episode%s succeeded, %lld label%s",
                (long long)t->step, r.n_success, r.n_episode, vk_plural(r.n_episode),
                (long long)r.n, vk_plural((long long)r.n));
  vk_relabel_free(&r);
  return st;
}

static vk_status step_dagger(void *state, vk_trainer *t, vk_train_step *out, vk_err *err)
{
  dagger *s = state;
  double start_s = vk_sys_monotonic_s();
  while (!t->is_probe && is_due(s, t))
    VK_TRY(run_round(s, t, out, err));
  out->aside_s = vk_sys_monotonic_s() - start_s;
  return vk_demo_feed_learn(&s->feed, t, out, err);
}

/* ---- around it ----------------------------------------------------------------------------- */

static void save_dagger(const void *state, cJSON *json)
{
  cJSON_AddNumberToObject(json, "rounds", (double)((const dagger *)state)->n_round);
}

static vk_status load_dagger(void *state, vk_trainer *t, const cJSON *json, vk_err *err)
{
  dagger *s = state;
  char path[VK_FS_PATH_MAX];
  int64_t n;
  VK_TRY(vk_json_get_i64(json, "rounds", &n, "the checkpoint", err));
  while (s->n_round < n) {
    vk_relabel r;
    VK_TRY(round_path(t, s->n_round, path, err));
    VK_TRY(vk_relabel_read(&r, path, s->feed.dataset, err));
    vk_status st = take(s, t, &r, err);
    vk_relabel_free(&r);
    VK_TRY(st);
  }
  return VK_OK;
}

/* All rounds with episodes that come to the limit: an upper bound. A decision is 8 steps of the
 * policy and VK_LABEL_STEPS of the expert. */
static vk_status estimate_dagger(void *state, vk_trainer *t, vk_train_estimate *out, vk_err *err)
{
  enum { N_PROBE = 20 };
  dagger *s = state;
  const vk_trainer_config *c = &t->config;
  vk_eval_probe probe;
  vk_policy idle;
  if (s->n_round >= c->train->dagger_rounds)
    return VK_OK;
  choose_episodes(s, t);
  VK_TRY(vk_policy_open(&idle, "zero", &(vk_policy_args){.n_env = 1}, err));
  const vk_eval_config eval = {.pack = c->pack,
                               .cache_dir = c->cache_dir,
                               .protocol = &s->protocol,
                               .rows = VK_ROWS_SAMPLED,
                               .policy = &idle,
                               .pool = s->pool,
                               .isa = c->isa,
                               .n_episode = s->n_episode,
                               .episode = s->episode};
  vk_status st = vk_eval_probe_run(&eval, N_PROBE, &probe, err);
  vk_policy_close(&idle);
  VK_TRY(st);
  double n_step = 0;
  for (int i = 0; i < s->n_episode; i++)
    n_step += vk_rollout_n_chunk(c->pack, &s->protocol, 1, &s->episode[i].i_task) *
              (double)(VK_CHUNK_STEPS + VK_LABEL_STEPS);
  out->n_round = c->train->dagger_rounds - s->n_round;
  out->n_round_episode = s->n_episode;
  out->round_s = (double)out->n_round * n_step * probe.step_s / vk_pool_n_thread(s->pool);
  out->wall_s += out->round_s;
  return VK_OK;
}

static vk_status validate_dagger(void *state, vk_trainer *t, double *loss, int64_t *n, vk_err *err)
{
  return vk_demo_feed_validate(&((dagger *)state)->feed, t, loss, n, err);
}

static vk_status save_batch_dagger(void *state, const char *path, vk_err *err)
{
  return vk_demo_feed_save_batch(&((dagger *)state)->feed, path, err);
}

const vk_train_def vk_train_dagger = {
    .name = "dagger",
    .help = "imitates demonstrations, and the expert where the policy comes",
    .open = open_dagger,
    .close = close_dagger,
    .step = step_dagger,
    .validate = validate_dagger,
    .save_batch = save_batch_dagger,
    .save = save_dagger,
    .load = load_dagger,
    .estimate = estimate_dagger,
};
