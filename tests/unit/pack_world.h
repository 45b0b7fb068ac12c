/* pack_world.h - for tests: the scene pack that comes with the program, its tasks by name and their
 * scenes, and a protocol of short episodes. open_pack and close_pack may be passed to
 * cmocka_run_group_tests. */
#ifndef VK_TEST_PACK_WORLD_H
#define VK_TEST_PACK_WORLD_H

#include <stdlib.h>

#include "sim/scene.h"
#include "test.h"

static vk_pack pack;

static inline int open_pack(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_pack_open(&pack, VK_SOURCE_DIR "/data/libero.pack", &err), &err);
  return 0;
}

static inline int close_pack(void **state)
{
  vk_pack_close(&pack);
  return 0;
}

/* The only task of that name. */
static inline uint32_t task_index(const char *word)
{
  vk_err err = VK_ERR_INIT;
  uint32_t *task = calloc(pack.n_task + 1, sizeof *task), n = 0, i_task;
  assert_non_null(task);
  vk_assert_ok(vk_pack_find_tasks(&pack, word, task, &n, &err), &err);
  assert_int_equal(n, 1);
  i_task = task[0];
  free(task);
  return i_task;
}

/* Of the task of that name, freed by the caller. */
static inline vk_scene *open_scene(const char *word)
{
  vk_err err = VK_ERR_INIT;
  vk_scene *scene;
  vk_assert_ok(vk_scene_new(&scene, &pack, task_index(word), NULL, &err), &err);
  return scene;
}

/* Init rows and resets as in the published protocols. */
#define QUICK_PROTOCOL(n_step, n_action)                                                           \
  {                                                                                                \
    .name = "quick", .n_parallel = 1, .n_episode = 2, .n_dummy = 2,                                \
    .dummy = {0, 0, 0, 0, 0, 0, -1}, .n_step_default = (n_step), .n_replan = (n_action)            \
  }

#endif
