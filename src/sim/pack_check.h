/* pack_check.h - the promises of vk_pack_open, tested one by one. Used by pack.c and pack_write.c.
 * Test: tests/unit/test_pack.c, tests/fuzz/fuzz_pack.c */
#ifndef VK_SIM_PACK_CHECK_H
#define VK_SIM_PACK_CHECK_H

#include "sim/pack.h"

/* pack: sections set, everything inside them untrusted. Errors: VK_E_FORMAT naming the item. */
VK_NODISCARD vk_status vk_pack_check(const vk_pack *pack, vk_err *err);

/* 1 to VK_PACK_NAME_MAX letters, digits and "_.-". */
bool vk_pack_is_name(const char *text);

#endif
