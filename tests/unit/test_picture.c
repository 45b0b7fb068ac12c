/* Picture states: poses of bodies are MuJoCo's, and environments sample them where they sample
 * their other observations. */
#include "pack_world.h"

#include "core/rng.h"
#include "sim/env.h"
#include "sim/picture.h"

/* One of each arena, with every kind of fixture among them. */
static const char *const tasks[] = {"libero_spatial/0", "libero_object/0", "libero_goal/0",
                                    "libero_10/3",      "libero_10/9",     "libero_90/0",
                                    "libero_90/50",     "libero_90/85"};

static void test_poses_are_those_of_mj_kinematics(void **state)
{
  for (size_t t = 0; t < VK_COUNT(tasks); t++) {
    vk_scene *scene = open_scene(tasks[t]);
    mjModel *m = scene->model;
    mjData *d = mj_makeData(m);
    vk_pose *pose = calloc((size_t)m->nbody, sizeof *pose);
    double *row = calloc((size_t)vk_picture_n_state(scene), sizeof *row);
    vk_mt19937 rng;
    vk_mt19937_seed(&rng, 7);
    for (int i = 0; i < m->nq; i++)
      d->qpos[i] = 2 * vk_mt19937_double(&rng) - 1;
    vk_picture_default(scene, d->qpos, row);
    for (int i = scene->n_object; i < scene->n_instance; i++)
      for (int k = 0; k < 7; k++) {
        double v = 2 * vk_mt19937_double(&rng) - 1;
        row[m->nq + 7 * (i - scene->n_object) + k] = v;
        int body = scene->instance[i].body;
        *(k < 3 ? &m->body_pos[3 * body + k] : &m->body_quat[4 * body + k - 3]) = v;
      }
    for (int i = scene->n_object; i < scene->n_instance; i++)
      mju_normalize4(m->body_quat + 4 * scene->instance[i].body);
    mj_kinematics(m, d);
    vk_picture_poses(scene, row, pose);
    for (int b = 0; b < m->nbody; b++) {
      for (int k = 0; k < 3; k++)
        vk_assert_close(pose[b].p[k], d->xpos[3 * b + k], 1e-12, 0);
      for (int k = 0; k < 9; k++)
        vk_assert_close(pose[b].R[k], d->xmat[9 * b + k], 1e-12, 0);
    }
    free(row);
    free(pose);
    mj_deleteData(d);
    vk_scene_free(scene);
  }
}

/* The row that an environment samples shows its objects where its observation says they are. */
static void test_environments_sample_it_with_their_observation(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_scene *scene = open_scene("libero_goal/7"); /* a stove */
  vk_env *env;
  vk_assert_ok(vk_env_new(&env, scene, &err), &err);
  int nq = scene->model->nq, n = vk_picture_n_state(scene);
  double *init = calloc((size_t)scene->n_state, sizeof *init);
  vk_pose *pose = calloc((size_t)scene->model->nbody, sizeof *pose);
  vk_env_seed(env, 0);
  vk_assert_ok(vk_env_reset(env, &err), &err);
  vk_assert_ok(vk_pack_init_row(&pack, scene->task, 0, init, &err), &err);
  vk_assert_ok(vk_env_set_state(env, init, scene->n_state, &err), &err);
  for (int t = 0; t < 12; t++) {
    const double action[VK_N_ACTION] = {0.4, -0.3, -1, 0, 0, 0.2, t < 6 ? -1 : 1};
    vk_assert_ok(vk_env_step(env, action, NULL, &err), &err);
    const double *row = vk_env_picture_state(env);
    vk_assert_ok(vk_picture_check(scene, row, n, &err), &err);
    vk_picture_poses(scene, row, pose);
    double moved = 0;
    for (int i = 0; i < scene->n_object; i++)
      for (int k = 0; k < 3; k++)
        vk_assert_close(pose[scene->instance[i].body].p[k], vk_env_object_obs(env)[i].pos_m[k],
                        1e-12, 0);
    for (int i = 0; i < 7; i++)
      moved += fabs(row[scene->arm_qpos + i] - vk_env_data(env)->qpos[scene->arm_qpos + i]);
    assert_true(moved > 0); /* not the state at the end of the step */
    for (int i = scene->n_object; i < scene->n_instance; i++)
      assert_memory_equal(row + nq + 7 * (i - scene->n_object),
                          vk_env_model(env)->body_pos + 3 * scene->instance[i].body,
                          3 * sizeof *row);
  }
  free(init);
  free(pose);
  vk_env_free(env);
  vk_scene_free(scene);
}

/* The flame shows one control step after the knob was turned, as in the benchmark's pictures. */
static void test_the_flame_is_a_step_late(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_scene *scene = open_scene("libero_goal/7");
  assert_true(scene->site_burner >= 0);
  vk_env *env;
  vk_assert_ok(vk_env_new(&env, scene, &err), &err);
  int n = vk_picture_n_state(scene);
  double *init = calloc((size_t)scene->n_state, sizeof *init);
  vk_env_seed(env, 0);
  vk_assert_ok(vk_env_reset(env, &err), &err);
  assert_true(vk_env_picture_state(env)[n - 1] == 0);
  vk_assert_ok(vk_pack_init_row(&pack, scene->task, 0, init, &err), &err);
  vk_assert_ok(vk_env_set_state(env, init, scene->n_state, &err), &err);
  assert_true(vk_env_picture_state(env)[n - 1] == 0);
  int knob = scene->model->jnt_qposadr[scene->atom_burner.joint[0]];
  init[1 + knob] = 1.0;
  vk_env_put_state(env, init); /* as if the knob had turned within a step */
  const double rest[VK_N_ACTION] = {0};
  vk_assert_ok(vk_env_step(env, rest, NULL, &err), &err);
  assert_true(vk_env_picture_state(env)[n - 1] == 0);
  vk_assert_ok(vk_env_step(env, rest, NULL, &err), &err);
  assert_true(vk_env_picture_state(env)[n - 1] == 1);
  vk_assert_ok(vk_env_set_state(env, init, scene->n_state, &err), &err);
  assert_true(vk_env_picture_state(env)[n - 1] == 1); /* set_init_state shows it at once */
  free(init);
  vk_env_free(env);
  vk_scene_free(scene);
}

static void test_what_is_refused(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_scene *scene = open_scene("libero_spatial/0");
  int n = vk_picture_n_state(scene);
  double *row = calloc((size_t)n, sizeof *row);
  vk_picture_default(scene, scene->model->qpos0, row);
  vk_assert_ok(vk_picture_check(scene, row, n, &err), &err);
  assert_int_equal(vk_picture_check(scene, row, n - 1, &err), VK_E_SHAPE);
  row[3] = NAN;
  assert_int_equal(vk_picture_check(scene, row, n, &err), VK_E_RANGE);
  row[3] = INFINITY;
  assert_int_equal(vk_picture_check(scene, row, n, &err), VK_E_RANGE);
  row[3] = 0;
  for (int k = 0; k < 4; k++)
    row[scene->instance[0].qpos_adr + 3 + k] = 0;
  assert_int_equal(vk_picture_check(scene, row, n, &err), VK_E_RANGE);
  assert_non_null(strstr(err.text, scene->instance[0].name));
  free(row);
  vk_scene_free(scene);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_poses_are_those_of_mj_kinematics),
      cmocka_unit_test(test_environments_sample_it_with_their_observation),
      cmocka_unit_test(test_the_flame_is_a_step_late),
      cmocka_unit_test(test_what_is_refused),
  };
  return cmocka_run_group_tests(tests, open_pack, close_pack);
}
