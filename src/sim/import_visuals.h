/* import_visuals.h - what a benchmark's scenes look like, from the visual geoms, materials,
 * textures and lights of MJCF files. Used by import_scene.c as it reads them. Test:
 * tests/unit/test_import_visuals.c */
#ifndef VK_SIM_IMPORT_VISUALS_H
#define VK_SIM_IMPORT_VISUALS_H

#include "sim/import_source.h"
#include "sim/import_xml.h"
#include "sim/visuals_write.h"

/* Longest side of a texture: of classes, which are small in pictures, and of arenas. */
enum { VK_IMPORT_CLASS_SIDE_MAX = 256, VK_IMPORT_ARENA_SIDE_MAX = 512 };

typedef struct vk_import_visuals vk_import_visuals;

/* source must outlive it. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_import_visuals_new(vk_import_visuals **out, const vk_source *source,
                                             vk_err *err);
/* NULL is allowed. */
void vk_import_visuals_free(vk_import_visuals *v);

/* A class: the geoms of `body`, an element of xml with default classes inlined and files named from
 * the source's folders, as vk_mjcf_take_object leaves it.
 * Errors: VK_E_FORMAT, VK_E_RANGE, VK_E_UNSUPPORTED, VK_E_IO, VK_E_NOMEM. A file that is not there
 * is no error: vk_import_visuals_missing names it. */
VK_NODISCARD vk_status vk_import_visuals_model(vk_import_visuals *v, const vk_xml *xml,
                                               const vk_xml_node *body, const char *name,
                                               vk_err *err);

/* A problem: its arena (geoms and lights of <worldbody>, sky), then the bodies that are put in,
 * before anything else. */
VK_NODISCARD vk_status vk_import_visuals_arena(vk_import_visuals *v, const vk_xml *xml,
                                               const vk_xml_node *world, const char *name,
                                               vk_err *err);
VK_NODISCARD vk_status vk_import_visuals_body(vk_import_visuals *v, const vk_xml *xml,
                                              const vk_xml_node *body, vk_err *err);

/* Name of the i-th file that was not there, NULL after the last. */
const char *vk_import_visuals_missing(const vk_import_visuals *v, size_t i);

/* All that was put in so far. */
const vk_visuals_builder *vk_import_visuals_builder(const vk_import_visuals *v);

#endif
