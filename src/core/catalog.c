#include "core/catalog_db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 30000 };

/* Step i takes a catalog from schema i to i + 1. Append only: old catalogs run the new steps. */
static const char *const migrations[] = {
    "CREATE TABLE run ("
    "  id TEXT PRIMARY KEY,"
    "  state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed', 'interrupted')),"
    "  error TEXT,"
    "  start_utc TEXT NOT NULL,"
    "  end_utc TEXT,"
    "  wall_s REAL NOT NULL DEFAULT 0,"
    "  host TEXT NOT NULL," /* with pid: who writes the row */
    "  pid INTEGER NOT NULL,"
    "  pid_start INTEGER NOT NULL,"
    "  n_thread INTEGER NOT NULL,"
    "  command TEXT NOT NULL,"
    "  command_line TEXT NOT NULL,"
    "  config TEXT NOT NULL,"
    "  version TEXT NOT NULL,"
    "  mujoco TEXT NOT NULL,"
    "  pack_hash TEXT NOT NULL,"
    "  policy_hash TEXT NOT NULL,"
    "  protocol_hash TEXT NOT NULL,"
    "  visuals TEXT NOT NULL,"
    "  isa TEXT NOT NULL,"
    "  machine TEXT NOT NULL"
    ") STRICT;"
    "CREATE TABLE evaluation ("
    "  run_id TEXT PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,"
    "  suite TEXT NOT NULL,"
    "  policy TEXT NOT NULL,"
    "  protocol TEXT NOT NULL,"
    "  rows TEXT NOT NULL,"
    "  seed INTEGER NOT NULL,"
    "  is_seed_given INTEGER NOT NULL,"
    "  n_episode_per_task INTEGER NOT NULL,"
    "  is_n_episode_given INTEGER NOT NULL,"
    "  n_episode INTEGER NOT NULL"
    ") STRICT;"
    "CREATE TABLE episode ("
    "  run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,"
    "  task TEXT NOT NULL,"
    "  row INTEGER NOT NULL,"
    "  seed INTEGER NOT NULL,"
    "  success INTEGER," /* NULL: an error, not a result of the policy */
    "  steps INTEGER NOT NULL,"
    "  error TEXT,"
    "  state_sha256 TEXT,"
    "  n_unstable INTEGER NOT NULL,"
    "  wall_s REAL NOT NULL,"
    "  PRIMARY KEY (run_id, task, row),"
    "  CHECK ((success IS NULL) = (error IS NOT NULL))"
    ") STRICT, WITHOUT ROWID;",
    "ALTER TABLE run DROP COLUMN pid_start;", /* a lock says who lives */
    "CREATE TABLE point ("
    "  run_id TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,"
    "  tag TEXT NOT NULL,"
    "  step INTEGER NOT NULL,"
    "  value REAL," /* NULL: not a number */
    "  PRIMARY KEY (run_id, tag, step)"
    ") STRICT, WITHOUT ROWID;",
};
_Static_assert(VK_COUNT(migrations) == VK_CATALOG_SCHEMA, "one migration a schema version");

/* ---- errors ---- */

vk_status vk_catalog_fail(const vk_catalog *c, int rc, const char *doing, vk_err *err)
{
  const char *message = c->db ? sqlite3_errmsg(c->db) : sqlite3_errstr(rc);
  int os_errno = c->db ? sqlite3_system_errno(c->db) : 0;
  if (rc == SQLITE_IOERR_WRITE || rc == SQLITE_IOERR_SHMSIZE)
    return vk_fail(err, VK_E_IO,
                   "catalog %s: the disk took no more while %s (a limit of file size or a quota is "
                   "reached, or it fails); every row written before is kept: run again when there "
                   "is room, with --resume if it had begun",
                   c->path, doing);
  switch (rc & 0xff) {
  case SQLITE_FULL:
    return vk_fail(
        err, VK_E_IO,
        "catalog %s: no space left while %s; every row written before is kept: run again "
        "when there is room, with --resume if it had begun",
        c->path, doing);
  case SQLITE_READONLY:
    return vk_fail(err, VK_E_IO,
                   "catalog %s: cannot be written (%s); give a writable one with --catalog FILE",
                   c->path, message);
  case SQLITE_PERM:
  case SQLITE_AUTH:
  case SQLITE_CANTOPEN:
    return vk_fail(err, VK_E_IO,
                   "catalog %s: cannot be opened (%s); give another with --catalog FILE", c->path,
                   os_errno ? strerror(os_errno) : message);
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return vk_fail(err, VK_E_FORMAT,
                   "catalog %s: damaged (%s); it is left as it is: restore a copy, or give another "
                   "with --catalog FILE",
                   c->path, message);
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return vk_fail(err, VK_E_IO, "catalog %s: another program has held its lock for %d s while %s",
                   c->path, BUSY_MS / 1000, doing);
  case SQLITE_NOMEM:
    return vk_fail(err, VK_E_NOMEM, "catalog %s: no memory while %s", c->path, doing);
  default:
    return vk_fail(err, VK_E_IO, "catalog %s: %s while %s", c->path, message, doing);
  }
}

/* ---- statements ---- */

vk_status vk_catalog_exec(vk_catalog *c, const char *sql, const char *doing, vk_err *err)
{
  int rc = sqlite3_exec(c->db, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? VK_OK : vk_catalog_fail(c, rc, doing, err);
}

vk_status vk_catalog_prepare(vk_catalog *c, const char *sql, sqlite3_stmt **out, const char *doing,
                             vk_err *err)
{
  int rc = sqlite3_prepare_v2(c->db, sql, -1, out, NULL);
  return rc == SQLITE_OK ? VK_OK : vk_catalog_fail(c, rc, doing, err);
}

int vk_catalog_parameter(sqlite3_stmt *stmt, const char *name)
{
  int i = sqlite3_bind_parameter_index(stmt, name);
  VK_ASSERT(i > 0);
  return i;
}

void vk_catalog_bind_text(sqlite3_stmt *stmt, const char *name, const char *text)
{
  /* Only lack of memory can fail here, and the step then fails on a missing NOT NULL value. */
  if (text)
    sqlite3_bind_text(stmt, vk_catalog_parameter(stmt, name), text, -1, SQLITE_TRANSIENT);
  else
    sqlite3_bind_null(stmt, vk_catalog_parameter(stmt, name));
}

void vk_catalog_bind_i64(sqlite3_stmt *stmt, const char *name, int64_t value)
{
  sqlite3_bind_int64(stmt, vk_catalog_parameter(stmt, name), value);
}

const char *vk_catalog_text(sqlite3_stmt *stmt, int i)
{
  return (const char *)sqlite3_column_text(stmt, i);
}

vk_status vk_catalog_run(vk_catalog *c, sqlite3_stmt *stmt, const char *doing, vk_err *err)
{
  int rc = sqlite3_step(stmt);
  vk_status st = rc == SQLITE_DONE ? VK_OK : vk_catalog_fail(c, rc, doing, err);
  sqlite3_finalize(stmt);
  return st;
}

static vk_status query_i64(vk_catalog *c, const char *sql, int64_t *out, vk_err *err)
{
  sqlite3_stmt *stmt = NULL;
  VK_TRY(vk_catalog_prepare(c, sql, &stmt, "reading", err));
  int rc = sqlite3_step(stmt);
  vk_status st = VK_OK;
  if (rc == SQLITE_ROW)
    *out = sqlite3_column_int64(stmt, 0);
  else
    st = vk_catalog_fail(c, rc, "reading", err);
  sqlite3_finalize(stmt);
  return st;
}

vk_status vk_catalog_end(vk_catalog *c, vk_status st, const char *doing, vk_err *err)
{
  if (st == VK_OK)
    st = vk_catalog_exec(c, "COMMIT", doing, err);
  if (st != VK_OK && !sqlite3_get_autocommit(c->db))
    sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
  return st;
}

/* ---- opening ---- */

vk_status vk_catalog_default_path(char path[VK_FS_PATH_MAX], vk_err *err)
{
  char folder[VK_FS_PATH_MAX];
  VK_TRY(vk_fs_data_dir(folder, err));
  return vk_fs_join(path, VK_FS_PATH_MAX, folder, "catalog.db", err);
}

static vk_status make_folder(const char *path, vk_err *err)
{
  char folder[VK_FS_PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  *strrchr(folder, '/') = '\0';
  return vk_fs_make_dirs(folder, err);
}

/* SQLite gives "" and ":memory:" a meaning of their own; a leading "./" takes it away. In a URI,
 * '%', '?' and '#' would, and two slashes at the front: they begin a host's name, here empty. */
static void path_uri(const char *path, const char *query, char *uri, size_t n_uri)
{
  size_t at = (size_t)snprintf(uri, n_uri, "file:%s", path[0] == '/' ? "//" : "./");
  for (; *path && at + 4 + strlen(query) < n_uri; path++) {
    if (strchr("%?#", *path))
      at += (size_t)snprintf(uri + at, n_uri - at, "%%%02x", (unsigned char)*path);
    else
      uri[at++] = *path;
  }
  snprintf(uri + at, n_uri - at, "%s", query);
}

static vk_status connect_db(vk_catalog *c, int flags, const char *query, vk_err *err)
{
  char uri[3 * sizeof c->path + 32];
  path_uri(c->path, query, uri, sizeof uri);
  /* Handles are locked by us, so SQLite need not. */
  int rc = sqlite3_open_v2(uri, &c->db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
  if (rc != SQLITE_OK) {
    vk_status st = vk_catalog_fail(c, rc, "opening it", err);
    sqlite3_close(c->db);
    c->db = NULL;
    return st;
  }
  sqlite3_extended_result_codes(c->db, 1);
  sqlite3_busy_timeout(c->db, BUSY_MS);
  return VK_OK;
}

/* What the file says it is, before anything is changed. Schema 0 is an empty, new file. */
static vk_status read_schema(vk_catalog *c, int64_t *schema, vk_err *err)
{
  int64_t application = 0, n_table = 0;
  VK_TRY(query_i64(c, "PRAGMA application_id", &application, err));
  VK_TRY(query_i64(c, "PRAGMA user_version", schema, err));
  VK_TRY(query_i64(c, "SELECT count(*) FROM sqlite_schema", &n_table, err));
  bool is_new = application == 0 && *schema == 0 && n_table == 0;
  if (!is_new && application != VK_CATALOG_APPLICATION)
    return vk_fail(err, VK_E_FORMAT,
                   "catalog %s: the database of another program; it is left as it is: give another "
                   "with --catalog FILE",
                   c->path);
  if (*schema > VK_CATALOG_SCHEMA)
    return vk_fail(err, VK_E_VERSION,
                   "catalog %s: made by a newer vlakit (schema %lld, this one knows up to %d); use "
                   "that version, or give another catalog with --catalog FILE",
                   c->path, (long long)*schema, (int)VK_CATALOG_SCHEMA);
  return VK_OK;
}

/* Changing to WAL takes the file for itself for a moment and does not wait as statements do. */
static vk_status set_wal(vk_catalog *c, vk_err *err)
{
  sqlite3_stmt *stmt = NULL;
  int rc = SQLITE_BUSY;
  for (int waited_ms = 0; waited_ms < BUSY_MS; waited_ms += 10) {
    VK_TRY(vk_catalog_prepare(c, "PRAGMA journal_mode = WAL", &stmt, "setting its journal", err));
    rc = sqlite3_step(stmt);
    bool is_wal = rc == SQLITE_ROW && strcmp(vk_catalog_text(stmt, 0), "wal") == 0;
    sqlite3_finalize(stmt);
    if (is_wal)
      return VK_OK;
    if ((rc & 0xff) != SQLITE_BUSY)
      break;
    usleep(10000);
  }
  if (rc == SQLITE_ROW)
    return vk_fail(err, VK_E_UNSUPPORTED,
                   "catalog %s: its file system does not allow SQLite's WAL mode; give one on a "
                   "local disk with --catalog FILE",
                   c->path);
  return vk_catalog_fail(c, rc, "setting its journal", err);
}

static vk_status migrate(vk_catalog *c, vk_err *err)
{
  VK_TRY(vk_catalog_exec(c, "BEGIN IMMEDIATE", "making its tables", err));
  int64_t schema = 0; /* read again: another process may have been first */
  vk_status st = read_schema(c, &schema, err);
  for (int64_t i = schema; i < VK_CATALOG_SCHEMA && st == VK_OK; i++)
    st = vk_catalog_exec(c, migrations[i], "making its tables", err);
  if (st == VK_OK) {
    char sql[96];
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d",
             (int)VK_CATALOG_APPLICATION, (int)VK_CATALOG_SCHEMA);
    st = vk_catalog_exec(c, sql, "making its tables", err);
  }
  return vk_catalog_end(c, st, "making its tables", err);
}

/* As read_schema, in a transaction of its own: another process may be making the tables. */
static vk_status look_at_schema(vk_catalog *c, int64_t *schema, vk_err *err)
{
  VK_TRY(vk_catalog_exec(c, "BEGIN", "reading", err));
  return vk_catalog_end(c, read_schema(c, schema, err), "reading", err);
}

/* A writer works for hours, so it looks at every page before it adds to them. */
static vk_status check_pages(vk_catalog *c, vk_err *err)
{
  sqlite3_stmt *stmt = NULL;
  VK_TRY(vk_catalog_prepare(c, "PRAGMA quick_check(1)", &stmt, "checking it", err));
  int rc = sqlite3_step(stmt);
  vk_status st = VK_OK;
  if (rc != SQLITE_ROW)
    st = vk_catalog_fail(c, rc, "checking it", err);
  else if (strcmp(vk_catalog_text(stmt, 0), "ok") != 0)
    st = vk_fail(err, VK_E_FORMAT,
                 "catalog %s: damaged (%.200s); it is left as it is: restore a copy, or give "
                 "another with --catalog FILE",
                 c->path, vk_catalog_text(stmt, 0));
  sqlite3_finalize(stmt);
  return st;
}

static vk_status open_write(vk_catalog *c, vk_err *err)
{
  int64_t schema = 0;
  VK_TRY(connect_db(c, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, "", err));
  VK_TRY(look_at_schema(c, &schema, err));
  if (sqlite3_db_readonly(c->db, "main") == 1)
    return vk_fail(err, VK_E_IO,
                   "catalog %s: cannot be written (no permission); give a writable one with "
                   "--catalog FILE",
                   c->path);
  VK_TRY(check_pages(c, err));
  VK_TRY(set_wal(c, err));
  /* FULL: a committed episode survives loss of power too. */
  VK_TRY(vk_catalog_exec(c, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON", "setting it up",
                         err));
  return schema < VK_CATALOG_SCHEMA ? migrate(c, err) : VK_OK;
}

static vk_status open_read(vk_catalog *c, vk_err *err)
{
  int64_t schema = 0;
  VK_TRY(connect_db(c, SQLITE_OPEN_READWRITE, "", err));
  vk_status st = look_at_schema(c, &schema, err);
  /* A WAL database in a folder that cannot be written opens only as immutable, which is right when
   * no writer has left a log beside it. */
  char wal[sizeof c->path + 8];
  snprintf(wal, sizeof wal, "%s-wal", c->path);
  if (st == VK_E_IO && access(wal, F_OK) != 0) {
    sqlite3_close(c->db);
    c->db = NULL;
    VK_TRY(connect_db(c, SQLITE_OPEN_READONLY, "?immutable=1", err));
    st = look_at_schema(c, &schema, err);
  }
  if (st == VK_OK && schema == 0)
    return vk_fail(err, VK_E_NOTFOUND,
                   "catalog %s: empty; vlakit eval writes the first run into it", c->path);
  if (st != VK_OK || schema == VK_CATALOG_SCHEMA)
    return st;
  if (sqlite3_db_readonly(c->db, "main") != 1)
    return migrate(c, err);
  return vk_fail(err, VK_E_VERSION,
                 "catalog %s: of an older schema (%lld, this program reads %d), and it cannot be "
                 "written; copy it to where it can be brought up to date",
                 c->path, (long long)schema, (int)VK_CATALOG_SCHEMA);
}

/* What SQLite would say less clearly. */
static vk_status check_file(const vk_catalog *c, vk_catalog_mode mode, vk_err *err)
{
  struct stat info;
  if (stat(c->path, &info) == 0)
    return S_ISREG(info.st_mode)
               ? VK_OK
               : vk_fail(err, VK_E_IO, "catalog %s: this is %s; give a file with --catalog FILE",
                         c->path, S_ISDIR(info.st_mode) ? "a folder" : "not a regular file");
  if (errno == ENOENT && mode == VK_CATALOG_READ)
    return vk_fail(err, VK_E_NOTFOUND,
                   "catalog %s: there is none yet; vlakit eval makes it, or give another with "
                   "--catalog FILE",
                   c->path);
  return VK_OK;
}

vk_status vk_catalog_open(vk_catalog **out, const char *path, vk_catalog_mode mode, vk_err *err)
{
  *out = NULL;
  vk_catalog *c = calloc(1, sizeof *c);
  if (!c)
    return vk_fail(err, VK_E_NOMEM, "catalog: no memory");
  pthread_mutex_init(&c->lock, NULL);
  c->lock_fd = -1;
  vk_status st = VK_OK;
  if (!path) {
    VK_TRY_DONE(vk_catalog_default_path(c->path, err));
    if (mode == VK_CATALOG_WRITE)
      VK_TRY_DONE(make_folder(c->path, err));
  } else if (path[0] == '\0' || strlen(path) >= sizeof c->path) {
    st = vk_fail(err, VK_E_USAGE, "--catalog: a path of 1 to %zu bytes was expected",
                 sizeof c->path - 1);
    goto done;
  } else {
    snprintf(c->path, sizeof c->path, "%s", path);
  }
  VK_TRY_DONE(check_file(c, mode, err));
  st = mode == VK_CATALOG_WRITE ? open_write(c, err) : open_read(c, err);
done:
  if (st == VK_OK)
    *out = c;
  else
    vk_catalog_close(c);
  return st;
}

void vk_catalog_close(vk_catalog *catalog)
{
  if (!catalog)
    return;
  sqlite3_finalize(catalog->put_episode);
  sqlite3_close(catalog->db);
  if (catalog->lock_fd >= 0)
    close(catalog->lock_fd);
  pthread_mutex_destroy(&catalog->lock);
  free(catalog);
}
