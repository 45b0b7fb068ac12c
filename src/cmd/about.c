#include "cmd/about.h"

#include <cjson/cJSON.h>
#include <mujoco/mujoco.h>
#include <stdio.h>

#include "core/version.h"

vk_status vk_about_print(bool as_json, vk_err *err)
{
  char header[32];
  snprintf(header, sizeof header, "%d.%d.%d", mjVERSION_HEADER / 100, mjVERSION_HEADER / 10 % 10,
           mjVERSION_HEADER % 10);
  if (as_json) {
    cJSON *all = cJSON_CreateObject();
    cJSON_AddStringToObject(all, "version", vk_version());
    cJSON_AddStringToObject(all, "commit", vk_version_commit());
    cJSON_AddStringToObject(all, "mujoco", mj_versionString());
    cJSON_AddStringToObject(all, "mujoco_header", header);
    cJSON_AddBoolToObject(all, "cuda", false);
    char *text = cJSON_PrintUnformatted(all);
    if (text)
      puts(text);
    cJSON_free(text);
    cJSON_Delete(all);
    return text ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory for the version");
  }
  printf("vlakit %s (commit %s)\n", vk_version(), vk_version_commit());
  printf("MuJoCo %s (built for %s)\n", mj_versionString(), header);
  printf("CUDA   no\n");
  return VK_OK;
}
