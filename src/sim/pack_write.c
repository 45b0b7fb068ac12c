#include "sim/pack_write.h"

#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "sim/pack_check.h"

void vk_pack_builder_fini(vk_pack_builder *b)
{
#define X(member, type) free(b->member);
  VK_PACK_SECTIONS(X)
#undef X
  free(b->text_slot);
  memset(b, 0, sizeof *b);
}

/* Makes room for n more items of a section; false: failed. */
static bool grow(vk_pack_builder *b, void **items, size_t *room, size_t n_item, size_t n,
                 size_t size)
{
  if (b->failed || n > UINT32_MAX - 1 - n_item) {
    b->failed = true;
    return false;
  }
  if (n_item + n <= *room)
    return true;
  size_t new_room = 2 * (n_item + n) + 16;
  void *p = realloc(*items, new_room * size);
  if (!p) {
    b->failed = true;
    return false;
  }
  *items = p;
  *room = new_room;
  return true;
}

#define X(member, type)                                                                            \
  uint32_t vk_pack_put_##member(vk_pack_builder *b, const type *items, size_t n)                   \
  {                                                                                                \
    if (!grow(b, (void **)&b->member, &b->room_##member, b->n_##member, n, sizeof(type)))          \
      return 0;                                                                                    \
    if (n > 0 && items)                                                                            \
      memcpy(b->member + b->n_##member, items, n * sizeof(type));                                  \
    else                                                                                           \
      memset(b->member + b->n_##member, 0, n * sizeof(type));                                      \
    b->n_##member += n;                                                                            \
    return (uint32_t)(b->n_##member - n);                                                          \
  }
VK_PACK_SECTIONS(X)
#undef X

/* FNV-1a. */
static uint64_t hash_text(const char *text)
{
  uint64_t h = 14695981039346656037ull;
  for (; *text; text++)
    h = (h ^ (unsigned char)*text) * 1099511628211ull;
  return h;
}

/* The slot of text: the one that holds it, or the free one where it belongs. */
static uint32_t *find_slot(const vk_pack_builder *b, uint32_t *slots, size_t n, const char *text)
{
  size_t i = (size_t)hash_text(text) & (n - 1);
  while (slots[i] != 0 && strcmp(b->str + slots[i] - 1, text) != 0)
    i = (i + 1) & (n - 1);
  return &slots[i];
}

static bool grow_slots(vk_pack_builder *b)
{
  if (2 * (b->n_text + 1) <= b->n_text_slot)
    return true;
  size_t n = b->n_text_slot ? 2 * b->n_text_slot : 1024;
  uint32_t *slots = calloc(n, sizeof *slots);
  if (!slots) {
    b->failed = true;
    return false;
  }
  for (size_t i = 0; i < b->n_text_slot; i++)
    if (b->text_slot[i] != 0)
      *find_slot(b, slots, n, b->str + b->text_slot[i] - 1) = b->text_slot[i];
  free(b->text_slot);
  b->text_slot = slots;
  b->n_text_slot = n;
  return true;
}

uint32_t vk_pack_put_text(vk_pack_builder *b, const char *text)
{
  if (b->n_str == 0)
    vk_pack_put_str(b, "", 1);
  if (*text == '\0')
    return 0;
  if (b->failed || !grow_slots(b))
    return 0;
  uint32_t *slot = find_slot(b, b->text_slot, b->n_text_slot, text);
  if (*slot != 0)
    return *slot - 1;
  uint32_t at = vk_pack_put_str(b, text, strlen(text) + 1);
  if (b->failed)
    return 0;
  *slot = at + 1;
  b->n_text++;
  return at;
}

static void write_u32(unsigned char *p, uint32_t v)
{
  for (int i = 0; i < 4; i++)
    p[i] = (unsigned char)(v >> (8 * i));
}

static void write_u64(unsigned char *p, uint64_t v)
{
  write_u32(p, (uint32_t)v);
  write_u32(p + 4, (uint32_t)(v >> 32));
}

static size_t align_up(size_t n)
{
  return (n + VK_PACK_ALIGN - 1) / VK_PACK_ALIGN * VK_PACK_ALIGN;
}

/* Opens what was built, so that nothing is written that could not be read. */
static vk_status check_built(const unsigned char *bytes, size_t n, char hash[65], vk_err *err)
{
  void *copy = aligned_alloc(VK_PACK_ALIGN, align_up(n));
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
  size_t size = align_up(VK_PACK_HEAD + 16 * VK_PACK_N_SECTION);
#define X(member, type) size = align_up(size + b->n_##member * sizeof(type));
  VK_PACK_SECTIONS(X)
#undef X
  unsigned char *p = aligned_alloc(VK_PACK_ALIGN, size);
  if (!p)
    return vk_fail(err, VK_E_NOMEM, "no memory for a scene pack of %zu bytes", size);
  memset(p, 0, size);
  memcpy(p, VK_PACK_MAGIC, 8);
  write_u32(p + 8, VK_PACK_VERSION);
  write_u32(p + 12, VK_PACK_N_SECTION);
  write_u64(p + 16, size);
  size_t at = align_up(VK_PACK_HEAD + 16 * VK_PACK_N_SECTION), entry = VK_PACK_HEAD;
#define X(member, type)                                                                            \
  write_u64(p + entry, at);                                                                        \
  write_u64(p + entry + 8, b->n_##member);                                                         \
  if (b->n_##member)                                                                               \
    memcpy(p + at, b->member, b->n_##member * sizeof(type));                                       \
  at = align_up(at + b->n_##member * sizeof(type));                                                \
  entry += 16;
  VK_PACK_SECTIONS(X)
#undef X
  vk_sha256 h;
  vk_sha256_init(&h);
  vk_sha256_add(&h, p + VK_PACK_HEAD, size - VK_PACK_HEAD);
  vk_sha256_end(&h, p + 32);
  vk_status st = check_built(p, size, hash, err);
  if (st != VK_OK) {
    free(p);
    return st;
  }
  *bytes = p;
  *n = size;
  return VK_OK;
}
