/* demo_folder.h - which files of a folder hold demonstrations.
 * Test: tests/cmd/test_demos.sh, tests/cmd/test_train.sh */
#ifndef VK_RL_DEMO_FOLDER_H
#define VK_RL_DEMO_FOLDER_H

#include "core/err.h"

typedef vk_status vk_demo_path_fn(void *arg, const char *path, vk_err *err);

/* Calls put for each file of demonstrations (.npz, .hdf5, .h5) in a folder and the folders below
 * it, by name, as vlakit collect lays them out; what begins with a dot and what a collect that has
 * not ended keeps are left out. Errors: VK_E_NOTFOUND, VK_E_IO, VK_E_RANGE (too long a path), those
 * of put. */
VK_NODISCARD vk_status vk_demo_folder_each(const char *dir, vk_demo_path_fn *put, void *arg,
                                           vk_err *err);

#endif
