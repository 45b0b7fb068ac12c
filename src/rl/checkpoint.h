/* checkpoint.h - trained policies in folders laid out as LeRobot's:
 *
 *   DIR/checkpoints/005000/pretrained_model/config.json         what the policy is, see below
 *                                           model.safetensors   the weights to use (the average)
 *                                           train_config.json   how it was trained
 *                          training_state/optimizer_state.safetensors   vk_optim_save
 *                                         weights.safetensors           what training goes on from
 *                                         training_step.json            {"step", "trainer"}
 *                                         scheduler_state.json
 *                   last -> 005000, best -> 003000
 *
 * config.json has LeRobot's keys (type, input_features, output_features, normalization_mapping,
 * chunk_size, n_action_steps) and ours: "model" (the network's config), "norm_stats" (as OpenVLA
 * has them, by key), "image" (how pictures are made), "greedy" ("median", which is the default, or
 * "argmax"), "provenance", "step". provenance has what the weights come from: hashes of data, pack,
 * visuals and statistics, and "init" {path, hash, step} of a policy that began with another.
 *
 * What pretrained_model holds is a policy: such a folder alone, wherever it lies, is one too.
 *
 * There is no state of generators (LeRobot's rng_state): what training draws follows from its seed
 * and the number of the step or sample.
 *
 * A checkpoint is made beside its place, synced and renamed: whoever reads sees all of it or
 * nothing, and when writing fails (a full disk) the one before stays the last.
 * Test: tests/unit/test_checkpoint.c, tests/cmd/test_eval_checkpoint.sh */
#ifndef VK_RL_CHECKPOINT_H
#define VK_RL_CHECKPOINT_H

#include "nn/net.h"
#include "rl/norm_stats.h"
#include "rl/view.h"

/* Where the weights come from; "" where it is not known. */
typedef struct vk_checkpoint_source {
  char data_hash[65], pack_hash[65], visuals_hash[65], statistics_hash[65];
  char visuals[32];  /* "original", "stand-in", "file" */
  char protocol[32]; /* that its pictures were turned by */
  char rows[16];     /* first states that were learned from: "eval" (also), "sampled", "unknown" */
  char version[64];  /* of the program */
  char commit[64];   /* of its source, as vk_version_commit */
  char precision[8]; /* of products in training, "auto" resolved: "f32", "bf16" */
  char run[64];      /* id in the catalog */
  char exported_from[65];    /* SHA-256 of the model.safetensors that was exported; "": none was */
  char init[VK_FS_PATH_MAX]; /* folder of the checkpoint that training began with; "": none */
  char init_hash[65];        /* SHA-256 of its model.safetensors */
  int64_t init_step;         /* of its training */
} vk_checkpoint_source;

/* What a policy is but for its weights. */
typedef struct vk_checkpoint_info {
  vk_model model;       /* weights: the file or folder of the weights to use */
  vk_norm_stats *stats; /* [n_stats], keys differ */
  int n_stats;
  vk_view_config view;   /* isa: as in vk_view_defaults, it is not stored */
  int64_t n_action_step; /* actions of a chunk that are executed, at most: 1 to 8 */
  vk_greedy greedy;      /* how it acts where nothing is drawn */
  vk_checkpoint_source source;
  int64_t step;              /* of training */
  char path[VK_FS_PATH_MAX]; /* the folder that holds config.json; "" of one not yet saved */
} vk_checkpoint_info;

/* Makes info's own checkpoint the one that training begins with: sets source.init*. Errors: those
 * of vk_sha256_file. */
VK_NODISCARD vk_status vk_checkpoint_begin_from(vk_checkpoint_info *info, vk_err *err);

/* Reads config.json and nothing else. word: a checkpoint (.../005000), its pretrained_model, a
 * run's folder or its "checkpoints" (then the last), a .safetensors file beside a config.json, or
 * the name of a policy that comes with the program ("./bundled" is a folder of such a name).
 * *info is zeroed on failure, else close it.
 * Errors: VK_E_NOTFOUND; VK_E_FORMAT, VK_E_RANGE, VK_E_UNSUPPORTED, each with the file and key. */
VK_NODISCARD vk_status vk_checkpoint_open(vk_checkpoint_info *info, const char *word, vk_err *err);
/* The same from the text of a config.json; `what` names it in errors. */
VK_NODISCARD vk_status vk_checkpoint_parse(vk_checkpoint_info *info, const char *text, size_t n,
                                           const char *what, vk_err *err);
/* A zeroed one is allowed. */
void vk_checkpoint_close(vk_checkpoint_info *info);

/* The parameters of its model with the weights to use. Free with vk_params_free.
 * Errors: those of vk_params_load: one sentence says how many tensors do not fit; VK_E_RANGE (one
 * is not finite). */
VK_NODISCARD vk_status vk_checkpoint_load(const vk_checkpoint_info *info, vk_params *params,
                                          vk_err *err);

enum { VK_CHECKPOINT_TEXT = 256 };

/* In what those visuals and that pack differ from what a policy was trained on, where that is
 * known: "stand-in visuals (0123456789ab), not on these original ones (...)"; "" in nothing.
 * Returns text. */
const char *vk_checkpoint_differences(const vk_checkpoint_source *source, const vk_visuals *visuals,
                                      const vk_pack *pack, char text[VK_CHECKPOINT_TEXT]);

/* What is saved. */
typedef struct vk_checkpoint_write {
  const vk_checkpoint_info *info; /* path, step and the model's weights are not looked at */
  const vk_params *params;        /* what training goes on from */
  const float *ema;               /* block of params' layout: the weights to use; NULL: params */
  vk_safetensors_dtype dtype;     /* of the weights to use: F32, BF16 or F16 */
  const cJSON *train_config;
  const vk_optim *optim;            /* NULL: no training_state, the policy cannot be trained on */
  const cJSON *scheduler, *trainer; /* NULL: empty; trainer: position of the loader, ... */
  bool is_best;                     /* the link `best` goes to it */
  int n_keep;                       /* newest that stay, beside the best; 0: all */
} vk_checkpoint_write;

/* Writes DIR/checkpoints/STEP (at least six digits), points `last` at it, and then removes older
 * ones. One that is there of the same step is replaced.
 * Errors: VK_E_IO with the reason (a full disk), VK_E_NOTFOUND, VK_E_NOMEM; what was there stays.
 */
VK_NODISCARD vk_status vk_checkpoint_save(const char *dir, int64_t step,
                                          const vk_checkpoint_write *what, vk_err *err);

/* What became of the weights of an exported checkpoint. */
typedef struct vk_checkpoint_exported {
  int64_t step, n_parameter;
  double max_change; /* largest relative one of a weight */
  double rms_change; /* of all, relative to the weights' own root mean square */
  int64_t n_zeroed;  /* weights that became 0 */
  bool is_card_kept; /* README.md is the one that lay beside the same weights */
} vk_checkpoint_exported;

/* Writes a policy as others get it: a folder DIR, new or empty, with config.json, model.safetensors
 * in that dtype (F32, BF16 or F16), where it lies beside it train_config.json, and a model card,
 * README.md; nothing that training goes on from. Paths in them become names. The card is made of
 * what the checkpoint records, unless weights stay the same bytes and have one already.
 *   from  a word as vk_checkpoint_open takes it
 * Errors: VK_E_USAGE (DIR is not empty), VK_E_RANGE (a weight is too large for the dtype), those of
 * vk_checkpoint_load and of writing; there is no DIR then. */
VK_NODISCARD vk_status vk_checkpoint_export(const char *dir, const char *from,
                                            vk_safetensors_dtype dtype, vk_checkpoint_exported *out,
                                            vk_err *err);

/* Brings training back to where info's checkpoint was saved, bit for bit.
 *   params     of info's model: gets the weights that training goes on from
 *   optim      made with the saved one's config and spans
 *   trainer, scheduler  out, as they were given; free with cJSON_Delete, also after errors
 * Errors: VK_E_NOTFOUND (no training_state), VK_E_MISMATCH (another model or optimiser; config.json
 * and training_step.json are of different steps), VK_E_FORMAT; params and optim may have changed
 * then. */
VK_NODISCARD vk_status vk_checkpoint_resume(const vk_checkpoint_info *info, vk_params *params,
                                            vk_optim *optim, cJSON **trainer, cJSON **scheduler,
                                            vk_err *err);

#endif
