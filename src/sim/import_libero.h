/* import_libero.h - LIBERO and suites like it to a scene pack: BDDL, init files, object, arena and
 * robot MJCF, and data/libero.json for what they keep in Python code. Another suite is another such
 * file. Test: tests/unit/test_import_libero.c, tests/golden/test_import_bytes.c */
#ifndef VK_SIM_IMPORT_LIBERO_H
#define VK_SIM_IMPORT_LIBERO_H

#include <cjson/cJSON.h>

#include "sim/import_source.h"
#include "sim/import_visuals.h"
#include "sim/pack_write.h"

/* The distributions (names of facts "distributions") that lack a file which the facts name, apart
 * from those of tasks.
 *   missing  out, array of strings; free with cJSON_Delete */
VK_NODISCARD vk_status vk_import_libero_missing(const vk_source *source, const cJSON *facts,
                                                cJSON **missing, vk_err *err);

/* Builds a pack's items, and those of visuals.
 *   facts    data/libero.json, parsed
 *   pack     zeroed; the caller frees it with vk_pack_builder_fini, also after an error
 *   visuals  new, or NULL: physics only
 *   missing  the distributions that lack a file which only visuals need are added, unless NULL
 * Errors: VK_E_NOTFOUND (a file, naming the distribution that has it), VK_E_FORMAT,
 * VK_E_UNSUPPORTED, VK_E_MISMATCH (an init file of another scene), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_import_libero(vk_pack_builder *pack, vk_import_visuals *visuals,
                                        const vk_source *source, const cJSON *facts, cJSON *missing,
                                        vk_err *err);

#endif
