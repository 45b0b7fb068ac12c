/* model.h - models by name, config file or checkpoint folder. A family of models is a file
 * model_NAME.c with a vk_model_NAME and a line in model_list.h.
 *
 * A config is JSON: {"model": "nano", "size": "n2", ...}; what it does not say is the size's. In a
 * checkpoint's config.json it is the value of "model" (rl/checkpoint.h).
 * Test: tests/unit/test_model_nano.c, tests/fuzz/fuzz_model.c */
#ifndef VK_NN_MODEL_H
#define VK_NN_MODEL_H

#include "core/json.h"
#include "nn/params.h"

enum { VK_MODEL_CONFIG_MAX = 256 }; /* bytes of a family's config */

/* Which graph of a model. */
typedef enum vk_model_part {
  VK_PART_ALL,  /* observation and instruction to logits, and losses where asked for */
  VK_PART_TEXT, /* instruction to text tokens: once an episode */
  VK_PART_ACT,  /* observation and text tokens to actions: every decision */
} vk_model_part;

/* Which bin is taken where none is drawn. Bins are ordered, and often have a mode of their own for
 * "no motion": the median still moves when that is the greatest while more lie on one side of it.
 */
typedef enum vk_greedy {
  VK_GREEDY_ARGMAX, /* the most likely one */
  VK_GREEDY_MEDIAN, /* the first up to which probabilities add up to more than a half */
} vk_greedy;

extern const char *const vk_greedy_names[]; /* by vk_greedy, NULL-terminated */

typedef struct vk_model_args {
  vk_model_part part;
  int64_t n_batch;     /* most samples in a run, at least 1 */
  int64_t n_view;      /* pictures a sample; 0: as many as the model takes */
  bool with_value;     /* the value head */
  bool with_loss;      /* outputs loss, loss_action (and with the value head loss_value) */
  double value_weight; /* loss = loss_action + value_weight * loss_value */
  double sigma;        /* soft labels: width in bins; 0: hard labels */
  double last_weight;  /* of the gripper's labels; 0 means 1 */
  double dropout;      /* probability; 0: none */
  bool probe;          /* also outputs act.NAME: what flows between layers */
  /* Adds nodes and outputs to the whole graph, a loss of another kind; what is wrong becomes the
   * graph's error. NULL: nothing. */
  void (*extend)(vk_graph *g, const void *arg);
  const void *extend_arg;
  double temperature; /* VK_PART_ACT: bins are drawn from softmax(logits / temperature); 0: none
                         is drawn */
  vk_greedy greedy;   /* VK_PART_ACT: and this one is taken */
  bool with_log_prob; /* VK_PART_ACT: output log_prob of the bins, at temperature or else at 1 */
} vk_model_args;

typedef struct vk_model_key {
  const char *name, *help; /* help: "8 to 4096: ..." */
} vk_model_key;

typedef struct vk_model_def {
  const char *name, *help;
  const char *const *sizes; /* NULL-terminated */
  const vk_model_key *keys; /* of a config but "model" and "size"; ends with a NULL name */
  size_t config_size;
  /* Fills config from a size's name. */
  vk_status (*set_size)(void *config, const char *size, vk_err *err);
  /* Reads the keys of a config file but "model" and "size". Errors: VK_E_FORMAT, VK_E_RANGE. */
  vk_status (*read)(void *config, const cJSON *json, const char *what, vk_err *err);
  /* The config as JSON, "model" and all keys; NULL without memory. */
  cJSON *(*write)(const void *config);
  vk_status (*build)(vk_graph *g, const void *config, const vk_model_args *args, vk_err *err);
  /* Random parameters by the family's rule. */
  void (*init)(vk_params *p, const void *config, uint64_t seed);
  /* Whether weight decay pulls on it. */
  bool (*has_decay)(const vk_param *p);
} vk_model_def;

typedef struct vk_model {
  const vk_model_def *def;
  char name[64]; /* "nano-n2", or the file's name */
  _Alignas(16) uint8_t config[VK_MODEL_CONFIG_MAX];
  char weights[VK_FS_PATH_MAX]; /* the checkpoint's safetensors; "" for a name or a config file */
} vk_model;

/* The families in the order of model_list.h. */
extern const vk_model_def *const vk_models[];
/* Of that list. */
int vk_model_count(void);
/* Names "FAMILY-SIZE", NULL-terminated, for help and completion; free it (not the names, which
 * live in the program). NULL without memory. */
const char **vk_model_names(void);

/* Whether a word is one of them: then it means that, whatever the current folder holds. */
bool vk_model_is_name(const char *word);

/* word: a name, a config file, a folder (vk_model_find_folder), or a .safetensors file beside a
 * config.json. Errors: VK_E_USAGE (unknown name), VK_E_NOTFOUND, VK_E_FORMAT, VK_E_RANGE. */
VK_NODISCARD vk_status vk_model_open(vk_model *m, const char *word, vk_err *err);
/* The folder with config.json and weights that a folder stands for: itself, its pretrained_model,
 * or of a training run that of the last checkpoint. Errors: VK_E_NOTFOUND, VK_E_RANGE. */
VK_NODISCARD vk_status vk_model_find_folder(char out[VK_FS_PATH_MAX], const char *dir, vk_err *err);
/* From a config's text. */
VK_NODISCARD vk_status vk_model_parse(vk_model *m, const char *text, size_t n, const char *what,
                                      vk_err *err);
/* g: an empty graph. Errors: VK_E_RANGE (args), VK_E_SHAPE, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_model_build(vk_graph *g, const vk_model *m, const vk_model_args *args,
                                      vk_err *err);

#endif
