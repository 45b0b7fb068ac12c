/* demo_internal.h - what the files that read and write demonstrations share.
 * Test: tests/unit/test_demo.c */
#ifndef VK_RL_DEMO_INTERNAL_H
#define VK_RL_DEMO_INTERNAL_H

#include "core/json.h"
#include "core/npy.h"
#include "rl/demo.h"

/* A format of files: how an open one is read, and how one is written. */
typedef struct vk_demo_reader_def {
  vk_status (*open)(void **state, const char *path, vk_demo_info *info, int **number, int *n,
                    vk_err *err);
  void (*close)(void *state);
  vk_status (*read)(void *state, const vk_demo_info *info, int number, bool has_pictures,
                    vk_demo *out, vk_err *err);
  vk_status (*mask)(void *state, const char *filter, const int *number, int n, bool *is_in,
                    vk_err *err);
} vk_demo_reader_def;

typedef struct vk_demo_writer_def {
  vk_status (*create)(void **state, const char *path, const vk_demo_info *info, vk_err *err);
  vk_status (*add)(void *state, const vk_demo_info *info, const vk_demo *demo, vk_err *err);
  vk_status (*commit)(void *state, vk_err *err); /* frees state in any case */
  void (*abort)(void *state);
} vk_demo_writer_def;

extern const vk_demo_reader_def vk_demo_store_reader, vk_demo_hdf5_reader;
extern const vk_demo_writer_def vk_demo_store_writer, vk_demo_hdf5_writer;

/* Arrays in memory as a store, for fuzzing: the state of an open reader. They are taken over, also
 * when this fails; close frees what *state is then, unless it is NULL. Errors: as open. */
VK_NODISCARD vk_status vk_demo_store_take(void **state, vk_npz *npz, const char *what,
                                          vk_demo_info *info, int **number, int *n, vk_err *err);

/* How a demonstration began and what was done to it, as JSON: row, rows, seed, protocol, noise,
 * success. NULL: no memory. */
cJSON *vk_demo_origin_json(const vk_demo *demo);
/* The reverse; what is missing stays unknown. Errors: VK_E_FORMAT. */
VK_NODISCARD vk_status vk_demo_origin_parse(vk_demo *demo, const cJSON *json, const char *what,
                                            vk_err *err);

#endif
