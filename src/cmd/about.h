/* about.h - what `vlakit --version` prints. Test: tests/cmd/test_version.sh */
#ifndef VK_CMD_ABOUT_H
#define VK_CMD_ABOUT_H

#include <stdbool.h>

#include "core/err.h"

/* Version, commit, MuJoCo of header and run time, processor features, CUDA; to stdout. */
VK_NODISCARD vk_status vk_about_print(bool as_json, vk_err *err);

#endif
