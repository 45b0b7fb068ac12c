#include "cmd/about.h"

#include <mujoco/mujoco.h>
#include <stdio.h>

#include "core/json.h"
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
    vk_status st = vk_json_print(all, err);
    cJSON_Delete(all);
    return st;
  }
  printf("vlakit %s (commit %s)\n", vk_version(), vk_version_commit());
  printf("MuJoCo %s (built for %s)\n", mj_versionString(), header);
  printf("CUDA   no\n");
  return VK_OK;
}
