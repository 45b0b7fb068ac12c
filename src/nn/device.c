#include "nn/device.h"

#include <stdlib.h>
#include <string.h>

#include "core/opt.h"

const vk_device_def *const vk_device_defs[] = {
#define VK_DEVICE(name) &vk_device_##name,
#include "nn/device_list.h"
#undef VK_DEVICE
};

int vk_device_def_count(void)
{
  return (int)VK_COUNT(vk_device_defs);
}

vk_status vk_device_find(const vk_device_def **def, const char *text, int *index, vk_err *err)
{
  const char *names[VK_COUNT(vk_device_defs) + 1] = {0};
  size_t n = strcspn(text, ":");
  *def = NULL;
  *index = 0;
  for (size_t i = 0; i < VK_COUNT(vk_device_defs); i++) {
    names[i] = vk_device_defs[i]->name;
    if (strlen(names[i]) == n && strncmp(names[i], text, n) == 0)
      *def = vk_device_defs[i];
  }
  if (!*def)
    return vk_opt_fail_name(err, "device", text, names);
  if (text[n] == '\0')
    return VK_OK;
  char *end;
  long k = strtol(text + n + 1, &end, 10);
  if (end == text + n + 1 || *end || k < 0 || k > 1023)
    return vk_fail(err, VK_E_USAGE, "device \"%s\": expected a number after the colon, as in %s:0",
                   text, (*def)->name);
  *index = (int)k;
  return VK_OK;
}

vk_status vk_device_open(vk_device *d, const char *text, vk_team *team, vk_err *err)
{
  *d = (vk_device){.team = team};
  const vk_device_def *def;
  VK_TRY(vk_device_find(&def, text, &d->index, err));
  VK_TRY(def->open(d, err));
  d->def = def;
  return VK_OK;
}

void vk_device_close(vk_device *d)
{
  if (d->def)
    d->def->close(d);
  *d = (vk_device){0};
}

static const vk_device *or_cpu(const vk_device *d)
{
  static const vk_device cpu = {.def = &vk_device_cpu};
  return d && d->def ? d : &cpu;
}

vk_status vk_device_alloc(const vk_device *d, void **out, size_t bytes, vk_err *err)
{
  d = or_cpu(d);
  *out = NULL;
  return d->def->alloc(d, out, bytes, err);
}

void vk_device_free(const vk_device *d, void *p)
{
  d = or_cpu(d);
  if (p)
    d->def->free(d, p);
}

vk_status vk_device_zero(const vk_device *d, void *p, size_t bytes, vk_err *err)
{
  d = or_cpu(d);
  return d->def->zero(d, p, bytes, err);
}
