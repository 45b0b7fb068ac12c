#include "nn/params.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 16 }; /* items */

vk_status vk_params_new(vk_params *p, const vk_graph *g, vk_err *err)
{
  *p = (vk_params){0};
  vk_graph_init(&p->names, g->name);
  p->param = calloc((size_t)g->n_value + 1, sizeof *p->param);
  for (int v = 0; v < g->n_value && p->param; v++) {
    if (g->value[v].kind != VK_PARAM)
      continue;
    vk_param *a = &p->param[p->n_param++];
    *a = (vk_param){.name = vk_graph_text(&p->names, g->value[v].name),
                    .shape = g->value[v].shape,
                    .offset = p->n_item,
                    .n = vk_shape_n_item(&g->value[v].shape)};
    p->n_used += a->n;
    p->n_item += (a->n + ALIGN - 1) / ALIGN * ALIGN;
  }
  vk_status st = vk_params_block(p, &p->data, NULL);
  if (p->param && st == VK_OK && vk_graph_check(&p->names, NULL) == VK_OK)
    return VK_OK;
  vk_params_free(p);
  return vk_fail(err, VK_E_NOMEM, "%s: no memory for its parameters", g->name);
}

void vk_params_free(vk_params *p)
{
  free(p->param);
  vk_params_block_free(p, p->data);
  vk_graph_fini(&p->names);
  *p = (vk_params){0};
}

vk_status vk_params_move(vk_params *p, const vk_device *device, vk_err *err)
{
  const size_t bytes = sizeof(float) * (size_t)p->n_item;
  void *data, *old;
  VK_TRY(vk_device_view(&p->device, p->data, bytes, &old, err));
  vk_status st = vk_device_alloc(device, &data, bytes + sizeof(float) * ALIGN, err);
  if (st == VK_OK)
    st = vk_device_write(device, data, old, bytes, err);
  vk_device_unview(&p->device, old);
  if (st != VK_OK) {
    vk_device_free(device, data);
    return st;
  }
  vk_params_block_free(p, p->data);
  p->data = data;
  p->device = *device;
  return VK_OK;
}

vk_status vk_params_block(const vk_params *p, float **out, vk_err *err)
{
  size_t bytes = sizeof(float) * (size_t)(p->n_item + ALIGN);
  return vk_device_alloc(&p->device, (void **)out, bytes, err);
}

void vk_params_block_free(const vk_params *p, float *block)
{
  vk_device_free(&p->device, block);
}

/* To the end of the last parameter: what a block of any maker has. */
static size_t bytes_of(const vk_params *p)
{
  const vk_param *last = p->n_param > 0 ? &p->param[p->n_param - 1] : NULL;
  return last ? sizeof(float) * (size_t)(last->offset + last->n) : 0;
}

const vk_param *vk_params_find(const vk_params *p, const char *name)
{
  for (int i = 0; i < p->n_param; i++)
    if (strcmp(p->param[i].name, name) == 0)
      return &p->param[i];
  return NULL;
}

/* Of the whole block, on the host. */
static vk_status load(const vk_params *p, float *block, const char *path, vk_err *err)
{
  vk_safetensors file = {0};
  vk_safetensors_want *want = calloc((size_t)p->n_param + 1, sizeof *want);
  vk_status st = VK_OK;
  if (!want)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to load %d tensors", path, p->n_param);
  for (int i = 0; i < p->n_param; i++) {
    const vk_param *a = &p->param[i];
    want[i] =
        (vk_safetensors_want){.name = a->name, .n_dim = a->shape.n_dim, .dst = block + a->offset};
    memcpy(want[i].shape, a->shape.dim, sizeof a->shape.dim);
  }
  VK_TRY_DONE(vk_safetensors_open(&file, path, err));
  VK_TRY_DONE(vk_safetensors_load(&file, want, p->n_param, err));
done:
  vk_safetensors_close(&file);
  free(want);
  return st;
}

vk_status vk_params_load(vk_params *p, const char *path, vk_err *err)
{
  const size_t bytes = bytes_of(p);
  void *block;
  VK_TRY(vk_device_view(&p->device, p->data, bytes, &block, err));
  vk_status st = load(p, block, path, err);
  if (st == VK_OK)
    st = vk_device_write(&p->device, p->data, block, bytes, err);
  vk_device_unview(&p->device, block);
  return st;
}

vk_status vk_params_save(const vk_params *p, const float *block, const char *path,
                         vk_safetensors_dtype dtype, const vk_safetensors_pair *pair, int n_pair,
                         vk_err *err)
{
  vk_safetensors_entry *entry = calloc((size_t)p->n_param + 1, sizeof *entry);
  void *view = NULL;
  vk_status st = VK_OK;
  if (!entry)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to save %d tensors", path, p->n_param);
  VK_TRY_DONE(vk_device_view(&p->device, block ? block : p->data, bytes_of(p), &view, err));
  for (int i = 0; i < p->n_param; i++) {
    const vk_param *a = &p->param[i];
    entry[i] = (vk_safetensors_entry){.name = a->name,
                                      .dtype = dtype,
                                      .n_dim = a->shape.n_dim,
                                      .data = (const float *)view + a->offset};
    memcpy(entry[i].shape, a->shape.dim, sizeof a->shape.dim);
  }
  VK_TRY_DONE(vk_safetensors_write(path, entry, p->n_param, pair, n_pair, err));
done:
  vk_device_unview(&p->device, view);
  free(entry);
  return st;
}
