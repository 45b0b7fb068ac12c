#include <math.h>
#include <string.h>

#include "sim/standin_internal.h"

vk_status vk_standin_need(const cJSON *o, const char *key, const char *what, vk_err *err)
{
  if (!vk_standin_member(o, key))
    return vk_fail(err, VK_E_FORMAT, "%s: \"%s\" is missing", what, key);
  return VK_OK;
}

static vk_status check_number(const cJSON *item, const char *key, double lo, double hi,
                              const char *what, vk_err *err)
{
  if (!cJSON_IsNumber(item))
    return vk_fail(err, VK_E_FORMAT, "%s: \"%s\" must hold numbers", what, key);
  if (!(item->valuedouble >= lo && item->valuedouble <= hi))
    return vk_fail(err, VK_E_RANGE, "%s: \"%s\" has %.9g, which is not from %.9g to %.9g", what,
                   key, item->valuedouble, lo, hi);
  return VK_OK;
}

vk_status vk_standin_number(const cJSON *o, const char *key, double lo, double hi, double *out,
                            const char *what, vk_err *err)
{
  const cJSON *item = vk_standin_member(o, key);
  if (!item)
    return VK_OK;
  VK_TRY(check_number(item, key, lo, hi, what, err));
  *out = item->valuedouble;
  return VK_OK;
}

vk_status vk_standin_count(const cJSON *o, const char *key, int lo, int hi, int *out,
                           const char *what, vk_err *err)
{
  double value = *out;
  VK_TRY(vk_standin_number(o, key, lo, hi, &value, what, err));
  if (floor(value) != value)
    return vk_fail(err, VK_E_RANGE, "%s: \"%s\" must be a whole number, not %.9g", what, key,
                   value);
  *out = (int)value;
  return VK_OK;
}

static vk_status read_list(const cJSON *list, const char *key, int n, double lo, double hi,
                           double *out, const char *what, vk_err *err)
{
  if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != n)
    return vk_fail(err, VK_E_SHAPE, "%s: \"%s\" must hold %d numbers in brackets", what, key, n);
  const cJSON *c;
  cJSON_ArrayForEach(c, list)
  {
    VK_TRY(check_number(c, key, lo, hi, what, err));
    *out++ = c->valuedouble;
  }
  return VK_OK;
}

vk_status vk_standin_numbers(const cJSON *o, const char *key, int n, double lo, double hi,
                             double *out, const char *what, vk_err *err)
{
  const cJSON *list = vk_standin_member(o, key);
  return list ? read_list(list, key, n, lo, hi, out, what, err) : VK_OK;
}

vk_status vk_standin_points(const cJSON *o, const char *key, int dim, int n_min, double *out,
                            int *n, const char *what, vk_err *err)
{
  VK_TRY(vk_standin_need(o, key, what, err));
  const cJSON *list = vk_standin_member(o, key), *c;
  const int n_item = cJSON_IsArray(list) ? cJSON_GetArraySize(list) : 0;
  if (n_item < n_min || n_item > VK_STANDIN_POINTS_MAX)
    return vk_fail(err, VK_E_SHAPE, "%s: \"%s\" must hold %d to %d points in brackets", what, key,
                   n_min, VK_STANDIN_POINTS_MAX);
  *n = 0;
  cJSON_ArrayForEach(c, list)
  {
    VK_TRY(read_list(c, key, dim, -100, 100, out + (*n)++ * dim, what, err));
  }
  return VK_OK;
}

vk_status vk_standin_choice(const cJSON *o, const char *key, const char *const *words, int *out,
                            const char *what, vk_err *err)
{
  const cJSON *item = vk_standin_member(o, key);
  if (!item)
    return VK_OK;
  if (!cJSON_IsString(item))
    return vk_fail(err, VK_E_FORMAT, "%s: \"%s\" must be a word", what, key);
  for (int i = 0; words[i]; i++)
    if (strcmp(words[i], item->valuestring) == 0) {
      *out = i;
      return VK_OK;
    }
  char list[200] = "";
  for (int i = 0; words[i]; i++) {
    const size_t used = strlen(list), n = strlen(words[i]);
    if (used + n + 3 < sizeof list) {
      memcpy(list + used, i ? ", " : "", i ? 3 : 1);
      memcpy(list + used + (i ? 2 : 0), words[i], n + 1);
    }
  }
  return vk_fail(err, VK_E_FORMAT, "%s: \"%s\" is \"%s\", not one of %s", what, key,
                 item->valuestring, list);
}

vk_status vk_standin_find(const cJSON *table, const char *name, const cJSON **item, uint32_t *index,
                          const char *what, vk_err *err)
{
  uint32_t i = 0;
  const cJSON *c;
  cJSON_ArrayForEach(c, table)
  {
    if (strcmp(c->string, name) == 0) {
      *item = c;
      *index = i;
      return VK_OK;
    }
    i++;
  }
  return vk_fail(err, VK_E_FORMAT, "%s: there is no \"%s\" in \"%s\"", what, name, table->string);
}
