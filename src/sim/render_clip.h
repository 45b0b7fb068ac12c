/* render_clip.h - triangles that reach behind the near plane, beyond the far one, or so far out of
 * the picture that their coordinates on the screen would be too large. They are rare.
 * Test: tests/unit/test_render.c */
#ifndef VK_SIM_RENDER_CLIP_H
#define VK_SIM_RENDER_CLIP_H

#include "sim/render_internal.h"

enum { VK_CLIP_MAX = 10 }; /* corners: three, and one more for each of seven planes */

/* What is left of triangle `vertex` of an item, as a convex polygon in the triangle's order.
 * Vertices that are inside have the bits that transforming them has. Returns the number of corners:
 * 0 or 3 to VK_CLIP_MAX. */
int vk_clip_triangle(const vk_draw *d, const vk_draw_item *item, const uint32_t vertex[3],
                     vk_screen_vertex corner[VK_CLIP_MAX]);

/* Planes of a clipped triangle from its three vertices, which need not be in front of the camera.
 *   lit  rows of 1, red, green, blue, u, v, w, 0 */
void vk_clip_record(const vk_draw *d, const vk_draw_item *item, const uint32_t vertex[3],
                    const float *lit, vk_record *record);

#endif
