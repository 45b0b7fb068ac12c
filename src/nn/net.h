/* net.h - a model made ready: its graph planned for a target, an executor with parameters (and
 * gradients) bound. What commands, policies and trainers hold.
 *
 * Test: tests/unit/test_model_nano.c */
#ifndef VK_NN_NET_H
#define VK_NN_NET_H

#include "nn/exec.h"
#include "nn/model.h"
#include "nn/optim.h"

typedef struct vk_net {
  vk_plan *plan;
  vk_exec *exec;
} vk_net;

/* Builds the model's graph and plans it: all bytes are known, and nothing of them is allocated yet.
 * Errors: those of vk_model_build and vk_plan_new. */
VK_NODISCARD vk_status vk_net_plan(vk_plan **out, const vk_model *model, const vk_model_args *args,
                                   const vk_target *target, vk_err *err);

/* Does that, and binds what it has of p (data) and, where target->is_train,
 * of grad (a block as vk_params_block makes; NULL when not training). p and grad lie in memory of
 * the device (vk_params_move); they, what device has and trace must outlive it. Parameters of p
 * that this graph does not have are ignored; all of the graph must be in p. Errors: those of
 * vk_net_plan; VK_E_NOMEM, also when the machine has less memory left than the plan takes: with the
 * largest tensors, and before any of it is allocated. */
VK_NODISCARD vk_status vk_net_new(vk_net *net, const vk_model *model, const vk_model_args *args,
                                  const vk_target *target, const vk_params *p, float *grad,
                                  const vk_device *device, vk_trace *trace, vk_err *err);
void vk_net_free(vk_net *net);

/* Where the input or output of that name lies; NULL when the planned graph has none or no node uses
 * it. */
void *vk_net_data(const vk_net *net, const char *name);

/* The parameters of a model (of all its parts), all 0 or at their random start.
 * Errors: VK_E_NOMEM, those of vk_model_build. */
VK_NODISCARD vk_status vk_net_params_zero(vk_params *p, const vk_model *model, vk_err *err);
VK_NODISCARD vk_status vk_net_params_new(vk_params *p, const vk_model *model, uint64_t seed,
                                         vk_err *err);

/* An optimiser over p with weight decay where the model says so. Spans and groups live in *spans,
 * which must outlive it; free it. Errors: VK_E_NOMEM, VK_E_RANGE. */
VK_NODISCARD vk_status vk_net_optim_new(vk_optim **out, vk_optim_span **spans,
                                        const vk_model *model, vk_params *p, const float *grad,
                                        const vk_optim_config *config, double weight_decay,
                                        vk_err *err);

#endif
