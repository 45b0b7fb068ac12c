/* render_kernel.h - what the renderer's kernels ask of each other.
 * Test: tests/unit/test_render.c */
#ifndef VK_SIM_RENDER_KERNEL_H
#define VK_SIM_RENDER_KERNEL_H

#include "core/kernel_path.h"
#include "sim/render_internal.h"
#include "sim/render_raster.h"

/* Adds the hits of an item; of an opaque one those that are the nearest at a sample. */
void VK_KERNEL(vk_cover_item)(vk_draw *d, const vk_grid *g, vk_draw_item *item, bool is_opaque);

/* Makes records of an item's hits: of all, or of those whose record_of is not 0. */
void VK_KERNEL(vk_light_item)(vk_draw *d, const vk_draw_item *item, bool all);

/* Record 1: the sky. */
void VK_KERNEL(vk_light_sky)(vk_draw *d);

/* Colours of eight places (x, y): red in the lowest byte.
 *   record  of each lane
 *   is_one  every lane has the first one's record */
vu VK_KERNEL(vk_shade_lanes)(const vk_draw *d, vi record, bool is_one, vf x, vf y);

/* Colours of all samples. */
void VK_KERNEL(vk_shade_picture)(vk_draw *d, const vk_grid *g);

#endif
