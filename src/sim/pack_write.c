#include "sim/pack_write.h"

#include <stdlib.h>
#include <string.h>

#include "sim/pack_check.h"

void vk_pack_builder_fini(vk_pack_builder *b)
{
#define X(member, type) free(b->member);
  VK_PACK_ITEM_SECTIONS(X)
#undef X
  vk_text_table_fini(&b->text);
  memset(b, 0, sizeof *b);
}

#define X(member, type)                                                                            \
  uint32_t vk_pack_put_##member(vk_pack_builder *b, const type *items, size_t n)                   \
  {                                                                                                \
    return vk_section_put((void **)&b->member, &b->n_##member, &b->room_##member, items, n,        \
                          sizeof(type), &b->failed);                                               \
  }
VK_PACK_ITEM_SECTIONS(X)
#undef X

uint32_t vk_pack_put_text(vk_pack_builder *b, const char *text)
{
  return vk_text_put(&b->text, text, &b->failed);
}

/* Opens what was built, so that nothing is written that could not be read. */
static vk_status check_built(const unsigned char *bytes, size_t n, char hash[65], vk_err *err)
{
  void *copy = aligned_alloc(VK_SECTION_ALIGN, n);
  if (!copy)
    return vk_fail(err, VK_E_NOMEM, "no memory for a scene pack of %zu bytes", n);
  memcpy(copy, bytes, n);
  vk_pack pack;
  VK_TRY(vk_pack_open_bytes(&pack, copy, n, "(new)", err));
  memcpy(hash, pack.hash, sizeof pack.hash);
  vk_pack_close(&pack);
  return VK_OK;
}

vk_status vk_pack_build(const vk_pack_builder *b, void **bytes, size_t *n, char hash[65],
                        vk_err *err)
{
  if (b->failed)
    return vk_fail(err, VK_E_NOMEM, "no memory for the scene pack, or above 2^32 items");
  const vk_section section[] = {{"str", 1, b->text.str, b->text.n_str},
#define X(member, type) {#member, sizeof(type), b->member, b->n_##member},
                                VK_PACK_ITEM_SECTIONS(X)
#undef X
  };
  void *p;
  size_t size;
  VK_TRY(vk_sections_build(&vk_pack_kind, section, &p, &size, err));
  vk_status st = check_built(p, size, hash, err);
  if (st != VK_OK) {
    free(p);
    return st;
  }
  *bytes = p;
  *n = size;
  return VK_OK;
}
