#include "nn/device_group.h"

vk_status vk_device_group_open(vk_device_group *g, const char *text, vk_team *team, vk_err *err)
{
  vk_device_choice c;
  *g = (vk_device_group){0};
  VK_TRY(vk_device_choose(&c, text, err));
  for (int i = 0; i < c.n; i++) {
    VK_TRY(vk_device_open_at(&g->device[i], c.def, c.index[i], team, err));
    g->n++;
  }
  if (c.n == 1)
    return VK_OK;
  if (!c.def->sum_open)
    return vk_fail(err, VK_E_UNSUPPORTED, "device \"%.60s\": a network runs on one %s", text,
                   c.def->name);
  return c.def->sum_open(&g->sum, g->device, g->n, err);
}

void vk_device_group_close(vk_device_group *g)
{
  if (g->sum)
    g->device[0].def->sum_close(g->sum);
  for (int i = 0; i < g->n; i++)
    vk_device_close(&g->device[i]);
  *g = (vk_device_group){0};
}

vk_status vk_device_group_sum(const vk_device_group *g, float *const *p, int64_t n_item,
                              vk_err *err)
{
  return g->sum ? g->device[0].def->sum_run(g->sum, p, n_item, err) : VK_OK;
}
