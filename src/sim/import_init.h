/* import_init.h - LIBERO's init files (.pruned_init): zip archives with one pickled array.
 *
 * Bytes of archive/data.pkl, the only form that is read (| marks parts of one opcode each):
 *   80 02  c"numpy.core.multiarray\n_reconstruct\n" q00  c"numpy\nndarray\n" q01  K00 85 q02
 *   c"_codecs\nencode\n" q03  X|1,0,0,0|"b" q04  X|6,0,0,0|"latin1" q05  86 q06  R q07  87 q08  R
 * q09 (  K01  ROWS COLS 86 q0a                rows and columns: K u8, or M u16 c"numpy\ndtype\n"
 * q0b  X|2,0,0,0|"f8" q0c  89 88 87 q0d  R q0e (  K03  X|1,0,0,0|"<" q0f  N N N  J|-1 J|-1  K00 t
 * q10  b 89  h03  X|u32 length|PAYLOAD q11  h05 86 q12  R q13  t q14  b  . PAYLOAD is UTF-8; each
 * of its code points (0 to 255) is one byte of a little-endian f64 array in C order. Nothing is
 * executed: the bytes must match, or the file is refused. Source: Python's pickletools, protocol 2;
 * 130 files of LIBERO 8f1084e. Test: tests/unit/test_import_init.c, tests/fuzz/fuzz_init.c */
#ifndef VK_SIM_IMPORT_INIT_H
#define VK_SIM_IMPORT_INIT_H

#include <stdint.h>

#include "core/err.h"

typedef struct vk_init_rows {
  uint32_t n_row, n_col;
  double *value; /* [n_row][n_col], owned */
} vk_init_rows;

/* name: the file's, for errors. Errors: VK_E_FORMAT (also numbers that are not finite), VK_E_NOMEM.
 */
VK_NODISCARD vk_status vk_init_rows_parse(vk_init_rows *rows, const void *bytes, size_t n,
                                          const char *name, vk_err *err);
void vk_init_rows_free(vk_init_rows *rows);

/* The pickle alone. */
VK_NODISCARD vk_status vk_init_pickle_parse(vk_init_rows *rows, const void *bytes, size_t n,
                                            const char *name, vk_err *err);

#endif
