/* import_scene.h - classes and problems of a pack from MJCF files and facts (data/libero.json).
 * Used by import_libero.c. Test: tests/unit/test_import_libero.c */
#ifndef VK_SIM_IMPORT_SCENE_H
#define VK_SIM_IMPORT_SCENE_H

#include <cjson/cJSON.h>

#include "sim/import_mjcf.h"

/* Appends the classes and the problems that facts lists. */
VK_NODISCARD vk_status vk_import_classes(const vk_mjcf_writer *w, const cJSON *facts, vk_err *err);
VK_NODISCARD vk_status vk_import_problems(const vk_mjcf_writer *w, const cJSON *facts, vk_err *err);

/* The array "key" of an object. Errors: VK_E_FORMAT. */
VK_NODISCARD vk_status vk_import_array(const cJSON *object, const char *key, const cJSON **out,
                                       const char *what, vk_err *err);

/* The same of facts, whose rows must have names that differ. */
VK_NODISCARD vk_status vk_import_array_of_named(const cJSON *facts, const char *key,
                                                const cJSON **out, vk_err *err);

/* Number of qpos and qvel entries of the joints in a tree. */
void vk_import_count_state(const vk_pack_builder *pack, uint32_t elem, uint32_t *nq, uint32_t *nv);

#endif
