#include "rl/policy.h"

#include <stdio.h>
#include <stdlib.h>
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

/* Without links and ".." before the last name, so that one path has one spelling. The last name
 * stays: it may be "best", and says more than the number that it leads to. */
static vk_status resolve_folders(char path[VK_FS_PATH_MAX], vk_err *err)
{
  char name[VK_FS_PATH_MAX];
  char *slash = strrchr(path, '/');
  if (!slash || !slash[1])
    return VK_OK;
  bool is_dots = strcmp(slash + 1, ".") == 0 || strcmp(slash + 1, "..") == 0;
  snprintf(name, sizeof name, "%s", is_dots ? "" : slash + 1);
  if (!is_dots)
    slash[1] = '\0';
  char *real = realpath(path, NULL);
  if (!real)
    return vk_fs_fail(err, path, "find");
  vk_status st = name[0] ? vk_fs_join(path, VK_FS_PATH_MAX, real, name, err)
                         : vk_fs_join(path, VK_FS_PATH_MAX, "", real, err);
  free(real);
  return st;
}

vk_status vk_policy_word_absolute(char out[VK_POLICY_WORD_MAX], const char *word, vk_err *err)
{
  const vk_policy_def *def = NULL;
  const char *argument = NULL;
  char path[VK_FS_PATH_MAX];
  if (strlen(word) >= VK_POLICY_WORD_MAX)
    return vk_fail(err, VK_E_RANGE, "policy '%.80s...' is too long a word", word);
  snprintf(out, VK_POLICY_WORD_MAX, "%s", word);
  if (parse(&def, &argument, word, NULL) != VK_OK || !argument || vk_bundled_is_name(argument) ||
      (!vk_fs_is_file(argument) && !vk_fs_is_dir(argument)))
    return VK_OK;
  VK_TRY(vk_fs_absolute(path, argument, err));
  VK_TRY(resolve_folders(path, err));
  int n = snprintf(out, VK_POLICY_WORD_MAX, "%.*s%s", (int)(argument - word), word, path);
  VK_ASSERT(n < VK_POLICY_WORD_MAX);
  return VK_OK;
}

void vk_policy_close(vk_policy *policy)
{
  if (policy->def && policy->def->close)
    policy->def->close(policy->state);
  *policy = (vk_policy){0};
}
