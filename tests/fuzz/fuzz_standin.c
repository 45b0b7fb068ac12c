/* fuzz_standin.c - any text as data of stand-in visuals, for a pack of one class and one problem:
 * visuals that keep their promises, or a sentence. */
#include <stdlib.h>
#include <string.h>

#include "sim/mjcf.h"
#include "sim/pack_write.h"
#include "sim/standin.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

/* An element with a name and, when size is not NULL, a box of it. */
static uint32_t put_elem(vk_pack_builder *b, vk_mjcf_tag tag, const char *name, const double *size)
{
  vk_pack_attr attr[3];
  uint16_t n = 0;
  if (name)
    attr[n++] = (vk_pack_attr){VK_MJCF_KEY_NAME, 0, vk_pack_put_text(b, name)};
  if (size) {
    attr[n++] = (vk_pack_attr){VK_MJCF_KEY_TYPE, 0, vk_pack_put_text(b, "box")};
    attr[n++] = (vk_pack_attr){VK_MJCF_KEY_SIZE, 3, vk_pack_put_num(b, size, 3)};
  }
  const vk_pack_elem elem = {.tag = (uint16_t)tag,
                             .n_attr = n,
                             .attr = vk_pack_put_attr(b, attr, n),
                             .first_child = VK_PACK_NONE,
                             .next_sibling = VK_PACK_NONE};
  return vk_pack_put_elem(b, &elem, 1);
}

static uint32_t put_body(vk_pack_builder *b, const char *name)
{
  static const double size[3] = {0.1, 0.2, 0.3};
  const uint32_t body = put_elem(b, VK_MJCF_TAG_BODY, name, NULL);
  const uint32_t geom = put_elem(b, VK_MJCF_TAG_GEOM, "g1", size);
  if (!b->failed)
    b->elem[body].first_child = geom;
  return body;
}

static vk_status make_pack(vk_pack *pack, vk_err *err)
{
  vk_pack_builder b = {0};
  void *bytes = NULL;
  size_t n = 0;
  char hash[65];
  vk_pack_class c = {.name = vk_pack_put_text(&b, "thing"), .body = put_body(&b, "main")};
  vk_pack_put_class_(&b, &c, 1);
  const uint32_t name = vk_pack_put_text(&b, "place");
  vk_pack_problem p = {.name = name, .arena_name = name, .contact = VK_PACK_NONE};
  p.world = put_elem(&b, VK_MJCF_TAG_ROOT, NULL, NULL);
  p.robot = put_body(&b, "robot0_base");
  p.actuator = put_elem(&b, VK_MJCF_TAG_ROOT, NULL, NULL);
  vk_pack_put_problem(&b, &p, 1);
  vk_status st = vk_pack_build(&b, &bytes, &n, hash, err);
  vk_pack_builder_fini(&b);
  return st == VK_OK ? vk_pack_open_bytes(pack, bytes, n, "pack", err) : st;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
  vk_err err = VK_ERR_INIT;
  vk_pack pack;
  vk_visuals visuals;
  if (make_pack(&pack, &err) != VK_OK)
    abort();
  if (vk_standin_build_from(&visuals, &pack, (const char *)bytes, n, "fuzz", &err) == VK_OK) {
    if (visuals.n_model != 1 || visuals.n_look != 1)
      abort();
    vk_visuals_close(&visuals);
  } else if (strncmp(err.text, "fuzz", 4) != 0) {
    abort(); /* visuals that do not keep their promises are found by the entry that breaks them */
  }
  vk_pack_close(&pack);
  return 0;
}
