/* import_taskmap.h - LIBERO's list of tasks: the Python file benchmark/libero_suite_task_map.py.
 *
 *   NAME = { "suite": [ "task", ... ], ... }
 * Names, braces, brackets, commas, colons, strings in single or double quotes without escapes, and
 * comments from "#"; anything else is refused. Nothing is executed.
 * Test: tests/unit/test_import_taskmap.c */
#ifndef VK_SIM_IMPORT_TASKMAP_H
#define VK_SIM_IMPORT_TASKMAP_H

#include "core/err.h"

typedef struct vk_taskmap_suite {
  const char *name;
  int n_task;
  const char **task;
} vk_taskmap_suite;

typedef struct vk_taskmap {
  int n_suite;
  vk_taskmap_suite *suite;
  char *text; /* owned: what the names point into */
} vk_taskmap;

/* name: the file's, for errors. Errors: VK_E_FORMAT with line, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_taskmap_parse(vk_taskmap *map, const void *bytes, size_t n,
                                        const char *name, vk_err *err);
void vk_taskmap_free(vk_taskmap *map);

#endif
