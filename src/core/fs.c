#include "core/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "config.h"

vk_status vk_fs_fail(vk_err *err, const char *path, const char *doing)
{
  int error = errno;
  vk_status st = error == ENOENT || error == ENOTDIR ? VK_E_NOTFOUND
                 : error == ENOMEM                   ? VK_E_NOMEM
                                                     : VK_E_IO;
  return vk_fail(err, st, "%s: cannot %s: %s", path, doing, strerror(error));
}

bool vk_fs_is_file(const char *path)
{
  struct stat info;
  return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool vk_fs_is_dir(const char *path)
{
  struct stat info;
  return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

vk_status vk_fs_join(char *out, size_t n, const char *dir, const char *name, vk_err *err)
{
  size_t n_dir = name[0] == '/' ? 0 : strlen(dir);
  const char *slash = n_dir == 0 || dir[n_dir - 1] == '/' ? "" : "/";
  int n_need = snprintf(out, n, "%.*s%s%s", (int)n_dir, dir, slash, name);
  if (n_need < 0 || (size_t)n_need >= n)
    return vk_fail(err, VK_E_RANGE, "path of %d bytes, at most %zu possible: %.60s.../%.60s",
                   n_need, n - 1, dir, name);
  return VK_OK;
}

vk_status vk_fs_absolute(char out[VK_FS_PATH_MAX], const char *path, vk_err *err)
{
  char here[VK_FS_PATH_MAX];
  if (!getcwd(here, sizeof here))
    return vk_fs_fail(err, ".", "find");
  VK_TRY(vk_fs_join(out, VK_FS_PATH_MAX, here, path, err));
  for (size_t n = strlen(out); n > 1 && out[n - 1] == '/';)
    out[--n] = '\0';
  return VK_OK;
}

static vk_status make_dir(const char *path, vk_err *err)
{
  if (mkdir(path, 0777) == 0)
    return VK_OK;
  int error = errno;
  if (vk_fs_is_dir(path))
    return VK_OK;
  return vk_fail(err, VK_E_IO, "%s: cannot make the folder: %s", path,
                 error == EEXIST ? "something else has this name" : strerror(error));
}

vk_status vk_fs_make_dirs(const char *path, vk_err *err)
{
  char part[VK_FS_PATH_MAX];
  VK_TRY(vk_fs_join(part, sizeof part, "", path, err));
  for (char *at = part + 1; part[0] && *at; at++) {
    if (*at != '/')
      continue;
    *at = '\0';
    VK_TRY(make_dir(part, err));
    *at = '/';
  }
  return make_dir(part, err);
}

vk_status vk_fs_lock_dir(int *fd, const char *path, vk_err *err)
{
  *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (*fd < 0)
    return vk_fs_fail(err, path, "open");
  if (flock(*fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
    return VK_OK;
  close(*fd);
  *fd = -1;
  return vk_fail(err, VK_E_MISMATCH, "%s: another process is writing there; take another folder",
                 path);
}

static vk_status user_dir(char out[VK_FS_PATH_MAX], const char *variable, const char *below_home,
                          vk_err *err)
{
  const char *base = getenv(variable), *home = getenv("HOME");
  if (base && base[0] == '/')
    return vk_fs_join(out, VK_FS_PATH_MAX, base, "vlakit", err);
  if (home && home[0] == '/')
    return vk_fs_join(out, VK_FS_PATH_MAX, home, below_home, err);
  return vk_fail(err, VK_E_UNSUPPORTED,
                 "no folder for the user's files: neither %s nor HOME is set to an absolute path",
                 variable);
}

vk_status vk_fs_data_dir(char out[VK_FS_PATH_MAX], vk_err *err)
{
  return user_dir(out, "XDG_DATA_HOME", ".local/share/vlakit", err);
}

vk_status vk_fs_cache_dir(char out[VK_FS_PATH_MAX], vk_err *err)
{
  return user_dir(out, "XDG_CACHE_HOME", ".cache/vlakit", err);
}

static void add_place(vk_fs_data_places *places, const char *parent, const char *name)
{
  char path[VK_FS_PATH_MAX];
  if (vk_fs_join(path, sizeof path, parent, name, NULL) != VK_OK)
    return;
  for (int i = 0; i < places->n; i++)
    if (strcmp(places->dir[i], path) == 0)
      return;
  VK_ASSERT(places->n < VK_FS_DATA_PLACES_MAX);
  memcpy(places->dir[places->n++], path, sizeof path);
}

/* The folder above the one that the running program lies in; links are followed. "": not known. */
static void find_program_parent(char out[VK_FS_PATH_MAX])
{
  ssize_t n = readlink("/proc/self/exe", out, VK_FS_PATH_MAX - 1);
  out[n < 0 ? 0 : n] = '\0';
  for (int i = 0; i < 2 && out[0]; i++) {
    char *slash = strrchr(out, '/');
    *(slash ? slash : out) = '\0';
  }
  if (n > 0 && !out[0])
    snprintf(out, VK_FS_PATH_MAX, "/"); /* of /bin/vlakit */
}

void vk_fs_find_data_places(vk_fs_data_places *places)
{
  char parent[VK_FS_PATH_MAX];
  places->n = 0;
  find_program_parent(parent);
  if (parent[0]) {
    add_place(places, parent, "share/vlakit");
    add_place(places, parent, "data");
  }
  add_place(places, "", VK_DATA_DIR);
  add_place(places, "", VK_SOURCE_DATA_DIR);
}

vk_status vk_fs_find_data(char out[VK_FS_PATH_MAX], const char *name, vk_err *err)
{
  vk_fs_data_places places;
  vk_fs_find_data_places(&places);
  for (int i = 0; i < places.n; i++) {
    VK_TRY(vk_fs_join(out, VK_FS_PATH_MAX, places.dir[i], name, err));
    if (vk_fs_is_file(out))
      return VK_OK;
  }
  char all[400] = "";
  for (int i = 0; i < places.n; i++) {
    size_t at = strlen(all);
    snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", places.dir[i]);
  }
  return vk_fail(err, VK_E_NOTFOUND, "%s is in none of %s: install the program again", name, all);
}

vk_status vk_fs_open(int *fd, const char *path, uint64_t *size, vk_err *err)
{
  /* Without O_NONBLOCK a FIFO would hang here before it can be refused. */
  *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (*fd < 0)
    return vk_fs_fail(err, path, "open");
  vk_status st = VK_OK;
  struct stat info;
  if (fstat(*fd, &info) != 0)
    st = vk_fs_fail(err, path, "look at");
  else if (!S_ISREG(info.st_mode))
    st = vk_fail(err, VK_E_IO, "%s: %s, a file expected", path,
                 S_ISDIR(info.st_mode) ? "this is a folder" : "not a regular file");
  else if (size)
    *size = (uint64_t)info.st_size;
  if (st != VK_OK) {
    close(*fd);
    *fd = -1;
  }
  return st;
}

vk_status vk_fs_read(char **bytes, size_t *n, const char *path, size_t max_bytes, vk_err *err)
{
  *bytes = NULL;
  *n = 0;
  int fd;
  uint64_t size;
  VK_TRY(vk_fs_open(&fd, path, &size, err));
  vk_status st = VK_OK;
  char *buf = NULL;
  if (size > max_bytes) {
    st = vk_fail(err, VK_E_RANGE, "%s: %llu bytes, at most %zu expected", path,
                 (unsigned long long)size, max_bytes);
    goto done;
  }
  /* The end is where read says it is: files below /proc call themselves empty, others grow. */
  size_t cap = 0, at = 0;
  for (;;) {
    if (at == cap) {
      cap = cap ? 2 * cap : (size_t)size + 1;
      char *grown = realloc(buf, cap + 1);
      if (!grown) {
        st = vk_fail(err, VK_E_NOMEM, "%s: no memory for %zu bytes", path, cap + 1);
        goto done;
      }
      buf = grown;
    }
    ssize_t n_got = read(fd, buf + at, cap - at);
    if (n_got < 0 && errno == EINTR)
      continue;
    if (n_got < 0) {
      st = vk_fs_fail(err, path, "read");
      goto done;
    }
    if (n_got == 0)
      break;
    at += (size_t)n_got;
    if (at > max_bytes) {
      st = vk_fail(err, VK_E_RANGE, "%s: more than %zu bytes, which is the most expected", path,
                   max_bytes);
      goto done;
    }
  }
  buf[at] = '\0';
  *bytes = buf;
  *n = at;
  buf = NULL;
done:
  free(buf);
  close(fd);
  return st;
}

vk_status vk_fs_map_open(vk_fs_map *map, const char *path, vk_err *err)
{
  *map = (vk_fs_map){0};
  int fd;
  uint64_t size;
  VK_TRY(vk_fs_open(&fd, path, &size, err));
  if (size == 0) { /* mmap refuses these */
    map->bytes = (const uint8_t *)"";
    close(fd);
    return VK_OK;
  }
  void *at = size > SIZE_MAX ? MAP_FAILED : mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
  vk_status st = VK_OK;
  if (at == MAP_FAILED)
    st = vk_fs_fail(err, path, "map");
  else
    *map = (vk_fs_map){at, (size_t)size};
  close(fd);
  return st;
}

void vk_fs_map_close(vk_fs_map *map)
{
  if (map->n)
    munmap((void *)(uintptr_t)map->bytes, map->n);
  *map = (vk_fs_map){0};
}

/* The folder of path: "." when it names none. */
static void parent_of(char out[VK_FS_PATH_MAX], const char *path)
{
  const char *slash = strrchr(path, '/');
  size_t n = !slash ? 0 : slash == path ? 1 : (size_t)(slash - path);
  snprintf(out, VK_FS_PATH_MAX, "%.*s", n ? (int)n : 1, n ? path : ".");
}

/* Closes and removes, after a failure with this errno. */
static vk_status write_failed(vk_fs_writer *w, int error, vk_err *err)
{
  long long n_written = ftell(w->file);
  char dir[VK_FS_PATH_MAX];
  parent_of(dir, w->path);
  struct statvfs disk;
  bool is_full = error == ENOSPC || error == EDQUOT ||
                 (error == 0 && statvfs(dir, &disk) == 0 && disk.f_bavail == 0);
  vk_fs_writer_abort(w);
  if (is_full)
    return vk_fail(err, VK_E_IO,
                   "%s: the disk is full after %lld bytes; nothing was changed, free some space "
                   "in %s and run again",
                   w->path, n_written < 0 ? 0 : n_written, dir);
  return vk_fail(err, VK_E_IO, "%s: cannot write: %s", w->path,
                 error ? strerror(error) : "the operating system refused");
}

static vk_status open_temp(vk_fs_writer *w, int *fd, vk_err *err)
{
  char dir[VK_FS_PATH_MAX];
  parent_of(dir, w->path);
  const char *slash = strrchr(w->path, '/');
  for (int i = 0; i < 1000; i++) {
    char name[300];
    snprintf(name, sizeof name, ".%.200s.%ld-%d.tmp", slash ? slash + 1 : w->path, (long)getpid(),
             i);
    VK_TRY(vk_fs_join(w->temp, sizeof w->temp, dir, name, err));
    *fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (*fd >= 0)
      return VK_OK;
    if (errno != EEXIST)
      break;
  }
  w->temp[0] = '\0';
  if (errno == ENOENT)
    return vk_fail(err, VK_E_NOTFOUND, "%s: cannot write: the folder %s does not exist", w->path,
                   dir);
  return vk_fs_fail(err, w->path, "write");
}

vk_status vk_fs_writer_open(vk_fs_writer *w, const char *path, vk_err *err)
{
  w->file = NULL;
  w->temp[0] = '\0';
  char *real = realpath(path, NULL); /* NULL when it does not exist yet */
  vk_status st = vk_fs_join(w->path, sizeof w->path, "", real ? real : path, err);
  free(real);
  VK_TRY(st);
  struct stat info;
  bool is_there = stat(w->path, &info) == 0;
  if (is_there && S_ISDIR(info.st_mode))
    return vk_fail(err, VK_E_IO, "%s: cannot write: this is a folder, a file expected", path);
  int fd = -1;
  if (is_there && !S_ISREG(info.st_mode)) {
    fd = open(w->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
      return vk_fs_fail(err, path, "write");
  } else {
    VK_TRY(open_temp(w, &fd, err));
    if (is_there)
      fchmod(fd, info.st_mode & 0777); /* a file system without modes loses nothing */
  }
  if (!(w->file = fdopen(fd, "wb"))) {
    close(fd);
    if (w->temp[0])
      unlink(w->temp);
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to write", path);
  }
  return VK_OK;
}

vk_status vk_fs_writer_add(vk_fs_writer *w, const void *bytes, size_t n, vk_err *err)
{
  VK_ASSERT(w->file);
  errno = 0;
  if (n && fwrite(bytes, 1, n, w->file) != n)
    return write_failed(w, errno, err);
  return VK_OK;
}

vk_status vk_fs_writer_commit(vk_fs_writer *w, vk_err *err)
{
  VK_ASSERT(w->file);
  errno = 0;
  bool is_lost = ferror(w->file); /* with its reason, for which another byte asks again */
  if (is_lost)
    fputc(' ', w->file);
  if (fflush(w->file) != 0 || is_lost)
    return write_failed(w, errno, err);
  if (w->temp[0] && fsync(fileno(w->file)) != 0)
    return write_failed(w, errno, err);
  if (w->temp[0] && rename(w->temp, w->path) != 0)
    return write_failed(w, errno, err);
  int closed = fclose(w->file), error = errno;
  w->file = NULL;
  if (closed != 0)
    return vk_fail(err, VK_E_IO, "%s: cannot write: %s", w->path, strerror(error));
  if (w->temp[0]) {
    /* The name is safe only when the folder is on disk; a system that cannot sync folders keeps
     * them safe by itself, so the answer does not matter. */
    char dir[VK_FS_PATH_MAX];
    parent_of(dir, w->path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
      fsync(fd);
      close(fd);
    }
  }
  return VK_OK;
}

void vk_fs_writer_abort(vk_fs_writer *w)
{
  if (!w->file)
    return;
  fclose(w->file);
  w->file = NULL;
  if (w->temp[0])
    unlink(w->temp);
}

/* ".NAME.PID-N.tmp", as open_temp makes them: the process, or 0. */
static long pid_of_temp(const char *name)
{
  size_t n = strlen(name);
  if (name[0] != '.' || n < 8 || strcmp(name + n - 4, ".tmp") != 0)
    return 0;
  const char *at = name + n - 4;
  while (at > name && at[-1] != '.')
    at--;
  char *end;
  long pid = strtol(at, &end, 10);
  return pid > 0 && *end == '-' && strspn(end + 1, "0123456789") == strlen(end + 1) - 4 ? pid : 0;
}

/* Whether a name of open_temp is prefix and then the process; "" is the prefix of all. */
static bool is_temp_of(const char *name, const char *prefix)
{
  size_t n = strlen(prefix);
  return n == 0 ||
         (strncmp(name, prefix, n) == 0 && n + strcspn(name + n, ".") + 4 == strlen(name));
}

/* prefix: of the names that are meant, ".NAME." */
static void remove_leftovers(const char *dir, const char *prefix)
{
  DIR *d = opendir(dir);
  if (!d)
    return;
  for (struct dirent *e; (e = readdir(d));) {
    char path[VK_FS_PATH_MAX];
    long pid = pid_of_temp(e->d_name);
    if (pid && is_temp_of(e->d_name, prefix) && kill((pid_t)pid, 0) != 0 && errno == ESRCH &&
        vk_fs_join(path, sizeof path, dir, e->d_name, NULL) == VK_OK)
      unlink(path);
  }
  closedir(d);
}

void vk_fs_remove_leftovers(const char *dir)
{
  remove_leftovers(dir, "");
}

void vk_fs_remove_leftovers_of(const char *path)
{
  char dir[VK_FS_PATH_MAX], prefix[300];
  const char *slash = strrchr(path, '/');
  parent_of(dir, path);
  snprintf(prefix, sizeof prefix, ".%.200s.", slash ? slash + 1 : path); /* as open_temp */
  remove_leftovers(dir, prefix);
}

vk_status vk_fs_write(const char *path, const void *bytes, size_t n, vk_err *err)
{
  vk_fs_writer w;
  VK_TRY(vk_fs_writer_open(&w, path, err));
  VK_TRY(vk_fs_writer_add(&w, bytes, n, err));
  return vk_fs_writer_commit(&w, err);
}
