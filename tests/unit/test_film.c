/* test_film.c - which episodes are filmed and how files are called; pictures and films of short
 * episodes with stand-in visuals; results that stay when a film cannot be made. */
#include "pack_world.h"
#include "temp_dir.h"

#include <unistd.h>

#include "core/image.h"
#include "core/video.h"
#include "rl/film.h"
#include "sim/visuals_choose.h"

enum { N_STEP = 3 };

static const vk_protocol quick = {.name = "quick",
                                  .n_parallel = 1,
                                  .n_episode = 6,
                                  .n_dummy = 2,
                                  .dummy = {0, 0, 0, 0, 0, 0, -1},
                                  .n_step_default = N_STEP};

static vk_visuals visuals;
static bool has_films;

static int open_all(void **state)
{
  vk_err err = VK_ERR_INIT;
  char version[100];
  has_films = vk_video_version(version, sizeof version, NULL) == VK_OK;
  open_pack(state);
  vk_assert_ok(vk_visuals_choose(&visuals, "stand-in", &pack, &err), &err);
  return make_temp_dir(state);
}

static int close_all(void **state)
{
  vk_visuals_close(&visuals);
  close_pack(state);
  return remove_temp_dir(state);
}

/* ---- words and names ---- */

static void test_choices(void **state)
{
  vk_err err = VK_ERR_INIT;
  vk_film_choice choice;
  static const struct {
    const char *word;
    int kind, n;
  } good[] = {{"none", VK_FILM_NONE, 0},
              {"failures", VK_FILM_FAILURES, 0},
              {"all", VK_FILM_ALL, 0},
              {"1", VK_FILM_FIRST, 1},
              {"100000", VK_FILM_FIRST, 100000}};
  for (size_t i = 0; i < VK_COUNT(good); i++) {
    vk_assert_ok(vk_film_parse(&choice, good[i].word, &err), &err);
    assert_int_equal(choice.kind, good[i].kind);
    assert_int_equal(choice.n_first, good[i].n);
  }
  static const char *const bad[] = {"",    "0",  "-1", "100001", "99999999999999999999",
                                    "1.5", "3x", " 3", "All",    "fialures"};
  for (size_t i = 0; i < VK_COUNT(bad); i++)
    vk_assert_fails(vk_film_parse(&choice, bad[i], &err), VK_E_USAGE);
  vk_assert_says(&err, "did you mean failures?");
}

static void test_names(void **state)
{
  char path[VK_FS_PATH_MAX];
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_film_path(path, VK_FILM_MP4, "libero_goal/3", 7, "failure", &err), &err);
  assert_string_equal(path, "films/libero_goal/task03-row07-failure.mp4");
  vk_assert_ok(vk_film_path(path, VK_FILM_PNG, "libero_90/89", 110, "error", &err), &err);
  assert_string_equal(path, "frames/libero_90/task89-row110-error.png");
  /* nothing leads out of the folder */
  vk_assert_ok(vk_film_path(path, VK_FILM_MP4, "../1", 0, "success", &err), &err);
  assert_string_equal(path, "films/_../task01-row00-success.mp4");
  assert_string_equal(vk_film_outcome(true, true), "error");
  assert_string_equal(vk_film_outcome(false, true), "success");
  assert_string_equal(vk_film_outcome(false, false), "failure");
}

/* ---- episodes ---- */

typedef struct results {
  int n, n_ok;
} results;

static vk_status take(void *arg, const vk_eval_result *result, vk_err *err)
{
  results *r = arg;
  r->n++;
  r->n_ok += result->status == VK_OK;
  return VK_OK;
}

/* Rows first, first + step, ... of a task, none of which succeeds. */
static results evaluate_rows(const char *dir, vk_film_choice choice, int n_row, int first, int step,
                             vk_film_stats *stats)
{
  vk_err err = VK_ERR_INIT;
  vk_pool *pool = NULL;
  vk_film *film = NULL;
  vk_policy policy;
  results out = {0};
  vk_eval_episode episode[8];
  for (int i = 0; i < n_row; i++)
    episode[i] = (vk_eval_episode){3, first + i * step};
  vk_assert_ok(vk_pool_new(&pool, 2, &err), &err);
  const vk_policy_args args = {.n_env = vk_eval_n_slot(pool)};
  vk_assert_ok(vk_policy_open(&policy, "zero", &args, &err), &err);
  const vk_film_config film_config = {.dir = dir,
                                      .pack = &pack,
                                      .protocol = &quick,
                                      .visuals = &visuals,
                                      .isa = VK_ISA_SCALAR,
                                      .n_slot = vk_eval_n_slot(pool),
                                      .choice = choice};
  vk_assert_ok(vk_film_new(&film, &film_config, &err), &err);
  const vk_eval_config config = {.pack = &pack,
                                 .protocol = &quick,
                                 .policy = &policy,
                                 .pool = pool,
                                 .n_episode = n_row,
                                 .episode = episode,
                                 .put = take,
                                 .arg = &out,
                                 .watch = vk_film_watch(film)};
  vk_assert_ok(vk_evaluate(&config, NULL, &err), &err);
  *stats = vk_film_get_stats(film);
  vk_film_free(film);
  vk_policy_close(&policy);
  vk_pool_free(pool);
  return out;
}

static results evaluate(const char *dir, vk_film_choice choice, int n_row, vk_film_stats *stats)
{
  return evaluate_rows(dir, choice, n_row, 0, 1, stats);
}

/* Pictures of rows 0 to 3, and of no others. */
static void check_frames(const char *dir)
{
  for (int row = 0; row < 8; row++) {
    char path[VK_FS_PATH_MAX];
    snprintf(path, sizeof path, "%s/frames/libero_spatial/task03-row%02d-failure.png", dir, row);
    if (vk_fs_is_file(in_dir(path)) != (row < VK_FILM_FRAMES_PER_TASK))
      fail_msg("%s: %s", path, row < VK_FILM_FRAMES_PER_TASK ? "is missing" : "is there");
  }
}

static void test_frames(void **state)
{
  vk_film_stats stats;
  char path[VK_FS_PATH_MAX];
  results r = evaluate(in_dir("a"), (vk_film_choice){VK_FILM_NONE, 0}, 6, &stats);
  assert_int_equal(r.n_ok, 6);
  assert_int_equal(stats.n_failed, 0);
  assert_int_equal(stats.n_film, 0);
  check_frames("a");
  for (int row = 0; row < VK_FILM_FRAMES_PER_TASK; row++) {
    vk_image image;
    snprintf(path, sizeof path, "a/frames/libero_spatial/task03-row%02d-failure.png", row);
    vk_assert_ok(vk_image_read(&image, in_dir(path), NULL), NULL);
    assert_int_equal(image.width, 2 * VK_FILM_FRAME_SIDE);
    assert_int_equal(image.height, VK_FILM_FRAME_SIDE);
    int64_t sum = 0;
    for (int i = 0; i < 3 * image.width * image.height; i++)
      sum += image.pixel[i];
    assert_true(sum > 20 * 3 * image.width * image.height); /* something is to be seen */
    vk_image_free(&image);
  }
  assert_false(vk_fs_is_dir(in_dir("a/films")));
}

/* The same pictures whatever ended first, and whatever an interrupted part of the run has left. */
static void test_frames_of_lowest_rows(void **state)
{
  const vk_film_choice none = {VK_FILM_NONE, 0};
  vk_film_stats stats;
  evaluate_rows(in_dir("f"), none, 8, 7, -1, &stats);
  assert_int_equal(stats.n_failed, 0);
  check_frames("f");

  evaluate_rows(in_dir("g"), none, 4, 4, 1, &stats);
  assert_true(vk_fs_is_file(in_dir("g/frames/libero_spatial/task03-row07-failure.png")));
  evaluate_rows(in_dir("g"), none, 3, 2, -1, &stats); /* 3 is not there yet, as if killed */
  assert_true(vk_fs_is_file(in_dir("g/frames/libero_spatial/task03-row04-failure.png")));
  assert_false(vk_fs_is_file(in_dir("g/frames/libero_spatial/task03-row05-failure.png")));
  vk_assert_ok(
      vk_fs_write(in_dir("g/frames/libero_spatial/task03-row06-failure.png"), "x", 1, NULL),
      NULL); /* killed before it was removed */
  evaluate_rows(in_dir("g"), none, 1, 3, 1, &stats);
  check_frames("g");
}

static void test_films(void **state)
{
  vk_film_stats stats;
  char path[VK_FS_PATH_MAX];
  if (!has_films)
    skip();
  results r = evaluate(in_dir("b"), (vk_film_choice){VK_FILM_FIRST, 2}, 3, &stats);
  assert_int_equal(r.n_ok, 3);
  assert_int_equal(stats.n_film, 2);
  for (int row = 0; row < 3; row++) {
    snprintf(path, sizeof path, "b/films/libero_spatial/task03-row%02d-failure.mp4", row);
    assert_int_equal(vk_fs_is_file(in_dir(path)), row < 2);
  }
  /* the same pictures, the same film */
  char *a, *b;
  size_t n_a, n_b;
  vk_assert_ok(vk_fs_read(&a, &n_a, in_dir("b/films/libero_spatial/task03-row01-failure.mp4"),
                          1 << 24, NULL),
               NULL);
  evaluate(in_dir("c"), (vk_film_choice){VK_FILM_FAILURES, 0}, 2, &stats);
  assert_int_equal(stats.n_film, 2);
  vk_assert_ok(vk_fs_read(&b, &n_b, in_dir("c/films/libero_spatial/task03-row01-failure.mp4"),
                          1 << 24, NULL),
               NULL);
  assert_int_equal(n_a, n_b);
  assert_memory_equal(a, b, n_a);
  free(a);
  free(b);
}

/* A file where the folder should be, and a disk that is full: results stay. */
static void test_failures_cost_no_result(void **state)
{
  vk_film_stats stats;
  vk_assert_ok(vk_fs_make_dirs(in_dir("d"), NULL), NULL);
  vk_assert_ok(vk_fs_write(in_dir("d/frames"), "x", 1, NULL), NULL);
  results r = evaluate(in_dir("d"), (vk_film_choice){VK_FILM_NONE, 0}, 2, &stats);
  assert_int_equal(r.n_ok, 2);
  assert_int_equal(stats.n_failed, 2);
  vk_assert_says(&stats.first, "d/frames");

  limit_file_size(2000);
  r = evaluate(in_dir("e"), (vk_film_choice){has_films ? VK_FILM_ALL : VK_FILM_NONE, 0}, 2, &stats);
  limit_file_size(UINT64_MAX);
  assert_int_equal(r.n_ok, 2);
  assert_int_equal(stats.n_failed, 2);
  vk_assert_says(&stats.first, "task03-row0");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_choices), cmocka_unit_test(test_names),
      cmocka_unit_test(test_frames),  cmocka_unit_test(test_frames_of_lowest_rows),
      cmocka_unit_test(test_films),   cmocka_unit_test(test_failures_cost_no_result),
  };
  return cmocka_run_group_tests(tests, open_all, close_all);
}
