/* import_source.h - the files an import reads from: wheels (zip files) and folders, looked up by
 * the end of their path, so that a wheel, an installed package and a checkout work alike. Test:
 * tests/unit/test_import_source.c */
#ifndef VK_SIM_IMPORT_SOURCE_H
#define VK_SIM_IMPORT_SOURCE_H

#include "core/err.h"

typedef struct vk_source vk_source;

/* An empty set. Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_source_new(vk_source **out, vk_err *err);
/* NULL is allowed. */
void vk_source_free(vk_source *source);

/* Adds a zip file or a folder (all files below it; links are followed, unless they lead back to a
 * folder that they lie in). Earlier ones win.
 * Errors: VK_E_NOTFOUND, VK_E_IO, VK_E_FORMAT (neither a folder nor a zip file), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_source_add(vk_source *source, const char *path, vk_err *err);

/* Whether there is a file whose path is `end`, or ends in "/" and `end`. */
bool vk_source_has(const vk_source *source, const char *end);

/* Reads that file: of the source added first; within one, the shortest path, then the first by
 * name. bytes  out, malloc'd, *n bytes and a NUL after them Errors: VK_E_NOTFOUND, VK_E_RANGE
 * (above 64 MiB), VK_E_IO, VK_E_FORMAT (a damaged zip). */
VK_NODISCARD vk_status vk_source_read(const vk_source *source, const char *end, void **bytes,
                                      size_t *n, vk_err *err);

#endif
