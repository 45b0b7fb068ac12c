/* trainer_memory.c - whether a training run fits into memory, said before it is taken. */
#include "core/sys.h"
#include "rl/trainer_internal.h"

/* What there is for networks, with what this process has already; 0: not known. */
static uint64_t memory_of(const vk_device *d)
{
  vk_device_info info;
  if (d->def == &vk_device_cpu) {
    uint64_t left = vk_sys_available_bytes();
    return left ? left + vk_sys_resident_bytes() : 0;
  }
  return d->def->describe(d->index, &info, NULL) == VK_OK ? info.free_bytes : 0;
}

static uint64_t parameter_bytes(const vk_plan *plan)
{
  uint64_t n = 0;
  for (int v = 0; v < plan->graph.n_value; v++)
    if (plan->graph.value[v].kind == VK_PARAM)
      n += vk_value_bytes(&plan->graph.value[v]);
  return n;
}

/* largest [VK_PLAN_LARGEST] */
static vk_status foresee(const vk_learner_config *c, uint64_t *bytes, char *largest, vk_err *err)
{
  vk_plan *plan;
  vk_target target = vk_learner_target(c, true);
  uint64_t n_block = 4 + (c->optim.ema_decay > 0); /* as vk_learner_bytes counts them */
  VK_TRY(vk_net_plan(&plan, c->model, &c->args, &target, err));
  *bytes = vk_plan_bytes(plan) + n_block * parameter_bytes(plan);
  vk_plan_largest(plan, largest, VK_PLAN_LARGEST);
  vk_plan_free(plan);
  if (!c->has_check)
    return VK_OK;
  vk_model_args args = c->args;
  args.dropout = 0;
  target = vk_learner_target(c, false);
  VK_TRY(vk_net_plan(&plan, c->model, &args, &target, err));
  *bytes += vk_plan_bytes(plan);
  vk_plan_free(plan);
  return VK_OK;
}

vk_status vk_trainer_check_network(const vk_trainer *t, const vk_learner_config *c, vk_err *err)
{
  const vk_device *device = &t->devices.device[0];
  char largest[VK_PLAN_LARGEST];
  uint64_t bytes, have = memory_of(device);
  if (have == 0)
    return VK_OK;
  VK_TRY(foresee(c, &bytes, largest, err));
  if (bytes <= have)
    return VK_OK;
  return vk_fail(
      err, VK_E_NOMEM,
      "training %s takes %.1f GB in micro-batches of %lld, %s%s has %.1f GB; the largest "
      "tensors: %s; take a smaller micro_batch%s",
      t->model.name, (double)bytes / 1e9, (long long)t->config.train->micro_batch,
      device->def == &vk_device_cpu ? "the machine" : "device ",
      device->def == &vk_device_cpu ? "" : device->def->name, (double)have / 1e9, largest,
      c->recompute ? "" : ", or recompute=true");
}

/* Memory that is planned counts, whether it was touched yet or not. On another device than the CPU
 * the network's was taken as it was opened. */
vk_status vk_trainer_check_memory(const vk_trainer *t, vk_err *err)
{
  bool is_here = t->devices.device[0].def == &vk_device_cpu;
  uint64_t net = is_here ? vk_learner_bytes(&t->learner) : 0, data = t->data.bytes;
  uint64_t have = memory_of(VK_CPU(t->team));
  if (have == 0 || net + data <= have)
    return VK_OK;
  return vk_fail(err, VK_E_NOMEM,
                 "training %s takes %.1f GB in micro-batches of %lld and %.1f GB for data, the "
                 "machine has %.1f GB; take a smaller %smicro_batch%s",
                 t->model.name, (double)net / 1e9, (long long)t->config.train->micro_batch,
                 (double)data / 1e9, (double)have / 1e9, data > 0 ? "cache_mb or " : "",
                 t->learner.config.recompute || !is_here ? "" : ", or recompute=true");
}
