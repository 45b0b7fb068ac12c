/* zip.h - reading and writing zip archives (wheels, npz, torch files), by zlib.
 *
 * Reading follows the central directory at the end of the file, as every reader does, and checks it
 * against the local headers. Offsets are from the start of the file; numbers are little-endian.
 *
 *   local header       0 "PK\3\4"  6 flags  8 method  14 CRC-32  18 packed size  22 size
 *                      26 name length n  28 extra length x  30 name  30+n extra  30+n+x data
 *   central entry      0 "PK\1\2"  8 flags  10 method  16 CRC-32  20 packed size  24 size
 *                      28 name length n  30 extra length x  32 comment length c  34 disk
 *                      42 offset of the local header  46 name  46+n extra  46+n+x comment
 *   end of directory   0 "PK\5\6"  4 disk  6 disk of the directory  8 entries here  10 entries
 *                      12 directory size  16 directory offset  20 comment length  22 comment
 *   zip64 end          0 "PK\6\6"  4 size of the rest  24 entries here  32 entries
 *                      40 directory size  48 directory offset
 *   zip64 locator      0 "PK\6\7"  8 offset of the zip64 end   (just before the end of directory)
 *   zip64 extra        0 id 1  2 length  4 u64s: size, packed size, offset; only those that are
 *                      all ones in the entry
 *
 * Sizes in local headers may be missing (flag bit 3, numpy's forced zip64): the directory's count.
 * Refused when opening: encrypted entries, several disks, overlapping entries, two entries of one
 * name, names that are empty, absolute or hold "..", backslashes or control characters.
 * Source: PKWARE APPNOTE 6.3.9. Test: tests/unit/test_zip.c, tests/fuzz/fuzz_zip.c */
#ifndef VK_CORE_ZIP_H
#define VK_CORE_ZIP_H

#include <stdint.h>

#include "core/err.h"

typedef struct vk_zip vk_zip;

typedef struct vk_zip_entry {
  const char *name; /* as stored, with '/' between folders; a folder's name ends in '/' */
  uint64_t size;    /* bytes unpacked */
  uint64_t packed;  /* bytes in the archive */
  uint64_t at;      /* offset of the packed bytes */
  uint32_t crc;
  uint16_t method; /* 0 stored, 8 deflate; others are listed but cannot be read */
} vk_zip_entry;

/* Opens an archive and checks its directory. From a path, the file stays open until vk_zip_free;
 * from memory, bytes are borrowed until then. `what` names the source in errors and is copied.
 * Errors: VK_E_IO, VK_E_NOTFOUND, VK_E_FORMAT, VK_E_NOMEM, VK_E_UNSUPPORTED (encrypted, several
 * disks). */
VK_NODISCARD vk_status vk_zip_open(vk_zip **zip, const char *path, vk_err *err);
VK_NODISCARD vk_status vk_zip_open_bytes(vk_zip **zip, const void *bytes, size_t n,
                                         const char *what, vk_err *err);
void vk_zip_free(vk_zip *zip);

/* Entries in the order of their names (strcmp), folders included. */
int vk_zip_count(const vk_zip *zip);
const vk_zip_entry *vk_zip_get(const vk_zip *zip, int i);
/* NULL when there is none of that name. */
const vk_zip_entry *vk_zip_find(const vk_zip *zip, const char *name);

/* Unpacks an entry of this archive into *bytes (malloc'd, *n bytes and a NUL after them, so that
 * text can be used as it is) and checks its size and CRC. Neither memory nor time goes beyond
 * max_bytes, whatever the archive claims.
 * Errors: VK_E_RANGE (larger than max_bytes), VK_E_FORMAT, VK_E_UNSUPPORTED (method), VK_E_NOMEM.
 */
VK_NODISCARD vk_status vk_zip_read(const vk_zip *zip, const vk_zip_entry *entry, uint64_t max_bytes,
                                   void **bytes, size_t *n, vk_err *err);

/* Writing: create, add each entry, then commit, which writes the directory and puts the finished
 * archive in the place of path at once; abort (NULL is allowed) forgets it. Either frees the
 * writer. The same entries give the same bytes: no times are recorded. Archives and entries stay
 * under 4 GiB (VK_E_RANGE); names must be ones that reading accepts and new (VK_E_FORMAT). Errors
 * also: VK_E_IO, VK_E_NOTFOUND, VK_E_NOMEM. */
typedef struct vk_zip_writer vk_zip_writer;
VK_NODISCARD vk_status vk_zip_create(vk_zip_writer **w, const char *path, vk_err *err);
/* deflate: pack the bytes, unless that makes them larger; else they are stored. */
VK_NODISCARD vk_status vk_zip_add(vk_zip_writer *w, const char *name, const void *bytes, size_t n,
                                  bool deflate, vk_err *err);
VK_NODISCARD vk_status vk_zip_commit(vk_zip_writer *w, vk_err *err);
void vk_zip_abort(vk_zip_writer *w);

/* What makes a name unfit for an archive ("is absolute"), NULL when nothing does. */
const char *vk_zip_name_fault(const char *name, size_t n);

#endif
