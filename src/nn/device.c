#include "nn/device.h"

#include <math.h>
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

static vk_status fail_list(const vk_device_choice *c, const char *text, vk_err *err)
{
  return vk_fail(
      err, VK_E_USAGE,
      "device \"%.60s\": expected a number after the colon, several with commas between, "
      "or all, as in %s:0, %s:0,1 and %s:all",
      text, c->def->name, c->def->name, c->def->name);
}

static vk_status add(vk_device_choice *c, long index, const char *text, vk_err *err)
{
  for (int i = 0; i < c->n; i++)
    if (c->index[i] == index)
      return vk_fail(err, VK_E_USAGE, "device \"%.60s\": %ld is there twice", text, index);
  if (c->n == VK_DEVICES_MAX)
    return vk_fail(err, VK_E_USAGE, "device \"%.60s\": at most %d learn together", text,
                   VK_DEVICES_MAX);
  c->index[c->n++] = (int)index;
  return VK_OK;
}

/* "0,2" */
static vk_status read_list(vk_device_choice *c, const char *list, const char *text, vk_err *err)
{
  for (const char *at = list;; at++) {
    char *end;
    long index = *at >= '0' && *at <= '9' ? strtol(at, &end, 10) : -1;
    if (index < 0 || index > 1023 || (*end != ',' && *end != '\0'))
      return fail_list(c, text, err);
    VK_TRY(add(c, index, text, err));
    at = end;
    if (*end == '\0')
      return VK_OK;
  }
}

static vk_status find_kind(const vk_device_def **def, const char *text, vk_err *err)
{
  const char *names[VK_COUNT(vk_device_defs) + 1] = {0};
  size_t n = strcspn(text, ":");
  *def = NULL;
  for (size_t i = 0; i < VK_COUNT(vk_device_defs); i++) {
    names[i] = vk_device_defs[i]->name;
    if (strlen(names[i]) == n && strncmp(names[i], text, n) == 0)
      *def = vk_device_defs[i];
  }
  return *def ? VK_OK : vk_opt_fail_name(err, "device", text, names);
}

vk_status vk_device_choose(vk_device_choice *c, const char *text, vk_err *err)
{
  int n_there = 0;
  const char *colon = strchr(text, ':');
  *c = (vk_device_choice){0};
  VK_TRY(find_kind(&c->def, text, err));
  if (!colon)
    return add(c, 0, text, err);
  if (strcmp(colon + 1, "all") != 0)
    return read_list(c, colon + 1, text, err);
  VK_TRY(c->def->count(&n_there, err));
  for (int i = 0; i < n_there && i < VK_DEVICES_MAX; i++)
    VK_TRY(add(c, i, text, err));
  return VK_OK;
}

vk_status vk_device_check(const vk_device_choice *c, vk_err *err)
{
  int n_there;
  VK_TRY(c->def->count(&n_there, err));
  for (int i = 0; i < c->n; i++)
    if (c->index[i] >= n_there)
      return vk_fail(err, VK_E_UNSUPPORTED, "device %s:%d: there %s %d, numbered from 0",
                     c->def->name, c->index[i], n_there == 1 ? "is" : "are", n_there);
  return VK_OK;
}

vk_status vk_device_open_at(vk_device *d, const vk_device_def *def, int index, vk_team *team,
                            vk_err *err)
{
  *d = (vk_device){.team = team, .index = index};
  VK_TRY(def->open(d, err));
  d->def = def;
  return VK_OK;
}

vk_status vk_device_open(vk_device *d, const char *text, vk_team *team, vk_err *err)
{
  vk_device_choice c;
  *d = (vk_device){0};
  VK_TRY(vk_device_choose(&c, text, err));
  if (c.n > 1)
    return vk_fail(err, VK_E_USAGE,
                   "device \"%.60s\": only training takes several; name one of them", text);
  return vk_device_open_at(d, c.def, c.index[0], team, err);
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

vk_status vk_device_write(const vk_device *d, void *to, const void *from, size_t bytes, vk_err *err)
{
  d = or_cpu(d);
  if (d->def->write)
    return d->def->write(d, to, from, bytes, err);
  if (to != from && bytes > 0)
    memcpy(to, from, bytes);
  return VK_OK;
}

vk_status vk_device_view(const vk_device *d, const void *p, size_t bytes, void **view, vk_err *err)
{
  d = or_cpu(d);
  *view = NULL;
  if (!d->def->read) {
    *view = (void *)(uintptr_t)p;
    return VK_OK;
  }
  void *copy = aligned_alloc(64, (bytes + 127) / 64 * 64);
  if (!copy)
    return vk_fail(err, VK_E_NOMEM, "no memory for a copy of %.1f MB of the device's",
                   (double)bytes * 1e-6);
  vk_status st = d->def->read(d, copy, p, bytes, err);
  if (st == VK_OK)
    *view = copy;
  else
    free(copy);
  return st;
}

void vk_device_unview(const vk_device *d, void *view)
{
  if (or_cpu(d)->def->read)
    free(view);
}

bool vk_device_take_note(const vk_device *d, char text[VK_DEVICE_NOTE])
{
  d = or_cpu(d);
  return d->def->take_note && d->def->take_note(d, text);
}

double vk_device_busy_s(const vk_device *d)
{
  return d->def->busy_s ? d->def->busy_s(d) : NAN;
}
