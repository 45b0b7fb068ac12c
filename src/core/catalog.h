/* catalog.h - the one SQLite file in which every run, evaluation and episode is a row.
 *
 * Bytes: an SQLite 3 database in WAL mode, `PRAGMA application_id` VK_CATALOG_APPLICATION,
 * `PRAGMA user_version` the schema version. Tables and columns: the SQL in catalog.c, which is what
 * other tools read. Two processes may write at once; a row is there for good when the function that
 * writes it has returned (kill -9 included). A catalog of a newer schema, of another program or
 * with damage is never changed. PATH-lock beside it is empty; who writes a run holds a lock in it.
 *
 * A handle may be used from several threads: its functions lock it.
 * Test: tests/unit/test_catalog.c, tests/cmd/test_eval_catalog.sh */
#ifndef VK_CORE_CATALOG_H
#define VK_CORE_CATALOG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"
#include "core/fs.h"

enum {
  VK_CATALOG_SCHEMA = 3,               /* the newest schema this program knows */
  VK_CATALOG_APPLICATION = 0x766c616b, /* "vlak" */
  VK_RUN_ID_SIZE = 9,                  /* eight characters and the NUL */
};

typedef struct vk_catalog vk_catalog;

typedef enum vk_catalog_mode {
  VK_CATALOG_READ,  /* the file must exist */
  VK_CATALOG_WRITE, /* made when it is not there */
} vk_catalog_mode;

/* catalog.db in vk_fs_data_dir, whose errors it has. */
VK_NODISCARD vk_status vk_catalog_default_path(char path[VK_FS_PATH_MAX], vk_err *err);

/* path NULL: the default path, whose folders are made when writing. An older schema is migrated, in
 * one transaction. Errors: VK_E_NOTFOUND (reading, and there is no file, or an empty one),
 * VK_E_VERSION (newer schema, or older and not writable), VK_E_FORMAT (damaged, or another
 * program's database), VK_E_IO (not a file, no permission, no space, locked for 30 s), and for the
 * default path those of vk_catalog_default_path. */
VK_NODISCARD vk_status vk_catalog_open(vk_catalog **out, const char *path, vk_catalog_mode mode,
                                       vk_err *err);
void vk_catalog_close(vk_catalog *catalog);

/* X(column): text columns of a run that its command fills in; NULL is stored as ''.
 *   command        "eval"
 *   command_line   as typed, words quoted for a shell
 *   config         JSON object: the value of every option
 *   version        of the program, with its commit
 *   mujoco         version of the library
 *   pack_hash policy_hash protocol_hash   SHA-256 in hex
 *   visuals        "none", or what pictures were made with: name, space, SHA-256 in hex
 *   isa            CPU path
 *   machine        processor, cores, memory */
#define VK_RUN_TEXTS(X)                                                                            \
  X(command)                                                                                       \
  X(command_line)                                                                                  \
  X(config)                                                                                        \
  X(version)                                                                                       \
  X(mujoco)                                                                                        \
  X(pack_hash)                                                                                     \
  X(policy_hash)                                                                                   \
  X(protocol_hash)                                                                                 \
  X(visuals)                                                                                       \
  X(isa)                                                                                           \
  X(machine)

/* A row of table run. Strings are borrowed: the caller's on the way in, valid during the callback
 * on the way out. */
typedef struct vk_run_row {
#define X(column) const char *column;
  VK_RUN_TEXTS(X)
#undef X
  int n_thread;
  /* out only */
  const char *id;        /* sorts by start */
  const char *state;     /* running, done, failed, interrupted; a run whose process died reads
                            as interrupted */
  const char *error;     /* NULL: none */
  const char *start_utc; /* "2025-03-01T12:00:00Z" */
  const char *end_utc;   /* NULL: not ended */
  double wall_s;         /* working time, sum over resumes */
} vk_run_row;

/* What an eval run was asked to do. */
typedef struct vk_evaluation_row {
  const char *suite, *policy, *protocol;
  const char *rows; /* "eval": the init rows of the suite */
  int64_t seed;
  bool is_seed_given; /* by the user, else the protocol's */
  int n_episode_per_task;
  bool is_n_episode_given;
  int n_episode; /* planned, all tasks */
} vk_evaluation_row;

typedef struct vk_episode_row {
  const char *task; /* "libero_spatial/3" */
  int row;          /* init row */
  int64_t seed;
  bool success;             /* false when error is not NULL */
  int steps;                /* control steps after the protocol's wait */
  const char *error;        /* why it could not be scored, NULL: it was */
  const char *state_sha256; /* of the final state; NULL when there is none */
  int n_unstable;           /* self-resets of MuJoCo */
  double wall_s;
} vk_episode_row;

/* What the episodes of a run add up to. */
typedef struct vk_episode_sum {
  int n_scored, n_success, n_error;
} vk_episode_sum;

/* The open row that a long command writes to. */
typedef struct vk_run {
  vk_catalog *catalog;
  char id[VK_RUN_ID_SIZE];
} vk_run;

/* Adds a row in state running, and for an eval its evaluation row (NULL: none). */
VK_NODISCARD vk_status vk_run_begin(vk_run *run, vk_catalog *catalog, const vk_run_row *row,
                                    const vk_evaluation_row *evaluation, vk_err *err);

/* Opens an unfinished row again. Errors: VK_E_NOTFOUND, VK_E_MISMATCH when a living process writes
 * to it or it is done. */
VK_NODISCARD vk_status vk_run_resume(vk_run *run, vk_catalog *catalog, const char *id, vk_err *err);

/* Ends the row. result VK_OK: done; VK_E_INTERRUPTED: interrupted; else failed, with the sentence
 * of why (may be NULL). wall_s is added to what earlier parts of the run took. */
VK_NODISCARD vk_status vk_run_finish(vk_run *run, vk_status result, const vk_err *why,
                                     double wall_s, vk_err *err);

/* Writes a finished episode. A second row of the same task and init row is VK_E_MISMATCH. */
VK_NODISCARD vk_status vk_run_put_episode(vk_run *run, const vk_episode_row *episode, vk_err *err);

/* A point of a curve: "train/loss". Its value may be NaN. */
typedef struct vk_point_row {
  const char *tag;
  int64_t step;
  double value;
} vk_point_row;

/* Writes n points, all or none; a point of the same tag and step takes the place of the one before
 * (a run that goes on from an earlier step). */
VK_NODISCARD vk_status vk_run_put_points(vk_run *run, int n, const vk_point_row *point,
                                         vk_err *err);

/* Queries call fn for each row, in order, until it returns other than VK_OK, which they return. fn
 * must not call the catalog. */
typedef vk_status vk_run_row_fn(void *arg, const vk_run_row *row,
                                const vk_evaluation_row *evaluation /* NULL: not an eval */,
                                const vk_episode_sum *sum, vk_err *err);
typedef vk_status vk_episode_row_fn(void *arg, const vk_episode_row *row, vk_err *err);

/* Runs by start; id NULL: all. Errors: VK_E_NOTFOUND when id names none, fn's own. */
VK_NODISCARD vk_status vk_catalog_each_run(vk_catalog *catalog, const char *id, vk_run_row_fn *fn,
                                           void *arg, vk_err *err);

/* Episodes of a run by task and init row. */
VK_NODISCARD vk_status vk_catalog_each_episode(vk_catalog *catalog, const char *id,
                                               vk_episode_row_fn *fn, void *arg, vk_err *err);

typedef vk_status vk_point_row_fn(void *arg, const vk_point_row *row, vk_err *err);

/* Points of a run by tag and step. */
VK_NODISCARD vk_status vk_catalog_each_point(vk_catalog *catalog, const char *id,
                                             vk_point_row_fn *fn, void *arg, vk_err *err);

/* The last point of each curve of a run, by tag. */
VK_NODISCARD vk_status vk_catalog_each_last_point(vk_catalog *catalog, const char *id,
                                                  vk_point_row_fn *fn, void *arg, vk_err *err);

/* What went with a run that was removed. */
typedef struct vk_removed_sum {
  int n_episode, n_point;
} vk_removed_sum;

/* Removes runs with their episodes and points, all of them or none; files that they wrote are not
 * touched.
 *   id   [n] no id twice
 *   sum  out [n]
 * Errors: VK_E_NOTFOUND (no such run), VK_E_MISMATCH (a living process writes to one), VK_E_IO. */
VK_NODISCARD vk_status vk_catalog_remove(vk_catalog *catalog, int n, const char *const *id,
                                         vk_removed_sum *sum, vk_err *err);

/* Episodes that two runs share by (task, row) and that both scored. */
typedef struct vk_pair_sum {
  int n, both, only_a, only_b, neither;
  int n_unpaired; /* scored or not, in one run only or with an error in one of them */
} vk_pair_sum;

/* Counts the pairs of runs A and B. Errors: VK_E_NOTFOUND (no such run), VK_E_IO. */
VK_NODISCARD vk_status vk_catalog_pair(vk_catalog *catalog, const char *id_a, const char *id_b,
                                       vk_pair_sum *out, vk_err *err);

#endif
