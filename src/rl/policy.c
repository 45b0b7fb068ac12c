#include "rl/policy.h"

#include <stdio.h>
#include <string.h>

#include "core/fs.h"
#include "core/opt.h"
#include "core/version.h"
#include "rl/policy_bundled.h"

const vk_policy_def *const vk_policy_defs[] = {
#define VK_POLICY(name) &vk_policy_##name,
#include "rl/policy_list.h"
#undef VK_POLICY
    NULL};

/* VK_E_USAGE with the nearest name; without a near one, with all, and that it may be a folder. */
static vk_status fail_unknown(const char *name, vk_err *err)
{
  const char *names[VK_COUNT(vk_policy_defs) + VK_BUNDLED_MAX + 1] = {NULL};
  vk_bundled bundled[VK_BUNDLED_MAX];
  int n = 0, n_bundled = 0;
  while (vk_policy_defs[n]) {
    names[n] = vk_policy_defs[n]->name;
    n++;
  }
  names[n++] = "bundled";
  if (vk_bundled_list(bundled, &n_bundled, NULL) == VK_OK)
    for (int i = 0; i < n_bundled; i++)
      names[n++] = bundled[i].name;
  if (vk_opt_nearest(name, names))
    return vk_opt_fail_name(err, "policy", name, names);
  vk_status st = vk_opt_fail_name(err, "policy", name, names);
  return vk_fail(err, st, "%s, and folders of trained ones, of which none is '%.80s'",
                 err ? err->text : "", name);
}

/* The definition that the first n characters of a word name; NULL: none. */
static const vk_policy_def *find_def(const char *word, size_t n)
{
  for (size_t i = 0; vk_policy_defs[i]; i++)
    if (strlen(vk_policy_defs[i]->name) == n && strncmp(vk_policy_defs[i]->name, word, n) == 0)
      return vk_policy_defs[i];
  return NULL;
}

/* Whether a word that names no policy means files. */
static bool is_path(const char *word)
{
  return strchr(word, '/') || vk_fs_is_dir(word) || vk_fs_is_file(word);
}

/* The definition that a word names, and what stands behind its name (NULL: nothing). */
static vk_status parse(const vk_policy_def **def, const char **argument, const char *word,
                       vk_err *err)
{
  const char *colon = strchr(word, ':');
  *argument = colon && colon[1] ? colon + 1 : NULL;
  size_t n = colon ? (size_t)(colon - word) : strlen(word);
  *def = find_def(word, n);
  if (!*def && (vk_bundled_is_name(word) || is_path(word))) {
    *def = &vk_policy_checkpoint;
    *argument = word;
    return VK_OK;
  }
  if (!*def) {
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)n, word);
    return fail_unknown(name, err);
  }
  if ((*def)->argument && !*argument)
    return vk_fail(err, VK_E_USAGE, "policy '%s' needs an argument: %s:%s", (*def)->name,
                   (*def)->name, (*def)->argument);
  if (!(*def)->argument && colon)
    return vk_fail(err, VK_E_USAGE, "policy '%s' takes no argument, not '%.80s'", (*def)->name,
                   colon);
  return VK_OK;
}

static void hash_policy(vk_policy *policy, const char *argument)
{
  vk_sha256 h;
  const char *name = policy->def->name, *version = vk_version();
  vk_sha256_init(&h);
  vk_sha256_add(&h, name, strlen(name) + 1);
  vk_sha256_add(&h, version, strlen(version) + 1);
  if (policy->def->identify)
    policy->def->identify(policy->state, &h);
  else if (argument)
    vk_sha256_add(&h, argument, strlen(argument));
  vk_sha256_end_hex(&h, policy->hash);
}

vk_status vk_policy_open(vk_policy *policy, const char *word, const vk_policy_args *args,
                         vk_err *err)
{
  *policy = (vk_policy){0};
  const vk_policy_def *def = NULL;
  vk_policy_args own = *args;
  VK_TRY(parse(&def, &own.argument, word, err));
  if (own.temperature > 0 && !(def->needs & VK_POLICY_DRAWS))
    return vk_fail(err, VK_E_USAGE, "policy '%s' draws no actions that a temperature could change",
                   def->name);
  vk_status st = def->open(&policy->state, &own, err);
  if (st != VK_OK)
    return st;
  policy->def = def;
  policy->n_action = 1;
  if (def->describe)
    def->describe(policy->state, policy);
  hash_policy(policy, own.argument);
  return VK_OK;
}

void vk_policy_close(vk_policy *policy)
{
  if (policy->def && policy->def->close)
    policy->def->close(policy->state);
  *policy = (vk_policy){0};
}
