/* safetensors_write.c - files of named tensors, written in one go from front to back. */
#include <stdlib.h>
#include <string.h>

#include "core/half.h"
#include "core/safetensors.h"

enum { DATA_ALIGN = 64 }; /* of the first tensor: a reader that maps the file has aligned rows */

static bool is_converted(vk_safetensors_dtype dtype)
{
  return dtype == VK_SAFETENSORS_BF16 || dtype == VK_SAFETENSORS_F16;
}

static uint64_t count_items(const vk_safetensors_entry *e)
{
  uint64_t n = 1;
  VK_ASSERT(e->n_dim >= 0 && e->n_dim <= VK_SAFETENSORS_DIM_MAX);
  for (int d = 0; d < e->n_dim; d++) {
    VK_ASSERT(e->shape[d] >= 0);
    n *= (uint64_t)e->shape[d];
  }
  return n;
}

static int compare_text(const void *a, const void *b)
{
  return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static vk_status check_names(const vk_safetensors_entry *entry, int64_t n, const char *path,
                             vk_err *err)
{
  const char **names = malloc(((size_t)n + 1) * sizeof *names);
  vk_status st = VK_OK;
  if (!names)
    return vk_fail(err, VK_E_NOMEM, "%s: no memory to write %lld tensors", path, (long long)n);
  for (int64_t i = 0; i < n; i++) {
    names[i] = entry[i].name;
    VK_ASSERT(strcmp(names[i], "__metadata__") != 0);
  }
  qsort(names, (size_t)n, sizeof *names, compare_text);
  for (int64_t i = 1; i < n && st == VK_OK; i++)
    if (strcmp(names[i - 1], names[i]) == 0)
      st = vk_fail(err, VK_E_FORMAT, "%s: two tensors are called %.100s", path, names[i]);
  free(names);
  return st;
}

/* False when there is no memory, as all that follow. */
static bool add_numbers(cJSON *object, const char *key, const int64_t *x, int n)
{
  cJSON *array = cJSON_AddArrayToObject(object, key);
  bool ok = array != NULL;
  for (int i = 0; i < n && ok; i++) {
    cJSON *number = cJSON_CreateNumber((double)x[i]);
    ok = number && cJSON_AddItemToArray(array, number);
  }
  return ok;
}

static bool add_entries(cJSON *root, const vk_safetensors_entry *entry, int64_t n_entry)
{
  int64_t offset[2] = {0, 0};
  for (int64_t i = 0; i < n_entry; i++) {
    const vk_safetensors_entry *e = &entry[i];
    size_t size = vk_safetensors_dtype_size(e->dtype);
    VK_ASSERT(offset[1] % (int64_t)size == 0); /* else other readers refuse it: wide dtypes first */
    offset[0] = offset[1];
    offset[1] += (int64_t)(count_items(e) * size);
    cJSON *object = cJSON_AddObjectToObject(root, e->name);
    if (!object || !cJSON_AddStringToObject(object, "dtype", vk_safetensors_dtype_name(e->dtype)) ||
        !add_numbers(object, "shape", e->shape, e->n_dim) ||
        !add_numbers(object, "data_offsets", offset, 2))
      return false;
  }
  return true;
}

static bool add_metadata(cJSON *root, const vk_safetensors_pair *pair, int n_pair)
{
  cJSON *meta = cJSON_AddObjectToObject(root, "__metadata__");
  bool ok = meta && cJSON_AddStringToObject(meta, "format", "pt");
  for (int i = 0; i < n_pair && ok; i++) {
    VK_ASSERT(!cJSON_GetObjectItemCaseSensitive(meta, pair[i].key));
    ok = cJSON_AddStringToObject(meta, pair[i].key, pair[i].value);
  }
  return ok;
}

static vk_status write_header(vk_fs_writer *out, cJSON *root, vk_err *err)
{
  char *text = NULL, spaces[DATA_ALIGN];
  memset(spaces, ' ', sizeof spaces);
  VK_TRY(vk_json_text(&text, root, err));
  size_t n_text = strlen(text), n_space = -(8 + n_text) % DATA_ALIGN;
  uint64_t length = n_text + n_space;
  vk_status st = vk_fs_writer_add(out, &length, 8, err);
  if (st == VK_OK)
    st = vk_fs_writer_add(out, text, n_text, err);
  if (st == VK_OK)
    st = vk_fs_writer_add(out, spaces, n_space, err);
  cJSON_free(text);
  return st;
}

/* To the next entry that has items. */
static void begin_entry(vk_safetensors_writer *w)
{
  for (; w->i_entry < w->n_entry; w->i_entry++) {
    const vk_safetensors_entry *e = &w->entry[w->i_entry];
    w->n_left = count_items(e) * vk_safetensors_dtype_size(e->dtype);
    if (w->n_left > 0)
      return;
  }
}

vk_status vk_safetensors_writer_open(vk_safetensors_writer *w, const char *path,
                                     const vk_safetensors_entry *entry, int64_t n_entry,
                                     const vk_safetensors_pair *pair, int n_pair, vk_err *err)
{
  *w = (vk_safetensors_writer){.entry = entry, .n_entry = n_entry};
  VK_TRY(check_names(entry, n_entry, path, err));
  cJSON *root = cJSON_CreateObject();
  vk_status st = VK_OK;
  if (!root || !add_metadata(root, pair, n_pair) || !add_entries(root, entry, n_entry))
    st = vk_fail(err, VK_E_NOMEM, "%s: no memory for its header", path);
  if (st == VK_OK)
    st = vk_fs_writer_open(&w->out, path, err);
  if (st == VK_OK)
    st = write_header(&w->out, root, err);
  cJSON_Delete(root);
  if (st != VK_OK)
    vk_safetensors_writer_abort(w);
  begin_entry(w);
  return st;
}

vk_status vk_safetensors_writer_add_bytes(vk_safetensors_writer *w, const void *bytes, uint64_t n,
                                          vk_err *err)
{
  VK_TRY(vk_fs_writer_add(&w->out, bytes, (size_t)n, err));
  while (n > 0) {
    VK_ASSERT(w->i_entry < w->n_entry);
    uint64_t m = n < w->n_left ? n : w->n_left;
    n -= m;
    w->n_left -= m;
    if (w->n_left == 0) {
      w->i_entry++;
      begin_entry(w);
    }
  }
  return VK_OK;
}

/* n items of one entry. */
static vk_status add_halves(vk_safetensors_writer *w, vk_safetensors_dtype dtype,
                            const float *values, uint64_t n, vk_err *err)
{
  uint16_t half[4096];
  while (n > 0) {
    size_t m = n < VK_COUNT(half) ? (size_t)n : VK_COUNT(half);
    for (size_t i = 0; i < m; i++)
      half[i] =
          dtype == VK_SAFETENSORS_BF16 ? vk_bf16_from_f32(values[i]) : vk_f16_from_f32(values[i]);
    VK_TRY(vk_safetensors_writer_add_bytes(w, half, m * sizeof *half, err));
    values += m;
    n -= m;
  }
  return VK_OK;
}

vk_status vk_safetensors_writer_add(vk_safetensors_writer *w, const float *values, uint64_t n,
                                    vk_err *err)
{
  while (n > 0) {
    VK_ASSERT(w->i_entry < w->n_entry);
    vk_safetensors_dtype dtype = w->entry[w->i_entry].dtype;
    VK_ASSERT(dtype == VK_SAFETENSORS_F32 || is_converted(dtype));
    uint64_t n_entry = w->n_left / vk_safetensors_dtype_size(dtype), m = n < n_entry ? n : n_entry;
    if (is_converted(dtype))
      VK_TRY(add_halves(w, dtype, values, m, err));
    else
      VK_TRY(vk_safetensors_writer_add_bytes(w, values, m * sizeof *values, err));
    values += m;
    n -= m;
  }
  return VK_OK;
}

vk_status vk_safetensors_writer_commit(vk_safetensors_writer *w, vk_err *err)
{
  VK_ASSERT(w->i_entry == w->n_entry);
  return vk_fs_writer_commit(&w->out, err);
}

void vk_safetensors_writer_abort(vk_safetensors_writer *w)
{
  vk_fs_writer_abort(&w->out);
}

vk_status vk_safetensors_write(const char *path, const vk_safetensors_entry *entry, int64_t n_entry,
                               const vk_safetensors_pair *pair, int n_pair, vk_err *err)
{
  vk_safetensors_writer w;
  VK_TRY(vk_safetensors_writer_open(&w, path, entry, n_entry, pair, n_pair, err));
  vk_status st = VK_OK;
  for (int64_t i = 0; i < n_entry && st == VK_OK; i++) {
    vk_safetensors_dtype dtype = entry[i].dtype;
    uint64_t n = count_items(&entry[i]);
    st = is_converted(dtype) ? vk_safetensors_writer_add(&w, entry[i].data, n, err)
                             : vk_safetensors_writer_add_bytes(
                                   &w, entry[i].data, n * vk_safetensors_dtype_size(dtype), err);
  }
  if (st == VK_OK)
    st = vk_safetensors_writer_commit(&w, err);
  vk_safetensors_writer_abort(&w);
  return st;
}
