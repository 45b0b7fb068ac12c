#include "core/hdf5.h"

#include <dlfcn.h>
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"

/* H5F_ACC_RDONLY and H5F_ACC_TRUNC, which call the library as the header has them. */
enum { ACC_READ = 0, ACC_TRUNC = 2 };

enum { NAMES_MAX = 1 << 20, TEXT_MAX = 1 << 24 };

/* X(name): what is used of the library. Numbered names are those that its releases have agreed on
 * since 1.8; 1.10 made identifiers 64 bits wide. */
#define H5_FUNCTIONS(X)                                                                            \
  X(H5dont_atexit)                                                                                 \
  X(H5open)                                                                                        \
  X(H5get_libversion)                                                                              \
  X(H5free_memory)                                                                                 \
  X(H5Eset_auto2)                                                                                  \
  X(H5Eclear2)                                                                                     \
  X(H5Ewalk2)                                                                                      \
  X(H5Fopen)                                                                                       \
  X(H5Fcreate)                                                                                     \
  X(H5Fclose)                                                                                      \
  X(H5Fflush)                                                                                      \
  X(H5Gcreate2)                                                                                    \
  X(H5Gopen2)                                                                                      \
  X(H5Gget_info)                                                                                   \
  X(H5Gclose)                                                                                      \
  X(H5Lexists)                                                                                     \
  X(H5Lget_name_by_idx)                                                                            \
  X(H5Oopen)                                                                                       \
  X(H5Oclose)                                                                                      \
  X(H5Iget_type)                                                                                   \
  X(H5Dopen2)                                                                                      \
  X(H5Dcreate2)                                                                                    \
  X(H5Dclose)                                                                                      \
  X(H5Dget_space)                                                                                  \
  X(H5Dget_type)                                                                                   \
  X(H5Dread)                                                                                       \
  X(H5Dwrite)                                                                                      \
  X(H5Aexists_by_name)                                                                             \
  X(H5Aopen_by_name)                                                                               \
  X(H5Acreate_by_name)                                                                             \
  X(H5Aclose)                                                                                      \
  X(H5Aget_space)                                                                                  \
  X(H5Aget_type)                                                                                   \
  X(H5Aread)                                                                                       \
  X(H5Awrite)                                                                                      \
  X(H5Screate)                                                                                     \
  X(H5Screate_simple)                                                                              \
  X(H5Sclose)                                                                                      \
  X(H5Sget_simple_extent_ndims)                                                                    \
  X(H5Sget_simple_extent_dims)                                                                     \
  X(H5Sget_simple_extent_npoints)                                                                  \
  X(H5Tcopy)                                                                                       \
  X(H5Tclose)                                                                                      \
  X(H5Tset_size)                                                                                   \
  X(H5Tset_cset)                                                                                   \
  X(H5Tget_class)                                                                                  \
  X(H5Tget_size)                                                                                   \
  X(H5Tget_sign)                                                                                   \
  X(H5Tis_variable_str)                                                                            \
  X(H5Pcreate)                                                                                     \
  X(H5Pclose)                                                                                      \
  X(H5Pset_obj_track_times)

/* X(name): identifiers that the library keeps in variables. */
#define H5_NUMBERS(X)                                                                              \
  X(H5T_C_S1_g)                                                                                    \
  X(H5T_NATIVE_FLOAT_g)                                                                            \
  X(H5T_NATIVE_DOUBLE_g)                                                                           \
  X(H5T_NATIVE_INT8_g)                                                                             \
  X(H5T_NATIVE_INT16_g)                                                                            \
  X(H5T_NATIVE_INT32_g)                                                                            \
  X(H5T_NATIVE_INT64_g)                                                                            \
  X(H5T_NATIVE_UINT8_g)                                                                            \
  X(H5T_NATIVE_UINT16_g)                                                                           \
  X(H5T_NATIVE_UINT32_g)                                                                           \
  X(H5T_NATIVE_UINT64_g)                                                                           \
  X(H5P_CLS_DATASET_CREATE_ID_g)                                                                   \
  X(H5P_CLS_GROUP_CREATE_ID_g)                                                                     \
  X(H5P_CLS_FILE_CREATE_ID_g)

typedef struct h5_lib {
#define X(name) __typeof__(&name) name;
  H5_FUNCTIONS(X)
#undef X
  struct {
#define X(name) hid_t name;
    H5_NUMBERS(X)
#undef X
  } id;
} h5_lib;

struct vk_h5 {
  h5_lib lib;
  hid_t file;
  char path[VK_FS_PATH_MAX];
  bool is_writing;
  bool is_broken; /* a write has failed: closing the file would try it again and lose its footing */
  vk_fs_writer writer;
};

/* ---- the library ---- */

static void *open_library(void)
{
  static const char *const names[] = {
      "libhdf5_serial.so.103", "libhdf5.so.103",    "libhdf5.so.200", "libhdf5.so.310",
      "libhdf5_serial.so.310", "libhdf5_serial.so", "libhdf5.so"};
  void *handle = NULL;
  for (size_t i = 0; !handle && i < VK_COUNT(names); i++)
    handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  return handle;
}

static vk_status load(h5_lib *lib, vk_err *err)
{
  void *handle = open_library();
  if (!handle)
    return vk_fail(err, VK_E_UNSUPPORTED,
                   "there is no HDF5 library; Debian: apt-get install libhdf5-103-1");
#define X(name)                                                                                    \
  {                                                                                                \
    void *at = dlsym(handle, #name);                                                               \
    if (!at)                                                                                       \
      return vk_fail(err, VK_E_UNSUPPORTED, "the HDF5 library of this machine lacks " #name);      \
    memcpy(&lib->name, &at, sizeof at); /* ISO C has no cast from data to function */              \
  }
  H5_FUNCTIONS(X)
#undef X
  unsigned major = 0, minor = 0, release = 0;
  /* A file whose close failed on a full disk is closed again when the library ends itself at exit,
   * and crashes (1.10.8). Every file is closed here, so that there is nothing left to end. */
  lib->H5dont_atexit(); /* fails once the library is in use */
  if (lib->H5open() < 0 || lib->H5get_libversion(&major, &minor, &release) < 0)
    return vk_fail(err, VK_E_UNSUPPORTED, "the HDF5 library of this machine does not start");
  if (major == 1 && minor < 10)
    return vk_fail(err, VK_E_UNSUPPORTED, "HDF5 %u.%u.%u is too old, at least 1.10 is needed",
                   major, minor, release);
  lib->H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* what it has to say goes into our sentence */
#define X(name)                                                                                    \
  {                                                                                                \
    void *at = dlsym(handle, #name);                                                               \
    if (!at)                                                                                       \
      return vk_fail(err, VK_E_UNSUPPORTED, "the HDF5 library of this machine lacks " #name);      \
    memcpy(&lib->id.name, at, sizeof lib->id.name);                                                \
  }
  H5_NUMBERS(X)
#undef X
  return VK_OK;
}

vk_status vk_h5_version(char *text, size_t n, vk_err *err)
{
  h5_lib lib;
  unsigned major, minor, release;
  VK_TRY(load(&lib, err));
  lib.H5get_libversion(&major, &minor, &release);
  snprintf(text, n, "HDF5 %u.%u.%u", major, minor, release);
  return VK_OK;
}

/* The innermost of the library's messages comes last. */
static herr_t take_reason(unsigned i, const H5E_error2_t *e, void *user)
{
  char *reason = user;
  if (e->desc && e->desc[0])
    snprintf(reason, 240, "%s", e->desc);
  return 0;
}

/* "FILE: cannot DOING WHAT: HDF5's reason". */
static vk_status fail_h5(vk_h5 *f, vk_status code, const char *doing, const char *what, vk_err *err)
{
  char reason[240] = "unknown reason", *os;
  f->is_broken = f->is_writing;
  f->lib.H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, take_reason, reason);
  f->lib.H5Eclear2(H5E_DEFAULT);
  /* "file write failed: time = ..., errno = 28, error message = 'No space left on device', ..." */
  if ((os = strstr(reason, "error message = '"))) {
    os += strlen("error message = '");
    os[strcspn(os, "'")] = '\0';
  }
  return vk_fail(err, code, "%s: cannot %s%s%s: %s", f->path, doing, what[0] ? " " : "", what,
                 os ? os : reason);
}

/* ---- files ---- */

static vk_status new_file(vk_h5 **out, const char *path, vk_err *err)
{
  *out = NULL;
  vk_h5 *f = calloc(1, sizeof *f);
  if (!f)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to open it", path);
  f->file = -1;
  vk_status st = load(&f->lib, err);
  if (st == VK_OK && snprintf(f->path, sizeof f->path, "%s", path) >= (int)sizeof f->path)
    st = vk_fail(err, VK_E_RANGE, "%.200s...: a path of more than %d bytes", path, VK_FS_PATH_MAX);
  if (st != VK_OK) {
    free(f);
    return st == VK_E_UNSUPPORTED ? vk_err_prefix(err, "%s", path) : st;
  }
  *out = f;
  return VK_OK;
}

vk_status vk_h5_open(vk_h5 **out, const char *path, vk_err *err)
{
  char *head;
  size_t n;
  *out = NULL;
  vk_fs_map map;
  VK_TRY(vk_fs_map_open(&map, path, err)); /* what the system has to say is clearer */
  n = map.n;
  head = "";
  if (n < 8 || memcmp(map.bytes, "\x89HDF\r\n\x1a\n", 8) != 0)
    head = n == 0 ? "an empty file" : "not an HDF5 file";
  vk_fs_map_close(&map);
  if (head[0])
    return vk_fail(err, VK_E_FORMAT, "%s: %s", path, head);
  vk_h5 *f;
  VK_TRY(new_file(&f, path, err));
  f->file = f->lib.H5Fopen(path, ACC_READ, H5P_DEFAULT);
  if (f->file < 0) {
    vk_status st = fail_h5(f, VK_E_FORMAT, "open it as", "HDF5", err);
    vk_h5_close(f);
    return st;
  }
  *out = f;
  return VK_OK;
}

vk_status vk_h5_create(vk_h5 **out, const char *path, vk_err *err)
{
  vk_h5 *f;
  VK_TRY(new_file(&f, path, err));
  vk_status st = vk_fs_writer_open(&f->writer, path, err);
  if (st == VK_OK && !f->writer.temp[0])
    st = vk_fail(err, VK_E_IO, "%s: not a regular file, HDF5 cannot be written to it", path);
  if (st == VK_OK) {
    f->is_writing = true;
    hid_t plist = f->lib.H5Pcreate(f->lib.id.H5P_CLS_FILE_CREATE_ID_g);
    f->lib.H5Pset_obj_track_times(plist, false);
    f->file = f->lib.H5Fcreate(f->writer.temp, ACC_TRUNC, plist, H5P_DEFAULT);
    if (f->file < 0)
      st = fail_h5(f, VK_E_IO, "create", "it", err);
    f->lib.H5Pclose(plist);
  }
  if (st != VK_OK) {
    vk_fs_writer_abort(&f->writer);
    vk_h5_close(f);
    return st;
  }
  *out = f;
  return VK_OK;
}

vk_status vk_h5_commit(vk_h5 *f, vk_err *err)
{
  vk_status st = VK_OK;
  if (f->lib.H5Fflush(f->file, H5F_SCOPE_GLOBAL) < 0)
    st = fail_h5(f, VK_E_IO, "write", "it", err);
  if (st == VK_OK && f->lib.H5Fclose(f->file) < 0)
    st = fail_h5(f, VK_E_IO, "write", "it", err);
  f->file = -1;
  if (st == VK_OK)
    st = vk_fs_writer_commit(&f->writer, err);
  vk_h5_close(f);
  return st;
}

void vk_h5_close(vk_h5 *f)
{
  if (!f)
    return;
  if (f->file >= 0 && !f->is_broken) {
    f->lib.H5Fclose(f->file);
    f->lib.H5Eclear2(H5E_DEFAULT);
  }
  if (f->is_writing)
    vk_fs_writer_abort(&f->writer);
  free(f);
}

/* ---- objects ---- */

static const char *root_or(const char *path)
{
  return path[0] ? path : "/";
}

/* H5Lexists wants every parent to be there. */
static bool path_exists(vk_h5 *f, const char *path)
{
  char part[512];
  size_t n = strlen(path);
  if (n >= sizeof part)
    return false;
  for (size_t i = 1; i <= n; i++) {
    if (path[i] != '/' && path[i] != '\0')
      continue;
    memcpy(part, path, i);
    part[i] = '\0';
    if (f->lib.H5Lexists(f->file, part, H5P_DEFAULT) <= 0) {
      f->lib.H5Eclear2(H5E_DEFAULT);
      return false;
    }
  }
  return true;
}

vk_h5_kind vk_h5_kind_of(vk_h5 *f, const char *path)
{
  if (!path_exists(f, path))
    return VK_H5_NONE;
  hid_t object = f->lib.H5Oopen(f->file, root_or(path), H5P_DEFAULT);
  if (object < 0) { /* a link that leads nowhere */
    f->lib.H5Eclear2(H5E_DEFAULT);
    return VK_H5_NONE;
  }
  H5I_type_t type = f->lib.H5Iget_type(object);
  f->lib.H5Oclose(object);
  return type == H5I_GROUP ? VK_H5_GROUP : type == H5I_DATASET ? VK_H5_DATASET : VK_H5_OTHER;
}

bool vk_h5_has_attr(vk_h5 *f, const char *path, const char *attr)
{
  if (!path_exists(f, path))
    return false;
  htri_t has = f->lib.H5Aexists_by_name(f->file, root_or(path), attr, H5P_DEFAULT);
  f->lib.H5Eclear2(H5E_DEFAULT);
  return has > 0;
}

static int by_name(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

void vk_h5_free_names(char **names, int n)
{
  for (int i = 0; names && i < n; i++)
    free(names[i]);
  free(names);
}

static vk_status read_names(vk_h5 *f, hid_t group, const char *path, char **names, int n,
                            vk_err *err)
{
  for (int i = 0; i < n; i++) {
    ssize_t size = f->lib.H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, (hsize_t)i,
                                             NULL, 0, H5P_DEFAULT);
    if (size < 0)
      return fail_h5(f, VK_E_FORMAT, "list", root_or(path), err);
    if (!(names[i] = malloc((size_t)size + 1)))
      return vk_fail(err, VK_E_NOMEM, "%s: no memory for names", f->path);
    if (f->lib.H5Lget_name_by_idx(group, ".", H5_INDEX_NAME, H5_ITER_INC, (hsize_t)i, names[i],
                                  (size_t)size + 1, H5P_DEFAULT) < 0)
      return fail_h5(f, VK_E_FORMAT, "list", root_or(path), err);
  }
  return VK_OK;
}

vk_status vk_h5_names(vk_h5 *f, const char *path, char ***names, int *n, vk_err *err)
{
  *names = NULL;
  *n = 0;
  hid_t group = f->lib.H5Gopen2(f->file, root_or(path), H5P_DEFAULT);
  H5G_info_t info;
  if (group < 0 || f->lib.H5Gget_info(group, &info) < 0) {
    vk_status why = fail_h5(f, VK_E_FORMAT, "list", root_or(path), err);
    if (group >= 0)
      f->lib.H5Gclose(group);
    return why;
  }
  vk_status st = VK_OK;
  char **list = NULL;
  if (info.nlinks > NAMES_MAX)
    st = vk_fail(err, VK_E_RANGE, "%s: %s has %llu members, at most %d are read", f->path,
                 root_or(path), (unsigned long long)info.nlinks, NAMES_MAX);
  else if (!(list = calloc((size_t)info.nlinks + 1, sizeof *list)))
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for names", f->path);
  else
    st = read_names(f, group, path, list, (int)info.nlinks, err);
  f->lib.H5Gclose(group);
  if (st != VK_OK) {
    vk_h5_free_names(list, (int)info.nlinks);
    return st;
  }
  qsort(list, (size_t)info.nlinks, sizeof *list, by_name);
  *names = list;
  *n = (int)info.nlinks;
  return VK_OK;
}

/* ---- reading ---- */

/* An open dataset or attribute with its type. */
typedef struct item {
  const char *path, *attr;
  hid_t id, type, space;
} item;

static void close_item(vk_h5 *f, item *it)
{
  if (it->space >= 0)
    f->lib.H5Sclose(it->space);
  if (it->type >= 0)
    f->lib.H5Tclose(it->type);
  if (it->id >= 0)
    it->attr ? f->lib.H5Aclose(it->id) : f->lib.H5Dclose(it->id);
  *it = (item){.id = -1, .type = -1, .space = -1};
}

/* "data/demo_0/actions", "attribute tag of data" */
static const char *item_name(const item *it, char *buf, size_t n)
{
  if (it->attr)
    snprintf(buf, n, "attribute %s of %s", it->attr, root_or(it->path));
  else
    snprintf(buf, n, "%s", root_or(it->path));
  return buf;
}

static vk_status open_item(vk_h5 *f, const char *path, const char *attr, item *it, vk_err *err)
{
  char name[300];
  *it = (item){.path = path, .attr = attr, .id = -1, .type = -1, .space = -1};
  bool is_there = attr ? vk_h5_has_attr(f, path, attr) : path_exists(f, path);
  if (!is_there)
    return vk_fail(err, VK_E_NOTFOUND, "%s: %s is missing", f->path,
                   item_name(it, name, sizeof name));
  if (!attr && vk_h5_kind_of(f, path) != VK_H5_DATASET)
    return vk_fail(err, VK_E_FORMAT, "%s: %s is not a dataset", f->path, path);
  if (attr) {
    it->id = f->lib.H5Aopen_by_name(f->file, root_or(path), attr, H5P_DEFAULT, H5P_DEFAULT);
    it->type = it->id < 0 ? -1 : f->lib.H5Aget_type(it->id);
    it->space = it->id < 0 ? -1 : f->lib.H5Aget_space(it->id);
  } else {
    it->id = f->lib.H5Dopen2(f->file, path, H5P_DEFAULT);
    it->type = it->id < 0 ? -1 : f->lib.H5Dget_type(it->id);
    it->space = it->id < 0 ? -1 : f->lib.H5Dget_space(it->id);
  }
  if (it->id >= 0 && it->type >= 0 && it->space >= 0)
    return VK_OK;
  vk_status st = fail_h5(f, VK_E_FORMAT, "read", item_name(it, name, sizeof name), err);
  close_item(f, it);
  return st;
}

static char type_kind(vk_h5 *f, hid_t type)
{
  switch (f->lib.H5Tget_class(type)) {
  case H5T_FLOAT:
    return 'f';
  case H5T_INTEGER:
    return f->lib.H5Tget_sign(type) == H5T_SGN_NONE ? 'u' : 'i';
  case H5T_STRING:
    return f->lib.H5Tis_variable_str(type) > 0 ? 'T' : 'S';
  default:
    return '?';
  }
}

static vk_status describe(vk_h5 *f, const item *it, vk_array *a, vk_err *err)
{
  char name[300];
  item_name(it, name, sizeof name);
  memset(a, 0, sizeof *a);
  snprintf(a->name, sizeof a->name, "%s", it->attr ? it->attr : it->path);
  size_t size = f->lib.H5Tget_size(it->type);
  a->kind = type_kind(f, it->type);
  a->item_size = size < INT32_MAX ? (int)size : 0;
  a->n_dim = f->lib.H5Sget_simple_extent_ndims(it->space);
  if (a->n_dim < 0 || a->n_dim > VK_NPY_DIM_MAX)
    return vk_fail(err, VK_E_SHAPE, "%s: %s has %d dimensions, at most %d are read", f->path, name,
                   a->n_dim, VK_NPY_DIM_MAX);
  hsize_t dims[VK_NPY_DIM_MAX];
  if (a->n_dim > 0 && f->lib.H5Sget_simple_extent_dims(it->space, dims, NULL) < 0)
    return fail_h5(f, VK_E_FORMAT, "read the shape of", name, err);
  /* An empty dataspace has no dimensions, as a scalar's, and no item either. */
  a->n_item = a->n_dim == 0 && f->lib.H5Sget_simple_extent_npoints(it->space) == 0 ? 0 : 1;
  for (int d = 0; d < a->n_dim; d++) {
    if (dims[d] > INT64_MAX / 16 || (dims[d] && a->n_item > INT64_MAX / 16 / (int64_t)dims[d]))
      return vk_fail(err, VK_E_SHAPE, "%s: %s has more items than can be", f->path, name);
    a->shape[d] = (int64_t)dims[d];
    a->n_item *= a->shape[d];
  }
  return VK_OK;
}

vk_status vk_h5_describe(vk_h5 *f, const char *path, const char *attr, vk_array *out, vk_err *err)
{
  item it;
  VK_TRY(open_item(f, path, attr, &it, err));
  vk_status st = describe(f, &it, out, err);
  close_item(f, &it);
  return st;
}

/* The library's type of an array's items in memory, -1: there is none. */
static hid_t memory_type(const vk_h5 *f, char kind, int size)
{
  const hid_t sign[] = {f->lib.id.H5T_NATIVE_INT8_g, f->lib.id.H5T_NATIVE_INT16_g,
                        f->lib.id.H5T_NATIVE_INT32_g, f->lib.id.H5T_NATIVE_INT64_g};
  const hid_t none[] = {f->lib.id.H5T_NATIVE_UINT8_g, f->lib.id.H5T_NATIVE_UINT16_g,
                        f->lib.id.H5T_NATIVE_UINT32_g, f->lib.id.H5T_NATIVE_UINT64_g};
  int i = size == 1 ? 0 : size == 2 ? 1 : size == 4 ? 2 : size == 8 ? 3 : -1;
  if (kind == 'f')
    return i == 2 ? f->lib.id.H5T_NATIVE_FLOAT_g : i == 3 ? f->lib.id.H5T_NATIVE_DOUBLE_g : -1;
  return i < 0 ? -1 : kind == 'i' ? sign[i] : kind == 'u' ? none[i] : -1;
}

static vk_status read_item(vk_h5 *f, const item *it, uint64_t max_bytes, vk_array *a, vk_err *err)
{
  char name[300];
  item_name(it, name, sizeof name);
  VK_TRY(describe(f, it, a, err));
  hid_t type = memory_type(f, a->kind, a->item_size);
  if (type < 0)
    return vk_fail(err, VK_E_FORMAT, "%s: %s is of a type that is not read (kind %c, %d bytes)",
                   f->path, name, a->kind, a->item_size);
  if ((uint64_t)a->n_item > max_bytes / (uint64_t)a->item_size)
    return vk_fail(err, VK_E_RANGE, "%s: %s is larger than the limit here, %llu bytes", f->path,
                   name, (unsigned long long)max_bytes);
  a->data = malloc((size_t)a->n_item * (size_t)a->item_size + 1);
  if (!a->data)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %s", f->path, name);
  if (a->n_item == 0)
    return VK_OK;
  herr_t rc = it->attr ? f->lib.H5Aread(it->id, type, a->data)
                       : f->lib.H5Dread(it->id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, a->data);
  if (rc >= 0)
    return VK_OK;
  vk_array_free(a); /* no call of the library */
  return fail_h5(f, VK_E_FORMAT, "read", name, err);
}

vk_status vk_h5_read(vk_h5 *f, const char *path, const char *attr, uint64_t max_bytes,
                     vk_array *out, vk_err *err)
{
  item it;
  memset(out, 0, sizeof *out);
  VK_TRY(open_item(f, path, attr, &it, err));
  vk_status st = read_item(f, &it, max_bytes, out, err);
  close_item(f, &it);
  return st;
}

/* Texts of any length: the library allocates each, we copy. */
static vk_status read_variable(vk_h5 *f, const item *it, hid_t type, char **out, size_t n,
                               vk_err *err)
{
  char name[300], **got = calloc(n + 1, sizeof *got);
  vk_status st = VK_OK;
  item_name(it, name, sizeof name);
  if (!got)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %s", f->path, name);
  herr_t rc = it->attr ? f->lib.H5Aread(it->id, type, got)
                       : f->lib.H5Dread(it->id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, got);
  if (rc < 0)
    st = fail_h5(f, VK_E_FORMAT, "read", name, err);
  for (size_t i = 0; i < n; i++) {
    if (st == VK_OK && !(out[i] = strdup(got[i] ? got[i] : "")))
      st = vk_fail(err, VK_E_NOMEM, "%s: no memory for %s", f->path, name);
    if (rc >= 0 && got[i])
      f->lib.H5free_memory(got[i]);
  }
  free(got);
  return st;
}

static vk_status read_fixed(vk_h5 *f, const item *it, hid_t type, size_t size, char **out, size_t n,
                            vk_err *err)
{
  char name[300], *all = calloc(n * size + 1, 1);
  vk_status st = VK_OK;
  item_name(it, name, sizeof name);
  if (!all)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %s", f->path, name);
  herr_t rc = it->attr ? f->lib.H5Aread(it->id, type, all)
                       : f->lib.H5Dread(it->id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, all);
  if (rc < 0)
    st = fail_h5(f, VK_E_FORMAT, "read", name, err);
  for (size_t i = 0; i < n && st == VK_OK; i++)
    if (!(out[i] = strndup(all + i * size, size)))
      st = vk_fail(err, VK_E_NOMEM, "%s: no memory for %s", f->path, name);
  free(all);
  return st;
}

static vk_status read_texts(vk_h5 *f, const char *path, const char *attr, char ***out, int *n,
                            vk_err *err)
{
  char name[300];
  item it;
  vk_array a;
  *out = NULL;
  *n = 0;
  VK_TRY(open_item(f, path, attr, &it, err));
  item_name(&it, name, sizeof name);
  vk_status st = describe(f, &it, &a, err);
  char **list = NULL;
  if (st == VK_OK && a.kind != 'T' && a.kind != 'S')
    st = vk_fail(err, VK_E_FORMAT, "%s: %s is not a text", f->path, name);
  else if (st == VK_OK && (a.n_item > NAMES_MAX || (double)a.n_item * a.item_size > TEXT_MAX))
    st = vk_fail(err, VK_E_RANGE, "%s: %s holds too much text", f->path, name);
  else if (st == VK_OK && !(list = calloc((size_t)a.n_item + 1, sizeof *list)))
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for %s", f->path, name);
  if (st == VK_OK && a.n_item > 0)
    st = a.kind == 'T'
             ? read_variable(f, &it, it.type, list, (size_t)a.n_item, err)
             : read_fixed(f, &it, it.type, (size_t)a.item_size, list, (size_t)a.n_item, err);
  close_item(f, &it);
  if (st != VK_OK) {
    if (list)
      vk_h5_free_names(list, (int)a.n_item);
    return st;
  }
  *out = list;
  *n = (int)a.n_item;
  return VK_OK;
}

vk_status vk_h5_read_text(vk_h5 *f, const char *path, const char *attr, char **out, vk_err *err)
{
  char **list;
  int n;
  *out = NULL;
  VK_TRY(read_texts(f, path, attr, &list, &n, err));
  if (n != 1) {
    vk_h5_free_names(list, n);
    return vk_fail(err, VK_E_FORMAT, "%s: attribute %s of %s holds %d texts, expected one", f->path,
                   attr ? attr : "", root_or(path), n);
  }
  *out = list[0];
  free(list);
  return VK_OK;
}

vk_status vk_h5_read_texts(vk_h5 *f, const char *path, char ***out, int *n, vk_err *err)
{
  return read_texts(f, path, NULL, out, n, err);
}

/* ---- writing ---- */

/* A list that keeps times out of an object of the class. */
static hid_t timeless(vk_h5 *f, hid_t of)
{
  hid_t plist = f->lib.H5Pcreate(of);
  f->lib.H5Pset_obj_track_times(plist, false);
  return plist;
}

vk_status vk_h5_put_group(vk_h5 *f, const char *path, vk_err *err)
{
  hid_t plist = timeless(f, f->lib.id.H5P_CLS_GROUP_CREATE_ID_g);
  hid_t group = f->lib.H5Gcreate2(f->file, path, H5P_DEFAULT, plist, H5P_DEFAULT);
  vk_status st = group < 0 ? fail_h5(f, VK_E_IO, "write", path, err) : VK_OK;
  if (group >= 0)
    f->lib.H5Gclose(group);
  f->lib.H5Pclose(plist);
  return st;
}

static hid_t array_space(vk_h5 *f, const vk_array *a)
{
  hsize_t dims[VK_NPY_DIM_MAX];
  if (a->n_dim == 0)
    return f->lib.H5Screate(H5S_SCALAR);
  for (int d = 0; d < a->n_dim; d++)
    dims[d] = (hsize_t)a->shape[d];
  return f->lib.H5Screate_simple(a->n_dim, dims, NULL);
}

/* Each call of the library forgets the error of the one before. */
static vk_status put_dataset(vk_h5 *f, const char *path, hid_t type, hid_t space, hid_t plist,
                             const void *data, vk_err *err)
{
  hid_t set = f->lib.H5Dcreate2(f->file, path, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
  if (set < 0)
    return fail_h5(f, VK_E_IO, "write", path, err);
  vk_status st = VK_OK;
  if (f->lib.H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
    st = fail_h5(f, VK_E_IO, "write", path, err);
  if (f->lib.H5Dclose(set) < 0 && st == VK_OK)
    st = fail_h5(f, VK_E_IO, "write", path, err);
  return st;
}

vk_status vk_h5_put(vk_h5 *f, const char *path, const vk_array *a, vk_err *err)
{
  hid_t type = memory_type(f, a->kind, a->item_size);
  VK_ASSERT(type >= 0);
  hid_t space = array_space(f, a), plist = timeless(f, f->lib.id.H5P_CLS_DATASET_CREATE_ID_g);
  vk_status st = put_dataset(f, path, type, space, plist, a->data, err);
  f->lib.H5Pclose(plist);
  f->lib.H5Sclose(space);
  return st;
}

static vk_status put_attr(vk_h5 *f, const char *path, const char *attr, hid_t type, hid_t space,
                          const void *data, vk_err *err)
{
  hid_t id = f->lib.H5Acreate_by_name(f->file, root_or(path), attr, type, space, H5P_DEFAULT,
                                      H5P_DEFAULT, H5P_DEFAULT);
  char name[300];
  const item it = {.path = path, .attr = attr};
  if (id < 0)
    return fail_h5(f, VK_E_IO, "write", item_name(&it, name, sizeof name), err);
  vk_status st = VK_OK;
  if (f->lib.H5Awrite(id, type, data) < 0)
    st = fail_h5(f, VK_E_IO, "write", item_name(&it, name, sizeof name), err);
  if (f->lib.H5Aclose(id) < 0 && st == VK_OK)
    st = fail_h5(f, VK_E_IO, "write", item_name(&it, name, sizeof name), err);
  return st;
}

vk_status vk_h5_put_attr(vk_h5 *f, const char *path, const char *attr, const vk_array *a,
                         vk_err *err)
{
  hid_t type = memory_type(f, a->kind, a->item_size);
  VK_ASSERT(type >= 0);
  hid_t space = array_space(f, a);
  vk_status st = put_attr(f, path, attr, type, space, a->data, err);
  f->lib.H5Sclose(space);
  return st;
}

vk_status vk_h5_put_text(vk_h5 *f, const char *path, const char *attr, const char *text,
                         vk_err *err)
{
  hid_t type = f->lib.H5Tcopy(f->lib.id.H5T_C_S1_g), space = f->lib.H5Screate(H5S_SCALAR);
  f->lib.H5Tset_size(type, H5T_VARIABLE);
  f->lib.H5Tset_cset(type, H5T_CSET_UTF8);
  vk_status st = put_attr(f, path, attr, type, space, &text, err);
  f->lib.H5Sclose(space);
  f->lib.H5Tclose(type);
  return st;
}

vk_status vk_h5_put_texts(vk_h5 *f, const char *path, char *const *text, int n, vk_err *err)
{
  hsize_t n_text = (hsize_t)n;
  hid_t type = f->lib.H5Tcopy(f->lib.id.H5T_C_S1_g);
  hid_t space = f->lib.H5Screate_simple(1, &n_text, NULL);
  hid_t plist = timeless(f, f->lib.id.H5P_CLS_DATASET_CREATE_ID_g);
  f->lib.H5Tset_size(type, H5T_VARIABLE);
  f->lib.H5Tset_cset(type, H5T_CSET_UTF8);
  vk_status st = put_dataset(f, path, type, space, plist, text, err);
  f->lib.H5Pclose(plist);
  f->lib.H5Sclose(space);
  f->lib.H5Tclose(type);
  return st;
}
