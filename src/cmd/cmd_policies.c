/* cmd_policies.c - vlakit policies list|export: who can act, and a trained policy as others get it.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd/cmd.h"
#include "cmd/policies.h"
#include "cmd/record.h"
#include "core/json.h"
#include "rl/checkpoint.h"
#include "rl/policy.h"
#include "rl/policy_bundled.h"

typedef struct policies_args {
  const char *out, *dtype;
} policies_args;

static const char *const action_names[] = {"export", "list", NULL};
static const char *const dtype_names[] = {"bf16", "f16", "f32", NULL};
static const policies_args defaults = {.dtype = "bf16"};

#define ARGS policies_args
static const vk_opt opts[] = {
    VK_OPT_STR(ARGS, "out", out, "DIR", "export: the folder, new or empty"),
    VK_OPT_CHOICE(ARGS, "dtype", dtype, "bf16|f16|f32", dtype_names,
                  "export: what weights are rounded to; f32 keeps them"),
    VK_OPT_END,
};
#undef ARGS

/* ---- the list ---- */

static void list_one(cJSON *list, const char *name, const char *word, const char *help,
                     bool is_privileged, const char *path)
{
  if (!list) {
    printf("%-24s %s%s\n", word, help, path && !path[0] ? " (not installed)" : "");
    return;
  }
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "name", name);
  cJSON_AddStringToObject(o, "policy", word);
  cJSON_AddStringToObject(o, "help", help);
  cJSON_AddBoolToObject(o, "privileged", is_privileged);
  cJSON_AddItemToObject(o, "path", path && path[0] ? cJSON_CreateString(path) : cJSON_CreateNull());
  cJSON_AddItemToArray(list, o);
}

vk_status vk_policies_list(bool as_json, vk_err *err)
{
  vk_bundled bundled[VK_BUNDLED_MAX];
  int n_bundled;
  VK_TRY(vk_bundled_list(bundled, &n_bundled, err));
  cJSON *top = cJSON_CreateObject();
  cJSON *list = as_json ? cJSON_AddArrayToObject(top, "policies") : NULL;
  char help[160];
  snprintf(help, sizeof help, "the trained policy that comes with the program: %s",
           n_bundled ? bundled[0].name : "this version has none");
  list_one(list, "bundled", "bundled", help, false, n_bundled ? bundled[0].path : NULL);
  for (int i = 0; i < n_bundled; i++)
    list_one(list, bundled[i].name, bundled[i].name, bundled[i].about, false, bundled[i].path);
  for (size_t i = 0; vk_policy_defs[i]; i++) {
    const vk_policy_def *def = vk_policy_defs[i];
    char word[80];
    snprintf(word, sizeof word, "%s%s%s", def->name, def->argument ? ":" : "",
             def->argument ? def->argument : "");
    list_one(list, def->name, word, def->help, (def->needs & VK_POLICY_STATE) != 0, NULL);
  }
  vk_status st = as_json ? vk_json_print(top, err) : VK_OK;
  cJSON_Delete(top);
  return st;
}

/* ---- a policy for others ---- */

/* What f32 is rounded to. */
typedef struct dtype_row {
  const char *name;
  vk_safetensors_dtype dtype;
  int n_bit; /* that count, of 24 */
} dtype_row;

static dtype_row find_dtype(const char *name)
{
  static const dtype_row rows[] = {{"bf16", VK_SAFETENSORS_BF16, 8},
                                   {"f16", VK_SAFETENSORS_F16, 11},
                                   {"f32", VK_SAFETENSORS_F32, 24}};
  for (size_t i = 0; i < VK_COUNT(rows); i++)
    if (strcmp(rows[i].name, name) == 0)
      return rows[i];
  VK_ASSERT(!"a choice of --dtype");
  return rows[0];
}

/* What the folder holds is read again, as eval will: its hash is that of results. */
static vk_status open_again(const vk_cmd_call *call, const char *dir, char hash[65], vk_err *err)
{
  vk_policy policy;
  char word[VK_FS_PATH_MAX + 16];
  snprintf(word, sizeof word, "checkpoint:%.4090s", dir);
  VK_TRY(vk_policy_open(&policy, word, &(vk_policy_args){.n_env = 1, .isa = call->isa}, err));
  memcpy(hash, policy.hash, 65);
  vk_policy_close(&policy);
  return VK_OK;
}

static void print_text(const char *from, const char *dir, const dtype_row *dtype,
                       const vk_checkpoint_exported *e, double n_byte, const char *hash)
{
  printf("policy    %s, step %lld, %.1f million parameters\n", from, (long long)e->step,
         (double)e->n_parameter / 1e6);
  printf("weights   %s/model.safetensors, %s, %.2f MB\n", dir, dtype->name, n_byte / 1e6);
  printf("hash      %.12s\n", hash);
  printf("card      %s/README.md, %s\n", dir,
         e->is_card_kept ? "as it was" : "of what is recorded: add results and a licence");
  if (dtype->dtype == VK_SAFETENSORS_F32)
    return;
  if (e->max_change == 0) {
    printf("rounding  none: the weights were %s already, and the policy is the same\n",
           dtype->name);
    return;
  }
  printf("rounding  to %d of 24 bits: a weight changes by up to %.2g %%, all of them by %.2g %% "
         "(RMS)",
         dtype->n_bit, 100 * e->max_change, 100 * e->rms_change);
  if (e->n_zeroed)
    printf(", %lld became 0", (long long)e->n_zeroed);
  printf("\nThis is another policy than the one that was rounded, and its scores are its own:\n"
         "  vlakit eval --suite SUITE --policy %s\n",
         dir);
}

static vk_status print_json(const char *from, const char *dir, const dtype_row *dtype,
                            const vk_checkpoint_exported *e, double n_byte, const char *hash,
                            vk_err *err)
{
  cJSON *o = cJSON_CreateObject();
  cJSON_AddStringToObject(o, "checkpoint", from);
  cJSON_AddStringToObject(o, "policy", dir);
  cJSON_AddStringToObject(o, "policy_hash", hash);
  cJSON_AddNumberToObject(o, "step", (double)e->step);
  cJSON_AddNumberToObject(o, "n_parameter", (double)e->n_parameter);
  cJSON_AddStringToObject(o, "dtype", dtype->name);
  cJSON_AddNumberToObject(o, "bytes", n_byte);
  cJSON_AddNumberToObject(o, "max_relative_change", e->max_change);
  cJSON_AddNumberToObject(o, "rms_relative_change", e->rms_change);
  cJSON_AddNumberToObject(o, "n_zeroed", (double)e->n_zeroed);
  cJSON_AddBoolToObject(o, "card_kept", e->is_card_kept);
  vk_status st = vk_json_print(o, err);
  cJSON_Delete(o);
  return st;
}

static vk_status export(const vk_cmd_call *call, const char *from, vk_err *err)
{
  const policies_args *a = call->args;
  const dtype_row dtype = find_dtype(a->dtype);
  vk_checkpoint_exported e;
  char path[VK_FS_PATH_MAX], hash[65];
  struct stat info = {0};
  vk_status st = vk_checkpoint_export(a->out, from, dtype.dtype, &e, err);
  VK_TRY(vk_record_explain_policy(call, from, st, err));
  VK_TRY(open_again(call, a->out, hash, err));
  VK_TRY(vk_fs_join(path, sizeof path, a->out, "model.safetensors", err));
  if (stat(path, &info) != 0)
    return vk_fs_fail(err, path, "look at");
  if (call->common->json)
    return print_json(from, a->out, &dtype, &e, (double)info.st_size, hash, err);
  print_text(from, a->out, &dtype, &e, (double)info.st_size, hash);
  return VK_OK;
}

static vk_status run(const vk_cmd_call *call, vk_err *err)
{
  const policies_args *a = call->args;
  const char *action = call->n_positional ? call->positional[0] : "list";
  bool is_export = strcmp(action, "export") == 0;
  if (!is_export && strcmp(action, "list") != 0)
    return vk_opt_fail_name(err, "action", action, action_names);
  if (is_export ? call->n_positional != 2 || !a->out : call->n_positional > 1)
    return vk_fail(err, VK_E_USAGE,
                   is_export ? "export takes a trained policy and --out; for example vlakit "
                               "policies export trained --out released"
                             : "list takes no argument; usage: vlakit policies [list], vlakit "
                               "policies export CHECKPOINT --out DIR");
  if (!is_export && a->out)
    return vk_fail(err, VK_E_USAGE, "--out is for export, not for list");
  return is_export ? export(call, call->positional[1], err)
                   : vk_policies_list(call->common->json, err);
}

const vk_cmd vk_cmd_policies = {
    .name = "policies",
    .summary = "list policies, and make a trained one ready to be given away",
    .synopsis = "[list] | export CHECKPOINT --out DIR [--dtype bf16|f16|f32]",
    .description =
        "Without an argument, or with list, shows what eval --policy may name.\n\n"
        "export writes a folder that others can use as a policy: the weights that the policy acts "
        "with (the average, where training kept one), its config with statistics and provenance, "
        "and how it was trained; no optimiser state, so that training begins anew from it (init). "
        "README.md is its model card, of what the checkpoint records; results and a licence are "
        "yours to add. Where weights stay the same bytes, their own card stays, too. "
        "CHECKPOINT is a run's folder (its last checkpoint), one of its checkpoints, or such a "
        "policy. Of paths of this machine only names are kept.\n\n"
        "Weights are rounded to bf16, half the size of f32. A rounded policy decides otherwise "
        "here "
        "and there, so scores of the checkpoint are not its own: score the folder. With --dtype "
        "f32 "
        "it is the same policy, and has the same hash.",
    .examples = "  vlakit policies  # who can act\n"
                "  vlakit policies export trained --out released  # its last checkpoint, in bf16\n"
                "  vlakit policies export trained/checkpoints/best --out exact --dtype f32\n",
    .opts = opts,
    .args_size = sizeof(policies_args),
    .args_default = &defaults,
    .n_positional_max = 2,
    .common = VK_COMMON(VK_COMMON_ISA, VK_COMMON_JSON),
    .run = run,
};
