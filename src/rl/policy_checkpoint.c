#include "rl/policy_checkpoint.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "rl/checkpoint_internal.h"

/* Of vk_philox; the key is the episode's. */
static const uint64_t stream_bins = (uint64_t)2 << 40;

enum {
  BATCH_MAX = 64,    /* most observations of a run */
  BATCH_MAX_CPU = 8, /* larger ones are no faster there */
  INSTRUCTION_MAX = 1024
};

/* A network that one thread uses at a time. */
typedef struct worker {
  struct worker *next;
  vk_team *team; /* of one: evaluation runs as many workers as it has threads */
  vk_net net;
  int n_batch;
} worker;

/* What does not change in an episode. */
typedef struct slot {
  uint64_t episode;
  const vk_norm_stats *stats;
  char instruction[INSTRUCTION_MAX]; /* "": none */
  int n_word;
  float *word; /* [VK_NANO_WORDS, d] */
  float *text; /* [d] */
} slot;

typedef struct checkpoint_policy {
  vk_checkpoint_info own_info; /* when it was opened by name */
  vk_params own_params;
  char hash[65]; /* "": parameters in memory, which change */
  const vk_checkpoint_info *info;
  const vk_params *params;
  vk_isa isa;
  vk_device device; /* where the parameters lie; zeroed: the CPU */
  uint64_t seed;
  double temperature;
  vk_decision_fn *watch;
  void *arg;
  int d, n_view;
  int n_slot;
  int batch_max; /* observations of a run */
  slot *slot;
  float *text_block;
  pthread_mutex_t mutex; /* guards text's use and what follows */
  worker text;
  worker *idle;
} checkpoint_policy;

static bool is_on_gpu(const checkpoint_policy *p)
{
  return p->device.def && p->device.def != &vk_device_cpu;
}

/* ---- networks ---- */

static void free_worker(worker *w)
{
  vk_net_free(&w->net);
  vk_team_free(w->team);
  *w = (worker){0};
}

static vk_status make_net(const checkpoint_policy *p, worker *w, vk_model_part part, int n_batch,
                          vk_err *err)
{
  vk_device device = p->device;
  const vk_target target = {.device = device.def, .isa = p->isa, .n_thread = 1};
  const vk_model_args args = {.part = part,
                              .n_batch = n_batch,
                              .with_value = p->watch != NULL,
                              .with_log_prob = p->watch != NULL,
                              .temperature = p->temperature,
                              .greedy = p->info->greedy};
  vk_net_free(&w->net);
  if (!w->team)
    VK_TRY(vk_team_new(&w->team, 1, err));
  if (!device.def)
    device = *VK_CPU(w->team);
  VK_TRY(vk_net_new(&w->net, &p->info->model, &args, &target, p->params, NULL, &device, NULL, err));
  w->n_batch = n_batch;
  return VK_OK;
}

/* A worker for n observations at once, or fewer. */
static vk_status take_worker(checkpoint_policy *p, worker **out, int n, vk_err *err)
{
  pthread_mutex_lock(&p->mutex);
  worker *w = *out = p->idle;
  if (w)
    p->idle = w->next;
  pthread_mutex_unlock(&p->mutex);
  if (!w)
    w = *out = calloc(1, sizeof *w);
  if (!w)
    return vk_fail(err, VK_E_NOMEM, "no memory for a network");
  if (n > p->batch_max || is_on_gpu(p)) /* there one network is for all n */
    n = p->batch_max;
  vk_status st = w->n_batch >= n ? VK_OK : make_net(p, w, VK_PART_ACT, n, err);
  if (st == VK_OK)
    return VK_OK;
  free_worker(w);
  free(w);
  *out = NULL;
  return st;
}

static void give_worker(checkpoint_policy *p, worker *w)
{
  pthread_mutex_lock(&p->mutex);
  w->next = p->idle;
  p->idle = w;
  pthread_mutex_unlock(&p->mutex);
}

/* ---- an episode ---- */

/* The slot's words and text vector; with the mutex held. */
static vk_status encode(checkpoint_policy *p, slot *s, const char *instruction, vk_err *err)
{
  vk_net *net = &p->text.net;
  s->instruction[0] = '\0';
  VK_TRY(vk_nano_set_text(net->exec, &net->plan->graph, &instruction, 1, &s->n_word, err));
  VK_TRY(vk_exec_run(net->exec, err));
  memcpy(s->word, vk_net_data(net, "text"), sizeof *s->word * (size_t)(s->n_word * p->d));
  memcpy(s->text, vk_net_data(net, "text_vec"), sizeof *s->text * (size_t)p->d);
  snprintf(s->instruction, sizeof s->instruction, "%s", instruction);
  return VK_OK;
}

static vk_status begin(void *state, const vk_policy_obs *obs, uint64_t episode, vk_err *err)
{
  checkpoint_policy *p = state;
  slot *s = &p->slot[obs->i_env];
  s->episode = episode;
  VK_TRY(vk_norm_stats_find(&s->stats, p->info->stats, p->info->n_stats, obs->suite, err));
  if (strlen(obs->instruction) >= INSTRUCTION_MAX)
    return vk_fail(err, VK_E_RANGE, "an instruction of %zu bytes: at most %d can be read",
                   strlen(obs->instruction), INSTRUCTION_MAX - 1);
  if (s->instruction[0] && strcmp(s->instruction, obs->instruction) == 0)
    return VK_OK;
  pthread_mutex_lock(&p->mutex);
  vk_status st = encode(p, s, obs->instruction, err);
  pthread_mutex_unlock(&p->mutex);
  return st;
}

/* ---- a decision ---- */

/* Instructions of n slots: those that follow each other and are equal count once. */
static int set_texts(const checkpoint_policy *p, const worker *w, int n, const vk_policy_obs *obs,
                     int *i_text, int *n_word)
{
  float *word = vk_net_data(&w->net, "text"), *text = vk_net_data(&w->net, "text_vec");
  int n_text = 0, n_all = 0;
  for (int i = 0; i < n; i++) {
    const slot *s = &p->slot[obs[i].i_env];
    const slot *before = i ? &p->slot[obs[i - 1].i_env] : NULL;
    if (before && strcmp(before->instruction, s->instruction) == 0) {
      i_text[i] = i_text[i - 1];
      continue;
    }
    memcpy(word + (size_t)n_all * (size_t)p->d, s->word, sizeof *word * (size_t)(s->n_word * p->d));
    memcpy(text + (size_t)n_text * (size_t)p->d, s->text, sizeof *text * (size_t)p->d);
    n_word[n_text] = s->n_word;
    n_all += s->n_word;
    i_text[i] = n_text++;
  }
  vk_exec_set_size(w->net.exec, VK_NANO_TEXT, n_text);
  vk_exec_set_size(w->net.exec, VK_NANO_WORD, n_all);
  return n_text;
}

static bool scale_proprio(const slot *s, const vk_robot_obs *robot, float out[VK_VIEW_PROPRIO])
{
  double x[VK_VIEW_PROPRIO];
  if (s->stats->proprio.n_dim != VK_VIEW_PROPRIO) /* trained without */
    return false;
  vk_view_proprio(robot, x);
  for (int i = 0; i < VK_VIEW_PROPRIO; i++)
    out[i] = (float)vk_action_scale(&s->stats->proprio, i, x[i]);
  return true;
}

/* What bins of (seed, episode, step) are drawn with. */
static void set_key(const checkpoint_policy *p, const vk_policy_obs *obs, int32_t key[2])
{
  vk_philox rng;
  vk_philox_init(&rng, p->slot[obs->i_env].episode, stream_bins + p->seed);
  rng.block = (uint64_t)obs->i_step;
  key[0] = (int32_t)vk_philox_u32(&rng);
  key[1] = (int32_t)vk_philox_u32(&rng);
}

static vk_status tell_watch(const checkpoint_policy *p, const worker *w, int i,
                            const vk_policy_obs *obs, const vk_nano_obs *seen, vk_err *err)
{
  const vk_decision decision = {
      .i_env = obs->i_env,
      .episode = p->slot[obs->i_env].episode,
      .i_step = obs->i_step,
      .instruction = obs->instruction,
      .picture = {seen->image[0], seen->image[1]},
      .proprio = seen->proprio,
      .bin = (const int32_t *)vk_net_data(&w->net, "bin") + VK_DECISION_BINS * i,
      .log_prob = (const float *)vk_net_data(&w->net, "log_prob") + VK_DECISION_BINS * i,
      .value = (const float *)vk_net_data(&w->net, "value") + VK_NANO_STEPS * i,
  };
  return p->watch(p->arg, &decision, err);
}

/* At most as many as the worker takes. action: [n, n_action_step, 7] out. */
static vk_status decide(const checkpoint_policy *p, worker *w, int n, const vk_policy_obs *obs,
                        double *action, vk_err *err)
{
  vk_nano_obs seen[BATCH_MAX];
  float proprio[BATCH_MAX][VK_VIEW_PROPRIO];
  int i_text[BATCH_MAX], n_word[BATCH_MAX];
  const vk_graph *g = &w->net.plan->graph;
  int n_text = set_texts(p, w, n, obs, i_text, n_word);
  for (int i = 0; i < n; i++) {
    const slot *s = &p->slot[obs[i].i_env];
    seen[i] = (vk_nano_obs){
        .image = {obs[i].picture[0], p->n_view > 1 ? obs[i].picture[1] : NULL},
        .proprio = scale_proprio(s, obs[i].robot, proprio[i]) ? proprio[i] : NULL,
        .i_text = i_text[i],
    };
    if (p->temperature > 0)
      set_key(p, &obs[i], (int32_t *)vk_net_data(&w->net, "key") + 2 * i);
  }
  VK_TRY(vk_nano_set_obs(w->net.exec, g, seen, n, n_word, n_text, err));
  VK_TRY(vk_exec_run(w->net.exec, err));
  const int32_t *bin = vk_net_data(&w->net, "bin");
  const int64_t n_step = p->info->n_action_step;
  for (int i = 0; i < n; i++) {
    double *own = action + (int64_t)VK_N_ACTION * n_step * i;
    vk_action_decode(&p->slot[obs[i].i_env].stats->action, n_step, bin + VK_DECISION_BINS * i, own);
    for (int64_t k = 0; k < n_step; k++)
      own[VK_N_ACTION * k + 6] = vk_action_gripper_to_libero(own[VK_N_ACTION * k + 6]);
    if (p->watch)
      VK_TRY(tell_watch(p, w, i, &obs[i], &seen[i], err));
  }
  return VK_OK;
}

static vk_status act(void *state, int n, const vk_policy_obs *obs, double *action, vk_err *err)
{
  checkpoint_policy *p = state;
  worker *w = NULL;
  VK_TRY(take_worker(p, &w, n, err));
  vk_status st = VK_OK;
  for (int i = 0; i < n && st == VK_OK; i += p->batch_max) {
    int n_now = n - i < p->batch_max ? n - i : p->batch_max;
    st = decide(p, w, n_now, obs + i, action + (int64_t)VK_N_ACTION * p->info->n_action_step * i,
                err);
  }
  give_worker(p, w);
  return st;
}

/* ---- opening ---- */

static void close_policy(void *state)
{
  checkpoint_policy *p = state;
  if (!p)
    return;
  for (worker *w = p->idle, *next; w; w = next) {
    next = w->next;
    free_worker(w);
    free(w);
  }
  free_worker(&p->text);
  pthread_mutex_destroy(&p->mutex);
  vk_params_free(&p->own_params);
  vk_checkpoint_close(&p->own_info);
  free(p->text_block);
  free(p->slot);
  free(p);
}

/* Slots and the encoder of instructions. info and params are set. */
static vk_status prepare(checkpoint_policy *p, const vk_policy_args *args, vk_err *err)
{
  const vk_nano_config *c = (const vk_nano_config *)p->info->model.config;
  p->d = (int)c->d_model;
  p->n_view = (int)c->n_view;
  p->isa = args->isa;
  if (p->params->device.def != &vk_device_cpu)
    p->device = p->params->device;
  p->seed = args->seed;
  p->temperature = args->temperature;
  p->n_slot = args->n_env;
  const int most = is_on_gpu(p) ? BATCH_MAX : BATCH_MAX_CPU;
  p->batch_max = p->n_slot < most ? p->n_slot : most;
  size_t n = (size_t)args->n_env, room = (size_t)p->d * (VK_NANO_WORDS + 1);
  p->slot = calloc(n, sizeof *p->slot);
  p->text_block = malloc(n * room * sizeof *p->text_block);
  if (!p->slot || !p->text_block)
    return vk_fail(err, VK_E_NOMEM, "no memory for the instructions of %zu slots", n);
  for (size_t i = 0; i < n; i++) {
    p->slot[i].text = p->text_block + i * room;
    p->slot[i].word = p->slot[i].text + p->d;
  }
  for (int i = 0; i < p->info->n_stats; i++)
    if (p->info->stats[i].action.n_dim != VK_N_ACTION)
      return vk_fail(err, VK_E_SHAPE, "statistics of %s are of %d numbers: actions have %d",
                     p->info->stats[i].key, p->info->stats[i].action.n_dim, VK_N_ACTION);
  VK_TRY(make_net(p, &p->text, VK_PART_TEXT, 1, err));
  worker *first = NULL; /* now, so that what does not fit is known before an episode begins */
  VK_TRY(take_worker(p, &first, 1, err));
  give_worker(p, first);
  return VK_OK;
}

static vk_status new_policy(checkpoint_policy **out, const vk_policy_args *args, vk_err *err)
{
  *out = NULL;
  if (!(args->temperature >= 0 && args->temperature <= 100))
    return vk_fail(err, VK_E_RANGE, "a temperature of %g: expected 0 to 100", args->temperature);
  if (args->n_env < 1)
    return vk_fail(err, VK_E_RANGE, "%d slots: there must be some", args->n_env);
  checkpoint_policy *p = *out = calloc(1, sizeof *p);
  if (!p)
    return vk_fail(err, VK_E_NOMEM, "no memory for a policy");
  pthread_mutex_init(&p->mutex, NULL);
  return VK_OK;
}

/* Of the parameters as they are used, and of all that config.json says but where they come from. */
static vk_status hash_policy(checkpoint_policy *p, vk_err *err)
{
  vk_sha256 h;
  cJSON *config = NULL;
  char *text = NULL;
  VK_TRY(vk_checkpoint_config(&config, p->info, p->info->step, err));
  cJSON_DeleteItemFromObjectCaseSensitive(config, "provenance");
  cJSON_DeleteItemFromObjectCaseSensitive(config, "step");
  vk_status st = vk_json_text(&text, config, err);
  cJSON_Delete(config);
  VK_TRY(st);
  vk_sha256_init(&h);
  vk_sha256_add(&h, text, strlen(text) + 1);
  vk_sha256_add(&h, p->params->data, sizeof *p->params->data * (size_t)p->params->n_item);
  vk_sha256_end_hex(&h, p->hash);
  cJSON_free(text);
  return VK_OK;
}

static vk_status open_checkpoint(void **state, const vk_policy_args *args, vk_err *err)
{
  checkpoint_policy *p;
  VK_TRY(new_policy(&p, args, err));
  vk_status st = vk_checkpoint_open(&p->own_info, args->argument, err);
  if (st == VK_OK)
    st = vk_checkpoint_load(&p->own_info, &p->own_params, err);
  p->info = &p->own_info;
  p->params = &p->own_params;
  if (st == VK_OK)
    st = hash_policy(p, err);
  if (st == VK_OK && args->device)
    st = vk_params_move(&p->own_params, args->device, err);
  if (st == VK_OK)
    st = prepare(p, args, err);
  if (st == VK_OK)
    *state = p;
  else
    close_policy(p);
  return st;
}

static void identify(const void *state, vk_sha256 *hash)
{
  const checkpoint_policy *p = state;
  char text[32];
  snprintf(text, sizeof text, "%.17g", p->temperature);
  vk_sha256_add(hash, p->hash, sizeof p->hash);
  vk_sha256_add(hash, text, strlen(text));
}

static vk_status check_suite(const void *state, const char *suite, vk_err *err)
{
  const checkpoint_policy *p = state;
  const vk_norm_stats *stats;
  return vk_norm_stats_find(&stats, p->info->stats, p->info->n_stats, suite, err);
}

static void describe(const void *state, vk_policy *policy)
{
  const checkpoint_policy *p = state;
  policy->n_action = (int)p->info->n_action_step;
  policy->n_view = p->n_view;
  policy->is_batched = is_on_gpu(p);
  policy->view = p->info->view;
  policy->source = &p->info->source;
  policy->thread_bytes = is_on_gpu(p) ? 0 : vk_plan_bytes(p->idle->net.plan);
  if (p->temperature > 0)
    snprintf(policy->decoding, sizeof policy->decoding, "sampled at T %g", p->temperature);
  else
    snprintf(policy->decoding, sizeof policy->decoding, "greedy (%s)",
             vk_greedy_names[p->info->greedy]);
}

vk_status vk_policy_checkpoint_open(vk_policy *policy, const vk_checkpoint_info *info,
                                    const vk_params *params, const vk_policy_args *args,
                                    vk_decision_fn *watch, void *arg, vk_err *err)
{
  checkpoint_policy *p;
  *policy = (vk_policy){0};
  VK_TRY(new_policy(&p, args, err));
  p->info = info;
  p->params = params;
  p->watch = watch;
  p->arg = arg;
  vk_status st = prepare(p, args, err);
  if (st != VK_OK) {
    close_policy(p);
    return st;
  }
  policy->def = &vk_policy_checkpoint;
  policy->state = p;
  describe(p, policy);
  return VK_OK;
}

const vk_policy_def vk_policy_checkpoint = {
    .name = "checkpoint",
    .help = "a trained policy's folder or .safetensors file; DIR alone means the same",
    .argument = "DIR",
    .needs = VK_POLICY_PICTURES | VK_POLICY_DRAWS | VK_POLICY_READS,
    .open = open_checkpoint,
    .close = close_policy,
    .begin = begin,
    .act = act,
    .check_suite = check_suite,
    .identify = identify,
    .describe = describe,
};
