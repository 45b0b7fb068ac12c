/* npy.h - NumPy's .npy and .npz files: arrays of numbers and fixed-width strings, never pickles.
 * Source: NumPy format documentation, versions 1.0 to 3.0. Test: tests/unit/test_npy.c,
 * tests/fuzz/fuzz_npz.c */
#ifndef VK_CORE_NPY_H
#define VK_CORE_NPY_H

#include <stdint.h>

#include "core/err.h"

struct vk_zip_writer;

enum { VK_NPY_DIM_MAX = 8, VK_NPY_SHAPE_SIZE = 200 };

typedef struct vk_array {
  char name[64]; /* entry of the npz without ".npy"; "" for a plain npy */
  char kind;     /* 'f', 'i', 'u', 'b' (bool), 'S' (bytes) */
  int item_size; /* bytes */
  int n_dim;
  int64_t shape[VK_NPY_DIM_MAX]; /* C order; Fortran order files are transposed on reading */
  int64_t n_item;
  void *data; /* owned; native byte order */
} vk_array;

typedef struct vk_npz {
  int n_array;
  vk_array *array;
} vk_npz;

/* max_bytes bounds what a file may unpack to (zip bombs are refused before they are unpacked). */
VK_NODISCARD vk_status vk_npz_read(vk_npz *npz, const char *path, uint64_t max_bytes, vk_err *err);
VK_NODISCARD vk_status vk_npz_parse(vk_npz *npz, const void *bytes, size_t n, const char *what,
                                    uint64_t max_bytes, vk_err *err);
void vk_npz_free(vk_npz *npz);
/* NULL when there is none of that name. */
const vk_array *vk_npz_find(const vk_npz *npz, const char *name);
/* The array as f64 of n_dim dimensions (shape entries of -1 match any length).
 * Errors: VK_E_NOTFOUND, VK_E_SHAPE, VK_E_FORMAT (another dtype). */
VK_NODISCARD vk_status vk_npz_f64(const vk_npz *npz, const char *name, int n_dim,
                                  const int64_t *shape, const double **data, vk_err *err);
/* Item i of an array of byte strings as text; buf is NUL-terminated. */
VK_NODISCARD vk_status vk_npz_text(const vk_npz *npz, const char *name, int64_t i, char *buf,
                                   size_t n_buf, vk_err *err);

/* "(120, 7)", as Python writes it. Returns buf. */
const char *vk_array_shape_text(const vk_array *array, char buf[VK_NPY_SHAPE_SIZE]);

/* One .npy file; free it with vk_array_free. */
VK_NODISCARD vk_status vk_npy_read(vk_array *array, const char *path, uint64_t max_bytes,
                                   vk_err *err);
void vk_array_free(vk_array *array);
/* Replace the file at once; version 1.0 headers, C order. */
VK_NODISCARD vk_status vk_npy_write(const char *path, const vk_array *array, vk_err *err);
VK_NODISCARD vk_status vk_npz_write(const char *path, const vk_npz *npz, vk_err *err);
/* Adds "NAME.npy" to an archive under way, for those that are written array by array. */
VK_NODISCARD vk_status vk_npz_add(struct vk_zip_writer *w, const vk_array *array, vk_err *err);

#endif
