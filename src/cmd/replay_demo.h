/* replay_demo.h - demonstrations among the files of `vlakit replay`. Test: tests/cmd/test_demos.sh
 */
#ifndef VK_CMD_REPLAY_DEMO_H
#define VK_CMD_REPLAY_DEMO_H

#include "rl/demo_convert.h"
#include "sim/replay.h"

/* Something to replay: a recording (demo.n_step 0), or a demonstration of a file of them. */
typedef struct vk_replay_item {
  const char *file;
  vk_demo demo;
  vk_demo_info info;
  uint32_t i_task;
  vk_status status; /* of reading it, with error */
  vk_err error;
} vk_replay_item;

/* One item a recording, and one a demonstration of the files that hold demonstrations, those that
 * cannot be read included.
 *   *item  out, *n of them; free them with vk_replay_items_free
 * Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_replay_items_new(vk_replay_item **item, int *n, const char *const *file,
                                           int n_file, const vk_pack *pack, vk_err *err);
void vk_replay_items_free(vk_replay_item *item, int n);

/* Replays a demonstration; what a recording says beyond it stays NaN and 0. Errors: the
 * simulator's. each_step: also every step alone */
VK_NODISCARD vk_status vk_replay_demo(vk_replay *out, const vk_replay_item *item,
                                      const vk_pack *pack, vk_isa isa, bool each_step, vk_err *err);

#endif
