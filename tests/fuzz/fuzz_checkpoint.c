/* fuzz_checkpoint.c - any text as a checkpoint's config.json. What is accepted comes back from what
 * would be written of it. */
#include <string.h>

#include "rl/checkpoint_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void read_back(const vk_checkpoint_info *info)
{
  vk_err err = VK_ERR_INIT;
  vk_checkpoint_info again;
  cJSON *json = NULL;
  char *text = NULL;
  VK_ASSERT(vk_checkpoint_config(&json, info, info->step, &err) == VK_OK);
  VK_ASSERT(vk_json_text(&text, json, &err) == VK_OK);
  VK_ASSERT(vk_checkpoint_parse(&again, text, strlen(text), "written", &err) == VK_OK);
  VK_ASSERT(memcmp(again.model.config, info->model.config, sizeof info->model.config) == 0);
  VK_ASSERT(again.n_stats == info->n_stats && again.step == info->step);
  VK_ASSERT(memcmp(again.stats, info->stats, sizeof *again.stats * (size_t)again.n_stats) == 0);
  VK_ASSERT(again.view.turn == info->view.turn && again.view.n_sample == info->view.n_sample);
  VK_ASSERT(again.view.level_error_px == info->view.level_error_px);
  VK_ASSERT(again.n_action_step == info->n_action_step && again.greedy == info->greedy);
  VK_ASSERT(strcmp(again.source.run, info->source.run) == 0);
  vk_checkpoint_close(&again);
  cJSON_free(text);
  cJSON_Delete(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_checkpoint_info info;
  if (vk_checkpoint_parse(&info, (const char *)bytes, n, "fuzz", &err) != VK_OK) {
    VK_ASSERT(err.code != VK_OK && err.text[0] && !info.stats);
    return 0;
  }
  VK_ASSERT(info.n_action_step >= 1 && info.n_stats >= 1);
  read_back(&info);
  vk_checkpoint_close(&info);
  return 0;
}
