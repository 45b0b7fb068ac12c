/* json.h - reading and writing JSON, by cJSON, with errors that name the key.
 * Test: tests/unit/test_json.c, tests/fuzz/fuzz_json.c */
#ifndef VK_CORE_JSON_H
#define VK_CORE_JSON_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "core/err.h"

/* Parses a whole file or buffer, strictly; trailing bytes, depth over 100, duplicate keys, invalid
 * UTF-8 and U+0000 in strings are VK_E_FORMAT, with line and column. `what` names the source in
 * errors. Free with cJSON_Delete.
 * Errors: VK_E_IO, VK_E_NOTFOUND, VK_E_FORMAT, VK_E_RANGE (beyond double), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_json_read(cJSON **out, const char *path, vk_err *err);
VK_NODISCARD vk_status vk_json_parse(cJSON **out, const char *text, size_t n, const char *what,
                                     vk_err *err);

/* That object is one and has no other keys than these, so that a misspelt one is found; the error
 * (VK_E_FORMAT) tells the nearest. keys is NULL-terminated. */
VK_NODISCARD vk_status vk_json_check_keys(const cJSON *object, const char *const *keys,
                                          const char *what, vk_err *err);

/* Members with their type checked; `what` names the object in errors.
 * Errors: VK_E_NOTFOUND (no such key), VK_E_FORMAT (another type), VK_E_RANGE (i64: not whole, or
 * beyond 2^53), VK_E_SHAPE (f64s: not n numbers). */
VK_NODISCARD vk_status vk_json_get_bool(const cJSON *object, const char *key, bool *out,
                                        const char *what, vk_err *err);
VK_NODISCARD vk_status vk_json_get_f64(const cJSON *object, const char *key, double *out,
                                       const char *what, vk_err *err);
VK_NODISCARD vk_status vk_json_get_i64(const cJSON *object, const char *key, int64_t *out,
                                       const char *what, vk_err *err);
VK_NODISCARD vk_status vk_json_get_str(const cJSON *object, const char *key, const char **out,
                                       const char *what, vk_err *err);
VK_NODISCARD vk_status vk_json_get_f64s(const cJSON *object, const char *key, int n, double *out,
                                        const char *what, vk_err *err);

/* The same for what need not be there: "" where there is no such text. */
const char *vk_json_str(const cJSON *object, const char *key);

/* value as one line of text; free with cJSON_free. Numbers have the fewest digits (at most 17) that
 * give the same double again; NaN and infinity become null. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_json_text(char **out, const cJSON *value, vk_err *err);
/* The same over several lines, for files that people read too. */
VK_NODISCARD vk_status vk_json_text_indented(char **out, const cJSON *value, vk_err *err);

/* Prints that and a newline to stdout; as of all output, main says when it could not be written.
 * Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_json_print(const cJSON *value, vk_err *err);

#endif
