#include "rl/norm_stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "rl/view.h"

enum { N_COMMAND = VK_N_ACTION - 1 }; /* the gripper follows them */

/* ---- of demonstrations ---- */

static void take_moments(vk_norm_moments *m, int n_dim, int64_t n, const double *x)
{
  for (int i = 0; i < n_dim; i++) {
    double sum = 0, square = 0;
    m->min[i] = m->max[i] = x[i];
    for (int64_t k = 0; k < n; k++) {
      double v = x[k * n_dim + i];
      sum += v;
      m->min[i] = v < m->min[i] ? v : m->min[i];
      m->max[i] = v > m->max[i] ? v : m->max[i];
    }
    m->mean[i] = sum / (double)n;
    for (int64_t k = 0; k < n; k++) {
      double off = x[k * n_dim + i] - m->mean[i];
      square += off * off;
    }
    m->std[i] = sqrt(square / (double)n);
  }
}

vk_status vk_norm_stats_from(vk_norm_stats *out, const char *key, int64_t n_demo, int64_t n_step,
                             const double *action, const double *proprio, vk_err *err)
{
  static const bool is_scaled[VK_N_ACTION] = {true, true, true, true, true, true, false};
  *out = (vk_norm_stats){.n_step = n_step, .n_demo = n_demo};
  snprintf(out->key, sizeof out->key, "%s", key);
  size_t n = (size_t)n_step * VK_N_ACTION;
  double *label = malloc(sizeof *label * (n + 1));
  if (!label)
    return vk_fail(err, VK_E_NOMEM, "statistics: no memory for %lld actions", (long long)n_step);
  for (size_t i = 0; i < n; i++)
    label[i] = i % VK_N_ACTION == N_COMMAND ? vk_action_gripper_from_libero(action[i]) : action[i];
  vk_status st = vk_action_stats_from(&out->action, VK_N_ACTION, n_step, label, is_scaled, err);
  if (st != VK_OK)
    vk_err_prefix(err, "actions of %lld demonstrations", (long long)n_demo);
  if (st == VK_OK) {
    st = vk_action_stats_from(&out->proprio, VK_VIEW_PROPRIO, n_step, proprio, NULL, err);
    if (st != VK_OK)
      vk_err_prefix(err, "proprioception of %lld demonstrations", (long long)n_demo);
  }
  if (st == VK_OK) {
    take_moments(&out->action_moments, VK_N_ACTION, n_step, label);
    take_moments(&out->proprio_moments, VK_VIEW_PROPRIO, n_step, proprio);
  }
  free(label);
  return st;
}

/* ---- JSON ---- */

static bool put_numbers(cJSON *o, const char *key, const double *x, int n)
{
  return cJSON_AddItemToObject(o, key, cJSON_CreateDoubleArray(x, n));
}

static bool put_group(cJSON *o, const char *name, const vk_action_stats *s,
                      const vk_norm_moments *m)
{
  cJSON *group = cJSON_AddObjectToObject(o, name);
  bool is_there =
      group && put_numbers(group, "mean", m->mean, s->n_dim) &&
      put_numbers(group, "std", m->std, s->n_dim) && put_numbers(group, "max", m->max, s->n_dim) &&
      put_numbers(group, "min", m->min, s->n_dim) && put_numbers(group, "q01", s->low, s->n_dim) &&
      put_numbers(group, "q99", s->high, s->n_dim);
  cJSON *mask = is_there ? cJSON_AddArrayToObject(group, "mask") : NULL;
  is_there = mask;
  for (int i = 0; i < s->n_dim && is_there; i++)
    is_there = cJSON_AddItemToArray(mask, cJSON_CreateBool(s->is_scaled[i]));
  return is_there;
}

vk_status vk_norm_stats_to_json(const vk_norm_stats *s, cJSON *object, vk_err *err)
{
  cJSON *o = cJSON_AddObjectToObject(object, s->key);
  if (o && put_group(o, "action", &s->action, &s->action_moments) &&
      (s->proprio.n_dim == 0 || put_group(o, "proprio", &s->proprio, &s->proprio_moments)) &&
      cJSON_AddNumberToObject(o, "num_transitions", (double)s->n_step) &&
      cJSON_AddNumberToObject(o, "num_trajectories", (double)s->n_demo))
    return VK_OK;
  return vk_fail(err, VK_E_NOMEM, "no memory for the statistics of %s as JSON", s->key);
}

/* Missing: all are scaled, as OpenVLA takes it. */
static vk_status take_mask(const cJSON *group, vk_action_stats *s, const char *what, vk_err *err)
{
  const cJSON *mask = cJSON_GetObjectItemCaseSensitive(group, "mask"), *item;
  for (int i = 0; i < s->n_dim; i++)
    s->is_scaled[i] = true;
  if (!mask)
    return VK_OK;
  if (!cJSON_IsArray(mask) || cJSON_GetArraySize(mask) != s->n_dim)
    return vk_fail(err, VK_E_SHAPE, "%s: mask is not a list of %d", what, s->n_dim);
  int i = 0;
  cJSON_ArrayForEach(item, mask)
  {
    if (!cJSON_IsBool(item))
      return vk_fail(err, VK_E_FORMAT, "%s: mask[%d] is neither true nor false", what, i);
    s->is_scaled[i++] = cJSON_IsTrue(item);
  }
  return VK_OK;
}

/* Moments are for people: those that are missing are 0. */
static vk_status take_group(const cJSON *entry, const char *name, int n_dim, vk_action_stats *s,
                            vk_norm_moments *m, const char *what, vk_err *err)
{
  const struct {
    const char *key;
    double *to;
    bool may_lack;
  } list[] = {{"mean", m->mean, true}, {"std", m->std, true},  {"min", m->min, true},
              {"max", m->max, true},   {"q01", s->low, false}, {"q99", s->high, false}};
  char where[400];
  snprintf(where, sizeof where, "%.300s, %s", what, name);
  const cJSON *group = cJSON_GetObjectItemCaseSensitive(entry, name);
  if (!cJSON_IsObject(group))
    return vk_fail(err, VK_E_FORMAT, "%s: there is no object '%s'", what, name);
  s->n_dim = n_dim;
  for (size_t i = 0; i < VK_COUNT(list); i++)
    if (!list[i].may_lack || cJSON_GetObjectItemCaseSensitive(group, list[i].key))
      VK_TRY(vk_json_get_f64s(group, list[i].key, n_dim, list[i].to, where, err));
  VK_TRY(take_mask(group, s, where, err));
  return vk_action_stats_check(s, where, err);
}

static vk_status take_entry(vk_norm_stats *s, const cJSON *entry, const char *what, vk_err *err)
{
  char where[400];
  *s = (vk_norm_stats){.n_step = 0};
  if (strlen(entry->string) >= sizeof s->key)
    return vk_fail(err, VK_E_FORMAT, "%s: a key of %zu bytes, at most %zu are expected", what,
                   strlen(entry->string), sizeof s->key - 1);
  snprintf(s->key, sizeof s->key, "%s", entry->string);
  snprintf(where, sizeof where, "%.200s: statistics '%s'", what, s->key);
  if (!cJSON_IsObject(entry))
    return vk_fail(err, VK_E_FORMAT, "%s: not an object", where);
  VK_TRY(take_group(entry, "action", VK_N_ACTION, &s->action, &s->action_moments, where, err));
  if (cJSON_GetObjectItemCaseSensitive(entry, "proprio"))
    VK_TRY(take_group(entry, "proprio", VK_VIEW_PROPRIO, &s->proprio, &s->proprio_moments, where,
                      err));
  if (cJSON_GetObjectItemCaseSensitive(entry, "num_transitions"))
    VK_TRY(vk_json_get_i64(entry, "num_transitions", &s->n_step, where, err));
  if (cJSON_GetObjectItemCaseSensitive(entry, "num_trajectories"))
    VK_TRY(vk_json_get_i64(entry, "num_trajectories", &s->n_demo, where, err));
  return VK_OK;
}

vk_status vk_norm_stats_from_json(vk_norm_stats **out, int *n, const cJSON *object,
                                  const char *what, vk_err *err)
{
  *out = NULL;
  *n = 0;
  if (!cJSON_IsObject(object) || !object->child)
    return vk_fail(err, VK_E_NOTFOUND, "%s: there are no statistics in it", what);
  vk_norm_stats *list = calloc((size_t)cJSON_GetArraySize(object), sizeof *list);
  if (!list)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for statistics", what);
  int i = 0;
  const cJSON *entry;
  cJSON_ArrayForEach(entry, object)
  {
    vk_status st = take_entry(&list[i++], entry, what, err);
    if (st == VK_OK)
      continue;
    free(list);
    return st;
  }
  *out = list;
  *n = i;
  return VK_OK;
}

vk_status vk_norm_stats_find(const vk_norm_stats **out, const vk_norm_stats *list, int n,
                             const char *suite, vk_err *err)
{
  char no_noops[VK_PACK_NAME_MAX + 20], keys[300] = "";
  snprintf(no_noops, sizeof no_noops, "%s_no_noops", suite);
  const char *const want[] = {suite, no_noops, "libero130"};
  for (size_t w = 0; w < VK_COUNT(want); w++)
    for (int i = 0; i < n; i++)
      if (strcmp(list[i].key, want[w]) == 0) {
        *out = &list[i];
        return VK_OK;
      }
  size_t used = 0;
  for (int i = 0; i < n && used < sizeof keys; i++)
    used += (size_t)snprintf(keys + used, sizeof keys - used, "%s%s", i ? ", " : "", list[i].key);
  return vk_fail(err, VK_E_NOTFOUND,
                 "the policy has no statistics for %s (neither it, nor %s, nor libero130): it has "
                 "%s",
                 suite, no_noops, n ? keys : "none");
}

vk_status vk_norm_stats_hash(const vk_norm_stats *s, char hex[65], vk_err *err)
{
  char *text = NULL;
  cJSON *o = cJSON_CreateObject();
  vk_status st = vk_norm_stats_to_json(s, o, err);
  if (st == VK_OK)
    st = vk_json_text(&text, o, err);
  if (st == VK_OK)
    vk_sha256_hex(text, strlen(text), hex);
  cJSON_free(text);
  cJSON_Delete(o);
  return st;
}
