/* test_perturb.c - how far things go, that they depend on the episode alone, and that trying leaves
 * no trace; held-out starts are not those of training. */
#include "pack_world.h"

#include "rl/start.h"

static void test_cameras_stay_near(void **state)
{
  vk_pose last = {{0}, {0}};
  double most_m = 0, most_rad = 0;
  for (uint64_t key = 1; key <= 200; key++) {
    vk_pose a, b, other;
    vk_perturb_camera(key, 7, &a);
    vk_perturb_camera(key, 7, &b);
    vk_perturb_camera(key, 8, &other);
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_not_equal(&a, &other, sizeof a);
    assert_memory_not_equal(&a, &last, sizeof a);
    last = a;
    for (int k = 0; k < 3; k++)
      most_m = fmax(most_m, fabs(a.p[k]));
    most_rad = fmax(most_rad, acos((a.R[0] + a.R[4] + a.R[8] - 1) / 2));
    for (int i = 0; i < 3; i++)
      for (int j = 0; j < 3; j++) {
        double dot = 0;
        for (int k = 0; k < 3; k++)
          dot += a.R[3 * k + i] * a.R[3 * k + j];
        vk_assert_close(dot, i == j, 1e-12, 0);
      }
  }
  assert_true(most_m > 0.028 && most_m <= 0.03);
  assert_true(most_rad > 3 * M_PI / 180 && most_rad <= 3 * sqrt(3) * M_PI / 180);
}

static double deepest(const vk_env *env)
{
  const mjData *d = vk_env_data(env);
  double depth = 0;
  for (int c = 0; c < d->ncon; c++)
    depth = fmax(depth, -d->contact[c].dist);
  return depth;
}

static void test_objects_stay_near_and_out_of_each_other(void **state)
{
  static const char *const word[] = {"libero_spatial/1", "libero_object/0", "libero_goal/4",
                                     "libero_10/3"};
  for (size_t w = 0; w < VK_COUNT(word); w++) {
    vk_err err = VK_ERR_INIT;
    uint32_t *task = calloc(pack.n_task + 1, sizeof *task), n_task;
    vk_scene *scene;
    vk_env *env;
    vk_assert_ok(vk_pack_find_tasks(&pack, word[w], task, &n_task, &err), &err);
    vk_assert_ok(vk_scene_new(&scene, &pack, task[0], NULL, &err), &err);
    vk_assert_ok(vk_env_new(&env, scene, &err), &err);
    size_t n = (size_t)scene->n_state;
    double *plain = calloc(2 * n, sizeof *plain), *moved = plain + n;
    int n_moved = 0;
    for (int row = 0; row < 6; row++) {
      const vk_start start = {VK_ROWS_EVAL, row, 0, &vk_protocols[0]};
      vk_assert_ok(vk_start_env(env, &start, &err), &err);
      double depth = deepest(env);
      vk_env_get_state(env, plain);
      vk_assert_ok(vk_start_env_perturbed(env, &start, VK_PERTURB_POSITION, &err), &err);
      assert_true(deepest(env) <= fmax(depth, 0.001) + 1e-12);
      vk_env_get_state(env, moved);
      for (int i = 0; i < scene->n_object; i++) {
        double *a = plain + 1 + scene->instance[i].qpos_adr,
               *b = moved + 1 + scene->instance[i].qpos_adr;
        assert_true(fabs(b[0] - a[0]) <= 0.02 && fabs(b[1] - a[1]) <= 0.02);
        n_moved += a[0] != b[0] && a[1] != b[1];
        a[0] = b[0];
        a[1] = b[1];
      }
      assert_memory_equal(plain, moved, n * sizeof *plain); /* nothing else has changed */

      /* an environment that is set to that state, without the trials, does the same */
      const double action[VK_N_ACTION] = {0.3, -0.2, 0.1, 0, 0, 0.1, 1};
      vk_step step;
      char hex[2][65];
      vk_assert_ok(vk_env_step(env, action, &step, &err), &err);
      vk_env_state_sha256(env, hex[0]);
      vk_robot_obs obs = *vk_env_robot_obs(env);
      vk_assert_ok(vk_start_env(env, &start, &err), &err);
      vk_env_seed(env, 0);
      vk_assert_ok(vk_env_skip_resets(env, row, &err), &err);
      vk_assert_ok(vk_env_reset(env, &err), &err);
      vk_assert_ok(vk_env_set_state(env, moved, scene->n_state, &err), &err);
      vk_assert_ok(vk_env_step(env, action, &step, &err), &err);
      vk_env_state_sha256(env, hex[1]);
      assert_string_equal(hex[0], hex[1]);
      assert_memory_equal(&obs, vk_env_robot_obs(env), sizeof obs);
    }
    assert_true(n_moved > 3 * scene->n_object); /* of six times as many */
    free(plain);
    free(task);
    vk_env_free(env);
    vk_scene_free(scene);
  }
}

static void test_instructions_are_said_otherwise(void **state)
{
  static const char text[] = "put the bowl on the stove";
  char a[VK_PARAPHRASE_SIZE], b[VK_PARAPHRASE_SIZE];
  vk_philox rng;
  vk_perturb_language(text, 1, 1, a);
  assert_string_not_equal(a, text);
  vk_philox_init(&rng, 1, 0);
  for (uint64_t key = 0; key < 50; key++) { /* no policy has read it in training */
    vk_paraphrase(text, VK_PARAPHRASE_TRAIN, &rng, b, sizeof b);
    assert_string_not_equal(a, b);
    vk_perturb_language(text, key, 1, b);
    assert_string_equal(a, b);
  }
  for (size_t i = 0; i < pack.n_task; i++) { /* of every task there are others */
    const char *plain = vk_pack_text(&pack, pack.task[i].language);
    vk_perturb_language(plain, 1, 1, a);
    assert_string_not_equal(a, plain);
  }
  vk_perturb_language("sing", 1, 1, a);
  assert_string_equal(a, "sing");
}

static void test_held_out_starts_are_not_those_of_training(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_scene *scene;
  vk_env *env;
  vk_assert_ok(vk_scene_new(&scene, &pack, 0, NULL, &err), &err);
  vk_assert_ok(vk_env_new(&env, scene, &err), &err);
  size_t n = (size_t)scene->n_state;
  double *state_of[4];
  for (int i = 0; i < 4; i++) {
    const vk_start start = {i < 3 ? VK_ROWS_HELD_OUT : VK_ROWS_SAMPLED, i == 2 ? 60 : 5, 3,
                            &vk_protocols[0]};
    state_of[i] = calloc(n, sizeof **state_of);
    vk_assert_ok(vk_start_env(env, &start, &err), &err);
    vk_env_get_state(env, state_of[i]);
  }
  assert_memory_equal(state_of[0], state_of[1], n * sizeof **state_of);
  assert_memory_not_equal(state_of[0], state_of[2], n * sizeof **state_of);
  assert_memory_not_equal(state_of[0], state_of[3], n * sizeof **state_of);
  for (int i = 0; i < 4; i++)
    free(state_of[i]);
  vk_env_free(env);
  vk_scene_free(scene);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_cameras_stay_near),
      cmocka_unit_test(test_objects_stay_near_and_out_of_each_other),
      cmocka_unit_test(test_instructions_are_said_otherwise),
      cmocka_unit_test(test_held_out_starts_are_not_those_of_training),
  };
  return cmocka_run_group_tests(tests, open_pack, close_pack);
}
