/* safetensors.h - files of named tensors, alone or in shards, read by mapping and written at once.
 *
 * A file is a length (u64), a JSON header that gives each tensor's dtype, shape and bytes, and the
 * bytes, without gaps. Source: the safetensors format, version 0.x; the index of shards as
 * transformers writes it. Numbers are little-endian, as all machines that this program runs on.
 * Test: tests/unit/test_safetensors.c, tests/fuzz/fuzz_safetensors.c */
#ifndef VK_CORE_SAFETENSORS_H
#define VK_CORE_SAFETENSORS_H

#include <stdint.h>

#include "core/fs.h"
#include "core/json.h"

enum { VK_SAFETENSORS_DIM_MAX = 8, VK_SAFETENSORS_SHAPE_SIZE = 176 };

/* X(name in the file and here, bytes an item) */
#define VK_SAFETENSORS_DTYPES(X)                                                                   \
  X(F32, 4)                                                                                        \
  X(F16, 2)                                                                                        \
  X(BF16, 2)                                                                                       \
  X(F64, 8)                                                                                        \
  X(F8_E4M3, 1)                                                                                    \
  X(F8_E5M2, 1)                                                                                    \
  X(I8, 1)                                                                                         \
  X(U8, 1)                                                                                         \
  X(I16, 2)                                                                                        \
  X(U16, 2)                                                                                        \
  X(I32, 4)                                                                                        \
  X(U32, 4)                                                                                        \
  X(I64, 8)                                                                                        \
  X(U64, 8)                                                                                        \
  X(BOOL, 1)

typedef enum vk_safetensors_dtype {
#define X(name, size) VK_SAFETENSORS_##name,
  VK_SAFETENSORS_DTYPES(X)
#undef X
      VK_SAFETENSORS_DTYPE_N,
} vk_safetensors_dtype;

/* "BF16"; never NULL. */
const char *vk_safetensors_dtype_name(vk_safetensors_dtype dtype);
/* Bytes an item. */
size_t vk_safetensors_dtype_size(vk_safetensors_dtype dtype);

typedef struct vk_safetensor {
  const char *name;
  vk_safetensors_dtype dtype;
  int n_dim; /* 0: one number */
  int64_t shape[VK_SAFETENSORS_DIM_MAX];
  int64_t n_item;
  const uint8_t *bytes; /* in the map; aligned to nothing */
  size_t n_byte;
  int i_file;
} vk_safetensor;

typedef struct vk_safetensors_file {
  char path[VK_FS_PATH_MAX];
  vk_fs_map map;
  cJSON *header; /* owns the names */
} vk_safetensors_file;

/* Everything is const once it is open, and may be read by many threads. */
typedef struct vk_safetensors {
  char path[VK_FS_PATH_MAX]; /* as it was given */
  int n_file;
  vk_safetensors_file *file;
  int64_t n_tensor;
  vk_safetensor *tensor; /* of all files, sorted by name */
} vk_safetensors;

/* Maps a file, all shards of an index (a path that ends in ".json"), or what a folder holds:
 * model.safetensors, else model.safetensors.index.json. Nothing but headers is read. *s is zeroed
 * on failure.
 * Errors: VK_E_NOTFOUND, VK_E_IO, VK_E_FORMAT (with the file and the tensor), VK_E_UNSUPPORTED (a
 * dtype not listed above, more than 8 dimensions), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_safetensors_open(vk_safetensors *s, const char *path, vk_err *err);
/* The same from one file's bytes, which must outlive s; `what` names them in errors. */
VK_NODISCARD vk_status vk_safetensors_parse(vk_safetensors *s, const void *bytes, size_t n,
                                            const char *what, vk_err *err);
/* A zeroed or closed one is allowed. */
void vk_safetensors_close(vk_safetensors *s);

/* An index of shards from its text: {"weight_map": {TENSOR: FILE}}, FILE without folders. Free with
 * cJSON_Delete. Errors: VK_E_FORMAT, VK_E_NOTFOUND (no weight_map), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_safetensors_parse_index(cJSON **index, const char *text, size_t n,
                                                  const char *what, vk_err *err);

/* NULL when there is none of that name. */
const vk_safetensor *vk_safetensors_find(const vk_safetensors *s, const char *name);
/* A string of the files' __metadata__, the first file's first; NULL when none has the key. */
const char *vk_safetensors_meta(const vk_safetensors *s, const char *key);

/* "[120, 7]". Returns buf. */
const char *vk_safetensors_shape_text(const int64_t *shape, int n_dim,
                                      char buf[VK_SAFETENSORS_SHAPE_SIZE]);

/* t's numbers as f32; F64 is rounded. out: t->n_item. Errors: VK_E_UNSUPPORTED (other dtypes than
 * F32, F16, BF16, F64). */
VK_NODISCARD vk_status vk_safetensors_read_f32(const vk_safetensor *t, float *out, vk_err *err);

/* A tensor that a model has a place for. */
typedef struct vk_safetensors_want {
  const char *name;
  int n_dim;
  int64_t shape[VK_SAFETENSORS_DIM_MAX];
  float *dst; /* the product of shape; NULL: may be there, of any shape, and is not read */
} vk_safetensors_want;

/* Reads every tensor of s to its place. Two places may want the same name. When anything does not
 * fit, nothing is written and one sentence says all: how many tensors are missing, not wanted, of
 * another shape or of a dtype that is no float, with the names of up to three of each, as
 * far as a sentence holds.
 * Errors: VK_E_MISMATCH, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_safetensors_load(const vk_safetensors *s, const vk_safetensors_want *want,
                                           int64_t n_want, vk_err *err);

/* ---- writing ---- */

/* Entries in descending order of their items' size are aligned for every reader. */
typedef struct vk_safetensors_entry {
  const char *name;
  vk_safetensors_dtype dtype;
  int n_dim;
  int64_t shape[VK_SAFETENSORS_DIM_MAX];
  const void *data; /* for vk_safetensors_write, row-major: float for F32, BF16 and F16, which are
                       converted; items of the dtype for all others */
} vk_safetensors_entry;

typedef struct vk_safetensors_pair {
  const char *key, *value;
} vk_safetensors_pair;

/* A file under way: open, add all items, commit or abort (as vk_fs_writer). */
typedef struct vk_safetensors_writer {
  vk_fs_writer out;
  const vk_safetensors_entry *entry;
  int64_t n_entry, i_entry;
  uint64_t n_left; /* bytes of entry i_entry that are still to come */
} vk_safetensors_writer;

/* Writes the header: the entries in this order and metadata {"format": "pt"} with the caller's
 * pairs after it (unique keys, none of them "format"). entry is borrowed until commit or abort.
 * Errors: VK_E_FORMAT (a name twice), VK_E_NOTFOUND, VK_E_IO, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_safetensors_writer_open(vk_safetensors_writer *w, const char *path,
                                                  const vk_safetensors_entry *entry,
                                                  int64_t n_entry, const vk_safetensors_pair *pair,
                                                  int n_pair, vk_err *err);
/* The next n items, of one entry or of several, as floats that are converted to the entries' dtype
 * (F32, BF16 or F16), or as bytes of whatever dtype (n: bytes). Errors: VK_E_IO. */
VK_NODISCARD vk_status vk_safetensors_writer_add(vk_safetensors_writer *w, const float *values,
                                                 uint64_t n, vk_err *err);
VK_NODISCARD vk_status vk_safetensors_writer_add_bytes(vk_safetensors_writer *w, const void *bytes,
                                                       uint64_t n, vk_err *err);
/* Every item must have been added. Errors: VK_E_IO; w is closed in any case. */
VK_NODISCARD vk_status vk_safetensors_writer_commit(vk_safetensors_writer *w, vk_err *err);
/* Forgets what was written; harmless after commit. */
void vk_safetensors_writer_abort(vk_safetensors_writer *w);

/* All in one, from the entries' data. */
VK_NODISCARD vk_status vk_safetensors_write(const char *path, const vk_safetensors_entry *entry,
                                            int64_t n_entry, const vk_safetensors_pair *pair,
                                            int n_pair, vk_err *err);

#endif
