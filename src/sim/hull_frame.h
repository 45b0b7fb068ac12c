/* hull_frame.h - a hull that collides bit for bit as the mesh that it stands for.
 *
 * MuJoCo moves a mesh into a frame of its own (centre and principal axes of its volume) and rounds
 * its vertices to float there. A hull has another volume, so another frame and other last bits,
 * which is 1e-7 m in a contact. The import therefore keeps what the whole mesh came to, and a
 * compiled model gets it back. Test: tests/golden/test_constants.c */
#ifndef VK_SIM_HULL_FRAME_H
#define VK_SIM_HULL_FRAME_H

#include "sim/pack.h"

#include <mujoco/mujoco.h>

/* Compiles the whole STL and fills pos_m ... radius_m of *frame.
 *   hull    in [n_vertex, 3] vertices of the hull, as in the STL
 *   framed  out [n_vertex, 3] the same vertices as MuJoCo holds them
 * Errors: VK_E_FORMAT (MuJoCo's message, or a vertex of the hull that is not the mesh's). */
VK_NODISCARD vk_status vk_hull_frame_take(vk_pack_hull_frame *frame, float *framed,
                                          const float *hull, size_t n_vertex, const void *stl,
                                          size_t n_stl, vk_err *err);

/* Puts frames and vertices back into a model compiled from the pack's meshes.
 * Errors: VK_E_FORMAT when a vertex of a hull is not found in the model. */
VK_NODISCARD vk_status vk_hull_frame_restore(mjModel *m, const vk_pack *pack, vk_err *err);

#endif
