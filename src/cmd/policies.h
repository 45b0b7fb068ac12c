/* policies.h - the list of vlakit policies, which eval --policy list shows too.
 * Test: tests/cmd/test_policies.sh */
#ifndef VK_CMD_POLICIES_H
#define VK_CMD_POLICIES_H

#include <stdbool.h>

#include "core/err.h"

/* The policies that there are, to stdout. Errors: those of vk_bundled_list; VK_E_NOMEM. */
VK_NODISCARD vk_status vk_policies_list(bool as_json, vk_err *err);

#endif
