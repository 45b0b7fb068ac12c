/* fuzz_json.c - any bytes as JSON; what is accepted prints as text that is accepted again and
 * prints the same. */
#include <string.h>

#include "core/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  cJSON *tree, *again;
  if (vk_json_parse(&tree, (const char *)bytes, n, "fuzz", &err) != VK_OK) {
    VK_ASSERT(err.code != VK_OK && err.text[0] && !tree);
    return 0;
  }
  char *one, *two;
  VK_ASSERT(vk_json_text(&one, tree, &err) == VK_OK);
  VK_ASSERT(vk_json_parse(&again, one, strlen(one), "printed", &err) == VK_OK);
  VK_ASSERT(vk_json_text(&two, again, &err) == VK_OK);
  VK_ASSERT(strcmp(one, two) == 0);
  cJSON_free(one);
  cJSON_free(two);
  cJSON_Delete(again);
  double v[3];
  int64_t whole;
  const char *text;
  (void)!vk_json_get_f64(tree, "a", v, "fuzz", &err);
  (void)!vk_json_get_f64s(tree, "a", 3, v, "fuzz", &err);
  (void)!vk_json_get_i64(tree, "a", &whole, "fuzz", &err);
  (void)!vk_json_get_str(tree, "a", &text, "fuzz", &err);
  cJSON_Delete(tree);
  return 0;
}
