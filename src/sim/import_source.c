#include "sim/import_source.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/fs.h"
#include "core/zip.h"

/* What a file may weigh, how deep folders are searched, how many files are listed. */
enum { FILE_BYTES_MAX = 64 << 20, FOLDER_DEPTH_MAX = 16, FILE_COUNT_MAX = 1000000 };

typedef struct source_file {
  char *path;        /* in the source; for a folder the path that opens it */
  int source;        /* number of the vk_source_add that found it */
  const vk_zip *zip; /* NULL: a file of a folder */
  const vk_zip_entry *entry;
} source_file;

struct vk_source {
  source_file *file;
  size_t n_file, room;
  int n_source;
  vk_zip **zip;
  size_t n_zip;
};

vk_status vk_source_new(vk_source **out, vk_err *err)
{
  *out = calloc(1, sizeof **out);
  return *out ? VK_OK : vk_fail(err, VK_E_NOMEM, "no memory to list files");
}

void vk_source_free(vk_source *source)
{
  if (!source)
    return;
  for (size_t i = 0; i < source->n_file; i++)
    free(source->file[i].path);
  free(source->file);
  for (size_t i = 0; i < source->n_zip; i++)
    vk_zip_free(source->zip[i]);
  free(source->zip);
  free(source);
}

static vk_status add_file(vk_source *s, const char *path, const vk_zip *zip,
                          const vk_zip_entry *entry, vk_err *err)
{
  if (s->n_file == s->room) {
    if (s->room >= FILE_COUNT_MAX)
      return vk_fail(err, VK_E_RANGE, "more than %d files below the paths given to --from",
                     FILE_COUNT_MAX);
    size_t room = 2 * s->room + 256;
    source_file *p = realloc(s->file, room * sizeof *p);
    if (!p)
      return vk_fail(err, VK_E_NOMEM, "no memory to list files");
    s->file = p;
    s->room = room;
  }
  char *copy = strdup(path);
  if (!copy)
    return vk_fail(err, VK_E_NOMEM, "no memory to list files");
  s->file[s->n_file++] = (source_file){copy, s->n_source, zip, entry};
  return VK_OK;
}

static vk_status add_zip(vk_source *s, const char *path, vk_err *err)
{
  vk_zip **p = realloc(s->zip, (s->n_zip + 1) * sizeof *p);
  if (!p)
    return vk_fail(err, VK_E_NOMEM, "no memory to list files");
  s->zip = p;
  VK_TRY(vk_zip_open(&s->zip[s->n_zip], path, err));
  const vk_zip *zip = s->zip[s->n_zip++];
  for (int i = 0; i < vk_zip_count(zip); i++) {
    const vk_zip_entry *entry = vk_zip_get(zip, i);
    size_t n = strlen(entry->name);
    if (n > 0 && entry->name[n - 1] != '/')
      VK_TRY(add_file(s, entry->name, zip, entry, err));
  }
  return VK_OK;
}

/* The folders that a folder lies in, as a link may lead back to one of them. */
typedef struct folder_chain {
  const struct folder_chain *outer;
  dev_t dev;
  ino_t ino;
} folder_chain;

static bool is_in_chain(const folder_chain *chain, const struct stat *info)
{
  for (; chain; chain = chain->outer)
    if (chain->dev == info->st_dev && chain->ino == info->st_ino)
      return true;
  return false;
}

static vk_status add_folder(vk_source *s, const char *path, const struct stat *self, int depth,
                            const folder_chain *outer, vk_err *err)
{
  const folder_chain chain = {outer, self->st_dev, self->st_ino};
  DIR *dir = opendir(path);
  if (!dir) {
    if (depth > 0)
      return VK_OK; /* a folder inside that may not be read holds nothing of ours */
    return vk_fs_fail(err, path, "list");
  }
  vk_status st = VK_OK;
  for (struct dirent *d; st == VK_OK && (d = readdir(dir)) != NULL;) {
    char child[VK_FS_PATH_MAX];
    struct stat info;
    if (d->d_name[0] == '.' ||
        (size_t)snprintf(child, sizeof child, "%s/%s", path, d->d_name) >= sizeof child ||
        stat(child, &info) != 0)
      continue;
    if (S_ISDIR(info.st_mode) && depth < FOLDER_DEPTH_MAX && !is_in_chain(&chain, &info))
      st = add_folder(s, child, &info, depth + 1, &chain, err);
    else if (S_ISREG(info.st_mode))
      st = add_file(s, child, NULL, NULL, err);
  }
  closedir(dir);
  return st;
}

vk_status vk_source_add(vk_source *source, const char *path, vk_err *err)
{
  struct stat info;
  if (stat(path, &info) != 0)
    return vk_fs_fail(err, path, "read");
  source->n_source++;
  if (S_ISDIR(info.st_mode))
    return add_folder(source, path, &info, 0, NULL, err);
  return add_zip(source, path, err);
}

static const source_file *find_file(const vk_source *s, const char *end)
{
  size_t n_end = strlen(end), n_best = 0;
  const source_file *best = NULL;
  for (size_t i = 0; i < s->n_file; i++) {
    const source_file *f = &s->file[i];
    size_t n = strlen(f->path);
    if (n < n_end || strcmp(f->path + n - n_end, end) != 0 ||
        (n > n_end && f->path[n - n_end - 1] != '/'))
      continue;
    if (best && best->source != f->source)
      break;
    if (!best || n < n_best || (n == n_best && strcmp(f->path, best->path) < 0)) {
      best = f;
      n_best = n;
    }
  }
  return best;
}

bool vk_source_has(const vk_source *source, const char *end)
{
  return find_file(source, end) != NULL;
}

vk_status vk_source_read(const vk_source *source, const char *end, void **bytes, size_t *n,
                         vk_err *err)
{
  const source_file *f = find_file(source, end);
  if (!f)
    return vk_fail(err, VK_E_NOTFOUND, "no file %s below the paths given to --from", end);
  if (!f->zip) {
    char *text;
    VK_TRY(vk_fs_read(&text, n, f->path, FILE_BYTES_MAX, err));
    *bytes = text;
    return VK_OK;
  }
  return vk_zip_read(f->zip, f->entry, FILE_BYTES_MAX, bytes, n, err);
}
