/* train_config_keys.c - the table of keys: their defaults, what they mean, and who reads them. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "rl/train_config.h"

#define C vk_train_config

const vk_train_config vk_train_config_default = {
    .method = "sft",
    .model = "nano-n2",
    .precision = "auto",
    .validation_demos = 1,
    .drop_noops = true,
    .protocol = "oft",
    .views = 2,
    .shift_px = 4,
    .crop = 0.9,
    .brightness = 0.2,
    .contrast = 0.2,
    .word_dropout = 0.1,
    .paraphrase = 0.5,
    .proprio_dropout = 0.3,
    .label_sigma = 1.5,
    .gripper_weight = 2,
    .dropout = 0.1,
    .batch = 256,
    .micro_batch = 32,
    .epochs = 60,
    .lr = 3e-4,
    .schedule = "cosine",
    .warmup = 500,
    .final_lr = 0.1,
    .weight_decay = 0.05,
    .beta1 = 0.9,
    .beta2 = 0.95,
    .clip_norm = 1,
    .ema_decay = 0.999,
    .dagger_every = 1000,
    .dagger_rounds = 3,
    .dagger_episodes = 20,
    .groups = 16,
    .group = 8,
    .temperature = 1,
    .temperature_high = 1.3,
    .uniform_share = 1,
    .reward = 1,
    .logp_level = "token",
    .reward_level = "action",
    .bootstrap = "auto",
    .gamma = 0.99,
    .lambda = 0.95,
    .filter_hi = 1,
    .clip_lo = 0.2,
    .clip_hi = 0.28,
    .kl_stop = 0.02,
    .length_norm = true,
    .value_weight = 1,
    .value_clip = 0.2,
    .huber_delta = 10,
    .stem_lr = 0.3,
    .value_lr = 10,
    .update_epochs = 2,
    .bc_steps = 50,
    .bc_batch = 64,
    .quiet_s = 60,
    .save_every = 1000,
    .keep = 2,
    .validate_every = 500,
    .eval_episodes = 5,
    .cache_mb = 2000,
    .workers = 1,
};

int64_t vk_train_default_warmup(const char *method)
{
  return vk_train_method(method) & VK_TRAIN_PRACTICE ? 3 : vk_train_config_default.warmup;
}

const char *const vk_train_methods[] = {
#define VK_TRAIN(name) #name,
#include "rl/train_list.h"
#undef VK_TRAIN
    NULL};
static const char *const precisions[] = {"auto", "f32", "bf16", NULL};
static const char *const schedules[] = {"constant", "linear", "cosine", NULL};

static const vk_opt keys_what[] = {
    VK_OPT_STR(C, "about", about, "TEXT", "what this configuration is for; not read"),
    VK_OPT_STR(C, "init", init, "CHECKPOINT",
               "begin with its weights; bundled: what comes along (default: random ones)"),
    VK_OPT_CHOICE(C, "method", method, "METHOD", vk_train_methods, "how the policy is made"),
    VK_OPT_STR(C, "model", model, "MODEL",
               "name or configuration file of the network (default: of init, else nano-n2)"),
    VK_OPT_CHOICE(C, "precision", precision, "auto|f32|bf16", precisions,
                  "of products of matrices; auto: bf16 where the processor is faster at it, "
                  "but for practice"),
    VK_OPT_I64(C, "seed", seed, 0, 4294967295.0, "N", NULL, "of everything that is drawn"),
    VK_OPT_FLAG(C, "train_on_eval_rows", train_on_eval_rows,
                "learn from the init rows of evaluations too, as published results do"),
    VK_OPT_END,
};

static const vk_opt keys_data[] = {
    VK_OPT_LIST(C, "data", data, "PATH", "files and folders of demonstrations"),
    VK_OPT_I64(C, "demos", demos, 0, 1e6, "N", NULL, "of each task, the first ones; 0: all"),
    VK_OPT_FLAG(C, "drop_noops", drop_noops, "leave out steps that move nothing"),
    VK_OPT_STR(
        C, "protocol", protocol, "PROTOCOL",
        "whose turn of pictures the policy sees, and evaluations (default: of init, else oft)"),
    VK_OPT_I64(C, "validation_demos", validation_demos, 0, 1e6, "N", NULL,
               "of each task, the last ones, held out of training"),
    VK_OPT_I64(C, "views", views, 1, 2, "N", NULL,
               "pictures: 1 agentview, 2 and eye in hand (default: of init, else 2)"),
    VK_OPT_STR(C, "visuals", visuals, "stand-in|original|FILE",
               "what pictures show (default: of init, else original when imported)"),
    VK_OPT_END,
};

static const vk_opt keys_augment[] = {
    VK_OPT_F64(C, "brightness", brightness, 0, 1, "X", NULL,
               "pictures are multiplied by 1 - X to 1 + X"),
    VK_OPT_F64(C, "contrast", contrast, 0, 1, "X", NULL,
               "distances from a picture's mean are multiplied by 1 - X to 1 + X"),
    VK_OPT_F64(C, "crop", crop, 0.1, 1, "X", NULL, "least share of a picture's area that is kept"),
    VK_OPT_F64(C, "paraphrase", paraphrase, 0, 1, "P", NULL,
               "probability of saying an instruction in other words"),
    VK_OPT_F64(C, "proprio_dropout", proprio_dropout, 0, 1, "P", NULL,
               "probability of hiding proprioception"),
    VK_OPT_I64(C, "shift_px", shift_px, 0, 32, "N", "pixels", "pictures move by up to this"),
    VK_OPT_F64(C, "word_dropout", word_dropout, 0, 0.9, "P", NULL,
               "probability of each word of an instruction to be left out"),
    VK_OPT_END,
};

static const vk_opt keys_loss[] = {
    VK_OPT_F64(C, "dropout", dropout, 0, 0.9, "P", NULL, "probability, in the network"),
    VK_OPT_F64(C, "gripper_weight", gripper_weight, 0, 100, "X", NULL,
               "of the gripper's labels; all others weigh 1"),
    VK_OPT_F64(C, "label_sigma", label_sigma, 0, 64, "X", "bins",
               "width of soft labels; 0: hard labels"),
    VK_OPT_END,
};

static const vk_opt keys_optim[] = {
    VK_OPT_I64(C, "batch", batch, 1, 1 << 20, "N", NULL, "samples a step"),
    VK_OPT_F64(C, "beta1", beta1, 0, 0.9999999, "X", NULL,
               "decay of the mean of gradients (AdamW)"),
    VK_OPT_F64(C, "beta2", beta2, 0, 0.9999999, "X", NULL,
               "decay of the mean of their squares (AdamW)"),
    VK_OPT_F64(C, "clip_norm", clip_norm, 0, INFINITY, "X", NULL,
               "gradients are scaled down to this norm; 0: never"),
    VK_OPT_F64(
        C, "ema_decay", ema_decay, 0, 0.9999999, "X", NULL,
        "of the average of weights that is evaluated, less in the first steps; 0: no average"),
    VK_OPT_F64(C, "epochs", epochs, 0, 1e9, "X", NULL, "how often every sample is seen"),
    VK_OPT_F64(C, "final_lr", final_lr, 0, 1, "X", NULL, "share of lr at the end"),
    VK_OPT_F64(C, "lr", lr, 0, INFINITY, "X", NULL, "learning rate after the warm-up"),
    VK_OPT_I64(C, "micro_batch", micro_batch, 1, 1 << 16, "N", NULL,
               "samples in memory at a time, see recompute; gradients of a batch are summed"),
    VK_OPT_CHOICE(C, "schedule", schedule, "NAME", schedules, "of the learning rate"),
    VK_OPT_I64(C, "steps", steps, 0, 1e12, "N", NULL, "of the optimiser; 0: as epochs says"),
    VK_OPT_I64(
        C, "warmup", warmup, 0, 1e12, "N", "steps",
        "in which lr rises to its value, after those of critic_warmup; of ppo and grpo 3 unless "
        "said"),
    VK_OPT_F64(C, "weight_decay", weight_decay, 0, 100, "X", NULL, "of matrices, times lr a step"),
    VK_OPT_END,
};

static const vk_opt keys_dagger[] = {
    VK_OPT_I64(C, "dagger_episodes", dagger_episodes, 1, 1e5, "N", NULL, "of the policy, a task"),
    VK_OPT_I64(C, "dagger_every", dagger_every, 1, 1e12, "N", "steps",
               "ask the expert where the policy comes so often"),
    VK_OPT_I64(C, "dagger_rounds", dagger_rounds, 1, 9999, "N", NULL, "times in all"),
    VK_OPT_F64(C, "dagger_temperature", dagger_temperature, 0, 100, "X", NULL,
               "of the policy's draws; 0: greedy"),
    VK_OPT_END,
};

static const vk_opt keys_act[] = {
    VK_OPT_I64(C, "episode_steps", episode_steps, 0, 100000, "N", NULL,
               "an episode ends after so many; 0: at the protocol's limit"),
    VK_OPT_END,
};

static const vk_opt keys_practice[] = {
    VK_OPT_I64(C, "group", group, 1, 4096, "N", NULL, "episodes of a group: they begin alike"),
    VK_OPT_I64(C, "groups", groups, 1, 4096, "N", NULL, "of a step"),
    VK_OPT_FLAG(
        C, "partial_reset", partial_reset,
        "an environment begins anew when its episode ends, until it has made rollout_steps"),
    VK_OPT_F64(C, "reward", reward, 0.001, 1000, "X", NULL, "of success; all else gets 0"),
    VK_OPT_I64(
        C, "rollout_steps", rollout_steps, 0, 1000000, "N", NULL,
        "of each environment with partial_reset, in chunks of 8; 0: those of two episodes at "
        "the limit"),
    VK_OPT_LIST(C, "tasks", tasks, "TASK", "tasks and suites, practised in turn"),
    VK_OPT_F64(C, "temperature", temperature, 0.01, 100, "X", NULL,
               "of the draws of actions, and of what is learned from them"),
    VK_OPT_F64(C, "temperature_high", temperature_high, 0.01, 100, "X", NULL,
               "after a step whose groups were alike in themselves"),
    VK_OPT_F64(C, "uniform_share", uniform_share, 0, 1, "X", NULL,
               "share of such groups above which temperature_high is taken; 1: never"),
    VK_OPT_END,
};

static const char *const levels[] = {"token", "action", "chunk", NULL};
static const char *const bootstraps[] = {"auto", "none", "truncation", "always", NULL};

static const vk_opt keys_policy[] = {
    VK_OPT_I64(C, "bc_batch", bc_batch, 1, 1 << 20, "N", NULL, "demonstrations beside each step"),
    VK_OPT_I64(C, "bc_steps", bc_steps, 0, 1e12, "N", "steps",
               "in which bc_weight falls to 0; 0: it stays"),
    VK_OPT_F64(C, "bc_weight", bc_weight, 0, 1000, "X", NULL,
               "of the loss of demonstrations, at first; 0: none, and no key of theirs is read"),
    VK_OPT_CHOICE(
        C, "bootstrap", bootstrap, "auto|none|truncation|always", bootstraps,
        "ends of episodes that are worth the value of what came after: those at the limit, "
        "or success too; auto: at the limit with partial_reset, else none"),
    VK_OPT_F64(C, "clip_hi", clip_hi, 0, 100, "X", NULL, "ratios count up to 1 + this"),
    VK_OPT_F64(C, "clip_lo", clip_lo, 0, 1, "X", NULL, "ratios count from 1 - this"),
    VK_OPT_I64(C, "critic_warmup", critic_warmup, 0, 1e12, "N", "steps",
               "in which the value head alone learns"),
    VK_OPT_F64(C, "dual_clip", dual_clip, 0, 1000, "X", NULL,
               "a loss is at most this times its advantage; above 1, or 0: no bound"),
    VK_OPT_F64(C, "entropy_bonus", entropy_bonus, 0, 100, "X", NULL, "of the entropy, at first"),
    VK_OPT_I64(C, "entropy_steps", entropy_steps, 0, 1e12, "N", "steps",
               "in which entropy_bonus falls to 0; 0: it stays"),
    VK_OPT_F64(C, "filter_hi", filter_hi, 0, 1, "X", NULL,
               "groups with a greater share of successes are left out"),
    VK_OPT_F64(C, "filter_lo", filter_lo, 0, 1, "X", NULL, "and those with a smaller one"),
    VK_OPT_F64(C, "gamma", gamma, 0, 1, "X", NULL, "discount of a step"),
    VK_OPT_F64(C, "huber_delta", huber_delta, 1e-6, 1e6, "X", NULL,
               "where the value's loss becomes linear"),
    VK_OPT_F64(C, "kl_stop", kl_stop, 0, 1e6, "X", NULL,
               "divergence at which a step ends early; 0: never"),
    VK_OPT_F64(C, "lambda", lambda, 0, 1, "X", NULL, "of generalised advantages"),
    VK_OPT_FLAG(C, "length_norm", length_norm,
                "every episode counts the same, however long (with partial_reset every action)"),
    VK_OPT_CHOICE(C, "logp_level", logp_level, "token|action|chunk", levels,
                  "what a ratio of probabilities is of"),
    VK_OPT_CHOICE(C, "reward_level", reward_level, "action|chunk", levels + 1,
                  "what a step of rewards, values and advantages is"),
    VK_OPT_F64(C, "stem_lr", stem_lr, 0.001, 1000, "X", NULL, "of the stem: share of lr"),
    VK_OPT_I64(C, "update_epochs", update_epochs, 1, 64, "N", NULL,
               "how often a step's episodes are learned from"),
    VK_OPT_F64(C, "value_clip", value_clip, 0, 1e6, "X", NULL,
               "values count within this of those before"),
    VK_OPT_F64(C, "value_lr", value_lr, 0.001, 1000, "X", NULL, "of the value head: share of lr"),
    VK_OPT_F64(C, "value_weight", value_weight, 0, 1000, "X", NULL, "of the value's loss"),
    VK_OPT_END,
};

static const vk_opt keys_free[] = {
    VK_OPT_I64(C, "cache_mb", cache_mb, 0, 1e9, "N", "MB", "for pictures that were drawn once"),
    VK_OPT_I64(C, "eval_episodes", eval_episodes, 1, 1e5, "N", NULL,
               "a task in an evaluation, from sampled first states"),
    VK_OPT_I64(C, "eval_every", eval_every, 0, 1e12, "N", "steps",
               "evaluate the policy so often; 0: never"),
    VK_OPT_STR(C, "eval_suite", eval_suite, "SUITE", "tasks of evaluations (default: of the data)"),
    VK_OPT_I64(C, "keep", keep, 1, 1e6, "N", NULL, "checkpoints, the newest, and the best"),
    VK_OPT_STR(C, "out", out, "DIR", "folder for checkpoints and curves"),
    VK_OPT_F64(C, "quiet_s", quiet_s, 0, 1e6, "X", "seconds",
               "say which episode has made no step for so long; 0: never"),
    VK_OPT_FLAG(C, "recompute", recompute,
                "keep what lies between layers alone until the backward pass and compute the rest "
                "again: less memory, more time, the same bits"),
    VK_OPT_I64(C, "save_every", save_every, 1, 1e12, "N", "steps",
               "write a checkpoint so often, and when it is the best"),
    VK_OPT_I64(C, "validate_every", validate_every, 0, 1e12, "N", "steps",
               "compute the loss of held-out demonstrations so often; 0: never"),
    VK_OPT_I64(C, "workers", workers, 1, 64, "N", NULL, "threads that prepare batches"),
    VK_OPT_END,
};

#undef C

const vk_train_section vk_train_sections[] = {
    {"What is trained", VK_TRAIN_ALL, false, keys_what},
    {"Demonstrations and pictures", VK_TRAIN_ALL, false, keys_data},
    {"Augmentation of demonstrations", VK_TRAIN_ALL, false, keys_augment},
    {"Loss of demonstrations", VK_TRAIN_ALL, false, keys_loss},
    {"Optimiser", VK_TRAIN_ALL, false, keys_optim},
    {"Episodes (dagger, ppo, grpo)", VK_TRAIN_dagger | VK_TRAIN_PRACTICE, false, keys_act},
    {"The expert's help (dagger)", VK_TRAIN_dagger, false, keys_dagger},
    {"Practice (ppo, grpo)", VK_TRAIN_PRACTICE, false, keys_practice},
    {"Loss of practice (ppo, grpo)", VK_TRAIN_PRACTICE, false, keys_policy},
    {"On the way (a resumed run may have other values)", VK_TRAIN_ALL, true, keys_free},
    {0},
};

/* What fewer methods read than its section says. */
static const struct {
  const char *key;
  unsigned methods;
} fewer[] = {
    /* the network of "init" practises, and for so many steps */
    {"model", VK_TRAIN_IMITATION},
    {"dropout", VK_TRAIN_IMITATION},
    {"epochs", VK_TRAIN_IMITATION},
    {"validate_every", VK_TRAIN_IMITATION},
    {"quiet_s", VK_TRAIN_PRACTICE | VK_TRAIN_dagger},
    /* the value head's */
    {"critic_warmup", VK_TRAIN_ppo},
    {"bootstrap", VK_TRAIN_ppo},
    {"gamma", VK_TRAIN_ppo},
    {"huber_delta", VK_TRAIN_ppo},
    {"lambda", VK_TRAIN_ppo},
    {"partial_reset", VK_TRAIN_ppo},
    {"rollout_steps", VK_TRAIN_ppo},
    {"value_clip", VK_TRAIN_ppo},
    {"value_lr", VK_TRAIN_ppo},
    {"value_weight", VK_TRAIN_ppo},
};

/* What is of demonstrations alone, beside "data". */
static const char *const of_demos[] = {
    "demos",    "drop_noops",   "validation_demos", "brightness",
    "contrast", "crop",         "paraphrase",       "proprio_dropout",
    "shift_px", "word_dropout", "label_sigma",      "gripper_weight",
    "bc_batch", "bc_steps",     "cache_mb",         "workers",
};

bool vk_train_config_is_of_demos(const vk_opt *key)
{
  for (size_t i = 0; i < VK_COUNT(of_demos); i++)
    if (strcmp(of_demos[i], key->name) == 0)
      return true;
  return false;
}

unsigned vk_train_config_methods(const vk_train_section *section, const vk_opt *key)
{
  for (size_t i = 0; i < VK_COUNT(fewer); i++)
    if (strcmp(fewer[i].key, key->name) == 0)
      return fewer[i].methods;
  return section->methods;
}

void vk_train_config_name_methods(unsigned mask, char *out, size_t n)
{
  out[0] = '\0';
  for (unsigned i = 0; i < VK_TRAIN_N_METHOD; i++)
    if (mask & 1u << i) {
      size_t at = strlen(out);
      snprintf(out + at, n - at, "%s%s", at ? ", " : "", vk_train_methods[i]);
    }
}

const char *vk_train_config_only(const vk_opt *key)
{
  static char text[VK_COUNT(fewer)][VK_TRAIN_METHODS_TEXT]; /* the same each time */
  for (size_t i = 0; i < VK_COUNT(fewer); i++)
    if (strcmp(fewer[i].key, key->name) == 0) {
      vk_train_config_name_methods(fewer[i].methods, text[i], sizeof text[i]);
      return text[i];
    }
  return NULL;
}
