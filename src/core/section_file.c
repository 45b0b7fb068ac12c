#include "core/section_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"

static size_t align_up(size_t n)
{
  return (n + VK_SECTION_ALIGN - 1) / VK_SECTION_ALIGN * VK_SECTION_ALIGN;
}

static size_t table_end(const vk_section_kind *kind)
{
  return VK_SECTION_HEAD + 16 * (size_t)kind->n_section;
}

static uint32_t read_u32(const unsigned char *p)
{
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t read_u64(const unsigned char *p)
{
  return read_u32(p) | (uint64_t)read_u32(p + 4) << 32;
}

/* Header and hash: after this the file is what its writer made, though perhaps not by us. */
static vk_status check_head(const vk_section_kind *kind, const unsigned char *b, size_t n,
                            char hash[65], const char *what, vk_err *err)
{
  if (n < 16 || memcmp(b, kind->magic, 8) != 0)
    return vk_fail(err, VK_E_FORMAT, "%s is not a %s (%zu bytes, no \"%s\" mark)", what, kind->noun,
                   n, kind->mark);
  uint32_t version = read_u32(b + 8), n_section = read_u32(b + 12);
  if (version != kind->version)
    return vk_fail(err, VK_E_VERSION,
                   "%s is a %s of version %u, this program reads version %u: make it again with %s",
                   what, kind->noun, version, kind->version, kind->remake);
  if (n < table_end(kind) || n_section != kind->n_section)
    return vk_fail(err, VK_E_FORMAT, "%s %s: %zu bytes and %u sections, expected %u", kind->noun,
                   what, n, n_section, kind->n_section);
  if (read_u64(b + 16) != n || read_u64(b + 24) != 0)
    return vk_fail(err, VK_E_FORMAT,
                   "%s %s has the wrong length: %zu bytes, but its header says %llu: make it "
                   "again with %s",
                   kind->noun, what, n, (unsigned long long)read_u64(b + 16), kind->remake);
  vk_sha256_hex(b + VK_SECTION_HEAD, n - VK_SECTION_HEAD, hash);
  char stored[65];
  for (int i = 0; i < 32; i++)
    snprintf(stored + 2 * i, 3, "%02x", b[32 + i]);
  if (memcmp(stored, hash, 65) != 0)
    return vk_fail(err, VK_E_FORMAT,
                   "%s %s is damaged: its SHA-256 is %.12s..., its header says %.12s...: make it "
                   "again with %s",
                   kind->noun, what, hash, stored, kind->remake);
  return VK_OK;
}

vk_status vk_sections_open(const vk_section_kind *kind, const void *bytes, size_t n,
                           vk_section *section, char hash[65], const char *what, vk_err *err)
{
  const unsigned char *b = bytes, *at = b + VK_SECTION_HEAD;
  VK_TRY(check_head(kind, b, n, hash, what, err));
  uint64_t end = table_end(kind); /* of what lies before the next section */
  for (uint32_t i = 0; i < kind->n_section; i++, at += 16) {
    uint64_t offset = read_u64(at), count = read_u64(at + 8);
    end = align_up(end);
    if (offset != end || offset > n || count > (n - offset) / section[i].item_size)
      return vk_fail(err, VK_E_FORMAT, "%s %s: section %s does not fit the file", kind->noun, what,
                     section[i].name);
    section[i].item = b + offset;
    section[i].n = (size_t)count;
    end += count * section[i].item_size;
  }
  if (align_up(end) != n)
    return vk_fail(err, VK_E_FORMAT, "%s %s: %zu bytes, but its sections end at %llu", kind->noun,
                   what, n, (unsigned long long)end);
  return VK_OK;
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

vk_status vk_sections_build(const vk_section_kind *kind, const vk_section *section, void **bytes,
                            size_t *n, vk_err *err)
{
  size_t size = align_up(table_end(kind));
  for (uint32_t i = 0; i < kind->n_section; i++)
    size = align_up(size + section[i].n * section[i].item_size);
  unsigned char *p = aligned_alloc(VK_SECTION_ALIGN, size);
  if (!p)
    return vk_fail(err, VK_E_NOMEM, "no memory for a %s of %zu bytes", kind->noun, size);
  memset(p, 0, size);
  memcpy(p, kind->magic, 8);
  write_u32(p + 8, kind->version);
  write_u32(p + 12, kind->n_section);
  write_u64(p + 16, size);
  size_t at = align_up(table_end(kind));
  for (uint32_t i = 0; i < kind->n_section; i++) {
    const vk_section *s = &section[i];
    write_u64(p + VK_SECTION_HEAD + 16 * i, at);
    write_u64(p + VK_SECTION_HEAD + 16 * i + 8, s->n);
    if (s->n > 0)
      memcpy(p + at, s->item, s->n * s->item_size);
    at = align_up(at + s->n * s->item_size);
  }
  vk_sha256 h;
  vk_sha256_init(&h);
  vk_sha256_add(&h, p + VK_SECTION_HEAD, size - VK_SECTION_HEAD);
  vk_sha256_end(&h, p + 32);
  *bytes = p;
  *n = size;
  return VK_OK;
}

/* ---- growing -------------------------------------------------------------------------------- */

uint32_t vk_section_put(void **items, size_t *n_item, size_t *room, const void *more, size_t n,
                        size_t item_size, bool *failed)
{
  if (*failed || n > UINT32_MAX - 1 - *n_item) {
    *failed = true;
    return 0;
  }
  if (n == 0)
    return (uint32_t)*n_item;
  if (*n_item + n > *room) {
    size_t new_room = 2 * (*n_item + n) + 16;
    void *p = realloc(*items, new_room * item_size);
    if (!p) {
      *failed = true;
      return 0;
    }
    *items = p;
    *room = new_room;
  }
  unsigned char *at = (unsigned char *)*items + *n_item * item_size;
  if (more)
    memcpy(at, more, n * item_size);
  else
    memset(at, 0, n * item_size);
  *n_item += n;
  return (uint32_t)(*n_item - n);
}

/* FNV-1a. */
static uint64_t hash_text(const char *text)
{
  uint64_t h = 14695981039346656037ull;
  for (; *text; text++)
    h = (h ^ (unsigned char)*text) * 1099511628211ull;
  return h;
}

/* The slot of text: the one that holds it, or the free one where it belongs. */
static uint32_t *find_slot(const vk_text_table *t, uint32_t *slots, size_t n, const char *text)
{
  size_t i = (size_t)hash_text(text) & (n - 1);
  while (slots[i] != 0 && strcmp(t->str + slots[i] - 1, text) != 0)
    i = (i + 1) & (n - 1);
  return &slots[i];
}

static bool grow_slots(vk_text_table *t)
{
  if (2 * (t->n_text + 1) <= t->n_slot)
    return true;
  size_t n = t->n_slot ? 2 * t->n_slot : 1024;
  uint32_t *slots = calloc(n, sizeof *slots);
  if (!slots)
    return false;
  for (size_t i = 0; i < t->n_slot; i++)
    if (t->slot[i] != 0)
      *find_slot(t, slots, n, t->str + t->slot[i] - 1) = t->slot[i];
  free(t->slot);
  t->slot = slots;
  t->n_slot = n;
  return true;
}

uint32_t vk_text_put(vk_text_table *t, const char *text, bool *failed)
{
  if (t->n_str == 0)
    vk_section_put((void **)&t->str, &t->n_str, &t->room_str, "", 1, 1, failed);
  if (*text == '\0' || *failed)
    return 0;
  if (!grow_slots(t)) {
    *failed = true;
    return 0;
  }
  uint32_t *slot = find_slot(t, t->slot, t->n_slot, text);
  if (*slot != 0)
    return *slot - 1;
  uint32_t at =
      vk_section_put((void **)&t->str, &t->n_str, &t->room_str, text, strlen(text) + 1, 1, failed);
  if (*failed)
    return 0;
  *slot = at + 1;
  t->n_text++;
  return at;
}

void vk_text_table_fini(vk_text_table *t)
{
  free(t->str);
  free(t->slot);
  memset(t, 0, sizeof *t);
}
