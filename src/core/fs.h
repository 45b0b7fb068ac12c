/* fs.h - files and folders: whole reads with a limit, read-only maps, and writes that replace a
 * file at once or not at all. Test: tests/unit/test_fs.c */
#ifndef VK_CORE_FS_H
#define VK_CORE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/err.h"

enum { VK_FS_PATH_MAX = 4096 }; /* size of path buffers, NUL included */

/* "PATH: cannot DOING: REASON" with errno's reason; `doing` is a verb ("open"). Returns
 * VK_E_NOTFOUND for ENOENT and ENOTDIR, VK_E_NOMEM for ENOMEM, else VK_E_IO. */
vk_status vk_fs_fail(vk_err *err, const char *path, const char *doing);

/* Links are followed; false when it cannot be told. */
bool vk_fs_is_file(const char *path); /* a regular file */
bool vk_fs_is_dir(const char *path);

/* DIR/NAME, or NAME alone when dir is empty or name is absolute; n bytes with the NUL.
 * Errors: VK_E_RANGE when it does not fit. */
VK_NODISCARD vk_status vk_fs_join(char *out, size_t n, const char *dir, const char *name,
                                  vk_err *err);
/* path as it is called from any folder, without a slash at its end; it need not exist.
 * Errors: VK_E_IO, VK_E_RANGE (too long). */
VK_NODISCARD vk_status vk_fs_absolute(char out[VK_FS_PATH_MAX], const char *path, vk_err *err);

/* Makes a folder and its parents; one that is there already is fine. Errors: VK_E_IO. */
VK_NODISCARD vk_status vk_fs_make_dirs(const char *path, vk_err *err);

/* Keeps a folder for one process at a time, until *fd is closed; -1 on failure. A folder of a file
 * system without locks is nobody's.
 * Errors: VK_E_MISMATCH (another process has it), VK_E_IO. */
VK_NODISCARD vk_status vk_fs_lock_dir(int *fd, const char *path, vk_err *err);

/* $XDG_DATA_HOME/vlakit or ~/.local/share/vlakit, and $XDG_CACHE_HOME/vlakit or ~/.cache/vlakit:
 * the user's folders, which may not exist yet. Relative values count as unset, as the XDG base
 * directory specification says. Errors: VK_E_UNSUPPORTED (no HOME), VK_E_RANGE (too long). */
VK_NODISCARD vk_status vk_fs_data_dir(char out[VK_FS_PATH_MAX], vk_err *err);
VK_NODISCARD vk_status vk_fs_cache_dir(char out[VK_FS_PATH_MAX], vk_err *err);

/* The folders that may hold what comes with the program, the first to be asked first, each once:
 * those beside the running program (../share/vlakit of bin/, ../data of a build folder), so that
 * an installation or a clone may be moved, and those that the build was configured for. */
enum { VK_FS_DATA_PLACES_MAX = 4 };
typedef struct vk_fs_data_places {
  int n;
  char dir[VK_FS_DATA_PLACES_MAX][VK_FS_PATH_MAX];
} vk_fs_data_places;
void vk_fs_find_data_places(vk_fs_data_places *places);

/* Where a file that comes with the program is. Errors: VK_E_NOTFOUND, with the places searched. */
VK_NODISCARD vk_status vk_fs_find_data(char out[VK_FS_PATH_MAX], const char *name, vk_err *err);

/* Opens for reading; a folder, pipe or device is refused without waiting for it.
 *   size  out, bytes; may be NULL
 * Errors: VK_E_NOTFOUND, VK_E_IO. */
VK_NODISCARD vk_status vk_fs_open(int *fd, const char *path, uint64_t *size, vk_err *err);

/* A regular file's whole content, with a NUL after it that n does not count; free() it.
 * Errors: VK_E_NOTFOUND, VK_E_IO, VK_E_RANGE (more than max_bytes), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_fs_read(char **bytes, size_t *n, const char *path, size_t max_bytes,
                                  vk_err *err);

/* A file's content without reading it. A file that others shorten while it is mapped raises SIGBUS
 * on access: map only files that are replaced as a whole. */
typedef struct vk_fs_map {
  const uint8_t *bytes; /* never NULL while open */
  size_t n;
} vk_fs_map;

/* Errors: VK_E_NOTFOUND, VK_E_IO. */
VK_NODISCARD vk_status vk_fs_map_open(vk_fs_map *map, const char *path, vk_err *err);
/* A zeroed or closed map is allowed. */
void vk_fs_map_close(vk_fs_map *map);

/* Writes a new version of a file beside it and swaps it in by commit: whoever reads the path sees
 * the old file or the new one, whole, whatever happens on the way. After open, end with commit or
 * abort; abort after either is harmless, so it may stand at a `done:` label.
 *
 * A link is followed; the file keeps its mode. A device or pipe (/dev/null) is written directly. */
typedef struct vk_fs_writer {
  FILE *file; /* for libraries that print into one; NULL when not open */
  char path[VK_FS_PATH_MAX];
  char temp[VK_FS_PATH_MAX]; /* "" when written directly */
} vk_fs_writer;

/* Errors: VK_E_NOTFOUND (no such folder), VK_E_IO. */
VK_NODISCARD vk_status vk_fs_writer_open(vk_fs_writer *w, const char *path, vk_err *err);
/* Errors: VK_E_IO, with one sentence when the disk is full; the temporary file is gone then. */
VK_NODISCARD vk_status vk_fs_writer_add(vk_fs_writer *w, const void *bytes, size_t n, vk_err *err);
/* Flushes, syncs, swaps in, syncs the folder. Errors as add; w is closed in any case. */
VK_NODISCARD vk_status vk_fs_writer_commit(vk_fs_writer *w, vk_err *err);
/* Forgets what was written. */
void vk_fs_writer_abort(vk_fs_writer *w);

/* Removes from a folder what writers in processes that are no longer running (killed, say) left; a
 * folder that is not there is fine. Names of this process are kept. */
void vk_fs_remove_leftovers(const char *dir);
/* The same for the writers of one file, in a folder where others write theirs. */
void vk_fs_remove_leftovers_of(const char *path);

/* All in one: the file's content becomes n bytes. */
VK_NODISCARD vk_status vk_fs_write(const char *path, const void *bytes, size_t n, vk_err *err);

#endif
