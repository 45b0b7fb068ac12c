/* visuals_write.h - puts visuals together in memory. The same items put in the same order give the
 * same bytes. Test: tests/unit/test_visuals.c */
#ifndef VK_SIM_VISUALS_WRITE_H
#define VK_SIM_VISUALS_WRITE_H

#include "core/image.h"
#include "sim/mesh.h"
#include "sim/visuals.h"

/* The sections as they grow. Zero it before the first use ({0}). Lack of memory and more than 2^32
 * items are remembered in `failed` and reported by vk_visuals_build. */
typedef struct vk_visuals_builder {
#define X(member, type)                                                                            \
  type *member;                                                                                    \
  size_t n_##member, room_##member;
  VK_VISUALS_ITEM_SECTIONS(X)
#undef X
  vk_text_table text; /* section str */
  bool failed;
} vk_visuals_builder;

/* Frees the sections; b is as good as new then. */
void vk_visuals_builder_fini(vk_visuals_builder *b);

/* Appends n items (NULL: zeros) to a section and returns the index of the first. */
#define X(member, type)                                                                            \
  uint32_t vk_visuals_put_##member(vk_visuals_builder *b, const type *items, size_t n);
VK_VISUALS_ITEM_SECTIONS(X)
#undef X

/* Offset in str of a text; equal texts are stored once. */
uint32_t vk_visuals_put_text(vk_visuals_builder *b, const char *text);

/* Stores levels of a mesh, the finest first (level[i], error_m[i]), with its bounding sphere; each
 * has a vertex and a triangle at least. Returns the mesh's index. */
uint32_t vk_visuals_put_levels(vk_visuals_builder *b, const char *name, const vk_mesh *level,
                               const float *error_m, int n_level);

/* Stores a picture (1 or 3 channels, row 0 at v = 0) with its mipmaps. It is resampled to powers
 * of two, at most side_max. Returns the texture's index. */
uint32_t vk_visuals_put_picture(vk_visuals_builder *b, const char *name, const vk_image *picture,
                                int side_max);

/* The same for the faces +x -x +y -y +z -z of a cube, square and equally large. */
uint32_t vk_visuals_put_cube(vk_visuals_builder *b, const char *name, const vk_image face[6],
                             int side_max);

/* The file's bytes (aligned_alloc'd, *n of them), checked as vk_visuals_open_bytes checks them.
 * Errors: VK_E_NOMEM, VK_E_RANGE (too many items), VK_E_FORMAT (an item breaks a promise). */
VK_NODISCARD vk_status vk_visuals_build(const vk_visuals_builder *b, void **bytes, size_t *n,
                                        vk_err *err);

#endif
