/* fuzz_model.c - any text as a model's config. What is accepted builds graphs that the verifier
 * accepts, and comes back from its own JSON. */
#include <string.h>

#include "nn/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void read_back(const vk_model *m)
{
  vk_err err = VK_ERR_INIT;
  vk_model again;
  char *text;
  cJSON *json = m->def->write(m->config);
  VK_ASSERT(json && vk_json_text(&text, json, &err) == VK_OK);
  VK_ASSERT(vk_model_parse(&again, text, strlen(text), "written", &err) == VK_OK);
  VK_ASSERT(again.def == m->def);
  VK_ASSERT(memcmp(again.config, m->config, sizeof m->config) == 0);
  cJSON_free(text);
  cJSON_Delete(json);
}

static void build(const vk_model *m, const vk_model_args *args)
{
  vk_err err = VK_ERR_INIT;
  vk_graph g;
  vk_graph_init(&g, m->name);
  if (vk_model_build(&g, m, args, &err) == VK_OK)
    VK_ASSERT(vk_graph_verify(&g, &err) == VK_OK);
  else
    VK_ASSERT(err.code != VK_OK && err.text[0]);
  vk_graph_fini(&g);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_model m;
  if (vk_model_parse(&m, (const char *)bytes, n, "fuzz", &err) != VK_OK) {
    VK_ASSERT(err.code != VK_OK && err.text[0]);
    return 0;
  }
  read_back(&m);
  const vk_model_args args[] = {
      {.part = VK_PART_ALL, .n_batch = 3, .with_value = true, .with_loss = true, .sigma = 1.5},
      {.part = VK_PART_ALL, .n_batch = 1 << 20, .n_view = 2, .dropout = 0.1, .with_loss = true},
      {.part = VK_PART_TEXT, .n_batch = 1},
      {.part = VK_PART_ACT, .n_batch = 1, .n_view = 1, .probe = true},
  };
  for (size_t i = 0; i < VK_COUNT(args); i++)
    build(&m, &args[i]);
  return 0;
}
