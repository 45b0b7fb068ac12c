/* train_config.h - what a training run is asked to do: keys of a JSON object, in one table from
 * which reading, --set, help, man page and the run's record are made.
 *
 * A new key is a member here and a row in train_config_keys.c.
 *
 *   {"method": "sft", "model": "nano-n2", "data": ["demos"], "lr": 0.0005}
 *
 * Test: tests/unit/test_train_config.c, tests/fuzz/fuzz_train_config.c, tests/cmd/test_train.sh */
#ifndef VK_RL_TRAIN_CONFIG_H
#define VK_RL_TRAIN_CONFIG_H

#include "core/arena.h"
#include "core/json.h"
#include "core/opt.h"

/* Methods, a bit each, for who reads a key. */
enum {
#define VK_TRAIN(name) VK_TRAIN_AT_##name,
#include "rl/train_list.h"
#undef VK_TRAIN
  VK_TRAIN_N_METHOD
};
enum {
#define VK_TRAIN(name) VK_TRAIN_##name = 1 << VK_TRAIN_AT_##name,
#include "rl/train_list.h"
#undef VK_TRAIN
  VK_TRAIN_ALL = (1 << VK_TRAIN_N_METHOD) - 1,
  VK_TRAIN_IMITATION = VK_TRAIN_sft | VK_TRAIN_dagger,
  VK_TRAIN_PRACTICE = VK_TRAIN_ppo | VK_TRAIN_grpo,
};

enum { VK_TRAIN_KEYS_MAX = 128 };

/* Members are named as their keys; what they mean and their units stand in the table. */
typedef struct vk_train_config {
  /* what */
  const char *about, *method, *model, *init, *precision;
  int64_t seed;
  bool train_on_eval_rows;
  /* demonstrations */
  vk_opt_list data;
  int64_t demos, validation_demos;
  bool drop_noops;
  /* pictures */
  const char *visuals, *protocol;
  int64_t views;
  /* augmentation */
  double crop, brightness, contrast, word_dropout, paraphrase, proprio_dropout;
  int64_t shift_px;
  /* loss */
  double label_sigma, gripper_weight, dropout;
  /* optimiser */
  int64_t batch, micro_batch, steps, warmup;
  double epochs, lr, final_lr, weight_decay, beta1, beta2, clip_norm, ema_decay;
  const char *schedule;
  /* the expert's help */
  int64_t dagger_every, dagger_rounds, dagger_episodes;
  double dagger_temperature;
  /* practice */
  vk_opt_list tasks;
  int64_t groups, group, episode_steps, rollout_steps;
  bool partial_reset;
  double temperature, temperature_high, uniform_share, reward;
  /* loss of what was practised */
  const char *logp_level, *reward_level, *bootstrap;
  double gamma, lambda, filter_lo, filter_hi, clip_lo, clip_hi, dual_clip, kl_stop;
  bool length_norm;
  double value_weight, value_clip, huber_delta, entropy_bonus, stem_lr, value_lr, bc_weight;
  int64_t update_epochs, entropy_steps, critic_warmup, bc_steps, bc_batch;
  /* what does not change the weights: a resumed run may have other values */
  const char *out, *eval_suite;
  double quiet_s;
  bool recompute;
  int64_t save_every, keep, validate_every, eval_every, eval_episodes, cache_mb, workers;
  /* private */
  struct {
    const char *where;       /* "mine.json", "--set"; NULL: nobody said it */
    int line;                /* 0: it has none */
  } said[VK_TRAIN_KEYS_MAX]; /* by key, in the order of the table */
  vk_arena text;             /* strings that were read */
} vk_train_config;

/* Keys that stand together in help. */
typedef struct vk_train_section {
  const char *title;
  unsigned methods;   /* Bits: who reads them, but for what vk_train_config_only says */
  bool is_free;       /* a resumed run may have other values */
  const vk_opt *keys; /* ends with VK_OPT_END; offsets are those of vk_train_config */
} vk_train_section;

extern const vk_train_section vk_train_sections[];    /* ends with a NULL title */
extern const vk_train_config vk_train_config_default; /* of "sft" */
/* The default that others do not share: a step of practice is many updates. */
int64_t vk_train_default_warmup(const char *method);

/* In the order of train_list.h, NULL-terminated. */
extern const char *const vk_train_methods[];
/* The bit of one of them. */
unsigned vk_train_method(const char *method);

/* Bits: who reads a key of a section. */
unsigned vk_train_config_methods(const vk_train_section *section, const vk_opt *key);
/* Whether a key but "data" is about demonstrations alone, so that practice without a bc_weight
 * reads none such. */
bool vk_train_config_is_of_demos(const vk_opt *key);
/* "ppo, grpo" */
enum { VK_TRAIN_METHODS_TEXT = 32 };
void vk_train_config_name_methods(unsigned mask, char *out, size_t n);
/* The names of those who read a key where they are fewer than its section says; else NULL. */
const char *vk_train_config_only(const vk_opt *key);

/* All defaults. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_train_config_init(vk_train_config *c, vk_err *err);
/* A zeroed one is allowed. */
void vk_train_config_fini(vk_train_config *c);

/* Reads keys from a file, or from the one of that name that comes with the program ("sft-n2").
 * Errors: VK_E_USAGE (no such name, with the nearest), VK_E_NOTFOUND, VK_E_IO, and those of
 * vk_train_config_parse. */
VK_NODISCARD vk_status vk_train_config_read(vk_train_config *c, const char *word, vk_err *err);
/* The same from text; `what` names it in errors.
 * Errors: VK_E_FORMAT (no JSON object, an unknown key with the nearest, a value of another type),
 * VK_E_RANGE, each with the line; VK_E_NOMEM. */
VK_NODISCARD vk_status vk_train_config_parse(vk_train_config *c, const char *text, size_t n,
                                             const char *what, vk_err *err);
/* The same from what a record holds: nobody said it now, so it may hold what its method does not
 * read. */
VK_NODISCARD vk_status vk_train_config_recall(vk_train_config *c, const char *text, size_t n,
                                              const char *what, vk_err *err);
/* "lr=1e-4"; elements of lists are separated by commas. Errors: VK_E_USAGE, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_train_config_set(vk_train_config *c, const char *assignment, vk_err *err);

/* The list of "data". Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_train_config_set_data(vk_train_config *c, const vk_opt_list *path,
                                                vk_err *err);
/* Another word for the value of a text's key, which is as much said as it was: a path made
 * absolute. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_train_config_reword(vk_train_config *c, const char *key, const char *text,
                                              vk_err *err);

/* Who said a key of the table ("mine.json", "--set"); NULL: nobody. */
const char *vk_train_config_said_where(const vk_train_config *c, const char *key);
/* Whether somebody did. */
bool vk_train_config_is_said(const vk_train_config *c, const char *key);

/* What must hold between keys, and that none was said that the method does not read, or practice
 * without a bc_weight. A file that says all keys of demonstrations is taken for a run's record, and
 * these for nobody's wish. Errors: VK_E_USAGE. */
VK_NODISCARD vk_status vk_train_config_check(const vk_train_config *c, vk_err *err);

/* The keys that it reads with their values, but beside "init" no "model", which is that of init;
 * NULL without memory. */
cJSON *vk_train_config_json(const vk_train_config *c);

/* Whether b may go on with what a began: errors VK_E_USAGE with the first key that differs,
 * sections that are free and keys that a does not read left out, and both values. `what` names
 * a ("run 05k2m3xq"). */
VK_NODISCARD vk_status vk_train_config_same(const vk_train_config *a, const vk_train_config *b,
                                            const char *what, vk_err *err);

/* The names of configurations that come with the program, sorted, NULL-terminated, as one block to
 * be freed. NULL without memory. */
const char **vk_train_config_names(void);

#endif
