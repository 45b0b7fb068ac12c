/* Catalog: schema, damage, several writers, sudden death, full disks. */
#include "test.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/catalog.h"
#include "core/hash.h"

typedef struct fixture {
  char folder[64];
  char path[96];
} fixture;

static int setup(void **state)
{
  fixture *f = calloc(1, sizeof *f);
  snprintf(f->folder, sizeof f->folder, "/tmp/vlakit-test-XXXXXX");
  if (!mkdtemp(f->folder))
    return -1;
  snprintf(f->path, sizeof f->path, "%s/c.db", f->folder);
  *state = f;
  return 0;
}

static int teardown(void **state)
{
  fixture *f = *state;
  char command[128];
  snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
  int rc = system(command);
  free(f);
  return rc;
}

static const vk_run_row row_eval = {.command = "eval",
                                    .command_line = "vlakit eval --suite 'a b'",
                                    .config = "{\"suite\":\"libero_goal\"}",
                                    .version = "1",
                                    .pack_hash = "ab",
                                    .n_thread = 3};
static const vk_evaluation_row evaluation_eval = {.suite = "libero_goal",
                                                  .policy = "zero",
                                                  .protocol = "oft",
                                                  .rows = "eval",
                                                  .seed = 7,
                                                  .is_seed_given = true,
                                                  .n_episode_per_task = 5,
                                                  .n_episode = 50};

static vk_catalog *open_ok(const char *path, vk_catalog_mode mode)
{
  vk_catalog *c = NULL;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_catalog_open(&c, path, mode, &err), &err);
  return c;
}

static vk_status put(vk_run *run, int row, bool success, const char *error, vk_err *err)
{
  vk_episode_row e = {.task = "libero_goal/2",
                      .row = row,
                      .seed = 7,
                      .success = success,
                      .steps = 100 + row,
                      .error = error,
                      .state_sha256 = error ? NULL : "00ff",
                      .n_unstable = row == 1,
                      .wall_s = 0.5};
  return vk_run_put_episode(run, &e, err);
}

static vk_run begin_ok(vk_catalog *c)
{
  vk_run run;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_run_begin(&run, c, &row_eval, &evaluation_eval, &err), &err);
  return run;
}

static void hash_file(const char *path, char hex[65])
{
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_sha256_file(path, hex, &err), &err);
}

static void sql_ok(const char *path, const char *sql)
{
  sqlite3 *db = NULL;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  sqlite3_close(db);
}

/* ---- rows ---- */

static vk_status check_run(void *arg, const vk_run_row *row, const vk_evaluation_row *e,
                           const vk_episode_sum *sum, vk_err *err)
{
  *(int *)arg += 1;
  assert_string_equal(row->command, "eval");
  assert_string_equal(row->command_line, "vlakit eval --suite 'a b'");
  assert_string_equal(row->config, "{\"suite\":\"libero_goal\"}");
  assert_string_equal(row->mujoco, ""); /* not given */
  assert_string_equal(row->state, "done");
  assert_null(row->error);
  assert_int_equal(row->n_thread, 3);
  assert_int_equal(strlen(row->start_utc), 20);
  assert_non_null(row->end_utc);
  vk_assert_close(row->wall_s, 1.5, 0, 0);
  assert_non_null(e);
  assert_string_equal(e->suite, "libero_goal");
  assert_int_equal(e->seed, 7);
  assert_true(e->is_seed_given);
  assert_false(e->is_n_episode_given);
  assert_int_equal(e->n_episode, 50);
  assert_int_equal(sum->n_scored, 2);
  assert_int_equal(sum->n_success, 1);
  assert_int_equal(sum->n_error, 1);
  return VK_OK;
}

static vk_status check_episode(void *arg, const vk_episode_row *row, vk_err *err)
{
  int i = (*(int *)arg)++;
  assert_string_equal(row->task, "libero_goal/2");
  assert_int_equal(row->row, i);
  assert_int_equal(row->steps, 100 + i);
  assert_int_equal(row->success, i == 0);
  assert_int_equal(row->n_unstable, i == 1);
  if (i == 2) {
    assert_string_equal(row->error, "it broke");
    assert_null(row->state_sha256);
  } else {
    assert_null(row->error);
    assert_string_equal(row->state_sha256, "00ff");
  }
  return VK_OK;
}

static void test_rows(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  vk_catalog *c = open_ok(f->path, VK_CATALOG_WRITE);
  vk_run run = begin_ok(c);
  assert_int_equal(strlen(run.id), VK_RUN_ID_SIZE - 1);
  vk_assert_ok(put(&run, 1, false, NULL, &err), &err);
  vk_assert_ok(put(&run, 0, true, NULL, &err), &err);
  vk_assert_ok(put(&run, 2, false, "it broke", &err), &err);
  vk_assert_ok(vk_run_finish(&run, VK_OK, NULL, 1.5, &err), &err);
  vk_catalog_close(c);

  c = open_ok(f->path, VK_CATALOG_READ);
  int n = 0;
  vk_assert_ok(vk_catalog_each_run(c, NULL, check_run, &n, &err), &err);
  vk_assert_ok(vk_catalog_each_run(c, run.id, check_run, &n, &err), &err);
  assert_int_equal(n, 2);
  n = 0;
  vk_assert_ok(vk_catalog_each_episode(c, run.id, check_episode, &n, &err), &err);
  assert_int_equal(n, 3);
  assert_int_equal(vk_catalog_each_run(c, "nosuchid", check_run, &n, &err), VK_E_NOTFOUND);
  assert_non_null(strstr(err.text, "nosuchid"));
  vk_catalog_close(c);
}

static vk_status collect_id(void *arg, const vk_run_row *row, const vk_evaluation_row *e,
                            const vk_episode_sum *sum, vk_err *err)
{
  char(*id)[VK_RUN_ID_SIZE] = arg;
  while ((*id)[0])
    id++;
  snprintf(*id, sizeof *id, "%s", row->id);
  return VK_OK;
}

static void test_ids_sort_by_start(void **state)
{
  fixture *f = *state;
  vk_catalog *c = open_ok(f->path, VK_CATALOG_WRITE);
  char made[20][VK_RUN_ID_SIZE], listed[21][VK_RUN_ID_SIZE] = {{0}};
  for (int i = 0; i < 20; i++)
    memcpy(made[i], begin_ok(c).id, VK_RUN_ID_SIZE);
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_catalog_each_run(c, NULL, collect_id, listed, &err), &err);
  assert_memory_equal(made, listed, sizeof made);
  vk_catalog_close(c);
}

static vk_status count_episode(void *arg, const vk_episode_row *row, vk_err *err)
{
  *(int *)arg += 1;
  return VK_OK;
}

static int n_episode_of(vk_catalog *c, const char *id)
{
  int n = 0;
  vk_err err = VK_ERR_INIT;
  vk_assert_ok(vk_catalog_each_episode(c, id, count_episode, &n, &err), &err);
  return n;
}

static void test_episodes_are_unique(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  vk_catalog *c = open_ok(f->path, VK_CATALOG_WRITE);
  vk_run run = begin_ok(c);
  const vk_episode_row e = {.task = "t", .row = 1}, next = {.task = "t", .row = 2};
  vk_assert_ok(vk_run_put_episode(&run, &e, &err), &err);
  assert_int_equal(vk_run_put_episode(&run, &e, &err), VK_E_MISMATCH);
  assert_int_equal(n_episode_of(c, run.id), 1);
  vk_assert_ok(vk_run_put_episode(&run, &next, &err), &err);
  assert_int_equal(n_episode_of(c, run.id), 2);
  vk_run stray = {c, "stray"}; /* foreign key */
  assert_int_equal(vk_run_put_episode(&stray, &e, &err), VK_E_MISMATCH);
  vk_catalog_close(c);
}

static void test_pair(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  vk_catalog *c = open_ok(f->path, VK_CATALOG_WRITE);
  vk_run a = begin_ok(c), b = begin_ok(c);
  /*                      both, only a, only b, neither, error in b, only in a */
  const char *in_a = "SSFFSS", *in_b = "SFSFE-";
  for (int i = 0; i < 6; i++) {
    vk_assert_ok(put(&a, i, in_a[i] == 'S', NULL, &err), &err);
    if (in_b[i] != '-')
      vk_assert_ok(put(&b, i, in_b[i] == 'S', in_b[i] == 'E' ? "broke" : NULL, &err), &err);
  }
  vk_pair_sum sum;
  vk_assert_ok(vk_catalog_pair(c, a.id, b.id, &sum, &err), &err);
  assert_int_equal(sum.n, 4);
  assert_int_equal(sum.both, 1);
  assert_int_equal(sum.only_a, 1);
  assert_int_equal(sum.only_b, 1);
  assert_int_equal(sum.neither, 1);
  assert_int_equal(sum.n_unpaired, 2);
  vk_catalog_close(c);
}

/* ---- schema ---- */

static void test_migration(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  /* Schema 1 had a column more and a table less. Reading and writing bring it up to date, and keep
   * its rows. */
  vk_catalog *c = open_ok(f->path, VK_CATALOG_WRITE);
  vk_run run = begin_ok(c);
  for (int i = 0; i < 3; i++)
    vk_assert_ok(put(&run, i, i == 0, i == 2 ? "it broke" : NULL, &err), &err);
  vk_assert_ok(vk_run_finish(&run, VK_OK, NULL, 1.5, &err), &err);
  vk_catalog_close(c);
  for (int mode = VK_CATALOG_READ; mode <= VK_CATALOG_WRITE; mode++) {
    sql_ok(f->path, "ALTER TABLE run ADD COLUMN pid_start INTEGER NOT NULL DEFAULT 0;"
                    "DROP TABLE point; PRAGMA user_version = 1");
    c = open_ok(f->path, (vk_catalog_mode)mode);
    int n = 0;
    vk_assert_ok(vk_catalog_each_run(c, NULL, check_run, &n, &err), &err);
    assert_int_equal(n, 1);
    vk_catalog_close(c);
    sql_ok(f->path,
           "ALTER TABLE run ADD COLUMN pid_start INTEGER; ALTER TABLE run DROP COLUMN pid_start");
  }

  /* A step that fails half-way leaves nothing behind. */
  unlink(f->path);
  sql_ok(f->path, "PRAGMA application_id = 0x766c616b; CREATE TABLE episode (x)");
  assert_int_equal(vk_catalog_open(&c, f->path, VK_CATALOG_WRITE, &err), VK_E_IO);
  assert_non_null(strstr(err.text, "episode already exists"));
  sql_ok(f->path, "CREATE TABLE run (x)"); /* would exist had the step not been taken back */
}

static vk_status check_point(void *arg, const vk_point_row *row, vk_err *err)
{
  static const vk_point_row want[] = {
      {"train/loss", 10, 2.5}, {"train/loss", 20, 1}, {"val", 10, 0}};
  int *n = arg;
  assert_true(*n < 3);
  assert_string_equal(row->tag, want[*n].tag);
  assert_int_equal(row->step, want[*n].step);
  assert_true(*n == 2 ? isnan(row->value) : row->value == want[*n].value);
  (*n)++;
  return VK_OK;
}

static vk_status check_last_point(void *arg, const vk_point_row *row, vk_err *err)
{
  int *n = arg;
  assert_string_equal(row->tag, *n == 0 ? "train/loss" : "val");
  assert_int_equal(row->step, *n == 0 ? 20 : 10);
  assert_true(*n == 0 ? row->value == 1 : isnan(row->value));
  (*n)++;
  return VK_OK;
}

static void test_points(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  vk_catalog *c = open_ok(f->path, VK_CATALOG_WRITE);
  vk_run run = begin_ok(c), other = begin_ok(c);
  const vk_point_row first[] = {{"val", 10, NAN}, {"train/loss", 20, 9}, {"train/loss", 10, 2.5}};
  vk_assert_ok(vk_run_put_points(&run, 3, first, &err), &err);
  vk_assert_ok(vk_run_put_points(&other, 1, first, &err), &err);
  /* The step is done anew by a run that was resumed. */
  vk_assert_ok(vk_run_put_points(&run, 1, &(vk_point_row){"train/loss", 20, 1}, &err), &err);
  int n = 0;
  vk_assert_ok(vk_catalog_each_point(c, run.id, check_point, &n, &err), &err);
  assert_int_equal(n, 3);
  n = 0;
  vk_assert_ok(vk_catalog_each_last_point(c, run.id, check_last_point, &n, &err), &err);
  assert_int_equal(n, 2);
  vk_run none = {.catalog = c, .id = "aaaaaaaa"};
  assert_int_equal(vk_run_put_points(&none, 1, first, &err), VK_E_IO); /* there is no such run */
  vk_catalog_close(c);
}

static vk_status count_runs(void *arg, const vk_run_row *row, const vk_evaluation_row *e,
                            const vk_episode_sum *sum, vk_err *err)
{
  (*(int *)arg)++;
  return VK_OK;
}

static vk_status count_points(void *arg, const vk_point_row *row, vk_err *err)
{
  (*(int *)arg)++;
  return VK_OK;
}

/* How many runs there are, and points of them. */
static void expect_rows(vk_catalog *c, const vk_run *run, int n_run, int n_point)
{
  vk_err err = VK_ERR_INIT;
  int n = 0;
  vk_assert_ok(vk_catalog_each_run(c, NULL, count_runs, &n, &err), &err);
  assert_int_equal(n, n_run);
  n = 0;
  for (int i = 0; i < 2; i++)
    vk_assert_ok(vk_catalog_each_point(c, run[i].id, count_points, &n, &err), &err);
  assert_int_equal(n, n_point);
}

static void test_remove(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  vk_removed_sum sum[2];
  vk_catalog *c = open_ok(f->path, VK_CATALOG_WRITE);
  vk_run run[2] = {begin_ok(c), begin_ok(c)};
  vk_assert_ok(vk_run_put_points(&run[0], 1, &(vk_point_row){"val", 10, 1}, &err), &err);
  vk_assert_ok(vk_run_put_points(&run[1], 1, &(vk_point_row){"val", 10, 1}, &err), &err);
  vk_assert_ok(vk_run_put_episode(&run[0], &(vk_episode_row){.task = "a/0", .success = true}, &err),
               &err);
  vk_assert_ok(vk_run_finish(&run[0], VK_OK, NULL, 1, &err), &err);

  /* One cannot be removed: none is. The second is still written to; then one is not there. */
  const char *id[] = {run[0].id, run[1].id};
  vk_catalog *other = open_ok(f->path, VK_CATALOG_WRITE);
  assert_int_equal(vk_catalog_remove(other, 2, id, sum, &err), VK_E_MISMATCH);
  assert_non_null(strstr(err.text, "is still running"));
  expect_rows(c, run, 2, 2);
  id[1] = "aaaaaaaa";
  assert_int_equal(vk_catalog_remove(other, 2, id, sum, &err), VK_E_NOTFOUND);
  expect_rows(c, run, 2, 2);

  vk_assert_ok(vk_catalog_remove(other, 1, id, sum, &err), &err);
  assert_int_equal(sum[0].n_episode, 1);
  assert_int_equal(sum[0].n_point, 1);
  expect_rows(c, run, 1, 1);
  vk_catalog_close(other);
  vk_catalog_close(c);
}

static void test_newer_is_refused(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  char before[65], after[65];
  vk_catalog_close(open_ok(f->path, VK_CATALOG_WRITE));
  sql_ok(f->path, "PRAGMA user_version = 999");
  hash_file(f->path, before);
  vk_catalog *c;
  for (int mode = VK_CATALOG_READ; mode <= VK_CATALOG_WRITE; mode++) {
    assert_int_equal(vk_catalog_open(&c, f->path, mode, &err), VK_E_VERSION);
    assert_null(c);
    assert_non_null(strstr(err.text, "newer"));
    assert_non_null(strstr(err.text, "999"));
  }
  hash_file(f->path, after);
  assert_string_equal(before, after);
}

static void expect_left_alone(const char *path, const char *sentence)
{
  vk_err err = VK_ERR_INIT;
  char before[65], after[65];
  hash_file(path, before);
  vk_catalog *c;
  assert_int_equal(vk_catalog_open(&c, path, VK_CATALOG_WRITE, &err), VK_E_FORMAT);
  assert_null(c);
  if (!strstr(err.text, sentence) || !strstr(err.text, path))
    fail_msg("sentence lacks '%s' or the path: %s", sentence, err.text);
  hash_file(path, after);
  assert_string_equal(before, after);
}

static void test_other_databases(void **state)
{
  fixture *f = *state;
  sql_ok(f->path, "CREATE TABLE recipe (name)");
  expect_left_alone(f->path, "another program");
}

static void write_at(const char *path, long at, const void *bytes, size_t n)
{
  FILE *file = fopen(path, "r+");
  assert_non_null(file);
  fseek(file, at, SEEK_SET);
  assert_int_equal(fwrite(bytes, 1, n, file), n);
  fclose(file);
}

static void test_damage(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  FILE *file = fopen(f->path, "w");
  for (int i = 0; i < 200; i++)
    fputs("this is no database at all\n", file);
  fclose(file);
  expect_left_alone(f->path, "damaged");

  unlink(f->path);
  vk_catalog *c = open_ok(f->path, VK_CATALOG_WRITE);
  vk_run run = begin_ok(c);
  for (int i = 0; i < 30; i++)
    vk_assert_ok(put(&run, i, false,
                     "a long sentence that fills pages soon, as errors do, and "
                     "then some more of it to need several pages of the file",
                     &err),
                 &err);
  vk_catalog_close(c);
  struct stat info;
  assert_int_equal(stat(f->path, &info), 0);
  assert_true(info.st_size > 5 * 4096);

  char page[4096], zero[4096] = {0};
  int fd = open(f->path, O_RDONLY);
  assert_int_equal(pread(fd, page, 4096, info.st_size - 4096), 4096);
  close(fd);
  write_at(f->path, info.st_size - 4096, zero, 4096); /* a page in the middle of the tables */
  expect_left_alone(f->path, "damaged");
  write_at(f->path, info.st_size - 4096, page, 4096);
  vk_catalog_close(open_ok(f->path, VK_CATALOG_WRITE)); /* whole again */

  assert_int_equal(truncate(f->path, info.st_size - 4096), 0);
  expect_left_alone(f->path, "damaged");
}

static void test_missing(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  vk_catalog *c;
  assert_int_equal(vk_catalog_open(&c, f->path, VK_CATALOG_READ, &err), VK_E_NOTFOUND);
  assert_int_not_equal(access(f->path, F_OK), 0);
  for (int mode = VK_CATALOG_READ; mode <= VK_CATALOG_WRITE; mode++) {
    assert_int_equal(vk_catalog_open(&c, f->folder, (vk_catalog_mode)mode, &err), VK_E_IO);
    vk_assert_says(&err, "a folder");
    assert_int_equal(vk_catalog_open(&c, "/dev/null", (vk_catalog_mode)mode, &err), VK_E_IO);
    vk_assert_says(&err, "not a regular file");
  }
  assert_int_equal(vk_catalog_open(&c, "", VK_CATALOG_WRITE, &err), VK_E_USAGE);
  char deep[128];
  snprintf(deep, sizeof deep, "%s/none/c.db", f->folder);
  assert_int_equal(vk_catalog_open(&c, deep, VK_CATALOG_WRITE, &err), VK_E_IO);
}

static void test_empty_file(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  vk_catalog *c;
  fclose(fopen(f->path, "w"));
  assert_int_equal(vk_catalog_open(&c, f->path, VK_CATALOG_READ, &err), VK_E_NOTFOUND);
  vk_assert_says(&err, "empty");
  struct stat info;
  assert_int_equal(stat(f->path, &info), 0);
  assert_int_equal(info.st_size, 0); /* reading changes nothing */
  vk_catalog_close(open_ok(f->path, VK_CATALOG_WRITE));
  vk_catalog_close(open_ok(f->path, VK_CATALOG_READ));
}

static void test_odd_paths(void **state)
{
  fixture *f = *state;
  static const char *const name[] = {"a b.db",     "100%.db", "what?.db", "#1.db",
                                     "caf\xe9.db", "file:x",  ":memory:"};
  char path[256];
  for (size_t i = 0; i < VK_COUNT(name); i++) {
    snprintf(path, sizeof path, "/%s/%s", f->folder, name[i]); /* begins with two slashes */
    vk_catalog_close(open_ok(path, VK_CATALOG_WRITE));
    assert_int_equal(access(path, F_OK), 0);
  }
  assert_int_equal(chdir(f->folder), 0);
  for (size_t i = 0; i < VK_COUNT(name); i++) {
    unlink(name[i]);
    vk_catalog_close(open_ok(name[i], VK_CATALOG_WRITE));
    assert_int_equal(access(name[i], F_OK), 0);
  }
  assert_int_equal(chdir("/"), 0);
}

static void test_default_path(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  char path[VK_FS_PATH_MAX], want[256];
  setenv("XDG_DATA_HOME", f->folder, 1);
  vk_assert_ok(vk_catalog_default_path(path, &err), &err);
  snprintf(want, sizeof want, "%s/vlakit/catalog.db", f->folder);
  assert_string_equal(path, want);
  vk_catalog_close(open_ok(NULL, VK_CATALOG_WRITE)); /* makes the folder */
  assert_int_equal(access(want, F_OK), 0);
  unsetenv("XDG_DATA_HOME");
  setenv("HOME", "/home/x", 1);
  vk_assert_ok(vk_catalog_default_path(path, &err), &err);
  assert_string_equal(path, "/home/x/.local/share/vlakit/catalog.db");
  unsetenv("HOME");
  assert_int_equal(vk_catalog_default_path(path, &err), VK_E_UNSUPPORTED);
}

/* ---- processes ---- */

/* Runs fn in a child; its exit code. */
static int in_child(int (*fn)(const fixture *f), const fixture *f)
{
  pid_t pid = fork();
  if (pid == 0)
    _exit(fn(f));
  int status = 0;
  waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int write_refused(const fixture *f)
{
  vk_err err = VK_ERR_INIT;
  vk_catalog *c;
  if (getuid() == 0 && setuid(65534) != 0)
    return VK_TEST_SKIP;
  if (vk_catalog_open(&c, f->path, VK_CATALOG_WRITE, &err) != VK_E_IO)
    return 1;
  if (!strstr(err.text, "written") || !strstr(err.text, "--catalog"))
    return 2;
  if (vk_catalog_open(&c, f->path, VK_CATALOG_READ, &err) != VK_OK)
    return 3; /* reading still works, without the right to write into the folder */
  int n = 0;
  if (vk_catalog_each_run(c, NULL, check_run, &n, &err) != VK_OK || n != 0)
    return 4;
  vk_catalog_close(c);
  return 0;
}

static void test_read_only(void **state)
{
  fixture *f = *state;
  vk_catalog_close(open_ok(f->path, VK_CATALOG_WRITE));
  chmod(f->path, 0444);
  chmod(f->folder, 0555);
  int rc = in_child(write_refused, f);
  chmod(f->folder, 0755);
  if (rc == VK_TEST_SKIP)
    skip();
  assert_int_equal(rc, 0);
}

enum { N_ROW = 60 };

static int write_rows(const fixture *f)
{
  vk_err err = VK_ERR_INIT;
  vk_catalog *c;
  vk_run run;
  if (vk_catalog_open(&c, f->path, VK_CATALOG_WRITE, &err) != VK_OK ||
      vk_run_begin(&run, c, &row_eval, &evaluation_eval, &err) != VK_OK) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  for (int i = 0; i < N_ROW; i++)
    if (put(&run, i, true, NULL, &err) != VK_OK) {
      fprintf(stderr, "%s\n", err.text);
      return 2;
    }
  if (vk_run_finish(&run, VK_OK, NULL, 1, &err) != VK_OK)
    return 3;
  vk_catalog_close(c);
  return 0;
}

static vk_status count_full(void *arg, const vk_run_row *row, const vk_evaluation_row *e,
                            const vk_episode_sum *sum, vk_err *err)
{
  *(int *)arg += strcmp(row->state, "done") == 0 && sum->n_success == N_ROW;
  return VK_OK;
}

static void test_writers_at_once(void **state)
{
  fixture *f = *state;
  enum { N = 3 };
  pid_t pid[N];
  for (int i = 0; i < N; i++) /* the file is not there yet: they also race to make it */
    if ((pid[i] = fork()) == 0)
      _exit(write_rows(f));
  for (int i = 0; i < N; i++) {
    int status = 0;
    waitpid(pid[i], &status, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
  }
  vk_catalog *c = open_ok(f->path, VK_CATALOG_READ);
  vk_err err = VK_ERR_INIT;
  int n = 0;
  vk_assert_ok(vk_catalog_each_run(c, NULL, count_full, &n, &err), &err);
  assert_int_equal(n, N);
  vk_catalog_close(c);
}

static vk_status check_state(void *arg, const vk_run_row *row, const vk_evaluation_row *e,
                             const vk_episode_sum *sum, vk_err *err)
{
  assert_string_equal(row->state, (const char *)arg);
  return VK_OK;
}

static void test_kill_and_resume(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  vk_catalog_close(open_ok(f->path, VK_CATALOG_WRITE));
  int pipe_fd[2];
  assert_int_equal(pipe(pipe_fd), 0);
  pid_t pid = fork();
  if (pid == 0) {
    vk_catalog *c;
    vk_run run;
    if (vk_catalog_open(&c, f->path, VK_CATALOG_WRITE, NULL) != VK_OK ||
        vk_run_begin(&run, c, &row_eval, &evaluation_eval, NULL) != VK_OK ||
        write(pipe_fd[1], run.id, sizeof run.id) < 0)
      _exit(1);
    for (int i = 0;; i++)
      if (put(&run, i, true, NULL, NULL) != VK_OK || write(pipe_fd[1], &i, sizeof i) < 0)
        _exit(1);
  }
  char id[VK_RUN_ID_SIZE];
  int i_last = -1;
  assert_int_equal(read(pipe_fd[0], id, sizeof id), sizeof id);
  while (i_last < 25)
    assert_int_equal(read(pipe_fd[0], &i_last, sizeof i_last), sizeof i_last);

  vk_catalog *c = open_ok(f->path, VK_CATALOG_WRITE);
  vk_run run;
  vk_assert_ok(vk_catalog_each_run(c, id, check_state, "running", &err), &err);
  assert_int_equal(vk_run_resume(&run, c, id, &err), VK_E_MISMATCH);
  assert_non_null(strstr(err.text, "still running"));

  kill(pid, SIGKILL);
  siginfo_t info; /* dead, but not reaped: init may be slow, too */
  waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT);
  vk_assert_ok(vk_catalog_each_run(c, id, check_state, "interrupted", &err), &err);
  waitpid(pid, NULL, 0);
  close(pipe_fd[1]);
  int i = 0;
  while (read(pipe_fd[0], &i, sizeof i) == sizeof i)
    i_last = i;
  close(pipe_fd[0]);

  vk_assert_ok(vk_catalog_each_run(c, id, check_state, "interrupted", &err), &err);
  vk_assert_ok(vk_run_resume(&run, c, id, &err), &err);
  int n = n_episode_of(c, id); /* what was reported as written is there, and at most one more */
  assert_in_range(n, i_last + 1, i_last + 2);
  vk_assert_ok(put(&run, n, true, NULL, &err), &err);
  vk_assert_ok(vk_run_finish(&run, VK_E_INTERRUPTED, NULL, 1, &err), &err);
  vk_assert_ok(vk_catalog_each_run(c, id, check_state, "interrupted", &err), &err);
  vk_assert_ok(vk_run_resume(&run, c, id, &err), &err);
  vk_assert_ok(vk_run_finish(&run, VK_OK, NULL, 1, &err), &err);
  assert_int_equal(vk_run_resume(&run, c, id, &err), VK_E_MISMATCH);
  assert_non_null(strstr(err.text, "done"));

  /* A run of a machine that is gone can be taken over; one that is written to in the same process,
   * by another handle, cannot. */
  run = begin_ok(c);
  vk_catalog *other = open_ok(f->path, VK_CATALOG_WRITE);
  vk_run taken;
  assert_int_equal(vk_run_resume(&taken, other, run.id, &err), VK_E_MISMATCH);
  vk_catalog_close(c);
  sql_ok(f->path, "UPDATE run SET host = 'gone'");
  vk_assert_ok(vk_run_resume(&taken, other, run.id, &err), &err);
  c = other;
  assert_int_equal(vk_run_resume(&run, c, "nosuchid", &err), VK_E_NOTFOUND);
  vk_catalog_close(c);
}

static int fill_disk(const fixture *f)
{
  vk_err err = VK_ERR_INIT;
  vk_catalog *c;
  vk_run run;
  signal(SIGXFSZ, SIG_IGN);
  if (vk_catalog_open(&c, f->path, VK_CATALOG_WRITE, &err) != VK_OK ||
      vk_run_begin(&run, c, &row_eval, &evaluation_eval, &err) != VK_OK)
    return 101;
  struct rlimit limit = {300000, 300000};
  setrlimit(RLIMIT_FSIZE, &limit);
  int n = 0;
  while (n < 100 && put(&run, n, true, NULL, &err) == VK_OK)
    n++;
  if (n == 100 || err.code != VK_E_IO || !strstr(err.text, "every row written before is kept"))
    return 102;
  return n;
}

static vk_status find_only(void *arg, const vk_run_row *row, const vk_evaluation_row *e,
                           const vk_episode_sum *sum, vk_err *err)
{
  *(int *)arg = sum->n_success;
  return VK_OK;
}

static void test_full_disk(void **state)
{
  fixture *f = *state;
  vk_err err = VK_ERR_INIT;
  int n_put = in_child(fill_disk, f), n_kept = -1;
  assert_in_range(n_put, 1, 99);
  vk_catalog *c = open_ok(f->path, VK_CATALOG_WRITE);
  vk_assert_ok(vk_catalog_each_run(c, NULL, find_only, &n_kept, &err), &err);
  assert_int_equal(n_kept, n_put);
  vk_catalog_close(c);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
  const struct CMUnitTest tests[] = {
      T(test_rows),
      T(test_ids_sort_by_start),
      T(test_episodes_are_unique),
      T(test_pair),
      T(test_migration),
      T(test_points),
      T(test_remove),
      T(test_newer_is_refused),
      T(test_other_databases),
      T(test_damage),
      T(test_missing),
      T(test_empty_file),
      T(test_odd_paths),
      T(test_default_path),
      T(test_read_only),
      T(test_writers_at_once),
      T(test_kill_and_resume),
      T(test_full_disk),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
