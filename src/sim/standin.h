/* standin.h - visuals of our own for everything in a scene pack, built in memory: shapes and
 * textures described in data/standin.json, collision geometry for what it does not describe.
 * Test: tests/unit/test_standin.c */
#ifndef VK_SIM_STANDIN_H
#define VK_SIM_STANDIN_H

#include "sim/visuals.h"

/* The same pack and data file give the same bytes. Errors: VK_E_NOTFOUND (no data file),
 * VK_E_FORMAT (its entry and key), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_standin_build(vk_visuals *out, const vk_pack *pack, vk_err *err);

/* The same from the text of such a data file (n bytes); `what` names it in errors. */
VK_NODISCARD vk_status vk_standin_build_from(vk_visuals *out, const vk_pack *pack, const char *text,
                                             size_t n, const char *what, vk_err *err);

#endif
