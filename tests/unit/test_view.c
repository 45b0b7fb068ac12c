/* test_view.c - views are the renderer's pictures of the two cameras, whatever is drawn with them;
 * the robot's pose in the order that policies get it. */
#include "test.h"

#include <stdlib.h>

#include "rl/demo.h"
#include "rl/view.h"
#include "sim/visuals_choose.h"

enum { N_TASK = 2 };

static vk_pack pack;
static vk_visuals visuals;
static vk_scene *scene[N_TASK];
static vk_stage *stage[N_TASK];
static double *row[N_TASK];

static int close_all(void **state)
{
  for (int i = 0; i < N_TASK; i++) {
    vk_stage_free(stage[i]);
    vk_scene_free(scene[i]);
    free(row[i]);
  }
  vk_visuals_close(&visuals);
  vk_pack_close(&pack);
  return 0;
}

static int open_all(void **state)
{
  vk_err err = VK_ERR_INIT;
  bool ok = vk_pack_open(&pack, VK_SOURCE_DIR "/data/libero.pack", &err) == VK_OK &&
            vk_visuals_choose(&visuals, "stand-in", &pack, &err) == VK_OK;
  for (int i = 0; ok && i < N_TASK; i++) {
    uint32_t i_task = i ? pack.n_task - 1 : 0; /* different arenas, numbers of cameras differ */
    ok = vk_scene_new(&scene[i], &pack, i_task, NULL, &err) == VK_OK &&
         vk_stage_new(&stage[i], scene[i], &visuals, &err) == VK_OK;
    if (!ok)
      break;
    row[i] = calloc((size_t)vk_picture_n_state(scene[i]), sizeof **row);
    vk_picture_default(scene[i], scene[i]->model->qpos0, row[i]);
  }
  if (!ok)
    print_error("%s\n", err.text);
  return ok ? 0 : -1;
}

/* The picture of a camera as the renderer draws it alone. */
static void draw_alone(int i, int k, const vk_view_config *config, uint8_t *pixel)
{
  vk_err err = VK_ERR_INIT;
  vk_pool *pool;
  vk_renderer *renderer;
  vk_render_config c = vk_render_defaults;
  c.width = c.height = VK_VIEW_PX;
  c.turn = config->turn;
  c.n_sample = config->n_sample;
  c.level_error_px = config->level_error_px;
  vk_shot shot = {.stage = stage[i], .state = row[i], .pixel = pixel};
  vk_assert_ok(vk_pool_new(&pool, 1, &err), &err);
  vk_assert_ok(vk_renderer_new(&renderer, &c, pool, &err), &err);
  vk_assert_ok(vk_stage_find_camera(stage[i], vk_demo_camera[k], &shot.i_camera, &err), &err);
  vk_assert_ok(vk_render(renderer, &shot, 1, NULL, &err), &err);
  vk_renderer_free(renderer);
  vk_pool_free(pool);
}

static void test_views_are_the_pictures_of_both_cameras(void **state)
{
  static uint8_t got[N_TASK][VK_VIEW_N][VK_VIEW_BYTES], want[VK_VIEW_BYTES];
  vk_err err = VK_ERR_INIT;
  vk_pool *pool;
  vk_assert_ok(vk_pool_new(&pool, 3, &err), &err);
  for (int with_pool = 0; with_pool < 2; with_pool++) {
    vk_view_config config = vk_view_defaults;
    config.turn = with_pool ? VK_TURN_GL : VK_TURN_ROTATE_180;
    config.level_error_px = with_pool ? 0 : 0.25f;
    vk_viewer *viewer;
    vk_assert_ok(vk_viewer_new(&viewer, &config, with_pool ? pool : NULL, &err), &err);
    vk_view_shot shot[2 * N_TASK] = {{0}};
    for (int i = 0; i < 2 * N_TASK; i++) /* the second time only the second view */
      shot[i] = (vk_view_shot){.stage = stage[i % N_TASK],
                               .state = row[i % N_TASK],
                               .pixel = {i < N_TASK ? got[i % N_TASK][0] : NULL,
                                         i < N_TASK ? NULL : got[i % N_TASK][1]}};
    vk_assert_ok(vk_viewer_draw(viewer, shot, 1, &err), &err); /* room grows */
    memset(got, 0, sizeof got);
    vk_assert_ok(vk_viewer_draw(viewer, shot, 2 * N_TASK, &err), &err);
    for (int i = 0; i < N_TASK; i++)
      for (int k = 0; k < VK_VIEW_N; k++) {
        draw_alone(i, k, &config, want);
        assert_memory_equal(got[i][k], want, sizeof want);
      }
    assert_memory_not_equal(got[0][0], got[0][1], sizeof want);
    assert_memory_not_equal(got[0][0], got[1][0], sizeof want);
    vk_viewer_free(viewer);
  }
  vk_pool_free(pool);
}

/* A camera that is moved in its own frame sees what one sees that the model has there. */
static void test_moved_cameras(void **state)
{
  static uint8_t moved[2][VK_VIEW_BYTES], plain[2][VK_VIEW_BYTES], want[VK_VIEW_BYTES];
  vk_err err = VK_ERR_INIT;
  vk_viewer *viewer;
  int i_camera, n_off = 0;
  vk_pose pose = {.p = {0.03, -0.02, 0.01}};
  const double axis[3] = {0.6, 0, 0.8}, angle = 0.05;
  vk_m3_axis_angle(pose.R, axis, angle);
  vk_view_shot shot[2] = {
      {.stage = stage[0], .state = row[0], .pixel = {plain[0], plain[1]}},
      {.stage = stage[0], .state = row[0], .pixel = {moved[0], moved[1]}, .moved = &pose}};
  vk_assert_ok(vk_viewer_new(&viewer, &vk_view_defaults, NULL, &err), &err);
  vk_assert_ok(vk_viewer_draw(viewer, shot, 2, &err), &err);
  vk_viewer_free(viewer);
  assert_memory_not_equal(moved[0], plain[0], VK_VIEW_BYTES);
  assert_memory_equal(moved[1], plain[1], VK_VIEW_BYTES); /* the hand's stays */

  mjModel *m = scene[0]->model;
  double R[9], dp[3], dq[4], q[4], keep_p[3], keep_q[4];
  vk_assert_ok(vk_stage_find_camera(stage[0], vk_demo_camera[0], &i_camera, &err), &err);
  double *cam_p = m->cam_pos + 3 * i_camera, *cam_q = m->cam_quat + 4 * i_camera;
  memcpy(keep_p, cam_p, sizeof keep_p);
  memcpy(keep_q, cam_q, sizeof keep_q);
  mju_quat2Mat(R, cam_q);
  vk_m3_apply(dp, R, pose.p);
  mju_axisAngle2Quat(dq, axis, angle);
  mju_mulQuat(q, cam_q, dq);
  for (int k = 0; k < 3; k++)
    cam_p[k] += dp[k];
  memcpy(cam_q, q, sizeof q);
  draw_alone(0, 0, &vk_view_defaults, want);
  memcpy(cam_p, keep_p, sizeof keep_p);
  memcpy(cam_q, keep_q, sizeof keep_q);
  for (int i = 0; i < VK_VIEW_BYTES; i++) /* rounding may move an edge */
    n_off += abs(want[i] - moved[0][i]) > 2;
  assert_true(n_off < VK_VIEW_BYTES / 1000);
}

static void test_bad_settings_are_refused(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_viewer *viewer;
  vk_view_config config = vk_view_defaults;
  config.n_sample = 3;
  vk_assert_fails(vk_viewer_new(&viewer, &config, NULL, &err), VK_E_RANGE);
  assert_null(viewer);
}

static void test_the_pose_is_in_its_order(void **state)
{
  double got[VK_VIEW_PROPRIO];
  const vk_robot_obs obs = {.eef_pos_m = {0.1, -0.2, 0.9},
                            .eef_quat_xyzw = {0, 0, sqrt(0.5), sqrt(0.5)},
                            .gripper_q_m = {0.04, -0.03},
                            .joint_q_rad = {1, 2, 3, 4, 5, 6, 7}};
  const double want[VK_VIEW_PROPRIO] = {0.1, -0.2, 0.9, 0, 0, acos(0), 0.04, -0.03};
  vk_view_proprio(&obs, got);
  for (int i = 0; i < VK_VIEW_PROPRIO; i++)
    vk_assert_close(got[i], want[i], 1e-12, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_views_are_the_pictures_of_both_cameras),
      cmocka_unit_test(test_moved_cameras),
      cmocka_unit_test(test_bad_settings_are_refused),
      cmocka_unit_test(test_the_pose_is_in_its_order),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
