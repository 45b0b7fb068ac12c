/* catalog_db.h - what catalog.c and catalog_run.c share; nobody else includes it.
 * `doing` completes sentences: "no space left while writing an episode".
 * Test: tests/unit/test_catalog.c */
#ifndef VK_CORE_CATALOG_DB_H
#define VK_CORE_CATALOG_DB_H

#include <pthread.h>
#include <sqlite3.h>

#include "core/catalog.h"

struct vk_catalog {
  sqlite3 *db;
  sqlite3_stmt *put_episode; /* kept, as it runs once an episode */
  pthread_mutex_t lock;
  int lock_fd; /* of PATH-lock, with the locks of the runs that this handle writes; -1: none yet */
  char path[VK_FS_PATH_MAX];
};

/* The sentence for an SQLite result code. */
vk_status vk_catalog_fail(const vk_catalog *c, int rc, const char *doing, vk_err *err);

/* Statements without parameters and rows. */
VK_NODISCARD vk_status vk_catalog_exec(vk_catalog *c, const char *sql, const char *doing,
                                       vk_err *err);
VK_NODISCARD vk_status vk_catalog_prepare(vk_catalog *c, const char *sql, sqlite3_stmt **out,
                                          const char *doing, vk_err *err);
/* Runs a statement that gives no rows, and finalizes it. */
VK_NODISCARD vk_status vk_catalog_run(vk_catalog *c, sqlite3_stmt *stmt, const char *doing,
                                      vk_err *err);
/* Ends a transaction: commits when st is VK_OK; otherwise, or when that fails, rolls back. */
VK_NODISCARD vk_status vk_catalog_end(vk_catalog *c, vk_status st, const char *doing, vk_err *err);

/* Parameters are named (":column"); a name that the statement lacks is wrong code. */
int vk_catalog_parameter(sqlite3_stmt *stmt, const char *name);
void vk_catalog_bind_text(sqlite3_stmt *stmt, const char *name, const char *text /* may be NULL */);
void vk_catalog_bind_i64(sqlite3_stmt *stmt, const char *name, int64_t value);
const char *vk_catalog_text(sqlite3_stmt *stmt, int i_column);

#endif
