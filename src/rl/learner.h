/* learner.h - a network that learns: parameters, gradients, optimiser, and their average that is
 * used. What all methods of training do with a batch.
 *
 *   VK_TRY(vk_learner_begin(l, err));
 *   for every micro-batch: VK_TRY(vk_learner_add(l, batch, number, err));
 *   VK_TRY(vk_learner_wait(l, &loss, err));
 *   VK_TRY(vk_learner_step(l, lr, &grad_norm, err));
 *
 * On several devices each has a replica: parameters, gradients and optimiser of its own. They take
 * turns at the micro-batches, gradients are added up over them, and all take the same step.
 *
 * Bits depend on the parameters, the batches with their numbers, the seed, the number of threads
 * and of devices, and the path of isa. Test: tests/unit/test_trainer.c,
 * tests/unit/test_cuda_device.c */
#ifndef VK_RL_LEARNER_H
#define VK_RL_LEARNER_H

#include "nn/device_group.h"
#include "nn/net.h"
#include "rl/loader.h"

typedef struct vk_learner_config {
  const vk_model *model;
  const char *weights; /* begin with them: as vk_params_load; NULL: random ones */
  uint64_t seed;       /* of random parameters and of dropout */
  vk_model_args args;  /* n_batch: of a micro-batch; losses, dropout */
  int n_micro;         /* micro-batches a step */
  bool is_sum; /* losses are shares of a step's: gradients of any number of micro-batches are
                  summed, n_micro is not read; else it takes their mean */
  vk_optim_config optim;
  double weight_decay;
  double stem_lr, value_lr; /* of the stem and the value head: shares of lr; 0 means 1 */
  vk_isa isa;
  bool is_bf16;
  bool recompute;                 /* as vk_target's: less memory, more time, the same bits */
  bool has_check;                 /* vk_learner_check will be called */
  const vk_device_group *devices; /* it must outlive the learner, as trace must */
  vk_trace *trace;
} vk_learner_config;

/* What one device has. */
typedef struct vk_replica {
  vk_params params;
  float *grad; /* as params.data */
  vk_net net;  /* forward, loss, backward */
  vk_optim *optim;
  bool is_running;
  int64_t number, next_number; /* of the micro-batch that ran last, and of what was put */
} vk_replica;

typedef struct vk_learner {
  vk_learner_config config;
  vk_model model;
  int n_replica;
  vk_replica replica[VK_DEVICES_MAX]; /* alike after every step; the first stands for all */
  vk_optim_span *spans;               /* [params.n_param] */
  vk_net check;           /* of the first: the loss alone, by the weights that are used */
  int n_started, n_taken; /* micro-batches since vk_learner_begin */
  bool is_put;            /* the next one is where it will be computed */
  double loss;            /* sum over those taken */
  int64_t number;         /* of the last one taken: after VK_E_DIVERGED, of the culprit */
  int *n_word;            /* [args.n_batch] scratch */
} vk_learner;

/* What its networks are planned for: the one that learns, or the loss alone. */
vk_target vk_learner_target(const vk_learner_config *config, bool is_train);

/* Parameters that the losses do not reach (the value head's, without its loss) stay as they are.
 * Errors: those of vk_net_new, vk_params_load and vk_optim_new; VK_E_NOMEM. */
VK_NODISCARD vk_status vk_learner_new(vk_learner *l, const vk_learner_config *config, vk_err *err);
/* A zeroed one is allowed. */
void vk_learner_free(vk_learner *l);

/* Makes the network that learns anew: what args.extend_arg says has changed. Errors: those of
 * vk_net_new. */
VK_NODISCARD vk_status vk_learner_plan(vk_learner *l, vk_err *err);

/* A step begins: gradients are forgotten. Errors: those of the device, as of all that follows; the
 * CPU has none. */
VK_NODISCARD vk_status vk_learner_begin(vk_learner *l, vk_err *err);
/* Forward and backward pass of a micro-batch; its gradients are added. It may still run when this
 * returns, and batch may change. It is put and start:
 *   put    copies the next micro-batch to where it will be computed, while what was started runs;
 *          also that of the next step, at most one ahead
 *   start  computes what was put
 *   number of the micro-batch in the run: dropout's masks follow from it and the seed
 * Errors: VK_E_RANGE: the batch does not fit; VK_E_DIVERGED of one before it. */
VK_NODISCARD vk_status vk_learner_add(vk_learner *l, const vk_batch *batch, int64_t number,
                                      vk_err *err);
VK_NODISCARD vk_status vk_learner_put(vk_learner *l, const vk_batch *batch, int64_t number,
                                      vk_err *err);
VK_NODISCARD vk_status vk_learner_start(vk_learner *l, vk_err *err);
/* Forgets what was put; another is to be put before the next start. */
void vk_learner_unput(vk_learner *l);
/* Waits for the micro-batches of the step.
 *   loss  out: mean over them of the mean over a micro-batch's samples
 * Errors: VK_E_DIVERGED: a loss is not finite; l->number says which one's. */
VK_NODISCARD vk_status vk_learner_wait(vk_learner *l, double *loss, vk_err *err);

/* For what fills the network's inputs itself: the replica that vk_learner_start runs next. Before
 * its inputs are filled it is to be taken. */
int vk_learner_turn(const vk_learner *l);
/* Waits for replica i and takes its loss; its outputs are there. Errors: as vk_learner_wait. */
VK_NODISCARD vk_status vk_learner_take(vk_learner *l, int i, vk_err *err);
/* Whether a device still works at something that was started. */
bool vk_learner_is_busy(const vk_learner *l);

/* For the next step, before it: the value head learns alone, and all else stays as it is, weight
 * decay included (its gradients are forgotten); or all learn. */
VK_NODISCARD vk_status vk_learner_hold(vk_learner *l, bool is_value_alone, vk_err *err);
/* One step of the optimiser with the mean gradient of what was added, or with its sum (is_sum),
 * also of what others have added to a replica's grad. All micro-batches have been waited for.
 *   grad_norm  out, before clipping
 * Errors: VK_E_DIVERGED: the gradient is not finite; parameters are as they were. */
VK_NODISCARD vk_status vk_learner_step(vk_learner *l, double lr, double *grad_norm, vk_err *err);

/* Norm of the gradients that were added since vk_learner_begin; INFINITY, where one is not finite.
 * By it the micro-batch is found that a gradient of a step came from. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_learner_grad_norm(const vk_learner *l, double *norm, vk_err *err);

/* The weights that are used: the average, or without one the parameters. Laid out as params of the
 * first replica, in memory of its device. */
const float *vk_learner_weights(const vk_learner *l);
/* Loss of a batch by them, without dropout. */
VK_NODISCARD vk_status vk_learner_check(vk_learner *l, const vk_batch *batch, double *loss,
                                        vk_err *err);
/* Before the first vk_learner_check after a step. */
VK_NODISCARD vk_status vk_learner_check_begin(vk_learner *l, vk_err *err);

/* Bytes of all that is allocated on a device: plans, parameters, gradients, moments, average. */
uint64_t vk_learner_bytes(const vk_learner *l);

#endif
