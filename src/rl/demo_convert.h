/* demo_convert.h - demonstrations from one format into another, with pictures added or dropped.
 * Test: tests/cmd/test_demos.sh, tests/unit/test_demo.c */
#ifndef VK_RL_DEMO_CONVERT_H
#define VK_RL_DEMO_CONVERT_H

#include "rl/demo_scene.h"

typedef struct vk_demo_convert_config {
  const vk_pack *pack;
  const char *cache_dir;     /* compiled models; NULL: none */
  const vk_visuals *visuals; /* with px */
  bool is_default_visuals;   /* pictures of the same size are taken over as they are */
  vk_pool *pool;
  vk_isa isa;
  vk_demo_layout layout;
  vk_obs_align align; /* of HDF5 */
  int px;             /* of pictures, 0: without */
  bool drop_noops;
  const char *mask;            /* only what mask/NAME lists; NULL: all */
  const char *task;            /* the task, where the file does not tell; NULL */
  void (*progress)(void *arg); /* after each demonstration; may be NULL */
  void *arg;
} vk_demo_convert_config;

typedef struct vk_demo_convert_stats {
  int n_demo;
  int64_t n_step, n_noop, n_byte;
  int n_rendered,
      n_repeated; /* demonstrations whose pictures were drawn, that were simulated anew */
} vk_demo_convert_stats;

/* Writes the demonstrations of the file at `from` to a new file at `to`, numbered anew. What the
 * source lacks (observations of HDF5 beyond the T that it holds, what pictures show) is simulated
 * anew, where it says how its episodes began; otherwise pictures are of the recorded states, and
 * step 0 is dropped where nothing was observed before it. Errors: those of reading and writing. */
VK_NODISCARD vk_status vk_demo_convert(const vk_demo_convert_config *config, const char *from,
                                       const char *to, vk_demo_convert_stats *stats, vk_err *err);

/* The index of the task that a file is of; word NULL: as the file tells, or a task named by it.
 * Errors: VK_E_NOTFOUND, VK_E_USAGE, VK_E_MISMATCH (the file tells another). */
VK_NODISCARD vk_status vk_demo_task_of_file(const vk_demo_file *file, const char *path,
                                            const char *word, const vk_pack *pack, uint32_t *i_task,
                                            vk_err *err);

#endif
