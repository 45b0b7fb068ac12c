/* hdf5.h - HDF5 files, by the HDF5 C library, which is opened on first use: a program that reads
 * and writes none neither loads nor needs it.
 *
 * Objects are named by their path from the root ("data/demo_0/actions"), attributes by the path of
 * their object and their name. Arrays are those of core/npy.h. The library is not safe with
 * threads: all files of a process are used by one thread at a time. Test: tests/unit/test_hdf5.c */
#ifndef VK_CORE_HDF5_H
#define VK_CORE_HDF5_H

#include "core/err.h"
#include "core/npy.h"

typedef struct vk_h5 vk_h5;

/* Which library there is: "HDF5 1.10.8", cut to n bytes with the NUL. Errors: VK_E_UNSUPPORTED
 * (none, or a build without it; names the package to install). */
VK_NODISCARD vk_status vk_h5_version(char *text, size_t n, vk_err *err);

/* Opens a file for reading. Errors: VK_E_NOTFOUND, VK_E_IO, VK_E_FORMAT (no HDF5, truncated),
 * VK_E_UNSUPPORTED, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_h5_open(vk_h5 **out, const char *path, vk_err *err);

/* A new file, written beside path and swapped in by commit: a reader sees the old one or the new
 * one, whole. No times are recorded: the same content gives the same bytes. Errors: VK_E_NOTFOUND
 * (no such folder), VK_E_IO, VK_E_UNSUPPORTED, VK_E_NOMEM. */
VK_NODISCARD vk_status vk_h5_create(vk_h5 **out, const char *path, vk_err *err);
/* Frees f in any case. Errors: VK_E_IO. */
VK_NODISCARD vk_status vk_h5_commit(vk_h5 *f, vk_err *err);
/* Ends reading, or forgets what was written. NULL is allowed. */
void vk_h5_close(vk_h5 *f);

typedef enum vk_h5_kind { VK_H5_NONE, VK_H5_GROUP, VK_H5_DATASET, VK_H5_OTHER } vk_h5_kind;

/* What path names; "" is the root. */
vk_h5_kind vk_h5_kind_of(vk_h5 *f, const char *path);
bool vk_h5_has_attr(vk_h5 *f, const char *path, const char *attr);

/* Names of a group's members, sorted by strcmp; free them with vk_h5_free_names.
 * Errors: VK_E_FORMAT (no group), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_h5_names(vk_h5 *f, const char *path, char ***names, int *n, vk_err *err);
void vk_h5_free_names(char **names, int n);

/* Type and shape of a dataset (attr NULL) or attribute; data stays NULL. kind is 'f', 'i', 'u', 'S'
 * (text of fixed size), 'T' (text of any length) or '?' (anything else).
 * Errors: VK_E_NOTFOUND, VK_E_SHAPE (too many dimensions), VK_E_FORMAT. */
VK_NODISCARD vk_status vk_h5_describe(vk_h5 *f, const char *path, const char *attr, vk_array *out,
                                      vk_err *err);

/* The same with its data, in native byte order; free it with vk_array_free. Numbers of 1, 2, 4 or 8
 * bytes (floats: 4 or 8) are read. Errors also: VK_E_RANGE (more than max_bytes), VK_E_FORMAT
 * (another type, or damaged), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_h5_read(vk_h5 *f, const char *path, const char *attr, uint64_t max_bytes,
                                  vk_array *out, vk_err *err);

/* One text, of fixed size or any length; free it. Errors: VK_E_NOTFOUND, VK_E_FORMAT (no text, or
 * not one), VK_E_NOMEM. */
VK_NODISCARD vk_status vk_h5_read_text(vk_h5 *f, const char *path, const char *attr, char **out,
                                       vk_err *err);
/* A list of texts; free them with vk_h5_free_names. */
VK_NODISCARD vk_status vk_h5_read_texts(vk_h5 *f, const char *path, char ***out, int *n,
                                        vk_err *err);

/* Writing. Parents of what is written must be there. Datasets are contiguous and not packed;
 * n_dim 0 makes a scalar. Errors: VK_E_IO (with one sentence when the disk is full). */
VK_NODISCARD vk_status vk_h5_put_group(vk_h5 *f, const char *path, vk_err *err);
VK_NODISCARD vk_status vk_h5_put(vk_h5 *f, const char *path, const vk_array *array, vk_err *err);
VK_NODISCARD vk_status vk_h5_put_attr(vk_h5 *f, const char *path, const char *attr,
                                      const vk_array *array, vk_err *err);
/* Of variable length, as h5py writes it. */
VK_NODISCARD vk_status vk_h5_put_text(vk_h5 *f, const char *path, const char *attr,
                                      const char *text, vk_err *err);
/* A list of such texts as a dataset; n is at least 1. */
VK_NODISCARD vk_status vk_h5_put_texts(vk_h5 *f, const char *path, char *const *text, int n,
                                       vk_err *err);

#endif
