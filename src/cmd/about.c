#include "cmd/about.h"

#include <mujoco/mujoco.h>
#include <stdio.h>

#include "core/cpu.h"
#include "core/json.h"
#include "core/version.h"
#include "nn/device.h"
#include "sim/mujoco_compat.h"

/* Whether this build can use a GPU: without CUDA the device has no memory to give. */
static bool has_cuda(void)
{
  return vk_device_cuda.alloc != NULL;
}

static vk_status print_json(const vk_cpu *cpu, const char *header, vk_err *err)
{
  cJSON *all = cJSON_CreateObject();
  cJSON_AddStringToObject(all, "version", vk_version());
  cJSON_AddStringToObject(all, "commit", vk_version_commit());
  cJSON_AddStringToObject(all, "mujoco", mj_versionString());
  cJSON_AddStringToObject(all, "mujoco_header", header);
  cJSON_AddStringToObject(all, "cpu", cpu->name);
  cJSON *features = cJSON_AddArrayToObject(all, "features");
#define X(member, spelling)                                                                        \
  if (cpu->member)                                                                                 \
    cJSON_AddItemToArray(features, cJSON_CreateString(spelling));
  VK_CPU_FEATURES(X)
#undef X
  cJSON_AddStringToObject(all, "isa", vk_isa_name(vk_isa_best(cpu)));
  cJSON_AddBoolToObject(all, "cuda", has_cuda());
  vk_status st = vk_json_print(all, err);
  cJSON_Delete(all);
  return st;
}

vk_status vk_about_print(bool as_json, vk_err *err)
{
  char header[16], features[256];
  vk_cpu cpu;
  vk_cpu_detect(&cpu);
  vk_mujoco_version_text(mjVERSION_HEADER, header);
  if (as_json)
    return print_json(&cpu, header, err);
  vk_cpu_print_features(&cpu, features, sizeof features);
  printf("vlakit %s (commit %s)\n", vk_version(), vk_version_commit());
  printf("MuJoCo %s (built for %s)\n", mj_versionString(), header);
  printf("CPU    %s: %s; path %s\n", *cpu.name ? cpu.name : "unknown",
         *features ? features : "no extensions", vk_isa_name(vk_isa_best(&cpu)));
  printf("CUDA   %s\n", has_cuda() ? "yes" : "no");
  return VK_OK;
}
