#include "core/safetensors.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/half.h"

enum { HEADER_MAX = 100000000 };

static const char meta_key[] = "__metadata__";

static const struct {
  const char *name;
  size_t size;
} dtypes[] = {
#define X(name, size) {#name, size},
    VK_SAFETENSORS_DTYPES(X)
#undef X
};

const char *vk_safetensors_dtype_name(vk_safetensors_dtype dtype)
{
  return dtype < VK_SAFETENSORS_DTYPE_N ? dtypes[dtype].name : "unknown";
}

size_t vk_safetensors_dtype_size(vk_safetensors_dtype dtype)
{
  VK_ASSERT(dtype < VK_SAFETENSORS_DTYPE_N);
  return dtypes[dtype].size;
}

const char *vk_safetensors_shape_text(const int64_t *shape, int n_dim,
                                      char buf[VK_SAFETENSORS_SHAPE_SIZE])
{
  size_t at = 0;
  buf[at++] = '[';
  for (int d = 0; d < n_dim; d++) /* 21 bytes each at most */
    at += (size_t)snprintf(buf + at, VK_SAFETENSORS_SHAPE_SIZE - at, "%s%lld", d ? ", " : "",
                           (long long)shape[d]);
  snprintf(buf + at, VK_SAFETENSORS_SHAPE_SIZE - at, "]");
  return buf;
}

/* ---- one entry of a header ---- */

/* Whole numbers from 0, at most n_max; *n gets how many. */
static vk_status get_counts(const cJSON *entry, const char *key, int64_t *out, int n_max, int *n,
                            vk_err *err)
{
  const cJSON *array = cJSON_GetObjectItemCaseSensitive(entry, key), *item;
  if (!cJSON_IsArray(array))
    return vk_fail(err, VK_E_FORMAT, "\"%s\" is not an array, or missing", key);
  *n = 0;
  cJSON_ArrayForEach(item, array)
  {
    double x = cJSON_IsNumber(item) ? item->valuedouble : -1;
    if (!(x >= 0 && x < 0x1p53) || x != (double)(int64_t)x)
      return vk_fail(err, VK_E_FORMAT, "\"%s\" holds something that is no whole number from 0",
                     key);
    if (*n == n_max)
      return vk_fail(err, VK_E_UNSUPPORTED, "\"%s\" has more than %d numbers", key, n_max);
    out[(*n)++] = (int64_t)x;
  }
  return VK_OK;
}

/* data: what follows the header, n_data bytes. */
static vk_status parse_entry(vk_safetensor *t, const cJSON *entry, const uint8_t *data,
                             size_t n_data, vk_err *err)
{
  int64_t offset[2];
  int n_offset;
  const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(entry, "dtype");
  t->name = entry->string;
  if (!cJSON_IsObject(entry) || !cJSON_IsString(dtype))
    return vk_fail(err, VK_E_FORMAT, "not an object with a \"dtype\"");
  while (t->dtype < VK_SAFETENSORS_DTYPE_N &&
         strcmp(dtypes[t->dtype].name, dtype->valuestring) != 0)
    t->dtype++;
  if (t->dtype == VK_SAFETENSORS_DTYPE_N)
    return vk_fail(err, VK_E_UNSUPPORTED, "dtype %.40s is not known here", dtype->valuestring);
  VK_TRY(get_counts(entry, "shape", t->shape, VK_SAFETENSORS_DIM_MAX, &t->n_dim, err));
  VK_TRY(get_counts(entry, "data_offsets", offset, 2, &n_offset, err));
  if (n_offset != 2 || offset[0] > offset[1])
    return vk_fail(err, VK_E_FORMAT, "\"data_offsets\" is not a begin and an end");

  bool overflow = false;
  t->n_item = 1;
  for (int d = 0; d < t->n_dim; d++)
    overflow |= __builtin_mul_overflow(t->n_item, t->shape[d], &t->n_item);
  overflow |= __builtin_mul_overflow((uint64_t)t->n_item, dtypes[t->dtype].size, &t->n_byte);
  char shape[VK_SAFETENSORS_SHAPE_SIZE];
  if (overflow || t->n_byte != (uint64_t)(offset[1] - offset[0]))
    return vk_fail(err, VK_E_FORMAT, "%lld bytes are given for %s items of shape %s",
                   (long long)(offset[1] - offset[0]), dtypes[t->dtype].name,
                   vk_safetensors_shape_text(t->shape, t->n_dim, shape));
  if ((uint64_t)offset[1] > n_data)
    return vk_fail(err, VK_E_FORMAT,
                   "ends at byte %lld of the data, of which the file has %zu; "
                   "was it cut short?",
                   (long long)offset[1], n_data);
  t->bytes = data + offset[0];
  return VK_OK;
}

/* ---- one file ---- */

static int compare_place(const void *a, const void *b)
{
  const vk_safetensor *x = a, *y = b;
  if (x->bytes != y->bytes)
    return x->bytes < y->bytes ? -1 : 1;
  return (x->n_byte > y->n_byte) - (x->n_byte < y->n_byte);
}

static int compare_name(const void *a, const void *b)
{
  return strcmp(((const vk_safetensor *)a)->name, ((const vk_safetensor *)b)->name);
}

/* That tensors follow each other from the first byte of the data to the last. */
static vk_status check_layout(vk_safetensor *tensor, int64_t n_tensor, const uint8_t *data,
                              size_t n_data, const char *path, vk_err *err)
{
  const uint8_t *at = data;
  if (n_tensor > 0)
    qsort(tensor, (size_t)n_tensor, sizeof *tensor, compare_place);
  for (int64_t i = 0; i < n_tensor; i++) {
    const vk_safetensor *t = &tensor[i];
    if (t->bytes < at)
      return vk_fail(err, VK_E_FORMAT, "%s: tensors %.100s and %.100s overlap", path,
                     tensor[i - 1].name, t->name);
    if (t->bytes > at)
      return vk_fail(err, VK_E_FORMAT, "%s: %zu bytes before tensor %.100s belong to none", path,
                     (size_t)(t->bytes - at), t->name);
    at += t->n_byte;
  }
  if (at != data + n_data)
    return vk_fail(err, VK_E_FORMAT, "%s: the last %zu bytes belong to no tensor", path,
                   (size_t)(data + n_data - at));
  return VK_OK;
}

static vk_status check_metadata(const cJSON *meta, const char *path, vk_err *err)
{
  const cJSON *item;
  if (!cJSON_IsObject(meta))
    return vk_fail(err, VK_E_FORMAT, "%s: %s is not an object", path, meta_key);
  cJSON_ArrayForEach(item, meta)
  {
    if (!cJSON_IsString(item))
      return vk_fail(err, VK_E_FORMAT, "%s: %s: \"%.100s\" is not a string", path, meta_key,
                     item->string);
  }
  return VK_OK;
}

static vk_status parse_header(vk_safetensors_file *f, const char *path, size_t *n_header,
                              vk_err *err)
{
  const uint8_t *bytes = f->map.bytes;
  size_t n = f->map.n;
  uint64_t length = 0;
  if (n < 8)
    return vk_fail(err, VK_E_FORMAT, "%s: %zu bytes, too few for a safetensors file", path, n);
  memcpy(&length, bytes, 8);
  if (length > HEADER_MAX)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: a header of %llu bytes, %d at most; is this a safetensors file?", path,
                   (unsigned long long)length, HEADER_MAX);
  if (length > n - 8)
    return vk_fail(err, VK_E_FORMAT,
                   "%s: a header of %llu bytes in a file of %zu; was it cut "
                   "short?",
                   path, (unsigned long long)length, n);
  if (length == 0 || bytes[8] != '{')
    return vk_fail(err, VK_E_FORMAT, "%s: the header does not begin with {", path);
  *n_header = (size_t)length;
  char what[VK_FS_PATH_MAX + 10];
  snprintf(what, sizeof what, "%s: header", path);
  return vk_json_parse(&f->header, (const char *)bytes + 8, *n_header, what, err);
}

/* Appends the tensors of file i_file, whose map is set. */
static vk_status parse_file(vk_safetensors *s, int i_file, vk_err *err)
{
  vk_safetensors_file *f = &s->file[i_file];
  size_t n_header = 0;
  VK_TRY(parse_header(f, f->path, &n_header, err));
  const uint8_t *data = f->map.bytes + 8 + n_header;
  size_t n_data = f->map.n - 8 - n_header;
  int64_t n = s->n_tensor, n_new = cJSON_GetArraySize(f->header);
  vk_safetensor *grown = realloc(s->tensor, (size_t)(n + n_new + 1) * sizeof *grown);
  if (!grown)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %lld tensors", f->path, (long long)n_new);
  s->tensor = grown;
  const cJSON *entry;
  cJSON_ArrayForEach(entry, f->header)
  {
    if (strcmp(entry->string, meta_key) == 0) {
      VK_TRY(check_metadata(entry, f->path, err));
      continue;
    }
    grown[n] = (vk_safetensor){.i_file = i_file};
    vk_status st = parse_entry(&grown[n++], entry, data, n_data, err);
    if (st != VK_OK) {
      vk_err_prefix(err, "%s: tensor %.100s", f->path, entry->string);
      return st;
    }
  }
  VK_TRY(check_layout(grown + s->n_tensor, n - s->n_tensor, data, n_data, f->path, err));
  s->n_tensor = n;
  return VK_OK;
}

static vk_status new_files(vk_safetensors *s, int n_file, vk_err *err)
{
  s->file = calloc((size_t)n_file, sizeof *s->file);
  if (!s->file)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %d files", s->path, n_file);
  s->n_file = n_file;
  return VK_OK;
}

/* After the last file. */
static vk_status sort_names(vk_safetensors *s, vk_err *err)
{
  if (s->n_tensor > 0)
    qsort(s->tensor, (size_t)s->n_tensor, sizeof *s->tensor, compare_name);
  for (int64_t i = 1; i < s->n_tensor; i++) { /* within a file the JSON reader has seen to it */
    const vk_safetensor *a = &s->tensor[i - 1], *b = &s->tensor[i];
    if (strcmp(a->name, b->name) == 0)
      return vk_fail(err, VK_E_FORMAT, "tensor %.100s is in both %s and %s", a->name,
                     s->file[a->i_file].path, s->file[b->i_file].path);
  }
  return VK_OK;
}

static vk_status close_failed(vk_safetensors *s, vk_status st)
{
  if (st != VK_OK)
    vk_safetensors_close(s);
  return st;
}

static void copy_path(char out[VK_FS_PATH_MAX], const char *path)
{
  snprintf(out, VK_FS_PATH_MAX, "%s", path);
}

static vk_status parse_bytes(vk_safetensors *s, const void *bytes, size_t n, vk_err *err)
{
  VK_TRY(new_files(s, 1, err));
  copy_path(s->file[0].path, s->path);
  s->file[0].map = (vk_fs_map){bytes, n};
  vk_status st = parse_file(s, 0, err);
  s->file[0].map = (vk_fs_map){0}; /* the caller's: not to be unmapped */
  VK_TRY(st);
  return sort_names(s, err);
}

vk_status vk_safetensors_parse(vk_safetensors *s, const void *bytes, size_t n, const char *what,
                               vk_err *err)
{
  *s = (vk_safetensors){0};
  copy_path(s->path, what);
  return close_failed(s, parse_bytes(s, bytes, n, err));
}

/* ---- shards ---- */

vk_status vk_safetensors_parse_index(cJSON **index, const char *text, size_t n, const char *what,
                                     vk_err *err)
{
  *index = NULL;
  cJSON *tree = NULL;
  VK_TRY(vk_json_parse(&tree, text, n, what, err));
  const cJSON *item, *map = cJSON_GetObjectItemCaseSensitive(tree, "weight_map");
  vk_status st = VK_OK;
  if (!cJSON_IsObject(map))
    st = vk_fail(err, map ? VK_E_FORMAT : VK_E_NOTFOUND,
                 "%s: there is no object \"weight_map\"; is this an index of safetensors files?",
                 what);
  cJSON_ArrayForEach(item, map)
  {
    const char *file = cJSON_IsString(item) ? item->valuestring : "";
    if (st == VK_OK &&
        (!*file || strchr(file, '/') || strcmp(file, "..") == 0 || strcmp(file, ".") == 0))
      st = vk_fail(err, VK_E_FORMAT,
                   "%s: tensor %.100s is said to be in \"%.100s\", expected a file's name", what,
                   item->string, file);
  }
  if (st != VK_OK)
    cJSON_Delete(tree);
  else
    *index = tree;
  return st;
}

static int compare_text(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The different files of a weight_map, sorted; *names is to be freed. */
static vk_status list_shards(const cJSON *map, const char ***names, int *n_name, const char *path,
                             vk_err *err)
{
  int n = cJSON_GetArraySize(map), n_all = 0;
  *n_name = 0;
  *names = malloc(((size_t)n + 1) * sizeof **names);
  if (!*names)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory for %d names", path, n);
  const cJSON *item;
  cJSON_ArrayForEach(item, map)
  {
    (*names)[n_all++] = item->valuestring;
  }
  qsort(*names, (size_t)n_all, sizeof **names, compare_text);
  for (int i = 0; i < n_all; i++)
    if (i == 0 || strcmp((*names)[i], (*names)[*n_name - 1]) != 0)
      (*names)[(*n_name)++] = (*names)[i];
  return *n_name > 0 ? VK_OK : vk_fail(err, VK_E_FORMAT, "%s: \"weight_map\" is empty", path);
}

/* That every tensor of the index is in the file that it names. */
static vk_status check_index(const vk_safetensors *s, const cJSON *map, const char *path,
                             vk_err *err)
{
  const cJSON *item;
  cJSON_ArrayForEach(item, map)
  {
    const vk_safetensor *t = vk_safetensors_find(s, item->string);
    const char *file = t ? strrchr(s->file[t->i_file].path, '/') : NULL;
    file = file ? file + 1 : t ? s->file[t->i_file].path : "none of the files";
    if (strcmp(file, item->valuestring) != 0)
      return vk_fail(err, VK_E_FORMAT, "%s: tensor %.100s is said to be in %.100s, but is in %s",
                     path, item->string, item->valuestring, file);
  }
  return VK_OK;
}

static vk_status open_file(vk_safetensors *s, int i_file, const char *path, vk_err *err)
{
  copy_path(s->file[i_file].path, path);
  VK_TRY(vk_fs_map_open(&s->file[i_file].map, path, err));
  return parse_file(s, i_file, err);
}

static vk_status open_shards(vk_safetensors *s, const char *path, vk_err *err)
{
  vk_status st = VK_OK;
  cJSON *index = NULL;
  char *text = NULL, dir[VK_FS_PATH_MAX], file[VK_FS_PATH_MAX];
  const char **names = NULL;
  size_t n;
  int n_name;
  VK_TRY_DONE(vk_fs_read(&text, &n, path, HEADER_MAX, err));
  VK_TRY_DONE(vk_safetensors_parse_index(&index, text, n, path, err));
  const cJSON *map = cJSON_GetObjectItemCaseSensitive(index, "weight_map");
  VK_TRY_DONE(list_shards(map, &names, &n_name, path, err));
  VK_TRY_DONE(new_files(s, n_name, err));
  copy_path(dir, path);
  char *slash = strrchr(dir, '/');
  *(slash ? slash + (slash == dir) : dir) = '\0';
  for (int i = 0; i < n_name; i++) {
    VK_TRY_DONE(vk_fs_join(file, sizeof file, dir, names[i], err));
    VK_TRY_DONE(open_file(s, i, file, err));
  }
  VK_TRY_DONE(sort_names(s, err));
  st = check_index(s, map, path, err);
done:
  free(names);
  free(text);
  cJSON_Delete(index);
  return st;
}

static vk_status open_path(vk_safetensors *s, vk_err *err)
{
  char path[VK_FS_PATH_MAX];
  copy_path(path, s->path);
  if (vk_fs_is_dir(path)) {
    VK_TRY(vk_fs_join(path, sizeof path, s->path, "model.safetensors", err));
    if (!vk_fs_is_file(path))
      VK_TRY(vk_fs_join(path, sizeof path, s->path, "model.safetensors.index.json", err));
    if (!vk_fs_is_file(path))
      return vk_fail(
          err, VK_E_NOTFOUND,
          "%s: the folder has neither model.safetensors nor model.safetensors.index.json", s->path);
  }
  size_t n = strlen(path);
  if (n >= 5 && strcmp(path + n - 5, ".json") == 0)
    return open_shards(s, path, err);
  VK_TRY(new_files(s, 1, err));
  VK_TRY(open_file(s, 0, path, err));
  return sort_names(s, err);
}

vk_status vk_safetensors_open(vk_safetensors *s, const char *path, vk_err *err)
{
  *s = (vk_safetensors){0};
  if (strlen(path) >= VK_FS_PATH_MAX)
    return vk_fail(err, VK_E_RANGE, "%s: the path is too long", path);
  copy_path(s->path, path);
  return close_failed(s, open_path(s, err));
}

void vk_safetensors_close(vk_safetensors *s)
{
  for (int i = 0; i < s->n_file; i++) {
    vk_fs_map_close(&s->file[i].map);
    cJSON_Delete(s->file[i].header);
  }
  free(s->file);
  free(s->tensor);
  *s = (vk_safetensors){0};
}

/* ---- reading ---- */

const vk_safetensor *vk_safetensors_find(const vk_safetensors *s, const char *name)
{
  vk_safetensor key = {.name = name};
  return s->n_tensor > 0 ? bsearch(&key, s->tensor, (size_t)s->n_tensor, sizeof key, compare_name)
                         : NULL;
}

const char *vk_safetensors_meta(const vk_safetensors *s, const char *key)
{
  for (int i = 0; i < s->n_file; i++) {
    const cJSON *meta = cJSON_GetObjectItemCaseSensitive(s->file[i].header, meta_key);
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(meta, key);
    if (item)
      return item->valuestring;
  }
  return NULL;
}

static bool is_float(vk_safetensors_dtype dtype)
{
  return dtype == VK_SAFETENSORS_F32 || dtype == VK_SAFETENSORS_F16 ||
         dtype == VK_SAFETENSORS_BF16 || dtype == VK_SAFETENSORS_F64;
}

vk_status vk_safetensors_read_f32(const vk_safetensor *t, float *out, vk_err *err)
{
  const uint8_t *p = t->bytes;
  uint16_t h;
  double d;
  if (t->dtype == VK_SAFETENSORS_F32) {
    if (t->n_byte > 0)
      memcpy(out, p, t->n_byte);
  } else if (t->dtype == VK_SAFETENSORS_BF16) {
    for (int64_t i = 0; i < t->n_item; i++) {
      memcpy(&h, p + 2 * i, 2);
      out[i] = vk_f32_from_bf16(h);
    }
  } else if (t->dtype == VK_SAFETENSORS_F16) {
    for (int64_t i = 0; i < t->n_item; i++) {
      memcpy(&h, p + 2 * i, 2);
      out[i] = vk_f32_from_f16(h);
    }
  } else if (t->dtype == VK_SAFETENSORS_F64) {
    for (int64_t i = 0; i < t->n_item; i++) {
      memcpy(&d, p + 8 * i, 8);
      out[i] = (float)d;
    }
  } else {
    return vk_fail(err, VK_E_UNSUPPORTED, "tensor %.100s is %s, expected F32, BF16, F16 or F64",
                   t->name, vk_safetensors_dtype_name(t->dtype));
  }
  return VK_OK;
}

/* The tensors that share a fault: how many, and the first few of them as text. */
typedef struct fault {
  int64_t n;
  char list[3 * 320];
} fault;

static void VK_PRINTF(2, 3) add_fault(fault *f, const char *format, ...)
{
  enum { N_SHOWN = 3 };
  size_t at = strlen(f->list), left = sizeof f->list - at;
  f->n++;
  if (f->n == N_SHOWN + 1)
    snprintf(f->list + at, left, ", ...");
  if (f->n > N_SHOWN)
    return;
  at += (size_t)snprintf(f->list + at, left, "%s", f->n > 1 ? ", " : "");
  va_list args;
  va_start(args, format);
  vsnprintf(f->list + at, sizeof f->list - at, format, args);
  va_end(args);
}

typedef enum fault_kind { MISSING, EXTRA, SHAPE, DTYPE, N_FAULT } fault_kind;

static bool is_same_shape(const vk_safetensor *t, const vk_safetensors_want *want)
{
  return t->n_dim == want->n_dim &&
         (t->n_dim == 0 || memcmp(t->shape, want->shape, sizeof *t->shape * (size_t)t->n_dim) == 0);
}

static void compare(fault faults[N_FAULT], const vk_safetensors *s, const vk_safetensors_want *want,
                    int64_t n_want, bool *is_wanted)
{
  char found[VK_SAFETENSORS_SHAPE_SIZE], expected[VK_SAFETENSORS_SHAPE_SIZE];
  for (int64_t i = 0; i < n_want; i++) {
    const vk_safetensor *t = vk_safetensors_find(s, want[i].name);
    if (t)
      is_wanted[t - s->tensor] = true;
    if (!want[i].dst)
      continue;
    if (!t) {
      add_fault(&faults[MISSING], "%.60s", want[i].name);
      continue;
    }
    if (!is_same_shape(t, &want[i]))
      add_fault(&faults[SHAPE], "%.60s is %.100s, expected %.100s", t->name,
                vk_safetensors_shape_text(t->shape, t->n_dim, found),
                vk_safetensors_shape_text(want[i].shape, want[i].n_dim, expected));
    if (!is_float(t->dtype))
      add_fault(&faults[DTYPE], "%.60s is %s", t->name, vk_safetensors_dtype_name(t->dtype));
  }
  for (int64_t i = 0; i < s->n_tensor; i++)
    if (!is_wanted[i])
      add_fault(&faults[EXTRA], "%.60s", s->tensor[i].name);
}

/* Counts first, as a long sentence loses its middle. */
static vk_status fail_faults(const fault faults[N_FAULT], const char *path, vk_err *err)
{
  static const char *const count[] = {"missing", "not expected", "of another shape", "not float"};
  static const char *const list[] = {"missing ", "not expected ", "", ""};
  char counts[200] = "", lists[sizeof faults->list * N_FAULT + 100] = "";
  for (int i = 0; i < N_FAULT; i++) {
    size_t at = strlen(counts), at_list = strlen(lists);
    if (faults[i].n == 0)
      continue;
    snprintf(counts + at, sizeof counts - at, "%s%lld %s", at ? ", " : "", (long long)faults[i].n,
             count[i]);
    snprintf(lists + at_list, sizeof lists - at_list, "%s%s%s", at ? "; " : "", list[i],
             faults[i].list);
  }
  return vk_fail(err, VK_E_MISMATCH, "%s: the tensors do not fit (%s): %s", path, counts, lists);
}

vk_status vk_safetensors_load(const vk_safetensors *s, const vk_safetensors_want *want,
                              int64_t n_want, vk_err *err)
{
  bool *is_wanted = calloc((size_t)s->n_tensor + 1, sizeof *is_wanted);
  if (!is_wanted)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to load it", s->path);
  fault faults[N_FAULT] = {0};
  compare(faults, s, want, n_want, is_wanted);
  free(is_wanted);
  for (int i = 0; i < N_FAULT; i++)
    if (faults[i].n > 0)
      return fail_faults(faults, s->path, err);
  for (int64_t i = 0; i < n_want; i++)
    if (want[i].dst)
      VK_TRY(vk_safetensors_read_f32(vk_safetensors_find(s, want[i].name), want[i].dst, err));
  return VK_OK;
}
