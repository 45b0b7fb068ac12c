/* optim.h - AdamW over a block that holds all parameters of a model, with clipping by the global
 * norm, weight decay and learning rate by group, an average of the parameters, and schedules.
 *
 *   double lr = vk_optim_lr(&schedule, vk_optim_n_step(o));
 *   VK_TRY(vk_optim_step(o, team, lr, 1, &grad_norm, err));
 *
 * The norm reads every gradient once, the update reads and writes every number once. Bits do not
 * depend on the number of threads, and the norm's not on the path of vk_isa either. Source:
 * Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019), algorithm 2, in the order of
 * operations of torch.optim.AdamW. Test: tests/unit/test_optim.c */
#ifndef VK_NN_OPTIM_H
#define VK_NN_OPTIM_H

#include <stdint.h>

#include "core/cpu.h"
#include "core/err.h"
#include "nn/device.h"

/* ---- learning rate ---- */

typedef enum vk_lr_kind {
  VK_LR_CONSTANT,
  VK_LR_LINEAR,
  VK_LR_COSINE,
} vk_lr_kind;

typedef struct vk_lr_schedule {
  vk_lr_kind kind;
  double lr;             /* the highest, at the end of the warm-up */
  double final_fraction; /* of lr, from step n_step on; unused when constant */
  int64_t n_warmup;      /* steps; step i of them has (i + 1) / (n_warmup + 1) of lr */
  int64_t n_step;        /* with all those before; unused when constant */
  int64_t n_hold;        /* steps at lr that come before the warm-up */
} vk_lr_schedule;

/* Errors: VK_E_RANGE, with the member. */
VK_NODISCARD vk_status vk_lr_schedule_check(const vk_lr_schedule *s, vk_err *err);
/* The rate of step i_step, from 0. */
double vk_optim_lr(const vk_lr_schedule *s, int64_t i_step);

/* ---- the optimiser ---- */

/* Parameters of a group are updated alike. Frozen ones stay, and their gradients are not read. */
typedef struct vk_optim_group {
  double lr_scale;     /* of the step's learning rate */
  double weight_decay; /* of the parameter a step, times the learning rate */
  bool is_frozen;
} vk_optim_group;

/* One parameter: n items of the block from item `offset` on. */
typedef struct vk_optim_span {
  const char *name;
  int64_t offset, n;
  int i_group;
} vk_optim_span;

typedef struct vk_optim_config {
  double beta1, beta2, eps;
  double max_norm;  /* gradients are scaled down to this global norm; 0: never */
  double ema_decay; /* average <- decay * average + (1 - decay) * parameter; 0: no average. Of step
                       t, from 1, decay is at most t / (t + 9), so that the parameters of the
                       beginning do not stay in the average of a short training */
  vk_isa isa;
  const vk_device *device; /* which makes the steps, in whose memory param, grad and the state lie;
                              copied. NULL: the CPU */
} vk_optim_config;

typedef struct vk_optim vk_optim;

/* Spans lie in ascending order without overlap; gaps between them are never touched. param and grad
 * are the caller's blocks; spans and their names are borrowed too. The state begins as
 * vk_optim_reset leaves it.
 * Errors: VK_E_RANGE (config or group, with the member), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_optim_new(vk_optim **out, const vk_optim_config *config,
                                    const vk_optim_group *group, int n_group,
                                    const vk_optim_span *span, int n_span, float *param,
                                    const float *grad, vk_err *err);
/* NULL is allowed. */
void vk_optim_free(vk_optim *o);
/* Step 0: moments zero, the average equal to param as it is now. Errors: those of the device; the
 * CPU has none. */
VK_NODISCARD vk_status vk_optim_reset(vk_optim *o, vk_err *err);

/* Another share of the learning rate for a group, from the next step on; 0: it stays, and its
 * moments follow its gradients. */
void vk_optim_set_lr_scale(vk_optim *o, int i_group, double lr_scale);

/* One step, in four calls: begin and end by one thread, the parts by n_part threads (any number)
 * with a barrier between the two kinds. lr is finite and at least 0; grad is multiplied by
 * grad_scale (1 / n for a sum over n micro-batches) first. */
void vk_optim_begin(vk_optim *o, double lr, double grad_scale);
void vk_optim_norm_part(vk_optim *o, int i_part, int n_part);
void vk_optim_update_part(vk_optim *o, int i_part, int n_part);
/*   grad_norm  out, before clipping; may be NULL
 * Errors: VK_E_DIVERGED: the gradients' norm is not finite, or their squares are too large for f32;
 * nothing was changed, and the step may be tried anew with other gradients. */
VK_NODISCARD vk_status vk_optim_end(vk_optim *o, double *grad_norm, vk_err *err);
/* All four, on a team that is idle, or on this thread alone (NULL); or on the device, where the
 * four are not called. Errors: as end; those of the device. */
VK_NODISCARD vk_status vk_optim_step(vk_optim *o, vk_team *team, double lr, double grad_scale,
                                     double *grad_norm, vk_err *err);

/* Steps done. */
int64_t vk_optim_n_step(const vk_optim *o);
/* The average, in memory of the device, laid out as param up to the last span's end; NULL without
 * ema_decay. Frozen parameters and gaps have what reset found in param. */
const float *vk_optim_ema(const vk_optim *o);

/* The state in a file: the step, and of every parameter that is not frozen m.NAME, v.NAME and
 * ema.NAME; a run that is continued from it has the same bits. Errors of save: as
 * vk_safetensors_write; of load: as vk_safetensors_open and _load, VK_E_FORMAT (no such file),
 * VK_E_MISMATCH (saved with other betas, eps, max_norm or ema_decay); of both: VK_E_NOMEM, those of
 * the device. The state is unchanged when load fails, unless the device does. */
VK_NODISCARD vk_status vk_optim_save(const vk_optim *o, const char *path, vk_err *err);
VK_NODISCARD vk_status vk_optim_load(vk_optim *o, const char *path, vk_err *err);

#endif
