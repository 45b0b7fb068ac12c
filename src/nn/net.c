#include "nn/net.h"

#include <stdlib.h>
#include <string.h>

#include "core/sys.h"

/* Binds what lies in the caller's memory. */
static vk_status bind(vk_net *net, const vk_params *p, float *grad, vk_err *err)
{
  const vk_graph *g = &net->plan->graph;
  for (int v = 0; v < g->n_value; v++) {
    const vk_value *x = &g->value[v];
    bool is_sum = x->kind == VK_INPUT && x->is_external && strncmp(x->name, "sum.", 4) == 0;
    if (x->kind != VK_PARAM && !is_sum)
      continue;
    const vk_param *a = vk_params_find(p, is_sum ? x->name + 4 : x->name);
    if (!a || !vk_shape_equal(&a->shape, &x->shape))
      return vk_fail(err, VK_E_MISMATCH, "%s: parameter %s is not among those given", g->name,
                     x->name);
    vk_exec_bind(net->exec, v, (is_sum ? grad : p->data) + a->offset);
  }
  for (int i = 0; i < g->n_output; i++) {
    const vk_output *o = &g->output[i];
    if (o->is_external && strncmp(o->name, "grad.", 5) == 0) {
      const vk_param *a = vk_params_find(p, o->name + 5);
      VK_ASSERT(a && grad);
      vk_exec_bind(net->exec, o->value, grad + a->offset);
    }
  }
  return VK_OK;
}

vk_status vk_net_plan(vk_plan **out, const vk_model *model, const vk_model_args *args,
                      const vk_target *target, vk_err *err)
{
  vk_graph g;
  *out = NULL;
  vk_graph_init(&g, model->name);
  vk_status st = vk_model_build(&g, model, args, err);
  if (st == VK_OK)
    st = vk_plan_new(out, &g, target, NULL, NULL, err);
  vk_graph_fini(&g);
  return st;
}

/* The CPU's memory is given before it is there; whoever touches it then is killed. A GPU refuses.
 */
static vk_status check_memory(const vk_plan *plan, vk_err *err)
{
  char largest[VK_PLAN_LARGEST];
  uint64_t bytes = vk_plan_bytes(plan), have = vk_sys_available_bytes();
  if (!vk_target_is_cpu(&plan->target) || have == 0 || bytes <= have)
    return VK_OK;
  return vk_fail(err, VK_E_NOMEM,
                 "%s takes %.1f GB at this batch, the machine has %.1f GB left; the largest "
                 "tensors: %s; take a smaller batch",
                 plan->graph.name, (double)bytes / 1e9, (double)have / 1e9,
                 vk_plan_largest(plan, largest, sizeof largest));
}

vk_status vk_net_new(vk_net *net, const vk_model *model, const vk_model_args *args,
                     const vk_target *target, const vk_params *p, float *grad,
                     const vk_device *device, vk_trace *trace, vk_err *err)
{
  *net = (vk_net){0};
  vk_status st = vk_net_plan(&net->plan, model, args, target, err);
  if (st == VK_OK)
    st = check_memory(net->plan, err);
  if (st == VK_OK)
    st = vk_exec_new(&net->exec, net->plan, device, trace, err);
  if (st == VK_OK)
    st = bind(net, p, grad, err);
  if (st == VK_OK)
    st = vk_exec_prepare(net->exec, err);
  if (st != VK_OK)
    vk_net_free(net);
  return st;
}

void vk_net_free(vk_net *net)
{
  vk_exec_free(net->exec);
  vk_plan_free(net->plan);
  *net = (vk_net){0};
}

void *vk_net_data(const vk_net *net, const char *name)
{
  const vk_graph *g = &net->plan->graph;
  vk_id v = vk_graph_find(g, name);
  if (v == VK_NONE)
    v = vk_graph_find_output(g, name);
  return v == VK_NONE ? NULL : vk_exec_data(net->exec, v);
}

vk_status vk_net_params_zero(vk_params *p, const vk_model *model, vk_err *err)
{
  vk_graph g;
  *p = (vk_params){0};
  vk_graph_init(&g, model->name);
  vk_status st = vk_model_build(&g, model, &(vk_model_args){.n_batch = 1, .with_value = true}, err);
  if (st == VK_OK)
    st = vk_params_new(p, &g, err);
  vk_graph_fini(&g);
  return st;
}

vk_status vk_net_params_new(vk_params *p, const vk_model *model, uint64_t seed, vk_err *err)
{
  VK_TRY(vk_net_params_zero(p, model, err));
  model->def->init(p, model->config, seed);
  return VK_OK;
}

vk_status vk_net_optim_new(vk_optim **out, vk_optim_span **spans, const vk_model *model,
                           vk_params *p, const float *grad, const vk_optim_config *config,
                           double weight_decay, vk_err *err)
{
  *out = NULL;
  *spans = calloc((size_t)p->n_param + 1, sizeof **spans);
  if (!*spans)
    return vk_fail(err, VK_E_NOMEM, "no memory for %d parameters", p->n_param);
  for (int i = 0; i < p->n_param; i++)
    (*spans)[i] = (vk_optim_span){.name = p->param[i].name,
                                  .offset = p->param[i].offset,
                                  .n = p->param[i].n,
                                  .i_group = model->def->has_decay(&p->param[i]) ? 0 : 1};
  const vk_optim_group group[] = {{.lr_scale = 1, .weight_decay = weight_decay}, {.lr_scale = 1}};
  return vk_optim_new(out, config, group, 2, *spans, p->n_param, p->data, grad, err);
}
