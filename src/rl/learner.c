#include "rl/learner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"

/* ---- opening ------------------------------------------------------------------------------- */

/* Groups of the optimiser: two of each part of a network, without and with decay. */
enum { TRUNK, STEM, VALUE, PARTS, FROZEN = 2 * PARTS };
static const char *const prefix[] = {[STEM] = "stem.", [VALUE] = "value."};

static double lr_scale(const vk_learner *l, int i_group)
{
  const double share[] = {[TRUNK] = 1, [STEM] = l->config.stem_lr, [VALUE] = l->config.value_lr};
  return share[i_group / 2] > 0 ? share[i_group / 2] : 1;
}

/* Which group of the optimiser each parameter is in: those of a part learn alike, and those without
 * gradients stay. */
static vk_status make_spans(vk_learner *l, vk_err *err)
{
  const vk_replica *r = &l->replica[0];
  const vk_params *p = &r->params;
  l->spans = calloc((size_t)p->n_param + 1, sizeof *l->spans);
  if (!l->spans)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d parameters", p->n_param);
  for (int i = 0; i < p->n_param; i++) {
    const vk_param *a = &p->param[i];
    char name[160];
    snprintf(name, sizeof name, "grad.%.150s", a->name);
    int part = TRUNK;
    for (int k = STEM; k < PARTS; k++)
      part = strncmp(a->name, prefix[k], strlen(prefix[k])) == 0 ? k : part;
    bool is_frozen = vk_graph_find_output(&r->net.plan->graph, name) == VK_NONE;
    l->spans[i] = (vk_optim_span){
        .name = a->name,
        .offset = a->offset,
        .n = a->n,
        .i_group = is_frozen ? FROZEN : 2 * part + (l->model.def->has_decay(a) ? 1 : 0)};
  }
  return VK_OK;
}

static vk_status open_optim(vk_learner *l, int i, vk_err *err)
{
  const vk_learner_config *c = &l->config;
  vk_replica *r = &l->replica[i];
  vk_optim_group group[FROZEN + 1] = {[FROZEN] = {.is_frozen = true}};
  for (int k = 0; k < FROZEN; k++)
    group[k] =
        (vk_optim_group){.lr_scale = lr_scale(l, k), .weight_decay = k % 2 ? c->weight_decay : 0};
  vk_optim_config optim = c->optim;
  optim.device = &c->devices->device[i];
  return vk_optim_new(&r->optim, &optim, group, VK_COUNT(group), l->spans, r->params.n_param,
                      r->params.data, r->grad, err);
}

/* Whether gradients of micro-batches add up. */
static bool adds(const vk_learner_config *c)
{
  return c->is_sum || c->n_micro > 1 || c->devices->n > 1;
}

vk_target vk_learner_target(const vk_learner_config *c, bool is_train)
{
  const vk_device *d = &c->devices->device[0];
  return (vk_target){.device = d->def,
                     .isa = c->isa,
                     .n_thread = vk_team_n_thread(d->team),
                     .is_train = is_train,
                     .loss = is_train ? "loss" : NULL,
                     .recompute = is_train && c->recompute,
                     .accumulate = is_train && adds(c),
                     .is_bf16 = c->is_bf16};
}

vk_status vk_learner_plan(vk_learner *l, vk_err *err)
{
  const vk_learner_config *c = &l->config;
  const vk_target target = vk_learner_target(c, true);
  for (int i = 0; i < l->n_replica; i++) {
    vk_replica *r = &l->replica[i];
    vk_net_free(&r->net);
    VK_TRY(vk_net_new(&r->net, &l->model, &c->args, &target, &r->params, r->grad,
                      &c->devices->device[i], c->trace, err));
    vk_id logits = vk_graph_find_output(&r->net.plan->graph, "logits");
    if (logits != VK_NONE)
      vk_exec_ignore(r->net.exec, logits); /* tens of megabytes of a large batch */
  }
  return VK_OK;
}

static vk_status open_check(vk_learner *l, vk_err *err)
{
  const vk_learner_config *c = &l->config;
  vk_model_args args = c->args;
  args.dropout = 0;
  const vk_target target = vk_learner_target(c, false);
  vk_params used = l->replica[0].params;
  used.data = (float *)vk_learner_weights(l);
  return vk_net_new(&l->check, &l->model, &args, &target, &used, NULL, &c->devices->device[0],
                    c->trace, err);
}

/* All begin with the same parameters. */
static vk_status open_params(vk_learner *l, int i, vk_err *err)
{
  const vk_learner_config *c = &l->config;
  vk_replica *r = &l->replica[i];
  VK_TRY(vk_net_params_new(&r->params, &l->model, c->seed, err));
  if (c->weights)
    VK_TRY(vk_params_load(&r->params, c->weights, err));
  if (c->devices->device[i].def != &vk_device_cpu)
    VK_TRY(vk_params_move(&r->params, &c->devices->device[i], err));
  return vk_params_block(&r->params, &r->grad, err);
}

vk_status vk_learner_new(vk_learner *l, const vk_learner_config *config, vk_err *err)
{
  *l = (vk_learner){.config = *config, .model = *config->model, .n_replica = config->devices->n};
  vk_status st = VK_OK;
  l->n_word = calloc((size_t)config->args.n_batch, sizeof *l->n_word);
  if (!l->n_word)
    st = vk_fail(err, VK_E_NOMEM, "no memory for a learner");
  for (int i = 0; i < l->n_replica && st == VK_OK; i++)
    st = open_params(l, i, err);
  if (st == VK_OK)
    st = vk_learner_plan(l, err);
  if (st == VK_OK)
    st = make_spans(l, err);
  for (int i = 0; i < l->n_replica && st == VK_OK; i++)
    st = open_optim(l, i, err);
  if (st == VK_OK && config->has_check)
    st = open_check(l, err);
  if (st != VK_OK)
    vk_learner_free(l);
  return st;
}

void vk_learner_free(vk_learner *l)
{
  vk_net_free(&l->check);
  for (int i = 0; i < l->n_replica; i++) {
    vk_replica *r = &l->replica[i];
    vk_optim_free(r->optim);
    vk_net_free(&r->net);
    vk_params_block_free(&r->params, r->grad);
    vk_params_free(&r->params);
  }
  free(l->spans);
  free(l->n_word);
  *l = (vk_learner){0};
}

uint64_t vk_learner_bytes(const vk_learner *l)
{
  const vk_replica *r = &l->replica[0];
  uint64_t n_block = 4 + (vk_optim_ema(r->optim) != NULL); /* parameters, gradients, moments */
  uint64_t bytes = vk_plan_bytes(r->net.plan) + n_block * 4 * (uint64_t)r->params.n_item;
  return l->check.plan ? bytes + vk_plan_bytes(l->check.plan) : bytes;
}

/* ---- a step -------------------------------------------------------------------------------- */

static vk_status set_inputs(vk_learner *l, vk_net *net, const vk_batch *b, vk_err *err)
{
  const vk_graph *g = &net->plan->graph;
  if (b->n > l->config.args.n_batch)
    return vk_fail(err, VK_E_RANGE, "a batch of %d samples: at most %lld fit", b->n,
                   (long long)l->config.args.n_batch);
  VK_TRY(vk_nano_set_text(net->exec, g, b->text, b->n_text, l->n_word, err));
  VK_TRY(vk_nano_set_obs_by(l->config.devices->device[0].team, net->exec, g, b->obs, b->n,
                            l->n_word, b->n_text, err));
  memcpy(vk_net_data(net, "target"), b->target, sizeof(int32_t) * (size_t)b->n * VK_CHUNK_TARGETS);
  return VK_OK;
}

/* The stream of dropout's masks: 32 bits, as the op takes them. */
static int32_t dropout_stream(uint64_t seed, int64_t number)
{
  vk_philox rng;
  vk_philox_init(&rng, seed, (uint64_t)number);
  return (int32_t)vk_philox_u32(&rng);
}

int vk_learner_turn(const vk_learner *l)
{
  return l->n_started % l->n_replica;
}

vk_status vk_learner_begin(vk_learner *l, vk_err *err)
{
  VK_ASSERT(!l->is_put || vk_learner_turn(l) == 0); /* whose turn it is stays so */
  for (int i = 0; i < l->n_replica; i++) {          /* of a step that was given up */
    VK_TRY(vk_exec_wait(l->replica[i].net.exec, err));
    l->replica[i].is_running = false;
  }
  l->n_started = l->n_taken = 0;
  l->loss = 0;
  for (int i = 0; i < l->n_replica && adds(&l->config); i++)
    VK_TRY(vk_device_zero(&l->config.devices->device[i], l->replica[i].grad,
                          sizeof(float) * (size_t)l->replica[i].params.n_item, err));
  return VK_OK;
}

vk_status vk_learner_put(vk_learner *l, const vk_batch *batch, int64_t number, vk_err *err)
{
  VK_ASSERT(!l->is_put);
  vk_replica *r = &l->replica[vk_learner_turn(l)];
  VK_TRY(set_inputs(l, &r->net, batch, err));
  int32_t *stream = vk_net_data(&r->net, "step");
  if (stream)
    *stream = dropout_stream(l->config.seed, number);
  VK_TRY(vk_exec_send(r->net.exec, err));
  r->next_number = number;
  l->is_put = true;
  return VK_OK;
}

void vk_learner_unput(vk_learner *l)
{
  l->is_put = false;
}

vk_status vk_learner_start(vk_learner *l, vk_err *err)
{
  int i = vk_learner_turn(l);
  vk_replica *r = &l->replica[i];
  VK_TRY(vk_learner_take(l, i, err));
  VK_TRY(vk_exec_start(r->net.exec, err));
  r->is_running = true;
  r->number = r->next_number;
  l->n_started++;
  l->is_put = false;
  return VK_OK;
}

vk_status vk_learner_add(vk_learner *l, const vk_batch *batch, int64_t number, vk_err *err)
{
  VK_TRY(vk_learner_put(l, batch, number, err));
  return vk_learner_start(l, err);
}

vk_status vk_learner_take(vk_learner *l, int i, vk_err *err)
{
  vk_replica *r = &l->replica[i];
  if (!r->is_running)
    return VK_OK;
  r->is_running = false;
  l->n_taken++;
  l->number = r->number;
  VK_TRY(vk_exec_wait(r->net.exec, err));
  double loss = *(const float *)vk_net_data(&r->net, "loss");
  l->loss += loss;
  return isfinite(loss) ? VK_OK : vk_fail(err, VK_E_DIVERGED, "the loss is %g", loss);
}

vk_status vk_learner_wait(vk_learner *l, double *loss, vk_err *err)
{
  for (int i = 0; i < l->n_replica; i++) /* in the order of their start */
    VK_TRY(vk_learner_take(l, (l->n_started + i) % l->n_replica, err));
  *loss = l->n_taken > 0 ? l->loss / l->n_taken : 0;
  return VK_OK;
}

bool vk_learner_is_busy(const vk_learner *l)
{
  for (int i = 0; i < l->n_replica; i++)
    if (l->replica[i].is_running && vk_exec_is_busy(l->replica[i].net.exec))
      return true;
  return false;
}

/* Gradients of all but the value head become 0. */
static vk_status forget_others(vk_learner *l, int i_replica, vk_err *err)
{
  vk_replica *r = &l->replica[i_replica];
  for (int i = 0; i < r->params.n_param; i++) {
    const vk_param *p = &r->params.param[i];
    if (strncmp(p->name, prefix[VALUE], strlen(prefix[VALUE])) != 0)
      VK_TRY(vk_device_zero(&l->config.devices->device[i_replica], r->grad + p->offset,
                            sizeof *r->grad * (size_t)p->n, err));
  }
  return VK_OK;
}

vk_status vk_learner_hold(vk_learner *l, bool is_value_alone, vk_err *err)
{
  for (int k = 0; k < l->n_replica; k++) {
    for (int i = 0; i < FROZEN; i++)
      vk_optim_set_lr_scale(l->replica[k].optim, i,
                            is_value_alone && i / 2 != VALUE ? 0 : lr_scale(l, i));
    if (is_value_alone)
      VK_TRY(forget_others(l, k, err));
  }
  return VK_OK;
}

static vk_status sum_gradients(vk_learner *l, vk_err *err)
{
  float *grad[VK_DEVICES_MAX];
  for (int i = 0; i < l->n_replica; i++)
    grad[i] = l->replica[i].grad;
  return vk_device_group_sum(l->config.devices, grad, l->replica[0].params.n_item, err);
}

vk_status vk_learner_step(vk_learner *l, double lr, double *grad_norm, vk_err *err)
{
  VK_ASSERT(l->n_taken == l->n_started && (l->config.is_sum || l->n_taken > 0));
  double scale = l->config.is_sum ? 1 : 1.0 / l->n_taken;
  vk_trace_span span = vk_trace_begin(l->config.trace, "train", "optimiser");
  vk_status st = sum_gradients(l, err);
  for (int i = 0; i < l->n_replica && st == VK_OK; i++)
    st = vk_optim_step(l->replica[i].optim, l->config.devices->device[i].team, lr, scale, grad_norm,
                       err);
  vk_trace_end(&span);
  return st;
}

vk_status vk_learner_grad_norm(const vk_learner *l, double *norm, vk_err *err)
{
  double sum = 0;
  for (int k = 0; k < l->n_replica; k++) {
    const vk_replica *r = &l->replica[k];
    const vk_device *device = &l->config.devices->device[k];
    const size_t bytes = sizeof *r->grad * (size_t)r->params.n_item;
    void *view;
    VK_TRY(vk_device_view(device, r->grad, bytes, &view, err));
    for (int64_t i = 0; i < r->params.n_item; i++)
      sum += (double)((const float *)view)[i] * (double)((const float *)view)[i];
    vk_device_unview(device, view);
  }
  *norm = isfinite(sum) ? sqrt(sum) : INFINITY;
  return VK_OK;
}

/* ---- the weights that are used ------------------------------------------------------------- */

const float *vk_learner_weights(const vk_learner *l)
{
  const float *average = vk_optim_ema(l->replica[0].optim);
  return average ? average : l->replica[0].params.data;
}

vk_status vk_learner_check_begin(vk_learner *l, vk_err *err)
{
  return vk_exec_prepare(l->check.exec, err);
}

vk_status vk_learner_check(vk_learner *l, const vk_batch *batch, double *loss, vk_err *err)
{
  VK_TRY(set_inputs(l, &l->check, batch, err));
  VK_TRY(vk_exec_run(l->check.exec, err));
  *loss = *(const float *)vk_net_data(&l->check, "loss");
  return VK_OK;
}
