/* section_file.h - files that hold arrays of plain structs one after another, used as they lie.
 *
 * Bytes (little-endian; each section begins on the next multiple of 64, and so does the end of the
 * file):
 *   offset  size  what
 *   0       8     magic
 *   8       4     u32 version
 *   12      4     u32 number of sections
 *   16      8     u64 length of the file
 *   24      8     zero
 *   32      32    SHA-256 of bytes [64, length)
 *   64      16*n  per section: u64 offset, u64 number of items
 *   ...           the sections
 * Strings of such files are byte offsets into a section of NUL-terminated text, offset 0 is "".
 * Test: tests/unit/test_pack.c, tests/fuzz/fuzz_pack.c */
#ifndef VK_CORE_SECTION_FILE_H
#define VK_CORE_SECTION_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "sections are used as they lie in the file, which is little-endian"
#endif

enum {
  VK_SECTION_HEAD = 64,  /* bytes before the table of sections */
  VK_SECTION_ALIGN = 64, /* of sections and of the whole file */
  VK_SECTIONS_MAX = 32
};

/* A kind of file. */
typedef struct vk_section_kind {
  const char *noun;   /* "scene pack", for errors */
  const char *magic;  /* 8 bytes */
  const char *mark;   /* the part of magic that people can read */
  const char *remake; /* the command that makes such a file */
  uint32_t version;
  uint32_t n_section;
} vk_section_kind;

typedef struct vk_section {
  const char *name;
  size_t item_size;
  const void *item; /* of an open file: into its bytes */
  size_t n;
} vk_section;

/* Finds the sections of a file that lies in memory (aligned to VK_SECTION_ALIGN).
 *   section  [kind->n_section] in: name and item_size; out: item and n
 *   hash     out, the header's SHA-256 in hex
 *   what     names the bytes in errors
 * Errors: VK_E_FORMAT (truncated, damaged, sections that do not fit), VK_E_VERSION. */
VK_NODISCARD vk_status vk_sections_open(const vk_section_kind *kind, const void *bytes, size_t n,
                                        vk_section *section, char hash[65], const char *what,
                                        vk_err *err);

/* The bytes of a file (aligned_alloc'd, *n of them). Errors: VK_E_NOMEM. */
VK_NODISCARD vk_status vk_sections_build(const vk_section_kind *kind, const vk_section *section,
                                         void **bytes, size_t *n, vk_err *err);

/* Appends n items (NULL: zeros) to a growing array and returns the index of the first. Lack of
 * memory and more than 2^32 items set *failed; nothing is appended then or from then on. */
uint32_t vk_section_put(void **items, size_t *n_item, size_t *room, const void *more, size_t n,
                        size_t item_size, bool *failed);

/* Distinct texts of a growing section. Zero it before the first use. */
typedef struct vk_text_table {
  char *str;
  size_t n_str, room_str;
  uint32_t *slot; /* hash table: offset + 1, 0 for a free slot */
  size_t n_slot, n_text;
} vk_text_table;

/* Offset of a text in table->str; equal texts are stored once. */
uint32_t vk_text_put(vk_text_table *table, const char *text, bool *failed);
void vk_text_table_fini(vk_text_table *table);

#endif
