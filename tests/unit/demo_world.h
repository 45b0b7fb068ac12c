/* demo_world.h - files of demonstrations for tests: a few steps of random moves in real scenes,
 * that count as successes. Pass make_demo_world and remove_demo_world to cmocka_run_group_tests. */
#ifndef VK_TEST_DEMO_WORLD_H
#define VK_TEST_DEMO_WORLD_H

#include "pack_world.h"
#include "temp_dir.h"

#include "core/rng.h"
#include "rl/demo_scene.h"
#include "sim/visuals_choose.h"

static vk_visuals visuals;

/* Compiled models of this program's tasks. */
static const char *models_dir(void)
{
  static char path[VK_FS_PATH_MAX];
  vk_assert_ok(vk_fs_join(path, sizeof path, temp_dir, "models", NULL), NULL);
  return path;
}

/* n_step + 1 observations; label and executed action are the same. */
static void record_demo(vk_demo *d, vk_env *env, uint32_t seed, int n_step)
{
  vk_err err = VK_ERR_INIT;
  vk_philox rng;
  const vk_start start = {VK_ROWS_EVAL, (int)seed, 0, &vk_protocols[0]};
  vk_philox_init(&rng, seed, 0);
  vk_assert_ok(vk_start_env(env, &start, &err), &err);
  vk_assert_ok(vk_demo_record_begin(d, env, n_step, &err), &err);
  for (int t = 0; t < n_step; t++) {
    double action[VK_N_ACTION];
    vk_step step;
    for (int k = 0; k < VK_N_ACTION; k++)
      action[k] = 2 * vk_philox_double(&rng) - 1;
    action[VK_N_ACTION - 1] = t < n_step / 2 ? -1 : 1;
    vk_demo_record_action(d, action, action);
    vk_assert_ok(vk_env_step(env, action, &step, &err), &err);
    vk_demo_record_step(d, env, t == n_step - 1);
  }
}

/* NAME in the folder: n_demo demonstrations of the task, the i-th of n_step + i steps. HDF5 is
 * written without pictures. change: of each, before it is written; may be NULL. */
static void write_demos(const char *name, const char *word, vk_demo_layout layout, int n_demo,
                        int n_step, void (*change)(vk_demo *d, int i))
{
  vk_err err = VK_ERR_INIT;
  uint32_t i_task = task_index(word);
  vk_scene *scene;
  vk_env *env;
  vk_demo_info info;
  vk_demo_writer *w;
  vk_demo_info_of_task(&info, &pack, i_task);
  info.layout = layout;
  vk_assert_ok(vk_scene_new(&scene, &pack, i_task, models_dir(), &err), &err);
  vk_assert_ok(vk_env_new(&env, scene, &err), &err);
  vk_assert_ok(vk_demo_create(&w, in_dir(name), &info, &err), &err);
  for (int i = 0; i < n_demo; i++) {
    vk_demo d;
    record_demo(&d, env, (uint32_t)i, n_step + i);
    if (layout != VK_DEMO_STORE)
      vk_assert_ok(vk_demo_add_model(&d, scene, &err), &err);
    if (change)
      change(&d, i);
    vk_assert_ok(vk_demo_add(w, &d, &err), &err);
    vk_demo_free(&d);
  }
  vk_assert_ok(vk_demo_commit(w, &err), &err);
  vk_env_free(env);
  vk_scene_free(scene);
}

static inline void write_store(const char *name, const char *word, int n_demo, int n_step)
{
  write_demos(name, word, VK_DEMO_STORE, n_demo, n_step, NULL);
}

static int make_demo_world(void **state)
{
  vk_err err = VK_ERR_INIT;
  open_pack(state);
  vk_assert_ok(vk_visuals_choose(&visuals, "stand-in", &pack, &err), &err);
  return make_temp_dir(state);
}

static int remove_demo_world(void **state)
{
  vk_visuals_close(&visuals);
  close_pack(state);
  return remove_temp_dir(state);
}

#endif
