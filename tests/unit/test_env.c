/* One environment and batches of them on the committed scene pack: what makes results repeat. */
#include "test.h"

#include <stdlib.h>

#include "core/rng.h"
#include "sim/env_batch.h"
#include "sim/env_internal.h"

static vk_pack pack;
static vk_scene *scene_drawer, *scene_boxes; /* a drawer drawn open; many free objects */

static vk_scene *open_scene(const char *word)
{
  vk_err err = VK_ERR_INIT;
  uint32_t *task = calloc(pack.n_task, sizeof *task), n;
  vk_scene *scene;
  vk_assert_ok(vk_pack_find_tasks(&pack, word, task, &n, &err), &err);
  vk_assert_ok(vk_scene_new(&scene, &pack, task[0], NULL, &err), &err);
  free(task);
  return scene;
}

static int setup(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_pack_open(&pack, VK_SOURCE_DIR "/data/libero.pack", &err), &err);
  scene_drawer = open_scene("libero_spatial/4");
  scene_boxes = open_scene("libero_object/0");
  return 0;
}

static int teardown(void **state)
{
  vk_scene_free(scene_drawer);
  vk_scene_free(scene_boxes);
  vk_pack_close(&pack);
  return 0;
}

static vk_env *new_env(const vk_scene *scene)
{
  vk_err err = VK_ERR_INIT;
  vk_env *env;
  vk_assert_ok(vk_env_new(&env, scene, &err), &err);
  return env;
}

static void begin(vk_env *env, uint32_t row)
{
  vk_err err = VK_ERR_INIT;
  const vk_scene *s = vk_env_scene(env);
  double *q = malloc(sizeof(double) * (size_t)s->n_state);
  vk_env_seed(env, 0);
  vk_assert_ok(vk_env_skip_resets(env, (int)row, &err), &err);
  vk_assert_ok(vk_env_reset(env, &err), &err);
  vk_assert_ok(vk_pack_init_row(&pack, s->task, row, q, &err), &err);
  vk_assert_ok(vk_env_set_state(env, q, s->n_state, &err), &err);
  free(q);
}

/* The i-th action of an episode's stream: smooth enough to move, and it grips. */
static void random_action(double action[VK_N_ACTION], uint64_t episode, int i)
{
  vk_philox rng;
  vk_philox_init(&rng, episode, (uint64_t)i);
  for (int k = 0; k < 6; k++)
    action[k] = vk_philox_double(&rng) - 0.5;
  action[2] -= 0.3;
  action[6] = i / 10 % 2 ? 1 : -1;
}

static void run_steps(vk_env *env, uint64_t episode, int first, int n)
{
  for (int i = first; i < first + n; i++) {
    vk_err err = VK_ERR_INIT;
    double action[VK_N_ACTION];
    random_action(action, episode, i);
    vk_assert_ok(vk_env_step(env, action, NULL, &err), &err);
  }
}

static void assert_same_state(const vk_env *a, const vk_env *b)
{
  char x[65], y[65];
  vk_env_state_sha256(a, x);
  vk_env_state_sha256(b, y);
  assert_string_equal(x, y);
}

static void test_skipped_resets_equal_resets(void **state)
{
  const vk_scene *scenes[] = {scene_drawer, scene_boxes};
  for (size_t k = 0; k < VK_COUNT(scenes); k++) {
    vk_err err = VK_ERR_INIT;
    vk_env *a = new_env(scenes[k]), *b = new_env(scenes[k]);
    for (int i = 0; i < 4; i++)
      vk_assert_ok(vk_env_reset(a, &err), &err);
    vk_assert_ok(vk_env_skip_resets(b, 3, &err), &err);
    vk_assert_ok(vk_env_reset(b, &err), &err);
    assert_same_state(a, b);
    double x[2], y[2];
    vk_env_peek_rng(a, x);
    vk_env_peek_rng(b, y);
    assert_memory_equal(x, y, sizeof x);
    vk_env_free(a);
    vk_env_free(b);
  }
}

static void test_episode_does_not_depend_on_what_ran_before(void **state)
{
  vk_env *fresh = new_env(scene_drawer), *used = new_env(scene_boxes);
  begin(used, 2);
  run_steps(used, 9, 0, 5);
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_env_set_scene(used, scene_drawer, &err), &err);
  begin(used, 7);
  run_steps(used, 9, 0, 5);
  begin(used, 3);
  begin(fresh, 3);
  run_steps(used, 1, 0, 20);
  run_steps(fresh, 1, 0, 20);
  assert_same_state(fresh, used);
  vk_env_free(fresh);
  vk_env_free(used);
}

static void test_snapshot_is_exact(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_env *a = new_env(scene_drawer), *b = new_env(scene_drawer);
  begin(a, 1);
  run_steps(a, 5, 0, 12);
  size_t size = vk_env_snapshot_size(a);
  void *snapshot = malloc(size);
  vk_env_save(a, snapshot);
  vk_assert_ok(vk_env_load(b, snapshot, size, &err), &err);
  assert_int_equal(vk_env_data(a)->ncon, vk_env_data(b)->ncon);
  assert_memory_equal(vk_env_data(a)->contact, vk_env_data(b)->contact,
                      sizeof(mjContact) * (size_t)vk_env_data(a)->ncon);
  assert_memory_equal(vk_env_robot_obs(a), vk_env_robot_obs(b), sizeof(vk_robot_obs));
  run_steps(a, 5, 12, 15);
  run_steps(b, 5, 12, 15);
  assert_same_state(a, b);
  /* The generator came along: the next reset is the same. */
  vk_assert_ok(vk_env_reset(a, &err), &err);
  vk_assert_ok(vk_env_reset(b, &err), &err);
  assert_same_state(a, b);
  vk_assert_fails(vk_env_load(b, snapshot, size - 1, &err), VK_E_SHAPE);
  vk_env *other = new_env(scene_boxes);
  vk_assert_fails(vk_env_load(other, snapshot, size, &err), VK_E_MISMATCH);
  free(snapshot);
  vk_env_free(a);
  vk_env_free(b);
  vk_env_free(other);
}

/* Small buffers overflow, are grown and the step is repeated: the result is that of large ones. */
static void test_growing_buffers_changes_nothing(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_env *small = new_env(scene_drawer), *large = new_env(scene_drawer);
  vk_assert_ok(vk_env_set_capacity(small, 4, &err), &err);
  vk_assert_ok(vk_env_set_capacity(large, 1000, &err), &err);
  begin(small, 0);
  begin(large, 0);
  run_steps(small, 3, 0, 20);
  run_steps(large, 3, 0, 20);
#if VK_MUJOCO_IS_KNOWN /* an arena holds more than is asked for */
  assert_true(small->n_contact_max > 4);
#endif
  assert_int_equal(large->n_contact_max, 1000);
  assert_same_state(small, large);
  vk_env_free(small);
  vk_env_free(large);
}

static void test_bad_actions_and_states_change_nothing(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_env *env = new_env(scene_boxes);
  begin(env, 0);
  char before[65], after[65];
  vk_env_state_sha256(env, before);
  double action[VK_N_ACTION] = {0};
  action[3] = NAN;
  vk_assert_fails(vk_env_step(env, action, NULL, &err), VK_E_RANGE);
  vk_assert_says(&err, "action[3]");
  action[3] = -INFINITY;
  vk_assert_fails(vk_env_step(env, action, NULL, &err), VK_E_RANGE);
  int n = vk_env_scene(env)->n_state;
  double *q = calloc((size_t)n, sizeof *q);
  vk_assert_fails(vk_env_set_state(env, q, n - 1, &err), VK_E_SHAPE);
  q[5] = NAN;
  vk_assert_fails(vk_env_set_state(env, q, n, &err), VK_E_RANGE);
  vk_env_state_sha256(env, after);
  assert_string_equal(before, after);
  free(q);
  vk_env_free(env);
}

/* An impossible speed makes MuJoCo reset itself; the episode goes on and says so. */
static void test_self_reset_is_recorded(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_env *env = new_env(scene_boxes);
  begin(env, 0);
  int n = vk_env_scene(env)->n_state;
  double *q = malloc(sizeof(double) * (size_t)n);
  vk_env_get_state(env, q);
  q[1 + vk_env_model(env)->nq + VK_N_ARM + VK_N_FINGER] = 1e12;
  vk_assert_ok(vk_env_set_state(env, q, n, &err), &err);
  const double action[VK_N_ACTION] = {0};
  vk_step step;
  vk_assert_ok(vk_env_step(env, action, &step, &err), &err);
  assert_true(step.unstable);
  assert_true(vk_env_n_unstable(env) > 0);
  vk_assert_ok(vk_env_step(env, action, &step, &err), &err);
  free(q);
  vk_env_free(env);
}

enum { N_ENV = 5 };

/* Hashes of N_ENV episodes run by a batch over n_thread threads, in two halves. */
static void run_batch(char hash[N_ENV][65], int n_thread)
{
  vk_err err = VK_ERR_INIT;
  vk_pool *pool;
  vk_env_batch *batch;
  double action[N_ENV][VK_N_ACTION], proprio[N_ENV][VK_N_PROPRIO];
  vk_status status[N_ENV];
  vk_env_slices slices = {.action = action[0], .proprio = proprio[0], .status = status};
  vk_assert_ok(vk_pool_new(&pool, n_thread, &err), &err);
  vk_assert_ok(vk_env_batch_new(&batch, N_ENV, pool, &slices, &err), &err);
  for (int i = 0; i < N_ENV; i++) {
    vk_assert_ok(vk_env_batch_set_scene(batch, i, i % 2 ? scene_boxes : scene_drawer, &err), &err);
    begin(vk_env_batch_get(batch, i), (uint32_t)i);
  }
  const int first[2] = {0, 2}, n[2] = {2, N_ENV - 2};
  for (int t = 0; t < 8; t++) {
    for (int half = 0; half < 2; half++) {
      for (int i = first[half]; i < first[half] + n[half]; i++)
        random_action(action[i], (uint64_t)i, t);
      vk_env_batch_step_async(batch, first[half], n[half], NULL);
    }
    for (int half = 0; half < 2; half++)
      vk_env_batch_wait(batch, first[half], n[half]);
    for (int i = 0; i < N_ENV; i++) {
      assert_int_equal(status[i], VK_OK);
      vk_assert_close(proprio[i][0], vk_env_robot_obs(vk_env_batch_get(batch, i))->eef_pos_m[0], 0,
                      0);
    }
  }
  for (int i = 0; i < N_ENV; i++)
    vk_env_state_sha256(vk_env_batch_get(batch, i), hash[i]);
  vk_env_batch_free(batch);
  vk_pool_free(pool);
}

static void test_batch_does_not_depend_on_threads(void **state)
{
  char one[N_ENV][65], three[N_ENV][65], alone[65];
  run_batch(one, 1);
  run_batch(three, 3);
  assert_memory_equal(one, three, sizeof one);
  vk_env *env = new_env(scene_boxes);
  begin(env, 3);
  run_steps(env, 3, 0, 8);
  vk_env_state_sha256(env, alone);
  assert_string_equal(alone, one[3]);
  vk_env_free(env);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_skipped_resets_equal_resets),
      cmocka_unit_test(test_episode_does_not_depend_on_what_ran_before),
      cmocka_unit_test(test_snapshot_is_exact),
      cmocka_unit_test(test_growing_buffers_changes_nothing),
      cmocka_unit_test(test_bad_actions_and_states_change_nothing),
      cmocka_unit_test(test_self_reset_is_recorded),
      cmocka_unit_test(test_batch_does_not_depend_on_threads),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
