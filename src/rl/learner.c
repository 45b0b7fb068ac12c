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

/* An optimiser over all parameters: those of a part learn alike, and those without gradients
 * stay. */
static vk_status open_optim(vk_learner *l, vk_err *err)
{
  const vk_learner_config *c = &l->config;
  vk_optim_group group[FROZEN + 1] = {[FROZEN] = {.is_frozen = true}};
  for (int i = 0; i < FROZEN; i++)
    group[i] =
        (vk_optim_group){.lr_scale = lr_scale(l, i), .weight_decay = i % 2 ? c->weight_decay : 0};
  const vk_params *p = &l->params;
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
    bool is_frozen = vk_graph_find_output(&l->net.plan->graph, name) == VK_NONE;
    l->spans[i] = (vk_optim_span){
        .name = a->name,
        .offset = a->offset,
        .n = a->n,
        .i_group = is_frozen ? FROZEN : 2 * part + (l->model.def->has_decay(a) ? 1 : 0)};
  }
  vk_optim_config optim = c->optim;
  optim.device = &c->device;
  return vk_optim_new(&l->optim, &optim, group, VK_COUNT(group), l->spans, p->n_param, p->data,
                      l->grad, err);
}

/* Whether gradients of micro-batches add up. */
static bool adds(const vk_learner_config *c)
{
  return c->is_sum || c->n_micro > 1;
}

vk_status vk_learner_plan(vk_learner *l, vk_err *err)
{
  const vk_learner_config *c = &l->config;
  const vk_target target = {.device = c->device.def,
                            .isa = c->isa,
                            .n_thread = vk_team_n_thread(c->device.team),
                            .is_train = true,
                            .loss = "loss",
                            .accumulate = adds(c),
                            .is_bf16 = c->is_bf16};
  vk_net_free(&l->net);
  return vk_net_new(&l->net, &l->model, &c->args, &target, &l->params, l->grad, &c->device,
                    c->trace, err);
}

static vk_status open_nets(vk_learner *l, vk_err *err)
{
  const vk_learner_config *c = &l->config;
  VK_TRY(vk_learner_plan(l, err));
  VK_TRY(open_optim(l, err));
  if (!c->has_check)
    return VK_OK;
  vk_model_args args = c->args;
  args.dropout = 0;
  const vk_target target = {.device = c->device.def,
                            .isa = c->isa,
                            .n_thread = vk_team_n_thread(c->device.team),
                            .is_bf16 = c->is_bf16};
  vk_params used = l->params;
  used.data = (float *)vk_learner_weights(l);
  return vk_net_new(&l->check, &l->model, &args, &target, &used, NULL, &c->device, c->trace, err);
}

vk_status vk_learner_new(vk_learner *l, const vk_learner_config *config, vk_err *err)
{
  *l = (vk_learner){.config = *config, .model = *config->model};
  vk_status st = VK_OK;
  VK_TRY_DONE(vk_net_params_new(&l->params, &l->model, config->seed, err));
  if (config->weights)
    VK_TRY_DONE(vk_params_load(&l->params, config->weights, err));
  if (config->device.def != &vk_device_cpu)
    VK_TRY_DONE(vk_params_move(&l->params, &config->device, err));
  l->grad = vk_params_block(&l->params);
  l->n_word = calloc((size_t)config->args.n_batch, sizeof *l->n_word);
  if (!l->grad || !l->n_word) {
    st = vk_fail(err, VK_E_NOMEM, "no memory for gradients of %lld numbers",
                 (long long)l->params.n_item);
    goto done;
  }
  st = open_nets(l, err);
done:
  if (st != VK_OK)
    vk_learner_free(l);
  return st;
}

void vk_learner_free(vk_learner *l)
{
  vk_net_free(&l->check);
  vk_optim_free(l->optim);
  free(l->spans);
  vk_net_free(&l->net);
  vk_params_block_free(&l->params, l->grad);
  free(l->n_word);
  vk_params_free(&l->params);
  *l = (vk_learner){0};
}

uint64_t vk_learner_bytes(const vk_learner *l)
{
  uint64_t n_block = 4 + (vk_optim_ema(l->optim) != NULL); /* parameters, gradients, moments */
  uint64_t bytes = vk_plan_bytes(l->net.plan) + n_block * 4 * (uint64_t)l->params.n_item;
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
  VK_TRY(vk_nano_set_obs(net->exec, g, b->obs, b->n, l->n_word, b->n_text, err));
  memcpy(vk_net_data(net, "target"), b->target, sizeof(int32_t) * (size_t)b->n * VK_CHUNK_TARGETS);
  return VK_OK;
}

vk_status vk_learner_begin(vk_learner *l, vk_err *err)
{
  l->n_added = 0;
  if (!adds(&l->config))
    return VK_OK;
  return vk_device_zero(&l->config.device, l->grad, sizeof(float) * (size_t)l->params.n_item, err);
}

/* The stream of dropout's masks: 32 bits, as the op takes them. */
static int32_t dropout_stream(uint64_t seed, int64_t number)
{
  vk_philox rng;
  vk_philox_init(&rng, seed, (uint64_t)number);
  return (int32_t)vk_philox_u32(&rng);
}

vk_status vk_learner_add(vk_learner *l, const vk_batch *batch, int64_t number, double *loss,
                         vk_err *err)
{
  VK_ASSERT(l->config.is_sum || l->n_added < l->config.n_micro);
  VK_TRY(set_inputs(l, &l->net, batch, err));
  int32_t *stream = vk_net_data(&l->net, "step");
  if (stream)
    *stream = dropout_stream(l->config.seed, number);
  VK_TRY(vk_exec_run(l->net.exec, err));
  l->n_added++;
  *loss = *(const float *)vk_net_data(&l->net, "loss");
  return isfinite(*loss) ? VK_OK : vk_fail(err, VK_E_DIVERGED, "the loss is %g", *loss);
}

vk_status vk_learner_hold(vk_learner *l, bool is_value_alone, vk_err *err)
{
  for (int i = 0; i < FROZEN; i++)
    vk_optim_set_lr_scale(l->optim, i, is_value_alone && i / 2 != VALUE ? 0 : lr_scale(l, i));
  for (int i = 0; i < l->params.n_param && is_value_alone; i++) {
    const vk_param *p = &l->params.param[i];
    if (strncmp(p->name, prefix[VALUE], strlen(prefix[VALUE])) != 0)
      VK_TRY(vk_device_zero(&l->config.device, l->grad + p->offset, sizeof *l->grad * (size_t)p->n,
                            err));
  }
  return VK_OK;
}

vk_status vk_learner_step(vk_learner *l, double lr, double *grad_norm, vk_err *err)
{
  VK_ASSERT(l->config.is_sum || l->n_added > 0);
  double scale = l->config.is_sum ? 1 : 1.0 / l->n_added;
  vk_trace_span span = vk_trace_begin(l->config.trace, "train", "optimiser");
  vk_status st = vk_optim_step(l->optim, l->config.device.team, lr, scale, grad_norm, err);
  vk_trace_end(&span);
  return st;
}

/* ---- the weights that are used ------------------------------------------------------------- */

const float *vk_learner_weights(const vk_learner *l)
{
  const float *average = vk_optim_ema(l->optim);
  return average ? average : l->params.data;
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
