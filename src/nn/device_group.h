/* device_group.h - devices of one kind on which a network learns together: each has a copy of it
 * and a share of the micro-batches, and their gradients are added up before every step.
 *
 *   VK_TRY(vk_device_group_open(&g, "cuda:0,1", team, err));
 *   ...
 *   VK_TRY(vk_device_group_sum(&g, grad, n_item, err));
 *   vk_device_group_close(&g);
 *
 * Test: tests/unit/test_device.c */
#ifndef VK_NN_DEVICE_GROUP_H
#define VK_NN_DEVICE_GROUP_H

#include "nn/device.h"

typedef struct vk_device_group {
  int n;
  vk_device device[VK_DEVICES_MAX];
  void *sum; /* the kind's own, of two devices and more */
} vk_device_group;

/* Opens all that text names, as vk_device_choose. Errors: its own, those of the devices;
 * VK_E_UNSUPPORTED: what several need is not installed. Close it in any case. */
VK_NODISCARD vk_status vk_device_group_open(vk_device_group *g, const char *text, vk_team *team,
                                            vk_err *err);
/* A zeroed one is allowed. */
void vk_device_group_close(vk_device_group *g);

/* Every p[i], n_item numbers in memory of device i, becomes the sum of all, with the same bits on
 * each. Nothing happens with one device. Errors: those of the devices. */
VK_NODISCARD vk_status vk_device_group_sum(const vk_device_group *g, float *const *p,
                                           int64_t n_item, vk_err *err);

#endif
