#include "rl/train_config.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "core/fs.h"

enum { TEXT_BYTES = 1 << 20, FILE_BYTES_MAX = 1 << 20, VALUE_MAX = 200, KEYS_MAX = 128 };

/* ---- the table ----------------------------------------------------------------------------- */

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

static const char *const methods[] = {
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
    VK_OPT_CHOICE(C, "method", method, "METHOD", methods, "how the policy is made"),
    VK_OPT_STR(C, "model", model, "MODEL", "name or configuration file of the network"),
    VK_OPT_CHOICE(C, "precision", precision, "auto|f32|bf16", precisions,
                  "of products of matrices; auto: bf16 where the processor computes it"),
    VK_OPT_I64(C, "seed", seed, 0, 4294967295.0, "N", NULL, "of everything that is drawn"),
    VK_OPT_FLAG(C, "train_on_eval_rows", train_on_eval_rows,
                "learn from the init rows of evaluations too, as published results do"),
    VK_OPT_END,
};

static const vk_opt keys_data[] = {
    VK_OPT_LIST(C, "data", data, "PATH", "files and folders of demonstrations"),
    VK_OPT_I64(C, "demos", demos, 0, 1e6, "N", NULL, "of each task, the first ones; 0: all"),
    VK_OPT_FLAG(C, "drop_noops", drop_noops, "leave out steps that move nothing"),
    VK_OPT_STR(C, "protocol", protocol, "PROTOCOL",
               "whose turn of pictures the policy sees; evaluations follow it too"),
    VK_OPT_I64(C, "validation_demos", validation_demos, 0, 1e6, "N", NULL,
               "of each task, the last ones, held out of training"),
    VK_OPT_I64(C, "views", views, 1, 2, "N", NULL, "pictures: 1 agentview, 2 and eye in hand"),
    VK_OPT_STR(C, "visuals", visuals, "stand-in|original|FILE",
               "what pictures show (default: original when imported)"),
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
               "samples in memory at a time; gradients of a batch are summed"),
    VK_OPT_CHOICE(C, "schedule", schedule, "NAME", schedules, "of the learning rate"),
    VK_OPT_I64(C, "steps", steps, 0, 1e12, "N", NULL, "of the optimiser; 0: as epochs says"),
    VK_OPT_I64(C, "warmup", warmup, 0, 1e12, "N", "steps", "in which lr rises to its value"),
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
    VK_OPT_F64(C, "reward", reward, 0.001, 1000, "X", NULL, "of success; all else gets 0"),
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

static const vk_opt keys_policy[] = {
    VK_OPT_I64(C, "bc_batch", bc_batch, 1, 1 << 20, "N", NULL, "demonstrations beside each step"),
    VK_OPT_I64(C, "bc_steps", bc_steps, 0, 1e12, "N", "steps",
               "in which bc_weight falls to 0; 0: it stays"),
    VK_OPT_F64(C, "bc_weight", bc_weight, 0, 1000, "X", NULL,
               "of the loss of demonstrations, at first; 0: none"),
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
    VK_OPT_F64(C, "gamma", gamma, 0, 1, "X", NULL, "ppo: discount of a step"),
    VK_OPT_F64(C, "huber_delta", huber_delta, 1e-6, 1e6, "X", NULL,
               "ppo: where the value's loss becomes linear"),
    VK_OPT_F64(C, "kl_stop", kl_stop, 0, 1e6, "X", NULL,
               "divergence at which a step ends early; 0: never"),
    VK_OPT_F64(C, "lambda", lambda, 0, 1, "X", NULL, "ppo: of generalised advantages"),
    VK_OPT_FLAG(C, "length_norm", length_norm, "every episode counts the same, however long"),
    VK_OPT_CHOICE(C, "logp_level", logp_level, "token|action|chunk", levels,
                  "what a ratio of probabilities is of"),
    VK_OPT_CHOICE(C, "reward_level", reward_level, "action|chunk", levels + 1,
                  "what a step of rewards, values and advantages is"),
    VK_OPT_F64(C, "stem_lr", stem_lr, 0.001, 1000, "X", NULL, "of the stem: share of lr"),
    VK_OPT_I64(C, "update_epochs", update_epochs, 1, 64, "N", NULL,
               "how often a step's episodes are learned from"),
    VK_OPT_F64(C, "value_clip", value_clip, 0, 1e6, "X", NULL,
               "ppo: values count within this of those before"),
    VK_OPT_F64(C, "value_lr", value_lr, 0.001, 1000, "X", NULL,
               "ppo: of the value head: share of lr"),
    VK_OPT_F64(C, "value_weight", value_weight, 0, 1000, "X", NULL, "ppo: of the value's loss"),
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
    {"Episodes", VK_TRAIN_DAGGER | VK_TRAIN_PRACTICE, false, keys_act},
    {"The expert's help", VK_TRAIN_DAGGER, false, keys_dagger},
    {"Practice", VK_TRAIN_PRACTICE, false, keys_practice},
    {"Loss of practice", VK_TRAIN_PRACTICE, false, keys_policy},
    {"On the way (a resumed run may have other values)", VK_TRAIN_ALL, true, keys_free},
    {0},
};

/* A key with its place in the table. */
typedef struct place {
  const vk_train_section *section;
  const vk_opt *key;
  int i; /* of all keys */
} place;

/* The first key (p->key NULL), or the one after p; false at the end. */
static bool next(place *p)
{
  if (p->key) {
    p->key++;
    p->i++;
  } else {
    p->section = vk_train_sections;
    p->key = p->section->keys;
  }
  while (p->key->kind == VK_OPT_KIND_END) {
    if (!(++p->section)->title)
      return false;
    p->key = p->section->keys;
  }
  return true;
}

static void *member(const vk_train_config *c, const vk_opt *key)
{
  return (char *)c + key->offset;
}

static bool is_given(const vk_train_config *c, int i)
{
  return c->given[i / 64] >> (i % 64) & 1;
}

/* VK_E_FORMAT or VK_E_USAGE with the nearest key. */
static vk_status find(place *p, const char *name, vk_status code, vk_err *err)
{
  const char *names[KEYS_MAX + 1] = {NULL};
  for (*p = (place){0}; next(p);) {
    VK_ASSERT(p->i < KEYS_MAX);
    names[p->i] = p->key->name;
    if (strcmp(p->key->name, name) == 0)
      return VK_OK;
  }
  const char *near = vk_opt_nearest(name, names);
  if (near)
    return vk_fail(err, code, "unknown key \"%.80s\"; did you mean \"%s\"?", name, near);
  return vk_fail(err, code, "unknown key \"%.80s\"; vlakit train --set list shows all", name);
}

/* What a value must be. */
static void expected(const vk_opt *key, char *out, size_t n)
{
  out[0] = '\0';
  switch (key->kind) {
  case VK_OPT_KIND_FLAG:
    snprintf(out, n, "true or false");
    break;
  case VK_OPT_KIND_I64:
  case VK_OPT_KIND_F64:
    vk_opt_format_range(key, out, n);
    break;
  case VK_OPT_KIND_LIST:
    snprintf(out, n, "a list of at most %d texts", VK_OPT_LIST_MAX);
    break;
  default:
    for (int i = 0; key->choices && key->choices[i]; i++) {
      size_t at = strlen(out);
      snprintf(out + at, n - at, "%s%s", i ? ", " : "one of ", key->choices[i]);
    }
    if (!key->choices)
      snprintf(out, n, "a text");
  }
}

/* ---- values -------------------------------------------------------------------------------- */

vk_status vk_train_config_init(vk_train_config *c, vk_err *err)
{
  *c = vk_train_config_default;
  return vk_arena_init(&c->text, "a training configuration", TEXT_BYTES, err);
}

void vk_train_config_fini(vk_train_config *c)
{
  vk_arena_fini(&c->text);
  *c = (vk_train_config){0};
}

static const char *keep(vk_train_config *c, const char *text, size_t n, vk_err *err)
{
  char *copy = VK_PUSH(&c->text, n + 1, char, err);
  if (copy) {
    memcpy(copy, text, n);
    copy[n] = '\0';
  }
  return copy;
}

static bool is_choice(const vk_opt *key, const char *value)
{
  for (int i = 0; key->choices && key->choices[i]; i++)
    if (strcmp(key->choices[i], value) == 0)
      return true;
  return !key->choices;
}

/* The value of a key out of its JSON. *is_valid out: whether it is what the table says. */
static vk_status assign(vk_train_config *c, const place *p, const cJSON *value, bool *is_valid,
                        vk_err *err)
{
  const vk_opt *key = p->key;
  void *to = member(c, key);
  const char *text = cJSON_GetStringValue(value);
  double x = cJSON_IsNumber(value) ? value->valuedouble : NAN;
  *is_valid = false;
  switch (key->kind) {
  case VK_OPT_KIND_FLAG:
    if (!cJSON_IsBool(value))
      return VK_OK;
    *(bool *)to = cJSON_IsTrue(value);
    break;
  case VK_OPT_KIND_I64:
    if (!(x >= key->lo && x <= key->hi && x == floor(x)))
      return VK_OK;
    *(int64_t *)to = (int64_t)x;
    break;
  case VK_OPT_KIND_F64:
    if (!(isfinite(x) && x >= key->lo && x <= key->hi))
      return VK_OK;
    *(double *)to = x;
    break;
  case VK_OPT_KIND_LIST: {
    vk_opt_list list = {0};
    const cJSON *item;
    if (!cJSON_IsArray(value) || cJSON_GetArraySize(value) > VK_OPT_LIST_MAX)
      return VK_OK;
    cJSON_ArrayForEach(item, value)
    {
      const char *s = cJSON_GetStringValue(item);
      if (!s || !*s)
        return VK_OK;
      if (!(list.item[list.n++] = keep(c, s, strlen(s), err)))
        return VK_E_NOMEM;
    }
    *(vk_opt_list *)to = list;
    break;
  }
  default:
    if (!text || !*text || !is_choice(key, text))
      return VK_OK;
    if (!(*(const char **)to = keep(c, text, strlen(text), err)))
      return VK_E_NOMEM;
  }
  *is_valid = true;
  c->given[p->i / 64] |= UINT64_C(1) << (p->i % 64);
  return VK_OK;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Line of the i-th member of the object that `text`, valid JSON, is. */
static int line_of_member(const char *text, size_t n, int i)
{
  int line = 1, depth = 0;
  bool is_text = false;
  for (size_t k = 0; k < n; k++) {
    char ch = text[k];
    if (is_text && ch == '\\')
      k++;
    else if (ch == '"')
      is_text = !is_text;
    else if (ch == '\n')
      line++;
    else if (!is_text && (ch == '{' || ch == '['))
      depth++;
    else if (!is_text && (ch == '}' || ch == ']'))
      depth--;
    else if (!is_text && ch == ':' && depth == 1 && i-- == 0)
      return line;
  }
  return line;
}

static vk_status read_member(vk_train_config *c, const cJSON *item, vk_err *err)
{
  place p;
  bool is_valid;
  char want[VALUE_MAX];
  VK_TRY(find(&p, item->string, VK_E_FORMAT, err));
  VK_TRY(assign(c, &p, item, &is_valid, err));
  if (is_valid)
    return VK_OK;
  expected(p.key, want, sizeof want);
  char *found = cJSON_PrintUnformatted(item);
  vk_status st = vk_fail(err, cJSON_IsNumber(item) ? VK_E_RANGE : VK_E_FORMAT,
                         "\"%s\" is %.80s, and must be %s", p.key->name, found ? found : "?", want);
  cJSON_free(found);
  return st;
}

vk_status vk_train_config_parse(vk_train_config *c, const char *text, size_t n, const char *what,
                                vk_err *err)
{
  cJSON *json = NULL;
  VK_TRY(vk_json_parse(&json, text, n, what, err));
  vk_status st = VK_OK;
  if (!cJSON_IsObject(json))
    st = vk_fail(err, VK_E_FORMAT,
                 "%s: a training configuration is an object of keys: {\"lr\": ...}", what);
  int i = 0;
  for (const cJSON *item = json->child; item && st == VK_OK; item = item->next, i++)
    if ((st = read_member(c, item, err)) != VK_OK)
      vk_err_prefix(err, "%s:%d", what, line_of_member(text, n, i));
  cJSON_Delete(json);
  return st;
}

/* configs/NAME.json of the program. */
static vk_status find_named(char path[VK_FS_PATH_MAX], const char *word, vk_err *err)
{
  char name[VK_FS_PATH_MAX];
  snprintf(name, sizeof name, "configs/%.200s.json", word);
  if (vk_fs_find_data(path, name, NULL) == VK_OK)
    return VK_OK;
  const char **names = vk_train_config_names();
  if (!names)
    return vk_fail(err, VK_E_NOMEM, "no memory for the names of configurations");
  vk_status st = vk_opt_fail_name(err, "configuration", word, names);
  free(names);
  return st;
}

vk_status vk_train_config_read(vk_train_config *c, const char *word, vk_err *err)
{
  char path[VK_FS_PATH_MAX], *text = NULL;
  size_t n = 0;
  if (strchr(word, '/') || strchr(word, '.') || vk_fs_is_file(word))
    VK_TRY(vk_fs_read(&text, &n, word, FILE_BYTES_MAX, err));
  else {
    VK_TRY(find_named(path, word, err));
    VK_TRY(vk_fs_read(&text, &n, path, FILE_BYTES_MAX, err));
  }
  vk_status st = vk_train_config_parse(c, text, n, word, err);
  free(text);
  return st;
}

/* The JSON that a word of the command line means for a key; NULL without memory. */
static cJSON *json_of_word(const vk_opt *key, const char *word)
{
  char *end = NULL;
  if (key->kind == VK_OPT_KIND_LIST) {
    cJSON *list = cJSON_CreateArray();
    for (const char *item = word; *item;) {
      int n = (int)strcspn(item, ",");
      char one[VK_FS_PATH_MAX];
      snprintf(one, sizeof one, "%.*s", n, item);
      cJSON_AddItemToArray(list, cJSON_CreateString(one));
      item += n + (item[n] == ',');
    }
    return list;
  }
  if (key->kind == VK_OPT_KIND_FLAG && strcmp(word, "true") == 0)
    return cJSON_CreateTrue();
  if (key->kind == VK_OPT_KIND_FLAG && strcmp(word, "false") == 0)
    return cJSON_CreateFalse();
  if (key->kind == VK_OPT_KIND_I64 || key->kind == VK_OPT_KIND_F64) {
    double x = strtod(word, &end);
    if (end > word && !*end)
      return cJSON_CreateNumber(x);
  }
  return cJSON_CreateString(word);
}

vk_status vk_train_config_set(vk_train_config *c, const char *assignment, vk_err *err)
{
  char name[VALUE_MAX], want[VALUE_MAX];
  place p;
  bool is_valid = false;
  const char *equals = strchr(assignment, '=');
  if (!equals)
    return vk_fail(err, VK_E_USAGE, "--set takes KEY=VALUE, not '%.80s'", assignment);
  snprintf(name, sizeof name, "%.*s", (int)(equals - assignment), assignment);
  vk_status st = find(&p, name, VK_E_USAGE, err);
  if (st != VK_OK)
    return vk_err_prefix(err, "--set");
  cJSON *value = json_of_word(p.key, equals + 1);
  if (!value)
    return vk_fail(err, VK_E_NOMEM, "no memory for --set %.80s", assignment);
  st = assign(c, &p, value, &is_valid, err);
  cJSON_Delete(value);
  if (st != VK_OK || is_valid)
    return st;
  expected(p.key, want, sizeof want);
  return vk_fail(err, VK_E_USAGE, "--set %s: '%.80s' was given, it must be %s", p.key->name,
                 equals + 1, want);
}

vk_status vk_train_config_set_data(vk_train_config *c, const vk_opt_list *path, vk_err *err)
{
  place p;
  bool is_valid;
  VK_TRY(find(&p, "data", VK_E_USAGE, err));
  cJSON *list = cJSON_CreateStringArray((const char *const *)path->item, path->n);
  vk_status st = list ? assign(c, &p, list, &is_valid, err)
                      : vk_fail(err, VK_E_NOMEM, "no memory for %d paths", path->n);
  cJSON_Delete(list);
  return st;
}

const char **vk_train_config_names(void)
{
  enum { NAMES_MAX = 64, NAME_BYTES = 64 };
  static const char *const folder[] = {VK_DATA_DIR "/configs", VK_SOURCE_DATA_DIR "/configs"};
  const char **names = calloc(1, (NAMES_MAX + 1) * sizeof *names + NAMES_MAX * NAME_BYTES);
  if (!names)
    return NULL;
  char *text = (char *)(names + NAMES_MAX + 1);
  DIR *dir = NULL;
  for (size_t i = 0; i < VK_COUNT(folder) && !dir; i++)
    dir = opendir(folder[i]);
  int n = 0;
  for (struct dirent *e; dir && n < NAMES_MAX && (e = readdir(dir));) {
    size_t len = strlen(e->d_name);
    if (len <= 5 || len >= NAME_BYTES || strcmp(e->d_name + len - 5, ".json") != 0)
      continue;
    char *name = text + (size_t)n * NAME_BYTES;
    snprintf(name, NAME_BYTES, "%.*s", (int)len - 5, e->d_name);
    int at = n++;
    for (; at > 0 && strcmp(names[at - 1], name) > 0; at--)
      names[at] = names[at - 1];
    names[at] = name;
  }
  if (dir)
    closedir(dir);
  return names;
}

/* ---- rules and writing --------------------------------------------------------------------- */

static unsigned method_bit(const char *method)
{
  static const char *const name[] = {"sft", "dagger", "ppo", "grpo"}; /* VK_TRAIN_SFT and so on */
  for (unsigned i = 0; i < VK_COUNT(name); i++)
    if (strcmp(name[i], method) == 0)
      return 1u << i;
  VK_ASSERT(!"a method of train_list.h");
  return 0;
}

vk_status vk_train_config_check(const vk_train_config *c, vk_err *err)
{
  unsigned method = method_bit(c->method);
  for (place p = {0}; next(&p);)
    if (is_given(c, p.i) && !(p.section->methods & method))
      return vk_fail(err, VK_E_USAGE, "key \"%s\" is not of method %s; leave it out", p.key->name,
                     c->method);
  if (c->micro_batch > c->batch || c->batch % c->micro_batch != 0)
    return vk_fail(err, VK_E_USAGE,
                   "batch %lld is no multiple of micro_batch %lld: gradients of equal parts are "
                   "summed",
                   (long long)c->batch, (long long)c->micro_batch);
  if (c->steps == 0 && (method & VK_TRAIN_PRACTICE))
    return vk_fail(err, VK_E_USAGE, "steps is 0: method %s practises so many, and knows no epochs",
                   c->method);
  if (c->steps == 0 && c->epochs == 0)
    return vk_fail(err, VK_E_USAGE, "steps and epochs are both 0: one of them says how long");
  return VK_OK;
}

/* NULL: it has none (or there is no memory). */
static cJSON *value_json(const vk_train_config *c, const vk_opt *key)
{
  const void *from = member(c, key);
  switch (key->kind) {
  case VK_OPT_KIND_FLAG:
    return cJSON_CreateBool(*(const bool *)from);
  case VK_OPT_KIND_I64:
    return cJSON_CreateNumber((double)*(const int64_t *)from);
  case VK_OPT_KIND_F64:
    return cJSON_CreateNumber(*(const double *)from);
  case VK_OPT_KIND_LIST: {
    const vk_opt_list *list = from;
    return cJSON_CreateStringArray((const char *const *)list->item, list->n);
  }
  default:
    return *(const char *const *)from ? cJSON_CreateString(*(const char *const *)from) : NULL;
  }
}

cJSON *vk_train_config_json(const vk_train_config *c)
{
  unsigned method = method_bit(c->method);
  cJSON *o = cJSON_CreateObject();
  for (place p = {0}; o && next(&p);) {
    cJSON *value = p.section->methods & method ? value_json(c, p.key) : NULL;
    if (value)
      cJSON_AddItemToObject(o, p.key->name, value);
  }
  return o;
}

vk_status vk_train_config_same(const vk_train_config *a, const vk_train_config *b, const char *what,
                               vk_err *err)
{
  for (place p = {0}; next(&p);) {
    if (p.section->is_free || strcmp(p.key->name, "about") == 0)
      continue;
    cJSON *x = value_json(a, p.key), *y = value_json(b, p.key);
    char *then = cJSON_PrintUnformatted(x), *now = cJSON_PrintUnformatted(y);
    bool is_same = !then == !now && (!then || strcmp(then, now) == 0);
    if (!is_same)
      vk_fail(err, VK_E_USAGE,
              "%s was started with \"%s\" %.80s, now it is %.80s: a run goes on as it began; start "
              "a new one, or leave that out",
              what, p.key->name, then ? then : "not given", now ? now : "not given");
    cJSON_free(then);
    cJSON_free(now);
    cJSON_Delete(x);
    cJSON_Delete(y);
    if (!is_same)
      return VK_E_USAGE;
  }
  return VK_OK;
}
