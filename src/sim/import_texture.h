/* import_texture.h - textures of MJCF. Test: tests/unit/test_import_texture.c */
#ifndef VK_SIM_IMPORT_TEXTURE_H
#define VK_SIM_IMPORT_TEXTURE_H

#include "sim/visuals_write.h"

/* A PNG as a 2D texture, or on all faces of a cube (it must be square).
 * Errors: VK_E_FORMAT, VK_E_RANGE, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_import_png(vk_visuals_builder *b, const char *name, const void *bytes,
                                     size_t n, bool is_cube, int side_max, uint32_t *texture,
                                     vk_err *err);

/* The sky of builtin="gradient", from rgb2 below to rgb1 above, looked up by the direction in the
 * world.
 *   side  texels of a face
 * Errors: VK_E_NOMEM. Source: MuJoCo 2.3.7, mjCTexture::BuiltinCube and settexture. */
VK_NODISCARD vk_status vk_import_sky(vk_visuals_builder *b, const char *name, const double rgb1[3],
                                     const double rgb2[3], int side, uint32_t *texture,
                                     vk_err *err);

#endif
