#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/catalog_db.h"
#include "core/sys.h"

/* ---- who writes a run ----
 *
 * A writer holds a lock on the run's byte of PATH-lock. The system gives it back when the process
 * ends, however that happens and wherever it ran, so that a lock means a living writer. (Not a
 * byte of the database: closing that file a second time would drop SQLite's own locks.) */

static struct flock lock_of(const char *id, short type)
{
  int64_t byte = 0;
  for (int i = 0; i < VK_RUN_ID_SIZE - 1 && id[i]; i++)
    byte = byte << 7 | (id[i] & 0x7f);
  return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
}

static void lock_path(const vk_catalog *c, char path[VK_FS_PATH_MAX + 8])
{
  snprintf(path, VK_FS_PATH_MAX + 8, "%s-lock", c->path);
}

static bool writer_lives(const vk_catalog *c, const char *id)
{
  char path[VK_FS_PATH_MAX + 8];
  lock_path(c, path);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct flock lock = lock_of(id, F_RDLCK);
  bool is_locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
  if (fd >= 0)
    close(fd);
  return is_locked;
}

/* *is_free: false when another process writes the run. */
static vk_status lock_run(vk_catalog *c, const char *id, bool *is_free, vk_err *err)
{
  char path[VK_FS_PATH_MAX + 8];
  lock_path(c, path);
  if (c->lock_fd < 0)
    c->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (c->lock_fd < 0)
    return vk_fs_fail(err, path, "open");
  struct flock lock = lock_of(id, F_WRLCK);
  *is_free = fcntl(c->lock_fd, F_OFD_SETLK, &lock) == 0;
  return *is_free || errno == EAGAIN || errno == EACCES ? VK_OK : vk_fs_fail(err, path, "lock");
}

static void unlock_run(vk_catalog *c, const char *id)
{
  struct flock lock = lock_of(id, F_UNLCK);
  fcntl(c->lock_fd, F_OFD_SETLK, &lock);
}

/* For the sentence that says who it is. */
static void bind_writer(sqlite3_stmt *stmt)
{
  char host[256] = "";
  if (gethostname(host, sizeof host) != 0)
    host[0] = '\0';
  host[sizeof host - 1] = '\0';
  vk_catalog_bind_text(stmt, ":host", host);
  vk_catalog_bind_i64(stmt, ":pid", getpid());
}

/* ---- runs ---- */

/* 40 bits as eight characters in the order of their codes: time since 2024 in 1/1024 s. */
static void id_text(uint64_t number, char id[VK_RUN_ID_SIZE])
{
  static const char digit[] = "0123456789abcdefghjkmnpqrstvwxyz";
  for (int i = 0; i < 8; i++)
    id[i] = digit[number >> 5 * (7 - i) & 31];
  id[8] = '\0';
}

static uint64_t id_now(void)
{
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t since_s = (uint64_t)now.tv_sec - 1704067200u;
  return since_s * 1024 + (uint64_t)now.tv_nsec * 1024 / 1000000000u;
}

static vk_status choose_id(vk_catalog *c, char id[VK_RUN_ID_SIZE], vk_err *err)
{
  sqlite3_stmt *stmt = NULL;
  VK_TRY(vk_catalog_prepare(c, "SELECT 1 FROM run WHERE id = :id", &stmt, "naming the run", err));
  int rc = SQLITE_ROW;
  for (uint64_t number = id_now(); rc == SQLITE_ROW; number++) {
    id_text(number, id);
    sqlite3_reset(stmt);
    vk_catalog_bind_text(stmt, ":id", id);
    rc = sqlite3_step(stmt);
  }
  vk_status st = rc == SQLITE_DONE ? VK_OK : vk_catalog_fail(c, rc, "naming the run", err);
  sqlite3_finalize(stmt);
  return st;
}

static vk_status insert_run(vk_run *run, const vk_run_row *row, vk_err *err)
{
  vk_catalog *c = run->catalog;
  static const char sql[] = "INSERT INTO run (id, state, start_utc, host, pid, n_thread"
#define X(column) ", " #column
      VK_RUN_TEXTS(X)
#undef X
          ") VALUES (:id, 'running', :start_utc, :host, :pid, :n_thread"
#define X(column) ", :" #column
      VK_RUN_TEXTS(X)
#undef X
          ")";
  sqlite3_stmt *stmt = NULL;
  VK_TRY(vk_catalog_prepare(c, sql, &stmt, "adding a run", err));
  char now[VK_SYS_UTC_SIZE];
  vk_sys_utc_now(now);
  vk_catalog_bind_text(stmt, ":id", run->id);
  vk_catalog_bind_text(stmt, ":start_utc", now);
  bind_writer(stmt);
  vk_catalog_bind_i64(stmt, ":n_thread", row->n_thread);
#define X(column) vk_catalog_bind_text(stmt, ":" #column, row->column ? row->column : "");
  VK_RUN_TEXTS(X)
#undef X
  return vk_catalog_run(c, stmt, "adding a run", err);
}

static vk_status insert_evaluation(vk_run *run, const vk_evaluation_row *e, vk_err *err)
{
  vk_catalog *c = run->catalog;
  sqlite3_stmt *stmt = NULL;
  VK_TRY(vk_catalog_prepare(
      c,
      "INSERT INTO evaluation VALUES (:run, :suite, :policy, :protocol, :rows, :seed, "
      ":seed_given, :per_task, :per_task_given, :n_episode)",
      &stmt, "adding an evaluation", err));
  vk_catalog_bind_text(stmt, ":run", run->id);
  vk_catalog_bind_text(stmt, ":suite", e->suite);
  vk_catalog_bind_text(stmt, ":policy", e->policy);
  vk_catalog_bind_text(stmt, ":protocol", e->protocol);
  vk_catalog_bind_text(stmt, ":rows", e->rows);
  vk_catalog_bind_i64(stmt, ":seed", e->seed);
  vk_catalog_bind_i64(stmt, ":seed_given", e->is_seed_given);
  vk_catalog_bind_i64(stmt, ":per_task", e->n_episode_per_task);
  vk_catalog_bind_i64(stmt, ":per_task_given", e->is_n_episode_given);
  vk_catalog_bind_i64(stmt, ":n_episode", e->n_episode);
  return vk_catalog_run(c, stmt, "adding an evaluation", err);
}

vk_status vk_run_begin(vk_run *run, vk_catalog *catalog, const vk_run_row *row,
                       const vk_evaluation_row *evaluation, vk_err *err)
{
  run->catalog = catalog;
  pthread_mutex_lock(&catalog->lock);
  vk_status st = vk_catalog_exec(catalog, "BEGIN IMMEDIATE", "adding a run", err);
  if (st == VK_OK) {
    bool is_free = true; /* as the id is new */
    st = choose_id(catalog, run->id, err);
    if (st == VK_OK)
      st = lock_run(catalog, run->id, &is_free, err);
    if (st == VK_OK)
      st = insert_run(run, row, err);
    if (st == VK_OK && evaluation)
      st = insert_evaluation(run, evaluation, err);
    st = vk_catalog_end(catalog, st, "adding a run", err);
  }
  pthread_mutex_unlock(&catalog->lock);
  return st;
}

/* Gives the row of a run with its state, host and pid; *stmt is the caller's to finalize, also
 * after an error. */
static vk_status find_writer(vk_catalog *c, const char *id, sqlite3_stmt **stmt, const char *doing,
                             vk_err *err)
{
  VK_TRY(
      vk_catalog_prepare(c, "SELECT state, host, pid FROM run WHERE id = :id", stmt, doing, err));
  vk_catalog_bind_text(*stmt, ":id", id);
  int rc = sqlite3_step(*stmt);
  if (rc == SQLITE_DONE)
    return vk_fail(err, VK_E_NOTFOUND, "catalog %s: no run %s; `vlakit runs` lists them", c->path,
                   id);
  return rc == SQLITE_ROW ? VK_OK : vk_catalog_fail(c, rc, doing, err);
}

static vk_status fail_running(sqlite3_stmt *stmt, const char *id, vk_err *err)
{
  return vk_fail(err, VK_E_MISMATCH,
                 "run %s is still running as process %lld on %s; wait for it or end it first", id,
                 (long long)sqlite3_column_int64(stmt, 2), vk_catalog_text(stmt, 1));
}

/* Takes the run's lock, inside the transaction that takes the run over. */
static vk_status lock_unfinished(vk_catalog *c, const char *id, vk_err *err)
{
  sqlite3_stmt *stmt = NULL;
  bool is_free = true;
  vk_status st = find_writer(c, id, &stmt, "resuming a run", err);
  if (st == VK_OK && strcmp(vk_catalog_text(stmt, 0), "done") == 0)
    st = vk_fail(err, VK_E_MISMATCH, "run %s is done: there is nothing to resume", id);
  else if (st == VK_OK)
    st = lock_run(c, id, &is_free, err);
  if (!is_free)
    st = fail_running(stmt, id, err);
  sqlite3_finalize(stmt);
  return st;
}

vk_status vk_run_resume(vk_run *run, vk_catalog *catalog, const char *id, vk_err *err)
{
  run->catalog = catalog;
  snprintf(run->id, sizeof run->id, "%s", id);
  pthread_mutex_lock(&catalog->lock);
  vk_status st = vk_catalog_exec(catalog, "BEGIN IMMEDIATE", "resuming a run", err);
  if (st == VK_OK) {
    sqlite3_stmt *stmt = NULL;
    st = lock_unfinished(catalog, id, err);
    if (st == VK_OK)
      st = vk_catalog_prepare(
          catalog,
          "UPDATE run SET state = 'running', error = NULL, end_utc = NULL, host = :host, "
          "pid = :pid WHERE id = :id",
          &stmt, "resuming a run", err);
    if (st == VK_OK) {
      vk_catalog_bind_text(stmt, ":id", id);
      bind_writer(stmt);
      st = vk_catalog_run(catalog, stmt, "resuming a run", err);
    }
    st = vk_catalog_end(catalog, st, "resuming a run", err);
  }
  pthread_mutex_unlock(&catalog->lock);
  return st;
}

vk_status vk_run_finish(vk_run *run, vk_status result, const vk_err *why, double wall_s,
                        vk_err *err)
{
  vk_catalog *c = run->catalog;
  pthread_mutex_lock(&c->lock);
  sqlite3_stmt *stmt = NULL;
  vk_status st =
      vk_catalog_prepare(c,
                         "UPDATE run SET state = :state, error = :error, end_utc = :end_utc, "
                         "wall_s = wall_s + :wall_s WHERE id = :id",
                         &stmt, "ending a run", err);
  if (st == VK_OK) {
    char now[VK_SYS_UTC_SIZE];
    vk_sys_utc_now(now);
    bool is_failed = result != VK_OK && result != VK_E_INTERRUPTED;
    vk_catalog_bind_text(stmt, ":id", run->id);
    vk_catalog_bind_text(stmt, ":state",
                         result == VK_OK ? "done" : (is_failed ? "failed" : "interrupted"));
    vk_catalog_bind_text(stmt, ":error",
                         is_failed ? (why ? why->text : vk_status_name(result)) : NULL);
    vk_catalog_bind_text(stmt, ":end_utc", now);
    sqlite3_bind_double(stmt, vk_catalog_parameter(stmt, ":wall_s"), wall_s);
    st = vk_catalog_run(c, stmt, "ending a run", err);
  }
  unlock_run(c, run->id);
  pthread_mutex_unlock(&c->lock);
  return st;
}

/* ---- episodes ---- */

static vk_status put_episode(vk_run *run, const vk_episode_row *e, vk_err *err)
{
  vk_catalog *c = run->catalog;
  sqlite3_stmt *stmt = c->put_episode;
  sqlite3_reset(stmt);
  vk_catalog_bind_text(stmt, ":run", run->id);
  vk_catalog_bind_text(stmt, ":task", e->task);
  vk_catalog_bind_i64(stmt, ":row", e->row);
  vk_catalog_bind_i64(stmt, ":seed", e->seed);
  if (e->error)
    sqlite3_bind_null(stmt, vk_catalog_parameter(stmt, ":success"));
  else
    vk_catalog_bind_i64(stmt, ":success", e->success);
  vk_catalog_bind_i64(stmt, ":steps", e->steps);
  vk_catalog_bind_text(stmt, ":error", e->error);
  vk_catalog_bind_text(stmt, ":state_sha256", e->state_sha256);
  vk_catalog_bind_i64(stmt, ":n_unstable", e->n_unstable);
  sqlite3_bind_double(stmt, vk_catalog_parameter(stmt, ":wall_s"), e->wall_s);
  int rc = sqlite3_step(stmt);
  vk_status st = VK_OK;
  if ((rc & 0xff) == SQLITE_CONSTRAINT)
    st = vk_fail(err, VK_E_MISMATCH, "run %s: %s row %d is there already, or the run is not",
                 run->id, e->task, e->row);
  else if (rc != SQLITE_DONE)
    st = vk_catalog_fail(c, rc, "writing an episode", err);
  sqlite3_reset(stmt);
  return st;
}

vk_status vk_run_put_episode(vk_run *run, const vk_episode_row *episode, vk_err *err)
{
  vk_catalog *c = run->catalog;
  pthread_mutex_lock(&c->lock);
  vk_status st = VK_OK;
  if (!c->put_episode)
    st = vk_catalog_prepare(
        c,
        "INSERT INTO episode VALUES (:run, :task, :row, :seed, :success, :steps, :error, "
        ":state_sha256, :n_unstable, :wall_s)",
        &c->put_episode, "writing an episode", err);
  if (st == VK_OK)
    st = put_episode(run, episode, err);
  pthread_mutex_unlock(&c->lock);
  return st;
}

/* ---- points of curves ---- */

static vk_status put_points(vk_run *run, int n, const vk_point_row *point, vk_err *err)
{
  static const char doing[] = "writing points of a curve";
  vk_catalog *c = run->catalog;
  sqlite3_stmt *stmt = NULL;
  VK_TRY(vk_catalog_prepare(c, "INSERT OR REPLACE INTO point VALUES (:run, :tag, :step, :value)",
                            &stmt, doing, err));
  vk_status st = VK_OK;
  for (int i = 0; i < n && st == VK_OK; i++) {
    sqlite3_reset(stmt);
    vk_catalog_bind_text(stmt, ":run", run->id);
    vk_catalog_bind_text(stmt, ":tag", point[i].tag);
    vk_catalog_bind_i64(stmt, ":step", point[i].step);
    sqlite3_bind_double(stmt, vk_catalog_parameter(stmt, ":value"), point[i].value);
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_DONE)
      st = vk_catalog_fail(c, rc, doing, err);
  }
  sqlite3_finalize(stmt);
  return st;
}

vk_status vk_run_put_points(vk_run *run, int n, const vk_point_row *point, vk_err *err)
{
  static const char doing[] = "writing points of a curve";
  vk_catalog *c = run->catalog;
  pthread_mutex_lock(&c->lock);
  vk_status st = vk_catalog_exec(c, "BEGIN IMMEDIATE", doing, err);
  if (st == VK_OK)
    st = vk_catalog_end(c, put_points(run, n, point, err), doing, err);
  pthread_mutex_unlock(&c->lock);
  return st;
}

/* ---- removing ---- */

static vk_status remove_rows(vk_catalog *c, const char *sql, const char *id, int *n, vk_err *err)
{
  sqlite3_stmt *stmt = NULL;
  VK_TRY(vk_catalog_prepare(c, sql, &stmt, "removing a run", err));
  vk_catalog_bind_text(stmt, ":id", id);
  VK_TRY(vk_catalog_run(c, stmt, "removing a run", err));
  *n = sqlite3_changes(c->db);
  return VK_OK;
}

/* Inside a transaction, in which nobody can begin to write the run. */
static vk_status remove_run(vk_catalog *c, const char *id, vk_removed_sum *sum, vk_err *err)
{
  sqlite3_stmt *stmt = NULL;
  int n_run;
  vk_status st = find_writer(c, id, &stmt, "removing a run", err);
  if (st == VK_OK && writer_lives(c, id))
    st = fail_running(stmt, id, err);
  sqlite3_finalize(stmt);
  VK_TRY(st);
  VK_TRY(remove_rows(c, "DELETE FROM episode WHERE run_id = :id", id, &sum->n_episode, err));
  VK_TRY(remove_rows(c, "DELETE FROM point WHERE run_id = :id", id, &sum->n_point, err));
  return remove_rows(c, "DELETE FROM run WHERE id = :id", id, &n_run, err);
}

vk_status vk_catalog_remove(vk_catalog *catalog, int n, const char *const *id, vk_removed_sum *sum,
                            vk_err *err)
{
  pthread_mutex_lock(&catalog->lock);
  vk_status st = vk_catalog_exec(catalog, "BEGIN IMMEDIATE", "removing a run", err);
  if (st == VK_OK) {
    for (int i = 0; i < n && st == VK_OK; i++)
      st = remove_run(catalog, id[i], &sum[i], err);
    st = vk_catalog_end(catalog, st, "removing a run", err);
  }
  pthread_mutex_unlock(&catalog->lock);
  return st;
}

/* ---- queries ---- */

static const char select_runs[] = "SELECT id, state, error, start_utc, end_utc, wall_s, n_thread"
#define X(column) ", run." #column
    VK_RUN_TEXTS(X)
#undef X
        ", suite, policy, protocol, rows, seed, is_seed_given, n_episode_per_task,"
        " is_n_episode_given, n_episode,"
        " (SELECT count(success) FROM episode WHERE run_id = id),"
        " (SELECT total(success) FROM episode WHERE run_id = id),"
        " (SELECT count(error) FROM episode WHERE run_id = id)"
        " FROM run LEFT JOIN evaluation ON run_id = id WHERE :id IS NULL OR id = :id ORDER BY id";

static void read_run(const vk_catalog *c, sqlite3_stmt *stmt, vk_run_row *row, vk_evaluation_row *e,
                     vk_episode_sum *sum)
{
  int i = 0;
  row->id = vk_catalog_text(stmt, i++);
  row->state = vk_catalog_text(stmt, i++);
  row->error = vk_catalog_text(stmt, i++);
  row->start_utc = vk_catalog_text(stmt, i++);
  row->end_utc = vk_catalog_text(stmt, i++);
  row->wall_s = sqlite3_column_double(stmt, i++);
  if (strcmp(row->state, "running") == 0 && !writer_lives(c, row->id))
    row->state = "interrupted";
  row->n_thread = sqlite3_column_int(stmt, i++);
#define X(column) row->column = vk_catalog_text(stmt, i++);
  VK_RUN_TEXTS(X)
#undef X
  e->suite = vk_catalog_text(stmt, i++);
  e->policy = vk_catalog_text(stmt, i++);
  e->protocol = vk_catalog_text(stmt, i++);
  e->rows = vk_catalog_text(stmt, i++);
  e->seed = sqlite3_column_int64(stmt, i++);
  e->is_seed_given = sqlite3_column_int(stmt, i++);
  e->n_episode_per_task = sqlite3_column_int(stmt, i++);
  e->is_n_episode_given = sqlite3_column_int(stmt, i++);
  e->n_episode = sqlite3_column_int(stmt, i++);
  sum->n_scored = sqlite3_column_int(stmt, i++);
  sum->n_success = sqlite3_column_int(stmt, i++);
  sum->n_error = sqlite3_column_int(stmt, i++);
}

vk_status vk_catalog_each_run(vk_catalog *catalog, const char *id, vk_run_row_fn *fn, void *arg,
                              vk_err *err)
{
  pthread_mutex_lock(&catalog->lock);
  sqlite3_stmt *stmt = NULL;
  int rc = SQLITE_DONE, n = 0;
  vk_status st = vk_catalog_prepare(catalog, select_runs, &stmt, "listing runs", err);
  if (st == VK_OK)
    vk_catalog_bind_text(stmt, ":id", id);
  while (st == VK_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    vk_run_row row = {0};
    vk_evaluation_row evaluation = {0};
    vk_episode_sum sum = {0};
    read_run(catalog, stmt, &row, &evaluation, &sum);
    st = fn(arg, &row, evaluation.suite ? &evaluation : NULL, &sum, err);
    n++;
  }
  if (st == VK_OK && rc != SQLITE_DONE)
    st = vk_catalog_fail(catalog, rc, "listing runs", err);
  if (st == VK_OK && id && n == 0)
    st = vk_fail(err, VK_E_NOTFOUND, "catalog %s: no run %s; `vlakit runs` lists them",
                 catalog->path, id);
  sqlite3_finalize(stmt);
  pthread_mutex_unlock(&catalog->lock);
  return st;
}

vk_status vk_catalog_each_episode(vk_catalog *catalog, const char *id, vk_episode_row_fn *fn,
                                  void *arg, vk_err *err)
{
  pthread_mutex_lock(&catalog->lock);
  sqlite3_stmt *stmt = NULL;
  int rc = SQLITE_DONE;
  vk_status st =
      vk_catalog_prepare(catalog,
                         "SELECT task, row, seed, success, steps, error, state_sha256, n_unstable,"
                         " wall_s FROM episode WHERE run_id = :id ORDER BY task, row",
                         &stmt, "listing episodes", err);
  if (st == VK_OK)
    vk_catalog_bind_text(stmt, ":id", id);
  while (st == VK_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    vk_episode_row row = {.task = vk_catalog_text(stmt, 0),
                          .row = sqlite3_column_int(stmt, 1),
                          .seed = sqlite3_column_int64(stmt, 2),
                          .success = sqlite3_column_int(stmt, 3),
                          .steps = sqlite3_column_int(stmt, 4),
                          .error = vk_catalog_text(stmt, 5),
                          .state_sha256 = vk_catalog_text(stmt, 6),
                          .n_unstable = sqlite3_column_int(stmt, 7),
                          .wall_s = sqlite3_column_double(stmt, 8)};
    st = fn(arg, &row, err);
  }
  if (st == VK_OK && rc != SQLITE_DONE)
    st = vk_catalog_fail(catalog, rc, "listing episodes", err);
  sqlite3_finalize(stmt);
  pthread_mutex_unlock(&catalog->lock);
  return st;
}

static vk_status each_point(vk_catalog *catalog, const char *sql, const char *id,
                            vk_point_row_fn *fn, void *arg, vk_err *err)
{
  pthread_mutex_lock(&catalog->lock);
  sqlite3_stmt *stmt = NULL;
  int rc = SQLITE_DONE;
  vk_status st = vk_catalog_prepare(catalog, sql, &stmt, "listing points", err);
  if (st == VK_OK)
    vk_catalog_bind_text(stmt, ":id", id);
  while (st == VK_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    bool is_number = sqlite3_column_type(stmt, 2) != SQLITE_NULL;
    vk_point_row row = {.tag = vk_catalog_text(stmt, 0),
                        .step = sqlite3_column_int64(stmt, 1),
                        .value = is_number ? sqlite3_column_double(stmt, 2) : NAN};
    st = fn(arg, &row, err);
  }
  if (st == VK_OK && rc != SQLITE_DONE)
    st = vk_catalog_fail(catalog, rc, "listing points", err);
  sqlite3_finalize(stmt);
  pthread_mutex_unlock(&catalog->lock);
  return st;
}

vk_status vk_catalog_each_point(vk_catalog *catalog, const char *id, vk_point_row_fn *fn, void *arg,
                                vk_err *err)
{
  return each_point(catalog,
                    "SELECT tag, step, value FROM point WHERE run_id = :id ORDER BY tag, step", id,
                    fn, arg, err);
}

vk_status vk_catalog_each_last_point(vk_catalog *catalog, const char *id, vk_point_row_fn *fn,
                                     void *arg, vk_err *err)
{
  /* Beside max(), SQLite takes the other columns from the row that has it. */
  return each_point(catalog,
                    "SELECT tag, max(step), value FROM point WHERE run_id = :id GROUP BY tag "
                    "ORDER BY tag",
                    id, fn, arg, err);
}

vk_status vk_catalog_pair(vk_catalog *catalog, const char *id_a, const char *id_b, vk_pair_sum *out,
                          vk_err *err)
{
  *out = (vk_pair_sum){0};
  pthread_mutex_lock(&catalog->lock);
  sqlite3_stmt *stmt = NULL;
  vk_status st = vk_catalog_prepare(
      catalog,
      "WITH a AS (SELECT task, row, success FROM episode WHERE run_id = :a),"
      " b AS (SELECT task, row, success FROM episode WHERE run_id = :b),"
      " pair AS (SELECT a.success AS a, b.success AS b FROM a JOIN b USING (task, row)"
      "          WHERE a.success IS NOT NULL AND b.success IS NOT NULL)"
      " SELECT count(*), total(a AND b), total(a AND NOT b), total(b AND NOT a),"
      " total(NOT a AND NOT b), (SELECT count(*) FROM (SELECT task, row FROM a UNION SELECT task,"
      " row FROM b)) FROM pair",
      &stmt, "pairing episodes", err);
  if (st == VK_OK) {
    vk_catalog_bind_text(stmt, ":a", id_a);
    vk_catalog_bind_text(stmt, ":b", id_b);
    int rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
      *out = (vk_pair_sum){.n = sqlite3_column_int(stmt, 0),
                           .both = sqlite3_column_int(stmt, 1),
                           .only_a = sqlite3_column_int(stmt, 2),
                           .only_b = sqlite3_column_int(stmt, 3),
                           .neither = sqlite3_column_int(stmt, 4),
                           .n_unpaired = sqlite3_column_int(stmt, 5) - sqlite3_column_int(stmt, 0)};
    else
      st = vk_catalog_fail(catalog, rc, "pairing episodes", err);
  }
  sqlite3_finalize(stmt);
  pthread_mutex_unlock(&catalog->lock);
  return st;
}
