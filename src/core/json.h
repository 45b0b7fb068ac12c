/* json.h - reading and writing JSON, by cJSON, with errors that name the key.
 * Test: tests/unit/test_json.c, tests/fuzz/fuzz_json.c */
#ifndef VK_CORE_JSON_H
#define VK_CORE_JSON_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "core/err.h"

/* Parses a whole file or buffer; trailing bytes, depth over 100 and duplicate keys are VK_E_FORMAT,
 * with line and column. `what` names the source in errors. Free with cJSON_Delete. */
VK_NODISCARD vk_status vk_json_read(cJSON **out, const char *path, vk_err *err);
VK_NODISCARD vk_status vk_json_parse(cJSON **out, const char *text, size_t n, const char *what,
                                     vk_err *err);

/* Members with their type checked; `what` names the object in errors. */
VK_NODISCARD vk_status vk_json_get_f64(const cJSON *object, const char *key, double *out,
                                       const char *what, vk_err *err);
VK_NODISCARD vk_status vk_json_get_i64(const cJSON *object, const char *key, int64_t *out,
                                       const char *what, vk_err *err);
VK_NODISCARD vk_status vk_json_get_str(const cJSON *object, const char *key, const char **out,
                                       const char *what, vk_err *err);
VK_NODISCARD vk_status vk_json_get_f64s(const cJSON *object, const char *key, int n, double *out,
                                        const char *what, vk_err *err);

/* Prints with 17 significant digits where needed; NaN and infinity become null. To stdout, one
 * line and a newline. Errors: VK_E_IO. */
VK_NODISCARD vk_status vk_json_print(const cJSON *value, vk_err *err);

#endif
