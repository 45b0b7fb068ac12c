/* fuzz_train_config.c - any text as a training configuration. What is accepted comes back from its
 * own JSON, and goes on with itself. */
#include <string.h>

#include "rl/train_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void read_back(const vk_train_config *c)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config again;
  char *text;
  cJSON *json = vk_train_config_json(c);
  VK_ASSERT(json && vk_json_text(&text, json, &err) == VK_OK);
  VK_ASSERT(vk_train_config_init(&again, &err) == VK_OK);
  VK_ASSERT(vk_train_config_parse(&again, text, strlen(text), "written", &err) == VK_OK);
  VK_ASSERT(vk_train_config_same(c, &again, "it", &err) == VK_OK);
  vk_train_config_fini(&again);
  cJSON_free(text);
  cJSON_Delete(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_train_config c;
  VK_ASSERT(vk_train_config_init(&c, &err) == VK_OK);
  vk_status st = vk_train_config_parse(&c, (const char *)bytes, n, "fuzz", &err);
  VK_ASSERT(st == VK_OK || err.text[0]);
  if (st == VK_OK)
    read_back(&c);
  if (st == VK_OK && vk_train_config_check(&c, &err) != VK_OK)
    VK_ASSERT(err.code == VK_E_USAGE && err.text[0]);
  vk_train_config_fini(&c);
  return 0;
}
