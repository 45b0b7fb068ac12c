/* Datasets: samples are what the demonstrations say, of either format; which are held out; the
 * order of training; what is added; and one sentence for what cannot be read. */
#include "demo_world.h"

#include <stdio.h>
#include <unistd.h>

#include "core/hdf5.h"
#include "core/npy.h"
#include "rl/dataset.h"

enum { N_STEP = 12 };

static vk_status open_dataset(vk_dataset **d, const vk_dataset_config *config, const char *a,
                              const char *b, vk_err *err)
{
  char path[2][VK_FS_PATH_MAX];
  vk_dataset_config c = *config;
  snprintf(path[0], sizeof path[0], "%s", in_dir(a));
  snprintf(path[1], sizeof path[1], "%s", in_dir(b ? b : a));
  const char *const list[] = {path[0], path[1]};
  c.pack = &pack;
  c.cache_dir = models_dir();
  c.path = list;
  c.n_path = b ? 2 : 1;
  return vk_dataset_new(d, &c, err);
}

static vk_dataset *new_dataset(const vk_dataset_config *config, const char *a, const char *b)
{
  vk_err err = VK_ERR_INIT;
  vk_dataset *d;
  vk_assert_ok(open_dataset(&d, config, a, b, &err), &err);
  return d;
}

static void read_demo(const char *name, int i, vk_demo *demo)
{
  vk_err err = VK_ERR_INIT;
  vk_demo_file *f;
  vk_assert_ok(vk_demo_open(&f, in_dir(name), &err), &err);
  vk_assert_ok(vk_demo_read(f, i, false, demo, &err), &err);
  vk_demo_close(f);
}

static int make_world(void **state)
{
  if (make_demo_world(state) != 0)
    return -1;
  write_store("spatial.npz", "libero_spatial/0", 3, N_STEP);
  write_store("goal.npz", "libero_goal/3", 2, N_STEP);
  return 0;
}

/* ---- samples ---- */

/* Bin of a label as the statistics of d have it. */
static int bin_of(const vk_dataset *d, int k, double x)
{
  const vk_action_stats *s = &vk_dataset_stats(d)->action;
  return vk_action_bin(k == 6 ? (x < 0 ? 1 : 0) : vk_action_scale(s, k, x));
}

static void expect_sample(const vk_dataset *d, const vk_sample *s, const vk_demo *demo, int t)
{
  double proprio[VK_VIEW_PROPRIO];
  vk_robot_obs obs;
  assert_int_equal(s->n_step_left, demo->n_step - t);
  assert_memory_equal(s->picture_state, demo->picture_state + t * demo->n_picture_state,
                      sizeof(double) * (size_t)demo->n_picture_state);
  memcpy(&obs, demo->proprio + t * VK_N_PROPRIO, sizeof obs);
  vk_view_proprio(&obs, proprio);
  for (int k = 0; k < VK_VIEW_PROPRIO; k++)
    assert_true(s->proprio[k] ==
                (float)vk_action_scale(&vk_dataset_stats(d)->proprio, k, proprio[k]));
  for (int i = 0; i < VK_CHUNK_STEPS; i++) {
    bool is_beyond = t + i >= demo->n_step;
    const double *a = demo->action + VK_N_ACTION * (is_beyond ? demo->n_step - 1 : t + i);
    for (int k = 0; k < VK_N_ACTION; k++)
      assert_int_equal(s->target[i * VK_N_ACTION + k], bin_of(d, k, is_beyond && k < 6 ? 0 : a[k]));
  }
}

static void test_samples(void **state)
{
  vk_dataset *d = new_dataset(&(vk_dataset_config){.n_validation = 1}, "spatial.npz", "goal.npz");
  /* tasks in the pack's order, the last demonstration of each held out */
  const struct {
    const char *name, *task;
    int n_demo;
  } part[] = {{"spatial.npz", "libero_spatial/0", 3}, {"goal.npz", "libero_goal/3", 2}};
  int64_t at[VK_SPLIT_N] = {0}, n_frame = 0;
  assert_int_equal(vk_dataset_n_task(d), 2);
  for (int p = 0; p < 2; p++) {
    const vk_dataset_task *task = vk_dataset_task_get(d, p);
    assert_int_equal(task->i_task, task_index(part[p].task));
    assert_string_equal(task->instruction, vk_pack_text(&pack, pack.task[task->i_task].language));
    assert_int_equal(task->n_demo[VK_SPLIT_TRAIN], part[p].n_demo - 1);
    assert_int_equal(task->n_demo[VK_SPLIT_VALIDATION], 1);
    for (int i = 0; i < part[p].n_demo; i++) {
      vk_split split = i == part[p].n_demo - 1 ? VK_SPLIT_VALIDATION : VK_SPLIT_TRAIN;
      vk_demo demo;
      read_demo(part[p].name, i, &demo);
      assert_int_equal(demo.n_step, N_STEP + i);
      for (int t = 0; t < demo.n_step; t++) {
        vk_sample s;
        vk_dataset_sample(d, split, at[split]++, &s);
        assert_true(s.i_frame == n_frame++ && s.i_task == p && s.instruction == task->instruction);
        expect_sample(d, &s, &demo, t);
      }
      vk_demo_free(&demo);
    }
  }
  for (int split = 0; split < VK_SPLIT_N; split++)
    assert_int_equal(vk_dataset_n(d, split), at[split]);
  assert_int_equal(vk_dataset_n_frame(d), n_frame);
  assert_string_equal(vk_dataset_stats(d)->key, "libero130"); /* of two suites */
  assert_int_equal(vk_dataset_stats(d)->n_step, at[VK_SPLIT_TRAIN]);
  assert_int_equal(vk_dataset_stats(d)->n_demo, 3);
  vk_dataset_free(d);
}

/* How many of each task; folders; one suite's key; given statistics; a hash of all that. */
static void test_choices(void **state)
{
  char hash[65];
  vk_norm_stats own;
  vk_dataset *d = new_dataset(&(vk_dataset_config){.n_demo_per_task = 2}, "spatial.npz", NULL);
  assert_int_equal(vk_dataset_n(d, VK_SPLIT_TRAIN), 2 * N_STEP + 1);
  assert_string_equal(vk_dataset_stats(d)->key, "libero_spatial");
  own = *vk_dataset_stats(d);
  snprintf(hash, sizeof hash, "%s", vk_dataset_hash(d));
  vk_dataset_free(d);
  d = new_dataset(&(vk_dataset_config){.n_validation = 1}, "spatial.npz", NULL);
  assert_string_not_equal(vk_dataset_hash(d), hash); /* the third is held out */
  assert_memory_equal(vk_dataset_stats(d), &own, sizeof own);
  vk_dataset_free(d);
  own.action.high[0] = 100;
  d = new_dataset(&(vk_dataset_config){.n_demo_per_task = 2, .stats = &own}, "spatial.npz", NULL);
  assert_string_equal(vk_dataset_hash(d), hash);
  assert_memory_equal(vk_dataset_stats(d), &own, sizeof own);
  vk_dataset_free(d);
  d = new_dataset(&(vk_dataset_config){0}, "spatial.npz", "goal.npz");
  snprintf(hash, sizeof hash, "%s", vk_dataset_hash(d));
  vk_dataset_free(d);
  d = new_dataset(&(vk_dataset_config){0}, "goal.npz", "spatial.npz");
  assert_string_equal(vk_dataset_hash(d), hash);
  vk_dataset_free(d);
  vk_assert_ok(vk_fs_make_dirs(in_dir("all/of/them"), NULL), NULL);
  for (int i = 0; i < 2; i++) {
    char to[VK_FS_PATH_MAX];
    snprintf(to, sizeof to, "%s", in_dir(i ? "all/of/them/b.npz" : "all/of/a.npz"));
    assert_int_equal(link(in_dir(i ? "goal.npz" : "spatial.npz"), to), 0);
  }
  vk_assert_ok(vk_fs_write(in_dir("all/note.txt"), "x", 1, NULL), NULL);
  vk_assert_ok(vk_fs_make_dirs(in_dir("all/of.part-2qq0dq48"), NULL), NULL);
  vk_assert_ok(vk_fs_write(in_dir("all/of.part-2qq0dq48/goal.npz"), "x", 1, NULL), NULL);
  d = new_dataset(&(vk_dataset_config){0}, "all", NULL);
  assert_string_equal(vk_dataset_hash(d), hash);
  vk_dataset_free(d);
}

/* ---- what is left out ---- */

static void fail_second(vk_demo *d, int i)
{
  d->success = i != 1;
  d->reward[d->n_step - 1] = d->success;
}

static void test_failures_are_left_out(void **state)
{
  vk_dataset_info info;
  write_demos("failed.npz", "libero_goal/3", VK_DEMO_STORE, 3, N_STEP, fail_second);
  vk_dataset *d = new_dataset(&(vk_dataset_config){0}, "failed.npz", NULL);
  vk_dataset_info_get(d, &info);
  assert_true(info.n_failure == 1 && info.n_demo[VK_SPLIT_TRAIN] == 2 && info.n_byte > 1000);
  assert_int_equal(vk_dataset_n(d, VK_SPLIT_TRAIN), N_STEP + N_STEP + 2);
  vk_dataset_free(d);
}

static void begin_somewhere(vk_demo *d, int i)
{
  d->origin = (vk_start){i == 1 ? VK_ROWS_SAMPLED : VK_ROWS_EVAL, i, 0, &vk_protocols[0]};
  d->is_origin_known = i != 2;
}

/* Where demonstrations begin, also of those whose steps are dropped. */
static void test_origins_are_counted(void **state)
{
  vk_dataset_info info;
  write_demos("origin.npz", "libero_goal/3", VK_DEMO_STORE, 4, N_STEP, begin_somewhere);
  vk_dataset *d =
      new_dataset(&(vk_dataset_config){.n_validation = 1, .drop_noops = true}, "origin.npz", NULL);
  vk_dataset_info_get(d, &info);
  assert_int_equal(info.n_eval_row, 2); /* 0 and 3 */
  assert_int_equal(info.n_unknown_origin, 1);
  vk_dataset_free(d);
}

static void stand_still(vk_demo *d, int i)
{
  for (int t = 2; t < 5; t++) {
    memset(d->action + t * VK_N_ACTION, 0, sizeof(double) * 6);
    memset(d->executed + t * VK_N_ACTION, 0, sizeof(double) * 6);
  }
}

static void test_noops_are_dropped(void **state)
{
  vk_dataset_info info;
  vk_sample s;
  vk_demo demo;
  write_demos("still.npz", "libero_goal/3", VK_DEMO_STORE, 1, N_STEP, stand_still);
  vk_dataset *d = new_dataset(&(vk_dataset_config){.drop_noops = true}, "still.npz", NULL);
  vk_dataset_info_get(d, &info);
  assert_int_equal(info.n_noop, 3);
  assert_int_equal(vk_dataset_n(d, VK_SPLIT_TRAIN), N_STEP - 3);
  read_demo("still.npz", 0, &demo);
  vk_dataset_sample(d, VK_SPLIT_TRAIN, 2, &s); /* step 5 follows step 1 */
  assert_memory_equal(s.picture_state, demo.picture_state + 5 * demo.n_picture_state,
                      sizeof(double) * (size_t)demo.n_picture_state);
  assert_int_equal(s.target[0], bin_of(d, 0, demo.action[5 * VK_N_ACTION]));
  vk_demo_free(&demo);
  vk_dataset_free(d);
}

/* ---- HDF5 ---- */

/* The same demonstrations as HDF5: the same labels and proprioception, rows of the states. */
static void test_hdf5(void **state)
{
  char version[40];
  if (vk_h5_version(version, sizeof version, NULL) != VK_OK)
    skip();
  write_demos("goal.hdf5", "libero_goal/3", VK_DEMO_PUBLISHED, 2, N_STEP, NULL);
  vk_dataset *a = new_dataset(&(vk_dataset_config){0}, "goal.npz", NULL);
  vk_dataset *b = new_dataset(&(vk_dataset_config){0}, "goal.hdf5", NULL);
  int n_state = vk_dataset_task_get(a, 0)->n_picture_state;
  assert_int_equal(vk_dataset_n(b, VK_SPLIT_TRAIN), vk_dataset_n(a, VK_SPLIT_TRAIN));
  assert_int_equal(vk_dataset_task_get(b, 0)->n_picture_state, n_state);
  for (int64_t i = 0; i < vk_dataset_n(a, VK_SPLIT_TRAIN); i++) {
    vk_sample x, y;
    vk_dataset_sample(a, VK_SPLIT_TRAIN, i, &x);
    vk_dataset_sample(b, VK_SPLIT_TRAIN, i, &y);
    assert_memory_equal(x.target, y.target, sizeof x.target);
    assert_string_equal(x.instruction, y.instruction);
    for (int k = 0; k < VK_VIEW_PROPRIO; k++)
      vk_assert_close(y.proprio[k], x.proprio[k], 1e-6, 0);
    for (int k = 0; k < n_state; k++) /* 2 ms later */
      vk_assert_close(y.picture_state[k], x.picture_state[k], 0.01, 0);
  }
  vk_dataset_free(a);
  vk_dataset_free(b);
}

/* ---- order ---- */

static void test_order_is_a_permutation(void **state)
{
  static const int64_t size[] = {1, 2, 3, 4, 5, 16, 17, 100, 1000, 1025};
  for (size_t i = 0; i < VK_COUNT(size); i++) {
    int64_t n = size[i];
    int n_same_place = 0, n_same_seed = 0;
    uint8_t *seen = calloc((size_t)n, 3);
    for (int64_t k = 0; k < 2 * n; k++) {
      int64_t at = vk_dataset_order(7, n, k);
      assert_true(at >= 0 && at < n);
      assert_int_equal(seen[k / n * n + at]++, 0);
      n_same_place += k < n && at == vk_dataset_order(7, n, k + n);
      n_same_seed += k < n && at == vk_dataset_order(8, n, k);
    }
    if (n >= 100) /* one of n is expected */
      assert_true(n_same_place < 8 && n_same_seed < 8);
    free(seen);
  }
}

/* Neighbours in the order are no neighbours in the dataset: every distance comes about as often. */
static void test_order_mixes(void **state)
{
  enum { N = 4096, BINS = 8 };
  int count[BINS] = {0};
  for (int64_t k = 0; k < N - 1; k++) {
    int64_t step = vk_dataset_order(1, N, k + 1) - vk_dataset_order(1, N, k);
    count[(step + N) % N * BINS / N]++;
  }
  for (int i = 0; i < BINS; i++) /* 512 +- 5 sigma */
    assert_true(count[i] > 400 && count[i] < 624);
}

/* ---- adding ---- */

static void test_add(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_sample before, s;
  vk_demo demo, other;
  char hash[65];
  vk_dataset *d = new_dataset(&(vk_dataset_config){.n_validation = 1}, "spatial.npz", NULL);
  const vk_norm_stats stats = *vk_dataset_stats(d);
  int64_t n = vk_dataset_n(d, VK_SPLIT_TRAIN), n_frame = vk_dataset_n_frame(d);
  vk_dataset_sample(d, VK_SPLIT_VALIDATION, 3, &before);
  snprintf(hash, sizeof hash, "%s", vk_dataset_hash(d));
  read_demo("spatial.npz", 2, &demo);
  demo.success = false; /* failures are welcome here */
  vk_assert_ok(vk_dataset_add(d, &demo, task_index("libero_spatial/0"), demo.n_step, &err), &err);
  assert_int_equal(vk_dataset_n(d, VK_SPLIT_TRAIN), n + demo.n_step);
  assert_int_equal(vk_dataset_n_frame(d), n_frame + demo.n_step);
  assert_string_not_equal(vk_dataset_hash(d), hash);
  assert_memory_equal(vk_dataset_stats(d), &stats, sizeof stats);
  for (int t = 0; t < demo.n_step; t++) {
    vk_dataset_sample(d, VK_SPLIT_TRAIN, n + t, &s);
    assert_int_equal(s.i_frame, n_frame + t);
    expect_sample(d, &s, &demo, t);
  }
  vk_dataset_sample(d, VK_SPLIT_VALIDATION, 3, &s);
  assert_memory_equal(&s, &before, sizeof s);
  /* of a task that was not there */
  read_demo("goal.npz", 0, &other);
  vk_assert_ok(vk_dataset_add(d, &other, task_index("libero_goal/3"), other.n_step, &err), &err);
  assert_int_equal(vk_dataset_n_task(d), 2);
  vk_dataset_sample(d, VK_SPLIT_TRAIN, n + demo.n_step, &s);
  assert_int_equal(s.i_task, 1);
  expect_sample(d, &s, &other, 0);
  /* what does not fit changes nothing */
  snprintf(hash, sizeof hash, "%s", vk_dataset_hash(d));
  n = vk_dataset_n(d, VK_SPLIT_TRAIN);
  other.n_picture_state--;
  vk_assert_fails(vk_dataset_add(d, &other, task_index("libero_goal/3"), other.n_step, &err),
                  VK_E_SHAPE);
  vk_assert_says(&err, "picture_state has");
  free(demo.picture_state);
  demo.picture_state = NULL;
  vk_assert_fails(vk_dataset_add(d, &demo, task_index("libero_spatial/0"), demo.n_step, &err),
                  VK_E_NOTFOUND);
  vk_assert_says(&err, "does not say what its pictures show");
  vk_demo_free(&demo);
  read_demo("goal.npz", 1, &demo);
  for (int t = 0; t < demo.n_step; t++)
    demo.action[t * VK_N_ACTION] = NAN;
  vk_assert_fails(vk_dataset_add(d, &demo, task_index("libero_goal/4"), demo.n_step, &err),
                  VK_E_RANGE);
  assert_int_equal(vk_dataset_n_task(d), 2);
  assert_string_equal(vk_dataset_hash(d), hash);
  assert_int_equal(vk_dataset_n(d, VK_SPLIT_TRAIN), n);
  vk_demo_free(&demo);
  vk_demo_free(&other);
  vk_dataset_free(d);
}

/* ---- bad input ---- */

static void expect_error(const vk_dataset_config *config, const char *name, vk_status code,
                         const char *says)
{
  vk_err err = VK_ERR_INIT;
  vk_dataset *d = (vk_dataset *)&err;
  vk_assert_fails(open_dataset(&d, config, name, NULL, &err), code);
  vk_assert_says(&err, says);
  assert_null(d);
}

/* Under another name, as another format, among others: it is the same demonstration. */
static void test_twins_are_refused(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_dataset *d;
  char to[VK_FS_PATH_MAX];
  snprintf(to, sizeof to, "%s", in_dir("twin.npz"));
  assert_int_equal(link(in_dir("goal.npz"), to), 0);
  vk_assert_fails(open_dataset(&d, &(vk_dataset_config){0}, "goal.npz", "twin.npz", &err),
                  VK_E_MISMATCH);
  vk_assert_says(&err, "twin.npz: demo_0 is demo_0 of ");
  vk_assert_says(&err, "goal.npz once more");
  vk_assert_fails(open_dataset(&d, &(vk_dataset_config){0}, "goal.npz", "goal.npz", &err),
                  VK_E_MISMATCH);
  if (vk_h5_version(to, 40, NULL) != VK_OK)
    return;
  write_demos("twin.hdf5", "libero_goal/3", VK_DEMO_PUBLISHED, 1, N_STEP, NULL);
  vk_assert_fails(open_dataset(&d, &(vk_dataset_config){0}, "goal.npz", "twin.hdf5", &err),
                  VK_E_MISMATCH);
}

static void fail_all(vk_demo *d, int i)
{
  d->success = false;
  d->reward[d->n_step - 1] = 0;
}

static void hold_hand(vk_demo *d, int i)
{
  for (int t = 0; t < d->n_step; t++)
    d->action[t * VK_N_ACTION + 4] = d->executed[t * VK_N_ACTION + 4] = 0.5;
}

/* A copy of goal.npz whose actions have 6 columns. */
static void write_narrow(const char *name)
{
  vk_err err = VK_ERR_INIT;
  vk_npz npz;
  vk_assert_ok(vk_npz_read(&npz, in_dir("goal.npz"), 1 << 28, &err), &err);
  for (int i = 0; i < npz.n_array; i++)
    if (strstr(npz.array[i].name, "demo_0/actions")) {
      npz.array[i].shape[1] = 6;
      npz.array[i].n_item = npz.array[i].shape[0] * 6;
    }
  vk_assert_ok(vk_npz_write(in_dir(name), &npz, &err), &err);
  vk_npz_free(&npz);
}

static void test_bad_input(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_dataset *d;
  char *bytes;
  size_t n;
  const vk_dataset_config plain = {0}, held = {.n_validation = 2};
  vk_assert_fails(vk_dataset_new(&d, &(vk_dataset_config){.pack = &pack}, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "at least one file");
  vk_assert_ok(vk_fs_make_dirs(in_dir("empty"), NULL), NULL);
  expect_error(&plain, "empty", VK_E_NOTFOUND, "empty: no demonstrations in this folder");
  expect_error(&plain, "not_there.npz", VK_E_NOTFOUND, "not_there.npz");
  expect_error(&held, "goal.npz", VK_E_NOTFOUND,
               "goal.npz: 2 successful demonstrations of libero_goal/3; with 2 held out");
  write_demos("all_failed.npz", "libero_goal/3", VK_DEMO_STORE, 2, N_STEP, fail_all);
  expect_error(&plain, "all_failed.npz", VK_E_NOTFOUND, "0 successful demonstrations");
  write_demos("held.npz", "libero_goal/3", VK_DEMO_STORE, 2, N_STEP, hold_hand);
  expect_error(&plain, "held.npz", VK_E_RANGE,
               "actions of 2 demonstrations: statistics: q01 and q99 of dimension 4 are both 0.5");
  vk_assert_ok(vk_fs_read(&bytes, &n, in_dir("goal.npz"), 1 << 28, &err), &err);
  vk_assert_ok(vk_fs_write(in_dir("short.npz"), bytes, n / 2, &err), &err);
  free(bytes);
  vk_status st = open_dataset(&d, &plain, "short.npz", NULL, &err);
  assert_true(st == VK_E_FORMAT || st == VK_E_IO);
  vk_assert_says(&err, "short.npz");
  pack.hash[0] ^= 1;
  expect_error(&plain, "goal.npz", VK_E_MISMATCH, "goal.npz: made with the pack ");
  pack.hash[0] ^= 1;
  write_narrow("narrow.npz");
  expect_error(&plain, "narrow.npz", VK_E_SHAPE,
               "narrow.npz: demo_0: actions has the shape (12, 6), expected (12, 7)");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_samples),
      cmocka_unit_test(test_choices),
      cmocka_unit_test(test_failures_are_left_out),
      cmocka_unit_test(test_origins_are_counted),
      cmocka_unit_test(test_noops_are_dropped),
      cmocka_unit_test(test_hdf5),
      cmocka_unit_test(test_order_is_a_permutation),
      cmocka_unit_test(test_order_mixes),
      cmocka_unit_test(test_add),
      cmocka_unit_test(test_twins_are_refused),
      cmocka_unit_test(test_bad_input),
  };
  return cmocka_run_group_tests(tests, make_world, remove_demo_world);
}
