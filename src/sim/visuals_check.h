/* visuals_check.h - checks what vk_visuals_open_file promises. Test: tests/unit/test_visuals.c,
 * tests/fuzz/fuzz_visuals.c */
#ifndef VK_SIM_VISUALS_CHECK_H
#define VK_SIM_VISUALS_CHECK_H

#include "sim/visuals.h"

/* Errors: VK_E_FORMAT, naming the item and the promise that it breaks. */
VK_NODISCARD vk_status vk_visuals_check(const vk_visuals *visuals, vk_err *err);

#endif
