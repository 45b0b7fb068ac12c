/* params.h - the parameters of a model as one block of floats, each 64-byte aligned, in the order
 * in which the model names them. Gradients, moments and averages are blocks of the same layout, so
 * that the optimiser goes through all of them in one pass.
 *
 * Test: tests/unit/test_params.c */
#ifndef VK_NN_PARAMS_H
#define VK_NN_PARAMS_H

#include "core/safetensors.h"
#include "nn/device.h"
#include "nn/graph.h"

typedef struct vk_param {
  const char *name; /* in safetensors files */
  vk_shape shape;
  int64_t offset, n; /* items of the block */
} vk_param;

typedef struct vk_params {
  int n_param;
  vk_param *param;
  int64_t n_item;        /* of the block, gaps between parameters included (they are 0) */
  int64_t n_used;        /* without gaps: "the number of parameters" */
  float *data;           /* the device's memory: vk_device_view, unless it is the CPU's */
  vk_device device;      /* whose memory data and further blocks are; zeroed: the CPU's */
  struct vk_graph names; /* owns the names */
} vk_params;

/* The parameters of a graph, all 0. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_params_new(vk_params *p, const vk_graph *g, vk_err *err);
void vk_params_free(vk_params *p);
/* Puts data into memory of a device, which must outlive it. Errors: those of vk_device_alloc,
 * vk_device_view and vk_device_write; p is unchanged. */
VK_NODISCARD vk_status vk_params_move(vk_params *p, const vk_device *device, vk_err *err);
/* A block of the same layout in memory of the same device, zeroed, aligned to 64 bytes; give it
 * back by vk_params_block_free. Errors: those of vk_device_alloc; *out is NULL then. */
VK_NODISCARD vk_status vk_params_block(const vk_params *p, float **out, vk_err *err);
void vk_params_block_free(const vk_params *p, float *block);
/* NULL when there is none of that name. */
const vk_param *vk_params_find(const vk_params *p, const char *name);

/* Reads all from a file, shards or a folder; says all that does not fit at once.
 * Errors: those of vk_safetensors_open and vk_safetensors_load, of vk_device_view and
 * vk_device_write. */
VK_NODISCARD vk_status vk_params_load(vk_params *p, const char *path, vk_err *err);
/* block: in memory of p's device, NULL: p->data; dtype F32, F16 or BF16. Errors: those of
 * vk_safetensors_write and vk_device_view. */
VK_NODISCARD vk_status vk_params_save(const vk_params *p, const float *block, const char *path,
                                      vk_safetensors_dtype dtype, const vk_safetensors_pair *pair,
                                      int n_pair, vk_err *err);

#endif
