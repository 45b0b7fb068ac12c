/* fuzz_norm_stats.c - any JSON as statistics; what is accepted scales finite numbers to [-1, 1],
 * and is written and read again as it was. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "rl/norm_stats.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check(const vk_norm_stats *s)
{
  vk_err err = VK_ERR_INIT;
  vk_norm_stats *again;
  int n;
  cJSON *o = cJSON_CreateObject();
  VK_ASSERT(vk_norm_stats_to_json(s, o, &err) == VK_OK);
  VK_ASSERT(vk_norm_stats_from_json(&again, &n, o, "again", &err) == VK_OK);
  VK_ASSERT(n == 1 && strcmp(again->key, s->key) == 0 && again->proprio.n_dim == s->proprio.n_dim);
  for (int i = 0; i < s->action.n_dim; i++) {
    double x = vk_action_scale(&s->action, i, 0.5);
    VK_ASSERT(x >= -1 && x <= 1);
    VK_ASSERT(vk_action_scale(&again->action, i, 0.5) == x);
  }
  free(again);
  cJSON_Delete(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  cJSON *tree;
  vk_norm_stats *list;
  const vk_norm_stats *found;
  int n_list;
  if (vk_json_parse(&tree, (const char *)bytes, n, "fuzz", &err) != VK_OK)
    return 0;
  if (vk_norm_stats_from_json(&list, &n_list, tree, "fuzz", &err) == VK_OK) {
    for (int i = 0; i < n_list; i++)
      check(&list[i]);
    if (vk_norm_stats_find(&found, list, n_list, "libero_goal", &err) != VK_OK)
      VK_ASSERT(strstr(err.text, "it has "));
  } else {
    VK_ASSERT(err.text[0] && !list);
  }
  free(list);
  cJSON_Delete(tree);
  return 0;
}
