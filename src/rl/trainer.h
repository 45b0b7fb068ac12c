/* trainer.h - what all methods of training share: the loop with its checkpoints, curves, validation
 * and evaluation, interruption and resumption. A method is a
 * vk_train_NAME (in train_NAME.c; ppo and grpo share train_rl.c) and a line in train_list.h.
 *
 * A run is a folder: checkpoints/ (rl/checkpoint.h) and event files of TensorBoard. The same
 * configuration, data, number of threads and path give the same weights, bit for bit, also when the
 * run was interrupted anywhere and resumed, or lost its device. Test: tests/unit/test_trainer.c,
 * tests/unit/test_cuda_train.c, tests/cmd/test_train.sh */
#ifndef VK_RL_TRAINER_H
#define VK_RL_TRAINER_H

#include "core/event_file.h"
#include "core/log.h"
#include "core/progress.h"
#include "rl/checkpoint.h"
#include "rl/evaluate.h"
#include "rl/learner.h"
#include "rl/train_config.h"

enum { VK_TRAIN_TASKS_MAX = 256 };

typedef struct vk_trainer vk_trainer;

/* A point of a curve: "train/loss". */
typedef struct vk_train_point {
  const char *tag;
  double value;
} vk_train_point;

enum { VK_TRAIN_POINTS_MAX = 32, VK_TRAIN_TEXT = 160 };

/* Episodes of a step of practice. */
typedef struct vk_train_practice {
  int n, n_success; /* those that came to their end; n 0: there were none */
  double env_steps_per_s;
  double saved; /* share of valid decisions that were left out of forward and backward pass */
} vk_train_practice;

/* What a step tells. */
typedef struct vk_train_step {
  double loss, lr, grad_norm;
  int64_t n_sample;
  double wait_s;  /* of it, waiting for data, or what acts; NAN: not measured */
  double aside_s; /* of it, on what is done now and then, besides steps */
  int n_replaced; /* episodes that the simulator could not finish */
  bool is_idle;   /* there was nothing to learn from: weights are as they were */
  int n_point;    /* points of its own */
  vk_train_point point[VK_TRAIN_POINTS_MAX];
  vk_train_practice practice;
  char note[128]; /* for the progress line; "": the loss stands there */
} vk_train_step;

/* What a run takes. */
typedef struct vk_train_estimate {
  uint64_t bytes;
  double step_s; /* a step once pictures are cached, of a short measurement */
  double wall_s; /* all that is to be done but checkpoints: steps, drawing pictures included, what a
                    method does besides, and what follows */
  int64_t n_eval, n_validation; /* of them, still to come */
  double eval_s, validation_s;  /* all of these; evaluations at most: episodes go to the limit */
  double imitation_s;           /* of wall_s, at most: demonstrations beside practice */
  int64_t n_round;              /* with the expert, still to come */
  int n_round_episode;          /* of each */
  double round_s;               /* of wall_s, at most: all of these rounds */
} vk_train_estimate;

typedef struct vk_train_def {
  const char *name, *help;
  bool is_slow; /* a step takes long: each is a point of the curves */
  /* Changes how the learner is made (other losses, no check), and may make *state already. NULL:
   * imitation. */
  vk_status (*configure)(void **state, vk_trainer *t, vk_learner_config *config, vk_err *err);
  /* Opens the data: t's config, pack and visuals are there. Sets t->data and, where the
   * configuration does not say it, t->n_step. */
  vk_status (*open)(void **state, vk_trainer *t, vk_err *err);
  void (*close)(void *state);
  /* Step t->step of the run: the same for the same step and weights, whatever came before. One that
   * ends with VK_E_INTERRUPTED has changed nothing. */
  vk_status (*step)(void *state, vk_trainer *t, vk_train_step *out, vk_err *err);
  /* Loss of held-out data by the weights that are used; NULL: none. *n in: about the most samples
   * to look at, 0: all; out: samples, 0: there are none. */
  vk_status (*validate)(void *state, vk_trainer *t, double *loss, int64_t *n, vk_err *err);
  /* Writes the batch in use to a file: what a loss that is not finite came from. */
  vk_status (*save_batch)(void *state, const char *path, vk_err *err);
  /* What going on depends on beside the step, to and from a checkpoint's JSON. NULL: nothing. */
  void (*save)(const void *state, cJSON *json);
  vk_status (*load)(void *state, vk_trainer *t, const cJSON *json, vk_err *err);
  /* Where a step is slow: measures step_s and wall_s. Elsewhere steps of one micro-batch are
   * measured, and this adds to wall_s what else is done; NULL: nothing. */
  vk_status (*estimate)(void *state, vk_trainer *t, vk_train_estimate *out, vk_err *err);
  /* "128 episodes a step of 1 task": what the data is. NULL: demonstrations. */
  void (*describe)(const void *state, const vk_trainer *t, char *text, size_t n);
} vk_train_def;

/* What a run may lose and still go on. */
typedef enum vk_train_lost {
  VK_LOST_CHECKPOINT,
  VK_LOST_EVENT, /* points for the event file */
  VK_LOST_POINT, /* points for who keeps curves */
  VK_LOST_VALIDATION,
  VK_LOST_EVALUATION,
  VK_LOST_KINDS
} vk_train_lost;

extern const vk_train_def *const vk_train_defs[]; /* NULL-terminated */
/* Errors: VK_E_USAGE with the nearest name. */
VK_NODISCARD vk_status vk_train_find(const vk_train_def **out, const char *name, vk_err *err);

/* What an evaluation on the way gave, from sampled first states that nothing learns from and that
 * vlakit eval does not score: checkpoints are chosen by it. */
typedef struct vk_train_eval {
  int n, n_success; /* episodes; n 0: there was none yet */
  double lo, hi;    /* 95 % interval of the success rate */
  double env_steps_per_s;
} vk_train_eval;

/* What the data of a run is, for checkpoints and for resuming. */
typedef struct vk_train_data {
  const vk_norm_stats *stats; /* lives with the method's state */
  vk_view_config view;        /* before it is opened: of init, turned as the protocol says */
  char hash[65];
  const char *rows; /* as in vk_checkpoint_source, what came before this run left out */
  int n_demo, n_validation_demo;
  int n_task;
  uint32_t task[VK_TRAIN_TASKS_MAX]; /* in the pack */
  int64_t n_sample, n_validation_sample;
  uint64_t bytes; /* memory of it, with all that may be cached */
} vk_train_data;

typedef struct vk_trainer_config {
  const vk_train_config *train; /* checked; must outlive the trainer, as all that follows */
  const vk_pack *pack;
  const vk_visuals *visuals;
  const char *cache_dir; /* compiled models; NULL: none */
  const char *out;       /* the run's folder */
  const char *device;    /* where networks run, as vk_device_choose; NULL: the CPU */
  vk_isa isa;
  int n_thread;
  vk_log *log;           /* what a user should know; NULL: nothing is said */
  vk_log *warn;          /* what was lost; NULL: it is counted alone */
  vk_trace *trace;       /* NULL: off */
  vk_progress *progress; /* NULL: none */
  /* Keeps points of curves; NULL: nobody does. */
  vk_status (*put)(void *arg, int64_t step, int n, const vk_train_point *point, vk_err *err);
  /* Is told of every episode of the evaluations on the way; NULL: nobody is. By it a test holds
   * them against those of the checkpoint, bit for bit. */
  vk_eval_result_fn *put_episode;
  void *arg;
} vk_trainer_config;

struct vk_trainer {
  vk_trainer_config config;
  const vk_train_def *def;
  void *state;             /* of the method */
  vk_checkpoint_info init; /* what is begun with; zeroed: random weights */
  vk_model model;
  vk_team *team;
  vk_device_group devices;
  vk_learner learner;
  vk_lr_schedule schedule;
  vk_train_data data;
  uint32_t *eval_task; /* [n_eval_task] of the pack, of evaluations; NULL: those of data */
  uint32_t n_eval_task;
  int64_t step, n_step; /* done, and in all */
  int64_t saved_step;   /* of the last checkpoint; -1: there is none */
  bool is_probe;        /* something is measured: gradients alone, no step of the optimiser */
  int n_said_end;       /* times that it was said when it will be over */
  /* one of them, by this process; 0: not known */
  double eval_s, validation_s;
  double
      eval_most_s; /* an evaluation whose episodes go to the limit, measured by some; 0: not yet */
  const char *run; /* its id, for checkpoints */
  vk_event_file *events;
  /* since the last point */
  struct {
    int64_t n_step, n_sample;
    double loss, grad_norm, wait_s, aside_s, start_s;
  } sum;
  int64_t n_sample;           /* learned from by this process */
  int64_t n_replaced;         /* episodes of it that the simulator could not finish, run again */
  int64_t n_idle;             /* steps of it that learned nothing */
  char note[128];             /* of the last step */
  int64_t first_step;         /* of it */
  double loss, val_loss;      /* the last ones; NAN: none yet */
  vk_train_eval eval;         /* the last one */
  vk_train_practice practice; /* of the last step that had one */
  bool is_judged;             /* step t->step has had its validation and evaluation */
  double score, best; /* of this step, and the highest: the success rate, or without evaluations
                         the negative validation loss; NAN: not known */
  int n_lost[VK_LOST_KINDS];       /* of each, what could not be written or judged */
  char checkpoint[VK_FS_PATH_MAX]; /* the last that was written; "": none */
};

/* What products of matrices are computed in, "auto" resolved: "f32" or "bf16". */
const char *vk_trainer_precision(const vk_train_config *train, const vk_device_def *device,
                                 vk_isa isa);

/* Opens model and data and plans memory. t is zeroed on failure.
 * Errors: those of models, data and plans; VK_E_NOMEM when the machine has not enough. */
VK_NODISCARD vk_status vk_trainer_new(vk_trainer *t, const vk_trainer_config *config, vk_err *err);
/* A zeroed one is allowed. */
void vk_trainer_free(vk_trainer *t);

/* What t's data is, as a line of text; returns text. */
const char *vk_trainer_describe(const vk_trainer *t, char *text, size_t n);

/* Goes on from the last checkpoint in the run's folder, where there is one.
 * Errors: VK_E_MISMATCH (made from other data), those of vk_checkpoint_resume. */
VK_NODISCARD vk_status vk_trainer_resume(vk_trainer *t, vk_err *err);

/* Measures a few micro-batches without the optimiser, steps of episodes, and held-out samples: in
 * seconds, and training has the same bits after it. Errors: those of a step. */
VK_NODISCARD vk_status vk_trainer_estimate(vk_trainer *t, vk_train_estimate *out, vk_err *err);

/* Says to the log how long it will take, measured before the first step, of which it is no part;
 * what cannot be measured is not. */
void vk_trainer_say_start(vk_trainer *t);

/* Trains to the end and saves. t->checkpoint names the last checkpoint in any case.
 *   run  id of the run, for checkpoints
 * Errors: VK_E_INTERRUPTED (saved before), VK_E_DIVERGED (a loss or a gradient that is not finite:
 * nothing is saved but the batch), VK_E_IO when the last checkpoint could not be written, and those
 * of data. */
VK_NODISCARD vk_status vk_trainer_run(vk_trainer *t, const char *run, vk_err *err);

/* Learning rate of step t->step. */
double vk_trainer_lr(const vk_trainer *t);

#endif
