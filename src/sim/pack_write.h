/* pack_write.h - builds a scene pack in memory and writes it. The same items put in the same order
 * give the same bytes. Test: tests/unit/test_pack.c */
#ifndef VK_SIM_PACK_WRITE_H
#define VK_SIM_PACK_WRITE_H

#include "sim/pack.h"

/* The sections as they grow. Zero it before the first use ({0}). Lack of memory and more than 2^32
 * items are remembered in `failed` and reported by vk_pack_build. */
typedef struct vk_pack_builder {
#define X(member, type)                                                                            \
  type *member;                                                                                    \
  size_t n_##member, room_##member;
  VK_PACK_ITEM_SECTIONS(X)
#undef X
  vk_text_table text; /* section str */
  bool failed;
} vk_pack_builder;

/* Frees the sections; b is as good as new then. */
void vk_pack_builder_fini(vk_pack_builder *b);

/* Appends n items (NULL: zeros) to a section and returns the index of the first:
 * vk_pack_put_num(b, values, n), vk_pack_put_elem(b, elem, 1), ... */
#define X(member, type)                                                                            \
  uint32_t vk_pack_put_##member(vk_pack_builder *b, const type *items, size_t n);
VK_PACK_ITEM_SECTIONS(X)
#undef X

/* Offset in str of a text; equal texts are stored once. */
uint32_t vk_pack_put_text(vk_pack_builder *b, const char *text);

/* The pack's bytes (aligned_alloc'd, *n of them), checked as vk_pack_open checks them.
 *   hash  out, SHA-256 in hex
 * Errors: VK_E_NOMEM, VK_E_RANGE (too many items), VK_E_FORMAT (an item breaks a promise). */
VK_NODISCARD vk_status vk_pack_build(const vk_pack_builder *b, void **bytes, size_t *n,
                                     char hash[65], vk_err *err);

#endif
