/* Demonstrations: both formats give back what was written, bit for bit; rules are named when they
 * are broken; an episode can be repeated from its demonstration, and its pictures are those that
 * were drawn live. */
#include "pack_world.h"
#include "temp_dir.h"

#include <stdio.h>

#include "core/hdf5.h"
#include "core/rng.h"
#include "rl/demo_convert.h"
#include "sim/picture.h"
#include "sim/visuals_choose.h"

static int setup(void **state)
{
  open_pack(state);
  return make_temp_dir(state);
}

static int teardown(void **state)
{
  close_pack(state);
  return remove_temp_dir(state);
}

/* ---- made up ---- */

enum { T = 6, S = 79, P = 5, PX = 8 };

/* Consistent, with noise, every observation and pictures. */
static void make_demo(vk_demo *d, uint32_t seed, int px)
{
  vk_mt19937 rng;
  vk_mt19937_seed(&rng, seed);
  *d = (vk_demo){.n_step = T,
                 .n_state = S,
                 .n_state_row = T + 1,
                 .n_obs = T + 1,
                 .n_picture_state = P,
                 .px = px,
                 .success = true,
                 .noise = 0.1,
                 .is_origin_known = true};
  vk_assert_ok(vk_demo_alloc(d, NULL), NULL);
  d->origin = (vk_start){VK_ROWS_SAMPLED, 3, 4000000000u, &vk_protocols[0]};
  for (int i = 0; i < T * VK_N_ACTION; i++) {
    bool is_hand = i % VK_N_ACTION == 6;
    d->action[i] = is_hand ? -1 : 2 * vk_mt19937_double(&rng) - 1;
    d->executed[i] = is_hand ? -1 : 2 * vk_mt19937_double(&rng) - 1;
  }
  for (int i = 0; i < (T + 1) * S; i++)
    d->state[i] = i % S == 0 ? 0.05 * (i / S) : vk_mt19937_normal(&rng);
  for (int t = 0; t <= T; t++) {
    double *p = d->proprio + VK_N_PROPRIO * t, n = 0;
    for (int k = 0; k < VK_N_PROPRIO; k++)
      p[k] = vk_mt19937_normal(&rng);
    for (int k = 3; k < 7; k++)
      n += p[k] * p[k];
    for (int k = 3; k < 7; k++)
      p[k] /= sqrt(n);
  }
  for (int i = 0; i < (T + 1) * P; i++)
    d->picture_state[i] = vk_mt19937_normal(&rng);
  for (int v = 0; v < VK_DEMO_N_VIEW && px; v++)
    for (int i = 0; i < (T + 1) * px * px * 3; i++)
      d->pixel[v][i] = (uint8_t)vk_mt19937_next(&rng);
  d->reward[T - 1] = d->done[T - 1] = 1;
  d->model_xml = strdup("<mujoco model=\"base\">\n</mujoco>\n");
}

static vk_demo_info info_of(vk_demo_layout layout, vk_obs_align align, int px)
{
  vk_demo_info info;
  vk_demo_info_of_task(&info, &pack, task_index("libero_goal/3"));
  info.layout = layout;
  info.align = align;
  info.px = px;
  snprintf(info.visuals, sizeof info.visuals, "stand-in");
  return info;
}

static vk_status write_demos(const char *path, const vk_demo_info *info, const vk_demo *a,
                             const vk_demo *b, vk_err *err)
{
  vk_demo_writer *w;
  vk_status st = vk_demo_create(&w, path, info, err);
  if (st != VK_OK)
    return st;
  if ((st = vk_demo_add(w, a, err)) == VK_OK && b)
    st = vk_demo_add(w, b, err);
  if (st == VK_OK)
    return vk_demo_commit(w, err);
  vk_demo_abort(w);
  return st;
}

static void expect_same_origin(const vk_demo *got, const vk_demo *want)
{
  assert_true(got->is_origin_known && got->success == want->success);
  vk_assert_same_bits(got->noise, want->noise);
  assert_int_equal(got->origin.rows, want->origin.rows);
  assert_int_equal(got->origin.row, want->origin.row);
  assert_true(got->origin.seed == want->origin.seed);
  assert_ptr_equal(got->origin.protocol, want->origin.protocol);
}

static void expect_same_steps(const vk_demo *got, const vk_demo *want)
{
  size_t n_action = sizeof(double) * VK_N_ACTION * T;
  assert_int_equal(got->n_step, T);
  assert_memory_equal(got->action, want->action, n_action);
  assert_memory_equal(got->executed, want->executed, n_action);
  assert_memory_equal(got->reward, want->reward, T);
  assert_memory_equal(got->done, want->done, T);
  assert_int_equal(got->n_state, S);
  assert_memory_equal(got->state, want->state, sizeof(double) * S * (size_t)(got->n_state_row));
}

static void test_store_comes_back(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_demo a, b, got;
  vk_demo_file *f;
  const vk_demo_info info = info_of(VK_DEMO_STORE, VK_OBS_FIXED, 0);
  make_demo(&a, 1, 0);
  make_demo(&b, 2, 0);
  memcpy(b.executed, b.action, sizeof(double) * VK_N_ACTION * T);
  b.success = false;
  b.reward[T - 1] = 0;
  vk_assert_ok(write_demos(in_dir("s.npz"), &info, &a, &b, &err), &err);
  vk_assert_ok(vk_demo_open(&f, in_dir("s.npz"), &err), &err);
  assert_int_equal(vk_demo_count(f), 2);
  assert_string_equal(vk_demo_info_get(f)->suite, "libero_goal");
  assert_string_equal(vk_demo_info_get(f)->language, info.language);
  assert_string_equal(vk_demo_info_get(f)->pack_hash, pack.hash);
  for (int i = 0; i < 2; i++) {
    const vk_demo *want = i ? &b : &a;
    vk_assert_ok(vk_demo_read(f, i, false, &got, &err), &err);
    assert_int_equal(got.number, i);
    expect_same_steps(&got, want);
    expect_same_origin(&got, want);
    assert_true(got.n_obs == T + 1 && got.first_obs == 0 && got.n_state_row == T + 1);
    assert_memory_equal(got.proprio, want->proprio, sizeof(double) * VK_N_PROPRIO * (T + 1));
    assert_memory_equal(got.picture_state, want->picture_state, sizeof(double) * P * (T + 1));
    vk_demo_free(&got);
  }
  vk_demo_close(f);
  vk_demo_free(&a);
  vk_demo_free(&b);
}

static void check_hdf5(vk_demo_layout layout, vk_obs_align align)
{
  vk_err err = VK_ERR_INIT;
  vk_demo a, got;
  vk_demo_file *f;
  int shift = align == VK_OBS_AS_PUBLISHED;
  const vk_demo_info info = info_of(layout, align, PX);
  make_demo(&a, 3, PX);
  vk_assert_ok(write_demos(in_dir("h.hdf5"), &info, &a, NULL, &err), &err);
  vk_assert_ok(vk_demo_open(&f, in_dir("h.hdf5"), &err), &err);
  const vk_demo_info *found = vk_demo_info_get(f);
  assert_int_equal(found->layout, layout);
  assert_int_equal(found->align, align);
  assert_int_equal(found->px, PX);
  vk_assert_ok(vk_demo_read(f, 0, true, &got, &err), &err);
  assert_true(got.n_obs == T && got.first_obs == shift);
  for (int v = 0; v < VK_DEMO_N_VIEW; v++)
    assert_memory_equal(got.pixel[v], a.pixel[v] + shift * PX * PX * 3, T * PX * PX * 3);
  for (int t = 0; t < T; t++)
    for (int k = 0; k < VK_N_PROPRIO; k++) {
      double want = a.proprio[VK_N_PROPRIO * (t + shift) + k];
      bool is_derived = layout == VK_DEMO_REGENERATED && t == 0 && k >= 3 && k < 7;
      vk_assert_close(fabs(got.proprio[VK_N_PROPRIO * t + k]), fabs(want), is_derived ? 1e-9 : 0,
                      0);
    }
  if (layout == VK_DEMO_PUBLISHED) {
    assert_true(found->is_align_stated);
    assert_string_equal(found->name, info.name);
    assert_string_equal(found->visuals, "stand-in");
    assert_string_equal(got.model_xml, a.model_xml);
    expect_same_steps(&got, &a);
    expect_same_origin(&got, &a);
  }
  vk_demo_free(&got);
  vk_demo_close(f);
  vk_demo_free(&a);
}

static void test_hdf5_comes_back(void **state)
{
  char version[40];
  if (vk_h5_version(version, sizeof version, NULL) != VK_OK)
    skip();
  check_hdf5(VK_DEMO_PUBLISHED, VK_OBS_FIXED);
  check_hdf5(VK_DEMO_PUBLISHED, VK_OBS_AS_PUBLISHED);
  check_hdf5(VK_DEMO_REGENERATED, VK_OBS_FIXED);
}

/* A failure is marked and listed by a filter. */
static void test_masks(void **state)
{
  vk_err err = VK_ERR_INIT;
  char version[40];
  vk_demo a, b;
  vk_demo_file *f;
  bool is_in[2];
  const vk_demo_info info = info_of(VK_DEMO_PUBLISHED, VK_OBS_FIXED, 0);
  if (vk_h5_version(version, sizeof version, NULL) != VK_OK)
    skip();
  make_demo(&a, 1, 0);
  make_demo(&b, 2, 0);
  b.success = false;
  b.reward[T - 1] = 0;
  vk_assert_ok(write_demos(in_dir("m.hdf5"), &info, &a, &b, &err), &err);
  vk_assert_ok(vk_demo_open(&f, in_dir("m.hdf5"), &err), &err);
  vk_assert_ok(vk_demo_mask(f, "success", is_in, &err), &err);
  assert_true(is_in[0] && !is_in[1]);
  vk_assert_ok(vk_demo_mask(f, "failure", is_in, &err), &err);
  assert_true(!is_in[0] && is_in[1]);
  vk_assert_fails(vk_demo_mask(f, "train", is_in, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "there are failure, success");
  vk_demo_close(f);
  vk_demo_free(&a);
  vk_demo_free(&b);
}

/* A store has the same filters; OpenVLA's layout cannot tell failures from successes. */
static void test_failures(void **state)
{
  vk_err err = VK_ERR_INIT;
  char version[40];
  vk_demo a, b;
  vk_demo_file *f;
  bool is_in[2];
  const vk_demo_info store = info_of(VK_DEMO_STORE, VK_OBS_FIXED, 0);
  const vk_demo_info openvla = info_of(VK_DEMO_REGENERATED, VK_OBS_FIXED, 0);
  make_demo(&a, 1, 0);
  make_demo(&b, 2, 0);
  a.success = false;
  a.reward[T - 1] = 0;
  vk_assert_ok(write_demos(in_dir("f.npz"), &store, &a, &b, &err), &err);
  vk_assert_ok(vk_demo_open(&f, in_dir("f.npz"), &err), &err);
  vk_assert_ok(vk_demo_mask(f, "success", is_in, &err), &err);
  assert_true(!is_in[0] && is_in[1]);
  vk_assert_ok(vk_demo_mask(f, "failure", is_in, &err), &err);
  assert_true(is_in[0] && !is_in[1]);
  vk_assert_fails(vk_demo_mask(f, "train", is_in, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "a store has success and failure");
  vk_demo_close(f);
  if (vk_h5_version(version, sizeof version, NULL) == VK_OK) {
    vk_assert_fails(write_demos(in_dir("f.hdf5"), &openvla, &a, &b, &err), VK_E_MISMATCH);
    vk_assert_says(&err, "demo_0: failed");
    assert_false(vk_fs_is_file(in_dir("f.hdf5")));
  }
  vk_demo_free(&a);
  vk_demo_free(&b);
}

/* The tag that holds a name is found, and a text of very many bodies is read in one go. */
static void test_fixtures_of_text(void **state)
{
  enum { N_BODY = 400000 };
  vk_err err = VK_ERR_INIT;
  vk_scene *scene;
  bool is_known;
  vk_demo d;
  make_demo(&d, 1, 0);
  free(d.picture_state);
  d.picture_state = NULL;
  vk_assert_ok(vk_scene_new(&scene, &pack, task_index("libero_goal/3"), NULL, &err), &err);
  double pose[7 * 8];
  assert_true(scene->n_fixture >= 1 && scene->n_fixture <= 8);
  char *text = malloc(8 * N_BODY + 8000), *at = text;
  at += sprintf(at, "<mujoco><geom name=\"%s_main\" pos=\"9 9 9\"/>",
                scene->instance[scene->n_object].name);
  for (int i = 0; i < N_BODY; i++)
    at = stpcpy(at, "<body>");
  for (int i = 0; i < scene->n_fixture; i++)
    at += sprintf(at, "<body pos=\"%d 2 3\" name=\"%s_main\">", i,
                  scene->instance[scene->n_object + i].name);
  free(d.model_xml);
  d.model_xml = text;
  vk_assert_ok(vk_demo_fixtures(&d, scene, pose, &is_known, &err), &err);
  assert_true(is_known);
  for (int i = 0; i < scene->n_fixture; i++) {
    vk_assert_same_bits(pose[7 * i], i);
    vk_assert_same_bits(pose[7 * i + 2], 3);
  }
  vk_scene_free(scene);
  vk_demo_free(&d);
}

/* ---- rules ---- */

static void expect_rule(vk_demo *d, const char *says)
{
  vk_err err = VK_ERR_INIT;
  assert_true(vk_demo_check(d, &err) != VK_OK);
  vk_assert_says(&err, says);
  vk_demo_free(d);
  make_demo(d, 1, 0);
  vk_assert_ok(vk_demo_check(d, &err), &err);
}

static void test_rules(void **state)
{
  vk_demo d;
  make_demo(&d, 1, 0);
  d.action[9] = NAN;
  expect_rule(&d, "actions[1][2] is nan");
  d.action[9] = 1.01;
  expect_rule(&d, "actions[1][2] is 1.01, expected -1 to 1");
  d.executed[13] = 0;
  expect_rule(&d, "executed[1][6] is 0, expected a gripper");
  d.reward[2] = 1;
  expect_rule(&d, "rewards[2] of 6 is 1");
  d.done[T - 1] = 0;
  expect_rule(&d, "dones[5] of 6 is 0");
  d.state[S * 3 + 5] = INFINITY;
  expect_rule(&d, "states[3][5] is inf");
  d.state[S * 3] = d.state[S * 2];
  expect_rule(&d, "time does not increase from row 2");
  d.proprio[VK_N_PROPRIO * 2 + 3] += 0.1;
  expect_rule(&d, "quaternion of observation 2");
  d.picture_state[P] = NAN;
  expect_rule(&d, "picture_state[1][0] is nan");
  vk_demo_free(&d);
}

/* A writer that runs out of room leaves what was there. */
static void test_full_disk(void **state)
{
  const struct rlimit small = {3000, RLIM_INFINITY};
  struct rlimit before;
  char version[40];
  bool has_hdf5 = vk_h5_version(version, sizeof version, NULL) == VK_OK;
  vk_demo d;
  make_demo(&d, 1, PX);
  for (int i = 0; i < (has_hdf5 ? 2 : 1); i++) {
    vk_err err = VK_ERR_INIT;
    const char *name = i ? "full.hdf5" : "full.npz";
    const vk_demo_info info =
        info_of(i ? VK_DEMO_PUBLISHED : VK_DEMO_STORE, VK_OBS_FIXED, i ? PX : 0);
    vk_assert_ok(vk_fs_write(in_dir(name), "old", 3, &err), &err);
    int n_before = n_file_in_dir();
    getrlimit(RLIMIT_FSIZE, &before);
    setrlimit(RLIMIT_FSIZE, &small);
    vk_status st = write_demos(in_dir(name), &info, &d, NULL, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    vk_assert_fails(st, VK_E_IO);
    vk_assert_says(&err, name);
    assert_int_equal(n_file_in_dir(), n_before);
    char *text;
    size_t n;
    vk_assert_ok(vk_fs_read(&text, &n, in_dir(name), 10, &err), &err);
    assert_string_equal(text, "old");
    free(text);
  }
  vk_demo_free(&d);
}

/* ---- steps ---- */

static void test_align(void **state)
{
  vk_demo a, d;
  make_demo(&a, 1, 0);
  make_demo(&d, 1, 0);
  d.first_obs = 1; /* as of a published file: T observations, the first after step 0 */
  d.n_obs = T;
  d.n_state_row = T;
  memmove(d.proprio, d.proprio + VK_N_PROPRIO, sizeof(double) * VK_N_PROPRIO * T);
  vk_demo_align(&d);
  assert_true(d.n_step == T - 1 && d.n_state_row == T - 1 && d.first_obs == 0 && d.n_obs == T);
  assert_false(d.is_origin_known);
  assert_memory_equal(d.action, a.action + VK_N_ACTION, sizeof(double) * VK_N_ACTION * (T - 1));
  assert_memory_equal(d.state, a.state + S, sizeof(double) * S * (T - 1));
  assert_memory_equal(d.proprio, a.proprio + VK_N_PROPRIO, sizeof(double) * VK_N_PROPRIO * T);
  vk_assert_ok(vk_demo_check(&d, NULL), NULL);
  vk_demo_free(&a);
  vk_demo_free(&d);
}

/* Of the steps 0 to 5: 1 and 2 stand still; 3 stands still but its hand closes; 4 stands still with
 * the hand as it is; 5 is the last. */
static void test_noops(void **state)
{
  vk_demo a, d;
  make_demo(&a, 1, 0);
  make_demo(&d, 1, 0);
  for (int t = 1; t <= 4; t++)
    for (int k = 0; k < 6; k++)
      d.action[VK_N_ACTION * t + k] = 4e-5; /* norm 9.8e-5 */
  for (int t = 3; t < T; t++)
    d.action[VK_N_ACTION * t + 6] = 1;
  assert_int_equal(vk_demo_drop_noops(&d), 3);
  assert_true(d.n_step == 3 && d.n_state_row == 4 && d.n_obs == 4);
  const int kept[] = {0, 3, 5, 6};
  for (int i = 0; i < 4; i++) {
    assert_memory_equal(d.state + S * i, a.state + S * kept[i], sizeof(double) * S);
    assert_memory_equal(d.proprio + VK_N_PROPRIO * i, a.proprio + VK_N_PROPRIO * kept[i],
                        sizeof(double) * VK_N_PROPRIO);
  }
  assert_true(d.reward[2] == 1 && d.done[2] == 1 && d.reward[1] == 0);
  vk_assert_ok(vk_demo_check(&d, NULL), NULL);
  vk_demo_free(&d);
  make_demo(&d, 1, 0);
  for (int k = 0; k < 6; k++)
    d.action[VK_N_ACTION + k] = 4.2e-5; /* norm 1.03e-4 */
  assert_int_equal(vk_demo_drop_noops(&d), 0);
  assert_true(d.is_origin_known);
  vk_demo_free(&d);
  vk_demo_free(&a);
}

/* ---- with a scene ---- */

static const vk_demo_info no_info = {.layout = VK_DEMO_STORE};

/* A short episode of small random actions, recorded; pictures drawn live. */
static void record(vk_demo *d, vk_env *env, const vk_start *start, const vk_stage *stage,
                   vk_renderer *renderer, uint8_t *pixel)
{
  vk_err err = VK_ERR_INIT;
  vk_mt19937 rng;
  vk_mt19937_seed(&rng, 5);
  vk_assert_ok(vk_start_env(env, start, &err), &err);
  for (int i = 0; i < start->protocol->n_dummy; i++)
    vk_assert_ok(vk_env_step(env, start->protocol->dummy, NULL, &err), &err);
  vk_assert_ok(vk_demo_record_begin(d, env, 20, &err), &err);
  for (int t = 0; t <= T; t++) {
    for (int v = 0; v < VK_DEMO_N_VIEW; v++) {
      int camera;
      vk_assert_ok(vk_stage_find_camera(stage, vk_demo_camera[v], &camera, &err), &err);
      const vk_shot shot = {.stage = stage,
                            .state = vk_env_picture_state(env),
                            .i_camera = camera,
                            .pixel = pixel + (v * (T + 1) + t) * 32 * 32 * 3};
      vk_assert_ok(vk_render(renderer, &shot, 1, NULL, &err), &err);
    }
    if (t == T)
      break;
    double action[VK_N_ACTION] = {0, 0, 0, 0, 0, 0, 1};
    for (int k = 0; k < 6; k++)
      action[k] = 0.6 * vk_mt19937_double(&rng) - 0.3;
    vk_demo_record_action(d, action, action);
    vk_step step;
    vk_assert_ok(vk_env_step(env, action, &step, &err), &err);
    vk_demo_record_step(d, env, step.success);
  }
  d->is_origin_known = true;
  d->origin = *start;
}

/* Recorded, stored, read, drawn and repeated: the same bits. */
static void check_live(const char *word, vk_start_rows rows)
{
  vk_err err = VK_ERR_INIT;
  uint32_t i_task = task_index(word);
  vk_scene *scene;
  vk_env *env;
  vk_visuals visuals;
  vk_stage *stage;
  vk_pool *pool;
  vk_renderer *renderer;
  vk_demo_file *f;
  vk_demo d, got, again;
  vk_demo_replay replay;
  uint8_t *pixel = malloc(VK_DEMO_N_VIEW * (T + 1) * 32 * 32 * 3);
  vk_render_config config = vk_render_defaults;
  config.width = config.height = 32;
  config.turn = VK_TURN_GL;
  vk_assert_ok(vk_scene_new(&scene, &pack, i_task, NULL, &err), &err);
  vk_assert_ok(vk_env_new(&env, scene, &err), &err);
  vk_assert_ok(vk_visuals_choose(&visuals, "stand-in", &pack, &err), &err);
  vk_assert_ok(vk_stage_new(&stage, scene, &visuals, &err), &err);
  vk_assert_ok(vk_pool_new(&pool, 2, &err), &err);
  vk_assert_ok(vk_renderer_new(&renderer, &config, pool, &err), &err);
  const vk_start start = {rows, 1, 7, &vk_protocols[0]};
  record(&d, env, &start, stage, renderer, pixel);
  vk_demo_info info;
  vk_demo_info_of_task(&info, &pack, i_task);
  vk_assert_ok(write_demos(in_dir("live.npz"), &info, &d, NULL, &err), &err);
  vk_assert_ok(vk_demo_open(&f, in_dir("live.npz"), &err), &err);
  vk_assert_ok(vk_demo_read(f, 0, false, &got, &err), &err);
  vk_demo_close(f);

  vk_assert_ok(vk_demo_fits_scene(&got, scene, &err), &err);
  vk_assert_ok(vk_demo_render(&got, stage, 32, pool, config.isa, &err), &err);
  for (int v = 0; v < VK_DEMO_N_VIEW; v++)
    assert_memory_equal(got.pixel[v], pixel + v * (T + 1) * 32 * 32 * 3, (T + 1) * 32 * 32 * 3);

  vk_assert_ok(vk_demo_replay_run(&replay, &got, &no_info, env, false, &err), &err);
  assert_true(replay.from_origin && replay.n_differ == 0 && replay.max_abs_qpos == 0);
  vk_assert_ok(vk_demo_replay_run(&replay, &got, &no_info, env, true, &err), &err);
  assert_true(!replay.from_origin && replay.max_abs_qpos < 0.1);

  vk_assert_ok(vk_demo_repeat(&again, &got, env, &err), &err);
  assert_memory_equal(again.picture_state, d.picture_state,
                      sizeof(double) * (T + 1) * (size_t)d.n_picture_state);
  assert_memory_equal(again.proprio, d.proprio, sizeof(double) * (T + 1) * VK_N_PROPRIO);
  vk_demo_free(&again);
  got.state[S] += 1e-12; /* is noticed */
  vk_assert_fails(vk_demo_repeat(&again, &got, env, &err), VK_E_MISMATCH);

  vk_demo_free(&d);
  vk_demo_free(&got);
  free(pixel);
  vk_renderer_free(renderer);
  vk_pool_free(pool);
  vk_stage_free(stage);
  vk_visuals_close(&visuals);
  vk_env_free(env);
  vk_scene_free(scene);
}

static void test_live(void **state)
{
  check_live("libero_goal/3", VK_ROWS_EVAL);
  check_live("libero_90/2", VK_ROWS_SAMPLED);
}

/* Poses of fixtures go through the model's text, and tell pictures of states what pictures of
 * picture states show. */
static void test_model_text(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_scene *scene;
  vk_env *env;
  vk_demo d;
  bool is_known;
  double pose[70], again[70];
  vk_assert_ok(vk_scene_new(&scene, &pack, task_index("libero_90/0"), NULL, &err), &err);
  vk_assert_ok(vk_env_new(&env, scene, &err), &err);
  const vk_start start = {VK_ROWS_EVAL, 4, 0, &vk_protocols[0]};
  vk_assert_ok(vk_start_env(env, &start, &err), &err);
  vk_assert_ok(vk_demo_record_begin(&d, env, 2, &err), &err);
  vk_assert_ok(vk_demo_fixtures(&d, scene, pose, &is_known, &err), &err);
  assert_true(is_known && scene->n_fixture > 0);
  int body = scene->instance[scene->n_object].body;
  vk_assert_same_bits(pose[0], vk_env_model(env)->body_pos[3 * body]);
  assert_true(pose[0] != scene->model->body_pos[3 * body]);
  vk_assert_ok(vk_demo_add_model(&d, scene, &err), &err);
  assert_true(strncmp(d.model_xml, "<mujoco", 7) == 0);
  assert_string_equal(strrchr(d.model_xml, '<'), "</mujoco>\n");
  free(d.picture_state);
  d.picture_state = NULL;
  d.n_picture_state = 0;
  vk_assert_ok(vk_demo_fixtures(&d, scene, again, &is_known, &err), &err);
  assert_true(is_known);
  assert_memory_equal(again, pose, sizeof *pose * 7 * (size_t)scene->n_fixture);
  mjModel *m; /* the text compiles, with the fixtures there */
  vk_assert_ok(vk_scene_compile(&pack, d.model_xml, &m, &err), &err);
  vk_assert_close(m->body_pos[3 * body], pose[0], 1e-15, 0);
  vk_assert_close(m->body_quat[4 * body + 3], pose[6], 1e-12, 0);
  mj_deleteModel(m);
  vk_assert_ok(vk_demo_add_picture_state(&d, scene, &err), &err);
  vk_assert_ok(vk_picture_check(scene, d.picture_state, d.n_picture_state, &err), &err);
  vk_demo_free(&d);
  vk_env_free(env);
  vk_scene_free(scene);
}

/* Sampled starts: their own for each row and seed, near home by 0.02 rad, nothing moves yet. */
static void test_sampled_starts(void **state)
{
  enum { N = 12 };
  vk_err err = VK_ERR_INIT;
  vk_scene *scene;
  vk_env *env;
  vk_assert_ok(vk_scene_new(&scene, &pack, task_index("libero_object/1"), NULL, &err), &err);
  vk_assert_ok(vk_env_new(&env, scene, &err), &err);
  double *s = calloc((size_t)scene->n_state, sizeof *s), sum = 0, sum_2 = 0, first = 0;
  for (int row = 0; row < N; row++) {
    const vk_start start = {VK_ROWS_SAMPLED, row % (N - 1), row < N - 1 ? 1 : 2, &vk_protocols[0]};
    vk_assert_ok(vk_start_env(env, &start, &err), &err);
    vk_env_get_state(env, s);
    assert_true(s[0] == 0);
    for (int i = 0; i < scene->model->nv; i++)
      assert_true(s[1 + scene->model->nq + i] == 0);
    for (int k = 0; k < VK_N_ARM; k++) {
      static const double home[VK_N_ARM] = {0,         -0.161037389,       0, -2.44459747, 0,
                                            2.2267522, 0.78539816339744828};
      double off = s[1 + scene->arm_qpos + k] - home[k];
      sum += off / (N * VK_N_ARM);
      sum_2 += off * off / (N * VK_N_ARM);
    }
    assert_true(row == 0 || s[1 + scene->arm_qpos] != first); /* also of row 0 with another seed */
    first = row == 0 ? s[1 + scene->arm_qpos] : first;
  }
  vk_assert_close(sum, 0, 0.01, 0);
  vk_assert_close(sqrt(sum_2), 0.02, 0.006, 0);
  free(s);
  vk_env_free(env);
  vk_scene_free(scene);
}

/* In this task resets put a bowl into a ramekin or a plate: one of five were thrown about. */
static void test_sampled_starts_stand(void **state)
{
  enum { N = 40 };
  vk_err err = VK_ERR_INIT;
  vk_scene *scene;
  vk_env *env;
  vk_step step;
  vk_assert_ok(vk_scene_new(&scene, &pack, task_index("libero_spatial/0"), NULL, &err), &err);
  vk_assert_ok(vk_env_new(&env, scene, &err), &err);
  size_t n = (size_t)scene->n_state;
  double *before = calloc(n, sizeof *before), *after = calloc(n, sizeof *after), most = 0;
  for (int row = 0; row < N; row++) {
    const vk_start start = {row % 2 ? VK_ROWS_HELD_OUT : VK_ROWS_SAMPLED, row, 1, &vk_protocols[0]};
    vk_assert_ok(vk_start_env(env, &start, &err), &err);
    vk_env_get_state(env, before);
    for (int i = 0; i < vk_protocols[0].n_dummy; i++)
      vk_assert_ok(vk_env_step(env, vk_protocols[0].dummy, &step, &err), &err);
    vk_env_get_state(env, after);
    for (int i = 0; i < scene->n_object; i++) {
      int adr = 1 + scene->instance[i].qpos_adr;
      most = fmax(most, hypot(after[adr] - before[adr], after[adr + 1] - before[adr + 1]));
    }
  }
  assert_in_range((int)(1000 * most), 1, 100); /* mm */
  free(before);
  free(after);
  vk_env_free(env);
  vk_scene_free(scene);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_store_comes_back),
                                     cmocka_unit_test(test_hdf5_comes_back),
                                     cmocka_unit_test(test_masks),
                                     cmocka_unit_test(test_failures),
                                     cmocka_unit_test(test_fixtures_of_text),
                                     cmocka_unit_test(test_rules),
                                     cmocka_unit_test(test_full_disk),
                                     cmocka_unit_test(test_align),
                                     cmocka_unit_test(test_noops),
                                     cmocka_unit_test(test_live),
                                     cmocka_unit_test(test_model_text),
                                     cmocka_unit_test(test_sampled_starts),
                                     cmocka_unit_test(test_sampled_starts_stand)};
  return cmocka_run_group_tests(tests, setup, teardown);
}
